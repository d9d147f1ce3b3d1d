//! What the `show-...` commands print, as Juju's JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use juju_local_api::agent::Life;
use serde_json::{Map, Value, json};

use super::model::{Model, Outcome, Secret, not_found};
use super::secrets::bare;

fn life(life: Life) -> &'static str {
    match life {
        Life::Alive => "alive",
        Life::Dying => "dying",
        Life::Dead => "dead",
    }
}

impl Model {
    pub fn summary(&self, controller: &str, uuid: &str) -> Value {
        json!({
            "name": format!("admin/{}", self.name), "short-name": self.name,
            "model-uuid": self.uuid, "model-type": "caas", "controller-uuid": uuid,
            "controller-name": controller, "is-controller": false, "owner": "admin",
            "cloud": "local", "region": "localhost", "type": "kubernetes", "life": "alive",
            "status": {"current": "available", "since": self.created},
            "users": {"admin": {"access": "admin", "last-connection": "just now"}},
            "agent-version": self.juju.version(),
            "units": self.units.len(),
        })
    }

    pub fn settings(&self) -> Value {
        let defaults = [
            ("agent-version", self.juju.version()),
            ("automatically-retry-hooks", "true"),
            ("logging-config", "<root>=TRACE"),
            ("name", self.name.as_str()),
            ("type", "kubernetes"),
            ("update-status-hook-interval", "5m"),
            ("uuid", self.uuid.as_str()),
        ];
        let mut shown = Map::new();
        for (key, value) in defaults {
            shown.insert(key.into(), json!({"Value": value, "Source": "default"}));
        }
        for (key, value) in &self.config {
            shown.insert(key.clone(), json!({"Value": value, "Source": "model"}));
        }
        // Switches are no text.
        for one in shown.values_mut() {
            let text = one.get("Value").and_then(Value::as_str);
            let switch = text.and_then(|text| text.to_lowercase().parse::<bool>().ok());
            if let (Some(switch), Some(map)) = (switch, one.as_object_mut()) {
                map.insert("Value".into(), json!(switch));
            }
        }
        Value::Object(shown)
    }

    pub fn app_settings(&self, name: &str) -> Outcome<Value> {
        let app = self.app(name)?;
        let mut settings = Map::new();
        for (option, spec) in &app.charm.options {
            let set = app.config.get(option);
            let source = match (set, spec.default.is_null()) {
                (Some(_), _) => "user",
                (None, false) => "default",
                (None, true) => "unset",
            };
            let mut one =
                json!({"description": spec.description, "source": source, "type": spec.kind});
            if let Some(map) = one.as_object_mut() {
                if !spec.default.is_null() {
                    map.insert("default".into(), spec.default.clone());
                }
                let value = set.cloned().unwrap_or_else(|| spec.default.clone());
                if !value.is_null() {
                    map.insert("value".into(), value);
                }
            }
            settings.insert(option.clone(), one);
        }
        let trust = json!({"trust": {
            "default": false, "type": "bool", "value": app.trust,
            "source": if app.trust { "user" } else { "default" },
            "description": "Does this application have access to trusted credentials",
        }});
        Ok(json!({
            "application": name, "charm": app.charm.name, "application-config": trust,
            "settings": settings,
        }))
    }

    pub fn show_unit(&self, name: &str) -> Outcome<Value> {
        let unit = self.unit(name)?;
        let app = self.app(&unit.app)?;
        let leader = app.leader.as_deref() == Some(name);
        let relations = self
            .relations
            .values()
            .filter(|relation| relation.has(&unit.app));
        let shown = relations.map(|relation| {
            let own = relation.ends.iter().find(|end| end.app == unit.app);
            let other = relation.ends.iter().find(|end| end.app != unit.app).or(own);
            let bag = |entity: &str| relation.bags.get(entity).map(|(_, bag)| bag.clone());
            let related = relation.other(&unit.app);
            let units: Map<String, Value> = relation
                .scope
                .iter()
                .filter(|one| *one != name && one.starts_with(&format!("{related}/")))
                .map(|one| (one.clone(), json!({"in-scope": true, "data": bag(one)})))
                .collect();
            json!({
                "relation-id": relation.id,
                "endpoint": own.map(|end| &end.endpoint),
                "related-endpoint": other.map(|end| &end.endpoint),
                "application-data": bag(&related).unwrap_or_default(),
                "local-unit": {"in-scope": relation.scope.contains(name), "data": bag(name).unwrap_or_default()},
                "related-units": units,
            })
        });
        Ok(json!({name: {
            "opened-ports": unit.ports, "charm": format!("local:{}-{}", app.charm.name, app.revision),
            "leader": leader, "life": life(unit.life),
            "relation-info": shown.collect::<Vec<_>>(),
            "provider-id": format!("{}-{}", unit.app, unit.number), "address": unit.address,
            "workload-version": app.version,
        }}))
    }

