//! Charms: read from a folder or a packed file into the controller's own store.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use juju_local_api::{ApiError, ErrorKind};
use serde::Deserialize;
use serde_json::Value;

use super::model::{Outcome, refuse};
use super::schema;

/// A charm.
#[derive(Debug, Clone, Default)]
pub(super) struct Charm {
    pub name: String,
    pub endpoints: BTreeMap<String, Endpoint>,
    pub containers: BTreeMap<String, Container>,
    pub storage: BTreeMap<String, StorageSpec>,
    pub options: BTreeMap<String, OptionSpec>,
    pub actions: BTreeMap<String, Value>,
    pub resources: BTreeMap<String, Value>,
    pub extra_bindings: Vec<String>,
    /// What its file `version` says.
    pub version: String,
    /// Its hooks run as somebody else than root.
    pub user: Option<u32>,
}

/// Who runs the hooks of a charm with `charm-user: non-root`.
const NON_ROOT: u32 = 170;

/// An endpoint.
#[derive(Debug, Clone, Default)]
pub(super) struct Endpoint {
    /// `peer`, `provider`, `requirer`.
    pub role: String,
    pub interface: String,
    pub limit: Option<u32>,
}

/// A workload container.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Container {
    /// Name of the resource that is its image.
    #[serde(default)]
    pub resource: Option<String>,
    /// The folder that this resource named when the pod was planned.
    #[serde(skip)]
    pub image: Option<PathBuf>,
    /// Who its Pebble is to run as.
    #[serde(default)]
    pub uid: Option<u32>,
    #[serde(default)]
    pub gid: Option<u32>,
    #[serde(default)]
    pub mounts: Vec<MountSpec>,
}

/// A storage in a container.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct MountSpec {
    pub storage: String,
    #[serde(default)]
    pub location: String,
}

/// A storage.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct StorageSpec {
    #[serde(default)]
    pub location: String,
}

/// An option.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct OptionSpec {
    #[serde(rename = "type", default)]
    pub kind: String,
    #[serde(default)]
    pub default: Value,
    #[serde(default)]
    pub description: String,
}

fn bad(text: impl Into<String>) -> ApiError {
    ApiError::new(ErrorKind::BadRequest, text)
}

