//! What the charm does in each group of hooks and actions.

pub mod actions;
pub mod leave;
pub mod reconcile;

use crate::juju_port::JujuPort;
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
