//! What a model is made of, as plain data.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use juju_local_api::agent::{ActionTask, Bag, ExecTask, Life, Resolved};
use juju_local_api::{ApiError, ErrorKind};
use serde_json::Value;
use tokio::sync::mpsc;

use super::charm::Charm;
use super::history::History;
use super::offers::{Offer, Remote};
use super::pods::PodCommand;
use crate::juju::Juju;

/// A result with an error that goes to the client.
pub(super) type Outcome<T> = Result<T, ApiError>;

pub(super) fn refuse<T>(kind: ErrorKind, text: impl Into<String>) -> Outcome<T> {
    Err(ApiError::new(kind, text))
}

pub(super) fn not_found(what: &str, name: &str) -> ApiError {
    ApiError::new(ErrorKind::NotFound, format!("{what} \"{name}\" not found"))
}

pub(super) fn now() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

/// A model.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub name: String,
    pub uuid: String,
    pub juju: Juju,
    pub created: String,
    pub config: BTreeMap<String, String>,
    pub apps: BTreeMap<String, App>,
    pub units: BTreeMap<String, Unit>,
    pub relations: BTreeMap<u32, Relation>,
    pub secrets: BTreeMap<String, Secret>,
    pub storage: BTreeMap<String, Storage>,
    pub offers: BTreeMap<String, Offer>,
    /// Offers of other models, by the name that they have here.
    pub remotes: BTreeMap<String, Remote>,
    pub tasks: BTreeMap<u64, Task>,
    pub next_relation: u32,
    pub next_task: u64,
    pub next_storage: BTreeMap<String, u32>,
}

/// An application.
#[derive(Debug)]
pub(super) struct App {
    pub name: String,
    pub charm: Charm,
    pub revision: u64,
    pub modified: u64,
    /// What the pods were made from at each number of `modified`.
    pub templates: BTreeMap<u64, Template>,
    pub life: Life,
    pub config: BTreeMap<String, Value>,
    pub trust: bool,
    pub channel: String,
    pub resources: BTreeMap<String, String>,
    pub constraints: BTreeMap<String, String>,
    pub leader: Option<String>,
    pub lease: Instant,
    /// What the leader keeps with `leader-set`, and how often that has changed.
    pub leader_settings: (BTreeMap<String, String>, u64),
    pub status: Option<Status>,
    pub history: History,
    pub version: String,
    pub address: String,
    pub next_unit: u32,
    /// Units that come once those that leave are gone, and volumes for them.
    pub waiting: u32,
    pub waiting_volumes: Vec<String>,
    pub storage_id: String,
}

/// What a pod is made from.
#[derive(Debug, Clone)]
pub(super) struct Template {
    pub revision: u64,
    pub containers: BTreeMap<String, super::charm::Container>,
}

/// A status and since when.
#[derive(Debug, Clone, Default)]
pub(super) struct Status {
    pub word: String,
    pub message: String,
    pub since: String,
}

impl Status {
    pub fn new(word: &str, message: &str) -> Self {
        Self {
            word: word.to_owned(),
            message: message.to_owned(),
            since: now(),
        }
    }
}

/// A unit.
#[derive(Debug)]
pub(super) struct Unit {
    pub name: String,
    pub app: String,
    pub number: u32,
    pub life: Life,
    pub token: String,
    pub address: String,
    pub agent_seen: bool,
    pub workload: Status,
    pub agent: Status,
    pub agent_data: Value,
    pub history: History,
    pub ports: BTreeSet<String>,
    pub saved: Value,
    pub charm_state: Bag,
    pub resolved: Option<Resolved>,
    pub kill_at_effect: Option<u32>,
    pub storage: Vec<String>,
    pub destroy_storage: bool,
    pub pod: Option<mpsc::UnboundedSender<PodCommand>>,
    /// The application's `modified` that its pod was made from; none before it has one.
    pub template: Option<u64>,
    /// What the agent saw last, and its number.
    pub seen: (u64, String),
}

/// A relation.
#[derive(Debug)]
pub(super) struct Relation {
    pub id: u32,
    pub juju: Juju,
    pub life: Life,
    pub suspended: bool,
    pub interface: String,
    /// One end for a peer relation; provider, then requirer, otherwise.
    pub ends: Vec<End>,
    /// Bags of units and applications with their versions.
    pub bags: BTreeMap<String, (u64, Bag)>,
    /// Units that the other side sees.
    pub scope: BTreeSet<String>,
    /// Units that have yet to run their last hook of it.
    pub inside: BTreeSet<String>,
    /// Who wrote an application's bag last.
    pub writers: BTreeMap<String, String>,
    /// The model of the other application, if it is not this one.
    pub remote_uuid: Option<String>,
    pub next_version: u64,
}

/// An end of a relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    pub app: String,
    pub endpoint: String,
    pub role: String,
}

/// A secret.
#[derive(Debug)]
pub(super) struct Secret {
    pub id: String,
    /// A unit, an application, or nothing for a person's.
    pub owner: String,
    pub label: String,
    pub description: String,
    pub rotation: String,
    /// When it is to be rotated next.
    pub rotates: Option<jiff::Timestamp>,
    /// When a revision expires, or is told again to have expired.
    pub expiries: BTreeMap<u64, Expiry>,
    pub created: String,
    pub updated: String,
    pub revisions: BTreeMap<u64, BTreeMap<String, String>>,
    /// When each revision was made.
    pub made: BTreeMap<u64, String>,
    pub grants: Vec<Grant>,
    pub consumers: BTreeMap<String, Consumer>,
}

