//! The binary against a controller that gives canned answers: what is asked of it, what goes to
//! standard output, what to standard error, and the exit code.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use juju_local::home::{HOME_VARIABLE, Home};
use juju_local_api::user::{ModelRequest, UserRequest};
use juju_local_api::{ApiError, ErrorKind, Reply, Request};
use serde_json::{Value, json};

/// A home with a controller in it that answers as the test says.
struct World {
    folder: tempfile::TempDir,
    home: Home,
    asked: Arc<Mutex<Vec<UserRequest>>>,
}

type Answer = fn(&UserRequest) -> Vec<Reply>;

impl World {
    /// None, with a word on why, where the runtime folder cannot be made.
    fn new(answer: Option<Answer>) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        let asked: Arc<Mutex<Vec<UserRequest>>> = Arc::default();
        let world = Self {
            folder,
            home,
            asked: Arc::clone(&asked),
        };
        let Some(answer) = answer else {
            return Some(world);
        };
        if let Err(error) = std::fs::create_dir_all(world.home.runtime()) {
            println!(
                "skipped: cannot make {}: {error}",
                world.home.runtime().display()
            );
            return None;
        }
        let listener = UnixListener::bind(world.home.user_socket()).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut line = String::new();
                BufReader::new(&stream).read_line(&mut line).unwrap();
                let Ok(Request::User(request)) = serde_json::from_str(&line) else {
                    continue;
                };
                for reply in answer(&request) {
                    let text = serde_json::to_string(&reply).unwrap() + "\n";
                    if stream.write_all(text.as_bytes()).is_err() {
                        break;
                    }
                }
                asked.lock().unwrap().push(*request);
            }
        });
        Some(world)
    }

    fn run(&self, words: &[&str]) -> Ran {
        let out = Command::new(env!("CARGO_BIN_EXE_juju-local"))
            .args(words)
            .env(HOME_VARIABLE, self.home.path())
            .env_remove("JUJU_MODEL")
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Ran::from(out)
    }

    fn asked(&self) -> String {
        let asked = self.asked.lock().unwrap();
        serde_json::to_string(asked.last().unwrap()).unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.home.runtime());
    }
}

#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

fn done(value: Value) -> Vec<Reply> {
    vec![Reply::Done(value)]
}

fn refused(kind: ErrorKind, text: &str) -> Vec<Reply> {
    vec![Reply::Failed(ApiError::new(kind, text))]
}

fn task(status: &str, code: i64) -> Value {
    json!({"id": "2", "operation": "1", "unit": "pg/0", "status": status,
        "results": {"password": "x", "return-code": code}, "log": [], "timing": {}})
}

fn usual(request: &UserRequest) -> Vec<Reply> {
    let UserRequest::Model { request, model } = request else {
        return match request {
            UserRequest::ControllerInfo => done(json!({"name": "ctl", "uuid": "u", "pid": 1})),
            UserRequest::Models => done(
                json!({"models": [{"short-name": "m", "name": "admin/m", "cloud": "local",
                    "region": "localhost", "status": {"current": "available"}}]}),
            ),
            UserRequest::DestroyModel { .. } => {
                vec![
                    Reply::Part(json!("Waiting for 1 application")),
                    Reply::Done(Value::Null),
                ]
            }
            _ => done(Value::Null),
        };
    };
    if model != "m" {
        return refused(ErrorKind::NotFound, &format!("model {model} not found"));
    }
    match request {
        ModelRequest::Status => done(json!({
            "model": {"name": "m", "type": "caas", "controller": "ctl", "cloud": "local",
                "region": "localhost", "version": "3.6.12"},
            "machines": {},
            "applications": {"pg": {"charm": "local:pg-0", "charm-origin": "local",
                "charm-name": "pg", "charm-rev": 0, "exposed": false, "scale": 1,
                "application-status": {"current": "active", "since": "2024-11-21T04:19:22Z"},
                "units": {"pg/0": {"leader": true,
                    "workload-status": {"current": "active"}, "juju-status": {"current": "idle"}}}}},
            "relations": [{"id": 0, "provider": "pg:peers", "requirer": "pg:peers"}],
        })),
        ModelRequest::Run { action, .. } => match action.as_str() {
            "unknown" => refused(ErrorKind::NotFound, "action \"unknown\" not defined"),
            _ => done(json!(["2"])),
        },
        ModelRequest::Exec { .. } => done(json!(["2"])),
        ModelRequest::WaitTask { id, wait_ms } if id == "2" => match wait_ms {
            0 => done(task("pending", 0)),
            _ => vec![
                Reply::Part(json!({"time": "2024-11-21T04:19:22Z", "message": "half way"})),
                Reply::Done(task("completed", 0)),
            ],
        },
        ModelRequest::AppConfigGet { .. } => done(json!({"application": "pg", "charm": "pg",
            "application-config": {"trust": {"value": false, "type": "bool"}},
            "settings": {"greeting": {"value": "hi", "type": "string"}}})),
        ModelRequest::SshPlan { argv, .. } => done(json!([
            "/bin/sh",
            "-c",
            format!("echo {}; exit 9", argv.join(" "))
        ])),
        ModelRequest::Deploy(deploy) => done(json!(deploy.app.as_deref().unwrap_or("pg"))),
        ModelRequest::Scale { .. } => refused(ErrorKind::Internal, "the disk is full"),
        _ => done(Value::Null),
    }
}

