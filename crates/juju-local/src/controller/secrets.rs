//! Secrets: who may read which revision, and what an owner may change.

use std::collections::{BTreeMap, BTreeSet};

use juju_local_api::agent::{
    ConsumedSecret, HookChanges, OwnedSecret, SecretInfo, SecretKey, SecretSet, SecretValue,
};
use juju_local_api::{ApiError, ErrorKind};
use serde_json::json;

use super::model::{Expiry, Grant, Model, Outcome, Secret, now, refuse};
use crate::juju::Juju;

/// An expiry that brought no change is told again after so long.
const TELL_AGAIN: std::time::Duration = std::time::Duration::from_mins(5);

fn missing(juju: Juju, key: &SecretKey) -> ApiError {
    let name = match key {
        SecretKey::Label(label) if juju.is_4() => {
            let text = format!("secret URI for consumer label \"{label}\" not found");
            return ApiError::new(ErrorKind::NotFound, text);
        }
        SecretKey::Id(name) | SecretKey::Label(name) => name,
    };
    ApiError::new(ErrorKind::NotFound, format!("secret \"{name}\" not found"))
}

/// The id without its scheme.
pub(super) fn bare(id: &str) -> &str {
    id.rsplit('/')
        .next()
        .unwrap_or(id)
        .trim_start_matches("secret:")
}

/// A new id: twenty letters and digits as Juju makes them.
pub(super) fn new_id() -> String {
    const ALPHABET: &[u8] = b"0123456789abcdefghijklmnopqrstuv";
    let bytes = uuid::Uuid::new_v4().into_bytes();
    let more = uuid::Uuid::new_v4().into_bytes();
    bytes
        .iter()
        .chain(&more)
        .take(20)
        .filter_map(|byte| ALPHABET.get(usize::from(byte % 32)).map(|c| char::from(*c)))
        .collect()
}

impl Model {
    /// Whether a unit owns a secret: its own, or as a leader its application's.
    fn owns(&self, unit: &str, secret: &Secret) -> bool {
        secret.owner == unit
            || (self.is_leader(unit) && unit.split('/').next() == Some(secret.owner.as_str()))
    }

    fn may_read(unit: &str, secret: &Secret) -> bool {
        let app = unit.split('/').next().unwrap_or_default();
        secret.owner == unit
            || secret.owner == app
            || secret
                .grants
                .iter()
                .any(|grant| grant.to == app || grant.to == unit)
    }

    fn forbidden<T>(&self, unit: &str, what: &str) -> Outcome<T> {
        let text = match self.juju {
            Juju::V3 => "permission denied".to_owned(),
            Juju::V4 => format!("\"{unit}\" is not allowed to {what} this secret"),
        };
        refuse(ErrorKind::PermissionDenied, text)
    }

    fn find_secret(&self, unit: &str, key: &SecretKey) -> Option<&Secret> {
        match key {
            SecretKey::Id(id) => self.secrets.get(bare(id)),
            SecretKey::Label(label) => {
                let app = unit.split('/').next().unwrap_or_default();
                self.secrets.values().find(|secret| {
                    let own = secret.owner == unit || secret.owner == app;
                    (own && secret.label == *label)
                        || secret
                            .consumers
                            .get(unit)
                            .is_some_and(|c| c.label == *label)
                })
            }
        }
    }

    pub fn secret_get(
        &mut self,
        unit: &str,
        key: &SecretKey,
        label: Option<String>,
        peek: bool,
    ) -> Outcome<SecretValue> {
        let juju = self.juju;
        let secret = self.find_secret(unit, key);
        let secret = secret.ok_or_else(|| missing(juju, key))?;
        if !Self::may_read(unit, secret) {
            return self.forbidden(unit, "read");
        }
        let (id, latest) = (secret.id.clone(), secret.latest());
        let secret = self.secrets.get_mut(&id);
        let secret = secret.ok_or_else(|| missing(juju, key))?;
        let consumer = secret.consumers.entry(unit.to_owned()).or_default();
        if let Some(label) = label {
            consumer.label = label;
        }
        if consumer.tracked == 0 || !secret.revisions.contains_key(&consumer.tracked) {
            consumer.tracked = latest;
        }
        let revision = if peek { latest } else { consumer.tracked };
        let content = secret.revisions.get(&revision).cloned().unwrap_or_default();
        Ok(SecretValue {
            id,
            revision,
            content,
        })
    }

    pub fn secret_info(&self, unit: &str, key: &SecretKey) -> Outcome<SecretInfo> {
        let secret = self
            .find_secret(unit, key)
            .filter(|secret| self.owns(unit, secret));
        secret.map(info).ok_or_else(|| missing(Juju::V3, key))
    }

    pub fn secrets_owned(&self, unit: &str) -> Vec<SecretInfo> {
        self.secrets
            .values()
            .filter(|secret| self.owns(unit, secret))
            .map(info)
            .collect()
    }

