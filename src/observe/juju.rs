//! What Juju tells: leadership, units, databags, options and the application's secret.

use std::collections::{BTreeMap, BTreeSet};

use cluster_plan::disk::Note;
use cluster_plan::names::{Member, Names};
use cluster_plan::observed::{Given, PeerData, Volume};
use cluster_plan::options::SYSTEM_USERS;
use cluster_plan::restarts::Attempt;
use serde_json::Value;

use crate::juju_port::{Bag, Goal, JujuError, JujuPort};
use crate::observe::tls::{self, TlsJuju};
use crate::observe::trust::{self, TrustJuju};
use crate::secrets::Passwords;

/// Endpoints that this revision serves.
const SERVED: [&str; 8] = [
    super::trust::ENDPOINT,
    "certificates",
    "database-peers",
    "restart",
    "upgrade",
    "database",
    "db",
    "db-admin",
];

/// Endpoints that this revision has by name only.
const UNSERVED: [&str; 8] = [
    "replication-offer",
    "metrics-endpoint",
    "grafana-dashboard",
    "replication",
    "s3-parameters",
    "ldap",
    "logging",
    "tracing",
];

/// All endpoints.
pub fn endpoints() -> impl Iterator<Item = &'static str> {
    SERVED.into_iter().chain(UNSERVED)
}

/// The facts of one hook.
#[derive(Debug, Clone)]
pub struct JujuFacts {
    /// Names of application and model.
    pub names: Names,
    /// This unit.
    pub me: Member,
    /// This unit leads the application.
    pub leader: bool,
    /// Juju has told which units there are; else they are those that were known last.
    pub counted: bool,
    /// Units wanted.
    pub planned: u32,
    /// Which these are; some may not have joined yet.
    pub units: BTreeSet<Member>,
    /// The other units.
    pub peers: BTreeSet<Member>,
    /// Units on their way out.
    pub leaving: BTreeSet<Member>,
    /// The peer databags.
    pub peer_data: Option<PeerData>,
    /// Options.
    pub config: BTreeMap<String, Value>,
    /// The application's passwords: none where the secret can't be read, empty for a leader that
    /// has none yet.
    pub passwords: Option<Passwords>,
    /// The passwords that the operator gives by the option for it, or why there are none; the
    /// leader alone looks.
    pub given: Option<Result<Passwords, NotGiven>>,
    /// Endpoints with a relation that is not served.
    pub unserved_relations: BTreeSet<String>,
    /// Certificates.
    pub tls: TlsJuju,
    /// Authorities that other applications hand over.
    pub trust: TrustJuju,
}

/// Other units that may tell something new.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tellers<'a> {
    /// Nobody.
    #[default]
    None,
    /// One of this name.
    Unit(&'a str),
    /// Any of them.
    All,
}

impl Tellers<'_> {
    /// This one may.
    fn names(self, peer: &Member) -> bool {
        match self {
            Self::None => false,
            Self::Unit(unit) => peer.unit() == unit,
            Self::All => true,
        }
    }
}

/// Why the operator's secret gives no passwords.
#[derive(Debug, Clone)]
pub enum NotGiven {
    /// The secret of this id is not there, or not granted.
    Unreadable(String),
    /// It holds what cannot be taken.
    Wrong(String),
}

impl JujuFacts {
    /// The same, as far as it goes into a plan.
    #[must_use]
    pub fn given(&self) -> Option<Given> {
        Some(match self.given.as_ref()? {
            Ok(given) => {
                let known = self.passwords.clone().unwrap_or_default();
                Given::Passwords(given.differing(&known))
            }
            Err(NotGiven::Unreadable(id)) => Given::Unreadable(id.clone()),
            Err(NotGiven::Wrong(why)) => Given::Wrong(why.clone()),
        })
    }
}

