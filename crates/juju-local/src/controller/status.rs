//! The model as `juju status` shows it.

use std::collections::BTreeMap;

use juju_local_api::agent::Life;
use juju_local_api::status::{
    ApplicationRelation, ApplicationStatus, Base, ControllerStatus, ModelInfo, ModelStatus,
    RelationStatus, StatusInfo, StorageAttachments, StorageInfo, StorageStatus, UnitStatus,
    UnitStorageAttachment,
};

use super::model::{App, Model, Relation, Status, Unit, now};
use crate::juju::Juju;

fn word(life: Life) -> String {
    match life {
        Life::Alive => String::new(),
        Life::Dying => "dying".to_owned(),
        Life::Dead => "dead".to_owned(),
    }
}

pub(super) fn info(status: &Status) -> StatusInfo {
    StatusInfo {
        current: status.word.clone(),
        message: status.message.clone(),
        since: status.since.clone(),
        ..StatusInfo::default()
    }
}

/// The worst status of its units stands for an application that set none.
fn derived(model: &Model, app: &App) -> Status {
    let rank = |word: &str| match word {
        "error" => 6,
        "blocked" => 5,
        "waiting" => 4,
        "maintenance" => 3,
        "active" => 2,
        _ => 1,
    };
    let units = model.units_of(&app.name).map(|unit| {
        if unit.agent.word == "error" {
            &unit.agent
        } else {
            &unit.workload
        }
    });
    units
        .max_by_key(|status| rank(&status.word))
        .cloned()
        .unwrap_or_else(|| Status {
            word: "unknown".into(),
            message: String::new(),
            since: now(),
        })
}

impl Model {
    /// The whole status.
    pub fn status(&self, controller: &str) -> ModelStatus {
        let applications = self
            .apps
            .values()
            .map(|app| (app.name.clone(), self.application(app)))
            .collect();
        ModelStatus {
            model: ModelInfo {
                name: self.name.clone(),
                kind: "caas".into(),
                controller: controller.to_owned(),
                cloud: "local".into(),
                region: "localhost".into(),
                version: self.juju.version().into(),
                model_status: StatusInfo {
                    current: "available".into(),
                    since: self.created.clone(),
                    ..StatusInfo::default()
                },
                sla: "unsupported".into(),
            },
            machines: BTreeMap::new(),
            applications,
            application_endpoints: self.remote_statuses(),
            offers: self.offer_statuses(),
            storage: self.storage_status(),
            controller: ControllerStatus { timestamp: now() },
            relations: self.relations.values().map(relation_row).collect(),
        }
    }

    /// The status of an application of that name.
    pub fn app_status(&self, name: &str) -> Option<Status> {
        self.apps.get(name).map(|app| self.status_of(app))
    }

    fn status_of(&self, app: &App) -> Status {
        app.status.clone().unwrap_or_else(|| derived(self, app))
    }

    fn application(&self, app: &App) -> ApplicationStatus {
        let status = self.status_of(app);
        let mut relations: BTreeMap<String, Vec<ApplicationRelation>> = BTreeMap::new();
        for relation in self
            .relations
            .values()
            .filter(|relation| relation.has(&app.name))
        {
            for end in relation.ends.iter().filter(|end| end.app == app.name) {
                let one = ApplicationRelation {
                    related_application: relation.other(&app.name),
                    interface: relation.interface.clone(),
                    scope: "global".into(),
                };
                relations.entry(end.endpoint.clone()).or_default().push(one);
            }
        }
        let bindings = app.charm.endpoints.keys().chain(&app.charm.extra_bindings);
        let units = self.units_of(&app.name);
        let units = units.map(|unit| (unit.name.clone(), unit_status(self.juju, app, unit)));
        let units: BTreeMap<String, UnitStatus> = units.collect();
        ApplicationStatus {
            charm: format!("local:{}-{}", app.charm.name, app.revision),
            base: Some(Base {
                name: "ubuntu".into(),
                channel: "22.04".into(),
            }),
            charm_origin: "local".into(),
            charm_name: app.charm.name.clone(),
            charm_rev: app.revision,
            charm_channel: app.channel.clone(),
            charm_version: app.charm.version.clone(),
            scale: self.planned(&app.name),
            provider_id: String::new(),
            address: app.address.clone(),
            exposed: false,
            life: word(app.life),
            application_status: info(&status),
            relations,
            units,
            version: app.version.clone(),
            endpoint_bindings: bindings
                .map(|name| (name.clone(), "alpha".into()))
                .collect(),
        }
    }

    /// Storage as `juju storage` shows it.
    pub fn storage_status(&self) -> StorageStatus {
        let storage = self.storage.values().map(|one| {
            let attachments = one.unit.clone().map(|unit| StorageAttachments {
                units: BTreeMap::from([(
                    unit,
                    UnitStorageAttachment {
                        location: one.location.clone(),
                        life: if one.dying { "dying" } else { "alive" }.into(),
                    },
                )]),
            });
            let current = if one.unit.is_some() {
                "attached"
            } else {
                "detached"
            };
            let shown = StorageInfo {
                kind: "filesystem".into(),
                life: "alive".into(),
                status: StatusInfo {
                    current: current.into(),
                    since: now(),
                    ..StatusInfo::default()
                },
                persistent: true,
                attachments,
            };
            (one.id.clone(), shown)
        });
        StorageStatus {
            storage: storage.collect(),
            filesystems: BTreeMap::new(),
        }
    }
}

/// A failed hook is shown as the workload's status; the agent is idle then.
fn unit_status(juju: Juju, app: &App, unit: &Unit) -> UnitStatus {
    let failed = unit.agent.word == "error";
    let workload = if failed {
        info(&unit.agent)
    } else {
        info(&unit.workload)
    };
    let mut agent = info(&unit.agent);
    if failed {
        agent.current = "idle".into();
        agent.message = String::new();
    }
    UnitStatus {
        workload_status: workload,
        juju_status: StatusInfo {
            version: juju.version().into(),
            life: word(unit.life),
            ..agent
        },
        leader: app.leader.as_deref() == Some(unit.name.as_str()),
        upgrading_from: String::new(),
        open_ports: unit.ports.iter().cloned().collect(),
        address: unit.address.clone(),
        provider_id: format!("{}-{}", unit.app, unit.number),
    }
}

fn relation_row(relation: &Relation) -> RelationStatus {
    let end = |at: usize| {
        let end = relation.ends.get(at).or(relation.ends.first());
        end.map(|end| format!("{}:{}", end.app, end.endpoint))
            .unwrap_or_default()
    };
    RelationStatus {
        id: relation.id,
        provider: end(0),
        requirer: end(1),
        interface: relation.interface.clone(),
        kind: if relation.is_peer() {
            "peer"
        } else {
            "regular"
        }
        .into(),
        status: if relation.life == Life::Alive {
            "joined"
        } else {
            "removing"
        }
        .into(),
        message: String::new(),
    }
}
