//! The short look of a unit that is told of another unit's databag: most often there is nothing in it
//! for this unit, and it asks Juju four things instead of nine. Why that is enough is said, and decided,
//! in `cluster_plan::glance`.

use std::collections::BTreeSet;

use cluster_plan::disk::{Level, Note};
use cluster_plan::glance::{Glance, Server};
use cluster_plan::observed::ServiceState;
use juju::Event;
use tls_interface::{Announcement, Identified};

use super::{Hook, reconcile};
use crate::juju_port::{Bag, JujuError};
use crate::layer::SERVICE;
use crate::observe::{follow, identity, tls};
use crate::ports::{PortError, Ports};

/// Whether an event tells of the databag of one other unit of the application.
fn tells_of_a_unit(event: &Event) -> bool {
    match event {
        Event::RelationChanged(relation) => {
            relation.endpoint == "database-peers" && relation.remote_unit.is_some()
        }
        _ => false,
    }
}

/// Whether an event is none but one of another unit's databag, in which there is nothing for this unit.
///
/// # Errors
/// When Juju can't tell.
pub fn passes_by(hook: &Hook<'_>, event: &Event) -> Result<bool, JujuError> {
    // In this order: the leader is asked no more.
    if !tells_of_a_unit(event) || hook.juju.is_leader()? {
        return Ok(false);
    }
    let Some(bag) = hook.juju.peer_bag(&Bag::Unit)? else {
        return Ok(false);
    };
    let announcement = bag.get(tls::ANNOUNCEMENT);
    let announcement = announcement.and_then(|text| Announcement::from_bag(text));
    let disk = bag.get("disk").map(|text| Note::from_bag(text));
    let glance = Glance {
        leader: false,
        announced: bag.get("member").cloned(),
        filling: disk.is_some_and(|note| note.level != Level::Fine),
        settled: announcement.as_ref().is_some_and(settled),
        said: hook.juju.status()?,
        server: server(hook.ports),
    };
    let passes =
        !glance.concerns() && verifies(hook, announcement.as_ref()) && !goes_back(hook, event)?;
    if passes && glance.server == Server::Streams {
        reconcile::stop_looking(hook);
    }
    Ok(passes)
}

/// The own standby verifies its primary, as far as certificates of a provider let it: the end of their
/// relation, as all units have seen it, is told to nobody.
fn verifies(hook: &Hook<'_>, own: Option<&Announcement>) -> bool {
    let provided = own.is_some_and(|own| own.clients.is_some());
    let there = |path| hook.ports.workload.stat(path);
    provided || matches!(there(identity::SERVERS_CA), Ok(Some(_)) | Err(_))
}

/// The unit that is told of shows its identity to no other any more, as it has gone back to a revision
/// that knows none: servers may not demand it.
fn goes_back(hook: &Hook<'_>, event: &Event) -> Result<bool, JujuError> {
    let Event::RelationChanged(relation) = event else {
        return Ok(false);
    };
    let Some(unit) = &relation.remote_unit else {
        return Ok(false);
    };
    let said = tls::announced(hook.juju, &Bag::Other(unit.clone()))?;
    Ok(said.is_some_and(|said| said.identified < Identified::Shows))
}

/// Of each kind one authority is trusted, the one that it has a certificate of, and members know each
/// other by theirs.
fn settled(own: &Announcement) -> bool {
    let serves: BTreeSet<String> = own.member.iter().chain(&own.clients).cloned().collect();
    let whole = own.identified == Identified::Demands;
    whole && own.member.is_some() && serves == own.trusts
}

fn server(ports: &Ports<'_>) -> Server {
    match follow::own_standby(ports.database) {
        Ok(Some(standby)) if standby.streams => Server::Streams,
        Err(PortError::Unreachable(..)) => match ports.workload.service(SERVICE) {
            Ok(Some(ServiceState::Active)) => Server::Away,
            _ => Server::Other,
        },
        _ => Server::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(trusts: &[&str], member: Option<&str>, clients: Option<&str>) -> Announcement {
        Announcement {
            trusts: trusts.iter().map(|name| (*name).to_owned()).collect(),
            member: member.map(str::to_owned),
            clients: clients.map(str::to_owned),
            identified: Identified::Demands,
            ..Announcement::default()
        }
    }

    #[test]
    fn certificates_are_settled_where_no_other_authority_is_trusted_than_serves() {
        assert!(settled(&own(&["a"], Some("a"), None)));
        assert!(settled(&own(&["a", "p"], Some("a"), Some("p"))));
        for open in [
            own(&[], None, None),
            own(&["a"], None, None),
            own(&["a", "b"], Some("a"), None),
            own(&["a", "p", "q"], Some("a"), Some("p")),
            own(&["a", "q"], Some("a"), Some("p")),
            own(&["a", "p"], Some("a"), None),
        ] {
            assert!(!settled(&open), "{open:?}");
        }
        let turns = Announcement {
            identified: Identified::Shows,
            ..own(&["a"], Some("a"), None)
        };
        assert!(!settled(&turns));
    }
}
