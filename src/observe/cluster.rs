//! Patroni's view of the cluster.

use cluster_plan::names::Names;
use cluster_plan::observed::{Cluster, ClusterMember, Role};

use super::juju::JujuFacts;
use crate::ports::Members;

/// Asks the own member, then the others; none where nobody answers.
pub fn look(juju: &JujuFacts, port: &dyn Members, with_dynamic: bool) -> Option<Cluster> {
    let hosts = super::member_hosts(juju);
    let view = match port.cluster(&hosts) {
        Ok(view) => view,
        Err(error) => {
            tracing::debug!("no member answers: {}", error.chain());
            return None;
        }
    };
    let members: Vec<_> = view
        .members
        .iter()
        .map(|m| member(&juju.names, m))
        .collect();
    let of_quorum = |m: &patroni::Member| m.role == patroni::Role::QuorumStandby;
    let quorum = view.members.iter().any(of_quorum);
    let leader = members
        .iter()
        .find(|m| m.role == Role::Leader)
        .and_then(|m| m.member.clone());
    let mut found = Cluster {
        members,
        dynamic: None,
        quorum,
        paused: view.pause,
        server_version: None,
        silent: false,
    };
    found.dynamic = match leader {
        Some(leader) if with_dynamic => port
            .dynamic_config(&juju.names.host(&leader))
            .inspect_err(|error| tracing::warn!("{}", error.chain()))
            .ok(),
        None if with_dynamic && found.lies() => {
            let mut hosts = hosts.iter();
            hosts.find_map(|host| port.dynamic_config(host).ok())
        }
        _ => None,
    };
    Some(found)
}

fn member(names: &Names, seen: &patroni::Member) -> ClusterMember {
    let role = match seen.role {
        patroni::Role::Leader => Role::Leader,
        patroni::Role::StandbyLeader => Role::StandbyLeader,
        patroni::Role::SyncStandby | patroni::Role::QuorumStandby => Role::SyncStandby,
        _ => Role::Replica,
    };
    ClusterMember {
        member: names.member_named(&seen.name),
        name: seen.name.clone(),
        role,
        state: seen.state.to_string(),
        timeline: seen.timeline,
        pending_restart: seen.pending_restart,
    }
}
