//! `status --watch`: the tables again at each change of the model, until interrupted.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use jiff::Timestamp;
use juju_local_api::status::ModelStatus;
use juju_local_api::transport::Item;
use juju_local_api::user::ModelRequest;

use super::render;
use crate::cli::args::StatusArgs;
use crate::cli::error::CliError;
use crate::cli::format::print_out;
use crate::cli::session::Model;
use crate::cli::times::duration;

/// Other screen, cursor hidden, long lines cut instead of wrapped.
const ENTER: &str = "\u{1b}[?1049h\u{1b}[?25l\u{1b}[?7l";
/// All of it back.
const LEAVE: &str = "\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l";

/// Puts the terminal back in whatever way the watching ends.
struct Screen;

impl Screen {
    fn enter() -> Result<Self, CliError> {
        print_out(ENTER)?;
        Ok(Self)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let mut out = std::io::stdout().lock();
        // Nothing can be done for a terminal that is gone.
        let _ = out.write_all(LEAVE.as_bytes()).and_then(|()| out.flush());
    }
}

/// Shows the status until interrupted, or until the model is gone.
///
/// # Errors
/// When the controller cannot be asked or goes away.
pub async fn run(model: &Model, args: &StatusArgs) -> Result<(), CliError> {
    let text = args.watch.as_deref().unwrap_or("2s");
    let interval = duration(text)?.unwrap_or(Duration::from_secs(2));
    let mut stream = model.open(ModelRequest::WatchStatus).await?;
    let screen = if std::io::stdout().is_terminal() {
        Some(Screen::enter()?)
    } else {
        None
    };
    let mut ticks = tokio::time::interval(interval.max(Duration::from_millis(100)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut latest: Option<ModelStatus> = None;
    let mut before = String::new();
    let interrupted = crate::cli::interrupted();
    tokio::pin!(interrupted);
    loop {
        tokio::select! {
            () = &mut interrupted => return Ok(()),
            item = model.session.next(&mut stream) => match item? {
                Item::Part(value) => {
                    let status: ModelStatus = serde_json::from_value(value)
                        .map_err(|error| CliError::Format(Box::new(error)))?;
                    // Much of what changes in a model is not to be seen here.
                    let seen = timeless(model, args, &status)?;
                    if seen != before {
                        show(model, args, &status, screen.is_some())?;
                        before = seen;
                    }
                    latest = Some(status);
                }
                Item::Done(_) => return Ok(()),
            },
            _ = ticks.tick() => {
                // Between changes only the clock moves, which nobody needs twice in a pipe.
                if let (Some(status), true) = (&mut latest, screen.is_some()) {
                    status.controller.timestamp = Timestamp::now().to_string();
                    show(model, args, status, true)?;
                }
            }
        }
    }
}

/// The tables without the time that they are of.
fn timeless(model: &Model, args: &StatusArgs, status: &ModelStatus) -> Result<String, CliError> {
    let mut status = status.clone();
    status.controller.timestamp = String::new();
    render(status, args, &model.session)
}

fn show(
    model: &Model,
    args: &StatusArgs,
    status: &ModelStatus,
    on_screen: bool,
) -> Result<(), CliError> {
    let text = render(status.clone(), args, &model.session)?;
    if !on_screen {
        return print_out(&format!("{text}\n"));
    }
    let mut frame = String::from("\u{1b}[H");
    for line in text.lines() {
        frame.push_str(line);
        frame.push_str("\u{1b}[K\n");
    }
    frame.push_str("\u{1b}[J");
    print_out(&frame)
}
