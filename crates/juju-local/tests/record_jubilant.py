"""Records the command lines that jubilant builds into jubilant_commands.json.

Run it with a Python that has jubilant, when a new version of jubilant comes out:

    python record_jubilant.py

Each public method that calls the CLI is called with nothing but what it needs and with all it
takes. Names of temporary files are replaced, so that the record stays the same between runs.
"""

import contextlib
import json
import pathlib
import re
import subprocess
import sys

import jubilant

recorded: list[list[str]] = []


def record(argv, **_):
    argv = [re.sub(r'^/tmp/tmp\w+(/.*)?$', '/tmp/file', word) for word in argv[1:]]
    if argv not in recorded:
        recorded.append(argv)
    return subprocess.CompletedProcess(argv, 0, '{}', '')


def call(method, *args, **kwargs):
    # What the recorder answers is no answer; only the command line matters.
    with contextlib.suppress(Exception):
        method(*args, **kwargs)


def main() -> None:
    subprocess.run = record
    j = jubilant.Juju(model='local:m', cli_binary='juju-local')
    uri = 'secret:9m4e2mr0ui3e8a215n4g'
    call(j.add_secret, 'name', {'password': 'hunter2'})
    call(j.add_secret, 'name', {'password': 'hunter2'}, info='text')
    call(j.add_unit, 'app')
    call(j.add_unit, 'app', attach_storage=['pgdata/0', 'pgdata/1'], num_units=2, to='x')
    call(j.bootstrap, 'k8s', 'ctl')
    call(
        j.bootstrap, 'k8s', 'ctl', bootstrap_base='24.04', bootstrap_constraints={'mem': '8G'},
        config={'a': True}, constraints={'cores': 4}, credential='c', metadata_source='d',
        force=True, model_defaults={'b': 1}, storage_pool={'name': 'n', 'type': 't'},
        to=['x', 'y'],
    )
    call(j.config, 'app')
    call(j.config, 'app', {'a': True, 'b': 'x y', 'c': -1}, reset=['d', 'e'])
    call(j.config, 'app', reset='d')
    call(j.consume, 'm.offer')
    call(j.consume, 'm.offer', 'alias', controller='ctl', owner='admin')
    call(j.debug_log)
    call(j.debug_log, limit=1000)
    call(j.deploy, './x.charm')
    call(
        j.deploy, '/x.charm', 'app', attach_storage=['a/0', 'a/1'], base='ubuntu@22.04',
        bind={'db': 'alpha'}, channel='latest/edge', config={'a': True, 'b': -1},
        constraints={'mem': '8G', 'cores': 4}, force=True, num_units=3, overlays=['o.yaml'],
        resources={'image': 'img:1'}, revision=7, storage={'data': '1G'}, to='x', trust=True,
    )
    call(j.exec, 'echo foo', unit='app/0')
    call(j.exec, 'ls', '-l', '--all', unit='app/leader', wait=30)
    call(j.exec, 'true', machine=0)
    call(j.grant_secret, uri, ['a', 'b'])
    call(j.integrate, 'a', 'b:db')
    call(j.integrate, 'a', 'm.offer', via=['10.0.0.0/8', '192.0.2.0/24'])
    call(j.model_config)
    call(j.model_config, {'update-status-hook-interval': '10s'}, reset=['a', 'b'])
    call(j.model_constraints)
    call(j.model_constraints, {'mem': '8G', 'cores': 4})
    call(j.offer, 'app', endpoint='db')
    call(j.offer, 'm.app', controller='ctl', endpoint=['db', 'log'], name='alt')
    call(j.refresh, 'app')
    call(
        j.refresh, 'app', base='ubuntu@22.04', channel='x', config={'a': 1}, force=True,
        path=pathlib.Path('x.charm'), resources={'image': 'img:2'}, revision=3,
        storage={'data': '2G'}, trust=True,
    )
    call(j.remove_application, 'a', 'b')
    call(j.remove_application, 'a', destroy_storage=True, force=True)
    call(j.remove_relation, 'a', 'b')
    call(j.remove_relation, 'a:x', 'b:y', force=True)
    call(j.remove_secret, uri)
    call(j.remove_secret, 'name', revision=2)
    call(j.remove_unit, 'app', num_units=2)
    call(j.remove_unit, 'app', num_units=1, destroy_storage=True, force=True)
    call(j.run, 'app/0', 'do')
    call(j.run, 'app/leader', 'do', {'a': 1}, wait=10)
    call(j.scp, 'a', 'app/0:b')
    call(j.scp, 'app/0:b', 'a', container='c', host_key_checks=False, scp_options=['-r', '-C'])
    call(j.secrets)
    call(j.secrets, owner='application-app')
    call(j.show_model)
    call(j.show_model, 'ctl:admin/m')
    call(j.show_secret, uri)
    call(j.show_secret, 'name', reveal=True, revision=2)
    call(j.show_secret, 'name', revisions=True)
    call(j.show_unit, 'app/0')
    call(j.ssh, 'app/0', 'echo foo')
    call(
        j.ssh, 'app/leader', 'ls', '-l', container='c', host_key_checks=False,
        ssh_options=['-i', 'key'], user='root',
    )
    call(j.status)
    call(j.trust, 'app', scope='cluster')
    call(j.trust, 'app', remove=True, scope='cluster')
    call(j.update_secret, uri, {'password': 'x'})
    call(j.update_secret, 'name', {'password': 'x'}, info='i', name='n', auto_prune=True)
    call(j.version)
    call(j.destroy_model, 'ctl:m')
    call(j.destroy_model, 'm', destroy_storage=True, force=True, no_wait=True, timeout=60)
    call(j.destroy_model, 'm', release_storage=True)
    call(j.add_model, 'new')
    call(
        j.add_model, 'new', 'k8s', controller='ctl', config={'a': True, 'b': 'x'},
        credential='c',
    )
    j.model = None
    call(j.status)
    with contextlib.suppress(Exception), jubilant.temp_model():
        pass
    # Of temp_model: its names are random.
    for argv in recorded:
        argv[:] = [re.sub(r'^jubilant-[0-9a-f]{8}$', 'jubilant-0a1b2c3d', word) for word in argv]
    out = pathlib.Path(__file__).with_name('jubilant_commands.json')
    out.write_text(
        '[\n' + ',\n'.join('  ' + json.dumps(argv) for argv in recorded) + '\n]\n'
    )
    print(f'{len(recorded)} command lines of jubilant {jubilant.__version__}', file=sys.stderr)


if __name__ == '__main__':
    main()
