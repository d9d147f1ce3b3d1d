"""Clients of `database`, written with the published library and without: each gets its user in its
database and nothing else, as soon as there is a cluster; one that goes takes its user with it and
leaves the data; one that asks for nonsense is told so and stops nobody."""

import importlib.metadata
import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from scenario import APP, MODEL, Cluster, PSQL, Failed, check, until

PACKAGES = ("ops", "yaml", "_yaml", "websocket", "opentelemetry", "typing_extensions", "dpcharmlibs",
            "cryptography", "cffi", "_cffi_backend", "pydantic", "pydantic_core", "annotated_types",
            "typing_inspection", "psycopg", "psycopg_binary", "pgsql", "pgconnstr")
CHARM = pathlib.Path(__file__).parent / "charms" / "db-client"


def charm_with_libraries(folder):
    """The client's charm, with the libraries of this Python beside it."""
    charm = pathlib.Path(folder) / "db-client"
    shutil.copytree(CHARM, charm)
    venv = charm / "venv"
    venv.mkdir()
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is None:
            raise Failed(f"{package} is not installed: see the head of this file")
        if spec.submodule_search_locations:
            source = pathlib.Path(list(spec.submodule_search_locations)[0])
            shutil.copytree(source, venv / package, ignore=shutil.ignore_patterns("__pycache__"))
            libraries = source.with_name(f"{source.name}.libs")
            if libraries.exists():
                shutil.copytree(libraries, venv / libraries.name)
        else:
            shutil.copy(spec.origin, venv)
    for name in ("opentelemetry_api", "pydantic", "psycopg", "psycopg_binary"):
        info = pathlib.Path(importlib.metadata.distribution(name)._path)
        shutil.copytree(info, venv / info.name)
    return charm


class Clients(Cluster):
    """A cluster with clients."""

    def client(self, name, charm, **config):
        """Deploys a client that is related at once."""
        pairs = [part for key, value in config.items() for part in ("--config", f"{key}={value}")]
        self.juju("deploy", str(charm), name, *pairs)
        self.juju("integrate", f"{name}:database", APP)

    def message(self, name):
        """The status message of a client's unit."""
        status = json.loads(self.juju("status", "--format", "json"))
        units = status["applications"][name].get("units") or {}
        return next(iter(units.values()))["workload-status"].get("message", "")

    def has_database(self, name):
        return self.message(name) == "has a database"

    def sql_in(self, database, statement):
        """What a statement of operator prints in a database."""
        host = f"{APP}-primary.{MODEL}.svc.cluster.local"
        return self.juju("net", "--", "env", f"PGPASSWORD={self.password()}", PSQL, "-X", "-h", host,
                         "-U", "operator", "-d", database, "-qAtc", statement).strip()

    def related_again(self, name):
        """Relates a client whose relation is going."""
        until(60, f"{name} has seen the end", lambda: self.message(name) == "no database")
        until(30, "it can be related again", lambda: self.call(
            "integrate", f"{name}:database", APP, check=False).returncode == 0)

    def run_sql(self, name, statement, **params):
        """Rows of a statement with a client's credentials."""
        found = self.action(f"{name}/0", "sql", statement=statement, **params)
        return json.loads(found["rows"])

    def refused(self, name, statement, **params):
        """The error of a statement that must fail."""
        try:
            rows = self.run_sql(name, statement, **params)
        except Failed as error:
            return str(error)
        raise Failed(f"{statement} of {name} should have failed: {rows}")

    def told(self, name):
        return json.loads(self.action(f"{name}/0", "told")["report"])

    def users(self):
        """Users of clients in the database."""
        return set(self.sql("select rolname from pg_roles where rolname ~ '^relation_id_'").split())

    def unit_says(self, text):
        """The leader's status has this text."""
        return any(text in message for _, message in self.units().values())


