//! The files API's work: read, write, make directories, remove; each failure in Go's words.

mod list;
pub(crate) mod multipart;
mod pattern;

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};

use crate::process::go_error;
use crate::users::{Owner, Wanted};

pub(crate) use list::list;

fn lenient<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A file or directory of a request, and how it is to be made.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct Item {
    #[serde(deserialize_with = "lenient")]
    pub path: String,
    #[serde(deserialize_with = "lenient")]
    make_dirs: bool,
    #[serde(deserialize_with = "lenient")]
    make_parents: bool,
    #[serde(deserialize_with = "lenient")]
    recursive: bool,
    #[serde(deserialize_with = "lenient")]
    permissions: String,
    user_id: Option<u32>,
    #[serde(deserialize_with = "lenient")]
    user: String,
    group_id: Option<u32>,
    #[serde(deserialize_with = "lenient")]
    group: String,
}

/// A failure as the API words it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Failure {
    pub message: String,
    pub kind: &'static str,
}

impl Failure {
    /// An operation on a path failed in the system.
    fn io(operation: &str, path: &str, error: &io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => "not-found",
            io::ErrorKind::PermissionDenied => "permission-denied",
            _ => "generic-file-error",
        };
        Self {
            kind,
            message: format!("{operation} {path}: {}", go_error(error)),
        }
    }

    pub fn generic(message: impl Into<String>) -> Self {
        Self {
            kind: "generic-file-error",
            message: message.into(),
        }
    }

    /// The HTTP status where the failure is the whole answer.
    pub fn status(&self) -> u16 {
        match self.kind {
            "not-found" => 404,
            "permission-denied" => 403,
            _ => 400,
        }
    }
}

/// The outcome for one path, as it stands in an answer.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
}

impl Outcome {
    pub fn new(path: &str, result: Result<(), Failure>) -> Self {
        Self {
            path: path.to_owned(),
            error: result.err(),
        }
    }
}

fn absolute(path: &str) -> Result<&Path, Failure> {
    if path.starts_with('/') {
        Ok(Path::new(path))
    } else {
        Err(Failure::generic(format!(
            "paths must be absolute, got \"{path}\""
        )))
    }
}

/// Opens a regular file.
pub(crate) fn open(path: &str) -> Result<File, Failure> {
    let target = absolute(path)?;
    let metadata = fs::metadata(target).map_err(|error| Failure::io("stat", path, &error))?;
    if !metadata.is_file() {
        return Err(Failure::generic(format!(
            "can only read a regular file: \"{path}\""
        )));
    }
    File::open(target).map_err(|error| Failure::io("open", path, &error))
}

impl Item {
    /// Mode and owner as asked for.
    fn rights(&self, default: u32) -> Result<(u32, Option<Owner>), Failure> {
        let mode = match self.permissions.as_str() {
            "" => default,
            text => u32::from_str_radix(text, 8)
                .ok()
                .filter(|_| text.len() == 3)
                .ok_or_else(|| {
                    let text =
                        format!("permissions must be a 3-digit octal string, got \"{text}\"");
                    Failure::generic(text)
                })?,
        };
        let wanted = Wanted {
            user_id: self.user_id,
            user: self.user.clone(),
            group_id: self.group_id,
            group: self.group.clone(),
        };
        let owner = wanted
            .resolve()
            .map_err(|why| Failure::generic(format!("cannot look up user and group: {why}")))?;
        Ok((mode, owner))
    }
}

fn own(path: &Path, owner: Option<Owner>) -> io::Result<()> {
    match owner {
        Some(owner) => chown(path, Some(owner.uid), Some(owner.gid)),
        None => Ok(()),
    }
}

