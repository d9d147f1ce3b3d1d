use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const MACHINE: Machine = Machine {
    cores: 4,
    memory: 8 << 30,
    limited: true,
};

fn raw(pairs: &[(&str, Value)]) -> BTreeMap<String, Value> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.clone()))
        .collect()
}

fn good(rule: Rule) -> BoxedStrategy<Value> {
    match rule {
        Rule::Bool => any::<bool>().prop_map(|b| json!(b)).boxed(),
        Rule::Int(low, high) => (low..=high).prop_map(|n| json!(n)).boxed(),
        Rule::Float(low, high) => (low..=high.min(1e12)).prop_map(|n| json!(n)).boxed(),
        Rule::OneOf(words) => prop::sample::select(words).prop_map(|w| json!(w)).boxed(),
        Rule::Workers => prop_oneof![
            Just(json!("auto")),
            (2..40_u32).prop_map(|n| json!(n.to_string()))
        ]
        .boxed(),
        Rule::Count => prop_oneof![
            Just(json!("all")),
            Just(json!("majority")),
            (1..9_u32).prop_map(|n| json!(n.to_string()))
        ]
        .boxed(),
        Rule::DateStyle => prop::sample::select(&["ISO, MDY", "German"][..])
            .prop_map(|t| json!(t))
            .boxed(),
        Rule::TimeZone | Rule::Locale => "[a-zA-Z][a-zA-Z_]{1,20}".prop_map(|t| json!(t)).boxed(),
        Rule::Secret => "secret:[a-z0-9]{20}".prop_map(|t| json!(t)).boxed(),
        Rule::Text => "[ -~]{1,20}".prop_map(|t| json!(t)).boxed(),
    }
}

fn bad(rule: Rule) -> Vec<Value> {
    match rule {
        Rule::Bool => vec![json!("yes"), json!(1)],
        Rule::Int(low, high) => {
            let mut values = vec![json!("12"), json!(1.5)];
            values.extend(low.checked_sub(1).map(|n| json!(n)));
            values.extend(high.checked_add(1).map(|n| json!(n)));
            values
        }
        Rule::Float(low, high) => {
            let mut values = vec![json!(low - 0.5), json!("x")];
            if high < 1e300 {
                values.push(json!(high + 0.5));
            }
            values
        }
        Rule::OneOf(_) => vec![json!("nonsense"), json!(""), json!(3)],
        Rule::Workers => vec![json!("1"), json!("-3"), json!("+4"), json!("many")],
        Rule::Count => vec![json!("0"), json!("-1"), json!("some")],
        Rule::DateStyle => vec![json!("yesterday"), json!("ISO, SQL"), json!(1)],
        Rule::TimeZone | Rule::Locale => vec![json!("../x"), json!("a b"), json!(""), json!(1)],
        Rule::Secret => vec![json!("my-secret"), json!(1)],
        Rule::Text => vec![json!("a\nb"), json!(5)],
    }
}

proptest! {
    #[test]
    fn every_allowed_value_is_taken(
        (index, value) in (0..table::TABLE.len())
            .prop_flat_map(|index| (Just(index), good(table::TABLE[index].rule)))
    ) {
        let name = table::TABLE[index].name;
        // The longest one leaves room for whatever else of Patroni's timing.
        let mut given = vec![
            ("patroni_ttl", json!(300)),
            ("disk_warning_percent", json!(50)),
            ("disk_read_only_percent", json!(99)),
        ];
        given.retain(|(other, _)| *other != name);
        given.push((name, value.clone()));
        let taken = Config::new(&raw(&given));
        prop_assert!(taken.is_ok(), "{name}={value}: {taken:?}");
    }
}

#[test]
fn every_other_value_is_refused_with_name_value_and_range() {
    for spec in table::TABLE {
        for value in bad(spec.rule) {
            let errors = Config::new(&raw(&[(spec.name, value.clone())]))
                .expect_err(&format!("{}={value}", spec.name));
            assert_eq!(errors.len(), 1);
            assert_eq!(errors[0].option, spec.name);
            assert!(!errors[0].allowed.is_empty());
        }
    }
}

