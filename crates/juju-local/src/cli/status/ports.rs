//! Opened ports in one cell: grouped by protocol, neighbours as a range.

use std::collections::BTreeMap;

/// `["80/tcp", "81/tcp", "443/tcp", "53/udp"]` as `80-81,443/tcp 53/udp`.
#[must_use]
pub fn cell(ports: &[String]) -> String {
    let mut by_protocol: BTreeMap<&str, Vec<(u32, u32)>> = BTreeMap::new();
    let mut others: Vec<&str> = Vec::new();
    for port in ports {
        match parse(port) {
            Some((protocol, range)) => by_protocol.entry(protocol).or_default().push(range),
            None => others.push(port),
        }
    }
    let mut groups: Vec<String> = others.iter().map(|port| (*port).to_owned()).collect();
    for (protocol, mut ranges) in by_protocol {
        ranges.sort_unstable();
        let mut joined: Vec<(u32, u32)> = Vec::new();
        for (from, to) in ranges {
            match joined.last_mut() {
                Some((_, last)) if from <= last.saturating_add(1) => *last = to.max(*last),
                _ => joined.push((from, to)),
            }
        }
        let texts: Vec<String> = joined
            .iter()
            .map(|(from, to)| {
                if from == to {
                    from.to_string()
                } else {
                    format!("{from}-{to}")
                }
            })
            .collect();
        groups.push(format!("{}/{protocol}", texts.join(",")));
    }
    groups.join(" ")
}

fn parse(port: &str) -> Option<(&str, (u32, u32))> {
    let (range, protocol) = port.split_once('/')?;
    let (from, to) = range.split_once('-').unwrap_or((range, range));
    Some((protocol, (from.parse().ok()?, to.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_grouped_by_protocol() {
        let ports = [
            "81/tcp",
            "443/tcp",
            "80/tcp",
            "53/udp",
            "icmp",
            "8000-8010/tcp",
        ];
        let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
        assert_eq!(cell(&ports), "icmp 80-81,443,8000-8010/tcp 53/udp");
        assert_eq!(cell(&[]), "");
    }
}
