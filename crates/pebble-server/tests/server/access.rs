use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::support::{LONG, Server, is_root};

#[test]
fn the_envelope_is_pebbles() {
    let server = Server::start();
    let (_, head, body) = server.raw("GET /v1/services HTTP/1.1", b"");
    assert!(
        head.to_lowercase()
            .contains("content-type: application/json")
    );
    assert_eq!(
        body,
        br#"{"type":"sync","status-code":200,"status":"OK","result":[]}"#
    );
    let answer = server.get("/v1/none");
    assert_eq!(
        (answer.status, answer.message()),
        (404, "invalid API endpoint requested")
    );
    let (status, _, body) = server.raw("DELETE /v1/plan HTTP/1.1", b"");
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (status, &body["result"]["message"]),
        (405, &json!("method \"DELETE\" not allowed"))
    );
    let (status, _, body) = server.raw("POST /v1/plan HTTP/1.1", b"{}");
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (status, &body["result"]["message"]),
        (405, &json!("method \"POST\" not allowed"))
    );
    let (status, _, body) = server.raw("POST /v1/layers HTTP/1.1", b"nonsense");
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(status, 400);
    assert!(
        body["result"]["message"]
            .as_str()
            .unwrap()
            .starts_with("cannot decode request body: ")
    );
    let answer = server.get("/v1/services/a");
    assert_eq!((answer.status, answer.message()), (400, "not implemented"));
}

#[test]
fn the_plan_is_shown_as_text() {
    let server = Server::start();
    assert_eq!(server.get("/v1/plan?format=yaml").result(), "{}\n");
    assert_eq!(server.get("/v1/plan").message(), "invalid format \"\"");
    server.layer(
        "x",
        "services:\n a:\n  override: replace\n  command: sleep 100\n",
    );
    assert_eq!(
        server.get("/v1/plan?format=yaml").result(),
        "services:\n    a:\n        override: replace\n        command: sleep 100\n"
    );
    let answer = server.try_layer("x", "foo: 1");
    assert_eq!(
        (answer.status, answer.message()),
        (
            400,
            "cannot parse layer YAML: cannot parse layer \"x\": unknown section \"foo\""
        )
    );
    let answer = server.try_layer("pebble-x", "");
    assert_eq!(
        answer.message(),
        "cannot use reserved label prefix \"pebble-\""
    );
    let answer = server.try_layer("y", "services: {a: {override: merge, requires: [z]}}");
    assert_eq!(answer.message(), "service \"z\" does not exist");
    assert_eq!(
        server.try_layer("y", "").status,
        200,
        "what was refused left nothing behind"
    );
}

#[test]
fn tcp_has_only_what_is_open_to_everybody() {
    let server = Server::with(&["--hold", "--http", "127.0.0.1:0"], |_| {});
    let info = server.get("/v1/system-info").result().clone();
    assert_eq!(info["version"], "v1.26.0-local");
    let address = info["http-address"].as_str().unwrap().to_owned();
    let get = |path: &str| {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
        (
            status,
            serde_json::from_str::<Value>(body).unwrap_or_default(),
        )
    };
    assert_eq!(
        get("/v1/health?level=ready").1["result"],
        json!({"healthy": true})
    );
    assert_eq!(get("/v1/system-info").0, 200);
    for path in [
        "/v1/services",
        "/v1/plan?format=yaml",
        "/v1/notices",
        "/v1/metrics",
        "/v1/logs",
    ] {
        let (status, body) = get(path);
        assert_eq!(
            (status, &body["result"]["kind"]),
            (401, &json!("login-required")),
            "{path}"
        );
    }
    assert_eq!(get("/v1/health?level=x").0, 400);
}

/// The client as another user.
fn as_nobody(server: &Server, args: &[&str]) -> (Option<i32>, String) {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(server.directory.path(), open).unwrap();
    // The build folder may be closed to others.
    let binary = server.path("client");
    if !binary.exists() {
        // By a process: a copy of our own could still be open for writing in a child that another
        // test forks at this moment, and then cannot be run.
        let copied = std::process::Command::new("cp")
            .arg(crate::support::BINARY)
            .arg(&binary)
            .status()
            .unwrap();
        assert!(copied.success());
    }
    let output = std::process::Command::new(binary)
        .args(args)
        .env("PEBBLE_SOCKET", server.socket())
        .uid(65534)
        .gid(65534)
        .current_dir("/")
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[test]
fn other_users_may_read_and_notify() {
    if !is_root() {
        println!("skipped: needs root");
        return;
    }
    let server = Server::start();
    server.layer(
        "x",
        "services: {a: {override: replace, command: sleep 100}}",
    );
    assert_eq!(as_nobody(&server, &["services"]).0, Some(0));
    for args in [
        &["start", "a"][..],
        &["plan"],
        &["exec", "ls"],
        &["ls", "/"],
        &["signal", "HUP", "a"],
    ] {
        let (code, text) = as_nobody(&server, args);
        assert_eq!(
            (code, text.as_str()),
            (Some(1), "error: access denied\n"),
            "{args:?}"
        );
    }
    let (code, text) = as_nobody(&server, &["notify", "example.com/x", "a=b"]);
    assert_eq!((code, text.as_str()), (Some(0), "Recorded notice 1\n"));
    server.client(&["notify", "example.com/root"], b"");
    let mine = server.get("/v1/notices");
    assert_eq!(
        mine.result().as_array().unwrap().len(),
        1,
        "each user sees their own"
    );
    let all = server.get("/v1/notices?users=all");
    assert_eq!(all.result().as_array().unwrap().len(), 2);
    assert_eq!(all.result()[0]["user-id"], 65534);
    assert_eq!(
        server.get("/v1/notices?user-id=65534").result()[0]["key"],
        "example.com/x"
    );
    let (_, text) = as_nobody(&server, &["notices", "--users", "all"]);
    assert_eq!(text, "error: only admins may use the \"users\" filter\n");
    let (_, text) = as_nobody(&server, &["notices"]);
    assert!(
        text.contains("example.com/x") && !text.contains("example.com/root"),
        "{text}"
    );
}

#[test]
fn an_identity_can_give_and_take_rights() {
    if !is_root() {
        println!("skipped: needs root");
        return;
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = "identities: {nobody: {access: admin, local: {user-id: 65534}}}";
    std::fs::write(file.path(), text).unwrap();
    let path = file.path().to_str().unwrap();
    let server = Server::with(&["--hold", "--identities", path], |_| {});
    assert_eq!(as_nobody(&server, &["plan"]), (Some(0), "{}\n".to_owned()));
    let server = Server::start();
    let change = |action: &str, access: &str| {
        let identity = json!({"access": access, "local": {"user-id": 65534}});
        server.post(
            "/v1/identities",
            &json!({"action": action, "identities": {"nobody": identity}}),
        )
    };
    let answer = change("add", "admin");
    assert_eq!((answer.status, answer.json.get("result")), (200, None));
    assert_eq!(as_nobody(&server, &["plan"]), (Some(0), "{}\n".to_owned()));
    change("update", "untrusted");
    assert_eq!(as_nobody(&server, &["services"]).0, Some(1));
    assert_eq!(as_nobody(&server, &["health"]).0, Some(0));
    let listed = server.get("/v1/identities");
    assert_eq!(
        listed.result(),
        &json!({"nobody": {"access": "untrusted", "local": {"user-id": 65534}}})
    );
}
