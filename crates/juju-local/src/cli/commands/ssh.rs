//! `ssh` and `net`: commands and shells inside a unit's container or a model's network.

use std::io::{IsTerminal, Read, Write};
use std::os::unix::process::CommandExt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use juju_local_api::transport::Item;
use juju_local_api::user::ModelRequest;
use serde_json::Value;

use crate::cli::args::{NetArgs, SshArgs};
use crate::cli::error::CliError;
use crate::cli::format::{plain, text_of};
use crate::cli::session::{Model, Session};
use crate::cli::status::fetch;

/// Runs `ssh`. As root this process becomes the command itself, so that terminal, signals and
/// exit code are the command's own; otherwise the controller runs it and passes on what it
/// writes.
///
/// # Errors
/// When there is no such unit or container; with the command's exit code when it fails.
pub async fn run(session: &Session, args: &SshArgs) -> Result<(), CliError> {
    let model = session.model(&args.model).await?;
    let unit = resolve_unit(&model, &args.target).await?;
    let words = shell_argv(&args.command);
    if nix::unistd::geteuid().is_root() {
        let container = args.container.clone();
        return become_command(&plan(&model, unit, container, words).await?);
    }
    if words.is_empty() {
        return Err(CliError::message("a shell needs root: run this with sudo"));
    }
    through_controller(&model, unit, args.container.clone(), words).await
}

/// The words as the remote shell reads them: joined by blanks, one line for `sh -c`. No words are
/// a shell.
#[must_use]
pub fn shell_argv(words: &[String]) -> Vec<String> {
    if words.is_empty() {
        return Vec::new();
    }
    vec!["/bin/sh".into(), "-c".into(), words.join(" ")]
}

/// The unit behind `[user@]app/0` or `[user@]app/leader`.
///
/// # Errors
/// When the application has no leader, or the name is that of a machine.
pub async fn resolve_unit(model: &Model, target: &str) -> Result<String, CliError> {
    let unit = target.rsplit_once('@').map_or(target, |(_, unit)| unit);
    let Some((app, number)) = unit.split_once('/') else {
        return Err(CliError::message(format!(
            "target \"{unit}\" is no unit: a Kubernetes model has units only, such as app/0"
        )));
    };
    if number != "leader" {
        return Ok(unit.to_owned());
    }
    let status = fetch(model).await?;
    let leader = status
        .applications
        .get(app)
        .and_then(|app| app.units.iter().find(|(_, unit)| unit.leader))
        .map(|(name, _)| name.clone());
    leader.ok_or_else(|| CliError::message(format!("could not determine leader for \"{app}\"")))
}

/// What root runs on this machine to run `argv` in a unit's container.
///
/// # Errors
/// When there is no such unit or container.
pub async fn plan(
    model: &Model,
    unit: String,
    container: String,
    argv: Vec<String>,
) -> Result<Vec<String>, CliError> {
    model
        .ask(ModelRequest::SshPlan {
            unit,
            container,
            argv,
        })
        .await
}

fn become_command(argv: &[String]) -> Result<(), CliError> {
    let (program, rest) = argv
        .split_first()
        .ok_or_else(|| CliError::message("the controller gave no command"))?;
    let source = std::process::Command::new(program).args(rest).exec();
    Err(CliError::Program {
        program: program.clone(),
        source,
    })
}

async fn through_controller(
    model: &Model,
    unit: String,
    container: String,
    argv: Vec<String>,
) -> Result<(), CliError> {
    let mut input = Vec::new();
    if !std::io::stdin().is_terminal() {
        std::io::stdin()
            .lock()
            .read_to_end(&mut input)
            .map_err(|source| CliError::File {
                action: "read",
                path: "standard input".into(),
                source,
            })?;
    }
    let stdin = STANDARD.encode(input);
    let mut stream = model
        .open(ModelRequest::Ssh {
            unit,
            container,
            argv,
            stdin,
        })
        .await?;
    loop {
        match model.session.next(&mut stream).await? {
            Item::Part(part) => {
                let decode = |key| STANDARD.decode(text_of(&part, key)).unwrap_or_default();
                let (out, err) = (decode("stdout"), decode("stderr"));
                std::io::stdout()
                    .write_all(&out)
                    .map_err(CliError::Output)?;
                std::io::stderr()
                    .write_all(&err)
                    .map_err(CliError::Output)?;
            }
            Item::Done(code) => return exit_with(&code),
        }
    }
}

fn exit_with(code: &Value) -> Result<(), CliError> {
    match plain(code).parse::<i64>() {
        Ok(0) => Ok(()),
        Ok(code) => Err(CliError::Exit(u8::try_from(code).unwrap_or(255))),
        Err(_) => Err(CliError::message("the controller gave no exit code")),
    }
}

/// Runs `net`: this process becomes a command of this machine in the model's network.
///
/// # Errors
/// When it cannot be run.
pub async fn net(session: &Session, args: &NetArgs) -> Result<(), CliError> {
    let model = session.model(&args.model).await?;
    let mut command: Vec<String> = model.ask(ModelRequest::NetworkPlan).await?;
    if args.command.is_empty() {
        command.push(std::env::var("SHELL").unwrap_or_else(|_| "/bin/sh".into()));
    }
    command.extend(args.command.iter().cloned());
    if !nix::unistd::geteuid().is_root() {
        return Err(CliError::message(
            "the model's network is open to root only: use sudo",
        ));
    }
    become_command(&command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_joined_for_the_remote_shell() {
        assert_eq!(
            shell_argv(&["echo foo".into(), "|".into(), "wc".into()]),
            ["/bin/sh", "-c", "echo foo | wc"]
        );
        assert!(shell_argv(&[]).is_empty());
    }
}
