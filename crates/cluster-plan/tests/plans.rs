//! What a unit plans, from first light to a cluster, and where something stands in the way.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "a test fails by them"
)]

use std::collections::{BTreeMap, BTreeSet};

use cluster_plan::disk::Thresholds;
use cluster_plan::membership::sync_settings;
use cluster_plan::names::{Member, Names, ServiceKind};
use cluster_plan::observed::{
    Account, Cluster, ClusterMember, Database, Kubernetes, KubernetesFacts, Note, Observed,
    PatroniVersion, PeerData, Role, ServiceState, SystemUser, Volume, Workload, WorkloadFacts,
};
use cluster_plan::options::{Config, OptionError};
use cluster_plan::outlook::Change;
use cluster_plan::ownership::Foreign;
use cluster_plan::plan::{Plan, Problem, Step, Waiting};
use cluster_plan::planner::{Desired, PATRONI_YML, plan};
use cluster_plan::refresh::{FORMAT, Rollout};
use cluster_plan::restarts::Settings;
use cluster_plan::status::{Status, incomplete, judge};
use cluster_plan::tls::{MEMBER, TlsFacts, TlsStep};
use serde_json::{Map, json};

fn names() -> Names {
    Names::new("pg", "dev")
}

fn member(n: u32) -> Member {
    names().member(n)
}

/// Unit 0 of three, right after its Pebble came up; nothing exists yet.
fn fresh(leader: bool) -> Observed {
    Observed {
        names: names(),
        me: member(0),
        leader,
        counted: true,
        planned: 3,
        units: [member(0), member(1), member(2)].into(),
        peers: [member(1), member(2)].into(),
        leaving: BTreeSet::new(),
        peer_data: Some(PeerData {
            endpoints: (0..3).map(|n| names().host(&member(n))).collect(),
            ..PeerData::default()
        }),
        passwords: Some(SystemUser::GENERATED.into()),
        given: None,
        workload: Workload::Up(Box::new(WorkloadFacts {
            postgresql: Some("15.18".into()),
            patroni: Some(PatroniVersion { major: 3, minor: 0 }),
            volume: Some(Volume::Empty),
            data_major: None,
            storage_ready: false,
            configured: true,
            stale_files: [PATRONI_YML.to_owned()].into(),
            layer_stale: true,
            service: ServiceState::Absent,
            ..WorkloadFacts::default()
        })),
        kubernetes: Some(Kubernetes::Answers(Box::new(KubernetesFacts {
            labels_missing: true,
            headless: true,
            stale_services: if leader {
                ServiceKind::ALL.into()
            } else {
                BTreeSet::new()
            },
            ..KubernetesFacts::default()
        }))),
        cluster: None,
        database: None,
        following: None,
        shut_out: false,
        sync_key: None,
        unserved_relations: BTreeSet::new(),
        tls: None,
    }
}

fn running(leader: bool, role: Role, members: u32) -> Observed {
    let mut observed = fresh(leader);
    if let Workload::Up(facts) = &mut observed.workload {
        facts.volume = None;
        facts.storage_ready = true;
        facts.stale_files.clear();
        facts.layer_stale = false;
        facts.service = ServiceState::Active;
    }
    observed.kubernetes = Some(Kubernetes::Answers(Box::new(KubernetesFacts {
        headless: true,
        ..KubernetesFacts::default()
    })));
    let data = observed.peer_data.as_mut().unwrap();
    data.initialised = true;
    data.volumes.insert(member(0), Volume::Empty);
    data.announced = Some(
        if role == Role::Leader {
            "primary"
        } else {
            "replica"
        }
        .into(),
    );
    let members = (0..members).map(|n| ClusterMember {
        member: Some(member(n)),
        name: member(n).to_string(),
        role: match (n, &role) {
            (0, role) => role.clone(),
            (1, Role::SyncStandby | Role::Replica) => Role::Leader,
            _ => Role::SyncStandby,
        },
        state: if n == 0 && role == Role::Leader {
            "running"
        } else {
            "streaming"
        }
        .into(),
        timeline: Some(1),
        pending_restart: false,
    });
    observed.cluster = Some(Cluster {
        members: members.collect(),
        ..Cluster::default()
    });
    observed
}

