"""Harmless recorders that a hostile tenant plants: whatever the charm's sessions might run instead of
PostgreSQL's own (functions, operators, types, relations of the same name), or set off by what they do
(triggers, event triggers, index functions, policies, defaults).

A recorder that runs in a session which is not a client's, or as one of the charm's own users, bumps the
sequence `rec.foreign`, which no rollback takes back, and writes a row into `rec.seen`. It does nothing
else. PostgreSQL's own autovacuum, whose session belongs to the first superuser but which acts as a
table's owner, is not counted unless it acts as a superuser."""

# What settings a database's or a role's owner may give it: each has stopped some tool of somebody's.
# Those that a server does not know are passed over.
SETTINGS = {
    "search_path": "public, pg_catalog",
    "local_preload_libraries": "no_such_library",
    "statement_timeout": "1ms",
    "idle_in_transaction_session_timeout": "1ms",
    "idle_session_timeout": "1ms",
    "lock_timeout": "1ms",
    "transaction_timeout": "1ms",
    "default_transaction_read_only": "on",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "default_table_access_method": "no_such_method",
    "default_tablespace": "no_such_tablespace",
    "exit_on_error": "on",
    "row_security": "off",
    "quote_all_identifiers": "on",
    "standard_conforming_strings": "off",
    "backslash_quote": "off",
    "transform_null_equals": "on",
    "check_function_bodies": "off",
    "array_nulls": "off",
    "DateStyle": "German",
    "IntervalStyle": "sql_standard",
    "TimeZone": "Pacific/Chatham",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "client_encoding": "SQL_ASCII",
    "client_min_messages": "debug5",
    "password_encryption": "md5",
    "restrict_nonsystem_relation_kind": "view, foreign-table",
    "synchronous_commit": "remote_apply",
    "force_parallel_mode": "on",
    "debug_parallel_query": "on",
    "work_mem": "64kB",
}

RECORDER = r"""
set search_path = pg_catalog, pg_temp;
create schema rec;
grant usage on schema rec to public;
create sequence rec.foreign;
create table rec.seen (what text, cur text, ses text, app text, at timestamptz default pg_catalog.now())
  with (autovacuum_enabled = off);
grant insert, select on rec.seen to public;
grant usage, select on sequence rec.foreign to public;
create function rec.note(what pg_catalog.text) returns pg_catalog.bool language plpgsql
set search_path = pg_catalog, pg_temp as $$
declare
  app pg_catalog.text := current_setting('application_name');
  high bool := exists (select from pg_roles r where r.rolname = current_user and
    (r.rolsuper or r.rolname in ('replication', 'rewind', 'monitoring', 'backup', 'admin')));
begin
  if current_user operator(pg_catalog.~) '^relation_id_' and session_user operator(pg_catalog.~) '^relation_id_' then
    return true;
  end if;
  if not high and (app = '' or session_user operator(pg_catalog.~) '^relation_id_') then
    return true;
  end if;
  perform nextval('rec.foreign');
  insert into rec.seen (what, cur, ses, app) values (what, current_user, session_user, app);
  return true;
exception when others then
  return true;
end $$;
grant execute on function rec.note to public;
"""

# Functions with the very arguments of PostgreSQL's own, which win once public comes first, and with
# arguments that no own one has, which win in any case.
FUNCTIONS = r"""
set search_path = pg_catalog, pg_temp;
do language plpgsql $do$
declare
  f record;
  body pg_catalog.text;
begin
  for f in
    select p.oid, p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid) as args,
      p.prorettype, p.proretset, pg_catalog.format_type(p.prorettype, null) as result
    from pg_catalog.pg_proc p where p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
      and p.prokind = 'f' and p.proargmodes is null and p.provariadic = 0
      and not exists (select from pg_catalog.pg_type t where t.typtype = 'p'
        and (t.oid = p.prorettype or t.oid = any (p.proargtypes)))
  loop
    body := pg_catalog.format('select rec.note(%L); select null::%s', 'function ' || f.proname, f.result);
    begin
      execute pg_catalog.format('create function public.%I(%s) returns %s %s language sql as %L', f.proname,
        f.args, case when f.proretset then 'setof' else '' end, f.result, body);
    exception when others then null;
    end;
  end loop;
  for f in
    select n.name, a.args, n.result from (values
      ('format', 'text'), ('concat', 'text'), ('concat_ws', 'text'), ('quote_ident', 'text'),
      ('quote_literal', 'text'), ('array_to_string', 'text'), ('coalesce_', 'text'), ('json_build_object', 'json'),
      ('to_json', 'json'), ('array_length', 'int'), ('num_nulls', 'int'), ('pg_describe_object', 'text'),
      ('left', 'text'), ('length', 'int'), ('lower', 'text'), ('upper', 'text'), ('starts_with', 'bool'),
      ('has_database_privilege', 'bool'), ('pg_has_role', 'bool'), ('shobj_description', 'text'),
      ('obj_description', 'text'), ('to_regclass', 'regclass'), ('pg_get_userbyid', 'name'),
      ('regexp_replace', 'text'), ('replace', 'text'), ('pg_terminate_backend', 'bool')
    ) n (name, result), lateral (
      select pg_catalog.string_agg(t.type, ', ') as args
      from pg_catalog.generate_series(1, 4) k, pg_catalog.generate_series(0, 80) c,
        lateral (select (array['text', 'name', 'oid'])[1 + (c / (3 ^ (i - 1))::int) % 3] as type
                 from pg_catalog.generate_series(1, k) i) t
      group by k, c having c < 3 ^ k
    ) a
  loop
    begin
      execute pg_catalog.format('create function public.%I(%s) returns %s language sql as %L', f.name, f.args,
        f.result, pg_catalog.format('select rec.note(%L); select null::%s',
          'function ' || f.name || '(' || f.args || ')', f.result));
    exception when others then null;
    end;
  end loop;
end $do$;
"""

