//! The agent's life: follows the model, runs one operation after another, and leaves in order.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use juju_local_api::agent::{AgentRequest, Life, UnitView};
use juju_local_api::transport::Client;
use serde_json::Value;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Mutex, mpsc, watch};

use super::hooks::Failure;
use super::runner::Controller;
use super::scheduler::{self, Done, Event, Local, Moment, Operation};
use super::tools::{self, HookContext};
use super::{Layout, workload};

const CONTROLLER: &str = "/var/lib/juju-local/controller/agent.sock";
const TOKEN: &str = "/var/lib/juju-local/token/token";

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

/// The agent.
pub(super) struct Agent {
    pub layout: Layout,
    pub controller: Arc<Controller>,
    pub local: Local,
    pub context: Arc<Mutex<Option<HookContext>>>,
    pub events: VecDeque<Event>,
    /// In the pod's own storage: it tells a new pod from a restarted container.
    pub marker: PathBuf,
    pub new_pod: bool,
    pub told: Option<u64>,
    pub failure: Option<Failure>,
    pub term: Signal,
    /// The model as it changes.
    pub views: watch::Receiver<Option<UnitView>>,
    updated: Instant,
    spread: f64,
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
        .and_then(|()| match layout.user {
            None => Ok(()),
            Some(user) => std::os::unix::fs::chown(&layout.socket, Some(user), Some(user)),
        })
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
    let (sender, incoming) = mpsc::unbounded_channel();
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
    let term = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let agent = Agent::new(layout, controller, context, &first, view, term);
    agent.live(incoming).await;
    Ok(())
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
            Ok(view) => {
                if view.revision == since {
                    continue;
                }
                since = view.revision;
                if views.send(Some(view)).is_err() {
                    return;
                }
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(300)).await,
        }
    }
}

impl Agent {
    fn new(
        layout: Layout,
        controller: Arc<Controller>,
        context: Arc<Mutex<Option<HookContext>>>,
        first: &UnitView,
        views: watch::Receiver<Option<UnitView>>,
        term: Signal,
    ) -> Self {
        let local: Local = serde_json::from_value(first.saved_state.clone()).unwrap_or_default();
        let marker = layout.charm.with_file_name("upgraded");
        let mut agent = Self {
            layout,
            controller,
            new_pod: local.installed && !marker.exists(),
            // An agent that was killed in a hook leaves it behind as a failed one.
            failure: local.pending.as_ref().map(|_| Failure::first()),
            local,
            context,
            events: VecDeque::new(),
            marker,
            told: None,
            term,
            views,
            updated: Instant::now(),
            spread: 1.0,
            said_idle: false,
        };
        agent.update_again();
        agent
    }

    /// Runs what there is to run, and waits for more, until the unit or its pod goes.
    async fn live(mut self, mut incoming: mpsc::UnboundedReceiver<Event>) {
        if let Some(hook) = self.local.pending.clone() {
            self.say_failed(&hook).await;
        }
        loop {
            while let Ok(event) = incoming.try_recv() {
                self.push(event);
            }
            self.views.mark_unchanged();
            // What the channel holds may be older than what this agent itself has just changed.
            let Some(current) = self.view().await else {
                tokio::time::sleep(Duration::from_millis(300)).await;
                continue;
            };
            if self.step(&current).await {
                continue;
            }
            if self.over(&current) {
                return self.end().await;
            }
            if !self.said_idle && self.local.pending.is_none() {
                self.said_idle = true;
                self.say("idle", "", Value::Null).await;
            }
            let timer = self.next_wake(&current);
            tokio::select! {
                changed = self.views.changed() => if changed.is_err() { return },
                event = incoming.recv() => if let Some(event) = event { self.push(event) },
                () = tokio::time::sleep_until(timer.into()) => {}
                _ = self.term.recv() => return self.leave(&current).await,
            }
        }
    }

    /// The model as it is now.
    pub(super) async fn view(&self) -> Option<UnitView> {
        let request = AgentRequest::Watch {
            since: 0,
            wait_ms: 0,
        };
        let limit = Duration::from_secs(10);
        self.controller.ask(request, limit).await.ok()
    }

    /// Whether the unit has run its last hook, or has none to run.
    fn over(&self, view: &UnitView) -> bool {
        let nothing_done = !self.local.installed && self.local.pending.is_none();
        self.local.removed || (nothing_done && view.life != Life::Alive)
    }

    /// Says that the unit is done with, and waits for the pod's end.
    async fn end(mut self) {
        loop {
            let dead = self.controller.tell(AgentRequest::Dead);
            tokio::select! {
                told = dead => if told.is_ok() { break },
                _ = self.term.recv() => return,
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        self.term.recv().await;
    }

    /// update-status has run: the next one is due an interval later, spread by a fifth of it to
    /// both sides.
    pub(super) fn update_again(&mut self) {
        let (random, ..) = uuid::Uuid::new_v4().as_fields();
        self.updated = Instant::now();
        self.spread = 0.8 + 0.4 * f64::from(random) / f64::from(u32::MAX);
    }

    fn update_at(&self, view: &UnitView) -> Instant {
        let interval = Duration::from_millis(view.update_status_interval_ms);
        self.updated + interval.mul_f64(self.spread)
    }

    fn next_wake(&self, view: &UnitView) -> Instant {
        match self.failure {
            Some(failure) if view.retry_hooks => failure.retry_at(),
            Some(_) => Instant::now() + Duration::from_hours(1),
            None => self.update_at(view),
        }
    }

    pub(super) async fn say(&self, status: &str, message: &str, data: Value) {
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
        if let Some(hook) = self.local.pending.clone() {
            return self.step_failed(view, hook).await;
        }
        for relation in &view.relations {
            let known = self.local.relations.contains_key(&relation.id);
            if relation.life != Life::Alive && !known {
                self.leave_relation(relation.id).await;
            }
        }
        let moment = Moment {
            unit: self.layout.unit.clone(),
            event: self.events.front().cloned(),
            new_pod: self.new_pod,
            told: self.told,
            update_status: Instant::now() >= self.update_at(view),
        };
        match scheduler::next(view, &self.local, &moment) {
            None => return false,
            Some(Operation::Hook(hook)) => {
                self.said_idle &= hook.name == "update-status";
                if hook.done == Done::Event {
                    self.events.pop_front();
                }
                self.attempt(view, hook).await;
            }
            Some(Operation::Action(task)) => {
                self.said_idle = false;
                self.action(view, &task).await;
            }
            Some(Operation::Exec(task)) => {
                self.said_idle = false;
                self.exec(view, &task.id, &task.commands).await;
            }
        }
        true
    }

    pub(super) async fn save(&self) {
        let saved = serde_json::to_value(&self.local).unwrap_or_default();
        let _ = self.controller.tell(AgentRequest::SaveState(saved)).await;
    }

    pub(super) fn context_id(&self, name: &str) -> String {
        let random = uuid::Uuid::new_v4().simple();
        format!("{}-{name}-{random}", self.layout.unit)
    }
}
