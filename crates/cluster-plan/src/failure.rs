//! Why PostgreSQL did not start: what it says last in its logs.

/// Longest text that is taken.
const MOST: usize = 300;
/// Fatal for a process beside the server alone, which the server goes on without.
const OTHERS: [&str; 4] = [
    "terminating ",
    "could not connect to the primary",
    "could not receive data from WAL stream",
    "could not start WAL streaming",
];

/// The last words of the server itself, with their time; none where it has come up since, or where
/// there are only those of sessions. Lines begin with their time, as `log_line_prefix` has it.
#[must_use]
pub fn last_words(log: &str) -> Option<(String, String)> {
    let mut last = None;
    for line in log.lines() {
        if line.contains("database system is ready to accept") {
            last = None;
        }
        let fatal = line
            .split_once("FATAL:  ")
            .or_else(|| line.split_once("PANIC:  "));
        let Some((before, words)) = fatal else {
            continue;
        };
        let session = before.contains("user=") && !before.contains("user=,");
        let words = without_code(words);
        if session || OTHERS.iter().any(|other| words.starts_with(other)) {
            continue;
        }
        let words = words.chars().filter(|c| !c.is_control()).take(MOST);
        last = Some((before.to_owned(), words.collect()));
    }
    last
}

/// Without the code that a verbose log has before the message.
fn without_code(words: &str) -> &str {
    match words.split_once(": ") {
        Some((code, rest))
            if code.len() == 5
                && code
                    .bytes()
                    .all(|b| b.is_ascii_digit() || b.is_ascii_uppercase()) =>
        {
            rest
        }
        _ => words,
    }
}

#[cfg(test)]
mod tests {
    use super::last_words;

    fn words(log: &str) -> Option<String> {
        last_words(log).map(|(_, words)| words)
    }

    #[test]
    fn the_servers_own_last_words_count_and_no_sessions() {
        let log = "\
2026-11-30 23:00:01 UTC [7]: user=,db=,app=,client=,line=1 FATAL:  XX000: too many backends configured\n\
2026-11-30 23:00:02 UTC [9]: user=operator,db=postgres,app=,client=,line=1 FATAL:  57P03: the database system is starting up\n\
2026-11-30 23:00:03 UTC [9]: user=,db=,app=,client=,line=1 FATAL:  57P01: terminating background worker\n";
        assert_eq!(words(log).as_deref(), Some("too many backends configured"));
        let up =
            "2026-11-30 23:00:04 UTC [1]: LOG:  database system is ready to accept connections\n";
        assert_eq!(words(&format!("{log}{up}")), None);
    }

    #[test]
    fn what_is_said_before_the_prefix_is_known_counts_too() {
        let log =
            "postgres: x\nFATAL:  could not map anonymous shared memory: Cannot allocate memory\n";
        assert_eq!(
            words(log).as_deref(),
            Some("could not map anonymous shared memory: Cannot allocate memory")
        );
        assert_eq!(words("FATAL:  \n\u{1b}"), Some(String::new()));
    }
}
