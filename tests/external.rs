//! Clients that ask for the way in from outside Kubernetes: ports of the nodes, as long as one asks.

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
use postgresql_k8s::observe::tls::SERVER;
use support::Provider;
use support::related::*;
use support::trust::{leaf, settle_with};
use support::{KubeFault, Outcome, World, notice, peers_changed};

const OUTSIDE: (&str, &str) = ("external-node-connectivity", "true");
const NAMES: [&str; 2] = [
    "postgresql-k8s-primary-external",
    "postgresql-k8s-replicas-external",
];

fn standing(world: &World) -> Vec<String> {
    world.with(|state| {
        let names = state.services.keys();
        let outer = names.filter(|name| name.ends_with("-external"));
        outer.cloned().collect()
    })
}

fn hook(world: &World) {
    assert_eq!(world.hook(0, &Event::UpdateStatus), Outcome::Done);
}

#[test]
fn a_client_that_asks_is_told_ports_of_the_nodes_and_others_are_not() {
    let world = deployed(3);
    related(&world, "database:4", &[("database", "inner"), SECRETS]);
    assert_eq!(standing(&world), [""; 0]);
    related(
        &world,
        "database:5",
        &[("database", "shop"), SECRETS, OUTSIDE],
    );
    let told = world.told("database:5");
    assert_eq!(
        told["endpoints"],
        "192.0.2.0:30001,192.0.2.1:30001,192.0.2.2:30001"
    );
    assert_eq!(
        told["read-only-endpoints"],
        "192.0.2.0:30002,192.0.2.1:30002,192.0.2.2:30002"
    );
    let secret = world.secret("database.5.user.secret");
    for (uri, endpoints) in [
        ("uris", "endpoints"),
        ("read-only-uris", "read-only-endpoints"),
    ] {
        let wanted = format!("@{}/shop", told[endpoints]);
        assert!(secret[uri].ends_with(&wanted), "{}", secret[uri]);
    }
    assert_eq!(standing(&world), NAMES);
    assert!(world.told("database:4")["endpoints"].ends_with(".svc.cluster.local:5432"));
    world.with(|state| {
        for name in NAMES {
            let inner = &state.services[name.trim_end_matches("-external")];
            let outer = state.services[name].spec.as_ref().unwrap();
            assert_eq!(outer.type_.as_deref(), Some("NodePort"));
            assert_eq!(outer.selector, inner.spec.as_ref().unwrap().selector);
            let ports: Vec<i32> = outer.ports.iter().flatten().map(|p| p.port).collect();
            assert_eq!(ports, [5432], "Patroni is nobody's outside");
        }
    });
    world.settle();
    assert_eq!(world.status(0), ("active".into(), "Primary".into()));
}

#[test]
fn a_request_of_v1_may_ask_beside_one_that_does_not() {
    let world = deployed(1);
    let request = |id: &str, external: bool| {
        format!(
            r#"{{"resource": "d{id}", "request-id": "{id}", "salt": "s",
                "external-node-connectivity": {external}}}"#
        )
    };
    let (inner, outer) = (request("a", false), request("b", true));
    related(
        &world,
        "database:5",
        &[
            ("version", "v1"),
            ("requests", &format!("[{inner},{outer}]")),
        ],
    );
    let told = &world.told("database:5")["requests"];
    let told: serde_json::Value = serde_json::from_str(told).unwrap();
    let endpoints = |n: usize| told[n]["endpoints"].as_str().unwrap().to_owned();
    assert!(endpoints(0).ends_with(".svc.cluster.local:5432"));
    assert_eq!(endpoints(1), "192.0.2.0:30001");
    assert_eq!(
        told[1]["read-only-endpoints"], told[1]["endpoints"],
        "there is no replica"
    );
}

#[test]
fn the_way_in_goes_with_the_last_client_that_asks() {
    let world = deployed(1);
    related(&world, "database:5", &[("database", "shop"), OUTSIDE]);
    related(&world, "database:6", &[("database", "till"), OUTSIDE]);
    world.settle();
    world.unrelate("database:5");
    assert_eq!(standing(&world), NAMES);
    // It may also change its mind.
    world.with(|state| {
        let theirs = &mut state
            .clients
            .relations
            .get_mut("database:6")
            .unwrap()
            .theirs;
        theirs.insert(OUTSIDE.0.into(), "false".into());
    });
    assert_eq!(world.hook(0, &world.changed("database:6")), Outcome::Done);
    assert_eq!(standing(&world), [""; 0]);
    assert!(world.told("database:6")["endpoints"].ends_with(".svc.cluster.local:5432"));
    world.settle();
    assert!(world.with(|state| state.app_bag.keys().all(|key| !key.starts_with("external"))));
}

