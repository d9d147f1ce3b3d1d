//! Credentials of clients change while the old ones stay valid, and what is told of clients.

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

use juju::{Event, SecretEvent};
use postgresql_k8s::clients::list;
use postgresql_k8s::clients::rotate::{Rotate, rotate};
use postgresql_k8s::juju_port::ResultValue;
use serde_json::{Value, json};
use support::related::*;
use support::{Outcome, World, notice};

const LABEL: &str = "database.5.user.secret";
const SECOND: &str = "relation_id_5__2";

fn turn(world: &World, relation: u64, retire_old: bool) -> Result<(), String> {
    let params = Rotate {
        relation: Some(relation.into()),
        retire_old,
    };
    world.action(0, |hook| rotate(hook, &params)).map(drop)
}

fn turn_on(world: &World, unit: u32, relation: u64) -> Result<(), String> {
    let params = Rotate {
        relation: Some(relation.into()),
        retire_old: false,
    };
    world.action(unit, |hook| rotate(hook, &params)).map(drop)
}

fn gone(world: &World, revision: u64) {
    let event = Event::SecretRemove(SecretEvent {
        id: format!("secret:{LABEL}"),
        label: LABEL.into(),
        revision: Some(revision),
    });
    assert_eq!(world.hook(0, &event), Outcome::Done);
}

fn credentials(world: &World) -> (String, String) {
    let secret = world.secret(LABEL);
    (secret["username"].clone(), secret["password"].clone())
}

fn valid(world: &World, (user, password): &(String, String)) -> bool {
    log_in(world, user, password)
}

fn session(world: &World, unit: u32, user: &str) {
    let session = (unit, user.to_owned(), "shop".to_owned());
    world.with(|state| state.clients.sessions.push(session));
}

fn clients(world: &World, unit: u32) -> Value {
    let result = world.action(unit, list::list).unwrap();
    match &result.0[0].1 {
        ResultValue::Plain(text) => serde_json::from_str(text).unwrap(),
        ResultValue::Secret(_) => panic!("a secret"),
    }
}

fn served() -> World {
    let world = deployed(3);
    related(&world, "database:5", &[("database", "shop"), SECRETS]);
    world
}

#[test]
fn old_and_new_credentials_are_valid_until_the_client_has_taken_the_new_ones() {
    let world = served();
    let old = credentials(&world);
    turn(&world, 5, false).unwrap();
    let new = credentials(&world);
    assert_eq!(new.0, SECOND);
    assert_ne!(new.1, old.1);
    assert!(valid(&world, &old) && valid(&world, &new));
    world.with(|state| {
        let role = &state.roles[SECOND];
        assert_eq!(role.groups, ["relation_id_5".to_owned()].into());
        assert_eq!(state.clients.takes[SECOND], "relation_id_5");
        let acting = (SECOND.to_owned(), "shop".to_owned());
        assert!(state.clients.acting.contains(&acting));
        assert!(!state.said.contains("made-up-secret"));
    });
    // Whatever happens in between takes nothing away.
    for event in [notice(), world.changed("database:5"), Event::UpdateStatus] {
        assert_eq!(world.hook(0, &event), Outcome::Done);
    }
    assert!(valid(&world, &old) && valid(&world, &new));
    gone(&world, 1);
    assert!(!valid(&world, &old) && valid(&world, &new));
    // And back again: the second one goes without trace.
    turn(&world, 5, false).unwrap();
    let third = credentials(&world);
    assert_eq!(third.0, "relation_id_5");
    assert!(valid(&world, &new) && valid(&world, &third) && !valid(&world, &old));
    gone(&world, 2);
    assert_eq!(world.client_users(), ["relation_id_5"]);
    assert!(valid(&world, &third));
    assert_eq!(world.status(0), ("active".into(), "Primary".into()));
}