#[test]
fn without_a_controller_commands_say_so() {
    let Some(world) = World::new(None) else {
        return;
    };
    let ran = world.run(&["status", "-m", "m"]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err.starts_with("ERROR no controller is running in "),
        "{ran:?}"
    );
    assert!(ran.out.is_empty());
    let ran = world.run(&["status"]);
    assert!(ran.err.starts_with("ERROR No model in focus."), "{ran:?}");
    assert_eq!(
        world.run(&["destroy-controller", "--no-prompt"]).code,
        Some(0)
    );
}

#[test]
fn wrong_command_lines_end_with_two() {
    let Some(world) = World::new(None) else {
        return;
    };
    for words in [
        &["no-such-command"][..],
        &["status", "--no-such-flag"],
        &["run", "-m", "m", "x"],
    ] {
        let ran = world.run(words);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.err.starts_with("ERROR "), "{ran:?}");
    }
    let ran = world.run(&["add-machine"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("Kubernetes model"), "{ran:?}");
}

#[test]
fn version_has_the_form_that_is_parsed() {
    let Some(world) = World::new(None) else {
        return;
    };
    let ran = world.run(&["version", "--format", "json", "--all"]);
    let version: Value = serde_json::from_str(&ran.out).unwrap();
    let text = version["version"].as_str().unwrap();
    assert_eq!(text.split('-').count(), 3, "{text}");
    assert!(text.starts_with("3.6."), "{text}");
    assert_eq!(world.run(&["version"]).out, format!("{text}\n"));
}

#[test]
fn status_as_json_has_jujus_keys_only() {
    let Some(world) = World::new(Some(usual)) else {
        return;
    };
    let ran = world.run(&["status", "-m", "ctl:admin/m", "--format", "json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let status: Value = serde_json::from_str(&ran.out).unwrap();
    let keys: Vec<&String> = status.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        ["applications", "controller", "machines", "model", "storage"]
    );
    let since = &status["applications"]["pg"]["application-status"]["since"];
    assert!(
        since.as_str().unwrap().starts_with("21 Nov 2024 "),
        "{since}"
    );
    let ran = world.run(&["status", "-m", "m", "--relations"]);
    assert!(ran.out.contains("\npg/0*  active"), "{ran:?}");
    assert!(ran.out.contains("\npg:peers "), "{ran:?}");
    let ran = world.run(&["status", "-m", "other:m"]);
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (Some(1), "ERROR controller other not found\n")
    );
}

#[test]
fn results_go_to_standard_output_and_progress_to_standard_error() {
    let Some(world) = World::new(Some(usual)) else {
        return;
    };
    let ran = world.run(&["run", "-m", "m", "pg/0", "get-password"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.out, "password: x\n\n");
    assert!(
        ran.err
            .starts_with("Running operation 1 with 1 task\n  - task 2 on unit-pg-0\n\n")
    );
    assert!(ran.err.contains("half way"));
    let ran = world.run(&["run", "-m", "m", "pg/0", "get-password", "--format", "json"]);
    let tasks: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(tasks["pg/0"]["results"]["password"], "x");
    let ran = world.run(&["run", "-m", "m", "pg/0", "get-password", "--background"]);
    assert!(ran.out.is_empty());
    assert!(
        ran.err.starts_with("Scheduled operation 1 with task 2\n"),
        "{ran:?}"
    );
}

#[test]
fn tasks_that_cannot_be_queued_leave_standard_output_empty() {
    let Some(world) = World::new(Some(usual)) else {
        return;
    };
    let ran = world.run(&["run", "-m", "m", "pg/0", "unknown", "--format", "json"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), ""));
    assert!(ran.err.contains("not defined"), "{ran:?}");
}

