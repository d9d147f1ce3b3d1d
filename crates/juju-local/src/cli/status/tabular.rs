//! A model's status as the tables of `juju status` for a Kubernetes model.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use juju_local_api::status::{ApplicationStatus, ModelStatus, StatusInfo, UnitStatus};

use super::ports;
use crate::cli::table::{Cell, Color, Table, status_color};

/// Longest workload version shown.
const VERSION_WIDTH: usize = 30;
/// Longest message shown.
const MESSAGE_WIDTH: usize = 120;

/// Sections that are shown only when asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sections {
    /// `--relations`.
    pub relations: bool,
    /// `--storage`.
    pub storage: bool,
}

/// The tables, a blank line between two.
#[must_use]
pub fn render(status: &ModelStatus, sections: Sections, color: bool) -> String {
    let mut tables = vec![model(status)];
    if !status.application_endpoints.is_empty() {
        tables.push(saas(status));
    }
    if !status.applications.is_empty() {
        tables.push(applications(status));
    }
    if status
        .applications
        .values()
        .any(|app| !app.units.is_empty())
    {
        tables.push(units(status));
    }
    if !status.offers.is_empty() {
        tables.push(offers(status));
    }
    if sections.relations && !status.relations.is_empty() {
        tables.push(relations(status));
    }
    if sections.storage && !status.storage.storage.is_empty() {
        tables.push(storage(status, true));
    }
    let texts: Vec<String> = tables.iter().map(|table| table.render(color)).collect();
    texts.join("\n")
}

/// One line for each unit, as `--format short`.
#[must_use]
pub fn short(status: &ModelStatus) -> String {
    let mut out = String::new();
    for (_, app) in sorted(&status.applications) {
        for (name, unit) in sorted(&app.units) {
            let ports = ports::cell(&unit.open_ports);
            let ports = if ports.is_empty() {
                ports
            } else {
                format!(" {ports}")
            };
            let (agent, workload) = (&unit.juju_status.current, &unit.workload_status.current);
            let address = &unit.address;
            // Writing to a String cannot fail.
            let _ = writeln!(
                out,
                "- {name}: {address} (agent:{agent}, workload:{workload}){ports}"
            );
        }
    }
    out
}

fn model(status: &ModelStatus) -> Table {
    let model = &status.model;
    let region = if model.region.is_empty() {
        model.cloud.clone()
    } else {
        format!("{}/{}", model.cloud, model.region)
    };
    let notes = &model.model_status.message;
    let notes = (!notes.is_empty()).then(|| truncated(notes, MESSAGE_WIDTH));
    let headings = [
        "Model",
        "Controller",
        "Cloud/Region",
        "Version",
        "SLA",
        "Timestamp",
    ];
    let mut table = Table::new(headings.into_iter().chain(notes.as_ref().map(|_| "Notes")));
    let cells: [Cell; 6] = [
        model.name.as_str().into(),
        model.controller.as_str().into(),
        region.into(),
        model.version.as_str().into(),
        model.sla.as_str().into(),
        status.controller.timestamp.as_str().into(),
    ];
    table.row(cells.into_iter().chain(notes.map(Cell::from)));
    table
}

/// The table of consumed offers.
#[must_use]
pub fn saas(status: &ModelStatus) -> Table {
    let mut table = Table::new(["SAAS", "Status", "Store", "URL"]);
    for (name, remote) in sorted(&status.application_endpoints) {
        let (store, url) = remote.url.split_once(':').unwrap_or(("local", &remote.url));
        let current = Cell::status(remote.application_status.current.as_str());
        table.row([name.into(), current, store.into(), url.into()]);
    }
    table
}

fn applications(status: &ModelStatus) -> Table {
    let mut table = Table::new([
        "App", "Version", "Status", "Scale", "Charm", "Channel", "Rev", "Address", "Exposed",
        "Message",
    ])
    .right([3, 6]);
    for (name, app) in sorted(&status.applications) {
        let version = app.version.lines().next().unwrap_or_default();
        table.row([
            name.into(),
            truncated(version, VERSION_WIDTH).into(),
            Cell::status(app.application_status.current.as_str()),
            scale(app),
            app.charm_name.as_str().into(),
            app.charm_channel.as_str().into(),
            app.charm_rev.to_string().into(),
            Cell::colored(app.address.as_str(), Color::Blue),
            if app.exposed {
                Cell::colored("yes", Color::Green)
            } else {
                "no".into()
            },
            message(&app.application_status.message),
        ]);
    }
    table
}

