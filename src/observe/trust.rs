//! Authorities that other applications hand over by `receive-ca-cert` (`certificate_transfer`):
//! the workload container trusts them as long as their relation lasts.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tls_interface::{Certificate, certificates};

use crate::juju_port::{JujuError, JujuPort};
use crate::ports::{PortResult, Workload};

/// The endpoint.
pub const ENDPOINT: &str = "receive-ca-cert";
/// Version of the interface that a provider is asked for: a set of certificates in the
/// application's databag. One that knows version 0 alone is understood as well.
pub const VERSION: &str = "1";
/// Where `update-ca-certificates` looks.
pub const FOLDER: &str = "/usr/local/share/ca-certificates";
/// Begins each of the files, so that none that the image brought is taken for one.
const MARK: &str = "# kept by the charm, for the relation receive-ca-cert\n";
/// Names the set that `update-ca-certificates` has last taken in.
const STAMP: &str = ".postgresql-k8s";
/// Most bytes that a provider's databag may hold.
const MOST_BYTES: usize = 256 * 1024;

/// What Juju tells.
#[derive(Debug, Clone, Default)]
pub struct TrustJuju {
    /// PEM of every certificate, by the provider's application.
    given: BTreeMap<String, Vec<String>>,
    /// Relations whose provider gives what can't be used, with the reason.
    pub complaints: Vec<String>,
    /// Relations in which the version is to be told.
    pub untold: Vec<String>,
}

/// What is wanted in the container.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Files to push, with their content.
    pub push: Vec<(String, String)>,
    /// Files to remove.
    pub remove: Vec<String>,
    /// The container has another set, or one that was not finished.
    stale: bool,
    /// Name of the set that is wanted; none for no authority at all.
    stamp: Option<String>,
    /// Relations in which the version is to be told.
    pub untold: Vec<String>,
}

impl Trust {
    /// What has to change, in words; none where nothing has.
    #[must_use]
    pub fn why(&self) -> Option<String> {
        let mut words = Vec::new();
        if self.stale {
            let (more, less) = (self.push.len(), self.remove.len());
            words.push(format!(
                "{more} are handed over, {less} are left from before"
            ));
        }
        if !self.untold.is_empty() {
            words.push("a provider waits for the interface's version".to_owned());
        }
        (!words.is_empty()).then(|| words.join("; "))
    }
}

/// Asks Juju, where there is a relation.
///
/// # Errors
/// When a hook tool fails in a way that is no answer.
pub fn facts(juju: &dyn JujuPort, leader: bool) -> Result<TrustJuju, JujuError> {
    let mut facts = TrustJuju::default();
    for relation in juju.relation_ids(ENDPOINT)? {
        // One that ends gives nothing any more, whatever its databags still say.
        if juju.is_ending(&relation) {
            continue;
        }
        let app = juju.remote_app(&relation)?;
        if app.is_empty() {
            continue;
        }
        let mut bags = vec![juju.relation_bag(&relation, &app)?];
        for unit in juju.remote_units(&relation)? {
            bags.push(juju.relation_bag(&relation, &unit)?);
        }
        match parse(&bags) {
            Ok(given) => facts.given.entry(app).or_default().extend(given),
            Err(why) => facts.complaints.push(format!("{relation}: {why}")),
        }
        if leader {
            let own = juju.relation_bag(&relation, juju.application())?;
            if own.get("version").map(String::as_str) != Some(VERSION) {
                facts.untold.push(relation);
            }
        }
    }
    Ok(facts)
}

/// The certificates in a provider's databags: in the application's a list, in a unit's one with its
/// chain.
fn parse(bags: &[BTreeMap<String, String>]) -> Result<Vec<String>, String> {
    let bytes: usize = bags.iter().flatten().map(|(k, v)| k.len() + v.len()).sum();
    if bytes > MOST_BYTES {
        return Err(format!("its databag has {bytes} bytes"));
    }
    let mut texts = Vec::new();
    for bag in bags {
        for key in ["certificates", "chain"] {
            let Some(text) = bag.get(key).filter(|text| !text.is_empty()) else {
                continue;
            };
            let list: Option<Vec<String>> = serde_json::from_str(text)
                .ok()
                .filter(|value: &Value| value.is_array())
                .and_then(|value| serde_json::from_value(value).ok());
            match list {
                Some(list) => texts.extend(list),
                None if text == "null" => {}
                None => return Err(format!("its {key} are not a list of certificates")),
            }
        }
        // JSON or bare, as the library's versions have it. What it was issued, `certificate`, is
        // a server's own and signs nothing.
        if let Some(text) = bag.get("ca").filter(|text| !text.is_empty()) {
            texts.push(serde_json::from_str(text).unwrap_or_else(|_| text.clone()));
        }
    }
    let mut found = BTreeSet::new();
    for text in texts {
        let read = certificates(&text).map_err(|error| error.to_string())?;
        if read.is_empty() {
            return Err("what it gives is no certificate".to_owned());
        }
        found.extend(read.iter().map(Certificate::pem));
    }
    Ok(found.into_iter().collect())
}