OPERATORS = r"""
set search_path = pg_catalog, pg_temp;
do language plpgsql $do$
declare
  o record;
  n int := 0;
begin
  for o in
    select op.oprname as name, pg_catalog.format_type(nullif(op.oprleft, 0), null) as l,
      pg_catalog.format_type(op.oprright, null) as r, pg_catalog.format_type(op.oprresult, null) as result
    from pg_catalog.pg_operator op where op.oprnamespace = 'pg_catalog'::pg_catalog.regnamespace
      and not exists (select from pg_catalog.pg_type t where t.typtype = 'p'
        and t.oid in (op.oprleft, op.oprright, op.oprresult))
    union all
    select w.name, l.type, r.type, w.result
    from (values ('=', 'bool'), ('<>', 'bool'), ('<', 'bool'), ('>', 'bool'), ('<=', 'bool'), ('>=', 'bool'),
        ('~', 'bool'), ('!~', 'bool'), ('~*', 'bool'), ('!~*', 'bool'), ('~~', 'bool'), ('!~~', 'bool'),
        ('||', 'text')) w (name, result),
      pg_catalog.unnest(array['name', 'text', 'oid', 'integer', 'bigint', '"char"', 'regclass', 'regtype', 'regproc',
        'regprocedure', 'regrole', 'regnamespace']) l (type),
      pg_catalog.unnest(array['name', 'text', 'oid', 'integer', 'bigint', '"char"', 'regclass', 'regtype', 'regproc',
        'regprocedure', 'regrole', 'regnamespace']) r (type)
    where l.type <> r.type and not exists (select from pg_catalog.pg_operator op
      where op.oprname = w.name::name and op.oprleft = l.type::pg_catalog.regtype
      and op.oprright = r.type::pg_catalog.regtype)
  loop
    n := n + 1;
    begin
      execute pg_catalog.format('create function rec.op_%s(%s) returns %s language sql as %L', n,
        pg_catalog.concat_ws(', ', o.l, o.r), o.result,
        pg_catalog.format('select rec.note(%L); select null::%s',
          pg_catalog.format('operator %s %s %s', o.l, o.name, o.r), o.result));
      execute pg_catalog.format('create operator public.%s (%s rightarg = %s, function = rec.op_%s)', o.name,
        'leftarg = ' || o.l || ',', o.r, n);
    exception when others then null;
    end;
  end loop;
end $do$;
"""

AGGREGATES = r"""
set search_path = pg_catalog, pg_temp;
do language plpgsql $do$
declare
  a record;
begin
  create function rec.step(text, text) returns text language sql as
    $$ select rec.note('aggregate'); select null::text $$;
  for a in select w.name, t.type, w.more
    from (values ('string_agg', ', text'), ('json_agg', ''), ('array_agg', ''), ('count', ''), ('max', ''),
        ('min', ''), ('bool_or', ''), ('bool_and', '')) w (name, more),
      pg_catalog.unnest(array['text', 'name', 'oid', 'integer', 'boolean', 'timestamptz', '"char"']) t (type)
  loop
    begin
      execute pg_catalog.format('create function rec.step_%s(text, %s %s) returns text language sql as %L',
        a.name, a.type, a.more, pg_catalog.format('select rec.note(%L); select null::text',
          'aggregate ' || a.name || '(' || a.type || ')'));
    exception when others then null;
    end;
    begin
      execute pg_catalog.format('create aggregate public.%I(%s %s) (sfunc = rec.step_%s, stype = text)', a.name,
        a.type, a.more, a.name);
    exception when others then null;
    end;
  end loop;
end $do$;
"""

# Before the types, whose names would be taken for PostgreSQL's own.
RELATIONS = r"""
set search_path = pg_catalog, pg_temp;
do language plpgsql $do$
declare
  own record;
begin
  for own in select c.relname from pg_catalog.pg_class c
    where c.relnamespace = 'pg_catalog'::pg_catalog.regnamespace and c.relkind in ('r', 'v')
  loop
    begin
      execute pg_catalog.format('create view public.%I as select * from pg_catalog.%I where rec.note(%L)',
        own.relname, own.relname, 'relation ' || own.relname);
      execute pg_catalog.format('grant select on public.%I to public', own.relname);
    exception when others then null;
    end;
  end loop;
end $do$;
"""

