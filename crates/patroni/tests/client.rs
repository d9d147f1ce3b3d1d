//! The client's calls against a member of ours that answers as Patroni 3.0.2 and 4.1 do.

mod support;

use std::time::Duration;

use patroni::{Client, Error, Probe, Restart, RestartRole, Role, State, Version};
use serde_json::json;
use support::{answer, answer_raw};
use tokio::net::TcpListener;

#[tokio::test]
async fn members_are_read_as_version_3_tells_of_them() {
    let body = json!({"members": [
        {"name": "db-0", "role": "leader", "state": "running", "port": 5432, "timeline": 2,
         "api_url": "http://db-0:8008/patroni", "host": "db-0", "tags": {"nofailover": true}},
        {"name": "db-1", "role": "sync_standby", "state": "running", "timeline": 2, "lag": 0,
         "pending_restart": true},
        {"name": "db-2", "role": "replica", "state": "creating replica", "lag": "unknown"}],
        "scheduled_switchover": {"at": "2026-07-22T10:00:00+00:00", "from": "db-0"}});
    let (client, served) = answer(200, &body.to_string()).await;
    let cluster = client.cluster().await.unwrap();
    let [leader, sync, replica] = cluster.members.as_slice() else {
        panic!("{cluster:?}")
    };
    assert_eq!(cluster.leader().unwrap().name, leader.name);
    assert_eq!(
        (leader.port, leader.timeline, leader.lag),
        (Some(5432), Some(2), None)
    );
    assert!(leader.has_tag("nofailover") && !leader.has_tag("clonefrom"));
    assert_eq!(
        (&sync.role, sync.lag, sync.pending_restart),
        (&Role::SyncStandby, Some(0), true)
    );
    assert_eq!((replica.lag, replica.state.is_started()), (None, false));
    assert_eq!(replica.state.to_string(), "creating replica");
    assert_eq!(
        cluster.scheduled_switchover.unwrap().from.as_deref(),
        Some("db-0")
    );
    assert!(
        served
            .await
            .unwrap()
            .starts_with("GET /cluster HTTP/1.1\r\n")
    );
}

#[tokio::test]
async fn members_are_read_as_version_4_tells_of_them() {
    let body = json!({"members": [
        {"name": "db-0", "role": "standby_leader", "state": "streaming", "timeline": 3},
        {"name": "db-1", "role": "quorum_standby", "state": "streaming", "timeline": 3,
         "lag": 16, "lsn": "0/3000000", "receive_lag": 0, "receive_lsn": "0/3000010",
         "replay_lag": 16, "replay_lsn": "0/3000000"},
        {"name": "db-2", "role": "replica", "state": "in archive recovery", "lag": "unknown",
         "receive_lag": "unknown", "replay_lag": "unknown",
         "pending_restart_reason": {"max_connections": {"old_value": "100"}}}],
        "scope": "patroni-db", "pause": true});
    let (client, _served) = answer(200, &body.to_string()).await;
    let cluster = client.cluster().await.unwrap();
    assert!(cluster.pause);
    assert_eq!(cluster.leader().unwrap().role, Role::StandbyLeader);
    let member = &cluster.members.get(1).unwrap();
    assert_eq!(member.role, Role::QuorumStandby);
    assert_eq!((member.receive_lag, member.replay_lag), (Some(0), Some(16)));
}

#[tokio::test]
async fn what_is_new_odd_or_missing_in_a_member_does_not_hide_the_others() {
    let body = json!({"members": [
        {"name": "a", "role": "something new", "state": "odd", "future": {"x": 1}},
        {"name": "b", "role": null, "state": "", "api_url": null, "timeline": "??", "lag": -3,
         "port": "5432", "tags": null, "pending_restart": "yes"},
        {"name": "c"}]});
    let (client, _served) = answer(200, &body.to_string()).await;
    let members = client.cluster().await.unwrap().members;
    assert_eq!(members.len(), 3);
    assert_eq!(
        members.first().unwrap().role,
        Role::Other("something new".into())
    );
    assert_eq!(members.get(1).unwrap().role, Role::Other(String::new()));
    let (client, _served) = answer(200, "{}").await;
    let error = client.cluster().await.unwrap_err();
    assert!(
        matches!(error, Error::Malformed(_)),
        "no members is no cluster: {error:?}"
    );
}

#[tokio::test]
async fn a_member_tells_of_itself_even_when_it_is_not_well() {
    let body = json!({"state": "starting", "role": "master", "cluster_unlocked": true,
        "dcs_last_seen": 1_688_642_069, "database_system_identifier": "7252327498286490579",
        "patroni": {"version": "3.0.2", "scope": "x"}});
    let (client, _served) = answer(503, &body.to_string()).await;
    let health = client.health(Probe::Health).await.unwrap();
    let status = health.member.unwrap();
    assert!(!health.healthy && status.cluster_unlocked);
    assert_eq!(
        (&status.role, &status.state),
        (&Role::Leader, &State::Starting)
    );
    let version = Version {
        major: 3,
        minor: 0,
        patch: 2,
    };
    assert_eq!(
        (status.version(), status.server_version),
        (Some(version), None)
    );
}

