//! Runs a charm's code for one event over a state.

use std::error::Error;
use std::path::Path;

use super::check::{Inconsistent, problems};
use super::metadata::{Charm, CharmError};
use super::outcome::{Fault, Outcome};
use super::simulator::{Inner, Simulator};
use super::state::State;
use super::trigger::{Trigger, variables};
use crate::env::HookEnv;
use crate::run::chain;
use crate::tools::HookTools;

/// How a charm's code ended.
pub trait Exit {
    /// Why it failed; none where it exits 0.
    fn failure(self) -> Option<String>;
}

impl Exit for () {
    fn failure(self) -> Option<String> {
        None
    }
}

impl Exit for i32 {
    fn failure(self) -> Option<String> {
        (self != 0).then(|| format!("exit status {self}"))
    }
}

impl<E: Error> Exit for Result<(), E> {
    fn failure(self) -> Option<String> {
        self.err().map(|error| chain(&error))
    }
}

/// A charm and the unit that runs it.
#[derive(Debug, Clone)]
pub struct Harness {
    charm: Charm,
    unit: String,
    charm_dir: String,
    faults: Vec<Fault>,
}

impl Harness {
    /// From the texts of `metadata.yaml`, `config.yaml` and `actions.yaml`; an empty one is a file
    /// that the charm doesn't have. The unit is number 0 of an application of the charm's name.
    ///
    /// # Errors
    /// When one of them is not what Juju takes.
    pub fn new(metadata: &str, config: &str, actions: &str) -> Result<Self, CharmError> {
        let charm = Charm::parse(metadata, config, actions)?;
        Ok(Self::of(charm, String::new()))
    }

    fn of(charm: Charm, charm_dir: String) -> Self {
        Self {
            unit: format!("{}/0", charm.metadata.name),
            charm,
            charm_dir,
            faults: Vec::new(),
        }
    }

    /// From a charm's directory: its `metadata.yaml`, `config.yaml` and `actions.yaml`, or a
    /// `charmcraft.yaml` that has all in one.
    ///
    /// # Errors
    /// When a file can't be read, or is not what Juju takes.
    pub fn from_dir(dir: impl AsRef<Path>) -> Result<Self, CharmError> {
        let dir = dir.as_ref();
        let read = |name: &str| {
            let file = dir.join(name);
            std::fs::read_to_string(&file).map_err(|source| CharmError::Read {
                file: file.display().to_string(),
                source,
            })
        };
        let has = |name: &str| dir.join(name).exists();
        let optional = |name: &str| {
            if has(name) {
                read(name)
            } else {
                Ok(String::new())
            }
        };
        let charm = if !has("metadata.yaml") && has("charmcraft.yaml") {
            Charm::unified(&read("charmcraft.yaml")?)?
        } else {
            let metadata = read("metadata.yaml")?;
            Charm::parse(
                &metadata,
                &optional("config.yaml")?,
                &optional("actions.yaml")?,
            )?
        };
        Ok(Self::of(charm, dir.display().to_string()))
    }

    /// As another unit, `app/2`.
    #[must_use]
    pub fn as_unit(self, unit: &str) -> Self {
        Self {
            unit: unit.to_owned(),
            ..self
        }
    }

    /// With something that goes wrong.
    #[must_use]
    pub fn with_fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// The unit.
    #[must_use]
    pub fn unit(&self) -> &str {
        &self.unit
    }

    /// Its application.
    #[must_use]
    pub fn application(&self) -> &str {
        self.unit
            .rsplit_once('/')
            .map_or(&self.unit, |(app, _)| app)
    }

    /// Why Juju could never run this event over this state; nothing where it could.
    #[must_use]
    pub fn problems(&self, trigger: &Trigger, state: &State) -> Vec<String> {
        problems(&self.charm, &self.unit, trigger, state)
    }

    /// Runs a charm's code as Juju would. The state given stays as it is.
    ///
    /// # Errors
    /// When Juju could never run this event over this state: all reasons. That a hook fails is no
    /// error here, but [`Outcome::failure`].
    pub fn run<R: Exit>(
        &self,
        trigger: impl Into<Trigger>,
        state: &State,
        charm: impl FnOnce(&HookEnv, &dyn HookTools) -> R,
    ) -> Result<Outcome, Inconsistent> {
        let trigger = trigger.into();
        let problems = self.problems(&trigger, state);
        if !problems.is_empty() {
            return Err(Inconsistent(problems));
        }
        let variables = variables(&self.unit, &self.charm_dir, &trigger.event, state);
        let env = HookEnv::from_lookup(|name| variables.get(name).cloned())
            .map_err(|error| Inconsistent(vec![error.to_string()]))?;
        let tools = Simulator::new(&self.charm, &self.unit, &trigger, state, &self.faults);
        let failure = charm(&env, &tools).failure();
        let is_action = tools.is_action();
        // What was to happen after the last call still happens before Juju takes the changes.
        tools.apply_faults(&mut tools.inner.borrow_mut());
        Ok(self.conclude(tools.inner.into_inner(), failure, is_action))
    }

    /// Juju's part after the process: what was written lands, all or nothing.
    fn conclude(&self, inner: Inner, failure: Option<String>, is_action: bool) -> Outcome {
        let commit_fault = self.faults.iter().find_map(|fault| match fault {
            Fault::CommitRefused { text } => Some(text.clone()),
            _ => None,
        });
        let killed = inner.killed.then(|| "signal: killed".to_owned());
        let no_leader = inner.needs_leadership && !inner.view.leader;
        let refusal = commit_fault
            .or(inner.commit_refusal)
            .or_else(|| no_leader.then(|| "this unit is not the leader".to_owned()))
            .map(|text| format!("cannot apply changes: {text}"));
        let own = killed.or(failure);
        let exited = own.is_none();
        let failure = own.or(refusal);
        let action = is_action.then(|| {
            let mut action = inner.action;
            if !exited {
                action.failure = Some("exit status 1".to_owned());
            } else if failure.is_some() && action.failure.is_none() {
                action.failure = Some("committing requested changes failed".to_owned());
            }
            action
        });
        let lands = failure.is_none();
        Outcome {
            state: if lands { inner.view } else { inner.kept },
            failure,
            logs: inner.logs,
            unit_statuses: inner.unit_statuses,
            app_statuses: inner.app_statuses,
            requested_storages: if lands {
                inner.storages
            } else {
                std::collections::BTreeMap::new()
            },
            action,
            calls: inner.calls,
        }
    }
}
