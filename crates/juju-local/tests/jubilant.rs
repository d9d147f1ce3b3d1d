//! Runs `jubilant.py`: juju-local, driven by the library that charm authors drive Juju with.

use std::process::Command;

/// What the script ends with when something that it needs is missing.
const SKIPPED: i32 = 77;

/// A Python with jubilant: `$JUJU_LOCAL_TEST_PYTHON`, or the one of the machine.
fn python() -> String {
    std::env::var("JUJU_LOCAL_TEST_PYTHON").unwrap_or_else(|_| "python3".into())
}

#[test]
fn jubilant_finds_juju_as_it_knows_it() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/jubilant.py");
    let done = Command::new(python())
        .arg(script)
        .arg(env!("CARGO_BIN_EXE_juju-local"))
        .output();
    let done = match done {
        Ok(done) => done,
        Err(error) => {
            println!("skipped: cannot run {}: {error}", python());
            return;
        }
    };
    let text = String::from_utf8_lossy(&done.stdout);
    let errors = String::from_utf8_lossy(&done.stderr);
    if done.status.code() == Some(SKIPPED) {
        println!("{text}");
        return;
    }
    assert!(done.status.success(), "{text}\n{errors}");
}
