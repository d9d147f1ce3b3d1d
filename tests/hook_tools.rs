//! Whole hooks and actions by way of the hook tools: what Juju holds before, what it holds after,
//! and how many processes that took.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::struct_excessive_bools,
    unused_imports,
    reason = "a test fails by them"
)]

mod support;

use juju::harness::{Fault, Harness, Outcome, Owner, Relation, Secret, State, Storage, Trigger};
use juju::{Context, Event, Status};
use postgresql_k8s::handlers::Hook;
use postgresql_k8s::juju_port::HookJuju;
use postgresql_k8s::run;
use support::World;

const LABEL: &str = "database-peers.postgresql-k8s.app";

fn harness() -> Harness {
    Harness::from_dir(env!("CARGO_MANIFEST_DIR")).unwrap()
}

fn run(harness: &Harness, world: &World, trigger: impl Into<Trigger>, state: &State) -> Outcome {
    harness
        .run(trigger, state, |env, tools| {
            let context = Context::for_hook(env, tools);
            let juju = HookJuju::new(env, &context);
            world.ports(env.ordinal(), |ports| {
                let hook = Hook { juju: &juju, ports };
                run::handle(env, &context, &hook)
            })
        })
        .unwrap()
}

fn peers(units: u32) -> Relation {
    (1..units).fold(Relation::peer("database-peers", 0), |relation, unit| {
        relation.unit(unit, [("member", "replica")])
    })
}

fn deployed(units: u32) -> State {
    let mut state = State::default()
        .leading()
        .with_relation(peers(units))
        .with_relation(Relation::peer("restart", 1))
        .with_relation(Relation::peer("upgrade", 2))
        .with_storage(Storage::new("pgdata", 0, "/var/lib/postgresql/data"))
        .with_container("postgresql", true);
    state.planned_units = units;
    state.model.name = support::MODEL.into();
    state
}

/// A leader's unit whose cluster stands, and the world around it.
fn standing() -> (World, State) {
    standing_of(1)
}

/// The same with so many units; the others' Patronis were started as this one's was.
fn standing_of(units: u32) -> (World, State) {
    let world = World::of(units);
    let mut state = deployed(units);
    for event in [
        Trigger::from(Event::LeaderElected),
        Trigger::pebble_ready("postgresql"),
        Trigger::from(Event::Start),
    ] {
        let outcome = run(&harness(), &world, event, &state);
        assert_eq!(outcome.failure, None);
        state = outcome.state;
        world.with(support::State::let_patroni_work);
    }
    let notice = Trigger::pebble_custom_notice("postgresql", "1", "postgresql-k8s.charm/patroni");
    for _ in 0..3 {
        world.with(|world| {
            let (files, layer) = (world.units[&0].files.clone(), world.units[&0].layer.clone());
            for ordinal in 1..units {
                let unit = world.unit(ordinal);
                (unit.files, unit.layer) = (files.clone(), layer.clone());
                unit.service = cluster_plan::observed::ServiceState::Active;
            }
            world.let_patroni_work();
        });
        state = run(&harness(), &world, notice.clone(), &state).state;
    }
    assert_eq!(state.unit_status, Some(Status::active("Primary")));
    (world, state)
}

#[test]
fn the_leader_keeps_its_passwords_in_one_secret_of_the_application() {
    let outcome = run(
        &harness(),
        &World::of(3),
        Event::LeaderElected,
        &deployed(3),
    );
    assert_eq!(outcome.failure, None);
    let secret = outcome.state.secret(LABEL).unwrap();
    assert_eq!(secret.owner, Owner::Application);
    let keys: Vec<String> = secret.content().into_keys().collect();
    assert_eq!(
        keys,
        [
            "internal-ca",
            "internal-ca-key",
            "monitoring-password",
            "operator-password",
            "patroni-password",
            "replication-password",
            "rewind-password"
        ]
    );
    for bag in &outcome.state.relations {
        assert!(!format!("{:?}", bag.local_app).contains("made-up-secret"));
        assert!(!format!("{:?}", bag.local_unit).contains("made-up-secret"));
    }
    assert!(!format!("{:?}", outcome.logs).contains("made-up-secret"));
}

#[test]
fn a_standby_waits_for_the_leaders_secret() {
    let mut state = deployed(3);
    state.leader = false;
    let harness = harness().as_unit("postgresql-k8s/1");
    state.relations[0] = Relation::peer("database-peers", 0).unit(0, []).unit(2, []);
    let outcome = run(
        &harness,
        &World::of(3),
        Trigger::pebble_ready("postgresql"),
        &state,
    );
    assert_eq!(outcome.failure, None);
    let waiting = Status::waiting("waiting for the leader's passwords");
    assert_eq!(outcome.state.unit_status, Some(waiting));
}

