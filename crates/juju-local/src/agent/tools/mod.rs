//! The hook tools: their server, and what each of them does.

mod action;
mod format;
mod network;
mod output;
mod relation;
mod secret;
mod unit;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use juju_local_api::agent::{ActionTask, AgentRequest, Bag, HookChanges, UnitView};
use juju_local_api::transport::CallError;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, Notify};

use super::client::{Answer, Call};
use super::runner::Controller;
use super::scheduler::HookRelation;
use crate::juju::Juju;
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
    /// How often each tool was called.
    pub calls: BTreeMap<String, u32>,
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
            calls: BTreeMap::new(),
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

/// Tools that change something; the fault that kills a charm counts them.
const EFFECTS: &[&str] = &[
    "action-set",
    "application-version-set",
    "close-port",
    "leader-set",
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
        *self.context.calls.entry(tool.to_owned()).or_default() += 1;
        if EFFECTS.contains(&tool) {
            self.context.effects += 1;
            if self.context.view.kill_at_effect == Some(self.context.effects) {
                self.context.kill.notify_one();
            }
        }
        match tool {
            "is-leader" => self.is_leader().await,
            "leader-get" => self.leader_get().await,
            "leader-set" => self.leader_set().await,
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
            "juju-reboot" if self.context.action.is_some() => Err(Refusal::run(
                "juju-reboot is not supported when running an action.",
            )),
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

    /// The version of Juju that the model behaves like.
    fn juju(&self) -> Juju {
        Juju::of(&self.context.view.juju_version)
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
}
