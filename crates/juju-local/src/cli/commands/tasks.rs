//! Commands on actions and tasks: queue, wait, show, cancel.

use std::time::Duration;

use juju_local_api::ErrorKind;
use juju_local_api::transport::{CallError, Item};
use juju_local_api::user::ModelRequest;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::action_call::ActionCall;
use super::task_text::{is_over, plain_exec, plain_run, return_code, worded};
use crate::cli::args::actions::WaitArgs;
use crate::cli::args::{ActionsArgs, CancelTaskArgs, ExecArgs, OutputArgs, RunArgs, ShowTaskArgs};
use crate::cli::error::CliError;
use crate::cli::format::{Format, elements, emit, emit_value, members, plain, serialize, text_of};
use crate::cli::session::{Model, Session};
use crate::cli::status::{fetch, tabular::sorted};
use crate::cli::table::Table;
use crate::cli::times::{Wording, duration, word};

/// Longest wait for an action unless `--wait` says otherwise.
const RUN_WAIT: Duration = Duration::from_mins(1);
/// The same for a command.
const EXEC_WAIT: Duration = Duration::from_mins(5);
/// What stands for "no limit", long enough for any task.
pub const FOREVER: Duration = Duration::from_hours(365 * 24);
/// How much longer than the controller's own wait its answer may take.
const SLACK: Duration = Duration::from_secs(10);

/// How a command shows its tasks.
struct Style {
    /// Progress goes to standard error.
    progress: bool,
    wait: Duration,
    text: fn(&Map<String, Value>) -> String,
}

/// Runs `run`.
///
/// # Errors
/// When the words name no action, a task fails, or none ends in time.
pub async fn run(session: &Session, args: &RunArgs) -> Result<(), CliError> {
    let call = ActionCall::parse(args)?;
    let style = Style {
        progress: true,
        wait: wait_of(&args.wait, RUN_WAIT)?,
        text: plain_run,
    };
    let model = session.model(&args.model).await?;
    let request = ModelRequest::Run {
        units: call.units,
        action: call.action,
        params: call.params,
    };
    carry_out(&model, request, &args.wait, &args.output, &style).await
}

/// Runs `exec`.
///
/// # Errors
/// When no unit is named, a command fails, or none ends in time.
pub async fn exec(session: &Session, args: &ExecArgs) -> Result<(), CliError> {
    if !args.machine.is_empty() {
        return Err(CliError::message(
            "unable to target machines with a k8s controller",
        ));
    }
    let targets = !args.unit.is_empty() || !args.application.is_empty();
    if !args.all && !targets {
        return Err(CliError::usage(
            "You must specify a target, either through --all, --application or --unit",
        ));
    }
    if args.all && targets {
        return Err(CliError::usage(
            "You cannot specify --all and individual units",
        ));
    }
    let model = session.model(&args.model).await?;
    let mut units = args.unit.clone();
    if args.all || !args.application.is_empty() {
        let status = fetch(&model).await?;
        for app in &args.application {
            if !status.applications.contains_key(app) {
                return Err(CliError::message(format!(
                    "application \"{app}\" not found"
                )));
            }
        }
        for (name, app) in sorted(&status.applications) {
            if args.all || args.application.iter().any(|wanted| wanted == name) {
                units.extend(
                    sorted(&app.units)
                        .into_iter()
                        .map(|(unit, _)| unit.to_owned()),
                );
            }
        }
    }
    let style = Style {
        progress: false,
        wait: wait_of(&args.wait, EXEC_WAIT)?,
        text: plain_exec,
    };
    let request = ModelRequest::Exec {
        units,
        commands: command_line(&args.command),
    };
    carry_out(&model, request, &args.wait, &args.output, &style).await
}

/// One word is a shell's own line; several are quoted, each as one argument.
fn command_line(words: &[String]) -> String {
    match words {
        [only] => only.clone(),
        words => words
            .iter()
            .map(|word| quoted(word))
            .collect::<Vec<_>>()
            .join(" "),
    }
}

