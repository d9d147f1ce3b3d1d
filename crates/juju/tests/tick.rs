//! The example charm, without Juju.

// Helpers of tests are tests, too.
#![allow(clippy::unwrap_used)]

#[path = "../examples/tick/charm.rs"]
mod charm;

use std::process::Command;

use juju::harness::{Fault, Harness, Outcome, Owner, Relation, Secret, State, Trigger};
use juju::{Event, Status, run_hook};

const DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/tick");

fn tick() -> Harness {
    Harness::from_dir(DIR).unwrap()
}

fn run(harness: &Harness, trigger: impl Into<Trigger>, state: &State) -> Outcome {
    harness
        .run(trigger, state, |env, tools| {
            run_hook(env, tools, charm::hook)
        })
        .unwrap()
}

fn peers() -> Relation {
    Relation::peer("ticks", 0).unit(1, [("count", "4")])
}

/// A state in which the leader has done its part.
fn settled() -> State {
    let state = State::default().leading().with_relation(peers());
    run(&tick(), Event::ConfigChanged, &state).state
}

#[test]
fn without_its_peer_relation_it_waits() {
    let outcome = run(&tick(), Event::Install, &State::default());
    assert_eq!(outcome.failure, None);
    let waiting = Status::waiting("for the peer relation");
    assert_eq!(outcome.state.unit_status, Some(waiting));
    let action = run(&tick(), Trigger::action("add"), &State::default());
    assert!(!action.succeeded());
}

#[test]
fn the_leader_makes_a_token_and_sums_up() {
    let state = settled();
    assert_eq!(state.unit_status, Some(Status::active("tick 0")));
    assert_eq!(state.app_status, Some(Status::active("4 in all")));
    let token = state.secret("token").unwrap();
    assert_eq!(token.owner, Owner::Application);
    assert_eq!(token.content()["token"].len(), 32);
    let bag = &state.relation_of("ticks").unwrap().local_app;
    assert_eq!(
        (bag["token-id"].as_str(), bag["total"].as_str()),
        (token.id.as_str(), "4")
    );
}

#[test]
fn a_second_hook_sends_nothing() {
    let state = settled();
    let outcome = run(&tick(), Event::ConfigChanged, &state);
    assert_eq!(outcome.state, state);
    let writes = |tool: &str| outcome.calls_of(tool).count();
    let all = writes("relation-set") + writes("secret-set") + writes("status-set");
    assert_eq!(all, 0, "{:?}", outcome.calls);
}

#[test]
fn update_status_counts_by_the_configured_step() {
    let state = settled().with_config("step", 3).with_config("word", "tock");
    let once = run(&tick(), Event::UpdateStatus, &state).state;
    let twice = run(&tick(), Event::UpdateStatus, &once).state;
    assert_eq!(twice.unit_status, Some(Status::active("tock 6")));
    assert_eq!(twice.app_status, Some(Status::active("10 in all")));
    assert_eq!(twice.relations[0].local_unit["count"], "6");
}

#[test]
fn a_step_below_1_blocks() {
    let state = settled().with_config("step", -1);
    let outcome = run(&tick(), Event::UpdateStatus, &state);
    let blocked = Status::blocked("step must be at least 1, not -1");
    assert_eq!(outcome.state.unit_status, Some(blocked));
    assert!(!outcome.state.relations[0].local_unit.contains_key("count"));
}

#[test]
fn the_action_adds_its_typed_amount() {
    let add = Trigger::action("add")
        .param("amount", 5)
        .param("note", "hello");
    let outcome = run(&tick(), add, &settled());
    assert!(outcome.succeeded(), "{outcome:?}");
    assert_eq!(outcome.action.unwrap().results["count"], "5");
    assert_eq!(outcome.state.app_status, Some(Status::active("9 in all")));
    let default = run(&tick(), Trigger::action("add"), &settled());
    assert_eq!(default.action.unwrap().results["count"], "1");
    let text = Trigger::action("add").param("amount", "5");
    assert_eq!(tick().problems(&text, &settled()).len(), 1);
}

#[test]
fn only_the_leader_renews_the_token() {
    let state = settled();
    let renewed = run(&tick(), Trigger::action("renew-token"), &state);
    assert!(renewed.succeeded());
    assert_eq!(renewed.state.secret("token").unwrap().latest(), 2);

    let follower = State {
        leader: false,
        ..state
    };
    let refused = run(&tick(), Trigger::action("renew-token"), &follower);
    let failure = refused.action.unwrap().failure;
    assert_eq!(
        failure.as_deref(),
        Some("only the leader can renew the token")
    );
    assert_eq!(refused.state.secret("token").unwrap().latest(), 1);
}

#[test]
fn a_rotation_makes_a_new_token_with_the_hook_or_not_at_all() {
    let state = settled();
    let rotate = Trigger::secret_rotate(state.secret("token").unwrap());
    let token = |outcome: &Outcome| outcome.state.secret("token").unwrap().content();
    let rotated = run(&tick(), rotate.clone(), &state);
    assert_ne!(token(&rotated), state.secret("token").unwrap().content());
    let calls = rotated.calls.len();
    // Wherever leadership is lost or the process dies, the token is the old one or the new one is
    // where everybody reads it.
    for after_calls in 0..=calls {
        for fault in [
            Fault::LeadershipLost { after_calls },
            Fault::Killed { after_calls },
        ] {
            let outcome = run(&tick().with_fault(fault.clone()), rotate.clone(), &state);
            let changed = token(&outcome) != state.secret("token").unwrap().content();
            assert!(!(changed && outcome.failure.is_some()), "{fault:?}");
        }
    }
}

#[test]
fn a_follower_reads_the_leader_s_token_and_waits_for_it() {
    let harness = tick().as_unit("tick/1");
    let secret = Secret::new(Owner::Application, "token", [("token", "x")]);
    let peers = Relation::peer("ticks", 0).unit(0, []);
    let waiting = State::default().with_relation(peers.clone());
    let outcome = run(&harness, Event::Start, &waiting);
    let status = Status::waiting("for the leader's token");
    assert_eq!(outcome.state.unit_status, Some(status));

    let told = peers.local_app([("token-id", secret.id.as_str())]);
    let changed = harness.relation_changed(&told, None);
    let state = State::default().with_relation(told).with_secret(secret);
    let outcome = run(&harness, changed, &state);
    assert_eq!(outcome.state.unit_status, Some(Status::active("tick 0")));
    assert_eq!(outcome.calls_of("relation-set").count(), 0);
    assert_eq!(outcome.calls_of("secret-add").count(), 0);
}

#[test]
fn dispatch_runs_the_binary_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let dispatch = dir.path().join("dispatch");
    std::fs::copy(format!("{DIR}/dispatch"), &dispatch).unwrap();
    std::os::unix::fs::symlink("/bin/pwd", dir.path().join("tick")).unwrap();
    let output = Command::new(dispatch).current_dir("/").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "/\n");
}
