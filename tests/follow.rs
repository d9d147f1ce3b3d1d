//! A standby that comes back when the primary has removed the WAL that it needs.

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
use support::{Outcome, World, notice};

/// Three units, whose third one was away while WAL was removed, and runs again.
fn back_too_late() -> World {
    let world = World::of(3);
    world.come_up();
    world.with(|state| {
        state.write();
        state.unit(2).postgres_runs = false;
        state.unit(2).service = ServiceState::Inactive;
        state.write();
        state.remove_wal();
        state.unit(2).service = ServiceState::Active;
        state.let_patroni_work();
        assert!(state.cannot_follow(2));
    });
    world
}

#[test]
fn it_takes_a_new_copy_of_the_primarys_data_and_follows() {
    let world = back_too_late();
    assert_eq!(world.hook(2, &notice()), Outcome::Done);
    let (word, message) = world.status(2);
    assert_eq!(word, "waiting");
    assert_eq!(message, "taking a new copy of the primary's data");
    world.settle();
    world.with(|state| {
        assert_eq!(state.reinitialised, [2]);
        assert!(!state.cannot_follow(2));
    });
    assert_eq!(world.status(2), ("active".to_owned(), String::new()));
}

#[test]
fn it_keeps_its_data_while_no_primary_runs() {
    let world = back_too_late();
    world.with(|state| {
        for ordinal in [0, 1] {
            state.unit(ordinal).service = ServiceState::Inactive;
            state.unit(ordinal).postgres_runs = false;
        }
        state.holder = None;
    });
    assert_eq!(world.hook(2, &notice()), Outcome::Done);
    world.with(|state| assert!(state.reinitialised.is_empty()));
}
