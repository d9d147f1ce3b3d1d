#!/usr/bin/env python3
"""Faults under load: clients write and read while a seeded mix of faults strikes, two at a time at
most; then the faults stop, everything is active again within a bound, and a checker compares what
was acknowledged and read with what is there.

usage: tests/faults.py [--seed N] [--seconds N] [--rounds N | --hours H] [--out FOLDER] [--units N]
                       [--dynamic JSON] [--during scale,restart,refresh]

A round is one seed: the rounds' seeds count up from the first. With --during each round's faults strike
while the application is changed so, a kind a round in turn, and the change must be complete in the end.
Each leaves history.jsonl,
faults.jsonl and verdict.json in its folder, and all together report.html."""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

from changes import KINDS, Change
from scenario import APP, MODEL, TARGET, JUJU, Cluster, PSQL, Failed, check, until

# Seconds from the end of the last fault until all units are active and writes are taken.
RECOVERY = 180
CHAOS = os.path.realpath(os.path.join(TARGET, "release", "chaos"))


def build():
    """The workload's binary."""
    subprocess.run(["cargo", "build", "--release", "--locked", "--quiet", "-p", "chaos"], check=True)


def micros():
    """The clock of histories."""
    return time.monotonic_ns() // 1000


def chaos(*args, accept=(0,)):
    """What `chaos` prints."""
    done = subprocess.run([CHAOS, *map(str, args)], capture_output=True, text=True, check=False)
    if done.returncode not in accept:
        raise Failed(f"chaos {args[0]}: {done.stderr.strip()}")
    return done.stdout


class Load:
    """The workload, until the block ends. Its arguments go to `chaos load`; `prefix` is the command
    that runs it where the servers can be reached."""

    def __init__(self, prefix, env, folder, *args):
        self.history = os.path.join(folder, "history.jsonl")
        self.told = os.path.join(folder, "load.txt")
        with open(self.told, "w", encoding="utf-8") as told:
            self.process = subprocess.Popen(
                [*prefix, CHAOS, "load", self.history, *map(str, args)],
                env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=told, text=True)

    def why(self):
        """What it said of its end."""
        with open(self.told, encoding="utf-8") as told:
            return told.read().strip()

    @classmethod
    def on(cls, cluster, folder, *args):
        """Through the Services of the charm's application."""
        service = f"{APP}-{{}}.{MODEL}.svc.cluster.local"
        env = dict(cluster.env, JUJU_MODEL=MODEL, PGPASSWORD=cluster.password())
        return cls([JUJU, "net", "--"], env, folder, "--primary", service.format("primary"),
                   "--standbys", service.format("replicas"), *args)

    def __enter__(self):
        if self.process.stdout.readline().strip() != "ready":
            raise Failed(f"the workload did not begin: {self.why()}")
        until(30, "the first write is acknowledged", self.last)
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            if self.process.wait(120) != 0:
                raise Failed(f"the workload ended with {self.process.returncode}: {self.why()}")
        finally:
            self.process.kill()

    def last(self):
        """The last acknowledged write: when and by which server; none before the first."""
        with open(self.history, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 400_000))
            for line in reversed(file.read().splitlines()):
                if b'"acknowledged"' in line and line.endswith(b"}") and line.startswith(b"{"):
                    record = json.loads(line)
                    return record["at"], record["server"]
        return None


