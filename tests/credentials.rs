//! Passwords that the operator gives by a secret: taken everywhere, however often a process dies on
//! the way, or refused in plain words.

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

use cluster_plan::observed::SystemUser;
use juju::Event;
use postgresql_k8s::handlers::actions::{self, SetPassword};
use postgresql_k8s::scram;
use secrecy::ExposeSecret;
use serde_json::json;
use support::{Outcome, World, notice, peers_changed};

/// Three units, led by unit 0; the operator's secret gives these.
fn cluster(given: &[(&str, &str)]) -> World {
    let world = World::of(3);
    give(&world, given);
    world.come_up();
    world
}

fn give(world: &World, given: &[(&str, &str)]) {
    world.with(|state| {
        if given.is_empty() {
            state.config.remove("system-users");
            return;
        }
        let id = json!("secret:given");
        state.config.insert("system-users".into(), id);
        let pairs = given.iter();
        state.given = Some(pairs.map(|(k, v)| ((*k).into(), (*v).into())).collect());
    });
}

/// The secret, the database and every member's file have this password.
fn assert_everywhere(world: &World, user: SystemUser, password: &str) {
    world.with(|state| {
        let stored = state.secret.as_ref().unwrap().get(user).unwrap();
        assert_eq!(stored.expose_secret(), password, "{user:?}");
        if user != SystemUser::Patroni {
            let verifier = state.roles[user.name()].verifier.clone().unwrap();
            assert!(scram::fits(&password.into(), &verifier), "{user:?}");
        }
        if !matches!(user, SystemUser::Backup | SystemUser::Monitoring) {
            for (ordinal, unit) in &state.units {
                let file = unit.loaded.as_ref().unwrap();
                assert!(file.contains(password), "{user:?} in unit {ordinal}");
            }
        }
        assert!((0..3).all(|ordinal| state.may_replicate(ordinal)));
    });
}

const ALL: [(&str, &str); 6] = [
    ("operator", "new-operator"),
    ("replication", "new-replication"),
    ("rewind", "new-rewind"),
    ("monitoring", "new-monitoring"),
    ("backup", "new-backup"),
    ("patroni", "new-patroni"),
];

#[test]
fn given_passwords_are_those_of_a_new_cluster() {
    let world = cluster(&[("operator", "given-at-first")]);
    assert_everywhere(&world, SystemUser::Operator, "given-at-first");
    assert_eq!(world.status(0).0, "active");
}

#[test]
fn a_secret_that_changes_changes_them_everywhere() {
    let world = cluster(&[]);
    give(&world, &ALL);
    world.settle();
    for (name, password) in ALL {
        assert_everywhere(&world, SystemUser::from_name(name).unwrap(), password);
    }
    give(&world, &[("operator", "newer-operator")]);
    world.settle();
    assert_everywhere(&world, SystemUser::Operator, "newer-operator");
    assert_everywhere(&world, SystemUser::Rewind, "new-rewind");
    give(&world, &[]);
    world.settle();
    assert_everywhere(&world, SystemUser::Operator, "newer-operator");
}

#[test]
fn a_leader_that_is_not_the_primary_changes_them_too() {
    let world = cluster(&[]);
    world.with(|state| state.holder = Some(2));
    give(&world, &ALL);
    world.settle();
    for (name, password) in ALL {
        assert_everywhere(&world, SystemUser::from_name(name).unwrap(), password);
    }
}

#[test]
fn a_leader_that_the_primary_shuts_out_wakes_the_primarys_unit() {
    let world = cluster(&[]);
    world.with(|state| state.leader = 1);
    world.settle();
    let kept = world.with(|state| {
        let other = scram::verifier_of_rounds(&"of a dead process".into(), &[7; 16], 1);
        state.role("operator").verifier = Some(other.expose_secret().to_owned());
        let kept = state.secret.as_ref().unwrap().get(SystemUser::Operator);
        kept.unwrap().expose_secret().to_owned()
    });
    let said = |world: &World| world.with(|state| state.unit(1).bag.clone());
    let before = said(&world);
    assert_eq!(world.hook(1, &Event::UpdateStatus), Outcome::Done);
    assert_ne!(said(&world), before, "Juju wakes the others");
    world.with(|state| assert!(state.unit(1).timer, "it looks again by itself"));
    assert_eq!(world.hook(0, &peers_changed()), Outcome::Done);
    assert_everywhere(&world, SystemUser::Operator, &kept);
    assert_eq!(world.hook(1, &notice()), Outcome::Done);
    assert_eq!(said(&world), before, "a next time wakes them again");
}

