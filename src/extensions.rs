//! Extensions by option, in every database and in template1.
//!
//! Only the leader sees to them. It remembers for which options and primary they are as they should
//! be, and in which databases, so that a hook looks into all of them only when the former have
//! changed or while something is in the way, and else into those alone that are new.

use std::collections::{BTreeMap, BTreeSet};

use cluster_plan::clients::POSTGRES;
use cluster_plan::extensions::{
    Available, Catalogues, Changes, ExtensionProblem, changes, create, required, try_to_withdraw,
    withdraw,
};
use cluster_plan::options::Extension;
use cluster_plan::plan::Problem;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::clients::digest;
use crate::juju_port::{Bag, JujuError, JujuPort};
use crate::observe::juju::JujuFacts;
use crate::observe::{Observation, database};
use crate::ports::{Database, PortError, PortResult, Ports, Server};

/// What the image has: what each requires (a list), whether it can be moved, and its only schema.
pub const AVAILABLE: &str = "\
SELECT e.name::pg_catalog.text, pg_catalog.array_to_string(v.requires, ','), \
  v.relocatable::pg_catalog.text, v.schema::pg_catalog.text \
FROM pg_catalog.pg_available_extensions e JOIN pg_catalog.pg_available_extension_versions v \
  ON v.name = e.name AND v.version = e.default_version";

/// What a database has, and whether `operator` has made it.
pub const INSTALLED: &str = "\
SELECT extname::pg_catalog.text, (extowner OPERATOR(pg_catalog.=) 10::pg_catalog.oid)::pg_catalog.text \
FROM pg_catalog.pg_extension";

/// Key in the unit's state at the controller.
const MEMORY: &str = "extensions";
/// Key in the application's bag: what the charm has made.
const MADE: &str = "extensions";

#[derive(Debug, Default, Serialize, Deserialize)]
struct Memory {
    /// What holds for all databases.
    #[serde(rename = "d")]
    digest: String,
    /// Marks of the databases that are as they should be.
    #[serde(rename = "s", default)]
    settled: BTreeSet<String>,
    #[serde(rename = "p", default, skip_serializing_if = "Vec::is_empty")]
    problems: Vec<ExtensionProblem>,
}

/// What became of the extensions.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What is in the way.
    pub problems: Vec<Problem>,
    /// The database is out of reach, and nothing wakes this unit when it is back.
    pub later: bool,
}

/// Makes the extensions of the options, and takes back those that the charm has made for options
/// that are off now.
///
/// # Errors
/// When Juju refuses something; all else is a problem, or is tried again by the next hook.
pub fn reconcile(
    juju: &dyn JujuPort,
    ports: &Ports<'_>,
    facts: &JujuFacts,
    observation: &Observation,
) -> Result<Outcome, JujuError> {
    let observed = &observation.observed;
    let (true, Ok(config)) = (facts.leader, &observation.desired.config) else {
        return Ok(Outcome::default());
    };
    let made = made(juju)?;
    let wanted = config.extensions();
    if wanted.is_empty() && made.is_empty() {
        return Ok(Outcome::default());
    }
    let text = juju.memory(MEMORY)?.unwrap_or_default();
    let mut memory: Memory = serde_json::from_str(&text).unwrap_or_default();
    let (Some(database), Some(server)) = (&observed.database, database::server(facts, observed))
    else {
        return Ok(outcome(memory, false));
    };
    let same = memory.digest == stand(&wanted, &made, observation) && memory.problems.is_empty();
    let marks = || {
        database
            .databases
            .iter()
            .map(|(name, id)| digest(&[name, id]))
    };
    let due: Vec<&str> = database
        .databases
        .keys()
        .map(String::as_str)
        .zip(marks())
        .filter(|(_, mark)| !same || !memory.settled.contains(mark))
        .map(|(name, _)| name)
        .collect();
    if same && due.is_empty() {
        return Ok(Outcome::default());
    }
    let work = Work {
        database: ports.database,
        server: &server,
        databases: due,
    };
    match work.settle(&wanted, &made) {
        Ok((changes, problems)) => {
            if changes.made != made {
                let list: Vec<&str> = changes.made.iter().map(String::as_str).collect();
                juju.set_peer(Bag::Application, MADE, &list.join(","))?;
            }
            memory = Memory {
                digest: stand(&wanted, &changes.made, observation),
                settled: marks().collect(),
                problems,
            };
            let new = serde_json::to_string(&memory).unwrap_or_default();
            if new != text {
                juju.remember(MEMORY, &new)?;
            }
            Ok(outcome(memory, false))
        }
        Err(error) => {
            tracing::warn!("extensions are seen to later: {}", error.chain());
            Ok(outcome(memory, true))
        }
    }
}

