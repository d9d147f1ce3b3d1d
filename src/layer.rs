//! The Pebble layer: the services that run in the workload container, and their checks.

use cluster_plan::disk::Thresholds;
use cluster_plan::names::{LOGS, Member, Names, ServiceKind};
use cluster_plan::planner::PATRONI_YML;
use serde_json::json;

use crate::render::{ANSWERS, DISK_BELOW, KEEP_LOGS, WATCH};

/// Label of the layer.
pub const LABEL: &str = "postgresql";
/// The service that runs Patroni, which runs PostgreSQL.
pub const SERVICE: &str = "postgresql";

/// The service that looks after the standbys of this member.
pub const WATCH_SERVICE: &str = "standbys";

/// Label and name of the one-shot service that wakes the charm a little later.
pub const RETRY: &str = "retry";
/// Seconds until it does.
pub const RETRY_AFTER: i64 = 11;
/// Label and name of the one that does so while a member or a standby is missing.
pub const MISSING: &str = "missing";

/// By what Patroni asks Kubernetes, where the pod's own account is hidden from it.
pub const KUBECONFIG: &str = "/run/patroni/kubeconfig";
/// The authority of the API server, in a file of its own.
pub const KUBE_AUTHORITY: &str = "/run/patroni/kubernetes-ca.crt";
/// Name of the context in that file, which Patroni wants to be told.
pub const KUBE_CONTEXT: &str = "patroni";
/// What lies below has the pod's own token, readable for everybody, in a file system that can't be
/// changed; the folder itself is the container's.
pub const POD_SECRETS: &str = "/var/run/secrets";
/// What it may have of permissions, so that only root gets at that.
pub const POD_SECRETS_MODE: u32 = 0o700;

const NOTIFY: &str = "/charm/bin/pebble notify";
/// Key of the notice that the timers send.
const RETRY_NOTICE: &str = "postgresql-k8s.charm/retry";

/// A timer in the workload's Pebble: started when something outside could not be reached, it wakes
/// the charm without waiting for `update-status`; also after so many seconds already, where it is
/// known how soon there may be something to see.
#[must_use]
pub fn retry(soon: Option<i64>) -> pebble::Layer {
    let wait = match soon {
        Some(soon) => format!("sleep {soon}; {NOTIFY} {RETRY_NOTICE}; sleep {RETRY_AFTER}"),
        None => format!("sleep {RETRY_AFTER}"),
    };
    timer(
        RETRY,
        "postgresql-k8s retry",
        "wakes the charm after an outage",
        &wait,
    )
}

/// A timer of its own for what each full look finds again, or finds mended: it is stopped then.
#[must_use]
pub fn missing() -> pebble::Layer {
    timer(
        MISSING,
        "postgresql-k8s missing",
        "wakes the charm while a member or a standby is missing",
        &format!("sleep {RETRY_AFTER}"),
    )
}

/// Label and name of the service that wakes the charm when a certificate is to be renewed.
pub const RENEWAL: &str = "renewal";

/// A timer for this time, in seconds since 1970.
#[must_use]
pub fn renewal(at: i64) -> pebble::Layer {
    timer(
        RENEWAL,
        "postgresql-k8s renewal of certificates",
        "wakes the charm when a certificate is to be renewed",
        &format!(
            "while [ $(date +%s) -lt {at} ]; do left=$(( {at} - $(date +%s) )); \
             [ $left -lt 3600 ] || left=3600; sleep $left; done"
        ),
    )
}

/// A one-shot service that waits by a shell command of this file and then wakes the charm.
fn timer(service: &str, summary: &str, purpose: &str, wait: &str) -> pebble::Layer {
    let layer = json!({
        "summary": summary,
        "services": {
            service: {
                "override": "replace",
                "summary": purpose,
                "command": format!("/bin/sh -c '{wait}; exec {NOTIFY} {RETRY_NOTICE}'"),
                "startup": "disabled",
                "user": "postgres",
                "group": "postgres",
                "on-success": "ignore",
                "on-failure": "ignore",
            },
        },
    });
    serde_json::from_value(layer).unwrap_or_default()
}

/// A command that fails while the name of any of the application's Services does not resolve.
fn names_resolve(names: &Names, external: bool) -> String {
    let mut command = format!("getent hosts {}", names.headless());
    for kind in ServiceKind::ALL {
        let both = [
            Some(names.service(kind)),
            external.then(|| names.external_service(kind)),
        ];
        for name in both.into_iter().flatten() {
            command.push(' ');
            command.push_str(&name);
        }
    }
    command
}

