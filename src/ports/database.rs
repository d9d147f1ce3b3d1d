//! PostgreSQL through `tokio-postgres`: by the own unit's socket, or over the network.

use std::time::Duration;

use cluster_plan::names::{POSTGRESQL_PORT, SHARED_SOCKETS};
use secrecy::{ExposeSecret, SecretString};
use tokio::runtime::Runtime;
use tokio_postgres::{Config, NoTls, SimpleQueryMessage};

use super::{Database, PortError, PortResult, Server};

/// Longest time for one session, connecting included.
const TIMEOUT: Duration = Duration::from_secs(4);
const NAME: &str = "PostgreSQL";

/// Set in every session: no wait for standbys, nothing in the server's log, and an end to whatever
/// hangs.
const SESSION: &str = "-c synchronous_commit=local -c statement_timeout=3000 \
                       -c log_statement=none -c log_min_duration_statement=-1 \
                       -c log_min_error_statement=panic";

/// Sessions that last for one call.
pub struct PostgresDatabase<'a> {
    runtime: &'a Runtime,
}

impl<'a> PostgresDatabase<'a> {
    /// Sessions driven by this runtime.
    #[must_use]
    pub fn new(runtime: &'a Runtime) -> Self {
        Self { runtime }
    }

    fn session<T, F>(&self, server: &Server, what: &str, work: F) -> PortResult<T>
    where
        F: AsyncFnOnce(&tokio_postgres::Client) -> Result<T, tokio_postgres::Error>,
    {
        let mut config = Config::new();
        config
            .user("operator")
            .dbname("postgres")
            .application_name("postgresql-k8s charm")
            .connect_timeout(Duration::from_secs(1))
            .options(SESSION)
            .port(POSTGRESQL_PORT);
        match server {
            Server::Own => config.host_path(SHARED_SOCKETS),
            Server::Host(host, password) => config.host(host).password(password.expose_secret()),
        };
        let bounded = async {
            tokio::time::timeout(TIMEOUT, async {
                let (client, connection) = config.connect(NoTls).await?;
                let driver = tokio::spawn(connection);
                let result = work(&client).await;
                drop(client);
                let _ = driver.await;
                result
            })
            .await
        };
        match self.runtime.block_on(bounded) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) if error.as_db_error().is_some() => {
                Err(PortError::Failed(what.to_owned(), error.into()))
            }
            Ok(Err(error)) => Err(PortError::Unreachable(NAME, error.into())),
            Err(elapsed) => Err(PortError::Unreachable(NAME, elapsed.into())),
        }
    }
}

impl Database for PostgresDatabase<'_> {
    fn query(&self, server: &Server, sql: &str) -> PortResult<Vec<Vec<Option<String>>>> {
        let messages = self.session(server, "read the catalogue", async |client| {
            client.simple_query(sql).await
        })?;
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(
                (0..row.len())
                    .map(|n| row.get(n).map(str::to_owned))
                    .collect(),
            ),
            _ => None,
        });
        Ok(rows.collect())
    }

    fn execute(&self, server: &Server, statements: &[SecretString]) -> PortResult<()> {
        let mut batch = String::from("BEGIN;\n");
        for statement in statements {
            batch.push_str(statement.expose_secret());
            batch.push_str(";\n");
        }
        batch.push_str("COMMIT;");
        let batch = SecretString::from(batch);
        self.session(server, "change the roles", async |client| {
            client.batch_execute(batch.expose_secret()).await
        })
    }
}
