"""The passwords of the charm's own users by a secret of the operator's, on three units under load:
they change everywhere while replication streams on and writes are acknowledged."""

import subprocess
import sys

from scenario import APP, Cluster, Failed, Writer, check, until

USERS = ("operator", "replication", "rewind", "monitoring", "backup", "patroni")


def passwords(word):
    """A password for each of the users."""
    return [f"{user}={word}-{user}" for user in USERS]


def receivers(cluster, password=None):
    """The standbys' connections: they stay while nothing refuses them."""
    rows = cluster.sql("select application_name, pid from pg_stat_replication", password=password)
    return sorted(rows.splitlines())


def refusals(cluster):
    """Lines of the servers' logs about a password that was not taken, but for those of psql."""
    found = []
    for unit in cluster.units():
        text = cluster.inside(unit, "grep -h 'password authentication failed' "
                              "/var/log/postgresql/postgresql-*.log || true")
        found += [line for line in text.splitlines() if '"operator"' not in line]
    return found


def takes(cluster, unit, word):
    """Patroni's REST API of a unit takes the new password: a patch that changes nothing."""
    done = cluster.call("net", "--", "curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", "-u",
                        f"patroni:{word}-patroni", "-X", "PATCH", "-d", '{"failsafe_mode": true}',
                        f"https://{cluster.address(unit)}:8008/config", check=False)
    return done.stdout == "200"


def everywhere(cluster, word):
    return (cluster.psql(f"{APP}-primary", f"{word}-operator", "select 1").returncode == 0
            and all(takes(cluster, unit, word) for unit in cluster.units())
            and all(f"{word}-replication" in cluster.inside(
                unit, "cat /var/lib/postgresql/data/patroni.yml") for unit in cluster.units()))


def main():
    with Cluster() as cluster:
        cluster.juju("model-config", "update-status-hook-interval=60m")
        cluster.deploy(3)
        until(120, "the units stand", lambda: cluster.whole(3))
        secret = cluster.juju("add-secret", "system", *passwords("first")).strip()
        cluster.juju("config", APP, f"system-users={secret}")
        leader = next(u for u, s in cluster.status()["units"].items() if s.get("leader"))
        says = lambda: cluster.units()[leader]
        until(30, "it asks for the grant", lambda: f"juju grant-secret {secret} {APP}" in says()[1])
        until(30, "three stream", lambda: len(receivers(cluster)) == 2)
        before = receivers(cluster)
        cluster.juju("grant-secret", "system", APP)
        until(60, "the first ones are everywhere", lambda: everywhere(cluster, "first"))
        with Writer(cluster) as writer:
            for word in ("second", "third"):
                cluster.juju("update-secret", "system", *passwords(word))
                writer.password = f"{word}-operator"
                took = until(60, f"the {word} ones are everywhere",
                             lambda: everywhere(cluster, word))
                check(f"the {word} ones are everywhere after {took:.1f} s", True)
                until(30, "the units stand", lambda: cluster.stands(3))
        check("every standby streams as before", receivers(cluster) == before,
              f"{before} {receivers(cluster)}")
        check("nothing that was acknowledged is lost", not writer.lost())
        check("nobody but clients with an old password was refused", not refusals(cluster),
              str(refusals(cluster)[:3]))
        print(f"   longest time without a write: {writer.gap():.1f} s", flush=True)
        cluster.sql("select pg_terminate_backend(pid) from pg_stat_replication")
        until(30, "the standbys come back with the new password",
              lambda: len(receivers(cluster)) == 2 and receivers(cluster) != before)
        check("the standbys come back with the new password", cluster.password() == "third-operator")
        try:
            cluster.action(leader, "set-password", password="another-password")
        except Failed as error:
            check(f"set-password is refused: {error}", "juju update-secret" in str(error))
        else:
            raise Failed("set-password was not refused")
        for content, problem in (("root=long-enough", "names root"), ("operator=short", "8 to 100")):
            cluster.juju("update-secret", "system", content)
            until(30, f"{content} blocks", lambda: problem in says()[1])
            check(says()[1], "short" not in says()[1] and "long-enough" not in says()[1])
        for without in (("--reset", "system-users"), (f"system-users={secret}",), ("system-users=",)):
            cluster.juju("config", APP, *without)
            if without[0].endswith(secret):
                until(30, "it blocks again", lambda: "8 to 100" in says()[1])
                continue
            until(60, "all is well again", lambda: cluster.stands(3))
            check(f"after juju config {' '.join(without)} the last good ones stay",
                  cluster.password() == "third-operator")


if __name__ == "__main__":
    try:
        main()
    except (Failed, subprocess.TimeoutExpired) as error:
        sys.exit(f"FAILED: {error}")
