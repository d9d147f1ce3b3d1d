//! Relations between models: offers, what consumes them, and the two halves of a relation kept
//! alike.
//!
//! Each model has a relation of its own, in which the other model's application is a name. What the
//! units of one half write and do is copied to the other.

use std::collections::BTreeMap;

use juju_local_api::ErrorKind;
use juju_local_api::agent::Life;
use juju_local_api::status::{OfferStatus, RemoteApplicationStatus, RemoteEndpoint};
use serde_json::{Value, json};

use super::charm::Endpoint;
use super::daemon::State;
use super::model::{End, Model, Outcome, Relation, Status, not_found, refuse};

/// Endpoints of an application that other models may use.
#[derive(Debug, Clone)]
pub(super) struct Offer {
    pub app: String,
    pub endpoints: BTreeMap<String, Endpoint>,
}

/// An offer of another model that this one uses.
#[derive(Debug, Clone)]
pub(super) struct Remote {
    pub url: String,
    pub model: String,
    pub offer: Offer,
    pub status: Option<Status>,
}

/// Half of a relation between models.
#[derive(Debug, Clone)]
struct Half {
    model: String,
    relation: u32,
    /// The application whose units are here.
    app: String,
    /// What the other half calls it.
    known_as: String,
}

/// A relation between models.
#[derive(Debug, Clone)]
pub(super) struct Link {
    offering: Half,
    consuming: Half,
}

impl Link {
    /// The other models in which an application is known by this relation, with its name there.
    pub fn known_in<'a>(
        &'a self,
        model: &'a str,
        app: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let ways = [
            (&self.offering, &self.consuming),
            (&self.consuming, &self.offering),
        ];
        let own = ways
            .into_iter()
            .filter(move |(near, _)| near.model == model && near.app == app);
        own.map(|(near, far)| (far.model.as_str(), near.known_as.as_str()))
    }
}

impl State {
    pub fn offer(
        &mut self,
        model: &str,
        app: &str,
        endpoints: &[String],
        name: &str,
    ) -> Outcome<Value> {
        let model = self.model(model)?;
        let charm = &model.app(app)?.charm;
        let mut offered = BTreeMap::new();
        for endpoint in endpoints {
            let spec = charm.endpoints.get(endpoint);
            let Some(spec) = spec.filter(|spec| spec.role != "peer") else {
                let text = format!("application \"{app}\" has no \"{endpoint}\" relation");
                return refuse(ErrorKind::NotFound, text);
            };
            offered.insert(endpoint.clone(), spec.clone());
        }
        let offer = Offer {
            app: app.to_owned(),
            endpoints: offered,
        };
        model.offers.insert(name.to_owned(), offer);
        Ok(Value::Null)
    }

    /// How many relations an offer's application has through it.
    fn connections(&self, model: &str, offer: &Offer) -> Vec<&Relation> {
        let Some(known) = self.models.get(model) else {
            return Vec::new();
        };
        let halves = self.links.iter().map(|link| &link.offering);
        let own = halves.filter(|half| half.model == model && half.app == offer.app);
        own.filter_map(|half| known.relations.get(&half.relation))
            .collect()
    }

    pub fn offers(&self, model: &str) -> Value {
        let known = self.models.get(model).into_iter();
        let offers = known.flat_map(|model| &model.offers);
        let shown = offers.map(|(name, offer)| {
            let endpoints: BTreeMap<&String, Value> = offer
                .endpoints
                .iter()
                .map(|(name, spec)| {
                    (name, json!({"interface": spec.interface, "role": spec.role}))
                })
                .collect();
            let connections: Vec<Value> = self
                .connections(model, offer)
                .into_iter()
                .map(|relation| {
                    let end = relation.ends.iter().find(|end| end.app == offer.app);
                    json!({
                        "source-model-uuid": "", "username": "admin", "relation-id": relation.id,
                        "endpoint": end.map(|end| &end.endpoint),
                        "status": {"current": if relation.suspended { "suspended" } else { "joined" }},
                    })
                })
                .collect();
            let value = json!({
                "application": offer.app, "endpoints": endpoints, "connections": connections,
                "offer-url": format!("admin/{model}.{name}"),
            });
            (name.clone(), value)
        });
        Value::Object(shown.collect())
    }

    pub fn remove_offer(&mut self, model: &str, name: &str, force: bool) -> Outcome<Value> {
        let offer = self.model(model)?.offers.get(name).cloned();
        let offer = offer.ok_or_else(|| not_found("application offer", name))?;
        let ids: Vec<u32> = self
            .connections(model, &offer)
            .iter()
            .map(|r| r.id)
            .collect();
        if !ids.is_empty() && !force {
            let count = ids.len();
            let text =
                format!("cannot delete application offer \"{name}\": offer has {count} relations");
            return refuse(ErrorKind::Conflict, text);
        }
        let model = self.model(model)?;
        model.offers.remove(name);
        for id in ids {
            model.end_relation(id, force);
        }
        Ok(Value::Null)
    }

