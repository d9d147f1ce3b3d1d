//! What the library can fail with, as seen by the program that embeds it.

use std::{net::SocketAddr, path::PathBuf};

/// Why the server could not be started or a client could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The listening socket could not be opened.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where the server was asked to listen.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The server would have been reachable from other machines.
    #[error("refusing to listen on {address}: it is not a loopback address")]
    NotLoopback {
        /// Where the server was asked to listen.
        address: SocketAddr,
    },
    /// A file of the state folder could not be read or written.
    #[error("cannot use {}", path.display())]
    State {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The journal of objects holds something that is not one of its lines.
    #[error("cannot read the stored objects in {}", path.display())]
    Journal {
        /// The journal file.
        path: PathBuf,
        /// What is wrong with the line.
        #[source]
        source: serde_json::Error,
    },
    /// A certificate or key could not be made or read.
    #[error("cannot make the server's certificates")]
    Certificate(#[source] rcgen::Error),
    /// The TLS server did not accept the certificate or key.
    #[error("cannot use the server's certificate")]
    Tls(#[source] rustls::Error),
    /// A PEM text is not what it should be.
    #[error("cannot read a PEM text")]
    Pem(#[source] rustls::pki_types::pem::Error),
    /// The address of an API server can't be used.
    #[error("cannot use {url:?} as the address of an API server: {why}")]
    Url {
        /// The address as given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// An API server did not accept a connection.
    #[error("cannot reach the API server at {host}")]
    Unreachable {
        /// Host and port.
        host: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A request is none that could be sent.
    #[error("cannot make a request of the API server")]
    Request(#[source] hyper::http::Error),
    /// The API server went away in the middle of a request.
    #[error("cannot finish a request of the API server")]
    Http(#[source] hyper::Error),
    /// The API server refused a watch.
    #[error("cannot watch {path}: the API server answered {status}")]
    Refused {
        /// What was to be watched.
        path: String,
        /// The answer's status.
        status: u16,
    },
    /// A program could not be started.
    #[error("cannot start {program}")]
    Program {
        /// Its name.
        program: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The real API server ended, or took too long.
    #[error("cannot use kube-apiserver: it did not become ready; its logs are in {}", logs.display())]
    NotReady {
        /// The folder of the logs.
        logs: PathBuf,
    },
}
