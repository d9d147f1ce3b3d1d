//! Extensions by option: made everywhere, taken back everywhere or nowhere.

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
use support::{Outcome, World, notice};

fn cluster() -> World {
    let world = World::of(1);
    world.come_up();
    world.with(|state| state.clients.databases.insert("shop".into(), "shop".into()));
    world
}

fn set(world: &World, option: &str, on: bool) {
    world.with(|state| state.config.insert(option.into(), json!(on)));
    assert_eq!(world.hook(0, &Event::ConfigChanged), Outcome::Done);
}

/// Databases that have an extension.
fn has(world: &World, name: &str) -> Vec<String> {
    world.with(|state| {
        let all = state.extensions.installed.iter();
        let with = all.filter(|(_, installed)| installed.contains(name));
        with.map(|(database, _)| database.clone()).collect()
    })
}

#[test]
fn an_extension_is_made_in_every_database_and_in_the_one_that_others_are_copied_from() {
    let world = cluster();
    set(&world, "plugin_uuid_ossp_enable", true);
    assert_eq!(has(&world, "uuid-ossp"), ["postgres", "shop", "template1"]);
    assert_eq!(world.status(0).0, "active");
    set(&world, "plugin_uuid_ossp_enable", false);
    assert!(has(&world, "uuid-ossp").is_empty());
}

#[test]
fn a_database_that_came_otherwise_gets_it_with_the_next_hook() {
    let world = cluster();
    set(&world, "plugin_hstore_enable", true);
    world.with(|state| {
        state
            .clients
            .databases
            .insert("restored".into(), "x".into())
    });
    assert_eq!(world.hook(0, &notice()), Outcome::Done);
    assert!(has(&world, "hstore").contains(&"restored".to_owned()));
}

#[test]
fn nothing_is_looked_up_while_nothing_changes() {
    let world = cluster();
    set(&world, "plugin_hstore_enable", true);
    let looks = world.with(|state| state.extensions.looks);
    assert_eq!(world.hook(0, &notice()), Outcome::Done);
    assert_eq!(world.with(|state| state.extensions.looks), looks);
}

#[test]
fn a_new_database_beside_a_hundred_others_is_the_only_one_that_is_looked_into() {
    let world = cluster();
    set(&world, "plugin_hstore_enable", true);
    let add = |name: String| {
        world.with(|state| state.clients.databases.insert(name, "x".into()));
        let before = world.with(|state| state.extensions.looks);
        assert_eq!(world.hook(0, &notice()), Outcome::Done);
        world.with(|state| state.extensions.looks) - before
    };
    let looks: Vec<usize> = (0..100).map(|n| add(format!("d{n}"))).collect();
    assert!(looks.windows(2).all(|two| two[0] == two[1]), "{looks:?}");
    // What the image has, and what the database has.
    assert_eq!(looks[0], 2);
    assert_eq!(has(&world, "hstore").len(), 103);
    // An option that is new concerns all of them.
    set(&world, "plugin_uuid_ossp_enable", true);
    assert_eq!(has(&world, "uuid-ossp").len(), 103);
}

#[test]
fn one_that_the_image_lacks_is_named_and_the_others_are_made() {
    let world = cluster();
    world.with(|state| {
        state
            .config
            .insert("plugin_hstore_enable".into(), json!(true))
    });
    set(&world, "plugin_postgis_enable", true);
    let (word, message) = world.status(0);
    assert_eq!(word, "blocked");
    assert!(
        message.contains("postgis") && message.contains("plugin_postgis_enable"),
        "{message}"
    );
    assert_eq!(has(&world, "hstore").len(), 3);
    set(&world, "plugin_postgis_enable", false);
    assert_eq!(world.status(0).0, "active");
}

#[test]
fn one_in_use_in_any_database_stays_in_all_of_them_until_it_is_not() {
    let world = cluster();
    set(&world, "plugin_hstore_enable", true);
    let used = ("shop".to_owned(), "hstore".to_owned());
    world.with(|state| state.extensions.used.insert(used.clone()));
    set(&world, "plugin_hstore_enable", false);
    let (word, message) = world.status(0);
    assert_eq!(word, "blocked");
    assert!(
        message.starts_with("Cannot disable plugins: Existing objects depend on it")
            && message.contains("database shop"),
        "{message}"
    );
    assert_eq!(has(&world, "hstore").len(), 3);
    world.with(|state| state.extensions.used.remove(&used));
    assert_eq!(world.hook(0, &notice()), Outcome::Done);
    assert_eq!(world.status(0).0, "active");
    assert!(has(&world, "hstore").is_empty());
}

#[test]
fn what_a_client_made_itself_stays() {
    let world = cluster();
    world.with(|state| {
        let shop = state.extensions.installed.entry("shop".into()).or_default();
        shop.insert("cube".into());
    });
    set(&world, "plugin_hstore_enable", true);
    set(&world, "plugin_hstore_enable", false);
    assert_eq!(has(&world, "cube"), ["shop"]);
}

#[test]
fn a_process_that_dies_on_the_way_leaves_what_the_next_hook_completes() {
    for effect in 1..=6 {
        let world = cluster();
        world.with(|state| {
            state
                .config
                .insert("plugin_hstore_enable".into(), json!(true));
            state.dies_after = Some(effect);
        });
        let _ = world.hook(0, &Event::ConfigChanged);
        world.with(|state| state.dies_after = None);
        assert_eq!(world.hook(0, &Event::ConfigChanged), Outcome::Done);
        assert_eq!(has(&world, "hstore").len(), 3, "effect {effect}");
    }
}
