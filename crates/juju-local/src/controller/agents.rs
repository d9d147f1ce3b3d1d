//! Requests of units' agents.

use std::sync::Arc;
use std::time::{Duration, Instant};

use juju_local_api::agent::{ActionEnd, AgentRequest, HookChanges, Life};
use juju_local_api::{ApiError, ErrorKind};
use serde_json::{Value, json};

use super::daemon::Controller;
use super::model::{Model, Outcome, Status, not_found, now, refuse};
use crate::juju::Juju;

/// Leadership is lost when its holder was silent for so long.
pub(super) const LEASE: Duration = Duration::from_mins(1);

fn value(of: impl serde::Serialize) -> Outcome<Value> {
    serde_json::to_value(of).map_err(|error| ApiError::new(ErrorKind::Internal, error.to_string()))
}

impl Controller {
    /// Answers an agent.
    pub(super) async fn agent(
        self: &Arc<Self>,
        model: &str,
        unit: &str,
        token: &str,
        request: AgentRequest,
    ) -> Outcome<Value> {
        let known = self.read(|state| {
            let model = state.models.get(model)?;
            Some(model.units.get(unit)?.token == token)
        });
        if known != Some(true) {
            return refuse(ErrorKind::PermissionDenied, "unknown unit or token");
        }
        match request {
            AgentRequest::Watch { since, wait_ms } => {
                self.watch_unit(model, unit, since, Duration::from_millis(wait_ms))
                    .await
            }
            AgentRequest::Resource(name) => {
                let charms = self.charms(model);
                self.read(|state| {
                    let model = state.model(model)?;
                    let app = model.app(&model.unit(unit)?.app)?;
                    Ok(json!(super::resources::find(&charms, app, &name)?))
                })
            }
            AgentRequest::Log(lines) => {
                self.logs.add(model, lines);
                Ok(Value::Null)
            }
            AgentRequest::Ran(ran) => {
                let line = json!({"model": model, "unit": unit, "ran": ran});
                if let Err(error) = super::logs::keep_run(&self.home.hook_runs(), &line) {
                    tracing::warn!("cannot keep what a hook of {unit} has cost: {error}");
                }
                Ok(Value::Null)
            }
            AgentRequest::NewSecretId => Ok(json!(super::secrets::new_id())),
            AgentRequest::Dead => {
                self.change(|state| {
                    state.model(model)?.unit_mut(unit)?.life = Life::Dead;
                    Ok(())
                })?;
                // Its pod goes, and with it whoever waits for the answer.
                let (own, model, unit) = (self.clone(), model.to_owned(), unit.to_owned());
                tokio::spawn(async move { own.unit_dead(&model, &unit).await });
                Ok(Value::Null)
            }
            // Nobody else sees it.
            AgentRequest::SaveState(saved) => self.read(|state| {
                state.model(model)?.unit_mut(unit)?.saved = saved;
                Ok(Value::Null)
            }),
            AgentRequest::SecretGet {
                key,
                set_label,
                peek,
            } => self
                .change(|state| value(state.secret_get(model, unit, &key, (set_label, peek))?)),
            AgentRequest::Commit(changes) => self.change(|state| {
                let done = commit(state.model(model)?, unit, &changes)?;
                state.track_abroad(model, unit, &changes.secrets_track);
                Ok(done)
            }),
            other => self.change(|state| {
                let model = state.model(model)?;
                agent_request(model, unit, other)
            }),
        }
    }

    async fn watch_unit(
        &self,
        model: &str,
        unit: &str,
        since: u64,
        wait: Duration,
    ) -> Outcome<Value> {
        let mut changed = self.changed.subscribe();
        let until = Instant::now() + wait;
        loop {
            changed.borrow_and_update();
            let view = self.read(|state| {
                let abroad = state.consumed_abroad(model, unit);
                let model = state.models.get_mut(model)?;
                let app = model.units.get(unit)?.app.clone();
                if let Some(app) = model.apps.get_mut(&app)
                    && app.leader.as_deref() == Some(unit)
                {
                    app.lease = Instant::now();
                }
                model.view(unit, abroad)
            });
            let Some(view) = view else {
                return refuse(ErrorKind::NotFound, "the unit is gone");
            };
            let left = until.saturating_duration_since(Instant::now());
            if view.revision > since || left.is_zero() {
                return value(view);
            }
            let _ = tokio::time::timeout(left, changed.changed()).await;
        }
    }

    /// Gives on leadership whose holder is silent, and wakes agents when a secret is due.
    pub(super) async fn keep_leases(&self) {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        let mut last = jiff::Timestamp::now();
        loop {
            ticks.tick().await;
            let now = jiff::Timestamp::now();
            let due = self.read(|state| state.models.values().any(|m| m.secrets_due(last, now)));
            last = now;
            if due {
                self.change(|_| ());
            }
            let silent: Vec<(String, String)> = self.read(|state| {
                let models = state.models.values();
                let apps = models.flat_map(|m| m.apps.values().map(move |app| (m, app)));
                apps.filter(|(_, app)| app.lease.elapsed() > LEASE)
                    .filter_map(|(m, app)| Some((m.name.clone(), app.leader.clone()?)))
                    .collect()
            });
            for (model, unit) in silent {
                self.change(|state| {
                    if let Some(model) = state.models.get_mut(&model) {
                        if let Some(unit) = model.units.get_mut(&unit) {
                            unit.agent_seen = false;
                        }
                        model.depose(&unit);
                    }
                });
            }
        }
    }
}

