//! The Kubernetes objects: labels, Services, what Patroni registered, and the pod's size.

use std::collections::BTreeSet;

use cluster_plan::names::{Member, Names, ServiceKind};
use cluster_plan::observed::{Kubernetes as Seen, KubernetesFacts, Observed};
use cluster_plan::options::Machine;
use cluster_plan::ownership::Foreign;
use cluster_plan::refresh::Rollout;
use cluster_plan::synchronous::SyncKey;
use k8s_openapi::api::core::v1::{Pod, Service};

use super::juju::JujuFacts;
use crate::ports::{Kubernetes, PortError, PortResult, REVISION_LABEL, foreign, patroni_labels};
use crate::services;

/// Container whose limits count.
const CONTAINER: &str = "postgresql";

/// Looks at the objects, `down`: before Patroni is started. The pod's size is none where Kubernetes
/// does not tell.
pub fn look(
    juju: &JujuFacts,
    port: &dyn Kubernetes,
    leader_label: &'static str,
    down: bool,
) -> (Seen, Option<Machine>) {
    match facts(juju, port, leader_label, down) {
        Ok((facts, machine)) => (Seen::Answers(Box::new(facts)), machine),
        Err(error @ PortError::Forbidden(..)) => (Seen::Forbidden(error.chain()), None),
        Err(error) => (Seen::Failing(error.chain()), None),
    }
}

/// Who may be promoted, where commits wait for a member that does not stream; to the leader also where
/// nobody leads.
pub fn look_at_sync_key(
    juju: &JujuFacts,
    port: &dyn Kubernetes,
    observed: &Observed,
) -> Option<SyncKey> {
    let database = observed.database.as_ref();
    let awaits = database.is_some_and(|database| !database.awaited.is_empty());
    let view = observed.cluster.as_ref();
    let nobody_leads = view.is_some_and(|view| view.primary().is_none());
    if !(awaits || nobody_leads && juju.leader && juju.initialised()) {
        return None;
    }
    match port.sync_key(&juju.names.sync()) {
        Ok(key) => key,
        Err(error) => {
            tracing::warn!("cannot read who may be promoted: {}", error.chain());
            None
        }
    }
}

fn facts(
    juju: &JujuFacts,
    port: &dyn Kubernetes,
    leader_label: &'static str,
    down: bool,
) -> PortResult<(KubernetesFacts, Option<Machine>)> {
    let mut facts = KubernetesFacts::default();
    let names = &juju.names;
    let pod = port.pod(&juju.me.to_string())?.unwrap_or_default();
    facts.address = pod.status.as_ref().and_then(|status| status.pod_ip.clone());
    let scope = names.scope();
    let labels = pod.metadata.labels.clone().unwrap_or_default();
    facts.labels_missing = patroni_labels(&scope)
        .iter()
        .any(|(key, value)| labels.get(*key).map(String::as_str) != Some(value));
    facts.revision = labels.get(REVISION_LABEL).cloned();
    let headless = port.service(&names.headless())?;
    facts.headless = headless.is_some();
    facts.foreign.extend(foreign_service(names, headless));
    if juju.leader {
        facts.rollout = rollout(juju, port)?;
        for kind in ServiceKind::ALL {
            let current = port.service(&names.service(kind))?;
            let stands = |service: &Service| fits(service, juju, kind, leader_label);
            let stands = current.as_ref().is_some_and(stands);
            if let Some(foreign) = foreign_service(names, current) {
                facts.foreign.insert(foreign);
            } else if !stands {
                facts.stale_services.insert(kind);
            }
        }
    }
    if down || !juju.initialised() {
        // Kubernetes keeps Endpoints of a Service's name as that Service wants them.
        for name in names.registrations() {
            let found = foreign_service(names, port.service(&name)?);
            facts.foreign.extend(found.map(|found| Foreign {
                registration: true,
                ..found
            }));
        }
    }
    // Whose volume this is matters before anything is started on it.
    if (down || !juju.initialised())
        && let Some(registered) = port.endpoints(&names.config())?
    {
        let ours = port.stateful_set_created(names.app())?;
        // Both are the API server's own stamps in UTC, so their text sorts as their time does.
        facts.registered_before_us = ours.is_some_and(|ours| registered.created < ours);
        facts.registered = registered.initialize.filter(|id| !id.is_empty());
    }
    let machine = machine(&pod, port)?;
    Ok((facts, machine))
}

fn foreign_service(names: &Names, service: Option<Service>) -> Option<Foreign> {
    let service = service?;
    let name = service.metadata.name.clone()?;
    let found = foreign(names, &format!("Service {name}"), &service.metadata)?;
    let mut managers = service.metadata.managed_fields.iter().flatten();
    let ours = managers.any(|one| {
        one.manager.as_deref() == Some(names.app()) && one.operation.as_deref() == Some("Apply")
    });
    Some(Foreign {
        held: ours.then_some(name),
        ..found
    })
}

fn rollout(juju: &JujuFacts, port: &dyn Kubernetes) -> PortResult<Option<Rollout>> {
    let names = &juju.names;
    let ours = [&juju.units, &juju.peers, &juju.leaving];
    let ours: BTreeSet<&Member> = ours.into_iter().flatten().chain([&juju.me]).collect();
    Ok(port.rolling_update(names.app())?.map(|seen| {
        let mut rollout = Rollout {
            partition: seen.partition,
            guarded: seen.guarded,
            wanted: seen.wanted,
            ..Rollout::default()
        };
        for (pod, revision) in seen.pods {
            let Some(member) = names.member_named(&pod) else {
                continue;
            };
            if juju.counted && !ours.contains(&member) {
                rollout.strangers.insert(member);
            } else {
                rollout.pods.insert(member, revision);
            }
        }
        rollout
    }))
}

fn fits(
    service: &Service,
    juju: &JujuFacts,
    kind: ServiceKind,
    leader_label: &'static str,
) -> bool {
    let wanted = services::service(&juju.names, kind, leader_label, None);
    services::leads_alike(service, &wanted)
}

fn machine(pod: &Pod, port: &dyn Kubernetes) -> PortResult<Option<Machine>> {
    let Some(spec) = &pod.spec else {
        return Ok(None);
    };
    let Some(node) = &spec.node_name else {
        return Ok(None);
    };
    let Some(size) = port.node(node)? else {
        return Ok(None);
    };
    let limits = spec
        .containers
        .iter()
        .find(|container| container.name == CONTAINER)
        .and_then(|container| container.resources.as_ref())
        .and_then(|resources| resources.limits.as_ref());
    let limit = |name: &str| {
        limits
            .and_then(|l| l.get(name))
            .map(|quantity| quantity.0.as_str())
    };
    Ok(Some(Machine::from_quantities(
        (&size.cpu, &size.memory),
        (limit("cpu"), limit("memory")),
    )))
}
