//! Relations through the hook tools.

use std::collections::BTreeMap;

use juju::{Read, SecretContent, SecretKey, SecretSpec};

use super::hook::{HookJuju, unless_gone};
use super::relations::{Content, Relations};
use super::{JujuError, JujuPort};

impl HookJuju<'_> {
    /// The id as any model can read it: a bare one would be looked for in the reader's model.
    fn shown_id(&self, id: &str) -> String {
        let bare = id.strip_prefix("secret:").unwrap_or(id);
        let bare = bare.rsplit_once('/').map_or(bare, |(_, bare)| bare);
        format!("secret://{}/{bare}", self.model_uuid())
    }
}

impl Relations for HookJuju<'_> {
    fn relation_ids(&self, endpoint: &str) -> Result<Vec<String>, JujuError> {
        Ok(self.context().relation_ids(endpoint)?)
    }

    fn is_ending(&self, relation: &str) -> bool {
        matches!(self.event(), juju::Event::RelationBroken(event) if event.relation_id == relation)
    }

    fn remote_app(&self, relation: &str) -> Result<String, JujuError> {
        unless_gone(self.context().relation_app(relation))
    }

    fn remote_units(&self, relation: &str) -> Result<Vec<String>, JujuError> {
        unless_gone(self.context().relation_units(relation))
    }

    fn relation_bag(
        &self,
        relation: &str,
        entity: &str,
    ) -> Result<BTreeMap<String, String>, JujuError> {
        unless_gone(self.context().relation_get(relation, entity))
    }

    fn set_relation(
        &self,
        relation: &str,
        entity: &str,
        key: &str,
        value: &str,
    ) -> Result<(), JujuError> {
        let own = entity == self.application()
            || entity == format!("{}/{}", self.application(), self.ordinal());
        if !own {
            let text = format!("cannot write the databag of {entity} in {relation}");
            return Err(JujuError(text, None));
        }
        self.context().relation_set(relation, entity, key, value);
        Ok(())
    }

    fn shared_secret(&self, label: &str) -> Result<Option<Content>, JujuError> {
        let found = self.secret(SecretKey::Label(label), Read::Peek)?;
        Ok(found.map(|content| {
            content
                .iter()
                .map(|(key, value)| (key.to_owned(), value.clone()))
                .collect()
        }))
    }

    fn secret_revision(&self, label: &str) -> Result<Option<u64>, JujuError> {
        let info = self.context().secret_info(label)?;
        Ok(info.map(|info| info.revision))
    }

    fn share_secret(
        &self,
        label: &str,
        relation: &str,
        content: &Content,
    ) -> Result<String, JujuError> {
        let content: SecretContent = content
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        self.writes_secret();
        let id = if let Some(info) = self.context().secret_info(label)? {
            self.context().secret_set(&info.id, &content)?;
            info.id
        } else {
            let spec = SecretSpec {
                owner: "application".into(),
                label: label.to_owned(),
                ..SecretSpec::default()
            };
            self.context().secret_add(&content, &spec)?
        };
        unless_gone(self.context().secret_grant(&id, relation, None))?;
        Ok(self.shown_id(&id))
    }

    fn forget_secret(&self, label: &str) -> Result<(), JujuError> {
        if let Some(info) = self.context().secret_info(label)? {
            self.writes_secret();
            unless_gone(self.context().secret_remove(&info.id, None))?;
        }
        Ok(())
    }

    fn memory(&self, key: &str) -> Result<Option<String>, JujuError> {
        Ok(self.context().state_get(key)?)
    }

    fn remember(&self, key: &str, text: &str) -> Result<(), JujuError> {
        let values = [(key.to_owned(), text.to_owned())].into();
        Ok(self.context().state_set(&values)?)
    }
}
