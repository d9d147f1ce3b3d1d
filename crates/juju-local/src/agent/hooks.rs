//! Hooks: run, committed, and when they fail kept until they pass or are resolved.

use std::time::{Duration, Instant};

use juju_local_api::agent::{AgentRequest, Resolved, UnitView};
use serde_json::{Value, json};

use super::main_loop::Agent;
use super::meter::Meter;
use super::runner::{self, Program};
use super::scheduler::{self, Done, Event, Hook, HookRelation, Operation};
use super::tools::HookContext;
use crate::juju::Juju;

/// First pause before a failed hook is run again; the others are twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// Where Juju logs what it does with hooks.
const OPERATIONS: &str = "juju.worker.uniter.operation";

/// A hook's failure.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failure {
    pub count: u32,
    pub at: Instant,
}

impl Failure {
    pub fn first() -> Self {
        Self {
            count: 1,
            at: Instant::now(),
        }
    }

    /// When Juju runs the hook again by itself.
    pub fn retry_at(&self) -> Instant {
        let pause = FIRST_PAUSE * 2_u32.saturating_pow(self.count.saturating_sub(1).min(6));
        self.at + pause.min(LONGEST_PAUSE)
    }
}

impl Agent {
    /// A failed hook comes before all others; tasks run meanwhile.
    pub(super) async fn step_failed(&mut self, view: &UnitView, hook: Hook) -> bool {
        let failure = *self.failure.get_or_insert_with(Failure::first);
        if let Some(how) = view.resolved {
            let _ = self.controller.tell(AgentRequest::ClearResolved).await;
            match how {
                Resolved::Skip => self.complete(view, hook).await,
                Resolved::Retry => self.attempt(view, hook).await,
            }
            return true;
        }
        if view.retry_hooks && Instant::now() >= failure.retry_at() {
            self.attempt(view, hook).await;
            return true;
        }
        match scheduler::task(view) {
            Some(Operation::Action(task)) => self.action(view, &task).await,
            Some(Operation::Exec(task)) => self.exec(view, &task.id, &task.commands).await,
            _ => return false,
        }
        true
    }

    /// Runs a hook, with what Juju tells of it before and after.
    pub(super) async fn attempt(&mut self, view: &UnitView, mut hook: Hook) {
        if let Done::Config(hash) = &mut hook.done {
            // A hook that is run again sees what is set by then.
            *hash = scheduler::config_hash(view);
        }
        if hook.name == "update-status" {
            self.update_again();
        } else {
            let text = format!("running {} hook", hook.name);
            self.say("executing", &text, Value::Null).await;
        }
        self.tell_before(view, &hook).await;
        self.local.pending = Some(hook.clone());
        self.save().await;
        match self.run_hook(view, &hook).await {
            Ok(()) => self.complete(view, hook).await,
            Err(text) => {
                let via = self.via(&hook.name);
                let line = format!("hook \"{}\" (via {via}) failed: {text}", hook.name);
                self.controller.log("ERROR", OPERATIONS, line).await;
                let count = self.failure.map_or(0, |failure| failure.count);
                self.failure = Some(Failure {
                    count: count + 1,
                    at: Instant::now(),
                });
                self.say_failed(&hook).await;
            }
        }
    }

    pub(super) async fn say_failed(&self, hook: &Hook) {
        let name = shown_name(hook);
        let mut data = json!({"hook": name});
        if let Some(map) = data.as_object_mut() {
            if let Some(relation) = &hook.relation {
                map.insert("relation-id".into(), json!(relation.id));
                if !relation.unit.is_empty() {
                    map.insert("remote-unit".into(), json!(relation.unit));
                }
            }
            for (variable, key) in [
                ("JUJU_SECRET_ID", "secret-uri"),
                ("JUJU_SECRET_LABEL", "secret-label"),
            ] {
                let found = hook.env.iter().find(|(name, _)| name == variable);
                map.extend(found.map(|(_, value)| (key.to_owned(), json!(value))));
            }
        }
        let text = format!("hook failed: \"{name}\"");
        self.say("error", &text, data).await;
    }

    async fn set_status(&self, status: &str, message: &str) {
        let request = AgentRequest::SetStatus {
            application: false,
            status: status.to_owned(),
            message: message.to_owned(),
        };
        let _ = self.controller.tell(request).await;
    }