#[test]
fn table_and_config_yaml_name_the_same_options_with_allowed_defaults() {
    let text = include_str!("../../../../config.yaml");
    let mut names = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("  ").and_then(|l| l.strip_suffix(':'))
            && !name.starts_with(' ')
        {
            names.push(name.to_owned());
        } else if let Some(default) = line.strip_prefix("    default: ") {
            let value: Value = serde_json::from_str(default).unwrap();
            let name = names.last().unwrap();
            Config::new(&raw(&[(name, value)])).unwrap();
        }
    }
    let table: Vec<_> = table::TABLE.iter().map(|spec| spec.name).collect();
    assert_eq!(names, table);
    assert_eq!(
        table.len(),
        186 + 3 + 2 + 2,
        "the peer charm's, Patroni's timing, quorum, the secret of system users, the disk guard"
    );
}

#[test]
fn production_takes_a_quarter_of_the_memory() {
    let config = Config::new(&raw(&[("profile", json!("production"))])).unwrap();
    let parameters = config.parameters(&MACHINE).unwrap();
    assert_eq!(parameters.dynamic["shared_buffers"], json!(262_144));
    assert_eq!(parameters.local["effective_cache_size"], json!(786_432));
    assert_eq!(parameters.dynamic["max_connections"], json!(100));
}

#[test]
fn testing_leaves_the_defaults() {
    let config = Config::new(&raw(&[("profile", json!("testing"))])).unwrap();
    let parameters = config.parameters(&MACHINE).unwrap();
    assert_eq!(parameters.dynamic["shared_buffers"], Value::Null);
    assert!(!parameters.local.contains_key("effective_cache_size"));
}

#[test]
fn shared_buffers_beyond_two_fifths_of_the_memory_are_refused() {
    let config = Config::new(&raw(&[("memory_shared_buffers", json!(600_000))])).unwrap();
    let errors = config.parameters(&MACHINE).unwrap_err();
    assert_eq!(errors[0].option, "memory_shared_buffers");
    assert_eq!(errors[0].allowed, "16 to 419430 (40 % of the memory)");
}

#[test]
fn workers_follow_the_cores_and_their_cap() {
    let auto = |pairs: &[(&str, Value)]| Config::new(&raw(pairs)).unwrap().parameters(&MACHINE);
    let parameters = auto(&[
        ("cpu_max_worker_processes", json!("auto")),
        ("cpu_max_parallel_workers", json!("20")),
    ])
    .unwrap();
    assert_eq!(parameters.dynamic["max_worker_processes"], json!(8));
    assert_eq!(parameters.local["max_parallel_workers"], json!(8));
    let errors = auto(&[
        ("cpu_max_worker_processes", json!("41")),
        ("cpu_max_sync_workers_per_subscription", json!("auto")),
    ])
    .unwrap_err();
    assert_eq!(errors.len(), 1);
    assert_eq!(
        errors[0].to_string(),
        "cpu_max_worker_processes=41 is not allowed, use auto or 2 to 40"
    );
}

#[test]
fn an_extension_without_what_it_needs_is_named() {
    let config = Config::new(&raw(&[("plugin_jsonb_plperl_enable", json!(true))])).unwrap();
    assert_eq!(
        config.unmet_extensions()[0].option,
        "plugin_jsonb_plperl_enable"
    );
    let names: Vec<&str> = config.extensions().iter().map(|e| e.name).collect();
    assert_eq!(names, vec!["jsonb_plperl"]);
}

#[test]
fn of_two_options_for_one_parameter_the_one_that_asks_for_more_counts() {
    for (logging, optimizer, expected) in [
        ("all", "none", "all"),
        ("none", "pl", "pl"),
        ("none", "none", "none"),
    ] {
        let config = Config::new(&raw(&[
            ("logging_track_functions", json!(logging)),
            ("optimizer_track_functions", json!(optimizer)),
        ]))
        .unwrap();
        let parameters = config.parameters(&MACHINE).unwrap();
        assert_eq!(parameters.local["track_functions"], json!(expected));
    }
}