def first_life(cluster, charm):
    cluster.juju("model-config", "update-status-hook-interval=60m")
    cluster.deploy(2)
    cluster.client("library", charm)
    until(180, "the units stand", lambda: cluster.whole(2))
    took = until(30, "the client has its database", lambda: cluster.has_database("library"))
    check(f"a client that asked before the cluster stood is answered {took:.1f} s after", True)
    told = cluster.told("library")
    check("it has all that it asked for",
          set(told["has"]) >= {"username", "uris", "read-only-uris", "endpoints",
                               "read-only-endpoints", "version", "database"}, told)
    check("nothing secret is in the databag", "postgresql://" not in json.dumps(told["bag"]), told)
    cluster.run_sql("library", "create table notes (n serial primary key, text text)")
    cluster.run_sql("library", "insert into notes (text) values ('kept')")
    check("it writes and reads", cluster.run_sql("library", "select text from notes") == [["kept"]])
    until(10, "it reads on a replica", lambda: cluster.run_sql(
        "library", "select pg_is_in_recovery(), count(*) from notes",
        endpoint="read-only-endpoints") == [[True, 1]])


def several(cluster, charm):
    begun = time.monotonic()
    cluster.client("secrets", charm, shape="secrets")
    cluster.client("plain", charm, shape="plain", database="other-1")
    cluster.client("maker", charm, shape="secrets", database="made", roles="createdb")
    for name in ("secrets", "plain", "maker"):
        until(90, f"{name} has its database", lambda: cluster.has_database(name))
    print(f"    three more clients deployed and served in {time.monotonic() - begun:.1f} s")
    told = cluster.told("secrets")
    check("the databag of one with secrets has no password",
          not {"password", "username", "uris"} & set(told["bag"]), told)
    check("its URI is whole", told["uri"].startswith("postgresql://relation_id_"), told)
    told = cluster.told("plain")
    check("one without secrets has it in the databag",
          {"password", "username", "uris"} <= set(told["bag"]), told)
    check("two clients of a database share its data",
          cluster.run_sql("secrets", "select text from notes") == [["kept"]])
    cluster.run_sql("secrets", "insert into notes (text) values ('second')")
    check("and write to it", cluster.run_sql("library", "select count(*) from notes") == [[2]])
    for other in ("app", "postgres", "template1", "made"):
        error = cluster.refused("plain", "select 1", database=other)
        check(f"no entry into {other}", "pg_hba.conf" in error, error)
    error = cluster.refused("plain", "create role mine")
    check("no right to make roles", "permission denied" in error, error)
    cluster.run_sql("maker", "create database workshop")
    check("one that may make databases enters what it makes",
          cluster.run_sql("maker", "select current_database()", database="workshop")
          == [["workshop"]])
    error = cluster.refused("maker", "select 1", database="app")
    check("but not others'", "permission denied for database" in error, error)


def guests(cluster, charm):
    """Users that the charm did not make, as a pooler or a DBA makes them: their rights decide."""
    host = f"{APP}-primary.{MODEL}.svc.cluster.local"

    def enter(database):
        return cluster.call("net", "--", "env", "PGPASSWORD=of-a-guest", PSQL, "-X", "-h", host, "-U",
                            "relation_id_99", "-d", database, "-qAtc", "select current_user", check=False)

    cluster.sql("create role relation_id_99 login password 'of-a-guest' in role relation_access")
    cluster.sql('grant connect on database "other-1" to relation_id_99')
    took = until(20, "a user that others made comes in", lambda: enter("other-1").returncode == 0)
    check(f"a user that others made enters {took:.1f} s after it may", True)
    error = enter("app").stderr
    check("and no database that it has no right to", "no pg_hba.conf entry" in error, error)
    cluster.sql("grant connect on database app to relation_id_99")
    until(20, "it enters one more", lambda: enter("app").returncode == 0)
    # A leader that looks at all relations takes it for none of theirs.
    cluster.client("passing", charm, shape="secrets", database="passing")
    until(60, "a client comes", lambda: cluster.has_database("passing"))
    cluster.juju("remove-application", "passing", "--no-prompt")
    until(60, "and goes", lambda: len(cluster.users()) == 5)
    check("it is no client's, and stays when one goes", enter("app").returncode == 0)
    for database in ("app", "other-1"):
        cluster.sql(f'revoke connect on database "{database}" from relation_id_99')
    cluster.sql("drop role relation_id_99")


