//! Users and databases of clients: what there must be for a request, as SQL data.
//!
//! A database of clients belongs to a role of its own name that cannot log in. A client's user is a
//! member of it, so that `pg_hba.conf` needs one rule for all clients (`samerole`), whatever
//! databases come and go, and what one client of a database makes, the next one may use.

mod adopt;
mod catalogue;
mod remove;
mod sql;

pub use catalogue::{Catalogue, DatabaseFacts, OwnerFacts, Place, UserFacts};
pub use remove::{end_sessions, remove, retire, revoke_logins};
pub use sql::{Batch, POSTGRES, identifier, literal, serve};

use std::collections::BTreeSet;

use crate::predefined;

/// Group of all clients' users.
pub const CLIENTS: &str = "relation_access";
/// Group of the clients' users who may enter every database that lets them connect: those who can
/// make databases, or are above such rules.
pub const ANY_DATABASE: &str = "relation_any_database";
/// Who inherits what a client leaves that no database's owner is there for: a role that nobody logs
/// in as, and that is a member of nothing.
pub const LEFTOVERS: &str = "relation_leftovers";

/// A schema of the database `postgres`, owned by `operator` and empty: whoever is granted its use owns
/// a database of clients. Who may make roles may comment on them and change them, but can grant
/// nothing on what `operator` owns.
pub const OWNER_MARK: &str = "charm_marks_database_owners";

/// The same for a client's user, and for its second login. Others make users of the same kind of name,
/// as a pooler does with the rights that it was given: those are not the charm's.
pub const USER_MARK: &str = "charm_marks_clients";

/// How a client stands to its database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Kind {
    /// It may do all in it.
    #[default]
    Owner,
    /// The same in all of these, and it has none of its own.
    Prefix(BTreeSet<String>),
    /// It enters it, and may do what is granted.
    User,
    /// It is a role that nobody logs in as.
    Group,
}

/// By which role a client logs in. It stays one user: with the second login it acts as that user
/// from its first statement on, so that nothing it owns or may do depends on which of them is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Login {
    /// Its user itself.
    #[default]
    Own,
    /// A second one, so that an old password and a new one can be valid at once.
    Second,
}

impl Login {
    /// The one that is not used.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Own => Self::Second,
            Self::Second => Self::Own,
        }
    }

    /// Name of the role for a user.
    #[must_use]
    pub fn of(self, user: &str) -> String {
        match self {
            Self::Own => user.to_owned(),
            Self::Second => format!("{user}{SECOND}"),
        }
    }
}

/// Ends the name of a second login. No request's id has an underscore.
const SECOND: &str = "__2";

/// The user that a login is one of.
#[must_use]
pub fn identity(login: &str) -> &str {
    login.strip_suffix(SECOND).unwrap_or(login)
}

/// Something granted on an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// SQL's word for the object: `TABLE`, `SCHEMA`, ...
    pub on: &'static str,
    /// The parts of its name.
    pub name: Vec<String>,
    /// SQL's words for what is granted.
    pub privileges: BTreeSet<&'static str>,
}

/// What a client is to get.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Client {
    /// Its user, from [`user_name`].
    pub user: String,
    /// The login that it has credentials of.
    pub login: Login,
    /// Its database; with [`Kind::Prefix`] the beginning of their names.
    pub database: String,
    /// Roles that it asks for beyond its own database, lower-case.
    pub roles: BTreeSet<String>,
    /// How it stands to the database.
    pub kind: Kind,
    /// What a user or group may do.
    pub grants: BTreeSet<Grant>,
    /// What it was granted before, and is not any more.
    pub withdrawn: BTreeSet<Grant>,
}

/// Attributes that a client can ask for as if they were roles.
const ATTRIBUTES: [&str; 3] = ["createdb", "createrole", "superuser"];
/// Groups that clients name, and get anyway or must not have.
const IGNORED: [&str; 3] = ["identity_access", "internal_access", CLIENTS];

impl Client {
    /// It asked for this attribute, by itself or as a part of `admin`.
    #[must_use]
    pub fn has(&self, attribute: &str) -> bool {
        self.roles.contains(attribute) || (attribute == "createdb" && self.roles.contains("admin"))
    }

    /// Roles that it becomes a member of, beside that of its database.
    #[must_use]
    pub fn groups(&self) -> BTreeSet<String> {
        let asked = self
            .roles
            .iter()
            .map(String::as_str)
            .filter(|r| !ATTRIBUTES.contains(r) && !IGNORED.contains(r));
        let mut groups: BTreeSet<String> = asked.map(str::to_owned).collect();
        if self.kind == Kind::Group {
            return groups;
        }
        groups.insert(CLIENTS.to_owned());
        // Who is not in the role of the database's name comes in by its right to connect alone.
        let predefined = self.roles.iter().any(|r| r.starts_with(predefined::PREFIX));
        if self.kind == Kind::User || predefined || ATTRIBUTES.iter().any(|a| self.has(a)) {
            groups.insert(ANY_DATABASE.to_owned());
        }
        groups
    }

