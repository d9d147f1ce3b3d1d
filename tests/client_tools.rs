//! Clients by way of the hook tools: what Juju holds for them, and how many processes that took.

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

use juju::harness::{Harness, Outcome, Owner, Relation, Secret, State, Storage, Trigger};
use juju::{Context, Event, Status};
use postgresql_k8s::handlers::Hook;
use postgresql_k8s::juju_port::HookJuju;
use postgresql_k8s::run;
use support::World;

const SECRETS: &str = r#"["username", "password", "tls", "tls-ca", "uris", "read-only-uris"]"#;

fn harness() -> Harness {
    Harness::from_dir(env!("CARGO_MANIFEST_DIR")).unwrap()
}

fn run(world: &World, trigger: impl Into<Trigger>, state: &State) -> Outcome {
    let outcome = harness()
        .run(trigger, state, |env, tools| {
            let context = Context::for_hook(env, tools);
            let juju = HookJuju::new(env, &context);
            world.ports(env.ordinal(), |ports| {
                let hook = Hook { juju: &juju, ports };
                run::handle(env, &context, &hook)
            })
        })
        .unwrap();
    assert_eq!(outcome.failure, None);
    outcome
}

/// A leader's unit whose cluster stands, and the world around it.
fn standing() -> (World, State) {
    let world = World::of(1);
    let mut state = State::default()
        .leading()
        .with_relation(Relation::peer("database-peers", 0))
        .with_storage(Storage::new("pgdata", 0, "/var/lib/postgresql/data"))
        .with_container("postgresql", true);
    state.planned_units = 1;
    state.model.name = support::MODEL.into();
    let notice = Trigger::pebble_custom_notice("postgresql", "1", "postgresql-k8s.charm/patroni");
    for event in [
        Trigger::from(Event::LeaderElected),
        Trigger::pebble_ready("postgresql"),
        Trigger::from(Event::Start),
        notice.clone(),
        notice,
    ] {
        state = run(&world, event, &state).state;
        world.with(support::State::let_patroni_work);
    }
    assert_eq!(state.unit_status, Some(Status::active("Primary")));
    (world, state)
}

fn client(number: u32) -> Relation {
    Relation::new("database", number, &format!("app{number}"))
        .remote_app([("database", "shop"), ("requested-secrets", SECRETS)])
        .unit(0, [])
}

fn changed(state: &State, number: u32) -> Trigger {
    harness().relation_changed(state.relation(number).unwrap(), Some(0))
}

/// The relation breaks, its units being gone.
fn broken(state: &mut State, number: u32) -> Trigger {
    for relation in &mut state.relations {
        if relation.id == number {
            relation.remote_units.clear();
        }
    }
    harness().relation_broken(state.relation(number).unwrap())
}

#[test]
fn credentials_lie_in_a_secret_of_the_application_that_the_relation_alone_may_read() {
    let (world, state) = standing();
    let state = state.with_relation(client(5));
    let outcome = run(&world, changed(&state, 5), &state);
    let secret = outcome.state.secret("database.5.user.secret").unwrap();
    assert_eq!(secret.owner, Owner::Application);
    let grants: Vec<u32> = secret.grants.iter().map(|grant| grant.relation).collect();
    assert_eq!(grants, [5]);
    let bag = &outcome.state.relation(5).unwrap().local_app;
    let bare = secret.id.strip_prefix("secret:").unwrap_or(&secret.id);
    assert!(bag["secret-user"].starts_with("secret://") && bag["secret-user"].ends_with(bare));
    let password = &secret.content()["password"];
    assert!(!format!("{bag:?}").contains(password));
    assert!(!format!("{:?}", outcome.logs).contains(password));
    // The next hook notes that there is a new database, and that it has its extensions.
    let noted = run(&world, changed(&outcome.state, 5), &outcome.state);
    let again = run(&world, changed(&noted.state, 5), &noted.state);
    assert_eq!(again.state, noted.state, "a repeated hook changes nothing");
}

#[test]
fn a_relation_that_goes_takes_its_secrets_with_it() {
    let (world, state) = standing();
    let mut state = state.with_relation(client(5)).with_relation(client(6));
    for number in [5, 6] {
        state = run(&world, changed(&state, number), &state).state;
    }
    let broken = broken(&mut state, 5);
    let state = run(&world, broken, &state).state;
    assert!(state.secret("database.5.user.secret").is_none());
    assert!(state.secret("database.5.tls.secret").is_none());
    assert!(state.secret("database.6.user.secret").is_some());
    assert_eq!(world.client_users(), ["relation_id_6"]);
}

#[test]
fn a_unit_that_is_dying_removes_nobody() {
    let (world, state) = standing();
    let mut state = state.with_relation(client(5));
    state = run(&world, changed(&state, 5), &state).state;
    state.dying_units.insert(0);
    let broken = broken(&mut state, 5);
    run(&world, broken, &state);
    assert_eq!(world.client_users(), ["relation_id_5"]);
}

