//! Rolling updates, as Kubernetes' controller of `StatefulSets` does them: from the highest ordinal
//! down to the partition, each pod only when all above it are of the new template and ready.

use std::collections::BTreeSet;
use std::sync::Arc;

use juju_local_api::agent::Life;
use serde_json::{Value, json};

use super::daemon::Controller;
use super::kubernetes;
use super::model::{App, Template};
use super::pods::PodCommand;
use super::resources;

impl App {
    /// Remembers what pods of the current number are made from.
    pub fn keep_template(&mut self) {
        let template = self.newest_template();
        self.templates.insert(self.modified, template);
    }

    fn newest_template(&self) -> Template {
        let mut containers = self.charm.containers.clone();
        for container in containers.values_mut() {
            let resource = container.resource.as_ref();
            let value = resource.and_then(|name| self.resources.get(name));
            container.image = value.and_then(|value| resources::overlay(value));
        }
        Template {
            revision: self.revision,
            containers,
        }
    }

    /// What pods of this number are made from.
    pub fn template(&self, modified: u64) -> Template {
        let known = self.templates.get(&modified).cloned();
        known.unwrap_or_else(|| self.newest_template())
    }

    /// Kubernetes' name for them.
    pub fn revision_name(&self, modified: u64) -> String {
        format!("{}-{modified}", self.name)
    }
}

/// A unit, as a rolling update sees it.
struct Rolled {
    unit: String,
    ordinal: u32,
    pod: Option<Value>,
}

impl Rolled {
    fn revision(&self) -> Option<&str> {
        let path = "/metadata/labels/controller-revision-hash";
        self.pod.as_ref()?.pointer(path)?.as_str()
    }

    fn uid(&self) -> Option<String> {
        let uid = self.pod.as_ref()?.pointer("/metadata/uid")?.as_str()?;
        Some(uid.to_owned())
    }

    fn leaving(&self) -> bool {
        let path = "/metadata/deletionTimestamp";
        self.pod
            .as_ref()
            .is_some_and(|pod| pod.pointer(path).is_some())
    }

    fn ready(&self) -> bool {
        let conditions = self
            .pod
            .as_ref()
            .and_then(|pod| pod.pointer("/status/conditions"))
            .and_then(Value::as_array);
        conditions.into_iter().flatten().any(|condition| {
            let is = |key: &str, text: &str| condition.get(key).is_some_and(|v| v == text);
            is("type", "Ready") && is("status", "True")
        })
    }
}

impl Controller {
    /// Decides what a unit's next pod is made from: of the newest template from the partition on;
    /// below it, of the one that it had.
    pub(super) fn choose_template(&self, model: &str, unit: &str) {
        let app = self.read(|state| {
            let unit = state.models.get(model)?.units.get(unit)?;
            Some(unit.app.clone())
        });
        let Some(app) = app else { return };
        let partition = kubernetes::partition(&self.api, model, &app);
        self.change(|state| {
            let model = state.models.get_mut(model)?;
            let newest = model.apps.get(&app)?.modified;
            let unit = model.units.get_mut(unit)?;
            if unit.template.is_none() || unit.number >= partition {
                unit.template = Some(newest);
            }
            Some(())
        });
    }

    /// Keeps the pods of a model's applications as their templates want them.
    pub(super) async fn follow_rollouts(self: Arc<Self>, model: &str) {
        let mut changes = self.api.changes();
        // A pod that was told to go still stands for a moment.
        let mut told = BTreeSet::new();
        loop {
            changes.borrow_and_update();
            let apps = self.read(|state| {
                let apps = state.models.get(model).map(|model| &model.apps);
                apps.into_iter()
                    .flatten()
                    .map(|(name, _)| name.clone())
                    .collect::<Vec<_>>()
            });
            for app in apps {
                self.roll(model, &app, &mut told);
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// The next step of an application's rolling update, if there is one.
    fn roll(&self, model: &str, app: &str, told: &mut BTreeSet<String>) {
        let found = self.read(|state| {
            let model = state.models.get(model)?;
            let app = model.apps.get(app)?;
            let alive = model.units_of(&app.name).filter(|u| u.life == Life::Alive);
            let mut units: Vec<(u32, String)> =
                alive.map(|unit| (unit.number, unit.name.clone())).collect();
            units.sort();
            Some((app.revision_name(app.modified), units))
        });
        let Some((wanted, units)) = found else { return };
        let pods: Vec<Rolled> = units
            .into_iter()
            .rev()
            .map(|(ordinal, unit)| Rolled {
                pod: self.api.get("pods", model, &unit.replace('/', "-")),
                unit,
                ordinal,
            })
            .collect();
        let partition = kubernetes::partition(&self.api, model, app);
        for pod in pods.iter().filter(|pod| pod.ordinal >= partition) {
            let Some(uid) = pod.uid().filter(|_| !pod.leaving()) else {
                break;
            };
            if pod.revision() != Some(&wanted) {
                if told.insert(uid) {
                    self.tell_pod(model, &pod.unit, PodCommand::Replace { grace: true });
                }
                break;
            }
            if !pod.ready() {
                break;
            }
        }
        let count = |hit: &dyn Fn(&Rolled) -> bool| pods.iter().filter(|pod| hit(pod)).count();
        let updated = count(&|pod| pod.revision() == Some(&wanted));
        let mut status = json!({
            "replicas": pods.len(), "updateRevision": wanted, "updatedReplicas": updated,
            "readyReplicas": count(&Rolled::ready),
        });
        if updated == pods.len()
            && let Some(status) = status.as_object_mut()
        {
            status.insert("currentRevision".into(), json!(wanted));
        }
        kubernetes::set_status(&self.api, model, app, &status);
    }
}
