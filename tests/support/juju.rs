//! Juju: what a hook writes counts only once it has ended well, but for statuses.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use postgresql_k8s::juju_port::{Bag, Content, Goal, JujuError, JujuPort, SecretMap};
use postgresql_k8s::secrets::Passwords;
use serde_json::Value;

use super::{APP, MODEL, World};

/// Id of the application's secret.
pub const APPLICATIONS: &str = "secret:application";

/// Juju as one hook of one unit sees it.
pub struct FakeJuju<'a> {
    pub world: &'a World,
    pub ordinal: u32,
    pub pending: RefCell<Pending>,
    /// What earlier hooks have kept counts no more.
    pub anew: Cell<bool>,
    /// Something kept was of use.
    pub used: Cell<bool>,
}

/// What a unit keeps of the application's secret, and whether it led when it read that.
#[derive(Clone)]
pub struct Kept {
    leader: bool,
    passwords: Option<Passwords>,
    authority: SecretMap,
}

/// What is committed when the hook ends well.
#[derive(Default)]
pub struct Pending {
    pub app_bag: Vec<(String, String)>,
    pub unit_bag: Vec<(String, String)>,
    pub secret: Option<Passwords>,
    pub kept: Option<Kept>,
    pub writes: bool,
    pub ports: BTreeSet<u16>,
    pub tls: super::certificates::Pending,
    pub clients: super::clients::Pending,
}

impl FakeJuju<'_> {
    pub fn commit(self) {
        let pending = self.pending.into_inner();
        self.world.with(|state| {
            write(&mut state.app_bag, pending.app_bag);
            if let Some(secret) = pending.secret {
                state.secret = Some(secret);
            }
            pending.tls.commit(state, self.ordinal);
            let unit = state.unit(self.ordinal);
            if let Some(kept) = pending.kept.filter(|_| !pending.writes) {
                unit.kept = Some(kept);
            }
            write(&mut unit.bag, pending.unit_bag);
            unit.ports.extend(pending.ports);
            pending.clients.commit(state, self.ordinal);
        });
    }

    /// The application's secret as this hook knows it.
    pub fn applications(&self) -> (Option<Passwords>, SecretMap) {
        self.world.with(|state| {
            let leader = state.leader == self.ordinal;
            let kept = state.units[&self.ordinal].kept.clone();
            let kept = kept.filter(|kept| kept.leader == leader && !self.anew.get());
            if let Some(kept) = kept {
                self.used.set(true);
                return (kept.passwords, kept.authority);
            }
            let now = (state.secret.clone(), state.tls.authority.clone());
            if state.keeps && now.0.is_some() {
                self.pending.borrow_mut().kept = Some(Kept {
                    leader,
                    passwords: now.0.clone(),
                    authority: now.1.clone(),
                });
            }
            now
        })
    }

    /// A secret is written: what was read of it counts no more.
    pub fn writes(&self) {
        self.forget_secrets();
        self.pending.borrow_mut().writes = true;
    }

    fn refuse(text: &str) -> JujuError {
        JujuError(text.to_owned(), None)
    }
}

fn write(bag: &mut BTreeMap<String, String>, pairs: Vec<(String, String)>) {
    for (key, value) in pairs {
        if value.is_empty() {
            bag.remove(&key);
        } else {
            bag.insert(key, value);
        }
    }
}

fn unit(ordinal: u32) -> String {
    format!("{APP}/{ordinal}")
}

