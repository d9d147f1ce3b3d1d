//! Secrets.

use std::collections::BTreeMap;

use secrecy::SecretString;

use super::{Context, Read, Result, SecretKey};
use crate::refusals::Refusal;
use crate::secrets::{ContentFile, SecretContent, SecretInfo, SecretSpec};
use crate::tools::{Output, ToolError};

/// What a read is remembered by. A secret read by id and by label is asked for twice.
fn name(key: SecretKey<'_>) -> String {
    match key {
        SecretKey::Id(id) | SecretKey::Labelled { id, .. } => bare(id).to_owned(),
        SecretKey::Label(label) => format!("label {label}"),
    }
}

/// The part of an id that all its forms share.
fn bare(id: &str) -> &str {
    let id = id.strip_prefix("secret:").unwrap_or(id);
    id.rsplit_once('/').map_or(id, |(_, bare)| bare)
}

impl Context<'_> {
    /// A secret's content: the tracked revision, with `peek` the latest, with `refresh` the latest
    /// from now on. None where there is no such secret, or it may not be read.
    ///
    /// # Errors
    /// When Juju can't tell.
    pub fn secret_get(&self, key: SecretKey<'_>, mode: Read) -> Result<Option<SecretContent>> {
        let labels = matches!(key, SecretKey::Labelled { .. });
        let known = (name(key), mode);
        if let Some(content) = self.secrets.borrow().get(&known)
            && !labels
        {
            return Ok(content.clone());
        }
        let content = self.secret_read(key, mode)?;
        let mut secrets = self.secrets.borrow_mut();
        if mode == Read::Refresh {
            // It may be known under its other name too.
            secrets.clear();
            for read in [Read::Tracked, Read::Peek] {
                secrets.insert((known.0.clone(), read), content.clone());
            }
        }
        secrets.insert(known, content.clone());
        Ok(content)
    }

    fn secret_read(&self, key: SecretKey<'_>, mode: Read) -> Result<Option<SecretContent>> {
        let flag;
        let mut args = vec!["--format=json"];
        match key {
            SecretKey::Id(id) => args.push(id),
            SecretKey::Label(label) => {
                flag = format!("--label={label}");
                args.push(&flag);
            }
            SecretKey::Labelled { id, label } => {
                flag = format!("--label={label}");
                args.extend([id, &flag]);
            }
        }
        match mode {
            Read::Tracked => {}
            Read::Peek => args.push("--peek"),
            Read::Refresh => args.push("--refresh"),
        }
        let found: Result<BTreeMap<String, String>> = self.json("secret-get", &args);
        let content = found.map(|map| {
            let values = map.into_iter();
            SecretContent(
                values
                    .map(|(key, value)| (key, SecretString::from(value)))
                    .collect(),
            )
        });
        none_if_hidden(content)
    }

    /// Makes a secret: its id.
    ///
    /// # Errors
    /// [`Refusal::NotLeader`] for an application's.
    pub fn secret_add(&self, content: &SecretContent, spec: &SecretSpec) -> Result<String> {
        let output = self.secret_write("secret-add", Some(content), spec, None)?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Changes a secret's content, if it differs from the latest, and goes on to it: an owner that has
    /// read a revision keeps it in use like any other unit, and would never be told that nobody has it.
    ///
    /// # Errors
    /// When it is not this unit's to change.
    pub fn secret_set(&self, id: &str, content: &SecretContent) -> Result<()> {
        let latest = self.secret_get(SecretKey::Id(id), Read::Peek);
        // Where the latest can't be had, Juju itself compares.
        if latest.ok().flatten().is_some_and(|now| now.same(content)) {
            return Ok(());
        }
        self.secret_update(id, Some(content), &SecretSpec::default())?;
        self.secret_read(SecretKey::Id(id), Read::Refresh)?;
        let known = (bare(id).to_owned(), Read::Peek);
        let content = Some(content.clone());
        let mut secrets = self.secrets.borrow_mut();
        // It may be known under its other name too.
        secrets.clear();
        secrets.insert(known, content);
        Ok(())
    }

    /// Changes what is said of a secret, and its content if given; empty fields stay as they are,
    /// and so does the owner.
    ///
    /// # Errors
    /// When it is not this unit's to change.
    pub fn secret_update(
        &self,
        id: &str,
        content: Option<&SecretContent>,
        spec: &SecretSpec,
    ) -> Result<()> {
        let spec = SecretSpec {
            owner: String::new(),
            ..spec.clone()
        };
        self.secret_write("secret-set", content, &spec, Some(id))
            .map(drop)
    }

    /// What an owner knows of a secret; none where it owns none of that label.
    ///
    /// # Errors
    /// When Juju can't tell.
    pub fn secret_info(&self, label: &str) -> Result<Option<SecretInfo>> {
        self.secret_info_by(&format!("--label={label}"))
    }

    /// What an owner knows of a secret; none where it does not own it.
    ///
    /// # Errors
    /// When Juju can't tell.
    pub fn secret_info_of(&self, id: &str) -> Result<Option<SecretInfo>> {
        self.secret_info_by(id)
    }

    fn secret_info_by(&self, name: &str) -> Result<Option<SecretInfo>> {
        let found: Result<BTreeMap<String, SecretInfo>> =
            self.json("secret-info-get", &[name, "--format=json"]);
        let first = found.map(|map| map.into_iter().next());
        let info = first.map(|first| first.map(|(id, info)| SecretInfo { id, ..info }));
        match info {
            Err(error) if error.refusal == Refusal::NotFound => Ok(None),
            other => other,
        }
    }

    /// Bare ids of the secrets that this unit, or as leader its application, owns.
    ///
    /// # Errors
    /// When Juju can't tell.
    pub fn secret_ids(&self) -> Result<Vec<String>> {
        let found: Option<_> = self.json("secret-ids", &["--format=json"])?;
        Ok(found.unwrap_or_default())
    }

    /// Lets the other end of a relation read a secret; one unit alone, if named.
    ///
    /// # Errors
    /// When Juju refuses.
    pub fn secret_grant(&self, id: &str, relation: &str, unit: Option<&str>) -> Result<()> {
        let mut args = vec![id, "-r", relation];
        if let Some(unit) = unit {
            args.extend(["--unit", unit]);
        }
        self.call("secret-grant", &args, None).map(drop)
    }

    /// Takes the grants of a relation back.
    ///
    /// # Errors
    /// When Juju refuses.
    pub fn secret_revoke(&self, id: &str, relation: &str) -> Result<()> {
        self.call("secret-revoke", &[id, "-r", relation], None)
            .map(drop)
    }

    /// Takes the grants to a unit (`app/0`) or an application back.
    ///
    /// # Errors
    /// When Juju refuses.
    pub fn secret_revoke_from(&self, id: &str, entity: &str) -> Result<()> {
        let flag = if entity.contains('/') {
            "--unit"
        } else {
            "--app"
        };
        self.call("secret-revoke", &[id, flag, entity], None)
            .map(drop)
    }

    /// Removes a secret, or one revision.
    ///
    /// # Errors
    /// When Juju refuses.
    pub fn secret_remove(&self, id: &str, revision: Option<u64>) -> Result<()> {
        let number = revision.map(|n| n.to_string());
        let mut args = vec![id];
        if let Some(number) = &number {
            args.extend(["--revision", number.as_str()]);
        }
        self.call("secret-remove", &args, None)?;
        self.secrets.borrow_mut().clear();
        Ok(())
    }

    fn secret_write(
        &self,
        tool: &'static str,
        content: Option<&SecretContent>,
        spec: &SecretSpec,
        id: Option<&str>,
    ) -> Result<Output> {
        let not_run = |error: std::io::Error| ToolError {
            tool,
            refusal: Refusal::NotRun,
            message: format!("cannot hand over the content: {error}"),
        };
        let file = content.map(ContentFile::new).transpose().map_err(not_run)?;
        let path = file.as_ref().map(|file| file.path().to_string_lossy());
        let flags = spec.flags();
        let mut args: Vec<&str> = id.into_iter().collect();
        if let Some(path) = &path {
            args.extend(["--file", path]);
        }
        args.extend(flags.iter().map(String::as_str));
        let output = self.call(tool, &args, None)?;
        self.secrets.borrow_mut().clear();
        Ok(output)
    }
}

/// A secret that is not there and one that may not be read are the same to a charm.
fn none_if_hidden<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.refusal, Refusal::NotFound | Refusal::PermissionDenied) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
