//! Changes and their tasks: what was asked for, how far it is, how it ended.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::watch;

use crate::time::Time;

/// Lines kept in a task's log.
const LOG_LINES: usize = 10;
/// Ended changes kept.
const KEPT: usize = 1000;
/// How long ended changes are kept.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);

/// How far a task or a change is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Status {
    Do,
    Doing,
    Done,
    Abort,
    Hold,
    Error,
}

impl Status {
    fn is_ready(self) -> bool {
        matches!(self, Self::Done | Self::Hold | Self::Error)
    }
}

/// How much of a task is done.
#[derive(Debug, Clone, Copy, Serialize)]
struct Progress {
    label: &'static str,
    done: u8,
    total: u8,
}

/// A step of a change.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Task {
    #[serde(with = "decimal")]
    pub id: u64,
    pub kind: String,
    pub summary: String,
    pub status: Status,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
    spawn_time: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ready_time: Option<Time>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub data: Map<String, Value>,
}

impl Task {
    /// Adds a line to its log; errors become part of the change's error.
    pub fn log(&mut self, level: &str, text: &str) {
        let time = Time::now().seconds();
        self.log.push(format!("{time} {level} {text}"));
        let surplus = self.log.len().saturating_sub(LOG_LINES);
        self.log.drain(..surplus);
    }

    fn set(&mut self, status: Status) {
        self.status = status;
        self.ready_time = status.is_ready().then(Time::now);
    }

    fn json(&self) -> Value {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        let done = u8::from(self.status != Status::Do);
        let progress = Progress {
            label: "",
            done,
            total: 1,
        };
        if let Some(map) = value.as_object_mut() {
            map.insert(
                "progress".into(),
                serde_json::to_value(progress).unwrap_or_default(),
            );
        }
        value
    }
}

/// What was asked for, as tasks.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Change {
    #[serde(with = "decimal")]
    pub id: u64,
    pub kind: String,
    pub summary: String,
    pub tasks: Vec<Task>,
    /// Services that the request named.
    #[serde(default)]
    pub services: Vec<String>,
    /// The check that it runs.
    #[serde(default)]
    pub check: Option<String>,
    spawn_time: Time,
    #[serde(default)]
    ready_time: Option<Time>,
    /// The status that the last notice was about.
    #[serde(default)]
    noted: Option<Status>,
    #[serde(skip, default = "not_aborted")]
    abort: watch::Sender<bool>,
}

fn not_aborted() -> watch::Sender<bool> {
    watch::Sender::new(false)
}

impl Change {
    /// Its status: that of the task that matters most.
    pub fn status(&self) -> Status {
        use Status::{Abort, Do, Doing, Done, Error, Hold};
        if self.tasks.is_empty() {
            return Done;
        }
        let has = |status: &Status| self.tasks.iter().any(|task| task.status == *status);
        [Abort, Doing, Do, Error, Done, Hold]
            .into_iter()
            .find(has)
            .unwrap_or(Hold)
    }

    /// Whether it has ended.
    pub fn is_ready(&self) -> bool {
        self.status().is_ready()
    }

    /// The task of this index.
    pub fn task(&mut self, index: usize) -> Option<&mut Task> {
        self.tasks.get_mut(index)
    }

    /// Begins a task, unless it was put on hold.
    pub fn begin(&mut self, index: usize) -> bool {
        match self.task(index) {
            Some(task) if task.status == Status::Do => {
                task.set(Status::Doing);
                true
            }
            _ => false,
        }
    }

    /// Ends a task.
    pub fn end(&mut self, index: usize, result: Result<(), String>) {
        let Some(task) = self.task(index) else { return };
        match result {
            Ok(()) => task.set(Status::Done),
            Err(text) => {
                task.log("ERROR", &text);
                task.set(Status::Error);
            }
        }
    }

    /// Leaves a task undone.
    pub fn hold(&mut self, index: usize) {
        if let Some(task) = self.task(index).filter(|task| !task.status.is_ready()) {
            task.set(Status::Hold);
        }
    }

