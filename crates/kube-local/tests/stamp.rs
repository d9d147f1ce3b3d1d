//! What service accounts write gets the label that a webhook would give it.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use kube_local::{ApiServer, Client, Config, Stamp};
use serde_json::{Value, json};

const JSON: &str = "application/json";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

async fn server() -> ApiServer {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = Config {
        listen: ([127, 0, 0, 1], 0).into(),
        names: Vec::new(),
        state: None,
        stamp: Some(Stamp {
            label: "made-by".into(),
            account_label: "app".into(),
            except: vec!["endpoints".into()],
        }),
    };
    let server = ApiServer::start(config).await.unwrap();
    let put = |path: &str, object: Value| {
        let (status, answer) = server.call("POST", path, JSON, Some(&object));
        assert_eq!(status, 201, "{answer}");
    };
    put("/api/v1/namespaces", json!({"metadata": {"name": "m"}}));
    let accounts = "/api/v1/namespaces/m/serviceaccounts";
    put(
        accounts,
        json!({"metadata": {"name": "pg", "labels": {"app": "pg"}}}),
    );
    put(accounts, json!({"metadata": {"name": "other"}}));
    let all = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
    let role = json!({"metadata": {"name": "all"}, "rules": all});
    put(&format!("{RBAC}/clusterroles"), role);
    let subject = |name: &str| json!({"kind": "ServiceAccount", "name": name, "namespace": "m"});
    let binding = json!({
        "metadata": {"name": "all"}, "subjects": [subject("pg"), subject("other")],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "all"},
    });
    put(&format!("{RBAC}/clusterrolebindings"), binding);
    server
}

fn client(server: &ApiServer, account: &str) -> Client {
    let token = server.account_token("m", account);
    let url = format!("https://{}", server.address());
    Client::new(&url, &token, server.ca_pem()).unwrap()
}

fn label(server: &ApiServer, plural: &str, name: &str) -> Value {
    let object = server.get(plural, "m", name).unwrap();
    object
        .pointer("/metadata/labels/made-by")
        .cloned()
        .unwrap_or_default()
}

#[tokio::test]
async fn what_an_accounts_pods_write_says_whose_it_is() {
    let server = server().await;
    let core = "/api/v1/namespaces/m";
    let (pg, other) = (client(&server, "pg"), client(&server, "other"));
    let service =
        |name: &str| json!({"metadata": {"name": name}, "spec": {"ports": [{"port": 1}]}});
    let (services, merge) = (format!("{core}/services"), "application/merge-patch+json");
    let change = json!({"metadata": {"annotations": {"a": "b"}}});
    let endpoints = json!({"metadata": {"name": "e"}});
    for (client, method, path, media, body) in [
        (&pg, "POST", services.clone(), JSON, service("mine")),
        (&other, "POST", services.clone(), JSON, service("nobodys")),
        (&pg, "POST", format!("{core}/endpoints"), JSON, endpoints),
        (
            &pg,
            "PATCH",
            format!("{services}/nobodys"),
            merge,
            change.clone(),
        ),
        (&other, "PATCH", format!("{services}/mine"), merge, change),
    ] {
        let (status, answer) = client
            .call(method, &path, media, Some(&body))
            .await
            .unwrap();
        assert!(status < 300, "{answer}");
    }
    // The owner's own objects are not of an account.
    let admins = service("admins");
    let _ = server.call("POST", &services, JSON, Some(&admins));
    assert_eq!(label(&server, "services", "mine"), "pg");
    assert_eq!(label(&server, "services", "nobodys"), "pg");
    assert_eq!(label(&server, "endpoints", "e"), Value::Null);
    assert_eq!(label(&server, "services", "admins"), Value::Null);
}