def adopted(cluster, charm):
    """A database that was there before, as the peer charm or a DBA leaves one."""
    cluster.sql("create database old")
    for statement in (
        "create table kept (n serial primary key, t text)", "insert into kept (t) values ('old')",
        "create schema more", "create table more.\"odd name\" (n int)", "create view seen as select 1",
        "create type mood as enum ('ok')", "create function one() returns int language sql as 'select 1'",
        "create extension citext",
    ):
        cluster.sql_in("old", statement)
    cluster.sql("create role relation_id_98 login in role relation_access")
    cluster.sql("grant connect on database old to relation_id_98")
    cluster.sql_in("old", "grant create on schema public to relation_id_98")
    cluster.sql_in("old", "set role relation_id_98; create table pooled (n int); insert into pooled values (9)")
    cluster.client("heir", charm, shape="secrets", database="old")
    until(60, "the heir has the database", lambda: cluster.has_database("heir"))
    check("a database that was there is adopted",
          cluster.run_sql("heir", "select t from kept") == [["old"]])
    for statement in ("insert into kept (t) values ('new')", "alter table more.\"odd name\" add m int",
                      "drop view seen", "alter type mood add value 'good'", "drop function one()",
                      "create table mine (n citext)"):
        check(f"its client may {statement}", cluster.run_sql("heir", statement) == [])
    check("who a pooler had let in keeps what it made",
          cluster.sql_in("old", "set role relation_id_98; select n from pooled") == "9")
    cluster.sql_in("old", "drop owned by relation_id_98; drop role relation_id_98")
    cluster.juju("remove-application", "heir", "--no-prompt")
    until(60, "the heir is gone", lambda: len(cluster.users()) == 4)


def legacy(cluster, charm):
    """The interface of old clients, and both at once."""
    cluster.juju("deploy", str(charm), "old-client", "--config", "database=app")
    cluster.juju("integrate", "old-client:legacy", f"{APP}:db")
    until(60, "both at once are told", lambda: cluster.unit_says("Please choose one endpoint"))
    for name in ("secrets", "plain"):
        cluster.juju("remove-relation", f"{name}:database", APP)
    until(60, "the old client has its database", lambda: cluster.has_database("old-client"))
    until(30, "the status clears", lambda: cluster.stands(2))
    check("a legacy client reads the data",
          cluster.run_sql("old-client", "select count(*) from notes") == [[2]])
    check("it writes", cluster.run_sql("old-client", "insert into notes (text) values ('x')") == [])
    until(10, "it reads on a replica", lambda: cluster.run_sql(
        "old-client", "select count(*) from notes", endpoint="read-only-endpoints") == [[3]])
    error = cluster.refused("old-client", "create role mine")
    check("it is no superuser", "permission denied" in error, error)
    cluster.juju("deploy", str(charm), "old-admin", "--config", "database=app")
    cluster.juju("integrate", "old-admin:legacy", f"{APP}:db-admin")
    until(60, "the admin has its database", lambda: cluster.has_database("old-admin"))
    check("one of db-admin is one", cluster.run_sql("old-admin", "create role mine") == [])
    cluster.juju("deploy", str(charm), "old-library", "--config", "database=app", "--config", "shape=pgsql")
    cluster.juju("integrate", "old-library:legacy", f"{APP}:db")
    until(60, "one on the old published library has its database", lambda: cluster.has_database("old-library"))
    check("it reads, writes and reads on a replica",
          cluster.run_sql("old-library", "insert into notes (text) values ('y')") == []
          and cluster.run_sql("old-library", "select pg_is_in_recovery()",
                              endpoint="read-only-endpoints") == [[True]])
    cluster.sql_in("app", "delete from notes where text = 'y'")
    cluster.juju("remove-application", "old-library", "--no-prompt")
    until(60, "and goes", lambda: len(cluster.users()) == 2)
    cluster.juju("remove-relation", "old-client:legacy", APP)
    until(60, "its user is gone", lambda: len(cluster.users()) == 1)
    check("the data stays", cluster.run_sql("old-admin", "select count(*) from notes") == [[3]])


