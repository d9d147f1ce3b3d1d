//! Clients of `database`: each gets what it asks for, in any order of events, and goes without trace
//! but for its data.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::similar_names,
    clippy::struct_excessive_bools,
    unused_imports,
    reason = "a test fails by them"
)]

mod support;

use juju::Event;
use support::related::*;
use support::{
    KubeFault, Outcome, World, notice, pebble_ready, peers, peers_changed, peers_created,
};

#[test]
fn a_client_gets_its_user_its_database_and_its_secrets() {
    let world = deployed(3);
    related(&world, "database:5", &[("database", "shop"), SECRETS]);
    let told = world.told("database:5");
    assert_eq!(
        told["endpoints"],
        "postgresql-k8s-primary.m.svc.cluster.local:5432"
    );
    assert_eq!(
        told["read-only-endpoints"],
        "postgresql-k8s-replicas.m.svc.cluster.local:5432"
    );
    assert_eq!(told["version"], "15.18");
    assert_eq!(told["database"], "shop");
    assert!(!told.contains_key("password") && !told.contains_key("uris"));
    let secret = world.secret("database.5.user.secret");
    assert_eq!(secret["username"], "relation_id_5");
    assert!(log_in(&world, "relation_id_5", &secret["password"]));
    assert_eq!(
        secret["uris"],
        format!(
            "postgresql://relation_id_5:{}@{}/shop",
            secret["password"], told["endpoints"]
        )
    );
    assert_eq!(world.secret("database.5.tls.secret")["tls"], "False");
    world.with(|state| {
        let role = &state.roles["relation_id_5"];
        assert_eq!(
            role.groups,
            ["relation_access", "shop"].map(str::to_owned).into()
        );
        assert!(!role.superuser && !role.createdb && !role.createrole);
        assert!(!state.roles["shop"].login);
        assert_eq!(state.clients.databases["shop"], "shop");
        assert!(
            state
                .clients
                .secrets
                .values()
                .all(|s| s.granted.contains("database:5"))
        );
        assert!(!state.said.contains("made-up-secret"));
        let told = state.clients.statements.join("\n");
        assert!(!told.contains("made-up-secret"), "verifiers alone");
    });
    assert_eq!(world.status(0), ("active".into(), "Primary".into()));
}

#[test]
fn a_client_that_asks_before_the_cluster_stands_is_answered_as_soon_as_it_does() {
    let world = World::of(3);
    world.relate("database:5", "app", &[("database", "shop"), SECRETS]);
    let created = Event::RelationCreated(world.relation_event("database:5"));
    for ordinal in 0..3 {
        for (n, event) in first_hooks(ordinal == 0).iter().enumerate() {
            assert_eq!(world.hook(ordinal, event), Outcome::Done);
            if n == 1 {
                assert_eq!(world.hook(ordinal, &created), Outcome::Done);
                assert_eq!(
                    world.hook(ordinal, &world.changed("database:5")),
                    Outcome::Done
                );
            }
        }
    }
    assert!(world.told("database:5").is_empty());
    world.with(support::State::let_patroni_work);
    // One hook: that of Patroni's callback on the leader.
    assert_eq!(world.hook(0, &notice()), Outcome::Done);
    assert!(world.told("database:5").contains_key("secret-user"));
}

#[test]
fn a_client_without_secrets_gets_all_in_its_databag() {
    let world = deployed(1);
    related(&world, "database:5", &[("database", "shop")]);
    let told = world.told("database:5");
    assert!(log_in(&world, &told["username"], &told["password"]));
    assert_eq!(
        told["read-only-endpoints"], told["endpoints"],
        "there is no replica"
    );
    assert!(world.with(|state| state.clients.secrets.is_empty()));
    // It learns of secrets by an upgrade: the password stays.
    world.with(|state| {
        let relation = state.clients.relations.get_mut("database:5").unwrap();
        relation.theirs.insert(SECRETS.0.into(), SECRETS.1.into());
    });
    assert_eq!(world.hook(0, &world.changed("database:5")), Outcome::Done);
    assert!(!world.told("database:5").contains_key("password"));
    assert_eq!(
        world.secret("database.5.user.secret")["password"],
        told["password"]
    );
}

