//! The actions: what an operator runs by hand.

use cluster_plan::observed::{Cluster, SystemUser};
use cluster_plan::options::SYSTEM_USERS;
use secrecy::SecretString;
use serde::Deserialize;

use super::{Hook, reconcile};
use crate::apply::password_statement;
use crate::juju_port::{ActionResult, JujuError, ResultValue, user_names};
use crate::observe::juju::JujuFacts;
use crate::observe::{self, cluster};
use crate::ports::{PortError, Server};

/// Why an action fails; the text is its message.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    /// In words for the operator.
    #[error("{0}")]
    Refused(String),
    /// Juju refused something.
    #[error("cannot go on without Juju")]
    Juju(#[from] JujuError),
}

/// Parameters of `get-password`.
#[derive(Debug, Default, Deserialize)]
pub struct GetPassword {
    /// The user; `operator` by default.
    pub username: Option<String>,
}

/// Parameters of `set-password`.
#[derive(Deserialize)]
pub struct SetPassword {
    /// The user; `operator` by default.
    pub username: Option<String>,
    /// The new password; made up where there is none.
    pub password: Option<SecretString>,
}

/// Parameters of `promote-to-primary`.
#[derive(Debug, Deserialize)]
pub struct Promote {
    /// `unit` or `cluster`.
    pub scope: Option<String>,
    /// Only for clusters.
    #[serde(default)]
    pub force: bool,
}

/// `get-primary`.
///
/// # Errors
/// When Juju can't tell who we are.
pub fn get_primary(hook: &Hook<'_>) -> Result<ActionResult, ActionError> {
    let facts = observe::juju::facts(hook.juju, None)?;
    let primary = cluster::look(&facts, hook.ports.members, false)
        .and_then(|view| view.primary().and_then(|primary| primary.member.clone()))
        .map_or_else(|| "None".to_owned(), |member| member.unit());
    Ok(ActionResult(vec![("primary", ResultValue::Plain(primary))]))
}

/// `get-password`.
///
/// # Errors
/// When the user is not one of the charm's.
pub fn get_password(hook: &Hook<'_>, params: GetPassword) -> Result<ActionResult, ActionError> {
    let name = params
        .username
        .unwrap_or_else(|| SystemUser::Operator.name().to_owned());
    let user = SystemUser::from_name(&name).ok_or_else(|| {
        let users = user_names(&SystemUser::ALL);
        refused(format!(
            "The action can be run only for system users or Patroni: {}, patroni not {name}",
            users.trim_end_matches(", patroni")
        ))
    })?;
    let facts = observe::juju::facts(hook.juju, None)?;
    let password = facts
        .passwords
        .as_ref()
        .and_then(|passwords| passwords.get(user))
        .cloned();
    let value = password.map_or_else(|| ResultValue::Plain("None".into()), ResultValue::Secret);
    Ok(ActionResult(vec![("password", value)]))
}

/// `set-password`: first the database, then the secret, whose change makes every unit write it into
/// Patroni's configuration. Should the charm die in between, the timer that is set before wakes a
/// hook, which brings the database back to the secret.
///
/// # Errors
/// When it may not or cannot be changed; then it is as it was.
pub fn set_password(hook: &Hook<'_>, params: SetPassword) -> Result<ActionResult, ActionError> {
    let mut facts = observe::juju::facts(hook.juju, None)?;
    if !facts.leader {
        return Err(refused("The action can be run only on leader unit"));
    }
    let name = params
        .username
        .unwrap_or_else(|| SystemUser::Operator.name().to_owned());
    let user = SystemUser::from_name(&name)
        .filter(|user| SystemUser::ROLES.contains(user))
        .ok_or_else(|| {
            refused(format!(
                "The action can be run only for system users: {} not {name}",
                user_names(&SystemUser::ROLES)
            ))
        })?;
    if facts.given.is_some() {
        return Err(refused(format!(
            "The passwords are those of the secret in option {SYSTEM_USERS}: change them by \
             `juju update-secret`, or reset the option first"
        )));
    }
    let password = match params.password {
        Some(password) => checked(password)?,
        None => hook.ports.random.password(),
    };
    let result = || ActionResult(vec![("password", ResultValue::Secret(password.clone()))]);
    let mut passwords = facts.passwords.clone().unwrap_or_default();
    if passwords.get(user).is_some_and(|old| same(old, &password)) {
        tracing::info!("The old and new passwords are equal.");
        return Ok(result());
    }
    reconcile::retry_later(hook);
    change(hook, &facts, user, &password)?;
    passwords.set(user, password.clone());
    hook.juju.store_passwords(&passwords)?;
    facts.passwords = Some(passwords);
    Ok(result())
}

