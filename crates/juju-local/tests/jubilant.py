"""What jubilant expects of `juju`, asked of juju-local with real charms.

    python jubilant.py BINARY [SCENARIO ...]

needs root, jubilant and ops. Every scenario has a model of its own and leaves nothing behind; the
controller lives in a home of its own. Ends with 0 when everything was as expected, with 77 when
something that this needs is missing.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from typing import Any

# Beside this file lies no module; its own name must not hide the library's.
sys.path[:] = [entry for entry in sys.path if entry not in ('', str(pathlib.Path(__file__).parent))]
for needed in ('jubilant', 'ops'):
    if importlib.util.find_spec(needed) is None:
        print(f'skipped: the Python package {needed} is not installed')
        sys.exit(77)
if os.geteuid() != 0:
    print('skipped: needs root')
    sys.exit(77)

jubilant = importlib.import_module('jubilant')

HERE = pathlib.Path(__file__).parent
CHARMS = HERE / 'charms'
BINARY = ''
WORK = pathlib.Path(tempfile.mkdtemp(prefix='juju-local-test-'))
WAIT = 120.0
failures: list[str] = []


def check(what: str, got: Any, want: Any) -> None:
    """Notes a failure when got is not want (or want, a function, says no)."""
    good = want(got) if callable(want) else got == want
    if not good:
        failures.append(f'{what}: got {got!r}' + ('' if callable(want) else f', want {want!r}'))
        print(f'    FAILED {failures[-1]}', flush=True)


def cli(*words: str, fails: bool = False, stdin: str | None = None) -> str:
    """juju-local itself; its output, or that of its failure."""
    done = subprocess.run([BINARY, *words], capture_output=True, text=True, input=stdin, timeout=300)
    if (done.returncode != 0) != fails:
        raise AssertionError(f'{words}: exit {done.returncode}\n{done.stdout}\n{done.stderr}')
    return done.stderr if fails else done.stdout


def until(what: str, condition: Callable[[], bool], timeout: float = 60.0) -> None:
    """Waits for a condition that no status tells."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f'waited {timeout} s for: {what}')
        time.sleep(0.1)


def settled(juju, *apps: str):
    """Waits until the apps are active and their agents idle."""
    return juju.wait(
        lambda s: jubilant.all_active(s, *apps) and jubilant.all_agents_idle(s, *apps),
        error=lambda s: jubilant.any_error(s, *apps),
        timeout=WAIT, delay=0.3, successes=2,
    )


def message_is(juju, unit: str, text: str):
    app = unit.split('/')[0]
    return juju.wait(
        lambda s: unit in s.apps[app].units
        and s.apps[app].units[unit].workload_status.message == text,
        timeout=WAIT, delay=0.3, successes=1,
    )


@contextlib.contextmanager
def model(name: str):
    juju = jubilant.Juju(cli_binary=BINARY, wait_timeout=WAIT)
    juju.add_model(name)
    try:
        yield juju
    except Exception:
        with contextlib.suppress(Exception):
            print(cli('status', '-m', name, '--relations', '--storage'))
            print(juju.debug_log(limit=60))
        raise
    finally:
        juju.destroy_model(name, destroy_storage=True, force=True)


def expect(kind: type[Exception], call: Callable[[], Any]) -> Any:
    """The exception that the call must raise."""
    try:
        got = call()
    except kind as error:
        return error
    check(f'{kind.__name__} is raised', got, lambda _: False)
    return None


def events(juju, unit: str) -> list[str]:
    """Names of the hooks that have run."""
    return [line.split()[0] for line in traces(juju, unit)]


def traces(juju, unit: str) -> list[str]:
    """The hooks that have run: name, remote unit, departing unit, secret's label, its revision."""
    return juju.run(unit, 'events').results['events'].splitlines()


def volume(model_name: str, unit: str) -> pathlib.Path:
    """Where the volume of a shell-probe's unit is on this machine."""
    app, number = unit.split('/')
    [found] = (WORK / 'home' / 'storage' / model_name).glob(f'{app}-data-*-{app}-{number}')
    return found


def left(model_name: str, unit: str) -> list[str]:
    """The traces that a unit left behind, as far as they tell of its end."""
    lines = (volume(model_name, unit) / 'events').read_text().splitlines()
    at = next(at for at, line in enumerate(lines) if line.startswith('data-storage-detaching'))
    return lines[at:]


# ------------------------------------------------------------------------------------------------


def scenario_life(name: str) -> None:
    """Deploy, configure, act, scale, remove."""
    with model(name) as juju:
        juju.deploy(CHARMS / 'shell-probe', 'shell', config={'greeting': 'hi there'})
        status = settled(juju, 'shell')
        app, unit = status.apps['shell'], status.apps['shell'].units['shell/0']
        check('message', unit.workload_status.message, 'hi there')
        check('leader', unit.leader, True)
        check('address', unit.address.count('.'), 3)
        check('provider id', unit.provider_id, 'shell-0')
        check('workload version', app.version, '1.2.3')
        check('charm name', app.charm_name, 'shell-probe')
        check('charm', app.charm, lambda charm: charm.startswith('local:shell-probe-'))
        check('scale', app.scale, 1)
        check('service address', app.address.count('.'), 3)
        check('model type', status.model.type, 'caas')
        juju.wait(lambda s: s.apps['shell'].units['shell/0'].open_ports == ['8080/tcp'], delay=0.3)
        seen = events(juju, 'shell/0')
        # The workload's Pebble may be up at any time after install.
        check('pebble-ready has run', 'workload-pebble-ready' in seen, True)
        check('first hooks', [event for event in seen if event != 'workload-pebble-ready'][:6],
              ['install', 'peers-relation-created', 'leader-elected', 'data-storage-attached',
               'config-changed', 'start'])
        check('start follows at once', seen[seen.index('config-changed') + 1], 'start')
        storage = list(status.storage.storage.values())
        check('storage is attached', [s.status.current for s in storage], ['attached'])

        juju.config('shell', {'greeting': 'bye', 'count': -4})
        message_is(juju, 'shell/0', 'bye')
        settings = juju.config('shell')
        check('settings', settings, {'greeting': 'bye', 'count': -4, 'loud': False, 'fail-in': ''})
        check('trust is off', juju.config('shell', app_config=True)['trust'], False)
        juju.config('shell', reset=['greeting', 'count'])
        message_is(juju, 'shell/0', 'hello')
        error = expect(jubilant.CLIError, lambda: juju.config('shell', {'no-such': 'x'}))
        check('unknown option', error.stderr, lambda text: 'no-such' in text)
        expect(jubilant.CLIError, lambda: juju.config('shell', {'count': 'many'}))

        juju.add_unit('shell', num_units=2)
        status = juju.wait(lambda s: len(s.apps['shell'].units) == 3
                           and jubilant.all_active(s, 'shell'), delay=0.3)
        check('one leader', sum(u.leader for u in status.apps['shell'].units.values()), 1)
        check('addresses differ', len({u.address for u in status.apps['shell'].units.values()}), 3)
        joined = [event for event in events(juju, 'shell/0') if event == 'peers-relation-joined']
        check('peers joined', len(joined), 2)
        juju.remove_unit('shell', num_units=2)
        juju.wait(lambda s: list(s.apps['shell'].units) == ['shell/0'], delay=0.3)
        cli('scale-application', '-m', name, 'shell', '0')
        juju.wait(lambda s: not s.apps['shell'].units, delay=0.3)
        juju.remove_application('shell', destroy_storage=True)
        juju.wait(lambda s: 'shell' not in s.apps, delay=0.3)


