//! One relation of `database`: from its request to its answer.

use std::collections::{BTreeMap, BTreeSet};

use cluster_plan::clients::{
    Batch, Client, Grant, Kind, Login, Refusal, check, identity, remove, serve, user_name,
};
use cluster_plan::roles::Sql;
use juju::SecretContent;
use relation_interfaces::postgresql_client::{
    self as interface, Answer, Ask, Group, Request, SecretIds, Told, Version, answer, parse,
    secret_content, secret_label,
};
use relation_interfaces::{Bag, RequestError};
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use super::{Clients, Known, Relation, shortened};
use crate::apply::verifier_statement;
use crate::juju_port::{Content, JujuError};
use crate::ports::{PortError, PortResult};

/// Why a request is not served.
pub(super) enum Trouble {
    /// For a reason of its own, which its client has to see to.
    Own(String),
    /// The database refuses what should work: it is tried again.
    Failed(String),
    /// Something is not there yet: it is tried again, and nobody has to do anything.
    Waits(String),
    /// The database is out of reach: so it is for all others.
    Away(PortError),
    Juju(JujuError),
}

impl From<JujuError> for Trouble {
    fn from(error: JujuError) -> Self {
        Self::Juju(error)
    }
}

/// Code of a status that the client is told: from 5000 on, only a new relation helps.
const REFUSED: u32 = 5001;

