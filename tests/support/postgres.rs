//! The primary's catalogue, and the statements that the charm runs: each must be one that this
//! catalogue understands and that fits it, as PostgreSQL would insist.

use std::collections::BTreeMap;

use cluster_plan::observed::SystemUser;
use postgresql_k8s::clients::list::SESSIONS;
use postgresql_k8s::observe::{database, follow, identity};
use postgresql_k8s::ports::{Database, PortError, PortResult, Server};
use postgresql_k8s::scram;
use secrecy::{ExposeSecret, SecretString};

use super::clients::attribute;
use super::{APP, Role, State, World};

/// The database as one unit sees it.
pub struct FakeDatabase<'a> {
    pub world: &'a World,
    pub ordinal: u32,
}

impl FakeDatabase<'_> {
    /// Logs in: the unit that it is.
    fn enter(&self, server: &Server) -> PortResult<u32> {
        self.world.with(|state| {
            let refused = |why: &str| PortError::Unreachable("PostgreSQL", why.into());
            if state.database_away {
                return Err(refused("timed out"));
            }
            match server {
                Server::Own if state.units[&self.ordinal].postgres_runs => Ok(self.ordinal),
                Server::Host(host, password) => {
                    let holder = state.holder.ok_or_else(|| refused("no primary"))?;
                    let unit = host
                        .strip_prefix(&format!("{APP}-"))
                        .and_then(|rest| rest.split('.').next()?.parse().ok())
                        .unwrap_or_else(|| panic!("{host}"));
                    if unit != holder && !state.units[&unit].postgres_runs {
                        return Err(refused("connection refused"));
                    }
                    let verifier = state.roles["operator"].verifier.clone().unwrap_or_default();
                    if scram::fits(password, &verifier) {
                        Ok(unit)
                    } else {
                        Err(PortError::Forbidden(
                            "PostgreSQL",
                            "password authentication failed".into(),
                        ))
                    }
                }
                Server::Own => Err(refused("no such socket")),
            }
        })
    }
}

impl State {
    /// What a server runs with: the configuration, but for what it has yet to be restarted for.
    fn settings(&self, unit: u32) -> Vec<Vec<Option<String>>> {
        let wanted = self.dynamic["postgresql"]["parameters"].as_object();
        let mut now: BTreeMap<String, u64> = wanted
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.clone(), value.as_u64()?)))
            .collect();
        now.extend(self.units[&unit].settings.clone());
        now.into_iter()
            .map(|(name, value)| vec![Some(name), Some(value.to_string())])
            .collect()
    }
}