#[test]
fn a_rotation_that_waits_for_its_client_makes_nothing_again() {
    let world = served();
    turn(&world, 5, false).unwrap();
    assert_eq!(world.hook(0, &notice()), Outcome::Done);
    for event in [notice(), Event::UpdateStatus, notice()] {
        assert_eq!(world.hook(0, &event), Outcome::Done);
        let effects = world.with(|state| state.effects.clone());
        let made = |effect: &String| effect.contains("statements") || effect.contains("secret");
        assert!(!effects.iter().any(made), "{event:?}: {effects:?}");
    }
    // What is missed all the same is made.
    world.with(|state| {
        state.roles.get_mut(SECOND).unwrap().login = false;
    });
    assert_eq!(world.hook(0, &Event::LeaderElected), Outcome::Done);
    world.with(|state| assert!(state.roles[SECOND].login));
}

#[test]
fn a_revision_that_only_some_of_the_client_have_left_retires_nothing() {
    let world = served();
    // The endpoints change, and with them the URIs: a second revision with the same login.
    world.with(|state| {
        let secret = state.clients.secrets.get_mut(LABEL).unwrap();
        secret.revision = 2;
    });
    let old = credentials(&world);
    turn(&world, 5, false).unwrap();
    gone(&world, 2);
    assert!(valid(&world, &old), "a unit may still have the first one");
    gone(&world, 1);
    assert!(!valid(&world, &old));
}

#[test]
fn old_credentials_stay_while_a_session_uses_them_on_any_member() {
    let world = served();
    let old = credentials(&world);
    session(&world, 2, "relation_id_5");
    turn(&world, 5, false).unwrap();
    gone(&world, 1);
    assert!(valid(&world, &old));
    world.with(|state| state.clients.sessions.clear());
    assert_eq!(world.hook(0, &Event::UpdateStatus), Outcome::Done);
    assert!(!valid(&world, &old));
}

#[test]
fn the_operator_can_end_old_credentials_at_once() {
    let world = served();
    assert!(
        turn(&world, 5, true)
            .unwrap_err()
            .contains("no old credentials")
    );
    let old = credentials(&world);
    turn(&world, 5, false).unwrap();
    for unit in 0..3 {
        session(&world, unit, "relation_id_5");
        session(&world, unit, SECOND);
    }
    assert!(
        turn(&world, 5, false)
            .unwrap_err()
            .contains("retire-old=true")
    );
    turn(&world, 5, true).unwrap();
    assert!(!valid(&world, &old) && valid(&world, &credentials(&world)));
    world.with(|state| {
        let users: Vec<&str> = state
            .clients
            .sessions
            .iter()
            .map(|s| s.1.as_str())
            .collect();
        assert_eq!(users, [SECOND; 3]);
    });
}

#[test]
fn a_client_without_secrets_is_rotated_and_its_old_credentials_end_by_hand() {
    let world = deployed(1);
    related(&world, "database:5", &[("database", "shop")]);
    let told = |world: &World| {
        let bag = world.told("database:5");
        (bag["username"].clone(), bag["password"].clone())
    };
    let old = told(&world);
    turn(&world, 5, false).unwrap();
    let new = told(&world);
    assert_eq!(world.hook(0, &Event::UpdateStatus), Outcome::Done);
    assert!(valid(&world, &old) && valid(&world, &new) && old.0 != new.0);
    turn(&world, 5, true).unwrap();
    assert!(!valid(&world, &old) && valid(&world, &new));
}

/// Looks again a while later.
fn later(world: &World, unit: u32, seconds: i64) {
    world.with(|state| state.tls.now += seconds);
    assert_eq!(world.hook(unit, &Event::UpdateStatus), Outcome::Done);
}

#[test]
fn old_credentials_of_a_client_without_secrets_end_when_only_the_new_ones_have_been_in_use() {
    let world = deployed(2);
    related(&world, "database:5", &[("database", "shop")]);
    let old = world.told("database:5");
    let old = (old["username"].clone(), old["password"].clone());
    turn(&world, 5, false).unwrap();
    session(&world, 1, SECOND);
    session(&world, 0, "relation_id_5");
    later(&world, 0, 3600);
    assert!(valid(&world, &old), "it is in use");
    world.with(|state| state.clients.sessions.retain(|(_, user, _)| user == SECOND));
    later(&world, 0, 300);
    session(&world, 1, "relation_id_5");
    later(&world, 0, 600);
    world.with(|state| state.clients.sessions.retain(|(_, user, _)| user == SECOND));
    later(&world, 0, 300);
    later(&world, 0, 600);
    assert!(valid(&world, &old), "it was in use not long ago");
    later(&world, 0, 60);
    assert!(!valid(&world, &old));
    later(&world, 0, 3600);
    let user = world.told("database:5")["username"].clone();
    assert_eq!(user, SECOND, "and nothing more happens");
}