def entities(cluster, charm):
    """Users with permissions, and users of every database of a name."""
    cluster.run_sql("library", "create table hidden (n int)")
    permissions = [{"resource_name": "notes", "resource_type": "TABLE", "privileges": ["SELECT"]}]
    raw = {"reader": {"database": "app", "entity-type": "USER",
                      "entity-permissions": json.dumps(permissions)},
           "many": {"database": "ap*", "prefix-matching": "all"}}
    for name, bag in raw.items():
        path = pathlib.Path(cluster.home) / f"{name}.yaml"
        path.write_text(json.dumps({name: {"shape": "raw", "raw": json.dumps(bag)}}))
        cluster.juju("deploy", str(charm), name, "--config", str(path))
        cluster.juju("integrate", f"{name}:database", APP)
        until(60, f"{name} is served", lambda: cluster.has_database(name))
    check("a user reads what it may", cluster.run_sql("reader", "select count(*) from notes") == [[2]])
    for statement in ("insert into notes (text) values ('no')", "select * from hidden",
                      "create table mine (n int)"):
        error = cluster.refused("reader", statement)
        check(f"and may not {statement}", "permission denied" in error, error)
    error = cluster.refused("reader", "select 1", database="other-1")
    check("nor enter another database", "permission denied for database" in error, error)
    check("one by prefix enters",
          cluster.run_sql("many", "select count(*) from notes", database="app") == [[2]])
    cluster.run_sql("many", "create table theirs (n int)", database="app")
    check("and its tables are used by others", cluster.run_sql("library", "select * from theirs") == [])
    error = cluster.refused("many", "select 1", database="other-1")
    check("but no other", "no pg_hba.conf entry" in error, error)
    for name in raw:
        cluster.juju("remove-application", name, "--no-prompt")
    until(60, "both are gone", lambda: len(cluster.users()) == 4)
    check("their tables stay", cluster.run_sql("library", "select * from theirs") == [])


def hostile(cluster, charm):
    users = cluster.users()
    bags = {
        "names": {"database": "x\"; DROP ROLE operator; --"},
        "reserved": {"database": "postgres"},
        "roles": {"database": "fine", "extra-user-roles": "operator,no_such_role"},
        "huge": {"database": "a", "extra-user-roles": "r" * 300_000},
        "types": {"database": "fine", "requested-secrets": "{not json"},
    }
    for name, bag in bags.items():
        raw = json.dumps(bag)
        path = pathlib.Path(cluster.home) / f"{name}.yaml"
        path.write_text(json.dumps({name: {"shape": "raw", "raw": raw}}))
        cluster.juju("deploy", str(charm), name, "--config", str(path))
        cluster.juju("integrate", f"{name}:database", APP)
        # As a whole where the peer charm has words for it.
        words = {"names": "invalid database name", "reserved": "invalid database name",
                 "roles": "invalid role(s) for extra user roles"}.get(name, "relation database:")
        until(60, f"{name} is told", lambda: cluster.unit_says(words))
        says = next(m for _, m in cluster.units().values() if words in m)
        check(f"hostile {name}: {says[:110]}", len(says) < 300, says)
        check("the others go on", cluster.run_sql("library", "select count(*) from notes") == [[2]])
        cluster.juju("remove-application", name, "--no-prompt")
        until(60, "the status clears", lambda: cluster.stands(2))
    check("nothing was made", cluster.users() == users)
    check("nothing was lost", cluster.sql("select count(*) from pg_roles where rolname='operator'")
          == "1")
    cluster.juju("config", "secrets", "database=another")
    until(60, "a request that changes is told", lambda: cluster.unit_says("cannot change"))
    cluster.juju("config", "secrets", "--reset", "database")
    until(60, "and taken back", lambda: cluster.stands(2))