#[test]
fn a_failed_task_and_one_that_is_late_are_told_apart() {
    fn failing(request: &UserRequest) -> Vec<Reply> {
        match request {
            UserRequest::Model {
                request: ModelRequest::WaitTask { wait_ms: 1.., .. },
                ..
            } => done(task("failed", 3)),
            other => usual(other),
        }
    }
    fn late(request: &UserRequest) -> Vec<Reply> {
        match request {
            UserRequest::Model {
                request: ModelRequest::WaitTask { .. },
                ..
            } => done(task("running", 0)),
            other => usual(other),
        }
    }
    let Some(world) = World::new(Some(failing)) else {
        return;
    };
    let ran = world.run(&[
        "exec", "-m", "m", "--unit", "pg/0", "--format", "json", "--", "false",
    ]);
    assert_eq!(ran.code, Some(1));
    let text = "ERROR the following task failed:\n - id \"2\" with return code 3\n\n\
                use 'juju show-task' to inspect the failure\n\n";
    assert_eq!(ran.err, text);
    assert!(ran.out.contains("\"return-code\":3"));
    let Some(world) = World::new(Some(late)) else {
        return;
    };
    let ran = world.run(&["run", "-m", "m", "pg/0", "slow", "--wait", "1s"]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err
            .ends_with("ERROR timed out waiting for results from: unit pg/0\n"),
        "{ran:?}"
    );
}

#[test]
fn one_option_is_printed_bare() {
    let Some(world) = World::new(Some(usual)) else {
        return;
    };
    assert_eq!(
        world.run(&["config", "-m", "m", "pg", "greeting"]).out,
        "hi\n"
    );
    assert_eq!(
        world.run(&["config", "-m", "m", "pg", "trust"]).out,
        "false\n"
    );
    let ran = world.run(&["config", "-m", "m", "pg", "no-such"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("key \"no-such\" not found"), "{ran:?}");
}

#[test]
fn the_current_model_is_remembered_and_forgotten() {
    let Some(world) = World::new(Some(usual)) else {
        return;
    };
    assert_eq!(world.run(&["add-model", "m"]).code, Some(0));
    assert_eq!(world.run(&["switch"]).out, "ctl:admin/m\n");
    assert_eq!(world.run(&["status", "--format", "json"]).code, Some(0));
    assert!(world.run(&["models"]).out.contains("\nm*  "));
    let ran = world.run(&["destroy-model", "m", "--no-prompt"]);
    assert_eq!(
        ran.err,
        "Destroying model\nWaiting for 1 application\nModel destroyed.\n"
    );
    assert_eq!(world.run(&["switch"]).out, "ctl\n");
}

#[test]
fn destruction_has_to_be_confirmed() {
    let Some(world) = World::new(Some(usual)) else {
        return;
    };
    let ran = world.run(&["destroy-model", "m"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("enter the name of the model"), "{ran:?}");
    assert_eq!(
        world.run(&["remove-application", "-m", "m", "pg"]).code,
        Some(1)
    );
    assert_eq!(
        world
            .run(&["remove-application", "-m", "m", "pg", "--no-prompt"])
            .code,
        Some(0)
    );
}

#[test]
fn constraints_of_the_model_go_along_with_deploy() {
    let Some(world) = World::new(Some(usual)) else {
        return;
    };
    world.run(&["set-model-constraints", "-m", "m", "mem=1G", "cpu-power=50"]);
    let out = world
        .run(&["model-constraints", "-m", "m", "--format", "json"])
        .out;
    assert_eq!(out, "{\"cpu-power\":\"50\",\"mem\":\"1G\"}\n");
    std::fs::create_dir(world.folder.path().join("charm")).unwrap();
    let ran = world.run(&[
        "deploy",
        "-m",
        "m",
        "./charm",
        "db",
        "--constraints",
        "mem=2G",
        "-n2",
    ]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let asked = world.asked();
    assert!(
        asked.contains(r#""constraints":{"cpu-power":"50","mem":"2G"}"#),
        "{asked}"
    );
    let path = std::fs::canonicalize(world.folder.path().join("charm")).unwrap();
    assert!(
        asked.contains(path.to_str().unwrap()) && asked.contains(r#""units":2"#),
        "{asked}"
    );
}

#[test]
fn ssh_ends_as_the_command_does() {
    let Some(world) = World::new(Some(usual)) else {
        return;
    };
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: needs root");
        return;
    }
    let ran = world.run(&["ssh", "-m", "m", "pg/leader", "ls", "-l"]);
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (Some(9), "/bin/sh -c ls -l\n")
    );
    let asked = world.asked();
    assert!(asked.contains(r#""unit":"pg/0""#), "{asked}");
}

#[test]
fn refusals_are_printed_as_errors() {
    let Some(world) = World::new(Some(usual)) else {
        return;
    };
    let ran = world.run(&["scale-application", "-m", "m", "pg", "3"]);
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (Some(1), "ERROR the disk is full\n")
    );
}
