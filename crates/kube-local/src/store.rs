//! The objects, the one counter of their versions, and the recent changes that watches replay.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;
use tokio::sync::watch;

use crate::{
    error::Error,
    journal::{Entry, Journal},
    json,
    resource::{self, Resource},
};

/// Changes kept for watches that start in the past; older ones are answered with 410.
const LOG_CAPACITY: usize = 16_384;

/// Versions skipped at a restart, so that none that a client may have seen is given out again.
const RESTART_GAP: u64 = 10_000;

/// Namespace (empty for cluster-scoped kinds) and name.
type Key = (String, String);

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    Added,
    Modified,
    Deleted,
}

/// One change of one object.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) revision: u64,
    pub(crate) kind: ChangeKind,
    pub(crate) resource: &'static Resource,
    pub(crate) object: Arc<Value>,
    pub(crate) previous: Option<Arc<Value>>,
}

/// All objects; every access is one short critical section.
#[derive(Debug)]
pub(crate) struct Store {
    inner: Mutex<Inner>,
    latest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    revision: u64,
    objects: HashMap<&'static str, BTreeMap<Key, Arc<Value>>>,
    log: VecDeque<Arc<Change>>,
    /// Every change after this version is in the log.
    floor: u64,
    journal: Option<Journal>,
}

/// A view of the store in which several reads and writes happen at one instant.
#[derive(Debug)]
pub(crate) struct Tx<'a> {
    inner: &'a mut Inner,
}

impl Store {
    /// An empty store that forgets everything at exit.
    pub(crate) fn in_memory() -> Self {
        Self::with(Inner {
            revision: 1,
            floor: 1,
            ..Inner::default()
        })
    }

