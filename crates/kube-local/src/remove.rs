//! Removal of objects, at once or after what holds them.

use serde_json::{Value, json};

use crate::defaults;
use crate::failure::{Failure, Served};
use crate::handlers::listed;
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
    let resource = target.resource;
    let current = existing(tx, target)?;
    let options: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    check_preconditions(target, &current, &options)?;
    let asked = query
        .grace
        .or_else(|| field::number(&options, &["gracePeriodSeconds"]));
    let held = !field::list(&current, &["metadata", "finalizers"]).is_empty();
    let grace = if resource.plural == "pods" {
        grace(&current, asked)
    } else {
        0
    };
    if grace > 0 || held {
        let mut object = (*current).clone();
        if field::text(&object, &["metadata", "deletionTimestamp"]).is_empty() {
            mark(&mut object, grace);
            object = (*tx.put(resource, object)).clone();
        }
        return Ok((200, object));
    }
    let removed = tx.remove(resource, target.place(), &target.name);
    if resource.is(Trait::ReturnsDeleted) {
        let mut removed = removed.map(|object| (*object).clone()).unwrap_or_default();
        if resource.plural == "pods" {
            mark(&mut removed, 0);
        }
        return Ok((200, removed));
    }
    let mut details = json!({
        "name": target.name, "kind": resource.plural,
        "uid": field::text(&current, &["metadata", "uid"]),
    });
    if !resource.group.is_empty() {
        field::set(&mut details, &["group"], resource.group);
    }
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": details,
    });
    Ok((200, body))
}

/// Time that a pod is given: none if it runs nowhere.
fn grace(pod: &Value, asked: Option<i64>) -> i64 {
    if field::text(pod, &["spec", "nodeName"]).is_empty() {
        return 0;
    }
    let own = field::number(pod, &["spec", "terminationGracePeriodSeconds"]);
    asked.or(own).unwrap_or(30)
}

/// Notes that an object is being deleted.
fn mark(object: &mut Value, grace: i64) {
    field::set(object, &["metadata", "deletionGracePeriodSeconds"], grace);
    if !field::text(object, &["metadata", "deletionTimestamp"]).is_empty() {
        return;
    }
    field::set(object, &["metadata", "deletionTimestamp"], defaults::now());
    if let Some(generation) = field::number(object, &["metadata", "generation"]) {
        field::set(object, &["metadata", "generation"], generation + 1);
    }
}

fn check_preconditions(target: &Target, current: &Value, options: &Value) -> Served<()> {
    for (key, word, fate) in [
        ("uid", "UID", "deleted and then recreated"),
        ("resourceVersion", "ResourceVersion", "modified"),
    ] {
        let wanted = field::text(options, &["preconditions", key]);
        let found = field::text(current, &["metadata", key]);
        if !wanted.is_empty() && wanted != found {
            // Said of the kind here, not of the resource.
            let (kind, name) = (target.resource.kind, &target.name);
            let mut failure = Failure::new(
                409,
                "Conflict",
                format!(
                    "Operation cannot be fulfilled on {kind} \"{name}\": the {word} in the precondition ({wanted}) does not match the {word} in record ({found}). The object might have been {fate}"
                ),
            );
            failure.details = Some(json!({"name": name, "kind": kind}));
            return Err(failure);
        }
    }
    Ok(())
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
        "items": found.iter().map(listed).collect::<Vec<_>>(),
    })
}
