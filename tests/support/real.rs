//! A real PostgreSQL behind the charm's port: it runs all that the charm runs, and answers all that
//! does not depend on standbys, which the world has and it has not.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use postgresql_k8s::clients::list::SESSIONS;
use postgresql_k8s::observe::database::SETTINGS;
use postgresql_k8s::observe::{disk, follow};
use postgresql_k8s::ports::{Database, PortResult, PostgresDatabase, Server};
use secrecy::{ExposeSecret, SecretString};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::postgres::FakeDatabase;

/// What a test's own look goes by, whatever clients have set.
const UNDISTURBED: &str = "-c search_path=pg_catalog,pg_temp -c role=none \
    -c session_authorization=operator -c local_preload_libraries= -c statement_timeout=0 \
    -c exit_on_error=off -c default_transaction_read_only=off -c standard_conforming_strings=on \
    -c quote_all_identifiers=off";

/// A server of its own in a folder of its own, which ends with it.
pub struct RealServer {
    folder: TempDir,
    programs: PathBuf,
    runtime: Runtime,
    /// Database and text of each statement that the charm has run.
    pub ran: RefCell<Vec<(String, String)>>,
}

impl RealServer {
    /// Starts one, as Patroni leaves it: with `operator` as the first role, and with its other users.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("pg-").tempdir().unwrap();
        let path = folder.path().to_str().unwrap().to_owned();
        let programs = programs_below(folder.path());
        if is_root() {
            // PostgreSQL refuses to run as root.
            done(Command::new("chown").args(["postgres", &path]));
        }
        let server = Self {
            programs,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
            ran: RefCell::default(),
            folder,
        };
        let data = format!("{path}/data");
        done(server.program("initdb").args([
            "-D",
            &data,
            "-U",
            "operator",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ]));
        let options = format!(
            "-k {path} -p 5432 -c listen_addresses= -c fsync=off -c shared_buffers=16MB \
             -c max_connections=30 -c max_prepared_transactions=2 -c log_min_messages=fatal"
        );
        let log = format!("{path}/log");
        done(
            server
                .program("pg_ctl")
                .args(["-D", &data, "-l", &log, "-o", &options, "-w", "start"]),
        );
        server.sql(
            "operator",
            "postgres",
            "CREATE ROLE replication LOGIN REPLICATION; CREATE ROLE rewind LOGIN",
        );
        server
    }

    /// Directory of the server's socket.
    pub fn sockets(&self) -> &Path {
        self.folder.path()
    }

    /// Folder of the server's programs.
    pub fn programs(&self) -> &Path {
        &self.programs
    }

    fn program(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        if !is_root() {
            return Command::new(program);
        }
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    }

    /// What psql prints for statements of a user in a database: the first error ends them.
    pub fn try_sql(&self, user: &str, database: &str, sql: &str) -> Result<String, String> {
        let mut command = Command::new(self.programs.join("psql"));
        command
            .args([
                "-XqAt",
                "-v",
                "ON_ERROR_STOP=1",
                "-U",
                user,
                "-d",
                database,
                "-h",
            ])
            .arg(self.sockets())
            .arg("-f-")
            .env(
                "PGOPTIONS",
                if user == "operator" { UNDISTURBED } else { "" },
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut psql = command.spawn().unwrap();
        let mut input = psql.stdin.take().unwrap();
        let text = sql.to_owned();
        let writer = std::thread::spawn(move || {
            use std::io::Write;
            // psql stops reading at an error.
            let _ = input.write_all(text.as_bytes());
        });
        let output = psql.wait_with_output().unwrap();
        writer.join().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
        if output.status.success() {
            Ok(text(output.stdout))
        } else {
            Err(text(output.stderr))
        }
    }

    /// The same, of statements that must work.
    pub fn sql(&self, user: &str, database: &str, sql: &str) -> String {
        let told = self.try_sql(user, database, sql);
        told.unwrap_or_else(|error| panic!("{user} in {database}: {error}"))
    }
}

