//! Relations with clients: each asks for a database and gets a user in it.
//!
//! Only the leader serves them. It remembers which relations have the answer that they should have,
//! so that a hook looks at those alone that may not: the one that the hook is about, new ones, and
//! all of them where endpoints have changed or another unit may have led in between.

mod external;
mod legacy;
pub mod list;
mod look;
mod memory;
pub mod rotate;
mod serve;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use cluster_plan::clients::relation_of;
use cluster_plan::plan::Problem;
use relation_interfaces::postgresql_client::Group;
use secrecy::{ExposeSecret, SecretString};

use crate::juju_port::JujuError;
use crate::observe::juju::JujuFacts;
use crate::observe::{Observation, database};
use crate::ports::{Ports, Server};

use self::external::External;

pub use external::NODES;
pub use look::{CLIENT, OWNED, PREFIXED, PREPARED, USERS};
pub use memory::{Known, Memory, digest};

use crate::juju_port::JujuPort;

/// The endpoint of `postgresql_client`.
pub const DATABASE: &str = "database";
/// The endpoints of the legacy interface `pgsql`.
pub const LEGACY: [&str; 2] = ["db", "db-admin"];

/// What a hook is about, as far as it concerns clients.
#[derive(Debug, Clone, Copy, Default)]
pub struct Occasion<'a> {
    /// The relation of a relation hook.
    pub relation: Option<&'a str>,
    /// It is gone.
    pub broken: bool,
    /// Look at every relation: another unit may have led, or the charm may be a new one.
    pub sweep: bool,
    /// What the operator asks of the relation's credentials.
    pub turn: Option<rotate::Turn>,
}

/// A relation with a client.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Relation {
    number: u64,
    endpoint: String,
    id: String,
}

impl Relation {
    fn new(id: &str) -> Option<Self> {
        let (endpoint, number) = id.rsplit_once(':')?;
        Some(Self {
            number: number.parse().ok()?,
            endpoint: endpoint.to_owned(),
            id: id.to_owned(),
        })
    }
}

/// All that serving takes.
struct Clients<'a> {
    juju: &'a dyn JujuPort,
    ports: &'a Ports<'a>,
    facts: &'a JujuFacts,
    server: Server,
    standbys: Vec<Server>,
    occasion: Occasion<'a>,
    terms: Terms,
    external: &'a External<'a>,
    /// Relations that have all, and are looked at only as their old credentials have not ended yet.
    turning: BTreeSet<u64>,
    /// The server has the roles that the 16 track predefines.
    predefined: bool,
}

/// What every client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Terms {
    endpoints: String,
    read_only_endpoints: String,
    tls_ca: Option<String>,
    /// A name for all of it.
    digest: String,
}

impl Terms {
    /// A name for what a relation was told; none while it cannot be told what it asks for.
    fn digest_for(&self, external: Option<&External<'_>>) -> Option<Cow<'_, str>> {
        let Some(external) = external else {
            return Some(Cow::Borrowed(&self.digest));
        };
        let way = external.way().ok()?;
        let texts = [&self.digest, &way.endpoints, &way.read_only_endpoints];
        Some(Cow::Owned(memory::digest(&texts.map(String::as_str))))
    }
}

/// What became of the clients.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What is wrong with their requests.
    pub problems: Vec<Problem>,
    /// Some are to be tried again, and nothing wakes this unit for it.
    pub later: bool,
}