def scenario_tasks(name: str) -> None:
    """Actions, exec, ssh, scp."""
    with model(name) as juju:
        juju.deploy(CHARMS / 'shell-probe', 'shell')
        settled(juju, 'shell')
        task = juju.run('shell/0', 'echo', {'text': 'a "b" c', 'times': 2})
        check('results', task.results, {'text': 'a "b" c', 'nested': {'times': '2'}})
        check('task', (task.status, task.return_code, task.stdout.strip()),
              ('completed', 0, 'out of echo'))
        check('log', [line.endswith('asked for 2') for line in task.log], [True])
        task = juju.run('shell/leader', 'echo')
        check('defaults', task.results['text'], 'nothing')
        failed = expect(jubilant.TaskError, lambda: juju.run('shell/0', 'fail')).task
        check('failure', (failed.status, failed.message), ('failed', 'as asked'))
        failed = expect(jubilant.TaskError, lambda: juju.run('shell/0', 'crash')).task
        check('crash', (failed.return_code, failed.stderr.strip()), (3, 'crashing'))
        expect(ValueError, lambda: juju.run('shell/0', 'no-such-action'))
        expect(ValueError, lambda: juju.run('shell/9', 'echo'))
        expect(ValueError, lambda: juju.run('shell/0', 'echo', {'times': 0}))
        expect(TimeoutError, lambda: juju.run('shell/0', 'slow', wait=1))
        juju.ssh('shell/0', 'touch /tmp/go')
        operations = json.loads(juju.cli('operations', '--format', 'json'))
        slow = max(operations, key=int)
        shown = json.loads(juju.cli('show-operation', slow, '--wait', '30s', '--format', 'json'))
        check('slow ends', shown[slow]['status'], 'completed')
        juju.ssh('shell/0', 'rm /tmp/go')
        expect(TimeoutError, lambda: juju.run('shell/0', 'slow', wait=1))
        slow = max(json.loads(juju.cli('operations', '--format', 'json')), key=int)
        juju.cli('cancel-task', slow)
        shown = json.loads(juju.cli('show-operation', slow, '--wait', '30s', '--format', 'json'))
        check('a cancelled action', shown[slow]['status'], 'aborted')
        check('plain output', cli('run', '-m', name, 'shell/0', 'echo', 'text=x'),
              'nested:\n  times: \'1\'\ntext: x\n\nout of echo\n')
        check('actions', sorted(json.loads(juju.cli('actions', 'shell', '--format', 'json'))),
              ['crash', 'echo', 'events', 'fail', 'read-secret', 'slow'])

        task = juju.exec('echo $JUJU_UNIT_NAME; is-leader', unit='shell/0')
        check('exec has a hook context', task.stdout, 'shell/0\nTrue\n')
        juju.exec('state-set kept=1 dropped=1', unit='shell/0')
        juju.exec('state-delete dropped', unit='shell/0')
        task = juju.exec('state-get --format=json', unit='shell/0')
        check('state outlives its hook', json.loads(task.stdout), {'kept': '1'})
        check('words are kept', juju.exec('printf', '%s.', 'a b', "it's", unit='shell/0').stdout,
              "a b.it's.")
        failed = expect(jubilant.TaskError, lambda: juju.exec('exit 5', unit='shell/0')).task
        check('exit code of exec', failed.return_code, 5)
        expect(ValueError, lambda: juju.exec('true', unit='shell/9'))

        check('ssh', juju.ssh('shell/leader', 'echo $((1 + 1))'), '2\n')
        check('ssh to a workload', juju.ssh('shell/0', 'hostname', container='workload'), 'shell-0\n')
        error = expect(jubilant.CLIError, lambda: juju.ssh('shell/0', 'exit 9'))
        check('exit code of ssh', error.returncode, 9)
        local = WORK / 'local file'
        local.write_text('precious')
        juju.scp(local, 'shell/0:/tmp/remote', container='workload')
        juju.scp('shell/0:/tmp/remote', WORK / 'back', container='workload')
        check('scp', (WORK / 'back').read_text(), 'precious')


def scenario_relations(name: str) -> None:
    """Relations within a model, and what units see of them."""
    with model(name) as juju:
        juju.deploy(CHARMS / 'shell-probe', 'server', num_units=2)
        juju.deploy(CHARMS / 'shell-probe', 'client')
        settled(juju, 'server', 'client')
        juju.integrate('server:source', 'client')
        message_is(juju, 'client/0', 'got swordfish')
        status = settled(juju)
        check('relation', [(r.related_app, r.interface) for r in
              status.apps['client'].relations['sink']], [('server', 'shell_probe')])
        info = juju.show_unit('client/0')
        relation = next(r for r in info.relation_info if r.endpoint == 'sink')
        check('app data', relation.app_data, {'word': 'swordfish'})
        check('unit data', relation.related_units['server/1'].data.get('served-by'), 'server/1')
        check('own address', relation.local_unit.data.get('ingress-address'), lambda a: bool(a))
        expect(jubilant.CLIError, lambda: juju.integrate('server:source', 'client'))
        juju.remove_relation('server', 'client')
        message_is(juju, 'client/0', 'hello')
        check('hooks of the end', events(juju, 'client/0')[-3:],
              ['sink-relation-departed', 'sink-relation-departed', 'sink-relation-broken'])


