"""What the scenarios on the local model share: a controller in a home of its own, the charm's
status, actions, SQL through the Services, and a client that writes all the time."""

import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

APP = "postgresql-k8s"
MODEL = "t"
# How many standbys commits wait for.
SYNCHRONOUS = "select count(*) from pg_stat_replication where state='streaming' and sync_state='sync'"
# The ends of PostgreSQL's and Patroni's logs, without what each client and each loop says.
LAST_WORDS = r"""cd /var/log/postgresql
grep -hv 'LOCATION:\|connection received\|connection auth\|disconnection:' postgresql* | tail -n 40
grep -h 'INFO\|WARN\|ERROR' patroni* | grep -v 'no action. I am\|Lock owner\|wake-charm' | tail -n 40"""
# Debian's psql in the path is a script that looks for this one.
PSQL = max(glob.glob("/usr/lib/postgresql/*/bin/psql"), default="psql")
TARGET = os.environ.get("CARGO_TARGET_DIR", "target")
JUJU = os.path.realpath(os.path.join(TARGET, "release", "juju-local"))


def packed_charm():
    """Path of the charm that scripts/pack made."""
    folder = "target/charm"
    names = [name for name in os.listdir(folder) if name.endswith(".charm")]
    return os.path.realpath(os.path.join(folder, names[0]))


class Failed(Exception):
    """A check did not hold."""


class Cluster:
    """A controller with one model; everything it made is gone at the end."""

    def __init__(self, *bootstrap):
        self.home = tempfile.mkdtemp(prefix="scenario-")
        self.env = dict(os.environ, JUJU_LOCAL_HOME=self.home)
        # By this variable a scenario runs on another version of Juju.
        juju = os.environ.get("SCENARIO_JUJU")
        self.bootstrap = [*bootstrap, *(["--juju", juju] if juju else [])]
        self.known = None

    def __enter__(self):
        try:
            self.juju("bootstrap", *self.bootstrap)
            self.juju("add-model", MODEL)
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, *_):
        if kind:
            for command in (["status"], ["debug-log", "--replay", "--no-tail"]):
                done = self.call(*command, check=False)
                print("\n".join(done.stdout.splitlines()[-100:]))
            for unit in json.loads(self.call("status", "--format", "json", check=False).stdout or "{}") \
                    .get("applications", {}).get(APP, {}).get("units") or {}:
                print(f"--- Patroni and PostgreSQL of {unit}")
                print(self.inside(unit, LAST_WORDS))
        self.call("destroy-controller", "--no-prompt", "--destroy-storage", check=False, model=False)
        shutil.rmtree(self.home, ignore_errors=True)

    def call(self, *args, check=True, model=True, timeout=300, text=None):
        """Runs juju-local with these arguments."""
        env = dict(self.env, JUJU_MODEL=MODEL) if model else self.env
        done = subprocess.run(
            [JUJU, *args], env=env, capture_output=True, text=True, timeout=timeout, input=text
        )
        if check and done.returncode:
            raise Failed(f"{' '.join(args)}: exit {done.returncode}: {done.stderr.strip()}")
        return done

    def juju(self, *args, **options):
        """The same, in a model where the command wants one: its standard output."""
        plain = args[0] in ("bootstrap", "add-model", "destroy-model", "models")
        return self.call(*args, model=not plain, **options).stdout

    def deploy(self, units, *args):
        """Deploys the packed charm."""
        self.juju("deploy", packed_charm(), APP, "-n", str(units), "--trust", *args)

    def status(self, app=APP):
        """An application's part of `status --format json`."""
        return json.loads(self.juju("status", "--format", "json"))["applications"].get(app, {})

    def application(self, app=APP):
        """Status word and message of the application, but for how full the machine's own disk may be."""
        status = self.status(app)["application-status"]
        message = status.get("message", "")
        return status["current"], re.sub(r"(, |^)storage of \S+ is \d+ % full$", "", message)

    def units(self, told_storage=False):
        """Status word and message by unit."""
        units = self.status().get("units") or {}
        return {
            name: (unit["workload-status"]["current"],
                   unit["workload-status"].get("message", "") if told_storage else
                   # The machine's own disk may be nearly full, which is not what is looked at.
                   re.sub(r"(, |^)storage \d+ % full: .*", "", unit["workload-status"].get("message", "")))
            for name, unit in units.items()
        }

    def address(self, unit):
        """The address of a unit's pod."""
        return self.status()["units"][unit]["address"]

    def stands(self, count):
        """So many units are active, one of them Primary."""
        units = self.units()
        whole = len(units) == count and all(word == "active" for word, _ in units.values())
        return whole and [message for _, message in units.values()].count("Primary") == 1

    def whole(self, count):
        """So many units stand, and commits wait for all others."""
        return self.stands(count) and self.sql(SYNCHRONOUS) == str(count - 1)

    def action(self, unit, name, **params):
        """Results of an action; Failed with its message."""
        pairs = [f"{key}={value}" for key, value in params.items()]
        done = self.call("run", unit, name, *pairs, "--format", "json", check=False)
        try:
            (answer,) = json.loads(done.stdout).values()
        except ValueError:
            raise Failed(f"{name}: {done.stderr.strip()}") from None
        if answer["status"] != "completed":
            raise Failed(answer.get("message") or done.stderr.strip())
        return answer.get("results", {})

    def password(self, unit=f"{APP}/0"):
        """The password of operator."""
        return self.action(unit, "get-password")["password"]

    def primary(self, unit=f"{APP}/0"):
        """The unit that get-primary names."""
        return self.action(unit, "get-primary")["primary"]

    def psql(self, service, password, statement, timeout=20):
        """psql's completed process, through a Service, from within the model's network."""
        host = f"{service}.{MODEL}.svc.cluster.local"
        command = ["net", "--", "env", f"PGPASSWORD={password}", "PGCONNECT_TIMEOUT=2", PSQL, "-X",
                   "-h", host, "-U", "operator", "-d", "postgres", "-qAtc", statement]
        return self.call(*command, check=False, timeout=timeout)

    def sql(self, statement, service=f"{APP}-primary", password=None):
        """What a statement prints; the password of operator is asked for where the last one is refused."""
        if not (password or self.known):
            self.known = self.password()
        done = self.psql(service, password or self.known, statement)
        if not password and "password authentication failed" in done.stderr:
            self.known = self.password()
            done = self.psql(service, self.known, statement)
        if done.returncode:
            raise Failed(f"{statement}: {done.stderr.strip()}")
        return done.stdout.strip()

    def inside(self, unit, command, container="postgresql"):
        """Standard output of a shell command in a container."""
        return self.call("ssh", "--container", container, unit, command, check=False).stdout.strip()

    def local(self, unit, statement, seconds=20):
        """What a statement (without single quotes) prints in the unit's own server, or what is said instead."""
        return self.inside(unit, f"su postgres -c \"timeout {seconds} psql -h /var/run/postgresql -U operator"
                                 f" -d postgres -XAtc '{statement}'\" 2>&1")


