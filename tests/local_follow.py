"""A standby is cut off while a client writes. Back in time it goes on by itself. Back for a moment, it
does not stop writes. Back when the primary has removed the WAL that it needs, it says so and takes a
new copy of the primary's data, and nobody else does. No acknowledged write is lost."""

import subprocess
import sys

from scenario import APP, SYNCHRONOUS, Cluster, Failed, check, until
from writing import promote, writing

# Seconds until a standby that came back follows again.
RECOVERY = 90
VERDICT = "reinitialise the own member"
REMINDED = "let Patroni set its synchronous standbys anew"


def verdicts(cluster):
    """Units that were reinitialised."""
    log = cluster.juju("debug-log", "--replay", "--no-tail").splitlines()
    unit, found = "", []
    for line in log:
        if line.startswith("unit-"):
            unit = line.split(":")[0]
        if VERDICT in line:
            found.append(unit)
    return found


def cut_off(cluster, standby):
    """Nobody reaches the standby, and the primary knows."""
    cluster.juju("fault", "cut", standby)
    until(60, "the primary has given it up", lambda: cluster.sql(SYNCHRONOUS) == "1")


def back_in_time(cluster, standby):
    cut_off(cluster, standby)
    cluster.sql("create table meanwhile as select generate_series(1, 1000) as n")
    cluster.juju("fault", "heal")
    took = until(RECOVERY, "the standby follows again", lambda: cluster.whole(3))
    check(f"back in time, a standby follows by itself after {took:.1f} s", verdicts(cluster) == [])


def back_for_a_moment(cluster, standby):
    """PostgreSQL waits for the standby, and Patroni's next loop, which would note that, finds it gone."""
    password = cluster.password()

    def awaited():
        names = cluster.sql("show synchronous_standby_names", password=password)
        return standby.replace("/", "-") in names

    cut_off(cluster, standby)
    until(60, "commits wait for the others", lambda: not awaited())
    cluster.juju("fault", "heal")
    until(RECOVERY, "commits wait for the standby", awaited, every=0.02)
    cluster.juju("fault", "cut", standby)
    # As if the connection had been reset: the primary would find out 10 s later.
    cluster.sql("select pg_terminate_backend(pid) from pg_stat_replication"
                f" where application_name = '{standby.replace('/', '-')}'", password=password)
    took = until(RECOVERY, "commits wait for the others again", lambda: not awaited())
    check(f"a standby that came for a moment is awaited no longer {took:.1f} s after it went",
          REMINDED in cluster.juju("debug-log", "--replay", "--no-tail"))
    cluster.juju("fault", "heal")
    until(RECOVERY, "the standby follows again", lambda: cluster.whole(3))


def remove_wal(cluster, former, successor):
    """Another primary, which keeps for the standby only what is written from then on, removes all WAL
    that was written before, and so does the former one: until Patroni says otherwise it is the one that a
    standby asks that comes back."""
    cluster.sql("create table more as select generate_series(1, 1000) as n")
    old = cluster.sql("select substr(pg_walfile_name(pg_current_wal_lsn()), 9)")
    # Before it leads, so that what it keeps for the others then begins after the standby's last segment.
    cluster.sql("select pg_switch_wal()")
    cluster.sql("checkpoint")

    def begins_after():
        cluster.local(successor, "checkpoint")
        last = "select substr(redo_wal_file, 9) from pg_control_checkpoint()"
        return cluster.local(successor, last) > old

    until(60, "the successor has come so far", begins_after)
    promote(cluster, successor)

    def removed():
        cluster.sql("select pg_switch_wal()")
        cluster.sql("checkpoint")
        cluster.local(former, "checkpoint")
        files = "select string_agg(name, chr(32) order by name) from pg_ls_waldir()"
        both = cluster.sql(files), cluster.local(former, files)
        return all(told.startswith("0000") and f"{old} " not in f"{told} " for told in both)

    until(60, "both have removed their WAL", removed)


def back_too_late(cluster, standby, former, successor):
    cut_off(cluster, standby)
    remove_wal(cluster, former, successor)
    cluster.juju("fault", "heal")
    until(RECOVERY, "its unit says what it does", lambda: cluster.units()[standby]
          == ("waiting", "taking a new copy of the primary's data"), every=0.05)
    took = until(RECOVERY, "the standby follows again", lambda: cluster.whole(3))
    check(f"back too late, a standby starts anew and follows {took:.1f} s later, and it alone",
          set(verdicts(cluster)) == {f"unit-{standby.replace('/', '-')}"}, verdicts(cluster))
    rows = "select (select count(*) from more) + (select count(*) from meanwhile)"
    check("it has what was written meanwhile", all(
        cluster.local(unit, rows) == "2000" for unit in cluster.units()))


def main():
    with Cluster() as cluster:
        cluster.juju("model-config", "update-status-hook-interval=60m")
        cluster.deploy(3, "--config", "durability_wal_keep_size=0")
        until(120, "three units stand", lambda: cluster.whole(3))
        primary = cluster.primary()
        successor, standby = [unit for unit in sorted(cluster.units()) if unit != primary]
        with writing(cluster, "a standby comes back", None):
            back_in_time(cluster, standby)
            back_for_a_moment(cluster, standby)
            back_too_late(cluster, standby, primary, successor)


if __name__ == "__main__":
    try:
        main()
    except (Failed, subprocess.TimeoutExpired) as error:
        sys.exit(f"FAILED: {error}")
