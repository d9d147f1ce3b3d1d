"""Tenants that want to stop the charm by what they own: settings of a database and its roles, locks in
open transactions, a database that lets nobody in, all connections. Their own relation is told by name,
other clients are served in their usual time, and each of these relations ends with its user gone."""

import subprocess
import sys

import recorders
from scenario import APP, MODEL, Failed, JUJU, until
from tenants import Tenants

STOPPERS = ("settings", "roles", "locks", "closed", "slow", "many", "prepared", "selfish", "heap", "breaker")
MAKERS = ("closed", "breaker")
# Seconds in which a client is served, and an extension made, while a tenant does its worst.
USUAL = 45
LOCKS = """
begin;
create table held (n pg_catalog.int4);
create function held() returns pg_catalog.int4 language sql as 'select 1';
lock table mine in access exclusive mode;
comment on schema public is 'held';
grant usage on schema public to public;
alter default privileges grant select on tables to public;
alter database locks set work_mem = '5MB';
grant temporary on database locks to public;
select pg_catalog.pg_advisory_lock(1);
"""
SLOW = """
create function slow() returns trigger language plpgsql as $$ begin perform pg_catalog.pg_sleep(600); return new; end $$;
create function slow_index(n pg_catalog.int4) returns pg_catalog.int4 language plpgsql immutable as
  $$ begin if n > 1 then perform pg_catalog.pg_sleep(600); end if; return n; end $$;
create table waits (n pg_catalog.int4 check (slow_index(n) > 0));
create index on waits (slow_index(n));
create trigger slow before insert or update or delete on waits for each row execute function slow();
"""


def prepare(cluster):
    """What each of them sets up, in a session that nothing hinders yet."""
    _, errors = cluster.does("settings", recorders.settings("database settings"))
    cluster.holds("settings: has set what it may",
                  errors.count("ERROR") == errors.count("unrecognized configuration parameter"), errors)
    user = cluster.logins["roles"][0]
    # It acts as the owner of its database from its first statement on, and is itself when it wants to be.
    cluster.does("roles", "reset role; set role none;\n" + recorders.settings(f"role {user}"))
    cluster.does("roles", "create table mine (n pg_catalog.int4)", options="-c local_preload_libraries=")
    cluster.does("locks", "create table mine (n pg_catalog.int4)")
    cluster.does("closed", "create table mine (n pg_catalog.int4); create function mine() returns pg_catalog.int4 "
                           "language sql security definer as 'select 1'")
    # Not from within it: one that may make databases does so from another one.
    cluster.does("closed", "create database lobby")
    _, errors = cluster.does("closed", "alter database closed is_template true; alter database closed connection "
                             "limit 0; alter database closed allow_connections false", database="lobby")
    cluster.holds("closed: has shut its database", not errors, errors)
    _, errors = cluster.does("slow", SLOW)
    cluster.holds("slow: has its functions", not errors, errors)


def at_work(cluster, stopper, number, own=True):
    """A new client is served and an extension comes to others while a tenant stands in the way of it."""
    name = f"guest{number}"
    cluster.tenant(name, {"database": name})
    cluster.comes(USUAL, f"{stopper}: another client is served", lambda: cluster.served(name))
    extension = ("citext", "cube", "hstore", "ltree", "seg", "tcn")[number]
    cluster.juju("config", APP, f"plugin_{extension}_enable=true")
    cluster.comes(USUAL, f"{stopper}: others get an extension", lambda: cluster.has(name, extension))
    if own:
        cluster.comes(USUAL, f"{stopper}: the tenant has it, or a status names its database", lambda: (
            cluster.says(stopper) or cluster.has(stopper, extension)))
    cluster.holds(f"{stopper}: a status is at most 120 characters", all(len(m) <= 120 for m in cluster.messages()),
                  cluster.messages())
    print(f"    {stopper}: {[m for m in cluster.messages() if m]}")
    cluster.juju("remove-application", name, "--no-prompt")