/// Compares what the container has with what it should trust.
///
/// # Errors
/// When Pebble does not answer.
pub fn look(facts: &TrustJuju, workload: &dyn Workload) -> PortResult<Trust> {
    let wanted = wanted(&facts.given);
    let texts: Vec<String> = wanted
        .iter()
        .flat_map(|(p, t)| [p.clone(), t.clone()])
        .collect();
    let mut trust = Trust {
        untold: facts.untold.clone(),
        stamp: (!wanted.is_empty()).then(|| tls_interface::name_of(&texts)),
        ..Trust::default()
    };
    let there = workload.list(FOLDER)?.unwrap_or_default();
    let stamped = if there.iter().any(|file| file.name == STAMP) {
        workload.pull(&format!("{FOLDER}/{STAMP}"))?
    } else {
        None
    };
    if stamped.as_deref() == trust.stamp.as_deref().map(str::as_bytes) {
        return Ok(trust);
    }
    for file in there {
        let path = format!("{FOLDER}/{}", file.name);
        if !file.name.starts_with("ca-") || wanted.contains_key(&path) {
            continue;
        }
        let content = workload.pull(&path)?.unwrap_or_default();
        if content.starts_with(MARK.as_bytes()) {
            trust.remove.push(path);
        }
    }
    trust.push = wanted.into_iter().collect();
    trust.stale = true;
    Ok(trust)
}

/// Files by path, with their content.
fn wanted(given: &BTreeMap<String, Vec<String>>) -> BTreeMap<String, String> {
    let mut wanted = BTreeMap::new();
    for (app, given) in given {
        let given: BTreeSet<&String> = given.iter().collect();
        for (number, pem) in given.into_iter().enumerate() {
            // The peer's name for the first; no application has an underscore in its own.
            let more = match number {
                0 => String::new(),
                _ => format!("_{}", number + 1),
            };
            let path = format!("{FOLDER}/ca-{app}{more}.crt");
            wanted.insert(path, format!("{MARK}{pem}\n"));
        }
    }
    wanted
}

/// Carries it out. The stamp comes last: without it all is done again.
///
/// # Errors
/// When Pebble or the container refuses.
pub fn apply(trust: &Trust, workload: &dyn Workload) -> PortResult<()> {
    if !trust.stale {
        return Ok(());
    }
    for (path, content) in &trust.push {
        workload.push(path, content.as_bytes(), 0o644, "root")?;
    }
    for path in &trust.remove {
        crate::apply::run(workload, &["rm", "-f", path])?;
    }
    crate::apply::run(workload, &["update-ca-certificates"])?;
    let stamp = format!("{FOLDER}/{STAMP}");
    match &trust.stamp {
        Some(text) => workload.push(&stamp, text.as_bytes(), 0o644, "root"),
        None => crate::apply::run(workload, &["rm", "-f", &stamp]),
    }
}

/// Tells a provider the interface's version.
///
/// # Errors
/// When Juju refuses.
pub fn tell(trust: &Trust, juju: &dyn JujuPort) -> Result<(), JujuError> {
    for relation in &trust.untold {
        juju.set_relation(relation, juju.application(), "version", VERSION)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_list_of_certificates_is_refused_by_name() {
        let bag = |key: &str, value: &str| vec![[(key.to_owned(), value.to_owned())].into()];
        for (key, value) in [
            ("certificates", "{not json"),
            ("certificates", "[1, 2]"),
            ("certificates", r#"["no certificate"]"#),
            ("chain", "\"text\""),
            ("ca", "-----BEGIN NONSENSE-----"),
        ] {
            assert!(parse(&bag(key, value)).is_err(), "{key} {value}");
        }
        assert!(parse(&bag("ca", &"x".repeat(MOST_BYTES))).is_err());
        assert_eq!(parse(&bag("certificates", "[]")), Ok(vec![]));
        assert_eq!(parse(&[BTreeMap::new()]), Ok(vec![]));
    }
}
