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

/// Whether Juju takes a word for the id of a secret.
fn is_id(word: &str) -> bool {
    let bare = bare(word);
    let known = |c: char| c.is_ascii_digit() || ('a'..='v').contains(&c);
    bare.len() == 20 && bare.chars().all(known)
}

/// How often secrets may be rotated.
const POLICIES: [&str; 7] = [
    "never",
    "hourly",
    "daily",
    "weekly",
    "monthly",
    "quarterly",
    "yearly",
];

/// A time, from a time or from a duration as Go writes them.
fn expiry(text: &str) -> Result<String, Refusal> {
    let refuse = |what: &str| Refusal::usage(format!("{what} \"{text}\" not valid"));
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(time.to_string());
    }
    if let Ok(time) = text.parse::<jiff::civil::DateTime>() {
        let time = time.to_zoned(jiff::tz::TimeZone::UTC);
        return time
            .map(|time| time.timestamp().to_string())
            .map_err(|_| refuse("expire time or duration"));
    }
    if text.starts_with('-') {
        return Err(refuse("negative expire duration"));
    }
    let wait = crate::duration::milliseconds(text).filter(|_| !text.is_empty());
    let wait = wait.ok_or_else(|| refuse("expire time or duration"))?;
    let wait = std::time::Duration::from_millis(wait);
    let time = jiff::Timestamp::now().checked_add(wait);
    time.map(|time| time.to_string())
        .map_err(|_| refuse("expire time or duration"))
}

