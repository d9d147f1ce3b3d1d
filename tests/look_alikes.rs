//! Whatever a client puts into its database to be taken for something of PostgreSQL's own, none of the
//! charm's sessions calls it: shown on a real PostgreSQL, with every hook and action, for every
//! function, operator, type and catalogue that the statements name. The statements are those that the
//! charm runs, and none in its sources is left out.

#![allow(
    unused_imports,
    clippy::struct_excessive_bools,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by them"
)]

mod support;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;

use cluster_plan::names::Names;
use juju::{Event, SecretEvent, StorageEvent, WorkloadEvent};
use postgresql_k8s::clients::{list, rotate};
use postgresql_k8s::handlers::{actions, refresh};
use postgresql_k8s::render;
use secrecy::ExposeSecret;
use serde_json::json;
use support::real::RealServer;
use support::related::{SECRETS, deploy, related};
use support::{APP, Outcome, World, notice, pebble_ready, peers_changed};

/// The databases that clients own, and the users that plant in them; one of them one has made itself.
const MODERN: [(&str, &str); 5] = [
    ("relation_id_5", "plain"),
    ("relation_id_6", "maker"),
    ("relation_id_6", "made"),
    ("relation_id_7", "roles"),
    ("relation_id_8", "boss"),
];

/// The same, of the interface that cannot be mixed with the other one.
const LEGACY: [(&str, &str); 2] = [
    ("relation_id_9", "old-fashioned"),
    ("relation_id_13", "all-mine"),
];

fn world() -> (World, Rc<RealServer>) {
    let server = Rc::new(RealServer::start());
    let world = World::of(2);
    world.with(|state| {
        state.real = Some(Rc::clone(&server));
        // The real server keeps what the charm gives it.
        state.cheap_passwords = false;
    });
    deploy(&world, 2);
    (world, server)
}

