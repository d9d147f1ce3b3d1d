//! The file behind the store: one line per change, written by a thread of its own, compacted as it grows.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{BufWriter, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::mpsc,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Error;

/// Lines beyond the live objects that are let gather before the file is rewritten.
const SLACK: usize = 4_096;

/// One change as a line of the file; no object means removed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) revision: u64,
    pub(crate) resource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) object: Option<Value>,
}

enum Message {
    Append {
        key: (String, String, String),
        line: String,
        live: bool,
    },
    Flush(mpsc::SyncSender<()>),
}

/// The writing end of the file.
#[derive(Debug)]
pub(crate) struct Journal {
    writer: mpsc::Sender<Message>,
}

impl Journal {
    /// Opens the file and hands over what it holds, oldest first.
    pub(crate) fn open(path: &Path) -> Result<(Self, Vec<Entry>), Error> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(source) => {
                return Err(Error::State {
                    path: path.to_owned(),
                    source,
                });
            }
        };
        // A last line without its end was cut off by a crash; it was never acknowledged as flushed.
        let whole = text
            .rfind('\n')
            .map_or("", |end| text.get(..end).unwrap_or_default());
        let mut entries = Vec::new();
        for line in whole.lines() {
            entries.push(serde_json::from_str(line).map_err(|source| Error::Journal {
                path: path.to_owned(),
                source,
            })?);
        }
        let mut live = HashMap::new();
        for entry in &entries {
            apply(&mut live, key(entry), line(entry), entry.object.is_some());
        }
        let mut file = Writer {
            path: path.to_owned(),
            live,
            lines: 0,
            out: None,
        };
        file.rewrite().map_err(|source| Error::State {
            path: path.to_owned(),
            source,
        })?;
        let (writer, inbox) = mpsc::channel();
        std::thread::Builder::new()
            .name("kube-local-journal".to_owned())
            .spawn(move || file.run(&inbox))
            .map_err(|source| Error::State {
                path: path.to_owned(),
                source,
            })?;
        Ok((Self { writer }, entries))
    }

    /// Queues one change; the order of calls is the order in the file.
    pub(crate) fn append(&self, entry: &Entry) {
        let message = Message::Append {
            key: key(entry),
            line: line(entry),
            live: entry.object.is_some(),
        };
        // The receiver lives as long as this sender.
        let _ = self.writer.send(message);
    }

    /// Asks for everything queued so far to be written; the receiver hears when it is.
    pub(crate) fn flush(&self) -> Option<mpsc::Receiver<()>> {
        let (done, wait) = mpsc::sync_channel(1);
        self.writer.send(Message::Flush(done)).ok()?;
        Some(wait)
    }
}

fn key(entry: &Entry) -> (String, String, String) {
    (
        entry.resource.clone(),
        entry.namespace.clone(),
        entry.name.clone(),
    )
}

fn line(entry: &Entry) -> String {
    serde_json::to_string(entry).unwrap_or_default()
}

type Live = HashMap<(String, String, String), String>;

fn apply(into: &mut Live, key: (String, String, String), text: String, live: bool) {
    if live {
        into.insert(key, text);
    } else {
        into.remove(&key);
    }
}

struct Writer {
    path: PathBuf,
    live: Live,
    lines: usize,
    out: Option<BufWriter<File>>,
}

impl Writer {
    fn run(mut self, inbox: &mpsc::Receiver<Message>) {
        while let Ok(first) = inbox.recv() {
            // Whatever has gathered meanwhile goes out in one write.
            let mut waiting = Vec::new();
            let mut failed = self.take(first, &mut waiting);
            while let Ok(next) = inbox.try_recv() {
                failed = failed.and(self.take(next, &mut waiting));
            }
            if let Some(out) = &mut self.out {
                failed = failed.and(out.flush());
            }
            if failed.is_ok() && self.lines > self.live.len() + SLACK {
                failed = self.rewrite();
            }
            if let Err(error) = failed {
                tracing::error!(path = %self.path.display(), %error, "cannot write the state of the API server");
            }
            for done in waiting {
                let _ = done.send(());
            }
        }
    }

    fn take(
        &mut self,
        message: Message,
        waiting: &mut Vec<mpsc::SyncSender<()>>,
    ) -> std::io::Result<()> {
        match message {
            Message::Append { key, line, live } => {
                self.lines += 1;
                let written = match &mut self.out {
                    Some(out) => writeln!(out, "{line}"),
                    None => Ok(()),
                };
                apply(&mut self.live, key, line, live);
                written
            }
            Message::Flush(done) => {
                waiting.push(done);
                Ok(())
            }
        }
    }

    /// Replaces the file by one with only the live objects.
    fn rewrite(&mut self) -> std::io::Result<()> {
        let fresh = self.path.with_extension("new");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)?;
        let mut out = BufWriter::new(file);
        for line in self.live.values() {
            writeln!(out, "{line}")?;
        }
        out.flush()?;
        std::fs::rename(&fresh, &self.path)?;
        self.lines = self.live.len();
        self.out = Some(out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(revision: u64, object: Option<Value>) -> Entry {
        Entry {
            revision,
            resource: "pods".into(),
            namespace: "n".into(),
            name: "a".into(),
            object,
        }
    }

    #[test]
    fn a_line_cut_off_by_a_crash_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("objects.jsonl");
        let good = line(&entry(3, Some(json!({}))));
        std::fs::write(&path, format!("{good}\n{{\"revision\":4,\"res")).unwrap();
        let (_, entries) = Journal::open(&path).unwrap();
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].revision, 3);
    }

    #[test]
    fn the_file_is_rewritten_when_it_holds_mostly_history() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("objects.jsonl");
        let (journal, _) = Journal::open(&path).unwrap();
        for revision in 0..(SLACK as u64 * 3) {
            journal.append(&entry(revision, Some(json!({"at": revision}))));
        }
        journal.flush().unwrap().recv().unwrap();
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= SLACK + 2, "{lines} lines");
        let (_, entries) = Journal::open(&path).unwrap();
        assert_eq!(entries.last().unwrap().revision, SLACK as u64 * 3 - 1);
    }
}
