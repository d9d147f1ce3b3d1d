//! A client of Pebble's HTTP API over its unix socket.
//!
//! ```no_run
//! # async fn example() -> Result<(), pebble::Error> {
//! let client = pebble::Client::new("/charm/containers/postgresql/pebble.socket");
//! let output = client.exec(pebble::Exec::new(["uname", "-m"])).await?;
//! println!("{}", String::from_utf8_lossy(&output.stdout));
//! # Ok(())
//! # }
//! ```
//!
//! Fields that a newer Pebble adds are ignored, those that an older one lacks are optional. Every
//! call is bounded in time ([`Client::with_timeout`]).

mod checks;
mod client;
mod error;
mod exec;
mod files;
mod http;
mod layer;
mod logs;
#[doc(hidden)]
pub mod multipart;
mod notices;
mod process;
mod types;

pub use client::Client;
pub use error::{ChangeError, ConnectFailure, Error, ExecError};
pub use exec::{Exec, ExecOutput};
pub use files::{FileInfo, FileKind, PushFile, PushOptions};
pub use layer::{Check, ExecCheck, HttpCheck, Layer, LogTarget, Service, TcpCheck};
pub use logs::LogStream;
pub use process::{Output, Process, Stdin};
pub use types::{
    Change, CheckInfo, CheckRun, LogEntry, Notice, NoticeQuery, Progress, ServiceInfo, SystemInfo,
    Task, Warning,
};