    pub fn show_application(&self, name: &str) -> Outcome<Value> {
        let app = self.app(name)?;
        let bindings: Map<String, Value> = app
            .charm
            .endpoints
            .keys()
            .map(|name| (name.clone(), json!("alpha")))
            .collect();
        Ok(json!({name: {
            "charm": app.charm.name, "base": "ubuntu@22.04", "channel": app.channel,
            "constraints": app.constraints, "principal": true, "exposed": false, "remote": false,
            "life": life(app.life), "endpoint-bindings": bindings,
        }}))
    }

    /// Secrets of people and charms.
    pub fn show_secrets(
        &self,
        wanted: Option<&str>,
        reveal: bool,
        revision: Option<u64>,
        revisions: bool,
    ) -> Outcome<Value> {
        let mut shown = Map::new();
        for secret in self.secrets.values() {
            if wanted.is_none_or(|wanted| bare(wanted) == secret.id || wanted == secret.label) {
                let mut one = show_secret(secret, reveal, revision);
                if let (true, Some(map)) = (revisions, one.as_object_mut()) {
                    map.insert("revisions".into(), json!(show_revisions(secret)));
                }
                shown.insert(secret.id.clone(), one);
            }
        }
        match wanted {
            Some(wanted) if shown.is_empty() => Err(not_found("secret", wanted)),
            _ => Ok(Value::Object(shown)),
        }
    }
}

fn show_revisions(secret: &Secret) -> Vec<Value> {
    let revisions = secret.revisions.keys().map(|revision| {
        let made = secret.made.get(revision).unwrap_or(&secret.created);
        let mut one = json!({
            "revision": revision, "backend": "internal", "created": made, "updated": made,
        });
        if let (Some(map), Some(expiry)) = (one.as_object_mut(), secret.expiries.get(revision)) {
            map.insert("expires".into(), json!(expiry.at.to_string()));
        }
        one
    });
    revisions.collect()
}

fn show_secret(secret: &Secret, reveal: bool, revision: Option<u64>) -> Value {
    let owner = if secret.owner.is_empty() {
        "<model>"
    } else {
        secret.owner.as_str()
    };
    let mut shown = json!({
        "revision": secret.latest(), "owner": owner, "rotation": secret.rotation,
        "created": secret.created, "updated": secret.updated,
    });
    let Some(map) = shown.as_object_mut() else {
        return shown;
    };
    let key = if secret.owner.is_empty() {
        "name"
    } else {
        "label"
    };
    if !secret.label.is_empty() {
        map.insert(key.into(), json!(secret.label));
    }
    let times = [("expires", secret.expires()), ("rotates", secret.rotates)];
    for (key, time) in times {
        map.extend(time.map(|time| (key.to_owned(), json!(time.to_string()))));
    }
    if !secret.description.is_empty() {
        map.insert("description".into(), json!(secret.description));
    }
    if reveal {
        let content = secret
            .revisions
            .get(&revision.unwrap_or_else(|| secret.latest()));
        let plain: Map<String, Value> = content
            .into_iter()
            .flatten()
            .map(|(key, value)| {
                let bytes = STANDARD.decode(value).unwrap_or_default();
                (key.clone(), json!(String::from_utf8_lossy(&bytes)))
            })
            .collect();
        map.insert("content".into(), json!({"Data": plain}));
    }
    shown
}
