//! Certificates: at every moment members trust each other and every server has what it serves,
//! whatever comes, goes, expires or dies on the way.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::similar_names,
    clippy::struct_excessive_bools,
    unused_imports,
    reason = "a test fails by them"
)]

mod support;

use cluster_plan::planner::PATRONI_YML;
use juju::{Event, RelationEvent};
use postgresql_k8s::handlers::tls::{SetPrivateKey, set_private_key};
use postgresql_k8s::observe::identity::{CLIENTS_CA, REPLICATION, REWIND, SERVERS_CA};
use postgresql_k8s::observe::tls::{MEMBER, MEMBER_CA, SERVER, SERVER_CA};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use support::trust::{
    assert_serves, assert_trust, assert_undisturbed, certificates_event, deployed, first_hooks,
    leaf, ordinals, related, settle, settle_with, signed, text, yml,
};
use support::{Outcome, Provider, World, notice, pebble_ready, peers_changed, peers_created};
use tls_interface::{Announcement, Certificate, Identified, PrivateKey, certificates};

#[test]
fn members_speak_tls_from_the_first_start_on_with_an_authority_of_their_own() {
    let world = deployed(3);
    for ordinal in 0..3 {
        let yml = yml(&world, ordinal);
        assert_eq!(yml["restapi"]["certfile"], json!(MEMBER));
        assert_eq!(yml["restapi"]["cafile"], json!(MEMBER_CA));
        assert_eq!(yml["ctl"]["cacert"], json!(MEMBER_CA));
        assert_eq!(yml["postgresql"]["parameters"]["ssl"], json!("on"));
        assert_eq!(
            yml["postgresql"]["authentication"]["replication"]["sslmode"],
            json!("require")
        );
        let names = leaf(&world, ordinal, MEMBER).names;
        assert!(names.contains(&format!(
            "postgresql-k8s-{ordinal}.postgresql-k8s-endpoints"
        )));
        let hba = yml["postgresql"]["pg_hba"].to_string();
        assert!(
            !hba.contains("hostssl all +"),
            "no client has to use it: {hba}"
        );
        assert!(
            hba.contains(
                "hostssl replication replication all scram-sha-256 clientcert=verify-full"
            )
        );
        for (path, role) in [(REPLICATION, "replication"), (REWIND, "rewind")] {
            let shown = text(&world, ordinal, path).unwrap();
            assert!(signed(
                &leaf(&world, ordinal, path),
                &text(&world, 0, CLIENTS_CA).unwrap()
            ));
            assert_eq!(
                yml["postgresql"]["authentication"][role]["sslcert"],
                json!(path)
            );
            assert!(shown.contains("PRIVATE KEY"));
        }
        assert!(text(&world, ordinal, SERVERS_CA).is_some());
    }
    assert_undisturbed(&world);
}

#[test]
fn a_provider_comes_and_goes_by_reload_alone() {
    let world = deployed(3);
    let provider = Provider::new("first");
    let member = leaf(&world, 1, MEMBER);
    related(&world, "certificates:7", &provider);
    assert_serves(&world, &provider);
    for ordinal in 0..3 {
        let names = leaf(&world, ordinal, SERVER).names;
        for name in [
            format!("postgresql-k8s-{ordinal}"),
            format!("postgresql-k8s-{ordinal}.postgresql-k8s-endpoints.m.svc.cluster.local"),
            "postgresql-k8s-primary.m.svc.cluster.local".to_owned(),
            "postgresql-k8s-replicas.m.svc.cluster.local".to_owned(),
            "localhost".to_owned(),
            format!("10.1.0.{ordinal}"),
        ] {
            assert!(names.contains(&name), "{name} in {names:?}");
        }
        let hba = yml(&world, ordinal)["postgresql"]["pg_hba"].to_string();
        assert!(
            hba.contains("hostssl all +relation_access")
                || hba.contains("hostssl samerole +relation_access"),
            "{hba}"
        );
        assert!(hba.contains("clientcert=verify-full"));
        let known = text(&world, ordinal, CLIENTS_CA).unwrap();
        assert_eq!(
            certificates(&known).unwrap().len(),
            2,
            "members' and provider's"
        );
        assert_eq!(
            text(&world, ordinal, SERVERS_CA),
            None,
            "it may serve others'"
        );
    }
    world.with(|state| state.tls.relation = None);
    settle(&world);
    for ordinal in 0..3 {
        assert_eq!(leaf(&world, ordinal, SERVER), leaf(&world, ordinal, MEMBER));
        let hba = yml(&world, ordinal)["postgresql"]["pg_hba"].to_string();
        assert!(!hba.contains("hostssl all +"));
        assert!(text(&world, ordinal, SERVERS_CA).is_some());
    }
    assert_eq!(
        leaf(&world, 1, MEMBER),
        member,
        "the members noticed nothing"
    );
    let other = Provider::new("second");
    related(&world, "certificates:9", &other);
    assert_serves(&world, &other);
}

