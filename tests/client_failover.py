"""Two clients of three units, one of them in another model, over TLS that both verify: they write, the
primary is lost and both go on; the credentials of one are rotated while it works; one goes, its user
goes with it, and its data stays."""

import json
import subprocess
import sys
import tempfile
import time

from local_clients import Clients, charm_with_libraries
from local_tls import charm_with_libraries as provider_with_libraries
from scenario import APP, MODEL, PSQL, Failed, check, until

FAR = "far"
PROVIDER = "tls-provider"


class Both(Clients):
    """A cluster with a client in its own model and one in another."""

    def far(self, command, *args, check=True):
        """A command in the other model."""
        return self.call(command, "-m", FAR, *args, model=False, check=check).stdout

    def run_on(self, name, action, *params):
        """Results of an action of the client near or far."""
        command = ["run", f"{name}/0", action, *params, "--format", "json"]
        done = self.far(*command, check=False) if name == FAR else self.call(*command, check=False).stdout
        try:
            (answer,) = json.loads(done).values()
        except ValueError:
            raise Failed(f"{name}: {done}") from None
        if answer["status"] != "completed":
            raise Failed(answer.get("message") or str(answer))
        return answer["results"]

    def rows(self, name, statement):
        """Rows of a statement."""
        return json.loads(self.run_on(name, "sql", f"statement={statement}")["rows"])

    def report(self, name):
        """What a client was told."""
        return json.loads(self.run_on(name, "told")["report"])

    def far_message(self):
        """The status message of the client far away."""
        units = json.loads(self.far("status", "--format", "json"))["applications"][FAR].get("units") or {}
        return next(iter(units.values()))["workload-status"].get("message", "")

    def listed(self):
        """What list-clients tells, by application."""
        told = json.loads(self.action(f"{APP}/2", "list-clients")["clients"])
        return {entry["application"]: entry for entry in told}

    def pooled(self):
        """A user that the charm did not make, as a pooler makes them, comes in over TLS."""
        done = self.call("net", "--", "env", "PGPASSWORD=of-a-pooler", "PGSSLMODE=require", "PGCONNECT_TIMEOUT=2",
                         PSQL, "-X", "-h", f"{APP}-primary.{MODEL}.svc.cluster.local", "-U", "pooled",
                         "-d", "app", "-qAtc", "select ssl from pg_stat_ssl where pid = pg_backend_pid()", check=False)
        return done.stdout.strip() == "t"

    def leader(self):
        """The unit that leads the application."""
        units = self.status()["units"]
        return next(name for name, unit in units.items() if unit.get("leader"))


def related(cluster, folder):
    client = charm_with_libraries(folder)
    cluster.juju("model-config", "update-status-hook-interval=60m")
    cluster.deploy(3)
    cluster.juju("deploy", str(provider_with_libraries(folder)), PROVIDER)
    cluster.juju("integrate", f"{PROVIDER}:certificates", f"{APP}:certificates")
    cluster.client("near", client, shape="secrets")
    cluster.juju("offer", f"{APP}:database", "db")
    cluster.juju("add-model", FAR)
    cluster.far("deploy", str(client), FAR, "--config", "shape=secrets")
    cluster.far("consume", f"admin/{MODEL}.db")
    cluster.far("integrate", f"{FAR}:database", "db")
    until(180, "three units stand", lambda: cluster.whole(3))
    took = until(60, "both clients have a database", lambda: cluster.has_database("near")
                 and cluster.far_message() == "has a database")
    print(f"    {took:.1f} s after the cluster stood")
    for name in ("near", FAR):
        until(60, f"{name} reaches it", lambda: cluster.rows(name, "select 1"))
        until(60, f"{name} is told of an authority, which it then insists on",
              lambda: "tls-ca" in cluster.report(name)["has"])
        cluster.rows(name, f"create table {name} (n serial, t text)")
        cluster.rows(name, f"insert into {name} (t) values ('before')")
    check("a client of another model writes and reads, by a secret of this one",
          cluster.rows(FAR, "select t from far") == [["before"]])


def pooled(cluster):
    cluster.sql("create role pooled login password 'of-a-pooler'")
    cluster.sql("grant connect on database app to pooled")
    took = until(20, "a user that others made comes in", cluster.pooled)
    print(f"    a user that others made comes in after {took:.1f} s")
    for unit in cluster.units():
        until(20, f"{unit} would let it in if it led", lambda: '"pooled"' in cluster.inside(
            unit, "cat /var/lib/postgresql/data/pgdata/pg_hba.conf"))


def rotated(cluster):
    entry = cluster.listed()["near"]
    check("list-clients tells its database", entry["users"][0]["databases"] == ["app"], entry)
    old = cluster.told("near")["username"]
    cluster.action(cluster.leader(), "rotate-client-credentials",
                   **{"relation-id": entry["relation-id"]})
    until(60, "near works with its new credentials",
          lambda: cluster.told("near")["username"] != old
          and cluster.rows("near", "insert into near (t) values ('rotated')") == [])
    check("as the same owner", cluster.rows("near", "select current_user") == [["app"]])
    valid = lambda: [user["name"] for user in cluster.listed()["near"]["users"] if user["may-log-in"]]
    until(60, "its old ones end", lambda: valid() == [cluster.told("near")["username"]])
    check("the other client is not touched", len(cluster.listed()) == 2)


def primary_lost(cluster):
    before = cluster.primary()
    begun = time.monotonic()
    cluster.juju("fault", "kill-pod", before, "--delete")
    until(60, "another leads", lambda: cluster.primary(f"{APP}/2" if before != f"{APP}/2" else f"{APP}/1")
          not in (before, "None"))
    for name in ("near", FAR):
        until(60, f"{name} goes on", lambda: cluster.rows(name, f"insert into {name} (t) values ('after')") == [])
        print(f"    {name} writes {time.monotonic() - begun:.1f} s after the primary was killed")
    check("and who others made", cluster.pooled())
    until(120, "all units are back", lambda: cluster.stands(3))
    for name in ("near", FAR):
        kept = [t for (t,) in cluster.rows(name, f"select t from {name} order by n")]
        check(f"nothing of {name} is lost", kept[0] == "before" and kept[-1] == "after", kept)


def gone(cluster):
    users = cluster.users()
    cluster.far("remove-relation", FAR, "db")
    until(60, "its user is gone", lambda: len(cluster.users()) == len(users) - 1)
    check("its data stays", cluster.sql_in("app", "select count(*) from far") == "2")
    check("the other one goes on", cluster.rows("near", "select count(*) > 2 from near") == [[True]])
    until(30, "the far client is told", lambda: cluster.far_message() == "no database")


def main():
    with tempfile.TemporaryDirectory() as folder, Both() as cluster:
        related(cluster, folder)
        pooled(cluster)
        rotated(cluster)
        primary_lost(cluster)
        gone(cluster)


if __name__ == "__main__":
    begun = time.monotonic()
    try:
        main()
    except (Failed, subprocess.TimeoutExpired) as error:
        sys.exit(f"FAILED: {error}")
    print(f"{time.monotonic() - begun:.0f} s")
