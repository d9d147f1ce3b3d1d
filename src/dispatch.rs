//! THE table: which handler a hook or action runs. Nothing else decides that.

use juju::Event;

/// What a hook or an action runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handler {
    /// Observe, plan, apply, say.
    Reconcile {
        /// The workload may be a new one.
        workload_version: bool,
        /// Look into the database.
        database: bool,
        /// Compare Patroni's dynamic configuration.
        dynamic: bool,
        /// Open the ports.
        open_ports: bool,
    },
    /// A revision of an own secret that nobody reads any more: old keys and passwords go.
    ForgetRevision,
    /// Hand over before the volume goes.
    StorageDetaching,
    /// Hand over before the pod goes.
    Stop,
    /// An action of this name.
    Action(Action),
    /// Nothing to do: what it tells is looked up when it is needed.
    Nothing,
}

/// The actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// `get-primary`
    GetPrimary,
    /// `get-password`
    GetPassword,
    /// `set-password`
    SetPassword,
    /// `set-tls-private-key`
    SetTlsPrivateKey,
    /// `promote-to-primary`
    PromoteToPrimary,
    /// `pre-upgrade-check`
    PreUpgradeCheck,
    /// `resume-upgrade`
    ResumeUpgrade,
    /// `list-clients`
    ListClients,
    /// `rotate-client-credentials`
    RotateClientCredentials,
    /// One that this revision has by name only.
    NotYet,
}

/// Whether an event tells something to the leader alone: of clients, others learn nothing that they
/// have to do, and one that comes to lead looks at all of them.
#[must_use]
pub fn concerns_leader_alone(event: &Event) -> bool {
    match event {
        Event::RelationCreated(relation) | Event::RelationChanged(relation) => {
            crate::clients::is_client(&relation.endpoint)
        }
        _ => false,
    }
}

/// Whether the charm's secrets may be others than those that were read last. Of all other events Juju
/// tells by one of these: what was read before them is what there is.
#[must_use]
pub fn may_change_secrets(event: &Event) -> bool {
    !matches!(
        event,
        Event::PebbleCustomNotice(_)
            | Event::PebbleCheckFailed(_)
            | Event::PebbleCheckRecovered(_)
            | Event::UpdateStatus
            | Event::RelationCreated(_)
            | Event::RelationJoined(_)
            | Event::RelationChanged(_)
            | Event::RelationDeparted(_)
            | Event::RelationBroken(_)
            | Event::StorageAttached(_)
            | Event::StorageDetaching(_)
            | Event::Stop
    )
}

/// The handler of an event.
#[must_use]
pub fn handler(event: &Event) -> Handler {
    let reconcile = |workload_version, database, dynamic, open_ports| Handler::Reconcile {
        workload_version,
        database,
        dynamic,
        open_ports,
    };
    match event {
        // These peer relations tell nothing yet.
        Event::RelationCreated(relation)
        | Event::RelationChanged(relation)
        | Event::RelationDeparted(relation)
        | Event::RelationBroken(relation)
            if matches!(relation.endpoint.as_str(), "restart" | "upgrade") =>
        {
            Handler::Nothing
        }
        Event::PebbleReady(_) => reconcile(true, true, false, true),
        Event::UpgradeCharm => reconcile(true, true, true, true),
        Event::LeaderElected
        | Event::ConfigChanged
        // The last to mend what a process that died has left: a password, say.
        | Event::Start
        | Event::SecretChanged(_)
        | Event::PebbleCustomNotice(_)
        // Whatever joins or leaves changes what there is to say, if only that it isn't served yet.
        | Event::RelationCreated(_)
        | Event::RelationChanged(_)
        | Event::RelationDeparted(_)
        | Event::RelationBroken(_)
        // The last to mend what a process that died has left: a password, say.
        | Event::UpdateStatus => reconcile(false, true, true, false),
        Event::PebbleCheckFailed(_) | Event::PebbleCheckRecovered(_) => {
            reconcile(false, false, true, false)
        }
        Event::SecretRemove(_) => Handler::ForgetRevision,
        Event::StorageDetaching(_) => Handler::StorageDetaching,
        Event::Stop => Handler::Stop,
        Event::Action(action) => Handler::Action(match action.name.as_str() {
            "get-primary" => Action::GetPrimary,
            "get-password" => Action::GetPassword,
            "set-password" => Action::SetPassword,
            "set-tls-private-key" => Action::SetTlsPrivateKey,
            "pre-upgrade-check" => Action::PreUpgradeCheck,
            "resume-upgrade" => Action::ResumeUpgrade,
            "promote-to-primary" => Action::PromoteToPrimary,
            "list-clients" => Action::ListClients,
            "rotate-client-credentials" => Action::RotateClientCredentials,
            _ => Action::NotYet,
        }),
        // Juju runs relation-changed for the same unit right after it.
        Event::RelationJoined(_)
        | Event::Install
        | Event::Remove
        | Event::StorageAttached(_)
        | Event::LeaderSettingsChanged
        | Event::CollectMetrics
        | Event::SecretRotate(_)
        | Event::SecretExpired(_)
        | Event::Exec
        | Event::Unknown(_) => Handler::Nothing,
    }
}
