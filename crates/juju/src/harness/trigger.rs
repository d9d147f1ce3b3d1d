//! Why Juju runs the charm this time, and the environment that tells it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::run::Harness;
use super::secret::Secret;
use super::state::{Relation, State, Storage};
use crate::event::{
    ActionEvent, CheckEvent, Event, NoticeEvent, RelationEvent, SecretEvent, StorageEvent,
    WorkloadEvent,
};

/// A hook, or an action with its parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Trigger {
    /// The event.
    pub event: Event,
    /// Parameters, for an action.
    pub params: BTreeMap<String, Value>,
}

impl From<Event> for Trigger {
    fn from(event: Event) -> Self {
        Self {
            event,
            params: BTreeMap::new(),
        }
    }
}

impl Trigger {
    /// An action.
    #[must_use]
    pub fn action(name: &str) -> Self {
        Self::from(Event::Action(ActionEvent {
            name: name.to_owned(),
            id: "1".to_owned(),
        }))
    }

    /// With a parameter.
    #[must_use]
    pub fn param(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.params.insert(name.to_owned(), value.into());
        self
    }

    /// A container's Pebble has started.
    #[must_use]
    pub fn pebble_ready(container: &str) -> Self {
        Self::from(Event::PebbleReady(WorkloadEvent {
            container: container.to_owned(),
        }))
    }

    /// A custom notice in a container.
    #[must_use]
    pub fn pebble_custom_notice(container: &str, id: &str, key: &str) -> Self {
        Self::from(Event::PebbleCustomNotice(NoticeEvent {
            container: container.to_owned(),
            id: id.to_owned(),
            kind: "custom".to_owned(),
            key: key.to_owned(),
        }))
    }

    /// A check of a container fails.
    #[must_use]
    pub fn pebble_check_failed(container: &str, check: &str) -> Self {
        Self::from(Event::PebbleCheckFailed(CheckEvent {
            container: container.to_owned(),
            check: check.to_owned(),
        }))
    }

    /// A check of a container is well again.
    #[must_use]
    pub fn pebble_check_recovered(container: &str, check: &str) -> Self {
        Self::from(Event::PebbleCheckRecovered(CheckEvent {
            container: container.to_owned(),
            check: check.to_owned(),
        }))
    }

    /// A storage is there.
    #[must_use]
    pub fn storage_attached(storage: &Storage) -> Self {
        Self::from(Event::StorageAttached(of_storage(storage)))
    }

    /// A storage goes.
    #[must_use]
    pub fn storage_detaching(storage: &Storage) -> Self {
        Self::from(Event::StorageDetaching(of_storage(storage)))
    }

    /// A secret of somebody else has a new revision.
    #[must_use]
    pub fn secret_changed(secret: &Secret) -> Self {
        Self::from(Event::SecretChanged(of_secret(secret, None)))
    }

    /// An own secret is to be changed.
    #[must_use]
    pub fn secret_rotate(secret: &Secret) -> Self {
        Self::from(Event::SecretRotate(of_secret(secret, None)))
    }

    /// A revision of an own secret has expired.
    #[must_use]
    pub fn secret_expired(secret: &Secret, revision: u64) -> Self {
        Self::from(Event::SecretExpired(of_secret(secret, Some(revision))))
    }

    /// A revision of an own secret has no more readers.
    #[must_use]
    pub fn secret_remove(secret: &Secret, revision: u64) -> Self {
        Self::from(Event::SecretRemove(of_secret(secret, Some(revision))))
    }
}

impl Harness {
    /// A relation is made.
    #[must_use]
    pub fn relation_created(&self, relation: &Relation) -> Trigger {
        Event::RelationCreated(self.of_relation(relation, None)).into()
    }

    /// A unit is in a relation.
    #[must_use]
    pub fn relation_joined(&self, relation: &Relation, unit: u32) -> Trigger {
        Event::RelationJoined(self.of_relation(relation, Some(unit))).into()
    }

    /// A unit changed its bag; without a unit, the application did.
    #[must_use]
    pub fn relation_changed(&self, relation: &Relation, unit: Option<u32>) -> Trigger {
        Event::RelationChanged(self.of_relation(relation, unit)).into()
    }

    /// A unit leaves. Its bag is in the state and can be read, but it is not listed any more.
    #[must_use]
    pub fn relation_departed(&self, relation: &Relation, unit: u32) -> Trigger {
        let event = self.of_relation(relation, Some(unit));
        Event::RelationDeparted(RelationEvent {
            departing_unit: event.remote_unit.clone(),
            ..event
        })
        .into()
    }

    /// This unit leaves a relation: the hook about one of those that stay.
    #[must_use]
    pub fn relation_departed_by_self(&self, relation: &Relation, unit: u32) -> Trigger {
        Event::RelationDeparted(RelationEvent {
            departing_unit: Some(self.unit().to_owned()),
            ..self.of_relation(relation, Some(unit))
        })
        .into()
    }

