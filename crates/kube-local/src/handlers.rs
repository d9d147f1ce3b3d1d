//! Requests: from a path, a method and a body to what the store does and what is answered.

use std::convert::Infallible;
use std::sync::{Arc, PoisonError};

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use serde_json::{Value, json};

use crate::auth::{self, Attempt, User};
use crate::discovery;
use crate::failure::{Failure, Served};
use crate::gc;
use crate::json as field;
use crate::managed;
use crate::remove::{delete, delete_all};
use crate::request::{Call, Query, Shape, Target, target};
use crate::resource;
use crate::server::{Fault, Inner};
use crate::store::Tx;
use crate::watch::Watch;
use crate::write::{Asked, apply_patch, body, create, existing, typed, update};

type Body = BoxBody<Bytes, Infallible>;

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
    let user = inner
        .tokens
        .user(&inner.store, Some(&header("authorization")));
    let (media, accept) = (header("content-type"), header("accept"));
    let agent = header("user-agent");
    let fault = *inner.fault.lock().unwrap_or_else(PoisonError::into_inner);
    if let Fault::Status(code) = fault
        && matches!(user, Ok(User::Account(..)) | Err(_))
    {
        let failure = Failure::new(code, "ServiceUnavailable", "a fault on purpose");
        return Ok(respond(code, &failure.body()));
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
        agent,
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
    let text = body
        .as_str()
        .map_or_else(|| body.to_string(), str::to_owned);
    let mut response = Response::new(Full::new(Bytes::from(text)).boxed());
    *response.status_mut() =
        hyper::StatusCode::from_u16(status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    if body.is_string() {
        return response;
    }
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
        path if !path.starts_with("/api") => return (404, json!("404 page not found\n")),
        _ => {}
    }
    if let (true, Some(document)) = (call.method == "GET", discovery::document(path)) {
        return (200, document);
    }
    let result = target(path).and_then(|target| {
        let query = Query::parse(text, target.resource)?;
        object_request(inner, user, call, &target, &query)
    });
    match result {
        Ok((status, value)) => Shape::of(&call.accept).apply_any(value).map_or_else(
            |failure| (failure.code, failure.body()),
            |shaped| (status, shaped),
        ),
        Err(failure) => (failure.code, failure.body()),
    }
}

fn permitted(tx: &Tx<'_>, user: &User, verb: &str, target: &Target) -> Served<()> {
    if verb == "create" && target.resource.plural.starts_with("selfsubject") {
        // Whoever is known may ask what they may do.
        return Ok(());
    }
    // A namespace counts as in itself.
    let of_namespace = target.resource.plural == "namespaces";
    let attempt = Attempt {
        verb,
        resource: target.resource,
        subresource: &target.subresource,
        namespace: if of_namespace {
            &target.name
        } else {
            target.place()
        },
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
        let stamp = stamp(inner, tx, user, target);
        let asked = Asked {
            target,
            query,
            call,
            stamp: stamp.as_ref(),
        };
        match verb {
            "list" => Ok((200, list(tx, target, query))),
            "get" => Ok((200, (*existing(tx, target)?).clone())),
            "create" if target.subresource == "token" => token(inner, tx, &asked),
            "create" if target.resource.review => review(tx, user, &asked),
            "create" => create(tx, &asked, body(call)?),
            "update" => update(tx, &asked, body(call)?),
            "patch" => apply_patch(tx, &asked),
            "deletecollection" => Ok((200, delete_all(tx, target, query))),
            _ => delete(tx, target, query, call),
        }
    });
    if verb.starts_with("delete") && done.is_ok() {
        inner.store.transact(gc::collect);
    }
    done
}

/// The label that what this user writes there gets, if any.
fn stamp(
    inner: &Arc<Inner>,
    tx: &Tx<'_>,
    user: &User,
    target: &Target,
) -> Option<(String, String)> {
    let (Some(stamp), User::Account(namespace, name)) = (&inner.stamp, user) else {
        return None;
    };
    let plural = target.resource.plural;
    if !target.subresource.is_empty() || stamp.except.iter().any(|one| one == plural) {
        return None;
    }
    let account = tx.get(resource::by_plural("serviceaccounts")?, namespace, name)?;
    let value = field::text(&account, &["metadata", "labels", &stamp.account_label]);
    (!value.is_empty()).then(|| (stamp.label.clone(), value.to_owned()))
}

/// An object in a list, which says itself of what kind its items are.
pub(crate) fn listed(object: &Value) -> Value {
    let mut object = object.clone();
    field::take(&mut object, &["kind"]);
    field::take(&mut object, &["apiVersion"]);
    object
}

