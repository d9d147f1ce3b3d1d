//! Databags: who may see which, and how they change.

use juju_local_api::ErrorKind;
use juju_local_api::agent::{Bag, BagWrite};

use sha2::{Digest, Sha256};

use super::model::{Model, Outcome, Relation, refuse};

impl Relation {
    /// Whether an application takes part.
    pub fn has(&self, app: &str) -> bool {
        self.ends.iter().any(|end| end.app == app)
    }

    pub fn is_peer(&self) -> bool {
        self.ends.len() == 1
    }

    /// The application at the other end; the own one of a peer relation.
    pub fn other(&self, app: &str) -> String {
        let other = self
            .ends
            .iter()
            .find(|end| end.app != app)
            .or(self.ends.first());
        other.map(|end| end.app.clone()).unwrap_or_default()
    }

    /// Writes keys of a bag: whether it changed. One that stays the same keeps its version.
    pub fn write(&mut self, entity: &str, values: &Bag) -> bool {
        let next = self.next_version + 1;
        let (version, bag) = self.bags.entry(entity.to_owned()).or_default();
        let before = bag.clone();
        for (key, value) in values {
            if value.is_empty() {
                bag.remove(key);
            } else {
                bag.insert(key.clone(), value.clone());
            }
        }
        let changed = *bag != before;
        if changed {
            *version = next;
            self.next_version = next;
        }
        changed
    }

    /// Puts other contents into a bag.
    pub fn replace(&mut self, entity: &str, values: Bag) {
        let next = self.next_version + 1;
        let (version, bag) = self.bags.entry(entity.to_owned()).or_default();
        if *bag != values {
            *bag = values;
            *version = next;
            self.next_version = next;
        }
    }

    /// The version of a bag; 0 while nobody has written it. In Juju 4 it is of the content alone,
    /// so that who comes back to what a bag was tells nobody.
    pub fn version(&self, entity: &str) -> u64 {
        match self.bags.get(entity) {
            None | Some((0, _)) => 0,
            Some((count, _)) if !self.juju.is_4() => *count,
            Some((_, bag)) => {
                let text = serde_json::to_string(bag).unwrap_or_default();
                let first = Sha256::digest(text.as_bytes()).into_iter().take(4);
                first.fold(0, |sum, byte| (sum << 8) | u64::from(byte))
            }
        }
    }

    /// Lets a unit in, with the keys that Juju itself writes.
    pub fn enter(&mut self, unit: &str, address: &str) {
        self.scope.insert(unit.to_owned());
        self.inside.insert(unit.to_owned());
        let private = (!self.juju.is_4()).then(|| ("private-address", address.to_owned()));
        let values: Bag = [
            ("egress-subnets", format!("{address}/32")),
            ("ingress-address", address.to_owned()),
        ]
        .into_iter()
        .chain(private)
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
        self.write(unit, &values);
    }
}

impl Model {
    /// Contents of a bag as a unit may see it.
    pub fn read_bag(&self, unit: &str, relation: u32, entity: &str) -> Outcome<Bag> {
        let app = self.unit(unit)?.app.clone();
        let Some(relation) = self.relations.get(&relation).filter(|r| r.has(&app)) else {
            return refuse(ErrorKind::NotFound, "relation not found");
        };
        let of = entity.split('/').next().unwrap_or_default();
        let foreign_sibling = of == app && entity.contains('/') && entity != unit;
        let own_app = entity == app;
        let allowed =
            relation.is_peer() || !(foreign_sibling || (own_app && !self.is_leader(unit)));
        if self.juju.is_4() && !relation.has(of) && !entity.contains('/') {
            let text = format!("getting application \"{entity}\" not found");
            return refuse(ErrorKind::NotFound, text);
        }
        let inside = relation.bags.contains_key(entity);
        if self.juju.is_4() && entity.contains('/') && allowed && !inside {
            return refuse(ErrorKind::NotFound, "relation unit not found");
        }
        if !allowed || !relation.has(of) {
            return refuse(
                ErrorKind::PermissionDenied,
                "permission denied (unauthorized access)",
            );
        }
        Ok(relation
            .bags
            .get(entity)
            .map(|(_, bag)| bag.clone())
            .unwrap_or_default())
    }

    /// Whether a unit may write what a hook wrote.
    pub fn check_write(&self, unit: &str, write: &BagWrite) -> Outcome<()> {
        let app = &self.unit(unit)?.app;
        if !self
            .relations
            .get(&write.relation)
            .is_some_and(|r| r.has(app))
        {
            return refuse(ErrorKind::NotFound, "relation not found");
        }
        if write.application && !self.is_leader(unit) {
            return refuse(
                ErrorKind::NotLeader,
                "cannot write relation settings: not the leader",
            );
        }
        Ok(())
    }

    pub fn write_bag(&mut self, unit: &str, write: &BagWrite) {
        let app = unit.split('/').next().unwrap_or_default().to_owned();
        let entity = if write.application {
            app
        } else {
            unit.to_owned()
        };
        if let Some(relation) = self.relations.get_mut(&write.relation)
            && relation.write(&entity, &write.values)
        {
            relation.writers.insert(entity, unit.to_owned());
        }
    }
}
