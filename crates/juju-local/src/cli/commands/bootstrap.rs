//! `bootstrap`: starts the daemon of a home and waits until it answers.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::cli::args::BootstrapArgs;
use crate::cli::error::CliError;
use crate::cli::session::Session;
use crate::controller::Kubernetes;
use crate::home::HOME_VARIABLE;

/// Longest wait for the daemon's first answer.
const START: Duration = Duration::from_mins(3);
/// Time between two attempts to reach it.
const ATTEMPT: Duration = Duration::from_millis(50);
/// Lines of the daemon's log shown when it does not come up.
const TAIL: usize = 20;

/// Programs the daemon runs, with the Debian package of each.
const PROGRAMS: [(&str, &str); 2] = [("ip", "iproute2"), ("nft", "nftables")];

/// Runs the command.
///
/// # Errors
/// When this machine lacks something, a controller runs already, or the new one does not start.
pub async fn run(session: &Session, args: &BootstrapArgs) -> Result<(), CliError> {
    let name = args.names.last().map_or("local", String::as_str);
    if let Ok(running) = session.controller().await {
        return Err(CliError::message(format!(
            "controller \"{}\" is already running in {} (process {})",
            running.name,
            session.home.path().display(),
            running.pid
        )));
    }
    check_machine()?;
    session.info(format_args!(
        "Creating Juju controller \"{name}\" on local/localhost"
    ));
    let mut daemon = spawn(session, args, name)?;
    if let Some(pid) = daemon.id() {
        let path = session.home.daemon_pid();
        std::fs::write(&path, format!("{pid}\n")).map_err(|source| CliError::File {
            action: "write",
            path,
            source,
        })?;
    }
    let mut attempts = tokio::time::interval(ATTEMPT);
    let deadline = tokio::time::sleep(START);
    tokio::pin!(deadline);
    loop {
        tokio::select! {
            () = &mut deadline => {
                let text = format!("the controller did not answer within {START:?}");
                let _ = daemon.start_kill();
                return Err(with_log(session, &text));
            }
            status = daemon.wait() => {
                let text = match status {
                    Ok(status) => format!("the controller ended at once ({status})"),
                    Err(error) => format!("the controller was lost ({error})"),
                };
                return Err(with_log(session, &text));
            }
            _ = attempts.tick() => {
                if session.controller().await.is_ok() {
                    break;
                }
            }
        }
    }
    session.info(format_args!(
        "Bootstrap complete, controller \"{name}\" is now available"
    ));
    session.info(format_args!(
        "\nAdd a model with \"juju-local add-model <name>\"."
    ));
    Ok(())
}

fn check_machine() -> Result<(), CliError> {
    if !nix::unistd::geteuid().is_root() {
        return Err(CliError::message(
            "bootstrap needs root: the model's pods get network namespaces, mounts and users of \
             their own. Run it with sudo",
        ));
    }
    let missing: Vec<&(&str, &str)> = PROGRAMS
        .iter()
        .filter(|(program, _)| !is_installed(program))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|(program, _)| *program).collect();
    let packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    Err(CliError::message(format!(
        "bootstrap needs {}, which this machine lacks. Install with: apt install {}",
        names.join(" and "),
        packages.join(" ")
    )))
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(std::path::PathBuf::from);
    std::env::split_paths(&path)
        .chain(usual)
        .any(|folder| folder.join(program).is_file())
}

/// Starts the daemon with nothing of this process's own: it makes a session of itself, its output
/// goes to its log, so that whoever reads this command's output sees its end.
fn spawn(
    session: &Session,
    args: &BootstrapArgs,
    name: &str,
) -> Result<tokio::process::Child, CliError> {
    let home = session.home.path();
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |source| CliError::File {
            action: "create",
            path,
            source,
        }
    };
    std::fs::create_dir_all(home).map_err(failed(home))?;
    let log_path = session.home.daemon_log();
    let log = std::fs::File::create(&log_path).map_err(failed(&log_path))?;
    let errors = log.try_clone().map_err(failed(&log_path))?;
    let program = std::env::current_exe().map_err(|source| CliError::Program {
        program: "juju-local".into(),
        source,
    })?;
    let mut command = tokio::process::Command::new(&program);
    command.arg("daemon").args(["--name", name]);
    command.args(["--juju", args.juju.name()]);
    match args.kubernetes.choice().map_err(CliError::message)? {
        Kubernetes::Embedded => {}
        Kubernetes::Real => {
            command.args(["--kubernetes", "real"]);
        }
        Kubernetes::At { url, ca, token } => {
            command.args(["--kubernetes", &url, "--kubernetes-ca"]);
            command.arg(ca).arg("--kubernetes-token").arg(token);
        }
    }
    command
        .env(HOME_VARIABLE, home)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::from(log))
        .stderr(Stdio::from(errors))
        .spawn()
        .map_err(|source| CliError::Program {
            program: program.display().to_string(),
            source,
        })
}

fn with_log(session: &Session, text: &str) -> CliError {
    let path = session.home.daemon_log();
    let log = std::fs::read_to_string(&path).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    let tail = lines
        .get(lines.len().saturating_sub(TAIL)..)
        .unwrap_or_default();
    CliError::message(format!(
        "{text}; the end of {}:\n{}",
        path.display(),
        tail.join("\n")
    ))
}
