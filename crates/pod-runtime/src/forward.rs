//! A forwarder: connections of the model's network to a port of this machine's loopback, with a
//! gate that can be shut.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::TcpStream;
use tokio::sync::watch;

/// Lets connections through, or not.
#[derive(Debug, Clone)]
pub struct Gate {
    open: Arc<AtomicBool>,
    shut: watch::Sender<u64>,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            open: Arc::new(AtomicBool::new(true)),
            shut: watch::Sender::new(0),
        }
    }
}

impl Gate {
    /// Opens or shuts; shutting ends the connections that stand.
    pub fn set(&self, open: bool) {
        self.open.store(open, Ordering::SeqCst);
        if !open {
            self.shut.send_modify(|count| *count += 1);
        }
    }
}

/// Forwards each connection until the task is dropped.
///
/// # Errors
/// When the socket can't be used.
pub async fn forward(listener: TcpListener, to: SocketAddr, gate: Gate) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (mut inside, _) = listener.accept().await?;
        if !gate.open.load(Ordering::SeqCst) {
            continue;
        }
        let mut shut = gate.shut.subscribe();
        tokio::spawn(async move {
            let Ok(mut outside) = TcpStream::connect(to).await else {
                return;
            };
            let _ = (inside.set_nodelay(true), outside.set_nodelay(true));
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut inside, &mut outside) => {}
                _ = shut.changed() => {}
            }
        });
    }
}