#[test]
fn a_hook_at_a_hundred_relations_takes_the_processes_that_it_takes_at_one() {
    let (world, state) = standing();
    let mut state = state.with_relation(client(3));
    for _ in 0..2 {
        state = run(&world, changed(&state, 3), &state).state;
    }
    let count = |state: &State, trigger: Trigger| run(&world, trigger, state).calls.len();
    let quiet = count(&state, Event::UpdateStatus.into());
    let config = count(&state, Event::ConfigChanged.into());
    let repeated = count(&state, changed(&state, 3));
    for number in 4..=102 {
        state = state.with_relation(client(number));
        state = run(&world, changed(&state, number), &state).state;
    }
    assert_eq!(count(&state, Event::UpdateStatus.into()), quiet);
    assert_eq!(count(&state, Event::ConfigChanged.into()), config);
    assert_eq!(count(&state, changed(&state, 3)), repeated);
    // One that comes to lead looks at all: who asks, what it asks and has, and its two secrets.
    let all = count(&state, Event::LeaderElected.into());
    assert!(all <= quiet + 100 * 5, "{all}");
    let new = state.clone().with_relation(client(103));
    let first = count(&new, changed(&new, 103));
    println!("processes: quiet {quiet}, repeated {repeated}, first {first}");
    assert!(
        quiet <= 14 && repeated <= 26 && first <= 30,
        "{quiet} {repeated} {first}"
    );
    let memory = &state.charm_state["clients"];
    assert!(memory.len() < 64 * 1024 / 4, "{} bytes", memory.len());
}

#[test]
fn a_hook_that_tells_a_unit_nothing_takes_no_process_to_find_out() {
    let (world, state) = standing();
    let mut state = state.with_relation(client(3));
    let calls = |state: &State, trigger: Trigger| run(&world, trigger, state).calls;
    let joined = harness().relation_joined(state.relation(3).unwrap(), 0);
    assert_eq!(calls(&state, joined), []);
    state.leader = false;
    for trigger in [
        harness().relation_created(state.relation(3).unwrap()),
        changed(&state, 3),
        harness().relation_changed(state.relation(3).unwrap(), None),
    ] {
        let calls = calls(&state, trigger);
        let tools: Vec<&str> = calls.iter().map(|call| call.tool.as_str()).collect();
        assert_eq!(tools, ["is-leader"]);
    }
    assert!(world.client_users().is_empty());
    // Once it leads, it serves whom it has passed by.
    state.leader = true;
    run(&world, Event::LeaderElected, &state);
    assert_eq!(world.client_users(), ["relation_id_3"]);
}

#[test]
fn new_credentials_come_by_a_new_revision_and_the_old_ones_go_with_the_old_revision() {
    let (world, state) = standing();
    let mut state = state.with_relation(client(5));
    for _ in 0..2 {
        state = run(&world, changed(&state, 5), &state).state;
    }
    let label = "database.5.user.secret";
    assert_eq!(state.secret(label).unwrap().tracked, Some(1));
    let rotate = Trigger::action("rotate-client-credentials").param("relation-id", 5);
    let outcome = run(&world, rotate, &state);
    assert!(outcome.succeeded(), "{:?}", outcome.action);
    let state = outcome.state;
    let secret = state.secret(label).unwrap();
    assert_eq!(secret.content()["username"], "relation_id_5__2");
    assert_eq!(secret.tracked, Some(2), "Juju tells only what no unit has");
    let password = secret.content()["password"].clone();
    assert!(!format!("{:?} {:?}", outcome.logs, outcome.action).contains(&password));
    let logs_in = |user: &str| world.with(|state| state.roles[user].login);
    assert!(logs_in("relation_id_5") && logs_in("relation_id_5__2"));
    let gone = Trigger::secret_remove(secret, 1);
    let state = run(&world, gone, &state).state;
    assert!(!logs_in("relation_id_5") && logs_in("relation_id_5__2"));
    let listed = run(&world, Trigger::action("list-clients"), &state);
    let told = format!("{:?}", listed.action);
    assert!(
        told.contains("relation_id_5__2") && !told.contains(&password),
        "{told}"
    );
}

#[test]
fn a_former_leader_keeps_no_old_credentials_in_use() {
    let (world, mut state) = standing();
    state.leader = false;
    let secret = Secret::new(Owner::Application, "database.5.user.secret", [("a", "b")]);
    let secret = secret.revision([("a", "c")]).tracking(1);
    let state = state.with_secret(secret.clone());
    let state = run(&world, Trigger::secret_changed(&secret), &state).state;
    assert_eq!(
        state.secret("database.5.user.secret").unwrap().tracked,
        Some(2)
    );
}
