//! The roles that the peer charm's 16 track predefines, with PostgreSQL 15 and newer.
//!
//! A pooler goes by the version that it is told, and from 15 on counts on these roles, on a function
//! that makes three more for the database it is called in, and on sessions that act as the database's
//! owner from their first statement on. There is no login hook in the image: a setting of the user says
//! the same.

use std::collections::BTreeSet;

use crate::clients::{OWNER_MARK, POSTGRES, identifier, literal};
use crate::observed::{Database, SystemUser};
use crate::roles::{Sql, Statement};

/// The first major version with these roles.
pub const SINCE: u32 = 15;

/// What all of their names begin with.
pub const PREFIX: &str = "charmed_";

/// Reads the data of all databases of clients.
pub const READ: &str = "charmed_read";
/// Reads and writes it.
pub const DML: &str = "charmed_dml";
/// Reads statistics.
pub const STATS: &str = "charmed_stats";
/// Acts as the owner of each database of clients.
pub const ADMIN: &str = "charmed_admin";
/// Makes databases, for a pooler.
pub const DATABASES_OWNER: &str = "charmed_databases_owner";

/// Those that a client may ask for.
pub const FOR_CLIENTS: [&str; 4] = [STATS, READ, DML, ADMIN];

/// With one of these a client enters its database, and does not own it.
pub const GUESTS: [&str; 3] = [STATS, READ, DML];

/// Those that may enter every database of clients.
const ENTERING: &str =
    "charmed_stats, charmed_read, charmed_dml, charmed_backup, charmed_dba, charmed_admin";

/// Longest name of a database that has roles of its own.
pub const LONGEST: usize = 49;

/// Databases that the 16 track gives nobody, beyond those that no client gets anyway.
const NOBODYS: &str = "databases";

/// A role, its attributes and what it is in. Each is in what comes before it.
const ROLES: [(&str, &str, &[&str]); 7] = [
    (STATS, "NOLOGIN NOCREATEDB", &["pg_monitor"]),
    (READ, "NOLOGIN NOCREATEDB", &["pg_read_all_data", STATS]),
    (DML, "NOLOGIN NOCREATEDB", &["pg_write_all_data", READ]),
    (
        "charmed_backup",
        "NOLOGIN NOCREATEDB",
        &["pg_checkpoint", STATS],
    ),
    ("charmed_dba", "NOLOGIN CREATEDB", &[DML]),
    (ADMIN, "NOLOGIN NOCREATEDB", &[DML]),
    // Who makes databases has nothing in those of others.
    (DATABASES_OWNER, "NOLOGIN CREATEDB", &[]),
];

/// What `charmed_backup` calls, in the database `postgres`.
const BACKUP: [&str; 4] = [
    "pg_backup_start(text, boolean)",
    "pg_backup_stop(boolean)",
    "pg_create_restore_point(text)",
    "pg_switch_wal()",
];

/// A user whose sessions are to act as a role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Acting {
    /// The user.
    pub user: String,
    /// In this database; everywhere else where there is none.
    pub database: Option<String>,
    /// The role.
    pub role: String,
}

/// Whether a server of this version has the roles.
#[must_use]
pub fn has(version: &str) -> bool {
    let major = version.split(['.', ' ']).next().unwrap_or_default();
    major.parse::<u32>().is_ok_and(|major| major >= SINCE)
}

/// No client gets a database of this name: roles of another one may have it, or it is nobody's.
#[must_use]
pub fn forbidden(database: &str) -> bool {
    database == NOBODYS || database.starts_with(PREFIX)
}

