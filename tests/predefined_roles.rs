//! With PostgreSQL 15 and newer a pooler finds what the peer charm's 16 track promises it, and clients may
//! ask for that track's roles: shown on a real PostgreSQL, with statements such as poolers run.

#![allow(
    unused_imports,
    clippy::similar_names,
    clippy::struct_excessive_bools,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by them"
)]

mod support;

use std::rc::Rc;

use juju::Event;
use support::real::RealServer;
use support::related::{SECRETS, deploy, related};
use support::{Outcome, Role, World};

const SET_UP: &str = "SELECT set_up_predefined_catalog_roles()";
const WHO: &str = "SELECT session_user, current_user";

/// A unit on a server that has these roles already.
fn world(before: &[&str]) -> (World, Rc<RealServer>) {
    let server = Rc::new(RealServer::start());
    let world = World::of(1);
    for name in before {
        server.sql("operator", "postgres", &format!("CREATE ROLE {name} LOGIN"));
        world.with(|state| state.roles.insert((*name).to_owned(), Role::default()));
    }
    if let [others @ .., last] = before {
        let sql = format!("GRANT {} TO {last}", others.join(", "));
        server.sql("operator", "postgres", &sql);
    }
    world.with(|state| {
        state.real = Some(Rc::clone(&server));
        state.cheap_passwords = false;
    });
    deploy(&world, 1);
    (world, server)
}

/// Asks for a database with roles.
fn asks(world: &World, id: &str, database: &str, roles: &str) {
    let request = [("database", database), ("extra-user-roles", roles), SECRETS];
    related(world, id, &request);
}

/// A pooler is related, and has made a database as it does for a client that asks it for one.
fn pooler(world: &World, server: &RealServer, database: &str) {
    if !world.client_users().contains(&"relation_id_8".to_owned()) {
        asks(world, "database:8", "pooler", "SUPERUSER");
        world.settle();
    }
    server.sql(
        "relation_id_8",
        "pooler",
        &format!(
            "SET ROLE charmed_databases_owner; CREATE DATABASE {database}; \
             REVOKE ALL PRIVILEGES ON DATABASE {database} FROM PUBLIC"
        ),
    );
    pooled(server, database);
}

/// It makes the roles of a database.
fn pooled(server: &RealServer, database: &str) {
    let sql = format!("SET ROLE charmed_databases_owner; {SET_UP}");
    server.sql("relation_id_8", database, &sql);
}

/// It makes a client's user, whom the next hook sees.
fn user(world: &World, server: &RealServer, name: &str, roles: &str) {
    let sql = format!("CREATE ROLE {name} LOGIN IN ROLE {roles}; GRANT relation_access TO {name}");
    server.sql("relation_id_8", "pooler", &sql);
    world.settle();
    assert_eq!(world.hook(0, &Event::UpdateStatus), Outcome::Done);
}

fn refused(server: &RealServer, user: &str, database: &str, sql: &str, why: &str) {
    let error = server.try_sql(user, database, sql).unwrap_err();
    assert!(error.contains(why), "{user} in {database}: {sql}: {error}");
}

#[test]
fn a_poolers_clients_act_as_the_owner_of_their_database() {
    let (world, server) = world(&[]);
    pooler(&world, &server, "shop");
    for name in ["relation_id_30", "relation_id_31"] {
        user(
            &world,
            &server,
            name,
            "charmed_shop_admin, charmed_shop_dml",
        );
        let told = server.sql(name, "shop", WHO);
        assert_eq!(told, format!("{name}|charmed_shop_owner"));
        refused(
            &server,
            name,
            "pooler",
            "SELECT 1",
            "permission denied for database",
        );
    }
    let makes = "CREATE TABLE orders (n int); INSERT INTO orders VALUES (1); CREATE SCHEMA own";
    server.sql("relation_id_30", "shop", makes);
    server.sql(
        "relation_id_31",
        "shop",
        "INSERT INTO orders VALUES (2); ALTER TABLE orders ADD COLUMN t text",
    );
    // Once more is no harm, and the pooler takes its user away as it does.
    pooled(&server, "shop");
    let goes = "REASSIGN OWNED BY relation_id_30 TO relation_id_8; DROP OWNED BY relation_id_30";
    server.sql("relation_id_8", "shop", goes);
    server.sql("relation_id_8", "pooler", "DROP ROLE relation_id_30");
    assert_eq!(
        server.sql("relation_id_31", "shop", "SELECT count(*) FROM orders"),
        "2"
    );
    // The pooler goes, and another one is related.
    world.unrelate("database:8");
    world.settle();
    assert_eq!(world.hook(0, &Event::UpdateStatus), Outcome::Done);
    world.settle();
    assert_eq!(world.status(0).0, "active", "{:?}", world.status(0));
    asks(&world, "database:9", "pooler", "SUPERUSER");
    let again = format!("SET ROLE charmed_databases_owner; {SET_UP}");
    server.sql("relation_id_9", "shop", &again);
    assert_eq!(
        server.sql("relation_id_31", "shop", "SELECT count(*) FROM orders"),
        "2"
    );
}

