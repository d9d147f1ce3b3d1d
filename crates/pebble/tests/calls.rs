//! The client's calls against a Pebble of ours that answers with recorded shapes.

mod support;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use pebble::{Client, ConnectFailure, Error, Layer, NoticeQuery, PushFile, PushOptions, Service};
use serde_json::{Value, json};
use support::{Asked, Fake, Reply, background, refusal, sync};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_missing_a_dead_and_a_silent_pebble_are_told_apart() {
    let fake = Fake::start(|_| Reply::Silence);
    let failure = |error| match error {
        Error::Unreachable { failure, .. } => failure,
        other => panic!("{other:?}"),
    };
    let client = Client::new(fake.directory().join("none"));
    let error = client.system_info().await.unwrap_err();
    assert_eq!(failure(error), ConnectFailure::NoSocket);

    let dead = fake.directory().join("dead");
    drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
    let error = Client::new(&dead).system_info().await.unwrap_err();
    assert!(error.is_unreachable());
    assert_eq!(failure(error), ConnectFailure::Refused);

    let client = fake.client.clone().with_timeout(Duration::from_millis(50));
    let error = client.system_info().await.unwrap_err();
    assert!(matches!(error, Error::TimedOut(_)), "{error:?}");

    let fake = Fake::start(|_| Reply::HangUp);
    let error = fake.client.system_info().await.unwrap_err();
    assert_eq!(failure(error), ConnectFailure::Broken);
}

#[tokio::test]
async fn a_socket_may_be_farther_down_than_its_address_is_long() {
    let fake = Fake::start_far_down(|_| sync(json!({"boot-id": "b", "version": "v1.26.0"})));
    let info = fake.client.system_info().await.unwrap();
    assert_eq!(
        (info.boot_id.as_str(), info.version.as_str()),
        ("b", "v1.26.0")
    );
}

#[tokio::test]
async fn bad_health_is_an_answer_and_html_is_none() {
    let fake = Fake::start(|asked| match asked.line.as_str() {
        "GET /v1/health?level=ready" => Reply::Json(
            502,
            json!({"type": "sync", "status-code": 502, "result": {"healthy": false}}),
        ),
        _ => Reply::Raw(200, "text/html".into(), b"<html>".to_vec()),
    });
    assert!(!fake.client.health(Some("ready")).await.unwrap());
    let error = fake.client.plan().await.unwrap_err();
    assert!(matches!(error, Error::Malformed(_)), "{error:?}");
}

#[tokio::test]
async fn a_layer_goes_out_as_yaml_and_the_plan_comes_back() {
    let fake = Fake::start(|asked| match asked.line.as_str() {
        "POST /v1/layers" => sync(json!(true)),
        _ => sync(json!(
            "services:\n    a:\n        override: replace\n        command: sleep 1\n"
        )),
    });
    let service = Service {
        override_: "replace".into(),
        command: "sleep 1".into(),
        ..Service::default()
    };
    let layer = Layer {
        services: [("a".to_owned(), service)].into(),
        ..Layer::default()
    };
    fake.client.add_layer("x", &layer, true).await.unwrap();
    let sent = fake.asked()[0].json();
    assert_eq!(
        (&sent["action"], &sent["combine"]),
        (&json!("add"), &json!(true))
    );
    assert_eq!(
        (&sent["label"], &sent["format"]),
        (&json!("x"), &json!("yaml"))
    );
    let yaml = sent["layer"].as_str().unwrap();
    assert_eq!(serde_yaml::from_str::<Layer>(yaml).unwrap(), layer);
    assert_eq!(fake.client.plan().await.unwrap(), layer);
}

fn failed_start(asked: &Asked) -> Reply {
    if asked.line.starts_with("POST") {
        return background("12", Value::Null);
    }
    sync(json!({
        "id": "12", "kind": "replan", "summary": "Replan service \"a\"", "status": "Error",
        "ready": true,
        "err": "cannot perform the following tasks:\n- Start service \"a\" (exited quickly)",
        "spawn-time": "2026-07-22T10:00:00Z",
        "tasks": [{"id": "9", "kind": "start", "summary": "Start service \"a\"", "status": "Error",
            "log": ["2026-07-22T10:00:00Z INFO Most recent service output:\n    no such option"],
            "progress": {"label": "", "done": 1, "total": 1}, "future": {}}]
    }))
}

#[tokio::test]
async fn a_failed_change_tells_what_its_tasks_logged() {
    let fake = Fake::start(failed_start);
    let error = fake.client.replan(SECOND).await.unwrap_err();
    let text = error.to_string();
    let Error::Change(change) = error else {
        panic!("{text}")
    };
    assert_eq!((change.id.as_str(), change.kind.as_str()), ("12", "replan"));
    assert_eq!(change.tasks[0].log.len(), 1);
    assert!(
        text.contains("exited quickly") && text.contains("no such option"),
        "{text}"
    );
    let wait = &fake.asked()[1].line;
    assert_eq!(wait, "GET /v1/changes/12/wait?timeout=1000ms");
}