class Striker:
    """Carries out faults, remembers them and ends them."""

    def __init__(self, cluster, load, folder):
        self.cluster, self.load = cluster, load
        self.path = os.path.join(folder, "faults.jsonl")
        self.records, self.running = [], []
        open(self.path, "w", encoding="utf-8").close()

    def fault(self, *args):
        """True if it could be done: what should be hit may not run just now."""
        done = self.cluster.call("fault", *args, check=False)
        if done.returncode:
            print(f"   not done: {' '.join(args)}: {done.stderr.strip()}", flush=True)
        return done.returncode == 0

    def primary(self):
        """The unit that acknowledged the last write, else the one that says it is the primary."""
        units = self.cluster.status()["units"]
        last = self.load.last()
        by_address = {unit.get("address"): name for name, unit in units.items()}
        if last and last[1] in by_address:
            return by_address[last[1]]
        told = [name for name, (_, message) in self.cluster.units().items() if message == "Primary"]
        return told[0] if told else sorted(units)[0]

    def strike(self, step, begun):
        """Begins one step of a plan."""
        primary = self.primary()
        others = sorted(unit for unit in self.cluster.units() if unit != primary)
        target = {"primary": primary, "standby": others[-1], "all": ""}[step["who"]]
        print(f"{time.monotonic() - begun:6.1f} s  {step['fault']} {target}"
              f"{' (primary)' if target == primary else ''} {step['lasts'] / 1000:.1f} s", flush=True)
        at = micros()
        done = self.begin(step["fault"], target)
        record = {"at": at, "until": at, "fault": step["fault"], "target": target,
                  "primary": target == primary}
        if done:
            self.records.append(record)
            if step["lasts"]:
                self.running.append((time.monotonic() + step["lasts"] / 1000, record))

    def begin(self, fault, target):
        """Does one thing."""
        where = ("--container", "postgresql")
        match fault:
            case "kill_postgres":
                return self.fault("signal", target, "postgres -D", *where)
            case "kill_patroni":
                return self.fault("signal", target, "bin/patroni", *where)
            case "stop_postgres":
                # Postmaster last: it would see its children stop.
                self.fault("signal", target, "postgres: ", *where, "--signal", "STOP")
                return self.fault("signal", target, "postgres -D", *where, "--signal", "STOP")
            case "stop_patroni":
                return self.fault("signal", target, "bin/patroni", *where, "--signal", "STOP")
            case "kill_container":
                return self.fault("kill-container", target, "postgresql")
            case "kill_pod":
                return self.fault("kill-pod", target, "--delete")
            case "cut_off":
                return self.fault("cut", target)
            case "cut_from_peers":
                others = [unit for unit in self.cluster.units() if unit != target]
                return self.fault("cut", target, "--from", ",".join(others))
            case "lossy":
                return self.fault("lossy", target, "--percent", "30")
            case "api_down" | "api_hang" | "api_error":
                how = {"api_down": "down", "api_hang": "hang", "api_error": "500"}[fault]
                return self.fault("kubernetes-api", how)
            case "steal_leadership":
                return self.fault("steal-leadership", target)
        raise Failed(f"no such fault: {fault}")

    def end(self, record):
        """Undoes one thing."""
        fault, target = record["fault"], record["target"]
        if fault in ("stop_postgres", "stop_patroni"):
            texts = ["bin/patroni"] if fault == "stop_patroni" else ["postgres -D", "postgres: "]
            for text in texts:
                self.cluster.call("fault", "signal", target, text, "--container", "postgresql",
                                  "--signal", "CONT", check=False)
        elif fault.startswith("api_"):
            self.fault("kubernetes-api", "up")
        else:
            self.fault("heal")
        record["until"] = micros()

    def end_due(self, at):
        """Ends what lasted long enough."""
        for when, record in [one for one in self.running if one[0] <= at]:
            self.end(record)
            self.running.remove((when, record))

    def follow(self, plan):
        """Carries out a whole plan, and ends all."""
        begun = time.monotonic()
        waiting = list(plan)
        while waiting or self.running:
            now = time.monotonic()
            self.end_due(now)
            if waiting and now - begun >= waiting[0]["at"] / 1000:
                self.strike(waiting.pop(0), begun)
            time.sleep(0.05)
        self.save()

    def stop(self):
        """Ends all at once."""
        self.end_due(float("inf"))
        self.save()

    def save(self):
        """Writes down what struck."""
        with open(self.path, "w", encoding="utf-8") as file:
            for record in self.records:
                file.write(json.dumps(record) + "\n")


def whole(cluster, units, password):
    """All units say that they are active, and the primary streams to all others: a status alone may
    not know yet that a pod has just gone."""
    standbys = "select count(*) from pg_stat_replication where state = 'streaming' and sync_state <> 'async'"
    return cluster.stands(units) and cluster.sql(standbys, password=password) == str(units - 1)


def same_rows_everywhere(cluster, password):
    """Every member has the same rows."""
    statement = "select count(*), coalesce(sum(client * 1000003 + seq), 0) from chaos_rows"
    found = set()
    for unit in cluster.status()["units"].values():
        done = cluster.call("net", "--", "env", f"PGPASSWORD={password}", "PGCONNECT_TIMEOUT=2",
                            PSQL, "-X", "-h", unit["address"], "-U", "operator", "-d", "postgres",
                            "-qAtc", statement, check=False, timeout=30)
        found.add(done.stdout.strip() if done.returncode == 0 else None)
    return len(found) == 1 and None not in found


def keep_logs(cluster, folder):
    """What one needs to find out why."""
    with open(os.path.join(folder, "juju.log"), "w", encoding="utf-8") as file:
        file.write(cluster.call("debug-log", "--replay", "--no-tail", check=False).stdout)
    with open(os.path.join(folder, "status.json"), "w", encoding="utf-8") as file:
        file.write(cluster.call("status", "--format", "json", check=False).stdout)
    script = "tail -n 4000 /var/log/postgresql/patroni.log* /var/log/postgresql/postgresql*.log; ps axf"
    for unit in cluster.units():
        try:
            text = cluster.call("ssh", "--container", "postgresql", unit, script, check=False,
                                timeout=30).stdout
        except subprocess.TimeoutExpired:
            text = "no answer"
        with open(os.path.join(folder, unit.replace("/", "-") + ".log"), "w", encoding="utf-8") as file:
            file.write(text)


