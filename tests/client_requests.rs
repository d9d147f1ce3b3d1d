//! What clients ask for: shapes of request, those that are refused, and the legacy interface.

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
use proptest::prelude::*;
use support::related::*;
use support::{
    KubeFault, Outcome, World, notice, pebble_ready, peers, peers_changed, peers_created,
};

#[test]
fn a_bad_request_is_told_and_stops_nobody() {
    let world = deployed(1);
    for (asks, says) in [
        (
            vec![("database", "x\"; DROP ROLE operator; --")],
            "invalid database name",
        ),
        (
            vec![
                ("database", "shop"),
                ("extra-user-roles", "no_such, operator"),
            ],
            "invalid role(s) for extra user roles",
        ),
        (
            vec![("database", "relation_access")],
            "invalid database name",
        ),
        (
            vec![("version", "v1"), ("requests", "{")],
            "relation database:4: requests is not a JSON list",
        ),
    ] {
        let before = world.with(|state| state.clients.statements.len());
        related(&world, "database:4", &asks);
        let (word, message) = world.status(0);
        assert_eq!(word, "blocked");
        assert!(message.starts_with(says), "{message}");
        assert_eq!(
            world.with(|s| s.clients.statements.len()),
            before,
            "nothing is run"
        );
        assert!(world.told("database:4")["status"].contains("5001"));
        related(&world, "database:5", &[("database", "shop"), SECRETS]);
        assert!(world.told("database:5").contains_key("secret-user"));
        // It is still shown by a hook that does not look at it.
        assert_eq!(world.hook(0, &Event::UpdateStatus), Outcome::Done);
        assert_eq!(world.status(0).0, "blocked");
        world.unrelate("database:4");
        world.unrelate("database:5");
        assert_eq!(world.hook(0, &Event::UpdateStatus), Outcome::Done);
        assert_eq!(world.status(0).0, "active");
    }
}

#[test]
fn a_request_that_is_corrected_is_served() {
    let world = deployed(1);
    related(&world, "database:4", &[("database", "no way"), SECRETS]);
    assert_eq!(world.status(0).0, "blocked");
    world.relate("database:4", "app", &[("database", "noway"), SECRETS]);
    assert_eq!(world.hook(0, &world.changed("database:4")), Outcome::Done);
    assert_eq!(world.status(0).0, "active");
    let told = world.told("database:4");
    assert!(told.contains_key("secret-user") && !told.contains_key("status"));
}

#[test]
fn a_request_that_changes_is_told_and_its_client_keeps_what_it_has() {
    let world = deployed(1);
    related(&world, "database:5", &[("database", "shop"), SECRETS]);
    let before = (
        world.secret("database.5.user.secret"),
        world.told("database:5")["data"].clone(),
    );
    for asks in [
        [("database", "till"), SECRETS],
        [("database", "'; --"), SECRETS],
    ] {
        world.with(|s| {
            let relation = s.clients.relations.get_mut("database:5").unwrap();
            relation
                .theirs
                .extend(asks.map(|(k, v)| (k.to_owned(), v.to_owned())));
        });
        assert_eq!(world.hook(0, &world.changed("database:5")), Outcome::Done);
        let (word, message) = world.status(0);
        assert_eq!(word, "blocked");
        assert!(
            message.starts_with("relation database:5: database \""),
            "{message}"
        );
        let now = (
            world.secret("database.5.user.secret"),
            world.told("database:5")["data"].clone(),
        );
        assert_eq!(now, before);
        assert!(!world.with(|s| s.clients.databases.contains_key("till")));
    }
}

#[test]
fn roles_and_attributes_are_granted_as_they_are_asked_for() {
    let world = deployed(1);
    let asks = [
        ("database", "shop"),
        ("extra-user-roles", "Admin,relation_access"),
        SECRETS,
    ];
    related(&world, "database:5", &asks);
    world.with(|state| {
        let role = &state.roles["relation_id_5"];
        assert!(role.createdb && !role.superuser);
        for group in ["admin", "relation_any_database", "shop", "relation_access"] {
            assert!(role.groups.contains(group), "{group}");
        }
        assert!(state.clients.acting.is_empty(), "it would lose its rights");
    });
    related(
        &world,
        "database:6",
        &[
            ("database", "shop"),
            ("extra-user-roles", "SUPERUSER"),
            SECRETS,
        ],
    );
    assert!(world.with(|state| state.roles["relation_id_6"].superuser));
    // Nobody gets to be what the charm, another client or another database's owner is.
    for role in ["operator", "replication", "relation_id_5", "shop"] {
        let asks = [("database", "till"), ("extra-user-roles", role), SECRETS];
        related(&world, "database:7", &asks);
        assert!(
            !world.with(|state| state.roles.contains_key("relation_id_7")),
            "{role}"
        );
        world.unrelate("database:7");
    }
}