#[test]
fn the_nodes_are_followed_and_the_ports_stay() {
    let world = deployed(2);
    related(&world, "database:5", &[("database", "shop"), OUTSIDE]);
    let endpoints = || world.told("database:5")["endpoints"].clone();
    assert_eq!(endpoints(), "192.0.2.0:30001,192.0.2.1:30001");
    // Its node is gone.
    world.with(|state| state.nodes.remove(&1));
    hook(&world);
    assert_eq!(endpoints(), "192.0.2.0:30001");
    world.with(|state| state.nodes.insert(1, "192.0.2.0".into()));
    hook(&world);
    assert_eq!(endpoints(), "192.0.2.0:30001", "each node once");
    world.with(|state| state.nodes.insert(1, "192.0.2.77".into()));
    hook(&world);
    assert_eq!(endpoints(), "192.0.2.0:30001,192.0.2.77:30001");
    // Somebody changes what a Service leads to.
    world.with(|state| {
        let spec = state.services.get_mut(NAMES[0]).unwrap().spec.as_mut();
        spec.unwrap().selector = None;
    });
    hook(&world);
    assert_eq!(endpoints(), "192.0.2.0:30001,192.0.2.77:30001");
    assert!(world.with(|s| {
        s.services[NAMES[0]]
            .spec
            .as_ref()
            .unwrap()
            .selector
            .is_some()
    }));
}

#[test]
fn deleted_services_are_made_again_and_the_clients_told() {
    let world = deployed(1);
    related(&world, "database:5", &[("database", "shop"), OUTSIDE]);
    world.settle();
    for name in NAMES {
        let command = world.with(|state| {
            let checks = &state.unit(0).layer.checks;
            checks["services"].exec.as_ref().unwrap().command.clone()
        });
        assert!(command.contains(name), "its end is noticed: {command}");
        world.with(|state| state.services.remove(name));
    }
    hook(&world);
    assert_eq!(standing(&world), NAMES);
    assert_eq!(world.told("database:5")["endpoints"], "192.0.2.0:30003");
    assert_eq!(world.hook(0, &Event::UpdateStatus), Outcome::Done);
    let effects: Vec<String> = world.with(|state| state.effects.drain(..).collect());
    assert_eq!(
        effects,
        ["status-set", "status-set"],
        "a repeated hook changes nothing"
    );
}

#[test]
fn until_there_are_ports_that_client_alone_waits_and_is_tried_again() {
    let world = deployed(1);
    world.with(|state| state.no_node_ports = true);
    related(&world, "database:5", &[("database", "shop"), OUTSIDE]);
    related(&world, "database:6", &[("database", "till"), SECRETS]);
    assert!(!world.told("database:5").contains_key("endpoints"));
    assert!(
        !world.told("database:5").contains_key("status"),
        "nothing is wrong"
    );
    assert!(world.told("database:6").contains_key("endpoints"));
    let (word, message) = world.status(0);
    assert_eq!(word, "waiting");
    assert_eq!(
        message,
        "relation database:5 waits: the primary Service has no port on the nodes yet"
    );
    hook(&world);
    assert!(
        world.with(|state| state.unit(0).timer),
        "nobody tells of it"
    );
    assert_eq!(world.status(0).0, "waiting");
    world.with(|state| {
        state.no_node_ports = false;
        for name in NAMES {
            let mut service = state.services.remove(name).unwrap();
            state.give_port(name, &mut service);
            state.services.insert(name.into(), service);
        }
    });
    assert_eq!(world.hook(0, &notice()), Outcome::Done);
    assert_eq!(world.told("database:5")["endpoints"], "192.0.2.0:30001");
    world.settle();
    assert_eq!(world.status(0).0, "active");
}

#[test]
fn while_the_api_fails_a_served_client_keeps_what_it_has() {
    let world = deployed(1);
    related(&world, "database:5", &[("database", "shop"), OUTSIDE]);
    let told = world.told("database:5");
    for fault in [KubeFault::Internal, KubeFault::Silent, KubeFault::Forbidden] {
        world.with(|state| state.kube_fault = Some(fault));
        hook(&world);
        assert_eq!(world.told("database:5"), told);
        assert_eq!(world.client_users(), ["relation_id_5"]);
    }
    world.with(|state| state.kube_fault = None);
    hook(&world);
    assert_eq!(world.told("database:5"), told);
    world.settle();
    assert_eq!(world.status(0).0, "active");
}

