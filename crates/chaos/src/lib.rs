//! Faults under load: clients that write uniquely numbered rows and remember what was acknowledged
//! ([`load`]), a checker of what they remember ([`check`]), a seeded plan of faults ([`plan`]), and
//! a report of it all ([`report`]).
//!
//! All times are microseconds of this machine's monotonic clock, which is the same in every
//! namespace, so that clients and whoever strikes agree on what came first.

pub mod check;
pub mod history;
pub mod load;
pub mod outages;
pub mod plan;
pub mod report;

/// What this crate cannot do, and why.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file.
    #[error("cannot use {path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A line that is no record.
    #[error("cannot read line {number} of {path}: {source}")]
    Line {
        /// In which file.
        path: String,
        /// Which line, from 1.
        number: usize,
        /// Why.
        source: serde_json::Error,
    },
    /// A history that no workload writes.
    #[error("cannot judge the history: {0}")]
    Malformed(String),
    /// The database, while preparing or at the end; errors in between are part of the history.
    #[error("cannot {what}: {source}")]
    Database {
        /// What was wanted.
        what: &'static str,
        /// Why not.
        source: tokio_postgres::Error,
    },
    /// Neither a result nor an error in time.
    #[error("cannot {0}: no answer in time")]
    Late(&'static str),
    /// The machine's clock.
    #[error("cannot read the clock: {0}")]
    Clock(#[from] nix::Error),
    /// An answer that no statement of ours gives.
    #[error("cannot understand the database's answer to {0}")]
    Answer(&'static str),
    /// JSON that could not be made.
    #[error("cannot write JSON: {0}")]
    Json(#[from] serde_json::Error),
}
