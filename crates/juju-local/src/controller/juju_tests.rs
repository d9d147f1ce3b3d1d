//! What Juju 3.6 and 4.0 answer differently.

use std::collections::BTreeMap;

use juju_local_api::agent::{AgentRequest, Bag, HookChanges, Life, SecretAdd, SecretKey};
use juju_local_api::user::StatusLog;
use serde_json::json;

use super::agents::agent_request;
use super::charm::Charm;
use super::deploy::tests::app;
use super::model::{End, Model, Task};
use crate::juju::Juju;

const BOTH: [Juju; 2] = [Juju::V3, Juju::V4];

/// `pg` with two units, which have a peer relation and a client's; `c` has one, `d` another.
fn model(juju: Juju) -> Model {
    let mut model = Model {
        juju,
        ..Model::default()
    };
    let action = json!({"additionalProperties": false});
    let charm = Charm {
        actions: BTreeMap::from([("act".to_owned(), action)]),
        ..Charm::default()
    };
    for (name, units) in [("pg", 2), ("c", 1), ("d", 1)] {
        model.apps.insert(name.into(), app(name, charm.clone()));
        model.app_mut(name).unwrap().waiting = units;
        model.fill(name).unwrap();
    }
    for unit in model.units.values_mut() {
        unit.agent_seen = true;
        unit.address = "10.1.0.9".into();
    }
    let end = |app: &str, role: &str| End {
        app: app.to_owned(),
        endpoint: "db".into(),
        role: role.to_owned(),
    };
    model.relate(vec![end("pg", "peer")], "peers".into());
    model.relate(
        vec![end("pg", "provider"), end("c", "requirer")],
        "sql".into(),
    );
    model
}

fn said<T: std::fmt::Debug>(answers: [super::model::Outcome<T>; 2]) -> [String; 2] {
    answers.map(|answer| answer.unwrap_err().message)
}

#[test]
fn refused_secrets_are_refused_in_the_versions_words() {
    let mut models = BOTH.map(model);
    for model in &mut models {
        let add = SecretAdd {
            id: "a".repeat(20),
            owner: "application".into(),
            label: "own".into(),
            description: String::new(),
            rotation: String::new(),
            expiry: None,
            content: BTreeMap::new(),
        };
        let changes = HookChanges {
            secrets_add: vec![add],
            ..HookChanges::default()
        };
        model.apply_secrets("pg/0", &changes);
    }
    let id = SecretKey::Id("a".repeat(20));
    let label = SecretKey::Label("x".into());
    let read = |model: &mut Model, key: &SecretKey| model.secret_get("c/0", key, None, false);
    let [mut old, mut new] = models;
    let refused = said([read(&mut old, &id), read(&mut new, &id)]);
    let words = [
        "permission denied",
        "\"c/0\" is not allowed to read this secret",
    ];
    assert_eq!(refused, words);
    let missing = said([read(&mut old, &label), read(&mut new, &label)]);
    let words = [
        "secret \"x\" not found",
        "secret URI for consumer label \"x\" not found",
    ];
    assert_eq!(missing, words);
    let changes = HookChanges {
        secrets_grant: vec![juju_local_api::agent::SecretGrant {
            id: "a".repeat(20),
            relation: Some(1),
            unit: None,
            application: None,
        }],
        ..HookChanges::default()
    };
    let manage = |model: &Model| model.check_secrets("c/0", &changes);
    let words = [
        "permission denied",
        "\"c/0\" is not allowed to manage this secret",
    ];
    assert_eq!(said([manage(&old), manage(&new)]), words);
}

#[test]
fn bags_of_others_are_refused_in_the_versions_words() {
    let [old, new] = BOTH.map(model);
    let read = |entity: &str| {
        said([
            old.read_bag("pg/0", 1, entity),
            new.read_bag("pg/0", 1, entity),
        ])
    };
    let denied = "permission denied (unauthorized access)";
    assert_eq!(read("d/0"), [denied, "relation unit not found"]);
    assert_eq!(read("d"), [denied, "getting application \"d\" not found"]);
    assert_eq!(read("pg/1"), [denied, denied]);
    assert!(new.read_bag("pg/0", 1, "c/0").is_ok());
    assert_eq!(old.read_bag("pg/0", 1, "c/7").unwrap(), Bag::new());
    let gone = new.read_bag("pg/0", 1, "c/7").unwrap_err();
    assert_eq!(gone.message, "relation unit not found");
}