    pub fn consume(&mut self, model: &str, url: &str, alias: Option<String>) -> Outcome<Value> {
        let bare = url.rsplit('/').next().unwrap_or(url);
        let (from, name) = bare.split_once('.').unwrap_or((bare, ""));
        let offer = self.model(from)?.offers.get(name).cloned();
        let offer = offer.ok_or_else(|| not_found("application offer", url))?;
        let alias = alias.unwrap_or_else(|| name.to_owned());
        let model = self.model(model)?;
        if model.apps.contains_key(&alias) {
            let text = format!(
                "cannot add saas application \"{alias}\": local application with same name already exists"
            );
            return refuse(ErrorKind::AlreadyExists, text);
        }
        let url = format!("admin/{bare}");
        match model.remotes.get(&alias) {
            Some(known) if known.url != url => {
                let text = format!(
                    "cannot add saas application \"{alias}\": saas application already exists"
                );
                return refuse(ErrorKind::AlreadyExists, text);
            }
            Some(_) => {}
            None => {
                let remote = Remote {
                    url,
                    model: from.to_owned(),
                    offer,
                    status: None,
                };
                model.remotes.insert(alias.clone(), remote);
            }
        }
        Ok(json!(alias))
    }

    pub fn remove_saas(&mut self, model: &str, names: &[String]) -> Outcome<Value> {
        let model = self.model(model)?;
        for name in names {
            let removed = model.remotes.remove(name);
            removed.ok_or_else(|| not_found("remote application", name))?;
            let own = model
                .relations
                .values()
                .filter(|relation| relation.has(name));
            for id in own.map(|relation| relation.id).collect::<Vec<_>>() {
                model.end_relation(id, false);
            }
        }
        Ok(Value::Null)
    }

    /// Relates two applications; one of them may be another model's.
    pub fn integrate(&mut self, name: &str, a: &str, b: &str) -> Outcome<Value> {
        let model = self.model(name)?;
        let made = model.integrate(a, b)?;
        let id = model.next_relation.saturating_sub(1);
        let uuid = model.uuid.clone();
        let Some(relation) = model.relations.get(&id) else {
            return Ok(made);
        };
        let is_remote = |end: &&End| model.remotes.contains_key(&end.app);
        let Some(far) = relation.ends.iter().find(is_remote).cloned() else {
            return Ok(made);
        };
        let Some(near) = relation.ends.iter().find(|end| **end != far).cloned() else {
            return Ok(made);
        };
        let interface = relation.interface.clone();
        let remote = model.remotes.get(&far.app).cloned();
        let remote = remote.ok_or_else(|| not_found("remote application", &far.app))?;
        let token = format!("remote-{}", uuid::Uuid::new_v4().simple());
        let offering = self.model(&remote.model)?;
        let mut ends = vec![
            End {
                app: remote.offer.app.clone(),
                ..far.clone()
            },
            End {
                app: token.clone(),
                ..near.clone()
            },
        ];
        ends.sort_by_key(|end| end.role != "provider");
        let there = offering.relate(ends, interface);
        let there_uuid = offering.uuid.clone();
        if let Some(relation) = offering.relations.get_mut(&there) {
            relation.remote_uuid = Some(uuid);
        }
        if let Some(relation) = self.model(name)?.relations.get_mut(&id) {
            relation.remote_uuid = Some(there_uuid);
        }
        self.links.push(Link {
            offering: Half {
                model: remote.model,
                relation: there,
                app: remote.offer.app,
                known_as: far.app,
            },
            consuming: Half {
                model: name.to_owned(),
                relation: id,
                app: near.app,
                known_as: token,
            },
        });
        Ok(made)
    }

    /// Copies to each half of a relation what has changed in the other one.
    pub fn sync(&mut self) {
        for link in std::mem::take(&mut self.links) {
            self.copy(&link.offering, &link.consuming);
            self.copy(&link.consuming, &link.offering);
            self.follow_suspension(&link);
            let there = |half: &Half| {
                let model = self.models.get(&half.model);
                model.is_some_and(|model| model.relations.contains_key(&half.relation))
            };
            if there(&link.offering) || there(&link.consuming) {
                self.links.push(link);
            } else {
                self.forget(&link);
            }
        }
        let mut statuses = Vec::new();
        for (name, model) in &self.models {
            for (alias, remote) in &model.remotes {
                let far = self.models.get(&remote.model);
                let status = far.and_then(|far| far.app_status(&remote.offer.app));
                statuses.push((name.clone(), alias.clone(), status));
            }
        }
        for (name, alias, status) in statuses {
            let model = self.models.get_mut(&name);
            if let Some(remote) = model.and_then(|model| model.remotes.get_mut(&alias)) {
                remote.status = status;
            }
        }
    }

    /// What units of the other side have read of secrets goes with the relation.
    fn forget(&mut self, link: &Link) {
        for (near, far) in [
            (&link.offering, &link.consuming),
            (&link.consuming, &link.offering),
        ] {
            let prefix = format!("{}/", near.known_as);
            if let Some(model) = self.models.get_mut(&far.model) {
                for secret in model.secrets.values_mut() {
                    secret
                        .consumers
                        .retain(|unit, _| !unit.starts_with(&prefix));
                }
            }
        }
    }

