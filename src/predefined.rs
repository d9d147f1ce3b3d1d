//! The function by which a pooler gets a database's own roles, in every database.

use cluster_plan::predefined::{function, lacking};
use secrecy::SecretString;

use crate::observe::juju::JujuFacts;
use crate::observe::{Observation, database};
use crate::ports::{PortError, Ports};

/// Makes it where a database lacks it: whether that has to be tried again, and nothing wakes this unit
/// for it.
pub fn reconcile(ports: &Ports<'_>, facts: &JujuFacts, observation: &Observation) -> bool {
    let observed = &observation.observed;
    let (true, Some(seen), Some(server)) = (
        facts.leader,
        &observed.database,
        database::server(facts, observed),
    ) else {
        return false;
    };
    let statement = [SecretString::from(function())];
    for name in lacking(seen) {
        tracing::info!("in database {name}: the function for the database's own roles");
        match ports.database.run(&server, name, false, &statement) {
            // What one has set or locked in its database is told, and keeps no other back.
            Err(error @ PortError::Failed(..)) => {
                tracing::warn!("database {name} does not get it: {}", error.chain());
            }
            Err(error) => {
                tracing::warn!("that is seen to later: {}", error.chain());
                return true;
            }
            Ok(()) => {}
        }
    }
    false
}
