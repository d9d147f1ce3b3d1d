//! Other applications that are related to ours, and what the database has for them.

use std::collections::{BTreeMap, BTreeSet};

use cluster_plan::clients::{OWNER_MARK, USER_MARK};
use juju::{Event, RelationEvent};
use postgresql_k8s::clients::list::ROLES;
use postgresql_k8s::clients::{CLIENT, OWNED, PREFIXED, PREPARED, USERS, is_client};
use postgresql_k8s::juju_port::{Content, JujuError, Relations};
use secrecy::ExposeSecret;

use super::juju::FakeJuju;
use super::{APP, Outcome, Role, State, World};

/// A databag.
pub type Bag = BTreeMap<String, String>;
/// Rows of text.
pub type Rows = Vec<Vec<Option<String>>>;

/// Clients, by relation id, and what the database has beyond roles.
#[derive(Default, Clone)]
pub struct Clients {
    pub relations: BTreeMap<String, Relation>,
    pub secrets: BTreeMap<String, Secret>,
    /// The relation whose last hook runs.
    pub ending: Option<String>,
    /// What each unit remembers.
    pub memory: BTreeMap<(u32, String), String>,
    /// Databases, with the owner of each.
    pub databases: BTreeMap<String, String>,
    /// Tables: database, name and owner.
    pub tables: BTreeMap<(String, String), String>,
    /// Users that act as their database's owner.
    pub acting: BTreeSet<(String, String)>,
    /// Roles that a login takes from its first statement on.
    pub takes: BTreeMap<String, String>,
    /// Open sessions: unit, user and database.
    pub sessions: Vec<(u32, String, String)>,
    /// What users were granted by their permissions.
    pub grants: BTreeSet<(String, String)>,
    /// Calls of hook tools about relations, secrets and memory in the last hook.
    pub calls: usize,
    /// Statements that came to the database.
    pub statements: Vec<String>,
}

/// A relation.
#[derive(Default, Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    pub app: String,
    pub theirs: Bag,
    pub ours: Bag,
    /// Databags of units, at both ends.
    pub units: BTreeMap<String, Bag>,
}

/// A secret.
#[derive(Default, Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    pub content: Bag,
    pub granted: BTreeSet<String>,
    pub revision: u64,
}

/// What a hook has written.
#[derive(Default)]
pub struct Pending {
    bags: Vec<(String, String, String, String)>,
    secrets: BTreeMap<String, Option<Secret>>,
    memory: BTreeMap<String, String>,
}

impl Pending {
    pub fn commit(self, state: &mut State, ordinal: u32) {
        for (relation, entity, key, value) in self.bags {
            let Some(relation) = state.clients.relations.get_mut(&relation) else {
                continue;
            };
            let bag = if entity == APP {
                &mut relation.ours
            } else {
                relation.units.entry(entity).or_default()
            };
            if value.is_empty() {
                bag.remove(&key);
            } else {
                bag.insert(key, value);
            }
        }
        for (label, secret) in self.secrets {
            match secret {
                Some(secret) => state.clients.secrets.insert(label, secret),
                None => state.clients.secrets.remove(&label),
            };
        }
        for (key, text) in self.memory {
            state.clients.memory.insert((ordinal, key), text);
        }
    }
}

impl FakeJuju<'_> {
    fn call<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        self.world.with(|state| {
            state.clients.calls += 1;
            work(state)
        })
    }

    fn led(&self) -> Result<(), JujuError> {
        if self.world.with(|state| state.leader) == self.ordinal {
            Ok(())
        } else {
            Err(JujuError("not leader".into(), None))
        }
    }
}

