"""Hostile tenants on the local model: clients that ask in any words, statements with their credentials,
and what of the charm's sessions their recorders have seen."""

import contextlib
import json
import os
import pathlib
import subprocess
import time

import recorders
from scenario import APP, MODEL, Cluster, Failed, JUJU, PSQL, until

CHARM = pathlib.Path(__file__).parent / "charms" / "tenant"
# Nothing that a tenant has set reaches the test's own sessions.
PINNED = ("-c search_path=pg_catalog -c role=none -c local_preload_libraries= -c statement_timeout=0 "
          "-c idle_in_transaction_session_timeout=0 -c idle_session_timeout=0 -c lock_timeout=0 "
          "-c default_transaction_read_only=off -c client_min_messages=warning -c row_security=on "
          "-c restrict_nonsystem_relation_kind= -c exit_on_error=off -c work_mem=4MB")
# Everybody whose name a recorder, or an owner, must not have; `%s` is another condition.
HIGH = ("(r.rolsuper or r.rolname in ('operator', 'replication', 'rewind', 'monitoring', 'backup', 'admin', "
        "'postgres'))")
# What a superuser or one of the charm's users owns in a database and did not come with PostgreSQL or an
# extension.
OWNED = f"""
select kind || ' ' || name from (
  select 'function' as kind, p.oid::regprocedure::text as name, p.proowner as owner, p.oid as id,
    'pg_proc'::regclass as class from pg_proc p
    -- The charm's own, for poolers: nobody but a superuser puts anything there.
    where p.pronamespace <> 'pg_catalog'::regnamespace
  union all select 'relation', c.oid::regclass::text, c.relowner, c.oid, 'pg_class' from pg_class c
    where c.relnamespace not in ('pg_toast'::regnamespace, 'pg_catalog'::regnamespace)
  union all select 'schema', n.nspname::text, n.nspowner, n.oid, 'pg_namespace' from pg_namespace n
  union all select 'database', d.datname::text, d.datdba, d.oid, 'pg_database' from pg_database d
    where d.datname = current_database()
  union all select 'event trigger', e.evtname::text, e.evtowner, e.oid, 'pg_event_trigger' from pg_event_trigger e
) o join pg_roles r on r.oid = o.owner
where o.id >= 16384 and {HIGH} and r.rolname !~ '^relation_id_' and not exists (select from pg_depend d
  where d.classid = o.class and d.objid = o.id and d.deptype in ('e', 'i')) limit 5
"""


