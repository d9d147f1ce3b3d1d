//! Requests: which services they reach, as which tasks in which order, and how these are run.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::lifecycle::KILLED;
use super::tasks::{self, Place};
use super::{Definition, Refused, Service};
use crate::changes::NewChange;
use crate::daemon::{Daemon, State};
use crate::plan::{Action, Layer};

/// A task: what is done to which service.
#[derive(Debug, Clone)]
struct Step {
    action: Action,
    service: String,
}

/// Tasks of one lane, by their index in the change.
type Lane = Vec<usize>;

/// What a change does: its tasks, and the lanes that they go in. All that stops comes before
/// anything starts.
#[derive(Debug, Default)]
struct Work {
    steps: Vec<Step>,
    stops: Vec<Lane>,
    starts: Vec<Lane>,
}

impl Work {
    fn new(plan: &Layer, stops: &[String], starts: &[String]) -> Self {
        let mut work = Self::default();
        for (action, ordered) in [(Action::Stop, stops), (Action::Start, starts)] {
            let first = work.steps.len();
            let step = |service: &String| Step {
                action,
                service: service.clone(),
            };
            work.steps.extend(ordered.iter().map(step));
            let place = |name: &String| ordered.iter().position(|other| other == name);
            let lanes = plan.lanes(ordered).into_iter().map(|lane| {
                lane.iter()
                    .filter_map(|name| Some(first + place(name)?))
                    .collect()
            });
            match action {
                Action::Stop => work.stops.extend(lanes),
                Action::Start => work.starts.extend(lanes),
            }
        }
        work
    }

    fn tasks(&self) -> Vec<(&'static str, String)> {
        let task = |step: &Step| match step.action {
            Action::Start => ("start", format!("Start service \"{}\"", step.service)),
            Action::Stop => ("stop", format!("Stop service \"{}\"", step.service)),
        };
        self.steps.iter().map(task).collect()
    }
}

/// What a request comes to.
struct Resolved {
    stops: Vec<String>,
    starts: Vec<String>,
    /// Services that the change is about.
    named: Vec<String>,
    /// How many services the summary counts.
    count: usize,
}

fn resolve(state: &State, action: &str, names: &[String]) -> Result<Resolved, String> {
    let plan = &state.plan;
    let start = |names: &[String]| plan.order(names, Action::Start);
    let stop = |names: &[String]| plan.order(names, Action::Stop);
    Ok(match action {
        "start" => {
            let starts = start(names)?;
            Resolved {
                stops: vec![],
                named: names.to_vec(),
                count: starts.len(),
                starts,
            }
        }
        "stop" => {
            let stops = stop(names)?;
            Resolved {
                named: names.to_vec(),
                count: stops.len(),
                stops,
                starts: vec![],
            }
        }
        "restart" => {
            let mut stops = stop(names)?;
            stops.retain(|name| names.contains(name));
            let starts = start(names)?;
            Resolved {
                stops,
                named: names.to_vec(),
                count: starts.len(),
                starts,
            }
        }
        "autostart" => {
            let starts = start(&enabled(plan))?;
            Resolved {
                stops: vec![],
                named: starts.clone(),
                count: starts.len(),
                starts,
            }
        }
        _ => {
            let stops = stop(&changed(state))?;
            let mut wanted = stops.clone();
            wanted.extend(enabled(plan));
            let starts = start(&wanted)?;
            let affected: BTreeSet<&String> = stops.iter().chain(&starts).collect();
            let affected: Vec<String> = affected.into_iter().cloned().collect();
            Resolved {
                stops,
                starts,
                count: affected.len(),
                named: affected,
            }
        }
    })
}

fn enabled(plan: &Layer) -> Vec<String> {
    let enabled = plan
        .services
        .iter()
        .filter(|(_, service)| service.is_enabled());
    enabled.map(|(name, _)| name.clone()).collect()
}

/// Services that were started with another definition than they have now.
fn changed(state: &State) -> Vec<String> {
    let other = |(name, service): &(&String, &Service)| {
        Definition::of(&state.plan, name).is_some_and(|now| now != *service.definition)
    };
    state
        .services
        .iter()
        .filter(other)
        .map(|(name, _)| name.clone())
        .collect()
}

fn summary(action: &str, resolved: &Resolved) -> String {
    let mut title = action.to_owned();
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    match (resolved.named.first(), resolved.count) {
        (None, _) => format!("{title} - no services"),
        (Some(first), 0 | 1) => format!("{title} service \"{first}\""),
        (Some(first), count) => format!("{title} service \"{first}\" and {} more", count - 1),
    }
}

