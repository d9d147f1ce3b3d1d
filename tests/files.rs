//! The files that the charm writes: whatever a value holds, the file says just that.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by them"
)]

use std::collections::BTreeMap;

use cluster_plan::names::Names;
use cluster_plan::observed::SystemUser;
use cluster_plan::options::Parameters;
use postgresql_k8s::render::{self, PatroniFile};
use postgresql_k8s::secrets::Passwords;
use proptest::prelude::*;
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};

use postgresql_k8s::observe::identity;
use postgresql_k8s::render::Tls;

fn yaml(passwords: &[String], parameters: &BTreeMap<String, Value>, bootstrap: bool) -> Value {
    let file = file(passwords, parameters, bootstrap);
    assert_eq!((file.mode, file.owner), (0o600, "postgres"));
    serde_yaml::from_str(file.content.expose_secret()).unwrap()
}

fn file(
    passwords: &[String],
    parameters: &BTreeMap<String, Value>,
    bootstrap: bool,
) -> render::File {
    let mut all = Passwords::default();
    for (user, password) in SystemUser::GENERATED.into_iter().zip(passwords) {
        all.set(user, password.clone().into());
    }
    let names = Names::new("postgresql-k8s", "m");
    let computed = Parameters {
        local: parameters.clone(),
        ..Parameters::default()
    };
    let dynamic: Map<String, Value> = json!({
        "synchronous_mode": true,
        "postgresql": {"parameters": parameters},
    })
    .as_object()
    .unwrap()
    .clone();
    render::patroni_yml(&PatroniFile {
        guests: &[r#"host "shop" "guest" 0.0.0.0/0 md5"#.to_owned()],
        me: &names.member(0),
        names: &names,
        passwords: &all,
        parameters: &computed,
        bootstrap: bootstrap.then_some(&dynamic),
        major: 15,
        preload: &[],
        tls: Some(Tls {
            serves: true,
            from_provider: bootstrap,
            demands: bootstrap,
        }),
    })
    .unwrap()
}

/// Rules and users of a file with these certificates.
fn of(tls: Option<Tls>) -> (Vec<String>, Value) {
    let names = Names::new("postgresql-k8s", "m");
    let mut passwords = Passwords::default();
    for user in SystemUser::GENERATED {
        passwords.set(user, "x".repeat(8).into());
    }
    let file = render::patroni_yml(&PatroniFile {
        guests: &[],
        me: &names.member(0),
        names: &names,
        passwords: &passwords,
        parameters: &Parameters::default(),
        bootstrap: None,
        major: 15,
        preload: &[],
        tls,
    })
    .unwrap();
    let read: Value = serde_yaml::from_str(file.content.expose_secret()).unwrap();
    let rules = read["postgresql"]["pg_hba"].as_array().unwrap();
    let rules = rules.iter().map(|rule| rule.as_str().unwrap().to_owned());
    (rules.collect(), read["postgresql"].clone())
}

proptest! {
    #[test]
    fn patroni_yml_says_what_it_is_given(
        passwords in proptest::collection::vec("\\PC{1,60}|[\"'\\\\{}%:#&*!|>@`\n\t-]{1,20}|[ a\u{7f}\u{85}\u{9b}\u{2028}\u{2029}\u{feff}]{1,8}", 5),
        values in proptest::collection::btree_map("[a-z_.]{1,20}", "\\PC{0,60}|[\"'\\\\{}%:#\n]{1,20}", 0..6),
        bootstrap: bool,
    ) {
        let parameters: BTreeMap<String, Value> =
            values.into_iter().map(|(name, value)| (name, Value::from(value))).collect();
        let read = yaml(&passwords, &parameters, bootstrap);
        let users = &read["postgresql"]["authentication"];
        prop_assert_eq!(&users["replication"]["password"], &json!(passwords[0]));
        prop_assert_eq!(&users["rewind"]["password"], &json!(passwords[1]));
        prop_assert_eq!(&users["superuser"]["password"], &json!(passwords[2]));
        prop_assert_eq!(&read["restapi"]["authentication"]["password"], &json!(passwords[4]));
        for (name, value) in &parameters {
            // What no library is there for is left out.
            if name.contains('.') {
                continue;
            }
            prop_assert_eq!(&read["postgresql"]["parameters"][name], value);
            if bootstrap {
                let dynamic = &read["bootstrap"]["dcs"]["postgresql"]["parameters"];
                prop_assert_eq!(&dynamic[name], value);
            }
        }
        prop_assert_eq!(read.get("bootstrap").is_some(), bootstrap);
        // Nothing is smuggled in beside what the template has.
        let keys: Vec<&String> = read.as_object().unwrap().keys().collect();
        prop_assert!(keys.iter().all(|key| ["log", "restapi", "ctl", "bootstrap", "postgresql"].contains(&key.as_str())), "{:?}", keys);
    }
}

#[test]
fn nobody_is_trusted_and_replication_is_for_members_alone() {
    let read = yaml(&vec!["x".repeat(8); 5], &BTreeMap::new(), true);
    let rules: Vec<&str> = read["postgresql"]["pg_hba"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule.as_str().unwrap())
        .collect();
    assert!(
        rules.iter().all(
            |rule| !rule.contains("trust") && (!rule.contains("md5") || rule.contains("guest"))
        ),
        "{rules:?}"
    );
    let replication: Vec<_> = rules
        .iter()
        .filter(|rule| rule.starts_with("host") && rule.contains(" replication "))
        .collect();
    assert!(
        replication
            .iter()
            .all(|rule| rule.contains("127.0.0.1/32") || rule.ends_with("clientcert=verify-full")),
        "{replication:?}"
    );
    // Patroni asks its own member by its operating system user: no password parts the two.
    assert!(rules.contains(&"local replication replication peer map=charm"));
    assert_eq!(read["postgresql"]["use_unix_socket_repl"], true);
    // Users that others made come last, and over TLS where clients have to.
    let guest = r#"hostssl "shop" "guest" 0.0.0.0/0 md5"#;
    assert_eq!(rules.last(), Some(&guest));
    let read = yaml(&vec!["x".repeat(8); 5], &BTreeMap::new(), false);
    let rules = read["postgresql"]["pg_hba"].as_array().unwrap();
    assert_eq!(
        rules.last().unwrap(),
        r#"host "shop" "guest" 0.0.0.0/0 md5"#
    );
}

/// Whatever a rule goes by, it is no name: DNS gives an address as many names as it likes.
#[test]
fn nobody_is_let_in_or_kept_out_by_a_host_name() {
    let tls = |serves, demands| {
        Some(Tls {
            serves,
            from_provider: false,
            demands,
        })
    };
    for tls in [None, tls(false, false), tls(true, false), tls(true, true)] {
        let (rules, _) = of(tls);
        for rule in rules {
            let words: Vec<&str> = rule.split_whitespace().collect();
            let address = match words[0] {
                "local" => continue,
                _ => words[3],
            };
            assert!(address == "all" || address.contains('/'), "{tls:?}: {rule}");
        }
    }
}

#[test]
fn members_come_in_by_identity_as_soon_as_all_have_one() {
    for (serves, demands, kind, wanted) in [
        (false, false, "host", ""),
        (true, false, "hostssl", ""),
        (true, true, "hostssl", " clientcert=verify-full"),
    ] {
        let (rules, postgresql) = of(Some(Tls {
            serves,
            from_provider: false,
            demands,
        }));
        for (databases, role) in [("replication", "replication"), ("all", "rewind")] {
            let rule = format!("{kind} {databases} {role} all scram-sha-256{wanted}");
            // The first rule that fits is the one that counts.
            let fits = |rule: &&String| {
                let words: Vec<&str> = rule.split_whitespace().collect();
                words[1] == databases && (words[2] == role || words[2].starts_with('+'))
            };
            let first = rules
                .iter()
                .filter(|rule| rule.starts_with("host") && !rule.contains("127.0.0.1"))
                .find(fits);
            assert_eq!(first, Some(&rule));
            let user = &postgresql["authentication"][role];
            let mode = if serves { "require" } else { "prefer" };
            assert_eq!(user["sslmode"], json!(mode));
            let path = match role {
                "replication" => identity::REPLICATION,
                _ => identity::REWIND,
            };
            for key in ["sslcert", "sslkey"] {
                assert_eq!(user.get(key), serves.then_some(&json!(path)), "{key}");
            }
        }
        let open = rules
            .iter()
            .any(|rule| rule == "host all rewind all reject");
        assert_eq!(open, serves, "nobody is rewound without TLS");
    }
}

#[test]
fn a_new_member_does_not_wait_for_a_spread_checkpoint() {
    let (_, postgresql) = of(None);
    assert_eq!(postgresql["basebackup"], json!([{"checkpoint": "fast"}]));
}

#[test]
fn what_changes_between_two_files_is_told_by_parameter() {
    let text = |memory: i64, more: bool| {
        let mut parameters = BTreeMap::from([("work_mem".to_owned(), json!(memory))]);
        if more {
            parameters.insert("TimeZone".into(), json!("Europe/Berlin"));
        }
        let file = file(&vec!["a-password".to_owned(); 5], &parameters, !more);
        file.content.expose_secret().to_owned()
    };
    let changes = render::changes(&text(4096, false), &text(8192, true));
    let how: Vec<&str> = changes.iter().map(|change| change.how.as_str()).collect();
    let expected = ["TimeZone unset -> Europe/Berlin", "work_mem 4096 -> 8192"];
    assert_eq!(how, expected);
}

#[test]
fn a_new_primary_makes_the_slots_of_the_other_members() {
    let names = Names::new("my-db", "m");
    let script = |others: &[_], major| {
        let file = render::callback(others, major);
        assert_eq!((file.mode, file.owner), (0o755, "root"));
        file.content.expose_secret().to_owned()
    };
    let told = script(&[names.member(0), names.member(12)], Some(15));
    assert!(
        told.contains("'{my_db_0,my_db_12}'::pg_catalog.name[]"),
        "{told}"
    );
    assert!(told.contains("psql=/usr/lib/postgresql/15/bin/psql\n"));
    let without = script(&[], None);
    assert!(without.contains("psql=\n") && without.contains("'{}'::pg_catalog.name[]"));
}
