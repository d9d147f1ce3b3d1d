//! The plan: what layers are made of, as their YAML has it.

mod combine;
pub(crate) mod command;
mod order;
mod parse;
mod render;
mod scalar;
mod stack;
mod validate;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use crate::duration::GoDuration;
use crate::users::Wanted;

pub(crate) use order::Action;
pub(crate) use stack::{Refusal, Stack};

type Texts = BTreeMap<String, String>;

/// A value, or the default where YAML says `null`.
fn lenient<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A layer, or the plan that the layers make.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Layer {
    pub services: BTreeMap<String, Service>,
    pub checks: BTreeMap<String, Check>,
    pub log_targets: BTreeMap<String, LogTarget>,
    pub workloads: BTreeMap<String, Workload>,
    pub pairing: Pairing,
}

/// A service; what is empty or none is not given.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Service {
    #[serde(deserialize_with = "lenient")]
    pub summary: String,
    #[serde(deserialize_with = "lenient")]
    pub description: String,
    #[serde(deserialize_with = "lenient")]
    pub startup: String,
    #[serde(rename = "override", deserialize_with = "lenient")]
    pub override_: String,
    #[serde(deserialize_with = "lenient")]
    pub command: String,
    #[serde(deserialize_with = "lenient")]
    pub after: Vec<String>,
    #[serde(deserialize_with = "lenient")]
    pub before: Vec<String>,
    #[serde(deserialize_with = "lenient")]
    pub requires: Vec<String>,
    #[serde(deserialize_with = "lenient")]
    pub workload: String,
    #[serde(deserialize_with = "lenient")]
    pub environment: Texts,
    pub user_id: Option<u32>,
    #[serde(deserialize_with = "lenient")]
    pub user: String,
    pub group_id: Option<u32>,
    #[serde(deserialize_with = "lenient")]
    pub group: String,
    #[serde(deserialize_with = "lenient")]
    pub working_dir: String,
    #[serde(deserialize_with = "lenient")]
    pub on_success: String,
    #[serde(deserialize_with = "lenient")]
    pub on_failure: String,
    #[serde(deserialize_with = "lenient")]
    pub on_check_failure: Texts,
    pub backoff_delay: Option<GoDuration>,
    pub backoff_factor: Option<f64>,
    pub backoff_limit: Option<GoDuration>,
    pub kill_delay: Option<GoDuration>,
}

impl Service {
    pub fn is_enabled(&self) -> bool {
        self.startup == "enabled"
    }

    pub fn wanted_user(&self) -> Wanted {
        Wanted {
            user_id: self.user_id,
            user: self.user.clone(),
            group_id: self.group_id,
            group: self.group.clone(),
        }
    }

    pub fn kill_delay(&self) -> std::time::Duration {
        self.kill_delay.unwrap_or(GoDuration::from_secs(5)).std()
    }
}

/// A check: one of `http`, `tcp`, `exec`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Check {
    #[serde(rename = "override", deserialize_with = "lenient")]
    pub override_: String,
    #[serde(deserialize_with = "lenient")]
    pub level: String,
    #[serde(deserialize_with = "lenient")]
    pub startup: String,
    pub period: Option<GoDuration>,
    pub timeout: Option<GoDuration>,
    #[serde(deserialize_with = "lenient")]
    pub threshold: u64,
    pub http: Option<HttpCheck>,
    pub tcp: Option<TcpCheck>,
    pub exec: Option<ExecCheck>,
}

impl Check {
    pub fn is_enabled(&self) -> bool {
        self.startup != "disabled"
    }

    pub fn period(&self) -> std::time::Duration {
        self.period.unwrap_or(GoDuration::from_secs(10)).std()
    }

    /// The longest that a run may take, never longer than the period.
    pub fn timeout(&self) -> std::time::Duration {
        self.timeout
            .unwrap_or(GoDuration::from_secs(3))
            .std()
            .min(self.period())
    }
}

/// A GET that must give 2xx.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct HttpCheck {
    #[serde(deserialize_with = "lenient")]
    pub url: String,
    #[serde(deserialize_with = "lenient")]
    pub headers: Texts,
}

/// A port that must accept.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct TcpCheck {
    #[serde(deserialize_with = "lenient")]
    pub port: u16,
    #[serde(deserialize_with = "lenient")]
    pub host: String,
}

/// A command that must exit with 0.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct ExecCheck {
    #[serde(deserialize_with = "lenient")]
    pub command: String,
    #[serde(deserialize_with = "lenient")]
    pub service_context: String,
    #[serde(deserialize_with = "lenient")]
    pub environment: Texts,
    pub user_id: Option<u32>,
    #[serde(deserialize_with = "lenient")]
    pub user: String,
    pub group_id: Option<u32>,
    #[serde(deserialize_with = "lenient")]
    pub group: String,
    #[serde(deserialize_with = "lenient")]
    pub working_dir: String,
}

impl ExecCheck {
    pub fn wanted_user(&self) -> Wanted {
        Wanted {
            user_id: self.user_id,
            user: self.user.clone(),
            group_id: self.group_id,
            group: self.group.clone(),
        }
    }
}

/// Where logs would be forwarded to.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct LogTarget {
    #[serde(rename = "type", deserialize_with = "lenient")]
    pub type_: String,
    #[serde(deserialize_with = "lenient")]
    pub location: String,
    #[serde(deserialize_with = "lenient")]
    pub services: Vec<String>,
    #[serde(rename = "override", deserialize_with = "lenient")]
    pub override_: String,
    #[serde(deserialize_with = "lenient")]
    pub labels: Texts,
}

/// Environment and user that services share.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Workload {
    #[serde(rename = "override", deserialize_with = "lenient")]
    pub override_: String,
    #[serde(deserialize_with = "lenient")]
    pub environment: Texts,
    pub user_id: Option<u32>,
    #[serde(deserialize_with = "lenient")]
    pub user: String,
    pub group_id: Option<u32>,
    #[serde(deserialize_with = "lenient")]
    pub group: String,
}

impl Workload {
    pub fn wanted_user(&self) -> Wanted {
        Wanted {
            user_id: self.user_id,
            user: self.user.clone(),
            group_id: self.group_id,
            group: self.group.clone(),
        }
    }
}

/// Who may pair; shown in the plan, of no effect without `--https`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Pairing {
    #[serde(deserialize_with = "lenient")]
    pub mode: String,
}

#[cfg(test)]
mod tests;
