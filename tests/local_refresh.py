"""`juju refresh` of three units while a client writes: prepared by pre-upgrade-check, begun with one
unit, resumed, ended with the primary; begun with a revision that does not come up, and taken back;
and without any preparation. No acknowledged write is lost, and writes never stop for long."""

import os
import shutil
import subprocess
import sys
import tempfile

from scenario import APP, Cluster, Failed, check, packed_charm, until
from writing import promote, writing

CHARM = f"/var/lib/juju/agents/unit-{APP}-%s/charm"


class Revisions:
    """Revisions of the packed charm that differ in their file `version`."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="revisions-")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)

    def make(self, version, disabled=False):
        """A folder with the charm under this version; a disabled one does nothing."""
        folder = os.path.join(self.folder, version)
        shutil.copytree(packed_charm().removesuffix(".charm"), folder)
        with open(os.path.join(folder, "version"), "w", encoding="utf-8") as file:
            file.write(f"{version}\n")
        if disabled:
            with open(os.path.join(folder, "disable"), "w", encoding="utf-8"):
                pass
        return folder


def inside_charm(cluster, unit, command):
    """Output of a command in the charm's folder of a unit."""
    folder = CHARM % unit.split("/")[1]
    return cluster.inside(unit, f"cd {folder} && {command}", container="charm")


def versions(cluster):
    """Version of each unit's charm."""
    units = [f"{APP}/{n}" for n in range(3)]
    return [inside_charm(cluster, unit, "cat version") for unit in units]


def told(cluster):
    """Word and message of the application's status."""
    return cluster.application()


def leader(cluster):
    """Juju's leader."""
    return next(name for name, unit in cluster.status()["units"].items() if unit.get("leader"))


def whole(cluster):
    """Three units stand and commits wait for both standbys."""
    return cluster.stands(3) and told(cluster) == ("active", "commits wait for 2 standbys")


def prepare(cluster):
    """pre-upgrade-check, as soon as Patroni tells of all members what they are."""
    until(60, "the cluster can be refreshed",
          lambda: cluster.action(leader(cluster), "pre-upgrade-check") is not None)
    until(60, "unit 0 leads", lambda: cluster.primary() == f"{APP}/0" and cluster.stands(3))


def refused(cluster, action, text):
    """The action fails with this text."""
    try:
        cluster.action(leader(cluster), action)
    except Failed as error:
        check(f"{action} is refused: {text}", text in str(error), str(error))
        return
    raise Failed(f"{action} was not refused")


def unwell(cluster):
    """A member that does not run keeps a refresh from being prepared."""
    unit = f"{APP}/2"
    inside_charm(cluster, unit, "touch disable")
    cluster.inside(unit, "/charm/bin/pebble stop postgresql")
    refused(cluster, "pre-upgrade-check", f"{unit} is not healthy")
    inside_charm(cluster, unit, "rm disable")
    cluster.inside(unit, "/charm/bin/pebble start postgresql")
    until(90, "three units stand again", lambda: whole(cluster))
    refused(cluster, "resume-upgrade", "Nothing to resume")


def first_unit(cluster, folder, version, before):
    """Refreshes, and waits until the highest unit alone runs the new revision."""
    cluster.juju("refresh", APP, "--path", folder)
    until(90, "the first unit is refreshed", lambda: versions(cluster) == [before, before, version])


def resumed(cluster, version):
    """Resumes once that is asked for, and waits until all run the revision."""
    until(90, "the status tells to resume", lambda: "run resume-upgrade" in told(cluster)[1])
    answer = cluster.action(leader(cluster), "resume-upgrade")
    check("the refresh is resumed", answer["message"] == "Upgrade will resume on unit 1", answer)
    until(180, "all units are refreshed", lambda: versions(cluster) == [version] * 3)
    until(90, "three units stand", lambda: whole(cluster))


def prepared(cluster, folder, before):
    """A refresh as the manual has it."""
    promote(cluster, f"{APP}/2")
    until(60, "three units stand", lambda: whole(cluster))
    prepare(cluster)
    until(30, "the status tells so", lambda: told(cluster)[1].startswith("prepared for juju"))
    with writing(cluster, "refresh", 1):
        first_unit(cluster, folder, "second", before)
        until(90, "the status tells to resume", lambda: "run resume-upgrade" in told(cluster)[1])
        check("the primary stays where it is meanwhile", cluster.primary() == f"{APP}/0")
        resumed(cluster, "second")
    check("the primary went last", cluster.primary() != f"{APP}/0")


def taken_back(cluster, revisions):
    """A revision that does not bring its member up, and the way back."""
    prepare(cluster)
    with writing(cluster, "rollback", 1):
        first_unit(cluster, revisions.make("broken", disabled=True), "broken", "second")
        text = "or go back by juju refresh to the former revision"
        until(90, "the status tells the way back", lambda: text in told(cluster)[1])
        refused(cluster, "resume-upgrade", f"{APP}/2 is not healthy")
        first_unit(cluster, revisions.make("third"), "third", "second")
        resumed(cluster, "third")


def unprepared(cluster, folder):
    """The leader lets one pod after the other go by itself: the primary hands over when its turn comes."""
    went = lambda: cluster.juju("debug-log", "--replay", "--no-tail").count("in the refresh: all others stand")
    before = went()
    with writing(cluster, "without preparation", None):
        cluster.juju("refresh", APP, "--path", folder)
        until(180, "all units are refreshed", lambda: versions(cluster) == ["fourth"] * 3)
        until(90, "three units stand", lambda: whole(cluster))
    # What the leader says as it lets its own pod go may be lost with it.
    check("the next pod went when the members before it stood", before < went() <= before + 2)


def main():
    with Cluster() as cluster, Revisions() as revisions:
        cluster.juju("model-config", "update-status-hook-interval=60m")
        cluster.deploy(3)
        until(120, "three units stand", lambda: whole(cluster))
        before = versions(cluster)[0]
        unwell(cluster)
        prepared(cluster, revisions.make("second"), before)
        taken_back(cluster, revisions)
        unprepared(cluster, revisions.make("fourth"))


if __name__ == "__main__":
    try:
        main()
    except (Failed, subprocess.TimeoutExpired) as error:
        sys.exit(f"FAILED: {error}")
