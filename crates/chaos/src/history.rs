//! What the clients did and what came of it, a JSON object a line.

use std::fs::File;
use std::io::{BufRead, BufReader, LineWriter, Write};
use std::sync::{Mutex, PoisonError};

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::Error;

/// One line of a history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When, in microseconds of the monotonic clock.
    pub at: u64,
    /// Which client; of [`What::Rows`], whose rows.
    pub client: u32,
    /// Which of the client's operations. Each has one invocation and at most one completion.
    pub op: u64,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What a record tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    /// The client is about to insert its row of this number.
    Write {
        /// Its number; a client's numbers only grow.
        seq: u64,
    },
    /// The client is about to ask for the highest row of every client.
    Read,
    /// The insert was acknowledged.
    Acknowledged {
        /// Address of the server.
        server: String,
        /// The timeline it writes.
        timeline: u32,
    },
    /// The read was answered.
    Answered {
        /// Address of the server.
        server: String,
        /// The timeline that it writes or follows.
        timeline: u32,
        /// Whether it takes writes.
        primary: bool,
        /// The highest row of every client, in the clients' order; 0 for none.
        seen: Vec<u64>,
    },
    /// It certainly had no effect.
    Failed {
        /// The error.
        why: String,
    },
    /// It may have had an effect, now or later.
    Unknown {
        /// The error.
        why: String,
    },
    /// What is in the table after all is over: a run of rows of one client.
    Rows {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
        /// How often each of them is there.
        count: u64,
    },
    /// All rows have been told.
    End,
}

/// Microseconds of the monotonic clock.
///
/// # Errors
/// Where there is no such clock.
pub fn now() -> Result<u64, Error> {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    let part = |n: i64| u64::try_from(n).unwrap_or_default();
    Ok(part(time.tv_sec()) * 1_000_000 + part(time.tv_nsec()) / 1000)
}

/// Reads a file of JSON lines. A last line without its end is left out: its writer was killed.
///
/// # Errors
/// When the file can't be read or a line is no such thing.
pub fn read_lines<T: for<'a> Deserialize<'a>>(path: &str) -> Result<Vec<T>, Error> {
    let failed = |source| Error::File {
        path: path.to_owned(),
        source,
    };
    let mut reader = BufReader::new(File::open(path).map_err(failed)?);
    let (mut found, mut line, mut number) = (Vec::new(), String::new(), 0);
    while reader.read_line(&mut line).map_err(failed)? > 0 {
        number += 1;
        if line.ends_with('\n') {
            let one = serde_json::from_str(&line).map_err(|source| Error::Line {
                path: path.to_owned(),
                number,
                source,
            })?;
            found.push(one);
        }
        line.clear();
    }
    Ok(found)
}

/// A history that is being written by several clients.
#[derive(Debug)]
pub struct Writer {
    path: String,
    file: Mutex<LineWriter<File>>,
}

impl Writer {
    /// Begins one, in place of what was there.
    ///
    /// # Errors
    /// When the file can't be made.
    pub fn create(path: &str) -> Result<Self, Error> {
        let file = File::create(path).map_err(|source| Error::File {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            file: Mutex::new(LineWriter::new(file)),
        })
    }

    /// Adds what happened just now. Invocations are to be added before anything is sent,
    /// completions after everything has come.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn add(&self, client: u32, op: u64, what: What) -> Result<(), Error> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let record = Record {
            at: now()?,
            client,
            op,
            what,
        };
        let mut line = serde_json::to_vec(&record)?;
        line.push(b'\n');
        file.write_all(&line).map_err(|source| Error::File {
            path: self.path.clone(),
            source,
        })
    }
}