#[test]
fn a_relation_that_has_ended_stays_so_while_juju_still_lists_it() {
    let world = deployed(2);
    let provider = Provider::new("ca");
    related(&world, "certificates:7", &provider);
    world.with(|state| state.tls.ends = true);
    let event = Event::RelationBroken(certificates_event());
    assert_eq!(world.hook(1, &event), Outcome::Done);
    world.with(|state| state.tls.ends = false);
    assert_eq!(leaf(&world, 1, SERVER), leaf(&world, 1, MEMBER));
    settle(&world);
    assert_eq!(leaf(&world, 1, SERVER), leaf(&world, 1, MEMBER));
    assert!(
        signed(&leaf(&world, 0, SERVER), &provider.pem()),
        "it has not seen the end yet"
    );
    let kept = world.with(|state| format!("{:?}", state.tls.unit_secrets[&1].keys()));
    assert!(kept.contains("\"key\"") && !kept.contains("cert"), "{kept}");
    related(&world, "certificates:8", &provider);
    assert_serves(&world, &provider);
}

#[test]
fn a_certificate_is_renewed_when_two_thirds_of_its_life_are_over() {
    let world = deployed(2);
    let provider = Provider::new("ca");
    related(&world, "certificates:1", &provider);
    let timer = |world: &World| world.with(|state| format!("{:?}", state.units[&1].renewal));
    let first = leaf(&world, 1, SERVER);
    assert!(timer(&world).contains(&first.renew_at().to_string()));
    world.with(|state| state.tls.now = first.renew_at() - 10);
    settle_with(&world, &provider);
    assert_eq!(leaf(&world, 1, SERVER), first, "it is not time yet");
    world.with(|state| state.tls.now = first.renew_at());
    settle(&world);
    assert_eq!(
        leaf(&world, 1, SERVER),
        first,
        "until the provider has answered"
    );
    settle_with(&world, &provider);
    let second = leaf(&world, 1, SERVER);
    assert!(second.not_after > first.not_after);
    assert_eq!(second.public, first.public, "the key stays");
    assert!(timer(&world).contains(&second.renew_at().to_string()));
    assert_serves(&world, &provider);
}

#[test]
fn a_new_authority_is_known_to_all_before_any_unit_serves_a_certificate_of_it() {
    for units in [1, 3] {
        let world = deployed(units);
        let (old, new) = (Provider::new("old"), Provider::new("new"));
        related(&world, "certificates:1", &old);
        new.answer(&world);
        for ordinal in ordinals(&world) {
            let event = Event::RelationChanged(certificates_event());
            assert_eq!(world.hook(ordinal, &event), Outcome::Done);
            assert_trust(&world);
            let bundle = text(&world, ordinal, SERVER_CA).unwrap();
            assert_eq!(certificates(&bundle).unwrap().len(), 2, "both are trusted");
            let serves_new = signed(&leaf(&world, ordinal, SERVER), &new.pem());
            assert!(!serves_new, "{ordinal} of {units} is too early");
        }
        let timers = world.with(|s| s.units.values().filter(|u| u.timer).count());
        assert_eq!(timers, units as usize, "each will look again by itself");
        settle(&world);
        assert_serves(&world, &new);
    }
}

