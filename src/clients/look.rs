//! What the primary's catalogue tells about clients.

use std::collections::BTreeSet;

use cluster_plan::clients::{
    ANY_DATABASE, Catalogue, Client, DatabaseFacts, Login, OwnerFacts, UserFacts,
};
use secrecy::SecretString;
use serde_json::Value;

use super::Clients;
use crate::ports::{Database, PortResult, Server};
use crate::scram;

/// The users of all clients, by what marks them ($1).
pub const USERS: &str = "SELECT rolname::text FROM pg_catalog.pg_roles \
     WHERE rolname ~ '^relation_id_[0-9]+(_[0-9a-z]+)?(__2)?$' \
     AND pg_catalog.shobj_description(oid, 'pg_authid') = $1::text ORDER BY 1";

/// One client: its user ($1), its database ($2) and the roles that matter (a JSON list, $3); $4 is
/// what marks the owner of a database, $5 a client's user.
pub const CLIENT: &str = "\
SELECT 'user', r.rolcanlogin::text, r.rolsuper::text, r.rolcreatedb::text, r.rolcreaterole::text, \
  r.rolpassword::text, (SELECT json_agg(g.rolname)::text FROM pg_catalog.pg_auth_members m \
     JOIN pg_catalog.pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid), \
  EXISTS (SELECT 1 FROM pg_catalog.pg_db_role_setting s \
     JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase WHERE s.setrole = r.oid \
     AND d.datname = $2::text AND ('role=' || $2::text) = ANY (s.setconfig))::text, \
  (coalesce(pg_catalog.shobj_description(r.oid, 'pg_authid'), '') = $5::text)::text \
FROM pg_catalog.pg_authid r WHERE r.rolname = $1::text \
UNION ALL \
SELECT 'role', r.rolname::text, r.rolcanlogin::text, r.rolsuper::text, \
  (coalesce(pg_catalog.shobj_description(r.oid, 'pg_authid'), '') = $4::text)::text, \
  NULL, NULL, NULL, NULL \
FROM pg_catalog.pg_roles r WHERE r.rolname = $2::text \
  OR r.rolname::text IN (SELECT pg_catalog.json_array_elements_text($3::text::json)) \
UNION ALL \
SELECT 'database', d.datname::text, (pg_catalog.pg_get_userbyid(d.datdba) = d.datname)::text, \
  NULL, NULL, NULL, NULL, NULL, NULL \
FROM pg_catalog.pg_database d WHERE d.datname = $2::text \
UNION ALL \
SELECT 'version', pg_catalog.current_setting('server_version'), NULL, NULL, NULL, NULL, NULL, NULL, NULL";

/// Databases in which a user ($1) owns or may do something, each with the role that inherits it.
pub const OWNED: &str = "\
SELECT d.datname::text, CASE WHEN pg_catalog.pg_get_userbyid(d.datdba) = d.datname \
  THEN d.datname::text ELSE 'operator' END \
FROM pg_catalog.pg_database d WHERE d.datallowconn AND d.oid IN \
  (SELECT s.dbid FROM pg_catalog.pg_shdepend s JOIN pg_catalog.pg_roles r ON r.oid = s.refobjid \
   WHERE s.refclassid = 'pg_catalog.pg_authid'::regclass AND r.rolname = $1::text) ORDER BY 1";

/// Databases of clients whose names begin with $1.
pub const PREFIXED: &str = "\
SELECT d.datname::text FROM pg_catalog.pg_database d \
WHERE pg_catalog.pg_get_userbyid(d.datdba) = d.datname \
  AND pg_catalog.left(d.datname::text, pg_catalog.length($1::text)) = $1::text \
  AND pg_catalog.shobj_description(d.datdba, 'pg_authid') = $2::text ORDER BY 1";

type Row = Vec<Option<String>>;