def let_in(cluster, stopper, database):
    """The watcher sees a user that the charm has not made, and pg_hba.conf names it."""
    cluster.look("postgres", "create role seen_by_watcher login password 'x'; "
                             f"grant connect on database {database} to seen_by_watcher")
    cluster.comes(20, f"{stopper}: a user that others made is let in", lambda: "seen_by_watcher" in cluster.inside(
        cluster.primary(), "cat /var/lib/postgresql/data/pgdata/pg_hba.conf"))
    cluster.look("postgres", "drop owned by seen_by_watcher; drop role seen_by_watcher")


def names(cluster):
    """A database whose name is no text, and one whose name has lines of its own."""
    cluster.does("closed", "create database raw encoding 'SQL_ASCII' template template0 lc_collate 'C' lc_ctype 'C'",
                 database="lobby")
    user, password, _ = cluster.logins["closed"]
    done = subprocess.run(
        [JUJU, *cluster.session(user, password, "raw")], env=dict(cluster.env, JUJU_MODEL=MODEL), check=True,
        input=b"set client_encoding = 'SQL_ASCII'; create database \"bad\xff\xfe\"; "
              b"create database \"x\nWARNING all is well\";", capture_output=True)
    cluster.holds("names: has its databases", not done.stderr, done.stderr)
    at_work(cluster, "names", 5, own=False)
    let_in(cluster, "names", "slow")
    log = cluster.juju("debug-log", "--replay", "--no-tail")
    cluster.holds("names: no line of the log is a tenant's", not any(
        line.startswith("WARNING all is well") for line in log.splitlines()))
    cluster.holds("names: no hook failed", "hook failed" not in log and "panicked" not in log,
                  [line for line in log.splitlines() if "panicked" in line][-1:])


def prepared(cluster):
    """A transaction that nobody's session holds any more keeps its locks, on the roles too."""
    user = cluster.logins["prepared"][0]
    _, errors = cluster.does("prepared", f"begin; create table mine (n pg_catalog.int4); grant select on mine to {user}; "
                             "prepare transaction 'held'")
    cluster.holds("prepared: has its transaction", not errors, errors)
    cluster.juju("remove-application", "prepared", "--no-prompt")
    cluster.comes(USUAL, "prepared: its user is gone, or a status names it or its database",
                  lambda: user not in cluster.users() or cluster.says("prepared") or cluster.says(user))
    print(f"    prepared: {[m for m in cluster.messages() if m]}")
    if cluster.look("postgres", "select 1 from pg_prepared_xacts"):
        cluster.look("prepared", "rollback prepared 'held'")
    cluster.comes(60, "prepared: its user is gone once that has ended", lambda: user not in cluster.users())


def granted(cluster):
    """Neither who grants something to another client's user in a transaction that stays open, nor who
    changes its own role in one, keeps a user from going."""
    cluster.tenant("granted", {"database": "granted"})
    until(USUAL, "granted is served", lambda: cluster.served("granted"))
    user, own = cluster.logins["granted"][0], cluster.logins["selfish"][0]
    held = f"""select 1 from pg_locks l join pg_roles r on r.oid = l.objid
        where l.classid = 'pg_authid'::regclass and r.rolname = '{user}'"""
    with cluster.open("slow", f"begin; create table given (n pg_catalog.int4); grant select on given to {user};"):
        until(20, "something is granted to it", lambda: cluster.look("postgres", held))
        cluster.goes("granted")
    changes = f"""select 1 from pg_stat_activity where usename = '{own}' and backend_xid is not null"""
    with cluster.open("selfish", f"set role none; begin; alter role {own} password 'x';"):
        until(20, "it changes itself", lambda: cluster.look("postgres", changes))
        cluster.goes("selfish")


def heap(cluster):
    """More tables than PostgreSQL's table of locks has room for."""
    _, errors = cluster.does("heap", """set role none; create schema heap;
        do $$ begin for i in 1..12000 loop execute format('create table heap.t%s ()', i);
          if i % 100 = 0 then commit; end if; end loop; end $$;""", timeout=120)
    cluster.holds("heap: has its tables", not errors, errors)
    cluster.goes("heap")