#[test]
fn clients_are_told_each_authority_before_they_meet_it() {
    let world = deployed(2);
    world.relate("database:5", "app", &[("database", "shop")]);
    let event = world.relation_event("database:5");
    assert_eq!(world.hook(0, &Event::RelationChanged(event)), Outcome::Done);
    let told = |world: &World, key: &str| world.told("database:5").get(key).cloned();
    assert_ne!(told(&world, "tls"), Some("True".into()));
    let (old, new) = (Provider::new("old"), Provider::new("new"));
    related(&world, "certificates:1", &old);
    assert_eq!(told(&world, "tls"), Some("True".into()));
    assert_eq!(told(&world, "tls-ca"), Some(old.pem()));
    new.answer(&world);
    for _ in 0..6 {
        for ordinal in [0, 1] {
            world.with(support::State::let_patroni_work);
            assert_eq!(world.hook(ordinal, &peers_changed()), Outcome::Done);
            let knows = told(&world, "tls-ca").unwrap();
            let bundle = text(&world, 0, SERVER_CA).unwrap();
            assert_eq!(bundle.trim(), knows, "the leader's own, {ordinal}");
            for server in [0, 1] {
                assert!(signed(&leaf(&world, server, SERVER), &knows), "{server}");
            }
        }
    }
    for ordinal in [0, 1] {
        let bundle = text(&world, ordinal, SERVER_CA).unwrap();
        assert_eq!(bundle.trim(), new.pem(), "ca.pem of {ordinal}");
    }
    assert_eq!(told(&world, "tls-ca"), Some(new.pem()));
    world.with(|state| state.tls.relation = None);
    settle(&world);
    assert_ne!(told(&world, "tls"), Some("True".into()));
}

#[test]
fn the_internal_authority_is_rotated_in_steps_that_every_member_follows() {
    let world = deployed(3);
    let first = text(&world, 0, MEMBER_CA).unwrap();
    let due = Certificate::parse(&first).unwrap().renew_at();
    // Members' certificates are renewed each year; ten years are not waited for year by year.
    world.with(|state| {
        for unit in state.units.values_mut() {
            unit.files.remove(MEMBER);
            unit.files.remove(SERVER);
        }
        state.tls.now = due - 1;
    });
    for ordinal in 0..3 {
        world.hook(ordinal, &notice());
    }
    settle(&world);
    assert_eq!(text(&world, 0, MEMBER_CA).unwrap(), first);
    world.with(|state| state.tls.now = due);
    let mut most = 0;
    for _ in 0..8 {
        world.with(support::State::let_patroni_work);
        for ordinal in [2, 0, 1] {
            assert_eq!(world.hook(ordinal, &peers_changed()), Outcome::Done);
            assert_trust(&world);
            let bundle = text(&world, ordinal, MEMBER_CA).unwrap();
            most = most.max(certificates(&bundle).unwrap().len());
        }
    }
    assert_eq!(most, 2, "old and new overlap");
    let last = text(&world, 0, MEMBER_CA).unwrap();
    assert_eq!(certificates(&last).unwrap().len(), 1);
    assert_ne!(last, first);
    for ordinal in 0..3 {
        assert!(signed(&leaf(&world, ordinal, MEMBER), &last));
    }
    assert_undisturbed(&world);
}

#[test]
fn a_cluster_without_tls_turns_to_it_once_every_member_trusts_the_authority() {
    let world = deployed(3);
    world.with(|state| {
        // As a revision without TLS left it.
        state.tls.authority.clear();
        for unit in state.units.values_mut() {
            unit.bag.remove("tls-state");
            unit.served = None;
            for path in [
                MEMBER,
                MEMBER_CA,
                SERVER,
                SERVER_CA,
                CLIENTS_CA,
                SERVERS_CA,
                REPLICATION,
                REWIND,
            ] {
                unit.files.remove(path);
            }
        }
    });
    assert_eq!(world.hook(0, &Event::UpgradeCharm), Outcome::Done);
    assert_eq!(world.hook(1, &peers_changed()), Outcome::Done);
    for ordinal in [0, 1] {
        assert!(yml(&world, ordinal)["restapi"].get("certfile").is_none());
        assert!(yml(&world, ordinal)["restapi"].get("cafile").is_some());
    }
    settle(&world);
    for ordinal in 0..3 {
        assert!(yml(&world, ordinal)["restapi"].get("certfile").is_some());
    }
    assert_undisturbed(&world);
}

