//! New credentials for a client while its old ones stay valid: it has two logins by turns, see
//! [`Login`]. The old one goes once every unit of the client has the new revision of its secret,
//! which Juju tells the leader by `secret-remove`, and no session of the old one is left. Where that
//! is not told, for the client takes no secrets or another unit led before, the old one goes when
//! only the new one has been in use for a while, or when the operator says so. That both are valid
//! is seen in the catalogue, so whoever leads goes on with it.

use std::collections::BTreeSet;

use cluster_plan::clients::{Client, Kind, Login, USER_MARK, end_sessions, identity, retire};
use relation_interfaces::Bag;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

use super::list::{ROLES, SESSIONS};
use super::memory;
use super::serve::{Trouble, failed, notes};
use super::{Clients, DATABASE, Known, Memory, Occasion, Relation};
use crate::handlers::actions::ActionError;
use crate::handlers::reconcile::{Wish, reconcile};
use crate::handlers::{HandlerError, Hook};
use crate::juju_port::{ActionResult, JujuError, JujuPort, ResultValue};
use crate::observe::{self, cluster};
use crate::ports::{Database, PortResult, Server};

/// Seconds for which only the new login has to be seen where nothing else tells that the client has
/// it: more than two of `update-status`, which wakes the leader for another look.
const QUIET: i64 = 660;

/// Parameters of `rotate-client-credentials`.
#[derive(Debug, Default, Deserialize)]
pub struct Rotate {
    /// Number of the relation.
    #[serde(rename = "relation-id")]
    pub relation: Option<Value>,
    /// No new credentials: the old ones go now.
    #[serde(rename = "retire-old", default)]
    pub retire_old: bool,
}

/// What an operator asks of a relation's credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// New ones.
    New,
    /// The old ones go, whoever uses them.
    RetireOld,
}

/// Username and password that a client has.
pub(super) type Credentials = (Option<String>, Option<SecretString>);

/// `rotate-client-credentials`.
///
/// # Errors
/// When it may not or cannot be done.
pub fn rotate(hook: &Hook<'_>, params: &Rotate) -> Result<ActionResult, ActionError> {
    if !hook.juju.is_leader()? {
        return Err(refused("The action can be run only on leader unit"));
    }
    let given = params
        .relation
        .as_ref()
        .ok_or_else(|| refused("relation-id is missing: list-clients tells it"))?;
    let number = given.as_u64().ok_or_else(|| {
        refused(format!(
            "relation-id={given} is not allowed, use the number that list-clients tells"
        ))
    })?;
    let id = format!("{DATABASE}:{number}");
    if !hook.juju.relation_ids(DATABASE)?.contains(&id) {
        return Err(refused(format!(
            "there is no relation {id}; credentials of db and db-admin change with their relation"
        )));
    }
    let before = logins(hook, number)?;
    let both = before.iter().any(|a| {
        let same = |b: &&String| identity(a) == identity(b);
        before.iter().filter(same).count() > 1
    });
    if before.is_empty() {
        return Err(refused(format!("{id} has no credentials yet")));
    }
    let turn = match (params.retire_old, both) {
        (false, true) => {
            return Err(refused(format!(
                "the old credentials of {id} are still valid, for its client has not taken the new \
                 ones up: retire-old=true ends them"
            )));
        }
        (true, false) => {
            return Err(refused(format!(
                "{id} has no old credentials that are valid"
            )));
        }
        (false, false) => Turn::New,
        (true, true) => Turn::RetireOld,
    };
    let clients = Occasion {
        relation: Some(&id),
        turn: Some(turn),
        ..Occasion::default()
    };
    let wish = Wish {
        clients,
        ..Wish::default()
    };
    reconcile(hook, wish).map_err(|error| match error {
        HandlerError::Juju(error) => ActionError::Juju(error),
        other => refused(crate::error_chain(&other)),
    })?;
    let after = logins(hook, number)?;
    if after == before {
        return Err(refused(format!(
            "the credentials of {id} are as they were: see the unit's status and log"
        )));
    }
    let plain = |text: String| ResultValue::Plain(text);
    Ok(ActionResult(vec![
        ("relation", plain(id)),
        ("logins", plain(after.join(","))),
    ]))
}

