//! The primary's catalogue: which roles there are, whether their passwords fit the secret, and which
//! databases there are.

use std::collections::BTreeMap;

use cluster_plan::observed::{Database as Facts, Observed, RoleFacts, SystemUser};
use cluster_plan::predefined::Acting;
use cluster_plan::restarts::Settings;

use super::juju::JujuFacts;
use crate::ports::{Database, PortError, Server};
use crate::scram;

/// One row a role, one a database that can be entered, one a standby that streams, one a member that commits wait for
/// though it does not, one that tells of PUBLIC's rights, one that tells of the schemas that mark
/// roles, one with the number of prepared transactions, one that tells of the server, and one for each
/// user of a pooler that does not act yet as its sessions are to.
pub const CATALOGUE: &str = "\
SELECT 'role', r.rolname::pg_catalog.text, r.rolcanlogin::pg_catalog.text, r.rolsuper::pg_catalog.text, \
  r.rolpassword, \
  (SELECT pg_catalog.string_agg(g.rolname::pg_catalog.text, ',') FROM pg_catalog.pg_auth_members m \
     JOIN pg_catalog.pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid), \
  EXISTS (SELECT 1 FROM pg_catalog.pg_database d, pg_catalog.aclexplode(d.datacl) a \
     WHERE d.datname = 'postgres' AND a.grantee = r.oid AND a.privilege_type = 'CONNECT')::pg_catalog.text, \
  (SELECT pg_catalog.json_agg(CASE WHEN s.setdatabase = 0 THEN '' ELSE d.datname::pg_catalog.text END)::pg_catalog.text \
     FROM pg_catalog.pg_db_role_setting s LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase \
     WHERE s.setrole = r.oid) \
FROM pg_catalog.pg_authid r WHERE r.rolname !~ '^(pg_|relation_id_)' \
UNION ALL \
SELECT 'public', NULL, pg_catalog.bool_and(d.datacl IS NOT NULL AND NOT EXISTS (SELECT 1 \
     FROM pg_catalog.aclexplode(d.datacl) a WHERE a.grantee = 0))::pg_catalog.text, NULL, NULL, NULL, NULL, NULL \
FROM pg_catalog.pg_database d WHERE d.datname IN ('postgres', 'template1') \
UNION ALL \
SELECT 'marks', NULL, (pg_catalog.count(*) = 2)::pg_catalog.text, NULL, NULL, NULL, NULL, NULL \
FROM pg_catalog.pg_namespace n WHERE n.nspowner = 10 \
  AND n.nspname IN ('charm_marks_clients', 'charm_marks_database_owners') \
UNION ALL \
SELECT 'database', d.datname::pg_catalog.text, d.oid::pg_catalog.text, NULL, NULL, NULL, NULL, NULL \
FROM pg_catalog.pg_database d WHERE d.datallowconn AND d.datconnlimit <> -2 \
UNION ALL \
SELECT 'standby', application_name, (sync_state IN ('sync', 'quorum'))::pg_catalog.text, NULL, NULL, NULL, NULL, NULL \
FROM pg_catalog.pg_stat_replication WHERE state = 'streaming' \
UNION ALL \
SELECT 'awaited', name[1], NULL, NULL, NULL, NULL, NULL, NULL \
FROM pg_catalog.current_setting('synchronous_standby_names') AS names, \
  pg_catalog.regexp_matches(names, '\"([^\"]+)\"', 'g') AS name \
WHERE names !~* '^ *any' AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_stat_replication \
  WHERE state = 'streaming' AND application_name = name[1]) \
UNION ALL \
SELECT 'prepared', pg_catalog.count(*)::pg_catalog.text, NULL, NULL, NULL, NULL, NULL, NULL \
FROM pg_catalog.pg_prepared_xacts \
UNION ALL \
SELECT 'server', pg_catalog.current_setting('server_version_num'), \
  (SELECT p.prosrc FROM pg_catalog.pg_proc p WHERE p.proname = 'set_up_predefined_catalog_roles' \
    AND p.pronargs = 0 AND p.proowner = 10 AND p.prosecdef \
    AND p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace), NULL, NULL, NULL, NULL, NULL \
UNION ALL \
SELECT 'acting', m.rolname::pg_catalog.text, d.datname::pg_catalog.text, o.rolname::pg_catalog.text, \
  NULL, NULL, NULL, NULL \
FROM pg_catalog.pg_roles a JOIN pg_catalog.pg_auth_members g ON g.roleid = a.oid \
JOIN pg_catalog.pg_roles m ON m.oid = g.member JOIN pg_catalog.pg_database d \
  ON a.rolname::pg_catalog.text = pg_catalog.concat('charmed_', d.datname, '_admin') \
JOIN pg_catalog.pg_roles o ON o.oid = d.datdba \
WHERE m.rolcanlogin AND NOT m.rolsuper AND NOT o.rolsuper AND NOT o.rolcanlogin \
  AND (o.rolname = d.datname OR o.rolname::pg_catalog.text = pg_catalog.concat('charmed_', d.datname, '_owner')) \
  AND pg_catalog.pg_has_role(m.oid, o.oid, 'MEMBER') AND NOT EXISTS (SELECT 1 \
    FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) AS setting \
    WHERE s.setrole = m.oid AND s.setdatabase = d.oid AND setting ~ '^role=') \
UNION ALL \
SELECT 'acting', m.rolname::pg_catalog.text, NULL, a.rolname::pg_catalog.text, NULL, NULL, NULL, NULL \
FROM pg_catalog.pg_roles a JOIN pg_catalog.pg_auth_members g ON g.roleid = a.oid \
JOIN pg_catalog.pg_roles m ON m.oid = g.member \
WHERE a.rolname = 'charmed_databases_owner' AND m.rolcanlogin AND NOT m.rolsuper AND NOT EXISTS (SELECT 1 \
    FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) AS setting \
    WHERE s.setrole = m.oid AND s.setdatabase = 0 AND setting ~ '^role=')";

