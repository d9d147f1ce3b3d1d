//! What the charm does in each group of hooks and actions.

pub mod actions;
pub mod glance;
pub mod leave;
pub mod reconcile;
pub mod refresh;
pub mod tls;

use juju::Event;

use self::reconcile::{Wish, reconcile};
use crate::clients::{self, Occasion};
use crate::dispatch::{self, Handler};
use crate::juju_port::JujuPort;
use crate::observe::juju::Tellers;
use crate::observe::{LookAtVolume, Scope};
use crate::ports::Ports;

/// What a handler works with.
pub struct Hook<'a> {
    /// Juju.
    pub juju: &'a dyn JujuPort,
    /// Everything else.
    pub ports: &'a Ports<'a>,
}

/// Why a hook fails; Juju then runs it again. Outages are not errors: they end in a status.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// Juju refused something.
    #[error("cannot go on without Juju")]
    Juju(#[from] crate::juju_port::JujuError),
    /// A plan could not be carried out.
    #[error("cannot carry out the plan")]
    Apply(#[from] crate::apply::ApplyError),
    /// A template has a defect.
    #[error("cannot work out the configuration")]
    Render(#[from] crate::render::RenderError),
}

/// Runs what the dispatch table says for a hook; actions answer with a result and are run apart.
///
/// # Errors
/// When Juju refuses something; all else ends in a status.
pub fn handle(event: &Event, hook: &Hook<'_>) -> Result<(), HandlerError> {
    if let Event::SecretChanged(secret) = event {
        // What a former leader has read of a client's secret would stay in use for as long as it does
        // not go on, and nobody would be told that the client has.
        hook.juju.user_secret(&secret.id)?;
    }
    match dispatch::handler(event) {
        Handler::Nothing | Handler::Action(_) => Ok(()),
        Handler::ForgetRevision => {
            if let Event::SecretRemove(secret) = event
                && let Some(revision) = secret.revision
            {
                hook.juju.forget_revision(&secret.id, revision)?;
                // Nobody has the old credentials any more.
                if clients::rotate::revision_gone(hook.juju, &secret.label, revision)? {
                    return reconcile(hook, Wish::default());
                }
            }
            Ok(())
        }
        Handler::StorageDetaching => leave::storage_detaching(hook),
        Handler::Stop => leave::stop(hook),
        Handler::Reconcile {
            workload_version,
            database,
            dynamic,
            open_ports,
        } => {
            if dispatch::concerns_leader_alone(event) && !hook.juju.is_leader()? {
                return Ok(());
            }
            if glance::passes_by(hook, event)? {
                return Ok(());
            }
            let leaving = match event {
                Event::RelationDeparted(event) => event.departing_unit.as_deref(),
                _ => None,
            };
            let scope = Scope {
                workload_version,
                database,
                dynamic,
                volume: volume(event),
            };
            let wish = Wish {
                scope,
                leaving,
                open_ports,
                volumes: volumes(event),
                clients: occasion(event),
            };
            reconcile(hook, wish)?;
            if matches!(event, Event::LeaderElected | Event::UpdateStatus)
                && hook.juju.is_leader()?
            {
                leave::adopt(hook);
            }
            Ok(())
        }
    }
}

/// Whether the own volume may be fuller, or less full, than was told.
fn volume(event: &Event) -> LookAtVolume {
    match event {
        Event::PebbleCheckFailed(_)
        | Event::PebbleCheckRecovered(_)
        | Event::PebbleReady(_)
        | Event::UpdateStatus
        | Event::ConfigChanged
        | Event::LeaderElected => LookAtVolume::Now,
        _ => LookAtVolume::WhileItFills,
    }
}

/// Which other units may tell something new of their volumes: one that Juju names, and all to a
/// unit that comes to lead.
fn volumes(event: &Event) -> Tellers<'_> {
    match event {
        Event::LeaderElected => Tellers::All,
        Event::RelationChanged(relation) if relation.endpoint == "database-peers" => {
            let unit = relation.remote_unit.as_deref();
            unit.map_or(Tellers::All, Tellers::Unit)
        }
        _ => Tellers::None,
    }
}

/// What a hook means for clients.
fn occasion(event: &Event) -> Occasion<'_> {
    let relation = match event {
        Event::RelationCreated(event)
        | Event::RelationChanged(event)
        | Event::RelationDeparted(event)
        | Event::RelationBroken(event) => Some(event.relation_id.as_str()),
        _ => None,
    };
    Occasion {
        relation,
        broken: matches!(event, Event::RelationBroken(_)),
        // Who led before may have served others, and a new workload may have another version.
        sweep: matches!(
            event,
            Event::LeaderElected | Event::UpgradeCharm | Event::PebbleReady(_)
        ),
        turn: None,
    }
}
