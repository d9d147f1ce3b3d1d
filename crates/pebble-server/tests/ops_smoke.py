"""Drives a running server with the Pebble client of Python's `ops`: `ops_smoke.py SOCKET TEMPDIR`."""

import io
import os
import pathlib
import sys
import time

import ops
from ops import pebble

SOCKET, TEMP = sys.argv[1], pathlib.Path(sys.argv[2])
client = pebble.Client(socket_path=SOCKET, timeout=10.0)


def expect(error, work, *parts):
    """The work raises this error, with these parts in its text."""
    try:
        work()
    except error as raised:
        for part in parts:
            assert part in str(raised), (part, str(raised))
        return raised
    raise AssertionError(f"{error} not raised")


def until(condition, seconds=10.0):
    """Waits for a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "condition not met in time"
        time.sleep(0.02)


def services():
    layer = pebble.Layer(
        {
            "summary": "smoke",
            "services": {
                "web": {
                    "override": "replace",
                    "command": "sh -c 'echo started; exec sleep 1000'",
                    "startup": "enabled",
                    "environment": {"NUMBER": "1"},
                },
                "bad": {"override": "replace", "command": "sh -c 'echo oops; exit 3'", "on-failure": "ignore"},
            },
        }
    )
    client.add_layer("smoke", layer, combine=True)
    assert client.get_plan().services["web"].environment == {"NUMBER": "1"}
    client.replan_services(timeout=10)
    web = client.get_services(["web"])[0]
    assert web.is_running() and web.startup == pebble.ServiceStartup.ENABLED
    before = web
    client.replan_services(timeout=10)
    error = expect(
        pebble.ChangeError,
        lambda: client.start_services(["bad"], timeout=10),
        'Start service "bad" (service start attempt: exited quickly with code 3, will ignore)',
        "Most recent service output:\n    oops",
    )
    assert error.change.tasks[0].status == "Error"
    assert client.get_services(["bad"])[0].current == pebble.ServiceStatus.ERROR
    client.restart_services(["web"], timeout=10)
    client.send_signal("SIGUSR1", ["web"])
    until(lambda: not client.get_services(["web"])[0].current == pebble.ServiceStatus.ACTIVE)
    client.start_services(["web"], timeout=10)
    client.stop_services(["web"], timeout=10)
    assert client.get_services(["web"])[0].current == pebble.ServiceStatus.INACTIVE
    expect(pebble.APIError, lambda: client.stop_services(["no"]), 'service "no" does not exist')
    expect(pebble.APIError, lambda: client.add_layer("x", "foo: 1"), "unknown section")
    kinds = {change.kind for change in client.get_changes(pebble.ChangeState.ALL)}
    assert {"start", "stop", "replan", "restart"} <= kinds, kinds
    assert before.name == "web"


def execs():
    process = client.exec(["cat"], stdin="hello\nworld\n")
    assert process.wait_output() == ("hello\nworld\n", "")
    out, err = client.exec(["sh", "-c", "echo out; echo err >&2"]).wait_output()
    assert (out, err) == ("out\n", "err\n")
    out, err = client.exec(["sh", "-c", "echo out; echo err >&2"], combine_stderr=True).wait_output()
    assert (out, err) == ("out\nerr\n", None), (out, err)
    error = expect(pebble.ExecError, client.exec(["sh", "-c", "exit 7"]).wait_output)
    assert error.exit_code == 7
    expect(pebble.APIError, lambda: client.exec(["no-such-program"]), "cannot find executable")
    expect(pebble.APIError, lambda: client.exec(["ls"], working_dir="/no"), 'working directory "/no" does not exist')
    out, _ = client.exec(
        ["sh", "-c", "echo $A $LANG; pwd"], environment={"A": "b"}, working_dir=str(TEMP)
    ).wait_output()
    assert out.splitlines()[0].startswith("b ") and out.splitlines()[1] == str(TEMP), out
    process = client.exec(["sleep", "100"])
    process.send_signal("SIGTERM")
    assert expect(pebble.ExecError, process.wait).exit_code == 128 + 15
    begun = time.monotonic()
    expect(
        pebble.ChangeError,
        lambda: client.exec(["sleep", "100"], timeout=0.3).wait_output(),
        "timed out after 300ms",
    )
    assert time.monotonic() - begun < 3
    big = os.urandom(3 << 20)
    process = client.exec(["cat"], stdin=big, encoding=None)
    out, _ = process.wait_output()
    assert out == big
    target = io.BytesIO()
    client.exec(["cat"], stdin=b"x" * 100000, stdout=target, encoding=None).wait()
    assert target.getvalue() == b"x" * 100000
    if os.getuid() == 0:
        out, _ = client.exec(["id", "-un"], user="nobody", working_dir="/").wait_output()
        assert out == "nobody\n"


def files():
    base = TEMP / "files"
    client.make_dir(str(base / "a" / "b"), make_parents=True, permissions=0o700)
    expect(pebble.PathError, lambda: client.make_dir(str(base / "a")), "file exists")
    client.push(str(base / "x" / "y.txt"), "text with ünicode\n", make_dirs=True, permissions=0o640)
    assert client.pull(str(base / "x" / "y.txt")).read() == "text with ünicode\n"
    assert os.stat(base / "x" / "y.txt").st_mode & 0o777 == 0o640
    big = os.urandom(5 << 20)
    client.push(str(base / "big"), big)
    assert client.pull(str(base / "big"), encoding=None).read() == big
    client.push(str(base / "empty"), b"")
    assert client.pull(str(base / "empty"), encoding=None).read() == b""
    error = expect(pebble.PathError, lambda: client.pull(str(base / "none")), "no such file or directory")
    assert error.kind == "not-found"
    error = expect(pebble.PathError, lambda: client.push(str(base / "no" / "such"), "x"))
    assert error.kind == "not-found"
    names = [info.name for info in client.list_files(str(base))]
    assert names == ["a", "big", "empty", "x"], names
    names = [info.name for info in client.list_files(str(base), pattern="[be]*")]
    assert names == ["big", "empty"]
    info = client.list_files(str(base), itself=True)[0]
    assert info.type == pebble.FileType.DIRECTORY and info.path == str(base)
    expect(pebble.APIError, lambda: client.list_files(str(base / "none")), "no such file or directory")
    error = expect(pebble.PathError, lambda: client.remove_path(str(base)), "directory not empty")
    assert error.kind == "generic-file-error"
    client.remove_path(str(base), recursive=True)
    client.remove_path(str(base), recursive=True)
    assert not base.exists()


def checks_and_notices():
    flag = TEMP / "flag"
    flag.touch()
    client.add_layer(
        "checks",
        pebble.Layer(
            {
                "checks": {
                    "flag": {
                        "override": "replace",
                        "level": "ready",
                        "period": "50ms",
                        "threshold": 2,
                        "exec": {"command": f"ls {flag}"},
                    }
                }
            }
        ),
    )
    check = client.get_checks(names=["flag"])[0]
    assert check.status == pebble.CheckStatus.UP and check.change_id
    first = check.change_id
    flag.unlink()
    until(lambda: client.get_checks(names=["flag"])[0].status == pebble.CheckStatus.DOWN)
    change = client.get_change(first)
    assert change.kind == "perform-check" and change.status == "Error"
    assert "exit status 2; ls: " in change.err, change.err
    recovery = client.get_checks(names=["flag"])[0].change_id
    flag.touch()
    until(lambda: client.get_checks(names=["flag"])[0].status == pebble.CheckStatus.UP)
    assert client.get_change(recovery).status == "Done"
    noticed = client.get_notices(types=[pebble.NoticeType.CHANGE_UPDATE], keys=[recovery])
    assert noticed[0].last_data == {"kind": "recover-check", "check-name": "flag"}, noticed
    assert client.stop_checks(["flag"]) == ["flag"]
    assert client.get_checks(names=["flag"])[0].status == pebble.CheckStatus.INACTIVE
    assert client.start_checks(["flag"]) == ["flag"]
    client.stop_checks(["flag"])
    notice_id = client.notify(pebble.NoticeType.CUSTOM, "example.com/path", data={"k": "v"})
    notice = client.get_notice(notice_id)
    assert (notice.key, notice.last_data, notice.occurrences) == ("example.com/path", {"k": "v"}, 1)
    assert client.notify(pebble.NoticeType.CUSTOM, "example.com/path") == notice_id
    assert notice_id in [n.id for n in client.get_notices()]
    expect(pebble.APIError, lambda: client.notify(pebble.NoticeType.CUSTOM, "bad"), "example.com/path")
    expect(pebble.APIError, lambda: client.get_notice("999999"), "cannot find notice")


def identities():
    client.replace_identities(
        {"smoke": pebble.Identity(access=pebble.IdentityAccess.ADMIN, local=pebble.LocalIdentity(user_id=4242))}
    )
    assert client.get_identities()["smoke"].local.user_id == 4242
    client.remove_identities({"smoke"})
    assert "smoke" not in client.get_identities()


info = client.get_system_info()
assert info.version.startswith("v1."), info
for part in (services, execs, files, checks_and_notices, identities):
    part()
    print(f"ok {part.__name__}", flush=True)
print(f"ops {ops.__version__} smoke passed")