impl Database for FakeDatabase<'_> {
    fn query(&self, server: &Server, sql: &str) -> PortResult<Vec<Vec<Option<String>>>> {
        let unit = self.enter(server)?;
        if sql == follow::STANDBY && self.world.with(|state| state.holder == Some(unit)) {
            return Ok(vec![]);
        }
        if sql == follow::STANDBY {
            return Ok(self.world.with(|state| vec![state.standby(unit)]));
        }
        if sql == postgresql_k8s::observe::disk::SLOTS {
            return Ok(vec![vec![
                Some("old".into()),
                Some("640".into()),
                Some("false".into()),
            ]]);
        }
        if sql == postgresql_k8s::observe::guests::GUESTS {
            return Ok(self.world.with(|state| state.guests()));
        }
        Ok(self.world.with(|state| {
            let text = |value: bool| Some(value.to_string());
            let mut rows = vec![vec![
                Some("public".into()),
                Some("postgres".into()),
                text(state.public_revoked),
            ]];
            rows.push(vec![
                Some("marks".into()),
                None,
                text(state.marks.len() == 2),
            ]);
            rows.extend(state.databases().into_iter().map(|name| {
                // Others that come and go don't change it.
                let id = format!("id of {name}");
                vec![Some("database".into()), Some(name), Some(id)]
            }));
            rows.extend(
                state
                    .units
                    .iter()
                    .filter(|(ordinal, _)| state.streams(**ordinal))
                    .map(|(ordinal, _)| {
                        let name = format!("{APP}-{ordinal}");
                        vec![Some("standby".into()), Some(name), text(true)]
                    }),
            );
            rows.push(vec![
                Some("prepared".into()),
                Some(state.prepared.to_string()),
            ]);
            rows.push(vec![
                Some("server".into()),
                Some((state.major * 10000).to_string()),
                state.catalog_roles.clone(),
            ]);
            rows.extend(state.forgotten.iter().map(|ordinal| {
                let name = format!("{APP}-{ordinal}");
                vec![Some("awaited".into()), Some(name)]
            }));
            rows.extend(state.roles.iter().map(|(name, role)| {
                let groups: Vec<_> = role.groups.iter().cloned().collect();
                vec![
                    Some("role".into()),
                    Some(name.clone()),
                    text(role.login),
                    text(role.superuser),
                    role.verifier.clone(),
                    (!groups.is_empty()).then(|| groups.join(",")),
                    text(role.connects),
                ]
            }));
            rows
        }))
    }

    fn execute(&self, server: &Server, statements: &[SecretString]) -> PortResult<()> {
        self.enter(server)?;
        self.world.with(|state| {
            // One transaction: all of them, or none.
            for statement in statements {
                state.run(statement.expose_secret());
            }
            state.effect(format!("{} statements", statements.len()));
        });
        Ok(())
    }

    fn look(
        &self,
        server: &Server,
        sql: &'static str,
        parameters: &[&str],
    ) -> PortResult<Vec<Vec<Option<String>>>> {
        let unit = self.enter(server)?;
        Ok(self.world.with(|state| {
            if sql == identity::HAS_READ {
                let read = state.units[&unit].loaded.is_some();
                return vec![vec![Some(read.to_string())]];
            }
            if sql == database::SETTINGS {
                return state.settings(unit);
            }
            if sql == SESSIONS {
                return state.sessions(unit);
            }
            if sql == follow::UPSTREAM {
                return vec![state.upstream(unit, parameters[0])];
            }
            state.rows(sql, parameters)
        }))
    }

    fn look_in(
        &self,
        server: &Server,
        database: &str,
        sql: &'static str,
    ) -> PortResult<Vec<Vec<Option<String>>>> {
        self.enter(server)?;
        Ok(self
            .world
            .with(|state| state.extensions.rows(sql, database)))
    }

    fn run(
        &self,
        server: &Server,
        database: &str,
        transaction: bool,
        statements: &[SecretString],
    ) -> PortResult<()> {
        let unit = self.enter(server)?;
        assert!(transaction || statements.len() == 1, "one alone");
        self.world.with(|state| {
            for statement in statements {
                let sql = statement.expose_secret();
                if let Some(done) = state.extensions.run(sql, database) {
                    done.map_err(|why| PortError::Failed("change".into(), why.into()))?;
                    continue;
                }
                state.clients.statements.push(sql.to_owned());
                if !state.run_client(unit, sql, database, transaction) {
                    state.run(sql);
                }
            }
            // On a standby nothing can change.
            if state.holder == Some(unit) {
                state.effect(format!("{} statements in {database}", statements.len()));
            }
            Ok(())
        })
    }
}

impl State {
    /// What a standby tells of how it follows: a byte a segment.
    fn standby(&self, unit: u32) -> Vec<Option<String>> {
        let at = self.units[&unit].volume.as_ref().map_or(0, |v| v.1);
        let streams = (self.holder.is_some() && self.streams(unit)).to_string();
        let cells = [&streams, "1", &at.to_string(), "false", "false", "5"];
        let cells = cells.map(|cell| Some(cell.to_owned()));
        cells.into_iter().chain([None]).collect()
    }

    /// What the primary tells of itself, and of the segment in which a standby is.
    fn upstream(&self, unit: u32, standby: &str) -> Vec<Option<String>> {
        let at = self.units[&unit].volume.as_ref().map_or(0, |v| v.1);
        let removed = standby.parse::<u64>().unwrap() < self.oldest_wal;
        let kept = (!removed).then(|| "00000001".to_owned());
        let some = |text: &str| Some(text.to_owned());
        let (timeline, at) = (some("00000001"), some(&at.to_string()));
        vec![timeline, at, some("1"), kept, None, some("5"), None]
    }

