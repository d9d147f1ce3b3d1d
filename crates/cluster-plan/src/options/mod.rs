//! The options: which values each may have, and what follows from them for Patroni and PostgreSQL.

mod reference;
mod sizing;
mod start;
mod table;
mod timing;
mod words;

use std::collections::BTreeMap;
use std::fmt;

use crate::disk::Thresholds;
use crate::observed::PatroniVersion;

use serde_json::{Map, Value, json};

pub use reference::{Described, Effect, described};
pub use sizing::{Machine, parse_cpu, parse_memory};
pub use words::{OfImage, OfImageKind, locale};

/// Validated options.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    values: BTreeMap<&'static str, Value>,
}

/// How many standbys commits wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncCount {
    /// Every standby.
    All,
    /// Half of the units, rounded down.
    Majority,
    /// So many.
    Number(u32),
}

/// An option with a value that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionError {
    /// Option.
    pub option: String,
    /// Its value, cut to what fits into a status.
    pub value: String,
    /// What is allowed.
    pub allowed: String,
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}={} is not allowed, use {}",
            self.option, self.value, self.allowed
        )
    }
}

/// PostgreSQL's parameters, by where Patroni takes them from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parameters {
    /// For `patroni.yml`.
    pub local: BTreeMap<String, Value>,
    /// For the dynamic configuration, which Patroni insists on for these; null removes one.
    pub dynamic: Map<String, Value>,
}

/// An extension and the option that enables it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension {
    /// Option.
    pub option: &'static str,
    /// Name in SQL.
    pub name: &'static str,
}

impl Extension {
    /// The option is on unless an operator says otherwise, so an image may lack the extension
    /// without anybody having asked for it.
    #[must_use]
    pub fn by_default(&self) -> bool {
        self.option == AUDIT
    }

    /// The extension of this name, where an option enables it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        extensions_of(|_| true)
            .into_iter()
            .find(|extension| extension.name == name)
    }
}

/// The option that names a secret with passwords.
pub const SYSTEM_USERS: &str = "system-users";

const DISK_WARNING: &str = "disk_warning_percent";
const DISK_READ_ONLY: &str = "disk_read_only_percent";

const QUORUM: &str = "synchronous_mode_quorum";

/// The one option of extensions that is on by default.
const AUDIT: &str = "plugin_audit_enable";

fn extensions_of(which: impl Fn(&str) -> bool) -> Vec<Extension> {
    let mut found = Vec::new();
    for spec in table::TABLE.iter().filter(|spec| which(spec.name)) {
        if let Target::Extension { names, .. } = spec.target {
            let of_option = |name: &&'static str| Extension {
                option: spec.name,
                name,
            };
            found.extend(names.iter().map(of_option));
        }
    }
    found
}

/// What values an option may have.
#[derive(Debug, Clone, Copy)]
enum Rule {
    Bool,
    Int(i64, i64),
    Float(f64, f64),
    OneOf(&'static [&'static str]),
    /// `auto` or a number from 2.
    Workers,
    /// `all`, `majority` or a number from 1.
    Count,
    /// A style and an order, as PostgreSQL takes them.
    DateStyle,
    /// A name; the image has the last word.
    TimeZone,
    /// The same.
    Locale,
    /// Id of a secret.
    Secret,
    /// Any text without control characters.
    Text,
}

/// Where an option goes.
#[derive(Debug, Clone, Copy)]
enum Target {
    /// The charm itself acts on it.
    Charm,
    /// A parameter in `patroni.yml`.
    Local(&'static str),
    /// A parameter in the dynamic configuration.
    Dynamic(&'static str),
    /// Extensions, and the options that must be on with it.
    Extension {
        names: &'static [&'static str],
        needs: &'static [&'static str],
    },
}

/// One option.
#[derive(Debug)]
struct Spec {
    name: &'static str,
    rule: Rule,
    target: Target,
}

impl Config {
    /// Checks the options as Juju gives them; an option without a value is left out.
    ///
    /// # Errors
    /// Every option whose value is not allowed.
    pub fn new(raw: &BTreeMap<String, Value>) -> Result<Self, Vec<OptionError>> {
        let mut config = Self::default();
        let mut errors = Vec::new();
        for spec in table::TABLE {
            let given = raw.get(spec.name).filter(|value| spec.rule.is_set(value));
            let Some(value) = given else {
                continue;
            };
            match spec.rule.check(value) {
                Ok(value) => drop(config.values.insert(spec.name, value)),
                Err(allowed) => errors.push(error(spec.name, value, allowed)),
            }
        }
        errors.extend(config.unsafe_timing());
        let disk = config.thresholds();
        if disk.warning >= disk.read_only {
            let allowed = format!("less than {DISK_READ_ONLY}={}", disk.read_only);
            errors.push(error(DISK_WARNING, &json!(disk.warning), allowed));
        }
        if errors.is_empty() {
            Ok(config)
        } else {
            Err(errors)
        }
    }

