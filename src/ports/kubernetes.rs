//! The Kubernetes API through `kube`, as the pod's service account.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::time::Duration;

use cluster_plan::names::{Member, Names};
use cluster_plan::ownership::{self, APP_LABEL, Foreign, Marks};
use cluster_plan::synchronous::SyncKey;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Endpoints, Node, Pod, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, ListParams, PartialObjectMeta, Patch, PatchParams,
    Preconditions,
};
use kube::{Api, Client, Config, ResourceExt};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{
    Access, Kubernetes, NodeSize, PortError, PortResult, REVISION_LABEL, Registered, RollingUpdate,
};

/// Longest time that one request may take.
const TIMEOUT: Duration = Duration::from_secs(4);
const NAME: &str = "the Kubernetes API";
/// Annotation in which Patroni keeps the names of its synchronous standbys.
const SYNC_STANDBY: &str = "sync_standby";
/// Annotation of the `StatefulSet` while its partition is the charm's own guard.
const GUARD: &str = "postgresql-k8s.charm/partition";

/// A client in the pod, made at its first use.
pub struct ClusterApi<'a> {
    runtime: &'a Runtime,
    pub(super) namespace: String,
    config: Option<Config>,
    client: OnceCell<Client>,
}

impl<'a> ClusterApi<'a> {
    /// A client for the objects of `namespace`.
    #[must_use]
    pub fn new(runtime: &'a Runtime, namespace: &str) -> Self {
        Self {
            runtime,
            namespace: namespace.to_owned(),
            config: None,
            client: OnceCell::new(),
        }
    }

    /// The same, not in a pod: at this server, by this account.
    #[must_use]
    pub fn at(runtime: &'a Runtime, namespace: &str, config: Config) -> Self {
        Self {
            config: Some(config),
            ..Self::new(runtime, namespace)
        }
    }

    /// Where the server is and who asks.
    pub(super) fn config(&self) -> PortResult<Config> {
        let unreachable = |source: super::Source| PortError::Unreachable(NAME, source);
        match &self.config {
            Some(config) => Ok(config.clone()),
            None => Config::incluster().map_err(|error| unreachable(error.into())),
        }
    }

    pub(super) fn client(&self) -> PortResult<Client> {
        if let Some(client) = self.client.get() {
            return Ok(client.clone());
        }
        let unreachable = |source: super::Source| PortError::Unreachable(NAME, source);
        let mut config = self.config()?;
        config.connect_timeout = Some(Duration::from_secs(1));
        config.read_timeout = Some(TIMEOUT);
        config.write_timeout = Some(TIMEOUT);
        let client = self
            .runtime
            .block_on(async { Client::try_from(config) })
            .map_err(|e| unreachable(e.into()))?;
        Ok(self.client.get_or_init(|| client).clone())
    }

    fn patch_stateful_set(&self, name: &str, patch: &Value) -> PortResult<()> {
        self.run(
            &format!("set the partition of StatefulSet {name}"),
            async |client| {
                Api::<StatefulSet>::namespaced(client, &self.namespace)
                    .patch(name, &PatchParams::default(), &Patch::Merge(patch))
                    .await
                    .map(drop)
            },
        )
    }

    pub(super) fn run<T, F>(&self, what: &str, work: F) -> PortResult<T>
    where
        F: AsyncFn(Client) -> kube::Result<T>,
    {
        let client = self.client()?;
        self.runtime.block_on(bounded(what, client, work))
    }
}

/// What comes of these requests, in time.
pub(super) async fn bounded<T, F>(what: &str, client: Client, work: F) -> PortResult<T>
where
    F: AsyncFn(Client) -> kube::Result<T>,
{
    // All requests here can be repeated. A lost packet must not become a status, so what could
    // not be reached is tried once more.
    let done = match tokio::time::timeout(TIMEOUT, work(client.clone())).await {
        Ok(Err(kube::Error::Service(_) | kube::Error::HyperError(_))) => {
            tokio::time::timeout(TIMEOUT, work(client)).await
        }
        first => first,
    };
    match done {
        Ok(answer) => answer.map_err(|error| classify(what, error)),
        Err(elapsed) => Err(PortError::Unreachable(NAME, elapsed.into())),
    }
}

fn partition(ordinal: u32) -> Value {
    json!({"updateStrategy": {
        "type": "RollingUpdate", "rollingUpdate": {"partition": ordinal},
    }})
}