    /// A relation is over. Its units have departed, so they are not in the state any more.
    #[must_use]
    pub fn relation_broken(&self, relation: &Relation) -> Trigger {
        Event::RelationBroken(self.of_relation(relation, None)).into()
    }

    fn of_relation(&self, relation: &Relation, unit: Option<u32>) -> RelationEvent {
        let remote_app = relation.remote_app.as_deref().unwrap_or(self.application());
        RelationEvent {
            endpoint: relation.endpoint.clone(),
            relation_id: relation.key(),
            remote_app: remote_app.to_owned(),
            remote_unit: unit.map(|number| format!("{remote_app}/{number}")),
            departing_unit: None,
        }
    }
}

fn of_storage(storage: &Storage) -> StorageEvent {
    StorageEvent {
        name: storage.name.clone(),
        id: storage.id(),
        kind: "filesystem".to_owned(),
        location: storage.location.clone(),
    }
}

fn of_secret(secret: &Secret, revision: Option<u64>) -> SecretEvent {
    SecretEvent {
        id: secret.uri(),
        label: secret.label.clone(),
        revision,
    }
}

/// The event that is a relation's, if it is one.
pub(super) fn relation_event(event: &Event) -> Option<&RelationEvent> {
    match event {
        Event::RelationCreated(event)
        | Event::RelationJoined(event)
        | Event::RelationChanged(event)
        | Event::RelationDeparted(event)
        | Event::RelationBroken(event) => Some(event),
        _ => None,
    }
}

/// The variables of a hook, as Juju sets them.
pub(super) fn variables(
    unit: &str,
    charm_dir: &str,
    event: &Event,
    state: &State,
) -> BTreeMap<&'static str, String> {
    let name = event.name();
    let action = matches!(event, Event::Action(_));
    let mut all = BTreeMap::from([
        ("JUJU_UNIT_NAME", unit.to_owned()),
        ("JUJU_MODEL_NAME", state.model.name.clone()),
        ("JUJU_MODEL_UUID", state.model.uuid.clone()),
        ("JUJU_CHARM_DIR", charm_dir.to_owned()),
        ("JUJU_VERSION", "3.6.12".to_owned()),
    ]);
    if !name.is_empty() {
        let folder = if action { "actions" } else { "hooks" };
        all.insert("JUJU_DISPATCH_PATH", format!("{folder}/{name}"));
    }
    let hook = if action { String::new() } else { name };
    all.insert("JUJU_HOOK_NAME", hook);
    let own = match event {
        Event::Action(event) => vec![
            ("JUJU_ACTION_NAME", &event.name),
            ("JUJU_ACTION_UUID", &event.id),
        ],
        Event::StorageAttached(event) | Event::StorageDetaching(event) => vec![
            ("JUJU_STORAGE_ID", &event.id),
            ("JUJU_STORAGE_KIND", &event.kind),
            ("JUJU_STORAGE_LOCATION", &event.location),
        ],
        Event::PebbleReady(event) => vec![("JUJU_WORKLOAD_NAME", &event.container)],
        Event::PebbleCustomNotice(event) => vec![
            ("JUJU_WORKLOAD_NAME", &event.container),
            ("JUJU_NOTICE_ID", &event.id),
            ("JUJU_NOTICE_TYPE", &event.kind),
            ("JUJU_NOTICE_KEY", &event.key),
        ],
        Event::PebbleCheckFailed(event) | Event::PebbleCheckRecovered(event) => vec![
            ("JUJU_WORKLOAD_NAME", &event.container),
            ("JUJU_PEBBLE_CHECK_NAME", &event.check),
        ],
        Event::SecretChanged(event)
        | Event::SecretRotate(event)
        | Event::SecretExpired(event)
        | Event::SecretRemove(event) => {
            let revision = event.revision.map(|number| number.to_string());
            all.extend(revision.map(|number| ("JUJU_SECRET_REVISION", number)));
            vec![
                ("JUJU_SECRET_ID", &event.id),
                ("JUJU_SECRET_LABEL", &event.label),
            ]
        }
        _ => Vec::new(),
    };
    all.extend(own.into_iter().map(|(key, value)| (key, value.clone())));
    if let Some(event) = relation_event(event) {
        all.insert("JUJU_RELATION", event.endpoint.clone());
        all.insert("JUJU_RELATION_ID", event.relation_id.clone());
        all.insert("JUJU_REMOTE_APP", event.remote_app.clone());
        let unit = event.remote_unit.clone().unwrap_or_default();
        all.insert("JUJU_REMOTE_UNIT", unit);
        let departing = event.departing_unit.clone();
        all.extend(departing.map(|unit| ("JUJU_DEPARTING_UNIT", unit)));
    }
    all
}
