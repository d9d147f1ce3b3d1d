//! Which faults strike when, from a seed.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

/// Whom a fault hits. Who that is shows when it strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// The primary.
    Primary,
    /// One of the standbys, always the same within a plan.
    Standby,
    /// Nobody in particular.
    All,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// SIGKILL to PostgreSQL's first process.
    KillPostgres,
    /// SIGKILL to Patroni.
    KillPatroni,
    /// SIGSTOP to all of PostgreSQL, SIGCONT at the end.
    StopPostgres,
    /// SIGSTOP to Patroni, SIGCONT at the end.
    StopPatroni,
    /// The workload container is gone at once.
    KillContainer,
    /// The pod is gone at once; another follows, with another address and the same volume.
    KillPod,
    /// Nobody reaches the pod and it reaches nobody.
    CutOff,
    /// The pod and the other pods don't reach each other; clients and the Kubernetes API do.
    CutFromPeers,
    /// Three of ten packets from and to the pod are lost.
    Lossy,
    /// The Kubernetes API refuses connections.
    ApiDown,
    /// The Kubernetes API takes connections and does not answer.
    ApiHang,
    /// The Kubernetes API answers 500.
    ApiError,
    /// Juju takes the leadership for another unit.
    StealLeadership,
}

impl Fault {
    /// All of them, with how often each is drawn.
    const WEIGHTS: [(Self, u32); 13] = [
        (Self::KillPostgres, 4),
        (Self::KillPatroni, 2),
        (Self::StopPostgres, 2),
        (Self::StopPatroni, 2),
        (Self::KillContainer, 2),
        (Self::KillPod, 3),
        (Self::CutOff, 3),
        (Self::CutFromPeers, 2),
        (Self::Lossy, 1),
        (Self::ApiDown, 1),
        (Self::ApiHang, 1),
        (Self::ApiError, 1),
        (Self::StealLeadership, 2),
    ];

    /// Whether it lasts until it is ended.
    #[must_use]
    pub fn lasts(self) -> bool {
        !matches!(
            self,
            Self::KillPostgres
                | Self::KillPatroni
                | Self::KillContainer
                | Self::KillPod
                | Self::StealLeadership
        )
    }

    fn is_api(self) -> bool {
        matches!(self, Self::ApiDown | Self::ApiHang | Self::ApiError)
    }

    fn is_network(self) -> bool {
        matches!(self, Self::CutOff | Self::CutFromPeers | Self::Lossy)
    }
}

/// One fault of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Milliseconds from the plan's begin.
    pub at: u64,
    /// Milliseconds that it lasts; 0 for what is over at once.
    pub lasts: u64,
    /// What.
    pub fault: Fault,
    /// To whom.
    pub who: Who,
}

/// How long something that lasts may last, in milliseconds: longer than Patroni's default `ttl` of
/// 30 s, so that leases run out.
const LONGEST: u64 = 40_000;
/// At most so many at a time.
const AT_ONCE: usize = 2;

/// The faults of so many milliseconds; the last one ends within them. The same seed gives the same.
#[must_use]
pub fn plan(seed: u64, length: u64) -> Vec<Step> {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut steps: Vec<Step> = Vec::new();
    let mut at = random.random_range(1000..4000);
    while at < length {
        let running: Vec<&Step> = steps
            .iter()
            .filter(|step| step.at + step.lasts > at)
            .collect();
        let step = draw(&mut random, at, length);
        if running.len() < AT_ONCE
            && running
                .iter()
                .all(|other| go_together(other.fault, step.fault))
        {
            steps.push(step);
        }
        // Sometimes right after one another, mostly with time to react.
        at += if random.random_bool(0.25) {
            random.random_range(50..1500)
        } else {
            random.random_range(5000..20_000)
        };
    }
    steps
}

fn draw(random: &mut SmallRng, at: u64, length: u64) -> Step {
    let total = Fault::WEIGHTS.iter().map(|(_, weight)| weight).sum();
    let mut left = random.random_range(0..total);
    let mut fault = Fault::KillPostgres;
    for (candidate, weight) in Fault::WEIGHTS {
        fault = candidate;
        if left < weight {
            break;
        }
        left -= weight;
    }
    let lasts = if fault.lasts() {
        random.random_range(2000..LONGEST).min(length - at)
    } else {
        0
    };
    let who = if fault.is_api() {
        Who::All
    } else if random.random_bool(0.7) {
        Who::Primary
    } else {
        Who::Standby
    };
    Step {
        at,
        lasts,
        fault,
        who,
    }
}

/// The Kubernetes API fails in one way at a time, and so does a network.
fn go_together(one: Fault, other: Fault) -> bool {
    one != other && !(one.is_api() && other.is_api()) && !(one.is_network() && other.is_network())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_plan_and_another_seed_another() {
        assert_eq!(plan(1, 600_000), plan(1, 600_000));
        assert_ne!(plan(1, 600_000), plan(2, 600_000));
    }

    #[test]
    fn at_most_two_faults_at_a_time_and_all_over_at_the_end() {
        let mut two = 0;
        for seed in 0..200 {
            let steps = plan(seed, 300_000);
            assert!(!steps.is_empty());
            for step in &steps {
                assert!(step.at + step.lasts <= 300_000, "{step:?}");
                let others = steps
                    .iter()
                    .filter(|other| other.at <= step.at && other.at + other.lasts > step.at);
                let count = others.count();
                assert!(count <= AT_ONCE, "seed {seed}, {step:?}");
                two += usize::from(count == 2);
            }
        }
        assert!(two > 100, "two at a time are to be seen: {two}");
    }

    #[test]
    fn every_fault_hits_everyone_it_can() {
        let drawn: HashSet<(Fault, Who)> = (0..50)
            .flat_map(|seed| plan(seed, 600_000))
            .map(|step| (step.fault, step.who))
            .collect();
        assert_eq!(drawn.len(), 10 * 2 + 3);
    }
}
