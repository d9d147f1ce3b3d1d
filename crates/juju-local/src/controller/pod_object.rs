//! A pod as Kubernetes shows it.

use serde_json::{Value, json};

use super::kubernetes::{self, NODE};
use super::pods::{GRACE, Pod};

impl Pod {
    pub(super) fn path(&self) -> String {
        format!(
            "/api/v1/namespaces/{}/pods/{}",
            self.plan.model,
            self.name()
        )
    }

    pub(super) fn create_object(&self) {
        let plan = &self.plan;
        let api = &self.controller.api;
        let set = api
            .get("statefulsets", &plan.model, &plan.app)
            .unwrap_or_default();
        let uid = set.pointer("/metadata/uid").cloned().unwrap_or_default();
        let containers: Vec<Value> = plan
            .containers
            .keys()
            .map(|name| json!({"name": name, "image": "local", "resources": {"limits": plan.limits}}))
            .chain([json!({"name": kubernetes::CHARM, "image": "local"})])
            .collect();
        let name = self.name();
        let object = json!({
            "metadata": {
                "name": name,
                "labels": {
                    "app.kubernetes.io/name": plan.app,
                    "statefulset.kubernetes.io/pod-name": name,
                    "controller-revision-hash": plan.template,
                    "apps.kubernetes.io/pod-index": plan.number.to_string(),
                },
                "ownerReferences": [{
                    "apiVersion": "apps/v1", "kind": "StatefulSet", "name": plan.app, "uid": uid,
                    "controller": true, "blockOwnerDeletion": true,
                }],
            },
            "spec": {
                "nodeName": NODE, "hostname": name, "subdomain": format!("{}-endpoints", plan.app),
                "serviceAccountName": plan.app, "containers": containers,
                "terminationGracePeriodSeconds": GRACE.as_secs(),
            },
        });
        // One of that name from before this start is another pod.
        kubernetes::delete(api, &self.path());
        kubernetes::put(
            api,
            &format!("/api/v1/namespaces/{}/pods", plan.model),
            &object,
        );
        self.set_status(false);
    }

    pub(super) fn set_status(&self, ready: bool) {
        let word = if ready { "True" } else { "False" };
        let address = self.network.address.to_string();
        let host = self.infra.network.node().to_string();
        let condition = |kind: &str, status: &str| json!({"type": kind, "status": status});
        let status = json!({"status": {
            "phase": "Running", "podIP": address, "podIPs": [{"ip": address}],
            "hostIP": host, "hostIPs": [{"ip": host}],
            "conditions": [
                condition("PodScheduled", "True"), condition("Initialized", "True"),
                condition("ContainersReady", word), condition("Ready", word),
            ],
        }});
        let path = format!("{}/status", self.path());
        let media = "application/merge-patch+json";
        let _ = self
            .controller
            .api
            .call("PATCH", &path, media, Some(&status));
    }
}
