//! Extensions by option: which databases still lack them, and which the charm takes back.
//!
//! They are made in every database and in template1, which new databases are copied from. Only what
//! the charm itself has made is taken back: a client's own `CREATE EXTENSION` stays.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clients::{identifier, literal};
use crate::options::Extension;

/// What the catalogues tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalogues {
    /// Extensions that the image has.
    pub available: BTreeMap<String, Available>,
    /// Extensions that are there, by database.
    pub installed: BTreeMap<String, BTreeSet<String>>,
    /// Those of them that others than `operator` have made, by database.
    pub of_others: BTreeMap<String, BTreeSet<String>>,
}

impl Catalogues {
    /// Databases in which the charm has made an extension.
    #[must_use]
    pub fn with(&self, name: &str) -> Vec<&str> {
        let of_others = |database| {
            let theirs = self.of_others.get(database);
            theirs.is_some_and(|names| names.contains(name))
        };
        self.installed
            .iter()
            .filter(|(database, names)| names.contains(name) && !of_others(*database))
            .map(|(database, _)| database.as_str())
            .collect()
    }
}

/// An extension that the image has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Available {
    /// Those that it requires.
    pub requires: BTreeSet<String>,
    /// It can be moved into another schema.
    pub relocatable: bool,
    /// The only schema that it can be in.
    pub schema: Option<String>,
}

/// What is to be made and taken back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// What each database lacks, in an order that works.
    pub create: BTreeMap<String, Vec<Extension>>,
    /// What is taken back where it can be, those that require others first.
    pub withdraw: Vec<Extension>,
    /// What the image does not have.
    pub problems: Vec<ExtensionProblem>,
    /// What the charm has made once this is done, but for what could not be taken back.
    pub made: BTreeSet<String>,
}

/// Why an extension is not as its option says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExtensionProblem {
    /// The image does not have it.
    Missing {
        /// Option.
        option: String,
        /// Extension.
        name: String,
    },
    /// Objects depend on one that is to go.
    InUse {
        /// Option.
        option: String,
        /// Extension.
        name: String,
        /// Where.
        database: String,
    },
    /// A database cannot be looked into or changed.
    Database {
        /// Its name.
        database: String,
        /// PostgreSQL's words.
        why: String,
    },
    /// PostgreSQL refuses to make it.
    Refused {
        /// Option.
        option: String,
        /// Extension.
        name: String,
        /// Where.
        database: String,
        /// PostgreSQL's words.
        why: String,
    },
}

impl fmt::Display for ExtensionProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { option, name } => write!(
                f,
                "Cannot enable plugins: the image has no extension {name}, set {option}=false"
            ),
            Self::InUse {
                option,
                name,
                database,
            } => write!(
                f,
                "Cannot disable plugins: Existing objects depend on it: {name} in database \
                 {database}, remove them or set {option}=true"
            ),
            Self::Database { database, why } => {
                write!(f, "Cannot check plugins in database {database}: {why}")
            }
            Self::Refused {
                option,
                name,
                database,
                why,
            } => write!(
                f,
                "Cannot enable plugins: {name} in database {database} ({option}): {why}"
            ),
        }
    }
}

/// What has to change so that the extensions of the options are there, and no other that the charm
/// has made.
#[must_use]
pub fn changes(wanted: &[Extension], made: &BTreeSet<String>, seen: &Catalogues) -> Changes {
    let mut changes = Changes::default();
    let mut there: Vec<Extension> = Vec::new();
    for extension in wanted {
        if seen.available.contains_key(extension.name) {
            there.push(*extension);
        } else if !extension.by_default() {
            changes.problems.push(ExtensionProblem::Missing {
                option: extension.option.to_owned(),
                name: extension.name.to_owned(),
            });
        }
    }
    for (database, installed) in &seen.installed {
        let lacks: Vec<Extension> = there
            .iter()
            .filter(|extension| !installed.contains(extension.name))
            .copied()
            .collect();
        if !lacks.is_empty() {
            changes.create.insert(database.clone(), lacks);
        }
    }
    let kept = required(there.iter().map(|e| e.name.to_owned()), seen);
    let going: BTreeSet<String> = made
        .iter()
        .filter(|name| !kept.contains(*name) && !seen.with(name).is_empty())
        .cloned()
        .collect();
    changes.withdraw = going
        .iter()
        .filter_map(|name| Extension::named(name))
        .collect();
    // Whatever requires more comes before what it requires.
    changes.withdraw.sort_by_key(|extension| {
        std::cmp::Reverse(required([extension.name.to_owned()], seen).len())
    });
    let names = there.iter().map(|e| e.name.to_owned());
    changes.made = names.chain(going).collect();
    changes
}

