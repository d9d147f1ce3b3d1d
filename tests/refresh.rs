//! `juju refresh` of the charm: what is checked before it, how it goes on, what stops it and what
//! the status tells.

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
use juju::Event;
use postgresql_k8s::handlers::refresh;
use postgresql_k8s::juju_port::ResultValue;
use support::{Outcome, State, World, pebble_ready};

fn deployed(units: u32) -> World {
    let world = World::of(units);
    world.come_up();
    world
}

fn prepare(world: &World, unit: u32) -> Result<(), String> {
    world.action(unit, refresh::pre_upgrade_check).map(drop)
}

fn resume(world: &World, unit: u32) -> Result<String, String> {
    let result = world.action(unit, refresh::resume_upgrade)?;
    match &result.0[0] {
        ("message", ResultValue::Plain(text)) => Ok(text.clone()),
        other => panic!("{other:?}"),
    }
}

/// The charm's part of `juju refresh`: another template.
fn refresh_to(world: &World, template: &str) {
    world.with(|state| state.template = template.into());
}

/// Kubernetes' part of it: from the highest ordinal to the partition, each pod when those above it
/// run. What was replaced.
fn kubernetes(world: &World) -> Vec<u32> {
    let mut replaced = Vec::new();
    loop {
        let next = world.with(|state| {
            let partition = state.partition;
            let ordinals = state.units.keys().rev().copied();
            for ordinal in ordinals.filter(|ordinal| *ordinal >= partition) {
                let unit = &state.units[&ordinal];
                if unit.template != state.template {
                    return Some(ordinal);
                }
                if !unit.postgres_runs {
                    return None;
                }
            }
            None
        });
        let Some(ordinal) = next else {
            return replaced;
        };
        assert_eq!(world.hook(ordinal, &Event::Stop), Outcome::Done);
        world.with(|state| {
            let template = state.template.clone();
            let unit = state.unit(ordinal);
            unit.template = template;
            unit.postgres_runs = false;
            unit.loaded = None;
            unit.service = ServiceState::Absent;
            unit.layer = pebble::Layer::default();
            unit.labels.clear();
            unit.files
                .retain(|path, _| path.starts_with("/var/lib/postgresql/data"));
            state.let_patroni_work();
        });
        for event in [Event::UpgradeCharm, Event::ConfigChanged, pebble_ready()] {
            assert_eq!(world.hook(ordinal, &event), Outcome::Done);
        }
        replaced.push(ordinal);
        world.with(State::let_patroni_work);
    }
}

fn app_status(world: &World) -> (String, String) {
    world.with(|state| state.app_status.clone())
}

fn partition(world: &World) -> u32 {
    world.with(|state| state.partition)
}

/// The charm itself lets Kubernetes replace the pods from this ordinal on alone.
fn guarded(world: &World, ordinal: u32) -> bool {
    world.with(|state| state.guarded) && partition(world) == ordinal
}

#[test]
fn a_refresh_goes_on_from_its_first_unit_when_it_is_resumed_and_ends_with_the_primary() {
    let world = deployed(3);
    prepare(&world, 0).unwrap();
    assert_eq!(partition(&world), 2);
    world.settle();
    let (word, message) = app_status(&world);
    assert_eq!(word, "active");
    assert!(
        message.starts_with("prepared for juju refresh"),
        "{message}"
    );

    refresh_to(&world, "rev-2");
    assert_eq!(kubernetes(&world), [2]);
    world.settle();
    assert_eq!(kubernetes(&world), [0; 0], "it waits for the operator");
    let (word, message) = app_status(&world);
    assert_eq!(word, "waiting");
    assert!(
        message.contains("postgresql-k8s/2 runs the new revision")
            && message.contains("run resume-upgrade"),
        "{message}"
    );

    assert_eq!(resume(&world, 0).unwrap(), "Upgrade will resume on unit 1");
    assert_eq!(kubernetes(&world), [1]);
    world.settle();
    assert_eq!(world.with(|state| state.holder), Some(0), "not yet");
    assert_eq!(kubernetes(&world), [0]);
    world.settle();
    assert!(guarded(&world, 2), "the next one begins with one unit too");
    let (word, message) = app_status(&world);
    assert_eq!(
        (word.as_str(), message.as_str()),
        ("active", "commits wait for 2 standbys")
    );
    for ordinal in 0..3 {
        assert_eq!(world.status(ordinal).0, "active");
    }
}

#[test]
fn pre_upgrade_check_moves_the_primary_to_the_lowest_unit() {
    let world = deployed(3);
    world.with(|state| state.holder = Some(2));
    prepare(&world, 0).unwrap();
    assert_eq!(world.with(|state| state.holder), Some(0));
    assert_eq!(partition(&world), 2);
}

#[test]
fn pre_upgrade_check_is_refused_while_a_member_is_missing_and_changes_nothing() {
    let world = deployed(3);
    world.with(|state| {
        state.unit(1).postgres_runs = false;
        state.unit(1).service = ServiceState::Failing;
    });
    let refused = prepare(&world, 0).unwrap_err();
    assert!(
        refused.contains("postgresql-k8s/1 is not healthy"),
        "{refused}"
    );
    assert!(guarded(&world, 2));
}

#[test]
fn both_actions_are_the_leaders() {
    let world = deployed(3);
    let text = "Action must be ran on the Juju leader.";
    assert_eq!(prepare(&world, 1).unwrap_err(), text);
    assert_eq!(resume(&world, 1).unwrap_err(), text);
}