/// Clients of each kind of request, and what they have made.
fn clients(world: &World, server: &RealServer) {
    let attributes = |name, roles| [("database", name), ("extra-user-roles", roles), SECRETS];
    related(world, "database:5", &[("database", "plain"), SECRETS]);
    related(world, "database:6", &attributes("maker", "createdb"));
    related(
        world,
        "database:7",
        &attributes("roles", "createrole,admin"),
    );
    related(world, "database:8", &attributes("boss", "superuser"));
    server.sql("relation_id_5", "plain", "CREATE TABLE orders (n int)");
    let permissions =
        r#"[{"resource_name": "orders", "resource_type": "TABLE", "privileges": ["SELECT"]}]"#;
    let secrets = (SECRETS.0, r#"["entity-name", "entity-password"]"#);
    let asks = |kind, permissions| {
        [
            ("database", "plain"),
            ("entity-type", kind),
            ("entity-permissions", permissions),
            secrets,
        ]
    };
    related(world, "database:10", &asks("USER", permissions));
    related(world, "database:11", &asks("GROUP", permissions));
    world.relate("database:10", "app", &asks("USER", "[]"));
    assert_eq!(world.hook(0, &world.changed("database:10")), Outcome::Done);
    related(
        world,
        "database:12",
        &[("database", "pla*"), ("prefix-matching", "all"), SECRETS],
    );
    server.sql("relation_id_6", "maker", "CREATE DATABASE made");
}

/// Clients of the legacy interface.
fn legacy_clients(world: &World) {
    for (id, database) in [("db:9", "old-fashioned"), ("db-admin:13", "all-mine")] {
        world.relate(id, "app", &[("database", database)]);
        world.with(|state| {
            let relation = state.clients.relations.get_mut(id).unwrap();
            let bag = [("egress-subnets".to_owned(), "10.1.0.9/32".to_owned())].into();
            relation.units.insert("app/0".into(), bag);
        });
        assert_eq!(world.hook(0, &world.changed(id)), Outcome::Done);
    }
}

/// A pooler has the charm's function make the roles of a database.
fn pooler(server: &RealServer, database: &str) {
    let sql = "SET search_path TO \"$user\", public; SET ROLE charmed_databases_owner; \
               SELECT set_up_predefined_catalog_roles()";
    server.sql("operator", database, sql);
}

/// Every kind of hook, then every action, then clients that come, are turned and go.
fn life(world: &World, server: &RealServer, databases: &[&str]) {
    let container = WorkloadEvent {
        container: "postgresql".into(),
    };
    for unit in [0, 1] {
        for event in [
            Event::Install,
            Event::Start,
            Event::ConfigChanged,
            Event::UpdateStatus,
            Event::UpgradeCharm,
            Event::LeaderElected,
            pebble_ready(),
            notice(),
            peers_changed(),
            Event::PebbleCheckFailed(juju::CheckEvent {
                container: container.container.clone(),
                ..Default::default()
            }),
            Event::PebbleCheckRecovered(juju::CheckEvent {
                container: container.container.clone(),
                ..Default::default()
            }),
            Event::SecretChanged(SecretEvent {
                id: "secret:given".into(),
                ..SecretEvent::default()
            }),
        ] {
            if unit == 0 || event != Event::LeaderElected {
                assert_eq!(world.hook(unit, &event), Outcome::Done, "{event:?}");
            }
        }
    }
    world.settle();
    world.with(|state| state.unit(0).disk_used = 80);
    assert_eq!(world.hook(0, &Event::UpdateStatus), Outcome::Done);
    world.with(|state| state.unit(0).disk_used = 0);
    // What waits for a restart is compared with what each member runs with.
    world.with(|state| state.unit(1).pending_restart = true);
    assert_eq!(world.hook(0, &Event::UpdateStatus), Outcome::Done);
    world.settle();
    // A standby that is back too late asks its primary.
    let before = world.with(|state| std::mem::replace(&mut state.oldest_wal, 1000));
    assert_eq!(world.hook(1, &notice()), Outcome::Done);
    world.with(|state| state.oldest_wal = before);
    world.settle();
    // A role of the charm's own that has gone is made again.
    server.sql(
        "operator",
        "postgres",
        "DROP OWNED BY rewind; DROP ROLE rewind",
    );
    world.with(|state| state.roles.remove("rewind"));
    assert_eq!(world.hook(0, &Event::UpdateStatus), Outcome::Done);
    for on in [true, false] {
        for name in ["hstore", "earthdistance", "debversion", "prefix", "hll"] {
            let option = format!("plugin_{name}_enable");
            world.with(|state| state.config.insert(option, json!(on)));
            assert_eq!(world.hook(0, &Event::ConfigChanged), Outcome::Done);
        }
        world.settle();
        if on {
            let there = "SELECT count(*) FROM pg_extension WHERE extname IN ('hstore', 'debversion', 'hll')";
            for database in databases {
                let told = (
                    world.status(0),
                    world.with(|state| state.app_status.clone()),
                );
                assert_eq!(
                    server.sql("operator", database, there),
                    "3",
                    "{database}: {told:?}"
                );
            }
        }
    }
    world.settle();
    let _ = world.action(0, actions::get_primary);
    let _ = world.action(0, |hook| {
        actions::get_password(hook, actions::GetPassword::default())
    });
    let set = |name: &str| actions::SetPassword {
        username: Some(name.to_owned()),
        password: None,
    };
    for user in ["operator", "monitoring"] {
        world
            .action(0, |hook| actions::set_password(hook, set(user)))
            .unwrap();
    }
    world.action(0, list::list).unwrap();
    let _ = world.action(0, refresh::pre_upgrade_check);
    let _ = world.action(0, refresh::resume_upgrade);
    let promote = actions::Promote {
        scope: Some("unit".into()),
        force: false,
    };
    let _ = world.action(1, |hook| actions::promote_to_primary(hook, &promote));
    world.settle();
    scripts(server);
}

/// What clients of the newer interface can be done to: rotations, others that come, and their end.
fn turns(world: &World, server: &RealServer) {
    for retire_old in [false, true, false, true] {
        let turn = rotate::Rotate {
            relation: Some(5.into()),
            retire_old,
        };
        world.action(0, |hook| rotate::rotate(hook, &turn)).unwrap();
    }
    // One asks for what another one has made, and one for what a person or the peer charm has.
    let owner = |database: &str| {
        let sql = format!("SELECT datdba::regrole FROM pg_database WHERE datname = '{database}'");
        server.sql("operator", "postgres", &sql)
    };
    related(world, "database:20", &[("database", "made"), SECRETS]);
    assert_eq!(
        owner("made"),
        "relation_id_6",
        "a client's database stays its own"
    );
    related(world, "database:21", &[("database", "old"), SECRETS]);
    assert_eq!(owner("old"), "old", "{:?}", world.status(0));
    let left = "SELECT count(*) FROM pg_class WHERE relowner = 'relation_id_77'::regrole";
    assert_eq!(server.sql("operator", "old", left), "0");
}

/// The members' authority is replaced, as two thirds of its life are over.
fn authority(world: &World) {
    world.with(|state| state.tls.now += 7 * 365 * 24 * 3600);
    for _ in 0..10 {
        for unit in [0, 1] {
            assert_eq!(world.hook(unit, &Event::UpdateStatus), Outcome::Done);
        }
        world.with(support::State::let_patroni_work);
    }
}

/// One that goes is held by another one's prepared transaction, and has a database that somebody has
/// half dropped.
fn held(world: &World, server: &RealServer) {
    let acts = |database: &str, sql: &str| server.sql("operator", database, sql);
    acts("postgres", "CREATE DATABASE broken OWNER relation_id_6");
    acts(
        "broken",
        "SET ROLE relation_id_6; CREATE TABLE public.t (n int); \
         GRANT SELECT ON public.t TO relation_id_5",
    );
    acts(
        "postgres",
        "UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'broken'",
    );
    acts(
        "maker",
        "SET idle_in_transaction_session_timeout = 0; SET ROLE maker; \
         CREATE TABLE public.bait_for_5 (n int); BEGIN; \
         GRANT SELECT ON public.bait_for_5 TO relation_id_5; PREPARE TRANSACTION 'held'",
    );
    world.unrelate("database:5");
    assert_eq!(world.hook(0, &Event::UpdateStatus), Outcome::Done);
    assert_eq!(
        world.status(0).1,
        "2 clients have problems: database:20, relation_id_5, see the log"
    );
    world.unrelate("database:20");
    assert_eq!(world.hook(0, &Event::UpdateStatus), Outcome::Done);
    assert_eq!(
        world.status(0).1,
        "user relation_id_5 stays: end the prepared transaction in maker"
    );
    acts("maker", "ROLLBACK PREPARED 'held'");
    assert_eq!(world.hook(0, &Event::UpdateStatus), Outcome::Done);
    let there = "SELECT (SELECT count(*) FROM pg_roles WHERE rolname = 'relation_id_5'), \
                 (SELECT count(*) FROM pg_database WHERE datname = 'broken')";
    assert_eq!(acts("postgres", there), "0|0");
}

/// Their relations go, and the second unit after them.
fn ends(world: &World, relations: &[&str]) {
    world.settle();
    for id in relations {
        world.unrelate(id);
        assert_eq!(world.hook(0, &Event::UpdateStatus), Outcome::Done);
    }
    for event in [
        Event::StorageDetaching(StorageEvent::default()),
        Event::Stop,
    ] {
        assert_eq!(world.hook(1, &event), Outcome::Done, "{event:?}");
    }
}

/// A database of the peer charm's time, with what its client has left there.
fn old_database(server: &RealServer) {
    server.sql(
        "operator",
        "postgres",
        "CREATE ROLE relation_id_77 LOGIN; CREATE DATABASE old; GRANT ALL ON DATABASE old TO relation_id_77",
    );
    server.sql(
        "operator",
        "old",
        "GRANT ALL ON SCHEMA public TO relation_id_77",
    );
    server.sql(
        "relation_id_77",
        "old",
        "CREATE TABLE left_here (n serial); CREATE VIEW seen AS SELECT 1 AS one; \
         CREATE TYPE mood AS ENUM ('fine'); CREATE SCHEMA mine; SELECT lo_create(0); \
         CREATE FUNCTION mine.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    );
}

/// The scripts in the workload that ask PostgreSQL by psql.
fn scripts(server: &RealServer) {
    let names = Names::new(APP, "m");
    let major: u32 = {
        let folder = server.programs().parent().unwrap();
        folder
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .parse()
            .unwrap()
    };
    let psql = server.programs().join("psql");
    let callback = render::callback(&[names.member(1)], Some(major));
    let watch = render::watch(Some(major));
    for (file, arguments) in [
        (callback, vec!["on_role_change", "primary", "scope"]),
        (watch, vec![psql.to_str().unwrap()]),
    ] {
        let sockets = server.sockets().to_str().unwrap();
        let script = file
            .content
            .expose_secret()
            .replace("/var/run/postgresql", sockets);
        let run = Command::new("timeout")
            .args(["3", "sh", "-c", &script, "script"])
            .args(arguments)
            .env("PEBBLE_BIN", "true")
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&run.stderr);
        assert!(
            !errors.contains("ERROR") && !errors.contains("FATAL"),
            "{errors}"
        );
    }
    let slots = "SELECT count(*) FROM pg_replication_slots";
    assert_eq!(
        server.sql("operator", "postgres", slots),
        "1",
        "the callback has made it"
    );
}

/// The SQL in string literals of the charm's sources: each up to where something is put in.
fn in_the_sources() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src"), root.join("crates/cluster-plan/src")];
    let mut found = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs")
                && path.file_stem().unwrap() != "tests"
            {
                found.extend(literals(&std::fs::read_to_string(path).unwrap()));
            }
        }
    }
    found
}

