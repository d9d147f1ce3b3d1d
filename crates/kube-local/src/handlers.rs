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
use crate::gc;
use crate::json as field;
use crate::remove::{delete, delete_all};
use crate::request::{Call, Query, Shape, Target, target};
use crate::resource;
use crate::server::{Fault, Inner};
use crate::store::Tx;
use crate::watch::Watch;
use crate::write::{apply_patch, body, create, existing, update};

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
    let user = inner.tokens.user(Some(&header("authorization")));
    let (media, accept) = (header("content-type"), header("accept"));
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
    let attributes = field::part(&review, &["spec", "resourceAttributes"]);
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