pub(super) fn agent_request(
    model: &mut Model,
    unit: &str,
    request: AgentRequest,
) -> Outcome<Value> {
    match request {
        AgentRequest::Started { address, .. } => {
            started(model, unit, &address);
            Ok(Value::Null)
        }
        AgentRequest::ReadBag { relation, entity } => {
            value(model.read_bag(unit, relation, &entity)?)
        }
        AgentRequest::SetStatus {
            application,
            status,
            message,
        } => set_status(model, unit, application, &status, &message),
        AgentRequest::SetAgentStatus {
            status,
            message,
            data,
        } => {
            let unit = model.unit_mut(unit)?;
            unit.set_agent(Status::new(&status, &message));
            unit.agent_data = data;
            Ok(Value::Null)
        }
        AgentRequest::SetWorkloadVersion(version) => {
            let app = model.unit(unit)?.app.clone();
            model.app_mut(&app)?.version = version;
            Ok(Value::Null)
        }
        AgentRequest::IsLeader => Ok(json!(model.is_leader(unit))),
        AgentRequest::LeaderGet => {
            let app = &model.unit(unit)?.app;
            value(&model.app(app)?.leader_settings.0)
        }
        AgentRequest::LeaderSet(values) => leader_set(model, unit, values),
        AgentRequest::ApplicationStatus => application_status(model, unit),
        AgentRequest::GoalState => {
            // Juju 4 fails between a unit's last hook and the end of its relations.
            let mut dead = model.units.values().filter(|unit| unit.life == Life::Dead);
            if let Some(dead) = dead.next().filter(|_| model.juju.is_4()) {
                return Err(not_found("unit", &dead.name));
            }
            Ok(goal_state(model, unit))
        }
        AgentRequest::NetworkInfo {
            binding,
            relation: _,
        } => network(model, unit, &binding),
        AgentRequest::SecretInfo(key) => value(model.secret_info(unit, &key)?),
        AgentRequest::SecretsOwned => value(model.secrets_owned(unit)),
        AgentRequest::Credential => refuse(
            ErrorKind::PermissionDenied,
            "cannot access cloud credentials: the local model has none",
        ),
        AgentRequest::ClearResolved => {
            model.unit_mut(unit)?.resolved = None;
            Ok(Value::Null)
        }
        AgentRequest::LeaveRelation(id) => {
            model.leave_relation(unit, id);
            Ok(Value::Null)
        }
        AgentRequest::FaultUsed => {
            model.unit_mut(unit)?.kill_at_effect = None;
            Ok(Value::Null)
        }
        other => {
            task_request(model, other);
            Ok(Value::Null)
        }
    }
}

/// What an agent tells of actions and commands.
fn task_request(model: &mut Model, request: AgentRequest) {
    match request {
        AgentRequest::ActionBegin(id) => {
            if let Some(task) = model.task_mut(&id) {
                task.status = "running".into();
                task.started = Some(now());
            }
        }
        AgentRequest::ActionLog { id, message } => {
            if let Some(task) = model.task_mut(&id) {
                task.log.push((now(), message));
            }
        }
        AgentRequest::ActionEnd(end) => {
            end_task(model, &end);
        }
        AgentRequest::ExecEnd { id, results } => {
            let end = ActionEnd {
                id,
                status: "completed".into(),
                message: String::new(),
                results,
            };
            end_task(model, &end);
        }
        // Answered before.
        _ => {}
    }
}

fn end_task(model: &mut Model, end: &ActionEnd) {
    if let Some(task) = model.task_mut(&end.id) {
        task.status.clone_from(&end.status);
        task.message.clone_from(&end.message);
        task.results = end.results.clone();
        task.completed = Some(now());
    }
}

fn started(model: &mut Model, name: &str, address: &str) {
    let Some(unit) = model.units.get_mut(name) else {
        return;
    };
    unit.agent_seen = true;
    unit.kill_at_effect = None;
    let (app, alive) = (unit.app.clone(), unit.life == Life::Alive);
    for relation in model.relations.values_mut() {
        if alive && relation.life == Life::Alive && relation.has(&app) {
            relation.enter(name, address);
        }
    }
    // What an earlier agent of this unit has begun was cut off with it.
    for task in model.tasks.values_mut() {
        let begun = ["running", "aborting"].contains(&task.status.as_str());
        if begun && task.unit == name {
            task.end("failed", "action terminated");
        }
    }
    model.elect(&app);
}

