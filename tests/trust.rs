//! `receive-ca-cert`: what other applications hand over is trusted in every unit's container, for as
//! long as their relation lasts.

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
use support::related::*;
use support::{Outcome, Provider, World, pebble_ready};

const FOLDER: &str = "/usr/local/share/ca-certificates";
const RELATION: &str = "receive-ca-cert:9";

fn give(world: &World, app: &[(&str, &str)], unit: &[(&str, &str)]) {
    world.relate(RELATION, "authority", app);
    world.with(|state| {
        let relation = state.clients.relations.get_mut(RELATION).unwrap();
        let bag = relation.units.entry("authority/0".into()).or_default();
        bag.extend(unit.iter().map(|(k, v)| ((*k).into(), (*v).into())));
    });
    hooks(world);
}

fn hooks(world: &World) {
    for ordinal in 0..2 {
        assert_eq!(world.hook(ordinal, &world.changed(RELATION)), Outcome::Done);
    }
}

fn trusted(world: &World, ordinal: u32) -> Vec<String> {
    let all = world.with(|state| state.unit(ordinal).trusted.clone());
    let texts = all.into_iter().map(|file| String::from_utf8(file).unwrap());
    texts
        .map(|text| text[text.find("-----").unwrap()..].trim().to_owned())
        .collect()
}

fn list(authorities: &[&Provider]) -> String {
    let pems: Vec<String> = authorities.iter().map(|a| a.pem()).collect();
    serde_json::to_string(&pems).unwrap()
}

#[test]
fn what_is_handed_over_is_trusted_until_it_is_taken_back() {
    let world = deployed(2);
    let (first, second) = (Provider::new("first"), Provider::new("second"));
    give(
        &world,
        &[("certificates", &list(&[&first])), ("version", "1")],
        &[],
    );
    for ordinal in 0..2 {
        assert_eq!(trusted(&world, ordinal), [first.pem()]);
        let path = format!("{FOLDER}/ca-authority.crt");
        assert!(world.with(|state| state.unit(ordinal).files.contains_key(&path)));
    }
    assert_eq!(world.told(RELATION)["version"], "1");
    assert_eq!(world.hook(0, &Event::UpdateStatus), Outcome::Done);
    world.with(|state| {
        assert!(
            !state.effects.iter().any(|e| e.contains("ca-")),
            "nothing is left to do"
        );
        let bag = &mut state.clients.relations.get_mut(RELATION).unwrap().theirs;
        bag.insert("certificates".into(), list(&[&first, &second]));
    });
    hooks(&world);
    for ordinal in 0..2 {
        assert_eq!(trusted(&world, ordinal).len(), 2);
    }
    // A new container knows nothing of it.
    world.with(|state| {
        let unit = state.unit(1);
        unit.files.retain(|path, _| !path.starts_with(FOLDER));
        unit.trusted.clear();
    });
    assert_eq!(world.hook(1, &pebble_ready()), Outcome::Done);
    assert_eq!(trusted(&world, 1).len(), 2);
    world.with(|state| state.clients.ending = Some(RELATION.into()));
    for ordinal in 0..2 {
        let broken = Event::RelationBroken(world.relation_event(RELATION));
        assert_eq!(world.hook(ordinal, &broken), Outcome::Done);
        assert!(trusted(&world, ordinal).is_empty());
        let left = world.with(|state| {
            state
                .unit(ordinal)
                .files
                .keys()
                .any(|path| path.starts_with(FOLDER))
        });
        assert!(!left);
    }
}

#[test]
fn a_provider_of_the_older_version_is_understood() {
    let world = deployed(2);
    let authority = Provider::new("old");
    let chain = list(&[&authority]);
    give(
        &world,
        &[],
        &[
            ("ca", &authority.pem()),
            ("certificate", "own"),
            ("chain", &chain),
        ],
    );
    assert_eq!(trusted(&world, 0), [authority.pem()]);
    assert_eq!(trusted(&world, 1), [authority.pem()]);
}

#[test]
fn what_is_no_authority_is_told_and_changes_nothing() {
    let world = deployed(2);
    give(&world, &[("certificates", "[\"rubbish\"]")], &[]);
    let (word, message) = world.status(0);
    assert_eq!(word, "blocked");
    assert!(
        message.contains(RELATION) && message.contains("certificate"),
        "{message}"
    );
    assert!(trusted(&world, 0).is_empty());
}

#[test]
fn files_of_the_image_stay() {
    let world = deployed(2);
    let path = format!("{FOLDER}/ca-company.crt");
    world.with(|state| {
        let file = support::File {
            content: b"the image's".to_vec(),
            mode: 0o644,
            user: "root".into(),
        };
        state.unit(0).files.insert(path.clone(), file);
    });
    give(
        &world,
        &[("certificates", &list(&[&Provider::new("a")]))],
        &[],
    );
    give(&world, &[("certificates", "[]")], &[]);
    assert!(world.with(|state| state.unit(0).files.contains_key(&path)));
}

#[test]
fn a_step_that_fails_halfway_is_done_again() {
    let world = deployed(2);
    let authority = Provider::new("a");
    world.relate(
        RELATION,
        "authority",
        &[("certificates", &list(&[&authority]))],
    );
    for effect in 1..5 {
        world.with(|state| {
            state.dies_after = Some(effect);
            state
                .unit(0)
                .files
                .retain(|path, _| !path.starts_with(FOLDER));
            state.unit(0).trusted.clear();
        });
        let _ = world.hook(0, &world.changed(RELATION));
        world.with(|state| state.dies_after = None);
        assert_eq!(world.hook(0, &world.changed(RELATION)), Outcome::Done);
        assert_eq!(trusted(&world, 0), [authority.pem()], "died after {effect}");
    }
}