impl Relations for FakeJuju<'_> {
    fn relation_ids(&self, endpoint: &str) -> Result<Vec<String>, JujuError> {
        Ok(self.call(|state| {
            let ids = state.clients.relations.keys();
            let ids = ids.filter(|id| id.starts_with(&format!("{endpoint}:")));
            let unserved = state.relations.get(endpoint);
            let known = |id: &&String| id.starts_with(&format!("{endpoint}:"));
            let known = state.clients.relations.keys().any(|id| known(&id));
            let unserved = unserved.filter(|name| !is_client(name) && !known);
            let unserved = unserved.map(|name| format!("{name}:99"));
            ids.cloned().chain(unserved).collect()
        }))
    }

    fn is_ending(&self, relation: &str) -> bool {
        let ending = |state: &mut State| state.clients.ending.as_deref() == Some(relation);
        self.world.with(ending)
    }

    fn remote_app(&self, relation: &str) -> Result<String, JujuError> {
        Ok(self.call(|state| state.clients.relations[relation].app.clone()))
    }

    fn remote_units(&self, relation: &str) -> Result<Vec<String>, JujuError> {
        Ok(self.call(|state| {
            let found = &state.clients.relations[relation];
            let own = format!("{APP}/");
            let units = found.units.keys().filter(|unit| !unit.starts_with(&own));
            units.cloned().collect()
        }))
    }

    fn relation_bag(&self, relation: &str, entity: &str) -> Result<Bag, JujuError> {
        Ok(self.call(|state| {
            let found = &state.clients.relations[relation];
            if entity == APP {
                found.ours.clone()
            } else if entity == found.app {
                found.theirs.clone()
            } else {
                found.units.get(entity).cloned().unwrap_or_default()
            }
        }))
    }

    fn set_relation(
        &self,
        relation: &str,
        entity: &str,
        key: &str,
        value: &str,
    ) -> Result<(), JujuError> {
        if entity == APP {
            self.led()?;
        }
        let now = self.call(|state| {
            let found = &state.clients.relations[relation];
            let bag = if entity == APP {
                Some(&found.ours)
            } else {
                found.units.get(entity)
            };
            bag.and_then(|bag| bag.get(key))
                .cloned()
                .unwrap_or_default()
        });
        if now != value {
            self.world
                .with(|state| state.effect(format!("relation-set {relation} {key}")));
        }
        self.pending.borrow_mut().clients.bags.push((
            relation.into(),
            entity.into(),
            key.into(),
            value.into(),
        ));
        Ok(())
    }

    fn shared_secret(&self, label: &str) -> Result<Option<Content>, JujuError> {
        let found = match self.pending.borrow().clients.secrets.get(label) {
            Some(pending) => pending.clone(),
            None => self.call(|state| state.clients.secrets.get(label).cloned()),
        };
        Ok(found.map(|secret| {
            let pairs = secret.content.into_iter();
            pairs.map(|(key, value)| (key, value.into())).collect()
        }))
    }

    fn secret_revision(&self, label: &str) -> Result<Option<u64>, JujuError> {
        let found = self.call(|state| state.clients.secrets.get(label).cloned());
        Ok(found.map(|secret| secret.revision))
    }

    fn share_secret(
        &self,
        label: &str,
        relation: &str,
        content: &Content,
    ) -> Result<String, JujuError> {
        self.led()?;
        let before = self.call(|state| state.clients.secrets.get(label).cloned());
        let mut secret = Secret {
            content: content
                .iter()
                .map(|(key, value)| (key.clone(), value.expose_secret().to_owned()))
                .collect(),
            granted: [relation.to_owned()].into(),
            revision: before.as_ref().map_or(1, |before| before.revision),
        };
        if before.as_ref() != Some(&secret) {
            secret.revision += u64::from(before.is_some());
            self.world
                .with(|state| state.effect(format!("secret {label}")));
        }
        let mut pending = self.pending.borrow_mut();
        pending.clients.secrets.insert(label.into(), Some(secret));
        Ok(format!("secret:{label}"))
    }

    fn forget_secret(&self, label: &str) -> Result<(), JujuError> {
        self.led()?;
        self.call(|state| state.effect(format!("secret-remove {label}")));
        let mut pending = self.pending.borrow_mut();
        pending.clients.secrets.insert(label.into(), None);
        Ok(())
    }

    fn memory(&self, key: &str) -> Result<Option<String>, JujuError> {
        let ordinal = self.ordinal;
        if let Some(pending) = self.pending.borrow().clients.memory.get(key) {
            return Ok(Some(pending.clone()));
        }
        Ok(self.call(|state| state.clients.memory.get(&(ordinal, key.into())).cloned()))
    }

    fn remember(&self, key: &str, text: &str) -> Result<(), JujuError> {
        assert!(text.len() < 64 * 1024, "Juju takes no more");
        let mut pending = self.pending.borrow_mut();
        pending.clients.memory.insert(key.into(), text.into());
        Ok(())
    }
}

