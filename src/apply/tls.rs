//! Effects of certificates alone.

use cluster_plan::tls::TlsStep;
use tls_interface::request_databag;

use super::{Apply, StepError};
use crate::juju_port::Bag;
use crate::layer;
use crate::observe::tls::ANNOUNCEMENT;
use crate::observe::trust;

/// Carries out one of them; what it changes is in the facts of the rest of the hook.
pub(super) fn apply(apply: &mut Apply<'_>, step: &TlsStep) -> Result<(), StepError> {
    let look = &apply.observation.tls;
    match step {
        TlsStep::StoreAuthority => {
            if let Some(content) = &look.authority {
                apply.juju.store_authority(content)?;
                apply.facts.tls.authority.clone_from(content);
            }
        }
        TlsStep::Keep => {
            if let Some(content) = &look.kept {
                apply.juju.store_unit_secret(content)?;
                apply.facts.tls.kept.clone_from(content);
            }
            if let Some((relation, request)) = &look.request {
                let (key, value) = request_databag(request);
                apply.juju.request_certificate(relation, key, &value);
            }
        }
        TlsStep::Announce => {
            let text = look.announcement.to_bag();
            apply.juju.set_peer(Bag::Unit, ANNOUNCEMENT, &text)?;
            apply.facts.tls.own = Some(look.announcement.clone());
        }
        TlsStep::Trust => {
            trust::apply(&look.trust, apply.ports.workload)?;
            trust::tell(&look.trust, apply.juju)?;
        }
        TlsStep::Withdraw(path) => super::run(apply.ports.workload, &["rm", "-f", path])?,
        TlsStep::SetTimer(at) => {
            let workload = apply.ports.workload;
            workload.add_layer(layer::RENEWAL, &layer::renewal(*at))?;
            // A timer for another time may run.
            workload.restart(layer::RENEWAL)?;
        }
    }
    Ok(())
}
