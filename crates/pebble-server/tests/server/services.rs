use serde_json::{Value, json};

use crate::support::{LONG, Server, until};

fn task<'a>(change: &'a Value, summary: &str) -> &'a Value {
    let tasks = change["tasks"].as_array().unwrap();
    tasks
        .iter()
        .find(|task| task["summary"] == summary)
        .unwrap()
}

#[test]
fn a_service_starts_and_stops_as_changes_with_tasks() {
    let server = Server::start();
    server.layer(
        "x",
        "services: {a: {override: replace, command: sleep 100}}",
    );
    assert_eq!(server.current("a"), "inactive");
    assert_eq!(
        server.get("/v1/services").result()[0].get("current-since"),
        None
    );
    let change = server.act("start", &["a"]);
    assert_eq!(
        (&change["kind"], &change["status"]),
        (&json!("start"), &json!("Done"))
    );
    assert_eq!(change["summary"], "Start service \"a\"");
    assert_eq!(
        change["tasks"][0]["progress"],
        json!({"label": "", "done": 1, "total": 1})
    );
    assert_eq!(server.current("a"), "active");
    assert!(server.get("/v1/services").result()[0]["current-since"].is_string());
    let again = server.act("start", &["a"]);
    let log = again["tasks"][0]["log"][0].as_str().unwrap();
    assert!(
        log.ends_with("INFO Service \"a\" already started."),
        "{log}"
    );
    let change = server.act("stop", &["a"]);
    assert_eq!(task(&change, "Stop service \"a\"")["status"], "Done");
    assert_eq!(server.current("a"), "inactive");
    let change = server.act("stop", &["a"]);
    let log = change["tasks"][0]["log"][0].as_str().unwrap();
    assert!(
        log.ends_with("INFO Service \"a\" already stopped."),
        "{log}"
    );
}