fn classify(what: &str, error: kube::Error) -> PortError {
    match &error {
        kube::Error::Api(status) if status.code == 403 || status.code == 401 => {
            PortError::Forbidden(NAME, error.into())
        }
        kube::Error::HyperError(_) | kube::Error::Service(_) => {
            PortError::Unreachable(NAME, error.into())
        }
        _ => PortError::Failed(what.to_owned(), error.into()),
    }
}

/// Strings of labels and names for [`Kubernetes::adopt`]: the kinds that Patroni makes.
fn registration_kinds() -> [ApiResource; 2] {
    [
        ApiResource::erase::<Endpoints>(&()),
        ApiResource::erase::<Service>(&()),
    ]
}

/// Whose an object is, where it is not the application's.
#[must_use]
pub fn foreign(names: &Names, object: &str, metadata: &ObjectMeta) -> Option<Foreign> {
    let owners = metadata.owner_references.iter().flatten();
    let marks = Marks {
        labels: metadata.labels.clone().unwrap_or_default(),
        owners: owners
            .map(|owner| (owner.kind.clone(), owner.name.clone()))
            .collect(),
    };
    ownership::foreign(names, object, &marks)
}

/// Refuses to touch what is another's.
pub(super) fn own(names: &Names, object: &str, metadata: &ObjectMeta) -> PortResult<()> {
    let Some(foreign) = foreign(names, object, metadata) else {
        return Ok(());
    };
    let whose = foreign
        .whose
        .unwrap_or_else(|| "nobody that it tells of".into());
    Err(PortError::Foreign(
        object.to_owned(),
        format!("its labels and owners say: {whose}").into(),
    ))
}

/// The deletion of this object, and of none that has taken its name since.
fn just(metadata: &ObjectMeta) -> DeleteParams {
    DeleteParams::default().preconditions(Preconditions {
        uid: metadata.uid.clone(),
        resource_version: None,
    })
}

/// What came of a deletion; one that is gone already is fine.
fn gone<T>(deleted: kube::Result<T>) -> kube::Result<()> {
    match deleted {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        deleted => deleted.map(drop),
    }
}

/// The address of a node from outside, where it has one and may be read.
async fn external_address(client: Client, node: &str) -> kube::Result<Option<String>> {
    let node = match Api::<Node>::all(client).get_opt(node).await {
        Err(kube::Error::Api(status)) if status.code == 403 => None,
        found => found?,
    };
    let addresses = node.and_then(|node| node.status?.addresses);
    let mut external = addresses.into_iter().flatten();
    Ok(external
        .find(|address| address.type_ == "ExternalIP")
        .map(|address| address.address))
}