fn given(
    juju: &dyn JujuPort,
    config: &BTreeMap<String, Value>,
) -> Result<Option<Result<Passwords, NotGiven>>, JujuError> {
    let id = config.get(SYSTEM_USERS).and_then(Value::as_str);
    let Some(id) = id.filter(|id| id.starts_with("secret:")) else {
        return Ok(None);
    };
    Ok(Some(match juju.user_secret(id)? {
        None => Err(NotGiven::Unreadable(id.to_owned())),
        Some(content) => Passwords::given(&content).map_err(NotGiven::Wrong),
    }))
}

/// Asks Juju.
///
/// # Errors
/// When a hook tool fails in a way that is no answer.
pub fn facts(juju: &dyn JujuPort, leaving: Option<&str>) -> Result<JujuFacts, JujuError> {
    let names = Names::new(juju.application(), juju.model());
    let me = names.member(juju.ordinal());
    let leader = juju.is_leader()?;
    let told = juju.goal()?;
    let counted = told.is_some();
    let listed = juju.peers()?;
    let goal = match told {
        Some(goal) => goal,
        None => last_known(juju, &names, &listed)?,
    };
    let unit = |name: &String| names.member_of_unit(name);
    let mut gone: BTreeSet<Member> = goal.dying.iter().filter_map(unit).collect();
    gone.extend(leaving.map(str::to_owned).as_ref().and_then(unit));
    // A relation may list a unit that Juju has removed: its pod is nobody's.
    let there = |name: &&String| goal.units.contains(*name) || goal.dying.contains(*name);
    let peers = listed.iter().filter(there).filter_map(unit);
    let peers: BTreeSet<Member> = peers.filter(|member| *member != me).collect();
    let peer_data = peer_data(juju, &names, &me, &peers, leader)?;
    let passwords = match juju.passwords()? {
        None if leader => Some(Passwords::default()),
        found => found,
    };
    let config = juju.config()?;
    let given = if leader { given(juju, &config)? } else { None };
    let tls = tls::facts(juju, &peers, goal.endpoints.contains("certificates"))?;
    let trust = if goal.endpoints.contains(trust::ENDPOINT) {
        trust::facts(juju, leader)?
    } else {
        TrustJuju::default()
    };
    let unserved = goal
        .endpoints
        .into_iter()
        .filter(|endpoint| !SERVED.contains(&endpoint.as_str()));
    Ok(JujuFacts {
        counted,
        planned: u32::try_from(goal.units.len()).unwrap_or(u32::MAX).max(1),
        units: goal.units.iter().filter_map(unit).collect(),
        peers,
        leaving: gone,
        peer_data,
        config,
        passwords,
        given,
        unserved_relations: unserved.collect(),
        tls,
        trust,
        names,
        me,
        leader,
    })
}

/// The units and relations that were known last, for as long as Juju tells of none: what the leader has
/// listed, and whoever has joined. A unit too many lets nobody acknowledge alone, one too few might.
fn last_known(juju: &dyn JujuPort, names: &Names, listed: &[String]) -> Result<Goal, JujuError> {
    let mut goal = Goal {
        units: listed.iter().cloned().collect(),
        ..Goal::default()
    };
    goal.units.insert(names.member(juju.ordinal()).unit());
    let app = juju.peer_bag(&Bag::Application)?.unwrap_or_default();
    let hosts: Option<Vec<String>> = app
        .get("endpoints")
        .and_then(|text| serde_json::from_str(text).ok());
    let members = hosts.iter().flatten();
    let members = members.filter_map(|host| names.member_of_host(host));
    goal.units.extend(members.map(|member| member.unit()));
    for endpoint in endpoints() {
        if !juju.relation_ids(endpoint)?.is_empty() {
            goal.endpoints.insert(endpoint.to_owned());
        }
    }
    tracing::info!("Juju tells of no units while one of them goes: those known last count");
    Ok(goal)
}

fn disks(text: Option<&String>, names: &Names) -> BTreeMap<Member, Note> {
    let notes = text.into_iter().flat_map(|text| text.split(','));
    notes
        .filter_map(|note| {
            let (unit, note) = note.split_once('=')?;
            Some((names.member_of_unit(unit)?, Note::from_bag(note)))
        })
        .collect()
}

