//! Secrets: owners, readers, revisions, grants.

use juju::harness::{Grant, Owner, Secret, State};
use juju::{Context, Event, Read, Refusal, SecretContent, SecretKey, SecretSpec};
use secrecy::ExposeSecret;

use crate::{db, run, shop, tool};

fn content(value: &str) -> SecretContent {
    [("password", value)].into_iter().collect()
}

fn password(context: &Context<'_>, key: SecretKey<'_>, mode: Read) -> Option<String> {
    let found = context.secret_get(key, mode).unwrap()?;
    Some(found.get("password")?.expose_secret().to_owned())
}

fn theirs() -> Secret {
    let owner = Owner::Other { granted: true };
    Secret::new(owner, "theirs", [("password", "one")]).revision([("password", "two")])
}

#[test]
fn a_reader_stays_at_its_revision_until_it_refreshes() {
    let state = State::default().with_secret(theirs().tracking(1));
    let outcome = run(&shop(), Event::UpdateStatus, &state, |_, context| {
        let key = SecretKey::Label("theirs");
        let read = |mode| password(context, key, mode).unwrap();
        assert_eq!(read(Read::Tracked), "one");
        assert_eq!(read(Read::Peek), "two");
        assert_eq!(read(Read::Tracked), "one");
        assert_eq!(read(Read::Refresh), "two");
        assert_eq!(read(Read::Tracked), "two");
    });
    assert_eq!(outcome.state.secret("theirs").unwrap().tracked, Some(2));
}

#[test]
fn the_first_read_pins_even_in_a_hook_that_fails_and_even_by_a_peek() {
    let state = State::default().with_secret(theirs());
    let after = |mode| {
        let ran = shop().run(Event::UpdateStatus, &state, |env, tools| {
            let context = Context::for_hook(env, tools);
            assert_eq!(
                password(&context, SecretKey::Label("theirs"), mode).unwrap(),
                "two"
            );
            1
        });
        ran.unwrap().state.secrets[0].tracked
    };
    assert_eq!(after(Read::Tracked), Some(2));
    assert_eq!(after(Read::Peek), Some(2));
}

#[test]
fn a_label_given_with_the_id_is_kept() {
    let unlabelled = Secret {
        label: String::new(),
        ..theirs()
    };
    let id = unlabelled.uri();
    let state = State::default().with_secret(unlabelled);
    let outcome = run(&shop(), Event::UpdateStatus, &state, |_, context| {
        let by_label = SecretKey::Label("cert");
        assert_eq!(password(context, by_label, Read::Tracked), None);
        let key = SecretKey::Labelled {
            id: &id,
            label: "cert",
        };
        assert!(password(context, key, Read::Tracked).is_some());
    });
    assert_eq!(outcome.state.secrets[0].label, "cert");
}

#[test]
fn what_is_not_granted_or_not_there_is_none_to_a_charm_and_an_error_of_the_tool() {
    let hidden = Secret::new(Owner::Other { granted: false }, "", [("password", "x")]);
    let uri = hidden.uri();
    let state = State::default().with_secret(hidden);
    let refused = tool(&state, &["secret-get", &uri]).unwrap_err().1;
    assert_eq!(refused, "ERROR permission denied (unauthorized access)\n");
    let refused = tool(&state, &["secret-get", "--label=none"]).unwrap_err().1;
    assert_eq!(refused, "ERROR secret \"none\" not found\n");
    run(&shop(), Event::UpdateStatus, &state, |_, context| {
        assert_eq!(password(context, SecretKey::Id(&uri), Read::Peek), None);
        assert_eq!(
            password(context, SecretKey::Label("none"), Read::Peek),
            None
        );
    });
}

#[test]
fn an_application_s_secret_is_read_by_all_its_units_and_changed_by_the_leader() {
    let own = Secret::new(Owner::Application, "app", [("password", "one")]);
    let id = own.uri();
    let follower = State::default().with_secret(own);
    let outcome = run(&shop(), Event::UpdateStatus, &follower, |_, context| {
        let key = SecretKey::Label("app");
        assert_eq!(password(context, key, Read::Refresh).unwrap(), "one");
        let denied = context.secret_set(&id, &content("two")).unwrap_err();
        assert_eq!(denied.refusal, Refusal::PermissionDenied);
        assert!(context.secret_info("app").unwrap().is_none());
        assert!(context.secret_ids().unwrap().is_empty());
        let spec = SecretSpec {
            owner: "application".into(),
            ..SecretSpec::default()
        };
        let refused = context.secret_add(&content("x"), &spec).unwrap_err();
        assert_eq!(refused.refusal, Refusal::NotLeader);
    });
    assert_eq!(outcome.state.secrets[0].latest(), 1);

    let leader = follower.leading();
    let outcome = run(&shop(), Event::UpdateStatus, &leader, |_, context| {
        let info = context.secret_info("app").unwrap().unwrap();
        assert_eq!((info.revision, info.owner.as_str()), (1, "application"));
        assert_eq!(context.secret_ids().unwrap(), [info.id]);
        let key = SecretKey::Label("app");
        assert_eq!(password(context, key, Read::Tracked).unwrap(), "one");
        context.secret_set(&id, &content("two")).unwrap();
        context.secret_set(&id, &content("three")).unwrap();
        let read = |mode| password(context, key, mode).unwrap();
        assert_eq!(read(Read::Tracked), "three");
        assert_eq!(read(Read::Peek), "three");
    });
    let secret = outcome.state.secret("app").unwrap();
    assert_eq!(secret.tracked, Some(2), "so that nobody has the first one");
    assert_eq!(secret.latest(), 2, "one hook makes one revision");
    assert_eq!(secret.content()["password"], "three");
}

