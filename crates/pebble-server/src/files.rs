//! The files API.

use std::fs::{self, Metadata};
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::Path;

use nix::unistd::{Gid, Group, Uid, User};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::process::owner;

/// How a file or directory is to be made.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Item {
    pub path: String,
    #[serde(default)]
    pub make_dirs: bool,
    #[serde(default)]
    pub make_parents: bool,
    #[serde(default)]
    pub recursive: bool,
    permissions: Option<String>,
    user_id: Option<u32>,
    user: Option<String>,
    group_id: Option<u32>,
    group: Option<String>,
}

/// A failure as the API words it.
pub(crate) struct Failure {
    pub kind: &'static str,
    pub message: String,
}

impl Failure {
    fn new(what: &str, error: &std::io::Error) -> Self {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => "not-found",
            std::io::ErrorKind::PermissionDenied => "permission-denied",
            _ => "generic-file-error",
        };
        let text = error.to_string();
        let text = text.split(" (os error").next().unwrap_or_default().to_lowercase();
        Self { kind, message: format!("{what}: {text}") }
    }

    fn generic(message: impl Into<String>) -> Self {
        Self { kind: "generic-file-error", message: message.into() }
    }

    pub fn status(&self) -> u16 {
        match self.kind {
            "not-found" => 404,
            "permission-denied" => 403,
            _ => 400,
        }
    }
}

/// The outcome for one path, as it stands in an answer.
pub(crate) fn outcome(path: &str, result: Result<(), Failure>) -> Value {
    match result {
        Ok(()) => json!({"path": path}),
        Err(error) => {
            json!({"path": path, "error": {"kind": error.kind, "message": error.message}})
        }
    }
}

fn absolute(path: &str) -> Result<&Path, Failure> {
    if path.starts_with('/') {
        Ok(Path::new(path))
    } else {
        Err(Failure::generic(format!("paths must be absolute, got \"{path}\"")))
    }
}

pub(crate) fn list(path: &str, itself: bool, pattern: Option<&str>) -> Result<Vec<Value>, Failure> {
    let target = absolute(path)?;
    let failed = |error: std::io::Error| Failure::new(&format!("stat {path}"), &error);
    let metadata = fs::metadata(target).map_err(failed)?;
    let fits = |name: &str| pattern.is_none_or(|pattern| matches(pattern, name));
    if itself || !metadata.is_dir() {
        let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let one = info(path, &name, &metadata);
        return Ok(if fits(&name) { vec![one] } else { vec![] });
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(target).map_err(failed)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let (true, Ok(metadata)) = (fits(&name), entry.metadata()) {
            let full = format!("{}/{name}", path.trim_end_matches('/'));
            found.push((name.clone(), info(&full, &name, &metadata)));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found.into_iter().map(|(_, value)| value).collect())
}

fn info(path: &str, name: &str, metadata: &Metadata) -> Value {
    let kind = metadata.file_type();
    let word = if kind.is_file() {
        "file"
    } else if kind.is_dir() {
        "directory"
    } else if kind.is_symlink() {
        "symlink"
    } else if kind.is_socket() {
        "socket"
    } else if kind.is_fifo() {
        "named-pipe"
    } else {
        "device"
    };
    let user = User::from_uid(Uid::from_raw(metadata.uid())).ok().flatten();
    let group = Group::from_gid(Gid::from_raw(metadata.gid())).ok().flatten();
    let modified = jiff::Timestamp::from_second(metadata.mtime()).unwrap_or_default();
    let mut value = json!({
        "path": path,
        "name": name,
        "type": word,
        "permissions": format!("{:03o}", metadata.mode() & 0o777),
        "last-modified": modified.to_string(),
        "user-id": metadata.uid(),
        "user": user.map(|user| user.name).unwrap_or_default(),
        "group-id": metadata.gid(),
        "group": group.map(|group| group.name).unwrap_or_default(),
    });
    if let (true, Some(map)) = (kind.is_file(), value.as_object_mut()) {
        map.insert("size".into(), json!(metadata.len()));
    }
    value
}

/// A shell pattern with `*` and `?`.
fn matches(pattern: &str, name: &str) -> bool {
    match (pattern.chars().next(), name.chars().next()) {
        (None, None) => true,
        (Some('*'), _) => {
            let rest = pattern.get(1..).unwrap_or_default();
            name.char_indices()
                .map(|(at, _)| at)
                .chain([name.len()])
                .any(|at| matches(rest, name.get(at..).unwrap_or_default()))
        }
        (Some(p), Some(n)) if p == '?' || p == n => matches(
            pattern.get(p.len_utf8()..).unwrap_or_default(),
            name.get(n.len_utf8()..).unwrap_or_default(),
        ),
        _ => false,
    }
}

pub(crate) fn read(path: &str) -> Result<Vec<u8>, Failure> {
    let target = absolute(path)?;
    let failed = |error: std::io::Error| Failure::new(&format!("stat {path}"), &error);
    if !fs::metadata(target).map_err(failed)?.is_file() {
        return Err(Failure::generic(format!("can only read a regular file: \"{path}\"")));
    }
    fs::read(target).map_err(|error| Failure::new(&format!("open {path}"), &error))
}

/// Mode and owner as asked for.
fn rights(item: &Item, default: u32) -> Result<(u32, Option<(u32, u32)>), Failure> {
    let mode = match item.permissions.as_deref().filter(|text| !text.is_empty()) {
        None => default,
        Some(text) => u32::from_str_radix(text, 8).ok().filter(|_| text.len() == 3).ok_or_else(
            || {
                Failure::generic(format!(
                    "permissions must be a 3-digit octal string, got \"{text}\""
                ))
            },
        )?,
    };
    let owner = owner(item.user.as_deref(), item.user_id, item.group.as_deref(), item.group_id)
        .map_err(|why| Failure::generic(format!("cannot look up user and group: {why}")))?;
    Ok((mode, owner.map(|owner| (owner.uid, owner.gid))))
}

fn own(path: &Path, owner: Option<(u32, u32)>) -> std::io::Result<()> {
    match owner {
        Some((uid, gid)) => chown(path, Some(uid), Some(gid)),
        None => Ok(()),
    }
}

/// Makes missing directories down to this one, with this owner.
fn make_parents(path: &Path, mode: u32, owner: Option<(u32, u32)>) -> std::io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_parents(parent, 0o755, owner)?;
    }
    fs::create_dir(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    own(path, owner)
}

