//! The statements, in batches: each runs in one database, as one transaction or alone.

use super::adopt::adopt;
use super::{
    ANY_DATABASE, Catalogue, Client, Grant, Kind, Login, OWNER_MARK, USER_MARK, UserFacts,
};
use crate::predefined;
use crate::roles::{Sql, Statement};

/// The database that is always there.
pub const POSTGRES: &str = "postgres";

/// Statements that are run together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// In this database.
    pub database: String,
    /// In one transaction; one that cannot be in a transaction is alone.
    pub transaction: bool,
    /// The statements.
    pub statements: Vec<Statement>,
}

impl Batch {
    pub(super) fn new(database: &str) -> Self {
        Self {
            database: database.to_owned(),
            transaction: true,
            statements: Vec::new(),
        }
    }

    /// The same, with the rights of this role alone.
    fn acting_as(database: &str, role: &str) -> Self {
        let mut batch = Self::new(database);
        batch.text(
            format!("as {role}"),
            format!("SET LOCAL ROLE {}", identifier(role)),
        );
        batch
    }

    pub(super) fn text(&mut self, note: impl Into<String>, sql: impl Into<String>) {
        self.statements.push(Statement {
            note: note.into(),
            sql: Sql::Text(sql.into()),
        });
    }
}

/// A name as an SQL identifier. NUL, which no name can have, is left out.
#[must_use]
pub fn identifier(name: &str) -> String {
    crate::roles::quote(&name.replace('\0', ""))
}

/// Text as an SQL literal, whatever `standard_conforming_strings` says.
#[must_use]
pub fn literal(text: &str) -> String {
    let text = text.replace('\0', "").replace('\'', "''");
    if text.contains('\\') {
        format!(" E'{}'", text.replace('\\', "\\\\"))
    } else {
        format!("'{text}'")
    }
}

/// What has to be run so that a client has what it asked for; nothing where it has.
#[must_use]
pub fn serve(client: &Client, catalogue: &Catalogue) -> Vec<Batch> {
    let mut batches = vec![roles(client, catalogue)];
    let owned = catalogue.database.as_ref().is_some_and(|d| d.owned);
    let has_own = !matches!(client.kind, Kind::Prefix(_));
    if has_own && !owned {
        if catalogue.database.is_none() {
            let mut create = Batch::new(POSTGRES);
            create.transaction = false;
            create.text(
                format!("database {}", client.database),
                format!("CREATE DATABASE {}", identifier(&client.database)),
            );
            batches.push(create);
            batches.push(shut(client, catalogue));
            batches.push(schema_public(client));
        } else {
            batches.push(shut(client, catalogue));
            batches.push(schema_public(client));
            batches.push(adopt(client));
        }
    }
    if !client.plain() {
        let owns = client.owns();
        batches.extend(owns.iter().map(|database| defaults(client, database)));
    }
    if has_own {
        batches.push(owner(client, catalogue, owned));
    }
    if matches!(client.kind, Kind::User | Kind::Group) {
        batches.push(grants(client));
    }
    if client.login == Login::Second && client.kind != Kind::Group {
        batches.push(second(client, catalogue));
    }
    batches.retain(|batch| !batch.statements.is_empty());
    batches
}

fn roles(client: &Client, catalogue: &Catalogue) -> Batch {
    let mut batch = Batch::new(POSTGRES);
    let database = identifier(&client.database);
    let has_own = !matches!(client.kind, Kind::Prefix(_));
    if has_own && !catalogue.roles.contains_key(&client.database) {
        batch.text(
            format!("owner of database {}", client.database),
            format!("CREATE ROLE {database} NOLOGIN"),
        );
        mark(&mut batch, "which is marked as such", OWNER_MARK, &database);
    }
    // Where a former revision has made the charm's roles, before the leader's plan adds this one.
    if client.groups().contains(ANY_DATABASE) && !catalogue.roles.contains_key(ANY_DATABASE) {
        batch.text(
            "group of the clients that may enter several databases",
            format!("CREATE ROLE {} NOLOGIN", identifier(ANY_DATABASE)),
        );
    }
    user_itself(&mut batch, client, catalogue);
    batch
}

