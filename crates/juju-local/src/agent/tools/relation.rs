//! The tools of relations.

use juju_local_api::agent::{AgentRequest, Bag, BagWrite, Life, RelationView};
use serde_json::json;

use super::format::{self, Args};
use super::output::{Print, Refusal, print};
use super::{Done, Tool};

impl Tool<'_> {
    pub(super) fn relation_ids(&self) -> Done {
        let args = self.args(&[], &[])?;
        let hook = self
            .context
            .relation
            .as_ref()
            .map(|relation| relation.endpoint.as_str());
        let endpoint = args
            .one(0)
            .or(hook)
            .ok_or_else(|| Refusal::usage("no endpoint name specified"))?;
        let broken = self.context.name.ends_with("-relation-broken");
        let gone = self
            .context
            .relation
            .as_ref()
            .filter(|_| broken)
            .map(|relation| relation.id);
        let mut ids: Vec<String> = self
            .context
            .view
            .relations
            .iter()
            .filter(|relation| relation.endpoint == endpoint && Some(relation.id) != gone)
            .map(|relation| format!("{endpoint}:{}", relation.id))
            .collect();
        ids.sort();
        print(&args, Print::Smart, &json!(ids))
    }

    /// The relation that a call is about: its flag's, or the hook's.
    pub(super) fn relation(&self, args: &Args) -> Result<RelationView, Refusal> {
        let named = args.flag("r").or(args.flag("relation"));
        let id = if let Some(text) = named {
            text.rsplit(':')
                .next()
                .and_then(|number| number.parse::<u32>().ok())
                .ok_or_else(|| {
                    Refusal::usage(format!(
                        "invalid value \"{text}\" for option -r: invalid relation id"
                    ))
                })?
        } else {
            let hook = self.context.relation.as_ref();
            hook.map(|relation| relation.id)
                .ok_or_else(|| Refusal::usage("no relation id specified"))?
        };
        let known = self
            .context
            .view
            .relations
            .iter()
            .find(|relation| relation.id == id)
            .cloned();
        // In its last hooks a relation may be forgotten already.
        let last = self
            .context
            .relation
            .as_ref()
            .filter(|relation| relation.id == id);
        known
            .or_else(|| {
                last.map(|relation| RelationView {
                    id,
                    endpoint: relation.endpoint.clone(),
                    role: String::new(),
                    interface: String::new(),
                    remote_app: relation.app.clone(),
                    life: Life::Dying,
                    suspended: false,
                    units: std::collections::BTreeMap::new(),
                    app_version: 0,
                    remote_model_uuid: String::new(),
                })
            })
            .ok_or_else(|| {
                let text = named.unwrap_or_default();
                Refusal::usage(format!(
                    "invalid value \"{text}\" for option -r: relation not found"
                ))
            })
    }

    pub(super) fn relation_list(&self) -> Done {
        let args = self.args(&["r", "relation"], &["app"])?;
        let relation = self.relation(&args)?;
        if args.has("app") {
            return print(&args, Print::Smart, &json!(relation.remote_app));
        }
        let units = self.context.members.get(&relation.id);
        let units: Vec<&String> = units.into_iter().flatten().collect();
        print(&args, Print::Smart, &json!(units))
    }

    pub(super) fn relation_model(&self) -> Done {
        let args = self.args(&["r", "relation"], &[])?;
        let relation = self.relation(&args)?;
        print(
            &args,
            Print::Smart,
            &json!({"uuid": relation.remote_model_uuid}),
        )
    }

    pub(super) async fn relation_get(&mut self) -> Done {
        let args = self.args(&["r", "relation"], &["app"])?;
        let relation = self.relation(&args)?;
        let (key, entity) = (args.one(0).filter(|key| *key != "-"), args.one(1));
        let hook = self
            .context
            .relation
            .clone()
            .filter(|hook| hook.id == relation.id);
        let entity = match (entity, hook) {
            (Some(entity), _) if args.has("app") => {
                entity.split('/').next().unwrap_or_default().to_owned()
            }
            (Some(entity), _) if !entity.contains('/') => {
                return Err(Refusal::usage(format!(
                    "expected unit name, got application name \"{entity}\""
                )));
            }
            (Some(entity), _) => entity.to_owned(),
            (None, Some(hook)) if !hook.unit.is_empty() && !args.has("app") => hook.unit,
            (None, Some(hook)) => hook.app,
            (None, None) if args.has("app") => relation.remote_app.clone(),
            (None, None) => return Err(Refusal::usage("no unit or application specified")),
        };
        let bag = self.bag(relation.id, &entity).await?;
        match key {
            None => print(&args, Print::Smart, &json!(bag)),
            Some(key) => print(&args, Print::Smart, &json!(bag.get(key))),
        }
    }

    /// A bag with this hook's own writes in it.
    async fn bag(&mut self, relation: u32, entity: &str) -> Result<Bag, Refusal> {
        let key = (relation, entity.to_owned());
        let mut bag = if let Some(bag) = self.context.bags.get(&key) {
            bag.clone()
        } else {
            let request = AgentRequest::ReadBag {
                relation,
                entity: entity.to_owned(),
            };
            let bag: Bag = self.ask(request).await?;
            self.context.bags.insert(key, bag.clone());
            bag
        };
        let own_app = self.controller.unit.split('/').next().unwrap_or_default();
        for write in self
            .context
            .changes
            .databags
            .iter()
            .filter(|w| w.relation == relation)
        {
            let target = if write.application {
                own_app
            } else {
                self.controller.unit.as_str()
            };
            if target == entity {
                for (name, value) in &write.values {
                    if value.is_empty() {
                        bag.remove(name);
                    } else {
                        bag.insert(name.clone(), value.clone());
                    }
                }
            }
        }
        Ok(bag)
    }

    pub(super) async fn relation_set(&mut self) -> Done {
        let args = self.args(&["r", "relation", "file"], &["app"])?;
        let relation = self.relation(&args)?;
        let application = args.has("app");
        if application && !self.leads().await? {
            return Err(Refusal::run("cannot write relation settings"));
        }
        let values = format::pairs(&args, 0, &self.stdin())?;
        let writes = &mut self.context.changes.databags;
        let same = |w: &&mut BagWrite| w.relation == relation.id && w.application == application;
        match writes.iter_mut().find(same) {
            Some(write) => write.values.extend(values),
            None => writes.push(BagWrite {
                relation: relation.id,
                application,
                values,
            }),
        }
        Ok(String::new())
    }
}
