//! One hook from its environment to its exit code.

use std::path::Path;
use std::process::ExitCode;

use cluster_plan::names::Names;
use cluster_plan::observed::SystemUser;
use juju::{Context, Event, HookEnv, HookTools, JujuLog, ProcessTools};
use secrecy::ExposeSecret;
use tls_interface::{Authorities, Kept, Provider, pem_of};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;

use crate::clients::{list, rotate};
use crate::dispatch::{self, Action, Handler};
use crate::error_chain;
use crate::handlers::actions::{self, ActionError};
use crate::handlers::{self, HandlerError, Hook, refresh, tls};
use crate::juju_port::{
    ActionResult, Certificates as _, HookJuju, JujuError, JujuPort, ResultValue,
};
use crate::ports::{
    ClusterApi, Credentials, PatroniMembers, PebbleWorkload, Ports, PostgresDatabase, SystemClock,
    SystemRandom, Trust,
};

/// The workload container.
const CONTAINER: &str = "postgresql";

/// Why the process fails.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The process could not be set up.
    #[error("cannot start the runtime")]
    Runtime(#[source] std::io::Error),
    /// Juju runs the hook again.
    #[error("the hook failed")]
    Handler(#[from] HandlerError),
    /// A hook tool failed.
    #[error("cannot tell Juju")]
    Juju(#[from] JujuError),
}

/// Runs the hook that Juju asks for.
#[must_use]
pub fn hook() -> ExitCode {
    let env = match HookEnv::from_process() {
        Ok(env) => env,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let log: &'static JujuLog = Box::leak(Box::default());
    tracing_subscriber::registry()
        .with(log.with_filter(LevelFilter::INFO))
        .init();
    let tools = ProcessTools;
    let result = run(&env, &tools);
    if let Err(error) = &result {
        tracing::error!("{}", error_chain(error));
    }
    log.flush(&tools);
    if result.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn run(env: &HookEnv, tools: &dyn HookTools) -> Result<(), RunError> {
    let context = Context::for_hook(env, tools);
    let charm_dir = Path::new(env.charm_dir());
    let juju = HookJuju::keeping(env, &context, charm_dir);
    if let Some(message) = out_of_service(charm_dir) {
        tracing::warn!("{message}");
        return Ok(juju.set_status(false, "blocked", &message)?);
    }
    if dispatch::handler(env.event()) == Handler::Nothing {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(RunError::Runtime)?;
    // A second call is refused, and that is fine: the first one's provider is the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Many a hook ends before any member is asked.
    let credentials = || {
        credentials(&juju).unwrap_or_else(|error| {
            tracing::warn!("{}", error_chain(&error));
            Credentials::default()
        })
    };
    let kubernetes = ClusterApi::new(&runtime, env.model());
    let scope = Names::new(env.application(), env.model()).scope();
    let ports = Ports {
        workload: &PebbleWorkload::new(&runtime, CONTAINER),
        members: &PatroniMembers::new(&runtime, &kubernetes, scope, credentials),
        kubernetes: &kubernetes,
        database: &PostgresDatabase::new(&runtime)
            .trusting(|| servers(&juju).unwrap_or_else(|error| Trust::Unusable(error.into()))),
        random: &SystemRandom,
        clock: &SystemClock,
    };
    let hook = Hook {
        juju: &juju,
        ports: &ports,
    };
    handle(env, &context, &hook)?;
    juju.keep();
    Ok(())
}

/// What to ask members with; whom to trust, nobody before there is an authority.
fn credentials(juju: &HookJuju<'_>) -> Result<Credentials, JujuError> {
    let password = juju
        .passwords()?
        .and_then(|passwords| passwords.get(SystemUser::Patroni).cloned());
    let content = juju.authority()?;
    let authorities = Authorities::from_content(|key| content.get(key).cloned());
    let tls = authorities.and_then(|authorities| {
        patroni::tls_config(authorities.trusted_pem().as_bytes())
            .inspect_err(|error| tracing::error!("{}", error_chain(error)))
            .ok()
    });
    Ok(Credentials { password, tls })
}

/// Whose certificates other units' PostgreSQL may serve: the members' own authority's, and a
/// provider's where there is one.
fn servers(juju: &HookJuju<'_>) -> Result<Trust, JujuError> {
    let content = juju.authority()?;
    if content.is_empty() {
        return Ok(Trust::Nobodys);
    }
    let Some(authorities) = Authorities::from_content(|key| content.get(key).cloned()) else {
        return Ok(Trust::Unusable(
            "the application's secret holds a broken authority".into(),
        ));
    };
    let mut trusted = authorities.trusted_pem();
    // Where Juju tells of no relations just now, there may be one.
    let goal = juju.goal()?;
    if goal.is_none_or(|goal| goal.endpoints.contains("certificates"))
        && let Some(relation) = juju.certificates()?
    {
        // Another unit may have a certificate of it before this one has.
        let provider = Provider::parse(&relation.provider).unwrap_or_default();
        trusted.push_str(&pem_of(&provider.authorities()));
        let kept = juju.unit_secret()?;
        let kept = Kept::from_content(|key| kept.get(key).cloned());
        trusted.push_str(&pem_of(kept.trusted()));
    }
    Ok(match patroni::tls_config(trusted.as_bytes()) {
        Ok(config) => Trust::Of(config),
        Err(error) => Trust::Unusable(error.into()),
    })
}

/// Runs what the dispatch table says for the hook or action, and sends what it wrote.
///
/// # Errors
/// Only what Juju should repeat the hook for; an action that is refused is told to its caller.
pub fn handle(env: &HookEnv, context: &Context<'_>, hook: &Hook<'_>) -> Result<(), RunError> {
    match dispatch::handler(env.event()) {
        Handler::Action(action) => answer(context, perform(env, context, hook, action))?,
        _ => handlers::handle(env.event(), hook)?,
    }
    Ok(context.flush().map_err(JujuError::from)?)
}

fn perform(
    env: &HookEnv,
    context: &Context<'_>,
    hook: &Hook<'_>,
    action: Action,
) -> Result<ActionResult, ActionError> {
    fn params<T: serde::de::DeserializeOwned>(context: &Context<'_>) -> Result<T, ActionError> {
        context
            .action_params()
            .map_err(|error| match error.refusal {
                juju::Refusal::Malformed => ActionError::Refused(format!(
                    "a parameter is not allowed, `juju show-action` tells which are: {}",
                    error.message
                )),
                _ => ActionError::Juju(error.into()),
            })
    }
    match action {
        Action::GetPrimary => actions::get_primary(hook),
        Action::GetPassword => actions::get_password(hook, params(context)?),
        Action::SetPassword => actions::set_password(hook, params(context)?),
        Action::SetTlsPrivateKey => tls::set_private_key(hook, params(context)?),
        Action::PromoteToPrimary => actions::promote_to_primary(hook, &params(context)?),
        Action::PreUpgradeCheck => refresh::pre_upgrade_check(hook),
        Action::ResumeUpgrade => refresh::resume_upgrade(hook),
        Action::ListClients => list::list(hook),
        Action::RotateClientCredentials => rotate::rotate(hook, &params(context)?),
        Action::NotYet => {
            let name = match env.event() {
                Event::Action(event) => event.name.as_str(),
                _ => "this action",
            };
            Err(actions::not_yet(name))
        }
    }
}

/// An action's outcome. The tool takes results on its command line alone, so a password that the
/// operator asked for is there for the moment of the call, inside the charm's container.
fn answer(
    context: &Context<'_>,
    outcome: Result<ActionResult, ActionError>,
) -> Result<(), RunError> {
    let told = match outcome {
        Ok(ActionResult(results)) => {
            let pairs: Vec<(&str, &str)> = results
                .iter()
                .map(|(key, value)| match value {
                    ResultValue::Plain(text) => (*key, text.as_str()),
                    ResultValue::Secret(secret) => (*key, secret.expose_secret()),
                })
                .collect();
            if pairs.is_empty() {
                Ok(())
            } else {
                context.action_set(&pairs)
            }
        }
        Err(ActionError::Juju(error)) => return Err(error.into()),
        Err(error) => context.action_fail(&error.to_string()),
    };
    Ok(told.map_err(JujuError::from)?)
}

/// Why the charm does nothing at all: an operator's file `disable` in the charm's folder.
fn out_of_service(charm_dir: &Path) -> Option<String> {
    charm_dir
        .join("disable")
        .exists()
        .then(|| "Disabled".to_owned())
}
