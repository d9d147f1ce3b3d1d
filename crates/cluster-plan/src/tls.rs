//! Certificates in the plan: what is kept, pushed, reloaded and announced, in an order in which no
//! member and no client meets a certificate whose authority it could not know yet.

use std::collections::BTreeSet;
use std::fmt;

use crate::observed::{Observed, ServiceState};
use crate::plan::{Plan, Problem, Step, Waiting};

/// The file with the key and certificate of the member, which its REST API serves.
pub const MEMBER: &str = "/var/lib/postgresql/data/members-cert.pem";

/// The file with the members' authorities.
pub const MEMBER_CA: &str = "/var/lib/postgresql/data/members-ca.pem";

/// What was found out about certificates. The texts are reasons; the certificates themselves stay
/// with who looked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFacts {
    /// The internal authority in the application's secret has to change.
    pub authority: Option<String>,
    /// The unit's secret and its request have to change.
    pub kept: Option<String>,
    /// What the unit announced is not what its files are to be.
    pub unannounced: bool,
    /// Patroni runs, and does not show its file's certificate: it has not looked for it, or does
    /// not answer. Or PostgreSQL has not read its files since they were written.
    pub hidden: bool,
    /// Files on the volume that may not be there now.
    pub unwanted: BTreeSet<&'static str>,
    /// An authority is on its way in or out.
    pub turns: bool,
    /// What the provider gave can't be used, or it gives nothing.
    pub complaint: Option<String>,
    /// Seconds since 1970 at which a certificate has to be renewed, where no timer is set for it.
    pub timer: Option<i64>,
    /// What the container trusts of other applications' authorities has to change.
    pub trust: Option<String>,
    /// What other applications hand over as authorities and cannot be used.
    pub untrusted: Vec<String>,
}

/// Effects of certificates alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsStep {
    /// Write the internal authority into the application's secret.
    StoreAuthority,
    /// Write key, request and certificates into the unit's secret, and the request into the
    /// databag.
    Keep,
    /// Tell the other units what this one trusts and serves.
    Announce,
    /// Have the charm woken when a certificate is to be renewed.
    SetTimer(i64),
    /// Remove this file.
    Withdraw(&'static str),
    /// Have the container trust the authorities that other applications hand over, and no others.
    Trust,
}

impl fmt::Display for TlsStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StoreAuthority => f.write_str("store the members' own authority"),
            Self::Keep => f.write_str("keep certificates and request in the unit's secret"),
            Self::Announce => f.write_str("announce the certificates to the other units"),
            Self::Trust => f.write_str("change which authorities the container trusts"),
            Self::Withdraw(path) => write!(f, "remove {path}"),
            Self::SetTimer(at) => write!(f, "set a timer for {at}"),
        }
    }
}

/// What is written to Juju, before anything is done with it.
pub fn keep(plan: &mut Plan, observed: &Observed) {
    let Some(tls) = observed
        .tls
        .as_ref()
        .filter(|_| observed.peer_data.is_some())
    else {
        return;
    };
    if let Some(why) = &tls.authority {
        plan.step(Step::Tls(TlsStep::StoreAuthority), why.clone());
    }
    if let Some(why) = &tls.kept {
        plan.step(Step::Tls(TlsStep::Keep), why.clone());
    }
    for complaint in &tls.untrusted {
        plan.problem(Problem::Authority(complaint.clone()));
    }
    if let Some(complaint) = &tls.complaint {
        plan.problem(Problem::Certificates(complaint.clone()));
    }
}

/// What follows once the files are pushed. The announcement is the last step, and counts once the
/// hook has ended well: until then a later hook reloads again.
pub fn settle(plan: &mut Plan, observed: &Observed) {
    let (Some(tls), Some(facts)) = (&observed.tls, observed.workload.facts()) else {
        return;
    };
    if let Some(why) = &tls.trust {
        plan.step(Step::Tls(TlsStep::Trust), why.clone());
    }
    for path in &tls.unwanted {
        plan.step(
            Step::Tls(TlsStep::Withdraw(path)),
            "another member's server may not take what it says",
        );
    }
    let planned = |plan: &Plan, step: &Step| plan.steps.iter().any(|p| p.step == *step);
    let pushed = facts
        .stale_files
        .iter()
        .all(|path| planned(plan, &Step::PushFile(path.clone())));
    let active = facts.service == ServiceState::Active;
    let reads = active || planned(plan, &Step::StartServices);
    if !pushed || !reads || !facts.configured {
        return;
    }
    // Patroni that reads another patroni.yml does not look for a new certificate of its REST API
    // (seen with 3.0.2), and what it is told twice within a loop it does once. So a certificate is
    // announced when it shows, and until then Patroni is told again.
    // PostgreSQL reads the authorities of those who connect when Patroni tells it to.
    let stale = [MEMBER, MEMBER_CA].map(|path| facts.stale_files.contains(path));
    let hidden = active && (tls.hidden || stale.contains(&true));
    let reload = active && (tls.unannounced || tls.hidden);
    if reload && !planned(plan, &Step::ReloadPatroni) {
        plan.step(Step::ReloadPatroni, "its certificates have changed");
    }
    if tls.unannounced && hidden {
        plan.wait(Waiting::Certificate, "the timer after a reload");
    } else if tls.unannounced {
        plan.step(
            Step::Tls(TlsStep::Announce),
            "the others go on once they know it",
        );
    }
    if let Some(at) = tls.timer {
        plan.step(
            Step::Tls(TlsStep::SetTimer(at)),
            "a certificate is to be renewed then",
        );
    }
    if tls.turns {
        plan.wait(
            Waiting::Authority,
            "the other units, and the timer after a reload",
        );
    }
}
