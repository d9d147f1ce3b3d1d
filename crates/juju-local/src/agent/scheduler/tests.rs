use serde_json::json;

use super::*;

fn view() -> UnitView {
    serde_json::from_value(json!({
        "revision": 1, "model_name": "m", "model_uuid": "u", "life": "alive",
        "app_life": "alive", "juju_version": "3.6.12", "charm_modified_version": 0,
        "charm_revision": 0, "charm_source": "", "config": {}, "config_unset": [],
        "trust": true, "leader": true, "address": "10.1.0.10", "ingress_address": "",
        "relations": [{"id": 0, "endpoint": "peers", "role": "peer", "interface": "p",
            "remote_app": "a", "life": "alive", "suspended": false,
            "units": {"a/1": 1}, "app_version": 0, "remote_model_uuid": "u"}],
        "storage": [{"id": "data/0", "kind": "filesystem", "location": "/d", "life": "alive"}],
        "consumed_secrets": [], "owned_secrets": [], "actions": [], "execs": [],
        "resolved": null, "opened_ports": [], "unit_status": ["", ""],
        "update_status_interval_ms": 1, "retry_hooks": true, "model_env": {},
        "saved_state": null, "charm_state": {}, "planned_units": 2, "kill_at_effect": null
    }))
    .unwrap()
}

/// Runs hooks until there is none, and gives their names.
fn settle(view: &UnitView, local: &mut Local, new_pod: bool) -> Vec<String> {
    let hooks = hooks(view, local, new_pod);
    hooks.into_iter().map(|hook| hook.name).collect()
}

fn hooks(view: &UnitView, local: &mut Local, new_pod: bool) -> Vec<Hook> {
    let mut moment = Moment {
        unit: "a/0".into(),
        new_pod,
        ..Moment::default()
    };
    let mut all = Vec::new();
    while let Some(operation) = next(view, local, &moment) {
        let Operation::Hook(hook) = operation else {
            panic!()
        };
        moment.new_pod &= hook.done != Done::Upgraded;
        if let Done::Told(settings) = hook.done {
            moment.told = Some(settings);
        }
        local.apply(&hook.done);
        all.push(hook);
        assert!(all.len() < 50, "{all:?}");
    }
    all
}

fn variable(hook: &Hook, name: &str) -> Option<String> {
    let mut pairs = hook.env.iter();
    let (_, value) = pairs.find(|(key, _)| key == name)?;
    Some(value.clone())
}

fn secret(id: &str) -> juju_local_api::agent::OwnedSecret {
    juju_local_api::agent::OwnedSecret {
        id: id.into(),
        label: "l".into(),
        rotate_due: false,
        expired: Vec::new(),
        obsolete: Vec::new(),
    }
}

#[test]
fn a_fresh_unit_runs_its_hooks_in_jujus_order() {
    let mut local = Local::default();
    let names = settle(&view(), &mut local, false);
    assert_eq!(
        names,
        [
            "install",
            "peers-relation-created",
            "leader-elected",
            "data-storage-attached",
            "config-changed",
            "start",
            "peers-relation-joined",
            "peers-relation-changed"
        ]
    );
}

#[test]
fn a_new_pod_of_an_old_unit_is_upgraded_and_configured_again() {
    let mut local = Local::default();
    settle(&view(), &mut local, false);
    let mut view = view();
    view.address = "10.1.0.11".into();
    assert_eq!(
        settle(&view, &mut local, true),
        ["upgrade-charm", "config-changed", "start"]
    );
}

#[test]
fn a_change_of_a_bag_is_told_once() {
    let mut local = Local::default();
    settle(&view(), &mut local, false);
    let mut view = view();
    view.relations[0].units.insert("a/1".into(), 5);
    view.relations[0].app_version = 4;
    assert_eq!(
        settle(&view, &mut local, false),
        ["peers-relation-changed"; 2]
    );
}

#[test]
fn a_dying_unit_leaves_in_order() {
    let mut local = Local::default();
    settle(&view(), &mut local, false);
    let mut view = view();
    view.life = Life::Dying;
    assert_eq!(
        settle(&view, &mut local, false),
        [
            "data-storage-detaching",
            "peers-relation-departed",
            "stop",
            "remove"
        ]
    );
}

#[test]
fn a_leaver_names_itself_and_those_who_stay_name_the_leaver() {
    let mut view = view();
    view.relations.push(
        serde_json::from_value(json!({
            "id": 1, "endpoint": "db", "role": "provider", "interface": "d", "remote_app": "c",
            "life": "alive", "suspended": false, "units": {"c/0": 1}, "app_version": 0,
            "remote_model_uuid": "u"}))
        .unwrap(),
    );
    let mut local = Local::default();
    settle(&view, &mut local, false);
    let mut stays = local.clone();
    let mut theirs = view.clone();
    theirs.relations[0].units.clear();
    let seen = hooks(&theirs, &mut stays, false);
    assert_eq!(seen.len(), 1);
    assert_eq!(variable(&seen[0], "JUJU_DEPARTING_UNIT").unwrap(), "a/1");
    view.life = Life::Dying;
    let seen = hooks(&view, &mut local, false);
    let names: Vec<&str> = seen.iter().map(|hook| hook.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "data-storage-detaching",
            "peers-relation-departed",
            "db-relation-departed",
            "db-relation-broken",
            "stop",
            "remove"
        ]
    );
    for at in [1, 2] {
        assert_eq!(variable(&seen[at], "JUJU_DEPARTING_UNIT").unwrap(), "a/0");
    }
    assert_eq!(variable(&seen[3], "JUJU_DEPARTING_UNIT"), None);
}