/// These extensions and all that they require.
#[must_use]
pub fn required(names: impl IntoIterator<Item = String>, seen: &Catalogues) -> BTreeSet<String> {
    let mut todo: Vec<String> = names.into_iter().collect();
    let mut all = BTreeSet::new();
    while let Some(name) = todo.pop() {
        if all.insert(name.clone()) {
            let requires = seen.available.get(&name).map(|found| &found.requires);
            todo.extend(requires.into_iter().flatten().cloned());
        }
    }
    all
}

/// Where an extension is made before it moves to where clients look for it.
const APART: &str = "postgresql_k8s_new";

/// Makes an extension and those that it requires, as far as a database lacks them. Their scripts run
/// as a superuser and find what is in the schema that they are made in, where the database's owner may
/// have put functions for them to call. So what can be moved is made in a schema that nobody else can
/// see, and moved when it is done. Before any other one [`look_alikes`] says whether something stands
/// there that its script might call, and nobody can add to that until the transaction has ended.
#[must_use]
pub fn create(extension: &Extension, database: &str, seen: &Catalogues) -> Vec<String> {
    let none = BTreeSet::new();
    let there = seen.installed.get(database).unwrap_or(&none);
    let mut statements = Vec::new();
    for name in in_order(extension.name, seen) {
        if there.contains(&name) {
            continue;
        }
        let quoted = identifier(&name);
        let found = seen.available.get(&name).cloned().unwrap_or_default();
        let mut schemas = BTreeSet::new();
        if !found.relocatable {
            schemas.insert(found.schema.as_deref().unwrap_or(PUBLIC));
        }
        schemas.remove("pg_catalog");
        if !schemas.is_empty() || !found.requires.is_empty() {
            statements.push(
                "LOCK TABLE pg_catalog.pg_proc, pg_catalog.pg_operator IN SHARE ROW EXCLUSIVE MODE"
                    .to_owned(),
            );
            statements.push(look_alikes(&schemas, &found.requires));
        }
        match (&found.schema, found.relocatable) {
            (Some(_), _) => statements.push(format!("CREATE EXTENSION IF NOT EXISTS {quoted}")),
            (None, false) => statements.push(format!(
                "CREATE EXTENSION IF NOT EXISTS {quoted} SCHEMA {PUBLIC}"
            )),
            (None, true) => statements.extend([
                format!("CREATE SCHEMA {APART}"),
                format!("CREATE EXTENSION {quoted} SCHEMA {APART}"),
                format!("ALTER EXTENSION {quoted} SET SCHEMA {PUBLIC}"),
                format!("DROP SCHEMA {APART}"),
            ]),
        }
    }
    statements
}

/// Where clients look for what extensions offer.
const PUBLIC: &str = "public";

/// An extension after those that it requires.
fn in_order(name: &str, seen: &Catalogues) -> Vec<String> {
    let mut order: Vec<String> = required([name.to_owned()], seen).into_iter().collect();
    order.sort_by_key(|name| required([name.clone()], seen).len());
    order
}

/// Fails where one of these schemas, or the one of an extension that is required, has a function or an
/// operator that is called as one of PostgreSQL's own or of an extension is. What a trusted extension's
/// script has made is the bootstrap superuser's; who owns the extension may add functions to it.
fn look_alikes(schemas: &BTreeSet<&str>, requires: &BTreeSet<String>) -> String {
    let names = |names: &mut dyn Iterator<Item = &str>| {
        let names: Vec<String> = names
            .map(|name| format!("{}::pg_catalog.name", literal(name)))
            .collect();
        format!("ARRAY[{}]::pg_catalog.name[]", names.join(", "))
    };
    let within = format!(
        "n.nspname OPERATOR(pg_catalog.=) ANY ({}) OR EXISTS (SELECT 1 FROM pg_catalog.pg_extension e \
         WHERE e.extnamespace OPERATOR(pg_catalog.=) n.oid AND e.extname OPERATOR(pg_catalog.=) ANY ({}))",
        names(&mut schemas.iter().copied()),
        names(&mut requires.iter().map(String::as_str)),
    );
    let mut looks = Vec::new();
    for (class, name, schema, owner) in [
        ("pg_proc", "proname", "pronamespace", "proowner"),
        ("pg_operator", "oprname", "oprnamespace", "oprowner"),
    ] {
        let member = |of: &str| {
            format!(
                "EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.objid OPERATOR(pg_catalog.=) {of}.oid \
                 AND d.classid OPERATOR(pg_catalog.=) \
                   'pg_catalog.{class}'::pg_catalog.regclass::pg_catalog.oid \
                 AND d.deptype::pg_catalog.text OPERATOR(pg_catalog.=) 'e'::pg_catalog.text)"
            )
        };
        looks.push(format!(
            "SELECT c.{name}::pg_catalog.text AS found FROM pg_catalog.{class} c \
             JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.{schema} \
             WHERE ({within}) AND NOT (c.{owner} OPERATOR(pg_catalog.=) 10::pg_catalog.oid AND {}) \
               AND EXISTS (SELECT 1 FROM pg_catalog.{class} o WHERE o.{name} OPERATOR(pg_catalog.=) c.{name} \
                 AND (o.{schema}::pg_catalog.regnamespace::pg_catalog.text \
                     OPERATOR(pg_catalog.=) 'pg_catalog'::pg_catalog.text OR {}))",
            member("c"),
            member("o"),
        ));
    }
    let body = format!(
        "DECLARE item record; BEGIN {OTHERS_HAVE_ENDED} FOR item IN {} LIMIT 1 LOOP \
         RAISE EXCEPTION '% in the schema is called as one of PostgreSQL''s or an extension''s own: \
         rename or drop it', item.found; END LOOP; END",
        looks.join(" UNION ALL ")
    );
    format!("DO {}", literal(&body))
}