/// Serves the clients, as far as that is possible now.
///
/// # Errors
/// When Juju refuses something; all else is a problem, or is tried again by the next hook.
pub fn reconcile(
    juju: &dyn JujuPort,
    ports: &Ports<'_>,
    facts: &JujuFacts,
    observation: &Observation,
    occasion: Occasion<'_>,
) -> Result<Outcome, JujuError> {
    // A unit that goes sees its relations break, while the application keeps them.
    if !facts.leader || facts.leaving.contains(&facts.me) {
        return Ok(Outcome::default());
    }
    let mut memory = Memory::parse(juju.memory(memory::KEY)?.as_deref());
    memory.sweep |= occasion.sweep || groups_gone(observation);
    let relations = relations(juju, &memory, occasion)?;
    let server = database::server(facts, &observation.observed);
    moved(ports, &mut memory, observation, server.as_ref());
    let terms = terms(observation);
    let external = External::new(ports, facts, observation);
    let looked = memory.sweep;
    let due: Vec<&Relation> = relations
        .values()
        .filter(|r| {
            memory.sweep
                || occasion.relation == Some(r.id.as_str())
                || memory
                    .get(r.number)
                    .is_none_or(|k| k.rotates() || stale(k, &terms, &external))
        })
        .collect();
    let gone: BTreeSet<u64> = memory
        .numbers()
        .filter(|number| !relations.contains_key(number))
        .chain(
            occasion
                .relation
                .filter(|_| occasion.broken)
                .and_then(Relation::new)
                .filter(|r| is_client(&r.endpoint))
                .map(|r| r.number),
        )
        .collect();
    let mixed = mixed(&relations);
    if due.is_empty() && gone.is_empty() && memory.left.is_empty() && !memory.sweep {
        if memory.changed {
            juju.remember(memory::KEY, &memory.text())?;
        }
        let asked = asks(&memory, &relations);
        return Ok(Outcome {
            problems: problems(&memory, &relations, mixed),
            later: external.settle(juju, (&memory, asked, looked))?,
        });
    }
    let mut later = false;
    let turning = turning(&memory, &due, occasion, (&terms, &external));
    if due.len() > turning.len() {
        // A client's password is set by what its secret holds now.
        juju.forget_secrets();
    }
    // What is changed now must not count as done, should this hook get no further.
    for relation in &due {
        memory.unsettle(relation.number);
    }
    if let Some(server) = server {
        let clients = Clients {
            juju,
            ports,
            facts,
            server,
            standbys: standbys(facts, observation),
            occasion,
            terms,
            external: &external,
            turning,
            predefined: has_predefined(observation),
        };
        if let Err(error) = clients.work(&mut memory, &relations, &due, &gone, mixed)? {
            tracing::warn!("clients are served later: {}", error.chain());
            later = true;
        } else {
            memory.sweep = false;
            if let Some(primary) = crate::apply::primary(observation) {
                memory.primary = primary.to_string();
            }
        }
        later |= due.iter().any(|r| memory.failed(r.number));
    } else {
        tracing::info!("{} clients wait for a primary", due.len());
    }
    juju.remember(memory::KEY, &memory.text())?;
    let asked = asks(&memory, &relations);
    later |= external.settle(juju, (&memory, asked, looked))?;
    Ok(Outcome {
        problems: problems(&memory, &relations, mixed),
        later,
    })
}

