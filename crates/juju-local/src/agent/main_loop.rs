//! The agent's life: follows the model, runs one operation after another, and leaves in order.

use std::collections::VecDeque;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use juju_local_api::agent::{ActionEnd, AgentRequest, Life, Resolved, UnitView};
use juju_local_api::transport::Client;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, mpsc, watch};

use super::runner::{self, Controller, Program};
use super::scheduler::{self, Done, Event, Hook, Local, Operation};
use super::tools::{self, HookContext};
use super::{Layout, workload};

const CONTROLLER: &str = "/var/lib/juju-local/controller/agent.sock";
const TOKEN: &str = "/var/lib/juju-local/token/token";
/// Longest pause before a failed hook is run again.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// The process of a charm container.
#[must_use]
pub fn unit_agent() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let Ok(runtime) = runtime else {
        return ExitCode::FAILURE;
    };
    let result = runtime.block_on(run());
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("ERROR {text}");
            ExitCode::FAILURE
        }
    }
}

struct Agent {
    layout: Layout,
    controller: Arc<Controller>,
    local: Local,
    context: Arc<Mutex<Option<HookContext>>>,
    events: VecDeque<Event>,
    new_pod: bool,
    retry_at: Option<Instant>,
    failures: u32,
    updated: Instant,
    term: tokio::signal::unix::Signal,
    said_idle: bool,
}

async fn run() -> Result<(), String> {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let unit = variable("JUJU_LOCAL_UNIT");
    let token = std::fs::read_to_string(TOKEN).map_err(|error| error.to_string())?;
    let controller = Arc::new(Controller {
        client: Client::new(CONTROLLER),
        model: variable("JUJU_LOCAL_MODEL"),
        unit: unit.clone(),
        token: token.trim().to_owned(),
    });
    let layout = Layout::of(&unit);
    let context: Arc<Mutex<Option<HookContext>>> = Arc::default();
    tools::serve(&layout.socket, controller.clone(), context.clone())
        .map_err(|error| format!("cannot listen for hook tools: {error}"))?;
    let started = AgentRequest::Started {
        address: variable("JUJU_LOCAL_POD_IP"),
        fresh: true,
    };
    while controller.tell(started.clone()).await.is_err() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let (views, mut view) = watch::channel(None);
    tokio::spawn(follow_model(controller.clone(), views));
    let (sender, mut incoming) = mpsc::unbounded_channel();
    for container in variable("JUJU_CONTAINER_NAMES")
        .split(',')
        .filter(|name| !name.is_empty())
    {
        tokio::spawn(workload::follow(container.to_owned(), sender.clone()));
    }
    let first = view
        .wait_for(Option::is_some)
        .await
        .map_err(|error| error.to_string())?
        .clone();
    let first: UnitView = first.ok_or("no view of the model")?;
    let local: Local = serde_json::from_value(first.saved_state.clone()).unwrap_or_default();
    // A marker in the pod's own storage tells a new pod from a restarted container.
    let marker = layout.charm.with_file_name("pod-seen");
    let new_pod = local.started && !marker.exists();
    let _ = std::fs::write(&marker, "");
    let term = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let mut agent = Agent {
        layout,
        controller,
        local,
        context,
        events: VecDeque::new(),
        new_pod,
        retry_at: None,
        failures: 0,
        updated: Instant::now(),
        term,
        said_idle: false,
    };
    agent.forget_old(&first);
    loop {
        while let Ok(event) = incoming.try_recv() {
            agent.push(event);
        }
        let current = view.borrow_and_update().clone();
        let Some(current) = current else {
            return Ok(());
        };
        if agent.step(&current).await {
            continue;
        }
        if agent.local.removed {
            let _ = agent.controller.tell(AgentRequest::Dead).await;
            agent.term.recv().await;
            return Ok(());
        }
        if !agent.said_idle && agent.retry_at.is_none() {
            agent.said_idle = true;
            agent.say("idle", "", Value::Null).await;
        }
        let timer = agent.next_wake(&current);
        tokio::select! {
            changed = view.changed() => if changed.is_err() { return Ok(()) },
            event = incoming.recv() => if let Some(event) = event { agent.push(event) },
            () = tokio::time::sleep_until(timer.into()) => {}
            _ = agent.term.recv() => {
                agent.leave(&current).await;
                return Ok(());
            }
        }
    }
}