/// What has to change so that the roles stand.
#[must_use]
pub fn statements(database: &Database) -> Vec<Statement> {
    let mut plan = Vec::new();
    if database.major < SINCE {
        return plan;
    }
    let mut text = |note: String, sql: String| {
        plan.push(Statement {
            note,
            sql: Sql::Text(sql),
        });
    };
    let nobody = BTreeSet::new();
    let mut new = false;
    for (name, attributes, groups) in ROLES {
        let role = database.roles.get(name);
        if role.is_none() {
            new = true;
            text(
                format!("group {name}"),
                format!("CREATE ROLE {} {attributes}", identifier(name)),
            );
        }
        let first = database.catalog_roles.is_none();
        if role.is_some_and(|role| first || role.login || role.superuser) {
            text(
                format!("nobody logs in as {name}"),
                format!(
                    "ALTER ROLE {} {attributes} NOSUPERUSER NOCREATEROLE NOREPLICATION",
                    identifier(name)
                ),
            );
        }
        let has = role.map_or(&nobody, |role| &role.member_of);
        for group in groups.iter().filter(|group| !has.contains(**group)) {
            text(
                format!("{name} is in {group}"),
                format!("GRANT {} TO {}", identifier(group), identifier(name)),
            );
        }
        if name != DATABASES_OWNER && !role.is_some_and(|role| role.connects_postgres) {
            text(
                format!("{name} enters database postgres"),
                format!("GRANT CONNECT ON DATABASE postgres TO {}", identifier(name)),
            );
        }
    }
    if new {
        for function in BACKUP {
            text(
                "charmed_backup makes backups".to_owned(),
                format!("GRANT EXECUTE ON FUNCTION pg_catalog.{function} TO charmed_backup"),
            );
        }
    }
    if database.catalog_roles.is_none() {
        text(
            "whoever has been in roles of these names before is not any more".to_owned(),
            format!("DO {}", literal(STRANGERS)),
        );
    }
    if new || database.catalog_roles.is_none() {
        text(
            "the databases of clients let them in".to_owned(),
            format!("DO {}", literal(&databases_there())),
        );
    }
    plan
}

/// Members that are not these roles themselves, before the charm has had any to do with them.
const STRANGERS: &str = "\
DECLARE item record; BEGIN FOR item IN \
SELECT r.rolname::pg_catalog.text AS role, m.rolname::pg_catalog.text AS member, \
  CASE WHEN pg_catalog.current_setting('server_version_num')::pg_catalog.int4 \
      OPERATOR(pg_catalog.>=) 160000::pg_catalog.int4 \
    THEN pg_catalog.format(' GRANTED BY %I CASCADE', pg_catalog.pg_get_userbyid(g.grantor)) END AS whose \
FROM pg_catalog.pg_auth_members g \
JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) g.roleid \
JOIN pg_catalog.pg_roles m ON m.oid OPERATOR(pg_catalog.=) g.member \
WHERE r.rolname::pg_catalog.text OPERATOR(pg_catalog.~) '^charmed_'::pg_catalog.text \
  AND m.rolname::pg_catalog.text OPERATOR(pg_catalog.!~) '^charmed_'::pg_catalog.text \
LOOP EXECUTE pg_catalog.format('REVOKE %I FROM %I%s', item.role, item.member, item.whose); END LOOP; END";

/// The databases that clients have already: what [`entering`] runs for a new one.
fn databases_there() -> String {
    format!(
        "DECLARE item record; BEGIN FOR item IN \
         SELECT d.datname::pg_catalog.text AS name FROM pg_catalog.pg_database d \
         JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) d.datdba \
         WHERE r.rolname OPERATOR(pg_catalog.=) d.datname AND EXISTS (SELECT 1 \
           FROM pg_catalog.pg_namespace n, pg_catalog.aclexplode(n.nspacl) a \
           WHERE n.nspname OPERATOR(pg_catalog.=) '{OWNER_MARK}'::pg_catalog.name \
             AND n.nspowner OPERATOR(pg_catalog.=) 10::pg_catalog.oid \
             AND a.grantee OPERATOR(pg_catalog.=) r.oid) \
         LOOP EXECUTE pg_catalog.format('GRANT CONNECT ON DATABASE %I TO {ENTERING}', item.name); \
         EXECUTE pg_catalog.format('GRANT %I TO {ADMIN}', item.name); END LOOP; END"
    )
}

