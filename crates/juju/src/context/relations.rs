//! Relations and their databags.

use super::{Bag, BagKey, Context, Result, yaml_safe};
use crate::refusals::Refusal;
use crate::tools::ToolError;

impl Context<'_> {
    /// Ids of an endpoint's relations.
    ///
    /// # Errors
    /// When Juju can't tell.
    pub fn relation_ids(&self, endpoint: &str) -> Result<Vec<String>> {
        let found: Option<_> = self.read("relation-ids", &[endpoint, "--format=json"])?;
        Ok(found.unwrap_or_default())
    }

    /// The other units of a relation.
    ///
    /// # Errors
    /// [`Refusal::RelationNotFound`] where it is gone.
    pub fn relation_units(&self, relation: &str) -> Result<Vec<String>> {
        let found: Option<_> = self.read("relation-list", &["-r", relation, "--format=json"])?;
        Ok(found.unwrap_or_default())
    }

    /// The application at the other end of a relation; its own in a peer relation.
    ///
    /// # Errors
    /// [`Refusal::RelationNotFound`] where it is gone.
    pub fn relation_app(&self, relation: &str) -> Result<String> {
        let args = ["-r", relation, "--app", "--format=json"];
        let found: Option<_> = self.read("relation-list", &args)?;
        Ok(found.unwrap_or_default())
    }

    /// UUID of the model at the other end of a relation. Juju tells it from 3.6.2.
    ///
    /// # Errors
    /// [`Refusal::NotRun`] from an older Juju.
    pub fn relation_model(&self, relation: &str) -> Result<String> {
        #[derive(serde::Deserialize)]
        struct Model {
            #[serde(default)]
            uuid: String,
        }
        let found: Model = self.read("relation-model-get", &["-r", relation, "--format=json"])?;
        Ok(found.uuid)
    }

    /// A databag: `entity` is a unit (`app/0`) or an application. Own writes of this hook are in.
    ///
    /// # Errors
    /// [`Refusal::PermissionDenied`] for a bag that this unit may not see.
    pub fn relation_get(&self, relation: &str, entity: &str) -> Result<Bag> {
        let key = BagKey {
            relation: relation.to_owned(),
            entity: entity.to_owned(),
        };
        let mut bag = self.stored_bag(&key)?;
        if let Some(writes) = self.writes.borrow().get(&key) {
            merge(&mut bag, writes);
        }
        Ok(bag)
    }

    fn stored_bag(&self, key: &BagKey) -> Result<Bag> {
        if let Some(known) = self.bags.borrow().get(key) {
            return Ok(known.clone());
        }
        let mut args = vec!["-r", &key.relation, "--format=json", "-", &key.entity];
        if !key.entity.contains('/') {
            args.push("--app");
        }
        let found: Option<Bag> = self.json("relation-get", &args)?;
        let found = found.unwrap_or_default();
        self.bags.borrow_mut().insert(key.clone(), found.clone());
        Ok(found)
    }

    /// Writes a key of an own bag, `entity` being this unit or its application; an empty value
    /// deletes. It is sent by [`Context::flush`], which also tells what may not be written.
    pub fn relation_set(&self, relation: &str, entity: &str, key: &str, value: &str) {
        let bag = BagKey {
            relation: relation.to_owned(),
            entity: entity.to_owned(),
        };
        let mut writes = self.writes.borrow_mut();
        writes
            .entry(bag)
            .or_default()
            .insert(key.to_owned(), value.to_owned());
    }

    /// Sends the writes to databags: one call a bag, with the keys that differ. What is written to a
    /// relation that is gone meanwhile is dropped: nobody reads it any more.
    ///
    /// # Errors
    /// [`Refusal::NotLeader`] where leadership is gone, [`Refusal::PermissionDenied`] for a bag
    /// that is not this unit's or its application's.
    pub fn flush(&self) -> Result<()> {
        let writes = std::mem::take(&mut *self.writes.borrow_mut());
        // The tool has no argument for it: it would write the own bag instead.
        if let Some(key) = writes.keys().find(|key| !self.is_own(&key.entity)) {
            return Err(ToolError {
                tool: "relation-set",
                refusal: Refusal::PermissionDenied,
                message: format!(
                    "cannot write the databag of {} in {}: a unit writes its own and, as leader, \
                     its application's",
                    key.entity, key.relation
                ),
            });
        }
        for (key, values) in writes {
            match self.send(key, values) {
                Err(error) if error.refusal.is_gone() => {}
                sent => sent?,
            }
        }
        Ok(())
    }

    fn is_own(&self, entity: &str) -> bool {
        self.unit.as_deref().is_none_or(|unit| {
            let app = unit.rsplit_once('/').map_or(unit, |(app, _)| app);
            entity == unit || entity == app
        })
    }

    fn send(&self, key: BagKey, values: Bag) -> Result<()> {
        let stored = self.stored_bag(&key)?;
        let differs =
            |(name, value): &(String, String)| stored.get(name).map_or("", String::as_str) != value;
        let changed: Bag = values.into_iter().filter(differs).collect();
        if changed.is_empty() {
            return Ok(());
        }
        let mut args = vec!["-r", &key.relation, "--file", "-"];
        if !key.entity.contains('/') {
            args.push("--app");
        }
        self.call("relation-set", &args, Some(yaml_safe(&changed).as_bytes()))?;
        merge(self.bags.borrow_mut().entry(key).or_default(), &changed);
        Ok(())
    }
}

/// Puts writes into a bag; an empty value deletes.
fn merge(bag: &mut Bag, writes: &Bag) {
    for (name, value) in writes {
        if value.is_empty() {
            bag.remove(name);
        } else {
            bag.insert(name.clone(), value.clone());
        }
    }
}
