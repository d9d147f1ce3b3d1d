//! Writes: created, replaced and patched objects, and server-side apply.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::defaults;
use crate::failure::{Cause, Failure, Served};
use crate::json as field;
use crate::patch::{self, PatchType, fieldset::FieldSet};
use crate::request::{Call, Query, Target};
use crate::resource::{Resource, Trait};
use crate::store::Tx;

pub(crate) fn body(call: &Call) -> Served<Value> {
    let bad = |error: &dyn std::fmt::Display| {
        Failure::bad_request(format!("the object provided is unrecognized: {error}"))
    };
    if call.media.contains("yaml") {
        return serde_yaml::from_slice(&call.body).map_err(|error| bad(&error));
    }
    serde_json::from_slice(&call.body).map_err(|error| bad(&error))
}

fn typed(resource: &'static Resource, mut object: Value) -> Served<Value> {
    field::set(&mut object, &["apiVersion"], resource.api_version());
    field::set(&mut object, &["kind"], resource.kind);
    (resource.codec)(object).map_err(|error| {
        Failure::bad_request(format!(
            "{} in version \"{}\" cannot be handled as a {}: {error}",
            resource.kind, resource.version, resource.kind
        ))
    })
}

pub(crate) fn existing(tx: &Tx<'_>, target: &Target) -> Served<Arc<Value>> {
    let namespace = target.place();
    tx.get(target.resource, namespace, &target.name)
        .ok_or_else(|| Failure::not_found(target.resource, &target.name))
}

pub(crate) fn create(tx: &mut Tx<'_>, target: &Target, object: Value) -> Served<(u16, Value)> {
    let mut object = typed(target.resource, object)?;
    let namespace = target.namespace.clone().unwrap_or_default();
    defaults::on_create(tx, target.resource, &namespace, &mut object)?;
    let name = field::text(&object, &["metadata", "name"]).to_owned();
    if tx.get(target.resource, &namespace, &name).is_some() {
        return Err(Failure::exists(target.resource, &name));
    }
    Ok((201, (*tx.put(target.resource, object)).clone()))
}

pub(crate) fn update(tx: &mut Tx<'_>, target: &Target, object: Value) -> Served<(u16, Value)> {
    let object = typed(target.resource, object)?;
    let current = match existing(tx, target) {
        Err(_) if target.resource.is(Trait::CreateOnUpdate) => return create(tx, target, object),
        found => found?,
    };
    let version = field::text(&object, &["metadata", "resourceVersion"]);
    if version.is_empty() && target.resource.is(Trait::ConditionalUpdate) {
        let detail = "must be specified for an update";
        let cause = Cause::invalid("metadata.resourceVersion", &json!(0), detail);
        // Said of the resource here, not of the kind.
        let (about, name) = (target.resource, &target.name);
        let (said, plural) = (about.qualified(), about.plural);
        return Err(Failure::invalid_kind(
            &said,
            plural,
            about.group,
            name,
            &[cause],
        ));
    }
    store_changed(tx, target, &current, object)
}

/// Stores what an update or a patch made of an object, unless it is as it was.
fn store_changed(
    tx: &mut Tx<'_>,
    target: &Target,
    current: &Value,
    mut object: Value,
) -> Served<(u16, Value)> {
    let resource = target.resource;
    let version = field::text(&object, &["metadata", "resourceVersion"]);
    if !version.is_empty() && version != field::text(current, &["metadata", "resourceVersion"]) {
        return Err(Failure::stale(resource, &target.name));
    }
    for key in [
        "uid",
        "creationTimestamp",
        "name",
        "namespace",
        "generation",
        "deletionTimestamp",
    ] {
        field::carry(current, &mut object, &["metadata", key]);
    }
    field::carry(current, &mut object, &["metadata", "resourceVersion"]);
    if target.subresource == "status" {
        let mut next = current.clone();
        field::carry(&object, &mut next, &["status"]);
        for key in ["labels", "annotations"] {
            field::carry(&object, &mut next, &["metadata", key]);
        }
        object = next;
    } else if resource.has_status() {
        field::carry(current, &mut object, &["status"]);
    }
    if resource.plural == "services" {
        for key in ["clusterIP", "clusterIPs"] {
            if field::get(&object, &["spec", key]).is_none() {
                field::carry(current, &mut object, &["spec", key]);
            }
        }
        defaults::port_defaults(&mut object);
    }
    if object == *current {
        return Ok((200, object));
    }
    if resource.is(Trait::Generation) && object.get("spec") != current.get("spec") {
        let generation = field::number(current, &["metadata", "generation"]).unwrap_or(1) + 1;
        field::set(&mut object, &["metadata", "generation"], generation);
    }
    let finished = !field::text(&object, &["metadata", "deletionTimestamp"]).is_empty()
        && field::list(&object, &["metadata", "finalizers"]).is_empty()
        && !field::list(current, &["metadata", "finalizers"]).is_empty();
    if finished {
        let namespace = target.place();
        tx.remove(resource, namespace, &target.name);
        return Ok((200, object));
    }
    Ok((200, (*tx.put(resource, object)).clone()))
}

