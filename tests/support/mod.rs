//! A world in memory for the charm's hooks: a Juju model, its pods, Kubernetes, Patroni and
//! PostgreSQL, as far as the charm can tell them from the real ones. The hooks are the charm's own.

#![allow(dead_code)] // each test file uses its own part

mod certificates;
mod clients;
mod extensions;
mod hooks;
mod juju;
mod kubernetes;
mod patroni;
mod postgres;
pub mod real;
pub mod related;
pub mod trust;
mod workload;

pub use certificates::{Provider, Tls};
pub use clients::{Bag, Clients};
pub use extensions::Extensions;
pub use hooks::{
    Outcome, changed_by, notice, pebble_ready, peer, peers, peers_changed, peers_created,
};
pub use juju::APPLICATIONS;
pub use kubernetes::KubeFault;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use cluster_plan::observed::ServiceState;
use k8s_openapi::api::core::v1::Service;
use postgresql_k8s::juju_port::Content;
use postgresql_k8s::ports::Registered;
use postgresql_k8s::secrets::Passwords;
use serde_json::Value;

/// Name of the application.
pub const APP: &str = "postgresql-k8s";
/// Name of the model.
pub const MODEL: &str = "m";

/// A process that dies at an effect: unwound, never reported as a panic.
pub struct Died;

/// The world. Ports borrow it for as long as a hook runs.
pub struct World(pub RefCell<State>);

/// All that there is.
pub struct State {
    pub leader: u32,
    pub units: BTreeMap<u32, Unit>,
    pub peer_relation: bool,
    /// What Patroni has made goes with the application.
    pub adopted: bool,
    /// Units keep what they have read of secrets.
    pub keeps: bool,
    /// Juju tells of no units, as one of them goes.
    pub uncounted: bool,
    /// Pods that are there without a unit; Juju still lists them in the relation.
    pub strays: BTreeSet<u32>,
    pub app_bag: BTreeMap<String, String>,
    pub app_status: (String, String),
    pub secret: Option<Passwords>,
    pub config: BTreeMap<String, Value>,
    /// The operator's secret, where it is granted.
    pub given: Option<Content>,
    /// Endpoints with a relation, beside the peers'.
    pub relations: BTreeSet<String>,
    pub services: BTreeMap<String, Service>,
    pub stateful_set: String,
    pub kube_fault: Option<KubeFault>,
    /// Addresses of the nodes on which pods are, by ordinal; another pod is on its way to one.
    pub nodes: BTreeMap<u32, String>,
    /// Kubernetes gives Services no ports on the nodes.
    pub no_node_ports: bool,
    /// The last port that it gave.
    pub node_port: i32,
    /// Services that were asked for.
    pub service_looks: Vec<String>,
    pub headless: bool,
    /// What the pods shall be made from, and from which ordinal on.
    pub template: String,
    pub partition: u32,
    pub guarded: bool,
    /// What Patroni has registered in Kubernetes.
    pub registered: Option<Registered>,
    /// The member that holds the leader key.
    pub holder: Option<u32>,
    pub dynamic: Value,
    pub roles: BTreeMap<String, Role>,
    pub public_revoked: bool,
    /// The server's major version.
    pub major: u32,
    /// The function for a database's own roles, in `postgres`.
    pub catalog_roles: Option<String>,
    /// Schemas that mark roles.
    pub marks: BTreeSet<String>,
    /// The real PostgreSQL that runs and answers what the charm asks, where there is one.
    pub real: Option<std::rc::Rc<real::RealServer>>,
    /// Bootstraps of a new cluster so far.
    pub bootstraps: usize,
    /// Effects of the hook that runs, or ran last.
    pub effects: Vec<String>,
    /// The process dies right after this effect.
    pub dies_after: Option<usize>,
    /// Text of every log line and status so far.
    pub said: String,
    pub tls: Tls,
    /// The pods' addresses begin so.
    pub network: String,
    pub made_up: u32,
    pub clients: Clients,
    pub extensions: Extensions,
    /// PostgreSQL takes no session.
    pub database_away: bool,
    /// Members whose PostgreSQL was restarted, in order.
    pub restarts: Vec<u32>,
    /// Transactions that are prepared.
    pub prepared: u64,
    /// Verifiers are kept with one round instead of thousands, which is as good for a test.
    pub cheap_passwords: bool,
    /// Commits that a client has heard of, counted.
    pub acknowledged: u64,
    /// WAL below this is removed everywhere: who has less can't follow.
    pub oldest_wal: u64,
    /// Members that have given up their data for a new copy, in order.
    pub reinitialised: Vec<u32>,
    /// Members that have all of them: Patroni lets no other lead.
    pub synchronous: BTreeSet<u32>,
    /// The primary has not listed its standbys yet: commits wait for any of them.
    pub promoted: bool,
    /// The parameter that waits was lowered.
    pub lowered: bool,
    /// Standbys that came and went again before Patroni's key had them: commits wait for them.
    pub forgotten: BTreeSet<u32>,
    /// The key of synchronous standbys holds the leader's name too.
    pub reminded: bool,
}

