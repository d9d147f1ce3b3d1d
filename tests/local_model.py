"""The local model runs a charm of a few lines of shell, as root and not, and does what Juju does: what an
action leaves in the background holds nobody, units that are asked for while others leave have their
ordinals and volumes, what the charm makes in Kubernetes says so, and past statuses are told."""

import json
import os
import sys
import tempfile

from scenario import MODEL, Cluster, check, until

METADATA = """
name: plain
charm-user: %s
containers: {work: {mounts: [{storage: data, location: /srv/data}]}}
storage: {data: {type: filesystem, location: /srv/charm-data}}
peers: {peers: {interface: plain}}
"""
ACTIONS = "linger: {description: leaves a process}\nwho: {description: who runs it}\n"
DISPATCH = r"""#!/bin/sh
set -e
case $JUJU_DISPATCH_PATH in
  actions/linger)
    sleep 600 &
    action-set pid=$!
    ;;
  actions/who)
    curl -fsS --unix-socket /charm/containers/work/pebble.socket -o /dev/null -X POST \
      -d '{"action": "add", "type": "custom", "key": "example.com/x"}' -H 'Content-Type: application/json' \
      http://localhost/v1/notices
    touch "$JUJU_CHARM_DIR/mine" /srv/charm-data/mine
    action-set uid="$(id -u)" groups="$(id -G)"
    ;;
  hooks/start)
    token=$(cat /var/run/secrets/kubernetes.io/serviceaccount/token)
    curl -fsS --cacert /var/run/secrets/kubernetes.io/serviceaccount/ca.crt -o /dev/null -X POST \
      -H "Authorization: Bearer $token" -H 'Content-Type: application/json' \
      -d "{\"metadata\": {\"name\": \"of-$(hostname)\"}}" \
      "https://kubernetes.default.svc.cluster.local/api/v1/namespaces/$JUJU_MODEL_NAME/configmaps" || true
    status-set active "$(cat /srv/charm-data/first 2>/dev/null || echo new)"
    echo "$JUJU_UNIT_NAME" >/srv/charm-data/first
    ;;
esac
"""
LABELS = r"""token=$(cat /var/run/secrets/kubernetes.io/serviceaccount/token)
curl -fsS --cacert /var/run/secrets/kubernetes.io/serviceaccount/ca.crt -H "Authorization: Bearer $token" \
  https://kubernetes.default.svc.cluster.local"""


def charm(folder, user):
    """A charm of that user, made here."""
    path = os.path.join(folder, user)
    os.mkdir(path)
    for name, text in (("metadata.yaml", METADATA % user), ("actions.yaml", ACTIONS), ("dispatch", DISPATCH)):
        with open(os.path.join(path, name), "w", encoding="utf-8") as file:
            file.write(text)
    os.chmod(os.path.join(path, "dispatch"), 0o755)
    return path


def ask(cluster, path):
    """What the Kubernetes API answers to a unit of the charm."""
    done = cluster.call("ssh", "root/0", f"{LABELS}{path}")
    return json.loads(done.stdout)


def stand(cluster, app, count):
    units = cluster.status(app).get("units") or {}
    return len(units) == count and all(u["workload-status"]["current"] == "active" and
                                       u["juju-status"]["current"] == "idle" for u in units.values())


def messages(cluster, app):
    units = cluster.status(app).get("units") or {}
    return {name: unit["workload-status"].get("message") for name, unit in units.items()}


def lingers(cluster):
    pid = cluster.action("root/0", "linger")["pid"]
    check("an action that leaves a process ends", pid.isdigit())
    check("the process lives on", cluster.call("exec", "--unit", "root/0", f"kill -0 {pid}").returncode == 0)
    check("the unit runs the next action", cluster.action("root/0", "who")["uid"] == "0")


def scales(cluster):
    names = {f"root/{n}" for n in range(3)}
    cluster.juju("scale-application", "root", "0")
    cluster.juju("scale-application", "root", "3")
    known = {name: name for name in names}
    until(120, "three units with what theirs left", lambda: messages(cluster, "root") == known)
    check("units that follow those that leave have their ordinals and volumes", True)


def main():
    with tempfile.TemporaryDirectory() as folder, Cluster() as cluster:
        cluster.juju("deploy", charm(folder, "root"), "root", "-n", "3", "--trust")
        cluster.juju("deploy", charm(folder, "non-root"), "other", "--trust")
        until(120, "they stand", lambda: stand(cluster, "root", 3) and stand(cluster, "other", 1))
        lingers(cluster)
        who = cluster.action("other/0", "who")
        check("a charm that is not root is user 170", (who["uid"], who["groups"]) == ("170", "170"))
        refused = cluster.call("deploy", charm(folder, "sudoer"), "third", check=False)
        check("a user that cannot be had is refused", "charm-user sudoer is not supported" in refused.stderr)
        made = ask(cluster, f"/api/v1/namespaces/{MODEL}/configmaps/of-other-0")
        check("what a charm makes says so",
              made["metadata"].get("labels") == {"app.juju.is/created-by": "other"})
        kinds = {one["name"] for one in ask(cluster, "/apis/apps/v1")["resources"]}
        check("the Kubernetes API tells what it serves", "statefulsets" in kinds)
        scales(cluster)
        log = json.loads(cluster.juju("show-status-log", "root/0", "--type", "workload", "--format", "json"))
        check("past statuses are told", [one["status"] for one in log][:2] == ["waiting", "maintenance"]
              and log[-1]["status"] == "active")
        bad = cluster.call("deploy", os.path.join(folder, "root"), "root-15", check=False)
        check("a name that Juju refuses is refused", "unexpected number(s) found after last hyphen" in bad.stderr)


if __name__ == "__main__":
    sys.exit(main())