def scenario_offers(name: str) -> None:
    """Relations between two models."""
    other = f'{name}-b'
    with model(name) as juju, model(other) as juju_b:
        juju.deploy(CHARMS / 'shell-probe', 'server')
        juju_b.deploy(CHARMS / 'shell-probe', 'remote')
        settled(juju, 'server')
        settled(juju_b, 'remote')
        juju.offer('server', endpoint='source', name='words')
        juju_b.consume(f'{name}.words', 'consumed')
        juju_b.integrate('remote:sink', 'consumed')
        message_is(juju_b, 'remote/0', 'got swordfish')
        status = juju_b.status()
        check('saas', status.app_endpoints['consumed'].url, lambda url: url.endswith(f'{name}.words'))
        check('offer', juju.status().offers['words'].active_connected_count, 1)
        found = json.loads(juju.cli('find-offers', '--format', 'json', include_model=False))
        check('found', list(found), [f'probe:admin/{name}.words'])
        listed = juju_b.exec('relation-list -r $(relation-ids sink)', unit='remote/0').stdout
        check('the other side by its name here', listed, 'consumed/0\n')
        listed = juju.exec('relation-list -r $(relation-ids source)', unit='server/0').stdout
        check('and by a token there', listed.startswith('remote-') and listed.endswith('/0\n'), True)
        uuid = json.loads(juju_b.exec('relation-model-get -r $(relation-ids sink) --format=json',
                                      unit='remote/0').stdout)
        check('the other model', uuid, {'uuid': juju.show_model().model_uuid})
        uri = juju.exec('id=$(secret-add word=hush); secret-grant $id -r $(relation-ids source); '
                        'echo $id', unit='server/0').stdout.strip()
        full = f'secret://{juju.show_model().model_uuid}/{uri.removeprefix("secret:")}'
        read = juju_b.exec(f'secret-get {full} --label theirs', unit='remote/0').stdout
        check('a secret of the other model', read, 'word: hush\n')
        juju.exec(f'secret-set {uri} word=louder', unit='server/0')
        until('its change is told', lambda: 'secret-changed' in events(juju_b, 'remote/0'))
        tracked = juju_b.exec('secret-get --label theirs', unit='remote/0').stdout
        check('the revision that it had', tracked, 'word: hush\n')
        fresh = juju_b.exec('secret-get --label theirs --refresh', unit='remote/0').stdout
        check('the latest', fresh, 'word: louder\n')
        until('nobody has the old one', lambda: 'secret-remove' in events(juju, 'server/0'))
        host = f'server-0.server-endpoints.{name}.svc.cluster.local'
        address = juju_b.exec(f'getent hosts {host}', unit='remote/0').stdout.split()[0]
        check('its name leads there', address, juju.status().apps['server'].units['server/0'].address)
        juju.add_unit('server')
        until('the new unit is told', lambda: 'sink-relation-joined consumed/1 - - -'
              in traces(juju_b, 'remote/0'))
        juju.remove_unit('server', num_units=1)
        until('its end is told', lambda: 'sink-relation-departed consumed/1 consumed/1 - -'
              in traces(juju_b, 'remote/0'))
        error = expect(jubilant.CLIError, lambda: juju.remove_application('server'))
        check('an offer keeps it', 'application is used by 1 offer' in error.stderr, True)
        error = expect(jubilant.CLIError, lambda: juju.cli('remove-offer', 'words', '-y'))
        check('and a relation the offer', 'offer has 1 relation' in error.stderr, True)

        connection = json.loads(juju.cli('offers', '--format', 'json'))['words']['connections'][0]
        juju.cli('suspend-relation', str(connection['relation-id']))
        message_is(juju_b, 'remote/0', 'hello')
        until('suspended is broken', lambda: events(juju_b, 'remote/0')[-1]
              == 'sink-relation-broken')
        juju.cli('resume-relation', str(connection['relation-id']))
        message_is(juju_b, 'remote/0', 'got swordfish')
        juju_b.remove_relation('remote:sink', 'consumed')
        message_is(juju_b, 'remote/0', 'hello')
        juju_b.cli('remove-saas', 'consumed')
        juju.cli('remove-offer', 'words', '-y')
        juju.wait(lambda s: not s.offers, delay=0.3)


def scenario_secrets(name: str) -> None:
    """Secrets of the user."""
    with model(name) as juju:
        juju.deploy(CHARMS / 'shell-probe', 'shell')
        settled(juju, 'shell')
        uri = juju.add_secret('pw', {'password': 'hunter2'}, info='for a test')
        check('uri', uri.startswith('secret:') and len(uri.unique_identifier), 20)
        juju.config('shell', {'token': uri})
        check('value of the option', juju.config('shell')['token'], uri)
        failed = expect(jubilant.TaskError, lambda: juju.run('shell/0', 'read-secret')).task
        check('not granted', 'permission denied' in failed.stderr, True)
        juju.grant_secret('pw', 'shell')
        check('granted', juju.run('shell/0', 'read-secret').results['password'], 'hunter2')
        juju.update_secret('pw', {'password': 'hunter3'}, info='changed')
        until('secret-changed', lambda: 'secret-changed' in events(juju, 'shell/0'))
        shown = juju.show_secret('pw', reveal=True)
        check('revealed', (shown.content, shown.revision), ({'password': 'hunter3'}, 2))
        shown = juju.show_secret(uri, reveal=True, revision=1)
        check('old revision', shown.content, {'password': 'hunter2'})
        check('revisions', [r.revision for r in juju.show_secret(uri, revisions=True).revisions],
              [1, 2])
        [secret] = juju.secrets()
        check('listed', (secret.name, secret.description, secret.uri), ('pw', 'changed', uri))
        juju.cli('revoke-secret', 'pw', 'shell')
        juju.remove_secret('pw')
        check('none is left', juju.secrets(), [])


