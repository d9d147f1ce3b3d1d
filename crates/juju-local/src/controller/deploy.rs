//! Applications and units: how they come and go.

use std::time::Instant;

use juju_local_api::ErrorKind;
use juju_local_api::agent::Life;
use juju_local_api::user::Deploy;
use serde_json::{Value, json};

use super::charm::{self, Charm};
use super::daemon::Controller;
use super::force::Force;
use super::model::{App, End, Model, Outcome, Status, Storage, Unit, refuse};
use super::{kubernetes, pods, resources};

impl Controller {
    /// Where a model's charms are kept.
    pub(super) fn charms(&self, model: &str) -> std::path::PathBuf {
        self.home.path().join("charms").join(model)
    }

    /// Deploys a charm.
    pub(super) fn deploy(
        self: &std::sync::Arc<Self>,
        model: &str,
        deploy: &Deploy,
    ) -> Outcome<Value> {
        self.read(|state| state.model(model).map(drop))?;
        let store = self.charms(model);
        let staging = store.join(format!(".new-{}", uuid::Uuid::new_v4().simple()));
        let charm = charm::load(&deploy.path, &staging)?;
        let name = deploy.app.clone().unwrap_or_else(|| charm.name.clone());
        let made = self.change(|state| {
            let model = state.model(model)?;
            check_deploy(model, &name, &charm, deploy)
        });
        let config = match made {
            Ok(config) => config,
            Err(error) => {
                let _ = std::fs::remove_dir_all(&staging);
                return Err(error);
            }
        };
        let folder = store.join(format!("{name}-0"));
        let _ = std::fs::remove_dir_all(&folder);
        if std::fs::rename(&staging, &folder).is_err() {
            return refuse(ErrorKind::Internal, "cannot move the charm into the store");
        }
        for (resource, value) in &deploy.resources {
            resources::keep(&store, &charm, &name, resource, value)?;
        }
        let address = kubernetes::application(&self.api, model, &name, deploy.trust);
        let containers: Vec<&str> = charm.containers.keys().map(String::as_str).collect();
        kubernetes::stateful_set(&self.api, model, &name, deploy.units, (0, &containers));
        self.change(|state| {
            let model = state.model(model)?;
            let mut app = App {
                name: name.clone(),
                charm: charm.clone(),
                revision: 0,
                modified: 0,
                templates: std::collections::BTreeMap::new(),
                life: Life::Alive,
                config,
                trust: deploy.trust,
                channel: deploy.channel.clone().unwrap_or_default(),
                resources: deploy.resources.clone(),
                constraints: deploy.constraints.clone(),
                leader: None,
                lease: Instant::now(),
                leader_settings: <_>::default(),
                status: None,
                history: <_>::default(),
                version: String::new(),
                address,
                next_unit: 0,
                waiting: 0,
                waiting_volumes: Vec::new(),
                storage_id: pods::short_id(),
            };
            app.keep_template();
            model.apps.insert(name.clone(), app);
            model.add_peers(&name);
            Ok(())
        })?;
        self.add_units(model, &name, deploy.units, &deploy.attach_storage)?;
        Ok(json!(name))
    }

    /// Adds units and starts their pods.
    pub(super) fn add_units(
        self: &std::sync::Arc<Self>,
        model: &str,
        app: &str,
        count: u32,
        attach: &[String],
    ) -> Outcome<Value> {
        let units = self.change(|state| {
            let model = state.model(model)?;
            if model.app(app)?.life != Life::Alive {
                return refuse(
                    ErrorKind::Conflict,
                    format!("application \"{app}\" is not alive"),
                );
            }
            let asked = model.app_mut(app)?;
            asked.waiting += count;
            asked.waiting_volumes.extend_from_slice(attach);
            model.fill(app)
        })?;
        self.start_units(model, app, &units);
        Ok(json!(units))
    }

    fn start_units(self: &std::sync::Arc<Self>, model: &str, app: &str, units: &[String]) {
        for unit in units {
            self.start_pod(model, unit);
        }
        self.follow_scale(model, app);
    }

