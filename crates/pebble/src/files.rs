//! Files in the workload container.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::client::Client;
use crate::exec::identity;
use crate::http::{self, Request, Response};
use crate::{Error, multipart};

/// What kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// Regular file.
    File,
    /// Directory.
    Directory,
    /// Symbolic link.
    Symlink,
    /// Socket.
    Socket,
    /// Named pipe.
    NamedPipe,
    /// Device.
    Device,
    /// Anything else.
    #[serde(other)]
    Unknown,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FileInfo {
    /// Absolute path.
    pub path: String,
    /// Last part of the path.
    pub name: String,
    /// Kind.
    #[serde(rename = "type")]
    pub kind: FileKind,
    /// Bytes, of a regular file.
    #[serde(default)]
    pub size: Option<u64>,
    /// Permission bits as three octal digits.
    #[serde(default)]
    pub permissions: String,
    /// When its content last changed, RFC 3339.
    #[serde(default)]
    pub last_modified: String,
    /// Owner's id.
    #[serde(default)]
    pub user_id: Option<u32>,
    /// Owner's name, empty where unknown.
    #[serde(default)]
    pub user: String,
    /// Group's id.
    #[serde(default)]
    pub group_id: Option<u32>,
    /// Group's name, empty where unknown.
    #[serde(default)]
    pub group: String,
}

impl FileInfo {
    /// The permission bits.
    #[must_use]
    pub fn mode(&self) -> Option<u32> {
        u32::from_str_radix(&self.permissions, 8).ok()
    }
}

/// How a file or directory is made; empty fields are left to Pebble's defaults.
#[derive(Debug, Clone, Default)]
pub struct PushOptions {
    /// Permission bits, at most `0o777`: Pebble has no form for more.
    pub mode: Option<u32>,
    /// Owner: a name, or a number in decimal digits.
    pub user: Option<String>,
    /// Group: a name, or a number in decimal digits.
    pub group: Option<String>,
    /// Make the directories above it too.
    pub make_parents: bool,
}

impl PushOptions {
    fn fields(&self, path: &str, parents: &str) -> Result<Value, Error> {
        if path.chars().any(char::is_control) {
            return Err(Error::Argument(format!(
                "a path with control characters, {path:?}"
            )));
        }
        let mut fields = Map::new();
        fields.insert("path".into(), json!(path));
        fields.insert(parents.into(), json!(self.make_parents));
        match self.mode {
            None => {}
            Some(mode) if mode <= 0o777 => {
                fields.insert("permissions".into(), json!(format!("{mode:03o}")));
            }
            Some(mode) => return Err(Error::Argument(format!("mode {mode:o} for {path}"))),
        }
        identity(&mut fields, "user", self.user.as_deref());
        identity(&mut fields, "group", self.group.as_deref());
        Ok(Value::Object(fields))
    }
}

/// A file to be written.
#[derive(Debug, Clone)]
pub struct PushFile<'a> {
    /// Absolute path.
    pub path: &'a str,
    /// Its content.
    pub content: &'a [u8],
    /// How it is made.
    pub options: &'a PushOptions,
}

#[derive(Deserialize)]
struct Outcome {
    #[serde(default)]
    error: Option<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(default)]
    message: String,
    #[serde(default)]
    kind: String,
}

impl Client {
    /// The entries of a directory, or, with `itself`, the file or directory itself.
    ///
    /// # Errors
    /// [`Error::is_not_found`] where there is none.
    pub async fn list_files(&self, path: &str, itself: bool) -> Result<Vec<FileInfo>, Error> {
        let mut pairs = vec![("action", "list"), ("path", path)];
        if itself {
            pairs.push(("itself", "true"));
        }
        let request = Request::get(format!("/v1/files{}", http::query(&pairs)));
        self.send(request).await?.result()
    }

    /// The entries of a directory whose names match a pattern (`*`, `?`, `[a-z]`).
    ///
    /// # Errors
    /// [`Error::is_not_found`] where there is no such directory.
    pub async fn list_matching(&self, path: &str, pattern: &str) -> Result<Vec<FileInfo>, Error> {
        let pairs = [("action", "list"), ("path", path), ("pattern", pattern)];
        let request = Request::get(format!("/v1/files{}", http::query(&pairs)));
        self.send(request).await?.result()
    }

    /// A file's content.
    ///
    /// # Errors
    /// [`Error::is_not_found`] where there is none.
    pub async fn pull(&self, path: &str) -> Result<Vec<u8>, Error> {
        let mut files = self.pull_all(&[path]).await?;
        files
            .pop()
            .unwrap_or_else(|| Err(Error::Malformed("an answer without the file".into())))
    }

