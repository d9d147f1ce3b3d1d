"""One application from one unit to three, nine, three, one, none and three again, with its data kept
and a client writing while it shrinks; what others delete in Kubernetes; leftovers under the same
name, and storage of another cluster."""

import json
import subprocess
import sys

from scenario import APP, MODEL, Cluster, Failed, Writer, check, until

# Seconds without writes that the loss of units on purpose may cost at most, for each time that the
# primary goes.
GAP = 3
SYNCHRONOUS = "select count(*) from pg_stat_replication where state='streaming' and sync_state='sync'"
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


def kubernetes(cluster, method, path, body=None, unit=f"{APP}/0"):
    """A request to the Kubernetes API as the pod's service account."""
    data = f"-H 'Content-Type: application/merge-patch+json' -d '{json.dumps(body)}'" if body else ""
    return cluster.inside(
        unit,
        f"curl -s --cacert {ACCOUNT}/ca.crt -H \"Authorization: Bearer $(cat {ACCOUNT}/token)\" "
        f"-X {method} {data} https://$KUBERNETES_SERVICE_HOST{path.format(MODEL)}",
    )


def stands(cluster, count):
    """So many units, and commits wait for all others."""
    return cluster.stands(count) and cluster.sql(SYNCHRONOUS) == str(count - 1)


def rows(cluster):
    """What was written at first, as the primary has it."""
    return cluster.sql("select count(*) from kept")


def grow(cluster):
    cluster.deploy(1)
    until(120, "one unit stands", lambda: stands(cluster, 1))
    cluster.sql("create table kept as select generate_series(1, 1000) as n")
    for more, count, limit in ((2, 3, 120), (6, 9, 240)):
        cluster.juju("add-unit", APP, "-n", str(more))
        took = until(limit, f"{count} units stand", lambda: stands(cluster, count))
        check(f"{count} units stand, {count - 1} synchronous standbys, {took:.0f} s",
              rows(cluster) == "1000")


def shrink(cluster):
    """The highest units go; the primary is moved there first, so it goes with them."""
    for less, count in ((6, 3), (2, 1)):
        last = f"{APP}/{count + less - 1}"
        cluster.action(last, "promote-to-primary", scope="unit")
        until(60, f"{last} leads", lambda: cluster.primary() == last and cluster.stands(count + less))
        with Writer(cluster) as writer:
            cluster.juju("remove-unit", APP, "--num-units", str(less), "--no-prompt")
            until(180, f"{count} units stand", lambda: stands(cluster, count))
            before = len(writer.acknowledged)
            until(30, "writes go on", lambda: len(writer.acknowledged) > before + 2)
        lost = writer.lost()
        check(f"from {count + less} to {count} units: no write of {len(writer.acknowledged)} is lost; "
              f"none for {writer.gap():.1f} s", not lost and writer.gap() < GAP, str(lost[:10]))
    check("all rows are there", rows(cluster) == "1000")


def to_none_and_back(cluster):
    cluster.juju("remove-unit", APP, "--num-units", "1", "--no-prompt")
    until(60, "no unit is left", lambda: not cluster.units())
    cluster.juju("add-unit", APP, "-n", "3")
    until(180, "three units stand again", lambda: stands(cluster, 3))
    check("from none to three units: all rows are there", rows(cluster) == "1000")


def deleted_objects(cluster):
    """What others delete in Kubernetes is made again, and the cluster goes on meanwhile."""
    with Writer(cluster) as writer:
        endpoints = f"/api/v1/namespaces/{{}}/endpoints/patroni-{APP}"
        kubernetes(cluster, "PATCH", endpoints, {"subsets": None})
        kubernetes(cluster, "DELETE", f"/api/v1/namespaces/{{}}/services/{APP}-replicas")
        kubernetes(cluster, "DELETE", f"/api/v1/namespaces/{{}}/services/{APP}-endpoints")
        # Any hook sees it.
        cluster.juju("config", APP, "logging_log_connections=true")
        for name in (f"{APP}-replicas", f"{APP}-endpoints"):
            path = f"/api/v1/namespaces/{{}}/services/{name}"
            until(60, f"Service {name} is back",
                  lambda path=path: '"clusterIP"' in kubernetes(cluster, "GET", path))
        until(60, "the endpoints of the leader are back",
              lambda: '"ip"' in kubernetes(cluster, "GET", endpoints))
        until(60, "three units stand", lambda: stands(cluster, 3))
        cluster.juju("config", APP, "--reset", "logging_log_connections")
    check("deleted Services and emptied Endpoints are made again", not writer.lost())
    primary = f"/api/v1/namespaces/{{}}/services/{APP}-primary"
    kubernetes(cluster, "DELETE", primary)
    cluster.juju("config", APP, "logging_log_connections=true")
    until(60, "the primary's Service is back",
          lambda: cluster.sql("select 1") == "1" and rows(cluster) == "1000")
    cluster.juju("config", APP, "--reset", "logging_log_connections")
    until(60, "three units stand", lambda: stands(cluster, 3))
    check("the primary's Service too", True)


def leftovers(cluster):
    """The same name again, beside what Patroni left and without the volumes; then with one of them,
    which is another cluster's by now."""
    kept = [name for name in json.loads(cluster.juju("storage", "--format", "json"))["storage"]]
    cluster.juju("remove-application", APP, "--no-prompt")
    until(60, "the application is gone", lambda: not cluster.status())
    cluster.deploy(1)
    until(120, "one unit stands", lambda: stands(cluster, 1))
    check("under the same name a new cluster stands, with nothing of the old one",
          cluster.sql("select count(*) from pg_tables where tablename = 'kept'") == "0")
    cluster.juju("add-unit", APP, "--attach-storage", sorted(kept)[0])
    text = "volume holds another cluster"
    until(90, "the unit with a foreign volume says so",
          lambda: cluster.units()[f"{APP}/1"][1].startswith(text))
    word, message = cluster.units()[f"{APP}/1"]
    check(f"storage of another cluster: {word}: {message}",
          word == "blocked" and "remove this unit" in message)
    check("the cluster goes on", cluster.sql("select 1") == "1")
    cluster.juju("remove-unit", APP, "--num-units", "1", "--no-prompt")
    until(60, "one unit stands", lambda: stands(cluster, 1))


def main():
    with Cluster() as cluster:
        cluster.juju("model-config", "update-status-hook-interval=60m")
        grow(cluster)
        shrink(cluster)
        to_none_and_back(cluster)
        deleted_objects(cluster)
        leftovers(cluster)


if __name__ == "__main__":
    try:
        main()
    except (Failed, subprocess.TimeoutExpired) as error:
        sys.exit(f"FAILED: {error}")
