//! Requests: from a path, a method and a body to what the store does and what is answered.

use std::convert::Infallible;
use std::sync::{Arc, PoisonError};

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use serde_json::{Value, json};

use crate::auth::{self, Attempt, User};
use crate::failure::{Failure, Served};
use crate::json as field;
use crate::patch::{self, PatchType, fieldset::FieldSet};
use crate::resource::{self, Resource};
use crate::selector::{field::FieldSelector, label::LabelSelector};
use crate::server::{Fault, Inner};
use crate::store::Tx;
use crate::watch::Watch;
use crate::{defaults, gc};

type Body = BoxBody<Bytes, Infallible>;

/// A request as far as it matters here.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) media: String,
    pub(crate) accept: String,
    pub(crate) body: Vec<u8>,
}

/// The query of a list or watch.
#[derive(Debug, Default)]
pub(crate) struct Query {
    labels: Option<LabelSelector>,
    fields: Option<FieldSelector>,
    pub(crate) version: Option<u64>,
    pub(crate) timeout: Option<u64>,
    watch: bool,
    force: bool,
    manager: String,
    grace: Option<i64>,
}

impl Query {
    fn parse(text: &str, resource: &Resource) -> Served<Self> {
        let mut query = Self::default();
        for (key, value) in url::form_urlencoded::parse(text.as_bytes()) {
            match key.as_ref() {
                "labelSelector" if !value.is_empty() => {
                    query.labels = Some(LabelSelector::parse(&value)?);
                }
                "fieldSelector" if !value.is_empty() => {
                    query.fields = Some(FieldSelector::parse(&value, resource)?);
                }
                "resourceVersion" if !value.is_empty() => {
                    let number = value.parse().map_err(|_| {
                        Failure::bad_request(format!("resourceVersion: Invalid value: \"{value}\""))
                    })?;
                    query.version = Some(number);
                }
                "timeoutSeconds" => query.timeout = value.parse().ok(),
                "watch" => query.watch = matches!(value.as_ref(), "true" | "True" | "1"),
                "force" => query.force = value == "true",
                "fieldManager" => query.manager = value.into_owned(),
                "gracePeriodSeconds" => query.grace = value.parse().ok(),
                _ => {}
            }
        }
        Ok(query)
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        let labels = field::get(object, &["metadata", "labels"]).and_then(Value::as_object);
        self.labels
            .as_ref()
            .is_none_or(|selector| selector.matches(labels))
            && self
                .fields
                .as_ref()
                .is_none_or(|selector| selector.matches(object))
    }
}

/// Whether the client wants whole objects or their metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Whole,
    Metadata,
}

impl Shape {
    fn of(accept: &str) -> Self {
        if accept.contains("as=PartialObjectMetadata") {
            Self::Metadata
        } else {
            Self::Whole
        }
    }

    pub(crate) fn apply(self, object: Value) -> Value {
        match self {
            Self::Whole => object,
            Self::Metadata => json!({
                "kind": "PartialObjectMetadata",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": object["metadata"],
            }),
        }
    }
}

/// What a path names.
#[derive(Debug)]
struct Target {
    resource: &'static Resource,
    namespace: Option<String>,
    name: String,
    subresource: String,
}