impl State {
    /// Sessions on a unit, as `SESSIONS` shows them.
    pub fn sessions(&self, unit: u32) -> Rows {
        let mut counts: BTreeMap<(&String, &String), usize> = BTreeMap::new();
        for (on, user, database) in &self.clients.sessions {
            if *on == unit {
                *counts.entry((user, database)).or_default() += 1;
            }
        }
        let rows = counts.into_iter().map(|((user, database), count)| {
            let texts = [user, database, &count.to_string(), "2026-11-21T11:00:00Z"];
            texts.map(|text| Some(text.to_owned())).to_vec()
        });
        rows.collect()
    }

    /// Rows of one of the charm's look-ups.
    pub fn rows(&self, sql: &str, parameters: &[&str]) -> Rows {
        let text = |value: bool| Some(value.to_string());
        let some = |value: &str| Some(value.to_owned());
        if sql == USERS {
            assert_eq!(parameters, [USER_MARK]);
            let users = self.roles.iter();
            let users = users.filter(|(n, role)| n.starts_with("relation_id_") && role.marked);
            return users.map(|(name, _)| vec![some(name)]).collect();
        }
        if sql == OWNED {
            return self.owned(parameters);
        }
        if sql == PREPARED {
            return Rows::new();
        }
        if sql == PREFIXED {
            let databases = self.clients.databases.iter();
            let found = databases.filter(|(name, owner)| {
                name == owner && name.starts_with(parameters[0]) && self.roles[*name].marked
            });
            return found.map(|(name, _)| vec![some(name)]).collect();
        }
        if sql == ROLES {
            let users = self
                .roles
                .iter()
                .filter(|(n, role)| n.starts_with("relation_id_") && role.marked);
            return users
                .map(|(name, role)| {
                    let groups = serde_json::to_string(&role.groups).unwrap();
                    let attributes = if role.superuser { "superuser" } else { "" };
                    let own = role.groups.iter();
                    let own: Vec<&String> = own
                        .filter(|group| self.clients.databases.contains_key(*group))
                        .collect();
                    vec![
                        some(name),
                        text(role.login),
                        some(attributes),
                        Some(groups),
                        Some(serde_json::to_string(&own).unwrap()),
                        None,
                    ]
                })
                .collect();
        }
        assert_eq!(sql, CLIENT);
        let [user, database, asked, marks @ ..] = parameters else {
            panic!("five parameters");
        };
        assert_eq!(marks, [OWNER_MARK, USER_MARK]);
        let asked: Vec<String> = serde_json::from_str(asked).unwrap();
        let mut rows = vec![vec![
            some("version"),
            Some(format!("{}.18 (Debian 15.18-0)", self.major)),
        ]];
        if let Some(role) = self.roles.get(*user) {
            let groups =
                (!role.groups.is_empty()).then(|| serde_json::to_string(&role.groups).unwrap());
            let acts = (user.to_string(), database.to_string());
            rows.push(vec![
                some("user"),
                text(role.login),
                text(role.superuser),
                text(role.createdb),
                text(role.createrole),
                role.verifier.clone(),
                groups,
                text(self.clients.acting.contains(&acts)),
                text(role.marked),
                None,
            ]);
        }
        for (name, role) in &self.roles {
            if name == database || asked.contains(name) {
                rows.push(vec![
                    some("role"),
                    some(name),
                    text(role.login),
                    text(role.superuser),
                    text(role.marked),
                ]);
            }
        }
        if let Some(owner) = self.clients.databases.get(*database) {
            let (owned, of_operator) = (owner == database, owner == "operator");
            rows.push(vec![
                some("database"),
                some(database),
                text(owned),
                text(of_operator),
            ]);
        }
        rows
    }

    /// Databases in which a user owns something.
    fn owned(&self, parameters: &[&str]) -> Rows {
        let text = |value: bool| Some(value.to_string());
        let some = |value: &str| Some(value.to_owned());
        assert_eq!(parameters[1], OWNER_MARK);
        let mut databases: BTreeSet<&String> = BTreeSet::new();
        let tables = self.clients.tables.iter();
        databases.extend(
            tables
                .filter(|(_, owner)| *owner == parameters[0])
                .map(|((d, _), _)| d),
        );
        databases
            .into_iter()
            .map(|name| {
                let owned = self.clients.databases.get(name) == Some(name);
                vec![some(name), text(owned), text(false)]
            })
            .collect()
    }