def until(seconds, what, condition, every=0.2):
    """Waits for a condition with a deadline: the seconds it took."""
    begun = time.monotonic()
    last = None
    while time.monotonic() - begun < seconds:
        try:
            if condition():
                return time.monotonic() - begun
            last = None
        except (Failed, KeyError, ValueError) as error:
            last = error
        time.sleep(every)
    raise Failed(f"not within {seconds} s: {what}" + (f" ({last})" if last else ""))


def check(what, holds, detail=""):
    """Prints that something holds, or fails."""
    if not holds:
        raise Failed(f"{what} {detail}")
    print(f"ok: {what}", flush=True)


class Writer(threading.Thread):
    """Writes uniquely numbered rows through the primary's Service, one at a time, and remembers
    which were acknowledged."""

    def __init__(self, cluster):
        super().__init__(daemon=True)
        self.cluster, self.password = cluster, cluster.password()
        self.acknowledged, self.times, self.done = [], [], threading.Event()
        table = "create table if not exists written (n bigint primary key)"
        # Whoever leads may be about to hand over.
        until(60, "the database takes writes",
              lambda: cluster.psql(f"{APP}-primary", self.password, table).returncode == 0)
        self.last = int(cluster.sql("select coalesce(max(n), 0) from written"))

    def run(self):
        number = self.last
        while not self.done.is_set():
            number += 1
            try:
                done = self.cluster.psql(
                    f"{APP}-primary", self.password, f"insert into written values ({number})"
                )
            except subprocess.TimeoutExpired:
                continue
            if done.returncode == 0:
                self.acknowledged.append(number)
                self.times.append(time.monotonic())
            # A process and a session for each row: without a pause they would be all that runs.
            self.done.wait(0.1)

    def __enter__(self):
        self.start()
        until(30, "the first write is acknowledged", lambda: self.acknowledged)
        return self

    def __exit__(self, *_):
        self.done.set()
        self.join(30)

    def gap(self):
        """Seconds of the longest time without an acknowledged write."""
        return max((b - a for a, b in zip(self.times, self.times[1:])), default=0.0)

    def lost(self):
        """Acknowledged rows that are not there."""
        rows = {int(n) for n in self.cluster.sql("select n from written").split()}
        return sorted(set(self.acknowledged) - rows)