/// A word so that a shell reads it as one.
#[must_use]
pub fn quoted(word: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./-_".contains(c);
    if !word.is_empty() && word.chars().all(safe) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

fn wait_of(args: &WaitArgs, default: Duration) -> Result<Duration, CliError> {
    match &args.wait {
        Some(_) if args.background => Err(CliError::usage(
            "cannot specify both --wait and --background",
        )),
        Some(text) => Ok(match duration(text)? {
            None => FOREVER,
            Some(Duration::ZERO) => default,
            Some(limit) => limit,
        }),
        None => Ok(default),
    }
}

/// Queues tasks, waits for them, prints them.
async fn carry_out(
    model: &Model,
    request: ModelRequest,
    wait: &WaitArgs,
    output: &OutputArgs,
    style: &Style,
) -> Result<(), CliError> {
    Format::of(output, Format::Text)?;
    let session = &model.session;
    let ids: Vec<String> = match model.ask(request).await {
        Ok(ids) => ids,
        Err(CliError::Call(CallError::Api(error)))
            if matches!(error.kind, ErrorKind::NotFound | ErrorKind::BadRequest) =>
        {
            // As juju: nothing ran, standard output stays empty, and that is no failure.
            eprintln!("Operation failed to schedule any tasks:\n{error}");
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let tasks = queued(model, &ids).await?;
    let operation = tasks
        .first()
        .map(|task| text_of(task, "operation"))
        .unwrap_or_default();
    if wait.background {
        background(session, &operation, &tasks);
        return Ok(());
    }
    if style.progress {
        let plural = if ids.len() == 1 { "" } else { "s" };
        session.info(format_args!(
            "Running operation {operation} with {} task{plural}",
            ids.len()
        ));
        for task in &tasks {
            let unit = text_of(task, "unit").replace('/', "-");
            session.info(format_args!(
                "  - task {} on unit-{unit}",
                text_of(task, "id")
            ));
        }
        session.info("");
    }
    let deadline = Instant::now() + style.wait;
    let mut shown = Map::new();
    let mut failed = Vec::new();
    for task in &tasks {
        let id = text_of(task, "id");
        if style.progress {
            session.info(format_args!("Waiting for task {id}...\n"));
        }
        let limit = deadline.saturating_duration_since(Instant::now());
        let task = wait_for(model, &id, limit, tasks.len() == 1, wait.utc).await?;
        if !is_over(&task) {
            return Err(timed_out(&tasks, &shown));
        }
        if let Some(code) = return_code(&task).filter(|code| *code > 0) {
            failed.push(format!(" - id \"{id}\" with return code {code}"));
        }
        shown.insert(text_of(&task, "unit"), worded(&task, wait.utc));
    }
    emit_value(output, Format::Text, &shown, || (style.text)(&shown))?;
    if failed.is_empty() {
        return Ok(());
    }
    let plural = if failed.len() == 1 { "" } else { "s" };
    Err(CliError::message(format!(
        "the following task{plural} failed:\n{}\n\nuse 'juju show-task' to inspect the \
         failure{plural}\n",
        failed.join("\n")
    )))
}

/// The tasks as they are right after they were queued.
async fn queued(model: &Model, ids: &[String]) -> Result<Vec<Value>, CliError> {
    let mut tasks = Vec::new();
    for id in ids {
        tasks.push(
            model
                .ask(ModelRequest::WaitTask {
                    id: id.clone(),
                    wait_ms: 0,
                })
                .await?,
        );
    }
    Ok(tasks)
}

fn background(session: &Session, operation: &str, tasks: &[Value]) {
    if let [task] = tasks {
        let id = text_of(task, "id");
        session.info(format_args!(
            "Scheduled operation {operation} with task {id}"
        ));
        session.info(format_args!(
            "Check operation status with 'juju show-operation {operation}'"
        ));
        session.info(format_args!("Check task status with 'juju show-task {id}'"));
        return;
    }
    session.info(format_args!(
        "Scheduled operation {operation} with {} tasks",
        tasks.len()
    ));
    for task in tasks {
        println!(
            "{}:\n  id: {:?}",
            text_of(task, "unit"),
            text_of(task, "id")
        );
    }
    session.info(format_args!(
        "Check operation status with 'juju show-operation {operation}'"
    ));
    session.info("Check task status with 'juju show-task <id>'");
}

/// Waits for a task, at most `limit`; its log goes to standard error as it comes, if wanted.
///
/// # Errors
/// When there is no such task, or the controller does not answer.
pub async fn wait_for(
    model: &Model,
    id: &str,
    limit: Duration,
    show_log: bool,
    utc: bool,
) -> Result<Value, CliError> {
    let wait_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    let request = ModelRequest::WaitTask {
        id: id.to_owned(),
        wait_ms,
    };
    let work = async {
        let mut stream = model.open(request).await?;
        loop {
            match model.session.next(&mut stream).await? {
                Item::Part(line) if show_log => {
                    let time = word(&text_of(&line, "time"), Wording::Progress, utc);
                    model
                        .session
                        .info(format_args!("{time} {}", text_of(&line, "message")));
                }
                Item::Part(_) => {}
                Item::Done(task) => return Ok(task),
            }
        }
    };
    let all = limit.saturating_add(SLACK);
    tokio::time::timeout(all, work).await.map_err(|_| {
        CliError::message(format!("timed out: no answer on task {id} within {all:?}"))
    })?
}

fn timed_out(tasks: &[Value], shown: &Map<String, Value>) -> CliError {
    let missing: Vec<String> = tasks
        .iter()
        .map(|task| text_of(task, "unit"))
        .filter(|unit| !shown.contains_key(unit))
        .map(|unit| format!("unit {unit}"))
        .collect();
    CliError::message(format!(
        "timed out waiting for results from: {}",
        missing.join(", ")
    ))
}

/// Runs `actions`.
///
/// # Errors
/// When there is no such application or the output cannot be written.
pub async fn list_actions(session: &Session, args: &ActionsArgs) -> Result<(), CliError> {
    let model = session.model(&args.model).await?;
    let value: Value = model
        .ask(ModelRequest::Actions {
            app: args.app.clone(),
        })
        .await?;
    if args.schema {
        return emit_value(&args.output, Format::Yaml, &value, || {
            serde_yaml::to_string(&value).unwrap_or_default()
        });
    }
    let short: Map<String, Value> = members(&value)
        .map(|(name, schema)| (name.clone(), json!(text_of(schema, "description"))))
        .collect();
    if short.is_empty() {
        session.info(format_args!("No actions defined for {}.", args.app));
        return Ok(());
    }
    emit_value(&args.output, Format::Text, &short, || {
        let mut table = Table::new(["Action", "Description"]);
        for (name, text) in &short {
            let text = plain(text);
            let line = text.lines().next().unwrap_or_default();
            table.row([name.into(), line.into()]);
        }
        table.render(false)
    })
}

/// Runs `show-task`.
///
/// # Errors
/// When there is no such task or the output cannot be written.
pub async fn show_task(session: &Session, args: &ShowTaskArgs) -> Result<(), CliError> {
    let model = session.model(&args.model).await?;
    let limit = match (&args.wait, args.watch) {
        (Some(text), _) => duration(text)?.unwrap_or(FOREVER),
        (None, true) => FOREVER,
        (None, false) => Duration::ZERO,
    };
    let task = wait_for(&model, &args.id, limit, args.watch, args.utc).await?;
    let shown = worded(&task, args.utc);
    match Format::of(&args.output, Format::Text)? {
        Format::Text | Format::Short => {
            let one: Map<String, Value> = [(text_of(&task, "unit"), shown)].into_iter().collect();
            emit(&args.output, &plain_run(&one))
        }
        format => emit(&args.output, &serialize(&shown, format)?),
    }
}

/// Runs `cancel-task`.
///
/// # Errors
/// When there is no such task or the output cannot be written.
pub async fn cancel(session: &Session, args: &CancelTaskArgs) -> Result<(), CliError> {
    let model = session.model(&args.model).await?;
    let value: Value = model
        .ask(ModelRequest::CancelTask(args.ids.clone()))
        .await?;
    let shown: Map<String, Value> = elements(&value)
        .map(|task| (text_of(task, "id"), worded(task, false)))
        .collect();
    emit_value(&args.output, Format::Yaml, &shown, || {
        serde_yaml::to_string(&shown).unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_several_words_are_quoted() {
        let line = |words: &[&str]| {
            command_line(&words.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(line(&["echo $HOME; id"]), "echo $HOME; id");
        assert_eq!(
            line(&["echo", "it's", "a b", ""]),
            "echo 'it'\\''s' 'a b' ''"
        );
    }
}
