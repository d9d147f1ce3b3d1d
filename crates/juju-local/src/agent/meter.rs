//! What a run of a hook costs.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use juju_local_api::agent::HookRan;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

use super::scheduler::Hook;

/// Runs from a hook's start to its end. An agent runs one at a time, so what its ended children have
/// used in between is the hook's and its tools'.
pub(super) struct Meter {
    at: jiff::Timestamp,
    begun: Instant,
    used: Duration,
}

impl Meter {
    pub(super) fn start() -> Self {
        Self {
            at: jiff::Timestamp::now(),
            begun: Instant::now(),
            used: used(),
        }
    }

    pub(super) fn stop(&self, hook: &Hook, tools: BTreeMap<String, u32>, passed: bool) -> HookRan {
        HookRan {
            begun: self.at.to_string(),
            hook: hook.name.clone(),
            relation: hook.relation.as_ref().map(|relation| relation.id),
            wall_ms: millis(self.begun.elapsed()),
            cpu_ms: millis(used().saturating_sub(self.used)),
            tools,
            passed,
        }
    }
}

/// Processor time of all children that have ended, and of theirs.
fn used() -> Duration {
    let time = |value: TimeVal| {
        let micros = value.tv_sec() * 1_000_000 + value.tv_usec();
        Duration::from_micros(u64::try_from(micros).unwrap_or_default())
    };
    getrusage(UsageWho::RUSAGE_CHILDREN)
        .map(|usage| time(usage.user_time()) + time(usage.system_time()))
        .unwrap_or_default()
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_tells_its_time_its_tools_and_its_end() {
        let meter = Meter::start();
        let ended = std::process::Command::new("/bin/sh")
            .args(["-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"])
            .status()
            .unwrap();
        let hook = Hook {
            name: "start".into(),
            ..Hook::default()
        };
        let tools: BTreeMap<String, u32> = [("config-get".to_owned(), 2)].into();
        let ran = meter.stop(&hook, tools.clone(), ended.success());
        assert_eq!(
            (ran.hook.as_str(), ran.passed, &ran.tools),
            ("start", true, &tools)
        );
        assert!(ran.cpu_ms > 0.0 && ran.wall_ms > 0.0, "{ran:?}");
    }
}
