//! Turns values into JSON, YAML or text and puts them where the person asked for.

use std::io::{IsTerminal, Write};

use serde::Serialize;
use serde_json::Value;

use super::args::OutputArgs;
use super::error::CliError;

/// A format that `--format` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One line of JSON.
    Json,
    /// YAML.
    Yaml,
    /// A table, or the command's own text.
    Text,
    /// One line of text for each thing.
    Short,
}

impl Format {
    /// The format asked for; `default` when none was.
    ///
    /// # Errors
    /// When it is none that is known.
    pub fn of(args: &OutputArgs, default: Self) -> Result<Self, CliError> {
        match args.format.as_deref() {
            None => Ok(default),
            Some("json") => Ok(Self::Json),
            Some("yaml" | "smart") => Ok(Self::Yaml),
            Some("tabular" | "plain" | "summary") => Ok(Self::Text),
            Some("short" | "line" | "oneline") => Ok(Self::Short),
            Some(other) => Err(CliError::usage(format!(
                "invalid value \"{other}\" for option --format: unknown format \"{other}\""
            ))),
        }
    }
}

/// A value as JSON (one line) or YAML, with the newline behind it.
///
/// # Errors
/// When it cannot be written in that format.
pub fn serialize<T: Serialize>(value: &T, format: Format) -> Result<String, CliError> {
    if format == Format::Json {
        let text =
            serde_json::to_string(value).map_err(|error| CliError::Format(Box::new(error)))?;
        return Ok(text + "\n");
    }
    serde_yaml::to_string(value).map_err(|error| CliError::Format(Box::new(error)))
}

/// Writes text to the file of `-o`, or to standard output.
///
/// # Errors
/// When it cannot be written. A reader that went away (`| head`) is no error.
pub fn emit(args: &OutputArgs, text: &str) -> Result<(), CliError> {
    if let Some(path) = &args.output {
        return std::fs::write(path, text).map_err(|source| CliError::File {
            action: "write",
            path: path.clone(),
            source,
        });
    }
    print_out(text)
}

/// Writes text to standard output.
///
/// # Errors
/// As [`emit`].
pub fn print_out(text: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(CliError::Exit(0)),
        other => other.map_err(CliError::Output),
    }
}

/// Writes a value as JSON or YAML; `text` makes the table for [`Format::Text`] when it is asked
/// for or is the default.
///
/// # Errors
/// When it cannot be formatted or written.
pub fn emit_value<T: Serialize>(
    args: &OutputArgs,
    default: Format,
    value: &T,
    text: impl FnOnce() -> String,
) -> Result<(), CliError> {
    match Format::of(args, default)? {
        Format::Text | Format::Short => emit(args, &text()),
        format => emit(args, &serialize(value, format)?),
    }
}

/// Colours are wanted: by flag, or since standard output is a terminal and `NO_COLOR` is unset.
#[must_use]
pub fn wants_color(color: bool, no_color: bool, output: &OutputArgs) -> bool {
    if color {
        return true;
    }
    let plain = std::env::var_os("NO_COLOR").is_some()
        || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    !no_color && !plain && output.output.is_none() && std::io::stdout().is_terminal()
}

/// A field of an object as text: strings bare, null and missing ones empty.
#[must_use]
pub fn text_of(value: &Value, key: &str) -> String {
    value.get(key).map(plain).unwrap_or_default()
}

/// A value as text: strings bare, null empty, the rest as JSON.
#[must_use]
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Members of an object, in order; nothing for what is none.
pub fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// Elements of an array; nothing for what is none.
pub fn elements(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_formats_are_a_usage_error() {
        let args = OutputArgs {
            format: Some("xml".into()),
            output: None,
        };
        assert_eq!(Format::of(&args, Format::Text).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn json_is_one_line() {
        let value = serde_json::json!({"a": ["b"]});
        assert_eq!(
            serialize(&value, Format::Json).unwrap(),
            "{\"a\":[\"b\"]}\n"
        );
        assert_eq!(serialize(&value, Format::Yaml).unwrap(), "a:\n- b\n");
    }
}
