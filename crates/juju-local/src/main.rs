//! `juju-local`: one binary for the command line, the controller, the unit agents, the hook tools
//! and the workload containers' Pebble; the name it is called by decides which.

use std::process::ExitCode;

fn main() -> ExitCode {
    juju_local::main()
}
