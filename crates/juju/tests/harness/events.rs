//! Every event reaches the charm as Juju tells it.

use juju::Event;
use juju::harness::{Owner, Relation, Secret, State, Storage, Trigger};

use crate::{db, members, run, shop};

#[test]
fn the_charm_gets_the_event_that_was_given() {
    let harness = shop();
    let lone = Relation::new("db", 8, "late");
    let data = Storage::new("data", 0, "/data");
    let mine = Secret {
        rotate: "daily".into(),
        expire: Some("24h".into()),
        ..Secret::new(Owner::Unit, "mine", [("key", "1")]).revision([("key", "2")])
    };
    let theirs = Secret::new(Owner::Other { granted: true }, "theirs", [("key", "1")]).tracking(1);
    let (db, members) = (db().unit(0, []), members().unit(1, []));
    let state = State::default()
        .leading()
        .with_relation(db.clone())
        .with_relation(lone.clone())
        .with_relation(members.clone())
        .with_secret(mine.clone())
        .with_secret(theirs.clone())
        .with_storage(data.clone())
        .with_container("my-cache", true);
    let triggers: Vec<Trigger> = vec![
        Event::Install.into(),
        Event::Start.into(),
        Event::Stop.into(),
        Event::Remove.into(),
        Event::ConfigChanged.into(),
        Event::UpdateStatus.into(),
        Event::UpgradeCharm.into(),
        Event::LeaderElected.into(),
        Event::CollectMetrics.into(),
        Event::Exec.into(),
        Event::Unknown("meter-status-changed".into()).into(),
        harness.relation_created(&db),
        harness.relation_joined(&db, 0),
        harness.relation_changed(&db, Some(0)),
        harness.relation_changed(&db, None),
        harness.relation_changed(&members, None),
        harness.relation_departed(&members, 1),
        harness.relation_departed_by_self(&db, 0),
        harness.relation_broken(&lone),
        Trigger::storage_attached(&data),
        Trigger::storage_detaching(&data),
        Trigger::pebble_ready("my-cache"),
        Trigger::pebble_custom_notice("my-cache", "12", "example.com/full"),
        Trigger::pebble_check_failed("my-cache", "up"),
        Trigger::pebble_check_recovered("my-cache", "up"),
        Trigger::secret_changed(&theirs),
        Trigger::secret_rotate(&mine),
        Trigger::secret_expired(&mine, 2),
        Trigger::secret_remove(&mine, 1),
        Trigger::action("ping"),
    ];
    for trigger in triggers {
        let outcome = run(&harness, trigger.clone(), &state, |env, _| {
            assert_eq!(env.event(), &trigger.event);
            assert_eq!((env.unit(), env.model()), ("shop/0", "harness"));
        });
        assert!(outcome.succeeded(), "{trigger:?}: {:?}", outcome.failure);
        assert_eq!(outcome.state, state, "{trigger:?}");
    }
}

#[test]
fn a_charm_runs_as_any_unit_of_any_application() {
    let harness = shop().as_unit("my-shop/3");
    let changed = harness.relation_changed(&members().unit(1, []), Some(1));
    let state = State::default().with_relation(members().unit(1, []));
    run(&harness, changed, &state, |env, context| {
        assert_eq!((env.application(), env.ordinal()), ("my-shop", 3));
        assert_eq!(context.relation_units("members:1").unwrap(), ["my-shop/1"]);
    });
}

#[test]
fn a_charm_s_own_files_are_taken_and_others_refused() {
    assert!(juju::harness::Harness::new("name: [", "", "").is_err());
    let missing = juju::harness::Harness::from_dir("/no/such/charm").unwrap_err();
    let text = missing.to_string();
    assert_eq!(text, "cannot read /no/such/charm/metadata.yaml");
}

#[test]
fn a_charm_may_have_all_in_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let text =
        "{name: one, config: {options: {word: {type: string, default: w}}}, actions: {go: {}}}";
    std::fs::write(dir.path().join("charmcraft.yaml"), text).unwrap();
    let harness = juju::harness::Harness::from_dir(dir.path()).unwrap();
    run(
        &harness,
        Trigger::action("go"),
        &State::default(),
        |env, context| {
            assert_eq!(env.unit(), "one/0");
            assert_eq!(context.config().unwrap()["word"], "w");
        },
    );
}
