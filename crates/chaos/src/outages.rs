//! How long nothing was acknowledged, and because of which fault.

use serde::{Deserialize, Serialize};

use crate::history::{Record, What};

/// A fault that has struck, as whoever struck remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Struck {
    /// When, in microseconds of the monotonic clock.
    pub at: u64,
    /// When it ended.
    pub until: u64,
    /// Which.
    pub fault: String,
    /// Which unit it hit, empty for none.
    pub target: String,
    /// Whether that was the primary.
    pub primary: bool,
}

/// The longest time without an acknowledged write after a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outage {
    /// The fault.
    pub fault: Struck,
    /// When the last write before was acknowledged.
    pub from: u64,
    /// When the first write after was.
    pub to: u64,
}

impl Outage {
    /// How long it was.
    #[must_use]
    pub fn micros(&self) -> u64 {
        self.to.saturating_sub(self.from)
    }
}

/// When writes were acknowledged, in order.
#[must_use]
pub fn acknowledged(records: &[Record]) -> Vec<u64> {
    let mut times: Vec<u64> = records
        .iter()
        .filter(|record| matches!(record.what, What::Acknowledged { .. }))
        .map(|record| record.at)
        .collect();
    times.sort_unstable();
    times
}

/// For each fault, the longest gap that it caused: a gap belongs to the fault that struck first in it,
/// or else to the last one before.
#[must_use]
pub fn outages(times: &[u64], faults: &[Struck]) -> Vec<Outage> {
    let mut faults: Vec<&Struck> = faults.iter().collect();
    faults.sort_by_key(|fault| fault.at);
    let mut found: Vec<Outage> = Vec::new();
    for (from, to) in times.iter().copied().zip(times.iter().copied().skip(1)) {
        let before = faults.partition_point(|fault| fault.at < from);
        let within = faults.get(before).filter(|fault| fault.at <= to);
        let last = before.checked_sub(1).and_then(|last| faults.get(last));
        let Some(fault) = within.or(last) else {
            continue;
        };
        let gap = Outage {
            fault: (*fault).clone(),
            from,
            to,
        };
        match found.last_mut().filter(|last| last.fault.at == fault.at) {
            Some(last) if last.micros() >= gap.micros() => {}
            Some(last) => *last = gap,
            None => found.push(gap),
        }
    }
    found
}

/// The value below which so many hundredths of sorted values lie, by nearest rank.
#[must_use]
pub fn percentile(sorted: &[u64], hundredths: usize) -> Option<u64> {
    let rank = (sorted.len() * hundredths).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn struck(at: u64) -> Struck {
        Struck {
            at,
            until: at,
            fault: format!("f{at}"),
            target: String::new(),
            primary: true,
        }
    }

    #[test]
    fn each_fault_has_the_longest_gap_before_the_next() {
        let times = [0, 10, 500, 510, 700, 710, 2000, 2010];
        let found = outages(&times, &[struck(12), struck(705)]);
        let short: Vec<_> = found
            .iter()
            .map(|outage| (outage.fault.at, outage.from, outage.to))
            .collect();
        assert_eq!(short, [(12, 10, 500), (705, 710, 2000)]);
    }

    #[test]
    fn a_gap_belongs_to_the_first_of_two_faults_in_it() {
        let found = outages(&[0, 10, 900, 910], &[struck(10), struck(400)]);
        let short: Vec<_> = found.iter().map(|one| (one.fault.at, one.to)).collect();
        assert_eq!(short, [(10, 900), (400, 910)]);
    }

    #[test]
    fn a_gap_before_any_fault_belongs_to_none() {
        assert_eq!(outages(&[0, 100, 200], &[struck(300)]), []);
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        assert_eq!(percentile(&[1, 2, 3, 4, 5], 50), Some(3));
        assert_eq!(percentile(&[1, 2, 3, 4, 5], 99), Some(5));
        assert_eq!(percentile(&[7], 1), Some(7));
        assert_eq!(percentile(&[], 50), None);
    }
}
