//! Sessions to other units' PostgreSQL: to a server that a trusted authority vouches for by its host's
//! name, and to no other, whatever it says.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by them"
)]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use postgresql_k8s::ports::{Database, PortError, PostgresDatabase, Server, Trust};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, Stream};

/// What a server saw of a client.
#[derive(Debug, PartialEq, Eq)]
enum Saw {
    /// It went on over TLS.
    Secure,
    /// It went on without.
    Plain,
    /// It went away.
    Nothing,
}

struct Authority(Issuer<'static, KeyPair>, String);

fn authority() -> Authority {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).unwrap().pem();
    Authority(Issuer::new(params, key), pem)
}

/// Answers one client with a certificate for this name, or with a refusal to speak TLS.
fn server(address: &str, certificate: Option<(&Authority, &str)>) -> JoinHandle<Saw> {
    let listener = TcpListener::bind((address, 5432)).unwrap();
    let config = certificate.map(|(authority, name)| {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let leaf = params.signed_by(&key, &authority.0).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key.into())
            .unwrap();
        Arc::new(config)
    });
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut first = [0; 8];
        socket.read_exact(&mut first).unwrap();
        if first[4..] != 80_877_103_u32.to_be_bytes() {
            return Saw::Plain;
        }
        let Some(config) = config else {
            socket.write_all(b"N").unwrap();
            let more = socket.read(&mut first).unwrap_or(0);
            return if more == 0 { Saw::Nothing } else { Saw::Plain };
        };
        socket.write_all(b"S").unwrap();
        let mut tls = ServerConnection::new(config).unwrap();
        let mut stream = Stream::new(&mut tls, &mut socket);
        if stream.read_exact(&mut first).is_err() {
            return Saw::Nothing;
        }
        // An end that PostgreSQL might give, so that the client does not wait.
        let fields = b"SFATAL\0C57P03\0Mnot now\0\0";
        let length = u32::try_from(fields.len() + 4).unwrap().to_be_bytes();
        let _ = stream.write_all(&[b"E", length.as_slice(), fields].concat());
        Saw::Secure
    })
}

/// What becomes of a session to this address with this trust.
fn ask(address: &str, trust: Trust) -> PortError {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let database = PostgresDatabase::new(&runtime).trusting(move || trust);
    let server = Server::Host(address.to_owned(), "a-password".to_owned().into());
    database.query(&server, "SELECT 1").unwrap_err()
}

fn of(authority: &Authority) -> Trust {
    Trust::Of(patroni::tls_config(authority.1.as_bytes()).unwrap())
}

#[test]
fn a_session_goes_to_the_server_that_a_trusted_authority_vouches_for() {
    let ours = authority();
    let (address, seen) = ("127.71.0.1", Some((&ours, "127.71.0.1")));
    let server = server(address, seen);
    let error = ask(address, of(&ours));
    assert!(error.chain().contains("not now"), "{}", error.chain());
    assert_eq!(server.join().unwrap(), Saw::Secure);
}

#[test]
fn a_session_goes_to_no_server_that_cannot_prove_who_it_is() {
    let (ours, another) = (authority(), authority());
    for (n, certificate) in [
        Some((&another, "127.71.1.0")),
        Some((&ours, "127.71.9.9")),
        Some((&ours, "postgresql-k8s-0")),
        None,
    ]
    .into_iter()
    .enumerate()
    {
        let address = format!("127.71.1.{n}");
        let server = server(&address, certificate);
        let error = ask(&address, of(&ours));
        assert!(
            matches!(error, PortError::Unreachable(..)),
            "{n}: {}",
            error.chain()
        );
        assert!(!error.chain().contains("a-password"));
        assert_eq!(server.join().unwrap(), Saw::Nothing, "{n}");
    }
}

#[test]
fn authorities_that_cannot_be_used_do_not_make_a_session_plain() {
    let error = ask("127.71.2.1", Trust::Unusable("it is broken".into()));
    let told = "cannot tell which servers to trust: it is broken";
    assert_eq!(error.chain(), told);
}

#[test]
fn before_there_is_an_authority_a_session_is_plain() {
    let server = server("127.71.3.1", None);
    ask("127.71.3.1", Trust::Nobodys);
    assert_eq!(server.join().unwrap(), Saw::Plain);
}
