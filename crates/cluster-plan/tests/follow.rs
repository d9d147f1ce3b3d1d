//! A standby that can't follow starts anew only where the primary is proven to have all that it has.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by them"
)]

use std::collections::{BTreeMap, BTreeSet};

use cluster_plan::disk::Thresholds;
use cluster_plan::follow::{self, Checkpoint, Following, Standby, Upstream, history, position};
use cluster_plan::names::{Member, Names};
use cluster_plan::observed::{
    Cluster, ClusterMember, Observed, PatroniVersion, PeerData, Role, ServiceState, SystemUser,
    Workload, WorkloadFacts,
};
use cluster_plan::options::Config;
use cluster_plan::plan::{Plan, Problem, Step};
use cluster_plan::planner::{self, Desired};
use cluster_plan::status::{self, Status};

const SEGMENT: u64 = 16 * 1024 * 1024;

fn member(ordinal: u32) -> Member {
    Names::new("pg", "dev").member(ordinal)
}

/// Unit 2 of three, whose member is in segment 3 of timeline 2; the primary is in segment 40 of
/// timeline 3, which begins in segment 20, and has no segment 3.
fn behind() -> Observed {
    let roles = [Role::Leader, Role::SyncStandby, Role::Replica];
    let members = (0..).zip(roles).map(|(ordinal, role)| ClusterMember {
        member: Some(member(ordinal)),
        name: member(ordinal).to_string(),
        role,
        state: "running".into(),
        timeline: Some(3),
        pending_restart: false,
    });
    Observed {
        names: Names::new("pg", "dev"),
        me: member(2),
        leader: false,
        counted: true,
        planned: 3,
        units: [member(0), member(1), member(2)].into(),
        peers: [member(0), member(1)].into(),
        leaving: BTreeSet::new(),
        peer_data: Some(PeerData {
            initialised: true,
            announced: Some("replica".into()),
            ..PeerData::default()
        }),
        passwords: Some(SystemUser::GENERATED.into()),
        given: None,
        workload: Workload::Up(Box::new(WorkloadFacts {
            postgresql: Some("15.18".into()),
            patroni: Some(PatroniVersion { major: 3, minor: 0 }),
            storage_ready: true,
            configured: true,
            service: ServiceState::Active,
            ..WorkloadFacts::default()
        })),
        kubernetes: None,
        cluster: Some(Cluster {
            members: members.collect(),
            ..Cluster::default()
        }),
        database: None,
        following: Some(Following {
            standby: Standby {
                streams: false,
                stopped: false,
                timeline: 2,
                position: 3 * SEGMENT + 100,
                paused: false,
                archive: false,
                checkpoint: None,
                since: 5,
            },
            primary: Some(Upstream {
                timeline: 3,
                position: 40 * SEGMENT,
                segment: SEGMENT,
                kept: BTreeSet::new(),
                history: vec![(1, SEGMENT), (2, 20 * SEGMENT)],
                record: None,
                since: 600,
            }),
        }),
        shut_out: false,
        sync_key: None,
        unserved_relations: BTreeSet::new(),
        tls: None,
    }
}

fn plan(observed: &Observed) -> Plan {
    let desired = Desired {
        config: Config::new(&BTreeMap::new()),
        dynamic: serde_json::Map::new(),
        thresholds: Thresholds::default(),
        publish_version: false,
    };
    planner::plan(observed, &desired)
}

fn reinitialises(observed: &Observed) -> bool {
    plan(observed)
        .steps
        .iter()
        .any(|p| p.step == Step::Reinitialise)
}

fn with(change: impl FnOnce(&mut Observed)) -> Observed {
    let mut observed = behind();
    change(&mut observed);
    observed
}

fn standby(change: impl FnOnce(&mut Standby)) -> Observed {
    with(|observed| change(&mut observed.following.as_mut().unwrap().standby))
}

fn upstream(change: impl FnOnce(&mut Upstream)) -> Observed {
    with(|o| change(o.following.as_mut().unwrap().primary.as_mut().unwrap()))
}

fn view(change: impl FnOnce(&mut Cluster)) -> Observed {
    with(|observed| change(observed.cluster.as_mut().unwrap()))
}

#[test]
fn a_member_whose_next_wal_is_removed_starts_anew() {
    let plan = plan(&behind());
    let step = plan
        .steps
        .iter()
        .find(|p| p.step == Step::Reinitialise)
        .unwrap();
    assert!(step.why.contains("WAL from 0/3000064 on"), "{}", step.why);
    // Also on the primary's own timeline.
    assert!(reinitialises(&standby(|s| s.timeline = 3)));
}

