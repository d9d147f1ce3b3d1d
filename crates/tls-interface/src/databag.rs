//! The databags of `tls-certificates`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use crate::identity::request_der;
use crate::{Certificate, TlsError, certificates};

/// Key of a provider's databag with the certificates it has issued.
const CERTIFICATES: &str = "certificates";
/// Key of a provider's databag with the requests that it refuses.
const ERRORS: &str = "request_errors";
/// Longest value that is looked at, in bytes: hundreds of units' certificates with their chains.
pub const MOST: usize = 8 << 20;

/// What the provider has written, as far as it is of this unit: requests are compared by what they
/// say, so that another text of the same request is the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provider {
    issued: Vec<(Vec<u8>, Entry)>,
    refused: Vec<(Vec<u8>, Refusal)>,
}

/// A certificate that was issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The server's certificate.
    pub certificate: Certificate,
    /// Those between it and the authority, and it, as the provider has them.
    pub chain: Vec<Certificate>,
    /// The authority.
    pub authority: Certificate,
}

/// A request that the provider refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The interface's code.
    pub code: i64,
    /// The provider's words.
    pub message: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Entry {
    ca: String,
    certificate_signing_request: String,
    certificate: String,
    #[serde(default)]
    chain: Option<Vec<String>>,
    #[serde(default)]
    revoked: Option<bool>,
}

#[derive(Deserialize)]
struct ErrorEntry {
    csr: String,
    error: ErrorText,
}

#[derive(Deserialize)]
struct ErrorText {
    code: i64,
    message: String,
}

impl Provider {
    /// Reads a provider's application databag. A key that isn't there is an empty list; other keys
    /// are not looked at.
    ///
    /// # Errors
    /// [`TlsError::Databag`] names the key and what is wrong with it.
    pub fn parse(bag: &BTreeMap<String, String>) -> Result<Self, TlsError> {
        let entries: Vec<Entry> = list(bag, CERTIFICATES)?;
        let errors: Vec<ErrorEntry> = list(bag, ERRORS)?;
        let known = |request: &str| request_der(request);
        Ok(Self {
            issued: entries
                .into_iter()
                .filter_map(|entry| Some((known(&entry.certificate_signing_request)?, entry)))
                .collect(),
            refused: errors
                .into_iter()
                .filter_map(|entry| {
                    let refusal = Refusal {
                        code: entry.error.code,
                        message: shown(&entry.error.message),
                    };
                    Some((known(&entry.csr)?, refusal))
                })
                .collect(),
        })
    }

    /// What was issued for this request; none where nothing was, or it was revoked.
    ///
    /// # Errors
    /// [`TlsError::Certificate`] where it can't be used.
    pub fn issued(&self, request: &str) -> Result<Option<Issued>, TlsError> {
        let Some(entry) = self.entry(request).filter(|e| e.revoked != Some(true)) else {
            return Ok(None);
        };
        let texts = entry.chain.iter().flatten();
        let chain = texts.map(|text| certificates(text));
        let chain = chain.collect::<Result<Vec<_>, _>>()?.concat();
        Ok(Some(Issued {
            certificate: Certificate::parse(&entry.certificate)?,
            authority: Certificate::parse(&entry.ca)?,
            chain,
        }))
    }

    /// Authorities of all that it has issued, to whomever.
    #[must_use]
    pub fn authorities(&self) -> Vec<Certificate> {
        let texts = self.issued.iter().flat_map(|(_, entry)| {
            let chain = entry.chain.iter().flatten();
            [&entry.ca].into_iter().chain(chain)
        });
        let read = texts.filter_map(|text| certificates(text).ok()).flatten();
        read.filter(|certificate| certificate.is_authority)
            .collect()
    }

    /// Whether what was issued for this request was revoked.
    #[must_use]
    pub fn revoked(&self, request: &str) -> bool {
        self.entry(request).is_some_and(|e| e.revoked == Some(true))
    }

    /// Why this request is refused.
    #[must_use]
    pub fn refusal(&self, request: &str) -> Option<&Refusal> {
        let der = request_der(request)?;
        let found = self.refused.iter().find(|(known, _)| *known == der);
        found.map(|(_, refusal)| refusal)
    }

    fn entry(&self, request: &str) -> Option<&Entry> {
        let der = request_der(request)?;
        // A provider that adds before it removes has both for a moment; the later one counts.
        let mut found = self.issued.iter().rev().filter(|(known, _)| *known == der);
        found.next().map(|(_, entry)| entry)
    }
}

fn list<T: for<'de> Deserialize<'de>>(
    bag: &BTreeMap<String, String>,
    key: &str,
) -> Result<Vec<T>, TlsError> {
    let Some(text) = bag.get(key).filter(|text| !text.is_empty()) else {
        return Ok(Vec::new());
    };
    if text.len() > MOST {
        let why = format!("{key} is of {} bytes, more than {MOST}", text.len());
        return Err(TlsError::Databag(why));
    }
    serde_json::from_str(text).map_err(|error| {
        // serde quotes what it finds; a line of a log has to stay one line.
        TlsError::Databag(format!("{key}: {}", shown(&error.to_string())))
    })
}

/// Words of the provider, as they may be shown.
fn shown(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(200).map(plain).collect()
}

/// What a unit writes into its databag to ask for a certificate: key and value.
#[must_use]
pub fn request_databag(request: &str) -> (&'static str, String) {
    let list = json!([{"certificate_signing_request": request, "ca": false}]);
    ("certificate_signing_requests", list.to_string())
}