def scenario_hooks_of_secrets(name: str) -> None:
    """Secrets of charms: changed, rotate, expired, remove."""
    with model(name) as juju:
        juju.deploy(CHARMS / 'shell-probe', 'server')
        juju.deploy(CHARMS / 'shell-probe', 'client')
        settled(juju, 'server', 'client')
        juju.integrate('server:source', 'client')
        message_is(juju, 'client/0', 'got swordfish')
        settled(juju)
        ids = juju.exec('relation-ids source', unit='server/0').stdout.split()
        uri = juju.exec(f'id=$(secret-add --label owned key=one); secret-grant $id -r {ids[0]};'
                        ' echo $id', unit='server/0').stdout.strip()
        got = juju.exec(f'secret-get {uri} key --label=theirs', unit='client/0').stdout
        check('granted through the relation', got, 'one\n')
        juju.exec(f'secret-set {uri} key=two', unit='server/0')
        until('secret-changed', lambda: 'secret-changed - - theirs -' in traces(juju, 'client/0'))
        check('not to the owner', 'secret-changed' in events(juju, 'server/0'), False)
        check('the old one is still tracked',
              juju.exec(f'secret-get {uri} key', unit='client/0').stdout, 'one\n')
        juju.exec(f'secret-get {uri} key --refresh', unit='client/0')
        until('secret-remove', lambda: 'secret-remove - - owned 1' in traces(juju, 'server/0'))
        juju.exec(f'secret-remove {uri} --revision 1', unit='server/0')
        # It changed twice and was read once: one more hook for the next change.
        check('an owner reads', juju.exec(f'secret-get {uri} key', unit='server/0').stdout, 'two\n')
        juju.exec(f'secret-set {uri} key=three', unit='server/0')
        check('and tracks what it has read',
              juju.exec(f'secret-get {uri} key', unit='server/0').stdout, 'two\n')
        until('secret-changed again',
              lambda: traces(juju, 'client/0').count('secret-changed - - theirs -') == 2)
        juju.exec(f'secret-get {uri} key --refresh', unit='client/0')
        settled(juju)
        check('the owner has the old one', 'secret-remove - - owned 2' in traces(juju, 'server/0'), False)
        juju.exec(f'secret-get {uri} key --refresh', unit='server/0')
        until('nobody has it', lambda: 'secret-remove - - owned 2' in traces(juju, 'server/0'))

        turned = juju.exec('secret-add --owner unit --label turned --rotate hourly key=one',
                           unit='server/0').stdout.strip()
        settled(juju)
        check('not due yet', 'secret-rotate' in events(juju, 'server/0'), False)
        cli('fault', '-m', name, 'rotate-secret', turned)
        until('secret-rotate', lambda: 'secret-rotate - - turned -' in traces(juju, 'server/0'))
        settled(juju)
        check('once', events(juju, 'server/0').count('secret-rotate'), 1)
        info = json.loads(juju.exec(f'secret-info-get {turned} --format=json',
                                    unit='server/0').stdout)[turned.removeprefix('secret:')]
        check('the next rotation is known', (info['rotation'], 'rotates' in info), ('hourly', True))

        juju.exec('secret-add --owner unit --label short --expire 1s key=one', unit='server/0')
        until('secret-expired', lambda: 'secret-expired - - short 1' in traces(juju, 'server/0'))
        refused = expect(jubilant.TaskError, lambda: juju.exec(
            'secret-add --expire soon key=one', unit='server/0')).task
        check('an odd end', (refused.return_code, refused.stderr.strip()),
              (2, 'ERROR expire time or duration "soon" not valid'))


def scenario_leaving(name: str) -> None:
    """What units that go, and those that stay, are told."""
    with model(name) as juju:
        juju.deploy(CHARMS / 'shell-probe', 'server', num_units=2)
        juju.deploy(CHARMS / 'shell-probe', 'client')
        settled(juju)
        juju.integrate('server:source', 'client')
        message_is(juju, 'client/0', 'got swordfish')
        settled(juju)
        until('both servers to be there', lambda: sum(
            event == 'sink-relation-joined' for event in events(juju, 'client/0')) == 2)
        juju.remove_unit('server', num_units=1)
        juju.wait(lambda s: list(s.apps['server'].units) == ['server/0'], delay=0.3)
        told = left(name, 'server/1')
        check('the leaver', (told[0].split()[0], sorted(told[1:4]), told[4:]), (
            'data-storage-detaching',
            ['peers-relation-departed server/0 server/1 - -',
             'source-relation-broken - - - -',
             'source-relation-departed client/0 server/1 - -'],
            ['stop - - - -', 'remove - - - -']))
        until('the peer is told', lambda: traces(juju, 'server/0')[-1]
              == 'peers-relation-departed server/1 server/1 - -')
        until('the client is told', lambda: traces(juju, 'client/0')[-1]
              == 'sink-relation-departed server/1 server/1 - -')
        shown = json.loads(juju.cli('storage', '--format', 'json'))['storage']
        check('its volume is kept', shown['data/1']['status']['current'], 'detached')

        juju.cli('scale-application', 'server', '2', include_model=True)
        status = juju.wait(lambda s: jubilant.all_active(s, 'server')
                           and len(s.apps['server'].units) == 2, delay=0.3)
        settled(juju)
        check('its volume is used again', events(juju, 'server/1').count('install'), 2)
        check('and is the same', list(status.storage.storage).count('data/1'), 1)

        juju.remove_application('client', destroy_storage=True)
        juju.wait(lambda s: 'client' not in s.apps, delay=0.3)
        until('the server is told', lambda: traces(juju, 'server/0')[-2:] == [
            'source-relation-departed client/0 client/0 - -', 'source-relation-broken - - - -'])
        ids = juju.exec('relation-ids source', unit='server/0').stdout
        check('the relation is over', ids, '')
        check('its volume is gone', list((WORK / 'home' / 'storage' / name).glob('client-*')), [])
        juju.deploy(CHARMS / 'shell-probe', 'client')
        settled(juju, 'client')
        juju.integrate('server:source', 'client')
        message_is(juju, 'client/0', 'got swordfish')
        juju.remove_relation('server', 'client')
        until('the client is told', lambda: events(juju, 'client/0')[-1] == 'sink-relation-broken')
        until('the relation is forgotten', lambda: not any(
            'sink' in app.relations for app in juju.status().apps.values()))
        juju.integrate('server:source', 'client')
        message_is(juju, 'client/0', 'got swordfish')

        juju.destroy_model(name, release_storage=True)
        for unit in ('server/0', 'client/0'):
            check(f'{unit} ends in order', [line.split()[0] for line in left(name, unit)[-2:]],
                  ['stop', 'remove'])
        # Takes over the volumes, and drops them at its end.
        juju.add_model(name)