#[test]
fn a_poolers_clients_share_a_database_with_the_charms_own() {
    let (world, server) = world(&[]);
    related(&world, "database:5", &[("database", "plain"), SECRETS]);
    server.sql("relation_id_5", "plain", "CREATE TABLE orders (n int)");
    asks(&world, "database:8", "pooler", "SUPERUSER");
    pooled(&server, "plain");
    user(
        &world,
        &server,
        "relation_id_30",
        "charmed_plain_admin, charmed_plain_dml",
    );
    assert_eq!(
        server.sql("relation_id_30", "plain", WHO),
        "relation_id_30|plain"
    );
    server.sql(
        "relation_id_30",
        "plain",
        "INSERT INTO orders VALUES (1); CREATE TABLE bills (n int)",
    );
    server.sql(
        "relation_id_5",
        "plain",
        "DROP TABLE bills; INSERT INTO orders VALUES (2)",
    );
    let owner = "SELECT datdba::regrole FROM pg_database WHERE datname = 'plain'";
    assert_eq!(server.sql("operator", "postgres", owner), "plain");
}

#[test]
fn who_makes_databases_through_a_pooler_has_nothing_in_those_of_others() {
    let (world, server) = world(&[]);
    related(&world, "database:5", &[("database", "plain"), SECRETS]);
    pooler(&world, &server, "shop");
    pooler(&world, &server, "till");
    let roles = "charmed_till_admin, charmed_till_dml, charmed_databases_owner";
    user(&world, &server, "relation_id_30", roles);
    server.sql(
        "relation_id_8",
        "pooler",
        "GRANT CONNECT ON DATABASE postgres TO relation_id_30",
    );
    let told = server.sql("relation_id_30", "postgres", WHO);
    assert_eq!(told, "relation_id_30|charmed_databases_owner");
    server.sql("relation_id_30", "postgres", "CREATE DATABASE mine");
    server.sql("relation_id_30", "mine", SET_UP);
    server.sql(
        "relation_id_30",
        "mine",
        "SET ROLE charmed_mine_owner; CREATE TABLE own (n int)",
    );
    world.settle();
    assert_eq!(world.hook(0, &Event::UpdateStatus), Outcome::Done);
    assert_eq!(
        server.sql("relation_id_30", "mine", WHO),
        "relation_id_30|charmed_mine_owner"
    );
    for other in ["shop", "plain", "pooler"] {
        refused(
            &server,
            "relation_id_30",
            other,
            SET_UP,
            "permission denied for database",
        );
        // Whoever lets it in gives it no more than that.
        let grant = format!("GRANT CONNECT ON DATABASE {other} TO relation_id_30");
        server.sql("operator", "postgres", &grant);
        refused(
            &server,
            "relation_id_30",
            other,
            SET_UP,
            "only who has made database",
        );
        let drop = format!("DROP DATABASE {other}");
        refused(
            &server,
            "relation_id_30",
            "postgres",
            &drop,
            "must be owner of database",
        );
    }
    refused(
        &server,
        "relation_id_30",
        "postgres",
        SET_UP,
        "has no roles of its own",
    );
}

#[test]
fn a_role_that_somebody_has_made_beforehand_is_not_taken_for_a_databases() {
    let before = ["charmed_dml", "charmed_databases_owner", "early"];
    let (world, server) = world(&before);
    let members = "SELECT count(*) FROM pg_auth_members WHERE member = 'early'::regrole";
    assert_eq!(server.sql("operator", "postgres", members), "0");
    let logs_in = "SELECT count(*) FROM pg_authid WHERE rolname ~ '^charmed_' \
                   AND (rolcanlogin OR rolsuper OR rolcreaterole OR rolpassword IS NOT NULL)";
    assert_eq!(server.sql("operator", "postgres", logs_in), "0");
    server.sql(
        "operator",
        "postgres",
        "CREATE ROLE charmed_shop_owner; GRANT charmed_shop_owner TO early",
    );
    asks(&world, "database:8", "pooler", "SUPERUSER");
    server.sql(
        "relation_id_8",
        "pooler",
        "SET ROLE charmed_databases_owner; CREATE DATABASE shop",
    );
    let sql = format!("SET ROLE charmed_databases_owner; {SET_UP}");
    refused(&server, "relation_id_8", "shop", &sql, "is there already");
    server.sql("operator", "postgres", "DROP ROLE charmed_shop_owner");
    server.sql("relation_id_8", "shop", &sql);
}

