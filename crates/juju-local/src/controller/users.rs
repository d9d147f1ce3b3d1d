//! Requests of the CLI.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use juju_local_api::user::{DebugLog, ModelRequest, UserRequest};
use juju_local_api::{ApiError, ErrorKind, Reply};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

use super::daemon::Controller;
use super::force::Force;
use super::model::{Outcome, not_found};
use super::refresh::Refresh;
use super::{kubernetes, user_secrets};

/// Where parts of an answer go.
pub(super) type Parts = mpsc::Sender<Reply>;

fn value(of: impl serde::Serialize) -> Outcome<Value> {
    serde_json::to_value(of).map_err(|error| ApiError::new(ErrorKind::Internal, error.to_string()))
}

async fn part(parts: &Parts, value: Value) -> bool {
    parts.send(Reply::Part(value)).await.is_ok()
}

impl Controller {
    /// Answers the CLI.
    pub(super) async fn user(
        self: &Arc<Self>,
        request: UserRequest,
        parts: &Parts,
    ) -> Outcome<Value> {
        match request {
            UserRequest::ControllerInfo => Ok(json!({
                "name": self.name, "uuid": self.uuid, "version": self.juju.version(),
                "pid": std::process::id(), "home": self.home.path(), "kubernetes": self.api.url(),
            })),
            UserRequest::DestroyController { release_storage } => {
                let models: Vec<String> = self.read(|state| state.models.keys().cloned().collect());
                for model in models {
                    part(parts, json!(format!("destroying model {model}"))).await;
                    self.destroy_model(&model, release_storage, true).await?;
                }
                self.save();
                self.stop.notify_one();
                Ok(Value::Null)
            }
            UserRequest::Models => Ok(json!({
                "models": self.read(|state| {
                    let shown = state.models.values().map(|m| m.summary(&self.name, &self.uuid));
                    shown.collect::<Vec<_>>()
                }),
                "current-model": null,
            })),
            UserRequest::AddModel { name, config } => self.add_model(&name, config).await,
            UserRequest::DestroyModel {
                name,
                release_storage,
                force,
            } => {
                self.read(|state| state.model(&name).map(drop))?;
                part(parts, json!(format!("destroying model {name}"))).await;
                self.destroy_model(&name, release_storage, force).await
            }
            UserRequest::Model { model, request } => {
                let model = model
                    .rsplit(['/', ':'])
                    .next()
                    .unwrap_or_default()
                    .to_owned();
                self.read(|state| state.model(&model).map(drop))?;
                self.model_request(&model, request, parts).await
            }
        }
    }

    async fn model_request(
        self: &Arc<Self>,
        name: &str,
        request: ModelRequest,
        parts: &Parts,
    ) -> Outcome<Value> {
        match request {
            ModelRequest::Deploy(deploy) => self.deploy(name, &deploy),
            ModelRequest::Refresh {
                app,
                path,
                resources,
                config,
                trust,
                ..
            } => {
                let new = Refresh {
                    path: path.as_deref(),
                    resources,
                    config: &config,
                    trust,
                };
                self.refresh(name, &app, new)
            }
            ModelRequest::AttachResource {
                app,
                name: resource,
                value,
            } => {
                let new = Refresh {
                    path: None,
                    resources: BTreeMap::from([(resource, value)]),
                    config: &BTreeMap::new(),
                    trust: None,
                };
                self.refresh(name, &app, new)
            }
            ModelRequest::WatchStatus => self.watch_status(name, parts).await,
            ModelRequest::AddUnit {
                app,
                count,
                attach_storage,
            } => self.add_units(name, &app, count, &attach_storage),
            ModelRequest::RemoveUnit {
                app,
                count,
                destroy_storage,
                force,
                no_wait,
            } => {
                let force = Force::of(force, no_wait);
                self.remove_units(name, &app, count, destroy_storage, force)
                    .await
            }
            ModelRequest::Scale { app, scale } => self.scale(name, &app, scale).await,
            ModelRequest::RemoveApplication {
                app,
                destroy_storage,
                force,
                no_wait,
            } => {
                let force = Force::of(force, no_wait);
                self.remove_application(name, &app, destroy_storage, force)
                    .await
            }
            ModelRequest::Trust { app, trust } => {
                self.change(|state| {
                    state.model(name)?.app_mut(&app)?.trust = trust;
                    Ok(())
                })?;
                kubernetes::roles(&self.api, name, &app, trust);
                Ok(Value::Null)
            }
            other => self.more_request(name, other, parts).await,
        }
    }