    /// Secrets that a unit reads and does not own, for its secret-changed hooks.
    pub fn consumed(&self, unit: &str) -> Vec<ConsumedSecret> {
        let read = self
            .secrets
            .values()
            .filter(|secret| !self.owns(unit, secret));
        read.filter_map(|secret| {
            let consumer = secret.consumers.get(unit)?;
            let own_app = unit.split('/').next() == Some(secret.owner.as_str());
            let label = if consumer.label.is_empty() && own_app {
                secret.label.clone()
            } else {
                consumer.label.clone()
            };
            let (latest, tracked) = (secret.latest(), consumer.tracked);
            Some(ConsumedSecret {
                id: secret.id.clone(),
                label,
                latest,
                tracked,
            })
        })
        .collect()
    }

    /// Owned secrets with revisions that nobody reads any more.
    pub fn owned_due(&self, unit: &str) -> Vec<OwnedSecret> {
        let owned = self
            .secrets
            .values()
            .filter(|secret| self.owns(unit, secret));
        let now = jiff::Timestamp::now();
        owned
            .filter_map(|secret| {
                // Since Juju 3.1.7 owners that have read a secret count like all others.
                let observers = secret.consumers.values();
                let tracked: BTreeSet<u64> = observers.map(|c| c.tracked).collect();
                let used =
                    |revision: &u64| *revision == secret.latest() || tracked.contains(revision);
                let obsolete: Vec<u64> = secret
                    .revisions
                    .keys()
                    .filter(|revision| !used(revision))
                    .copied()
                    .collect();
                let rotate_due = secret.rotates.is_some_and(|at| at <= now);
                let due = secret
                    .expiries
                    .iter()
                    .filter(|(_, expiry)| expiry.tell <= now);
                let expired: Vec<u64> = due.map(|(revision, _)| *revision).collect();
                let nothing = obsolete.is_empty() && expired.is_empty() && !rotate_due;
                (!nothing).then(|| OwnedSecret {
                    id: secret.id.clone(),
                    label: secret.label.clone(),
                    rotate_due,
                    expired,
                    obsolete,
                })
            })
            .collect()
    }

    /// Hooks of a rotation or of an expiry have run: the next ones come later.
    fn secrets_told(&mut self, changes: &HookChanges) {
        let now = jiff::Timestamp::now();
        for id in &changes.rotated {
            if let Some(secret) = self.secrets.get_mut(id) {
                secret.rotates = next_rotation(&secret.rotation, now);
            }
        }
        for (id, revision) in &changes.expired {
            let secret = self.secrets.get_mut(id);
            if let Some(expiry) = secret.and_then(|secret| secret.expiries.get_mut(revision)) {
                expiry.tell = now.checked_add(TELL_AGAIN).unwrap_or(now);
            }
        }
    }

    /// Whether an owner is to be told something now that was not due at `last`.
    pub fn secrets_due(&self, last: jiff::Timestamp, now: jiff::Timestamp) -> bool {
        self.secrets.values().any(|secret| {
            let expiries = secret.expiries.values().map(|expiry| expiry.tell);
            let mut times = secret.rotates.into_iter().chain(expiries);
            times.any(|time| last < time && time <= now)
        })
    }

    /// Whether what a hook did with secrets can be applied.
    pub fn check_secrets(&self, unit: &str, changes: &HookChanges) -> Outcome<()> {
        for add in &changes.secrets_add {
            if add.owner == "application" && !self.is_leader(unit) {
                return refuse(ErrorKind::NotLeader, "cannot create secret: not the leader");
            }
            let owner = owner_name(unit, &add.owner);
            let taken =
                |s: &Secret| s.owner == owner && !add.label.is_empty() && s.label == add.label;
            if self.secrets.values().any(taken) {
                let text = format!("secret with label \"{}\" already exists", add.label);
                return refuse(ErrorKind::AlreadyExists, text);
            }
        }
        let added = |id: &str| changes.secrets_add.iter().any(|add| add.id == id);
        let touched = changes.secrets_set.iter().map(|set| &set.id);
        let touched = touched.chain(changes.secrets_grant.iter().map(|grant| &grant.id));
        for id in touched {
            let owned = self
                .secrets
                .get(bare(id))
                .is_some_and(|secret| self.owns(unit, secret));
            if !owned && !added(id) {
                return self.forbidden(unit, "manage");
            }
        }
        Ok(())
    }

    pub fn apply_secrets(&mut self, unit: &str, changes: &HookChanges) {
        for add in &changes.secrets_add {
            let secret = Secret {
                id: add.id.clone(),
                owner: owner_name(unit, &add.owner),
                label: add.label.clone(),
                description: add.description.clone(),
                rotation: if add.rotation.is_empty() {
                    "never".into()
                } else {
                    add.rotation.clone()
                },
                rotates: next_rotation(&add.rotation, jiff::Timestamp::now()),
                expiries: expiry(add.expiry.as_deref())
                    .map(|expiry| (1, expiry))
                    .into_iter()
                    .collect(),
                created: now(),
                updated: now(),
                revisions: BTreeMap::from([(1, add.content.clone())]),
                made: BTreeMap::from([(1, now())]),
                grants: Vec::new(),
                consumers: BTreeMap::new(),
            };
            self.secrets.insert(add.id.clone(), secret);
        }
        for set in &changes.secrets_set {
            if let Some(secret) = self.secrets.get_mut(bare(&set.id)) {
                secret.apply(set);
            }
        }
        self.apply_grants(unit, changes);
        self.track(unit, &changes.secrets_track);
        for (id, revision) in &changes.secrets_remove {
            match (self.secrets.get_mut(bare(id)), revision) {
                (Some(secret), Some(revision)) => {
                    secret.revisions.remove(revision);
                    secret.expiries.remove(revision);
                }
                _ => drop(self.secrets.remove(bare(id))),
            }
        }
        self.secrets_told(changes);
    }

