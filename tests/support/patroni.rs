//! Patroni of all members: what they do by themselves between hooks, and their REST API.

use std::collections::BTreeSet;

use cluster_plan::observed::ServiceState;
use cluster_plan::planner::PATRONI_YML;
use postgresql_k8s::observe::tls::{MEMBER, MEMBER_CA};
use postgresql_k8s::ports::{Members, PortError, PortResult, Registered, Restarted};
use postgresql_k8s::scram;
use secrecy::SecretString;
use serde_json::{Value, json};
use tls_interface::Certificate;

use super::trust::signed;
use super::{APP, Role, State, World};

/// The REST API as one unit sees it.
pub struct FakeMembers<'a> {
    pub world: &'a World,
}

fn ordinal(host: &str) -> u32 {
    let name = host.split('.').next().unwrap_or(host);
    name.rsplit('-')
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap()
}

impl State {
    /// Whether a Patroni runs there.
    fn patroni(&self, ordinal: u32) -> bool {
        self.units
            .get(&ordinal)
            .is_some_and(|unit| unit.pebble && unit.service == ServiceState::Active)
    }

    fn yml(&self, ordinal: u32) -> Option<Value> {
        serde_yaml::from_str(self.units[&ordinal].loaded.as_deref()?).ok()
    }

    /// All Patronis go on for as long as there is something for them to do.
    pub fn let_patroni_work(&mut self) {
        self.list_standbys();
        while self.one_round() {}
    }

    /// A member leads from now on; until its next loop nobody else may be promoted.
    pub fn promote(&mut self, ordinal: u32) {
        self.holder = Some(ordinal);
        self.synchronous = [ordinal].into();
        self.promoted = true;
    }

    /// The leader's loop after its promotion lists those that stream from it, and have caught up.
    fn list_standbys(&mut self) {
        let Some(holder) = self.holder.filter(|h| self.units[h].postgres_runs) else {
            return;
        };
        let at = self.units[&holder].volume.as_ref().map_or(0, |v| v.1);
        let units: Vec<u32> = self.units.keys().copied().collect();
        self.synchronous = units.into_iter().filter(|o| self.streams(*o)).collect();
        for standby in self.synchronous.clone() {
            if let Some(volume) = &mut self.unit(standby).volume {
                volume.1 = volume.1.max(at);
            }
        }
        self.synchronous.insert(holder);
        self.promoted = false;
    }

    fn one_round(&mut self) -> bool {
        let ordinals: Vec<u32> = self.units.keys().copied().collect();
        let mut changed = false;
        if self
            .holder
            .is_some_and(|holder| !self.units.get(&holder).is_some_and(|u| u.postgres_runs))
        {
            self.holder = None;
            changed = true;
        }
        for ordinal in ordinals {
            if !self.patroni(ordinal) {
                let unit = self.unit(ordinal);
                changed |= std::mem::take(&mut unit.postgres_runs);
                continue;
            }
            if self.units[&ordinal].loaded.is_none() {
                let unit = self.unit(ordinal);
                let file = unit
                    .files
                    .get(PATRONI_YML)
                    .expect("patroni.yml before Patroni");
                assert_eq!((file.mode, file.user.as_str()), (0o600, "postgres"));
                let text = String::from_utf8(file.content.clone()).unwrap();
                let certificate = unit
                    .files
                    .get(MEMBER)
                    .filter(|_| text.contains("certfile:"));
                let certificate = certificate.map(|file| file.content.clone());
                // As Patroni 3.0: only beside an unchanged configuration.
                if unit.before.take().is_none_or(|before| before == text) {
                    unit.served = certificate.map(|pem| String::from_utf8(pem).unwrap());
                }
                unit.loaded = Some(text);
                changed = true;
            }
            changed |= self.member(ordinal);
        }
        if self.holder.is_none() {
            let freshest = self
                .units
                .iter()
                .filter(|(_, unit)| unit.postgres_runs)
                .filter(|(o, _)| self.synchronous.is_empty() || self.synchronous.contains(o))
                .max_by_key(|(ordinal, unit)| {
                    (
                        unit.volume.as_ref().map(|v| v.1),
                        std::cmp::Reverse(**ordinal),
                    )
                })
                .map(|(ordinal, _)| *ordinal);
            changed |= freshest.is_some();
            // A new leader sets its standbys anew.
            self.forgotten.clear();
            if let Some(holder) = freshest {
                self.promote(holder);
            }
            self.reminded = false;
            // Whoever leads has its own WAL; another's that was lost with it counts no more.
            let at = freshest.and_then(|holder| Some(self.units[&holder].volume.as_ref()?.1));
            self.oldest_wal = self.oldest_wal.min(at.unwrap_or(self.oldest_wal));
        }
        if std::mem::take(&mut self.reminded) {
            self.forgotten.clear();
        }
        let mut forgotten = std::mem::take(&mut self.forgotten);
        forgotten.retain(|ordinal| !self.streams(*ordinal));
        self.forgotten = forgotten;
        changed
    }