    fn run(&mut self, sql: &str) {
        let bare = sql.replace('"', "").replace("DO 'DECLARE", "DO DECLARE");
        let words: Vec<&str> = bare.split_whitespace().collect();
        match words.as_slice() {
            [
                "REVOKE",
                "ALL",
                "PRIVILEGES",
                "ON",
                "DATABASE",
                "postgres",
                "FROM",
                "PUBLIC",
            ] => {
                self.public_revoked = true;
            }
            [
                "REVOKE",
                "ALL",
                "PRIVILEGES",
                "ON",
                "DATABASE",
                "template1",
                "FROM",
                "PUBLIC",
            ]
            | [
                "REVOKE",
                "CREATE",
                "ON",
                "SCHEMA",
                "public",
                "FROM",
                "PUBLIC",
            ]
            | ["DO", "DECLARE", "marked" | "item", ..]
            // Users that poolers have made are on a real server alone.
            | ["ALTER", "ROLE", _, .., "SET", "role", "TO", _] => {}
            ["CREATE", "SCHEMA", mark] => {
                assert!(
                    self.marks.insert((*mark).to_owned()),
                    "schema {mark} exists"
                );
            }
            ["ALTER", "ROLE", name, "NOLOGIN", attributes @ ..] => {
                let role = self.role(name);
                role.login = false;
                attribute(role, attributes);
            }
            ["ALTER", "ROLE", name, "RESET", "ALL"]
            | ["GRANT", "EXECUTE", "ON", "FUNCTION", .., "TO", name] => {
                self.role(name);
            }
            ["CREATE", "ROLE", name, attributes @ ..] => {
                let mut role = Role::default();
                attribute(&mut role, attributes);
                let old = self.roles.insert((*name).to_owned(), role);
                assert!(old.is_none(), "role {name} already exists");
            }
            ["ALTER", "ROLE", name, "PASSWORD", verifier] => {
                let verifier = verifier.trim_matches('\'');
                assert!(verifier.starts_with("SCRAM-SHA-256$"), "a verifier alone");
                let verifier = self.kept(name, verifier);
                self.role(name).verifier = Some(verifier);
            }
            ["GRANT", "CONNECT", "ON", "DATABASE", "postgres", "TO", name]
            | [
                "GRANT",
                "ALL",
                "PRIVILEGES",
                "ON",
                "DATABASE",
                "postgres",
                "TO",
                name,
            ] => {
                self.role(name).connects = true;
            }
            ["GRANT", groups @ .., "TO", name] => {
                let names = groups.iter().map(|g| g.trim_end_matches(',').to_owned());
                let names: Vec<String> = names.collect();
                for group in &names {
                    let known = self.roles.contains_key(group) || group.starts_with("pg_");
                    assert!(known, "role {group} does not exist");
                }
                self.role(name).groups.extend(names);
            }
            _ => panic!("syntax error: {sql}"),
        }
    }

    /// Users that the charm did not make, as `GUESTS` shows them; they enter what they are in.
    fn guests(&self) -> Vec<Vec<Option<String>>> {
        let others = self.roles.iter().filter(|(name, role)| {
            role.login && !role.marked && SystemUser::from_name(name).is_none()
        });
        let rows = others.map(|(name, role)| {
            let databases = self.databases();
            let hex = |name: &String| {
                let digits = |byte: u8| [byte >> 4, byte & 15];
                let digits = name.bytes().flat_map(digits);
                digits
                    .filter_map(|digit| char::from_digit(digit.into(), 16))
                    .collect()
            };
            let databases: Vec<String> = databases
                .iter()
                .filter(|database| role.groups.contains(*database))
                .map(hex)
                .collect();
            vec![
                Some(name.clone()),
                Some(role.superuser.to_string()),
                Some(databases.join(",")),
            ]
        });
        rows.collect()
    }

    /// The verifier, or a cheaper one of the same password where that is in the secret.
    fn kept(&self, user: &str, verifier: &str) -> String {
        let password = SystemUser::from_name(user)
            .filter(|_| self.cheap_passwords)
            .and_then(|user| self.secret.as_ref()?.get(user))
            .filter(|password| scram::fits(password, verifier));
        password.map_or_else(
            || verifier.to_owned(),
            |password| {
                let cheap = scram::verifier_of_rounds(password, &[7; 16], 1);
                cheap.expose_secret().to_owned()
            },
        )
    }

    pub fn role(&mut self, name: &str) -> &mut Role {
        let found = self.roles.get_mut(name);
        found.unwrap_or_else(|| panic!("role {name} does not exist"))
    }
}
