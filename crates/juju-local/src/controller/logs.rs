//! The models' logs: kept in memory up to a bound, and followed.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use juju_local_api::agent::LogLine;
use juju_local_api::user::DebugLog;
use tokio::sync::watch;

/// Lines kept, over all models.
const KEPT: usize = 50_000;

/// The logs.
#[derive(Debug)]
pub(super) struct Logs {
    lines: Mutex<VecDeque<(u64, String, LogLine)>>,
    pub count: watch::Sender<u64>,
}

impl Default for Logs {
    fn default() -> Self {
        Self {
            lines: Mutex::default(),
            count: watch::Sender::new(0),
        }
    }
}

fn rank(level: &str) -> u8 {
    match level {
        "TRACE" => 0,
        "DEBUG" => 1,
        "WARN" | "WARNING" => 3,
        "ERROR" => 4,
        "CRITICAL" => 5,
        _ => 2,
    }
}

impl Logs {
    pub fn add(&self, model: &str, new: Vec<LogLine>) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        for line in new {
            let number = lines.back().map_or(1, |(number, ..)| number + 1);
            lines.push_back((number, model.to_owned(), line));
            if lines.len() > KEPT {
                lines.pop_front();
            }
        }
        let last = lines.back().map_or(0, |(number, ..)| *number);
        drop(lines);
        self.count.send_replace(last);
    }

    /// Lines of a model after a number, as wanted.
    pub fn after(&self, model: &str, number: u64, wanted: &DebugLog) -> (u64, Vec<LogLine>) {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let last = lines.back().map_or(number, |(number, ..)| *number);
        let entity = |line: &LogLine, names: &[String]| {
            names.iter().any(|name| {
                let full = if name.contains('/') {
                    format!("unit-{}", name.replace('/', "-"))
                } else {
                    name.clone()
                };
                let star = full.trim_end_matches('*');
                line.entity == full || (full.ends_with('*') && line.entity.starts_with(star))
            })
        };
        let module = |line: &LogLine, names: &[String]| {
            names
                .iter()
                .any(|name| line.module.starts_with(name.as_str()))
        };
        let found = lines
            .iter()
            .filter(|(n, of, line)| {
                *n > number
                    && of == model
                    && rank(&line.level)
                        >= if wanted.level.is_empty() {
                            0
                        } else {
                            rank(&wanted.level)
                        }
                    && (wanted.include.is_empty() || entity(line, &wanted.include))
                    && !entity(line, &wanted.exclude)
                    && (wanted.include_module.is_empty() || module(line, &wanted.include_module))
                    && !module(line, &wanted.exclude_module)
            })
            .map(|(_, _, line)| line.clone())
            .collect();
        (last, found)
    }
}
