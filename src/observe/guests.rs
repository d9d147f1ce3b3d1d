//! Users that the charm did not make: by which rules of `pg_hba.conf` they come in.
//!
//! A pooler, a client that may make roles, or an operator makes users. Their rights decide which
//! databases they enter, but `pg_hba.conf` has to let them as far as that, and poolers wait until it
//! names them. Each unit asks its own server, and its watcher wakes it when there are others.

use cluster_plan::clients::identifier;
use cluster_plan::planner::PATRONI_YML;

use super::juju::JujuFacts;
use crate::ports::{Ports, Server};

/// Name, whether it is a superuser, and the databases that it may enter (a list, each name's bytes in
/// hexadecimal, for not every one is text), of users that
/// are neither the charm's own, nor a client's of the charm, nor a directory's. The watcher runs it
/// too, by a shell and within double quotes.
pub const GUESTS: &str = "\
SELECT r.rolname::pg_catalog.text, r.rolsuper::pg_catalog.text, \
  (SELECT pg_catalog.string_agg(pg_catalog.encode(pg_catalog.textsend(d.datname::pg_catalog.text), 'hex'), \
       ',' ORDER BY d.datname) FROM pg_catalog.pg_database d \
     WHERE d.datallowconn AND NOT d.datistemplate \
     AND pg_catalog.has_database_privilege(r.oid, d.oid, 'CONNECT')) \
FROM pg_catalog.pg_roles r WHERE r.rolcanlogin \
  AND r.rolname NOT IN ('operator', 'replication', 'rewind', 'backup', 'monitoring', 'postgres') \
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_namespace n, pg_catalog.aclexplode(n.nspacl) a \
    WHERE n.nspname = 'charm_marks_clients' AND n.nspowner = 10 AND a.grantee = r.oid) \
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_auth_members m \
     JOIN pg_catalog.pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid \
     AND g.rolname IN ('identity_access', 'internal_access')) ORDER BY 1";

/// Most users with a rule: who may make roles could make more than a server starts with in time.
const MOST: usize = 1000;

/// The rules: as the own server's catalogue has it, or as they were where that does not answer.
pub fn rules(juju: &JujuFacts, ports: &Ports<'_>, look: bool) -> Vec<String> {
    if !juju.initialised() {
        return Vec::new();
    }
    if look {
        match ports.database.query(&Server::Own, GUESTS) {
            Ok(rows) => {
                if rows.len() > MOST {
                    tracing::warn!(
                        "of {} users that others made the first {MOST} by name may enter",
                        rows.len()
                    );
                }
                return rows.into_iter().take(MOST).filter_map(rule).collect();
            }
            Err(error) => tracing::debug!(
                "which users others have made cannot be seen: {}",
                error.chain()
            ),
        }
    }
    let file = ports.workload.pull(PATRONI_YML).ok().flatten();
    file.map(|file| kept(&String::from_utf8_lossy(&file)))
        .unwrap_or_default()
}

/// The rule for a user. Its password may be of the older kind: poolers make such users.
fn rule(row: Vec<Option<String>>) -> Option<String> {
    let mut cells = row.into_iter();
    let mut next = || cells.next().flatten();
    let (name, superuser) = (next()?, next()? == "true");
    let list = next().unwrap_or_default();
    let databases: Vec<String> = list
        .split(',')
        .filter_map(text_of)
        .filter(|name| !name.is_empty() && sayable(name))
        .map(|name| identifier(&name))
        .collect();
    let databases = match (superuser, databases.is_empty()) {
        (true, _) => "all".to_owned(),
        (false, false) => databases.join(","),
        (false, true) => return None,
    };
    sayable(&name).then(|| format!("host {databases} {} 0.0.0.0/0 md5", identifier(&name)))
}

/// The text whose bytes these are, in hexadecimal; none where they are of no text.
fn text_of(digits: &str) -> Option<String> {
    let bytes = (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok());
    String::from_utf8(bytes.collect::<Option<_>>()?).ok()
}

/// `pg_hba.conf` can name it, and takes it for nothing but a name.
fn sayable(name: &str) -> bool {
    !name.starts_with('/') && !name.contains(char::is_control)
}

/// The rules in a `patroni.yml`: no other one has a name in quotes.
fn kept(patroni_yml: &str) -> Vec<String> {
    patroni_yml
        .lines()
        .filter_map(|line| line.strip_prefix("    - "))
        .filter_map(|text| serde_json::from_str::<String>(text).ok())
        .filter_map(|rule| {
            let (_, rest) = rule.split_once(' ')?;
            (rule.starts_with("host") && rest.contains('"')).then(|| format!("host {rest}"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use cluster_plan::clients::USER_MARK;

    use super::*;

    fn row(cells: [Option<&str>; 3]) -> Vec<Option<String>> {
        cells.map(|cell| cell.map(str::to_owned)).to_vec()
    }

    #[test]
    fn a_user_enters_what_its_rights_let_it_enter() {
        // The second one's bytes are no text.
        let some = row([Some("a \"b\""), Some("false"), Some("617070,ff00,6f2231")]);
        assert_eq!(
            rule(some).as_deref(),
            Some(r#"host "app","o""1" "a ""b""" 0.0.0.0/0 md5"#)
        );
        let all = row([Some("boss"), Some("true"), None]);
        assert_eq!(
            rule(all).as_deref(),
            Some(r#"host all "boss" 0.0.0.0/0 md5"#)
        );
    }

    #[test]
    fn a_user_that_may_enter_nothing_or_that_no_line_can_name_gets_no_rule() {
        for cells in [
            [Some("nobody"), Some("false"), None],
            [Some("two\nlines"), Some("true"), None],
            [Some("/^.*$"), Some("true"), None],
            [Some("u"), Some("false"), Some("2f616c6c")],
        ] {
            assert_eq!(rule(row(cells)), None, "{cells:?}");
        }
    }

    #[test]
    fn the_query_leaves_the_charms_own_clients_out_and_goes_through_a_shell_unharmed() {
        assert!(GUESTS.contains(&format!("'{USER_MARK}'")));
        assert!(!GUESTS.contains(['"', '$', '`', '\\', '!']));
    }
}
