//! The words of `run`: which units, which action, which parameters.

use serde_json::{Map, Value, json};

use crate::cli::args::RunArgs;
use crate::cli::error::CliError;
use crate::cli::pairs::yaml_file;

/// What `run` is to do.
#[derive(Debug, PartialEq)]
pub struct ActionCall {
    /// Units, `app/leader` among them.
    pub units: Vec<String>,
    /// Action name.
    pub action: String,
    /// An object.
    pub params: Value,
}

impl ActionCall {
    /// Reads the words.
    ///
    /// # Errors
    /// When they are incomplete, or the file of parameters is no mapping.
    pub fn parse(args: &RunArgs) -> Result<Self, CliError> {
        let mut words = args.words.iter().peekable();
        let mut units = Vec::new();
        while let Some(unit) = words.next_if(|word| is_unit(word)) {
            units.push(unit.clone());
        }
        let action = words.next().cloned();
        if units.is_empty() {
            let text = match action {
                Some(word) => format!("invalid unit or action name {word:?}"),
                None => "no unit specified".to_owned(),
            };
            return Err(CliError::usage(text));
        }
        let action = action.ok_or_else(|| CliError::usage("no action specified"))?;
        if action.contains('=') {
            return Err(CliError::usage(format!("invalid action name {action:?}")));
        }
        let mut params = match &args.params {
            Some(path) => match yaml_file(path)? {
                Value::Null => Map::new(),
                Value::Object(params) => params,
                _ => {
                    return Err(CliError::message(format!(
                        "params in {} must contain a YAML map with string keys",
                        path.display()
                    )));
                }
            },
            None => Map::new(),
        };
        for word in words {
            let (path, value) = word
                .split_once('=')
                .filter(|(path, _)| !path.is_empty())
                .ok_or_else(|| {
                    CliError::usage(format!(
                        "argument {word:?} must be of the form key.key.key...=value"
                    ))
                })?;
            let value = if args.string_args {
                json!(value)
            } else {
                serde_yaml::from_str(value).map_err(|error| {
                    CliError::usage(format!("cannot read the value of {path:?}: {error}"))
                })?
            };
            insert(&mut params, path, value);
        }
        Ok(Self {
            units,
            action,
            params: Value::Object(params),
        })
    }
}

/// Sets `a.b.c`; what is in the way and no object gives way.
fn insert(target: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            target.insert(path.to_owned(), value);
        }
        Some((head, rest)) => {
            let inner = target.entry(head).or_insert_with(|| json!({}));
            if !inner.is_object() {
                *inner = json!({});
            }
            if let Some(inner) = inner.as_object_mut() {
                insert(inner, rest, value);
            }
        }
    }
}

/// `app/0` or `app/leader`.
fn is_unit(word: &str) -> bool {
    word.split_once('/').is_some_and(|(app, number)| {
        !app.is_empty()
            && !app.contains('=')
            && (number == "leader" || number.parse::<u32>().is_ok())
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Cli, Command};

    fn parse(words: &[&str]) -> Result<ActionCall, CliError> {
        let words = ["juju-local", "run"].iter().chain(words);
        let Command::Run(args) = Cli::parse_from(words).command else {
            panic!("not run")
        };
        ActionCall::parse(&args)
    }

    #[test]
    fn units_action_and_parameters_are_told_apart() {
        let call = parse(&[
            "a/0",
            "b/leader",
            "do-it",
            "n=3",
            "deep.er=x",
            "list=[1, 2]",
        ])
        .unwrap();
        assert_eq!(call.units, ["a/0", "b/leader"]);
        assert_eq!(call.action, "do-it");
        assert_eq!(
            call.params,
            json!({"n": 3, "deep": {"er": "x"}, "list": [1, 2]})
        );
        assert_eq!(
            parse(&["a/0", "do", "--string-args", "n=3"])
                .unwrap()
                .params["n"],
            "3"
        );
    }

    #[test]
    fn parameters_on_the_command_line_win_over_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.yaml");
        std::fs::write(&path, "a: {b: 1, c: 2}\n").unwrap();
        let call = parse(&["a/0", "x", "--params", path.to_str().unwrap(), "a.b=9"]).unwrap();
        assert_eq!(call.params, json!({"a": {"b": 9, "c": 2}}));
        std::fs::write(&path, "[]").unwrap();
        assert!(parse(&["a/0", "x", "--params", path.to_str().unwrap()]).is_err());
    }

    #[test]
    fn incomplete_calls_are_usage_errors() {
        for words in [
            &["do-it"][..],
            &["a/0"],
            &["a/0", "x=1"],
            &["a/0", "do", "x"],
        ] {
            assert_eq!(parse(words).unwrap_err().exit_code(), 2, "{words:?}");
        }
    }
}
