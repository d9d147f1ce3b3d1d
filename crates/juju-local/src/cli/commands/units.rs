//! Commands on the number and the state of units, and on their storage.

use juju_local_api::status::{ModelStatus, StorageStatus};
use juju_local_api::user::ModelRequest;
use serde_json::Value;

use crate::cli::args::{
    AddUnitArgs, ModelPlainArgs, RemoveStorageArgs, RemoveUnitArgs, ResolvedArgs, ScaleArgs,
};
use crate::cli::commands::apps::check_no_wait;
use crate::cli::error::CliError;
use crate::cli::format::{Format, emit_value};
use crate::cli::session::{Session, confirm};
use crate::cli::status::{tabular, word_times};
use crate::juju::Juju;

/// Runs `add-unit`.
///
/// # Errors
/// When the controller refuses.
pub async fn add(session: &Session, args: &AddUnitArgs) -> Result<(), CliError> {
    let model = session.model(&args.model).await?;
    model
        .tell(ModelRequest::AddUnit {
            app: args.app.clone(),
            count: args.num_units,
            attach_storage: args.attach_storage.clone(),
        })
        .await
}

/// Runs `remove-unit`. As in a Kubernetes model of Juju, units are not chosen by name.
///
/// # Errors
/// When a unit is named, it is not confirmed, or the controller refuses.
pub async fn remove(session: &Session, args: &RemoveUnitArgs) -> Result<(), CliError> {
    check_no_wait(args.force, args.no_wait)?;
    let [app] = args.apps.as_slice() else {
        return Err(CliError::usage("only single application supported"));
    };
    if app.contains('/') && Juju::of(&session.controller().await?.version).is_4() {
        return Err(CliError::usage(
            "k8s models do not support removing named units. Instead specify an application \
             with --num-units.",
        ));
    }
    if let Some((app, _)) = app.split_once('/') {
        return Err(CliError::message(format!(
            "application name \"{}\" not valid\nin a Kubernetes model the units with the highest \
             numbers go first: remove-unit {app} --num-units <n>",
            args.apps.join(" ")
        )));
    }
    let count = args.num_units.ok_or_else(|| {
        CliError::message("specify the number of units to remove using --num-units")
    })?;
    let model = session.model(&args.model).await?;
    let plural = if count == 1 { "" } else { "s" };
    session.info(format_args!(
        "will remove {count} unit{plural} of application {app}"
    ));
    if args.dry_run {
        return Ok(());
    }
    if !args.no_prompt {
        confirm("\nContinue")?;
    }
    model
        .tell(ModelRequest::RemoveUnit {
            app: app.clone(),
            count,
            destroy_storage: args.destroy_storage,
            force: args.force,
            no_wait: args.no_wait,
        })
        .await
}

/// Runs `scale-application`.
///
/// # Errors
/// When the controller refuses.
pub async fn scale(session: &Session, args: &ScaleArgs) -> Result<(), CliError> {
    let model = session.model(&args.model).await?;
    model
        .tell(ModelRequest::Scale {
            app: args.app.clone(),
            scale: args.scale,
        })
        .await?;
    session.info(format_args!("{} scaled to {} units", args.app, args.scale));
    Ok(())
}

/// Runs `resolved`.
///
/// # Errors
/// When no unit is named, or the controller refuses.
pub async fn resolved(session: &Session, args: &ResolvedArgs) -> Result<(), CliError> {
    if args.units.is_empty() != args.all {
        return Err(CliError::usage(if args.all {
            "specifying unit names(s) with --all is not allowed"
        } else {
            "no unit specified"
        }));
    }
    let model = session.model(&args.model).await?;
    let (units, all, no_retry) = (args.units.clone(), args.all, args.no_retry);
    model
        .tell(ModelRequest::Resolved {
            units,
            all,
            no_retry,
        })
        .await
}

/// Runs `storage`.
///
/// # Errors
/// When no model is meant or the output cannot be written.
pub async fn storage(session: &Session, args: &ModelPlainArgs) -> Result<(), CliError> {
    let model = session.model(&args.model).await?;
    let storage: StorageStatus = model.ask(ModelRequest::Storage).await?;
    let mut status = ModelStatus {
        storage,
        ..ModelStatus::default()
    };
    word_times(&mut status, false);
    if status.storage.storage.is_empty() && args.output.format.is_none() {
        session.info("No storage to display.");
        return Ok(());
    }
    emit_value(&args.output, Format::Text, &status.storage, || {
        tabular::storage(&status, false).render(false)
    })
}

/// Runs `remove-storage`.
///
/// # Errors
/// When it is attached, unknown, or the controller fails.
pub async fn remove_storage(session: &Session, args: &RemoveStorageArgs) -> Result<(), CliError> {
    let model = session.model(&args.model).await?;
    let _: Value = model
        .ask(ModelRequest::RemoveStorage(args.storage.clone()))
        .await?;
    for id in &args.storage {
        session.info(format_args!("removing {id}"));
    }
    Ok(())
}
