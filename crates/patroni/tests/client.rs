//! The client against a server of ours that answers as Patroni does.

use std::time::Duration;

use patroni::{Client, Error, Probe, Role, State, Version};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Answers one request with this, and gives back what was asked.
async fn answer(status: u16, body: &str) -> (Client, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let text = format!(
        "HTTP/1.0 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let count = stream.read(&mut buffer).await.unwrap();
            seen.extend_from_slice(&buffer[..count]);
            let text = String::from_utf8_lossy(&seen).to_lowercase();
            let length = text
                .split("content-length: ")
                .nth(1)
                .and_then(|rest| rest.split("\r\n").next()?.parse::<usize>().ok())
                .unwrap_or(0);
            let head = text.find("\r\n\r\n").map(|at| at + 4);
            if count == 0 || head.is_some_and(|head| seen.len() >= head + length) {
                break;
            }
        }
        stream.write_all(text.as_bytes()).await.unwrap();
        String::from_utf8(seen).unwrap()
    });
    (Client::new("127.0.0.1", port), served)
}

#[tokio::test]
async fn members_of_version_3_and_4_are_read() {
    let body = json!({"members": [
        {"name": "db-0", "role": "leader", "state": "running", "api_url": "http://db-0:8008/patroni",
         "host": "db-0", "port": 5432, "timeline": 2},
        {"name": "db-1", "role": "sync_standby", "state": "streaming", "timeline": 2, "lag": 0},
        {"name": "db-2", "role": "quorum_standby", "state": "creating replica", "lag": "unknown"},
        {"name": "db-3", "role": "something new", "state": "odd", "future": {"x": 1}}
    ], "scope": "patroni-db"});
    let (client, _served) = answer(200, &body.to_string()).await;
    let cluster = client.cluster().await.unwrap();
    assert_eq!(cluster.leader().unwrap().name, "db-0");
    assert_eq!(cluster.members[1].role, Role::SyncStandby);
    assert_eq!(cluster.members[1].lag, Some(0));
    assert_eq!(cluster.members[2].lag, None);
    assert_eq!(
        cluster.members[2].state,
        State::Other("creating replica".into())
    );
    assert_eq!(cluster.members[3].role, Role::Other("something new".into()));
}

#[tokio::test]
async fn a_member_tells_its_state_even_when_it_is_not_well() {
    let body = json!({"state": "starting", "role": "master", "server_version": 150_018,
        "patroni": {"version": "3.0.2", "scope": "x"}});
    let (client, _served) = answer(503, &body.to_string()).await;
    let status = client.status().await.unwrap();
    assert_eq!(
        (status.role.clone(), status.state.clone()),
        (Role::Leader, State::Starting)
    );
    assert_eq!(
        status.version(),
        Some(Version {
            major: 3,
            minor: 0,
            patch: 2
        })
    );
    let (client, _served) = answer(503, "{}").await;
    assert!(!client.probe(Probe::Health).await.unwrap());
}

#[tokio::test]
async fn credentials_go_with_every_call_and_are_never_printed() {
    let (client, served) = answer(200, "{}").await;
    let client = client.with_credentials("patroni", "s3cret".to_owned().into());
    client.patch_config(&json!({"ttl": 20})).await.unwrap();
    let seen = served.await.unwrap();
    assert!(seen.starts_with("PATCH /config"), "{seen}");
    assert!(seen.contains("Basic cGF0cm9uaTpzM2NyZXQ="), "{seen}");
    assert!(seen.ends_with(r#"{"ttl":20}"#), "{seen}");
    assert!(!format!("{client:?}").contains("s3cret"));
}

#[tokio::test]
async fn refusals_carry_patronis_words() {
    let (client, _served) = answer(412, "candidate name does not match with sync_standby").await;
    let error = client.switchover("db-0", Some("db-2")).await.unwrap_err();
    let Error::Status { status: 412, text } = error else {
        panic!("{error:?}")
    };
    assert_eq!(text, "candidate name does not match with sync_standby");
    let (client, _served) = answer(401, "no auth header received").await;
    assert!(matches!(
        client.restart(true).await.unwrap_err(),
        Error::Unauthorized
    ));
}

#[tokio::test]
async fn an_answer_that_is_no_json_is_malformed() {
    let (client, _served) = answer(200, "<html>").await;
    assert!(matches!(
        client.cluster().await.unwrap_err(),
        Error::Malformed(_)
    ));
}

#[tokio::test]
async fn silence_ends_in_a_time_out_and_absence_in_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let short = Duration::from_millis(50);
    let client = Client::new("127.0.0.1", port).with_limits(short, short);
    assert!(matches!(
        client.cluster().await.unwrap_err(),
        Error::TimedOut { .. }
    ));
    drop(listener);
    assert!(matches!(
        client.cluster().await.unwrap_err(),
        Error::Unreachable { .. }
    ));
}
