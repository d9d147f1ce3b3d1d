//! The action `set-tls-private-key`.

use secrecy::SecretString;
use serde::Deserialize;
use tls_interface::{Kept, PrivateKey};

use super::actions::ActionError;
use super::reconcile::{Wish, reconcile};
use super::{HandlerError, Hook};
use crate::juju_port::ActionResult;

/// Parameters of `set-tls-private-key`.
#[derive(Default, Deserialize)]
pub struct SetPrivateKey {
    /// PEM or base64 of it; made up where there is none.
    #[serde(rename = "private-key")]
    pub private_key: Option<SecretString>,
}

/// Sets the key of this unit's certificates to come, and asks for one. The certificate in use goes
/// on with its own key until the new one is there.
///
/// # Errors
/// When the key can't be used; then all is as it was.
pub fn set_private_key(
    hook: &Hook<'_>,
    params: SetPrivateKey,
) -> Result<ActionResult, ActionError> {
    let refused = |error: tls_interface::TlsError| ActionError::Refused(error.to_string());
    let key = match params.private_key {
        Some(text) => PrivateKey::parse(&text).map_err(refused)?,
        None => PrivateKey::generate().map_err(refused)?,
    };
    let content = hook.juju.unit_secret()?;
    let mut kept = Kept::from_content(|key| content.get(key).cloned());
    kept.set_key(&key);
    hook.juju.store_unit_secret(&kept.content())?;
    reconcile(hook, Wish::default()).map_err(|error| match error {
        HandlerError::Juju(error) => ActionError::Juju(error),
        other => ActionError::Refused(crate::error_chain(&other)),
    })?;
    Ok(ActionResult::default())
}
