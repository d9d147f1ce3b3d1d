//! One relation of `db` or `db-admin`, the legacy interface: all in plain databags.

use std::collections::BTreeMap;

use cluster_plan::clients::{Client, user_name};
use cluster_plan::names::{POSTGRESQL_PORT, ServiceKind};
use relation_interfaces::Bag;
use relation_interfaces::pgsql::{Answer, Request, answer, parse};
use secrecy::SecretString;

use super::serve::Trouble;
use super::{Clients, Known, Relation, shortened};
use crate::juju_port::JujuError;
use crate::ports::PortResult;

/// Its clients are superusers.
const ADMIN: &str = "db-admin";

impl Clients<'_> {
    /// Serves a relation: what is to be remembered of it.
    pub(super) fn legacy(&self, relation: &Relation) -> Result<PortResult<Known>, JujuError> {
        let mut now = Known::default();
        let app = self.juju.remote_app(&relation.id)?;
        let mut units = BTreeMap::new();
        for unit in self.juju.remote_units(&relation.id)? {
            let bag = self.juju.relation_bag(&relation.id, &unit)?;
            units.insert(unit, bag);
        }
        let theirs = if app.is_empty() {
            Bag::new()
        } else {
            self.juju.relation_bag(&relation.id, &app)?
        };
        let wrong = match parse(&theirs, &units) {
            Ok(None) => None,
            Err(error) => Some(error.to_string()),
            Ok(Some(request)) if !self.has_extensions(&request) => {
                Some("extensions requested through relation".to_owned())
            }
            Ok(Some(request)) => {
                match self.legacy_request(relation, &app, &request, &units, &mut now) {
                    Ok(()) => None,
                    Err(Trouble::Own(why)) => Some(why),
                    Err(Trouble::Failed(why) | Trouble::Waits(why)) => {
                        now.unsettled = true;
                        Some(why)
                    }
                    Err(Trouble::Away(error)) => return Ok(Err(error)),
                    Err(Trouble::Juju(error)) => return Err(error),
                }
            }
        };
        if let Some(why) = wrong {
            tracing::warn!("{}: {why}", relation.id);
            now.problem = Some(shortened(&why));
        }
        Ok(Ok(now))
    }

    /// Extensions are the operator's to enable, by options.
    fn has_extensions(&self, request: &Request) -> bool {
        request.extension_names().iter().all(|name| {
            let option = format!("plugin_{}_enable", name.replace('-', "_"));
            let enabled = self.facts.config.get(&option);
            enabled.and_then(serde_json::Value::as_bool) == Some(true)
        })
    }

    fn legacy_request(
        &self,
        relation: &Relation,
        app: &str,
        request: &Request,
        units: &BTreeMap<String, Bag>,
        now: &mut Known,
    ) -> Result<(), Trouble> {
        let (names, me) = (&self.facts.names, &self.facts.me);
        let own = self.juju.relation_bag(&relation.id, names.app())?;
        let known = own.get("password").map(|p| SecretString::from(p.clone()));
        if known.is_none() {
            tracing::warn!(
                "{}: the interface pgsql is deprecated, use endpoint database",
                relation.id
            );
        } else if own.get("database") != Some(&request.database) {
            let why = "the database cannot change in a relation that is served: relate again";
            return Err(Trouble::Own(why.to_owned()));
        }
        let mut client = Client {
            user: user_name(relation.number, None),
            database: request.database.clone(),
            ..Client::default()
        };
        if relation.endpoint == ADMIN {
            client.roles.insert("superuser".to_owned());
        }
        let (password, version, made) = self.provide(relation, &client, known.as_ref())?;
        let standbys = self.terms.read_only_endpoints != self.terms.endpoints;
        let told = Answer {
            request,
            client: app,
            user: client.user,
            password,
            host: names.fqdn(me),
            master: names.service_fqdn(ServiceKind::Primary),
            standbys: standbys.then(|| names.service_fqdn(ServiceKind::Replicas)),
            port: POSTGRESQL_PORT,
            version,
        };
        now.made = made;
        now.users = vec![told.user.clone()];
        for (key, value) in answer(&told, units) {
            // Old clients look into the leader's databag, newer ones into the application's.
            for entity in [names.app(), &me.unit()] {
                self.juju.set_relation(&relation.id, entity, &key, &value)?;
            }
        }
        Ok(())
    }
}
