//! Actions and commands: queued for units, and shown as Juju shows them.

use juju_local_api::ErrorKind;
use juju_local_api::agent::{ActionTask, ExecTask};
use serde_json::{Value, json};

use super::model::{Model, Outcome, Task, Work, not_found, now, refuse};
use crate::juju::Juju;

impl Model {
    pub fn task_mut(&mut self, id: &str) -> Option<&mut Task> {
        self.tasks.get_mut(&id.parse().ok()?)
    }

    /// `app/leader` and plain unit names.
    fn resolve_unit(&self, name: &str) -> Outcome<String> {
        if let Some(app) = name.strip_suffix("/leader") {
            let leader = self.app(app)?.leader.clone();
            return leader.ok_or_else(|| not_found("leader of application", app));
        }
        self.unit(name).map(|unit| unit.name.clone())
    }

    pub fn queue_action(
        &mut self,
        units: &[String],
        action: &str,
        params: &Value,
    ) -> Outcome<Value> {
        let mut checked = Vec::new();
        for name in units {
            let unit = self.resolve_unit(name)?;
            let charm = &self.app(&self.unit(&unit)?.app)?.charm;
            let given = match (charm.action_params(action, params), self.juju) {
                (Err(_), Juju::V4) if !charm.actions.contains_key(action) => {
                    let text = format!("action \"{action}\" not defined for unit \"{unit}\"");
                    return refuse(ErrorKind::Conflict, format!("{text}. (not found)"));
                }
                // There it is the agent that looks at them.
                (Err(error), Juju::V4) => Err(format!("cannot run \"{action}\" action: {error}")),
                (given, _) => Ok(given?),
            };
            checked.push((unit, given));
        }
        let mut ids = Vec::new();
        for (unit, given) in checked {
            let id = self.new_task_id();
            let (params, wrong) = match given {
                Ok(params) => (params, None),
                Err(text) => (params.clone(), Some(text)),
            };
            let what = Work::Action(ActionTask {
                id: id.to_string(),
                name: action.to_owned(),
                params,
            });
            ids.push(self.queue(id, unit, what));
            if let (Some(text), Some(task)) = (wrong, self.tasks.get_mut(&id)) {
                task.end("failed", &text);
            }
        }
        Ok(json!(ids))
    }

    pub fn queue_exec(&mut self, units: &[String], commands: &str) -> Outcome<Value> {
        let units: Vec<String> = units
            .iter()
            .map(|name| self.resolve_unit(name))
            .collect::<Outcome<_>>()?;
        let ids = units.into_iter().map(|unit| {
            let id = self.new_task_id();
            let what = Work::Exec(ExecTask {
                id: id.to_string(),
                commands: commands.to_owned(),
            });
            self.queue(id, unit, what)
        });
        Ok(json!(ids.collect::<Vec<String>>()))
    }

    fn new_task_id(&mut self) -> u64 {
        self.next_task += 1;
        self.next_task
    }

    fn queue(&mut self, id: u64, unit: String, what: Work) -> String {
        let task = Task {
            id,
            unit,
            what,
            status: "pending".into(),
            message: String::new(),
            results: json!({}),
            log: Vec::new(),
            enqueued: now(),
            started: None,
            completed: None,
        };
        self.tasks.insert(id, task);
        id.to_string()
    }

    pub fn cancel_tasks(&mut self, ids: &[String]) -> Outcome<Value> {
        let mut shown = Vec::new();
        for id in ids {
            let task = self.task_mut(id).ok_or_else(|| not_found("task", id))?;
            if task.status == "pending" {
                task.status = "cancelled".into();
                task.completed = Some(now());
            } else if task.status == "running" {
                task.status = "aborting".into();
            }
            shown.push(task.json());
        }
        Ok(json!(shown))
    }

    pub fn operations(&self) -> Value {
        let operations = self.tasks.values().map(|task| {
            json!({
                "id": task.id.to_string(), "summary": task.summary(), "status": task.status,
                "action": task.action(), "tasks": {task.id.to_string(): task.json()},
                "timing": task.timing(),
            })
        });
        json!({"operations": operations.collect::<Vec<_>>()})
    }

    pub fn task(&self, id: &str) -> Outcome<&Task> {
        let found = id.parse::<u64>().ok().and_then(|id| self.tasks.get(&id));
        match found {
            Some(task) => Ok(task),
            None => refuse(ErrorKind::NotFound, format!("task \"{id}\" not found")),
        }
    }
}

impl Task {
    /// Ends it without results.
    pub fn end(&mut self, status: &str, message: &str) {
        status.clone_into(&mut self.status);
        message.clone_into(&mut self.message);
        self.completed = Some(now());
    }

    pub fn ended(&self) -> bool {
        self.completed.is_some()
    }

    fn action(&self) -> &str {
        match &self.what {
            Work::Action(action) => &action.name,
            Work::Exec(_) => "juju-exec",
        }
    }

    fn summary(&self) -> String {
        format!(
            "{} run on unit-{}",
            self.action(),
            self.unit.replace('/', "-")
        )
    }

    fn timing(&self) -> Value {
        let mut timing = json!({"enqueued": self.enqueued});
        if let Some(map) = timing.as_object_mut() {
            map.extend(
                self.started
                    .iter()
                    .map(|time| ("started".to_owned(), json!(time))),
            );
            map.extend(
                self.completed
                    .iter()
                    .map(|time| ("completed".to_owned(), json!(time))),
            );
        }
        timing
    }

    pub fn json(&self) -> Value {
        let log = self
            .log
            .iter()
            .map(|(time, message)| json!({"time": time, "message": message}));
        let mut value = json!({
            "id": self.id.to_string(), "operation": self.id.to_string(), "unit": self.unit,
            "status": self.status, "action": self.action(), "results": self.results,
            "log": log.collect::<Vec<_>>(), "timing": self.timing(),
        });
        if let (false, Some(map)) = (self.message.is_empty(), value.as_object_mut()) {
            map.insert("message".into(), json!(self.message));
        }
        value
    }
}
