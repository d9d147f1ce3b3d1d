//! Writes: created, replaced and patched objects, and server-side apply.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::failure::{Cause, Failure, Served};
use crate::json as field;
use crate::managed::Writer;
use crate::patch::{self, PatchType};
use crate::request::{Call, Query, Target};
use crate::resource::{self, Resource, Trait};
use crate::store::Tx;
use crate::{defaults, managed, node_ports, validate};

/// Where an object says who manages its fields.
const MANAGED: [&str; 2] = ["metadata", "managedFields"];

/// A request to write.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) target: &'a Target,
    pub(crate) query: &'a Query,
    pub(crate) call: &'a Call,
    /// A label, and its value, for what is written.
    pub(crate) stamp: Option<&'a (String, String)>,
}

impl Asked<'_> {
    pub(crate) fn writer(&self) -> Writer<'_> {
        let agent = self.call.agent.split('/').next().unwrap_or_default();
        let named = self.query.manager.as_str();
        Writer {
            resource: self.target.resource,
            manager: if named.is_empty() { agent } else { named },
            subresource: &self.target.subresource,
        }
    }

    fn stamp(&self, object: &mut Value) {
        if let Some((label, value)) = self.stamp {
            field::set(object, &["metadata", "labels", label], value.clone());
        }
    }
}

pub(crate) fn body(call: &Call) -> Served<Value> {
    let bad = |error: &dyn std::fmt::Display| {
        Failure::bad_request(format!("the object provided is unrecognized: {error}"))
    };
    if call.media.contains("yaml") {
        return serde_yaml::from_slice(&call.body).map_err(|error| bad(&error));
    }
    serde_json::from_slice(&call.body).map_err(|error| bad(&error))
}

pub(crate) fn typed(resource: &'static Resource, mut object: Value) -> Served<Value> {
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

pub(crate) fn create(tx: &mut Tx<'_>, asked: &Asked<'_>, object: Value) -> Served<(u16, Value)> {
    let target = asked.target;
    let resource = target.resource;
    let mut object = typed(resource, object)?;
    check_namespace(tx, target)?;
    defaults::metadata(resource, target.place(), &mut object);
    defaults::of_version(resource, &mut object);
    if asked.query.manager.is_empty() || field::list(&object, &MANAGED).is_empty() {
        managed::update(None, &mut object, &asked.writer());
    }
    asked.stamp(&mut object);
    defaults::check_name(resource, &object)?;
    validate::check(resource, None, &object)?;
    let name = field::text(&object, &["metadata", "name"]).to_owned();
    if tx.get(resource, target.place(), &name).is_some() {
        return Err(Failure::exists(resource, &name));
    }
    defaults::admit(tx, resource, &mut object)?;
    Ok((201, (*tx.put(resource, object)).clone()))
}

/// A namespace that holds objects must be there; that of the cluster itself always is.
fn check_namespace(tx: &Tx<'_>, target: &Target) -> Served<()> {
    let namespace = target.place();
    let Some(kind) = resource::by_plural("namespaces").filter(|_| target.resource.namespaced)
    else {
        return Ok(());
    };
    if namespace == "default" || tx.get(kind, "", namespace).is_some() {
        return Ok(());
    }
    Err(Failure::not_found(kind, namespace))
}

pub(crate) fn update(tx: &mut Tx<'_>, asked: &Asked<'_>, object: Value) -> Served<(u16, Value)> {
    let target = asked.target;
    let resource = target.resource;
    let object = typed(resource, object)?;
    check_path(target, &object)?;
    let current = match existing(tx, target) {
        Err(_) if resource.is(Trait::CreateOnUpdate) => return create(tx, asked, object),
        found => found?,
    };
    let version = field::text(&object, &["metadata", "resourceVersion"]);
    if version.is_empty() && resource.is(Trait::ConditionalUpdate) {
        let detail = "must be specified for an update";
        let cause = Cause::invalid("metadata.resourceVersion", &json!(0), detail);
        // Said of the resource here, not of the kind.
        let (said, plural) = (resource.qualified(), resource.plural);
        let group = resource.group;
        return Err(Failure::invalid_kind(
            &said,
            plural,
            group,
            &target.name,
            &[cause],
        ));
    }
    store_changed(tx, asked, &current, object, false)
}

/// Refuses an object that is called otherwise than the path says.
fn check_path(target: &Target, object: &Value) -> Served<()> {
    let name = field::text(object, &["metadata", "name"]);
    if name == target.name || name.is_empty() {
        return Ok(());
    }
    Err(Failure::bad_request(format!(
        "the name of the object ({name}) does not match the name on the URL ({})",
        target.name
    )))
}

/// Stores what an update or a patch made of an object, unless it is as it was.
fn store_changed(
    tx: &mut Tx<'_>,
    asked: &Asked<'_>,
    current: &Value,
    mut object: Value,
    applied: bool,
) -> Served<(u16, Value)> {
    let target = asked.target;
    let resource = target.resource;
    let version = field::text(&object, &["metadata", "resourceVersion"]);
    if !version.is_empty() && version != field::text(current, &["metadata", "resourceVersion"]) {
        return Err(Failure::stale(resource, &target.name));
    }
    let uid = field::text(&object, &["metadata", "uid"]);
    let live = field::text(current, &["metadata", "uid"]);
    if !uid.is_empty() && uid != live {
        let why =
            format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {live}");
        return Err(Failure::conflict(resource, &target.name, &why));
    }
    keep_decided(target, current, &mut object);
    defaults::of_version(resource, &mut object);
    if !applied {
        managed::update(Some(current), &mut object, &asked.writer());
    }
    asked.stamp(&mut object);
    let service = resource.plural == "services";
    if service {
        node_ports::drop_unwanted(current, &mut object);
    }
    validate::check(resource, Some(current), &object)?;
    if service {
        node_ports::give(tx, resource, Some(current), &mut object)?;
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
        tx.remove(resource, target.place(), &target.name);
        return Ok((200, object));
    }
    Ok((200, (*tx.put(resource, object)).clone()))
}

/// What a writer can't change stays as the server has decided it.
fn keep_decided(target: &Target, current: &Value, object: &mut Value) {
    for key in [
        "uid",
        "creationTimestamp",
        "name",
        "namespace",
        "generation",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "resourceVersion",
    ] {
        field::carry(current, object, &["metadata", key]);
    }
    if target.subresource == "status" {
        let mut next = current.clone();
        field::carry(object, &mut next, &["status"]);
        for key in ["labels", "annotations"] {
            field::carry(object, &mut next, &["metadata", key]);
        }
        *object = next;
    } else if target.resource.has_status() {
        field::carry(current, object, &["status"]);
    }
    if target.resource.plural == "services" {
        for key in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            if field::get(object, &["spec", key]).is_none() {
                field::carry(current, object, &["spec", key]);
            }
        }
    }
}

