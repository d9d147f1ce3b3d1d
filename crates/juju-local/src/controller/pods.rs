//! Pods: what runs for a unit, from its network to its readiness, until it is told to stop.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use pod_runtime::{Container, PodNetwork};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::daemon::{Controller, Infra};
use super::kubernetes;

/// Time that a pod has between SIGTERM and SIGKILL.
pub(super) const GRACE: Duration = Duration::from_secs(30);
/// The file by which a workload's Pebble knows who else may use it.
const IDENTITIES: &str = "identities.yaml";
/// First port of the workload Pebbles.
const FIRST_PORT: u16 = 38813;

/// What is asked of a pod's keeper.
#[derive(Debug)]
pub(super) enum PodCommand {
    /// Ends the pod in an orderly way.
    Stop(oneshot::Sender<()>),
    /// SIGKILL to a container's first process, or to all containers'.
    Kill(Option<String>),
    /// The pod is lost at once; a new one follows.
    Replace { grace: bool },
    /// The containers as they run.
    Containers(oneshot::Sender<BTreeMap<String, Container>>),
    /// Its place in the network.
    Network(oneshot::Sender<PodNetwork>),
}

pub(super) fn short_id() -> String {
    uuid::Uuid::new_v4()
        .simple()
        .to_string()
        .chars()
        .take(8)
        .collect()
}

/// What a pod needs to know of its unit.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) model: String,
    pub(super) model_uuid: String,
    pub(super) app: String,
    pub(super) unit: String,
    pub(super) number: u32,
    pub(super) token: String,
    pub(super) revision: u64,
    /// Name of what the pod is made from, as the label `controller-revision-hash` has it.
    pub(super) template: String,
    pub(super) containers: BTreeMap<String, super::charm::Container>,
    /// Storage name to folder and location in the charm container.
    pub(super) storage: Vec<(String, PathBuf, String)>,
    pub(super) limits: Value,
    /// Who runs the hooks, if it is not root.
    pub(super) user: Option<u32>,
}

impl Controller {
    /// Starts the keeper of a unit's pod.
    pub(super) fn start_pod(self: &Arc<Self>, model: &str, unit: &str) {
        let (sender, commands) = mpsc::unbounded_channel();
        self.change(|state| {
            if let Some(unit) = state
                .models
                .get_mut(model)
                .and_then(|m| m.units.get_mut(unit))
            {
                unit.pod = Some(sender);
            }
        });
        let (controller, model, unit) = (self.clone(), model.to_owned(), unit.to_owned());
        tokio::spawn(async move { controller.keep_pod(&model, &unit, commands).await });
    }

    /// Ends a unit's pod and waits until it is gone.
    pub(super) async fn stop_pod(&self, model: &str, unit: &str) {
        let (done, gone) = oneshot::channel();
        if self.tell_pod(model, unit, PodCommand::Stop(done)) {
            let _ = tokio::time::timeout(GRACE + Duration::from_secs(10), gone).await;
        }
    }

    /// Tells a pod's keeper something: whether there is one.
    pub(super) fn tell_pod(&self, model: &str, unit: &str, command: PodCommand) -> bool {
        let sender = self.read(|state| {
            state
                .models
                .get(model)
                .and_then(|m| m.units.get(unit))
                .and_then(|unit| unit.pod.clone())
        });
        sender.is_some_and(|sender| sender.send(command).is_ok())
    }

    fn pod_plan(&self, model: &str, unit: &str) -> Option<(Plan, Arc<Infra>)> {
        self.read(|state| {
            let infra = state.infra.get(model)?.clone();
            let model = state.models.get(model)?;
            let unit = model.units.get(unit)?;
            let app = model.apps.get(&unit.app)?;
            let modified = unit.template.unwrap_or(app.modified);
            let template = app.template(modified);
            let storage = unit.storage.iter().filter_map(|id| {
                let one = model.storage.get(id)?;
                let folder = self.home.path().join("storage").join(&one.folder);
                Some((one.name.clone(), folder, one.location.clone()))
            });
            let mut limits = serde_json::Map::new();
            if let Some(memory) = app.constraints.get("mem") {
                let number = memory.trim_end_matches(['G', 'M']);
                let unit = if memory.ends_with('M') { "Mi" } else { "Gi" };
                limits.insert("memory".into(), json!(format!("{number}{unit}")));
            }
            if let Some(power) = app.constraints.get("cpu-power") {
                limits.insert("cpu".into(), json!(format!("{power}m")));
            }
            let plan = Plan {
                model: model.name.clone(),
                model_uuid: model.uuid.clone(),
                app: app.name.clone(),
                unit: unit.name.clone(),
                number: unit.number,
                token: unit.token.clone(),
                revision: template.revision,
                containers: template.containers,
                template: app.revision_name(modified),
                storage: storage.collect(),
                limits: Value::Object(limits),
                user: app.charm.user,
            };
            Some((plan, infra))
        })
    }