/// The logins of a relation's users that are valid.
fn logins(hook: &Hook<'_>, number: u64) -> Result<Vec<String>, ActionError> {
    let facts = observe::juju::facts(hook.juju, None)?;
    let server = cluster::look(&facts, hook.ports.members, false)
        .and_then(|view| view.primary().and_then(|p| p.member.clone()))
        .and_then(|member| super::list::server(&facts, &member))
        .ok_or_else(|| refused("there is no primary"))?;
    let mut names = valid(hook.ports.database, &server).map_err(|error| refused(error.chain()))?;
    names.retain(|name| cluster_plan::clients::relation_of(name) == Some(number));
    Ok(names)
}

/// The logins of all clients' users that are valid, by name.
fn valid(database: &dyn Database, server: &Server) -> PortResult<Vec<String>> {
    let rows = database.look(server, ROLES, &[USER_MARK])?;
    let names = rows.into_iter().filter_map(|row| {
        let mut cells = row.into_iter().flatten();
        let (name, login) = (cells.next()?, cells.next()?);
        (login == "true").then_some(name)
    });
    Ok(names.collect())
}

fn refused(text: impl Into<String>) -> ActionError {
    ActionError::Refused(text.into())
}

/// A revision of an own secret has gone: whether a client may now have taken its new credentials.
///
/// # Errors
/// When Juju refuses.
pub fn revision_gone(juju: &dyn JujuPort, label: &str, revision: u64) -> Result<bool, JujuError> {
    if !label.starts_with(DATABASE) || !juju.is_leader()? {
        return Ok(false);
    }
    let before = juju.memory(memory::KEY)?;
    let mut known = Memory::parse(before.as_deref());
    let taken = known.revision_gone(label, revision);
    let now = known.text();
    if before.is_some_and(|before| before != now) {
        juju.remember(memory::KEY, &now)?;
    }
    Ok(taken)
}

