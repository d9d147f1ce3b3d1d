//! The path of nearly every hook: observe, plan, apply, say how it stands.

use cluster_plan::names::{PATRONI_PORT, POSTGRESQL_PORT};
use cluster_plan::observed::ServiceState;
use cluster_plan::plan::{Plan, Problem, Step, Wait};
use cluster_plan::tls::TlsStep;
use cluster_plan::{membership, planner, status};

use super::{HandlerError, Hook};
use crate::apply::{self, Applied};
use crate::clients::{self, Occasion};
use crate::extensions;
use crate::layer;
use crate::observe::juju::{JujuFacts, Tellers};
use crate::observe::{self, Observation, Scope};
use crate::predefined;

/// What a hook asks for beyond the ordinary.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wish<'a> {
    /// How far to look.
    pub scope: Scope,
    /// The unit that leaves, in a `relation-departed` hook.
    pub leaving: Option<&'a str>,
    /// Open the ports; once in a pod's life is enough.
    pub open_ports: bool,
    /// Who may tell something new of its volume.
    pub volumes: Tellers<'a>,
    /// What the hook means for clients.
    pub clients: Occasion<'a>,
}

/// Rounds in one hook: a second one where the first has made what the plan was waiting for.
const ROUNDS: usize = 2;

/// Brings the unit to where it should be, as far as that is possible now.
///
/// # Errors
/// When Juju refuses something; all else ends in a status.
pub fn reconcile(hook: &Hook<'_>, wish: Wish<'_>) -> Result<(), HandlerError> {
    let mut facts = observe::juju::facts(hook.juju, wish.leaving)?;
    if wish.open_ports {
        hook.juju.open_ports(&[POSTGRESQL_PORT, PATRONI_PORT])?;
    }
    facts.look_at_disks(hook.juju, wish.volumes)?;
    facts.look_at_identities(hook.juju, wish.volumes)?;
    for round in 1..=ROUNDS {
        let (mut observation, mut plan) = look(hook, &facts, wish)?;
        if goes_by_secrets(&observation, &plan) && hook.juju.forget_secrets() {
            facts = observe::juju::facts(hook.juju, wish.leaving)?;
            facts.look_at_disks(hook.juju, wish.volumes)?;
            (observation, plan) = look(hook, &facts, wish)?;
        }
        log(&plan);
        // Set before the effect: a process that dies after it leaves a hook that finds nothing to do.
        if shows_later(&plan) {
            let config = observation.desired.config.as_ref();
            retry(hook, config.ok().map(|config| config.loop_wait() + 1));
        }
        let mut applied = apply::apply(&plan, &observation, &mut facts, hook.juju, hook.ports)?;
        if round == ROUNDS || applied.stopped || !opens_the_way(&plan) {
            if !applied.stopped && stands(&observation, &plan) {
                let (juju, ports) = (hook.juju, hook.ports);
                let roles = predefined::reconcile(ports, &facts, &observation);
                let made = extensions::reconcile(juju, ports, &facts, &observation)?;
                applied.problems.extend(made.problems);
                let told = clients::reconcile(juju, ports, &facts, &observation, wish.clients)?;
                applied.problems.extend(told.problems);
                applied.stopped = told.later || made.later || roles;
            }
            return say(hook, &observation, plan, applied, wish.scope);
        }
    }
    Ok(())
}

fn look(
    hook: &Hook<'_>,
    facts: &JujuFacts,
    wish: Wish<'_>,
) -> Result<(Observation, Plan), HandlerError> {
    let observation = observe::observe(facts, hook.ports, wish.scope)?;
    let plan = planner::plan(&observation.observed, &observation.desired);
    Ok((observation, plan))
}

/// What is in the secrets is about to be spread, or does not serve: it must not be an earlier hook's word.
fn goes_by_secrets(observation: &Observation, plan: &Plan) -> bool {
    let mut steps = plan.steps.iter();
    observation.observed.shut_out || steps.any(|planned| planned.step.follows_secrets())
}

fn opens_the_way(plan: &Plan) -> bool {
    plan.steps.iter().any(|planned| {
        matches!(
            planned.step,
            Step::StorePasswords(_)
                | Step::TakePasswords(_)
                | Step::RemoveLeftovers
                | Step::Tls(TlsStep::StoreAuthority)
        )
    })
}

