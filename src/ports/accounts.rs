//! The account in Kubernetes by which a pod's Patroni asks: it has the rights that Patroni uses, its
//! own pod's and no other's labels among them, and goes with the pod.

use cluster_plan::names::{Member, Names};
use cluster_plan::ownership::APP_LABEL;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, Service, ServiceAccount};
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::PostParams;
use kube::{Api, Client, Resource, ResourceExt};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use super::kubernetes::{ClusterApi, own};
use super::{Access, Kubernetes as _, PortError, PortResult};
use crate::layer::{KUBE_AUTHORITY, KUBE_CONTEXT};
use crate::services;

/// Seconds that a token is asked for: longer than any pod is there.
const WANTED: i64 = 10 * YEAR;
/// Seconds that it must last at least. Patroni reads its token once, when it starts, and without a
/// valid one it can neither keep the lead nor take it.
const NEEDED: i64 = YEAR;
const YEAR: i64 = 365 * 24 * 3600;

const RBAC: &str = "rbac.authorization.k8s.io";

/// What Patroni asks of the API, each right by its use (Patroni 3.0 to 4.1, `dcs/kubernetes.py`).
#[must_use]
pub fn patroni_rules(names: &Names, me: &Member) -> Vec<PolicyRule> {
    let rule = |resource: &str, verbs: &[&str], only: Vec<String>| PolicyRule {
        api_groups: Some(vec![String::new()]),
        resources: Some(vec![resource.to_owned()]),
        verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        resource_names: (!only.is_empty()).then_some(only),
        ..PolicyRule::default()
    };
    vec![
        // Who the members are, and where its own state has got to. A list can't be cut by name.
        rule("pods", &["list", "watch"], vec![]),
        rule("endpoints", &["create", "list", "watch"], vec![]),
        // Leader, configuration, synchronous standbys, switchovers.
        rule("endpoints", &["get", "patch"], names.registrations()),
        // What it tells of its own member.
        rule("pods", &["patch"], vec![me.to_string()]),
    ]
}

/// The pod as an owner.
fn owner(pod: &Pod) -> Option<OwnerReference> {
    pod.owner_ref(&())
}

