//! The commands that the workload's own processes and a person in the container use.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use pebble::{Client, Error, Exec, NoticeQuery};

const USAGE: &str = "usage: pebble run|notify|services|logs|health|checks|start|stop|restart|\
                     replan|autostart|signal|exec|plan|changes|notices|version";

pub(crate) fn main(args: &[String]) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(command(args)),
        Err(error) => Err(error.to_string()),
    };
    match result {
        Ok(code) => code,
        Err(text) => {
            eprintln!("error: {text}");
            ExitCode::FAILURE
        }
    }
}

fn client() -> Client {
    let directory =
        std::env::var("PEBBLE").unwrap_or_else(|_| "/var/lib/pebble/default".to_owned());
    let socket =
        std::env::var("PEBBLE_SOCKET").unwrap_or_else(|_| format!("{directory}/.pebble.socket"));
    Client::new(socket)
}

async fn command(args: &[String]) -> Result<ExitCode, String> {
    let client = client();
    let (verb, rest) = args.split_first().ok_or_else(|| USAGE.to_owned())?;
    let names: Vec<&str> = rest.iter().map(String::as_str).filter(|a| !a.starts_with('-')).collect();
    let wait = Duration::from_secs(60);
    let failed = |error: Error| error.to_string();
    match verb.as_str() {
        "notify" => {
            let (key, pairs) = names.split_first().ok_or("usage: pebble notify KEY [NAME=VALUE]")?;
            let mut data = BTreeMap::new();
            for pair in pairs {
                let (name, value) =
                    pair.split_once('=').ok_or_else(|| format!("not NAME=VALUE: {pair}"))?;
                data.insert(name.to_owned(), value.to_owned());
            }
            let id = client.notify(key, &data).await.map_err(failed)?;
            println!("Recorded notice {id}");
        }
        "services" => {
            println!("{:<24} {:<10} Current", "Service", "Startup");
            for service in client.services(&names).await.map_err(failed)? {
                println!("{:<24} {:<10} {}", service.name, service.startup, service.current);
            }
        }
        "checks" => {
            println!("{:<24} {:<8} {:<8} Failures", "Check", "Level", "Status");
            for check in client.checks(&names).await.map_err(failed)? {
                let counts = format!("{}/{}", check.failures, check.threshold);
                println!("{:<24} {:<8} {:<8} {counts}", check.name, check.level, check.status);
            }
        }
        "health" => {
            let healthy = client.health(None).await.map_err(failed)?;
            println!("{}", if healthy { "healthy" } else { "unhealthy" });
            return Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        "logs" => {
            for entry in client.logs(&names, 30).await.map_err(failed)? {
                println!("{} [{}] {}", entry.time, entry.service, entry.message);
            }
        }
        "start" => client.start(&names, wait).await.map_err(failed)?,
        "stop" => client.stop(&names, wait).await.map_err(failed)?,
        "restart" => client.restart(&names, wait).await.map_err(failed)?,
        "replan" => client.replan(wait).await.map_err(failed)?,
        "autostart" => client.autostart(wait).await.map_err(failed)?,
        "signal" => {
            let (signal, services) = names.split_first().ok_or("usage: pebble signal SIG NAME...")?;
            client.signal(signal, services).await.map_err(failed)?;
        }
        "plan" => {
            let plan = client.plan().await.map_err(failed)?;
            print!("{}", serde_yaml::to_string(&plan).map_err(|error| error.to_string())?);
        }
        "changes" => {
            let mut changes = client.changes("all").await.map_err(failed)?;
            changes.sort_by_key(|change| change.id.parse::<u64>().unwrap_or_default());
            for change in changes {
                println!("{:<5} {:<8} {}", change.id, change.status, change.summary);
            }
        }
        "notices" => {
            let query = NoticeQuery::default();
            for notice in client.notices(&query, Duration::ZERO).await.map_err(failed)? {
                println!("{:<5} {:<14} {}", notice.id, notice.type_, notice.key);
            }
        }
        "exec" => {
            let words: Vec<String> = rest.iter().skip_while(|arg| *arg == "--").cloned().collect();
            let output = client.exec(Exec::new(words).limit(wait)).await.map_err(failed)?;
            print!("{}", String::from_utf8_lossy(&output.stdout));
            eprint!("{}", String::from_utf8_lossy(&output.stderr));
            return Ok(ExitCode::from(u8::try_from(output.code).unwrap_or(1)));
        }
        "version" => println!("client  v1.26.0-local"),
        _ => return Err(USAGE.to_owned()),
    }
    Ok(ExitCode::SUCCESS)
}
