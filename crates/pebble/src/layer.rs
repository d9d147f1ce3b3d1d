//! Layers: the services, checks and log targets that a plan is made of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

type Map = BTreeMap<String, String>;

fn no<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A layer, or the plan that the layers make.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Layer {
    /// A line about it.
    #[serde(skip_serializing_if = "no")]
    pub summary: String,
    /// More about it.
    #[serde(skip_serializing_if = "no")]
    pub description: String,
    /// Services by name.
    #[serde(skip_serializing_if = "no")]
    pub services: BTreeMap<String, Service>,
    /// Checks by name.
    #[serde(skip_serializing_if = "no")]
    pub checks: BTreeMap<String, Check>,
    /// Log targets by name.
    #[serde(skip_serializing_if = "no")]
    pub log_targets: BTreeMap<String, LogTarget>,
}

/// A service. Empty fields are left to Pebble's defaults.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Service {
    /// A line about it.
    #[serde(skip_serializing_if = "no")]
    pub summary: String,
    /// More about it.
    #[serde(skip_serializing_if = "no")]
    pub description: String,
    /// `enabled` or `disabled`.
    #[serde(skip_serializing_if = "no")]
    pub startup: String,
    /// `replace` or `merge`.
    #[serde(rename = "override", skip_serializing_if = "no")]
    pub override_: String,
    /// Command line, split like a shell would but run by none.
    #[serde(skip_serializing_if = "no")]
    pub command: String,
    /// Services that start before it.
    #[serde(skip_serializing_if = "no")]
    pub after: Vec<String>,
    /// Services that start after it.
    #[serde(skip_serializing_if = "no")]
    pub before: Vec<String>,
    /// Services that it cannot do without.
    #[serde(skip_serializing_if = "no")]
    pub requires: Vec<String>,
    /// Environment.
    #[serde(skip_serializing_if = "no")]
    pub environment: Map,
    /// User.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<u32>,
    /// User name.
    #[serde(skip_serializing_if = "no")]
    pub user: String,
    /// Group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_id: Option<u32>,
    /// Group name.
    #[serde(skip_serializing_if = "no")]
    pub group: String,
    /// Working directory.
    #[serde(skip_serializing_if = "no")]
    pub working_dir: String,
    /// What follows exit code 0.
    #[serde(skip_serializing_if = "no")]
    pub on_success: String,
    /// What follows another exit code.
    #[serde(skip_serializing_if = "no")]
    pub on_failure: String,
    /// What follows the failure of a check.
    #[serde(skip_serializing_if = "no")]
    pub on_check_failure: Map,
    /// First pause before a restart, a Go duration.
    #[serde(skip_serializing_if = "no")]
    pub backoff_delay: String,
    /// Growth of the pause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff_factor: Option<f64>,
    /// Longest pause.
    #[serde(skip_serializing_if = "no")]
    pub backoff_limit: String,
    /// Time between SIGTERM and SIGKILL.
    #[serde(skip_serializing_if = "no")]
    pub kill_delay: String,
}

/// A check: one of `http`, `tcp`, `exec`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Check {
    /// `replace` or `merge`.
    #[serde(rename = "override", skip_serializing_if = "no")]
    pub override_: String,
    /// `alive` or `ready`.
    #[serde(skip_serializing_if = "no")]
    pub level: String,
    /// `enabled` or `disabled`.
    #[serde(skip_serializing_if = "no")]
    pub startup: String,
    /// Time between runs, a Go duration.
    #[serde(skip_serializing_if = "no")]
    pub period: String,
    /// Longest run.
    #[serde(skip_serializing_if = "no")]
    pub timeout: String,
    /// Failures in a row that make it fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<u32>,
    /// GET that must give 2xx.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpCheck>,
    /// Port that must accept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpCheck>,
    /// Command that must exit 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecCheck>,
}

/// A GET that must give 2xx.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct HttpCheck {
    /// URL.
    pub url: String,
    /// Headers.
    #[serde(skip_serializing_if = "no")]
    pub headers: Map,
}

/// A port that must accept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct TcpCheck {
    /// Port.
    pub port: u16,
    /// Host.
    #[serde(skip_serializing_if = "no")]
    pub host: String,
}

/// A command that must exit 0.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct ExecCheck {
    /// Command line.
    pub command: String,
    /// Service whose user, group, directory and environment it takes.
    #[serde(skip_serializing_if = "no")]
    pub service_context: String,
    /// Environment.
    #[serde(skip_serializing_if = "no")]
    pub environment: Map,
    /// User.
    #[serde(skip_serializing_if = "no")]
    pub user: String,
    /// Group.
    #[serde(skip_serializing_if = "no")]
    pub group: String,
    /// Working directory.
    #[serde(skip_serializing_if = "no")]
    pub working_dir: String,
}

/// Where logs are forwarded to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct LogTarget {
    /// `replace` or `merge`.
    #[serde(rename = "override", skip_serializing_if = "no")]
    pub override_: String,
    /// `loki`, `opentelemetry` or `syslog`.
    #[serde(rename = "type")]
    pub type_: String,
    /// URL.
    pub location: String,
    /// Services.
    pub services: Vec<String>,
    /// Labels.
    #[serde(skip_serializing_if = "no")]
    pub labels: Map,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_survives_yaml(text in any::<String>(), key in "[A-Z_]{1,8}") {
            let service = Service {
                command: text.clone(),
                environment: [(key, text)].into(),
                ..Service::default()
            };
            let layer = Layer { services: [("x".to_owned(), service)].into(), ..Layer::default() };
            let yaml = serde_yaml::to_string(&layer).unwrap();
            let back: Layer = serde_yaml::from_str(&yaml).unwrap();
            prop_assert_eq!(layer, back);
        }
    }

    #[test]
    fn an_empty_layer_says_nothing() {
        assert_eq!(serde_yaml::to_string(&Layer::default()).unwrap(), "{}\n");
    }
}