def validated(cluster):
    """Every databag and secret that the charm wrote, by the published library's own models."""
    from dpcharmlibs.interfaces import DataContract, DataContractV0, RelationStatus, ResourceProviderModel

    leader = next(name for name, unit in cluster.status()["units"].items() if unit.get("leader"))
    told = json.loads(cluster.juju("show-unit", leader, "--format", "json"))[leader]
    shapes = set()
    for relation in told["relation-info"]:
        # Not those on their way out.
        if relation["endpoint"] != "database" or not relation.get("related-units"):
            continue
        # Of an own relation it is the databag of the other end: ask there.
        unit = next(iter(relation["related-units"]))
        seen = json.loads(cluster.juju("show-unit", unit, "--format", "json"))[unit]
        bag = next(r for r in seen["relation-info"] if r["endpoint"] == "database")["application-data"]
        version = bag.get("version") if bag.get("version") == "v1" else "v0"
        if version == "v1":
            requests = json.loads(bag["requests"])
            found = DataContract.validate_python({"version": "v1", "requests": requests}).requests
            check(f"{unit}: no key that the library's model does not know",
                  all(not answer.model_extra for answer in found), str(requests))
        else:
            found = [DataContractV0.model_validate({k: v for k, v in bag.items() if k != "data"})]
        shapes.add(version)
        for status in json.loads(bag.get("status") or "[]"):
            RelationStatus.model_validate(status)
        for answer in found:
            for group in ("user", "tls", "entity"):
                secret = getattr(answer, f"secret_{group}", None)
                if not secret:
                    continue
                shown = json.loads(cluster.juju("show-secret", secret.rsplit("/", 1)[-1], "--reveal",
                                                "--format", "json"))
                content = next(iter(shown.values()))["content"]["Data"]
                tls = content.pop("tls", "false").lower()
                check(f"{unit}: the secret {group} holds what the library looks for",
                      set(content) <= {name.replace("_", "-") for name in ResourceProviderModel.model_fields}
                      and tls in ("true", "false"), str(set(content)))
    check("databags of both versions fit the published models", shapes == {"v0", "v1"}, str(shapes))


def leaving(cluster):
    user = cluster.told("library")["username"]
    cluster.juju("remove-relation", "library:database", APP)
    until(30, "its user is gone", lambda: user not in cluster.users())
    check("the data stays", cluster.run_sql("secrets", "select count(*) from notes") == [[2]])
    cluster.related_again("library")
    took = until(30, "it has a new user", lambda: cluster.has_database("library"))
    print(f"    from integrate to credentials at the client: {took:.1f} s")
    check("which finds the data", cluster.run_sql("library", "select count(*) from notes") == [[2]])
    check("and writes to it", cluster.run_sql("library", "alter table notes add column more text")
          == [])
    for name in ("library", "secrets"):
        cluster.juju("remove-relation", f"{name}:database", APP)
    until(30, "both users are gone", lambda: len(cluster.users()) == 2)
    check("the database stays", cluster.sql("select count(*) from pg_database where datname='app'")
          == "1")
    cluster.related_again("secrets")
    until(30, "a later client", lambda: cluster.has_database("secrets"))
    check("finds the data", cluster.run_sql("secrets", "select count(*) from notes") == [[2]])
    cluster.juju("remove-relation", "maker:database", APP)
    until(30, "the maker is gone", lambda: len(cluster.users()) == 2)
    check("what it made stays",
          cluster.sql("select pg_get_userbyid(datdba) from pg_database where datname='workshop'")
          == "relation_leftovers")


def scaling(cluster):
    """A unit that goes must not take the users of its clients with it."""
    users = cluster.users()
    cluster.juju("scale-application", APP, "1")
    until(120, "one unit", lambda: cluster.stands(1))
    check("a unit that goes takes no user with it", cluster.users() == users)
    check("the client goes on", cluster.run_sql("old-admin", "select count(*) from notes") == [[3]])
    cluster.juju("remove-relation", "old-admin:legacy", APP)
    until(60, "its user is gone", lambda: not cluster.users())
    cluster.related_again("secrets")
    until(30, "a later client", lambda: cluster.has_database("secrets"))
    told = cluster.told("secrets")["bag"]
    check("reads go to the one unit", told["read-only-endpoints"] == told["endpoints"], told)


def main():
    with tempfile.TemporaryDirectory() as folder, Clients() as cluster:
        charm = charm_with_libraries(folder)
        first_life(cluster, charm)
        several(cluster, charm)
        guests(cluster, charm)
        adopted(cluster, charm)
        entities(cluster, charm)
        validated(cluster)
        hostile(cluster, charm)
        leaving(cluster)
        legacy(cluster, charm)
        scaling(cluster)


if __name__ == "__main__":
    try:
        main()
    except (Failed, subprocess.TimeoutExpired) as error:
        sys.exit(f"FAILED: {error}")
