//! A Patroni of ours: answers one request with the bytes a test gives.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "helpers of tests, of which each test file uses some"
)]

use patroni::Client;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// An answer with this status and body, as Python's server writes it.
pub fn http(status: u16, body: &str) -> String {
    format!(
        "HTTP/1.0 {status} X\r\nServer: BaseHTTP/0.6 Python/3.11.2\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A client of a member that answers one request with this status and body, and what was asked.
pub async fn answer(status: u16, body: &str) -> (Client, JoinHandle<String>) {
    answer_raw(http(status, body)).await
}

/// A client of a member that answers one request with these bytes, and what was asked.
pub async fn answer_raw(text: String) -> (Client, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        serve(stream, &text).await
    });
    (Client::new("127.0.0.1", port), served)
}

/// Reads a request, answers with these bytes, and ends the connection.
pub async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, text: &str) -> String {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).await.unwrap();
        seen.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&seen).to_lowercase();
        let length = text.split("content-length: ").nth(1);
        let length = length.and_then(|rest| rest.split("\r\n").next()?.parse::<usize>().ok());
        let head = text.find("\r\n\r\n").map(|at| at + 4);
        if count == 0 || head.is_some_and(|head| seen.len() >= head + length.unwrap_or(0)) {
            break;
        }
    }
    // A client that only wanted to see the certificate has gone by now.
    if !seen.is_empty() {
        stream.write_all(text.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
    }
    String::from_utf8(seen).unwrap()
}
