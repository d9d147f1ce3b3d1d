//! The files that the charm writes into the workload: what each says, its mode and its owner.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use cluster_plan::disk::READ_ONLY;
use cluster_plan::names::{Member, Names, PGDATA, SHARED_SOCKETS};
use cluster_plan::observed::SystemUser;
use cluster_plan::options::Parameters;
use cluster_plan::outlook::Change;
use cluster_plan::planner::PATRONI_YML;
use minijinja::{Environment, UndefinedBehavior};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use crate::layer;
use crate::observe::guests::GUESTS;
use crate::observe::{identity, tls};
use crate::secrets::Passwords;
use crate::session::{Work, options};

/// Where PostgreSQL and Patroni log: a link to [`LOGS`](cluster_plan::names::LOGS).
pub const LOG_DIR: &str = "/var/log/postgresql";
/// The script that Patroni's callbacks run.
pub const CALLBACK: &str = "/usr/local/bin/wake-charm";
/// Where the script lies that looks after a primary's standbys.
pub const WATCH: &str = "/usr/local/bin/watch-standbys";
/// The script of the checks of the volume.
pub const DISK_BELOW: &str = "/usr/local/bin/disk-below";
/// The script of the check of readiness.
pub const ANSWERS: &str = "/usr/local/bin/postgresql-answers";
/// Where the script lies that keeps logs within bounds.
pub const KEEP_LOGS: &str = "/usr/local/bin/keep-logs";
/// PostgreSQL's and Patroni's socket for local use.
const SOCKETS: &str = "/var/run/postgresql";

/// A file as it should be.
pub struct File {
    /// Absolute path in the workload container.
    pub path: &'static str,
    /// Content.
    pub content: SecretString,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub owner: &'static str,
}

/// What goes into `patroni.yml`.
pub struct PatroniFile<'a> {
    /// Names.
    pub names: &'a Names,
    /// This member.
    pub me: &'a Member,
    /// Passwords.
    pub passwords: &'a Passwords,
    /// Parameters from the options.
    pub parameters: &'a Parameters,
    /// Patroni's dynamic settings, for a member that may bootstrap.
    pub bootstrap: Option<&'a Map<String, Value>>,
    /// Major version of PostgreSQL.
    pub major: u32,
    /// Libraries of `shared_preload_libraries` that the image has.
    pub preload: &'a [&'static str],
    /// Rules for users that the charm did not make.
    pub guests: &'a [String],
    /// Certificates, where there are any.
    pub tls: Option<Tls>,
}

/// How certificates are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tls {
    /// The REST API and PostgreSQL serve theirs; else the member only trusts those of others.
    pub serves: bool,
    /// PostgreSQL's is of a provider, so clients have to use it.
    pub from_provider: bool,
    /// Members must show each other's PostgreSQL who they are: all of them do.
    pub demands: bool,
}

/// A file could not be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// A defect of the template.
    #[error("cannot render {0}")]
    Template(&'static str, #[source] minijinja::Error),
    /// A password is missing.
    #[error("cannot render patroni.yml without the password of {0}")]
    Password(&'static str),
}

/// `patroni.yml`.
///
/// # Errors
/// When a password is missing, or the template has a defect.
pub fn patroni_yml(wanted: &PatroniFile<'_>) -> Result<File, RenderError> {
    let mut passwords = BTreeMap::new();
    for user in SystemUser::GENERATED {
        let password = wanted
            .passwords
            .get(user)
            .ok_or(RenderError::Password(user.name()))?;
        passwords.insert(user.name(), password.expose_secret());
    }
    let bootstrap = wanted.bootstrap.map(|settings| {
        let mut settings = settings.clone();
        let dynamic = settings.remove("postgresql").unwrap_or_default();
        let mut parameters = fixed_dynamic();
        if let Some(Value::Object(computed)) = dynamic.get("parameters") {
            let given = computed.clone().into_iter().filter(|(_, v)| !v.is_null());
            // Patroni could not make its roles; it comes as soon as there is a cluster.
            parameters.extend(given.filter(|(name, value)| name != READ_ONLY || value != "on"));
        }
        json!({"settings": settings, "parameters": parameters})
    });
    let values = json!({
        "member": wanted.me.to_string(),
        "host": wanted.names.host(wanted.me),
        "log_dir": LOG_DIR,
        "pgdata": PGDATA,
        "bin_dir": layer::programs(wanted.major),
        "callback": CALLBACK,
        "passwords": passwords,
        "bootstrap": bootstrap,
        "parameters": local_parameters(wanted),
        "pg_hba": pg_hba(wanted),
        "tls": wanted.tls.map(|tls| json!({
            "ca": tls::MEMBER_CA,
            "certificate": tls.serves.then_some(tls::MEMBER),
            "replication": identity::REPLICATION,
            "rewind": identity::REWIND,
            "servers": identity::SERVERS_CA,
        })),
        "pg_ident": PG_IDENT,
    });
    let name = "patroni.yml";
    let error = |source| RenderError::Template(name, source);
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let text = environment
        .render_str(
            include_str!("../templates/patroni.yml.j2"),
            minijinja::Value::from(minijinja::value::Serde(&values)),
        )
        .map_err(error)?;
    Ok(File {
        path: PATRONI_YML,
        content: for_yaml(&text).into(),
        mode: 0o600,
        owner: "postgres",
    })
}

/// JSON as YAML reads it: what YAML takes for the end of a line, or does not take at all, is written as
/// JSON's escape. Only values have such characters.
fn for_yaml(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\u{7f}'..='\u{9f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => {
                // Writing into a string cannot fail.
                let _ = write!(safe, "\\u{:04x}", u32::from(character));
            }
            _ => safe.push(character),
        }
    }
    safe
}

