"""What the benches share: results as JSON in target/bench, written after each run so that an end at
any time leaves what was measured, with the machine that they were measured on."""

import datetime
import glob
import json
import os
import platform
import statistics
import subprocess

FOLDER = os.environ.get("BENCH_FOLDER", os.path.join("target", "bench"))


def said(*command):
    """First line that a command prints; nothing where it can't be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    except OSError:
        return ""
    return (done.stdout.strip().splitlines() or [""])[0]


def charm():
    """The commit that the packed charm was made of, as scripts/pack notes it."""
    for where in glob.glob(os.path.join("target", "charm", "*", "version")):
        with open(where, encoding="utf-8") as file:
            return file.read().strip()
    return "unknown"


def machine():
    """What the numbers depend on; nothing that names the machine."""
    servers = sorted(os.listdir("/usr/lib/postgresql"), key=int) if os.path.isdir("/usr/lib/postgresql") else []
    postgres = f"/usr/lib/postgresql/{servers[-1]}/bin/postgres" if servers else "postgres"
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release().split("-")[0],
        "python": platform.python_version(),
        "postgresql": said(postgres, "--version"),
        "patroni": said("patroni", "--version"),
        "charm": charm(),
    }


def load():
    """Processes that run or want to, averaged over the last minute."""
    return round(os.getloadavg()[0], 1)


def now():
    """The time, as results have it."""
    return datetime.datetime.now().isoformat(timespec="seconds")


def path(name):
    """Where a bench's results lie."""
    return os.path.join(FOLDER, f"{name}.json")


def read(where):
    """Results so far; nothing where there are none."""
    try:
        with open(where, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return {}


def write(where, results):
    """Replaces results at once, so that none are ever half written."""
    os.makedirs(os.path.dirname(where) or ".", exist_ok=True)
    with open(f"{where}.new", "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
    os.replace(f"{where}.new", where)


def percentile(values, hundredths):
    """The value that at most so many hundredths are above, by nearest rank."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * hundredths // 100) - 1)]


def median(values):
    """The middle value; none of none."""
    return statistics.median(values) if values else None
