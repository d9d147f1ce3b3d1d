//! New charms and resources of applications that run: pods replaced one after another.

use std::collections::BTreeMap;
use std::sync::Arc;

use juju_local_api::ErrorKind;
use serde_json::{Value, json};

use super::daemon::Controller;
use super::model::{Outcome, refuse};
use super::pods::PodCommand;
use super::{charm, resources};

/// What is new.
pub(super) struct Refresh<'a> {
    pub path: Option<&'a str>,
    pub resources: BTreeMap<String, String>,
    pub config: &'a BTreeMap<String, String>,
    pub trust: Option<bool>,
}

impl Controller {
    pub(super) fn refresh(
        self: &Arc<Self>,
        model: &str,
        name: &str,
        new: Refresh<'_>,
    ) -> Outcome<Value> {
        let (old, revision) = self.read(|state| {
            let app = state.model(model)?.app(name)?;
            Ok((app.charm.clone(), app.revision + 1))
        })?;
        let store = self.charms(model);
        let loaded = match new.path {
            Some(path) => Some(charm::load(
                path,
                &store.join(format!("{name}-{revision}")),
            )?),
            None => None,
        };
        if let Some(loaded) = &loaded
            && loaded.name != old.name
        {
            let _ = std::fs::remove_dir_all(store.join(format!("{name}-{revision}")));
            let text = format!(
                "cannot refresh application \"{name}\": it is deployed from charm \"{}\", not \"{}\"",
                old.name, loaded.name
            );
            return refuse(ErrorKind::BadRequest, text);
        }
        let charm = loaded.as_ref().unwrap_or(&old);
        let mut options = BTreeMap::new();
        for (key, text) in new.config {
            options.insert(key.clone(), charm.option_value(key, text)?);
        }
        for (resource, value) in &new.resources {
            resources::keep(&store, charm, name, resource, value)?;
        }
        self.change(|state| {
            let model = state.model(model)?;
            let app = model.app_mut(name)?;
            if let Some(charm) = loaded {
                app.charm = charm;
                app.revision = revision;
            }
            app.modified += 1;
            app.resources.extend(new.resources);
            app.config.extend(options);
            app.trust = new.trust.unwrap_or(app.trust);
            model.add_peers(name);
            Ok(())
        })?;
        if let Some(trust) = new.trust {
            super::kubernetes::roles(&self.api, model, name, trust);
        }
        let (own, model, app) = (self.clone(), model.to_owned(), name.to_owned());
        tokio::spawn(async move { own.roll(&model, &app).await });
        Ok(json!(name))
    }

    /// As a StatefulSet does it: from the highest number down, each pod only when the one before it
    /// is ready. The number of the charm's changes is part of the pods' template: each refresh means
    /// new pods.
    async fn roll(self: Arc<Self>, model: &str, app: &str) {
        let modified = |state: &super::daemon::State| {
            let model = state.models.get(model)?;
            Some(model.apps.get(app)?.modified)
        };
        let wanted = self.read(|state| modified(state));
        let mut units: Vec<(u32, String)> = self.read(|state| {
            let model = state.models.get(model);
            let units = model.into_iter().flat_map(|model| model.units_of(app));
            units.map(|unit| (unit.number, unit.name.clone())).collect()
        });
        units.sort();
        for (_, unit) in units.into_iter().rev() {
            if self.read(|state| modified(state)) != wanted {
                return;
            }
            let before = self.pod_uid(model, &unit);
            if !self.tell_pod(model, &unit, PodCommand::Replace { grace: true }) {
                continue;
            }
            let mut changes = self.api.changes();
            loop {
                changes.borrow_and_update();
                let stale = self.read(|state| modified(state)) != wanted;
                if stale || self.renewed(model, &unit, before.as_ref()) {
                    break;
                }
                if changes.changed().await.is_err() {
                    return;
                }
            }
        }
    }

    fn pod(&self, model: &str, unit: &str) -> Option<Value> {
        self.api.get("pods", model, &unit.replace('/', "-"))
    }

    fn pod_uid(&self, model: &str, unit: &str) -> Option<Value> {
        self.pod(model, unit)?.pointer("/metadata/uid").cloned()
    }

    /// Whether a unit has another pod than before and it is ready, or the unit is no more.
    fn renewed(&self, model: &str, unit: &str, before: Option<&Value>) -> bool {
        let there = self.read(|state| {
            let model = state.models.get(model);
            model.is_some_and(|model| model.units.contains_key(unit))
        });
        let ready = |pod: &Value| {
            let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
            conditions.into_iter().flatten().any(|condition| {
                let is = |key: &str, text: &str| condition.get(key).is_some_and(|v| v == text);
                is("type", "Ready") && is("status", "True")
            })
        };
        let new = self.pod_uid(model, unit).as_ref() != before;
        !there || (new && self.pod(model, unit).is_some_and(|pod| ready(&pod)))
    }
}
