//! Every command line that jubilant builds is understood, and those that people type.

use clap::Parser;
use juju_local::cli::args::{Cli, Command};

/// Recorded by `record_jubilant.py`.
const JUBILANT: &str = include_str!("jubilant_commands.json");

fn parse(words: &[&str]) -> Result<Command, String> {
    Cli::try_parse_from(["juju-local"].iter().chain(words))
        .map(|cli| cli.command)
        .map_err(|error| error.to_string())
}

#[test]
fn jubilants_command_lines_are_understood() {
    let recorded: Vec<Vec<String>> = serde_json::from_str(JUBILANT).unwrap();
    assert!(recorded.len() > 50, "the record is incomplete");
    for words in &recorded {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let command = parse(&words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
        assert!(
            !matches!(command, Command::Other(_)),
            "{words:?} is not a command"
        );
    }
}

#[test]
fn words_of_remote_commands_are_left_alone() {
    let words = [
        "ssh",
        "-m",
        "m",
        "--container",
        "pg",
        "a/0",
        "ls",
        "-l",
        "--model",
        "x",
    ];
    let Ok(Command::Ssh(args)) = parse(&words) else {
        panic!("not ssh")
    };
    assert_eq!(args.container, "pg");
    assert_eq!(args.model.model.as_deref(), Some("m"));
    assert_eq!(args.command, ["ls", "-l", "--model", "x"]);
    let words = ["exec", "--unit", "a/0,a/1", "--", "ls", "--all"];
    let Ok(Command::Exec(args)) = parse(&words) else {
        panic!("not exec")
    };
    assert_eq!((args.unit.len(), args.command.len()), (2, 2));
    let Ok(Command::Net(args)) = parse(&["net", "--", "psql", "-h", "pg-primary"]) else {
        panic!("not net")
    };
    assert_eq!(args.command, ["psql", "-h", "pg-primary"]);
}

#[test]
fn flags_may_come_in_any_order_and_by_their_other_names() {
    for words in [
        &["relate", "a:db", "b"][..],
        &[
            "deploy", "./x", "pg", "-n", "3", "--trust", "--config", "a=1", "--config", "c.yaml",
        ],
        &["deploy", "--channel", "14/stable", "-m", "m", "./x"],
        &["status", "--watch", "1s", "--relations", "pg*", "-m", "c:m"],
        &[
            "status",
            "--integrations",
            "--storage",
            "--format=yaml",
            "-o",
            "out",
        ],
        &[
            "run",
            "pg/leader",
            "set-password",
            "username=x",
            "--wait=2m",
            "--format",
            "json",
        ],
        &["run", "--wait", "-1s", "pg/0", "do"],
        &["remove-unit", "pg", "--num-units", "2", "--no-prompt"],
        &[
            "debug-log",
            "--replay",
            "-i",
            "unit-pg-0",
            "-l",
            "DEBUG",
            "--ms",
            "--date",
        ],
        &["destroy-model", "m", "-y", "--force", "--timeout", "60s"],
        &["destroy-controller", "--no-prompt", "--release-storage"],
        &["list-models"],
        &["show-secret", "s", "-r", "2"],
        &["fault", "-m", "m", "kill-pod", "pg/0", "--delete"],
        &[
            "fault",
            "signal",
            "pg/0",
            "postgres",
            "--container",
            "postgresql",
            "--signal",
            "STOP",
        ],
        &["fault", "cut", "pg/0", "--from", "pg/1,pg/2"],
        &["fault", "lossy", "pg/0", "--percent", "30"],
        &["fault", "heal", "-m", "m"],
        &["scp", "-r", "pg/0:/tmp/x", "."],
        &["bootstrap"],
        &[
            "bootstrap",
            "ctl",
            "--kubernetes",
            "u",
            "--kubernetes-ca",
            "c",
            "--kubernetes-token",
            "t",
        ],
        &["resolved", "pg/0", "--no-retry"],
        &["suspend-relation", "1,2"],
        &["set-constraints", "pg", "mem=2G"],
    ] {
        let command = parse(words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
        assert!(
            !matches!(command, Command::Other(_)),
            "{words:?} is not a command"
        );
    }
}

#[test]
fn contradictions_are_refused() {
    for words in [
        &[
            "destroy-model",
            "m",
            "--destroy-storage",
            "--release-storage",
        ][..],
        &["debug-log", "--tail", "--no-tail"],
        &["fault", "fill-disk", "pg/0", "101"],
        &["deploy"],
        &["integrate", "a"],
        &["status", "--no-such-flag"],
    ] {
        assert!(parse(words).is_err(), "{words:?}");
    }
}
