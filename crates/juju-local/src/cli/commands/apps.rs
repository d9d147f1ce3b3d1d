//! Commands that put applications into a model, refresh them and take them out.

use std::path::Path;
use std::time::Duration;

use juju_local_api::user::{Deploy, ModelRequest};
use serde_json::Value;

use crate::cli::args::{
    AppArgs, AttachResourceArgs, ConstraintsArgs, DeployArgs, RefreshArgs, RemoveApplicationArgs,
    SetConstraintsArgs, TrustArgs,
};
use crate::cli::error::CliError;
use crate::cli::format::{Format, elements, emit_value, members, plain, text_of};
use crate::cli::pairs::{Pairs, options, plain_pairs};
use crate::cli::session::{Session, confirm};
use crate::cli::table::Table;

use super::models::constraints_text;

/// Longest wait for a charm to be taken over by the controller.
const UPLOAD: Duration = Duration::from_mins(5);

/// Runs `deploy`.
///
/// # Errors
/// When the charm is none, or the controller refuses.
pub async fn deploy(session: &Session, args: &DeployArgs) -> Result<(), CliError> {
    let path = charm_path(&args.charm)?;
    let model = session.model(&args.model).await?;
    let mut constraints = session
        .state()?
        .model_constraints
        .remove(&model.name)
        .unwrap_or_default();
    constraints.extend(plain_pairs(&args.constraints)?);
    let request = Deploy {
        path,
        app: args.app.clone(),
        units: args.num_units,
        config: options(&args.config, args.app.as_deref())?,
        resources: resources(&args.resource)?,
        trust: args.trust,
        channel: args.channel.clone(),
        base: args.base.clone(),
        storage: plain_pairs(&args.storage)?,
        attach_storage: args.attach_storage.clone(),
        constraints,
    };
    let request = model.request(ModelRequest::Deploy(Box::new(request)));
    let app: String = session.ask(request, UPLOAD).await?;
    session.info(format_args!("Located local charm \"{}\"", args.charm));
    session.info(format_args!(
        "Deploying \"{app}\" from local charm \"{}\"",
        args.charm
    ));
    Ok(())
}

/// A local charm's absolute path. As in `juju`, a name without a leading `/` or `.` is one of
/// Charmhub, which cannot be reached from here.
fn charm_path(charm: &str) -> Result<String, CliError> {
    if !charm.starts_with(['/', '.']) {
        let text = if Path::new(charm).exists() {
            format!(
                "The charm or bundle \"{charm}\" is ambiguous.\nTo deploy a local charm or \
                 bundle, run `juju-local deploy ./{charm}`."
            )
        } else {
            format!(
                "juju-local deploys local charms only: give the path of a charm directory or a \
                 .charm file, starting with \"/\" or \".\", not {charm:?}"
            )
        };
        return Err(CliError::message(text));
    }
    let path = std::fs::canonicalize(charm).map_err(|source| CliError::File {
        action: "read",
        path: charm.into(),
        source,
    })?;
    let is_bundle = path.extension().is_some_and(|end| end == "yaml")
        || (path.join("bundle.yaml").exists() && !path.join("metadata.yaml").exists());
    if is_bundle {
        return Err(CliError::message("juju-local does not deploy bundles"));
    }
    path.into_os_string().into_string().map_err(|_| {
        CliError::message(format!(
            "the path {charm:?} has characters that are not UTF-8"
        ))
    })
}

/// Resources `name=value`; values that are paths become absolute, since the daemon reads them.
fn resources(words: &[String]) -> Result<Pairs, CliError> {
    words
        .iter()
        .map(|word| {
            let (name, value) = word.split_once('=').ok_or_else(|| {
                CliError::usage(format!(
                    "expected \"name=value\" for a resource, got {word:?}"
                ))
            })?;
            Ok((name.to_owned(), resource_value(value)))
        })
        .collect()
}

fn resource_value(value: &str) -> String {
    if value.starts_with(['/', '.'])
        && let Ok(path) = std::fs::canonicalize(value)
    {
        return path.display().to_string();
    }
    value.to_owned()
}

/// Runs `refresh`.
///
/// # Errors
/// When the charm is none, or the controller refuses.
pub async fn refresh(session: &Session, args: &RefreshArgs) -> Result<(), CliError> {
    let path = args.path.as_deref().map(charm_path).transpose()?;
    let model = session.model(&args.model).await?;
    let request = model.request(ModelRequest::Refresh {
        app: args.app.clone(),
        path,
        resources: resources(&args.resource)?,
        force_units: args.force_units,
        config: options(&args.config, Some(&args.app))?,
        trust: args.trust.then_some(true),
    });
    let text: Value = session.ask(request, UPLOAD).await?;
    session.info(plain(&text));
    Ok(())
}

