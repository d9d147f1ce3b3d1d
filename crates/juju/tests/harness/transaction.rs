//! What lands when.

use std::collections::BTreeMap;

use juju::harness::{Fault, Owner, Secret, State, Trigger};
use juju::{Event, LogLevel, SecretContent, SecretSpec, Status};

use crate::{db, members, run, shop};

/// Does one of everything, and then ends as told.
fn everything(
    exit: i32,
    state: &State,
    harness: &juju::harness::Harness,
) -> juju::harness::Outcome {
    let outcome = harness.run(Event::UpdateStatus, state, |env, tools| {
        let context = juju::Context::for_hook(env, tools);
        context.relation_set("members:1", "shop", "round", "7");
        context.relation_set("members:1", "shop/0", "ready", "yes");
        context.flush().unwrap();
        let password: SecretContent = [("password", "x")].into_iter().collect();
        let spec = SecretSpec {
            owner: "application".into(),
            label: "made".into(),
            ..SecretSpec::default()
        };
        context.secret_add(&password, &spec).unwrap();
        context.open_port("80").unwrap();
        context
            .state_set(&BTreeMap::from([("step".into(), "2".into())]))
            .unwrap();
        context.storage_add("logs", 2).unwrap();
        context.set_status(&Status::waiting("for more")).unwrap();
        context
            .set_application_status(&Status::active("fine"))
            .unwrap();
        context.set_workload_version("1.2").unwrap();
        context.set_leader_settings(&[("old", "way")]).unwrap();
        context.log(LogLevel::Warning, "-- careful").unwrap();
        exit
    });
    outcome.unwrap()
}

fn leading() -> State {
    State::default().leading().with_relation(members())
}

#[test]
fn what_a_hook_writes_lands_when_it_exits_0() {
    let before = leading();
    let outcome = everything(0, &before, &shop());
    assert_eq!(outcome.failure, None);
    let after = &outcome.state;
    let peers = after.relation(1).unwrap();
    assert_eq!(peers.local_app["round"], "7");
    assert_eq!(peers.local_unit["ready"], "yes");
    assert_eq!(after.secret("made").unwrap().content()["password"], "x");
    assert!(after.opened_ports.contains("80/tcp"));
    assert_eq!(after.charm_state["step"], "2");
    assert_eq!(outcome.requested_storages["logs"], 2);
    assert_eq!(before, leading(), "the state given stays as it is");
}

#[test]
fn a_failed_hook_leaves_only_what_takes_effect_at_once() {
    let outcome = everything(1, &leading(), &shop());
    assert_eq!(outcome.failure.as_deref(), Some("exit status 1"));
    let at_once = State {
        unit_status: Some(Status::waiting("for more")),
        app_status: Some(Status::active("fine")),
        workload_version: "1.2".into(),
        leader_settings: juju::harness::bag([("old", "way")]),
        ..leading()
    };
    assert_eq!(outcome.state, at_once);
    assert!(outcome.requested_storages.is_empty());
    assert_eq!(outcome.unit_statuses, [Status::waiting("for more")]);
    assert_eq!(outcome.logs[0].level, "WARNING");
    assert_eq!(outcome.logs[0].message, "-- careful");
}

#[test]
fn a_refused_commit_fails_a_hook_that_exited_0() {
    let harness = shop().with_fault(Fault::CommitRefused {
        text: "quota exceeded".into(),
    });
    let outcome = everything(0, &leading(), &harness);
    assert_eq!(
        outcome.failure.as_deref(),
        Some("cannot apply changes: quota exceeded")
    );
    assert!(outcome.state.opened_ports.is_empty());
}

#[test]
fn leadership_lost_before_the_end_drops_what_needed_it() {
    let write = |entity: &'static str, after_calls| {
        let fault = Fault::LeadershipLost { after_calls };
        run(
            &shop().with_fault(fault),
            Event::UpdateStatus,
            &leading(),
            move |_, context| {
                context.relation_set("members:1", entity, "round", "7");
                context.relation_set("members:1", "shop/0", "ready", "yes");
            },
        )
    };
    // Of the application: a read and a write; of the unit the same.
    let outcome = write("shop", 4);
    assert_eq!(
        outcome.failure.as_deref(),
        Some("cannot apply changes: this unit is not the leader")
    );
    assert!(!outcome.state.leader);
    assert!(!outcome.state.relations[0].local_unit.contains_key("ready"));
    // A hook that never wrote as leader does not care.
    assert_eq!(write("shop/0", 2).failure, None);
    // Lost earlier, the tool itself refuses.
    let refused = write("shop", 1).failure.unwrap();
    assert!(
        refused.ends_with("cannot write relation settings"),
        "{refused}"
    );
}

