//! Refuses what Juju could never do: events and states that don't go together.

mod events;
mod states;

use std::fmt;

use serde_json::Value;

use super::metadata::Charm;
use super::state::State;
use super::trigger::Trigger;

/// Why Juju could never run this event over this state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inconsistent(pub Vec<String>);

impl fmt::Display for Inconsistent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.0.join("; ");
        write!(f, "cannot run what Juju would never run: {all}")
    }
}

impl std::error::Error for Inconsistent {}

/// What is checked, and what was found so far.
struct Checker<'a> {
    charm: &'a Charm,
    unit: &'a str,
    state: &'a State,
    found: Vec<String>,
}

impl Checker<'_> {
    /// Notes a problem, unless this holds.
    fn needs(&mut self, holds: bool, problem: impl FnOnce() -> String) {
        if !holds {
            self.found.push(problem());
        }
    }

    fn application(&self) -> &str {
        self.unit.rsplit_once('/').map_or(self.unit, |(app, _)| app)
    }

    fn number(&self) -> Option<u32> {
        self.unit.rsplit_once('/')?.1.parse().ok()
    }
}

/// All reasons, in the order state, event.
pub(super) fn problems(charm: &Charm, unit: &str, trigger: &Trigger, state: &State) -> Vec<String> {
    let mut checker = Checker {
        charm,
        unit,
        state,
        found: Vec::new(),
    };
    checker.state();
    checker.event(trigger);
    checker.found
}

/// Whether a value is of a type of JSON schema; of one that isn't known, any is.
fn is_of_type(value: &Value, kind: &str) -> bool {
    match kind {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" | "int" => value.is_i64() || value.is_u64(),
        "number" | "float" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    }
}
