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
    /// Workload of the plan whose user and environment it takes.
    #[serde(skip_serializing_if = "no")]
    pub workload: String,
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

    fn through_yaml(layer: &Layer) -> Layer {
        serde_yaml::from_str(&serde_yaml::to_string(layer).unwrap()).unwrap()
    }

    proptest! {
        #[test]
        fn any_text_survives_yaml_wherever_it_stands(text in any::<String>(), key in ".{1,12}") {
            let map = Map::from([(key.clone(), text.clone())]);
            let service = Service {
                command: text.clone(),
                after: vec![text.clone(), key.clone()],
                environment: map.clone(),
                on_check_failure: map.clone(),
                ..Service::default()
            };
            let check = Check {
                http: Some(HttpCheck { url: text.clone(), headers: map.clone() }),
                exec: Some(ExecCheck { command: text.clone(), ..ExecCheck::default() }),
                ..Check::default()
            };
            let target = LogTarget {
                location: text.clone(),
                services: vec![text.clone()],
                labels: map,
                ..LogTarget::default()
            };
            let layer = Layer {
                summary: text,
                services: [(key.clone(), service)].into(),
                checks: [(key.clone(), check)].into(),
                log_targets: [(key, target)].into(),
                ..Layer::default()
            };
            prop_assert_eq!(&layer, &through_yaml(&layer));
        }
    }

    #[test]
    fn words_that_yaml_could_take_for_something_else_are_quoted() {
        for word in [
            "null", "Null", "NULL", "~", "", "!!str x", "- a", "# no", " ", "\u{feff}",
        ] {
            let layer = Layer {
                summary: word.to_owned(),
                services: [(word.to_owned(), Service::default())].into(),
                ..Layer::default()
            };
            assert_eq!(layer, through_yaml(&layer), "{word:?}");
            if !word.is_empty() {
                let yaml = serde_yaml::to_string(&layer).unwrap();
                assert!(!yaml.starts_with(&format!("summary: {word}\n")), "{yaml}");
            }
        }
    }

    #[test]
    fn a_plan_as_pebble_writes_it_is_read() {
        let plan = "services:\n    a:\n        override: replace\n        command: sleep 100\n        \
                    environment:\n            PORT: \"5432\"\n            ON: yes\n        user-id: 26\n        \
                    backoff-factor: 2\n        kill-delay: 1m30s\nchecks:\n    up:\n        override: replace\n        \
                    threshold: 3\n        tcp:\n            port: 5432\nworkloads:\n    w: {}\n";
        let plan: Layer = serde_yaml::from_str(plan).unwrap();
        let service = &plan.services["a"];
        assert_eq!(
            (service.command.as_str(), service.user_id),
            ("sleep 100", Some(26))
        );
        assert_eq!(
            (
                service.environment["PORT"].as_str(),
                service.environment["ON"].as_str()
            ),
            ("5432", "yes")
        );
        assert_eq!(
            (service.backoff_factor, service.kill_delay.as_str()),
            (Some(2.0), "1m30s")
        );
        assert_eq!(plan.checks["up"].tcp.as_ref().unwrap().port, 5432);
        let empty: Layer = serde_yaml::from_str("{}\n").unwrap();
        assert_eq!(empty, Layer::default());
    }

    #[test]
    fn an_empty_layer_says_nothing() {
        assert_eq!(serde_yaml::to_string(&Layer::default()).unwrap(), "{}\n");
    }
}