    async fn more_request(
        self: &Arc<Self>,
        name: &str,
        request: ModelRequest,
        parts: &Parts,
    ) -> Outcome<Value> {
        match request {
            ModelRequest::WaitTask { id, wait_ms } => {
                self.wait_task(name, &id, wait_ms, parts).await
            }
            ModelRequest::Ssh {
                unit,
                container,
                argv,
                stdin,
            } => {
                self.ssh(name, &unit, &container, &argv, &stdin, parts)
                    .await
            }
            ModelRequest::SshPlan {
                unit,
                container,
                argv,
            } => {
                let argv = if argv.is_empty() {
                    vec!["/bin/bash".to_owned()]
                } else {
                    argv
                };
                let container = self.container(name, &unit, &container).await?;
                let variables = container_variables(container.pid);
                let pairs = variables
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"));
                let line = ["env", "-i"].map(str::to_owned).into_iter();
                let line = line.chain(pairs).chain(container.enter(&argv));
                Ok(json!(line.collect::<Vec<String>>()))
            }
            ModelRequest::NetworkPlan => {
                let namespace = self.infra(name)?.network.namespace().to_owned();
                Ok(json!(["ip", "netns", "exec", namespace]))
            }
            ModelRequest::DebugLog(wanted) => self.debug_log(name, &wanted, parts).await,
            ModelRequest::Fault(fault) => self.fault(name, *fault).await,
            ModelRequest::Integrate { a, b, .. } => {
                self.change(|state| state.integrate(name, &a, &b))
            }
            ModelRequest::Offer {
                app,
                endpoints,
                name: offer,
            } => self.change(|state| state.offer(name, &app, &endpoints, &offer)),
            ModelRequest::Offers => Ok(self.read(|state| state.offers(name))),
            ModelRequest::RemoveOffer { name: offer, force } => {
                self.change(|state| state.remove_offer(name, &offer, force))
            }
            ModelRequest::Consume { url, alias } => {
                self.change(|state| state.consume(name, &url, alias))
            }
            ModelRequest::RemoveSaas(names) => self.change(|state| state.remove_saas(name, &names)),
            other => self.change(|state| {
                let controller = (self.name.as_str(), self.uuid.as_str());
                plain(state.model(name)?, controller, other)
            }),
        }
    }

    async fn scale(self: &Arc<Self>, model: &str, app: &str, scale: u32) -> Outcome<Value> {
        let now = self.read(|state| {
            let model = state.model(model)?;
            model.app(app)?;
            Ok(model.planned(app))
        })?;
        if scale >= now {
            self.add_units(model, app, scale - now, &[])
        } else {
            self.remove_units(model, app, now - scale, false, Force::No)
                .await
        }
    }

    async fn watch_status(&self, name: &str, parts: &Parts) -> Outcome<Value> {
        let mut changed = self.changed.subscribe();
        loop {
            changed.borrow_and_update();
            let status = self.read(|state| Ok(state.model(name)?.status(&self.name)))?;
            if !part(parts, value(status)?).await || changed.changed().await.is_err() {
                return Ok(Value::Null);
            }
        }
    }

    async fn wait_task(&self, model: &str, id: &str, wait: u64, parts: &Parts) -> Outcome<Value> {
        let mut changed = self.changed.subscribe();
        let until = Instant::now() + Duration::from_millis(wait);
        let mut told = 0;
        loop {
            changed.borrow_and_update();
            let task = self.read(|state| state.model(model)?.task(id).cloned())?;
            for (time, message) in task.log.iter().skip(told) {
                told += 1;
                part(parts, json!({"time": time, "message": message})).await;
            }
            let left = until.saturating_duration_since(Instant::now());
            if task.ended() || left.is_zero() {
                let mut shown = task.json();
                if self.juju.is_4()
                    && let Some(timing) = shown.get_mut("timing").and_then(Value::as_object_mut)
                {
                    timing.remove("completed");
                }
                return Ok(shown);
            }
            let _ = tokio::time::timeout(left, changed.changed()).await;
        }
    }

    async fn debug_log(&self, model: &str, wanted: &DebugLog, parts: &Parts) -> Outcome<Value> {
        let mut count = self.logs.count.subscribe();
        let (mut last, mut lines) = self.logs.after(model, 0, wanted);
        if !wanted.replay {
            let keep = wanted.lines.unwrap_or(10);
            let skip = lines.len().saturating_sub(keep);
            lines.drain(..skip);
        }
        let mut sent = 0;
        loop {
            for line in lines {
                if wanted.limit.is_some_and(|limit| sent >= limit) {
                    return Ok(Value::Null);
                }
                sent += 1;
                if !part(parts, value(line)?).await {
                    return Ok(Value::Null);
                }
            }
            if !wanted.follow || count.changed().await.is_err() {
                return Ok(Value::Null);
            }
            (last, lines) = self.logs.after(model, last, wanted);
        }
    }

