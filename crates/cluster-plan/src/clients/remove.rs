//! Taking a login or a user away: what it owns passes on first.

use super::sql::{Batch, POSTGRES, identifier, literal};
use super::{LEFTOVERS, Login, Place};

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
    holders(&mut last, &second);
    last.text("its grants go", format!("DROP OWNED BY {login}"));
    last.text(format!("{second} goes"), format!("DROP ROLE {login}"));
    batches.push(last);
    batches
}

/// Ends the sessions of others in whose open transactions something is granted to a login: nobody
/// keeps another client's user by that.
fn holders(batch: &mut Batch, login: &str) {
    batch.text(
        "sessions end that hold it by what they grant",
        format!(
            "SELECT pg_catalog.pg_terminate_backend(l.pid) FROM pg_catalog.pg_locks l \
             JOIN pg_catalog.pg_roles r ON r.oid = l.objid \
             JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid \
             JOIN pg_catalog.pg_roles o ON o.oid = a.usesysid \
             WHERE l.locktype = 'object' AND l.classid = 'pg_catalog.pg_authid'::pg_catalog.regclass \
               AND r.rolname = {} AND (NOT o.rolsuper OR o.rolname ~ '^relation_id_[0-9]')",
            literal(login)
        ),
    );
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

/// Removes a user: what it owns passes to the owner of each database, or to a role that nobody is.
/// No data and no database goes with it; what PostgreSQL lets superusers alone own, and would run for
/// them, does.
#[must_use]
pub fn remove(user: &str, places: &[Place]) -> Vec<Batch> {
    let name = identifier(user);
    let leftovers = identifier(LEFTOVERS);
    // A session that changes its own role keeps others from doing so.
    let mut batches = vec![end_sessions(user), revoke_logins(user)];
    // Databases that the user made are nobody's data to drop: this passes them on as well.
    let mut first = Batch::new(POSTGRES);
    superusers_things(&mut first, user);
    first.text(
        format!("what {user} owns passes to {LEFTOVERS}"),
        format!("REASSIGN OWNED BY {name} TO {leftovers}"),
    );
    batches.push(first);
    for place in places.iter().filter(|place| place.database != POSTGRES) {
        let database = identifier(&place.database);
        if place.half_dropped {
            let mut batch = Batch::new(POSTGRES);
            batch.transaction = false;
            batch.text(
                format!("database {} goes, as somebody began", place.database),
                format!("DROP DATABASE IF EXISTS {database}"),
            );
            batches.push(batch);
            continue;
        }
        let allow = |allowed: bool| {
            let mut batch = Batch::new(POSTGRES);
            batch.text(
                format!("database {} can be entered: {allowed}", place.database),
                format!("ALTER DATABASE {database} ALLOW_CONNECTIONS {allowed}"),
            );
            batch
        };
        let (heir, to) = if place.owned {
            (place.database.as_str(), database.clone())
        } else {
            (LEFTOVERS, leftovers.clone())
        };
        let mut batch = Batch::new(&place.database);
        superusers_things(&mut batch, user);
        batch.text(
            format!("what {user} owns in {} passes to {heir}", place.database),
            format!("REASSIGN OWNED BY {name} TO {to}"),
        );
        batch.text("its grants go", format!("DROP OWNED BY {name}"));
        batches.extend(place.closed.then(|| allow(true)));
        batches.push(relations(&place.database, user, heir));
        batches.push(batch);
        batches.extend(place.closed.then(|| allow(false)));
    }
    let mut last = Batch::new(POSTGRES);
    holders(&mut last, user);
    last.text("its grants go", format!("DROP OWNED BY {name}"));
    last.text(format!("{user} goes"), format!("DROP ROLE {name}"));
    batches.push(last);
    batches
}

/// Passes tables and the like on, some at a time: each is locked until its transaction ends, and
/// PostgreSQL's table of locks does not hold as many as a client can make.
fn relations(database: &str, user: &str, heir: &str) -> Batch {
    let mut batch = Batch::new(database);
    batch.transaction = false;
    let name = |role: &str| format!("{}::pg_catalog.text", literal(role));
    let body = format!(
        "DECLARE item record; passed pg_catalog.int4 := 0; BEGIN FOR item IN \
         SELECT c.oid::pg_catalog.regclass::pg_catalog.text AS name FROM pg_catalog.pg_class c \
         WHERE pg_catalog.pg_get_userbyid(c.relowner)::pg_catalog.text OPERATOR(pg_catalog.=) {} \
           AND c.relkind::pg_catalog.text OPERATOR(pg_catalog.=) ANY ('{{r,p,v,m,f,S}}'::pg_catalog.text[]) \
           AND c.relpersistence::pg_catalog.text OPERATOR(pg_catalog.<>) 't'::pg_catalog.text \
           AND NOT (c.relkind::pg_catalog.text OPERATOR(pg_catalog.=) 'S'::pg_catalog.text \
             AND EXISTS (SELECT 1 FROM pg_catalog.pg_depend d \
               WHERE d.classid OPERATOR(pg_catalog.=) \
                 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid \
               AND d.objid OPERATOR(pg_catalog.=) c.oid AND d.deptype::pg_catalog.text \
                 OPERATOR(pg_catalog.=) ANY ('{{a,i}}'::pg_catalog.text[]))) \
         LOOP EXECUTE pg_catalog.format('ALTER TABLE %s OWNER TO %I', item.name, {}); \
           passed := passed OPERATOR(pg_catalog.+) 1; \
           IF passed OPERATOR(pg_catalog.%) 100 OPERATOR(pg_catalog.=) 0 THEN COMMIT; END IF; \
         END LOOP; END",
        name(user),
        name(heir)
    );
    batch.text(
        format!("the tables of {user} in {database} pass to {heir}"),
        format!("DO {}", literal(&body)),
    );
    batch
}

/// Event triggers and subscriptions of a former superuser would run what it wrote, as their new owner,
/// and may have no owner but a superuser: they go. A foreign-data wrapper and a publication of all
/// tables run nothing, and become `operator`'s.
fn superusers_things(batch: &mut Batch, user: &str) {
    let user = format!("{}::pg_catalog.name", literal(user));
    let body = format!(
        "DECLARE item record; BEGIN FOR item IN \
         SELECT 'DROP EVENT TRIGGER %I' AS what, e.evtname AS name FROM pg_catalog.pg_event_trigger e \
           WHERE pg_catalog.pg_get_userbyid(e.evtowner) OPERATOR(pg_catalog.=) {user} \
         UNION ALL SELECT 'ALTER SUBSCRIPTION %1$I DISABLE; ALTER SUBSCRIPTION %1$I SET (slot_name = NONE); \
           DROP SUBSCRIPTION %1$I', s.subname FROM pg_catalog.pg_subscription s \
           JOIN pg_catalog.pg_database d ON d.oid OPERATOR(pg_catalog.=) s.subdbid \
           WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database() \
             AND pg_catalog.pg_get_userbyid(s.subowner) OPERATOR(pg_catalog.=) {user} \
         UNION ALL SELECT 'ALTER FOREIGN DATA WRAPPER %I OWNER TO operator', w.fdwname \
           FROM pg_catalog.pg_foreign_data_wrapper w \
           WHERE pg_catalog.pg_get_userbyid(w.fdwowner) OPERATOR(pg_catalog.=) {user} \
         UNION ALL SELECT 'ALTER PUBLICATION %I OWNER TO operator', p.pubname \
           FROM pg_catalog.pg_publication p WHERE p.puballtables \
             AND pg_catalog.pg_get_userbyid(p.pubowner) OPERATOR(pg_catalog.=) {user} \
         LOOP EXECUTE pg_catalog.format(item.what, item.name); END LOOP; END"
    );
    batch.text(
        "what only a superuser can own goes, where it runs anything",
        format!("DO {}", literal(&body)),
    );
}