#[tokio::test]
async fn a_replica_of_version_4_tells_what_it_has_replayed() {
    let body = json!({"state": "running", "postmaster_start_time": "2026-07-22 10:00:00+00:00",
        "role": "replica", "server_version": 160_004, "latest_end_lsn": 335_544_480,
        "xlog": {"received_location": 335_544_480, "replayed_location": 335_544_400,
                 "replayed_timestamp": null, "paused": false},
        "quorum_standby": true, "timeline": 12, "replication_state": "streaming",
        "tags": {"nosync": true}, "pending_restart": true,
        "pending_restart_reason": {"max_connections": {"old_value": "1", "new_value": "2"}},
        "patroni": {"version": "4.1.4", "scope": "x", "name": "db-1"}});
    let (client, served) = answer(200, &body.to_string()).await;
    let status = client.status().await.unwrap();
    assert!(status.is_streaming() && status.quorum_standby && status.pending_restart);
    assert_eq!(status.xlog.replayed_location, Some(335_544_400));
    assert_eq!(
        (status.server_version, status.timeline),
        (Some(160_004), Some(12))
    );
    assert!(served.await.unwrap().starts_with("GET /patroni "));
}

#[tokio::test]
async fn questions_are_answered_yes_or_no_also_without_a_body() {
    for (status, healthy) in [(200, true), (503, false)] {
        // The whole answer that Patroni gives to /liveness and /readiness.
        let (client, served) = answer_raw(format!("HTTP/1.0 {status} X\r\n\r\n")).await;
        let health = client.health(Probe::Readiness).await.unwrap();
        assert_eq!((health.healthy, health.member.is_none()), (healthy, true));
        assert!(served.await.unwrap().starts_with("GET /readiness "));
    }
    let (client, served) = answer(200, "{}").await;
    assert!(client.probe(Probe::ReplicaWithin(1024)).await.unwrap());
    assert!(served.await.unwrap().starts_with("GET /replica?lag=1024 "));
    let (client, _served) = answer(403, "Access is denied").await;
    assert_eq!(
        client.probe(Probe::Leader).await.unwrap_err().status(),
        Some(403)
    );
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
    let error = client.restart(true).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized), "{error:?}");
}

#[tokio::test]
async fn a_page_of_the_servers_own_is_not_taken_for_words() {
    let page = "<!DOCTYPE HTML><html><head><title>Error response</title></head></html>";
    let (client, _served) = answer(409, page).await;
    let error = client.patch_config(&json!({"ttl": 1})).await.unwrap_err();
    assert_eq!(error.to_string(), "Patroni answers 409: Conflict");
    let (client, _served) = answer(502, page).await;
    assert_eq!(client.config().await.unwrap_err().status(), Some(502));
}

#[tokio::test]
async fn a_switchover_to_another_than_the_candidate_is_no_success() {
    let (client, served) = answer(200, "Successfully switched over to \"db-1\"").await;
    client.switchover("db-0", Some("db-1")).await.unwrap();
    let asked = served.await.unwrap();
    assert!(asked.starts_with("POST /switchover ") && asked.contains("\"candidate\":\"db-1\""));
    let text = "Switched over to \"db-2\" instead of \"db-1\"";
    let (client, _served) = answer(200, text).await;
    let error = client.switchover("db-0", Some("db-1")).await.unwrap_err();
    assert!(matches!(error, Error::OtherLeader { .. }), "{error:?}");
    let (client, served) = answer(200, "Successfully switched over to \"db-1\"").await;
    client.switchover("db-0", None).await.unwrap();
    assert!(!served.await.unwrap().contains("candidate"));
    let (client, served) = answer(200, "Successfully failed over to \"db-1\"").await;
    client.failover("db-1").await.unwrap();
    assert!(served.await.unwrap().starts_with("POST /failover "));
}

#[tokio::test]
async fn a_restart_has_only_the_conditions_given() {
    let restart = Restart {
        if_pending: true,
        role: Some(RestartRole::Replica),
        seconds: Some(30),
        ..Restart::default()
    };
    let (client, served) = answer(503, "restart conditions are not satisfied").await;
    let error = client.restart_with(&restart).await.unwrap_err();
    assert_eq!(error.status(), Some(503));
    let asked = served.await.unwrap();
    assert!(asked.starts_with("POST /restart "), "{asked}");
    let body = r#"{"restart_pending":true,"role":"replica","timeout":30}"#;
    assert!(asked.ends_with(body), "{asked}");
    let (client, served) = answer(200, "restarted successfully").await;
    client.restart(false).await.unwrap();
    assert!(served.await.unwrap().ends_with("\r\n\r\n{}"));
}

#[tokio::test]
async fn reload_reinitialisation_and_history() {
    let (client, served) = answer(202, "reload scheduled").await;
    client.reload().await.unwrap();
    assert!(served.await.unwrap().starts_with("POST /reload "));
    let (client, served) = answer(200, "reinitialize started").await;
    client.reinitialize(true).await.unwrap();
    assert!(served.await.unwrap().ends_with(r#"{"force":true}"#));
    let rows = json!([
        [
            1,
            50_332_048,
            "no recovery target specified",
            "2026-07-22T10:00:00+00:00",
            "db-0"
        ],
        [2, 67_108_864, "no recovery target specified"]
    ]);
    let (client, _served) = answer(200, &rows.to_string()).await;
    let history = client.history().await.unwrap();
    let (first, second) = (history.first().unwrap(), history.get(1).unwrap());
    assert_eq!((first.timeline, first.leader.as_deref()), (1, Some("db-0")));
    assert_eq!((second.lsn, second.leader.as_deref()), (67_108_864, None));
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
