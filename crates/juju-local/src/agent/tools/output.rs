//! What tools print: the three formats, results of actions, and refusals.

use serde_json::{Map, Value, json};

use super::format::Args;

/// A tool refuses: exit code and text.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub code: u8,
    pub text: String,
}

impl Refusal {
    pub(crate) fn run(text: impl Into<String>) -> Self {
        Self {
            code: 1,
            text: text.into(),
        }
    }

    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self {
            code: 2,
            text: text.into(),
        }
    }
}

/// The format where none is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Print {
    Smart,
    Yaml,
}

pub(super) fn print(args: &Args, default: Print, value: &Value) -> Result<String, Refusal> {
    let text = match (args.flag("format"), default) {
        (Some("json"), _) => format!("{}\n", escaped(&value.to_string())),
        (Some("yaml"), _) | (None, Print::Yaml) => yaml(value)?,
        (Some("smart") | None, _) => smart(value)?,
        (Some(other), _) => {
            return Err(Refusal::usage(format!(
                "invalid value \"{other}\" for option --format: unknown format \"{other}\""
            )));
        }
    };
    match args.flag("output").or(args.flag("o")) {
        Some(path) => {
            std::fs::write(path, text).map_err(|error| Refusal::run(error.to_string()))?;
            Ok(String::new())
        }
        None => Ok(text),
    }
}

/// Go's encoder writes these characters as escapes.
fn escaped(json: &str) -> String {
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

fn yaml(value: &Value) -> Result<String, Refusal> {
    if value.is_null() {
        return Ok(String::new());
    }
    serde_yaml::to_string(value).map_err(|error| Refusal::run(error.to_string()))
}

fn smart(value: &Value) -> Result<String, Refusal> {
    Ok(match value {
        Value::Null => String::new(),
        Value::Bool(yes) => if *yes { "True\n" } else { "False\n" }.to_owned(),
        Value::String(text) if text.is_empty() => String::new(),
        Value::String(text) => format!("{text}\n"),
        Value::Number(number) => format!("{number}\n"),
        Value::Array(items) if items.is_empty() => String::new(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            let lines: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            format!("{}\n", lines.join("\n"))
        }
        other => return yaml(other),
    })
}

/// Puts an action's result at its dotted path.
pub(super) fn set_result(results: &mut Value, path: &str, value: &str) -> Result<(), Refusal> {
    let mut at = results;
    let parts: Vec<&str> = path.split('.').collect();
    for part in &parts {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if part.is_empty()
            || !part.chars().all(good)
            || part.starts_with('-')
            || part.ends_with('-')
        {
            return Err(Refusal::usage(format!(
                "key \"{part}\" must start and end with lowercase alphanumeric, and contain only lowercase alphanumeric, hyphens and periods"
            )));
        }
        if ["stdout", "stdout-encoding", "stderr", "stderr-encoding"].contains(part) {
            return Err(Refusal::usage(format!(
                "cannot set reserved action key \"{part}\""
            )));
        }
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        let Value::Object(map) = at else {
            return Ok(());
        };
        at = map.entry((*part).to_owned()).or_insert(Value::Null);
    }
    *at = json!(value);
    Ok(())
}
