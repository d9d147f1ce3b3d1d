//! From nothing to a cluster: the hooks of one to several units, in any order that Juju allows.

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

use std::collections::BTreeSet;

use cluster_plan::observed::{ServiceState, SystemUser};
use juju::{Event, StorageEvent};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;
use support::{
    KubeFault, Outcome, State, World, notice, pebble_ready, peers, peers_changed, peers_created,
};

/// The hooks of a unit's first minutes, in Juju's order.
fn first_hooks(leader: bool) -> Vec<Event> {
    let mut hooks = vec![
        Event::Install,
        Event::StorageAttached(StorageEvent::default()),
        peers_created(),
    ];
    if leader {
        hooks.push(Event::LeaderElected);
    }
    hooks.extend([Event::ConfigChanged, Event::Start, pebble_ready()]);
    hooks
}

fn deployed(units: u32) -> World {
    let world = World::of(units);
    for ordinal in 0..units {
        for event in first_hooks(ordinal == 0) {
            assert_eq!(world.hook(ordinal, &event), Outcome::Done, "{event:?}");
        }
    }
    world.settle();
    world
}

fn earlier_verifier() -> String {
    let verifier = postgresql_k8s::scram::verifier(&"of-an-earlier-life".into(), &[9; 16]);
    secrecy::ExposeSecret::expose_secret(&verifier).to_owned()
}

fn assert_stands(world: &World, units: u32) {
    for ordinal in 0..units {
        let primary = world.with(|state| state.holder) == Some(ordinal);
        let message = if primary { "Primary" } else { "" };
        assert_eq!(
            world.status(ordinal),
            ("active".into(), message.into()),
            "unit {ordinal}"
        );
    }
    world.with(|state| {
        assert_eq!(state.bootstraps, 1, "one cluster, once");
        assert_eq!(state.app_status.0, "active");
        assert!(state.app_bag.contains_key("cluster_initialised"));
        assert_eq!(state.dynamic["synchronous_mode"], json!(units > 1));
        assert_eq!(
            state.dynamic["synchronous_node_count"],
            json!(units.saturating_sub(1).max(1))
        );
        for user in SystemUser::ROLES {
            assert!(state.roles.contains_key(user.name()), "{user:?}");
        }
        assert_eq!(state.services.len(), 2);
        for unit in state.units.values() {
            assert!(unit.postgres_runs);
            assert_eq!(unit.starts, 1, "Patroni is started once, and not again");
        }
    });
}

#[test]
fn one_three_and_five_units_become_a_cluster() {
    for units in [1, 3, 5] {
        assert_stands(&deployed(units), units);
    }
}

#[test]
fn a_hook_on_a_healthy_cluster_has_no_effect_but_its_status() {
    let world = deployed(3);
    for ordinal in 0..3 {
        for event in [
            Event::UpdateStatus,
            Event::ConfigChanged,
            notice(),
            peers_changed(),
        ] {
            assert_eq!(world.hook(ordinal, &event), Outcome::Done);
            let effects: BTreeSet<String> = world.with(|state| state.effects.drain(..).collect());
            assert!(
                effects.iter().all(|e| e == "status-set"),
                "{event:?} of {ordinal}: {effects:?}"
            );
        }
    }
}

#[test]
fn standbys_start_before_there_is_a_primary_and_need_no_further_hook_to_join() {
    let world = World::of(3);
    for hook in [peers_created(), Event::LeaderElected] {
        world.hook(0, &hook);
    }
    for ordinal in [1, 2] {
        for hook in [peers_created(), pebble_ready()] {
            world.hook(ordinal, &hook);
        }
        assert_eq!(
            world.with(|s| s.unit(ordinal).service),
            ServiceState::Active
        );
    }
    world.hook(0, &pebble_ready());
    world.with(support::State::let_patroni_work);
    world.with(|state| assert!(state.units.values().all(|unit| unit.postgres_runs)));
}

#[test]
fn nothing_is_bootstrapped_beside_a_volume_that_holds_a_cluster() {
    let world = World::of(2);
    world.with(|state| {
        state.unit(1).volume = Some(("42".into(), 9));
        // As an earlier application left it: with its own passwords.
        let operator = support::Role {
            login: true,
            superuser: true,
            verifier: Some(earlier_verifier()),
            ..support::Role::default()
        };
        state.roles.insert("operator".into(), operator);
    });
    for hook in [peers_created(), pebble_ready()] {
        world.hook(1, &hook);
    }
    world.with(support::State::let_patroni_work);
    for hook in [peers_created(), Event::LeaderElected, pebble_ready()] {
        world.hook(0, &hook);
    }
    world.settle();
    world.with(|state| {
        assert_eq!(state.bootstraps, 0);
        assert_eq!(
            state.units[&0].volume.as_ref().map(|v| v.0.as_str()),
            Some("42")
        );
        assert_eq!(state.holder, Some(1));
        let verifier = state.roles["operator"].verifier.clone().unwrap();
        assert_ne!(
            verifier,
            earlier_verifier(),
            "the new application's password is in force"
        );
        assert!(state.units.values().all(|unit| unit.postgres_runs));
    });
}

