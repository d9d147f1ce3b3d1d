//! Why a call failed.

use std::time::Duration;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection, or it broke.
    #[error("cannot reach Patroni at {host}")]
    Unreachable {
        /// Host and port.
        host: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It shows a certificate that none of the authorities given vouches for, or none for its name.
    #[error("cannot trust the certificate of Patroni at {host}")]
    Distrusted {
        /// Host and port.
        host: String,
        /// What is wrong with it.
        #[source]
        source: rustls::Error,
    },
    /// No answer in time.
    #[error("Patroni at {host} did not answer within {limit:?}")]
    TimedOut {
        /// Host and port.
        host: String,
        /// The bound.
        limit: Duration,
    },
    /// The user or password is wrong, or the call needs one.
    #[error("Patroni refuses the credentials")]
    Unauthorized,
    /// Another status than the call's good ones.
    #[error("Patroni answers {status}: {text}")]
    Status {
        /// HTTP status.
        status: u16,
        /// Patroni's words, or those of the status where it has none.
        text: String,
    },
    /// Leadership went to another member than the candidate.
    #[error("Patroni chose another leader: {text}")]
    OtherLeader {
        /// Patroni's words.
        text: String,
    },
    /// The answer is not what the API promises.
    #[error("cannot read Patroni's answer")]
    Malformed(#[source] serde_json::Error),
    /// The certificates to trust can't be read.
    #[error("cannot use the certificate authority given for Patroni")]
    Authority(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Whether Patroni itself could not be asked.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Distrusted { .. } | Self::TimedOut { .. }
        )
    }

    /// The HTTP status, where there was an answer with a bad one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            Self::Unauthorized => Some(401),
            _ => None,
        }
    }

    /// An answer that is not good. Python's server dresses its own errors in HTML.
    pub(crate) fn of(status: u16, body: &[u8]) -> Self {
        if status == 401 {
            return Self::Unauthorized;
        }
        let text = String::from_utf8_lossy(body);
        let text = text.trim();
        let text = if text.is_empty() || text.starts_with('<') {
            let code = hyper::StatusCode::from_u16(status).ok();
            let reason = code.and_then(|code| code.canonical_reason());
            reason.unwrap_or("no reason given").to_owned()
        } else {
            text.chars().take(500).collect()
        };
        Self::Status { status, text }
    }
}
