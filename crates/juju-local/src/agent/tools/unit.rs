//! The tools of the unit itself: its options, statuses, state, storage, resources, log.

use std::path::Path;

use juju_local_api::agent::{AgentRequest, Bag};
use serde_json::{Map, Value, json};

use super::format;
use super::output::{Print, Refusal, print};
use super::{Done, Tool};
use crate::juju::Juju;

impl Tool<'_> {
    pub(super) fn config_get(&self) -> Done {
        let args = self.args(&[], &["a", "all"])?;
        let view = &self.context.view;
        let value = if let Some(key) = args.one(0) {
            view.config.get(key).cloned().unwrap_or(Value::Null)
        } else {
            let mut map: Map<String, Value> = view.config.clone().into_iter().collect();
            if args.has("all") || args.has("a") {
                map.extend(
                    view.config_unset
                        .iter()
                        .map(|key| (key.clone(), Value::Null)),
                );
            }
            Value::Object(map)
        };
        print(&args, Print::Smart, &value)
    }

    pub(super) async fn status_get(&self) -> Done {
        let args = self.args(&[], &["include-data", "application"])?;
        if args.has("application") {
            let value: Value = self.ask(AgentRequest::ApplicationStatus).await?;
            return print(&args, Print::Smart, &value);
        }
        let (word, message) = &self.context.view.unit_status;
        let full = json!({"message": message, "status": word, "status-data": {}});
        if args.has("include-data") {
            return print(&args, Print::Smart, &full);
        }
        let plain = json!({"status": word});
        let smart = args.flag("format").is_none_or(|format| format == "smart");
        print(
            &args,
            Print::Smart,
            if smart {
                plain.get("status").unwrap_or(&plain)
            } else {
                &plain
            },
        )
    }

    pub(super) async fn status_set(&mut self) -> Done {
        let args = self.args(&[], &["application"])?;
        let word = args.one(0).unwrap_or_default().to_owned();
        if !["maintenance", "blocked", "waiting", "active"].contains(&word.as_str()) {
            return Err(Refusal::usage(format!(
                "invalid status \"{word}\", expected one of [maintenance blocked waiting active]"
            )));
        }
        let message = args.rest(1).join(" ");
        let application = args.has("application");
        let request = AgentRequest::SetStatus {
            application,
            status: word.clone(),
            message: message.clone(),
        };
        self.ask::<Value>(request).await?;
        if !application {
            self.context.view.unit_status = (word, message);
        }
        Ok(String::new())
    }

    pub(super) async fn version_set(&self) -> Done {
        let args = self.args(&[], &[])?;
        let version = args
            .one(0)
            .ok_or_else(|| Refusal::usage("no version specified"))?
            .to_owned();
        self.ask::<Value>(AgentRequest::SetWorkloadVersion(version))
            .await?;
        Ok(String::new())
    }

    pub(super) async fn leader_get(&self) -> Done {
        let args = self.args(&[], &[])?;
        let settings: Bag = self.ask(AgentRequest::LeaderGet).await?;
        let value = match args.one(0).filter(|key| *key != "-") {
            None => json!(settings),
            Some(key) => json!(settings.get(key)),
        };
        print(&args, Print::Smart, &value)
    }

    pub(super) async fn leader_set(&self) -> Done {
        let args = self.args(&[], &[])?;
        let values = format::pairs(&args, 0, &self.stdin())?
            .into_iter()
            .collect();
        self.ask::<Value>(AgentRequest::LeaderSet(values)).await?;
        Ok(String::new())
    }

    pub(super) fn state_get(&self) -> Done {
        let args = self.args(&[], &["strict"])?;
        let mut state = self.context.view.charm_state.clone();
        for (key, value) in &self.context.changes.state {
            match value {
                Some(value) => drop(state.insert(key.clone(), value.clone())),
                None => drop(state.remove(key)),
            }
        }
        match args.one(0).filter(|key| *key != "-") {
            None if state.is_empty() && self.juju().is_4() => {
                print(&args, Print::Smart, &Value::Null)
            }
            None => print(&args, Print::Smart, &json!(state)),
            Some(key) => match state.get(key) {
                Some(value) => print(&args, Print::Smart, &json!(value)),
                None if args.has("strict") => Err(Refusal::run(format!("\"{key}\" not found"))),
                None => print(&args, Print::Smart, &json!("")),
            },
        }
    }

    pub(super) fn state_set(&mut self) -> Done {
        let args = self.args(&["file"], &[])?;
        let values = format::pairs(&args, 0, &self.stdin())?;
        for (key, value) in values {
            self.context.changes.state.insert(key, Some(value));
        }
        Ok(String::new())
    }

    pub(super) fn state_delete(&mut self) -> Done {
        let args = self.args(&[], &[])?;
        let key = args.one(0).unwrap_or_default().to_owned();
        self.context.changes.state.insert(key, None);
        Ok(String::new())
    }

    pub(super) fn storage(&self) -> Done {
        let args = self.args(&["s"], &[])?;
        let all = &self.context.view.storage;
        match self.call.tool.as_str() {
            "storage-list" => {
                let name = args.one(0);
                let ids: Vec<&str> = all
                    .iter()
                    .map(|storage| storage.id.as_str())
                    .filter(|id| name.is_none_or(|name| id.split('/').next() == Some(name)))
                    .collect();
                print(&args, Print::Smart, &json!(ids))
            }
            "storage-get" => {
                let id = args
                    .flag("s")
                    .ok_or_else(|| Refusal::usage("no storage instance specified"))?;
                let storage = all.iter().find(|storage| storage.id == id).ok_or_else(|| {
                    let what = match self.juju() {
                        Juju::V3 => "storage not found".to_owned(),
                        Juju::V4 => format!("storage instance \"{id}\" not found"),
                    };
                    Refusal::usage(format!("invalid value \"{id}\" for option -s: {what}"))
                })?;
                let whole = json!({"kind": storage.kind, "location": storage.location});
                let value = match args.one(0) {
                    None => whole,
                    Some(key) => whole.get(key).cloned().ok_or_else(|| {
                        Refusal::run(format!("invalid storage attribute \"{key}\""))
                    })?,
                };
                print(&args, Print::Smart, &value)
            }
            _ => {
                let words = args.rest(0);
                if words.is_empty() {
                    return Err(Refusal::usage("storage add requires a storage directive"));
                }
                let count = |text: &str| text.parse::<u32>().is_ok();
                let mut pairs = words.iter().filter_map(|word| word.split_once('='));
                if let Some((name, _)) = pairs.find(|(_, text)| !count(text)) {
                    let text = format!("only count can be specified for \"{name}\"");
                    return Err(Refusal::usage(text));
                }
                Err(Refusal::run(
                    "storage cannot be added to a running unit in the local model",
                ))
            }
        }
    }

    /// Puts a resource where Juju has it, and tells where that is.
    pub(super) async fn resource(&self, name: &str) -> Done {
        let kept: String = self.ask(AgentRequest::Resource(name.to_owned())).await?;
        let failed =
            |error: std::io::Error| Refusal::run(format!("could not download resource: {error}"));
        let agent = crate::agent::Layout::of(&self.controller.unit).charm;
        let folder = agent.with_file_name("resources").join(name);
        let path = folder.join(Path::new(&kept).file_name().unwrap_or_default());
        std::fs::create_dir_all(&folder).map_err(failed)?;
        std::fs::copy(&kept, &path).map_err(failed)?;
        Ok(path.to_string_lossy().into_owned())
    }

    pub(super) async fn log(&self) -> Done {
        let args = self.args(&["l", "log-level"], &["debug"])?;
        let level = args
            .flag("log-level")
            .or(args.flag("l"))
            .unwrap_or("INFO")
            .to_uppercase();
        let level = if level == "WARN" {
            "WARNING".to_owned()
        } else {
            level
        };
        let mut message = args.rest(0).join(" ");
        if message.is_empty() {
            return Err(Refusal::usage("no message specified"));
        }
        if let Some(relation) = &self.context.relation {
            message = format!("{}:{}: {message}", relation.endpoint, relation.id);
        }
        let module = format!("unit.{}.juju-log", self.controller.unit);
        self.controller.log(&level, &module, message).await;
        Ok(String::new())
    }
}