#[test]
fn somebody_else_s_secret_cannot_be_changed() {
    let uri = theirs().uri();
    let state = State::default().leading().with_secret(theirs());
    run(&shop(), Event::UpdateStatus, &state, |_, context| {
        let refused = context.secret_set(&uri, &content("mine")).unwrap_err();
        assert_eq!(refused.refusal, Refusal::NotFound);
        assert!(context.secret_remove(&uri, None).is_err());
    });
}

#[test]
fn equal_content_makes_no_revision() {
    let own = Secret::new(Owner::Unit, "mine", [("password", "one")]);
    let uri = own.uri();
    let state = State::default().with_secret(own);
    let outcome = run(&shop(), Event::UpdateStatus, &state, |_, context| {
        context.secret_set(&uri, &content("one")).unwrap();
        context.secret_set(&uri, &content("two")).unwrap();
        context.secret_set(&uri, &content("one")).unwrap();
    });
    assert_eq!(outcome.state.secrets[0].latest(), 1);
    assert_eq!(outcome.calls_of("secret-set").count(), 2);
}

#[test]
fn a_secret_made_in_a_hook_is_there_at_once_and_may_be_changed_and_removed() {
    let outcome = run(&shop(), Event::Start, &State::default(), |_, context| {
        let spec = |label: &str| SecretSpec {
            owner: "unit".into(),
            label: label.into(),
            rotate: "daily".into(),
            expire: "24h".into(),
            ..SecretSpec::default()
        };
        let id = context.secret_add(&content("one"), &spec("new")).unwrap();
        assert!(id.starts_with("secret:") && id.len() == 27, "{id}");
        assert!(password(context, SecretKey::Id(&id), Read::Tracked).is_some());
        context.secret_set(&id, &content("two")).unwrap();
        let gone = context.secret_add(&content("x"), &spec("gone")).unwrap();
        assert_ne!(id, gone);
        context.secret_remove(&gone, None).unwrap();
        let described = SecretSpec {
            description: "of the unit".into(),
            ..SecretSpec::default()
        };
        context.secret_update(&id, None, &described).unwrap();
    });
    let [secret] = outcome.state.secrets.as_slice() else {
        panic!("{:?}", outcome.state.secrets)
    };
    assert_eq!((secret.latest(), secret.label.as_str()), (1, "new"));
    assert_eq!(secret.content()["password"], "two");
    assert_eq!(secret.rotate, "daily");
    assert_eq!(secret.expire.as_deref(), Some("24h"));
    assert_eq!(secret.description, "of the unit");
    let on_command_line = |call: &juju::harness::Call| call.args.iter().any(|a| a.contains("two"));
    assert!(!outcome.calls.iter().any(on_command_line));
}

#[test]
fn revisions_are_removed_one_by_one() {
    let own =
        Secret::new(Owner::Unit, "mine", [("password", "one")]).revision([("password", "two")]);
    let state = State::default().with_secret(own.clone());
    let harness = shop();
    let trigger = juju::harness::Trigger::secret_remove(&own, 1);
    let outcome = run(&harness, trigger, &state, |env, context| {
        let Event::SecretRemove(event) = env.event() else {
            panic!("{env:?}")
        };
        context.secret_remove(&event.id, event.revision).unwrap();
        let twice = context.secret_remove(&event.id, event.revision);
        assert_eq!(twice.unwrap_err().refusal, Refusal::NotFound);
    });
    let left: Vec<u64> = outcome.state.secrets[0].revisions.keys().copied().collect();
    assert_eq!(left, [2]);
}

