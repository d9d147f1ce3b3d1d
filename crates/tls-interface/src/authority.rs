//! The authority of the application's own: its members trust each other by it, with or without a
//! provider of certificates. It lives in the application's secret; each unit signs its own
//! member's certificate.

use std::collections::{BTreeMap, BTreeSet};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyUsagePurpose,
};
use secrecy::{ExposeSecret, SecretString};
use time::OffsetDateTime;

use crate::{Announcement, Certificate, Identity, PrivateKey, TlsError, pem_of};

const DAY: i64 = 24 * 3600;
/// Life of an authority.
const AUTHORITY_DAYS: i64 = 3650;
/// Life of a member's certificate.
pub const MEMBER_DAYS: i64 = 365;
/// Clocks of the pods may differ by less than that.
const BEFORE: i64 = 3600;

/// Keys in the application's secret.
const CURRENT: [&str; 2] = ["internal-ca", "internal-ca-key"];
const NEXT: [&str; 2] = ["internal-ca-next", "internal-ca-next-key"];
const OLD: &str = "internal-ca-old";

/// A certificate that signs others, with its key.
#[derive(Debug)]
pub struct Authority {
    /// The certificate.
    pub certificate: Certificate,
    key: PrivateKey,
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn new(name: &str, now: i64) -> Result<Self, TlsError> {
        let key = PrivateKey::generate()?;
        let mut params = CertificateParams::default();
        // The names differ, so that a chain never leads to the wrong one of two.
        let number = uuid::Uuid::new_v4().simple().to_string();
        let name: String = name.chars().take(40).collect();
        let full = format!("{name} members {}", number.get(..8).unwrap_or_default());
        params.distinguished_name.push(DnType::CommonName, full);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params.not_before, params.not_after) = life(now, AUTHORITY_DAYS)?;
        let made = params.self_signed(key.pair())?;
        Ok(Self {
            certificate: Certificate::parse(&made.pem())?,
            key,
        })
    }

    fn read(get: &impl Fn(&str) -> Option<SecretString>, keys: [&str; 2]) -> Option<Self> {
        let [certificate, key] = keys;
        Some(Self {
            certificate: Certificate::parse(get(certificate)?.expose_secret()).ok()?,
            key: PrivateKey::parse(&get(key)?).ok()?,
        })
    }

    fn write(&self, content: &mut BTreeMap<String, SecretString>, keys: [&str; 2]) {
        let [certificate, key] = keys;
        content.insert(certificate.to_owned(), self.certificate.pem().into());
        content.insert(key.to_owned(), self.key.pem().clone());
    }
}

/// The authority in use, and in a rotation the one to come or the one before.
#[derive(Debug)]
pub struct Authorities {
    /// It signs.
    pub current: Authority,
    /// It will sign once every member trusts it.
    pub next: Option<Authority>,
    /// It is trusted until no member has a certificate of it.
    pub old: Option<Certificate>,
}

