"""TLS is turned on, renewed, moved to another authority and turned off, while a client writes with
a new connection each time, verifying host and certificate wherever there is a provider's: no write
fails, no PostgreSQL is restarted, no other member leads, no replication is broken. The provider is
a charm on the published library. No private key is where it could be read."""

import base64
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from scenario import APP, MODEL, Cluster, PSQL, Failed, check, until

CHARM = pathlib.Path(__file__).parent / "charms" / "tls-provider"
PROVIDER = "tls-provider"
PRIMARY = f"{APP}-primary.{MODEL}.svc.cluster.local"
STORAGE = "/var/lib/postgresql/data"
# Seconds for a change to reach all units, with the provider's Python hooks in it.
REACHES = 90

# Asks every member's REST API as another member does.
TRUST = (
    "import ssl, urllib.request as r; "
    f"c = ssl.create_default_context(cafile='{STORAGE}/members-ca.pem'); "
    f"print([r.urlopen('https://{APP}-%d.{APP}-endpoints:8008/liveness' % n, context=c).status "
    "for n in range(3)])"
)


LIBRARIES = pathlib.Path.home() / ".cache" / "postgresql-k8s" / "tls-provider-libraries"


def charm_with_libraries(folder):
    """The provider's charm, with the published libraries beside it."""
    charm = pathlib.Path(folder) / PROVIDER
    shutil.copytree(CHARM, charm)
    if not (LIBRARIES / "charmlibs").exists():
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "-q", "--target", str(LIBRARIES),
             "charmlibs-interfaces-tls-certificates"],
            check=True,
        )
    shutil.copytree(LIBRARIES, charm / "venv", ignore=shutil.ignore_patterns("__pycache__", "bin"))
    return charm


class Client(threading.Thread):
    """Writes all the time, each time over a new connection; remembers what failed."""

    def __init__(self, cluster, password):
        super().__init__(daemon=True)
        self.cluster, self.password = cluster, password
        self.tls = {"PGSSLMODE": "prefer"}
        self.written, self.failed, self.times = 0, [], []
        self.done = threading.Event()

    def run(self):
        while not self.done.is_set():
            tls = [f"{key}={value}" for key, value in self.tls.items()]
            statement = f"insert into written values ({self.written})"
            done = self.cluster.call(
                "net", "--", "env", f"PGPASSWORD={self.password}", "PGCONNECT_TIMEOUT=5", *tls,
                PSQL, "-X", "-h", PRIMARY, "-U", "operator", "-d", "postgres", "-qAtc", statement,
                check=False, timeout=30)
            if done.returncode:
                self.failed.append(done.stderr.strip())
            else:
                self.written += 1
                self.times.append(time.monotonic())

    def uses(self, mode, authorities=None):
        """How it connects from now on."""
        self.tls = {"PGSSLMODE": mode}
        if authorities:
            self.tls["PGSSLROOTCERT"] = str(authorities)
        # What was begun before counts as before.
        before = self.written
        until(30, f"the client writes with {mode}", lambda: self.written > before + 1)

    def gap(self):
        """Seconds of the longest time without a write."""
        return max((b - a for a, b in zip(self.times, self.times[1:])), default=0.0)


class Tls(Cluster):
    """A cluster with certificates."""

    def served(self, unit, port=5432, start="postgres"):
        """Issuer and serial number of the certificate that a unit serves; empty without one."""
        connect = ["-connect", f"{self.address(unit)}:{port}"]
        if start:
            connect += ["-starttls", start]
        shown = self.call("net", "--", "sh", "-c",
                          f"openssl s_client {' '.join(connect)} </dev/null 2>/dev/null | "
                          "openssl x509 -noout -issuer -serial", check=False).stdout
        issuer = re.search(r"CN ?= ?([^,\n]*)", shown)
        serial = re.search(r"serial=(\w+)", shown)
        return (issuer.group(1), serial.group(1)) if issuer and serial else ("", "")

    def all_of(self, name):
        """Every unit's PostgreSQL serves a certificate of this authority."""
        return all(self.served(unit)[0] == name for unit in self.units())

    def state(self):
        """What must stay as it is: each member's start, the primary, its timeline, and since when
        each standby replicates."""
        starts = {unit: self.inside(unit, f"head -3 {STORAGE}/pgdata/postmaster.pid")
                  for unit in self.units()}
        senders = self.sql("select application_name, backend_start from pg_stat_replication order by 1")
        timeline = self.sql("select timeline_id from pg_control_checkpoint()")
        return {"starts": starts, "primary": self.primary(), "timeline": timeline, "senders": senders}


