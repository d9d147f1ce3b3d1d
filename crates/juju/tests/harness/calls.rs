//! The context: reads once, writes if different.

use std::collections::BTreeMap;

use juju::harness::{Network, State, Storage};
use juju::{Context, Event, JujuLog, Refusal, Status};
use serde::Deserialize;
use tracing_subscriber::layer::SubscriberExt;

use crate::{db, members, run, shop, tool};

fn state() -> State {
    let data = Storage::new("data", 0, "/data");
    State::default()
        .leading()
        .with_relation(members().unit(1, []))
        .with_relation(db().unit(0, []))
        .with_storage(data)
}

#[test]
fn every_read_is_one_call_however_often_it_is_asked() {
    let outcome = run(&shop(), Event::Start, &state(), |_, context| {
        for _ in 0..3 {
            assert!(context.is_leader().unwrap());
            context.config().unwrap();
            context.relation_ids("db").unwrap();
            context.relation_units("db:4").unwrap();
            context.relation_app("db:4").unwrap();
            context.relation_model("db:4").unwrap();
            context.relation_get("db:4", "web/0").unwrap();
            context.relation_get("db:4", "web").unwrap();
            context.goal_state().unwrap();
            context.status().unwrap();
            context.application_status().unwrap();
            context.unit_statuses().unwrap();
            context.opened_ports().unwrap();
            context.storage_list(None).unwrap();
            context.storage_location("data/0").unwrap();
            context.network_get("db").unwrap();
            context.network_of_relation("db", "db:4").unwrap();
            context.unit_address("private-address").unwrap();
            context.state_get("step").unwrap();
        }
    });
    let mut lines: Vec<_> = outcome.calls.iter().map(|c| (&c.tool, &c.args)).collect();
    let all = lines.len();
    lines.sort();
    lines.dedup();
    assert_eq!((lines.len(), all), (18, 18));
}

#[test]
fn what_is_there_already_is_not_sent_again() {
    let write = |context: &Context<'_>| {
        context.set_status(&Status::active("ready")).unwrap();
        let app = Status::active("all ready");
        context.set_application_status(&app).unwrap();
        context.set_workload_version("3").unwrap();
        context.open_port("80/tcp").unwrap();
        context.open_port("80").unwrap();
        context.close_port("81/tcp").unwrap();
        let step = BTreeMap::from([("step".into(), "2".into())]);
        context.state_set(&step).unwrap();
        context.state_delete("none").unwrap();
        context.set_leader_settings(&[("a", "b")]).unwrap();
        context.relation_set("db:4", "shop", "uri", "x");
        context.relation_set("db:4", "shop/0", "none", "");
        context.flush().unwrap();
    };
    let writes = |outcome: &juju::harness::Outcome| {
        let all = outcome.calls.iter().map(|call| call.tool.clone());
        all.filter(|tool| !tool.ends_with("-get") && tool != "opened-ports")
            .collect::<Vec<_>>()
    };
    let first = run(&shop(), Event::Start, &state(), |_, context| {
        write(context);
        write(context);
    });
    let sent = [
        "status-set",
        "status-set",
        "application-version-set",
        "open-port",
        "state-set",
        "leader-set",
        "relation-set",
    ];
    assert_eq!(writes(&first), sent);
    let second = run(&shop(), Event::Start, &first.state, |_, context| {
        write(context);
    });
    // The version can't be asked for.
    assert_eq!(writes(&second), ["application-version-set"]);
    assert_eq!(second.state, first.state);
}

#[test]
fn options_are_the_charm_s_own_type() {
    #[derive(Deserialize, Debug)]
    struct Options {
        title: String,
        workers: u32,
        ratio: Option<f64>,
    }
    let state = State::default().with_config("workers", 9);
    run(&shop(), Event::ConfigChanged, &state, |_, context| {
        let options: Options = context.config_as().unwrap();
        assert_eq!((options.title.as_str(), options.workers), ("Shop", 9));
        assert_eq!(options.ratio, None);
    });
    let state = State::default().with_config("workers", -1);
    run(&shop(), Event::ConfigChanged, &state, |_, context| {
        let error = context.config_as::<Options>().unwrap_err();
        assert_eq!(error.refusal, Refusal::Malformed);
    });
}