impl Authorities {
    /// The first one.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn new(name: &str, now: i64) -> Result<Self, TlsError> {
        Ok(Self {
            current: Authority::new(name, now)?,
            next: None,
            old: None,
        })
    }

    /// From the application's secret; none where it holds none that can be read.
    #[must_use]
    pub fn from_content(get: impl Fn(&str) -> Option<SecretString>) -> Option<Self> {
        Some(Self {
            current: Authority::read(&get, CURRENT)?,
            next: Authority::read(&get, NEXT),
            old: get(OLD).and_then(|pem| Certificate::parse(pem.expose_secret()).ok()),
        })
    }

    /// Keys and values of the secret.
    #[must_use]
    pub fn content(&self) -> BTreeMap<String, SecretString> {
        let mut content = BTreeMap::new();
        self.current.write(&mut content, CURRENT);
        if let Some(next) = &self.next {
            next.write(&mut content, NEXT);
        }
        if let Some(old) = &self.old {
            content.insert(OLD.to_owned(), old.pem().into());
        }
        content
    }

    /// Whether a key of the secret is one of these.
    #[must_use]
    pub fn owns(key: &str) -> bool {
        CURRENT.contains(&key) || NEXT.contains(&key) || key == OLD
    }

    /// All that members trust.
    pub fn trusted(&self) -> impl Iterator<Item = &Certificate> {
        let next = self.next.as_ref().map(|next| &next.certificate);
        [Some(&self.current.certificate), next, self.old.as_ref()]
            .into_iter()
            .flatten()
    }

    /// The same as PEM.
    #[must_use]
    pub fn trusted_pem(&self) -> String {
        pem_of(self.trusted())
    }

    /// Whether the words of all units matter now.
    #[must_use]
    pub fn rotates(&self, now: i64) -> bool {
        self.next.is_some() || self.old.is_some() || now >= self.current.certificate.renew_at()
    }

    /// The next step of a rotation, and why it is taken: a new authority is trusted by every member
    /// before it signs, and the old one until no member has a certificate of it. `units` are the
    /// words of all of them; one that has said nothing holds the rotation up.
    ///
    /// # Errors
    /// When an authority can't be made.
    pub fn advance(
        self,
        name: &str,
        now: i64,
        units: &[Option<Announcement>],
    ) -> Result<(Self, Option<&'static str>), TlsError> {
        let all = |says: &dyn Fn(&Announcement) -> bool| {
            units.iter().all(|unit| unit.as_ref().is_some_and(says))
        };
        let current = self.current.certificate.fingerprint();
        match self {
            Self {
                current: before,
                next: Some(next),
                ..
            } if all(&|unit| unit.trusts.contains(&next.certificate.fingerprint())) => {
                let turned = Self {
                    old: Some(before.certificate),
                    current: next,
                    next: None,
                };
                Ok((
                    turned,
                    Some("every member trusts the new internal authority"),
                ))
            }
            Self {
                current: now_in_use,
                next: None,
                old: Some(_),
            } if all(&|unit| unit.member.as_ref() == Some(&current)) => {
                let done = Self {
                    current: now_in_use,
                    next: None,
                    old: None,
                };
                Ok((
                    done,
                    Some("no member has a certificate of the old authority"),
                ))
            }
            Self {
                current,
                next: None,
                old: None,
            } if now >= current.certificate.renew_at() => {
                let next = Some(Authority::new(name, now)?);
                let begun = Self {
                    current,
                    next,
                    old: None,
                };
                Ok((
                    begun,
                    Some("two thirds of the internal authority's life are over"),
                ))
            }
            unchanged => Ok((unchanged, None)),
        }
    }
}

fn life(now: i64, days: i64) -> Result<(OffsetDateTime, OffsetDateTime), TlsError> {
    let at = |seconds| {
        OffsetDateTime::from_unix_timestamp(seconds)
            .map_err(|_| TlsError::Certificate("its time is out of range".into()))
    };
    Ok((at(now - BEFORE)?, at(now + days * DAY)?))
}

/// A member's key and certificate in one PEM text, so that they are replaced at once.
///
/// # Errors
/// When they can't be made.
pub fn member_certificate(
    authority: &Authority,
    identity: &Identity,
    now: i64,
) -> Result<SecretString, TlsError> {
    signed(authority, identity.params()?, now)
}

/// Key and certificate of a member that connects as a role of PostgreSQL, whose name is its common
/// name: it is a client's, and no server's.
///
/// # Errors
/// When they can't be made.
pub fn role_certificate(
    authority: &Authority,
    role: &str,
    now: i64,
) -> Result<SecretString, TlsError> {
    let mut params = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, role);
    params.distinguished_name = subject;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    signed(authority, params, now)
}

fn signed(
    authority: &Authority,
    mut params: CertificateParams,
    now: i64,
) -> Result<SecretString, TlsError> {
    let key = PrivateKey::generate()?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    (params.not_before, params.not_after) = life(now, MEMBER_DAYS)?;
    let issuer = Issuer::from_ca_cert_pem(&authority.certificate.pem(), authority.key.pair())?;
    let made = params.signed_by(key.pair(), &issuer)?;
    let text = format!("{}\n{}\n", key.pem().expose_secret(), made.pem().trim_end());
    Ok(text.into())
}

/// Whether a file that [`member_certificate`] made still serves.
#[must_use]
pub fn member_fits(
    file: &SecretString,
    authority: &Authority,
    identity: &Identity,
    now: i64,
) -> bool {
    fits(file, authority, &identity.names(), now)
}

/// The same for [`role_certificate`].
#[must_use]
pub fn role_fits(file: &SecretString, authority: &Authority, now: i64) -> bool {
    fits(file, authority, &BTreeSet::new(), now)
}

fn fits(file: &SecretString, authority: &Authority, names: &BTreeSet<String>, now: i64) -> bool {
    let Ok(key) = PrivateKey::parse(file) else {
        return false;
    };
    Certificate::parse(file.expose_secret()).is_ok_and(|certificate| {
        certificate.public == key.public()
            && certificate.names == *names
            && certificate.valid_at(now)
            && now < certificate.renew_at()
            && certificate.signed_by(&authority.certificate)
    })
}
