//! What a client asks for.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::permissions;
use crate::{Bag, RequestError, names, shown};

/// Most bytes that a client's databag may hold.
pub const MOST_BYTES: usize = 256 * 1024;
/// Most requests in one relation.
const MOST_REQUESTS: usize = 32;
/// Most roles that one client may ask for.
const MOST_ROLES: usize = 32;

/// Version of the interface that a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// Keys of the databag.
    V0,
    /// A list of requests.
    V1,
}

/// A relation's requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// How they were written, and how they are answered.
    pub version: Version,
    /// One in v0. In v1 a bad one does not stop the others.
    pub requests: Vec<Result<Request, RequestError>>,
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// A database, and a user that may do all in it.
    #[default]
    Database,
    /// A user in the databases whose names begin so.
    Prefix,
    /// A user that has in the database what it asks for, and no more.
    User,
    /// A role that nobody logs in as, for others to be members of.
    Group,
}

/// A permission that a user or group asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// `TABLE`, `SEQUENCE`, `SCHEMA` or `DATABASE`.
    pub on: &'static str,
    /// The parts of the object's name.
    pub name: Vec<String>,
    /// SQL's words.
    pub privileges: BTreeSet<&'static str>,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Id in v1.
    pub id: Option<String>,
    /// The client's salt in v1, which its answer repeats.
    pub salt: Option<String>,
    /// What it is for.
    pub kind: Kind,
    /// The database, or the beginning of the databases' names.
    pub database: String,
    /// What a user or group may do.
    pub permissions: BTreeSet<Permission>,
    /// Roles beyond those of any client: lower-case.
    pub roles: BTreeSet<String>,
    /// Fields that the client takes from secrets; none if it knows no secrets.
    pub secrets: Option<BTreeSet<String>>,
    /// The client is outside the cluster's network.
    pub external: bool,
    /// The request as it was written, for the answer's `data`.
    pub written: Map<String, Value>,
}

impl Request {
    /// Whether the client takes this field from a secret.
    #[must_use]
    pub fn secret(&self, field: &str) -> bool {
        self.secrets.as_ref().is_some_and(|s| s.contains(field))
    }

    /// What may not change in a relation that is served: these, as they were asked for before.
    ///
    /// # Errors
    /// Names the key that has changed.
    pub fn same_as(&self, before: &Map<String, Value>) -> Result<(), RequestError> {
        let text = |map: &Map<String, Value>, key: &str| match map.get(key) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => String::new(),
            Some(other) => other.to_string(),
        };
        for key in [
            "database",
            "resource",
            "extra-user-roles",
            "entity-type",
            "extra-group-roles",
            "prefix-matching",
        ] {
            if text(before, key) != text(&self.written, key) {
                return Err(RequestError::Name {
                    key,
                    value: shown(&text(&self.written, key)),
                    why: "it cannot change in a relation that is served: relate again",
                });
            }
        }
        Ok(())
    }
}

/// Reads a client's databag; none before it asks for anything.
///
/// # Errors
/// When the databag as a whole makes no sense.
pub fn parse(bag: &Bag) -> Result<Option<Ask>, RequestError> {
    let bytes: usize = bag.iter().map(|(key, value)| key.len() + value.len()).sum();
    if bytes > MOST_BYTES {
        return Err(RequestError::TooLarge(bytes, MOST_BYTES));
    }
    match bag.get("version").map(String::as_str) {
        Some("v1") => v1(bag),
        None | Some("v0" | "") => Ok(v0(bag)),
        Some(other) => Err(RequestError::Type {
            key: "version",
            wanted: "v0 or v1",
            value: shown(other),
        }),
    }
}

fn v0(bag: &Bag) -> Option<Ask> {
    if !bag.contains_key("database") && !bag.contains_key("entity-type") {
        return None;
    }
    // JSON in the databag is text there, and stays text in what is repeated.
    let written: Map<String, Value> = bag
        .iter()
        .filter(|(key, _)| key.as_str() != "data")
        .map(|(key, value)| (key.clone(), Value::String(value.clone())))
        .collect();
    Some(Ask {
        version: Version::V0,
        requests: vec![v0_request(written)],
    })
}

fn v0_request(written: Map<String, Value>) -> Result<Request, RequestError> {
    let mut request = common(&written, "database")?;
    if let Some(text) = string(&written, "requested-secrets")? {
        request.secrets = Some(fields(text)?);
    }
    request.external = match string(&written, "external-node-connectivity")? {
        None => false,
        Some(text) => boolean(text)?,
    };
    request.written = written;
    Ok(request)
}

fn v1(bag: &Bag) -> Result<Option<Ask>, RequestError> {
    let Some(text) = bag.get("requests").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let wrong = |wanted| RequestError::Type {
        key: "requests",
        wanted,
        value: shown(text),
    };
    let Ok(Value::Array(list)) = serde_json::from_str(text) else {
        return Err(wrong("a JSON list of requests"));
    };
    if list.len() > MOST_REQUESTS {
        return Err(wrong("a list of 32 requests or fewer"));
    }
    if list.is_empty() {
        return Ok(None);
    }
    let mut seen = BTreeSet::new();
    let mut requests = Vec::new();
    for entry in list {
        let Value::Object(written) = entry else {
            return Err(wrong("a JSON list of objects"));
        };
        let request = v1_request(written);
        if let Ok(request) = &request
            && !seen.insert(request.id.clone())
        {
            return Err(wrong("a list in which each request-id comes once"));
        }
        requests.push(request);
    }
    Ok(Some(Ask {
        version: Version::V1,
        requests,
    }))
}

