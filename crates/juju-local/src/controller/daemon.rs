//! The daemon: its state, its sockets, its models' networks, and how it begins and ends.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use juju_local_api::{ApiError, ErrorKind, Reply, Request};
use pod_runtime::{DNS_ADDRESS, Gate, Names, Network};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, mpsc, watch};

use super::cluster::{Cluster, Kubernetes};
use super::force::Force;
use super::kubernetes;
use super::logs::Logs;
use super::model::{Model, Outcome, Storage, not_found, now, refuse};
use super::pods::chain;
use crate::home::Home;
use crate::juju::Juju;

/// Longest request.
const LONGEST: u64 = 32 << 20;

/// How the daemon is started.
#[derive(Debug, Clone)]
pub struct DaemonOptions {
    /// Where its state is.
    pub home: Home,
    /// The controller's name.
    pub name: String,
    /// Whose Kubernetes API its models use.
    pub kubernetes: Kubernetes,
    /// Which Juju its models behave like.
    pub juju: Juju,
}

/// The controller.
pub(super) struct Controller {
    pub home: Home,
    pub name: String,
    pub uuid: String,
    pub juju: Juju,
    pub exe: PathBuf,
    pub api: Cluster,
    pub logs: Logs,
    pub changed: watch::Sender<u64>,
    pub stop: Notify,
    state: Mutex<State>,
    /// Models are added one at a time: each is connected with all before it.
    adding: tokio::sync::Mutex<()>,
}

/// What changes.
#[derive(Default)]
pub(super) struct State {
    pub models: BTreeMap<String, Model>,
    pub infra: BTreeMap<String, Arc<Infra>>,
    /// Relations between models.
    pub links: Vec<super::offers::Link>,
    /// Volumes that models of an earlier controller left.
    kept: BTreeMap<String, String>,
    /// Numbers of the models' networks, by model, from when one is begun.
    networks: BTreeMap<String, u8>,
}

/// A model's network.
pub(super) struct Infra {
    pub id: String,
    pub network: Network,
    pub gate: Gate,
    tasks: Vec<tokio::task::AbortHandle>,
}

/// What is remembered over the daemon's end: the volumes.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Saved {
    /// Storage id to folder.
    storage: BTreeMap<String, String>,
}

impl State {
    /// A number for a model's network that no other has.
    fn network_number(&mut self, model: &str) -> Option<u8> {
        let free = (1..=250).find(|n| !self.networks.values().any(|used| used == n))?;
        self.networks.insert(model.to_owned(), free);
        Some(free)
    }

    pub fn model(&mut self, name: &str) -> Outcome<&mut Model> {
        self.models
            .get_mut(name)
            .ok_or_else(|| not_found("model", name))
    }
}

impl Controller {
    /// With these models, and the volumes that an earlier one has kept.
    pub fn new(
        home: Home,
        (name, juju): (String, Juju),
        exe: PathBuf,
        api: Cluster,
        models: impl IntoIterator<Item = Model>,
    ) -> Arc<Self> {
        let models = models.into_iter().map(|model| (model.name.clone(), model));
        Arc::new(Self {
            name,
            juju,
            uuid: uuid::Uuid::new_v4().to_string(),
            exe,
            api,
            logs: Logs::default(),
            changed: watch::Sender::new(0),
            stop: Notify::new(),
            state: Mutex::new(State {
                models: models.collect(),
                kept: saved(&home).storage,
                ..State::default()
            }),
            home,
            adding: tokio::sync::Mutex::default(),
        })
    }

