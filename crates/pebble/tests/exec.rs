//! Commands against a Pebble of ours that speaks the exec protocol.

mod support;

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use pebble::{Error, Exec, ExecError};
use serde_json::{Value, json};
use support::{Asked, Fake, FakeSocket, Reply, background, refusal, sync};
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::Message;

fn started() -> Reply {
    let result = json!({"environment": {}, "task-id": "4", "working-dir": "/"});
    background("3", result)
}

fn ended(code: i32) -> Reply {
    sync(
        json!({"id": "3", "kind": "exec", "summary": "Execute command \"x\"", "status": "Done",
        "ready": true, "tasks": [{"id": "4", "status": "Done", "data": {"exit-code": code}}]}),
    )
}

fn end() -> Message {
    Message::text("{\"command\":\"end\"}")
}

/// A websocket that is kept open and not listened to.
fn idle() -> Reply {
    upgrade(async |_socket| std::future::pending().await)
}

fn upgrade<F>(serve: impl FnOnce(FakeSocket) -> F + Send + 'static) -> Reply
where
    F: Future<Output = ()> + Send + 'static,
{
    Reply::Upgrade(Box::new(move |socket| tokio::spawn(serve(socket))))
}

/// What stream a request is for; the other requests are answered here.
fn stream(asked: &Asked, code: i32) -> Result<&'static str, Reply> {
    match asked.line.as_str() {
        "POST /v1/exec" => Err(started()),
        "GET /v1/tasks/4/websocket/control" => Ok("control"),
        "GET /v1/tasks/4/websocket/stdio" => Ok("stdio"),
        "GET /v1/tasks/4/websocket/stderr" => Ok("stderr"),
        line if line.starts_with("GET /v1/changes/3/wait") => Err(ended(code)),
        line => Err(refusal(404, "", line)),
    }
}

/// Sends all input back, and ends when it ends.
async fn echo(mut socket: FakeSocket) {
    while let Some(Ok(message)) = socket.next().await {
        let over = message.is_text();
        if socket.send(message).await.is_err() || over {
            break;
        }
    }
}

/// Says this, then ends.
async fn say(mut socket: FakeSocket, text: &'static str) {
    let _ = socket.send(Message::binary(text.as_bytes().to_vec())).await;
    let _ = socket.send(end()).await;
    while let Some(Ok(_)) = socket.next().await {}
}

#[tokio::test]
async fn input_goes_in_and_both_outputs_come_out() {
    let fake = Fake::start(|asked| match stream(asked, 7) {
        Err(reply) => reply,
        Ok("stdio") => upgrade(echo),
        Ok("stderr") => upgrade(|socket| say(socket, "oops")),
        Ok(_) => idle(),
    });
    let input = vec![b'x'; 200_000];
    let exec = Exec::new(["cat", "-"]).stdin(input.clone());
    let output = fake.client.exec(exec).await.unwrap();
    assert_eq!(
        (output.code, output.stderr.as_slice()),
        (7, b"oops".as_slice())
    );
    assert!(output.stdout == input);
    assert!(output.success("cat").is_err());
    let lines: Vec<_> = fake.asked().into_iter().map(|asked| asked.line).collect();
    assert_eq!(lines[1], "GET /v1/tasks/4/websocket/control");
}

#[tokio::test]
async fn input_is_ended_even_where_there_is_none_and_stderr_may_be_combined() {
    let fake = Fake::start(|asked| match stream(asked, 0) {
        Err(reply) => reply,
        Ok("stdio") => upgrade(echo),
        Ok("control") => idle(),
        Ok(other) => refusal(404, "", other),
    });
    let exec = Exec::new(["cat"]).combine_stderr();
    let output = fake.client.exec(exec).await.unwrap();
    assert_eq!((output.code, output.stdout.len()), (0, 0));
    assert_eq!(fake.asked()[0].json()["split-stderr"], false);
}

#[tokio::test]
async fn input_that_nobody_reads_does_not_hold_up_the_end() {
    let fake = Fake::start(|asked| match stream(asked, 0) {
        Err(reply) => reply,
        Ok("stdio") => upgrade(async |mut socket: FakeSocket| {
            let _ = socket.send(end()).await;
            std::future::pending::<()>().await;
        }),
        Ok("stderr") => upgrade(|socket| say(socket, "")),
        Ok(_) => idle(),
    });
    let exec = Exec::new(["true"]).stdin(vec![0; 8 << 20]);
    assert_eq!(fake.client.exec(exec).await.unwrap().code, 0);
}

