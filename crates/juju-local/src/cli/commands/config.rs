//! `config`: an application's options, shown or set.

use juju_local_api::user::ModelRequest;
use serde_json::Value;

use crate::cli::args::ConfigArgs;
use crate::cli::error::CliError;
use crate::cli::format::{Format, emit, emit_value, plain};
use crate::cli::pairs::{options_file, pairs};
use crate::cli::session::Session;

/// Runs the command.
///
/// # Errors
/// When an option is unknown, a value not allowed, or the output cannot be written.
pub async fn run(session: &Session, args: &ConfigArgs) -> Result<(), CliError> {
    let model = session.model(&args.model).await?;
    let (set, keys): (Vec<String>, Vec<String>) = args
        .items
        .iter()
        .cloned()
        .partition(|item| item.contains('='));
    let mut set = pairs(&set)?;
    if let Some(path) = &args.file {
        set = options_file(path, Some(&args.app))?
            .into_iter()
            .chain(set)
            .collect();
    }
    let app = args.app.clone();
    if !set.is_empty() || !args.reset.is_empty() {
        if let Some(key) = keys.first() {
            return Err(CliError::usage(format!(
                "cannot set and retrieve {key:?} at once"
            )));
        }
        if let Some(both) = args.reset.iter().find(|key| set.contains_key(*key)) {
            return Err(CliError::usage(format!(
                "cannot set and reset {both:?} at once"
            )));
        }
        return model
            .tell(ModelRequest::AppConfigSet {
                app,
                set,
                reset: args.reset.clone(),
            })
            .await;
    }
    let value: Value = model.ask(ModelRequest::AppConfigGet { app }).await?;
    match keys.as_slice() {
        [] => emit_value(&args.output, Format::Yaml, &value, || {
            serde_yaml::to_string(&value).unwrap_or_default()
        }),
        [key] => {
            let found = option_value(&value, key).ok_or_else(|| {
                CliError::message(format!(
                    "key {key:?} not found in \"{}\" application config or charm settings",
                    args.app
                ))
            })?;
            match Format::of(&args.output, Format::Text)? {
                Format::Json => emit(&args.output, &format!("{found}\n")),
                _ => emit(&args.output, &format!("{}\n", plain(found))),
            }
        }
        _ => Err(CliError::usage(
            "can only retrieve a single value, or all values",
        )),
    }
}

/// An option's value; null for one that is unset and has no default.
fn option_value<'a>(config: &'a Value, key: &str) -> Option<&'a Value> {
    ["settings", "application-config"]
        .iter()
        .find_map(|section| {
            let entry = config.get(*section)?.get(key)?;
            Some(entry.get("value").unwrap_or(&Value::Null))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_found_in_either_section() {
        let config = serde_json::json!({
            "settings": {"a": {"value": 1}, "b": {}},
            "application-config": {"trust": {"value": false}},
        });
        assert_eq!(option_value(&config, "a"), Some(&Value::from(1)));
        assert_eq!(option_value(&config, "b"), Some(&Value::Null));
        assert_eq!(option_value(&config, "trust"), Some(&Value::from(false)));
        assert_eq!(option_value(&config, "c"), None);
    }
}
