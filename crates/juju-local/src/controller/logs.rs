//! The models' logs: kept in memory up to a bound, and followed.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use juju_local_api::agent::LogLine;
use juju_local_api::user::DebugLog;
use serde_json::Value;
use tokio::sync::watch;

/// Lines kept, over all models.
const KEPT: usize = 50_000;

/// Bytes of the record of hooks, twice: when it is full, it takes the place of the one before.
const RUNS_KEPT: u64 = 8 << 20;

/// Appends what a hook has cost.
pub(super) fn keep_run(path: &Path, line: &Value) -> std::io::Result<()> {
    if path.metadata().is_ok_and(|meta| meta.len() > RUNS_KEPT) {
        std::fs::rename(path, path.with_extension("jsonl.1"))?;
    }
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(format!("{line}\n").as_bytes())
}

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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn runs_are_kept_line_by_line_and_a_full_record_makes_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hooks.jsonl");
        for number in 1..=2 {
            keep_run(&path, &json!({"number": number})).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "{\"number\":1}\n{\"number\":2}\n");
        std::fs::File::options()
            .write(true)
            .open(&path)
            .and_then(|file| file.set_len(RUNS_KEPT + 1))
            .unwrap();
        keep_run(&path, &json!({"number": 3})).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"number\":3}\n");
        assert!(path.with_extension("jsonl.1").exists());
    }
}
