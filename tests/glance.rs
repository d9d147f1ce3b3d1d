//! Hooks in which Juju tells a unit of another one's databag: who looks at everything, who does not, and
//! what that takes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::struct_excessive_bools,
    unused_imports,
    reason = "a test fails by them"
)]

mod support;

use cluster_plan::observed::ServiceState;
use juju::harness::{Harness, Relation, State, Trigger};
use juju::{Context, Event, Status};
use postgresql_k8s::handlers::Hook;
use postgresql_k8s::juju_port::HookJuju;
use postgresql_k8s::run;
use support::{Outcome, World, changed_by, notice, pebble_ready, peers_changed, peers_created};

/// Three units; the first leads and is the primary.
fn deployed() -> World {
    let world = World::of(3);
    world.come_up();
    world
}

/// Whether the unit looks at everything in this hook: it puts back labels of its pod that are gone.
fn looks(world: &World, ordinal: u32, event: &Event) -> bool {
    world.with(|state| state.unit(ordinal).labels.clear());
    assert_eq!(world.hook(ordinal, event), Outcome::Done);
    let looked = world.with(|state| state.effects.iter().any(|effect| effect == "label pod"));
    assert_eq!(world.hook(ordinal, &notice()), Outcome::Done);
    looked
}

#[test]
fn a_standby_that_streams_leaves_another_units_databag_alone() {
    let world = deployed();
    assert!(!looks(&world, 1, &changed_by(0)));
    assert!(!looks(&world, 1, &changed_by(2)));
    assert!(looks(&world, 1, &peers_changed()), "the application's bag");
    assert!(looks(&world, 1, &Event::UpdateStatus));
}

#[test]
fn the_leader_and_the_primarys_unit_look() {
    let world = deployed();
    assert!(looks(&world, 0, &changed_by(1)));
    world.with(|state| state.leader = 2);
    assert_eq!(world.hook(2, &Event::LeaderElected), Outcome::Done);
    assert_eq!(world.with(|state| state.holder), Some(0));
    assert!(looks(&world, 0, &changed_by(1)), "it is still the primary");
    assert!(looks(&world, 2, &changed_by(1)), "it leads now");
    assert!(!looks(&world, 1, &changed_by(2)));
    // Another leads the cluster, and no notice has told of it yet.
    world.with(|state| state.holder = Some(1));
    assert!(looks(&world, 1, &changed_by(2)));
}

#[test]
fn a_standby_that_does_not_stream_looks() {
    let world = deployed();
    world.with(|state| {
        let at = state.units[&2].volume.as_ref().unwrap().1;
        state.write();
        state.write();
        state.unit(2).volume.as_mut().unwrap().1 = at;
        state.oldest_wal = at + 1;
        assert!(state.cannot_follow(2));
    });
    assert_eq!(world.hook(2, &changed_by(0)), Outcome::Done);
    assert_eq!(world.with(|state| state.reinitialised.clone()), [2]);
}

#[test]
fn a_member_that_starts_for_the_first_time_is_woken_by_its_start() {
    let world = deployed();
    world.with(|state| state.add_unit(3));
    assert_eq!(world.hook(3, &peers_created()), Outcome::Done);
    assert_eq!(world.hook(3, &pebble_ready()), Outcome::Done);
    let starts = ("waiting".into(), "awaiting for member to start".into());
    assert_eq!(world.status(3), starts);
    assert!(!looks(&world, 3, &changed_by(0)));
    world.with(support::State::let_patroni_work);
    assert!(world.with(|state| state.units[&3].postgres_runs));
    // Even before the callback's notice has come, it shows.
    assert_eq!(world.hook(3, &changed_by(0)), Outcome::Done);
    let waits = "awaiting to become a synchronous standby";
    assert_eq!(world.status(3), ("waiting".into(), waits.into()));
    // Nothing tells that it has: it looks again by itself.
    assert!(world.with(|state| state.unit(3).timer));
    world.with(support::State::let_patroni_work);
    assert_eq!(world.hook(3, &notice()), Outcome::Done);
    assert_eq!(world.status(3), ("active".into(), String::new()));
}

#[test]
fn a_unit_whose_patroni_does_not_run_looks() {
    let world = deployed();
    world.with(|state| {
        let unit = state.unit(1);
        (unit.service, unit.postgres_runs) = (ServiceState::Inactive, false);
    });
    assert_eq!(world.hook(1, &changed_by(0)), Outcome::Done);
    let service = world.with(|state| state.units[&1].service);
    assert_eq!(service, ServiceState::Active);
}

#[test]
fn a_unit_whose_last_word_was_not_that_all_is_well_looks() {
    let world = deployed();
    let told = ("waiting".to_owned(), "awaiting for member to start".into());
    world.with(|state| state.unit(1).status = told);
    assert_eq!(world.hook(1, &changed_by(0)), Outcome::Done);
    assert_eq!(world.status(1), ("active".into(), String::new()));
}