#[test]
fn nothing_is_resumed_before_a_refresh_and_none_is_prepared_within_one() {
    let world = deployed(3);
    let refused = resume(&world, 0).unwrap_err();
    assert!(refused.contains("Nothing to resume"), "{refused}");
    prepare(&world, 0).unwrap();
    refresh_to(&world, "rev-2");
    let refused = resume(&world, 0).unwrap_err();
    assert!(
        refused.contains("Kubernetes replaces postgresql-k8s/2"),
        "{refused}"
    );
    assert_eq!(kubernetes(&world), [2]);
    world.settle();
    let refused = prepare(&world, 0).unwrap_err();
    assert!(refused.contains("already upgrading"), "{refused}");
    assert_eq!(partition(&world), 2);
}

#[test]
fn a_refresh_stops_where_the_refreshed_member_does_not_stand() {
    let world = deployed(3);
    prepare(&world, 0).unwrap();
    world.with(|state| state.unit(2).bare_image = true);
    refresh_to(&world, "rev-2");
    assert_eq!(kubernetes(&world), [2]);
    world.settle();
    let refused = resume(&world, 0).unwrap_err();
    assert!(
        refused.contains("postgresql-k8s/2 is not healthy"),
        "{refused}"
    );
    assert_eq!(partition(&world), 2);
    let (word, message) = app_status(&world);
    assert_eq!(word, "waiting");
    assert!(message.contains("go back by juju refresh"), "{message}");

    // Back: Kubernetes replaces the one pod, and it stands again.
    world.with(|state| state.unit(2).bare_image = false);
    refresh_to(&world, "rev-3");
    assert_eq!(kubernetes(&world), [2]);
    world.settle();
    assert_eq!(resume(&world, 0).unwrap(), "Upgrade will resume on unit 1");
}

#[test]
fn a_resumed_refresh_waits_for_each_member_and_consent_is_for_one_revision() {
    let world = deployed(4);
    prepare(&world, 0).unwrap();
    refresh_to(&world, "rev-2");
    assert_eq!(kubernetes(&world), [3]);
    world.settle();
    resume(&world, 0).unwrap();
    world.with(|state| state.unit(2).bare_image = true);
    assert_eq!(kubernetes(&world), [2]);
    world.settle();
    assert_eq!(partition(&world), 2, "its member is missing");
    let (_, message) = app_status(&world);
    assert!(
        message.contains("waits: postgresql-k8s/2 is not healthy"),
        "{message}"
    );

    world.with(|state| state.unit(2).bare_image = false);
    refresh_to(&world, "rev-3");
    assert_eq!(kubernetes(&world), [3, 2]);
    world.settle();
    assert_eq!(
        partition(&world),
        2,
        "nobody has agreed to the third revision"
    );
}

#[test]
fn a_refresh_without_the_check_replaces_each_pod_only_when_the_members_before_it_stand() {
    let world = deployed(3);
    assert!(guarded(&world, 2));
    refresh_to(&world, "rev-2");
    for ordinal in [2, 1, 0] {
        // Its pod is ready by now, its standby does not stream yet.
        assert_eq!(kubernetes(&world), [ordinal]);
        assert_eq!(kubernetes(&world), [0; 0]);
        world.settle();
    }
    assert!(guarded(&world, 2));
    assert_eq!(app_status(&world).1, "commits wait for 2 standbys");
}

#[test]
fn a_refresh_without_the_check_stops_where_a_member_does_not_stand() {
    let world = deployed(3);
    world.with(|state| state.unit(2).bare_image = true);
    refresh_to(&world, "rev-2");
    assert_eq!(kubernetes(&world), [2]);
    world.settle();
    assert_eq!(kubernetes(&world), [0; 0]);
    let (word, message) = app_status(&world);
    assert_eq!(word, "waiting");
    assert!(message.contains("go back by juju refresh"), "{message}");
    world.with(|state| state.unit(2).bare_image = false);
    refresh_to(&world, "rev-1");
    assert_eq!(kubernetes(&world), [2], "the others are of that revision");
    world.settle();
    assert_eq!(app_status(&world).1, "commits wait for 2 standbys");
    assert!(guarded(&world, 2));
}

#[test]
fn what_holds_a_refresh_back_follows_the_number_of_units() {
    let world = deployed(1);
    assert!(!world.with(|state| state.guarded), "there is none to hold");
    assert_eq!(partition(&world), 0);
    let world = deployed(2);
    assert!(guarded(&world, 1));
}

#[test]
fn what_a_newer_revision_keeps_is_not_touched_by_an_older_one() {
    let world = deployed(3);
    prepare(&world, 0).unwrap();
    world.with(|state| state.app_bag.insert("format".into(), "99".into()));
    refresh_to(&world, "rev-2");
    assert_eq!(kubernetes(&world), [2]);
    world.settle();
    let (word, message) = world.status(2);
    assert_eq!(word, "blocked");
    assert!(
        message.contains("is in form 99") && message.contains("juju refresh"),
        "{message}"
    );
    world.with(|state| assert!(!state.unit(2).postgres_runs));
    assert_eq!(world.with(|state| state.app_bag["format"].clone()), "99");
}

#[test]
fn another_major_version_is_never_started_on_the_volume() {
    let world = deployed(3);
    prepare(&world, 0).unwrap();
    world.with(|state| {
        let file = support::File {
            content: b"14\n".to_vec(),
            mode: 0o600,
            user: "postgres".into(),
        };
        let path = format!("{}/PG_VERSION", cluster_plan::names::PGDATA);
        state.unit(2).files.insert(path, file);
    });
    refresh_to(&world, "rev-2");
    assert_eq!(kubernetes(&world), [2]);
    world.settle();
    let (word, message) = world.status(2);
    assert_eq!(word, "blocked");
    assert!(message.contains("volume is of PostgreSQL 14"), "{message}");
    world.with(|state| assert!(!state.unit(2).postgres_runs));
    assert!(resume(&world, 0).is_err());
}