#[test]
fn quorum_commit_needs_a_patroni_that_knows_it() {
    let config = Config::new(&raw(&[("synchronous_mode_quorum", json!(true))])).unwrap();
    let of = |major, minor| config.too_new_for(PatroniVersion { major, minor });
    assert_eq!(
        of(3, 3).unwrap().to_string(),
        "synchronous_mode_quorum=true is not allowed, use false: it needs Patroni 4, the image \
         has 3.3"
    );
    assert_eq!(of(4, 0), None);
    let settings = crate::membership::sync_settings(&config, 3);
    assert_eq!(settings["synchronous_mode"], json!("quorum"));
    assert_eq!(
        crate::membership::sync_settings(&Config::default(), 3)["synchronous_mode"],
        json!(true)
    );
}

#[test]
fn a_pod_without_a_limit_is_made_for_half_of_its_node_however_many_members_there_are() {
    let config = Config::new(&raw(&[("profile", json!("production"))])).unwrap();
    let shared = Machine {
        limited: false,
        ..MACHINE
    };
    let parameters = config.parameters(&shared).unwrap();
    assert_eq!(parameters.dynamic["shared_buffers"], json!(131_072));
    assert_eq!(parameters.local["effective_cache_size"], json!(393_216));
    let granted = raw(&[("profile_limit_memory", json!(4000))]);
    let parameters = Config::new(&granted).unwrap().parameters(&shared).unwrap();
    assert_eq!(
        parameters.dynamic["shared_buffers"],
        json!(4_000_000_000_u64 / 4 / 8192),
        "what the operator grants is counted on whole"
    );
}

#[test]
fn options_within_their_range_that_no_server_starts_with_are_refused_with_the_most_that_one_does() {
    let huge = Machine {
        memory: 1 << 40,
        ..MACHINE
    };
    let locks = "instance_max_locks_per_transaction";
    for (option, value, machine, why) in [
        ("experimental_max_connections", 262_143, MACHINE, "memory"),
        ("experimental_max_connections", 262_143, huge, "processes"),
        (
            "memory_max_prepared_transactions",
            262_143,
            MACHINE,
            "memory",
        ),
        (locks, 2_147_483_647, MACHINE, "memory"),
        (locks, 2_147_483_647, huge, "memory"),
    ] {
        let given = |value: u64| Config::new(&raw(&[(option, json!(value))])).unwrap();
        let errors = given(value).parameters(&machine).unwrap_err();
        assert_eq!(errors.len(), 1, "{option}");
        assert_eq!(errors[0].option, option);
        assert!(errors[0].allowed.contains(why), "{errors:?}");
        let most: u64 = errors[0]
            .allowed
            .split(' ')
            .nth(2)
            .unwrap()
            .parse()
            .unwrap();
        assert!(given(most).parameters(&machine).is_ok(), "{option}={most}");
        assert!(given(most + 1).parameters(&machine).is_err(), "{option}");
    }
}

#[test]
fn options_count_together() {
    let both = raw(&[
        ("experimental_max_connections", json!(20_000)),
        ("instance_max_locks_per_transaction", json!(1000)),
    ]);
    let errors = Config::new(&both)
        .unwrap()
        .parameters(&MACHINE)
        .unwrap_err();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].option, "instance_max_locks_per_transaction");
}

#[test]
fn the_smallest_pod_takes_what_every_server_has() {
    let small = Machine {
        cores: 1,
        memory: 16 << 20,
        limited: true,
    };
    let usual = raw(&[
        ("experimental_max_connections", json!(100)),
        ("instance_max_locks_per_transaction", json!(64)),
        ("request_track_activity_query_size", json!(1024)),
    ]);
    assert!(Config::new(&usual).unwrap().parameters(&small).is_ok());
}

#[test]
fn an_empty_id_of_a_secret_is_none() {
    let config = Config::new(&raw(&[(SYSTEM_USERS, json!(""))])).unwrap();
    assert_eq!(config, Config::default());
}
