//! What the tables look like.

use juju_local_api::status::{
    ApplicationStatus, ControllerStatus, FilesystemInfo, ModelInfo, ModelStatus, OfferStatus,
    RelationStatus, RemoteApplicationStatus, RemoteEndpoint, StatusInfo, StorageAttachments,
    StorageInfo, UnitStatus, UnitStorageAttachment,
};

use super::*;

fn info(current: &str, message: &str) -> StatusInfo {
    StatusInfo {
        current: current.into(),
        message: message.into(),
        since: "2024-11-21T04:19:22Z".into(),
        ..StatusInfo::default()
    }
}

fn unit(workload: StatusInfo, agent: StatusInfo, address: &str, leader: bool) -> UnitStatus {
    UnitStatus {
        workload_status: workload,
        juju_status: agent,
        leader,
        address: address.into(),
        ..UnitStatus::default()
    }
}

fn example() -> ModelStatus {
    let mut units = std::collections::BTreeMap::new();
    let mut first = unit(
        info("active", "Primary"),
        info("idle", ""),
        "10.1.0.4",
        true,
    );
    first.open_ports = vec!["5432/tcp".into(), "8008/tcp".into()];
    units.insert("postgresql-k8s/0".into(), first);
    let executing = info("executing", "running config-changed hook");
    units.insert(
        "postgresql-k8s/10".into(),
        unit(
            info("waiting", "awaiting for member to start"),
            executing,
            "10.1.0.6",
            false,
        ),
    );
    let allocating = info("allocating", "installing agent");
    units.insert(
        "postgresql-k8s/2".into(),
        unit(info("waiting", ""), allocating, "", false),
    );
    let app = ApplicationStatus {
        charm: "local:postgresql-k8s-0".into(),
        charm_origin: "local".into(),
        charm_name: "postgresql-k8s".into(),
        scale: 3,
        address: "10.152.183.7".into(),
        application_status: info("active", ""),
        units,
        version: "14.19".into(),
        ..ApplicationStatus::default()
    };
    ModelStatus {
        model: ModelInfo {
            name: "demo".into(),
            kind: "caas".into(),
            controller: "local".into(),
            cloud: "local".into(),
            region: "localhost".into(),
            version: "3.6.12".into(),
            model_status: info("available", ""),
            sla: "unsupported".into(),
        },
        applications: [("postgresql-k8s".to_owned(), app)].into(),
        controller: ControllerStatus {
            timestamp: "04:20:00Z".into(),
        },
        ..ModelStatus::default()
    }
}

#[test]
fn a_model_with_an_application_that_is_being_scaled() {
    insta::assert_snapshot!(render(&example(), Sections::default(), false));
}

#[test]
fn every_section() {
    let mut status = example();
    status.model.model_status.message = "attempt 2 to destroy model".into();
    let endpoint = RemoteEndpoint {
        interface: "pgsql".into(),
        role: "provider".into(),
    };
    status.application_endpoints.insert(
        "other".into(),
        RemoteApplicationStatus {
            url: "admin/prod.other".into(),
            application_status: info("active", ""),
            ..RemoteApplicationStatus::default()
        },
    );
    status.offers.insert(
        "pg".into(),
        OfferStatus {
            application: "postgresql-k8s".into(),
            charm: "local:postgresql-k8s-3".into(),
            total_connected_count: 2,
            active_connected_count: 1,
            endpoints: [
                ("db".to_owned(), endpoint.clone()),
                ("db-admin".to_owned(), endpoint),
            ]
            .into(),
        },
    );
    status.relations = vec![
        RelationStatus {
            id: 1,
            provider: "postgresql-k8s:database".into(),
            requirer: "app:db".into(),
            interface: "postgresql_client".into(),
            kind: "regular".into(),
            status: "suspended".into(),
            message: "by hand".into(),
        },
        RelationStatus {
            id: 0,
            provider: "postgresql-k8s:database-peers".into(),
            requirer: "postgresql-k8s:database-peers".into(),
            interface: "postgresql_peers".into(),
            kind: "peer".into(),
            status: "joined".into(),
            message: String::new(),
        },
    ];
    let attachment = UnitStorageAttachment {
        location: "/data".into(),
        ..Default::default()
    };
    status.storage.storage.insert(
        "pgdata/0".into(),
        StorageInfo {
            kind: "filesystem".into(),
            status: info("attached", ""),
            attachments: Some(StorageAttachments {
                units: [("postgresql-k8s/0".to_owned(), attachment)].into(),
            }),
            ..StorageInfo::default()
        },
    );
    status.storage.filesystems.insert(
        "0".into(),
        FilesystemInfo {
            storage: "pgdata/0".into(),
            pool: "kubernetes".into(),
            size: 1024,
            ..FilesystemInfo::default()
        },
    );
    let all = Sections {
        relations: true,
        storage: true,
    };
    insta::assert_snapshot!(render(&status, all, false));
}

#[test]
fn an_empty_model_is_its_heading() {
    let status = ModelStatus {
        model: example().model,
        ..ModelStatus::default()
    };
    insta::assert_snapshot!(render(&status, Sections::default(), false));
}

#[test]
fn short_is_one_line_for_each_unit() {
    insta::assert_snapshot!(short(&example()));
}

#[test]
fn colours_mark_states_on_a_terminal() {
    let text = render(&example(), Sections::default(), true);
    assert!(text.contains("\u{1b}[32mactive\u{1b}[0m"), "{text}");
    assert!(text.contains("\u{1b}[33mallocating\u{1b}[0m"), "{text}");
}

#[test]
fn names_are_sorted_by_their_numbers() {
    let mut names = ["a/10", "a/2", "a", "b/1", "a/02x"];
    names.sort_by(|x, y| natural(x, y));
    assert_eq!(names, ["a", "a/2", "a/02x", "a/10", "b/1"]);
}

#[test]
fn json_has_the_shape_of_jujus() {
    let text = serde_json::to_value(example()).unwrap();
    assert_eq!(text["machines"], serde_json::json!({}));
    assert_eq!(text["model"]["type"], "caas");
    let app = &text["applications"]["postgresql-k8s"];
    assert_eq!(app["charm-rev"], 0);
    assert_eq!(app["application-status"]["current"], "active");
    assert_eq!(app["units"]["postgresql-k8s/0"]["leader"], true);
    assert!(app["units"]["postgresql-k8s/10"].get("leader").is_none());
    assert!(text.get("offers").is_none());
    assert_eq!(text["storage"], serde_json::json!({}));
}
