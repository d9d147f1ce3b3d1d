//! The workload container: what the image holds, what the volume holds, what differs.

use cluster_plan::follow;
use cluster_plan::names::{LOGS, PGDATA, SHARED_SOCKETS, STORAGE};
use cluster_plan::observed::{Account, Note, PatroniVersion, ServiceState, Volume, WorkloadFacts};
use cluster_plan::options::{Config, OfImageKind, OptionError, locale, parse_memory};
use cluster_plan::planner::PATRONI_YML;
use secrecy::ExposeSecret;

use crate::layer::{KUBECONFIG, POD_SECRETS, POD_SECRETS_MODE, SERVICE, programs};
use crate::ports::{FileInfo, PortError, PortResult, Workload};
use crate::render::{self, File, LOG_DIR};

/// Where each major version of PostgreSQL keeps its files.
const INSTALLATIONS: &str = "/usr/lib/postgresql";
/// The file of a Python package that tells Patroni's version without starting it.
const PATRONI_VERSION: &str = "/usr/lib/python3/dist-packages/patroni/version.py";
/// Where a rock of the charmed distribution tells its version.
const ROCK_VERSION: &str = "/meta.charmed-postgresql/snap.yaml";
/// The mounts as the workload's Pebble sees them.
const MOUNTS: &str = "/proc/mounts";
/// Room in `/dev/shm` from which on it is used.
const ENOUGH_SHM: u64 = 1 << 30;
/// Libraries that are preloaded where the image has them.
const PRELOADED: [&str; 3] = ["timescaledb", "pgaudit", "pg_stat_statements"];

/// The note of the `patroni.yml` that Patroni was told to read last.
pub const READ: &str = "/var/lib/postgresql/data/patroni.read";

/// What stands in that note for the `patroni.yml` among these files.
#[must_use]
pub fn mark(files: &[File]) -> Option<String> {
    let file = files.iter().find(|file| file.path == PATRONI_YML)?;
    Some(crate::clients::digest(&[file.content.expose_secret()]))
}

/// What the image holds.
#[derive(Debug, Clone, Default)]
pub struct Image {
    /// Major version of PostgreSQL.
    pub major: Option<u32>,
    /// Libraries to preload.
    pub preload: Vec<&'static str>,
    /// `/dev/shm` has too little room for what parallel queries share.
    pub small_shm: bool,
}

/// Looks at image and service, and at the volume: always while nothing runs on it, and while
/// something does only `with_volume`.
///
/// # Errors
/// When Pebble does not answer.
pub fn image(
    port: &dyn Workload,
    with_version: bool,
    with_volume: bool,
) -> PortResult<(Image, WorkloadFacts)> {
    let installed = port.list(INSTALLATIONS)?.unwrap_or_default();
    let major = installed
        .iter()
        .filter_map(|entry| entry.name.parse::<u32>().ok())
        .max();
    let mut facts = WorkloadFacts {
        patroni: patroni_version(port)?,
        service: port.service(SERVICE)?.unwrap_or_default(),
        ..WorkloadFacts::default()
    };
    let Some(major) = major else {
        return Ok((Image::default(), facts));
    };
    facts.postgresql = Some(if with_version {
        version(port, major)?
    } else {
        major.to_string()
    });
    if with_volume || facts.service != ServiceState::Active {
        facts.volume = Some(volume(port, major)?);
        facts.data_major = data_major(port)?;
    }
    if facts.service != ServiceState::Active {
        facts.account = account(port)?;
    }
    let libraries = port
        .list(&format!("{INSTALLATIONS}/{major}/lib"))?
        .unwrap_or_default();
    let has = |name: &str| {
        libraries
            .iter()
            .any(|entry| entry.name == format!("{name}.so"))
    };
    let preload = PRELOADED.into_iter().filter(|name| has(name)).collect();
    Ok((
        Image {
            major: Some(major),
            preload,
            small_shm: small_shm(port)?,
        },
        facts,
    ))
}

/// Whether `/dev/shm` is small, as it is in a container (64 MiB) unless a volume is mounted there. It
/// stays as it is for a pod's life, so this never asks for a restart.
fn small_shm(port: &dyn Workload) -> PortResult<bool> {
    let mounts = port.pull(MOUNTS)?.unwrap_or_default();
    Ok(shm_size(&String::from_utf8_lossy(&mounts)).is_some_and(|bytes| bytes < ENOUGH_SHM))
}