    /// `synchronous_node_count`.
    #[must_use]
    pub fn synchronous_node_count(&self) -> SyncCount {
        match self.text("synchronous_node_count") {
            Some("majority") => SyncCount::Majority,
            Some(number) => number.parse().map_or(SyncCount::All, SyncCount::Number),
            None => SyncCount::All,
        }
    }

    /// `synchronous_mode_strict`.
    #[must_use]
    pub fn synchronous_mode_strict(&self) -> bool {
        self.values
            .get("synchronous_mode_strict")
            .and_then(Value::as_bool)
            .unwrap_or(true)
    }

    /// `synchronous_mode_quorum`
    #[must_use]
    pub fn quorum(&self) -> bool {
        self.values.get(QUORUM) == Some(&Value::Bool(true))
    }

    /// What this Patroni cannot do.
    #[must_use]
    pub fn too_new_for(&self, patroni: PatroniVersion) -> Option<OptionError> {
        let needed = PatroniVersion { major: 4, minor: 0 };
        (self.quorum() && patroni < needed).then(|| {
            let PatroniVersion { major, minor } = patroni;
            let allowed = format!("false: it needs Patroni 4, the image has {major}.{minor}");
            error(QUORUM, &json!(true), allowed)
        })
    }

    /// From when on a filling volume is told, and guarded.
    #[must_use]
    pub fn thresholds(&self) -> Thresholds {
        let default = Thresholds::default();
        let percent = |name, default| {
            let value = self
                .int(name)
                .and_then(|percent| u8::try_from(percent).ok());
            value.unwrap_or(default)
        };
        Thresholds {
            warning: percent(DISK_WARNING, default.warning),
            read_only: percent(DISK_READ_ONLY, default.read_only),
        }
    }

    /// `durability_maximum_lag_on_failover`, in bytes.
    #[must_use]
    pub fn maximum_lag_on_failover(&self) -> i64 {
        self.int("durability_maximum_lag_on_failover")
            .unwrap_or(1_048_576)
    }

    /// Options of extensions that are on while one that they need is off.
    #[must_use]
    pub fn unmet_extensions(&self) -> Vec<OptionError> {
        let on = |name: &str| {
            self.values
                .get(name)
                .and_then(Value::as_bool)
                .unwrap_or(false)
        };
        let mut unmet = Vec::new();
        for spec in table::TABLE {
            let Target::Extension { needs, .. } = spec.target else {
                continue;
            };
            if on(spec.name) {
                let missing = needs.iter().filter(|need| !on(need));
                unmet.extend(missing.map(|need| {
                    error(
                        spec.name,
                        &json!(true),
                        format!("{need}=true with it, or false"),
                    )
                }));
            }
        }
        unmet
    }

    /// Extensions whose option is on, those that others need first.
    #[must_use]
    pub fn extensions(&self) -> Vec<Extension> {
        let on = |name: &str| self.values.get(name) == Some(&Value::Bool(true));
        let mut found = extensions_of(on);
        let needed: Vec<&str> = table::TABLE
            .iter()
            .filter_map(|spec| match spec.target {
                Target::Extension { needs, .. } => Some(needs),
                _ => None,
            })
            .flatten()
            .copied()
            .collect();
        found.sort_by_key(|extension| !needed.contains(&extension.option));
        found
    }

