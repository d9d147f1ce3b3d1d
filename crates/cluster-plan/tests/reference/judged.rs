//! `statuses.md`: complete, for every text of the sources that can reach a status has a row, and true,
//! for every row's text is in the sources.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::reasons::REASONS;
use super::source::{Where, files, literals, normal, without_tests};
use super::statuses::ROWS;
use super::{cell, keep, path, read};

/// Where words for statuses are made. Of all other files the literals in problems count alone.
const WORDS: [&str; 30] = [
    "crates/cluster-plan/src/clients.rs",
    "crates/cluster-plan/src/extensions.rs",
    "crates/cluster-plan/src/external.rs",
    "crates/cluster-plan/src/follow.rs",
    "crates/cluster-plan/src/options/mod.rs",
    "crates/cluster-plan/src/options/sizing.rs",
    "crates/cluster-plan/src/options/start.rs",
    "crates/cluster-plan/src/options/timing.rs",
    "crates/cluster-plan/src/options/words.rs",
    "crates/cluster-plan/src/ownership.rs",
    "crates/cluster-plan/src/refresh.rs",
    "crates/cluster-plan/src/status.rs",
    "crates/relation-interfaces/src/lib.rs",
    "crates/relation-interfaces/src/names.rs",
    "crates/relation-interfaces/src/pgsql.rs",
    "crates/relation-interfaces/src/postgresql_client.rs",
    "crates/relation-interfaces/src/postgresql_client/permissions.rs",
    "crates/relation-interfaces/src/postgresql_client/request.rs",
    "crates/tls-interface/src/certificate.rs",
    "crates/tls-interface/src/databag.rs",
    "crates/tls-interface/src/holding.rs",
    "crates/tls-interface/src/lib.rs",
    "src/clients/external.rs",
    "src/clients/legacy.rs",
    "src/clients/serve.rs",
    "src/handlers/leave.rs",
    "src/observe/disk.rs",
    "src/observe/trust.rs",
    "src/ports.rs",
    "src/secrets.rs",
];
/// Who tells Juju a status: the planner's, and two of their own.
const TELLERS: [&str; 4] = [
    "src/handlers/leave.rs",
    "src/handlers/reconcile.rs",
    "src/juju_port/hook.rs",
    "src/run.rs",
];
/// Statements begin so.
const SQL: [&str; 7] = [
    "ALTER ", "BEGIN; ", "CREATE ", "DECLARE ", "DO ", "DROP ", "UNION ",
];
/// Texts of these files that reach no status: answers of actions, the log's, what is parsed.
const NOT_SHOWN: &[&str] = &[
    "Latest checkpoint location:",
    "Latest checkpoint's TimeLineID:",
    "Minimum recovery ending location:",
    "Min recovery ending loc's timeline:",
    "it needs WAL from {at} on, which the primary has removed, and the primary has all that it holds",
    "{me} --force",
    "to give up what {me} has and the primary has not: {command}",
    "Action must be ran on the Juju leader.",
    "cannot tell which revision the pods are of: {0}",
    "Cannot run pre-upgrade checks, cluster already upgrading: {0}. To go on run resume-upgrade, to go back run `juju refresh` to the former revision",
    "Pre-upgrade check failed and cannot safely upgrade: {0}",
    "{0} needs to be a synchronous standby in order to become the primary before the upgrade process can start - run this action again when it is, or set synchronous_node_count to all until the refresh is done",
    "Nothing to resume: every unit runs the same revision. Run `juju refresh` first",
    "The upgrade goes on already: Kubernetes replaces {0}",
    "Cannot resume: {0}. Wait for it, or go back by `juju refresh` to the former revision",
    "there is no StatefulSet of this application",
    "no primary is known",
    "creating replica",
    "-----BEGIN {label}-----\n",
    "\n-----END {label}-----",
    "the relation is new",
    "there is no private key yet",
    "no unit serves a certificate of the old authority",
    "the provider has issued a certificate",
    "the provider has issued a new certificate",
    "the provider has issued a certificate of another authority",
    "no certificate is asked for yet",
    "the key or the names of this unit have changed",
    "the certificate was revoked",
    "two thirds of the certificate's life are over",
    "cannot use the private key: {0}",
    "cannot read the certificate request: {0}",
    "cannot put {0} into a certificate",
    "cannot make a certificate",
    "serve clients from outside Kubernetes",
    "{what} in database {}",
    "correct the request and relate again",
    "createrole lets this client act as every role that is no superuser, and with pg_execute_server_program run programs as postgres: trust it as you trust operator",
    "createrole lets this client make roles and change those that it has made",
    "# kept by the charm, for the relation receive-ca-cert\n",
    "{more} are handed over, {less} are left from before",
    "a provider waits for the interface's version",
];

