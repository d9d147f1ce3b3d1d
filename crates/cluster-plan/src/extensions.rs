//! Extensions by option: which databases still lack them, and which the charm takes back.
//!
//! They are made in every database and in template1, which new databases are copied from. Only what
//! the charm itself has made is taken back: a client's own `CREATE EXTENSION` stays.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clients::identifier;
use crate::options::Extension;

/// What the catalogues tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalogues {
    /// Extensions that the image has, each with those that it requires.
    pub available: BTreeMap<String, BTreeSet<String>>,
    /// Extensions that are there, by database.
    pub installed: BTreeMap<String, BTreeSet<String>>,
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
    let somewhere: BTreeSet<&String> = seen.installed.values().flatten().collect();
    let going: BTreeSet<String> = made
        .iter()
        .filter(|name| !kept.contains(*name) && somewhere.contains(name))
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
fn required(names: impl IntoIterator<Item = String>, seen: &Catalogues) -> BTreeSet<String> {
    let mut todo: Vec<String> = names.into_iter().collect();
    let mut all = BTreeSet::new();
    while let Some(name) = todo.pop() {
        if all.insert(name.clone()) {
            todo.extend(seen.available.get(&name).into_iter().flatten().cloned());
        }
    }
    all
}

/// Makes an extension, with those that it requires.
#[must_use]
pub fn create(extension: &Extension) -> String {
    let name = identifier(extension.name);
    format!("CREATE EXTENSION IF NOT EXISTS {name} CASCADE")
}

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
                ("cube", set(&[])),
                ("earthdistance", set(&["cube"])),
                ("plperl", set(&[])),
                ("bool_plperl", set(&["plperl"])),
                ("hstore", set(&[])),
            ]
            .map(|(name, requires)| (name.to_owned(), requires))
            .into(),
            installed: databases
                .iter()
                .map(|(name, installed)| ((*name).to_owned(), set(installed)))
                .collect(),
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

    #[test]
    fn statements_quote_their_names() {
        assert_eq!(
            create(&extension("uuid-ossp")),
            "CREATE EXTENSION IF NOT EXISTS \"uuid-ossp\" CASCADE"
        );
        let both = [extension("bool_plperl"), extension("plperl")];
        assert_eq!(
            try_to_withdraw(&both),
            "BEGIN; DROP EXTENSION IF EXISTS \"bool_plperl\", \"plperl\"; ROLLBACK"
        );
    }
}
