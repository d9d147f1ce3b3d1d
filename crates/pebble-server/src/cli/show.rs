//! Commands that show how things stand.

use std::fmt::Write;
use std::io::{BufRead, BufReader};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use super::args::Args;
use super::http::{self, encode, get};

fn at<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or("-")
}

fn rows(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Prints a table with columns as wide as they must be.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(String::len);
        cells
            .chain(head.get(column).map(|head| head.len()))
            .max()
            .unwrap_or_default()
    };
    let print = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for (at, cell) in cells.enumerate() {
            let _ = write!(line, "{cell:w$}  ", w = width(at));
        }
        println!("{}", line.trim_end());
    };
    print(&mut head.iter().copied());
    for row in rows {
        print(&mut row.iter().map(String::as_str));
    }
}

/// Runs a command that shows something; none if there is no such command.
pub(super) fn show(verb: &str, rest: &[String]) -> Result<Option<()>, String> {
    match verb {
        "services" => services(rest)?,
        "checks" => checks(rest)?,
        "changes" => changes(rest)?,
        "tasks" => tasks(rest)?,
        "notices" => notices(rest)?,
        "logs" => logs(rest)?,
        "plan" => {
            let plan = get("/v1/plan?format=yaml")?;
            print!("{}", plan.as_str().unwrap_or_default());
        }
        "version" => version(rest)?,
        _ => return Ok(None),
    }
    Ok(Some(()))
}

fn version(rest: &[String]) -> Result<(), String> {
    let args = Args::parse(rest, &["--client"], &[])?;
    if args.has("--client") {
        println!("{}", crate::VERSION);
        return Ok(());
    }
    println!("client  {}", crate::VERSION);
    if let Ok(info) = get("/v1/system-info") {
        println!("server  {}", at(&info, "version"));
    }
    Ok(())
}

fn services(rest: &[String]) -> Result<(), String> {
    let found = get(&format!("/v1/services?names={}", encode(&rest.join(","))))?;
    let row = |service: &Value| {
        let keys = ["name", "startup", "current", "current-since"];
        keys.map(|key| at(service, key).to_owned()).to_vec()
    };
    let rows: Vec<Vec<String>> = rows(&found).iter().map(row).collect();
    table(&["Service", "Startup", "Current", "Since"], &rows);
    Ok(())
}

fn checks(rest: &[String]) -> Result<(), String> {
    let args = Args::parse(rest, &[], &["--level"])?;
    let level = args.value("--level").unwrap_or_default();
    let path = format!(
        "/v1/checks?level={level}&names={}",
        encode(&args.words.join(","))
    );
    let found = get(&path)?;
    let row = |check: &Value| {
        let number = |key: &str| check.get(key).and_then(Value::as_u64).unwrap_or_default();
        let mut row = ["name", "level", "startup", "status"]
            .map(|key| at(check, key).to_owned())
            .to_vec();
        row.push(number("successes").to_string());
        row.push(format!("{}/{}", number("failures"), number("threshold")));
        row.push(at(check, "change-id").to_owned());
        row
    };
    let rows: Vec<Vec<String>> = rows(&found).iter().map(row).collect();
    table(
        &[
            "Check",
            "Level",
            "Startup",
            "Status",
            "Successes",
            "Failures",
            "Change",
        ],
        &rows,
    );
    Ok(())
}