/// A role in the database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Role {
    pub login: bool,
    pub superuser: bool,
    pub verifier: Option<String>,
    pub groups: BTreeSet<String>,
    pub connects: bool,
    pub createdb: bool,
    pub createrole: bool,
    /// It may use a schema that says that the charm made it, to own a database of clients or for one.
    pub marked: bool,
}

/// A unit: its pod, its volume and what it told Juju.
#[derive(Default)]
pub struct Unit {
    pub bag: BTreeMap<String, String>,
    /// What it has kept of the application's secret.
    pub kept: Option<juju::Kept>,
    /// Peers whose relation-joined this unit has seen.
    pub joined: BTreeSet<u32>,
    pub dying: bool,
    pub status: (String, String),
    pub ports: BTreeSet<u16>,
    pub version: String,
    pub pebble: bool,
    pub labels: BTreeMap<String, String>,
    pub files: BTreeMap<String, File>,
    /// What `update-ca-certificates` has found.
    pub trusted: Vec<Vec<u8>>,
    pub layer: pebble::Layer,
    pub service: ServiceState,
    /// The `patroni.yml` that the running Patroni has read.
    pub loaded: Option<String>,
    /// The one it had read before it was told to read again.
    pub before: Option<String>,
    /// The certificate that its REST API shows.
    pub served: Option<String>,
    pub postgres_runs: bool,
    /// The cluster on the volume: system identifier and how far it has come.
    pub volume: Option<(String, u64)>,
    /// The image has neither PostgreSQL nor Patroni.
    pub bare_image: bool,
    /// A parameter waits for a restart.
    pub pending_restart: bool,
    /// What its server was started with, where it is not what the configuration says.
    pub settings: BTreeMap<String, u64>,
    /// It does not come back from a restart: it is a standby then, as it was before.
    pub fails_to_restart: bool,
    /// PostgreSQL's log.
    pub log: String,
    /// The charm has set itself a timer.
    pub timer: bool,
    /// It is none but the one for what is missing.
    pub timer_for_missing: bool,
    /// Certificates were pushed and not read since.
    pub unread: bool,
    /// The layer of its timer for renewals.
    pub renewal: pebble::Layer,
    /// Percent of the volume that are used.
    pub disk_used: u8,
    pub starts: usize,
    /// What its pod is made from.
    pub template: String,
    pub replans: usize,
}

/// A file or directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    pub content: Vec<u8>,
    pub mode: u32,
    pub user: String,
}