fn outcome(memory: Memory, later: bool) -> Outcome {
    Outcome {
        problems: memory
            .problems
            .into_iter()
            .map(Problem::Extension)
            .collect(),
        later,
    }
}

fn made(juju: &dyn JujuPort) -> Result<BTreeSet<String>, JujuError> {
    let bag = juju.peer_bag(&Bag::Application)?.unwrap_or_default();
    let list = bag.get(MADE).map(String::as_str).unwrap_or_default();
    // What no option is about was not written by this charm.
    Ok(list
        .split(',')
        .filter(|name| Extension::named(name).is_some())
        .map(str::to_owned)
        .collect())
}

/// A name for all that the extensions of every database depend on. Another primary may lack the last
/// of what was made, since the charm does not wait for standbys.
fn stand(wanted: &[Extension], made: &BTreeSet<String>, observation: &Observation) -> String {
    let primary = crate::apply::primary(observation).map(ToString::to_string);
    let mut texts = vec![primary.as_deref().unwrap_or_default()];
    texts.extend(wanted.iter().map(|extension| extension.name));
    texts.push("/");
    texts.extend(made.iter().map(String::as_str));
    digest(&texts)
}

struct Work<'a> {
    database: &'a dyn Database,
    server: &'a Server,
    databases: Vec<&'a str>,
}

