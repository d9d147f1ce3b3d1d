//! Go's durations: how they are read (`1m30s`) and written (`1m30s`, `500ms`, `168h0m0s`).

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const SECOND: u64 = 1_000_000_000;

/// A duration in nanoseconds, negative ones included since Go reads them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GoDuration(i64);

impl GoDuration {
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds * 1_000_000_000)
    }

    pub const fn from_millis(milliseconds: i64) -> Self {
        Self(milliseconds * 1_000_000)
    }

    /// Reads what Go's `time.ParseDuration` reads, and refuses in its words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let invalid = || format!("time: invalid duration \"{text}\"");
        let (negative, mut rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        if rest == "0" {
            return Ok(Self(0));
        }
        if rest.is_empty() {
            return Err(invalid());
        }
        let mut total: i128 = 0;
        while !rest.is_empty() {
            let end = rest
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .unwrap_or(rest.len());
            let (number, tail) = rest.split_at(end);
            let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
            if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
                return Err(invalid());
            }
            let end = tail
                .find(|c: char| c.is_ascii_digit() || c == '.')
                .unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(end);
            let scale: i128 = match unit {
                "" => return Err(format!("time: missing unit in duration \"{text}\"")),
                "ns" => 1,
                "us" | "µs" | "μs" => 1_000,
                "ms" => 1_000_000,
                "s" => 1_000_000_000,
                "m" => 60_000_000_000,
                "h" => 3_600_000_000_000,
                other => {
                    return Err(format!(
                        "time: unknown unit \"{other}\" in duration \"{text}\""
                    ));
                }
            };
            let whole: i128 = if whole.is_empty() {
                0
            } else {
                whole.parse().map_err(|_| invalid())?
            };
            total = whole
                .checked_mul(scale)
                .and_then(|n| n.checked_add(total))
                .ok_or_else(invalid)?;
            let mut digit_scale = scale;
            for digit in fraction.bytes() {
                digit_scale /= 10;
                total += i128::from(digit - b'0') * digit_scale;
            }
            rest = tail;
        }
        let signed = if negative { -total } else { total };
        i64::try_from(signed).map(Self).map_err(|_| invalid())
    }

    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// As a time to wait; what is negative is none.
    pub fn std(self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0).unwrap_or(0))
    }
}

impl From<Duration> for GoDuration {
    fn from(duration: Duration) -> Self {
        Self(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    }
}

/// A number of `unit`s with as many decimals as it has, at most `digits`.
fn decimal(f: &mut fmt::Formatter<'_>, value: u64, unit: u64, digits: usize) -> fmt::Result {
    write!(f, "{}", value / unit)?;
    let fraction = format!("{:0digits$}", value % unit);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() {
        Ok(())
    } else {
        write!(f, ".{fraction}")
    }
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.unsigned_abs();
        if nanos == 0 {
            return f.write_str("0s");
        }
        if self.0 < 0 {
            f.write_str("-")?;
        }
        match nanos {
            0..1_000 => return write!(f, "{nanos}ns"),
            1_000..1_000_000 => {
                decimal(f, nanos, 1_000, 3)?;
                return f.write_str("µs");
            }
            1_000_000..SECOND => {
                decimal(f, nanos, 1_000_000, 6)?;
                return f.write_str("ms");
            }
            _ => {}
        }
        let (minutes, rest) = (nanos / (60 * SECOND), nanos % (60 * SECOND));
        if minutes >= 60 {
            write!(f, "{}h", minutes / 60)?;
        }
        if minutes > 0 {
            write!(f, "{}m", minutes % 60)?;
        }
        decimal(f, rest, SECOND, 9)?;
        f.write_str("s")
    }
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .map_err(|_| serde::de::Error::custom(format!("invalid duration \"{text}\"")))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let read = |text| GoDuration::parse(text).map(|duration| duration.0);
        assert_eq!(read("1m30s"), Ok(90_000_000_000));
        assert_eq!(read("1.5s"), Ok(1_500_000_000));
        assert_eq!(read("250ms"), Ok(250_000_000));
        assert_eq!(read("0"), Ok(0));
        assert_eq!(read("-2ns"), Ok(-2));
        assert_eq!(read("4.000s"), Ok(4_000_000_000));
        assert_eq!(
            read("5"),
            Err("time: missing unit in duration \"5\"".into())
        );
        assert_eq!(
            read("1d"),
            Err("time: unknown unit \"d\" in duration \"1d\"".into())
        );
        assert_eq!(read(""), Err("time: invalid duration \"\"".into()));
        assert_eq!(read(".s"), Err("time: invalid duration \".s\"".into()));
    }

    #[test]
    fn durations_are_written_as_go_writes_them() {
        let written = |text| GoDuration::parse(text).unwrap().to_string();
        assert_eq!(written("168h"), "168h0m0s");
        assert_eq!(written("500ms"), "500ms");
        assert_eq!(written("90s"), "1m30s");
        assert_eq!(written("1.25s"), "1.25s");
        assert_eq!(written("10ms"), "10ms");
        assert_eq!(written("1500us"), "1.5ms");
        assert_eq!(written("0"), "0s");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(nanos in any::<i64>()) {
            let duration = GoDuration(nanos);
            prop_assume!(nanos != i64::MIN);
            prop_assert_eq!(GoDuration::parse(&duration.to_string()), Ok(duration));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[-+0-9.a-zµ]{0,12}") {
            let _ = GoDuration::parse(&text);
        }
    }
}
