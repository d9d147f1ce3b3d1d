//! Operations: what `run` and `exec` queued together.

use juju_local_api::user::ModelRequest;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::task_text::worded;
use super::tasks::{FOREVER, wait_for};
use crate::cli::args::{OperationsArgs, ShowOperationArgs};
use crate::cli::error::CliError;
use crate::cli::format::{Format, emit_value, members, plain, text_of};
use crate::cli::session::{Model, Session};
use crate::cli::table::{Cell, Table};
use crate::cli::times::{Wording, duration, word};

async fn operations_of(model: &Model) -> Result<Vec<Value>, CliError> {
    let mut value: Value = model.ask(ModelRequest::Operations).await?;
    Ok(match value.get_mut("operations").map(Value::take) {
        Some(Value::Array(all)) => all,
        _ => Vec::new(),
    })
}

/// Runs `show-operation`.
///
/// # Errors
/// When there is no such operation or the output cannot be written.
pub async fn show(session: &Session, args: &ShowOperationArgs) -> Result<(), CliError> {
    let model = session.model(&args.model).await?;
    let find = async || {
        let all = operations_of(&model).await?;
        all.into_iter()
            .find(|one| text_of(one, "id") == args.id)
            .ok_or_else(|| CliError::message(format!("operation \"{}\" not found", args.id)))
    };
    let mut operation = find().await?;
    if args.watch || args.wait.is_some() {
        let limit = match &args.wait {
            Some(text) => duration(text)?.unwrap_or(FOREVER),
            None => FOREVER,
        };
        let deadline = Instant::now() + limit;
        for (id, _) in operation.get("tasks").into_iter().flat_map(members) {
            let left = deadline.saturating_duration_since(Instant::now());
            wait_for(&model, id, left, false, args.utc).await?;
        }
        operation = find().await?;
    }
    let shown = worded_operation(&operation, args.utc);
    let value = json!({ &args.id: shown });
    emit_value(&args.output, Format::Yaml, &value, || {
        serde_yaml::to_string(&value).unwrap_or_default()
    })
}

fn worded_operation(operation: &Value, utc: bool) -> Value {
    let tasks: Map<String, Value> = operation
        .get("tasks")
        .into_iter()
        .flat_map(members)
        .map(|(id, task)| {
            let mut task = worded(task, utc);
            if let Some(object) = task.as_object_mut() {
                object.remove("id");
                if let Some(unit) = object.remove("unit") {
                    object.insert("host".into(), unit);
                }
            }
            (id.clone(), task)
        })
        .collect();
    let timing: Map<String, Value> = operation
        .get("timing")
        .into_iter()
        .flat_map(members)
        .filter(|(_, time)| !plain(time).is_empty())
        .map(|(key, time)| (key.clone(), json!(word(&plain(time), Wording::Task, utc))))
        .collect();
    let mut out = json!({
        "summary": text_of(operation, "summary"),
        "status": text_of(operation, "status"),
        "timing": timing,
        "tasks": tasks,
    });
    let action = json!({ "name": text_of(operation, "action"), "parameters": {} });
    if let Some(object) = out.as_object_mut() {
        object.insert("action".into(), action);
    }
    out
}

/// Runs `operations`.
///
/// # Errors
/// When the controller cannot be asked or the output not be written.
pub async fn list(session: &Session, args: &OperationsArgs) -> Result<(), CliError> {
    let model = session.model(&args.model).await?;
    let mut all = operations_of(&model).await?;
    all.retain(|operation| {
        let wanted =
            |list: &[String], value: &str| list.is_empty() || list.iter().any(|one| one == value);
        let hosts: Vec<String> = operation
            .get("tasks")
            .into_iter()
            .flat_map(members)
            .map(|(_, task)| text_of(task, "unit"))
            .collect();
        let app = |unit: &String| unit.split('/').next().unwrap_or_default().to_owned();
        wanted(&args.actions, &text_of(operation, "action"))
            && wanted(&args.status, &text_of(operation, "status"))
            && (args.units.is_empty() || hosts.iter().any(|unit| args.units.contains(unit)))
            && (args.applications.is_empty()
                || hosts
                    .iter()
                    .any(|unit| args.applications.contains(&app(unit))))
    });
    if let Some(limit) = args.limit {
        all.truncate(limit);
    }
    let value: Map<String, Value> = all
        .iter()
        .map(|one| (text_of(one, "id"), worded_operation(one, args.utc)))
        .collect();
    emit_value(&args.output, Format::Text, &value, || {
        let mut table = Table::new(["ID", "Status", "Started", "Finished", "Task IDs", "Summary"]);
        for one in &all {
            let time = |key: &str| {
                let time = one
                    .pointer(&format!("/timing/{key}"))
                    .map(plain)
                    .unwrap_or_default();
                word(&time, Wording::Since, args.utc)
            };
            let tasks: Vec<&str> = one
                .get("tasks")
                .into_iter()
                .flat_map(members)
                .map(|(id, _)| id.as_str())
                .collect();
            table.row([
                text_of(one, "id").into(),
                Cell::status(text_of(one, "status")),
                time("started").into(),
                time("completed").into(),
                tasks.join(",").into(),
                text_of(one, "summary").into(),
            ]);
        }
        table.render(false)
    })
}
