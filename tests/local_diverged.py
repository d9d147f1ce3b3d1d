"""A primary is cut off with a commit that nobody else has, while another takes the lead. Back, it is
rewound and follows by itself. Where the WAL that a rewind reads has gone, it keeps what it has and its
unit says so, until an operator gives that up by the command that the log tells. No acknowledged write
is lost."""

import re
import subprocess
import sys

from scenario import APP, Cluster, Failed, check, until
from writing import writing

# Seconds until another leads: the lease, and what a busy machine takes.
LEAD = 60
# Seconds until a member that came back follows again.
RECOVERY = 120
PGDATA = "/var/lib/postgresql/data/pgdata"
BLOCKED = re.compile(r"has data that the primary lacks \(timeline (\d+) from (\S+) on\) and cannot be rewound")
# What somebody removes who makes room in the wrong place: all WAL but what PostgreSQL starts from.
REMOVE = (f"cd {PGDATA}/pg_wal; redo=$(LC_ALL=C /usr/lib/postgresql/*/bin/pg_controldata .."
          r" | sed -n 's/.*REDO WAL file: *//p'); for f in 0*; do [ ! $f \< $redo ] || rm $f; done")


def depose(cluster, number):
    """Cuts the primary off with a commit of its own, until another leads: who it was."""
    primary = cluster.primary()
    # So that the common checkpoint is in another segment than what comes.
    cluster.local(primary, "checkpoint", 30)
    cluster.local(primary, "select pg_switch_wal()", 3)
    cluster.juju("fault", "cut", primary)
    told = cluster.local(primary, f"insert into lonely values ({number})", 3)
    check("what only a primary that is cut off has is not acknowledged", "INSERT" not in told, told)
    others = [unit for unit in cluster.units() if unit != primary]
    until(LEAD, "another leads", lambda: any(
        cluster.local(unit, "select pg_is_in_recovery()", 3) == "f" for unit in others))
    until(LEAD, "the one that is cut off has stepped down", lambda:
          cluster.local(primary, "select pg_is_in_recovery()", 3) == "t")
    shown = cluster.local(primary, "select count(*) from lonely", 3)
    check("and is there all the same", shown == "1", shown)
    return primary


def rewound(cluster):
    member = depose(cluster, 1)
    cluster.juju("fault", "heal")
    took = until(RECOVERY, f"{member} follows again", lambda: cluster.whole(3))
    check(f"a member that diverged is rewound and follows after {took:.1f} s",
          cluster.local(member, "select count(*) from lonely", 3) == "0"
          and "pg_rewind: Done!" in cluster.inside(member, "cat /var/log/postgresql/patroni*"))


def given_up(cluster):
    member = depose(cluster, 2)
    cluster.inside(member, REMOVE)
    cluster.juju("fault", "heal")
    took = until(RECOVERY, "its unit says so", lambda: BLOCKED.match(cluster.units()[member][1]))
    word, message = cluster.units()[member]
    check(f"where it can't be rewound it says so after {took:.1f} s: {message}", word == "blocked")
    log = cluster.juju("debug-log", "--replay", "--no-tail")
    told = re.findall(r"to give up what .*: juju (ssh .*)", log)[-1].split()
    check("and keeps its data", cluster.inside(
        member, f"test -e {PGDATA}/PG_VERSION && echo kept") == "kept")
    cluster.juju(*told)
    took = until(RECOVERY, f"{member} follows again", lambda: cluster.whole(3))
    check(f"given up by the command that the log tells, it follows after {took:.1f} s",
          cluster.local(member, "select count(*) from lonely", 3) == "0")


def main():
    with Cluster() as cluster:
        cluster.juju("model-config", "update-status-hook-interval=60m")
        cluster.deploy(3)
        until(120, "three units stand", lambda: cluster.whole(3))
        cluster.sql("create table lonely (n int)")
        with writing(cluster, "the primary diverges twice", None):
            rewound(cluster)
            given_up(cluster)


if __name__ == "__main__":
    try:
        main()
    except (Failed, subprocess.TimeoutExpired) as error:
        sys.exit(f"FAILED: {error}")
