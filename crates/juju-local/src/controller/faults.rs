//! Faults on purpose.

use juju_local_api::ErrorKind;
use juju_local_api::user::Fault;
use kube_local::Fault as ApiFault;
use pod_runtime::{Container, Passage, PodNetwork};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::daemon::Controller;
use super::model::{Outcome, not_found, refuse};
use super::pods::{PodCommand, chain};

impl Controller {
    /// A container of a unit's pod.
    pub(super) async fn container(
        &self,
        model: &str,
        unit: &str,
        name: &str,
    ) -> Outcome<Container> {
        self.read(|state| state.model(model)?.unit(unit).map(drop))?;
        let (tell, told) = oneshot::channel();
        self.tell_pod(model, unit, PodCommand::Containers(tell));
        let containers = told.await.unwrap_or_default();
        containers
            .get(name)
            .cloned()
            .ok_or_else(|| not_found("container", name))
    }

    async fn pod_network(&self, model: &str, unit: &str) -> Outcome<PodNetwork> {
        self.read(|state| state.model(model)?.unit(unit).map(drop))?;
        let (tell, told) = oneshot::channel();
        self.tell_pod(model, unit, PodCommand::Network(tell));
        told.await.map_err(|_| not_found("pod of unit", unit))
    }

    pub(super) async fn fault(&self, model: &str, fault: Fault) -> Outcome<Value> {
        match fault {
            Fault::Signal {
                unit,
                container,
                process,
                signal,
            } => {
                let container = self.container(model, &unit, &container).await?;
                signal_processes(&container, &process, &signal)
            }
            Fault::KillContainer { unit, container } => {
                self.container(model, &unit, &container).await?;
                self.tell_pod(model, &unit, PodCommand::Kill(Some(container)));
                Ok(Value::Null)
            }
            Fault::KillPod { unit, delete } => {
                self.read(|state| state.model(model)?.unit(&unit).map(drop))?;
                let command = if delete {
                    PodCommand::Replace { grace: false }
                } else {
                    PodCommand::Kill(None)
                };
                self.tell_pod(model, &unit, command);
                Ok(Value::Null)
            }
            Fault::Cut { units, from } => {
                let infra = self.infra(model)?;
                let mut others = Vec::new();
                for unit in &from {
                    others.push(self.pod_network(model, unit).await?.address);
                }
                for unit in &units {
                    let pod = self.pod_network(model, unit).await?;
                    infra
                        .network
                        .cut(&pod, &others)
                        .map_err(|error| internal(&error))?;
                }
                Ok(Value::Null)
            }
            Fault::Lossy { units, percent } => {
                let infra = self.infra(model)?;
                for unit in &units {
                    let pod = self.pod_network(model, unit).await?;
                    infra
                        .network
                        .lose(&pod, percent)
                        .map_err(|error| internal(&error))?;
                }
                Ok(Value::Null)
            }
            Fault::Heal => {
                self.infra(model)?
                    .network
                    .heal()
                    .map_err(|error| internal(&error))?;
                Ok(Value::Null)
            }
            Fault::KubernetesApi(how) => self.api_fault(model, &how),
            Fault::KillAtEffect { unit, effect } => self.change(|state| {
                state.model(model)?.unit_mut(&unit)?.kill_at_effect = Some(effect);
                Ok(Value::Null)
            }),
            Fault::StealLeadership { unit } => self.change(|state| {
                let model = state.model(model)?;
                let app = model.unit(&unit)?.app.clone();
                let app = model.app_mut(&app)?;
                app.leader = Some(unit.clone());
                app.lease = std::time::Instant::now();
                Ok(Value::Null)
            }),
            Fault::RotateSecret { secret: id } => self.change(|state| {
                let model = state.model(model)?;
                let secret = model.secrets.get_mut(super::secrets::bare(&id));
                let secret = secret.filter(|secret| !secret.owner.is_empty());
                let secret = secret.ok_or_else(|| not_found("secret of a charm", &id))?;
                secret.rotates = Some(jiff::Timestamp::now());
                Ok(Value::Null)
            }),
            Fault::FillDisk { .. } => refuse(
                ErrorKind::BadRequest,
                "volumes are folders of this machine's disk here: filling one would fill the machine",
            ),
        }
    }

    fn api_fault(&self, model: &str, how: &str) -> Outcome<Value> {
        let infra = self.infra(model)?;
        let (passage, fault) = match how {
            "up" => (Passage::Open, ApiFault::None),
            "down" => (Passage::Shut, ApiFault::None),
            "hang" => (Passage::Hanging, ApiFault::None),
            status => {
                if let Ok(code @ 400..=599) = status.parse::<u16>() {
                    (Passage::Open, ApiFault::Status(code))
                } else {
                    let text = format!("\"{how}\" is not up, down, hang or a status of 400 to 599");
                    return refuse(ErrorKind::BadRequest, text);
                }
            }
        };
        if let Err(text) = self.api.set_fault(fault) {
            return refuse(ErrorKind::BadRequest, text);
        }
        infra.gate.set(passage);
        Ok(Value::Null)
    }
}

fn internal(error: &dyn std::error::Error) -> juju_local_api::ApiError {
    juju_local_api::ApiError::new(ErrorKind::Internal, chain(error))
}

/// Signals processes of a container whose command line holds a text.
fn signal_processes(container: &Container, process: &str, signal: &str) -> Outcome<Value> {
    let name = if signal.starts_with("SIG") {
        signal.to_owned()
    } else {
        format!("SIG{signal}")
    };
    let Ok(signal) = name.parse::<nix::sys::signal::Signal>() else {
        return refuse(ErrorKind::BadRequest, format!("\"{signal}\" is no signal"));
    };
    let namespace = std::fs::read_link(format!("/proc/{}/ns/pid", container.pid)).ok();
    let mut hit = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else {
            continue;
        };
        if pid == container.pid || std::fs::read_link(entry.path().join("ns/pid")).ok() != namespace
        {
            continue;
        }
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(process)
            && nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).is_ok()
        {
            hit.push(line.trim().to_owned());
        }
    }
    if hit.is_empty() {
        return refuse(
            ErrorKind::NotFound,
            format!("no process like \"{process}\" runs there"),
        );
    }
    Ok(json!({"signalled": hit}))
}
