//! What Juju could never run is refused before the charm runs.

use juju::harness::{Grant, Harness, Network, Owner, Relation, Secret, State, Storage, Trigger};
use juju::{Event, RelationEvent};
use serde_json::json;

use crate::{db, members, shop};

fn problems(trigger: impl Into<Trigger>, state: &State) -> Vec<String> {
    shop().problems(&trigger.into(), state)
}

/// The state alone is at fault: any event tells the same.
fn of_state(state: &State) -> Vec<String> {
    problems(Event::UpdateStatus, state)
}

#[test]
fn all_reasons_are_told_and_the_charm_is_not_run() {
    let state = State::default()
        .with_config("colour", "red")
        .with_config("workers", "four");
    let refused = shop().run(Trigger::pebble_ready("nothing"), &state, |_, _| -> i32 {
        panic!("the charm was run")
    });
    let text = refused.unwrap_err().to_string();
    assert_eq!(
        text,
        "cannot run what Juju would never run: the charm has no option \"colour\"; \
         the option \"workers\" is of type int, and \"four\" is not; \
         the charm has no container \"nothing\""
    );
}

#[test]
fn what_juju_could_run_is_not_refused() {
    let state = State::default()
        .leading()
        .with_config("title", "x")
        .with_config("workers", 2)
        .with_config("ratio", 1)
        .with_config("debug", true)
        .with_config("key", "secret:0123456789abcdefghij")
        .with_relation(members().unit(1, []))
        .with_relation(db().unit(0, []))
        .with_relation(Relation::new("db", 5, "other"))
        .with_storage(Storage::new("logs", 0, "/a"))
        .with_storage(Storage::new("logs", 1, "/b"))
        .with_container("web", false);
    assert_eq!(of_state(&state), [] as [String; 0]);
}

#[test]
fn options_have_their_types() {
    for (name, value, fits) in [
        ("title", json!(1), false),
        ("workers", json!(1.5), false),
        ("workers", json!(7), true),
        ("ratio", json!("x"), false),
        ("ratio", json!(0.5), true),
        ("debug", json!("true"), false),
        ("key", json!("password"), false),
        ("key", json!("secret:tooshort"), false),
    ] {
        let found = of_state(&State::default().with_config(name, value.clone()));
        assert_eq!(found.is_empty(), fits, "{name}={value}: {found:?}");
    }
}

#[test]
fn relations_fit_the_metadata() {
    let only = |relation: Relation| of_state(&State::default().with_relation(relation)).join("; ");
    assert_eq!(
        only(Relation::new("none", 1, "x")),
        "the charm has no endpoint \"none\" (none:1)"
    );
    assert_eq!(
        only(Relation::new("members", 1, "x")),
        "members:1 is a peer relation, so it has no other application \"x\""
    );
    assert_eq!(
        only(Relation::peer("db", 1)),
        "db:1 is not a peer relation, so it needs another application"
    );
    assert_eq!(
        only(members().remote_app([("a", "b")])),
        "members:1 is a peer relation, so it has one application's bag, the own"
    );
    assert_eq!(
        only(members().unit(0, [])),
        "members:1: the unit shop/0 is among its own peers"
    );
    assert_eq!(
        only(db().local_unit([("a", "")])),
        "db:4: the key \"a\" is empty, and Juju drops such keys"
    );
    let mut twice = State::default().with_relation(db());
    twice.relations.push(Relation::new("cert", 4, "ca"));
    assert_eq!(of_state(&twice), ["two relations have the id 4"]);
    let many = State::default()
        .with_relation(Relation::new("admin", 1, "x"))
        .with_relation(Relation::new("admin", 2, "y"));
    assert_eq!(
        of_state(&many),
        ["the endpoint \"admin\" has 2 relations of at most 1"]
    );
}

