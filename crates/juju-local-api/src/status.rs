//! The model as `juju status` shows it; serialises to the JSON of `juju status --format json`.
//!
//! Two things differ on the wire between controller and CLI, and the CLI puts both right before it
//! prints: every time is RFC 3339 in UTC here (Juju prints local time, or UTC under `--utc`), and
//! [`ModelStatus::relations`] is there, which Juju shows only in its table.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Everything `juju status` knows of a model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct ModelStatus {
    /// The model itself.
    pub model: ModelInfo,
    /// Always empty in a Kubernetes model, always present in Juju's JSON.
    pub machines: BTreeMap<String, serde_json::Value>,
    /// By application name.
    pub applications: BTreeMap<String, ApplicationStatus>,
    /// Consumed offers (SAAS), by local name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub application_endpoints: BTreeMap<String, RemoteApplicationStatus>,
    /// By offer name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub offers: BTreeMap<String, OfferStatus>,
    /// Storage of the model.
    pub storage: StorageStatus,
    /// The controller's clock.
    pub controller: ControllerStatus,
    /// Relations for the table's last section; the CLI takes them out of JSON and YAML.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub relations: Vec<RelationStatus>,
}

/// The model's own line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct ModelInfo {
    /// Model name.
    pub name: String,
    /// `caas`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Controller name.
    pub controller: String,
    /// Cloud name.
    pub cloud: String,
    /// Cloud region.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub region: String,
    /// The Juju version that the model claims, `3.6.x`.
    pub version: String,
    /// Of the model: `available`, `destroying`.
    #[serde(skip_serializing_if = "StatusInfo::is_empty")]
    pub model_status: StatusInfo,
    /// `unsupported`, as every community model says.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sla: String,
}

/// A status with its time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct StatusInfo {
    /// `active`, `idle`, ...
    #[serde(skip_serializing_if = "String::is_empty")]
    pub current: String,
    /// Free text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// RFC 3339, UTC.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub since: String,
    /// Agent version; of a unit's `juju-status` only.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// `dying` or `dead`; empty while alive.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub life: String,
}

impl StatusInfo {
    /// Nothing is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The base that a charm runs on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Base {
    /// `ubuntu`.
    pub name: String,
    /// `22.04`.
    pub channel: String,
}

/// An application.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct ApplicationStatus {
    /// `local:postgresql-k8s-0`.
    pub charm: String,
    /// Base.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<Base>,
    /// `local` or `charmhub`.
    pub charm_origin: String,
    /// Charm name.
    pub charm_name: String,
    /// Charm revision.
    pub charm_rev: u64,
    /// Channel.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub charm_channel: String,
    /// Contents of the charm's `version` file.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub charm_version: String,
    /// Units wanted; Juju leaves 0 out.
    #[serde(skip_serializing_if = "is_zero")]
    pub scale: u32,
    /// UID of the application's service.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub provider_id: String,
    /// Address of the application's service.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// Exposed.
    pub exposed: bool,
    /// `dying` or `dead`; empty while alive.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub life: String,
    /// Status of the application: its own, or the most severe of its units'.
    pub application_status: StatusInfo,
    /// By own endpoint.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub relations: BTreeMap<String, Vec<ApplicationRelation>>,
    /// By unit name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub units: BTreeMap<String, UnitStatus>,
    /// Workload version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Endpoint to space, all `alpha`; `""` is the default.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub endpoint_bindings: BTreeMap<String, String>,
}

/// A relation as listed under an application's endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct ApplicationRelation {
    /// Other application.
    pub related_application: String,
    /// Interface.
    pub interface: String,
    /// `global`.
    pub scope: String,
}

/// A unit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct UnitStatus {
    /// Set by the charm.
    pub workload_status: StatusInfo,
    /// Of the agent.
    pub juju_status: StatusInfo,
    /// Holds leadership; Juju leaves false out.
    #[serde(skip_serializing_if = "is_false")]
    pub leader: bool,
    /// Charm it is being refreshed from.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub upgrading_from: String,
    /// `5432/tcp`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub open_ports: Vec<String>,
    /// Pod address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// Pod name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub provider_id: String,
}