/// What lets the roles into a new database of clients.
#[must_use]
pub fn entering(database: &str) -> [(String, String); 2] {
    let name = identifier(database);
    [
        (
            "and the predefined roles".to_owned(),
            format!("GRANT CONNECT ON DATABASE {name} TO {ENTERING}"),
        ),
        (
            format!("{ADMIN} acts as its owner"),
            format!("GRANT {name} TO {ADMIN}"),
        ),
    ]
}

/// Sessions of users that a pooler has made act as it expects.
#[must_use]
pub fn acting(database: &Database) -> Vec<Statement> {
    let statement = |acting: &Acting| {
        let (place, within) = match &acting.database {
            Some(name) => (
                format!(" IN DATABASE {}", identifier(name)),
                format!("in {name} "),
            ),
            None => (String::new(), String::new()),
        };
        Statement {
            note: format!("{} acts {within}as {}", acting.user, acting.role),
            sql: Sql::Text(format!(
                "ALTER ROLE {}{place} SET role TO {}",
                identifier(&acting.user),
                literal(&acting.role)
            )),
        }
    };
    let theirs = |acting: &&Acting| SystemUser::from_name(&acting.user).is_none();
    database
        .acting
        .iter()
        .filter(theirs)
        .map(statement)
        .collect()
}

/// Databases that lack the function that makes a database's own roles: `template1`, which new ones are
/// copied from, and all others, `postgres` last, as it is the one that is looked into.
#[must_use]
pub fn lacking(database: &Database) -> Vec<&str> {
    if database.major < SINCE || database.catalog_roles.as_deref() == Some(&*source()) {
        return Vec::new();
    }
    let names = database.databases.keys().map(String::as_str);
    let mut names: Vec<&str> = names.filter(|name| *name != POSTGRES).collect();
    names.push(POSTGRES);
    names
}

/// The statement that makes the function. It is where no client can put anything before it, or drop it,
/// and a dump has nothing of it.
#[must_use]
pub fn function() -> String {
    format!(
        "CREATE OR REPLACE FUNCTION pg_catalog.set_up_predefined_catalog_roles() \
         RETURNS pg_catalog.void LANGUAGE plpgsql SECURITY DEFINER \
         SET search_path TO pg_catalog, pg_temp AS {}",
        literal(&source())
    )
}

/// The function's text: the roles of the database that it is called in. A superuser may, as a pooler is
/// one, and who may make databases where nobody has before.
fn source() -> String {
    format!("{DECLARED}{WHO_MAY}{OWN_ROLES}{OWNERSHIP}{RIGHTS}").replace("ENTERING", ENTERING)
}

const DECLARED: &str = "\
DECLARE base pg_catalog.text := pg_catalog.current_database()::pg_catalog.text; \
this pg_catalog.oid := (SELECT d.oid FROM pg_catalog.pg_database d \
  WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()); \
caller pg_catalog.text := session_user::pg_catalog.text; \
owner_role pg_catalog.text := pg_catalog.concat('charmed_', base, '_owner'); \
admin_role pg_catalog.text := pg_catalog.concat('charmed_', base, '_admin'); \
dml_role pg_catalog.text := pg_catalog.concat('charmed_', base, '_dml'); \
holder record; acts pg_catalog.text; item pg_catalog.text; high pg_catalog.bool; \
BEGIN ";

/// Which databases, and who.
const WHO_MAY: &str = "\
SELECT r.rolname::pg_catalog.text AS name, r.rolsuper AS super, r.rolcanlogin AS login INTO holder \
  FROM pg_catalog.pg_database d JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) d.datdba \
  WHERE d.oid OPERATOR(pg_catalog.=) this; \
high := (SELECT r.rolsuper FROM pg_catalog.pg_roles r \
  WHERE r.rolname::pg_catalog.text OPERATOR(pg_catalog.=) caller); \
IF base OPERATOR(pg_catalog.=) ANY ('{postgres,template0,template1}'::pg_catalog.text[]) \
  OR pg_catalog.octet_length(base) OPERATOR(pg_catalog.>) 49 THEN \
  RAISE EXCEPTION 'database % has no roles of its own', base USING ERRCODE = '22023'; END IF; \
IF NOT high AND NOT (holder.name OPERATOR(pg_catalog.=) 'charmed_databases_owner'::pg_catalog.text \
  AND pg_catalog.pg_has_role(session_user, 'charmed_databases_owner'::pg_catalog.name, 'MEMBER')) THEN \
  RAISE EXCEPTION 'only who has made database % may make its roles', base USING ERRCODE = '42501'; END IF; ";

