//! Files in the workload container.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::client::Client;
use crate::http::{self, Request};
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
    /// Permission bits.
    pub mode: Option<u32>,
    /// Owner's name.
    pub user: Option<String>,
    /// Group's name.
    pub group: Option<String>,
    /// Make the directories above it too.
    pub make_parents: bool,
}

impl PushOptions {
    fn fields(&self, path: &str, parents: &str) -> Value {
        let mut fields = Map::new();
        fields.insert("path".into(), json!(path));
        fields.insert(parents.into(), json!(self.make_parents));
        if let Some(mode) = self.mode {
            fields.insert("permissions".into(), json!(format!("{:03o}", mode & 0o777)));
        }
        for (key, value) in [("user", &self.user), ("group", &self.group)] {
            if let Some(name) = value {
                fields.insert(key.into(), json!(name));
            }
        }
        Value::Object(fields)
    }
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

    /// A file's content.
    ///
    /// # Errors
    /// [`Error::is_not_found`] where there is none.
    pub async fn pull(&self, path: &str) -> Result<Vec<u8>, Error> {
        let pairs = [("action", "read"), ("path", path)];
        let mut request = Request::get(format!("/v1/files{}", http::query(&pairs)));
        request.accept = Some("multipart/form-data");
        let response = self.send(request).await?;
        if !response.content_type.starts_with("multipart/form-data") {
            response.envelope()?;
            return Err(Error::Malformed(
                "a file that is no multipart answer".into(),
            ));
        }
        let parts = multipart::parse(&response.content_type, &response.body)
            .ok_or_else(|| Error::Malformed("a broken multipart answer".into()))?;
        let part = |name: &str| {
            parts
                .iter()
                .find(|(n, _)| n == name)
                .map(|(_, content)| *content)
        };
        let envelope: http::Envelope = part("response")
            .and_then(|content| serde_json::from_slice(content).ok())
            .ok_or_else(|| Error::Malformed("a multipart answer without its end".into()))?;
        outcome(envelope.result)?;
        part("files")
            .map(<[u8]>::to_vec)
            .ok_or_else(|| Error::Malformed("a multipart answer without the file".into()))
    }

    /// Writes a file, at once or not at all.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn push(
        &self,
        path: &str,
        content: &[u8],
        options: &PushOptions,
    ) -> Result<(), Error> {
        let metadata = json!({"action": "write", "files": [options.fields(path, "make-dirs")]});
        let metadata = metadata.to_string();
        let boundary = multipart::boundary(&[content, metadata.as_bytes(), path.as_bytes()]);
        let content_type = format!("multipart/form-data; boundary={boundary}");
        let request = Request {
            method: "POST",
            path: "/v1/files".to_owned(),
            accept: None,
            content_type: &content_type,
            body: multipart::body(&boundary, &metadata, path, content),
        };
        outcome(self.send(request).await?.result()?)
    }

    /// Makes a directory; with `make_parents` an existing one is fine and left as it is.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn make_dir(&self, path: &str, options: &PushOptions) -> Result<(), Error> {
        let body = json!({"action": "make-dirs", "dirs": [options.fields(path, "make-parents")]});
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

/// The first failure among the outcomes of single files.
fn outcome(result: Value) -> Result<(), Error> {
    let outcomes: Vec<Outcome> = http::from_value(result)?;
    match outcomes.into_iter().find_map(|outcome| outcome.error) {
        None => Ok(()),
        Some(failure) => Err(Error::Api {
            status: 200,
            kind: failure.kind,
            message: failure.message,
        }),
    }
}
