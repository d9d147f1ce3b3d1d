//! What a unit holds of a provider's certificates, and what it does next with them. All of it is
//! in the unit's own secret; a hook that repeats a step finds it done.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};

use crate::{
    Announcement, Certificate, Identity, Issued, PrivateKey, Provider, TlsError, certificates,
    pem_of,
};

/// A certificate with its key and all that leads to its authority.
#[derive(Debug, Clone)]
pub struct Bundle {
    key: SecretString,
    issued: Issued,
}

impl Bundle {
    /// What a server is given: the key, the certificate, and those between it and the authority, in
    /// one PEM text, so that they are replaced at once.
    #[must_use]
    pub fn server_pem(&self) -> SecretString {
        let leaf = &self.issued.certificate;
        let between = self
            .issued
            .chain
            .iter()
            .filter(|c| *c != leaf && !c.self_issued);
        let all = pem_of([leaf].into_iter().chain(between));
        format!("{}\n{all}", self.key.expose_secret().trim_end()).into()
    }

    /// The authority, by fingerprint.
    #[must_use]
    pub fn authority(&self) -> String {
        self.issued.authority.fingerprint()
    }

    /// The certificate itself.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.issued.certificate
    }

    fn trusted(&self) -> impl Iterator<Item = &Certificate> {
        let chain = self.issued.chain.iter().filter(|c| c.is_authority);
        [&self.issued.authority].into_iter().chain(chain)
    }
}

/// Names of a bundle's parts in the secret: those of the peer charm for the one in use.
const NEW: [&str; 4] = ["cert-key", "cert", "chain", "cauth"];
const OLD: [&str; 4] = ["old-cert-key", "old-cert", "old-chain", "old-cauth"];

impl Bundle {
    fn read(get: &impl Fn(&str) -> Option<SecretString>, names: [&str; 4]) -> Option<Self> {
        let [key, certificate, chain, authority] = names;
        let certificate = Certificate::parse(get(certificate)?.expose_secret()).ok()?;
        let chain = get(chain).map_or_else(String::new, |c| c.expose_secret().to_owned());
        Some(Self {
            key: get(key)?,
            issued: Issued {
                certificate,
                chain: certificates(&chain).ok()?,
                authority: Certificate::parse(get(authority)?.expose_secret()).ok()?,
            },
        })
    }

    fn write(&self, content: &mut BTreeMap<String, SecretString>, names: [&str; 4]) {
        let [key, certificate, chain, authority] = names;
        let mut put = |name: &str, value: SecretString| content.insert(name.to_owned(), value);
        put(key, self.key.clone());
        put(certificate, self.issued.certificate.pem().into());
        put(authority, self.issued.authority.pem().into());
        if !self.issued.chain.is_empty() {
            put(chain, pem_of(&self.issued.chain).into());
        }
    }
}

/// The content of the unit's secret.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    key: Option<SecretString>,
    request: Option<String>,
    /// The relation that the rest is of.
    relation: Option<String>,
    /// A relation that has ended: Juju may list it for as long as other units see its end.
    ended: Option<String>,
    /// When it was asked last.
    asked: i64,
    newest: Option<Bundle>,
    /// Of another authority: served until all trust the newest one's.
    before: Option<Bundle>,
}

/// The words of the units, as they stand in the databags.
#[derive(Debug, Clone, Default)]
pub struct Peers {
    /// This one's.
    pub own: Option<Announcement>,
    /// The others'.
    pub others: Vec<Announcement>,
}

impl Peers {
    fn all(&self, says: impl Fn(&Announcement) -> bool) -> bool {
        // A unit that serves no certificate of a provider misleads no client.
        self.own.as_ref().is_some_and(&says)
            && self
                .others
                .iter()
                .filter(|unit| unit.clients.is_some())
                .all(says)
    }
}

/// What is known when a decision is made.
#[derive(Debug, Clone, Copy)]
pub struct Holding<'a> {
    /// Id of the relation.
    pub relation: &'a str,
    /// What the provider has written.
    pub provider: &'a Provider,
    /// Whom the certificate has to be for.
    pub identity: &'a Identity,
    /// Seconds since 1970.
    pub now: i64,
    /// What the units have announced.
    pub peers: &'a Peers,
}

