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
                    // What comes after a change of the gate does not get through.
                    biased;
                    _ = gate.changed() => {}
                    _ = tokio::io::copy_bidirectional(&mut inside, &mut outside) => return,
                }
            }
            // It hangs as long as the gate does, and is of no use afterwards.
            let _ = gate.wait_for(|now| *now != Passage::Hanging).await;
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A forwarder to a server that answers every byte with itself; where to connect.
    async fn echo(gate: &Gate) -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<u8>) {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = server.local_addr().unwrap();
        let (seen, bytes) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = server.accept().await {
                let seen = seen.clone();
                tokio::spawn(async move {
                    while let Ok(byte) = stream.read_u8().await {
                        seen.send(byte).unwrap();
                        stream.write_u8(byte).await.unwrap();
                    }
                });
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(forward(listener, to, gate.clone()));
        (at, bytes)
    }

    #[tokio::test]
    async fn an_open_gate_forwards_and_a_shut_one_ends_connections() {
        let gate = Gate::default();
        let (at, _bytes) = echo(&gate).await;
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_u8(7).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), 7);
        gate.set(Passage::Shut);
        assert!(stream.read_u8().await.is_err());
        let mut late = TcpStream::connect(at).await.unwrap();
        assert!(late.read_u8().await.is_err());
        gate.set(Passage::Open);
        let mut again = TcpStream::connect(at).await.unwrap();
        again.write_u8(8).await.unwrap();
        assert_eq!(again.read_u8().await.unwrap(), 8);
    }

    #[tokio::test]
    async fn what_is_sent_while_the_gate_hangs_never_arrives() {
        let gate = Gate::default();
        let (at, mut bytes) = echo(&gate).await;
        let mut standing = TcpStream::connect(at).await.unwrap();
        standing.write_u8(1).await.unwrap();
        assert_eq!(standing.read_u8().await.unwrap(), 1);
        gate.set(Passage::Hanging);
        standing.write_u8(2).await.unwrap();
        gate.set(Passage::Open);
        assert!(standing.read_u8().await.is_err());
        let mut later = TcpStream::connect(at).await.unwrap();
        later.write_u8(3).await.unwrap();
        assert_eq!(later.read_u8().await.unwrap(), 3);
        let arrived = [bytes.recv().await, bytes.recv().await];
        assert_eq!(arrived, [Some(1), Some(3)]);
    }
}
