//! Which controller and which model a command talks to, and what the CLI remembers between
//! commands.

use std::collections::BTreeMap;
use std::io::{BufRead, IsTerminal, Write};
use std::time::Duration;

use juju_local_api::Request;
use juju_local_api::transport::{CallError, Client, Stream};
use juju_local_api::user::{ModelRequest, UserRequest};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::args::ModelArg;
use super::error::CliError;
use crate::home::Home;

/// Longest wait for an answer that the controller has at once.
pub const QUICK: Duration = Duration::from_mins(1);

/// What the CLI remembers in its home.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct ClientState {
    /// The model in focus.
    pub current_model: Option<String>,
    /// Default constraints by model.
    pub model_constraints: BTreeMap<String, BTreeMap<String, String>>,
}

/// What the controller says of itself.
#[derive(Debug, Clone, Deserialize)]
pub struct ControllerInfo {
    /// Name.
    pub name: String,
    /// UUID.
    #[serde(default)]
    pub uuid: String,
    /// Version of Juju that its models behave like.
    #[serde(default)]
    pub version: String,
    /// Process id of the daemon.
    #[serde(default)]
    pub pid: i32,
    /// URL of the real kube-apiserver, if it is not the embedded one.
    #[serde(default)]
    pub kubernetes: Option<String>,
}

/// One run of the CLI.
#[derive(Debug, Clone)]
pub struct Session {
    /// The home in use.
    pub home: Home,
    /// No informational output.
    pub quiet: bool,
    client: Client,
}

/// A model reference, `[controller:][owner/]model`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelRef {
    /// Controller, if named.
    pub controller: Option<String>,
    /// Bare model name.
    pub model: String,
}

impl ModelRef {
    /// Takes a reference apart. The only owner there is is `admin`.
    ///
    /// # Errors
    /// When another owner is named or the model name is empty.
    pub fn parse(text: &str) -> Result<Self, CliError> {
        let (controller, rest) = match text.split_once(':') {
            Some((controller, rest)) => (Some(controller.to_owned()), rest),
            None => (None, text),
        };
        let model = match rest.split_once('/') {
            Some(("admin", model)) => model,
            Some((owner, model)) => {
                return Err(CliError::message(format!(
                    "model {owner}/{model} not found"
                )));
            }
            None => rest,
        };
        if model.is_empty() && controller.is_none() {
            return Err(CliError::usage(format!(
                "{text:?} is not a valid model name"
            )));
        }
        Ok(Self {
            controller,
            model: model.to_owned(),
        })
    }
}

impl Session {
    /// A session of the controller in `home`.
    #[must_use]
    pub fn new(home: Home, quiet: bool) -> Self {
        let client = Client::new(home.user_socket());
        Self {
            home,
            quiet,
            client,
        }
    }

    /// Prints information for the person, on standard error as `juju` does.
    pub fn info(&self, text: impl std::fmt::Display) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }

    /// Asks the controller.
    ///
    /// # Errors
    /// When it cannot be reached, does not answer within `limit`, or refuses.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        request: UserRequest,
        limit: Duration,
    ) -> Result<T, CliError> {
        let request = Request::User(Box::new(request));
        self.client
            .call(&request, limit)
            .await
            .map_err(|error| self.explain(error))
    }

    /// Asks the controller for an answer in parts.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn open(&self, request: UserRequest) -> Result<Stream, CliError> {
        let request = Request::User(Box::new(request));
        self.client
            .open(&request)
            .await
            .map_err(|error| self.explain(error))
    }

    /// The next part of an answer.
    ///
    /// # Errors
    /// When the connection breaks or the controller refuses.
    pub async fn next(
        &self,
        stream: &mut Stream,
    ) -> Result<juju_local_api::transport::Item, CliError> {
        stream.next().await.map_err(|error| self.explain(error))
    }

    fn explain(&self, error: CallError) -> CliError {
        match error {
            CallError::Unreachable { .. } => CliError::NoController {
                home: self.home.path().to_path_buf(),
            },
            other => CliError::Call(other),
        }
    }

    /// The controller's account of itself.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub async fn controller(&self) -> Result<ControllerInfo, CliError> {
        self.ask(UserRequest::ControllerInfo, Duration::from_secs(10))
            .await
    }

    /// The model meant by `-m`, `$JUJU_MODEL` or the current one, in this order.
    ///
    /// # Errors
    /// When none is, or it is one of another controller.
    pub async fn model(&self, arg: &ModelArg) -> Result<Model, CliError> {
        self.model_named(arg.model.as_deref()).await
    }

    /// As [`Session::model`], from a name that was given in another place.
    ///
    /// # Errors
    /// As [`Session::model`].
    pub async fn model_named(&self, name: Option<&str>) -> Result<Model, CliError> {
        let from_env = std::env::var("JUJU_MODEL")
            .ok()
            .filter(|name| !name.is_empty());
        let name = match name.map(str::to_owned).or(from_env) {
            Some(name) => name,
            None => self.state()?.current_model.ok_or(CliError::NoModel)?,
        };
        let reference = ModelRef::parse(&name)?;
        self.check_controller(reference.controller.as_deref())
            .await?;
        let model = match reference.model {
            empty if empty.is_empty() => self.state()?.current_model.ok_or(CliError::NoModel)?,
            model => model,
        };
        Ok(Model {
            session: self.clone(),
            name: model,
        })
    }

    /// Refuses the name of a controller other than the running one.
    ///
    /// # Errors
    /// When it is another one, or the running one cannot be asked.
    pub async fn check_controller(&self, name: Option<&str>) -> Result<(), CliError> {
        let Some(name) = name else { return Ok(()) };
        let running = self.controller().await?.name;
        if running == name {
            return Ok(());
        }
        Err(CliError::message(format!("controller {name} not found")))
    }

    /// What the CLI remembers.
    ///
    /// # Errors
    /// When the file is there but cannot be read.
    pub fn state(&self) -> Result<ClientState, CliError> {
        let path = self.home.client_state();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(ClientState::default());
            }
            Err(source) => {
                return Err(CliError::File {
                    action: "read",
                    path,
                    source,
                });
            }
        };
        serde_yaml::from_str(&text).map_err(|source| CliError::Yaml { path, source })
    }

    /// Changes what the CLI remembers. The file is replaced in one step, so that a reader sees
    /// the old or the new one.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn remember(&self, change: impl FnOnce(&mut ClientState)) -> Result<(), CliError> {
        let mut state = self.state()?;
        change(&mut state);
        let path = self.home.client_state();
        let failed = |source| CliError::File {
            action: "write",
            path: path.clone(),
            source,
        };
        let text = serde_json::to_string(&state).map_err(|error| failed(error.into()))?;
        let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
        std::fs::create_dir_all(self.home.path()).map_err(failed)?;
        std::fs::write(&temporary, text).map_err(failed)?;
        std::fs::rename(&temporary, &path).map_err(failed)
    }
}