pub(crate) fn apply_patch(
    tx: &mut Tx<'_>,
    target: &Target,
    query: &Query,
    call: &Call,
) -> Served<(u16, Value)> {
    let kind = PatchType::from_media_type(&call.media)?;
    let resource = target.resource;
    let patch: Value = if kind == PatchType::Apply {
        serde_yaml::from_slice(&call.body)
            .map_err(|error| Failure::bad_request(format!("error decoding YAML: {error}")))?
    } else {
        body(call)?
    };
    let current = existing(tx, target);
    if kind == PatchType::Apply {
        return server_side_apply(tx, target, query, current.ok(), patch);
    }
    let current = current?;
    let version = field::text(&patch, &["metadata", "resourceVersion"]);
    if !version.is_empty() && version != field::text(&current, &["metadata", "resourceVersion"]) {
        return Err(Failure::stale(resource, &target.name));
    }
    let changed = match kind {
        PatchType::Json => patch::json((*current).clone(), patch)?,
        PatchType::Merge => patch::merge((*current).clone(), &patch),
        _ => patch::strategic((*current).clone(), patch, resource.kind)?,
    };
    let changed = typed(resource, changed)?;
    store_changed(tx, target, &current, changed)
}

/// Server-side apply: the applied fields win, those that the same manager applied before and left
/// out now go. Without `force`, a field that another manager applied with another value conflicts.
fn server_side_apply(
    tx: &mut Tx<'_>,
    target: &Target,
    query: &Query,
    current: Option<Arc<Value>>,
    mut applied: Value,
) -> Served<(u16, Value)> {
    let resource = target.resource;
    if query.manager.is_empty() {
        return Err(Failure::bad_request(
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
        ));
    }
    field::set(&mut applied, &["metadata", "name"], target.name.clone());
    field::take(&mut applied, &["metadata", "managedFields"]);
    let fields = FieldSet::of_applied(&applied, resource.kind)
        .without(&["f:metadata", "f:name"])
        .without(&["f:apiVersion"])
        .without(&["f:kind"]);
    let entry = json!({
        "manager": query.manager, "operation": "Apply", "apiVersion": resource.api_version(),
        "time": defaults::now(), "fieldsType": "FieldsV1", "fieldsV1": fields.to_value(),
    });
    let Some(current) = current else {
        let mut object = applied;
        field::set(&mut object, &["metadata", "managedFields"], json!([entry]));
        return create(tx, target, object);
    };
    let managed = field::list(&current, &["metadata", "managedFields"]).to_vec();
    let own = |one: &&Value| {
        field::text(one, &["manager"]) == query.manager
            && field::text(one, &["operation"]) == "Apply"
    };
    let mut next = patch::strategic((*current).clone(), applied, resource.kind)?;
    if !query.force {
        let changed = patch::fieldset::compare(&current, &next, resource.kind).changed;
        let wanted = changed.intersection(&fields);
        for other in managed.iter().filter(|one| !own(one)) {
            check_conflict(other, &wanted)?;
        }
    }
    let before = managed.iter().find(own);
    let owned = before.map(|before| FieldSet::parse(&field::part(before, &["fieldsV1"])));
    remove_fields(
        &mut next,
        &owned.clone().unwrap_or_default().difference(&fields),
    );
    // The time of an entry moves only when something else does.
    let same = owned.as_ref() == Some(&fields);
    let mut entries = managed.clone();
    if !same {
        entries.retain(|one| !own(&one));
        entries.push(entry);
    }
    field::set(&mut next, &["metadata", "managedFields"], entries);
    let next = typed(resource, next)?;
    store_changed(tx, target, &current, next)
}

/// Refuses to change what another manager set.
fn check_conflict(other: &Value, wanted: &FieldSet) -> Served<()> {
    let theirs = FieldSet::parse(&field::part(other, &["fieldsV1"]));
    let clash = theirs.intersection(wanted);
    if clash.is_empty() {
        return Ok(());
    }
    let manager = field::text(other, &["manager"]);
    let texts = clash.texts().join(", ");
    Err(Failure::new(
        409,
        "Conflict",
        format!("Apply failed with 1 conflict: conflict with \"{manager}\": {texts}"),
    ))
}

/// Removes plain fields; items of lists stay, which is what the charm's objects need.
fn remove_fields(object: &mut Value, fields: &FieldSet) {
    for (key, inner) in fields.children() {
        let Some(name) = key.strip_prefix("f:") else {
            continue;
        };
        if inner.is_member() && inner.children().next().is_none() {
            field::take(object, &[name]);
        } else if let Some(child) = object.get_mut(name) {
            remove_fields(child, inner);
        }
    }
}
