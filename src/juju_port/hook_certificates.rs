//! Certificates through the hook tools.

use std::collections::BTreeMap;

use juju::{Event, Read, SecretContent, SecretKey, SecretSpec};
use tls_interface::Authorities;

use super::certificates::{Certificates, CertificatesRelation, SecretMap};
use super::hook::{HookJuju, unless_gone};
use super::{JujuError, JujuPort};

/// The endpoint.
const ENDPOINT: &str = "certificates";

impl HookJuju<'_> {
    /// Label of the unit's own secret, the peer charm's.
    fn unit_label(&self) -> String {
        format!("database-peers.{}.unit", self.application())
    }

    fn own_unit(&self) -> String {
        format!("{}/{}", self.application(), self.ordinal())
    }
}

fn map(content: &SecretContent) -> SecretMap {
    content
        .iter()
        .map(|(key, value)| (key.to_owned(), value.clone()))
        .collect()
}

impl Certificates for HookJuju<'_> {
    fn certificates(&self) -> Result<Option<CertificatesRelation>, JujuError> {
        if let Event::RelationBroken(event) = self.event()
            && event.endpoint == ENDPOINT
        {
            return Ok(Some(CertificatesRelation {
                id: event.relation_id.clone(),
                ends: true,
                ..CertificatesRelation::default()
            }));
        }
        let context = self.context();
        let Some(id) = context.relation_ids(ENDPOINT)?.into_iter().next() else {
            return Ok(None);
        };
        let provider = match unless_gone(context.relation_app(&id))? {
            app if app.is_empty() => BTreeMap::default(),
            app => unless_gone(context.relation_get(&id, &app))?,
        };
        Ok(Some(CertificatesRelation {
            id,
            provider,
            ends: false,
        }))
    }

    fn request_certificate(&self, relation: &str, key: &str, value: &str) {
        let unit = self.own_unit();
        self.context().relation_set(relation, &unit, key, value);
    }

    fn unit_secret(&self) -> Result<SecretMap, JujuError> {
        let label = self.unit_label();
        let found = self.secret(SecretKey::Label(&label), Read::Peek)?;
        Ok(found.as_ref().map(map).unwrap_or_default())
    }

    fn store_unit_secret(&self, content: &SecretMap) -> Result<(), JujuError> {
        self.writes_secret();
        let label = self.unit_label();
        let content = content.iter().map(|(k, v)| (k.clone(), v.clone()));
        let content: SecretContent = content.collect();
        if let Some(info) = self.context().secret_info(&label)? {
            self.context().secret_set(&info.id, &content)?;
        } else {
            let spec = SecretSpec {
                owner: "unit".into(),
                label,
                ..SecretSpec::default()
            };
            self.context().secret_add(&content, &spec)?;
        }
        Ok(())
    }

    fn forget_revision(&self, id: &str, revision: u64) -> Result<(), JujuError> {
        unless_gone(self.context().secret_remove(id, Some(revision)))
    }

    fn authority(&self) -> Result<SecretMap, JujuError> {
        let found = self.content()?.as_ref().map(map).unwrap_or_default();
        let own = found.into_iter().filter(|(key, _)| Authorities::owns(key));
        Ok(own.collect())
    }

    fn store_authority(&self, content: &SecretMap) -> Result<(), JujuError> {
        self.writes_secret();
        let now = self.content()?.as_ref().map(map).unwrap_or_default();
        let others = now.into_iter().filter(|(key, _)| !Authorities::owns(key));
        let ours = content.iter().map(|(k, v)| (k.clone(), v.clone()));
        self.store_content(&others.chain(ours).collect())
    }
}
