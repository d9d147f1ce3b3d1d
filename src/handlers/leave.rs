//! What a unit does before it goes: it hands over leadership of the cluster, and sees to it that
//! what Patroni made in Kubernetes goes with the application.

use cluster_plan::names::ServiceKind;
use cluster_plan::observed::Role;

use super::{HandlerError, Hook};
use crate::observe::juju::JujuFacts;
use crate::observe::{self, cluster};

/// `pgdata-storage-detaching`: this member's volume goes, so another has to lead.
///
/// # Errors
/// When Juju can't tell what is asked of it.
pub fn storage_detaching(hook: &Hook<'_>) -> Result<(), HandlerError> {
    let facts = observe::juju::facts(hook.juju, None)?;
    hand_over(hook, &facts);
    Ok(())
}

/// `stop`: the pod goes, for whatever reason.
///
/// # Errors
/// When Juju can't tell what is asked of it.
pub fn stop(hook: &Hook<'_>) -> Result<(), HandlerError> {
    let facts = observe::juju::facts(hook.juju, None)?;
    hand_over(hook, &facts);
    let names = &facts.names;
    let selector = format!("application=patroni,cluster-name={}", names.scope());
    let mut except: Vec<String> = ServiceKind::ALL
        .iter()
        .map(|kind| names.service(*kind))
        .collect();
    except.extend([names.app().to_owned(), format!("{}-endpoints", names.app())]);
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
    Ok(())
}

/// Moves leadership away from this member if it leads and a synchronous standby can take over.
/// Where that fails, Patroni's own failover follows once the member is gone.
fn hand_over(hook: &Hook<'_>, facts: &JujuFacts) {
    let Some(view) = cluster::look(facts, hook.ports.members, false) else {
        return;
    };
    let leads = view.primary().and_then(|m| m.member.as_ref()) == Some(&facts.me);
    let stays = |member: &&cluster_plan::observed::ClusterMember| {
        member.started()
            && member.role == Role::SyncStandby
            && member
                .member
                .as_ref()
                .is_some_and(|m| !facts.leaving.contains(m))
    };
    if !leads {
        return;
    }
    let Some(candidate) = view.members.iter().find(stays) else {
        tracing::info!("no synchronous standby can take over");
        return;
    };
    let host = facts.names.host(&facts.me);
    match hook
        .ports
        .members
        .switchover(&host, &facts.me.to_string(), Some(&candidate.name))
    {
        Ok(()) => tracing::info!("{} leads now, before this member goes", candidate.name),
        Err(error) => tracing::warn!("cannot hand over to {}: {}", candidate.name, error.chain()),
    }
}
