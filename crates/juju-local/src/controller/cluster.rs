//! The Kubernetes API of the models: the embedded one, or a real kube-apiserver.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use kube_local::{ApiServer, Client, Config, Fault, Remote, Spawned, Stamp};
use serde_json::Value;
use tokio::sync::watch;

use super::pods::chain;

/// Which API server to use.
#[derive(Debug, Clone, Default)]
pub enum Kubernetes {
    /// The embedded one.
    #[default]
    Embedded,
    /// A kube-apiserver that is started for this controller.
    Real,
    /// One that runs already.
    At {
        /// Its address.
        url: String,
        /// Its authority's certificate.
        ca: PathBuf,
        /// A file with an administrator's token.
        token: PathBuf,
    },
}

/// The API server in use.
#[derive(Clone)]
pub(super) enum Cluster {
    Embedded(ApiServer),
    Real(Remote),
}

impl Cluster {
    /// Starts what is wanted; the processes that this takes, if any, end when they are dropped or
    /// with the calling thread.
    pub async fn start(
        wanted: &Kubernetes,
        state: &Path,
    ) -> Result<(Self, Option<Spawned>), String> {
        let names = [
            pod_runtime::API_ADDRESS.to_string(),
            "kubernetes".into(),
            "kubernetes.default".into(),
            "kubernetes.default.svc".into(),
            "kubernetes.default.svc.cluster.local".into(),
        ];
        let failed = |error: kube_local::Error| chain(&error);
        match wanted {
            Kubernetes::Embedded => {
                let config = Config {
                    listen: SocketAddr::from(([127, 0, 0, 1], 0)),
                    names: names.to_vec(),
                    state: None,
                    // As the webhook of Juju's controller does; not on Endpoints since 3.6.13.
                    stamp: Some(Stamp {
                        label: "app.juju.is/created-by".into(),
                        account_label: "app.kubernetes.io/name".into(),
                        except: vec!["endpoints".into()],
                    }),
                };
                let api = ApiServer::start(config).await.map_err(failed)?;
                Ok((Self::Embedded(api), None))
            }
            Kubernetes::Real => {
                let binary = kube_local::binary().ok_or_else(|| {
                    format!(
                        "kube-apiserver v{} is not on this machine; build it with: scripts/kube-apiserver build",
                        kube_local::VERSION
                    )
                })?;
                // What an earlier one left is of no use.
                let _ = std::fs::remove_dir_all(state);
                let spawned = Spawned::start(&binary, state, &names)
                    .await
                    .map_err(failed)?;
                let remote = Remote::start(spawned.client().clone())
                    .await
                    .map_err(failed)?;
                Ok((Self::Real(remote), Some(spawned)))
            }
            Kubernetes::At { url, ca, token } => {
                let read = |path: &Path| {
                    std::fs::read_to_string(path)
                        .map_err(|error| format!("cannot read {}: {error}", path.display()))
                };
                let client = Client::new(url, &read(token)?, &read(ca)?).map_err(failed)?;
                let remote = Remote::start(client).await.map_err(failed)?;
                Ok((Self::Real(remote), None))
            }
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        match self {
            Self::Embedded(api) => api.address(),
            Self::Real(remote) => remote.client().address(),
        }
    }

    /// The address of a real one, for people.
    pub fn url(&self) -> Option<String> {
        match self {
            Self::Embedded(_) => None,
            Self::Real(_) => Some(format!("https://{}", self.address())),
        }
    }

    /// Its certificate authority, PEM.
    pub fn ca_pem(&self) -> &str {
        match self {
            Self::Embedded(api) => api.ca_pem(),
            Self::Real(remote) => remote.client().ca_pem(),
        }
    }

    /// Makes a request as the owner: status and body.
    pub fn call(
        &self,
        method: &str,
        path: &str,
        media: &str,
        body: Option<&Value>,
    ) -> (u16, Value) {
        match self {
            Self::Embedded(api) => api.call(method, path, media, body),
            Self::Real(remote) => remote.call(method, path, media, body),
        }
    }

    /// Objects of a kind in a namespace; none when the server does not answer.
    pub fn list(&self, plural: &str, namespace: &str) -> Option<Vec<Value>> {
        match self {
            Self::Embedded(api) => Some(api.list(plural, namespace)),
            Self::Real(remote) => remote.list(plural, namespace),
        }
    }

    /// One object.
    pub fn get(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        match self {
            Self::Embedded(api) => api.get(plural, namespace, name),
            Self::Real(remote) => remote.get(plural, namespace, name),
        }
    }

    /// Hears of every change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        match self {
            Self::Embedded(api) => api.changes(),
            Self::Real(remote) => remote.changes(),
        }
    }

    /// A token of a service account.
    pub fn account_token(&self, namespace: &str, name: &str) -> Result<String, String> {
        match self {
            Self::Embedded(api) => Ok(api.account_token(namespace, name)),
            Self::Real(remote) => remote.account_token(namespace, name),
        }
    }

    /// Lets pods' requests fail on purpose.
    pub fn set_fault(&self, fault: Fault) -> Result<(), &'static str> {
        match self {
            Self::Embedded(api) => {
                api.set_fault(fault);
                Ok(())
            }
            Self::Real(_) if fault == Fault::None => Ok(()),
            Self::Real(_) => Err(
                "a real kube-apiserver can't be made to answer with a status of one's choice; \
                 it can be made up, down or hang",
            ),
        }
    }
}
