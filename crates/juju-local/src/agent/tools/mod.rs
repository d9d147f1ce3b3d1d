//! The hook tools: their server, and what each of them does.

mod format;
mod output;
mod relation;
mod secret;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use juju_local_api::agent::{ActionTask, AgentRequest, Bag, HookChanges, UnitView};
use juju_local_api::transport::CallError;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, Notify};

use super::client::{Answer, Call};
use super::runner::Controller;
use super::scheduler::HookRelation;
use format::Args;
pub(super) use output::Refusal;
use output::{Print, print};

/// What a hook has read and written so far.
pub(crate) struct HookContext {
    pub id: String,
    pub name: String,
    pub view: UnitView,
    pub relation: Option<HookRelation>,
    pub changes: HookChanges,
    pub action: Option<ActionTask>,
    pub results: Value,
    pub failed: Option<String>,
    pub kill: Arc<Notify>,
    pub bags: BTreeMap<(u32, String), Bag>,
    /// Units of each relation whose joined hook has run.
    pub members: BTreeMap<u32, BTreeSet<String>>,
    effects: u32,
    not_leader: bool,
}

impl HookContext {
    pub(crate) fn new(
        id: String,
        name: String,
        view: UnitView,
        relation: Option<HookRelation>,
    ) -> Self {
        let changes = HookChanges {
            hook: name.clone(),
            ..HookChanges::default()
        };
        Self {
            id,
            name,
            view,
            relation,
            changes,
            action: None,
            results: json!({}),
            failed: None,
            kill: Arc::default(),
            bags: BTreeMap::new(),
            members: BTreeMap::new(),
            effects: 0,
            not_leader: false,
        }
    }
}

/// Listens for hook tools until the process ends.
pub(crate) fn serve(
    path: &Path,
    controller: Arc<Controller>,
    context: Arc<Mutex<Option<HookContext>>>,
) -> std::io::Result<()> {
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path)?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (controller, context) = (controller.clone(), context.clone());
            tokio::spawn(async move {
                let _ = converse(stream, &controller, &context).await;
            });
        }
    });
    Ok(())
}

async fn converse(
    stream: UnixStream,
    controller: &Controller,
    context: &Mutex<Option<HookContext>>,
) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    BufReader::new(read).read_line(&mut line).await?;
    let answer = match serde_json::from_str::<Call>(&line) {
        Err(error) => failed(1, &error.to_string()),
        Ok(call) => {
            let mut context = context.lock().await;
            match context
                .as_mut()
                .filter(|context| context.id == call.context)
            {
                None => failed(
                    1,
                    &format!("bad request: no context \"{}\" runs", call.context),
                ),
                Some(context) => match (Tool {
                    controller,
                    context,
                    call: &call,
                })
                .run()
                .await
                {
                    Ok(stdout) => Answer {
                        code: 0,
                        stdout,
                        stderr: String::new(),
                    },
                    Err(refusal) => failed(refusal.code, &refusal.text),
                },
            }
        }
    };
    let mut text = serde_json::to_string(&answer).unwrap_or_default();
    text.push('\n');
    write.write_all(text.as_bytes()).await
}

fn failed(code: u8, text: &str) -> Answer {
    Answer {
        code,
        stdout: String::new(),
        stderr: format!("ERROR {text}\n"),
    }
}

type Done = Result<String, Refusal>;

/// One call of a tool.
pub(super) struct Tool<'a> {
    controller: &'a Controller,
    context: &'a mut HookContext,
    call: &'a Call,
}

/// Juju sorts ports by protocol, then by number.
fn by_protocol(port: &str) -> (String, u32) {
    let (number, protocol) = port.split_once('/').unwrap_or((port, ""));
    (protocol.to_owned(), number.parse().unwrap_or_default())
}

/// Tools that change something; the fault that kills a charm counts them.
const EFFECTS: &[&str] = &[
    "action-set",
    "application-version-set",
    "close-port",
    "open-port",
    "relation-set",
    "secret-add",
    "secret-grant",
    "secret-remove",
    "secret-revoke",
    "secret-set",
    "state-delete",
    "state-set",
    "status-set",
];