    async fn keep_pod(
        self: Arc<Self>,
        model: &str,
        unit: &str,
        mut commands: mpsc::UnboundedReceiver<PodCommand>,
    ) {
        let mut pause = Duration::from_secs(1);
        loop {
            self.choose_template(model, unit);
            let Some((plan, infra)) = self.pod_plan(model, unit) else {
                return;
            };
            let mut pod = match Pod::start(self.clone(), plan, infra).await {
                Ok(pod) => pod,
                Err(error) => {
                    tracing::error!("cannot start the pod of {unit}: {error}");
                    self.change(|state| {
                        if let Some(unit) = state
                            .models
                            .get_mut(model)
                            .and_then(|m| m.units.get_mut(unit))
                        {
                            let text = format!("pod: {error}");
                            unit.set_agent(super::model::Status::new("error", &text));
                        }
                    });
                    match tokio::time::timeout(pause, commands.recv()).await {
                        Ok(Some(PodCommand::Stop(done))) => {
                            let _ = done.send(());
                            return;
                        }
                        Ok(None) => return,
                        _ => {}
                    }
                    pause = (pause * 2).min(Duration::from_mins(1));
                    continue;
                }
            };
            if let Some(done) = pod.run(&mut commands).await {
                let _ = done.send(());
                return;
            }
        }
    }
}

/// A running pod.
pub(super) struct Pod {
    pub(super) controller: Arc<Controller>,
    pub(super) plan: Plan,
    pub(super) infra: Arc<Infra>,
    pub(super) network: PodNetwork,
    pub(super) directory: PathBuf,
    pub(super) containers: BTreeMap<String, Container>,
    pub(super) restarts: u32,
    pub(super) ready: Option<bool>,
}

impl Pod {
    async fn start(
        controller: Arc<Controller>,
        plan: Plan,
        infra: Arc<Infra>,
    ) -> Result<Self, String> {
        let name = format!("{}-{}", plan.app, plan.number);
        let directory = controller
            .home
            .runtime()
            .join(&infra.id)
            .join(format!("{name}-{}", short_id()));
        let making = infra.clone();
        let network = tokio::task::spawn_blocking(move || making.network.add_pod())
            .await
            .map_err(|error| error.to_string())?
            .map_err(|error| format!("{error}"))?;
        let mut pod = Self {
            controller,
            plan,
            infra,
            network,
            directory,
            containers: BTreeMap::new(),
            restarts: 0,
            ready: None,
        };
        if let Err(error) = pod.prepare().await {
            pod.remove(Duration::ZERO).await;
            return Err(error);
        }
        Ok(pod)
    }

    pub(super) fn name(&self) -> String {
        format!("{}-{}", self.plan.app, self.plan.number)
    }

    async fn prepare(&mut self) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("cannot prepare the pod's folders: {error}");
        let volume = self.directory.join("charm-data");
        for folder in ["juju", "containers", "token", "account"] {
            std::fs::create_dir_all(volume.join(folder)).map_err(failed)?;
        }
        for name in self.plan.containers.keys() {
            std::fs::create_dir_all(volume.join("containers").join(name)).map_err(failed)?;
        }
        for (_, folder, _) in &self.plan.storage {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        if let Some(user) = self.plan.user {
            self.let_in(user).map_err(failed)?;
        }
        write_secret(&volume.join("token/token"), &self.plan.token).map_err(failed)?;
        let api = &self.controller.api;
        let token = api.account_token(&self.plan.model, &self.plan.app)?;
        let account = volume.join("account");
        write_readable(&account.join("token"), &token).map_err(failed)?;
        write_readable(&account.join("ca.crt"), api.ca_pem()).map_err(failed)?;
        write_readable(&account.join("namespace"), &self.plan.model).map_err(failed)?;
        self.create_object();
        let init = self.spec(
            "charm-init",
            vec!["/charm/bin/juju-local".into(), "charm-init".into()],
        );
        let done = Container::start(&self.controller.exe, &init)
            .await
            .map_err(|e| chain(&e))?;
        if done.wait().await != 0 {
            let text = std::fs::read_to_string(&init.log).unwrap_or_default();
            return Err(format!("charm-init failed: {}", text.trim()));
        }
        let names: Vec<String> = self.plan.containers.keys().cloned().collect();
        for name in &names {
            self.start_container(name).await?;
        }
        self.start_container("charm").await?;
        let address = self.network.address.to_string();
        self.controller.change(|state| {
            let unit = state
                .models
                .get_mut(&self.plan.model)
                .and_then(|m| m.units.get_mut(&self.plan.unit));
            if let Some(unit) = unit {
                unit.address.clone_from(&address);
            }
        });
        Ok(())
    }