/// What a server runs with that it took as it started, as whole numbers.
pub const SETTINGS: &str = "\
SELECT s.name, s.setting FROM pg_catalog.pg_settings s \
WHERE s.context = 'postmaster' AND s.vartype = 'integer'";

/// Where the primary is reached: by the own socket where it is this unit's, else as `operator`.
#[must_use]
pub fn server(juju: &JujuFacts, observed: &Observed) -> Option<Server> {
    let primary = observed
        .cluster
        .as_ref()?
        .primary()
        .filter(|m| m.started())?
        .member
        .as_ref()?;
    if *primary == juju.me {
        return Some(Server::Own);
    }
    let password = juju.passwords.as_ref()?.get(SystemUser::Operator)?.clone();
    Some(Server::Host(juju.names.fqdn(primary), password))
}

/// Why the primary tells nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It does not take the password that the secret has for `operator`.
    ShutOut,
    /// It does not answer.
    Silent,
}

/// The facts; none where this unit has no business with them or the primary does not answer.
///
/// # Errors
/// Where the primary refuses the password, or does not answer.
pub fn look(
    juju: &JujuFacts,
    observed: &Observed,
    port: &dyn Database,
) -> Result<Option<Facts>, Refusal> {
    let Some(server) = server(juju, observed) else {
        return Ok(None);
    };
    // The leader keeps the roles; the primary's own unit heals passwords, which may be what keeps
    // the leader out.
    if !juju.leader && !matches!(server, Server::Own) {
        return Ok(None);
    }
    match port.query(&server, CATALOGUE) {
        Ok(rows) => Ok(Some(facts(juju, rows))),
        Err(error) => {
            tracing::warn!("cannot look into the database: {}", error.chain());
            match error {
                PortError::Forbidden(..) => Err(Refusal::ShutOut),
                PortError::Unreachable(..) => Err(Refusal::Silent),
                PortError::Failed(..) | PortError::Foreign(..) => Ok(None),
            }
        }
    }
}