fn all() -> Vec<String> {
    let root = path("");
    let mut found = files(&root, "src");
    found.extend(files(&root, "crates/cluster-plan/src"));
    found
}

fn described() -> BTreeSet<String> {
    let rows = ROWS.iter().map(|row| normal(row.text));
    let reasons = REASONS.iter().flat_map(|(_, _, texts)| *texts);
    rows.chain(reasons.map(|(text, _)| normal(text))).collect()
}

/// A text, not a name, a key or what parts two of them.
fn is_text(literal: &str) -> bool {
    let trimmed = literal.trim();
    let sql = trimmed.contains("pg_catalog") || SQL.iter().any(|word| trimmed.starts_with(word));
    trimmed.contains(' ') && !sql
}

#[test]
fn every_text_that_can_reach_a_status_has_a_row() {
    let described = described();
    let not_shown: BTreeSet<String> = NOT_SHOWN.iter().map(|text| normal(text)).collect();
    let mut missing = Vec::new();
    let others = all().into_iter().filter(|name| !WORDS.contains(&&**name));
    let words = WORDS.map(|name| (name.to_owned(), Where::Anywhere));
    for (name, place) in others.map(|name| (name, Where::InProblems)).chain(words) {
        for literal in literals(&read(&name), place) {
            let text = normal(&literal);
            if is_text(&literal) && !described.contains(&text) && !not_shown.contains(&text) {
                missing.push(format!("{name}: {literal:?}"));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "say what it means and what to do in statuses.rs or reasons.rs, or that no status shows it in \
         NOT_SHOWN:\n{}",
        missing.join("\n")
    );
}

#[test]
fn every_row_and_exception_is_of_a_text_in_the_sources() {
    let words = WORDS.iter().map(|name| (*name).to_owned());
    let names: BTreeSet<String> = all().into_iter().chain(words).collect();
    let present: BTreeSet<String> = names
        .iter()
        .flat_map(|name| literals(&read(name), Where::Anywhere))
        .map(|literal| normal(&literal))
        .collect();
    let not_shown = NOT_SHOWN.iter().map(|text| normal(text));
    let gone: Vec<String> = described()
        .into_iter()
        .chain(not_shown)
        .filter(|text| !present.contains(text))
        .collect();
    assert!(gone.is_empty(), "no longer in the sources: {gone:?}");
}

#[test]
fn nobody_tells_juju_a_status_past_the_planner() {
    let tells = |name: &String| without_tests(&read(name)).contains(".set_status(");
    let found: Vec<String> = all().into_iter().filter(tells).collect();
    assert_eq!(found, TELLERS);
}

#[test]
fn statuses_md_is_what_the_table_says() {
    let mut text = "# Statuses\n\n\
        <!-- Written by `just reference` from crates/cluster-plan/tests/reference. -->\n\n\
        What `juju status` shows, what it means and what to do. `<names>` stand for what differs. A status \
        is\nworked out anew in each hook: it goes when its cause has gone. Texts with a † are the Python \
        charm's,\nkept as they are because scripts may depend on them.\n\n\
        A unit that is active and says nothing is a synchronous standby.\n"
        .to_owned();
    for (word, title) in [
        ("active", "Active: it works"),
        ("waiting", "Waiting: it goes on by itself"),
        ("blocked", "Blocked: it needs you"),
        ("any", "With any of these"),
    ] {
        write!(
            text,
            "\n## {title}\n\n| status | shown by | what it means | what to do |\n|---|---|---|---|\n"
        )
        .unwrap();
        for row in ROWS.iter().filter(|row| row.word == word) {
            let mark = if row.peer { " †" } else { "" };
            let remedy = if row.remedy.is_empty() {
                "Nothing."
            } else {
                row.remedy
            };
            writeln!(
                text,
                "| {}{mark} | {} | {} | {} |",
                quoted(row.text),
                row.whose,
                cell(row.means),
                cell(remedy)
            )
            .unwrap();
        }
    }
    text.push_str("\n# Reasons\n\nTexts that statuses are made up from.\n");
    for (title, place, texts) in REASONS {
        write!(
            text,
            "\n## {title}\n\n{place}\n\n| text | what to do |\n|---|---|\n"
        )
        .unwrap();
        for (reason, remedy) in *texts {
            writeln!(text, "| {} | {} |", quoted(reason), cell(remedy)).unwrap();
        }
    }
    keep("statuses.md", &text);
}

/// As code, whatever quotes it has itself.
fn quoted(text: &str) -> String {
    let text = cell(text.trim());
    if text.contains('`') {
        format!("`` {text} ``")
    } else {
        format!("`{text}`")
    }
}