/// Makes a directory beside its place, with its mode and owner, and moves it there.
fn make_one(path: &Path, mode: u32, owner: Option<Owner>) -> Result<(), Failure> {
    let shown = path.to_string_lossy();
    if fs::symlink_metadata(path).is_ok() {
        return Err(Failure::generic(format!("mkdir {shown}: file exists")));
    }
    let beside = PathBuf::from(format!("{shown}.mkdir-new"));
    let failed = |error: io::Error| Failure::io("mkdir", &beside.to_string_lossy(), &error);
    fs::create_dir(&beside).map_err(failed)?;
    let done = own(&beside, owner)
        .and_then(|()| fs::set_permissions(&beside, Permissions::from_mode(mode)))
        .and_then(|()| fs::rename(&beside, path));
    done.map_err(|error| {
        let _ = fs::remove_dir(&beside);
        failed(error)
    })
}

/// Makes what is missing of a path; what exists stays as it is.
fn make_all(path: &Path, mode: u32, owner: Option<Owner>) -> Result<(), Failure> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Ok(()),
        Ok(_) => {
            return Err(Failure::generic(format!(
                "mkdir {}: not a directory",
                path.display()
            )));
        }
        Err(_) => {}
    }
    if let Some(parent) = path.parent() {
        make_all(parent, mode, owner)?;
    }
    make_one(path, mode, owner)
}

/// Makes a directory.
pub(crate) fn make_dir(item: &Item) -> Result<(), Failure> {
    let target = absolute(&item.path)?;
    let (mode, owner) = item.rights(0o755)?;
    if item.make_parents {
        make_all(target, mode, owner)
    } else {
        make_one(target, mode, owner)
    }
}

/// Removes a file or a directory.
pub(crate) fn remove(item: &Item) -> Result<(), Failure> {
    let target = absolute(&item.path)?;
    let failed = |error: io::Error| Failure::io("remove", &item.path, &error);
    let metadata = match fs::symlink_metadata(target) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound && item.recursive => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    match (metadata.is_dir(), item.recursive) {
        (true, true) => fs::remove_dir_all(target),
        (true, false) => fs::remove_dir(target),
        (false, _) => fs::remove_file(target),
    }
    .map_err(failed)
}

/// A file on its way to its place: written beside it, moved when it is whole.
pub(crate) struct Beside {
    item: Item,
    path: PathBuf,
    mode: u32,
    owner: Option<Owner>,
    moved: bool,
}

impl Beside {
    /// Opens the file to be written.
    pub fn create(item: &Item) -> Result<(Self, File), Failure> {
        let target = absolute(&item.path)?;
        let (mode, owner) = item.rights(0o644)?;
        if let (true, Some(parent)) = (item.make_dirs, target.parent()) {
            make_all(parent, 0o755, owner)?;
        }
        if target
            .file_name()
            .is_some_and(|name| name.to_string_lossy().contains('*'))
        {
            return Err(Failure::generic(format!(
                "cannot create tempfile for filename containing '*': \"{}\"",
                item.path
            )));
        }
        let random = uuid::Uuid::new_v4().simple().to_string();
        let path = format!("{}.{}~", item.path, random.get(..12).unwrap_or(&random));
        let mut options = fs::OpenOptions::new();
        let file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| Failure::io("open", &path, &error))?;
        Ok((
            Self {
                item: item.clone(),
                path: path.into(),
                mode,
                owner,
                moved: false,
            },
            file,
        ))
    }

    pub fn failed(&self, error: &io::Error) -> Failure {
        Failure::io("write", &self.path.to_string_lossy(), error)
    }

    /// Moves the whole file to its place.
    pub fn finish(mut self, file: &File) -> Result<(), Failure> {
        let target = Path::new(&self.item.path);
        let done = file
            .sync_all()
            .and_then(|()| own(&self.path, self.owner))
            .and_then(|()| fs::set_permissions(&self.path, Permissions::from_mode(self.mode)));
        done.map_err(|error| self.failed(&error))?;
        fs::rename(&self.path, target).map_err(|error| {
            let both = format!("{} {}", self.path.display(), self.item.path);
            Failure::io("rename", &both, &error)
        })?;
        self.moved = true;
        if let Some(parent) = target.parent().and_then(|parent| File::open(parent).ok()) {
            let _ = parent.sync_all();
        }
        Ok(())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if !self.moved {
            let _ = fs::remove_file(&self.path);
        }
    }
}