#[test]
fn the_second_version_is_answered_request_by_request() {
    let world = deployed(1);
    let two = r#"[{"resource": "shop", "request-id": "aa", "salt": "s"},
                  {"resource": "till", "request-id": "bb", "salt": "t"}]"#;
    related(
        &world,
        "database:5",
        &[("version", "v1"), ("requests", two)],
    );
    let told = world.told("database:5");
    let requests: serde_json::Value = serde_json::from_str(&told["requests"]).unwrap();
    assert_eq!(requests[1]["resource"], "till");
    assert_eq!(
        requests[1]["secret-user"],
        "secret:database.5.bb.user.secret"
    );
    assert_eq!(
        world.secret("database.5.aa.user.secret")["username"],
        "relation_id_5_aa"
    );
    assert_eq!(
        world.client_users(),
        ["relation_id_5_aa", "relation_id_5_bb"]
    );
    world.with(|state| {
        let relation = state.clients.relations.get_mut("database:5").unwrap();
        relation.theirs.insert(
            "requests".into(),
            r#"[{"resource": "till", "request-id": "bb", "salt": "t"}]"#.into(),
        );
    });
    assert_eq!(world.hook(0, &world.changed("database:5")), Outcome::Done);
    assert_eq!(world.client_users(), ["relation_id_5_bb"]);
    assert!(world.with(|s| !s.clients.secrets.contains_key("database.5.aa.user.secret")));
}

#[test]
fn a_client_that_goes_takes_its_user_and_leaves_its_data() {
    let world = deployed(3);
    for id in ["database:5", "database:6"] {
        related(&world, id, &[("database", "shop"), SECRETS]);
    }
    world.with(|state| {
        let table = ("shop".to_owned(), "orders".to_owned());
        state.clients.tables.insert(table, "relation_id_5".into());
    });
    let other = world.secret("database.6.user.secret");
    world.unrelate("database:5");
    assert_eq!(world.client_users(), ["relation_id_6"]);
    assert_eq!(world.secret("database.6.user.secret"), other);
    world.with(|state| {
        assert!(
            state
                .clients
                .secrets
                .keys()
                .all(|label| label.contains(".6."))
        );
        assert!(state.clients.databases.contains_key("shop"));
        let table = ("shop".to_owned(), "orders".to_owned());
        assert_eq!(state.clients.tables[&table], "shop", "other clients use it");
    });
    world.unrelate("database:6");
    assert!(world.client_users().is_empty());
    related(&world, "database:7", &[("database", "shop"), SECRETS]);
    assert!(world.with(|s| s.roles["relation_id_7"].groups.contains("shop")));
}

#[test]
fn a_user_that_could_not_be_removed_is_removed_when_the_database_is_back() {
    let world = deployed(1);
    related(&world, "database:5", &[("database", "shop"), SECRETS]);
    world.with(|state| state.database_away = true);
    world.unrelate("database:5");
    assert_eq!(world.client_users(), ["relation_id_5"]);
    world.with(|state| state.database_away = false);
    assert_eq!(world.hook(0, &Event::UpdateStatus), Outcome::Done);
    assert!(world.client_users().is_empty());
    assert!(world.with(|state| state.clients.secrets.is_empty()));
}

#[test]
fn a_request_that_came_while_the_database_was_away_is_served_by_the_next_hook() {
    let world = deployed(1);
    world.with(|state| state.database_away = true);
    related(&world, "database:5", &[("database", "shop"), SECRETS]);
    assert!(world.told("database:5").is_empty());
    world.with(|state| state.database_away = false);
    assert_eq!(world.hook(0, &Event::UpdateStatus), Outcome::Done);
    assert!(world.told("database:5").contains_key("secret-user"));
}

#[test]
fn a_unit_that_leaves_sees_its_relations_break_and_removes_nobody() {
    let world = deployed(3);
    related(&world, "database:5", &[("database", "shop"), SECRETS]);
    world.with(|state| state.unit(0).dying = true);
    let broken = Event::RelationBroken(world.relation_event("database:5"));
    assert_eq!(world.hook(0, &broken), Outcome::Done);
    assert_eq!(world.client_users(), ["relation_id_5"]);
}

