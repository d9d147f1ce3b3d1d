//! Ports of Services on the nodes: given by the server, each to one Service alone.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::failure::{Cause, Failure, Served};
use crate::json as field;
use crate::resource::Resource;
use crate::store::Tx;

/// The range of ports, as a real server has it by default.
const FIRST: i64 = 30_000;
const COUNT: i64 = 2_768;
/// So many at its beginning are left to those who ask for a number, while there are others.
const ASKED_FOR: i64 = 86;

/// Whether a Service has such ports.
pub(crate) fn wanted(service: &Value) -> bool {
    let kind = field::text(service, &["spec", "type"]);
    matches!(kind, "NodePort" | "LoadBalancer")
}

fn of(service: &Value) -> impl Iterator<Item = i64> {
    let ports = field::list(service, &["spec", "ports"]).iter();
    ports
        .filter_map(|port| field::number(port, &["nodePort"]))
        .filter(|number| *number > 0)
}

/// A Service that shall have none any more loses those that it had.
pub(crate) fn drop_unwanted(current: &Value, service: &mut Value) {
    if !wanted(current) || wanted(service) || !of(service).eq(of(current)) {
        return;
    }
    for port in field::list_mut(service, &["spec", "ports"]) {
        field::take(port, &["nodePort"]);
    }
    let policy = ["spec", "externalTrafficPolicy"];
    if field::get(current, &policy) == field::get(service, &policy) {
        field::take(service, &policy);
    }
}

/// Gives a Service the ports that it lacks: those that it had before under the same names, else
/// free ones.
pub(crate) fn give(
    tx: &Tx<'_>,
    resource: &'static Resource,
    current: Option<&Value>,
    service: &mut Value,
) -> Served<()> {
    if !wanted(service) {
        return Ok(());
    }
    let uid = field::part(service, &["metadata", "uid"]);
    let mut taken: BTreeSet<i64> = tx
        .list(resource, None)
        .filter(|other| field::part(other, &["metadata", "uid"]) != uid)
        .flat_map(|other| of(other).collect::<Vec<_>>())
        .collect();
    check(&taken, resource, service)?;
    let own: BTreeSet<i64> = of(service).collect();
    taken.extend(&own);
    let before = current.map(|current| field::part(current, &["spec", "ports"]));
    let before = before.unwrap_or_default();
    let name = |port: &Value| field::text(port, &["name"]).to_owned();
    // Not the same ones each time, so that nobody counts on a number.
    let seed = u64::from(uuid::Uuid::new_v4().as_fields().0);
    let many = COUNT - ASKED_FOR;
    let start = i64::try_from(seed).unwrap_or(0) % many;
    for port in field::list_mut(service, &["spec", "ports"]) {
        if field::number(port, &["nodePort"]).is_some_and(|number| number > 0) {
            continue;
        }
        let had = before.as_array().into_iter().flatten();
        let had = had
            .filter(|old| name(old) == name(port))
            .find_map(|old| field::number(old, &["nodePort"]))
            .filter(|number| !taken.contains(number));
        let free = || {
            (0..many)
                .map(|step| ASKED_FOR + (start + step) % many)
                .chain(0..ASKED_FOR)
                .map(|place| FIRST + place)
                .find(|number| !taken.contains(number))
        };
        let number = had
            .or_else(free)
            .ok_or_else(|| Failure::internal("failed to allocate a nodePort: range is full"))?;
        taken.insert(number);
        field::set(port, &["nodePort"], number);
    }
    Ok(())
}

/// Refuses a port that is asked for and cannot be had.
fn check(taken: &BTreeSet<i64>, resource: &Resource, service: &Value) -> Served<()> {
    for (index, port) in field::list(service, &["spec", "ports"]).iter().enumerate() {
        let Some(number) = field::number(port, &["nodePort"]).filter(|number| *number > 0) else {
            continue;
        };
        let last = FIRST + COUNT - 1;
        let why = if !(FIRST..=last).contains(&number) {
            format!(
                "provided port is not in the valid range. The range of valid ports is {FIRST}-{last}"
            )
        } else if taken.contains(&number) {
            "provided port is already allocated".to_owned()
        } else {
            continue;
        };
        let at = format!("spec.ports[{index}].nodePort");
        let name = field::text(service, &["metadata", "name"]);
        let cause = Cause::invalid(at, &json!(number), &why);
        return Err(Failure::invalid(resource, name, &[cause]));
    }
    Ok(())
}