/// Copies a charm into the store and reads it.
pub(super) fn load(path: &str, store: &Path) -> Outcome<Charm> {
    let source = Path::new(path);
    let _ = fs::remove_dir_all(store);
    let copied = if source.is_dir() {
        copy(source, store)
    } else {
        unpack(source, store)
    };
    copied.map_err(|error| bad(format!("cannot read the charm {path}: {error}")))?;
    split(store)?;
    read(store).inspect_err(|_| drop(fs::remove_dir_all(store)))
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if entry.file_name() == ".git" || entry.file_name() == "target" {
            continue;
        }
        if kind.is_dir() {
            copy(&entry.path(), &target)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path())?, target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn unpack(from: &Path, to: &Path) -> std::io::Result<()> {
    let mut archive = zip::ZipArchive::new(fs::File::open(from)?)?;
    for index in 0..archive.len() {
        let mut file = archive.by_index(index)?;
        // A name that leads out of the folder is left out.
        let Some(name) = file.enclosed_name() else {
            continue;
        };
        let target = to.join(name);
        if file.is_dir() {
            fs::create_dir_all(&target)?;
            continue;
        }
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut content = Vec::new();
        file.read_to_end(&mut content)?;
        fs::write(&target, content)?;
        if let Some(mode) = file.unix_mode() {
            fs::set_permissions(&target, fs::Permissions::from_mode(mode & 0o777))?;
        }
    }
    Ok(())
}

/// Makes of a source's one file what `charmcraft pack` makes of it: charms look for the three.
fn split(folder: &Path) -> Outcome<()> {
    let Some(Value::Object(unified)) = yaml(folder, "charmcraft.yaml")? else {
        return Ok(());
    };
    if !unified.contains_key("name") || folder.join("metadata.yaml").exists() {
        return Ok(());
    }
    let write = |name: &str, value: &Value| {
        let path = folder.join(name);
        let text = serde_yaml::to_string(value).map_err(|error| error.to_string());
        let written = text.and_then(|text| fs::write(path, text).map_err(|e| e.to_string()));
        written.map_err(|error| bad(format!("cannot write the charm's {name}: {error}")))
    };
    for key in ["config", "actions"] {
        let name = format!("{key}.yaml");
        if let Some(value) = unified.get(key).filter(|_| !folder.join(&name).exists()) {
            write(&name, value)?;
        }
    }
    let building = [
        "actions",
        "analysis",
        "base",
        "bases",
        "build-base",
        "charm-libs",
        "charmhub",
        "config",
        "parts",
        "platforms",
        "type",
    ];
    let mut metadata = unified;
    metadata.retain(|key, _| !building.contains(&key.as_str()));
    write("metadata.yaml", &Value::Object(metadata))
}

fn yaml(folder: &Path, name: &str) -> Outcome<Option<Value>> {
    let Ok(text) = fs::read_to_string(folder.join(name)) else {
        return Ok(None);
    };
    let value = serde_yaml::from_str(&text);
    value
        .map(Some)
        .map_err(|error| bad(format!("cannot read the charm's {name}: {error}")))
}

fn section<T: serde::de::DeserializeOwned>(
    value: &Value,
    key: &str,
) -> Outcome<BTreeMap<String, T>> {
    let map = value.get(key).cloned().unwrap_or(Value::Null);
    if map.is_null() {
        return Ok(BTreeMap::new());
    }
    serde_json::from_value(map)
        .map_err(|error| bad(format!("cannot read the charm's {key}: {error}")))
}

fn read(folder: &Path) -> Outcome<Charm> {
    let unified = yaml(folder, "charmcraft.yaml")?.unwrap_or(Value::Null);
    let metadata = yaml(folder, "metadata.yaml")?.unwrap_or_else(|| unified.clone());
    let Some(name) = metadata.get("name").and_then(Value::as_str) else {
        return refuse(
            ErrorKind::BadRequest,
            "the charm has no metadata.yaml with a name",
        );
    };
    if metadata.get("subordinate").and_then(Value::as_bool) == Some(true) {
        return refuse(
            ErrorKind::BadRequest,
            "subordinate charms are not supported on Kubernetes",
        );
    }
    let containers = section(&metadata, "containers")?;
    let user = charm_user(&metadata)?;
    check_users(&containers)?;
    let mut endpoints = BTreeMap::new();
    for (key, role) in [
        ("provides", "provider"),
        ("requires", "requirer"),
        ("peers", "peer"),
    ] {
        for (endpoint, spec) in section::<Value>(&metadata, key)? {
            let interface = spec
                .get("interface")
                .and_then(Value::as_str)
                .or(spec.as_str());
            let limit = spec.get("limit").and_then(Value::as_u64);
            endpoints.insert(
                endpoint,
                Endpoint {
                    role: role.to_owned(),
                    interface: interface.unwrap_or_default().to_owned(),
                    limit: limit.and_then(|limit| u32::try_from(limit).ok()),
                },
            );
        }
    }
    let config = yaml(folder, "config.yaml")?
        .or_else(|| unified.get("config").cloned())
        .unwrap_or(Value::Null);
    let actions = match yaml(folder, "actions.yaml")? {
        Some(Value::Object(map)) => map.into_iter().collect(),
        Some(_) => BTreeMap::new(),
        None => section(&unified, "actions")?,
    };
    let bindings: BTreeMap<String, Value> = section(&metadata, "extra-bindings")?;
    Ok(Charm {
        name: name.to_owned(),
        endpoints,
        containers,
        storage: section(&metadata, "storage")?,
        options: section(&config, "options")?,
        actions,
        resources: section(&metadata, "resources")?,
        extra_bindings: bindings.into_keys().collect(),
        version: fs::read_to_string(folder.join("version"))
            .map(|text| text.lines().next().unwrap_or_default().to_owned())
            .unwrap_or_default(),
        user,
    })
}

/// Who runs the hooks, if it is not root.
fn charm_user(metadata: &Value) -> Outcome<Option<u32>> {
    match metadata.get("charm-user").map(Value::as_str) {
        None | Some(Some("root")) => Ok(None),
        Some(Some("non-root")) => Ok(Some(NON_ROOT)),
        Some(Some("sudoer")) => refuse(
            ErrorKind::BadRequest,
            "charm-user sudoer is not supported: the pods of the local model have no such user; \
             use root or non-root",
        ),
        _ => refuse(
            ErrorKind::BadRequest,
            "charm-user is not valid, expected one of root, sudoer or non-root",
        ),
    }
}

/// Refuses what would be ignored: the workload's Pebble always runs as root here.
fn check_users(containers: &BTreeMap<String, Container>) -> Outcome<()> {
    for (name, container) in containers {
        let other = |id: Option<u32>| id.is_some_and(|id| id != 0);
        if other(container.uid) || other(container.gid) {
            let text = format!(
                "uid and gid of container \"{name}\" are not supported: in the local model a \
                 workload's Pebble runs as root; leave them out"
            );
            return refuse(ErrorKind::BadRequest, text);
        }
    }
    Ok(())
}

impl Charm {
    /// The options in force, and those without a value.
    pub fn values(&self, set: &BTreeMap<String, Value>) -> (BTreeMap<String, Value>, Vec<String>) {
        let mut values = BTreeMap::new();
        let mut unset = Vec::new();
        for (name, spec) in &self.options {
            let value = set
                .get(name)
                .cloned()
                .unwrap_or_else(|| spec.default.clone());
            if value.is_null() {
                unset.push(name.clone());
            } else {
                values.insert(name.clone(), value);
            }
        }
        (values, unset)
    }

    /// A value for an option, from text.
    pub fn option_value(&self, name: &str, text: &str) -> Outcome<Value> {
        let Some(spec) = self.options.get(name) else {
            return refuse(ErrorKind::BadRequest, format!("unknown option \"{name}\""));
        };
        let value = match spec.kind.as_str() {
            "int" => text.parse::<i64>().ok().map(Value::from),
            "float" => text.parse::<f64>().ok().map(Value::from),
            "boolean" => match text.to_lowercase().as_str() {
                "true" => Some(Value::Bool(true)),
                "false" => Some(Value::Bool(false)),
                _ => None,
            },
            "secret" => (text.is_empty() || text.starts_with("secret:")).then(|| Value::from(text)),
            _ => Some(Value::from(text)),
        };
        value.ok_or_else(|| {
            let kind = &spec.kind;
            bad(format!("option \"{name}\" expected {kind}, got \"{text}\""))
        })
    }

    /// Checks an action's parameters, and fills in defaults.
    pub fn action_params(&self, name: &str, params: &Value) -> Outcome<Value> {
        let Some(spec) = self.actions.get(name) else {
            return refuse(
                ErrorKind::NotFound,
                format!("action \"{name}\" not defined on the charm"),
            );
        };
        let mut given = params.as_object().cloned().unwrap_or_default();
        let properties = spec
            .get("params")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        if spec.get("additionalProperties") == Some(&Value::Bool(false))
            && let Some(unknown) = given.keys().find(|key| !properties.contains_key(*key))
        {
            return refuse(
                ErrorKind::BadRequest,
                format!(
                    "validation failed: (root) : additional property \"{unknown}\" is not allowed"
                ),
            );
        }
        for (key, property) in &properties {
            if let (false, Some(default)) = (given.contains_key(key), property.get("default")) {
                given.insert(key.clone(), default.clone());
            }
            let Some(value) = given.get(key) else {
                continue;
            };
            if let Err(text) = schema::check(&format!("(root).{key}"), property, value) {
                return refuse(ErrorKind::BadRequest, format!("validation failed: {text}"));
            }
        }
        for required in spec
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let key = required.as_str().unwrap_or_default();
            if !given.contains_key(key) {
                return refuse(
                    ErrorKind::BadRequest,
                    format!(
                        "validation failed: (root) : \"{key}\" property is missing and required"
                    ),
                );
            }
        }
        Ok(Value::Object(given))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_metadata(text: &str) -> Outcome<Charm> {
        let source = tempfile::tempdir().unwrap();
        fs::write(source.path().join("metadata.yaml"), text).unwrap();
        let store = tempfile::tempdir().unwrap();
        let store = store.path().join("one-0");
        load(&source.path().to_string_lossy(), &store)
    }

    #[test]
    fn users_other_than_root_are_honoured_or_refused_and_never_ignored() {
        let user = |text: &str| read_metadata(&format!("name: one\n{text}")).map(|one| one.user);
        assert_eq!(user("").unwrap(), None);
        assert_eq!(user("charm-user: root").unwrap(), None);
        assert_eq!(user("charm-user: non-root").unwrap(), Some(170));
        let refused = |text: &str| user(text).unwrap_err().message;
        assert!(refused("charm-user: sudoer").contains("use root or non-root"));
        assert!(refused("charm-user: bob").contains("expected one of"));
        assert!(refused("charm-user: [root]").contains("expected one of"));
        assert!(user("containers: {db: {uid: 0, gid: 0}}").is_ok());
        assert!(refused("containers: {db: {uid: 999}}").contains("container \"db\""));
        assert!(refused("containers: {db: {gid: 999}}").contains("container \"db\""));
    }

    #[test]
    fn a_source_with_one_file_becomes_what_charms_look_for() {
        let source = tempfile::tempdir().unwrap();
        let unified = "name: one\nsummary: s\nparts: {charm: {plugin: uv}}\n\
                       provides: {db: {interface: sql}}\n\
                       config: {options: {port: {type: int, default: 3}}}\n\
                       actions: {ask: {description: d}}\n";
        fs::write(source.path().join("charmcraft.yaml"), unified).unwrap();
        let store = tempfile::tempdir().unwrap();
        let store = store.path().join("one-0");
        let charm = load(&source.path().to_string_lossy(), &store).unwrap();
        assert!(charm.options.contains_key("port") && charm.actions.contains_key("ask"));
        let metadata = yaml(&store, "metadata.yaml").unwrap().unwrap();
        assert_eq!(metadata["provides"]["db"]["interface"], "sql");
        assert!(metadata.get("parts").is_none() && metadata.get("config").is_none());
        let config = yaml(&store, "config.yaml").unwrap().unwrap();
        assert_eq!(config["options"]["port"]["default"], 3);
        assert!(yaml(&store, "actions.yaml").unwrap().is_some());
        assert!(!source.path().join("metadata.yaml").exists());
    }
}