def step(cluster, client, before, what, seconds):
    """Checks that a step has disturbed nothing."""
    failed, client.failed = client.failed, []
    gap = client.gap()
    client.times = client.times[-1:]
    check(f"{what} in {seconds:.0f} s: no write failed, longest time between two {gap:.2f} s",
          not failed, f"{len(failed)} failed: {failed[:3]}")
    now = cluster.state()
    check(f"{what}: no restart, no failover, no replication broken", now == before,
          f"\nbefore {before}\nnow {now}")


def validated(cluster):
    """What each unit asks for, by the published library's own model."""
    sys.path.insert(0, str(LIBRARIES))
    from charmlibs.interfaces.tls_certificates import CertificateSigningRequest, _tls_certificates

    model = _tls_certificates._RequirerData  # The library has no public name for it.
    told = json.loads(cluster.juju("show-unit", f"{PROVIDER}/0", "--format", "json"))[f"{PROVIDER}/0"]
    (relation,) = [r for r in told["relation-info"] if r["endpoint"] == "certificates"]
    check("the application itself asks for nothing", not relation["application-data"], str(relation))
    for unit, bag in relation["related-units"].items():
        asked = {key: text for key, text in bag["data"].items() if not key.endswith(("-address", "-subnets"))}
        keys = {field.alias or name for name, field in model.model_fields.items()}
        check(f"{unit} writes no key that the library's model does not know", set(asked) <= keys, str(set(asked)))
        (request,) = model.load(bag["data"]).certificate_signing_requests
        said = CertificateSigningRequest.from_string(request.certificate_signing_request)
        host = f"{unit.replace('/', '-')}.{APP}-endpoints.{MODEL}.svc.cluster.local"
        check(f"the library reads the request of {unit}",
              not request.ca and said.common_name and {host, PRIMARY} <= set(said.sans_dns or []), str(said.sans_dns))


def private_lines(cluster):
    """A line of each private key on the units' volumes."""
    lines = set()
    for unit in cluster.units():
        for name in ("cert.pem", "members-cert.pem", "replication.pem", "rewind.pem"):
            stat = cluster.inside(unit, f"stat -c %a:%U {STORAGE}/{name}")
            check(f"{name} of {unit} is its owner's alone", stat == "600:postgres", stat)
            lines.add(cluster.inside(unit, f"sed -n 2p {STORAGE}/{name}"))
    return lines


def no_key_is_told(cluster):
    """Keys are in no databag, no log and no file that others can read."""
    lines = private_lines(cluster)
    check("there are keys to look for", len(lines) >= 4 and all(len(line) > 40 for line in lines))
    log = cluster.juju("debug-log", "--replay", "--no-tail", "--level", "TRACE")
    bags = "".join(cluster.juju("show-unit", unit, "--format", "json")
                   for unit in [*cluster.units(), f"{PROVIDER}/0"])
    for line in lines:
        check("a private key is neither in the log nor in a databag",
              line not in log and line not in bags)
    check("nothing of a private key at all in a databag", "PRIVATE KEY" not in bags)
    for unit in cluster.units():
        for container in ("postgresql", "charm"):
            open_files = cluster.inside(
                unit, "grep -rlsF 'PRIVATE KEY-----' /var/lib/postgresql /var/lib/juju /var/log/postgresql "
                "/tmp /run 2>/dev/null | xargs -r stat -c '%a %n' | grep -v '^[0-7]00 ' | "
                "grep -v '/agents/.*/venv/'", container)
            open_files = [line for line in open_files.splitlines() if not line.endswith((".py", "postgresql-k8s"))]
            check(f"no file with a key in {container} of {unit} can be read by others", not open_files,
                  str(open_files))


def anew(cluster):
    """Standbys connect anew to a primary that serves a provider's certificate, and show their own of the
    members' authority."""
    before = cluster.sql("select string_agg(pid::text, ',') from pg_stat_replication")
    cluster.sql("select pg_terminate_backend(pid) from pg_stat_replication")
    until(30, "both standbys stream anew", lambda: cluster.whole(3) and cluster.sql(
        "select string_agg(pid::text, ',') from pg_stat_replication") != before)
    shown = cluster.sql("select string_agg(client_dn, ' ') from pg_stat_ssl join pg_stat_replication using (pid)")
    check("with a provider's certificate standbys come in by their own", shown == "/CN=replication /CN=replication",
          shown)


