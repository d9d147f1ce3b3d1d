//! `options.md`, from `config.yaml` and the planner's table.

use std::collections::BTreeMap;
use std::fmt::Write;

use cluster_plan::options::{Effect, described};
use serde_json::Value;

use super::{cell, keep, read};

/// What the first word of an option's name says it is about.
const GROUPS: [(&str, &str); 20] = [
    ("synchronous", "Synchronous replication"),
    ("patroni", "Failover"),
    ("durability", "Durability"),
    ("disk", "Full volumes"),
    ("system-users", "Passwords"),
    ("profile", "Memory"),
    ("experimental", "Connections"),
    ("connection", "Time-outs of connections"),
    ("plugin", "Extensions"),
    ("cpu", "Processes and parallel queries"),
    ("memory", "PostgreSQL's memory"),
    ("instance", "The whole server"),
    ("logging", "Logging"),
    ("request", "How statements are read"),
    ("response", "How results are shown"),
    ("session", "Sessions"),
    ("storage", "Storage"),
    ("vacuum", "Vacuum"),
    ("optimizer", "The optimizer"),
    ("ldap", "LDAP"),
];

fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Restart => "restart",
        Effect::Reload => "reload",
        Effect::AtOnce => "at once",
        Effect::InDatabase => "in the database",
        Effect::Nothing => "none yet",
    }
}

/// Without what its own column says.
fn about(description: &str) -> &str {
    description
        .split_once(" Allowed: ")
        .map_or(description, |(about, _)| about)
}

#[test]
fn options_md_is_what_the_sources_say() {
    let config: Value = serde_yaml::from_str(&read("config.yaml")).unwrap();
    let config = config["options"].as_object().unwrap();
    let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for option in described() {
        let given = &config[option.name];
        let default = match &given["default"] {
            Value::Null => "(none)".to_owned(),
            Value::String(text) => format!("`{text}`"),
            other => format!("`{other}`"),
        };
        let description = given["description"].as_str().unwrap();
        // A range that depends on other options is told whole.
        let allowed = match description.split_once(" Allowed: ") {
            Some((_, allowed)) => allowed.trim_end_matches('.').to_owned(),
            None => option.allowed.clone(),
        };
        let line = format!(
            "| `{}` | {} | {} | {} | {} |",
            option.name,
            cell(&default),
            cell(&allowed),
            effect(option.effect),
            cell(about(description)),
        );
        let (group, _) = GROUPS
            .iter()
            .find(|(word, _)| option.name.starts_with(word))
            .unwrap_or_else(|| panic!("{} belongs to no group", option.name));
        groups.entry(group).or_default().push(line);
    }
    let mut text = format!(
        "# Options\n\n\
         <!-- Written by `just reference` from config.yaml and crates/cluster-plan/src/options. -->\n\n\
         All {} options. Set one by `juju config postgresql-k8s NAME=VALUE`, take it back by\n\
         `juju config postgresql-k8s --reset NAME`. A value that is not allowed blocks the units with the\n\
         option's name and what is allowed, and the cluster runs on as it was.\n\n\
         What a change does:\n\n\
         * *restart*: PostgreSQL restarts, one member at a time, the primary last.\n\
         * *reload*: every member reads its configuration again; no connection ends.\n\
         * *at once*: the charm or Patroni acts on it; PostgreSQL does not notice.\n\
         * *in the database*: the charm runs statements on the primary.\n\
         * *none yet*: this revision takes the value and does nothing with it.\n",
        described().len()
    );
    for (group, title) in GROUPS {
        let lines = groups.remove(group).unwrap_or_default();
        write!(
            text,
            "\n## {title}\n\n| option | default | allowed | change | what it does |\n\
             |---|---|---|---|---|\n{}\n",
            lines.join("\n")
        )
        .unwrap();
    }
    keep("options.md", &text);
}
