"""Three units with Patroni 4, from a folder given as argument (`pip install --no-deps --target`): they
stand and say what is true; commits wait for any one of two standbys as soon as the options say so; a
killed primary, a rolling restart and the removal of a unit lose no acknowledged write."""

import json
import subprocess
import sys
import tempfile

from image import with_patroni
from scenario import APP, Cluster, Failed, check, until
from writing import writing

QUORUM = "select count(*) from pg_stat_replication where state='streaming' and sync_state='quorum'"


def told(cluster):
    return cluster.status()["application-status"].get("message", "")


def of_quorum(cluster, standbys):
    """All standbys stream as part of a quorum of one."""
    return (cluster.stands(standbys + 1) and cluster.sql(QUORUM) == str(standbys)
            and cluster.sql("show synchronous_standby_names").startswith("ANY 1 ("))


def versions(cluster):
    """What each member's REST API says of its Patroni."""
    ask = lambda unit: cluster.juju(
        "net", "--", "curl", "-sk", f"https://{cluster.address(unit)}:8008/patroni")
    return {json.loads(ask(unit))["patroni"]["version"] for unit in cluster.units()}


def quorum(cluster):
    cluster.juju("config", APP, "synchronous_mode_quorum=true", "synchronous_node_count=1")
    took = until(60, "commits wait for a quorum", lambda: of_quorum(cluster, 2))
    until(30, "the quorum is told", lambda: told(cluster) == "commits wait for any 1 of 2 standbys")
    check(f"{took:.1f} s after the options say so, {told(cluster)}", True)


def lose_primary(cluster):
    """All containers of its pod die at once, without a word, and are started again."""
    cluster.juju("fault", "kill-pod", cluster.primary())

    def broken():
        try:
            return not of_quorum(cluster, 2)
        except Failed:
            return True

    until(30, "the quorum is broken", broken)
    until(90, "the quorum is whole again", lambda: of_quorum(cluster, 2))
    until(30, "that is told", lambda: told(cluster) == "commits wait for any 1 of 2 standbys")


def restart(cluster):
    """A parameter for which each member restarts, one at a time."""
    cluster.juju("config", APP, "instance_max_locks_per_transaction=96")
    until(120, "every member has it", lambda: all(
        cluster.inside(unit, "su postgres -c \"psql -h /var/run/postgresql -U operator -d postgres -XAtc"
                             " 'show max_locks_per_transaction'\"") == "96" for unit in cluster.units()))
    until(60, "the quorum is whole again", lambda: of_quorum(cluster, 2))


def remove(cluster):
    cluster.juju("remove-unit", APP, "--num-units", "1", "--no-prompt")
    until(90, "two units stand", lambda: of_quorum(cluster, 1))
    until(30, "that is told", lambda: told(cluster) == "commits wait for 1 standby")


def main():
    packages, = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="image-") as folder, Cluster() as cluster:
        cluster.juju("model-config", "update-status-hook-interval=60m")
        cluster.deploy(3, "--resource", f"postgresql-image={with_patroni(f'{folder}/image', packages)}")
        until(120, "three units stand", lambda: cluster.whole(3))
        found = versions(cluster)
        check(f"every member's Patroni is {found}", all(one.startswith("4.") for one in found))
        until(30, "the guarantee is told", lambda: told(cluster) == "commits wait for 2 standbys")
        quorum(cluster)
        for what, change in (("the primary is lost", lose_primary), ("a rolling restart", restart),
                             ("a unit less", remove)):
            with writing(cluster, what, 1):
                change(cluster)


if __name__ == "__main__":
    try:
        main()
    except (Failed, subprocess.TimeoutExpired) as error:
        sys.exit(f"FAILED: {error}")
