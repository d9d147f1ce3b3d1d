//! What the primary's catalogue tells about clients.

use std::collections::BTreeSet;

use cluster_plan::clients::{
    ANY_DATABASE, Catalogue, Client, DatabaseFacts, Login, OwnerFacts, Place, UserFacts,
};
use secrecy::SecretString;
use serde_json::Value;

use super::Clients;
use crate::ports::{Database, PortResult, Server};
use crate::scram;

/// The users of all clients, by the schema that marks them ($1).
pub const USERS: &str = "\
SELECT r.rolname::pg_catalog.text FROM pg_catalog.pg_roles r \
WHERE r.rolname ~ '^relation_id_[0-9]+(_[0-9a-z]+)?(__2)?$' \
  AND EXISTS (SELECT 1 FROM pg_catalog.pg_namespace n, pg_catalog.aclexplode(n.nspacl) a \
    WHERE n.nspname = $1::pg_catalog.text AND n.nspowner = 10 AND a.grantee = r.oid) ORDER BY 1";

/// One client: its user ($1), its database ($2) and the roles that matter (a JSON list, $3); $4 is
/// the schema that marks the owner of a database, $5 the one that marks a client's user.
pub const CLIENT: &str = "\
WITH marked AS (SELECT n.nspname::pg_catalog.text AS mark, a.grantee AS id \
  FROM pg_catalog.pg_namespace n, pg_catalog.aclexplode(n.nspacl) a WHERE n.nspowner = 10) \
SELECT 'user', r.rolcanlogin::pg_catalog.text, r.rolsuper::pg_catalog.text, \
  r.rolcreatedb::pg_catalog.text, r.rolcreaterole::pg_catalog.text, r.rolpassword::pg_catalog.text, \
  (SELECT pg_catalog.json_agg(g.rolname)::pg_catalog.text FROM pg_catalog.pg_auth_members m \
     JOIN pg_catalog.pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid), \
  EXISTS (SELECT 1 FROM pg_catalog.pg_db_role_setting s \
     JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase WHERE s.setrole = r.oid \
     AND d.datname = $2::pg_catalog.text \
     AND ('role=' || $2::pg_catalog.text) = ANY (s.setconfig))::pg_catalog.text, \
  EXISTS (SELECT 1 FROM marked WHERE mark = $5::pg_catalog.text AND id = r.oid)::pg_catalog.text, \
  (SELECT pg_catalog.json_agg(g.rolname)::pg_catalog.text FROM pg_catalog.pg_auth_members m \
     JOIN pg_catalog.pg_roles g ON g.oid = m.member WHERE m.roleid = r.oid) \
FROM pg_catalog.pg_authid r WHERE r.rolname = $1::pg_catalog.text \
UNION ALL \
SELECT 'role', r.rolname::pg_catalog.text, r.rolcanlogin::pg_catalog.text, \
  EXISTS (SELECT 1 FROM pg_catalog.pg_roles p WHERE pg_catalog.pg_has_role(r.oid, p.oid, 'MEMBER') \
    AND (p.rolsuper OR p.rolname IN ('pg_execute_server_program', 'pg_read_server_files', \
      'pg_write_server_files', 'pg_signal_backend', 'pg_use_reserved_connections')))::pg_catalog.text, \
  EXISTS (SELECT 1 FROM marked WHERE mark = $4::pg_catalog.text AND id = r.oid)::pg_catalog.text, \
  NULL, NULL, NULL, NULL, NULL \
FROM pg_catalog.pg_roles r WHERE r.rolname = $2::pg_catalog.text \
  OR r.rolname::pg_catalog.text IN \
    (SELECT pg_catalog.json_array_elements_text($3::pg_catalog.text::pg_catalog.json)) \
UNION ALL \
SELECT 'database', d.datname::pg_catalog.text, (o.rolname = d.datname)::pg_catalog.text, \
  (d.datdba = 10)::pg_catalog.text, NULL, NULL, NULL, NULL, NULL, NULL \
FROM pg_catalog.pg_database d JOIN pg_catalog.pg_roles o ON o.oid = d.datdba \
WHERE d.datname = $2::pg_catalog.text \
UNION ALL \
SELECT 'version', pg_catalog.current_setting('server_version'), \
  NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL";