#[test]
fn a_new_leader_keeps_the_way_in_that_is_asked_for_and_removes_what_is_not() {
    let world = deployed(3);
    related(&world, "database:5", &[("database", "shop"), OUTSIDE]);
    let told = world.told("database:5");
    world.with(|state| state.leader = 1);
    assert_eq!(world.hook(1, &Event::LeaderElected), Outcome::Done);
    assert_eq!(standing(&world), NAMES);
    assert_eq!(world.told("database:5"), told);
    // The relation goes while nobody runs a hook as leader.
    world.forget_relation("database:5");
    world.with(|state| state.leader = 2);
    assert_eq!(world.hook(2, &Event::LeaderElected), Outcome::Done);
    assert_eq!(standing(&world), [""; 0]);
}

#[test]
fn a_process_that_dies_after_any_effect_leaves_what_the_next_hooks_complete() {
    for effect in 1.. {
        let world = deployed(1);
        world.relate("database:5", "app", &[("database", "shop"), OUTSIDE]);
        world.with(|state| state.dies_after = Some(effect));
        let died = world.hook(0, &world.changed("database:5")) == Outcome::Died;
        world.with(|state| state.dies_after = None);
        assert_eq!(world.hook(0, &world.changed("database:5")), Outcome::Done);
        assert_eq!(world.told("database:5")["endpoints"], "192.0.2.0:30001");
        world.settle();
        world.with(|state| state.dies_after = Some(effect));
        let broken = Event::RelationBroken(world.relation_event("database:5"));
        let died_again = world.hook(0, &broken) == Outcome::Died;
        world.with(|state| state.dies_after = None);
        world.unrelate("database:5");
        assert_eq!(standing(&world), [""; 0], "effect {effect}");
        world.settle();
        assert!(!world.with(|state| state.app_bag.contains_key("external-nodes")));
        if !died && !died_again {
            break;
        }
    }
}

#[test]
fn a_malformed_wish_is_told_for_that_relation_alone() {
    let world = deployed(1);
    let wrong = ("external-node-connectivity", "maybe");
    related(&world, "database:5", &[("database", "shop"), wrong]);
    related(&world, "database:6", &[("database", "till"), OUTSIDE]);
    assert!(world.told("database:5")["status"].contains("external-node-connectivity"));
    assert!(world.told("database:6").contains_key("endpoints"));
    let (word, message) = world.status(0);
    assert_eq!(word, "blocked");
    assert!(
        message.contains("database:5") && message.contains("true or false"),
        "{message}"
    );
}

#[test]
fn where_nobody_asks_no_hook_looks_for_it() {
    let world = deployed(1);
    related(&world, "database:5", &[("database", "shop")]);
    world.with(|state| state.service_looks.clear());
    for event in [Event::UpdateStatus, notice(), world.changed("database:5")] {
        assert_eq!(world.hook(0, &event), Outcome::Done);
    }
    let outer = |name: &String| name.ends_with("-external");
    assert!(!world.with(|state| state.service_looks.iter().any(outer)));
}

#[test]
fn certificates_are_for_the_nodes_while_clients_come_by_them() {
    let world = support::trust::deployed(3);
    let provider = Provider::new("ca");
    support::trust::related(&world, "certificates:1", &provider);
    let names = |ordinal| leaf(&world, ordinal, SERVER).names;
    assert!(!names(0).contains("192.0.2.0"));
    related(&world, "database:5", &[("database", "shop"), OUTSIDE]);
    settle_with(&world, &provider);
    for ordinal in 0..3 {
        for node in ["192.0.2.0", "192.0.2.1", "192.0.2.2"] {
            assert!(names(ordinal).contains(node), "{:?}", names(ordinal));
        }
    }
    // A pod that restarts is no reason for new ones.
    let before = world.with(|state| state.tls.requests.clone());
    let node = world.with(|state| state.nodes.remove(&2));
    settle_with(&world, &provider);
    assert_eq!(world.with(|state| state.tls.requests.clone()), before);
    world.with(|state| state.nodes.insert(2, node.unwrap()));
    settle_with(&world, &provider);
    assert_eq!(world.with(|state| state.tls.requests.clone()), before);
    world.unrelate("database:5");
    settle_with(&world, &provider);
    for ordinal in 0..3 {
        assert!(
            !names(ordinal).contains("192.0.2.0"),
            "{:?}",
            names(ordinal)
        );
    }
    support::trust::assert_undisturbed(&world);
}