#[test]
fn a_process_that_is_killed_leaves_what_it_did_at_once() {
    let fault = Fault::Killed { after_calls: 2 };
    let outcome = shop()
        .with_fault(fault)
        .run(Event::Start, &State::default(), |env, tools| {
            let context = juju::Context::for_hook(env, tools);
            context.set_status(&Status::maintenance("starting"))?;
            context.open_port("80")
        })
        .unwrap();
    assert_eq!(outcome.failure.as_deref(), Some("signal: killed"));
    let status = Some(Status::maintenance("starting"));
    assert_eq!(outcome.state.unit_status, status);
    assert_eq!(outcome.calls.len(), 2);
}

#[test]
fn a_tool_can_be_made_to_refuse() {
    let fault = Fault::ToolRefuses {
        tool: "config-get".into(),
        text: "connection is shut down".into(),
    };
    let harness = shop().with_fault(fault);
    run(&harness, Event::Start, &State::default(), |_, context| {
        let error = context.config().unwrap_err();
        assert_eq!(error.to_string(), "config-get: connection is shut down");
    });
}

#[test]
fn an_action_gives_results_and_may_fail_without_failing_the_process() {
    let count = || Trigger::action("count").param("how", "up");
    let state = State::default();
    let outcome = run(&shop(), count(), &state, |env, context| {
        assert!(matches!(env.event(), Event::Action(action) if action.name == "count"));
        let params: BTreeMap<String, serde_json::Value> = context.action_params().unwrap();
        assert_eq!(params["to"], 3, "the schema's default");
        context.action_log("one").unwrap();
        context
            .action_set(&[("sum.total", "6"), ("sum.parts", "3"), ("ok", "a=b")])
            .unwrap();
        assert!(context.action_set(&[("stdout", "x")]).is_err());
        assert!(context.action_set(&[("Upper", "x")]).is_err());
        context.open_port("81").unwrap();
        context.action_fail("enough").unwrap();
    });
    assert!(!outcome.succeeded());
    assert_eq!(outcome.failure, None);
    assert!(outcome.state.opened_ports.contains("81/tcp"));
    let action = outcome.action.unwrap();
    assert_eq!(action.failure.as_deref(), Some("enough"));
    assert_eq!(action.log, ["one"]);
    let expected = serde_json::json!({"sum": {"total": "6", "parts": "3"}, "ok": "a=b"});
    assert_eq!(serde_json::Value::Object(action.results), expected);

    let died = shop().run(count(), &state, |_, _| 1).unwrap();
    assert_eq!(
        died.action.unwrap().failure.as_deref(),
        Some("exit status 1")
    );
}

#[test]
fn tools_of_actions_refuse_in_hooks() {
    let refused = crate::tool(&State::default(), &["action-get", "--format=json"]);
    assert_eq!(refused, Err((1, "ERROR not running an action\n".into())));
}

#[test]
fn a_label_that_is_taken_fails_the_hook_at_its_end() {
    let taken = Secret::new(Owner::Unit, "mine", [("password", "x")]);
    let state = State::default().with_secret(taken).with_relation(db());
    let outcome = run(&shop(), Event::UpdateStatus, &state, |_, context| {
        let password: SecretContent = [("password", "y")].into_iter().collect();
        let spec = |label: &str| SecretSpec {
            owner: "unit".into(),
            label: label.into(),
            ..SecretSpec::default()
        };
        context.secret_add(&password, &spec("new")).unwrap();
        let twice = context.secret_add(&password, &spec("new")).unwrap_err();
        assert_eq!(twice.message, "secret with label \"new\" already exists");
        context.secret_add(&password, &spec("mine")).unwrap();
    });
    assert_eq!(
        outcome.failure.as_deref(),
        Some("cannot apply changes: secret with label \"mine\" already exists")
    );
    assert_eq!(outcome.state, state);
}
