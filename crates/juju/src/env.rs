//! The hook's environment: which event it is, and whose.

/// The environment lacks something that Juju always gives.
#[derive(Debug, thiserror::Error)]
#[error("cannot tell the hook: {0} is not set; this program is run by Juju")]
pub struct EnvError(&'static str);

/// What Juju tells in the environment.
#[derive(Debug, Clone)]
pub struct HookEnv {
    unit: String,
    model: String,
    model_uuid: String,
    charm_dir: String,
    version: String,
    event: Event,
}

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

/// Why Juju runs the charm.
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

impl HookEnv {
    /// From this process's environment.
    ///
    /// # Errors
    /// When it was not started by Juju.
    pub fn from_process() -> Result<Self, EnvError> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// From any lookup of variables.
    ///
    /// # Errors
    /// When a variable is missing that Juju always sets.
    pub fn from_lookup(get: impl Fn(&str) -> Option<String>) -> Result<Self, EnvError> {
        let unit = get("JUJU_UNIT_NAME").ok_or(EnvError("JUJU_UNIT_NAME"))?;
        let text = |name: &str| get(name).unwrap_or_default();
        Ok(Self {
            unit,
            model: text("JUJU_MODEL_NAME"),
            model_uuid: text("JUJU_MODEL_UUID"),
            charm_dir: text("JUJU_CHARM_DIR"),
            version: text("JUJU_VERSION"),
            event: event(&get),
        })
    }

    /// `app/0`.
    #[must_use]
    pub fn unit(&self) -> &str {
        &self.unit
    }

    /// The application.
    #[must_use]
    pub fn application(&self) -> &str {
        self.unit
            .rsplit_once('/')
            .map_or(&self.unit, |(app, _)| app)
    }

    /// The unit's number.
    #[must_use]
    pub fn ordinal(&self) -> u32 {
        self.unit
            .rsplit_once('/')
            .and_then(|(_, n)| n.parse().ok())
            .unwrap_or_default()
    }

    /// Model name; on Kubernetes also the namespace.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Model UUID.
    #[must_use]
    pub fn model_uuid(&self) -> &str {
        &self.model_uuid
    }

    /// Where the charm's files are.
    #[must_use]
    pub fn charm_dir(&self) -> &str {
        &self.charm_dir
    }

    /// Juju's version.
    #[must_use]
    pub fn juju_version(&self) -> &str {
        &self.version
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> &Event {
        &self.event
    }
}

/// Names of endpoints, storages and containers may contain hyphens, so a hook is told by the end
/// of its name.
fn event(get: &impl Fn(&str) -> Option<String>) -> Event {
    let path = get("JUJU_DISPATCH_PATH").unwrap_or_default();
    let text = |name: &str| get(name).unwrap_or_default();
    let some = |name: &str| get(name).filter(|value| !value.is_empty());
    if let Some(name) = path
        .strip_prefix("actions/")
        .map(str::to_owned)
        .or(some("JUJU_ACTION_NAME"))
    {
        return Event::Action(ActionEvent {
            name,
            id: text("JUJU_ACTION_UUID"),
        });
    }
    let hook = path
        .strip_prefix("hooks/")
        .map(str::to_owned)
        .or(some("JUJU_HOOK_NAME"));
    let Some(hook) = hook else { return Event::Exec };
    let secret = || SecretEvent {
        id: text("JUJU_SECRET_ID"),
        label: text("JUJU_SECRET_LABEL"),
        revision: some("JUJU_SECRET_REVISION").and_then(|n| n.parse().ok()),
    };
    match hook.as_str() {
        "install" => return Event::Install,
        "start" => return Event::Start,
        "stop" => return Event::Stop,
        "remove" => return Event::Remove,
        "config-changed" => return Event::ConfigChanged,
        "update-status" => return Event::UpdateStatus,
        "upgrade-charm" => return Event::UpgradeCharm,
        "leader-elected" => return Event::LeaderElected,
        "leader-settings-changed" => return Event::LeaderSettingsChanged,
        "collect-metrics" => return Event::CollectMetrics,
        "secret-changed" => return Event::SecretChanged(secret()),
        "secret-rotate" => return Event::SecretRotate(secret()),
        "secret-expired" => return Event::SecretExpired(secret()),
        "secret-remove" => return Event::SecretRemove(secret()),
        _ => {}
    }
    let relation = |endpoint: &str| RelationEvent {
        endpoint: endpoint.to_owned(),
        relation_id: text("JUJU_RELATION_ID"),
        remote_app: text("JUJU_REMOTE_APP"),
        remote_unit: some("JUJU_REMOTE_UNIT"),
        departing_unit: some("JUJU_DEPARTING_UNIT"),
    };
    let storage = |name: &str| StorageEvent {
        name: name.to_owned(),
        id: text("JUJU_STORAGE_ID"),
        location: text("JUJU_STORAGE_LOCATION"),
    };
    let check = |container: &str| CheckEvent {
        container: container.to_owned(),
        check: text("JUJU_PEBBLE_CHECK_NAME"),
    };
    let ends = |suffix: &str| hook.strip_suffix(suffix).filter(|name| !name.is_empty());
    if let Some(name) = ends("-relation-created") {
        Event::RelationCreated(relation(name))
    } else if let Some(name) = ends("-relation-joined") {
        Event::RelationJoined(relation(name))
    } else if let Some(name) = ends("-relation-changed") {
        Event::RelationChanged(relation(name))
    } else if let Some(name) = ends("-relation-departed") {
        Event::RelationDeparted(relation(name))
    } else if let Some(name) = ends("-relation-broken") {
        Event::RelationBroken(relation(name))
    } else if let Some(name) = ends("-storage-attached") {
        Event::StorageAttached(storage(name))
    } else if let Some(name) = ends("-storage-detaching") {
        Event::StorageDetaching(storage(name))
    } else if let Some(name) = ends("-pebble-ready") {
        Event::PebbleReady(WorkloadEvent {
            container: name.to_owned(),
        })
    } else if let Some(name) = ends("-pebble-custom-notice") {
        Event::PebbleCustomNotice(NoticeEvent {
            container: name.to_owned(),
            id: text("JUJU_NOTICE_ID"),
            kind: text("JUJU_NOTICE_TYPE"),
            key: text("JUJU_NOTICE_KEY"),
        })
    } else if let Some(name) = ends("-pebble-check-failed") {
        Event::PebbleCheckFailed(check(name))
    } else if let Some(name) = ends("-pebble-check-recovered") {
        Event::PebbleCheckRecovered(check(name))
    } else {
        Event::Unknown(hook)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn env(pairs: &[(&str, &str)]) -> HookEnv {
        HookEnv::from_lookup(|name| {
            let unit = [("JUJU_UNIT_NAME", "my-db/2")];
            unit.iter()
                .chain(pairs)
                .find(|(key, _)| *key == name)
                .map(|(_, v)| (*v).to_owned())
        })
        .unwrap()
    }

    #[test]
    fn endpoints_and_containers_may_have_hyphens() {
        let env = env(&[
            ("JUJU_DISPATCH_PATH", "hooks/my-old-db-relation-departed"),
            ("JUJU_RELATION_ID", "my-old-db:4"),
            ("JUJU_REMOTE_APP", "x"),
            ("JUJU_REMOTE_UNIT", "x/1"),
            ("JUJU_DEPARTING_UNIT", "x/1"),
        ]);
        assert_eq!((env.application(), env.ordinal()), ("my-db", 2));
        let Event::RelationDeparted(event) = env.event() else {
            panic!("{env:?}")
        };
        assert_eq!(event.endpoint, "my-old-db");
        assert_eq!(event.departing_unit.as_deref(), Some("x/1"));
    }

    #[test]
    fn actions_hooks_and_exec_are_told_apart() {
        let action = env(&[
            ("JUJU_DISPATCH_PATH", "actions/get-primary"),
            ("JUJU_HOOK_NAME", ""),
        ]);
        assert!(matches!(action.event(), Event::Action(a) if a.name == "get-primary"));
        assert_eq!(env(&[("JUJU_HOOK_NAME", "")]).event(), &Event::Exec);
        let newer = env(&[("JUJU_DISPATCH_PATH", "hooks/something-new")]);
        assert_eq!(newer.event(), &Event::Unknown("something-new".into()));
    }

    #[test]
    fn without_a_unit_it_was_not_juju() {
        assert!(HookEnv::from_lookup(|_| None).is_err());
    }

    proptest! {
        #[test]
        fn no_hook_name_is_too_odd(name in ".{0,40}") {
            let _ = env(&[("JUJU_DISPATCH_PATH", &format!("hooks/{name}"))]);
        }
    }
}