/// A role that is there before it has anything to do with the database may be anybody's.
const OWN_ROLES: &str = "\
FOREACH item IN ARRAY ARRAY[owner_role, admin_role, dml_role] LOOP \
  IF NOT EXISTS (SELECT 1 FROM pg_catalog.pg_roles r \
    WHERE r.rolname::pg_catalog.text OPERATOR(pg_catalog.=) item) THEN \
    EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', item); \
  ELSIF NOT EXISTS (SELECT 1 FROM pg_catalog.pg_shdepend s \
    JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) s.refobjid \
    WHERE s.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_authid'::pg_catalog.regclass::pg_catalog.oid \
      AND r.rolname::pg_catalog.text OPERATOR(pg_catalog.=) item \
      AND s.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_database'::pg_catalog.regclass::pg_catalog.oid \
      AND s.objid OPERATOR(pg_catalog.=) this) THEN \
    RAISE EXCEPTION 'role % is there already, and is not of database %', item, base \
      USING ERRCODE = '42710', HINT = 'Drop that role first.'; END IF; END LOOP; \
EXECUTE pg_catalog.format('ALTER ROLE %I NOINHERIT', admin_role); \
EXECUTE pg_catalog.format('GRANT %I TO %I', owner_role, admin_role); \
EXECUTE pg_catalog.format('GRANT %I TO charmed_admin', admin_role); ";

/// A database that the charm has made stays its owner's, one that a superuser or a pooler has made
/// becomes the new role's, and one that a client has made for itself stays that client's.
const OWNERSHIP: &str = "\
IF holder.name OPERATOR(pg_catalog.=) base AND NOT holder.login THEN acts := base; \
  EXECUTE pg_catalog.format('GRANT %I TO %I', base, owner_role); \
ELSE acts := owner_role; \
  IF holder.super OR holder.name OPERATOR(pg_catalog.=) 'charmed_databases_owner'::pg_catalog.text THEN \
    EXECUTE pg_catalog.format('ALTER DATABASE %I OWNER TO %I', base, owner_role); \
  ELSIF holder.name OPERATOR(pg_catalog.<>) owner_role THEN \
    RAISE EXCEPTION 'database % is another client''s', base USING ERRCODE = '42501'; END IF; \
  EXECUTE pg_catalog.format('REVOKE ALL ON DATABASE %I FROM PUBLIC', base); END IF; \
IF EXISTS (SELECT 1 FROM pg_catalog.pg_namespace n \
  WHERE n.nspname OPERATOR(pg_catalog.=) 'public'::pg_catalog.name) THEN \
  REVOKE CREATE ON SCHEMA public FROM PUBLIC; \
  EXECUTE pg_catalog.format('GRANT ALL ON SCHEMA public TO %I', owner_role); END IF; ";

