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
    last.text("its grants go", format!("DROP OWNED BY {login}"));
    last.text(format!("{second} goes"), format!("DROP ROLE {login}"));
    batches.push(last);
    batches
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
    let mut batches = vec![revoke_logins(user)];
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
        batches.push(batch);
        batches.extend(place.closed.then(|| allow(false)));
    }
    let mut last = Batch::new(POSTGRES);
    last.text("its grants go", format!("DROP OWNED BY {name}"));
    last.text(format!("{user} goes"), format!("DROP ROLE {name}"));
    batches.push(last);
    batches
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
