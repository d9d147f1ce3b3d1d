//! Keys in the forms that operators have them; the keys under `tests/keys` are of openssl and of
//! these tests alone.

#![allow(clippy::unwrap_used, reason = "a test fails by them")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;
use tls_interface::{Identity, PrivateKey};

const RSA: &str = include_str!("keys/rsa-pkcs8.pem");

fn identity() -> Identity {
    Identity {
        common_name: "db-0.db-endpoints".into(),
        hosts: ["db-0".into(), "localhost".into()].into(),
        addresses: ["10.1.2.3".parse().unwrap(), "fd00::1".parse().unwrap()].into(),
    }
}

#[test]
fn rsa_and_elliptic_keys_in_every_form_of_pem_are_taken_and_sign_requests() {
    for pem in [
        RSA,
        include_str!("keys/rsa-pkcs1.pem"),
        include_str!("keys/p256-sec1.pem"),
        include_str!("keys/p384-sec1.pem"),
    ] {
        for text in [
            pem.to_owned(),
            STANDARD.encode(pem),
            pem.replace('\n', "\r\n"),
        ] {
            let key = PrivateKey::parse(&text.into()).unwrap();
            let again = PrivateKey::parse(key.pem()).unwrap();
            assert_eq!(key.public(), again.public());
            let request = identity().request(&key).unwrap();
            assert!(identity().fits(&request, &key));
        }
    }
    let one = PrivateKey::parse(&RSA.into()).unwrap();
    let other = PrivateKey::parse(&include_str!("keys/rsa-pkcs1.pem").into()).unwrap();
    assert_eq!(one.public(), other.public(), "the same key in two forms");
}

#[test]
fn what_is_no_key_or_a_weak_one_is_refused_without_being_shown() {
    let request = identity()
        .request(&PrivateKey::generate().unwrap())
        .unwrap();
    let broken = RSA.replace("MII", "AAA");
    for (text, says) in [
        ("", "no private key"),
        ("not base64 !", "neither PEM nor base64"),
        ("aGVsbG8=", "no private key"),
        (request.as_str(), "no private key"),
        (broken.as_str(), "it must be"),
        (include_str!("keys/rsa-small.pem"), "2048"),
        (include_str!("keys/p521-sec1.pem"), "P-256"),
        ("-----BEGIN ENCRYPTED PRIVATE KEY-----", "passphrase"),
    ] {
        let error = PrivateKey::parse(&text.into()).unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
        assert!(!error.contains("MII"), "{error}");
    }
    let long = "A".repeat(100_000);
    assert!(PrivateKey::parse(&long.into()).is_err());
}

#[test]
fn a_request_fits_its_key_and_names_alone() {
    let key = PrivateKey::generate().unwrap();
    let request = identity().request(&key).unwrap();
    assert!(!identity().fits(&request, &PrivateKey::generate().unwrap()));
    let mut moved = identity();
    moved.addresses = ["10.9.9.9".parse().unwrap()].into();
    assert!(!moved.fits(&request, &key));
    assert_ne!(
        identity().request(&key).unwrap(),
        request,
        "a second request is another one"
    );
    assert!(!format!("{key:?}").contains(&key.pem().expose_secret()[40..60]));
}
