//! The hook tools' own program: passes its words on to the agent and prints what comes back.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// A tool's call.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Call {
    pub context: String,
    pub tool: String,
    pub args: Vec<String>,
    pub stdin: String,
}

/// What a tool prints.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub code: u8,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a hook tool.
#[must_use]
pub fn client_main(tool: &str, args: Vec<String>) -> ExitCode {
    match call(tool, args) {
        Ok(answer) => {
            print!("{}", answer.stdout);
            eprint!("{}", answer.stderr);
            let _ = std::io::stdout().flush();
            ExitCode::from(answer.code)
        }
        Err(text) => {
            eprintln!("ERROR {text}");
            ExitCode::FAILURE
        }
    }
}

fn call(tool: &str, args: Vec<String>) -> Result<Answer, String> {
    let context = std::env::var("JUJU_CONTEXT_ID").map_err(|_| "JUJU_CONTEXT_ID not set")?;
    let socket = std::env::var("JUJU_AGENT_SOCKET_ADDRESS")
        .map_err(|_| "JUJU_AGENT_SOCKET_ADDRESS not set")?;
    let mut stdin = String::new();
    // Only these read it, and only when asked to.
    if args.iter().any(|arg| arg == "-" || arg == "--file=-") && tool.ends_with("-set") {
        let mut bytes = Vec::new();
        std::io::stdin()
            .read_to_end(&mut bytes)
            .map_err(|error| error.to_string())?;
        stdin = STANDARD.encode(bytes);
    }
    let call = Call {
        context,
        tool: tool.to_owned(),
        args,
        stdin,
    };
    let mut line = serde_json::to_string(&call).map_err(|error| error.to_string())?;
    line.push('\n');
    let failed = |error: std::io::Error| format!("cannot reach the unit agent: {error}");
    let mut stream = UnixStream::connect(socket).map_err(failed)?;
    stream.write_all(line.as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    BufReader::new(stream)
        .read_line(&mut answer)
        .map_err(failed)?;
    serde_json::from_str(&answer).map_err(|error| format!("an odd answer of the agent: {error}"))
}
