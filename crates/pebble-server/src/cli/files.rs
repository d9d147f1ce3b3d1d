//! Commands that work on the server's files.

use std::fs::File;
use std::io::{Read, Write};

use serde_json::{Value, json};

use super::args::Args;
use super::http::{self, encode};
use super::show::table;

const OWNER: [&str; 5] = ["-m", "--uid", "--user", "--gid", "--group"];

fn rights(args: &Args, mut item: Value) -> Result<Value, String> {
    let keys = ["permissions", "user-id", "user", "group-id", "group"];
    for (flag, key) in OWNER.iter().zip(keys) {
        let Some(value) = args.value(flag) else {
            continue;
        };
        let value = if key.ends_with("-id") {
            json!(
                value
                    .parse::<u32>()
                    .map_err(|_| format!("invalid argument for flag `{flag}'"))?
            )
        } else {
            json!(value)
        };
        if let Some(item) = item.as_object_mut() {
            item.insert(key.to_owned(), value);
        }
    }
    Ok(item)
}

/// The error of the first path that has one.
fn outcome(result: &Value) -> Result<(), String> {
    let outcomes = result.as_array().into_iter().flatten();
    let mut errors = outcomes.filter_map(|outcome| outcome.pointer("/error/message"));
    match errors.next().and_then(Value::as_str) {
        Some(error) => Err(error.to_owned()),
        None => Ok(()),
    }
}

pub(super) fn ls(rest: &[String]) -> Result<(), String> {
    let args = Args::parse(rest, &["-l", "-d"], &[])?;
    let path = args
        .words
        .first()
        .ok_or("usage: pebble ls [-d] [-l] PATH")?;
    let (path, pattern) = match path.rsplit_once('/') {
        Some((directory, name)) if name.contains(['*', '?', '[']) => {
            (if directory.is_empty() { "/" } else { directory }, name)
        }
        _ => (path.as_str(), ""),
    };
    let query = format!(
        "/v1/files?action=list&path={}&pattern={}&itself={}",
        encode(path),
        encode(pattern),
        args.has("-d")
    );
    let found = http::get(&query)?;
    let text = |file: &Value, key: &str| {
        file.get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let files = found.as_array().map_or(&[][..], Vec::as_slice);
    if !args.has("-l") {
        for file in files {
            println!("{}", text(file, "name"));
        }
        return Ok(());
    }
    let row = |file: &Value| {
        let size = file.get("size").and_then(Value::as_u64);
        vec![
            text(file, "permissions"),
            text(file, "type"),
            text(file, "user"),
            text(file, "group"),
            size.map_or("-".to_owned(), |size| size.to_string()),
            text(file, "last-modified"),
            text(file, "name"),
        ]
    };
    let rows: Vec<Vec<String>> = files.iter().map(row).collect();
    table(
        &["Mode", "Type", "User", "Group", "Size", "Modified", "Name"],
        &rows,
    );
    Ok(())
}

pub(super) fn mkdir(rest: &[String]) -> Result<(), String> {
    let args = Args::parse(rest, &["-p"], &OWNER)?;
    let path = args
        .words
        .first()
        .ok_or("usage: pebble mkdir [-p] [-m MODE] PATH")?;
    let dir = rights(&args, json!({"path": path, "make-parents": args.has("-p")}))?;
    let envelope = http::post("/v1/files", &json!({"action": "make-dirs", "dirs": [dir]}))?;
    outcome(envelope.get("result").unwrap_or(&Value::Null))
}

pub(super) fn rm(rest: &[String]) -> Result<(), String> {
    let args = Args::parse(rest, &["-r"], &[])?;
    let path = args.words.first().ok_or("usage: pebble rm [-r] PATH")?;
    let item = json!({"path": path, "recursive": args.has("-r")});
    let envelope = http::post("/v1/files", &json!({"action": "remove", "paths": [item]}))?;
    outcome(envelope.get("result").unwrap_or(&Value::Null))
}

pub(super) fn push(rest: &[String]) -> Result<(), String> {
    let args = Args::parse(rest, &["-p"], &OWNER)?;
    let [local, remote] = args.words.as_slice() else {
        return Err("usage: pebble push [-p] [-m MODE] LOCAL REMOTE".to_owned());
    };
    let content = std::fs::read(local).map_err(|error| format!("{local}: {error}"))?;
    let item = rights(&args, json!({"path": remote, "make-dirs": args.has("-p")}))?;
    let metadata = json!({"action": "write", "files": [item]});
    let boundary = format!(
        "{}{}",
        uuid::Uuid::new_v4().simple(),
        uuid::Uuid::new_v4().simple()
    );
    let name = remote.replace('\\', "\\\\").replace('"', "\\\"");
    let mut body = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"request\"\r\n\r\n{metadata}\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"files\"; filename=\"{name}\"\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(&content);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    let kind = format!("multipart/form-data; boundary={boundary}");
    let envelope = http::send("POST", "/v1/files", Some((&kind, &body)), None)?.envelope()?;
    outcome(envelope.get("result").unwrap_or(&Value::Null))
}

pub(super) fn pull(rest: &[String]) -> Result<(), String> {
    let [remote, local] = rest else {
        return Err("usage: pebble pull REMOTE LOCAL".to_owned());
    };
    let path = format!("/v1/files?action=read&path={}", encode(remote));
    let mut answer = http::send("GET", &path, None, None)?;
    if answer.status != 200 {
        return answer.envelope().map(drop);
    }
    let kind = answer.content_type.clone();
    let mut body = Vec::new();
    answer
        .read_to_end(&mut body)
        .map_err(|error| error.to_string())?;
    let broken = || "cannot read the server's answer".to_owned();
    let boundary = crate::files::multipart::parameter(&kind, "boundary").ok_or_else(broken)?;
    // The answer's last part tells whether the file could be read, and the file comes before it.
    let mark = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"response\"");
    let place = |part: &[u8]| body.windows(part.len()).position(|window| window == part);
    let last = place(mark.as_bytes()).ok_or_else(broken)?;
    let (file, response) = body.split_at(last);
    let text = String::from_utf8_lossy(response);
    let envelope = text
        .split_once("\r\n\r\n")
        .and_then(|(_, rest)| rest.split_once("\r\n--"));
    let (envelope, _) = envelope.ok_or_else(broken)?;
    let envelope: Value = serde_json::from_str(envelope).map_err(|error| error.to_string())?;
    outcome(envelope.get("result").unwrap_or(&Value::Null))?;
    let begin = file
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .ok_or_else(broken)?
        + 4;
    let content = file
        .get(begin..file.len().saturating_sub(2))
        .ok_or_else(broken)?;
    let failed = |error: std::io::Error| format!("{local}: {error}");
    File::create(local)
        .and_then(|mut file| file.write_all(content))
        .map_err(failed)
}
