//! The statements, in batches: each runs in one database, as one transaction or alone.

use super::{ANY_DATABASE, Catalogue, Client, Grant, Kind, Login, OWNER_MARK, USER_MARK};
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
    fn new(database: &str) -> Self {
        Self {
            database: database.to_owned(),
            transaction: true,
            statements: Vec::new(),
        }
    }

    fn text(&mut self, note: impl Into<String>, sql: impl Into<String>) {
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
        }
        batches.push(inside(client));
    }
    if !client.plain() {
        let owns = client.owns();
        batches.extend(owns.iter().map(|database| defaults(client, database)));
    }
    if has_own {
        batches.push(outside(client, catalogue, owned));
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
        batch.text(
            "which is marked as such",
            format!("COMMENT ON ROLE {database} IS {}", literal(OWNER_MARK)),
        );
    }
    let groups = client.groups();
    if groups.contains(ANY_DATABASE) && !catalogue.roles.contains_key(ANY_DATABASE) {
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
        mark(batch, &user);
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

fn mark(batch: &mut Batch, user: &str) {
    batch.text(
        "which is marked as a client's",
        format!("COMMENT ON ROLE {user} IS {}", literal(USER_MARK)),
    );
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
        mark(&mut batch, &login);
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

/// Takes the credentials of a user's login away that is no longer the one in use. What the second
/// one owns, which takes a client that leaves its role on purpose, passes to the user in each of
/// these databases.
#[must_use]
pub fn retire(user: &str, old: Login, databases: &[String]) -> Vec<Batch> {
    let name = identifier(user);
    let mut last = Batch::new(POSTGRES);
    if old == Login::Own {
        last.text(
            format!("{user} logs in by its second login alone"),
            format!("ALTER ROLE {name} NOLOGIN"),
        );
        last.text(
            "its own password goes",
            format!("ALTER ROLE {name} PASSWORD NULL"),
        );
        return vec![last];
    }
    let second = old.of(user);
    let login = identifier(&second);
    let mut batches = Vec::new();
    for database in databases.iter().filter(|name| *name != POSTGRES) {
        let mut batch = Batch::new(database);
        batch.text(
            format!("what {second} owns passes to {user}"),
            format!("REASSIGN OWNED BY {login} TO {name}"),
        );
        batch.text("its grants go", format!("DROP OWNED BY {login}"));
        batches.push(batch);
    }
    last.text(
        format!("what {second} owns passes to {user}"),
        format!("REASSIGN OWNED BY {login} TO {name}"),
    );
    last.text("its grants go", format!("DROP OWNED BY {login}"));
    last.text(format!("{second} goes"), format!("DROP ROLE {login}"));
    batches.push(last);
    batches
}

/// What a user or group is granted in its database: withdrawn first, for what is in both.
fn grants(client: &Client) -> Batch {
    let mut batch = Batch::new(&client.database);
    let user = identifier(&client.user);
    let object = |grant: &Grant| {
        let name: Vec<String> = grant.name.iter().map(|part| identifier(part)).collect();
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

/// Inside a database that is new, or was made by somebody else or by the peer charm: what client
/// users or the charm own there passes to the database's owner, so that its data stays usable.
fn inside(client: &Client) -> Batch {
    let mut batch = Batch::new(&client.database);
    batch.text(
        "only the database's owner may create in schema public",
        schema_public(&client.database),
    );
    batch.text(
        "what clients left there belongs to the database's owner",
        adopt(&client.database),
    );
    batch
}

/// An adopted database may have no such schema.
fn schema_public(owner: &str) -> String {
    let body = format!(
        "BEGIN IF EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = 'public') THEN \
         REVOKE CREATE ON SCHEMA public FROM PUBLIC; \
         EXECUTE format('GRANT ALL ON SCHEMA public TO %I', {}); END IF; END",
        literal(owner)
    );
    format!("DO {}", literal(&body))
}

fn adopt(owner: &str) -> String {
    let owner = literal(owner);
    // `format` quotes every name again where it runs. Whom a pooler has let in owns nothing there
    // afterwards, so it becomes a member of who does.
    let body = format!(
        "DECLARE item record; BEGIN FOR item IN \
         SELECT r.rolname AS name FROM pg_roles r WHERE r.rolname ~ '^relation_id_' AND NOT r.rolsuper \
           AND EXISTS (SELECT 1 FROM pg_database d, aclexplode(d.datacl) a \
             WHERE d.datname = current_database() AND a.grantee = r.oid) \
         LOOP EXECUTE format('GRANT %I TO %I', {owner}, item.name); END LOOP; \
         FOR item IN \
         SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' \
           WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END AS kind, \
           c.oid::regclass::text AS name, 1 AS step, c.relowner AS owner, c.oid AS id, \
           'pg_class'::regclass AS class \
         FROM pg_class c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') \
         UNION ALL SELECT 'ROUTINE', p.oid::regprocedure::text, 2, p.proowner, p.oid, \
           'pg_proc'::regclass FROM pg_proc p \
         UNION ALL SELECT 'TYPE', t.oid::regtype::text, 3, t.typowner, t.oid, 'pg_type'::regclass \
         FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid \
           WHERE t.typtype IN ('e', 'd', 'r') OR c.relkind = 'c' \
         UNION ALL SELECT 'LARGE OBJECT', l.oid::text, 4, l.lomowner, l.oid, \
           'pg_largeobject'::regclass FROM pg_largeobject_metadata l \
         UNION ALL SELECT 'SCHEMA', quote_ident(n.nspname), 5, n.nspowner, n.oid, \
           'pg_namespace'::regclass FROM pg_namespace n WHERE n.nspname <> 'public' \
         ORDER BY 3 \
         LOOP CONTINUE WHEN item.id < 16384 OR NOT EXISTS (SELECT 1 FROM pg_roles r \
           WHERE r.oid = item.owner AND (r.rolname = 'operator' OR r.rolname ~ '^relation_id_')); \
         CONTINUE WHEN EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = item.class \
           AND d.objid = item.id AND d.deptype IN ('a', 'i', 'e')); \
         EXECUTE format('ALTER %s %s OWNER TO %I', item.kind, item.name, {owner}); \
         END LOOP; END"
    );
    format!("DO {}", literal(&body))
}

/// A client that cannot act as the owner throughout lets it use all that it makes.
fn defaults(client: &Client, database: &str) -> Batch {
    let mut batch = Batch::new(database);
    let (owner, user) = (identifier(database), identifier(&client.user));
    for kind in ["TABLES", "SEQUENCES", "ROUTINES", "TYPES", "SCHEMAS"] {
        batch.text(
            format!("clients of the database use the {kind} that it makes"),
            format!("ALTER DEFAULT PRIVILEGES FOR ROLE {user} GRANT ALL ON {kind} TO {owner}"),
        );
    }
    batch
}

/// Ownership comes last: it says that all before it is done.
fn outside(client: &Client, catalogue: &Catalogue, owned: bool) -> Batch {
    let mut batch = Batch::new(POSTGRES);
    let database = identifier(&client.database);
    if !owned {
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

/// Keeps a user out and ends its sessions, so that nothing new comes while it is removed.
#[must_use]
pub fn revoke_logins(user: &str) -> Batch {
    let mut batch = Batch::new(POSTGRES);
    batch.text(
        format!("{user} may not log in any more"),
        format!("ALTER ROLE {} NOLOGIN", identifier(user)),
    );
    batch.statements.extend(end_sessions(user).statements);
    batch
}

/// Ends a login's sessions on the member where it is run.
#[must_use]
pub fn end_sessions(login: &str) -> Batch {
    let mut batch = Batch::new(POSTGRES);
    batch.text(
        "its sessions end",
        format!(
            "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity \
             WHERE usename = {}",
            literal(login)
        ),
    );
    batch
}

/// Removes a user: what it owns passes to `heir` in each of `databases` (name, heir), and to
/// `operator` elsewhere. No data and no database goes with it.
#[must_use]
pub fn remove(user: &str, databases: &[(String, String)]) -> Vec<Batch> {
    let name = identifier(user);
    let mut batches = vec![revoke_logins(user)];
    // Databases that the user made are nobody's data to drop: this passes them on as well.
    let mut first = Batch::new(POSTGRES);
    first.text(
        format!("what {user} owns passes to operator"),
        format!("REASSIGN OWNED BY {name} TO operator"),
    );
    batches.push(first);
    for (database, heir) in databases.iter().filter(|(name, _)| name != POSTGRES) {
        let mut batch = Batch::new(database);
        batch.text(
            format!("what {user} owns in {database} passes to {heir}"),
            format!("REASSIGN OWNED BY {name} TO {}", identifier(heir)),
        );
        batch.text("its grants go", format!("DROP OWNED BY {name}"));
        batches.push(batch);
    }
    let mut last = Batch::new(POSTGRES);
    last.text("its grants go", format!("DROP OWNED BY {name}"));
    last.text(format!("{user} goes"), format!("DROP ROLE {name}"));
    batches.push(last);
    batches
}
