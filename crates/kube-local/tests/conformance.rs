//! The embedded API server and a real kube-apiserver are given the same requests and must give the
//! same answers. The requests are those of Patroni and of the charm, and what lies close to them;
//! they are in `tests/conformance/`, a file for a sequence:
//!
//! ```text
//! # a comment
//! > POST /api/v1/namespaces/{ns}/pods             a request; its body, if any, follows
//! {"metadata": {"name": "a"}}
//! > PATCH merge /api/v1/namespaces/{ns}/pods/a    merge, strategic, json or apply
//! > as {token}                                    from here as somebody else; `as admin` goes back
//! > accept metadata                               for the next request
//! > compare status                                of the next request, nothing else
//! ```
//!
//! `{ns}` is a namespace of the sequence's own, `{rv}` and `{uid}` are of the last object that was
//! answered, `{token}` is the last token that was answered.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "all of this is a test, its helpers too"
)]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use kube_local::{ApiServer, Client, Config, Spawned};
use serde_json::{Value, json};

const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

struct Step {
    line: usize,
    words: Vec<String>,
    body: String,
}

fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if let Some(rest) = line.strip_prefix("> ") {
            steps.push(Step {
                line: number + 1,
                words: rest.split_whitespace().map(str::to_owned).collect(),
                body: String::new(),
            });
        } else if !line.starts_with('#') {
            let step = steps.last_mut().expect("a body belongs to a request");
            step.body.push_str(line);
        }
    }
    steps
}

/// Runs a sequence on one server: the lines of the requests with their normalised answers.
async fn run(admin: &Client, namespace: &str, steps: &[Step]) -> Vec<(String, Value)> {
    let mut known = HashMap::from([("ns".to_owned(), namespace.to_owned())]);
    let fill = |text: &str, known: &HashMap<String, String>| {
        known.iter().fold(text.to_owned(), |text, (key, value)| {
            text.replace(&format!("{{{key}}}"), value)
        })
    };
    let mut client = admin.clone();
    let mut accept = None;
    let mut status_only = false;
    let mut answers = Vec::new();
    for step in steps {
        let words: Vec<&str> = step.words.iter().map(String::as_str).collect();
        let (method, media, path) = match words.as_slice() {
            ["as", "admin"] => {
                client = admin.clone();
                continue;
            }
            ["as", who] => {
                client = admin.with_token(&fill(who, &known)).unwrap();
                continue;
            }
            ["accept", "metadata"] => {
                accept = Some(METADATA);
                continue;
            }
            ["compare", "status"] => {
                status_only = true;
                continue;
            }
            ["PATCH", "json", path] => ("PATCH", "application/json-patch+json", *path),
            ["PATCH", "merge", path] => ("PATCH", "application/merge-patch+json", *path),
            ["PATCH", "strategic", path] => {
                ("PATCH", "application/strategic-merge-patch+json", *path)
            }
            ["PATCH", "apply", path] => ("PATCH", "application/apply-patch+yaml", *path),
            [method, path] => (*method, "application/json", *path),
            other => panic!("line {}: what is {other:?}?", step.line),
        };
        let asking = match accept.take() {
            Some(accept) => client.accepting(accept),
            None => client.clone(),
        };
        let (path, body) = (fill(path, &known), fill(&step.body, &known));
        let (status, text) = asking
            .text(method, &path, media, body.as_bytes())
            .await
            .unwrap();
        let answer: Value = if path.contains("watch=") {
            text.lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap())
                .collect()
        } else {
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        };
        for (key, pointer) in [
            ("rv", "/metadata/resourceVersion"),
            ("uid", "/metadata/uid"),
            ("token", "/status/token"),
        ] {
            if let Some(value) = answer.pointer(pointer).and_then(Value::as_str) {
                known.insert(key.to_owned(), value.to_owned());
            }
        }
        let said = format!("line {}: {}", step.line, step.words.join(" "));
        let body = if std::mem::take(&mut status_only) {
            Value::Null
        } else {
            normal(answer)
        };
        answers.push((said, json!({"status": status, "body": body})));
    }
    answers
}

/// What two servers can't have in common, such as times, is replaced by what it is.
fn normal(value: Value) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| {
                let value = match key.as_str() {
                    "uid"
                    | "resourceVersion"
                    | "creationTimestamp"
                    | "deletionTimestamp"
                    | "time"
                    | "token"
                    | "expirationTimestamp"
                    | "continue"
                        if value.is_string() =>
                    {
                        json!(format!("<{key}>"))
                    }
                    // Another one each time, unless it was asked for.
                    "nodePort" if value.as_u64().is_some_and(|n| n != 30_080) => {
                        json!(format!("<{key}>"))
                    }
                    _ => normal(value),
                };
                (key, value)
            })
            .collect(),
        Value::Array(items) => {
            let mut items: Vec<Value> = items.into_iter().map(normal).collect();
            // The real server may give the same cause several times.
            if items.iter().all(|item| item.get("reason").is_some()) {
                items.dedup();
            }
            Value::Array(items)
        }
        Value::String(text) => Value::String(normal_text(&text)),
        other => other,
    }
}

fn normal_text(text: &str) -> String {
    if text.starts_with("10.152.183.") {
        return "<service address>".to_owned();
    }
    // What a refused change of a pod would have changed is shown as Go's structures.
    let text = text.split("\n@@").next().unwrap_or_default();
    let mut shown = String::new();
    let is_id = |word: &str| word.len() == 36 && word.matches('-').count() == 4;
    let parts = text.split_inclusive(|c: char| !c.is_ascii_hexdigit() && c != '-');
    for part in parts {
        let word = part.trim_end_matches(|c: char| !c.is_ascii_hexdigit() && c != '-');
        if is_id(word) {
            shown.push_str(&part.replace(word, "<uid>"));
        } else if !word.is_empty() && part.ends_with(')') && word.parse::<u64>().is_ok() {
            shown.push_str("<number>)");
        } else {
            shown.push_str(part);
        }
    }
    shown
}

