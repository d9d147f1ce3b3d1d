//! Juju's port for relations with other applications: their databags, secrets shared with them, and
//! what this unit remembers of them.

use std::collections::BTreeMap;

use secrecy::SecretString;

use super::JujuError;

/// Content of a secret.
pub type Content = BTreeMap<String, SecretString>;

/// Relations, through the hook tools.
pub trait Relations {
    /// Ids of an endpoint's relations, `database:5`.
    ///
    /// # Errors
    /// When Juju can't tell.
    fn relation_ids(&self, endpoint: &str) -> Result<Vec<String>, JujuError>;
    /// Whether this hook is the relation's last.
    fn is_ending(&self, relation: &str) -> bool;
    /// The application at the other end.
    ///
    /// # Errors
    /// When Juju can't tell.
    fn remote_app(&self, relation: &str) -> Result<String, JujuError>;
    /// The units at the other end.
    ///
    /// # Errors
    /// When Juju can't tell.
    fn remote_units(&self, relation: &str) -> Result<Vec<String>, JujuError>;
    /// A databag: of an application or a unit at either end.
    ///
    /// # Errors
    /// When Juju can't tell.
    fn relation_bag(
        &self,
        relation: &str,
        entity: &str,
    ) -> Result<BTreeMap<String, String>, JujuError>;
    /// Writes a key of the own application's databag, or of this unit's; an empty value deletes it.
    ///
    /// # Errors
    /// When Juju refuses.
    fn set_relation(
        &self,
        relation: &str,
        entity: &str,
        key: &str,
        value: &str,
    ) -> Result<(), JujuError>;
    /// Content of an own secret; none where there is none of that label.
    ///
    /// # Errors
    /// When Juju can't tell.
    fn shared_secret(&self, label: &str) -> Result<Option<Content>, JujuError>;
    /// Latest revision of an own secret; none where there is none of that label.
    ///
    /// # Errors
    /// When Juju can't tell.
    fn secret_revision(&self, label: &str) -> Result<Option<u64>, JujuError>;
    /// Makes a secret of the application, or changes it, and lets the other end of a relation read
    /// it: its id as it goes into a databag.
    ///
    /// # Errors
    /// When Juju refuses.
    fn share_secret(
        &self,
        label: &str,
        relation: &str,
        content: &Content,
    ) -> Result<String, JujuError>;
    /// Removes an own secret, if there is one of that label.
    ///
    /// # Errors
    /// When Juju refuses.
    fn forget_secret(&self, label: &str) -> Result<(), JujuError>;
    /// What this unit has remembered under a key.
    ///
    /// # Errors
    /// When Juju can't tell.
    fn memory(&self, key: &str) -> Result<Option<String>, JujuError>;
    /// Remembers a text under a key, if this hook ends well.
    ///
    /// # Errors
    /// When Juju refuses.
    fn remember(&self, key: &str, text: &str) -> Result<(), JujuError>;
}
