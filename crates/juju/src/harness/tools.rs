//! The simulated tools, by topic.

mod basics;
mod relations;
mod secret_reads;
mod secret_writes;
mod store;
mod unit;

use std::io;

use super::call::{Answer, Args};
use super::simulator::Simulator;

/// Runs a tool. One that Juju's Kubernetes charms don't have is not in the `PATH`.
pub(super) fn answer(
    sim: &Simulator<'_>,
    tool: &str,
    line: &[&str],
    stdin: Option<&[u8]>,
) -> io::Result<Answer> {
    let (valued, switches) = flags(tool);
    let args = match Args::parse(line, valued, switches) {
        Ok(args) => args,
        Err(refused) => return Ok(Err(refused)),
    };
    Ok(match tool {
        "is-leader" => args.print(&sim.leads().into()),
        "config-get" => sim.config_get(&args),
        "goal-state" => sim.goal_state(&args),
        "juju-log" => sim.juju_log(&args),
        "status-get" => sim.status_get(&args),
        "status-set" => sim.status_set(&args),
        "application-version-set" => sim.version_set(&args),
        "action-get" => sim.action_get(&args),
        "action-set" => sim.action_set(&args),
        "action-fail" => sim.action_fail(&args),
        "action-log" => sim.action_log(&args),
        "relation-ids" => sim.relation_ids(&args),
        "relation-list" => sim.relation_list(&args),
        "relation-get" => sim.relation_get(&args),
        "relation-set" => sim.relation_set(&args, stdin),
        "relation-model-get" => sim.relation_model(&args),
        "secret-get" => sim.secret_get(&args),
        "secret-ids" => sim.secret_ids(&args),
        "secret-info-get" => sim.secret_info(&args),
        "secret-add" => sim.secret_add(&args),
        "secret-set" => sim.secret_set(&args),
        "secret-grant" => sim.secret_grant(&args),
        "secret-revoke" => sim.secret_revoke(&args),
        "secret-remove" => sim.secret_remove(&args),
        "state-get" => sim.state_get(&args),
        "state-set" => sim.state_set(&args, stdin),
        "state-delete" => sim.state_delete(&args),
        "leader-get" => sim.leader_get(&args),
        "leader-set" => sim.leader_set(&args),
        "open-port" => sim.open_port(&args),
        "close-port" => sim.close_port(&args),
        "opened-ports" => sim.opened_ports(&args),
        "storage-list" => sim.storage_list(&args),
        "storage-get" => sim.storage_get(&args),
        "storage-add" => sim.storage_add(&args),
        "network-get" => sim.network_get(&args),
        "unit-get" => sim.unit_get(&args),
        "resource-get" => sim.resource_get(&args),
        "credential-get" => sim.credential_get(&args),
        _ => return Err(io::Error::from(io::ErrorKind::NotFound)),
    })
}

/// Flags with a value, and those without.
fn flags(tool: &str) -> (&'static [&'static str], &'static [&'static str]) {
    match tool {
        "relation-list" | "relation-get" => (&["relation"], &["app"]),
        "relation-set" => (&["relation", "file"], &["app"]),
        "relation-model-get" => (&["relation"], &[]),
        "config-get" => (&[], &["all"]),
        "status-get" => (&[], &["include-data", "application"]),
        "status-set" => (&[], &["application"]),
        "juju-log" => (&["log-level"], &["debug"]),
        "secret-get" => (&["label"], &["peek", "refresh"]),
        "secret-info-get" => (&["label"], &[]),
        "secret-add" | "secret-set" => (
            &["file", "owner", "label", "description", "rotate", "expire"],
            &[],
        ),
        "secret-grant" => (&["relation", "unit"], &[]),
        "secret-revoke" => (&["relation", "app", "unit"], &[]),
        "secret-remove" => (&["revision"], &[]),
        "state-get" => (&[], &["strict"]),
        "state-set" => (&["file"], &[]),
        "storage-get" => (&["storage"], &[]),
        "network-get" => (
            &["relation"],
            &["bind-address", "ingress-address", "egress-subnets"],
        ),
        "open-port" | "close-port" => (&["endpoints"], &[]),
        _ => (&[], &[]),
    }
}