    fn member(&mut self, ordinal: u32) -> bool {
        if self.units[&ordinal].postgres_runs {
            return false;
        }
        let registered = self.registered.as_ref().and_then(|r| r.initialize.clone());
        match (self.units[&ordinal].volume.clone(), registered) {
            (Some((id, _)), Some(registered)) if id == registered => {}
            (Some(_), Some(_)) => return false,
            (Some((id, _)), None) => self.register(&id),
            (None, None) => return self.bootstrap(ordinal),
            (None, Some(_)) => return self.base_backup(ordinal),
        }
        self.unit(ordinal).postgres_runs = true;
        true
    }

    fn register(&mut self, id: &str) {
        self.registered = Some(Registered {
            initialize: Some(id.to_owned()),
            created: "2026-01-03T00:00:00Z".into(),
        });
    }

    fn bootstrap(&mut self, ordinal: u32) -> bool {
        let yml = self.yml(ordinal).expect("patroni.yml is YAML");
        let Some(section) = yml.get("bootstrap") else {
            return false;
        };
        self.bootstraps += 1;
        let id = (7_000 + self.bootstraps).to_string();
        self.register(&id);
        self.dynamic = section["dcs"].clone();
        for (user, superuser) in [
            ("superuser", true),
            ("replication", false),
            ("rewind", false),
        ] {
            let user = &yml["postgresql"]["authentication"][user];
            let password = SecretString::from(user["password"].as_str().unwrap());
            let rounds = if self.cheap_passwords { 1 } else { 4096 };
            let verifier = scram::verifier_of_rounds(&password, &[7; 16], rounds);
            let role = Role {
                login: true,
                superuser,
                verifier: Some(secrecy::ExposeSecret::expose_secret(&verifier).to_owned()),
                ..Role::default()
            };
            self.roles
                .insert(user["username"].as_str().unwrap().to_owned(), role);
        }
        let unit = self.unit(ordinal);
        unit.volume = Some((id, 1));
        unit.postgres_runs = true;
        self.holder = Some(ordinal);
        true
    }

    /// A client writes: the commit is acknowledged when the synchronous standbys have it.
    pub fn write(&mut self) {
        let Some(holder) = self.holder.filter(|h| self.units[h].postgres_runs) else {
            return;
        };
        let standbys: BTreeSet<u32> = self
            .units
            .keys()
            .copied()
            .filter(|o| self.streams(*o))
            .collect();
        let at = self.units[&holder].volume.as_ref().map_or(0, |v| v.1) + 1;
        for ordinal in standbys.iter().chain([&holder]) {
            if let Some(volume) = &mut self.unit(*ordinal).volume {
                volume.1 = at;
            }
        }
        let strict = self.dynamic["synchronous_mode_strict"] == json!(true);
        if strict && standbys.is_empty() || !self.forgotten.is_empty() {
            return; // the client hears nothing
        }
        self.acknowledged = at;
        if !self.promoted {
            self.synchronous = standbys;
            self.synchronous.insert(holder);
        }
    }

    /// A standby that streams from the primary.
    pub fn streams(&self, ordinal: u32) -> bool {
        let runs = self.units.get(&ordinal).is_some_and(|u| u.postgres_runs);
        runs && self.holder != Some(ordinal) && !self.cannot_follow(ordinal)
    }

    /// Names in Patroni's key of synchronous standbys.
    pub fn synchronous_standbys(&self) -> BTreeSet<String> {
        let standbys = self.synchronous.iter().filter(|o| self.holder != Some(**o));
        standbys.map(|o| format!("{APP}-{o}")).collect()
    }

    /// A standby that is away comes for a moment, and goes.
    pub fn come_and_go(&mut self, ordinal: u32) {
        if self.holder.is_some() && !self.streams(ordinal) && self.holder != Some(ordinal) {
            self.synchronous.remove(&ordinal);
            self.forgotten.insert(ordinal);
        }
    }

    /// A standby to which no server has the WAL that it needs next.
    pub fn cannot_follow(&self, ordinal: u32) -> bool {
        let at = self.units[&ordinal].volume.as_ref().map_or(0, |v| v.1);
        self.holder.is_some_and(|holder| holder != ordinal) && at < self.oldest_wal
    }

    /// Checkpoints remove the WAL that no standby that streams needs any more.
    pub fn remove_wal(&mut self) {
        let needed = self
            .units
            .iter()
            .filter(|(o, unit)| unit.postgres_runs && !self.cannot_follow(**o))
            .filter_map(|(_, unit)| Some(unit.volume.as_ref()?.1));
        if let (Some(_), Some(needed)) = (self.holder, needed.min()) {
            self.oldest_wal = self.oldest_wal.max(needed);
        }
    }

    fn base_backup(&mut self, ordinal: u32) -> bool {
        let Some(holder) = self.holder else {
            return false;
        };
        if !self.may_replicate(ordinal) {
            return false;
        }
        let data = self.units[&holder].volume.clone();
        let unit = self.unit(ordinal);
        unit.volume = data;
        unit.postgres_runs = true;
        true
    }