#[test]
fn a_new_leader_goes_on_where_the_old_one_was() {
    let world = deployed(3);
    related(&world, "database:5", &[("database", "shop"), SECRETS]);
    related(&world, "database:6", &[("database", "shop"), SECRETS]);
    let password = world.secret("database.5.user.secret")["password"].clone();
    world.with(|state| state.leader = 1);
    // One relation goes while nobody has run a hook as leader.
    world.forget_relation("database:6");
    assert_eq!(world.hook(1, &Event::LeaderElected), Outcome::Done);
    assert_eq!(world.client_users(), ["relation_id_5"]);
    assert!(world.with(|s| s.clients.secrets.keys().all(|label| label.contains(".5."))));
    assert!(
        log_in(&world, "relation_id_5", &password),
        "the password stays"
    );
    world.relate("database:7", "app", &[("database", "till")]);
    assert_eq!(world.hook(1, &world.changed("database:7")), Outcome::Done);
    assert!(world.told("database:7").contains_key("password"));
}

#[test]
fn endpoints_follow_the_members() {
    let world = deployed(1);
    related(&world, "database:5", &[("database", "shop"), SECRETS]);
    assert!(world.told("database:5")["read-only-endpoints"].contains("-primary."));
    world.with(|state| state.add_unit(1));
    for event in first_hooks(false) {
        world.hook(1, &event);
    }
    world.settle();
    assert!(world.told("database:5")["read-only-endpoints"].contains("-replicas."));
    assert!(world.secret("database.5.user.secret")["read-only-uris"].contains("-replicas."));
    world.with(|state| state.unit(1).dying = true);
    let mut event = peers();
    event.departing_unit = Some("postgresql-k8s/1".into());
    assert_eq!(
        world.hook(0, &Event::RelationDeparted(event)),
        Outcome::Done
    );
    assert!(world.told("database:5")["read-only-endpoints"].contains("-primary."));
}

#[test]
fn a_hook_at_a_hundred_relations_costs_what_it_costs_at_one() {
    let world = deployed(1);
    related(&world, "database:1", &[("database", "shop"), SECRETS]);
    let at_one: Vec<usize> = [Event::UpdateStatus, notice(), world.changed("database:1")]
        .iter()
        .map(|event| calls(&world, event))
        .collect();
    for n in 2..=100 {
        related(
            &world,
            &format!("database:{n}"),
            &[("database", "shop"), SECRETS],
        );
    }
    let at_hundred: Vec<usize> = [Event::UpdateStatus, notice(), world.changed("database:1")]
        .iter()
        .map(|event| calls(&world, event))
        .collect();
    assert_eq!(at_one, at_hundred);
    assert!(at_one[0] <= 2, "{at_one:?}");
}

#[test]
fn a_repeated_hook_changes_nothing() {
    let world = deployed(1);
    related(&world, "database:5", &[("database", "shop"), SECRETS]);
    for event in [
        world.changed("database:5"),
        Event::LeaderElected,
        Event::UpgradeCharm,
        Event::ConfigChanged,
    ] {
        assert_eq!(world.hook(0, &event), Outcome::Done);
        let effects: Vec<String> = world.with(|state| state.effects.drain(..).collect());
        let said =
            |e: &String| e == "status-set" || e == "application-version-set" || e == "open-port";
        assert!(effects.iter().all(said), "{event:?}: {effects:?}");
    }
}

#[test]
fn a_process_that_dies_after_any_effect_leaves_what_the_next_hook_completes() {
    for effect in 1.. {
        let world = deployed(1);
        related(&world, "database:4", &[("database", "shop"), SECRETS]);
        world.relate("database:5", "app", &[("database", "till"), SECRETS]);
        world.with(|state| state.dies_after = Some(effect));
        let died = world.hook(0, &world.changed("database:5")) == Outcome::Died;
        world.with(|state| state.dies_after = None);
        assert_eq!(world.hook(0, &world.changed("database:5")), Outcome::Done);
        let secret = world.secret("database.5.user.secret");
        assert!(
            log_in(&world, "relation_id_5", &secret["password"]),
            "effect {effect}"
        );
        assert_eq!(world.with(|s| s.clients.databases["till"].clone()), "till");
        world.with(|state| state.dies_after = Some(effect));
        let broken = Event::RelationBroken(world.relation_event("database:5"));
        let died_again = world.hook(0, &broken) == Outcome::Died;
        world.with(|state| state.dies_after = None);
        world.unrelate("database:5");
        assert_eq!(world.client_users(), ["relation_id_4"], "effect {effect}");
        assert!(world.with(|s| s.clients.secrets.keys().all(|l| l.contains(".4."))));
        if !died && !died_again {
            break;
        }
    }
}