/// The size that the mount of `/dev/shm` tells; a tmpfs without one may have half of the memory.
fn shm_size(mounts: &str) -> Option<u64> {
    let fields = |line: &str| {
        let mut fields = line.split(' ').skip(1);
        let there = fields.next() == Some("/dev/shm");
        fields.nth(1).filter(|_| there).map(str::to_owned)
    };
    let options = mounts.lines().rev().find_map(fields)?;
    let size = options.split(',').find_map(|o| o.strip_prefix("size="))?;
    // Where Kubernetes writes Ki, a mount has k.
    let unit = if size.ends_with(|c: char| c.is_ascii_alphabetic()) {
        "i"
    } else {
        ""
    };
    parse_memory(&format!("{size}{unit}"))
}

/// Options whose values the image does not know: PostgreSQL would not start with them.
///
/// # Errors
/// When Pebble does not answer.
pub fn refused(
    port: &dyn Workload,
    image: &Image,
    config: &Config,
) -> PortResult<Vec<OptionError>> {
    let mut refused = Vec::new();
    let mut locales: Option<Option<String>> = None;
    for wanted in config.of_image() {
        let known = match wanted.kind {
            OfImageKind::TimeZone => {
                let major = image.major.unwrap_or_default();
                let own = format!("/usr/share/postgresql/{major}/timezone");
                zone(port, "/usr/share/zoneinfo", &wanted.value)?
                    || zone(port, &own, &wanted.value)?
            }
            OfImageKind::Locale => {
                if locales.is_none() {
                    locales = Some(match port.exec(&["locale", "-a"]) {
                        Ok(output) => Some(output.stdout),
                        Err(PortError::Failed(..)) => None,
                        Err(error) => return Err(error),
                    });
                }
                let all = locales.iter().flatten().next();
                let mut names = all.into_iter().flat_map(|all| all.lines());
                names.any(|name| locale(name.trim()) == locale(&wanted.value))
            }
        };
        if !known {
            refused.push(wanted.refused());
        }
    }
    Ok(refused)
}

