//! Whom a certificate is for, and how it is asked for.

use std::collections::BTreeSet;
use std::net::IpAddr;

use rcgen::{CertificateParams, DistinguishedName, DnType, SanType};
use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, ParsedExtension, X509CertificationRequest};

use crate::certificate::pem;
use crate::{Certificate, PrivateKey, TlsError};

/// A common name may have so many characters.
const LONGEST_NAME: usize = 64;
/// `x500UniqueIdentifier`
const UNIQUE: &[u64] = &[2, 5, 4, 45];

/// The names and addresses of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The subject's common name.
    pub common_name: String,
    /// DNS names.
    pub hosts: BTreeSet<String>,
    /// Addresses.
    pub addresses: BTreeSet<IpAddr>,
}

impl Identity {
    /// Hosts and addresses as text.
    #[must_use]
    pub fn names(&self) -> BTreeSet<String> {
        let addresses = self.addresses.iter().map(ToString::to_string);
        self.hosts.iter().cloned().chain(addresses).collect()
    }

    /// Whether a certificate is for the full name of this server, alone or beside others.
    pub(crate) fn is_of(&self, certificate: &Certificate) -> bool {
        let own = self
            .hosts
            .iter()
            .filter(|host| host.starts_with(&self.common_name));
        own.max_by_key(|host| host.len()).is_none_or(|full| {
            let any = full.split_once('.').map(|(_, rest)| format!("*.{rest}"));
            let has = |name: &String| certificate.names.contains(name);
            has(full) || any.as_ref().is_some_and(has)
        })
    }

    pub(crate) fn params(&self) -> Result<CertificateParams, TlsError> {
        let mut params = CertificateParams::default();
        let mut subject = DistinguishedName::new();
        let short: String = self.common_name.chars().take(LONGEST_NAME).collect();
        subject.push(DnType::CommonName, short);
        params.distinguished_name = subject;
        for host in &self.hosts {
            let name = host.as_str().try_into();
            let name = name.map_err(|_| TlsError::Name(host.clone()))?;
            params.subject_alt_names.push(SanType::DnsName(name));
        }
        let addresses = self.addresses.iter().copied().map(SanType::IpAddress);
        params.subject_alt_names.extend(addresses);
        Ok(params)
    }

    /// A request for a certificate, as PEM. Each is another one, so that a provider that is asked
    /// again for the same key and names sees a new request.
    ///
    /// # Errors
    /// When a name can't be in a certificate.
    pub fn request(&self, key: &PrivateKey) -> Result<String, TlsError> {
        let mut params = self.params()?;
        let unique = uuid::Uuid::new_v4().to_string();
        params
            .distinguished_name
            .push(DnType::CustomDnType(UNIQUE.to_vec()), unique);
        let request = params.serialize_request(key.pair())?;
        Ok(pem("CERTIFICATE REQUEST", request.der()))
    }

    /// Whether a request asks for a certificate for this key and exactly these names.
    #[must_use]
    pub fn fits(&self, request: &str, key: &PrivateKey) -> bool {
        read(request).is_some_and(|(names, public)| names == self.names() && public == key.public())
    }
}

/// Names and public key that a request is for.
fn read(request: &str) -> Option<(BTreeSet<String>, Vec<u8>)> {
    let der = request_der(request)?;
    let (_, read) = X509CertificationRequest::from_der(&der).ok()?;
    let mut names = BTreeSet::new();
    for extension in read.requested_extensions()? {
        if let ParsedExtension::SubjectAlternativeName(alternatives) = extension {
            for name in &alternatives.general_names {
                names.extend(crate::certificate::text_of(name));
            }
        }
    }
    let public = read.certification_request_info.subject_pki.raw.to_vec();
    Some((names, public))
}

/// The request's bytes: two texts of the same request may differ in their line ends.
pub(crate) fn request_der(pem: &str) -> Option<Vec<u8>> {
    let der = CertificateSigningRequestDer::from_pem_slice(pem.as_bytes()).ok()?;
    Some(der.to_vec())
}
