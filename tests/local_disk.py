"""A volume that fills: it is told early and with what fills it, the database only reads before
PostgreSQL stops for want of space, and takes writes again by itself once there is room.

The volume is a file system in memory that the unit has for itself."""

import os
import subprocess
import sys

from scenario import APP, Cluster, Failed, check, until

SIZE = 400  # MB
UNIT = f"{APP}/0"


def used(cluster):
    """Percent of the volume that are used."""
    return int(cluster.inside(UNIT, "df -P /var/lib/postgresql/data | tail -n 1").split()[4][:-1])


def load(cluster, password, rows=1):
    """psql's process of writing so many rows of a kilobyte."""
    statement = ("insert into filling select repeat(md5(random()::text), 32) "
                 f"from generate_series(1, {rows})")
    return cluster.psql(f"{APP}-primary", password, statement, timeout=60)


def starts(cluster):
    """How often the server has started."""
    return cluster.sql("select pg_postmaster_start_time()")


def main():
    with Cluster() as cluster:
        storage = os.path.join(cluster.home, "storage")
        os.makedirs(storage, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}m", "tmpfs", storage], check=True)
        try:
            scenario(cluster, storage)
        finally:
            subprocess.run(["umount", "-l", storage], check=True)


def scenario(cluster, storage):
    cluster.juju("model-config", "update-status-hook-interval=60m")
    cluster.deploy(1, "--config", "durability_wal_keep_size=16")
    until(90, "the unit stands", lambda: cluster.whole(1))
    password = cluster.password()
    says = lambda: cluster.units(told_storage=True)[UNIT]
    app = lambda: cluster.status()["application-status"]
    begun = starts(cluster)
    cluster.sql("create table filling (t text)")
    # Something beside the tables, which can be taken away at once.
    filler = os.path.join(storage, "filler")
    with open(filler, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, (87 - used(cluster)) * SIZE * 1024 * 1024 // 100)
    took = until(40, "it is told early", lambda: f"storage {used(cluster)} % full" in says()[1])
    check(f"after {took:.1f} s: {says()}", says()[0] == "active" and "MB WAL" in says()[1])
    check(app()["message"], f"storage of {UNIT} is" in app()["message"])
    while used(cluster) < 95:
        done = load(cluster, password, 2000)
        if done.returncode:
            raise Failed(f"refused at {used(cluster)} %: {done.stderr}")
    took = until(40, "the database only reads", lambda: load(cluster, password).returncode != 0)
    refused = load(cluster, password).stderr.strip()
    check(f"after {took:.1f} s, at {used(cluster)} %: {refused}", "read-only" in refused)
    until(20, "it is told", lambda: says()[0] == "blocked" and app()["current"] == "blocked")
    check(says()[1], "the database only reads until it is below 90 %" in says()[1])
    check(app()["message"], "the database only reads" in app()["message"])
    check("reads go on", int(cluster.sql("select count(*) from filling")) > 0)
    check("the charm goes on", cluster.action(UNIT, "set-password", password="another-one"))
    password = "another-one"
    done = cluster.psql(f"{APP}-primary", password,
                        "begin read write; delete from filling where ctid = '(0,1)'; commit")
    check("who has to make room may write", done.returncode == 0, done.stderr)
    os.truncate(filler, os.path.getsize(filler) - (used(cluster) - 92) * SIZE * 1024 * 1024 // 100)
    until(20, "there is a little room", lambda: 90 <= used(cluster) < 95)
    done = load(cluster, password)
    check(f"at {used(cluster)} % it still only reads", "read-only" in done.stderr, done.stderr)
    os.remove(filler)
    took = until(60, "it takes writes again", lambda: load(cluster, password).returncode == 0)
    check(f"{took:.1f} s after there is room it takes writes again", True)
    until(40, "all is well again", lambda: says() == ("active", "Primary"))
    check("the server has never stopped", starts(cluster) == begun)


if __name__ == "__main__":
    try:
        main()
    except (Failed, subprocess.TimeoutExpired) as error:
        sys.exit(f"FAILED: {error}")