/// Waits for the transactions that have changed anything in the database: the lock keeps new functions
/// out, but one that was made before would show as soon as its transaction commits.
const OTHERS_HAVE_ENDED: &str = "\
FOR item IN SELECT l.transactionid::pg_catalog.text AS id FROM pg_catalog.pg_locks l \
  WHERE l.locktype OPERATOR(pg_catalog.=) 'transactionid'::pg_catalog.text AND l.granted \
    AND l.mode OPERATOR(pg_catalog.=) 'ExclusiveLock'::pg_catalog.text \
    AND (EXISTS (SELECT 1 FROM pg_catalog.pg_stat_activity a WHERE a.pid OPERATOR(pg_catalog.=) l.pid \
        AND a.pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid() \
        AND a.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()) \
      OR EXISTS (SELECT 1 FROM pg_catalog.pg_prepared_xacts p \
        WHERE p.transaction OPERATOR(pg_catalog.=) l.transactionid \
          AND p.database OPERATOR(pg_catalog.=) pg_catalog.current_database())) LOOP \
  FOR n IN 1..40 LOOP \
    EXIT WHEN NOT EXISTS (SELECT 1 FROM pg_catalog.pg_locks o \
      WHERE o.locktype OPERATOR(pg_catalog.=) 'transactionid'::pg_catalog.text AND o.granted \
        AND o.mode OPERATOR(pg_catalog.=) 'ExclusiveLock'::pg_catalog.text \
        AND o.transactionid::pg_catalog.text OPERATOR(pg_catalog.=) item.id); \
    IF n OPERATOR(pg_catalog.=) 40 THEN \
      RAISE EXCEPTION 'a transaction is open that may add functions: end it'; END IF; \
    PERFORM pg_catalog.pg_sleep(0.05::pg_catalog.float8); \
  END LOOP; \
END LOOP;";

/// Takes extensions back at once; PostgreSQL refuses if anything else depends on one of them.
#[must_use]
pub fn withdraw(extensions: &[Extension]) -> String {
    let names: Vec<String> = extensions.iter().map(|e| identifier(e.name)).collect();
    format!("DROP EXTENSION IF EXISTS {}", names.join(", "))
}

