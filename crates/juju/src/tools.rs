//! The hook tools as they are called.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::refusals::Refusal;

/// What a tool printed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

/// Runs hook tools. The one implementation starts processes, the other is a test's.
pub trait HookTools {
    /// Runs a tool to its end.
    ///
    /// # Errors
    /// When it can't be run at all.
    fn run(&self, tool: &str, args: &[&str], stdin: Option<&[u8]>) -> std::io::Result<Output>;
}

/// The tools that Juju puts into the hook's `PATH`.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessTools;

impl HookTools for ProcessTools {
    fn run(&self, tool: &str, args: &[&str], stdin: Option<&[u8]>) -> std::io::Result<Output> {
        let mut child = Command::new(tool)
            .args(args)
            .stdin(if stdin.is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        if let (Some(bytes), Some(mut pipe)) = (stdin, child.stdin.take()) {
            // A tool that refuses its arguments does not read; its exit code tells.
            let _ = pipe.write_all(bytes);
        }
        let output = child.wait_with_output()?;
        let code = output.status.code().unwrap_or(-1);
        Ok(Output {
            code,
            stdout: output.stdout,
            stderr: output.stderr,
        })
    }
}

/// A hook tool refused or failed.
#[derive(Debug, thiserror::Error)]
#[error("{tool}: {message}")]
pub struct ToolError {
    /// The tool.
    pub tool: &'static str,
    /// What it means.
    pub refusal: Refusal,
    /// Juju's words.
    pub message: String,
}

impl ToolError {
    pub(crate) fn refused(tool: &'static str, output: &Output) -> Self {
        let text = String::from_utf8_lossy(&output.stderr);
        let message = text.trim().trim_start_matches("ERROR ").to_owned();
        let refusal = Refusal::of(&message, output.code);
        Self {
            tool,
            refusal,
            message,
        }
    }

    pub(crate) fn malformed(tool: &'static str, why: impl std::fmt::Display) -> Self {
        Self {
            tool,
            refusal: Refusal::Malformed,
            message: format!("an odd answer: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_gets_its_input_and_gives_its_output() {
        let output = ProcessTools.run("cat", &[], Some(b"x=1")).unwrap();
        assert_eq!(
            (output.code, output.stdout.as_slice()),
            (0, b"x=1".as_slice())
        );
        assert!(ProcessTools.run("no-such-tool-here", &[], None).is_err());
    }

    #[test]
    fn jujus_words_are_kept() {
        let output = Output {
            code: 2,
            stderr: b"ERROR invalid value \"db:9\": relation not found\n".to_vec(),
            ..Output::default()
        };
        let error = ToolError::refused("relation-get", &output);
        assert_eq!(error.refusal, Refusal::RelationNotFound);
        assert_eq!(error.message, "invalid value \"db:9\": relation not found");
    }
}