impl ClusterApi<'_> {
    pub(super) fn make_access(&self, names: &Names, me: &Member) -> PortResult<Option<Access>> {
        let pod = self.pod(&me.to_string())?.unwrap_or_default();
        let (Some(uid), Some(owner)) = (pod.uid(), owner(&pod)) else {
            let why = "Kubernetes does not know it";
            return Err(PortError::Failed(format!("look at pod {me}"), why.into()));
        };
        self.keep_registration(names, pod.metadata.owner_references.clone())?;
        let name = names.account(me, &uid);
        let metadata = ObjectMeta {
            name: Some(name.clone()),
            namespace: Some(self.namespace.clone()),
            labels: Some([(APP_LABEL.to_owned(), names.app().to_owned())].into()),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        };
        let account = ServiceAccount {
            metadata: metadata.clone(),
            // Its token is asked for by name; nothing else is to be handed out for it.
            automount_service_account_token: Some(false),
            ..ServiceAccount::default()
        };
        self.ensure(names, "ServiceAccount", &account)?;
        let role = Role {
            metadata: metadata.clone(),
            rules: Some(patroni_rules(names, me)),
        };
        self.ensure(names, "Role", &role)?;
        let binding = RoleBinding {
            metadata,
            role_ref: RoleRef {
                api_group: RBAC.to_owned(),
                kind: "Role".to_owned(),
                name: name.clone(),
            },
            subjects: Some(vec![Subject {
                kind: "ServiceAccount".to_owned(),
                name: name.clone(),
                namespace: Some(self.namespace.clone()),
                ..Subject::default()
            }]),
        };
        self.ensure(names, "RoleBinding", &binding)?;
        let Some(token) = self.token(&name)? else {
            return Ok(None);
        };
        self.access(&token).map(Some)
    }

    pub(super) fn access_stands(&self, names: &Names, me: &Member) -> PortResult<bool> {
        let Some(uid) = self.pod(&me.to_string())?.and_then(|pod| pod.uid()) else {
            return Ok(true);
        };
        let name = names.account(me, &uid);
        self.run(&format!("look at account {name}"), async |client| {
            let namespace = &self.namespace;
            let accounts = Api::<ServiceAccount>::namespaced(client.clone(), namespace);
            let roles = Api::<Role>::namespaced(client.clone(), namespace);
            let bindings = Api::<RoleBinding>::namespaced(client, namespace);
            Ok(accounts.get_metadata_opt(&name).await?.is_some()
                && roles.get_metadata_opt(&name).await?.is_some()
                && bindings.get_metadata_opt(&name).await?.is_some())
        })
    }

    /// Makes an object unless it is there.
    fn ensure<K>(&self, names: &Names, kind: &str, object: &K) -> PortResult<()>
    where
        K: Resource<Scope = kube::core::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + Serialize
            + DeserializeOwned,
        K::DynamicType: Default,
    {
        let name = object.name_any();
        let api = |client: Client| Api::<K>::namespaced(client, &self.namespace);
        let there = self.run(&format!("make {kind} {name}"), async |client| {
            match api(client).create(&PostParams::default(), object).await {
                Err(kube::Error::Api(status)) if status.code == 409 => Ok(true),
                made => made.map(|_| false),
            }
        })?;
        if !there {
            return Ok(());
        }
        let found = self.run(&format!("get {kind} {name}"), async |client| {
            api(client).get(&name).await
        })?;
        own(names, &format!("{kind} {name}"), found.meta())
    }

    /// A token of this account; none where the API server limits its time.
    fn token(&self, account: &str) -> PortResult<Option<String>> {
        let request = TokenRequest {
            spec: TokenRequestSpec {
                expiration_seconds: Some(WANTED),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let what = format!("get a token of {account}");
        let answer: TokenRequest = self.run(&what, async |client| {
            let accounts = Api::<ServiceAccount>::namespaced(client, &self.namespace);
            let params = PostParams::default();
            accounts
                .create_subresource("token", account, &params, &request)
                .await
        })?;
        let Some(status) = answer.status else {
            return Err(PortError::Failed(what, "the answer has none".into()));
        };
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now = now.ok().and_then(|now| i64::try_from(now.as_secs()).ok());
        let ends = status.expiration_timestamp.0.as_second();
        // Clocks differ by less than a day.
        let lasts = now.is_some_and(|now| ends - now > NEEDED - 24 * 3600);
        if !lasts {
            tracing::warn!(
                "Patroni goes on with the pod's own Kubernetes account: the API server gives out no \
                 token that lasts a year (this one ends at {})",
                status.expiration_timestamp.0
            );
        }
        Ok(lasts.then_some(status.token))
    }

    /// As Patroni reads it.
    fn access(&self, token: &str) -> PortResult<Access> {
        let config = self.config()?;
        // In a pod it is a file beside the token.
        let authority = config.root_cert_file.unwrap_or_default();
        let authority = std::fs::read_to_string(authority).map_err(|error| {
            PortError::Failed(
                "read the authority of the Kubernetes API".into(),
                error.into(),
            )
        })?;
        let server = config.cluster_url.to_string();
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": KUBE_CONTEXT, "cluster": {
                "server": server.trim_end_matches('/'), "certificate-authority": KUBE_AUTHORITY,
            }}],
            "users": [{"name": KUBE_CONTEXT, "user": {"token": token}}],
            "contexts": [{"name": KUBE_CONTEXT, "context": {
                "cluster": KUBE_CONTEXT, "user": KUBE_CONTEXT, "namespace": self.namespace,
            }}],
            "current-context": KUBE_CONTEXT,
        });
        Ok(Access {
            kubeconfig: kubeconfig.to_string().into(),
            authority,
        })
    }

    /// The Service without which Kubernetes may remove the Endpoints of Patroni's configuration; to
    /// make Services is no right of Patroni's.
    fn keep_registration(
        &self,
        names: &Names,
        owners: Option<Vec<OwnerReference>>,
    ) -> PortResult<()> {
        let name = names.config();
        if !Names::names_service(&name) {
            return Ok(());
        }
        let service: Service = services::registration(names, owners);
        self.ensure(names, "Service", &service)
    }
}