impl JujuFacts {
    /// The policy of commits may be this unit's to keep: it leads, or is the only one that is wanted, by
    /// Juju's own word.
    #[must_use]
    pub fn keeps_policy(&self) -> bool {
        let alone = self.counted && self.units.len() == 1 && self.units.contains(&self.me);
        self.leader || alone
    }

    /// The cluster has been bootstrapped, by the application's own word.
    #[must_use]
    pub fn initialised(&self) -> bool {
        self.peer_data.as_ref().is_some_and(|data| data.initialised)
    }

    /// Reads how far another unit that may tell something new is with the members' identities: one that
    /// has gone back to an older revision shows none any more.
    ///
    /// # Errors
    /// When Juju can't tell.
    pub fn look_at_identities(
        &mut self,
        juju: &dyn JujuPort,
        tellers: Tellers<'_>,
    ) -> Result<(), JujuError> {
        for peer in self.peers.iter().filter(|peer| tellers.names(peer)) {
            if !self.tls.others.contains_key(peer) {
                let said = tls::announced(juju, &Bag::Other(peer.unit()))?;
                self.tls.others.insert(peer.clone(), said);
            }
        }
        Ok(())
    }

    /// Reads what other units tell of their volumes, which takes a process for each of them.
    ///
    /// # Errors
    /// When Juju can't tell.
    pub fn look_at_disks(
        &mut self,
        juju: &dyn JujuPort,
        tellers: Tellers<'_>,
    ) -> Result<(), JujuError> {
        let Some(data) = self.peer_data.as_mut().filter(|_| self.leader) else {
            return Ok(());
        };
        for peer in self.peers.iter().filter(|peer| tellers.names(peer)) {
            let bag = juju.peer_bag(&Bag::Other(peer.unit()))?.unwrap_or_default();
            let note = bag.get("disk").map(|text| Note::from_bag(text));
            data.disks.insert(peer.clone(), note.unwrap_or_default());
        }
        Ok(())
    }
}

fn peer_data(
    juju: &dyn JujuPort,
    names: &Names,
    me: &Member,
    peers: &BTreeSet<Member>,
    leader: bool,
) -> Result<Option<PeerData>, JujuError> {
    let Some(app) = juju.peer_bag(&Bag::Application)? else {
        return Ok(None);
    };
    let own = juju.peer_bag(&Bag::Unit)?.unwrap_or_default();
    let mut data = PeerData {
        // A list that no charm wrote counts as none: it is written anew.
        endpoints: app
            .get("endpoints")
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default(),
        initialised: app.contains_key("cluster_initialised"),
        volumes: BTreeMap::new(),
        restarted: app
            .get("restarted")
            .map(|text| {
                text.split(',')
                    .filter_map(|unit| names.member_of_unit(unit))
                    .collect()
            })
            .unwrap_or_default(),
        attempt: app
            .get(crate::apply::ATTEMPT)
            .and_then(|text| Attempt::from_bag(text, names)),
        resumed: app.get("refresh_resumed").cloned(),
        format: app.get("format").and_then(|text| text.parse().ok()),
        revision: own.get("revision").cloned(),
        announced: own.get("member").cloned(),
        external: app
            .get(crate::clients::NODES)
            .map(|text| text.split(',').map(str::to_owned).collect())
            .unwrap_or_default(),
        disk: own
            .get("disk")
            .map(|text| Note::from_bag(text))
            .unwrap_or_default(),
        noted_disks: disks(app.get("storage"), names),
        disks: disks(app.get("storage"), names),
    };
    let volume =
        |bag: &BTreeMap<String, String>| bag.get("pgdata").and_then(|t| Volume::from_bag(t));
    data.volumes
        .extend(volume(&own).map(|volume| (me.clone(), volume)));
    // Only the one that may bootstrap has to know what the others' volumes hold.
    if leader && !data.initialised {
        for peer in peers {
            let bag = juju.peer_bag(&Bag::Other(peer.unit()))?.unwrap_or_default();
            data.volumes
                .extend(volume(&bag).map(|volume| (peer.clone(), volume)));
        }
    }
    Ok(Some(data))
}