#[test]
fn a_start_that_fails_tells_code_and_output() {
    let server = Server::start();
    server.layer(
        "x",
        "services:\n a: {override: replace, on-failure: ignore, command: sh -c 'seq 1 25; exit 3'}\n \
         b: {override: replace, command: /no/such/program}\n \
         c: {override: replace, command: no-such-program}\n \
         d: {override: replace, command: sleep 9, working-dir: /no/such}\n",
    );
    let change = server.act("start", &["a"]);
    assert_eq!(
        change["err"],
        "cannot perform the following tasks:\n- Start service \"a\" (service start attempt: exited \
         quickly with code 3, will ignore)"
    );
    let log = change["tasks"][0]["log"][0].as_str().unwrap();
    assert!(
        log.contains("INFO Most recent service output:\n    (...)\n    6\n"),
        "{log}"
    );
    assert!(log.ends_with("\n    25"), "{log}");
    assert_eq!(server.current("a"), "error");
    let err = |name: &str| {
        server.act("start", &[name])["err"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let why = err("b");
    assert!(
        why.ends_with(
            "(cannot start service: fork/exec /no/such/program: no such file or directory)"
        ),
        "{why}"
    );
    let why = err("c");
    assert!(
        why.contains("exec: \"no-such-program\": executable file not found in $PATH"),
        "{why}"
    );
    let why = err("d");
    assert!(
        why.contains("cannot start service: chdir /no/such: no such file or directory"),
        "{why}"
    );
    assert_eq!(server.current("b"), "inactive");
}

#[test]
fn a_failing_service_comes_back_with_growing_pauses() {
    let server = Server::start();
    server.layer(
        "x",
        "services: {a: {override: replace, backoff-delay: 50ms, backoff-factor: 3, \
         command: sh -c 'date +%s%N >> starts; exit 1', working-dir: DIR}}"
            .replace("DIR", server.directory.path().to_str().unwrap())
            .as_str(),
    );
    let change = server.act("start", &["a"]);
    assert!(
        change["err"]
            .as_str()
            .unwrap()
            .contains("with code 1, will restart"),
        "{change}"
    );
    let starts = server.lines("starts", 4);
    let times: Vec<u64> = starts.iter().map(|line| line.parse().unwrap()).collect();
    let pauses: Vec<u64> = times
        .windows(2)
        .map(|pair| (pair[1] - pair[0]) / 1_000_000)
        .collect();
    assert!(
        pauses[0] >= 50 && pauses[1] >= 150 && pauses[2] >= 450,
        "{pauses:?}"
    );
    server.until_current("a", "backoff");
    let change = server.act("stop", &["a"]);
    assert_eq!(change["status"], "Done");
    assert_eq!(server.current("a"), "inactive");
}

#[test]
fn services_that_need_each_other_start_one_by_one_in_order() {
    let server = Server::start();
    let dir = server.directory.path().to_str().unwrap();
    server.layer(
        "x",
        &format!(
            "services:\n db: {{override: replace, working-dir: {dir}, command: sh -c 'echo db >> order; exec sleep 99'}}\n \
             app: {{override: replace, working-dir: {dir}, command: sh -c 'echo app >> order; exec sleep 99', requires: [db], after: [db]}}\n"
        ),
    );
    let change = server.act("start", &["app"]);
    assert_eq!(change["summary"], "Start service \"app\" and 1 more");
    assert_eq!(server.lines("order", 2), ["db", "app"]);
    let first = task(&change, "Start service \"db\"")["ready-time"]
        .as_str()
        .unwrap();
    let second = task(&change, "Start service \"app\"")["ready-time"]
        .as_str()
        .unwrap();
    assert!(first < second);
    let change = server.act("stop", &["db"]);
    let summaries: Vec<&str> = change["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["summary"].as_str().unwrap())
        .collect();
    assert_eq!(summaries, ["Stop service \"app\"", "Stop service \"db\""]);
}

#[test]
fn what_needs_a_service_that_fails_is_not_started() {
    let server = Server::start();
    server.layer(
        "x",
        "services:\n a: {override: replace, command: 'false', on-failure: ignore}\n \
         b: {override: replace, command: sleep 99, requires: [a], after: [a]}\n",
    );
    let change = server.act("start", &["b"]);
    assert_eq!(change["status"], "Error");
    assert_eq!(task(&change, "Start service \"b\"")["status"], "Hold");
    assert_eq!(server.current("b"), "inactive");
}

#[test]
fn a_replan_restarts_only_what_has_changed() {
    let server = Server::start();
    let dir = server.directory.path().to_str().unwrap().to_owned();
    let yaml = |number: u32| {
        format!(
            "services:\n a: {{override: replace, startup: enabled, working-dir: {dir}, \
             command: sh -c 'echo a >> starts; exec sleep 99'}}\n \
             b: {{override: replace, startup: enabled, working-dir: {dir}, environment: {{N: {number}}}, \
             command: sh -c 'echo b$N >> starts; exec sleep 99'}}\n"
        )
    };
    let change = server.act("replan", &[]);
    assert_eq!(
        (&change["summary"], &change["status"]),
        (&json!("Replan - no services"), &json!("Done"))
    );
    assert_eq!(change.get("tasks"), None);
    server.layer("x", &yaml(1));
    server.act("replan", &[]);
    server.layer("x", &yaml(2));
    let change = server.act("replan", &[]);
    let summaries: Vec<&str> = change["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["summary"].as_str().unwrap())
        .collect();
    assert_eq!(
        summaries,
        [
            "Stop service \"b\"",
            "Start service \"a\"",
            "Start service \"b\""
        ]
    );
    let mut starts = server.lines("starts", 3);
    assert_eq!(starts.pop().unwrap(), "b2");
    starts.sort();
    assert_eq!(starts, ["a", "b1"]);
}

#[test]
fn a_service_that_ignores_sigterm_is_killed_after_its_delay() {
    let server = Server::start();
    let dir = server.directory.path().to_str().unwrap();
    server.layer(
        "x",
        &format!(
            "services: {{a: {{override: replace, kill-delay: 200ms, working-dir: {dir}, \
             command: sh -c 'trap \"\" TERM; echo up > up; while true; do sleep 1; done'}}}}"
        ),
    );
    server.act("start", &["a"]);
    server.lines("up", 1);
    let begun = std::time::Instant::now();
    let change = server.act("stop", &["a"]);
    assert_eq!(change["status"], "Done");
    assert!(begun.elapsed().as_millis() >= 200 && begun.elapsed() < LONG / 4);
    assert_eq!(server.current("a"), "inactive");
}

#[test]
fn a_stop_during_the_start_fails_the_start() {
    let server = Server::start();
    server.layer(
        "x",
        "services: {a: {override: replace, command: sleep 100}}",
    );
    let answer = server.post(
        "/v1/services",
        &json!({"action": "start", "services": ["a"]}),
    );
    assert_eq!(answer.json.get("result"), None);
    server.until_current("a", "active");
    server.act("stop", &["a"]);
    let change = server.wait(answer.json["change"].as_str().unwrap());
    assert!(
        change["err"]
            .as_str()
            .unwrap()
            .contains("stopped before the 1s okay delay"),
        "{change}"
    );
}

#[test]
fn an_aborted_start_kills_the_process() {
    let server = Server::start();
    server.layer(
        "x",
        "services: {a: {override: replace, command: sleep 100}}",
    );
    let answer = server.post(
        "/v1/services",
        &json!({"action": "start", "services": ["a"]}),
    );
    let id = answer.json["change"].as_str().unwrap();
    server.until_current("a", "active");
    let path = format!("/v1/changes/{id}");
    assert_eq!(
        server.post(&path, &json!({"action": "x"})).message(),
        "invalid action \"x\""
    );
    assert_eq!(
        server.post(&path, &json!({"action": "abort"})).result()["status"],
        "Abort"
    );
    let change = server.wait(id);
    assert!(
        change["err"]
            .as_str()
            .unwrap()
            .contains("start aborted, sent SIGKILL to process")
    );
    assert_eq!(server.current("a"), "inactive");
    let refused = server.post(&path, &json!({"action": "abort"}));
    assert_eq!(
        refused.message(),
        format!("cannot abort change {id} with nothing pending")
    );
}

#[test]
fn requests_that_make_no_sense_are_refused_in_pebbles_words() {
    let server = Server::start();
    let cases = [
        (
            json!({"action": "start", "services": ["nope"]}),
            "cannot start services: service \"nope\" does not exist",
        ),
        (
            json!({"action": "start"}),
            "must specify services for start action",
        ),
        (
            json!({"action": "x", "services": ["a"]}),
            "invalid action \"x\"",
        ),
        (
            json!({"action": "replan", "services": ["a"]}),
            "replan accepts no service names",
        ),
        (
            json!({"action": "autostart", "services": null}),
            "no default services",
        ),
    ];
    for (body, why) in cases {
        let answer = server.post("/v1/services", &body);
        assert_eq!((answer.status, answer.message()), (400, why));
    }
    let answer = server.post(
        "/v1/services",
        &json!({"action": "autostart", "services": []}),
    );
    assert_eq!(answer.result()["kind"], "no-default-services");
    let signal = |body: Value| {
        let answer = server.post("/v1/signals", &body);
        (answer.status, answer.message().to_owned())
    };
    assert_eq!(signal(json!({"signal": "SIGHUP"})).0, 400);
    assert_eq!(
        signal(json!({"signal": "SIGHUP", "services": ["a", "b"]})),
        (500, "cannot send signal to \"a\": service is not running; cannot send signal to \"b\": service is not running".into())
    );
    let answer = server.get("/v1/changes/77");
    assert_eq!(
        (answer.status, answer.message()),
        (404, "cannot find change with id \"77\"")
    );
}

#[test]
fn signals_reach_the_process() {
    let server = Server::start();
    let dir = server.directory.path().to_str().unwrap();
    server.layer(
        "x",
        &format!(
            "services: {{a: {{override: replace, working-dir: {dir}, \
             command: sh -c 'trap \"echo usr >> got\" USR1; echo up >> up; while true; do sleep 0.05; done'}}}}"
        ),
    );
    server.act("start", &["a"]);
    server.lines("up", 1);
    let answer = server.post(
        "/v1/signals",
        &json!({"signal": "SIGUSR1", "services": ["a"]}),
    );
    assert_eq!((answer.status, answer.result()), (200, &json!(true)));
    assert_eq!(server.lines("got", 1), ["usr"]);
    let answer = server.post("/v1/signals", &json!({"signal": "USR1", "services": ["a"]}));
    assert_eq!(
        answer.message(),
        "cannot send signal to \"a\": invalid signal name \"USR1\""
    );
}

#[test]
fn output_is_kept_shown_and_followed() {
    let server = Server::start();
    let dir = server.directory.path().to_str().unwrap();
    server.layer(
        "x",
        &format!(
            "services: {{a: {{override: replace, on-success: ignore, working-dir: {dir}, command: sh -c 'echo one; echo two >&2; \
             sleep 1.2; while ! test -e go; do sleep 0.05; done; echo three; printf last'}}}}"
        ),
    );
    let mut followed = server.follow("/v1/logs?follow=true&n=-1");
    server.act("start", &["a"]);
    let text = |n: &str| -> Vec<String> {
        let (_, head, body) = server.raw(&format!("GET /v1/logs?n={n} HTTP/1.1"), b"");
        assert!(head.contains("application/x-ndjson"), "{head}");
        let lines = String::from_utf8(body).unwrap();
        lines
            .lines()
            .map(|line| {
                let line: Value = serde_json::from_str(line).unwrap();
                assert_eq!(line["service"], "a");
                line["message"].as_str().unwrap().to_owned()
            })
            .collect()
    };
    assert_eq!(text("-1"), ["one", "two"]);
    assert_eq!(text("1"), ["two"]);
    std::fs::write(server.path("go"), "").unwrap();
    for wanted in ["one", "two", "three", "last"] {
        let part = format!("\"message\":\"{wanted}\"");
        assert!(followed.any(|line| line.contains(&part)), "{wanted}");
    }
    assert_eq!(
        server.get("/v1/logs?n=x").message(),
        "n must be -1, 0, or a positive integer"
    );
}

#[test]
fn environment_and_user_are_those_of_the_definition() {
    if !crate::support::is_root() {
        println!("skipped: needs root");
        return;
    }
    let server = Server::start();
    server.layer(
        "x",
        "services: {a: {override: replace, user: nobody, environment: {X: y}, on-success: ignore, \
         command: sh -c 'echo $(id -un) $X $HOME $USER; grep ^Groups /proc/self/status | wc -w; sleep 1.2'}}",
    );
    server.act("start", &["a"]);
    let (_, _, body) = server.raw("GET /v1/logs HTTP/1.1", b"");
    let text = String::from_utf8(body).unwrap();
    assert!(text.contains("nobody y /nonexistent nobody"), "{text}");
    assert!(
        text.contains("\"message\":\"1\""),
        "no supplementary groups: {text}"
    );
}

#[test]
fn the_end_of_a_service_can_be_the_end_of_the_server() {
    for (action, script, code) in [
        ("on-failure: shutdown", "sleep 0.1; exit 4", 10),
        ("on-success: shutdown", "sleep 0.1", 0),
        ("on-failure: success-shutdown", "exit 4", 0),
        ("on-success: failure-shutdown", "exit 0", 10),
    ] {
        let mut server = Server::start();
        server.layer(
            "x",
            &format!("services: {{a: {{override: replace, {action}, command: sh -c '{script}'}}}}"),
        );
        server.post(
            "/v1/services",
            &json!({"action": "start", "services": ["a"]}),
        );
        assert_eq!(server.ended(), Some(code), "{action}");
    }
}

#[test]
fn changes_can_be_waited_for_in_bounded_time() {
    let server = Server::start();
    server.layer(
        "x",
        "services: {a: {override: replace, command: sleep 100}}",
    );
    let answer = server.post(
        "/v1/services",
        &json!({"action": "start", "services": ["a"]}),
    );
    let id = answer.json["change"].as_str().unwrap();
    let answer = server.get(&format!("/v1/changes/{id}/wait?timeout=10ms"));
    assert_eq!(
        (answer.status, answer.message()),
        (504, "timed out waiting for change after 10ms")
    );
    assert_eq!(
        server
            .get(&format!("/v1/changes/{id}/wait?timeout=x"))
            .status,
        400
    );
    let listed = server.get("/v1/changes?for=a");
    assert_eq!(listed.result()[0]["id"], id);
    server.wait(id);
    until("nothing in progress", || {
        server
            .get("/v1/changes")
            .result()
            .as_array()?
            .is_empty()
            .then_some(())
    });
    assert_eq!(server.get("/v1/changes?select=ready").result()[0]["id"], id);
    assert_eq!(server.get("/v1/changes?select=x").status, 400);
}
