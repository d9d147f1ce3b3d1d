//! The commands that the workload's own processes and a person in the container use.

mod args;
mod exec;
mod files;
mod http;
mod show;

use std::process::ExitCode;

use serde_json::{Value, json};

use args::Args;

const USAGE: &str = "usage: pebble COMMAND

Run:       run
Plan:      add, plan
Services:  services, start, stop, restart, replan, autostart, signal, logs
Checks:    checks, health, start-checks, stop-checks
Changes:   changes, tasks
Notices:   notify, notices
Files:     ls, mkdir, rm, push, pull
Other:     exec, version, help";

/// Runs a command of the client.
pub(crate) fn main(args: &[String]) -> ExitCode {
    let Some((verb, rest)) = args.split_first() else {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    };
    command(verb, rest).unwrap_or_else(|text| {
        eprintln!("error: {text}");
        ExitCode::FAILURE
    })
}

fn command(verb: &str, rest: &[String]) -> Result<ExitCode, String> {
    match verb {
        "notify" => notify(rest)?,
        "start" | "stop" | "restart" | "replan" | "autostart" => act(verb, rest)?,
        "start-checks" | "stop-checks" => switch(verb, rest)?,
        "signal" => signal(rest)?,
        "add" => add(rest)?,
        "exec" => return exec::run(rest),
        "health" => return show::health(rest),
        "ls" => files::ls(rest)?,
        "mkdir" => files::mkdir(rest)?,
        "rm" => files::rm(rest)?,
        "push" => files::push(rest)?,
        "pull" => files::pull(rest)?,
        "help" | "--help" | "-h" => println!("{USAGE}"),
        _ => {
            show::show(verb, rest)?
                .ok_or_else(|| format!("unknown command \"{verb}\"\n{USAGE}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn notify(rest: &[String]) -> Result<(), String> {
    let args = Args::parse(rest, &[], &["--repeat-after"])?;
    let (key, pairs) = args
        .words
        .split_first()
        .ok_or("usage: pebble notify KEY [NAME=VALUE...]")?;
    let mut body = json!({"action": "add", "type": "custom", "key": key});
    let mut data = serde_json::Map::new();
    for pair in pairs {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| format!("data args must be in the form name=value, not \"{pair}\""))?;
        data.insert(name.to_owned(), json!(value));
    }
    if let Some(body) = body.as_object_mut() {
        if !data.is_empty() {
            body.insert("data".into(), data.into());
        }
        if let Some(pause) = args.value("--repeat-after") {
            body.insert("repeat-after".into(), json!(pause));
        }
    }
    let envelope = http::post("/v1/notices", &body)?;
    let id = envelope
        .pointer("/result/id")
        .and_then(Value::as_str)
        .unwrap_or_default();
    println!("Recorded notice {id}");
    Ok(())
}

fn act(verb: &str, rest: &[String]) -> Result<(), String> {
    let args = Args::parse(rest, &["--no-wait"], &[])?;
    let body = json!({"action": verb, "services": args.words});
    let envelope = http::post("/v1/services", &body)?;
    if args.has("--no-wait") {
        let id = envelope
            .get("change")
            .and_then(Value::as_str)
            .unwrap_or_default();
        println!("{id}");
        return Ok(());
    }
    http::wait(&envelope).map(drop)
}

fn switch(verb: &str, rest: &[String]) -> Result<(), String> {
    let action = verb.strip_suffix("-checks").unwrap_or(verb);
    let envelope = http::post("/v1/checks", &json!({"action": action, "checks": rest}))?;
    let changed = envelope
        .pointer("/result/changed")
        .and_then(Value::as_array);
    let changed: Vec<&str> = changed
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if changed.is_empty() {
        println!("Checks already in that state.");
    } else {
        println!("Checks changed: {}", changed.join(", "));
    }
    Ok(())
}

fn signal(rest: &[String]) -> Result<(), String> {
    let (name, services) = rest
        .split_first()
        .ok_or("usage: pebble signal SIGNAL SERVICE...")?;
    let name = if name.starts_with("SIG") {
        name.clone()
    } else {
        format!("SIG{}", name.to_uppercase())
    };
    http::post(
        "/v1/signals",
        &json!({"signal": name, "services": services}),
    )
    .map(drop)
}

fn add(rest: &[String]) -> Result<(), String> {
    let args = Args::parse(rest, &["--combine", "--inner"], &[])?;
    let [label, file] = args.words.as_slice() else {
        return Err("usage: pebble add [--combine] [--inner] LABEL FILE".to_owned());
    };
    let layer = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let body = json!({
        "action": "add", "combine": args.has("--combine"), "inner": args.has("--inner"),
        "label": label, "format": "yaml", "layer": layer,
    });
    http::post("/v1/layers", &body)?;
    println!("Layer \"{label}\" added successfully from \"{file}\"");
    Ok(())
}
