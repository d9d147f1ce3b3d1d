//! A task's state in the words of `juju run`, `exec` and `show-task`.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::cli::format::{members, plain, text_of};
use crate::cli::times::{Wording, word};

/// Results that are Juju's own and not the charm's.
const OWN_RESULTS: [&str; 5] = [
    "return-code",
    "stdout",
    "stderr",
    "stdout-encoding",
    "stderr-encoding",
];

/// The task as `juju` puts it into JSON and YAML: empty values left out, times worded.
#[must_use]
pub fn worded(task: &Value, utc: bool) -> Value {
    let mut out = Map::new();
    for key in ["id", "status", "unit", "message"] {
        let text = text_of(task, key);
        if !text.is_empty() {
            out.insert(key.to_owned(), json!(text));
        }
    }
    let mut results = task
        .get("results")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    for stream in ["stdout", "stderr"] {
        if results
            .get(stream)
            .is_some_and(|text| plain(text).is_empty())
        {
            results.remove(stream);
        }
    }
    if !results.is_empty() {
        out.insert("results".to_owned(), Value::Object(results));
    }
    let log: Vec<Value> = task
        .get("log")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|line| {
            let time = word(&text_of(line, "time"), Wording::Task, utc);
            json!(format!("{time} {}", text_of(line, "message")))
        })
        .collect();
    if !log.is_empty() {
        out.insert("log".to_owned(), Value::Array(log));
    }
    let timing: Map<String, Value> = task
        .get("timing")
        .into_iter()
        .flat_map(members)
        .filter(|(_, time)| !plain(time).is_empty())
        .map(|(key, time)| (key.clone(), json!(word(&plain(time), Wording::Task, utc))))
        .collect();
    if !timing.is_empty() {
        out.insert("timing".to_owned(), Value::Object(timing));
    }
    Value::Object(out)
}

/// The return code of what ran, if it ran.
#[must_use]
pub fn return_code(task: &Value) -> Option<i64> {
    let code = task.pointer("/results/return-code")?;
    code.as_i64().or_else(|| plain(code).parse().ok())
}

/// Has the task come to its end?
#[must_use]
pub fn is_over(task: &Value) -> bool {
    !matches!(text_of(task, "status").as_str(), "pending" | "running" | "")
}

/// Results of actions as text: one unit's bare, more by unit as YAML.
#[must_use]
pub fn plain_run(tasks: &Map<String, Value>) -> String {
    let mut streams = String::new();
    let mut blocks: Vec<(&String, String, &Value)> = Vec::new();
    for (unit, task) in tasks {
        let mut own = Map::new();
        let results = task.get("results").and_then(Value::as_object);
        for (key, value) in results.into_iter().flatten() {
            if !OWN_RESULTS.contains(&key.as_str()) {
                own.insert(key.clone(), value.clone());
            }
        }
        let output = match results {
            None => format!("Task {} {}\n", text_of(task, "id"), text_of(task, "status")),
            Some(_) if own.is_empty() => String::new(),
            Some(_) => serde_yaml::to_string(&own).unwrap_or_default(),
        };
        for stream in ["stdout", "stderr"] {
            let text = results
                .and_then(|all| all.get(stream))
                .map(plain)
                .unwrap_or_default();
            if !text.is_empty() {
                streams.push_str(text.trim_matches('\n'));
                streams.push('\n');
            }
        }
        blocks.push((unit, output, task));
    }
    if blocks.len() > 1 {
        let all: Map<String, Value> = blocks
            .into_iter()
            .map(|(unit, output, task)| {
                let mut entry = json!({"id": text_of(task, "id"), "output": output,
                    "status": text_of(task, "status")});
                let message = text_of(task, "message");
                if let (false, Some(entry)) = (message.is_empty(), entry.as_object_mut()) {
                    entry.insert("message".into(), json!(message));
                }
                (unit.clone(), entry)
            })
            .collect();
        return serde_yaml::to_string(&all).unwrap_or_default();
    }
    let mut out = String::new();
    for (_, output, task) in blocks {
        if text_of(task, "status") == "failed" {
            let (id, message) = (text_of(task, "id"), text_of(task, "message"));
            // Writing to a String cannot fail.
            let _ = writeln!(out, "Action id {id} failed: {message}");
        }
        out.push_str(&output);
        out.push('\n');
    }
    out + &streams
}

/// What commands wrote: one unit's bare, more under their names.
#[must_use]
pub fn plain_exec(tasks: &Map<String, Value>) -> String {
    let mut out = String::new();
    for (unit, task) in tasks {
        let mut text = String::new();
        for stream in ["stdout", "stderr"] {
            let part = task
                .pointer(&format!("/results/{stream}"))
                .map(plain)
                .unwrap_or_default();
            text.push_str(&part);
            if !part.is_empty() && !part.ends_with('\n') {
                text.push('\n');
            }
        }
        if tasks.len() > 1 {
            let _ = writeln!(out, "{unit}:\n{text}");
        } else {
            out.push_str(&text);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> Value {
        json!({
            "id": "2", "unit": "pg/0", "status": "completed", "message": "", "operation": "1",
            "results": {"password": "x", "nested": {"a": "b"}, "return-code": 0, "stdout": "",
                "stderr": "warn\n"},
            "log": [{"time": "2024-11-21T04:19:22Z", "message": "half way"}],
            "timing": {"enqueued": "2024-11-21T04:19:22Z", "started": null},
        })
    }

    fn by_unit(tasks: &[(&str, Value)]) -> Map<String, Value> {
        tasks
            .iter()
            .map(|(unit, task)| ((*unit).to_owned(), worded(task, true)))
            .collect()
    }

    #[test]
    fn json_has_what_jubilant_reads() {
        insta::assert_yaml_snapshot!(worded(&task(), true));
    }

    #[test]
    fn one_units_results_are_bare() {
        insta::assert_snapshot!(plain_run(&by_unit(&[("pg/0", task())])));
    }

    #[test]
    fn a_failure_names_its_reason() {
        let mut failed = task();
        failed["status"] = json!("failed");
        failed["message"] = json!("no such backup");
        insta::assert_snapshot!(plain_run(&by_unit(&[("pg/0", failed)])));
    }

    #[test]
    fn several_units_are_told_apart() {
        let tasks = by_unit(&[
            ("pg/0", task()),
            ("pg/1", json!({"id": "3", "status": "pending"})),
        ]);
        insta::assert_snapshot!(plain_run(&tasks));
        insta::assert_snapshot!("several_units_of_exec", plain_exec(&tasks));
    }

    #[test]
    fn return_codes_are_numbers_or_text() {
        assert_eq!(return_code(&task()), Some(0));
        assert_eq!(
            return_code(&json!({"results": {"return-code": "3"}})),
            Some(3)
        );
        assert_eq!(return_code(&json!({})), None);
        assert!(is_over(&task()) && !is_over(&json!({"status": "running"})));
    }
}
