//! What Juju runs the charm for.

/// A hook of a relation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RelationEvent {
    /// Own endpoint.
    pub endpoint: String,
    /// `endpoint:3`.
    pub relation_id: String,
    /// The other application.
    pub remote_app: String,
    /// The other unit; none in created, broken, and for application data.
    pub remote_unit: Option<String>,
    /// In departed: the unit that leaves, which may be this one.
    pub departing_unit: Option<String>,
}

/// A hook of a storage.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StorageEvent {
    /// Storage name.
    pub name: String,
    /// `pgdata/0`.
    pub id: String,
    /// `filesystem` or `block`.
    pub kind: String,
    /// Mount path.
    pub location: String,
}

/// A hook of a workload container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WorkloadEvent {
    /// Container.
    pub container: String,
}

/// A Pebble notice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NoticeEvent {
    /// Container.
    pub container: String,
    /// Notice id.
    pub id: String,
    /// Its type, `custom`.
    pub kind: String,
    /// Its key.
    pub key: String,
}

/// A Pebble check.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CheckEvent {
    /// Container.
    pub container: String,
    /// Check name.
    pub check: String,
}

/// A hook of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SecretEvent {
    /// `secret:<id>`.
    pub id: String,
    /// Label, may be empty.
    pub label: String,
    /// In remove and expired.
    pub revision: Option<u64>,
}

/// An action.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ActionEvent {
    /// Name.
    pub name: String,
    /// Id of the task.
    pub id: String,
}

/// Why Juju runs the charm: every hook of Juju 3.6 that a Kubernetes charm can get. Those of machines
/// and of models with metering (series upgrades, meter status) are [`Event::Unknown`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // each is Juju's hook of that name
pub enum Event {
    Install,
    Start,
    Stop,
    Remove,
    ConfigChanged,
    UpdateStatus,
    UpgradeCharm,
    LeaderElected,
    LeaderSettingsChanged,
    CollectMetrics,
    RelationCreated(RelationEvent),
    RelationJoined(RelationEvent),
    RelationChanged(RelationEvent),
    RelationDeparted(RelationEvent),
    RelationBroken(RelationEvent),
    StorageAttached(StorageEvent),
    StorageDetaching(StorageEvent),
    PebbleReady(WorkloadEvent),
    PebbleCustomNotice(NoticeEvent),
    PebbleCheckFailed(CheckEvent),
    PebbleCheckRecovered(CheckEvent),
    SecretChanged(SecretEvent),
    SecretRotate(SecretEvent),
    SecretExpired(SecretEvent),
    SecretRemove(SecretEvent),
    Action(ActionEvent),
    /// `juju exec`: there is no hook.
    Exec,
    /// A hook of a newer Juju; it is to be passed over.
    Unknown(String),
}

impl Event {
    /// The hook's name as Juju has it, `db-relation-changed`; an action's own name; empty for
    /// `juju exec`.
    #[must_use]
    pub fn name(&self) -> String {
        let bare = match self {
            Self::Install => "install",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Remove => "remove",
            Self::ConfigChanged => "config-changed",
            Self::UpdateStatus => "update-status",
            Self::UpgradeCharm => "upgrade-charm",
            Self::LeaderElected => "leader-elected",
            Self::LeaderSettingsChanged => "leader-settings-changed",
            Self::CollectMetrics => "collect-metrics",
            Self::SecretChanged(_) => "secret-changed",
            Self::SecretRotate(_) => "secret-rotate",
            Self::SecretExpired(_) => "secret-expired",
            Self::SecretRemove(_) => "secret-remove",
            Self::RelationCreated(event) => return format!("{}-relation-created", event.endpoint),
            Self::RelationJoined(event) => return format!("{}-relation-joined", event.endpoint),
            Self::RelationChanged(event) => return format!("{}-relation-changed", event.endpoint),
            Self::RelationDeparted(event) => {
                return format!("{}-relation-departed", event.endpoint);
            }
            Self::RelationBroken(event) => return format!("{}-relation-broken", event.endpoint),
            Self::StorageAttached(event) => return format!("{}-storage-attached", event.name),
            Self::StorageDetaching(event) => return format!("{}-storage-detaching", event.name),
            Self::PebbleReady(event) => return format!("{}-pebble-ready", event.container),
            Self::PebbleCustomNotice(event) => {
                return format!("{}-pebble-custom-notice", event.container);
            }
            Self::PebbleCheckFailed(event) => {
                return format!("{}-pebble-check-failed", event.container);
            }
            Self::PebbleCheckRecovered(event) => {
                return format!("{}-pebble-check-recovered", event.container);
            }
            Self::Action(event) => return event.name.clone(),
            Self::Exec => "",
            Self::Unknown(name) => name,
        };
        bare.to_owned()
    }
}

