//! Which operation of a unit comes next: a pure function of what the model says, what was done
//! before, and what the workload's Pebbles tell.

use std::collections::{BTreeMap, BTreeSet};

use juju_local_api::agent::{ActionTask, ExecTask, Life, RelationView, UnitView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What this unit has done; it outlives the pod.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Local {
    pub installed: bool,
    pub started: bool,
    pub stopped: bool,
    pub removed: bool,
    pub leader: bool,
    pub config: String,
    pub modified: u64,
    pub relations: BTreeMap<u32, Seen>,
    pub storage: BTreeSet<String>,
    pub secrets: BTreeMap<String, u64>,
    pub obsolete: BTreeSet<String>,
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
}

/// What a workload's Pebble tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Ready {
        container: String,
    },
    Notice {
        container: String,
        id: String,
        kind: String,
        key: String,
    },
    Check {
        container: String,
        name: String,
        failed: bool,
    },
}

/// What runs next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Operation {
    Hook(Hook),
    Action(ActionTask),
    Exec(ExecTask),
}

/// A hook and what it changes of [`Local`] once it is done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Hook {
    pub name: String,
    /// For messages: the name without endpoint or container where Juju leaves it out.
    pub env: Vec<(&'static str, String)>,
    pub relation: Option<HookRelation>,
    pub done: Done,
}

/// The relation that a hook is about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct HookRelation {
    pub id: u32,
    pub endpoint: String,
    pub app: String,
    pub unit: String,
}

/// What is different after a hook.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Done {
    #[default]
    Nothing,
    Installed,
    Leader,
    Config(String),
    Started,
    Upgraded(u64),
    Event,
    Created(u32),
    Joined(u32, String),
    Changed(u32, String, u64),
    AppChanged(u32, u64),
    Departed(u32, String),
    Broken(u32),
    Attached(String),
    Detached(String),
    Secret(String, u64),
    Obsolete(String),
    Stopped,
    Removed,
}

impl Local {
    pub(crate) fn apply(&mut self, done: &Done) {
        match done {
            Done::Nothing | Done::Event => {}
            Done::Installed => self.installed = true,
            Done::Leader => self.leader = true,
            Done::Config(hash) => self.config.clone_from(hash),
            Done::Started => self.started = true,
            Done::Upgraded(modified) => self.modified = *modified,
            Done::Created(id) => self.relations.entry(*id).or_default().created = true,
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
            Done::Attached(id) => drop(self.storage.insert(id.clone())),
            Done::Detached(id) => drop(self.storage.remove(id)),
            Done::Secret(id, revision) => drop(self.secrets.insert(id.clone(), *revision)),
            Done::Obsolete(key) => drop(self.obsolete.insert(key.clone())),
            Done::Stopped => self.stopped = true,
            Done::Removed => self.removed = true,
        }
    }
}

