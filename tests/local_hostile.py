"""Hostile tenants: a client of each kind of request plants harmless recorders wherever its rights reach,
and the charm does all its work around them, from bootstrap to the end of the relations. Nothing that a
tenant has planted is run by a session of the charm, nobody becomes a superuser, and nothing that a client
leaves belongs to one."""

import json
import os
import shutil
import subprocess
import sys
import tempfile

import recorders
from scenario import APP, SYNCHRONOUS, Failed, packed_charm, until
from tenants import OWNED, Tenants
from writing import promote


def may(*objects):
    """Permissions for all that there is on these objects, each a name and a kind."""
    return json.dumps([{"resource_name": name, "resource_type": kind, "privileges": ["ALL"]}
                       for name, kind in zip(objects[::2], objects[1::2])])


KINDS = {
    "plain": {"database": "plain"},
    "maker": {"database": "workshop", "extra-user-roles": "createdb"},
    "manager": {"database": "office", "extra-user-roles": "admin"},
    "recruiter": {"database": "people", "extra-user-roles": "createrole"},
    "boss": {"database": "court", "extra-user-roles": "superuser"},
    "prefixed": {"database": "pla*", "prefix-matching": "all"},
    "grouped": {"database": "plain", "entity-type": "GROUP", "entity-permissions": may("plain", "DATABASE")},
    "reader": {"database": "plain", "entity-type": "USER"},
}
OWN = {"plain": "plain", "maker": "workshop", "manager": "office", "recruiter": "people", "boss": "court"}
# Prepared by the maker for whoever asks for it by name.
PREPARED = "payroll"
# And one that nobody asks for.
SPARE = "spare"
PLANTED = [*OWN.values(), PREPARED, SPARE]
# Permissions on the catalogue: verifiers to read, and a place for functions before all others'.
CATALOGUE = (("pg_catalog.pg_authid", "TABLE", "SELECT"), ("pg_authid", "TABLE", "SELECT"),
             ("pg_catalog", "SCHEMA", "CREATE"), ("information_schema", "SCHEMA", "CREATE"))
# Roles that would let a client run programs or use files as PostgreSQL's own user.
SERVERS = ("pg_execute_server_program", "pg_read_server_files", "pg_write_server_files")
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"


def planted(cluster, name, *more):
    """Everything that a tenant can plant in its own database."""
    for statements in (recorders.RECORDER, recorders.OBJECTS, recorders.LOOK_ALIKES, *more):
        _, errors = cluster.does(name, statements)
        cluster.holds(f"{name} has planted", "ERROR" not in errors, errors)
    print(f"    {name}: {cluster.does(name, recorders.COUNTS)[0]}")


def plant(cluster):
    for name in OWN:
        planted(cluster, name, *([recorders.EVENT_TRIGGERS] if name == "boss" else []))
    _, errors = cluster.does("maker", f"create database {PREPARED} template workshop")
    cluster.holds("the maker prepares a database for somebody else", not errors, errors)
    cluster.does("maker", f"create database {SPARE} template workshop")
    for database in (PREPARED, SPARE):
        cluster.does("maker", f"alter database {database} set search_path = public, pg_catalog")
    # By the owner's right, or by that of the database's role.
    for name in ("plain", "maker"):
        _, errors = cluster.does(name, f"alter database {OWN[name]} set search_path = public, pg_catalog")
        cluster.holds(f"{name} sets the search path of its database", not errors, errors)
    _, errors = cluster.does("prefixed", """
        create schema theirs;
        create function theirs.definer() returns pg_catalog.text language plpgsql security definer
          set search_path = pg_catalog as $$ begin perform rec.note('prefixed definer'); return current_user; end $$;
        create table theirs.bait (n pg_catalog.int4);
        create index on theirs.bait (public.indexed(n));
        alter default privileges grant all on tables to public;""", database="plain")
    cluster.holds("the one by prefix plants what it can", "ERROR" not in errors, errors)
    # Whoever makes an extension may call its own functions a part of it.
    _, errors = cluster.does("plain", """
        create extension if not exists seg;
        do $$ declare item record; begin
          for item in select oid::pg_catalog.regprocedure as name from pg_catalog.pg_proc
            where pronamespace = 'public'::pg_catalog.regnamespace and proname in ('format', 'upper', 'length')
          loop execute pg_catalog.format('alter extension seg add function %s', item.name); end loop;
        end $$;""", options="-c search_path=pg_catalog")
    cluster.holds("plain makes its functions an extension's", "ERROR" not in errors, errors)
    # Whoever may make roles has every right over those that are no superusers (PostgreSQL 15).
    theirs, group = cluster.logins["plain"][0], cluster.logins["grouped"][0]
    cluster.does("recruiter", f"grant {group} to {theirs}")
    _, errors = cluster.does("plain", f"""
        set role none;
        set role {group};
        create schema grouped;
        create function grouped.definer() returns pg_catalog.text language plpgsql security definer
          set search_path = pg_catalog as $$ begin perform rec.note('grouped definer'); return current_user; end $$;
        create table grouped.bait (n pg_catalog.int4);
        create index on grouped.bait (public.indexed(n));
        create function grouped.format(text, name) returns text language sql as
          $$ select rec.note('grouped format'); select ''::text $$;
        alter default privileges grant all on tables to public;""", options="-c search_path=pg_catalog")
    cluster.holds("a member of the group plants as the group", "ERROR" not in errors, errors)
    cluster.does("recruiter", f"""
        create role {PREPARED}_2 login password 'x';
        comment on role {PREPARED}_2 is 'owner of the database of this name, kept by the charm';
        create role relation_id_990 login password 'x';
        comment on role relation_id_990 is 'user of a client, kept by the charm';
        comment on role {theirs} is 'mine';
        alter role rewind set search_path = public, pg_catalog;
        alter role monitoring set role = relation_access;
        alter role relation_access set statement_timeout = 1;""")


