//! What is run beside a real kube-apiserver, which has no controllers: Endpoints, the removal of
//! what lost its owners, and that the processes end.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as tests do"
)]

use std::time::Duration;

use kube_local::{Client, Remote, Spawned};
use serde_json::{Value, json};

const JSON: &str = "application/json";
const CORE: &str = "/api/v1/namespaces/t";
/// Longest wait for a controller.
const LIMIT: Duration = Duration::from_secs(30);

/// Asks again and again until the answer is as wanted.
async fn until(client: &Client, path: &str, wanted: impl Fn(u16, &Value) -> bool) -> Value {
    let asking = async {
        loop {
            let (status, answer) = client.call("GET", path, JSON, None).await.unwrap();
            if wanted(status, &answer) {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, asking).await.unwrap()
}

async fn make(client: &Client, path: &str, object: Value) -> Value {
    let made = client.call("POST", path, JSON, Some(&object)).await;
    let (status, made) = made.unwrap();
    assert_eq!(status, 201, "{path}: {made}");
    made
}

async fn set_ready(client: &Client, ready: &str) {
    let status = json!({"status": {
        "phase": "Running", "podIP": "10.1.0.2", "podIPs": [{"ip": "10.1.0.2"}],
        "conditions": [{"type": "Ready", "status": ready}],
    }});
    let (path, media) = (format!("{CORE}/pods/p"), "application/merge-patch+json");
    let path = format!("{path}/status");
    let done = client.call("PATCH", &path, media, Some(&status)).await;
    assert_eq!(done.unwrap().0, 200);
}

async fn endpoints_follow_readiness(client: &Client) {
    let spec = json!({"selector": {"a": "b"}, "ports": [{"port": 80, "targetPort": "web"}]});
    let service = json!({"metadata": {"name": "s"}, "spec": spec});
    make(client, &format!("{CORE}/services"), service).await;
    let container =
        json!({"name": "c", "image": "i", "ports": [{"name": "web", "containerPort": 8080}]});
    let pod = json!({
        "metadata": {"name": "p", "labels": {"a": "b"}},
        "spec": {"nodeName": "n", "containers": [container]},
    });
    make(client, &format!("{CORE}/pods"), pod).await;
    let path = format!("{CORE}/endpoints/s");
    for (ready, list) in [("False", "notReadyAddresses"), ("True", "addresses")] {
        set_ready(client, ready).await;
        let found = until(client, &path, |_, found| {
            found["subsets"][0][list][0]["ip"] == "10.1.0.2"
        });
        assert_eq!(found.await["subsets"][0]["ports"][0]["port"], 8080);
    }
}

async fn the_owned_go_with_their_owner(client: &Client) {
    let maps = format!("{CORE}/configmaps");
    let services = format!("{CORE}/services");
    let owner = make(
        client,
        &services,
        json!({"metadata": {"name": "owner"}, "spec": {"clusterIP": "None"}}),
    )
    .await;
    for (name, uid) in [("owned", &owner["metadata"]["uid"]), ("free", &Value::Null)] {
        let mut map = json!({"metadata": {"name": name}});
        if !uid.is_null() {
            let reference =
                json!({"apiVersion": "v1", "kind": "Service", "name": "owner", "uid": uid});
            map["metadata"]["ownerReferences"] = json!([reference]);
        }
        make(client, &maps, map).await;
    }
    let path = format!("{services}/owner");
    client.call("DELETE", &path, JSON, None).await.unwrap();
    until(client, &format!("{maps}/owned"), |status, _| status == 404).await;
    until(client, &format!("{maps}/free"), |status, _| status == 200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_server_has_controllers_and_ends_with_its_owner() {
    let Some(binary) = kube_local::binary() else {
        println!(
            "skipped: there is no kube-apiserver; build one with scripts/kube-apiserver build"
        );
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let spawned = match Spawned::start(&binary, folder.path(), &[]).await {
        Err(kube_local::Error::Program { program, source }) => {
            println!("skipped: {program} can't be started: {source}");
            return;
        }
        started => started.unwrap(),
    };
    let client = spawned.client().clone();
    let remote = Remote::start(client.clone()).await.unwrap();
    make(
        &client,
        "/api/v1/namespaces",
        json!({"metadata": {"name": "t"}}),
    )
    .await;
    endpoints_follow_readiness(&client).await;
    the_owned_go_with_their_owner(&client).await;

    assert!(remote.account_token("t", "nobody").is_err());
    let account = json!({"metadata": {"name": "sa"}});
    make(&client, &format!("{CORE}/serviceaccounts"), account).await;
    let token = remote.account_token("t", "sa").unwrap();
    let account = client.with_token(&token).unwrap();
    let asked = account
        .call("GET", &format!("{CORE}/pods"), JSON, None)
        .await;
    let (status, answer) = asked.unwrap();
    assert_eq!(status, 403, "{answer}");

    drop(spawned);
    assert!(client.call("GET", "/readyz", JSON, None).await.is_err());
    // Without an answer nothing is known, and nothing is made up.
    assert!(remote.list("services", "t").is_none());
    assert_eq!(remote.call("GET", "/readyz", JSON, None).0, 503);
}