fn user_itself(batch: &mut Batch, client: &Client, catalogue: &Catalogue) {
    let user = identifier(&client.user);
    let known = catalogue.user.clone().unwrap_or_default();
    let logs_in = client.kind != Kind::Group;
    let mut attributes = String::new();
    for name in ["login", "superuser", "createdb", "createrole"] {
        // While the second login is in use, this one's is only ever taken away.
        if name == "login" && client.login == Login::Second {
            continue;
        }
        let wanted = logs_in && (name == "login" || client.has(name));
        let not = match (wanted, known.attributes.contains(name)) {
            (true, false) => "",
            (false, true) => "NO",
            _ => continue,
        };
        attributes.extend([" ", not, &name.to_ascii_uppercase()]);
    }
    let there = catalogue.user.is_some();
    if !attributes.is_empty() || !there {
        let verb = if there { "ALTER" } else { "CREATE" };
        batch.text(
            format!("user {}", client.user),
            format!("{verb} ROLE {user}{attributes}"),
        );
    }
    if !known.marked {
        if there {
            take_over(batch, client, &known);
        }
        mark(batch, CLIENTS_ROLE, USER_MARK, &user);
    }
    if logs_in && client.login == Login::Own && !known.password_fits {
        batch.statements.push(Statement {
            note: format!("{} gets the password that the client has", client.user),
            sql: Sql::ClientPassword(client.user.clone()),
        });
    }
    for group in client.groups().iter().chain(&client.owns()) {
        if !known.member_of.contains(group) {
            batch.text(
                format!("{} is in {group}", client.user),
                format!("GRANT {} TO {user}", identifier(group)),
            );
        }
    }
}

/// What a mark says of a client's user.
const CLIENTS_ROLE: &str = "which is marked as a client's";

fn mark(batch: &mut Batch, note: &str, mark: &str, role: &str) {
    batch.text(
        note,
        format!("GRANT USAGE ON SCHEMA {} TO {role}", identifier(mark)),
    );
}

/// A role of the user's name that the charm has not made: whoever made it keeps no way into it.
fn take_over(batch: &mut Batch, client: &Client, known: &UserFacts) {
    let user = identifier(&client.user);
    for member in &known.members {
        batch.text(
            format!("{member} may not act as {}", client.user),
            format!("REVOKE {user} FROM {}", identifier(member)),
        );
    }
    for group in &known.member_of {
        if !client.groups().contains(group) && !client.owns().contains(group) {
            batch.text(
                format!("{} is not in {group}", client.user),
                format!("REVOKE {} FROM {user}", identifier(group)),
            );
        }
    }
    batch.text(
        "it has nothing else from before",
        format!("ALTER ROLE {user} NOREPLICATION NOBYPASSRLS"),
    );
    batch.text("nor settings", format!("ALTER ROLE {user} RESET ALL"));
}

/// The second login, all in one transaction: it may log in only when it acts as its user.
fn second(client: &Client, catalogue: &Catalogue) -> Batch {
    let mut batch = Batch::new(POSTGRES);
    let known = catalogue.second.as_ref();
    if known.is_some_and(|k| k.attributes.contains("login") && k.password_fits) {
        return batch;
    }
    let (name, user) = (client.login.of(&client.user), identifier(&client.user));
    let login = identifier(&name);
    if known.is_none() {
        batch.text(
            format!("a second login of {}", client.user),
            format!("CREATE ROLE {login}"),
        );
    }
    if !known.is_some_and(|k| k.marked) {
        mark(&mut batch, CLIENTS_ROLE, USER_MARK, &login);
    }
    batch.text("which is in its user", format!("GRANT {user} TO {login}"));
    batch.text(
        "and acts as it",
        format!("ALTER ROLE {login} SET role TO {}", literal(&client.user)),
    );
    if client.plain() {
        batch.text(
            "and as the owner in its database",
            format!(
                "ALTER ROLE {login} IN DATABASE {} SET role TO {}",
                identifier(&client.database),
                literal(&client.database)
            ),
        );
    }
    batch.statements.push(Statement {
        note: format!("{name} gets the password that the client has"),
        sql: Sql::ClientPassword(name.clone()),
    });
    // Who may enter a database is decided before a login takes its role.
    let all = if client.has("superuser") {
        " SUPERUSER"
    } else {
        ""
    };
    batch.text("and may log in", format!("ALTER ROLE {login} LOGIN{all}"));
    batch
}