#[test]
fn goals_name_all_units_and_the_other_ends() {
    let state = State {
        planned_units: 3,
        dying_units: [7].into(),
        ..state()
    };
    run(&shop(), Event::Start, &state, |_, context| {
        let goals = context.goal_state().unwrap();
        let units: Vec<&str> = goals.units.keys().map(String::as_str).collect();
        assert_eq!(units, ["shop/0", "shop/1", "shop/2", "shop/7"]);
        assert_eq!(goals.units["shop/7"].status, "dying");
        let ends: Vec<&str> = goals.relations["db"].keys().map(String::as_str).collect();
        assert_eq!(ends, ["web", "web/0"]);
        assert!(!goals.relations.contains_key("members"));
    });
}

#[test]
fn a_status_that_only_juju_sets_is_none() {
    run(&shop(), Event::Install, &State::default(), |_, context| {
        assert_eq!(context.status().unwrap(), None);
        let refused = context.set_application_status(&Status::active(""));
        assert_eq!(refused.unwrap_err().refusal, Refusal::NotLeader);
    });
}

#[test]
fn networks_storages_resources_and_credentials_are_told() {
    let mut state = state();
    let network = Network {
        bind_address: "10.1.0.9".into(),
        ..Network::default()
    };
    state.networks.insert("db".into(), network);
    state.resources.insert("image".into(), "/r/image".into());
    state.model.credential = Some(serde_json::json!({"type": "k8s"}));
    run(&shop(), Event::Start, &state, |_, context| {
        let network = context.network_get("db").unwrap();
        let bound = &network["bind-addresses"][0]["addresses"][0]["value"];
        assert_eq!(bound, "10.1.0.9");
        assert_eq!(context.resource_get("image").unwrap(), "/r/image");
        assert_eq!(context.storage_location("data/0").unwrap(), "/data");
        assert_eq!(context.credential_get().unwrap()["type"], "k8s");
    });
    let refused = tool(&state, &["network-get", "nowhere"]).unwrap_err().1;
    assert_eq!(
        refused,
        "ERROR no network config found for binding \"nowhere\"\n"
    );
    let one = tool(&state, &["network-get", "db", "--bind-address"]);
    assert_eq!(one.unwrap(), "10.1.0.9\n");
    let ranges = tool(&state, &["open-port", "80-90/tcp"]).unwrap_err().1;
    assert!(ranges.contains("port ranges are not supported"), "{ranges}");
}

#[test]
fn answers_have_juju_s_formats() {
    let state = State::default().with_config("title", "a: b");
    let printed = |line: &[&str]| tool(&state, line).unwrap();
    assert_eq!(printed(&["is-leader"]), "False\n");
    assert_eq!(printed(&["is-leader", "--format", "json"]), "false\n");
    assert_eq!(printed(&["config-get", "title"]), "a: b\n");
    assert_eq!(
        printed(&["config-get", "title", "--format=yaml"]),
        "'a: b'\n"
    );
    assert_eq!(
        printed(&["config-get", "--format=json"]),
        "{\"debug\":false,\"title\":\"a: b\",\"workers\":4}\n"
    );
    assert_eq!(printed(&["config-get", "ratio", "--format=json"]), "null\n");
    assert_eq!(printed(&["status-get"]), "unknown\n");
    assert_eq!(printed(&["state-get", "none"]), "\n");
}

#[test]
fn an_argument_that_linux_would_not_pass_is_not_passed() {
    let long = "x".repeat(140_000);
    run(&shop(), Event::Start, &State::default(), |_, context| {
        let error = context.set_status(&Status::active(long)).unwrap_err();
        assert_eq!(error.refusal, Refusal::NotRun);
    });
}

#[test]
fn log_lines_of_one_level_go_in_one_call() {
    let log: &'static JujuLog = Box::leak(Box::default());
    let subscriber = tracing_subscriber::registry().with(log);
    let charm = |_: &juju::HookEnv, tools: &dyn juju::HookTools| {
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(unit = "shop/0", "one");
            tracing::info!("-- two");
            tracing::warn!("three");
        });
        log.flush(tools);
    };
    let outcome = shop().run(Event::Start, &State::default(), charm);
    let lines: Vec<_> = outcome
        .unwrap()
        .logs
        .into_iter()
        .map(|line| (line.level, line.message))
        .collect();
    let expected = [("INFO", "one unit=shop/0\n-- two"), ("WARNING", "three")];
    assert_eq!(lines, expected.map(|(l, m)| (l.to_owned(), m.to_owned())));
}
