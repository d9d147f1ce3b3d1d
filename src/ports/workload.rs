//! The workload container through its Pebble.

use std::time::Duration;

use cluster_plan::observed::ServiceState;
use pebble::{Client, Error, Exec, Layer, PushOptions};
use tokio::runtime::Runtime;

use super::{FileInfo, Output, PortError, PortResult, Workload};

/// A service that fails at once is noticed; one that takes its time is not waited for.
const START: Duration = Duration::from_millis(50);
/// Longest time to wait for a service to end.
const STOP: Duration = Duration::from_secs(10);
const NAME: &str = "Pebble";

/// A client of one container's Pebble.
pub struct PebbleWorkload<'a> {
    runtime: &'a Runtime,
    client: Client,
}

impl<'a> PebbleWorkload<'a> {
    /// The Pebble of this container, where Juju puts its socket.
    #[must_use]
    pub fn new(runtime: &'a Runtime, container: &str) -> Self {
        let socket = format!("/charm/containers/{container}/pebble.socket");
        Self {
            runtime,
            client: Client::new(socket),
        }
    }

    fn run<T>(&self, what: &str, work: impl Future<Output = Result<T, Error>>) -> PortResult<T> {
        self.runtime.block_on(work).map_err(|error| {
            if error.is_unreachable() {
                PortError::Unreachable(NAME, error.into())
            } else {
                PortError::Failed(what.to_owned(), error.into())
            }
        })
    }

    fn found<T>(
        &self,
        what: &str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> PortResult<Option<T>> {
        self.run(what, async {
            match work.await {
                Ok(value) => Ok(Some(value)),
                Err(error) if error.is_not_found() => Ok(None),
                Err(error) => Err(error),
            }
        })
    }
}

fn info(file: pebble::FileInfo) -> FileInfo {
    FileInfo {
        link: file.kind == pebble::FileKind::Symlink,
        mode: file.mode().unwrap_or_default(),
        name: file.name,
        user: file.user,
    }
}

fn options(mode: u32, owner: &str) -> PushOptions {
    PushOptions {
        mode: Some(mode),
        user: Some(owner.to_owned()),
        group: Some(owner.to_owned()),
        make_parents: true,
    }
}

impl Workload for PebbleWorkload<'_> {
    fn list(&self, directory: &str) -> PortResult<Option<Vec<FileInfo>>> {
        let found = self.found(
            &format!("list {directory}"),
            self.client.list_files(directory, false),
        )?;
        Ok(found.map(|files| files.into_iter().map(info).collect()))
    }

    fn stat(&self, path: &str) -> PortResult<Option<FileInfo>> {
        let found = self.found(
            &format!("look at {path}"),
            self.client.list_files(path, true),
        )?;
        Ok(found.and_then(|files| files.into_iter().next()).map(info))
    }

    fn pull(&self, path: &str) -> PortResult<Option<Vec<u8>>> {
        self.found(&format!("read {path}"), self.client.pull(path))
    }

    fn push(&self, path: &str, content: &[u8], mode: u32, owner: &str) -> PortResult<()> {
        let options = options(mode, owner);
        self.run(
            &format!("write {path}"),
            self.client.push(path, content, &options),
        )
    }

    fn make_directory(&self, path: &str, mode: u32, owner: &str) -> PortResult<()> {
        let options = options(mode, owner);
        self.run(
            &format!("make {path}"),
            self.client.make_dir(path, &options),
        )
    }

    fn exec(&self, command: &[&str]) -> PortResult<Output> {
        let exec = Exec::new(command.iter().copied());
        let output = self.run(
            &format!("run {}", command.join(" ")),
            self.client.exec(exec),
        )?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Output {
            code: output.code,
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        })
    }

    fn plan(&self) -> PortResult<Layer> {
        self.run("read the plan", self.client.plan())
    }

    fn add_layer(&self, label: &str, layer: &Layer) -> PortResult<()> {
        self.run("add the layer", self.client.add_layer(label, layer, true))
    }

    fn service(&self, name: &str) -> PortResult<Option<ServiceState>> {
        let services = self.run("read the services", self.client.services(&[name]))?;
        Ok(services
            .first()
            .map(|service| match service.current.as_str() {
                "active" => ServiceState::Active,
                "backoff" | "error" => ServiceState::Failing,
                _ => ServiceState::Inactive,
            }))
    }

    fn run_check(&self, name: &str) -> PortResult<()> {
        self.run(
            &format!("run check {name}"),
            self.client.refresh_check(name),
        )
        .map(drop)
    }

    fn replan(&self) -> PortResult<()> {
        match self.run("start the services", self.client.replan(START)) {
            // Still starting; the callbacks and the check tell what becomes of it.
            Err(PortError::Failed(_, source)) if is_pending(&source) => Ok(()),
            result => result,
        }
    }

    fn stop(&self, service: &str) -> PortResult<()> {
        match self.run(
            &format!("stop {service}"),
            self.client.stop(&[service], STOP),
        ) {
            // It goes on stopping.
            Err(PortError::Failed(_, source)) if is_pending(&source) => Ok(()),
            result => result,
        }
    }

    fn restart(&self, service: &str) -> PortResult<()> {
        self.run(
            &format!("restart {service}"),
            self.client.begin("restart", &[service]),
        )
        .map(drop)
    }

    fn logs(&self, service: &str, lines: u32) -> PortResult<String> {
        let entries = self.run(
            &format!("read the log of {service}"),
            self.client.logs(&[service], lines),
        )?;
        let lines = entries.iter().map(|entry| entry.message.trim_end());
        Ok(lines.collect::<Vec<_>>().join("\n"))
    }

    fn signal(&self, service: &str, signal: &str) -> PortResult<()> {
        self.run(
            &format!("send {signal} to {service}"),
            self.client.signal(signal, &[service]),
        )
    }
}

fn is_pending(source: &super::Source) -> bool {
    matches!(
        source.downcast_ref::<Error>(),
        Some(Error::Api { status: 504, .. })
    )
}