/// The same, undone at once: whether PostgreSQL would refuse it.
#[must_use]
pub fn try_to_withdraw(extensions: &[Extension]) -> String {
    format!("BEGIN; {}; ROLLBACK", withdraw(extensions))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extension(name: &str) -> Extension {
        Extension::named(name).unwrap()
    }

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn seen(databases: &[(&str, &[&str])]) -> Catalogues {
        Catalogues {
            available: [
                ("cube", set(&[]), true, None),
                ("earthdistance", set(&["cube"]), true, None),
                ("plperl", set(&[]), false, Some("pg_catalog")),
                ("bool_plperl", set(&["plperl"]), true, None),
                ("hstore", set(&[]), true, None),
                ("timescaledb", set(&[]), false, None),
            ]
            .map(|(name, requires, relocatable, schema)| {
                let schema = schema.map(str::to_owned);
                let found = Available {
                    requires,
                    relocatable,
                    schema,
                };
                (name.to_owned(), found)
            })
            .into(),
            installed: databases
                .iter()
                .map(|(name, installed)| ((*name).to_owned(), set(installed)))
                .collect(),
            of_others: BTreeMap::new(),
        }
    }

    #[test]
    fn each_database_gets_what_it_lacks_alone() {
        let seen = seen(&[("template1", &[]), ("a", &["hstore"])]);
        let wanted = [extension("hstore"), extension("cube")];
        let changes = changes(&wanted, &set(&[]), &seen);
        assert_eq!(changes.create["template1"], wanted);
        assert_eq!(changes.create["a"], [extension("cube")]);
        assert_eq!(changes.made, set(&["cube", "hstore"]));
        assert_eq!(changes.withdraw, []);
    }

    #[test]
    fn what_the_image_lacks_is_named_and_the_rest_is_made() {
        let seen = seen(&[("a", &[])]);
        let wanted = [extension("postgis"), extension("cube")];
        let changes = changes(&wanted, &set(&[]), &seen);
        assert_eq!(changes.create["a"], [extension("cube")]);
        assert_eq!(
            changes.problems[0].to_string(),
            "Cannot enable plugins: the image has no extension postgis, set \
             plugin_postgis_enable=false"
        );
    }

    #[test]
    fn an_image_may_lack_what_is_on_by_default() {
        let changes = changes(&[extension("pgaudit")], &set(&[]), &seen(&[("a", &[])]));
        assert_eq!(changes, Changes::default());
    }

    #[test]
    fn only_what_the_charm_made_and_nothing_requires_is_taken_back() {
        let seen = seen(&[("a", &["hstore", "cube", "earthdistance"])]);
        let made = set(&["cube", "earthdistance"]);
        let off = changes(&[], &made, &seen);
        assert_eq!(
            off.withdraw,
            [extension("earthdistance"), extension("cube")]
        );
        // earthdistance cannot be without cube, whatever cube's option says.
        let kept = changes(&[extension("earthdistance")], &made, &seen);
        assert_eq!(kept.withdraw, []);
    }

    /// The statements' first words, `DO` for the look for look-alikes.
    fn made(name: &str, there: &[&str]) -> Vec<String> {
        let statements = create(&extension(name), "a", &seen(&[("a", there)]));
        let short = |text: String| {
            if text.starts_with("DO ") {
                "DO".to_owned()
            } else {
                text.replace(" IN SHARE ROW EXCLUSIVE MODE", "")
            }
        };
        statements.into_iter().map(short).collect()
    }

    const LOCK: &str = "LOCK TABLE pg_catalog.pg_proc, pg_catalog.pg_operator";

    #[test]
    fn what_can_be_moved_is_made_where_nobody_else_can_put_anything() {
        let expected = [
            "CREATE SCHEMA postgresql_k8s_new",
            "CREATE EXTENSION \"hstore\" SCHEMA postgresql_k8s_new",
            "ALTER EXTENSION \"hstore\" SET SCHEMA public",
            "DROP SCHEMA postgresql_k8s_new",
        ];
        assert_eq!(made("hstore", &[]), expected);
    }

    #[test]
    fn before_what_is_made_among_clients_things_these_are_looked_at() {
        let expected = [
            LOCK,
            "DO",
            "CREATE EXTENSION IF NOT EXISTS \"timescaledb\" SCHEMA public",
        ];
        assert_eq!(made("timescaledb", &[]), expected);
        // A schema of PostgreSQL's own has nothing of a client's.
        let expected = ["CREATE EXTENSION IF NOT EXISTS \"plperl\""];
        assert_eq!(made("plperl", &[]), expected);
    }

    #[test]
    fn what_is_required_comes_first_unless_it_is_there() {
        let all = made("earthdistance", &[]);
        let at = |text: &str| all.iter().position(|made| made.contains(text)).unwrap();
        assert!(at("EXTENSION \"cube\" SCHEMA") < at("EXTENSION \"earthdistance\" SCHEMA"));
        // The script finds what is in the schema of what it requires.
        let there = made("earthdistance", &["cube"]);
        assert_eq!(there[..2], [LOCK, "DO"]);
        assert!(
            !there.iter().any(|text| text.contains("\"cube\"")),
            "{there:?}"
        );
    }

    #[test]
    fn what_a_client_has_made_is_not_taken_back() {
        let mut seen = seen(&[("a", &["cube"]), ("b", &["cube"]), ("c", &["hstore"])]);
        seen.of_others.insert("a".to_owned(), set(&["cube"]));
        seen.of_others.insert("c".to_owned(), set(&["hstore"]));
        let off = changes(&[], &set(&["cube", "hstore"]), &seen);
        assert_eq!(off.withdraw, [extension("cube")]);
        assert_eq!(seen.with("cube"), ["b"]);
    }

    #[test]
    fn statements_quote_their_names() {
        let both = [extension("bool_plperl"), extension("plperl")];
        assert_eq!(
            try_to_withdraw(&both),
            "BEGIN; DROP EXTENSION IF EXISTS \"bool_plperl\", \"plperl\"; ROLLBACK"
        );
    }
}
