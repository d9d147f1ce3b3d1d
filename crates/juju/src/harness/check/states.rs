//! States that Juju never has.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Checker, is_of_type};
use crate::harness::secret::Secret;
use crate::harness::state::Relation;

impl Checker<'_> {
    pub(super) fn state(&mut self) {
        let unit = self.unit;
        self.needs(self.number().is_some(), || {
            format!("the unit's name \"{unit}\" is not of the form app/0")
        });
        self.config();
        let state = self.state;
        let mut ids = BTreeSet::new();
        for relation in &state.relations {
            self.needs(ids.insert(relation.id), || {
                format!("two relations have the id {}", relation.id)
            });
            self.relation(relation);
        }
        self.limits();
        let mut ids = BTreeSet::new();
        for secret in &state.secrets {
            self.needs(ids.insert(&secret.id), || {
                format!("two secrets have the id {}", secret.id)
            });
            self.secret(secret);
        }
        self.storages();
        self.declared();
        for port in &state.opened_ports {
            self.needs(is_port(port), || {
                format!("the open port \"{port}\" is not of the form 80/tcp, 80/udp or icmp")
            });
        }
    }

    fn config(&mut self) {
        for (name, value) in &self.state.config {
            let Some(option) = self.charm.options.get(name) else {
                self.found
                    .push(format!("the charm has no option \"{name}\""));
                continue;
            };
            let fits = match option.kind.as_str() {
                "secret" => value.as_str().is_some_and(|text| {
                    let id = text.strip_prefix("secret:").unwrap_or_default();
                    is_secret_id(id.rsplit('/').next().unwrap_or_default())
                }),
                kind => is_of_type(value, kind),
            };
            self.needs(fits, || {
                format!(
                    "the option \"{name}\" is of type {}, and {value} is not",
                    option.kind
                )
            });
        }
        for (name, option) in &self.charm.options {
            let known = ["string", "int", "float", "boolean", "secret"];
            self.needs(known.contains(&option.kind.as_str()), || {
                format!("the option \"{name}\" has no type that Juju knows")
            });
        }
    }

    fn relation(&mut self, relation: &Relation) {
        let key = relation.key();
        let endpoint = &relation.endpoint;
        if !self.charm.has_endpoint(endpoint) {
            self.found
                .push(format!("the charm has no endpoint \"{endpoint}\" ({key})"));
            return;
        }
        let peers = self.charm.is_peer(endpoint);
        match &relation.remote_app {
            Some(app) if peers => self.found.push(format!(
                "{key} is a peer relation, so it has no other application \"{app}\""
            )),
            None if !peers => self.found.push(format!(
                "{key} is not a peer relation, so it needs another application"
            )),
            Some(app) => self.needs(!app.is_empty() && !app.contains('/'), || {
                format!("{key}: \"{app}\" is no application's name")
            }),
            None => {}
        }
        if peers {
            self.needs(relation.remote_app_bag.is_empty(), || {
                format!("{key} is a peer relation, so it has one application's bag, the own")
            });
            let own = self.number();
            let among = own.is_some_and(|number| relation.remote_units.contains_key(&number));
            let unit = self.unit;
            self.needs(!among, || {
                format!("{key}: the unit {unit} is among its own peers")
            });
        }
        let bags = [
            &relation.local_app,
            &relation.local_unit,
            &relation.remote_app_bag,
        ];
        let all = bags.into_iter().chain(relation.remote_units.values());
        let entries = all.flat_map(|bag| bag.iter());
        for (name, _) in entries.filter(|(_, value)| value.is_empty()) {
            self.found.push(format!(
                "{key}: the key \"{name}\" is empty, and Juju drops such keys"
            ));
        }
    }

    /// How many relations an endpoint may have.
    fn limits(&mut self) {
        let metadata = &self.charm.metadata;
        for endpoints in [&metadata.peers, &metadata.provides, &metadata.requires] {
            for (name, spec) in endpoints {
                let declared = spec.get("limit").and_then(Value::as_u64);
                let peers = self.charm.is_peer(name).then_some(1);
                let all = self.state.relations.iter();
                let count = all.filter(|relation| relation.endpoint == *name).count();
                if let Some(most) = peers.or(declared) {
                    self.needs(count as u64 <= most, || {
                        format!("the endpoint \"{name}\" has {count} relations of at most {most}")
                    });
                }
            }
        }
    }

    fn secret(&mut self, secret: &Secret) {
        let name = format!("the secret {} (\"{}\")", secret.id, secret.label);
        self.needs(is_secret_id(&secret.id), || {
            format!("{name} has an id that is not 20 characters of 0-9a-v")
        });
        let full = !secret.revisions.is_empty() && secret.revisions.values().all(|c| !c.is_empty());
        self.needs(full, || format!("{name} has no content"));
        let known = |revision: &u64| secret.revisions.contains_key(revision);
        if let Some(tracked) = secret.tracked.filter(|revision| !known(revision)) {
            self.found.push(format!(
                "{name} is read at revision {tracked}, which it does not have"
            ));
        }
        if !secret.is_own() {
            self.needs(secret.grants.is_empty(), || {
                format!("{name} is somebody else's, so its grants are not seen here")
            });
        }
        for grant in &secret.grants {
            let relation = self.state.relation(grant.relation);
            self.needs(relation.is_some(), || {
                format!(
                    "{name} is granted over the relation {}, which is not in the state",
                    grant.relation
                )
            });
        }
        let mut all = self.state.secrets.iter();
        let twin = all.any(|other| {
            !secret.label.is_empty() && other.label == secret.label && other.id < secret.id
        });
        self.needs(!twin, || {
            format!("two secrets have the label \"{}\"", secret.label)
        });
    }

    fn storages(&mut self) {
        let state = self.state;
        let mut ids = BTreeSet::new();
        let mut names = BTreeSet::new();
        for storage in &state.storages {
            let Some(spec) = self.charm.metadata.storage.get(&storage.name) else {
                self.found
                    .push(format!("the charm has no storage \"{}\"", storage.name));
                continue;
            };
            self.needs(ids.insert(storage.id()), || {
                format!("two storages have the id {}", storage.id())
            });
            let single = spec.get("multiple").is_none();
            self.needs(names.insert(&storage.name) || !single, || {
                format!("the storage \"{}\" is not a multiple one", storage.name)
            });
        }
    }

    /// Names that are the charm's to declare.
    fn declared(&mut self) {
        let state = self.state;
        let mut names = BTreeSet::new();
        for container in &state.containers {
            let name = &container.name;
            let known = self.charm.metadata.containers.contains_key(name);
            self.needs(known, || format!("the charm has no container \"{name}\""));
            self.needs(names.insert(name), || {
                format!("two containers have the name \"{name}\"")
            });
        }
        for name in state.resources.keys() {
            let known = self.charm.metadata.resources.contains_key(name);
            self.needs(known, || format!("the charm has no resource \"{name}\""));
        }
        for name in state.networks.keys() {
            let known = self.charm.has_binding(name);
            self.needs(known, || format!("the charm has no binding \"{name}\""));
        }
    }
}

fn is_secret_id(id: &str) -> bool {
    id.len() == 20 && id.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'v'))
}

fn is_port(text: &str) -> bool {
    text == "icmp"
        || text.split_once('/').is_some_and(|(number, protocol)| {
            number.parse::<u16>().is_ok_and(|number| number > 0)
                && ["tcp", "udp"].contains(&protocol)
        })
}
