//! What a unit does before it goes: its member ends in an orderly way, so that another leads, and
//! what Patroni made in Kubernetes goes with the application.

use cluster_plan::names::{Member, ServiceKind};
use cluster_plan::observed::{ClusterMember, Role};

use super::{HandlerError, Hook};
use crate::layer::SERVICE;
use crate::observe::juju::JujuFacts;
use crate::observe::{self, cluster};

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
    let names = &facts.names;
    let selector = format!("application=patroni,cluster-name={}", names.scope());
    let mut except: Vec<String> = ServiceKind::ALL
        .iter()
        .map(|kind| names.service(*kind))
        .collect();
    except.extend([names.app().to_owned(), names.headless()]);
    match hook
        .ports
        .kubernetes
        .adopt(&facts.me.to_string(), &selector, &except)
    {
        Ok(0) => {}
        Ok(count) => tracing::info!("{count} of Patroni's objects now go with the application"),
        // Another unit's stop, or the next application of this name, cleans them.
        Err(error) => tracing::warn!("cannot give Patroni's objects an owner: {}", error.chain()),
    }
    // Where the pod goes and the unit stays, the workload's Pebble has been told to end as well, and
    // does the same. Where only the agent ends, nothing is to be stopped.
    if facts.leaving.contains(&facts.me) {
        end_member(hook, &facts);
    }
    Ok(())
}

/// Lets Patroni end, and PostgreSQL with it: as a standby it first has itself taken off the list of
/// those that commits wait for; as the primary it gives up leadership when a synchronous standby has
/// all, which leads within a fraction of a second. Where none can, the unit serves as long as it can.
fn end_member(hook: &Hook<'_>, facts: &JujuFacts) {
    if let Some(view) = cluster::look(facts, hook.ports.members, false) {
        let leads = view.primary().and_then(|m| m.member.as_ref()) == Some(&facts.me);
        let takes_over = |member: &ClusterMember| {
            let stays = |m: &Member| *m != facts.me && !facts.leaving.contains(m);
            member.started()
                && member.role == Role::SyncStandby
                && member.member.as_ref().is_some_and(stays)
        };
        if leads && !view.members.iter().any(takes_over) {
            tracing::info!("no synchronous standby can take over");
            return;
        }
    }
    match hook.ports.workload.stop(SERVICE) {
        Ok(()) => tracing::info!("Patroni ends, before this unit goes"),
        // The pod's end stops it too.
        Err(error) => tracing::warn!("cannot stop Patroni: {}", error.chain()),
    }
}
