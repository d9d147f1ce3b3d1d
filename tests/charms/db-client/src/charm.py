#!/usr/bin/env python3
"""A client of a database, in each shape of request that the interface knows."""

import json
import pathlib

import ops
import pgsql
import psycopg
from dpcharmlibs.interfaces import (
    RequirerCommonModel,
    ResourceProviderModel,
    ResourceRequirerEventHandler,
)

RELATION = "database"
LEGACY = "legacy"
SECRETS = ["username", "password", "tls", "tls-ca", "uris", "read-only-uris"]


class Client(ops.CharmBase):
    """Asks, waits, and runs SQL on request."""

    state = ops.StoredState()

    def __init__(self, framework):
        super().__init__(framework)
        self.shape = self.config["shape"]
        if self.shape == "library":
            request = RequirerCommonModel(
                resource=self.config["database"], extra_user_roles=self.config["roles"] or None,
                external_node_connectivity=self.config["external"],
            )
            self.database = ResourceRequirerEventHandler(
                self, RELATION, [request], response_model=ResourceProviderModel
            )
            framework.observe(self.database.on.resource_created, self.got)
        else:
            framework.observe(self.on[RELATION].relation_created, self.ask)
            framework.observe(self.on[RELATION].relation_changed, self.changed)
        framework.observe(self.on[RELATION].relation_broken, self.broken)
        if self.shape == "pgsql":
            self.state.set_default(master=None, standbys=[])
            self.old = pgsql.PostgreSQLClient(self, LEGACY)
            framework.observe(self.old.on.database_relation_joined, self.name_database)
            framework.observe(self.old.on.master_changed, self.master_changed)
            framework.observe(self.old.on.standby_changed, self.standbys_changed)
        else:
            framework.observe(self.on[LEGACY].relation_created, self.ask_legacy)
            framework.observe(self.on[LEGACY].relation_changed, self.changed)
        framework.observe(self.on[LEGACY].relation_broken, self.broken)
        framework.observe(self.on.config_changed, self.config_changed)
        framework.observe(self.on.sql_action, self.sql)
        framework.observe(self.on.told_action, self.told)
        framework.observe(self.on.start, self.start)

    def say(self, message):
        """Shows how far it is."""
        self.unit.status = ops.ActiveStatus(message)

    def relation(self):
        """The relation, if there is one."""
        return self.model.get_relation(RELATION)

    def ask(self, event):
        """v0: the keys of the databag."""
        if not self.unit.is_leader():
            return
        if self.shape == "raw":
            bag = json.loads(self.config["raw"])
        else:
            bag = {"database": self.config["database"], "extra-user-roles": self.config["roles"]}
            if self.config["external"]:
                bag["external-node-connectivity"] = "true"
            if self.shape == "secrets":
                bag["requested-secrets"] = json.dumps(SECRETS)
        event.relation.data[self.app].update(bag)

    def ask_legacy(self, event):
        """The legacy interface."""
        if self.unit.is_leader():
            event.relation.data[self.app]["database"] = self.config["database"]

    def name_database(self, event):
        """By the old library: the leader names the database, the others wait until it has."""
        if self.unit.is_leader():
            event.database = self.config["database"]
        elif event.database != self.config["database"]:
            event.defer()

    def master_changed(self, event):
        """The old library says where writes are taken."""
        if event.database == self.config["database"]:
            self.state.master = event.master.conn_str if event.master else None
            self.changed(event)

    def standbys_changed(self, event):
        """And where reads are."""
        self.state.standbys = [standby.conn_str for standby in event.standbys or []]

    def config_changed(self, event):
        """A request may be changed after it was made."""
        relation = self.relation()
        if relation and self.shape != "library":
            event.relation = relation
            self.ask(event)

    def got(self, _event):
        """The library says that the database is there."""
        self.say("has a database")

    def changed(self, event):
        """v0: credentials are there when they are there."""
        if self.credentials():
            self.say("has a database")

    def start(self, _event):
        """Nothing is there yet."""
        if not self.credentials():
            self.say("no database")

    def broken(self, _event):
        """The relation is gone."""
        self.say("no database")

    def credentials(self):
        """What the provider gave; empty before that."""
        legacy = self.model.get_relation(LEGACY)
        if legacy:
            return self.legacy_credentials(legacy)
        relation = self.relation()
        if not relation:
            return {}
        if self.shape == "library":
            model = self.database.interface.build_model(relation.id, component=relation.app)
            if not model.requests or not model.requests[0].username:
                return {}
            answer = model.requests[0]
            return {
                "username": answer.username, "password": answer.password, "uris": answer.uris,
                "read-only-uris": answer.read_only_uris, "tls": answer.tls,
                "endpoints": answer.endpoints, "read-only-endpoints": answer.read_only_endpoints,
                "version": answer.version, "database": answer.resource,
            }
        found = dict(relation.data[relation.app])
        for group in ("user", "tls"):
            if uri := found.get(f"secret-{group}"):
                label = f"{RELATION}.{relation.id}.{group}.secret"
                try:
                    found.update(self.model.get_secret(id=uri, label=label).get_content(refresh=True))
                except ops.SecretNotFoundError:
                    # The relation is going, and the provider has seen that first.
                    return {}
        for key in ("username", "password"):
            found.setdefault(key, found.get(f"entity-{key}".replace("username", "name"), ""))
        return found if found["password"] else {}

    def legacy_credentials(self, relation):
        """What a connection string says, once this unit may use it."""
        bag = dict(relation.data[relation.app])
        if self.shape == "pgsql":
            if not self.state.master:
                return {}
            bag |= {"master": self.state.master, "standbys": (self.state.standbys or [""])[0]}
        elif self.unit.name not in bag.get("allowed-units", "").split(","):
            return {}
        found = psycopg.conninfo.conninfo_to_dict(bag["master"])
        standbys = psycopg.conninfo.conninfo_to_dict(bag.get("standbys") or bag["master"])
        return {
            "username": found["user"], "password": found["password"],
            "endpoints": f"{found['host']}:{found['port']}",
            "read-only-endpoints": f"{standbys['host']}:{standbys['port']}",
            "database": found["dbname"], "version": bag.get("version"),
        }

    def sql(self, event):
        """Runs a statement: rows, or the error."""
        found = self.credentials()
        if not found:
            event.fail("no credentials")
            return
        host, port = found[event.params["endpoint"]].split(":")
        database = event.params.get("database") or self.config["database"]
        verify = {}
        if found.get("tls-ca"):
            # Whoever is told of an authority insists on it.
            pathlib.Path("authority.pem").write_text(found["tls-ca"], encoding="ascii")
            verify = {"sslmode": "verify-full", "sslrootcert": "authority.pem"}
        try:
            with psycopg.connect(host=host, port=port, user=found["username"],
                                 password=found["password"], dbname=database,
                                 connect_timeout=3, autocommit=True, **verify) as connection:
                cursor = connection.execute(event.params["statement"])
                rows = cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            event.fail(str(error).strip())
            return
        event.set_results({"rows": json.dumps(rows, default=str)})

    def told(self, event):
        """Everything but the passwords."""
        relation = self.relation()
        bag = dict(relation.data[relation.app]) if relation else {}
        found = self.credentials()
        event.set_results({"report": json.dumps({
            "bag": bag,
            "has": sorted(key for key, value in found.items() if value),
            "username": found.get("username"),
            "version": found.get("version"),
            "tls": found.get("tls"),
            "uri": (found.get("uris") or "").replace(found.get("password") or "-", "PASSWORD"),
        })})


ops.main(Client)
