//! Which roles the database must have, and the statements that make them: SQL as data.

use std::collections::BTreeSet;

use crate::clients::{
    ANY_DATABASE, CLIENTS, LEFTOVERS, OWNER_MARK, USER_MARK, identifier, literal,
};
use crate::observed::{Database, SystemUser};

/// A statement and what it is for. Its text never holds a password: verifiers are put in by the
/// one who runs it, see [`Sql::Password`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// What it does, for the log.
    pub note: String,
    /// What is run.
    pub sql: Sql,
}

/// The forms of statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sql {
    /// As it stands.
    Text(String),
    /// Sets the role's password to the one in the secret, as a SCRAM verifier.
    Password(SystemUser),
    /// Sets the password of a client's user to the one that the client has, as a SCRAM verifier.
    ClientPassword(String),
}

/// Roles that nobody logs in as: the groups that `pg_hba.conf` names, and the heir of what clients
/// leave.
pub const ACCESS_GROUPS: [&str; 5] = [
    "identity_access",
    "internal_access",
    CLIENTS,
    ANY_DATABASE,
    LEFTOVERS,
];

/// Comments by which revisions before the marks told whose a role was.
const FORMER_MARKS: [(&str, &str); 2] = [
    (USER_MARK, "user of a client, kept by the charm"),
    (
        OWNER_MARK,
        "owner of the database of this name, kept by the charm",
    ),
];

/// The group for clients that ask for the role `admin`.
pub const ADMIN: &str = "admin";

/// What has to change so that the charm's roles stand.
#[must_use]
pub fn statements(database: &Database) -> Vec<Statement> {
    let mut plan = Statements(Vec::new());
    if !database.public_revoked {
        plan.text(
            "PUBLIC loses its rights on database postgres",
            "REVOKE ALL PRIVILEGES ON DATABASE postgres FROM PUBLIC",
        );
        plan.text(
            "PUBLIC may not create in schema public",
            "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        );
        plan.text(
            "PUBLIC may not enter what new databases are copied from",
            "REVOKE ALL PRIVILEGES ON DATABASE template1 FROM PUBLIC",
        );
    }
    if !database.marks {
        marks(&mut plan);
    }
    for user in SystemUser::ROLES {
        system_role(&mut plan, database, user);
    }
    if !database.roles.contains_key(ADMIN) {
        plan.text("group admin", "CREATE ROLE admin NOLOGIN");
        plan.text(
            "admin reads and writes all data",
            "GRANT pg_read_all_data, pg_write_all_data TO admin",
        );
        plan.text(
            "admin connects to database postgres",
            "GRANT CONNECT ON DATABASE postgres TO admin",
        );
    }
    for group in ACCESS_GROUPS {
        if !database.roles.contains_key(group) {
            plan.text(
                &format!("group {group}"),
                &format!("CREATE ROLE {} NOLOGIN", quote(group)),
            );
        }
    }
    for group in ACCESS_GROUPS.into_iter().chain([ADMIN]) {
        if database.roles.get(group).is_some_and(|role| role.login) {
            plan.text(
                &format!("nobody logs in as {group}"),
                &format!("ALTER ROLE {} NOLOGIN PASSWORD NULL", quote(group)),
            );
        }
    }
    for user in SystemUser::ROLES {
        grants(&mut plan, database, user);
        settings(&mut plan, database, user);
    }
    plan.0.extend(crate::predefined::statements(database));
    plan.0
}

/// Statements for one user whose password no longer fits the secret; none if it fits.
#[must_use]
pub fn password_statements(database: &Database) -> Vec<Statement> {
    let unfit = |user: &SystemUser| {
        database
            .roles
            .get(user.name())
            .is_some_and(|role| role.password_fits == Some(false))
    };
    SystemUser::ROLES
        .into_iter()
        .filter(unfit)
        .map(|user| Statement {
            note: format!("{} gets the password of the secret", user.name()),
            sql: Sql::Password(user),
        })
        .collect()
}

/// A name as an SQL identifier.
#[must_use]
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

struct Statements(Vec<Statement>);

impl Statements {
    fn text(&mut self, note: &str, sql: &str) {
        self.0.push(Statement {
            note: note.to_owned(),
            sql: Sql::Text(sql.to_owned()),
        });
    }
}

/// The schemas whose use marks a role as the charm's. Roles that a former revision has marked by a
/// comment keep their mark: users by their name, owners by what they own.
fn marks(plan: &mut Statements) {
    for (mark, comment) in FORMER_MARKS {
        plan.text(
            &format!("schema {mark}, by whose use the charm knows its roles"),
            &format!("CREATE SCHEMA {}", quote(mark)),
        );
        let kind = if mark == USER_MARK {
            "r.rolname ~ '^relation_id_[0-9]+'"
        } else {
            "NOT r.rolcanlogin AND NOT r.rolsuper AND EXISTS (SELECT 1 FROM pg_catalog.pg_database d \
             WHERE d.datname = r.rolname AND d.datdba = r.oid)"
        };
        let body = format!(
            "DECLARE marked pg_catalog.name; BEGIN FOR marked IN \
             SELECT r.rolname FROM pg_catalog.pg_roles r \
             WHERE pg_catalog.shobj_description(r.oid, 'pg_authid') = {} AND {kind} \
             LOOP EXECUTE pg_catalog.format('GRANT USAGE ON SCHEMA {mark} TO %I', marked); \
             END LOOP; END",
            literal(comment)
        );
        plan.text(
            "roles that a former revision has marked keep their mark",
            &format!("DO {}", literal(&body)),
        );
    }
}

fn attributes(user: SystemUser) -> &'static str {
    match user {
        SystemUser::Backup | SystemUser::Operator => "LOGIN SUPERUSER",
        SystemUser::Replication => "LOGIN REPLICATION",
        _ => "LOGIN",
    }
}

