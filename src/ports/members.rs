//! Patroni: through its REST API, and through what it keeps in Kubernetes.

use std::cell::{LazyCell, RefCell};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cluster_plan::names::PATRONI_PORT;
use patroni::{Client, Cluster, Error, Lease, Probe};
use rustls::ClientConfig;
use secrecy::SecretString;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::objects::objects;
use super::{ClusterApi, Members, PortError, PortResult, Restarted};

/// Longest time that one member is waited for, when any will do.
const ONE: Duration = Duration::from_secs(2);
/// A switchover is answered when it is done.
const SWITCHOVER: Duration = Duration::from_secs(20);
/// Longest wait for a restart within a hook.
const RESTART: Duration = Duration::from_secs(4);
const CONNECT: Duration = Duration::from_secs(1);
/// Patroni's words for it; it has others where it has not tried.
const RESTART_FAILED: &str = "restart failed";
const NAME: &str = "Patroni";

/// What the members are asked with.
#[derive(Default)]
pub struct Credentials {
    /// The password of Patroni's user `patroni`, without which only reads work.
    pub password: Option<SecretString>,
    /// The members' authorities.
    pub tls: Option<Arc<ClientConfig>>,
}

/// Clients of the members.
pub struct PatroniMembers<'a> {
    runtime: &'a Runtime,
    kubernetes: &'a ClusterApi<'a>,
    scope: String,
    credentials: LazyCell<Credentials, Box<dyn FnOnce() -> Credentials + 'a>>,
    distrusted: RefCell<BTreeSet<String>>,
}

impl<'a> PatroniMembers<'a> {
    /// Clients of this scope's members with these credentials, which are looked up when a member is
    /// asked first.
    #[must_use]
    pub fn new(
        runtime: &'a Runtime,
        kubernetes: &'a ClusterApi<'a>,
        scope: String,
        credentials: impl FnOnce() -> Credentials + 'a,
    ) -> Self {
        Self {
            runtime,
            kubernetes,
            scope,
            credentials: LazyCell::new(Box::new(credentials)),
            distrusted: RefCell::default(),
        }
    }

    fn client(&self, host: &str, limit: Duration) -> Client {
        let client = Client::new(host, PATRONI_PORT).with_limits(CONNECT, limit);
        let client = match &self.credentials.tls {
            Some(tls) => client.with_tls(Arc::clone(tls)),
            None => client,
        };
        match &self.credentials.password {
            Some(password) => client.with_credentials("patroni", password.clone()),
            None => client,
        }
    }

    /// For a member that does not serve TLS yet, and for questions alone: it gets no password.
    fn plain(host: &str, limit: Duration) -> Client {
        Client::new(host, PATRONI_PORT).with_limits(CONNECT, limit)
    }

    /// The answer to a question: over TLS where the authorities are known, else, or where the
    /// member does not speak it yet, without.
    async fn ask<T, F>(
        &self,
        host: &str,
        limit: Duration,
        question: impl Fn(Client) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        match question(self.client(host, limit)).await {
            Err(error @ Error::Unreachable { .. }) if self.credentials.tls.is_some() => {
                question(Self::plain(host, limit)).await.map_err(|_| error)
            }
            Err(error @ Error::Distrusted { .. }) => {
                self.distrusted.borrow_mut().insert(host.to_owned());
                Err(error)
            }
            answer => answer,
        }
    }
}

fn error(what: &str, error: Error) -> PortError {
    match error {
        Error::Unreachable { .. } | Error::Distrusted { .. } | Error::TimedOut { .. } => {
            PortError::Unreachable(NAME, error.into())
        }
        Error::Unauthorized => PortError::Forbidden(NAME, error.into()),
        _ => PortError::Failed(what.to_owned(), error.into()),
    }
}