/// Serves a request of the network.
pub(crate) async fn serve(
    inner: Arc<Inner>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let header = |name: &str| {
        let value = request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let user = inner.tokens.user(Some(&header("authorization")));
    let (media, accept) = (header("content-type"), header("accept"));
    let fault = *inner.fault.lock().unwrap_or_else(PoisonError::into_inner);
    if matches!(user, Ok(User::Account(..)) | Err(_)) {
        match fault {
            Fault::None => {}
            Fault::Hang => std::future::pending::<()>().await,
            Fault::Delay(pause) => tokio::time::sleep(pause).await,
            Fault::Status(code) => {
                let failure = Failure::new(code, "ServiceUnavailable", "a fault on purpose");
                return Ok(respond(code, &failure.body()));
            }
        }
    }
    let path = request
        .uri()
        .path_and_query()
        .map(ToString::to_string)
        .unwrap_or_default();
    let method = request.method().to_string();
    let body = match request.into_body().collect().await {
        Ok(body) => body.to_bytes().to_vec(),
        Err(_) => {
            return Ok(respond(
                400,
                &Failure::bad_request("unreadable body").body(),
            ));
        }
    };
    let call = Call {
        method,
        path,
        media,
        accept,
        body,
    };
    let user = match user {
        Ok(user) => user,
        Err(failure) => return Ok(respond(failure.code, &failure.body())),
    };
    match watch(&inner, &user, &call) {
        Some(Ok(watch)) => {
            let body = BodyExt::boxed(StreamBody::new(Box::pin(watch.stream())));
            Ok(with_type(Response::new(body)))
        }
        Some(Err(failure)) => Ok(respond(failure.code, &failure.body())),
        None => {
            let (status, body) = answer(&inner, &user, &call);
            Ok(respond(status, &body))
        }
    }
}

fn respond(status: u16, body: &Value) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())).boxed());
    *response.status_mut() =
        hyper::StatusCode::from_u16(status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    with_type(response)
}

fn with_type(mut response: Response<Body>) -> Response<Body> {
    let json = hyper::header::HeaderValue::from_static("application/json");
    response
        .headers_mut()
        .insert(hyper::header::CONTENT_TYPE, json);
    response
}

/// The watch that a request asks for, if it does.
fn watch(inner: &Arc<Inner>, user: &User, call: &Call) -> Option<Served<Watch>> {
    let (path, text) = call.path.split_once('?').unwrap_or((&call.path, ""));
    if call.method != "GET" || !text.contains("watch=") {
        return None;
    }
    let made = (|| {
        let target = target(path)?;
        let query = Query::parse(text, target.resource)?;
        if !query.watch {
            return Ok(None);
        }
        inner
            .store
            .transact(|tx| permitted(tx, user, "watch", &target))?;
        let (resource, namespace) = (target.resource, target.namespace);
        let shape = Shape::of(&call.accept);
        Ok(Some(Watch {
            inner: inner.clone(),
            resource,
            namespace,
            query,
            shape,
        }))
    })();
    made.transpose()
}

/// Status and body of any other request.
pub(crate) fn answer(inner: &Arc<Inner>, user: &User, call: &Call) -> (u16, Value) {
    let (path, text) = call.path.split_once('?').unwrap_or((&call.path, ""));
    match path {
        "/healthz" | "/readyz" | "/livez" => return (200, json!("ok")),
        "/version" => {
            return (
                200,
                json!({"major": "1", "minor": "34", "gitVersion": "v1.34.1+juju-local"}),
            );
        }
        _ => {}
    }
    let result = target(path).and_then(|target| {
        let query = Query::parse(text, target.resource)?;
        object_request(inner, user, call, &target, &query)
    });
    match result {
        Ok((status, value)) => (status, Shape::of(&call.accept).apply_any(value)),
        Err(failure) => (failure.code, failure.body()),
    }
}

impl Shape {
    /// Lists are shaped item by item.
    fn apply_any(self, mut value: Value) -> Value {
        if self == Self::Whole || field::text(&value, &["kind"]) == "Status" {
            return value;
        }
        if let Some(items) = value.get_mut("items").and_then(Value::as_array_mut) {
            for item in items {
                *item = self.apply(item.take());
            }
            field::set(&mut value, &["kind"], "PartialObjectMetadataList");
            field::set(&mut value, &["apiVersion"], "meta.k8s.io/v1");
            return value;
        }
        self.apply(value)
    }
}

fn target(path: &str) -> Served<Target> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return Err(Failure::no_such_resource()),
    };
    let (namespace, rest) = match rest {
        ["namespaces", namespace, plural, rest @ ..] if *plural != "status" => {
            (Some((*namespace).to_owned()), [&[*plural], rest].concat())
        }
        _ => (None, rest.to_vec()),
    };
    let text = |at: usize| rest.get(at).map_or_else(String::new, ToString::to_string);
    let resource =
        resource::find(group, version, &text(0)).ok_or_else(Failure::no_such_resource)?;
    let namespace = namespace.filter(|_| resource.namespaced);
    Ok(Target {
        resource,
        namespace,
        name: text(1),
        subresource: text(2),
    })
}