impl Clients<'_> {
    /// Serves a relation whose users are `users`: what is to be remembered of it.
    pub(super) fn relation(
        &self,
        relation: &Relation,
        known: &Known,
        users: &[&String],
    ) -> Result<PortResult<Known>, JujuError> {
        let app = self.juju.remote_app(&relation.id)?;
        let asked = if app.is_empty() {
            Ok(None)
        } else {
            parse(&self.juju.relation_bag(&relation.id, &app)?)
        };
        let mut now = Known {
            secrets: known.secrets.clone(),
            revisions: known.revisions.clone(),
            turning: known.turning.clone(),
            ..Known::default()
        };
        match asked {
            Ok(None) => {}
            Err(error) => self.tell(relation, &mut now, &[error.to_string()])?,
            Ok(Some(ask)) => {
                if let Err(error) = self.requests(relation, &ask, users, &mut now)? {
                    return Ok(Err(error));
                }
            }
        }
        Ok(Ok(now))
    }

    fn requests(
        &self,
        relation: &Relation,
        ask: &Ask,
        users: &[&String],
        now: &mut Known,
    ) -> Result<PortResult<()>, JujuError> {
        let own = self
            .juju
            .relation_bag(&relation.id, self.juju.application())?;
        let mut wrong = Vec::new();
        let mut served: Vec<(Request, Answer, SecretIds)> = Vec::new();
        for asked in &ask.requests {
            let (request, change) = match settled(ask.version, asked, &own) {
                Ok(found) => found,
                Err(error) => {
                    wrong.push(self.said(&error));
                    continue;
                }
            };
            wrong.extend(change);
            match self.request(relation, &request, &own, users, now) {
                Ok((answer, secrets)) => served.push((request, answer, secrets)),
                Err(Trouble::Juju(error)) => return Err(error),
                Err(Trouble::Away(error)) => return Ok(Err(error)),
                Err(Trouble::Own(why)) => wrong.push(why),
                Err(Trouble::Waits(why)) => {
                    tracing::info!("{} waits: {why}", relation.id);
                    now.unsettled = true;
                    now.waits = Some(shortened(&why));
                }
                Err(Trouble::Failed(why)) => {
                    now.unsettled = true;
                    wrong.push(why);
                }
            }
        }
        now.users = served
            .iter()
            .flat_map(|(_, a, _)| {
                BTreeSet::from([identity(&a.username).to_owned(), a.username.clone()])
            })
            .collect();
        // A list with one missing would take that one's answer back.
        if !served.is_empty() && !now.unsettled {
            let told: Vec<Told<'_>> = served
                .iter()
                .map(|(request, answer, secrets)| Told {
                    request,
                    answer,
                    secrets,
                })
                .collect();
            for (key, value) in answer(ask.version, &told) {
                let app = self.juju.application();
                self.juju.set_relation(&relation.id, app, &key, &value)?;
            }
        }
        // Who waits keeps what it has.
        if wrong.is_empty()
            && now.waits.is_none()
            && let Err(error) = self.withdraw(relation, &served, users, now)?
        {
            return Ok(Err(error));
        }
        self.tell(relation, now, &wrong)?;
        Ok(Ok(()))
    }

    /// What is said of a request that cannot be understood: a name of a database in the words that
    /// clients of this version's track know.
    fn said(&self, error: &RequestError) -> String {
        match error {
            RequestError::Name {
                key: "database",
                value,
                why,
            } if self.predefined => {
                Refusal::DatabaseName([value.as_str(), why].join(": ")).to_string()
            }
            _ => error.to_string(),
        }
    }

    /// Removes what earlier requests of the relation left.
    fn withdraw(
        &self,
        relation: &Relation,
        served: &[(Request, Answer, SecretIds)],
        users: &[&String],
        now: &mut Known,
    ) -> Result<PortResult<()>, JujuError> {
        for user in users {
            if !served
                .iter()
                .any(|(_, answer, _)| identity(&answer.username) == identity(user))
                && let Err(error) = self.remove(user)
            {
                return Ok(Err(error));
            }
        }
        let label = |request: &Request, group| {
            secret_label(&relation.endpoint, relation.number, request, group)
        };
        let mine = |name: &String| {
            let mut own = served.iter().map(|(request, ..)| request);
            own.any(|request| {
                Group::ALL
                    .iter()
                    .any(|group| label(request, *group) == *name)
            })
        };
        now.turning.retain(|name, _| mine(name));
        let kept: Vec<String> = served
            .iter()
            .flat_map(|(request, _, ids)| ids.keys().map(|group| label(request, *group)))
            .collect();
        for label in std::mem::take(&mut now.secrets) {
            if !kept.contains(&label) {
                self.juju.forget_secret(&label)?;
            }
        }
        now.revisions.retain(|label, _| kept.contains(label));
        now.secrets = kept;
        Ok(Ok(()))
    }

    fn request(
        &self,
        relation: &Relation,
        request: &Request,
        own: &Bag,
        users: &[&String],
        now: &mut Known,
    ) -> Result<(Answer, SecretIds), Trouble> {
        now.external |= request.external;
        let (endpoints, read_only_endpoints) = self.endpoints(request.external)?;
        let mut client = self
            .client(relation, request, own)
            .map_err(|error| failed(&relation.endpoint, error))?;
        now.prefix |= request.kind == interface::Kind::Prefix;
        let label = |group| secret_label(&relation.endpoint, relation.number, request, group);
        let entity = matches!(client.kind, Kind::User | Kind::Group);
        let group = if entity { Group::Entity } else { Group::User };
        let credentials = self.credentials(&label(group), entity, own)?;
        let (password, version, made) =
            self.rotated(relation, &mut client, (&label(group), credentials), now)?;
        now.made |= made;
        let answer = Answer {
            username: client.login.of(&client.user),
            password,
            endpoints,
            read_only_endpoints,
            tls_ca: self.terms.tls_ca.clone(),
            version,
            databases: match &client.kind {
                Kind::Prefix(databases) => databases.iter().cloned().collect(),
                _ => Vec::new(),
            },
        };
        let mut ids = SecretIds::new();
        for group in Group::ALL {
            let content = secret_content(request, &answer, group);
            if content.is_empty() {
                continue;
            }
            let content = content
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect();
            let label = label(group);
            let told = own.get(&format!("secret-{}", group.name()));
            let id = match told {
                // Its id went into the databag with the grant, in one transaction.
                Some(id) if self.holds(&label, &content)? => id.clone(),
                _ => self.juju.share_secret(&label, &relation.id, &content)?,
            };
            ids.insert(group, id);
            if !now.secrets.contains(&label) {
                now.secrets.push(label);
            }
        }
        self.retire_old(relation, &client, (&label(group), users), now)?;
        Ok((answer, ids))
    }

    /// Where writes and reads are taken, as a client within Kubernetes or outside reaches it.
    fn endpoints(&self, external: bool) -> Result<(String, String), Trouble> {
        if !external {
            let terms = &self.terms;
            return Ok((terms.endpoints.clone(), terms.read_only_endpoints.clone()));
        }
        let way = self.external.way();
        let way = way.map_err(|why| Trouble::Waits(why.to_owned()))?;
        Ok((way.endpoints.clone(), way.read_only_endpoints.clone()))
    }

    /// A secret has this content.
    fn holds(&self, label: &str, content: &Content) -> Result<bool, JujuError> {
        let secret = |content: Content| content.into_iter().collect::<SecretContent>();
        let now = self.juju.shared_secret(label)?.map(secret);
        Ok(now.is_some_and(|now| now.same(&secret(content.clone()))))
    }

    /// The client that a request is about.
    fn client(&self, relation: &Relation, request: &Request, own: &Bag) -> PortResult<Client> {
        let kind = match request.kind {
            interface::Kind::Database => Kind::Owner,
            interface::Kind::Prefix => Kind::Prefix(self.prefixed(&request.database)?),
            interface::Kind::User => Kind::User,
            interface::Kind::Group => Kind::Group,
        };
        let version = match request.id {
            Some(_) => Version::V1,
            None => Version::V0,
        };
        let before = answered(version, request.id.as_deref(), own);
        let before = before.and_then(|before| again(version, &before));
        let grants = |request: &Request| -> BTreeSet<Grant> {
            request.permissions.iter().map(grant).collect()
        };
        let now = grants(request);
        let withdrawn = before.as_ref().map(grants).unwrap_or_default();
        Ok(Client {
            user: user_name(relation.number, request.id.as_deref()),
            login: Login::Own,
            database: request.database.clone(),
            roles: request.roles.clone(),
            kind,
            withdrawn: withdrawn.difference(&now).cloned().collect(),
            grants: now,
        })
    }

    /// Makes a client's user and database as they must be: its password, the server's version, and
    /// whether a database was made.
    pub(super) fn provide(
        &self,
        relation: &Relation,
        client: &Client,
        known: Option<&SecretString>,
    ) -> Result<(SecretString, String, bool), Trouble> {
        let failed = |error| failed(&relation.endpoint, error);
        let catalogue = self.catalogue(client, known).map_err(failed)?;
        check(client, &catalogue).map_err(|refusal| Trouble::Own(refusal.to_string()))?;
        if catalogue.user.is_none() && client.has("createrole") {
            tracing::warn!("{}: {}", relation.id, createrole(&catalogue.version));
        }
        let password = self.password(known);
        // Of what is granted within a database the catalogue of another does not tell.
        let made = known.is_some() && self.turning.contains(&relation.number);
        let batches = (!made).then(|| serve(client, &catalogue));
        for batch in batches.into_iter().flatten() {
            tracing::info!("{}: {}", relation.id, notes(&batch));
            self.run(&batch, Some(&password)).map_err(failed)?;
        }
        let made = client.kind == Kind::Owner && catalogue.database.is_none();
        Ok((password, catalogue.version, made))
    }

    /// Removes a user that no relation has any more. A database that refuses keeps no other one back.
    pub(super) fn remove(&self, user: &str) -> PortResult<()> {
        let mut refused = None;
        for batch in remove(user, &self.owned(user)?) {
            tracing::info!("relation of {user} is gone: {}", notes(&batch));
            match self.run(&batch, None) {
                Err(PortError::Failed(what, source)) if refused.is_none() => {
                    refused = Some(PortError::Failed(
                        format!("{what} in database {}", batch.database),
                        source,
                    ));
                }
                Err(PortError::Failed(..)) | Ok(()) => {}
                away => return away,
            }
        }
        self.end_elsewhere(user);
        refused.map_or(Ok(()), Err)
    }

    pub(super) fn run(&self, batch: &Batch, password: Option<&SecretString>) -> PortResult<()> {
        let texts: Vec<SecretString> = batch
            .statements
            .iter()
            .filter_map(|statement| match &statement.sql {
                Sql::Text(text) => Some(text.clone().into()),
                Sql::ClientPassword(user) => {
                    password.map(|p| verifier_statement(user, p, &self.ports.random.salt()))
                }
                // The charm's own users are not in these batches.
                Sql::Password(_) => None,
            })
            .collect();
        self.ports
            .database
            .run(&self.server, &batch.database, batch.transaction, &texts)
    }

    /// Tells what is wrong: the client in the databag, the operator by what is remembered.
    pub(super) fn tell(
        &self,
        relation: &Relation,
        now: &mut Known,
        wrong: &[String],
    ) -> Result<(), JujuError> {
        let text = wrong.join("; ");
        let status = if text.is_empty() {
            String::new()
        } else {
            tracing::warn!("{}: {text}", relation.id);
            json!([{
                "code": REFUSED,
                "message": text,
                "resolution": "correct the request and relate again",
            }])
            .to_string()
        };
        now.problem = (!text.is_empty()).then(|| shortened(&text));
        let app = self.facts.names.app();
        self.juju.set_relation(&relation.id, app, "status", &status)
    }
}

