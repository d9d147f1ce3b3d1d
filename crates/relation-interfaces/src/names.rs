//! What names of databases, roles and requests may be made of.

use crate::{RequestError, shown};

/// Longest name in PostgreSQL; a longer one would be cut off, and two could become the same.
pub const LONGEST: usize = 63;

/// Databases that no client gets, and names that the roles of a cluster have.
const RESERVED: [&str; 15] = [
    "postgres",
    "template0",
    "template1",
    "public",
    "none",
    "admin",
    "operator",
    "backup",
    "replication",
    "rewind",
    "monitoring",
    "all",
    "sameuser",
    "samerole",
    "samegroup",
];

/// Prefixes that PostgreSQL or the charm keep for themselves.
const RESERVED_PREFIXES: [&str; 2] = ["pg_", "relation_"];

/// Checks the name of a database that a client asks for.
///
/// # Errors
/// When it is not allowed; the error says why.
pub fn database(key: &'static str, name: &str) -> Result<(), RequestError> {
    let refuse = |why| {
        Err(RequestError::Name {
            key,
            value: shown(name),
            why,
        })
    };
    if name.is_empty() {
        return refuse("it is empty");
    }
    if name.len() > LONGEST {
        return refuse("it is longer than 63 bytes");
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.$".contains(c);
    if !name.chars().all(plain) {
        return refuse("use letters, digits and _ - . $");
    }
    if name.starts_with(['-', '.', '$']) {
        return refuse("it starts with a sign");
    }
    let lower = name.to_ascii_lowercase();
    if RESERVED.contains(&lower.as_str()) || lower.ends_with("_access") {
        return refuse("it is reserved");
    }
    if RESERVED_PREFIXES.iter().any(|p| lower.starts_with(p)) {
        return refuse("it starts with what is reserved");
    }
    Ok(())
}

/// Checks the name of a role that a client wants to have.
///
/// # Errors
/// When it is not allowed; the error says why.
pub fn role(key: &'static str, name: &str) -> Result<(), RequestError> {
    let why = if name.len() > LONGEST {
        "it is longer than 63 bytes"
    } else if !name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "_-.$".contains(c))
    {
        "use letters, digits and _ - . $"
    } else {
        return Ok(());
    };
    Err(RequestError::Name {
        key,
        value: shown(name),
        why,
    })
}

/// Checks an id that becomes a part of a user's name and of a secret's label.
///
/// # Errors
/// When it is not allowed; the error says why.
pub fn request_id(key: &'static str, id: &str) -> Result<(), RequestError> {
    let why = if id.is_empty() {
        "it is empty"
    } else if id.len() > 32 {
        "it is longer than 32 bytes"
    } else if !id
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    {
        "use small letters and digits"
    } else {
        return Ok(());
    };
    Err(RequestError::Name {
        key,
        value: shown(id),
        why,
    })
}