fn desired() -> Desired {
    Desired {
        config: Config::new(&BTreeMap::new()),
        dynamic: Map::new(),
        thresholds: Thresholds::default(),
        publish_version: false,
    }
}

fn steps(plan: &Plan) -> Vec<Step> {
    plan.steps
        .iter()
        .map(|planned| planned.step.clone())
        .collect()
}

fn unit_status(observed: &Observed, desired: &Desired) -> Status {
    judge(observed, &plan(observed, desired)).unit
}

#[test]
fn a_fresh_leader_makes_everything_and_starts() {
    let plan = plan(&fresh(true), &desired());
    assert_eq!(
        steps(&plan),
        vec![
            Step::PublishVolume(Volume::Empty),
            Step::LabelPod,
            Step::ApplyService(ServiceKind::Primary),
            Step::ApplyService(ServiceKind::Replicas),
            Step::PrepareStorage,
            Step::PushFile(PATRONI_YML.into()),
            Step::SetLayer,
            Step::StartServices,
            Step::NoteRead,
        ]
    );
    assert_eq!(plan.problems, vec![]);
}

#[test]
fn other_members_start_beside_the_leader_and_wait_for_its_bootstrap() {
    let plan = plan(&fresh(false), &desired());
    assert!(steps(&plan).contains(&Step::StartServices));
    assert!(
        plan.waits
            .iter()
            .any(|wait| wait.for_what == Waiting::Bootstrap)
    );
}

#[test]
fn a_leader_makes_up_the_passwords_before_anything_is_started() {
    let mut observed = fresh(true);
    observed.passwords = Some(BTreeSet::new());
    let plan = plan(&observed, &desired());
    assert!(matches!(steps(&plan)[0], Step::StorePasswords(_)));
    assert!(!steps(&plan).contains(&Step::StartServices));
}

#[test]
fn without_the_leaders_passwords_a_unit_waits_and_says_so() {
    let mut observed = fresh(false);
    observed.passwords = None;
    let planned = plan(&observed, &desired());
    assert!(!steps(&planned).contains(&Step::StartServices));
    assert_eq!(
        unit_status(&observed, &desired()),
        Status::Waiting("waiting for the leader's passwords".into())
    );
}

#[test]
fn a_member_whose_volume_holds_another_cluster_is_never_started() {
    let mut observed = fresh(false);
    if let Workload::Up(facts) = &mut observed.workload {
        facts.volume = Some(Volume::Holds("111".into()));
    }
    if let Some(Kubernetes::Answers(facts)) = &mut observed.kubernetes {
        facts.registered = Some("222".into());
    }
    let planned = plan(&observed, &desired());
    let started = |step: &Step| matches!(step, Step::StartServices | Step::PrepareStorage);
    assert!(!steps(&planned).iter().any(started));
    let Status::Blocked(message) = unit_status(&observed, &desired()) else {
        panic!()
    };
    assert!(
        message.contains("111") && message.contains("222"),
        "{message}"
    );
}

#[test]
fn a_leader_with_an_empty_volume_does_not_bootstrap_over_a_cluster_on_another() {
    let mut observed = fresh(true);
    observed
        .peer_data
        .as_mut()
        .unwrap()
        .volumes
        .insert(member(2), Volume::Holds("7".into()));
    let planned = plan(&observed, &desired());
    assert_eq!(
        planned.problems,
        vec![Problem::EmptyLeaderVolume {
            member: "pg/2".into()
        }]
    );
}

#[test]
fn what_an_earlier_application_registered_is_removed_before_the_start() {
    let mut observed = fresh(true);
    if let Some(Kubernetes::Answers(facts)) = &mut observed.kubernetes {
        facts.registered = Some("222".into());
        facts.registered_before_us = true;
    }
    let order = steps(&plan(&observed, &desired()));
    let at = |step: &Step| order.iter().position(|s| s == step);
    assert!(at(&Step::RemoveLeftovers) < at(&Step::StartServices));
    // Once there is a cluster, the same facts are no reason to remove anything.
    observed.peer_data.as_mut().unwrap().initialised = true;
    assert!(!steps(&plan(&observed, &desired())).contains(&Step::RemoveLeftovers));
}

