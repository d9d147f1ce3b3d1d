//! The first process of a container: starts the server, passes signals on to it, and reaps what
//! every process of the container leaves behind.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

const PASSED_ON: [Signal; 6] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGQUIT,
];

/// Runs the server as a child and lives until it ends: its exit code, or 128 and the signal that
/// killed it.
pub(crate) fn supervise(args: &[String]) -> ExitCode {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGCHLD);
    for signal in PASSED_ON {
        signals.add(signal);
    }
    // Blocked, so that they wait for `wait` below. The child inherits this; the server begins by
    // unblocking everything.
    if let Err(error) = signals.thread_block() {
        eprintln!("cannot block signals: {error}");
        return ExitCode::FAILURE;
    }
    // The path would not do: the file at it may have been replaced since.
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = args.first() {
        command.arg0(name);
    }
    let child = match command.args(args.get(1..).unwrap_or_default()).spawn() {
        Ok(child) => child,
        Err(error) => {
            eprintln!("cannot start the server: {error}");
            return ExitCode::FAILURE;
        }
    };
    let server = Pid::from_raw(i32::try_from(child.id()).unwrap_or_default());
    loop {
        match signals.wait() {
            Ok(Signal::SIGCHLD) => {
                if let Some(code) = reap(server) {
                    return ExitCode::from(code);
                }
            }
            Ok(signal) => drop(kill(server, signal)),
            Err(_) => return ExitCode::FAILURE,
        }
    }
}

/// Reaps everything that has ended; the exit code of the server if it is among them.
fn reap(server: Pid) -> Option<u8> {
    let mut ended = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == server => {
                ended = Some(u8::try_from(code).unwrap_or(1));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == server => {
                ended = Some(128_u8.saturating_add(u8::try_from(signal as i32).unwrap_or(0)));
            }
            Ok(WaitStatus::StillAlive) | Err(_) => return ended,
            Ok(_) => {}
        }
    }
}