#[test]
fn relation_events_are_of_relations_in_the_state() {
    let harness = shop();
    let state = State::default()
        .with_relation(db().unit(0, []))
        .with_relation(members().unit(1, []));
    let only = |trigger: Trigger| harness.problems(&trigger, &state).join("; ");
    let other = Relation::new("db", 9, "web");
    assert_eq!(
        only(harness.relation_created(&other)),
        "db-relation-created: the relation db:9 is not in the state"
    );
    assert_eq!(
        only(harness.relation_joined(&db(), 3)),
        "db-relation-joined: web/3 is not a unit of db:4"
    );
    assert_eq!(
        only(harness.relation_broken(&db())),
        "db-relation-broken: the units of db:4 depart before it breaks"
    );
    assert_eq!(
        only(harness.relation_created(&Relation::new("db", 4, "x"))),
        "db-relation-created: db:4 is with \"web\", not with \"x\""
    );
    let alone = State::default().with_relation(members());
    let broken = harness.relation_broken(&members());
    assert_eq!(
        harness.problems(&broken, &alone),
        ["members-relation-broken: a peer relation never breaks"]
    );
    let told = |unit: Option<&str>, departing: Option<&str>| RelationEvent {
        endpoint: "db".into(),
        relation_id: "db:4".into(),
        remote_app: "web".into(),
        remote_unit: unit.map(Into::into),
        departing_unit: departing.map(Into::into),
    };
    for event in [
        Event::RelationJoined(told(None, None)),
        Event::RelationCreated(told(Some("web/0"), None)),
        Event::RelationChanged(told(Some("web/0"), Some("web/0"))),
        Event::RelationDeparted(told(Some("web/0"), None)),
        Event::RelationDeparted(told(Some("web/0"), Some("web/5"))),
        Event::RelationDeparted(told(None, Some("web/0"))),
    ] {
        let found = harness.problems(&event.clone().into(), &state);
        assert!(!found.is_empty(), "{event:?}");
    }
}

#[test]
fn containers_and_storages_are_declared_and_there() {
    let empty = State::default();
    let only = |trigger: Trigger| problems(trigger, &empty).join("; ");
    assert_eq!(
        only(Trigger::pebble_ready("db")),
        "the charm has no container \"db\""
    );
    assert_eq!(
        only(Trigger::pebble_check_failed("web", "up")),
        "the container \"web\" is not in the state"
    );
    assert_eq!(
        only(Trigger::storage_attached(&Storage::new("tape", 0, "/t"))),
        "the charm has no storage \"tape\""
    );
    let data = Storage::new("data", 0, "/data");
    assert_eq!(
        only(Trigger::storage_attached(&data)),
        "the storage data/0 is not in the state"
    );
    let moved = State::default().with_storage(Storage::new("data", 0, "/elsewhere"));
    assert_eq!(
        problems(Trigger::storage_attached(&data), &moved),
        ["the storage data/0 is at /elsewhere, not at /data"]
    );
    let two = State::default()
        .with_storage(data)
        .with_storage(Storage::new("data", 1, "/b"));
    assert_eq!(
        of_state(&two),
        ["the storage \"data\" is not a multiple one"]
    );
}

#[test]
fn names_in_the_state_are_the_charm_s() {
    let mut state = State::default().with_container("db", true);
    state.resources.insert("film".into(), "/f".into());
    state.networks.insert("radio".into(), Network::default());
    state.opened_ports.insert("80".into());
    assert_eq!(
        of_state(&state),
        [
            "the charm has no container \"db\"",
            "the charm has no resource \"film\"",
            "the charm has no binding \"radio\"",
            "the open port \"80\" is not of the form 80/tcp, 80/udp or icmp",
        ]
    );
}

#[test]
fn actions_have_their_parameters() {
    let empty = State::default();
    let only = |trigger: Trigger| problems(trigger, &empty).join("; ");
    let count = || Trigger::action("count").param("how", "up");
    assert_eq!(only(count().param("to", 5)), "");
    assert_eq!(
        only(Trigger::action("dance")),
        "the charm has no action \"dance\""
    );
    assert_eq!(
        only(count().param("fast", true)),
        "the action \"count\" has no parameter \"fast\""
    );
    assert_eq!(
        only(count().param("to", "5")),
        "the parameter \"to\" of \"count\" is of type integer, and \"5\" is not"
    );
    assert_eq!(
        only(count().param("to", 0)),
        "the parameter \"to\" of \"count\" is out of range: 0"
    );
    assert_eq!(
        only(Trigger::action("count").param("how", "left")),
        "the parameter \"how\" of \"count\" cannot be \"left\""
    );
    assert_eq!(
        only(Trigger::action("count")),
        "the action \"count\" needs the parameter \"how\""
    );
    assert_eq!(
        only(Trigger::from(Event::Start).param("to", 1)),
        "start is no action, so it has no parameters"
    );
}

