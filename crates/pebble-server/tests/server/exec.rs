use std::time::{Duration, Instant};

use pebble::{Client, Exec};
use serde_json::json;

use crate::support::{LONG, Server, until};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn streams_and_exit_code_come_through() {
    let server = Server::start();
    let output = server.client(
        &["exec", "--", "sh", "-c", "cat; echo err >&2; exit 7"],
        b"input\n",
    );
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(
        (text(&output.stdout), text(&output.stderr)),
        ("input\n".into(), "err\n".into())
    );
    let big = vec![b'x'; 4 << 20];
    let output = server.client(&["exec", "cat"], &big);
    assert!(output.status.success() && output.stdout == big);
    let output = server.client(&["exec", "sh", "-c", "kill -9 $$"], b"");
    assert_eq!(output.status.code(), Some(137));
}

#[test]
fn input_that_nobody_reads_does_no_harm() {
    let server = Server::start();
    let output = server.client(&["exec", "echo", "done"], &vec![b'x'; 4 << 20]);
    assert_eq!(
        (output.status.code(), text(&output.stdout)),
        (Some(0), "done\n".into())
    );
}

#[tokio::test]
async fn the_projects_own_client_runs_commands() {
    let server = Server::start();
    let client = Client::new(server.socket());
    let output = client
        .exec(Exec::new(["sh", "-c", "echo out; echo err >&2; exit 2"]))
        .await
        .unwrap();
    assert_eq!(output.code, 2);
    assert_eq!(
        (text(&output.stdout), text(&output.stderr)),
        ("out\n".into(), "err\n".into())
    );
}

#[test]
fn a_time_limit_ends_the_command_with_all_that_it_began() {
    let server = Server::start();
    let begun = Instant::now();
    let script = "sleep 60 & wait";
    let output = server.client(
        &["exec", "--timeout", "200ms", "--", "sh", "-c", script],
        b"",
    );
    assert!(begun.elapsed() < LONG / 2);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stderr),
        "error: cannot perform the following tasks:\n- Execute command \"sh\" (timed out after \
         200ms: context deadline exceeded)\n"
    );
}

#[test]
fn a_command_without_websockets_is_given_up() {
    let server = Server::start();
    let answer = server.post("/v1/exec", &json!({"command": ["true"], "user": null}));
    assert_eq!(answer.status, 202);
    let task = answer.result()["task-id"].as_str().unwrap().to_owned();
    assert_eq!(
        answer.result()["environment"]["LANG"]
            .as_str()
            .map(str::is_empty),
        Some(false)
    );
    assert!(
        answer.result()["working-dir"]
            .as_str()
            .unwrap()
            .starts_with('/')
    );
    let connect = |task: &str, id: &str| {
        let (status, _, body) = server.raw(
            &format!(
                "GET /v1/tasks/{task}/websocket/{id} HTTP/1.1\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
            ),
            b"",
        );
        (status, text(&body))
    };
    let (status, body) = connect("999", "stdio");
    assert!(
        status == 400 || (status == 404 && body.contains("cannot find task")),
        "{status} {body}"
    );
    let change = server.wait(answer.json["change"].as_str().unwrap());
    let err = change["err"].as_str().unwrap();
    let why = format!(
        "exec {task}: timeout waiting for websocket connections: context deadline exceeded"
    );
    assert!(err.contains(&why), "{err}");
    assert_eq!(change["tasks"][0]["data"]["exit-code"], -1);
}

#[test]
fn requests_that_cannot_be_are_refused_in_pebbles_words() {
    let server = Server::start();
    let cases = [
        (json!({}), 400, "must specify command"),
        (
            json!({"command": ["no-such-program"]}),
            400,
            "cannot find executable \"no-such-program\"",
        ),
        (
            json!({"command": ["ls"], "timeout": "x"}),
            400,
            "invalid timeout: time: invalid duration \"x\"",
        ),
        (
            json!({"command": ["ls"], "service-context": "x"}),
            400,
            "context service \"x\" not found",
        ),
        (
            json!({"command": ["ls"], "user": "no-such-user"}),
            400,
            "user: unknown user no-such-user",
        ),
        (
            json!({"command": ["ls"], "group": "root"}),
            400,
            "must specify user, not just group",
        ),
        (
            json!({"command": ["ls"], "working-dir": "/no/such"}),
            500,
            "cannot call exec: working directory \"/no/such\" does not exist",
        ),
        (
            json!({"command": ["ls"], "interactive": true}),
            500,
            "cannot call exec: cannot use interactive mode without a terminal",
        ),
    ];
    for (body, status, why) in cases {
        let answer = server.post("/v1/exec", &body);
        assert_eq!((answer.status, answer.message()), (status, why));
    }
}

#[test]
fn context_environment_and_directory_are_taken_from_the_service() {
    let server = Server::start();
    server.layer(
        "x",
        "services: {a: {override: replace, command: sleep 9, working-dir: /usr, environment: {A: '1', B: '2'}}}",
    );
    let args = [
        "exec",
        "--context",
        "a",
        "--env",
        "B=3",
        "--",
        "sh",
        "-c",
        "pwd; echo $A $B",
    ];
    let output = server.client(&args, b"");
    assert_eq!(text(&output.stdout), "/usr\n1 3\n");
}

#[test]
fn a_terminal_has_a_size_and_a_session() {
    let server = Server::start();
    // `script` gives the client a terminal, without which it asks for none.
    if std::process::Command::new("script")
        .arg("--version")
        .output()
        .is_err()
    {
        println!("skipped: no script(1)");
        return;
    }
    let binary = crate::support::BINARY;
    let line = format!(
        "stty rows 20 cols 70; {binary} exec -- sh -c 'tty; stty size; ps -o tpgid= -p $$; echo $$'"
    );
    let output = std::process::Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .env("PEBBLE_SOCKET", server.socket())
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let shown = text(&output.stdout);
    let lines: Vec<&str> = shown
        .lines()
        .map(|line| line.trim_matches(['\r', '\0', ' ']))
        .collect();
    assert!(
        lines.iter().any(|line| line.contains("/dev/pts/")),
        "{shown:?}"
    );
    assert!(lines.contains(&"20 70"), "{shown:?}");
    let numbers: Vec<&str> = lines.iter().rev().take(2).copied().collect();
    assert_eq!(
        numbers[0], numbers[1],
        "the command leads the terminal's foreground: {shown:?}"
    );
}

#[test]
fn a_lost_client_takes_its_command_along() {
    let server = Server::start();
    let file = server.path("alive");
    let script = format!("while true; do date > {}; sleep 0.05; done", file.display());
    let mut child = std::process::Command::new(crate::support::BINARY)
        .args(["exec", "--", "sh", "-c", &script])
        .env("PEBBLE_SOCKET", server.socket())
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    until("command runs", || file.exists().then_some(()));
    child.kill().unwrap();
    child.wait().unwrap();
    until("change ends", || {
        let changes = server.get("/v1/changes?select=all");
        (changes.result()[0]["ready"] == true).then_some(())
    });
    std::fs::remove_file(&file).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    assert!(!file.exists());
}
