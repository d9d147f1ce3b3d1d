//! Times and durations in the forms that `juju` reads and prints.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::error::CliError;

/// How a time is worded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wording {
    /// `since` of a status.
    Since,
    /// The clock in the status heading.
    Clock,
    /// Timing of a task.
    Task,
    /// A line of an action's or of the debug log: time of the day.
    Progress,
}

/// Words an RFC 3339 time in local time, or in UTC. What is no time stays as it is.
#[must_use]
pub fn word(time: &str, wording: Wording, utc: bool) -> String {
    let Ok(time_stamp) = time.parse::<Timestamp>() else {
        return time.to_owned();
    };
    let zone = if utc {
        TimeZone::UTC
    } else {
        TimeZone::system()
    };
    let zoned = time_stamp.to_zoned(zone);
    let utc_now = zoned.offset().is_zero();
    let zone = if utc_now {
        "Z".to_owned()
    } else {
        zoned.strftime("%:z").to_string()
    };
    match wording {
        Wording::Since if utc => zoned.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        Wording::Since => format!("{}{zone}", zoned.strftime("%d %b %Y %H:%M:%S")),
        Wording::Clock => format!("{}{zone}", zoned.strftime("%H:%M:%S")),
        Wording::Task => {
            let name = if utc_now {
                "UTC".to_owned()
            } else {
                zoned.strftime("%Z").to_string()
            };
            format!("{} {name}", zoned.strftime("%Y-%m-%d %H:%M:%S %z"))
        }
        Wording::Progress => zoned.strftime("%H:%M:%S").to_string(),
    }
}

/// How long ago, as tables say it: `just now`, `5 minutes ago`, or the date.
#[must_use]
pub fn ago(time: &str) -> String {
    let Ok(then) = time.parse::<Timestamp>() else {
        return time.to_owned();
    };
    let seconds = Timestamp::now()
        .as_second()
        .saturating_sub(then.as_second());
    let (count, unit) = match seconds {
        ..=9 => return "just now".to_owned(),
        10..=59 => (seconds, "second"),
        60..=3599 => (seconds / 60, "minute"),
        3600..=86_399 => (seconds / 3600, "hour"),
        _ => {
            return then
                .to_zoned(TimeZone::system())
                .strftime("%Y-%m-%d")
                .to_string();
        }
    };
    format!("{count} {unit}{} ago", if count == 1 { "" } else { "s" })
}

/// Reads a duration as Go writes it: `10s`, `1m30s`, `1.5h`, `500ms`, and `-1s` as "no limit".
///
/// # Errors
/// When it is none.
pub fn duration(text: &str) -> Result<Option<Duration>, CliError> {
    let invalid = || CliError::usage(format!("time: invalid duration {text:?}"));
    if text.starts_with('-') {
        return Ok(None);
    }
    if text == "0" {
        return Ok(Some(Duration::ZERO));
    }
    let mut rest = text;
    let mut total = 0_f64;
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(invalid)?;
        let (number, tail) = rest.split_at(end);
        let unit_end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let scale = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(invalid()),
        };
        total += number.parse::<f64>().map_err(|_| invalid())? * scale;
        rest = tail;
    }
    if text.is_empty() {
        return Err(invalid());
    }
    Duration::try_from_secs_f64(total)
        .map(Some)
        .map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_go_are_read() {
        assert_eq!(duration("90.0s").unwrap(), Some(Duration::from_secs(90)));
        assert_eq!(duration("1m30s").unwrap(), Some(Duration::from_secs(90)));
        assert_eq!(duration("500ms").unwrap(), Some(Duration::from_millis(500)));
        assert_eq!(duration("-1s").unwrap(), None);
        for wrong in ["", "5", "s", "1x", "."] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_are_worded_as_juju_words_them() {
        let time = "2024-11-08T04:19:22.123456Z";
        assert_eq!(word(time, Wording::Since, true), "2024-11-08 04:19:22Z");
        assert_eq!(word(time, Wording::Clock, true), "04:19:22Z");
        assert_eq!(
            word(time, Wording::Task, true),
            "2024-11-08 04:19:22 +0000 UTC"
        );
        assert_eq!(word("never", Wording::Since, true), "never");
    }
}