pub(super) fn failed(endpoint: &str, error: PortError) -> Trouble {
    match error {
        PortError::Unreachable(..) => Trouble::Away(error),
        other => Trouble::Failed(format!(
            "Failed to initialize {endpoint} relation: {}",
            other.chain()
        )),
    }
}

/// What a client that may make roles can do beyond that.
fn createrole(version: &str) -> &'static str {
    let major: u32 = version
        .split('.')
        .next()
        .and_then(|major| major.parse().ok())
        .unwrap_or_default();
    if major < 16 {
        "createrole lets this client act as every role that is no superuser, and with \
         pg_execute_server_program run programs as postgres: trust it as you trust operator"
    } else {
        "createrole lets this client make roles and change those that it has made"
    }
}

fn grant(permission: &interface::Permission) -> Grant {
    Grant {
        on: permission.on,
        name: permission.name.clone(),
        privileges: permission.privileges.clone(),
    }
}

pub(super) fn notes(batch: &Batch) -> String {
    let notes: Vec<&str> = batch.statements.iter().map(|s| s.note.as_str()).collect();
    notes.join("; ")
}

/// The request to go by: the one made now, or, where it has changed what may not change, the one
/// that was answered, with what is to be said of it.
fn settled(
    version: Version,
    asked: &Result<Request, RequestError>,
    own: &Bag,
) -> Result<(Request, Option<String>), RequestError> {
    let before = answered(
        version,
        asked.as_ref().ok().and_then(|r| r.id.as_deref()),
        own,
    );
    let (Some(before), error) = (&before, asked.as_ref().err().cloned()) else {
        return asked.clone().map(|request| (request, None));
    };
    let change = match (asked, error) {
        (Ok(request), _) => request.same_as(before).err(),
        (Err(_), error) => error,
    };
    let Some(change) = change else {
        return asked.clone().map(|request| (request, None));
    };
    match again(version, before) {
        Some(request) => Ok((request, Some(change.to_string()))),
        None => Err(change),
    }
}

/// The request that the databag's `data` says was answered; none before there was an answer.
fn answered(version: Version, id: Option<&str>, own: &Bag) -> Option<Map<String, Value>> {
    let data: Map<String, Value> = serde_json::from_str(own.get("data")?).ok()?;
    match version {
        Version::V0 => {
            let keys = ["secret-user", "username", "secret-entity", "entity-name"];
            keys.iter()
                .any(|key| own.contains_key(*key))
                .then_some(data)
        }
        Version::V1 => match data.get(id?) {
            Some(Value::Object(request)) => Some(request.clone()),
            _ => None,
        },
    }
}

fn again(version: Version, before: &Map<String, Value>) -> Option<Request> {
    let bag: BTreeMap<String, String> = match version {
        Version::V0 => before
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect(),
        Version::V1 => [
            ("version".to_owned(), "v1".to_owned()),
            ("requests".to_owned(), json!([before]).to_string()),
        ]
        .into(),
    };
    parse(&bag).ok()??.requests.into_iter().next()?.ok()
}
