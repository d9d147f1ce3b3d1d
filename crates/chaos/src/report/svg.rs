//! The pictures.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Round, escape, seconds};

const WIDTH: f64 = 1000.0;
const COLOURS: [&str; 6] = [
    "#1f77b4", "#ff7f0e", "#2ca02c", "#9467bd", "#8c564b", "#17becf",
];

fn colour(number: usize) -> &'static str {
    COLOURS
        .get(number % COLOURS.len())
        .copied()
        .unwrap_or("#000")
}

fn open(height: f64) -> String {
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" xmlns=\"http://www.w3.org/2000/svg\" \
         font-family=\"sans-serif\" font-size=\"11\">"
    )
}

/// Writes a second as columns in the colour of who acknowledged them, and the faults below.
pub fn timeline(round: &Round) -> String {
    let times = round.writes.iter().map(|(at, _)| *at);
    let faults = round
        .faults
        .iter()
        .flat_map(|fault| [fault.at, fault.until]);
    let Some(begin) = times.clone().chain(faults.clone()).min() else {
        return String::new();
    };
    let end = times.chain(faults).max().unwrap_or(begin);
    let length = seconds(end - begin).max(1.0);
    let (left, plot, row) = (60.0, 160.0, 14.0);
    let x = |at: u64| left + seconds(at.saturating_sub(begin)) / length * (WIDTH - left - 10.0);

    let mut servers: Vec<&str> = Vec::new();
    let mut counts: BTreeMap<(u64, usize), u32> = BTreeMap::new();
    for (at, server) in &round.writes {
        let known = servers.iter().position(|one| one == server);
        let number = known.unwrap_or(servers.len());
        if known.is_none() {
            servers.push(server);
        }
        *counts
            .entry(((at - begin) / 1_000_000, number))
            .or_default() += 1;
    }
    let most = f64::from(counts.values().copied().max().unwrap_or(1));
    let lanes = lanes(round);
    let height = plot + 50.0 + f64::from(u32::try_from(lanes.len()).unwrap_or(0)) * row;
    let mut out = open(height);
    let _ = write!(
        out,
        "<text x=\"4\" y=\"22\">{most}/s</text><text x=\"4\" y=\"{}\">0</text>\
         <line x1=\"{left}\" y1=\"{base}\" x2=\"{WIDTH}\" y2=\"{base}\" stroke=\"#999\"/>",
        plot + 14.0,
        base = plot + 14.0,
    );
    let step = (WIDTH - left - 10.0) / length;
    for (&(second, server), &count) in &counts {
        let tall = f64::from(count) / most * plot;
        let _ = write!(
            out,
            "<rect x=\"{:.2}\" y=\"{:.1}\" width=\"{:.2}\" height=\"{tall:.1}\" fill=\"{}\"/>",
            x(begin + second * 1_000_000),
            plot + 14.0 - tall,
            (step * 0.95).max(0.5),
            colour(server),
        );
    }
    let mut y = plot + 30.0;
    for (fault, lane) in &lanes {
        for struck in lane {
            let wide = (x(struck.until.max(struck.at)) - x(struck.at)).max(2.5);
            let fill = if struck.primary { "#b00020" } else { "#d98a00" };
            let _ = write!(
                out,
                "<rect x=\"{:.1}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"10\" fill=\"{fill}\">\
                 <title>{} {} at {:.1} s</title></rect>",
                x(struck.at),
                escape(fault),
                escape(&struck.target),
                seconds(struck.at - begin),
            );
        }
        let _ = write!(
            out,
            "<text x=\"2\" y=\"{:.1}\" font-size=\"8\">{}</text>",
            y + 8.0,
            escape(fault)
        );
        y += row;
    }
    let mut place = left;
    for (number, server) in servers.iter().enumerate() {
        let _ = write!(
            out,
            "<text x=\"{place:.0}\" y=\"{:.1}\" fill=\"{}\">primary {}</text>",
            y + 10.0,
            colour(number),
            escape(server),
        );
        place += 130.0;
    }
    let _ = write!(
        out,
        "<text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{length:.0} s; red: hit the primary</text></svg>",
        WIDTH - 10.0,
        y + 10.0,
    );
    out
}

/// The faults of a round, a row for each kind.
fn lanes(round: &Round) -> BTreeMap<String, Vec<&crate::outages::Struck>> {
    let mut lanes: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for fault in &round.faults {
        let name = fault.fault.replace('_', " ");
        lanes.entry(name).or_default().push(fault);
    }
    lanes
}

/// A row for each kind of fault, a dot for each time, its median as a line.
pub fn distribution(groups: &[(String, Vec<u64>)]) -> String {
    let longest = groups.iter().filter_map(|(_, times)| times.last()).max();
    let most = seconds(longest.copied().unwrap_or(0)).max(1.0);
    let (left, row) = (190.0, 20.0);
    let x = |time: u64| left + seconds(time) / most * (WIDTH - left - 40.0);
    let rows = f64::from(u32::try_from(groups.len()).unwrap_or(0));
    let mut out = open(rows * row + 30.0);
    let mut y = 16.0;
    for (name, times) in groups {
        let _ = write!(
            out,
            "<text x=\"4\" y=\"{:.1}\">{}</text>",
            y + 4.0,
            escape(name)
        );
        for &time in times {
            let _ = write!(
                out,
                "<circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"#1f77b4\" fill-opacity=\"0.5\">\
                 <title>{:.2} s</title></circle>",
                x(time),
                seconds(time),
            );
        }
        if let Some(median) = crate::outages::percentile(times, 50) {
            let _ = write!(
                out,
                "<line x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{1:.1}\" y2=\"{2:.1}\" stroke=\"#b00020\" \
                 stroke-width=\"2\"/>",
                x(median),
                y - 8.0,
                y + 8.0,
            );
        }
        y += row;
    }
    let _ = write!(
        out,
        "<text x=\"{left}\" y=\"{y:.1}\">0 s</text><text x=\"{:.0}\" y=\"{y:.1}\" \
         text-anchor=\"end\">{most:.1} s</text></svg>",
        WIDTH - 10.0,
    );
    out
}
