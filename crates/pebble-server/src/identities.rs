//! Identities: who may do what, besides root and the server's own user.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::daemon::{Daemon, State};

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Access {
    Admin,
    Read,
    Metrics,
    Untrusted,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Local {
    user_id: Option<u32>,
}

/// A hash of a password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Basic {
    #[serde(default)]
    password: String,
}

impl std::fmt::Debug for Basic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Basic(*****)")
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Cert {
    #[serde(default)]
    pem: String,
}

/// An identity as it is given and saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    #[serde(default)]
    access: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    local: Option<Local>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    basic: Option<Basic>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cert: Option<Cert>,
}

impl Identity {
    fn access(&self) -> Option<Access> {
        serde_json::from_value(json!(self.access)).ok()
    }

    fn validate(&self) -> Result<(), String> {
        const CHOICE: &str = "(\"admin\", \"read\", \"metrics\", or \"untrusted\")";
        if self.access.is_empty() {
            return Err(format!("access value must be specified {CHOICE}"));
        }
        if self.access().is_none() {
            return Err(format!(
                "invalid access value \"{}\", must be {CHOICE}",
                self.access
            ));
        }
        if self.local.is_none() && self.basic.is_none() && self.cert.is_none() {
            let text = "identity must have at least one type (\"local\", \"basic\", or \"cert\")";
            return Err(text.to_owned());
        }
        if self
            .local
            .as_ref()
            .is_some_and(|local| local.user_id.is_none())
        {
            return Err("local identity must specify user-id".to_owned());
        }
        if self
            .basic
            .as_ref()
            .is_some_and(|basic| basic.password.is_empty())
        {
            return Err("basic identity must specify password (hashed)".to_owned());
        }
        Ok(())
    }

    /// As it is shown: without what is secret.
    fn json(&self) -> Value {
        let mut value = json!({"access": self.access});
        if let Some(map) = value.as_object_mut() {
            if let Some(local) = &self.local {
                map.insert("local".into(), json!({"user-id": local.user_id}));
            }
            if self.basic.is_some() {
                map.insert("basic".into(), json!({"password": "*****"}));
            }
            if self.cert.is_some() {
                map.insert("cert".into(), json!({"pem": "*****"}));
            }
        }
        value
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// Identities of a request; what is to go is none.
pub(crate) type Given = BTreeMap<String, Option<Identity>>;

/// Adds, updates, replaces or removes identities; refuses as a whole.
pub(crate) fn change(state: &mut State, action: &str, given: &Given) -> Result<(), String> {
    let mut next = state.identities.clone();
    let listed = |wanted: &dyn Fn(&String) -> bool| -> String {
        let names: Vec<&str> = given
            .keys()
            .filter(|n| wanted(n))
            .map(String::as_str)
            .collect();
        names.join(", ")
    };
    match action {
        "add" => {
            let known = listed(&|name| state.identities.contains_key(name));
            if !known.is_empty() {
                return Err(format!("identities already exist: {known}"));
            }
        }
        "update" | "remove" => {
            let unknown = listed(&|name| !state.identities.contains_key(name));
            if !unknown.is_empty() {
                return Err(format!("identities do not exist: {unknown}"));
            }
        }
        "replace" => {}
        other => return Err(format!("invalid action \"{other}\"")),
    }
    for (name, identity) in given {
        let refused = |why: &str| format!("invalid identity for \"{name}\": {why}");
        match (action, identity) {
            ("remove", Some(_)) => {
                return Err(format!(
                    "identity value for \"{name}\" must be null for remove operation"
                ));
            }
            ("remove" | "replace", None) => drop(next.remove(name)),
            (_, None) => return Err(refused("identity must not be null")),
            (_, Some(identity)) => {
                if !is_name(name) {
                    return Err(refused("invalid name (must start with a letter)"));
                }
                identity.validate().map_err(|why| refused(&why))?;
                next.insert(name.clone(), identity.clone());
            }
        }
    }
    unique_users(&next)?;
    state.identities = next;
    Ok(())
}

fn unique_users(identities: &BTreeMap<String, Identity>) -> Result<(), String> {
    let mut by_user: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    for (name, identity) in identities {
        if let Some(user) = identity.local.as_ref().and_then(|local| local.user_id) {
            by_user.entry(user).or_default().push(name);
        }
    }
    match by_user.iter().find(|(_, names)| names.len() > 1) {
        Some((user, names)) => Err(format!(
            "cannot have multiple identities with user ID {user} ({})",
            names.join(", ")
        )),
        None => Ok(()),
    }
}

/// All identities as they are shown.
pub(crate) fn list(state: &State) -> Value {
    state
        .identities
        .iter()
        .map(|(name, identity)| (name.clone(), identity.json()))
        .collect()
}

/// What the user of this number may do on the socket.
pub(crate) fn of_user(state: &State, uid: u32) -> Access {
    let named = state.identities.values().find(|identity| {
        identity
            .local
            .as_ref()
            .is_some_and(|local| local.user_id == Some(uid))
    });
    match named.and_then(Identity::access) {
        Some(access) => access,
        None if uid == 0 || uid == nix::unistd::Uid::current().as_raw() => Access::Admin,
        None => Access::Read,
    }
}

/// Puts the identities of `--identities` in the place of those of the same names.
pub(crate) fn load(daemon: &Daemon, path: &std::path::Path) -> Result<(), String> {
    #[derive(Deserialize)]
    struct File {
        #[serde(default)]
        identities: Given,
    }
    let text = std::fs::read_to_string(path)
        .map_err(|why| format!("cannot read identities file {}: {why}", path.display()))?;
    let file: File = serde_yaml::from_str(&text)
        .map_err(|why| format!("cannot read identities file {}: {why}", path.display()))?;
    change(&mut daemon.state(), "replace", &file.identities)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(value: Value) -> Given {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn identities_are_added_updated_and_removed_as_a_whole_or_not_at_all() {
        let mut state = State::default();
        let bob = given(json!({"bob": {"access": "admin", "local": {"user-id": 42}}}));
        change(&mut state, "add", &bob).unwrap();
        assert_eq!(of_user(&state, 42), Access::Admin);
        assert_eq!(of_user(&state, 43), Access::Read);
        assert_eq!(
            change(&mut state, "add", &bob).unwrap_err(),
            "identities already exist: bob"
        );
        let twice = given(json!({"amy": {"access": "read", "local": {"user-id": 42}}}));
        assert_eq!(
            change(&mut state, "add", &twice).unwrap_err(),
            "cannot have multiple identities with user ID 42 (amy, bob)"
        );
        let empty = given(json!({"amy": {"access": "read"}}));
        assert_eq!(
            change(&mut state, "replace", &empty).unwrap_err(),
            "invalid identity for \"amy\": identity must have at least one type (\"local\", \
             \"basic\", or \"cert\")"
        );
        let nobody = given(json!({"amy": null}));
        let why = change(&mut state, "remove", &nobody).unwrap_err();
        assert_eq!(why, "identities do not exist: amy");
        change(&mut state, "remove", &given(json!({"bob": null}))).unwrap();
        assert_eq!(list(&state), json!({}));
    }

    #[test]
    fn passwords_are_not_shown() {
        let mut state = State::default();
        let bob = given(json!({"bob": {"access": "metrics", "basic": {"password": "$6$hash"}}}));
        change(&mut state, "add", &bob).unwrap();
        let shown = list(&state).to_string();
        assert!(
            shown.contains("*****") && !shown.contains("hash"),
            "{shown}"
        );
        assert!(!format!("{bob:?}").contains("hash"));
    }
}
