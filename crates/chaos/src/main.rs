//! `chaos`: the workload, its judge and its reporter, for tests/faults.py and benches/failover.

use std::io::{Read, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chaos::history::{Record, Writer, read_lines};
use chaos::outages::{Struck, acknowledged, outages};
use chaos::{Error, check, load, plan, report};
use clap::{Args, Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(about = "A workload that remembers, a checker of its history, and seeded faults")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write and read until standard input ends, then tell which rows are there. The password is in
    /// PGPASSWORD
    Load(LoadArgs),
    /// Tell which rows are there now, in a history of their own
    Rows(LoadArgs),
    /// Judge a history: exit code 1 if it holds a violation
    Check {
        /// Files that make up the history
        #[arg(required = true)]
        files: Vec<String>,
    },
    /// Print the faults of a seed
    Plan {
        /// The seed
        seed: u64,
        /// For how many seconds
        seconds: u64,
    },
    /// Print the longest gap in acknowledged writes after each fault
    Outages {
        /// The history
        history: String,
        /// The faults
        faults: String,
    },
    /// Write a report on rounds: folders with history.jsonl, faults.jsonl and verdict.json
    Report {
        /// The HTML file
        out: String,
        /// The folders
        #[arg(required = true)]
        rounds: Vec<String>,
    },
}

#[derive(Debug, Args)]
struct LoadArgs {
    /// Where the history goes
    history: String,
    /// NAME or NAME:PORT of what leads to the primary; with several, the one that takes writes
    #[arg(long, required = true, value_delimiter = ',')]
    primary: Vec<String>,
    /// The same for standbys
    #[arg(long, value_delimiter = ',')]
    standbys: Vec<String>,
    /// The user
    #[arg(long, default_value = "operator")]
    user: String,
    /// How many clients
    #[arg(long, default_value_t = 6)]
    clients: u32,
    /// Operations a second, together
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=200))]
    rate: u32,
    /// Of a hundred operations, how many read
    #[arg(long, default_value_t = 30)]
    reads: u32,
    /// Milliseconds that an operation may take
    #[arg(long, default_value_t = 2000)]
    patience: u64,
    /// Seconds after which to stop in any case
    #[arg(long, default_value_t = 3600)]
    limit: u64,
    /// Decides who does what when
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Leave out to tell which rows are there: do that later with `rows`
    #[arg(long)]
    no_rows: bool,
}

impl LoadArgs {
    fn load(&self) -> Result<load::Load, Error> {
        let password = std::env::var("PGPASSWORD").unwrap_or_default();
        let standbys = if self.standbys.is_empty() {
            None
        } else {
            Some(load::config(&self.standbys, &self.user, &password)?)
        };
        Ok(load::Load {
            primary: load::config(&self.primary, &self.user, &password)?,
            standbys,
            clients: self.clients,
            rate: self.rate,
            reads: self.reads,
            patience: Duration::from_millis(self.patience),
            limit: Duration::from_secs(self.limit),
            seed: self.seed,
        })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Cli::parse().command).await {
        Ok(code) => code,
        Err(error) => {
            let mut text = error.to_string();
            let mut cause = std::error::Error::source(&error);
            while let Some(inner) = cause {
                text = format!("{text}: {inner}");
                cause = inner.source();
            }
            let _ = writeln!(std::io::stderr(), "ERROR {text}");
            ExitCode::from(2)
        }
    }
}

fn print(text: &str) {
    // Whoever reads has gone: there is nobody to tell.
    let _ = writeln!(std::io::stdout(), "{text}");
}

async fn run(command: Command) -> Result<ExitCode, Error> {
    match command {
        Command::Load(args) => {
            let load = args.load()?;
            let history = Arc::new(Writer::create(&args.history)?);
            load::prepare(&load).await?;
            print("ready");
            load::run(&load, &history, &stop_at_end_of_input()).await?;
            if !args.no_rows {
                load::finish(&load, &history).await?;
            }
        }
        Command::Rows(args) => {
            load::finish(&args.load()?, &Writer::create(&args.history)?).await?;
        }
        Command::Check { files } => {
            let mut records: Vec<Record> = Vec::new();
            for file in &files {
                records.extend(read_lines(file)?);
            }
            let verdict = check::check(&records)?;
            print(&serde_json::to_string_pretty(&verdict)?);
            return Ok(ExitCode::from(u8::from(!verdict.violations.is_empty())));
        }
        Command::Plan { seed, seconds } => {
            print(&serde_json::to_string(&plan::plan(seed, seconds * 1000))?);
        }
        Command::Outages { history, faults } => {
            let records: Vec<Record> = read_lines(&history)?;
            let faults: Vec<Struck> = read_lines(&faults)?;
            let found = outages(&acknowledged(&records), &faults);
            print(&serde_json::to_string(&found)?);
        }
        Command::Report { out, rounds } => report::write(&out, &rounds)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn stop_at_end_of_input() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    // A thread of its own: it ends with the process if the input doesn't end before.
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        told.store(true, Ordering::Relaxed);
    });
    stop
}