/// What a user or group is granted in its database: withdrawn first, for what is in both. The
/// database's owner grants it, so that it can be nothing that is not the database's clients' own: no
/// catalogue, and no table of `operator`'s.
fn grants(client: &Client) -> Batch {
    let mut batch = Batch::acting_as(&client.database, &client.database);
    let user = identifier(&client.user);
    let object = |grant: &Grant| {
        let mut name: Vec<String> = grant.name.iter().map(|part| identifier(part)).collect();
        if matches!(grant.on, "TABLE" | "SEQUENCE") && name.len() == 1 {
            name.insert(0, identifier("public"));
        }
        let words: Vec<&str> = grant.privileges.iter().copied().collect();
        (words.join(", "), grant.on, name.join("."))
    };
    for grant in &client.withdrawn {
        let (words, on, name) = object(grant);
        batch.text(
            format!("{} may no longer {words} on {name}", client.user),
            format!("REVOKE {words} ON {on} {name} FROM {user}"),
        );
    }
    if client.kind == Kind::User {
        let database = identifier(&client.database);
        batch.text(
            format!("{} may enter", client.user),
            format!("GRANT CONNECT ON DATABASE {database} TO {user}"),
        );
    }
    for grant in &client.grants {
        let (words, on, name) = object(grant);
        batch.text(
            format!("{} may {words} on {name}", client.user),
            format!("GRANT {words} ON {on} {name} TO {user}"),
        );
    }
    batch
}

/// Nobody but its clients may enter the database.
fn shut(client: &Client, catalogue: &Catalogue) -> Batch {
    let mut batch = Batch::new(POSTGRES);
    let database = identifier(&client.database);
    batch.text(
        "only its clients may enter the database",
        format!("REVOKE ALL ON DATABASE {database} FROM PUBLIC"),
    );
    batch.text(
        "and the group admin",
        format!("GRANT ALL ON DATABASE {database} TO admin"),
    );
    batch.text(
        "and the exporter",
        format!("GRANT CONNECT ON DATABASE {database} TO monitoring"),
    );
    if predefined::has(&catalogue.version) {
        for (note, sql) in predefined::entering(&client.database) {
            batch.text(note, sql);
        }
    }
    batch
}

/// A database that the charm has not made may have no such schema.
fn schema_public(client: &Client) -> Batch {
    let mut batch = Batch::new(&client.database);
    let body = format!(
        "BEGIN IF EXISTS (SELECT 1 FROM pg_catalog.pg_namespace n \
           WHERE n.nspname OPERATOR(pg_catalog.=) 'public'::pg_catalog.name) THEN \
         REVOKE CREATE ON SCHEMA public FROM PUBLIC; \
         EXECUTE pg_catalog.format('GRANT ALL ON SCHEMA public TO %I WITH GRANT OPTION', \
           {}::pg_catalog.text); END IF; END",
        literal(&client.database)
    );
    batch.text(
        "only the database's owner may create in schema public",
        format!("DO {}", literal(&body)),
    );
    batch
}

/// A client that cannot act as the owner throughout lets it use all that it makes.
fn defaults(client: &Client, database: &str) -> Batch {
    let mut batch = Batch::acting_as(database, &client.user);
    let (owner, user) = (identifier(database), identifier(&client.user));
    for kind in ["TABLES", "SEQUENCES", "ROUTINES", "TYPES", "SCHEMAS"] {
        batch.text(
            format!("clients of the database use the {kind} that it makes"),
            format!(
                "ALTER DEFAULT PRIVILEGES FOR ROLE {user} GRANT ALL ON {kind} TO {owner} \
                 WITH GRANT OPTION"
            ),
        );
    }
    batch
}

/// Ownership comes last: it says that all before it is done.
fn owner(client: &Client, catalogue: &Catalogue, owned: bool) -> Batch {
    let mut batch = Batch::new(POSTGRES);
    let database = identifier(&client.database);
    if !owned {
        batch.text(
            format!("database {} has its owner", client.database),
            format!("ALTER DATABASE {database} OWNER TO {database}"),
        );
    }
    let acts = catalogue.user.as_ref().is_some_and(|u| u.acts_as_owner);
    let user = identifier(&client.user);
    if client.plain() && !acts {
        batch.text(
            format!("what {} makes belongs to the database's owner", client.user),
            format!(
                "ALTER ROLE {user} IN DATABASE {database} SET role TO {}",
                literal(&client.database)
            ),
        );
    }
    batch
}
