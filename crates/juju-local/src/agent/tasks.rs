//! Actions and commands.

use juju_local_api::agent::{ActionEnd, ActionTask, AgentRequest, UnitView};
use serde_json::{Value, json};

use super::main_loop::Agent;
use super::runner::{self, Ended, Program};
use super::tools::HookContext;
use crate::juju::Juju;

/// How far a task's process came.
enum Run {
    Ended(Ended),
    /// Cut off, as asked.
    Aborted,
    /// Cut off by the end of the pod.
    PodGoes,
    /// There is none, or it cannot be started.
    Missing,
}

impl Agent {
    pub(super) async fn action(&mut self, view: &UnitView, task: &ActionTask) {
        self.say_task(&format!("running action {}", task.name))
            .await;
        let id = self.context_id(&task.name);
        let mut context = self.context_of(&id, &task.name, view, None);
        context.action = Some(task.clone());
        let env = action_variables(task);
        let program = Program {
            dispatch: Some(format!("actions/{}", task.name)),
            hook: "",
            env: &env,
            commands: None,
        };
        let (run, context) = self.run_task(view, &task.id, context, &program).await;
        let mut end = ActionEnd {
            id: task.id.clone(),
            status: "completed".into(),
            message: String::new(),
            results: json!({}),
        };
        match (run, context) {
            (Run::Ended(ended), Some(context)) => self.conclude(&mut end, &ended, context).await,
            (Run::Aborted, _) => aborted(&mut end),
            _ => {
                end.status = "failed".into();
                end.message = format!("action not implemented on unit \"{}\"", self.layout.unit);
            }
        }
        let end = AgentRequest::ActionEnd(Box::new(end));
        let _ = self.controller.tell(end).await;
    }

    /// A unit in error stays so while its tasks run: whoever waits for the error does not miss it.
    async fn say_task(&self, text: &str) {
        if self.local.pending.is_none() {
            self.say("executing", text, Value::Null).await;
        }
    }

    /// What an action's process leaves: its results, and its transaction.
    async fn conclude(&self, end: &mut ActionEnd, ended: &Ended, mut context: HookContext) {
        end.results = std::mem::take(&mut context.results);
        add_output(&mut end.results, ended);
        if let Some(message) = context.failed.take() {
            end.status = "failed".into();
            end.message = message;
        }
        if let Some(text) = ended.failure() {
            end.status = "failed".into();
            end.message = text;
            return;
        }
        let commit = AgentRequest::Commit(Box::new(context.changes));
        if let Err(error) = self.controller.tell(commit).await {
            end.status = "failed".into();
            if end.message.is_empty() {
                end.message = "committing requested changes failed".into();
            }
            if let Some(map) = end.results.as_object_mut() {
                map.insert("return-code".into(), json!(1));
                let text = map.get("stderr").and_then(Value::as_str);
                let text = format!("{}{error}\n", text.unwrap_or_default());
                map.insert("stderr".into(), json!(text));
            }
        }
    }

    pub(super) async fn exec(&mut self, view: &UnitView, task: &str, commands: &str) {
        self.say_task("running commands").await;
        let as_action = Juju::of(&view.juju_version).is_4();
        let name = if as_action {
            "juju-exec"
        } else {
            "run-commands"
        };
        let id = self.context_id(name);
        let mut context = self.context_of(&id, name, view, None);
        let mut env = Vec::new();
        if as_action {
            // Since Juju 4 a command is an action.
            let task = ActionTask {
                id: task.to_owned(),
                name: name.to_owned(),
                params: json!({}),
            };
            env = action_variables(&task);
            context.action = Some(task);
        }
        let program = Program {
            dispatch: None,
            hook: "",
            env: &env,
            commands: Some(commands),
        };
        let (run, mut context) = self.run_task(view, task, context, &program).await;
        let mut results = json!({});
        let ended = match run {
            Run::Ended(ended) => ended,
            Run::Aborted => {
                let mut end = ActionEnd {
                    id: task.to_owned(),
                    status: String::new(),
                    message: String::new(),
                    results,
                };
                aborted(&mut end);
                let end = AgentRequest::ActionEnd(Box::new(end));
                let _ = self.controller.tell(end).await;
                return;
            }
            _ => Ended::unable("cannot be run\n"),
        };
        let failed = context.as_mut().and_then(|context| {
            results = std::mem::take(&mut context.results);
            context.failed.take()
        });
        add_output(&mut results, &ended);
        if let (None, Some(context)) = (ended.failure(), context) {
            let commit = AgentRequest::Commit(Box::new(context.changes));
            if let Err(error) = self.controller.tell(commit).await {
                let text = format!("{}ERROR {error}\n", ended.stderr());
                add_output(&mut results, &Ended::unable(&text));
            }
        }
        let end = match failed {
            None => AgentRequest::ExecEnd {
                id: task.to_owned(),
                results,
            },
            Some(message) => AgentRequest::ActionEnd(Box::new(ActionEnd {
                id: task.to_owned(),
                status: "failed".into(),
                message,
                results,
            })),
        };
        let _ = self.controller.tell(end).await;
    }

    /// Runs a task's process to its end; when the pod goes meanwhile, this does not return.
    async fn run_task(
        &mut self,
        view: &UnitView,
        task: &str,
        context: HookContext,
        program: &Program<'_>,
    ) -> (Run, Option<HookContext>) {
        let begin = AgentRequest::ActionBegin(task.to_owned());
        let _ = self.controller.tell(begin).await;
        let environment = runner::environment(&self.layout, view, &context.id, program);
        let module = format!("unit.{}.{}", self.layout.unit, context.name);
        *self.context.lock().await = Some(context);
        let run = match runner::start(&self.layout, &environment, program) {
            Ok(Some(child)) => {
                // Juju waits for all that a command has started.
                let patience = program.commands.is_none().then_some(runner::PATIENCE);
                let wait = runner::wait(&self.controller, &module, child, &self.context, patience);
                let asked = |view: &Option<UnitView>| {
                    let view = view.as_ref();
                    view.is_some_and(|view| view.aborting.iter().any(|id| id == task))
                };
                tokio::select! {
                    ended = wait => Run::Ended(ended),
                    Ok(_) = self.views.wait_for(asked) => Run::Aborted,
                    _ = self.term.recv() => Run::PodGoes,
                }
            }
            _ => Run::Missing,
        };
        let context = self.context.lock().await.take();
        match &run {
            Run::PodGoes => {
                self.leave(view).await;
                std::process::exit(0);
            }
            Run::Ended(ended) if ended.killed => {
                let _ = self.controller.tell(AgentRequest::FaultUsed).await;
            }
            _ => {}
        }
        (run, context)
    }
}

fn action_variables(task: &ActionTask) -> Vec<(String, String)> {
    let pairs = [
        ("JUJU_ACTION_NAME", task.name.clone()),
        ("JUJU_ACTION_UUID", task.id.clone()),
        ("JUJU_ACTION_TAG", format!("action-{}", task.id)),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

fn aborted(end: &mut ActionEnd) {
    end.status = "aborted".into();
    end.message = "terminated".into();
}

fn add_output(results: &mut Value, ended: &Ended) {
    let Some(map) = results.as_object_mut() else {
        return;
    };
    map.insert("return-code".into(), json!(ended.code()));
    for (key, bytes) in [("stdout", &ended.stdout), ("stderr", &ended.stderr)] {
        if bytes.is_empty() {
            continue;
        }
        let (text, encoding) = runner::text(bytes);
        map.insert(key.into(), json!(text));
        if let Some(encoding) = encoding {
            map.insert(format!("{key}-encoding"), json!(encoding));
        }
    }
}
