"""Changes of the application that go on while faults strike: each begins, goes on by itself as far as
faults let it, and tells when it is complete."""

import os
import shutil
import subprocess
import tempfile
import threading

from scenario import APP, Failed, packed_charm, until

# Seconds that a part of a change may take under faults, until it is tried no longer.
PATIENCE = 240


def scale(cluster, units, _):
    """Two units more, and as soon as these stand, or faults keep them from it, two less."""
    cluster.juju("add-unit", APP, "-n", "2")
    until(PATIENCE, "two more units are active",
          lambda: [word for word, _ in cluster.units().values()].count("active") >= units + 1)
    cluster.juju("remove-unit", APP, "--num-units", "2", "--no-prompt")
    until(PATIENCE, "they are gone", lambda: len(cluster.units()) == units)


def restart(cluster, _, seed):
    """A parameter for which each member restarts, one after the other."""
    wanted = str(150 + seed % 100)
    cluster.juju("config", APP, f"experimental_max_connections={wanted}")

    def everywhere():
        return all(cluster.local(unit, "show max_connections") == wanted for unit in cluster.units())

    until(PATIENCE, "every member has restarted", everywhere)


def refresh(cluster, _, seed):
    """Another revision of the charm, for which Kubernetes replaces pod after pod."""
    version = f"seed-{seed}"
    with tempfile.TemporaryDirectory() as folder:
        charm = os.path.join(folder, version)
        shutil.copytree(packed_charm().removesuffix(".charm"), charm)
        with open(os.path.join(charm, "version"), "w", encoding="utf-8") as file:
            file.write(f"{version}\n")
        cluster.juju("refresh", APP, "--path", charm)

        def everywhere():
            path = "/var/lib/juju/agents/unit-%s/charm/version"
            return all(cluster.inside(unit, f"cat {path % unit.replace('/', '-')}", container="charm") == version
                       for unit in cluster.units())

        until(PATIENCE, "every unit has the new revision", everywhere)


KINDS = {"scale": scale, "restart": restart, "refresh": refresh}


class Change(threading.Thread):
    """One of them, beside what else happens until the block ends; then it must be complete."""

    def __init__(self, cluster, kind, units, seed):
        super().__init__(daemon=True)
        self.work = lambda: KINDS[kind](cluster, units, seed)
        self.kind, self.error = kind, None

    def run(self):
        try:
            self.work()
        except (Failed, KeyError, ValueError, subprocess.TimeoutExpired) as error:
            self.error = error

    def complete(self):
        """Waits for its end; Failed where it did not come to that."""
        self.join(2 * PATIENCE)
        if self.is_alive() or self.error:
            raise Failed(f"the change ({self.kind}) is not complete: {self.error}")