    /// A unit goes on to the latest revisions of these.
    pub fn track(&mut self, unit: &str, ids: &[String]) {
        for id in ids {
            if let Some(secret) = self.secrets.get_mut(bare(id)) {
                let latest = secret.latest();
                secret.consumers.entry(unit.to_owned()).or_default().tracked = latest;
            }
        }
    }

    fn apply_grants(&mut self, unit: &str, changes: &HookChanges) {
        for grant in &changes.secrets_grant {
            let to = grant
                .unit
                .clone()
                .or_else(|| grant.application.clone())
                .or_else(|| {
                    let app = unit.split('/').next().unwrap_or_default();
                    Some(self.relations.get(&grant.relation?)?.other(app))
                });
            if let (Some(secret), Some(to)) = (self.secrets.get_mut(bare(&grant.id)), to) {
                let grant = Grant {
                    relation: grant.relation,
                    to,
                };
                if !secret.grants.contains(&grant) {
                    secret.grants.push(grant);
                }
            }
        }
        for revoke in &changes.secrets_revoke {
            if let Some(secret) = self.secrets.get_mut(bare(&revoke.id)) {
                let named = revoke.unit.as_ref().or(revoke.application.as_ref());
                secret.grants.retain(|grant| match named {
                    Some(to) => grant.to != *to,
                    None => grant.relation != revoke.relation,
                });
            }
        }
    }
}

impl Secret {
    /// When the latest revision expires.
    pub fn expires(&self) -> Option<jiff::Timestamp> {
        let expiry = self.expiries.get(&self.latest());
        expiry.map(|expiry| expiry.at)
    }

    /// Changes what is given.
    fn apply(&mut self, set: &SecretSet) {
        if let Some(content) = &set.content {
            self.add_revision(content.clone());
        }
        if let Some(expiry) = expiry(set.expiry.as_deref()) {
            self.expiries.insert(self.latest(), expiry);
        }
        if let Some(rotation) = &set.rotation {
            self.rotates = next_rotation(rotation, jiff::Timestamp::now());
            self.rotation.clone_from(rotation);
        }
        if let Some(label) = &set.label {
            self.label.clone_from(label);
        }
        if let Some(description) = &set.description {
            self.description.clone_from(description);
        }
    }

    /// A new revision, unless the content is the latest one's.
    pub fn add_revision(&mut self, content: BTreeMap<String, String>) {
        let latest = self.latest();
        if self.revisions.get(&latest) != Some(&content) {
            self.revisions.insert(latest + 1, content);
            self.made.insert(latest + 1, now());
            self.updated = now();
            self.rotates = next_rotation(&self.rotation, jiff::Timestamp::now());
        }
    }
}

fn expiry(text: Option<&str>) -> Option<Expiry> {
    let at = text?.parse().ok()?;
    Some(Expiry { at, tell: at })
}

/// The time of the next rotation.
fn next_rotation(policy: &str, from: jiff::Timestamp) -> Option<jiff::Timestamp> {
    let span = jiff::Span::new();
    let span = match policy {
        "hourly" => span.hours(1),
        "daily" => span.days(1),
        "weekly" => span.days(7),
        "monthly" => span.months(1),
        "quarterly" => span.months(3),
        "yearly" => span.years(1),
        _ => return None,
    };
    let next = from.to_zoned(jiff::tz::TimeZone::UTC).checked_add(span);
    next.ok().map(|time| time.timestamp())
}

fn owner_name(unit: &str, owner: &str) -> String {
    if owner == "unit" {
        return unit.to_owned();
    }
    unit.split('/').next().unwrap_or_default().to_owned()
}

fn info(secret: &Secret) -> SecretInfo {
    let access = secret.grants.iter().map(|grant| {
        let kind = if grant.to.contains('/') {
            "unit"
        } else {
            "application"
        };
        json!({"target": format!("{kind}-{}", grant.to.replace('/', "-")), "role": "view",
               "scope": grant.relation.map(|id| format!("relation-{id}")).unwrap_or_default()})
    });
    SecretInfo {
        id: secret.id.clone(),
        revision: secret.latest(),
        label: secret.label.clone(),
        owner: if secret.owner.contains('/') {
            "unit"
        } else {
            "application"
        }
        .to_owned(),
        description: secret.description.clone(),
        rotation: secret.rotation.clone(),
        expiry: secret.expires().map(|at| at.to_string()),
        rotates: secret.rotates.map(|at| at.to_string()),
        access: access.collect(),
    }
}
