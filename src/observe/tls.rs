//! Certificates: which this unit keeps, serves and trusts, and what it has to tell the others.
//!
//! Two kinds. The members' own: every unit signs its member's certificate by an authority in the
//! application's secret; Patroni's REST API serves it always, so that no relation that comes or
//! goes can part the members. The clients': what the relation `certificates` gives, served by
//! PostgreSQL; without it PostgreSQL serves the member's, and replication stays encrypted.

use std::collections::{BTreeMap, BTreeSet};

use cluster_plan::names::{Member, Names, ServiceKind};
use cluster_plan::observed::Observed;
use cluster_plan::tls::TlsFacts;
use secrecy::{ExposeSecret, SecretString};
use tls_interface::{
    Announcement, Authorities, Certificate, Holding, Identified, Identity, Kept, Peers, Provider,
    TlsError, certificates, member_certificate, member_fits, pem_of,
};

use super::identity;
use super::juju::JujuFacts;
use super::trust::{self, Trust};
use crate::juju_port::{Bag, CertificatesRelation, JujuError, JujuPort, SecretMap};
use crate::layer;
use crate::ports::{PortResult, Ports, Workload};
use crate::render::File;

/// Key of the peer relation's unit databag.
pub const ANNOUNCEMENT: &str = "tls-state";

/// Key, certificate and chain of PostgreSQL, in one file: they are replaced at once.
pub const SERVER: &str = "/var/lib/postgresql/data/cert.pem";
/// Authorities that clients trust: those that PostgreSQL's certificate is of.
pub const SERVER_CA: &str = "/var/lib/postgresql/data/ca.pem";
pub use cluster_plan::tls::{MEMBER, MEMBER_CA};

/// What Juju tells of certificates.
#[derive(Debug, Clone, Default)]
pub struct TlsJuju {
    /// What the application's secret holds of the members' own authority.
    pub authority: SecretMap,
    /// The relation `certificates`.
    pub relation: Option<CertificatesRelation>,
    /// There is such a relation, or not yet every unit has seen its end.
    pub related: bool,
    /// The unit's own secret; read with the relation only.
    pub kept: SecretMap,
    /// What this unit has announced.
    pub own: Option<Announcement>,
    /// What the others have; read only where it matters.
    pub others: BTreeMap<Member, Option<Announcement>>,
}

/// What a unit has announced.
///
/// # Errors
/// When Juju can't tell.
pub fn announced(juju: &dyn JujuPort, bag: &Bag) -> Result<Option<Announcement>, JujuError> {
    let bag = juju.peer_bag(bag)?.unwrap_or_default();
    let text = bag.get(ANNOUNCEMENT);
    Ok(text.and_then(|text| Announcement::from_bag(text)))
}

/// Asks Juju.
///
/// # Errors
/// When a hook tool fails in a way that is no answer.
pub fn facts(
    juju: &dyn JujuPort,
    peers: &BTreeSet<Member>,
    related: bool,
) -> Result<TlsJuju, JujuError> {
    let mut facts = TlsJuju {
        authority: juju.authority()?,
        related,
        ..TlsJuju::default()
    };
    facts.own = announced(juju, &Bag::Unit)?;
    let mut turns = false;
    if let Some(relation) = related.then(|| juju.certificates()).transpose()?.flatten() {
        facts.kept = juju.unit_secret()?;
        let kept = Kept::from_content(|key| facts.kept.get(key).cloned());
        // Juju may list it until every unit has seen its end.
        let ended = kept.has_ended(&relation.id);
        facts.relation = Some(relation).filter(|_| !ended);
        if let Some(relation) = &facts.relation {
            let provider = Provider::parse(&relation.provider).unwrap_or_default();
            turns = kept.turns() || kept.turns_with(&provider);
        }
    }
    let unserved = facts.own.as_ref().is_none_or(|own| own.member.is_none());
    let rotates = |key: &str| facts.authority.contains_key(key);
    let identifies = facts
        .own
        .as_ref()
        .is_none_or(|own| own.identified < Identified::Demands);
    if turns || unserved || identifies || rotates("internal-ca-next") || rotates("internal-ca-old")
    {
        for peer in peers {
            let said = announced(juju, &Bag::Other(peer.unit()))?;
            facts.others.insert(peer.clone(), said);
        }
    }
    Ok(facts)
}

