//! `status`: what to show of a model, in which format, once or as it changes.

pub mod filter;
pub mod ports;
pub mod tabular;
pub mod watch;

use juju_local_api::status::{ModelStatus, StatusInfo};
use juju_local_api::user::ModelRequest;

use super::args::StatusArgs;
use super::error::CliError;
use super::format::{Format, emit, serialize, wants_color};
use super::session::{Model, Session};
use super::times::{Wording, word};

/// Runs the command.
///
/// # Errors
/// When the controller cannot be asked or the output not be written.
pub async fn run(session: &Session, args: &StatusArgs) -> Result<(), CliError> {
    Format::of(&args.output, Format::Text)?;
    let model = session.model(&args.model).await?;
    if args.watch.is_some() {
        return watch::run(&model, args).await;
    }
    let status = fetch(&model).await?;
    emit(&args.output, &render(status, args, session)?)
}

/// The model's status as it is now.
///
/// # Errors
/// When the controller cannot be asked.
pub async fn fetch(model: &Model) -> Result<ModelStatus, CliError> {
    model.ask(ModelRequest::Status).await
}

/// The text to print; remarks that do not belong into it go to standard error.
///
/// # Errors
/// When the format is unknown.
pub fn render(
    mut status: ModelStatus,
    args: &StatusArgs,
    session: &Session,
) -> Result<String, CliError> {
    let format = Format::of(&args.output, Format::Text)?;
    let empty = status.applications.is_empty() && status.application_endpoints.is_empty();
    if !args.selectors.is_empty() {
        filter::keep_matching(&mut status, &args.selectors);
        if status.applications.is_empty() && !empty {
            session.info("Nothing matched specified filter.");
        }
    }
    word_times(&mut status, args.utc);
    match format {
        Format::Text => {
            let sections = tabular::Sections {
                relations: args.relations,
                storage: args.storage,
            };
            let color = wants_color(args.color, args.no_color, &args.output);
            if empty && args.watch.is_none() {
                session.info(format_args!("Model \"{}\" is empty.", status.model.name));
            }
            Ok(tabular::render(&status, sections, color))
        }
        Format::Short => Ok(tabular::short(&status)),
        format => {
            status.relations.clear();
            serialize(&status, format)
        }
    }
}

/// Puts every time into the words and the zone in which it is shown.
pub fn word_times(status: &mut ModelStatus, utc: bool) {
    let since = |info: &mut StatusInfo| info.since = word(&info.since, Wording::Since, utc);
    since(&mut status.model.model_status);
    for app in status.applications.values_mut() {
        since(&mut app.application_status);
        for unit in app.units.values_mut() {
            since(&mut unit.workload_status);
            since(&mut unit.juju_status);
        }
    }
    for remote in status.application_endpoints.values_mut() {
        since(&mut remote.application_status);
    }
    for storage in status.storage.storage.values_mut() {
        since(&mut storage.status);
    }
    for filesystem in status.storage.filesystems.values_mut() {
        since(&mut filesystem.status);
    }
    let clock = &mut status.controller.timestamp;
    *clock = word(clock, Wording::Clock, utc);
}