/// The event that an environment tells of.
pub(crate) fn parse(get: &impl Fn(&str) -> Option<String>) -> Event {
    let path = get("JUJU_DISPATCH_PATH").unwrap_or_default();
    let some = |name: &str| get(name).filter(|value| !value.is_empty());
    let action = path.strip_prefix("actions/").map(str::to_owned);
    if let Some(name) = action.or(some("JUJU_ACTION_NAME")) {
        let id = some("JUJU_ACTION_UUID").unwrap_or_default();
        return Event::Action(ActionEvent { name, id });
    }
    let hook = path.strip_prefix("hooks/").map(str::to_owned);
    let Some(hook) = hook.or(some("JUJU_HOOK_NAME")) else {
        return Event::Exec;
    };
    bare_hook(&hook, &some)
        .or_else(|| hook_of_something(&hook, &some))
        .unwrap_or(Event::Unknown(hook))
}

type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A hook whose name tells all.
fn bare_hook(hook: &str, get: Variables<'_>) -> Option<Event> {
    let secret = || SecretEvent {
        id: get("JUJU_SECRET_ID").unwrap_or_default(),
        label: get("JUJU_SECRET_LABEL").unwrap_or_default(),
        revision: get("JUJU_SECRET_REVISION").and_then(|n| n.parse().ok()),
    };
    Some(match hook {
        "install" => Event::Install,
        "start" => Event::Start,
        "stop" => Event::Stop,
        "remove" => Event::Remove,
        "config-changed" => Event::ConfigChanged,
        "update-status" => Event::UpdateStatus,
        "upgrade-charm" => Event::UpgradeCharm,
        "leader-elected" => Event::LeaderElected,
        "leader-settings-changed" => Event::LeaderSettingsChanged,
        "collect-metrics" => Event::CollectMetrics,
        "secret-changed" => Event::SecretChanged(secret()),
        "secret-rotate" => Event::SecretRotate(secret()),
        "secret-expired" => Event::SecretExpired(secret()),
        "secret-remove" => Event::SecretRemove(secret()),
        _ => return None,
    })
}

/// A hook of an endpoint, a storage or a container. Their names may contain hyphens, so the kind is
/// told by the end of the hook's name.
fn hook_of_something(hook: &str, get: Variables<'_>) -> Option<Event> {
    let text = |name: &str| get(name).unwrap_or_default();
    let ends = |suffix: &str| {
        let name = hook.strip_suffix(suffix).filter(|name| !name.is_empty());
        name.map(str::to_owned)
    };
    let relation = |endpoint| {
        let remote_unit = get("JUJU_REMOTE_UNIT");
        // Some agents leave the application out where they name the unit.
        let of_unit = remote_unit
            .as_deref()
            .and_then(|unit| unit.rsplit_once('/'));
        let remote_app = get("JUJU_REMOTE_APP").or(of_unit.map(|(app, _)| app.to_owned()));
        RelationEvent {
            endpoint,
            relation_id: text("JUJU_RELATION_ID"),
            remote_app: remote_app.unwrap_or_default(),
            remote_unit,
            departing_unit: get("JUJU_DEPARTING_UNIT"),
        }
    };
    let storage = |name| StorageEvent {
        name,
        id: text("JUJU_STORAGE_ID"),
        kind: text("JUJU_STORAGE_KIND"),
        location: text("JUJU_STORAGE_LOCATION"),
    };
    let check = |container| CheckEvent {
        container,
        check: text("JUJU_PEBBLE_CHECK_NAME"),
    };
    let notice = |container| NoticeEvent {
        container,
        id: text("JUJU_NOTICE_ID"),
        kind: text("JUJU_NOTICE_TYPE"),
        key: text("JUJU_NOTICE_KEY"),
    };
    let ready = |container| WorkloadEvent { container };
    None.or_else(|| {
        ends("-relation-created")
            .map(relation)
            .map(Event::RelationCreated)
    })
    .or_else(|| {
        ends("-relation-joined")
            .map(relation)
            .map(Event::RelationJoined)
    })
    .or_else(|| {
        ends("-relation-changed")
            .map(relation)
            .map(Event::RelationChanged)
    })
    .or_else(|| {
        ends("-relation-departed")
            .map(relation)
            .map(Event::RelationDeparted)
    })
    .or_else(|| {
        ends("-relation-broken")
            .map(relation)
            .map(Event::RelationBroken)
    })
    .or_else(|| {
        ends("-storage-attached")
            .map(storage)
            .map(Event::StorageAttached)
    })
    .or_else(|| {
        ends("-storage-detaching")
            .map(storage)
            .map(Event::StorageDetaching)
    })
    .or_else(|| ends("-pebble-ready").map(ready).map(Event::PebbleReady))
    .or_else(|| {
        ends("-pebble-custom-notice")
            .map(notice)
            .map(Event::PebbleCustomNotice)
    })
    .or_else(|| {
        ends("-pebble-check-failed")
            .map(check)
            .map(Event::PebbleCheckFailed)
    })
    .or_else(|| {
        ends("-pebble-check-recovered")
            .map(check)
            .map(Event::PebbleCheckRecovered)
    })
}