impl Kept {
    /// From the unit's secret.
    #[must_use]
    pub fn from_content(get: impl Fn(&str) -> Option<SecretString>) -> Self {
        let text = |name: &str| get(name).map(|value| value.expose_secret().to_owned());
        Self {
            key: get("key"),
            request: text("csr"),
            relation: text("relation"),
            ended: text("ended"),
            asked: text("asked").and_then(|t| t.parse().ok()).unwrap_or(0),
            newest: Bundle::read(&get, NEW),
            before: Bundle::read(&get, OLD),
        }
    }

    /// Keys and values of the secret.
    #[must_use]
    pub fn content(&self) -> BTreeMap<String, SecretString> {
        let mut content = BTreeMap::new();
        if let Some(key) = &self.key {
            content.insert("key".to_owned(), key.clone());
        }
        for (name, value) in [
            ("csr", &self.request),
            ("relation", &self.relation),
            ("ended", &self.ended),
        ] {
            if let Some(value) = value {
                content.insert(name.to_owned(), value.clone().into());
            }
        }
        if self.asked != 0 {
            content.insert("asked".to_owned(), self.asked.to_string().into());
        }
        if let Some(newest) = &self.newest {
            newest.write(&mut content, NEW);
        }
        if let Some(before) = &self.before {
            before.write(&mut content, OLD);
        }
        content
    }

    /// Whether this relation has ended.
    #[must_use]
    pub fn has_ended(&self, relation: &str) -> bool {
        self.ended.as_deref() == Some(relation)
    }

    /// Ends with a relation: what it gave is forgotten, the key stays.
    pub fn end(&mut self, relation: &str) {
        *self = Self {
            key: self.key.take(),
            ended: Some(relation.to_owned()),
            ..Self::default()
        };
    }

    /// The request as it should stand in the databag.
    #[must_use]
    pub fn request(&self) -> Option<&str> {
        self.request.as_deref()
    }

    /// Sets the key of certificates to come; the one in use goes on until there is a new one.
    pub fn set_key(&mut self, key: &PrivateKey) {
        self.key = Some(key.pem().clone());
    }

    /// The bundle to serve.
    #[must_use]
    pub fn served(&self, now: i64, peers: &Peers) -> Option<&Bundle> {
        match (&self.before, &self.newest) {
            (Some(before), Some(newest)) if !Self::turned(before, newest, now, peers) => {
                Some(before)
            }
            _ => self.newest.as_ref(),
        }
    }

    /// Whether the newest bundle is to be served: its authority is known wherever a client learns
    /// of authorities, or the one before soon counts no longer.
    fn turned(before: &Bundle, newest: &Bundle, now: i64, peers: &Peers) -> bool {
        let authority = newest.authority();
        now >= last_call(before.certificate()) || peers.all(|unit| unit.trusts.contains(&authority))
    }

    /// Authorities of what is, was and will be served.
    #[must_use]
    pub fn trusted(&self) -> Vec<&Certificate> {
        let bundles = [self.newest.as_ref(), self.before.as_ref()];
        bundles
            .into_iter()
            .flatten()
            .flat_map(Bundle::trusted)
            .collect()
    }

    /// A new authority is on its way in, so that there is more to do soon.
    #[must_use]
    pub fn turns(&self) -> bool {
        self.before.is_some()
    }

    /// The provider has issued a certificate of another authority than the newest one's.
    #[must_use]
    pub fn turns_with(&self, provider: &Provider) -> bool {
        let request = self.request.as_deref();
        let issued = request.and_then(|request| provider.issued(request).ok().flatten());
        match (issued, &self.newest) {
            (Some(issued), Some(newest)) => issued.authority != newest.issued.authority,
            _ => false,
        }
    }

    /// When there is something to do at the latest; none while the provider has to answer.
    #[must_use]
    pub fn due(&self, provider: &Provider) -> Option<i64> {
        if let Some(before) = &self.before {
            return Some(last_call(before.certificate()));
        }
        let answered = provider.issued(self.request.as_deref()?).ok().flatten();
        answered.and(self.newest.as_ref().map(|b| b.certificate().renew_at()))
    }

