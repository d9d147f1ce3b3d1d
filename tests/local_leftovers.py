"""An application is removed so that nothing of it can clean up, and deployed again under its name:
what Patroni had registered for the dead one does not stand in the way of the new one, whose cluster is
its own. With its volumes the dead one comes back in the same way. A volume of the other one is not
touched: a unit that gets it says whose it is and what to do, and the others go on."""

import hashlib
import re
import subprocess
import sys

from scenario import APP, MODEL, Cluster, Failed, check, until

REMOVED = "remove Patroni's objects of an earlier application"
FOREIGN = re.compile(r"volume holds another cluster \((\d+), not (\d+)\): remove this unit with its storage")


def identifier(cluster):
    """The cluster's system identifier."""
    return cluster.sql("select system_identifier from pg_control_system()")


def removals(cluster):
    """How often leftovers were removed."""
    return cluster.juju("debug-log", "--replay", "--no-tail").count(REMOVED)


def pods(cluster):
    """Network namespaces of the model's pods."""
    controller = hashlib.sha256(cluster.home.encode()).hexdigest()[:8]
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    return re.findall(rf"^jl-{controller}-{MODEL}-\d+", listed, re.M)


def die(cluster):
    """The application goes at once: no unit's stop hook can give Patroni's objects an owner."""
    for unit in cluster.units():
        cluster.juju("fault", "cut", unit)
    cluster.juju("remove-application", APP, "--force", "--no-wait", "--no-prompt")
    until(30, "the application is gone", lambda: not cluster.status())
    # Nothing of it may come back into the network, where its Patroni would register itself again.
    until(60, "its pods are gone", lambda: not pods(cluster))
    cluster.juju("fault", "heal")


def foreign_volume(cluster, holds, ours, volume):
    """A volume of the other one comes to a new unit."""
    before = set(cluster.units())
    cluster.juju("add-unit", APP, "--attach-storage", volume)
    until(60, "the unit says whose its volume is", lambda: any(
        FOREIGN.match(message) for _, message in cluster.units().values()))
    (unit,) = set(cluster.units()) - before
    word, message = cluster.units()[unit]
    check(f"a volume of the other one blocks its unit alone: {message}",
          word == "blocked" and FOREIGN.match(message).groups() == (holds, ours)
          and all(cluster.units()[name][0] == "active" for name in before), cluster.units())
    cluster.juju("remove-unit", APP, "--num-units", "1", "--no-prompt")
    until(60, "the others stand", lambda: cluster.whole(2))
    check("which is removed as it says", identifier(cluster) == ours)


def back(cluster, first):
    """With the volumes of the first one, over what the second one has registered."""
    die(cluster)
    removed = removals(cluster)
    cluster.deploy(2, "--attach-storage", "pgdata/0,pgdata/1")
    took = until(90, "two units stand again", lambda: cluster.whole(2))
    found = identifier(cluster), removals(cluster), cluster.sql("select n from of_the_first")
    check(f"with its volumes the dead one is back after {took:.1f} s, over another's leftovers",
          found[0] == first and found[1] > removed and found[2] == "1", (found, first, removed))


def main():
    with Cluster() as cluster:
        cluster.juju("model-config", "update-status-hook-interval=60m")
        cluster.deploy(2)
        until(90, "two units stand", lambda: cluster.whole(2))
        cluster.sql("create table of_the_first as select 1 as n")
        first = identifier(cluster)
        die(cluster)
        cluster.deploy(2)
        took = until(90, "two units stand again", lambda: cluster.whole(2))
        second = identifier(cluster)
        check(f"beside the leftovers of a dead application a new one stands after {took:.1f} s",
              removals(cluster) >= 1 and second != first, (removals(cluster), first, second))
        back(cluster, first)
        foreign_volume(cluster, second, first, "pgdata/2")


if __name__ == "__main__":
    try:
        main()
    except (Failed, subprocess.TimeoutExpired) as error:
        sys.exit(f"FAILED: {error}")
