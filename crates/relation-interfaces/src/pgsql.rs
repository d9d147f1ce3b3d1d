//! The legacy interface `pgsql`: connection strings in plain databags.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::{ExposeSecret, SecretString};

use crate::{Bag, RequestError, names, shown};

/// Most bytes that a client's databags may hold.
const MOST_BYTES: usize = 256 * 1024;
/// Most extensions that a client may ask for.
const MOST_EXTENSIONS: usize = 64;

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The database.
    pub database: String,
    /// Extensions as they are written, `name` or `name:schema`.
    pub extensions: Vec<String>,
}

impl Request {
    /// Names of the extensions.
    #[must_use]
    pub fn extension_names(&self) -> BTreeSet<&str> {
        self.extensions
            .iter()
            .map(|text| text.split(':').next().unwrap_or(text))
            .collect()
    }
}

/// Reads a client's databags: its application's, then those of its units, for what the first one
/// lacks. None before it names a database.
///
/// # Errors
/// When it asks for what it cannot have.
pub fn parse(app: &Bag, units: &BTreeMap<String, Bag>) -> Result<Option<Request>, RequestError> {
    let bytes: usize = std::iter::once(app)
        .chain(units.values())
        .flatten()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    if bytes > MOST_BYTES {
        return Err(RequestError::TooLarge(bytes, MOST_BYTES));
    }
    let find = |key: &str| {
        let bags = std::iter::once(app).chain(units.values());
        bags.filter_map(|bag| bag.get(key))
            .find(|value| !value.is_empty())
    };
    if app.get("roles").is_some_and(|roles| !roles.is_empty()) {
        return Err(RequestError::Legacy(
            "roles requested through relation, use postgresql_client interface instead",
        ));
    }
    let extensions = extensions(find("extensions").map_or("", String::as_str))?;
    let Some(database) = find("database") else {
        return Ok(None);
    };
    names::database("database", database)?;
    Ok(Some(Request {
        database: database.clone(),
        extensions,
    }))
}

fn extensions(text: &str) -> Result<Vec<String>, RequestError> {
    let key = "extensions";
    let found: Vec<String> = text
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    if found.len() > MOST_EXTENSIONS {
        return Err(RequestError::Type {
            key,
            wanted: "a list of 64 extensions or fewer",
            value: shown(text),
        });
    }
    for part in found.iter().flat_map(|entry| entry.split(':')) {
        names::role(key, part)?;
    }
    Ok(found)
}

/// What a client gets.
pub struct Answer<'a> {
    /// The request.
    pub request: &'a Request,
    /// Application at the other end, which the server's statistics then show.
    pub client: &'a str,
    /// Its user.
    pub user: String,
    /// The user's password.
    pub password: SecretString,
    /// Host name of the unit that answers.
    pub host: String,
    /// Host name where writes are taken.
    pub master: String,
    /// Host name of the replicas, where there are any.
    pub standbys: Option<String>,
    /// Port.
    pub port: u16,
    /// The server's version.
    pub version: String,
}

impl Answer<'_> {
    fn string(&self, host: &str) -> String {
        let port = self.port.to_string();
        [
            ("dbname", self.request.database.as_str()),
            ("fallback_application_name", self.client),
            ("host", host),
            ("password", self.password.expose_secret()),
            ("port", &port),
            ("user", &self.user),
        ]
        .map(|(key, value)| format!("{key}={}", quoted(value)))
        .join(" ")
    }
}

/// A value in a connection string, in quotes where it needs them.
fn quoted(value: &str) -> String {
    let plain = |c: char| !c.is_whitespace() && c != '\'' && c != '\\';
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// The keys of the databags, the application's and the leader's unit's; an empty value is a key to
/// be deleted. Clients wait until their unit is in `allowed-units`.
#[must_use]
pub fn answer(answer: &Answer<'_>, units: &BTreeMap<String, Bag>) -> Bag {
    let subnets: BTreeSet<&str> = units
        .values()
        .filter_map(|bag| bag.get("egress-subnets"))
        .flat_map(|text| text.split(','))
        .map(str::trim)
        .filter(|subnet| !subnet.is_empty())
        .collect();
    let list = |items: Vec<&str>| items.join(",");
    let standbys = answer.standbys.as_deref().map(|host| answer.string(host));
    [
        ("allowed-subnets", list(subnets.into_iter().collect())),
        (
            "allowed-units",
            list(units.keys().map(String::as_str).collect()),
        ),
        ("host", answer.host.clone()),
        ("master", answer.string(&answer.master)),
        ("standbys", standbys.unwrap_or_default()),
        ("port", answer.port.to_string()),
        ("user", answer.user.clone()),
        ("password", answer.password.expose_secret().to_owned()),
        ("database", answer.request.database.clone()),
        ("extensions", answer.request.extensions.join(",")),
        ("version", answer.version.clone()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}