#[test]
fn a_volume_of_another_cluster_blocks_its_unit_alone_and_stays_as_it_is() {
    // The new unit may learn that the cluster is initialised before it starts anything, or after.
    for knows in [true, false] {
        let world = deployed(2);
        world.with(|state| {
            state.add_unit(2);
            state.unit(2).volume = Some(("13".into(), 1));
            if !knows {
                state.app_bag.remove("cluster_initialised");
            }
        });
        for hook in first_hooks(false) {
            world.hook(2, &hook);
        }
        let (word, message) = world.status(2);
        assert_eq!(word, "blocked", "knows: {knows}");
        assert!(
            message.contains("volume holds another cluster (13, not 7001)"),
            "{message}"
        );
        world.with(|state| {
            assert_eq!(state.units[&2].volume, Some(("13".into(), 1)));
            assert_eq!(state.units[&2].starts, 0);
            assert!(state.units[&0].postgres_runs);
        });
    }
}

#[test]
fn without_trust_the_status_says_what_to_run_and_clears_itself() {
    let world = World::of(1);
    world.with(|state| state.kube_fault = Some(KubeFault::Forbidden));
    for event in first_hooks(true) {
        assert_eq!(world.hook(0, &event), Outcome::Done);
    }
    let told = "Insufficient permissions, try: `juju trust postgresql-k8s --scope=cluster`";
    assert_eq!(world.status(0), ("blocked".into(), told.into()));
    assert_eq!(
        world.with(|s| s.unit(0).starts),
        0,
        "Patroni could not keep its key"
    );
    world.with(|state| state.kube_fault = None);
    // `juju trust` runs config-changed.
    world.hook(0, &Event::ConfigChanged);
    world.settle();
    assert_stands(&world, 1);
}

#[test]
fn an_outage_in_the_first_minutes_ends_without_update_status() {
    for fault in [KubeFault::Internal, KubeFault::Silent, KubeFault::Forbidden] {
        let world = World::of(1);
        world.with(|state| state.kube_fault = Some(fault));
        for event in first_hooks(true) {
            assert_eq!(world.hook(0, &event), Outcome::Done);
        }
        assert_ne!(world.status(0).0, "active");
        world.with(|state| state.kube_fault = None);
        assert!(world.with(|state| std::mem::take(&mut state.unit(0).timer)));
        assert_eq!(world.hook(0, &notice()), Outcome::Done);
        world.settle();
        assert_stands(&world, 1);
        world.with(|state| state.unit(0).timer = false);
        assert_eq!(world.hook(0, &notice()), Outcome::Done);
        assert!(
            !world.with(|state| state.unit(0).timer),
            "nothing fails any more"
        );
    }
}

#[test]
fn a_kubernetes_api_that_fails_stops_no_hook_and_no_member() {
    for fault in [KubeFault::Internal, KubeFault::Silent] {
        let world = deployed(3);
        world.with(|state| state.kube_fault = Some(fault));
        for ordinal in 0..3 {
            for event in [Event::UpdateStatus, Event::ConfigChanged] {
                assert_eq!(world.hook(ordinal, &event), Outcome::Done);
            }
            assert_eq!(world.status(ordinal).0, "active");
        }
        assert_eq!(world.status(0).1, "Primary (Kubernetes API fails)");
        world.with(|state| state.kube_fault = None);
        world.settle();
        assert_stands(&world, 3);
    }
}

