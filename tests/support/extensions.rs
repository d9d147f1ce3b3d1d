//! Extensions, in an image that has a few, as PostgreSQL would make and drop them.

use std::collections::{BTreeMap, BTreeSet};

use postgresql_k8s::extensions::{AVAILABLE, INSTALLED};

/// What is in the databases.
#[derive(Default, Clone)]
pub struct Extensions {
    /// By database.
    pub installed: BTreeMap<String, BTreeSet<String>>,
    /// Database and extension of objects that depend on one.
    pub used: BTreeSet<(String, String)>,
    /// Looks into a database so far.
    pub looks: usize,
}

/// The image's, with what each requires.
const IMAGE: [(&str, &str); 4] = [
    ("cube", ""),
    ("earthdistance", "cube"),
    ("hstore", ""),
    ("uuid-ossp", ""),
];

impl Extensions {
    pub fn rows(&mut self, sql: &str, database: &str) -> Vec<Vec<Option<String>>> {
        self.looks += 1;
        if sql == AVAILABLE {
            let row = |(name, requires): (&str, &str)| {
                let cells = [name, requires, "true"];
                let mut row: Vec<_> = cells.map(|cell| Some(cell.to_owned())).into();
                row.push(None);
                row
            };
            return IMAGE.into_iter().map(row).collect();
        }
        assert_eq!(sql, INSTALLED);
        let installed = self.installed.get(database).into_iter().flatten();
        installed
            .map(|name| vec![Some(name.clone()), Some("true".into())])
            .collect()
    }

    /// Runs a statement about extensions; none where it is not one.
    pub fn run(&mut self, sql: &str, database: &str) -> Option<Result<(), String>> {
        let (sql, tried) = match sql.strip_prefix("BEGIN; ") {
            Some(rest) => (rest.strip_suffix("; ROLLBACK").unwrap(), true),
            None => (sql, false),
        };
        let here = self.installed.entry(database.to_owned()).or_default();
        if let Some(rest) = sql.strip_prefix("CREATE EXTENSION ") {
            let name = rest.strip_suffix(" SCHEMA postgresql_k8s_new").unwrap();
            let name = name.trim_matches('"');
            let (_, requires) = IMAGE.into_iter().find(|(known, _)| *known == name).unwrap();
            assert!(requires.is_empty() || here.contains(requires), "{requires}");
            assert!(here.insert(name.to_owned()), "{name} already exists");
            return Some(Ok(()));
        }
        let around = [
            "LOCK TABLE pg_catalog.pg_proc, ",
            "DO 'DECLARE item record; BEGIN FOR item IN SELECT c.proname",
            "CREATE SCHEMA postgresql_k8s_new",
            "ALTER EXTENSION ",
            "DROP SCHEMA postgresql_k8s_new",
        ];
        if around.iter().any(|begins| sql.starts_with(begins)) {
            return Some(Ok(()));
        }
        let names = sql.strip_prefix("DROP EXTENSION IF EXISTS ")?;
        let names: BTreeSet<&str> = names
            .split(", ")
            .map(|name| name.trim_matches('"'))
            .collect();
        let needed = here.iter().any(|name| {
            let requires = IMAGE
                .into_iter()
                .find(|(known, _)| known == name)
                .unwrap()
                .1;
            names.contains(requires) && !names.contains(name.as_str())
        });
        let used = |name: &&str| {
            self.used
                .contains(&(database.to_owned(), (*name).to_owned()))
        };
        if needed || names.iter().any(used) {
            return Some(Err("other objects depend on it".into()));
        }
        if !tried {
            here.retain(|name| !names.contains(name.as_str()));
        }
        Some(Ok(()))
    }
}
