//! Interface `postgresql_client`: what clients write, and what they get.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by them"
)]

use proptest::prelude::*;
use relation_interfaces::postgresql_client::{
    Answer, Ask, Group, MOST_BYTES, SecretIds, Told, Version, answer, parse, secret_content,
    secret_label,
};
use relation_interfaces::{Bag, RequestError};
use secrecy::ExposeSecret;

fn bag(pairs: &[(&str, &str)]) -> Bag {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn asked(pairs: &[(&str, &str)]) -> Ask {
    parse(&bag(pairs)).unwrap().unwrap()
}

fn refused(pairs: &[(&str, &str)]) -> String {
    match parse(&bag(pairs)) {
        Err(error) => error.to_string(),
        Ok(ask) => ask.unwrap().requests[0].clone().unwrap_err().to_string(),
    }
}

fn given() -> Answer {
    Answer {
        username: "relation_id_5".into(),
        password: "p@ss".to_owned().into(),
        endpoints: "db-primary.m.svc.cluster.local:5432".into(),
        read_only_endpoints: "db-replicas.m.svc.cluster.local:5432".into(),
        tls_ca: None,
        version: "15.18".into(),
        databases: vec![],
    }
}

const SECRETS: &str = r#"["username", "password", "tls", "tls-ca", "uris", "read-only-uris"]"#;

#[test]
fn nothing_is_asked_before_there_is_a_name() {
    assert_eq!(parse(&Bag::new()), Ok(None));
    assert_eq!(parse(&bag(&[("requested-secrets", SECRETS)])), Ok(None));
    assert_eq!(
        parse(&bag(&[("version", "v1"), ("requests", "[]")])),
        Ok(None)
    );
}

#[test]
fn a_client_without_secrets_gets_all_in_the_databag() {
    let ask = asked(&[("database", "app"), ("extra-user-roles", "CREATEDB, admin")]);
    let request = ask.requests[0].clone().unwrap();
    assert_eq!(
        request.roles,
        ["admin", "createdb"].map(str::to_owned).into()
    );
    let answered = given();
    assert!(secret_content(&request, &answered, Group::User).is_empty());
    let told = Told {
        request: &request,
        answer: &answered,
        secrets: &SecretIds::new(),
    };
    let bag = answer(Version::V0, &[told]);
    assert_eq!(bag["username"], "relation_id_5");
    assert_eq!(bag["password"], "p@ss");
    assert_eq!(
        bag["uris"],
        "postgresql://relation_id_5:p%40ss@db-primary.m.svc.cluster.local:5432/app"
    );
    assert_eq!(bag["tls"], "False");
    assert_eq!(bag["secret-user"], "");
    assert_eq!(bag["version"], "15.18");
    assert!(bag["data"].contains("CREATEDB, admin"));
}

#[test]
fn a_client_with_secrets_finds_no_password_in_the_databag() {
    for secrets in [SECRETS, r#"["username", "password"]"#, "[]"] {
        let ask = asked(&[("database", "app"), ("requested-secrets", secrets)]);
        let request = ask.requests[0].clone().unwrap();
        let answered = given();
        let ids = [(Group::User, "secret:abc".to_owned())].into();
        let told = Told {
            request: &request,
            answer: &answered,
            secrets: &ids,
        };
        let bag = answer(Version::V0, &[told]);
        assert!(
            bag.values()
                .all(|v| !v.contains("p@ss") && !v.contains("p%40ss"))
        );
        assert_eq!(bag["secret-user"], "secret:abc");
    }
    let ask = asked(&[("database", "app"), ("requested-secrets", SECRETS)]);
    let request = ask.requests[0].clone().unwrap();
    let content = secret_content(&request, &given(), Group::User);
    assert_eq!(content.len(), 4);
    assert!(
        content["read-only-uris"]
            .expose_secret()
            .contains("db-replicas")
    );
    assert_eq!(
        secret_content(&request, &given(), Group::Tls)["tls"].expose_secret(),
        "False"
    );
    assert_eq!(
        secret_label("database", 5, &request, Group::User),
        "database.5.user.secret"
    );
}

#[test]
fn the_second_version_has_a_list_of_requests() {
    let ask = asked(&[
        ("version", "v1"),
        (
            "requests",
            r#"[{"resource": "app", "request-id": "0a1b", "salt": "s", "extra-user-roles": null,
                 "external-node-connectivity": false, "entity-permissions": null},
                {"resource": "bad name", "request-id": "ff"},
                {"resource": "other", "request-id": "0c", "salt": "t"}]"#,
        ),
    ]);
    assert_eq!(ask.version, Version::V1);
    let good: Vec<_> = ask
        .requests
        .iter()
        .filter_map(|r| r.as_ref().ok())
        .collect();
    assert_eq!(good.len(), 2, "the others go on");
    let mut answered = given();
    answered.tls_ca = Some("CA".into());
    let ids = [(Group::User, "secret:abc".to_owned())].into();
    let told: Vec<_> = good
        .iter()
        .map(|request| Told {
            request,
            answer: &answered,
            secrets: &ids,
        })
        .collect();
    let bag = answer(Version::V1, &told);
    let requests: serde_json::Value = serde_json::from_str(&bag["requests"]).unwrap();
    assert_eq!(requests[0]["request-id"], "0a1b");
    assert_eq!(requests[0]["salt"], "s");
    assert_eq!(requests[0]["secret-user"], "secret:abc");
    let data: serde_json::Value = serde_json::from_str(&bag["data"]).unwrap();
    assert_eq!(data["0c"]["resource"], "other");
    assert_eq!(
        secret_content(good[0], &answered, Group::Tls)["tls"].expose_secret(),
        "true",
        "JSON, not Python"
    );
    assert_eq!(
        secret_label("database", 5, good[0], Group::Tls),
        "database.5.0a1b.tls.secret"
    );
}

