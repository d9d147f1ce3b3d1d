//! What the tests of certificates share: a deployed world, and what has to hold in it after every
//! hook.

use cluster_plan::planner::PATRONI_YML;
use juju::{Event, RelationEvent};
use postgresql_k8s::observe::identity;
use postgresql_k8s::observe::tls::{MEMBER, MEMBER_CA, SERVER, SERVER_CA};
use serde_json::Value;
use tls_interface::{Certificate, PrivateKey, certificates};

use super::{Outcome, Provider, World, notice, pebble_ready, peers_changed, peers_created};

pub fn first_hooks(world: &World, ordinal: u32) {
    let mut hooks = vec![Event::Install, peers_created()];
    if ordinal == 0 {
        hooks.push(Event::LeaderElected);
    }
    hooks.extend([Event::ConfigChanged, Event::Start, pebble_ready()]);
    for event in hooks {
        assert_eq!(world.hook(ordinal, &event), Outcome::Done, "{event:?}");
    }
}

pub fn deployed(units: u32) -> World {
    let world = World::of(units);
    for ordinal in 0..units {
        first_hooks(&world, ordinal);
    }
    settle(&world);
    world.with(|state| {
        for unit in state.units.values_mut() {
            unit.starts = 0;
        }
    });
    world
}

pub fn certificates_event() -> RelationEvent {
    RelationEvent {
        endpoint: "certificates".into(),
        ..RelationEvent::default()
    }
}

pub fn text(world: &World, ordinal: u32, path: &str) -> Option<String> {
    world.with(|state| {
        let file = state.units[&ordinal].files.get(path)?;
        assert_eq!(
            (file.mode, file.user.as_str()),
            (0o600, "postgres"),
            "{path}"
        );
        Some(String::from_utf8(file.content.clone()).unwrap())
    })
}

pub fn leaf(world: &World, ordinal: u32, path: &str) -> Certificate {
    Certificate::parse(&text(world, ordinal, path).unwrap()).unwrap()
}

pub fn yml(world: &World, ordinal: u32) -> Value {
    serde_yaml::from_str(&text(world, ordinal, PATRONI_YML).unwrap()).unwrap()
}

pub fn ordinals(world: &World) -> Vec<u32> {
    world.with(|state| state.units.keys().copied().collect())
}

/// What has to hold after every hook: every member trusts the certificate that every other one
/// serves, each server's key is of its certificate, and clients' authorities are in `ca.pem`.
pub fn assert_trust(world: &World) {
    assert_let_in(world);
    let now = world.with(|state| state.tls.now);
    for server in ordinals(world) {
        for path in [MEMBER, SERVER] {
            let Some(pem) = text(world, server, path) else {
                continue;
            };
            let certificate = Certificate::parse(&pem).unwrap();
            let key = PrivateKey::parse(&pem.into()).unwrap();
            assert_eq!(certificate.public, key.public(), "{path} of {server}");
            assert!(certificate.valid_at(now), "{path} of {server} has expired");
        }
        if let Some(trusted) = text(world, server, SERVER_CA) {
            assert!(
                signed(&leaf(world, server, SERVER), &trusted),
                "own ca.pem of {server}"
            );
        }
        let serves = text(world, server, MEMBER).is_some()
            && yml(world, server)["restapi"].get("certfile").is_some();
        for other in ordinals(world) {
            let Some(trusted) = text(world, other, MEMBER_CA).filter(|_| serves) else {
                continue;
            };
            let member = leaf(world, server, MEMBER);
            assert!(signed(&member, &trusted), "{other} does not trust {server}");
            if let Some(shown) = world.with(|state| state.units[&server].served.clone()) {
                let shown = Certificate::parse(&shown).unwrap();
                assert!(
                    signed(&shown, &trusted),
                    "{other} does not trust what {server} shows"
                );
            }
        }
    }
}

