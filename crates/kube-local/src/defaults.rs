//! What the server itself fills in or refuses when an object is created.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::failure::{Cause, Failure, Served};
use crate::json as field;
use crate::resource::{Resource, Trait};
use crate::store::Tx;

/// First address of the network of Services; `.1` is the API itself.
const SERVICES: Ipv4Addr = Ipv4Addr::new(10, 152, 183, 0);

pub(crate) fn now() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

/// Metadata of a new object, and what its kind needs.
pub(crate) fn on_create(
    tx: &Tx<'_>,
    resource: &'static Resource,
    namespace: &str,
    object: &mut Value,
) -> Served<()> {
    if field::text(object, &["metadata", "name"]).is_empty() {
        let prefix = field::text(object, &["metadata", "generateName"]).to_owned();
        if prefix.is_empty() {
            let cause = Cause::required("metadata.name", "name or generateName is required");
            return Err(Failure::invalid(resource, "", &[cause]));
        }
        let random = uuid::Uuid::new_v4().simple().to_string();
        let tail = random.get(..5).unwrap_or_default();
        field::set(object, &["metadata", "name"], format!("{prefix}{tail}"));
    }
    let name = field::text(object, &["metadata", "name"]).to_owned();
    check_name(resource, &name)?;
    if resource.namespaced {
        field::set(object, &["metadata", "namespace"], namespace);
    }
    field::set(
        object,
        &["metadata", "uid"],
        uuid::Uuid::new_v4().to_string(),
    );
    field::set(object, &["metadata", "creationTimestamp"], now());
    if resource.is(Trait::Generation) {
        field::set(object, &["metadata", "generation"], 1);
    }
    match resource.plural {
        "services" => service(tx, resource, &name, object)?,
        "pods" => field::default(object, &["status", "phase"], "Pending"),
        "namespaces" => field::set(object, &["status", "phase"], "Active"),
        _ => {}
    }
    Ok(())
}

fn check_name(resource: &Resource, name: &str) -> Served<()> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    // RBAC names are paths, nearly anything goes.
    let loose = resource.group.starts_with("rbac.");
    let fits = !name.is_empty()
        && name.len() <= 253
        && (loose
            || (name.chars().all(good)
                && !name.starts_with(['-', '.'])
                && !name.ends_with(['-', '.'])));
    if fits {
        return Ok(());
    }
    let detail = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
    let cause = Cause::invalid("metadata.name", &json!(name), detail);
    Err(Failure::invalid(resource, name, &[cause]))
}

fn service(tx: &Tx<'_>, resource: &'static Resource, name: &str, object: &mut Value) -> Served<()> {
    let headless = field::text(object, &["spec", "clusterIP"]) == "None";
    if field::list(object, &["spec", "ports"]).is_empty() && !headless {
        let cause = Cause::required("spec.ports", "");
        return Err(Failure::invalid(resource, name, &[cause]));
    }
    field::default(object, &["spec", "type"], "ClusterIP");
    field::default(object, &["spec", "sessionAffinity"], "None");
    if field::text(object, &["spec", "clusterIP"]).is_empty() {
        let taken: Vec<String> = tx
            .list(resource, None)
            .map(|service| field::text(service, &["spec", "clusterIP"]).to_owned())
            .collect();
        let [a, b, c, _] = SERVICES.octets();
        let free = (20..=250_u8)
            .map(|last| Ipv4Addr::new(a, b, c, last).to_string())
            .find(|address| !taken.contains(address));
        let free =
            free.ok_or_else(|| Failure::internal("failed to allocate a serviceIP: range is full"))?;
        field::set(object, &["spec", "clusterIP"], free);
    }
    let address = field::text(object, &["spec", "clusterIP"]).to_owned();
    field::set(object, &["spec", "clusterIPs"], json!([address]));
    port_defaults(object);
    Ok(())
}

/// `protocol` and `targetPort` of a Service's ports.
pub(crate) fn port_defaults(object: &mut Value) {
    let ports = object
        .pointer_mut("/spec/ports")
        .and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten() {
        field::default(port, &["protocol"], "TCP");
        if let Some(number) = port.get("port").cloned() {
            field::default(port, &["targetPort"], number);
        }
    }
}
