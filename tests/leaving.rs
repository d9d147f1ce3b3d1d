//! Units that go: nobody else's hook fails by it, nobody takes them for lost before they are, and none of
//! those that stay waits for them.

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

use cluster_plan::observed::ServiceState;
use juju::{Event, RelationEvent};
use postgresql_k8s::handlers::refresh;
use serde_json::json;
use support::{APP, Outcome, World, changed_by, notice, peers, peers_changed};

fn stands(units: u32) -> World {
    let world = World::of(units);
    world.come_up();
    world
}

fn departed(ordinal: u32) -> Event {
    Event::RelationDeparted(RelationEvent {
        departing_unit: Some(format!("{APP}/{ordinal}")),
        ..peers()
    })
}

fn takes_writes(world: &World) -> bool {
    world.with(|state| {
        let before = state.acknowledged;
        state.write();
        state.acknowledged > before
    })
}

/// Units 1, the leader, and 2, the primary, are removed; 0 has been promoted. Their pods are there still.
fn two_of_three_go() -> World {
    let world = stands(3);
    world.with(|state| {
        state.leader = 1;
        state.promote(2);
        state.let_patroni_work();
        for ordinal in [1, 2] {
            state.unit(ordinal).dying = true;
        }
        state.synchronous.remove(&1);
        state.unit(2).service = ServiceState::Inactive;
        state.let_patroni_work();
        assert_eq!(state.holder, Some(0));
    });
    world
}

#[test]
fn the_last_unit_takes_writes_before_juju_has_made_it_the_leader() {
    let world = two_of_three_go();
    world.with(|state| {
        state.unit(1).service = ServiceState::Inactive;
        state.let_patroni_work();
    });
    assert!(!takes_writes(&world), "commits wait for a standby");
    assert_eq!(world.hook(0, &notice()), Outcome::Done);
    world.with(|state| assert_eq!(state.dynamic["synchronous_mode"], json!(false)));
}

#[test]
fn the_last_unit_does_not_acknowledge_alone_while_another_may_come_back() {
    let world = two_of_three_go();
    let synchronous = |world: &World| world.with(|state| state.dynamic["synchronous_mode"].clone());
    for event in [notice(), departed(2)] {
        assert_eq!(world.hook(0, &event), Outcome::Done);
        assert_eq!(synchronous(&world), json!(true), "{event:?}");
    }
    assert!(
        world.with(|state| state.unit(0).timer),
        "nobody tells when it has ended"
    );
}

#[test]
fn a_unit_that_does_not_know_who_there_is_acknowledges_nothing_alone() {
    let world = two_of_three_go();
    world.with(|state| {
        state.unit(1).service = ServiceState::Inactive;
        state.let_patroni_work();
        state.uncounted = true;
    });
    for leader in [1, 0] {
        world.with(|state| state.leader = leader);
        assert_eq!(world.hook(0, &notice()), Outcome::Done);
        world.with(|state| assert_eq!(state.dynamic["synchronous_mode"], json!(true)));
    }
}

#[test]
fn a_unit_alone_among_wanted_ones_acknowledges_nothing_alone() {
    let world = stands(3);
    world.with(|state| {
        for ordinal in [1, 2] {
            state.unit(ordinal).service = ServiceState::Inactive;
        }
        state.leader = 1;
        state.let_patroni_work();
    });
    assert_eq!(world.hook(0, &notice()), Outcome::Done);
    world.with(|state| assert_eq!(state.dynamic["synchronous_mode"], json!(true)));
}

#[test]
fn no_hook_fails_while_juju_tells_of_no_units() {
    let world = stands(3);
    world.with(|state| {
        state.relations.insert("ldap".into());
        state.uncounted = true;
    });
    let before = world.with(|state| (state.dynamic.clone(), state.app_bag.clone()));
    for ordinal in 0..3 {
        for event in [
            notice(),
            peers_changed(),
            departed(7),
            Event::ConfigChanged,
            Event::UpdateStatus,
            Event::LeaderElected,
        ] {
            assert_eq!(world.hook(ordinal, &event), Outcome::Done, "{event:?}");
        }
    }
    let after = world.with(|state| (state.dynamic.clone(), state.app_bag.clone()));
    assert_eq!(after, before, "what was known last counts");
    let (word, message) = world.status(0);
    assert_eq!(word, "blocked", "relations are still known: {message}");
}

#[test]
fn a_pod_without_a_unit_holds_nothing_up() {
    let world = stands(3);
    world.with(|state| {
        state.strays.insert(3);
    });
    let before = world.with(|state| (state.dynamic.clone(), state.app_bag.clone()));
    assert_eq!(world.hook(0, &Event::UpdateStatus), Outcome::Done);
    let after = world.with(|state| (state.dynamic.clone(), state.app_bag.clone()));
    assert_eq!(after, before, "it is no member");
    let status = world.with(|state| state.app_status.clone());
    assert_eq!(status.1, "commits wait for 2 standbys");
    world
        .action(0, refresh::pre_upgrade_check)
        .expect("the check goes by units");
    world.with(|state| {
        assert_eq!(state.partition, 2);
        state.template = "rev-2".into();
        state.unit(2).template = "rev-2".into();
    });
    assert_eq!(world.hook(0, &notice()), Outcome::Done);
    let (_, message) = world.with(|state| state.app_status.clone());
    let pod = format!("pod {APP}-3 has no unit in Juju");
    assert!(message.contains(&pod), "{message}");
    assert!(!message.contains(&format!("{APP}/3")), "{message}");
    assert!(message.contains("to go on run resume-upgrade"), "{message}");
    let resumed = world.action(0, refresh::resume_upgrade);
    assert!(resumed.is_ok(), "{resumed:?}");
}

/// Unit 1 alone may lead, and its member is away.
fn only_unit_1_may_lead() -> World {
    let world = stands(2);
    world.with(|state| {
        state.promote(1);
        state.unit(1).service = ServiceState::Inactive;
        state.unit(1).postgres_runs = false;
        state.let_patroni_work();
        assert_eq!(state.holder, None);
    });
    world
}

fn told_to_go_on_without(world: &World) -> bool {
    assert_eq!(world.hook(0, &notice()), Outcome::Done);
    world.status(0).1.contains("or go on without")
}

#[test]
fn a_unit_that_anybody_knows_is_not_gone() {
    let world = only_unit_1_may_lead();
    assert!(!told_to_go_on_without(&world));
    world.with(|state| state.unit(0).joined.clear());
    assert!(!told_to_go_on_without(&world), "it has not joined yet");
    world.with(|state| state.unit(1).dying = true);
    assert!(!told_to_go_on_without(&world), "it is on its way out");
    world.with(|state| {
        state.units.remove(&1);
        state.strays.insert(1);
    });
    assert!(!told_to_go_on_without(&world), "its pod is there");
    world.with(|state| {
        state.strays.clear();
        state.uncounted = true;
    });
    assert!(!told_to_go_on_without(&world), "Juju has not told");
    world.with(|state| state.uncounted = false);
    assert!(told_to_go_on_without(&world), "now it is gone");
}

#[test]
fn a_primary_that_leaves_counts_on_a_unit_that_has_not_joined_yet() {
    let world = stands(2);
    world.with(|state| {
        state.promote(1);
        state.let_patroni_work();
        let leaves = state.unit(1);
        leaves.dying = true;
        leaves.joined.clear();
    });
    let detaching = Event::StorageDetaching(juju::StorageEvent::default());
    assert_eq!(world.hook(1, &detaching), Outcome::Done);
    world.with(|state| {
        state.let_patroni_work();
        assert_eq!(state.holder, Some(0), "the other one leads");
    });
}
