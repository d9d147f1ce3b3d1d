//! Reading secrets: which one is meant, which revision, and who may.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, json};

use crate::harness::call::{Answer, Args, Refused, denied, refused, usage};
use crate::harness::secret::{Owner, Secret};
use crate::harness::simulator::Simulator;
use crate::harness::state::{Bag, State};

/// The part of an id that all its forms share.
pub(super) fn bare(id: &str) -> &str {
    let id = id.strip_prefix("secret:").unwrap_or(id);
    id.rsplit_once('/').map_or(id, |(_, bare)| bare)
}

fn is_id(word: &str) -> bool {
    let id = bare(word);
    id.len() == 20 && id.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'v'))
}

pub(super) fn not_found(name: &str) -> Refused {
    refused(format!("secret \"{name}\" not found"))
}

pub(super) fn find<'s>(state: &'s State, id: &str) -> Result<&'s Secret, Refused> {
    let found = state.secrets.iter().find(|secret| secret.id == bare(id));
    found.ok_or_else(|| not_found(bare(id)))
}

impl Simulator<'_> {
    pub(super) fn secret_get(&self, args: &Args) -> Answer {
        let label = args.flag("label");
        // With a label given, a word that is no id is a key of the content.
        let id = args.word(0).filter(|word| label.is_none() || is_id(word));
        let key_at = usize::from(id.is_some());
        args.at_most(key_at + 1)?;
        let (peek, refresh) = (args.has("peek"), args.has("refresh"));
        if peek && refresh {
            return Err(usage("specify one of --peek or --refresh but not both"));
        }
        let secret = match (id, label) {
            (Some(id), _) if !is_id(id) => {
                return Err(usage(format!("secret URI \"{id}\" not valid")));
            }
            (Some(id), _) => find(&self.inner.borrow().view, id)?.clone(),
            (None, Some(label)) => {
                let inner = self.inner.borrow();
                let found = inner.view.secret(label);
                found.cloned().ok_or_else(|| not_found(label))?
            }
            (None, None) => return Err(usage("require either a secret URI or label")),
        };
        if secret.owner == (Owner::Other { granted: false }) {
            return Err(denied());
        }
        let content = self.read(&secret, peek, refresh)?;
        if let (Some(_), Some(label), false) = (id, label, secret.is_own()) {
            let mut inner = self.inner.borrow_mut();
            inner.at_once(|state| {
                if let Some(secret) = state.secret_mut(&secret.id) {
                    label.clone_into(&mut secret.label);
                }
            });
        }
        let Some(wanted) = args.word(key_at) else {
            return args.print(&json!(content));
        };
        let name = wanted.strip_suffix("#base64").unwrap_or(wanted);
        let value = content
            .get(name)
            .ok_or_else(|| refused(format!("secret key value \"{name}\" not found")))?;
        if name == wanted {
            args.print(&json!(value))
        } else {
            args.print(&json!(STANDARD.encode(value)))
        }
    }

    /// The content of the revision that this read is about, which a first read or a refresh pins.
    fn read(&self, secret: &Secret, peek: bool, refresh: bool) -> Result<Bag, Refused> {
        let mut inner = self.inner.borrow_mut();
        // What this hook itself wrote is seen by those reads that ask for the latest.
        let mut stored = self.before.secrets.iter();
        let committed = stored
            .find(|other| other.id == secret.id)
            .map_or(secret.latest(), Secret::latest);
        let revision = match secret.tracked {
            _ if peek || refresh => secret.latest(),
            Some(tracked) => tracked,
            None => committed,
        };
        let pin = |state: &mut State, revision: u64| {
            if let Some(secret) = state.secret_mut(&secret.id) {
                secret.tracked = Some(revision);
            }
        };
        if refresh && secret.is_own() {
            // An owner's move to the latest lands with the hook.
            pin(&mut inner.view, revision);
        } else if refresh {
            inner.at_once(|state| pin(state, revision));
        } else if secret.tracked.is_none() {
            // Whoever reads for the first time is remembered, even where it only peeks.
            inner.at_once(|state| pin(state, committed));
        }
        let content = secret.revisions.get(&revision);
        content.cloned().ok_or_else(|| {
            let name = format!("{}/{revision}", secret.id);
            refused(format!("secret revision \"{name}\" not found"))
        })
    }

    pub(super) fn secret_ids(&self, args: &Args) -> Answer {
        args.at_most(0)?;
        let inner = self.inner.borrow();
        let secrets = inner.view.secrets.iter();
        let ids: Vec<&String> = secrets
            .filter(|secret| manages(secret, inner.view.leader))
            .map(|secret| &secret.id)
            .collect();
        let ids = (!ids.is_empty()).then_some(ids);
        args.print(&json!(ids))
    }

    pub(super) fn secret_info(&self, args: &Args) -> Answer {
        args.at_most(1)?;
        let inner = self.inner.borrow();
        let (name, found) = match (args.word(0), args.flag("label")) {
            (Some(id), _) => (bare(id), find(&inner.view, id).ok()),
            (None, Some(label)) => (label, inner.view.secret(label)),
            (None, None) => return Err(usage("require either a secret URI or label")),
        };
        let secret = found
            .filter(|secret| manages(secret, inner.view.leader))
            .ok_or_else(|| not_found(name))?;
        let owner = match secret.owner {
            Owner::Unit => "unit",
            _ => "application",
        };
        let mut info = Map::from_iter([
            ("revision".to_owned(), json!(secret.latest())),
            ("label".to_owned(), json!(secret.label)),
            ("owner".to_owned(), json!(owner)),
            ("rotation".to_owned(), json!(secret.rotate)),
        ]);
        if !secret.description.is_empty() {
            info.insert("description".to_owned(), json!(secret.description));
        }
        info.extend(secret.expire.iter().map(|at| ("expiry".into(), json!(at))));
        let grants = secret.grants.iter().filter_map(|grant| {
            let relation = inner.view.relation(grant.relation)?;
            let target = match &grant.unit {
                Some(unit) => format!("unit-{}", unit.replace('/', "-")),
                None => format!("application-{}", self.remote_app(relation)),
            };
            let scope = format!("relation-{}", relation.key().replace(':', "-"));
            Some(json!({"target": target, "scope": scope, "role": "view"}))
        });
        let access: Vec<_> = grants.collect();
        if !access.is_empty() {
            info.insert("access".to_owned(), json!(access));
        }
        args.print(&json!({&secret.id: info}))
    }
}

/// Whether this unit may change a secret.
pub(super) fn manages(secret: &Secret, leader: bool) -> bool {
    match secret.owner {
        Owner::Unit => true,
        Owner::Application => leader,
        Owner::Other { .. } => false,
    }
}
