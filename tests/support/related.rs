//! A deployed application and clients that are related to it.

use juju::Event;

use super::{Outcome, World, pebble_ready, peers_created};

pub const SECRETS: (&str, &str) = (
    "requested-secrets",
    r#"["username", "password", "tls", "tls-ca", "uris", "read-only-uris"]"#,
);

pub fn first_hooks(leader: bool) -> Vec<Event> {
    let mut hooks = vec![Event::Install, peers_created()];
    if leader {
        hooks.push(Event::LeaderElected);
    }
    hooks.extend([Event::ConfigChanged, Event::Start, pebble_ready()]);
    hooks
}

pub fn deploy(world: &World, units: u32) {
    for ordinal in 0..units {
        for event in first_hooks(ordinal == 0) {
            assert_eq!(world.hook(ordinal, &event), Outcome::Done, "{event:?}");
        }
    }
    world.settle();
}

pub fn deployed(units: u32) -> World {
    let world = World::of(units);
    deploy(&world, units);
    world
}

/// Relates a client and runs the hooks that it brings.
pub fn related(world: &World, id: &str, asks: &[(&str, &str)]) {
    world.relate(id, "app", asks);
    let event = world.relation_event(id);
    for event in [
        Event::RelationCreated(event.clone()),
        Event::RelationChanged(event),
    ] {
        assert_eq!(world.hook(0, &event), Outcome::Done);
    }
}

/// The calls of hook tools about clients that a hook makes.
pub fn calls(world: &World, event: &Event) -> usize {
    assert_eq!(world.hook(0, event), Outcome::Done);
    world.with(|state| state.clients.calls)
}

pub fn log_in(world: &World, user: &str, password: &str) -> bool {
    let role = world.with(|state| state.roles.get(user).cloned());
    let password = password.to_owned().into();
    role.is_some_and(|role| {
        let verifier = role.verifier.unwrap_or_default();
        role.login && postgresql_k8s::scram::fits(&password, &verifier)
    })
}
