//! The rights of `docs/reference/kubernetes-rights.md` against an API server that holds to them: they
//! are enough for every request that the charm can make, and none of them is for nothing. What is
//! another's is neither changed nor deleted. Patroni's account may do what Patroni does, and no more.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by them"
)]

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use cluster_plan::names::{Member, Names, ServiceKind};
use cluster_plan::synchronous::SyncKey;
use kube::Config;
use kube_local::ApiServer;
use postgresql_k8s::ports::{
    Access, ClusterApi, Credentials, Kubernetes, Members, PatroniMembers, PortError, PortResult,
    patroni_rules,
};
use postgresql_k8s::services;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

const APP: &str = "a";
const MODEL: &str = "m";
const RIGHTS: &str = include_str!("../../../docs/reference/kubernetes-rights.md");

/// The objects of the first block, for this application.
fn documented() -> Vec<Value> {
    let block = RIGHTS.split("```yaml\n").nth(1).unwrap();
    let block = block.split("```").next().unwrap();
    let text = block
        .replace("postgresql-k8s", APP)
        .replace("my-model", MODEL);
    serde_yaml::Deserializer::from_str(&text)
        .map(|one| Value::deserialize(one).unwrap())
        .collect()
}

fn collection(object: &Value) -> String {
    let kind = object["kind"].as_str().unwrap().to_lowercase() + "s";
    match object.pointer("/metadata/namespace") {
        Some(_) => format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{MODEL}/{kind}"),
        None => format!("/apis/rbac.authorization.k8s.io/v1/{kind}"),
    }
}

/// An API server with an application of one pod, as Juju makes it, that has these rights.
struct Model {
    runtime: Runtime,
    server: ApiServer,
    names: Names,
    me: Member,
    authority: tempfile::NamedTempFile,
}

impl Model {
    fn with(rights: &[Value]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let config = kube_local::Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            names: vec![],
            state: None,
            stamp: None,
        };
        let server = runtime.block_on(ApiServer::start(config)).unwrap();
        let names = Names::new(APP, MODEL);
        let authority = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(authority.path(), server.ca_pem()).unwrap();
        let model = Self {
            runtime,
            server,
            me: names.member(0),
            names,
            authority,
        };
        model.furnish();
        for right in rights {
            model.put(&collection(right), right);
        }
        model
    }

    fn put(&self, path: &str, object: &Value) -> Value {
        let (status, made) = self
            .server
            .call("POST", path, "application/json", Some(object));
        assert_eq!(status, 201, "{path}: {made}");
        made
    }

    fn furnish(&self) {
        let core = format!("/api/v1/namespaces/{MODEL}");
        self.put("/api/v1/namespaces", &json!({"metadata": {"name": MODEL}}));
        let size = json!({"allocatable": {"cpu": "2", "memory": "4Gi"}});
        let node = json!({"metadata": {"name": "n"}, "status": size});
        self.put("/api/v1/nodes", &node);
        let account = json!({"metadata": {"name": APP}});
        self.put(&format!("{core}/serviceaccounts"), &account);
        let labels = json!({"app.kubernetes.io/name": APP});
        let containers = json!([{"name": "charm", "image": "i"}]);
        let sets = format!("/apis/apps/v1/namespaces/{MODEL}/statefulsets");
        let set = self.put(
            &sets,
            &json!({"metadata": {"name": APP}, "spec": {
                "serviceName": "a-endpoints", "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}}}}),
        );
        let patched = self.server.call(
            "PATCH",
            &format!("{sets}/{APP}/status"),
            "application/merge-patch+json",
            Some(&json!({"status": {"replicas": 1, "updateRevision": "a-1"}})),
        );
        assert_eq!(patched.0, 200, "{}", patched.1);
        for pod in ["a-0", "b-0"] {
            let owner = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": APP,
                "uid": set["metadata"]["uid"], "controller": true});
            let metadata = json!({"name": pod, "labels": labels, "ownerReferences": [owner]});
            let spec =
                json!({"nodeName": "n", "serviceAccountName": APP, "containers": containers});
            let pod = json!({"metadata": metadata, "spec": spec});
            self.put(&format!("{core}/pods"), &pod);
        }
    }

    /// What Patroni has written when it has run for a while.
    fn register(&self) {
        let labels = json!({"application": "patroni", "cluster-name": self.names.scope()});
        for name in self.names.registrations() {
            let metadata = json!({"name": name, "labels": labels,
                "annotations": {"leader": "a-0", "sync_standby": "a-1"}});
            let path = format!("/api/v1/namespaces/{MODEL}/endpoints");
            self.put(&path, &json!({"metadata": metadata}));
        }
        let path = format!("/api/v1/namespaces/{MODEL}/services");
        let metadata = json!({"name": self.names.config(), "labels": labels});
        self.put(
            &path,
            &json!({"metadata": metadata, "spec": {"clusterIP": "None"}}),
        );
    }

    fn config(&self, token: &str) -> Config {
        let mut config = Config::new(
            format!("https://{}", self.server.address())
                .parse()
                .unwrap(),
        );
        config.root_cert_file = Some(self.authority.path().into());
        config.auth_info.token = Some(token.to_owned().into());
        config
    }

    fn by(&self, token: &str) -> ClusterApi<'_> {
        ClusterApi::at(&self.runtime, MODEL, self.config(token))
    }

    /// The API as the charm has it.
    fn charm(&self) -> ClusterApi<'_> {
        self.by(&self.server.account_token(MODEL, APP))
    }

    fn service(&self) -> k8s_openapi::api::core::v1::Service {
        services::service(&self.names, ServiceKind::Primary, "primary", None)
    }
}