const VERBS: [&str; 13] = [
    "SELECT ",
    "WITH ",
    "ALTER ",
    "CREATE ",
    "DROP ",
    "GRANT ",
    "REVOKE ",
    "REASSIGN ",
    "LOCK ",
    "SET LOCAL ",
    "BEGIN; ",
    "DECLARE ",
    "COMMENT ",
];

fn literals(source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]").next().unwrap();
    let mut found = Vec::new();
    for line_or_more in code.split("\n\n") {
        let lines = line_or_more
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        let text: Vec<&str> = lines.collect();
        let text = text.join("\n").replace("'\"'", "");
        let mut parts = text.split('"');
        parts.next();
        // Escaped quotes end a fragment as well as a literal does.
        while let Some(inside) = parts.next() {
            let mut joined = String::new();
            for line in inside.split("\\\n") {
                joined.push_str(if joined.is_empty() {
                    line
                } else {
                    line.trim_start()
                });
            }
            if VERBS.iter().any(|verb| joined.starts_with(verb)) {
                let fragment = joined.split(['{', '\\']).next().unwrap().trim_end();
                found.push(fragment.to_owned());
            }
            parts.next();
        }
    }
    found
}

/// Names of PostgreSQL's own that may stand in the statements: all words.
fn words(statements: &[(String, String)]) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    statements
        .iter()
        .flat_map(|(_, sql)| sql.split(move |c| !word(c)))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Types that the charm's statements have values of, and others that a call could be a better match for.