/// Refuses `--no-wait` where nothing is forced.
///
/// # Errors
/// Then.
pub fn check_no_wait(force: bool, no_wait: bool) -> Result<(), CliError> {
    if no_wait && !force {
        return Err(CliError::usage("--no-wait without --force not valid"));
    }
    Ok(())
}

/// Runs `remove-application`.
///
/// # Errors
/// When it is not confirmed, or the controller refuses.
pub async fn remove(session: &Session, args: &RemoveApplicationArgs) -> Result<(), CliError> {
    check_no_wait(args.force, args.no_wait)?;
    let model = session.model(&args.model).await?;
    if !args.no_prompt || args.dry_run {
        session.info("This command will perform the following actions:");
    }
    for app in &args.apps {
        session.info(format_args!("will remove application {app}"));
    }
    if args.dry_run {
        return Ok(());
    }
    if !args.no_prompt {
        confirm("\nContinue")?;
    }
    for app in &args.apps {
        model
            .tell(ModelRequest::RemoveApplication {
                app: app.clone(),
                destroy_storage: args.destroy_storage,
                force: args.force,
                no_wait: args.no_wait,
            })
            .await?;
    }
    Ok(())
}

/// Runs `trust`.
///
/// # Errors
/// When the scope is not the cluster's, or the controller refuses.
pub async fn trust(session: &Session, args: &TrustArgs) -> Result<(), CliError> {
    if !args.remove && args.scope.as_deref() != Some("cluster") {
        return Err(CliError::message(
            "'juju trust' currently grants full access to the cluster itself. \
             Set the scope to 'cluster' using '--scope=cluster' to confirm this.",
        ));
    }
    let model = session.model(&args.model).await?;
    model
        .tell(ModelRequest::Trust {
            app: args.app.clone(),
            trust: !args.remove,
        })
        .await
}

/// Runs `constraints`.
///
/// # Errors
/// When there is no such application or the output cannot be written.
pub async fn constraints(session: &Session, args: &ConstraintsArgs) -> Result<(), CliError> {
    let model = session.model(&args.model).await?;
    let request = ModelRequest::Constraints {
        app: args.app.clone(),
        set: None,
    };
    let value: Value = model.ask(request).await?;
    let set: Pairs = members(&value)
        .map(|(key, one)| (key.clone(), plain(one)))
        .collect();
    emit_value(&args.output, Format::Text, &set, || constraints_text(&set))
}

/// Runs `set-constraints`.
///
/// # Errors
/// When a word is no `key=value`, or the controller refuses.
pub async fn set_constraints(session: &Session, args: &SetConstraintsArgs) -> Result<(), CliError> {
    let model = session.model(&args.model).await?;
    let set = Some(plain_pairs(&args.constraints)?);
    model
        .tell(ModelRequest::Constraints {
            app: args.app.clone(),
            set,
        })
        .await
}

/// Runs `attach-resource`.
///
/// # Errors
/// When the word is no `name=value`, or the controller refuses.
pub async fn attach_resource(session: &Session, args: &AttachResourceArgs) -> Result<(), CliError> {
    let (name, value) = args.resource.split_once('=').ok_or_else(|| {
        CliError::usage(format!("expected \"name=value\", got {:?}", args.resource))
    })?;
    let model = session.model(&args.model).await?;
    let request = ModelRequest::AttachResource {
        app: args.app.clone(),
        name: name.to_owned(),
        value: resource_value(value),
    };
    session
        .ask::<Value>(model.request(request), UPLOAD)
        .await
        .map(drop)
}

/// Runs `resources`.
///
/// # Errors
/// When there is no such application or the output cannot be written.
pub async fn list_resources(session: &Session, args: &AppArgs) -> Result<(), CliError> {
    let model = session.model(&args.model).await?;
    let value: Value = model
        .ask(ModelRequest::Resources {
            app: args.app.clone(),
        })
        .await?;
    emit_value(&args.output, Format::Text, &value, || {
        let list = value.get("resources").unwrap_or(&value);
        let mut table = Table::new(["Resource", "Type", "Value"]);
        for one in elements(list) {
            let (name, kind) = (text_of(one, "name"), text_of(one, "type"));
            table.row([name.into(), kind.into(), text_of(one, "value").into()]);
        }
        table.render(false)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_are_charms() {
        assert!(charm_path("postgresql-k8s").is_err());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        assert_eq!(charm_path(&path).unwrap(), path);
        std::fs::write(folder.path().join("bundle.yaml"), "").unwrap();
        assert!(
            charm_path(&path)
                .unwrap_err()
                .to_string()
                .contains("bundles")
        );
    }

    #[test]
    fn images_stay_as_they_are() {
        let read = resources(&["image=ghcr.io/a/b@sha256:0=".into()]).unwrap();
        assert_eq!(read["image"], "ghcr.io/a/b@sha256:0=");
        assert!(resources(&["image".into()]).is_err());
    }
}
