"""Least rights: three units without --trust are blocked until they have the rights that
docs/reference/kubernetes-rights.md lists, and with these alone they deploy, lose a primary, a pod and a
container, scale and refresh, and lose no acknowledged write. What runs as postgres can't read the pod's
own token, and by Patroni's it may do what Patroni does alone. Another application whose Service has a
name that this one needs keeps it, and so does this one's data.

usage: tests/local_rights.py [BOOTSTRAP OPTION...], say --kubernetes real"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

from local_refresh import Revisions, leader, prepare, told, versions
from scenario import APP, MODEL, Cluster, Failed, check, packed_charm, until
from writing import writing

RIGHTS = pathlib.Path(__file__).parent.parent / "docs/reference/kubernetes-rights.md"
ADMIN = "admin"
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
KUBECONFIG = "/run/patroni/kubeconfig"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
# By the kubeconfig of Patroni, as postgres: method, path and body on the command line.
BY_PATRONI = """
import json, ssl, sys, urllib.error, urllib.request
config = json.load(open("%s"))
cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
context = ssl.create_default_context(cafile=cluster["certificate-authority"])
method, path, body = sys.argv[1:]
request = urllib.request.Request(cluster["server"] + path, method=method, data=body.encode() or None,
    headers={"Authorization": "Bearer " + user["token"], "Content-Type": "application/merge-patch+json"
             if method == "PATCH" else "application/json"})
try:
    print(urllib.request.urlopen(request, context=context).status)
except urllib.error.HTTPError as error:
    print(error.code)
""" % KUBECONFIG


def admin_charm(folder):
    """A charm that does nothing and, with --trust, may everything."""
    charm = pathlib.Path(folder) / ADMIN
    charm.mkdir()
    (charm / "metadata.yaml").write_text(
        f"name: {ADMIN}\nsummary: does nothing\ndescription: does nothing\n"
        "containers:\n  idle: {}\n", encoding="utf-8")
    dispatch = charm / "dispatch"
    dispatch.write_text("#!/bin/sh\n", encoding="utf-8")
    dispatch.chmod(0o755)
    return charm


def call(cluster, method, path, body=None, media="application/json"):
    """Status and answer of the Kubernetes API, asked by the trusted application's account."""
    data = f"-H 'Content-Type: {media}' -d '{json.dumps(body)}'" if body else ""
    answer = cluster.inside(
        f"{ADMIN}/0",
        f"curl -s -w '\\n%{{http_code}}' -X {method} --cacert {ACCOUNT}/ca.crt"
        f" -H \"Authorization: Bearer $(cat {ACCOUNT}/token)\" {data}"
        f" https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT{path}", container="charm")
    text, _, code = answer.rpartition("\n")
    return int(code), json.loads(text)


def blocks():
    """The objects of the document, block by block."""
    import yaml
    text = RIGHTS.read_text(encoding="utf-8").replace("my-model", MODEL)
    return [list(yaml.safe_load_all(block)) for block in re.findall(r"```yaml\n(.*?)```", text, re.S)]


def apply(cluster, objects):
    """Makes the objects."""
    for one in objects:
        kind = re.sub("ys$", "ies", one["kind"].lower() + "s")
        place = f"/namespaces/{MODEL}" if "namespace" in one["metadata"] else ""
        code, answer = call(cluster, "POST", f"/apis/{one['apiVersion']}{place}/{kind}", one)
        if code not in (201, 409):
            raise Failed(f"cannot make {one['kind']}: {code} {answer}")


def by_patroni(cluster, unit, method, path, body=""):
    """HTTP status of a request by the member's own account, made as postgres."""
    said = cluster.inside(unit, "su postgres -s /bin/sh -c \"python3 - " + " ".join(
        f"'{word}'" for word in (method, path, body.replace('"', '\\"'))) + f"\" <<'PY'\n{BY_PATRONI}\nPY")
    return int(said or 0)


def as_postgres(cluster, unit, command):
    """What a command says that is run as postgres in the workload container."""
    return cluster.inside(unit, f"su postgres -s /bin/sh -c \"{command}\" 2>&1; echo exit $?")


