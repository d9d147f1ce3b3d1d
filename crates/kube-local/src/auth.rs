//! Who asks, and what they may do: bearer tokens and RBAC.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::failure::{Failure, Served};
use crate::json;
use crate::resource::{self, Resource};
use crate::store::{Store, Tx};

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum User {
    /// May everything.
    Admin,
    /// A service account: namespace and name.
    Account(String, String),
}

impl User {
    fn name(&self) -> String {
        match self {
            Self::Admin => "kubernetes-admin".to_owned(),
            Self::Account(namespace, name) => format!("system:serviceaccount:{namespace}:{name}"),
        }
    }
}

/// Tokens that were given out.
#[derive(Debug)]
pub(crate) struct Tokens {
    admin: String,
    accounts: Mutex<HashMap<String, Issued>>,
}

/// Whose a token is, and the account for which it was asked, while that one is there.
#[derive(Debug, Clone)]
struct Issued {
    user: User,
    uid: Option<String>,
}

impl Tokens {
    pub(crate) fn new() -> Self {
        Self {
            admin: fresh(),
            accounts: Mutex::default(),
        }
    }

    pub(crate) fn admin(&self) -> &str {
        &self.admin
    }

    /// A new token of a service account, which ends with the account of this `uid`, if any.
    pub(crate) fn issue(&self, namespace: &str, name: &str, uid: Option<&str>) -> String {
        let token = fresh();
        let issued = Issued {
            user: User::Account(namespace.to_owned(), name.to_owned()),
            uid: uid.map(str::to_owned),
        };
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.insert(token.clone(), issued);
        token
    }

    /// Whose token it is.
    pub(crate) fn user(&self, store: &Store, header: Option<&str>) -> Served<User> {
        let token = header
            .and_then(|text| text.strip_prefix("Bearer "))
            .unwrap_or_default();
        if token == self.admin {
            return Ok(User::Admin);
        }
        let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let issued = accounts.get(token).cloned();
        drop(accounts);
        issued
            .filter(|issued| store.transact(|tx| issued.stands(tx)))
            .map(|issued| issued.user)
            .ok_or_else(Failure::unauthorized)
    }
}

impl Issued {
    fn stands(&self, tx: &Tx<'_>) -> bool {
        let (User::Account(namespace, name), Some(uid)) = (&self.user, &self.uid) else {
            return true;
        };
        let account =
            resource::by_plural("serviceaccounts").and_then(|kind| tx.get(kind, namespace, name));
        account.is_some_and(|account| json::text(&account, &["metadata", "uid"]) == uid)
    }
}

fn fresh() -> String {
    format!(
        "{}{}",
        uuid::Uuid::new_v4().simple(),
        uuid::Uuid::new_v4().simple()
    )
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt<'a> {
    pub(crate) verb: &'a str,
    pub(crate) resource: &'static Resource,
    pub(crate) subresource: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
}

/// Refuses what no binding of the user's allows.
pub(crate) fn authorize(tx: &Tx<'_>, user: &User, attempt: &Attempt<'_>) -> Served<()> {
    if allowed(tx, user, attempt) {
        return Ok(());
    }
    let Attempt {
        verb,
        resource,
        namespace,
        name,
        ..
    } = attempt;
    let plural = if attempt.subresource.is_empty() {
        resource.plural.to_owned()
    } else {
        format!("{}/{}", resource.plural, attempt.subresource)
    };
    let place = if namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace \"{namespace}\"")
    };
    let subject = if name.is_empty() {
        resource.qualified()
    } else {
        format!("{} \"{name}\"", resource.qualified())
    };
    Err(Failure::new(
        403,
        "Forbidden",
        format!(
            "{subject} is forbidden: User \"{}\" cannot {verb} resource \"{plural}\" in API group \"{}\" {place}",
            user.name(),
            resource.group
        ),
    )
    .about(resource, name))
}

pub(crate) fn allowed(tx: &Tx<'_>, user: &User, attempt: &Attempt<'_>) -> bool {
    *user == User::Admin || grant(tx, user, attempt).is_some()
}

/// By what a service account may do something, in words.
pub(crate) fn grant(tx: &Tx<'_>, user: &User, attempt: &Attempt<'_>) -> Option<String> {
    let User::Account(namespace, name) = user else {
        return None;
    };
    let subject = (namespace.as_str(), name.as_str());
    let bindings = resource::by_plural("rolebindings")?;
    let cluster_bindings = resource::by_plural("clusterrolebindings")?;
    let local = tx
        .list(bindings, Some(attempt.namespace))
        .filter(|_| !attempt.namespace.is_empty());
    let mut all = tx.list(cluster_bindings, None).chain(local);
    let by = all.find(|binding| {
        binds(binding, subject) && rules(tx, binding).iter().any(|rule| permits(rule, attempt))
    })?;
    let text = |path: &[&str]| json::text(by, path).to_owned();
    let mut called = text(&["metadata", "name"]);
    let place = text(&["metadata", "namespace"]);
    if !place.is_empty() {
        called = format!("{called}/{place}");
    }
    let (kind, role) = (text(&["roleRef", "kind"]), text(&["roleRef", "name"]));
    let binding = text(&["kind"]);
    Some(format!(
        "RBAC: allowed by {binding} \"{called}\" of {kind} \"{role}\" to ServiceAccount \"{name}/{namespace}\""
    ))
}

fn binds(binding: &Value, (namespace, name): (&str, &str)) -> bool {
    json::list(binding, &["subjects"]).iter().any(|subject| {
        json::text(subject, &["kind"]) == "ServiceAccount"
            && json::text(subject, &["name"]) == name
            && json::text(subject, &["namespace"]) == namespace
    })
}

fn rules(tx: &Tx<'_>, binding: &Value) -> Vec<Value> {
    let name = json::text(binding, &["roleRef", "name"]);
    let (plural, namespace) = match json::text(binding, &["roleRef", "kind"]) {
        "ClusterRole" => ("clusterroles", ""),
        _ => ("roles", json::text(binding, &["metadata", "namespace"])),
    };
    let role = resource::by_plural(plural).and_then(|kind| tx.get(kind, namespace, name));
    role.map(|role| json::list(&role, &["rules"]).to_vec())
        .unwrap_or_default()
}

fn permits(rule: &Value, attempt: &Attempt<'_>) -> bool {
    let has = |key: &str, wanted: &str| {
        json::list(rule, &[key])
            .iter()
            .any(|v| v.as_str() == Some("*") || v.as_str() == Some(wanted))
    };
    let plural = if attempt.subresource.is_empty() {
        attempt.resource.plural.to_owned()
    } else {
        format!("{}/{}", attempt.resource.plural, attempt.subresource)
    };
    let names = json::list(rule, &["resourceNames"]);
    has("verbs", attempt.verb)
        && has("apiGroups", attempt.resource.group)
        && has("resources", &plural)
        && (names.is_empty() || names.iter().any(|n| n.as_str() == Some(attempt.name)))
}