const TYPES: [&str; 14] = [
    "text",
    "name",
    "varchar",
    "oid",
    "int4",
    "int8",
    "bool",
    "\"char\"",
    "json",
    "timestamptz",
    "regclass",
    "pg_lsn",
    "text[]",
    "name[]",
];

const OPERATORS: [&str; 13] = [
    "=", "<>", "<", ">", "<=", ">=", "~", "!~", "!~*", "||", "+", "-", "/",
];

/// What records that it was called, in the name of whom: not undone where the caller's work is.
const RECORDER: &str = "\
CREATE SEQUENCE public.calls; CREATE TABLE public.recorded (caller text, what text); \
GRANT ALL ON public.recorded, public.calls TO PUBLIC; \
CREATE FUNCTION public.record(what text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN \
  PERFORM pg_catalog.nextval('public.calls'); \
  INSERT INTO public.recorded VALUES (session_user, what); RETURN true; \
  EXCEPTION WHEN OTHERS THEN RETURN true; END $$;\n";

/// Look-alikes for all that the statements name, of what the catalogue offers.
fn look_alikes(server: &RealServer, words: &BTreeSet<String>) -> String {
    let mut sql = String::from("SET search_path = pg_catalog; SET check_function_bodies = off;\n");
    sql.push_str(RECORDER);
    let function = |sql: &mut String, name: &str, types: &[&str]| {
        let arguments = types.join(", ");
        let _ = writeln!(
            sql,
            "CREATE FUNCTION public.\"{name}\"({arguments}) RETURNS text LANGUAGE plpgsql AS \
             $$ BEGIN PERFORM public.record('{name}({arguments})'); RETURN NULL; END $$;"
        );
    };
    let named = |catalogue: &str, name: &str, whole: &str| -> Vec<(String, String)> {
        let list: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        let sql = format!(
            "SELECT DISTINCT {name}, {whole} FROM pg_catalog.{catalogue} WHERE {name}::text IN ({}) ORDER BY 1, 2",
            list.join(", ")
        );
        let told = server.sql("operator", "postgres", &sql);
        told.lines()
            .filter_map(|line| line.split_once('|'))
            .map(|(name, rest)| (name.to_owned(), rest.to_owned()))
            .collect()
    };
    let mut done = BTreeSet::new();
    let own = named(
        "pg_proc",
        "proname",
        "pg_catalog.pg_get_function_identity_arguments(oid)",
    );
    for (name, arguments) in &own {
        let count = arguments.split(", ").filter(|one| !one.is_empty()).count();
        let mut shapes: Vec<Vec<&str>> = match count {
            0 => vec![vec![]],
            1 => TYPES.iter().map(|one| vec![*one]).collect(),
            2 => pairs().map(|(l, r)| vec![l, r]).collect(),
            _ => TYPES.iter().map(|one| vec![*one; count]).collect(),
        };
        let bare = |one: &str| !one.contains(' ') && !one.contains("any") && one != "internal";
        let exact: Vec<&str> = arguments
            .split(", ")
            .filter(|one| !one.is_empty())
            .collect();
        if exact.iter().all(|one| bare(one)) {
            shapes.push(exact);
        }
        for shape in shapes {
            let canonical: Vec<&str> = shape
                .iter()
                .map(|one| match *one {
                    "integer" => "int4",
                    "bigint" => "int8",
                    "boolean" => "bool",
                    other => other,
                })
                .collect();
            if done.insert((name.clone(), canonical.join(","))) {
                function(&mut sql, name, &canonical);
            }
        }
    }
    assert!(done.len() > 1000, "{} functions", done.len());
    for (left, right) in pairs() {
        function(&mut sql, "operates", &[left, right]);
        for operator in OPERATORS {
            let _ = writeln!(
                sql,
                "CREATE OPERATOR public.{operator} (LEFTARG = {left}, RIGHTARG = {right}, FUNCTION = public.operates);"
            );
        }
    }
    let domains = TYPES.iter().filter(|name| !name.contains(['"', '[']));
    for name in domains {
        let _ = writeln!(
            sql,
            "CREATE DOMAIN public.\"{name}\" AS pg_catalog.{name} CHECK (public.record('domain {name}'));"
        );
    }
    for (name, columns) in named(
        "pg_class",
        "relname",
        "(SELECT string_agg(quote_ident(attname), ' ') FROM pg_catalog.pg_attribute \
          WHERE attrelid = pg_class.oid AND attnum > 0)",
    ) {
        let columns: Vec<String> = columns
            .split(' ')
            .map(|column| format!("public.record('view {name}') AS {column}"))
            .collect();
        let _ = writeln!(
            sql,
            "CREATE VIEW public.\"{name}\" AS SELECT {};",
            columns.join(", ")
        );
    }
    sql
}

