//! The action `list-clients`: who is related, with which users, and what these may and do.

use std::collections::BTreeMap;

use cluster_plan::clients::{USER_MARK, relation_of};
use cluster_plan::names::Member;
use cluster_plan::observed::{Cluster, SystemUser};
use serde_json::{Value, json};

use super::{DATABASE, LEGACY, Relation};
use crate::handlers::Hook;
use crate::handlers::actions::ActionError;
use crate::juju_port::{ActionResult, JujuError, ResultValue};
use crate::observe::juju::JujuFacts;
use crate::observe::{self, cluster};
use crate::ports::{PortResult, Server};

/// Clients' users: name, whether it may log in, attributes, groups, databases whose owner it can
/// act as, and what is granted to it by name. What is granted inside a database is counted alone. $1 marks them.
pub const ROLES: &str = "\
SELECT r.rolname::pg_catalog.text, r.rolcanlogin::pg_catalog.text, \
  pg_catalog.concat_ws(',', CASE WHEN r.rolsuper THEN 'superuser' END, \
    CASE WHEN r.rolcreatedb THEN 'createdb' END, CASE WHEN r.rolcreaterole THEN 'createrole' END), \
  (SELECT pg_catalog.json_agg(g.rolname ORDER BY g.rolname)::pg_catalog.text \
     FROM pg_catalog.pg_auth_members m \
     JOIN pg_catalog.pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid), \
  (SELECT pg_catalog.json_agg(d.datname ORDER BY d.datname)::pg_catalog.text \
     FROM pg_catalog.pg_database d \
     WHERE d.datdba <> r.oid AND pg_catalog.pg_get_userbyid(d.datdba) = d.datname \
     AND pg_catalog.pg_has_role(r.oid, d.datdba, 'MEMBER')), \
  (SELECT pg_catalog.json_agg(g.said ORDER BY g.said)::pg_catalog.text FROM ( \
     SELECT a.privilege_type || ' on database ' || d.datname::pg_catalog.text AS said \
     FROM pg_catalog.pg_database d, pg_catalog.aclexplode(d.datacl) a WHERE a.grantee = r.oid \
     UNION ALL SELECT pg_catalog.count(*)::pg_catalog.text || ' objects in database ' \
       || d.datname::pg_catalog.text \
     FROM pg_catalog.pg_shdepend s JOIN pg_catalog.pg_database d ON d.oid = s.dbid \
     WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.refobjid = r.oid \
       AND s.deptype = 'a' AND s.classid NOT IN ('pg_catalog.pg_default_acl'::pg_catalog.regclass, \
         'pg_catalog.pg_namespace'::pg_catalog.regclass) \
     GROUP BY d.datname) g) \
FROM pg_catalog.pg_roles r WHERE r.rolname ~ '^relation_id_[0-9]' \
  AND EXISTS (SELECT 1 FROM pg_catalog.pg_namespace n, pg_catalog.aclexplode(n.nspacl) a \
    WHERE n.nspname = $1::pg_catalog.text AND n.nspowner = 10 AND a.grantee = r.oid) ORDER BY 1";

/// Sessions of clients' users on one member: user, database, how many, and the newest one's start.
pub const SESSIONS: &str = "\
SELECT usename::pg_catalog.text, datname::pg_catalog.text, pg_catalog.count(*)::pg_catalog.text, \
  pg_catalog.to_char(pg_catalog.max(backend_start) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') \
FROM pg_catalog.pg_stat_activity \
WHERE backend_type = 'client backend' AND usename ~ '^relation_id_[0-9]' GROUP BY 1, 2 ORDER BY 1, 2";

/// Said where no session is open: PostgreSQL remembers no login.
const UNKNOWN: &str = "unknown: no session is open, and PostgreSQL keeps no record of logins";

/// Sessions, by user.
type Sessions = BTreeMap<String, Vec<Session>>;

struct Session {
    unit: String,
    database: String,
    count: u64,
    newest: String,
}