/// Writes a file beside its place and moves it there.
pub(crate) fn write(item: &Item, content: &[u8]) -> Result<(), Failure> {
    let target = absolute(&item.path)?;
    let (mode, owner) = rights(item, 0o644)?;
    let failed = |error: std::io::Error| Failure::new(&format!("open {}", item.path), &error);
    if let (true, Some(parent)) = (item.make_dirs, target.parent()) {
        make_parents(parent, 0o755, owner).map_err(failed)?;
    }
    let beside = format!("{}.{}~", item.path, uuid::Uuid::new_v4().simple());
    let done = (|| {
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(content)?;
        file.sync_all()?;
        own(Path::new(&beside), owner)?;
        fs::set_permissions(&beside, fs::Permissions::from_mode(mode))?;
        fs::rename(&beside, target)
    })();
    done.map_err(|error| {
        let _ = fs::remove_file(&beside);
        failed(error)
    })
}

pub(crate) fn make_dir(item: &Item) -> Result<(), Failure> {
    let target = absolute(&item.path)?;
    let (mode, owner) = rights(item, 0o755)?;
    let failed = |error: std::io::Error| Failure::new(&format!("mkdir {}", item.path), &error);
    if item.make_parents {
        return make_parents(target, mode, owner).map_err(failed);
    }
    fs::create_dir(target).map_err(failed)?;
    fs::set_permissions(target, fs::Permissions::from_mode(mode)).map_err(failed)?;
    own(target, owner).map_err(failed)
}

pub(crate) fn remove(item: &Item) -> Result<(), Failure> {
    let target = absolute(&item.path)?;
    let failed = |error: std::io::Error| Failure::new(&format!("remove {}", item.path), &error);
    let metadata = match fs::symlink_metadata(target) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && item.recursive => {
            return Ok(());
        }
        Err(error) => return Err(failed(error)),
    };
    match (metadata.is_dir(), item.recursive) {
        (true, true) => fs::remove_dir_all(target),
        (true, false) => fs::remove_dir(target),
        (false, _) => fs::remove_file(target),
    }
    .map_err(failed)
}
