//! The hooks of relations.

use std::collections::BTreeMap;

use juju_local_api::agent::{Life, RelationView, UnitView};

use super::hooks::relation_hook;
use super::{Done, Hook, Local};

/// relation-created of a relation that has none yet.
pub(super) fn created(view: &UnitView, local: &Local) -> Option<Hook> {
    let known = |id: &u32| {
        let seen = local.relations.get(id);
        seen.is_some_and(|seen| seen.created && !seen.broken)
    };
    let fresh = |relation: &&RelationView| {
        relation.life == Life::Alive && !relation.suspended && !known(&relation.id)
    };
    let relation = view.relations.iter().find(fresh)?;
    let done = Done::Created {
        id: relation.id,
        endpoint: relation.endpoint.clone(),
        remote_app: relation.remote_app.clone(),
        peer: relation.role == "peer",
    };
    Some(relation_hook(relation, "created", "", None, done))
}

/// The next hook of any relation. `leaving`: this unit itself goes.
pub(super) fn next(view: &UnitView, local: &Local, unit: &str, leaving: bool) -> Option<Hook> {
    let own = leaving.then_some(unit);
    let known = view.relations.iter();
    known
        .map(|relation| step(view, relation, local, own))
        .find_map(|hook| hook)
        .or_else(|| forgotten(view, local))
}

/// The next hook of one relation; `leaver` is this unit when it goes.
fn step(
    view: &UnitView,
    relation: &RelationView,
    local: &Local,
    leaver: Option<&str>,
) -> Option<Hook> {
    let id = relation.id;
    let seen = local.relations.get(&id)?;
    if seen.broken || !seen.created {
        return None;
    }
    let over = leaver.is_some() || relation.life != Life::Alive || relation.suspended;
    let present = |unit: &String| relation.units.contains_key(unit) && !over;
    if let Some(unit) = seen.joined.as_ref().filter(|unit| present(unit)) {
        let version = relation.units.get(unit).copied().unwrap_or_default();
        let done = Done::Changed(id, unit.clone(), version);
        return Some(relation_hook(relation, "changed", unit, None, done));
    }
    if let Some(unit) = seen.members.keys().find(|unit| !present(unit)) {
        let departing = Some(leaver.unwrap_or(unit).to_owned());
        let done = Done::Departed(id, unit.clone());
        return Some(relation_hook(relation, "departed", unit, departing, done));
    }
    if over {
        let done = Done::Broken(id);
        // In Juju 4 a unit that leaves breaks with its peers too.
        let breaks = !seen.peer || (super::is_4(view) && leaver.is_some());
        return breaks.then(|| relation_hook(relation, "broken", "", None, done));
    }
    let newer = |now: u64, known: u64| {
        let other = super::is_4(view) && now != 0 && now != known;
        other || now > known
    };
    if newer(relation.app_version, seen.app) {
        let done = Done::AppChanged(id, relation.app_version);
        return Some(relation_hook(relation, "changed", "", None, done));
    }
    let mut units = relation.units.iter();
    if let Some((unit, _)) = units
        .clone()
        .find(|(unit, _)| !seen.members.contains_key(*unit))
    {
        let done = Done::Joined(id, unit.clone());
        return Some(relation_hook(relation, "joined", unit, None, done));
    }
    let changed = |unit: &String, version: &u64| {
        let known = seen.members.get(unit);
        known.is_some_and(|known| newer(*version, *known))
    };
    let (unit, version) = units.find(|(unit, version)| changed(unit, version))?;
    let done = Done::Changed(id, unit.clone(), *version);
    Some(relation_hook(relation, "changed", unit, None, done))
}

/// A relation that the controller has forgotten while this unit still knew it.
fn forgotten(view: &UnitView, local: &Local) -> Option<Hook> {
    let known = |id: &u32| view.relations.iter().any(|relation| relation.id == *id);
    let mut gone = local.relations.iter().filter(|(id, _)| !known(id));
    gone.find_map(|(id, seen)| {
        let relation = RelationView {
            id: *id,
            endpoint: seen.endpoint.clone(),
            role: String::new(),
            interface: String::new(),
            remote_app: seen.remote_app.clone(),
            life: Life::Dying,
            suspended: false,
            units: BTreeMap::new(),
            app_version: 0,
            remote_model_uuid: String::new(),
        };
        step(view, &relation, local, None)
    })
}