def extensions(cluster, on):
    """An option's extensions come or go in each database, or the status tells in which one they don't."""
    state = "true" if on else "false"
    cluster.juju("config", APP, f"plugin_citext_enable={state}", f"plugin_earthdistance_enable={state}",
                 f"plugin_cube_enable={state}")
    for database in PLANTED:
        cluster.comes(60, f"extensions {'on' if on else 'off'} in {database}, or a status that names it",
                      lambda: cluster.has(database, "citext") == on or cluster.says("plugins", database))


def clients(cluster):
    """Others come: one for the database that was prepared for it, one beside the plain one."""
    cluster.tenant("victim", {"database": PREPARED})
    cluster.tenant("second", {"database": "plain"})
    cluster.comes(60, "a client that asks for a database that another client made is refused by its name",
                  lambda: refused(cluster, "victim"))
    cluster.holds("and gets no credentials there", not cluster.served("victim"))
    cluster.comes(60, "a second client of a database is served", lambda: cluster.served("second"))
    cluster.juju("remove-application", "victim", "--no-prompt")
    cluster.comes(60, "the status clears", lambda: not cluster.says(f"database {PREPARED}"))


def refused(cluster, name):
    """A tenant is told that the database is not to be had; a status may have something else to tell first."""
    return PREPARED in cluster.told(name).get("status", "")


def roles(cluster):
    """No client gets a role that leads to the machine below."""
    for number, role in enumerate(SERVERS):
        name = f"asks{number}"
        cluster.tenant(name, {"database": name, "extra-user-roles": role})
        cluster.comes(60, f"{role} is refused", lambda: "role" in cluster.told(name).get("status", ""))
        cluster.holds(f"one that asks for {role} gets nothing", not cluster.served(name))
        cluster.juju("remove-application", name, "--no-prompt")
    for number, (name, kind, privilege) in enumerate(CATALOGUE):
        permissions = [{"resource_name": name, "resource_type": kind, "privileges": [privilege]}]
        cluster.tenant(f"wants{number}", {"database": "plain", "entity-type": "USER",
                                           "entity-permissions": json.dumps(permissions)})
        cluster.comes(60, f"{privilege} on {name} is refused",
                      lambda: "entity-permissions" in cluster.told(f"wants{number}").get("status", ""))
        cluster.holds(f"one that asks for {name} gets nothing", not cluster.served(f"wants{number}"))
        cluster.juju("remove-application", f"wants{number}", "--no-prompt")
    for path in (TOKEN, "/var/lib/postgresql/data/patroni.yml"):
        length, errors = cluster.does("boss", f"select pg_catalog.length(pg_catalog.pg_read_file('{path}'))")
        print(f"    a superuser that reads {path} gets {length or errors}")


def follows(cluster):
    """Commits wait for a standby; whatever else the statuses tell."""
    return cluster.look("postgres", SYNCHRONOUS) == ["1"]


def moves(cluster, folder):
    """What an operator does, one after the other."""
    before = cluster.primary()
    promote(cluster, cluster.other(before))
    until(90, "a standby follows", lambda: follows(cluster))
    cluster.quiet("promote-to-primary", PLANTED)
    shown = cluster.action(cluster.leader(), "list-clients")["clients"]
    cluster.holds("list-clients works", "plain" in shown, shown)
    relation = cluster.logins["plain"][0].split("_")[2]
    old = cluster.logins["plain"]
    cluster.action(cluster.leader(), "rotate-client-credentials", **{"relation-id": relation})
    cluster.comes(30, "the plain client has new credentials", lambda: cluster.served("plain") != old)
    out, errors = cluster.does("plain", "select 1")
    cluster.holds("which work", out == "1", errors)
    cluster.action(cluster.leader(), "rotate-client-credentials", **{"relation-id": relation, "retire-old": "true"})
    cluster.quiet("rotate-client-credentials", PLANTED)
    cluster.action(cluster.leader(), "set-password", password="another-password-1")
    cluster.known = None
    until(60, "a standby follows", lambda: follows(cluster))
    cluster.quiet("set-password", PLANTED)
    heir = cluster.other(cluster.leader())
    cluster.juju("fault", "steal-leadership", heir)
    until(30, "another unit leads", lambda: cluster.leader() == heir)
    cluster.juju("config", APP, "plugin_hstore_enable=true")
    cluster.comes(60, "a new leader goes on", lambda: cluster.has("people", "hstore"))
    cluster.quiet("another leader", PLANTED)
    refreshed(cluster, folder)
    cluster.quiet("refresh", PLANTED)


