//! Secrets of people, storage without a unit, and what this controller does not do.

use std::collections::BTreeMap;

use juju_local_api::ErrorKind;
use juju_local_api::user::ModelRequest;
use serde_json::{Value, json};

use super::model::{Consumer, Grant, Model, Outcome, Secret, not_found, now, refuse};
use super::secrets::{bare, new_id};

/// Secrets of people, and what this controller does not do.
pub(super) fn user_secrets(model: &mut Model, request: ModelRequest) -> Outcome<Value> {
    let find = |model: &Model, name: &str| -> Outcome<String> {
        let wanted = |s: &&Secret| s.owner.is_empty() && (s.id == bare(name) || s.label == name);
        let found = model
            .secrets
            .values()
            .find(wanted)
            .map(|secret| secret.id.clone());
        found.ok_or_else(|| not_found("secret", name))
    };
    match request {
        ModelRequest::AddSecret {
            name,
            content,
            info,
        } => {
            if find(model, &name).is_ok() {
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
            model.secrets.insert(id.clone(), secret);
            Ok(json!(format!("secret:{id}")))
        }
        ModelRequest::UpdateSecret {
            secret,
            content,
            name,
            info,
            ..
        } => {
            let id = find(model, &secret)?;
            if let Some(secret) = model.secrets.get_mut(&id) {
                if !content.is_empty() {
                    secret.add_revision(content);
                }
                secret.label = name.unwrap_or_else(|| secret.label.clone());
                secret.description = info.unwrap_or_else(|| secret.description.clone());
            }
            Ok(Value::Null)
        }
        ModelRequest::GrantSecret {
            secret,
            apps,
            grant,
        } => {
            let id = find(model, &secret)?;
            for app in apps {
                model.app(&app)?;
                if let Some(secret) = model.secrets.get_mut(&id) {
                    secret.grants.retain(|one| one.to != app);
                    if grant {
                        secret.grants.push(Grant {
                            relation: None,
                            to: app,
                        });
                    }
                }
            }
            Ok(Value::Null)
        }
        ModelRequest::RemoveSecret { secret, revision } => {
            let id = find(model, &secret)?;
            match (model.secrets.get_mut(&id), revision) {
                (Some(secret), Some(revision)) => drop(secret.revisions.remove(&revision)),
                _ => drop(model.secrets.remove(&id)),
            }
            Ok(Value::Null)
        }
        ModelRequest::Secrets {
            secret,
            reveal,
            revision,
            revisions,
        } => model.show_secrets(secret.as_deref(), reveal, revision, revisions),
        ModelRequest::RemoveStorage(ids) => {
            for id in ids {
                match model.storage.get(&id) {
                    None => return Err(not_found("storage", &id)),
                    Some(one) if one.unit.is_some() => {
                        return refuse(
                            ErrorKind::Conflict,
                            format!("storage \"{id}\" is attached"),
                        );
                    }
                    Some(_) => drop(model.storage.remove(&id)),
                }
            }
            Ok(Value::Null)
        }
        ModelRequest::Offers => Ok(json!({})),
        _ => refuse(
            ErrorKind::BadRequest,
            "offers between models are not available in the local model yet",
        ),
    }
}
