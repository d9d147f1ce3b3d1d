//! The way in from outside Kubernetes: ports of the nodes, kept while a client asks for them.

use std::collections::{BTreeMap, BTreeSet};

use crate::names::{Member, ServiceKind};

/// What there is of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Services that are as they should be, with the port that each has on every node, if any yet.
    pub services: BTreeMap<ServiceKind, Option<u16>>,
    /// Address of the node on which each member's pod is.
    pub nodes: BTreeMap<Member, String>,
}

/// What a client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// `address:port[,...]` where writes are taken.
    pub endpoints: String,
    /// The same for reads.
    pub read_only_endpoints: String,
}

/// Why no client can be told one yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lack {
    /// A Service has no port.
    #[error("the {0} Service has no port on the nodes yet")]
    Port(ServiceKind),
    /// No pod has a node.
    #[error("Kubernetes tells of no node with a pod of this application yet")]
    Node,
}

/// Services that are missing or differ.
#[must_use]
pub fn stale(seen: &Seen) -> Vec<ServiceKind> {
    let stands = |kind: &ServiceKind| seen.services.contains_key(kind);
    ServiceKind::ALL
        .into_iter()
        .filter(|kind| !stands(kind))
        .collect()
}

/// The way in, with reads led there.
///
/// # Errors
/// While something that it takes is missing.
pub fn way(seen: &Seen, reads: ServiceKind) -> Result<Way, Lack> {
    let nodes: BTreeSet<&String> = seen.nodes.values().collect();
    if nodes.is_empty() {
        return Err(Lack::Node);
    }
    let endpoints = |kind| {
        let port = seen.services.get(&kind).copied().flatten();
        let port = port.ok_or(Lack::Port(kind))?;
        let all: Vec<String> = nodes.iter().map(|node| endpoint(node, port)).collect();
        Ok(all.join(","))
    };
    Ok(Way {
        endpoints: endpoints(ServiceKind::Primary)?,
        read_only_endpoints: endpoints(reads)?,
    })
}

fn endpoint(node: &str, port: u16) -> String {
    if node.contains(':') {
        format!("[{node}]:{port}")
    } else {
        format!("{node}:{port}")
    }
}

/// The addresses that certificates are to be for. While a pod is on its way to a node, the one that
/// it had stays: members do not ask for new certificates for each pod that restarts.
#[must_use]
pub fn certified(seen: &Seen, before: &BTreeSet<String>, planned: u32) -> BTreeSet<String> {
    let mut addresses: BTreeSet<String> = seen.nodes.values().cloned().collect();
    if u32::try_from(seen.nodes.len()).is_ok_and(|there| there < planned) {
        addresses.extend(before.iter().cloned());
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Names;

    fn seen(ports: &[(ServiceKind, Option<u16>)], nodes: &[&str]) -> Seen {
        let names = Names::new("db", "m");
        let nodes = (0..).zip(nodes);
        Seen {
            services: ports.iter().copied().collect(),
            nodes: nodes
                .map(|(n, node)| (names.member(n), (*node).to_owned()))
                .collect(),
        }
    }

    fn both(nodes: &[&str]) -> Seen {
        let ports = [
            (ServiceKind::Primary, Some(30_001)),
            (ServiceKind::Replicas, Some(30_002)),
        ];
        seen(&ports, nodes)
    }

    #[test]
    fn each_node_is_told_once_and_in_order() {
        let found = way(
            &both(&["10.0.0.9", "10.0.0.10", "10.0.0.9"]),
            ServiceKind::Replicas,
        )
        .unwrap();
        assert_eq!(found.endpoints, "10.0.0.10:30001,10.0.0.9:30001");
        assert_eq!(found.read_only_endpoints, "10.0.0.10:30002,10.0.0.9:30002");
        let found = way(&both(&["fd00::7"]), ServiceKind::Replicas).unwrap();
        assert_eq!(found.endpoints, "[fd00::7]:30001");
    }

    #[test]
    fn a_lone_member_is_read_through_the_primarys_port() {
        let found = way(&both(&["10.0.0.9"]), ServiceKind::Primary).unwrap();
        assert_eq!(found.read_only_endpoints, found.endpoints);
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(way(&both(&[]), ServiceKind::Replicas), Err(Lack::Node));
        let ports = [
            (ServiceKind::Primary, Some(1)),
            (ServiceKind::Replicas, None),
        ];
        let without = seen(&ports, &["10.0.0.9"]);
        assert_eq!(stale(&without), []);
        assert_eq!(
            way(&without, ServiceKind::Replicas),
            Err(Lack::Port(ServiceKind::Replicas))
        );
        let without = seen(&ports[..1], &["10.0.0.9"]);
        assert_eq!(stale(&without), [ServiceKind::Replicas]);
    }

    #[test]
    fn an_address_stays_certified_while_a_pod_is_missing_and_no_longer() {
        let before: BTreeSet<String> = ["a".to_owned(), "b".to_owned()].into();
        let one = both(&["a"]);
        assert_eq!(certified(&one, &before, 2), before);
        assert_eq!(certified(&one, &before, 1), ["a".to_owned()].into());
        let moved = both(&["a", "c"]);
        assert_eq!(
            certified(&moved, &before, 2),
            ["a".to_owned(), "c".to_owned()].into()
        );
    }
}
