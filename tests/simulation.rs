//! Many lives of a cluster from a seed: hooks of all units interleave at random, processes die
//! between two effects, pods and containers are lost, units come and go, leadership moves, the
//! Kubernetes API fails, notices are lost, clients write. Throughout nothing acknowledged may be
//! lost and no second cluster made; once the faults end, all must stand again.
//!
//! A unit runs no hook but those that Juju, Pebble's notices and its timer bring it: one that ends early
//! though there was something to do shows as a cluster that does not stand in the end.
//!
//! `SEEDS=10000 cargo test --release --test simulation` runs more of them, `SEED=7` one alone.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::struct_excessive_bools,
    clippy::similar_names,
    unused_imports,
    reason = "a test fails by them"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};

use cluster_plan::observed::ServiceState;
use juju::{CheckEvent, Event, RelationEvent, SecretEvent, StorageEvent};
use postgresql_k8s::observe::tls::MEMBER;
use postgresql_k8s::scram;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use support::{
    KubeFault, Outcome, World, changed_by, notice, pebble_ready, peer, peers, peers_changed,
    peers_created,
};

/// Steps with faults in a life.
const STEPS: usize = 120;
/// Seeds without `SEEDS`.
const SEEDS: u64 = 300;

struct Life {
    seed: u64,
    random: StdRng,
    world: World,
    queues: BTreeMap<u32, VecDeque<Event>>,
    story: Vec<String>,
    /// Units that have read the application's secret: Juju tells them of a new revision.
    readers: BTreeSet<u32>,
    /// Units to which a notice was lost: nothing but update-status is sure to wake them.
    deaf: BTreeSet<u32>,
    /// How often the operator has given other passwords.
    given: u32,
}

fn first_hooks() -> VecDeque<Event> {
    [
        Event::Install,
        peers_created(),
        Event::ConfigChanged,
        Event::Start,
        pebble_ready(),
    ]
    .into()
}

/// Another unit joins.
fn joins(ordinal: u32) -> [Event; 2] {
    [Event::RelationJoined(peer(ordinal)), changed_by(ordinal)]
}

/// What a hook may write, as far as it wakes others.
type Bags = (BTreeMap<String, String>, BTreeMap<String, String>);

