"""Every option does what its name says: one unit on the local model gets another value for each
option that is a parameter of PostgreSQL, and pg_settings must say so. Wrong values must block with
option, value and what is allowed, and leave the cluster as it is. Extensions come and go.

Which parameter an option is follows from its name (the first word is a section), not from the
charm's own table."""

import json
import re
import sys
import subprocess

import yaml

from scenario import APP, Cluster, PSQL, Failed, check, until

SECTIONS = ("connection", "cpu", "durability", "instance", "logging", "memory", "optimizer",
            "request", "response", "session", "storage", "vacuum")
# Options of those sections that are no parameter of PostgreSQL.
NOT_PARAMETERS = {"durability_maximum_lag_on_failover"}
# Where half of the default, or another word, is not to be tried.
CHOSEN = {
    "cpu_max_logical_replication_workers": "3",
    "cpu_max_parallel_maintenance_workers": "3",
    "cpu_max_parallel_workers": "2",
    "cpu_max_sync_workers_per_subscription": "3",
    "cpu_max_worker_processes": "6",
    "durability_synchronous_commit": "remote_write",
    "durability_wal_keep_size": "128",
    "instance_default_text_search_config": "pg_catalog.english",
    "instance_max_locks_per_transaction": "96",
    "instance_password_encryption": "md5",
    "logging_client_min_messages": "warning",
    "logging_track_functions": "pl",
    "memory_shared_buffers": "4096",
    "memory_max_prepared_transactions": "5",
    "optimizer_constraint_exclusion": "on",
    "optimizer_pg_stat_statements_track": "all",
    "optimizer_track_functions": "all",
    "request_backslash_quote": "off",
    "request_date_style": "SQL, DMY",
    "request_default_transaction_isolation": "repeatable read",
    "request_time_zone": "Europe/Berlin",
    "request_xmlbinary": "hex",
    "request_xmloption": "document",
    "response_bytea_output": "escape",
    "response_lc_monetary": "C.UTF-8",
    "response_lc_numeric": "C.UTF-8",
    "response_lc_time": "C.UTF-8",
    "storage_default_table_access_method": "heap",
    "storage_old_snapshot_threshold": "60",
    "vacuum_autovacuum_vacuum_cost_limit": "300",
    "connection_statement_timeout": "120000",
}
WRONG = {
    "connection_authentication_timeout": ("0", "1 to 600"),
    "request_time_zone": ("Europe/Nowhere", "another time zone"),
    "response_lc_time": ("xx_XX.UTF-8", "locale -a"),
    "request_date_style": ("yesterday", "ISO, SQL, Postgres or German"),
    "durability_synchronous_commit": ("off", "on, remote_apply, remote_write"),
    "instance_default_text_search_config": ("pg_catalog.klingon", "pg_catalog.simple"),
    "memory_shared_buffers": ("1073741823", "40 % of the memory"),
    "cpu_max_worker_processes": ("100000", "auto or 2 to"),
    "experimental_max_connections": ("3", "10 to 262143"),
    "patroni_ttl": ("20000", "20 to 300"),
}


def parameter(option):
    """The parameter that an option's name means."""
    section, _, name = option.partition("_")
    if section not in SECTIONS or option in NOT_PARAMETERS:
        return None
    if name.startswith("pg_stat_statements_"):
        return "pg_stat_statements." + name.removeprefix("pg_stat_statements_")
    return {"date_style": "DateStyle", "time_zone": "TimeZone"}.get(name, name)


def other_value(option, spec):
    """A good value that is not the default."""
    if option in CHOSEN:
        return CHOSEN[option]
    default = spec.get("default")
    if spec["type"] == "boolean":
        return "false" if default else "true"
    low, high = map(float, re.search(r"Allowed: (-?[\d.]+) to (-?[\d.]+)\.", spec["description"])
                    .groups()) if " to " in spec["description"] else (0, 1e6)
    # A little off the default, within the range; PostgreSQL shows six digits.
    step = 1 if spec["type"] == "int" else 0.125 if default < 1000 else 1000
    value = default + step if default + step <= high else default - step
    assert low <= value <= high, (option, value)
    return str(int(value) if spec["type"] == "int" else value)