#[test]
fn grants_are_given_to_the_other_end_and_taken_back() {
    let own = Secret::new(Owner::Application, "app", [("password", "one")]);
    let uri = own.uri();
    let state = State::default().with_secret(own).with_relation(db());
    let grants = |outcome: juju::harness::Outcome| outcome.state.secrets[0].grants.clone();
    let whole = Grant {
        relation: 4,
        unit: None,
    };
    let granted = run(
        &shop(),
        Event::Start,
        &state.clone().leading(),
        |_, context| {
            context.secret_grant(&uri, "db:4", None).unwrap();
            let stranger = context.secret_grant(&uri, "db:4", Some("other/0"));
            assert_eq!(
                stranger.unwrap_err().message,
                "cannot specify unit \"other/0\" in relation to application \"web\""
            );
            let access = context.secret_info("app").unwrap().unwrap().access;
            assert_eq!(access[0]["target"], "application-web");
        },
    );
    let after = granted.state.clone();
    assert_eq!(grants(granted), [whole].into());
    let revoked = run(&shop(), Event::Start, &after, |_, context| {
        context.secret_revoke(&uri, "db:4").unwrap();
    });
    assert!(grants(revoked).is_empty());
    let revoked = run(&shop(), Event::Start, &after, |_, context| {
        context.secret_revoke_from(&uri, "web").unwrap();
    });
    assert!(grants(revoked).is_empty());
    run(&shop(), Event::Start, &state, |_, context| {
        let refused = context.secret_grant(&uri, "db:4", None).unwrap_err();
        assert_eq!(refused.refusal, Refusal::NotLeader);
    });
}

#[test]
fn one_unit_s_grant_is_in_the_way_of_the_application_s() {
    let own = Secret::new(Owner::Unit, "mine", [("password", "one")]);
    let uri = own.uri();
    let state = State::default()
        .with_secret(own)
        .with_relation(db().unit(0, []));
    let outcome = run(&shop(), Event::Start, &state, |_, context| {
        context.secret_grant(&uri, "db:4", Some("web/0")).unwrap();
        assert!(context.secret_grant(&uri, "db:4", None).is_err());
        context.secret_revoke_from(&uri, "web/0").unwrap();
        context.secret_grant(&uri, "db:4", None).unwrap();
    });
    let grants = &outcome.state.secrets[0].grants;
    assert!(grants.len() == 1 && grants.iter().all(|grant| grant.unit.is_none()));
}

#[test]
fn odd_keys_policies_and_owners_are_refused() {
    let refused = |line: &[&str]| tool(&State::default(), line).unwrap_err().1;
    assert_eq!(
        refused(&["secret-add", "Key=x"]),
        "ERROR key \"Key\" not valid\n"
    );
    assert_eq!(
        refused(&["secret-add", "ab=x"]),
        "ERROR key \"ab\" not valid\n"
    );
    assert_eq!(
        refused(&["secret-add", "key="]),
        "ERROR key value \"key=\" not valid\n"
    );
    assert_eq!(
        refused(&["secret-add"]),
        "ERROR missing secret value or filename\n"
    );
    assert_eq!(
        refused(&["secret-add", "--owner=unit", "--rotate=often", "key=x"]),
        "ERROR rotate policy \"often\" not valid\n"
    );
    assert_eq!(
        refused(&["secret-add", "--owner=me", "key=x"]),
        "ERROR secret owner \"me\" not valid\n"
    );
    assert_eq!(
        refused(&["secret-get", "--label=a", "--peek", "--refresh"]),
        "ERROR specify one of --peek or --refresh but not both\n"
    );
    let ids = tool(&State::default(), &["secret-ids", "--format=json"]);
    assert_eq!(ids.unwrap(), "null\n");
}

#[test]
fn an_owner_that_never_read_reads_what_was_there_before_its_own_change() {
    let own = Secret::new(Owner::Unit, "mine", [("password", "one")]);
    let uri = own.uri();
    let state = State::default().with_secret(own);
    run(&shop(), Event::UpdateStatus, &state, |_, context| {
        let spec = SecretSpec::default();
        context
            .secret_update(&uri, Some(&content("two")), &spec)
            .unwrap();
        let read = |mode| password(context, SecretKey::Label("mine"), mode).unwrap();
        assert_eq!(read(Read::Tracked), "one");
        assert_eq!(read(Read::Refresh), "two");
    });
}

#[test]
fn a_refresh_in_a_hook_that_fails_stays_for_readers_and_not_for_owners() {
    let own = Secret::new(Owner::Unit, "mine", [("password", "one")])
        .revision([("password", "two")])
        .tracking(1);
    let state = State::default()
        .with_secret(own)
        .with_secret(theirs().tracking(1));
    let after = |exit: i32| {
        let ran = shop().run(Event::UpdateStatus, &state, |env, tools| {
            let context = Context::for_hook(env, tools);
            for label in ["mine", "theirs"] {
                let read = password(&context, SecretKey::Label(label), Read::Refresh);
                assert_eq!(read.as_deref(), Some("two"));
            }
            exit
        });
        let state = ran.unwrap().state;
        ["mine", "theirs"].map(|label| state.secret(label).unwrap().tracked)
    };
    assert_eq!(after(1), [Some(1), Some(2)]);
    assert_eq!(after(0), [Some(2), Some(2)]);
}

#[test]
fn a_refresh_by_label_is_seen_by_id() {
    let state = State::default().with_secret(theirs().tracking(1));
    run(&shop(), Event::UpdateStatus, &state, |_, context| {
        let uri = theirs().uri();
        let by_id = || password(context, SecretKey::Id(&uri), Read::Tracked).unwrap();
        assert_eq!(by_id(), "one");
        password(context, SecretKey::Label("theirs"), Read::Refresh);
        assert_eq!(by_id(), "two");
    });
}
