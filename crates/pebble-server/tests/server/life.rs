use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::{BINARY, Server, is_root, until};

fn layer(directory: &Path, name: &str, text: &str) {
    std::fs::create_dir_all(directory.join("layers")).unwrap();
    std::fs::write(directory.join("layers").join(name), text).unwrap();
}

#[test]
fn enabled_services_of_the_files_start_by_themselves() {
    let mut server = Server::with(
        &["--args", "a", "x y", "z", ";", "--verbose"],
        |directory| {
            let yaml = "services:\n a:\n  override: replace\n  startup: enabled\n  working-dir: DIR\n  \
                    command: sh -c 'for word; do echo \"$word\"; done > words; trap \"echo bye > bye; exit\" TERM; while true; do sleep 0.05; done' sh [ default ]\n";
            layer(
                directory,
                "001-base.yaml",
                &yaml.replace("DIR", directory.to_str().unwrap()),
            );
        },
    );
    assert_eq!(server.lines("words", 2), ["x y", "z"]);
    server.until_current("a", "active");
    assert_eq!(server.stop(), Some(0));
    assert_eq!(server.lines("bye", 1), ["bye"]);
}

#[test]
fn the_end_stops_services_in_the_order_of_their_needs() {
    let mut server = Server::start();
    let dir = server.directory.path().to_str().unwrap().to_owned();
    let command = |name: &str| {
        format!(
            "sh -c 'trap \"sleep 0.1; echo {name} >> stops; exit\" TERM; echo {name} >> up; while true; do sleep 0.02; done'"
        )
    };
    server.layer(
        "x",
        &format!(
            "services:\n db: {{override: replace, working-dir: {dir}, command: \"{}\"}}\n \
             app: {{override: replace, working-dir: {dir}, requires: [db], after: [db], command: \"{}\"}}\n",
            command("db").replace('"', "\\\""),
            command("app").replace('"', "\\\"")
        ),
    );
    server.act("start", &["app"]);
    server.lines("up", 2);
    assert_eq!(server.stop(), Some(0));
    assert_eq!(server.lines("stops", 2), ["app", "db"]);
}

#[test]
fn a_directory_is_copied_once_into_an_empty_one() {
    let source = tempfile::tempdir().unwrap();
    layer(
        source.path(),
        "001-base.yaml",
        "services: {a: {override: replace, command: sleep 9}}",
    );
    let target = tempfile::tempdir().unwrap();
    let place = target.path().join("pebble");
    let run = || {
        let mut child = Command::new(BINARY)
            .args(["run", "--create-dirs", "--hold"])
            .env("PEBBLE", &place)
            .env("PEBBLE_COPY_ONCE", source.path())
            .env_remove("PEBBLE_SOCKET")
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        until("server listens", || {
            std::os::unix::net::UnixStream::connect(place.join(".pebble.socket")).ok()
        });
        crate::support::terminate(i32::try_from(child.id()).unwrap());
        assert_eq!(child.wait().unwrap().code(), Some(0));
    };
    run();
    assert!(place.join("layers/001-base.yaml").exists());
    layer(
        source.path(),
        "002-more.yaml",
        "services: {b: {override: replace, command: sleep 9}}",
    );
    run();
    assert!(!place.join("layers/002-more.yaml").exists());
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let run = |flags: &[&str], place: &Path| {
        let output = Command::new(BINARY)
            .arg("run")
            .args(flags)
            .env("PEBBLE", place)
            .env_remove("PEBBLE_SOCKET")
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let missing = directory.path().join("no");
    let (code, text) = run(&["--hold"], &missing);
    assert_eq!(
        (code, text),
        (
            Some(1),
            format!("error: directory {} does not exist\n", missing.display())
        )
    );
    assert_eq!(
        run(&["--x"], directory.path()).1,
        "error: unknown flag `--x'\n"
    );
    layer(directory.path(), "001-bad.yaml", "foo: 1");
    let (code, text) = run(&["--hold"], directory.path());
    assert_eq!(
        (code, text.as_str()),
        (
            Some(1),
            "error: cannot parse layer \"bad\": unknown section \"foo\"\n"
        )
    );
    let server = Server::start();
    let (code, text) = run(&["--hold"], server.directory.path());
    assert_eq!(
        (code, text),
        (
            Some(1),
            format!(
                "error: socket \"{}\" already in use\n",
                server.socket().display()
            )
        )
    );
}

#[test]
fn the_last_output_of_services_reaches_the_servers_own() {
    let directory = tempfile::tempdir().unwrap();
    let yaml = "services: {a: {override: replace, startup: enabled, command: sh -c 'trap \"echo bye; exit\" TERM; echo up; while true; do sleep 0.02; done'}}";
    layer(directory.path(), "001-base.yaml", yaml);
    let child = Command::new(BINARY)
        .args(["run", "--verbose"])
        .env("PEBBLE", directory.path())
        .env_remove("PEBBLE_SOCKET")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let client = || {
        Command::new(BINARY)
            .args(["logs"])
            .env("PEBBLE", directory.path())
            .env_remove("PEBBLE_SOCKET")
            .output()
            .unwrap()
    };
    until("service is up", || {
        client().stdout.ends_with(b"[a] up\n").then_some(())
    });
    crate::support::terminate(i32::try_from(child.id()).unwrap());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.ends_with("[a] bye\n") && text.contains("Z [a] up\n"),
        "{text}"
    );
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("Z [pebble] Service \"a\" starting: "),
        "{text}"
    );
}

