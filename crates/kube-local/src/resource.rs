//! The table of what the server serves: which kinds, under which paths, with which abilities.

use k8s_openapi::api::{
    apps::v1 as apps, authorization::v1 as authorization, coordination::v1 as coordination,
    core::v1 as core, discovery::v1 as discovery, policy::v1 as policy, rbac::v1 as rbac,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// Reads an object as its Go type would be: unknown fields vanish, wrong types are refused.
type Codec = fn(Value) -> Result<Value, serde_json::Error>;

/// One kind of object and how it is served.
#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) singular: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) short: &'static [&'static str],
    pub(crate) namespaced: bool,
    pub(crate) subresources: &'static [&'static str],
    /// PUT of a name that does not exist creates it.
    pub(crate) create_on_update: bool,
    /// PUT without a resourceVersion is accepted.
    pub(crate) unconditional_update: bool,
    /// `metadata.generation` counts changes of the spec.
    pub(crate) generation: bool,
    /// DELETE answers with the deleted object instead of a Status.
    pub(crate) returns_deleted: bool,
    /// Answers a question and stores nothing.
    pub(crate) review: bool,
    pub(crate) codec: Codec,
}

impl Resource {
    pub(crate) fn has_status(&self) -> bool {
        self.subresources.contains(&"status")
    }

    /// `statefulsets.apps`, or `pods` in the core group.
    pub(crate) fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_owned()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// `apps/v1`, or `v1` in the core group.
    pub(crate) fn api_version(&self) -> String {
        group_version(self.group, self.version)
    }

    pub(crate) fn verbs(&self) -> &'static [&'static str] {
        if self.review {
            &["create"]
        } else {
            &[
                "create",
                "delete",
                "deletecollection",
                "get",
                "list",
                "patch",
                "update",
                "watch",
            ]
        }
    }
}

impl PartialEq for Resource {
    fn eq(&self, other: &Self) -> bool {
        self.plural == other.plural
    }
}

pub(crate) fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    }
}

fn via<T: DeserializeOwned + Serialize>(value: Value) -> Result<Value, serde_json::Error> {
    serde_json::to_value(serde_json::from_value::<T>(value)?)
}

const fn entry(
    group: &'static str,
    plural: &'static str,
    singular: &'static str,
    kind: &'static str,
    codec: Codec,
) -> Resource {
    Resource {
        group,
        version: "v1",
        plural,
        singular,
        kind,
        short: &[],
        namespaced: true,
        subresources: &[],
        create_on_update: false,
        unconditional_update: true,
        generation: false,
        returns_deleted: false,
        review: false,
        codec,
    }
}

const RBAC: &str = "rbac.authorization.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";

