//! Which operation of a unit comes next: a pure function of what the model says, what was done
//! before, and what the workload's Pebbles tell.

mod hooks;
mod local;
mod relations;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use juju_local_api::agent::{ActionTask, ExecTask, Life, UnitView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::juju::Juju;
use hooks::hook;
pub(crate) use local::{Done, Local, Then};

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
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Hook {
    pub name: String,
    pub env: Vec<(String, String)>,
    pub relation: Option<HookRelation>,
    pub done: Done,
}

/// The relation that a hook is about.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct HookRelation {
    pub id: u32,
    pub endpoint: String,
    pub app: String,
    pub unit: String,
}

/// What holds for this agent alone, and is forgotten with it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Moment {
    /// This unit.
    pub unit: String,
    /// The oldest event of the workloads.
    pub event: Option<Event>,
    /// upgrade-charm has yet to run in a pod that replaces another one.
    pub new_pod: bool,
    /// A unit that does not lead was told so, at this state of what the leader keeps.
    pub told: Option<u64>,
    /// update-status is due.
    pub update_status: bool,
}

/// Whether the model behaves like Juju 4.
fn is_4(view: &UnitView) -> bool {
    Juju::of(&view.juju_version).is_4()
}

/// The hash whose change means config-changed.
pub(crate) fn config_hash(view: &UnitView) -> String {
    let text =
        serde_json::to_string(&(&view.config, view.trust, &view.address)).unwrap_or_default();
    STANDARD.encode(Sha256::digest(text.as_bytes()))
}

/// What may run while a hook has failed: actions, then commands.
pub(crate) fn task(view: &UnitView) -> Option<Operation> {
    let action = view.actions.first().cloned().map(Operation::Action);
    action.or_else(|| view.execs.first().cloned().map(Operation::Exec))
}

/// The next operation; none while there is nothing to do.
pub(crate) fn next(view: &UnitView, local: &Local, moment: &Moment) -> Option<Operation> {
    let alive = view.life == Life::Alive;
    if !local.installed {
        return alive.then(|| Operation::Hook(hook("install", Done::Installed)));
    }
    if local.removed {
        return None;
    }
    match local.then {
        Some(Then::Config) => return Some(Operation::Hook(config_changed(view))),
        Some(Then::Start) => return Some(Operation::Hook(hook("start", Done::Started))),
        None => {}
    }
    let early = if alive {
        early(view, local, moment).map(Operation::Hook)
    } else {
        None
    };
    early
        .or_else(|| task(view))
        .or_else(|| storage(view, local, alive).map(Operation::Hook))
        .or_else(|| {
            let last = if alive {
                idle(view, local, moment)
            } else {
                Some(dying(view, local, moment))
            };
            last.map(Operation::Hook)
        })
}

fn config_changed(view: &UnitView) -> Hook {
    hook("config-changed", Done::Config(config_hash(view)))
}

/// What comes before actions.
fn early(view: &UnitView, local: &Local, moment: &Moment) -> Option<Hook> {
    if moment.new_pod {
        return Some(hook("upgrade-charm", Done::Upgraded));
    }
    if let Some(hook) = relations::created(view, local) {
        return Some(hook);
    }
    if view.leader && !local.leader {
        return Some(hook("leader-elected", Done::Leader));
    }
    let told = moment.told == Some(view.leader_settings) || is_4(view);
    if !view.leader && !told {
        return Some(hook(
            "leader-settings-changed",
            Done::Told(view.leader_settings),
        ));
    }
    let event = moment.event.as_ref().map(hooks::workload_hook);
    event.or_else(|| hooks::secret_hook(view, local))
}

fn storage(view: &UnitView, local: &Local, alive: bool) -> Option<Hook> {
    let mut all = view.storage.iter();
    let attached = |id: &String| local.storage.contains(id);
    if alive {
        let new = all.find(|s| s.life == Life::Alive && !attached(&s.id))?;
        let done = Done::Attached(new.id.clone());
        return Some(hooks::storage_hook(new, "attached", done));
    }
    let old = all.find(|storage| attached(&storage.id))?;
    let done = Done::Detached(old.id.clone());
    Some(hooks::storage_hook(old, "detaching", done))
}

fn idle(view: &UnitView, local: &Local, moment: &Moment) -> Option<Hook> {
    if config_hash(view) != local.config {
        return Some(config_changed(view));
    }
    if !local.started {
        return Some(hook("start", Done::Started));
    }
    let update = || {
        moment
            .update_status
            .then(|| hook("update-status", Done::Nothing))
    };
    relations::next(view, local, &moment.unit, false).or_else(update)
}

fn dying(view: &UnitView, local: &Local, moment: &Moment) -> Hook {
    let last = if local.stopped {
        hook("remove", Done::Removed)
    } else {
        hook("stop", Done::Stopped)
    };
    relations::next(view, local, &moment.unit, true).unwrap_or(last)
}

#[cfg(test)]
mod tests;