def tokens(cluster, unit):
    """The pod's token is hidden from postgres, and Patroni's own one opens what Patroni needs."""
    for command in (f"cat {ACCOUNT}/token", f"cat {ACCOUNT}/..data/token", "ls /var/run/secrets",
                    f"cat /proc/1/root{ACCOUNT}/token"):
        said = as_postgres(cluster, unit, command)
        check(f"{unit}: postgres may not {command}", "denied" in said and "exit 0" not in said, said)
    said = cluster.inside(unit, f"wc -c < {ACCOUNT}/token")
    check(f"{unit}: root may", said.isdigit() and int(said) > 20, said)
    said = cluster.inside(unit, f"stat -c '%a %U' {KUBECONFIG}")
    check(f"{unit}: Patroni's account is postgres' alone", said == "600 postgres", said)
    said = as_postgres(cluster, unit, "psql -h /var/run/postgresql -U operator -d postgres -XAtc "
                                      f"\\\"select pg_read_file('{ACCOUNT}/token')\\\"")
    check(f"{unit}: nor does a superuser's session read it", "ermission denied" in said, said)


def patroni_may(cluster, unit):
    """Patroni's account does what Patroni does, and nothing else."""
    core, pod = f"/api/v1/namespaces/{MODEL}", unit.replace("/", "-")
    other = f"{APP}-{1 - int(unit[-1]) if unit[-1] in '01' else 0}"
    label = json.dumps({"metadata": {"labels": {"tried": "yes"}}})
    asked = {
        ("GET", f"{core}/pods?labelSelector=cluster-name%3Dpatroni-{APP}", ""): 200,
        ("GET", f"{core}/endpoints/patroni-{APP}", ""): 200,
        ("PATCH", f"{core}/pods/{pod}", label): 200,
        ("PATCH", f"{core}/pods/{other}", label): 403,
        ("GET", f"{core}/secrets", ""): 403,
        ("GET", f"{core}/services", ""): 403,
        ("PATCH", f"{core}/endpoints/{APP}-endpoints", label): 403,
        ("DELETE", f"{core}/pods/{other}", ""): 403,
        ("POST", f"{core}/services", json.dumps({"metadata": {"name": "x"},
                                                 "spec": {"ports": [{"port": 1}]}})): 403,
        ("GET", "/api/v1/namespaces/default/secrets", ""): 403,
        ("GET", "/api/v1/nodes", ""): 403,
    }
    for request, wanted in asked.items():
        said = by_patroni(cluster, unit, *request)
        check(f"Patroni's account: {request[0]} {request[1]}: {wanted}", said == wanted, said)


def policy(cluster, unit):
    """The policy of the document keeps Patroni's account from another image for its pod."""
    apply(cluster, blocks()[1])
    core, pod = f"/api/v1/namespaces/{MODEL}", unit.replace("/", "-")
    image = json.dumps({"spec": {"containers": [{"name": "charm", "image": "mine"},
                                                {"name": "postgresql", "image": "local"}]}})
    label = json.dumps({"metadata": {"labels": {"tried": "again"}}})
    until(30, "the policy holds",
          lambda: by_patroni(cluster, unit, "PATCH", f"{core}/pods/{pod}", image) == 422)
    said = by_patroni(cluster, unit, "PATCH", f"{core}/pods/{pod}", label)
    check("with the policy no other image, labels as ever", said == 200, said)


def accounts(cluster):
    """Names of the members' accounts."""
    _, found = call(cluster, "GET", f"/api/v1/namespaces/{MODEL}/serviceaccounts")
    return {one["metadata"]["name"] for one in found["items"] if one["metadata"]["name"].startswith("patroni.")}


def blocked(cluster):
    return all(status == ("blocked", f"Insufficient permissions, try: `juju trust {APP} --scope=cluster`")
               for status in cluster.units().values())