/// Every request that the charm can make, by the name of its port's function.
fn requests(model: &Model) -> Vec<(&'static str, PortResult<()>)> {
    let (api, names, me) = (model.charm(), &model.names, &model.me);
    let (pod, primary) = (me.to_string(), names.service(ServiceKind::Primary));
    model.register();
    let taken = json!({"metadata": {"name": "a-replicas"}, "spec": {"ports": [{"port": 1}]}});
    model.put(&format!("/api/v1/namespaces/{MODEL}/services"), &taken);
    let selector = format!("cluster-name={}", names.scope());
    let sync = |key: PortResult<Option<SyncKey>>| match key {
        Ok(Some(key)) => api.write_sync_key(&names.sync(), &key),
        Ok(None) => panic!("there is one"),
        Err(error) => Err(error),
    };
    vec![
        ("pod", api.pod(&pod).map(drop)),
        ("label_pod", api.label_pod(&pod, &[("role", "replica")])),
        ("hosts", api.hosts(APP).map(drop)),
        ("apply_service", api.apply_service(&model.service(), names)),
        ("apply_service", api.apply_service(&model.service(), names)),
        (
            "release_service",
            api.release_service(&names.service(ServiceKind::Replicas), names),
        ),
        ("service", api.service(&primary).map(drop)),
        ("apply_service", api.apply_service(&model.service(), names)),
        ("delete_service", api.delete_service(&primary, names)),
        ("endpoints", api.endpoints(&names.config()).map(drop)),
        ("sync_key", api.sync_key(&names.sync()).map(drop)),
        ("write_sync_key", sync(api.sync_key(&names.sync()))),
        ("adopt", api.adopt(&pod, &selector, &[]).map(drop)),
        (
            "delete_registration",
            api.delete_registration(&names.config(), names),
        ),
        (
            "stateful_set_created",
            api.stateful_set_created(APP).map(drop),
        ),
        ("rolling_update", api.rolling_update(APP).map(drop)),
        ("set_partition", api.set_partition(APP, 1)),
        ("guard_partition", api.guard_partition(APP, 1, true)),
        ("node", api.node("n").map(drop)),
        ("patroni_access", api.patroni_access(names, me).map(drop)),
        (
            "patroni_access_stands",
            api.patroni_access_stands(names, me).map(drop),
        ),
        // Once more, as after the loss of its container alone.
        ("patroni_access", api.patroni_access(names, me).map(drop)),
    ]
}

fn forbidden(result: &PortResult<()>) -> bool {
    matches!(result, Err(PortError::Forbidden(..)))
}