/// Where the image has the programs of this major version of PostgreSQL.
#[must_use]
pub fn programs(major: u32) -> String {
    format!("/usr/lib/postgresql/{major}/bin")
}

/// The layer as it should be; `external`: clients come from outside Kubernetes.
#[must_use]
pub fn layer(
    names: &Names,
    me: &Member,
    leader_label: &str,
    major: Option<u32>,
    disk: Thresholds,
    external: bool,
) -> pebble::Layer {
    let programs = programs(major.unwrap_or_default());
    let scope = names.scope();
    let layer = json!({
        "summary": "postgresql + patroni layer",
        "description": "pebble config layer for postgresql + patroni",
        "services": {
            SERVICE: {
                "override": "replace",
                "summary": "Patroni, which keeps PostgreSQL",
                "command": format!("patroni {PATRONI_YML}"),
                "startup": "enabled",
                "user": "postgres",
                "group": "postgres",
                "on-failure": "restart",
                // Time for a clean shutdown, within the 30 s that a pod has to end.
                "kill-delay": "25s",
                "environment": {
                    "KUBECONFIG": KUBECONFIG,
                    "PATRONI_KUBERNETES_CONTEXT": KUBE_CONTEXT,
                    "PATRONI_KUBERNETES_LABELS":
                        format!("{{application: patroni, cluster-name: {scope}}}"),
                    "PATRONI_KUBERNETES_LEADER_LABEL_VALUE": leader_label,
                    "PATRONI_KUBERNETES_NAMESPACE": names.model(),
                    "PATRONI_KUBERNETES_USE_ENDPOINTS": "true",
                    "PATRONI_NAME": me.to_string(),
                    "PATRONI_SCOPE": scope,
                    "PATRONI_REPLICATION_USERNAME": "replication",
                    "PATRONI_SUPERUSER_USERNAME": "operator",
                },
            },
            WATCH_SERVICE: {
                "override": "replace",
                "summary": "wakes the charm when a standby or a user comes or goes",
                "command": format!("{WATCH} {programs}/psql"),
                "startup": "enabled",
                "user": "postgres",
                "group": "postgres",
                "on-success": "restart",
                "on-failure": "restart",
                "after": [SERVICE],
            },
            "logs": {
                "override": "replace",
                "summary": "keeps what is logged within bounds",
                "command": format!("{KEEP_LOGS} {LOGS}"),
                "startup": "enabled",
                "user": "postgres",
                "group": "postgres",
                "on-success": "restart",
                "on-failure": "restart",
            },
        },
        "checks": {
            SERVICE: {
                "override": "replace",
                "level": "ready",
                "period": "3s",
                "timeout": "2s",
                // The pod is not to count as ready before its server answers for the first time; after
                // that a look that takes long is no failure, see the script.
                "threshold": 1,
                // Pebble could not know the authority of Patroni's certificate.
                "exec": {
                    "command": format!("{ANSWERS} {programs}/pg_isready"),
                    "user": "postgres",
                    "group": "postgres",
                },
            },
            // Nobody tells of a Service that somebody has deleted, but its name is gone with it.
            "services": {
                "override": "replace",
                "period": "5s",
                "timeout": "3s",
                "threshold": 2,
                "exec": {
                    "command": names_resolve(names, external),
                    "user": "postgres",
                    "group": "postgres",
                },
            },
        },
    });
    let mut layer: pebble::Layer = serde_json::from_value(layer).unwrap_or_default();
    for (name, percent, period) in [
        ("disk-warning", disk.warning, "10s"),
        ("disk-release", disk.release(), "10s"),
        // What writes fast must not get far beyond it.
        ("disk-read-only", disk.read_only, "3s"),
    ] {
        // Without a level, so that a full volume is no reason to restart the container.
        let check = json!({
            "override": "replace",
            "period": period,
            "timeout": "2s",
            "threshold": 1,
            "exec": {
                "command": format!("{DISK_BELOW} {percent}"),
                "user": "postgres",
                "group": "postgres",
            },
        });
        if let Ok(check) = serde_json::from_value(check) {
            layer.checks.insert(name.to_owned(), check);
        }
    }
    layer
}
