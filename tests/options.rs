//! Options that need more than their range: what the image must know, and what must wait for a
//! cluster.

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
use serde_json::{Value, json};
use support::{Outcome, World};

fn deployed(options: &[(&str, Value)]) -> World {
    let world = World::of(1);
    world.with(|state| {
        let pairs = options.iter().map(|(k, v)| ((*k).to_owned(), v.clone()));
        state.config.extend(pairs);
    });
    world.come_up();
    world
}

#[test]
fn names_that_the_image_does_not_know_block_and_others_do_not() {
    for (option, good, bad) in [
        ("request_time_zone", "Europe/Berlin", "Europe/Nowhere"),
        ("response_lc_time", "de_DE.UTF-8", "fr_FR.UTF-8"),
    ] {
        let world = deployed(&[]);
        for (value, word) in [(bad, "blocked"), (good, "active")] {
            world.with(|state| state.config.insert(option.into(), json!(value)));
            assert_eq!(world.hook(0, &Event::ConfigChanged), Outcome::Done);
            let (shown, message) = world.status(0);
            assert_eq!(shown, word, "{message}");
            if value == bad {
                assert!(message.contains(&format!("{option}={bad}")), "{message}");
            }
        }
    }
}

#[test]
fn a_database_that_shall_be_read_only_is_made_first() {
    let world = deployed(&[("request_default_transaction_read_only", json!(true))]);
    assert_eq!(world.status(0).0, "active");
    world.with(|state| {
        let dynamic = &state.dynamic["postgresql"]["parameters"];
        assert_eq!(dynamic["default_transaction_read_only"], "on");
        let file = &state.units[&0].files["/var/lib/postgresql/data/patroni.yml"];
        let text = String::from_utf8_lossy(&file.content).into_owned();
        assert!(!text.contains("default_transaction_read_only"));
    });
}

#[test]
fn quorum_commit_blocks_on_an_older_patroni_and_leaves_the_cluster_as_it_is() {
    let world = deployed(&[]);
    let before = world.with(|state| state.dynamic.clone());
    let option = "synchronous_mode_quorum";
    world.with(|state| state.config.insert(option.into(), json!(true)));
    assert_eq!(world.hook(0, &Event::ConfigChanged), Outcome::Done);
    let (word, message) = world.status(0);
    assert_eq!(word, "blocked");
    assert!(message.contains("it needs Patroni 4"), "{message}");
    assert_eq!(world.with(|state| state.dynamic.clone()), before);
}

#[test]
fn a_process_that_dies_after_it_told_patroni_has_set_the_timer_that_finds_what_waits_for_a_restart()
{
    // One that all members share, one that each reads from its own file.
    for option in ["experimental_max_connections", "memory_shared_buffers"] {
        let mut told = 0;
        for effect in 1.. {
            let world = deployed(&[]);
            world.with(|state| {
                state.config.insert(option.to_owned(), json!(4096));
                state.unit(0).timer = false;
                state.dies_after = Some(effect);
            });
            let outcome = world.hook(0, &Event::ConfigChanged);
            let (effects, timer) = world.with(|s| (s.effects.clone(), s.unit(0).timer));
            let patroni_knows = |e: &String| e == "SIGHUP" || e == "patch dynamic configuration";
            if effects.iter().any(patroni_knows) {
                told += 1;
                assert!(timer, "{option}, effect {effect}: nobody looks again");
            }
            if outcome == Outcome::Done {
                break;
            }
        }
        assert!(told > 0, "{option} was never told");
    }
}