/// What is wanted of certificates.
#[derive(Default)]
pub struct Look {
    /// Files as they should be.
    pub files: Vec<File>,
    /// The member serves its certificate; else it only trusts those of others.
    pub serves: bool,
    /// A provider's certificate is served, so clients have to use it.
    pub from_provider: bool,
    /// What to announce.
    pub announcement: Announcement,
    /// What the application's secret should hold of the authority, where it differs.
    pub authority: Option<SecretMap>,
    /// What the unit's secret should hold, where it differs.
    pub kept: Option<SecretMap>,
    /// The request that should stand in the relation's databag.
    pub request: Option<(String, String)>,
    /// Authorities that other applications hand over.
    pub trust: Trust,
}

/// The first authority, where there is none: the leader makes it, with the passwords.
#[must_use]
pub fn first(juju: &JujuFacts, now: i64) -> (Look, Option<TlsFacts>) {
    let mut look = Look::default();
    if !juju.leader || juju.passwords.is_none() || !juju.tls.authority.is_empty() {
        return (look, None);
    }
    let mut facts = TlsFacts::default();
    match Authorities::new(juju.names.app(), now) {
        Ok(made) => {
            look.authority = Some(made.content());
            facts.authority = Some("members know each other by it".to_owned());
        }
        Err(error) => tracing::error!("cannot make an authority: {error}"),
    }
    (look, Some(facts))
}

/// Works out what certificates there should be; facts for the plan where there are any.
///
/// # Errors
/// When Pebble does not answer.
pub fn look(
    juju: &JujuFacts,
    ports: &Ports<'_>,
    address: Option<&str>,
) -> PortResult<(Look, Option<TlsFacts>)> {
    let mut look = Look::default();
    let mut facts = TlsFacts::default();
    let now = ports.clock.now();
    let content = &juju.tls.authority;
    let Some(authorities) = Authorities::from_content(|key| content.get(key).cloned()) else {
        return Ok(first(juju, now));
    };
    let member = member_files(juju, ports.workload, &authorities, now, &mut look)?;
    look.announcement.trusts = authorities
        .trusted()
        .map(Certificate::fingerprint)
        .collect();
    if look.serves {
        let signer = authorities.current.certificate.fingerprint();
        look.announcement.member = Some(signer);
        let internal = authorities.trusted_pem();
        client_files(
            juju,
            ports,
            address,
            (member, internal),
            (&mut look, &mut facts),
        )?;
    }
    look.announcement.files = fingerprint(&look);
    if look.serves {
        // What members show to others is read at each connection, so nobody is told to read it.
        let seen = (&mut look, &mut facts);
        identity::look(juju, ports.workload, &authorities, now, seen)?;
    }
    facts.unannounced = juju.tls.own.as_ref() != Some(&look.announcement);
    facts.turns |= authorities.next.is_some() || authorities.old.is_some();
    look.trust = trust::look(&juju.trust, ports.workload)?;
    facts.trust = look.trust.why();
    facts.untrusted.clone_from(&juju.trust.complaints);
    if juju.leader {
        rotate(juju, authorities, now, (&mut look, &mut facts));
    }
    Ok((look, Some(facts)))
}

/// The next step of the internal authority's rotation.
fn rotate(
    juju: &JujuFacts,
    authorities: Authorities,
    now: i64,
    (look, facts): (&mut Look, &mut TlsFacts),
) {
    if !authorities.rotates(now) {
        return;
    }
    let mut units = vec![juju.tls.own.clone()];
    units.extend(juju.peers.iter().map(|peer| {
        let said = juju.tls.others.get(peer);
        said.cloned().flatten()
    }));
    match authorities.advance(juju.names.app(), now, &units) {
        Ok((advanced, Some(why))) => {
            look.authority = Some(advanced.content());
            facts.authority = Some(why.to_owned());
        }
        Ok((_, None)) => {}
        Err(error) => tracing::error!("cannot rotate the internal authority: {error}"),
    }
}