#[test]
fn units_bags_hold_no_private_address_and_their_versions_are_of_their_content_in_4() {
    let [mut old, mut new] = BOTH.map(model);
    let keys = |model: &Model| -> Vec<String> {
        let bag = model.read_bag("pg/0", 0, "pg/1").unwrap();
        bag.into_keys().collect()
    };
    assert_eq!(
        keys(&old),
        ["egress-subnets", "ingress-address", "private-address"]
    );
    assert_eq!(keys(&new), ["egress-subnets", "ingress-address"]);
    let set = |value: &str| Bag::from([("k".to_owned(), value.to_owned())]);
    for (model, comes_back) in [(&mut old, false), (&mut new, true)] {
        let relation = model.relations.get_mut(&0).unwrap();
        assert_eq!(relation.version("pg"), 0);
        let mut versions = Vec::new();
        for value in ["1", "2", "1"] {
            relation.write("pg", &set(value));
            versions.push(relation.version("pg"));
        }
        assert_ne!(versions[0], versions[1]);
        assert_eq!(versions[0] == versions[2], comes_back, "{versions:?}");
    }
}

#[test]
fn goal_state_fails_in_4_while_a_unit_goes() {
    for juju in BOTH {
        let mut model = model(juju);
        let ask = |model: &mut Model| agent_request(model, "pg/0", AgentRequest::GoalState);
        assert!(ask(&mut model).is_ok());
        model.unit_mut("pg/1").unwrap().life = Life::Dead;
        let answer = ask(&mut model).map_err(|error| error.message).err();
        let words = "unit \"pg/1\" not found".to_owned();
        assert_eq!(answer, juju.is_4().then_some(words));
    }
}

#[test]
fn wrong_parameters_are_refused_at_once_or_by_the_agent() {
    let [mut old, mut new] = BOTH.map(model);
    let units = ["pg/0".to_owned()];
    let wrong = json!({"x": 1});
    let words = "validation failed: (root) : additional property \"x\" is not allowed";
    let refused = old.queue_action(&units, "act", &wrong).unwrap_err();
    assert_eq!(refused.message, words);
    new.queue_action(&units, "act", &wrong).unwrap();
    let Task {
        status, message, ..
    } = new.task("1").unwrap();
    let told = format!("cannot run \"act\" action: {words}");
    assert_eq!((status.as_str(), message), ("failed", &told));
    let unknown = new.queue_action(&units, "no", &json!({})).unwrap_err();
    let words = "action \"no\" not defined for unit \"pg/0\". (not found)";
    assert_eq!(unknown.message, words);
}

#[test]
fn past_statuses_are_told_by_type_the_last_ones_in_order() {
    let mut model = model(Juju::V3);
    for word in ["maintenance", "active"] {
        let request = AgentRequest::SetStatus {
            application: false,
            status: word.into(),
            message: String::new(),
        };
        agent_request(&mut model, "pg/0", request).unwrap();
    }
    let request = AgentRequest::SetStatus {
        application: true,
        status: "blocked".into(),
        message: "why".into(),
    };
    agent_request(&mut model, "pg/0", request).unwrap();
    let log = |entity: &str, kind: &str, size| -> Vec<(String, String)> {
        let wanted = StatusLog {
            entity: entity.into(),
            kind: kind.into(),
            size,
            since: None,
        };
        let all = model.status_log(&wanted).unwrap();
        let text = |one: &serde_json::Value, key: &str| one[key].as_str().unwrap().to_owned();
        let all = all.as_array().unwrap().iter();
        all.map(|one| (text(one, "type"), text(one, "status")))
            .collect()
    };
    let of = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        let pairs = pairs.iter();
        pairs
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect()
    };
    let whole = [
        ("workload", "waiting"),
        ("juju-unit", "allocating"),
        ("workload", "maintenance"),
        ("workload", "active"),
    ];
    assert_eq!(log("pg/0", "unit", None), of(&whole));
    assert_eq!(log("pg/0", "unit", Some(1)), of(&whole[3..]));
    assert_eq!(log("pg/0", "juju-unit", None), of(&whole[1..2]));
    assert_eq!(
        log("pg", "application", Some(20)),
        of(&[("application", "blocked")])
    );
}
