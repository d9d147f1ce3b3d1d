//! What the reference of options (`docs/reference/options.md`) says beyond `config.yaml`.

use super::{SYSTEM_USERS, Target, table};
use crate::outlook;

/// What happens when an option changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// PostgreSQL restarts, one member at a time.
    Restart,
    /// PostgreSQL reads its configuration again; no connection ends.
    Reload,
    /// The charm or Patroni acts on it; PostgreSQL does not notice.
    AtOnce,
    /// The charm changes something in the database.
    InDatabase,
    /// Nothing yet.
    Nothing,
}

/// An option as the reference shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Its name.
    pub name: &'static str,
    /// The values that it may have, in words.
    pub allowed: String,
    /// What happens when it changes.
    pub effect: Effect,
}

/// Options of the charm's own from which parameters follow that PostgreSQL takes only as it starts.
const RESIZES: [&str; 3] = [
    "experimental_max_connections",
    "profile",
    "profile_limit_memory",
];
/// Options that an extension's setting goes with, and nothing that this revision does.
const UNUSED: [&str; 2] = ["ldap_map", "ldap_search_filter"];

/// Every option, in the order of `config.yaml`.
#[must_use]
pub fn described() -> Vec<Described> {
    let described = |spec: &super::Spec| Described {
        name: spec.name,
        allowed: spec.rule.to_string(),
        effect: effect(spec),
    };
    table::TABLE.iter().map(described).collect()
}

fn effect(spec: &super::Spec) -> Effect {
    match spec.target {
        Target::Local(name) | Target::Dynamic(name) if outlook::at_start(name) => Effect::Restart,
        Target::Local(_) | Target::Dynamic(_) => Effect::Reload,
        Target::Extension { .. } => Effect::InDatabase,
        Target::Charm if RESIZES.contains(&spec.name) => Effect::Restart,
        Target::Charm if UNUSED.contains(&spec.name) => Effect::Nothing,
        Target::Charm if spec.name == SYSTEM_USERS => Effect::InDatabase,
        Target::Charm => Effect::AtOnce,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::options::{Config, Machine, Parameters};

    fn parameters(option: Option<(&str, Value)>) -> Parameters {
        let machine = Machine {
            cores: 4,
            memory: 8 << 30,
            limited: true,
        };
        let raw: BTreeMap<String, Value> = option
            .map(|(name, value)| (name.to_owned(), value))
            .into_iter()
            .collect();
        Config::new(&raw).unwrap().parameters(&machine).unwrap()
    }

    #[test]
    fn the_charms_own_options_restart_where_parameters_that_need_it_follow() {
        let before = parameters(None);
        for option in described() {
            let value = match option.name {
                "synchronous_mode_strict" => json!(false),
                "synchronous_mode_quorum" => json!(true),
                "synchronous_node_count" => json!("1"),
                "durability_maximum_lag_on_failover" => json!(7),
                "disk_warning_percent" => json!(60),
                "disk_read_only_percent" => json!(90),
                "experimental_max_connections" => json!(300),
                "profile" => json!("testing"),
                "profile_limit_memory" => json!(1024),
                // Of the other options the parameter itself tells, or there is none.
                _ => continue,
            };
            let after = parameters(Some((option.name, value)));
            let pairs = |parameters: &Parameters| {
                let local = parameters.local.clone().into_iter();
                local
                    .chain(parameters.dynamic.clone())
                    .collect::<BTreeMap<_, _>>()
            };
            let (old, new) = (pairs(&before), pairs(&after));
            let names = old.keys().chain(new.keys());
            let restarts = names
                .filter(|name| old.get(*name) != new.get(*name))
                .any(|name| outlook::at_start(name));
            assert_eq!(
                option.effect == Effect::Restart,
                restarts,
                "{}",
                option.name
            );
        }
    }
}
