//! Which services a request reaches, in what order, and which of them share a lane.

use std::collections::{BTreeMap, BTreeSet};

use super::Layer;

/// What is done to the services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Start,
    Stop,
}

impl Layer {
    /// What the named services need (to start) or who needs them (to stop), themselves included,
    /// in the order of `after` and `before`, by name where these leave it open.
    pub fn order(&self, names: &[String], action: Action) -> Result<Vec<String>, String> {
        let reached = self.reached(names, action)?;
        let ordered = self.sorted(reached)?;
        Ok(match action {
            Action::Start => ordered,
            Action::Stop => ordered.into_iter().rev().collect(),
        })
    }

    fn reached(&self, names: &[String], action: Action) -> Result<BTreeSet<String>, String> {
        let mut reached = BTreeSet::new();
        let mut queue = names.to_vec();
        while let Some(name) = queue.pop() {
            let service = self
                .services
                .get(&name)
                .ok_or_else(|| format!("service \"{name}\" does not exist"))?;
            if !reached.insert(name.clone()) {
                continue;
            }
            match action {
                Action::Start => queue.extend_from_slice(&service.requires),
                Action::Stop => {
                    let requirers = self
                        .services
                        .iter()
                        .filter(|(_, other)| other.requires.contains(&name));
                    queue.extend(requirers.map(|(other, _)| other.clone()));
                }
            }
        }
        Ok(reached)
    }

    fn sorted(&self, mut left: BTreeSet<String>) -> Result<Vec<String>, String> {
        let mut waits: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for name in &left {
            let Some(service) = self.services.get(name) else {
                continue;
            };
            for first in service.after.iter().filter(|other| left.contains(*other)) {
                waits.entry(name.clone()).or_default().insert(first.clone());
            }
            for later in service.before.iter().filter(|other| left.contains(*other)) {
                waits.entry(later.clone()).or_default().insert(name.clone());
            }
        }
        let mut order = Vec::with_capacity(left.len());
        while !left.is_empty() {
            let free = |name: &&String| {
                waits
                    .get(*name)
                    .is_none_or(|firsts| firsts.iter().all(|first| !left.contains(first)))
            };
            let Some(next) = left.iter().find(free).cloned() else {
                let looped: Vec<String> = left.into_iter().collect();
                return Err(format!(
                    "services in before/after loop: {}",
                    looped.join(", ")
                ));
            };
            left.remove(&next);
            order.push(next);
        }
        Ok(order)
    }

    /// Divides ordered services into lanes: those that `requires` links, directly or not, share
    /// one. What is in a lane goes one by one, lanes go side by side.
    pub fn lanes(&self, ordered: &[String]) -> Vec<Vec<String>> {
        let mut lanes: Vec<Vec<String>> = Vec::new();
        for name in ordered {
            let requires = self
                .services
                .get(name)
                .map(|service| service.requires.as_slice());
            let requires = requires.unwrap_or_default();
            let linked = |other: &String| {
                requires.contains(other)
                    || self
                        .services
                        .get(other)
                        .is_some_and(|other| other.requires.contains(name))
            };
            let (mut joined, apart): (Vec<_>, Vec<_>) = lanes
                .into_iter()
                .partition(|lane: &Vec<String>| lane.iter().any(linked));
            lanes = apart;
            let mut lane: Vec<String> = joined.drain(..).flatten().collect();
            lane.push(name.clone());
            let place = |name: &String| ordered.iter().position(|other| other == name);
            lane.sort_by_key(place);
            lanes.push(lane);
        }
        lanes
    }
}