/// The member's files. A cluster that came up without them serves them once every member trusts
/// their authority; from then on, and in a new cluster, always.
fn member_files(
    juju: &JujuFacts,
    workload: &dyn Workload,
    authorities: &Authorities,
    now: i64,
    look: &mut Look,
) -> PortResult<SecretString> {
    let trusted = authorities.trusted_pem();
    look.files.push(file(MEMBER_CA, trusted.into()));
    let identity = member_identity(&juju.names, &juju.me);
    let current = &authorities.current;
    let there = workload.pull(MEMBER)?;
    let there = there.map(|bytes| SecretString::from(String::from_utf8_lossy(&bytes).into_owned()));
    let announced = juju
        .tls
        .own
        .as_ref()
        .is_some_and(|own| own.member.is_some());
    look.serves =
        there.is_some() || announced || !juju.initialised() || all_trust(juju, authorities);
    if !look.serves {
        return Ok(SecretString::default());
    }
    let wanted = match there {
        Some(there) if member_fits(&there, current, &identity, now) => there,
        there => match member_certificate(current, &identity, now) {
            Ok(made) => made,
            Err(error) => {
                tracing::error!("cannot make the member's certificate: {error}");
                look.serves = there.is_some();
                there.unwrap_or_default()
            }
        },
    };
    if look.serves {
        look.files.push(file(MEMBER, wanted.clone()));
    }
    Ok(wanted)
}

/// Notes whether a running Patroni shows another certificate than its file holds. It is asked where
/// that is to be announced, and where it has shown one that nobody trusts.
pub fn look_at_served(
    juju: &JujuFacts,
    ports: &Ports<'_>,
    files: &[File],
    observed: &mut Observed,
) {
    let active = observed.patroni_runs();
    let file = files.iter().find(|file| file.path == MEMBER);
    let (Some(tls), Some(file), true) = (&mut observed.tls, file, active) else {
        return;
    };
    let host = juju.names.host(&juju.me);
    if !tls.unannounced && !ports.members.distrusted(&host) {
        return;
    }
    let leaf = Certificate::parse(file.content.expose_secret());
    tls.hidden = match (ports.members.certificate(&host), leaf) {
        (Ok(Some(shown)), Ok(leaf)) => shown.as_slice() != leaf.der(),
        (Ok(None), _) => true,
        (Err(error), _) => {
            tracing::info!(
                "cannot see which certificate Patroni shows: {}",
                error.chain()
            );
            true
        }
        (_, Err(_)) => false,
    };
}

fn all_trust(juju: &JujuFacts, authorities: &Authorities) -> bool {
    let authority = authorities.current.certificate.fingerprint();
    juju.peers.iter().all(|peer| {
        let said = juju.tls.others.get(peer).and_then(Option::as_ref);
        said.is_some_and(|said| said.trusts.contains(&authority))
    })
}

/// PostgreSQL's files: the provider's certificate where there is one, else the member's.
fn client_files(
    juju: &JujuFacts,
    ports: &Ports<'_>,
    address: Option<&str>,
    (member, internal): (SecretString, String),
    (look, facts): (&mut Look, &mut TlsFacts),
) -> PortResult<()> {
    let now = ports.clock.now();
    let peers = Peers {
        own: juju.tls.own.clone(),
        others: juju.tls.others.values().flatten().cloned().collect(),
    };
    let mut served = None;
    let mut kept = Kept::from_content(|key| juju.tls.kept.get(key).cloned());
    if let Some(relation) = juju.tls.relation.as_ref().filter(|relation| relation.ends) {
        kept.end(&relation.id);
        facts.kept = Some("the relation has ended".to_owned());
        look.kept = Some(kept.content());
    } else if let Some(relation) = &juju.tls.relation {
        match advance(juju, (&mut kept, relation), address, now, &peers) {
            Ok(changes) => {
                facts.complaint = changes.complaint;
                facts.timer = timer(ports.workload, changes.due)?;
                if !changes.done.is_empty() {
                    facts.kept = Some(changes.done.join("; "));
                    look.kept = Some(kept.content());
                }
            }
            Err(error) => facts.complaint = Some(error.to_string()),
        }
        let request = kept.request();
        look.request = request.map(|text| (relation.id.clone(), text.to_owned()));
        facts.turns |= kept.turns();
        if let Some(bundle) = kept.served(now, &peers) {
            look.announcement.clients = Some(bundle.authority());
            let trusted = kept.trusted();
            let names = trusted.iter().map(|c| c.fingerprint());
            look.announcement.trusts.extend(names);
            served = Some((bundle.server_pem(), pem_of(trusted)));
        }
    }
    look.from_provider = served.is_some();
    let provided = served.as_ref().map_or("", |(_, trusted)| trusted.as_str());
    let known = format!("{internal}{provided}");
    look.files.push(file(identity::CLIENTS_CA, known.into()));
    let (pem, trusted) = served.unwrap_or((member, internal));
    look.files.push(file(SERVER, pem));
    look.files.push(file(SERVER_CA, trusted.into()));
    Ok(())
}

