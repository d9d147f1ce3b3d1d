//! How a command becomes a process: its program, rights, directory and environment, and why it
//! could not, in Go's words.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;

use tokio::process::Command;

use crate::users::{self, Wanted};

/// Whose rights a command has, and where and with what it runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Setting {
    pub user: Wanted,
    pub working_dir: String,
    pub environment: BTreeMap<String, String>,
}

/// The text of an error as Go has it: lower case, no number.
pub(crate) fn go_error(error: &io::Error) -> String {
    let text = match error.raw_os_error() {
        Some(number) => nix::errno::Errno::from_raw(number).desc().to_owned(),
        None => error.to_string(),
    };
    let mut chars = text.chars();
    chars
        .next()
        .map(|first| first.to_lowercase().chain(chars).collect())
        .unwrap_or_default()
}

/// Finds a program as Go's `exec.LookPath` does: by path, or in the server's own `PATH`.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let executable = |path: &PathBuf| {
        std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(executable);
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let mut directories = path
        .split(':')
        .map(|part| if part.is_empty() { "." } else { part });
    directories.find_map(|part| Some(PathBuf::from(part).join(program)).filter(executable))
}

/// Why a program could not be started.
pub(crate) fn spawn_error(program: &str, directory: &str, error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::NotFound && !directory.is_empty() {
        let missing = !std::path::Path::new(directory).is_dir();
        if missing {
            return format!("chdir {directory}: no such file or directory");
        }
    }
    format!("fork/exec {program}: {}", go_error(error))
}

/// A command with these words, in a process group of its own.
pub(crate) fn command(argv: &[String], setting: &Setting) -> Result<Command, String> {
    let mut command = ungrouped(argv, setting)?;
    command.process_group(0);
    Ok(command)
}

/// A command with these words. The program is looked up in the server's `PATH`; supplementary
/// groups are dropped with the user, as Pebble does.
pub(crate) fn ungrouped(argv: &[String], setting: &Setting) -> Result<Command, String> {
    let Some((name, rest)) = argv.split_first() else {
        return Err("must specify command".to_owned());
    };
    let program = if name.contains('/') {
        Some(PathBuf::from(name))
    } else {
        find(name)
    };
    let program =
        program.ok_or_else(|| format!("exec: \"{name}\": executable file not found in $PATH"))?;
    let mut command = Command::new(program);
    command.arg0(name).args(rest).envs(&setting.environment);
    if let Some(owner) = setting.user.resolve()?.filter(|owner| !owner.is_current()) {
        command.uid(owner.uid).gid(owner.gid);
    }
    if !setting.working_dir.is_empty() {
        command.current_dir(&setting.working_dir);
    }
    Ok(command)
}

/// Adds the home directory and the name of a user where the environment does not say them.
pub(crate) fn add_home(environment: &mut BTreeMap<String, String>, uid: u32) {
    let Some(user) = users::by_id(uid) else {
        return;
    };
    let home = user.dir.to_string_lossy().into_owned();
    for (key, value) in [("HOME", home), ("USER", user.name)] {
        if environment.get(key).is_none_or(String::is_empty) {
            environment.insert(key.to_owned(), value);
        }
    }
}

/// An exit code; 128 and the signal for who was killed by one.
pub(crate) fn exit_code(status: ExitStatus) -> i32 {
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

/// Sends SIGKILL to a process group.
pub(crate) fn kill_group(pid: i32) {
    signal_group(pid, nix::sys::signal::Signal::SIGKILL);
}

/// Sends a signal to a process group; that it is gone already is no matter.
pub(crate) fn signal_group(pid: i32, signal: nix::sys::signal::Signal) {
    let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(pid), signal);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_by_path_or_name() {
        assert!(find("sh").is_some_and(|path| path.is_absolute()));
        assert!(find("/bin/sh").is_some());
        assert!(find("no-such-program").is_none());
        assert!(find("/etc/passwd").is_none(), "not executable");
    }

    #[test]
    fn errors_read_as_in_go() {
        let error = io::Error::from_raw_os_error(nix::libc::ENOENT);
        assert_eq!(go_error(&error), "no such file or directory");
        assert_eq!(
            spawn_error("/x", "", &error),
            "fork/exec /x: no such file or directory"
        );
    }
}