def half_dropped(cluster):
    """What a DROP DATABASE leaves that was broken off."""
    cluster.does("breaker", "create database doomed")
    _, errors = cluster.does("breaker", "create table mine (n pg_catalog.int4)", database="doomed")
    cluster.holds("half dropped: has its database", not errors, errors)
    cluster.look("postgres", "update pg_database set datconnlimit = -2 where datname = 'doomed'")
    cluster.juju("config", APP, "plugin_fuzzystrmatch_enable=true")
    cluster.comes(USUAL, "half dropped: others get an extension", lambda: cluster.has("slow", "fuzzystrmatch"))
    cluster.holds("half dropped: no status is about it", not cluster.says("doomed"), cluster.messages())
    cluster.goes("breaker")
    left = cluster.look("postgres", "select 1 from pg_database where datname = 'doomed'")
    cluster.holds("half dropped: it goes with its owner", not left)


def own_extension(cluster):
    """What a client has made itself stays when an option goes that is about the same."""
    cluster.does("many", "create schema mine; create extension isn schema mine")
    cluster.holds("a client makes an extension for itself", cluster.has("many", "isn"))
    for state in ("true", "false"):
        cluster.juju("config", APP, f"plugin_isn_enable={state}")
        cluster.comes(USUAL, f"an option about it turned {state}",
                      lambda: cluster.has("slow", "isn") == (state == "true"))
    cluster.holds("a client's own extension stays", cluster.has("many", "isn"))


def watched(cluster):
    """A setting of the operator's own role, which only a superuser makes, blinds nobody."""
    cluster.look("postgres", "alter role operator set statement_timeout = 1; alter role operator set search_path = x; "
                             "alter role operator set role = 'monitoring'")
    cluster.tenant("later", {"database": "later"})
    if not cluster.comes(USUAL, "operator's settings: another client is served", lambda: cluster.served("later")):
        cluster.look("postgres", "alter role operator reset all")
        return
    let_in(cluster, "operator's settings", "later")
    cluster.look("postgres", "alter role operator reset all")


def main():
    with Tenants() as cluster:
        cluster.juju("model-config", "update-status-hook-interval=60m")
        cluster.deploy(2, "--config", "memory_max_prepared_transactions=5")
        for name in STOPPERS:
            more = {"extra-user-roles": "createdb"} if name in MAKERS else {}
            cluster.tenant(name, {"database": name} | more)
        until(180, "two units stand", lambda: cluster.whole(2))
        for name in STOPPERS:
            until(90, f"{name} is served", lambda: cluster.served(name))
        own_extension(cluster)
        prepare(cluster)
        at_work(cluster, "settings", 0)
        at_work(cluster, "closed", 1, own=False)
        cluster.look("postgres", "alter database closed allow_connections true")
        cluster.juju("config", APP, "plugin_lo_enable=true")
        cluster.comes(USUAL, "closed: once its database can be entered it has what the others have",
                      lambda: cluster.has("closed", "cube") and cluster.has("closed", "lo"))
        cluster.look("postgres", "alter database closed allow_connections false")
        at_work(cluster, "slow", 2)
        with cluster.open("locks", LOCKS):
            until(20, "its locks are held", lambda: cluster.look("postgres", """
                select 1 from pg_locks l join pg_database d on d.oid = l.database where l.locktype = 'advisory'
                and d.datname = 'locks'"""))
            at_work(cluster, "locks", 3)
            cluster.goes("locks")
        with cluster.open("many", "select 1;", sessions=120):
            until(60, "no connection is left", lambda: cluster.psql(
                f"{APP}-primary", "x", "select 1").stderr != "" and int(cluster.look("postgres", """
                select count(*) from pg_stat_activity where datname = 'many'""")[0]) > 80)
            at_work(cluster, "many", 4)
            cluster.goes("many")
        granted(cluster)
        heap(cluster)
        half_dropped(cluster)
        prepared(cluster)
        watched(cluster)
        names(cluster)
        for name in ("settings", "roles", "closed", "slow"):
            cluster.goes(name)
        cluster.comes(60, "all statuses are clear", lambda: cluster.stands(2))
        cluster.ends()


if __name__ == "__main__":
    try:
        main()
    except (Failed, subprocess.TimeoutExpired) as error:
        sys.exit(f"FAILED: {error}")
