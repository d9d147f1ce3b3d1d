//! Juju's port for certificates: the relation, and the secrets that keep keys.

use std::collections::BTreeMap;

use secrecy::SecretString;

use super::JujuError;

/// Keys and values of a secret.
pub type SecretMap = BTreeMap<String, SecretString>;

/// The relation `certificates`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CertificatesRelation {
    /// Its id.
    pub id: String,
    /// This hook is its last.
    pub ends: bool,
    /// The provider's databag.
    pub provider: BTreeMap<String, String>,
}

/// Certificates, through the hook tools.
pub trait Certificates {
    /// The relation; none where there is none.
    ///
    /// # Errors
    /// When Juju can't tell.
    fn certificates(&self) -> Result<Option<CertificatesRelation>, JujuError>;
    /// Writes a key of this unit's databag of the relation.
    fn request_certificate(&self, relation: &str, key: &str, value: &str);
    /// The unit's own secret; empty where there is none yet.
    ///
    /// # Errors
    /// When Juju can't tell.
    fn unit_secret(&self) -> Result<SecretMap, JujuError>;
    /// Makes the unit's own secret, or changes it; nobody else can read it.
    ///
    /// # Errors
    /// When Juju refuses.
    fn store_unit_secret(&self, content: &SecretMap) -> Result<(), JujuError>;
    /// Removes a revision of an own secret.
    ///
    /// # Errors
    /// When Juju refuses.
    fn forget_revision(&self, id: &str, revision: u64) -> Result<(), JujuError>;
    /// What the application's secret holds of the members' own authority; empty where nothing.
    ///
    /// # Errors
    /// When Juju can't tell.
    fn authority(&self) -> Result<SecretMap, JujuError>;
    /// Puts it there, in place of what was there of it.
    ///
    /// # Errors
    /// When Juju refuses.
    fn store_authority(&self, content: &SecretMap) -> Result<(), JujuError>;
}
