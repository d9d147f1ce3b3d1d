//! THE table: which handler a hook or action runs. Nothing else decides that.

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
    /// `promote-to-primary`
    PromoteToPrimary,
    /// One that this revision has by name only.
    NotYet,
}

/// The handler of a hook, by Juju's name for it.
#[must_use]
pub fn hook(name: &str) -> Handler {
    let reconcile = |workload_version, database, dynamic, open_ports| Handler::Reconcile {
        workload_version,
        database,
        dynamic,
        open_ports,
    };
    match name {
        "postgresql-pebble-ready" => reconcile(true, true, false, true),
        "upgrade-charm" => reconcile(true, true, true, true),
        "leader-elected" | "config-changed" | "start" | "secret-changed" => {
            reconcile(false, true, true, false)
        }
        "update-status" => reconcile(false, false, true, false),
        "postgresql-pebble-custom-notice" => reconcile(false, true, true, false),
        "postgresql-pebble-check-failed" | "postgresql-pebble-check-recovered" => {
            reconcile(false, false, false, false)
        }
        "pgdata-storage-detaching" => Handler::StorageDetaching,
        "stop" => Handler::Stop,
        "install" | "remove" | "pgdata-storage-attached" | "leader-settings-changed"
        | "secret-remove" | "secret-rotate" | "secret-expired" => Handler::Nothing,
        // Whatever joins or leaves changes what there is to say, if only that it isn't served yet.
        relation if relation.contains("-relation-") => reconcile(false, true, true, false),
        _ => Handler::Nothing,
    }
}

/// The handler of an action.
#[must_use]
pub fn action(name: &str) -> Handler {
    Handler::Action(match name {
        "get-primary" => Action::GetPrimary,
        "get-password" => Action::GetPassword,
        "set-password" => Action::SetPassword,
        "promote-to-primary" => Action::PromoteToPrimary,
        _ => Action::NotYet,
    })
}
