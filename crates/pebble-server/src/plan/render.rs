//! The plan as YAML: fields in their declared order, four columns of indentation.

use std::fmt::{Display, Write};

use super::scalar::scalar;
use super::{Check, ExecCheck, HttpCheck, Layer, LogTarget, Service, TcpCheck, Texts, Workload};

const STEP: usize = 4;

/// Writes keys of one mapping; what is not given is left out.
struct Writer<'a> {
    out: &'a mut String,
    indent: usize,
}

impl Writer<'_> {
    fn raw(&mut self, key: &str, value: &str) {
        let _ = writeln!(self.out, "{:width$}{key}: {value}", "", width = self.indent);
    }

    fn text(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.always(key, value);
        }
    }

    fn always(&mut self, key: &str, value: &str) {
        let value = scalar(value, self.indent);
        self.raw(key, &value);
    }

    fn some<T: Display>(&mut self, key: &str, value: Option<T>) {
        if let Some(value) = value {
            self.raw(key, &value.to_string());
        }
    }

    fn list(&mut self, key: &str, values: &[String]) {
        if values.is_empty() {
            return;
        }
        let _ = writeln!(self.out, "{:width$}{key}:", "", width = self.indent);
        for value in values {
            let value = scalar(value, self.indent + STEP);
            let _ = writeln!(
                self.out,
                "{:width$}- {value}",
                "",
                width = self.indent + STEP
            );
        }
    }

    fn map(&mut self, key: &str, values: &Texts) {
        if values.is_empty() {
            return;
        }
        self.block(key, |inner| {
            for (key, value) in values {
                let key = scalar(key, inner.indent);
                inner.always(&key, value);
            }
        });
    }

    fn block(&mut self, key: &str, fill: impl FnOnce(&mut Writer<'_>)) {
        let place = self.out.len();
        let _ = writeln!(self.out, "{:width$}{key}:", "", width = self.indent);
        let before = self.out.len();
        fill(&mut Writer {
            out: self.out,
            indent: self.indent + STEP,
        });
        if self.out.len() == before {
            self.out.truncate(place);
            self.raw(key, "{}");
        }
    }
}

impl Service {
    fn write(&self, w: &mut Writer<'_>) {
        w.text("summary", &self.summary);
        w.text("description", &self.description);
        w.text("startup", &self.startup);
        w.text("override", &self.override_);
        w.text("command", &self.command);
        w.list("after", &self.after);
        w.list("before", &self.before);
        w.list("requires", &self.requires);
        w.text("workload", &self.workload);
        w.map("environment", &self.environment);
        w.some("user-id", self.user_id);
        w.text("user", &self.user);
        w.some("group-id", self.group_id);
        w.text("group", &self.group);
        w.text("working-dir", &self.working_dir);
        w.text("on-success", &self.on_success);
        w.text("on-failure", &self.on_failure);
        w.map("on-check-failure", &self.on_check_failure);
        w.some("backoff-delay", self.backoff_delay);
        w.some("backoff-factor", self.backoff_factor);
        w.some("backoff-limit", self.backoff_limit);
        w.some("kill-delay", self.kill_delay);
    }
}

impl Check {
    fn write(&self, w: &mut Writer<'_>) {
        w.text("override", &self.override_);
        w.text("level", &self.level);
        w.text("startup", &self.startup);
        w.some("period", self.period);
        w.some("timeout", self.timeout);
        w.some(
            "threshold",
            Some(self.threshold).filter(|threshold| *threshold != 0),
        );
        if let Some(HttpCheck { url, headers }) = &self.http {
            w.block("http", |w| {
                w.text("url", url);
                w.map("headers", headers);
            });
        }
        if let Some(TcpCheck { port, host }) = &self.tcp {
            w.block("tcp", |w| {
                w.some("port", Some(port).filter(|port| **port != 0));
                w.text("host", host);
            });
        }
        if let Some(exec) = &self.exec {
            w.block("exec", |w| exec.write(w));
        }
    }
}

impl ExecCheck {
    fn write(&self, w: &mut Writer<'_>) {
        w.text("command", &self.command);
        w.text("service-context", &self.service_context);
        w.map("environment", &self.environment);
        w.some("user-id", self.user_id);
        w.text("user", &self.user);
        w.some("group-id", self.group_id);
        w.text("group", &self.group);
        w.text("working-dir", &self.working_dir);
    }
}

impl LogTarget {
    fn write(&self, w: &mut Writer<'_>) {
        w.always("type", &self.type_);
        w.always("location", &self.location);
        if self.services.is_empty() {
            w.raw("services", "[]");
        }
        w.list("services", &self.services);
        w.text("override", &self.override_);
        w.map("labels", &self.labels);
    }
}

impl Workload {
    fn write(&self, w: &mut Writer<'_>) {
        w.text("override", &self.override_);
        w.map("environment", &self.environment);
        w.some("user-id", self.user_id);
        w.text("user", &self.user);
        w.some("group-id", self.group_id);
        w.text("group", &self.group);
    }
}

impl Layer {
    /// The whole as YAML; `{}` where there is nothing.
    pub fn to_yaml(&self) -> String {
        let mut out = String::new();
        let mut top = Writer {
            out: &mut out,
            indent: 0,
        };
        let mut section = |key: &str, count: usize, fill: &mut dyn FnMut(&mut Writer<'_>)| {
            if count > 0 {
                top.block(key, |w| fill(w));
            }
        };
        section("services", self.services.len(), &mut |w| {
            for (name, service) in &self.services {
                w.block(&scalar(name, w.indent), |w| service.write(w));
            }
        });
        section("checks", self.checks.len(), &mut |w| {
            for (name, check) in &self.checks {
                w.block(&scalar(name, w.indent), |w| check.write(w));
            }
        });
        section("log-targets", self.log_targets.len(), &mut |w| {
            for (name, target) in &self.log_targets {
                w.block(&scalar(name, w.indent), |w| target.write(w));
            }
        });
        section("workloads", self.workloads.len(), &mut |w| {
            for (name, workload) in &self.workloads {
                w.block(&scalar(name, w.indent), |w| workload.write(w));
            }
        });
        section("pairing", self.pairing.mode.len(), &mut |w| {
            w.text("mode", &self.pairing.mode);
        });
        if out.is_empty() {
            "{}\n".to_owned()
        } else {
            out
        }
    }
}