    /// The contents of files, in one call and in the order asked for; each may fail alone.
    ///
    /// # Errors
    /// What concerns the whole call; see [`Error`].
    pub async fn pull_all(&self, paths: &[&str]) -> Result<Vec<Result<Vec<u8>, Error>>, Error> {
        let mut pairs = vec![("action", "read")];
        pairs.extend(paths.iter().map(|path| ("path", *path)));
        let mut request = Request::get(format!("/v1/files{}", http::query(&pairs)));
        request.accept = Some("multipart/form-data");
        read(&self.send(request).await?, paths)
    }

    /// Writes a file, at once or not at all. A symbolic link there is replaced.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn push(
        &self,
        path: &str,
        content: &[u8],
        options: &PushOptions,
    ) -> Result<(), Error> {
        let file = PushFile {
            path,
            content,
            options,
        };
        self.push_all(&[file]).await
    }

    /// Writes files in one call; each at once or not at all.
    ///
    /// # Errors
    /// That of the first file which could not be written; the others are.
    pub async fn push_all(&self, files: &[PushFile<'_>]) -> Result<(), Error> {
        let entries: Result<Vec<_>, _> = files
            .iter()
            .map(|file| file.options.fields(file.path, "make-dirs"))
            .collect();
        let metadata = json!({"action": "write", "files": entries?}).to_string();
        let mut parts = vec![metadata.as_bytes()];
        parts.extend(files.iter().map(|file| file.content));
        let boundary = multipart::boundary(&parts);
        let contents: Vec<_> = files.iter().map(|file| (file.path, file.content)).collect();
        let content_type = format!("multipart/form-data; boundary={boundary}");
        let request = Request {
            method: "POST",
            path: "/v1/files".to_owned(),
            accept: None,
            content_type: &content_type,
            body: multipart::write(&boundary, &metadata, &contents),
        };
        outcome(self.send(request).await?.result()?)
    }

    /// Makes a directory; with `make_parents` an existing one is fine and left as it is.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn make_dir(&self, path: &str, options: &PushOptions) -> Result<(), Error> {
        let dirs = json!([options.fields(path, "make-parents")?]);
        let body = json!({"action": "make-dirs", "dirs": dirs});
        outcome(
            self.send(Request::post("/v1/files", &body))
                .await?
                .result()?,
        )
    }

    /// Removes a file or directory; recursively, one that is not there is fine.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn remove_path(&self, path: &str, recursive: bool) -> Result<(), Error> {
        let paths = json!([{"path": path, "recursive": recursive}]);
        let body = json!({"action": "remove", "paths": paths});
        outcome(
            self.send(Request::post("/v1/files", &body))
                .await?
                .result()?,
        )
    }
}

/// The files of an answer to a read.
fn read(response: &Response, paths: &[&str]) -> Result<Vec<Result<Vec<u8>, Error>>, Error> {
    if !response.content_type.starts_with("multipart/form-data") {
        response.envelope()?;
        return Err(Error::Malformed("files that are no multipart".into()));
    }
    let parts = multipart::parts(&response.content_type, &response.body)
        .ok_or_else(|| Error::Malformed("a broken multipart answer".into()))?;
    let end = parts.iter().find(|part| part.name == "response");
    let end = end.ok_or_else(|| Error::Malformed("a multipart answer without its end".into()))?;
    let outcomes: Vec<Outcome> = http::from_value(http::envelope(200, end.content)?.result)?;
    if outcomes.len() != paths.len() {
        return Err(Error::Malformed("an answer about other files".into()));
    }
    // A file that failed midway has left a part too, so the outcome decides.
    let file = |(path, outcome): (&&str, Outcome)| match outcome.error {
        Some(failure) => Err(failure.into()),
        None => parts
            .iter()
            .find(|part| part.name == "files" && part.filename == *path)
            .map(|part| part.content.to_vec())
            .ok_or_else(|| Error::Malformed(format!("an answer without {path}"))),
    };
    Ok(paths.iter().zip(outcomes).map(file).collect())
}

/// The first failure among the outcomes of single files.
fn outcome(result: Value) -> Result<(), Error> {
    let outcomes: Vec<Outcome> = http::from_value(result)?;
    match outcomes.into_iter().find_map(|outcome| outcome.error) {
        None => Ok(()),
        Some(failure) => Err(failure.into()),
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Api {
            status: 200,
            kind: failure.kind,
            message: failure.message,
        }
    }
}