    /// The statuses that Juju itself gives a unit before some hooks.
    async fn tell_before(&self, view: &UnitView, hook: &Hook) {
        let text = match hook.done {
            Done::Installed if view.unit_status.1 == "installing agent" => {
                "installing charm software"
            }
            Done::Stopped => "stopping charm software",
            Done::Removed => "cleaning up prior to charm deletion",
            _ => return,
        };
        self.set_status("maintenance", text).await;
    }

    /// And after them.
    async fn tell_after(&self, hook: &Hook) {
        match hook.done {
            Done::Started => {
                let status = self.view().await.map(|view| view.unit_status);
                let unset = ["installing agent", "installing charm software"];
                if status.is_some_and(|(_, text)| unset.contains(&text.as_str())) {
                    self.set_status("unknown", "").await;
                }
            }
            Done::Stopped => self.set_status("maintenance", "").await,
            Done::Removed => self.set_status("terminated", "").await,
            _ => {}
        }
    }

    /// A hook is done, or counts as done.
    async fn complete(&mut self, view: &UnitView, hook: Hook) {
        self.failure = None;
        self.local.pending = None;
        self.local.apply(&hook.done);
        self.tell_after(&hook).await;
        match &hook.done {
            Done::Upgraded => {
                self.new_pod = false;
                let _ = std::fs::write(&self.marker, "");
            }
            Done::Told(settings) => self.told = Some(*settings),
            Done::Broken(id) => self.leave_relation(*id).await,
            Done::Rotated(_) | Done::Expired(..) => {
                let changes = juju_local_api::agent::HookChanges {
                    hook: hook.name.clone(),
                    rotated: match &hook.done {
                        Done::Rotated(id) => vec![id.clone()],
                        _ => Vec::new(),
                    },
                    expired: match &hook.done {
                        Done::Expired(id, revision) => vec![(id.clone(), *revision)],
                        _ => Vec::new(),
                    },
                    ..Default::default()
                };
                let commit = AgentRequest::Commit(Box::new(changes));
                let _ = self.controller.tell(commit).await;
            }
            _ => {}
        }
        if view.life == juju_local_api::agent::Life::Alive && hook.name == "install" {
            // A pod in which the charm was installed needs no upgrade.
            let _ = std::fs::write(&self.marker, "");
        }
        self.save().await;
    }

    pub(super) async fn leave_relation(&self, id: u32) {
        let _ = self.controller.tell(AgentRequest::LeaveRelation(id)).await;
    }

    pub(super) fn context_of(
        &self,
        id: &str,
        name: &str,
        view: &UnitView,
        relation: Option<HookRelation>,
    ) -> HookContext {
        let relations = self.local.relations.iter();
        let members = relations.map(|(id, seen)| (*id, seen.members.keys().cloned().collect()));
        let mut context = HookContext::new(
            id.to_owned(),
            name.to_owned(),
            view.clone(),
            relation.clone(),
        );
        context.members = members.collect();
        if let Some(relation) = relation.filter(|relation| !relation.unit.is_empty()) {
            let units = context.members.entry(relation.id).or_default();
            if name.ends_with("-relation-departed") {
                units.remove(&relation.unit);
            } else {
                units.insert(relation.unit);
            }
        }
        context
    }

    fn via(&self, name: &str) -> String {
        if self.layout.charm.join("dispatch").exists() {
            "hook dispatching script: dispatch".to_owned()
        } else {
            format!("explicit, bespoke hook script: hooks/{name}")
        }
    }

    async fn run_hook(&mut self, view: &UnitView, hook: &Hook) -> Result<(), String> {
        let Some(ended) = self.run_program(view, hook).await? else {
            if hook.done == Done::Event && Juju::of(&view.juju_version).is_4() {
                // What Juju 4 cannot tell any more ends its agent: no stop hook, and the container
                // stays until it is killed.
                let text = "\"uniter\" manifold worker returned unexpected error: terminated";
                self.controller
                    .log("ERROR", "juju.worker.dependency", text.to_owned())
                    .await;
                std::future::pending::<()>().await;
            }
            // The pod goes: this hook counts neither as failed nor as done.
            self.local.pending = None;
            self.save().await;
            self.leave(view).await;
            std::process::exit(0);
        };
        self.log_ran(hook, ended).await;
        Ok(())
    }

    async fn log_ran(&self, hook: &Hook, there: bool) {
        let name = &hook.name;
        let line = if there {
            format!("ran \"{name}\" hook (via {})", self.via(name))
        } else {
            format!("skipped \"{name}\" hook (missing)")
        };
        // It runs for ever, and would bury the others.
        if name != "update-status" {
            self.controller.log("INFO", OPERATIONS, line).await;
        }
    }