#[test]
fn without_trust_nothing_is_started_and_the_status_says_what_to_run() {
    let mut observed = fresh(true);
    observed.kubernetes = Some(Kubernetes::Forbidden("403".into()));
    assert!(!steps(&plan(&observed, &desired())).contains(&Step::StartServices));
    assert_eq!(
        unit_status(&observed, &desired()),
        Status::Blocked("Insufficient permissions, try: `juju trust pg --scope=cluster`".into())
    );
}

#[test]
fn patroni_has_an_account_of_its_own_before_it_starts_and_a_new_one_where_that_is_deleted() {
    let mut observed = fresh(false);
    let Workload::Up(facts) = &mut observed.workload else {
        unreachable!()
    };
    facts.account = Account::Missing;
    let position = |plan: &Plan, step: &Step| steps(plan).iter().position(|one| one == step);
    let made = plan(&observed, &desired());
    let given = position(&made, &Step::GivePatroniAccount).unwrap();
    assert!(given < position(&made, &Step::StartServices).unwrap());
    let Workload::Up(facts) = &mut observed.workload else {
        unreachable!()
    };
    facts.service = ServiceState::Active;
    let made = plan(&observed, &desired());
    assert_eq!(position(&made, &Step::GivePatroniAccount), None);
    assert!(position(&made, &Step::RenewPatroniAccount).is_some());
}

#[test]
fn an_object_that_is_anothers_blocks_with_its_name() {
    let object = |object: &str, registration| Foreign {
        object: object.into(),
        whose: Some("application db-primary".into()),
        registration,
        held: Some("db-primary".into()),
    };
    let observe = |foreign: Foreign| {
        let mut observed = fresh(true);
        let Some(Kubernetes::Answers(facts)) = &mut observed.kubernetes else {
            unreachable!()
        };
        facts.foreign.insert(foreign);
        observed
    };
    let observed = observe(object("Service db-primary", false));
    let message = "Service db-primary belongs to application db-primary: give one another name";
    let said = unit_status(&observed, &desired());
    assert_eq!(said, Status::Blocked(message.into()));
    // What this application had written there goes, and its owner, with which it would go.
    let release = Step::ReleaseService("db-primary".into());
    assert!(steps(&plan(&observed, &desired())).contains(&release));
    // The cluster runs all the same, unless its own state would be another's.
    assert!(steps(&plan(&observed, &desired())).contains(&Step::StartServices));
    let observed = observe(object("Service patroni-db", true));
    assert!(!steps(&plan(&observed, &desired())).contains(&Step::StartServices));
}

#[test]
fn a_name_that_kubernetes_does_not_take_is_said_and_nothing_is_made_or_started() {
    let mut observed = fresh(true);
    observed.names = Names::new("d".repeat(54), "m");
    let message = "the application's name has 54 characters, deploy it with 53 at most";
    let said = unit_status(&observed, &desired());
    assert_eq!(said, Status::Blocked(message.into()));
    let made = steps(&plan(&observed, &desired()));
    assert!(!made.contains(&Step::ApplyHeadless), "{made:?}");
    assert!(!made.contains(&Step::StartServices), "{made:?}");
}

#[test]
fn a_wrong_option_blocks_with_its_range_and_leaves_a_running_member_alone() {
    let mut wrong = desired();
    wrong.config = Err(vec![OptionError {
        option: "profile_limit_memory".into(),
        value: "5".into(),
        allowed: "128 to 9999999".into(),
    }]);
    let mut observed = running(true, Role::Leader, 3);
    if let Workload::Up(facts) = &mut observed.workload {
        facts.configured = false;
    }
    assert_eq!(steps(&plan(&observed, &wrong)), vec![]);
    let message = "Configuration Error: profile_limit_memory=5 is not allowed, use 128 to 9999999";
    assert_eq!(
        unit_status(&observed, &wrong),
        Status::Blocked(message.into())
    );
    assert_eq!(
        unit_status(&observed, &desired()),
        Status::Active("Primary".into())
    );
}

