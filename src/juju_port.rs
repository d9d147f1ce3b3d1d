//! Juju's port: what this charm asks of the hook tools and writes through them.

mod certificates;
mod hook;
mod hook_certificates;
mod hook_relations;
mod kept;
mod relations;

use std::collections::{BTreeMap, BTreeSet};

use cluster_plan::observed::SystemUser;
use secrecy::SecretString;
use serde_json::Value;

use crate::secrets::Passwords;

pub use certificates::{Certificates, CertificatesRelation, SecretMap};
pub use hook::HookJuju;
pub use relations::{Content, Relations};

/// A hook tool failed, or gave an answer that makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct JujuError(
    pub String,
    #[source] pub Option<Box<dyn std::error::Error + Send + Sync>>,
);

/// A bag of the peer relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bag {
    /// The application's.
    Application,
    /// This unit's.
    Unit,
    /// Another unit's.
    Other(String),
}

/// What `goal-state` tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Goal {
    /// Units wanted.
    pub units: BTreeSet<String>,
    /// Units on their way out.
    pub dying: BTreeSet<String>,
    /// Endpoints with a relation.
    pub endpoints: BTreeSet<String>,
}

/// Juju, through its hook tools.
pub trait JujuPort: Relations + Certificates {
    /// The application's name.
    fn application(&self) -> &str;
    /// The model's name.
    fn model(&self) -> &str;
    /// Number of this unit.
    fn ordinal(&self) -> u32;
    /// Leadership.
    ///
    /// # Errors
    /// When Juju can't tell.
    fn is_leader(&self) -> Result<bool, JujuError>;
    /// Units and relations; none while Juju has removed a unit whose relations have not ended yet, as it
    /// then finds that one nowhere and tells of nobody.
    ///
    /// # Errors
    /// When Juju can't tell for another reason.
    fn goal(&self) -> Result<Option<Goal>, JujuError>;
    /// The other units of the application that have joined the peer relation.
    ///
    /// # Errors
    /// When Juju can't tell.
    fn peers(&self) -> Result<Vec<String>, JujuError>;
    /// A bag of the peer relation; none before there is one.
    ///
    /// # Errors
    /// When Juju can't tell.
    fn peer_bag(&self, bag: &Bag) -> Result<Option<BTreeMap<String, String>>, JujuError>;
    /// Writes a key of an own bag, or of the application's; an empty value deletes it.
    ///
    /// # Errors
    /// When Juju refuses.
    fn set_peer(&self, bag: Bag, key: &str, value: &str) -> Result<(), JujuError>;
    /// Options with a value.
    ///
    /// # Errors
    /// When Juju can't tell.
    fn config(&self) -> Result<BTreeMap<String, Value>, JujuError>;
    /// Forgets what earlier hooks have kept of secrets, so that they are read anew: whether any of that
    /// has gone into what this hook knows.
    fn forget_secrets(&self) -> bool;
    /// The newest revision of the application's secret, or what was kept of it; none where it does not
    /// exist or may not be read yet.
    ///
    /// # Errors
    /// When Juju can't tell.
    fn passwords(&self) -> Result<Option<Passwords>, JujuError>;
    /// The newest revision of a secret of the operator's; none where it is not there or not
    /// granted.
    ///
    /// # Errors
    /// When Juju can't tell.
    fn user_secret(&self, id: &str) -> Result<Option<Content>, JujuError>;
    /// Creates the application's secret, or changes the passwords in it.
    ///
    /// # Errors
    /// When Juju refuses.
    fn store_passwords(&self, passwords: &Passwords) -> Result<(), JujuError>;
    /// Version of the workload.
    ///
    /// # Errors
    /// When Juju refuses.
    fn set_workload_version(&self, version: &str) -> Result<(), JujuError>;
    /// Status of the unit: word and message.
    ///
    /// # Errors
    /// When Juju can't tell.
    fn status(&self) -> Result<(String, String), JujuError>;
    /// Status of the unit, or of the application; written only if it differs.
    ///
    /// # Errors
    /// When Juju refuses.
    fn set_status(&self, application: bool, word: &str, message: &str) -> Result<(), JujuError>;
    /// Opens the unit's ports.
    ///
    /// # Errors
    /// When Juju refuses.
    fn open_ports(&self, ports: &[u16]) -> Result<(), JujuError>;
}

/// The result of an action.
#[derive(Debug, Default)]
pub struct ActionResult(pub Vec<(&'static str, ResultValue)>);

/// A value in an action's result.
#[derive(Debug, Clone)]
pub enum ResultValue {
    /// Anybody may read it.
    Plain(String),
    /// The operator asked for it: a password.
    Secret(SecretString),
}

/// Users by name, for messages.
#[must_use]
pub fn user_names(users: &[SystemUser]) -> String {
    users
        .iter()
        .map(|user| user.name())
        .collect::<Vec<_>>()
        .join(", ")
}
