//! What every session of the charm's own fixes as it begins, so that nothing that a database's owner
//! or a role's has set there changes what the session means, stops it or writes it into a log.
//!
//! They are start-up options: PostgreSQL takes these over what `ALTER DATABASE` and `ALTER ROLE` have
//! set, before it runs anything else. The list was made by going through `pg_settings` of the contexts
//! `user`, `superuser` and `superuser-backend`; what only makes a statement slower or faster is left out.

use std::fmt::Write;

/// Settings of every session.
const PINNED: [(&str, &str); 44] = [
    // What names mean, and in whose name statements run.
    ("search_path", "pg_catalog,pg_temp"),
    ("role", "none"),
    ("session_authorization", "operator"),
    // Event triggers, rules and triggers that a client has made do not fire.
    ("session_replication_role", "replica"),
    ("local_preload_libraries", ""),
    ("session_preload_libraries", ""),
    ("jit", "off"),
    ("default_tablespace", ""),
    ("temp_tablespaces", ""),
    ("default_table_access_method", "heap"),
    // What text means, in both directions.
    ("standard_conforming_strings", "on"),
    ("backslash_quote", "safe_encoding"),
    ("quote_all_identifiers", "off"),
    ("transform_null_equals", "off"),
    ("array_nulls", "on"),
    ("bytea_output", "hex"),
    ("DateStyle", "ISO,MDY"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "UTC"),
    ("extra_float_digits", "1"),
    ("row_security", "on"),
    ("check_function_bodies", "on"),
    // What ends it early, or makes it wait.
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("client_connection_check_interval", "0"),
    ("exit_on_error", "off"),
    ("max_parallel_workers_per_gather", "0"),
    // It never waits for a standby, and writes where clients may only read.
    ("synchronous_commit", "local"),
    ("default_transaction_read_only", "off"),
    ("default_transaction_deferrable", "off"),
    ("default_transaction_isolation", r"read\ committed"),
    // Nothing of it is logged, audited or counted: a verifier may be part of it.
    ("client_min_messages", "error"),
    ("log_statement", "none"),
    ("log_duration", "off"),
    ("log_min_duration_statement", "-1"),
    ("log_min_duration_sample", "-1"),
    ("log_transaction_sample_rate", "0"),
    ("log_min_error_statement", "panic"),
    ("log_parameter_max_length_on_error", "0"),
    ("log_disconnections", "off"),
    ("debug_print_parse", "off"),
    ("debug_print_rewritten", "off"),
    ("debug_print_plan", "off"),
    ("track_activities", "off"),
];

/// Settings of libraries: a server that has not loaded them takes these for placeholders.
const LIBRARIES: [(&str, &str); 3] = [
    ("pgaudit.log", "none"),
    ("pg_stat_statements.track", "none"),
    ("auto_explain.log_min_duration", "-1"),
];

/// The first major version that knows `transaction_timeout` and `event_triggers`.
const NEWER: u32 = 17;

/// How long a session's statements may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// A look, or a small change.
    Short,
    /// Databases are made, or what is in them changes hands; it must not wait for clients' locks.
    Long,
}

impl Work {
    /// Milliseconds for a statement, and for a lock.
    const fn limits(self) -> (u32, u32) {
        match self {
            Self::Short => (3_000, 0),
            Self::Long => (50_000, 3_000),
        }
    }
}

/// The start-up options, as `-c name=value` for each, for a server of this major version; where that
/// is not known yet, without what only newer servers know.
#[must_use]
pub fn options(work: Work, major: Option<u32>) -> String {
    let mut options = String::new();
    let mut pin = |name: &str, value: &dyn std::fmt::Display| {
        // Writing to a String cannot fail.
        let _ = write!(options, "-c {name}={value} ");
    };
    for (name, value) in PINNED.iter().chain(&LIBRARIES) {
        pin(name, value);
    }
    let (statement, lock) = work.limits();
    pin("statement_timeout", &statement);
    pin("lock_timeout", &lock);
    if major.is_some_and(|major| major >= NEWER) {
        pin("transaction_timeout", &0);
        // Those that fire always, too.
        pin("event_triggers", &"off");
    }
    options.truncate(options.trim_end().len());
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_newer_servers_know_is_pinned_for_these_alone() {
        for (major, pinned) in [(None, false), (Some(16), false), (Some(17), true)] {
            let options = options(Work::Short, major);
            for option in ["transaction_timeout=0", "event_triggers=off"] {
                assert_eq!(options.contains(option), pinned, "{option} {major:?}");
            }
        }
    }

    #[test]
    fn the_options_go_through_a_shell_within_single_quotes() {
        assert!(!options(Work::Long, Some(17)).contains('\''));
    }
}