impl Tool<'_> {
    async fn run(&mut self) -> Done {
        let tool = self.call.tool.as_str();
        if EFFECTS.contains(&tool) {
            self.context.effects += 1;
            if self.context.view.kill_at_effect == Some(self.context.effects) {
                self.context.kill.notify_one();
            }
        }
        match tool {
            "is-leader" => self.is_leader().await,
            "relation-ids" => self.relation_ids(),
            "relation-list" => self.relation_list(),
            "relation-get" => self.relation_get().await,
            "relation-set" => self.relation_set().await,
            "relation-model-get" => self.relation_model(),
            "config-get" => self.config_get(),
            "status-get" => self.status_get().await,
            "status-set" => self.status_set().await,
            "application-version-set" => self.version_set().await,
            "action-get" | "action-set" | "action-fail" | "action-log" => self.action().await,
            "secret-add" | "secret-set" => self.secret_write().await,
            "secret-get" => self.secret_get().await,
            "secret-info-get" => self.secret_info().await,
            "secret-ids" => self.secret_ids().await,
            "secret-grant" | "secret-revoke" => self.secret_grant(),
            "secret-remove" => self.secret_remove(),
            "state-get" => self.state_get(),
            "state-set" => self.state_set(),
            "state-delete" => self.state_delete(),
            "storage-list" | "storage-get" | "storage-add" => self.storage(),
            "open-port" | "close-port" => self.port(),
            "opened-ports" => self.opened_ports(),
            "network-get" | "unit-get" => self.network().await,
            "goal-state" => {
                let args = self.args(&[], &[])?;
                print(
                    &args,
                    Print::Yaml,
                    &self.ask::<Value>(AgentRequest::GoalState).await?,
                )
            }
            "resource-get" => {
                let args = self.args(&[], &[])?;
                let name = args
                    .one(0)
                    .ok_or_else(|| Refusal::usage("no resource name specified"))?;
                self.resource(name).await
            }
            "credential-get" => {
                let args = self.args(&[], &[])?;
                print(
                    &args,
                    Print::Smart,
                    &self.ask::<Value>(AgentRequest::Credential).await?,
                )
            }
            "juju-log" => self.log().await,
            "juju-reboot" => Ok(String::new()),
            other => Err(Refusal::run(format!(
                "bad request: unknown command: {other}"
            ))),
        }
    }

    /// The words of the call: flags with a value, flags without, and the rest. Those of output are
    /// known everywhere.
    fn args(&self, valued: &[&str], plain: &[&str]) -> Result<Args, Refusal> {
        Args::parse(&self.call.args, valued, plain)
    }

    fn stdin(&self) -> Vec<u8> {
        STANDARD.decode(&self.call.stdin).unwrap_or_default()
    }

    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        request: AgentRequest,
    ) -> Result<T, Refusal> {
        let answer = self
            .controller
            .ask(request, std::time::Duration::from_secs(10))
            .await;
        answer.map_err(|error| match error {
            CallError::Api(error) => Refusal::run(error.message),
            other => Refusal::run(other.to_string()),
        })
    }

    /// Leadership: a "no" holds for the rest of the hook, a "yes" is asked for each time.
    async fn leads(&mut self) -> Result<bool, Refusal> {
        if self.context.not_leader {
            return Ok(false);
        }
        let leads = self.ask::<bool>(AgentRequest::IsLeader).await?;
        self.context.not_leader = !leads;
        Ok(leads)
    }

    async fn is_leader(&mut self) -> Done {
        let args = self.args(&[], &[])?;
        let leads = self.leads().await?;
        print(&args, Print::Smart, &json!(leads))
    }

    fn config_get(&self) -> Done {
        let args = self.args(&[], &["a", "all"])?;
        let view = &self.context.view;
        let value = match args.one(0) {
            Some(key) => view.config.get(key).cloned().unwrap_or(Value::Null),
            None => {
                let mut map: Map<String, Value> = view.config.clone().into_iter().collect();
                if args.has("all") || args.has("a") {
                    map.extend(
                        view.config_unset
                            .iter()
                            .map(|key| (key.clone(), Value::Null)),
                    );
                }
                Value::Object(map)
            }
        };
        print(&args, Print::Smart, &value)
    }

    async fn status_get(&self) -> Done {
        let args = self.args(&[], &["include-data", "application"])?;
        if args.has("application") {
            let value: Value = self.ask(AgentRequest::ApplicationStatus).await?;
            return print(&args, Print::Smart, &value);
        }
        let (word, message) = &self.context.view.unit_status;
        let full = json!({"message": message, "status": word, "status-data": {}});
        if args.has("include-data") {
            return print(&args, Print::Smart, &full);
        }
        let plain = json!({"status": word});
        let smart = args.flag("format").is_none_or(|format| format == "smart");
        print(
            &args,
            Print::Smart,
            if smart {
                plain.get("status").unwrap_or(&plain)
            } else {
                &plain
            },
        )
    }

    async fn status_set(&mut self) -> Done {
        let args = self.args(&[], &["application"])?;
        let word = args.one(0).unwrap_or_default().to_owned();
        if !["maintenance", "blocked", "waiting", "active"].contains(&word.as_str()) {
            return Err(Refusal::usage(format!(
                "invalid status \"{word}\", expected one of [maintenance blocked waiting active]"
            )));
        }
        let message = args.rest(1).join(" ");
        let application = args.has("application");
        let request = AgentRequest::SetStatus {
            application,
            status: word.clone(),
            message: message.clone(),
        };
        self.ask::<Value>(request).await?;
        if !application {
            self.context.view.unit_status = (word, message);
        }
        Ok(String::new())
    }

    async fn version_set(&self) -> Done {
        let args = self.args(&[], &[])?;
        let version = args
            .one(0)
            .ok_or_else(|| Refusal::usage("no version specified"))?
            .to_owned();
        self.ask::<Value>(AgentRequest::SetWorkloadVersion(version))
            .await?;
        Ok(String::new())
    }

    async fn action(&mut self) -> Done {
        let args = self.args(&[], &[])?;
        let Some(task) = self.context.action.clone() else {
            return Err(Refusal::run("not running an action"));
        };
        match self.call.tool.as_str() {
            "action-get" => {
                let found = match args.one(0) {
                    Some(path) => {
                        let keys = path.split('.');
                        keys.fold(Some(&task.params), |at, key| at?.get(key))
                            .cloned()
                    }
                    None => Some(task.params.clone()),
                };
                print(&args, Print::Smart, &found.unwrap_or(Value::Null))
            }
            "action-set" => {
                for pair in args.rest(0) {
                    let Some((path, value)) = pair.split_once('=') else {
                        return Err(Refusal::usage(format!(
                            "argument \"{pair}\" must be of the form key...=value"
                        )));
                    };
                    output::set_result(&mut self.context.results, path, value)?;
                }
                Ok(String::new())
            }
            "action-fail" => {
                let text = args.rest(0).join(" ");
                let default = "action failed without reason given, check action for errors";
                self.context.failed = Some(if text.is_empty() {
                    default.to_owned()
                } else {
                    text
                });
                Ok(String::new())
            }
            _ => {
                let message = args.rest(0).join(" ");
                self.ask::<Value>(AgentRequest::ActionLog {
                    id: task.id,
                    message,
                })
                .await?;
                Ok(String::new())
            }
        }
    }

    fn state_get(&self) -> Done {
        let args = self.args(&[], &["strict"])?;
        let mut state = self.context.view.charm_state.clone();
        for (key, value) in &self.context.changes.state {
            match value {
                Some(value) => drop(state.insert(key.clone(), value.clone())),
                None => drop(state.remove(key)),
            }
        }
        match args.one(0).filter(|key| *key != "-") {
            None => print(&args, Print::Smart, &json!(state)),
            Some(key) => match state.get(key) {
                Some(value) => print(&args, Print::Smart, &json!(value)),
                None if args.has("strict") => Err(Refusal::run(format!("\"{key}\" not found"))),
                None => print(&args, Print::Smart, &json!("")),
            },
        }
    }

    fn state_set(&mut self) -> Done {
        let args = self.args(&["file"], &[])?;
        let values = format::pairs(&args, 0, &self.stdin())?;
        for (key, value) in values {
            self.context.changes.state.insert(key, Some(value));
        }
        Ok(String::new())
    }

    fn state_delete(&mut self) -> Done {
        let args = self.args(&[], &[])?;
        let key = args.one(0).unwrap_or_default().to_owned();
        self.context.changes.state.insert(key, None);
        Ok(String::new())
    }

    fn storage(&self) -> Done {
        let args = self.args(&["s"], &[])?;
        let all = &self.context.view.storage;
        match self.call.tool.as_str() {
            "storage-list" => {
                let name = args.one(0);
                let ids: Vec<&str> = all
                    .iter()
                    .map(|storage| storage.id.as_str())
                    .filter(|id| name.is_none_or(|name| id.split('/').next() == Some(name)))
                    .collect();
                print(&args, Print::Smart, &json!(ids))
            }
            "storage-get" => {
                let id = args
                    .flag("s")
                    .ok_or_else(|| Refusal::usage("no storage instance specified"))?;
                let storage = all.iter().find(|storage| storage.id == id).ok_or_else(|| {
                    Refusal::usage(format!(
                        "invalid value \"{id}\" for option -s: storage not found"
                    ))
                })?;
                let whole = json!({"kind": storage.kind, "location": storage.location});
                let value = match args.one(0) {
                    None => whole,
                    Some(key) => whole.get(key).cloned().ok_or_else(|| {
                        Refusal::run(format!("invalid storage attribute \"{key}\""))
                    })?,
                };
                print(&args, Print::Smart, &value)
            }
            _ => Err(Refusal::run(
                "storage cannot be added to a running unit in the local model",
            )),
        }
    }

    fn port(&mut self) -> Done {
        let args = self.args(&["endpoints"], &[])?;
        let text = args.one(0).unwrap_or_default().to_lowercase();
        let (number, protocol) = text.split_once('/').unwrap_or((&text, "tcp"));
        if !["tcp", "udp", "icmp"].contains(&protocol) {
            return Err(Refusal::usage(format!(
                "invalid protocol \"{protocol}\", expected \"tcp\", \"udp\", or \"icmp\""
            )));
        }
        if number.contains('-') {
            return Err(Refusal::run(
                "port ranges are not supported for k8s applications, please specify a single port",
            ));
        }
        let port = format!("{number}/{protocol}");
        let (to, from) = if self.call.tool == "open-port" {
            (
                &mut self.context.changes.open_ports,
                &mut self.context.changes.close_ports,
            )
        } else {
            (
                &mut self.context.changes.close_ports,
                &mut self.context.changes.open_ports,
            )
        };
        from.retain(|known| *known != port);
        if !to.contains(&port) {
            to.push(port);
        }
        Ok(String::new())
    }

    fn opened_ports(&self) -> Done {
        let args = self.args(&[], &["endpoints"])?;
        let changes = &self.context.changes;
        let mut ports: Vec<String> = self.context.view.opened_ports.clone();
        ports.extend(changes.open_ports.iter().cloned());
        ports.retain(|port| !changes.close_ports.contains(port));
        ports.sort_by_key(|port| by_protocol(port));
        ports.dedup();
        if args.has("endpoints") {
            ports = ports
                .into_iter()
                .map(|port| format!("{port} (*)"))
                .collect();
        }
        print(&args, Print::Smart, &json!(ports))
    }

    async fn network(&self) -> Done {
        let selectors = [
            "bind-address",
            "ingress-address",
            "egress-subnets",
            "primary-address",
        ];
        let args = self.args(&["r", "relation"], &selectors)?;
        if self.call.tool == "unit-get" {
            return print(&args, Print::Smart, &json!(self.context.view.address));
        }
        let binding = args
            .one(0)
            .ok_or_else(|| Refusal::usage("no arguments specified"))?
            .to_owned();
        let whole: Value = self
            .ask(AgentRequest::NetworkInfo {
                binding,
                relation: None,
            })
            .await?;
        let bind = whole
            .pointer("/bind-addresses/0/addresses/0/value")
            .cloned();
        let picked: Vec<(&str, Value)> = selectors
            .into_iter()
            .filter(|name| args.has(name))
            .map(|name| {
                let value = match name {
                    "ingress-address" => whole.pointer("/ingress-addresses/0").cloned(),
                    "egress-subnets" => whole.get("egress-subnets").cloned(),
                    _ => bind.clone(),
                };
                (name, value.unwrap_or(Value::Null))
            })
            .collect();
        match picked.as_slice() {
            [] => print(&args, Print::Smart, &whole),
            [(_, one)] => print(&args, Print::Smart, one),
            many => {
                let map: Map<String, Value> = many
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), value.clone()))
                    .collect();
                print(&args, Print::Smart, &Value::Object(map))
            }
        }
    }

    /// Puts a resource where Juju has it, and tells where that is.
    async fn resource(&self, name: &str) -> Done {
        let kept: String = self.ask(AgentRequest::Resource(name.to_owned())).await?;
        let failed =
            |error: std::io::Error| Refusal::run(format!("could not download resource: {error}"));
        let agent = super::Layout::of(&self.controller.unit).charm;
        let folder = agent.with_file_name("resources").join(name);
        let path = folder.join(Path::new(&kept).file_name().unwrap_or_default());
        std::fs::create_dir_all(&folder).map_err(failed)?;
        std::fs::copy(&kept, &path).map_err(failed)?;
        Ok(path.to_string_lossy().into_owned())
    }

    async fn log(&self) -> Done {
        let args = self.args(&["l", "log-level"], &["debug"])?;
        let level = args
            .flag("log-level")
            .or(args.flag("l"))
            .unwrap_or("INFO")
            .to_uppercase();
        let level = if level == "WARN" {
            "WARNING".to_owned()
        } else {
            level
        };
        let mut message = args.rest(0).join(" ");
        if message.is_empty() {
            return Err(Refusal::usage("no message specified"));
        }
        if let Some(relation) = &self.context.relation {
            message = format!("{}:{}: {message}", relation.endpoint, relation.id);
        }
        let module = format!("unit.{}.juju-log", self.controller.unit);
        self.controller.log(&level, &module, message).await;
        Ok(String::new())
    }
}