impl Drop for RealServer {
    fn drop(&mut self) {
        let data = self.folder.path().join("data");
        let mut stop = self.program("pg_ctl");
        let _ = stop
            .arg("-D")
            .arg(data)
            .args(["-m", "immediate", "stop"])
            .output();
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}

/// The newest PostgreSQL's programs in a folder, which they take their files from, so that some of
/// these can be the test's own.
fn programs_below(folder: &Path) -> PathBuf {
    let system = newest_programs();
    let version = system.parent().unwrap().file_name().unwrap().to_owned();
    let below = |path: &str| folder.join(path).join("postgresql").join(&version);
    let (home, share) = (below("usr/lib"), below("usr/share"));
    std::fs::create_dir_all(home.join("bin")).unwrap();
    for name in ["postgres", "initdb", "pg_ctl", "psql"] {
        std::fs::copy(system.join(name), home.join("bin").join(name)).unwrap();
    }
    std::os::unix::fs::symlink(system.parent().unwrap().join("lib"), home.join("lib")).unwrap();
    let extensions = share.join("extension");
    std::fs::create_dir_all(&extensions).unwrap();
    let link_all = |from: &Path, to: &Path| {
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() != "extension" {
                std::os::unix::fs::symlink(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
    };
    let system = Path::new("/usr/share/postgresql").join(&version);
    link_all(&system, &share);
    link_all(&system.join("extension"), &extensions);
    careless_extensions(&extensions);
    home.join("bin")
}

/// Extensions as careless as some are: their scripts call what is not named in full, with arguments
/// that something else may fit better. One can be moved, one cannot, and one is at home in
/// PostgreSQL's own schema.
fn careless_extensions(folder: &Path) {
    for (name, control) in [
        ("debversion", "relocatable = true"),
        ("prefix", "relocatable = false"),
        ("hll", "relocatable = false\nschema = pg_catalog"),
    ] {
        let control = format!("default_version = '1.0'\n{control}\n");
        std::fs::write(folder.join(format!("{name}.control")), control).unwrap();
        let script = format!(
            "SELECT upper('a'::varchar), 'a'::name = 'a'::varchar, length('a'::name);\n\
             CREATE FUNCTION {name}_made(text) RETURNS text LANGUAGE sql AS 'SELECT $1';\n\
             SELECT {name}_made('a'::varchar);\n"
        );
        std::fs::write(folder.join(format!("{name}--1.0.sql")), script).unwrap();
    }
}

fn newest_programs() -> PathBuf {
    let all = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed");
    let versions = all.filter_map(|entry| {
        let path = entry.ok()?.path();
        let version: u32 = path.file_name()?.to_str()?.parse().ok()?;
        path.join("bin/initdb")
            .exists()
            .then(|| (version, path.join("bin")))
    });
    versions
        .max()
        .expect("a server of PostgreSQL is installed")
        .1
}

fn done(command: &mut Command) -> Output {
    // What it starts must not keep this test's output open.
    let output = command.stdin(Stdio::null()).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    output
}

/// The port of one unit.
pub struct RealDatabase<'a> {
    server: &'a RealServer,
    real: PostgresDatabase<'a>,
    fake: &'a FakeDatabase<'a>,
}

impl<'a> RealDatabase<'a> {
    pub fn new(server: &'a RealServer, fake: &'a FakeDatabase<'a>) -> Self {
        let real = PostgresDatabase::with_sockets(&server.runtime, server.sockets());
        Self { server, real, fake }
    }

    fn note(&self, database: &str, sql: &str) {
        let entry = (database.to_owned(), sql.to_owned());
        self.server.ran.borrow_mut().push(entry);
    }
}

type Rows = Vec<Vec<Option<String>>>;

impl Database for RealDatabase<'_> {
    fn query(&self, server: &Server, sql: &str) -> PortResult<Rows> {
        let world = self.fake.query(server, sql)?;
        self.note("postgres", sql);
        let mut real = self.real.query(&Server::Own, sql)?;
        if [follow::STANDBY, disk::SLOTS].contains(&sql) {
            return Ok(world);
        }
        // Who streams, the world alone knows.
        let streams = |row: &Vec<Option<String>>| {
            let kind = row[0].as_deref();
            matches!(kind, Some("standby" | "awaited"))
        };
        real.extend(world.into_iter().filter(streams));
        Ok(real)
    }

    fn execute(&self, server: &Server, statements: &[SecretString]) -> PortResult<()> {
        for statement in statements {
            self.note("postgres", statement.expose_secret());
        }
        self.real.execute(&Server::Own, statements)?;
        self.fake.execute(server, statements)
    }

    fn look(&self, server: &Server, sql: &'static str, parameters: &[&str]) -> PortResult<Rows> {
        self.note("postgres", sql);
        let real = self.real.look(&Server::Own, sql, parameters)?;
        if [SESSIONS, SETTINGS, follow::UPSTREAM].contains(&sql) {
            return self.fake.look(server, sql, parameters);
        }
        Ok(real)
    }

    fn look_in(&self, _: &Server, database: &str, sql: &'static str) -> PortResult<Rows> {
        self.note(database, sql);
        self.real.look_in(&Server::Own, database, sql)
    }

    fn run(
        &self,
        _: &Server,
        database: &str,
        transaction: bool,
        statements: &[SecretString],
    ) -> PortResult<()> {
        for statement in statements {
            self.note(database, statement.expose_secret());
        }
        self.real
            .run(&Server::Own, database, transaction, statements)
    }
}
