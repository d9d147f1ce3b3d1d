//! What Kubernetes' schemas say about lists and maps: which merge by what, and which are replaced whole.

/// How a strategic merge patch treats a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MergeList {
    /// Elements with the same value of this field are the same.
    By(&'static str),
    /// Elements are plain values; the union is kept.
    Set,
    /// The patch's list takes the place of the old one.
    Replace,
}

/// How server-side apply treats a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ApplyList {
    /// Elements are owned one by one and known by these fields.
    Map(&'static [&'static str]),
    /// Elements are plain values, owned one by one.
    Set,
    /// The list has one owner.
    Atomic,
}

/// Where in an object of which kind a walk is: the names of fields from the root, without list elements.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    kind: &'a str,
    path: Vec<String>,
}

impl<'a> Cursor<'a> {
    pub(super) fn root(kind: &'a str) -> Self {
        Self {
            kind,
            path: Vec::new(),
        }
    }

    pub(super) fn field(&self, name: &str) -> Self {
        let mut path = self.path.clone();
        path.push(name.to_owned());
        Self {
            kind: self.kind,
            path,
        }
    }

    fn name(&self) -> &str {
        self.path.last().map_or("", String::as_str)
    }

    fn parent(&self) -> &str {
        self.path.iter().rev().nth(1).map_or("", String::as_str)
    }

    fn in_container(&self) -> bool {
        matches!(
            self.parent(),
            "containers" | "initContainers" | "ephemeralContainers"
        )
    }

    /// In a map of the user's own keys nothing has a meaning by its name.
    fn in_free_map(&self) -> bool {
        self.path.iter().rev().skip(1).any(|name| is_free_map(name))
    }

    pub(super) fn merge_list(&self) -> MergeList {
        if self.in_free_map() {
            return MergeList::Replace;
        }
        match self.name() {
            "containers"
            | "initContainers"
            | "ephemeralContainers"
            | "volumes"
            | "env"
            | "imagePullSecrets"
            | "resourceClaims" => MergeList::By("name"),
            "secrets" if self.kind == "ServiceAccount" => MergeList::By("name"),
            "ports" if self.in_container() => MergeList::By("containerPort"),
            "ports" if self.kind == "Service" => MergeList::By("port"),
            "volumeMounts" => MergeList::By("mountPath"),
            "volumeDevices" => MergeList::By("devicePath"),
            "ownerReferences" => MergeList::By("uid"),
            "conditions" | "addresses" if self.path.first().is_some_and(|top| top == "status") => {
                MergeList::By("type")
            }
            "taints" => MergeList::By("key"),
            "hostAliases" | "podIPs" | "hostIPs" => MergeList::By("ip"),
            "topologySpreadConstraints" => MergeList::By("topologyKey"),
            "finalizers" if self.parent() == "metadata" => MergeList::Set,
            _ => MergeList::Replace,
        }
    }

    pub(super) fn apply_list(&self) -> ApplyList {
        if self.in_free_map() {
            return ApplyList::Atomic;
        }
        match self.name() {
            "ports" if self.in_container() => ApplyList::Map(&["containerPort", "protocol"]),
            "ports" if self.kind == "Service" && self.parent() == "spec" => {
                ApplyList::Map(&["port", "protocol"])
            }
            "topologySpreadConstraints" => ApplyList::Map(&["topologyKey", "whenUnsatisfiable"]),
            "taints" => ApplyList::Atomic,
            _ => match self.merge_list() {
                MergeList::By("name") => ApplyList::Map(&["name"]),
                MergeList::By("uid") => ApplyList::Map(&["uid"]),
                MergeList::By("type") => ApplyList::Map(&["type"]),
                MergeList::By("ip") => ApplyList::Map(&["ip"]),
                MergeList::By("mountPath") => ApplyList::Map(&["mountPath"]),
                MergeList::By("devicePath") => ApplyList::Map(&["devicePath"]),
                MergeList::Set => ApplyList::Set,
                MergeList::By(_) | MergeList::Replace => ApplyList::Atomic,
            },
        }
    }

    /// Whether the elements of a list are owned one by one, but each as a whole.
    pub(super) fn has_whole_elements(&self) -> bool {
        matches!(self.name(), "ownerReferences" | "imagePullSecrets")
    }

    /// A map that has one owner and is replaced whole by server-side apply.
    pub(super) fn is_atomic_map(&self) -> bool {
        if self.in_free_map() {
            return false;
        }
        matches!(
            self.name(),
            "selector"
                | "nodeSelector"
                | "targetRef"
                | "claimRef"
                | "labelSelector"
                | "fieldRef"
                | "configMapKeyRef"
                | "secretKeyRef"
                | "resourceFieldRef"
                | "roleRef"
                | "involvedObject"
                | "secretRef"
                | "nodeSelectorTerms"
                | "preference"
        )
    }
}

fn is_free_map(name: &str) -> bool {
    matches!(
        name,
        "labels"
            | "annotations"
            | "data"
            | "binaryData"
            | "stringData"
            | "limits"
            | "requests"
            | "capacity"
            | "allocatable"
            | "matchLabels"
            | "nodeSelector"
    )
}

/// What a key field of a list element is when it is left out.
pub(super) fn default_of_key(key: &str) -> Option<&'static str> {
    (key == "protocol").then_some("TCP")
}