    /// Looks at the state.
    pub fn read<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the state and wakes whoever waits for a change.
    pub fn change<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let done = self.read(|state| {
            let done = work(state);
            state.sync();
            done
        });
        self.changed.send_modify(|count| *count += 1);
        done
    }

    pub fn infra(&self, model: &str) -> Outcome<Arc<Infra>> {
        let found = self.read(|state| state.infra.get(model).cloned());
        found.ok_or_else(|| not_found("model", model))
    }

    /// Adds a model with a network of its own.
    pub(super) async fn add_model(
        self: &Arc<Self>,
        name: &str,
        config: BTreeMap<String, String>,
    ) -> Outcome<Value> {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty()
            || !name.chars().all(good)
            || name.starts_with('-')
            || name.ends_with('-')
        {
            return refuse(
                ErrorKind::BadRequest,
                format!(
                    "\"{name}\" is not a valid name: model names may only contain lowercase letters, digits and hyphens"
                ),
            );
        }
        if self.read(|state| state.models.contains_key(name)) {
            let text = format!(
                "failed to create new model: model \"{name}\" for admin already exists (already exists)"
            );
            return refuse(ErrorKind::AlreadyExists, text);
        }
        let internal = |text: String| ApiError::new(ErrorKind::Internal, text);
        let id = format!(
            "{}-{}",
            self.home
                .runtime()
                .file_name()
                .unwrap_or_default()
                .to_string_lossy(),
            name
        );
        let making = id.clone();
        let _alone = self.adding.lock().await;
        let number = self.read(|state| state.network_number(name));
        let number = number.ok_or_else(|| internal("there are too many models".to_owned()))?;
        let others: Vec<Arc<Infra>> = self.read(|state| state.infra.values().cloned().collect());
        let made = tokio::task::spawn_blocking(move || {
            let network = Network::create(&making, number)?;
            for other in others {
                network.join(&other.network)?;
            }
            Ok(network)
        });
        let made = made.await.map_err(|error| internal(error.to_string()));
        let made =
            made.and_then(|made| made.map_err(|error: pod_runtime::Error| internal(chain(&error))));
        let made = made.and_then(|network| self.start_infra(name, id, network).map_err(internal));
        let infra = made.inspect_err(|_| {
            self.read(|state| state.networks.remove(name));
        })?;
        kubernetes::namespace(&self.api, name);
        self.change(|state| {
            let mut model = Model {
                name: name.to_owned(),
                uuid: uuid::Uuid::new_v4().to_string(),
                juju: self.juju,
                created: now(),
                config,
                ..Model::default()
            };
            for (id, folder) in std::mem::take(&mut state.kept) {
                let kind = id.split('/').next().unwrap_or_default().to_owned();
                let number = id
                    .split('/')
                    .nth(1)
                    .and_then(|n| n.parse::<u32>().ok())
                    .unwrap_or(0);
                let next = model.next_storage.entry(kind.clone()).or_default();
                *next = (*next).max(number + 1);
                let (unit, location, dying) = (None, String::new(), false);
                model.storage.insert(
                    id.clone(),
                    Storage {
                        id,
                        name: kind,
                        folder,
                        unit,
                        location,
                        dying,
                    },
                );
            }
            state.models.insert(name.to_owned(), model);
            state.infra.insert(name.to_owned(), Arc::new(infra));
        });
        Ok(Value::Null)
    }

    fn start_infra(
        self: &Arc<Self>,
        model: &str,
        id: String,
        network: Network,
    ) -> Result<Infra, String> {
        let gate = Gate::default();
        let api = SocketAddr::from((pod_runtime::API_ADDRESS, 443));
        let listener = network.listen_tcp(api).map_err(|error| chain(&error))?;
        let dns = network
            .bind_udp(SocketAddr::from((DNS_ADDRESS, 53)))
            .map_err(|error| chain(&error))?;
        let names = Arc::new(RwLock::new(Names::default()));
        let forward = tokio::spawn(pod_runtime::forward(
            listener,
            self.api.address(),
            gate.clone(),
        ));
        let serve = tokio::spawn(pod_runtime::serve_dns(dns, names.clone()));
        let model_name = model.to_owned();
        let (controller, model) = (self.clone(), model.to_owned());
        let follow = tokio::spawn(async move { controller.follow_network(&model, &names).await });
        let (controller, of) = (self.clone(), model_name);
        let roll = tokio::spawn(async move { controller.follow_rollouts(&of).await });
        let tasks = vec![
            roll.abort_handle(),
            forward.abort_handle(),
            serve.abort_handle(),
            follow.abort_handle(),
        ];
        // What `ip netns exec` gives a command as its resolver: for `juju-local net`.
        let folder = Path::new("/etc/netns").join(network.namespace());
        let written = std::fs::create_dir_all(&folder).and_then(|()| {
            let text = format!(
                "nameserver {DNS_ADDRESS}\nsearch {}.svc.cluster.local svc.cluster.local cluster.local\n",
                id.split_once('-').map_or("", |(_, name)| name)
            );
            std::fs::write(folder.join("resolv.conf"), text)
        });
        if let Err(error) = written {
            tracing::warn!("cannot write {}: {error}", folder.display());
        }
        Ok(Infra {
            id,
            network,
            gate,
            tasks,
        })
    }

    /// Keeps names and Services of a model's network as Kubernetes has them.
    async fn follow_network(&self, model: &str, names: &Arc<RwLock<Names>>) {
        let mut changes = self.api.changes();
        loop {
            changes.borrow_and_update();
            // What the other models have is reached by its full name, as in one cluster.
            let mut all: Vec<String> = self.read(|state| state.infra.keys().cloned().collect());
            all.retain(|name| name != model);
            all.push(model.to_owned());
            let found: Option<Vec<_>> = all
                .iter()
                .map(|name| {
                    let node = self.infra(name).ok()?.network.node();
                    kubernetes::network(&self.api, name, node)
                })
                .collect();
            let merged = found.map(|found| {
                let mut all = (Names::default(), Vec::new());
                for (names, ports) in found {
                    all.0.addresses.extend(names.addresses);
                    all.0.reverse.extend(names.reverse);
                    all.1.extend(ports);
                }
                all
            });
            if let (Some((new, ports)), Ok(infra)) = (merged, self.infra(model)) {
                *names.write().unwrap_or_else(PoisonError::into_inner) = new;
                let set =
                    tokio::task::spawn_blocking(move || infra.network.set_services(&ports)).await;
                if let Ok(Err(error)) = set {
                    tracing::warn!("{}", chain(&error));
                }
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Removes a model with all that is in it.
    pub(super) async fn destroy_model(
        self: &Arc<Self>,
        name: &str,
        release_storage: bool,
        force: bool,
    ) -> Outcome<Value> {
        // Nothing of it can be used from elsewhere any more.
        self.change(|state| {
            state.model(name)?.offers.clear();
            Ok(())
        })?;
        let apps: Vec<String> = self
            .read(|state| Ok::<_, ApiError>(state.model(name)?.apps.keys().cloned().collect()))?;
        // A model that goes by force goes at once.
        let force = Force::of(force, true);
        for app in &apps {
            let _ = self
                .remove_application(name, app, !release_storage, force)
                .await;
        }
        let mut changed = self.changed.subscribe();
        let over = async {
            loop {
                changed.borrow_and_update();
                let left =
                    self.read(|state| state.models.get(name).is_some_and(|m| !m.units.is_empty()));
                if !left || changed.changed().await.is_err() {
                    return;
                }
            }
        };
        if tokio::time::timeout(Duration::from_mins(2), over)
            .await
            .is_err()
        {
            let units: Vec<String> = self.read(|state| {
                let units = state
                    .models
                    .get(name)
                    .map(|m| m.units.keys().cloned().collect());
                units.unwrap_or_default()
            });
            tracing::warn!("units {units:?} of model {name} did not end by themselves");
            for unit in units {
                self.unit_dead(name, &unit).await;
            }
        }
        let (infra, model) =
            self.change(|state| (state.infra.remove(name), state.models.remove(name)));
        if let Some(infra) = infra {
            for task in &infra.tasks {
                task.abort();
            }
            self.drop_network(&infra.id).await;
        }
        self.read(|state| state.networks.remove(name));
        for storage in model
            .into_iter()
            .flat_map(|model| model.storage.into_values())
        {
            if release_storage {
                self.change(|state| {
                    state
                        .kept
                        .insert(storage.id.clone(), storage.folder.clone())
                });
            } else {
                let folder = self.home.path().join("storage").join(&storage.folder);
                let _ = std::fs::remove_dir_all(folder);
            }
        }
        // The model's folder stays for as long as a volume in it is kept.
        let _ = std::fs::remove_dir(self.home.path().join("storage").join(name));
        kubernetes::remove_namespace(&self.api, name);
        let _ = std::fs::remove_dir_all(self.home.path().join("charms").join(name));
        self.save();
        Ok(Value::Null)
    }

    async fn drop_network(&self, id: &str) {
        let folder = self.home.runtime().join(id);
        let id = id.to_owned();
        let done = tokio::task::spawn_blocking(move || {
            let result = pod_runtime::cleanup(&id, &folder);
            let _ = std::fs::remove_dir_all(&folder);
            let _ = std::fs::remove_dir_all(format!("/etc/netns/jl-{id}"));
            result
        });
        if let Ok(Err(error)) = done.await {
            tracing::warn!("{}", chain(&error));
        }
    }

    /// Writes down which volumes there are.
    pub fn save(&self) {
        let storage = self.read(|state| {
            let mut storage = state.kept.clone();
            for model in state.models.values() {
                storage.extend(
                    model
                        .storage
                        .values()
                        .map(|s| (s.id.clone(), s.folder.clone())),
                );
            }
            storage
        });
        let text = serde_json::to_string_pretty(&Saved { storage }).unwrap_or_default();
        let path = saved_path(&self.home);
        let beside = path.with_extension("new");
        let written = std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, &path));
        if let Err(error) = written {
            tracing::warn!("cannot write {}: {error}", path.display());
        }
    }
}