#[tokio::test]
async fn a_change_that_was_given_up_is_no_success() {
    let fake = Fake::start(|_| sync(json!({"id": "3", "status": "Hold", "ready": true})));
    let error = fake.client.wait_change("3", SECOND).await.unwrap_err();
    assert!(matches!(error, Error::Change(_)), "{error:?}");
}

#[tokio::test]
async fn a_change_that_takes_longer_is_pending() {
    let fake = Fake::start(|asked| match asked.line.split(' ').next() {
        Some("POST") => background("1", Value::Null),
        _ => refusal(504, "", "timed out waiting for change after 10ms"),
    });
    let wait = Duration::from_millis(10);
    let error = fake.client.start(&["a", "b"], wait).await.unwrap_err();
    assert!(error.is_pending() && !error.is_unreachable());
    let sent = fake.asked()[0].json();
    assert_eq!(sent, json!({"action": "start", "services": ["a", "b"]}));
}

#[tokio::test]
async fn refusals_carry_pebbles_words() {
    let fake = Fake::start(|_| refusal(400, "no-default-services", "no default services"));
    let error = fake.client.autostart(SECOND).await.unwrap_err();
    let Error::Api {
        status,
        kind,
        message,
    } = error
    else {
        panic!("{error:?}")
    };
    assert_eq!((status, kind.as_str()), (400, "no-default-services"));
    assert_eq!(message, "no default services");
}

/// What was written, in the multipart body of the call.
fn written(asked: &Asked) -> (Value, Vec<(String, Vec<u8>)>) {
    let kind = asked
        .head
        .lines()
        .find(|l| l.to_lowercase().starts_with("content-type"));
    let parts = pebble::multipart::parts(kind.unwrap_or_default(), &asked.body);
    let parts = parts.unwrap_or_default();
    let metadata = parts
        .first()
        .map(|part| serde_json::from_slice(part.content));
    let files = parts.iter().skip(1);
    let files = files.map(|part| (part.filename.clone(), part.content.to_vec()));
    (
        metadata.and_then(Result::ok).unwrap_or_default(),
        files.collect(),
    )
}

#[tokio::test]
async fn files_are_pushed_with_mode_and_owner_several_at_once() {
    let fake = Fake::start(|_| sync(json!([{"path": "/a \"q\""}, {"path": "/b"}])));
    let options = PushOptions {
        mode: Some(0o40),
        user: Some("postgres".into()),
        group: Some("26".into()),
        make_parents: true,
    };
    let plain = PushOptions::default();
    let files = [
        PushFile {
            path: "/a \"q\"",
            content: b"one\r\n--x",
            options: &options,
        },
        PushFile {
            path: "/b",
            content: b"",
            options: &plain,
        },
    ];
    fake.client.push_all(&files).await.unwrap();
    let (metadata, files) = written(&fake.asked()[0]);
    let first = json!({"path": "/a \"q\"", "make-dirs": true, "permissions": "040",
        "user": "postgres", "group-id": 26});
    assert_eq!(metadata["files"][0], first);
    assert_eq!(
        metadata["files"][1],
        json!({"path": "/b", "make-dirs": false})
    );
    let expected = [
        ("/a \"q\"".to_owned(), b"one\r\n--x".to_vec()),
        ("/b".to_owned(), vec![]),
    ];
    assert_eq!(files, expected);
}

#[tokio::test]
async fn what_pebble_has_no_form_for_is_refused_before_it_is_sent() {
    let fake = Fake::start(|_| Reply::HangUp);
    let sticky = PushOptions {
        mode: Some(0o1777),
        ..PushOptions::default()
    };
    let error = fake.client.push("/a", b"", &sticky).await.unwrap_err();
    assert!(matches!(error, Error::Argument(_)), "{error:?}");
    let plain = PushOptions::default();
    let error = fake.client.make_dir("/a\r\nb", &plain).await.unwrap_err();
    assert!(matches!(error, Error::Argument(_)), "{error:?}");
    assert!(fake.asked().is_empty());
}

#[tokio::test]
async fn a_write_that_failed_for_one_file_is_an_error() {
    let fake = Fake::start(|_| {
        let error = json!({"message": "open /no/x.1~: no such file or directory",
            "kind": "not-found"});
        sync(json!([{"path": "/no/x", "error": error}]))
    });
    let plain = PushOptions::default();
    let error = fake.client.push("/no/x", b"", &plain).await.unwrap_err();
    assert!(error.is_not_found(), "{error:?}");
}