/// A request of `POST /v1/services`: the id of its change, which goes on by itself.
pub(crate) fn request(
    daemon: &Arc<Daemon>,
    action: &str,
    names: &[String],
) -> Result<u64, Refused> {
    match (action, names.is_empty()) {
        ("autostart" | "replan", false) => {
            return Err((400, format!("{action} accepts no service names")));
        }
        ("autostart" | "replan", true) | ("start" | "stop" | "restart", false) => {}
        (_, true) => return Err((400, format!("must specify services for {action} action"))),
        (_, false) => return Err((400, format!("invalid action \"{action}\""))),
    }
    let mut state = daemon.state();
    if action == "autostart" && enabled(&state.plan).is_empty() {
        return Err((400, "no default services".to_owned()));
    }
    let resolved = resolve(&state, action, names)
        .map_err(|why| (400, format!("cannot {action} services: {why}")))?;
    let work = Work::new(&state.plan, &resolved.stops, &resolved.starts);
    let id = state.changes.add(NewChange {
        kind: action.to_owned(),
        summary: summary(action, &resolved),
        tasks: work.tasks(),
        services: resolved.named,
        check: None,
    });
    daemon.note(&mut state, id);
    drop(state);
    if action == "replan" {
        crate::checks::start_enabled(daemon);
    }
    tokio::spawn(run(daemon.clone(), id, work));
    Ok(id)
}

async fn run(daemon: Arc<Daemon>, change: u64, work: Work) {
    let stopped = run_lanes(&daemon, change, &work.steps, &work.stops).await;
    if stopped {
        run_lanes(&daemon, change, &work.steps, &work.starts).await;
    } else {
        hold(&daemon, change, work.starts.iter().flatten());
    }
}

fn hold<'a>(daemon: &Daemon, change: u64, tasks: impl Iterator<Item = &'a usize>) {
    daemon.update(change, |change| tasks.for_each(|task| change.hold(*task)));
}

/// Runs lanes side by side: whether all of them went to their end.
async fn run_lanes(daemon: &Arc<Daemon>, change: u64, steps: &[Step], lanes: &[Lane]) -> bool {
    let lanes = lanes
        .iter()
        .map(|lane| run_lane(daemon, change, steps, lane));
    join_all(lanes).await.into_iter().all(|done| done)
}

async fn run_lane(daemon: &Arc<Daemon>, change: u64, steps: &[Step], lane: &Lane) -> bool {
    for (at, task) in lane.iter().enumerate() {
        let begun = daemon.update(change, |change| change.begin(*task)) == Some(true);
        let aborted = daemon
            .state()
            .changes
            .get(change)
            .map(crate::changes::Change::aborted);
        let (Some(step), Some(aborted), true) = (steps.get(*task), aborted, begun) else {
            return false;
        };
        let place = Place {
            change,
            task: *task,
        };
        let result = match step.action {
            Action::Start => tasks::start(daemon, &step.service, place, aborted).await,
            Action::Stop => tasks::stop(daemon, &step.service, place).await,
        };
        let failed = result.is_err();
        daemon.update(change, |change| change.end(*task, result));
        if failed {
            hold(daemon, change, lane.iter().skip(at + 1));
            return false;
        }
    }
    true
}

/// Starts what is enabled, as a server does that is not to hold.
pub(crate) fn autostart(daemon: &Arc<Daemon>) {
    match request(daemon, "autostart", &[]) {
        Err((_, why)) if why != "no default services" => {
            daemon.say(&format!("Cannot start default services: {why}"));
        }
        _ => {}
    }
}

/// Stops everything that lives before the server ends, as one change, in bounded time.
pub(crate) async fn stop_all(daemon: &Arc<Daemon>) {
    let (id, work, limit) = {
        let mut state = daemon.state();
        let live: Vec<&Service> = state.services.values().filter(|s| s.is_live()).collect();
        let longest = live
            .iter()
            .map(|service| service.definition.service.kill_delay())
            .max();
        let Some(longest) = longest else { return };
        let live = |name: &String| state.services.get(name).is_some_and(Service::is_live);
        let names: Vec<String> = state
            .services
            .keys()
            .filter(|name| live(name))
            .cloned()
            .collect();
        let mut stops = state
            .plan
            .order(&names, Action::Stop)
            .unwrap_or_else(|_| names.clone());
        stops.retain(|name| names.contains(name));
        let work = Work::new(&state.plan, &stops, &[]);
        let id = state.changes.add(NewChange {
            kind: "stop".to_owned(),
            summary: "Stop all running services".to_owned(),
            tasks: work.tasks(),
            services: stops,
            check: None,
        });
        daemon.note(&mut state, id);
        (id, work, longest + KILLED + Duration::from_millis(100))
    };
    let _ = tokio::time::timeout(limit, run(daemon.clone(), id, work)).await;
}