#[test]
fn the_documented_rights_are_enough_for_every_request_that_the_charm_makes() {
    let model = Model::with(&documented());
    let done = requests(&model);
    for (name, result) in &done {
        let said = result.as_ref().map_err(PortError::chain);
        assert_eq!(said, Ok(&()), "{name}");
    }
    let port = include_str!("../../../src/ports.rs");
    let port = port.split("pub trait Kubernetes {").nth(1).unwrap();
    let port = port.split("\n}").next().unwrap();
    let all: BTreeSet<&str> = port
        .lines()
        .filter_map(|line| line.strip_prefix("    fn ")?.split('(').next())
        .collect();
    let made: BTreeSet<&str> = done.iter().map(|(name, _)| *name).collect();
    assert_eq!(made, all, "a request that this test does not make");
}

/// The rights with one verb less, and which.
fn reduced() -> Vec<(String, Vec<Value>)> {
    let rights = documented();
    let mut all = Vec::new();
    for (object, right) in rights.iter().enumerate() {
        for (number, rule) in right["rules"].as_array().into_iter().flatten().enumerate() {
            for resource in rule["resources"].as_array().unwrap() {
                for verb in rule["verbs"].as_array().unwrap() {
                    let mut less = rights.clone();
                    let rules = less[object]["rules"].as_array_mut().unwrap();
                    let others = |key: &str, without: &Value| {
                        let kept = rule[key].as_array().unwrap().iter();
                        kept.filter(|one| *one != without)
                            .cloned()
                            .collect::<Vec<_>>()
                    };
                    let mut rest = rules[number].clone();
                    rest["resources"] = others("resources", resource).into();
                    rules[number]["verbs"] = others("verbs", verb).into();
                    rules[number]["resources"] = json!([resource]);
                    rules.push(rest);
                    let text = |value: &Value| value.as_str().unwrap().to_owned();
                    all.push((format!("{} {}", text(verb), text(resource)), less));
                }
            }
        }
    }
    all
}

#[test]
fn no_documented_right_is_for_nothing() {
    let names = Names::new(APP, MODEL);
    let handed_on: BTreeSet<String> = patroni_rules(&names, &names.member(0))
        .iter()
        .flat_map(|rule| {
            let resource = rule.resources.as_ref().unwrap()[0].clone();
            rule.verbs
                .iter()
                .map(move |verb| format!("{verb} {resource}"))
        })
        .collect();
    let reduced = reduced();
    assert!(reduced.len() > 20, "{}", reduced.len());
    for (right, rest) in reduced {
        let used = requests(&Model::with(&rest))
            .iter()
            .any(|(_, result)| forbidden(result));
        assert!(used || handed_on.contains(&right), "nothing uses {right}");
    }
}