/// A server as the first process of a PID namespace.
#[test]
fn as_the_first_process_it_reaps_orphans_and_passes_signals_on() {
    let namespaces = ["--pid", "--fork", "--mount-proc", "--kill-child"];
    let probe = Command::new("unshare")
        .args(namespaces)
        .arg("true")
        .output();
    if !is_root() || !probe.is_ok_and(|output| output.status.success()) {
        println!("skipped: needs root and unshare(1)");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut child = Command::new("unshare")
        .args(namespaces)
        .args([BINARY, "run", "--create-dirs", "--hold"])
        .env("PEBBLE", directory.path())
        .env_remove("PEBBLE_SOCKET")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let socket = directory.path().join(".pebble.socket");
    until("server listens", || {
        std::os::unix::net::UnixStream::connect(&socket).ok()
    });
    let run = |args: &[&str]| {
        let output = Command::new(BINARY)
            .args(args)
            .env("PEBBLE_SOCKET", &socket)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    let script = "for n in 1 2 3; do sh -c 'sleep 0.1 > /dev/null 2>&1 &'; done; cat /proc/1/comm";
    assert_eq!(run(&["exec", "sh", "-c", script]).0, Some(0));
    let processes = "for p in /proc/[0-9]*; do grep -H '^State:' $p/status; done 2>/dev/null";
    until("orphans are reaped", || {
        let (_, text) = run(&["exec", "sh", "-c", processes]);
        (!text.contains("Z (zombie)")).then_some(())
    });
    let (_, masks) = run(&["exec", "grep", "-h", "SigBlk", "/proc/self/status"]);
    assert_eq!(
        masks, "SigBlk:\t0000000000000000\n",
        "commands get their signals"
    );
    let init = until("pid 1", || {
        let text =
            std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).ok()?;
        text.split_whitespace().next()?.parse::<i32>().ok()
    });
    crate::support::terminate(init);
    let status = until("container ends", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
}

#[test]
fn an_idle_server_does_nothing() {
    let server = Server::start();
    server.layer(
        "x",
        "checks: {c: {override: replace, period: 1h, tcp: {port: 1}}}",
    );
    let ticks = || -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
        let fields: Vec<&str> = text
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    std::thread::sleep(std::time::Duration::from_millis(500));
    let before = ticks();
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert!(ticks() <= before + 1, "a tick is 10 ms");
    assert_eq!(server.get("/v1/health").result(), &json!({"healthy": true}));
}

/// The Pebble client of Python's `ops`, where it is installed.
#[test]
fn ops_works_against_it() {
    let python = std::env::var("PEBBLE_OPS_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let probe = Command::new(&python).args(["-c", "import ops"]).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        println!("skipped: {python} has no ops; PEBBLE_OPS_PYTHON may name one that has");
        return;
    }
    let server = Server::start();
    let temp = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ops_smoke.py");
    let output = Command::new(python)
        .arg(script)
        .arg(server.socket())
        .arg(temp.path())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&text)
    );
}