    /// Gives a user that is not root what Juju gives it: the workloads' Pebbles as an administrator,
    /// and the volumes by their group.
    fn let_in(&self, user: u32) -> std::io::Result<()> {
        let identity = json!({"access": "admin", "local": {"user-id": user}});
        let text = json!({"identities": {"juju": identity}}).to_string();
        for name in self.plan.containers.keys() {
            let folder = self.directory.join("charm-data/containers").join(name);
            std::fs::write(folder.join(IDENTITIES), &text)?;
        }
        for (_, folder, _) in &self.plan.storage {
            use std::os::unix::fs::PermissionsExt;
            std::os::unix::fs::chown(folder, None, Some(user))?;
            let mode = folder.metadata()?.permissions().mode() | 0o2770;
            std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode))?;
        }
        Ok(())
    }

    async fn start_container(&mut self, name: &str) -> Result<(), String> {
        let command: Vec<String> = if name == "charm" {
            vec!["/charm/bin/juju-local".into(), "unit-agent".into()]
        } else {
            let index = self
                .plan
                .containers
                .keys()
                .position(|known| known == name)
                .unwrap_or(0);
            let port = FIRST_PORT.saturating_add(u16::try_from(index).unwrap_or(0));
            let mut command = [
                "/charm/bin/pebble",
                "run",
                "--create-dirs",
                "--hold",
                "--http",
                &format!(":{port}"),
                "--verbose",
            ]
            .map(str::to_owned)
            .to_vec();
            if self.plan.user.is_some() {
                let file = format!("/charm/container/{IDENTITIES}");
                command.extend(["--identities".to_owned(), file]);
            }
            command
        };
        let spec = self.spec(name, command);
        let container = Container::start(&self.controller.exe, &spec)
            .await
            .map_err(|error| chain(&error))?;
        self.containers.insert(name.to_owned(), container);
        Ok(())
    }

    /// Keeps the pod until it is told to stop (then there is somebody to tell), or to be replaced.
    async fn run(
        &mut self,
        commands: &mut mpsc::UnboundedReceiver<PodCommand>,
    ) -> Option<oneshot::Sender<()>> {
        let mut probes = tokio::time::interval(Duration::from_millis(500));
        probes.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let containers: Vec<(String, Container)> = self
                .containers
                .iter()
                .map(|(n, c)| (n.clone(), c.clone()))
                .collect();
            let ended = async {
                let waits = containers.iter().map(|(name, container)| {
                    Box::pin(async move {
                        container.wait().await;
                        name.clone()
                    })
                });
                futures_util::future::select_all(waits).await.0
            };
            tokio::select! {
                command = commands.recv() => match command {
                    None => return None,
                    Some(PodCommand::Stop(done)) => {
                        self.remove(GRACE).await;
                        return Some(done);
                    }
                    Some(PodCommand::Replace { grace }) => {
                        self.remove(if grace { GRACE } else { Duration::ZERO }).await;
                        return None;
                    }
                    Some(PodCommand::Kill(which)) => {
                        let hit = |name: &String| which.as_ref().is_none_or(|w| w == name);
                        for (_, container) in self.containers.iter().filter(|(n, _)| hit(n)) {
                            container.signal(Signal::SIGKILL);
                        }
                    }
                    Some(PodCommand::Containers(tell)) => drop(tell.send(self.containers.clone())),
                    Some(PodCommand::Network(tell)) => drop(tell.send(self.network.clone())),
                },
                name = ended => self.restart(&name).await,
                _ = probes.tick() => self.probe().await,
            }
        }
    }

    /// The first restarts come at once; one that keeps failing is given time.
    async fn restart(&mut self, name: &str) {
        self.restarts += 1;
        if self.restarts > 5 {
            let pause = Duration::from_secs(u64::from(self.restarts.min(30)));
            tokio::time::sleep(pause).await;
        }
        tracing::info!(
            "container {name} of {} has ended; it is restarted",
            self.plan.unit
        );
        if let Err(error) = self.start_container(name).await {
            tracing::error!(
                "cannot restart container {name} of {}: {error}",
                self.plan.unit
            );
        }
    }

    async fn probe(&mut self) {
        let mut ready = true;
        for name in self.plan.containers.keys() {
            let socket = self
                .directory
                .join("charm-data/containers")
                .join(name)
                .join("pebble.socket");
            let client = pebble::Client::new(socket).with_limit(Duration::from_secs(1));
            ready &= client.health(Some("ready")).await.unwrap_or(false);
        }
        if self.ready != Some(ready) {
            self.ready = Some(ready);
            self.set_status(ready);
        }
    }

    async fn remove(&mut self, grace: Duration) {
        let containers = std::mem::take(&mut self.containers);
        if grace.is_zero() {
            for container in containers.values() {
                container.signal(Signal::SIGKILL);
            }
            for container in containers.values() {
                let _ = tokio::time::timeout(Duration::from_secs(5), container.wait()).await;
            }
        } else {
            let media = "application/json";
            let _ = self
                .controller
                .api
                .call("DELETE", &self.path(), media, None);
            let ends = containers.values().map(|container| container.end(grace));
            futures_util::future::join_all(ends).await;
        }
        kubernetes::delete(&self.controller.api, &self.path());
        let (infra, network) = (self.infra.clone(), self.network.clone());
        let removed = tokio::task::spawn_blocking(move || infra.network.remove_pod(&network)).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!("{}", chain(&error));
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

fn write_secret(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())
}

/// A service account's files are readable in the container, as in Kubernetes; nobody outside gets
/// through the folders above.
fn write_readable(path: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644))
}
