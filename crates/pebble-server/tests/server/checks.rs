use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::{Value, json};

use crate::support::{Server, until};

fn until_status(server: &Server, name: &str, status: &str) -> Value {
    until(&format!("{name} {status}"), || {
        let check = server.check(name);
        (check["status"] == status).then_some(check)
    })
}

#[test]
fn a_check_fails_at_its_threshold_and_recovers() {
    let server = Server::start();
    let flag = server.path("flag");
    std::fs::write(&flag, "").unwrap();
    server.layer(
        "x",
        &format!(
            "checks: {{c: {{override: replace, level: alive, period: 30ms, threshold: 2, exec: {{command: ls {}}}}}}}",
            flag.display()
        ),
    );
    let check = server.check("c");
    assert_eq!(
        (&check["status"], &check["threshold"]),
        (&json!("up"), &json!(2))
    );
    assert_eq!(
        (&check["startup"], check.get("failures")),
        (&json!("enabled"), None)
    );
    let first = check["change-id"].as_str().unwrap().to_owned();
    until("a success", || {
        server.check("c")["successes"]
            .as_u64()
            .filter(|count| *count >= 2)
    });
    assert_eq!(server.get("/v1/health").result(), &json!({"healthy": true}));
    std::fs::remove_file(&flag).unwrap();
    let down = until_status(&server, "c", "down");
    assert_eq!(down["prev-change-id"], json!(first));
    for (level, status) in [("", 502), ("?level=alive", 502), ("?level=ready", 502)] {
        let answer = server.get(&format!("/v1/health{level}"));
        assert_eq!(
            (answer.status, &answer.json["type"]),
            (status, &json!("sync"))
        );
        assert_eq!(answer.result(), &json!({"healthy": false}));
    }
    assert_eq!(server.get("/v1/health?names=other").status, 200);
    let change = server.wait(&first);
    assert_eq!(
        (&change["status"], &change["summary"]),
        (&json!("Error"), &json!("Perform exec check \"c\""))
    );
    let err = change["err"].as_str().unwrap();
    assert_eq!(
        err.matches("\n- Perform exec check \"c\" (exit status 2; ls: ")
            .count(),
        2,
        "{err}"
    );
    std::fs::write(&flag, "").unwrap();
    until_status(&server, "c", "up");
    let recovery = server.wait(down["change-id"].as_str().unwrap());
    assert_eq!(
        (&recovery["kind"], &recovery["status"]),
        (&json!("recover-check"), &json!("Done"))
    );
    for (id, kind) in [
        (first.as_str(), "perform-check"),
        (down["change-id"].as_str().unwrap(), "recover-check"),
    ] {
        let notices = server.get(&format!("/v1/notices?types=change-update&keys={id}"));
        let notice = &notices.result()[0];
        assert_eq!(
            notice["last-data"],
            json!({"kind": kind, "check-name": "c"})
        );
        assert_eq!(
            (&notice["user-id"], &notice["occurrences"]),
            (&Value::Null, &json!(3))
        );
    }
}

#[test]
fn checks_are_switched_off_and_on() {
    let server = Server::start();
    server.layer(
        "x",
        "checks:\n on: {override: replace, exec: {command: 'true'}}\n \
         off: {override: replace, startup: disabled, exec: {command: 'true'}}\n",
    );
    assert_eq!(server.check("off")["status"], "inactive");
    assert_eq!(server.check("off").get("change-id"), None);
    let switch = |action: &str, names: &[&str]| {
        server.post("/v1/checks", &json!({"action": action, "checks": names}))
    };
    assert_eq!(
        switch("start", &["off", "on"]).result(),
        &json!({"changed": ["off"]})
    );
    assert_eq!(server.check("off")["status"], "up");
    let change = server.check("on")["change-id"].as_str().unwrap().to_owned();
    assert_eq!(
        switch("stop", &["on"]).result(),
        &json!({"changed": ["on"]})
    );
    assert_eq!(server.check("on")["status"], "inactive");
    assert_eq!(server.wait(&change)["status"], "Done");
    server.act("replan", &[]);
    assert_eq!(server.check("on")["status"], "up");
    assert_eq!(
        switch("start", &[]).message(),
        "must specify checks for start action"
    );
    assert_eq!(switch("x", &["on"]).message(), "invalid action \"x\"");
    assert_eq!(
        switch("start", &["b", "on", "a"]).message(),
        "cannot start checks: cannot find checks in plan: b, a"
    );
    assert_eq!(server.get("/v1/checks?level=x").status, 400);
    assert_eq!(server.get("/v1/checks?level=ready").result(), &json!([]));
}