    /// The databases whose owner's role it is in.
    #[must_use]
    pub fn owns(&self) -> BTreeSet<String> {
        if predefined::GUESTS
            .iter()
            .any(|role| self.roles.contains(*role))
        {
            return BTreeSet::new();
        }
        match &self.kind {
            Kind::Owner => [self.database.clone()].into(),
            Kind::Prefix(databases) => databases.clone(),
            Kind::User | Kind::Group => BTreeSet::new(),
        }
    }

    /// It has nothing beyond its own database, so it can act as that database's owner throughout; or it
    /// is to do so in each database.
    #[must_use]
    pub fn plain(&self) -> bool {
        let owns = [CLIENTS, ANY_DATABASE, predefined::ADMIN];
        self.kind == Kind::Owner
            && self.groups().iter().all(|group| owns.contains(&&**group))
            && !ATTRIBUTES.iter().any(|a| self.has(a))
    }
}

/// Name of the user of a relation, or of one request of it.
#[must_use]
pub fn user_name(relation: u64, request: Option<&str>) -> String {
    match request {
        Some(request) => format!("relation_id_{relation}_{request}"),
        None => format!("relation_id_{relation}"),
    }
}

/// The relation whose user this is; none for any other role.
#[must_use]
pub fn relation_of(user: &str) -> Option<u64> {
    let rest = identity(user).strip_prefix("relation_id_")?;
    let (number, request) = rest.split_once('_').unwrap_or((rest, "0"));
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (digits && !request.is_empty() && request.bytes().all(plain))
        .then(|| number.parse().ok())
        .flatten()
}

/// How refusals begin, in the words of the peer charm that others compare with.
pub const INVALID_ROLES: &str = "invalid role(s) for extra user roles";
/// The same of a database's name.
pub const INVALID_DATABASE: &str = "invalid database name";

/// Why a client cannot be served; the texts go into the unit's status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Roles that there are not, or that no client gets.
    #[error("invalid role(s) for extra user roles: {0}")]
    Roles(String),
    /// A name that is kept for roles, or that no client gets.
    #[error("invalid database name: {0}")]
    DatabaseName(String),
    /// A role has the database's name already and is not its owner.
    #[error("database {0} cannot be made: a role of that name exists")]
    RoleInTheWay(String),
    /// A client's user made the database, or it was one's that has gone.
    #[error("database {0} is another client's: ask for another name, or have operator own it")]
    DatabaseOfOthers(String),
}

/// Roles that no client gets: the charm's own users, other clients', and other databases' owners.
fn forbidden(role: &str) -> bool {
    crate::observed::SystemUser::from_name(role).is_some()
        || role.starts_with("relation_")
        || role == "postgres"
}

/// The 16 track's rule: a predefined role is asked for alone, or `charmed_admin` with `createdb`.
fn excluded(client: &Client, role: &str) -> bool {
    let asked: BTreeSet<&str> = client
        .roles
        .iter()
        .map(String::as_str)
        .filter(|role| !IGNORED.contains(role))
        .collect();
    let both = asked == [predefined::ADMIN, "createdb"].into();
    role.starts_with(predefined::PREFIX)
        && !(predefined::FOR_CLIENTS.contains(&role) && (asked.len() == 1 || both))
}

/// Checks a client's wishes against what there is.
///
/// # Errors
/// When it asks for what it cannot have.
pub fn check(client: &Client, catalogue: &Catalogue) -> Result<(), Refusal> {
    let versed = predefined::has(&catalogue.version);
    let unknown: Vec<String> = client
        .roles
        .iter()
        .filter(|role| !ATTRIBUTES.contains(&role.as_str()) && !IGNORED.contains(&role.as_str()))
        .filter(|role| {
            forbidden(role)
                || (versed && excluded(client, role))
                || catalogue
                    .roles
                    .get(*role)
                    .is_none_or(|found| found.marked || found.login || found.powerful)
        })
        .cloned()
        .collect();
    if !unknown.is_empty() {
        return Err(Refusal::Roles(unknown.join(", ")));
    }
    if matches!(client.kind, Kind::Prefix(_)) {
        return Ok(());
    }
    let name = || client.database.clone();
    if versed && predefined::forbidden(&client.database) {
        return Err(Refusal::DatabaseName(name()));
    }
    let owner = catalogue.roles.get(&client.database);
    if owner.is_some_and(|role| role.login || role.powerful || !role.marked) {
        return Err(Refusal::RoleInTheWay(name()));
    }
    let database = catalogue.database.as_ref();
    if database.is_some_and(|found| !found.owned && !found.of_operator) {
        return Err(Refusal::DatabaseOfOthers(name()));
    }
    Ok(())
}
