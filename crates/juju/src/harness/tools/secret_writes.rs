//! Making, changing and granting secrets. All of it lands with the hook.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::secret_reads::{bare, find, manages, not_found};
use crate::harness::call::{Answer, Args, Refused, denied, refused, usage};
use crate::harness::secret::{Grant, Owner, Secret, id_from};
use crate::harness::simulator::{Inner, Simulator};
use crate::harness::state::Bag;

const NOT_LEADER: &str = "this unit is not the leader";
/// Most bytes of a secret in base64.
const MOST: usize = 1_000_000;
const POLICIES: [&str; 7] = [
    "never",
    "hourly",
    "daily",
    "weekly",
    "monthly",
    "quarterly",
    "yearly",
];

/// Three characters or more: a letter, then letters and digits with single hyphens between.
fn is_key(key: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let counted = key.chars().filter(|c| plain(*c)).count();
    counted >= 3
        && key.starts_with(|c: char| c.is_ascii_lowercase())
        && key.ends_with(plain)
        && key.chars().all(|c| plain(c) || c == '-')
        && !key.contains("--")
}

/// Content from words and a file.
fn content(args: &Args, from: usize) -> Result<Bag, Refused> {
    let read = |path: &str| {
        std::fs::read(path).map_err(|error| refused(format!("reading {path}: {error}")))
    };
    let text =
        |bytes| String::from_utf8(bytes).map_err(|_| refused("the harness keeps texts, not bytes"));
    let mut content = match args.flag("file") {
        Some(path) => serde_yaml::from_slice(&read(path)?)
            .map_err(|error| refused(format!("cannot parse the content: {error}")))?,
        None => Bag::new(),
    };
    for word in args.words_from(from) {
        let bad = || usage(format!("key value \"{word}\" not valid"));
        let (name, value) = word.split_once('=').ok_or_else(bad)?;
        if value.is_empty() {
            return Err(bad());
        }
        let (key, value) = match name.split_once('#') {
            Some((key, "file")) => (key, text(read(value)?)?),
            Some((key, "base64")) => (key, text(STANDARD.decode(value).map_err(|_| bad())?)?),
            Some(_) => return Err(bad()),
            None => (name, value.to_owned()),
        };
        content.insert(key.to_owned(), value);
    }
    if let Some(key) = content.keys().find(|key| !is_key(key)) {
        return Err(usage(format!("key \"{key}\" not valid")));
    }
    let size: usize = content.values().map(|v| v.len().div_ceil(3) * 4).sum();
    if size > MOST {
        return Err(usage(format!(
            "base64 encoded secret content too large: {size} bytes"
        )));
    }
    Ok(content)
}

/// Puts what the flags say of a secret into it.
fn describe(secret: &mut Secret, args: &Args) -> Result<(), Refused> {
    if let Some(policy) = args.flag("rotate") {
        if !POLICIES.contains(&policy) {
            return Err(usage(format!("rotate policy \"{policy}\" not valid")));
        }
        policy.clone_into(&mut secret.rotate);
    }
    if let Some(expire) = args.flag("expire") {
        if expire.starts_with('-') {
            return Err(usage(format!(
                "negative expire duration \"{expire}\" not valid"
            )));
        }
        let duration = expire.ends_with(['h', 'm', 's']);
        if !expire.starts_with(|c: char| c.is_ascii_digit()) || !(duration || expire.contains('T'))
        {
            return Err(usage(format!(
                "expire time or duration \"{expire}\" not valid"
            )));
        }
        secret.expire = Some(expire.to_owned());
    }
    if let Some(label) = args.flag("label") {
        label.clone_into(&mut secret.label);
    }
    if let Some(description) = args.flag("description") {
        description.clone_into(&mut secret.description);
    }
    Ok(())
}