/// The paths at which two answers differ.
fn differences(path: &str, real: &Value, ours: &Value, found: &mut String) {
    match (real, ours) {
        (Value::Object(a), Value::Object(b)) => {
            let mut keys: Vec<_> = a.keys().chain(b.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let (a, b) = (a.get(key), b.get(key));
                let null = Value::Null;
                let path = format!("{path}/{key}");
                differences(&path, a.unwrap_or(&null), b.unwrap_or(&null), found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                differences(&format!("{path}/{index}"), a, b, found);
            }
        }
        (a, b) if a == b => {}
        (a, b) => writeln!(found, "    {path}\n      real: {a}\n      ours: {b}").unwrap(),
    }
}

/// What discovery tells here must be what the real server tells of the same things.
async fn compare_discovery(real: &Client, ours: &Client) -> String {
    let mut found = String::new();
    for (path, list) in [
        ("/apis", "groups"),
        ("/api/v1", "resources"),
        ("/apis/apps/v1", "resources"),
        ("/apis/authorization.k8s.io/v1", "resources"),
        ("/apis/coordination.k8s.io/v1", "resources"),
        ("/apis/discovery.k8s.io/v1", "resources"),
        ("/apis/policy/v1", "resources"),
        ("/apis/rbac.authorization.k8s.io/v1", "resources"),
    ] {
        let (status, theirs) = real.call("GET", path, "", None).await.unwrap();
        assert_eq!(status, 200, "{path}: {theirs}");
        let (status, own) = ours.call("GET", path, "", None).await.unwrap();
        assert_eq!(status, 200, "{path}: {own}");
        let named = |answer: &Value| -> HashMap<String, Value> {
            let items = answer.get(list).and_then(Value::as_array).unwrap().iter();
            let items = items.map(|one| {
                let mut one = one.clone();
                one.as_object_mut().unwrap().remove("storageVersionHash");
                let name = one.get("name").and_then(Value::as_str).unwrap();
                (name.to_owned(), one)
            });
            items.collect()
        };
        let (known, told) = (named(&theirs), named(&own));
        for (name, ours) in &told {
            let real = known.get(name).cloned().unwrap_or_default();
            differences(&format!("{path} {name}"), &real, ours, &mut found);
        }
        for part in ["kind", "apiVersion", "groupVersion"] {
            assert_eq!(theirs.get(part), own.get(part), "{path} {part}");
        }
    }
    found
}

fn sequences() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let wanted = std::env::var("CONFORMANCE").unwrap_or_default();
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "txt"))
        .collect();
    files.sort();
    let named = files.iter().map(|path| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        (name, std::fs::read_to_string(path).unwrap())
    });
    named.filter(|(name, _)| name.contains(&wanted)).collect()
}

async fn embedded(state: &Path) -> (ApiServer, Client) {
    let config = Config {
        listen: ([127, 0, 0, 1], 0).into(),
        names: Vec::new(),
        state: Some(state.to_owned()),
        stamp: None,
    };
    let server = ApiServer::start(config).await.unwrap();
    let url = format!("https://{}", server.address());
    let client = Client::new(&url, server.admin_token(), server.ca_pem()).unwrap();
    (server, client)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_is_answered_as_by_a_real_server() {
    let Some(binary) = kube_local::binary() else {
        println!(
            "skipped: there is no kube-apiserver; build one with scripts/kube-apiserver build"
        );
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (state, journal) = (folder.path().join("real"), folder.path().join("journal"));
    // A first life, so that both have versions which are too old in the second one.
    {
        let first = match Spawned::start(&binary, &state, &[]).await {
            Err(kube_local::Error::Program { program, source }) => {
                println!("skipped: {program} can't be started: {source}");
                return;
            }
            started => started.unwrap(),
        };
        let (server, client) = embedded(&journal).await;
        for client in [first.client(), &client] {
            let map = json!({"metadata": {"name": "before"}});
            for collection in [
                "namespaces/default/configmaps",
                "namespaces/default/endpoints",
            ] {
                let path = format!("/api/v1/{collection}");
                let made = client
                    .call("POST", &path, "application/json", Some(&map))
                    .await;
                assert!(matches!(made.unwrap().0, 201 | 404));
            }
        }
        server.flush();
    }
    let real = Spawned::start(&binary, &state, &[]).await.unwrap();
    let (_server, ours) = embedded(&journal).await;
    let mut report = String::new();
    let (mut asked, mut differing) = (0, 0);
    for (name, text) in sequences() {
        let steps = steps(&text);
        let namespace = format!("conformance-{name}");
        let answers = run(real.client(), &namespace, &steps).await;
        let own = run(&ours, &namespace, &steps).await;
        for ((said, theirs), (_, own)) in answers.iter().zip(&own) {
            asked += 1;
            let mut found = String::new();
            differences("", theirs, own, &mut found);
            if !found.is_empty() {
                differing += 1;
                writeln!(report, "{name}.txt {said}\n{found}").unwrap();
            }
        }
    }
    report.push_str(&compare_discovery(real.client(), &ours).await);
    println!("{asked} requests, {differing} answered otherwise than by kube-apiserver");
    assert!(asked > 0, "there are no requests");
    assert!(report.is_empty(), "{report}");
}
