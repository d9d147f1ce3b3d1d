//! The actions around `juju refresh`: `pre-upgrade-check` before it, `resume-upgrade` after its
//! first unit. What they decide is in [`cluster_plan::refresh`].

use cluster_plan::refresh::{self, Refused};

use super::Hook;
use super::actions::ActionError;
use crate::juju_port::{ActionResult, Bag, ResultValue};
use crate::observe::juju::JujuFacts;
use crate::observe::{self, Observation, Scope};

impl From<Refused> for ActionError {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused.to_string())
    }
}

/// `pre-upgrade-check`: the primary moves to the lowest unit, which goes last, and Kubernetes may
/// replace the highest unit alone.
///
/// # Errors
/// When a refresh would not be safe now; nothing is changed then but, at most, who leads.
pub fn pre_upgrade_check(hook: &Hook<'_>) -> Result<ActionResult, ActionError> {
    let (facts, observation) = look(hook)?;
    let preparation = refresh::prepare(&observation.observed)?;
    let rollout = refresh::rollout(&observation.observed);
    if let Some(pods) = rollout.and_then(refresh::strangers) {
        let units = observation.observed.planned;
        tracing::warn!(
            "{pods}: nothing waits for it here, but Kubernetes does before it goes on to the next pod: \
             see that the StatefulSet has {units} replicas"
        );
    }
    if let Some((from, to)) = &preparation.switchover {
        let host = facts.names.host(from);
        hook.ports
            .members
            .switchover(&host, &from.to_string(), Some(&to.to_string()))
            .map_err(|error| {
                ActionError::Refused(format!(
                    "cannot make {} the primary: {}",
                    to.unit(),
                    error.chain()
                ))
            })?;
    }
    let kubernetes = hook.ports.kubernetes;
    kubernetes
        .guard_partition(facts.names.app(), preparation.partition, false)
        .map_err(|error| {
            let why = error.chain();
            ActionError::Refused(format!("Kubernetes StatefulSet patch failed: {why}"))
        })?;
    Ok(ActionResult::default())
}

/// `resume-upgrade`: the operator agrees to the revision that the first unit runs; the leader lets
/// one unit after the other follow.
///
/// # Errors
/// When nothing waits, or what was refreshed first does not stand.
pub fn resume_upgrade(hook: &Hook<'_>) -> Result<ActionResult, ActionError> {
    let (facts, observation) = look(hook)?;
    let observed = &observation.observed;
    let next = refresh::resume(observed)?;
    if let Some(rollout) = refresh::rollout(observed) {
        // Told to Juju when the action has ended; without it the leader would stop after this one.
        hook.juju
            .set_peer(Bag::Application, "refresh_resumed", &rollout.wanted)?;
    }
    let kubernetes = hook.ports.kubernetes;
    kubernetes
        .set_partition(facts.names.app(), next.ordinal())
        .map_err(|error| {
            let why = error.chain();
            ActionError::Refused(format!("Cannot set rolling update partition: {why}"))
        })?;
    let message = format!("Upgrade will resume on unit {}", next.ordinal());
    Ok(ActionResult(vec![("message", ResultValue::Plain(message))]))
}

fn look(hook: &Hook<'_>) -> Result<(JujuFacts, Observation), ActionError> {
    let facts = observe::juju::facts(hook.juju, None)?;
    let scope = Scope {
        database: true,
        dynamic: true,
        ..Scope::default()
    };
    let observation = observe::observe(&facts, hook.ports, scope)
        .map_err(|error| ActionError::Refused(crate::error_chain(&error)))?;
    Ok((facts, observation))
}
