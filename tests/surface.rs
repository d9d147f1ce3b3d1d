//! The charm's public surface beside its code: what metadata.yaml promises is what the code uses,
//! and the picture in docs/ARCHITECTURE.md is the one that the code gives.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by them"
)]

use std::collections::BTreeSet;
use std::fmt::Write;

use cluster_plan::disk::Thresholds;
use cluster_plan::names::{Names, PATRONI_PORT, POSTGRESQL_PORT, STORAGE, ServiceKind};
use juju::{ActionEvent, Event};
use postgresql_k8s::dispatch::{self, Action, Handler};
use postgresql_k8s::{layer, ports, services};
use serde_json::Value;

fn read(name: &str) -> Value {
    let text = std::fs::read_to_string(name).unwrap();
    serde_yaml::from_str(&text).unwrap()
}

fn keys(value: &Value) -> Vec<&String> {
    value.as_object().unwrap().keys().collect()
}

/// What runs where, from metadata.yaml, the Pebble layer and the Services.
fn picture() -> String {
    let metadata = read("metadata.yaml");
    let app = metadata["name"].as_str().unwrap();
    let names = Names::new(app, "MODEL");
    let mut text = String::new();
    let mut line = |indent: usize, words: &str| writeln!(text, "{:indent$}{words}", "").unwrap();
    line(
        0,
        &format!("pod {app}-N, one for each unit, of StatefulSet {app}"),
    );
    line(
        0,
        "├─ container charm: Juju's agent runs dispatch -> bin/postgresql-k8s for each hook",
    );
    line(
        0,
        "│    it asks and changes: Juju by hook tools, Pebble and PostgreSQL by their sockets,",
    );
    line(
        0,
        &format!("│    Patroni at :{PATRONI_PORT} of every pod, and the Kubernetes API"),
    );
    for (name, container) in metadata["containers"].as_object().unwrap() {
        let image = container["resource"].as_str().unwrap();
        line(
            0,
            &format!("└─ container {name}, of resource {image}, under Pebble"),
        );
        let layers = [
            layer::layer(
                &names,
                &names.member(0),
                "primary",
                Some(15),
                Thresholds::default(),
                false,
            ),
            layer::retry(Some(4)),
            layer::missing(),
            layer::renewal(0),
        ];
        for layer in &layers {
            for (service, what) in &layer.services {
                let user = if what.user.is_empty() {
                    "root"
                } else {
                    &what.user
                };
                line(
                    5,
                    &format!("service {service} (as {user}): {}", what.summary),
                );
            }
            for (check, what) in &layer.checks {
                let command = &what.exec.as_ref().unwrap().command;
                line(
                    5,
                    &format!("check {check}: {command} every {}", what.period),
                );
            }
        }
        line(
            5,
            &format!(
                "postgres at :{POSTGRESQL_PORT}; Patroni's callbacks wake the charm by pebble notify"
            ),
        );
        for mount in container["mounts"].as_array().unwrap() {
            let (storage, at) = (&mount["storage"], &mount["location"]);
            line(
                5,
                &format!(
                    "storage {} at {}",
                    storage.as_str().unwrap(),
                    at.as_str().unwrap()
                ),
            );
        }
    }
    for kind in ServiceKind::ALL {
        let role = ports::role_label(kind, "primary");
        let service = services::service(&names, kind, "primary", None);
        let ports: Vec<String> = service
            .spec
            .unwrap()
            .ports
            .unwrap()
            .iter()
            .map(|p| p.port.to_string())
            .collect();
        line(
            0,
            &format!(
                "Service {} -> the pods labelled role={role}, ports {}",
                names.service(kind),
                ports.join(" and ")
            ),
        );
    }
    text
}

#[test]
fn the_picture_is_what_the_code_gives() {
    let page = std::fs::read_to_string("docs/ARCHITECTURE.md").unwrap();
    let (before, rest) = page
        .split_once("<!-- picture -->\n```\n")
        .expect("docs/ARCHITECTURE.md has the picture's place");
    let (shown, after) = rest.split_once("```\n").expect("the picture ends");
    let picture = picture();
    if std::env::var_os("UPDATE").is_some() && shown != picture {
        std::fs::write(
            "docs/ARCHITECTURE.md",
            format!("{before}<!-- picture -->\n```\n{picture}```\n{after}"),
        )
        .unwrap();
        return;
    }
    assert_eq!(shown, picture, "run UPDATE=1 cargo test --test surface");
}

#[test]
fn the_code_and_metadata_mean_the_same_places() {
    let metadata = read("metadata.yaml");
    assert_eq!(metadata["name"], "postgresql-k8s");
    assert_eq!(keys(&metadata["containers"]), ["postgresql"]);
    assert_eq!(metadata["storage"]["pgdata"]["location"], STORAGE);
    let mounts = metadata["containers"]["postgresql"]["mounts"]
        .as_array()
        .unwrap();
    assert!(mounts.iter().all(|mount| mount["location"] == STORAGE));
    assert_eq!(
        keys(&metadata["peers"]),
        ["database-peers", "restart", "upgrade"]
    );
}

#[test]
fn the_code_knows_every_endpoint_of_the_surface() {
    let metadata = read("metadata.yaml");
    let kinds = ["peers", "provides", "requires"];
    let promised: BTreeSet<&str> = kinds
        .iter()
        .flat_map(|kind| keys(&metadata[*kind]))
        .map(String::as_str)
        .collect();
    let known: BTreeSet<&str> = postgresql_k8s::observe::juju::endpoints().collect();
    assert_eq!(known, promised);
}

#[test]
fn every_action_of_the_surface_is_either_done_or_says_that_it_is_not() {
    let actions = read("actions.yaml");
    let done: BTreeSet<&str> = [
        "get-primary",
        "get-password",
        "set-password",
        "promote-to-primary",
        "set-tls-private-key",
        "pre-upgrade-check",
        "resume-upgrade",
        "list-clients",
        "rotate-client-credentials",
    ]
    .into();
    for name in keys(&actions) {
        let event = Event::Action(ActionEvent {
            name: name.clone(),
            ..ActionEvent::default()
        });
        let Handler::Action(action) = dispatch::handler(&event) else {
            panic!("{name} is no action")
        };
        assert_eq!(
            action != Action::NotYet,
            done.contains(name.as_str()),
            "{name}"
        );
    }
}