#[test]
fn a_healthy_clusters_update_status_takes_at_most_12_processes() {
    for units in [1, 3, 9] {
        let (world, state) = standing_of(units);
        let standbys = units - 1;
        let guarantee = Status::active(format!("commits wait for {standbys} standbys"));
        if units > 1 {
            assert_eq!(state.app_status, Some(guarantee));
        }
        let outcome = run(&harness(), &world, Event::UpdateStatus, &state);
        assert_eq!(outcome.failure, None);
        let calls = outcome.calls.iter();
        let tools: Vec<&str> = calls.map(|call| call.tool.as_str()).collect();
        assert!(tools.len() <= 12, "{units}: {tools:?}");
        assert_eq!(outcome.state, state, "nothing changes");
    }
}

#[test]
fn ports_version_and_endpoints_are_told() {
    let (_, state) = standing();
    let ports: Vec<String> = state.opened_ports.iter().map(ToString::to_string).collect();
    assert_eq!(ports, ["5432/tcp", "8008/tcp"]);
    assert_eq!(state.workload_version, "15.18");
    assert_eq!(
        state.relation_of("database-peers").unwrap().local_app["endpoints"],
        "[\"postgresql-k8s-0.postgresql-k8s-endpoints\"]"
    );
    assert_eq!(state.app_status, Some(Status::active("")));
}

#[test]
fn actions_take_their_parameters_and_give_their_results() {
    let (world, state) = standing();
    let harness = harness();
    let action = |trigger: Trigger| run(&harness, &world, trigger, &state).action.unwrap();
    let primary = action(Trigger::action("get-primary"));
    assert_eq!(primary.results["primary"], "postgresql-k8s/0");
    let set = action(Trigger::action("set-password").param("password", "chosen-by-hand"));
    assert_eq!(
        (set.failure, set.results["password"].as_str()),
        (None, Some("chosen-by-hand"))
    );
    let refused = action(Trigger::action("get-password").param("username", "nobody"));
    assert!(refused.failure.unwrap().contains("not nobody"));
    let missing = action(Trigger::action("create-backup"));
    assert!(
        missing
            .failure
            .unwrap()
            .contains("not available in this revision")
    );
}

#[test]
fn leadership_that_goes_in_the_middle_of_a_hook_fails_nothing() {
    let (world, state) = standing();
    let config = state.with_config("synchronous_node_count", "majority");
    for call in 1..12 {
        let harness = harness().with_fault(Fault::LeadershipLost { after_calls: call });
        let outcome = run(&harness, &world, Event::ConfigChanged, &config);
        assert_eq!(outcome.failure, None, "at call {call}");
    }
}

#[test]
fn a_relation_that_is_not_served_yet_is_told_and_goes_with_the_relation() {
    let (world, state) = standing();
    let s3 = Relation::new("s3-parameters", 7, "s3").unit(0, []);
    let with = state.clone().with_relation(s3);
    let outcome = run(&harness(), &world, Event::ConfigChanged, &with);
    let told = "relation s3-parameters is not served by this revision yet: remove it";
    assert_eq!(outcome.state.unit_status, Some(Status::blocked(told)));
    let outcome = run(&harness(), &world, Event::ConfigChanged, &state);
    assert_eq!(outcome.state.unit_status, Some(Status::active("Primary")));
}

#[test]
fn a_units_key_is_in_its_own_secret_and_its_request_in_its_databag() {
    let (world, state) = standing();
    let with = state.with_relation(Relation::new("certificates", 7, "ca").unit(0, []));
    let harness = harness();
    let outcome = run(&harness, &world, Event::ConfigChanged, &with);
    assert_eq!(outcome.failure, None);
    let unit_label = "database-peers.postgresql-k8s.unit";
    let secret = outcome.state.secret(unit_label).unwrap().clone();
    assert_eq!(secret.owner, Owner::Unit);
    let content = secret.content();
    assert!(content["key"].contains("PRIVATE KEY"));
    let relation = outcome.state.relation_of("certificates").unwrap();
    let asked = &relation.local_unit["certificate_signing_requests"];
    assert!(asked.contains("CERTIFICATE REQUEST") && !asked.contains("PRIVATE"));
    assert_eq!(outcome.state.unit_status, Some(Status::active("Primary")));
    let again = run(&harness, &world, Event::ConfigChanged, &outcome.state);
    let mut expected = outcome.state.clone();
    let own = expected.secrets.iter_mut().find(|s| s.label == unit_label);
    own.unwrap().tracked = Some(1);
    assert_eq!(again.state, expected, "it is asked for once");
}

