"""One unit, then three, through jubilant: deploy, wait, config, actions, scale, destroy."""

import sys

import jubilant

juju_binary, charm = sys.argv[1:3]
APP = "postgresql-k8s"


def primary_stands(units):
    """A condition for wait: so many units, all active, one of them Primary."""

    def ready(status):
        found = status.apps[APP].units
        messages = [unit.workload_status.message for unit in found.values()]
        return (
            len(found) == units
            and jubilant.all_active(status, APP)
            and messages.count("Primary") == 1
        )

    return ready


juju = jubilant.Juju(cli_binary=juju_binary)
juju.add_model("jubilant")
juju.deploy(f"./{charm}", APP, num_units=1, trust=True)
juju.wait(primary_stands(1), timeout=180)
print("ok: one unit")

juju.add_unit(APP, num_units=2)
juju.wait(primary_stands(3), timeout=180)
print("ok: three units")

assert juju.config(APP)["profile"] == "production"
juju.config(APP, {"profile": "testing"})
assert juju.config(APP)["profile"] == "testing"
juju.config(APP, reset="profile")
juju.wait(primary_stands(3), timeout=120)
print("ok: config")

task = juju.run(f"{APP}/0", "get-primary")
assert task.results["primary"].startswith(f"{APP}/"), task
task = juju.run(f"{APP}/leader", "set-password", {"password": "from-jubilant-1"})
assert task.results["password"] == "from-jubilant-1", task
task = juju.run(f"{APP}/1", "get-password")
assert task.results["password"] == "from-jubilant-1", task
for action, params in [("set-password", {"username": "nobody"}), ("create-backup", {})]:
    try:
        juju.run(f"{APP}/leader", action, params)
        raise SystemExit(f"{action} {params} should have failed")
    except jubilant.TaskError as error:
        print(f"ok: refused: {error.task.message}")

juju.remove_unit(APP, num_units=2)
juju.wait(primary_stands(1), timeout=180)
print("ok: back to one unit")

juju.destroy_model("jubilant", destroy_storage=True)
print("ok: destroyed")
