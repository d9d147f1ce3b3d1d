"""What goes wrong around the charm is told in plain words, leaves the cluster as it is, and is right
again by itself when the cause is gone: no trust, a Kubernetes API that fails, a Pebble that hangs,
wrong options and parameters, databags that no charm wrote, a charm for another architecture."""

import os
import shutil
import subprocess
import sys
import time

from scenario import APP, Cluster, Failed, Writer, check, packed_charm, until

# Seconds that the Kubernetes API is away: longer than Patroni's ttl, so that without failsafe mode the
# primary would be demoted.
OUTAGE = 35
UNTRUSTED = f"Insufficient permissions, try: `juju trust {APP} --scope=cluster`"


def statuses(cluster, app=APP):
    """Word and message of each unit of an application."""
    units = cluster.status(app).get("units") or {}
    return {(u["workload-status"]["current"], u["workload-status"].get("message", ""))
            for u in units.values()}


def no_trust(cluster):
    cluster.juju("deploy", packed_charm(), APP, "-n", "3")
    until(60, "the units say what to run", lambda: statuses(cluster) == {("blocked", UNTRUSTED)})
    cluster.juju("trust", APP, "--scope=cluster")
    until(120, "trusted, the units stand", lambda: cluster.whole(3))
    check("without trust the status says what to run; trusted, the cluster comes up", True)


def kubernetes_fails(cluster):
    # The one that moves the lead comes last: Patroni 3.0 may mistake who led in an earlier outage for the
    # leader (docs/SAFETY.md).
    for how in ("500", "hang", "down", "403"):
        with Writer(cluster) as writer:
            cluster.juju("fault", "kubernetes-api", how)
            # A hook in the middle of it: it must end, and change nothing.
            cluster.juju("config", APP, "logging_log_connections=false")
            begun = time.monotonic()
            until(2 * OUTAGE, "the outage lasts", lambda: time.monotonic() - begun > OUTAGE)
            words = {word for word, _ in statuses(cluster)}
            cluster.juju("fault", "kubernetes-api", "up")
            # A gap shows once it has ended.
            before = len(writer.acknowledged)
            until(60, "writes are taken", lambda: len(writer.acknowledged) > before + 1)
        check(f"Kubernetes API: {how}: no unit in error, {sorted(words)}", "error" not in words)
        until(60, "all is well again", lambda: cluster.stands(3))
        # One that refuses is no outage for Patroni: the primary may not renew its lease, so it ends.
        check(f"Kubernetes API: {how}: no write is lost, longest time without one {writer.gap():.1f} s",
              (writer.gap() < OUTAGE or how == "403") and not writer.lost(), str(writer.lost()[:5]))
        cluster.juju("config", APP, "--reset", "logging_log_connections")
        until(60, "all is well again", lambda: cluster.stands(3))


def pebble_hangs(cluster):
    standby = next(unit for unit, (_, message) in cluster.units().items() if not message)
    cluster.juju("fault", "signal", standby, "pebble", "--container", "postgresql", "--signal", "STOP")
    cluster.juju("config", APP, "logging_log_connections=false")
    until(60, "the unit says what it waits for", lambda: cluster.units()[standby]
          == ("waiting", "waiting for Pebble in container postgresql"))
    cluster.juju("fault", "signal", standby, "pebble", "--container", "postgresql", "--signal", "CONT")
    # A Pebble that goes on gives no event; the next hook sees it. A reset alone could come before
    # the first change was seen, and then there would be none.
    cluster.juju("config", APP, "logging_log_disconnections=false")
    until(60, "all is well again", lambda: cluster.stands(3))
    cluster.juju("config", APP, "--reset", "logging_log_connections,logging_log_disconnections")
    check("a Pebble that hangs is waited for, by its own unit alone", True)


def wrong_actions(cluster):
    for action, params, says in (
        ("get-password", {"username": "nobody"}, "not nobody"),
        ("set-password", {"password": "short"}, "8 to 100 characters"),
        ("set-password", {"username": 'x"; DROP ROLE operator --'}, "only for system users"),
        ("promote-to-primary", {"scope": "galaxy"}, "Scope should be"),
        ("restore", {"backup-id": "x"}, "not available in this revision"),
    ):
        try:
            cluster.action(f"{APP}/leader", action, **params)
        except Failed as error:
            check(f"{action} {params} is refused: {error}", says in str(error), str(error))
        else:
            raise Failed(f"{action} {params} was not refused")


def hostile_databags(cluster):
    def tool(unit, command):
        return cluster.juju("exec", "--unit", unit, "--", f"{command} $(relation-ids database-peers)")

    for unit in cluster.units():
        tool(unit, "relation-set pgdata='no number' member=';--' -r")
    leader = next(u for u, s in cluster.status()["units"].items() if s.get("leader"))
    tool(leader, "relation-set --app endpoints='{not a list' -r")
    until(60, "the list is right again",
          lambda: tool(leader, f"relation-get --app endpoints {leader} -r").count("-endpoints") == 3)
    until(60, "all is well again", lambda: cluster.stands(3))
    check("databags that no charm wrote are put right", True)


def wrong_architecture(cluster):
    folder = os.path.join(cluster.home, "other")
    shutil.copytree(packed_charm().removesuffix(".charm"), folder)
    path = os.path.join(folder, "manifest.yaml")
    with open(path, encoding="utf-8") as file:
        manifest = file.read()
    machine = "amd64" if "amd64" in manifest else "arm64"
    with open(path, "w", encoding="utf-8") as file:
        file.write(manifest.replace(machine, "s390x"))
    cluster.juju("deploy", folder, "other", "--trust")
    told = {("blocked", f"Error: Charm version incompatible with {machine} architecture")}
    until(60, "it says so", lambda: statuses(cluster, "other") == told)
    check("a charm for another architecture says so", True)
    cluster.juju("remove-application", "other", "--no-prompt", "--force", "--destroy-storage")


def main():
    with Cluster() as cluster:
        cluster.juju("model-config", "update-status-hook-interval=60m")
        wrong_architecture(cluster)
        no_trust(cluster)
        wrong_actions(cluster)
        hostile_databags(cluster)
        pebble_hangs(cluster)
        kubernetes_fails(cluster)


if __name__ == "__main__":
    try:
        main()
    except (Failed, subprocess.TimeoutExpired) as error:
        sys.exit(f"FAILED: {error}")