#[test]
fn a_primary_that_leaves_never_acknowledges_alone_though_no_other_member_stands_just_now() {
    let mut stopped = running(true, Role::Replica, 2);
    stopped.planned = 1;
    stopped.peers = [member(1)].into();
    stopped.leaving = [member(1)].into();
    let view = stopped.cluster.as_mut().unwrap();
    view.dynamic = Some(json!({}));
    view.members[0].state = "stopped".into();
    let mut away = stopped.clone();
    away.cluster.as_mut().unwrap().members.remove(0);
    let alone = Config::new(&BTreeMap::new()).unwrap();
    let desired = Desired {
        dynamic: sync_settings(&alone, 1),
        ..desired()
    };
    let policy = |observed: &Observed| {
        let planned = steps(&plan(observed, &desired));
        let patch = planned.into_iter().find_map(|step| match step {
            Step::PatchDynamic(patch) => Some(patch),
            _ => None,
        });
        let patch = patch.expect("a policy is set");
        ["synchronous_mode", "synchronous_mode_strict"].map(|key| patch[key].clone())
    };
    assert_eq!(policy(&stopped), [json!(true), json!(true)]);
    assert_eq!(policy(&away), [json!(true), json!(true)]);
    // One that stays must go on alone.
    let mut stays = away;
    stays.leaving.clear();
    stays.peers.clear();
    assert_eq!(policy(&stays), [json!(false), json!(false)]);
}

#[test]
fn a_healthy_cluster_is_left_alone() {
    for role in [Role::Leader, Role::SyncStandby] {
        let observed = running(true, role, 3);
        assert_eq!(plan(&observed, &desired()), Plan::default());
    }
}

#[test]
fn statuses_tell_role_and_missing_members() {
    let status = |role, members| unit_status(&running(true, role, members), &desired());
    assert_eq!(status(Role::Leader, 3), Status::Active("Primary".into()));
    assert_eq!(
        status(Role::Leader, 2),
        Status::Active("Primary (degraded)".into())
    );
    assert_eq!(status(Role::SyncStandby, 3), Status::Active(String::new()));
    assert_eq!(
        status(Role::StandbyLeader, 3),
        Status::Active("Standby".into())
    );
}

#[test]
fn somebody_looks_again_while_commits_wait_for_a_member_that_does_not_stream() {
    let mut observed = running(true, Role::Leader, 3);
    let streaming = [1, 2].map(|n| (member(n).to_string(), true)).into();
    observed.database = Some(Database {
        streaming,
        ..Database::default()
    });
    assert!(!incomplete(&observed));
    let gone = member(3).to_string();
    observed.database.as_mut().unwrap().awaited.insert(gone);
    assert!(incomplete(&observed));
}

#[test]
fn the_primarys_own_word_on_its_standbys_counts_before_patronis_view_of_them() {
    let mut observed = running(true, Role::Leader, 3);
    observed.database = Some(Database {
        streaming: [
            (member(1).to_string(), true),
            (member(2).to_string(), false),
        ]
        .into(),
        ..Database::default()
    });
    assert_eq!((observed.standing(), observed.synchronous()), (3, 1));
    observed.database.as_mut().unwrap().streaming.pop_last();
    assert_eq!((observed.standing(), observed.synchronous()), (2, 1));
    assert_eq!(
        unit_status(&observed, &desired()),
        Status::Active("Primary (degraded)".into())
    );
    let announced = |observed: &Observed| {
        let steps = steps(&plan(observed, &desired()));
        steps.into_iter().find_map(|step| match step {
            Step::Announce(text) => Some(text),
            _ => None,
        })
    };
    let told = announced(&observed).unwrap();
    assert_eq!(told, "primary, standbys: 1 stream, 1 synchronous");
    // Once told it is not told again, neither by a hook that has not asked.
    observed.peer_data.as_mut().unwrap().announced = Some(told);
    assert_eq!(announced(&observed), None);
    observed.database = None;
    assert_eq!(announced(&observed), None);
}

