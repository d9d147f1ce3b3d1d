//! Options, goals, logs, statuses and actions.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::harness::call::{Answer, Args, refused, usage};
use crate::harness::outcome::Line;
use crate::harness::simulator::Simulator;
use crate::status::{Status, StatusWord};

const NOT_LEADER: &str = "this unit is not the leader";
const RESERVED: [&str; 4] = ["stdout", "stdout-encoding", "stderr", "stderr-encoding"];

impl Simulator<'_> {
    pub(super) fn config_get(&self, args: &Args) -> Answer {
        args.at_most(1)?;
        let inner = self.inner.borrow();
        let mut all: BTreeMap<&String, &Value> = BTreeMap::new();
        for (name, option) in &self.charm.options {
            let value = inner.view.config.get(name).unwrap_or(&option.default);
            if !value.is_null() || args.has("all") {
                all.insert(name, value);
            }
        }
        match args.word(0).filter(|word| *word != "-") {
            Some(name) if args.has("all") => Err(usage(format!(
                "cannot use argument --all together with key \"{name}\""
            ))),
            Some(name) => args.print(&json!(all.get(&name.to_owned()))),
            None => args.print(&json!(all)),
        }
    }

    pub(super) fn goal_state(&self, args: &Args) -> Answer {
        args.at_most(0)?;
        let app = self.application();
        let since = "2026-01-02 15:04:05Z";
        let goal = |status: &str| json!({"status": status, "since": since});
        let view = &self.inner.borrow().view;
        let mut units = Map::from_iter([(self.unit.to_owned(), goal("active"))]);
        let mut relations: Map<String, Value> = Map::new();
        for relation in &view.relations {
            let Some(remote) = &relation.remote_app else {
                let numbers = relation.remote_units.keys();
                units.extend(numbers.map(|number| (format!("{app}/{number}"), goal("active"))));
                continue;
            };
            let entry = relations
                .entry(relation.endpoint.clone())
                .or_insert_with(|| json!({}));
            if let Value::Object(entry) = entry {
                entry.insert(remote.clone(), goal("joined"));
                for number in relation.remote_units.keys() {
                    entry.insert(format!("{remote}/{number}"), goal("active"));
                }
            }
        }
        for number in &view.dying_units {
            units.insert(format!("{app}/{number}"), goal("dying"));
        }
        let wanted = view.planned_units as usize + view.dying_units.len();
        for number in 0_u32.. {
            if units.len() >= wanted {
                break;
            }
            let name = format!("{app}/{number}");
            units.entry(name).or_insert_with(|| goal("waiting"));
        }
        args.print(&json!({"units": units, "relations": relations}))
    }

    pub(super) fn juju_log(&self, args: &Args) -> Answer {
        let message = args.words_from(0).join(" ");
        if args.word(0).is_none() {
            return Err(usage("no message specified"));
        }
        let level = match args.flag("log-level").unwrap_or("INFO") {
            _ if args.has("debug") => "DEBUG".to_owned(),
            given => match given.to_ascii_uppercase().as_str() {
                "WARN" => "WARNING".to_owned(),
                known @ ("TRACE" | "DEBUG" | "INFO" | "WARNING" | "ERROR" | "CRITICAL") => {
                    known.to_owned()
                }
                _ => "INFO".to_owned(),
            },
        };
        let line = Line { level, message };
        self.inner.borrow_mut().logs.push(line);
        Ok(String::new())
    }

    pub(super) fn status_get(&self, args: &Args) -> Answer {
        args.at_most(0)?;
        let full = |status: &Option<Status>| {
            let word = status.as_ref().map_or("unknown", |s| s.word.text());
            let message = status.as_ref().map_or("", |s| s.message.as_str());
            if args.has("include-data") {
                json!({"message": message, "status": word, "status-data": {}})
            } else {
                json!({"status": word})
            }
        };
        let inner = self.inner.borrow();
        let unit = full(&inner.view.unit_status);
        if args.has("application") {
            if !inner.view.leader {
                return Err(refused(format!("finding application status: {NOT_LEADER}")));
            }
            let mut app = full(&inner.view.app_status);
            if let Value::Object(app) = &mut app {
                app.insert("units".to_owned(), json!({self.unit: unit}));
            }
            return args.print(&json!({"application-status": app}));
        }
        let smart = args.flag("format").is_none_or(|format| format == "smart");
        match unit.get("status") {
            Some(word) if smart && !args.has("include-data") => args.print(word),
            _ => args.print(&unit),
        }
    }

    pub(super) fn status_set(&self, args: &Args) -> Answer {
        let given = args.word(0).unwrap_or_default();
        let Some(word) = StatusWord::from_text(given) else {
            return Err(usage(format!(
                "invalid status \"{given}\", expected one of [maintenance blocked waiting active]"
            )));
        };
        let message = args.words_from(1).join(" ");
        let status = Status { word, message };
        let mut inner = self.inner.borrow_mut();
        if !args.has("application") {
            inner.at_once(|state| state.unit_status = Some(status.clone()));
            inner.unit_statuses.push(status);
        } else if inner.view.leader {
            inner.at_once(|state| state.app_status = Some(status.clone()));
            inner.app_statuses.push(status);
        } else {
            return Err(refused(NOT_LEADER));
        }
        Ok(String::new())
    }

    pub(super) fn version_set(&self, args: &Args) -> Answer {
        let version = args.word(0).ok_or_else(|| usage("no version specified"))?;
        args.at_most(1)?;
        let mut inner = self.inner.borrow_mut();
        inner.at_once(|state| version.clone_into(&mut state.workload_version));
        Ok(String::new())
    }

    fn in_action(&self) -> Result<(), crate::harness::call::Refused> {
        if self.is_action() {
            Ok(())
        } else {
            Err(refused("not running an action"))
        }
    }

    pub(super) fn action_get(&self, args: &Args) -> Answer {
        self.in_action()?;
        args.at_most(1)?;
        let mut all: Map<String, Value> = Map::new();
        if let Some(action) = self.charm.actions.get(&self.trigger.event.name()) {
            for (name, schema) in &action.params {
                let default = schema.get("default").cloned();
                all.extend(default.map(|value| (name.clone(), value)));
            }
        }
        all.extend(self.trigger.params.clone());
        let all = Value::Object(all);
        match args.word(0) {
            None => args.print(&all),
            Some(path) => {
                let found = path.split('.').try_fold(&all, |value, key| value.get(key));
                args.print(found.unwrap_or(&Value::Null))
            }
        }
    }

    pub(super) fn action_set(&self, args: &Args) -> Answer {
        self.in_action()?;
        for word in args.words_from(0) {
            let Some((path, value)) = word.split_once('=') else {
                return Err(usage(format!(
                    "argument \"{word}\" must be of the form key...=value"
                )));
            };
            let keys: Vec<&str> = path.split('.').collect();
            for key in &keys {
                if !is_result_key(key) {
                    return Err(usage(format!(
                        "key \"{key}\" must start and end with lowercase alphanumeric, and contain \
                         only lowercase alphanumeric, hyphens and periods"
                    )));
                }
            }
            if let Some(key) = keys.first().filter(|key| RESERVED.contains(key)) {
                return Err(usage(format!("cannot set reserved action key \"{key}\"")));
            }
            insert(&mut self.inner.borrow_mut().action.results, &keys, value);
        }
        Ok(String::new())
    }

    pub(super) fn action_fail(&self, args: &Args) -> Answer {
        self.in_action()?;
        args.at_most(1)?;
        let default = "action failed without reason given, check action for errors";
        let message = args.word(0).unwrap_or(default).to_owned();
        self.inner.borrow_mut().action.failure = Some(message);
        Ok(String::new())
    }

    pub(super) fn action_log(&self, args: &Args) -> Answer {
        self.in_action()?;
        if args.word(0).is_none() {
            return Err(usage("no message specified"));
        }
        let line = args.words_from(0).join(" ");
        self.inner.borrow_mut().action.log.push(line);
        Ok(String::new())
    }
}

fn is_result_key(key: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    key.starts_with(plain) && key.ends_with(plain) && key.chars().all(|c| plain(c) || c == '-')
}

/// Puts a value at a path; what was in the way of the path goes.
fn insert(map: &mut Map<String, Value>, path: &[&str], value: &str) {
    match path {
        [] => {}
        [key] => {
            map.insert((*key).to_owned(), json!(value));
        }
        [key, rest @ ..] => {
            let entry = map.entry((*key).to_owned()).or_insert_with(|| json!({}));
            if !entry.is_object() {
                *entry = json!({});
            }
            if let Value::Object(inner) = entry {
                insert(inner, rest, value);
            }
        }
    }
}
