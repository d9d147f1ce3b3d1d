//! The disk guard: a volume that fills is told early, the database only reads before it is full,
//! and takes writes again by itself.

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
use serde_json::{Value, json};
use support::{Outcome, World, notice, peers_changed};

fn cluster() -> World {
    let world = World::of(3);
    world.come_up();
    world
}

/// The unit's volume is so full; its check wakes it, and what it tells wakes the others.
fn fill(world: &World, ordinal: u32, percent: u8) {
    world.with(|state| state.unit(ordinal).disk_used = percent);
    let event = Event::PebbleCheckFailed(CheckEvent::default());
    assert_eq!(world.hook(ordinal, &event), Outcome::Done);
    world.settle();
}

fn read_only(world: &World) -> bool {
    world.with(|state| {
        state.dynamic["postgresql"]["parameters"]["default_transaction_read_only"] == "on"
    })
}

#[test]
fn a_volume_that_fills_is_told_with_what_fills_it_before_anything_is_done() {
    let world = cluster();
    fill(&world, 1, 87);
    let (word, message) = world.status(1);
    assert_eq!(word, "active");
    for part in [
        "87 % full",
        "7 MB WAL",
        "temporary files",
        "slot old holds 640 MB",
    ] {
        assert!(message.contains(part), "{message}");
    }
    let (word, message) = world.with(|state| state.app_status.clone());
    assert_eq!(word, "active");
    assert_eq!(
        message,
        "commits wait for 2 standbys, storage of postgresql-k8s/1 is 87 % full"
    );
    assert!(!read_only(&world));
    fill(&world, 1, 60);
    assert_eq!(world.status(1), ("active".into(), String::new()));
    let message = world.with(|state| state.app_status.1.clone());
    assert!(message.contains("commits wait for 2 standbys"), "{message}");
}

#[test]
fn a_volume_that_fills_does_not_hide_that_a_standby_is_missing() {
    let world = cluster();
    fill(&world, 1, 87);
    world.with(|state| {
        state.unit(2).postgres_runs = false;
        state.unit(2).service = ServiceState::Inactive;
        state.let_patroni_work();
    });
    assert_eq!(world.hook(0, &notice()), Outcome::Done);
    let (word, message) = world.with(|state| state.app_status.clone());
    assert_eq!(word, "waiting");
    assert_eq!(
        message,
        "commits wait for 1 of 2 standbys, storage of postgresql-k8s/1 is 87 % full"
    );
}

#[test]
fn a_full_volume_of_any_member_makes_the_database_only_read_until_there_is_room() {
    for ordinal in 0..3 {
        let world = cluster();
        fill(&world, ordinal, 96);
        assert!(read_only(&world), "unit {ordinal}");
        let (word, message) = world.status(ordinal);
        assert_eq!(word, "blocked");
        assert!(
            message.contains("96 % full") && message.contains("below 90 %"),
            "{message}"
        );
        let (word, message) = world.with(|state| state.app_status.clone());
        assert_eq!(word, "blocked");
        assert!(message.contains("the database only reads"), "{message}");
        fill(&world, ordinal, 91);
        assert!(read_only(&world), "there is not room enough yet");
        fill(&world, ordinal, 89);
        assert!(!read_only(&world));
        fill(&world, ordinal, 50);
        assert_eq!(world.status(ordinal).0, "active");
        assert_eq!(world.with(|state| state.app_status.0.clone()), "active");
    }
}

#[test]
fn a_new_leader_goes_on_with_what_the_last_one_knew() {
    let world = cluster();
    fill(&world, 2, 96);
    world.with(|state| state.leader = 1);
    assert_eq!(world.hook(1, &Event::LeaderElected), Outcome::Done);
    world.settle();
    assert!(read_only(&world));
    fill(&world, 2, 50);
    assert!(!read_only(&world));
}

#[test]
fn a_full_member_that_does_not_run_keeps_nobody_from_writing() {
    let world = cluster();
    fill(&world, 2, 96);
    world.with(|state| {
        let unit = state.unit(2);
        unit.pebble = false;
        unit.postgres_runs = false;
    });
    assert_eq!(world.hook(0, &peers_changed()), Outcome::Done);
    assert!(!read_only(&world));
}

#[test]
fn the_thresholds_are_options() {
    let world = cluster();
    world.with(|state| {
        state
            .config
            .insert("disk_warning_percent".into(), json!(50));
        state
            .config
            .insert("disk_read_only_percent".into(), json!(60));
    });
    for ordinal in 0..3 {
        assert_eq!(world.hook(ordinal, &Event::ConfigChanged), Outcome::Done);
    }
    world.with(|state| {
        let checks = &state.units[&0].layer.checks;
        let command = &checks["disk-release"].exec.as_ref().unwrap().command;
        assert!(command.ends_with("disk-below 55"), "{command}");
    });
    fill(&world, 0, 61);
    assert!(read_only(&world));
    world.with(|state| {
        state
            .config
            .insert("disk_warning_percent".into(), json!(70))
    });
    assert_eq!(world.hook(0, &Event::ConfigChanged), Outcome::Done);
    let (word, message) = world.status(0);
    assert_eq!(word, "blocked");
    assert!(message.contains("disk_warning_percent=70"), "{message}");
}