    /// Calls off what has not ended; who carries it out hears of it.
    pub fn abort(&mut self) {
        for task in &mut self.tasks {
            match task.status {
                Status::Do => task.set(Status::Hold),
                Status::Doing => task.set(Status::Abort),
                _ => {}
            }
        }
        self.abort.send_replace(true);
    }

    /// Hears of an abort.
    pub fn aborted(&self) -> watch::Receiver<bool> {
        self.abort.subscribe()
    }

    /// Why it failed: a line for each error that its failed tasks logged.
    fn error(&self) -> Option<String> {
        let failed = self
            .tasks
            .iter()
            .filter(|task| task.status == Status::Error);
        let lines: Vec<String> = failed
            .flat_map(|task| {
                let texts = task.log.iter().filter_map(|line| {
                    line.split_once(' ')
                        .and_then(|(_, rest)| rest.strip_prefix("ERROR "))
                });
                texts.map(|text| format!("- {} ({text})", task.summary))
            })
            .collect();
        (self.status() == Status::Error)
            .then(|| format!("cannot perform the following tasks:\n{}", lines.join("\n")))
    }

    /// Takes note of the status: the data of a notice if it is another one than last time.
    pub fn note(&mut self) -> Option<BTreeMap<String, String>> {
        let status = self.status();
        if status.is_ready() && self.ready_time.is_none() {
            self.ready_time = Some(Time::now());
        }
        let back = self.noted == Some(Status::Doing) && status == Status::Do;
        if self.noted == Some(status) || back {
            return None;
        }
        self.noted = Some(status);
        let mut data = BTreeMap::from([("kind".to_owned(), self.kind.clone())]);
        data.extend(
            self.check
                .clone()
                .map(|name| ("check-name".to_owned(), name)),
        );
        Some(data)
    }

    /// As the API has it.
    pub fn json(&self) -> Value {
        #[derive(Serialize)]
        #[serde(rename_all = "kebab-case")]
        struct View<'a> {
            #[serde(with = "decimal")]
            id: u64,
            kind: &'a str,
            summary: &'a str,
            status: Status,
            #[serde(skip_serializing_if = "Vec::is_empty")]
            tasks: Vec<Value>,
            ready: bool,
            #[serde(skip_serializing_if = "Option::is_none")]
            err: Option<String>,
            spawn_time: Time,
            #[serde(skip_serializing_if = "Option::is_none")]
            ready_time: Option<Time>,
        }
        let view = View {
            id: self.id,
            kind: &self.kind,
            summary: &self.summary,
            status: self.status(),
            tasks: self.tasks.iter().map(Task::json).collect(),
            ready: self.is_ready(),
            err: self.error(),
            spawn_time: self.spawn_time,
            ready_time: self.ready_time,
        };
        serde_json::to_value(view).unwrap_or_default()
    }
}

/// A change to be made.
#[derive(Debug, Default)]
pub(crate) struct NewChange {
    pub kind: String,
    pub summary: String,
    /// Kind and summary of each task.
    pub tasks: Vec<(&'static str, String)>,
    pub services: Vec<String>,
    pub check: Option<String>,
}

/// All changes that are kept.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Changes {
    last_change: u64,
    last_task: u64,
    all: BTreeMap<u64, Change>,
}

impl Changes {
    /// Adds a change: its id.
    pub fn add(&mut self, new: NewChange) -> u64 {
        self.last_change += 1;
        let id = self.last_change;
        let time = Time::now();
        let mut tasks = Vec::with_capacity(new.tasks.len());
        for (kind, summary) in new.tasks {
            self.last_task += 1;
            tasks.push(Task {
                id: self.last_task,
                kind: kind.to_owned(),
                summary,
                status: Status::Do,
                log: Vec::new(),
                spawn_time: time,
                ready_time: None,
                data: Map::new(),
            });
        }
        let change = Change {
            id,
            kind: new.kind,
            summary: new.summary,
            tasks,
            services: new.services,
            check: new.check,
            spawn_time: time,
            ready_time: None,
            noted: None,
            abort: not_aborted(),
        };
        self.all.insert(id, change);
        id
    }