impl Simulator<'_> {
    pub(super) fn secret_add(&self, args: &Args) -> Answer {
        let content = content(args, 0)?;
        if content.is_empty() {
            return Err(usage("missing secret value or filename"));
        }
        let owner = match args.flag("owner").unwrap_or("application") {
            "application" => Owner::Application,
            "unit" => Owner::Unit,
            other => return Err(usage(format!("secret owner \"{other}\" not valid"))),
        };
        let mut inner = self.inner.borrow_mut();
        // One more name than there are secrets, so that one is free.
        let id = (0..=inner.view.secrets.len())
            .map(|number| id_from(&format!("{} {number}", self.unit)))
            .find(|id| find(&inner.view, id).is_err())
            .unwrap_or_default();
        let mut secret = Secret {
            id: id.clone(),
            owner,
            revisions: [(1, content)].into(),
            ..Secret::new(owner, "", [])
        };
        describe(&mut secret, args)?;
        if owner == Owner::Application {
            if !inner.view.leader {
                return Err(refused(NOT_LEADER));
            }
            inner.needs_leadership = true;
        }
        self.claim_label(&mut inner, &secret)?;
        inner.view.secrets.push(secret);
        Ok(format!("secret:{id}\n"))
    }

    /// A label that another secret has: refused at once beside one of this hook, when the hook ends
    /// beside one that is stored.
    fn claim_label(&self, inner: &mut Inner, secret: &Secret) -> Result<(), Refused> {
        let same = |other: &&Secret| {
            !secret.label.is_empty()
                && other.label == secret.label
                && other.owner == secret.owner
                && other.id != secret.id
        };
        let Some(other) = inner.view.secrets.iter().find(same) else {
            return Ok(());
        };
        let text = format!("secret with label \"{}\" already exists", secret.label);
        if find(self.before, &other.id).is_ok() {
            inner.commit_refusal = Some(text);
            Ok(())
        } else {
            Err(refused(text))
        }
    }

    pub(super) fn secret_set(&self, args: &Args) -> Answer {
        let content = content(args, 1)?;
        let mut inner = self.inner.borrow_mut();
        let mut secret = managed(&mut inner, args)?;
        describe(&mut secret, args)?;
        self.claim_label(&mut inner, &secret)?;
        if !content.is_empty() {
            // All that a hook sets is one revision; content that is the stored one is none.
            let stored = find(self.before, &secret.id).ok();
            let number = stored.map_or(1, |stored| stored.latest() + 1);
            if stored.is_some_and(|stored| stored.content() == content) {
                secret.revisions.remove(&number);
            } else {
                secret.revisions.insert(number, content);
            }
        }
        if let Some(slot) = inner.view.secret_mut(&secret.id) {
            *slot = secret;
        }
        Ok(String::new())
    }

    pub(super) fn secret_remove(&self, args: &Args) -> Answer {
        args.at_most(1)?;
        let mut inner = self.inner.borrow_mut();
        let mut secret = managed(&mut inner, args)?;
        match args.flag("revision") {
            Some(text) => {
                let number = text.parse::<u64>().map_err(|_| {
                    usage(format!("invalid value \"{text}\" for option --revision"))
                })?;
                if secret.revisions.remove(&number).is_none() {
                    let name = format!("{}/{number}", secret.id);
                    return Err(refused(format!("secret revision \"{name}\" not found")));
                }
            }
            None => secret.revisions.clear(),
        }
        inner.view.secrets.retain(|other| other.id != secret.id);
        if !secret.revisions.is_empty() {
            inner.view.secrets.push(secret);
        }
        Ok(String::new())
    }

    pub(super) fn secret_grant(&self, args: &Args) -> Answer {
        args.at_most(1)?;
        let relation = self.relation(args)?;
        let mut inner = self.inner.borrow_mut();
        let mut secret = shared(&mut inner, args)?;
        let app = self.remote_app(&relation);
        let unit = args.flag("unit").map(str::to_owned);
        if let Some(unit) = &unit
            && unit.rsplit_once('/').is_none_or(|(of, _)| of != app)
        {
            return Err(usage(format!(
                "cannot specify unit \"{unit}\" in relation to application \"{app}\""
            )));
        }
        let by_unit = |grant: &Grant| grant.relation == relation.id && grant.unit.is_some();
        if unit.is_none() && secret.grants.iter().any(by_unit) {
            return Err(refused(
                "any unit level grants need to be revoked before granting access to the \
                 corresponding application not valid",
            ));
        }
        secret.grants.insert(Grant {
            relation: relation.id,
            unit,
        });
        if let Some(slot) = inner.view.secret_mut(&secret.id) {
            *slot = secret;
        }
        Ok(String::new())
    }

    pub(super) fn secret_revoke(&self, args: &Args) -> Answer {
        args.at_most(1)?;
        let (app, unit) = (args.flag("app"), args.flag("unit"));
        if app.is_some() && unit.is_some() {
            return Err(usage("specify only one of application or unit"));
        }
        if args.flag("relation").is_some() && app.is_some() {
            return Err(usage("do not specify both relation and app"));
        }
        let relation = match self.relation(args) {
            Ok(relation) => Some(relation.id),
            Err(refused) if args.flag("relation").is_some() => return Err(refused),
            Err(_) if app.is_none() && unit.is_none() => {
                return Err(usage("missing relation or application or unit"));
            }
            Err(_) => None,
        };
        let mut inner = self.inner.borrow_mut();
        let mut secret = shared(&mut inner, args)?;
        let view = &inner.view;
        let of_app = |grant: &Grant, app: &str| {
            let relation = view.relation(grant.relation);
            relation.is_some_and(|relation| self.remote_app(relation) == app)
        };
        secret.grants.retain(|grant| match (relation, app, unit) {
            (_, Some(app), _) => !of_app(grant, app),
            (Some(relation), _, Some(unit)) if args.flag("relation").is_some() => {
                grant.relation != relation || grant.unit.as_deref() != Some(unit)
            }
            (None, _, Some(unit)) => grant.unit.as_deref() != Some(unit),
            (Some(relation), _, _) => grant.relation != relation,
            (None, None, None) => true,
        });
        if let Some(slot) = inner.view.secret_mut(&secret.id) {
            *slot = secret;
        }
        Ok(String::new())
    }
}

/// The secret of a call, if this unit may change it.
fn managed(inner: &mut Inner, args: &Args) -> Result<Secret, Refused> {
    let id = args.word(0).ok_or_else(|| usage("missing secret URI"))?;
    let secret = find(&inner.view, id)?.clone();
    match secret.owner {
        Owner::Other { .. } => return Err(not_found(bare(id))),
        Owner::Application if !inner.view.leader => return Err(denied()),
        _ => {}
    }
    inner.needs_leadership |= secret.owner == Owner::Application;
    Ok(secret)
}

/// As [`managed`], with the words of the tools that grant and revoke.
fn shared(inner: &mut Inner, args: &Args) -> Result<Secret, Refused> {
    let id = args.word(0).ok_or_else(|| usage("missing secret URI"))?;
    let secret = find(&inner.view, id)?;
    if secret.owner == Owner::Application && !manages(secret, inner.view.leader) {
        return Err(refused(NOT_LEADER));
    }
    managed(inner, args)
}