/// Keeps the newest view; it ends when the unit is no more.
async fn follow_model(controller: Arc<Controller>, views: watch::Sender<Option<UnitView>>) {
    let mut since = 0;
    loop {
        let request = AgentRequest::Watch {
            since,
            wait_ms: 20_000,
        };
        match controller
            .ask::<UnitView>(request, Duration::from_secs(30))
            .await
        {
            Ok(mut view) => {
                if view.revision == since {
                    continue;
                }
                since = view.revision;
                view.model_env
                    .insert("JUJU_LOCAL_UNIT".into(), controller.unit.clone());
                if views.send(Some(view)).is_err() {
                    return;
                }
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(300)).await,
        }
    }
}

impl Agent {
    /// A ready event makes older ones of the same container void.
    fn push(&mut self, event: Event) {
        if let Event::Ready { container } = &event {
            let of = |event: &Event| match event {
                Event::Ready { container }
                | Event::Notice { container, .. }
                | Event::Check { container, .. } => container.clone(),
            };
            self.events.retain(|known| of(known) != *container);
        }
        if !self.events.contains(&event) {
            self.events.push_back(event);
        }
    }

    /// Leadership may have moved while this agent was away.
    fn forget_old(&mut self, view: &UnitView) {
        if !view.leader {
            self.local.leader = false;
        }
    }

    fn next_wake(&self, view: &UnitView) -> Instant {
        let interval = Duration::from_millis(view.update_status_interval_ms);
        let update = self.updated + interval;
        self.retry_at.map_or(update, |at| at.min(update))
    }

    async fn say(&self, status: &str, message: &str, data: Value) {
        let request = AgentRequest::SetAgentStatus {
            status: status.to_owned(),
            message: message.to_owned(),
            data,
        };
        let _ = self.controller.tell(request).await;
    }

    /// Runs the next operation: whether there was one.
    async fn step(&mut self, view: &UnitView) -> bool {
        if !view.leader {
            self.local.leader = false;
        }
        if view.resolved.is_some() {
            let _ = self.controller.tell(AgentRequest::ClearResolved).await;
            self.retry_at = self.retry_at.map(|_| Instant::now());
        }
        let failed = self.retry_at.is_some_and(|at| at > Instant::now());
        if failed {
            // Actions and commands run meanwhile, hooks do not.
            let operation = view.actions.first().cloned().map(Operation::Action);
            let operation = operation.or_else(|| view.execs.first().cloned().map(Operation::Exec));
            return match operation {
                Some(operation) => self.run(view, operation, false).await,
                None => false,
            };
        }
        let due = self.updated.elapsed() >= Duration::from_millis(view.update_status_interval_ms);
        let event = self.events.front();
        match scheduler::next(view, &self.local, event, self.new_pod, due) {
            Some(operation) => {
                let skip = view.resolved == Some(Resolved::Skip) && self.failures > 0;
                self.run(view, operation, skip).await
            }
            None => false,
        }
    }

    async fn run(&mut self, view: &UnitView, operation: Operation, skip: bool) -> bool {
        self.said_idle = false;
        match operation {
            Operation::Hook(hook) => self.hook(view, hook, skip).await,
            Operation::Action(task) => {
                self.action(view, &task).await;
                true
            }
            Operation::Exec(task) => {
                self.exec(view, &task.id, &task.commands).await;
                true
            }
        }
    }

    async fn hook(&mut self, view: &UnitView, hook: Hook, skip: bool) -> bool {
        if hook.name == "update-status" {
            self.updated = Instant::now();
        } else {
            self.say(
                "executing",
                &format!("running {} hook", hook.name),
                Value::Null,
            )
            .await;
        }
        if hook.done == Done::Installed && view.unit_status.1 == "installing agent" {
            let message = "installing charm software".to_owned();
            let status = "maintenance".to_owned();
            let request = AgentRequest::SetStatus {
                application: false,
                status,
                message,
            };
            let _ = self.controller.tell(request).await;
        }
        let result = if skip {
            Ok(())
        } else {
            self.run_hook(view, &hook).await
        };
        match result {
            Ok(()) => {
                self.failures = 0;
                self.retry_at = None;
                self.complete(view, &hook).await;
            }
            Err(text) => {
                let module = "juju.worker.uniter.operation";
                let line = format!(
                    "hook \"{}\" (via hook dispatching script: dispatch) failed: {text}",
                    hook.name
                );
                self.controller.log("ERROR", module, line).await;
                let data = json!({"hook": hook.name});
                self.say("error", &format!("hook failed: \"{}\"", hook.name), data)
                    .await;
                let pause = Duration::from_secs(5) * 2_u32.saturating_pow(self.failures.min(6));
                self.failures += 1;
                let pause = pause.min(LONGEST_PAUSE);
                let far = Duration::from_secs(365 * 24 * 3600);
                self.retry_at = Some(Instant::now() + if view.retry_hooks { pause } else { far });
            }
        }
        true
    }