    /// Runs a statement about clients; false where it is not one.
    pub fn run_client(&mut self, unit: u32, sql: &str, database: &str, transaction: bool) -> bool {
        let bare = sql.replace(['"', '\''], "");
        let words: Vec<&str> = bare.split_whitespace().collect();
        let clients = &mut self.clients;
        match words.as_slice() {
            ["CREATE", "DATABASE", name] => {
                assert!(!transaction, "CREATE DATABASE cannot run in a transaction");
                let old = clients.databases.insert((*name).into(), "operator".into());
                assert!(old.is_none(), "database {name} already exists");
            }
            ["GRANT", "USAGE", "ON", "SCHEMA", mark, "TO", name]
                if [USER_MARK, OWNER_MARK].contains(mark) =>
            {
                assert!(self.marks.contains(*mark), "schema {mark}");
                self.role(name).marked = true;
            }
            ["REVOKE", "ALL", "ON", "DATABASE", name, "FROM", "PUBLIC"] => {
                assert!(clients.databases.contains_key(*name), "database {name}");
            }
            ["GRANT", what @ .., "TO", user]
                if what.contains(&"ON") && user.starts_with("relation_id_") =>
            {
                assert!(clients.databases.contains_key(database), "in {database}");
                let what = what.join(" ");
                clients.grants.insert(((*user).into(), what));
            }
            ["REVOKE", what @ .., "FROM", user] if user.starts_with("relation_id_") => {
                let what = what.join(" ");
                let had = clients.grants.remove(&((*user).into(), what));
                assert!(had, "{sql}");
            }
            [
                "GRANT",
                "ALL" | "CONNECT",
                "ON",
                "DATABASE",
                name,
                "TO",
                role,
            ] if *name != "postgres" => {
                assert!(clients.databases.contains_key(*name), "database {name}");
                self.role(role);
            }
            ["ALTER", "DATABASE", name, "OWNER", "TO", owner] => {
                let found = clients.databases.get_mut(*name).expect("the database");
                (*owner).clone_into(found);
                self.role(owner);
            }
            [
                "ALTER",
                "ROLE",
                user,
                "IN",
                "DATABASE",
                name,
                "SET",
                "role",
                "TO",
                role,
            ] => {
                assert!(clients.databases.contains_key(*name), "database {name}");
                assert_eq!(name, role);
                clients.acting.insert(((*user).into(), (*name).into()));
            }
            ["ALTER", "DEFAULT", "PRIVILEGES", "FOR", "ROLE", user, ..] => {
                assert!(clients.databases.contains_key(database), "in {database}");
                self.role(user);
            }
            // What it does is PostgreSQL's to tell, see `look_alikes.rs`.
            ["DO", ..] => {
                let there = clients.databases.contains_key(database);
                assert!(there || database == "postgres", "in {database}");
            }
            ["SELECT", call, .., user] if call.starts_with("pg_catalog.pg_terminate_backend") => {
                clients
                    .sessions
                    .retain(|(on, by, _)| *on != unit || by != user);
            }
            ["REASSIGN", "OWNED", "BY", user, "TO", heir] => {
                for ((place, _), owner) in &mut clients.tables {
                    if place == database && owner == user {
                        (*heir).clone_into(owner);
                    }
                }
                self.role(heir);
            }
            ["DROP", "OWNED", "BY", user] => {
                let left = clients.tables.iter();
                let mut left = left.filter(|((d, _), owner)| d == database && owner == user);
                assert!(left.next().is_none(), "data is dropped");
            }
            ["DROP", "ROLE", user] => {
                let owns = clients.tables.values().any(|owner| owner == user);
                assert!(!owns, "{user} owns something");
                clients.acting.retain(|(acting, _)| acting != user);
                self.roles.remove(*user).expect("the role");
            }
            _ => return self.run_predefined(sql, database) || self.run_login(&words),
        }
        true
    }