impl Tool<'_> {
    pub(super) async fn secret_write(&mut self) -> Done {
        let valued = ["file", "owner", "label", "description", "rotate", "expire"];
        let args = self.args(&valued, &[])?;
        if let Some(policy) = args
            .flag("rotate")
            .filter(|policy| !POLICIES.contains(policy))
        {
            let text = format!("rotate policy \"{policy}\" not valid");
            return Err(Refusal::usage(text));
        }
        let expire = args.flag("expire").map(expiry).transpose()?;
        if self.call.tool == "secret-set" {
            self.secret_set(&args, expire)
        } else {
            self.secret_add(&args, expire).await
        }
    }

    async fn secret_add(&mut self, args: &Args, expiry: Option<String>) -> Done {
        let given = |name: &str| args.flag(name).unwrap_or_default().to_owned();
        let content = content(args, 0)?;
        if content.is_empty() {
            return Err(Refusal::usage("missing secret value or filename"));
        }
        let owner = args.flag("owner").unwrap_or("application").to_owned();
        if owner != "application" && owner != "unit" {
            let text = format!("secret owner \"{owner}\" not valid");
            return Err(Refusal::usage(text));
        }
        if owner == "application" && !self.leads().await? {
            return Err(Refusal::run("this unit is not the leader"));
        }
        let label = given("label");
        if !label.is_empty() && self.pending(None, Some(&label)).is_some() {
            let text = format!("secret with label \"{label}\" already exists");
            return Err(Refusal::run(text));
        }
        let id: String = self.ask(AgentRequest::NewSecretId).await?;
        let add = SecretAdd {
            id: id.clone(),
            owner,
            label,
            description: given("description"),
            rotation: given("rotate"),
            expiry,
            content,
        };
        self.context.changes.secrets_add.push(add);
        Ok(format!("secret:{id}\n"))
    }

    /// Several changes in one hook are one.
    fn secret_set(&mut self, args: &Args, expiry: Option<String>) -> Done {
        let id = args.one(0);
        let id = bare(id.ok_or_else(|| Refusal::usage("missing secret URI"))?);
        let given = |name: &str| args.flag(name).map(str::to_owned);
        let new = content(args, 1)?;
        let new = (!new.is_empty()).then_some(new);
        let changes = &mut self.context.changes;
        if let Some(add) = changes.secrets_add.iter_mut().find(|add| add.id == id) {
            add.content = new.unwrap_or_else(|| add.content.clone());
            add.label = given("label").unwrap_or_else(|| add.label.clone());
            add.description = given("description").unwrap_or_else(|| add.description.clone());
            add.rotation = given("rotate").unwrap_or_else(|| add.rotation.clone());
            add.expiry = expiry.or_else(|| add.expiry.clone());
            return Ok(String::new());
        }
        let known = changes.secrets_set.iter().position(|set| set.id == id);
        let before = known.map(|at| changes.secrets_set.remove(at));
        let set = SecretSet {
            label: given("label").or_else(|| before.as_ref()?.label.clone()),
            description: given("description").or_else(|| before.as_ref()?.description.clone()),
            rotation: given("rotate").or_else(|| before.as_ref()?.rotation.clone()),
            expiry: expiry.or_else(|| before.as_ref()?.expiry.clone()),
            content: new.or_else(|| before.as_ref()?.content.clone()),
            id,
        };
        changes.secrets_set.push(set);
        Ok(String::new())
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
        let is_4 = self.juju().is_4();
        let id = args
            .one(0)
            .filter(|word| looks_like_id(word) || label.is_none() || is_4);
        // Without an id there is no key to ask for.
        if let Some(word) = id.filter(|word| is_4 && !is_id(word)) {
            return Err(Refusal::usage(format!("secret URI \"{word}\" not valid")));
        }
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
        let info = if let Some(add) = self.pending(id, label) {
            SecretInfo {
                id: add.id.clone(),
                revision: 1,
                label: add.label.clone(),
                owner: add.owner.clone(),
                description: add.description.clone(),
                rotation: add.rotation.clone(),
                expiry: add.expiry.clone(),
                rotates: None,
                access: Vec::new(),
            }
        } else {
            let key = match (id, label) {
                (Some(id), _) => SecretKey::Id(bare(id)),
                (None, Some(label)) => SecretKey::Label(label.to_owned()),
                (None, None) => {
                    return Err(Refusal::usage("require either a secret URI or label"));
                }
            };
            self.ask(AgentRequest::SecretInfo(key)).await?
        };
        let rotation = if info.rotation.is_empty() {
            "never"
        } else {
            &info.rotation
        };
        let mut value = json!({
            "revision": info.revision, "label": info.label, "owner": info.owner,
            "rotation": rotation,
        });
        if let Some(map) = value.as_object_mut() {
            if !info.description.is_empty() {
                map.insert("description".into(), json!(info.description));
            }
            for (key, time) in [("expiry", info.expiry), ("rotates", info.rotates)] {
                map.extend(time.map(|time| (key.to_owned(), json!(time))));
            }
            if !info.access.is_empty() {
                map.insert("access".into(), json!(info.access));
            }
        }
        let id = info.id;
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
        let changes = &mut self.context.changes;
        let mut unmade = changes.secrets_add.len();
        if revision.is_none() {
            changes.secrets_add.retain(|add| add.id != id);
            changes.secrets_set.retain(|set| set.id != id);
            changes.secrets_grant.retain(|grant| grant.id != id);
            changes.secrets_revoke.retain(|grant| grant.id != id);
            unmade -= changes.secrets_add.len();
        }
        // What this hook itself has made is simply not made.
        if revision.is_some() || unmade == 0 {
            changes.secrets_remove.push((id, revision));
        }
        Ok(String::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_a_time_or_a_duration() {
        assert_eq!(
            expiry("2030-01-02T03:04:05Z").unwrap(),
            "2030-01-02T03:04:05Z"
        );
        assert_eq!(
            expiry("2030-01-02T03:04:05").unwrap(),
            "2030-01-02T03:04:05Z"
        );
        assert!(expiry("1h30m").unwrap() > jiff::Timestamp::now().to_string());
        let refused = |text: &str| expiry(text).unwrap_err().text;
        assert_eq!(
            refused("soon"),
            "expire time or duration \"soon\" not valid"
        );
        assert_eq!(refused("-1h"), "negative expire duration \"-1h\" not valid");
    }
}
