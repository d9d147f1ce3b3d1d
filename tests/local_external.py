"""A client outside Kubernetes, which asks for that by the published library, beside one inside: it is
told a port of the node, enters by it over TLS that it verifies, writes to the primary and reads from
a replica; the primary is lost and the same address leads to the next one; deleted Services come back
and it is told their new ports; it goes, and the way in goes with it.

usage: tests/local_external.py [BOOTSTRAP OPTION...], say --kubernetes real"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time

from local_clients import Clients, charm_with_libraries
from local_objects import delete, kubernetes
from local_tls import charm_with_libraries as provider_with_libraries
from scenario import APP, Failed, check, until

PROVIDER = "tls-provider"
SERVICES = [f"{APP}-primary-external", f"{APP}-replicas-external"]
# Connects as a program outside would: by what it was told alone.
OUTSIDE = """
import json, sys, psycopg
uri, authority, statement = json.load(sys.stdin)
verify = {"sslmode": "verify-full", "sslrootcert": authority} if authority else {"sslmode": "disable"}
with psycopg.connect(uri, connect_timeout=2, autocommit=True, **verify) as connection:
    cursor = connection.execute(statement)
    print(json.dumps(cursor.fetchall() if cursor.description else []))
"""


class Outside(Clients):
    """A cluster with a client outside."""

    authority = None

    def secret(self, name):
        """What the client's secret holds."""
        (request,) = json.loads(self.told(name)["bag"]["requests"])
        shown = json.loads(self.juju("show-secret", request["secret-user"].rsplit("/", 1)[-1], "--reveal",
                                     "--format", "json"))
        (secret,) = shown.values()
        return secret["content"]["Data"]

    def enter(self, statement, uris="uris"):
        """Rows of a statement, from the machine's end of the network, where no pod is."""
        asked = json.dumps([self.secret("outer")[uris], self.authority, statement])
        done = self.call("net", "--", sys.executable, "-c", OUTSIDE, check=False, text=asked)
        if done.returncode:
            raise Failed(done.stderr.strip().splitlines()[-1])
        return json.loads(done.stdout)

    def endpoints(self, name="outer"):
        """What a client is told of where to connect."""
        bag = self.told(name)["bag"]
        (answer,) = json.loads(bag["requests"]) if "requests" in bag else [bag]
        return answer["endpoints"], answer["read-only-endpoints"]

    def standing(self):
        """Which of the Services stand."""
        return [name for name in SERVICES if kubernetes(self, "GET", f"services/{name}")[0] == 200]


def related(cluster, folder):
    cluster.juju("model-config", "update-status-hook-interval=60m")
    cluster.deploy(3)
    charm = charm_with_libraries(folder)
    cluster.client("inner", charm, shape="secrets")
    until(180, "three units stand", lambda: cluster.whole(3))
    until(60, "the inner client has its database", lambda: cluster.has_database("inner"))
    check("where nobody asks there is no way in", cluster.standing() == [])
    cluster.client("outer", charm, external="true")
    until(90, "the outer client has its database", lambda: cluster.has_database("outer"))
    writes, reads = cluster.endpoints()
    check("it is told ports of the node", all(re.fullmatch(r"10\.\d+\.0\.1:3[0-2]\d{3}", told)
                                              for told in (writes, reads)) and writes != reads, (writes, reads))
    check("the inner one is told what it was told", ".svc.cluster.local:5432" in cluster.endpoints("inner")[0])
    until(30, "it writes from outside", lambda: cluster.enter("create table kept (n serial, t text)") == [])
    cluster.enter("insert into kept (t) values ('before')")
    check("to the primary", cluster.enter("select pg_is_in_recovery(), t from kept") == [[False, "before"]])
    until(20, "reads come from a replica", lambda: cluster.enter(
        "select pg_is_in_recovery(), t from kept", "read-only-uris") == [[True, "before"]])
    until(20, "its pod enters by the node too", lambda: cluster.run_sql("outer", "select t from kept"))
    check("all is well", cluster.stands(3), str(cluster.units()))


def verified(cluster, folder):
    cluster.juju("deploy", str(provider_with_libraries(folder)), PROVIDER)
    cluster.juju("integrate", f"{PROVIDER}:certificates", f"{APP}:certificates")
    told = lambda: cluster.action(f"{PROVIDER}/0", "authority").get("certificate")
    until(120, "the provider has an authority", told)
    authority = pathlib.Path(folder) / "authority.pem"
    authority.write_text(told() + "\n")
    cluster.authority = str(authority)
    for uris in ("uris", "read-only-uris"):
        # Either port may lead to another member each time.
        took = until(120, f"the certificates are for the node ({uris})", lambda: all(
            cluster.enter("select 1", uris) == [[1]]
            for _ in range(4)))
        print(f"    {took:.1f} s")
    check("it verifies certificate and address from outside", True)


def primary_lost(cluster):
    told = cluster.endpoints()
    before = cluster.primary()
    begun = time.monotonic()
    cluster.juju("fault", "kill-pod", before, "--delete")
    until(90, "it writes again", lambda: cluster.enter("insert into kept (t) values ('after')") == [])
    print(f"    it writes {time.monotonic() - begun:.1f} s after the primary was killed")
    check("the same address leads to the next primary", cluster.enter(
        "select pg_is_in_recovery(), count(*) from kept where t = 'before'") == [[False, 1]])
    until(120, "all units are back", lambda: cluster.whole(3))
    until(20, "it is told what it was told", lambda: cluster.endpoints() == told)


def deleted(cluster):
    told = cluster.endpoints()
    delete(cluster, "services", SERVICES)
    took = until(60, "they are made again", lambda: cluster.standing() == SERVICES)
    print(f"    deleted Services are back after {took:.1f} s")
    until(30, "it is told their ports", lambda: cluster.endpoints() != told)
    until(30, "it writes by them", lambda: cluster.enter("insert into kept (t) values ('again')") == [])


def gone(cluster):
    cluster.juju("remove-relation", "outer:database", APP)
    took = until(60, "the way in is gone", lambda: cluster.standing() == [])
    print(f"    {took:.1f} s after the relation")
    check("the other client goes on", cluster.run_sql("inner", "select count(*) from kept") == [[3]])
    until(60, "all is well", lambda: cluster.stands(3))


def main():
    with tempfile.TemporaryDirectory() as folder, Outside(*sys.argv[1:]) as cluster:
        related(cluster, folder)
        verified(cluster, folder)
        primary_lost(cluster)
        deleted(cluster)
        gone(cluster)


if __name__ == "__main__":
    begun = time.monotonic()
    try:
        main()
    except (Failed, subprocess.TimeoutExpired) as error:
        sys.exit(f"FAILED: {error}")
    print(f"{time.monotonic() - begun:.0f} s")