def same(wanted, shown):
    """Whether pg_settings shows what was wanted: numbers as numbers, words as words."""
    words = {"true": "on", "false": "off"}
    try:
        return abs(float(wanted) - float(shown)) < 1e-12 * max(1, abs(float(wanted)))
    except ValueError:
        return words.get(wanted, wanted) == shown


def settings(cluster):
    """Name, value, whether it waits for a restart."""
    rows = cluster.sql("select name, setting, pending_restart from pg_settings")
    return {name: (value, waits) for name, value, waits in
            (row.split("|") for row in rows.splitlines() if row.count("|") == 2)}


def every_option(cluster, options):
    wanted, parameters = {}, {}
    for option, spec in options.items():
        name = parameter(option)
        if name:
            wanted[option] = other_value(option, spec)
            parameters[name] = (option, wanted[option])
    # Of the two options for it, the one that asks for more counts.
    parameters["track_functions"] = ("optimizer_track_functions", "all")
    before = settings(cluster)
    # A database that may only be read is for the end; this one ends sessions.
    cluster.juju("config", APP, *(f"{option}={value}" for option, value in wanted.items()))

    def differ():
        now = settings(cluster)
        return {name: (option, value, now.get(name)) for name, (option, value) in parameters.items()
                if name not in now or not same(value, now[name][0])}

    waits = lambda: [name for name, (_, waits) in settings(cluster).items() if waits == "t"]
    try:
        until(60, "every parameter is as its option says", lambda: not differ() and not waits())
    except Failed:
        raise Failed(f"parameters differ: {differ()}, wait for a restart: {waits()}") from None
    until(30, "the unit stands", lambda: cluster.stands(1))
    same_as_before = [name for name, (_, value) in parameters.items()
                      if name in before and same(value, before[name][0])]
    check(f"{len(parameters)} parameters are as their options say", len(parameters) > 110)
    check(f"that changed all of them but {same_as_before}",
          set(same_as_before) <= {"default_table_access_method"})
    log = cluster.juju("debug-log", "--replay", "--no-tail")
    check("the log tells what will restart", re.search(
        r"each member restarts, one at a time \(postgresql-k8s/0\): .*shared_buffers", log))
    check("the log tells what changes", "work_mem 4096 -> 4097" in log)
    password = cluster.password()
    refused = cluster.psql(f"{APP}-primary", password, "create table t (n int)")
    check("a read-only default is one for clients", "read-only" in refused.stderr, refused.stderr)
    cluster.juju("config", APP, "--reset", ",".join(wanted))
    until(60, "all is as before", lambda: settings(cluster) == before)
    check("without the options everything is as before", True)