def scenario_failing(name: str) -> None:
    """Hooks that fail: kept, retried, resolved."""
    with model(name) as juju:
        juju.deploy(CHARMS / 'shell-probe', 'server', config={'fail-in': 'update-status'})
        juju.deploy(CHARMS / 'shell-probe', 'client', num_units=2)
        settled(juju)
        juju.config('server', {'fail-in': 'config-changed', 'greeting': 'later'})
        status = juju.wait(lambda s: s.apps['server'].units['server/0'].is_error, delay=0.3)
        unit = status.apps['server'].units['server/0']
        check('status', (unit.workload_status.message, unit.juju_status.current),
              ('hook failed: "config-changed"', 'idle'))
        check('application', status.apps['server'].app_status.current, 'error')
        check('an action runs', juju.run('server/0', 'echo').results['text'], 'nothing')
        got = juju.exec('state-get failed; opened-ports; status-get', unit='server/0').stdout
        check('writes are dropped, statuses are not', got, '8080/tcp\nmaintenance\n')
        juju.integrate('server:source', 'client')
        juju.wait(lambda s: s.apps['server'].units['server/0'].is_error, delay=0.3, successes=2)
        until('a retry', lambda: events(juju, 'server/0')[-2:] == ['config-changed'] * 2)
        check('nothing else has run', 'source-relation-created' in events(juju, 'server/0'), False)
        juju.config('server', {'fail-in': 'source-relation-joined'})
        juju.wait(lambda s: s.apps['server'].units['server/0'].workload_status.message
                  == 'hook failed: "source-relation-joined"', delay=0.3)
        first = traces(juju, 'server/0')[-1]
        juju.cli('resolved', 'server/0')
        until('a retry of joined', lambda: traces(juju, 'server/0')[-2:] == [first, first])
        juju.config('server', {'fail-in': 'source-relation-departed'})
        juju.cli('resolved', '--no-retry', 'server/0')
        juju.wait(jubilant.all_active, delay=0.3)
        settled(juju)
        seen = traces(juju, 'server/0')
        last = len(seen) - 1 - seen[::-1].index(first)
        after = next(line for line in seen[last + 1:] if line.startswith('source-'))
        check('changed follows what was skipped', after, first.replace('joined', 'changed'))
        juju.remove_unit('client', num_units=1)
        juju.wait(lambda s: s.apps['server'].units['server/0'].is_error, delay=0.3)
        departed = 'source-relation-departed client/1 client/1 - -'
        until('a retry of departed', lambda: traces(juju, 'server/0')[-2:] == [departed] * 2)
        juju.config('server', reset=['fail-in'])
        juju.cli('resolved', '--all')
        juju.wait(jubilant.all_active, delay=0.3)
        settled(juju)
        error = expect(jubilant.CLIError, lambda: juju.cli('resolved', 'server/0'))
        check('nothing to resolve', 'is not in an error state' in error.stderr, True)
        juju.model_config({'update-status-hook-interval': '1s'})
        until('update-status', lambda: events(juju, 'server/0').count('update-status') > 2)


def scenario_trouble(name: str) -> None:
    """Errors, refresh, faults."""
    with model(name) as juju:
        charm = WORK / 'refreshed'
        shutil.copytree(CHARMS / 'shell-probe', charm)
        juju.deploy(charm, 'shell', num_units=2)
        status = settled(juju, 'shell')
        before = {n: u.address for n, u in status.apps['shell'].units.items()}
        juju.model_config({'automatically-retry-hooks': False})
        check('model config', juju.model_config()['automatically-retry-hooks'], False)
        juju.config('shell', {'loud': True})
        status = juju.wait(lambda s: all(u.is_error for u in s.apps['shell'].units.values()), delay=0.3)
        check('error', status.apps['shell'].units['shell/1'].workload_status.message,
              'hook failed: "config-changed"')
        check('in the log', 'too loud' in juju.debug_log(), True)
        juju.config('shell', {'loud': False})
        juju.cli('resolved', 'shell/0')
        juju.cli('resolved', '--no-retry', 'shell/1')
        # Until its agent has seen the mark, a unit still tells its error.
        juju.wait(jubilant.all_active, delay=0.3)
        settled(juju, 'shell')

        (charm / 'version').write_text('second\n')
        juju.refresh('shell', path=charm)
        status = juju.wait(lambda s: s.apps['shell'].charm_rev == 1, delay=0.3)
        check('charm version', status.apps['shell'].charm_version, 'second')
        juju.wait(lambda s: all(u.address not in ('', before[n])
                                for n, u in s.apps['shell'].units.items()), delay=0.3)
        settled(juju, 'shell')
        for unit in ('shell/0', 'shell/1'):
            seen = events(juju, unit)
            at = seen.index('upgrade-charm')
            seen = [event for event in seen[at - 1:] if event != 'workload-pebble-ready']
            check(f'{unit} is upgraded', seen[:4],
                  ['stop', 'upgrade-charm', 'config-changed', 'start'])

        # Below the partition pods stay as they are, whatever becomes of them.
        def version(unit: str) -> str:
            folder = f"/var/lib/juju/agents/unit-{unit.replace('/', '-')}/charm"
            try:
                return cli('ssh', '-m', name, unit, f'cat {folder}/version').strip()
            except AssertionError:  # its pod is being replaced
                return ''

        def partition(number: int) -> None:
            patch = json.dumps({'spec': {'updateStrategy': {'rollingUpdate': {'partition': number}}}})
            account = '/var/run/secrets/kubernetes.io/serviceaccount'
            # From the pod that is not replaced by that.
            cli('ssh', '-m', name, 'shell/1',
                f'curl -sf --cacert {account}/ca.crt -X PATCH -d {shlex.quote(patch)} '
                f'-H "Authorization: Bearer $(cat {account}/token)" '
                "-H 'Content-Type: application/merge-patch+json' "
                f'https://$KUBERNETES_SERVICE_HOST/apis/apps/v1/namespaces/{name}/statefulsets/shell')
        juju.trust('shell', scope='cluster')
        partition(1)
        (charm / 'version').write_text('third\n')
        juju.refresh('shell', path=charm)
        until('the highest is new', lambda: version('shell/1') == 'third')
        settled(juju, 'shell')
        before = juju.status().apps['shell'].units['shell/0'].address
        cli('fault', '-m', name, 'kill-pod', 'shell/0', '--delete')
        until('a new pod of the old revision',
              lambda: juju.status().apps['shell'].units['shell/0'].address not in ('', before))
        settled(juju, 'shell')
        check('below the partition', version('shell/0'), 'second')
        partition(0)
        until('the lowest is new', lambda: version('shell/0') == 'third')
        settled(juju, 'shell')

        def deleted() -> bool:
            unit = juju.status().apps['shell'].units['shell/1']
            return unit.address not in ('', before['shell/1'])
        before = {n: u.address for n, u in juju.status().apps['shell'].units.items()}
        cli('fault', '-m', name, 'kill-pod', 'shell/1', '--delete')
        until('a new pod', deleted)
        settled(juju, 'shell')
        check('storage survives the pod', events(juju, 'shell/1').count('install'), 1)
        ready = events(juju, 'shell/0').count('workload-pebble-ready')
        cli('fault', '-m', name, 'kill-container', 'shell/0', 'workload')
        until('pebble-ready again',
              lambda: events(juju, 'shell/0').count('workload-pebble-ready') > ready)
        leader = next(n for n, u in juju.status().apps['shell'].units.items() if u.leader)
        follower = 'shell/0' if leader == 'shell/1' else 'shell/1'
        elected = events(juju, follower).count('leader-elected')
        told = events(juju, leader).count('leader-settings-changed')
        cli('fault', '-m', name, 'steal-leadership', follower)
        juju.wait(lambda s: s.apps['shell'].units[follower].leader
                  and not s.apps['shell'].units[leader].leader, delay=0.3)
        until('the new leader is told',
              lambda: events(juju, follower).count('leader-elected') == elected + 1)
        until('the old leader is told',
              lambda: events(juju, leader).count('leader-settings-changed') == told + 1)
        check('it does not lead', juju.exec('is-leader', unit=leader).stdout, 'False\n')
        refused = juju.exec('leader-set word=stolen 2>&1 || true', unit=leader).stdout
        check('so it keeps no settings', 'not the leader' in refused, True)
        juju.exec('leader-set word=kept other=gone && leader-set other=', unit=follower)
        until('the others are told of what the leader keeps',
              lambda: events(juju, leader).count('leader-settings-changed') > told + 1)
        check('and read it', juju.exec('leader-get word; leader-get other', unit=leader).stdout, 'kept\n')

        cli('fault', '-m', name, 'kill-at-effect', follower, '1')
        juju.config('shell', {'greeting': 'killed'})
        juju.wait(lambda s: s.apps['shell'].units[follower].is_error, delay=0.3)
        check('why', 'failed: signal: killed' in juju.debug_log(), True)
        juju.cli('resolved', follower)
        message_is(juju, follower, 'killed')
        expect(TimeoutError, lambda: juju.run(follower, 'slow', wait=1))
        operations = json.loads(juju.cli('operations', '--format', 'json'))
        slow = next(number for number, one in operations.items() if one['status'] == 'running')
        cli('fault', '-m', name, 'kill-container', follower, 'charm')
        shown = json.loads(juju.cli('show-operation', slow, '--wait', '30s', '--format', 'json'))
        check('what was cut off has failed', shown[slow]['status'], 'failed')
        settled(juju, 'shell')
        address = juju.status().apps['shell'].units['shell/0'].address
        ping = ('ssh', '-m', name, 'shell/1', f'ping -c1 -W1 {address}')
        if shutil.which('ping'):
            cli(*ping)
            cli('fault', '-m', name, 'cut', 'shell/0', '--from', 'shell/1')
            cli(*ping, fails=True)
            cli('fault', '-m', name, 'heal')
            cli(*ping)
        resolved = cli('net', '-m', name, '--', 'getent', 'hosts', f'shell.{name}.svc.cluster.local')
        check('names of the model', resolved.split()[:1], [juju.status().apps['shell'].address])