#[tokio::test]
async fn streams_are_read_and_written_while_the_command_runs_and_signals_reach_it() {
    let signalled = Arc::new(Notify::new());
    let waiter = signalled.clone();
    let fake = Fake::start(move |asked| match stream(asked, 143) {
        Err(reply) => reply,
        Ok("stdio") => upgrade(echo),
        Ok("stderr") => upgrade(|socket| say(socket, "")),
        Ok(_) => {
            let signalled = signalled.clone();
            upgrade(async move |mut socket: FakeSocket| {
                while let Some(Ok(Message::Text(text))) = socket.next().await {
                    let command: Value = serde_json::from_str(&text).unwrap_or_default();
                    if command == json!({"command": "signal", "signal": {"name": "SIGTERM"}}) {
                        signalled.notify_one();
                    }
                }
            })
        }
    });
    let mut process = fake.client.spawn(Exec::new(["cat"])).await.unwrap();
    let mut stdin = process.take_stdin().unwrap();
    let mut stdout = process.take_stdout().unwrap();
    for word in ["one", "two"] {
        stdin.write(word.as_bytes()).await.unwrap();
        assert_eq!(stdout.next().await.unwrap().unwrap(), word.as_bytes());
    }
    process.send_signal("SIGTERM").await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), waiter.notified())
        .await
        .unwrap();
    stdin.end().await.unwrap();
    assert_eq!(stdout.next().await.unwrap(), None);
    assert_eq!(process.wait().await.unwrap(), 143);
}

#[tokio::test]
async fn output_that_breaks_off_is_not_taken_for_all_of_it() {
    let fake = Fake::start(|asked| match stream(asked, 0) {
        Err(reply) => reply,
        Ok("stdio") => upgrade(async |mut socket: FakeSocket| {
            let _ = socket.send(Message::binary(b"half".to_vec())).await;
        }),
        Ok("stderr") => upgrade(|socket| say(socket, "")),
        Ok(_) => idle(),
    });
    let error = fake.client.exec(Exec::new(["x"])).await.unwrap_err();
    assert!(
        matches!(error, Error::Exec(ExecError::Cut { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_command_killed_after_its_time_is_told_from_one_that_failed() {
    for (text, killed) in [
        ("timed out after 1s: context deadline exceeded", true),
        ("fork/exec /x: permission denied", false),
    ] {
        let err = format!("cannot perform the following tasks:\n- Execute command \"x\" ({text})");
        let fake = Fake::start(move |asked| {
            if asked.line.starts_with("GET /v1/changes/3/wait") {
                return sync(
                    json!({"id": "3", "kind": "exec", "status": "Error", "ready": true,
                    "err": err, "tasks": [{"id": "4", "status": "Error",
                    "data": {"exit-code": -1}}]}),
                );
            }
            match stream(asked, 0) {
                Err(reply) => reply,
                // As Pebble does when it kills: the streams just end.
                Ok("stdio" | "stderr") => upgrade(async |socket| drop(socket)),
                Ok(_) => idle(),
            }
        });
        let error = fake.client.exec(Exec::new(["x"])).await.unwrap_err();
        let timed_out = matches!(error, Error::Exec(ExecError::TimedOut { .. }));
        assert_eq!(timed_out, killed, "{error:?}");
        assert!(timed_out || matches!(error, Error::Change(_)), "{error:?}");
    }
}

#[tokio::test]
async fn refusals_of_the_command_and_of_its_streams_carry_pebbles_words() {
    let fake = Fake::start(|_| refusal(400, "", "cannot find executable \"x\""));
    let error = fake.client.exec(Exec::new(["x"])).await.unwrap_err();
    assert!(
        error.to_string().contains("cannot find executable"),
        "{error}"
    );
    let fake = Fake::start(|asked| match stream(asked, 0) {
        Err(reply) => reply,
        Ok(_) => refusal(404, "", "cannot find task \"4\""),
    });
    let error = fake.client.exec(Exec::new(["x"])).await.unwrap_err();
    assert!(
        error.is_not_found() && error.to_string().contains("cannot find task"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_command_that_never_ends_is_not_waited_for_for_ever() {
    let fake = Fake::start(|asked| match stream(asked, 0) {
        Err(reply) => reply,
        Ok(_) => idle(),
    });
    let client = fake.client.clone().with_timeout(Duration::from_millis(100));
    let exec = Exec::new(["x"]).limit(Duration::from_millis(50));
    let error = client.exec(exec).await.unwrap_err();
    assert!(error.is_unreachable(), "{error:?}");
}