/// Of those that are due, the relations that have all, and are looked at only as their old credentials
/// have not ended yet.
fn turning(
    memory: &Memory,
    due: &[&Relation],
    occasion: Occasion<'_>,
    (terms, external): (&Terms, &External<'_>),
) -> BTreeSet<u64> {
    let turns = |relation: &&&Relation| {
        let told = |known: &Known| !known.unsettled && !stale(known, terms, external);
        let named = occasion.relation == Some(relation.id.as_str());
        !memory.sweep && !named && memory.get(relation.number).is_some_and(told)
    };
    due.iter().filter(turns).map(|r| r.number).collect()
}

/// Whether a relation was told something else than it should be. One that asks for what is not there
/// keeps what it has.
fn stale(known: &Known, terms: &Terms, external: &External<'_>) -> bool {
    let wanted = terms.digest_for(known.external.then_some(external));
    wanted.map_or(known.digest.is_empty(), |wanted| known.digest != wanted)
}

/// Whether a relation asks for endpoints outside Kubernetes, as far as is known.
fn asks(memory: &Memory, relations: &BTreeMap<u64, Relation>) -> bool {
    let mut known = relations.keys().filter_map(|number| memory.get(*number));
    known.any(|known| known.external)
}

/// Somebody has dropped a group by which `pg_hba.conf` lets clients in; the one that this hook has made
/// is empty.
fn groups_gone(observation: &Observation) -> bool {
    let database = observation.observed.database.as_ref();
    let groups = [
        cluster_plan::clients::CLIENTS,
        cluster_plan::clients::ANY_DATABASE,
    ];
    database.is_some_and(|seen| groups.iter().any(|name| !seen.roles.contains_key(*name)))
}

/// Another primary than the one that clients were last served from may lack the last users.
fn moved(
    ports: &Ports<'_>,
    memory: &mut Memory,
    observation: &Observation,
    server: Option<&Server>,
) {
    let (Some(server), Some(primary)) = (server, crate::apply::primary(observation)) else {
        return;
    };
    let primary = primary.to_string();
    if memory.primary == primary || memory.numbers().next().is_none() {
        return;
    }
    match look::users(ports.database, server) {
        Ok(users) => {
            memory.miss(&users);
            memory.primary = primary;
            memory.changed = true;
        }
        Err(error) => tracing::warn!("cannot see the clients' users: {}", error.chain()),
    }
}

fn has_predefined(observation: &Observation) -> bool {
    let database = observation.observed.database.as_ref();
    database.is_some_and(|seen| seen.major >= cluster_plan::predefined::SINCE)
}

/// The members that don't lead.
fn standbys(facts: &JujuFacts, observation: &Observation) -> Vec<Server> {
    let cluster = observation.observed.cluster.iter();
    let members = cluster.flat_map(|cluster| &cluster.members);
    let primary = crate::apply::primary(observation);
    members
        .filter_map(|seen| seen.member.as_ref())
        .filter(|member| Some(*member) != primary)
        .filter_map(|member| list::server(facts, member))
        .collect()
}

/// Labels that the secrets of a user can have.
fn labels(user: &str) -> Vec<String> {
    let rest = cluster_plan::clients::identity(user)
        .trim_start_matches("relation_id_")
        .replace('_', ".");
    Group::ALL
        .map(|group| format!("{DATABASE}.{rest}.{}.secret", group.name()))
        .into()
}

/// Whether clients are related by an endpoint.
#[must_use]
pub fn is_client(endpoint: &str) -> bool {
    endpoint == DATABASE || LEGACY.contains(&endpoint)
}

fn relations(
    juju: &dyn JujuPort,
    memory: &Memory,
    occasion: Occasion<'_>,
) -> Result<BTreeMap<u64, Relation>, JujuError> {
    let goal = juju.goal()?;
    let mut found = BTreeMap::new();
    for endpoint in [DATABASE].into_iter().chain(LEGACY) {
        let none = goal
            .as_ref()
            .is_some_and(|g| !g.endpoints.contains(endpoint));
        if none && !memory.has(endpoint) {
            continue;
        }
        for relation in juju.relation_ids(endpoint)?.iter().map(String::as_str) {
            let broken = occasion.broken && occasion.relation == Some(relation);
            if let Some(relation) = Relation::new(relation).filter(|_| !broken) {
                found.insert(relation.number, relation);
            }
        }
    }
    Ok(found)
}

/// A client that is related by both interfaces gets two users that know nothing of each other.
fn mixed(relations: &BTreeMap<u64, Relation>) -> bool {
    let legacy = |r: &&Relation| LEGACY.contains(&r.endpoint.as_str());
    relations.values().any(|r| legacy(&r)) && !relations.values().all(|r| legacy(&r))
}

/// As much of a text as is kept and told.
fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}

fn problems(memory: &Memory, relations: &BTreeMap<u64, Relation>, mixed: bool) -> Vec<Problem> {
    let told = relations.values().filter_map(|relation| {
        let known = memory.get(relation.number)?;
        let relation = relation.id.clone();
        let wrong = known.problem.clone();
        Some(match (wrong, known.waits.clone()) {
            (Some(why), _) => Problem::Client { relation, why },
            (None, why) => Problem::ClientWaits {
                relation,
                why: why?,
            },
        })
    });
    let left = memory.left.iter().map(|(user, why)| Problem::ClientLeft {
        user: user.clone(),
        why: why.clone(),
    });
    mixed
        .then_some(Problem::MixedClients)
        .into_iter()
        .chain(told)
        .chain(left)
        .collect()
}

