//! What the server fills in: the defaults that an object's version has, and what it decides itself
//! when an object is created.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::failure::{Cause, Failure, Served};
use crate::json as field;
use crate::node_ports;
use crate::resource::{Resource, Trait};
use crate::store::Tx;

/// First address of the network of Services; `.1` is the API itself.
const SERVICES: Ipv4Addr = Ipv4Addr::new(10, 152, 183, 0);

pub(crate) fn now() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

/// Metadata of a new object.
pub(crate) fn metadata(resource: &'static Resource, namespace: &str, object: &mut Value) {
    let prefix = field::text(object, &["metadata", "generateName"]).to_owned();
    if field::text(object, &["metadata", "name"]).is_empty() && !prefix.is_empty() {
        let random = uuid::Uuid::new_v4().simple().to_string();
        let tail = random.get(..5).unwrap_or_default();
        field::set(object, &["metadata", "name"], format!("{prefix}{tail}"));
    }
    if resource.namespaced {
        field::set(object, &["metadata", "namespace"], namespace);
    }
    let uid = uuid::Uuid::new_v4().to_string();
    field::set(object, &["metadata", "uid"], uid);
    field::set(object, &["metadata", "creationTimestamp"], now());
    if resource.is(Trait::Generation) {
        field::set(object, &["metadata", "generation"], 1);
    }
}

/// The defaults of an object's fields, as its version of the API has them; lists and maps of
/// nothing are left out.
pub(crate) fn of_version(resource: &Resource, object: &mut Value) {
    for path in [
        &["metadata", "labels"][..],
        &["metadata", "annotations"],
        &["metadata", "finalizers"],
        &["metadata", "ownerReferences"],
        &["data"],
        &["subsets"],
    ] {
        if field::get(object, path).is_some_and(field::is_empty) {
            field::take(object, path);
        }
    }
    match resource.plural {
        "services" => {
            field::default(object, &["spec", "sessionAffinity"], "None");
            field::default(object, &["spec", "type"], "ClusterIP");
            field::default(object, &["spec", "internalTrafficPolicy"], "Cluster");
            if node_ports::wanted(object) {
                field::default(object, &["spec", "externalTrafficPolicy"], "Cluster");
            }
            for port in field::list_mut(object, &["spec", "ports"]) {
                field::default(port, &["protocol"], "TCP");
                let number = field::part(port, &["port"]);
                if port
                    .get("targetPort")
                    .is_none_or(|target| *target == json!(0))
                {
                    field::set(port, &["targetPort"], number);
                }
            }
        }
        "endpoints" => {
            for subset in field::list_mut(object, &["subsets"]) {
                for port in field::list_mut(subset, &["ports"]) {
                    field::default(port, &["protocol"], "TCP");
                }
            }
        }
        "namespaces" => {
            let name = field::part(object, &["metadata", "name"]);
            let label = ["metadata", "labels", "kubernetes.io/metadata.name"];
            field::set(object, &label, name);
        }
        "pods" => {
            for containers in ["containers", "initContainers"] {
                for container in field::list_mut(object, &["spec", containers]) {
                    requests(container);
                }
            }
            field::default(object, &["spec", "enableServiceLinks"], true);
            for condition in field::list_mut(object, &["status", "conditions"]) {
                // Their times are written even when they are none.
                for key in ["lastProbeTime", "lastTransitionTime"] {
                    field::object(condition).entry(key).or_insert(Value::Null);
                }
            }
            pod_spec(object, &["spec"]);
        }
        "statefulsets" => stateful_set(object),
        "nodes" => {
            quantities(object, &["status", "allocatable"]);
            quantities(object, &["status", "capacity"]);
        }
        "secrets" => secret(object),
        "events" => {
            field::default(object, &["reportingComponent"], "");
            field::default(object, &["reportingInstance"], "");
            field::default(object, &["source"], json!({}));
        }
        "persistentvolumeclaims" => {
            field::default(object, &["spec", "volumeMode"], "Filesystem");
        }
        _ => {}
    }
}

/// Texts go with the data, encoded.
fn secret(object: &mut Value) {
    field::default(object, &["type"], "Opaque");
    let texts = field::take(object, &["stringData"]).unwrap_or_default();
    for (key, text) in texts.as_object().into_iter().flatten() {
        let bytes = text.as_str().unwrap_or_default().as_bytes().to_vec();
        let encoded = serde_json::to_value(k8s_openapi::ByteString(bytes));
        field::set(object, &["data", key], encoded.unwrap_or_default());
    }
}

/// Quantities are written in the largest unit that keeps them whole.
fn quantities(object: &mut Value, at: &[&str]) {
    let names: Vec<String> = field::part(object, at)
        .as_object()
        .map(|map| map.keys().cloned().collect())
        .unwrap_or_default();
    for name in names {
        let path = [at, &[name.as_str()]].concat();
        let shown = quantity(field::text(object, &path));
        field::set(object, &path, shown);
    }
}

