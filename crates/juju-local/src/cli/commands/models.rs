//! Commands on models: add, destroy, list, choose, show, configure.

use std::collections::BTreeMap;
use std::time::Duration;

use juju_local_api::transport::Item;
use juju_local_api::user::{ModelRequest, UserRequest};
use serde_json::{Value, json};

use crate::cli::args::{
    AddModelArgs, DestroyModelArgs, ModelConfigArgs, ModelPlainArgs, OutputArgs,
    SetModelConstraintsArgs, ShowModelArgs, SwitchArgs,
};
use crate::cli::error::CliError;
use crate::cli::format::{Format, elements, emit, emit_value, members, plain, text_of};
use crate::cli::pairs::{Pairs, options, pairs, plain_pairs, yaml_file};
use crate::cli::session::{ModelRef, QUICK, Session, confirm_name};
use crate::cli::table::{Cell, Table};
use crate::cli::times::{ago, duration};

/// Longest wait for a model to be destroyed unless `--timeout` says otherwise.
const DESTROY: Duration = Duration::from_mins(10);

/// Runs `add-model`.
///
/// # Errors
/// When there is one of that name, or the name is none.
pub async fn add(session: &Session, args: &AddModelArgs) -> Result<(), CliError> {
    session.check_controller(args.controller.as_deref()).await?;
    let name = args.name.clone();
    if !is_model_name(&name) {
        return Err(CliError::message(format!(
            "{name:?} is not a valid name: model names may only contain lowercase letters, digits \
             and hyphens"
        )));
    }
    let config = options(&args.config, None)?;
    let request = UserRequest::AddModel {
        name: name.clone(),
        config,
    };
    session.ask::<Value>(request, QUICK).await?;
    session.remember(|state| {
        state.model_constraints.remove(&name);
        if !args.no_switch {
            state.current_model = Some(name.clone());
        }
    })?;
    session.info(format_args!(
        "Added '{name}' model on local/localhost for user 'admin'"
    ));
    Ok(())
}

fn is_model_name(name: &str) -> bool {
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty() && name.len() <= 63 && name.chars().all(inside) && !name.starts_with('-')
}

/// Runs `destroy-model`.
///
/// # Errors
/// When it is not confirmed, or not destroyed in time.
pub async fn destroy(session: &Session, args: &DestroyModelArgs) -> Result<(), CliError> {
    if args.timeout.is_some() && !args.force {
        return Err(CliError::usage("--timeout can only be used with --force"));
    }
    let limit = match &args.timeout {
        Some(text) => duration(text)?.unwrap_or(DESTROY),
        None => DESTROY,
    };
    let model = session.model_named(Some(&args.name)).await?;
    let name = model.name.clone();
    if !args.no_prompt {
        let warning = format!(
            "WARNING! This command will destroy the \"{name}\" model and affect the following \
             resources. It cannot be stopped."
        );
        confirm_name(&warning, "model", &name)?;
    }
    session.info("Destroying model");
    let request = UserRequest::DestroyModel {
        name: name.clone(),
        release_storage: args.release_storage,
        force: args.force,
    };
    let work = async {
        let mut stream = session.open(request).await?;
        while let Item::Part(text) = session.next(&mut stream).await? {
            session.info(plain(&text));
        }
        Ok(())
    };
    tokio::time::timeout(limit, work).await.map_err(|_| {
        CliError::message(format!(
            "timeout after {limit:?} waiting for model to be destroyed"
        ))
    })??;
    session.remember(|state| {
        state.model_constraints.remove(&name);
        if state.current_model.as_deref() == Some(&name) {
            state.current_model = None;
        }
    })?;
    session.info("Model destroyed.");
    Ok(())
}

/// Runs `models`.
///
/// # Errors
/// When the controller cannot be asked or the output not be written.
pub async fn list(session: &Session, output: &OutputArgs) -> Result<(), CliError> {
    let mut value: Value = session.ask(UserRequest::Models, QUICK).await?;
    let current = session.state()?.current_model;
    if let Some(object) = value.as_object_mut() {
        match &current {
            Some(name) => object.insert("current-model".into(), json!(name)),
            None => object.remove("current-model"),
        };
    }
    let controller = session.controller().await?.name;
    emit_value(output, Format::Text, &value, || {
        let mut table = Table::new([
            "Model",
            "Cloud/Region",
            "Type",
            "Status",
            "Access",
            "Last connection",
        ]);
        for model in value.get("models").into_iter().flat_map(elements) {
            let name = text_of(model, "short-name");
            let star = if current.as_deref() == Some(&name) {
                "*"
            } else {
                ""
            };
            let status = model
                .pointer("/status/current")
                .map(plain)
                .unwrap_or_default();
            let seen = model.pointer("/users/admin/last-connection").map(plain);
            table.row([
                format!("{name}{star}").into(),
                format!("{}/{}", text_of(model, "cloud"), text_of(model, "region")).into(),
                "kubernetes".into(),
                Cell::status(status),
                "admin".into(),
                seen.map_or_else(|| "never connected".into(), |time| ago(&time))
                    .into(),
            ]);
        }
        format!("Controller: {controller}\n\n{}", table.render(false))
    })
}

