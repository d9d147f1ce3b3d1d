//! The tools of secrets.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use juju_local_api::agent::{
    AgentRequest, SecretAdd, SecretGrant, SecretInfo, SecretKey, SecretSet, SecretValue,
};
use serde_json::{Map, Value, json};

use super::format::Args;
use super::output::{Print, Refusal, print};
use super::{Done, Tool};

type Content = BTreeMap<String, String>;

fn bare(id: &str) -> String {
    id.rsplit('/')
        .next()
        .unwrap_or(id)
        .trim_start_matches("secret:")
        .to_owned()
}

/// Content from words and a file, each value base64.
fn content(args: &Args, from: usize) -> Result<Content, Refusal> {
    let mut content = Content::new();
    if let Some(file) = args.flag("file") {
        let bytes = std::fs::read(file)
            .map_err(|error| Refusal::run(format!("cannot read {file}: {error}")))?;
        let map: BTreeMap<String, String> = serde_yaml::from_slice(&bytes)
            .map_err(|_| Refusal::run("cannot parse the secret's file"))?;
        content.extend(
            map.into_iter()
                .map(|(key, value)| (key, STANDARD.encode(value))),
        );
    }
    for pair in args.rest(from) {
        let Some((key, value)) = pair.split_once('=') else {
            return Err(Refusal::usage(format!("key value \"{pair}\" not valid")));
        };
        let (key, value) = match key.split_once('#') {
            Some((key, "base64")) => (key, value.to_owned()),
            Some((key, "file")) => {
                let bytes =
                    std::fs::read(value).map_err(|error| Refusal::run(error.to_string()))?;
                (key, STANDARD.encode(bytes))
            }
            _ => (key, STANDARD.encode(value)),
        };
        content.insert(key.to_owned(), value);
    }
    let bad = content.keys().find(|key| {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        key.len() < 3
            || !key.chars().all(good)
            || !key.starts_with(|c: char| c.is_ascii_lowercase())
    });
    match bad {
        Some(key) => Err(Refusal::usage(format!("key \"{key}\" not valid"))),
        None => Ok(content),
    }
}

