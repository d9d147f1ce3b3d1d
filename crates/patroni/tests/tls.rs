//! Whom the client trusts, against a member with a certificate of ours.

mod support;

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use patroni::{Client, Error, tls_config};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        Ok(Self(issuer))
    }

    fn pem(&self) -> String {
        self.0.pem()
    }
}

/// A member whose certificate is for this name: the port it listens on.
async fn member(
    authority: &Authority,
    name: &str,
) -> Result<(u16, JoinHandle<()>), Box<dyn std::error::Error>> {
    let key = KeyPair::generate()?;
    let params = CertificateParams::new(vec![name.to_owned()])?;
    let certificate = params.signed_by(&key, &authority.0)?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )?;
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let served = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                support::serve(stream, &support::http(200, r#"{"members": []}"#)).await;
            }
        }
    });
    Ok((port, served))
}

#[tokio::test]
async fn a_member_is_trusted_for_its_authority_and_its_name_only() {
    let ours = Authority::new().unwrap();
    let other = Authority::new().unwrap();
    let (port, served) = member(&ours, "127.0.0.1").await.unwrap();
    let (wrong_name, served_too) = member(&ours, "db-1.example").await.unwrap();
    let config = tls_config(ours.pem().as_bytes()).unwrap();
    let client = Client::new("127.0.0.1", port).with_tls(config.clone());
    assert!(client.cluster().await.unwrap().members.is_empty());
    let shown = client.certificate().await.unwrap().unwrap();
    assert_eq!(shown[0], 0x30, "it is in DER");

    let strangers = tls_config(other.pem().as_bytes()).unwrap();
    for client in [
        Client::new("127.0.0.1", port).with_tls(strangers),
        Client::new("127.0.0.1", wrong_name).with_tls(config.clone()),
    ] {
        let error = client.cluster().await.unwrap_err();
        let why = error.source().map(ToString::to_string).unwrap_or_default();
        assert!(matches!(error, Error::Distrusted { .. }), "{error:?}");
        assert!(
            error.is_unreachable() && why.contains("certificate"),
            "{why}"
        );
        let shown = client.certificate().await.unwrap_err();
        assert!(matches!(shown, Error::Distrusted { .. }), "{shown:?}");
    }

    let both = format!("{}{}", other.pem(), ours.pem());
    let client = Client::new("127.0.0.1", port).with_tls(tls_config(both.as_bytes()).unwrap());
    assert!(
        client.cluster().await.is_ok(),
        "while a new authority takes over from an old one"
    );
    served.abort();
    served_too.abort();
}

#[tokio::test]
async fn plain_http_where_tls_is_spoken_and_the_reverse_are_unreachable() {
    let ours = Authority::new().unwrap();
    let config = tls_config(ours.pem().as_bytes()).unwrap();
    let (client, _served) = support::answer(200, "{}").await;
    // The plain server waits for the end of a request that never comes.
    let short = Duration::from_millis(200);
    let client = client.with_tls(config).with_limits(short, short);
    let error = client.cluster().await.unwrap_err();
    assert!(error.is_unreachable(), "{error:?}");
    let (port, served) = member(&ours, "127.0.0.1").await.unwrap();
    let error = Client::new("127.0.0.1", port).cluster().await.unwrap_err();
    assert!(error.is_unreachable(), "{error:?}");
    served.abort();
}

#[test]
fn text_without_a_certificate_is_no_authority() {
    for text in [
        "",
        "junk",
        "-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n",
    ] {
        let error = tls_config(text.as_bytes()).unwrap_err();
        assert!(matches!(error, Error::Authority(_)), "{error:?}");
    }
}
