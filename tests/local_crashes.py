"""The charm's process is killed at random moments of its hooks, of a seed: while a cluster is
deployed, changed in a way that needs restarts, led by another unit and scaled down; and at each
effect of set-password. Juju repeats what was killed, and each time the end is that of a run without crashes.

usage: tests/local_crashes.py [--seed N]"""

import argparse
import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time

from scenario import APP, MODEL, Cluster, Failed, Writer, check, until

# A kill comes so many seconds after the process was seen, at most: longer than most hooks take.
LATEST = 0.15
# Kills of one unit's charm, for each change.
MOST = 4


class Crashes(threading.Thread):
    """Kills processes of the charm in one model; units in error are retried at once."""

    def __init__(self, cluster, seed):
        super().__init__(daemon=True)
        self.cluster, self.random, self.done = cluster, random.Random(seed), threading.Event()
        self.model = cluster.juju("show-model", MODEL, "--format", "json").split('"model-uuid":')[1]
        self.model = self.model.split('"')[1]
        self.kills, self.seen = {}, set(os.listdir("/proc"))

    def unit_of(self, pid):
        """The unit whose charm this process is; none for all others."""
        try:
            if not os.readlink(f"/proc/{pid}/exe").endswith("/bin/postgresql-k8s"):
                return None
            with open(f"/proc/{pid}/environ", encoding="utf-8") as file:
                pairs = dict(pair.partition("=")[::2] for pair in file.read().split("\0"))
        except OSError:
            return None
        return pairs.get("JUJU_UNIT_NAME") if pairs.get("JUJU_MODEL_UUID") == self.model else None

    def strike(self, pid, unit):
        """Kills the process a moment later, if it still runs."""
        time.sleep(self.random.uniform(0, LATEST))
        try:
            if self.unit_of(pid) == unit:
                os.kill(int(pid), signal.SIGKILL)
                self.kills[unit] = self.kills.get(unit, 0) + 1
        except ProcessLookupError:
            pass

    def run(self):
        while not self.done.is_set():
            now = set(os.listdir("/proc"))
            for pid in now - self.seen:
                # The shell script `dispatch` becomes the charm a moment after it was started.
                if pid.isdigit() and self.is_dispatch(pid):
                    now.discard(pid)
                    continue
                unit = self.unit_of(pid)
                if unit and self.kills.get(unit, 0) < MOST:
                    self.strike(pid, unit)
            self.seen = now
            self.done.wait(0.002)

    @staticmethod
    def is_dispatch(pid):
        """A shell that is about to become the charm."""
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                return b"/dispatch" in file.read()
        except OSError:
            return False

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.join(10)


def retried(cluster):
    """Has Juju repeat failed hooks now rather than in 5 s and more."""
    for unit, (word, _) in cluster.units().items():
        if word == "error":
            cluster.call("resolved", unit, check=False)


def converges(cluster, what, condition, crashes):
    """The condition holds in the end; tells how often the charm was killed on the way."""

    def holds():
        retried(cluster)
        return condition()

    took = until(240, what, holds)
    total = sum(crashes.kills.values())
    check(f"{what}, after {total} kills of the charm ({took:.1f} s)", total > 0, "nothing was killed")


def kept(writer):
    """Every acknowledged row is there."""
    lost = writer.lost()
    check(f"no acknowledged row of {len(writer.acknowledged)} is lost", not lost, str(lost[:10]))


def restarted(cluster, setting, value):
    """All members have the parameter's new value, and the cluster is whole; who has not is told."""
    values = everywhere(cluster, setting)
    if values != {value}:
        raise Failed(f"{setting} is {sorted(values)}: {cluster.units()}")
    return cluster.whole(3)


def everywhere(cluster, setting):
    """A parameter's values on the members."""
    hosts = [f"{unit.replace('/', '-')}.{APP}-endpoints" for unit in cluster.units()]
    return {cluster.sql(f"show {setting}", service=host) for host in hosts}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    seed = parser.parse_args().seed
    with Cluster() as cluster:
        cluster.juju("model-config", "update-status-hook-interval=60m")
        with Crashes(cluster, seed) as crashes:
            cluster.deploy(3)
            converges(cluster, "three units stand", lambda: cluster.whole(3), crashes)
        with Writer(cluster) as writer:
            with Crashes(cluster, seed + 1) as crashes:
                cluster.juju("config", APP, "experimental_max_connections=150")
                converges(
                    cluster, "all members restarted with the new number of connections",
                    lambda: restarted(cluster, "max_connections", "150"), crashes,
                )
            with Crashes(cluster, seed + 2) as crashes:
                turns = itertools.cycle((2, 1, 0))

                def changes_hands():
                    if not crashes.kills:
                        cluster.juju("fault", "steal-leadership", f"{APP}/{next(turns)}")
                    return crashes.kills and cluster.whole(3)

                converges(cluster, "leadership has moved, and all units stand", changes_hands, crashes)
        kept(writer)
        new_password(cluster)
        with Writer(cluster) as writer:
            with Crashes(cluster, seed + 4) as crashes:
                cluster.juju("scale-application", APP, "2")
                converges(cluster, "two units stand", lambda: cluster.whole(2), crashes)
        kept(writer)


def new_password(cluster):
    """A rotation that is killed as it tells Juju for the k-th time, for every k: whatever password
    Juju keeps in the end is the one that works."""
    leader = next(name for name, unit in cluster.status()["units"].items() if unit.get("leader"))

    def agrees():
        retried(cluster)
        password = cluster.password(leader)
        return cluster.sql("select 1", password=password) == "1" and cluster.whole(3)

    effect, killed = 1, True
    while killed:
        cluster.juju("fault", "kill-at-effect", leader, str(effect))
        try:
            cluster.action(leader, "set-password", username="operator", password=f"Rotated{effect}rotated")
            killed = False
        except Failed:
            effect += 1
        until(90, "the password that Juju keeps is the one that works", agrees)
    check(f"set-password was killed at each of its {effect - 1} effects; what Juju keeps works", effect > 1)


if __name__ == "__main__":
    try:
        main()
    except (Failed, subprocess.TimeoutExpired) as error:
        print(f"FAILED: {error}")
        sys.exit(1)