const RIGHTS: &str = "\
EXECUTE pg_catalog.format('GRANT CREATE, TEMPORARY, CONNECT ON DATABASE %I TO %I', base, owner_role); \
EXECUTE pg_catalog.format('GRANT CONNECT ON DATABASE %I TO %I, %I, monitoring, ENTERING', \
  base, admin_role, dml_role); \
EXECUTE pg_catalog.format('GRANT ALL ON DATABASE %I TO admin', base); \
EXECUTE pg_catalog.format('ALTER DEFAULT PRIVILEGES FOR ROLE %I GRANT SELECT ON TABLES TO %I', acts, admin_role); \
EXECUTE pg_catalog.format('ALTER DEFAULT PRIVILEGES FOR ROLE %I GRANT SELECT ON SEQUENCES TO %I', acts, admin_role); \
EXECUTE pg_catalog.format('ALTER DEFAULT PRIVILEGES FOR ROLE %I GRANT EXECUTE ON FUNCTIONS TO %I', acts, admin_role); \
EXECUTE pg_catalog.format('ALTER DEFAULT PRIVILEGES FOR ROLE %I GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO %I', \
  acts, dml_role); \
EXECUTE pg_catalog.format('ALTER DEFAULT PRIVILEGES FOR ROLE %I GRANT USAGE, SELECT ON SEQUENCES TO %I', acts, dml_role); \
IF NOT high THEN EXECUTE pg_catalog.format('GRANT %I, %I TO %I', admin_role, dml_role, caller); END IF; \
END";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::RoleFacts;

    fn fresh(major: u32) -> Database {
        Database {
            major,
            databases: ["a", "postgres", "template1", "z"]
                .map(|name| (name.to_owned(), "1".to_owned()))
                .into(),
            ..Database::default()
        }
    }

    fn complete() -> Database {
        let mut database = fresh(SINCE);
        database.catalog_roles = Some(source());
        for (name, _, groups) in ROLES {
            let role = RoleFacts {
                member_of: groups.iter().map(ToString::to_string).collect(),
                connects_postgres: true,
                ..RoleFacts::default()
            };
            database.roles.insert(name.to_owned(), role);
        }
        database
    }

    fn texts(statements: Vec<Statement>) -> Vec<String> {
        statements
            .into_iter()
            .filter_map(|statement| match statement.sql {
                Sql::Text(text) => Some(text),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn before_postgresql_15_there_is_nothing_of_it() {
        assert_eq!(statements(&fresh(14)), vec![]);
        assert_eq!(lacking(&fresh(14)), Vec::<&str>::new());
        assert!(!has("14.23") && has("15.18 (Debian 15.18-0)") && has("17.2") && !has(""));
    }

    #[test]
    fn a_complete_database_is_left_alone() {
        assert_eq!(statements(&complete()), vec![]);
        assert_eq!(lacking(&complete()), Vec::<&str>::new());
    }

    #[test]
    fn nobody_logs_in_as_a_predefined_role_and_none_has_a_password() {
        let all = texts(statements(&fresh(16)));
        let made: Vec<_> = all
            .iter()
            .filter(|t| t.starts_with("CREATE ROLE"))
            .collect();
        assert_eq!(made.len(), ROLES.len());
        assert!(made.iter().all(|text| text.contains("NOLOGIN")), "{made:?}");
        assert!(all.iter().all(|text| !text.contains("PASSWORD")));
        let mut opened = complete();
        opened.roles.get_mut(DATABASES_OWNER).unwrap().login = true;
        let shut = r#"ALTER ROLE "charmed_databases_owner" NOLOGIN CREATEDB NOSUPERUSER NOCREATEROLE NOREPLICATION"#;
        assert_eq!(texts(statements(&opened)), [shut]);
    }

    #[test]
    fn members_that_a_pooler_has_made_stay_when_the_function_is_a_newer_one() {
        let mut older = complete();
        older.catalog_roles = Some("BEGIN END".to_owned());
        assert_eq!(statements(&older), vec![]);
        assert_eq!(lacking(&older), ["a", "template1", "z", "postgres"]);
    }

    #[test]
    fn a_poolers_users_act_as_it_expects_and_the_charms_own_never_do() {
        let mut database = complete();
        for (user, place) in [
            ("relation_id_7", Some("sh\"op")),
            ("relation_id_8", None),
            ("replication", None),
        ] {
            database.acting.insert(Acting {
                user: user.to_owned(),
                database: place.map(str::to_owned),
                role: "it's".to_owned(),
            });
        }
        let expected = [
            r#"ALTER ROLE "relation_id_7" IN DATABASE "sh""op" SET role TO 'it''s'"#,
            r#"ALTER ROLE "relation_id_8" SET role TO 'it''s'"#,
        ];
        assert_eq!(texts(acting(&database)), expected);
    }

    #[test]
    fn names_that_roles_of_other_databases_have_are_no_databases() {
        for name in ["databases", "charmed_shop_owner", "charmed_dml"] {
            assert!(forbidden(name), "{name}");
        }
        assert!(!forbidden("shop"));
    }
}