    fn copy(&mut self, from: &Half, to: &Half) {
        let source = self.models.get(&from.model);
        let source = source.and_then(|model| model.relations.get(&from.relation));
        let alive = source.filter(|relation| relation.life == Life::Alive);
        let shown = |entity: &String| {
            let number = entity.strip_prefix(&from.app)?;
            (number.is_empty() || number.starts_with('/'))
                .then(|| format!("{}{number}", from.known_as))
        };
        let copied = alive.map(|relation| {
            let units: Vec<String> = relation.scope.iter().filter_map(shown).collect();
            let bags: Vec<_> = relation
                .bags
                .iter()
                .filter_map(|(entity, (_, bag))| Some((shown(entity)?, bag.clone())))
                .collect();
            (units, bags)
        });
        let Some(model) = self.models.get_mut(&to.model) else {
            return;
        };
        let Some((units, bags)) = copied else {
            model.end_relation(to.relation, false);
            return;
        };
        let Some(relation) = model.relations.get_mut(&to.relation) else {
            return;
        };
        if relation.life != Life::Alive {
            return;
        }
        let prefix = format!("{}/", from.known_as);
        relation.scope.retain(|unit| !unit.starts_with(&prefix));
        relation.scope.extend(units);
        for (entity, bag) in bags {
            relation.replace(&entity, bag);
        }
    }

    /// A relation is suspended by its offering side.
    fn follow_suspension(&mut self, link: &Link) {
        let offering = self.models.get(&link.offering.model);
        let offering = offering.and_then(|model| model.relations.get(&link.offering.relation));
        let Some(suspended) = offering.map(|relation| relation.suspended) else {
            return;
        };
        if let Some(model) = self.models.get_mut(&link.consuming.model) {
            model.suspend(link.consuming.relation, suspended);
        }
    }
}

impl Model {
    /// Suspends or resumes a relation: its units enter it again.
    pub fn suspend(&mut self, id: u32, suspended: bool) {
        let Some(relation) = self.relations.get_mut(&id) else {
            return;
        };
        if relation.suspended == suspended {
            return;
        }
        relation.suspended = suspended;
        if !suspended {
            for unit in self.units.values().filter(|unit| unit.agent_seen) {
                if unit.life == Life::Alive && relation.has(&unit.app) {
                    relation.enter(&unit.name, &unit.address);
                }
            }
        }
    }

    /// The offers of this model, as status shows them.
    pub fn offer_statuses(&self) -> BTreeMap<String, OfferStatus> {
        let offers = self.offers.iter().map(|(name, offer)| {
            let through = |relation: &&Relation| {
                let own = relation.ends.iter().find(|end| end.app == offer.app);
                let offered = own.is_some_and(|end| offer.endpoints.contains_key(&end.endpoint));
                offered && relation.remote_uuid.is_some()
            };
            let all: Vec<&Relation> = self.relations.values().filter(through).collect();
            let active = all.iter().filter(|relation| !relation.suspended).count();
            let charm = self.apps.get(&offer.app);
            let status = OfferStatus {
                application: offer.app.clone(),
                charm: charm
                    .map(|app| format!("local:{}-{}", app.charm.name, app.revision))
                    .unwrap_or_default(),
                total_connected_count: u32::try_from(all.len()).unwrap_or(u32::MAX),
                active_connected_count: u32::try_from(active).unwrap_or(u32::MAX),
                endpoints: endpoints(offer),
            };
            (name.clone(), status)
        });
        offers.collect()
    }

    /// What this model consumes, as status shows it.
    pub fn remote_statuses(&self) -> BTreeMap<String, RemoteApplicationStatus> {
        let remotes = self.remotes.iter().map(|(alias, remote)| {
            let mut relations: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for relation in self.relations.values().filter(|r| r.has(alias)) {
                for end in relation.ends.iter().filter(|end| end.app == *alias) {
                    let other = relation.other(alias);
                    relations
                        .entry(end.endpoint.clone())
                        .or_default()
                        .push(other);
                }
            }
            let status = remote.status.clone();
            let status = RemoteApplicationStatus {
                url: remote.url.clone(),
                endpoints: endpoints(&remote.offer),
                life: String::new(),
                application_status: super::status::info(
                    &status.unwrap_or_else(|| Status::new("terminated", "")),
                ),
                relations,
            };
            (alias.clone(), status)
        });
        remotes.collect()
    }
}

fn endpoints(offer: &Offer) -> BTreeMap<String, RemoteEndpoint> {
    let endpoints = offer.endpoints.iter().map(|(name, spec)| {
        let endpoint = RemoteEndpoint {
            interface: spec.interface.clone(),
            role: spec.role.clone(),
        };
        (name.clone(), endpoint)
    });
    endpoints.collect()
}
