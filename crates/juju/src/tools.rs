//! The hook tools as they are called, and what their refusals mean.

use std::io::Write;
use std::process::{Command, Stdio};

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

/// What a refusal means, as far as charms decide on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The relation is unknown, or gone.
    RelationNotFound,
    /// A secret, a unit, a key is not there.
    NotFound,
    /// Not visible to this unit.
    PermissionDenied,
    /// Only for leaders.
    NotLeader,
    /// The call itself is wrong: a defect of the charm.
    Usage,
    /// Anything else.
    Other,
    /// The tool did not run.
    NotRun,
    /// It gave an answer that makes no sense.
    Malformed,
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
        let has = |part: &str| message.contains(part);
        let refusal = if has("relation not found") {
            Refusal::RelationNotFound
        } else if has("permission denied") {
            Refusal::PermissionDenied
        } else if has("not the leader") || has("cannot write relation settings") {
            Refusal::NotLeader
        } else if has("not found") {
            Refusal::NotFound
        } else if output.code == 2 {
            Refusal::Usage
        } else {
            Refusal::Other
        };
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
    fn refusals_are_told_by_jujus_words() {
        let refusal = |code, text: &str| {
            let output = Output {
                code,
                stderr: text.as_bytes().to_vec(),
                ..Output::default()
            };
            ToolError::refused("x", &output).refusal
        };
        assert_eq!(
            refusal(2, "ERROR invalid value \"db:9\": relation not found"),
            Refusal::RelationNotFound
        );
        assert_eq!(
            refusal(1, "ERROR permission denied (unauthorized access)"),
            Refusal::PermissionDenied
        );
        assert_eq!(
            refusal(1, "ERROR cannot write relation settings"),
            Refusal::NotLeader
        );
        assert_eq!(
            refusal(1, "ERROR secret \"x\" not found"),
            Refusal::NotFound
        );
        assert_eq!(refusal(2, "ERROR unrecognized args"), Refusal::Usage);
    }
}