/// A model to ask things of.
#[derive(Debug, Clone)]
pub struct Model {
    /// The session.
    pub session: Session,
    /// Bare name.
    pub name: String,
}

impl Model {
    /// Wraps a request for this model.
    #[must_use]
    pub fn request(&self, request: ModelRequest) -> UserRequest {
        UserRequest::Model {
            model: self.name.clone(),
            request,
        }
    }

    /// Asks something that is answered at once.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub async fn ask<T: DeserializeOwned>(&self, request: ModelRequest) -> Result<T, CliError> {
        self.session.ask(self.request(request), QUICK).await
    }

    /// Asks for something to be done; its value is of no interest.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub async fn tell(&self, request: ModelRequest) -> Result<(), CliError> {
        self.ask::<serde_json::Value>(request).await.map(drop)
    }

    /// Asks for an answer in parts.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub async fn open(&self, request: ModelRequest) -> Result<Stream, CliError> {
        self.session.open(self.request(request)).await
    }
}

/// Asks a yes-or-no question on standard error; anything but yes, and the end of input, is no.
///
/// # Errors
/// When standard input cannot be read, or the answer is no.
pub fn confirm(question: &str) -> Result<(), CliError> {
    eprint!("{question} [y/N]? ");
    let answer = read_line()?;
    if matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(CliError::message("aborted"))
}

/// Asks for a name to be typed, as `juju` does before it destroys something big.
///
/// # Errors
/// When standard input cannot be read, or another word is typed.
pub fn confirm_name(warning: &str, what: &str, name: &str) -> Result<(), CliError> {
    eprint!("{warning}\n\nTo continue, enter the name of the {what} to be destroyed: ");
    if read_line()? == name {
        return Ok(());
    }
    Err(CliError::message(format!("{what} destruction: aborted")))
}

fn read_line() -> Result<String, CliError> {
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    if !std::io::stdin().is_terminal() {
        eprintln!();
    }
    read.map_err(|source| CliError::File {
        action: "read",
        path: "standard input".into(),
        source,
    })?;
    Ok(answer.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_references_are_taken_apart() {
        let parse = |text| ModelRef::parse(text).unwrap();
        assert_eq!(
            parse("m"),
            ModelRef {
                controller: None,
                model: "m".into()
            }
        );
        assert_eq!(
            parse("c:m"),
            ModelRef {
                controller: Some("c".into()),
                model: "m".into()
            }
        );
        assert_eq!(parse("c:admin/m").model, "m");
        assert_eq!(parse("admin/m").model, "m");
        assert_eq!(parse("c:").model, "");
        assert!(ModelRef::parse("bob/m").is_err());
        assert!(ModelRef::parse("").is_err());
    }

    #[test]
    fn what_is_remembered_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let session = Session::new(Home::new(folder.path()), false);
        assert_eq!(session.state().unwrap(), ClientState::default());
        session
            .remember(|state| state.current_model = Some("m".into()))
            .unwrap();
        assert_eq!(session.state().unwrap().current_model.as_deref(), Some("m"));
    }
}
