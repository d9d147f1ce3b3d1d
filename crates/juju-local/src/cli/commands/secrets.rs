//! Commands on secrets.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use juju_local_api::user::ModelRequest;
use serde_json::{Value, json};

use crate::cli::args::{
    AddSecretArgs, GrantSecretArgs, RemoveSecretArgs, SecretsArgs, ShowSecretArgs, UpdateSecretArgs,
};
use crate::cli::error::CliError;
use crate::cli::format::{Format, emit_value, members, plain, print_out, text_of};
use crate::cli::pairs::yaml_file;
use crate::cli::session::Session;
use crate::cli::table::Table;
use crate::cli::times::ago;

/// Runs `add-secret`; prints the new secret's URI.
///
/// # Errors
/// When there is no content, or the name is taken.
pub async fn add(session: &Session, args: &AddSecretArgs) -> Result<(), CliError> {
    let content = content(&args.content, args.file.as_deref())?;
    if content.is_empty() {
        return Err(CliError::usage("missing secret value or filename"));
    }
    let model = session.model(&args.model).await?;
    let info = args.info.clone().unwrap_or_default();
    let uri: String = model
        .ask(ModelRequest::AddSecret {
            name: args.name.clone(),
            content,
            info,
        })
        .await?;
    print_out(&format!("{uri}\n"))
}

/// Runs `update-secret`.
///
/// # Errors
/// When there is nothing to change, or no such secret.
pub async fn update(session: &Session, args: &UpdateSecretArgs) -> Result<(), CliError> {
    let content = content(&args.content, args.file.as_deref())?;
    let other = args.name.is_some() || args.info.is_some() || args.auto_prune.is_some();
    if content.is_empty() && !other {
        return Err(CliError::usage(
            "must specify a new value or metadata to update a secret",
        ));
    }
    let model = session.model(&args.model).await?;
    let request = ModelRequest::UpdateSecret {
        secret: args.secret.clone(),
        content,
        name: args.name.clone(),
        info: args.info.clone(),
        auto_prune: args.auto_prune,
    };
    model.tell(request).await
}

/// Contents by key, each base64: the file's, then the words'.
fn content(words: &[String], file: Option<&Path>) -> Result<BTreeMap<String, String>, CliError> {
    let mut all = BTreeMap::new();
    if let Some(path) = file {
        for (key, value) in members(&yaml_file(path)?) {
            let (key, value) = match key.split_once('#') {
                Some((key, "base64")) => (key, plain(value)),
                Some((key, "file")) => (key, encoded_file(Path::new(&plain(value)))?),
                _ => (key.as_str(), STANDARD.encode(plain(value))),
            };
            all.insert(checked_key(key)?, value);
        }
    }
    for word in words {
        let (key, value) = word.split_once('=').ok_or_else(|| {
            CliError::usage("secret values must be given as key=value, not bare words")
        })?;
        let (key, value) = match key.split_once('#') {
            Some((key, "base64")) => (key, value.to_owned()),
            Some((key, "file")) => (key, encoded_file(Path::new(value))?),
            _ => (key, STANDARD.encode(value)),
        };
        all.insert(checked_key(key)?, value);
    }
    Ok(all)
}

fn encoded_file(path: &Path) -> Result<String, CliError> {
    let bytes = std::fs::read(path).map_err(|source| CliError::File {
        action: "read",
        path: path.to_path_buf(),
        source,
    })?;
    Ok(STANDARD.encode(bytes))
}

/// Keys begin with a letter, end with a letter or digit, and have 3 characters or more.
fn checked_key(key: &str) -> Result<String, CliError> {
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let fits = key.len() >= 3
        && key.chars().all(inside)
        && key.starts_with(|c: char| c.is_ascii_lowercase())
        && !key.ends_with('-');
    if fits {
        return Ok(key.to_owned());
    }
    Err(CliError::message(format!("secret key {key:?} not valid")))
}

/// Runs `grant-secret` and `revoke-secret`.
///
/// # Errors
/// When there is no such secret or application.
pub async fn grant(session: &Session, args: &GrantSecretArgs, grant: bool) -> Result<(), CliError> {
    let model = session.model(&args.model).await?;
    let (secret, apps) = (args.secret.clone(), args.apps.clone());
    model
        .tell(ModelRequest::GrantSecret {
            secret,
            apps,
            grant,
        })
        .await
}