impl JujuPort for FakeJuju<'_> {
    fn application(&self) -> &str {
        APP
    }

    fn model(&self) -> &str {
        MODEL
    }

    fn ordinal(&self) -> u32 {
        self.ordinal
    }

    fn is_leader(&self) -> Result<bool, JujuError> {
        Ok(self.world.with(|state| state.leader) == self.ordinal)
    }

    fn goal(&self) -> Result<Option<Goal>, JujuError> {
        Ok(self.world.with(|state| {
            if state.uncounted {
                return None;
            }
            let dying: BTreeSet<String> = state
                .units
                .iter()
                .filter(|(_, unit)| unit.dying)
                .map(|(ordinal, _)| unit(*ordinal))
                .collect();
            let units = state.units.keys().map(|ordinal| unit(*ordinal));
            let units: BTreeSet<String> = units.filter(|unit| !dying.contains(unit)).collect();
            let mut endpoints = state.relations.clone();
            if state.tls.relation.is_some() {
                endpoints.insert("certificates".into());
            }
            if state.peer_relation {
                endpoints.insert("database-peers".into());
            }
            Some(Goal {
                units,
                dying,
                endpoints,
            })
        }))
    }

    fn peers(&self) -> Result<Vec<String>, JujuError> {
        Ok(self.world.with(|state| {
            if !state.peer_relation {
                return Vec::new();
            }
            state.units[&self.ordinal]
                .joined
                .iter()
                .filter(|ordinal| state.units.contains_key(ordinal))
                .chain(&state.strays)
                .map(|ordinal| unit(*ordinal))
                .collect()
        }))
    }

    fn peer_bag(&self, bag: &Bag) -> Result<Option<BTreeMap<String, String>>, JujuError> {
        let pending = self.pending.borrow();
        self.world.with(|state| {
            if !state.peer_relation {
                return Ok(None);
            }
            let (mut bag, own) = match bag {
                Bag::Application => (state.app_bag.clone(), pending.app_bag.clone()),
                Bag::Unit => (
                    state.units[&self.ordinal].bag.clone(),
                    pending.unit_bag.clone(),
                ),
                Bag::Other(name) => {
                    let ordinal: u32 = name
                        .strip_prefix(&format!("{APP}/"))
                        .and_then(|n| n.parse().ok())
                        .ok_or_else(|| Self::refuse("unknown unit"))?;
                    let bag = state.units.get(&ordinal).map(|unit| unit.bag.clone());
                    (bag.unwrap_or_default(), Vec::new())
                }
            };
            write(&mut bag, own);
            Ok(Some(bag))
        })
    }

    fn set_peer(&self, bag: Bag, key: &str, value: &str) -> Result<(), JujuError> {
        if bag == Bag::Application && !self.is_leader()? {
            return Err(Self::refuse("cannot write relation settings: not leader"));
        }
        self.world
            .with(|state| state.effect(format!("relation-set {key}")));
        let mut pending = self.pending.borrow_mut();
        let pair = (key.to_owned(), value.to_owned());
        match bag {
            Bag::Application => pending.app_bag.push(pair),
            Bag::Unit => pending.unit_bag.push(pair),
            Bag::Other(_) => return Err(Self::refuse("permission denied")),
        }
        Ok(())
    }

    fn config(&self) -> Result<BTreeMap<String, Value>, JujuError> {
        Ok(self.world.with(|state| state.config.clone()))
    }

    fn passwords(&self) -> Result<Option<Passwords>, JujuError> {
        if let Some(pending) = &self.pending.borrow().secret {
            return Ok(Some(pending.clone()));
        }
        Ok(self.applications().0)
    }

    fn forget_secrets(&self) -> bool {
        self.anew.set(true);
        self.world
            .with(|state| state.unit(self.ordinal).kept = None);
        self.used.replace(false)
    }

    fn user_secret(&self, id: &str) -> Result<Option<Content>, JujuError> {
        self.world.with(|state| {
            // Whoever is told of a new revision goes on to it; its content is read by label.
            if id == APPLICATIONS {
                return Ok(None);
            }
            assert_eq!(id, "secret:given");
            Ok(state.given.clone())
        })
    }

    fn store_passwords(&self, passwords: &Passwords) -> Result<(), JujuError> {
        if !self.is_leader()? {
            return Err(Self::refuse("not leader"));
        }
        self.writes();
        self.world.with(|state| state.effect("secret-set"));
        self.pending.borrow_mut().secret = Some(passwords.clone());
        Ok(())
    }

    fn set_workload_version(&self, version: &str) -> Result<(), JujuError> {
        self.world.with(|state| {
            version.clone_into(&mut state.unit(self.ordinal).version);
            state.effect("application-version-set");
        });
        Ok(())
    }

    fn status(&self) -> Result<(String, String), JujuError> {
        Ok(self
            .world
            .with(|state| state.units[&self.ordinal].status.clone()))
    }

    fn set_status(&self, application: bool, word: &str, message: &str) -> Result<(), JujuError> {
        self.world.with(|state| {
            let told = (word.to_owned(), message.to_owned());
            state.said.push_str(message);
            state.said.push('\n');
            if application {
                state.app_status = told;
            } else {
                state.unit(self.ordinal).status = told;
            }
            state.effect("status-set");
        });
        Ok(())
    }

    fn open_ports(&self, ports: &[u16]) -> Result<(), JujuError> {
        self.pending.borrow_mut().ports.extend(ports);
        self.world.with(|state| state.effect("open-port"));
        Ok(())
    }
}
