//! A page that shows what happened: for each round the writes a second with every fault and who was
//! primary, and over all rounds how long writes stopped after each kind of fault.

mod svg;

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use crate::Error;
use crate::history::{Record, What, read_lines};
use crate::outages::{Outage, Struck, acknowledged, outages, percentile};

/// One round: what the clients saw and what struck.
#[derive(Debug)]
pub struct Round {
    /// Its name.
    pub name: String,
    /// What was acknowledged: when and by whom.
    pub writes: Vec<(u64, String)>,
    /// What struck.
    pub faults: Vec<Struck>,
    /// How long nothing was acknowledged after each.
    pub outages: Vec<Outage>,
    /// What the checker says.
    pub verdict: Value,
}

/// Writes the report on these folders.
///
/// # Errors
/// When a file can't be read or written.
pub fn write(out: &str, folders: &[String]) -> Result<(), Error> {
    let rounds: Result<Vec<Round>, Error> = folders.iter().map(|folder| round(folder)).collect();
    std::fs::write(out, page(&rounds?)).map_err(|source| Error::File {
        path: out.to_owned(),
        source,
    })
}

fn round(folder: &str) -> Result<Round, Error> {
    let records: Vec<Record> = read_lines(&format!("{folder}/history.jsonl"))?;
    let faults: Vec<Struck> = read_lines(&format!("{folder}/faults.jsonl"))?;
    let path = format!("{folder}/verdict.json");
    let text = std::fs::read_to_string(&path).map_err(|source| Error::File { path, source })?;
    let outages = outages(&acknowledged(&records), &faults);
    let mut writes: Vec<(u64, String)> = records
        .into_iter()
        .filter_map(|record| match record.what {
            What::Acknowledged { server, .. } => Some((record.at, server)),
            _ => None,
        })
        .collect();
    writes.sort_unstable();
    Ok(Round {
        name: folder.rsplit('/').next().unwrap_or(folder).to_owned(),
        writes,
        faults,
        outages,
        verdict: serde_json::from_str(&text)?,
    })
}

/// The whole page.
#[must_use]
pub fn page(rounds: &[Round]) -> String {
    let mut body = String::new();
    let broken: usize = rounds.iter().map(|round| violations(round).len()).sum();
    let writes: usize = rounds.iter().map(|round| round.writes.len()).sum();
    let faults: usize = rounds.iter().map(|round| round.faults.len()).sum();
    let _ = write!(
        body,
        "<h1>Faults under load</h1><p class=\"{}\">{} rounds, {faults} faults, {writes} writes \
         acknowledged, {broken} violations.</p>",
        if broken == 0 { "good" } else { "bad" },
        rounds.len(),
    );
    body.push_str("<h2>How long writes stopped</h2>");
    let groups = by_fault(rounds);
    body.push_str(&svg::distribution(&groups));
    body.push_str(&table(&groups));
    for round in rounds {
        let _ = write!(body, "<h2>{}</h2>", escape(&round.name));
        body.push_str(&svg::timeline(round));
        for violation in violations(round) {
            let _ = write!(
                body,
                "<p class=\"bad\">{}</p>",
                escape(&violation.to_string())
            );
        }
        let count = |key: &str| round.verdict.get(key).and_then(Value::as_u64).unwrap_or(0);
        let _ = write!(
            body,
            "<p>{} acknowledged, {} failed, {} unknown of which {} are there; {} reads of the \
             primary, {} of standbys; {} rows were seen on a standby and are not there (none of \
             them acknowledged).</p>",
            count("acknowledged"),
            count("failed"),
            count("unknown"),
            count("unknown_there"),
            count("primary_reads"),
            count("standby_reads"),
            count("seen_on_standby_and_gone"),
        );
    }
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Faults under load</title>\
         <style>{STYLE}</style><body>{body}</body></html>\n"
    )
}

const STYLE: &str = "body{font:14px/1.4 sans-serif;max-width:1080px;margin:2em auto;color:#222}\
    svg{width:100%;height:auto;background:#fafafa}.good{color:#176b2c;font-weight:bold}\
    .bad{color:#b00020;font-weight:bold}table{border-collapse:collapse}td,th{padding:.2em .8em;\
    border-bottom:1px solid #ddd;text-align:right}td:first-child,th:first-child{text-align:left}";

fn violations(round: &Round) -> &[Value] {
    let list = round.verdict.get("violations").and_then(Value::as_array);
    list.map_or(&[], Vec::as_slice)
}

/// Sorted times without writes, in microseconds, by fault and whom it hit.
fn by_fault(rounds: &[Round]) -> Vec<(String, Vec<u64>)> {
    let mut groups: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for outage in rounds.iter().flat_map(|round| &round.outages) {
        let fault = &outage.fault;
        let whom = match (fault.target.is_empty(), fault.primary) {
            (true, _) => "",
            (false, true) => ", primary",
            (false, false) => ", standby",
        };
        let name = format!("{}{whom}", fault.fault.replace('_', " "));
        groups.entry(name).or_default().push(outage.micros());
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    for (_, times) in &mut groups {
        times.sort_unstable();
    }
    groups
}

fn table(groups: &[(String, Vec<u64>)]) -> String {
    let mut rows = String::new();
    for (name, times) in groups {
        let at = |hundredths| seconds(percentile(times, hundredths).unwrap_or(0));
        let _ = write!(
            rows,
            "<tr><td>{}<td>{}<td>{:.1}<td>{:.1}<td>{:.1}",
            escape(name),
            times.len(),
            at(50),
            at(99),
            at(100),
        );
    }
    format!("<table><tr><th>fault<th>times<th>p50 s<th>p99 s<th>longest s{rows}</table>")
}

/// For people: precision doesn't matter.
#[allow(clippy::cast_precision_loss)]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn struck(at: u64, fault: &str) -> Struck {
        Struck {
            at,
            until: at + 2_000_000,
            fault: fault.into(),
            target: "db/0".into(),
            primary: true,
        }
    }

    #[test]
    fn a_page_shows_faults_primaries_outages_and_violations() {
        let times: Vec<u64> = (0..100)
            .map(|n| n * 100_000 + u64::from(n > 50) * 7_000_000)
            .collect();
        let faults = vec![struck(5_000_000, "kill_postgres")];
        let round = Round {
            name: "seed <1>".into(),
            outages: outages(&times, &faults),
            writes: times
                .iter()
                .map(|&at| {
                    (
                        at,
                        if at < 6_000_000 {
                            "10.1.0.10"
                        } else {
                            "10.1.0.11"
                        }
                        .to_owned(),
                    )
                })
                .collect(),
            faults,
            verdict: json!({"violations": [{"violation": "lost"}], "acknowledged": 100}),
        };
        let page = page(&[round]);
        for part in [
            "seed &lt;1>",
            "10.1.0.10",
            "10.1.0.11",
            "kill postgres, primary",
            "7.1",
            "1 violations",
            "lost",
            "<svg",
        ] {
            assert!(page.contains(part), "{part} is not in {page}");
        }
    }

    #[test]
    fn a_page_of_nothing_is_a_page() {
        assert!(page(&[]).contains("0 rounds"));
    }
}