#[test]
fn a_wrong_option_blocks_with_its_name_value_and_range_and_changes_nothing() {
    let world = deployed(3);
    let files = world.with(|state| state.units[&0].files.clone());
    let dynamic = world.with(|state| state.dynamic.clone());
    for (option, value, says) in [
        (
            "connection_authentication_timeout",
            json!(9999),
            "connection_authentication_timeout=9999 is not allowed, use 1 to 600",
        ),
        ("profile", json!("huge"), "profile=huge is not allowed"),
        (
            "synchronous_node_count",
            json!("most"),
            "synchronous_node_count=most is not allowed",
        ),
        ("no_such_option", json!(1), ""),
    ] {
        world.with(|state| state.config = [(option.to_owned(), value)].into());
        for ordinal in 0..3 {
            assert_eq!(world.hook(ordinal, &Event::ConfigChanged), Outcome::Done);
        }
        let (word, message) = world.status(0);
        if says.is_empty() {
            assert_eq!(
                word, "active",
                "an option of another revision is not ours to judge"
            );
        } else {
            assert_eq!(
                (word.as_str(), message.contains(says)),
                ("blocked", true),
                "{message}"
            );
        }
        assert_eq!(world.with(|state| state.units[&0].files.clone()), files);
        assert_eq!(world.with(|state| state.dynamic.clone()), dynamic);
    }
    world.with(|state| state.config.clear());
    for ordinal in 0..3 {
        world.hook(ordinal, &Event::ConfigChanged);
    }
    world.settle();
    assert_stands(&world, 3);
}

#[test]
fn databags_that_no_charm_wrote_harm_nothing() {
    let world = World::of(3);
    world.with(|state| {
        state
            .app_bag
            .insert("endpoints".into(), "{\"not\": a list".into());
        for unit in state.units.values_mut() {
            unit.bag
                .insert("pgdata".into(), "'; DROP TABLE x; --".into());
            unit.bag.insert("member".into(), "\u{0}".into());
        }
    });
    for ordinal in 0..3 {
        for event in first_hooks(ordinal == 0) {
            assert_eq!(world.hook(ordinal, &event), Outcome::Done);
        }
    }
    world.settle();
    assert_stands(&world, 3);
}

#[test]
fn an_image_without_postgresql_is_named_as_the_problem() {
    let world = World::of(1);
    world.with(|state| state.unit(0).bare_image = true);
    for event in first_hooks(true) {
        assert_eq!(world.hook(0, &event), Outcome::Done);
    }
    let told = "the workload image has no PostgreSQL's binaries";
    assert_eq!(world.status(0), ("blocked".into(), told.into()));
}

#[test]
fn pebble_that_does_not_answer_is_waited_for() {
    let world = deployed(3);
    world.with(|state| {
        let unit = state.unit(2);
        unit.pebble = false;
        unit.postgres_runs = false;
    });
    assert_eq!(world.hook(2, &Event::UpdateStatus), Outcome::Done);
    let told = "waiting for Pebble in container postgresql";
    assert_eq!(world.status(2), ("waiting".into(), told.into()));
    world.with(|state| {
        let unit = state.unit(2);
        // A new container: its own files are gone, the volume's are not.
        unit.pebble = true;
        unit.layer = pebble::Layer::default();
        unit.service = ServiceState::Absent;
        unit.files
            .retain(|path, _| path.starts_with("/var/lib/postgresql/data"));
        unit.starts = 0;
    });
    world.hook(2, &pebble_ready());
    world.settle();
    assert_stands(&world, 3);
}

#[test]
fn no_password_is_ever_said() {
    let world = deployed(3);
    world.with(|state| {
        assert!(state.made_up >= 5);
        assert!(!state.said.contains("made-up-secret"));
        assert!(
            state
                .effects
                .iter()
                .all(|effect| !effect.contains("made-up-secret"))
        );
        for bag in state
            .units
            .values()
            .map(|unit| &unit.bag)
            .chain([&state.app_bag])
        {
            assert!(bag.values().all(|value| !value.contains("made-up-secret")));
        }
        for unit in state.units.values() {
            for (path, file) in &unit.files {
                let has = String::from_utf8_lossy(&file.content).contains("made-up-secret");
                assert!(!has || file.mode == 0o600, "{path} can be read by others");
            }
            assert!(!format!("{:?}", unit.layer).contains("made-up-secret"));
        }
    });
}