impl Clients<'_> {
    /// What the client has of credentials, from its secret or its databag.
    pub(super) fn credentials(
        &self,
        label: &str,
        entity: bool,
        own: &Bag,
    ) -> Result<Credentials, JujuError> {
        let (name, password) = if entity {
            ("entity-name", "entity-password")
        } else {
            ("username", "password")
        };
        Ok(match self.juju.shared_secret(label)? {
            Some(content) => (
                content.get(name).map(|n| n.expose_secret().to_owned()),
                content.get(password).cloned(),
            ),
            None => (
                own.get(name).cloned(),
                own.get(password).map(|p| SecretString::from(p.clone())),
            ),
        })
    }

    /// Provides a client by the login that it has, or by the other one where its credentials are to
    /// be rotated.
    pub(super) fn rotated(
        &self,
        relation: &Relation,
        client: &mut Client,
        (label, (name, known)): (&str, Credentials),
        now: &mut Known,
    ) -> Result<(SecretString, String, bool), Trouble> {
        if name.is_some_and(|name| name == Login::Second.of(&client.user)) {
            client.login = Login::Second;
        }
        if self.turn(relation) != Some(Turn::New) || known.is_none() || client.kind == Kind::Group {
            return self.provide(relation, client, known.as_ref());
        }
        client.login = client.login.other();
        let provided = self.provide(relation, client, None)?;
        now.turning.remove(label);
        // Without a secret nothing tells what the client has taken.
        if let Some(revision) = self.juju.secret_revision(label)? {
            let revisions = now.revisions.entry(label.to_owned()).or_default();
            revisions.turn(revision);
        }
        tracing::info!("{}: new credentials of {}", relation.id, client.user);
        Ok(provided)
    }

    fn turn(&self, relation: &Relation) -> Option<Turn> {
        let named = self.occasion.relation == Some(relation.id.as_str());
        self.occasion.turn.filter(|_| named)
    }

    /// Takes the old credentials away, if the client has the new ones and uses the old no more.
    pub(super) fn retire_old(
        &self,
        relation: &Relation,
        client: &Client,
        (label, users): (&str, &[&String]),
        now: &mut Known,
    ) -> Result<(), Trouble> {
        let forced = self.turn(relation) == Some(Turn::RetireOld);
        let old = client.login.other();
        let name = old.of(&client.user);
        let there = users.iter().any(|user| **user == name);
        let logs_in = || Ok(valid(self.ports.database, &self.server)?.contains(&name));
        let failed = |error| failed(&relation.endpoint, error);
        if !there || !logs_in().map_err(failed)? {
            now.turning.remove(label);
            if let Some(revisions) = now.revisions.get_mut(label) {
                revisions.old = None;
            }
            return Ok(());
        }
        let known = now.revisions.get(label).cloned().unwrap_or_default();
        let new = client.login.of(&client.user);
        let unused = || !self.in_use(&name);
        let begins = !now.turning.contains_key(label);
        now.turning.entry(label.to_owned()).or_default();
        let goes = forced
            || (known.taken() && unused())
            || (!known.tells() && self.only_new(label, (&new, &name), now));
        if !goes {
            if begins {
                tracing::info!("{}: {name} may log in beside {new} still", relation.id);
            }
            return Ok(());
        }
        now.turning.remove(label);
        let databases = match old {
            Login::Own => Vec::new(),
            Login::Second => self.owned(&name).map_err(failed)?,
        };
        let databases: Vec<String> = databases.into_iter().map(|place| place.database).collect();
        if forced {
            self.run(&end_sessions(&name), None).map_err(failed)?;
            self.end_elsewhere(&name);
        }
        for batch in retire(&client.user, old, &databases) {
            tracing::info!("{}: {}", relation.id, notes(&batch));
            self.run(&batch, None).map_err(failed)?;
        }
        if let Some(revisions) = now.revisions.get_mut(label) {
            revisions.old = None;
        }
        Ok(())
    }

    /// The users that have sessions open; none where some member does not answer.
    fn in_session(&self) -> Option<BTreeSet<String>> {
        let mut users = BTreeSet::new();
        for server in std::iter::once(&self.server).chain(&self.standbys) {
            match self.ports.database.look(server, SESSIONS, &[]) {
                Ok(rows) => users.extend(rows.into_iter().filter_map(|r| r.into_iter().next()?)),
                Err(error) => {
                    tracing::warn!("cannot see who is logged in: {}", error.chain());
                    return None;
                }
            }
        }
        Some(users)
    }

    /// A session of this login is open somewhere, or may be.
    fn in_use(&self, login: &str) -> bool {
        self.in_session().is_none_or(|users| users.contains(login))
    }

    /// For [`QUIET`] seconds every look has found sessions of the new login and none of the old.
    fn only_new(&self, label: &str, (new, old): (&str, &str), now: &mut Known) -> bool {
        let seen = self.in_session();
        if !seen.is_some_and(|users| users.contains(new) && !users.contains(old)) {
            now.turning.insert(label.to_owned(), None);
            return false;
        }
        let time = self.ports.clock.now();
        let since = now.turning.entry(label.to_owned()).or_default();
        time - *since.get_or_insert(time) >= QUIET
    }

    /// Ends a login's sessions on the standbys, as far as these answer.
    pub(super) fn end_elsewhere(&self, login: &str) {
        for server in &self.standbys {
            let statements: Vec<SecretString> = end_sessions(login)
                .statements
                .iter()
                .filter_map(|statement| match &statement.sql {
                    cluster_plan::roles::Sql::Text(text) => Some(text.clone().into()),
                    _ => None,
                })
                .collect();
            let postgres = cluster_plan::clients::POSTGRES;
            let done = self.ports.database.run(server, postgres, true, &statements);
            if let Err(error) = done {
                tracing::warn!(
                    "sessions of {login} may be left on a standby: {}",
                    error.chain()
                );
            }
        }
    }
}