fn terms(observation: &Observation) -> Terms {
    use cluster_plan::membership;
    use cluster_plan::names::{POSTGRESQL_PORT, ServiceKind};
    let observed = &observation.observed;
    let endpoint = |kind| format!("{}:{POSTGRESQL_PORT}", observed.names.service_fqdn(kind));
    let (endpoints, read_only_endpoints) = (
        endpoint(ServiceKind::Primary),
        endpoint(membership::reads(observed)),
    );
    let tls_ca = observation
        .clients_authorities()
        .map(|pem| pem.expose_secret().trim_end().to_owned());
    let digest = memory::digest(&[
        &endpoints,
        &read_only_endpoints,
        tls_ca.as_deref().unwrap_or_default(),
    ]);
    Terms {
        endpoints,
        read_only_endpoints,
        tls_ca,
        digest,
    }
}

impl Clients<'_> {
    /// Removes users of relations that are gone, then serves those that are due. What keeps it from
    /// going on is told; what concerns one relation alone is remembered with it.
    fn work(
        &self,
        memory: &mut Memory,
        relations: &BTreeMap<u64, Relation>,
        due: &[&Relation],
        gone: &BTreeSet<u64>,
        mixed: bool,
    ) -> Result<Result<(), crate::ports::PortError>, JujuError> {
        let users = match look::users(self.ports.database, &self.server) {
            Ok(users) => users,
            Err(error) => return Ok(Err(error)),
        };
        let orphans = users
            .iter()
            .filter_map(|user| Some((relation_of(user)?, user)));
        let mut left = BTreeSet::new();
        memory.left.clear();
        for (number, user) in orphans.filter(|(number, _)| !relations.contains_key(number)) {
            if let Err(error) = self.remove(user) {
                if matches!(error, crate::ports::PortError::Unreachable(..)) {
                    return Ok(Err(error));
                }
                let why = error.chain();
                tracing::warn!("cannot remove {user}: {why}");
                let why = self.held(user, &why);
                memory.left.insert(user.clone(), shortened(&why));
                left.insert(number);
                continue;
            }
            // Another unit may have led when they were made.
            if memory.get(number).is_none() {
                for label in labels(user) {
                    self.juju.forget_secret(&label)?;
                }
            }
        }
        for number in gone.iter().filter(|number| !left.contains(*number)) {
            for label in memory
                .get(*number)
                .map(|k| k.secrets.clone())
                .unwrap_or_default()
            {
                self.juju.forget_secret(&label)?;
            }
            memory.forget(*number);
        }
        let mut made = false;
        for relation in due {
            match self.due(memory, relation, &users, mixed)? {
                Ok(database) => made |= database,
                Err(error) => return Ok(Err(error)),
            }
        }
        // A database that is new concerns those who asked for all of a name.
        let prefixed = |r: &&Relation| made && memory.get(r.number).is_some_and(|k| k.prefix);
        for relation in relations
            .values()
            .filter(prefixed)
            .cloned()
            .collect::<Vec<_>>()
        {
            memory.unsettle(relation.number);
            if let Err(error) = self.due(memory, &relation, &users, mixed)? {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }

    /// Serves one relation: whether a database was made for it.
    fn due(
        &self,
        memory: &mut Memory,
        relation: &Relation,
        users: &[String],
        mixed: bool,
    ) -> Result<Result<bool, crate::ports::PortError>, JujuError> {
        let own: Vec<&String> = users
            .iter()
            .filter(|user| relation_of(user) == Some(relation.number))
            .collect();
        // Those that are served stay so; the operator has to choose before more are.
        if mixed && own.is_empty() {
            return Ok(Ok(false));
        }
        let known = memory.get(relation.number).cloned().unwrap_or_default();
        let served = if relation.endpoint == DATABASE {
            self.relation(relation, &known, &own)?
        } else {
            self.legacy(relation)?
        };
        Ok(served.map(|mut served| {
            served.endpoint.clone_from(&relation.endpoint);
            if !served.unsettled {
                let external = served.external.then_some(self.external);
                let digest = self.terms.digest_for(external);
                served.digest = digest.unwrap_or_default().into_owned();
            }
            let made = served.made;
            memory.set(relation.number, served);
            made
        }))
    }

    fn password(&self, known: Option<&SecretString>) -> SecretString {
        known
            .cloned()
            .unwrap_or_else(|| self.ports.random.password())
    }
}