#[test]
fn a_unit_without_passwords_takes_them_in_whatever_hook() {
    let world = World::of(2);
    assert_eq!(world.hook(1, &pebble_ready()), Outcome::Done);
    let waits = "waiting for the leader's passwords";
    assert_eq!(world.status(1).1, waits);
    assert_eq!(world.hook(0, &Event::LeaderElected), Outcome::Done);
    assert_eq!(world.hook(1, &changed_by(0)), Outcome::Done);
    assert_ne!(world.status(1).1, waits);
}

#[test]
fn a_unit_whose_authorities_change_looks_at_each_word_of_the_others() {
    let world = deployed();
    world.with(|state| {
        let own = state.units[&1].bag["tls-state"].clone();
        let mut own: serde_json::Value = serde_json::from_str(&own).unwrap();
        let trusts = own["trusts"].as_array_mut().unwrap();
        trusts.push("another".into());
        let bag = &mut state.unit(1).bag;
        bag.insert("tls-state".into(), own.to_string());
    });
    world.with(|state| state.unit(1).labels.clear());
    assert_eq!(world.hook(1, &changed_by(0)), Outcome::Done);
    let effects = world.with(|state| state.effects.clone());
    assert!(effects.iter().any(|e| e == "label pod"), "{effects:?}");
}

/// What Juju holds for a unit of `deployed`, and the tools that its hook runs.
fn tools(
    world: &World,
    ordinal: u32,
    trigger: impl Fn(&Harness, &Relation) -> Trigger,
) -> Vec<String> {
    let (bag, app, message) = world.with(|state| {
        let unit = &state.units[&ordinal];
        (
            unit.bag.clone(),
            state.app_bag.clone(),
            unit.status.1.clone(),
        )
    });
    let pairs = |bag: &std::collections::BTreeMap<String, String>| {
        let pairs = bag.iter().map(|(k, v)| (k.clone(), v.clone()));
        pairs.collect::<Vec<_>>()
    };
    let mut relation = Relation::peer("database-peers", 0);
    relation.local_unit.extend(pairs(&bag));
    relation.local_app.extend(pairs(&app));
    for other in (0..3).filter(|other| *other != ordinal) {
        relation = relation.unit(other, [("member", "replica")]);
    }
    let mut state = State::default()
        .with_relation(relation.clone())
        .with_container("postgresql", true);
    state.leader = world.with(|state| state.leader) == ordinal;
    state.unit_status = Some(Status::active(message));
    state.planned_units = 3;
    state.model.name = support::MODEL.into();
    let harness = Harness::from_dir(env!("CARGO_MANIFEST_DIR")).unwrap();
    let harness = harness.as_unit(&format!("{}/{ordinal}", support::APP));
    let outcome = harness
        .run(trigger(&harness, &relation), &state, |env, tools| {
            let context = Context::for_hook(env, tools);
            let juju = HookJuju::new(env, &context);
            world.ports(env.ordinal(), |ports| {
                run::handle(env, &context, &Hook { juju: &juju, ports })
            })
        })
        .unwrap();
    assert_eq!(outcome.failure, None);
    outcome.calls.iter().map(|call| call.tool.clone()).collect()
}

#[test]
fn to_leave_a_databag_alone_takes_four_processes() {
    let world = deployed();
    let short = tools(&world, 1, |harness, relation| {
        harness.relation_changed(relation, Some(2))
    });
    assert_eq!(
        short,
        ["is-leader", "relation-get", "status-get", "relation-get"]
    );
    let joined = tools(&world, 1, |harness, relation| {
        harness.relation_joined(relation, 2)
    });
    assert!(joined.is_empty(), "{joined:?}");
}

#[test]
fn a_hook_of_the_peers_relation_does_not_ask_which_that_is() {
    let world = deployed();
    for ordinal in [0, 1] {
        let full = tools(&world, ordinal, |harness, relation| {
            harness.relation_changed(relation, None)
        });
        assert!(full.contains(&"goal-state".to_owned()), "{full:?}");
        assert!(!full.contains(&"relation-ids".to_owned()), "{full:?}");
    }
}

#[test]
fn a_timer_for_what_was_missing_ends_as_soon_as_nothing_is() {
    let world = deployed();
    world.with(|state| {
        let unit = state.unit(1);
        (unit.postgres_runs, unit.timer) = (false, false);
    });
    assert_eq!(world.hook(1, &notice()), Outcome::Done);
    assert!(world.with(|state| state.units[&1].timer), "it looks again");
    world.with(|state| state.unit(1).postgres_runs = true);
    assert_eq!(world.hook(1, &notice()), Outcome::Done);
    assert!(!world.with(|state| state.units[&1].timer));
    // One that was set for something else stays.
    world.with(|state| {
        let unit = state.unit(1);
        (unit.timer, unit.timer_for_missing) = (true, false);
    });
    assert_eq!(world.hook(1, &notice()), Outcome::Done);
    assert!(world.with(|state| state.units[&1].timer));
}

#[test]
fn a_standby_that_streams_by_now_needs_no_timer_to_see_it() {
    let world = deployed();
    world.with(|state| {
        let unit = state.unit(1);
        (unit.timer, unit.timer_for_missing) = (true, true);
    });
    assert_eq!(world.hook(1, &changed_by(2)), Outcome::Done);
    assert!(!world.with(|state| state.units[&1].timer));
}