    /// Whether the primary lets this member replicate, with the password in its file.
    pub fn may_replicate(&self, ordinal: u32) -> bool {
        let Some(yml) = self.yml(ordinal) else {
            return false;
        };
        let password = &yml["postgresql"]["authentication"]["replication"]["password"];
        let password = SecretString::from(password.as_str().unwrap());
        let role = self
            .roles
            .get("replication")
            .and_then(|r| r.verifier.as_ref());
        role.is_some_and(|verifier| scram::fits(&password, verifier))
    }
}

impl Members for FakeMembers<'_> {
    fn cluster(&self, hosts: &[String]) -> PortResult<patroni::Cluster> {
        self.world.with(|state| {
            if !hosts.iter().any(|host| state.patroni(ordinal(host))) {
                return Err(PortError::Unreachable(
                    "Patroni",
                    "connection refused".into(),
                ));
            }
            let members: Vec<Value> = state
                .units
                .iter()
                .filter(|(ordinal, unit)| state.patroni(**ordinal) && unit.loaded.is_some())
                .map(|(ordinal, unit)| {
                    let leads = state.holder == Some(*ordinal);
                    let follows = !state.cannot_follow(*ordinal);
                    let standby = if follows && state.synchronous.contains(ordinal) {
                        "sync_standby"
                    } else {
                        "replica"
                    };
                    json!({
                        "name": format!("{APP}-{ordinal}"),
                        "role": if leads { "leader" } else { standby },
                        "state": match (unit.postgres_runs, leads) {
                            (true, true) => "running",
                            (true, false) if !follows => "running",
                            (true, false) => "streaming",
                            _ => "stopped",
                        },
                        "timeline": 1,
                        "pending_restart": unit.pending_restart,
                    })
                })
                .collect();
            Ok(serde_json::from_value(json!({"members": members})).unwrap())
        })
    }

    fn distrusted(&self, host: &str) -> bool {
        self.world.with(|state| {
            let unit = state.unit(ordinal(host));
            let trusted = unit.files.get(MEMBER_CA).map(|file| file.content.clone());
            let (Some(shown), Some(trusted)) = (&unit.served, trusted) else {
                return false;
            };
            let shown = Certificate::parse(shown).unwrap();
            !signed(&shown, &String::from_utf8(trusted).unwrap())
        })
    }

    fn certificate(&self, host: &str) -> PortResult<Option<Vec<u8>>> {
        let nobody = || PortError::Unreachable("Patroni", "connection refused".into());
        self.world.with(|state| {
            let ordinal = ordinal(host);
            let shown = state
                .patroni(ordinal)
                .then(|| state.unit(ordinal).served.clone());
            let shown = shown.flatten().ok_or_else(nobody)?;
            Ok(Some(Certificate::parse(&shown).unwrap().der().to_vec()))
        })
    }

    fn dynamic_config(&self, _: &str) -> PortResult<Value> {
        Ok(self.world.with(|state| state.dynamic.clone()))
    }

    fn patch_dynamic_config(&self, _: &str, patch: &Value) -> PortResult<()> {
        self.world.with(|state| {
            merge(&mut state.dynamic, patch);
            state.effect("patch dynamic configuration");
        });
        Ok(())
    }

    fn restart(&self, host: &str) -> PortResult<Restarted> {
        self.world.with(|state| {
            let ordinal = ordinal(host);
            state.restarts.push(ordinal);
            if state.unit(ordinal).fails_to_restart {
                let other = state.units.keys().copied().find(|o| *o != ordinal);
                if let (true, Some(other)) = (state.holder == Some(ordinal), other) {
                    state.promote(other);
                }
                return Ok(Restarted::Failed);
            }
            state.unit(ordinal).settings.clear();
            // A standby keeps a lowered parameter until the primary has it.
            if !state.lowered || state.holder == Some(ordinal) {
                state.unit(ordinal).pending_restart = false;
            }
            if state.holder == Some(ordinal) {
                state.lowered = false;
            }
            state.effect(format!("restart {ordinal}"));
            Ok(Restarted::Done)
        })
    }

    fn reinitialise(&self, host: &str) -> PortResult<()> {
        self.world.with(|state| {
            let ordinal = ordinal(host);
            let holder = state.holder.expect("a leader to copy from");
            let at = |unit: u32| state.units[&unit].volume.as_ref().map(|v| v.1);
            assert!(
                holder != ordinal && at(ordinal) <= at(holder),
                "not the freshest"
            );
            state.unit(ordinal).volume = None;
            state.unit(ordinal).postgres_runs = false;
            state.reinitialised.push(ordinal);
            state.effect(format!("reinitialise {ordinal}"));
        });
        Ok(())
    }

    fn switchover(&self, _: &str, leader: &str, candidate: Option<&str>) -> PortResult<()> {
        self.world.with(|state| {
            assert_eq!(state.holder, Some(ordinal(leader)));
            let candidate = ordinal(candidate.expect("a candidate is named"));
            assert!(state.units[&candidate].postgres_runs, "the candidate runs");
            state.promote(candidate);
            state.effect("switchover");
        });
        Ok(())
    }
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let map = target.as_object_mut().unwrap();
    for (key, value) in patch {
        if value.is_null() {
            map.remove(key);
        } else {
            merge(map.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}