fn facts(juju: &JujuFacts, rows: Vec<Vec<Option<String>>>) -> Facts {
    let mut facts = Facts::default();
    for row in rows {
        let mut cells = row.into_iter();
        let mut next = || cells.next().flatten();
        match (next().as_deref(), next()) {
            (Some("role"), Some(name)) => {
                let login = next().as_deref() == Some("true");
                let superuser = next().as_deref() == Some("true");
                let stored = next();
                let groups = next().unwrap_or_default();
                let connects = next().as_deref() == Some("true");
                let settings = next().and_then(|list| serde_json::from_str(&list).ok());
                let role = RoleFacts {
                    login,
                    superuser,
                    member_of: groups
                        .split(',')
                        .filter(|g| !g.is_empty())
                        .map(str::to_owned)
                        .collect(),
                    password_fits: fits(juju, &name, stored.as_deref()),
                    connects_postgres: connects,
                    settings: settings.unwrap_or_default(),
                };
                facts.roles.insert(name, role);
            }
            (Some("database"), Some(name)) => {
                facts.databases.insert(name, next().unwrap_or_default());
            }
            (Some("standby"), Some(name)) => {
                facts
                    .streaming
                    .insert(name, next().as_deref() == Some("true"));
            }
            (Some("awaited"), Some(name)) => {
                facts.awaited.insert(name);
            }
            (Some("server"), Some(version)) => {
                facts.major = version.parse::<u32>().unwrap_or_default() / 10000;
                facts.catalog_roles = next();
            }
            (Some("acting"), Some(user)) => {
                let database = next();
                let role = next().unwrap_or_default();
                facts.acting.insert(Acting {
                    user,
                    database,
                    role,
                });
            }
            (Some("prepared"), Some(count)) => facts.prepared = count.parse().unwrap_or_default(),
            (Some("public"), _) => facts.public_revoked = next().as_deref() == Some("true"),
            (Some("marks"), _) => facts.marks = next().as_deref() == Some("true"),
            _ => {}
        }
    }
    facts
}

/// What each member that runs was started with, to the leader and where one waits for a restart; of
/// one that does not answer nothing.
pub fn settings(
    juju: &JujuFacts,
    observed: &Observed,
    port: &dyn Database,
) -> BTreeMap<String, Settings> {
    let view = observed.cluster.as_ref();
    let members = view.map(|view| view.members.as_slice()).unwrap_or_default();
    if !juju.leader || !members.iter().any(|member| member.pending_restart) {
        return BTreeMap::new();
    }
    let password = juju
        .passwords
        .as_ref()
        .and_then(|passwords| passwords.get(SystemUser::Operator));
    let runs = members.iter().filter(|member| member.started());
    runs.filter_map(|seen| {
        let member = seen.member.as_ref()?;
        let server = if *member == juju.me {
            Server::Own
        } else {
            Server::Host(juju.names.fqdn(member), password?.clone())
        };
        let rows = port.look(&server, SETTINGS, &[]).inspect_err(|error| {
            tracing::warn!("cannot see what {} runs with: {}", seen.name, error.chain());
        });
        let setting = |row: Vec<Option<String>>| {
            let mut cells = row.into_iter().flatten();
            Some((cells.next()?, cells.next()?.parse().ok()?))
        };
        Some((
            seen.name.clone(),
            rows.ok()?.into_iter().filter_map(setting).collect(),
        ))
    })
    .collect()
}

fn fits(juju: &JujuFacts, role: &str, stored: Option<&str>) -> Option<bool> {
    let user = SystemUser::from_name(role)?;
    let password = juju.passwords.as_ref()?.get(user)?;
    Some(stored.is_some_and(|stored| scram::fits(password, stored)))
}

#[cfg(test)]
mod tests {
    use cluster_plan::clients::{OWNER_MARK, USER_MARK};

    use super::CATALOGUE;

    #[test]
    fn the_catalogue_is_asked_for_the_schemas_that_mark_roles() {
        assert!(CATALOGUE.contains(&format!("('{USER_MARK}', '{OWNER_MARK}')")));
    }
}
