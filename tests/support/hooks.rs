//! Runs the charm's hooks and actions in the world, as Juju would.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use juju::{Event, NoticeEvent, RelationEvent, WorkloadEvent};
use postgresql_k8s::dispatch;
use postgresql_k8s::handlers::actions::ActionError;
use postgresql_k8s::handlers::{self, Hook};
use postgresql_k8s::juju_port::{ActionResult, JujuPort as _};
use postgresql_k8s::ports::{Database, Ports, Random};
use secrecy::SecretString;

use super::certificates::FakeClock;
use super::juju::{FakeJuju, Pending};
use super::kubernetes::FakeKubernetes;
use super::patroni::FakeMembers;
use super::postgres::FakeDatabase;
use super::real::RealDatabase;
use super::workload::FakeWorkload;
use super::{Died, World};

/// How a hook ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Exit 0.
    Done,
    /// Not exit 0: Juju would show the unit in error.
    Failed(String),
    /// The process died on the way.
    Died,
}

/// Passwords by counting: no two are the same.
struct Counting<'a>(&'a World);

impl Random for Counting<'_> {
    fn password(&self) -> SecretString {
        let n = self.0.with(|state| {
            state.made_up += 1;
            state.made_up
        });
        format!("made-up-secret-{n:04}").into()
    }

    fn salt(&self) -> [u8; 16] {
        [3; 16]
    }
}

impl World {
    fn run<T>(
        &self,
        ordinal: u32,
        anew: bool,
        work: impl FnOnce(&Hook<'_>) -> Result<T, String>,
    ) -> Result<T, Outcome> {
        let juju = FakeJuju {
            world: self,
            ordinal,
            pending: Pending::default().into(),
            anew: anew.into(),
            used: false.into(),
        };
        if anew {
            // At once, so that one that dies leaves nothing that is too old.
            juju.forget_secrets();
        }
        self.with(|state| {
            state.effects.clear();
            state.clients.calls = 0;
        });
        let run = || self.ports(ordinal, |ports| work(&Hook { juju: &juju, ports }));
        let result = match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Outcome::Failed(error)),
            Err(panic) if panic.is::<Died>() => Err(Outcome::Died),
            Err(panic) => resume_unwind(panic),
        };
        if result.is_ok() {
            juju.commit();
        }
        result
    }

    /// The ports of a unit, for a Juju that isn't this world's.
    pub fn ports<T>(&self, ordinal: u32, work: impl FnOnce(&Ports<'_>) -> T) -> T {
        let fake = FakeDatabase {
            world: self,
            ordinal,
        };
        let real = self.with(|state| state.real.clone());
        let real = real
            .as_deref()
            .map(|server| RealDatabase::new(server, &fake));
        let database: &dyn Database = match &real {
            Some(real) => real,
            None => &fake,
        };
        work(&Ports {
            workload: &FakeWorkload {
                world: self,
                ordinal,
            },
            members: &FakeMembers { world: self },
            kubernetes: &FakeKubernetes {
                world: self,
                ordinal,
            },
            database,
            random: &Counting(self),
            clock: &FakeClock(self),
        })
    }

    /// Runs a hook.
    pub fn hook(&self, ordinal: u32, event: &Event) -> Outcome {
        let anew = dispatch::may_change_secrets(event);
        let ran = self.run(ordinal, anew, |hook| {
            handlers::handle(event, hook).map_err(|e| postgresql_k8s::error_chain(&e))
        });
        ran.err().unwrap_or(Outcome::Done)
    }

    /// Runs an action: its result, or the message it fails with.
    pub fn action(
        &self,
        ordinal: u32,
        action: impl FnOnce(&Hook<'_>) -> Result<ActionResult, ActionError>,
    ) -> Result<ActionResult, String> {
        self.run(ordinal, true, |hook| match action(hook) {
            Err(ActionError::Juju(error)) => Err(error.to_string()),
            answer => Ok(answer.map_err(|error| error.to_string())),
        })
        .unwrap_or_else(|outcome| panic!("the action did not end: {outcome:?}"))
    }

    /// The units' first hooks, unit 0's as the leader's, until all is quiet.
    pub fn come_up(&self) {
        let units: Vec<u32> = self.with(|state| state.units.keys().copied().collect());
        for ordinal in units {
            for event in [
                peers_created(),
                Event::LeaderElected,
                Event::ConfigChanged,
                pebble_ready(),
            ] {
                if ordinal == 0 || event != Event::LeaderElected {
                    assert_eq!(self.hook(ordinal, &event), Outcome::Done, "{event:?}");
                }
            }
        }
        self.settle();
    }

    /// Lets Patroni work, wakes every unit as it would be, and so on until all is quiet.
    pub fn settle(&self) {
        for _ in 0..20 {
            let before = self.with(|state| state.outcome());
            self.with(super::State::let_patroni_work);
            let units: Vec<u32> = self.with(|state| state.units.keys().copied().collect());
            for ordinal in units {
                for event in [notice(), peers_changed()] {
                    assert_eq!(self.hook(ordinal, &event), Outcome::Done);
                }
            }
            if self.with(|state| state.heard() && state.outcome() == before) {
                return;
            }
        }
        panic!("the world does not come to rest");
    }
}

/// `postgresql-pebble-ready`
pub fn pebble_ready() -> Event {
    Event::PebbleReady(WorkloadEvent {
        container: "postgresql".into(),
    })
}

/// The notice that Patroni's callbacks send.
pub fn notice() -> Event {
    Event::PebbleCustomNotice(NoticeEvent {
        container: "postgresql".into(),
        ..NoticeEvent::default()
    })
}

/// `database-peers-relation-changed`
pub fn peers_changed() -> Event {
    Event::RelationChanged(peers())
}

/// The same, for what this unit has written.
pub fn changed_by(ordinal: u32) -> Event {
    Event::RelationChanged(peer(ordinal))
}

/// `database-peers-relation-created`
pub fn peers_created() -> Event {
    Event::RelationCreated(peers())
}

/// The peer relation, in a hook that tells of this unit.
pub fn peer(ordinal: u32) -> RelationEvent {
    RelationEvent {
        remote_unit: Some(format!("{}/{ordinal}", super::APP)),
        ..peers()
    }
}

/// The peer relation.
pub fn peers() -> RelationEvent {
    RelationEvent {
        endpoint: "database-peers".into(),
        ..RelationEvent::default()
    }
}
