//! Whom a client trusts: the certificates given, and nobody else.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::Error;

/// A configuration that trusts the authorities in this PEM text and no other. Certificates and
/// host names are always verified.
///
/// # Errors
/// [`Error::Authority`] where there is no certificate in it, or a broken one.
pub fn tls_config(ca_pem: &[u8]) -> Result<Arc<ClientConfig>, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem) {
        let certificate = certificate.map_err(|e| Error::Authority(e.into()))?;
        roots
            .add(certificate)
            .map_err(|e| Error::Authority(e.into()))?;
    }
    if roots.is_empty() {
        return Err(Error::Authority("there is no certificate in it".into()));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::Authority(e.into()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