/// What has to hold after every hook: each member's PostgreSQL knows the authority of whoever shows a
/// certificate to it, and wants none where another member of this revision shows none.
fn assert_let_in(world: &World) {
    let started = |ordinal: u32| world.with(|state| state.units[&ordinal].loaded.is_some());
    for server in ordinals(world)
        .into_iter()
        .filter(|ordinal| started(*ordinal))
    {
        let rules = yml(world, server)["postgresql"]["pg_hba"].to_string();
        let demands = rules.contains("clientcert=verify-full");
        let parameters = &yml(world, server)["postgresql"]["parameters"];
        let path = parameters.get("ssl_ca_file").and_then(Value::as_str);
        let known = path.map(|path| text(world, server, path));
        // A test has taken its files away: it is as another revision left it.
        if known == Some(None) {
            continue;
        }
        let known = known.flatten();
        for client in ordinals(world)
            .into_iter()
            .filter(|ordinal| started(*ordinal))
        {
            for path in [identity::REPLICATION, identity::REWIND] {
                let Some(pem) = text(world, client, path) else {
                    assert!(!demands || client == server, "{server} shuts out {client}");
                    continue;
                };
                let certificate = Certificate::parse(&pem).unwrap();
                let key = PrivateKey::parse(&pem.into()).unwrap();
                assert_eq!(certificate.public, key.public(), "{path} of {client}");
                if let Some(known) = &known {
                    assert!(
                        signed(&certificate, known),
                        "{client} is unknown to {server}"
                    );
                }
            }
        }
    }
}

pub fn signed(certificate: &Certificate, by: &str) -> bool {
    let authorities = certificates(by).unwrap();
    authorities.iter().any(|a| certificate.signed_by(a))
}

/// Every unit's hooks, again and again, until nothing changes; trust holds all the time.
pub fn settle(world: &World) {
    for _ in 0..20 {
        let before = files(world);
        world.with(super::State::let_patroni_work);
        for ordinal in ordinals(world) {
            for event in [peers_changed(), notice()] {
                assert_eq!(world.hook(ordinal, &event), Outcome::Done);
                assert_trust(world);
            }
        }
        if files(world) == before && world.with(|state| state.heard()) {
            return;
        }
    }
    panic!("the world does not come to rest");
}

pub fn files(world: &World) -> Vec<String> {
    world.with(|state| {
        let units = state.units.values();
        let told = units.map(|unit| format!("{:?} {:?}", unit.files, unit.bag));
        told.chain([format!("{:?}", state.tls.requests)]).collect()
    })
}

/// Provider and units answer each other until all is quiet.
pub fn settle_with(world: &World, provider: &Provider) {
    for _ in 0..6 {
        settle(world);
        provider.answer(world);
    }
    settle(world);
}

pub fn related(world: &World, id: &str, provider: &Provider) {
    world.with(|state| {
        state.tls.relation = Some(id.to_owned());
        state.tls.provider.clear();
        state.tls.requests.clear();
    });
    for ordinal in ordinals(world) {
        let event = Event::RelationCreated(certificates_event());
        assert_eq!(world.hook(ordinal, &event), Outcome::Done);
    }
    settle_with(world, provider);
}

pub fn assert_serves(world: &World, provider: &Provider) {
    for ordinal in ordinals(world) {
        assert!(signed(&leaf(world, ordinal, SERVER), &provider.pem()));
        assert_eq!(
            text(world, ordinal, SERVER_CA).unwrap().trim(),
            provider.pem()
        );
        assert_eq!(world.status(ordinal).0, "active");
    }
    assert_undisturbed(world);
}

pub fn assert_undisturbed(world: &World) {
    world.with(|state| {
        assert_eq!(state.holder, Some(0), "no failover");
        assert!(state.restarts.is_empty(), "no restart");
        for unit in state.units.values() {
            assert!(unit.postgres_runs);
            assert_eq!(unit.starts, 0, "no start");
            assert!(!unit.unread, "what was pushed is read");
        }
    });
}