impl Tool<'_> {
    pub(super) async fn secret_write(&mut self) -> Done {
        let valued = ["file", "owner", "label", "description", "rotate", "expire"];
        let args = self.args(&valued, &[])?;
        let given = |name: &str| args.flag(name).map(str::to_owned);
        if self.call.tool == "secret-set" {
            let id = bare(
                args.one(0)
                    .ok_or_else(|| Refusal::usage("missing secret URI"))?,
            );
            let new = content(&args, 1)?;
            let new = (!new.is_empty()).then_some(new);
            if let Some(add) = self
                .context
                .changes
                .secrets_add
                .iter_mut()
                .find(|add| add.id == id)
            {
                if let Some(new) = new {
                    add.content = new;
                }
                return Ok(String::new());
            }
            let set = SecretSet {
                id,
                label: given("label"),
                description: given("description"),
                rotation: given("rotate"),
                expiry: given("expire"),
                content: new,
            };
            self.context.changes.secrets_set.push(set);
            return Ok(String::new());
        }
        let content = content(&args, 0)?;
        if content.is_empty() {
            return Err(Refusal::usage("missing secret value or filename"));
        }
        let owner = given("owner").unwrap_or_else(|| "application".to_owned());
        if owner == "application" && !self.leads().await? {
            return Err(Refusal::run("this unit is not the leader"));
        }
        let id: String = self.ask(AgentRequest::NewSecretId).await?;
        let add = SecretAdd {
            id: id.clone(),
            owner,
            label: given("label").unwrap_or_default(),
            description: given("description").unwrap_or_default(),
            rotation: given("rotate").unwrap_or_default(),
            expiry: given("expire"),
            content,
        };
        self.context.changes.secrets_add.push(add);
        Ok(format!("secret:{id}\n"))
    }

    fn pending(&self, id: Option<&str>, label: Option<&str>) -> Option<&SecretAdd> {
        self.context.changes.secrets_add.iter().find(|add| {
            id.is_some_and(|id| bare(id) == add.id)
                || (id.is_none() && label == Some(add.label.as_str()))
        })
    }

    pub(super) async fn secret_get(&mut self) -> Done {
        let args = self.args(&["label"], &["refresh", "peek"])?;
        let label = args.flag("label");
        let looks_like_id = |word: &&str| word.starts_with("secret:") || bare(word).len() == 20;
        let id = args
            .one(0)
            .filter(|word| looks_like_id(word) || label.is_none());
        let key_at = usize::from(id.is_some());
        if args.has("refresh") && args.has("peek") {
            return Err(Refusal::usage(
                "specify one of --peek or --refresh but not both",
            ));
        }
        let encoded: Content = if let Some(add) = self.pending(id, label) {
            add.content.clone()
        } else {
            let key = match (id, label) {
                (Some(id), _) => SecretKey::Id(bare(id)),
                (None, Some(label)) => SecretKey::Label(label.to_owned()),
                (None, None) => {
                    return Err(Refusal::usage("require either a secret URI or label"));
                }
            };
            let set_label = id.and(label).map(str::to_owned);
            let refresh = args.has("refresh");
            let peek = args.has("peek") || refresh;
            let value: SecretValue = self
                .ask(AgentRequest::SecretGet {
                    key,
                    set_label,
                    peek,
                })
                .await?;
            if refresh && !self.context.changes.secrets_track.contains(&value.id) {
                self.context.changes.secrets_track.push(value.id.clone());
            }
            let changed = self
                .context
                .changes
                .secrets_set
                .iter()
                .rev()
                .find(|s| s.id == value.id);
            let changed = changed.and_then(|set| set.content.clone()).filter(|_| peek);
            changed.unwrap_or(value.content)
        };
        let plain: Map<String, Value> = encoded
            .iter()
            .map(|(key, value)| {
                let bytes = STANDARD.decode(value).unwrap_or_default();
                (key.clone(), json!(String::from_utf8_lossy(&bytes)))
            })
            .collect();
        match args.one(key_at) {
            None => print(&args, Print::Yaml, &Value::Object(plain)),
            Some(wanted) => {
                let (name, raw) = match wanted.strip_suffix("#base64") {
                    Some(name) => (name, true),
                    None => (wanted, false),
                };
                let found = if raw {
                    encoded.get(name).map(|value| json!(value))
                } else {
                    plain.get(name).cloned()
                };
                let found = found.ok_or_else(|| {
                    Refusal::run(format!("secret key value \"{name}\" not found"))
                })?;
                print(&args, Print::Smart, &found)
            }
        }
    }

    pub(super) async fn secret_info(&mut self) -> Done {
        let args = self.args(&["label"], &[])?;
        let (id, label) = (args.one(0), args.flag("label"));
        let (id, value) = if let Some(add) = self.pending(id, label) {
            let value =
                json!({"revision": 1, "label": add.label, "owner": add.owner, "rotation": "never"});
            (add.id.clone(), value)
        } else {
            let key = match (id, label) {
                (Some(id), _) => SecretKey::Id(bare(id)),
                (None, label) => SecretKey::Label(label.unwrap_or_default().to_owned()),
            };
            let info: SecretInfo = self.ask(AgentRequest::SecretInfo(key)).await?;
            let mut value = json!({
                "revision": info.revision, "label": info.label, "owner": info.owner,
                "rotation": info.rotation,
            });
            if let Some(map) = value.as_object_mut() {
                if !info.description.is_empty() {
                    map.insert("description".into(), json!(info.description));
                }
                map.extend(
                    info.expiry
                        .map(|expiry| ("expiry".to_owned(), json!(expiry))),
                );
                if !info.access.is_empty() {
                    map.insert("access".into(), json!(info.access));
                }
            }
            (info.id, value)
        };
        print(&args, Print::Yaml, &json!({id: value}))
    }

    pub(super) async fn secret_ids(&mut self) -> Done {
        let args = self.args(&[], &[])?;
        let owned: Vec<SecretInfo> = self.ask(AgentRequest::SecretsOwned).await?;
        let mut ids: Vec<String> = owned.into_iter().map(|info| info.id).collect();
        ids.extend(
            self.context
                .changes
                .secrets_add
                .iter()
                .map(|add| add.id.clone()),
        );
        let value = if ids.is_empty() {
            Value::Null
        } else {
            json!(ids)
        };
        print(&args, Print::Smart, &value)
    }

    pub(super) fn secret_grant(&mut self) -> Done {
        let args = self.args(&["r", "relation", "unit", "app"], &[])?;
        let id = bare(
            args.one(0)
                .ok_or_else(|| Refusal::usage("missing secret URI"))?,
        );
        let named = args.has("r") || args.has("relation") || self.context.relation.is_some();
        let relation = if named {
            Some(self.relation(&args)?.id)
        } else {
            None
        };
        let grant = SecretGrant {
            id,
            relation,
            unit: args.flag("unit").map(str::to_owned),
            application: args.flag("app").map(str::to_owned),
        };
        if self.call.tool == "secret-grant" {
            self.context.changes.secrets_grant.push(grant);
        } else {
            self.context.changes.secrets_revoke.push(grant);
        }
        Ok(String::new())
    }

    pub(super) fn secret_remove(&mut self) -> Done {
        let args = self.args(&["revision"], &[])?;
        let id = bare(
            args.one(0)
                .ok_or_else(|| Refusal::usage("missing secret URI"))?,
        );
        let revision = args.flag("revision").and_then(|text| text.parse().ok());
        self.context.changes.secrets_remove.push((id, revision));
        Ok(String::new())
    }
}
