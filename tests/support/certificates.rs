//! Juju's side of certificates, and a provider of them that signs what it is asked for.

use std::collections::BTreeMap;
use std::time::Duration;

use postgresql_k8s::juju_port::{Certificates, CertificatesRelation, JujuError, SecretMap};
use postgresql_k8s::secrets::Passwords;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, IsCa, Issuer,
    KeyPair,
};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::juju::FakeJuju;
use super::{State, World};

/// What Juju and the provider hold.
#[derive(Default)]
pub struct Tls {
    /// Seconds since 1970.
    pub now: i64,
    /// Id of the relation `certificates`.
    pub relation: Option<String>,
    /// The hook that runs is its last.
    pub ends: bool,
    /// The provider's databag.
    pub provider: BTreeMap<String, String>,
    /// Each unit's databag of the relation.
    pub requests: BTreeMap<u32, String>,
    /// Each unit's own secret.
    pub unit_secrets: BTreeMap<u32, SecretMap>,
    /// The members' own authority in the application's secret.
    pub authority: SecretMap,
}

/// What a hook writes.
#[derive(Default)]
pub struct Pending {
    request: Option<String>,
    unit_secret: Option<SecretMap>,
    authority: Option<SecretMap>,
}

impl Pending {
    pub fn commit(self, state: &mut State, ordinal: u32) {
        if let Some(request) = self.request {
            state.tls.requests.insert(ordinal, request);
        }
        if let Some(secret) = self.unit_secret {
            state.tls.unit_secrets.insert(ordinal, secret);
        }
        if let Some(authority) = self.authority {
            state.tls.authority = authority;
        }
    }
}

/// The world's clock.
pub struct FakeClock<'a>(pub &'a World);

impl postgresql_k8s::ports::Clock for FakeClock<'_> {
    fn now(&self) -> i64 {
        self.0.with(|state| state.tls.now)
    }

    /// Patroni goes on meanwhile.
    fn pause(&self, _: Duration) {
        self.0.with(|state| {
            state.tls.now += 1;
            state.let_patroni_work();
        });
    }
}

impl Certificates for FakeJuju<'_> {
    fn certificates(&self) -> Result<Option<CertificatesRelation>, JujuError> {
        Ok(self.world.with(|state| {
            let id = state.tls.relation.clone()?;
            let provider = state.tls.provider.clone();
            Some(CertificatesRelation {
                ends: state.tls.ends,
                id,
                provider,
            })
        }))
    }

    fn request_certificate(&self, relation: &str, key: &str, value: &str) {
        assert_eq!(key, "certificate_signing_requests");
        let related = self.world.with(|state| state.tls.relation.clone());
        assert_eq!(related.as_deref(), Some(relation));
        self.pending.borrow_mut().tls.request = Some(value.to_owned());
        self.world
            .with(|state| state.effect("relation-set request"));
    }

    fn unit_secret(&self) -> Result<SecretMap, JujuError> {
        if let Some(pending) = &self.pending.borrow().tls.unit_secret {
            return Ok(pending.clone());
        }
        let secrets = |state: &mut State| state.tls.unit_secrets.get(&self.ordinal).cloned();
        Ok(self.world.with(secrets).unwrap_or_default())
    }

    fn store_unit_secret(&self, content: &SecretMap) -> Result<(), JujuError> {
        self.pending.borrow_mut().tls.unit_secret = Some(content.clone());
        self.world.with(|state| state.effect("secret-set unit"));
        Ok(())
    }

    fn forget_revision(&self, _: &str, _: u64) -> Result<(), JujuError> {
        self.world.with(|state| state.effect("secret-remove"));
        Ok(())
    }

    fn authority(&self) -> Result<SecretMap, JujuError> {
        if let Some(pending) = &self.pending.borrow().tls.authority {
            return Ok(pending.clone());
        }
        Ok(self.applications().1)
    }

    fn store_authority(&self, content: &SecretMap) -> Result<(), JujuError> {
        let pending: Option<Passwords> = self.pending.borrow().secret.clone();
        let there = pending.is_some() || self.world.with(|state| state.secret.is_some());
        assert!(there, "the application's secret is made with the passwords");
        self.writes();
        self.pending.borrow_mut().tls.authority = Some(content.clone());
        self.world
            .with(|state| state.effect("secret-set authority"));
        Ok(())
    }
}

/// A provider's authority.
pub struct Provider {
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
    /// Life of a certificate, in seconds.
    pub life: i64,
}

fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap()
}

impl Provider {
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self {
            certificate,
            issuer: Issuer::new(params, key),
            life: 90 * 24 * 3600,
        }
    }

    pub fn pem(&self) -> String {
        self.certificate.pem().trim().to_owned()
    }

    /// Answers every request that stands in a databag and isn't answered by this authority.
    pub fn answer(&self, world: &World) {
        let (now, requests, bag) = world.with(|state| {
            let requests: Vec<String> = state.tls.requests.values().cloned().collect();
            (state.tls.now, requests, state.tls.provider.clone())
        });
        let given: Value = bag
            .get("certificates")
            .map_or(json!([]), |text| serde_json::from_str(text).unwrap());
        let mut answers = Vec::new();
        for requested in requests {
            let list: Value = serde_json::from_str(&requested).unwrap();
            let request = list[0]["certificate_signing_request"].as_str().unwrap();
            let known = given.as_array().unwrap().iter().find(|entry| {
                entry["certificate_signing_request"] == request && entry["ca"] == self.pem()
            });
            answers.push(known.cloned().unwrap_or_else(|| self.sign(request, now)));
        }
        world.with(|state| {
            let text = Value::from(answers).to_string();
            state.tls.provider.insert("certificates".into(), text);
        });
    }

    fn sign(&self, request: &str, now: i64) -> Value {
        let mut asked = CertificateSigningRequestParams::from_pem(request).unwrap();
        asked.params.not_before = at(now - 60);
        asked.params.not_after = at(now + self.life);
        let signed = asked.signed_by(&self.issuer).unwrap();
        let pem = signed.pem().trim().to_owned();
        json!({"certificate_signing_request": request, "certificate": pem, "ca": self.pem(),
               "chain": [pem, self.pem()]})
    }
}
