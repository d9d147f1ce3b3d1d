//! The actions: what an operator gets, and what is refused.

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
use postgresql_k8s::handlers::actions::{self, GetPassword, Promote, SetPassword};
use postgresql_k8s::juju_port::{ActionResult, ResultValue};
use postgresql_k8s::scram;
use secrecy::ExposeSecret;
use support::World;

fn cluster() -> World {
    let world = World::of(3);
    world.come_up();
    world
}

fn value(result: &ActionResult, key: &str) -> String {
    let found = result.0.iter().find(|(name, _)| *name == key);
    match &found.unwrap_or_else(|| panic!("no {key}")).1 {
        ResultValue::Plain(text) => text.clone(),
        ResultValue::Secret(text) => text.expose_secret().to_owned(),
    }
}

fn password(world: &World, unit: u32, user: &str) -> Result<String, String> {
    let params = GetPassword {
        username: Some(user.into()),
    };
    let result = world.action(unit, |hook| actions::get_password(hook, params))?;
    Ok(value(&result, "password"))
}

fn set(world: &World, unit: u32, user: Option<&str>, new: Option<&str>) -> Result<String, String> {
    let params = SetPassword {
        username: user.map(str::to_owned),
        password: new.map(Into::into),
    };
    let result = world.action(unit, |hook| actions::set_password(hook, params))?;
    Ok(value(&result, "password"))
}

#[test]
fn get_primary_names_the_unit_that_leads() {
    let world = cluster();
    for unit in 0..3 {
        let result = world.action(unit, actions::get_primary).unwrap();
        assert_eq!(value(&result, "primary"), "postgresql-k8s/0");
    }
    world.with(|state| {
        state.unit(0).postgres_runs = false;
        state.unit(0).service = cluster_plan::observed::ServiceState::Inactive;
        state.let_patroni_work();
    });
    let result = world.action(1, actions::get_primary).unwrap();
    assert_eq!(value(&result, "primary"), "postgresql-k8s/1");
}

#[test]
fn get_password_knows_the_system_users_alone() {
    let world = cluster();
    assert!(
        password(&world, 1, "operator")
            .unwrap()
            .starts_with("made-up-secret")
    );
    let refused = password(&world, 1, "root").unwrap_err();
    assert!(
        refused.contains("not root") && refused.contains("operator"),
        "{refused}"
    );
}

#[test]
fn set_password_changes_the_database_the_secret_and_every_members_file() {
    let world = cluster();
    let old = password(&world, 0, "replication").unwrap();
    assert_eq!(
        set(&world, 0, Some("replication"), Some("a-new-password")).unwrap(),
        "a-new-password"
    );
    world.with(|state| {
        let verifier = state.roles["replication"].verifier.clone().unwrap();
        assert!(scram::fits(&"a-new-password".into(), &verifier));
        assert!(!scram::fits(&old.into(), &verifier));
    });
    world.settle();
    assert_eq!(
        password(&world, 2, "replication").unwrap(),
        "a-new-password"
    );
    world.with(|state| assert!((0..3).all(|ordinal| state.may_replicate(ordinal))));
}

#[test]
fn set_password_makes_one_up_where_none_is_given() {
    let world = cluster();
    let old = password(&world, 0, "operator").unwrap();
    let new = set(&world, 0, None, None).unwrap();
    assert_ne!(old, new);
    assert_eq!(password(&world, 0, "operator").unwrap(), new);
}

#[test]
fn what_set_password_refuses_changes_nothing() {
    let world = cluster();
    let before = world.with(|state| state.roles.clone());
    let long = "x".repeat(101);
    for (unit, user, new, says) in [
        (1, None, Some("long-enough"), "only on leader unit"),
        (0, Some("postgres"), Some("long-enough"), "not postgres"),
        (0, Some("patroni"), Some("long-enough"), "not patroni"),
        (0, None, Some("short"), "8 to 100 characters"),
        (0, None, Some(long.as_str()), "8 to 100 characters"),
        (0, None, Some("with\na line"), "control characters"),
    ] {
        let refused = set(&world, unit, user, new).unwrap_err();
        assert!(refused.contains(says), "{refused}");
    }
    assert_eq!(world.with(|state| state.roles.clone()), before);
}

#[test]
fn set_password_waits_for_no_member_that_is_missing() {
    let world = cluster();
    world.with(|state| state.unit(2).postgres_runs = false);
    let refused = set(&world, 0, None, Some("long-enough")).unwrap_err();
    assert!(refused.contains("Not all members healthy"), "{refused}");
}

#[test]
fn a_password_that_the_database_does_not_take_fails_with_the_reason() {
    let world = cluster();
    world.with(|state| state.database_away = true);
    let refused = set(&world, 0, None, Some("long-enough")).unwrap_err();
    let (peers, why) = refused.split_at("Failed changing the password.".len());
    assert_eq!(peers, "Failed changing the password.");
    assert!(why.contains("timed out"), "{refused}");
}

#[test]
fn a_process_that_dies_in_set_password_leaves_what_a_hook_mends_and_has_set_a_timer_for_one() {
    for effect in 1..=2 {
        let world = cluster();
        world.with(|state| {
            state.dies_after = Some(effect);
            state.unit(0).timer = false;
        });
        let died = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            set(&world, 0, None, Some("a-new-password"))
        }));
        assert!(died.is_err(), "effect {effect}");
        world.with(|state| {
            state.dies_after = None;
            assert!(state.unit(0).timer, "effect {effect}: nobody looks again");
        });
        let _ = world.hook(0, &Event::UpdateStatus);
        let now = password(&world, 0, "operator").unwrap();
        world.with(|state| {
            let verifier = state.roles["operator"].verifier.clone().unwrap();
            assert!(scram::fits(&now.into(), &verifier), "effect {effect}");
        });
    }
}

#[test]
fn promote_to_primary_moves_leadership_to_its_unit() {
    let world = cluster();
    let promote = |unit: u32, scope: Option<&str>, force: bool| {
        let params = Promote {
            scope: scope.map(str::to_owned),
            force,
        };
        world.action(unit, |hook| actions::promote_to_primary(hook, &params))
    };
    assert!(
        promote(2, Some("unit"), true)
            .unwrap_err()
            .contains("Superfluous force")
    );
    assert!(
        promote(2, None, false)
            .unwrap_err()
            .contains("Scope should be")
    );
    assert!(
        promote(2, Some("cluster"), false)
            .unwrap_err()
            .contains("not available")
    );
    assert_eq!(world.with(|state| state.holder), Some(0));
    promote(2, Some("unit"), false).unwrap();
    assert_eq!(world.with(|state| state.holder), Some(2));
    promote(2, Some("unit"), false).unwrap();
    assert_eq!(world.with(|state| state.holder), Some(2));
}
