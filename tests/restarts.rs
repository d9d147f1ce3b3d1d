//! Restarts that parameters wait for: their order, and what keeps them back.

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
use serde_json::json;
use support::{Outcome, World};

const CONNECTIONS: &str = "experimental_max_connections";

fn deployed(units: u32) -> World {
    let world = World::of(units);
    world.come_up();
    world
}

fn assert_stands(world: &World, units: u32) {
    for ordinal in 0..units {
        assert_eq!(world.status(ordinal).0, "active", "{ordinal}");
    }
}

#[test]
fn a_raised_parameter_keeps_the_primary_back_until_each_standby_runs_with_it() {
    let world = deployed(3);
    world.with(|state| {
        state.config.insert(CONNECTIONS.into(), json!(150));
        for unit in state.units.values_mut() {
            unit.settings.insert("max_connections".into(), 100);
        }
    });
    assert_eq!(world.hook(0, &Event::ConfigChanged), Outcome::Done);
    // The primary says so first.
    world.with(|state| state.unit(0).pending_restart = true);
    world.settle();
    assert!(world.with(|state| state.restarts.is_empty()));
    world.with(|state| {
        for unit in state.units.values_mut() {
            unit.pending_restart = true;
        }
    });
    world.settle();
    assert_eq!(world.with(|state| state.restarts.clone()), [1, 2, 0]);
    assert_stands(&world, 3);
}

#[test]
fn a_restart_that_fails_ends_the_round_until_the_options_change() {
    let world = deployed(3);
    world.with(|state| {
        for unit in state.units.values_mut() {
            unit.pending_restart = true;
        }
        state.unit(0).fails_to_restart = true;
    });
    world.settle();
    assert_eq!(world.with(|state| state.restarts.clone()), [1, 2, 0]);
    // Another leads since, and waits for a restart too.
    world.with(|state| {
        assert_ne!(state.holder, Some(0));
        for unit in state.units.values_mut() {
            unit.pending_restart = true;
        }
    });
    world.settle();
    for event in [Event::UpdateStatus, Event::ConfigChanged] {
        assert_eq!(world.hook(0, &event), Outcome::Done);
    }
    assert_eq!(world.with(|state| state.restarts.clone()), [1, 2, 0]);
    let (word, message) = world.status(0);
    assert_eq!(word, "blocked");
    let says = "restart of postgresql-k8s/0 failed";
    assert!(message.contains(says), "{message}");
    world.with(|state| {
        state.unit(0).fails_to_restart = false;
        state.config.insert("memory_work_mem".into(), json!(8192));
    });
    world.settle();
    assert!(world.with(|state| state.restarts.len()) >= 6);
    assert_stands(&world, 3);
}

#[test]
fn prepared_transactions_that_the_primary_would_not_start_with_keep_restarts_back() {
    let world = deployed(3);
    world.with(|state| {
        state.prepared = 1;
        for unit in state.units.values_mut() {
            unit.pending_restart = true;
        }
    });
    world.settle();
    assert!(world.with(|state| state.restarts.is_empty()));
    let (word, message) = world.status(0);
    assert_eq!(word, "blocked");
    let says = "memory_max_prepared_transactions=0 waits: end 1 prepared";
    assert!(message.contains(says), "{message}");
    world.with(|state| state.prepared = 0);
    world.settle();
    assert_eq!(world.hook(0, &Event::UpdateStatus), Outcome::Done);
    world.settle();
    assert_eq!(world.with(|state| state.restarts.clone()), [1, 2, 0]);
    assert_stands(&world, 3);
}

#[test]
fn a_server_that_does_not_start_says_why_and_takes_changed_options_without_a_primary() {
    let world = deployed(1);
    world.with(|state| {
        state.unit(0).postgres_runs = false;
        state.holder = None;
        state.unit(0).log =
            "2026-11-30 23:00:01 UTC [7]: user=,db=,line=1 FATAL:  XX000: too many backends\n"
                .into();
        state.config.insert(CONNECTIONS.into(), json!(77));
    });
    assert_eq!(world.hook(0, &Event::ConfigChanged), Outcome::Done);
    let (word, message) = world.status(0);
    assert_eq!(word, "blocked");
    assert_eq!(message, "PostgreSQL does not start: too many backends");
    world.with(|state| {
        let parameters = &state.dynamic["postgresql"]["parameters"];
        assert_eq!(parameters["max_connections"], 77);
    });
    world.settle();
    assert_eq!(world.hook(0, &Event::UpdateStatus), Outcome::Done);
    assert_eq!(world.status(0).0, "active");
}

#[test]
fn a_parameter_that_is_lowered_alone_restarts_the_primary_first_and_each_standby_once() {
    let world = deployed(3);
    world.with(|state| {
        state.lowered = true;
        for unit in state.units.values_mut() {
            unit.settings.insert("max_connections".into(), 200);
            unit.pending_restart = true;
        }
    });
    world.settle();
    assert_eq!(world.with(|state| state.restarts.clone()), [0, 1, 2]);
    assert_stands(&world, 3);
}