#[test]
fn a_new_leader_that_finds_no_primary_looks_at_all_relations_when_there_is_one() {
    let world = deployed(3);
    related(&world, "database:6", &[("database", "shop"), SECRETS]);
    world.with(|state| {
        state.leader = 1;
        state.database_away = true;
    });
    world.forget_relation("database:6");
    assert_eq!(world.hook(1, &Event::LeaderElected), Outcome::Done);
    assert_eq!(world.client_users(), ["relation_id_6"]);
    world.with(|state| state.database_away = false);
    assert_eq!(world.hook(1, &notice()), Outcome::Done);
    assert!(world.client_users().is_empty());
    assert!(world.with(|state| state.clients.secrets.is_empty()));
}

#[test]
fn a_user_that_was_lost_with_the_primary_is_made_again_with_its_password() {
    let world = deployed(3);
    related(&world, "database:5", &[("database", "shop"), SECRETS]);
    related(&world, "database:6", &[("database", "shop"), SECRETS]);
    assert_eq!(world.hook(0, &notice()), Outcome::Done);
    let secret = world.secret("database.6.user.secret");
    world.with(|state| {
        // No standby had it yet.
        state.roles.remove("relation_id_6");
        state.holder = Some(1);
    });
    assert_eq!(world.hook(0, &notice()), Outcome::Done);
    assert_eq!(world.secret("database.6.user.secret"), secret);
    assert!(log_in(&world, "relation_id_6", &secret["password"]));
    let quiet = calls(&world, &notice());
    assert!(quiet <= 2, "{quiet}");
}

/// A user that a pooler has made, with the rights that its own relation gave it.
fn made_by_a_pooler(world: &World, name: &str) {
    let role = support::Role {
        login: true,
        groups: ["relation_access", "shop"].map(str::to_owned).into(),
        ..support::Role::default()
    };
    world.with(|state| state.roles.insert(name.to_owned(), role));
}

fn rules(world: &World, ordinal: u32) -> Vec<String> {
    let yml = support::trust::yml(world, ordinal);
    let rules = yml["postgresql"]["pg_hba"].as_array().unwrap();
    let texts = rules.iter().map(|rule| rule.as_str().unwrap().to_owned());
    texts.filter(|rule| rule.contains('"')).collect()
}

fn let_in(world: &World, ordinal: u32) -> bool {
    rules(world, ordinal) == [r#"host "shop" "relation_id_9" 0.0.0.0/0 md5"#]
}

#[test]
fn users_that_others_made_are_let_in_and_left_alone() {
    let world = deployed(2);
    related(&world, "database:5", &[("database", "shop"), SECRETS]);
    made_by_a_pooler(&world, "relation_id_9");
    for ordinal in 0..2 {
        assert!(!let_in(&world, ordinal));
        // The unit's own watcher has seen another user.
        assert_eq!(world.hook(ordinal, &notice()), Outcome::Done);
        assert!(let_in(&world, ordinal), "unit {ordinal}");
    }
    world.settle();
    // A leader that looks at all relations takes it for none of theirs.
    world.with(|state| state.leader = 1);
    assert_eq!(world.hook(1, &Event::LeaderElected), Outcome::Done);
    assert_eq!(world.client_users(), ["relation_id_5", "relation_id_9"]);
    world.unrelate("database:5");
    assert_eq!(world.client_users(), ["relation_id_9"]);
    // What cannot be seen stays as it was.
    world.with(|state| state.database_away = true);
    assert_eq!(world.hook(0, &Event::UpdateStatus), Outcome::Done);
    assert!(let_in(&world, 0));
    world.with(|state| {
        state.database_away = false;
        state.roles.remove("relation_id_9");
    });
    assert_eq!(world.hook(0, &notice()), Outcome::Done);
    assert!(!let_in(&world, 0));
}

#[test]
fn who_makes_users_without_end_makes_no_endless_configuration() {
    let world = deployed(1);
    related(&world, "database:5", &[("database", "shop"), SECRETS]);
    for n in 0..1200 {
        made_by_a_pooler(&world, &format!("user_{n:04}"));
    }
    assert_eq!(world.hook(0, &notice()), Outcome::Done);
    assert_eq!(rules(&world, 0).len(), 1000);
    world.settle();
    assert_eq!(world.status(0), ("active".into(), "Primary".into()));
}
