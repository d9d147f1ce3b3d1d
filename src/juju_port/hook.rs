//! Juju through the hook tools.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cluster_plan::observed::SystemUser;
use juju::{
    Context, Event, HookEnv, Read, Refusal, SecretContent, SecretKey, SecretSpec, Status, ToolError,
};
use secrecy::SecretString;
use serde_json::Value;

use super::kept::Kept;
use super::{Bag, Content, Goal, JujuError, JujuPort};
use crate::dispatch;
use crate::secrets::Passwords;

const PEERS: &str = "database-peers";

/// Juju in a hook.
pub struct HookJuju<'a> {
    env: &'a HookEnv,
    context: &'a Context<'a>,
    kept: Kept,
}

impl From<ToolError> for JujuError {
    fn from(error: ToolError) -> Self {
        Self("a hook tool failed".to_owned(), Some(error.into()))
    }
}

/// Who or what is gone has nothing more to tell: no hook fails because somebody else leaves.
pub(super) fn unless_gone<T: Default>(answer: Result<T, ToolError>) -> Result<T, JujuError> {
    match answer {
        Err(error) if error.refusal.is_gone() => {
            tracing::info!("gone meanwhile: {error}");
            Ok(T::default())
        }
        told => Ok(told?),
    }
}

impl<'a> HookJuju<'a> {
    /// Juju in this hook.
    #[must_use]
    pub fn new(env: &'a HookEnv, context: &'a Context<'a>) -> Self {
        let kept = Kept::default();
        Self { env, context, kept }
    }

    /// The same, with what earlier hooks have kept of secrets in this folder; see [`Self::keep`].
    #[must_use]
    pub fn keeping(env: &'a HookEnv, context: &'a Context<'a>, folder: &Path) -> Self {
        let anew = dispatch::may_change_secrets(env.event());
        let kept = Kept::new(folder, anew);
        Self { env, context, kept }
    }

    /// Keeps what was read of secrets, once the hook has ended well.
    pub fn keep(&self) {
        if let Ok(leader) = self.context.is_leader() {
            self.kept.keep(leader);
        }
    }

    /// A secret's content, kept or read.
    pub(super) fn secret(
        &self,
        key: SecretKey<'_>,
        read: Read,
    ) -> Result<Option<SecretContent>, JujuError> {
        let name = match key {
            SecretKey::Id(name) | SecretKey::Label(name) | SecretKey::Labelled { id: name, .. } => {
                name
            }
        };
        if let Some(content) = self.kept.get(name, self.context.is_leader()?) {
            return Ok(Some(content));
        }
        let found = self.context.secret_get(key, read)?;
        if let Some(content) = &found {
            self.kept.note(name, content);
        }
        Ok(found)
    }

    /// A secret is about to be written: from now on only Juju is asked.
    pub(super) fn writes_secret(&self) {
        self.kept.writes();
    }

    pub(super) fn context(&self) -> &Context<'a> {
        self.context
    }

    pub(super) fn event(&self) -> &juju::Event {
        self.env.event()
    }

    pub(super) fn model_uuid(&self) -> &str {
        self.env.model_uuid()
    }

    fn relation(&self) -> Result<Option<String>, JujuError> {
        // A hook of the relation says which it is.
        if let Event::RelationCreated(told)
        | Event::RelationChanged(told)
        | Event::RelationDeparted(told) = self.env.event()
            && told.endpoint == PEERS
            && !told.relation_id.is_empty()
        {
            return Ok(Some(told.relation_id.clone()));
        }
        Ok(self.context.relation_ids(PEERS)?.into_iter().next())
    }

    /// Label of the application's secret, the peer charm's.
    fn label(&self) -> String {
        format!("{PEERS}.{}.app", self.env.application())
    }

    pub(super) fn content(&self) -> Result<Option<SecretContent>, JujuError> {
        let label = self.label();
        // A leader owns the secret and always reads the latest; the others move on by reading.
        self.secret(SecretKey::Label(&label), Read::Refresh)
    }

    /// Puts this content into the application's secret, which is made where there is none.
    pub(super) fn store_content(&self, content: &SecretContent) -> Result<(), JujuError> {
        self.writes_secret();
        match self.content()? {
            Some(current) if current.same(content) => Ok(()),
            Some(_) => {
                let info = self.context.secret_info(&self.label())?.ok_or_else(|| {
                    JujuError(
                        "the application's secret is not ours to change".into(),
                        None,
                    )
                })?;
                Ok(self.context.secret_set(&info.id, content)?)
            }
            None => {
                let spec = SecretSpec {
                    owner: "application".into(),
                    label: self.label(),
                    ..SecretSpec::default()
                };
                self.context.secret_add(content, &spec)?;
                Ok(())
            }
        }
    }
}