#[test]
fn a_unit_that_joins_while_an_authority_changes_is_trusted_and_trusts() {
    let world = deployed(2);
    let (old, new) = (Provider::new("old"), Provider::new("new"));
    related(&world, "certificates:1", &old);
    new.answer(&world);
    world.hook(0, &Event::RelationChanged(certificates_event()));
    world.with(|state| state.add_unit(2));
    first_hooks(&world, 2);
    assert_trust(&world);
    settle_with(&world, &new);
    world.with(|state| state.unit(2).starts = 0);
    assert_serves(&world, &new);
}

#[test]
fn a_pod_that_comes_back_with_another_address_asks_for_a_certificate_with_it() {
    let world = deployed(1);
    let provider = Provider::new("ca");
    related(&world, "certificates:1", &provider);
    let before = world.with(|state| state.tls.requests[&0].clone());
    world.with(|state| state.network = "10.2.0".into());
    settle_with(&world, &provider);
    assert_ne!(world.with(|state| state.tls.requests[&0].clone()), before);
    let names = leaf(&world, 0, SERVER).names;
    assert!(names.contains("10.2.0.0"), "{names:?}");
}

/// A certificate for the unit's key, and for no name.
fn nameless(world: &World) -> String {
    let key = PrivateKey::parse(&text(world, 0, SERVER).unwrap().into()).unwrap();
    let pair = rcgen::KeyPair::from_pem(key.pem().expose_secret()).unwrap();
    let made = rcgen::CertificateParams::default();
    made.self_signed(&pair).unwrap().pem()
}

#[test]
fn what_a_provider_gives_and_cannot_be_used_is_told_and_changes_nothing() {
    let world = deployed(1);
    let provider = Provider::new("ca");
    related(&world, "certificates:1", &provider);
    let good = world.with(|state| state.tls.provider.clone());
    let serves = leaf(&world, 0, SERVER);
    let request: Value = serde_json::from_str(&world.with(|s| s.tls.requests[&0].clone())).unwrap();
    let request = &request[0]["certificate_signing_request"];
    let entry = |certificate: &str| {
        json!([{"certificate_signing_request": request, "certificate": certificate,
                "ca": provider.pem()}])
    };
    for (key, value, says) in [
        ("certificates", json!("none"), "certificates"),
        ("certificates", entry("rubbish"), "no certificate in PEM"),
        ("certificates", entry(&provider.pem()), "for another key"),
        (
            "certificates",
            entry(&nameless(&world)),
            "lacks the unit's host name",
        ),
        (
            "request_errors",
            json!([{"csr": request, "error":
            {"code": 101, "name": "IP_NOT_ALLOWED", "message": "no addresses"}}]),
            "no addresses",
        ),
    ] {
        world.with(|state| {
            state.tls.provider.insert(key.into(), value.to_string());
        });
        world.hook(0, &Event::RelationChanged(certificates_event()));
        let (word, message) = world.status(0);
        assert_eq!(word, "blocked", "{says}");
        assert!(message.contains(says), "{message}");
        assert_eq!(leaf(&world, 0, SERVER), serves);
        world.with(|state| state.tls.provider = good.clone());
        world.hook(0, &Event::RelationChanged(certificates_event()));
        assert_eq!(world.status(0).0, "active", "it clears by itself");
    }
}

#[test]
fn a_revoked_certificate_is_replaced() {
    let world = deployed(1);
    let provider = Provider::new("ca");
    related(&world, "certificates:1", &provider);
    let first = leaf(&world, 0, SERVER);
    world.with(|state| {
        let text = &state.tls.provider["certificates"];
        let mut list: Value = serde_json::from_str(text).unwrap();
        list[0]["revoked"] = json!(true);
        state
            .tls
            .provider
            .insert("certificates".into(), list.to_string());
    });
    world.hook(0, &Event::RelationChanged(certificates_event()));
    settle_with(&world, &provider);
    assert_ne!(leaf(&world, 0, SERVER), first);
    assert_serves(&world, &provider);
}

