//! Secrets that are read from another model, by way of a relation between the two: a unit is known
//! there by the name that the relation gives it, and is granted and remembered by that name.

use juju_local_api::ErrorKind;
use juju_local_api::agent::{ConsumedSecret, SecretKey, SecretValue};

use super::daemon::State;
use super::model::Outcome;

impl State {
    /// The models that a unit has relations with, and what it is called in each.
    fn abroad(&self, model: &str, unit: &str) -> Vec<(String, String)> {
        let Some((app, number)) = unit.split_once('/') else {
            return Vec::new();
        };
        let names = self.links.iter().flat_map(|link| link.known_in(model, app));
        names
            .map(|(model, name)| (model.to_owned(), format!("{name}/{number}")))
            .collect()
    }

    /// Reads a secret of this model or of one that the unit has a relation with.
    pub fn secret_get(
        &mut self,
        model: &str,
        unit: &str,
        key: &SecretKey,
        (label, peek): (Option<String>, bool),
    ) -> Outcome<SecretValue> {
        let own = self
            .model(model)?
            .secret_get(unit, key, label.clone(), peek);
        let mut answer = match own {
            Err(error) if error.kind == ErrorKind::NotFound => Err(error),
            answer => return answer,
        };
        for (other, name) in self.abroad(model, unit) {
            let Some(known) = self.models.get_mut(&other) else {
                continue;
            };
            match known.secret_get(&name, key, label.clone(), peek) {
                Ok(value) => return Ok(value),
                // A unit may be known by several names, and only one of them is granted it.
                Err(error) if error.kind != ErrorKind::NotFound => answer = Err(error),
                Err(_) => {}
            }
        }
        answer
    }

    /// The unit goes on to the latest revisions of secrets of other models.
    pub fn track_abroad(&mut self, model: &str, unit: &str, ids: &[String]) {
        if ids.is_empty() {
            return;
        }
        for (other, name) in self.abroad(model, unit) {
            if let Some(known) = self.models.get_mut(&other) {
                known.track(&name, ids);
            }
        }
    }

    /// Secrets of other models that a unit reads.
    pub fn consumed_abroad(&self, model: &str, unit: &str) -> Vec<ConsumedSecret> {
        let places = self.abroad(model, unit).into_iter();
        let secrets = places.filter_map(|(other, name)| Some((self.models.get(&other)?, name)));
        secrets
            .flat_map(|(known, name)| known.consumed(&name))
            .collect()
    }
}
