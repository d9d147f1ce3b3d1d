//! What one unit's agent sees of the model.

use std::collections::BTreeMap;

use juju_local_api::agent::{
    ActionTask, ConsumedSecret, ExecTask, Life, RelationView, StorageView, UnitView,
};

use serde_json::Value;

use super::model::{Model, Relation, Work};
use crate::duration::milliseconds;

/// Models configure it; five minutes otherwise.
const UPDATE_STATUS: u64 = 300_000;

impl Model {
    /// The view of a unit, with a number that grows when it differs from the last one.
    /// `abroad` are the secrets of other models that it reads.
    pub fn view(&mut self, name: &str, abroad: Vec<ConsumedSecret>) -> Option<UnitView> {
        let unit = self.units.get(name)?;
        let app = self.apps.get(&unit.app)?;
        let (config, config_unset) = app.charm.values(&app.config);
        let (actions, execs) = self.waiting(name);
        let planned_units = self.planned(&unit.app);
        let setting = |key: &str| self.config.get(key).map(String::as_str);
        let interval = setting("update-status-hook-interval").and_then(milliseconds);
        // A pod that the rolling update has not reached yet goes on with its charm.
        let modified = unit.template.unwrap_or(app.modified);
        let revision = app.template(modified).revision;
        let mut view = UnitView {
            revision: 0,
            model_name: self.name.clone(),
            model_uuid: self.uuid.clone(),
            life: unit.life,
            app_life: app.life,
            juju_version: self.juju.version().to_owned(),
            charm_modified_version: modified,
            charm_revision: revision,
            charm_source: format!("/var/lib/juju-local/charms/{}-{revision}", app.name),
            config,
            config_unset,
            trust: app.trust,
            leader: app.leader.as_deref() == Some(name),
            address: unit.address.clone(),
            ingress_address: app.address.clone(),
            relations: self
                .relations
                .values()
                .filter(|relation| relation.has(&unit.app))
                .filter(|relation| relation.life == Life::Alive || relation.inside.contains(name))
                .filter(|relation| unit.life == Life::Alive || relation.inside.contains(name))
                .map(|relation| relation_view(relation, &unit.app, name, &self.uuid))
                .collect(),
            storage: self.storage_of(name),
            consumed_secrets: self.consumed(name).into_iter().chain(abroad).collect(),
            owned_secrets: self.owned_due(name),
            actions,
            execs,
            aborting: self
                .tasks
                .values()
                .filter(|task| task.unit == name && task.status == "aborting")
                .map(|task| task.id.to_string())
                .collect(),
            resolved: unit.resolved,
            opened_ports: unit.ports.iter().cloned().collect(),
            unit_status: (unit.workload.word.clone(), unit.workload.message.clone()),
            update_status_interval_ms: interval.unwrap_or(UPDATE_STATUS),
            retry_hooks: setting("automatically-retry-hooks")
                .is_none_or(|value| !value.eq_ignore_ascii_case("false")),
            model_env: self.proxies(),
            saved_state: Value::Null,
            charm_state: unit.charm_state.clone(),
            planned_units,
            leader_settings: app.leader_settings.1,
            kill_at_effect: unit.kill_at_effect,
        };
        let text = serde_json::to_string(&view).unwrap_or_default();
        let unit = self.units.get_mut(name)?;
        if unit.seen.1 != text {
            unit.seen = (unit.seen.0 + 1, text);
        }
        view.revision = unit.seen.0;
        // What the agent itself keeps here is no news to it.
        view.saved_state = unit.saved.clone();
        Some(view)
    }

    /// Tasks of a unit that have yet to begin.
    fn waiting(&self, name: &str) -> (Vec<ActionTask>, Vec<ExecTask>) {
        let (mut actions, mut execs) = (Vec::new(), Vec::new());
        for task in self.tasks.values() {
            if task.unit == name && task.status == "pending" {
                match &task.what {
                    Work::Action(action) => actions.push(action.clone()),
                    Work::Exec(exec) => execs.push(exec.clone()),
                }
            }
        }
        (actions, execs)
    }

    fn storage_of(&self, name: &str) -> Vec<StorageView> {
        let own = self.storage.values();
        own.filter(|storage| storage.unit.as_deref() == Some(name))
            .map(|storage| StorageView {
                id: storage.id.clone(),
                kind: "filesystem".to_owned(),
                location: storage.location.clone(),
                life: if storage.dying {
                    Life::Dying
                } else {
                    Life::Alive
                },
            })
            .collect()
    }

    fn proxies(&self) -> BTreeMap<String, String> {
        let known = ["http", "https", "ftp", "no"]
            .into_iter()
            .filter_map(|kind| {
                let value = self.config.get(&format!("juju-{kind}-proxy"))?;
                Some((
                    format!("JUJU_CHARM_{}_PROXY", kind.to_uppercase()),
                    value.clone(),
                ))
            });
        known.collect()
    }
}

fn relation_view(relation: &Relation, app: &str, unit: &str, model: &str) -> RelationView {
    let own = relation.ends.iter().find(|end| end.app == app);
    let other = relation.other(app);
    let prefix = format!("{other}/");
    let version = |entity: &str| relation.version(entity);
    let units = relation
        .scope
        .iter()
        .filter(|name| name.starts_with(&prefix) && *name != unit)
        .map(|name| (name.clone(), version(name)))
        .collect();
    RelationView {
        id: relation.id,
        endpoint: own.map(|end| end.endpoint.clone()).unwrap_or_default(),
        role: own.map(|end| end.role.clone()).unwrap_or_default(),
        interface: relation.interface.clone(),
        // A unit is not told what it has written itself.
        app_version: if relation
            .writers
            .get(&other)
            .is_some_and(|writer| writer == unit)
        {
            0
        } else {
            version(&other)
        },
        remote_app: other,
        life: relation.life,
        suspended: relation.suspended,
        units,
        remote_model_uuid: relation
            .remote_uuid
            .clone()
            .unwrap_or_else(|| model.to_owned()),
    }
}
