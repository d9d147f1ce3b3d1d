//! PostgreSQL through `tokio-postgres`: by the own unit's socket, or over the network.

use std::cell::Cell;
use std::path::PathBuf;
use std::time::Duration;

use cluster_plan::clients::POSTGRES;
use cluster_plan::names::{POSTGRESQL_PORT, SHARED_SOCKETS};
use secrecy::{ExposeSecret, SecretString};
use tokio::runtime::Runtime;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::said::said;
use super::secure::{self, Entered, Security, Trust};
use super::{Database, PortError, PortResult, Server};
use crate::session::{Work, options};

/// Longest time for one session, connecting included.
const TIMEOUT: Duration = Duration::from_secs(4);
/// The same, where databases are made and what is in them changes hands.
const LONG: Duration = Duration::from_mins(1);
const NAME: &str = "PostgreSQL";

/// Where a session is, and for how long.
struct Session<'a> {
    server: &'a Server,
    database: &'a str,
    work: Work,
}

impl<'a> Session<'a> {
    fn short(server: &'a Server) -> Self {
        Self {
            server,
            database: POSTGRES,
            work: Work::Short,
        }
    }

    /// Longest time for all of it, connecting included.
    fn limit(&self) -> Duration {
        match self.work {
            Work::Short => TIMEOUT,
            Work::Long => LONG,
        }
    }
}

/// Sessions that last for one call.
pub struct PostgresDatabase<'a> {
    runtime: &'a Runtime,
    sockets: PathBuf,
    security: Security<'a>,
    /// Major version of the servers, once one has told it.
    major: Cell<Option<u32>>,
}

impl<'a> PostgresDatabase<'a> {
    /// Sessions driven by this runtime; the own server's socket is in the directory that the
    /// containers share.
    #[must_use]
    pub fn new(runtime: &'a Runtime) -> Self {
        Self::with_sockets(runtime, SHARED_SOCKETS)
    }

    /// The same, with the own server's socket in another directory.
    #[must_use]
    pub fn with_sockets(runtime: &'a Runtime, sockets: impl Into<PathBuf>) -> Self {
        Self {
            runtime,
            sockets: sockets.into(),
            security: Security::new(|| Trust::Nobodys),
            major: Cell::default(),
        }
    }

    /// The same, to servers of other units that somebody with this trust vouches for.
    #[must_use]
    pub fn trusting(mut self, trust: impl FnOnce() -> Trust + 'a) -> Self {
        self.security = Security::new(trust);
        self
    }

    fn session<T, F>(&self, session: &Session<'_>, what: &str, work: F) -> PortResult<T>
    where
        F: AsyncFnOnce(&Client) -> Result<T, tokio_postgres::Error>,
    {
        let tls = match session.server {
            Server::Own => None,
            Server::Host(..) => self.security.tls()?,
        };
        let bounded = async {
            tokio::time::timeout(session.limit(), async {
                let entered = self.enter(session, tls.as_ref()).await?;
                let Entered { client, driver, .. } = entered;
                let result = work(&client).await;
                drop(client);
                let _ = driver.await;
                result
            })
            .await
        };
        match self.runtime.block_on(bounded) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) if error.code() == Some(&SqlState::INVALID_PASSWORD) => {
                Err(PortError::Forbidden(NAME, said(error)))
            }
            Ok(Err(error)) if error.as_db_error().is_some() => {
                Err(PortError::Failed(what.to_owned(), said(error)))
            }
            Ok(Err(error)) => Err(PortError::Unreachable(NAME, error.into())),
            // What makes a client's database slow says nothing of the server.
            Err(elapsed) if session.database != POSTGRES => {
                Err(PortError::Failed(what.to_owned(), elapsed.into()))
            }
            Err(elapsed) => Err(PortError::Unreachable(NAME, elapsed.into())),
        }
    }

    /// Connects with all that the server's version lets be fixed. Which version that is the server
    /// tells in its answer, so it is asked first in a database that no client has set anything in.
    async fn enter(
        &self,
        session: &Session<'_>,
        tls: Option<&MakeRustlsConnect>,
    ) -> Result<Entered, tokio_postgres::Error> {
        if self.major.get().is_none() {
            let first = Session {
                database: POSTGRES,
                ..*session
            };
            let before = options(first.work, None);
            let entered = self.connect(&first, &before, tls).await?;
            let told = entered.version.as_deref().and_then(major);
            self.major.set(told);
            if session.database == POSTGRES && options(session.work, told) == before {
                return Ok(entered);
            }
        }
        let options = options(session.work, self.major.get());
        self.connect(session, &options, tls).await
    }

    async fn connect(
        &self,
        session: &Session<'_>,
        options: &str,
        tls: Option<&MakeRustlsConnect>,
    ) -> Result<Entered, tokio_postgres::Error> {
        let mut config = Config::new();
        config
            .user("operator")
            .dbname(session.database)
            .application_name("postgresql-k8s charm")
            .connect_timeout(Duration::from_secs(1))
            .options(options)
            .port(POSTGRESQL_PORT);
        match session.server {
            Server::Own => config.host_path(&self.sockets),
            Server::Host(host, password) => config.host(host).password(password.expose_secret()),
        };
        secure::connect(config, tls).await
    }
}