fn system_role(plan: &mut Statements, database: &Database, user: SystemUser) {
    let name = user.name();
    let role = database.roles.get(name);
    if role.is_none() {
        plan.text(
            &format!("user {name}"),
            &format!("CREATE ROLE {} {}", quote(name), attributes(user)),
        );
        if user == SystemUser::Rewind {
            for function in [
                "pg_ls_dir(text, boolean, boolean)",
                "pg_stat_file(text, boolean)",
                "pg_read_binary_file(text)",
                "pg_read_binary_file(text, bigint, bigint, boolean)",
            ] {
                plan.text(
                    "rewind reads the files of the data directory",
                    &format!("GRANT EXECUTE ON FUNCTION pg_catalog.{function} TO rewind"),
                );
            }
        }
    }
    if role.is_some_and(|role| !role.login) {
        plan.text(
            &format!("{name} may log in"),
            &format!("ALTER ROLE {} LOGIN", quote(name)),
        );
    }
    // backup has no password until an operator sets one: it comes in by the local peer map alone.
    let fits = role.map_or(Some(user == SystemUser::Backup), |role| role.password_fits);
    if fits == Some(false) {
        plan.0.push(Statement {
            note: format!("{name} gets the password of the secret"),
            sql: Sql::Password(user),
        });
    }
}

/// Nobody but the charm has anything to set for its own users: a library that is not there, say, would
/// keep every standby out. What is set for `operator` is an operator's; the charm's sessions do not
/// go by it.
fn settings(plan: &mut Statements, database: &Database, user: SystemUser) {
    let name = user.name();
    let role = database
        .roles
        .get(name)
        .filter(|_| user != SystemUser::Operator);
    for place in role.iter().flat_map(|role| &role.settings) {
        let place = match place.as_str() {
            "" => String::new(),
            database => format!(" IN DATABASE {}", identifier(database)),
        };
        plan.text(
            &format!("{name} has no settings of its own"),
            &format!("ALTER ROLE {}{place} RESET ALL", quote(name)),
        );
    }
}

