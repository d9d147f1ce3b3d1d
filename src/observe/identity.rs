//! Who a member is to another member's PostgreSQL: not whoever has an address or a name, which DNS
//! gives and takes, but whoever has a certificate of the members' authority for the role, and the
//! role's password.
//!
//! A file that a connection string names and that is not there counts for nothing with libpq, so what
//! members show and verify changes by files alone: no standby connects anew for it.

use cluster_plan::observed::{Observed, SystemUser};
use cluster_plan::tls::TlsFacts;
use secrecy::SecretString;
use tls_interface::{Authorities, Identified, role_certificate, role_fits};

use super::juju::JujuFacts;
use super::tls::{Look, file};
use crate::ports::{PortResult, Ports, Server, Workload};

/// Authorities of those who connect to PostgreSQL with a certificate: the members', and the
/// provider's, whose certificates clients may show.
pub const CLIENTS_CA: &str = "/var/lib/postgresql/data/identities-ca.pem";
/// Key and certificate of a standby.
pub const REPLICATION: &str = "/var/lib/postgresql/data/replication.pem";
/// Key and certificate of a former primary that is rewound.
pub const REWIND: &str = "/var/lib/postgresql/data/rewind.pem";
/// Authorities of the servers that a standby follows. Not there while a provider's certificates may
/// be served: one that has expired, or whose authority is new, must not part the members.
pub const SERVERS_CA: &str = "/var/lib/postgresql/data/servers-ca.pem";

/// Whether PostgreSQL has read its files since the members' authorities were written.
pub const HAS_READ: &str = "SELECT (pg_catalog.pg_conf_load_time() OPERATOR(pg_catalog.>=) \
    (pg_catalog.pg_stat_file('/var/lib/postgresql/data/identities-ca.pem', true)).modification)::text";

/// How far this unit may go now.
fn stage(juju: &JujuFacts) -> Identified {
    let others = juju.tls.others.values().flatten();
    Identified::among(others.map(|other| other.identified))
}

/// The files by which members know each other's PostgreSQL, and what to announce of them.
///
/// # Errors
/// When Pebble does not answer.
pub fn look(
    juju: &JujuFacts,
    workload: &dyn Workload,
    authorities: &Authorities,
    now: i64,
    (look, facts): (&mut Look, &mut TlsFacts),
) -> PortResult<()> {
    look.announcement.identified = stage(juju);
    let shows = look.announcement.identified >= Identified::Shows;
    for (path, role) in [
        (REPLICATION, SystemUser::Replication),
        (REWIND, SystemUser::Rewind),
    ] {
        let there = workload.pull(path)?;
        if !shows {
            facts.unwanted.extend(there.map(|_| path));
            continue;
        }
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let there = there.map(|bytes| SecretString::from(text(bytes)));
        match there.filter(|there| role_fits(there, &authorities.current, now)) {
            Some(there) => look.files.push(file(path, there)),
            None => match role_certificate(&authorities.current, role.name(), now) {
                Ok(made) => look.files.push(file(path, made)),
                Err(error) => tracing::error!("cannot make the certificate of a role: {error}"),
            },
        }
    }
    if juju.tls.related {
        let there = workload.stat(SERVERS_CA)?;
        facts.unwanted.extend(there.map(|_| SERVERS_CA));
    } else {
        let trusted = authorities.trusted_pem();
        look.files.push(file(SERVERS_CA, trusted.into()));
    }
    Ok(())
}

/// Notes whether a running PostgreSQL still has the authorities that it read before: until it takes
/// the new ones, nobody may show it a certificate of theirs.
pub fn look_at_read(ports: &Ports<'_>, observed: &mut Observed) {
    let active = observed.patroni_runs();
    let stale = observed.workload.facts().map(|facts| &facts.stale_files);
    let written = stale.is_some_and(|stale| !stale.contains(CLIENTS_CA));
    let Some(tls) = &mut observed.tls else { return };
    if !(active && written && tls.unannounced && tls.turns) {
        return;
    }
    match ports.database.look(&Server::Own, HAS_READ, &[]) {
        Ok(rows) => {
            let told = rows.first().and_then(|row| row.first()?.as_deref());
            tls.hidden |= told == Some("false");
        }
        // One that does not run reads them when it starts.
        Err(error) => tracing::debug!("cannot ask what PostgreSQL has read: {}", error.chain()),
    }
}
