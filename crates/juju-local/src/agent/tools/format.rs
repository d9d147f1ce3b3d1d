//! The words of a tool's call, as Juju's flag parser reads them.

use std::collections::BTreeMap;

use juju_local_api::agent::Bag;
use serde_json::Value;

use super::output::Refusal;

/// Flags and the rest.
#[derive(Debug, Default)]
pub(super) struct Args {
    flags: BTreeMap<String, String>,
    rest: Vec<String>,
}

impl Args {
    pub(super) fn parse(
        words: &[String],
        valued: &[&str],
        plain: &[&str],
    ) -> Result<Self, Refusal> {
        let mut args = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "--" {
                args.rest.extend(words.cloned());
                break;
            }
            let Some(name) = word.strip_prefix('-').filter(|name| !name.is_empty()) else {
                args.rest.push(word.clone());
                continue;
            };
            let name = name.strip_prefix('-').unwrap_or(name);
            let (name, given) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (name, None),
            };
            if plain.contains(&name) {
                let on = given
                    .is_none_or(|value| ["true", "True", "1", "t", "T"].contains(&value.as_str()));
                if on {
                    args.flags.insert(name.to_owned(), String::new());
                }
            } else if valued.contains(&name) || ["format", "o", "output"].contains(&name) {
                let value = match given {
                    Some(value) => value,
                    None => words.next().cloned().ok_or_else(|| {
                        Refusal::usage(format!("option needs an argument: --{name}"))
                    })?,
                };
                args.flags.insert(name.to_owned(), value);
            } else {
                return Err(Refusal::usage(format!(
                    "option provided but not defined: {word}"
                )));
            }
        }
        Ok(args)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.flags.contains_key(name)
    }

    pub(super) fn flag(&self, name: &str) -> Option<&str> {
        self.flags.get(name).map(String::as_str)
    }

    pub(super) fn one(&self, at: usize) -> Option<&str> {
        self.rest.get(at).map(String::as_str)
    }

    pub(super) fn rest(&self, from: usize) -> &[String] {
        self.rest.get(from..).unwrap_or_default()
    }
}

/// `key=value` words over what a file or the standard input holds.
pub(super) fn pairs(args: &Args, from: usize, stdin: &[u8]) -> Result<Bag, Refusal> {
    let mut values = Bag::new();
    if let Some(file) = args.flag("file") {
        let bytes = if file == "-" {
            stdin.to_vec()
        } else {
            std::fs::read(file).map_err(|error| Refusal::run(error.to_string()))?
        };
        let map: BTreeMap<String, Value> = serde_yaml::from_slice(&bytes)
            .map_err(|error| Refusal::run(format!("cannot parse the file: {error}")))?;
        for (key, value) in map {
            let text = match value {
                Value::String(text) => text,
                Value::Null => String::new(),
                other => other.to_string(),
            };
            values.insert(key, text);
        }
    }
    for pair in args.rest(from) {
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| Refusal::usage(format!("expected \"key=value\", got \"{pair}\"")))?;
        values.insert(key.to_owned(), value.to_owned());
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Args {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        Args::parse(&words, &["r", "file"], &["app"]).unwrap()
    }

    #[test]
    fn flags_and_words_may_be_mixed() {
        let args = parse(&[
            "-r",
            "db:1",
            "--format=json",
            "-",
            "--app",
            "x",
            "--",
            "--y",
        ]);
        assert_eq!(args.flag("r"), Some("db:1"));
        assert_eq!(args.flag("format"), Some("json"));
        assert!(args.has("app"));
        assert_eq!(args.rest(0), ["-", "x", "--y"]);
    }

    #[test]
    fn words_win_over_the_file() {
        let args = parse(&["--file", "-", "a=2"]);
        let values = pairs(&args, 0, b"{\"a\": \"1\", \"b\": 3, \"c\": null}").unwrap();
        assert_eq!(values["a"], "2");
        assert_eq!(values["b"], "3");
        assert_eq!(values["c"], "");
    }
}