fn multipart_answer(files: &[(&str, &str)], outcomes: &Value) -> Reply {
    let boundary = "0123456789abcdef0123456789abcdef";
    let mut body = String::new();
    for (path, content) in files {
        let _ = write!(
            body,
            "--{boundary}\r\nContent-Disposition: form-data; name=\"files\"; \
             filename=\"{path}\"\r\nContent-Type: application/octet-stream\r\n\r\n{content}\r\n"
        );
    }
    let end = json!({"type": "sync", "status-code": 200, "status": "OK", "result": outcomes});
    let _ = write!(
        body,
        "--{boundary}\r\nContent-Disposition: form-data; name=\"response\"\r\n\
         Content-Type: application/json\r\n\r\n{end}\r\n--{boundary}--\r\n"
    );
    let kind = format!("multipart/form-data; boundary={boundary}");
    Reply::Raw(200, kind, body.into_bytes())
}

#[tokio::test]
async fn files_are_pulled_in_order_and_each_may_fail_alone() {
    let fake = Fake::start(|_| {
        let missing = json!({"message": "open /b: no such file or directory", "kind": "not-found"});
        let outcomes = json!([{"path": "/a"}, {"path": "/b", "error": missing}, {"path": "/c"}]);
        multipart_answer(&[("/a", "one\r\ntwo"), ("/c", "")], &outcomes)
    });
    let files = fake.client.pull_all(&["/a", "/b", "/c"]).await.unwrap();
    assert_eq!(files[0].as_deref().unwrap(), b"one\r\ntwo");
    assert!(files[1].as_ref().unwrap_err().is_not_found());
    assert_eq!(files[2].as_deref().unwrap(), b"");
    let asked = &fake.asked()[0];
    assert_eq!(
        asked.line,
        "GET /v1/files?action=read&path=%2Fa&path=%2Fb&path=%2Fc"
    );
    assert!(
        asked
            .head
            .to_lowercase()
            .contains("accept: multipart/form-data\r\n")
    );
}