def other_options(cluster):
    dynamic = lambda: json.loads(cluster.juju(
        "net", "--", "curl", "-sk", f"https://{cluster.address(f'{APP}/0')}:8008/config"))
    cluster.juju("config", APP, "durability_maximum_lag_on_failover=2097152", "patroni_ttl=40",
                 "patroni_loop_wait=4", "patroni_retry_timeout=9", "profile=testing",
                 "experimental_max_connections=55")
    wanted = {"maximum_lag_on_failover": 2097152, "ttl": 40, "loop_wait": 4, "retry_timeout": 9}
    until(60, "Patroni has them", lambda: all(dynamic().get(k) == v for k, v in wanted.items()))
    until(60, "a unit for testing has PostgreSQL's own sizes",
          lambda: settings(cluster)["shared_buffers"][0] == "16384")
    until(30, "as many connections", lambda: settings(cluster)["max_connections"] == ("55", "f"))
    cluster.juju("config", APP, "profile=production", "profile_limit_memory=400")
    # A quarter of 400 MB, in pages.
    until(60, "no more than the limit's quarter",
          lambda: settings(cluster)["shared_buffers"] == (str(400_000_000 // 4 // 8192), "f"))
    check("Patroni's options, the profile, its limit and the connections have their effect", True)
    cluster.juju("config", APP, "--reset", "durability_maximum_lag_on_failover,patroni_ttl,"
                 "patroni_loop_wait,patroni_retry_timeout,profile,experimental_max_connections,"
                 "profile_limit_memory")


def wrong_values(cluster):
    for option, (value, allowed) in WRONG.items():
        cluster.juju("config", APP, f"{option}={value}")
        says = lambda: cluster.units()[f"{APP}/0"]
        until(30, f"{option} blocks", lambda: says()[0] == "blocked" and option in says()[1])
        word, message = says()
        check(message, f"{option}={value}" in message and allowed in message, allowed)
        cluster.sql("select 1")
        cluster.juju("config", APP, "--reset", option)
    until(60, "all is well again", lambda: cluster.stands(1))


def extensions(cluster):
    def databases(name):
        found = []
        for database in cluster.sql("select datname from pg_database where datallowconn").split():
            password = cluster.password()
            done = cluster.call("net", "--", "env", f"PGPASSWORD={password}", PSQL, "-X", "-h",
                                f"{APP}-primary.t.svc.cluster.local", "-U", "operator", "-d",
                                database, "-qAtc",
                                f"select 1 from pg_extension where extname = '{name}'")
            if done.stdout.strip():
                found.append(database)
        return set(found)

    says = lambda: cluster.units()[f"{APP}/0"]
    cluster.sql("create database shop")
    cluster.juju("config", APP, "plugin_hstore_enable=true", "plugin_uuid_ossp_enable=true",
                 "plugin_spi_enable=true", "plugin_earthdistance_enable=true")
    until(30, "they are in every database", lambda: all(
        databases(name) == {"postgres", "template1", "shop"}
        for name in ("hstore", "uuid-ossp", "moddatetime", "earthdistance", "cube")))
    cluster.sql("create database later")
    check("a database that comes later has them", "later" in databases("hstore"))
    cluster.sql("create table t (h hstore)")
    cluster.juju("config", APP, "plugin_hstore_enable=false")
    until(30, "one in use is not taken away",
          lambda: says()[1].startswith("Cannot disable plugins: Existing objects depend on it"))
    check(says()[1], "hstore" in says()[1] and databases("hstore") >= {"shop", "later"})
    cluster.sql("drop table t")
    cluster.juju("config", APP, "plugin_uuid_ossp_enable=false")
    until(60, "unused, it goes", lambda: not databases("hstore") and cluster.stands(1))
    cluster.juju("config", APP, "plugin_postgis_enable=true", "plugin_citext_enable=true")
    until(30, "one that the image lacks is named", lambda: "no extension postgis" in says()[1])
    until(30, "the others are made", lambda: "shop" in databases("citext"))
    cluster.juju("config", APP, "--reset", "plugin_postgis_enable")
    cluster.juju("config", APP, "plugin_jsonb_plperl_enable=true")
    until(30, "what it needs is named", lambda: "plugin_plperl_enable=true" in says()[1])
    cluster.juju("config", APP, "--reset", "plugin_jsonb_plperl_enable")
    until(60, "all is well again", lambda: cluster.stands(1))
    check("extensions come, stay while in use and go, in every database", True)


def main():
    with open("config.yaml", encoding="utf-8") as file:
        options = yaml.safe_load(file)["options"]
    with Cluster() as cluster:
        cluster.juju("model-config", "update-status-hook-interval=60m")
        cluster.deploy(1)
        until(90, "the unit stands", lambda: cluster.whole(1))
        every_option(cluster, options)
        other_options(cluster)
        wrong_values(cluster)
        extensions(cluster)


if __name__ == "__main__":
    try:
        main()
    except (Failed, subprocess.TimeoutExpired) as error:
        sys.exit(f"FAILED: {error}")