fn v1_request(mut written: Map<String, Value>) -> Result<Request, RequestError> {
    let mut request = common(&written, "resource")?;
    let id = string(&written, "request-id")?.ok_or(RequestError::Name {
        key: "request-id",
        value: shown(""),
        why: "it is missing",
    })?;
    names::request_id("request-id", id)?;
    request.id = Some(id.to_owned());
    request.salt = string(&written, "salt")?.map(str::to_owned);
    if request.salt.as_ref().is_some_and(|salt| salt.len() > 256) {
        return Err(RequestError::Type {
            key: "salt",
            wanted: "256 bytes or fewer",
            value: shown(request.salt.as_deref().unwrap_or_default()),
        });
    }
    request.external = match written.get("external-node-connectivity") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(external)) => *external,
        Some(Value::String(text)) => boolean(text)?,
        Some(other) => return Err(wrong("external-node-connectivity", "true or false", other)),
    };
    // Every client of v1 takes all of them from secrets.
    let all = [
        "username",
        "password",
        "uris",
        "read-only-uris",
        "tls",
        "tls-ca",
        "entity-name",
        "entity-password",
    ];
    request.secrets = Some(all.map(str::to_owned).into());
    // What is secret is not repeated, and what is not set needs no repeating.
    written.retain(|key, value| {
        !value.is_null()
            && !matches!(
                key.as_str(),
                "mtls-cert" | "entity-name" | "entity-password" | "password" | "data"
            )
    });
    request.written = written;
    Ok(request)
}

/// What both versions have, `name` being the key of the database's name.
fn common(written: &Map<String, Value>, name: &'static str) -> Result<Request, RequestError> {
    let kind = kind(written)?;
    let text = string(written, name)?.unwrap_or_default();
    let database = match kind {
        Kind::Prefix => text.strip_suffix('*').ok_or_else(|| RequestError::Name {
            key: name,
            value: shown(text),
            why: "with prefix-matching it ends in *",
        })?,
        _ => text,
    };
    names::database(name, database)?;
    let (key, other) = match kind {
        Kind::Group => ("extra-group-roles", "extra-user-roles"),
        _ => ("extra-user-roles", "extra-group-roles"),
    };
    if string(written, other)?.is_some_and(|text| !text.is_empty()) {
        return Err(RequestError::Unserved(match kind {
            Kind::Group => "a group with extra-user-roles",
            _ => "a user with extra-group-roles",
        }));
    }
    let permissions = permissions::parse(written.get("entity-permissions"), database)?;
    if !permissions.is_empty() && !matches!(kind, Kind::User | Kind::Group) {
        return Err(RequestError::Unserved(
            "entity-permissions without an entity-type",
        ));
    }
    Ok(Request {
        id: None,
        salt: None,
        kind,
        database: database.to_owned(),
        permissions,
        roles: roles(key, string(written, key)?.unwrap_or_default())?,
        secrets: None,
        external: false,
        written: Map::new(),
    })
}

fn kind(written: &Map<String, Value>) -> Result<Kind, RequestError> {
    let entity = string(written, "entity-type")?.unwrap_or_default();
    let prefix = string(written, "prefix-matching")?.unwrap_or_default();
    match (entity, prefix) {
        ("", "") => Ok(Kind::Database),
        ("", "all" | "only-existing") => Ok(Kind::Prefix),
        ("", other) => Err(RequestError::Type {
            key: "prefix-matching",
            wanted: "all or only-existing",
            value: shown(other),
        }),
        ("USER", "") => Ok(Kind::User),
        ("GROUP", "") => Ok(Kind::Group),
        ("USER" | "GROUP", _) => Err(RequestError::Unserved(
            "prefix-matching with an entity-type",
        )),
        (other, _) => Err(RequestError::Type {
            key: "entity-type",
            wanted: "USER or GROUP",
            value: shown(other),
        }),
    }
}

fn roles(key: &'static str, text: &str) -> Result<BTreeSet<String>, RequestError> {
    let mut found = BTreeSet::new();
    for name in text.split(',').map(str::trim).filter(|n| !n.is_empty()) {
        names::role(key, name)?;
        found.insert(name.to_ascii_lowercase());
        if found.len() > MOST_ROLES {
            return Err(RequestError::Type {
                key,
                wanted: "a list of 32 roles or fewer",
                value: shown(text),
            });
        }
    }
    Ok(found)
}

fn fields(text: &str) -> Result<BTreeSet<String>, RequestError> {
    serde_json::from_str(text).map_err(|_| RequestError::Type {
        key: "requested-secrets",
        wanted: "a JSON list of names",
        value: shown(text),
    })
}

fn boolean(text: &str) -> Result<bool, RequestError> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" | "" => Ok(false),
        _ => Err(RequestError::Type {
            key: "external-node-connectivity",
            wanted: "true or false",
            value: shown(text),
        }),
    }
}

fn string<'a>(
    written: &'a Map<String, Value>,
    key: &'static str,
) -> Result<Option<&'a str>, RequestError> {
    match written.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(wrong(key, "text", other)),
    }
}

fn wrong(key: &'static str, wanted: &'static str, value: &Value) -> RequestError {
    RequestError::Type {
        key,
        wanted,
        value: shown(&value.to_string()),
    }
}
