//! The hook's environment: which event it is, and whose.

use crate::event::{self, Event};

/// The environment lacks something that Juju always gives.
#[derive(Debug, thiserror::Error)]
#[error("cannot tell the hook: {0} is not set; this program is run by Juju")]
pub struct EnvError(&'static str);

/// What Juju tells in the environment.
#[derive(Debug, Clone)]
pub struct HookEnv {
    unit: String,
    model: String,
    model_uuid: String,
    charm_dir: String,
    version: String,
    event: Event,
}

impl HookEnv {
    /// From this process's environment.
    ///
    /// # Errors
    /// When it was not started by Juju.
    pub fn from_process() -> Result<Self, EnvError> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// From any lookup of variables.
    ///
    /// # Errors
    /// When a variable is missing that Juju always sets.
    pub fn from_lookup(get: impl Fn(&str) -> Option<String>) -> Result<Self, EnvError> {
        let unit = get("JUJU_UNIT_NAME").ok_or(EnvError("JUJU_UNIT_NAME"))?;
        let text = |name: &str| get(name).unwrap_or_default();
        Ok(Self {
            unit,
            model: text("JUJU_MODEL_NAME"),
            model_uuid: text("JUJU_MODEL_UUID"),
            charm_dir: text("JUJU_CHARM_DIR"),
            version: text("JUJU_VERSION"),
            event: event::parse(&get),
        })
    }

    /// `app/0`.
    #[must_use]
    pub fn unit(&self) -> &str {
        &self.unit
    }

    /// The application.
    #[must_use]
    pub fn application(&self) -> &str {
        self.unit
            .rsplit_once('/')
            .map_or(&self.unit, |(app, _)| app)
    }

    /// The unit's number.
    #[must_use]
    pub fn ordinal(&self) -> u32 {
        self.unit
            .rsplit_once('/')
            .and_then(|(_, n)| n.parse().ok())
            .unwrap_or_default()
    }

    /// Model name; on Kubernetes also the namespace.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Model UUID.
    #[must_use]
    pub fn model_uuid(&self) -> &str {
        &self.model_uuid
    }

    /// Where the charm's files are.
    #[must_use]
    pub fn charm_dir(&self) -> &str {
        &self.charm_dir
    }

    /// Juju's version.
    #[must_use]
    pub fn juju_version(&self) -> &str {
        &self.version
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> &Event {
        &self.event
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn env(pairs: &[(&str, &str)]) -> HookEnv {
        HookEnv::from_lookup(|name| {
            let unit = [("JUJU_UNIT_NAME", "my-db/2")];
            unit.iter()
                .chain(pairs)
                .find(|(key, _)| *key == name)
                .map(|(_, v)| (*v).to_owned())
        })
        .unwrap()
    }

    #[test]
    fn endpoints_and_containers_may_have_hyphens() {
        let env = env(&[
            ("JUJU_DISPATCH_PATH", "hooks/my-old-db-relation-departed"),
            ("JUJU_RELATION_ID", "my-old-db:4"),
            ("JUJU_REMOTE_APP", "x"),
            ("JUJU_REMOTE_UNIT", "x/1"),
            ("JUJU_DEPARTING_UNIT", "x/1"),
        ]);
        assert_eq!((env.application(), env.ordinal()), ("my-db", 2));
        let Event::RelationDeparted(event) = env.event() else {
            panic!("{env:?}")
        };
        assert_eq!(event.endpoint, "my-old-db");
        assert_eq!(event.departing_unit.as_deref(), Some("x/1"));
    }

    #[test]
    fn actions_hooks_and_exec_are_told_apart() {
        let action = env(&[
            ("JUJU_DISPATCH_PATH", "actions/get-primary"),
            ("JUJU_HOOK_NAME", ""),
        ]);
        assert!(matches!(action.event(), Event::Action(a) if a.name == "get-primary"));
        assert_eq!(env(&[("JUJU_HOOK_NAME", "")]).event(), &Event::Exec);
        let newer = env(&[("JUJU_DISPATCH_PATH", "hooks/something-new")]);
        assert_eq!(newer.event(), &Event::Unknown("something-new".into()));
    }

    #[test]
    fn without_a_unit_it_was_not_juju() {
        assert!(HookEnv::from_lookup(|_| None).is_err());
    }

    proptest! {
        #[test]
        fn no_hook_name_is_too_odd(name in ".{0,40}") {
            let _ = env(&[("JUJU_DISPATCH_PATH", &format!("hooks/{name}"))]);
        }
    }
}
