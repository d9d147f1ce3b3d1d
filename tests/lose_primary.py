"""The primary is lost in every way that a primary is lost, while a client writes: a new one leads
or the old one is back, no acknowledged write is lost, and labels, Services, get-primary and the
statuses tell the truth within seconds, with no update-status to help."""

import subprocess
import sys

from scenario import Cluster, Failed, Writer, check, until

# Seconds, from when writes are taken again.
TRUTH = 60


def tells_the_truth(cluster, count):
    """Statuses, get-primary on every unit and the Services agree on who leads."""
    if not cluster.stands(count):
        return False
    units = cluster.units()
    shown = next(name for name, (_, message) in units.items() if message == "Primary")
    if any(cluster.primary(unit) != shown for unit in units):
        return False
    return cluster.sql("select host(inet_server_addr())") == cluster.address(shown)


def main():
    with Cluster() as cluster:
        cluster.juju("model-config", "update-status-hook-interval=60m")
        cluster.deploy(3)
        until(120, "three units stand", lambda: cluster.whole(3))
        ways = {
            "PostgreSQL is killed": lambda unit: cluster.juju(
                "fault", "signal", unit, "postgres -D", "--container", "postgresql"
            ),
            "Patroni is killed": lambda unit: cluster.juju(
                "fault", "signal", unit, "patroni", "--container", "postgresql"
            ),
            "the container dies": lambda unit: cluster.juju(
                "fault", "kill-container", unit, "postgresql"
            ),
            "the pod is deleted": lambda unit: cluster.juju("fault", "kill-pod", unit, "--delete"),
        }
        for name, strike in ways.items():
            primary = cluster.primary()
            with Writer(cluster) as writer:
                strike(primary)
                before = len(writer.acknowledged)
                until(90, "writes are taken again", lambda: len(writer.acknowledged) > before + 2)
                took = until(TRUTH, "everything tells the truth", lambda: tells_the_truth(cluster, 3))
            lost = writer.lost()
            check(
                f"{name}: no acknowledged write of {len(writer.acknowledged)} is lost; "
                f"no writes for {writer.gap():.1f} s, the truth told {took:.1f} s after",
                not lost, f"lost: {lost[:10]}",
            )
        lose_a_standby(cluster)


def lose_a_standby(cluster):
    """A standby that nobody reaches is told by the primary and by the application, whichever unit
    leads, as soon as PostgreSQL has given it up (wal_sender_timeout, 10 s); and so is its return."""
    primary = cluster.primary()
    standby, leader = [unit for unit in cluster.units() if unit != primary]
    cluster.juju("fault", "steal-leadership", leader)
    until(30, "another unit leads", lambda: cluster.status()["units"][leader].get("leader"))
    until(30, "all is told to be well", lambda: told(cluster, primary) == ("Primary", "commits wait for 2 standbys"))
    cluster.juju("fault", "cut", standby)
    took = until(40, "the loss is told",
                 lambda: told(cluster, primary) == ("Primary (degraded)", "commits wait for 1 of 2 standbys"))
    cluster.juju("fault", "heal")
    back = until(60, "its return is told",
                 lambda: told(cluster, primary) == ("Primary", "commits wait for 2 standbys"))
    check(f"a lost standby is told {took:.1f} s after, its return {back:.1f} s after, by the leader too", True)


def told(cluster, primary):
    """What the primary's unit and the application say."""
    return cluster.units()[primary][1], cluster.application()[1]


if __name__ == "__main__":
    try:
        main()
    except (Failed, subprocess.TimeoutExpired) as error:
        sys.exit(f"FAILED: {error}")