fn permitted(tx: &Tx<'_>, user: &User, verb: &str, target: &Target) -> Served<()> {
    let attempt = Attempt {
        verb,
        resource: target.resource,
        subresource: &target.subresource,
        namespace: target.namespace.as_deref().unwrap_or_default(),
        name: &target.name,
    };
    auth::authorize(tx, user, &attempt)
}

fn object_request(
    inner: &Arc<Inner>,
    user: &User,
    call: &Call,
    target: &Target,
    query: &Query,
) -> Served<(u16, Value)> {
    let verb = match (call.method.as_str(), target.name.is_empty()) {
        ("GET", true) => "list",
        ("GET", false) => "get",
        ("POST", _) => "create",
        ("PUT", false) => "update",
        ("PATCH", false) => "patch",
        ("DELETE", true) => "deletecollection",
        ("DELETE", false) => "delete",
        _ => return Err(Failure::method_not_allowed()),
    };
    let done = inner.store.transact(|tx| {
        permitted(tx, user, verb, target)?;
        match verb {
            "list" => Ok((200, list(tx, target, query))),
            "get" => Ok((200, (*existing(tx, target)?).clone())),
            "create" if target.subresource == "token" => token(inner, tx, target, call),
            "create" if target.resource.review => review(tx, user, call),
            "create" => create(tx, target, body(call)?),
            "update" => update(tx, target, body(call)?),
            "patch" => apply_patch(tx, target, query, call),
            "deletecollection" => Ok((200, delete_all(tx, target, query))),
            _ => delete(tx, target, query, call),
        }
    });
    if verb.starts_with("delete") && done.is_ok() {
        inner.store.transact(gc::collect);
    }
    done
}

