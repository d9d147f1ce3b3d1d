//! Patroni's health questions, which load balancers ask.

/// Which of Patroni's health questions is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Probe {
    /// Is PostgreSQL up?
    Health,
    /// Is Patroni's loop alive?
    Liveness,
    /// Is the member ready for traffic?
    Readiness,
    /// Does it hold the leader lock?
    Leader,
    /// Is it the primary, with the leader lock?
    Primary,
    /// Does it lead a standby cluster?
    StandbyLeader,
    /// Is it a running replica that may take reads?
    Replica,
    /// Is it one, and at most so many bytes behind?
    ReplicaWithin(u64),
    /// Is it the primary or a running replica?
    ReadOnly,
    /// Is it a synchronous standby?
    Synchronous,
    /// Is it a replica and not a synchronous standby?
    Asynchronous,
    /// Is it a standby of the quorum? Always no before Patroni 4.
    Quorum,
}

impl Probe {
    pub(crate) fn path(self) -> String {
        let path = match self {
            Self::Health => "/health",
            Self::Liveness => "/liveness",
            Self::Readiness => "/readiness",
            Self::Leader => "/leader",
            Self::Primary => "/primary",
            Self::StandbyLeader => "/standby-leader",
            Self::Replica => "/replica",
            Self::ReplicaWithin(bytes) => return format!("/replica?lag={bytes}"),
            Self::ReadOnly => "/read-only",
            Self::Synchronous => "/synchronous",
            Self::Asynchronous => "/asynchronous",
            Self::Quorum => "/quorum",
        };
        path.to_owned()
    }
}