    async fn complete(&mut self, view: &UnitView, hook: &Hook) {
        match &hook.done {
            Done::Event => drop(self.events.pop_front()),
            Done::Upgraded(_) => self.new_pod = false,
            _ => {}
        }
        self.local.apply(&hook.done);
        if let Done::Created(id) = hook.done
            && let Some(relation) = view.relations.iter().find(|relation| relation.id == id)
            && let Some(seen) = self.local.relations.get_mut(&id)
        {
            seen.endpoint.clone_from(&relation.endpoint);
            seen.remote_app.clone_from(&relation.remote_app);
        }
        self.save().await;
    }

    async fn save(&self) {
        let saved = serde_json::to_value(&self.local).unwrap_or_default();
        let _ = self.controller.tell(AgentRequest::SaveState(saved)).await;
    }

    async fn run_hook(&mut self, view: &UnitView, hook: &Hook) -> Result<(), String> {
        let id = self.context_id(&hook.name);
        let context = HookContext::new(
            id.clone(),
            hook.name.clone(),
            view.clone(),
            hook.relation.clone(),
        );
        *self.context.lock().await = Some(context);
        let program = Program {
            dispatch: Some(format!("hooks/{}", hook.name)),
            hook: &hook.name,
            env: &hook.env,
            commands: None,
        };
        let environment = runner::environment(&self.layout, view, &id, &program);
        let module = format!("unit.{}.{}", self.layout.unit, hook.name);
        let started = runner::start(&self.layout, &environment, &program);
        let result = match started {
            Err(error) => Err(format!("cannot be run: {error}")),
            Ok(None) => Ok(()),
            Ok(Some(child)) => {
                let ended = {
                    let wait = runner::wait(&self.controller, &module, child, &self.context);
                    tokio::select! {
                        ended = wait => Some(ended),
                        // The hook is cut off; it is not counted as failed, nor as done.
                        _ = self.term.recv() => None,
                    }
                };
                match ended {
                    None => {
                        self.context.lock().await.take();
                        self.leave(view).await;
                        std::process::exit(0);
                    }
                    Some(ended) if ended.status.is_some_and(|status| status.success()) => Ok(()),
                    Some(ended) => Err(ended.status.map_or("unknown".into(), |s| s.to_string())),
                }
            }
        };
        let context = self.context.lock().await.take();
        result?;
        let Some(context) = context else {
            return Ok(());
        };
        let commit = AgentRequest::Commit(Box::new(context.changes));
        let sent = self.controller.tell(commit).await;
        sent.map_err(|error| format!("cannot apply changes: {error}"))
    }

    fn context_id(&self, name: &str) -> String {
        format!(
            "{}-{name}-{}",
            self.layout.unit,
            uuid::Uuid::new_v4().simple()
        )
    }

