//! Which applications and units the selectors of `juju status` keep.

use juju_local_api::status::{ModelStatus, UnitStatus};

/// Removes what no selector matches. A selector is an application's or a unit's name, with `*`
/// and `?`, or a workload or agent status.
pub fn keep_matching(status: &mut ModelStatus, selectors: &[String]) {
    status.applications.retain(|name, app| {
        let whole = selectors.iter().any(|selector| {
            (!selector.contains('/') && matches(selector, name))
                || *selector == app.application_status.current
        });
        if whole {
            return true;
        }
        app.units
            .retain(|unit, state| selectors.iter().any(|one| unit_matches(one, unit, state)));
        !app.units.is_empty()
    });
    let kept = |name: &str| selectors.iter().any(|selector| matches(selector, name));
    status.application_endpoints.retain(|name, _| kept(name));
    let apps = &status.applications;
    status
        .offers
        .retain(|name, offer| kept(name) || apps.contains_key(&offer.application));
    status.relations.retain(|relation| {
        [&relation.provider, &relation.requirer]
            .iter()
            .any(|end| apps.contains_key(end.split(':').next().unwrap_or_default()))
    });
}

fn unit_matches(selector: &str, name: &str, unit: &UnitStatus) -> bool {
    if selector.contains('/') {
        if let Some(app) = selector.strip_suffix("/leader") {
            return unit.leader && name.split('/').next() == Some(app);
        }
        return matches(selector, name);
    }
    selector == unit.workload_status.current || selector == unit.juju_status.current
}

/// Does the pattern, with `*` for any text and `?` for any character, match the whole name?
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    let Some(first) = pattern.chars().next() else {
        return name.is_empty();
    };
    let rest = &pattern[first.len_utf8()..];
    if first == '*' {
        let mut ends = name.char_indices().map(|(at, _)| at).chain([name.len()]);
        return ends.any(|at| matches(rest, &name[at..]));
    }
    let mut name = name.chars();
    match name.next() {
        Some(letter) if first == '?' || first == letter => matches(rest, name.as_str()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        assert!(matches("post*", "postgresql-k8s"));
        assert!(matches("*k8s", "postgresql-k8s"));
        assert!(matches("p?/0", "pg/0"));
        assert!(!matches("post", "postgresql-k8s"));
        assert!(!matches("", "x"));
        assert!(matches("*", ""));
    }
}