#[test]
fn a_new_certificate_is_announced_once_patroni_shows_it() {
    let mut observed = running(true, Role::Leader, 3);
    let unannounced = TlsFacts {
        unannounced: true,
        ..TlsFacts::default()
    };
    observed.tls = Some(unannounced);
    let announces = |observed: &Observed| {
        let steps = steps(&plan(observed, &desired()));
        let reloads = steps.contains(&Step::ReloadPatroni);
        (reloads, steps.contains(&Step::Tls(TlsStep::Announce)))
    };
    assert_eq!(announces(&observed), (true, true));
    if let Workload::Up(facts) = &mut observed.workload {
        facts.stale_files = [PATRONI_YML.to_owned(), MEMBER.to_owned()].into();
    }
    assert_eq!(announces(&observed), (true, false));
    if let Workload::Up(facts) = &mut observed.workload {
        facts.stale_files.clear();
    }
    observed.tls.as_mut().unwrap().hidden = true;
    assert_eq!(announces(&observed), (true, false), "it has not looked yet");
    observed.tls.as_mut().unwrap().unannounced = false;
    assert_eq!(
        announces(&observed),
        (true, false),
        "it was told twice and did it once"
    );
}

#[test]
fn clients_problems_are_counted_and_named_in_a_short_status() {
    let observed = running(true, Role::Leader, 3);
    let unit = |problems: Vec<Problem>| {
        let plan = Plan {
            problems,
            ..Plan::default()
        };
        judge(&observed, &plan).unit
    };
    let left = |n: u32, why: &str| Problem::ClientLeft {
        user: format!("relation_id_{n}"),
        why: why.to_owned(),
    };
    let waits = Problem::ClientWaits {
        relation: "database:3".into(),
        why: "a port".into(),
    };
    assert_eq!(
        unit(vec![left(4, "end the prepared transaction in shop")]).message(),
        "user relation_id_4 stays: end the prepared transaction in shop"
    );
    let both = unit(vec![waits.clone(), left(4, "no")]);
    let expected = "2 clients have problems: database:3, relation_id_4, see the log";
    assert_eq!(both, Status::Blocked(expected.into()));
    let long = left(4, &"why ".repeat(50));
    for problems in [vec![long.clone()], (1..30).map(|n| left(n, "no")).collect()] {
        let told = unit(problems);
        let message = told.message();
        assert!(message.chars().count() <= 70, "{message}");
        assert!(message.ends_with("…, see the log"), "{message}");
    }
    let other = unit(vec![Problem::MixedClients, long, waits]);
    assert!(
        other.message().ends_with("; 2 more: see the log"),
        "{other:?}"
    );
}

#[test]
fn writes_that_wait_are_told_as_such() {
    let mut observed = running(true, Role::Leader, 3);
    observed.database = Some(Database::default());
    let plan = plan(&observed, &desired());
    let told = judge(&observed, &plan).application.unwrap();
    let text = "writes wait: no standby is synchronous";
    assert_eq!(told, Status::Active(text.into()));
}

#[test]
fn a_changed_configuration_is_pushed_and_reloaded_not_restarted() {
    let mut observed = running(false, Role::SyncStandby, 3);
    if let Workload::Up(facts) = &mut observed.workload {
        facts.stale_files.insert(PATRONI_YML.into());
    }
    assert_eq!(
        steps(&plan(&observed, &desired())),
        vec![
            Step::PushFile(PATRONI_YML.into()),
            Step::ReloadPatroni,
            Step::NoteRead
        ]
    );
    // A process that died between the push and the reload leaves a note that does not fit.
    if let Workload::Up(facts) = &mut observed.workload {
        facts.stale_files.clear();
        facts.note = Note::Differs;
    }
    assert_eq!(
        steps(&plan(&observed, &desired())),
        vec![Step::ReloadPatroni, Step::NoteRead]
    );
}