    /// A store that continues from, and is written behind to, a journal file.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let (journal, entries) = Journal::open(path)?;
        let mut inner = Inner {
            journal: Some(journal),
            ..Inner::default()
        };
        let mut revision = 0;
        for entry in entries {
            revision = revision.max(entry.revision);
            let Some(resource) = resource::by_plural(&entry.resource) else {
                continue;
            };
            let objects = inner.objects.entry(resource.plural).or_default();
            let key = (entry.namespace, entry.name);
            match entry.object {
                Some(object) => objects.insert(key, Arc::new(object)),
                None => objects.remove(&key),
            };
        }
        inner.revision = if revision == 0 {
            1
        } else {
            revision + RESTART_GAP
        };
        inner.floor = inner.revision;
        Ok(Self::with(inner))
    }

    fn with(inner: Inner) -> Self {
        let latest = watch::Sender::new(inner.revision);
        Self {
            inner: Mutex::new(inner),
            latest,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` alone on the store, then wakes the watches if it changed anything.
    pub(crate) fn transact<T>(&self, work: impl FnOnce(&mut Tx<'_>) -> T) -> T {
        let mut inner = self.lock();
        let done = work(&mut Tx { inner: &mut inner });
        let revision = inner.revision;
        drop(inner);
        self.latest.send_if_modified(|latest| {
            let newer = revision > *latest;
            *latest = revision.max(*latest);
            newer
        });
        done
    }

    /// Follows the version counter.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }

    /// The changes after `revision`, up to `limit` of them, or the oldest version that could be asked for.
    pub(crate) fn since(&self, revision: u64, limit: usize) -> Result<Vec<Arc<Change>>, u64> {
        let inner = self.lock();
        if revision < inner.floor {
            return Err(inner.floor);
        }
        let start = inner
            .log
            .partition_point(|change| change.revision <= revision);
        Ok(inner.log.range(start..).take(limit).cloned().collect())
    }

    /// Waits until everything so far is in the journal file.
    pub(crate) fn flush(&self) {
        let flushed = self.lock().journal.as_ref().and_then(Journal::flush);
        if let Some(flushed) = flushed {
            // An error means the writer is gone, and it has said why.
            let _ = flushed.recv();
        }
    }
}

impl Tx<'_> {
    pub(crate) fn revision(&self) -> u64 {
        self.inner.revision
    }

    pub(crate) fn get(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
    ) -> Option<Arc<Value>> {
        self.inner
            .objects
            .get(resource.plural)?
            .get(&(namespace.to_owned(), name.to_owned()))
            .cloned()
    }

    /// The objects of a kind, in one namespace or all, ordered by namespace and name.
    pub(crate) fn list<'a>(
        &'a self,
        resource: &Resource,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Arc<Value>> {
        self.inner
            .objects
            .get(resource.plural)
            .into_iter()
            .flatten()
            .filter(move |((in_namespace, _), _)| namespace.is_none_or(|one| one == in_namespace))
            .map(|(_, object)| object)
    }

    /// Stores an object under its own namespace and name with the next version.
    pub(crate) fn put(&mut self, resource: &'static Resource, mut object: Value) -> Arc<Value> {
        self.inner.revision += 1;
        let revision = self.inner.revision;
        json::set(
            &mut object,
            &["metadata", "resourceVersion"],
            revision.to_string(),
        );
        let key = key_of(&object);
        let object = Arc::new(object);
        let previous = self
            .inner
            .objects
            .entry(resource.plural)
            .or_default()
            .insert(key.clone(), Arc::clone(&object));
        self.record(resource, key, Some(&object));
        self.log(Change {
            revision,
            kind: if previous.is_some() {
                ChangeKind::Modified
            } else {
                ChangeKind::Added
            },
            resource,
            object: Arc::clone(&object),
            previous,
        });
        object
    }

    /// Removes an object; what is returned carries the version of its removal.
    pub(crate) fn remove(
        &mut self,
        resource: &'static Resource,
        namespace: &str,
        name: &str,
    ) -> Option<Arc<Value>> {
        let key = (namespace.to_owned(), name.to_owned());
        let previous = self.inner.objects.get_mut(resource.plural)?.remove(&key)?;
        self.inner.revision += 1;
        let revision = self.inner.revision;
        let mut last = (*previous).clone();
        json::set(
            &mut last,
            &["metadata", "resourceVersion"],
            revision.to_string(),
        );
        let object = Arc::new(last);
        self.record(resource, key, None);
        self.log(Change {
            revision,
            kind: ChangeKind::Deleted,
            resource,
            object: Arc::clone(&object),
            previous: Some(previous),
        });
        Some(object)
    }

    /// Whether any object of any kind has this uid.
    pub(crate) fn has_uid(&self, uid: &str) -> bool {
        self.everything()
            .any(|(_, object)| json::text(object, &["metadata", "uid"]) == uid)
    }

    /// All objects with their kind.
    pub(crate) fn everything(&self) -> impl Iterator<Item = (&'static Resource, &Arc<Value>)> {
        self.inner.objects.iter().flat_map(|(plural, objects)| {
            let resource = resource::by_plural(plural);
            objects
                .values()
                .filter_map(move |object| Some((resource?, object)))
        })
    }

    fn record(&self, resource: &Resource, (namespace, name): Key, object: Option<&Arc<Value>>) {
        if let Some(journal) = &self.inner.journal {
            journal.append(&Entry {
                revision: self.inner.revision,
                resource: resource.plural.to_owned(),
                namespace,
                name,
                object: object.map(|one| (**one).clone()),
            });
        }
    }

    fn log(&mut self, change: Change) {
        if self.inner.log.len() >= LOG_CAPACITY
            && let Some(dropped) = self.inner.log.pop_front()
        {
            self.inner.floor = dropped.revision;
        }
        self.inner.log.push_back(Arc::new(change));
    }
}

fn key_of(object: &Value) -> Key {
    let field = |name| json::text(object, &["metadata", name]).to_owned();
    (field("namespace"), field("name"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pods() -> &'static Resource {
        resource::by_plural("pods").unwrap()
    }

    fn pod(name: &str) -> Value {
        json!({"metadata": {"namespace": "n", "name": name, "uid": name}})
    }

    #[test]
    fn changes_are_replayed_in_order_and_old_ones_are_refused() {
        let store = Store::in_memory();
        let start = store.transact(|tx| tx.revision());
        store.transact(|tx| tx.put(pods(), pod("a")));
        store.transact(|tx| tx.put(pods(), pod("a")));
        store.transact(|tx| tx.remove(pods(), "n", "a"));
        let kinds: Vec<_> = store
            .since(start, 10)
            .unwrap()
            .iter()
            .map(|one| one.kind)
            .collect();
        assert_eq!(
            kinds,
            [ChangeKind::Added, ChangeKind::Modified, ChangeKind::Deleted]
        );
        for _ in 0..=LOG_CAPACITY {
            store.transact(|tx| tx.put(pods(), pod("a")));
        }
        assert!(store.since(start, 10).is_err());
    }

    #[test]
    fn a_deleted_object_carries_the_version_of_its_removal() {
        let store = Store::in_memory();
        store.transact(|tx| {
            tx.put(pods(), pod("a"));
            let before = tx.revision();
            let gone = tx.remove(pods(), "n", "a").unwrap();
            assert_eq!(
                json::text(&gone, &["metadata", "resourceVersion"]),
                (before + 1).to_string()
            );
        });
    }

    #[test]
    fn a_reopened_store_has_the_same_objects_and_only_newer_versions() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("objects.jsonl");
        let before = {
            let store = Store::open(&path).unwrap();
            store.transact(|tx| {
                tx.put(pods(), pod("a"));
                tx.put(pods(), pod("b"));
                tx.remove(pods(), "n", "a");
            });
            store.flush();
            store.transact(|tx| tx.revision())
        };
        let store = Store::open(&path).unwrap();
        store.transact(|tx| {
            let names: Vec<_> = tx
                .list(pods(), Some("n"))
                .map(|one| json::text(one, &["metadata", "name"]).to_owned())
                .collect();
            assert_eq!(names, ["b"]);
            assert!(tx.revision() > before);
        });
        assert!(store.since(before, 1).is_err());
    }
}