    /// Begins to remove units from the highest number.
    pub(super) async fn remove_units(
        self: &std::sync::Arc<Self>,
        model: &str,
        app: &str,
        count: u32,
        destroy: bool,
        force: Force,
    ) -> Outcome<Value> {
        let going = self.change(|state| {
            let model = state.model(model)?;
            // Those that have yet to come are the last ones.
            let waiting = &mut model.app_mut(app)?.waiting;
            let unborn = count.min(*waiting);
            *waiting -= unborn;
            let count = count - unborn;
            let mut alive: Vec<(u32, String)> = model
                .units_of(app)
                .filter(|unit| unit.life == Life::Alive)
                .map(|unit| (unit.number, unit.name.clone()))
                .collect();
            alive.sort();
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            if count > alive.len() {
                let text = format!(
                    "cannot remove more units than currently exist (application \"{app}\" has {})",
                    alive.len()
                );
                return refuse(ErrorKind::BadRequest, text);
            }
            let going: Vec<String> = alive
                .split_off(alive.len() - count)
                .into_iter()
                .map(|(_, name)| name)
                .collect();
            for name in &going {
                model.dying(name, destroy);
            }
            Ok(going)
        })?;
        let unseen = |unit: &String| {
            self.read(|state| {
                let seen = state
                    .models
                    .get(model)
                    .and_then(|m| Some(m.units.get(unit)?.agent_seen));
                seen != Some(true)
            })
        };
        for unit in &going {
            // A unit whose agent never came up has no last hooks to run.
            if unseen(unit) {
                self.unit_dead(model, unit).await;
            }
        }
        self.force(model, Vec::new(), going, force).await;
        Ok(Value::Null)
    }

    /// Begins to remove an application.
    pub(super) async fn remove_application(
        self: &std::sync::Arc<Self>,
        model: &str,
        app: &str,
        destroy: bool,
        force: Force,
    ) -> Outcome<Value> {
        let (relations, count) = self.change(|state| {
            let model = state.model(model)?;
            model.app(app)?;
            let used = model
                .offers
                .values()
                .filter(|offer| offer.app == app)
                .count();
            if used > 0 && force == Force::No {
                let text = format!(
                    "cannot destroy application \"{app}\": application is used by {used} offer{}",
                    if used == 1 { "" } else { "s" }
                );
                return refuse(ErrorKind::Conflict, text);
            }
            model.offers.retain(|_, offer| offer.app != app);
            let removed = model.app_mut(app)?;
            removed.life = Life::Dying;
            removed.waiting = 0;
            let own = model
                .relations
                .values()
                .filter(|r| r.has(app) && !r.is_peer());
            let own: Vec<u32> = own.map(|relation| relation.id).collect();
            for id in &own {
                model.end_relation(*id, false);
            }
            Ok((own, model.planned(app)))
        })?;
        self.remove_units(model, app, count, destroy, Force::No)
            .await?;
        let units = self.read(|state| {
            let model = state.models.get(model);
            let units = model.map(|model| model.units_of(app).map(|unit| unit.name.clone()));
            units.into_iter().flatten().collect()
        });
        self.force(model, relations, units, force).await;
        self.forget_if_empty(model, app);
        Ok(Value::Null)
    }

    /// A unit has run its last hook: its pod and what Juju knows of it go.
    pub(super) async fn unit_dead(self: &std::sync::Arc<Self>, model: &str, unit: &str) {
        // The next unit of this name may be there already.
        let leaves = |model: &Model| {
            let unit = model.units.get(unit);
            unit.is_some_and(|unit| unit.life != Life::Alive)
        };
        if !self.read(|state| state.models.get(model).is_some_and(leaves)) {
            return;
        }
        self.stop_pod(model, unit).await;
        let app = self.change(|state| {
            let model = state.models.get_mut(model).filter(|model| leaves(model))?;
            model.depose(unit);
            let gone = model.units.remove(unit)?;
            // The others may read what it wrote until they have left the relation too.
            for relation in model.relations.values_mut() {
                relation.scope.remove(unit);
                relation.inside.remove(unit);
            }
            model.forget_relations();
            for task in model.tasks.values_mut() {
                if task.unit == unit && !task.ended() {
                    task.end("cancelled", &format!("unit \"{unit}\" is gone"));
                }
            }
            for secret in model.secrets.values_mut() {
                secret.consumers.remove(unit);
            }
            model.secrets.retain(|_, secret| secret.owner != unit);
            for id in &gone.storage {
                if gone.destroy_storage {
                    if let Some(storage) = model.storage.remove(id) {
                        let folder = self.home.path().join("storage").join(&storage.folder);
                        let _ = std::fs::remove_dir_all(folder);
                    }
                } else if let Some(storage) = model.storage.get_mut(id) {
                    storage.unit = None;
                    storage.dying = false;
                }
            }
            Some(gone.app)
        });
        if let Some(app) = app {
            let units = self.change(|state| state.model(model)?.fill(&app));
            self.start_units(model, &app, &units.unwrap_or_default());
            self.forget_if_empty(model, &app);
        }
        self.save();
    }

