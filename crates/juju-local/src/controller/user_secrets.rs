//! Secrets of people, and storage without a unit.

use std::collections::BTreeMap;

use juju_local_api::ErrorKind;
use juju_local_api::user::ModelRequest;
use serde_json::{Value, json};

use super::model::{Consumer, Grant, Model, Outcome, Secret, not_found, now, refuse};
use super::secrets::{bare, new_id};

/// Requests about secrets of people and about storage.
pub(super) fn user_secrets(model: &mut Model, request: ModelRequest) -> Outcome<Value> {
    match request {
        ModelRequest::AddSecret {
            name,
            content,
            info,
        } => model.add_user_secret(name, content, info),
        ModelRequest::UpdateSecret {
            secret,
            content,
            name,
            info,
            ..
        } => {
            let secret = model.user_secret(&secret)?;
            if !content.is_empty() {
                secret.add_revision(content);
            }
            secret.label = name.unwrap_or_else(|| secret.label.clone());
            secret.description = info.unwrap_or_else(|| secret.description.clone());
            Ok(Value::Null)
        }
        ModelRequest::GrantSecret {
            secret,
            apps,
            grant,
        } => {
            for to in apps {
                model.app(&to)?;
                let secret = model.user_secret(&secret)?;
                secret.grants.retain(|one| one.to != to);
                if grant {
                    secret.grants.push(Grant { relation: None, to });
                }
            }
            Ok(Value::Null)
        }
        ModelRequest::RemoveSecret { secret, revision } => {
            let secret = model.user_secret(&secret)?;
            if let Some(revision) = revision {
                secret.revisions.remove(&revision);
            } else {
                let id = secret.id.clone();
                model.secrets.remove(&id);
            }
            Ok(Value::Null)
        }
        ModelRequest::Secrets {
            secret,
            reveal,
            revision,
            revisions,
        } => model.show_secrets(secret.as_deref(), reveal, revision, revisions),
        ModelRequest::RemoveStorage(ids) => model.remove_storage(&ids),
        _ => refuse(
            ErrorKind::BadRequest,
            "this is not available in the local model",
        ),
    }
}

impl Model {
    /// A person's secret, by id or name.
    fn user_secret(&mut self, name: &str) -> Outcome<&mut Secret> {
        let wanted =
            |s: &&mut Secret| s.owner.is_empty() && (s.id == bare(name) || s.label == name);
        let found = self.secrets.values_mut().find(wanted);
        found.ok_or_else(|| not_found("secret", name))
    }

    fn add_user_secret(
        &mut self,
        name: String,
        content: BTreeMap<String, String>,
        info: String,
    ) -> Outcome<Value> {
        if self.user_secret(&name).is_ok() {
            let text = format!("secret with name \"{name}\" already exists");
            return refuse(ErrorKind::AlreadyExists, text);
        }
        let id = new_id();
        let secret = Secret {
            id: id.clone(),
            owner: String::new(),
            label: name,
            description: info,
            rotation: "never".into(),
            rotates: None,
            expiries: BTreeMap::new(),
            created: now(),
            updated: now(),
            revisions: BTreeMap::from([(1, content)]),
            made: BTreeMap::from([(1, now())]),
            grants: Vec::new(),
            consumers: BTreeMap::<String, Consumer>::new(),
        };
        self.secrets.insert(id.clone(), secret);
        Ok(json!(format!("secret:{id}")))
    }

    fn remove_storage(&mut self, ids: &[String]) -> Outcome<Value> {
        for id in ids {
            match self.storage.get(id) {
                None => return Err(not_found("storage", id)),
                Some(one) if one.unit.is_some() => {
                    let text = format!("storage \"{id}\" is attached");
                    return refuse(ErrorKind::Conflict, text);
                }
                Some(_) => drop(self.storage.remove(id)),
            }
        }
        Ok(Value::Null)
    }
}
