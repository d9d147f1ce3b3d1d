//! Relations: which ends fit together, and how they are made and taken apart.

use std::collections::{BTreeMap, BTreeSet};

use juju_local_api::ErrorKind;
use juju_local_api::agent::Life;
use serde_json::{Value, json};

use super::model::{End, Model, Outcome, Relation, Unit, not_found, refuse};

impl Model {
    /// Makes a relation of these ends.
    pub fn relate(&mut self, ends: Vec<End>, interface: String) -> u32 {
        let id = self.next_relation;
        self.next_relation += 1;
        let mut relation = Relation {
            id,
            juju: self.juju,
            life: Life::Alive,
            suspended: false,
            interface,
            ends,
            bags: BTreeMap::new(),
            scope: BTreeSet::new(),
            inside: BTreeSet::new(),
            writers: BTreeMap::new(),
            remote_uuid: None,
            next_version: 0,
        };
        let ready = |unit: &&Unit| unit.agent_seen && unit.life == Life::Alive;
        for unit in self.units.values().filter(ready) {
            if relation.has(&unit.app) {
                relation.enter(&unit.name, &unit.address);
            }
        }
        self.relations.insert(id, relation);
        id
    }

    fn candidates(&self, text: &str) -> Outcome<Vec<(End, String)>> {
        let (app, endpoint) = text
            .split_once(':')
            .map_or((text, None), |(a, e)| (a, Some(e)));
        let endpoints = match self.remotes.get(app) {
            Some(remote) => &remote.offer.endpoints,
            None => &self.app(app)?.charm.endpoints,
        };
        if let Some(endpoint) = endpoint
            && !endpoints.contains_key(endpoint)
        {
            let text = format!("application \"{app}\" has no \"{endpoint}\" relation");
            return refuse(ErrorKind::NotFound, text);
        }
        let wanted = endpoints.iter().filter(|(name, spec)| {
            spec.role != "peer" && endpoint.is_none_or(|endpoint| endpoint == *name)
        });
        Ok(wanted
            .map(|(name, spec)| {
                let end = End {
                    app: app.to_owned(),
                    endpoint: name.clone(),
                    role: spec.role.clone(),
                };
                (end, spec.interface.clone())
            })
            .collect())
    }

    /// Relates two applications by the only ends that fit.
    pub fn integrate(&mut self, a: &str, b: &str) -> Outcome<Value> {
        let (left, right) = (self.candidates(a)?, self.candidates(b)?);
        let mut fitting = Vec::new();
        for (one, interface) in &left {
            for (other, same) in &right {
                if interface == same && one.role != other.role {
                    let mut ends = vec![one.clone(), other.clone()];
                    ends.sort_by_key(|end| end.role != "provider");
                    fitting.push((ends, interface.clone()));
                }
            }
        }
        let (ends, interface) = match fitting.as_slice() {
            [] => return refuse(ErrorKind::BadRequest, "no relations found"),
            [only] => only.clone(),
            many => {
                let pairs: Vec<String> = many
                    .iter()
                    .map(|(ends, _)| {
                        let names: Vec<String> = ends
                            .iter()
                            .map(|end| format!("{}:{}", end.app, end.endpoint))
                            .collect();
                        format!("\"{}\"", names.join(" "))
                    })
                    .collect();
                let text = format!(
                    "ambiguous relation: \"{a} {b}\" could refer to {}",
                    pairs.join("; ")
                );
                return refuse(ErrorKind::BadRequest, text);
            }
        };
        if let Some(known) = self
            .relations
            .values()
            .find(|relation| relation.ends == ends)
        {
            if known.life == Life::Alive {
                let text = format!("cannot add relation \"{a} {b}\": relation already exists");
                return refuse(ErrorKind::AlreadyExists, text);
            }
            return refuse(ErrorKind::Conflict, "the relation is still being removed");
        }
        for end in &ends {
            let app = self.apps.get(&end.app);
            let limit = app.and_then(|app| app.charm.endpoints.get(&end.endpoint)?.limit);
            let count = self
                .relations
                .values()
                .filter(|r| r.ends.contains(end))
                .count();
            if limit.is_some_and(|limit| count >= usize::try_from(limit).unwrap_or(usize::MAX)) {
                let text = format!(
                    "establishing a new relation for {}:{} would exceed its maximum relation limit of {}",
                    end.app,
                    end.endpoint,
                    limit.unwrap_or_default()
                );
                return refuse(ErrorKind::BadRequest, text);
            }
        }
        let names: Vec<String> = ends
            .iter()
            .map(|end| format!("{}:{}", end.app, end.endpoint))
            .collect();
        self.relate(ends, interface);
        Ok(json!(names))
    }

    /// Lets a relation die: it is forgotten once no unit is in it any more.
    pub fn end_relation(&mut self, id: u32, force: bool) {
        if let Some(relation) = self.relations.get_mut(&id) {
            relation.life = Life::Dying;
            relation.scope.clear();
            if force {
                relation.inside.clear();
            }
        }
        self.forget_relations();
    }

    /// A unit has nothing more to do with a relation that ends.
    pub fn leave_relation(&mut self, unit: &str, id: u32) {
        if let Some(relation) = self.relations.get_mut(&id) {
            relation.scope.remove(unit);
            relation.inside.remove(unit);
        }
        self.forget_relations();
    }

    /// Forgets relations that have ended.
    pub fn forget_relations(&mut self) {
        self.relations.retain(|id, relation| {
            let over = relation.life != Life::Alive && relation.inside.is_empty();
            if over {
                for secret in self.secrets.values_mut() {
                    secret.grants.retain(|grant| grant.relation != Some(*id));
                }
            }
            !over
        });
    }

    /// Begins to remove a relation.
    pub fn remove_relation(&mut self, ends: &[String], force: bool) -> Outcome<Value> {
        let fits = |relation: &&Relation| match ends {
            [id] => id.parse() == Ok(relation.id),
            _ => ends.iter().all(|text| {
                let (app, endpoint) = text
                    .split_once(':')
                    .map_or((text.as_str(), None), |(a, e)| (a, Some(e)));
                relation
                    .ends
                    .iter()
                    .any(|end| end.app == app && endpoint.is_none_or(|e| e == end.endpoint))
            }),
        };
        let id = self
            .relations
            .values()
            .filter(|r| !r.is_peer())
            .find(fits)
            .map(|r| r.id);
        let id = id.ok_or_else(|| not_found("relation", &ends.join(" ")))?;
        self.end_relation(id, force);
        Ok(Value::Null)
    }
}