#[test]
fn an_operators_key_is_used_from_the_next_certificate_on() {
    let world = deployed(1);
    let provider = Provider::new("ca");
    related(&world, "certificates:1", &provider);
    let first = leaf(&world, 0, SERVER);
    let rsa = include_str!("../crates/tls-interface/tests/keys/rsa-pkcs1.pem");
    let params = SetPrivateKey {
        private_key: Some(rsa.into()),
    };
    world
        .action(0, |hook| set_private_key(hook, params))
        .unwrap();
    assert_eq!(
        leaf(&world, 0, SERVER),
        first,
        "until the provider has answered"
    );
    settle_with(&world, &provider);
    let key = PrivateKey::parse(&rsa.into()).unwrap();
    assert_eq!(leaf(&world, 0, SERVER).public, key.public());
    let bad = SetPrivateKey {
        private_key: Some("rubbish!".into()),
    };
    let said = world
        .action(0, |hook| set_private_key(hook, bad))
        .unwrap_err();
    assert!(said.contains("neither PEM nor base64"), "{said}");
    world
        .action(0, |hook| set_private_key(hook, SetPrivateKey::default()))
        .unwrap();
    settle_with(&world, &provider);
    assert_ne!(leaf(&world, 0, SERVER).public, key.public());
    assert_serves(&world, &provider);
}

#[test]
fn a_key_that_is_set_before_there_is_a_relation_is_used() {
    let world = deployed(1);
    let rsa = include_str!("../crates/tls-interface/tests/keys/rsa-pkcs8.pem");
    let params = SetPrivateKey {
        private_key: Some(rsa.into()),
    };
    world
        .action(0, |hook| set_private_key(hook, params))
        .unwrap();
    related(&world, "certificates:1", &Provider::new("ca"));
    let key = PrivateKey::parse(&rsa.into()).unwrap();
    assert_eq!(leaf(&world, 0, SERVER).public, key.public());
}

#[test]
fn no_private_key_is_in_a_databag_a_status_or_a_file_that_others_can_read() {
    let world = deployed(3);
    related(&world, "certificates:1", &Provider::new("ca"));
    world.with(|state| {
        let mut open = vec![format!("{:?}", state.app_bag), state.said.clone()];
        open.extend(state.units.values().map(|unit| format!("{:?}", unit.bag)));
        open.extend(state.tls.requests.values().cloned());
        open.extend(state.effects.clone());
        let mut secrets = Vec::new();
        for unit in state.units.values() {
            for (path, file) in &unit.files {
                let content = String::from_utf8_lossy(&file.content).into_owned();
                if content.contains("PRIVATE KEY") {
                    assert_eq!(
                        (file.mode, file.user.as_str()),
                        (0o600, "postgres"),
                        "{path}"
                    );
                    secrets.extend(content.lines().skip(1).take(2).map(str::to_owned));
                } else {
                    open.push(content);
                }
            }
        }
        assert!(secrets.len() >= 12, "there are keys to look for");
        for text in open {
            assert!(!text.contains("PRIVATE KEY"));
            assert!(secrets.iter().all(|secret| !text.contains(secret)));
        }
    });
}

#[test]
fn a_process_that_dies_after_any_effect_loses_no_reload_and_no_trust() {
    for effect in 1.. {
        let world = deployed(2);
        let provider = Provider::new("ca");
        related(&world, "certificates:1", &provider);
        let new = Provider::new("new");
        new.answer(&world);
        settle_with(&world, &new);
        let due = leaf(&world, 1, SERVER).renew_at();
        world.with(|state| state.tls.now = due);
        settle(&world);
        new.answer(&world);
        world.with(|state| state.dies_after = Some(effect));
        let event = Event::RelationChanged(certificates_event());
        let died = world.hook(1, &event) == Outcome::Died;
        world.with(|state| state.dies_after = None);
        assert_trust(&world);
        settle_with(&world, &new);
        assert_serves(&world, &new);
        if !died {
            assert!(effect > 3, "there was something to die after");
            break;
        }
    }
}

