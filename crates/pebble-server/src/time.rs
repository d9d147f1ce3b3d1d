//! Points in time, as the API writes and reads them.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time; in JSON RFC 3339 with as many digits as it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time(Timestamp);

impl Time {
    pub fn now() -> Self {
        Self(Timestamp::now())
    }

    pub fn from_unix(seconds: i64) -> Self {
        Self(Timestamp::from_second(seconds).unwrap_or_default())
    }

    pub fn parse(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|error| error.to_string())
    }

    /// So much later; the latest that there is where that is too late.
    pub fn later(self, by: SignedDuration) -> Self {
        Self(self.0.checked_add(by).unwrap_or(Timestamp::MAX))
    }

    /// So much earlier.
    pub fn earlier(self, by: SignedDuration) -> Self {
        Self(self.0.checked_sub(by).unwrap_or(Timestamp::MIN))
    }

    /// To the second.
    pub fn seconds(self) -> String {
        self.0.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// To the millisecond, as in logs.
    pub fn millis(self) -> String {
        format!("{:.3}", self.0)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::Time;

    #[test]
    fn times_have_the_digits_that_they_need() {
        let shown = |text| Time::parse(text).unwrap().to_string();
        assert_eq!(
            shown("2026-01-02T03:04:05.120000000Z"),
            "2026-01-02T03:04:05.12Z"
        );
        assert_eq!(shown("2026-01-02T05:04:05+02:00"), "2026-01-02T03:04:05Z");
        let time = Time::parse("2026-01-02T03:04:05.1Z").unwrap();
        assert_eq!(time.millis(), "2026-01-02T03:04:05.100Z");
        assert_eq!(time.seconds(), "2026-01-02T03:04:05Z");
    }
}
