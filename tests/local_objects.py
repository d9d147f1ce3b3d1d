"""Somebody empties or deletes what the application keeps in Kubernetes, while a client writes: Patroni's
Endpoints (leader, configuration, synchronous standbys), then with them the Services to the primary
and to the replicas and the headless one, in both orders. No acknowledged write is lost, and all is
as it was again within a bound.

usage: tests/local_objects.py [ROUNDS]"""

import json
import subprocess
import sys

from scenario import APP, MODEL, Cluster, Failed, check, until
from writing import writing

# Seconds until every unit is active and every commit waits for both standbys again.
RECOVERY = 60
SCOPE = f"patroni-{APP}"
ENDPOINTS = [SCOPE, f"{SCOPE}-config", f"{SCOPE}-sync"]
SERVICES = [f"{APP}-primary", f"{APP}-replicas"]
HEADLESS = f"{APP}-endpoints"


def kubernetes(cluster, method, path, body=None):
    """Status and answer of the Kubernetes API, asked as the application's own account."""
    account = "/var/run/secrets/kubernetes.io/serviceaccount"
    data = f"-H 'Content-Type: application/merge-patch+json' -d '{json.dumps(body)}'" if body else ""
    answer = cluster.inside(
        f"{APP}/0",
        f"curl -s -w '\\n%{{http_code}}' -X {method} --cacert {account}/ca.crt"
        f" -H \"Authorization: Bearer $(cat {account}/token)\" {data}"
        f" https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT/api/v1/namespaces/{MODEL}/{path}",
        container="charm")
    text, _, code = answer.rpartition("\n")
    return int(code), json.loads(text)


def empty(cluster, names):
    """Takes everything out of Endpoints."""
    for name in names:
        code, found = kubernetes(cluster, "GET", f"endpoints/{name}")
        if code == 404:
            continue
        annotations = {key: None for key in found["metadata"].get("annotations") or {}}
        body = {"metadata": {"annotations": annotations}, "subsets": None}
        code, answer = kubernetes(cluster, "PATCH", f"endpoints/{name}", body)
        if code != 200:
            raise Failed(f"cannot empty {name}: {answer}")


def delete(cluster, kind, names):
    """Deletes objects of a kind."""
    for name in names:
        code, answer = kubernetes(cluster, "DELETE", f"{kind}/{name}")
        if code not in (200, 202, 404):
            raise Failed(f"cannot delete {name}: {answer}")


# How, and how often writes may move: while the members' names do not resolve a standby cannot see that
# the primary lives, and takes the lead if it looks before that one has written its Endpoints again.
WAYS = {
    "Patroni's Endpoints are emptied": (0, lambda c: empty(c, ENDPOINTS)),
    "Patroni's Endpoints are deleted": (0, lambda c: delete(c, "endpoints", ENDPOINTS)),
    "all of it, the Endpoints first": (1, lambda c: (
        empty(c, ENDPOINTS), delete(c, "services", [*SERVICES, HEADLESS]))),
    "all of it, the Services first": (1, lambda c: (
        delete(c, "services", [HEADLESS, *SERVICES]), empty(c, ENDPOINTS))),
}


def kept(cluster):
    """What Patroni keeps in its Endpoints: who leads and when it renewed that, the cluster's identity and
    configuration, the synchronous standbys; none while anything is missing."""
    found = {}
    for name in ENDPOINTS:
        code, answer = kubernetes(cluster, "GET", f"endpoints/{name}")
        if code == 200:
            found.update(answer["metadata"].get("annotations") or {})
    wanted = ("leader", "renewTime", "config", "initialize", "sync_standby")
    return {key: found[key] for key in wanted} if all(found.get(key) for key in wanted) else None


def services(cluster):
    """All Services are there."""
    return all(kubernetes(cluster, "GET", f"services/{name}")[0] == 200
               for name in [*SERVICES, HEADLESS])


def whole(cluster, before=None):
    """Three units stand, commits wait for both standbys, Services and Endpoints hold what they held."""
    now = kept(cluster)
    if not now or not services(cluster):
        return False
    same = not before or (now["initialize"] == before["initialize"]
                          and json.loads(now["config"]) == json.loads(before["config"])
                          and now["renewTime"] > before["renewTime"])
    return same and cluster.whole(3)


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    with Cluster() as cluster:
        # Nothing but the charm's own wake-ups.
        cluster.juju("model-config", "update-status-hook-interval=60m")
        cluster.deploy(3)
        until(120, "three units stand", lambda: whole(cluster))
        for _ in range(rounds):
            for what, (moves, strike) in WAYS.items():
                before = kept(cluster)
                with writing(cluster, what, moves):
                    strike(cluster)
                    took = until(RECOVERY, f"{what}: all is as it was", lambda: whole(cluster, before))
                check(f"{what}: all is as it was after {took:.1f} s", True)


if __name__ == "__main__":
    try:
        main()
    except (Failed, subprocess.TimeoutExpired) as error:
        sys.exit(f"FAILED: {error}")
