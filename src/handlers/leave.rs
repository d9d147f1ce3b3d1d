//! What a unit does before it goes: its member ends in an orderly way, so that another leads, and
//! what Patroni made in Kubernetes goes with the application.
//!
//! These hooks may never run: Juju's agent ends without them where it is told to end in the middle of a
//! notice's hook, and `remove-unit --force` skips them. So nothing here is needed for what was acknowledged
//! to stay: the workload's Pebble is told to end with the pod and ends Patroni as these hooks do.

use std::time::Duration;

use cluster_plan::membership::{self, Successor};
use cluster_plan::names::{Names, ServiceKind};
use cluster_plan::options::Config;

use super::{HandlerError, Hook};
use crate::layer::SERVICE;
use crate::observe::juju::JujuFacts;
use crate::observe::{self, cluster};

/// Between two looks at who could take over.
const PAUSE: Duration = Duration::from_millis(250);
/// A new primary looks for its standbys in its next loop, sleeps for two seconds and lists them; one
/// loop more, and some seconds, for a standby that is only just starting.
const PATRONI_LOOPS: i64 = 3;
const ALLOWANCE: i64 = 15;
/// What the unit says meanwhile.
const WAITS: &str = "leaving: waits for a standby that can take over";

/// `pgdata-storage-detaching`: this member's volume goes, so another has to lead.
///
/// # Errors
/// When Juju can't tell what is asked of it.
pub fn storage_detaching(hook: &Hook<'_>) -> Result<(), HandlerError> {
    let facts = observe::juju::facts(hook.juju, None)?;
    end_member(hook, &facts);
    Ok(())
}

/// `stop`: the pod goes, for whatever reason.
///
/// # Errors
/// When Juju can't tell what is asked of it.
pub fn stop(hook: &Hook<'_>) -> Result<(), HandlerError> {
    let facts = observe::juju::facts(hook.juju, None)?;
    adopt(hook);
    // Where the pod goes and the unit stays, the workload's Pebble has been told to end as well, and
    // does the same. Where only the agent ends, nothing is to be stopped.
    if facts.leaving.contains(&facts.me) {
        end_member(hook, &facts);
    }
    Ok(())
}

/// Gives what Patroni has made in Kubernetes the application's owner, so that it goes with it. A `stop`
/// hook may be lost with its pod, so the leader does it now and then.
pub fn adopt(hook: &Hook<'_>) {
    let names = Names::new(hook.juju.application(), hook.juju.model());
    let me = names.member(hook.juju.ordinal());
    let selector = format!("application=patroni,cluster-name={}", names.scope());
    let mut except: Vec<String> = ServiceKind::ALL
        .iter()
        .map(|kind| names.service(*kind))
        .collect();
    except.extend([names.app().to_owned(), names.headless()]);
    match hook
        .ports
        .kubernetes
        .adopt(&me.to_string(), &selector, &except)
    {
        Ok(0) => {}
        Ok(count) => tracing::info!("{count} of Patroni's objects now go with the application"),
        // The leader's next hooks try again, and the next application of this name cleans them.
        Err(error) => tracing::warn!("cannot give Patroni's objects an owner: {}", error.chain()),
    }
}

/// Lets Patroni end, and PostgreSQL with it: as a standby it first has itself taken off the list of
/// those that commits wait for; as the primary it gives up leadership when a synchronous standby has
/// all, which leads within a fraction of a second. Where none can, the unit serves as long as it can.
fn end_member(hook: &Hook<'_>, facts: &JujuFacts) {
    if !may_end(hook, facts) {
        tracing::warn!("no synchronous standby that stays can take over");
        return;
    }
    match hook.ports.workload.stop(SERVICE) {
        Ok(()) => tracing::info!("Patroni ends, before this unit goes"),
        // The pod's end stops it too.
        Err(error) => tracing::warn!("cannot stop Patroni: {}", error.chain()),
    }
}

/// Waits until another member leads or can. No later hook could: when this one and the few after it
/// have ended, Juju takes the pod. Who has just been promoted may have no synchronous standby for
/// some seconds, and if it ended then, nobody could ever lead again.
fn may_end(hook: &Hook<'_>, facts: &JujuFacts) -> bool {
    let config = Config::new(&facts.config).unwrap_or_default();
    let others = facts.peers.union(&facts.units).cloned().collect();
    let begun = hook.ports.clock.now();
    let mut told = false;
    loop {
        let view = cluster::look(facts, hook.ports.members, false);
        // Where no member answers, or there has never been a primary, there is nothing to wait for.
        let successor = view.map_or(Successor::Ready, |view| {
            membership::successor(&view, &facts.me, &others, &facts.leaving)
        });
        match successor {
            Successor::Ready => return true,
            Successor::Unknown if !facts.initialised() => return true,
            Successor::Nobody => return false,
            Successor::Missing | Successor::MayLeaveToo | Successor::Unknown => {}
        }
        if hook.ports.clock.now() - begun >= PATRONI_LOOPS * config.loop_wait() + ALLOWANCE {
            return successor != Successor::Missing;
        }
        if !std::mem::replace(&mut told, true) {
            let said = hook.juju.set_status(false, "waiting", WAITS);
            said.unwrap_or_else(|error| tracing::warn!("{}", crate::error_chain(&error)));
        }
        hook.ports.clock.pause(PAUSE);
    }
}
