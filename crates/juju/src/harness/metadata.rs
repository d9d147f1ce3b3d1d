//! What a charm says of itself.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A charm's files can't be taken.
#[derive(Debug, thiserror::Error)]
pub enum CharmError {
    /// One can't be read.
    #[error("cannot read {file}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// One is not what Juju takes.
    #[error("cannot take {file}")]
    Parse {
        /// The file.
        file: &'static str,
        /// Why.
        #[source]
        source: serde_yaml::Error,
    },
}

/// What is in `metadata.yaml`, as far as a unit sees it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Metadata {
    pub name: String,
    pub peers: BTreeMap<String, Value>,
    pub provides: BTreeMap<String, Value>,
    pub requires: BTreeMap<String, Value>,
    pub containers: BTreeMap<String, Value>,
    pub storage: BTreeMap<String, Value>,
    pub resources: BTreeMap<String, Value>,
    #[serde(rename = "extra-bindings")]
    pub extra_bindings: BTreeMap<String, Value>,
}

/// An option of `config.yaml`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ConfigOption {
    #[serde(rename = "type")]
    pub kind: String,
    pub default: Value,
}

/// An action of `actions.yaml`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Action {
    pub params: BTreeMap<String, Value>,
    pub required: Vec<String>,
    #[serde(rename = "additionalProperties")]
    pub additional_properties: bool,
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Charm {
    pub metadata: Metadata,
    pub options: BTreeMap<String, ConfigOption>,
    pub actions: BTreeMap<String, Action>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ConfigFile {
    options: BTreeMap<String, ConfigOption>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Unified {
    config: ConfigFile,
    actions: BTreeMap<String, Action>,
}

impl Charm {
    /// From the texts of the three files; an empty text is a file that the charm doesn't have.
    pub(super) fn parse(metadata: &str, config: &str, actions: &str) -> Result<Self, CharmError> {
        let config: ConfigFile = yaml("config.yaml", config)?;
        Ok(Self {
            metadata: yaml("metadata.yaml", metadata)?,
            options: config.options,
            actions: yaml("actions.yaml", actions)?,
        })
    }

    /// From a `charmcraft.yaml` that has all in one.
    pub(super) fn unified(text: &str) -> Result<Self, CharmError> {
        let file = "charmcraft.yaml";
        let unified: Unified = yaml(file, text)?;
        Ok(Self {
            metadata: yaml(file, text)?,
            options: unified.config.options,
            actions: unified.actions,
        })
    }

    pub(super) fn is_peer(&self, endpoint: &str) -> bool {
        self.metadata.peers.contains_key(endpoint)
    }

    pub(super) fn has_endpoint(&self, endpoint: &str) -> bool {
        let metadata = &self.metadata;
        [&metadata.peers, &metadata.provides, &metadata.requires]
            .iter()
            .any(|endpoints| endpoints.contains_key(endpoint))
    }

    /// Whether `network-get` knows a binding.
    pub(super) fn has_binding(&self, binding: &str) -> bool {
        binding == "juju-info"
            || self.has_endpoint(binding)
            || self.metadata.extra_bindings.contains_key(binding)
    }
}

fn yaml<T: DeserializeOwned + Default>(file: &'static str, text: &str) -> Result<T, CharmError> {
    // A file of comments alone is null.
    let found: Option<T> =
        serde_yaml::from_str(text).map_err(|source| CharmError::Parse { file, source })?;
    Ok(found.unwrap_or_default())
}
