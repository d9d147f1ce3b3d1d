//! Clients outside Kubernetes: Services with ports on the nodes, while one asks for them.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use cluster_plan::external::{self as plan, Seen, Way};
use cluster_plan::membership;
use cluster_plan::names::ServiceKind;

use super::Memory;
use crate::juju_port::{Bag, JujuError, JujuPort};
use crate::observe::Observation;
use crate::observe::juju::JujuFacts;
use crate::ports::{PortError, PortResult, Ports, foreign};
use crate::services;

/// Key of the peer relation's application databag: addresses of nodes that certificates are to be
/// for, while clients come from outside.
pub const NODES: &str = "external-nodes";

/// The way in, looked up and made by the first who needs it.
pub(super) struct External<'a> {
    ports: &'a Ports<'a>,
    facts: &'a JujuFacts,
    leader_label: &'static str,
    reads: ServiceKind,
    found: OnceCell<Result<(Seen, Way), String>>,
}

impl<'a> External<'a> {
    pub(super) fn new(
        ports: &'a Ports<'a>,
        facts: &'a JujuFacts,
        observation: &Observation,
    ) -> Self {
        Self {
            ports,
            facts,
            leader_label: observation.leader_label,
            reads: membership::reads(&observation.observed),
            found: OnceCell::new(),
        }
    }

    /// What a client is told, or what it waits for.
    pub(super) fn way(&self) -> Result<&Way, &str> {
        match self.found() {
            Ok((_, way)) => Ok(way),
            Err(why) => Err(why),
        }
    }

    fn found(&self) -> &Result<(Seen, Way), String> {
        self.found.get_or_init(|| {
            let seen = self.made().map_err(|error| error.chain())?;
            let way = plan::way(&seen, self.reads).map_err(|lack| lack.to_string())?;
            Ok((seen, way))
        })
    }

    /// What there is, once all has been made that was missing.
    fn made(&self) -> PortResult<Seen> {
        let names = &self.facts.names;
        let kubernetes = self.ports.kubernetes;
        let most = names.longest_with_external();
        if names.app().len() > most {
            let why = format!("the application's name has more than {most} characters");
            let what = "serve clients from outside Kubernetes".to_owned();
            return Err(PortError::Failed(what, why.into()));
        }
        let mut seen = Seen::default();
        for kind in ServiceKind::ALL {
            self.look(kind, &mut seen)?;
        }
        let stale = plan::stale(&seen);
        if !stale.is_empty() {
            let owners = crate::apply::owners(kubernetes, &self.facts.me)?;
            for kind in stale {
                let name = names.external_service(kind);
                tracing::info!("apply Service {name} (clients come from outside Kubernetes)");
                let service = services::external(names, kind, self.leader_label, owners.clone());
                kubernetes.apply_service(&service, names)?;
                self.look(kind, &mut seen)?;
            }
        }
        let hosts = kubernetes.hosts(names.app())?.into_iter();
        seen.nodes = hosts
            .filter_map(|(pod, host)| Some((names.member_named(&pod)?, host)))
            .collect();
        Ok(seen)
    }

    fn look(&self, kind: ServiceKind, seen: &mut Seen) -> PortResult<()> {
        let names = &self.facts.names;
        let found = self
            .ports
            .kubernetes
            .service(&names.external_service(kind))?;
        if let Some(found) = found
            && services::fits_external(&found, names, kind, self.leader_label)
        {
            seen.services.insert(kind, services::node_port(&found));
        }
        Ok(())
    }

    /// Removes the Services, where they stand.
    fn remove(&self) -> Result<(), PortError> {
        let kubernetes = self.ports.kubernetes;
        let names = &self.facts.names;
        for kind in ServiceKind::ALL {
            let name = names.external_service(kind);
            let Some(found) = kubernetes.service(&name)? else {
                continue;
            };
            // Nobody is told of one that is another's, so there is none to remove.
            if foreign(names, &name, &found.metadata).is_none() {
                tracing::info!("delete Service {name} (no client comes from outside any more)");
                kubernetes.delete_service(&name, names)?;
            }
        }
        Ok(())
    }

    /// Has certificates made for the nodes while a relation asks for the way in, and removes it when
    /// none does: whether there is more to do later. `looked`: all relations have been looked at in
    /// this hook, as by a new leader, so Services may be left that nobody remembers.
    pub(super) fn settle(
        &self,
        juju: &dyn JujuPort,
        (memory, asked, looked): (&Memory, bool, bool),
    ) -> Result<bool, JujuError> {
        let told = self.facts.peer_data.as_ref().map(|data| &data.external);
        let none = BTreeSet::new();
        let told = told.unwrap_or(&none);
        if asked {
            let (seen, _) = match self.found() {
                Ok(found) => found,
                Err(why) => {
                    tracing::warn!("cannot look after the way in from outside: {why}");
                    return Ok(true);
                }
            };
            let wanted = plan::certified(seen, told, self.facts.planned);
            if wanted == *told {
                return Ok(false);
            }
            let text: Vec<String> = wanted.into_iter().collect();
            juju.set_peer(Bag::Application, NODES, &text.join(","))?;
            // Own certificate follows it too, and nobody tells this unit of its own word.
            return Ok(true);
        }
        // Who asks is not known before all relations have been looked at.
        if memory.sweep || told.is_empty() && !looked {
            return Ok(false);
        }
        if let Err(error) = self.remove() {
            tracing::warn!("cannot remove the way in from outside: {}", error.chain());
            return Ok(true);
        }
        if !told.is_empty() {
            juju.set_peer(Bag::Application, NODES, "")?;
        }
        Ok(!told.is_empty())
    }
}