    pub fn get(&self, id: u64) -> Option<&Change> {
        self.all.get(&id)
    }

    pub fn get_mut(&mut self, id: u64) -> Option<&mut Change> {
        self.all.get_mut(&id)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Change> {
        self.all.values()
    }

    /// The change and the task of a task's id.
    pub fn of_task(&self, task: u64) -> Option<(&Change, &Task)> {
        let found = self.all.values().rev();
        found
            .flat_map(|change| change.tasks.iter().map(move |task| (change, task)))
            .find(|(_, found)| found.id == task)
    }

    /// Drops ended changes that are old, and the oldest of too many: their ids.
    pub fn prune(&mut self) -> Vec<u64> {
        let oldest = Time::now().earlier(KEPT_FOR);
        let ended: Vec<(u64, bool)> = self
            .all
            .values()
            .filter_map(|change| change.ready_time.map(|time| (change.id, time < oldest)))
            .collect();
        let surplus = ended.len().saturating_sub(KEPT);
        let gone = ended
            .into_iter()
            .enumerate()
            .filter(|(at, (_, old))| *at < surplus || *old);
        let gone: Vec<u64> = gone.map(|(_, (id, _))| id).collect();
        for id in &gone {
            self.all.remove(id);
        }
        gone
    }

    /// After a restart of the server nobody carries out what was under way: it ends as Pebble
    /// would end it.
    pub fn settle(&mut self) {
        for change in self.all.values_mut().filter(|change| !change.is_ready()) {
            for index in 0..change.tasks.len() {
                let Some(task) = change.tasks.get_mut(index) else {
                    continue;
                };
                match (task.status.is_ready(), task.status, task.kind.as_str()) {
                    (true, ..) => {}
                    (_, Status::Do, _) => task.set(Status::Hold),
                    (_, _, "start") => {
                        task.log("ERROR", "service already started, not retrying");
                        task.set(Status::Error);
                    }
                    _ => task.set(Status::Done),
                }
            }
            change.note();
        }
    }
}

/// Ids are numbers here and decimal texts in the API.
mod decimal {
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub fn serialize<S: Serializer>(id: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(tasks: usize) -> Change {
        let mut changes = Changes::default();
        let tasks = (0..tasks)
            .map(|at| ("start", format!("Start service \"{at}\"")))
            .collect();
        let id = changes.add(NewChange {
            kind: "start".into(),
            tasks,
            ..NewChange::default()
        });
        changes.get(id).unwrap().clone()
    }

    #[test]
    fn a_change_is_what_its_most_important_task_is() {
        let mut two = change(2);
        assert_eq!(two.status(), Status::Do);
        assert!(two.begin(0));
        assert_eq!(two.status(), Status::Doing);
        two.end(0, Ok(()));
        assert_eq!(two.status(), Status::Do);
        two.begin(1);
        two.end(1, Err("no".into()));
        assert_eq!(two.status(), Status::Error);
        let text = two.json()["err"].as_str().unwrap().to_owned();
        assert_eq!(
            text,
            "cannot perform the following tasks:\n- Start service \"1\" (no)"
        );
        assert_eq!(change(0).status(), Status::Done);
    }

    #[test]
    fn notices_tell_each_new_status_once_and_no_way_back() {
        let mut two = change(2);
        assert!(two.note().is_some());
        assert!(two.note().is_none());
        two.begin(0);
        assert!(two.note().is_some());
        two.end(0, Ok(()));
        assert!(two.note().is_none(), "Doing to Do is no news");
        two.begin(1);
        assert!(two.note().is_none());
        two.end(1, Ok(()));
        assert!(two.note().is_some());
    }

    #[test]
    fn an_abort_holds_what_has_not_begun() {
        let mut two = change(2);
        two.begin(0);
        two.abort();
        assert_eq!(
            (two.tasks[0].status, two.tasks[1].status),
            (Status::Abort, Status::Hold)
        );
        assert!(*two.aborted().borrow());
        assert!(!two.begin(1));
    }
}