#[test]
fn a_revision_that_nobody_reads_is_removed_with_its_keys() {
    let (world, mut state) = standing();
    let params = Trigger::action("set-password").param("password", "chosen-by-hand");
    state = run(&harness(), &world, params, &state).state;
    let secret = state.secret(LABEL).unwrap().clone();
    let old = *secret.revisions.keys().next().unwrap();
    assert_ne!(Some(&old), secret.revisions.keys().last());
    let outcome = run(
        &harness(),
        &world,
        Trigger::secret_remove(&secret, old),
        &state,
    );
    assert_eq!(outcome.failure, None);
    let left = &outcome.state.secret(LABEL).unwrap().revisions;
    assert!(!left.contains_key(&old) && !left.is_empty());
}

#[test]
fn no_hook_fails_because_somebody_else_is_leaving() {
    let (world, state) = standing_of(3);
    let gone = [
        ("goal-state", "unit \"postgresql-k8s/2\" not found"),
        ("goal-state", "unit is dead"),
        ("relation-list", "relation not found"),
        ("relation-get", "relation not found"),
        ("relation-get", "relation unit not found"),
        (
            "relation-get",
            "getting application \"postgresql-k8s\" not found",
        ),
        ("relation-set", "relation not found"),
        ("relation-set", "relation is not alive"),
    ];
    let bystander = harness().as_unit("postgresql-k8s/1");
    let mut followed = state.clone();
    followed.leader = false;
    followed.relations[0] = Relation::peer("database-peers", 0).unit(0, []).unit(2, []);
    for (tool, text) in gone {
        let fault = Fault::ToolRefuses {
            tool: tool.into(),
            text: text.into(),
        };
        for (harness, state) in [(harness(), &state), (bystander.clone(), &followed)] {
            let outcome = run(
                &harness.with_fault(fault.clone()),
                &world,
                Event::UpdateStatus,
                state,
            );
            assert_eq!(outcome.failure, None, "{tool}: {text}");
        }
    }
}

#[test]
fn a_secret_that_is_not_granted_is_told_with_the_command_in_every_version_of_juju() {
    let (world, state) = standing();
    let state = state.with_config("system-users", "secret:9m4e2mr0ui3e8a215n4g");
    for text in [
        "permission denied",
        "\"postgresql-k8s/0\" is not allowed to read this secret",
        "secret \"9m4e2mr0ui3e8a215n4g\" not found",
    ] {
        let outcome = run_refused(&world, &state, text);
        assert_eq!(outcome.failure, None, "{text}");
        let status = outcome.state.unit_status.unwrap();
        assert!(
            status.message.contains("juju grant-secret"),
            "{}",
            status.message
        );
    }
}

/// The operator's secret is refused, the application's own is not.
fn run_refused(world: &World, state: &State, text: &str) -> Outcome {
    struct Refusing<'a>(&'a dyn juju::HookTools, &'a str);
    impl juju::HookTools for Refusing<'_> {
        fn run(
            &self,
            tool: &str,
            args: &[&str],
            stdin: Option<&[u8]>,
        ) -> std::io::Result<juju::Output> {
            let theirs = |arg: &&str| arg.contains("9m4e2mr0ui3e8a215n4g");
            if tool == "secret-get" && args.iter().any(theirs) {
                return Ok(juju::Output {
                    code: 1,
                    stderr: format!("ERROR {}\n", self.1).into_bytes(),
                    ..juju::Output::default()
                });
            }
            self.0.run(tool, args, stdin)
        }
    }
    let ran = harness().run(Event::ConfigChanged, state, |env, tools| {
        let tools = Refusing(tools, text);
        let context = Context::for_hook(env, &tools);
        let juju = HookJuju::new(env, &context);
        world.ports(env.ordinal(), |ports| {
            let hook = Hook { juju: &juju, ports };
            run::handle(env, &context, &hook)
        })
    });
    ran.unwrap()
}

/// A folder that a unit keeps what it read of secrets in.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> std::path::PathBuf {
        self.0.join(".kept-secrets")
    }

    /// Runs a hook that keeps; how often it has read a secret.
    fn run(
        &self,
        harness: &Harness,
        world: &World,
        trigger: impl Into<Trigger>,
        state: &State,
    ) -> (Outcome, usize) {
        let ran = harness.run(trigger, state, |env, tools| {
            let context = Context::for_hook(env, tools);
            let juju = HookJuju::keeping(env, &context, &self.0);
            let ended = world.ports(env.ordinal(), |ports| {
                let hook = Hook { juju: &juju, ports };
                run::handle(env, &context, &hook)
            });
            ended.map(|()| juju.keep())
        });
        let outcome = ran.unwrap();
        let reads = outcome.calls_of("secret-get").count();
        (outcome, reads)
    }
}