#[test]
fn a_user_gets_its_permissions_and_loses_those_that_it_no_longer_asks_for() {
    let world = deployed(1);
    let permissions = |table: &str| {
        format!(
            r#"[{{"resource_name": "{table}", "resource_type": "TABLE", "privileges": ["SELECT"]}}]"#
        )
    };
    let secrets = (SECRETS.0, r#"["entity-name", "entity-password"]"#);
    let (orders, bills) = (permissions("orders"), permissions("bills"));
    let asks = [("database", "shop"), ("entity-type", "USER"), secrets];
    let asks = |table| [asks.as_slice(), &[("entity-permissions", table)]].concat();
    related(&world, "database:5", &asks(&orders));
    let secret = world.secret("database.5.entity.secret");
    assert!(log_in(
        &world,
        &secret["entity-name"],
        &secret["entity-password"]
    ));
    assert!(!world.told("database:5").contains_key("secret-user"));
    let granted = || -> Vec<String> {
        world.with(|s| {
            s.clients
                .grants
                .iter()
                .map(|(_, what)| what.clone())
                .collect()
        })
    };
    assert_eq!(
        granted(),
        ["CONNECT ON DATABASE shop", "SELECT ON TABLE public.orders"]
    );
    assert!(!world.with(|s| s.roles["relation_id_5"].groups.contains("shop")));
    world.with(|state| {
        let relation = state.clients.relations.get_mut("database:5").unwrap();
        relation
            .theirs
            .insert("entity-permissions".into(), bills.clone());
    });
    assert_eq!(world.hook(0, &world.changed("database:5")), Outcome::Done);
    assert_eq!(
        granted(),
        ["CONNECT ON DATABASE shop", "SELECT ON TABLE public.bills"]
    );
    assert_eq!(world.secret("database.5.entity.secret"), secret);
    world.unrelate("database:5");
    assert!(world.client_users().is_empty());
}

#[test]
fn a_group_has_a_name_and_no_password() {
    let world = deployed(1);
    let secrets = (SECRETS.0, r#"["entity-name", "entity-password"]"#);
    let asks = [("database", "shop"), ("entity-type", "GROUP"), secrets];
    related(&world, "database:5", &asks);
    let secret = world.secret("database.5.entity.secret");
    assert_eq!(secret.into_keys().collect::<Vec<_>>(), ["entity-name"]);
    assert!(!world.with(|s| s.roles["relation_id_5"].login));
}

#[test]
fn a_prefix_leads_into_every_database_of_that_name_later_ones_too() {
    let world = deployed(1);
    related(&world, "database:5", &[("database", "shop_a"), SECRETS]);
    let asks = [("database", "shop_*"), ("prefix-matching", "all"), SECRETS];
    related(&world, "database:6", &asks);
    assert_eq!(world.told("database:6")["prefix-databases"], "shop_a");
    related(&world, "database:7", &[("database", "shop_b"), SECRETS]);
    related(&world, "database:8", &[("database", "till"), SECRETS]);
    assert_eq!(
        world.told("database:6")["prefix-databases"],
        "shop_a,shop_b"
    );
    let groups = world.with(|s| s.roles["relation_id_6"].groups.clone());
    assert!(groups.contains("shop_a") && groups.contains("shop_b") && !groups.contains("till"));
    assert!(!world.with(|s| s.clients.databases.contains_key("shop_")));
}

fn legacy(world: &World, id: &str, asks: &[(&str, &str)]) {
    world.relate(id, "app", asks);
    world.with(|state| {
        let relation = state.clients.relations.get_mut(id).unwrap();
        let bag = [("egress-subnets".to_owned(), "10.1.0.9/32".to_owned())].into();
        relation.units.insert("app/0".into(), bag);
    });
    assert_eq!(world.hook(0, &world.changed(id)), Outcome::Done);
}

#[test]
fn a_legacy_client_gets_its_connection_strings_in_both_databags() {
    let world = deployed(3);
    legacy(&world, "db:5", &[("database", "shop")]);
    let told = world.told("db:5");
    assert!(log_in(&world, "relation_id_5", &told["password"]));
    assert_eq!(
        told["master"],
        format!(
            "dbname=shop fallback_application_name=app \
             host=postgresql-k8s-primary.m.svc.cluster.local password={} port=5432 \
             user=relation_id_5",
            told["password"]
        )
    );
    assert!(told["standbys"].contains("host=postgresql-k8s-replicas."));
    assert_eq!(
        (
            told["allowed-units"].as_str(),
            told["allowed-subnets"].as_str()
        ),
        ("app/0", "10.1.0.9/32")
    );
    assert_eq!(
        told["host"],
        "postgresql-k8s-0.postgresql-k8s-endpoints.m.svc.cluster.local"
    );
    let unit = world.with(|s| s.clients.relations["db:5"].units["postgresql-k8s/0"].clone());
    assert_eq!(unit, told);
    assert!(!world.with(|state| state.roles["relation_id_5"].superuser));
    assert_eq!(world.hook(0, &world.changed("db:5")), Outcome::Done);
    assert_eq!(world.told("db:5")["password"], told["password"]);
    legacy(&world, "db-admin:6", &[("database", "shop")]);
    assert!(world.with(|state| state.roles["relation_id_6"].superuser));
    world.unrelate("db:5");
    assert_eq!(world.client_users(), ["relation_id_6"]);
    assert_eq!(world.status(0).0, "active");
}

#[test]
fn a_legacy_client_waits_for_nothing_but_its_unit_in_the_list() {
    let world = deployed(1);
    legacy(&world, "db:5", &[("database", "shop")]);
    world.with(|state| {
        let relation = state.clients.relations.get_mut("db:5").unwrap();
        relation.units.insert("app/1".into(), support::Bag::new());
    });
    assert_eq!(world.hook(0, &world.changed("db:5")), Outcome::Done);
    assert_eq!(world.told("db:5")["allowed-units"], "app/0,app/1");
    assert!(
        !world.told("db:5").contains_key("standbys"),
        "there is none"
    );
    world.with(|state| {
        state
            .clients
            .relations
            .get_mut("db:5")
            .unwrap()
            .units
            .remove("app/0");
    });
    let departed = Event::RelationDeparted(world.relation_event("db:5"));
    assert_eq!(world.hook(0, &departed), Outcome::Done);
    assert_eq!(world.told("db:5")["allowed-units"], "app/1");
}

#[test]
fn extensions_and_roles_of_a_legacy_client_block_with_the_words_that_users_know() {
    for (asks, says) in [
        (
            [("database", "shop"), ("extensions", "citext")],
            "relation db:5: extensions requested through relation",
        ),
        (
            [("database", "shop"), ("roles", "reader")],
            "relation db:5: roles requested through relation, use postgresql_client interface \
             instead",
        ),
    ] {
        let world = deployed(1);
        legacy(&world, "db:5", &asks);
        assert_eq!(world.status(0), ("blocked".into(), says.into()));
        assert!(world.told("db:5").is_empty());
        assert!(world.client_users().is_empty());
    }
    let world = deployed(1);
    world.with(|state| {
        state
            .config
            .insert("plugin_citext_enable".into(), true.into());
    });
    legacy(
        &world,
        "db:5",
        &[("database", "shop"), ("extensions", "citext:public")],
    );
    assert_eq!(world.told("db:5")["extensions"], "citext:public");
}

#[test]
fn both_interfaces_at_once_block_and_take_nothing_from_who_is_served() {
    let world = deployed(1);
    related(&world, "database:5", &[("database", "shop"), SECRETS]);
    legacy(&world, "db:6", &[("database", "shop")]);
    let words = "Please choose one endpoint to use. No need to relate all of them simultaneously!";
    assert_eq!(world.status(0), ("blocked".into(), words.into()));
    assert_eq!(world.client_users(), ["relation_id_5"]);
    world.unrelate("db:6");
    assert_eq!(world.status(0).0, "active");
    legacy(&world, "db:7", &[("database", "shop")]);
    world.unrelate("database:5");
    assert_eq!(world.status(0).0, "active");
    assert_eq!(world.client_users(), ["relation_id_7"]);
}

fn nasty() -> impl Strategy<Value = String> {
    let known = [
        "x\"; DROP ROLE operator; --",
        "'; SELECT pg_terminate_backend(1); --",
        "$$; DROP DATABASE shop; $$",
        "\\'; DROP TABLE t; --",
        "operator",
        "postgres",
        "template1",
        "relation_id_5",
        "relation_id_5__2",
        "relation_access",
        "superuser,createdb",
        "../../etc/passwd",
        "secret:9m4e2mr0ui3e8a215n4g",
        "secret://00000000-0000-0000-0000-000000000000/9m4e2mr0ui3e8a215n4g",
        "[[[[[[[[",
        "null",
        "-1",
        "[\"username\", 7]",
        "other",
    ];
    prop_oneof![
        proptest::sample::select(known.to_vec()).prop_map(str::to_owned),
        ".{0,40}",
        "[a-z]{60,80}",
        (1_usize..400).prop_map(|n| "x".repeat(n * 1000)),
    ]
}

fn request() -> impl Strategy<Value = Vec<(String, String)>> {
    let keys = [
        "database",
        "extra-user-roles",
        "extra-group-roles",
        "requested-secrets",
        "entity-type",
        "entity-permissions",
        "prefix-matching",
        "external-node-connectivity",
        "requested-entity-secret",
        "secret-user",
        "secret-mtls",
        "version",
        "requests",
        "data",
        "username",
    ];
    let v1 = (nasty(), nasty(), nasty()).prop_map(|(resource, id, roles)| {
        let list = serde_json::json!([
            {"resource": resource, "request-id": id, "extra-user-roles": roles},
            {"resource": "fine", "request-id": "1", "secret-requested-entity": id},
        ]);
        vec![
            ("version".to_owned(), "v1".to_owned()),
            ("requests".to_owned(), list.to_string()),
        ]
    });
    let v0 = proptest::collection::vec((proptest::sample::select(keys.to_vec()), nasty()), 1..6)
        .prop_map(|pairs| pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect());
    prop_oneof![v1, v0]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever a client writes: the hook ends well, every statement is one that the charm means
    /// (the world knows no others), and nobody else's user, database or credentials are touched.
    #[test]
    fn a_hostile_client_runs_nothing_and_costs_nobody_anything(pairs in request()) {
        let world = deployed(1);
        related(&world, "database:5", &[("database", "shop"), SECRETS]);
        let before = (world.told("database:5"), world.secret("database.5.user.secret"));
        let system = |world: &World| world.with(|state| {
            let roles = state.roles.iter().filter(|(name, _)| !name.starts_with("relation_id_6"));
            let kept: Vec<_> = roles
                .filter(|(name, role)| !role.marked || *name == "shop")
                .filter(|(name, _)| *name != "relation_any_database")
                .map(|(name, role)| (name.clone(), role.clone()))
                .map(|(name, mut role)| {
                    // Each database's owner is one that it can act as.
                    role.groups.remove("fine");
                    (name, role)
                })
                .collect();
            (kept, state.clients.databases.get("shop").cloned())
        });
        let roles = system(&world);
        let asks: Vec<(&str, &str)> = pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        world.relate("database:6", "hostile", &asks);
        let event = world.changed("database:6");
        for _ in 0..2 {
            prop_assert_eq!(world.hook(0, &event), Outcome::Done);
        }
        prop_assert_eq!(system(&world), roles);
        let after = (world.told("database:5"), world.secret("database.5.user.secret"));
        prop_assert_eq!(after, before);
        let (word, message) = world.status(0);
        prop_assert!(message.len() < 400 && !message.chars().any(char::is_control), "{}", message);
        prop_assert!(word == "active" || message.contains("database:6") || message.starts_with("invalid "), "{} {}", word, message);
        world.unrelate("database:6");
        prop_assert_eq!(world.client_users(), ["relation_id_5"]);
        prop_assert_eq!(world.status(0), ("active".into(), "Primary".into()));
    }
}