#[test]
fn a_member_that_streams_or_can_catch_up_is_left_alone() {
    for observed in [
        standby(|s| s.streams = true),
        upstream(|u| u.kept = [1, 2].into()),
        // All that there is.
        with(|o| {
            let following = o.following.as_mut().unwrap();
            (following.standby.timeline, following.standby.position) = (3, 40 * SEGMENT);
        }),
        with(|o| o.following.as_mut().unwrap().primary = None),
        with(|o| o.following = None),
    ] {
        let plan = plan(&observed);
        assert!(plan.steps.is_empty() && plan.problems.is_empty(), "{plan}");
    }
}

#[test]
fn where_a_timeline_was_left_the_next_ones_segment_is_what_a_standby_is_sent() {
    // Left in the middle of segment 4, and the next one in it too.
    let left = |kept: &[u32], timeline, position| {
        with(|o| {
            let following = o.following.as_mut().unwrap();
            following.standby.timeline = timeline;
            following.standby.position = position;
            let primary = following.primary.as_mut().unwrap();
            primary.timeline = 8;
            primary.history = vec![
                (5, 4 * SEGMENT + 160),
                (6, 4 * SEGMENT + 800),
                (7, 5 * SEGMENT),
            ];
            primary.kept = kept.iter().copied().collect();
        })
    };
    let within = 4 * SEGMENT + 80;
    assert!(reinitialises(&left(&[5, 7, 8], 5, within)));
    assert!(!reinitialises(&left(&[6], 5, within)));
    assert!(reinitialises(&left(&[5], 5, 4 * SEGMENT)));
    assert!(!reinitialises(&left(&[5], 5, 3 * SEGMENT)));
    assert!(reinitialises(&left(&[6, 8], 6, within)));
    assert!(!reinitialises(&left(&[7], 7, within)));
    // One that was left where a segment ends has a file of its own to its end, and no other is read of.
    assert!(!reinitialises(&left(&[8], 7, 5 * SEGMENT)));
    assert!(reinitialises(&left(&[7], 7, 5 * SEGMENT)));
}

#[test]
fn a_member_that_has_anything_which_the_primary_has_not_keeps_it() {
    for observed in [
        // Beyond where the primary left that timeline.
        standby(|s| s.position = 20 * SEGMENT + 1),
        // The same although the primary has removed all of it.
        with(|o| {
            let following = o.following.as_mut().unwrap();
            following.standby.position = 20 * SEGMENT + 1;
            following.primary.as_mut().unwrap().kept = [2, 3].into();
        }),
        // Beyond the primary on the primary's own timeline.
        with(|o| {
            let following = o.following.as_mut().unwrap();
            following.standby.timeline = 3;
            following.standby.position = 40 * SEGMENT + 1;
        }),
        // Of a timeline that the primary never knew.
        standby(|s| s.timeline = 7),
        upstream(|u| u.history = vec![(1, SEGMENT)]),
    ] {
        let plan = plan(&observed);
        assert!(plan.steps.is_empty(), "{plan}");
        assert!(
            matches!(plan.problems[..], [Problem::Diverged { .. }]),
            "{plan}"
        );
    }
}

/// A checkpoint's record with this `redo`, as it lies in the WAL.
fn record(redo: u64) -> Vec<u8> {
    let mut bytes = vec![
        0x72, 0, 0, 0, 0, 0, 0, 0, 0xD0, 0, 0, 4, 0, 0, 0, 0, 0x10, 0, 0, 0, 1, 2, 3, 4,
    ];
    bytes.extend([0xFF, 0x58]);
    bytes.extend(redo.to_le_bytes());
    bytes
}

/// Unit 2's standby and the primary are of one timeline, and the primary is ahead; the standby's last
/// checkpoint, and what the primary's WAL has in its place.
fn of_one_timeline(at: u64, found: Option<Vec<u8>>) -> Observed {
    behind().also(|observed| {
        let following = observed.following.as_mut().unwrap();
        let standby = &mut following.standby;
        (standby.timeline, standby.position) = (3, 39 * SEGMENT + 700);
        let (redo, timeline) = (39 * SEGMENT + 40, 3);
        standby.checkpoint = Some(Checkpoint { at, redo, timeline });
        let primary = following.primary.as_mut().unwrap();
        (primary.record, primary.kept) = (found, [3].into());
    })
}

