//! The workload: clients that write uniquely numbered rows at a bounded rate and read them back,
//! through whatever leads to the primary and to the standbys.

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_postgres::config::{LoadBalanceHosts, TargetSessionAttrs};
use tokio_postgres::error::{DbError, Severity};
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage, SimpleQueryRow};

use crate::Error;
use crate::history::{What, Writer};

/// What the workload does.
#[derive(Debug, Clone)]
pub struct Load {
    /// Leads to the primary.
    pub primary: Config,
    /// Leads to some standby.
    pub standbys: Option<Config>,
    /// How many clients, each with a connection of its own to either.
    pub clients: u32,
    /// Operations a second, of all clients together.
    pub rate: u32,
    /// Of a hundred operations, how many are reads.
    pub reads: u32,
    /// How long an operation may take before its outcome counts as unknown.
    pub patience: Duration,
    /// When to stop at the latest.
    pub limit: Duration,
    /// Decides who does what when.
    pub seed: u64,
}

/// The statements, which hold nothing but numbers.
///
/// The timeline is that of the segment which the server writes, as `pg_control_checkpoint()` tells
/// it late after a promotion; a standby has the one of its last checkpoint.
const PLACE: &str = "coalesce(host(inet_server_addr()), 'local') as server, \
    pg_is_in_recovery() as standby, case when pg_is_in_recovery() \
    then (select timeline_id from pg_control_checkpoint()) \
    else ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int end as timeline";

/// How an operation ended.
enum Outcome {
    Rows(Vec<SimpleQueryRow>),
    /// It was refused, or never sent.
    Failed(String),
    /// Its answer did not come, or says that the server goes down: it may have committed.
    Unknown(String),
}

/// Makes the table anew.
///
/// # Errors
/// When the database says so, or nothing.
pub async fn prepare(load: &Load) -> Result<(), Error> {
    let client = dial("connect to the primary", load).await?;
    let statement = "drop table if exists chaos_rows; \
        create table chaos_rows (client int, seq bigint); \
        create index on chaos_rows (client, seq)";
    let what = "make the table";
    timeout(load.patience * 4, client.batch_execute(statement))
        .await
        .map_err(|_| Error::Late(what))?
        .map_err(|source| Error::Database { what, source })
}

/// Tells which rows are there, at the end of the history.
///
/// # Errors
/// When the database does not tell.
pub async fn finish(load: &Load, history: &Writer) -> Result<(), Error> {
    let client = dial("connect to the primary", load).await?;
    // Runs of rows that are there equally often, by their distance from the row's place in order.
    let statement = "select client, min(seq) as first, max(seq) as last, n from ( \
            select client, seq, n, \
                seq - row_number() over (partition by client, n order by seq) as island \
            from (select client, seq, count(*) as n from chaos_rows group by 1, 2) as counted \
        ) as placed group by client, n, island order by 1, 2";
    let what = "read all rows";
    let messages = timeout(Duration::from_mins(1), client.simple_query(statement))
        .await
        .map_err(|_| Error::Late(what))?
        .map_err(|source| Error::Database { what, source })?;
    for row in rows(messages) {
        let rows = What::Rows {
            from: number(&row, "first")?,
            to: number(&row, "last")?,
            count: number(&row, "n")?,
        };
        history.add(number(&row, "client")?, 0, rows)?;
    }
    history.add(0, 0, What::End)
}

/// Runs the clients until told to stop or the limit is reached.
///
/// # Errors
/// When the history can't be written; what the database does is part of the history.
pub async fn run(load: &Load, history: &Arc<Writer>, stop: &Arc<AtomicBool>) -> Result<(), Error> {
    let until = Instant::now() + load.limit;
    let mut tasks = Vec::new();
    for id in 0..load.clients {
        let worker = Worker {
            id,
            load: load.clone(),
            history: Arc::clone(history),
            to_primary: None,
            to_standby: None,
            op: 0,
            seq: 0,
        };
        tasks.push(tokio::spawn(worker.work(Arc::clone(stop), until)));
    }
    for task in tasks {
        task.await
            .map_err(|error| Error::Malformed(format!("a client broke: {error}")))??;
    }
    Ok(())
}

struct Worker {
    id: u32,
    load: Load,
    history: Arc<Writer>,
    to_primary: Option<Client>,
    to_standby: Option<Client>,
    op: u64,
    seq: u64,
}

impl Worker {
    async fn work(mut self, stop: Arc<AtomicBool>, until: Instant) -> Result<(), Error> {
        let mut random = SmallRng::seed_from_u64(self.load.seed ^ (u64::from(self.id) << 32));
        let every = Duration::from_secs(1) * self.load.clients / self.load.rate.max(1);
        // Spread over the beat, so that together they look for the primary evenly.
        sleep_until(Instant::now() + every * self.id / self.load.clients.max(1)).await;
        let mut beat = interval(every);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !stop.load(Ordering::Relaxed) && Instant::now() < until {
            beat.tick().await;
            if random.random_range(0..100) >= self.load.reads {
                self.write().await?;
            } else {
                let standby = self.load.standbys.is_some() && random.random_bool(0.5);
                self.read(standby).await?;
            }
        }
        Ok(())
    }

    async fn write(&mut self) -> Result<(), Error> {
        self.seq += 1;
        let (id, seq) = (self.id, self.seq);
        self.begin(What::Write { seq })?;
        let statement = format!("insert into chaos_rows values ({id}, {seq}) returning {PLACE}");
        let outcome = self.ask(false, &statement).await;
        let what = match outcome {
            Outcome::Rows(rows) => {
                let row = rows.first().ok_or(Error::Answer("an insert"))?;
                What::Acknowledged {
                    server: text(row, "server")?,
                    timeline: number(row, "timeline")?,
                }
            }
            Outcome::Failed(why) => What::Failed { why },
            Outcome::Unknown(why) => What::Unknown { why },
        };
        self.history.add(self.id, self.op, what)
    }

