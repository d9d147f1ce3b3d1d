//! What a charm keeps at the controller.

use super::{Bag, Context, Result, yaml_safe};

impl Context<'_> {
    /// A key of the unit's state at the controller.
    ///
    /// # Errors
    /// When Juju can't tell.
    pub fn state_get(&self, key: &str) -> Result<Option<String>> {
        Ok(self.state()?.remove(key).filter(|value| !value.is_empty()))
    }

    /// All of the unit's state at the controller.
    ///
    /// # Errors
    /// When Juju can't tell.
    pub fn state(&self) -> Result<Bag> {
        if let Some(known) = &*self.stored.borrow() {
            return Ok(known.clone());
        }
        let found: Option<Bag> = self.json("state-get", &["--format=json"])?;
        let found = found.unwrap_or_default();
        *self.stored.borrow_mut() = Some(found.clone());
        Ok(found)
    }

    /// Sets those keys of the state that differ. A key has 256 bytes at most, a value 64 KiB.
    ///
    /// # Errors
    /// When Juju refuses.
    pub fn state_set(&self, values: &Bag) -> Result<()> {
        let mut stored = self.state()?;
        let differs = |(key, value): &(&String, &String)| stored.get(*key) != Some(*value);
        let changed: Bag = values
            .iter()
            .filter(differs)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        if changed.is_empty() {
            return Ok(());
        }
        let text = yaml_safe(&changed);
        self.call("state-set", &["--file", "-"], Some(text.as_bytes()))?;
        stored.extend(changed);
        *self.stored.borrow_mut() = Some(stored);
        Ok(())
    }

    /// Deletes a key of the state, if it is there.
    ///
    /// # Errors
    /// When Juju refuses.
    pub fn state_delete(&self, key: &str) -> Result<()> {
        let mut stored = self.state()?;
        if stored.remove(key).is_none() {
            return Ok(());
        }
        self.call("state-delete", &["--", key], None)?;
        *self.stored.borrow_mut() = Some(stored);
        Ok(())
    }

    /// Leader settings, which Juju 4 no longer has: for charms that take over another's.
    ///
    /// # Errors
    /// When Juju can't tell.
    pub fn leader_settings(&self) -> Result<Bag> {
        let found: Option<Bag> = self.json("leader-get", &["--format=json"])?;
        Ok(found.unwrap_or_default())
    }

    /// Sets those leader settings that differ, at once; an empty value deletes.
    ///
    /// # Errors
    /// [`crate::Refusal::NotLeader`].
    pub fn set_leader_settings(&self, values: &[(&str, &str)]) -> Result<()> {
        let known = self.leader_settings()?;
        let pairs: Vec<String> = values
            .iter()
            .filter(|(key, value)| known.get(*key).map_or("", String::as_str) != *value)
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        if pairs.is_empty() {
            return Ok(());
        }
        let mut args = vec!["--"];
        args.extend(pairs.iter().map(String::as_str));
        self.call("leader-set", &args, None).map(drop)
    }
}