/// Runs `switch`.
///
/// # Errors
/// When there is no such model.
pub async fn switch(session: &Session, args: &SwitchArgs) -> Result<(), CliError> {
    let info = session.controller().await?;
    let before = session.state()?.current_model;
    let full = |model: Option<&str>| match model {
        Some(model) => format!("{}:admin/{model}", info.name),
        None => info.name.clone(),
    };
    let Some(target) = &args.target else {
        return crate::cli::format::print_out(&format!("{}\n", full(before.as_deref())));
    };
    if *target == info.name || *target == format!("{}:", info.name) {
        session.info(format_args!("{} (no change)", full(before.as_deref())));
        return Ok(());
    }
    let reference = ModelRef::parse(target)?;
    session
        .check_controller(reference.controller.as_deref())
        .await?;
    let models: Value = session.ask(UserRequest::Models, QUICK).await?;
    let known = models
        .get("models")
        .into_iter()
        .flat_map(elements)
        .any(|model| text_of(model, "short-name") == reference.model);
    if !known {
        return Err(CliError::message(format!(
            "cannot determine if \"{target}\" is a valid model: model {}:admin/{} not found",
            info.name, reference.model
        )));
    }
    let after = full(Some(&reference.model));
    session.remember(|state| state.current_model = Some(reference.model))?;
    session.info(format_args!("{} -> {after}", full(before.as_deref())));
    Ok(())
}

/// Runs `show-model`.
///
/// # Errors
/// When there is no such model or the output cannot be written.
pub async fn show(session: &Session, args: &ShowModelArgs) -> Result<(), CliError> {
    let name = args.name.as_deref().or(args.model.model.as_deref());
    let model = session.model_named(name).await?;
    let value: Value = model.ask(ModelRequest::Show).await?;
    emit_value(&args.output, Format::Yaml, &value, String::new)
}

/// Runs `model-config`.
///
/// # Errors
/// When a key is unknown or a value not allowed.
pub async fn config(session: &Session, args: &ModelConfigArgs) -> Result<(), CliError> {
    let model = session.model(&args.model).await?;
    let (set, keys): (Vec<String>, Vec<String>) = args
        .items
        .iter()
        .cloned()
        .partition(|item| item.contains('='));
    let mut set = pairs(&set)?;
    if let Some(path) = &args.file {
        let file = yaml_file(path)?;
        let values = members(&file).map(|(key, value)| (key.clone(), plain(value)));
        set = values.chain(set).collect();
    }
    if !set.is_empty() || !args.reset.is_empty() {
        if let Some(key) = keys.first() {
            return Err(CliError::usage(format!(
                "cannot set and retrieve {key:?} at once"
            )));
        }
        return model
            .tell(ModelRequest::ConfigSet {
                set,
                reset: args.reset.clone(),
            })
            .await;
    }
    let value: Value = model.ask(ModelRequest::ConfigGet).await?;
    match keys.as_slice() {
        [] => emit_value(&args.output, Format::Text, &value, || config_table(&value)),
        [key] => {
            let found = value
                .get(key)
                .and_then(|entry| entry.get("Value"))
                .ok_or_else(|| {
                    CliError::message(format!("key {key:?} not found in \"{}\" model", model.name))
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

fn config_table(value: &Value) -> String {
    let mut table = Table::new(["Attribute", "From", "Value"]);
    for (key, entry) in members(value) {
        let from = text_of(entry, "Source");
        table.row([
            key.as_str().into(),
            from.into(),
            text_of(entry, "Value").into(),
        ]);
    }
    table.render(false)
}

/// Runs `model-constraints`.
///
/// # Errors
/// When no model is meant or the output cannot be written.
pub async fn constraints(session: &Session, args: &ModelPlainArgs) -> Result<(), CliError> {
    let model = session.model(&args.model).await?;
    let set = session
        .state()?
        .model_constraints
        .remove(&model.name)
        .unwrap_or_default();
    emit_value(&args.output, Format::Text, &set, || constraints_text(&set))
}

/// Runs `set-model-constraints`. They are the CLI's own: `deploy` sends them along.
///
/// # Errors
/// When no model is meant or a word is no `key=value`.
pub async fn set_constraints(
    session: &Session,
    args: &SetModelConstraintsArgs,
) -> Result<(), CliError> {
    let model = session.model(&args.model).await?;
    let set = plain_pairs(&args.constraints)?;
    session.remember(|state| {
        state.model_constraints.insert(model.name, set);
    })
}

/// Constraints in one line, `cpu-power=100 mem=2G`; nothing for none.
#[must_use]
pub fn constraints_text(set: &Pairs) -> String {
    let words: BTreeMap<&String, String> = set
        .iter()
        .map(|(key, value)| (key, format!("{key}={value}")))
        .collect();
    if words.is_empty() {
        return String::new();
    }
    words.into_values().collect::<Vec<_>>().join(" ") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_names_are_checked() {
        assert!(is_model_name("jubilant-0a1b2c3d"));
        for wrong in ["", "-x", "a_b", "Upper", "a/b"] {
            assert!(!is_model_name(wrong), "{wrong}");
        }
    }

    #[test]
    fn constraints_are_one_line() {
        let set = plain_pairs(&["mem=2G cpu-power=100".into()]).unwrap();
        assert_eq!(constraints_text(&set), "cpu-power=100 mem=2G\n");
        assert_eq!(constraints_text(&Pairs::new()), "");
    }
}