fn pairs() -> impl Iterator<Item = (&'static str, &'static str)> {
    TYPES
        .into_iter()
        .flat_map(|left| TYPES.into_iter().map(move |right| (left, right)))
}

/// Settings by which a database's owner could change or stop a session that pins none.
const SETTINGS: [&str; 12] = [
    "search_path = public, pg_catalog",
    "role = 'pg_monitor'",
    "local_preload_libraries = 'there_is_no_such_library'",
    "statement_timeout = 1",
    "lock_timeout = 1",
    "idle_in_transaction_session_timeout = 1",
    "default_transaction_read_only = on",
    "default_transaction_isolation = serializable",
    "exit_on_error = on",
    "standard_conforming_strings = off",
    "quote_all_identifiers = on",
    "row_security = off",
];

/// What only a superuser can make.
const EVENT_TRIGGER: &str = "\
CREATE FUNCTION public.fires() RETURNS event_trigger LANGUAGE plpgsql AS \
  $$ BEGIN PERFORM public.record('event trigger'); END $$; \
CREATE EVENT TRIGGER fires ON ddl_command_start EXECUTE FUNCTION public.fires()";

/// Whoever makes an extension may call its own functions and operators a part of it.
const AS_MEMBERS: &str = "\
CREATE SCHEMA theirs; CREATE EXTENSION seg SCHEMA theirs; CREATE EXTENSION cube SCHEMA theirs; \
CREATE FUNCTION theirs.upper(varchar) RETURNS text LANGUAGE sql AS \
  $$ SELECT public.record('beside what is required'); SELECT ''::text $$; \
ALTER EXTENSION cube ADD FUNCTION theirs.upper(varchar); \
DO $$ DECLARE item record; BEGIN \
  FOR item IN SELECT p.oid::pg_catalog.regprocedure AS name FROM pg_catalog.pg_proc p \
      WHERE p.proname IN ('upper', 'length') \
        AND p.pronamespace = 'public'::pg_catalog.regnamespace LOOP \
    EXECUTE pg_catalog.format('ALTER EXTENSION seg ADD FUNCTION %s', item.name); END LOOP; \
  FOR item IN SELECT o.oid::pg_catalog.regoperator AS name FROM pg_catalog.pg_operator o \
      WHERE o.oprnamespace = 'public'::pg_catalog.regnamespace LOOP \
    EXECUTE pg_catalog.format('ALTER EXTENSION seg ADD OPERATOR %s', item.name); END LOOP; \
END $$";