def scenario_rest(name: str) -> None:
    """What is left of the commands."""
    with model(name) as juju:
        juju.model_constraints({'mem': '512M'})
        check('model constraints', juju.model_constraints(), {'mem': '512M'})
        juju.deploy(CHARMS / 'shell-probe', 'shell', base='ubuntu@22.04', channel='latest/edge',
                    resources={'image': 'img:1'}, storage={'data': '8M'}, trust=True)
        status = settled(juju, 'shell')
        check('channel', status.apps['shell'].charm_channel, 'latest/edge')
        check('constraints', cli('constraints', '-m', name, 'shell'), 'mem=512M\n')
        juju.cli('set-constraints', 'shell', 'mem=256M')
        check('trusted', juju.config('shell', app_config=True)['trust'], True)
        juju.trust('shell', remove=True, scope='cluster')
        check('no longer', juju.config('shell', app_config=True)['trust'], False)
        check('show-model', juju.show_model().model_type, 'caas')
        check('show-application', json.loads(juju.cli('show-application', 'shell', '--format',
              'json'))['shell']['charm'], 'shell-probe')
        check('resources', 'image' in juju.cli('resources', 'shell'), True)
        juju.cli('attach-resource', 'shell', 'image=img:2')
        check('storage', json.loads(juju.cli('storage', '--format', 'json'))['storage'].keys(),
              {'data/0'})
        settled(juju, 'shell')
        text = cli('status', '-m', name, '--storage', '--relations')
        check('table', [line.split()[0] for line in text.splitlines() if line],
              lambda first: first[0] == 'Model' and 'shell' in first and 'shell/0*' in first)
        check('yaml', cli('status', '-m', name, '--format', 'yaml').splitlines()[0], 'model:')
        check('filter', cli('status', '-m', name, 'no-such', '--format', 'json'),
              lambda text: json.loads(text)['applications'] == {})
        check('models', name in cli('models'), True)
        cli('switch', name)
        check('switch', cli('switch').strip(), f'probe:admin/{name}')
        check('the current model', name in cli('status').splitlines()[1], True)
        check('whoami', 'admin' in cli('whoami'), True)
        log = cli('debug-log', '-m', name, '--no-tail', '-n', '5', '--date', '--ms')
        check('five lines', len(log.splitlines()) >= 5, True)


def scenario_images(name: str) -> None:
    """Folders as images: what containers see of them, and that they leave them as they are."""
    with model(name) as juju:
        folder = WORK / 'image'
        (folder / 'opt').mkdir(parents=True)
        (folder / 'opt' / 'probe').write_text('one\n')
        juju.deploy(CHARMS / 'shell-probe', 'shell', resources={'image': str(folder)})
        settled(juju, 'shell')
        def inside(command: str) -> str:
            return cli('ssh', '-m', name, '--container', 'workload', 'shell/0', f'{command} 2>&1; true')
        check('a file of the image', inside('cat /opt/probe'), 'one\n')
        inside('echo two >/opt/probe; rm -rf /opt; mkdir /opt; echo three >/opt/other')
        check('the container has its own', inside('ls /opt'), 'other\n')
        check('the folder is as it was', [(path.name, path.read_text()) for path in
              sorted((folder / 'opt').iterdir())], [('probe', 'one\n')])
        text = cli('refresh', '-m', name, 'shell', '--resource', 'image=./none', fails=True)
        check('no folder', 'from ./none: no folder is there' in text, True)
        text = cli('attach-resource', '-m', name, 'shell', f'image={__file__}', fails=True)
        check('a file is none', text.strip().endswith('no folder is there'), True)
        other = WORK / 'other'
        (other / 'opt').mkdir(parents=True)
        (other / 'opt' / 'probe').write_text('new\n')
        juju.cli('refresh', 'shell', '--resource', f'image={other}')
        until('the new image', lambda: inside('cat /opt/probe') == 'new\n')
        juju.cli('attach-resource', 'shell', 'image=img:2')
        until('none at all', lambda: 'No such file' in inside('cat /opt/probe'))
        settled(juju, 'shell')


