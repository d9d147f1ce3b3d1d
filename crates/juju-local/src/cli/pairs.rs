//! Reads `key=value` words and YAML files of keys and values.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::error::CliError;
use super::format::plain;

/// Key to value as text.
pub type Pairs = BTreeMap<String, String>;

/// Takes a `key=value` word apart; `@file` as value means the file's contents.
///
/// # Errors
/// When there is no `=`, no key, or the file cannot be read.
pub fn pair(word: &str) -> Result<(String, String), CliError> {
    let (key, value) = word
        .split_once('=')
        .filter(|(key, _)| !key.is_empty())
        .ok_or_else(|| CliError::usage(format!("expected \"key=value\", got {word:?}")))?;
    let value = match value.strip_prefix('@') {
        Some(path) => read(Path::new(path))?,
        None => value.to_owned(),
    };
    Ok((key.to_owned(), value))
}

/// Takes `key=value` words apart; later ones win.
///
/// # Errors
/// As [`pair`].
pub fn pairs(words: &[String]) -> Result<Pairs, CliError> {
    words.iter().map(|word| pair(word)).collect()
}

/// Takes `name=value` words apart, `@` left as it is.
///
/// # Errors
/// When there is no `=`.
pub fn plain_pairs(words: &[String]) -> Result<Pairs, CliError> {
    words
        .iter()
        .flat_map(|word| word.split_whitespace())
        .map(|word| match word.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
            _ => Err(CliError::usage(format!(
                "expected \"key=value\", got {word:?}"
            ))),
        })
        .collect()
}

/// Options from `--config` words: `key=value` pairs and YAML files, later ones win.
///
/// # Errors
/// When a word is neither, or a file holds nothing for the application.
pub fn options(words: &[String], app: Option<&str>) -> Result<Pairs, CliError> {
    let mut all = Pairs::new();
    for word in words {
        if word.contains('=') {
            let (key, value) = pair(word)?;
            all.insert(key, value);
        } else {
            all.extend(options_file(Path::new(word), app)?);
        }
    }
    Ok(all)
}

/// Options from a YAML file: the application's entry, or the only entry when the name of the
/// application is not known yet, or the file as a whole when it holds plain values.
///
/// # Errors
/// When the file cannot be read or holds nothing for the application.
pub fn options_file(path: &Path, app: Option<&str>) -> Result<Pairs, CliError> {
    let whole = yaml_file(path)?;
    let entries = whole.as_object().ok_or_else(|| {
        CliError::message(format!(
            "{} does not hold a mapping of options",
            path.display()
        ))
    })?;
    let named = app
        .and_then(|app| entries.get(app))
        .filter(|value| value.is_object());
    let only = match entries.values().next() {
        Some(value) if entries.len() == 1 && value.is_object() && app.is_none() => Some(value),
        _ => None,
    };
    let chosen = match named.or(only) {
        Some(value) => value.as_object(),
        None if entries.values().any(Value::is_object) => None,
        None => Some(entries),
    };
    let chosen = chosen.ok_or_else(|| {
        CliError::message(format!(
            "no settings found for {:?} in {}",
            app.unwrap_or_default(),
            path.display()
        ))
    })?;
    Ok(chosen
        .iter()
        .map(|(key, value)| (key.clone(), plain(value)))
        .collect())
}

/// A YAML file's contents.
///
/// # Errors
/// When it cannot be read or is no YAML.
pub fn yaml_file(path: &Path) -> Result<Value, CliError> {
    serde_yaml::from_str(&read(path)?).map_err(|source| CliError::Yaml {
        path: path.to_path_buf(),
        source,
    })
}

/// A text file's contents.
///
/// # Errors
/// When it cannot be read.
pub fn read(path: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(path).map_err(|source| CliError::File {
        action: "read",
        path: path.to_path_buf(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_split_at_the_first_equals_sign() {
        let words = ["a=b=c".to_owned(), "e=".to_owned()];
        let read = pairs(&words).unwrap();
        assert_eq!(read["a"], "b=c");
        assert_eq!(read["e"], "");
        assert!(pair("novalue").is_err());
        assert!(pair("=x").is_err());
    }

    #[test]
    fn option_files_are_read_by_application_and_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.yaml");
        std::fs::write(&path, "pg:\n  a: 1\n  b: true\n").unwrap();
        assert_eq!(options_file(&path, Some("pg")).unwrap()["b"], "true");
        assert_eq!(options_file(&path, None).unwrap()["a"], "1");
        assert!(options_file(&path, Some("other")).is_err());
        std::fs::write(&path, "a: x\n").unwrap();
        assert_eq!(options_file(&path, Some("pg")).unwrap()["a"], "x");
    }

    #[test]
    fn a_value_can_come_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v");
        std::fs::write(&path, "text\n").unwrap();
        let (key, value) = pair(&format!("k=@{}", path.display())).unwrap();
        assert_eq!((key.as_str(), value.as_str()), ("k", "text\n"));
    }
}
