//! The provider's databag: what it says is found, and nothing that it may hold does harm.

#![allow(clippy::unwrap_used, reason = "a test fails by them")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use tls_interface::{Authorities, Identity, PrivateKey, Provider, request_databag};

fn identity() -> Identity {
    Identity {
        common_name: "db-0".into(),
        hosts: ["db-0".into()].into(),
        addresses: [].into(),
    }
}

fn request() -> String {
    identity()
        .request(&PrivateKey::generate().unwrap())
        .unwrap()
}

fn certificate() -> String {
    let authority = Authorities::new("test", 1_000_000).unwrap();
    authority.current.certificate.pem()
}

fn parse(key: &str, value: &Value) -> Result<Provider, String> {
    let bag = BTreeMap::from([(key.to_owned(), value.to_string())]);
    Provider::parse(&bag).map_err(|error| error.to_string())
}

#[test]
fn what_was_issued_is_found_by_the_request_whatever_its_line_ends() {
    let (request, certificate) = (request(), certificate());
    let entry = |request: String, revoked: Value| {
        json!([{"certificate_signing_request": request, "certificate": certificate,
                "ca": certificate, "chain": [certificate, certificate], "revoked": revoked}])
    };
    for text in [
        request.clone(),
        format!("{request}\n"),
        request.replace('\n', "\r\n"),
    ] {
        let provider = parse("certificates", &entry(text, Value::Null)).unwrap();
        let issued = provider.issued(&request).unwrap().unwrap();
        assert_eq!(issued.certificate.pem(), certificate);
        assert_eq!(issued.chain.len(), 2);
        assert!(provider.issued(&self::request()).unwrap().is_none());
    }
    let provider = parse("certificates", &entry(request.clone(), json!(true))).unwrap();
    assert!(provider.revoked(&request));
    assert!(provider.issued(&request).unwrap().is_none());
}

#[test]
fn a_refused_request_is_told_in_the_providers_words() {
    let request = request();
    let errors = json!([{"csr": request, "error": {"code": 102, "name": "DOMAIN_NOT_ALLOWED",
        "message": "db-0\nis not allowed"}}]);
    let provider = parse("request_errors", &errors).unwrap();
    let refusal = provider.refusal(&request).unwrap();
    assert_eq!(
        (refusal.code, refusal.message.as_str()),
        (102, "db-0 is not allowed")
    );
}

#[test]
fn a_databag_of_another_shape_is_refused_with_the_key_that_is_wrong() {
    for value in [
        json!({}),
        json!("x"),
        json!([1]),
        json!([{"ca": "x"}]),
        json!(null),
    ] {
        let error = parse("certificates", &value).unwrap_err();
        assert!(error.contains("certificates"), "{error}");
    }
    let long = json!(["x".repeat(tls_interface::MOST)]);
    assert!(
        parse("certificates", &long)
            .unwrap_err()
            .contains("more than")
    );
    assert_eq!(
        Provider::parse(&BTreeMap::new()).unwrap(),
        Provider::default()
    );
}

#[test]
fn the_own_databag_is_what_the_interface_asks_for() {
    let (key, text) = request_databag("PEM");
    assert_eq!(key, "certificate_signing_requests");
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        value,
        json!([{"certificate_signing_request": "PEM", "ca": false}])
    );
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
        Just(Value::from(
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"
        )),
        Just(Value::from(
            "-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----"
        )),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        let key = prop_oneof![
            Just("ca".to_owned()),
            Just("certificate".to_owned()),
            Just("chain".to_owned()),
            Just("certificate_signing_request".to_owned()),
            Just("revoked".to_owned()),
            Just("csr".to_owned()),
            Just("error".to_owned()),
            "[a-z]{1,4}",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_databag_is_read_or_refused_in_one_short_line(
        certificates in prop_oneof![json_value().prop_map(|v| v.to_string()), ".*"],
        errors in prop_oneof![json_value().prop_map(|v| v.to_string()), ".*"],
    ) {
        let bag = BTreeMap::from([
            ("certificates".to_owned(), certificates),
            ("request_errors".to_owned(), errors),
            ("capabilities".to_owned(), "not even JSON".to_owned()),
        ]);
        match Provider::parse(&bag) {
            Ok(provider) => {
                let _ = provider.issued("-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----");
            }
            Err(error) => {
                let text = error.to_string();
                prop_assert!(text.chars().count() < 300 && !text.contains('\n'), "{text}");
            }
        }
    }
}