#[tokio::test]
async fn an_answer_in_which_every_file_failed_has_no_files() {
    let fake = Fake::start(|_| {
        let denied = json!({"message": "open /a: permission denied", "kind": "permission-denied"});
        multipart_answer(&[], &json!([{"path": "/a", "error": denied}]))
    });
    let error = fake.client.pull("/a").await.unwrap_err();
    let Error::Api { kind, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(kind, "permission-denied");
}

#[tokio::test]
async fn directories_are_listed_made_and_removed() {
    let fake = Fake::start(|asked| match asked.line.as_str() {
        "GET /v1/files?action=list&path=%2Fd&pattern=%2A.log" => sync(json!([
            {"path": "/d/a.log", "name": "a.log", "type": "file", "size": 3, "permissions": "640",
             "last-modified": "2026-07-22T10:00:00+02:00", "user-id": 26, "user": "postgres",
             "group-id": null, "group": ""},
            {"path": "/d/z", "name": "z", "type": "door", "permissions": "777"}])),
        "GET /v1/files?action=list&path=%2Fnone" => {
            refusal(404, "not-found", "stat /none: no such file or directory")
        }
        _ => sync(json!([{"path": "/d"}])),
    });
    let files = fake.client.list_matching("/d", "*.log").await.unwrap();
    assert_eq!(
        (files[0].mode(), files[0].size, files[0].user_id),
        (Some(0o640), Some(3), Some(26))
    );
    assert_eq!(files[1].kind, pebble::FileKind::Unknown);
    assert!(
        fake.client
            .list_files("/none", false)
            .await
            .unwrap_err()
            .is_not_found()
    );
    fake.client
        .make_dir("/d", &PushOptions::default())
        .await
        .unwrap();
    fake.client.remove_path("/d", true).await.unwrap();
    let asked = fake.asked();
    let made = json!({"action": "make-dirs", "dirs": [{"path": "/d", "make-parents": false}]});
    assert_eq!(asked[2].json(), made);
    let removed = json!({"action": "remove", "paths": [{"path": "/d", "recursive": true}]});
    assert_eq!(asked[3].json(), removed);
}

#[tokio::test]
async fn checks_are_read_started_stopped_and_run() {
    let fake = Fake::start(|asked| match asked.line.as_str() {
        "GET /v1/checks?level=alive" => sync(json!([])),
        "GET /v1/checks?names=up" => sync(json!([{"name": "up", "startup": "enabled",
            "status": "down", "successes": 0, "failures": 3, "threshold": 3,
            "change-id": "8", "prev-change-id": "7"}])),
        "POST /v1/checks" => sync(json!({"changed": ["up"]})),
        _ => sync(
            json!({"info": {"name": "up", "status": "up", "threshold": 3},
            "error": "non-2xx status code 503"}),
        ),
    });
    assert!(fake.client.checks_at("alive").await.unwrap().is_empty());
    let check = fake.client.checks(&["up"]).await.unwrap().remove(0);
    assert_eq!((check.status.as_str(), check.failures), ("down", 3));
    assert_eq!(
        (check.change_id.as_str(), check.prev_change_id.as_str()),
        ("8", "7")
    );
    assert_eq!(fake.client.stop_checks(&["up"]).await.unwrap(), ["up"]);
    assert_eq!(
        fake.asked()[2].json(),
        json!({"action": "stop", "checks": ["up"]})
    );
    let run = fake.client.refresh_check("up").await.unwrap();
    assert_eq!(run.error.as_deref(), Some("non-2xx status code 503"));
}

#[tokio::test]
async fn notices_are_recorded_and_waited_for() {
    let fake = Fake::start(|asked| match asked.line.split(' ').next() {
        Some("POST") => sync(json!({"id": "5"})),
        _ => sync(
            json!([{"id": "5", "user-id": null, "type": "custom", "key": "a.b/c",
            "first-occurred": "2026-07-22T10:00:00Z", "last-occurred": "2026-07-22T10:00:00Z",
            "last-repeated": "2026-07-22T10:00:00.123456789Z", "occurrences": 2,
            "last-data": {"k": "v"}, "expire-after": "168h0m0s"}]),
        ),
    });
    let data = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
    assert_eq!(fake.client.notify("a.b/c", &data).await.unwrap(), "5");
    fake.client
        .notify_after("a.b/c", &data, SECOND)
        .await
        .unwrap();
    let query = NoticeQuery {
        all_users: true,
        types: vec!["custom".into()],
        after: Some("2026-07-22T09:00:00+00:00".into()),
        ..NoticeQuery::default()
    };
    let notices = fake.client.notices(&query, SECOND).await.unwrap();
    assert_eq!(notices[0].last_repeated, "2026-07-22T10:00:00.123456789Z");
    let asked = fake.asked();
    assert!(asked[0].json().get("repeat-after").is_none());
    assert_eq!(asked[1].json()["repeat-after"], "1000ms");
    let line = "GET /v1/notices?users=all&types=custom&after=2026-07-22T09%3A00%3A00%2B00%3A00\
                &timeout=1000ms";
    assert_eq!(asked[2].line, line);
}

#[tokio::test]
async fn warnings_are_notices_or_of_their_own_in_old_pebbles() {
    let new = Fake::start(|asked| match asked.line.as_str() {
        "GET /v1/notices?types=warning" => sync(json!([{"id": "1", "type": "warning",
            "key": "disk is full", "last-occurred": "t"}])),
        _ => refusal(404, "", "invalid API endpoint requested"),
    });
    assert_eq!(
        new.client.warnings().await.unwrap()[0].message,
        "disk is full"
    );
    let old = Fake::start(|asked| match asked.line.as_str() {
        "GET /v1/warnings?select=all" => sync(json!([{"message": "old", "last-added": "t"}])),
        _ => sync(json!([])),
    });
    assert_eq!(old.client.warnings().await.unwrap()[0].message, "old");
    let none = Fake::start(|asked| match asked.line.as_str() {
        "GET /v1/notices?types=warning" => sync(json!([])),
        _ => refusal(404, "", "invalid API endpoint requested"),
    });
    assert!(none.client.warnings().await.unwrap().is_empty());
}

#[tokio::test]
async fn logs_are_read_and_followed_across_the_bits_they_come_in() {
    let line = |text: &str| {
        format!("{{\"time\":\"t\",\"service\":\"a\",\"message\":\"{text}\"}}\n").into_bytes()
    };
    let fake = Fake::start(move |asked| {
        let both = [line("one"), line("two")].concat();
        if !asked.line.contains("follow=true") {
            return Reply::Raw(200, "application/x-ndjson".into(), both);
        }
        let (first, second) = both.split_at(20);
        Reply::Stream(vec![first.to_vec(), second.to_vec()])
    });
    let lines = fake.client.logs(&["a"], 2).await.unwrap();
    assert_eq!(lines.len(), 2);
    let mut stream = fake.client.follow_logs(&["a"], 2).await.unwrap();
    assert_eq!(stream.next(SECOND).await.unwrap().unwrap().message, "one");
    assert_eq!(stream.next(SECOND).await.unwrap().unwrap().message, "two");
    let nothing = stream.next(Duration::from_millis(20)).await.unwrap_err();
    assert!(matches!(nothing, Error::TimedOut(_)), "{nothing:?}");
    assert_eq!(
        fake.asked()[1].line,
        "GET /v1/logs?services=a&n=2&follow=true"
    );
}
