"""An idle unit: PostgreSQL's log says nothing of the charm, no hook runs, and what was logged outlives the
container that it was logged in."""

import subprocess
import sys

from scenario import APP, Cluster, Failed, check, until

UNIT = f"{APP}/1"
SESSIONS = "cat /var/log/postgresql/postgresql*.log | grep -c 'connection received' || true"
LOOPS = "grep -c 'no action. I am' /var/log/postgresql/patroni.log || true"


def idle(cluster):
    """Through ten of Patroni's loops nothing comes in and nobody wakes the charm."""
    hooks = lambda: cluster.juju("debug-log", "--replay", "--no-tail").count("ran \"")
    number = lambda command: int(cluster.inside(UNIT, command))
    # The last timers may have to end first.
    for _ in range(5):
        sessions, loops, ran = number(SESSIONS), number(LOOPS), hooks()
        until(120, "Patroni's loop goes on", lambda: number(LOOPS) >= loops + 10, every=2)
        if (number(SESSIONS), hooks()) == (sessions, ran):
            break
    new, woken = number(SESSIONS) - sessions, hooks() - ran
    check("an idle unit's log and its charm are quiet", (new, woken) == (0, 0), f"{new} sessions, {woken} hooks")


def kept(cluster):
    """The workload container is killed: the pod is not ready until its server answers, and the log goes on."""
    begun = lambda: cluster.inside(UNIT, "head -n 3 $(ls -tr /var/log/postgresql/patroni.log* | head -n 1)")
    mode = cluster.inside(UNIT, "stat -c '%a %U' /var/lib/postgresql/data/logs")
    check("logs are on the volume, for postgres alone", mode == "700 postgres", mode)
    first, started = begun(), cluster.local(UNIT, "select pg_postmaster_start_time()")
    cluster.juju("fault", "kill-container", UNIT, "postgresql")
    health = lambda: cluster.inside(UNIT, "/charm/bin/pebble health --level ready 2>&1").strip()
    until(60, "the container is unready", lambda: health() == "unhealthy", every=0.05)
    until(60, "its server has started anew", lambda: cluster.local(UNIT, "select pg_postmaster_start_time()")
          not in (started, "") and cluster.whole(3))
    until(60, "the container is ready", lambda: health() == "healthy")
    check("what was logged before is there", first and begun() == first)


def main():
    with Cluster() as cluster:
        cluster.juju("model-config", "update-status-hook-interval=60m")
        cluster.deploy(3)
        until(120, "three units stand", lambda: cluster.whole(3))
        idle(cluster)
        kept(cluster)


if __name__ == "__main__":
    try:
        main()
    except (Failed, subprocess.TimeoutExpired) as error:
        sys.exit(f"FAILED: {error}")
