//! Everything that a charm asks of Juju during one hook: read once, written only if different.

mod action;
mod relations;
mod secrets;
mod statuses;
mod store;
mod unit;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::env::HookEnv;
use crate::refusals::Refusal;
use crate::secrets::SecretContent;
use crate::status::GoalState;
use crate::tools::{HookTools, Output, ToolError};

type Result<T> = std::result::Result<T, ToolError>;
type Bag = BTreeMap<String, String>;

/// How long Juju keeps its word on leadership.
const LEADERSHIP: Duration = Duration::from_secs(30);

/// Where a bag is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct BagKey {
    relation: String,
    entity: String,
}

/// One hook's view of Juju.
pub struct Context<'a> {
    tools: &'a dyn HookTools,
    unit: Option<String>,
    calls: Cell<usize>,
    leader: Cell<Option<(bool, Instant)>>,
    /// What tools answered, by command line: of those whose answer nothing here changes.
    answers: RefCell<BTreeMap<String, Vec<u8>>>,
    bags: RefCell<BTreeMap<BagKey, Bag>>,
    writes: RefCell<BTreeMap<BagKey, Bag>>,
    secrets: RefCell<BTreeMap<(String, Read), Option<SecretContent>>>,
    statuses: RefCell<BTreeMap<bool, (String, String)>>,
    version: RefCell<Option<String>>,
    ports: RefCell<Option<BTreeSet<String>>>,
    stored: RefCell<Option<Bag>>,
}

impl<'a> Context<'a> {
    /// The context of one hook. It takes the caller's word on which databags are the unit's own;
    /// [`Context::for_hook`] knows.
    #[must_use]
    pub fn new(tools: &'a dyn HookTools) -> Self {
        Self {
            tools,
            unit: None,
            calls: Cell::new(0),
            leader: Cell::new(None),
            answers: RefCell::default(),
            bags: RefCell::default(),
            writes: RefCell::default(),
            secrets: RefCell::default(),
            statuses: RefCell::default(),
            version: RefCell::default(),
            ports: RefCell::default(),
            stored: RefCell::default(),
        }
    }

    /// The context of this hook, which refuses writes to databags of others.
    #[must_use]
    pub fn for_hook(env: &HookEnv, tools: &'a dyn HookTools) -> Self {
        Self {
            unit: Some(env.unit().to_owned()),
            ..Self::new(tools)
        }
    }

    /// How many tools were run so far; each is a process.
    #[must_use]
    pub fn tool_calls(&self) -> usize {
        self.calls.get()
    }

    /// Whether this unit leads. A yes holds for 30 s and is asked again after that, a no holds for
    /// the rest of the hook.
    ///
    /// # Errors
    /// When Juju can't tell.
    pub fn is_leader(&self) -> Result<bool> {
        if let Some((known, since)) = self.leader.get()
            && (!known || since.elapsed() < LEADERSHIP)
        {
            return Ok(known);
        }
        // The promise counts from the question, not from the answer.
        let asked = Instant::now();
        let leader = self.json("is-leader", &["--format=json"])?;
        self.leader.set(Some((leader, asked)));
        Ok(leader)
    }

    /// Options with a value, defaults included.
    ///
    /// # Errors
    /// When Juju can't tell.
    pub fn config(&self) -> Result<BTreeMap<String, Value>> {
        let found: Option<_> = self.read("config-get", &["--format=json"])?;
        Ok(found.unwrap_or_default())
    }

    /// Options as a charm's own type.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] where they are not of that type; the text names the option.
    pub fn config_as<T: DeserializeOwned>(&self) -> Result<T> {
        let options = Value::from_iter(self.config()?);
        T::deserialize(options).map_err(|error| ToolError::malformed("config-get", error))
    }

    /// Units and relations as they are wanted.
    ///
    /// # Errors
    /// When Juju can't tell.
    pub fn goal_state(&self) -> Result<GoalState> {
        self.read("goal-state", &["--format=json"])
    }

    /// A line in Juju's log, at once. Charms that log much use [`crate::JujuLog`].
    ///
    /// # Errors
    /// When Juju refuses.
    pub fn log(&self, level: LogLevel, message: &str) -> Result<()> {
        let args = ["--log-level", level.text(), "--", message];
        self.call("juju-log", &args, None).map(drop)
    }

    /// An answer that stays the same for the whole hook, asked for once.
    fn read<T: DeserializeOwned>(&self, tool: &'static str, args: &[&str]) -> Result<T> {
        let odd = |error| ToolError::malformed(tool, error);
        let line = format!("{tool}\0{}", args.join("\0"));
        if let Some(known) = self.answers.borrow().get(&line) {
            return serde_json::from_slice(known).map_err(odd);
        }
        let output = self.call(tool, args, None)?;
        let found = serde_json::from_slice(&output.stdout).map_err(odd)?;
        self.answers.borrow_mut().insert(line, output.stdout);
        Ok(found)
    }

    fn json<T: DeserializeOwned>(&self, tool: &'static str, args: &[&str]) -> Result<T> {
        let output = self.call(tool, args, None)?;
        serde_json::from_slice(&output.stdout).map_err(|error| ToolError::malformed(tool, error))
    }

    fn call(&self, tool: &'static str, args: &[&str], stdin: Option<&[u8]>) -> Result<Output> {
        self.calls.set(self.calls.get() + 1);
        let output = self
            .tools
            .run(tool, args, stdin)
            .map_err(|error| ToolError {
                tool,
                refusal: Refusal::NotRun,
                message: format!("cannot be run: {error}"),
            })?;
        if output.code == 0 {
            Ok(output)
        } else {
            Err(ToolError::refused(tool, &output))
        }
    }
}

/// How a secret is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretKey<'a> {
    /// By its id.
    Id(&'a str),
    /// By its label.
    Label(&'a str),
    /// By its id; from now on it has this label for this unit.
    Labelled {
        /// Id.
        id: &'a str,
        /// Label.
        label: &'a str,
    },
}

/// Which revision is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Read {
    /// The one that was read first, or last refreshed to.
    Tracked,
    /// The latest, this once.
    Peek,
    /// The latest, from now on.
    Refresh,
}

/// Levels of Juju's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // Juju's own
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warning,
    Error,
    Critical,
}

impl LogLevel {
    /// The level as Juju writes it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
            Self::Critical => "CRITICAL",
        }
    }
}

/// JSON that Juju's YAML parser takes for what it is: control characters are escaped.
fn yaml_safe(values: &Bag) -> String {
    let json = Value::from_iter(values.clone()).to_string();
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if ('\u{7f}'..='\u{9f}').contains(&c) || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') {
            // All of these have four digits, so this is JSON's own escape.
            safe.extend(format!("\\u{:04x}", u32::from(c)).chars());
        } else {
            safe.push(c);
        }
    }
    safe
}