#[test]
fn a_check_runs_at_once_when_asked_to() {
    let server = Server::start();
    server.layer(
        "x",
        "checks: {c: {override: replace, threshold: 2, exec: {command: sh -c 'echo why; exit 5'}}}",
    );
    let refresh = |name: &str| server.post("/v1/checks/refresh", &json!({"name": name}));
    let answer = refresh("c");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.result()["error"], "exit status 5; why");
    assert_eq!(answer.result()["info"]["failures"], 1);
    assert_eq!(answer.result()["info"]["status"], "up");
    assert_eq!(refresh("c").result()["info"]["status"], "down");
    assert_eq!(refresh("").message(), "must specify check name");
    assert_eq!(
        (refresh("no").status, refresh("no").message()),
        (404, "cannot find check with name \"no\"")
    );
}

#[test]
fn http_and_tcp_checks_tell_what_they_met() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 1024];
            let count = stream.read(&mut request).unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..count]).into_owned();
            let answer = if request.starts_with("GET /good") && request.contains("x-test: yes") {
                "HTTP/1.1 204 No Content\r\n\r\n"
            } else if request.starts_with("GET /moved") {
                "HTTP/1.1 302 Found\r\nLocation: /good\r\nContent-Length: 0\r\n\r\n"
            } else {
                "HTTP/1.1 503 Unavailable\r\nContent-Length: 4\r\n\r\nbusy"
            };
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let server = Server::start();
    server.layer(
        "x",
        &format!(
            "checks:\n good: {{override: replace, http: {{url: 'http://localhost:{port}/good', headers: {{x-test: 'yes'}}}}}}\n \
             moved: {{override: replace, http: {{url: 'http://127.0.0.1:{port}/moved', headers: {{x-test: 'yes'}}}}}}\n \
             bad: {{override: replace, http: {{url: 'http://127.0.0.1:{port}/bad'}}}}\n \
             tcp: {{override: replace, tcp: {{port: {port}}}}}\n \
             shut: {{override: replace, tcp: {{port: {closed}, host: 127.0.0.1}}}}\n \
             gone: {{override: replace, http: {{url: 'http://127.0.0.1:{closed}/'}}}}\n \
             slow: {{override: replace, timeout: 100ms, exec: {{command: sleep 10}}}}\n"
        ),
    );
    let error = |name: &str| {
        let answer = server.post("/v1/checks/refresh", &json!({"name": name}));
        answer
            .result()
            .get("error")
            .and_then(Value::as_str)
            .unwrap_or("none")
            .to_owned()
    };
    assert_eq!(error("good"), "none");
    assert_eq!(error("moved"), "none");
    assert_eq!(error("bad"), "non-2xx status code 503; busy");
    assert_eq!(error("tcp"), "none");
    assert_eq!(
        error("shut"),
        format!("dial tcp 127.0.0.1:{closed}: connect: connection refused")
    );
    assert_eq!(
        error("gone"),
        format!(
            "Get \"http://127.0.0.1:{closed}/\": dial tcp 127.0.0.1:{closed}: connect: connection refused"
        )
    );
    assert_eq!(error("slow"), "check timed out after 100ms");
}

#[test]
fn a_failed_check_restarts_the_service_or_ends_the_server() {
    let mut server = Server::start();
    let dir = server.directory.path().to_str().unwrap().to_owned();
    server.layer(
        "x",
        &format!(
            "services: {{a: {{override: replace, working-dir: {dir}, backoff-delay: 20ms, on-check-failure: {{c: restart}}, \
             command: sh -c 'echo up >> starts; exec sleep 99'}}}}\n\
             checks: {{c: {{override: replace, period: 30ms, threshold: 1, startup: disabled, exec: {{command: 'false'}}}}}}"
        ),
    );
    server.act("start", &["a"]);
    server.post("/v1/checks", &json!({"action": "start", "checks": ["c"]}));
    server.lines("starts", 2);
    server.until_current("a", "active");
    until_status(&server, "c", "down");
    assert_eq!(
        std::fs::read_to_string(server.path("starts"))
            .unwrap()
            .lines()
            .count(),
        2
    );
    server.layer(
        "x",
        "services: {a: {override: merge, on-check-failure: {c: shutdown}}}",
    );
    server.act("replan", &[]);
    server.post("/v1/checks", &json!({"action": "stop", "checks": ["c"]}));
    server.post("/v1/checks", &json!({"action": "start", "checks": ["c"]}));
    assert_eq!(server.ended(), Some(11));
}

#[test]
fn a_changed_check_begins_anew_and_an_unchanged_one_goes_on() {
    let server = Server::start();
    let yaml = |threshold: u32| {
        format!(
            "checks: {{c: {{override: replace, threshold: {threshold}, exec: {{command: 'true'}}}}}}"
        )
    };
    server.layer("x", &yaml(3));
    let first = server.check("c")["change-id"].clone();
    server.layer("x", &yaml(3));
    assert_eq!(server.check("c")["change-id"], first);
    server.layer("x", &yaml(4));
    assert_ne!(server.check("c")["change-id"], first);
    assert_eq!(server.check("c")["threshold"], 4);
    assert_eq!(server.wait(first.as_str().unwrap())["ready"], true);
}
