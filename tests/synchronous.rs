//! A standby that comes and goes before Patroni's key has it: commits wait for it, and Patroni would
//! leave it so.

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
use juju::{CheckEvent, Event};
use support::{KubeFault, Outcome, World, notice};

/// Three units that stand.
fn stands() -> World {
    let world = World::of(3);
    world.come_up();
    world
}

/// The third one's PostgreSQL goes, and came for a moment since.
fn came_and_went() -> World {
    let world = stands();
    world.with(|state| {
        state.unit(2).postgres_runs = false;
        state.unit(2).service = ServiceState::Inactive;
        state.let_patroni_work();
        state.come_and_go(2);
        assert!(!takes_writes(state), "commits wait for the one that went");
    });
    world
}

fn takes_writes(state: &mut support::State) -> bool {
    let before = state.acknowledged;
    state.write();
    state.acknowledged > before
}

#[test]
fn patroni_is_reminded_and_writes_go_on() {
    let world = came_and_went();
    assert_eq!(world.hook(0, &notice()), Outcome::Done);
    let (word, message) = world.with(|state| state.app_status.clone());
    assert_eq!(word, "waiting");
    let told = "writes wait for a standby that has gone: Patroni is told";
    assert_eq!(message, told);
    world.with(|state| {
        assert!(state.unit(0).timer, "somebody looks again");
        state.let_patroni_work();
        assert!(takes_writes(state));
    });
    assert_eq!(world.hook(0, &notice()), Outcome::Done);
    let (_, message) = world.with(|state| state.app_status.clone());
    assert_eq!(message, "commits wait for 1 of 2 standbys");
}

#[test]
fn a_standby_that_comes_and_goes_between_two_looks_of_the_watcher_is_looked_after_again() {
    let world = stands();
    world.with(|state| {
        state.unit(2).postgres_runs = false;
        state.unit(2).service = ServiceState::Inactive;
        state.let_patroni_work();
    });
    assert_eq!(world.hook(0, &notice()), Outcome::Done);
    world.with(|state| {
        state.unit(0).timer = false;
        state.unit(2).postgres_runs = true;
        state.unit(2).service = ServiceState::Active;
    });
    // Whatever runs a hook just then.
    assert_eq!(world.hook(0, &notice()), Outcome::Done);
    world.with(|state| {
        let announced = state.unit(0).bag.get("member").cloned();
        let announced = announced.unwrap_or_default();
        assert!(announced.contains("2 stream"), "{announced}");
        state.unit(2).postgres_runs = false;
        assert!(
            state.unit(0).timer,
            "somebody looks again, of its own accord"
        );
    });
    assert_eq!(world.hook(0, &notice()), Outcome::Done);
    let announced = world.with(|state| state.unit(0).bag.get("member").cloned());
    assert!(announced.unwrap_or_default().contains("1 stream"));
}

#[test]
fn patroni_is_reminded_once() {
    let world = came_and_went();
    for reminds in [true, false] {
        assert_eq!(world.hook(0, &notice()), Outcome::Done);
        let effects = world.with(|state| state.effects.clone());
        assert_eq!(effects.contains(&"remind Patroni".to_owned()), reminds);
    }
}

#[test]
fn a_unit_that_was_removed_is_forgotten_too() {
    let world = stands();
    world.with(|state| state.come_and_go(3));
    assert_eq!(world.hook(0, &notice()), Outcome::Done);
    world.with(|state| {
        assert!(state.unit(0).timer, "somebody looks again");
        state.let_patroni_work();
        assert!(takes_writes(state));
    });
}

#[test]
fn without_the_kubernetes_api_it_is_left_for_later() {
    let world = came_and_went();
    world.with(|state| state.kube_fault = Some(KubeFault::Internal));
    assert_eq!(world.hook(0, &notice()), Outcome::Done);
    world.with(|state| {
        assert!(!state.reminded);
        assert!(state.unit(0).timer, "somebody looks again");
        state.kube_fault = None;
    });
    assert_eq!(world.hook(0, &notice()), Outcome::Done);
    world.with(|state| assert!(state.reminded));
}

#[test]
fn where_only_units_that_were_removed_may_lead_it_says_who_had_the_newest_data_and_what_to_do() {
    let world = stands();
    world.with(|state| {
        state.promote(2);
        state.units.remove(&2);
        state.units.remove(&1);
        state.unit(0).joined.clear();
        state.holder = None;
        state.let_patroni_work();
        assert_eq!(state.holder, None, "Patroni promotes nobody");
    });
    // Also by a hook that asks no database.
    let recovered = Event::PebbleCheckRecovered(CheckEvent::default());
    assert_eq!(world.hook(0, &recovered), Outcome::Done);
    let (word, message) = world.status(0);
    assert_eq!(word, "blocked", "{message}");
    let who = "no unit can become primary, postgresql-k8s/2 had the newest data";
    assert!(message.starts_with(who), "{message}");
    let (word, _) = world.with(|state| state.app_status.clone());
    assert_eq!(word, "blocked");
    assert!(
        world.with(|state| state.unit(0).timer),
        "somebody looks again"
    );
    // With its volume, that is; or an operator promotes unit 0.
    world.with(|state| state.promote(0));
    world.settle();
    assert_eq!(world.status(0), ("active".to_owned(), "Primary".to_owned()));
}
