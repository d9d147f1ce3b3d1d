//! A tool's command line, answer and refusal, as Juju's tools have them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::state::Bag;

/// A tool says no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub code: i32,
    pub text: String,
}

/// What a tool prints, or why it does not.
pub(super) type Answer = Result<String, Refused>;

/// The command line is wrong.
pub(super) fn usage(text: impl Into<String>) -> Refused {
    Refused {
        code: 2,
        text: text.into(),
    }
}

/// The command line is right, but it can't be done.
pub(super) fn refused(text: impl Into<String>) -> Refused {
    Refused {
        code: 1,
        text: text.into(),
    }
}

/// Juju's words where a unit may not see something.
pub(super) fn denied() -> Refused {
    refused("permission denied (unauthorized access)")
}

/// Flags and words.
#[derive(Debug, Default)]
pub(super) struct Args {
    flags: BTreeMap<String, String>,
    words: Vec<String>,
}

impl Args {
    /// Takes a command line apart; `valued` flags take a value, `switches` don't.
    pub(super) fn parse(
        args: &[&str],
        valued: &[&str],
        switches: &[&str],
    ) -> Result<Self, Refused> {
        let mut parsed = Self::default();
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            if *arg == "--" {
                parsed.words.extend(rest.map(|word| (*word).to_owned()));
                break;
            }
            let Some(flag) = arg.strip_prefix('-').filter(|flag| !flag.is_empty()) else {
                parsed.words.push((*arg).to_owned());
                continue;
            };
            let flag = flag.strip_prefix('-').unwrap_or(flag);
            let (name, given) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (flag, None),
            };
            let long = match name {
                "r" => "relation",
                "l" => "log-level",
                "s" => "storage",
                "a" => "all",
                "o" => "output",
                name => name,
            };
            let value = if switches.contains(&long) {
                given.unwrap_or_else(|| "true".to_owned())
            } else if valued.contains(&long) || long == "format" {
                match given.or_else(|| rest.next().map(|word| (*word).to_owned())) {
                    Some(value) => value,
                    None => return Err(usage(format!("option needs an argument: {arg}"))),
                }
            } else {
                return Err(usage(format!("option provided but not defined: {arg}")));
            };
            parsed.flags.insert(long.to_owned(), value);
        }
        Ok(parsed)
    }

    pub(super) fn flag(&self, name: &str) -> Option<&str> {
        self.flags.get(name).map(String::as_str)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        let off = |value: &str| matches!(value, "false" | "False" | "0");
        self.flag(name).is_some_and(|value| !off(value))
    }

    pub(super) fn word(&self, at: usize) -> Option<&str> {
        self.words.get(at).map(String::as_str)
    }

    pub(super) fn words_from(&self, at: usize) -> &[String] {
        self.words.get(at..).unwrap_or_default()
    }

    /// Refuses more words than the tool takes.
    pub(super) fn at_most(&self, count: usize) -> Result<(), Refused> {
        match self.words_from(count) {
            [] => Ok(()),
            extra => Err(usage(format!("unrecognized args: {extra:?}"))),
        }
    }

    /// A value in the format that was asked for.
    pub(super) fn print(&self, value: &Value) -> Answer {
        match self.flag("format").unwrap_or("smart") {
            "json" => Ok(format!("{value}\n")),
            "yaml" => Ok(yaml(value)),
            "smart" => Ok(smart(value)),
            other => Err(usage(format!(
                "invalid value \"{other}\" for option --format: unknown format \"{other}\""
            ))),
        }
    }

    /// `key=value` words from a place on, on top of a file's; an empty value deletes.
    pub(super) fn pairs(&self, from: usize, stdin: Option<&[u8]>) -> Result<Bag, Refused> {
        let mut pairs = match self.flag("file") {
            Some("-") => settings(stdin.unwrap_or_default())?,
            Some(path) => settings(&std::fs::read(path).map_err(|e| refused(e.to_string()))?)?,
            None => Bag::new(),
        };
        let mut seen = Bag::new();
        for word in self.words_from(from) {
            let Some((key, value)) = word.split_once('=').filter(|(key, _)| !key.is_empty()) else {
                return Err(usage(format!("expected \"key=value\", got \"{word}\"")));
            };
            if seen.insert(key.to_owned(), value.to_owned()).is_some() {
                return Err(usage(format!("key \"{key}\" specified more than once")));
            }
        }
        pairs.extend(seen);
        Ok(pairs)
    }
}

/// A YAML map of scalars, each by its text.
fn settings(bytes: &[u8]) -> Result<Bag, Refused> {
    let map: Option<BTreeMap<String, Value>> = serde_yaml::from_slice(bytes)
        .map_err(|error| refused(format!("cannot parse the settings: {error}")))?;
    let text = |value| match value {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let pairs = map.unwrap_or_default().into_iter();
    Ok(pairs.map(|(key, value)| (key, text(value))).collect())
}

fn yaml(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        value => serde_yaml::to_string(value).unwrap_or_default(),
    }
}

fn smart(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(true) => "True\n".to_owned(),
        Value::Bool(false) => "False\n".to_owned(),
        Value::String(text) => format!("{text}\n"),
        Value::Array(items) => items.iter().map(smart).collect(),
        value => yaml(value),
    }
}
