//! Relations and their databags, with what may be seen and written.

use serde_json::json;

use crate::event::Event;
use crate::harness::call::{Answer, Args, Refused, denied, refused, usage};
use crate::harness::simulator::Simulator;
use crate::harness::state::{Bag, Relation};
use crate::harness::trigger::relation_event;

impl Simulator<'_> {
    pub(super) fn relation_ids(&self, args: &Args) -> Answer {
        args.at_most(1)?;
        let event = relation_event(&self.trigger.event);
        let of_hook = event.map(|event| event.endpoint.as_str());
        let Some(endpoint) = args.word(0).or(of_hook) else {
            return Err(usage("no endpoint name specified"));
        };
        let broken = match &self.trigger.event {
            Event::RelationBroken(event) => Some(event.relation_id.as_str()),
            _ => None,
        };
        let inner = self.inner.borrow();
        let mut ids: Vec<String> = inner
            .view
            .relations
            .iter()
            .filter(|relation| relation.endpoint == endpoint)
            .map(Relation::key)
            .filter(|id| Some(id.as_str()) != broken)
            .collect();
        ids.sort();
        args.print(&json!(ids))
    }

    pub(super) fn relation_list(&self, args: &Args) -> Answer {
        args.at_most(0)?;
        let relation = self.relation(args)?;
        let app = self.remote_app(&relation);
        if args.has("app") {
            return args.print(&json!(app));
        }
        // One that departs is no member any more, though its bag can be read.
        let gone = match &self.trigger.event {
            Event::RelationDeparted(event) if event.relation_id == relation.key() => {
                event.remote_unit.clone()
            }
            _ => None,
        };
        let numbers = relation.remote_units.keys();
        let mut units: Vec<String> = numbers
            .map(|number| format!("{app}/{number}"))
            .filter(|unit| Some(unit) != gone.as_ref())
            .collect();
        units.sort();
        args.print(&json!(units))
    }

    pub(super) fn relation_model(&self, args: &Args) -> Answer {
        args.at_most(0)?;
        let relation = self.relation(args)?;
        let own = &self.before.model.uuid;
        let uuid = relation.remote_model_uuid.as_ref().unwrap_or(own);
        args.print(&json!({"uuid": uuid}))
    }

    pub(super) fn relation_get(&self, args: &Args) -> Answer {
        args.at_most(2)?;
        let relation = self.relation(args)?;
        let entity = self.target(args, &relation)?;
        let bag = self.visible(&relation, &entity)?;
        match args.word(0).filter(|key| *key != "-") {
            None => args.print(&json!(bag)),
            Some(key) => args.print(&json!(bag.get(key))),
        }
    }

    /// Whose bag is meant.
    fn target(&self, args: &Args, relation: &Relation) -> Result<String, Refused> {
        let hook =
            relation_event(&self.trigger.event).filter(|event| event.relation_id == relation.key());
        let app = args.has("app");
        match args.word(1) {
            Some(entity) if app => Ok(entity.split('/').next().unwrap_or_default().to_owned()),
            Some(entity) => match entity.rsplit_once('/') {
                Some((_, number)) if number.parse::<u32>().is_ok() => Ok(entity.to_owned()),
                Some(_) => Err(usage(format!("invalid unit name \"{entity}\""))),
                None => Err(usage(format!(
                    "expected unit name, got application name \"{entity}\""
                ))),
            },
            None => match hook.and_then(|event| event.remote_unit.clone()) {
                Some(unit) if !app => Ok(unit),
                _ if app || hook.is_some() => Ok(self.remote_app(relation).to_owned()),
                _ => Err(usage("no unit or application specified")),
            },
        }
    }

    /// A bag that this unit may see.
    fn visible(&self, relation: &Relation, entity: &str) -> Result<Bag, Refused> {
        let own_app = self.application();
        if entity == self.unit {
            return Ok(relation.local_unit.clone());
        }
        if entity == own_app {
            // Among peers everybody reads it; elsewhere it is the leader's alone.
            return if relation.is_peer() || self.leads() {
                Ok(relation.local_app.clone())
            } else {
                Err(denied())
            };
        }
        let remote = self.remote_app(relation);
        if entity == remote {
            return Ok(relation.remote_app_bag.clone());
        }
        let number = entity
            .rsplit_once('/')
            .filter(|(app, _)| *app == remote)
            .and_then(|(_, number)| number.parse().ok());
        number
            .and_then(|number: u32| relation.remote_units.get(&number).cloned())
            .ok_or_else(denied)
    }

    pub(super) fn relation_set(&self, args: &Args, stdin: Option<&[u8]>) -> Answer {
        let relation = self.relation(args)?;
        let values = args.pairs(0, stdin)?;
        let app = args.has("app");
        let mut inner = self.inner.borrow_mut();
        if app && !inner.view.leader {
            return Err(refused("cannot write relation settings"));
        }
        inner.needs_leadership |= app;
        let Some(relation) = inner.view.relation_mut(relation.id) else {
            return Err(refused("relation not found"));
        };
        let bag = if app {
            &mut relation.local_app
        } else {
            &mut relation.local_unit
        };
        for (key, value) in values {
            if value.is_empty() {
                bag.remove(&key);
            } else {
                bag.insert(key, value);
            }
        }
        Ok(String::new())
    }
}