/// Whether a time zone is in this directory: a file, not one of the directories of them.
fn zone(port: &dyn Workload, directory: &str, name: &str) -> PortResult<bool> {
    match port.exec(&["test", "-f", &format!("{directory}/{name}")]) {
        Ok(output) => Ok(output.code == 0),
        Err(PortError::Failed(..)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Notes what differs from the files and the layer wanted.
///
/// # Errors
/// When Pebble does not answer.
pub fn compare(
    port: &dyn Workload,
    facts: &mut WorkloadFacts,
    files: &[File],
    layer: &pebble::Layer,
) -> PortResult<()> {
    let storage = port.list(STORAGE)?.unwrap_or_default();
    facts.storage_ready = facts.service == ServiceState::Active || storage_ready(port, &storage)?;
    facts.configured = files.iter().any(|file| file.path == PATRONI_YML);
    for file in files {
        let there = there(port, file, &storage)?;
        let wanted = file.content.expose_secret();
        let fits = there.as_ref().is_some_and(|(info, content)| {
            info.mode == file.mode && info.user == file.owner && content == wanted.as_bytes()
        });
        if !fits {
            facts.stale_files.insert(file.path.to_owned());
        }
        if let (false, PATRONI_YML, Some((_, content))) = (fits, file.path, there) {
            facts.changes = render::changes(&String::from_utf8_lossy(&content), wanted);
        }
    }
    let mark = mark(files).filter(|_| facts.service == ServiceState::Active);
    if let Some(mark) = mark
        && port.pull(READ)?.as_deref() != Some(mark.as_bytes())
    {
        facts.note = Note::Differs;
    }
    let plan = port.plan()?;
    facts.layer_stale = layer
        .services
        .iter()
        .any(|(name, service)| plan.services.get(name) != Some(service))
        || layer
            .checks
            .iter()
            .any(|(name, check)| plan.checks.get(name) != Some(check));
    Ok(())
}

/// The file as it is there; none where there is none.
fn there(
    port: &dyn Workload,
    file: &File,
    storage: &[FileInfo],
) -> PortResult<Option<(FileInfo, Vec<u8>)>> {
    let info = match file
        .path
        .strip_prefix(STORAGE)
        .and_then(|rest| rest.strip_prefix('/'))
    {
        Some(name) => storage.iter().find(|entry| entry.name == name).cloned(),
        None => port.stat(file.path)?,
    };
    let Some(info) = info else { return Ok(None) };
    let content = port.pull(file.path)?;
    Ok(content.map(|content| (info, content)))
}

fn storage_ready(port: &dyn Workload, storage: &[FileInfo]) -> PortResult<bool> {
    let owned = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        storage
            .iter()
            .find(|entry| entry.name == name)
            .is_some_and(|entry| entry.user == "postgres" && entry.mode == 0o700)
    };
    let root = port
        .stat(STORAGE)?
        .is_some_and(|info| info.user == "postgres");
    let kept = [PGDATA, SHARED_SOCKETS, LOGS].into_iter().all(owned);
    Ok(root && kept && log_dir(port)?.is_some_and(|info| info.link))
}

/// What is in the place where PostgreSQL and Patroni log, not what a link there leads to.
///
/// # Errors
/// When Pebble does not answer.
pub fn log_dir(port: &dyn Workload) -> PortResult<Option<FileInfo>> {
    let Some((parent, name)) = LOG_DIR.rsplit_once('/') else {
        return Ok(None);
    };
    let entries = port.list(parent)?.unwrap_or_default();
    Ok(entries.into_iter().find(|entry| entry.name == name))
}

fn patroni_version(port: &dyn Workload) -> PortResult<Option<PatroniVersion>> {
    if let Some(text) = port.pull(PATRONI_VERSION)? {
        let told = told_version(&String::from_utf8_lossy(&text));
        if told.is_some() {
            return Ok(told);
        }
    }
    let output = match port.exec(&["patroni", "--version"]) {
        Ok(output) => output,
        Err(crate::ports::PortError::Failed(..)) => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(PatroniVersion::parse(output.stdout.trim()))
}

/// The version in Patroni's own source, which has other quoted words before it.
fn told_version(source: &str) -> Option<PatroniVersion> {
    source
        .lines()
        .find_map(|line| line.strip_prefix("__version__"))
        .and_then(|rest| rest.split(['\'', '"']).nth(1))
        .and_then(PatroniVersion::parse)
}

/// The full version: the rock's own word, else the server's.
fn version(port: &dyn Workload, major: u32) -> PortResult<String> {
    if let Some(text) = port.pull(ROCK_VERSION)? {
        let text = String::from_utf8_lossy(&text).into_owned();
        let line = text.lines().find_map(|line| line.strip_prefix("version:"));
        if let Some(version) = line.map(|v| v.trim().trim_matches(['\'', '"'])) {
            return Ok(version.to_owned());
        }
    }
    let server = format!("{}/postgres", programs(major));
    let output = port.exec(&[&server, "--version"])?;
    // `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`
    let word = output.stdout.split_whitespace().nth(2);
    Ok(word.map_or_else(|| major.to_string(), str::to_owned))
}

/// The major version that the data directory is of; none where it tells none.
fn data_major(port: &dyn Workload) -> PortResult<Option<u32>> {
    let text = port.pull(&format!("{PGDATA}/PG_VERSION"))?;
    Ok(text.and_then(|text| String::from_utf8_lossy(&text).trim().parse().ok()))
}

/// What the data directory holds. A directory with files but without a readable control file is
/// not empty: it counts as a cluster nobody knows, so that nothing is bootstrapped over it.
fn volume(port: &dyn Workload, major: u32) -> PortResult<Volume> {
    let entries = port.list(PGDATA)?.unwrap_or_default();
    if entries.is_empty() {
        return Ok(Volume::Empty);
    }
    let text = control_data(port, major)?;
    let identifier = follow::control_value(&text, "Database system identifier:");
    Ok(Volume::Holds(identifier.unwrap_or("0").to_owned()))
}

/// Whether Patroni has no account of its own, or the pod's is readable beside it.
fn account(port: &dyn Workload) -> PortResult<Account> {
    let open = |info: FileInfo| info.mode != POD_SECRETS_MODE;
    if port.stat(KUBECONFIG)?.is_none() || port.stat(POD_SECRETS)?.is_some_and(open) {
        return Ok(Account::Missing);
    }
    Ok(Account::Own)
}

/// What `pg_controldata` prints of the data directory.
///
/// # Errors
/// When Pebble does not answer.
pub fn control_data(port: &dyn Workload, major: u32) -> PortResult<String> {
    let tool = format!("{}/pg_controldata", programs(major));
    let output = port.exec(&["env", "LC_ALL=C", &tool, PGDATA])?;
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_dev_shm_is_read_where_its_mount_tells_it() {
        let root = "overlay / overlay rw,size=1k 0 0\n";
        let of = |options: &str| shm_size(&format!("{root}shm /dev/shm tmpfs {options} 0 0\n"));
        assert_eq!(of("rw,nosuid,relatime,size=65536k,inode64"), Some(64 << 20));
        assert_eq!(of("rw,size=2g"), Some(2 << 30));
        assert_eq!(of("rw,size=4096"), Some(4096));
        assert_eq!(of("rw,relatime"), None);
        assert_eq!(shm_size(root), None);
    }

    #[test]
    fn patronis_version_is_found_behind_the_docstring_of_its_file() {
        let source = "\"\"\"This module 'specifies' the version.\n\n:var __version__: it\n\"\"\"\n\
                      __version__ = '3.0.2'\n";
        let version = told_version(source).map(|v| (v.major, v.minor));
        assert_eq!(version, Some((3, 0)));
        assert_eq!(told_version("__version__ = unknown\n"), None);
    }
}
