"""Members come in to each other's PostgreSQL by who they are, whatever name DNS has for their addresses:
each name comes first now and then, as with CoreDNS, and no standby is refused. The password alone lets
nobody replicate or rewind, nor does a certificate of anybody else's. A new member's copy begins at once
though much is dirty, and one that diverged is rewound."""

import subprocess
import sys
import tempfile

from local_diverged import rewound
from scenario import APP, MODEL, Cluster, PSQL, Failed, check, until
from writing import writing

STORAGE = "/var/lib/postgresql/data"
# Times that all standbys connect anew.
RECONNECTS = 15
REFUSED = "no pg_hba.conf entry|certificate verify failed|valid client certificate|unknown ca"
SENDERS = ("select application_name, client_dn from pg_stat_replication join pg_stat_ssl using (pid)"
           " where ssl order by 1")


def names(cluster, unit, asked):
    """The names that DNS gives first for a unit's address, another one asking it a few times."""
    address = cluster.address(unit)
    ask = f"for n in $(seq 30); do getent hosts {address} | awk '{{print $2}}'; done | sort -u"
    return set(cluster.inside(asked, ask).split())


def refusals(cluster):
    """Lines of all PostgreSQL logs in which somebody is refused."""
    look = f"grep -hE '{REFUSED}' /var/log/postgresql/postgresql* 2>/dev/null"
    return [line for unit in cluster.units() for line in cluster.inside(unit, look).splitlines()]


def reconnect(cluster):
    """Standbys come back each time that the primary ends their sessions."""
    before = "select string_agg(pid::text, ',') from pg_stat_replication"
    for _ in range(RECONNECTS):
        old = cluster.sql(before)
        cluster.sql("select pg_terminate_backend(pid) from pg_stat_replication")
        until(30, "both standbys stream anew", lambda: cluster.sql(before) != old and cluster.whole(3))
    seen = cluster.sql(SENDERS).splitlines()
    standbys = [unit.replace("/", "-") for unit in sorted(cluster.units()) if unit != cluster.primary()]
    check("standbys show who they are", seen == [f"{name}|/CN=replication" for name in standbys], str(seen))


def stranger(cluster, folder):
    """Somebody with the right passwords, and with nothing or with a certificate of his own."""
    key, own = f"{folder}/key.pem", f"{folder}/own.pem"
    primary = f"{APP}-primary.{MODEL}.svc.cluster.local"
    for user, replication in (("replication", "true"), ("rewind", "false")):
        password = cluster.action(f"{APP}/0", "get-password", username=user)["password"]
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                        "-nodes", "-keyout", key, "-out", own, "-subj", f"/CN={user}"],
                       check=True, capture_output=True)
        statement = "IDENTIFY_SYSTEM" if replication == "true" else "select 1"
        for tls in ("sslmode=require", "sslmode=disable", f"sslmode=require sslcert={own} sslkey={key}"):
            at = f"host={primary} user={user} dbname=postgres replication={replication} {tls}"
            done = cluster.call("net", "--", "env", f"PGPASSWORD={password}", "PGCONNECT_TIMEOUT=5", PSQL, "-X",
                                at, "-qAtc", statement, check=False)
            check(f"{user} with its password and {tls.split(' ')[0]}{' and own certificate' * ('cert' in tls)}"
                  " is refused", done.returncode != 0, done.stdout)
            print(f"  {done.stderr.strip().splitlines()[-1]}", flush=True)


def members_keys(cluster):
    for unit in cluster.units():
        for name in ("replication.pem", "rewind.pem"):
            stat = cluster.inside(unit, f"stat -c %a:%U {STORAGE}/{name}")
            check(f"{name} of {unit} is its owner's alone", stat == "600:postgres", stat)


def grow(cluster):
    """A new unit after a load that left much to write, with the next checkpoint far away."""
    cluster.sql("create table load as select n, repeat(md5(n::text), 8) as t from generate_series(1, 300000) n")
    cluster.juju("add-unit", APP)
    took = until(120, "the new unit stands", lambda: cluster.whole(4))
    check(f"a new member stands {took:.0f} s after a load", True)
    log = cluster.inside(cluster.primary(), "grep -h 'checkpoint starting' /var/log/postgresql/postgresql*")
    check("its copy's checkpoint was not spread", "checkpoint starting: immediate force wait" in log, log[-600:])
    check("the new member shows who it is", cluster.sql(SENDERS).count("/CN=replication") == 3)
    cluster.juju("remove-unit", APP, "--num-units", "1", "--no-prompt")
    until(120, "three units stand", lambda: cluster.whole(3))


def main():
    with tempfile.TemporaryDirectory() as folder, Cluster() as cluster:
        cluster.juju("model-config", "update-status-hook-interval=60m")
        cluster.deploy(3)
        until(120, "three units stand", lambda: cluster.whole(3))
        seen = names(cluster, f"{APP}/1", f"{APP}/0")
        check("DNS has other names than the member's own first", len(seen) > 2, str(seen))
        with writing(cluster, "standbys connect anew", 0):
            reconnect(cluster)
        check("no standby was refused", not refusals(cluster), str(refusals(cluster)[:3]))
        members_keys(cluster)
        stranger(cluster, folder)
        grow(cluster)
        cluster.sql("create table lonely (n int)")
        with writing(cluster, "a primary diverges", None):
            rewound(cluster)


if __name__ == "__main__":
    try:
        main()
    except (Failed, subprocess.TimeoutExpired) as error:
        sys.exit(f"FAILED: {error}")
