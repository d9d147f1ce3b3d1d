//! PostgreSQL through `tokio-postgres`: by the own unit's socket, or over the network.

use std::time::Duration;

use cluster_plan::names::{POSTGRESQL_PORT, SHARED_SOCKETS};
use secrecy::{ExposeSecret, SecretString};
use tokio::runtime::Runtime;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Config, NoTls, SimpleQueryMessage};

use super::{Database, PortError, PortResult, Server};

/// Longest time for one session, connecting included.
const TIMEOUT: Duration = Duration::from_secs(4);
/// The same, where databases are made and what is in them changes hands.
const LONG: Duration = Duration::from_mins(1);
const NAME: &str = "PostgreSQL";

/// Set in every session: no wait for standbys, nothing in the server's log, an end to whatever
/// hangs, and writes even where clients may only read.
const SESSION: &str = "-c synchronous_commit=local -c statement_timeout=3000 \
                       -c default_transaction_read_only=off \
                       -c log_statement=none -c log_min_duration_statement=-1 \
                       -c log_min_error_statement=panic";

/// The same, for work that takes long but must not wait for clients' locks.
const LONG_SESSION: &str = "-c synchronous_commit=local -c statement_timeout=50000 \
                            -c default_transaction_read_only=off \
                            -c lock_timeout=3000 \
                            -c log_statement=none -c log_min_duration_statement=-1 \
                            -c log_min_error_statement=panic";

/// Where and for how long a session is.
struct Session<'a> {
    server: &'a Server,
    database: &'a str,
    options: &'static str,
    timeout: Duration,
}

impl<'a> Session<'a> {
    fn short(server: &'a Server) -> Self {
        Self {
            server,
            database: "postgres",
            options: SESSION,
            timeout: TIMEOUT,
        }
    }
}

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

    fn session<T, F>(&self, session: &Session<'_>, what: &str, work: F) -> PortResult<T>
    where
        F: AsyncFnOnce(&tokio_postgres::Client) -> Result<T, tokio_postgres::Error>,
    {
        let mut config = Config::new();
        config
            .user("operator")
            .dbname(session.database)
            .application_name("postgresql-k8s charm")
            .connect_timeout(Duration::from_secs(1))
            .options(session.options)
            .port(POSTGRESQL_PORT);
        match session.server {
            Server::Own => config.host_path(SHARED_SOCKETS),
            Server::Host(host, password) => config.host(host).password(password.expose_secret()),
        };
        let bounded = async {
            tokio::time::timeout(session.timeout, async {
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
            Ok(Err(error)) if error.code() == Some(&SqlState::INVALID_PASSWORD) => {
                Err(PortError::Forbidden(NAME, error.into()))
            }
            Ok(Err(error)) if error.as_db_error().is_some() => {
                Err(PortError::Failed(what.to_owned(), error.into()))
            }
            Ok(Err(error)) => Err(PortError::Unreachable(NAME, error.into())),
            Err(elapsed) => Err(PortError::Unreachable(NAME, elapsed.into())),
        }
    }
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
            rows.iter()
                .map(|row| (0..row.len()).map(|n| row.try_get(n)).collect())
                .collect()
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
        self.session(
            &Session::short(server),
            "change the roles",
            async |client| client.batch_execute(batch.expose_secret()).await,
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
            database,
            options: LONG_SESSION,
            timeout: LONG,
            ..Session::short(server)
        };
        self.session(&session, "change roles and databases", async |client| {
            if transaction {
                client.batch_execute("BEGIN").await?;
            }
            // Each is sent by itself: several at once would be one transaction in any case.
            for statement in statements {
                client.batch_execute(statement.expose_secret()).await?;
            }
            if transaction {
                client.batch_execute("COMMIT").await?;
            }
            Ok(())
        })
    }
}
