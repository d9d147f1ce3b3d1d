//! What a unit has done: it outlives the pod.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Hook;

/// What this unit has done; the controller keeps it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a hook that runs once"
)]
pub(crate) struct Local {
    pub installed: bool,
    pub started: bool,
    pub stopped: bool,
    pub removed: bool,
    pub leader: bool,
    pub config: String,
    /// What must follow the last hook before anything else.
    pub then: Option<Then>,
    /// The hook that has begun, or that has failed: it is run again before any other.
    pub pending: Option<Hook>,
    pub relations: BTreeMap<u32, Seen>,
    pub storage: BTreeSet<String>,
    pub secrets: BTreeMap<String, u64>,
    pub obsolete: BTreeSet<String>,
}

/// The second part of a chain of hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Then {
    Config,
    Start,
}

/// What was seen of a relation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Seen {
    pub created: bool,
    pub broken: bool,
    pub members: BTreeMap<String, u64>,
    pub app: u64,
    /// A unit that has joined and whose changed hook follows.
    pub joined: Option<String>,
    pub endpoint: String,
    pub remote_app: String,
    pub peer: bool,
}

/// What is different after a hook.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) enum Done {
    #[default]
    Nothing,
    Installed,
    Leader,
    /// leader-settings-changed: told once in an agent's life, and at each change.
    Told(u64),
    Config(String),
    Started,
    Upgraded,
    Event,
    Created {
        id: u32,
        endpoint: String,
        remote_app: String,
        peer: bool,
    },
    Joined(u32, String),
    Changed(u32, String, u64),
    AppChanged(u32, u64),
    Departed(u32, String),
    Broken(u32),
    Attached(String),
    Detached(String),
    Secret(String, u64),
    Rotated(String),
    Expired(String, u64),
    Obsolete(String),
    Stopped,
    Removed,
}

impl Local {
    pub(crate) fn apply(&mut self, done: &Done) {
        match done {
            Done::Nothing | Done::Event | Done::Told(_) | Done::Rotated(_) | Done::Expired(..) => {}
            Done::Installed => self.installed = true,
            Done::Leader => self.leader = true,
            Done::Config(hash) => {
                self.config.clone_from(hash);
                self.then = (!self.started).then_some(Then::Start);
            }
            Done::Started => {
                self.started = true;
                self.then = None;
            }
            Done::Upgraded => {
                self.started = false;
                self.then = Some(Then::Config);
            }
            Done::Attached(id) => drop(self.storage.insert(id.clone())),
            Done::Detached(id) => drop(self.storage.remove(id)),
            Done::Secret(id, revision) => drop(self.secrets.insert(id.clone(), *revision)),
            Done::Obsolete(key) => drop(self.obsolete.insert(key.clone())),
            Done::Stopped => self.stopped = true,
            Done::Removed => self.removed = true,
            relation => self.apply_relation(relation),
        }
    }

    fn apply_relation(&mut self, done: &Done) {
        match done {
            Done::Created {
                id,
                endpoint,
                remote_app,
                peer,
            } => {
                let seen = self.relations.entry(*id).or_default();
                seen.created = true;
                seen.broken = false;
                seen.endpoint.clone_from(endpoint);
                seen.remote_app.clone_from(remote_app);
                seen.peer = *peer;
            }
            Done::Joined(id, unit) => {
                let seen = self.relations.entry(*id).or_default();
                seen.joined = Some(unit.clone());
                seen.members.insert(unit.clone(), 0);
            }
            Done::Changed(id, unit, version) => {
                let seen = self.relations.entry(*id).or_default();
                if seen.joined.as_deref() == Some(unit) {
                    seen.joined = None;
                }
                seen.members.insert(unit.clone(), *version);
            }
            Done::AppChanged(id, version) => {
                self.relations.entry(*id).or_default().app = *version;
            }
            Done::Departed(id, unit) => {
                let seen = self.relations.entry(*id).or_default();
                seen.members.remove(unit);
                if seen.joined.as_deref() == Some(unit) {
                    seen.joined = None;
                }
            }
            Done::Broken(id) => self.relations.entry(*id).or_default().broken = true,
            _ => {}
        }
    }
}
