//! `pebble`, the first process of a workload container.

use std::process::ExitCode;

fn main() -> ExitCode {
    pebble_server::main_from_args(std::env::args_os().collect())
}
