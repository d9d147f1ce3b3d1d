//! The Pebble layer: the services that run in the workload container, and their checks.

use cluster_plan::names::{Member, Names, PATRONI_PORT};
use cluster_plan::planner::PATRONI_YML;
use serde_json::json;

/// Label of the layer.
pub const LABEL: &str = "postgresql";
/// The service that runs Patroni, which runs PostgreSQL.
pub const SERVICE: &str = "postgresql";

/// Label of the layer of [`RETRY`].
pub const RETRY_LABEL: &str = "retry";
/// The one-shot service that wakes the charm a little later.
pub const RETRY: &str = "retry";
/// Seconds until it does: a little more than Patroni's `loop_wait`.
pub const RETRY_AFTER: u32 = 11;

/// A timer in the workload's Pebble: started when something outside could not be reached, it wakes
/// the charm once, without waiting for `update-status`.
#[must_use]
pub fn retry() -> pebble::Layer {
    let command =
        format!("/bin/sh -c 'sleep {RETRY_AFTER}; exec /charm/bin/pebble notify {RETRY_NOTICE}'");
    let layer = json!({
        "summary": "postgresql-k8s retry",
        "services": {
            RETRY: {
                "override": "replace",
                "summary": "wakes the charm after an outage",
                "command": command,
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

/// Key of the notice that it sends.
const RETRY_NOTICE: &str = "postgresql-k8s.charm/retry";

/// The layer as it should be.
#[must_use]
pub fn layer(names: &Names, me: &Member, leader_label: &str) -> pebble::Layer {
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
                "environment": {
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
        },
        "checks": {
            SERVICE: {
                "override": "replace",
                "level": "ready",
                "period": "3s",
                "timeout": "2s",
                "threshold": 2,
                "http": {"url": format!("http://localhost:{PATRONI_PORT}/health")},
            },
        },
    });
    // The value is a constant of this file but for names that are plain words.
    serde_json::from_value(layer).unwrap_or_default()
}