pub(crate) fn apply_patch(tx: &mut Tx<'_>, asked: &Asked<'_>) -> Served<(u16, Value)> {
    let (target, call) = (asked.target, asked.call);
    let kind = PatchType::from_media_type(&call.media)?;
    let resource = target.resource;
    let current = existing(tx, target);
    if kind == PatchType::Apply {
        return server_side_apply(tx, asked, current.ok());
    }
    let current = current?;
    let patch = patch::read(kind, &call.body)?;
    let changed = match kind {
        PatchType::Json => patch::json((*current).clone(), patch)?,
        PatchType::Merge => patch::merge((*current).clone(), &patch),
        _ => patch::strategic((*current).clone(), patch, resource.kind)?,
    };
    let shown = changed.to_string();
    let changed = typed(resource, changed).map_err(|failure| {
        let cause = Cause::invalid("patch", &Value::String(shown), &failure.message);
        Failure::invalid_kind("", "", "", "", &[cause])
    })?;
    check_path(target, &changed)?;
    store_changed(tx, asked, &current, changed, false)
}

/// Server-side apply: the applied fields win, those that the same manager applied before and left
/// out now go. Without `force`, a field that another manager set to another value conflicts.
fn server_side_apply(
    tx: &mut Tx<'_>,
    asked: &Asked<'_>,
    current: Option<Arc<Value>>,
) -> Served<(u16, Value)> {
    let (target, query) = (asked.target, asked.query);
    let mut applied: Value = serde_yaml::from_slice(&asked.call.body)
        .map_err(|error| Failure::bad_request(format!("error decoding YAML: {error}")))?;
    if query.manager.is_empty() {
        let cause = Cause::required("fieldManager", "is required for apply patch");
        let (kind, group) = ("PatchOptions", "meta.k8s.io");
        let said = format!("{kind}.{group}");
        return Err(Failure::invalid_kind(&said, kind, group, "", &[cause]));
    }
    check_path(target, &applied)?;
    field::set(&mut applied, &["metadata", "name"], target.name.clone());
    field::take(&mut applied, &MANAGED);
    let next = managed::apply(current.as_deref(), &applied, query.force, &asked.writer())?;
    match current {
        None => create(tx, asked, next),
        Some(current) => {
            let next = typed(target.resource, next)?;
            store_changed(tx, asked, &current, next, true)
        }
    }
}
