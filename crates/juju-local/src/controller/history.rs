//! Past statuses of units and applications, for `show-status-log`.

use std::collections::VecDeque;

use juju_local_api::ErrorKind;
use juju_local_api::user::StatusLog;
use serde_json::{Value, json};

use super::model::{App, Model, Outcome, Status, Unit, refuse};

/// Statuses kept of each unit and application.
const KEPT: usize = 500;

/// Statuses in the order in which they came, each with its kind.
#[derive(Debug, Default)]
pub(super) struct History(VecDeque<(&'static str, String, Status)>);

impl History {
    /// Keeps a status that differs from the last one of its kind.
    fn keep(&mut self, kind: &'static str, status: &Status) {
        let last = self.0.iter().rev().find(|(known, ..)| *known == kind);
        let same = |last: &Status| last.word == status.word && last.message == status.message;
        if last.is_some_and(|(_, _, last)| same(last)) {
            return;
        }
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        let time = jiff::Timestamp::now().to_string();
        self.0.push_back((kind, time, status.clone()));
    }
}

impl Unit {
    /// The charm's word on the unit.
    pub fn set_workload(&mut self, status: Status) {
        self.history.keep("workload", &status);
        self.workload = status;
    }

    /// The agent's word on itself.
    pub fn set_agent(&mut self, status: Status) {
        self.history.keep("juju-unit", &status);
        self.agent = status;
    }
}

impl App {
    /// The leader's word on the application.
    pub fn set_status(&mut self, status: Status) {
        self.history.keep("application", &status);
        self.status = Some(status);
    }
}

impl Model {
    /// What `show-status-log` shows: the last ones, or those since a time.
    pub fn status_log(&self, wanted: &StatusLog) -> Outcome<Value> {
        let history = match wanted.kind.as_str() {
            "application" => &self.app(&wanted.entity)?.history,
            _ => &self.unit(&wanted.entity)?.history,
        };
        let kinds: &[&str] = match wanted.kind.as_str() {
            "application" => &["application"],
            "workload" => &["workload"],
            "juju-unit" => &["juju-unit"],
            "unit" => &["workload", "juju-unit"],
            other => {
                let text = format!("there are no statuses of type \"{other}\" here");
                return refuse(ErrorKind::BadRequest, text);
            }
        };
        let since = wanted.since.as_deref().and_then(|text| text.parse().ok());
        let late = |time: &str| {
            let time: Option<jiff::Timestamp> = time.parse().ok();
            since.is_none_or(|since| time >= Some(since))
        };
        let all = history.0.iter();
        let all = all.filter(|(kind, time, _)| kinds.contains(kind) && late(time));
        let all: Vec<Value> = all
            .map(|(kind, time, status)| {
                json!({"status": status.word, "message": status.message, "since": time, "type": kind})
            })
            .collect();
        let skip = all.len().saturating_sub(wanted.size.unwrap_or(usize::MAX));
        Ok(all.into_iter().skip(skip).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_the_newest_and_no_status_twice_in_a_row() {
        let mut history = History::default();
        for number in 0..KEPT + 5 {
            let status = Status::new("active", &number.to_string());
            history.keep("workload", &status);
            history.keep("workload", &status);
            history.keep("juju-unit", &Status::new("idle", ""));
        }
        assert_eq!(history.0.len(), KEPT);
        let (kind, _, last) = history.0.back().unwrap();
        assert_eq!((*kind, last.message.as_str()), ("workload", "504"));
    }
}