/// The token that Patroni is given.
fn token(access: &Access) -> String {
    let config: Value = serde_json::from_str(access.kubeconfig.expose_secret()).unwrap();
    config["users"][0]["user"]["token"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn patronis_account_may_do_what_patroni_does_and_no_more() {
    let model = Model::with(&documented());
    let (names, me) = (&model.names, &model.me);
    model.register();
    let access = model.charm().patroni_access(names, me).unwrap().unwrap();
    assert_eq!(access.authority, model.server.ca_pem());
    let patroni = model.by(&token(&access));
    let key = patroni.sync_key(&names.sync()).unwrap().unwrap();
    patroni.write_sync_key(&names.sync(), &key).unwrap();
    patroni.label_pod("a-0", &[("role", "replica")]).unwrap();
    let may_not = [
        patroni.label_pod("b-0", &[("role", "replica")]),
        patroni.pod("a-0").map(drop),
        patroni.apply_service(&model.service(), names),
        patroni.service("a").map(drop),
        patroni.delete_registration(&names.sync(), names),
        patroni.endpoints("a-endpoints").map(drop),
        patroni.set_partition(APP, 0),
        patroni.stateful_set_created(APP).map(drop),
        patroni.node("n").map(drop),
    ];
    let told: Vec<bool> = may_not.iter().map(forbidden).collect();
    assert_eq!(told, [true; 9]);
    for (verb, kind) in [
        ("get", "secrets"),
        ("list", "secrets"),
        ("create", "pods"),
        ("create", "services"),
        ("create", "serviceaccounts/token"),
        ("create", "rolebindings"),
        ("delete", "pods"),
        ("delete", "endpoints"),
    ] {
        let rules = patroni_rules(names, me);
        let mut has = rules.iter().filter(|rule| {
            let of = rule.resources.iter().flatten().any(|one| one == kind);
            of && rule.verbs.iter().any(|one| one == verb)
        });
        assert!(has.next().is_none(), "{verb} {kind}");
    }
}

#[test]
fn patronis_token_ends_with_its_pod() {
    let model = Model::with(&documented());
    let (names, me) = (&model.names, &model.me);
    let access = model.charm().patroni_access(names, me).unwrap().unwrap();
    let label = |access: &Access| {
        let api = model.by(&token(access));
        api.label_pod("a-0", &[("role", "replica")])
    };
    label(&access).unwrap();
    let path = format!("/api/v1/namespaces/{MODEL}/pods/a-0?gracePeriodSeconds=0");
    let gone = model.server.call("DELETE", &path, "application/json", None);
    assert_eq!(gone.0, 200, "{}", gone.1);
    assert!(forbidden(&label(&access)));
}

#[test]
fn what_is_anothers_is_neither_changed_nor_deleted() {
    let model = Model::with(&documented());
    let (api, names) = (model.charm(), &model.names);
    // As Juju makes them for applications called a-primary and patroni-a.
    let path = format!("/api/v1/namespaces/{MODEL}/services");
    for app in ["a-primary", "patroni-a"] {
        let labels = json!({"app.kubernetes.io/name": app, "app.kubernetes.io/managed-by": "juju"});
        let spec = json!({"selector": {"app.kubernetes.io/name": app},
            "ports": [{"name": "placeholder", "port": 65535}]});
        let metadata = json!({"name": app, "labels": labels});
        model.put(&path, &json!({"metadata": metadata, "spec": spec}));
    }
    let all = || {
        let name = |service: &Value| service["metadata"]["name"].as_str() == Some("kubernetes");
        let mut all = model.server.list("services", MODEL);
        all.retain(|service| !name(service));
        all
    };
    let before = all();
    let refused = [
        api.apply_service(&model.service(), names),
        api.delete_service("a-primary", names),
        api.delete_registration("patroni-a", names),
    ];
    for result in &refused {
        assert!(matches!(result, Err(PortError::Foreign(..))), "{result:?}");
    }
    assert_eq!(all(), before);
}

/// Juju takes over, by a strategic merge, the Service that has the name of a new application's.
#[test]
fn a_service_that_another_application_takes_over_is_wholly_its_own() {
    let model = Model::with(&documented());
    let (api, names) = (model.charm(), &model.names);
    let mut service = model.service();
    let pod = api.pod("a-0").unwrap().unwrap();
    service.metadata.owner_references = pod.metadata.owner_references;
    api.apply_service(&service, names).unwrap();
    let name = json!({"app.kubernetes.io/name": "a-primary"});
    let (status, taken) = model.server.call(
        "PATCH",
        &format!("/api/v1/namespaces/{MODEL}/services/a-primary?fieldManager=juju"),
        "application/strategic-merge-patch+json",
        Some(
            &json!({"metadata": {"labels": name}, "spec": {"selector": name,
            "ports": [{"name": "placeholder", "port": 65535}]}}),
        ),
    );
    assert_eq!(status, 200, "{taken}");
    api.release_service("a-primary", names).unwrap();
    let now = model.server.get("services", MODEL, "a-primary").unwrap();
    assert_eq!(now["metadata"].get("ownerReferences"), None, "{now}");
    assert_eq!(now["spec"]["selector"], name);
    let ports = now["spec"]["ports"].as_array().unwrap();
    assert_eq!(ports.len(), 1, "{ports:?}");
}

#[test]
fn what_the_python_charm_or_an_earlier_life_made_is_taken_over() {
    let model = Model::with(&documented());
    let (api, names) = (model.charm(), &model.names);
    let path = format!("/api/v1/namespaces/{MODEL}/services");
    let made = json!({"metadata": {"name": "a-primary", "labels": {"app.kubernetes.io/name": APP},
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": APP, "uid": "0"}]},
        "spec": {"selector": {"role": "master"}, "ports": [{"name": "api", "port": 8008}]}});
    model.put(&path, &made);
    api.apply_service(&model.service(), names).unwrap();
    let now = api.service("a-primary").unwrap().unwrap();
    assert!(services::leads_alike(&now, &model.service()));
    api.delete_service("a-primary", names).unwrap();
    assert_eq!(api.service("a-primary").unwrap(), None);
}

/// A host whose Patroni takes this for the answer to whatever it is asked; what it was asked.
fn patroni_at(host: &'static str, answer: &'static str) -> Arc<Mutex<Vec<String>>> {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let listener = TcpListener::bind((host, cluster_plan::names::PATRONI_PORT)).unwrap();
    let notes = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).unwrap();
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let path = request.split(' ').nth(1).unwrap().to_owned();
            notes.lock().unwrap().push(path);
            let length = answer.len();
            let head = format!("HTTP/1.0 200 OK\r\nContent-Length: {length}\r\n\r\n");
            stream.write_all((head + answer).as_bytes()).unwrap();
        }
    });
    asked
}