/// Databases in which a user ($1) owns or may do something: whether the owner is the charm's role of
/// its name, by the schema that marks it ($2), whether it is closed, and whether a `DROP DATABASE`
/// was broken off, which leaves one that can only be dropped.
pub const OWNED: &str = "\
SELECT d.datname::pg_catalog.text, (o.rolname = d.datname AND EXISTS (SELECT 1 \
    FROM pg_catalog.pg_namespace n, pg_catalog.aclexplode(n.nspacl) a \
    WHERE n.nspname = $2::pg_catalog.text AND n.nspowner = 10 AND a.grantee = o.oid))::pg_catalog.text, \
  (NOT d.datallowconn)::pg_catalog.text, (d.datconnlimit = -2)::pg_catalog.text \
FROM pg_catalog.pg_database d JOIN pg_catalog.pg_roles o ON o.oid = d.datdba WHERE d.oid IN \
  (SELECT s.dbid FROM pg_catalog.pg_shdepend s JOIN pg_catalog.pg_roles r ON r.oid = s.refobjid \
   WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass \
     AND r.rolname = $1::pg_catalog.text) ORDER BY 1";

/// Prepared transactions that keep a user ($1) from being dropped: where, and what each is called. Of
/// one the locks are no session's, and have its virtual transaction in common.
pub const PREPARED: &str = "\
SELECT p.database::pg_catalog.text, p.gid FROM pg_catalog.pg_prepared_xacts p \
JOIN pg_catalog.pg_locks x ON x.locktype = 'transactionid' AND x.transactionid = p.transaction \
WHERE EXISTS (SELECT 1 FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_roles r ON r.oid = l.objid \
  WHERE l.virtualtransaction = x.virtualtransaction AND l.pid IS NULL AND l.locktype = 'object' \
    AND l.classid = 'pg_catalog.pg_authid'::pg_catalog.regclass \
    AND r.rolname = $1::pg_catalog.text) ORDER BY 1, 2";

/// Databases of clients whose names begin with $1, of owners that the schema $2 marks.
pub const PREFIXED: &str = "\
SELECT d.datname::pg_catalog.text FROM pg_catalog.pg_database d \
JOIN pg_catalog.pg_roles o ON o.oid = d.datdba \
WHERE o.rolname = d.datname \
  AND pg_catalog.left(d.datname::pg_catalog.text, pg_catalog.length($1::pg_catalog.text)) = $1::pg_catalog.text \
  AND EXISTS (SELECT 1 FROM pg_catalog.pg_namespace n, pg_catalog.aclexplode(n.nspacl) a \
    WHERE n.nspname = $2::pg_catalog.text AND n.nspowner = 10 AND a.grantee = o.oid) ORDER BY 1";

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

    /// Why a user stays, in short; the log has it whole.
    pub(super) fn held(&self, user: &str, why: &str) -> String {
        let rows = self
            .ports
            .database
            .look(&self.server, PREPARED, &[user])
            .unwrap_or_default();
        let mut first = None;
        for row in rows {
            let mut cells = row.into_iter().flatten();
            if let (Some(database), Some(gid)) = (cells.next(), cells.next()) {
                tracing::warn!(
                    "{user} is held by a prepared transaction: ROLLBACK PREPARED or COMMIT \
                     PREPARED {gid:?} in database {database:?}"
                );
                first.get_or_insert(database);
            }
        }
        match first {
            Some(database) => format!("end the prepared transaction in {database}"),
            None => why.to_owned(),
        }
    }

    /// Databases in which a user owns or may do something.
    pub(super) fn owned(&self, user: &str) -> PortResult<Vec<Place>> {
        let parameters = [user, cluster_plan::clients::OWNER_MARK];
        let rows = self.ports.database.look(&self.server, OWNED, &parameters)?;
        Ok(rows
            .into_iter()
            .filter_map(|row| {
                let mut cells = row.into_iter().flatten();
                let database = cells.next()?;
                let mut yes = || cells.next().as_deref() == Some("true");
                Some(Place {
                    database,
                    owned: yes(),
                    closed: yes(),
                    half_dropped: yes(),
                })
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
            let names = |list: Option<String>| -> BTreeSet<String> {
                list.and_then(|list| serde_json::from_str(&list).ok())
                    .unwrap_or_default()
            };
            let groups = names(text());
            let fits = |password| stored.as_deref().is_some_and(|s| scram::fits(password, s));
            catalogue.user = Some(UserFacts {
                attributes,
                member_of: groups,
                password_fits: password.is_some_and(fits),
                acts_as_owner: text().as_deref() == Some("true"),
                marked: text().as_deref() == Some("true"),
                members: names(text()),
            });
        }
        (Some("role"), Some(name)) => {
            let mut yes = || text().as_deref() == Some("true");
            let role = OwnerFacts {
                login: yes(),
                powerful: yes(),
                marked: yes(),
            };
            catalogue.roles.insert(name, role);
        }
        (Some("database"), _) => {
            let mut yes = || text().as_deref() == Some("true");
            catalogue.database = Some(DatabaseFacts {
                owned: yes(),
                of_operator: yes(),
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
