//! What a user or group asks to be allowed.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::Permission;
use crate::{RequestError, names, shown};

/// Most permissions in one request.
const MOST: usize = 256;
/// Objects, and what can be allowed on them.
const PRIVILEGES: [(&str, &[&str]); 4] = [
    (
        "TABLE",
        &[
            "SELECT",
            "INSERT",
            "UPDATE",
            "DELETE",
            "TRUNCATE",
            "REFERENCES",
            "TRIGGER",
            "ALL",
        ],
    ),
    ("SEQUENCE", &["USAGE", "SELECT", "UPDATE", "ALL"]),
    ("SCHEMA", &["USAGE", "CREATE", "ALL"]),
    ("DATABASE", &["CONNECT", "TEMPORARY", "CREATE", "ALL"]),
];

/// Reads `entity-permissions`: a JSON list, in v0 as text.
pub(super) fn parse(
    written: Option<&Value>,
    database: &str,
) -> Result<BTreeSet<Permission>, RequestError> {
    let wrong = |value: &Value| RequestError::Type {
        key: "entity-permissions",
        wanted: "a JSON list of objects with resource_name, resource_type and privileges",
        value: shown(&value.to_string()),
    };
    let list = match written {
        None | Some(Value::Null) => return Ok(BTreeSet::new()),
        Some(Value::String(text)) if text.is_empty() => return Ok(BTreeSet::new()),
        Some(Value::String(text)) => {
            serde_json::from_str(text).map_err(|_| wrong(&Value::String(text.clone())))?
        }
        Some(other) => other.clone(),
    };
    let Value::Array(entries) = &list else {
        return Err(wrong(&list));
    };
    if entries.len() > MOST {
        return Err(wrong(&list));
    }
    entries
        .iter()
        .map(|entry| match entry {
            Value::Object(entry) => permission(entry, database),
            other => Err(wrong(other)),
        })
        .collect()
}

fn permission(entry: &Map<String, Value>, database: &str) -> Result<Permission, RequestError> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
    let refuse = |wanted, value: &str| RequestError::Type {
        key: "entity-permissions",
        wanted,
        value: shown(value),
    };
    let kind = text("resource_type").to_ascii_uppercase();
    let Some((on, known)) = PRIVILEGES.into_iter().find(|(on, _)| *on == kind) else {
        return Err(refuse("for a TABLE, SEQUENCE, SCHEMA or DATABASE", &kind));
    };
    let name: Vec<String> = text("resource_name")
        .split('.')
        .map(str::to_owned)
        .collect();
    let most = if matches!(on, "TABLE" | "SEQUENCE") {
        2
    } else {
        1
    };
    if name.len() > most || name.iter().any(String::is_empty) {
        return Err(refuse("for an object with a name", text("resource_name")));
    }
    for part in &name {
        names::role("entity-permissions", part)?;
        // By a grant on the catalogue a client would read verifiers, or put functions before all others'.
        if part.starts_with("pg_") || part == "information_schema" {
            return Err(refuse(
                "for an object of the database's own",
                text("resource_name"),
            ));
        }
    }
    if on == "DATABASE" && name != [database] {
        return Err(refuse(
            "for the database that is asked for",
            text("resource_name"),
        ));
    }
    let Some(Value::Array(words)) = entry.get("privileges") else {
        return Err(refuse("with a list of privileges", text("resource_name")));
    };
    let mut privileges = BTreeSet::new();
    for word in words {
        let word = word.as_str().unwrap_or_default().to_ascii_uppercase();
        let found = known.iter().find(|known| **known == word);
        privileges
            .insert(*found.ok_or_else(|| refuse("of privileges that such an object has", &word))?);
    }
    if privileges.is_empty() {
        return Err(refuse("with a list of privileges", text("resource_name")));
    }
    Ok(Permission {
        on,
        name,
        privileges,
    })
}