/// Units ready of units wanted, or one number when these are the same.
fn scale(app: &ApplicationStatus) -> Cell {
    let ready = |unit: &&UnitStatus| {
        matches!(
            unit.juju_status.current.as_str(),
            "idle" | "executing" | "running"
        )
    };
    let ready = app.units.values().filter(ready).count();
    if usize::try_from(app.scale).is_ok_and(|wanted| wanted == ready) {
        return ready.to_string().into();
    }
    Cell::colored(format!("{ready}/{}", app.scale), Color::Yellow)
}

fn units(status: &ModelStatus) -> Table {
    let mut table = Table::new(["Unit", "Workload", "Agent", "Address", "Ports", "Message"]);
    for (_, app) in sorted(&status.applications) {
        for (name, unit) in sorted(&app.units) {
            let leader = if unit.leader { "*" } else { "" };
            table.row([
                format!("{name}{leader}").into(),
                Cell::status(unit.workload_status.current.as_str()),
                Cell::status(unit.juju_status.current.as_str()),
                Cell::colored(unit.address.as_str(), Color::Blue),
                Cell::colored(ports::cell(&unit.open_ports), Color::Magenta),
                message(&unit_message(unit)),
            ]);
        }
    }
    table
}

/// The workload's message, with what the agent does at the moment before it.
fn unit_message(unit: &UnitStatus) -> String {
    let workload = &unit.workload_status.message;
    let agent = &unit.juju_status;
    if agent.current == "allocating" && workload.is_empty() {
        return agent.message.clone();
    }
    match doing(agent) {
        Some(what) => format!("({what}) {workload}"),
        None => workload.clone(),
    }
}

/// The hook or action that an executing agent names in its message.
fn doing(agent: &StatusInfo) -> Option<&str> {
    if agent.current != "executing" {
        return None;
    }
    let rest = agent.message.strip_prefix("running ")?;
    if let Some(hook) = rest.strip_suffix(" hook") {
        return Some(hook);
    }
    if let Some((hook, _)) = rest.split_once(" hook ") {
        return Some(hook);
    }
    rest.strip_prefix("action ")
}

fn offers(status: &ModelStatus) -> Table {
    let mut table = Table::new([
        "Offer",
        "Application",
        "Charm",
        "Rev",
        "Connected",
        "Endpoint",
        "Interface",
        "Role",
    ]);
    for (name, offer) in sorted(&status.offers) {
        let charm = offer.charm.rsplit([':', '/']).next().unwrap_or_default();
        let (charm, revision) = charm.rsplit_once('-').unwrap_or((charm, ""));
        let connected = format!(
            "{}/{}",
            offer.active_connected_count, offer.total_connected_count
        );
        let mut first: [Cell; 5] = [
            name.into(),
            offer.application.as_str().into(),
            charm.into(),
            revision.into(),
            connected.into(),
        ];
        for (endpoint, remote) in &offer.endpoints {
            let rest: [Cell; 3] = [
                endpoint.into(),
                remote.interface.as_str().into(),
                remote.role.as_str().into(),
            ];
            table.row(std::mem::take(&mut first).into_iter().chain(rest));
        }
    }
    table
}

fn relations(status: &ModelStatus) -> Table {
    let mut table = Table::new([
        "Integration provider",
        "Requirer",
        "Interface",
        "Type",
        "Message",
    ]);
    let mut sorted: Vec<_> = status.relations.iter().collect();
    sorted.sort_by(|a, b| (&a.provider, &a.requirer).cmp(&(&b.provider, &b.requirer)));
    for relation in sorted {
        let message = if relation.status == "joined" || relation.status.is_empty() {
            Cell::default()
        } else {
            let text = format!("{}  {}", relation.status, relation.message);
            Cell::colored(
                text.trim_end(),
                status_color(&relation.status).unwrap_or(Color::Yellow),
            )
        };
        table.row([
            relation.provider.as_str().into(),
            relation.requirer.as_str().into(),
            relation.interface.as_str().into(),
            relation.kind.as_str().into(),
            message,
        ]);
    }
    table
}