    async fn read(&mut self, standby: bool) -> Result<(), Error> {
        self.begin(What::Read)?;
        let last = self.load.clients.saturating_sub(1);
        let statement = format!(
            "select c, (select coalesce(max(seq), 0) from chaos_rows where client = c) as seen, \
             {PLACE} from generate_series(0, {last}) as c order by c"
        );
        let what = match self.ask(standby, &statement).await {
            Outcome::Rows(rows) => {
                let row = rows.first().ok_or(Error::Answer("a read"))?;
                let seen: Result<Vec<u64>, Error> =
                    rows.iter().map(|row| number(row, "seen")).collect();
                What::Answered {
                    server: text(row, "server")?,
                    timeline: number(row, "timeline")?,
                    primary: text(row, "standby")? == "f",
                    seen: seen?,
                }
            }
            Outcome::Failed(why) => What::Failed { why },
            Outcome::Unknown(why) => What::Unknown { why },
        };
        self.history.add(self.id, self.op, what)
    }

    fn begin(&mut self, what: What) -> Result<(), Error> {
        self.op += 1;
        self.history.add(self.id, self.op, what)
    }

    /// Runs a statement on a connection, a new one if there is none. One that has failed is not
    /// used again, unless the server has only refused the statement.
    async fn ask(&mut self, standby: bool, statement: &str) -> Outcome {
        let config = match &self.load.standbys {
            Some(config) if standby => config,
            _ => &self.load.primary,
        };
        let slot = if standby {
            &mut self.to_standby
        } else {
            &mut self.to_primary
        };
        let client = match slot.take().filter(|client| !client.is_closed()) {
            Some(client) => client,
            // As long again for each address that does not answer.
            None => match timeout(self.load.patience * hosts(config), connect(config)).await {
                Ok(Ok(client)) => client,
                Ok(Err(error)) => return Outcome::Failed(told(&error)),
                Err(_) => return Outcome::Failed("no connection in time".into()),
            },
        };
        match timeout(self.load.patience, client.simple_query(statement)).await {
            Ok(Ok(messages)) => {
                *slot = Some(client);
                Outcome::Rows(rows(messages))
            }
            // Its connection goes too: this may be a demoted server that still stands.
            Ok(Err(error)) if refused(&error) => Outcome::Failed(told(&error)),
            Ok(Err(error)) => Outcome::Unknown(told(&error)),
            Err(_) => Outcome::Unknown("no answer in time".into()),
        }
    }
}

fn hosts(config: &Config) -> u32 {
    u32::try_from(config.get_hosts().len()).unwrap_or(1)
}

/// An ERROR is told after the transaction was rolled back; FATAL and PANIC may come after it was
/// committed, while the server waited for its standbys.
fn refused(error: &tokio_postgres::Error) -> bool {
    let severity = error.as_db_error().and_then(DbError::parsed_severity);
    severity == Some(Severity::Error)
}

fn told(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(
        || {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            format!("{error}: {}", cause.unwrap_or_default())
        },
        |error| format!("{} {}", error.code().code(), error.message()),
    )
}

async fn connect(config: &Config) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = config.connect(NoTls).await?;
    // It ends when the client is dropped or the connection breaks; the client then tells why.
    tokio::spawn(connection);
    Ok(client)
}

async fn dial(what: &'static str, load: &Load) -> Result<Client, Error> {
    let until = Instant::now() + load.patience * 10;
    within(what, until, || connect(&load.primary)).await
}

/// Tries until it works or time is up.
async fn within<T, F: Future<Output = Result<T, tokio_postgres::Error>>>(
    what: &'static str,
    until: Instant,
    mut work: impl FnMut() -> F,
) -> Result<T, Error> {
    let mut beat = interval(Duration::from_millis(200));
    loop {
        beat.tick().await;
        match timeout(Duration::from_secs(2), work()).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(source)) if Instant::now() > until => {
                return Err(Error::Database { what, source });
            }
            Err(_) if Instant::now() > until => return Err(Error::Late(what)),
            _ => {}
        }
    }
}

fn rows(messages: Vec<SimpleQueryMessage>) -> Vec<SimpleQueryRow> {
    let row = |message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    };
    messages.into_iter().filter_map(row).collect()
}

fn text(row: &SimpleQueryRow, column: &'static str) -> Result<String, Error> {
    let found = row.try_get(column).ok().flatten();
    found.map(str::to_owned).ok_or(Error::Answer(column))
}

fn number<T: std::str::FromStr>(row: &SimpleQueryRow, column: &'static str) -> Result<T, Error> {
    text(row, column)?
        .parse()
        .map_err(|_| Error::Answer(column))
}

/// A configuration that leads to one of these hosts, `NAME` or `NAME:PORT`: with several, to the one
/// that takes writes.
///
/// # Errors
/// When a port is no number.
pub fn config(hosts: &[String], user: &str, password: &str) -> Result<Config, Error> {
    let mut config = Config::new();
    config
        .user(user)
        .password(password)
        .dbname("postgres")
        .application_name("chaos")
        .connect_timeout(Duration::from_secs(1));
    for host in hosts {
        let (name, port) = host.rsplit_once(':').unwrap_or((host, "5432"));
        let wrong = |why: &dyn Display| Error::Malformed(format!("\"{host}\" is no host: {why}"));
        config.port(port.parse::<u16>().map_err(|error| wrong(&error))?);
        config.host(name);
    }
    if hosts.len() > 1 {
        config
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .load_balance_hosts(LoadBalanceHosts::Random);
    }
    Ok(config)
}
