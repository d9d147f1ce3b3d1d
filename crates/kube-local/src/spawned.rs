//! A real kube-apiserver and its etcd, as child processes that end with this one, however it ends.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::certificates::Certificates;
use crate::{Client, Error};

/// The version that is measured against.
pub const VERSION: &str = "1.34.1";
/// Longest wait until it is ready.
const START: Duration = Duration::from_mins(2);

/// The running processes; they end when this is dropped.
#[derive(Debug)]
pub struct Spawned {
    children: Vec<Child>,
    client: Client,
}

impl Drop for Spawned {
    fn drop(&mut self) {
        // The API server first: it logs at length when etcd leaves it.
        for child in self.children.iter_mut().rev() {
            // It may have ended already.
            let _ = (child.kill(), child.wait());
        }
    }
}

/// Where the binary is: what `KUBE_APISERVER_BIN` says, or where `scripts/kube-apiserver build` puts it.
#[must_use]
pub fn binary() -> Option<PathBuf> {
    let named = std::env::var_os("KUBE_APISERVER_BIN").map(PathBuf::from);
    let cache = || {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let folder = cache.or_else(|| Some(std::env::home_dir()?.join(".cache")))?;
        Some(folder.join(format!("postgresql-k8s/kube-apiserver-{VERSION}")))
    };
    named.or_else(cache).filter(|path| path.is_file())
}

impl Spawned {
    /// Starts both with their state in a folder, and waits until they are ready. They get a signal
    /// when the calling thread ends, so it should be one that lasts.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn start(binary: &Path, folder: &Path, names: &[String]) -> Result<Self, Error> {
        for program in ["etcd", "setpriv"] {
            check_installed(program)?;
        }
        let mut made = fs::DirBuilder::new();
        made.recursive(true).mode(0o700);
        made.create(folder).map_err(state(folder))?;
        let token = uuid::Uuid::new_v4().simple().to_string();
        let certificates = Certificates::new(names)?;
        let account = rcgen::KeyPair::generate().map_err(Error::Certificate)?;
        for (name, text) in [
            ("apiserver.crt", certificates.server.pem()),
            ("apiserver.key", certificates.key.serialize_pem()),
            ("account.key", account.serialize_pem()),
            ("account.pub", account.public_key_pem()),
            (
                "tokens.csv",
                format!("{token},admin,admin,\"system:masters\"\n"),
            ),
        ] {
            write(&folder.join(name), &text)?;
        }
        let [client_port, peer_port, port] = free_ports()?;
        let url = format!("https://127.0.0.1:{port}");
        let client = Client::new(&url, &token, &certificates.authority.pem())?;
        let etcd_url = format!("http://127.0.0.1:{client_port}");
        let etcd = etcd(folder, &etcd_url, &format!("http://127.0.0.1:{peer_port}"))?;
        let mut spawned = Self {
            children: vec![etcd],
            client,
        };
        let server = api_server(binary, folder, &etcd_url, port)?;
        spawned.children.push(server);
        spawned.wait_ready(folder).await?;
        Ok(spawned)
    }

    /// A client that may do everything.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    async fn wait_ready(&mut self, folder: &Path) -> Result<(), Error> {
        let deadline = Instant::now() + START;
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        loop {
            ticks.tick().await;
            let asked = self.client.text("GET", "/readyz", "", &[]);
            let asked = tokio::time::timeout(Duration::from_secs(10), asked).await;
            if matches!(asked, Ok(Ok((200, _)))) {
                return Ok(());
            }
            let mut ended = self.children.iter_mut().map(Child::try_wait);
            let ended = ended.any(|state| !matches!(state, Ok(None)));
            if ended || Instant::now() >= deadline {
                return Err(Error::NotReady {
                    logs: folder.to_owned(),
                });
            }
        }
    }
}

fn etcd(folder: &Path, url: &str, peer: &str) -> Result<Child, Error> {
    let mut command = tied("etcd");
    command
        .arg("--name=default")
        .arg("--data-dir")
        .arg(folder.join("etcd"));
    command.arg("--unsafe-no-fsync").arg("--log-level=warn");
    for (flag, value) in [
        ("--listen-client-urls", url),
        ("--advertise-client-urls", url),
        ("--listen-peer-urls", peer),
        ("--initial-advertise-peer-urls", peer),
        ("--initial-cluster", &format!("default={peer}")),
    ] {
        command.args([flag, value]);
    }
    spawn(command, "etcd", &folder.join("etcd.log"))
}

fn api_server(binary: &Path, folder: &Path, etcd: &str, port: u16) -> Result<Child, Error> {
    let issuer = "https://kubernetes.default.svc.cluster.local";
    let file = |name: &str| folder.join(name).display().to_string();
    let mut command = tied(binary);
    for (flag, value) in [
        ("etcd-servers", etcd.to_owned()),
        ("bind-address", "127.0.0.1".to_owned()),
        ("secure-port", port.to_string()),
        ("advertise-address", "10.152.183.1".to_owned()),
        ("tls-cert-file", file("apiserver.crt")),
        ("tls-private-key-file", file("apiserver.key")),
        ("token-auth-file", file("tokens.csv")),
        ("authorization-mode", "RBAC".to_owned()),
        ("anonymous-auth", "false".to_owned()),
        ("service-account-issuer", issuer.to_owned()),
        ("api-audiences", issuer.to_owned()),
        ("service-account-key-file", file("account.pub")),
        ("service-account-signing-key-file", file("account.key")),
        ("service-cluster-ip-range", "10.152.183.0/24".to_owned()),
        ("endpoint-reconciler-type", "none".to_owned()),
        // There is nobody who would make the accounts named "default".
        ("disable-admission-plugins", "ServiceAccount".to_owned()),
        ("allow-privileged", "true".to_owned()),
    ] {
        command.arg(format!("--{flag}={value}"));
    }
    spawn(
        command,
        "kube-apiserver",
        &folder.join("kube-apiserver.log"),
    )
}

/// A command that is killed with the thread that starts it.
fn tied(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

fn check_installed(program: &'static str) -> Result<(), Error> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|folder| folder.join(program).is_file()) {
        return Ok(());
    }
    let source = std::io::Error::new(std::io::ErrorKind::NotFound, "it is not on the PATH");
    Err(Error::Program { program, source })
}

fn spawn(mut command: Command, program: &'static str, log: &Path) -> Result<Child, Error> {
    let output = File::create(log).map_err(state(log))?;
    let errors = output.try_clone().map_err(state(log))?;
    command
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .spawn()
        .map_err(|source| Error::Program { program, source })
}

/// Ports on which nobody listens now.
fn free_ports() -> Result<[u16; 3], Error> {
    let listen = ([127, 0, 0, 1], 0).into();
    let failed = |source| Error::Listen {
        address: listen,
        source,
    };
    // All are held until the last is found, so that they differ.
    let one = || TcpListener::bind(listen);
    let (a, b, c) = (
        one().map_err(failed)?,
        one().map_err(failed)?,
        one().map_err(failed)?,
    );
    let port = |held: &TcpListener| held.local_addr().map(|address| address.port());
    Ok([
        port(&a).map_err(failed)?,
        port(&b).map_err(failed)?,
        port(&c).map_err(failed)?,
    ])
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    let mut options = fs::OpenOptions::new();
    let options = options.create(true).truncate(true).write(true).mode(0o600);
    let written = options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(state(path))
}

fn state(path: &Path) -> impl Fn(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::State {
        path: path.clone(),
        source,
    }
}