#[test]
fn a_process_that_dies_after_any_effect_of_a_rotation_leaves_what_the_next_hooks_complete() {
    for leader in [0, 1] {
        for dying in 0..3 {
            for effect in 1.. {
                let world = cluster(&[]);
                world.with(|state| state.leader = leader);
                world.settle();
                give(&world, &ALL);
                // The leader's hook comes first, but for the one that dies.
                let order = [leader, 0, 1, 2];
                let mut died = false;
                for ordinal in order {
                    let dies = ordinal == dying && !died;
                    world.with(|state| state.dies_after = dies.then_some(effect));
                    died |= world.hook(ordinal, &notice()) == Outcome::Died;
                    world.with(|state| state.dies_after = None);
                }
                world.settle();
                for (name, password) in ALL {
                    assert_everywhere(&world, SystemUser::from_name(name).unwrap(), password);
                }
                if !died {
                    assert!(effect > 1, "the hook has effects");
                    break;
                }
            }
        }
    }
}

#[test]
fn a_secret_that_cannot_be_taken_is_named_and_changes_nothing() {
    let long = "x".repeat(101);
    for (given, says) in [
        (
            &[("root", "long-enough")][..],
            "names root, which is not one of",
        ),
        (&[("operator", "short")], "has a password of operator that"),
        (&[("operator", long.as_str())], "8 to 100 characters"),
        (&[("rewind", "with\na line")], "control characters"),
    ] {
        let world = cluster(&[]);
        let before = world.with(|state| state.roles.clone());
        give(&world, given);
        world.settle();
        let (word, message) = world.status(0);
        assert_eq!(word, "blocked");
        assert!(
            message.contains(says) && message.contains("system-users"),
            "{message}"
        );
        assert!(!message.contains("short") && !message.contains("long-enough"));
        assert_eq!(world.with(|state| state.roles.clone()), before);
        give(&world, &[("operator", "a-good-one")]);
        world.settle();
        assert_eq!(world.status(0).0, "active");
        assert_everywhere(&world, SystemUser::Operator, "a-good-one");
    }
}

#[test]
fn a_secret_that_is_not_granted_is_asked_for_and_looked_at_again() {
    let world = cluster(&[]);
    give(&world, &[("operator", "a-good-one")]);
    let secret = world.with(|state| state.given.take());
    world.with(|state| state.unit(0).timer = false);
    assert_eq!(world.hook(0, &Event::ConfigChanged), Outcome::Done);
    let (word, message) = world.status(0);
    assert_eq!(word, "blocked");
    assert!(
        message.contains("juju grant-secret secret:given postgresql-k8s"),
        "{message}"
    );
    assert!(
        world.with(|state| state.unit(0).timer),
        "a grant wakes nobody"
    );
    world.with(|state| state.given = secret);
    world.settle();
    assert_eq!(world.status(0).0, "active");
    assert_everywhere(&world, SystemUser::Operator, "a-good-one");
}

#[test]
fn set_password_is_refused_while_the_secret_decides() {
    let world = cluster(&[("operator", "given-at-first")]);
    let params = SetPassword {
        username: None,
        password: Some("another-one".into()),
    };
    let refused = world.action(0, |hook| actions::set_password(hook, params));
    let refused = refused.unwrap_err();
    assert!(
        refused.contains("system-users") && refused.contains("juju update-secret"),
        "{refused}"
    );
    assert_everywhere(&world, SystemUser::Operator, "given-at-first");
}
