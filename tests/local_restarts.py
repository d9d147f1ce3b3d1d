"""Options and servers that would not start, on the local model: what no server starts with is refused,
one that does not start says why and takes changed options though nobody leads, parallel queries have
room beside a small /dev/shm, a raised parameter never reaches the primary before a standby, and
prepared transactions keep a restart back that would fail."""

import json
import subprocess
import sys

from scenario import APP, Cluster, Failed, Writer, check, until

CONNECTIONS = "experimental_max_connections"
PREPARED = "memory_max_prepared_transactions"
# More than fits into 64 MiB between the workers of one query.
PARALLEL = """set max_parallel_workers_per_gather = 2; set min_parallel_table_scan_size = 0;
set parallel_setup_cost = 0; set parallel_tuple_cost = 0; set work_mem = '512MB'; set enable_mergejoin = off;
select count(*) from big a join big b using (n)"""


def patroni(cluster, path, *options):
    """What the first unit's Patroni answers, as `patroni` where it is to change something."""
    password = cluster.action(f"{APP}/0", "get-password", username="patroni")["password"]
    address = cluster.address(f"{APP}/0")
    return cluster.juju("net", "--", "curl", "-sk", "-u", f"patroni:{password}", *options,
                        f"https://{address}:8008/{path}")


def refused(cluster):
    for option, value in ((CONNECTIONS, "262143"), (PREPARED, "262143"),
                          ("instance_max_locks_per_transaction", "2147483647")):
        cluster.juju("config", APP, f"{option}={value}")
        says = lambda: cluster.units()[f"{APP}/0"]
        until(30, f"{option} blocks", lambda: says()[0] == "blocked" and f"{option}={value}" in says()[1])
        check(says()[1], "is not allowed, use" in says()[1])
        most = says()[1].split(" to ")[1].split()[0]
        cluster.juju("config", APP, "--reset", option)
        until(30, "all is well again", lambda: cluster.stands(1))
        if option == CONNECTIONS:
            cluster.juju("config", APP, f"{option}={most}")
            until(90, "a server starts with the most that is allowed",
                  lambda: cluster.sql("show max_connections") == most)
            cluster.juju("config", APP, "--reset", option)
            until(90, "and goes back", lambda: cluster.sql("show max_connections") == "100")


def does_not_start(cluster):
    patch = lambda value: patroni(cluster, "config", "-X", "PATCH", "-d", json.dumps(
        {"postgresql": {"parameters": {"huge_pages": value}}}))
    patch("on")
    until(30, "it waits for a restart", lambda: "pending_restart" in patroni(cluster, "patroni"))
    says = lambda: cluster.units()[f"{APP}/0"]
    until(90, "the status has PostgreSQL's own words",
          lambda: says()[1].startswith("PostgreSQL does not start: could not map anonymous"))
    check(f"{says()}", says()[0] == "blocked")
    cluster.juju("config", APP, f"{CONNECTIONS}=77")
    config = lambda: json.loads(patroni(cluster, "config"))["postgresql"]["parameters"]
    until(60, "options arrive though nobody leads", lambda: config()["max_connections"] == 77)
    patch(None)
    until(90, "it starts again", lambda: cluster.stands(1) and cluster.sql("show max_connections") == "77")
    check("a server that does not start says why, and goes on once it can", True)
    cluster.juju("config", APP, "--reset", CONNECTIONS)
    until(90, "all is as before", lambda: cluster.sql("show max_connections") == "100")


def parallel(cluster):
    unit = f"{APP}/0"
    check("/dev/shm is small", "65536k" in cluster.inside(unit, "grep /dev/shm /proc/mounts"))
    check("sysv", cluster.sql("show dynamic_shared_memory_type") == "sysv")
    cluster.sql("create table big as select generate_series(1, 2500000) as n; analyze big")
    check("a parallel query needs no room in it", cluster.sql(PARALLEL) == "2500000")
    cluster.sql("drop table big")


def raised(cluster):
    """Standbys whose Patroni is late: the primary waits for them all the same."""
    check("unit 0 leads", cluster.primary() == f"{APP}/0")
    standbys = [unit for unit in cluster.units() if unit != cluster.primary()]
    told = lambda unit, signal: cluster.inside(unit, f"kill -{signal} $(pgrep -x patroni)")
    with Writer(cluster) as writer:
        for unit in standbys:
            told(unit, "STOP")
        cluster.juju("config", APP, f"{CONNECTIONS}=150")
        until(30, "the primary has read it", lambda: "pending_restart" in patroni(cluster, "patroni"))
        for unit in standbys:
            told(unit, "CONT")
        until(120, "every member runs with it", lambda: all(
            cluster.local(unit, "show max_connections") == "150" for unit in cluster.units()))
        until(60, "all stand", lambda: cluster.whole(3))
    for unit in standbys:
        aborted = cluster.inside(unit, "grep -l 'insufficient parameter settings' /var/log/postgresql/*")
        check(f"{unit} was not left behind", not aborted, aborted)
    check("nothing acknowledged is lost", not writer.lost())
    print(f"the longest time without a write: {writer.gap():.1f} s")


def prepared(cluster):
    cluster.juju("config", APP, f"{PREPARED}=10")
    until(120, "transactions can be prepared", lambda: cluster.sql(f"show max_prepared_transactions") == "10")
    until(60, "all stand", lambda: cluster.whole(3))
    cluster.sql("create table p (n int); begin; insert into p values (1); prepare transaction 'left'")
    primary = cluster.primary()
    started = cluster.local(primary, "select pg_postmaster_start_time()")
    cluster.juju("config", APP, "--reset", PREPARED)
    says = cluster.application
    until(60, "the application says what keeps the restart back",
          lambda: f"{PREPARED}=0 waits: end 1 prepared" in says()[1])
    check(says()[1], says()[0] == "blocked" and cluster.primary() == primary)
    check("nobody was restarted", cluster.local(primary, "select pg_postmaster_start_time()") == started)
    cluster.sql("commit prepared 'left'")
    until(120, "the restarts go on by themselves", lambda: all(
        cluster.local(unit, "show max_prepared_transactions") == "0" for unit in cluster.units()))
    until(60, "all stand", lambda: cluster.whole(3))
    check("the same unit leads", cluster.primary() == primary)
    check("what was prepared is there", cluster.sql("select count(*) from p") == "1")


def main():
    with Cluster() as cluster:
        cluster.juju("model-config", "update-status-hook-interval=60m")
        cluster.deploy(1)
        until(90, "the unit stands", lambda: cluster.whole(1))
        refused(cluster)
        does_not_start(cluster)
        parallel(cluster)
        cluster.juju("add-unit", APP, "-n", "2")
        until(120, "three units stand", lambda: cluster.whole(3))
        raised(cluster)
        prepared(cluster)


if __name__ == "__main__":
    try:
        main()
    except (Failed, subprocess.TimeoutExpired) as error:
        sys.exit(f"FAILED: {error}")
