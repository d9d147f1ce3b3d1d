//! The hooks themselves: their names, their variables, and what they are about.

use juju_local_api::agent::{OwnedSecret, RelationView, StorageView, UnitView};

use super::{Done, Event, Hook, HookRelation, Local};

type Variables = Vec<(String, String)>;

fn variables<const N: usize>(pairs: [(&str, String); N]) -> Variables {
    pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

pub(super) fn hook(name: impl Into<String>, done: Done) -> Hook {
    Hook {
        name: name.into(),
        done,
        ..Hook::default()
    }
}

pub(super) fn storage_hook(storage: &StorageView, what: &str, done: Done) -> Hook {
    let name = storage.id.split('/').next().unwrap_or_default();
    Hook {
        name: format!("{name}-storage-{what}"),
        env: variables([
            ("JUJU_STORAGE_ID", storage.id.clone()),
            ("JUJU_STORAGE_KIND", storage.kind.clone()),
            ("JUJU_STORAGE_LOCATION", storage.location.clone()),
        ]),
        relation: None,
        done,
    }
}

pub(super) fn workload_hook(event: &Event) -> Hook {
    let (container, what, more) = match event {
        Event::Ready { container } => (container, "ready", Variables::new()),
        Event::Notice {
            container,
            id,
            kind,
            key,
        } => {
            let more = variables([
                ("JUJU_NOTICE_ID", id.clone()),
                ("JUJU_NOTICE_TYPE", kind.clone()),
                ("JUJU_NOTICE_KEY", key.clone()),
            ]);
            (container, "custom-notice", more)
        }
        Event::Check {
            container,
            name,
            failed,
        } => {
            let what = if *failed {
                "check-failed"
            } else {
                "check-recovered"
            };
            let more = variables([("JUJU_PEBBLE_CHECK_NAME", name.clone())]);
            (container, what, more)
        }
    };
    let mut env = variables([("JUJU_WORKLOAD_NAME", container.clone())]);
    env.extend(more);
    Hook {
        name: format!("{container}-pebble-{what}"),
        env,
        relation: None,
        done: Done::Event,
    }
}

fn owned_hook(secret: &OwnedSecret, what: &str, revision: Option<u64>, done: Done) -> Hook {
    let mut env = variables([
        ("JUJU_SECRET_ID", format!("secret:{}", secret.id)),
        ("JUJU_SECRET_LABEL", secret.label.clone()),
    ]);
    env.extend(revision.map(|number| ("JUJU_SECRET_REVISION".to_owned(), number.to_string())));
    Hook {
        name: format!("secret-{what}"),
        env,
        relation: None,
        done,
    }
}

/// Expired, rotate, changed, remove: in this order.
pub(super) fn secret_hook(view: &UnitView, local: &Local) -> Option<Hook> {
    let owned = &view.owned_secrets;
    for secret in owned {
        if let Some(revision) = secret.expired.first() {
            let done = Done::Expired(secret.id.clone(), *revision);
            return Some(owned_hook(secret, "expired", Some(*revision), done));
        }
    }
    if let Some(secret) = owned.iter().find(|secret| secret.rotate_due) {
        let done = Done::Rotated(secret.id.clone());
        return Some(owned_hook(secret, "rotate", None, done));
    }
    let changed = view.consumed_secrets.iter().find(|secret| {
        let handled = local.secrets.get(&secret.id).copied();
        secret.latest > handled.unwrap_or_default().max(secret.tracked)
    });
    if let Some(secret) = changed {
        return Some(Hook {
            name: "secret-changed".to_owned(),
            env: variables([
                ("JUJU_SECRET_ID", format!("secret:{}", secret.id)),
                ("JUJU_SECRET_LABEL", secret.label.clone()),
            ]),
            relation: None,
            done: Done::Secret(secret.id.clone(), secret.latest),
        });
    }
    owned.iter().find_map(|secret| {
        let told = |revision: &&u64| {
            local
                .obsolete
                .contains(&format!("{}/{revision}", secret.id))
        };
        let revision = secret.obsolete.iter().find(|revision| !told(revision))?;
        let done = Done::Obsolete(format!("{}/{revision}", secret.id));
        Some(owned_hook(secret, "remove", Some(*revision), done))
    })
}

pub(super) fn relation_hook(
    relation: &RelationView,
    what: &str,
    unit: &str,
    departing: Option<String>,
    done: Done,
) -> Hook {
    let id = format!("{}:{}", relation.endpoint, relation.id);
    let mut env = variables([
        ("JUJU_RELATION", relation.endpoint.clone()),
        ("JUJU_RELATION_ID", id),
        ("JUJU_REMOTE_APP", relation.remote_app.clone()),
        ("JUJU_REMOTE_UNIT", unit.to_owned()),
    ]);
    env.extend(departing.map(|name| ("JUJU_DEPARTING_UNIT".to_owned(), name)));
    Hook {
        name: format!("{}-relation-{what}", relation.endpoint),
        env,
        relation: Some(HookRelation {
            id: relation.id,
            endpoint: relation.endpoint.clone(),
            app: relation.remote_app.clone(),
            unit: unit.to_owned(),
        }),
        done,
    }
}