TYPES = r"""
set search_path = pg_catalog, pg_temp;
do language plpgsql $do$
declare
  own record;
begin
  for own in select t.typname from pg_catalog.pg_type t
    where t.typnamespace = 'pg_catalog'::pg_catalog.regnamespace and t.typtype = 'b' and t.typelem = 0
      and not exists (select from pg_catalog.pg_type mine where mine.typname = t.typname
        and mine.typnamespace = 'public'::pg_catalog.regnamespace)
  loop
    begin
      execute pg_catalog.format('create domain public.%I as pg_catalog.%I check (rec.note(%L))', own.typname,
        own.typname, 'type ' || own.typname);
    exception when others then null;
    end;
  end loop;
end $do$;
"""

# What statements that the charm runs might set off, or what passes to an heir.
OBJECTS = r"""
set search_path = pg_catalog, pg_temp;
create function public.trap() returns trigger language plpgsql as
  $$ begin perform rec.note('trigger'); return new; end $$;
create function public.indexed(n pg_catalog.int4) returns pg_catalog.int4 language plpgsql immutable as
  $$ begin perform rec.note('index function'); return n; end $$;
create function public.definer() returns pg_catalog.text language plpgsql security definer
  set search_path = pg_catalog, pg_temp as
  $$ begin perform rec.note('security definer'); return current_user; end $$;
grant execute on function public.definer() to public;
create table public.baits (n pg_catalog.int4 primary key, t pg_catalog.text default rec.note('default')::pg_catalog.text,
  check (rec.note('check') or n is null));
create index on public.baits (public.indexed(n));
create statistics public.bait_statistics on (public.indexed(n)), n from public.baits;
create trigger trap before insert or update or delete on public.baits for each row execute function public.trap();
create trigger trap_all before truncate on public.baits execute function public.trap();
create rule bait as on update to public.baits do also select rec.note('rule');
alter table public.baits enable row level security;
create policy bait on public.baits using (rec.note('policy')) with check (rec.note('policy'));
insert into public.baits values (1), (2);
create view public.bait_view as select n from public.baits where rec.note('view');
create materialized view public.bait_copy as select n, rec.note('materialised view') from public.baits;
create table public.bait_parts (n pg_catalog.int4) partition by range (public.indexed(n));
create table public.bait_part partition of public.bait_parts for values from (1) to (100);
create type public.bait_type as (n pg_catalog.int4);
create function rec.to_text(public.bait_type) returns pg_catalog.text language sql as
  $$ select rec.note('cast'); select ''::pg_catalog.text $$;
create cast (public.bait_type as pg_catalog.text) with function rec.to_text(public.bait_type) as implicit;
create domain public.bait_domain as pg_catalog.int4 default public.indexed(1) check (rec.note('domain'));
create procedure public.bait_procedure() language sql as $$ select rec.note('procedure') $$;
alter default privileges grant execute on routines to public;
"""

# Only a superuser makes these.
EVENT_TRIGGERS = r"""
create function rec.event() returns event_trigger language plpgsql as
  $$ begin perform rec.note('event trigger'); end $$;
create event trigger bait_start on ddl_command_start execute function rec.event();
create event trigger bait_end on ddl_command_end execute function rec.event();
create event trigger bait_drop on sql_drop execute function rec.event();
create event trigger bait_rewrite on table_rewrite execute function rec.event();
"""

LOOK_ALIKES = FUNCTIONS + OPERATORS + AGGREGATES + RELATIONS + TYPES

COUNTS = """
select pg_catalog.json_build_object(
  'functions', (select pg_catalog.count(*) from pg_catalog.pg_proc where pronamespace operator(pg_catalog.=) 'public'::pg_catalog.regnamespace),
  'operators', (select pg_catalog.count(*) from pg_catalog.pg_operator where oprnamespace operator(pg_catalog.=) 'public'::pg_catalog.regnamespace),
  'relations', (select pg_catalog.count(*) from pg_catalog.pg_class where relnamespace operator(pg_catalog.=) 'public'::pg_catalog.regnamespace),
  'types', (select pg_catalog.count(*) from pg_catalog.pg_type where typnamespace operator(pg_catalog.=) 'public'::pg_catalog.regnamespace))
"""

SEEN = """
select pg_catalog.json_build_object('bumps', (select last_value operator(pg_catalog.-) (not is_called)::pg_catalog.int4 from rec.foreign),
  'rows', (select pg_catalog.json_agg(pg_catalog.concat_ws(' ', s.what, 'as', s.cur, 'of', s.ses, s.app))
    from (select distinct what, cur, ses, app from rec.seen) s))
"""


def settings(target, names=None):
    """Statements that give a database or a role all the settings above, of those that it may have. The
    session that runs them has none of them yet."""
    lines = []
    for name, value in SETTINGS.items():
        if names is None or name in names:
            lines.append(f"alter {target} set {name} = '{value}';" if name != "search_path"
                         else f"alter {target} set search_path = {value};")
    return "\n".join(lines)
