//! How sessions to other units' PostgreSQL are kept from those who are not it: over TLS, to a server
//! that a known authority vouches for by its host's name. They are plain only while there is no
//! authority, which is before there is a cluster.

use std::cell::LazyCell;
use std::sync::Arc;

use rustls::ClientConfig;
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::TlsStream;
use tokio_postgres::{Client, Config, Connection, Error, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{PortError, PortResult, Source};

/// Whose word for a server counts.
pub enum Trust {
    /// There is no authority yet.
    Nobodys,
    /// That of the authorities in this configuration.
    Of(Arc<ClientConfig>),
    /// There are authorities, and they cannot be used.
    Unusable(Source),
}

/// Whose word counts, which is looked up when another unit's server is asked first.
pub(super) struct Security<'a>(LazyCell<Trust, Box<dyn FnOnce() -> Trust + 'a>>);

impl<'a> Security<'a> {
    pub(super) fn new(trust: impl FnOnce() -> Trust + 'a) -> Self {
        Self(LazyCell::new(Box::new(trust)))
    }

    /// What a session to another unit is begun with; none for a plain one.
    pub(super) fn tls(&self) -> PortResult<Option<MakeRustlsConnect>> {
        match &*self.0 {
            Trust::Nobodys => Ok(None),
            Trust::Of(config) => Ok(Some(MakeRustlsConnect::new((**config).clone()))),
            Trust::Unusable(why) => Err(PortError::Failed(
                "tell which servers to trust".to_owned(),
                why.to_string().into(),
            )),
        }
    }
}

/// A session that was let in.
pub(super) struct Entered {
    /// Its client.
    pub(super) client: Client,
    /// The task that drives it; it ends with the client.
    pub(super) driver: JoinHandle<()>,
    /// What the server calls its version.
    pub(super) version: Option<String>,
}

/// Connects, over TLS where there is something to verify the server by.
pub(super) async fn connect(
    mut config: Config,
    tls: Option<&MakeRustlsConnect>,
) -> Result<Entered, Error> {
    if let Some(tls) = tls {
        let entered = config.ssl_mode(SslMode::Require).connect(tls.clone());
        Ok(drive(entered.await?))
    } else {
        Ok(drive(
            config.ssl_mode(SslMode::Disable).connect(NoTls).await?,
        ))
    }
}

fn drive<T>((client, connection): (Client, Connection<Socket, T>)) -> Entered
where
    T: TlsStream + Unpin + Send + 'static,
{
    let version = connection.parameter("server_version").map(str::to_owned);
    let driver = tokio::spawn(async move {
        // Whoever uses the client is told.
        let _ = connection.await;
    });
    Entered {
        client,
        driver,
        version,
    }
}
