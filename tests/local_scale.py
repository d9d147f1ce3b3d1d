"""One application from one unit to three, nine, three, one, none and three again: its data is kept,
and a client writes while the primary is among the units that go."""

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
        to_none_and_back(cluster)


if __name__ == "__main__":
    try:
        main()
    except (Failed, subprocess.TimeoutExpired) as error:
        sys.exit(f"FAILED: {error}")