fn superuser(server: &RealServer, user: &str) -> bool {
    let sql = format!("SELECT rolsuper FROM pg_roles WHERE rolname = '{user}'");
    server.sql("operator", "postgres", &sql) == "t"
}

/// Plants all of it in a database, as the user that owns it.
fn plant(server: &RealServer, user: &str, database: &str, sql: &str) {
    server.sql(user, database, sql);
    server.sql(user, database, AS_MEMBERS);
    if superuser(server, user) {
        server.sql(user, database, EVENT_TRIGGER);
    }
    for setting in SETTINGS {
        server.sql(
            "operator",
            "postgres",
            &format!("ALTER DATABASE \"{database}\" SET {setting}"),
        );
    }
}

/// All that clients of one interface can live through, with this planted where they can.
fn lives(legacy: bool, planted: Option<&BTreeSet<String>>) -> Rc<RealServer> {
    let (world, server) = world();
    let (planters, relations): (&[_], &[_]) = if legacy {
        legacy_clients(&world);
        (&LEGACY, &["db:9", "db-admin:13"])
    } else {
        clients(&world, &server);
        old_database(&server);
        let all = [6, 7, 8, 10, 11, 12, 21].map(|n| format!("database:{n}"));
        let all: Vec<&str> = all.map(|id| &*id.leak()).into();
        (&MODERN, all.leak())
    };
    let mut planters = planters.to_vec();
    if !legacy {
        planters.push(("relation_id_77", "old"));
    }
    if let Some(words) = planted {
        let sql = look_alikes(&server, words);
        for (user, database) in &planters {
            plant(&server, user, database, &sql);
        }
    }
    let databases: Vec<&str> = planters.iter().map(|(_, database)| *database).collect();
    if !legacy {
        pooler(&server, "plain");
    }
    life(&world, &server, &databases);
    if planted.is_some() {
        for database in &databases {
            nothing_called(&server, database);
        }
    }
    if !legacy {
        turns(&world, &server);
    }
    authority(&world);
    if !legacy {
        held(&world, &server);
    }
    ends(&world, relations);
    if planted.is_some() {
        for database in databases {
            nothing_called(&server, database);
        }
    }
    let left = "SELECT rolname FROM pg_roles WHERE rolname ~ '^relation_id_' AND rolname <> 'relation_id_77'";
    let left = server.sql("operator", "postgres", left);
    assert_eq!(
        left,
        "",
        "every user whose relation is gone is removed: {:?}",
        world.status(0)
    );
    server
}

fn nothing_called(server: &RealServer, database: &str) {
    let called = server.sql("operator", database, "SELECT is_called FROM public.calls");
    let recorded = "SELECT DISTINCT caller, what FROM public.recorded LIMIT 20";
    let recorded = server.sql("operator", database, recorded);
    assert_eq!(called, "f", "called in {database}: {recorded}");
    let inherited = "SELECT count(*) FROM pg_proc WHERE proname = 'record' AND proowner = 10";
    let inherited = server.sql("operator", database, inherited);
    assert_eq!(inherited, "0", "operator inherits in {database}");
}

