#!/usr/bin/env python3
"""A charm that tells what juju-local gives to charms."""

import json
import logging
import os
import pathlib
import shutil
import subprocess
from typing import Any, Callable

import ops

logger = logging.getLogger(__name__)


called: set[str] = set()


def tool(*argv: str) -> dict[str, Any]:
    """A hook tool called directly: its exit code, its JSON or text, its error."""
    called.add(argv[0])
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    try:
        out = json.loads(done.stdout)
    except ValueError:
        out = done.stdout
    return {'code': done.returncode, 'out': out, 'err': done.stderr.strip()}


class Probe(ops.CharmBase):
    """Traces its events, and reports on request."""

    stored = ops.StoredState()

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        self.stored.set_default(events=[])
        for event in self.on.events().values():
            if not issubclass(event.event_type, ops.LifecycleEvent | ops.ActionEvent):
                framework.observe(event, self.trace)
        framework.observe(self.on.workload_pebble_ready, self.ready)
        framework.observe(self.on.workload_pebble_custom_notice, self.noticed)
        framework.observe(self.on.secret_changed, self.secret_changed)
        framework.observe(self.on.probe_action, self.probe)

    def trace(self, event: ops.EventBase):
        if isinstance(event, (ops.CollectStatusEvent, ops.ActionEvent)):
            return
        self.stored.events.append(event.handle.kind)

    def ready(self, event: ops.PebbleReadyEvent):
        event.workload.add_layer('probe', {
            'services': {
                'sleeper': {'override': 'replace', 'command': 'sleep 1000', 'startup': 'enabled'}
            },
            'checks': {
                'up': {'override': 'replace', 'level': 'ready', 'exec': {'command': 'true'}}
            },
        }, combine=True)
        event.workload.replan()
        self.unit.set_workload_version('0.1')
        self.unit.status = ops.ActiveStatus('ready')

    def noticed(self, event: ops.PebbleCustomNoticeEvent):
        self.unit.status = ops.ActiveStatus(f'noticed {event.notice.key}')

    def secret_changed(self, event: ops.SecretChangedEvent):
        event.secret.get_content(refresh=True)

    def probe(self, event: ops.ActionEvent):
        report: dict[str, Any] = {}
        for name in ('identity', 'settings', 'peers', 'related', 'ports', 'secrets', 'network',
                     'files', 'workload', 'tools', 'refusals'):
            part: Callable[..., Any] = getattr(self, f'probe_{name}')
            try:
                report[name] = part(event)
            except Exception as error:
                logger.exception('%s failed', name)
                report[name] = {'error': f'{type(error).__name__}: {error}'}
        event.log('probed')
        event.set_results({'report': json.dumps(report)})

    def probe_identity(self, event: ops.ActionEvent) -> dict[str, Any]:
        version = ops.JujuVersion.from_environ()
        return {
            'model': self.model.name, 'uuid': self.model.uuid, 'unit': self.unit.name,
            'app': self.app.name, 'leader': self.unit.is_leader(),
            'planned': self.app.planned_units(), 'version': str(version),
            'params': event.params, 'action-id': event.id,
            'events': list(self.stored.events),
            'environment': sorted(os.environ),
        }

    def probe_settings(self, _: ops.ActionEvent) -> dict[str, Any]:
        return dict(self.config)

    def probe_peers(self, _: ops.ActionEvent) -> dict[str, Any]:
        relation = self.model.get_relation('peers')
        assert relation
        relation.data[self.unit]['mine'] = self.unit.name
        if self.unit.is_leader():
            relation.data[self.app]['ours'] = 'x'
        return {
            'id': relation.id,
            'units': sorted(unit.name for unit in relation.units),
            'mine': dict(relation.data[self.unit]),
            'app': dict(relation.data[self.app]),
            'others': {unit.name: dict(relation.data[unit]) for unit in relation.units},
        }

    def probe_related(self, _: ops.ActionEvent) -> list[dict[str, Any]]:
        return [
            {
                'endpoint': relation.name, 'app': relation.app.name, 'active': relation.active,
                'app-data': dict(relation.data[relation.app]),
                'units': {unit.name: dict(relation.data[unit]) for unit in relation.units},
            }
            for endpoint in ('source', 'sink')
            for relation in self.model.relations[endpoint]
        ]

    def probe_ports(self, _: ops.ActionEvent) -> list[str]:
        self.unit.set_ports(5432, ops.Port('udp', 53))
        return sorted(f'{port.port}/{port.protocol}' for port in self.unit.opened_ports())

    def probe_secrets(self, _: ops.ActionEvent) -> dict[str, Any]:
        secret = self.unit.add_secret({'password': 'one'}, label='mine', description='of probe')
        info = secret.get_info()
        read = self.model.get_secret(label='mine').get_content()
        secret.set_content({'password': 'two'})
        peeked = self.model.get_secret(label='mine').peek_content()
        result = {
            'id-length': len(secret.unique_identifier or ''), 'label': info.label,
            'revision': info.revision, 'rotation': info.rotation.value if info.rotation else None,
            'description': info.description, 'read': read, 'peeked': peeked,
        }
        secret.remove_all_revisions()
        try:
            self.model.get_secret(label='no-such')
        except ops.SecretNotFoundError:
            result['missing'] = 'not found'
        return result

    def probe_network(self, _: ops.ActionEvent) -> dict[str, Any]:
        result = {}
        for name in ('peers', 'admin'):
            binding = self.model.get_binding(name)
            assert binding
            network = binding.network
            result[name] = {
                'bind': str(network.bind_address), 'ingress': str(network.ingress_address),
                'egress': [str(subnet) for subnet in network.egress_subnets],
            }
        return result

    def probe_files(self, _: ops.ActionEvent) -> dict[str, Any]:
        storage = self.model.storages['data'][0]
        (storage.location / 'written').write_text(self.unit.name)
        return {
            'storage': storage.full_id, 'location': str(storage.location),
            'notes': self.model.resources.fetch('notes').read_text(),
            'image': pathlib.Path(self.model.resources.fetch('image')).read_text(),
            'charm-dir': str(self.charm_dir),
        }

    def probe_workload(self, _: ops.ActionEvent) -> dict[str, Any]:
        container = self.unit.get_container('workload')
        container.push('/tmp/probe/file', 'pushed', make_dirs=True, permissions=0o600)
        files = {info.name: oct(info.permissions or 0) for info in container.list_files('/tmp/probe')}
        out, err = container.exec(['sh', '-c', 'cat; echo "$WORD" >&2; hostname'],
                                  stdin='given', environment={'WORD': 'err'}).wait_output()
        missing = None
        try:
            container.pull('/no/such/file')
        except ops.pebble.PathError as error:
            missing = error.kind
        code = None
        try:
            container.exec(['sh', '-c', 'exit 7']).wait_output()
        except ops.pebble.ExecError as error:
            code = error.exit_code
        container.restart('sleeper')
        return {
            'connect': container.can_connect(),
            'service': container.get_service('sleeper').is_running(),
            'checks': {name: info.status.value for name, info in container.get_checks().items()},
            'pulled': container.pull('/tmp/probe/file').read(), 'files': files,
            'stdout': out, 'stderr': err, 'missing': missing, 'exit-code': code,
            'storage': container.pull('/data/written').read(),
            'plan': sorted(container.get_plan().services),
            'binary': container.pull('/tmp/probe/file', encoding=None).read().hex(),
        }

    def probe_tools(self, _: ops.ActionEvent) -> dict[str, Any]:
        json_tools = {
            'is-leader': (), 'relation-ids': ('peers',), 'config-get': (), 'status-get': (),
            'action-get': (), 'opened-ports': (), 'storage-list': (),
            'storage-get': ('-s', 'data/' + self.unit.name.split('/')[1]),
            'network-get': ('peers',), 'goal-state': (), 'unit-get': ('private-address',),
        }
        result = {name: tool(name, *args, '--format=json') for name, args in json_tools.items()}
        peer = f'peers:{self.model.get_relation("peers").id}'
        result['relation-list'] = tool('relation-list', '-r', peer, '--format=json')
        result['relation-get'] = tool('relation-get', '-r', peer, '-', self.unit.name, '--format=json')
        result['state-set'] = tool('state-set', 'key=value', 'other=1')
        result['state-get'] = tool('state-get', 'key', '--format=json')
        result['state-delete'] = tool('state-delete', 'other')
        result['state-after'] = tool('state-get', '--format=json')
        result['leader-set'] = tool('leader-set', 'kept=yes')
        result['leader-get'] = tool('leader-get', '--format=json')
        result['juju-log'] = tool('juju-log', '-l', 'WARNING', 'a line of the probe')
        result['action-log'] = tool('action-log', 'half', 'way')
        result['resource-get'] = tool('resource-get', 'notes')
        result['config-smart'] = tool('config-get', 'switch')
        result['status-set'] = tool('status-set', 'active', 'probed')
        result['status-smart'] = tool('status-get')
        result['version-set'] = tool('application-version-set', '0.2')
        result['relation-set'] = tool('relation-set', '-r', peer, 'direct=<yes>')
        result['relation-own'] = tool('relation-get', '-r', peer, 'direct', self.unit.name,
                                      '--format=json')
        result['relation-unset'] = tool('relation-set', '-r', peer, 'direct=')
        result['relation-gone'] = tool('relation-get', '-r', peer, 'direct', self.unit.name,
                                       '--format=json')
        result['relation-model'] = tool('relation-model-get', '-r', peer, '--format=json')
        result['open-port'] = tool('open-port', '81/tcp')
        result['opened'] = tool('opened-ports', '--format=json')
        result['close-port'] = tool('close-port', '81/tcp')
        result['closed'] = tool('opened-ports', '--format=json')
        result['action-set'] = tool('action-set', 'direct.key=value')
        result |= self.probe_secret_tools(peer)
        tools = os.path.dirname(shutil.which('is-leader') or '')
        result['uncalled'] = {'code': 0, 'out': sorted(set(os.listdir(tools)) - called)}
        if self.unit.is_leader():
            result['app-status-set'] = tool('status-set', '--application', 'active', 'all well')
            result['app-status'] = tool('status-get', '--application', '--format=json')
        return result

    def probe_secret_tools(self, peer: str) -> dict[str, Any]:
        result = {'secret-add': tool('secret-add', '--owner', 'unit', '--label', 'direct',
                                     '--rotate', 'daily', '--expire', '1h', 'key=value',
                                     'raw#base64=AAE=')}
        uri = result['secret-add']['out'].strip()
        bare = uri.removeprefix('secret:')
        result['secret-get'] = tool('secret-get', uri, 'key')
        result['secret-raw'] = tool('secret-get', uri, 'raw#base64', '--format=json')
        result['secret-set'] = tool('secret-set', uri, '--description', 'words', 'key=other')
        result['secret-info'] = tool('secret-info-get', uri, '--format=json')
        result['secret-info']['out'] = result['secret-info']['out'].get(bare)
        result['secret-ids'] = tool('secret-ids', '--format=json')
        result['secret-ids']['out'] = bare in result['secret-ids']['out']
        result['secret-grant'] = tool('secret-grant', uri, '-r', peer)
        result['secret-revoke'] = tool('secret-revoke', uri, '-r', peer)
        result['secret-remove'] = tool('secret-remove', uri)
        result['secret-gone'] = tool('secret-get', uri)
        return result

    def probe_refusals(self, _: ops.ActionEvent) -> dict[str, Any]:
        peer = f'peers:{self.model.get_relation("peers").id}'
        result = {
            'unknown flag': tool('is-leader', '--no-such-flag'),
            'no relation': tool('relation-get', '-', self.unit.name),
            'unknown relation': tool('relation-list', '-r', '9999'),
            'bad status': tool('status-set', 'happy'),
            'bad pair': tool('relation-set', '-r', peer, 'word'),
            'bad secret key': tool('secret-add', 'A=1'),
            'no secret': tool('secret-get', 'secret:9m4e2mr0ui3e8a215n4g'),
            'bad action key': tool('action-set', 'stdout=x'),
            'missing resource': tool('resource-get', 'no-such'),
            'bad port': tool('open-port', '80/sctp'),
            'port range': tool('open-port', '80-82/tcp'),
            'reboot': tool('juju-reboot'),
            'storage': tool('storage-add', 'data=1G'),
            'credential': tool('credential-get'),
            'no action key': tool('action-set', 'word'),
            'bad rotation': tool('secret-add', '--rotate', 'often', 'key=value'),
            'peek and refresh': tool('secret-get', 'secret:9m4e2mr0ui3e8a215n4g', '--peek',
                                     '--refresh'),
            'no binding': tool('network-get', 'no-such'),
        }
        if not self.unit.is_leader():
            result['app data'] = tool('relation-set', '-r', peer, '--app', 'a=b')
            result['app status'] = tool('status-set', '--application', 'active')
        return result


if __name__ == '__main__':
    ops.main(Probe)