/// What comes of it shows later, and nothing is sure to tell of it: which parameters wait for a
/// restart once Patroni has taken its new configuration, and who is next once a member has restarted;
/// a unit that has announced its certificates goes on by its own word.
fn shows_later(plan: &Plan) -> bool {
    plan.steps.iter().any(|planned| {
        matches!(
            planned.step,
            Step::ReloadPatroni
                | Step::PatchDynamic(_)
                | Step::RestartMember(_)
                | Step::RemindPatroni(_)
        )
    })
}

/// A leader that wanted to compare the dynamic configuration could not read it.
fn unread(observation: &Observation, scope: Scope) -> bool {
    let observed = &observation.observed;
    let view = observed.cluster.as_ref();
    let lacks = view.is_some_and(|view| view.primary().is_some() && view.dynamic.is_none());
    observed.leader && scope.dynamic && lacks
}

/// The cluster is one that clients can be served from, as far as it answers.
fn stands(observation: &Observation, plan: &Plan) -> bool {
    observation.observed.initialised() || plan.steps.iter().any(|p| p.step == Step::MarkInitialised)
}

fn log(plan: &Plan) {
    for line in &plan.outlook {
        tracing::info!("{line}");
    }
    for wait in &plan.waits {
        tracing::info!("waits for {} (woken by {})", wait.for_what, wait.woken_by);
    }
}

/// The end of an outage wakes nobody, so the charm sets itself a timer. Where Pebble is what fails,
/// its return runs pebble-ready. A timer that runs already starts anew: what this hook has begun may
/// not show yet when the former one ends.
pub(super) fn retry_later(hook: &Hook<'_>) {
    retry(hook, None);
}

/// The same, and a first time after so many seconds.
fn retry(hook: &Hook<'_>, soon: Option<i64>) {
    let timer = (layer::RETRY, layer::retry(soon));
    set_timer(hook, &timer, soon.unwrap_or(layer::RETRY_AFTER));
}

fn set_timer(hook: &Hook<'_>, (name, layer): &(&str, pebble::Layer), seconds: i64) {
    let workload = hook.ports.workload;
    let set = workload
        .add_layer(name, layer)
        .and_then(|()| workload.restart(name));
    match set {
        Ok(()) => tracing::info!("looks again in {seconds} s"),
        Err(error) => tracing::warn!("cannot set the timer to look again: {}", error.chain()),
    }
}

/// Nothing is missing any more: nobody has to look again for that.
pub(super) fn stop_looking(hook: &Hook<'_>) {
    let workload = hook.ports.workload;
    if matches!(
        workload.service(layer::MISSING),
        Ok(Some(ServiceState::Active))
    ) && let Err(error) = workload.stop(layer::MISSING)
    {
        tracing::debug!("the timer runs to its end: {}", error.chain());
    }
}

fn say(
    hook: &Hook<'_>,
    observation: &Observation,
    mut plan: Plan,
    applied: Applied,
    scope: Scope,
) -> Result<(), HandlerError> {
    if applied.stopped {
        // Whatever it was: the next hook asks.
        hook.juju.forget_secrets();
    }
    for problem in applied.problems {
        plan.problem(problem);
    }
    let again = applied.stopped || plan.problems.iter().any(Problem::passes_by_itself);
    // Its member may be starting, or show a certificate that is about to be replaced.
    let missing = unread(observation, scope)
        // Nothing tells when a standby becomes synchronous, and this unit's status depends on it.
        || status::incomplete(&observation.observed);
    if shows_later(&plan) {
        // A timer is set already.
    } else if membership::becomes_last(&observation.observed)
        || plan.waits.iter().any(Wait::passes_by_itself)
    {
        // Patroni's next loop may be the end of it.
        let config = observation.desired.config.as_ref().ok();
        retry(hook, config.map(|config| config.loop_wait() + 1));
    } else if again {
        retry_later(hook);
    } else if missing {
        let timer = (layer::MISSING, layer::missing());
        set_timer(hook, &timer, layer::RETRY_AFTER);
    } else if scope.database && scope.dynamic {
        stop_looking(hook);
    }
    for text in status::each(&observation.observed, &plan) {
        tracing::warn!("problem: {text}");
    }
    let statuses = status::judge(&observation.observed, &plan);
    hook.juju
        .set_status(false, statuses.unit.word(), statuses.unit.message())?;
    if let Some(application) = statuses.application {
        hook.juju
            .set_status(true, application.word(), application.message())?;
    }
    Ok(())
}