fn notice_of_patroni() -> Trigger {
    Trigger::pebble_custom_notice("postgresql", "1", "postgresql-k8s.charm/patroni")
}

#[test]
fn a_life_of_hooks_in_which_no_secret_changes_reads_each_once() {
    let (world, mut state) = standing_of(3);
    let folder = Folder::new("a_life_of_hooks");
    let mut reads = Vec::new();
    for n in 0..60 {
        let trigger = match n % 4 {
            0 => Trigger::from(Event::UpdateStatus),
            1 => {
                let peers = state.relation_of("database-peers").unwrap();
                harness().relation_changed(peers, Some(1))
            }
            _ => notice_of_patroni(),
        };
        let (outcome, read) = folder.run(&harness(), &world, trigger, &state);
        assert_eq!(outcome.failure, None);
        state = outcome.state;
        reads.push(read);
    }
    assert_eq!(reads.iter().sum::<usize>(), 1, "{reads:?}");
    assert_eq!(state.unit_status, Some(Status::active("Primary")));
}

#[test]
fn what_is_kept_of_secrets_is_for_the_charms_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (world, state) = standing();
    let folder = Folder::new("for_the_charms_user");
    let (outcome, _) = folder.run(&harness(), &world, Event::UpdateStatus, &state);
    assert_eq!(outcome.failure, None);
    let mode = std::fs::metadata(folder.file())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let others = std::fs::read_dir(&folder.0).unwrap().count();
    assert_eq!(others, 1, "nothing else is left");
    // One that others could have written, or read, does not count.
    std::fs::set_permissions(folder.file(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let (_, reads) = folder.run(&harness(), &world, Event::UpdateStatus, &state);
    assert_eq!(reads, 1);
    // Nor does one that is cut off.
    std::fs::write(folder.file(), "{\"leader\": tr").unwrap();
    let (outcome, reads) = folder.run(&harness(), &world, Event::UpdateStatus, &state);
    assert_eq!((outcome.failure, reads), (None, 1));
}

#[test]
fn what_is_kept_of_secrets_ends_where_they_may_have_changed() {
    let (world, state) = standing();
    let folder = Folder::new("may_have_changed");
    for event in [Event::LeaderElected, Event::ConfigChanged, Event::Start] {
        folder.run(&harness(), &world, Event::UpdateStatus, &state);
        assert!(folder.file().exists());
        let (_, reads) = folder.run(&harness(), &world, event.clone(), &state);
        assert!(reads > 0, "{event:?}");
    }
    let mut follows = state.clone();
    follows.leader = false;
    let (_, reads) = folder.run(&harness(), &world, notice_of_patroni(), &follows);
    assert!(reads > 0, "who no longer leads is told in another way");
    folder.run(&harness(), &world, Event::UpdateStatus, &state);
    let set = Trigger::action("set-password").param("password", "chosen-by-hand");
    let (outcome, _) = folder.run(&harness(), &world, set, &state);
    assert!(!folder.file().exists(), "Juju may refuse what was written");
    let get = Trigger::action("get-password");
    let (outcome, _) = folder.run(&harness(), &world, get, &outcome.state);
    let results = outcome.action.unwrap().results;
    assert_eq!(results["password"], "chosen-by-hand");
}

#[test]
fn a_password_in_the_database_is_set_by_what_the_secret_holds_now() {
    let (world, state) = standing();
    let folder = Folder::new("holds_now");
    folder.run(&harness(), &world, Event::UpdateStatus, &state);
    // The secret and the database have another one since, and this unit has not been told.
    let set = Trigger::action("set-password").param("password", "chosen-by-hand");
    let changed = run(&harness(), &world, set, &state).state;
    let verifier = |world: &World| world.with(|w| w.roles["operator"].verifier.clone());
    let before = verifier(&world);
    let (outcome, reads) = folder.run(&harness(), &world, notice_of_patroni(), &changed);
    assert_eq!(
        (outcome.failure, reads),
        (None, 1),
        "it asks before it acts"
    );
    assert_eq!(verifier(&world), before, "and leaves the new one");
}

#[test]
fn a_hook_that_fails_keeps_nothing_of_secrets() {
    let (world, state) = standing();
    let folder = Folder::new("fails");
    let refuses = harness().with_fault(Fault::ToolRefuses {
        tool: "state-get".into(),
        text: "out of order".into(),
    });
    let (outcome, _) = folder.run(&refuses, &world, Event::UpdateStatus, &state);
    assert!(outcome.failure.is_some());
    assert!(!folder.file().exists());
}