#[test]
fn a_member_that_parted_from_the_primary_within_one_timeline_is_told_apart() {
    let at = 39 * SEGMENT + 200;
    let other_redo = record(39 * SEGMENT + 48);
    let mut other_kind = record(39 * SEGMENT + 40);
    other_kind[17] = 10;
    for found in [other_redo, other_kind] {
        let observed = of_one_timeline(at, Some(found));
        let plan = plan(&observed);
        assert!(plan.steps.is_empty(), "{plan}");
        let Status::Blocked(told) = status::judge(&observed, &plan).unit else {
            unreachable!("{plan}");
        };
        assert!(told.contains("timeline 3 from 0/270000C8 on"), "{told}");
        assert!(
            plan.to_string().contains("reinit patroni-pg pg-2 --force"),
            "{plan}"
        );
    }
}

#[test]
fn a_member_whose_last_checkpoint_the_primary_has_too_is_left_alone() {
    let at = 39 * SEGMENT + 200;
    let same = record(39 * SEGMENT + 40);
    let other = record(1);
    let of_another_timeline = of_one_timeline(at, Some(other.clone())).also(|observed| {
        let standby = &mut observed.following.as_mut().unwrap().standby;
        standby.checkpoint.as_mut().unwrap().timeline = 2;
    });
    for observed in [
        of_one_timeline(at, Some(same)),
        of_one_timeline(at, None),
        of_one_timeline(at, Some(other[..20].to_vec())),
        // A page's header may lie in its midst.
        of_one_timeline(39 * SEGMENT + 1024 - 33, Some(other)),
        of_another_timeline,
    ] {
        let plan = plan(&observed);
        assert!(plan.steps.is_empty() && plan.problems.is_empty(), "{plan}");
    }
}

/// Unit 2's member does not start; its control file says how far it got at least.
fn stopped(change: impl FnOnce(&mut Standby)) -> Observed {
    view(|v| v.members[2].state = "start failed".into()).also(|observed| {
        let standby = &mut observed.following.as_mut().unwrap().standby;
        standby.stopped = true;
        change(standby);
    })
}

#[test]
fn a_member_that_diverged_and_does_not_start_keeps_its_data_and_says_what_to_do() {
    let observed = stopped(|s| s.position = 20 * SEGMENT + 1);
    let plan = plan(&observed);
    assert!(plan.steps.is_empty(), "{plan}");
    let Status::Blocked(told) = status::judge(&observed, &plan).unit else {
        unreachable!("{plan}");
    };
    assert!(told.contains("timeline 2 from 0/14000000 on"), "{told}");
    let command = "juju ssh --container postgresql pg/2 /charm/bin/pebble exec \
                   --context=postgresql -- patronictl -c /var/lib/postgresql/data/patroni.yml \
                   reinit patroni-pg pg-2 --force";
    assert!(plan.to_string().contains(command), "{plan}");
    assert!(status::incomplete(&observed), "the charm looks again");
}

#[test]
fn a_member_that_does_not_start_is_not_judged_by_what_its_control_file_leaves_out() {
    // It may have more than the file tells, so that the primary has it all is not proven.
    for observed in [stopped(|_| ()), stopped(|s| s.position = 20 * SEGMENT)] {
        let plan = plan(&observed);
        assert!(plan.steps.is_empty() && plan.problems.is_empty(), "{plan}");
        let told = status::judge(&observed, &plan).unit;
        assert_eq!(told, Status::Waiting("awaiting for member to start".into()));
        assert!(status::incomplete(&observed), "the charm looks again");
    }
}

#[test]
fn a_control_file_tells_the_furthest_place_and_its_timeline() {
    let text = |checkpoint: &str, recovered: &str| {
        format!(
            "Latest checkpoint location:           {checkpoint}\n\
             Latest checkpoint's REDO location:    0/1\n\
             Latest checkpoint's TimeLineID:       1\n\
             Latest checkpoint's PrevTimeLineID:   9\n\
             Minimum recovery ending location:     {recovered}\n\
             Min recovery ending loc's timeline:   2\n"
        )
    };
    let found = |checkpoint: &str, recovered: &str| {
        let standby = follow::stopped(&text(checkpoint, recovered)).unwrap();
        assert!(standby.stopped && !standby.streams);
        (standby.timeline, standby.position)
    };
    assert_eq!(found("0/6000028", "0/60000A0"), (2, 0x600_00A0));
    // It was a primary: its end is behind where the checkpoint begins.
    assert_eq!(found("0/6000028", "0/0"), (1, 0x600_0029));
    assert_eq!(follow::stopped("pg_controldata: error"), None);
}