    /// PostgreSQL's parameters on such a machine.
    ///
    /// # Errors
    /// The options whose values are too large for the machine.
    pub fn parameters(&self, machine: &Machine) -> Result<Parameters, Vec<OptionError>> {
        let mut parameters = Parameters::default();
        let mut errors = Vec::new();
        let workers = sizing::workers(self, machine, &mut errors);
        for spec in table::TABLE {
            let value = match (spec.rule, self.values.get(spec.name)) {
                (Rule::Workers, _) => workers.get(spec.name).cloned(),
                (_, value) => value.map(rendered),
            };
            match (spec.target, value) {
                // Two options have this one: the one that asks for more counts.
                (Target::Local("track_functions"), Some(value))
                    if value == "none" && parameters.local.contains_key("track_functions") => {}
                (Target::Local(parameter), Some(value)) => {
                    parameters.local.insert(parameter.to_owned(), value);
                }
                (Target::Dynamic(parameter), value) => {
                    parameters
                        .dynamic
                        .insert(parameter.to_owned(), value.unwrap_or(Value::Null));
                }
                _ => {}
            }
        }
        sizing::memory(self, machine, &mut parameters, &mut errors);
        if self.values.get(AUDIT) == Some(&Value::Bool(true)) {
            let audit = [
                ("pgaudit.log", "ROLE,DDL,MISC,MISC_SET"),
                ("pgaudit.log_client", "off"),
                ("pgaudit.log_parameter", "off"),
            ];
            let audit = audit.map(|(name, value)| (name.to_owned(), json!(value)));
            parameters.local.extend(audit);
        }
        start::bounded(self, machine, &parameters, &mut errors);
        let connections = self
            .int("experimental_max_connections")
            .unwrap_or_else(|| sizing::connections(machine).into());
        let fixed = [
            ("max_connections", json!(connections)),
            ("max_replication_slots", json!(start::WAL_SENDERS)),
            ("max_wal_senders", json!(start::WAL_SENDERS)),
        ];
        let fixed = fixed.map(|(name, value)| (name.to_owned(), value));
        parameters.dynamic.extend(fixed);
        if errors.is_empty() {
            Ok(parameters)
        } else {
            Err(errors)
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).and_then(Value::as_str)
    }

    fn int(&self, name: &str) -> Option<i64> {
        self.values.get(name).and_then(Value::as_i64)
    }
}

fn error(option: &str, value: &Value, allowed: String) -> OptionError {
    let text = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned);
    let mut short: String = text.chars().filter(|c| !c.is_control()).take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    OptionError {
        option: option.to_owned(),
        value: short,
        allowed,
    }
}

/// As PostgreSQL's configuration takes it.
fn rendered(value: &Value) -> Value {
    match value {
        // Patroni would write a boolean as Python does; these words are PostgreSQL's own.
        Value::Bool(on) => json!(if *on { "on" } else { "off" }),
        other => other.clone(),
    }
}

impl Rule {
    /// Whether there is a value: Juju has an empty text for an id that was taken back by hand.
    fn is_set(self, value: &Value) -> bool {
        let none = matches!(self, Self::Secret) && value.as_str() == Some("");
        !(value.is_null() || none)
    }

    /// The value in its canonical type, or what is allowed.
    fn check(self, value: &Value) -> Result<Value, String> {
        let ok = match self {
            Self::Bool => value.is_boolean(),
            Self::Int(low, high) => value.as_i64().is_some_and(|n| (low..=high).contains(&n)),
            Self::Float(low, high) => value.as_f64().is_some_and(|n| (low..=high).contains(&n)),
            Self::OneOf(words) => value.as_str().is_some_and(|word| words.contains(&word)),
            Self::Workers => value
                .as_str()
                .is_some_and(|w| w == "auto" || number(w).is_some_and(|n| n >= 2)),
            Self::Count => value.as_str().is_some_and(|word| {
                matches!(word, "all" | "majority") || number(word).is_some_and(|n| n >= 1)
            }),
            Self::DateStyle => value.as_str().is_some_and(words::date_style),
            Self::Secret => value.as_str().is_some_and(|id| id.starts_with("secret:")),
            Self::TimeZone | Self::Locale => value.as_str().is_some_and(words::name),
            Self::Text => value
                .as_str()
                .is_some_and(|text| !text.chars().any(char::is_control)),
        };
        if ok {
            Ok(value.clone())
        } else {
            Err(self.to_string())
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("true or false"),
            Self::Int(low, high) => write!(f, "{low} to {high}"),
            Self::Float(low, high) if *high >= f64::MAX => write!(f, "a number from {low}"),
            Self::Float(low, high) => write!(f, "{low} to {high}"),
            Self::OneOf(words) => f.write_str(&words.join(", ")),
            Self::Workers => f.write_str("auto or a number from 2 to ten times the cores"),
            Self::Count => f.write_str("all, majority or a number from 1"),
            Self::DateStyle => f.write_str("ISO, SQL, Postgres or German, with DMY, MDY or YMD"),
            Self::TimeZone => f.write_str("a time zone's name, e.g. Europe/Berlin"),
            Self::Secret => f.write_str("the id of a secret, secret:..."),
            Self::Locale => f.write_str("a locale's name, e.g. C"),
            Self::Text => f.write_str("text without control characters"),
        }
    }
}

/// A whole number as an option's text holds it: digits alone.
fn number(text: &str) -> Option<u32> {
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests;