struct Changes {
    done: Vec<String>,
    complaint: Option<String>,
    due: Option<i64>,
}

fn advance(
    juju: &JujuFacts,
    (kept, relation): (&mut Kept, &CertificatesRelation),
    address: Option<&str>,
    now: i64,
    peers: &Peers,
) -> Result<Changes, TlsError> {
    let provider = Provider::parse(&relation.provider)?;
    let data = juju.peer_data.as_ref();
    let nodes = data.map(|data| &data.external).into_iter().flatten();
    let me = address.unwrap_or_default();
    let identity = client_identity(&juju.names, &juju.me, me, nodes);
    // Without the address not all names are known: what is asked for stays.
    let done = if address.is_some() {
        let holding = Holding {
            relation: &relation.id,
            provider: &provider,
            identity: &identity,
            now,
            peers,
        };
        kept.advance(&holding)?
    } else {
        Vec::new()
    };
    Ok(Changes {
        done,
        complaint: kept.complaint(&provider, &identity, now),
        due: kept.due(&provider),
    })
}

/// When to set a timer for, where none is set for that time.
fn timer(workload: &dyn Workload, due: Option<i64>) -> PortResult<Option<i64>> {
    let Some(due) = due else { return Ok(None) };
    let plan = workload.plan()?;
    let wanted = layer::renewal(due);
    let set = plan.services.get(layer::RENEWAL) == wanted.services.get(layer::RENEWAL);
    Ok((!set).then_some(due))
}

pub(super) fn file(path: &'static str, content: SecretString) -> File {
    File {
        path,
        content,
        mode: 0o600,
        owner: "postgres",
    }
}

/// A name for all certificates in the files, and for how they are used.
fn fingerprint(look: &Look) -> String {
    let mut names = vec![
        if look.from_provider {
            "provider"
        } else {
            "own"
        }
        .to_owned(),
    ];
    for file in &look.files {
        let all = certificates(file.content.expose_secret()).unwrap_or_default();
        names.extend(all.iter().map(Certificate::fingerprint));
    }
    tls_interface::name_of(&names)
}

/// Names by which members reach each other, and PostgreSQL where no provider gives a certificate.
fn member_identity(names: &Names, me: &Member) -> Identity {
    Identity {
        common_name: names.host(me),
        hosts: hosts(names, me),
        addresses: ["127.0.0.1".parse().ok(), "::1".parse().ok()]
            .into_iter()
            .flatten()
            .collect(),
    }
}

/// Names and addresses that a client may use. A port of any node may lead to any member.
fn client_identity<'a>(
    names: &Names,
    me: &Member,
    address: &'a str,
    nodes: impl Iterator<Item = &'a String>,
) -> Identity {
    let addresses = nodes.map(String::as_str).chain([address]);
    Identity {
        common_name: names.host(me),
        hosts: hosts(names, me),
        addresses: addresses.filter_map(|text| text.parse().ok()).collect(),
    }
}

fn hosts(names: &Names, me: &Member) -> BTreeSet<String> {
    let model = names.model();
    let mut hosts: BTreeSet<String> = [
        me.to_string(),
        names.host(me),
        format!("{}.{model}", names.host(me)),
        format!("{}.{model}.svc", names.host(me)),
        names.fqdn(me),
        "localhost".to_owned(),
    ]
    .into();
    for kind in ServiceKind::ALL {
        let service = names.service(kind);
        hosts.extend([
            format!("{service}.{model}"),
            format!("{service}.{model}.svc"),
            names.service_fqdn(kind),
            service,
        ]);
    }
    hosts
}