fn commit(model: &mut Model, unit: &str, changes: &HookChanges) -> Outcome<Value> {
    for write in &changes.databags {
        model.check_write(unit, write)?;
    }
    model.check_secrets(unit, changes)?;
    for write in &changes.databags {
        model.write_bag(unit, write);
    }
    model.apply_secrets(unit, changes);
    let unit = model.unit_mut(unit)?;
    unit.ports.extend(changes.open_ports.iter().cloned());
    for port in &changes.close_ports {
        unit.ports.remove(port);
    }
    for (key, value) in &changes.state {
        match value {
            Some(value) => drop(unit.charm_state.insert(key.clone(), value.clone())),
            None => drop(unit.charm_state.remove(key)),
        }
    }
    Ok(Value::Null)
}

fn leader_set(model: &mut Model, unit: &str, values: juju_local_api::agent::Bag) -> Outcome<Value> {
    if !model.is_leader(unit) {
        return refuse(
            ErrorKind::NotLeader,
            "cannot write leadership settings: cannot write settings: not the leader",
        );
    }
    let app = model.unit(unit)?.app.clone();
    let (settings, version) = &mut model.app_mut(&app)?.leader_settings;
    let before = settings.clone();
    settings.extend(values);
    settings.retain(|_, value| !value.is_empty());
    if *settings != before {
        *version += 1;
    }
    Ok(Value::Null)
}

fn set_status(
    model: &mut Model,
    unit: &str,
    application: bool,
    word: &str,
    message: &str,
) -> Outcome<Value> {
    if application {
        let app = model.unit(unit)?.app.clone();
        if !model.is_leader(unit) {
            let text = match model.juju {
                Juju::V3 => "this unit is not the leader".to_owned(),
                Juju::V4 => format!("\"{unit}\" is not leader of \"{app}\""),
            };
            return refuse(ErrorKind::NotLeader, text);
        }
        model.app_mut(&app)?.set_status(Status::new(word, message));
    } else {
        model
            .unit_mut(unit)?
            .set_workload(Status::new(word, message));
    }
    Ok(Value::Null)
}

fn application_status(model: &Model, unit: &str) -> Outcome<Value> {
    if !model.is_leader(unit) {
        return refuse(
            ErrorKind::NotLeader,
            "finding application status: this unit is not the leader",
        );
    }
    let app = model.app(&model.unit(unit)?.app)?;
    let status = app
        .status
        .clone()
        .unwrap_or_else(|| Status::new("unknown", ""));
    let units: serde_json::Map<String, Value> = model
        .units_of(&app.name)
        .map(|unit| {
            let value = json!({"message": unit.workload.message, "status": unit.workload.word, "status-data": {}});
            (unit.name.clone(), value)
        })
        .collect();
    Ok(json!({"application-status": {
        "message": status.message, "status": status.word, "status-data": {}, "units": units,
    }}))
}

/// A time as `goal-state` prints it.
fn since(time: &str) -> String {
    time.replacen('T', " ", 1)
}

fn goal_state(model: &Model, unit: &str) -> Value {
    let app = unit.split('/').next().unwrap_or_default();
    let status = |unit: &super::model::Unit| {
        let word = if unit.life == Life::Alive {
            unit.workload.word.clone()
        } else {
            "dying".to_owned()
        };
        json!({"status": word, "since": since(&unit.workload.since)})
    };
    let units: serde_json::Map<String, Value> = model
        .units_of(app)
        .map(|unit| (unit.name.clone(), status(unit)))
        .collect();
    let mut relations = serde_json::Map::new();
    for relation in model
        .relations
        .values()
        .filter(|relation| relation.has(app))
    {
        let Some(own) = relation.ends.iter().find(|end| end.app == app) else {
            continue;
        };
        let other = relation.other(app);
        let word = if relation.life == Life::Alive {
            "joined"
        } else {
            "dying"
        };
        let mut entries = serde_json::Map::new();
        entries.insert(
            other.clone(),
            json!({"status": word, "since": since(&model.created)}),
        );
        entries.extend(
            model
                .units_of(&other)
                .map(|unit| (unit.name.clone(), status(unit))),
        );
        relations.insert(own.endpoint.clone(), Value::Object(entries));
    }
    json!({"units": units, "relations": relations})
}

fn network(model: &Model, unit: &str, binding: &str) -> Outcome<Value> {
    let unit = model.unit(unit)?;
    let app = model.app(&unit.app)?;
    let known = app.charm.endpoints.contains_key(binding)
        || app.charm.extra_bindings.iter().any(|name| name == binding)
        || binding == "juju-info";
    if !known || unit.address.is_empty() {
        let text = format!("no network config found for binding \"{binding}\"");
        return refuse(ErrorKind::NotFound, text);
    }
    let (interface, host, cidr) = match model.juju {
        Juju::V3 => (String::new(), "", ""),
        Juju::V4 => {
            let interface = format!("placeholder for \"{}\" cloud container", unit.name);
            (interface, unit.address.as_str(), "0.0.0.0/0")
        }
    };
    Ok(json!({
        "bind-addresses": [{
            "mac-address": "", "interface-name": interface,
            "addresses": [{"hostname": host, "value": unit.address, "cidr": cidr}],
        }],
        "egress-subnets": [format!("{}/32", app.address)],
        "ingress-addresses": [app.address],
    }))
}