/// Parameters that differ between two of these files.
#[must_use]
pub fn changes(old: &str, new: &str) -> Vec<Change> {
    let (old, new) = (parameters_in(old), parameters_in(new));
    let names: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
    let differs = |name: &&str| old.get(name) != new.get(name);
    names
        .into_iter()
        .filter(differs)
        .map(|name| Change::new(name, old.get(name).copied(), new.get(name).copied()))
        .collect()
}

/// Name and value of each parameter, as the template writes them.
fn parameters_in(text: &str) -> BTreeMap<&str, &str> {
    let (_, own) = text.rsplit_once("\npostgresql:\n").unwrap_or_default();
    own.lines()
        .filter_map(|line| line.strip_prefix("    \"")?.split_once("\": "))
        .map(|(name, value)| (name, value.trim_matches('"')))
        .collect()
}

/// The script of Patroni's callbacks, which makes the slots of these members on a new primary by the
/// programs of this major version.
#[must_use]
pub fn callback(others: &[Member], major: Option<u32>) -> File {
    let psql = major.map(|major| format!("{}/psql", layer::programs(major)));
    let slots: Vec<String> = others.iter().map(Member::slot).collect();
    File {
        path: CALLBACK,
        content: include_str!("../templates/wake-charm.sh")
            .replace("@PSQL@", &psql.unwrap_or_default())
            .replace("@SLOTS@", &slots.join(","))
            .replace("@OPTIONS@", &options(Work::Short, major))
            .into(),
        mode: 0o755,
        owner: "root",
    }
}

/// The script that wakes the charm when a standby comes or goes, or a user that it did not make, for
/// a server of this major version.
#[must_use]
pub fn watch(major: Option<u32>) -> File {
    File {
        path: WATCH,
        content: include_str!("../templates/watch-standbys.sh")
            .replace("@GUESTS@", GUESTS)
            .replace("@OPTIONS@", &options(Work::Short, major))
            .into(),
        mode: 0o755,
        owner: "root",
    }
}

/// The scripts that Pebble's checks run, and the one that keeps logs within bounds.
#[must_use]
pub fn scripts() -> Vec<File> {
    let script = |path, text: &str| File {
        path,
        content: text.to_owned().into(),
        mode: 0o755,
        owner: "root",
    };
    vec![
        script(DISK_BELOW, include_str!("../templates/disk-below.sh")),
        script(ANSWERS, include_str!("../templates/postgresql-answers.sh")),
        script(KEEP_LOGS, include_str!("../templates/keep-logs.sh")),
    ]
}