#[test]
fn nothing_that_a_client_plants_is_ever_called_by_the_charm() {
    // The first lives tell which statements there are.
    let mut ran = lives(false, None).ran.take();
    ran.extend(lives(true, None).ran.take());
    let mut never = in_the_sources();
    // What is within a literal of its own has its quotes twice.
    never.retain(|fragment| {
        let same = |sql: &str| sql.contains(fragment) || sql.replace("''", "'").contains(fragment);
        !ran.iter().any(|(_, sql)| same(sql))
    });
    assert!(
        never.is_empty(),
        "no hook or action of this test runs {never:#?}"
    );
    let mut words = words(&ran);
    words.extend(["upper", "length"].map(str::to_owned));
    lives(false, Some(&words));
    lives(true, Some(&words));
}

/// A function shows to others once its transaction has ended, so nothing that might call it is made
/// before that.
#[test]
fn an_extension_waits_for_the_transactions_that_may_add_what_its_script_calls() {
    let (world, server) = world();
    related(&world, "database:5", &[("database", "plain"), SECRETS]);
    server.sql(
        "relation_id_5",
        "plain",
        "BEGIN; CREATE FUNCTION public.upper(varchar) RETURNS text LANGUAGE sql AS 'SELECT ''x''::text'; \
         PREPARE TRANSACTION 'later'",
    );
    world.with(|state| {
        state
            .config
            .insert("plugin_prefix_enable".into(), json!(true))
    });
    assert_eq!(world.hook(0, &Event::ConfigChanged), Outcome::Done);
    let there = || {
        let sql = "SELECT count(*) FROM pg_extension WHERE extname = 'prefix'";
        server.sql("operator", "plain", sql)
    };
    assert_eq!(there(), "0");
    let (_, told) = world.status(0);
    assert!(
        told.contains("database plain") && told.contains("a transaction is open"),
        "{told}"
    );
    server.sql("operator", "plain", "COMMIT PREPARED 'later'");
    assert_eq!(world.hook(0, &Event::UpdateStatus), Outcome::Done);
    assert_eq!(there(), "0");
    assert!(world.status(0).1.contains("upper"), "{:?}", world.status(0));
    server.sql(
        "relation_id_5",
        "plain",
        "DROP FUNCTION public.upper(varchar)",
    );
    assert_eq!(world.hook(0, &Event::UpdateStatus), Outcome::Done);
    assert_eq!(there(), "1", "{:?}", world.status(0));
}

/// More tables than PostgreSQL's table of locks has room for.
#[test]
fn a_client_goes_however_many_tables_it_leaves() {
    let (world, server) = world();
    related(&world, "database:5", &[("database", "plain"), SECRETS]);
    server.sql(
        "relation_id_5",
        "plain",
        "SET ROLE NONE; CREATE SCHEMA heap; \
         DO $$ BEGIN FOR i IN 1..6000 LOOP EXECUTE format('CREATE TABLE heap.t%s ()', i); \
           IF i % 100 = 0 THEN COMMIT; END IF; END LOOP; END $$; \
         CREATE TABLE heap.\"it's %s\" (n serial, m int GENERATED ALWAYS AS IDENTITY); \
         CREATE VIEW heap.v AS SELECT 1 AS n; CREATE SEQUENCE heap.s; \
         CREATE TABLE heap.parts (n int) PARTITION BY RANGE (n); \
         CREATE TABLE heap.part PARTITION OF heap.parts FOR VALUES FROM (1) TO (2)",
    );
    world.unrelate("database:5");
    assert_eq!(world.hook(0, &Event::UpdateStatus), Outcome::Done);
    let left = "SELECT count(*) FROM pg_roles WHERE rolname = 'relation_id_5'";
    let told = world.status(0);
    assert_eq!(server.sql("operator", "postgres", left), "0", "{told:?}");
    let theirs = "SELECT count(*) >= 6000 FROM pg_class WHERE relowner = 'plain'::regrole";
    assert_eq!(server.sql("operator", "plain", theirs), "t");
}