fn grants(plan: &mut Statements, database: &Database, user: SystemUser) {
    let name = user.name();
    let role = database.roles.get(name);
    let none = BTreeSet::new();
    let groups = role.map_or(&none, |role| &role.member_of);
    if user == SystemUser::Monitoring && !groups.contains("pg_monitor") {
        plan.text(
            "monitoring reads statistics",
            "GRANT pg_monitor TO monitoring",
        );
    }
    if !groups.contains("internal_access") {
        plan.text(
            &format!("{name} may connect"),
            &format!("GRANT internal_access TO {}", quote(name)),
        );
    }
    if !role.is_some_and(|role| role.connects_postgres) {
        plan.text(
            &format!("{name} enters database postgres"),
            &format!("GRANT CONNECT ON DATABASE postgres TO {}", quote(name)),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::RoleFacts;

    fn role(groups: &[&str], fits: Option<bool>) -> RoleFacts {
        RoleFacts {
            login: true,
            superuser: false,
            member_of: groups.iter().map(ToString::to_string).collect(),
            password_fits: fits,
            connects_postgres: true,
            settings: BTreeSet::new(),
        }
    }

    fn complete() -> Database {
        let mut database = Database {
            public_revoked: true,
            marks: true,
            ..Database::default()
        };
        for user in SystemUser::ROLES {
            let fits = (user != SystemUser::Backup).then_some(true);
            database.roles.insert(
                user.name().into(),
                role(&["internal_access", "pg_monitor"], fits),
            );
        }
        for group in ACCESS_GROUPS.into_iter().chain([ADMIN]) {
            database.roles.insert(group.into(), RoleFacts::default());
        }
        database
    }

    #[test]
    fn a_complete_database_is_left_alone() {
        assert_eq!(statements(&complete()), vec![]);
    }

    #[test]
    fn a_fresh_database_gets_every_role() {
        let notes: Vec<_> = statements(&Database::default())
            .into_iter()
            .map(|s| s.note)
            .collect();
        for expected in [
            "user backup",
            "user monitoring",
            "group admin",
            "group relation_access",
        ] {
            assert!(
                notes.iter().any(|n| n == expected),
                "{expected} in {notes:?}"
            );
        }
        assert!(!notes.iter().any(|n| n.contains("backup gets the password")));
    }

    #[test]
    fn a_user_of_the_charms_that_others_have_shut_out_may_log_in_again() {
        let mut database = complete();
        database.roles.get_mut("monitoring").unwrap().login = false;
        let texts: Vec<_> = statements(&database).into_iter().map(|s| s.sql).collect();
        let login = "ALTER ROLE \"monitoring\" LOGIN".to_owned();
        assert_eq!(texts, [Sql::Text(login)]);
    }

    #[test]
    fn a_group_that_others_have_let_log_in_is_a_group_again() {
        let mut database = complete();
        for group in [LEFTOVERS, ADMIN] {
            database.roles.get_mut(group).unwrap().login = true;
        }
        let all: Vec<_> = statements(&database).into_iter().map(|s| s.sql).collect();
        let expected = [LEFTOVERS, ADMIN]
            .map(|name| Sql::Text(format!("ALTER ROLE \"{name}\" NOLOGIN PASSWORD NULL")));
        assert_eq!(all, expected);
    }

    #[test]
    fn what_others_have_set_for_the_charms_users_goes_but_for_operator() {
        let mut database = complete();
        let places: BTreeSet<String> = ["", "app \"1\""].map(str::to_owned).into();
        for user in ["operator", "replication"] {
            let role = database.roles.get_mut(user).unwrap();
            role.settings.clone_from(&places);
        }
        let texts: Vec<_> = statements(&database).into_iter().map(|s| s.sql).collect();
        let expected = [
            r#"ALTER ROLE "replication" RESET ALL"#,
            r#"ALTER ROLE "replication" IN DATABASE "app ""1""" RESET ALL"#,
        ];
        assert_eq!(texts, expected.map(|text| Sql::Text(text.to_owned())));
    }

    #[test]
    fn only_a_password_that_does_not_fit_is_set() {
        let mut database = complete();
        database.roles.get_mut("replication").unwrap().password_fits = Some(false);
        let expected = vec![Statement {
            note: "replication gets the password of the secret".into(),
            sql: Sql::Password(SystemUser::Replication),
        }];
        assert_eq!(statements(&database), expected);
        assert_eq!(password_statements(&database), expected);
    }
}
