//! The legacy interface `pgsql`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by them"
)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use relation_interfaces::Bag;
use relation_interfaces::pgsql::{Answer, answer, parse};

fn bag(pairs: &[(&str, &str)]) -> Bag {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn units(pairs: &[(&str, &[(&str, &str)])]) -> BTreeMap<String, Bag> {
    pairs
        .iter()
        .map(|(unit, pairs)| ((*unit).to_owned(), bag(pairs)))
        .collect()
}

#[test]
fn a_unit_may_name_the_database() {
    let units = units(&[(
        "app/0",
        &[
            ("database", "shop"),
            ("extensions", "citext:public, hstore"),
        ],
    )]);
    let request = parse(&Bag::new(), &units).unwrap().unwrap();
    assert_eq!(request.database, "shop");
    assert_eq!(request.extension_names(), ["citext", "hstore"].into());
    let request = parse(&bag(&[("database", "other")]), &units)
        .unwrap()
        .unwrap();
    assert_eq!(request.database, "other", "the application comes first");
    assert_eq!(parse(&Bag::new(), &BTreeMap::new()), Ok(None));
}

#[test]
fn roles_and_odd_names_are_refused() {
    for (pairs, says) in [
        (
            vec![("database", "a"), ("roles", "x")],
            "roles requested through relation, use postgresql_client interface instead",
        ),
        (vec![("database", "a b")], "database \"a b\" is not allowed"),
        (
            vec![("database", "a"), ("extensions", "x';")],
            "extensions \"x';\" is not allowed",
        ),
    ] {
        let error = parse(&bag(&pairs), &BTreeMap::new())
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(says), "{error}");
    }
}

#[test]
fn the_connection_strings_are_libpqs_with_sorted_keys() {
    let units = units(&[
        ("app/0", &[("egress-subnets", "10.1.0.2/32,10.1.0.1/32")]),
        ("app/1", &[("egress-subnets", "10.1.0.2/32")]),
    ]);
    let request = parse(&bag(&[("database", "shop")]), &units)
        .unwrap()
        .unwrap();
    let given = Answer {
        request: &request,
        client: "app",
        user: "relation_id_3".into(),
        password: "it's".to_owned().into(),
        host: "db-0.db-endpoints".into(),
        master: "db-primary".into(),
        standbys: None,
        port: 5432,
        version: "15.18".into(),
    };
    let told = answer(&given, &units);
    assert_eq!(
        told["master"],
        "dbname=shop fallback_application_name=app host=db-primary password='it\\'s' port=5432 \
         user=relation_id_3"
    );
    assert_eq!(told["standbys"], "");
    assert_eq!(told["allowed-units"], "app/0,app/1");
    assert_eq!(told["allowed-subnets"], "10.1.0.1/32,10.1.0.2/32");
}

proptest! {
    #[test]
    fn any_databags_are_read_or_refused(
        app in proptest::collection::btree_map("(database|extensions|roles|.{0,9})", ".{0,60}", 0..5),
        unit in proptest::collection::btree_map("(database|extensions|.{0,9})", ".{0,60}", 0..5),
    ) {
        let units = [("app/0".to_owned(), unit)].into();
        match parse(&app, &units) {
            Ok(Some(request)) => prop_assert!(request.database.is_ascii()),
            Ok(None) => {}
            Err(error) => prop_assert!(!error.to_string().chars().any(char::is_control)),
        }
    }
}
