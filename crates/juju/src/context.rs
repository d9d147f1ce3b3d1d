//! Everything that a charm asks of Juju during one hook: read once, written only if different.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use secrecy::SecretString;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::secrets::{ContentFile, SecretContent, SecretInfo, SecretSpec};
use crate::tools::{HookTools, Output, Refusal, ToolError};

type Result<T> = std::result::Result<T, ToolError>;
type Bag = BTreeMap<String, String>;

/// The words of a workload status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // Juju's own
pub enum StatusWord {
    Active,
    Waiting,
    Maintenance,
    Blocked,
}

/// A workload status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Its word.
    pub word: StatusWord,
    /// Its message.
    pub message: String,
}

impl Status {
    /// All is well.
    #[must_use]
    pub fn active(message: impl Into<String>) -> Self {
        Self {
            word: StatusWord::Active,
            message: message.into(),
        }
    }

    /// Goes on by itself.
    #[must_use]
    pub fn waiting(message: impl Into<String>) -> Self {
        Self {
            word: StatusWord::Waiting,
            message: message.into(),
        }
    }

    /// Something is being done.
    #[must_use]
    pub fn maintenance(message: impl Into<String>) -> Self {
        Self {
            word: StatusWord::Maintenance,
            message: message.into(),
        }
    }

    /// Needs a person.
    #[must_use]
    pub fn blocked(message: impl Into<String>) -> Self {
        Self {
            word: StatusWord::Blocked,
            message: message.into(),
        }
    }
}

impl StatusWord {
    fn text(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Waiting => "waiting",
            Self::Maintenance => "maintenance",
            Self::Blocked => "blocked",
        }
    }
}

/// `goal-state`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct GoalState {
    /// Units of the application with their status; this one is among them.
    #[serde(default)]
    pub units: BTreeMap<String, Goal>,
    /// Endpoints with the applications and units at their other end.
    #[serde(default)]
    pub relations: BTreeMap<String, BTreeMap<String, Goal>>,
}

/// A unit's or relation's state in `goal-state`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Goal {
    /// `active`, `waiting`, `dying`, `joined`, ...
    #[serde(default)]
    pub status: String,
}

/// Where a bag is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct BagKey {
    relation: String,
    entity: String,
}

/// One hook's view of Juju.
pub struct Context<'a> {
    tools: &'a dyn HookTools,
    calls: Cell<usize>,
    leader: Cell<Option<bool>>,
    config: RefCell<Option<BTreeMap<String, Value>>>,
    ids: RefCell<BTreeMap<String, Vec<String>>>,
    lists: RefCell<BTreeMap<String, Vec<String>>>,
    bags: RefCell<BTreeMap<BagKey, Bag>>,
    writes: RefCell<BTreeMap<BagKey, Bag>>,
}

impl<'a> Context<'a> {
    /// The context of one hook.
    #[must_use]
    pub fn new(tools: &'a dyn HookTools) -> Self {
        Self {
            tools,
            calls: Cell::new(0),
            leader: Cell::new(None),
            config: RefCell::default(),
            ids: RefCell::default(),
            lists: RefCell::default(),
            bags: RefCell::default(),
            writes: RefCell::default(),
        }
    }

    /// How many tools were run so far; each is a process.
    #[must_use]
    pub fn tool_calls(&self) -> usize {
        self.calls.get()
    }

    /// Whether this unit leads. It stays true for 30 s, and a "no" for the rest of the hook.
    ///
    /// # Errors
    /// When Juju can't tell.
    pub fn is_leader(&self) -> Result<bool> {
        if let Some(known) = self.leader.get() {
            return Ok(known);
        }
        let leader = self.json("is-leader", &["--format=json"])?;
        self.leader.set(Some(leader));
        Ok(leader)
    }

    /// Options with a value, defaults included.
    ///
    /// # Errors
    /// When Juju can't tell.
    pub fn config(&self) -> Result<BTreeMap<String, Value>> {
        if let Some(known) = &*self.config.borrow() {
            return Ok(known.clone());
        }
        let found: Option<BTreeMap<String, Value>> = self.json("config-get", &["--format=json"])?;
        Ok(self
            .config
            .borrow_mut()
            .insert(found.unwrap_or_default())
            .clone())
    }

    /// Ids of an endpoint's relations.
    ///
    /// # Errors
    /// When Juju can't tell.
    pub fn relation_ids(&self, endpoint: &str) -> Result<Vec<String>> {
        if let Some(known) = self.ids.borrow().get(endpoint) {
            return Ok(known.clone());
        }
        let found: Option<Vec<String>> = self.json("relation-ids", &[endpoint, "--format=json"])?;
        let found = found.unwrap_or_default();
        self.ids
            .borrow_mut()
            .insert(endpoint.to_owned(), found.clone());
        Ok(found)
    }

