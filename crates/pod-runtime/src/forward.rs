//! A forwarder: connections of the model's network to a port of this machine's loopback, with a
//! gate that can be shut.

use std::net::{SocketAddr, TcpListener};

use tokio::net::TcpStream;
use tokio::sync::watch;

/// What becomes of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Passage {
    /// They are forwarded.
    #[default]
    Open,
    /// They end at once, those that stand too.
    Shut,
    /// They stand, but nothing comes through until they end with this state.
    Hanging,
}

/// Decides what becomes of connections.
#[derive(Debug, Clone, Default)]
pub struct Gate(watch::Sender<Passage>);

impl Gate {
    /// Lets connections through from now on, or not.
    pub fn set(&self, passage: Passage) {
        self.0
            .send_if_modified(|now| std::mem::replace(now, passage) != passage);
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
        let mut gate = gate.0.subscribe();
        tokio::spawn(async move {
            let open = *gate.borrow_and_update();
            if open == Passage::Open {
                let Ok(mut outside) = TcpStream::connect(to).await else {
                    return;
                };
                let _ = (inside.set_nodelay(true), outside.set_nodelay(true));
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut inside, &mut outside) => return,
                    _ = gate.changed() => {}
                }
            }
            // It hangs as long as the gate does, and is of no use afterwards.
            let _ = gate.wait_for(|now| *now != Passage::Hanging).await;
        });
    }
}
