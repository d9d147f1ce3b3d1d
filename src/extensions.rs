//! Extensions by option, in every database and in template1.
//!
//! Only the leader sees to them. It remembers for which options and primary they are as they should
//! be, and in which databases, so that a hook looks into all of them only when the former have
//! changed or while something is in the way, and else into those alone that are new.

use std::collections::BTreeSet;

use cluster_plan::clients::POSTGRES;
use cluster_plan::extensions::{
    Catalogues, Changes, ExtensionProblem, changes, create, try_to_withdraw, withdraw,
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

/// What the image has, and what each of it requires.
pub const AVAILABLE: &str = "\
SELECT e.name::text, pg_catalog.array_to_string(v.requires, ',') \
FROM pg_catalog.pg_available_extensions e JOIN pg_catalog.pg_available_extension_versions v \
  ON v.name = e.name AND v.version = e.default_version";

/// What a database has.
pub const INSTALLED: &str = "SELECT extname::text FROM pg_catalog.pg_extension";

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
        let seen = self.look()?;
        let mut changes = changes(wanted, made, &seen);
        let mut problems = std::mem::take(&mut changes.problems);
        for (database, lacks) in &changes.create {
            problems.extend(self.create(database, lacks)?);
        }
        let (free, in_use) = self.free(&changes.withdraw)?;
        if !free.is_empty() {
            tracing::info!("in every database: {}", withdraw(&free));
            for database in &self.databases {
                self.run(database, &withdraw(&free))?;
            }
        }
        for extension in &free {
            changes.made.remove(extension.name);
        }
        problems.extend(in_use);
        for lacking in wanted.iter().filter(|e| e.by_default()) {
            if !seen.available.contains_key(lacking.name) {
                tracing::warn!("the image has no {}: nothing is audited", lacking.name);
            }
        }
        Ok((changes, problems))
    }

    fn look(&self) -> PortResult<Catalogues> {
        let mut seen = Catalogues::default();
        for row in self.database.look_in(self.server, POSTGRES, AVAILABLE)? {
            let mut cells = row.into_iter();
            if let Some(name) = cells.next().flatten() {
                let requires = cells.next().flatten().unwrap_or_default();
                let requires = requires.split(',').filter(|name| !name.is_empty());
                let requires = requires.map(str::to_owned).collect();
                seen.available.insert(name, requires);
            }
        }
        for database in &self.databases {
            let rows = self.database.look_in(self.server, database, INSTALLED)?;
            let names = rows.into_iter().filter_map(|row| row.into_iter().next()?);
            seen.installed
                .insert((*database).to_owned(), names.collect());
        }
        Ok(seen)
    }

    /// All at once where that works, else each by itself, so that one that fails keeps none back.
    fn create(
        &self,
        database: &str,
        extensions: &[Extension],
    ) -> PortResult<Vec<ExtensionProblem>> {
        let statements: Vec<String> = extensions.iter().map(create).collect();
        tracing::info!("in database {database}: {}", statements.join("; "));
        let all: Vec<SecretString> = statements.into_iter().map(Into::into).collect();
        match self.database.run(self.server, database, true, &all) {
            Err(PortError::Failed(..)) => {}
            done => return done.map(|()| Vec::new()),
        }
        let mut problems = Vec::new();
        for (extension, statement) in extensions.iter().zip(&all) {
            let alone = std::slice::from_ref(statement);
            match self.database.run(self.server, database, false, alone) {
                Err(error @ PortError::Failed(..)) => problems.push(ExtensionProblem::Refused {
                    option: extension.option.to_owned(),
                    name: extension.name.to_owned(),
                    database: database.to_owned(),
                    why: error.chain(),
                }),
                done => done?,
            }
        }
        Ok(problems)
    }

    /// Those that can go from every database, and what keeps the others: tried in each of them
    /// first, so that none goes from one database and stays in another.
    fn free(
        &self,
        extensions: &[Extension],
    ) -> PortResult<(Vec<Extension>, Vec<ExtensionProblem>)> {
        let mut free: Vec<Extension> = Vec::new();
        let mut in_use = Vec::new();
        'extensions: for extension in extensions {
            free.push(*extension);
            for database in &self.databases {
                match self.run(database, &try_to_withdraw(&free)) {
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
}
