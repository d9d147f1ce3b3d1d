use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::Server;

fn add(server: &Server, body: &Value) -> (u16, Value) {
    let answer = server.post("/v1/notices", body);
    (answer.status, answer.json["result"].clone())
}

#[test]
fn notices_are_recorded_and_recur() {
    let server = Server::start();
    let body =
        json!({"action": "add", "type": "custom", "key": "example.com/x", "data": {"a": "b"}});
    assert_eq!(add(&server, &body), (200, json!({"id": "1"})));
    let body =
        json!({"action": "add", "type": "custom", "key": "example.com/x", "repeat-after": "1h"});
    assert_eq!(add(&server, &body), (200, json!({"id": "1"})));
    let answer = server.get("/v1/notices/1");
    let notice = answer.result();
    assert_eq!(
        (&notice["occurrences"], &notice["type"]),
        (&json!(2), &json!("custom"))
    );
    assert_eq!(
        (&notice["expire-after"], &notice["repeat-after"]),
        (&json!("168h0m0s"), &json!("1h0m0s"))
    );
    assert_eq!(notice.get("last-data"), None);
    assert_eq!(
        notice["last-repeated"], notice["first-occurred"],
        "its pause is not over"
    );
    let answer = server.get("/v1/notices/7");
    assert_eq!(
        (answer.status, answer.message()),
        (404, "cannot find notice with ID \"7\"")
    );
}

#[test]
fn a_long_poll_answers_as_soon_as_something_fits() {
    let server = Server::start();
    let begun = Instant::now();
    assert_eq!(server.get("/v1/notices?timeout=100ms").result(), &json!([]));
    assert!(begun.elapsed() >= Duration::from_millis(100));
    let socket = server.socket();
    let notify = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        let output = std::process::Command::new(crate::support::BINARY)
            .args(["notify", "example.com/late", "a=b", "--repeat-after", "30m"])
            .env("PEBBLE_SOCKET", socket)
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "Recorded notice 1\n"
        );
    });
    let begun = Instant::now();
    let answer = server.get("/v1/notices?timeout=20s&users=all&types=custom&keys=example.com/late");
    assert!(begun.elapsed() < Duration::from_secs(10));
    let notice = &answer.result()[0];
    assert_eq!(
        (&notice["key"], &notice["last-data"]),
        (&json!("example.com/late"), &json!({"a": "b"}))
    );
    notify.join().unwrap();
    let after = notice["last-repeated"].as_str().unwrap();
    assert_eq!(
        server.get(&format!("/v1/notices?after={after}")).result(),
        &json!([])
    );
}

#[test]
fn what_is_no_notice_is_refused() {
    let server = Server::start();
    let long = format!("example.com/{}", "x".repeat(300));
    let data = json!({"k": "v".repeat(5000)});
    let cases = [
        (json!({"action": "x"}), "invalid action \"x\"".to_owned()),
        (
            json!({"action": "add", "type": "x"}),
            "invalid type \"x\" (can only add \"custom\" notices)".to_owned(),
        ),
        (
            json!({"action": "add", "type": "custom", "key": "x"}),
            "invalid key \"x\" (must be in \"example.com/path\" format)".to_owned(),
        ),
        (
            json!({"action": "add", "type": "custom", "key": long}),
            "key must be 256 bytes or less".to_owned(),
        ),
        (
            json!({"action": "add", "type": "custom", "key": "a.b/c", "repeat-after": "x"}),
            "invalid repeat-after: time: invalid duration \"x\"".to_owned(),
        ),
        (
            json!({"action": "add", "type": "custom", "key": "a.b/c", "data": data}),
            "total size of data must be 4096 bytes or less".to_owned(),
        ),
    ];
    for (body, why) in cases {
        let (status, result) = add(&server, &body);
        assert_eq!((status, &result["message"]), (400, &json!(why)));
    }
    let get = |query: &str| {
        let answer = server.get(&format!("/v1/notices?{query}"));
        (answer.status, answer.message().to_owned())
    };
    assert_eq!(
        get("users=x"),
        (400, "invalid \"users\" filter: must be \"all\"".into())
    );
    assert_eq!(
        get("users=all&user-id=1"),
        (
            400,
            "cannot use both \"users\" and \"user-id\" parameters".into()
        )
    );
    assert!(
        get("after=x")
            .1
            .starts_with("invalid \"after\" timestamp: ")
    );
    assert!(get("timeout=x").1.starts_with("invalid timeout: "));
    assert_eq!(server.get("/v1/notices?types=unknown").result(), &json!([]));
}

#[test]
fn notices_outlive_the_server_and_the_boot_id_does_not() {
    let mut server = Server::start();
    let boot = server.get("/v1/system-info").result()["boot-id"].clone();
    add(
        &server,
        &json!({"action": "add", "type": "custom", "key": "example.com/x", "data": {"a": "b"}}),
    );
    server.layer(
        "x",
        "services: {a: {override: replace, command: sleep 100}}",
    );
    let change = server.act("start", &["a"]);
    assert_eq!(server.stop(), Some(0));
    assert!(!server.socket().exists());
    server.run(&["--hold"]);
    assert_ne!(server.get("/v1/system-info").result()["boot-id"], boot);
    let notices = server.get("/v1/notices?types=custom");
    assert_eq!(notices.result()[0]["last-data"], json!({"a": "b"}));
    let id = change["id"].as_str().unwrap();
    assert_eq!(
        server.get(&format!("/v1/changes/{id}")).result()["status"],
        "Done"
    );
    assert_eq!(
        server.get("/v1/services").result(),
        &json!([]),
        "layers of the API do not last"
    );
    server.layer(
        "x",
        "services: {a: {override: replace, command: sleep 100}}",
    );
    let next = server.act("start", &["a"])["id"]
        .as_str()
        .unwrap()
        .parse::<u64>()
        .unwrap();
    assert!(next > id.parse().unwrap());
}
