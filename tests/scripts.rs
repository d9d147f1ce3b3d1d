//! The scripts that run in the workload container, by a real shell, beside stand-ins for the programs that
//! they run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by them"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::SystemTime;

use postgresql_k8s::render;
use secrecy::ExposeSecret;

/// A folder of its own for a test, with the programs that a script finds first.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&place);
        fs::create_dir_all(place.join("bin")).unwrap();
        Self(place)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn program(&self, name: &str, text: &str) {
        let path = self.path(&format!("bin/{name}"));
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs a script of the charm; the files that it names are in this folder.
    fn run(&self, path: &str, arguments: &[&str]) -> Output {
        let mut files = render::scripts();
        files.push(render::watch(Some(15)));
        let file = files.into_iter().find(|file| file.path == path).unwrap();
        assert_eq!((file.mode, file.owner), (0o755, "root"));
        let text = file.content.expose_secret();
        let script = self.path("script");
        fs::write(
            &script,
            text.replace("/var/run/postgresql", &self.path("run")),
        )
        .unwrap();
        fs::create_dir_all(self.path("run")).unwrap();
        let path = format!("{}:/usr/bin:/bin", self.path("bin"));
        let mut command = Command::new("/bin/sh");
        command.arg(script).args(arguments);
        let command = command.env("PATH", path);
        command
            .env("PEBBLE_BIN", self.path("bin/pebble"))
            .output()
            .unwrap()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }
}

#[test]
fn a_volume_is_below_a_percentage_by_what_df_says_of_it() {
    let place = Place::new("disk-below");
    let below = |percent: &str| place.run(render::DISK_BELOW, &[percent]).status.success();
    for line in [
        "/dev/x 1000 870 130 87% /data",
        "a disk 1000 870 130 87% /data",
    ] {
        let head = "Filesystem 1024-blocks Used Available Capacity Mounted on";
        place.program("df", &format!("echo '{head}'; echo '{line}'"));
        assert!(below("88") && !below("87") && !below("85"), "{line}");
    }
    place.program("df", "exit 1");
    assert!(!below("95"), "what cannot be seen is told");
}

#[test]
fn the_server_is_asked_by_a_session_only_where_the_watcher_has_no_answer() {
    let place = Place::new("answers");
    place.program(
        "pg_isready",
        &format!("echo asked >>{}; exit 1", place.path("asked")),
    );
    let tool = place.path("bin/pg_isready");
    let ready = || place.run(render::ANSWERS, &[&tool]).status.success();
    assert!(!ready(), "nothing has answered yet");
    fs::create_dir_all(place.path("run")).unwrap();
    fs::write(place.path("run/answered"), ".\n").unwrap();
    assert!(ready());
    assert_eq!(place.read("asked"), "asked\n");
    assert!(!ready(), "an answer holds for one look");
    assert_eq!(place.read("asked"), "asked\nasked\n");
}

/// What the watcher tells the charm where its sessions show these lines, one after the other.
fn told(name: &str, sessions: &[&str]) -> Vec<String> {
    let place = Place::new(name);
    for (at, session) in sessions.iter().enumerate() {
        fs::write(place.path(&format!("session{at}")), session).unwrap();
    }
    // It ends as the test has no more sessions for it.
    let (folder, count) = (place.path(""), place.path("count"));
    place.program(
        "psql",
        &format!(
            "at=$(cat {count} 2>/dev/null || echo 0); echo $((at + 1)) >{count}; cat >>{folder}asked\n\
             cat {folder}session$at"
        ),
    );
    place.program(
        "sleep",
        &format!("[ -e {folder}session$(cat {count}) ] || kill $PPID"),
    );
    place.program(
        "pebble",
        &format!("echo \"$*\" >>{folder}told; cat >/dev/null"),
    );
    place.run(render::WATCH, &[&place.path("bin/psql")]);
    assert!(place.read("asked").contains("pg_stat_replication"));
    let answered = sessions.iter().any(|lines| lines.contains("seen"));
    assert_eq!(!place.read("run/answered").is_empty(), answered);
    place.read("told").lines().map(str::to_owned).collect()
}

#[test]
fn the_charm_is_woken_when_the_watchers_session_shows_something_else() {
    let quiet = told("watch-quiet", &["seen  0\nseen  0\n", "seen  0\n"]);
    assert_eq!(quiet, [""; 0], "a standby that starts has nothing to tell");
    let once = "seen a=sync 0\nseen a=sync 0\n";
    let woken = told("watch-standby", &[once, "", "noise\n", once]);
    assert_eq!(
        woken.len(),
        1,
        "a server that was away is no news: {woken:?}"
    );
    assert!(woken[0].starts_with("notify postgresql-k8s.charm/standbys seen="));
    let changes = "seen a=sync 0\nseen a=sync,b=async 0\nseen a=sync,b=async 7\n";
    let woken = told("watch-changes", &[changes]);
    assert_eq!(woken.len(), 3, "{woken:?}");
}

#[test]
fn logs_keep_to_their_part_of_the_volume_and_the_oldest_go() {
    let place = Place::new("keep-logs");
    let logs = place.path("logs");
    fs::create_dir(&logs).unwrap();
    let file = |name: &str, kilobytes: usize, age: u64| {
        let path = format!("{logs}/{name}");
        fs::write(&path, vec![b'x'; kilobytes * 1024]).unwrap();
        let then = SystemTime::now() - std::time::Duration::from_secs(age);
        fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(then)
            .unwrap();
    };
    file("postgresql-1_1200.log", 64, 1);
    file("postgresql-1_1100.log", 64, 10);
    file("patroni.log", 16, 20);
    file("patroni.log.1", 16, 30);
    file("postgresql-1_1000.log", 64, 40);
    let left = || {
        let mut left: Vec<String> = fs::read_dir(&logs)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        left
    };
    place.program("sleep", "kill $PPID");
    let volume = |kilobytes: u64| {
        let head = "Filesystem 1024-blocks Used Available Capacity Mounted on";
        place.program(
            "df",
            &format!("echo '{head}'; echo 'x {kilobytes} 1 1 1% /data'"),
        );
        place.run(render::KEEP_LOGS, &[&logs]);
    };
    volume(100_000);
    assert_eq!(left().len(), 5, "all have room");
    volume(200 * 20);
    let kept = [
        "patroni.log",
        "patroni.log.1",
        "postgresql-1_1100.log",
        "postgresql-1_1200.log",
    ];
    assert_eq!(left(), kept);
    volume(20);
    let kept = ["patroni.log", "postgresql-1_1200.log"];
    assert_eq!(left(), kept, "what is written just now stays");
}
