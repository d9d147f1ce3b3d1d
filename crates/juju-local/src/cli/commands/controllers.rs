//! `destroy-controller`, `controllers`, `version` and `whoami`.

use std::time::Duration;

use juju_local_api::transport::{CallError, Item};
use juju_local_api::user::UserRequest;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::cli::args::{DestroyControllerArgs, OutputArgs, VersionArgs};
use crate::cli::error::CliError;
use crate::cli::format::{Format, emit, emit_value};
use crate::cli::session::{Session, confirm_name};
use crate::cli::table::Table;
use crate::home::JUJU_VERSION;

/// Longest wait for a controller to end: every model's units run their last hooks.
const END: Duration = Duration::from_mins(10);
/// Longest wait for a daemon that is told to end, or killed, to be gone.
const GONE: Duration = Duration::from_secs(20);
/// Longest wait for one that breaks connections to turn out to be dying.
const DYING: Duration = Duration::from_secs(2);

/// Runs `destroy-controller`.
///
/// # Errors
/// When it is not confirmed, or something cannot be removed.
pub async fn destroy(session: &Session, args: &DestroyControllerArgs) -> Result<(), CliError> {
    let running = match session.controller().await {
        Ok(info) => Some(info),
        Err(CliError::NoController { .. }) => None,
        Err(_) if args.force => None,
        Err(_) if has_died(session).await => None,
        Err(error) => return Err(error),
    };
    if let (Some(info), Some(name)) = (&running, &args.name)
        && info.name != *name
    {
        return Err(CliError::message(format!("controller {name} not found")));
    }
    if let Some(info) = &running {
        if !args.no_prompt {
            let warning = format!(
                "WARNING! This command will destroy the \"{}\" controller, its models and \
                 everything in them.",
                info.name
            );
            confirm_name(&warning, "controller", &info.name)?;
        }
        match end(session, args.release_storage).await {
            Ok(()) => wait_gone(info.pid).await?,
            Err(error) if args.force => session.info(format_args!("{error}; going on")),
            Err(error) => return Err(error),
        }
    }
    stop_leftover(session).await?;
    let done = crate::process::cleanup_dead(&session.home, args.release_storage)
        .map_err(|error| CliError::message(error.to_string()))?;
    for line in done {
        session.info(line);
    }
    Ok(())
}

/// Asks the daemon to end, and shows what it does meanwhile.
async fn end(session: &Session, release_storage: bool) -> Result<(), CliError> {
    let request = UserRequest::DestroyController { release_storage };
    let work = async {
        let mut stream = session.open(request).await?;
        loop {
            match session.next(&mut stream).await {
                Ok(Item::Part(text)) => session.info(crate::cli::format::plain(&text)),
                // It may be gone before its last word is read.
                Ok(Item::Done(_)) | Err(CliError::Call(CallError::Closed)) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    };
    tokio::time::timeout(END, work)
        .await
        .map_err(|_| CliError::message(format!("the controller did not end within {END:?}")))?
}

/// Whether the daemon that answered badly is one that was just killed: its socket outlives it by a
/// moment.
async fn has_died(session: &Session) -> bool {
    let pid = std::fs::read_to_string(session.home.daemon_pid()).ok();
    let Some(pid) = pid.and_then(|text| text.trim().parse::<i32>().ok()) else {
        return false;
    };
    tokio::time::timeout(DYING, gone(pid)).await.is_ok()
}

/// Kills a daemon of this home that no longer answers.
async fn stop_leftover(session: &Session) -> Result<(), CliError> {
    let Ok(text) = std::fs::read_to_string(session.home.daemon_pid()) else {
        return Ok(());
    };
    let Ok(pid) = text.trim().parse::<i32>() else {
        return Ok(());
    };
    if !is_daemon(pid) {
        return Ok(());
    }
    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    wait_gone(pid).await
}

/// Is this process a daemon of ours? Its number may have gone to another program meanwhile.
fn is_daemon(pid: i32) -> bool {
    let Ok(line) = std::fs::read(format!("/proc/{pid}/cmdline")) else {
        return false;
    };
    let mut words = line.split(|byte| *byte == 0);
    let program = words.next().unwrap_or_default();
    program.ends_with(b"juju-local") && words.next() == Some(b"daemon")
}

async fn gone(pid: i32) {
    let mut attempts = tokio::time::interval(Duration::from_millis(20));
    while pid > 0 && is_daemon(pid) {
        attempts.tick().await;
    }
}

async fn wait_gone(pid: i32) -> Result<(), CliError> {
    tokio::time::timeout(GONE, gone(pid))
        .await
        .map_err(|_| CliError::message(format!("process {pid} did not end within {GONE:?}")))
}

/// Runs `controllers`.
///
/// # Errors
/// When the running controller cannot be asked or the output not be written.
pub async fn list(session: &Session, output: &OutputArgs) -> Result<(), CliError> {
    let info = match session.controller().await {
        Ok(info) => info,
        Err(error @ CliError::NoController { .. }) if output.format.is_none() => return Err(error),
        Err(CliError::NoController { .. }) => {
            return emit_value(
                output,
                Format::Text,
                &json!({"controllers": {}}),
                String::new,
            );
        }
        Err(error) => return Err(error),
    };
    let current = session.state()?.current_model;
    let entry = json!({
        "current-model": current, "user": "admin", "access": "superuser",
        "uuid": info.uuid, "cloud": "local", "agent-version": info.version,
        "api-endpoints": [session.home.user_socket()],
        "kubernetes": info.kubernetes,
    });
    let value = json!({"controllers": {&info.name: entry}, "current-controller": info.name});
    emit_value(output, Format::Text, &value, || {
        let mut table = Table::new([
            "Controller",
            "Model",
            "User",
            "Access",
            "Cloud/Region",
            "Version",
        ]);
        table.row([
            format!("{}*", info.name).into(),
            current.as_deref().unwrap_or("-").into(),
            "admin".into(),
            "superuser".into(),
            "local/localhost".into(),
            info.version.as_str().into(),
        ]);
        table.render(false)
    })
}

/// Runs `version`.
///
/// # Errors
/// When the output cannot be written.
pub fn version(args: &VersionArgs) -> Result<(), CliError> {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let version = format!("{JUJU_VERSION}-genericlinux-{arch}");
    let format = Format::of(&args.output, Format::Text)?;
    if !args.all {
        return match format {
            Format::Json => emit(&args.output, &format!("{}\n", json!(version))),
            _ => emit(&args.output, &format!("{version}\n")),
        };
    }
    let all = json!({
        "version": version, "git-commit": "", "git-tree-state": "", "compiler": "rustc",
        "juju-local": env!("CARGO_PKG_VERSION"),
    });
    let default = if format == Format::Text {
        Format::Yaml
    } else {
        format
    };
    let output = OutputArgs {
        format: None,
        output: args.output.output.clone(),
    };
    emit_value(&output, default, &all, String::new)
}

/// Runs `whoami`.
///
/// # Errors
/// When there is no controller or the output cannot be written.
pub async fn whoami(session: &Session, output: &OutputArgs) -> Result<(), CliError> {
    let info = session.controller().await?;
    let model = session.state()?.current_model;
    let model = model.as_deref().unwrap_or("<no-current-model>");
    let value = json!({"controller": info.name, "model": model, "user": "admin"});
    emit_value(output, Format::Text, &value, || {
        format!(
            "Controller:  {}\nModel:       {model}\nUser:        admin\n",
            info.name
        )
    })
}