impl Kubernetes for ClusterApi<'_> {
    fn pod(&self, name: &str) -> PortResult<Option<Pod>> {
        self.run(&format!("get pod {name}"), async |client| {
            Api::<Pod>::namespaced(client, &self.namespace)
                .get_opt(name)
                .await
        })
    }

    fn label_pod(&self, name: &str, labels: &[(&str, &str)]) -> PortResult<()> {
        let labels: serde_json::Map<_, _> = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), json!(value)))
            .collect();
        let patch = json!({"metadata": {"labels": labels}});
        self.run(&format!("label pod {name}"), async |client| {
            Api::<Pod>::namespaced(client, &self.namespace)
                .patch_metadata(name, &PatchParams::default(), &Patch::Merge(&patch))
                .await
                .map(drop)
        })
    }

    fn service(&self, name: &str) -> PortResult<Option<Service>> {
        self.run(&format!("get Service {name}"), async |client| {
            Api::<Service>::namespaced(client, &self.namespace)
                .get_opt(name)
                .await
        })
    }

    fn apply_service(&self, service: &Service, names: &Names) -> PortResult<()> {
        let name = service.name_any();
        let mut service = service.clone();
        let mut params = PatchParams::apply(names.app());
        if let Some(found) = self.service(&name)? {
            own(names, &format!("Service {name}"), &found.metadata)?;
            service.metadata.uid = found.metadata.uid;
            params = params.force();
        }
        self.run(&format!("apply Service {name}"), async |client| {
            Api::<Service>::namespaced(client, &self.namespace)
                .patch(&name, &params, &Patch::Apply(&service))
                .await
                .map(drop)
        })
    }

    fn release_service(&self, name: &str, names: &Names) -> PortResult<()> {
        // Applied without any field, so this manager has none any more.
        let nothing = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}});
        let apply = PatchParams::apply(names.app());
        self.run(&format!("release Service {name}"), async |client| {
            let services = Api::<Service>::namespaced(client, &self.namespace);
            let left = services
                .patch(name, &apply, &Patch::Apply(&nothing))
                .await?;
            // Who changes one key of a selector counts as having set them all.
            let selector = left.spec.and_then(|spec| spec.selector).unwrap_or_default();
            if selector.get("cluster-name") != Some(&names.scope()) {
                return Ok(());
            }
            let patch = json!({"spec": {"selector": {"cluster-name": null, "role": null}}});
            let merge = PatchParams::default();
            services
                .patch(name, &merge, &Patch::Merge(&patch))
                .await
                .map(drop)
        })
    }

    fn delete_service(&self, name: &str, names: &Names) -> PortResult<()> {
        let Some(found) = self.service(name)? else {
            return Ok(());
        };
        own(names, &format!("Service {name}"), &found.metadata)?;
        self.run(&format!("delete Service {name}"), async |client| {
            let services = Api::<Service>::namespaced(client, &self.namespace);
            gone(services.delete(name, &just(&found.metadata)).await)
        })
    }

    fn hosts(&self, app: &str) -> PortResult<BTreeMap<String, String>> {
        self.run(
            &format!("look where the pods of {app} are"),
            async |client| {
                let selector = ListParams::default().labels(&format!("{APP_LABEL}={app}"));
                let pods = Api::<Pod>::namespaced(client.clone(), &self.namespace);
                let mut outside: BTreeMap<String, Option<String>> = BTreeMap::new();
                let mut hosts = BTreeMap::new();
                for pod in pods.list(&selector).await? {
                    let name = pod.name_any();
                    let near = pod.status.and_then(|status| status.host_ip);
                    let node = pod.spec.and_then(|spec| spec.node_name);
                    let (Some(near), Some(node)) = (near, node) else {
                        continue;
                    };
                    if pod.metadata.deletion_timestamp.is_some() {
                        continue;
                    }
                    let far = if let Some(known) = outside.get(&node) {
                        known.clone()
                    } else {
                        let found = external_address(client.clone(), &node).await?;
                        outside.insert(node, found.clone());
                        found
                    };
                    hosts.insert(name, far.unwrap_or(near));
                }
                Ok(hosts)
            },
        )
    }

    fn endpoints(&self, name: &str) -> PortResult<Option<Registered>> {
        let found = self.run(&format!("get Endpoints {name}"), async |client| {
            Api::<Endpoints>::namespaced(client, &self.namespace)
                .get_metadata_opt(name)
                .await
        })?;
        Ok(found.map(|object| Registered {
            initialize: object.annotations().get("initialize").cloned(),
            created: object
                .creation_timestamp()
                .map_or_else(String::new, |time| time.0.to_string()),
        }))
    }

    fn sync_key(&self, name: &str) -> PortResult<Option<SyncKey>> {
        let found = self.run(&format!("get Endpoints {name}"), async |client| {
            Api::<Endpoints>::namespaced(client, &self.namespace)
                .get_metadata_opt(name)
                .await
        })?;
        let key = |object: PartialObjectMeta<Endpoints>| {
            object
                .labels()
                .get("application")
                .filter(|by| *by == "patroni")?;
            let standbys = object.annotations().get(SYNC_STANDBY);
            let standbys = standbys.map(String::as_str).unwrap_or_default().split(',');
            Some(SyncKey {
                leader: object.annotations().get("leader")?.clone(),
                members: standbys
                    .filter(|name| !name.is_empty())
                    .map(str::to_owned)
                    .collect(),
                version: object.resource_version()?,
            })
        };
        Ok(found.and_then(key))
    }

    fn write_sync_key(&self, name: &str, key: &SyncKey) -> PortResult<()> {
        let patch = json!({"metadata": {
            "resourceVersion": key.version,
            "annotations": {SYNC_STANDBY: key.standbys()},
        }});
        self.run(&format!("annotate Endpoints {name}"), async |client| {
            Api::<Endpoints>::namespaced(client, &self.namespace)
                .patch_metadata(name, &PatchParams::default(), &Patch::Merge(&patch))
                .await
                .map(drop)
        })
    }

    fn delete_registration(&self, name: &str, names: &Names) -> PortResult<()> {
        for kind in registration_kinds() {
            let object = format!("{} {name}", kind.kind);
            let api =
                |client| Api::<DynamicObject>::namespaced_with(client, &self.namespace, &kind);
            let found = self.run(&format!("get {object}"), async |client| {
                api(client).get_metadata_opt(name).await
            })?;
            let Some(found) = found else { continue };
            own(names, &object, &found.metadata)?;
            self.run(&format!("delete {object}"), async |client| {
                gone(api(client).delete(name, &just(&found.metadata)).await)
            })?;
        }
        Ok(())
    }

    fn stateful_set_created(&self, name: &str) -> PortResult<Option<String>> {
        let found = self.run(&format!("get StatefulSet {name}"), async |client| {
            Api::<StatefulSet>::namespaced(client, &self.namespace)
                .get_metadata_opt(name)
                .await
        })?;
        Ok(found
            .and_then(|object| object.creation_timestamp())
            .map(|time| time.0.to_string()))
    }

    fn rolling_update(&self, name: &str) -> PortResult<Option<RollingUpdate>> {
        self.run(
            &format!("look at the pods of StatefulSet {name}"),
            async |client| {
                let sets = Api::<StatefulSet>::namespaced(client.clone(), &self.namespace);
                let Some(set) = sets.get_opt(name).await? else {
                    return Ok(None);
                };
                let guarded = set.annotations().contains_key(GUARD);
                let partition = set
                    .spec
                    .and_then(|spec| spec.update_strategy?.rolling_update?.partition)
                    .and_then(|partition| u32::try_from(partition).ok());
                let Some(wanted) = set.status.and_then(|status| status.update_revision) else {
                    return Ok(None);
                };
                let selector = ListParams::default().labels(&format!("{APP_LABEL}={name}"));
                let pods = Api::<Pod>::namespaced(client, &self.namespace);
                let pods = pods.list_metadata(&selector).await?.into_iter();
                let revision = |labels: &BTreeMap<String, String>| {
                    labels.get(REVISION_LABEL).cloned().unwrap_or_default()
                };
                Ok(Some(RollingUpdate {
                    partition: partition.unwrap_or(0),
                    guarded,
                    wanted,
                    pods: pods
                        .map(|pod| (pod.name_any(), revision(pod.labels())))
                        .collect(),
                }))
            },
        )
    }

    fn set_partition(&self, name: &str, ordinal: u32) -> PortResult<()> {
        self.patch_stateful_set(name, &json!({"spec": partition(ordinal)}))
    }

    fn guard_partition(&self, name: &str, ordinal: u32, guard: bool) -> PortResult<()> {
        // In one patch, so that no one takes a guard for an operator's wish.
        let note = json!({"annotations": {GUARD: guard.then_some("guard")}});
        self.patch_stateful_set(name, &json!({"metadata": note, "spec": partition(ordinal)}))
    }

    fn node(&self, name: &str) -> PortResult<Option<NodeSize>> {
        let node = self.run(&format!("get node {name}"), async |client| {
            Api::<Node>::all(client).get_opt(name).await
        })?;
        let allocatable = node
            .and_then(|node| node.status)
            .and_then(|status| status.allocatable);
        Ok(allocatable.and_then(|resources| {
            Some(NodeSize {
                cpu: resources.get("cpu")?.0.clone(),
                memory: resources.get("memory")?.0.clone(),
            })
        }))
    }

    fn adopt(&self, pod: &str, selector: &str, except: &[String]) -> PortResult<usize> {
        let Some(pod) = self.pod(pod)? else {
            return Ok(0);
        };
        let owners = pod.metadata.owner_references.unwrap_or_default();
        self.run("give Patroni's objects an owner", async |client| {
            let mut adopted = 0;
            for kind in registration_kinds() {
                let api: Api<DynamicObject> =
                    Api::namespaced_with(client.clone(), &self.namespace, &kind);
                for object in api
                    .list_metadata(&ListParams::default().labels(selector))
                    .await?
                {
                    let name = object.name_any();
                    if except.contains(&name) || !object.owner_references().is_empty() {
                        continue;
                    }
                    let patch = json!({"metadata": {"ownerReferences": owners}});
                    api.patch_metadata(&name, &PatchParams::default(), &Patch::Merge(&patch))
                        .await?;
                    adopted += 1;
                }
            }
            Ok(adopted)
        })
    }

    fn patroni_access(&self, names: &Names, me: &Member) -> PortResult<Option<Access>> {
        self.make_access(names, me)
    }

    fn patroni_access_stands(&self, names: &Names, me: &Member) -> PortResult<bool> {
        self.access_stands(names, me)
    }
}
