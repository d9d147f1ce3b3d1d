//! What the catalogue tells about one client.

use std::collections::{BTreeMap, BTreeSet};

/// The facts, as of one look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// The client's user.
    pub user: Option<UserFacts>,
    /// Its second login, looked up where that is the one in use.
    pub second: Option<UserFacts>,
    /// Those of the roles that matter: named as the database, or asked for.
    pub roles: BTreeMap<String, OwnerFacts>,
    /// The database.
    pub database: Option<DatabaseFacts>,
    /// The server's version.
    pub version: String,
}

/// A client's user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserFacts {
    /// Of `login`, `superuser`, `createdb` and `createrole`, those that it has.
    pub attributes: BTreeSet<&'static str>,
    /// Groups.
    pub member_of: BTreeSet<String>,
    /// The stored verifier fits the password that the client has.
    pub password_fits: bool,
    /// Acts as the owner of its database from its first statement on.
    pub acts_as_owner: bool,
    /// The charm made it, or has taken it over.
    pub marked: bool,
    /// Roles that may act as it.
    pub members: BTreeSet<String>,
}

/// A role that may be a database's owner.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnerFacts {
    /// May log in.
    pub login: bool,
    /// Superuser, or a member of one, or of a role that is as good as that.
    pub powerful: bool,
    /// The charm made it to own a database.
    pub marked: bool,
}

/// A database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DatabaseFacts {
    /// The role of its name owns it: everything in it is as it must be.
    pub owned: bool,
    /// `operator` owns it: the charm, the peer charm or a person made it, and no client.
    pub of_operator: bool,
}

/// A database in which a user owns or may do something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Its name.
    pub database: String,
    /// Its owner is the charm's role of its name, which inherits what the user leaves there.
    pub owned: bool,
    /// Its owner lets nobody enter it.
    pub closed: bool,
    /// Somebody has begun to drop it: nobody can enter it, and nothing in it can be had any more.
    pub half_dropped: bool,
}