#[test]
fn secret_events_go_to_whom_they_concern() {
    let own = |owner| Secret {
        rotate: "daily".into(),
        expire: Some("24h".into()),
        ..Secret::new(owner, "s", [("key", "1")]).revision([("key", "2")])
    };
    let theirs = Secret::new(Owner::Other { granted: true }, "t", [("key", "1")]);
    let id = theirs.id.clone();
    let with = |secret: &Secret| State::default().with_secret(secret.clone());
    let told = |trigger: Trigger, state: &State| problems(trigger, state).join("; ");
    assert_eq!(
        told(Trigger::secret_rotate(&theirs), &with(&theirs)),
        format!(
            "secret-rotate is for owners, and {id} is not owned by this unit or its application"
        )
    );
    assert_eq!(
        told(Trigger::secret_changed(&theirs), &with(&theirs)),
        format!("secret-changed: this unit never read {id}, so it is not told")
    );
    assert_eq!(
        told(Trigger::secret_changed(&theirs), &State::default()),
        format!("secret-changed: the secret {id} is not in the state")
    );
    let (unit, app) = (own(Owner::Unit), own(Owner::Application));
    let id = unit.id.clone();
    assert_eq!(
        told(Trigger::secret_changed(&unit), &with(&unit)),
        format!("secret-changed: the owner of {id} is not told of its own changes")
    );
    assert_eq!(
        told(Trigger::secret_expired(&app, 2), &with(&app)),
        format!("secret-expired: {id} is the application's, so the hook is the leader's")
    );
    assert_eq!(
        told(Trigger::secret_expired(&app, 2), &with(&app).leading()),
        ""
    );
    assert_eq!(
        told(Trigger::secret_remove(&unit, 2), &with(&unit)),
        format!("secret-remove: revision 2 of {id} is the latest, which is kept")
    );
    assert_eq!(
        told(Trigger::secret_remove(&unit, 9), &with(&unit)),
        format!("secret-remove: {id} has no revision 9")
    );
    let still = Secret {
        rotate: "never".into(),
        expire: None,
        ..unit
    };
    assert_eq!(
        told(Trigger::secret_rotate(&still), &with(&still)),
        format!("secret-rotate: {id} is never rotated")
    );
    assert_eq!(
        told(Trigger::secret_expired(&still, 1), &with(&still)),
        format!("secret-expired: {id} never expires")
    );
}

#[test]
fn secrets_hold_together() {
    let secret = Secret::new(Owner::Unit, "s", [("key", "1")]);
    let id = secret.id.clone();
    let only = |secret: Secret| of_state(&State::default().with_secret(secret)).join("; ");
    assert_eq!(
        only(secret.clone().tracking(4)),
        format!("the secret {id} (\"s\") is read at revision 4, which it does not have")
    );
    let grant = Grant {
        relation: 9,
        unit: None,
    };
    assert_eq!(
        only(Secret {
            grants: [grant].into(),
            ..secret.clone()
        }),
        format!(
            "the secret {id} (\"s\") is granted over the relation 9, which is not in the state"
        )
    );
    assert_eq!(
        only(Secret {
            revisions: [].into(),
            ..secret.clone()
        }),
        format!("the secret {id} (\"s\") has no content")
    );
    let twin = Secret {
        label: "s".into(),
        ..Secret::new(Owner::Unit, "other", [("key", "1")])
    };
    assert_eq!(
        of_state(&State::default().with_secret(secret).with_secret(twin)),
        ["two secrets have the label \"s\""]
    );
}

#[test]
fn leadership_fits_the_event() {
    assert_eq!(
        problems(Event::LeaderElected, &State::default()),
        ["leader-elected is for the leader, and this unit does not lead"]
    );
    assert_eq!(
        problems(Event::LeaderSettingsChanged, &State::default().leading()),
        ["leader-settings-changed is not for the leader, and this unit leads"]
    );
}

#[test]
fn a_unit_has_a_number() {
    let nobody: Harness = shop().as_unit("shop");
    let found = nobody.problems(&Event::Start.into(), &State::default());
    assert_eq!(found, ["the unit's name \"shop\" is not of the form app/0"]);
}