    /// The other units of a relation.
    ///
    /// # Errors
    /// When Juju can't tell.
    pub fn relation_units(&self, relation: &str) -> Result<Vec<String>> {
        if let Some(known) = self.lists.borrow().get(relation) {
            return Ok(known.clone());
        }
        let args = ["-r", relation, "--format=json"];
        let found: Option<Vec<String>> = self.json("relation-list", &args)?;
        let found = found.unwrap_or_default();
        self.lists
            .borrow_mut()
            .insert(relation.to_owned(), found.clone());
        Ok(found)
    }

    /// A databag: `entity` is a unit (`app/0`) or an application. Own writes of this hook are in.
    ///
    /// # Errors
    /// [`Refusal::PermissionDenied`] for a bag that this unit may not see.
    pub fn relation_get(&self, relation: &str, entity: &str) -> Result<Bag> {
        let key = BagKey {
            relation: relation.to_owned(),
            entity: entity.to_owned(),
        };
        let mut bag = self.stored_bag(&key)?;
        if let Some(writes) = self.writes.borrow().get(&key) {
            for (name, value) in writes {
                if value.is_empty() {
                    bag.remove(name);
                } else {
                    bag.insert(name.clone(), value.clone());
                }
            }
        }
        Ok(bag)
    }

    fn stored_bag(&self, key: &BagKey) -> Result<Bag> {
        if let Some(known) = self.bags.borrow().get(key) {
            return Ok(known.clone());
        }
        let mut args = vec!["-r", &key.relation, "--format=json", "-", &key.entity];
        if !key.entity.contains('/') {
            args.push("--app");
        }
        let found: Option<Bag> = self.json("relation-get", &args)?;
        let found = found.unwrap_or_default();
        self.bags.borrow_mut().insert(key.clone(), found.clone());
        Ok(found)
    }

    /// Writes a key of an own bag, `entity` being this unit or its application; an empty value
    /// deletes. It is sent by [`Context::flush`].
    pub fn relation_set(&self, relation: &str, entity: &str, key: &str, value: &str) {
        let bag = BagKey {
            relation: relation.to_owned(),
            entity: entity.to_owned(),
        };
        let mut writes = self.writes.borrow_mut();
        writes
            .entry(bag)
            .or_default()
            .insert(key.to_owned(), value.to_owned());
    }

    /// Sends the writes to databags: one call a bag, with the keys that differ.
    ///
    /// # Errors
    /// [`Refusal::NotLeader`] where leadership is gone.
    pub fn flush(&self) -> Result<()> {
        let writes = std::mem::take(&mut *self.writes.borrow_mut());
        for (key, values) in writes {
            let stored = self.stored_bag(&key)?;
            let differs = |(name, value): &(String, String)| {
                stored.get(name).map_or("", String::as_str) != value
            };
            let changed: Bag = values.into_iter().filter(differs).collect();
            if changed.is_empty() {
                continue;
            }
            let mut args = vec!["-r", &key.relation, "--file", "-"];
            if !key.entity.contains('/') {
                args.push("--app");
            }
            self.call("relation-set", &args, Some(yaml_safe(&changed).as_bytes()))?;
            let mut bags = self.bags.borrow_mut();
            let bag = bags.entry(key).or_default();
            for (name, value) in changed {
                if value.is_empty() {
                    bag.remove(&name);
                } else {
                    bag.insert(name, value);
                }
            }
        }
        Ok(())
    }

    /// Sets the unit's status, if it differs.
    ///
    /// # Errors
    /// When Juju refuses.
    pub fn set_status(&self, status: &Status) -> Result<()> {
        #[derive(Deserialize)]
        struct Now {
            #[serde(default)]
            status: String,
            #[serde(default)]
            message: String,
        }
        let now: Now = self.json("status-get", &["--include-data", "--format=json"])?;
        if now.status == status.word.text() && now.message == status.message {
            return Ok(());
        }
        self.call(
            "status-set",
            &[status.word.text(), "--", &status.message],
            None,
        )
        .map(drop)
    }

    /// Sets the application's status, if it differs; for leaders.
    ///
    /// # Errors
    /// [`Refusal::NotLeader`].
    pub fn set_application_status(&self, status: &Status) -> Result<()> {
        let args = ["--application", "--include-data", "--format=json"];
        let now: Value = self.json("status-get", &args)?;
        let now = now.get("application-status").unwrap_or(&Value::Null);
        let text = |key: &str| now.get(key).and_then(Value::as_str).unwrap_or_default();
        if text("status") == status.word.text() && text("message") == status.message {
            return Ok(());
        }
        let args = ["--application", status.word.text(), "--", &status.message];
        self.call("status-set", &args, None).map(drop)
    }