#[test]
fn a_new_leader_brings_a_rotation_to_its_end() {
    let world = served();
    let old = credentials(&world);
    turn(&world, 5, false).unwrap();
    let new = credentials(&world);
    session(&world, 2, SECOND);
    // This leader will hear that the client has the new revision, and goes by nothing less.
    later(&world, 0, 10);
    later(&world, 0, 3600);
    assert!(valid(&world, &old));
    world.with(|state| state.leader = 1);
    assert_eq!(world.hook(1, &Event::LeaderElected), Outcome::Done);
    later(&world, 1, 600);
    assert!(valid(&world, &old) && valid(&world, &new));
    later(&world, 1, 60);
    assert!(!valid(&world, &old) && valid(&world, &new));
    // The next rotation of this leader, which does not know what became of older revisions.
    turn_on(&world, 1, 5).unwrap();
    world.with(|state| state.clients.sessions.clear());
    session(&world, 2, "relation_id_5");
    later(&world, 1, 10);
    later(&world, 1, 660);
    assert_eq!(world.client_users(), ["relation_id_5"]);
}

#[test]
fn a_relation_that_goes_in_the_middle_takes_both_logins_with_it() {
    let world = served();
    turn(&world, 5, false).unwrap();
    session(&world, 1, SECOND);
    world.unrelate("database:5");
    assert!(world.client_users().is_empty());
    assert!(world.with(|state| state.clients.sessions.is_empty()));
}

#[test]
fn a_rotation_is_refused_where_it_cannot_be_made() {
    let world = served();
    assert!(
        turn(&world, 6, false)
            .unwrap_err()
            .contains("no relation database:6")
    );
    let params = Rotate::default();
    let refused = world.action(0, |hook| rotate(hook, &params)).unwrap_err();
    assert!(refused.contains("relation-id is missing"), "{refused}");
    for odd in [json!(-1), json!(1.5), json!("database:5"), json!(1e30)] {
        let params = Rotate {
            relation: Some(odd.clone()),
            retire_old: false,
        };
        let refused = world.action(0, |hook| rotate(hook, &params)).unwrap_err();
        let says = format!("relation-id={odd} is not allowed, use the number");
        assert!(refused.starts_with(&says), "{refused}");
    }
    let params = Rotate {
        relation: Some(5.into()),
        retire_old: false,
    };
    let refused = world.action(1, |hook| rotate(hook, &params)).unwrap_err();
    assert!(refused.contains("leader"), "{refused}");
    world.with(|state| state.database_away = true);
    let before = credentials(&world);
    assert!(turn(&world, 5, false).is_err());
    assert_eq!(credentials(&world), before);
}

#[test]
fn every_unit_lists_the_clients_with_their_sessions_on_all_members() {
    let world = served();
    related(&world, "database:7", &[("database", "other"), SECRETS]);
    for unit in [0, 2, 2] {
        session(&world, unit, "relation_id_5");
    }
    for unit in 0..3 {
        let told = clients(&world, unit);
        let [first, second] = told.as_array().unwrap().as_slice() else {
            panic!("two relations: {told}");
        };
        assert_eq!(first["relation"], "database:5");
        assert_eq!(first["application"], "app");
        let user = &first["users"][0];
        assert_eq!(user["name"], "relation_id_5");
        assert_eq!(user["databases"][0], "shop");
        assert_eq!(user["connections"], 3);
        assert_eq!(user["sessions"][1]["unit"], "postgresql-k8s/2");
        assert_eq!(user["last-login"], "2026-11-21T11:00:00Z");
        let unknown = second["users"][0]["last-login"].as_str().unwrap();
        assert!(unknown.starts_with("unknown"), "{unknown}");
    }
}