impl Life {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let units = random.random_range(1..=4);
        let world = World::of(units);
        world.with(|state| state.keeps = true);
        let mut queues: BTreeMap<u32, VecDeque<Event>> =
            (0..units).map(|ordinal| (ordinal, first_hooks())).collect();
        queues.get_mut(&0).unwrap().insert(2, Event::LeaderElected);
        for (own, queue) in &mut queues {
            queue.extend((0..units).filter(|other| other != own).flat_map(joins));
        }
        Self {
            seed,
            random,
            world,
            queues,
            story: Vec::new(),
            readers: BTreeSet::new(),
            deaf: BTreeSet::new(),
            given: 0,
        }
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.random.random_range(0..100) < percent
    }

    fn some_unit(&mut self) -> u32 {
        let units: Vec<u32> = self.queues.keys().copied().collect();
        units[self.random.random_range(0..units.len())]
    }

    /// What has not run yet is not queued again: it will find all that there is then.
    fn wake(&mut self, ordinal: u32, event: Event) {
        if let Some(queue) = self.queues.get_mut(&ordinal)
            && !queue.contains(&event)
        {
            queue.push_back(event);
        }
    }

    fn wake_others(&mut self, ordinal: u32, event: &Event) {
        let units = self.queues.keys().copied().filter(|o| *o != ordinal);
        for other in units.collect::<Vec<_>>() {
            self.wake(other, event.clone());
        }
    }

    /// The application's bag and the unit's own.
    fn bags(&self, ordinal: u32) -> Bags {
        self.world
            .with(|s| (s.app_bag.clone(), s.units[&ordinal].bag.clone()))
    }

    /// As Juju does for what a hook wrote.
    fn tell_others(&mut self, ordinal: u32, (app, unit): &Bags) {
        let (app_now, unit_now) = self.bags(ordinal);
        if app_now != *app {
            self.wake_others(ordinal, &peers_changed());
        }
        if unit_now != *unit {
            self.wake_others(ordinal, &changed_by(ordinal));
        }
        let written = self.world.with(|s| {
            let secret =
                |effect: &String| effect.starts_with("secret-set") && !effect.ends_with("unit");
            s.effects.iter().any(secret)
        });
        let readers = self.readers.iter().copied().filter(|o| *o != ordinal);
        for reader in readers.collect::<Vec<_>>() {
            if written {
                let secret = SecretEvent {
                    id: support::APPLICATIONS.into(),
                    ..SecretEvent::default()
                };
                self.wake(reader, Event::SecretChanged(secret));
            }
        }
        if self.world.with(|s| s.secret.is_some()) {
            self.readers.insert(ordinal);
        }
    }

    /// The timers that units have set end.
    fn timers(&mut self, percent: u32) -> bool {
        let set = self.world.with(|s| {
            let units = s.units.iter().filter(|(_, unit)| unit.timer);
            units.map(|(ordinal, _)| *ordinal).collect::<Vec<_>>()
        });
        let mut any = false;
        for ordinal in set {
            if self.chance(percent) {
                self.world.with(|s| s.unit(ordinal).timer = false);
                self.wake(ordinal, notice());
                any = true;
            }
        }
        any
    }

    /// Runs the unit's next hook; Juju repeats one that did not end well, and wakes the others for
    /// what it wrote.
    fn hook(&mut self, ordinal: u32) {
        let Some(event) = self.queues.get_mut(&ordinal).and_then(VecDeque::pop_front) else {
            return;
        };
        let before = self.bags(ordinal);
        let dies = self.chance(15).then(|| self.random.random_range(1..25));
        self.world.with(|state| state.dies_after = dies);
        let outcome = self.world.hook(ordinal, &event);
        self.world.with(|state| state.dies_after = None);
        self.story.push(format!("{ordinal} {event:?}: {outcome:?}"));
        match outcome {
            Outcome::Done => self.tell_others(ordinal, &before),
            Outcome::Died => self.queues.get_mut(&ordinal).unwrap().push_front(event),
            Outcome::Failed(error) => panic!("the hook failed: {error}"),
        }
    }

    /// Patroni goes on; its callbacks wake the units whose member changed, and the watcher the
    /// primary's unit when other standbys stream, but for lost notices.
    fn patroni(&mut self, heard: u32) {
        let view = |world: &World| {
            world.with(|s| {
                let streams: Vec<u32> = s.units.keys().copied().filter(|o| s.streams(*o)).collect();
                let runs = s.units.iter().map(|(o, u)| {
                    let leads = s.holder == Some(*o);
                    let standbys = leads.then(|| (streams.clone(), s.forgotten.clone()));
                    (*o, (u.postgres_runs, standbys))
                });
                runs.collect::<BTreeMap<_, _>>()
            })
        };
        let before = view(&self.world);
        self.world.with(support::State::let_patroni_work);
        let after = view(&self.world);
        for (ordinal, now) in after {
            if before.get(&ordinal) == Some(&now) {
                continue;
            }
            if self.chance(heard) {
                self.wake(ordinal, notice());
            } else {
                self.deaf.insert(ordinal);
            }
        }
    }

    fn lose(&mut self, ordinal: u32) {
        self.story.push(format!("{ordinal} is lost"));
        self.world.with(|state| {
            let unit = state.unit(ordinal);
            unit.postgres_runs = false;
            unit.timer = false;
            unit.kept = None;
            unit.loaded = None;
            unit.service = ServiceState::Absent;
            unit.layer = pebble::Layer::default();
            unit.files
                .retain(|path, _| path.starts_with("/var/lib/postgresql/data"));
            if state.holder == Some(ordinal) {
                state.holder = None;
            }
        });
        self.wake(ordinal, pebble_ready());
    }

    fn grow(&mut self) {
        let ordinal = self.queues.keys().max().unwrap() + 1;
        self.story.push(format!("{ordinal} is added"));
        self.world.with(|state| state.add_unit(ordinal));
        let others: Vec<u32> = self.queues.keys().copied().collect();
        let mut queue = first_hooks();
        for other in others {
            for event in joins(ordinal) {
                self.wake(other, event);
            }
            queue.extend(joins(other));
        }
        self.queues.insert(ordinal, queue);
    }

    /// The highest units go, as Kubernetes scales down: side by side, and a process that dies is run
    /// again. Only where another streams, since what the operator throws away is the operator's.
    fn shrink(&mut self) {
        let less = self.random.random_range(1..=2);
        let stays = u32::try_from(self.queues.len())
            .unwrap()
            .saturating_sub(less);
        let safe = self.world.with(|s| {
            let stays = |o: &&u32| **o < stays;
            let follows = |o: &u32| s.streams(*o) || s.holder == Some(*o);
            s.holder.is_some() && s.units.keys().filter(stays).any(follows)
        });
        if !safe {
            return;
        }
        let gone: Vec<u32> = self
            .queues
            .keys()
            .copied()
            .filter(|o| *o >= stays)
            .collect();
        if self.chance(30) {
            self.promote(*gone.last().unwrap());
        }
        self.story.push(format!("{gone:?} are removed"));
        let departed = |ordinal: u32| {
            Event::RelationDeparted(RelationEvent {
                departing_unit: Some(format!("{}/{ordinal}", support::APP)),
                ..peers()
            })
        };
        let mut left: Vec<(u32, VecDeque<Event>)> = Vec::new();
        for ordinal in &gone {
            self.world.with(|state| state.unit(*ordinal).dying = true);
            let detaching = Event::StorageDetaching(StorageEvent::default());
            left.push((
                *ordinal,
                [detaching, departed(*ordinal), Event::Stop].into(),
            ));
        }
        while !left.is_empty() {
            let turn = self.random.random_range(0..left.len());
            let (ordinal, events) = &mut left[turn];
            let ordinal = *ordinal;
            let Some(event) = events.pop_front() else {
                left.remove(turn);
                self.forget(ordinal);
                continue;
            };
            if self.random.random_range(0..100) < 15 && self.covered(&gone) {
                // Its agent ends without them; the pod's end has Pebble end Patroni.
                self.story
                    .push(format!("{ordinal} loses {event:?} and the rest"));
                left.remove(turn);
                self.world.with(|state| {
                    state.unit(ordinal).service = ServiceState::Inactive;
                    state.let_patroni_work();
                });
                self.forget(ordinal);
                continue;
            }
            let dies = self.chance(15).then(|| self.random.random_range(1..4));
            self.world.with(|state| state.dies_after = dies);
            let outcome = self.world.hook(ordinal, &event);
            self.world.with(|state| state.dies_after = None);
            if outcome == Outcome::Died {
                left[turn].1.push_front(event);
            } else {
                assert_eq!(outcome, Outcome::Done);
            }
            if self.chance(50) {
                self.world.with(support::State::let_patroni_work);
            }
        }
        let others: Vec<u32> = self.queues.keys().copied().collect();
        for (other, ordinal) in others
            .iter()
            .flat_map(|o| gone.iter().map(move |g| (*o, *g)))
        {
            self.wake(other, departed(ordinal));
        }
        if !others.contains(&self.world.with(|state| state.leader)) {
            self.world.with(|state| state.leader = 0);
            self.wake(0, Event::LeaderElected);
        }
    }

    /// Whether one that stays leads or may lead, whoever of these goes.
    fn covered(&self, gone: &[u32]) -> bool {
        self.world.with(|state| {
            let stays = |o: &u32| !gone.contains(o);
            let may_lead = |o: &u32| stays(o) && state.streams(*o) && state.synchronous.contains(o);
            let holder = state.holder.filter(|_| !state.promoted);
            holder.is_some_and(|holder| stays(&holder) || state.units.keys().any(may_lead))
        })
    }

    /// The operator makes a synchronous standby the primary.
    fn promote(&mut self, ordinal: u32) {
        self.world.with(|state| {
            if state.streams(ordinal) && state.synchronous.contains(&ordinal) {
                self.story.push(format!("{ordinal} is promoted"));
                state.promote(ordinal);
            }
        });
    }

    /// The pod of a unit that Juju has removed is gone.
    fn forget(&mut self, ordinal: u32) {
        self.world.with(|state| {
            state.units.remove(&ordinal);
            if state.holder == Some(ordinal) {
                state.holder = None;
            }
            for unit in state.units.values_mut() {
                unit.joined.remove(&ordinal);
            }
        });
        self.queues.remove(&ordinal);
        self.readers.remove(&ordinal);
    }

    /// The operator's secret changes, which wakes the leader.
    fn give_passwords(&mut self) {
        self.given += 1;
        let names = ["operator", "replication"];
        let word = format!("made-up-secret-given-{}", self.given);
        self.story.push(format!("the operator gives {word}"));
        let leader = self.world.with(|state| {
            let id = serde_json::json!("secret:given");
            state.config.insert("system-users".into(), id);
            let pairs = names.map(|name| (name.to_owned(), word.clone().into()));
            state.given = Some(pairs.into());
            state.leader
        });
        self.wake(leader, Event::ConfigChanged);
    }

    /// A volume fills or has room again; the checks wake its unit.
    fn fill(&mut self, ordinal: u32, percent: u8) {
        self.story
            .push(format!("{ordinal}'s volume is {percent} % full"));
        self.world
            .with(|state| state.unit(ordinal).disk_used = percent);
        self.wake(ordinal, Event::PebbleCheckFailed(CheckEvent::default()));
    }

    fn step(&mut self) {
        let unit = self.some_unit();
        match self.random.random_range(0..100) {
            0..=54 => self.hook(unit),
            55..=69 => {
                self.patroni(80);
                self.timers(30);
            }
            70..=84 => self.world.with(support::State::write),
            85..=87 => {
                // A pod that is lost before its unit's first hooks has nothing to lose.
                if self.queues[&unit].len() < 3 {
                    self.lose(unit);
                }
            }
            88..=90 => {
                self.world.with(|state| state.leader = unit);
                self.story.push(format!("{unit} leads"));
                self.wake(unit, Event::LeaderElected);
            }
            91..=93 => {
                let fault = match self.random.random_range(0..4) {
                    0 => Some(KubeFault::Internal),
                    1 => Some(KubeFault::Silent),
                    2 => Some(KubeFault::Forbidden),
                    _ => None,
                };
                self.story.push(format!("Kubernetes: {fault:?}"));
                self.world.with(|state| state.kube_fault = fault);
            }
            94 if self.queues.len() < 5 => self.grow(),
            95 => self.shrink(),
            96 => {
                if self.chance(30) {
                    self.give_passwords();
                }
            }
            97 => {
                let percent = self.random.random_range(40..=100);
                self.fill(unit, percent);
            }
            98 if self.chance(50) => {
                self.story
                    .push(format!("{unit} comes for a moment, where it is away"));
                self.world.with(|state| state.come_and_go(unit));
            }
            98 => {
                self.story.push("WAL is removed".into());
                self.world.with(support::State::remove_wal);
            }
            _ => {
                self.wake(unit, Event::UpdateStatus);
            }
        }
        self.check();
    }

    /// What must hold at any time.
    fn check(&self) {
        self.world.with(|state| {
            assert!(state.bootstraps <= 1, "a second cluster");
            if let Some(holder) = state.holder {
                let at = state.units[&holder].volume.as_ref().map_or(0, |v| v.1);
                assert!(
                    at >= state.acknowledged,
                    "acknowledged writes are lost: {at} of {}",
                    state.acknowledged
                );
            }
            let freshest = state
                .units
                .values()
                .filter_map(|u| u.volume.as_ref())
                .map(|v| v.1)
                .max();
            assert!(
                freshest.unwrap_or(0) >= state.acknowledged,
                "the freshest data is gone"
            );
            assert!(
                !state.said.contains("made-up-secret"),
                "a status tells a password"
            );
            let clusters: BTreeSet<&str> = state
                .units
                .values()
                .filter_map(|u| Some(u.volume.as_ref()?.0.as_str()))
                .collect();
            assert!(clusters.len() <= 1, "two clusters: {clusters:?}");
        });
    }

    /// The rest of the hooks, and those that they bring about.
    fn rest(&mut self) {
        for _ in 0..2_000 {
            self.patroni(100);
            let next = self.queues.iter().find(|(_, queue)| !queue.is_empty());
            let Some(ordinal) = next.map(|(ordinal, _)| *ordinal) else {
                if self.timers(100) {
                    continue;
                }
                return;
            };
            let event = self.queues.get_mut(&ordinal).unwrap().pop_front().unwrap();
            let before = self.bags(ordinal);
            self.story.push(format!("{ordinal} {event:?} at last"));
            assert_eq!(self.world.hook(ordinal, &event), Outcome::Done, "{event:?}");
            self.tell_others(ordinal, &before);
        }
        panic!("hooks without end");
    }

    /// Faults are over: the rest of the hooks run, then all must stand.
    fn converge(&mut self) {
        self.world.with(|state| state.kube_fault = None);
        for ordinal in std::mem::take(&mut self.deaf) {
            self.wake(ordinal, Event::UpdateStatus);
        }
        let filling = self.world.with(|state| {
            let units = state.units.iter_mut();
            let filling = units.filter(|(_, unit)| unit.disk_used >= 85);
            let room = filling.map(|(ordinal, unit)| {
                unit.disk_used = 40;
                *ordinal
            });
            room.collect::<Vec<_>>()
        });
        for ordinal in filling {
            let recovered = Event::PebbleCheckRecovered(CheckEvent::default());
            self.wake(ordinal, recovered);
        }
        self.rest();
        self.check();
        self.world.with(|state| {
            let holder = state.holder.expect("a primary");
            let read_only =
                &state.dynamic["postgresql"]["parameters"]["default_transaction_read_only"];
            assert!(read_only != "on", "every volume has room");
            if self.given > 0 {
                let word = format!("made-up-secret-given-{}", self.given);
                for name in ["operator", "replication"] {
                    let verifier = state.roles[name].verifier.clone().unwrap();
                    assert!(scram::fits(&word.as_str().into(), &verifier), "{name}");
                }
                assert!(
                    state
                        .units
                        .keys()
                        .all(|ordinal| state.may_replicate(*ordinal))
                );
            }
            for (ordinal, unit) in &state.units {
                let message = if *ordinal == holder { "Primary" } else { "" };
                assert_eq!(
                    unit.status,
                    ("active".to_owned(), message.to_owned()),
                    "unit {ordinal}"
                );
                assert!(unit.postgres_runs);
                assert!(!state.cannot_follow(*ordinal), "unit {ordinal} follows");
                let file = String::from_utf8_lossy(&unit.files[MEMBER].content);
                assert_eq!(unit.served.as_deref(), Some(&*file), "shown by {ordinal}");
            }
            let wanted = u64::try_from(state.units.len() - 1).unwrap().max(1);
            assert_eq!(state.dynamic["synchronous_node_count"], wanted);
            assert_eq!(state.services.len(), 2);
            let before = state.acknowledged;
            state.write();
            assert!(state.acknowledged > before, "writes are taken");
        });
    }

    fn run(&mut self) {
        for _ in 0..STEPS {
            self.step();
        }
        self.converge();
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().expect("a number"))
}

/// Lives one life; a failed one tells its seed and its story.
fn live(seed: u64) {
    let mut life = Life::new(seed);
    let lived = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| life.run()));
    if let Err(panic) = lived {
        println!("SEED={}\n{}", life.seed, life.story.join("\n"));
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn every_life_keeps_what_was_acknowledged_and_ends_well() {
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").unwrap_or(SEEDS),
    };
    let next = AtomicU64::new(seeds.start);
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut seed = next.fetch_add(1, Ordering::Relaxed);
                while seed < seeds.end {
                    live(seed);
                    seed = next.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    println!("{} lives", seeds.end - seeds.start);
}
