//! What a layer, and the plan of all layers, must fulfil; refusals are in Pebble's words.

use super::order::Action;
use super::{Check, Layer, LogTarget, Service, command};

const ON_SUCCESS: [&str; 5] = ["", "restart", "shutdown", "ignore", "failure-shutdown"];
const ON_FAILURE: [&str; 5] = ["", "restart", "shutdown", "ignore", "success-shutdown"];

fn given_override(label: &str, what: &str, name: &str, mode: &str) -> Result<(), String> {
    match mode {
        "replace" | "merge" => Ok(()),
        "" => Err(format!(
            "layer \"{label}\" must define \"override\" for {what} \"{name}\""
        )),
        _ => Err(format!(
            "layer \"{label}\" has invalid \"override\" value for {what} \"{name}\""
        )),
    }
}

fn named(what: &str, name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err(format!("cannot use empty string as {what} name"));
    }
    Ok(())
}

impl Layer {
    /// Checks a layer by itself.
    pub(super) fn validate(&self, label: &str) -> Result<(), String> {
        for (name, service) in &self.services {
            service_name(name)?;
            given_override(label, "service", name, &service.override_)?;
            service.validate(name)?;
        }
        for (name, check) in &self.checks {
            named("check", name)?;
            given_override(label, "check", name, &check.override_)?;
            check.validate(name)?;
        }
        for (name, target) in &self.log_targets {
            named("log target", name)?;
            given_override(label, "log target", name, &target.override_)?;
            target.validate(name)?;
        }
        for (name, workload) in &self.workloads {
            named("workload", name)?;
            given_override(label, "workload", name, &workload.override_)?;
        }
        match self.pairing.mode.as_str() {
            "" | "single" | "multiple" | "disabled" => Ok(()),
            other => Err(format!("pairing mode \"{other}\" invalid")),
        }
    }

    /// Checks what the layers make together.
    pub(super) fn validate_plan(&self) -> Result<(), String> {
        for (name, service) in &self.services {
            self.validate_service(name, service)?;
        }
        for (name, check) in &self.checks {
            self.validate_check(name, check)?;
        }
        for (name, target) in &self.log_targets {
            if target.type_.is_empty() {
                return Err(format!(
                    "plan must define \"type\" (\"loki\", \"opentelemetry\" or \"syslog\") \
                     for log target \"{name}\""
                ));
            }
            for service in &target.services {
                let bare = service.strip_prefix('-').unwrap_or(service);
                if bare != "all" && !self.services.contains_key(bare) {
                    return Err(format!(
                        "log target \"{name}\" specifies unknown service \"{bare}\""
                    ));
                }
            }
            if target.location.is_empty() {
                return Err(format!(
                    "plan must define \"location\" for log target \"{name}\""
                ));
            }
        }
        let names: Vec<String> = self.services.keys().cloned().collect();
        self.order(&names, Action::Start)?;
        self.order(&names, Action::Stop)?;
        Ok(())
    }

    fn validate_service(&self, name: &str, service: &Service) -> Result<(), String> {
        if service.command.is_empty() {
            return Err(format!(
                "plan must define \"command\" for service \"{name}\""
            ));
        }
        if service.workload.is_empty() {
            return Ok(());
        }
        if !self.workloads.contains_key(&service.workload) {
            let workload = &service.workload;
            return Err(format!(
                "workload \"{workload}\": not defined for service \"{name}\""
            ));
        }
        if service.wanted_user() != crate::users::Wanted::default() {
            return Err(format!(
                "plan service \"{name}\" cannot have user information and a workload at the same \
                 time"
            ));
        }
        Ok(())
    }