    async fn ssh(
        &self,
        model: &str,
        unit: &str,
        container: &str,
        argv: &[String],
        stdin: &str,
        parts: &Parts,
    ) -> Outcome<Value> {
        let container = self.container(model, unit, container).await?;
        let line = container.enter(argv);
        let failed = |error: std::io::Error| {
            ApiError::new(ErrorKind::Internal, format!("cannot run it: {error}"))
        };
        let Some((program, words)) = line.split_first() else {
            return Ok(json!(1));
        };
        let mut child = tokio::process::Command::new(program)
            .args(words)
            .env_clear()
            .envs(container_variables(container.pid))
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        if let Some(mut pipe) = child.stdin.take() {
            use tokio::io::AsyncWriteExt;
            let input = STANDARD.decode(stdin).unwrap_or_default();
            let _ = pipe.write_all(&input).await;
        }
        let (out, err) = (child.stdout.take(), child.stderr.take());
        tokio::join!(pump("stdout", out, parts), pump("stderr", err, parts));
        let status = child.wait().await.map_err(failed)?;
        Ok(json!(status.code().unwrap_or(255)))
    }
}

/// The environment of a container's processes: what its first one was started with.
fn container_variables(pid: i32) -> BTreeMap<String, String> {
    let bytes = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
    let mut variables: BTreeMap<String, String> = pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    for (name, value) in [("PATH", path), ("HOME", "/root")] {
        variables.entry(name.to_owned()).or_insert(value.to_owned());
    }
    variables
}

async fn pump(name: &str, pipe: Option<impl tokio::io::AsyncRead + Unpin>, parts: &Parts) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = vec![0; 32 << 10];
    while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
        let text = STANDARD.encode(buffer.get(..count).unwrap_or_default());
        if !part(parts, json!({name: text})).await {
            return;
        }
    }
}

/// Requests that look at or change the model alone.
fn plain(
    model: &mut super::model::Model,
    (controller, uuid): (&str, &str),
    request: ModelRequest,
) -> Outcome<Value> {
    match request {
        ModelRequest::Show => Ok(json!({model.name.clone(): model.summary(controller, uuid)})),
        ModelRequest::ConfigGet => Ok(model.settings()),
        ModelRequest::ConfigSet { set, reset } => {
            model.config.extend(set);
            for key in reset {
                model.config.remove(&key);
            }
            Ok(Value::Null)
        }
        ModelRequest::Status => value(model.status(controller)),
        ModelRequest::StatusLog(wanted) => model.status_log(&wanted),
        ModelRequest::RemoveRelation { ends, force } => model.remove_relation(&ends, force),
        ModelRequest::SuspendRelation { ids, suspend } => {
            for id in ids {
                if !model.relations.contains_key(&id) {
                    return Err(not_found("relation", &id.to_string()));
                }
                model.suspend(id, suspend);
            }
            Ok(Value::Null)
        }
        ModelRequest::AppConfigGet { app } => model.app_settings(&app),
        ModelRequest::AppConfigSet { app, set, reset } => model.set_options(&app, &set, &reset),
        ModelRequest::Actions { app } => Ok(json!(model.app(&app)?.charm.actions)),
        ModelRequest::Run {
            units,
            action,
            params,
        } => model.queue_action(&units, &action, &params),
        ModelRequest::Exec { units, commands } => model.queue_exec(&units, &commands),
        ModelRequest::Operations => Ok(model.operations()),
        ModelRequest::CancelTask(ids) => model.cancel_tasks(&ids),
        ModelRequest::ShowUnit { unit } => model.show_unit(&unit),
        ModelRequest::ShowApplication { app } => model.show_application(&app),
        ModelRequest::Resolved {
            units,
            all,
            no_retry,
        } => model.resolve(units, all, no_retry),
        ModelRequest::Storage => value(model.storage_status()),
        ModelRequest::Constraints { app, set } => {
            let app = model.app_mut(&app)?;
            app.constraints = set.unwrap_or_else(|| app.constraints.clone());
            Ok(json!(app.constraints))
        }
        ModelRequest::Resources { app } => {
            let app = model.app(&app)?;
            let shown = app.charm.resources.keys().map(
                |name| json!({"name": name, "type": "oci-image", "value": app.resources.get(name)}),
            );
            Ok(json!({"resources": shown.collect::<Vec<_>>()}))
        }
        other => user_secrets::user_secrets(model, other),
    }
}
