"""With pgaudit in the image, from a folder given as argument: no password, key or verifier of one stands in
a log, an argument, an environment, a databag or a file that others may read, through set-password,
rotation, clients that come and go, and passwords by secret. The real values are looked for.

`action-set` takes results as arguments (see README): the values that get-password prints are not looked
for in its own."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from scenario import APP, Failed, until
from tenants import Tenants

FIELDS = ["username", "password", "tls", "tls-ca", "uris", "read-only-uris"]
USERS = ("operator", "replication", "rewind", "monitoring", "patroni")
# A whole one: programs that make them have its beginning.
VERIFIER = re.compile(r"SCRAM-SHA-256\$\d+:")
# Words of a line that say what it is, without the value.
SHOWN = 160


class Processes(threading.Thread):
    """Arguments and environments of every process that comes while it runs, but for this test's own."""

    def __init__(self):
        super().__init__(daemon=True)
        self.seen, self.over = {}, threading.Event()

    def run(self):
        looked = {}
        while not self.over.wait(0.01):
            pids = {name for name in os.listdir("/proc") if name.isdigit()}
            looked = {pid: times for pid, times in looked.items() if pid in pids}
            # A process has its arguments only after its exec, and a server may change them.
            for pid in pids:
                times = looked.get(pid, 0)
                if times < 20 or times % 200 == 0:
                    self.note(pid)
                looked[pid] = times + 1

    def note(self, pid):
        try:
            texts = [open(f"/proc/{pid}/{name}", "rb").read().replace(b"\0", b" ").decode(errors="replace")
                     for name in ("cmdline", "environ")]
        except OSError:
            return
        if any(texts) and tuple(texts) not in self.seen and not self.own(pid):
            self.seen[tuple(texts)] = pid

    def own(self, pid):
        """A child of this test, which has to tell passwords to psql."""
        while pid not in ("0", "1"):
            if pid == str(os.getpid()):
                return True
            try:
                with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                    pid = file.read().rsplit(")", 1)[1].split()[1]
            except OSError:
                return False
        return False

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join(10)

    def having(self, value):
        """The processes that had a value, by the first word of their arguments."""
        found = set()
        has = value.search if isinstance(value, re.Pattern) else lambda text: value in text
        for arguments, environment in self.seen:
            if has(arguments) and "action-set" not in arguments:
                found.add("argument of " + " ".join(arguments.split()[:2]))
            if has(environment):
                found.add("environment of " + " ".join(arguments.split()[:2]))
        return found


class Values(dict):
    """What must stand nowhere, with what it is."""

    def take(self, cluster):
        """Everything secret that the application has now; what was there before stays as well."""
        for listed in json.loads(cluster.juju("secrets", "--format", "json") or "{}") or {}:
            shown = json.loads(cluster.juju("show-secret", listed, "--reveal", "--format", "json"))
            for secret in shown.values():
                content = secret["content"].get("Data", secret["content"])
                for key, value in content.items():
                    self.add(f"{key} of secret {secret.get('label') or listed}", key, value)
        for row in cluster.look("postgres", "select rolname || ' ' || rolpassword from pg_authid "
                                "where rolpassword is not null"):
            role, verifier = row.split(" ", 1)
            self[verifier] = f"verifier of {role}"

    def add(self, what, key, value):
        """A value, or the lines of a private key."""
        if "PRIVATE KEY" in value:
            for line in value.splitlines():
                if len(line) > 40:
                    self[line] = what
        elif re.search("password|uris|key|pass", key) and "BEGIN CERT" not in value and len(value) >= 8:
            self[value] = what
        elif key in USERS:
            self[value] = what


def life(cluster, values):
    """What changes passwords."""
    values.take(cluster)
    for word in ("first", "second"):
        cluster.action(cluster.leader(), "set-password", password=f"{word}-of-operator")
        cluster.known = None
        values.take(cluster)
    for user in ("replication", "rewind"):
        cluster.action(cluster.leader(), "set-password", username=user)
        values.take(cluster)
    numbers = {r["relation-id"] for r in json.loads(cluster.action(cluster.leader(), "list-clients")["clients"])}
    # Nobody follows the old revision of the secret, so the old credentials go by themselves.
    for number in sorted(numbers):
        cluster.action(cluster.leader(), "rotate-client-credentials", **{"relation-id": number})
        values.take(cluster)
    secret = cluster.juju("add-secret", "system", *(f"{u}=third-of-{u}" for u in USERS)).strip()
    cluster.juju("grant-secret", "system", APP)
    cluster.juju("config", APP, f"system-users={secret}")
    cluster.known = "third-of-operator"
    until(60, "the passwords of the secret work", lambda: cluster.psql(
        f"{APP}-primary", "third-of-operator", "select 1").returncode == 0)
    values.take(cluster)
    before = cluster.users()
    cluster.tenant("late", {"database": "late", "requested-secrets": json.dumps(FIELDS)})
    until(60, "one more client", lambda: cluster.told("late").get("secret-user"))
    values.take(cluster)
    cluster.juju("remove-application", "late", "--no-prompt")
    until(60, "which goes", lambda: cluster.users() <= before)
    cluster.action(cluster.other(cluster.primary()), "promote-to-primary", scope="unit")
    until(90, "two units stand", lambda: cluster.stands(2))
    cluster.juju("config", APP, "system-users=secret:none", check=False)
    cluster.juju("config", APP, "--reset", "system-users")
    until(90, "two units stand", lambda: cluster.stands(2))


