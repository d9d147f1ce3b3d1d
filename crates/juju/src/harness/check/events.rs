//! Events that Juju never gives over a state.

use serde_json::Value;

use super::{Checker, is_of_type};
use crate::event::{Event, RelationEvent, SecretEvent, StorageEvent};
use crate::harness::secret::{Owner, Secret};
use crate::harness::state::Relation;
use crate::harness::trigger::{Trigger, relation_event};

impl Checker<'_> {
    pub(super) fn event(&mut self, trigger: &Trigger) {
        let event = &trigger.event;
        let leader = self.state.leader;
        match event {
            Event::Action(action) => self.action(&action.name, trigger),
            Event::LeaderElected => self.needs(leader, || {
                "leader-elected is for the leader, and this unit does not lead".to_owned()
            }),
            Event::LeaderSettingsChanged => self.needs(!leader, || {
                "leader-settings-changed is not for the leader, and this unit leads".to_owned()
            }),
            Event::StorageAttached(storage) | Event::StorageDetaching(storage) => {
                self.storage(storage);
            }
            Event::PebbleReady(workload) => self.container(&workload.container),
            Event::PebbleCheckFailed(check) | Event::PebbleCheckRecovered(check) => {
                self.container(&check.container);
                self.needs(!check.check.is_empty(), || {
                    format!("{} names no check", event.name())
                });
            }
            Event::PebbleCustomNotice(notice) => {
                self.container(&notice.container);
                self.needs(notice.kind == "custom", || {
                    format!("a notice of type \"{}\" makes no hook", notice.kind)
                });
            }
            Event::SecretChanged(secret)
            | Event::SecretRotate(secret)
            | Event::SecretExpired(secret)
            | Event::SecretRemove(secret) => self.secret_event(event, secret),
            _ => {}
        }
        if let Some(relation) = relation_event(event) {
            self.relation_event(event, relation);
        }
        let is_action = matches!(event, Event::Action(_));
        self.needs(is_action || trigger.params.is_empty(), || {
            format!("{} is no action, so it has no parameters", event.name())
        });
    }

    fn relation_event(&mut self, event: &Event, told: &RelationEvent) {
        let name = event.name();
        let id = &told.relation_id;
        let mut all = self.state.relations.iter();
        let Some(relation) = all.find(|relation| relation.key() == *id) else {
            self.found
                .push(format!("{name}: the relation {id} is not in the state"));
            return;
        };
        self.needs(relation.endpoint == told.endpoint, || {
            format!("{name}: the relation {id} is of another endpoint")
        });
        let own = self.application().to_owned();
        let app = relation.remote_app.as_ref().unwrap_or(&own);
        self.needs(told.remote_app == *app, || {
            format!(
                "{name}: {id} is with \"{app}\", not with \"{}\"",
                told.remote_app
            )
        });
        self.remote_unit(event, told, relation, app);
        let unit = self.unit;
        match (&told.departing_unit, event) {
            (Some(leaving), Event::RelationDeparted(_)) => {
                let fits = leaving == unit || told.remote_unit.as_ref() == Some(leaving);
                self.needs(fits, || {
                    format!("{name}: neither this unit nor the one it is about is \"{leaving}\"")
                });
            }
            (None, Event::RelationDeparted(_)) => {
                self.found.push(format!("{name} does not tell who leaves"));
            }
            (Some(_), _) => self
                .found
                .push(format!("{name} tells who leaves, and nobody does")),
            (None, _) => {}
        }
        if matches!(event, Event::RelationBroken(_)) {
            self.needs(!relation.is_peer(), || {
                format!("{name}: a peer relation never breaks")
            });
            self.needs(relation.remote_units.is_empty(), || {
                format!("{name}: the units of {id} depart before it breaks")
            });
        }
    }

    fn remote_unit(&mut self, event: &Event, told: &RelationEvent, relation: &Relation, app: &str) {
        let name = event.name();
        let without = matches!(event, Event::RelationCreated(_) | Event::RelationBroken(_));
        let needed = matches!(event, Event::RelationJoined(_) | Event::RelationDeparted(_));
        match &told.remote_unit {
            Some(unit) if without => {
                self.found
                    .push(format!("{name} is about no unit, not about {unit}"));
            }
            Some(unit) => {
                let known = unit
                    .strip_prefix(app)
                    .and_then(|rest| rest.strip_prefix('/'))
                    .and_then(|number| number.parse().ok())
                    .is_some_and(|number: u32| relation.remote_units.contains_key(&number));
                self.needs(known, || {
                    format!("{name}: {unit} is not a unit of {}", relation.key())
                });
            }
            None => self.needs(!needed, || format!("{name} does not tell the other unit")),
        }
    }

    fn secret_event(&mut self, event: &Event, told: &SecretEvent) {
        let name = event.name();
        let id = told.id.strip_prefix("secret:").unwrap_or(&told.id);
        let id = id.rsplit('/').next().unwrap_or_default();
        let Some(secret) = self.state.secrets.iter().find(|secret| secret.id == id) else {
            self.found
                .push(format!("{name}: the secret {id} is not in the state"));
            return;
        };
        self.needs(told.label == secret.label, || {
            format!("{name}: the label of {id} is \"{}\"", secret.label)
        });
        if matches!(event, Event::SecretChanged(_)) {
            self.needs(told.revision.is_none(), || {
                format!("{name} tells no revision")
            });
            self.changed(secret);
        } else {
            self.owner_event(event, told, secret);
        }
    }

    /// Readers are told of changes; who made them is not.
    fn changed(&mut self, secret: &Secret) {
        let id = &secret.id;
        let own = match secret.owner {
            Owner::Unit => true,
            Owner::Application => self.state.leader,
            Owner::Other { .. } => false,
        };
        self.needs(!own, || {
            format!("secret-changed: the owner of {id} is not told of its own changes")
        });
        self.needs(own || secret.tracked.is_some(), || {
            format!("secret-changed: this unit never read {id}, so it is not told")
        });
    }

    fn owner_event(&mut self, event: &Event, told: &SecretEvent, secret: &Secret) {
        let name = event.name();
        let id = &secret.id;
        if !secret.is_own() {
            self.found.push(format!(
                "{name} is for owners, and {id} is not owned by this unit or its application"
            ));
            return;
        }
        let leads = secret.owner == Owner::Unit || self.state.leader;
        self.needs(leads, || {
            format!("{name}: {id} is the application's, so the hook is the leader's")
        });
        match (event, told.revision) {
            (Event::SecretRotate(_), revision) => {
                self.needs(revision.is_none(), || format!("{name} tells no revision"));
                self.needs(!["never", ""].contains(&secret.rotate.as_str()), || {
                    format!("{name}: {id} is never rotated")
                });
            }
            (_, None) => self.found.push(format!("{name} tells a revision")),
            (_, Some(revision)) => {
                self.needs(secret.revisions.contains_key(&revision), || {
                    format!("{name}: {id} has no revision {revision}")
                });
                let gone = matches!(event, Event::SecretRemove(_));
                self.needs(!gone || revision != secret.latest(), || {
                    format!("{name}: revision {revision} of {id} is the latest, which is kept")
                });
                let expires = !matches!(event, Event::SecretExpired(_)) || secret.expire.is_some();
                self.needs(expires, || format!("{name}: {id} never expires"));
            }
        }
    }

    fn storage(&mut self, told: &StorageEvent) {
        let name = &told.name;
        if !self.charm.metadata.storage.contains_key(name) {
            self.found
                .push(format!("the charm has no storage \"{name}\""));
            return;
        }
        let mut all = self.state.storages.iter();
        let found = all.find(|storage| storage.id() == told.id && storage.name == *name);
        match found {
            None => self
                .found
                .push(format!("the storage {} is not in the state", told.id)),
            Some(storage) => self.needs(storage.location == told.location, || {
                format!(
                    "the storage {} is at {}, not at {}",
                    told.id, storage.location, told.location
                )
            }),
        }
    }

    fn container(&mut self, name: &str) {
        if !self.charm.metadata.containers.contains_key(name) {
            self.found
                .push(format!("the charm has no container \"{name}\""));
            return;
        }
        let mut all = self.state.containers.iter();
        self.needs(all.any(|container| container.name == name), || {
            format!("the container \"{name}\" is not in the state")
        });
    }

    fn action(&mut self, name: &str, trigger: &Trigger) {
        let Some(action) = self.charm.actions.get(name) else {
            self.found
                .push(format!("the charm has no action \"{name}\""));
            return;
        };
        for (param, value) in &trigger.params {
            let Some(schema) = action.params.get(param) else {
                self.needs(action.additional_properties, || {
                    format!("the action \"{name}\" has no parameter \"{param}\"")
                });
                continue;
            };
            let kind = schema.get("type").and_then(Value::as_str);
            self.needs(kind.is_none_or(|kind| is_of_type(value, kind)), || {
                let kind = kind.unwrap_or_default();
                format!(
                    "the parameter \"{param}\" of \"{name}\" is of type {kind}, and {value} is not"
                )
            });
            let allowed = schema.get("enum").and_then(Value::as_array);
            self.needs(allowed.is_none_or(|all| all.contains(value)), || {
                format!("the parameter \"{param}\" of \"{name}\" cannot be {value}")
            });
            let number = value.as_f64();
            let bound = |key: &str| schema.get(key).and_then(Value::as_f64).zip(number);
            let low = bound("minimum").is_some_and(|(least, number)| number < least);
            let high = bound("maximum").is_some_and(|(most, number)| number > most);
            self.needs(!low && !high, || {
                format!("the parameter \"{param}\" of \"{name}\" is out of range: {value}")
            });
        }
        for param in &action.required {
            self.needs(trigger.params.contains_key(param), || {
                format!("the action \"{name}\" needs the parameter \"{param}\"")
            });
        }
    }
}