def lives(cluster):
    """A primary that is killed, a pod and a container that are lost, a unit more and less, a refresh."""
    with writing(cluster, "a primary's pod is lost", 2):
        cluster.juju("fault", "kill-pod", cluster.primary(), "--delete")
        until(120, "three units stand again", lambda: cluster.whole(3))
    before = accounts(cluster)
    check("an account for each pod", len(before) == 3, before)
    with writing(cluster, "a primary's container is lost", 2):
        cluster.juju("fault", "kill-container", cluster.primary(), "postgresql")
        until(120, "three units stand again", lambda: cluster.whole(3))
    tokens(cluster, cluster.primary())
    deleted(cluster)
    with writing(cluster, "one unit more and less", 1):
        cluster.juju("add-unit", APP)
        until(120, "four units stand", lambda: cluster.whole(4))
        cluster.juju("remove-unit", APP, "--num-units", "1", "--no-prompt")
        until(120, "three units stand", lambda: cluster.whole(3))
    before = accounts(cluster)
    with Revisions() as revisions, writing(cluster, "a refresh", 3):
        prepare(cluster)
        cluster.juju("refresh", APP, "--path", revisions.make("second"))
        until(120, "the status tells to resume", lambda: "run resume-upgrade" in told(cluster)[1])
        cluster.action(leader(cluster), "resume-upgrade")
        until(240, "all units are refreshed", lambda: versions(cluster) == ["second"] * 3 and cluster.whole(3))
    until(30, "gone pods' accounts go", lambda: len(accounts(cluster)) == 3 and not accounts(cluster) & before)
    check("each new pod has an account of its own, and those of the old ones are gone", True)


def deleted(cluster):
    """Somebody deletes the accounts of all members: nobody can lead until they are made anew."""
    with writing(cluster, "all accounts are deleted", None):
        for name in accounts(cluster):
            call(cluster, "DELETE", f"/api/v1/namespaces/{MODEL}/serviceaccounts/{name}")
        until(30, "Patroni notices", lambda: not cluster.stands(3))
        took = until(180, "three units stand again", lambda: cluster.whole(3))
    check(f"deleted accounts are made anew within {took:.0f} s", len(accounts(cluster)) == 3)


def neighbour(cluster, charm):
    """An application comes whose Service has the name of this one's: it keeps it."""
    cluster.juju("deploy", str(charm), f"{APP}-replicas")
    # Nothing tells the charm of it but its next look.
    cluster.juju("model-config", "update-status-hook-interval=5s")
    message = f"Service {APP}-replicas belongs to application {APP}-replicas: give one another name"
    until(60, "that is told", lambda: ("blocked", message) in cluster.units().values())
    _, service = call(cluster, "GET", f"/api/v1/namespaces/{MODEL}/services/{APP}-replicas")
    theirs = service["spec"]["selector"].get("app.kubernetes.io/name") == f"{APP}-replicas"
    check("another application's Service is left as it is, and named", theirs, service["spec"])
    cluster.juju("remove-application", f"{APP}-replicas", "--no-prompt")
    until(90, "it is this application's again", lambda: cluster.whole(3) and cluster.sql(
        "select pg_is_in_recovery()", f"{APP}-replicas") == "t")
    check("once the other has gone the Service is made again", True)


def main(*bootstrap):
    with tempfile.TemporaryDirectory() as folder, Cluster(*bootstrap) as cluster:
        charm = admin_charm(folder)
        cluster.juju("deploy", str(charm), ADMIN, "--trust")
        cluster.juju("deploy", packed_charm(), APP, "-n", "3")
        until(120, "without rights all say so", lambda: len(cluster.units()) == 3 and blocked(cluster))
        apply(cluster, blocks()[0])
        took = until(180, "three units stand", lambda: cluster.whole(3))
        check(f"with the documented rights three units stand after {took:.0f} s", True)
        for unit in sorted(cluster.units()):
            tokens(cluster, unit)
        patroni_may(cluster, f"{APP}/0")
        lives(cluster)
        if bootstrap:
            policy(cluster, f"{APP}/0")
        neighbour(cluster, charm)
    with Cluster(*bootstrap) as cluster:
        app = "p" * 54
        cluster.juju("deploy", packed_charm(), app, "--trust")
        message = "the application's name has 54 characters, deploy it with 53 at most"
        until(60, "that is told", lambda: [
            unit["workload-status"]["message"] for unit in cluster.status(app).get("units", {}).values()]
            == [message])
        check("a name that is too long is told", True)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (Failed, subprocess.TimeoutExpired) as error:
        sys.exit(f"FAILED: {error}")
