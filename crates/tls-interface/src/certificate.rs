//! Certificates, as far as a server that serves them has to know.

use std::collections::BTreeSet;
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::TlsError;

/// A certificate that could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    /// Seconds since 1970.
    pub not_before: i64,
    /// Seconds since 1970.
    pub not_after: i64,
    /// It may sign others.
    pub is_authority: bool,
    /// Its issuer is itself.
    pub self_issued: bool,
    /// The public key, as `SubjectPublicKeyInfo`.
    pub public: Vec<u8>,
    /// DNS names and addresses that it is for.
    pub names: BTreeSet<String>,
}

impl Certificate {
    /// The first certificate in a PEM text.
    ///
    /// # Errors
    /// [`TlsError::Certificate`] says what is wrong.
    pub fn parse(pem: &str) -> Result<Self, TlsError> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| TlsError::Certificate("no certificate in PEM".into()))?;
        Self::from_der(&der)
    }

    fn from_der(der: &[u8]) -> Result<Self, TlsError> {
        let bad = |why: String| TlsError::Certificate(why);
        let (rest, read) = X509Certificate::from_der(der).map_err(|e| bad(e.to_string()))?;
        if !rest.is_empty() {
            return Err(bad("something follows it".into()));
        }
        let mut names = BTreeSet::new();
        let alternatives = read
            .subject_alternative_name()
            .map_err(|e| bad(e.to_string()))?;
        for name in alternatives.iter().flat_map(|a| &a.value.general_names) {
            names.extend(text_of(name));
        }
        Ok(Self {
            not_before: read.validity().not_before.timestamp(),
            not_after: read.validity().not_after.timestamp(),
            is_authority: read.is_ca(),
            self_issued: read.subject() == read.issuer(),
            public: read.public_key().raw.to_vec(),
            names,
            der: der.to_vec(),
        })
    }

    /// A short name for exactly this certificate.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        short_hash(&self.der)
    }

    /// Its bytes.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// As PEM, without an end of line after it.
    #[must_use]
    pub fn pem(&self) -> String {
        pem("CERTIFICATE", &self.der)
    }

    /// Whether it counts at this time.
    #[must_use]
    pub fn valid_at(&self, now: i64) -> bool {
        (self.not_before..self.not_after).contains(&now)
    }

    /// When two thirds of its life are over.
    #[must_use]
    pub fn renew_at(&self) -> i64 {
        self.not_after - (self.not_after - self.not_before) / 3
    }

    /// Whether the other one's key has signed it.
    #[must_use]
    pub fn signed_by(&self, authority: &Self) -> bool {
        let own = X509Certificate::from_der(&self.der);
        let other = X509Certificate::from_der(&authority.der);
        match (own, other) {
            (Ok((_, own)), Ok((_, other))) => {
                own.issuer() == other.subject()
                    && own.verify_signature(Some(other.public_key())).is_ok()
            }
            _ => false,
        }
    }
}

fn short_hash(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().take(8).fold(String::new(), |mut text, byte| {
        use std::fmt::Write;
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// One short name for exactly these names, in this order.
#[must_use]
pub fn name_of(names: &[String]) -> String {
    short_hash(names.join(" ").as_bytes())
}

pub(crate) fn text_of(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let any = v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            any.ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

/// All certificates in a PEM text; what else is in it is passed over.
///
/// # Errors
/// [`TlsError::Certificate`] where one of them can't be read.
pub fn certificates(pem: &str) -> Result<Vec<Certificate>, TlsError> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .map(|der| {
            let der = der.map_err(|_| TlsError::Certificate("broken PEM".into()))?;
            Certificate::from_der(&der)
        })
        .collect()
}

/// A PEM text of certificates, in order, each once, with an end of line after the last.
pub fn pem_of<'a>(certificates: impl IntoIterator<Item = &'a Certificate>) -> String {
    let mut seen = BTreeSet::new();
    let mut text = String::new();
    for certificate in certificates {
        if seen.insert(&certificate.der) {
            text.push_str(&certificate.pem());
            text.push('\n');
        }
    }
    text
}

/// PEM with lines of 64 characters, without an end of line after it.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for (at, character) in base64.chars().enumerate() {
        if at > 0 && at % 64 == 0 {
            text.push('\n');
        }
        text.push(character);
    }
    text + &format!("\n-----END {label}-----")
}