def round_of(cluster, seed, seconds, folder, units, during=None):
    """One seed's faults: what is wrong, as text, empty if nothing is."""
    os.makedirs(folder, exist_ok=True)
    plan = json.loads(chaos("plan", seed, seconds))
    print(f"--- seed {seed}: {len(plan)} faults in {seconds} s{f', during {during}' if during else ''}",
          flush=True)
    wrong = []
    with Load.on(cluster, folder, "--seed", seed, "--limit", seconds + 600) as load:
        striker = Striker(cluster, load, folder)
        change = Change(cluster, during, units, seed) if during else None
        try:
            if change:
                change.start()
            striker.follow(plan)
        finally:
            striker.stop()
        quiet = micros()
        try:
            if change:
                change.complete()
                ended = (micros() - quiet) / 1e6
                print(f"        the change is complete {ended:.1f} s after the last fault", flush=True)
            password = cluster.password()
            took = until(RECOVERY, f"{units} units stand and take writes",
                         lambda: whole(cluster, units, password) and load.last()[0] > quiet)
            after = "the change" if change else "the last fault"
            print(f"        {took:.1f} s after {after} everything is active", flush=True)
            until(60, "writes go on", lambda: load.last()[0] > quiet + 1_000_000)
        except (Failed, subprocess.TimeoutExpired) as error:
            wrong.append(str(error))
    try:
        password = cluster.password()
        until(60, "every member has the same rows", lambda: same_rows_everywhere(cluster, password))
    except (Failed, subprocess.TimeoutExpired) as error:
        wrong.append(str(error))
    text = chaos("check", load.history, accept=(0, 1))
    with open(os.path.join(folder, "verdict.json"), "w", encoding="utf-8") as file:
        file.write(text)
    verdict = json.loads(text)
    wrong += [json.dumps(one) for one in verdict.pop("violations")]
    print("        " + ", ".join(f"{count} {name}" for name, count in verdict.items()), flush=True)
    outages = json.loads(chaos("outages", load.history, striker.path))
    longest = max((one["to"] - one["from"] for one in outages), default=0)
    print(f"        longest time without an acknowledged write: {longest / 1e6:.1f} s", flush=True)
    keep_logs(cluster, folder)
    if wrong:
        print(f"VIOLATIONS of seed {seed}, see {folder}:\n  " + "\n  ".join(wrong[:20]), flush=True)
    return wrong


def set_dynamic(cluster, settings):
    """Patroni's dynamic configuration, by its REST API."""
    password = cluster.action(f"{APP}/0", "get-password", username="patroni")["password"]
    host = cluster.address(f"{APP}/0")
    cluster.juju("net", "--", "curl", "-sf", "-u", f"patroni:{password}", "-X", "PATCH",
                 "-d", settings, "-k", f"https://{host}:8008/config")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=75, help="of faults in a round")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--hours", type=float, help="instead of --rounds")
    parser.add_argument("--units", type=int, default=3)
    parser.add_argument("--dynamic", help="of Patroni's dynamic configuration, as JSON")
    parser.add_argument("--during", type=lambda text: text.split(","), default=[],
                        help=f"of {', '.join(KINDS)}")
    parser.add_argument("--out", default=os.path.join(TARGET, "soak", time.strftime("%Y%m%d-%H%M%S")))
    args = parser.parse_args()
    if not set(args.during) <= set(KINDS):
        parser.error(f"--during takes {', '.join(KINDS)}")
    return args


def main():
    args = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # leaving no namespace behind
    build()
    end = time.monotonic() + args.hours * 3600 if args.hours else None
    folders, broken = [], []
    shutil.rmtree(args.out, ignore_errors=True)
    with Cluster() as cluster:
        cluster.juju("model-config", "update-status-hook-interval=60m")
        cluster.deploy(args.units)
        until(180, "the units stand", lambda: cluster.whole(args.units))
        if args.dynamic:
            set_dynamic(cluster, args.dynamic)
        seed = args.seed
        while time.monotonic() < end if end else seed < args.seed + args.rounds:
            folder = os.path.join(args.out, f"seed-{seed}")
            during = args.during[(seed - args.seed) % len(args.during)] if args.during else None
            wrong = round_of(cluster, seed, args.seconds, folder, args.units, during)
            folders.append(folder)
            broken += [seed] if wrong else []
            chaos("report", os.path.join(args.out, "report.html"), *folders)
            seed += 1
    print(f"report: {os.path.join(args.out, 'report.html')}")
    check(f"{len(folders)} rounds of faults under load without a violation", not broken,
          f"broken: seeds {broken}")


if __name__ == "__main__":
    try:
        main()
    except (Failed, subprocess.TimeoutExpired) as error:
        sys.exit(f"FAILED: {error}")