impl Work<'_> {
    fn settle(
        &self,
        wanted: &[Extension],
        made: &BTreeSet<String>,
    ) -> PortResult<(Changes, Vec<ExtensionProblem>)> {
        let (seen, mut problems) = self.look()?;
        let mut changes = changes(wanted, made, &seen);
        problems.append(&mut changes.problems);
        for (database, lacks) in &changes.create {
            problems.extend(self.create(database, lacks, &seen)?);
        }
        let (free, in_use) = self.free(&changes.withdraw, &seen)?;
        problems.extend(in_use);
        let stays = self.withdraw(&free, &seen)?;
        // What is left somewhere is taken back when that can be done.
        if stays.is_empty() && seen.installed.len() == self.databases.len() {
            for extension in &free {
                changes.made.remove(extension.name);
            }
        }
        problems.extend(stays);
        for lacking in wanted.iter().filter(|e| e.by_default()) {
            if !seen.available.contains_key(lacking.name) {
                tracing::warn!("the image has no {}: nothing is audited", lacking.name);
            }
        }
        Ok((changes, problems))
    }

    /// What there is; a database that cannot be looked into is told, and keeps no other back.
    fn look(&self) -> PortResult<(Catalogues, Vec<ExtensionProblem>)> {
        let mut seen = Catalogues::default();
        for row in self.database.look_in(self.server, POSTGRES, AVAILABLE)? {
            let mut cells = row.into_iter();
            let mut next = || cells.next().flatten();
            if let Some(name) = next() {
                let requires = next().unwrap_or_default();
                let requires = requires.split(',').filter(|name| !name.is_empty());
                let found = Available {
                    requires: requires.map(str::to_owned).collect(),
                    relocatable: next().as_deref() == Some("true"),
                    schema: next(),
                };
                seen.available.insert(name, found);
            }
        }
        let mut problems = Vec::new();
        for database in &self.databases {
            match self.database.look_in(self.server, database, INSTALLED) {
                Ok(rows) => {
                    let (names, theirs) = installed(rows);
                    seen.installed.insert((*database).to_owned(), names);
                    seen.of_others.insert((*database).to_owned(), theirs);
                }
                Err(error) => problems.push(in_the_way(database, error)?),
            }
        }
        Ok((seen, problems))
    }

    /// All at once where that works, else each by itself, so that one that fails keeps none back.
    fn create(
        &self,
        database: &str,
        extensions: &[Extension],
        seen: &Catalogues,
    ) -> PortResult<Vec<ExtensionProblem>> {
        let names: Vec<&str> = extensions.iter().map(|e| e.name).collect();
        tracing::info!(
            "in database {database}: CREATE EXTENSION {}",
            names.join(", ")
        );
        let mut grown = seen.clone();
        let mut all = Vec::new();
        for extension in extensions {
            all.extend(create(extension, database, &grown));
            let there = grown.installed.entry(database.to_owned()).or_default();
            there.extend(required([extension.name.to_owned()], seen));
        }
        match self.change(database, all) {
            Err(PortError::Failed(..)) if extensions.len() > 1 => {}
            Err(error @ PortError::Failed(..)) => {
                return Ok(extensions
                    .iter()
                    .map(|e| refused(e, database, &error))
                    .collect());
            }
            done => return done.map(|()| Vec::new()),
        }
        let mut grown = seen.clone();
        let mut problems = Vec::new();
        for extension in extensions {
            match self.change(database, create(extension, database, &grown)) {
                Err(error @ PortError::Failed(..)) => {
                    problems.push(refused(extension, database, &error));
                }
                done => {
                    done?;
                    let there = grown.installed.entry(database.to_owned()).or_default();
                    there.extend(required([extension.name.to_owned()], seen));
                }
            }
        }
        Ok(problems)
    }

    /// Takes extensions back everywhere: what a database says to that where it does not let them go.
    fn withdraw(
        &self,
        extensions: &[Extension],
        seen: &Catalogues,
    ) -> PortResult<Vec<ExtensionProblem>> {
        let mut stays = Vec::new();
        if extensions.is_empty() {
            return Ok(stays);
        }
        tracing::info!("in every database: {}", withdraw(extensions));
        for (database, own) in owned(extensions, seen) {
            if let Err(error) = self.run(database, &withdraw(&own)) {
                stays.push(in_the_way(database, error)?);
            }
        }
        Ok(stays)
    }

    /// Those that can go from every database, and what keeps the others: tried in each of them
    /// first, so that none goes from one database and stays in another.
    fn free(
        &self,
        extensions: &[Extension],
        seen: &Catalogues,
    ) -> PortResult<(Vec<Extension>, Vec<ExtensionProblem>)> {
        let mut free: Vec<Extension> = Vec::new();
        let mut in_use = Vec::new();
        'extensions: for extension in extensions {
            free.push(*extension);
            for (database, own) in owned(&free, seen) {
                match self.run(database, &try_to_withdraw(&own)) {
                    Err(error @ PortError::Failed(..)) => {
                        tracing::warn!("{} stays: {}", extension.name, error.chain());
                        in_use.push(ExtensionProblem::InUse {
                            option: extension.option.to_owned(),
                            name: extension.name.to_owned(),
                            database: (*database).to_owned(),
                        });
                        free.pop();
                        continue 'extensions;
                    }
                    done => done?,
                }
            }
        }
        Ok((free, in_use))
    }

    fn run(&self, database: &str, statement: &str) -> PortResult<()> {
        let statement = [SecretString::from(statement)];
        self.database.run(self.server, database, false, &statement)
    }

    fn change(&self, database: &str, statements: Vec<String>) -> PortResult<()> {
        let statements: Vec<SecretString> = statements.into_iter().map(Into::into).collect();
        self.database.run(self.server, database, true, &statements)
    }
}

/// Of these extensions, those that the charm has made in each database.
fn owned<'a>(extensions: &[Extension], seen: &'a Catalogues) -> BTreeMap<&'a str, Vec<Extension>> {
    let mut found: BTreeMap<&str, Vec<Extension>> = BTreeMap::new();
    for extension in extensions {
        for database in seen.with(extension.name) {
            found.entry(database).or_default().push(*extension);
        }
    }
    found
}

/// The extensions of a database, and those that others than `operator` have made.
fn installed(rows: Vec<Vec<Option<String>>>) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut all, mut theirs) = (BTreeSet::new(), BTreeSet::new());
    for row in rows {
        let mut cells = row.into_iter().flatten();
        let Some(name) = cells.next() else { continue };
        if cells.next().as_deref() != Some("true") {
            theirs.insert(name.clone());
        }
        all.insert(name);
    }
    (all, theirs)
}

/// A database that refuses is told; one that is out of reach is so with all others.
fn in_the_way(database: &str, error: PortError) -> PortResult<ExtensionProblem> {
    let database = database.to_owned();
    match error {
        PortError::Failed(..) => Ok(ExtensionProblem::Database {
            database,
            why: error.chain(),
        }),
        away => Err(away),
    }
}

fn refused(extension: &Extension, database: &str, error: &PortError) -> ExtensionProblem {
    ExtensionProblem::Refused {
        option: extension.option.to_owned(),
        name: extension.name.to_owned(),
        database: database.to_owned(),
        why: error.chain(),
    }
}