    /// Tells the workload's version.
    ///
    /// # Errors
    /// When Juju refuses.
    pub fn set_workload_version(&self, version: &str) -> Result<()> {
        self.call("application-version-set", &["--", version], None)
            .map(drop)
    }

    /// Units and relations as they are wanted.
    ///
    /// # Errors
    /// When Juju can't tell.
    pub fn goal_state(&self) -> Result<GoalState> {
        self.json("goal-state", &["--format=json"])
    }

    /// A secret's content: the tracked revision, with `peek` the latest, with `refresh` the latest
    /// from now on. None where there is no such secret, or it may not be read.
    ///
    /// # Errors
    /// When Juju can't tell.
    pub fn secret_get(&self, key: SecretKey<'_>, mode: Read) -> Result<Option<SecretContent>> {
        let flag;
        let mut args = vec!["--format=json"];
        match key {
            SecretKey::Id(id) => args.push(id),
            SecretKey::Label(label) => {
                flag = format!("--label={label}");
                args.push(&flag);
            }
        }
        match mode {
            Read::Tracked => {}
            Read::Peek => args.push("--peek"),
            Read::Refresh => args.push("--refresh"),
        }
        let found: Result<BTreeMap<String, String>> = self.json("secret-get", &args);
        match found {
            Ok(map) => {
                let content = map
                    .into_iter()
                    .map(|(key, value)| (key, SecretString::from(value)));
                Ok(Some(SecretContent(content.collect())))
            }
            Err(error)
                if matches!(error.refusal, Refusal::NotFound | Refusal::PermissionDenied) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Makes a secret: its id.
    ///
    /// # Errors
    /// [`Refusal::NotLeader`] for an application's.
    pub fn secret_add(&self, content: &SecretContent, spec: &SecretSpec) -> Result<String> {
        let flags = spec.flags();
        let output = self.with_content("secret-add", content, &flags, None)?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Changes a secret's content; equal content makes no new revision.
    ///
    /// # Errors
    /// When it is not this unit's to change.
    pub fn secret_set(&self, id: &str, content: &SecretContent) -> Result<()> {
        self.with_content("secret-set", content, &[], Some(id))
            .map(drop)
    }

    /// What an owner knows of a secret; none where it owns none of that label.
    ///
    /// # Errors
    /// When Juju can't tell.
    pub fn secret_info(&self, label: &str) -> Result<Option<SecretInfo>> {
        let flag = format!("--label={label}");
        let found: Result<BTreeMap<String, SecretInfo>> =
            self.json("secret-info-get", &[&flag, "--format=json"]);
        match found {
            Ok(map) => Ok(map
                .into_iter()
                .next()
                .map(|(id, info)| SecretInfo { id, ..info })),
            Err(error) if error.refusal == Refusal::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Bare ids of the secrets that this unit, or as leader its application, owns.
    ///
    /// # Errors
    /// When Juju can't tell.
    pub fn secret_ids(&self) -> Result<Vec<String>> {
        Ok(self
            .json::<Option<Vec<String>>>("secret-ids", &["--format=json"])?
            .unwrap_or_default())
    }

    /// Lets the other end of a relation read a secret; one unit alone, if named.
    ///
    /// # Errors
    /// When Juju refuses.
    pub fn secret_grant(&self, id: &str, relation: &str, unit: Option<&str>) -> Result<()> {
        let mut args = vec![id, "-r", relation];
        if let Some(unit) = unit {
            args.extend(["--unit", unit]);
        }
        self.call("secret-grant", &args, None).map(drop)
    }

    /// Takes a grant back.
    ///
    /// # Errors
    /// When Juju refuses.
    pub fn secret_revoke(&self, id: &str, relation: &str) -> Result<()> {
        self.call("secret-revoke", &[id, "-r", relation], None)
            .map(drop)
    }

    /// Removes a secret, or one revision.
    ///
    /// # Errors
    /// When Juju refuses.
    pub fn secret_remove(&self, id: &str, revision: Option<u64>) -> Result<()> {
        let number = revision.map(|n| n.to_string());
        let mut args = vec![id];
        if let Some(number) = &number {
            args.extend(["--revision", number.as_str()]);
        }
        self.call("secret-remove", &args, None).map(drop)
    }

    /// Ports that are open, `5432/tcp`.
    ///
    /// # Errors
    /// When Juju can't tell.
    pub fn opened_ports(&self) -> Result<Vec<String>> {
        let found: Option<Vec<String>> = self.json("opened-ports", &["--format=json"])?;
        Ok(found.unwrap_or_default())
    }

    /// Opens a port, `5432/tcp`.
    ///
    /// # Errors
    /// When Juju refuses.
    pub fn open_port(&self, port: &str) -> Result<()> {
        self.call("open-port", &[port], None).map(drop)
    }

    /// Closes a port.
    ///
    /// # Errors
    /// When Juju refuses.
    pub fn close_port(&self, port: &str) -> Result<()> {
        self.call("close-port", &[port], None).map(drop)
    }

    /// Ids of the unit's storages, of one name if given.
    ///
    /// # Errors
    /// When Juju can't tell.
    pub fn storage_list(&self, name: Option<&str>) -> Result<Vec<String>> {
        let mut args = vec!["--format=json"];
        args.extend(name);
        Ok(self
            .json::<Option<Vec<String>>>("storage-list", &args)?
            .unwrap_or_default())
    }

    /// Where a storage is mounted.
    ///
    /// # Errors
    /// When Juju can't tell.
    pub fn storage_location(&self, id: &str) -> Result<String> {
        self.json("storage-get", &["-s", id, "--format=json", "location"])
    }

    /// Addresses of a binding, as the tool gives them.
    ///
    /// # Errors
    /// When Juju can't tell.
    pub fn network_get(&self, binding: &str) -> Result<Value> {
        self.json("network-get", &[binding, "--format=json"])
    }

    /// Path of a resource.
    ///
    /// # Errors
    /// When it can't be had.
    pub fn resource_get(&self, name: &str) -> Result<String> {
        let output = self.call("resource-get", &[name], None)?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// A key of the charm's state at the controller.
    ///
    /// # Errors
    /// When Juju can't tell.
    pub fn state_get(&self, key: &str) -> Result<Option<String>> {
        let found: Option<String> = self.json("state-get", &["--format=json", key])?;
        Ok(found.filter(|value| !value.is_empty()))
    }

    /// Sets keys of the charm's state at the controller.
    ///
    /// # Errors
    /// When Juju refuses.
    pub fn state_set(&self, values: &BTreeMap<String, String>) -> Result<()> {
        self.call(
            "state-set",
            &["--file", "-"],
            Some(yaml_safe(values).as_bytes()),
        )
        .map(drop)
    }

    /// Deletes a key of the charm's state at the controller.
    ///
    /// # Errors
    /// When Juju refuses.
    pub fn state_delete(&self, key: &str) -> Result<()> {
        self.call("state-delete", &[key], None).map(drop)
    }

    /// Parameters of the action.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] where they are not of that type; the text names the parameter.
    pub fn action_params<T: DeserializeOwned>(&self) -> Result<T> {
        self.json("action-get", &["--format=json"])
    }

    /// Results of the action.
    ///
    /// # Errors
    /// When Juju refuses.
    pub fn action_set(&self, results: &[(&str, &str)]) -> Result<()> {
        let pairs: Vec<String> = results
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let mut args = vec!["--"];
        args.extend(pairs.iter().map(String::as_str));
        self.call("action-set", &args, None).map(drop)
    }

    /// Fails the action with a message.
    ///
    /// # Errors
    /// When Juju refuses.
    pub fn action_fail(&self, message: &str) -> Result<()> {
        self.call("action-fail", &["--", message], None).map(drop)
    }

    /// A line of progress of the action.
    ///
    /// # Errors
    /// When Juju refuses.
    pub fn action_log(&self, message: &str) -> Result<()> {
        self.call("action-log", &["--", message], None).map(drop)
    }

    fn with_content(
        &self,
        tool: &'static str,
        content: &SecretContent,
        flags: &[String],
        id: Option<&str>,
    ) -> Result<Output> {
        let not_run = |error: std::io::Error| ToolError {
            tool,
            refusal: Refusal::NotRun,
            message: format!("cannot hand over the content: {error}"),
        };
        let file = ContentFile::new(content).map_err(not_run)?;
        let path = file.path().to_string_lossy().into_owned();
        let mut args: Vec<&str> = id.into_iter().collect();
        args.extend(["--file", &path]);
        args.extend(flags.iter().map(String::as_str));
        self.call(tool, &args, None)
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
}

/// Which revision is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// The one that was read first, or last refreshed to.
    Tracked,
    /// The latest, this once.
    Peek,
    /// The latest, from now on.
    Refresh,
}

/// JSON that Juju's YAML parser takes for what it is: control characters are escaped.
fn yaml_safe(values: &Bag) -> String {
    let json = Value::from_iter(values.clone()).to_string();
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if ('\u{7f}'..='\u{9f}').contains(&c) || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') {
            safe.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            safe.push(c);
        }
    }
    safe
}
