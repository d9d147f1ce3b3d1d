//! Watches: what happened since a version, then what happens.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::Stream;
use hyper::body::{Bytes, Frame};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::json as field;
use crate::request::{Query, Shape};
use crate::resource::Resource;
use crate::server::Inner;
use crate::store::ChangeKind;

/// Longest watch where the client sets no bound.
const LONGEST: Duration = Duration::from_mins(30);

/// What a watch follows.
pub(crate) struct Watch {
    pub(crate) inner: Arc<Inner>,
    pub(crate) resource: &'static Resource,
    pub(crate) namespace: Option<String>,
    pub(crate) query: Query,
    pub(crate) shape: Shape,
}

struct Running {
    watch: Watch,
    seen: u64,
    queue: VecDeque<Bytes>,
    until: Instant,
    latest: tokio::sync::watch::Receiver<u64>,
    done: bool,
}

impl Watch {
    fn fits(&self, object: &Value) -> bool {
        let namespace = field::text(object, &["metadata", "namespace"]);
        self.namespace
            .as_deref()
            .is_none_or(|wanted| wanted == namespace)
            && self.query.matches(object)
    }

    fn line(&self, kind: &str, object: &Value) -> Bytes {
        let object = self.shape.apply(object.clone());
        let mut text = json!({"type": kind, "object": object}).to_string();
        text.push('\n');
        Bytes::from(text)
    }

    /// The stream of events.
    pub(crate) fn stream(self) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> {
        let latest = self.inner.store.subscribe();
        let limit = self.query.timeout.map_or(LONGEST, Duration::from_secs);
        let from = self.query.version;
        let mut queue = VecDeque::new();
        let seen = match from {
            Some(version) if version > 0 => version,
            _ => self.inner.store.transact(|tx| {
                for object in tx.list(self.resource, self.namespace.as_deref()) {
                    if self.fits(object) {
                        queue.push_back(self.line("ADDED", object));
                    }
                }
                tx.revision()
            }),
        };
        let until = Instant::now() + limit;
        let running = Running {
            watch: self,
            seen,
            queue,
            until,
            latest,
            done: false,
        };
        futures_util::stream::unfold(running, |mut running| async move {
            let line = running.next().await?;
            Some((Ok(Frame::data(line)), running))
        })
    }
}

impl Running {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = self.queue.pop_front() {
                return Some(line);
            }
            if self.done {
                return None;
            }
            self.latest.borrow_and_update();
            self.read();
            if !self.queue.is_empty() {
                continue;
            }
            let left = self.until.saturating_duration_since(Instant::now());
            match tokio::time::timeout(left, self.latest.changed()).await {
                Ok(Ok(())) => {}
                _ => return None,
            }
        }
    }

    fn read(&mut self) {
        match self.watch.inner.store.since(self.seen, usize::MAX) {
            Err(oldest) => {
                let body = Failure::expired(self.seen, oldest).body();
                let mut text = json!({"type": "ERROR", "object": body}).to_string();
                text.push('\n');
                self.queue.push_back(Bytes::from(text));
                self.done = true;
            }
            Ok(changes) => {
                for change in changes {
                    self.seen = change.revision;
                    if change.resource != self.watch.resource {
                        continue;
                    }
                    let now = self.watch.fits(&change.object);
                    let before = change
                        .previous
                        .as_ref()
                        .is_some_and(|old| self.watch.fits(old));
                    let kind = match (change.kind, before, now) {
                        (ChangeKind::Deleted, true, _) | (ChangeKind::Modified, true, false) => {
                            "DELETED"
                        }
                        (ChangeKind::Added, _, true) | (ChangeKind::Modified, false, true) => {
                            "ADDED"
                        }
                        (ChangeKind::Modified, true, true) => "MODIFIED",
                        _ => continue,
                    };
                    self.queue.push_back(self.watch.line(kind, &change.object));
                }
            }
        }
    }
}