/// `pebble health`: 0 if all is well.
pub(super) fn health(rest: &[String]) -> Result<ExitCode, String> {
    let args = Args::parse(rest, &[], &["--level"])?;
    let level = args.value("--level").unwrap_or_default();
    let path = format!(
        "/v1/health?level={level}&names={}",
        encode(&args.words.join(","))
    );
    let health = get(&path)?;
    let healthy = health.get("healthy").and_then(Value::as_bool) == Some(true);
    println!("{}", if healthy { "healthy" } else { "unhealthy" });
    Ok(if healthy {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn changes(rest: &[String]) -> Result<(), String> {
    let service = rest.first().map_or("", String::as_str);
    let found = get(&format!("/v1/changes?select=all&for={}", encode(service)))?;
    let mut sorted = rows(&found).to_vec();
    sorted.sort_by_key(|change| at(change, "id").parse::<u64>().unwrap_or_default());
    let row = |change: &Value| {
        let keys = ["id", "status", "spawn-time", "ready-time", "summary"];
        keys.map(|key| at(change, key).to_owned()).to_vec()
    };
    let rows: Vec<Vec<String>> = sorted.iter().map(row).collect();
    table(&["ID", "Status", "Spawn", "Ready", "Summary"], &rows);
    Ok(())
}

fn tasks(rest: &[String]) -> Result<(), String> {
    let id = rest.first().ok_or("usage: pebble tasks CHANGE-ID")?;
    let change = get(&format!("/v1/changes/{}", encode(id)))?;
    let tasks = rows(change.get("tasks").unwrap_or(&Value::Null)).to_vec();
    let row = |task: &Value| {
        let keys = ["status", "spawn-time", "ready-time", "summary"];
        keys.map(|key| at(task, key).to_owned()).to_vec()
    };
    let lines: Vec<Vec<String>> = tasks.iter().map(row).collect();
    table(&["Status", "Spawn", "Ready", "Summary"], &lines);
    for task in &tasks {
        let log = rows(task.get("log").unwrap_or(&Value::Null));
        if !log.is_empty() {
            println!("\n{}\n{}\n", "-".repeat(70), at(task, "summary"));
            for line in log.iter().filter_map(Value::as_str) {
                println!("{line}");
            }
        }
    }
    Ok(())
}

fn notices(rest: &[String]) -> Result<(), String> {
    let args = Args::parse(
        rest,
        &["--all"],
        &["--type", "--key", "--users", "--timeout"],
    )?;
    let mut path = format!(
        "/v1/notices?types={}&keys={}",
        encode(&args.all("--type").join(",")),
        encode(&args.all("--key").join(","))
    );
    if args.value("--users") == Some("all") {
        path += "&users=all";
    }
    if let Some(limit) = args.value("--timeout") {
        let _ = write!(path, "&timeout={}", encode(limit));
    }
    let answer = http::send("GET", &path, None, None)?.envelope()?;
    let found = rows(answer.get("result").unwrap_or(&Value::Null)).to_vec();
    let row = |notice: &Value| {
        let number = |key: &str| {
            notice
                .get(key)
                .and_then(Value::as_u64)
                .map_or("-".to_owned(), |n| n.to_string())
        };
        let text = |key: &str| at(notice, key).to_owned();
        let user = if notice.get("user-id").is_none_or(Value::is_null) {
            "public".to_owned()
        } else {
            number("user-id")
        };
        vec![
            text("id"),
            user,
            text("type"),
            text("key"),
            text("last-repeated"),
            number("occurrences"),
        ]
    };
    let rows: Vec<Vec<String>> = found.iter().map(row).collect();
    table(
        &["ID", "User", "Type", "Key", "Repeated", "Occurrences"],
        &rows,
    );
    Ok(())
}

fn logs(rest: &[String]) -> Result<(), String> {
    let args = Args::parse(rest, &["-f", "--follow"], &["-n", "--format"])?;
    let follow = args.has("-f") || args.has("--follow");
    let count = match args.value("-n") {
        None => "30",
        Some("all") => "-1",
        Some(count) => count,
    };
    let services = encode(&args.words.join(","));
    let path = format!(
        "/v1/logs?services={services}&follow={follow}&n={}",
        encode(count)
    );
    let limit = (!follow).then_some(Duration::from_mins(1));
    let answer = http::send("GET", &path, None, limit)?;
    if answer.status != 200 {
        return answer.envelope().map(drop);
    }
    let json = args.value("--format") == Some("json");
    for line in BufReader::new(answer).lines() {
        let line = line.map_err(|error| error.to_string())?;
        let entry: Value = serde_json::from_str(&line).unwrap_or_default();
        if json {
            println!("{line}");
        } else {
            let (time, service) = (at(&entry, "time"), at(&entry, "service"));
            println!("{time} [{service}] {}", at(&entry, "message"));
        }
    }
    Ok(())
}