/// The end of a revision.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expiry {
    pub at: jiff::Timestamp,
    /// Its owner is told from here on.
    pub tell: jiff::Timestamp,
}

/// Who may read a secret beside its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grant {
    pub relation: Option<u32>,
    /// A unit or an application.
    pub to: String,
}

/// A unit that reads a secret.
#[derive(Debug, Clone, Default)]
pub(super) struct Consumer {
    pub tracked: u64,
    pub label: String,
}

impl Secret {
    pub fn latest(&self) -> u64 {
        self.revisions
            .keys()
            .next_back()
            .copied()
            .unwrap_or_default()
    }
}

/// A storage instance.
#[derive(Debug, Clone)]
pub(super) struct Storage {
    pub id: String,
    pub name: String,
    /// Folder below the controller's storage.
    pub folder: String,
    pub unit: Option<String>,
    pub location: String,
    pub dying: bool,
}

/// An action or a command for a unit.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub id: u64,
    pub unit: String,
    pub what: Work,
    pub status: String,
    pub message: String,
    pub results: Value,
    pub log: Vec<(String, String)>,
    pub enqueued: String,
    pub started: Option<String>,
    pub completed: Option<String>,
}

/// What a task does.
#[derive(Debug, Clone)]
pub(super) enum Work {
    /// An action.
    Action(ActionTask),
    /// A command.
    Exec(ExecTask),
}

impl Model {
    pub fn app(&self, name: &str) -> Outcome<&App> {
        self.apps
            .get(name)
            .ok_or_else(|| not_found("application", name))
    }

    pub fn app_mut(&mut self, name: &str) -> Outcome<&mut App> {
        self.apps
            .get_mut(name)
            .ok_or_else(|| not_found("application", name))
    }

    pub fn unit(&self, name: &str) -> Outcome<&Unit> {
        self.units.get(name).ok_or_else(|| not_found("unit", name))
    }

    pub fn unit_mut(&mut self, name: &str) -> Outcome<&mut Unit> {
        self.units
            .get_mut(name)
            .ok_or_else(|| not_found("unit", name))
    }

    pub fn units_of<'a>(&'a self, app: &'a str) -> impl Iterator<Item = &'a Unit> {
        self.units.values().filter(move |unit| unit.app == app)
    }

    /// How many units an application is to have.
    pub fn planned(&self, app: &str) -> u32 {
        let alive = self.units_of(app).filter(|unit| unit.life == Life::Alive);
        let alive = u32::try_from(alive.count()).unwrap_or(u32::MAX);
        let waiting = self.apps.get(app).map_or(0, |app| app.waiting);
        alive.saturating_add(waiting)
    }

    pub fn is_leader(&self, unit: &str) -> bool {
        let app = self
            .units
            .get(unit)
            .and_then(|unit| self.apps.get(&unit.app));
        app.is_some_and(|app| app.leader.as_deref() == Some(unit))
    }

    /// Gives leadership to the first unit that can take it, if it is free.
    pub fn elect(&mut self, app: &str) {
        let candidate = self
            .units_of(app)
            .filter(|unit| unit.life == Life::Alive)
            .min_by_key(|unit| (!unit.agent_seen, unit.number))
            .map(|unit| unit.name.clone());
        if let Some(app) = self.apps.get_mut(app)
            && app.leader.is_none()
        {
            app.leader = candidate;
            app.lease = Instant::now();
        }
    }

    /// Takes leadership from a unit, if it has it.
    pub fn depose(&mut self, unit: &str) {
        let Some(app) = self.units.get(unit).map(|unit| unit.app.clone()) else {
            return;
        };
        if let Some(app) = self.apps.get_mut(&app)
            && app.leader.as_deref() == Some(unit)
        {
            app.leader = None;
        }
        self.elect(&app);
    }

    /// Marks failed hooks of these units, or of all, to be run again or to count as done.
    pub fn resolve(&mut self, units: Vec<String>, all: bool, no_retry: bool) -> Outcome<Value> {
        let how = if no_retry {
            Resolved::Skip
        } else {
            Resolved::Retry
        };
        let failed = |unit: &Unit| unit.agent.word == "error";
        let names = if all {
            let failed = self.units.values().filter(|unit| failed(unit));
            failed.map(|unit| unit.name.clone()).collect()
        } else {
            units
        };
        for name in names {
            let unit = self.unit_mut(&name)?;
            if !failed(unit) {
                let text = format!("unit \"{name}\" is not in an error state");
                return refuse(ErrorKind::Conflict, text);
            }
            unit.resolved = Some(how);
        }
        Ok(Value::Null)
    }

    /// Sets and resets options of an application: all or none.
    pub fn set_options(
        &mut self,
        app: &str,
        set: &BTreeMap<String, String>,
        reset: &[String],
    ) -> Outcome<Value> {
        let app = self.app_mut(app)?;
        let mut next = app.config.clone();
        for (key, text) in set {
            next.insert(key.clone(), app.charm.option_value(key, text)?);
        }
        for key in reset {
            if !app.charm.options.contains_key(key) {
                let text = format!("unknown option \"{key}\"");
                return refuse(ErrorKind::BadRequest, text);
            }
            next.remove(key);
        }
        app.config = next;
        Ok(Value::Null)
    }
}
