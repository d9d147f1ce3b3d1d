//! New charms and resources of applications that run.

use std::collections::BTreeMap;
use std::sync::Arc;

use juju_local_api::ErrorKind;
use serde_json::{Value, json};

use super::daemon::Controller;
use super::model::{Outcome, refuse};
use super::{charm, resources};

/// What is new.
pub(super) struct Refresh<'a> {
    pub path: Option<&'a str>,
    pub resources: BTreeMap<String, String>,
    pub config: &'a BTreeMap<String, String>,
    pub trust: Option<bool>,
}

impl Controller {
    pub(super) fn refresh(
        self: &Arc<Self>,
        model: &str,
        name: &str,
        new: Refresh<'_>,
    ) -> Outcome<Value> {
        let (old, revision) = self.read(|state| {
            let app = state.model(model)?.app(name)?;
            Ok((app.charm.clone(), app.revision + 1))
        })?;
        let store = self.charms(model);
        let loaded = match new.path {
            Some(path) => Some(charm::load(
                path,
                &store.join(format!("{name}-{revision}")),
            )?),
            None => None,
        };
        if let Some(loaded) = &loaded
            && loaded.name != old.name
        {
            let _ = std::fs::remove_dir_all(store.join(format!("{name}-{revision}")));
            let text = format!(
                "cannot refresh application \"{name}\": it is deployed from charm \"{}\", not \"{}\"",
                old.name, loaded.name
            );
            return refuse(ErrorKind::BadRequest, text);
        }
        let charm = loaded.as_ref().unwrap_or(&old);
        let mut options = BTreeMap::new();
        for (key, text) in new.config {
            options.insert(key.clone(), charm.option_value(key, text)?);
        }
        for (resource, value) in &new.resources {
            resources::keep(&store, charm, name, resource, value)?;
        }
        self.change(|state| {
            let model = state.model(model)?;
            let app = model.app_mut(name)?;
            if let Some(charm) = loaded {
                app.charm = charm;
                app.revision = revision;
            }
            app.modified += 1;
            app.resources.extend(new.resources);
            app.keep_template();
            app.config.extend(options);
            app.trust = new.trust.unwrap_or(app.trust);
            model.add_peers(name);
            Ok(())
        })?;
        if let Some(trust) = new.trust {
            super::kubernetes::roles(&self.api, model, name, trust);
        }
        // The rolling update follows from that, see `rollout`.
        let (modified, containers) = self.read(|state| {
            let app = state.model(model)?.app(name)?;
            let containers: Vec<String> = app.charm.containers.keys().cloned().collect();
            Ok((app.modified, containers))
        })?;
        let containers: Vec<&str> = containers.iter().map(String::as_str).collect();
        super::kubernetes::template(&self.api, model, name, (modified, &containers));
        Ok(json!(name))
    }
}
