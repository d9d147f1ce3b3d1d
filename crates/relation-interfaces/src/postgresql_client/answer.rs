//! What the provider answers.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use super::request::{Kind, Request, Version};
use crate::Bag;

/// What a client gets.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its user.
    pub username: String,
    /// The user's password.
    pub password: SecretString,
    /// `host:port` where writes are taken.
    pub endpoints: String,
    /// `host:port` for reads.
    pub read_only_endpoints: String,
    /// The certificate authority, where the server speaks TLS.
    pub tls_ca: Option<String>,
    /// The server's version.
    pub version: String,
    /// The databases that a prefix leads to.
    pub databases: Vec<String>,
}

impl Answer {
    fn uri(&self, endpoint: &str, database: &str) -> String {
        format!(
            "postgresql://{}:{}@{endpoint}/{}",
            encoded(&self.username),
            encoded(self.password.expose_secret()),
            encoded(database)
        )
    }
}

/// Text as it may stand in a URI.
fn encoded(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// The secrets of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// `secret-user`
    User,
    /// `secret-tls`
    Tls,
    /// `secret-entity`
    Entity,
}

impl Group {
    /// All.
    pub const ALL: [Self; 3] = [Self::User, Self::Tls, Self::Entity];

    /// Name in keys and labels.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Tls => "tls",
            Self::Entity => "entity",
        }
    }
}

/// Ids of an answer's secrets.
pub type SecretIds = BTreeMap<Group, String>;

/// Label of a secret of a relation, as the published libraries have it.
#[must_use]
pub fn secret_label(endpoint: &str, relation: u64, request: &Request, group: Group) -> String {
    let group = group.name();
    match &request.id {
        Some(id) => format!("{endpoint}.{relation}.{id}.{group}.secret"),
        None => format!("{endpoint}.{relation}.{group}.secret"),
    }
}

/// What goes into a secret; nothing where the client takes none of it from there.
#[must_use]
pub fn secret_content(
    request: &Request,
    answer: &Answer,
    group: Group,
) -> BTreeMap<&'static str, SecretString> {
    let mut content = BTreeMap::new();
    let mut put = |field: &'static str, value: SecretString| {
        if request.secret(field) {
            content.insert(field, value);
        }
    };
    let entity = matches!(request.kind, Kind::User | Kind::Group);
    match group {
        Group::User if entity => {}
        Group::Entity if !entity => {}
        Group::Entity => {
            put("entity-name", answer.username.clone().into());
            if request.kind == Kind::User {
                put("entity-password", answer.password.clone());
            }
        }
        Group::User if request.kind == Kind::Prefix => {
            put("username", answer.username.clone().into());
            put("password", answer.password.clone());
        }
        Group::User => {
            put("username", answer.username.clone().into());
            put("password", answer.password.clone());
            put(
                "uris",
                answer.uri(&answer.endpoints, &request.database).into(),
            );
            put(
                "read-only-uris",
                answer
                    .uri(&answer.read_only_endpoints, &request.database)
                    .into(),
            );
        }
        Group::Tls => {
            put("tls", tls(request, answer).to_owned().into());
            if let Some(ca) = &answer.tls_ca {
                put("tls-ca", ca.clone().into());
            }
        }
    }
    content
}

/// v1 reads JSON, v0 Python.
fn tls(request: &Request, answer: &Answer) -> &'static str {
    match (request.id.is_some(), answer.tls_ca.is_some()) {
        (true, true) => "true",
        (true, false) => "false",
        (false, true) => "True",
        (false, false) => "False",
    }
}

/// A request with its answer and the ids of the answer's secrets.
pub struct Told<'a> {
    /// The request.
    pub request: &'a Request,
    /// The answer.
    pub answer: &'a Answer,
    /// Its secrets.
    pub secrets: &'a SecretIds,
}

/// The keys of the provider's databag; an empty value is a key to be deleted.
#[must_use]
pub fn answer(version: Version, told: &[Told<'_>]) -> Bag {
    match version {
        Version::V0 => told.first().map(v0).unwrap_or_default(),
        Version::V1 => v1(told),
    }
}

fn v0(told: &Told<'_>) -> Bag {
    let Told {
        request,
        answer,
        secrets,
    } = told;
    let mut bag = Bag::new();
    let mut put = |key: &str, value: String| {
        bag.insert(key.to_owned(), value);
    };
    put("data", Value::Object(request.written.clone()).to_string());
    put("database", written_name(request));
    put("endpoints", answer.endpoints.clone());
    put("read-only-endpoints", answer.read_only_endpoints.clone());
    put("version", answer.version.clone());
    for group in Group::ALL {
        let id = secrets.get(&group).cloned().unwrap_or_default();
        put(&format!("secret-{}", group.name()), id);
    }
    // Who takes secrets gets no password in the databag, in no field.
    let user = !matches!(request.kind, Kind::User | Kind::Group);
    let plain = |has: bool, value: String| {
        if has && request.secrets.is_none() {
            value
        } else {
            String::new()
        }
    };
    let password = || answer.password.expose_secret().to_owned();
    put("username", plain(user, answer.username.clone()));
    put("password", plain(user, password()));
    put("entity-name", plain(!user, answer.username.clone()));
    put(
        "entity-password",
        plain(request.kind == Kind::User, password()),
    );
    put(
        "uris",
        plain(
            request.kind == Kind::Database,
            answer.uri(&answer.endpoints, &request.database),
        ),
    );
    put("prefix-databases", answer.databases.join(","));
    // Asked for by name alone, which one without secrets cannot do.
    put("read-only-uris", String::new());
    let open = |field: &str, value: &str| {
        if request.secret(field) {
            String::new()
        } else {
            value.to_owned()
        }
    };
    put("tls", open("tls", tls(request, answer)));
    put(
        "tls-ca",
        open("tls-ca", answer.tls_ca.as_deref().unwrap_or_default()),
    );
    bag
}

fn written_name(request: &Request) -> String {
    let star = if request.kind == Kind::Prefix {
        "*"
    } else {
        ""
    };
    format!("{}{star}", request.database)
}

fn v1(told: &[Told<'_>]) -> Bag {
    let mut data = Map::new();
    let mut answers = Vec::new();
    for told in told {
        let request = told.request;
        let id = request.id.clone().unwrap_or_default();
        let mut entry = json!({
            "request-id": id,
            "resource": written_name(request),
            "salt": request.salt.clone().unwrap_or_default(),
            "endpoints": told.answer.endpoints,
            "read-only-endpoints": told.answer.read_only_endpoints,
            "version": told.answer.version,
        });
        if let Value::Object(entry) = &mut entry {
            if request.kind == Kind::Prefix {
                let databases = told.answer.databases.join(",");
                entry.insert("prefix-resources".into(), json!(databases));
            }
            for (group, secret) in told.secrets {
                entry.insert(format!("secret-{}", group.name()), json!(secret));
            }
        }
        answers.push(entry);
        data.insert(id, Value::Object(request.written.clone()));
    }
    [
        ("version", "v1".to_owned()),
        ("requests", Value::Array(answers).to_string()),
        ("data", Value::Object(data).to_string()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}
