//! Keys, certificates, certificate requests, and the relation `tls-certificates` as a requirer
//! sees it (version 1 of the interface: `certificate_signing_requests` and `certificates`).
//!
//! No I/O: time comes from the caller, randomness from the system's generator. Keys that are made
//! here are ECDSA P-256, which PostgreSQL 14 and later, libpq, JDBC and Python's `ssl` take; an
//! operator may bring an RSA key (2048 bits or more) or one of the curves P-256 and P-384.

mod announcement;
mod authority;
mod certificate;
mod databag;
mod holding;
mod identity;
mod key;

pub use announcement::{Announcement, Identified};
pub use authority::{
    Authorities, Authority, MEMBER_DAYS, member_certificate, member_fits, role_certificate,
    role_fits,
};
pub use certificate::{Certificate, certificates, name_of, pem_of};
pub use databag::{Issued, MOST, Provider, Refusal, request_databag};
pub use holding::{Bundle, Holding, Kept, Peers};
pub use identity::Identity;
pub use key::PrivateKey;

/// Why a key, a certificate or a databag can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A key that can't be read or is of another kind.
    #[error("cannot use the private key: {0}")]
    Key(String),
    /// A certificate that can't be read.
    #[error("cannot read the certificate: {0}")]
    Certificate(String),
    /// A request that can't be read.
    #[error("cannot read the certificate request: {0}")]
    Request(String),
    /// A name that no certificate can have.
    #[error("cannot put {0} into a certificate")]
    Name(String),
    /// A certificate or request could not be made.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    /// A databag of the provider that is not of the interface.
    #[error("cannot read the provider's databag: {0}")]
    Databag(String),
}