/// Parameters that Patroni insists on in its dynamic configuration, or that a cluster is made with.
fn fixed_dynamic() -> Map<String, Value> {
    let fixed = json!({
        "archive_mode": "on",
        "wal_level": "logical",
        "fsync": "on",
        "full_page_writes": "on",
        "hot_standby": "on",
    });
    match fixed {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// Parameters of the file: the fixed ones, then those of the options.
fn local_parameters(wanted: &PatroniFile<'_>) -> BTreeMap<String, Value> {
    let fixed = json!({
        "archive_command": "/bin/true",
        "autovacuum": "on",
        "lc_messages": "C",
        "log_autovacuum_min_duration": 60000,
        "log_checkpoints": "on",
        "log_destination": "stderr",
        "log_directory": LOG_DIR,
        "log_error_verbosity": "verbose",
        "log_file_mode": "0600",
        "log_filename": "postgresql-%w_%H%M.log",
        "log_hostname": "off",
        "log_line_prefix": "%t [%p]: user=%u,db=%d,app=%a,client=%h,line=%l ",
        "log_min_error_statement": "warning",
        "log_recovery_conflict_waits": "on",
        "log_replication_commands": "on",
        // A new file each hour, a week of them: the names repeat after that. One that grows fast ends
        // sooner, so that old ones can go.
        "log_rotation_age": 60,
        "log_rotation_size": "16MB",
        "log_statement": "ddl",
        "log_temp_files": 1,
        "log_timezone": "UTC",
        "log_truncate_on_rotation": "on",
        "logging_collector": "on",
        // A commit waits for its standbys: one that is gone without a word is given up after this
        // time instead of a minute, and one that lost the primary looks again at once.
        "wal_sender_timeout": "10s",
        "wal_receiver_timeout": "10s",
        "wal_retrieve_retry_interval": "500ms",
        "unix_socket_directories": format!("{SOCKETS},{SHARED_SOCKETS}"),
    });
    let mut parameters: BTreeMap<String, Value> = match fixed {
        Value::Object(map) => map.into_iter().collect(),
        _ => BTreeMap::new(),
    };
    if !wanted.preload.is_empty() {
        parameters.insert(
            "shared_preload_libraries".into(),
            json!(wanted.preload.join(",")),
        );
    }
    if wanted.tls.is_some_and(|tls| tls.serves) {
        // The files change, their names never: a reload takes new certificates.
        for (name, path) in [
            ("ssl_cert_file", tls::SERVER),
            ("ssl_key_file", tls::SERVER),
            ("ssl_ca_file", identity::CLIENTS_CA),
        ] {
            parameters.insert(name.into(), json!(path));
        }
        parameters.insert("ssl".into(), json!("on"));
    }
    let preloads = |library: &str| wanted.preload.contains(&library);
    // A parameter of a library that is not there would be one that nobody knows.
    let known = |name: &str| {
        name.split_once('.')
            .is_none_or(|(library, _)| preloads(library))
    };
    parameters.extend(
        wanted
            .parameters
            .local
            .clone()
            .into_iter()
            .filter(|(name, _)| known(name)),
    );
    if preloads("pg_stat_statements") {
        parameters.insert("pg_stat_statements.max".into(), json!(10_000));
    }
    // Gone from PostgreSQL 17, which would not start with it.
    if wanted.major >= 17 {
        parameters.remove("old_snapshot_threshold");
    }
    parameters
}

/// Operating system users and the roles that they come in as by a local socket: the charm is root
/// in its container, Patroni and pgBackRest are `postgres` in the workload's.
const PG_IDENT: [&str; 4] = [
    "charm postgres operator",
    "charm root operator",
    "charm postgres backup",
    "charm postgres replication",
];

/// How members come in as roles of their own: wherever they come from, with the role's password, and
/// once all members can, with the certificate of the members' authority that says that role.
fn member_rules(tls: Option<Tls>) -> Vec<String> {
    let (kind, identity) = match tls {
        Some(tls) if tls.demands => ("hostssl", " clientcert=verify-full"),
        Some(tls) if tls.serves => ("hostssl", ""),
        _ => ("host", ""),
    };
    let rule = |databases: &str, role: &str| {
        format!("{kind} {databases} {role} all scram-sha-256{identity}")
    };
    let mut rules = vec![rule("replication", "replication"), rule("all", "rewind")];
    if kind == "hostssl" {
        // It is in a group that would be let in without.
        rules.push("host all rewind all reject".to_owned());
    }
    rules
}

/// Who may come in, and how. Never `trust`, and never by a name, which is whatever DNS says. With a provider's certificate clients have to use TLS;
/// the charm's own users may always come in without, so that no step of a change parts the members.
fn pg_hba(wanted: &PatroniFile<'_>) -> Vec<String> {
    let from_provider = wanted.tls.is_some_and(|tls| tls.from_provider);
    let members = [
        "local all operator peer map=charm",
        "local all backup peer map=charm",
        "local all monitoring scram-sha-256",
        // Patroni asks its own member for the timeline, also one that has yet to hear of a password.
        "local replication replication peer map=charm",
        "host replication replication 127.0.0.1/32 scram-sha-256",
    ]
    .into_iter()
    .map(str::to_owned)
    .chain(member_rules(wanted.tls));
    let users = [
        "host all operator 0.0.0.0/0 scram-sha-256",
        "host all +internal_access 0.0.0.0/0 scram-sha-256",
        "host template0,template1 +relation_access 0.0.0.0/0 reject",
        // A client enters the databases whose owner, the role of the database's name, it is in.
        "host samerole +relation_access 0.0.0.0/0 scram-sha-256",
        "host all +relation_any_database 0.0.0.0/0 scram-sha-256",
    ]
    .into_iter()
    .map(str::to_owned);
    members
        .chain(users)
        .chain(wanted.guests.iter().cloned())
        .map(|rule| match rule.strip_prefix("host ") {
            Some(rest) if from_provider && (rest.contains("+relation_") || rest.contains('"')) => {
                format!("hostssl {rest}")
            }
            _ => rule,
        })
        .collect()
}
