//! Certificates of a server: an authority made for it alone, and the server's own.

use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::Error;

/// A server's certificate, its key, and the authority that signed it.
pub(crate) struct Certificates {
    pub(crate) authority: Certificate,
    pub(crate) server: Certificate,
    pub(crate) key: KeyPair,
}

impl Certificates {
    /// For a server on loopback that is also called by other names and addresses.
    pub(crate) fn new(names: &[String]) -> Result<Self, Error> {
        let made = || {
            let authority_key = KeyPair::generate()?;
            let mut params = CertificateParams::new(Vec::<String>::new())?;
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let names_of = &mut params.distinguished_name;
            names_of.push(DnType::CommonName, "juju-local Kubernetes CA");
            params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
            let authority = params.self_signed(&authority_key)?;
            let issuer = Issuer::from_params(&params, &authority_key);
            let key = KeyPair::generate()?;
            let mut names = names.to_vec();
            names.extend(["127.0.0.1".to_owned(), "localhost".to_owned()]);
            let mut params = CertificateParams::new(names)?;
            let names_of = &mut params.distinguished_name;
            names_of.push(DnType::CommonName, "kube-apiserver");
            params.use_authority_key_identifier_extension = true;
            let server = params.signed_by(&key, &issuer)?;
            Ok(Self {
                authority,
                server,
                key,
            })
        };
        made().map_err(Error::Certificate)
    }
}