class Tenants(Cluster):
    """A cluster with tenants. Checks that don't hold are gathered, so that one run shows them all."""

    def __init__(self, *bootstrap):
        super().__init__(*bootstrap)
        self.wrong, self.logins = [], {}

    def holds(self, what, condition, detail=""):
        """Tells whether something holds, and goes on."""
        if not condition:
            self.wrong.append(what)
        print(f"{'ok' if condition else 'WRONG'}: {what}{'' if condition else ' ' + str(detail)[:600]}", flush=True)

    def comes(self, seconds, what, condition):
        """The same, of something that becomes so within a time."""
        try:
            took = until(seconds, what, condition)
        except (Failed, subprocess.TimeoutExpired) as error:
            self.holds(what, False, error)
            return None
        self.holds(f"{what} ({took:.1f} s)", True)
        return took

    def ends(self):
        """Fails with all that did not hold."""
        if self.wrong:
            raise Failed(f"{len(self.wrong)} checks: " + "; ".join(self.wrong))

    def tenant(self, name, request, endpoint="database"):
        """Deploys a client that asks so."""
        path = pathlib.Path(self.home) / f"{name}.yaml"
        path.write_text(json.dumps({name: {"request": json.dumps(request)}}), encoding="utf-8")
        self.juju("deploy", str(CHARM), name, "--config", str(path))
        self.juju("integrate", f"{name}:{'database' if endpoint == 'database' else 'legacy'}", f"{APP}:{endpoint}")

    def told(self, name):
        """What the provider's databag tells a tenant."""
        shown = json.loads(self.juju("show-unit", f"{name}/0", "--format", "json"))[f"{name}/0"]
        relations = shown.get("relation-info") or []
        return next((r["application-data"] for r in relations if r.get("application-data")), {})

    def served(self, name):
        """User and password, once a tenant has them."""
        bag = self.told(name)
        if bag.get("master"):
            found = dict(part.split("=", 1) for part in bag["master"].split())
            self.logins[name] = (found["user"], found["password"], found["dbname"])
        else:
            user = bag.get("username") or bag.get("entity-name")
            password = bag.get("password") or bag.get("entity-password")
            # A group has none: nobody logs in as it.
            if not user or not (password or name == "grouped"):
                return None
            self.logins[name] = (user, password, json.loads(bag["data"])["database"].removesuffix("*"))
        return self.logins[name]

    def session(self, user, password, database, options=""):
        """The command line of a psql that reads statements."""
        host = f"{APP}-primary.{MODEL}.svc.cluster.local"
        return ["net", "--", "env", f"PGPASSWORD={password}", "PGCONNECT_TIMEOUT=3", f"PGOPTIONS={options}", PSQL,
                "-X", "-h", host, "-U", user, "-d", database, "-qAt", "-f", "-"]

    def does(self, name, statements, database=None, options="", timeout=60):
        """What statements of a tenant print, and what is said about those that fail."""
        user, password, own = self.logins[name]
        done = self.call(*self.session(user, password, database or own, options), text=statements, check=False,
                         timeout=timeout)
        return done.stdout.strip(), done.stderr.strip()

    @contextlib.contextmanager
    def open(self, name, statements, sessions=1, options=""):
        """Sessions of a tenant that have run statements and stay open."""
        user, password, own = self.logins[name]
        env = dict(self.env, JUJU_MODEL=MODEL)
        running = []
        try:
            for _ in range(sessions):
                running.append(subprocess.Popen(
                    [JUJU, *self.session(user, password, own, options)], env=env, stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True))
                running[-1].stdin.write(statements + "\n")
                running[-1].stdin.flush()
            yield
        finally:
            for session in running:
                session.stdin.close()
            for session in running:
                try:
                    session.wait(30)
                except subprocess.TimeoutExpired:
                    session.kill()

    def look(self, database, statement):
        """Rows of a statement of operator, whatever a tenant has set or planted in the database."""
        if not self.known:
            self.known = self.password()
        for _ in range(2):
            command = self.session("operator", self.known, database, PINNED)
            done = self.call(*command, text=statement, check=False)
            if "password authentication failed" not in done.stderr:
                break
            self.known = self.password()
        if done.returncode or "ERROR" in done.stderr:
            raise Failed(f"{database}: {done.stderr.strip()}")
        return done.stdout.strip().splitlines()

    def recorded(self, database):
        """How often, and what, recorders of a database have seen of sessions that are not a client's."""
        rows = "\n".join(self.look(database, recorders.SEEN))
        found = json.loads(rows)
        return found["bumps"], found["rows"] or []

    def quiet(self, when, databases):
        """No recorder has seen anything."""
        for database in databases:
            try:
                bumps, rows = self.recorded(database)
            except Failed as error:
                self.holds(f"{when}: {database} can be looked into", False, error)
                continue
            self.holds(f"{when}: nothing of {database}'s has been run", not bumps,
                       f"{bumps} times: {', '.join(sorted(rows)[:6])}")
            if bumps:
                # No DDL, which event triggers would record.
                self.look(database, "select setval('rec.foreign', 1, false); delete from rec.seen")

    def supers(self):
        """Names of the superusers."""
        return set(self.look("postgres", "select rolname from pg_roles where rolsuper"))

    def users(self):
        """Users of clients that the charm keeps."""
        return set(self.look("postgres", "select rolname from pg_roles where rolname ~ '^relation_id_'"))

    def has(self, database, extension):
        """A database has an extension."""
        return bool(self.look(database, f"select 1 from pg_extension where extname = '{extension}'"))

    def messages(self):
        """What the units' and the application's statuses say."""
        status = self.status()
        units = [unit["workload-status"].get("message", "") for unit in (status.get("units") or {}).values()]
        return [*units, self.application()[1]]

    def says(self, *texts):
        """Some status has all these texts."""
        return any(all(text in message for text in texts) for message in self.messages())

    def leader(self):
        """Juju's leader."""
        return next(name for name, unit in self.status()["units"].items() if unit.get("leader"))

    def other(self, unit):
        """Another unit than this one."""
        return next(name for name in self.units() if name != unit)

    def goes(self, name, database=None):
        """Ends a tenant's relation; its user must be gone within a minute."""
        user = self.logins[name][0]
        self.juju("remove-application", name, "--no-prompt")
        what = f"the user of {name} is gone with its relation"
        return self.comes(60, what, lambda: user not in self.users())


def seconds(work):
    """How long something took."""
    begun = time.monotonic()
    work()
    return time.monotonic() - begun