/// `GET /cluster` during an election can make two members lead (patroni/patroni#3718).
#[test]
fn who_leads_is_told_without_having_a_member_read_its_store_anew() {
    let model = Model::with(&documented());
    let scope = model.names.scope();
    let labels = json!({"application": "patroni", "cluster-name": scope});
    let status = r#"{"state": "running", "role": "master", "timeline": 1}"#;
    let pod = json!({"metadata": {"labels": labels, "annotations": {"status": status}}});
    let core = format!("/api/v1/namespaces/{MODEL}");
    let patch = |path: &str, change: &Value| {
        let merge = "application/merge-patch+json";
        let (answered, told) = model.server.call("PATCH", path, merge, Some(change));
        assert_eq!(answered, 200, "{told}");
    };
    patch(&format!("{core}/pods/a-0"), &pod);
    let lease = json!({"leader": "a-0", "ttl": "30", "renewTime": "2999-01-01T00:00:00+00:00"});
    let metadata = json!({"name": scope, "labels": labels, "annotations": lease});
    model.put(&format!("{core}/endpoints"), &json!({"metadata": metadata}));
    let (host, unlocked) = (
        "127.0.80.81",
        r#"{"state": "running", "cluster_unlocked": true}"#,
    );
    let asked = patroni_at(host, unlocked);
    let api = model.charm();
    let leader = |host: &str| {
        let members =
            PatroniMembers::new(&model.runtime, &api, scope.clone(), Credentials::default);
        let seen = members.cluster(&["127.0.80.80".to_owned(), host.to_owned()])?;
        let names: Vec<&str> = seen.members.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(
            names,
            ["a-0"],
            "the pod of another application is no member"
        );
        PortResult::Ok(seen.leader().map(|leader| leader.name.clone()))
    };
    let taken = |asked: &Mutex<Vec<String>>| std::mem::take(&mut *asked.lock().unwrap());
    assert_eq!(
        leader(host).unwrap().as_deref(),
        Some("a-0"),
        "its lease runs"
    );
    assert_eq!(taken(&asked), ["/liveness"]);
    let old = json!({"metadata": {"annotations": {"renewTime": "2020-01-01T00:00:00+00:00"}}});
    patch(&format!("{core}/endpoints/{scope}"), &old);
    assert_eq!(
        leader(host).unwrap(),
        None,
        "its lease has ended, and a member says so too"
    );
    assert_eq!(taken(&asked), ["/liveness", "/health"]);
    patroni_at("127.0.80.82", r#"{"state": "running"}"#);
    let leads = leader("127.0.80.82").unwrap();
    assert_eq!(leads.as_deref(), Some("a-0"), "only the clocks differ");
    let nobody = leader("127.0.80.80");
    assert!(
        matches!(nobody, Err(PortError::Unreachable(..))),
        "{nobody:?}"
    );
}
