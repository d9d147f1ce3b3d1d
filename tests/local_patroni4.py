"""Three units with Patroni 4, from a folder given as argument (`pip install --no-deps --target`): they
stand and say what is true; commits wait for any one standby as soon as the options say so, and for all
again when they no longer do; a killed primary, a standby that vanishes, a rolling restart and one unit
more and less lose no acknowledged write; no pod writes to the folder that is its image."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

from image import PACKAGES, with_patroni
from scenario import APP, Cluster, Failed, check, until
from writing import writing

QUORUM = "select count(*) from pg_stat_replication where state='streaming' and sync_state='quorum'"
NAMES = "show synchronous_standby_names"
# Before that release a standby could be forgotten for good (docs/SAFETY.md).
OLDEST = (4, 1)


def told(cluster):
    return cluster.application()[1]


def of_quorum(cluster, standbys):
    """All standbys stream as part of a quorum of one."""
    return (cluster.stands(standbys + 1) and cluster.sql(QUORUM) == str(standbys)
            and cluster.sql(NAMES).startswith("ANY 1 ("))


def quorum(cluster, standbys):
    """Waits until commits wait for any one of so many standbys, and the application says so."""
    took = until(90, f"any 1 of {standbys} standbys", lambda: of_quorum(cluster, standbys))
    until(30, "that is told",
          lambda: told(cluster) == f"commits wait for any 1 of {standbys} standbys")
    return took


def versions(cluster):
    """What each member's REST API says of its Patroni."""
    ask = lambda unit: cluster.juju(
        "net", "--", "curl", "-sk", f"https://{cluster.address(unit)}:8008/patroni")
    said = [json.loads(ask(unit))["patroni"]["version"] for unit in cluster.units()]
    return {tuple(int(part) for part in one.split(".")[:2]) for one in said}, said


def content(folder):
    """Every file of a folder, with when it was changed."""
    return {str(path): (path.lstat().st_mtime_ns, path.lstat().st_size)
            for path in sorted(pathlib.Path(folder).rglob("*"))}


def lose_primary(cluster):
    """All containers of its pod die at once, without a word, and are started again."""
    cluster.juju("fault", "kill-pod", cluster.primary())

    def broken():
        try:
            return not of_quorum(cluster, 2)
        except Failed:
            return True

    until(30, "the quorum is broken", broken)
    quorum(cluster, 2)


def lose_standby(cluster):
    """No packet reaches one; PostgreSQL still counts on it, as the names say, and commits all the same."""
    lost = next(unit for unit, (_, message) in cluster.units().items() if message != "Primary")
    cluster.juju("fault", "cut", lost)
    cluster.sql("create table without (n int)")
    listed = lost.replace("/", "-") in cluster.sql(NAMES)
    check(f"a commit is acknowledged while {lost} is listed and out of reach", listed)
    until(60, "it is given up", lambda: lost.replace("/", "-") not in cluster.sql(NAMES))
    cluster.juju("fault", "heal")
    quorum(cluster, 2)


def restart(cluster):
    """A parameter for which each member restarts, one at a time."""
    cluster.juju("config", APP, "instance_max_locks_per_transaction=96")
    shown = "show max_locks_per_transaction"
    until(120, "every member has it",
          lambda: all(cluster.local(unit, shown) == "96" for unit in cluster.units()))
    quorum(cluster, 2)


def scale(cluster):
    """One unit more, and less again."""
    cluster.juju("add-unit", APP)
    quorum(cluster, 3)
    cluster.juju("remove-unit", APP, "--num-units", "1", "--no-prompt")
    quorum(cluster, 2)


def all_again(cluster):
    cluster.juju("config", APP, "--reset", "synchronous_mode_quorum,synchronous_node_count")
    until(60, "commits wait for all again",
          lambda: cluster.whole(3) and not cluster.sql(NAMES).startswith("ANY"))
    until(30, "that is told", lambda: told(cluster) == "commits wait for 2 standbys")


def main():
    packages, = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="image-") as folder, Cluster() as cluster:
        image = with_patroni(os.path.join(folder, "image"), packages)
        before = content(image)
        cluster.juju("model-config", "update-status-hook-interval=60m")
        cluster.deploy(3, "--resource", f"postgresql-image={image}")
        until(120, "three units stand", lambda: cluster.whole(3))
        found, said = versions(cluster)
        check(f"every member's Patroni is {said}", min(found) >= OLDEST)
        until(30, "the guarantee is told", lambda: told(cluster) == "commits wait for 2 standbys")
        cluster.juju("config", APP, "synchronous_mode_quorum=true", "synchronous_node_count=1")
        took = quorum(cluster, 2)
        check(f"{took:.1f} s after the options say so, {told(cluster)}", True)
        for what, change, moves in (
                ("the primary is lost", lose_primary, 1), ("a standby is lost", lose_standby, 0),
                ("a rolling restart", restart, 1), ("a unit more and less", scale, 0),
                ("the options off again", all_again, 0)):
            with writing(cluster, what, moves):
                change(cluster)
        own = f"/{PACKAGES}/patroni/version.py"
        cluster.inside(f"{APP}/0", f"echo '# changed' >>{own}")
        check("what a container changes of its image is its own",
              "# changed" in cluster.inside(f"{APP}/0", f"cat {own}")
              and "# changed" not in cluster.inside(f"{APP}/1", f"cat {own}")
              and content(image) == before)


if __name__ == "__main__":
    try:
        main()
    except (Failed, subprocess.TimeoutExpired) as error:
        sys.exit(f"FAILED: {error}")
