//! Garbage collection: what has owners of which none is left goes with them.

use serde_json::Value;

use crate::json;
use crate::resource::Resource;
use crate::store::Tx;

/// Removes every object whose owners are all gone, and what that leaves without owners.
pub(crate) fn collect(tx: &mut Tx<'_>) {
    loop {
        let orphans: Vec<(&'static Resource, String, String)> = tx
            .everything()
            .filter(|(_, object)| {
                let owners = json::list(object, &["metadata", "ownerReferences"]);
                !owners.is_empty()
                    && !owners
                        .iter()
                        .any(|owner| tx.has_uid(json::text(owner, &["uid"])))
                    && json::text(object, &["metadata", "deletionTimestamp"]).is_empty()
            })
            .map(|(resource, object)| (resource, namespace(object), name(object)))
            .collect();
        if orphans.is_empty() {
            return;
        }
        for (resource, namespace, name) in orphans {
            tx.remove(resource, &namespace, &name);
        }
    }
}

fn namespace(object: &Value) -> String {
    json::text(object, &["metadata", "namespace"]).to_owned()
}

fn name(object: &Value) -> String {
    json::text(object, &["metadata", "name"]).to_owned()
}
