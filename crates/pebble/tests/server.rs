//! The client against a Pebble that runs: its socket in `PEBBLE_TEST_SOCKET`, as root.

use std::collections::BTreeMap;
use std::time::Duration;

use pebble::{Client, Error, Exec, ExecError, Layer, NoticeQuery, PushOptions, Service};

fn client() -> Option<Client> {
    let socket = std::env::var_os("PEBBLE_TEST_SOCKET");
    if socket.is_none() {
        println!("skipped: PEBBLE_TEST_SOCKET is not set");
    }
    socket.map(Client::new)
}

fn layer(name: &str, command: &str) -> Layer {
    let service = Service {
        override_: "replace".into(),
        command: command.into(),
        startup: "disabled".into(),
        ..Service::default()
    };
    Layer {
        services: [(name.to_owned(), service)].into(),
        ..Layer::default()
    }
}

#[tokio::test]
async fn services_start_write_logs_and_stop() {
    let Some(client) = client() else { return };
    let wait = Duration::from_secs(15);
    let name = "client-test-service";
    let command = "/bin/sh -c 'echo \"it: lives # é\"; exec sleep 1000'";
    client
        .add_layer("client-test", &layer(name, command), true)
        .await
        .unwrap();
    assert_eq!(client.plan().await.unwrap().services[name].command, command);
    client.start(&[name], wait).await.unwrap();
    assert_eq!(client.services(&[name]).await.unwrap()[0].current, "active");
    let mut logs = client.follow_logs(&[name], 10).await.unwrap();
    let line = logs.next(wait).await.unwrap().unwrap();
    assert_eq!(line.message, "it: lives # é");
    client.stop(&[name], wait).await.unwrap();
    assert_eq!(
        client.services(&[name]).await.unwrap()[0].current,
        "inactive"
    );
}

#[tokio::test]
async fn a_service_that_dies_at_once_fails_its_change() {
    let Some(client) = client() else { return };
    let name = "client-test-dies";
    let layer = layer(name, "/bin/sh -c 'echo bad luck; exit 3'");
    client
        .add_layer("client-test-dies", &layer, true)
        .await
        .unwrap();
    let error = client
        .start(&[name], Duration::from_secs(15))
        .await
        .unwrap_err();
    let Error::Change(change) = &error else {
        panic!("{error:?}")
    };
    assert!(change.text.contains("exited quickly"), "{error}");
    client.stop(&[name], Duration::from_secs(15)).await.unwrap();
}

#[tokio::test]
async fn commands_run_with_input_variables_and_time() {
    let Some(client) = client() else { return };
    let script = "read x; echo \"$x $V $PWD\"; echo no >&2; exit 3";
    let exec = Exec::new(["/bin/sh", "-c", script])
        .stdin("in\n")
        .env("V", "a b")
        .working_dir("/");
    let output = client.exec(exec).await.unwrap();
    assert_eq!(output.code, 3);
    assert_eq!(output.stdout, b"in a b /\n");
    assert_eq!(output.stderr, b"no\n");

    let large = Exec::new(["/bin/sh", "-c", "head -c 3000000 /dev/zero"]);
    assert_eq!(client.exec(large).await.unwrap().stdout.len(), 3_000_000);
    let unread = Exec::new(["/bin/true"]).stdin(vec![0; 4 << 20]);
    assert_eq!(client.exec(unread).await.unwrap().code, 0);

    let long = Exec::new(["/bin/sleep", "60"]).limit(Duration::from_millis(200));
    let error = client.exec(long).await.unwrap_err();
    assert!(
        matches!(error, Error::Exec(ExecError::TimedOut { .. })),
        "{error:?}"
    );
    let missing = client
        .exec(Exec::new(["/no/such/program"]))
        .await
        .unwrap_err();
    assert!(
        matches!(missing, Error::Api { status: 400, .. }),
        "{missing:?}"
    );
}

#[tokio::test]
async fn a_signal_ends_a_command() {
    let Some(client) = client() else { return };
    let mut process = client.spawn(Exec::new(["/bin/cat"])).await.unwrap();
    let mut stdin = process.take_stdin().unwrap();
    let mut stdout = process.take_stdout().unwrap();
    stdin.write(b"hello").await.unwrap();
    assert_eq!(stdout.next().await.unwrap().unwrap(), b"hello");
    process.send_signal("SIGTERM").await.unwrap();
    assert_eq!(stdout.next().await.unwrap(), None);
    assert_eq!(process.wait().await.unwrap(), 143);
}

#[tokio::test]
async fn files_make_the_round() {
    let Some(client) = client() else { return };
    let name = format!("/tmp/pebble-client-test-{}", std::process::id());
    let path = format!("{name}/a/b \"c\".txt");
    let content: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let options = PushOptions {
        mode: Some(0o640),
        make_parents: true,
        ..PushOptions::default()
    };
    client.push(&path, &content, &options).await.unwrap();
    assert_eq!(client.pull(&path).await.unwrap(), content);
    let info = client.list_files(&path, true).await.unwrap().remove(0);
    assert_eq!((info.mode(), info.size), (Some(0o640), Some(100_000)));
    let files = client.pull_all(&["/no/such", &path]).await.unwrap();
    assert!(files[0].as_ref().unwrap_err().is_not_found());
    assert_eq!(files[1].as_ref().unwrap(), &content);
    let listed = client
        .list_matching(&format!("{name}/a"), "*.txt")
        .await
        .unwrap();
    assert_eq!(listed.len(), 1);
    client.remove_path(&name, true).await.unwrap();
    assert!(
        client
            .list_files(&name, true)
            .await
            .unwrap_err()
            .is_not_found()
    );
}

#[tokio::test]
async fn notices_wake_who_waits() {
    let Some(client) = client() else { return };
    let key = format!("example.com/client-test-{}", std::process::id());
    let query = NoticeQuery {
        keys: vec![key.clone()],
        ..NoticeQuery::default()
    };
    let waiter = tokio::spawn({
        let client = client.clone();
        async move { client.notices(&query, Duration::from_secs(15)).await }
    });
    let id = client.notify(&key, &BTreeMap::new()).await.unwrap();
    let notices = waiter.await.unwrap().unwrap();
    assert_eq!(notices[0].id, id);
    assert_eq!(client.notice(&id).await.unwrap().key, key);
    assert!(client.warnings().await.is_ok());
}
