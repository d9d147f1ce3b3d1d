//! Why a command failed, in the words and with the exit code that `juju` would use.

use std::path::PathBuf;

use juju_local_api::transport::CallError;

/// A failed command.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The command line is wrong: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// Something that the person has to know, in its own words.
    #[error("{0}")]
    Message(String),
    /// No controller answers in this home.
    #[error("no controller is running in {home}\n\nStart one with \"juju-local bootstrap\".")]
    NoController {
        /// The home looked at.
        home: PathBuf,
    },
    /// No model was named and none is current.
    #[error(
        "No model in focus.\n\nPlease use \"juju-local models\" to see models available to you.\n\
         You can set current model by running \"juju-local switch\"\nor specify any other model \
         on the command line using the \"-m\" option."
    )]
    NoModel,
    /// The controller refused or went away.
    #[error(transparent)]
    Call(CallError),
    /// A file could not be read or written.
    #[error("cannot {action} {path}")]
    File {
        /// `read`, `write`, ...
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file's contents are not what they should be.
    #[error("cannot understand {path}")]
    Yaml {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_yaml::Error,
    },
    /// A program could not be started.
    #[error("cannot run {program:?}")]
    Program {
        /// Its name.
        program: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Standard output is gone or full.
    #[error("cannot write the output")]
    Output(#[source] std::io::Error),
    /// A value of the controller could not be written in the asked format.
    #[error("cannot format the output")]
    Format(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Ends with this code and without a word: it has all been said, as by a remote command.
    #[error("exit code {0}")]
    Exit(u8),
}

impl CliError {
    /// A message of its own.
    pub fn message(text: impl Into<String>) -> Self {
        Self::Message(text.into())
    }

    /// A wrong command line.
    pub fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    /// The process's exit code for it.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Exit(code) => *code,
            _ => 1,
        }
    }

    /// What to print behind `ERROR `: the message and its causes, `: ` between.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        if let Self::Exit(_) = self {
            return None;
        }
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        Some(text)
    }
}