impl JujuPort for HookJuju<'_> {
    fn application(&self) -> &str {
        self.env.application()
    }

    fn model(&self) -> &str {
        self.env.model()
    }

    fn ordinal(&self) -> u32 {
        self.env.ordinal()
    }

    fn is_leader(&self) -> Result<bool, JujuError> {
        Ok(self.context.is_leader()?)
    }

    fn goal(&self) -> Result<Option<Goal>, JujuError> {
        let told = self.context.goal_state().map(Some);
        let Some(state) = unless_gone(told)? else {
            return Ok(None);
        };
        let dying: BTreeSet<String> = state
            .units
            .iter()
            .filter(|(_, goal)| goal.status == "dying")
            .map(|(unit, _)| unit.clone())
            .collect();
        let units: BTreeSet<String> = state
            .units
            .into_keys()
            .filter(|unit| !dying.contains(unit))
            .collect();
        Ok(Some(Goal {
            units,
            dying,
            endpoints: state.relations.into_keys().collect(),
        }))
    }

    fn peers(&self) -> Result<Vec<String>, JujuError> {
        match self.relation()? {
            Some(relation) => unless_gone(self.context.relation_units(&relation)),
            None => Ok(Vec::new()),
        }
    }

    fn peer_bag(&self, bag: &Bag) -> Result<Option<BTreeMap<String, String>>, JujuError> {
        let Some(relation) = self.relation()? else {
            return Ok(None);
        };
        let entity = match bag {
            Bag::Application => self.env.application(),
            Bag::Unit => self.env.unit(),
            Bag::Other(unit) => unit,
        };
        let found = self.context.relation_get(&relation, entity).map(Some);
        match (found, bag) {
            // Juju up to 3.6 says so of a unit that was never in the relation, or is no longer.
            (Err(error), Bag::Other(_)) if error.refusal == Refusal::PermissionDenied => {
                Ok(Some(BTreeMap::new()))
            }
            (found, _) => unless_gone(found),
        }
    }

    fn set_peer(&self, bag: Bag, key: &str, value: &str) -> Result<(), JujuError> {
        let Some(relation) = self.relation()? else {
            return Ok(());
        };
        let entity = match &bag {
            Bag::Application => self.env.application(),
            Bag::Unit => self.env.unit(),
            Bag::Other(unit) => {
                return Err(JujuError(
                    format!("cannot write the databag of {unit}"),
                    None,
                ));
            }
        };
        self.context.relation_set(&relation, entity, key, value);
        Ok(())
    }

    fn config(&self) -> Result<BTreeMap<String, Value>, JujuError> {
        Ok(self.context.config()?)
    }

    fn forget_secrets(&self) -> bool {
        self.kept.forget()
    }

    fn passwords(&self) -> Result<Option<Passwords>, JujuError> {
        Ok(self
            .content()?
            .map(|content| Passwords::from_content(content.iter())))
    }

    fn user_secret(&self, id: &str) -> Result<Option<Content>, JujuError> {
        let found = self.secret(SecretKey::Id(id), Read::Refresh)?;
        Ok(found.map(|content| content.0.into_iter().collect()))
    }

    fn store_passwords(&self, passwords: &Passwords) -> Result<(), JujuError> {
        self.writes_secret();
        let mut content = self.content()?.unwrap_or_default();
        for (user, password) in passwords.iter() {
            let password: SecretString = password.clone();
            content.0.insert(SystemUser::secret_key(user), password);
        }
        self.store_content(&content)
    }

    fn set_workload_version(&self, version: &str) -> Result<(), JujuError> {
        Ok(self.context.set_workload_version(version)?)
    }

    fn status(&self) -> Result<(String, String), JujuError> {
        let status = self.context.status()?;
        // One that only Juju sets is none of the charm's.
        Ok(status.map_or_else(Default::default, |status| {
            (status.word.text().to_owned(), status.message)
        }))
    }

    fn set_status(&self, application: bool, word: &str, message: &str) -> Result<(), JujuError> {
        let status = match word {
            "active" => Status::active(message),
            "blocked" => Status::blocked(message),
            _ => Status::waiting(message),
        };
        if application {
            // The status of an application is the leader's to tell; leadership may have moved.
            match self.context.set_application_status(&status) {
                Err(error) if error.refusal == Refusal::NotLeader => return Ok(()),
                result => result?,
            }
        } else {
            self.context.set_status(&status)?;
        }
        Ok(())
    }

    fn open_ports(&self, ports: &[u16]) -> Result<(), JujuError> {
        let open = self.context.opened_ports()?;
        for port in ports.iter().map(|port| format!("{port}/tcp")) {
            if !open.contains(&port) {
                self.context.open_port(&port)?;
            }
        }
        Ok(())
    }
}