fn quantity(text: &str) -> String {
    for (units, step) in [
        (&["", "Ki", "Mi", "Gi", "Ti"][..], 1024),
        (&["m", "", "k", "M", "G"][..], 1000),
    ] {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = text.get(digits.len()..).unwrap_or_default();
        let place = units.iter().position(|known| *known == unit);
        let (Some(mut place), Ok(mut number)) = (place, digits.parse::<u64>()) else {
            continue;
        };
        if unit.is_empty() && step == 1024 {
            // A bare number is decimal.
            continue;
        }
        while number > 0 && number.is_multiple_of(step) && place + 1 < units.len() {
            number /= step;
            place += 1;
        }
        let unit = units.get(place).unwrap_or(&"");
        return format!("{number}{unit}");
    }
    text.to_owned()
}

fn stateful_set(object: &mut Value) {
    field::default(object, &["spec", "podManagementPolicy"], "OrderedReady");
    field::default(object, &["spec", "replicas"], 1);
    field::default(object, &["spec", "revisionHistoryLimit"], 10);
    let strategy = ["spec", "updateStrategy", "type"];
    field::default(object, &strategy, "RollingUpdate");
    if field::text(object, &strategy) == "RollingUpdate" {
        let partition = ["spec", "updateStrategy", "rollingUpdate", "partition"];
        field::default(object, &partition, 0);
    }
    for key in ["whenDeleted", "whenScaled"] {
        let path = ["spec", "persistentVolumeClaimRetentionPolicy", key];
        field::default(object, &path, "Retain");
    }
    pod_spec(object, &["spec", "template", "spec"]);
}

/// A container that has limits asks for as much.
fn requests(container: &mut Value) {
    quantities(container, &["resources", "limits"]);
    quantities(container, &["resources", "requests"]);
    let limits = field::part(container, &["resources", "limits"]);
    for (name, limit) in limits.as_object().into_iter().flatten() {
        field::default(container, &["resources", "requests", name], limit.clone());
    }
}

fn pod_spec(object: &mut Value, at: &[&str]) {
    let path = |key: &'static str| [at, &[key]].concat();
    field::default(object, &path("restartPolicy"), "Always");
    field::default(object, &path("dnsPolicy"), "ClusterFirst");
    field::default(object, &path("schedulerName"), "default-scheduler");
    field::default(object, &path("securityContext"), json!({}));
    field::default(object, &path("terminationGracePeriodSeconds"), 30);
    let account = field::text(object, &path("serviceAccountName")).to_owned();
    if !account.is_empty() {
        field::set(object, &path("serviceAccount"), account);
    }
    for containers in ["containers", "initContainers"] {
        for container in field::list_mut(object, &path(containers)) {
            let image = field::text(container, &["image"]);
            let tag = image
                .rsplit('/')
                .next()
                .and_then(|last| last.split_once(':'));
            let policy = match tag {
                None | Some((_, "latest")) if !image.contains('@') => "Always",
                _ => "IfNotPresent",
            };
            field::default(container, &["imagePullPolicy"], policy);
            let log = "/dev/termination-log";
            field::default(container, &["terminationMessagePath"], log);
            field::default(container, &["terminationMessagePolicy"], "File");
            field::default(container, &["resources"], json!({}));
            let limits = ["resources", "limits"];
            if field::get(container, &limits).is_some_and(field::is_empty) {
                field::take(container, &limits);
            }
            for port in field::list_mut(container, &["ports"]) {
                field::default(port, &["protocol"], "TCP");
            }
        }
    }
}

/// What the server decides of a new object; nobody manages it.
pub(crate) fn admit(tx: &Tx<'_>, resource: &'static Resource, object: &mut Value) -> Served<()> {
    match resource.plural {
        "services" => service(tx, resource, object)?,
        "pods" => pod(object),
        "namespaces" => {
            field::set(object, &["spec", "finalizers"], json!(["kubernetes"]));
            field::set(object, &["status"], json!({"phase": "Active"}));
        }
        "statefulsets" => {
            let status = json!({"availableReplicas": 0, "replicas": 0});
            field::set(object, &["status"], status);
        }
        "nodes" => node(object),
        "persistentvolumeclaims" => {
            field::set(object, &["status"], json!({"phase": "Pending"}));
            let protection = json!(["kubernetes.io/pvc-protection"]);
            field::default(object, &["metadata", "finalizers"], protection);
        }
        _ => {}
    }
    Ok(())
}

fn pod(object: &mut Value) {
    field::default(object, &["spec", "priority"], 0);
    let preemption = ["spec", "preemptionPolicy"];
    field::default(object, &preemption, "PreemptLowerPriority");
    let mut tolerations = field::list(object, &["spec", "tolerations"]).to_vec();
    for condition in ["not-ready", "unreachable"] {
        tolerations.push(json!({
            "key": format!("node.kubernetes.io/{condition}"), "operator": "Exists",
            "effect": "NoExecute", "tolerationSeconds": 300,
        }));
    }
    field::set(object, &["spec", "tolerations"], tolerations);
    let quality = quality(object);
    let status = json!({"phase": "Pending", "qosClass": quality});
    field::set(object, &["status"], status);
}