/// Everything served, in the order of discovery.
pub(crate) static RESOURCES: &[Resource] = &[
    Resource {
        short: &["cm"],
        ..entry(
            "",
            "configmaps",
            "configmap",
            "ConfigMap",
            via::<core::ConfigMap>,
        )
    },
    Resource {
        short: &["ep"],
        create_on_update: true,
        ..entry(
            "",
            "endpoints",
            "endpoints",
            "Endpoints",
            via::<core::Endpoints>,
        )
    },
    Resource {
        short: &["ev"],
        create_on_update: true,
        ..entry("", "events", "event", "Event", via::<core::Event>)
    },
    Resource {
        short: &["ns"],
        namespaced: false,
        subresources: &["finalize", "status"],
        ..entry(
            "",
            "namespaces",
            "namespace",
            "Namespace",
            via::<core::Namespace>,
        )
    },
    Resource {
        short: &["no"],
        namespaced: false,
        subresources: &["status"],
        ..entry("", "nodes", "node", "Node", via::<core::Node>)
    },
    Resource {
        short: &["pvc"],
        subresources: &["status"],
        returns_deleted: true,
        ..entry(
            "",
            "persistentvolumeclaims",
            "persistentvolumeclaim",
            "PersistentVolumeClaim",
            via::<core::PersistentVolumeClaim>,
        )
    },
    Resource {
        short: &["pv"],
        namespaced: false,
        subresources: &["status"],
        returns_deleted: true,
        ..entry(
            "",
            "persistentvolumes",
            "persistentvolume",
            "PersistentVolume",
            via::<core::PersistentVolume>,
        )
    },
    Resource {
        short: &["po"],
        subresources: &["status"],
        generation: true,
        returns_deleted: true,
        ..entry("", "pods", "pod", "Pod", via::<core::Pod>)
    },
    entry("", "secrets", "secret", "Secret", via::<core::Secret>),
    Resource {
        short: &["sa"],
        subresources: &["token"],
        returns_deleted: true,
        ..entry(
            "",
            "serviceaccounts",
            "serviceaccount",
            "ServiceAccount",
            via::<core::ServiceAccount>,
        )
    },
    Resource {
        short: &["svc"],
        subresources: &["status"],
        create_on_update: true,
        returns_deleted: true,
        ..entry("", "services", "service", "Service", via::<core::Service>)
    },
    entry(
        "apps",
        "controllerrevisions",
        "controllerrevision",
        "ControllerRevision",
        via::<apps::ControllerRevision>,
    ),
    Resource {
        short: &["deploy"],
        subresources: &["scale", "status"],
        generation: true,
        ..entry(
            "apps",
            "deployments",
            "deployment",
            "Deployment",
            via::<apps::Deployment>,
        )
    },
    Resource {
        short: &["sts"],
        subresources: &["scale", "status"],
        generation: true,
        ..entry(
            "apps",
            "statefulsets",
            "statefulset",
            "StatefulSet",
            via::<apps::StatefulSet>,
        )
    },
    Resource {
        review: true,
        namespaced: false,
        ..entry(
            AUTHORIZATION,
            "selfsubjectaccessreviews",
            "selfsubjectaccessreview",
            "SelfSubjectAccessReview",
            via::<authorization::SelfSubjectAccessReview>,
        )
    },
    Resource {
        review: true,
        namespaced: false,
        ..entry(
            AUTHORIZATION,
            "subjectaccessreviews",
            "subjectaccessreview",
            "SubjectAccessReview",
            via::<authorization::SubjectAccessReview>,
        )
    },
    Resource {
        create_on_update: true,
        unconditional_update: false,
        ..entry(
            "coordination.k8s.io",
            "leases",
            "lease",
            "Lease",
            via::<coordination::Lease>,
        )
    },
    Resource {
        generation: true,
        ..entry(
            "discovery.k8s.io",
            "endpointslices",
            "endpointslice",
            "EndpointSlice",
            via::<discovery::EndpointSlice>,
        )
    },
    Resource {
        short: &["pdb"],
        subresources: &["status"],
        unconditional_update: false,
        generation: true,
        ..entry(
            "policy",
            "poddisruptionbudgets",
            "poddisruptionbudget",
            "PodDisruptionBudget",
            via::<policy::PodDisruptionBudget>,
        )
    },
    Resource {
        namespaced: false,
        create_on_update: true,
        ..entry(
            RBAC,
            "clusterrolebindings",
            "clusterrolebinding",
            "ClusterRoleBinding",
            via::<rbac::ClusterRoleBinding>,
        )
    },
    Resource {
        namespaced: false,
        create_on_update: true,
        ..entry(
            RBAC,
            "clusterroles",
            "clusterrole",
            "ClusterRole",
            via::<rbac::ClusterRole>,
        )
    },
    Resource {
        create_on_update: true,
        ..entry(
            RBAC,
            "rolebindings",
            "rolebinding",
            "RoleBinding",
            via::<rbac::RoleBinding>,
        )
    },
    Resource {
        create_on_update: true,
        ..entry(RBAC, "roles", "role", "Role", via::<rbac::Role>)
    },
];

/// The resource served under this group, version and plural name.
pub(crate) fn find(group: &str, version: &str, plural: &str) -> Option<&'static Resource> {
    RESOURCES
        .iter()
        .find(|known| known.plural == plural && known.group == group && known.version == version)
}

/// The resource of this plural name, whatever its group; plural names are unique in the table.
pub(crate) fn by_plural(plural: &str) -> Option<&'static Resource> {
    RESOURCES.iter().find(|known| known.plural == plural)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plural_names_are_unique_so_that_they_can_key_the_store() {
        let mut plurals: Vec<_> = RESOURCES.iter().map(|one| one.plural).collect();
        plurals.sort_unstable();
        plurals.dedup();
        assert_eq!(plurals.len(), RESOURCES.len());
    }

    #[test]
    fn every_codec_accepts_an_object_of_its_own_kind() {
        for one in RESOURCES {
            let value = serde_json::json!({"apiVersion": one.api_version(), "kind": one.kind});
            let back = (one.codec)(value).unwrap();
            assert_eq!(back["kind"], one.kind, "{}", one.plural);
        }
    }
}