    fn forget_if_empty(&self, model: &str, app: &str) {
        let over = self.change(|state| {
            let Some(model) = state.models.get_mut(model) else {
                return false;
            };
            let over = model
                .apps
                .get(app)
                .is_some_and(|app| app.life != Life::Alive)
                && model.units_of(app).next().is_none();
            if over {
                model.apps.remove(app);
                model.relations.retain(|_, relation| {
                    !relation.has(app) || (!relation.is_peer() && !relation.inside.is_empty())
                });
                model.secrets.retain(|_, secret| secret.owner != app);
            }
            over
        });
        if over {
            kubernetes::remove_application(&self.api, model, app);
        }
    }

    fn follow_scale(&self, model: &str, app: &str) {
        let count = self.read(|state| {
            let model = state.models.get(model)?;
            model.apps.get(app)?;
            Some(model.units_of(app).count())
        });
        if let Some(count) = count {
            kubernetes::scale(&self.api, model, app, count);
        }
    }
}

/// Whether an application may be called so; in Juju's words where it may not.
fn check_name(name: &str) -> Result<(), String> {
    let known = |c: char| c.is_ascii_lowercase() || c.is_numeric() || c == '-';
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let letter = |c: char| c.is_ascii_lowercase();
    // A unit's name ends in a number after a dash where a slash can't be.
    let word = |part: &str| part.chars().all(plain) && part.contains(letter);
    if name.split('-').all(word) && name.starts_with(letter) {
        return Ok(());
    }
    let tail = name.rsplit_once('-').map_or("", |(_, tail)| tail);
    let why = if name.contains(|c: char| c.is_ascii_uppercase()) {
        ", unexpected uppercase character".to_owned()
    } else if !tail.is_empty() && tail.chars().all(|c| c.is_ascii_digit()) {
        ", unexpected number(s) found after last hyphen".to_owned()
    } else if let Some(odd) = name.chars().find(|c| !known(*c)) {
        format!(", unexpected character {odd}")
    } else {
        String::new()
    };
    Err(format!("invalid application name \"{name}\"{why}"))
}

fn check_deploy(
    model: &Model,
    name: &str,
    charm: &Charm,
    deploy: &Deploy,
) -> Outcome<std::collections::BTreeMap<String, Value>> {
    check_name(name).or_else(|text| refuse(ErrorKind::BadRequest, text))?;
    if model.apps.contains_key(name) || model.remotes.contains_key(name) {
        return refuse(
            ErrorKind::AlreadyExists,
            format!("cannot add application \"{name}\": application already exists"),
        );
    }
    for id in &deploy.attach_storage {
        match model.storage.get(id) {
            Some(storage) if storage.unit.is_none() => {}
            Some(_) => return refuse(ErrorKind::Conflict, format!("storage \"{id}\" is attached")),
            None => return refuse(ErrorKind::NotFound, format!("storage \"{id}\" not found")),
        }
    }
    let set = deploy
        .config
        .iter()
        .map(|(key, text)| Ok((key.clone(), charm.option_value(key, text)?)));
    set.collect()
}

#[cfg(test)]
#[path = "deploy_tests.rs"]
pub(super) mod tests;

impl Model {
    /// The peer relations that an application's charm has and the model has not yet.
    pub fn add_peers(&mut self, name: &str) {
        let Some(app) = self.apps.get(name) else {
            return;
        };
        let peers = app
            .charm
            .endpoints
            .iter()
            .filter(|(_, spec)| spec.role == "peer");
        let ends: Vec<(End, String)> = peers
            .map(|(endpoint, spec)| {
                let end = End {
                    app: name.to_owned(),
                    endpoint: endpoint.clone(),
                    role: "peer".to_owned(),
                };
                (end, spec.interface.clone())
            })
            .collect();
        for (end, interface) in ends {
            let ends = vec![end];
            if !self
                .relations
                .values()
                .any(|relation| relation.ends == ends)
            {
                self.relate(ends, interface);
            }
        }
    }