/// The table of storage; `in_status` adds the columns that `juju status --storage` has and
/// `juju storage` has not.
#[must_use]
pub fn storage(status: &ModelStatus, in_status: bool) -> Table {
    let mut table = if in_status {
        Table::new([
            "Storage Unit",
            "Storage ID",
            "Type",
            "Pool",
            "Mountpoint",
            "Size",
            "Status",
            "Message",
        ])
    } else {
        Table::new([
            "Unit",
            "Storage ID",
            "Type",
            "Pool",
            "Size",
            "Status",
            "Message",
        ])
    };
    for (id, instance) in sorted(&status.storage.storage) {
        let attachment = instance
            .attachments
            .as_ref()
            .and_then(|all| all.units.iter().next());
        let (unit, location) = match attachment {
            Some((unit, attachment)) => (unit.as_str(), attachment.location.as_str()),
            None => ("", ""),
        };
        let filesystem = status
            .storage
            .filesystems
            .values()
            .find(|one| one.storage == *id);
        let pool = filesystem.map_or("", |one| one.pool.as_str());
        let size = filesystem.map_or_else(String::new, |one| size(one.size));
        let current = Cell::status(instance.status.current.as_str());
        let text = message(&instance.status.message);
        let kind = instance.kind.as_str();
        if in_status {
            table.row([
                unit.into(),
                id.into(),
                kind.into(),
                pool.into(),
                location.into(),
                size.into(),
                current,
                text,
            ]);
        } else {
            table.row([
                unit.into(),
                id.into(),
                kind.into(),
                pool.into(),
                size.into(),
                current,
                text,
            ]);
        }
    }
    table
}

/// MiB in the largest binary unit, two significant digits as humans read them: `1.0 GiB`.
fn size(mib: u64) -> String {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a size in MiB is far below 2^52"
    )]
    let mut value = mib as f64;
    let mut unit = "MiB";
    for larger in ["GiB", "TiB", "PiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    if value < 10.0 {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

fn message(text: &str) -> Cell {
    let line = text.lines().next().unwrap_or_default();
    Cell::colored(truncated(line, MESSAGE_WIDTH), Color::Gray)
}

fn truncated(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars()
        .take(width.saturating_sub(3))
        .chain("...".chars())
        .collect()
}

/// Entries by name, numbers in names compared as numbers.
#[must_use]
pub fn sorted<T>(map: &BTreeMap<String, T>) -> Vec<(&str, &T)> {
    let mut entries: Vec<(&str, &T)> = map.iter().map(|(name, one)| (name.as_str(), one)).collect();
    entries.sort_by(|(a, _), (b, _)| natural(a, b));
    entries
}

/// Compares names so that `app/2` comes before `app/10`.
#[must_use]
pub fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (Some(x), Some(y)) = (a.chars().next(), b.chars().next()) else {
            return a.len().cmp(&b.len());
        };
        if x.is_ascii_digit() && y.is_ascii_digit() {
            let (number_a, rest_a) = leading_number(a);
            let (number_b, rest_b) = leading_number(b);
            match number_a.cmp(&number_b) {
                Ordering::Equal => (a, b) = (rest_a, rest_b),
                other => return other,
            }
        } else {
            match x.cmp(&y) {
                Ordering::Equal => {
                    a = a.get(x.len_utf8()..).unwrap_or_default();
                    b = b.get(y.len_utf8()..).unwrap_or_default();
                }
                other => return other,
            }
        }
    }
}

fn leading_number(text: &str) -> (u128, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    (digits.parse().unwrap_or(u128::MAX), rest)
}

#[cfg(test)]
#[path = "tabular_tests.rs"]
mod tests;