    /// Runs a statement about the roles that are predefined; false where it is not one.
    fn run_predefined(&mut self, sql: &str, database: &str) -> bool {
        let bare = sql.replace('"', "");
        let words: Vec<&str> = bare.split_whitespace().collect();
        match words.as_slice() {
            [
                "CREATE",
                "OR",
                "REPLACE",
                "FUNCTION",
                "pg_catalog.set_up_predefined_catalog_roles()",
                ..,
            ] => {
                if database == "postgres" {
                    let text = sql.split_once(" AS ").unwrap().1.trim_matches('\'');
                    self.catalog_roles = Some(text.replace("''", "'"));
                }
            }
            [
                "GRANT",
                "CONNECT",
                "ON",
                "DATABASE",
                name,
                "TO",
                several @ ..,
                last,
            ] if !several.is_empty() => {
                assert!(
                    self.clients.databases.contains_key(*name),
                    "database {name}"
                );
                for role in several.iter().chain([last]) {
                    self.role(role.trim_end_matches(','));
                }
            }
            _ => return false,
        }
        true
    }

    /// Runs a statement about a login; false where it is not one.
    fn run_login(&mut self, words: &[&str]) -> bool {
        let clients = &mut self.clients;
        match words {
            ["ALTER", "ROLE", user, "SET", "role", "TO", role] => {
                let member = self.roles[*user].groups.contains(*role);
                assert!(member, "{user} cannot take {role}");
                clients.takes.insert((*user).into(), (*role).into());
            }
            ["SET", "LOCAL", "ROLE", name] => {
                self.role(name);
            }
            ["ALTER", "ROLE", user, "PASSWORD", "NULL"] => self.role(user).verifier = None,
            ["ALTER", "ROLE", user, attributes @ ..]
                if !["PASSWORD", "IN"].contains(&attributes[0]) =>
            {
                let role = self.role(user);
                attribute(role, attributes);
            }
            _ => return false,
        }
        true
    }
}

/// Sets a role's attributes.
pub fn attribute(role: &mut Role, attributes: &[&str]) {
    for word in attributes {
        let on = !word.starts_with("NO");
        match word.trim_start_matches("NO") {
            "LOGIN" => role.login = on,
            "SUPERUSER" => role.superuser = on,
            "CREATEDB" => role.createdb = on,
            "CREATEROLE" => role.createrole = on,
            "REPLICATION" => {}
            other => panic!("no such attribute: {other}"),
        }
    }
}

impl World {
    /// Relates a client that asks for this; its hooks have not run.
    pub fn relate(&self, id: &str, app: &str, asks: &[(&str, &str)]) {
        let theirs = asks
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        self.with(|state| {
            let endpoint = id.split(':').next().unwrap();
            state.relations.insert(endpoint.to_owned());
            let relation = Relation {
                app: app.into(),
                theirs,
                ..Relation::default()
            };
            state.clients.relations.insert(id.to_owned(), relation);
        });
    }

    /// The relation goes: runs the hooks of all units, then it is gone.
    pub fn unrelate(&self, id: &str) {
        let units: Vec<u32> = self.with(|state| state.units.keys().copied().collect());
        for ordinal in units {
            let broken = Event::RelationBroken(self.relation_event(id));
            assert_eq!(self.hook(ordinal, &broken), Outcome::Done);
        }
        self.forget_relation(id);
    }

    /// It is gone, whatever the hooks have done.
    pub fn forget_relation(&self, id: &str) {
        self.with(|state| {
            state.clients.relations.remove(id);
            let endpoint = id.split(':').next().unwrap();
            let prefix = format!("{endpoint}:");
            if !state
                .clients
                .relations
                .keys()
                .any(|r| r.starts_with(&prefix))
            {
                state.relations.remove(endpoint);
            }
        });
    }

    pub fn relation_event(&self, id: &str) -> RelationEvent {
        RelationEvent {
            endpoint: id.split(':').next().unwrap().to_owned(),
            relation_id: id.to_owned(),
            remote_app: self
                .with(|s| s.clients.relations.get(id).map(|r| r.app.clone()))
                .unwrap_or_default(),
            ..RelationEvent::default()
        }
    }

    /// `<endpoint>-relation-changed`
    pub fn changed(&self, id: &str) -> Event {
        Event::RelationChanged(self.relation_event(id))
    }

    /// Our databag of a relation.
    pub fn told(&self, id: &str) -> Bag {
        self.with(|state| state.clients.relations[id].ours.clone())
    }

    /// Content of a secret.
    pub fn secret(&self, label: &str) -> Bag {
        self.with(|state| state.clients.secrets[label].content.clone())
    }

    /// Users of clients.
    pub fn client_users(&self) -> Vec<String> {
        self.with(|state| {
            let users = state.roles.keys().filter(|n| n.starts_with("relation_id_"));
            users.cloned().collect()
        })
    }
}