#[test]
fn a_unit_that_does_not_lead_is_told_once() {
    let mut view = view();
    view.leader = false;
    let names = settle(&view, &mut Local::default(), false);
    assert_eq!(
        names[..3],
        [
            "install",
            "peers-relation-created",
            "leader-settings-changed"
        ]
    );
    assert_eq!(names.len(), 8);
}

#[test]
fn start_follows_the_first_config_changed_at_once() {
    let mut local = Local::default();
    let view = view();
    let mut moment = Moment::default();
    while local.then.is_none() {
        let Some(Operation::Hook(hook)) = next(&view, &local, &moment) else {
            panic!()
        };
        local.apply(&hook.done);
    }
    moment.event = Some(Event::Ready {
        container: "w".into(),
    });
    let Some(Operation::Hook(hook)) = next(&view, &local, &moment) else {
        panic!()
    };
    assert_eq!(hook.name, "start");
}

#[test]
fn secrets_are_told_expired_first_and_removed_last() {
    let mut local = Local::default();
    settle(&view(), &mut local, false);
    let mut view = view();
    let (mut expired, mut due) = (secret("e"), secret("r"));
    expired.obsolete = vec![1];
    expired.expired = vec![2];
    due.rotate_due = true;
    view.owned_secrets = vec![expired, due];
    let told = |view: &UnitView, local: &Local| {
        let Some(Operation::Hook(hook)) = next(view, local, &Moment::default()) else {
            panic!()
        };
        hook
    };
    let first = told(&view, &local);
    assert_eq!(first.name, "secret-expired");
    assert_eq!(variable(&first, "JUJU_SECRET_REVISION").unwrap(), "2");
    view.owned_secrets[0].expired.clear();
    let second = told(&view, &local);
    assert_eq!(second.name, "secret-rotate");
    assert_eq!(variable(&second, "JUJU_SECRET_REVISION"), None);
    view.owned_secrets[1].rotate_due = false;
    let third = told(&view, &local);
    assert_eq!(third.name, "secret-remove");
    assert_eq!(variable(&third, "JUJU_SECRET_REVISION").unwrap(), "1");
    local.apply(&third.done);
    assert_eq!(next(&view, &local, &Moment::default()), None);
}

#[test]
fn a_dying_unit_still_runs_its_actions() {
    let mut local = Local::default();
    settle(&view(), &mut local, false);
    let mut view = view();
    view.life = Life::Dying;
    view.actions = vec![ActionTask {
        id: "1".into(),
        name: "x".into(),
        params: json!({}),
    }];
    let found = next(&view, &local, &Moment::default());
    assert!(matches!(found, Some(Operation::Action(_))), "{found:?}");
}

/// The same as Juju 4.
fn view_4() -> UnitView {
    UnitView {
        juju_version: Juju::V4.version().to_owned(),
        ..view()
    }
}

#[test]
fn a_unit_that_leaves_breaks_with_its_peers_in_juju_4_alone() {
    for (mut view, breaks) in [(view(), false), (view_4(), true)] {
        let mut local = Local::default();
        settle(&view, &mut local, false);
        view.life = Life::Dying;
        let names = settle(&view, &mut local, false);
        let at = |name: &str| names.iter().position(|one| one == name);
        let departed = at("peers-relation-departed");
        assert!(departed.is_some());
        let broken = at("peers-relation-broken");
        assert_eq!(
            broken,
            departed.filter(|_| breaks).map(|at| at + 1),
            "{names:?}"
        );
        assert!(
            at("stop") > broken && at("remove") > at("stop"),
            "{names:?}"
        );
    }
}

#[test]
fn nobody_is_told_of_leaders_settings_in_juju_4() {
    let mut view = view_4();
    view.leader = false;
    let names = settle(&view, &mut Local::default(), false);
    assert!(
        !names.contains(&"leader-settings-changed".to_owned()),
        "{names:?}"
    );
}

#[test]
fn another_version_of_a_bag_need_not_be_a_greater_one_in_juju_4() {
    let mut view = view_4();
    view.relations[0].units.insert("a/1".into(), 900);
    view.relations[0].app_version = 800;
    let mut local = Local::default();
    settle(&view, &mut local, false);
    view.relations[0].units.insert("a/1".into(), 7);
    view.relations[0].app_version = 6;
    assert_eq!(
        settle(&view, &mut local, false),
        ["peers-relation-changed"; 2]
    );
    // What the unit has written itself is told by no version.
    view.relations[0].app_version = 0;
    assert_eq!(settle(&view, &mut local, false), [""; 0]);
}
