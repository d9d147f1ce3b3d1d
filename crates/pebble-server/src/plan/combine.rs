//! How layers lie one upon the other: `replace` and `merge`, field by field.

use std::collections::BTreeMap;

use super::{Check, ExecCheck, HttpCheck, Layer, LogTarget, Service, TcpCheck, Texts, Workload};

/// An entry of a layer that a later one can replace or add to.
pub(super) trait Entry: Clone {
    /// Its `override`.
    fn mode(&self) -> &str;
    /// Takes what `over` says; what it leaves out stays.
    fn merge(&mut self, over: &Self);
}

fn text(base: &mut String, over: &str) {
    if !over.is_empty() {
        over.clone_into(base);
    }
}

fn some<T: Copy>(base: &mut Option<T>, over: Option<T>) {
    *base = over.or(*base);
}

fn texts(base: &mut Texts, over: &Texts) {
    base.extend(over.iter().map(|(key, value)| (key.clone(), value.clone())));
}

fn part<T: Clone + Default>(base: &mut Option<T>, over: Option<&T>, merge: fn(&mut T, &T)) {
    if let Some(over) = over {
        merge(base.get_or_insert_default(), over);
    }
}

impl Entry for Service {
    fn mode(&self) -> &str {
        &self.override_
    }

    fn merge(&mut self, over: &Self) {
        text(&mut self.summary, &over.summary);
        text(&mut self.description, &over.description);
        text(&mut self.startup, &over.startup);
        text(&mut self.command, &over.command);
        self.after.extend_from_slice(&over.after);
        self.before.extend_from_slice(&over.before);
        self.requires.extend_from_slice(&over.requires);
        text(&mut self.workload, &over.workload);
        texts(&mut self.environment, &over.environment);
        some(&mut self.user_id, over.user_id);
        text(&mut self.user, &over.user);
        some(&mut self.group_id, over.group_id);
        text(&mut self.group, &over.group);
        text(&mut self.working_dir, &over.working_dir);
        text(&mut self.on_success, &over.on_success);
        text(&mut self.on_failure, &over.on_failure);
        texts(&mut self.on_check_failure, &over.on_check_failure);
        some(&mut self.backoff_delay, over.backoff_delay);
        some(&mut self.backoff_factor, over.backoff_factor);
        some(&mut self.backoff_limit, over.backoff_limit);
        some(&mut self.kill_delay, over.kill_delay);
    }
}

impl Entry for Check {
    fn mode(&self) -> &str {
        &self.override_
    }

    fn merge(&mut self, over: &Self) {
        text(&mut self.level, &over.level);
        text(&mut self.startup, &over.startup);
        some(&mut self.period, over.period);
        some(&mut self.timeout, over.timeout);
        if over.threshold != 0 {
            self.threshold = over.threshold;
        }
        part(
            &mut self.http,
            over.http.as_ref(),
            |base: &mut HttpCheck, over| {
                text(&mut base.url, &over.url);
                texts(&mut base.headers, &over.headers);
            },
        );
        part(
            &mut self.tcp,
            over.tcp.as_ref(),
            |base: &mut TcpCheck, over| {
                if over.port != 0 {
                    base.port = over.port;
                }
                text(&mut base.host, &over.host);
            },
        );
        part(
            &mut self.exec,
            over.exec.as_ref(),
            |base: &mut ExecCheck, over| {
                text(&mut base.command, &over.command);
                text(&mut base.service_context, &over.service_context);
                texts(&mut base.environment, &over.environment);
                some(&mut base.user_id, over.user_id);
                text(&mut base.user, &over.user);
                some(&mut base.group_id, over.group_id);
                text(&mut base.group, &over.group);
                text(&mut base.working_dir, &over.working_dir);
            },
        );
    }
}

impl Entry for LogTarget {
    fn mode(&self) -> &str {
        &self.override_
    }

    fn merge(&mut self, over: &Self) {
        text(&mut self.type_, &over.type_);
        text(&mut self.location, &over.location);
        self.services.extend_from_slice(&over.services);
        texts(&mut self.labels, &over.labels);
    }
}

impl Entry for Workload {
    fn mode(&self) -> &str {
        &self.override_
    }

    fn merge(&mut self, over: &Self) {
        texts(&mut self.environment, &over.environment);
        some(&mut self.user_id, over.user_id);
        text(&mut self.user, &over.user);
        some(&mut self.group_id, over.group_id);
        text(&mut self.group, &over.group);
    }
}

fn entries<T: Entry>(base: &mut BTreeMap<String, T>, over: &BTreeMap<String, T>) {
    for (name, entry) in over {
        match base.get_mut(name) {
            Some(known) if entry.mode() == "merge" => known.merge(entry),
            _ => drop(base.insert(name.clone(), entry.clone())),
        }
    }
}

impl Layer {
    /// Lays another layer upon this one.
    pub fn add(&mut self, over: &Self) {
        entries(&mut self.services, &over.services);
        entries(&mut self.checks, &over.checks);
        entries(&mut self.log_targets, &over.log_targets);
        entries(&mut self.workloads, &over.workloads);
        text(&mut self.pairing.mode, &over.pairing.mode);
    }

    /// The layers one upon the other, with the one default that the plan shows.
    pub fn combined<'a>(layers: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut plan = Self::default();
        for layer in layers {
            plan.add(layer);
        }
        for check in plan
            .checks
            .values_mut()
            .filter(|check| check.threshold == 0)
        {
            check.threshold = 3;
        }
        plan
    }
}
