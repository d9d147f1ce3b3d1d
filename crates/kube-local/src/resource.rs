//! The table of what the server serves: which kinds, under which paths, with which abilities.

use k8s_openapi::api::{
    apps::v1 as apps, authorization::v1 as authorization, coordination::v1 as coordination,
    core::v1 as core, discovery::v1 as discovery, policy::v1 as policy, rbac::v1 as rbac,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// Reads an object as its Go type would be: unknown fields vanish, wrong types are refused.
type Codec = fn(Value) -> Result<Value, serde_json::Error>;

/// What sets a kind apart from most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trait {
    /// PUT of a name that does not exist creates it.
    CreateOnUpdate,
    /// PUT without a resourceVersion is refused.
    ConditionalUpdate,
    /// `metadata.generation` counts changes of the spec.
    Generation,
    /// DELETE answers with the deleted object instead of a Status.
    ReturnsDeleted,
}

use Trait::{ConditionalUpdate, CreateOnUpdate, Generation, ReturnsDeleted};

/// One kind of object and how it is served.
#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) namespaced: bool,
    pub(crate) subresources: &'static [&'static str],
    /// Answers a question and stores nothing.
    pub(crate) review: bool,
    pub(crate) traits: &'static [Trait],
    pub(crate) codec: Codec,
}

impl Resource {
    pub(crate) fn is(&self, wanted: Trait) -> bool {
        self.traits.contains(&wanted)
    }

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
    kind: &'static str,
    codec: Codec,
) -> Resource {
    Resource {
        group,
        version: "v1",
        plural,
        kind,
        namespaced: true,
        subresources: &[],
        review: false,
        traits: &[],
        codec,
    }
}

const RBAC: &str = "rbac.authorization.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";

/// Everything served, in the order of discovery.
pub(crate) static RESOURCES: &[Resource] = &[
    entry("", "configmaps", "ConfigMap", via::<core::ConfigMap>),
    Resource {
        traits: &[CreateOnUpdate],
        ..entry("", "endpoints", "Endpoints", via::<core::Endpoints>)
    },
    Resource {
        traits: &[CreateOnUpdate],
        ..entry("", "events", "Event", via::<core::Event>)
    },
    Resource {
        namespaced: false,
        subresources: &["finalize", "status"],
        ..entry("", "namespaces", "Namespace", via::<core::Namespace>)
    },
    Resource {
        namespaced: false,
        subresources: &["status"],
        ..entry("", "nodes", "Node", via::<core::Node>)
    },
    Resource {
        subresources: &["status"],
        traits: &[ReturnsDeleted],
        ..entry(
            "",
            "persistentvolumeclaims",
            "PersistentVolumeClaim",
            via::<core::PersistentVolumeClaim>,
        )
    },
    Resource {
        namespaced: false,
        subresources: &["status"],
        traits: &[ReturnsDeleted],
        ..entry(
            "",
            "persistentvolumes",
            "PersistentVolume",
            via::<core::PersistentVolume>,
        )
    },
    Resource {
        subresources: &["status"],
        traits: &[Generation, ReturnsDeleted],
        ..entry("", "pods", "Pod", via::<core::Pod>)
    },
    entry("", "secrets", "Secret", via::<core::Secret>),
    Resource {
        subresources: &["token"],
        traits: &[ReturnsDeleted],
        ..entry(
            "",
            "serviceaccounts",
            "ServiceAccount",
            via::<core::ServiceAccount>,
        )
    },
    Resource {
        subresources: &["status"],
        traits: &[CreateOnUpdate, ReturnsDeleted],
        ..entry("", "services", "Service", via::<core::Service>)
    },
    entry(
        "apps",
        "controllerrevisions",
        "ControllerRevision",
        via::<apps::ControllerRevision>,
    ),
    Resource {
        subresources: &["scale", "status"],
        traits: &[Generation],
        ..entry("apps", "deployments", "Deployment", via::<apps::Deployment>)
    },
    Resource {
        subresources: &["scale", "status"],
        traits: &[Generation],
        ..entry(
            "apps",
            "statefulsets",
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
            "SubjectAccessReview",
            via::<authorization::SubjectAccessReview>,
        )
    },
    Resource {
        traits: &[CreateOnUpdate, ConditionalUpdate],
        ..entry(
            "coordination.k8s.io",
            "leases",
            "Lease",
            via::<coordination::Lease>,
        )
    },
    Resource {
        traits: &[Generation],
        ..entry(
            "discovery.k8s.io",
            "endpointslices",
            "EndpointSlice",
            via::<discovery::EndpointSlice>,
        )
    },
    Resource {
        subresources: &["status"],
        traits: &[ConditionalUpdate, Generation],
        ..entry(
            "policy",
            "poddisruptionbudgets",
            "PodDisruptionBudget",
            via::<policy::PodDisruptionBudget>,
        )
    },
    Resource {
        namespaced: false,
        traits: &[CreateOnUpdate],
        ..entry(
            RBAC,
            "clusterrolebindings",
            "ClusterRoleBinding",
            via::<rbac::ClusterRoleBinding>,
        )
    },
    Resource {
        namespaced: false,
        traits: &[CreateOnUpdate],
        ..entry(
            RBAC,
            "clusterroles",
            "ClusterRole",
            via::<rbac::ClusterRole>,
        )
    },
    Resource {
        traits: &[CreateOnUpdate],
        ..entry(
            RBAC,
            "rolebindings",
            "RoleBinding",
            via::<rbac::RoleBinding>,
        )
    },
    Resource {
        traits: &[CreateOnUpdate],
        ..entry(RBAC, "roles", "Role", via::<rbac::Role>)
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