fn quality(pod: &Value) -> &'static str {
    let containers = field::list(pod, &["spec", "containers"]);
    let resources = |container: &Value, key| field::part(container, &["resources", key]);
    let nothing = |container: &Value| {
        ["limits", "requests"]
            .iter()
            .all(|key| field::is_empty(&resources(container, key)))
    };
    let full = |container: &Value| {
        let limits = resources(container, "limits");
        ["cpu", "memory"]
            .iter()
            .all(|key| limits.get(key).is_some())
            && resources(container, "requests") == limits
    };
    if containers.iter().all(nothing) {
        "BestEffort"
    } else if containers.iter().all(full) {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

fn node(object: &mut Value) {
    let taint = json!({"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"});
    field::default(object, &["spec", "taints"], json!([taint]));
    let port = ["status", "daemonEndpoints", "kubeletEndpoint", "Port"];
    field::default(object, &port, 0);
    for key in [
        "architecture",
        "bootID",
        "containerRuntimeVersion",
        "kernelVersion",
        "kubeProxyVersion",
        "kubeletVersion",
        "machineID",
        "operatingSystem",
        "osImage",
        "systemUUID",
    ] {
        field::default(object, &["status", "nodeInfo", key], "");
    }
}

fn service(tx: &Tx<'_>, resource: &'static Resource, object: &mut Value) -> Served<()> {
    let spec = |key| ["spec", key];
    let free = |object: &Value| field::text(object, &["spec", "clusterIP"]).is_empty();
    if free(object) {
        let taken: Vec<String> = tx
            .list(resource, None)
            .map(|service| field::text(service, &["spec", "clusterIP"]).to_owned())
            .collect();
        let [a, b, c, _] = SERVICES.octets();
        let found = (20..=250_u8)
            .map(|last| Ipv4Addr::new(a, b, c, last).to_string())
            .find(|address| !taken.contains(address));
        let found = found
            .ok_or_else(|| Failure::internal("failed to allocate a serviceIP: range is full"))?;
        field::set(object, &spec("clusterIP"), found);
    }
    let address = field::text(object, &spec("clusterIP")).to_owned();
    check_address(tx, resource, object, &address)?;
    let bare = address == "None" && field::is_empty(&field::part(object, &spec("selector")));
    field::set(object, &spec("clusterIPs"), json!([address]));
    let (families, policy) = if bare {
        (json!(["IPv4", "IPv6"]), "RequireDualStack")
    } else {
        (json!(["IPv4"]), "SingleStack")
    };
    field::default(object, &spec("ipFamilies"), families);
    field::default(object, &spec("ipFamilyPolicy"), policy);
    field::set(object, &["status"], json!({"loadBalancer": {}}));
    node_ports::give(tx, resource, None, object)
}

/// An address must be of the network of Services, and free.
fn check_address(
    tx: &Tx<'_>,
    resource: &'static Resource,
    object: &Value,
    address: &str,
) -> Served<()> {
    if address == "None" {
        return Ok(());
    }
    let [a, b, c, _] = SERVICES.octets();
    let inside = address.starts_with(&format!("{a}.{b}.{c}."));
    let own = field::part(object, &["metadata", "uid"]);
    let mut others = tx.list(resource, None).filter(|one| {
        field::text(one, &["spec", "clusterIP"]) == address
            && field::part(one, &["metadata", "uid"]) != own
    });
    let why = if !inside {
        "the provided network does not match the current range"
    } else if address == format!("{a}.{b}.{c}.1") || others.next().is_some() {
        "provided IP is already allocated"
    } else {
        return Ok(());
    };
    let detail = format!("failed to allocate IP {address}: {why}");
    let cause = Cause::invalid("spec.clusterIPs", &json!([address]), &detail);
    let name = field::text(object, &["metadata", "name"]);
    Err(Failure::invalid(resource, name, &[cause]))
}

/// An object must have a name that its kind can have.
pub(crate) fn check_name(resource: &Resource, object: &Value) -> Served<()> {
    let name = field::text(object, &["metadata", "name"]);
    if name.is_empty() {
        let cause = Cause::required("metadata.name", "name or generateName is required");
        return Err(Failure::invalid(resource, "", &[cause]));
    }
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    // RBAC names are paths, nearly anything goes.
    let loose = resource.group.starts_with("rbac.");
    let plain =
        name.chars().all(good) && !name.starts_with(['-', '.']) && !name.ends_with(['-', '.']);
    let (fits, detail) = if resource.plural == "services" {
        let fits =
            plain && !name.contains('.') && name.starts_with(|c: char| c.is_ascii_lowercase());
        (
            fits && name.len() <= 63,
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
        )
    } else {
        (
            name.len() <= 253 && (loose || plain),
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        )
    };
    if fits {
        return Ok(());
    }
    let cause = Cause::invalid("metadata.name", &json!(name), detail);
    Err(Failure::invalid(resource, name, &[cause]))
}
