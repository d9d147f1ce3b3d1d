//! Lists of files, as the API has them.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use serde::Serialize;

use super::{Failure, pattern};
use crate::users;

/// A file as the API has it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Info {
    path: String,
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    permissions: String,
    last_modified: String,
    user_id: Option<u32>,
    user: String,
    group_id: Option<u32>,
    group: String,
}

/// Names of owners; most files of a directory have the same.
#[derive(Default)]
struct Names {
    users: HashMap<u32, String>,
    groups: HashMap<u32, String>,
}

impl Names {
    fn info(&mut self, path: String, name: String, metadata: &Metadata) -> Info {
        let (uid, gid) = (metadata.uid(), metadata.gid());
        let user = || users::by_id(uid).map(|user| user.name).unwrap_or_default();
        let modified = crate::time::Time::from_unix(metadata.mtime());
        Info {
            path,
            name,
            kind: kind(metadata),
            size: metadata.is_file().then_some(metadata.len()),
            permissions: format!("{:03o}", metadata.mode() & 0o777),
            last_modified: modified.seconds(),
            user_id: Some(uid),
            user: self.users.entry(uid).or_insert_with(user).clone(),
            group_id: Some(gid),
            group: self
                .groups
                .entry(gid)
                .or_insert_with(|| users::group_name(gid).unwrap_or_default())
                .clone(),
        }
    }
}

fn kind(metadata: &Metadata) -> &'static str {
    let kind = metadata.file_type();
    if kind.is_file() {
        "file"
    } else if kind.is_dir() {
        "directory"
    } else if kind.is_symlink() {
        "symlink"
    } else if kind.is_socket() {
        "socket"
    } else if kind.is_fifo() {
        "named-pipe"
    } else if kind.is_block_device() || kind.is_char_device() {
        "device"
    } else {
        "unknown"
    }
}

/// The entries of a directory whose names fit, or the one file.
pub(crate) fn list(path: &str, itself: bool, fitting: &str) -> Result<Vec<Info>, Failure> {
    if !path.starts_with('/') {
        return Err(Failure::generic(format!(
            "path must be absolute, got \"{path}\""
        )));
    }
    let metadata = fs::metadata(path).map_err(|error| Failure::io("stat", path, &error))?;
    let fits = |name: &str| {
        if fitting.is_empty() {
            return Ok(true);
        }
        pattern::fits(fitting, name).ok_or_else(|| Failure::generic("syntax error in pattern"))
    };
    let mut names = Names::default();
    if itself || !metadata.is_dir() {
        let trimmed = path.trim_end_matches('/');
        let name = trimmed
            .rsplit_once('/')
            .map_or("/", |(_, name)| name)
            .to_owned();
        let one = names.info(path.to_owned(), name.clone(), &metadata);
        return Ok(if fits(&name)? { vec![one] } else { Vec::new() });
    }
    let entries = fs::read_dir(path).map_err(|error| Failure::io("open", path, &error))?;
    let mut found = Vec::new();
    // A pattern is refused even where there is nothing that it could fit.
    fits("")?;
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let (true, Ok(metadata)) = (fits(&name)?, entry.metadata()) {
            let full = format!("{}/{name}", path.trim_end_matches('/'));
            found.push(names.info(full, name, &metadata));
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}