#[test]
fn nothing_that_a_client_makes_is_called_in_place_of_the_function() {
    let (world, server) = world(&[]);
    related(&world, "database:5", &[("database", "plain"), SECRETS]);
    let trap = "CREATE FUNCTION public.set_up_predefined_catalog_roles() RETURNS void LANGUAGE plpgsql AS \
                $$ BEGIN RAISE EXCEPTION 'called'; END $$; \
                CREATE FUNCTION public.format(text, text) RETURNS text LANGUAGE plpgsql AS \
                $$ BEGIN RAISE EXCEPTION 'called'; END $$";
    server.sql("relation_id_5", "plain", trap);
    refused(
        &server,
        "relation_id_5",
        "plain",
        "DROP FUNCTION pg_catalog.set_up_predefined_catalog_roles()",
        "must be owner",
    );
    refused(
        &server,
        "relation_id_5",
        "plain",
        SET_UP,
        "only who has made database",
    );
    asks(&world, "database:8", "pooler", "SUPERUSER");
    pooled(&server, "plain");
}

#[test]
fn predefined_roles_give_what_the_16_track_says() {
    let (world, server) = world(&[]);
    related(&world, "database:5", &[("database", "plain"), SECRETS]);
    server.sql(
        "relation_id_5",
        "plain",
        "CREATE TABLE orders (n int); INSERT INTO orders VALUES (1)",
    );
    for (number, role) in [
        (10, "charmed_stats"),
        (11, "charmed_read"),
        (12, "charmed_dml"),
        (13, "charmed_admin"),
    ] {
        let (name, own) = (format!("relation_id_{number}"), format!("own{number}"));
        asks(&world, &format!("database:{number}"), &own, role);
        assert_eq!(world.status(0).0, "active", "{:?}", world.status(0));
        let can = |database: &str, sql: &str| server.try_sql(&name, database, sql).is_ok();
        let reads = number > 10;
        let writes = number > 11;
        let admin = number == 13;
        // Each may enter its own and every other database of clients, and read statistics.
        for place in [own.as_str(), "plain", "postgres"] {
            assert!(
                can(place, "SELECT query FROM pg_stat_activity"),
                "{role} in {place}"
            );
        }
        assert_eq!(can("plain", "SELECT n FROM orders"), reads, "{role}");
        assert_eq!(
            can("plain", "INSERT INTO orders VALUES (2)"),
            writes,
            "{role}"
        );
        assert_eq!(can(&own, "CREATE TABLE made (n int)"), admin, "{role}");
        assert_eq!(
            can("plain", "SET ROLE plain; CREATE TABLE of_admin (n int)"),
            admin,
            "{role}"
        );
        assert!(!can("postgres", "CREATE DATABASE more"), "{role}");
        assert!(!can("postgres", "CHECKPOINT"), "{role}");
        assert!(!can("postgres", "SELECT pg_switch_wal()"), "{role}");
        assert!(!can("plain", SET_UP), "{role}");
        let acts = if admin { &own } else { &name };
        assert_eq!(
            server.sql(&name, &own, WHO),
            format!("{name}|{acts}"),
            "{role}"
        );
    }
    asks(&world, "database:14", "own14", "charmed_admin,createdb");
    server.sql("relation_id_14", "own14", "CREATE DATABASE more");
    server.sql(
        "operator",
        "postgres",
        "CREATE ROLE saves LOGIN IN ROLE charmed_backup; CREATE ROLE dba LOGIN IN ROLE charmed_dba",
    );
    for sql in [
        "CHECKPOINT",
        "SELECT pg_create_restore_point('here')",
        "SELECT pg_switch_wal()",
        "SELECT pg_backup_start('one'); SELECT pg_backup_stop()",
    ] {
        // This server archives nothing, and keeps too little for a backup.
        if let Err(error) = server.try_sql("saves", "postgres", sql) {
            assert!(!error.contains("permission denied"), "{sql}: {error}");
        }
    }
    refused(
        &server,
        "saves",
        "plain",
        "SELECT n FROM orders",
        "permission denied",
    );
    server.sql("dba", "plain", "INSERT INTO orders VALUES (3)");
    server.sql(
        "dba",
        "postgres",
        "SET ROLE charmed_dba; CREATE DATABASE of_dba",
    );
}