/// Runs `remove-secret`.
///
/// # Errors
/// When there is no such secret or revision.
pub async fn remove(session: &Session, args: &RemoveSecretArgs) -> Result<(), CliError> {
    let model = session.model(&args.model).await?;
    let (secret, revision) = (args.secret.clone(), args.revision);
    model
        .tell(ModelRequest::RemoveSecret { secret, revision })
        .await
}

/// Runs `secrets`.
///
/// # Errors
/// When the controller cannot be asked or the output not be written.
pub async fn list(session: &Session, args: &SecretsArgs) -> Result<(), CliError> {
    let model = session.model(&args.model).await?;
    let request = ModelRequest::Secrets {
        secret: None,
        reveal: false,
        revision: None,
        revisions: false,
    };
    let value: Value = model.ask(request).await?;
    let owner = args
        .owner
        .as_deref()
        .map(|owner| match owner.split_once('-') {
            Some(("application" | "unit" | "model", name)) => name.to_owned(),
            _ => owner.to_owned(),
        });
    let kept: BTreeMap<&String, &Value> = members(&value)
        .filter(|(_, secret)| {
            owner
                .as_ref()
                .is_none_or(|one| text_of(secret, "owner") == *one)
        })
        .collect();
    emit_value(&args.output, Format::Text, &kept, || {
        let mut table = Table::new([
            "ID",
            "Name",
            "Owner",
            "Rotation",
            "Revision",
            "Last updated",
        ])
        .right([4]);
        for (id, secret) in &kept {
            let name = match text_of(secret, "name") {
                name if name.is_empty() => "-".to_owned(),
                name => name,
            };
            let rotation = match text_of(secret, "rotation") {
                rotation if rotation.is_empty() => "never".to_owned(),
                rotation => rotation,
            };
            table.row([
                id.as_str().into(),
                name.into(),
                text_of(secret, "owner").into(),
                rotation.into(),
                text_of(secret, "revision").into(),
                ago(&text_of(secret, "updated")).into(),
            ]);
        }
        table.render(false)
    })
}

/// Runs `show-secret`.
///
/// # Errors
/// When there is no such secret or the output cannot be written.
pub async fn show(session: &Session, args: &ShowSecretArgs) -> Result<(), CliError> {
    if args.revisions && (args.reveal || args.revision.is_some()) {
        return Err(CliError::usage(
            "specify either --revisions or --reveal and --revision",
        ));
    }
    let model = session.model(&args.model).await?;
    let request = ModelRequest::Secrets {
        secret: Some(args.secret.clone()),
        reveal: args.reveal,
        revision: args.revision,
        revisions: args.revisions,
    };
    let mut value: Value = model.ask(request).await?;
    if Format::of(&args.output, Format::Yaml)? == Format::Yaml {
        bare_content(&mut value);
    }
    emit_value(&args.output, Format::Yaml, &value, || {
        serde_yaml::to_string(&value).unwrap_or_default()
    })
}

/// YAML has the keys right under `content`; JSON has them under `content.Data`.
fn bare_content(secrets: &mut Value) {
    for secret in secrets
        .as_object_mut()
        .into_iter()
        .flat_map(|all| all.values_mut())
    {
        if let Some(data) = secret.pointer_mut("/content/Data").map(Value::take)
            && let Some(content) = secret.get_mut("content")
        {
            *content = json!(data);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_come_encoded_from_words_and_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.yaml");
        std::fs::write(&path, "password: hunter2\nport: 5432\n").unwrap();
        let blob = folder.path().join("blob");
        std::fs::write(&blob, [0, 255]).unwrap();
        let words = [
            "token=a=b".into(),
            "raw#base64=AAE=".into(),
            format!("blob#file={}", blob.display()),
        ];
        let all = content(&words, Some(&path)).unwrap();
        assert_eq!(all["password"], "aHVudGVyMg==");
        assert_eq!(all["port"], "NTQzMg==");
        assert_eq!(all["token"], "YT1i");
        assert_eq!(all["raw"], "AAE=");
        assert_eq!(all["blob"], "AP8=");
    }

    #[test]
    fn keys_are_checked() {
        for wrong in ["ab", "Abc", "a_b", "1bc", "abc-"] {
            assert!(checked_key(wrong).is_err(), "{wrong}");
        }
        assert!(checked_key("a-1").is_ok());
    }

    #[test]
    fn yaml_shows_contents_without_their_envelope() {
        let mut value = json!({"id": {"content": {"Data": {"k": "v"}}}});
        bare_content(&mut value);
        assert_eq!(value, json!({"id": {"content": {"k": "v"}}}));
    }
}