#[test]
fn only_the_difference_of_the_dynamic_configuration_is_patched_and_only_by_the_leader() {
    let mut wanted = desired();
    wanted.dynamic = json!({"synchronous_node_count": 2, "ttl": 30})
        .as_object()
        .unwrap()
        .clone();
    let mut observed = running(true, Role::Leader, 3);
    observed.cluster.as_mut().unwrap().dynamic =
        Some(json!({"synchronous_node_count": 1, "ttl": 30}));
    assert_eq!(
        steps(&plan(&observed, &wanted)),
        vec![Step::PatchDynamic(json!({"synchronous_node_count": 2}))]
    );
    observed.leader = false;
    assert_eq!(steps(&plan(&observed, &wanted)), vec![]);
}

#[test]
fn the_cluster_is_initialised_once_it_has_a_primary_with_the_roles() {
    let mut observed = running(true, Role::Leader, 1);
    observed.peer_data.as_mut().unwrap().initialised = false;
    observed.database = Some(Database::default());
    let planned = steps(&plan(&observed, &desired()));
    assert!(matches!(planned[0], Step::ChangeDatabase(_)), "{planned:?}");
    assert_eq!(planned[1], Step::MarkInitialised);
}

#[test]
fn a_unit_that_leaves_is_no_endpoint_any_more() {
    let mut observed = running(true, Role::Leader, 3);
    observed.leaving.insert(member(2));
    let hosts = vec![names().host(&member(0)), names().host(&member(1))];
    assert_eq!(
        steps(&plan(&observed, &desired())),
        vec![Step::PublishEndpoints(hosts)]
    );
}

#[test]
fn units_that_come_are_on_the_list_before_they_join_and_those_that_leave_are_not() {
    let mut observed = running(true, Role::Leader, 3);
    observed.peers = [member(1)].into();
    let published = |observed: &Observed| {
        let plan = plan(observed, &desired());
        plan.steps
            .into_iter()
            .find_map(|planned| match planned.step {
                Step::PublishEndpoints(hosts) => Some(hosts),
                _ => None,
            })
    };
    assert_eq!(published(&observed), None, "unit 2 has not joined");
    observed.units.insert(member(3));
    assert_eq!(published(&observed).unwrap().len(), 4);
    observed.leaving = [member(1)].into();
    let hosts = [0, 2, 3].map(|n| names().host(&member(n)));
    assert_eq!(published(&observed).unwrap(), hosts);
}

#[test]
fn a_failing_kubernetes_api_is_said_and_touches_nothing() {
    let mut observed = running(true, Role::Leader, 3);
    observed.kubernetes = Some(Kubernetes::Failing("503".into()));
    assert_eq!(steps(&plan(&observed, &desired())), vec![]);
    assert_eq!(
        unit_status(&observed, &desired()),
        Status::Active("Primary (Kubernetes API fails)".into())
    );
    observed.cluster = None;
    assert_eq!(
        unit_status(&observed, &desired()),
        Status::Waiting("Kubernetes API fails, trying again: 503".into())
    );
}

#[test]
fn a_relation_that_is_not_served_is_said_and_does_not_stop_the_rest() {
    let mut observed = fresh(true);
    observed.unserved_relations.insert("database".into());
    assert!(steps(&plan(&observed, &desired())).contains(&Step::StartServices));
    assert_eq!(
        unit_status(&observed, &desired()),
        Status::Blocked("relation database is not served by this revision yet: remove it".into())
    );
}