def logs(cluster):
    """Every log, by name."""
    found = {"debug-log": cluster.juju("debug-log", "--replay", "--no-tail")}
    path = os.path.join(cluster.home, "daemon.log")
    with open(path, encoding="utf-8", errors="replace") as file:
        found["daemon.log"] = file.read()
    for unit in cluster.units():
        found[f"PostgreSQL's of {unit}"] = cluster.inside(unit, "cat /var/log/postgresql/postgresql*")
        found[f"Patroni's of {unit}"] = cluster.inside(unit, "cat /var/log/postgresql/patroni*")
        found[f"Pebble's of {unit}"] = cluster.inside(unit, "/charm/bin/pebble logs -n 100000 || true")
    return found


def databags(cluster):
    """What each unit of the model sees of its relations."""
    found = {}
    for app in json.loads(cluster.juju("status", "--format", "json"))["applications"]:
        for unit in cluster.status(app).get("units") or {}:
            found[f"databags that {unit} sees"] = cluster.juju("show-unit", unit, "--format", "json")
    return found


def readable(cluster, since):
    """What nobody in particular may read of the files that have changed, container by container."""
    places = "/var/lib/postgresql /var/lib/juju /var/lib/pebble /var/log /run /etc /charm /home /root /opt /srv /usr/local"
    who = "setpriv --reuid=65534 --regid=65534 --clear-groups"
    found = f"-xdev -type f -readable -newermt @{since} -size -20M -exec cat {{}} +"
    command = (f"{{ {who} find {places} {found}; {who} find /tmp -maxdepth 2 {found}; }} 2>/dev/null"
               " | tr -cd '\\11\\12\\40-\\176'")
    return {f"files in container {container} of {unit}": cluster.inside(unit, command, container=container)
            for unit in cluster.units() for container in ("postgresql", "charm")}


def verifiers(text):
    """The lines with a verifier, as far as that one's beginning."""
    found = ((line, VERIFIER.search(line)) for line in text.splitlines())
    return [line[:match.end()][-SHOWN:] for line, match in found if match]


def found_nowhere(cluster, values, places):
    """Each place has none of the values, and no verifier at all."""
    for place, text in places.items():
        # The controller of a model that is well says nothing.
        cluster.holds(f"{place} can be looked into", text or place == "daemon.log")
        hits = {what for value, what in values.items() if value in text}
        cluster.holds(f"nothing secret in {place} ({len(text) // 1024} KiB)", not hits, sorted(hits))
        found = verifiers(text)
        cluster.holds(f"no verifier in {place}", not found, f"{len(found)} lines, the first: {found[:1]}")


def main():
    image, = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="image-") as folder, Tenants() as cluster:
        copied = os.path.join(folder, "image")
        shutil.copytree(image, copied)
        os.chmod(folder, 0o755)
        values, since = Values(), int(time.time())
        with Processes() as processes:
            cluster.juju("model-config", "update-status-hook-interval=60m")
            cluster.deploy(2, "--resource", f"postgresql-image={copied}")
            for name in ("one", "two"):
                cluster.tenant(name, {"database": name, "requested-secrets": json.dumps(FIELDS)})
            until(180, "two units stand", lambda: cluster.whole(2))
            for name in ("one", "two"):
                until(60, f"{name} is served", lambda: cluster.told(name).get("secret-user"))
            until(60, "the server audits", lambda: cluster.has("one", "pgaudit"))
            cluster.look("one", "create table public.audited (n int); create role audited; drop role audited")
            until(10, "as its log shows", lambda: "AUDIT: " in cluster.inside(
                cluster.primary(), "cat /var/log/postgresql/postgresql*"))
            life(cluster, values)
        print(f"    {len(values)} values, {len(processes.seen)} processes")
        cluster.holds("there is something to look for", len(values) > 25, sorted(values.values()))
        found_nowhere(cluster, values, logs(cluster) | databags(cluster) | readable(cluster, since))
        for value, what in values.items():
            had = processes.having(value)
            cluster.holds(f"{what} was no process's", not had, sorted(had)) if had else None
        had = processes.having(VERIFIER)
        cluster.holds("no process had a verifier", not had, had)
        cluster.holds("no process had any of them", not any(processes.having(value) for value in values))
        cluster.ends()


if __name__ == "__main__":
    try:
        main()
    except (Failed, subprocess.TimeoutExpired) as error:
        sys.exit(f"FAILED: {error}")