    /// Runs a hook's process and commits what it wrote: whether there was one; none where SIGTERM
    /// cut it off.
    async fn run_program(&mut self, view: &UnitView, hook: &Hook) -> Result<Option<bool>, String> {
        let id = self.context_id(&hook.name);
        let context = self.context_of(&id, &hook.name, view, hook.relation.clone());
        *self.context.lock().await = Some(context);
        let program = Program {
            dispatch: Some(format!("hooks/{}", hook.name)),
            hook: &hook.name,
            env: &hook.env,
            commands: None,
        };
        let environment = runner::environment(&self.layout, view, &id, &program);
        let module = format!("unit.{}.{}", self.layout.unit, hook.name);
        let meter = Meter::start();
        let child = runner::start(&self.layout, &environment, &program)
            .map_err(|error| format!("cannot be run: {error}"))?;
        let Some(child) = child else {
            self.context.lock().await.take();
            return Ok(Some(false));
        };
        let ended = {
            let patience = Some(runner::PATIENCE);
            let wait = runner::wait(&self.controller, &module, child, &self.context, patience);
            tokio::select! {
                ended = wait => Some(ended),
                _ = self.term.recv() => None,
            }
        };
        let context = self.context.lock().await.take();
        let Some(ended) = ended else {
            return Ok(None);
        };
        let calls = context.as_ref().map(|context| context.calls.clone());
        let ran = meter.stop(hook, calls.unwrap_or_default(), ended.failure().is_none());
        let _ = self.controller.tell(AgentRequest::Ran(Box::new(ran))).await;
        if ended.killed {
            let _ = self.controller.tell(AgentRequest::FaultUsed).await;
        }
        ended.failure().map_or(Ok(()), Err)?;
        if let Some(context) = context {
            let commit = AgentRequest::Commit(Box::new(context.changes));
            let sent = self.controller.tell(commit).await;
            sent.map_err(|error| format!("cannot apply changes: {error}"))?;
        }
        Ok(Some(true))
    }

    /// The pod goes: the charm's stop hook, once, unless a hook has failed.
    pub(super) async fn leave(&mut self, view: &UnitView) {
        let alive = view.life == juju_local_api::agent::Life::Alive;
        if !self.local.started || !alive || self.local.stopped || self.local.pending.is_some() {
            return;
        }
        let hook = Hook {
            name: "stop".to_owned(),
            done: Done::Stopped,
            ..Hook::default()
        };
        self.tell_before(view, &hook).await;
        match self.run_program(view, &hook).await {
            Ok(there) => {
                self.log_ran(&hook, there == Some(true)).await;
                self.tell_after(&hook).await;
            }
            Err(text) => {
                let line = format!("hook \"stop\" (via {}) failed: {text}", self.via("stop"));
                self.controller.log("ERROR", OPERATIONS, line).await;
            }
        }
    }

    /// A ready event makes older ones of the same container void.
    pub(super) fn push(&mut self, event: Event) {
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
}

/// The name that Juju shows: without the container's or storage's name, but with the endpoint's.
fn shown_name(hook: &Hook) -> &str {
    if hook.relation.is_some() {
        return &hook.name;
    }
    let kinds = [
        "pebble-ready",
        "pebble-custom-notice",
        "pebble-check-failed",
        "pebble-check-recovered",
        "storage-attached",
        "storage-detaching",
    ];
    let mut found = kinds.into_iter().filter(|kind| hook.name.ends_with(kind));
    found.next().unwrap_or(&hook.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_from_five_seconds_to_five_minutes() {
        let at = Instant::now();
        let pauses: Vec<u64> = (1..=9)
            .map(|count| {
                Failure { count, at }
                    .retry_at()
                    .duration_since(at)
                    .as_secs()
            })
            .collect();
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
    }

    #[test]
    fn a_failed_hook_is_named_as_juju_names_it() {
        let mut hook = Hook {
            name: "db-pebble-ready".into(),
            ..Hook::default()
        };
        assert_eq!(shown_name(&hook), "pebble-ready");
        hook.name = "config-changed".into();
        assert_eq!(shown_name(&hook), "config-changed");
        hook.name = "db-relation-joined".into();
        hook.relation = Some(HookRelation::default());
        assert_eq!(shown_name(&hook), "db-relation-joined");
    }
}