#[test]
fn what_a_change_of_parameters_means_is_told_before_it_is_made() {
    let mut observed = running(true, Role::Leader, 3);
    if let Workload::Up(facts) = &mut observed.workload {
        facts.changes = vec![Change::new("work_mem", Some("4096"), Some("8192"))];
    }
    observed.cluster.as_mut().unwrap().dynamic =
        Some(json!({"postgresql": {"parameters": {"shared_buffers": 128}}}));
    let mut desired = desired();
    desired.dynamic = Map::from_iter([(
        "postgresql".to_owned(),
        json!({"parameters": {"shared_buffers": 256}}),
    )]);
    assert_eq!(
        plan(&observed, &desired).outlook,
        [
            "parameters change: work_mem 4096 -> 8192, shared_buffers 128 -> 256",
            "every member reloads, no connection ends: work_mem",
            "each member restarts, one at a time (pg/1, then pg/2, then pg/0): shared_buffers",
        ]
    );
}

/// The leader's unit 0 leads; pods from `new` on are of the wanted revision.
fn refreshing(new: u32, partition: u32) -> Observed {
    let mut observed = running(true, Role::Leader, 3);
    let revision = |n| if n >= new { "new" } else { "old" };
    let pods = (0..3).map(|n| (member(n), revision(n).to_owned()));
    if let Some(Kubernetes::Answers(facts)) = &mut observed.kubernetes {
        facts.rollout = Some(Rollout {
            partition,
            guarded: false,
            wanted: "new".into(),
            pods: pods.collect(),
            ..Rollout::default()
        });
    }
    observed.peer_data.as_mut().unwrap().format = Some(FORMAT);
    observed
}

#[test]
fn a_refresh_goes_on_only_when_it_was_agreed_to_and_all_stand() {
    let mut observed = refreshing(2, 2);
    assert_eq!(steps(&plan(&observed, &desired())), vec![], "not agreed");
    let data = observed.peer_data.as_mut().unwrap();
    data.resumed = Some("old".into());
    assert_eq!(steps(&plan(&observed, &desired())), vec![], "to another");
    let data = observed.peer_data.as_mut().unwrap();
    data.resumed = Some("new".into());
    assert_eq!(
        steps(&plan(&observed, &desired())),
        vec![Step::SetPartition(1)]
    );
    let members = &mut observed.cluster.as_mut().unwrap().members;
    members[2].state = "starting".into();
    let planned = plan(&observed, &desired());
    assert_eq!(steps(&planned), vec![]);
    assert!(
        planned
            .waits
            .iter()
            .any(|w| w.for_what == Waiting::Refreshed)
    );
}

fn guarded(observed: &mut Observed) {
    if let Some(Kubernetes::Answers(facts)) = &mut observed.kubernetes {
        facts.rollout.as_mut().unwrap().guarded = true;
    }
}

#[test]
fn kubernetes_replaces_no_second_pod_before_the_first_ones_member_stands() {
    // Nobody has prepared anything, and the highest pod is being replaced.
    let mut observed = refreshing(3, 2);
    guarded(&mut observed);
    assert_eq!(steps(&plan(&observed, &desired())), vec![]);
    let mut observed = refreshing(2, 2);
    guarded(&mut observed);
    let mut unwell = observed.clone();
    unwell.cluster.as_mut().unwrap().members[2].state = "starting".into();
    let planned = plan(&unwell, &desired());
    assert_eq!(steps(&planned), vec![]);
    let told = judge(&unwell, &planned).application.unwrap();
    assert!(
        told.message().contains("go back by juju refresh"),
        "{told:?}"
    );
    assert_eq!(
        steps(&plan(&observed, &desired())),
        vec![Step::SetPartition(1)]
    );
}

#[test]
fn all_pods_but_the_highest_are_held_back_before_a_refresh_comes() {
    let guard = |observed: &Observed| steps(&plan(observed, &desired()));
    let mut observed = refreshing(0, 0);
    assert_eq!(guard(&observed), vec![Step::GuardRefresh(2)]);
    observed.cluster.as_mut().unwrap().members[1].state = "starting".into();
    assert_eq!(
        guard(&observed),
        vec![Step::GuardRefresh(2)],
        "the next may come now"
    );
    if let Some(Kubernetes::Answers(facts)) = &mut observed.kubernetes {
        facts.rollout.as_mut().unwrap().pods.remove(&member(0));
    }
    assert_eq!(
        guard(&observed),
        vec![],
        "its pod may be one of the former revision"
    );
    let mut observed = refreshing(0, 2);
    assert_eq!(guard(&observed), vec![], "an operator has prepared one");
    guarded(&mut observed);
    assert_eq!(guard(&observed), vec![]);
    let told = judge(&observed, &plan(&observed, &desired())).application;
    assert!(!told.unwrap().message().contains("prepared"));
    let mut observed = refreshing(0, 3);
    guarded(&mut observed);
    assert_eq!(
        guard(&observed),
        vec![Step::GuardRefresh(2)],
        "a unit has gone"
    );
}