    /// Makes the units that were asked for, as soon as none leaves any more: as those of a
    /// `StatefulSet` they have the lowest numbers, and what the ones before them have left.
    pub fn fill(&mut self, name: &str) -> Outcome<Vec<String>> {
        if self.units_of(name).any(|unit| unit.life != Life::Alive) {
            return Ok(Vec::new());
        }
        let app = self.app_mut(name)?;
        let count = std::mem::take(&mut app.waiting);
        let mut attach = std::mem::take(&mut app.waiting_volumes);
        let made = (0..count).map(|_| self.new_unit(name, &mut attach));
        let made = made.collect::<Outcome<Vec<String>>>()?;
        self.elect(name);
        Ok(made)
    }

    fn new_unit(&mut self, app: &str, attach: &mut Vec<String>) -> Outcome<String> {
        // The lowest free number, as a StatefulSet gives it.
        let taken: Vec<u32> = self.units_of(app).map(|unit| unit.number).collect();
        let free = |number: &u32| !taken.contains(number);
        let number = (0..=u32::MAX).find(free).unwrap_or_default();
        let name = format!("{app}/{number}");
        let (specs, storage_id) = {
            let app = self.app_mut(app)?;
            app.next_unit = app.next_unit.max(number + 1);
            (app.charm.storage.clone(), app.storage_id.clone())
        };
        let mut storage = Vec::new();
        for (kind, spec) in specs {
            // What this unit number left behind is used again, as a StatefulSet's claim would be.
            let folder = format!("{}/{app}-{kind}-{storage_id}-{app}-{number}", self.name);
            let id = self.claim(&kind, folder, attach);
            if let Some(one) = self.storage.get_mut(&id) {
                one.unit = Some(name.clone());
                one.location = if spec.location.is_empty() {
                    format!("/var/lib/juju/storage/{id}")
                } else {
                    spec.location.clone()
                };
            }
            storage.push(id);
        }
        let mut unit = Unit {
            name: name.clone(),
            app: app.to_owned(),
            number,
            life: Life::Alive,
            token: uuid::Uuid::new_v4().simple().to_string(),
            address: String::new(),
            agent_seen: false,
            workload: Status::default(),
            agent: Status::default(),
            agent_data: Value::Null,
            history: <_>::default(),
            ports: std::collections::BTreeSet::new(),
            saved: Value::Null,
            charm_state: std::collections::BTreeMap::new(),
            resolved: None,
            kill_at_effect: None,
            storage,
            destroy_storage: false,
            pod: None,
            template: None,
            seen: (0, String::new()),
        };
        unit.set_workload(Status::new("waiting", "installing agent"));
        unit.set_agent(Status::new("allocating", ""));
        // An earlier unit of this name is another one.
        for relation in self.relations.values_mut() {
            relation.bags.remove(&name);
        }
        self.units.insert(name.clone(), unit);
        Ok(name)
    }

    /// A storage for a unit: one that is to be attached, the one kept in this folder, or a new one.
    fn claim(&mut self, kind: &str, folder: String, attach: &mut Vec<String>) -> String {
        let fits = |id: &String| id.split('/').next() == Some(kind);
        if let Some(at) = attach.iter().position(fits) {
            return attach.remove(at);
        }
        let kept = |one: &&Storage| one.unit.is_none() && one.folder == folder;
        if let Some(one) = self.storage.values().find(kept) {
            return one.id.clone();
        }
        let next = self.next_storage.entry(kind.to_owned()).or_default();
        let id = format!("{kind}/{next}");
        *next += 1;
        let one = Storage {
            id: id.clone(),
            name: kind.to_owned(),
            folder,
            unit: None,
            location: String::new(),
            dying: false,
        };
        self.storage.insert(id.clone(), one);
        id
    }

    fn dying(&mut self, name: &str, destroy: bool) {
        let Some(unit) = self.units.get_mut(name) else {
            return;
        };
        unit.life = Life::Dying;
        unit.destroy_storage = destroy;
        let storage = unit.storage.clone();
        for id in storage {
            if let Some(storage) = self.storage.get_mut(&id) {
                storage.dying = true;
            }
        }
        for relation in self.relations.values_mut() {
            relation.scope.remove(name);
        }
        self.depose(name);
    }
}