impl Members for PatroniMembers<'_> {
    fn cluster(&self, hosts: &[String]) -> PortResult<Cluster> {
        let client = self.kubernetes.client()?;
        let read = objects(client, &self.kubernetes.namespace, &self.scope);
        self.runtime.block_on(async {
            let (host, objects) = tokio::join!(self.who_answers(hosts), read);
            let (host, objects) = (host?, objects?);
            let lease = objects.lease(&self.scope);
            let holder = match lease {
                Some(lease) if self.stands(&lease, host).await => Some(lease.holder),
                _ => None,
            };
            let mut cluster = objects.cluster(&self.scope, holder.as_deref());
            self.correct(&mut cluster).await;
            Ok(cluster)
        })
    }

    fn distrusted(&self, host: &str) -> bool {
        self.distrusted.borrow().contains(host)
    }

    fn certificate(&self, host: &str) -> PortResult<Option<Vec<u8>>> {
        let client = self.client(host, ONE);
        match self.runtime.block_on(client.certificate()) {
            Err(Error::Distrusted { .. }) => Ok(None),
            answer => answer.map_err(|e| error("look at the certificate", e)),
        }
    }

    fn dynamic_config(&self, host: &str) -> PortResult<Value> {
        let ask = self.ask(host, ONE, async |client: Client| client.config().await);
        self.runtime
            .block_on(ask)
            .map_err(|e| error("read the dynamic configuration", e))
    }

    fn patch_dynamic_config(&self, host: &str, patch: &Value) -> PortResult<()> {
        let client = self.client(host, ONE);
        self.runtime
            .block_on(client.patch_config(patch))
            .map(drop)
            .map_err(|e| error("patch the dynamic configuration", e))
    }

    fn restart(&self, host: &str) -> PortResult<Restarted> {
        let client = self.client(host, RESTART);
        match self.runtime.block_on(client.restart(true)) {
            Ok(()) => Ok(Restarted::Done),
            Err(Error::TimedOut { .. }) => Ok(Restarted::Going),
            Err(Error::Status { text, .. }) if text == RESTART_FAILED => Ok(Restarted::Failed),
            Err(e) => Err(error("restart PostgreSQL", e)),
        }
    }

    fn reinitialise(&self, host: &str) -> PortResult<()> {
        let client = self.client(host, ONE);
        self.runtime
            .block_on(client.reinitialize(false))
            .map_err(|e| error("reinitialise", e))
    }

    fn switchover(&self, host: &str, leader: &str, candidate: Option<&str>) -> PortResult<()> {
        let client = self.client(host, SWITCHOVER);
        self.runtime
            .block_on(client.switchover(leader, candidate))
            .map_err(|e| error("switch over", e))
    }
}

impl PatroniMembers<'_> {
    /// The first of these hosts whose Patroni answers, well or not.
    async fn who_answers<'h>(&self, hosts: &'h [String]) -> PortResult<&'h str> {
        let mut last = PortError::Unreachable(NAME, "there is no member to ask".into());
        for host in hosts {
            let asked = async |client: Client| client.probe(Probe::Liveness).await;
            match self.ask(host, ONE, asked).await {
                Ok(_) => return Ok(host),
                Err(e) => last = error("ask whether Patroni runs", e),
            }
        }
        Err(last)
    }

    /// Whether this lease is still held. It may be renewed by another clock than ours, so the member
    /// that answers is asked what it saw in its last loop before the lease is called ended.
    async fn stands(&self, lease: &Lease, host: &str) -> bool {
        if !lease.ended() {
            return true;
        }
        let asked = async |client: Client| client.health(Probe::Health).await;
        let health = self.ask(host, ONE, asked).await.ok();
        let told = health.and_then(|health| health.member);
        told.is_some_and(|member| !member.cluster_unlocked)
    }

    /// The objects tell what each member wrote in its last loop, up to ten seconds ago. Those that
    /// they do not call well are asked themselves, side by side.
    async fn correct(&self, cluster: &mut Cluster) {
        let doubtful = cluster
            .members
            .iter()
            .enumerate()
            .filter(|(_, m)| !m.state.is_started());
        let asks: Vec<_> = doubtful
            .filter_map(|(at, member)| {
                let host = member
                    .api_url
                    .split("://")
                    .nth(1)?
                    .split([':', '/'])
                    .next()?
                    .to_owned();
                let speaks_tls = member.api_url.starts_with("https");
                let client = if speaks_tls {
                    self.client(&host, CONNECT)
                } else {
                    Self::plain(&host, CONNECT)
                };
                Some((at, client))
            })
            .collect();
        let answers = asks
            .into_iter()
            .map(|(at, client)| tokio::spawn(async move { (at, client.status().await.ok()) }));
        for answer in answers.collect::<Vec<_>>() {
            if let Ok((at, Some(status))) = answer.await
                && let Some(member) = cluster.members.get_mut(at)
            {
                member.state = status.state;
            }
        }
    }
}