/// The major version in what a server calls its version: `15.18 (Debian 15.18-0)`.
fn major(version: &str) -> Option<u32> {
    let digits = version.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

impl PostgresDatabase<'_> {
    fn rows(
        &self,
        session: &Session<'_>,
        sql: &str,
        parameters: &[&str],
    ) -> PortResult<Vec<Vec<Option<String>>>> {
        let parameters: Vec<&(dyn ToSql + Sync)> = parameters
            .iter()
            .map(|text| text as &(dyn ToSql + Sync))
            .collect();
        self.session(session, "read the catalogue", async |client| {
            let rows = client.query(sql, &parameters).await?;
            Ok(rows
                .iter()
                .map(|row| {
                    (0..row.len())
                        .map(|n| row.try_get(n).ok().flatten())
                        .collect()
                })
                .collect())
        })
    }
}

impl Database for PostgresDatabase<'_> {
    fn query(&self, server: &Server, sql: &str) -> PortResult<Vec<Vec<Option<String>>>> {
        let messages = self.session(
            &Session::short(server),
            "read the catalogue",
            async |client| client.simple_query(sql).await,
        )?;
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(
                (0..row.len())
                    .map(|n| row.try_get(n).ok().flatten().map(str::to_owned))
                    .collect(),
            ),
            _ => None,
        });
        Ok(rows.collect())
    }

    fn execute(&self, server: &Server, statements: &[SecretString]) -> PortResult<()> {
        self.session(
            &Session::short(server),
            "change the roles",
            async |client| together(client, statements).await,
        )
    }

    fn look(
        &self,
        server: &Server,
        sql: &'static str,
        parameters: &[&str],
    ) -> PortResult<Vec<Vec<Option<String>>>> {
        self.rows(&Session::short(server), sql, parameters)
    }

    fn look_in(
        &self,
        server: &Server,
        database: &str,
        sql: &'static str,
    ) -> PortResult<Vec<Vec<Option<String>>>> {
        let session = Session {
            database,
            ..Session::short(server)
        };
        self.rows(&session, sql, &[])
    }

    fn run(
        &self,
        server: &Server,
        database: &str,
        transaction: bool,
        statements: &[SecretString],
    ) -> PortResult<()> {
        let session = Session {
            server,
            database,
            work: Work::Long,
        };
        self.session(&session, "change roles and databases", async |client| {
            if transaction {
                return together(client, statements).await;
            }
            for statement in statements {
                client.batch_execute(statement.expose_secret()).await?;
            }
            Ok(())
        })
    }
}

/// Runs statements in one transaction, each sent by itself: a server that logs one, say because a
/// library audits `BEGIN`, logs the text of all that came with it, and one may hold a verifier.
async fn together(
    client: &Client,
    statements: &[SecretString],
) -> Result<(), tokio_postgres::Error> {
    client.batch_execute("BEGIN").await?;
    for statement in statements {
        client.batch_execute(statement.expose_secret()).await?;
    }
    client.batch_execute("COMMIT").await
}

#[cfg(test)]
mod tests {
    use super::major;

    #[test]
    fn the_major_version_is_read_from_what_servers_call_theirs() {
        for (version, expected) in [
            ("15.18 (Debian 15.18-0+deb12u1)", Some(15)),
            ("17.11", Some(17)),
            ("18beta1", Some(18)),
            ("", None),
        ] {
            assert_eq!(major(version), expected, "{version}");
        }
    }
}
