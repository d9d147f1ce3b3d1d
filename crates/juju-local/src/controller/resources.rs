//! Resources: files and image references, kept where the pods of their application see them.

use std::path::{Path, PathBuf};

use juju_local_api::ErrorKind;
use serde_json::Value;

use super::charm::Charm;
use super::model::{App, Outcome, refuse};

/// Where a pod's agent sees the charms and resources of its model.
const SEEN: &str = "/var/lib/juju-local/charms";

/// Folder of an application's resource below the model's charms.
fn folder(app: &str, name: &str) -> PathBuf {
    Path::new("resources").join(app).join(name)
}

fn file_name(spec: &Value, value: &str) -> String {
    let named = spec.get("filename").and_then(Value::as_str);
    let given = || {
        Path::new(value)
            .file_name()
            .map(|name| name.to_string_lossy())
    };
    let name = named.map_or_else(|| given().unwrap_or_default().into_owned(), str::to_owned);
    // A charm's word is not a way out of the folder.
    let last = Path::new(&name).file_name();
    last.map_or_else(
        || "resource".into(),
        |name| name.to_string_lossy().into_owned(),
    )
}

fn is_file(spec: &Value) -> bool {
    spec.get("type").and_then(Value::as_str) == Some("file")
}

/// Keeps a resource that was given with a charm.
pub(super) fn keep(
    charms: &Path,
    charm: &Charm,
    app: &str,
    name: &str,
    value: &str,
) -> Outcome<()> {
    let Some(spec) = charm.resources.get(name) else {
        return refuse(
            ErrorKind::BadRequest,
            format!("unrecognized resource \"{name}\""),
        );
    };
    if !is_file(spec) {
        check_overlay(name, value)?;
    }
    let folder = charms.join(folder(app, name));
    let failed = |error: std::io::Error| {
        let text = format!("cannot keep resource \"{name}\" from {value}: {error}");
        juju_local_api::ApiError::new(ErrorKind::BadRequest, text)
    };
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).map_err(failed)?;
    if is_file(spec) {
        std::fs::copy(value, folder.join(file_name(spec, value))).map_err(failed)?;
    } else {
        std::fs::write(folder.join("content.yaml"), image(value)).map_err(failed)?;
    }
    Ok(())
}

/// The folder that an image's value names: its files lie over the machine's own in the containers of
/// that image. All other values are references, and nothing is pulled.
pub(super) fn overlay(value: &str) -> Option<PathBuf> {
    let path = Path::new(value);
    path.is_absolute().then(|| path.to_owned())
}

fn check_overlay(name: &str, value: &str) -> Outcome<()> {
    // No reference begins with a dot; the client makes each path absolute that is there.
    let path = overlay(value).or_else(|| value.starts_with('.').then(|| value.into()));
    let Some(path) = path else {
        return Ok(());
    };
    // They part and escape the words of a mount's options.
    let words = [':', ',', '\\'];
    let why = if path.is_relative() || !path.is_dir() {
        "no folder is there"
    } else if value.contains(words) {
        "its path has a colon, a comma or a backslash"
    } else {
        return Ok(());
    };
    let text =
        format!("cannot lay resource \"{name}\" over the machine's files, from {value}: {why}");
    refuse(ErrorKind::BadRequest, text)
}

fn image(path: &str) -> String {
    let quoted = serde_json::to_string(path).unwrap_or_default();
    format!("registrypath: {quoted}\nusername: \"\"\npassword: \"\"\n")
}

/// Where a pod finds a resource.
pub(super) fn find(charms: &Path, app: &App, name: &str) -> Outcome<String> {
    let missing = |why: &str| {
        let text = format!("could not download resource: resource \"{name}\" {why}");
        refuse(ErrorKind::NotFound, text)
    };
    let Some(spec) = app.charm.resources.get(name) else {
        return missing("not found");
    };
    let place = folder(&app.name, name);
    let upstream = spec.get("upstream-source").and_then(Value::as_str);
    if let (false, false, Some(upstream)) = (charms.join(&place).exists(), is_file(spec), upstream)
    {
        keep(charms, &app.charm, &app.name, name, upstream)?;
    }
    let mut files = std::fs::read_dir(charms.join(&place)).into_iter().flatten();
    match files.next() {
        Some(Ok(file)) => {
            let path = Path::new(SEEN).join(place).join(file.file_name());
            Ok(path.to_string_lossy().into_owned())
        }
        _ => missing("was not given"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_image_is_a_reference_or_a_folder_that_is_there() {
        assert_eq!(overlay("ghcr.io/a/b@sha256:0="), None);
        check_overlay("image", "ghcr.io/a/b@sha256:0=").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        check_overlay("image", &path).unwrap();
        assert_eq!(overlay(&path).as_deref(), Some(folder.path()));
        let refused = check_overlay("image", &format!("{path}/none")).unwrap_err();
        assert!(
            refused.message.ends_with("no folder is there"),
            "{refused:?}"
        );
        assert!(check_overlay("image", "./none").is_err());
        let odd = folder.path().join("a:b");
        std::fs::create_dir(&odd).unwrap();
        let refused = check_overlay("image", &odd.display().to_string()).unwrap_err();
        assert!(refused.message.contains("a colon"), "{refused:?}");
    }

    #[test]
    fn a_file_has_the_charms_name_for_it_and_stays_in_its_folder() {
        assert_eq!(file_name(&json!({"filename": "a.txt"}), "/x/b"), "a.txt");
        assert_eq!(file_name(&json!({"filename": "../../a"}), "/x/b"), "a");
        assert_eq!(file_name(&json!({}), "/x/b"), "b");
        assert_eq!(file_name(&json!({"filename": ".."}), "/x/b"), "resource");
    }
}