/// A consumed offer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct RemoteApplicationStatus {
    /// `[controller:]admin/model.offer`.
    pub url: String,
    /// By endpoint.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub endpoints: BTreeMap<String, RemoteEndpoint>,
    /// `dying` or `dead`; empty while alive.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub life: String,
    /// Status of the offered application.
    pub application_status: StatusInfo,
    /// Endpoint to local applications.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub relations: BTreeMap<String, Vec<String>>,
}

/// An endpoint of an offer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct RemoteEndpoint {
    /// Interface.
    pub interface: String,
    /// `provider` or `requirer`.
    pub role: String,
}

/// An offer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct OfferStatus {
    /// Offered application.
    pub application: String,
    /// Its charm, as in [`ApplicationStatus::charm`].
    #[serde(skip_serializing_if = "String::is_empty")]
    pub charm: String,
    /// Connections.
    #[serde(skip_serializing_if = "is_zero")]
    pub total_connected_count: u32,
    /// Of these, those not suspended.
    #[serde(skip_serializing_if = "is_zero")]
    pub active_connected_count: u32,
    /// By endpoint.
    pub endpoints: BTreeMap<String, RemoteEndpoint>,
}

/// Storage, as `juju storage --format json` has it too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct StorageStatus {
    /// By storage id, `pgdata/0`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub storage: BTreeMap<String, StorageInfo>,
    /// By filesystem id.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub filesystems: BTreeMap<String, FilesystemInfo>,
}

/// A storage instance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct StorageInfo {
    /// `filesystem`.
    pub kind: String,
    /// `dying` or `dead`; empty while alive.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub life: String,
    /// `attached`, `detached`, `pending`.
    pub status: StatusInfo,
    /// Survives its unit.
    pub persistent: bool,
    /// None while detached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attachments: Option<StorageAttachments>,
}

/// Where a storage instance is attached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct StorageAttachments {
    /// By unit name.
    pub units: BTreeMap<String, UnitStorageAttachment>,
}

/// An attachment to a unit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct UnitStorageAttachment {
    /// Mount path in the charm container.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub location: String,
    /// `dying` or `dead`; empty while alive.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub life: String,
}

/// A filesystem behind a storage instance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct FilesystemInfo {
    /// Volume name at the provider (the persistent volume's).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub provider_id: String,
    /// Storage id.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub storage: String,
    /// Attachments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attachments: Option<FilesystemAttachments>,
    /// `kubernetes`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pool: String,
    /// MiB.
    pub size: u64,
    /// `dying` or `dead`; empty while alive.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub life: String,
    /// `attached`, `detached`, `pending`.
    pub status: StatusInfo,
}

/// Where a filesystem is attached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct FilesystemAttachments {
    /// By unit name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub containers: BTreeMap<String, FilesystemAttachment>,
    /// By unit name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub units: BTreeMap<String, UnitStorageAttachment>,
}

/// A mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct FilesystemAttachment {
    /// Mount path.
    pub mount_point: String,
    /// Read-only.
    pub read_only: bool,
    /// `alive`, `dying` or `dead`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub life: String,
}

/// The controller's clock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct ControllerStatus {
    /// RFC 3339, UTC.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub timestamp: String,
}

/// A relation as a line of the table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct RelationStatus {
    /// Relation id.
    pub id: u32,
    /// `app:endpoint`.
    pub provider: String,
    /// `app:endpoint`.
    pub requirer: String,
    /// Interface.
    pub interface: String,
    /// `regular` or `peer`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `joined`, `joining`, `suspended`, `broken`, ...
    pub status: String,
    /// Free text, e.g. why it is suspended.
    pub message: String,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's skip_serializing_if passes references"
)]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's skip_serializing_if passes references"
)]
fn is_false(b: &bool) -> bool {
    !*b
}