def scenario_ops(name: str) -> None:
    """The charm written with ops, and everything it can ask."""
    charm = WORK / 'ops-probe'
    shutil.copytree(CHARMS / 'ops-probe', charm)
    venv = charm / 'venv'
    venv.mkdir()
    for package in ('ops', 'yaml', '_yaml', 'websocket', 'opentelemetry', 'typing_extensions'):
        spec = importlib.util.find_spec(package)
        if spec is None:
            continue
        if spec.submodule_search_locations:
            source = pathlib.Path(list(spec.submodule_search_locations)[0])
            shutil.copytree(source, venv / package, ignore=shutil.ignore_patterns('__pycache__'))
        elif spec.origin:
            shutil.copy(spec.origin, venv)
    for info in pathlib.Path(jubilant.__file__).parent.parent.glob('opentelemetry*dist-info'):
        shutil.copytree(info, venv / info.name)
    notes = WORK / 'notes.txt'
    notes.write_text('a note')
    with model(name) as juju:
        juju.deploy(charm, 'ops', num_units=2, resources={'notes': str(notes)},
                    config={'text': 'set', 'number': 7})
        status = settled(juju, 'ops')
        leader = next(n for n, u in status.apps['ops'].units.items() if u.leader)
        follower = 'ops/0' if leader == 'ops/1' else 'ops/1'
        reports, results = {}, {}
        uuid = juju.show_model().model_uuid
        for unit in (leader, follower, leader):
            task = juju.run(unit, 'probe', {'word': 'w', 'deep': {'a': 1}})
            reports[unit] = json.loads(task.results['report'])
            results[unit] = task.results
            settled(juju, 'ops')
        for unit, report in reports.items():
            check_report(name, uuid, unit, unit == leader, report, results[unit], status)
        check('data between peers', reports[leader]['peers']['others'][follower].get('mine'), follower)
        check('workload version', juju.status().apps['ops'].version, '0.2')
        check('application status', juju.status().apps['ops'].app_status.message, 'all well')
        check('a line in the log', 'a line of the probe' in juju.debug_log(), True)
        juju.ssh('ops/0', '/charm/bin/pebble notify example.org/hello k=v', container='workload')
        message_is(juju, 'ops/0', 'noticed example.org/hello')
        uri = juju.add_secret('shared', {'password': 'one'})
        juju.grant_secret('shared', 'ops')
        got = juju.exec('secret-get', uri, 'password', unit='ops/0').stdout
        check('a secret of the user', got.strip(), 'one')
        juju.update_secret('shared', {'password': 'two'})
        until('secret-changed refreshes', lambda: juju.exec(
            'secret-get', uri, 'password', unit='ops/0').stdout.strip() == 'two')


def check_report(model_name: str, model_uuid: str, unit: str, leader: bool, report: dict,
                 results: dict, status) -> None:
    """What the probe must have got on a unit."""
    number = unit.split('/')[1]
    state = status.apps['ops'].units[unit]

    def of(part: str, want: dict[str, Any]) -> None:
        for key, value in want.items():
            check(f'{unit} {part} {key}', report[part].get(key, report[part].get('error')), value)

    of('identity', {
        'model': model_name, 'unit': unit, 'app': 'ops', 'leader': leader, 'planned': 2,
        'params': {'word': 'w', 'deep': {'a': 1}},
        'version': lambda v: v.startswith('3.'), 'action-id': lambda i: i.isdigit(),
        'events': lambda e: e[:2] == ['install', 'peers_relation_created']
        and 'start' in e and 'workload_pebble_ready' in e
        and e.index('config_changed') < e.index('start'),
        'environment': lambda names: {'JUJU_CHARM_DIR', 'JUJU_CONTEXT_ID', 'JUJU_ACTION_UUID',
                                      'JUJU_MODEL_UUID', 'JUJU_AGENT_SOCKET_ADDRESS'} <= set(names)
        and 'HOME' not in names,
    })
    of('settings', {'text': 'set', 'number': 7, 'fraction': 0.5, 'switch': True, 'unset': None})
    peer = 'ops/1' if unit == 'ops/0' else 'ops/0'
    of('peers', {'units': [peer], 'mine': lambda d: d.get('mine') == unit,
                 'app': lambda d: d.get('ours') == 'x'})
    check(f'{unit} ports', report['ports'], ['53/udp', '5432/tcp'])
    of('secrets', {'id-length': 20, 'label': 'mine', 'revision': 1, 'rotation': 'never',
                   'description': 'of probe', 'read': {'password': 'one'},
                   'peeked': {'password': 'two'}, 'missing': 'not found'})
    for binding in ('peers', 'admin'):
        check(f'{unit} {binding} bind', report['network'].get(binding, {}).get('bind'), state.address)
        check(f'{unit} {binding} ingress', report['network'].get(binding, {}).get('ingress'),
              status.apps['ops'].address)
    of('files', {'storage': f'data/{number}', 'location': '/var/lib/data', 'notes': 'a note',
                 'image': lambda text: 'registrypath' in text,
                 'charm-dir': f'/var/lib/juju/agents/unit-ops-{number}/charm'})
    of('workload', {
        'connect': True, 'service': True, 'checks': {'up': 'up'}, 'pulled': 'pushed',
        'files': {'file': '0o600'}, 'stdout': f'givenops-{number}\n', 'stderr': 'err\n',
        'missing': 'not-found', 'exit-code': 7, 'storage': unit, 'plan': ['sleeper'],
        'binary': b'pushed'.hex(),
    })

    def out(want: Any) -> Callable[[Any], bool]:
        return lambda got: got['code'] == 0 and (want(got['out']) if callable(want) else
                                                 got['out'] == want)

    of('tools', {
        'is-leader': out(leader), 'relation-ids': out(lambda ids: ids == ['peers:0']),
        'config-get': out(lambda c: c['text'] == 'set' and 'unset' not in c),
        'status-get': out(lambda s: s['status'] == 'active'),
        'action-get': out({'word': 'w', 'deep': {'a': 1}}),
        'opened-ports': out(lambda ports: '5432/tcp' in ports),
        'storage-list': out([f'data/{number}']),
        'storage-get': out({'kind': 'filesystem', 'location': '/var/lib/data'}),
        'network-get': out(lambda n: n['ingress-addresses'] == [status.apps['ops'].address]),
        'goal-state': out(lambda g: sorted(g['units']) == ['ops/0', 'ops/1']),
        'unit-get': out(state.address), 'relation-list': out([peer]),
        'relation-get': out(lambda d: d.get('mine') == unit and d.get('private-address')
                            == state.address),
        'state-set': out(''), 'state-get': out('value'), 'state-delete': out(''),
        'state-after': out(lambda s: s.get('key') == 'value' and 'other' not in s),
        'leader-set': out('') if leader else lambda got: got['code'] == 1,
        'leader-get': out(lambda s: s == {'kept': 'yes'} or not leader),
        'juju-log': out(''), 'action-log': out(''), 'config-smart': out('True\n'),
        'status-set': out(''), 'status-smart': out('active\n'), 'version-set': out(''),
        'resource-get': out(lambda p: p.endswith('/resources/notes/notes.txt')),
    })
    of('tools', {
        'relation-set': out(''), 'relation-own': out('<yes>'), 'relation-unset': out(''),
        'relation-gone': out(None), 'relation-model': out(lambda m: m['uuid'] == model_uuid),
        'open-port': out(''), 'opened': out(['81/tcp', '5432/tcp', '53/udp']),
        'close-port': out(''), 'closed': out(['5432/tcp', '53/udp']), 'action-set': out(''),
        'secret-add': out(lambda uri: uri.startswith('secret:') and len(uri) == 28),
        'secret-get': out('value\n'), 'secret-raw': out('AAE='), 'secret-set': out(''),
        'secret-info': out(lambda i: (i['revision'], i['label'], i['owner'], i['rotation'],
                                      i['description']) == (1, 'direct', 'unit', 'daily', 'words')
                           and 'expiry' in i),
        'secret-ids': out(True), 'secret-grant': out(''), 'secret-revoke': out(''),
        'secret-remove': out(''),
        'secret-gone': lambda got: got['code'] == 1 and 'not found' in got['err'],
        # What the refusals call, and what ends an action as failed: shell-probe does that.
        'uncalled': out(['action-fail', 'credential-get', 'juju-reboot', 'storage-add']),
    })
    check(f'{unit} direct results', results['direct'], {'key': 'value'})
    if leader:
        of('tools', {'app-status-set': out(''), 'app-status': out(
            lambda s: s['application-status']['status'] == 'active')})

    def refused(code: int, text: str) -> Callable[[Any], bool]:
        return lambda got: got['code'] == code and text in got['err']

    of('refusals', {
        'unknown flag': refused(2, 'provided but not defined: --no-such-flag'),
        'no relation': refused(2, 'no relation id specified'),
        'unknown relation': refused(2, 'not found'),
        'bad status': refused(2, 'invalid status "happy"'),
        'bad pair': refused(2, 'expected "key=value", got "word"'),
        'bad secret key': refused(2, 'key "A" not valid'),
        'no secret': refused(1, 'not found'),
        'bad action key': refused(2, 'reserved action key "stdout"'),
        'missing resource': refused(1, 'could not download resource'),
        'bad port': refused(2, 'invalid protocol "sctp"'),
        'port range': refused(1, 'port ranges are not supported for k8s applications'),
        'reboot': refused(1, 'juju-reboot is not supported when running an action.'),
        'storage': refused(2, 'only count can be specified for "data"'),
        'credential': refused(1, 'cannot access cloud credentials'),
        'no action key': refused(2, 'argument "word" must be of the form key...=value'),
        'bad rotation': refused(2, 'rotate policy "often" not valid'),
        'peek and refresh': refused(2, 'specify one of --peek or --refresh but not both'),
        'no binding': refused(1, 'no network config found for binding "no-such"'),
    })
    if not leader:
        of('refusals', {'app data': refused(1, 'cannot write relation settings'),
                        'app status': refused(1, 'this unit is not the leader')})


