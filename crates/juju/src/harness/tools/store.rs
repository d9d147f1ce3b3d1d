//! What a charm keeps at the controller.

use serde_json::json;

use crate::harness::call::{Answer, Args, refused, usage};
use crate::harness::simulator::Simulator;

const LONGEST_KEY: usize = 256;
const LONGEST_VALUE: usize = 65_536;

impl Simulator<'_> {
    pub(super) fn state_get(&self, args: &Args) -> Answer {
        args.at_most(1)?;
        let stored = &self.inner.borrow().view.charm_state;
        match args.word(0).filter(|key| *key != "-") {
            None => args.print(&json!(stored)),
            Some(key) => match stored.get(key) {
                None if args.has("strict") => Err(refused(format!("\"{key}\" not found"))),
                found => args.print(&json!(found.map_or("", String::as_str))),
            },
        }
    }

    pub(super) fn state_set(&self, args: &Args, stdin: Option<&[u8]>) -> Answer {
        let values = args.pairs(0, stdin)?;
        if values.keys().any(|key| key.len() > LONGEST_KEY) {
            return Err(refused(format!(
                "max allowed key length ({LONGEST_KEY}) exceeded"
            )));
        }
        if values.values().any(|value| value.len() > LONGEST_VALUE) {
            return Err(refused(format!(
                "max allowed value length ({LONGEST_VALUE}) exceeded"
            )));
        }
        self.inner.borrow_mut().view.charm_state.extend(values);
        Ok(String::new())
    }

    pub(super) fn state_delete(&self, args: &Args) -> Answer {
        let key = args.word(0).ok_or_else(|| usage("no key specified"))?;
        args.at_most(1)?;
        self.inner.borrow_mut().view.charm_state.remove(key);
        Ok(String::new())
    }

    pub(super) fn leader_get(&self, args: &Args) -> Answer {
        args.at_most(1)?;
        let settings = &self.inner.borrow().view.leader_settings;
        match args.word(0).filter(|key| *key != "-") {
            None => args.print(&json!(settings)),
            Some(key) => args.print(&json!(settings.get(key))),
        }
    }

    /// These land at once.
    pub(super) fn leader_set(&self, args: &Args) -> Answer {
        let values = args.pairs(0, None)?;
        let mut inner = self.inner.borrow_mut();
        if !inner.view.leader {
            return Err(refused(
                "cannot write leadership settings: cannot write settings: not the leader",
            ));
        }
        inner.at_once(|state| {
            state.leader_settings.extend(values.clone());
            state.leader_settings.retain(|_, value| !value.is_empty());
        });
        Ok(String::new())
    }
}
