use std::collections::BTreeMap;

use super::*;
use crate::controller::charm::StorageSpec;
use crate::controller::cluster::{Cluster, Kubernetes};
use crate::juju::Juju;

/// A model with an application that has a storage, and no units.
fn model() -> Model {
    let mut model = Model {
        name: "m".into(),
        ..Model::default()
    };
    let charm = Charm {
        storage: BTreeMap::from([("data".to_owned(), StorageSpec::default())]),
        ..Charm::default()
    };
    model.apps.insert("pg".into(), app("pg", charm));
    model
}

pub(in crate::controller) fn app(name: &str, charm: Charm) -> App {
    App {
        name: name.to_owned(),
        charm,
        revision: 0,
        modified: 0,
        templates: BTreeMap::new(),
        life: Life::Alive,
        config: BTreeMap::new(),
        trust: false,
        channel: String::new(),
        resources: BTreeMap::new(),
        constraints: BTreeMap::new(),
        leader: None,
        lease: Instant::now(),
        leader_settings: <_>::default(),
        status: None,
        history: <_>::default(),
        version: String::new(),
        address: String::new(),
        next_unit: 0,
        waiting: 0,
        waiting_volumes: Vec::new(),
        storage_id: "id".into(),
    }
}

fn ask(model: &mut Model, count: u32) -> Vec<String> {
    model.app_mut("pg").unwrap().waiting += count;
    model.fill("pg").unwrap()
}

/// The unit is gone, and has left its volume.
fn gone(model: &mut Model, unit: &str) {
    let unit = model.units.remove(unit).unwrap();
    for id in unit.storage {
        model.storage.get_mut(&id).unwrap().unit = None;
    }
}

#[test]
fn units_that_are_asked_for_while_others_leave_have_their_numbers_and_volumes() {
    let mut model = model();
    let names = ["pg/0", "pg/1", "pg/2"];
    assert_eq!(ask(&mut model, 3), names);
    let volumes = |model: &Model| -> Vec<Vec<String>> {
        model
            .units_of("pg")
            .map(|unit| unit.storage.clone())
            .collect()
    };
    let before = volumes(&model);
    for name in names {
        model.dying(name, false);
    }
    assert_eq!(ask(&mut model, 3), [""; 0]);
    assert_eq!(model.planned("pg"), 3);
    for name in &names[..2] {
        gone(&mut model, name);
        assert_eq!(model.fill("pg").unwrap(), [""; 0]);
    }
    gone(&mut model, names[2]);
    assert_eq!(model.fill("pg").unwrap(), names);
    assert_eq!(volumes(&model), before);
    assert_eq!(model.planned("pg"), 3);
}

#[test]
fn a_name_that_juju_refuses_is_refused_in_its_words() {
    for good in ["pg", "a", "a1", "pg-15a", "a-1b-2c", "postgresql-k8s"] {
        assert_eq!(check_name(good), Ok(()), "{good}");
    }
    let bad = [
        (
            "pg-15",
            "\"pg-15\", unexpected number(s) found after last hyphen",
        ),
        ("Pg", "\"Pg\", unexpected uppercase character"),
        ("pg_a", "\"pg_a\", unexpected character _"),
        ("p\u{e4}", "\"p\u{e4}\", unexpected character \u{e4}"),
        ("1pg", "\"1pg\""),
        ("pg-1-a", "\"pg-1-a\""),
        ("pg--a", "\"pg--a\""),
        ("-", "\"-\""),
        ("", "\"\""),
    ];
    for (name, why) in bad {
        let said = format!("invalid application name {why}");
        assert_eq!(check_name(name), Err(said), "{name}");
    }
}

/// A controller of that model, in which a unit of another application is in a relation too.
async fn controller(home: &std::path::Path) -> std::sync::Arc<Controller> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (api, _) = Cluster::start(&Kubernetes::Embedded, home).await.unwrap();
    let mut model = model();
    model.apps.insert("c".into(), app("c", Charm::default()));
    ask(&mut model, 1);
    model.app_mut("c").unwrap().waiting += 1;
    model.fill("c").unwrap();
    for unit in model.units.values_mut() {
        unit.agent_seen = true;
    }
    let end = |app: &str, role: &str| End {
        app: app.to_owned(),
        endpoint: "db".into(),
        role: role.to_owned(),
    };
    let ends = vec![end("pg", "provider"), end("c", "requirer")];
    model.relate(ends, "sql".into());
    Controller::new(
        crate::home::Home::new(home),
        ("c".into(), Juju::V3),
        "/bin/false".into(),
        api,
        [model],
    )
}

#[tokio::test]
async fn what_a_forced_removal_ends_has_a_minute_to_end_by_itself() {
    let home = tempfile::tempdir().unwrap();
    let controller = controller(home.path()).await;
    let force = Force::of(true, false);
    controller
        .remove_application("m", "pg", false, force)
        .await
        .unwrap();
    let (inside, life) = controller.read(|state| {
        let model = state.model("m").unwrap();
        (
            model.relations[&0].inside.len(),
            model.unit("pg/0").unwrap().life,
        )
    });
    assert_eq!((inside, life), (2, Life::Dying));

    let mut changed = controller.changed.subscribe();
    let force = Force::After(std::time::Duration::from_millis(1));
    controller
        .force("m", vec![0], vec!["pg/0".into()], force)
        .await;
    let gone = || {
        controller.read(|state| {
            let model = state.model("m").unwrap();
            model.relations.is_empty() && !model.apps.contains_key("pg")
        })
    };
    let over = async {
        while !gone() {
            changed.changed().await.unwrap();
        }
    };
    let limit = std::time::Duration::from_mins(1);
    tokio::time::timeout(limit, over).await.unwrap();
    assert!(controller.read(|state| state.model("m").unwrap().unit("c/0").is_ok()));
}