#[test]
fn a_patroni_started_by_a_process_that_died_shows_the_certificate_that_juju_kept_in_the_end() {
    for effect in 1.. {
        let world = World::of(1);
        world.with(|state| state.dies_after = Some(effect));
        // What it has made up goes with the process, but Patroni may have read it by then.
        let outcome = world.hook(0, &peers_created());
        world.with(|state| {
            state.dies_after = None;
            state.let_patroni_work();
        });
        // Several hooks within one loop of Patroni.
        for event in [
            Event::LeaderElected,
            pebble_ready(),
            Event::ConfigChanged,
            Event::Start,
        ] {
            assert_eq!(world.hook(0, &event), Outcome::Done);
        }
        world.settle();
        let shown = world.with(|state| state.units[&0].served.clone()).unwrap();
        let shown = Certificate::parse(&shown).unwrap().fingerprint();
        let wanted = leaf(&world, 0, MEMBER).fingerprint();
        assert_eq!(shown, wanted, "effect {effect}");
        assert_trust(&world);
        if outcome == Outcome::Done {
            assert!(effect > 5, "it has died {effect} times");
            return;
        }
    }
}

/// A unit's announcement as a revision without identities makes it, and its files.
fn older(world: &World, ordinal: u32) {
    world.with(|state| {
        let unit = state.unit(ordinal);
        let said = Announcement::from_bag(&unit.bag["tls-state"]).unwrap();
        let mut older: Value = serde_json::from_str(&said.to_bag()).unwrap();
        older.as_object_mut().unwrap().remove("identified");
        unit.bag.insert("tls-state".into(), older.to_string());
        for path in [CLIENTS_CA, SERVERS_CA, REPLICATION, REWIND] {
            unit.files.remove(path);
        }
        let yml = unit.files.get_mut(PATRONI_YML).unwrap();
        let text = String::from_utf8(yml.content.clone()).unwrap();
        let text = text.replace(CLIENTS_CA, SERVER_CA);
        yml.content = text.replace(" clientcert=verify-full", "").into_bytes();
    });
}

fn identified(world: &World, ordinal: u32) -> Identified {
    let text = world.with(|state| state.units[&ordinal].bag["tls-state"].clone());
    Announcement::from_bag(&text).unwrap().identified
}

fn shows(world: &World, ordinal: u32) -> bool {
    text(world, ordinal, REPLICATION).is_some()
}

fn demands(world: &World, ordinal: u32) -> bool {
    let rules = yml(world, ordinal)["postgresql"]["pg_hba"].to_string();
    rules.contains("clientcert=verify-full")
}

#[test]
fn no_member_is_shut_out_while_others_are_of_a_revision_without_identities() {
    for with_provider in [false, true] {
        let world = deployed(3);
        if with_provider {
            related(&world, "certificates:1", &Provider::new("ca"));
        }
        for ordinal in 0..3 {
            older(&world, ordinal);
        }
        // The highest unit is refreshed first, the primary's last.
        for refreshed in [2, 1, 0] {
            for ordinal in (refreshed..3).rev() {
                world.with(support::State::let_patroni_work);
                assert_eq!(world.hook(ordinal, &peers_changed()), Outcome::Done);
                if refreshed > 0 {
                    assert!(!shows(&world, ordinal), "an older server may not know it");
                    assert!(!demands(&world, ordinal), "an older member shows none");
                }
            }
        }
        settle(&world);
        for ordinal in 0..3 {
            assert!(shows(&world, ordinal) && demands(&world, ordinal));
            assert_eq!(identified(&world, ordinal), Identified::Demands);
        }
    }
}

#[test]
fn a_member_that_goes_back_to_an_older_revision_is_let_in_as_soon_as_it_is_told() {
    let world = deployed(3);
    older(&world, 2);
    for ordinal in [0, 1] {
        assert!(demands(&world, ordinal));
        // Juju tells of that unit, and of no other.
        assert_eq!(world.hook(ordinal, &support::changed_by(2)), Outcome::Done);
        assert!(
            !demands(&world, ordinal) && !shows(&world, ordinal),
            "{ordinal}"
        );
    }
    settle(&world);
    for ordinal in 0..3 {
        assert_eq!(
            identified(&world, ordinal),
            Identified::Demands,
            "forward again"
        );
    }
}

#[test]
fn a_unit_that_joins_has_its_identity_from_the_first_start_on() {
    let world = deployed(2);
    world.with(|state| state.add_unit(2));
    first_hooks(&world, 2);
    assert!(shows(&world, 2) && demands(&world, 2));
    assert!(demands(&world, 0), "it stays so for all others");
}