/// State and logs of a real API server.
fn kubernetes_state(home: &Home) -> PathBuf {
    home.path().join("kubernetes")
}

fn saved_path(home: &Home) -> PathBuf {
    home.path().join("storage.json")
}

fn saved(home: &Home) -> Saved {
    let text = std::fs::read_to_string(saved_path(home)).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// Runs the daemon until it is told to stop.
#[must_use]
pub fn daemon_main(options: &DaemonOptions) -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(options)),
        Err(error) => Err(error.to_string()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("ERROR {text}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &DaemonOptions) -> Result<(), String> {
    let home = options.home.clone();
    let runtime = home.runtime();
    let failed = |error: std::io::Error| format!("cannot prepare {}: {error}", runtime.display());
    for folder in [
        runtime.join("bin"),
        runtime.join("agents"),
        home.path().join("storage"),
    ] {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::set_permissions(&runtime, std::fs::Permissions::from_mode(0o711)).map_err(failed)?;
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    for name in ["juju-local", "jujuc", "pebble", "containeragent"] {
        let target = runtime.join("bin").join(name);
        let _ = std::fs::remove_file(&target);
        match runtime.join("bin/juju-local") {
            first if name != "juju-local" => std::fs::hard_link(first, target).map_err(failed)?,
            _ => drop(std::fs::copy(&own, target).map_err(failed)?),
        }
    }
    // The processes of a real API server end with this function, or with this thread.
    let (api, _spawned) = Cluster::start(&options.kubernetes, &kubernetes_state(&home)).await?;
    kubernetes::node(&api);
    let exe = runtime.join("bin/juju-local");
    let controller = Controller::new(home, (options.name.clone(), options.juju), exe, api, []);
    let users = listen(&controller.home.user_socket(), 0o600)?;
    let agents = listen(&runtime.join("agents/agent.sock"), 0o600)?;
    tokio::spawn(accept(controller.clone(), users, true));
    tokio::spawn(accept(controller.clone(), agents, false));
    let leases = controller.clone();
    tokio::spawn(async move { leases.keep_leases().await });
    let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .map_err(|error| error.to_string())?;
    tokio::select! {
        () = controller.stop.notified() => {}
        _ = term.recv() => {}
    }
    let models: Vec<String> = controller.read(|state| state.models.keys().cloned().collect());
    for model in models {
        let _ = controller.destroy_model(&model, true, true).await;
    }
    // The answer to whoever asked for the end is still under way.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let _ = std::fs::remove_dir_all(controller.home.runtime());
    Ok(())
}

fn listen(path: &Path, mode: u32) -> Result<UnixListener, String> {
    let _ = std::fs::remove_file(path);
    let failed = |error: std::io::Error| format!("cannot listen on {}: {error}", path.display());
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(failed)?;
    Ok(listener)
}

async fn accept(controller: Arc<Controller>, listener: UnixListener, people: bool) {
    while let Ok((stream, _)) = listener.accept().await {
        let controller = controller.clone();
        tokio::spawn(async move { converse(controller, stream, people).await });
    }
}

/// One request and its answer.
async fn converse(controller: Arc<Controller>, stream: UnixStream, people: bool) {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut reader = BufReader::new(read.take(LONGEST));
    if reader.read_line(&mut line).await.is_err() || line.is_empty() {
        return;
    }
    let (parts, mut incoming) = mpsc::channel(64);
    let answering = tokio::spawn(async move {
        let last = match answer(&controller, &line, people, &parts).await {
            Ok(value) => Reply::Done(value),
            Err(error) => Reply::Failed(error),
        };
        let _ = parts.send(last).await;
    });
    while let Some(reply) = incoming.recv().await {
        let mut text = serde_json::to_string(&reply).unwrap_or_default();
        text.push('\n');
        if write.write_all(text.as_bytes()).await.is_err() {
            answering.abort();
            return;
        }
    }
}

async fn answer(
    controller: &Arc<Controller>,
    line: &str,
    people: bool,
    parts: &mpsc::Sender<Reply>,
) -> Outcome<Value> {
    let request: Request = serde_json::from_str(line).map_err(|error| {
        ApiError::new(
            ErrorKind::BadRequest,
            format!("unreadable request: {error}"),
        )
    })?;
    match request {
        Request::User(request) if people => controller.user(*request, parts).await,
        Request::Agent {
            model,
            unit,
            token,
            request,
        } if !people => controller.agent(&model, &unit, &token, *request).await,
        _ => refuse(ErrorKind::PermissionDenied, "not on this socket"),
    }
}

/// Removes what a daemon that is no more left behind: what was removed and what is kept, in words.
///
/// # Errors
/// When something can't be removed.
pub fn cleanup_dead(home: &Home, release_storage: bool) -> std::io::Result<Vec<String>> {
    let runtime = home.runtime();
    let short = runtime
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let failed = |error: pod_runtime::Error| std::io::Error::other(chain(&error));
    let mut said = Vec::new();
    let folders: Vec<_> = std::fs::read_dir(&runtime)
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    for entry in folders {
        let id = entry.file_name().to_string_lossy().into_owned();
        if id.starts_with(&short) {
            pod_runtime::cleanup(&id, &entry.path()).map_err(failed)?;
            let _ = std::fs::remove_dir_all(format!("/etc/netns/jl-{id}"));
            said.push(format!("removed the pods and networks of {id}"));
        }
    }
    // A network whose folder never came to be.
    pod_runtime::cleanup(&short, &runtime).map_err(failed)?;
    for folder in [
        runtime.clone(),
        home.path().join("charms"),
        kubernetes_state(home),
    ] {
        gone(std::fs::remove_dir_all(&folder))?;
    }
    let kept = saved(home).storage;
    if release_storage && !kept.is_empty() {
        let names: Vec<&str> = kept.keys().map(String::as_str).collect();
        said.push(format!(
            "kept the volumes {}; use them again with: deploy --attach-storage {}",
            names.join(", "),
            names.join(",")
        ));
    } else {
        gone(std::fs::remove_dir_all(home.path().join("storage")))?;
        gone(std::fs::remove_file(saved_path(home)))?;
    }
    Ok(said)
}

fn gone(result: std::io::Result<()>) -> std::io::Result<()> {
    match result {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