/// The users of all clients.
pub(super) fn users(database: &dyn Database, server: &Server) -> PortResult<Vec<String>> {
    let rows = database.look(server, USERS, &[cluster_plan::clients::USER_MARK])?;
    Ok(rows
        .into_iter()
        .filter_map(|row| row.into_iter().next().flatten())
        .collect())
}

impl Clients<'_> {
    /// The databases that a prefix leads to.
    pub(super) fn prefixed(&self, prefix: &str) -> PortResult<BTreeSet<String>> {
        let parameters = [prefix, cluster_plan::clients::OWNER_MARK];
        let rows = self
            .ports
            .database
            .look(&self.server, PREFIXED, &parameters)?;
        Ok(rows
            .into_iter()
            .filter_map(|row| row.into_iter().next().flatten())
            .collect())
    }

    /// What there is for a client.
    pub(super) fn catalogue(
        &self,
        client: &Client,
        password: Option<&SecretString>,
    ) -> PortResult<Catalogue> {
        let mut roles: Vec<&str> = client.roles.iter().map(String::as_str).collect();
        roles.push(ANY_DATABASE);
        let roles = Value::from(roles).to_string();
        let parameters = [
            client.user.as_str(),
            &client.database,
            &roles,
            cluster_plan::clients::OWNER_MARK,
            cluster_plan::clients::USER_MARK,
        ];
        let look = |parameters: &[&str]| -> PortResult<Catalogue> {
            let rows = self.ports.database.look(&self.server, CLIENT, parameters)?;
            let mut found = Catalogue::default();
            for row in rows {
                note(&mut found, row, password);
            }
            Ok(found)
        };
        let mut catalogue = look(&parameters)?;
        if client.login == Login::Second {
            let login = client.login.of(&client.user);
            let [_, rest @ ..] = parameters;
            let [database, roles, mark, own] = rest;
            catalogue.second = look(&[&login, database, roles, mark, own])?.user;
        }
        Ok(catalogue)
    }

    /// Databases in which a user owns or may do something, with the heir of each.
    pub(super) fn owned(&self, user: &str) -> PortResult<Vec<(String, String)>> {
        let rows = self.ports.database.look(&self.server, OWNED, &[user])?;
        Ok(rows
            .into_iter()
            .filter_map(|row| {
                let mut cells = row.into_iter().flatten();
                Some((cells.next()?, cells.next()?))
            })
            .collect())
    }
}

fn note(catalogue: &mut Catalogue, row: Row, password: Option<&SecretString>) {
    let mut cells = row.into_iter();
    let mut text = || cells.next().flatten();
    let kind = text();
    match (kind.as_deref(), text()) {
        (Some("user"), login) => {
            let has = [login, text(), text(), text()];
            let names = ["login", "superuser", "createdb", "createrole"];
            let attributes = names
                .into_iter()
                .zip(has)
                .filter(|(_, has)| has.as_deref() == Some("true"))
                .map(|(name, _)| name)
                .collect();
            let stored = text();
            let groups = text().and_then(|list| serde_json::from_str(&list).ok());
            let fits = |password| stored.as_deref().is_some_and(|s| scram::fits(password, s));
            catalogue.user = Some(UserFacts {
                attributes,
                member_of: groups.unwrap_or_default(),
                password_fits: password.is_some_and(fits),
                acts_as_owner: text().as_deref() == Some("true"),
                marked: text().as_deref() == Some("true"),
            });
        }
        (Some("role"), Some(name)) => {
            let mut yes = || text().as_deref() == Some("true");
            let role = OwnerFacts {
                login: yes(),
                superuser: yes(),
                marked: yes(),
            };
            catalogue.roles.insert(name, role);
        }
        (Some("database"), _) => {
            catalogue.database = Some(DatabaseFacts {
                owned: text().as_deref() == Some("true"),
            });
        }
        (Some("version"), Some(version)) => {
            // Distributions add their own after the number.
            version
                .split_whitespace()
                .next()
                .unwrap_or_default()
                .clone_into(&mut catalogue.version);
        }
        _ => {}
    }
}