/// The selected objects, page by page if the client wants pages.
fn list(tx: &Tx<'_>, target: &Target, query: &Query) -> Value {
    let place = |object: &Value| {
        let text = |key| field::text(object, &["metadata", key]).to_owned();
        (text("namespace"), text("name"))
    };
    let is_next = |object: &Value| {
        query
            .after
            .as_ref()
            .is_none_or(|after| place(object) > *after)
    };
    let mut found = tx
        .list(target.resource, target.namespace.as_deref())
        .filter(|object| is_next(object) && query.matches(object));
    let limit = query.limit.unwrap_or(usize::MAX);
    let items: Vec<Value> = found.by_ref().take(limit).map(|o| listed(o)).collect();
    let mut metadata = json!({"resourceVersion": tx.revision().to_string()});
    let left = found.count();
    if let Some(last) = items.last().filter(|_| left > 0) {
        let (namespace, name) = place(last);
        field::set(&mut metadata, &["continue"], format!("{namespace}/{name}"));
        if !query.selects() {
            field::set(&mut metadata, &["remainingItemCount"], left);
        }
    }
    json!({
        "kind": format!("{}List", target.resource.kind),
        "apiVersion": target.resource.api_version(),
        "metadata": metadata,
        "items": items,
    })
}

fn token(inner: &Arc<Inner>, tx: &Tx<'_>, asked: &Asked<'_>) -> Served<(u16, Value)> {
    let target = asked.target;
    let account = existing(tx, target)?;
    let mut request = body(asked.call)?;
    let uid = field::text(&account, &["metadata", "uid"]);
    let token = inner.tokens.issue(target.place(), &target.name, Some(uid));
    field::set(&mut request, &["apiVersion"], "authentication.k8s.io/v1");
    field::set(&mut request, &["kind"], "TokenRequest");
    field::set(&mut request, &["metadata"], json!({}));
    let (lasts, lasting) = (["spec", "expirationSeconds"], 3600);
    field::default(&mut request, &lasts, lasting);
    let seconds = field::number(&request, &lasts).unwrap_or(lasting);
    managed::update(None, &mut request, &asked.writer());
    // The managed fields are of the answer's own version.
    for entry in field::list_mut(&mut request, &["metadata", "managedFields"]) {
        field::set(entry, &["apiVersion"], "authentication.k8s.io/v1");
    }
    for key in ["name", "namespace", "uid"] {
        field::carry(&account, &mut request, &["metadata", key]);
    }
    let now = crate::defaults::now();
    field::set(&mut request, &["metadata", "creationTimestamp"], now);
    let audience = "https://kubernetes.default.svc.cluster.local";
    field::default(&mut request, &["spec", "audiences"], json!([audience]));
    let expires = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    let stamp = expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    field::set(&mut request, &["status", "token"], token);
    field::set(&mut request, &["status", "expirationTimestamp"], stamp);
    Ok((201, request))
}

fn review(tx: &Tx<'_>, user: &User, asked: &Asked<'_>) -> Served<(u16, Value)> {
    let mut review = typed(asked.target.resource, body(asked.call)?)?;
    field::set(&mut review, &["metadata"], json!({}));
    field::take(&mut review, &["status"]);
    managed::update(None, &mut review, &asked.writer());
    let attributes = field::part(&review, &["spec", "resourceAttributes"]);
    let text = |key: &str| field::text(&attributes, &[key]).to_owned();
    let (verb, plural, sub) = (text("verb"), text("resource"), text("subresource"));
    let (namespace, name) = (text("namespace"), text("name"));
    let of_whom = field::text(&review, &["spec", "user"]);
    let other = of_whom.strip_prefix("system:serviceaccount:");
    let user = match other.and_then(|account| account.split_once(':')) {
        Some((namespace, name)) => &User::Account(namespace.to_owned(), name.to_owned()),
        None => user,
    };
    let status = resource::by_plural(&plural).map_or_else(
        || json!({"allowed": *user == User::Admin}),
        |resource| {
            let attempt = Attempt {
                verb: &verb,
                resource,
                subresource: &sub,
                namespace: &namespace,
                name: &name,
            };
            match auth::grant(tx, user, &attempt) {
                Some(reason) => json!({"allowed": true, "reason": reason}),
                None => json!({"allowed": auth::allowed(tx, user, &attempt)}),
            }
        },
    );
    field::set(&mut review, &["status"], status);
    Ok((201, review))
}
