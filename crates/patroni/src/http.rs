//! One request over one connection: how a call reaches Patroni and its answer comes back.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::prompt::Prompt;
use crate::{Client, Error};

/// No answer of Patroni is longer than that.
const LONGEST_ANSWER: usize = 8 << 20;

type Source = Box<dyn std::error::Error + Send + Sync>;

pub(crate) async fn request(
    client: &Client,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<(u16, Vec<u8>), Error> {
    let stream = connect(client).await?;
    let answer = match &client.tls {
        None => exchange(stream, client, method, path, body).await,
        Some(config) => {
            let stream = secure(client, config, stream).await?;
            exchange(stream, client, method, path, body).await
        }
    };
    answer.map_err(|source| unreachable(client, source))
}

/// The certificate that the member shows, in DER.
pub(crate) async fn certificate(client: &Client) -> Result<Option<Vec<u8>>, Error> {
    let Some(config) = &client.tls else {
        return Ok(None);
    };
    let mut stream = secure(client, config, connect(client).await?).await?;
    let shown = stream.get_ref().1.peer_certificates();
    let shown = shown.and_then(|all| all.first()).map(|leaf| leaf.to_vec());
    // An end without a word is a fault in Patroni's log.
    let _ = stream.shutdown().await;
    Ok(shown)
}

fn unreachable(client: &Client, source: Source) -> Error {
    Error::Unreachable {
        host: client.address(),
        source,
    }
}

async fn connect(client: &Client) -> Result<Prompt, Error> {
    let connect = TcpStream::connect((client.host.as_str(), client.port));
    let stream = tokio::time::timeout(client.connect_limit, connect)
        .await
        .map_err(|_| Error::TimedOut {
            host: client.address(),
            limit: client.connect_limit,
        })?
        .map_err(|e| unreachable(client, e.into()))?;
    // Refused by the system only where it has no such option; the call works without.
    let _ = stream.set_nodelay(true);
    Ok(Prompt(stream))
}

async fn secure(
    client: &Client,
    config: &Arc<ClientConfig>,
    stream: Prompt,
) -> Result<TlsStream<Prompt>, Error> {
    let name =
        ServerName::try_from(client.host.clone()).map_err(|e| unreachable(client, e.into()))?;
    let connector = TlsConnector::from(Arc::clone(config));
    connector.connect(name, stream).await.map_err(|error| {
        let why = error.get_ref().and_then(|e| e.downcast_ref());
        match why {
            Some(rustls::Error::InvalidCertificate(why)) => Error::Distrusted {
                host: client.address(),
                source: rustls::Error::InvalidCertificate(why.clone()),
            },
            _ => unreachable(client, error.into()),
        }
    })
}

/// What moves a connection's bytes; the connection ends with it, also when a call is given up.
struct Driver(JoinHandle<Result<(), hyper::Error>>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn exchange<S>(
    stream: S,
    client: &Client,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<(u16, Vec<u8>), Source>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let _driver = Driver(tokio::spawn(connection));
    let content = body.map(Value::to_string).unwrap_or_default();
    let mut request = hyper::Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, client.address())
        .header(CONTENT_TYPE, "application/json");
    if let Some((user, password)) = &client.credentials {
        let pair = format!("{user}:{}", password.expose_secret());
        let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)))?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    let response = sender
        .send_request(request.body(Full::new(Bytes::from(content)))?)
        .await?;
    let status = response.status().as_u16();
    let collected = Limited::new(response.into_body(), LONGEST_ANSWER)
        .collect()
        .await?;
    Ok((status, collected.to_bytes().to_vec()))
}