    fn validate_check(&self, name: &str, check: &Check) -> Result<(), String> {
        if check.http.as_ref().is_some_and(|http| http.url.is_empty()) {
            return Err(format!("plan must set \"url\" for http check \"{name}\""));
        }
        if check.tcp.as_ref().is_some_and(|tcp| tcp.port == 0) {
            return Err(format!("plan must set \"port\" for tcp check \"{name}\""));
        }
        if let Some(exec) = &check.exec {
            if exec.command.is_empty() {
                return Err(format!(
                    "plan must set \"command\" for exec check \"{name}\""
                ));
            }
            let context = &exec.service_context;
            if !context.is_empty() && !self.services.contains_key(context) {
                return Err(format!(
                    "plan check \"{name}\" service context specifies non-existent service \
                     \"{context}\""
                ));
            }
        }
        let kinds = [
            check.http.is_some(),
            check.tcp.is_some(),
            check.exec.is_some(),
        ];
        if kinds.iter().filter(|given| **given).count() != 1 {
            return Err(format!(
                "plan must specify one of \"http\", \"tcp\", or \"exec\" for check \"{name}\""
            ));
        }
        Ok(())
    }
}

fn service_name(name: &str) -> Result<(), String> {
    named("service", name)?;
    if name == "pebble" {
        return Err("cannot use reserved service name \"pebble\"".to_owned());
    }
    if name.starts_with('-') {
        return Err(format!(
            "cannot use service name \"{name}\": starting with \"-\" not allowed"
        ));
    }
    Ok(())
}

impl Service {
    fn validate(&self, name: &str) -> Result<(), String> {
        command::parse(name, &self.command)
            .map_err(|why| format!("plan service \"{name}\" command invalid: {why}"))?;
        let allowed = |key: &str, action: &str, known: &[&str]| {
            if known.contains(&action) {
                return Ok(());
            }
            Err(format!(
                "plan service \"{name}\" {key} action \"{action}\" invalid"
            ))
        };
        allowed("on-success", &self.on_success, &ON_SUCCESS)?;
        allowed("on-failure", &self.on_failure, &ON_FAILURE)?;
        for action in self.on_check_failure.values() {
            allowed("on-check-failure", action, &ON_FAILURE)?;
        }
        match self.backoff_factor {
            Some(factor) if factor < 1.0 => Err(format!(
                "plan service \"{name}\" backoff-factor must be 1.0 or greater, not {factor}"
            )),
            _ => Ok(()),
        }
    }
}

impl Check {
    fn validate(&self, name: &str) -> Result<(), String> {
        let refused = |why: &str| Err(format!("plan check \"{name}\" {why}"));
        if !["", "alive", "ready"].contains(&self.level.as_str()) {
            return refused("level must be \"alive\" or \"ready\"");
        }
        if !["", "enabled", "disabled"].contains(&self.startup.as_str()) {
            return refused("startup must be \"enabled\" or \"disabled\"");
        }
        if self
            .period
            .is_some_and(crate::duration::GoDuration::is_zero)
        {
            return refused("period must not be zero");
        }
        if self
            .timeout
            .is_some_and(crate::duration::GoDuration::is_zero)
        {
            return refused("timeout must not be zero");
        }
        if let Some(exec) = &self.exec {
            if let Err(why) = command::split(&exec.command) {
                return refused(&format!("command invalid: {why}"));
            }
            if let Err(why) = exec.wanted_user().resolve() {
                return refused(&format!("has invalid user/group: {why}"));
            }
        }
        Ok(())
    }
}

impl LogTarget {
    fn validate(&self, name: &str) -> Result<(), String> {
        if let Some(label) = self
            .labels
            .keys()
            .find(|label| label.starts_with("pebble_"))
        {
            return Err(format!(
                "log target \"{name}\": label \"{label}\" uses reserved prefix \"pebble_\""
            ));
        }
        if !["", "loki", "opentelemetry", "syslog"].contains(&self.type_.as_str()) {
            return Err(format!(
                "log target \"{name}\" has unsupported type \"{}\", must be \"loki\", \
                 \"opentelemetry\" or \"syslog\"",
                self.type_
            ));
        }
        Ok(())
    }
}