impl World {
    /// Units 0 to n-1, unit 0 leads, nothing has run yet.
    pub fn of(units: u32) -> Self {
        let mut state = State {
            leader: 0,
            units: BTreeMap::new(),
            peer_relation: true,
            adopted: false,
            keeps: false,
            uncounted: false,
            strays: BTreeSet::new(),
            app_bag: BTreeMap::new(),
            app_status: Default::default(),
            secret: None,
            config: BTreeMap::new(),
            given: None,
            relations: BTreeSet::new(),
            services: BTreeMap::new(),
            stateful_set: "2026-01-02T00:00:00Z".into(),
            kube_fault: None,
            nodes: BTreeMap::new(),
            no_node_ports: false,
            node_port: 30_000,
            service_looks: Vec::new(),
            headless: true,
            template: "rev-1".into(),
            partition: 0,
            guarded: false,
            registered: None,
            holder: None,
            dynamic: Value::Null,
            roles: BTreeMap::new(),
            public_revoked: false,
            major: 15,
            catalog_roles: None,
            marks: BTreeSet::new(),
            real: None,
            bootstraps: 0,
            effects: Vec::new(),
            dies_after: None,
            said: String::new(),
            network: "10.1.0".into(),
            tls: Tls {
                now: 1_800_000_000,
                ..Tls::default()
            },
            made_up: 0,
            clients: Clients::default(),
            extensions: Extensions::default(),
            database_away: false,
            restarts: Vec::new(),
            prepared: 0,
            lowered: false,
            forgotten: BTreeSet::new(),
            reminded: false,
            oldest_wal: 0,
            reinitialised: Vec::new(),
            cheap_passwords: true,
            acknowledged: 0,
            synchronous: BTreeSet::new(),
            promoted: false,
        };
        for ordinal in 0..units {
            state.add_unit(ordinal);
        }
        Self(RefCell::new(state))
    }

    /// Looks at or changes the world between hooks.
    pub fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.borrow_mut())
    }

    /// Status word and message of a unit.
    pub fn status(&self, ordinal: u32) -> (String, String) {
        self.with(|state| state.units[&ordinal].status.clone())
    }
}

impl State {
    pub fn add_unit(&mut self, ordinal: u32) {
        let unit = Unit {
            pebble: true,
            template: self.template.clone(),
            ..Unit::default()
        };
        self.units.insert(ordinal, unit);
        self.nodes.insert(ordinal, format!("192.0.2.{ordinal}"));
        let all: Vec<u32> = self.units.keys().copied().collect();
        for (own, unit) in &mut self.units {
            unit.joined = all.iter().copied().filter(|n| n != own).collect();
        }
    }

    /// Databases that can be entered.
    pub fn databases(&self) -> BTreeSet<String> {
        let own = ["postgres", "template1"].map(str::to_owned);
        own.into_iter()
            .chain(self.clients.databases.keys().cloned())
            .collect()
    }

    pub fn unit(&mut self, ordinal: u32) -> &mut Unit {
        self.units.get_mut(&ordinal).expect("there is such a unit")
    }

    /// Notes an effect, and lets the process die where it shall.
    pub fn effect(&mut self, what: impl Into<String>) {
        self.effects.push(what.into());
        if self.dies_after == Some(self.effects.len()) {
            std::panic::resume_unwind(Box::new(Died));
        }
    }

    /// Whether each Patroni has done what it was told.
    pub fn heard(&self) -> bool {
        let deaf = |unit: &Unit| unit.service == ServiceState::Active && unit.loaded.is_none();
        !self.units.values().any(deaf)
    }

    /// What the world is in the end, for comparing two runs: without what chance decides.
    pub fn outcome(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "holder {:?} bootstraps {} app {:?} roles {:?} revoked {} dynamic {}",
            self.holder,
            self.bootstraps,
            self.app_status,
            self.roles
                .iter()
                .map(|(name, role)| (
                    name,
                    role.login,
                    role.superuser,
                    &role.groups,
                    role.connects
                ))
                .collect::<Vec<_>>(),
            self.public_revoked,
            self.dynamic
        )];
        let services: Vec<_> = self.services.iter().map(|(n, s)| (n, &s.spec)).collect();
        lines.push(format!("bag {:?} services {services:?}", self.app_bag));
        for (ordinal, unit) in &self.units {
            let files: Vec<_> = unit
                .files
                .iter()
                .map(|(path, file)| (path, file.mode, &file.user))
                .collect();
            // A volume may hold a cluster by the time that a repeated hook looks at it.
            let mut bag = unit.bag.clone();
            bag.entry("pgdata".into()).and_modify(String::clear);
            // Keys are made by chance.
            bag.entry("tls-state".into()).and_modify(String::clear);
            lines.push(format!(
                "{ordinal} {:?} {:?} {:?} {:?} {} {:?} {:?} {:?}",
                unit.status,
                bag,
                unit.ports,
                unit.labels,
                unit.version,
                files,
                unit.layer,
                (unit.service, unit.postgres_runs, unit.volume.is_some()),
            ));
        }
        lines
    }
}