#[test]
fn what_is_wrong_is_named() {
    for (pairs, says) in [
        (
            vec![("database", "x; DROP TABLE y")],
            "database \"x; DROP TABLE y\" is not allowed: use letters",
        ),
        (vec![("database", "postgres")], "it is reserved"),
        (vec![("database", "Template1")], "it is reserved"),
        (vec![("database", "samerole")], "it is reserved"),
        (
            vec![("database", "pg_catalog")],
            "starts with what is reserved",
        ),
        (
            vec![("database", "relation_id_3")],
            "starts with what is reserved",
        ),
        (vec![("database", "internal_access")], "it is reserved"),
        (vec![("database", "")], "it is empty"),
        (vec![("database", &"x".repeat(64))], "longer than 63 bytes"),
        (
            vec![("database", "a"), ("extra-user-roles", "x\" SUPERUSER")],
            "extra-user-roles \"x\\\" SUPERUSER\" is not allowed",
        ),
        (
            vec![("database", "a"), ("requested-secrets", "{\"a\": 1}")],
            "requested-secrets is not a JSON list of names",
        ),
        (
            vec![("database", "a"), ("external-node-connectivity", "maybe")],
            "external-node-connectivity is not true or false",
        ),
        (
            vec![("database", "a"), ("entity-type", "ROBOT")],
            "entity-type is not USER or GROUP: \"ROBOT\"",
        ),
        (
            vec![("database", "a"), ("prefix-matching", "all")],
            "with prefix-matching it ends in *",
        ),
        (
            vec![
                ("database", "a"),
                ("entity-type", "USER"),
                (
                    "entity-permissions",
                    r#"[{"resource_name": "t", "resource_type": "TABLE", "privileges": ["SELECT; --"]}]"#,
                ),
            ],
            "entity-permissions is not of privileges that such an object has",
        ),
        (
            vec![
                ("database", "a"),
                ("entity-type", "USER"),
                (
                    "entity-permissions",
                    r#"[{"resource_name": "b", "resource_type": "DATABASE", "privileges": ["ALL"]}]"#,
                ),
            ],
            "entity-permissions is not for the database that is asked for: \"b\"",
        ),
        (
            vec![("database", "a"), ("version", "v9")],
            "version is not v0 or v1: \"v9\"",
        ),
        (
            vec![("version", "v1"), ("requests", "[3]")],
            "requests is not a JSON list of objects",
        ),
        (
            vec![
                ("version", "v1"),
                ("requests", r#"[{"resource": 3, "request-id": "a"}]"#),
            ],
            "resource is not text: \"3\"",
        ),
        (
            vec![
                ("version", "v1"),
                ("requests", r#"[{"resource": "a", "request-id": "'; --"}]"#),
            ],
            "request-id \"'; --\" is not allowed: use small letters and digits",
        ),
        (
            vec![
                ("version", "v1"),
                (
                    "requests",
                    r#"[{"resource": "a", "request-id": "1"}, {"resource": "b", "request-id": "1"}]"#,
                ),
            ],
            "each request-id comes once",
        ),
    ] {
        let text = refused(&pairs);
        assert!(text.contains(says), "{text} lacks {says}");
    }
}

#[test]
fn nothing_in_the_catalogue_can_be_permitted() {
    for (name, kind) in [
        ("pg_catalog.pg_authid", "TABLE"),
        ("pg_authid", "TABLE"),
        ("pg_catalog", "SCHEMA"),
        ("pg_toast", "SCHEMA"),
        ("information_schema", "SCHEMA"),
        ("information_schema.sequences", "SEQUENCE"),
    ] {
        let permissions = serde_json::json!([
            {"resource_name": name, "resource_type": kind, "privileges": ["ALL"]},
        ])
        .to_string();
        let text = refused(&[
            ("database", "a"),
            ("entity-type", "USER"),
            ("entity-permissions", &permissions),
        ]);
        assert!(
            text.contains("for an object of the database's own"),
            "{name}: {text}"
        );
    }
}

#[test]
fn a_huge_databag_is_refused_shortly() {
    let huge = "x".repeat(MOST_BYTES + 1);
    assert!(matches!(
        parse(&bag(&[("database", "a"), ("junk", &huge)])),
        Err(RequestError::TooLarge(..))
    ));
    let text = refused(&[("database", &"'".repeat(10_000))]);
    assert!(text.len() < 200, "{text}");
}

#[test]
fn a_request_that_changes_is_told_which_key() {
    let before = asked(&[("database", "a"), ("extra-user-roles", "createdb")]);
    let before = before.requests[0].clone().unwrap();
    assert_eq!(before.same_as(&before.written), Ok(()));
    let after = asked(&[("database", "b"), ("extra-user-roles", "createdb")]);
    let error = after.requests[0].clone().unwrap().same_as(&before.written);
    assert!(error.unwrap_err().to_string().starts_with("database \"b\""));
}

#[test]
fn a_user_or_group_gets_its_name_in_a_secret_of_its_own() {
    for (kind, keys) in [("USER", 2), ("GROUP", 1)] {
        let permissions =
            r#"[{"resource_name": "s.t", "resource_type": "table", "privileges": ["select"]}]"#;
        let ask = asked(&[
            ("database", "app"),
            ("entity-type", kind),
            ("entity-permissions", permissions),
            ("requested-secrets", r#"["entity-name", "entity-password"]"#),
        ]);
        let request = ask.requests[0].clone().unwrap();
        let permission = request.permissions.first().unwrap();
        assert_eq!(
            (permission.on, permission.name.join("/")),
            ("TABLE", "s/t".into())
        );
        assert!(secret_content(&request, &given(), Group::User).is_empty());
        assert_eq!(
            secret_content(&request, &given(), Group::Entity).len(),
            keys
        );
    }
}

#[test]
fn a_prefix_leads_to_the_databases_there_are() {
    let ask = asked(&[("database", "app_*"), ("prefix-matching", "all")]);
    let request = ask.requests[0].clone().unwrap();
    assert_eq!(request.database, "app_");
    let mut answered = given();
    answered.databases = vec!["app_a".into(), "app_b".into()];
    let told = Told {
        request: &request,
        answer: &answered,
        secrets: &SecretIds::new(),
    };
    let bag = answer(Version::V0, &[told]);
    assert_eq!(bag["database"], "app_*");
    assert_eq!(bag["prefix-databases"], "app_a,app_b");
    assert_eq!(bag["uris"], "");
}

fn any_key() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("database".to_owned()),
        Just("version".to_owned()),
        Just("requests".to_owned()),
        Just("extra-user-roles".to_owned()),
        Just("requested-secrets".to_owned()),
        Just("external-node-connectivity".to_owned()),
        Just("entity-type".to_owned()),
        Just("entity-permissions".to_owned()),
        Just("prefix-matching".to_owned()),
        Just("data".to_owned()),
        ".{0,20}",
    ]
}

fn any_value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("v1".to_owned()),
        Just("v0".to_owned()),
        Just("USER".to_owned()),
        Just("all".to_owned()),
        Just("app*".to_owned()),
        "\\[\\{\"resource_name\": ?\"[a-z.]{0,4}\", ?\"resource_type\": ?\"TABLE\", ?\"privileges\": ?\\[\"ALL\"\\]\\}\\]",
        "[a-z]{1,8}",
        ".{0,80}",
        Just("[{\"resource\":\"a\",\"request-id\":\"1\"},{}]".to_owned()),
        "\\[\\{\"resource\": ?(\"[a-z]{0,4}\"|[0-9]|null), ?\"request-id\": ?\"[a-z0-9']{0,4}\"\\}\\]",
        "\\[(\"[a-z-]{0,6}\"(, )?){0,3}\\]",
    ]
}

proptest! {
    /// Whatever a databag holds, it is read or refused in words fit for a status.
    #[test]
    fn any_databag_is_read_or_refused(
        bag in proptest::collection::btree_map(any_key(), any_value(), 0..8)
    ) {
        let says = |error: &RequestError| {
            let text = error.to_string();
            !text.is_empty() && text.len() < 400 && !text.chars().any(char::is_control)
        };
        match parse(&bag) {
            Err(error) => prop_assert!(says(&error)),
            Ok(None) => {}
            Ok(Some(ask)) => for request in &ask.requests {
                match request {
                    Err(error) => prop_assert!(says(error)),
                    Ok(request) => {
                        prop_assert!(!request.database.is_empty());
                        prop_assert!(request.database.len() <= 63);
                        prop_assert!(request.database.is_ascii());
                        let answered = given();
                        let secrets = SecretIds::new();
                        let told = Told { request, answer: &answered, secrets: &secrets };
                        prop_assert!(!answer(ask.version, &[told]).is_empty());
                    }
                }
            },
        }
    }
}