#[test]
fn a_quorum_is_told_as_one() {
    let mut observed = running(true, Role::Leader, 3);
    observed.cluster.as_mut().unwrap().quorum = true;
    for (count, told) in [
        (1, "commits wait for any 1 of 2 standbys"),
        (2, "commits wait for 2 standbys"),
        (0, "commits wait for some of 2 standbys"),
    ] {
        let view = observed.cluster.as_mut().unwrap();
        view.dynamic = (count > 0).then(|| json!({"synchronous_node_count": count}));
        let application = judge(&observed, &plan(&observed, &desired())).application;
        assert_eq!(application, Some(Status::Active(told.into())));
    }
}

#[test]
fn no_pod_is_replaced_while_another_member_restarts() {
    let mut observed = refreshing(2, 2);
    observed.peer_data.as_mut().unwrap().resumed = Some("new".into());
    observed.cluster.as_mut().unwrap().members[1].pending_restart = true;
    let unknown = steps(&plan(&observed, &desired()));
    assert_eq!(unknown, vec![], "what members run with is not known");
    observed.database = Some(Database {
        settings: [(member(0).to_string(), Settings::new())].into(),
        streaming: [(member(1).to_string(), true), (member(2).to_string(), true)].into(),
        ..Database::default()
    });
    let steps = steps(&plan(&observed, &desired()));
    assert!(steps.contains(&Step::RestartMember(member(1))), "{steps:?}");
    assert!(!steps.contains(&Step::SetPartition(1)), "{steps:?}");
}

#[test]
fn while_kubernetes_replaces_a_pod_the_partition_stays() {
    let mut observed = refreshing(2, 1);
    observed.peer_data.as_mut().unwrap().resumed = Some("new".into());
    assert_eq!(steps(&plan(&observed, &desired())), vec![]);
}

#[test]
fn the_form_of_what_is_kept_is_noted_when_no_unit_runs_another_revision() {
    let mut observed = refreshing(0, 2);
    observed.peer_data.as_mut().unwrap().format = None;
    assert_eq!(
        steps(&plan(&observed, &desired())),
        vec![Step::NoteFormat(FORMAT)]
    );
    let mut observed = refreshing(1, 0);
    observed.peer_data.as_mut().unwrap().format = None;
    assert_eq!(steps(&plan(&observed, &desired())), vec![]);
}

#[test]
fn the_last_member_waits_for_no_standby_and_one_that_is_left_with_others_does() {
    let patches = |members: u32| {
        let mut observed = running(true, Role::Leader, members);
        observed.planned = 1;
        let view = observed.cluster.as_mut().unwrap();
        view.dynamic = Some(json!({"synchronous_mode": true}));
        let mut desired = desired();
        desired.dynamic = Map::from_iter([("synchronous_mode".to_owned(), json!(true))]);
        let steps = steps(&plan(&observed, &desired));
        steps.into_iter().find_map(|step| match step {
            Step::PatchDynamic(patch) => Some(patch),
            _ => None,
        })
    };
    assert_eq!(patches(1), Some(json!({"synchronous_mode": false})));
    // Its commits are still to be kept, by any of those that are there: with fewer synchronous
    // standbys, Patroni might keep the one that leaves.
    let patch = patches(3).unwrap();
    assert_eq!(patch.get("synchronous_mode"), None);
    assert_eq!(patch["synchronous_mode_strict"], json!(true));
    assert_eq!(patch["synchronous_node_count"], json!(2));
}
