//! The example charm `tick`. All it does is in [`charm`]; here is only what starts it.

mod charm;

use std::process::ExitCode;

fn main() -> ExitCode {
    juju::main(charm::hook)
}