fn change(
    hook: &Hook<'_>,
    facts: &JujuFacts,
    user: SystemUser,
    password: &SecretString,
) -> Result<(), ActionError> {
    let view = cluster::look(facts, hook.ports.members, false).filter(Cluster::all_ready);
    let view = view.ok_or_else(|| {
        refused("Failed changing the password: Not all members healthy or finished initial sync.")
    })?;
    let failed = || refused("Failed changing the password.");
    let primary = view
        .primary()
        .and_then(|p| p.member.clone())
        .ok_or_else(failed)?;
    let server = if primary == facts.me {
        Server::Own
    } else {
        let operator = facts
            .passwords
            .as_ref()
            .and_then(|p| p.get(SystemUser::Operator));
        Server::Host(
            facts.names.fqdn(&primary),
            operator.cloned().ok_or_else(failed)?,
        )
    };
    let statement = password_statement(user, password, &hook.ports.random.salt());
    hook.ports
        .database
        .execute(&server, &[statement])
        .map_err(|error| {
            tracing::error!(
                "cannot change the password of {}: {}",
                user.name(),
                error.chain()
            );
            let why = match error {
                PortError::Failed(_, source) => {
                    format!("PostgreSQL says: {}", crate::error_chain(&*source))
                }
                other => other.chain(),
            };
            refused(format!("Failed changing the password. {why}"))
        })
}

/// `promote-to-primary`, run on the unit that shall lead.
///
/// # Errors
/// When it can't take over.
pub fn promote_to_primary(hook: &Hook<'_>, params: &Promote) -> Result<ActionResult, ActionError> {
    match params.scope.as_deref() {
        Some("unit") if params.force => {
            return Err(refused("Superfluous force flag with unit scope"));
        }
        Some("unit") => {}
        Some("cluster") => return Err(not_yet("promote-to-primary with scope=cluster")),
        _ => return Err(refused("Scope should be either cluster or unit")),
    }
    let facts = observe::juju::facts(hook.juju, None)?;
    let failed = || refused("Switchover failed or timed out, check the logs for details");
    let view = cluster::look(&facts, hook.ports.members, false).ok_or_else(failed)?;
    let primary = view
        .primary()
        .and_then(|p| p.member.clone())
        .ok_or_else(failed)?;
    if primary == facts.me {
        return Ok(ActionResult::default());
    }
    let own = view
        .members
        .iter()
        .find(|m| m.member.as_ref() == Some(&facts.me));
    if !own.is_some_and(|m| m.role == cluster_plan::observed::Role::SyncStandby) {
        return Err(refused("Unit is not sync standby"));
    }
    let host = facts.names.host(&primary);
    let me = facts.me.to_string();
    hook.ports
        .members
        .switchover(&host, &primary.to_string(), Some(&me))
        .map_err(|error| {
            tracing::error!("{}", error.chain());
            failed()
        })?;
    Ok(ActionResult::default())
}

/// An action that this revision has by name only.
#[must_use]
pub fn not_yet(name: &str) -> ActionError {
    refused(format!(
        "{name} is not available in this revision of the charm yet"
    ))
}

fn refused(text: impl Into<String>) -> ActionError {
    ActionError::Refused(text.into())
}

fn checked(password: SecretString) -> Result<SecretString, ActionError> {
    match crate::secrets::check(&password) {
        Ok(()) => Ok(password),
        Err(why) => Err(refused(format!("The password {why}"))),
    }
}

fn same(a: &SecretString, b: &SecretString) -> bool {
    use secrecy::ExposeSecret;
    a.expose_secret() == b.expose_secret()
}