fn body(call: &Call) -> Served<Value> {
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

fn existing(tx: &Tx<'_>, target: &Target) -> Served<Arc<Value>> {
    let namespace = target.namespace.as_deref().unwrap_or_default();
    tx.get(target.resource, namespace, &target.name)
        .ok_or_else(|| Failure::not_found(target.resource, &target.name))
}

fn list(tx: &Tx<'_>, target: &Target, query: &Query) -> Value {
    let found = tx.list(target.resource, target.namespace.as_deref());
    let items: Vec<Value> = found
        .filter(|object| query.matches(object))
        .map(|object| (**object).clone())
        .collect();
    json!({
        "kind": format!("{}List", target.resource.kind),
        "apiVersion": target.resource.api_version(),
        "metadata": {"resourceVersion": tx.revision().to_string()},
        "items": items,
    })
}

fn create(tx: &mut Tx<'_>, target: &Target, object: Value) -> Served<(u16, Value)> {
    let mut object = typed(target.resource, object)?;
    let namespace = target.namespace.clone().unwrap_or_default();
    defaults::on_create(tx, target.resource, &namespace, &mut object)?;
    let name = field::text(&object, &["metadata", "name"]).to_owned();
    if tx.get(target.resource, &namespace, &name).is_some() {
        return Err(Failure::exists(target.resource, &name));
    }
    Ok((201, (*tx.put(target.resource, object)).clone()))
}

fn update(tx: &mut Tx<'_>, target: &Target, object: Value) -> Served<(u16, Value)> {
    let object = typed(target.resource, object)?;
    let current = match existing(tx, target) {
        Err(_) if target.resource.create_on_update => return create(tx, target, object),
        found => found?,
    };
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
    if resource.generation && object.get("spec") != current.get("spec") {
        let generation = current["metadata"]["generation"].as_i64().unwrap_or(1) + 1;
        field::set(&mut object, &["metadata", "generation"], generation);
    }
    let finished = !field::text(&object, &["metadata", "deletionTimestamp"]).is_empty()
        && field::list(&object, &["metadata", "finalizers"]).is_empty()
        && !field::list(current, &["metadata", "finalizers"]).is_empty();
    if finished {
        let namespace = target.namespace.as_deref().unwrap_or_default();
        tx.remove(resource, namespace, &target.name);
        return Ok((200, object));
    }
    Ok((200, (*tx.put(resource, object)).clone()))
}

fn apply_patch(
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
    let mut next = patch::strategic((*current).clone(), applied.clone(), resource.kind)?;
    let changed = patch::fieldset::compare(&current, &next, resource.kind).changed;
    if !query.force {
        for other in managed.iter().filter(|one| !own(one)) {
            let theirs = FieldSet::parse(&other["fieldsV1"]);
            let clash = theirs.intersection(&changed).intersection(&fields);
            if !clash.is_empty() {
                let manager = field::text(other, &["manager"]);
                let texts = clash.texts().join(", ");
                return Err(Failure::new(
                    409,
                    "Conflict",
                    format!("Apply failed with 1 conflict: conflict with \"{manager}\": {texts}"),
                ));
            }
        }
    }
    if let Some(before) = managed.iter().find(own) {
        let dropped = FieldSet::parse(&before["fieldsV1"]).difference(&fields);
        remove_fields(&mut next, &dropped);
    }
    // The time of an entry moves only when something else does.
    let same = managed
        .iter()
        .find(own)
        .is_some_and(|one| one["fieldsV1"] == entry["fieldsV1"]);
    let mut entries: Vec<Value> = managed
        .iter()
        .filter(|one| !own(one) || same)
        .cloned()
        .collect();
    if !same {
        entries.push(entry);
    }
    field::set(&mut next, &["metadata", "managedFields"], entries);
    let next = typed(resource, next)?;
    store_changed(tx, target, &current, next)
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

fn delete(tx: &mut Tx<'_>, target: &Target, query: &Query, call: &Call) -> Served<(u16, Value)> {
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
        .or_else(|| options["gracePeriodSeconds"].as_i64());
    let default = current["spec"]["terminationGracePeriodSeconds"]
        .as_i64()
        .unwrap_or(30);
    let grace = asked.unwrap_or(default);
    let running = target.resource.plural == "pods"
        && !field::text(&current, &["spec", "nodeName"]).is_empty()
        && grace > 0;
    let held = !field::list(&current, &["metadata", "finalizers"]).is_empty();
    let namespace = target.namespace.as_deref().unwrap_or_default();
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
    if target.resource.returns_deleted {
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

fn delete_all(tx: &mut Tx<'_>, target: &Target, query: &Query) -> Value {
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

fn token(inner: &Arc<Inner>, tx: &Tx<'_>, target: &Target, call: &Call) -> Served<(u16, Value)> {
    existing(tx, target)?;
    let mut request = body(call)?;
    let namespace = target.namespace.as_deref().unwrap_or_default();
    let token = inner.tokens.issue(namespace, &target.name);
    let expires = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24);
    let stamp = expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    field::set(&mut request, &["status", "token"], token);
    field::set(&mut request, &["status", "expirationTimestamp"], stamp);
    Ok((201, request))
}

fn review(tx: &Tx<'_>, user: &User, call: &Call) -> Served<(u16, Value)> {
    let mut review = body(call)?;
    let attributes = review["spec"]["resourceAttributes"].clone();
    let text = |key: &str| field::text(&attributes, &[key]).to_owned();
    let (verb, plural, sub) = (text("verb"), text("resource"), text("subresource"));
    let (namespace, name) = (text("namespace"), text("name"));
    let allowed = resource::by_plural(&plural).is_some_and(|resource| {
        let attempt = Attempt {
            verb: &verb,
            resource,
            subresource: &sub,
            namespace: &namespace,
            name: &name,
        };
        auth::allowed(tx, user, &attempt)
    });
    field::set(&mut review, &["status", "allowed"], allowed);
    Ok((201, review))
}