/// The hash whose change means config-changed.
pub(crate) fn config_hash(view: &UnitView) -> String {
    let text =
        serde_json::to_string(&(&view.config, view.trust, &view.address)).unwrap_or_default();
    Sha256::digest(text.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn hook(name: impl Into<String>, done: Done) -> Operation {
    Operation::Hook(Hook {
        name: name.into(),
        done,
        ..Hook::default()
    })
}

/// The next operation; none while there is nothing to do. `new_pod` until upgrade-charm has run in
/// a pod that replaces another one.
pub(crate) fn next(
    view: &UnitView,
    local: &Local,
    event: Option<&Event>,
    new_pod: bool,
    update_status: bool,
) -> Option<Operation> {
    if view.life != Life::Alive {
        return dying(view, local);
    }
    if !local.installed {
        return Some(hook("install", Done::Installed));
    }
    if local.started && (new_pod || view.charm_modified_version > local.modified) {
        return Some(hook(
            "upgrade-charm",
            Done::Upgraded(view.charm_modified_version),
        ));
    }
    let uncreated = view.relations.iter().find(|relation| {
        relation.life == Life::Alive
            && !local
                .relations
                .get(&relation.id)
                .is_some_and(|seen| seen.created)
    });
    if let Some(relation) = uncreated {
        return Some(relation_hook(
            relation,
            "created",
            "",
            None,
            Done::Created(relation.id),
        ));
    }
    if view.leader && !local.leader {
        return Some(hook("leader-elected", Done::Leader));
    }
    if let Some(event) = event {
        return Some(workload_hook(event));
    }
    if let Some(operation) = secret_hook(view, local) {
        return Some(operation);
    }
    if let Some(action) = view.actions.first() {
        return Some(Operation::Action(action.clone()));
    }
    if let Some(exec) = view.execs.first() {
        return Some(Operation::Exec(exec.clone()));
    }
    let unattached = view
        .storage
        .iter()
        .find(|s| s.life == Life::Alive && !local.storage.contains(&s.id));
    if let Some(storage) = unattached {
        return Some(storage_hook(
            storage,
            "attached",
            Done::Attached(storage.id.clone()),
        ));
    }
    let hash = config_hash(view);
    if hash != local.config {
        return Some(hook("config-changed", Done::Config(hash)));
    }
    if !local.started {
        return Some(hook("start", Done::Started));
    }
    if let Some(operation) = view
        .relations
        .iter()
        .find_map(|r| relation_step(r, local, false, view))
    {
        return Some(operation);
    }
    if let Some(operation) = gone_relation(view, local) {
        return Some(operation);
    }
    update_status.then(|| hook("update-status", Done::Nothing))
}

fn dying(view: &UnitView, local: &Local) -> Option<Operation> {
    if !local.installed || local.removed {
        return None;
    }
    let attached = view
        .storage
        .iter()
        .find(|storage| local.storage.contains(&storage.id));
    if let Some(storage) = attached {
        return Some(storage_hook(
            storage,
            "detaching",
            Done::Detached(storage.id.clone()),
        ));
    }
    if let Some(operation) = view
        .relations
        .iter()
        .find_map(|r| relation_step(r, local, true, view))
    {
        return Some(operation);
    }
    if let Some(operation) = gone_relation(view, local) {
        return Some(operation);
    }
    if !local.stopped {
        return Some(hook("stop", Done::Stopped));
    }
    Some(hook("remove", Done::Removed))
}

fn storage_hook(storage: &juju_local_api::agent::StorageView, what: &str, done: Done) -> Operation {
    let name = storage.id.split('/').next().unwrap_or_default();
    Operation::Hook(Hook {
        name: format!("{name}-storage-{what}"),
        env: vec![
            ("JUJU_STORAGE_ID", storage.id.clone()),
            ("JUJU_STORAGE_KIND", storage.kind.clone()),
            ("JUJU_STORAGE_LOCATION", storage.location.clone()),
        ],
        relation: None,
        done,
    })
}

fn workload_hook(event: &Event) -> Operation {
    let (name, env) = match event {
        Event::Ready { container } => (
            format!("{container}-pebble-ready"),
            vec![("JUJU_WORKLOAD_NAME", container.clone())],
        ),
        Event::Notice {
            container,
            id,
            kind,
            key,
        } => (
            format!("{container}-pebble-custom-notice"),
            vec![
                ("JUJU_WORKLOAD_NAME", container.clone()),
                ("JUJU_NOTICE_ID", id.clone()),
                ("JUJU_NOTICE_TYPE", kind.clone()),
                ("JUJU_NOTICE_KEY", key.clone()),
            ],
        ),
        Event::Check {
            container,
            name,
            failed,
        } => (
            format!(
                "{container}-pebble-check-{}",
                if *failed { "failed" } else { "recovered" }
            ),
            vec![
                ("JUJU_WORKLOAD_NAME", container.clone()),
                ("JUJU_PEBBLE_CHECK_NAME", name.clone()),
            ],
        ),
    };
    Operation::Hook(Hook {
        name,
        env,
        relation: None,
        done: Done::Event,
    })
}

fn secret_hook(view: &UnitView, local: &Local) -> Option<Operation> {
    let changed = view.consumed_secrets.iter().find(|secret| {
        let handled = local
            .secrets
            .get(&secret.id)
            .copied()
            .unwrap_or(secret.tracked);
        secret.latest > handled.max(secret.tracked)
    });
    if let Some(secret) = changed {
        return Some(Operation::Hook(Hook {
            name: "secret-changed".to_owned(),
            env: vec![
                ("JUJU_SECRET_ID", format!("secret:{}", secret.id)),
                ("JUJU_SECRET_LABEL", secret.label.clone()),
            ],
            relation: None,
            done: Done::Secret(secret.id.clone(), secret.latest),
        }));
    }
    let due = view.owned_secrets.iter().flat_map(|secret| {
        secret
            .obsolete
            .iter()
            .map(move |revision| (secret, *revision))
    });
    let mut fresh = due.filter(|(secret, revision)| {
        !local
            .obsolete
            .contains(&format!("{}/{revision}", secret.id))
    });
    let (secret, revision) = fresh.next()?;
    Some(Operation::Hook(Hook {
        name: "secret-remove".to_owned(),
        env: vec![
            ("JUJU_SECRET_ID", format!("secret:{}", secret.id)),
            ("JUJU_SECRET_LABEL", secret.label.clone()),
            ("JUJU_SECRET_REVISION", revision.to_string()),
        ],
        relation: None,
        done: Done::Obsolete(format!("{}/{revision}", secret.id)),
    }))
}

fn relation_hook(
    relation: &RelationView,
    what: &str,
    unit: &str,
    departing: Option<String>,
    done: Done,
) -> Operation {
    let mut env = vec![
        ("JUJU_RELATION", relation.endpoint.clone()),
        (
            "JUJU_RELATION_ID",
            format!("{}:{}", relation.endpoint, relation.id),
        ),
        ("JUJU_REMOTE_APP", relation.remote_app.clone()),
        ("JUJU_REMOTE_UNIT", unit.to_owned()),
    ];
    env.extend(departing.map(|name| ("JUJU_DEPARTING_UNIT", name)));
    Operation::Hook(Hook {
        name: format!("{}-relation-{what}", relation.endpoint),
        env,
        relation: Some(HookRelation {
            id: relation.id,
            endpoint: relation.endpoint.clone(),
            app: relation.remote_app.clone(),
            unit: unit.to_owned(),
        }),
        done,
    })
}

/// The next hook of one relation. `leaving`: this unit itself goes.
fn relation_step(
    relation: &RelationView,
    local: &Local,
    leaving: bool,
    view: &UnitView,
) -> Option<Operation> {
    let seen = local.relations.get(&relation.id)?;
    if seen.broken {
        return None;
    }
    let over = leaving || relation.life != Life::Alive || relation.suspended;
    let present = |unit: &String| relation.units.contains_key(unit) && !over;
    if let Some(unit) = seen.joined.as_ref().filter(|unit| present(unit)) {
        let version = relation.units.get(unit).copied().unwrap_or_default();
        let done = Done::Changed(relation.id, unit.clone(), version);
        return Some(relation_hook(relation, "changed", unit, None, done));
    }
    if let Some(unit) = seen.members.keys().find(|unit| !present(unit)) {
        let own = own_unit(view);
        let departing = if leaving { own } else { unit.clone() };
        let done = Done::Departed(relation.id, unit.clone());
        return Some(relation_hook(
            relation,
            "departed",
            unit,
            Some(departing),
            done,
        ));
    }
    if over {
        if relation.role == "peer" {
            return None;
        }
        return Some(relation_hook(
            relation,
            "broken",
            "",
            None,
            Done::Broken(relation.id),
        ));
    }
    if relation.app_version > seen.app {
        let done = Done::AppChanged(relation.id, relation.app_version);
        return Some(relation_hook(relation, "changed", "", None, done));
    }
    if let Some(unit) = relation
        .units
        .keys()
        .find(|unit| !seen.members.contains_key(*unit))
    {
        let done = Done::Joined(relation.id, unit.clone());
        return Some(relation_hook(relation, "joined", unit, None, done));
    }
    let changed = relation
        .units
        .iter()
        .find(|(unit, version)| seen.members.get(*unit).is_some_and(|known| known < version));
    let (unit, version) = changed?;
    let done = Done::Changed(relation.id, unit.clone(), *version);
    Some(relation_hook(relation, "changed", unit, None, done))
}

fn own_unit(view: &UnitView) -> String {
    view.model_env
        .get("JUJU_LOCAL_UNIT")
        .cloned()
        .unwrap_or_default()
}

/// A relation that the controller has forgotten while this unit still knew it.
fn gone_relation(view: &UnitView, local: &Local) -> Option<Operation> {
    let gone = local.relations.iter().find(|(id, seen)| {
        seen.created && !seen.broken && !view.relations.iter().any(|relation| relation.id == **id)
    });
    let (id, seen) = gone?;
    let relation = RelationView {
        id: *id,
        endpoint: seen.endpoint.clone(),
        role: "provider".into(),
        interface: String::new(),
        remote_app: seen.remote_app.clone(),
        life: Life::Dying,
        suspended: false,
        units: BTreeMap::new(),
        app_version: 0,
        remote_model_uuid: String::new(),
    };
    relation_step(&relation, local, false, view)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn view() -> UnitView {
        serde_json::from_value(json!({
            "revision": 1, "model_name": "m", "model_uuid": "u", "life": "alive",
            "app_life": "alive", "juju_version": "3.6.12", "charm_modified_version": 0,
            "charm_revision": 0, "charm_source": "", "config": {}, "config_unset": [],
            "trust": true, "leader": true, "address": "10.1.0.10", "ingress_address": "",
            "relations": [{"id": 0, "endpoint": "peers", "role": "peer", "interface": "p",
                "remote_app": "a", "life": "alive", "suspended": false,
                "units": {"a/1": 1}, "app_version": 0, "remote_model_uuid": "u"}],
            "storage": [{"id": "data/0", "kind": "filesystem", "location": "/d", "life": "alive"}],
            "consumed_secrets": [], "owned_secrets": [], "actions": [], "execs": [],
            "resolved": null, "opened_ports": [], "unit_status": ["", ""],
            "update_status_interval_ms": 1, "retry_hooks": true, "model_env": {},
            "saved_state": null, "charm_state": {}, "planned_units": 2, "kill_at_effect": null
        }))
        .unwrap()
    }

    /// Runs hooks until there is none, and gives their names.
    fn settle(view: &UnitView, local: &mut Local, mut new_pod: bool) -> Vec<String> {
        let mut names = Vec::new();
        while let Some(operation) = next(view, local, None, new_pod, false) {
            let Operation::Hook(hook) = operation else {
                panic!()
            };
            new_pod &= !matches!(hook.done, Done::Upgraded(_));
            local.apply(&hook.done);
            names.push(hook.name);
            assert!(names.len() < 50, "{names:?}");
        }
        names
    }

    #[test]
    fn a_fresh_unit_runs_its_hooks_in_jujus_order() {
        let mut local = Local::default();
        let names = settle(&view(), &mut local, false);
        assert_eq!(
            names,
            [
                "install",
                "peers-relation-created",
                "leader-elected",
                "data-storage-attached",
                "config-changed",
                "start",
                "peers-relation-joined",
                "peers-relation-changed"
            ]
        );
    }

    #[test]
    fn a_new_pod_of_an_old_unit_is_upgraded_and_configured_again() {
        let mut local = Local::default();
        settle(&view(), &mut local, false);
        let mut view = view();
        view.address = "10.1.0.11".into();
        assert_eq!(
            settle(&view, &mut local, true),
            ["upgrade-charm", "config-changed"]
        );
    }

    #[test]
    fn a_change_of_a_bag_is_told_once() {
        let mut local = Local::default();
        settle(&view(), &mut local, false);
        let mut view = view();
        view.relations[0].units.insert("a/1".into(), 5);
        view.relations[0].app_version = 4;
        assert_eq!(
            settle(&view, &mut local, false),
            ["peers-relation-changed"; 2]
        );
    }

    #[test]
    fn a_dying_unit_leaves_in_order() {
        let mut local = Local::default();
        settle(&view(), &mut local, false);
        let mut view = view();
        view.life = Life::Dying;
        assert_eq!(
            settle(&view, &mut local, false),
            [
                "data-storage-detaching",
                "peers-relation-departed",
                "stop",
                "remove"
            ]
        );
    }
}