#[test]
fn a_process_that_dies_after_any_effect_leaves_what_the_next_hook_completes() {
    let undisturbed = deployed(3).with(|state| state.outcome());
    for dying in [0_usize, 1, 2, 4, 5, 6] {
        for effect in 1.. {
            let world = World::of(3);
            let mut died = false;
            for ordinal in 0..3 {
                for (n, event) in first_hooks(ordinal == 0).iter().enumerate() {
                    if ordinal == 0 && n == dying {
                        world.with(|state| state.dies_after = Some(effect));
                        died = world.hook(0, event) == Outcome::Died;
                        world.with(|state| state.dies_after = None);
                    }
                    assert_eq!(world.hook(ordinal, event), Outcome::Done);
                }
            }
            world.settle();
            let outcome = world.with(|state| state.outcome());
            for (got, expected) in outcome.iter().zip(&undisturbed) {
                assert_eq!(got, expected, "hook {dying}, effect {effect}");
            }
            if !died {
                break;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Each unit's hooks come in their order, but units interleave as they like, hooks come twice,
    /// Patroni is sometimes slower and sometimes faster, and leadership moves.
    #[test]
    fn any_interleaving_ends_in_the_same_cluster(
        units in 1_u32..5,
        turns in proptest::collection::vec((any::<Index>(), 0_u8..20), 1..60),
    ) {
        let world = World::of(units);
        let mut queues: Vec<Vec<Event>> = (0..units).map(|o| first_hooks(o == 0)).collect();
        for (who, chance) in turns {
            let ordinal = u32::try_from(who.index(units as usize)).unwrap();
            let queue = &mut queues[ordinal as usize];
            let event = match chance {
                0 => Event::UpdateStatus,
                1 => notice(),
                2 | 3 => peers_changed(),
                4 => {
                    world.with(|state| state.leader = ordinal);
                    Event::LeaderElected
                }
                5 | 6 => {
                    world.with(support::State::let_patroni_work);
                    continue;
                }
                _ if queue.is_empty() => continue,
                _ => queue.remove(0),
            };
            // Juju runs no other hook before a unit's first ones.
            if chance <= 4 && queue.len() + 3 > first_hooks(false).len() {
                continue;
            }
            prop_assert_eq!(world.hook(ordinal, &event), Outcome::Done);
        }
        for (ordinal, queue) in queues.into_iter().enumerate() {
            for event in queue {
                prop_assert_eq!(world.hook(u32::try_from(ordinal).unwrap(), &event), Outcome::Done);
            }
        }
        world.settle();
        assert_stands(&world, units);
    }
}

#[test]
fn a_departing_unit_leaves_the_list_of_members_and_the_policy_follows_when_it_has_gone() {
    let world = deployed(3);
    world.with(|state| state.unit(2).dying = true);
    let mut event = peers();
    event.departing_unit = Some("postgresql-k8s/2".into());
    assert_eq!(
        world.hook(0, &Event::RelationDeparted(event)),
        Outcome::Done
    );
    world.with(|state| {
        let endpoints = &state.app_bag["endpoints"];
        assert!(!endpoints.contains("postgresql-k8s-2."), "{endpoints}");
        // With fewer, Patroni might keep the one that leaves.
        assert_eq!(state.dynamic["synchronous_node_count"], json!(2));
        assert!(state.unit(0).timer);
        state.units.remove(&2);
    });
    assert_eq!(world.hook(0, &Event::UpdateStatus), Outcome::Done);
    world.with(|state| assert_eq!(state.dynamic["synchronous_node_count"], json!(1)));
}

#[test]
fn a_unit_that_stops_hands_over_first() {
    let world = deployed(3);
    assert_eq!(world.with(|state| state.holder), Some(0));
    world.with(|state| state.unit(0).dying = true);
    assert_eq!(world.hook(0, &Event::Stop), Outcome::Done);
    world.with(State::let_patroni_work);
    assert_ne!(world.with(|state| state.holder), Some(0));
    // Hooks that still come to it leave its member ended.
    assert_eq!(world.hook(0, &peers_changed()), Outcome::Done);
    assert_eq!(
        world.with(|state| state.unit(0).service),
        ServiceState::Inactive
    );
}

#[test]
fn a_primary_that_leaves_right_after_its_promotion_waits_until_another_may_lead() {
    let world = deployed(3);
    world.with(|state| {
        state.promote(2);
        state.unit(1).dying = true;
        state.unit(2).dying = true;
    });
    for ordinal in [2, 1] {
        let detaching = Event::StorageDetaching(StorageEvent::default());
        assert_eq!(world.hook(ordinal, &detaching), Outcome::Done);
        assert_eq!(
            world.with(|state| state.unit(ordinal).service),
            ServiceState::Inactive
        );
    }
    world.with(State::let_patroni_work);
    assert_eq!(world.with(|state| state.holder), Some(0));
}

#[test]
fn services_that_somebody_has_deleted_are_made_again() {
    let world = deployed(3);
    world.with(|state| {
        state.services.clear();
        state.headless = false;
    });
    assert_eq!(world.hook(1, &Event::UpdateStatus), Outcome::Done);
    let (word, message) = world.status(1);
    assert_eq!(word, "blocked", "{message}");
    assert!(
        message.contains("postgresql-k8s-endpoints is gone"),
        "{message}"
    );
    world.settle();
    assert!(world.with(|state| state.headless));
    assert_stands(&world, 3);
}

#[test]
fn a_leaving_primary_that_nobody_can_follow_serves_on() {
    let world = deployed(3);
    world.with(|state| {
        for ordinal in 0..3 {
            state.unit(ordinal).dying = true;
        }
    });
    assert_eq!(world.hook(0, &Event::Stop), Outcome::Done);
    assert_eq!(
        world.with(|state| state.unit(0).service),
        ServiceState::Active
    );
}

#[test]
fn where_the_unit_stays_stop_ends_nothing_that_only_the_agent_would_have_ended() {
    let world = deployed(3);
    assert_eq!(world.hook(0, &Event::Stop), Outcome::Done);
    assert_eq!(
        world.with(|state| state.unit(0).service),
        ServiceState::Active
    );
}

#[test]
fn parameters_that_need_it_restart_the_standbys_first_and_the_primary_last() {
    let world = deployed(3);
    world.with(|state| {
        for unit in state.units.values_mut() {
            unit.pending_restart = true;
        }
    });
    world.settle();
    assert_eq!(world.with(|state| state.restarts.clone()), [1, 2, 0]);
    assert_stands(&world, 3);
    assert!(!world.with(|state| state.app_bag.contains_key("restarted")));
}

#[test]
fn a_lowered_parameter_gives_each_standby_a_second_restart_and_no_third() {
    let world = deployed(3);
    world.with(|state| {
        state.lowered = true;
        for unit in state.units.values_mut() {
            unit.pending_restart = true;
        }
    });
    world.settle();
    assert_eq!(world.with(|state| state.restarts.clone()), [1, 2, 0, 1, 2]);
    world.with(|state| {
        // Whatever the reason: what a restart does not clear is not tried for ever.
        state.restarts.clear();
        state.lowered = true;
        state.unit(1).pending_restart = true;
    });
    world.settle();
    assert_eq!(world.with(|state| state.restarts.clone()), [1]);
}

#[test]
fn no_member_is_restarted_while_another_is_missing() {
    let world = deployed(3);
    world.with(|state| {
        state.unit(1).pending_restart = true;
        let missing = state.unit(2);
        missing.pebble = false;
        missing.postgres_runs = false;
    });
    assert_eq!(world.hook(0, &Event::UpdateStatus), Outcome::Done);
    assert_eq!(world.with(|state| state.restarts.len()), 0);
}

#[test]
fn what_is_logged_outlives_the_container_and_what_the_image_has_there_is_kept() {
    let world = World::of(1);
    let file = |content: &[u8]| support::File {
        content: content.to_vec(),
        mode: 0o600,
        user: "postgres".into(),
    };
    world.with(|state| {
        let files = &mut state.unit(0).files;
        files.insert("/var/log/postgresql".into(), file(b""));
        files.insert("/var/log/postgresql/patroni.log".into(), file(b"before"));
    });
    world.come_up();
    let logs = "/var/lib/postgresql/data/logs";
    world.with(|state| {
        let files = &state.units[&0].files;
        let owner = |path: &str| (files[path].mode, files[path].user.clone());
        assert_eq!(owner(logs), (0o700, "postgres".into()));
        assert_eq!(files[&format!("{logs}/patroni.log")].content, b"before");
        assert!(!files.contains_key("/var/log/postgresql/patroni.log"));
    });
    // A new container has the image's directory again.
    world.with(|state| {
        let unit = state.unit(0);
        unit.files
            .retain(|path, _| path.starts_with("/var/lib/postgresql/data"));
        (unit.service, unit.layer) = (ServiceState::Absent, pebble::Layer::default());
        unit.files.insert("/var/log/postgresql".into(), file(b""));
    });
    assert_eq!(world.hook(0, &pebble_ready()), Outcome::Done);
    let effects = world.with(|state| state.effects.clone());
    let linked = effects
        .iter()
        .position(|e| e == &format!("ln -sfn {logs} /var/log/postgresql"));
    let started = effects.iter().position(|effect| effect == "replan");
    assert!(linked.is_some() && linked < started, "{effects:?}");
}

#[test]
fn a_pod_is_not_ready_before_its_server_answers() {
    let world = World::of(1);
    world.come_up();
    world.with(|state| {
        let check = &state.units[&0].layer.checks["postgresql"];
        assert_eq!((check.level.as_str(), check.threshold), ("ready", Some(1)));
        let unit = state.unit(0);
        (unit.service, unit.layer) = (ServiceState::Absent, pebble::Layer::default());
    });
    assert_eq!(world.hook(0, &pebble_ready()), Outcome::Done);
    let effects = world.with(|state| state.effects.clone());
    let at = |what: &str| effects.iter().position(|effect| effect == what).unwrap();
    assert!(at("add layer") < at("check postgresql") && at("check postgresql") < at("replan"));
}
