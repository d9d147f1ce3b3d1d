//! Reads a layer's YAML and says what is wrong with it in Pebble's words.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_yaml::Value;

use super::{Check, Layer, LogTarget, Pairing, Service, Workload, lenient};

/// The sections as they stand, entries that are `null` included.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "kebab-case")]
struct Sections {
    #[serde(deserialize_with = "lenient")]
    services: BTreeMap<String, Option<Service>>,
    #[serde(deserialize_with = "lenient")]
    checks: BTreeMap<String, Option<Check>>,
    #[serde(deserialize_with = "lenient")]
    log_targets: BTreeMap<String, Option<LogTarget>>,
    #[serde(deserialize_with = "lenient")]
    workloads: BTreeMap<String, Option<Workload>>,
    #[serde(deserialize_with = "lenient")]
    pairing: Pairing,
}

const KEYS: [&str; 7] = [
    "summary",
    "description",
    "services",
    "checks",
    "log-targets",
    "workloads",
    "pairing",
];

impl Layer {
    /// Reads a layer and checks it by itself; what the plan lacks as a whole shows when it is
    /// combined.
    pub fn parse(label: &str, yaml: &str) -> Result<Self, String> {
        let failed = |why: &str| format!("cannot parse layer \"{label}\": {why}");
        let top: Value = match serde_yaml::from_str(yaml) {
            Ok(top) => top,
            Err(why) => return Err(failed(&format!("yaml: {why}"))),
        };
        match &top {
            Value::Null => return Ok(Self::default()),
            Value::Mapping(map) => {
                for key in map.keys().filter_map(Value::as_str) {
                    if !KEYS.contains(&key) {
                        return Err(failed(&format!("unknown section \"{key}\"")));
                    }
                }
            }
            _ => {
                return Err(failed(
                    "yaml: unmarshal errors: cannot unmarshal into a layer's map",
                ));
            }
        }
        let sections: Sections =
            serde_yaml::from_str(yaml).map_err(|why| in_section(label, &why))?;
        let layer = sections.given()?;
        layer.validate(label)?;
        Ok(layer)
    }
}

impl Sections {
    fn given(self) -> Result<Layer, String> {
        fn all<T>(
            entries: BTreeMap<String, Option<T>>,
            object: &str,
            what: &str,
        ) -> Result<BTreeMap<String, T>, String> {
            let given = entries.into_iter().map(|(name, entry)| match entry {
                Some(entry) => Ok((name, entry)),
                None => Err(format!(
                    "{object} object cannot be null for {what} \"{name}\""
                )),
            });
            given.collect()
        }
        Ok(Layer {
            services: all(self.services, "service", "service")?,
            checks: all(self.checks, "check", "check")?,
            log_targets: all(self.log_targets, "log target", "log target")?,
            workloads: all(self.workloads, "workload", "workload")?,
            pairing: self.pairing,
        })
    }
}

/// What went wrong inside a section, with the path at the start of the library's text turned into
/// the section's name.
fn in_section(label: &str, why: &serde_yaml::Error) -> String {
    let text = why.to_string();
    let (path, message) = text.split_once(": ").unwrap_or(("", &text));
    let mut steps = path.split('.');
    let section = steps.next().unwrap_or_default();
    let (line, message) = match (why.location(), message.rsplit_once(" at line ")) {
        (Some(place), Some((message, _))) => (place.line(), message),
        _ => (0, message),
    };
    let begin = format!("cannot parse layer \"{label}\" section \"{section}\"");
    if let Some(rest) = message.strip_prefix("unknown field `")
        && let Some((field, _)) = rest.split_once('`')
    {
        let kind = match (section, steps.nth(1)) {
            ("services", _) => "plan.Service",
            ("checks", Some("http")) => "plan.HTTPCheck",
            ("checks", Some("tcp")) => "plan.TCPCheck",
            ("checks", Some("exec")) => "plan.ExecCheck",
            ("checks", _) => "plan.Check",
            ("log-targets", _) => "plan.LogTarget",
            ("workloads", _) => "workloads.Workload",
            _ => "pairingstate.PairingConfig",
        };
        return format!(
            "{begin}: yaml: unmarshal errors:\n  line {line}: field {field} not found in type {kind}"
        );
    }
    if message.starts_with("invalid duration") {
        return format!("{begin}: {message}");
    }
    if path.ends_with("backoff-factor") {
        return format!("{begin}: invalid floating-point number: {message}");
    }
    format!("{begin}: yaml: unmarshal errors:\n  line {line}: {message}")
}