    async fn action(&mut self, view: &UnitView, task: &juju_local_api::agent::ActionTask) {
        let _ = self
            .controller
            .tell(AgentRequest::ActionBegin(task.id.clone()))
            .await;
        let id = self.context_id(&task.name);
        let mut context = HookContext::new(id.clone(), task.name.clone(), view.clone(), None);
        context.action = Some(task.clone());
        *self.context.lock().await = Some(context);
        let env = [
            ("JUJU_ACTION_NAME", task.name.clone()),
            ("JUJU_ACTION_UUID", task.id.clone()),
            ("JUJU_ACTION_TAG", format!("action-{}", task.id)),
        ];
        let program = Program {
            dispatch: Some(format!("actions/{}", task.name)),
            hook: "",
            env: &env,
            commands: None,
        };
        let environment = runner::environment(&self.layout, view, &id, &program);
        let module = format!("unit.{}.{}", self.layout.unit, task.name);
        let ended = match runner::start(&self.layout, &environment, &program) {
            Ok(Some(child)) => {
                Some(runner::wait(&self.controller, &module, child, &self.context).await)
            }
            _ => None,
        };
        let context = self.context.lock().await.take();
        let mut end = ActionEnd {
            id: task.id.clone(),
            status: "completed".into(),
            message: String::new(),
            results: json!({}),
        };
        match (ended, context) {
            (Some(ended), Some(mut context)) => {
                end.results = std::mem::take(&mut context.results);
                let code = ended.status.and_then(|status| status.code()).unwrap_or(-1);
                add_output(&mut end.results, code, &ended.stdout, &ended.stderr);
                if let Some(message) = context.failed {
                    end.status = "failed".into();
                    end.message = message;
                }
                if code == 0 {
                    let commit = AgentRequest::Commit(Box::new(context.changes));
                    if let Err(error) = self.controller.tell(commit).await {
                        end.status = "failed".into();
                        end.message = format!("committing requested changes failed: {error}");
                    }
                } else {
                    end.status = "failed".into();
                    end.message = format!("exit status {code}");
                }
            }
            _ => {
                end.status = "failed".into();
                end.message = format!("action not implemented on unit \"{}\"", self.layout.unit);
            }
        }
        let _ = self
            .controller
            .tell(AgentRequest::ActionEnd(Box::new(end)))
            .await;
        self.settle().await;
    }

    async fn exec(&mut self, view: &UnitView, task: &str, commands: &str) {
        let _ = self
            .controller
            .tell(AgentRequest::ActionBegin(task.to_owned()))
            .await;
        let id = self.context_id("run-commands");
        let context = HookContext::new(id.clone(), "run-commands".into(), view.clone(), None);
        *self.context.lock().await = Some(context);
        let program = Program {
            dispatch: None,
            hook: "",
            env: &[],
            commands: Some(commands),
        };
        let environment = runner::environment(&self.layout, view, &id, &program);
        let module = format!("unit.{}.run-commands", self.layout.unit);
        let mut results = json!({});
        match runner::start(&self.layout, &environment, &program) {
            Ok(Some(child)) => {
                let ended = runner::wait(&self.controller, &module, child, &self.context).await;
                let code = ended.status.and_then(|status| status.code()).unwrap_or(-1);
                add_output(&mut results, code, &ended.stdout, &ended.stderr);
                if let (0, Some(context)) = (code, self.context.lock().await.take()) {
                    let _ = self
                        .controller
                        .tell(AgentRequest::Commit(Box::new(context.changes)))
                        .await;
                }
            }
            _ => add_output(&mut results, 127, "", "cannot be run\n"),
        }
        let _ = self
            .controller
            .tell(AgentRequest::ExecEnd {
                id: task.to_owned(),
                results,
            })
            .await;
        self.settle().await;
    }

    /// The view that lists a finished task is old; the next one comes at once.
    async fn settle(&self) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    /// The pod goes: the charm's stop hook, once.
    async fn leave(&mut self, view: &UnitView) {
        if !self.local.started || view.life != Life::Alive || self.local.stopped {
            return;
        }
        let hook = Hook {
            name: "stop".to_owned(),
            ..Hook::default()
        };
        let id = self.context_id("stop");
        let context = HookContext::new(id.clone(), hook.name.clone(), view.clone(), None);
        *self.context.lock().await = Some(context);
        let program = Program {
            dispatch: Some("hooks/stop".to_owned()),
            hook: "stop",
            env: &[],
            commands: None,
        };
        let environment = runner::environment(&self.layout, view, &id, &program);
        if let Ok(Some(child)) = runner::start(&self.layout, &environment, &program) {
            let module = format!("unit.{}.stop", self.layout.unit);
            let ended = runner::wait(&self.controller, &module, child, &self.context).await;
            let context = self.context.lock().await.take();
            if let (true, Some(context)) = (ended.status.is_some_and(|s| s.success()), context) {
                let _ = self
                    .controller
                    .tell(AgentRequest::Commit(Box::new(context.changes)))
                    .await;
            }
        }
    }
}

fn add_output(results: &mut Value, code: i32, stdout: &str, stderr: &str) {
    if let Some(map) = results.as_object_mut() {
        map.insert("return-code".into(), json!(code));
        for (key, text) in [("stdout", stdout), ("stderr", stderr)] {
            if !text.is_empty() {
                map.insert(key.into(), json!(text));
            }
        }
    }
}
