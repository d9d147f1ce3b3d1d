//! Taking over a database that `operator` owns, for a client that asks for it by name.

use super::Client;
use super::sql::{Batch, literal};

/// In a database that the peer charm or a person made, as `operator`: what client users or the charm
/// own there passes to the database's owner, so that its data stays usable.
pub(super) fn adopt(client: &Client) -> Batch {
    let mut batch = Batch::new(&client.database);
    batch.text(
        "what clients left there belongs to the database's owner",
        adoption(&client.database),
    );
    batch
}

/// `format` quotes every name again where it runs. Whom a pooler has let in owns nothing there
/// afterwards, so it becomes a member of who does.
fn adoption(owner: &str) -> String {
    let owner = format!("{}::pg_catalog.text", literal(owner));
    let body = format!(
        "DECLARE item record; BEGIN FOR item IN \
         SELECT r.rolname::pg_catalog.text AS name FROM pg_catalog.pg_roles r \
         WHERE r.rolname OPERATOR(pg_catalog.~) '^relation_id_'::pg_catalog.text AND NOT r.rolsuper \
           AND EXISTS (SELECT 1 FROM pg_catalog.pg_database d, pg_catalog.aclexplode(d.datacl) a \
             WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database() \
               AND a.grantee OPERATOR(pg_catalog.=) r.oid) \
         LOOP EXECUTE pg_catalog.format('GRANT %I TO %I', {owner}, item.name); END LOOP; \
         FOR item IN {THINGS} \
         LOOP EXECUTE pg_catalog.format('ALTER %s %s OWNER TO %I', item.kind, item.name, {owner}); \
         END LOOP; END"
    );
    format!("DO {}", literal(&body))
}

/// What clients or `operator` own in a database, but for what other objects bring along.
const THINGS: &str = "\
SELECT found.kind, found.name FROM ( \
  SELECT CASE c.relkind::pg_catalog.text WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' \
      WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END AS kind, \
    c.oid::pg_catalog.regclass::pg_catalog.text AS name, 1 AS step, c.relowner AS owner, c.oid AS id, \
    'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid AS class \
    FROM pg_catalog.pg_class c WHERE c.relkind::pg_catalog.text \
      OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f,S}'::pg_catalog.text[]) \
  UNION ALL SELECT 'ROUTINE', p.oid::pg_catalog.regprocedure::pg_catalog.text, 2, p.proowner, p.oid, \
    'pg_catalog.pg_proc'::pg_catalog.regclass::pg_catalog.oid FROM pg_catalog.pg_proc p \
  UNION ALL SELECT 'TYPE', t.oid::pg_catalog.regtype::pg_catalog.text, 3, t.typowner, t.oid, \
    'pg_catalog.pg_type'::pg_catalog.regclass::pg_catalog.oid FROM pg_catalog.pg_type t \
    LEFT JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) t.typrelid \
    WHERE t.typtype::pg_catalog.text OPERATOR(pg_catalog.=) ANY ('{e,d,r}'::pg_catalog.text[]) \
      OR c.relkind::pg_catalog.text OPERATOR(pg_catalog.=) 'c'::pg_catalog.text \
  UNION ALL SELECT 'LARGE OBJECT', l.oid::pg_catalog.text, 4, l.lomowner, l.oid, \
    'pg_catalog.pg_largeobject'::pg_catalog.regclass::pg_catalog.oid FROM pg_catalog.pg_largeobject_metadata l \
  UNION ALL SELECT 'SCHEMA', pg_catalog.quote_ident(n.nspname::pg_catalog.text), 5, n.nspowner, n.oid, \
    'pg_catalog.pg_namespace'::pg_catalog.regclass::pg_catalog.oid FROM pg_catalog.pg_namespace n \
    WHERE n.nspname OPERATOR(pg_catalog.<>) 'public'::pg_catalog.name \
) found WHERE found.id::pg_catalog.int8 OPERATOR(pg_catalog.>=) 16384::pg_catalog.int8 \
  AND EXISTS (SELECT 1 FROM pg_catalog.pg_roles r WHERE r.oid OPERATOR(pg_catalog.=) found.owner \
    AND (r.rolname OPERATOR(pg_catalog.=) 'operator'::pg_catalog.name \
      OR r.rolname OPERATOR(pg_catalog.~) '^relation_id_'::pg_catalog.text)) \
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.classid OPERATOR(pg_catalog.=) found.class \
    AND d.objid OPERATOR(pg_catalog.=) found.id AND d.deptype::pg_catalog.text \
      OPERATOR(pg_catalog.=) ANY ('{a,i,e}'::pg_catalog.text[])) \
ORDER BY found.step";
