//! Options whose text PostgreSQL would refuse, and then not start with: what can be told without
//! a server is told here, and what only the image knows is named for it.

use serde_json::{Value, json};

use super::{Config, OptionError, Rule, error, table};

/// PostgreSQL's own text search configurations; others are of one database alone.
pub(super) const TEXT_SEARCH: &[&str] = &[
    "pg_catalog.simple",
    "pg_catalog.arabic",
    "pg_catalog.armenian",
    "pg_catalog.basque",
    "pg_catalog.catalan",
    "pg_catalog.danish",
    "pg_catalog.dutch",
    "pg_catalog.english",
    "pg_catalog.finnish",
    "pg_catalog.french",
    "pg_catalog.german",
    "pg_catalog.greek",
    "pg_catalog.hindi",
    "pg_catalog.hungarian",
    "pg_catalog.indonesian",
    "pg_catalog.irish",
    "pg_catalog.italian",
    "pg_catalog.lithuanian",
    "pg_catalog.nepali",
    "pg_catalog.norwegian",
    "pg_catalog.portuguese",
    "pg_catalog.romanian",
    "pg_catalog.russian",
    "pg_catalog.serbian",
    "pg_catalog.spanish",
    "pg_catalog.swedish",
    "pg_catalog.tamil",
    "pg_catalog.turkish",
    "pg_catalog.yiddish",
];

/// A value that the image must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfImage {
    /// Option.
    pub option: &'static str,
    /// Its value.
    pub value: String,
    /// What it is.
    pub kind: OfImageKind,
}

/// What an image must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfImageKind {
    /// A locale of the operating system.
    Locale,
    /// A time zone.
    TimeZone,
}

impl OfImage {
    /// What is allowed instead.
    #[must_use]
    pub fn refused(&self) -> OptionError {
        let allowed = match self.kind {
            OfImageKind::Locale => "C or one that `locale -a` names in the image",
            OfImageKind::TimeZone => "UTC or another time zone of the image, e.g. Europe/Berlin",
        };
        error(self.option, &json!(self.value), allowed.to_owned())
    }
}

impl Config {
    /// Values that have to be looked up in the image.
    #[must_use]
    pub fn of_image(&self) -> Vec<OfImage> {
        let kinds = |rule| match rule {
            Rule::Locale => Some(OfImageKind::Locale),
            Rule::TimeZone => Some(OfImageKind::TimeZone),
            _ => None,
        };
        table::TABLE
            .iter()
            .filter_map(|spec| {
                let kind = kinds(spec.rule)?;
                let value = self.values.get(spec.name).and_then(Value::as_str)?;
                let known = matches!(value, "C" | "POSIX" | "UTC" | "GMT");
                (!known).then(|| OfImage {
                    option: spec.name,
                    value: value.to_owned(),
                    kind,
                })
            })
            .collect()
    }
}

/// A locale's name with its encoding as `locale -a` writes it: `de_DE.UTF-8` is `de_de.utf8`.
#[must_use]
pub fn locale(name: &str) -> String {
    name.to_ascii_lowercase().replace("utf-8", "utf8")
}

/// Letters, digits and a few signs: what names of locales and time zones are made of.
pub(super) fn name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_+-.@/".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(plain)
        && !text.contains("..")
}

/// Whether PostgreSQL takes it for `DateStyle`: a style and an order of day and month, either alone
/// or both.
pub(super) fn date_style(text: &str) -> bool {
    let (mut styles, mut orders) = (0, 0);
    for word in text.split(',') {
        match word.trim().to_ascii_lowercase().as_str() {
            "iso" | "sql" | "postgres" | "german" => styles += 1,
            "dmy" | "mdy" | "ymd" | "euro" | "european" | "us" | "noneuro" | "noneuropean" => {
                orders += 1;
            }
            _ => return false,
        }
    }
    styles <= 1 && orders <= 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_styles_are_postgresqls() {
        for good in ["ISO, MDY", "german", "SQL,DMY", "ymd", "European, Postgres"] {
            assert!(date_style(good), "{good}");
        }
        for bad in ["", "ISO, SQL", "DMY, MDY", "yesterday", "ISO,"] {
            assert!(!date_style(bad), "{bad}");
        }
    }

    #[test]
    fn only_what_the_image_must_know_is_looked_up() {
        let raw = [
            ("response_lc_time", json!("de_DE.UTF-8")),
            ("response_lc_monetary", json!("C")),
            ("request_time_zone", json!("Europe/Berlin")),
        ]
        .map(|(name, value)| (name.to_owned(), value));
        let config = Config::new(&raw.into()).unwrap();
        let options: Vec<_> = config.of_image().iter().map(|value| value.option).collect();
        assert_eq!(options, ["request_time_zone", "response_lc_time"]);
        assert_eq!(locale("de_DE.UTF-8"), locale("de_DE.utf8"));
    }

    #[test]
    fn no_name_leads_out_of_its_directory() {
        assert!(name("America/Argentina/Ushuaia") && name("Etc/GMT+3"));
        assert!(!name("../../etc/passwd") && !name("/etc/passwd") && !name("a b") && !name(""));
    }
}
