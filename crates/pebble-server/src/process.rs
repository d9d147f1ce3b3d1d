//! Starting processes as other users: by a second start of this program, which takes the user's
//! groups, group and id and then becomes the command.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::unix::process::CommandExt;
use std::process::{ExitCode, Stdio};

use nix::unistd::{Gid, Group, Uid, User, initgroups, setgid, setuid};
use tokio::process::Command;

/// Whose rights a command has, and where and with what it runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Setting {
    pub user: Option<String>,
    pub group: Option<String>,
    pub user_id: Option<u32>,
    pub group_id: Option<u32>,
    pub working_dir: Option<String>,
    pub environment: BTreeMap<String, String>,
}

/// A user and a group by their numbers.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    pub uid: u32,
    pub gid: u32,
    pub user: Option<User>,
}

/// Looks a user and a group up; none where neither is named.
pub(crate) fn owner(
    user: Option<&str>,
    user_id: Option<u32>,
    group: Option<&str>,
    group_id: Option<u32>,
) -> Result<Option<Owner>, String> {
    let user = user.filter(|name| !name.is_empty());
    let group = group.filter(|name| !name.is_empty());
    let found = match (user, user_id) {
        (Some(name), id) => {
            let found = User::from_name(name).ok().flatten();
            let found = found.ok_or_else(|| format!("user: unknown user {name}"))?;
            if id.is_some_and(|id| id != found.uid.as_raw()) {
                return Err(format!(
                    "user \"{name}\" UID ({}) does not match user-id ({})",
                    found.uid,
                    id.unwrap_or_default()
                ));
            }
            Some(found)
        }
        (None, Some(id)) => User::from_uid(Uid::from_raw(id)).ok().flatten(),
        (None, None) => None,
    };
    let uid = found.as_ref().map(|user| user.uid.as_raw()).or(user_id);
    let gid = match (group, group_id) {
        (Some(name), _) => {
            let found = Group::from_name(name).ok().flatten();
            Some(found.ok_or_else(|| format!("group: unknown group {name}"))?.gid.as_raw())
        }
        (None, Some(id)) => Some(id),
        (None, None) => None,
    };
    let Some(uid) = uid else {
        return match gid {
            Some(_) => Err("must specify user, not just group".to_owned()),
            None => Ok(None),
        };
    };
    let gid = match (gid, &found) {
        (Some(gid), _) => gid,
        (None, Some(user)) => user.gid.as_raw(),
        (None, None) => return Err(format!("user: unknown userid {uid}")),
    };
    Ok(Some(Owner { uid, gid, user: found }))
}

/// A command ready to be started, in a process group of its own, with pipes.
pub(crate) fn command(argv: &[String], setting: &Setting) -> Result<Command, String> {
    let owner = owner(
        setting.user.as_deref(),
        setting.user_id,
        setting.group.as_deref(),
        setting.group_id,
    )?;
    let Some(program) = argv.first() else { return Err("must specify command".to_owned()) };
    let mut command = match &owner {
        Some(owner) if owner.uid != Uid::current().as_raw() => {
            let own = std::env::current_exe().map_err(|error| error.to_string())?;
            let mut command = std::process::Command::new(own);
            let name = owner.user.as_ref().map(|user| user.name.clone()).unwrap_or_default();
            command
                .arg0("pebble")
                .args(["__exec", &owner.uid.to_string(), &owner.gid.to_string(), &name])
                .args(argv);
            Command::from(command)
        }
        _ => {
            let mut command = Command::new(program);
            command.args(argv.get(1..).unwrap_or_default());
            command
        }
    };
    if let Some(user) = owner.as_ref().and_then(|owner| owner.user.as_ref()) {
        command.env("HOME", &user.dir).env("USER", &user.name);
    }
    command.envs(&setting.environment);
    if let Some(directory) = setting.working_dir.as_deref().filter(|path| !path.is_empty()) {
        command.current_dir(directory);
    }
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command)
}

/// `pebble __exec UID GID USER COMMAND...`: becomes the command with that user's rights.
pub(crate) fn exec_as(args: &[String]) -> ExitCode {
    let [uid, gid, user, program, rest @ ..] = args else { return ExitCode::from(126) };
    let (Ok(uid), Ok(gid)) = (uid.parse(), gid.parse()) else { return ExitCode::from(126) };
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    if let (false, Ok(name)) = (user.is_empty(), CString::new(user.as_str()))
        && let Err(error) = initgroups(&name, gid)
    {
        eprintln!("cannot take the groups of {user}: {error}");
        return ExitCode::from(126);
    }
    if let Err(error) = setgid(gid).and_then(|()| setuid(uid)) {
        eprintln!("cannot become user {uid}: {error}");
        return ExitCode::from(126);
    }
    let error = std::process::Command::new(program).args(rest).exec();
    eprintln!("cannot run {program}: {error}");
    ExitCode::from(127)
}

/// Whether a program can be found, by path or in `PATH`.
pub(crate) fn find(program: &str) -> bool {
    if program.contains('/') {
        return std::fs::metadata(program).is_ok();
    }
    std::env::var("PATH").unwrap_or_default().split(':').any(|directory| {
        std::path::Path::new(directory).join(program).is_file()
    })
}

/// Splits a command line as a POSIX shell splits words; a trailing `[ default arguments ]` loses
/// its brackets.
pub(crate) fn split(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\n' => words.extend(word.take()),
            '#' if word.is_none() => {
                for skipped in chars.by_ref() {
                    if skipped == '\n' {
                        break;
                    }
                }
            }
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('\'') => break,
                        Some(inner) => word.push(inner),
                        None => return Err("EOF found when expecting closing quote".to_owned()),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('"') => break,
                        Some('\\') => word.extend(chars.next()),
                        Some(inner) => word.push(inner),
                        None => return Err("EOF found when expecting closing quote".to_owned()),
                    }
                }
            }
            '\\' => word.get_or_insert_default().extend(chars.next()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    if let Some(open) = words.iter().position(|word| word == "[") {
        if words.last().map(String::as_str) != Some("]") {
            return Err("cannot have any arguments after [ ... ] group".to_owned());
        }
        if open == 0 {
            return Err("cannot start command with [ ... ] group".to_owned());
        }
        words.retain(|word| word != "[" && word != "]");
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_are_split_like_a_shell_does() {
        let words = |text: &str| split(text).unwrap();
        assert_eq!(words(r#"a "b c" 'd "e"' f\ g"#), ["a", "b c", "d \"e\"", "f g"]);
        assert_eq!(words("sh -c '' # rest"), ["sh", "-c", ""]);
        assert_eq!(words("run --x [ --default ]"), ["run", "--x", "--default"]);
        assert!(split("a 'b").is_err());
    }
}
