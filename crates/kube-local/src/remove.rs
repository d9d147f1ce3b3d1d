//! Removal of objects, at once or after what holds them.

use serde_json::{Value, json};

use crate::defaults;
use crate::failure::{Failure, Served};
use crate::json as field;
use crate::request::{Call, Query, Target};
use crate::resource::Trait;
use crate::store::Tx;
use crate::write::existing;

pub(crate) fn delete(
    tx: &mut Tx<'_>,
    target: &Target,
    query: &Query,
    call: &Call,
) -> Served<(u16, Value)> {
    let current = existing(tx, target)?;
    let options: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    let wanted = field::text(&options, &["preconditions", "uid"]);
    let uid = field::text(&current, &["metadata", "uid"]);
    if !wanted.is_empty() && wanted != uid {
        let why = format!(
            "Precondition failed: UID in precondition: {wanted}, UID in object meta: {uid}"
        );
        return Err(Failure::conflict(target.resource, &target.name, &why));
    }
    let asked = query
        .grace
        .or_else(|| field::number(&options, &["gracePeriodSeconds"]));
    let default = field::number(&current, &["spec", "terminationGracePeriodSeconds"]).unwrap_or(30);
    let grace = asked.unwrap_or(default);
    let running = target.resource.plural == "pods"
        && !field::text(&current, &["spec", "nodeName"]).is_empty()
        && grace > 0;
    let held = !field::list(&current, &["metadata", "finalizers"]).is_empty();
    let namespace = target.place();
    if running || held {
        let mut object = (*current).clone();
        if field::text(&object, &["metadata", "deletionTimestamp"]).is_empty() {
            field::set(
                &mut object,
                &["metadata", "deletionTimestamp"],
                defaults::now(),
            );
            if running {
                field::set(
                    &mut object,
                    &["metadata", "deletionGracePeriodSeconds"],
                    grace,
                );
            }
            object = (*tx.put(target.resource, object)).clone();
        }
        return Ok((200, object));
    }
    let removed = tx.remove(target.resource, namespace, &target.name);
    if target.resource.is(Trait::ReturnsDeleted) {
        return Ok((
            200,
            removed.map(|object| (*object).clone()).unwrap_or_default(),
        ));
    }
    let details = json!({
        "name": target.name, "group": target.resource.group, "kind": target.resource.plural,
        "uid": uid,
    });
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": details,
    });
    Ok((200, body))
}

pub(crate) fn delete_all(tx: &mut Tx<'_>, target: &Target, query: &Query) -> Value {
    let found: Vec<Value> = tx
        .list(target.resource, target.namespace.as_deref())
        .filter(|object| query.matches(object))
        .map(|object| (**object).clone())
        .collect();
    for object in &found {
        let text = |key| field::text(object, &["metadata", key]);
        tx.remove(target.resource, text("namespace"), text("name"));
    }
    json!({
        "kind": format!("{}List", target.resource.kind),
        "apiVersion": target.resource.api_version(),
        "metadata": {"resourceVersion": tx.revision().to_string()},
        "items": found,
    })
}