def members(cluster):
    """The members' REST API speaks TLS of their own authority, and nothing else."""
    for unit in cluster.units():
        issuer, _ = cluster.served(unit, 8008, None)
        check(f"the REST API of {unit} has a certificate of the members' authority", " members " in issuer,
              issuer)
        done = cluster.call("net", "--", "curl", "-s", "-m", "3", f"http://{cluster.address(unit)}:8008/health",
                            check=False)
        check(f"the REST API of {unit} speaks nothing but TLS", done.returncode != 0, done.stdout)
        shown = cluster.inside(unit, f"python3 -c \"{TRUST}\"")
        check(f"{unit} trusts every member by its host's name", shown == "[200, 200, 200]", shown)


def main():
    with tempfile.TemporaryDirectory() as folder, Tls() as cluster:
        charm = charm_with_libraries(folder)
        cluster.juju("model-config", "update-status-hook-interval=60m")
        cluster.deploy(3)
        cluster.juju("deploy", str(charm), PROVIDER)
        until(180, "three units stand", lambda: cluster.whole(3))
        until(60, "both standbys replicate", lambda: cluster.sql(
            "select count(*) from pg_stat_replication where state = 'streaming'") == "2")
        members(cluster)
        encrypted = cluster.sql("select bool_and(ssl) from pg_stat_ssl join pg_stat_replication using (pid)")
        check("replication is encrypted without a provider", encrypted == "t", encrypted)
        cluster.sql("create table written (n bigint)")
        before = cluster.state()
        client = Client(cluster, cluster.password())
        client.start()
        until(30, "the client writes", lambda: client.written > 2)

        cluster.juju("integrate", f"{PROVIDER}:certificates", f"{APP}:certificates")
        took = until(REACHES, "all serve certificates", lambda: cluster.all_of("test authority 1"))
        step(cluster, client, before, "TLS turned on", took)
        validated(cluster)

        first = pathlib.Path(folder) / "first.pem"
        both = pathlib.Path(folder) / "both.pem"
        first.write_text(cluster.action(f"{PROVIDER}/0", "authority")["certificate"] + "\n")
        client.uses("verify-full", first)
        step(cluster, client, before, "the client verifies host and certificate", 0)

        serials = {unit: cluster.served(unit) for unit in cluster.units()}
        cluster.juju("config", PROVIDER, "life=45")
        cluster.action(f"{PROVIDER}/0", "issue")
        changed = lambda old: all(cluster.served(unit)[1] != old[unit][1] for unit in old)
        until(REACHES, "the short-lived certificates are served", lambda: changed(serials))
        serials = {unit: cluster.served(unit) for unit in cluster.units()}
        took = until(REACHES, "they are renewed by the units' own timers", lambda: changed(serials))
        step(cluster, client, before, "certificates renewed twice", took)

        cluster.juju("config", PROVIDER, "life=3600")
        key = subprocess.run(["openssl", "genrsa", "2048"], capture_output=True, text=True, check=True).stdout
        serials = {f"{APP}/1": cluster.served(f"{APP}/1")}
        cluster.action(f"{APP}/1", "set-tls-private-key", **{"private-key": base64.b64encode(key.encode()).decode()})
        took = until(REACHES, "the operator's key is used", lambda: changed(serials))
        step(cluster, client, before, "an operator's RSA key set", took)

        second = cluster.action(f"{PROVIDER}/0", "replace-authority")["certificate"]
        both.write_text(first.read_text() + second + "\n")
        client.uses("verify-full", both)
        cluster.action(f"{PROVIDER}/0", "issue")
        took = until(REACHES, "the new authority's certificates are served",
                     lambda: cluster.all_of("test authority 2"))
        only = pathlib.Path(folder) / "second.pem"
        only.write_text(second + "\n")
        client.uses("verify-full", only)
        step(cluster, client, before, "moved to a new authority", took)
        until(60, "the old authority is gone from ca.pem", lambda: all(
            cluster.inside(unit, f"grep -c BEGIN {STORAGE}/ca.pem") == "1" for unit in cluster.units()))
        no_key_is_told(cluster)
        anew(cluster)
        before = cluster.state()

        client.uses("require")
        cluster.juju("remove-relation", PROVIDER, APP)
        took = until(REACHES, "all are back to the members' certificates", lambda: all(
            " members " in cluster.served(unit)[0] for unit in cluster.units()))
        step(cluster, client, before, "TLS turned off", took)
        client.done.set()
        client.join(30)
        until(60, "standbys verify their primary again", lambda: all(
            cluster.inside(unit, f"ls {STORAGE}/servers-ca.pem") for unit in cluster.units()))
        anew(cluster)
        check("every write is there", cluster.sql("select count(*) from written") == str(client.written))
        check("all is well", cluster.stands(3), str(cluster.units()))
        print(f"{client.written} writes")


if __name__ == "__main__":
    try:
        main()
    except (Failed, subprocess.TimeoutExpired) as error:
        sys.exit(f"FAILED: {error}")