    /// Goes on as far as it can now. What was done, a reason each; nothing where all is as it was.
    ///
    /// # Errors
    /// When a key or a request can't be made. What the provider gave and can't be used is in
    /// [`Kept::complaint`].
    pub fn advance(&mut self, with: &Holding<'_>) -> Result<Vec<String>, TlsError> {
        let mut done = Vec::new();
        if self.relation.as_deref() != Some(with.relation) {
            *self = Self {
                key: self.key.take(),
                relation: Some(with.relation.to_owned()),
                ..Self::default()
            };
            done.push("the relation is new".to_owned());
        }
        let parsed = self.key.as_ref().map(PrivateKey::parse);
        let key = if let Some(Ok(key)) = parsed {
            key
        } else {
            let key = PrivateKey::generate()?;
            self.set_key(&key);
            done.push("there is no private key yet".to_owned());
            key
        };
        done.extend(self.take(with, &key));
        if let Some(why) = self.must_ask(with, &key) {
            self.request = Some(with.identity.request(&key)?);
            self.asked = with.now;
            done.push(why.to_owned());
        }
        if let (Some(before), Some(newest)) = (&self.before, &self.newest) {
            let authority = newest.authority();
            let all = with
                .peers
                .all(|unit| unit.clients.as_ref() == Some(&authority));
            if all || with.now >= before.certificate().not_after {
                self.before = None;
                done.push("no unit serves a certificate of the old authority".to_owned());
            }
        }
        Ok(done)
    }

    /// Takes over what the provider has issued for the request.
    fn take(&mut self, with: &Holding<'_>, key: &PrivateKey) -> Option<String> {
        let issued = with.provider.issued(self.request.as_deref()?).ok()??;
        let known = self.newest.as_ref().is_some_and(|b| b.issued == issued);
        if known || unusable(&issued, key, with.identity, with.now).is_some() {
            return None;
        }
        let bundle = Bundle {
            key: key.pem().clone(),
            issued,
        };
        let Some(earlier) = self.newest.take() else {
            self.newest = Some(bundle);
            return Some("the provider has issued a certificate".to_owned());
        };
        if earlier.authority() == bundle.authority() {
            self.newest = Some(bundle);
            return Some("the provider has issued a new certificate".to_owned());
        }
        // While yet another one is on its way in, what is served stays.
        let served = match self.before.take() {
            Some(before) if !Self::turned(&before, &earlier, with.now, with.peers) => before,
            _ => earlier,
        };
        self.before = Some(served);
        self.newest = Some(bundle);
        Some("the provider has issued a certificate of another authority".to_owned())
    }

    fn must_ask(&self, with: &Holding<'_>, key: &PrivateKey) -> Option<&'static str> {
        let Some(request) = &self.request else {
            return Some("no certificate is asked for yet");
        };
        if !with.identity.fits(request, key) {
            return Some("the key or the names of this unit have changed");
        }
        if with.provider.revoked(request) {
            return Some("the certificate was revoked");
        }
        let issued = with.provider.issued(request).ok()??.certificate;
        // A provider that issues what is due at once is not asked again and again.
        let patience = (issued.not_after - issued.not_before) / 10;
        let due = with.now >= issued.renew_at() && with.now - self.asked >= patience;
        due.then_some("two thirds of the certificate's life are over")
    }

    /// What the provider gave and can't be used, or why it gives nothing; in words for the
    /// operator.
    #[must_use]
    pub fn complaint(&self, provider: &Provider, identity: &Identity, now: i64) -> Option<String> {
        let request = self.request.as_deref()?;
        if let Some(refusal) = provider.refusal(request) {
            return Some(format!(
                "the provider refuses the request ({}): {}",
                refusal.code, refusal.message
            ));
        }
        let key = PrivateKey::parse(self.key.as_ref()?).ok()?;
        match provider.issued(request) {
            Err(error) => Some(error.to_string()),
            Ok(issued) => unusable(&issued?, &key, identity, now).map(str::to_owned),
        }
    }
}

/// Until then a certificate is served for the sake of a unit that says nothing.
fn last_call(certificate: &Certificate) -> i64 {
    certificate.not_after - (certificate.not_after - certificate.not_before) / 12
}

fn unusable(
    issued: &Issued,
    key: &PrivateKey,
    identity: &Identity,
    now: i64,
) -> Option<&'static str> {
    if issued.certificate.public != key.public() {
        return Some("the certificate that was issued is for another key");
    }
    if now >= issued.certificate.not_after {
        return Some("the certificate that was issued has expired");
    }
    // Nobody who verifies could connect, nor other units.
    if !identity.is_of(&issued.certificate) {
        return Some("the certificate lacks the unit's host name");
    }
    None
}
