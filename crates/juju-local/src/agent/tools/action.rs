//! The tools of actions.

use juju_local_api::agent::AgentRequest;
use serde_json::Value;

use super::output::{self, Print, Refusal, print};
use super::{Done, Tool};

impl Tool<'_> {
    pub(super) async fn action(&mut self) -> Done {
        let args = self.args(&[], &[])?;
        let Some(task) = self.context.action.clone() else {
            return Err(Refusal::run("not running an action"));
        };
        match self.call.tool.as_str() {
            "action-get" => {
                let found = match args.one(0) {
                    Some(path) => {
                        let mut keys = path.split('.');
                        keys.try_fold(&task.params, |at, key| at.get(key)).cloned()
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
}
