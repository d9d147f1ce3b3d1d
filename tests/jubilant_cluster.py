"""One, three and five units through jubilant: deploy, wait, config, actions, scale, destroy."""

import os
import subprocess
import sys

import jubilant

juju_binary, charm = sys.argv[1:3]
APP = "postgresql-k8s"


def primary_stands(units):
    """A condition for wait: so many units, all active, one of them Primary."""

    def ready(status):
        found = status.apps[APP].units
        # A machine whose own disk is filling is told of by the units.
        messages = [u.workload_status.message.split(", storage ")[0] for u in found.values()]
        return (
            len(found) == units
            and jubilant.all_active(status, APP)
            and messages.count("Primary") == 1
        )

    return ready


def psql(statement, password):
    """What a statement prints, run through the primary's Service."""
    return juju.cli(
        "net", "--", "env", f"PGPASSWORD={password}", "psql", "-X", "-qAt",
        "-h", f"{APP}-primary.jubilant.svc.cluster.local", "-U", "operator", "-d", "postgres",
        "-c", statement,
    ).strip()


def environment(pid):
    """A process's environment; nothing where it is another's or has ended since it was listed."""
    try:
        with open(f"/proc/{pid}/environ", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def standbys():
    """Standbys that stream and are synchronous, as the primary tells."""
    password = juju.run(f"{APP}/0", "get-password").results["password"]
    return int(psql(
        "select count(*) from pg_stat_replication where state = 'streaming' and sync_state = 'sync'",
        password,
    ))


juju = jubilant.Juju(cli_binary=juju_binary)
juju.add_model("jubilant")
juju.deploy(f"./{charm}", APP, num_units=1, trust=True)
juju.wait(primary_stands(1), timeout=180)
print("ok: one unit")

juju.add_unit(APP, num_units=2)
juju.wait(primary_stands(3), timeout=180)
juju.wait(lambda status: standbys() == 2, timeout=60)
print("ok: three units")

juju.add_unit(APP, num_units=2)
juju.wait(primary_stands(5), timeout=180)
juju.wait(lambda status: standbys() == 4, timeout=60)
print("ok: five units, four synchronous standbys")

assert juju.config(APP)["profile"] == "production"
juju.config(APP, {"profile": "testing"})
assert juju.config(APP)["profile"] == "testing"
juju.config(APP, reset="profile")
juju.wait(primary_stands(5), timeout=120)
print("ok: config")

task = juju.run(f"{APP}/0", "get-primary")
assert task.results["primary"].startswith(f"{APP}/"), task
task = juju.run(f"{APP}/leader", "set-password", {"password": "from-jubilant-1"})
assert task.results["password"] == "from-jubilant-1", task
task = juju.run(f"{APP}/1", "get-password")
assert task.results["password"] == "from-jubilant-1", task
assert psql("select current_user", "from-jubilant-1") == "operator"
for action, params in [("set-password", {"username": "nobody"}), ("create-backup", {})]:
    try:
        juju.run(f"{APP}/leader", action, params)
        raise SystemExit(f"{action} {params} should have failed")
    except jubilant.TaskError as error:
        print(f"ok: refused: {error.task.message}")

psql("create table kept as select generate_series(1, 100) as n", "from-jubilant-1")
juju.remove_unit(APP, num_units=2)
juju.wait(primary_stands(3), timeout=180)
juju.wait(lambda status: standbys() == 2, timeout=60)
juju.remove_unit(APP, num_units=2)
juju.wait(primary_stands(1), timeout=180)
psql("insert into kept values (101)", "from-jubilant-1")
print("ok: back to one unit, which takes writes")
juju.add_unit(APP, num_units=1)
juju.wait(primary_stands(2), timeout=180)
assert psql("select count(*) from kept", "from-jubilant-1") == "101"
print("ok: and to two, with all the rows")

juju.destroy_model("jubilant", destroy_storage=True)
home = os.environ["JUJU_LOCAL_HOME"]
left = subprocess.run(["pgrep", "-f", "patroni-postgresql-k8s|postgres -D /var/lib/postgresql/data"],
                      capture_output=True, text=True, check=False).stdout.split()
mine = [pid for pid in left if home in environment(pid)]
assert not mine, mine
assert not os.listdir(os.path.join(home, "storage")), "volumes are left"
print("ok: destroyed, nothing is left")
