//! Sizing: how much memory, how many workers and connections a machine is given.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Config, OptionError, Parameters, Rule, error, number, table};

/// What the pod may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// Whole cores, at least one.
    pub cores: u32,
    /// Bytes of memory.
    pub memory: u64,
    /// They are the container's own: it has a limit. Without one the node's other pods use them too.
    pub limited: bool,
}

impl Machine {
    /// The smaller of what the node offers and what the container is limited to, from Kubernetes
    /// quantities; what can't be read does not limit.
    #[must_use]
    pub fn from_quantities(node: (&str, &str), limits: (Option<&str>, Option<&str>)) -> Self {
        let smaller = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let millicores = smaller(parse_cpu(node.0), limits.0.and_then(parse_cpu)).unwrap_or(1000);
        let limit = limits.1.and_then(parse_memory);
        let memory = smaller(parse_memory(node.1), limit);
        Self {
            cores: u32::try_from(millicores / 1000).unwrap_or(u32::MAX).max(1),
            memory: memory.unwrap_or(1 << 30),
            limited: limit.is_some(),
        }
    }

    /// Bytes that a member may use at the most, by its options too.
    pub(super) fn available(&self, config: &Config) -> u64 {
        let limit = limit(config);
        limit.map_or(self.memory, |bytes| self.memory.min(bytes))
    }

    /// Bytes that a member is made for. Nobody says how much of a node is left for a pod without a
    /// limit, and how many members run there may not matter, as each would restart when one comes: so
    /// it is half of the node.
    fn counted_on(&self, config: &Config) -> u64 {
        let available = self.available(config);
        if self.limited || limit(config).is_some() {
            available
        } else {
            available / 2
        }
    }
}

/// What the operator grants a member, in bytes.
fn limit(config: &Config) -> Option<u64> {
    let megabytes = config.int("profile_limit_memory")?;
    Some(u64::try_from(megabytes).ok()? * 1_000_000)
}

/// Millicores of a Kubernetes quantity: `2`, `500m`, `1.5`.
#[must_use]
pub fn parse_cpu(text: &str) -> Option<u64> {
    if let Some(millis) = text.strip_suffix('m') {
        return millis.parse().ok();
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut millis: u64 = whole.parse::<u64>().ok()?.checked_mul(1000)?;
    let padded: String = fraction.chars().chain("000".chars()).take(3).collect();
    millis += padded.parse::<u64>().ok()?;
    Some(millis)
}

/// Bytes of a Kubernetes quantity: `1Gi`, `500M`, `8192`.
#[must_use]
pub fn parse_memory(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match text.get(digits.len()..)?.to_ascii_lowercase().as_str() {
        "" => 1,
        "k" => 1_000,
        "m" => 1_000_000,
        "g" => 1_000_000_000,
        "t" => 1_000_000_000_000,
        "ki" => 1 << 10,
        "mi" => 1 << 20,
        "gi" => 1 << 30,
        "ti" => 1_u64 << 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// The worker options' values: `auto` is the number of worker processes, which itself is twice the
/// cores, at most 8; nothing may be more than ten times the cores.
pub(super) fn workers(
    config: &Config,
    machine: &Machine,
    errors: &mut Vec<OptionError>,
) -> BTreeMap<&'static str, Value> {
    let cap = machine.cores.saturating_mul(10);
    let auto = machine.cores.saturating_mul(2).min(8);
    let base = config
        .text("cpu_max_worker_processes")
        .and_then(number)
        // One that is too large is told by itself, not by all that follow from it.
        .filter(|processes| *processes <= cap)
        .unwrap_or(auto);
    let mut values = BTreeMap::new();
    for spec in table::TABLE
        .iter()
        .filter(|spec| matches!(spec.rule, Rule::Workers))
    {
        let Some(text) = config.text(spec.name) else {
            continue;
        };
        let wanted = number(text).unwrap_or(base);
        if wanted > cap {
            errors.push(error(
                spec.name,
                &json!(text),
                format!("auto or 2 to {cap}"),
            ));
        }
        let wanted = if spec.name == "cpu_max_parallel_workers" {
            wanted.min(base)
        } else {
            wanted
        };
        values.insert(spec.name, json!(wanted));
    }
    values
}

/// `max_connections` without an option.
pub(super) fn connections(machine: &Machine) -> u32 {
    machine.cores.saturating_mul(4).max(100)
}

/// Shared buffers and the planner's idea of the cache; pages are 8 KiB.
pub(super) fn memory(
    config: &Config,
    machine: &Machine,
    parameters: &mut Parameters,
    errors: &mut Vec<OptionError>,
) {
    const PAGE: u64 = 8192;
    let wanted = config
        .int("memory_shared_buffers")
        .and_then(|pages| u64::try_from(pages).ok());
    let most = machine.available(config) / 10 * 4 / PAGE;
    if let Some(pages) = wanted.filter(|pages| *pages > most) {
        let allowed = format!("16 to {most} (40 % of the memory)");
        errors.push(error("memory_shared_buffers", &json!(pages), allowed));
    }
    if config.text("profile") == Some("testing") {
        return;
    }
    let memory = machine.counted_on(config);
    let shared = wanted.unwrap_or((memory / 4 / PAGE).max(16));
    parameters
        .dynamic
        .insert("shared_buffers".into(), json!(shared));
    let cache = (memory / PAGE).saturating_sub(shared).max(1);
    parameters
        .local
        .insert("effective_cache_size".into(), json!(cache));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_writes_them() {
        assert_eq!(parse_cpu("2"), Some(2000));
        assert_eq!(parse_cpu("500m"), Some(500));
        assert_eq!(parse_cpu("1.5"), Some(1500));
        assert_eq!(parse_cpu("x"), None);
        assert_eq!(parse_memory("1Gi"), Some(1 << 30));
        assert_eq!(parse_memory("500M"), Some(500_000_000));
        assert_eq!(parse_memory("8192"), Some(8192));
        assert_eq!(parse_memory("12Qi"), None);
    }

    #[test]
    fn a_container_limit_lowers_what_the_node_offers() {
        let machine = Machine::from_quantities(("8", "16Gi"), (Some("500m"), Some("2Gi")));
        assert_eq!(
            machine,
            Machine {
                cores: 1,
                memory: 2 << 30,
                limited: true,
            }
        );
        let machine = Machine::from_quantities(("8", "16Gi"), (None, None));
        assert_eq!(
            machine,
            Machine {
                cores: 8,
                memory: 16 << 30,
                limited: false,
            }
        );
    }
}
