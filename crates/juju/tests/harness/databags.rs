//! Who sees and writes which databag.

use juju::harness::{Relation, State};
use juju::{Event, Refusal};

use crate::{db, members, run, shop, tool};

fn state() -> State {
    let db = db()
        .local_app([("own-app", "a")])
        .local_unit([("own-unit", "b")])
        .remote_app([("their-app", "c")])
        .unit(0, [("their-unit", "d")])
        .unit(10, [])
        .unit(2, []);
    let members = members()
        .local_app([("plan", "e")])
        .unit(1, [("seen", "f")]);
    State::default().with_relation(db).with_relation(members)
}

fn read(state: &State, relation: &str, entity: &str, key: &str) -> Result<String, String> {
    let mut line = vec!["relation-get", "-r", relation, key, entity];
    if !entity.contains('/') {
        line.push("--app");
    }
    let found = tool(state, &line).map(|text| text.trim().to_owned());
    found.map_err(|(_, text)| text)
}

#[test]
fn only_the_leader_reads_the_own_application_outside_of_peers() {
    let denied = "ERROR permission denied (unauthorized access)\n";
    let follower = read(&state(), "db:4", "shop", "own-app");
    assert_eq!(follower.unwrap_err(), denied);
    let leader = read(&state().leading(), "db:4", "shop", "own-app");
    assert_eq!(leader.unwrap(), "a");
    let among_peers = read(&state(), "members:1", "shop", "plan");
    assert_eq!(among_peers.unwrap(), "e");
}

#[test]
fn the_other_side_is_seen_by_all() {
    let seen = |relation, entity, key| read(&state(), relation, entity, key).unwrap();
    assert_eq!(seen("db:4", "web", "their-app"), "c");
    assert_eq!(seen("db:4", "web/0", "their-unit"), "d");
    assert_eq!(seen("db:4", "shop/0", "own-unit"), "b");
    assert_eq!(seen("members:1", "shop/1", "seen"), "f");
    assert_eq!(seen("db:4", "web/0", "no-such-key"), "");
    assert_eq!(seen("db:4", "web/2", "private-address"), "192.0.2.0");
}

#[test]
fn siblings_and_strangers_are_not_seen() {
    for (relation, entity) in [
        ("db:4", "shop/1"),
        ("db:4", "web/7"),
        ("members:1", "shop/7"),
        ("members:1", "web/0"),
    ] {
        let refused = read(&state(), relation, entity, "-").unwrap_err();
        assert!(refused.contains("permission denied"), "{entity}: {refused}");
    }
}

#[test]
fn a_wrong_call_says_what_is_wrong() {
    let refused = |line: &[&str]| tool(&state(), line).unwrap_err();
    assert_eq!(
        refused(&["relation-get", "-r", "db:4", "-", "web"]),
        (
            2,
            "ERROR expected unit name, got application name \"web\"\n".into()
        )
    );
    assert_eq!(
        refused(&["relation-get", "-r", "db:9", "-", "web/0"]),
        (
            2,
            "ERROR invalid value \"db:9\" for option -r: relation not found\n".into()
        )
    );
    assert_eq!(
        refused(&["relation-list", "-r", "cert:4"]),
        (
            2,
            "ERROR invalid value \"cert:4\" for option -r: relation not found\n".into()
        )
    );
    assert_eq!(
        refused(&["relation-list"]),
        (2, "ERROR no relation id specified\n".into())
    );
    assert_eq!(
        refused(&["relation-ids", "db", "more"]),
        (2, "ERROR unrecognized args: [\"more\"]\n".into())
    );
    assert_eq!(
        refused(&["is-leader", "--fast"]),
        (2, "ERROR option provided but not defined: --fast\n".into())
    );
    assert_eq!(
        refused(&["relation-set", "-r", "db:4", "odd"]),
        (2, "ERROR expected \"key=value\", got \"odd\"\n".into())
    );
    assert_eq!(
        refused(&["relation-set", "-r", "db:4", "--app", "a=b"]),
        (1, "ERROR cannot write relation settings\n".into())
    );
}

#[test]
fn ids_and_units_are_sorted_as_texts() {
    let state = state()
        .with_relation(Relation::new("db", 10, "x"))
        .with_relation(Relation::new("db", 9, "y"));
    let listed = |line: &[&str]| tool(&state, line).unwrap();
    assert_eq!(
        listed(&["relation-ids", "db", "--format=json"]),
        "[\"db:10\",\"db:4\",\"db:9\"]\n"
    );
    assert_eq!(
        listed(&["relation-list", "-r", "4"]),
        "web/0\nweb/10\nweb/2\n"
    );
    assert_eq!(listed(&["relation-ids", "none", "--format=json"]), "[]\n");
    assert_eq!(listed(&["relation-list", "-r", "4", "--app"]), "web\n");
}

#[test]
fn writes_of_the_hook_are_read_and_an_empty_value_deletes() {
    let outcome = run(&shop(), Event::Start, &state(), |_, context| {
        context.relation_set("db:4", "shop/0", "own-unit", "");
        context.relation_set("db:4", "shop/0", "odd", "a\u{7f}\u{1F600}: \"");
        context.flush().unwrap();
        let bag = context.relation_get("db:4", "shop/0").unwrap();
        assert!(!bag.contains_key("own-unit"));
    });
    let bag = &outcome.state.relation(4).unwrap().local_unit;
    assert_eq!(bag["odd"], "a\u{7f}\u{1F600}: \"");
    assert!(!bag.contains_key("own-unit"));
}

#[test]
fn the_bag_of_another_cannot_be_written() {
    for entity in ["web", "web/0", "shop/1"] {
        let ran = shop().run(Event::Start, &state().leading(), |env, tools| {
            juju::run_hook(env, tools, |_, context| {
                context.relation_set("db:4", entity, "key", "value");
                Ok::<_, juju::ToolError>(())
            })
        });
        let outcome = ran.unwrap();
        let failure = outcome.failure.unwrap();
        assert!(
            failure.contains(&format!("cannot write the databag of {entity} in db:4")),
            "{failure}"
        );
        assert_eq!(outcome.state, state().leading());
    }
}

#[test]
fn a_unit_that_departs_can_be_read_but_is_not_listed() {
    let harness = shop();
    let state = state();
    let departed = harness.relation_departed(state.relation(4).unwrap(), 0);
    run(&harness, departed, &state, |env, context| {
        let Event::RelationDeparted(event) = env.event() else {
            panic!("{env:?}")
        };
        assert_eq!(event.departing_unit.as_deref(), Some("web/0"));
        assert_eq!(context.relation_units("db:4").unwrap(), ["web/10", "web/2"]);
        assert_eq!(
            context.relation_get("db:4", "web/0").unwrap()["their-unit"],
            "d"
        );
    });
}

#[test]
fn a_relation_that_breaks_is_not_listed_but_can_be_read() {
    let harness = shop();
    let relation = Relation::new("db", 5, "web").remote_app([("their-app", "c")]);
    let state = state().with_relation(relation.clone());
    let broken = harness.relation_broken(&relation);
    run(&harness, broken, &state, |_, context| {
        assert_eq!(context.relation_ids("db").unwrap(), ["db:4"]);
        assert_eq!(
            context.relation_get("db:5", "web").unwrap()["their-app"],
            "c"
        );
        assert_eq!(context.relation_app("db:5").unwrap(), "web");
        let gone = context.relation_units("db:77").unwrap_err();
        assert_eq!(gone.refusal, Refusal::RelationNotFound);
    });
}
