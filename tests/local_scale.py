"""One application from one unit to three, nine, three, one, none and three again: its data is kept,
and a client writes while the primary is among the units that go, once while no other can follow it."""

import shlex
import subprocess
import sys

from scenario import APP, Cluster, Failed, check, until
from writing import promote, writing


def rows(cluster):
    """What was written at first, as the primary has it."""
    return cluster.sql("select count(*) from kept")


def grow(cluster):
    cluster.deploy(1)
    until(120, "one unit stands", lambda: cluster.whole(1))
    cluster.sql("create table kept as select generate_series(1, 1000) as n")
    for more, count, limit in ((2, 3, 120), (6, 9, 240)):
        cluster.juju("add-unit", APP, "-n", str(more))
        took = until(limit, f"{count} units stand", lambda: cluster.whole(count))
        check(f"{count} units stand, {count - 1} synchronous standbys, {took:.0f} s",
              rows(cluster) == "1000")


def shrink(cluster):
    """The highest units go; the primary is moved there first, so it goes with them."""
    for less, count in ((6, 3), (2, 1)):
        last = f"{APP}/{count + less - 1}"
        promote(cluster, last)
        until(60, "all units stand", lambda: cluster.whole(count + less))
        with writing(cluster, f"from {count + less} to {count} units", 1):
            cluster.juju("remove-unit", APP, "--num-units", str(less), "--no-prompt")
            until(180, f"{count} units stand", lambda: cluster.whole(count))
    check("all rows are there", rows(cluster) == "1000")


def members(cluster, unit):
    """Patroni's members, as this one's sees them."""
    return cluster.inside(unit, "/charm/bin/pebble exec --context=postgresql -- patronictl "
                                "-c /var/lib/postgresql/data/patroni.yml list -f json")


def without_a_successor(cluster, told):
    """The primary is removed while the one unit that stays hangs, so nobody may lead: it is told who has
    the newest data."""
    stays, leaves = f"{APP}/0", f"{APP}/1"
    promote(cluster, leaves)
    until(60, "both units stand", lambda: cluster.whole(2))
    # Right after a switchover Patroni has listed nobody yet.
    until(60, "Patroni lists it", lambda: "Sync Standby" in members(cluster, leaves))
    cluster.inside(stays, "pkill -STOP -u postgres")
    # Until then it has all that is acknowledged, so it may lead.
    until(60, "Patroni lists it no more", lambda: "Leader" in members(cluster, leaves)
          and "Sync Standby" not in members(cluster, leaves))
    cluster.juju("remove-unit", APP, "--num-units", "1", "--no-prompt")
    until(120, "the primary's unit has gone", lambda: list(cluster.units()) == [stays])
    cluster.inside(stays, "pkill -CONT -u postgres")
    until(60, "it is told", lambda: cluster.units()[stays][0] == "blocked")
    message = cluster.units()[stays][1]
    check(told, message.startswith(f"no unit can become primary, {leaves} had the newest data"), message)


def lost_and_found(cluster):
    cluster.juju("add-unit", APP)
    until(120, "two units stand", lambda: cluster.whole(2))
    without_a_successor(cluster, "a primary that goes while nobody can follow is named")
    cluster.juju("add-unit", APP)
    until(120, "two units stand again", lambda: cluster.whole(2))
    check("its unit is back with its volume, and leads", cluster.primary() == f"{APP}/1"
          and rows(cluster) == "1000")
    without_a_successor(cluster, "and again")
    log = cluster.juju("debug-log", "--replay", "--no-tail").splitlines()
    command = [line for line in log if "to go on without" in line][-1].split("juju ssh ", 1)[1]
    cluster.call("ssh", *shlex.split(command))
    until(60, "the unit that is left leads", lambda: cluster.whole(1))
    check("by the command that the log tells the unit that is left leads", rows(cluster) == "1000")


def to_none_and_back(cluster):
    cluster.juju("remove-unit", APP, "--num-units", "1", "--no-prompt")
    until(60, "no unit is left", lambda: not cluster.units())
    cluster.juju("add-unit", APP, "-n", "3")
    until(180, "three units stand again", lambda: cluster.whole(3))
    check("from none to three units: all rows are there", rows(cluster) == "1000")


def main():
    with Cluster() as cluster:
        cluster.juju("model-config", "update-status-hook-interval=60m")
        grow(cluster)
        shrink(cluster)
        lost_and_found(cluster)
        to_none_and_back(cluster)


if __name__ == "__main__":
    try:
        main()
    except (Failed, subprocess.TimeoutExpired) as error:
        sys.exit(f"FAILED: {error}")
