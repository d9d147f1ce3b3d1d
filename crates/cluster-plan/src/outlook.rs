//! What a change of parameters will mean, told before it is made: what changes, who reloads, who
//! restarts and in which order; and in which words a person is told what they can run.

use serde_json::Value;

use crate::names::Member;
use crate::observed::{Cluster, Observed, Role};
use crate::planner::PATRONI_YML;

/// Parameters of options that PostgreSQL takes only as it starts.
const AT_START: [&str; 11] = [
    "autovacuum_freeze_max_age",
    "max_connections",
    "max_locks_per_transaction",
    "max_logical_replication_workers",
    "max_prepared_transactions",
    "max_replication_slots",
    "max_wal_senders",
    "max_worker_processes",
    "old_snapshot_threshold",
    "shared_buffers",
    "track_activity_query_size",
];

/// A parameter that will have another value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Parameter.
    pub name: String,
    /// What it was and what it becomes, in words.
    pub how: String,
}

impl Change {
    /// From its two values; none where there was, or will be, none.
    #[must_use]
    pub fn new(name: &str, before: Option<&str>, after: Option<&str>) -> Self {
        let word = |value: Option<&str>| value.unwrap_or("unset").to_owned();
        Self {
            name: name.to_owned(),
            how: format!("{name} {} -> {}", word(before), word(after)),
        }
    }

    fn at_start(&self) -> bool {
        at_start(&self.name)
    }
}

/// Whether PostgreSQL takes a parameter only as it starts.
pub(crate) fn at_start(parameter: &str) -> bool {
    AT_START.contains(&parameter)
}

/// Lines for the log; none where no parameter changes.
#[must_use]
pub fn lines(observed: &Observed, patch: Option<&Value>) -> Vec<String> {
    let local = observed.workload.facts().map(|facts| &facts.changes);
    let mut changes: Vec<Change> = local.into_iter().flatten().cloned().collect();
    let view = observed.cluster.as_ref();
    if let Some(patch) = patch {
        changes.extend(dynamic(patch, view.and_then(|view| view.dynamic.as_ref())));
    }
    if changes.is_empty() {
        return Vec::new();
    }
    let how: Vec<&str> = changes.iter().map(|change| change.how.as_str()).collect();
    let mut lines = vec![format!("parameters change: {}", how.join(", "))];
    let names = |at_start: bool| {
        let which = changes.iter().filter(|c| c.at_start() == at_start);
        which
            .map(|c| c.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let (reload, restart) = (names(false), names(true));
    if !reload.is_empty() {
        lines.push(format!(
            "every member reloads, no connection ends: {reload}"
        ));
    }
    if !restart.is_empty() {
        let order = view.map(sequence).unwrap_or_default();
        lines.push(format!(
            "each member restarts, one at a time ({}): {restart}",
            order.join(", then ")
        ));
    }
    lines
}

fn dynamic(patch: &Value, current: Option<&Value>) -> Vec<Change> {
    let place = "/postgresql/parameters";
    let now = current.and_then(|current| current.pointer(place));
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let new = patch.pointer(place).and_then(Value::as_object);
    new.into_iter()
        .flatten()
        .map(|(name, value)| {
            let before = now.and_then(|now| now.get(name)).and_then(text);
            Change::new(name, before.as_deref(), text(value).as_deref())
        })
        .collect()
}

/// Standbys, then the primary.
fn sequence(view: &Cluster) -> Vec<String> {
    let leads = |role: &Role| matches!(role, Role::Leader | Role::StandbyLeader);
    let mut members: Vec<(bool, &Member)> = view
        .members
        .iter()
        .filter_map(|m| Some((leads(&m.role), m.member.as_ref()?)))
        .collect();
    members.sort();
    let unit = |(_, member): (bool, &Member)| member.unit();
    members.into_iter().map(unit).collect()
}

/// A command for a person to run: patronictl on the cluster, in this unit's workload.
pub(crate) fn patronictl(observed: &Observed, command: &str, rest: &str) -> String {
    format!(
        "juju ssh --container postgresql {unit} /charm/bin/pebble exec --context=postgresql -- \
         patronictl -c {PATRONI_YML} {command} {scope} {rest}",
        unit = observed.me.unit(),
        scope = observed.names.scope(),
    )
}
