//! Patroni's timing: how soon a lost primary is replaced, against how long an outage of the
//! Kubernetes API is borne without it.

use serde_json::{Map, Value, json};

use super::{Config, OptionError, error};

/// Seconds between Patroni's looks: a crashed PostgreSQL is noticed within that time.
const LOOP_WAIT: i64 = 3;
/// Seconds that Patroni goes on asking an API that does not answer.
const RETRY_TIMEOUT: i64 = 8;
/// Seconds after which a primary that vanished without a word is replaced.
const TTL: i64 = 20;

impl Config {
    /// `ttl`, `loop_wait` and the time-outs of the dynamic configuration.
    #[must_use]
    pub fn timing(&self) -> Map<String, Value> {
        let (ttl, loop_wait, retry_timeout) = self.seconds();
        [
            ("ttl", ttl),
            ("loop_wait", loop_wait),
            ("retry_timeout", retry_timeout),
        ]
        .into_iter()
        // A primary that crashed hands over to a synchronous standby, which has every commit, at
        // once instead of recovering in place.
        .chain([("primary_start_timeout", 0)])
        .map(|(name, seconds)| (name.to_owned(), json!(seconds)))
        .collect()
    }

    /// Seconds between Patroni's looks: what it is told shows after one of them.
    #[must_use]
    pub fn loop_wait(&self) -> i64 {
        self.seconds().1
    }

    /// A leader must be able to try its key twice before it runs out, so says Patroni's manual; it
    /// would silently use other values.
    pub(super) fn unsafe_timing(&self) -> Option<OptionError> {
        let (ttl, loop_wait, retry_timeout) = self.seconds();
        let least = loop_wait + 2 * retry_timeout;
        (ttl < least).then(|| {
            let allowed = format!(
                "{least} or more: patroni_loop_wait={loop_wait} and twice \
                 patroni_retry_timeout={retry_timeout} have to fit in it"
            );
            error("patroni_ttl", &json!(ttl), allowed)
        })
    }

    fn seconds(&self) -> (i64, i64, i64) {
        let option = |name, default| self.int(name).unwrap_or(default);
        (
            option("patroni_ttl", TTL),
            option("patroni_loop_wait", LOOP_WAIT),
            option("patroni_retry_timeout", RETRY_TIMEOUT),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn config(pairs: &[(&str, i64)]) -> Result<Config, Vec<OptionError>> {
        let raw: BTreeMap<String, Value> = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect();
        Config::new(&raw)
    }

    #[test]
    fn a_ttl_that_is_too_short_for_the_rest_is_refused_with_the_least_one() {
        let errors = config(&[("patroni_ttl", 25), ("patroni_retry_timeout", 12)]).unwrap_err();
        assert!(
            errors[0]
                .to_string()
                .starts_with("patroni_ttl=25 is not allowed, use 27 or more")
        );
        assert!(config(&[("patroni_ttl", 27), ("patroni_retry_timeout", 12)]).is_ok());
    }

    #[test]
    fn without_options_the_defaults_fit_together() {
        let timing = config(&[]).unwrap().timing();
        assert_eq!(
            json!(timing),
            json!({"ttl": 20, "loop_wait": 3, "retry_timeout": 8, "primary_start_timeout": 0})
        );
    }
}