/// `list-clients`.
///
/// # Errors
/// When the database can't be asked.
pub fn list(hook: &Hook<'_>) -> Result<ActionResult, ActionError> {
    let facts = observe::juju::facts(hook.juju, None)?;
    let away = |why: String| ActionError::Refused(format!("cannot list the clients: {why}"));
    let view = cluster::look(&facts, hook.ports.members, false)
        .ok_or_else(|| away("no member of the cluster answers".to_owned()))?;
    let primary = view
        .primary()
        .and_then(|p| p.member.clone())
        .and_then(|member| server(&facts, &member))
        .ok_or_else(|| away("there is no primary".to_owned()))?;
    let roles = hook.ports.database.look(&primary, ROLES, &[USER_MARK]);
    let roles = roles.map_err(|error| away(error.chain()))?;
    let (sessions, silent) = sessions(hook, &facts, &view);
    let mut users: BTreeMap<u64, Vec<Value>> = BTreeMap::new();
    for row in roles {
        let mut cells = row.into_iter();
        let name = cells.next().flatten().unwrap_or_default();
        if let Some(number) = relation_of(&name) {
            let shown = user(&name, cells, &sessions);
            users.entry(number).or_default().push(shown);
        }
    }
    let mut shown = related(hook, &mut users)?;
    // Their relations are gone, and the leader has not removed them yet.
    for (number, users) in users {
        shown.push(json!({"relation-id": number, "relation": "gone", "users": users}));
    }
    let plain = |value: Value| ResultValue::Plain(value.to_string());
    let mut results = vec![("clients", plain(Value::Array(shown)))];
    if !silent.is_empty() {
        let text = format!("not counted, for they do not answer: {}", silent.join(", "));
        results.push(("sessions", ResultValue::Plain(text)));
    }
    Ok(ActionResult(results))
}

/// The relations with their users, which are taken from `users`.
fn related(
    hook: &Hook<'_>,
    users: &mut BTreeMap<u64, Vec<Value>>,
) -> Result<Vec<Value>, JujuError> {
    let mut relations = Vec::new();
    for endpoint in [DATABASE].into_iter().chain(LEGACY) {
        let ids = hook.juju.relation_ids(endpoint)?;
        relations.extend(ids.iter().filter_map(|id| Relation::new(id)));
    }
    relations.sort();
    let shown = relations.into_iter().map(|relation| {
        let application = hook.juju.remote_app(&relation.id)?;
        Ok(json!({
            "relation-id": relation.number,
            "relation": relation.id,
            "application": application,
            "users": users.remove(&relation.number).unwrap_or_default(),
        }))
    });
    shown.collect()
}

/// A member's server: by its own socket where it is this unit's.
pub(super) fn server(facts: &JujuFacts, member: &Member) -> Option<Server> {
    if *member == facts.me {
        return Some(Server::Own);
    }
    let password = facts.passwords.as_ref()?.get(SystemUser::Operator)?.clone();
    Some(Server::Host(facts.names.fqdn(member), password))
}

/// The sessions on all members, and the units that don't answer.
fn sessions(hook: &Hook<'_>, facts: &JujuFacts, view: &Cluster) -> (Sessions, Vec<String>) {
    let mut found = Sessions::new();
    let mut silent = Vec::new();
    for member in view.members.iter().filter_map(|m| m.member.as_ref()) {
        let unit = member.unit();
        match open(hook, facts, member) {
            Ok(rows) => {
                for row in rows {
                    let mut cells = row.into_iter().map(Option::unwrap_or_default);
                    let mut next = || cells.next().unwrap_or_default();
                    let user = next();
                    let session = Session {
                        unit: unit.clone(),
                        database: next(),
                        count: next().parse().unwrap_or_default(),
                        newest: next(),
                    };
                    found.entry(user).or_default().push(session);
                }
            }
            Err(error) => {
                tracing::warn!("cannot ask {unit} for its sessions: {}", error.chain());
                silent.push(unit);
            }
        }
    }
    (found, silent)
}

fn open(
    hook: &Hook<'_>,
    facts: &JujuFacts,
    member: &Member,
) -> PortResult<Vec<Vec<Option<String>>>> {
    match server(facts, member) {
        Some(server) => hook.ports.database.look(&server, SESSIONS, &[]),
        None => Ok(Vec::new()),
    }
}

fn user(name: &str, mut cells: impl Iterator<Item = Option<String>>, sessions: &Sessions) -> Value {
    let mut text = || cells.next().flatten().unwrap_or_default();
    let logs_in = text() == "true";
    let attributes = text();
    let mut list = || serde_json::from_str(&text()).unwrap_or_else(|_| json!([]));
    let (groups, databases, grants): (Value, Value, Value) = (list(), list(), list());
    let attributes: Vec<&str> = attributes.split(',').filter(|a| !a.is_empty()).collect();
    let none = Vec::new();
    let own = sessions.get(name).unwrap_or(&none);
    let count: u64 = own.iter().map(|session| session.count).sum();
    let newest = own.iter().map(|session| session.newest.as_str()).max();
    let places = own.iter().map(|session| {
        json!({"unit": session.unit, "database": session.database, "count": session.count})
    });
    json!({
        "name": name,
        "may-log-in": logs_in,
        "databases": databases,
        "attributes": attributes,
        "roles": groups,
        "grants": grants,
        "connections": count,
        "sessions": places.collect::<Vec<_>>(),
        "last-login": newest.unwrap_or(UNKNOWN),
    })
}