# ------------------------------------------------------------------------------------------------


def left_behind() -> dict[str, set[str]]:
    """What of this machine a model could leave: namespaces, mounts, processes, links."""
    def lines(*argv: str) -> set[str]:
        return set(subprocess.run(argv, capture_output=True, text=True).stdout.splitlines())
    home = os.environ['JUJU_LOCAL_HOME']
    # Other controllers may run on this machine; a controller's id is made from its home.
    own = hashlib.sha256(home.encode()).hexdigest()[:8]
    def mine(found: set[str]) -> set[str]:
        return {one for one in found if own in one or home in one}
    processes = set()
    for entry in pathlib.Path('/proc').glob('[0-9]*'):
        with contextlib.suppress(OSError):
            environment = (entry / 'environ').read_bytes()
            line = (entry / 'cmdline').read_bytes().replace(b'\0', b' ').decode(errors='replace')
            ours = home in line or f'JUJU_LOCAL_HOME={home}'.encode() in environment
            if ours and int(entry.name) != os.getpid() and str(HERE) not in line:
                processes.add(line)
    mounts = {line.split()[1] for line in pathlib.Path('/proc/mounts').read_text().splitlines()}
    runtime = pathlib.Path('/run/juju-local')
    return {
        'namespaces': mine(lines('ip', 'netns', 'list')),
        'links': {line.split(':')[1] for line in lines('ip', '-o', 'link')},
        'mounts': mine(mounts),
        'processes': processes,
        'runtime': mine({str(path) for path in runtime.glob('*')}),
    }


def compare(what: str, before: dict[str, set[str]]) -> None:
    def new() -> dict[str, list[str]]:
        after = left_behind()
        found = {key: sorted(after[key] - before[key]) for key in before}
        return {key: value for key, value in found.items() if value}
    with contextlib.suppress(TimeoutError):
        until('everything to be gone', lambda: not new(), timeout=10)
    check(f'{what} leaves nothing', new(), {})


SCENARIOS = {name.removeprefix('scenario_'): run for name, run in list(globals().items())
             if name.startswith('scenario_')}


def main() -> int:
    global BINARY
    BINARY = str(pathlib.Path(sys.argv[1]).resolve())
    chosen = sys.argv[2:] or list(SCENARIOS)
    os.environ['JUJU_LOCAL_HOME'] = str(WORK / 'home')
    os.environ.pop('JUJU_MODEL', None)
    at_first = left_behind()
    cli('controllers', fails=True)
    juju = jubilant.Juju(cli_binary=BINARY)
    try:
        juju.bootstrap('k8s', 'probe')
        check('a second bootstrap', 'already running' in cli('bootstrap', fails=True), True)
        check('version', juju.version().tuple >= (3, 6, 0), True)
        check('controllers', list(json.loads(cli('controllers', '--format', 'json'))['controllers']),
              ['probe'])
        empty = left_behind()
        for name in chosen:
            print(f'{name}: {SCENARIOS[name].__doc__}', flush=True)
            started = time.monotonic()
            try:
                SCENARIOS[name](f'm-{name.replace("_", "-")}')
            except Exception as error:
                traceback.print_exc()
                failures.append(f'{name}: {type(error).__name__}: {str(error)[:2000]}')
            print(f'    {time.monotonic() - started:.1f} s', flush=True)
            compare(name, empty)
    except Exception as error:
        traceback.print_exc()
        failures.append(f'{type(error).__name__}: {error}')
    finally:
        with contextlib.suppress(OSError):
            log = (WORK / 'home' / 'daemon.log').read_text().splitlines()
            if failures:
                print('daemon.log:', *log[-40:], sep='\n  ')
        cli('destroy-controller', '--no-prompt', '--force')
        cli('destroy-controller', '--no-prompt')
        compare('destroy-controller', at_first)
        shutil.rmtree(WORK, ignore_errors=True)
    print(*(failures or ['all as expected']), sep='\n')
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