#[test]
fn facts_that_tell_nothing_prove_nothing() {
    for observed in [
        standby(|s| s.position = 0),
        standby(|s| s.timeline = 0),
        upstream(|u| u.segment = 0),
    ] {
        assert!(!reinitialises(&observed));
    }
}

#[test]
fn a_member_keeps_its_data_where_anything_else_speaks_against_it() {
    let cases = [
        (
            view(|v| v.members[2].role = Role::SyncStandby),
            "synchronous",
        ),
        (view(|v| drop(v.members.pop())), "does not list"),
        (
            view(|v| v.members[0].state = "starting".into()),
            "no primary",
        ),
        (view(|v| v.paused = true), "paused"),
        (standby(|s| s.paused = true), "replay"),
        (standby(|s| s.archive = true), "archive"),
        (with(|o| o.leaving = [member(2)].into()), "removed"),
    ];
    for (observed, why) in cases {
        let plan = plan(&observed);
        assert!(
            plan.steps.iter().all(|p| p.step != Step::Reinitialise),
            "{plan}"
        );
        let Status::Waiting(told) = status::judge(&observed, &plan).unit else {
            unreachable!("waiting: {why}");
        };
        assert!(told.contains(why) && told.contains("0/3000064"), "{told}");
    }
    assert!(
        !reinitialises(&view(|v| v.members[0].role = Role::Replica)),
        "nobody leads"
    );
}

#[test]
fn where_no_standby_follows_one_member_starts_anew_at_a_time() {
    let neither = |me: u32| {
        view(|v| v.members[1].role = Role::Replica).also(|observed| observed.me = member(me))
    };
    assert!(reinitialises(&neither(1)));
    assert!(!reinitialises(&neither(2)));
    // One that does not run is not waited for.
    let mut observed = neither(2);
    observed.cluster.as_mut().unwrap().members[1].state = "stopped".into();
    assert!(reinitialises(&observed));
}

trait Also: Sized {
    fn also(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

impl Also for Observed {}

#[test]
fn a_member_that_takes_a_copy_says_so() {
    let observed = view(|v| v.members[2].state = "creating replica".into());
    let told = status::judge(&observed, &Plan::default()).unit;
    assert_eq!(
        told,
        Status::Waiting("taking a new copy of the primary's data".into())
    );
    let observed = behind();
    assert_eq!(status::judge(&observed, &plan(&observed)).unit, told);
    assert!(status::incomplete(&observed), "the charm looks again");
}

#[test]
fn a_unit_whose_patroni_does_not_answer_looks_again() {
    let silent = with(|observed| observed.cluster = None);
    assert!(status::incomplete(&silent));
    // Before there is a cluster its start callback tells.
    let first = silent.also(|o| o.peer_data.as_mut().unwrap().initialised = false);
    assert!(!status::incomplete(&first));
}

#[test]
fn positions_and_histories_are_read_as_postgresql_writes_them() {
    assert_eq!(position("1/5000000"), Some((1 << 32) + 0x500_0000));
    assert_eq!(position("5000000"), None);
    let text = "1\t0/5000000\tno recovery target specified\n\n2\t0/6000000\tx\n";
    assert_eq!(history(text), [(1, 0x500_0000), (2, 0x600_0000)]);
}

#[test]
fn a_standby_that_stays_without_a_stream_says_so_and_looks_again() {
    let away = |since| {
        let observed = upstream(|u| u.kept = [2].into()).also(|o| {
            o.following.as_mut().unwrap().standby.since = since;
        });
        assert!(status::incomplete(&observed), "the charm looks again");
        status::judge(&observed, &plan(&observed)).unit
    };
    let waits = Status::Waiting("awaiting to become a synchronous standby".into());
    assert_eq!(away(29), waits);
    let told = Status::Waiting("its standby does not stream from the primary".into());
    assert_eq!(away(30), told);
    let away = |change: fn(&mut Following)| {
        let mut observed = upstream(|u| u.kept = [2].into()).also(|o| {
            o.following.as_mut().unwrap().standby.since = 30;
        });
        change(observed.following.as_mut().unwrap());
        status::judge(&observed, &plan(&observed)).unit
    };
    for no_news in [
        |f: &mut Following| f.standby.streams = true,
        |f: &mut Following| f.primary.as_mut().unwrap().since = 29,
        |f: &mut Following| f.primary = None,
    ] {
        assert_eq!(away(no_news), waits);
    }
}