def refreshed(cluster, folder):
    """Another revision, prepared and resumed."""
    charm = os.path.join(folder, "second")
    shutil.copytree(packed_charm().removesuffix(".charm"), charm)
    with open(os.path.join(charm, "version"), "w", encoding="utf-8") as file:
        file.write("second\n")
    until(90, "a refresh can be prepared",
          lambda: cluster.action(cluster.leader(), "pre-upgrade-check") is not None)
    until(60, "unit 0 leads", lambda: cluster.primary() == f"{APP}/0" and follows(cluster))
    cluster.juju("refresh", APP, "--path", charm)
    until(120, "it can be resumed",
          lambda: cluster.action(cluster.leader(), "resume-upgrade") is not None)
    until(180, "both units are refreshed", lambda: follows(cluster) and not cluster.says("upgrade"))


def leaving(cluster, supers):
    """Relations end: users go, data stays, and what is left is nobody's who is above others."""
    for name in ("prefixed", "maker", "second", "reader", "recruiter"):
        cluster.goes(name)
    # Owned by the role that nobody is a member of, wherever it was left.
    for database in ("plain", "workshop", "people", "office", PREPARED, SPARE):
        try:
            left = cluster.look(database, OWNED)
        except Failed as error:
            left = [str(error)]
        cluster.holds(f"nothing that clients left in {database} belongs to a superuser", not left, left)
    who, errors = cluster.does("plain", "select theirs.definer()")
    cluster.holds("a function left behind is no superuser's", who not in supers and who != "admin", who + errors)
    who, errors = cluster.does("plain", "select public.definer()")
    cluster.holds("nor is one's own", who not in supers, who + errors)
    cluster.tenant("heir", {"database": "workshop"})
    cluster.tenant("thief", {"database": PREPARED})
    cluster.comes(60, "the database of a client that is gone goes on under its name",
                  lambda: cluster.served("heir"))
    cluster.comes(60, "one that it made is nobody else's", lambda: refused(cluster, "thief"))
    cluster.holds("and gets no client", not cluster.served("thief"))
    cluster.quiet("relations removed", [*PLANTED])
    for name in ("heir", "plain", "manager", "boss"):
        cluster.goes(name)
    for name in ("grouped", "thief"):
        cluster.juju("remove-application", name, "--no-prompt")
    cluster.comes(60, "no client's user is left but the one that a tenant made",
                  lambda: cluster.users() <= {"relation_id_990"})
    left = cluster.look("court", OWNED)
    cluster.holds("nothing that a superuser left belongs to one", not left, left)
    cluster.quiet("all relations removed", PLANTED)


def legacy(cluster):
    """The old interface."""
    cluster.tenant("old", {"database": "old"}, "db")
    cluster.tenant("old-boss", {"database": "ancient"}, "db-admin")
    for name in ("old", "old-boss"):
        until(60, f"{name} has its database", lambda: cluster.served(name))
        planted(cluster, name, *([recorders.EVENT_TRIGGERS] if name == "old-boss" else []))
    cluster.does("old", "alter database old set search_path = public, pg_catalog")
    cluster.juju("config", APP, "plugin_ltree_enable=true")
    for database in ("old", "ancient"):
        cluster.comes(60, f"an extension comes to {database}, or the status names it",
                      lambda: cluster.has(database, "ltree") or cluster.says("plugins", database))
    promote(cluster, cluster.other(cluster.primary()))
    for name in ("old", "old-boss"):
        cluster.goes(name)
    cluster.quiet("legacy clients", ["old", "ancient"])


def main():
    with tempfile.TemporaryDirectory() as folder, Tenants() as cluster:
        cluster.juju("model-config", "update-status-hook-interval=60m")
        cluster.deploy(2)
        for name, request in KINDS.items():
            cluster.tenant(name, request)
        until(180, "two units stand", lambda: cluster.whole(2))
        for name in KINDS:
            until(90, f"{name} is served", lambda: cluster.served(name))
        supers = cluster.supers()
        plant(cluster)
        cluster.quiet("planted", PLANTED)
        extensions(cluster, True)
        cluster.quiet("extensions on", PLANTED)
        clients(cluster)
        cluster.quiet("new clients", PLANTED)
        roles(cluster)
        moves(cluster, folder)
        extensions(cluster, False)
        cluster.quiet("extensions off", PLANTED)
        cluster.holds("nobody else became a superuser", cluster.supers() == supers, cluster.supers())
        leaving(cluster, supers)
        legacy(cluster)
        cluster.holds("the charm's users alone are superusers in the end",
                      cluster.supers() <= {"operator", "backup", "postgres"}, cluster.supers())
        cluster.ends()


if __name__ == "__main__":
    try:
        main()
    except (Failed, subprocess.TimeoutExpired) as error:
        sys.exit(f"FAILED: {error}")
