//! Which Juju the models behave like.

/// Juju, as far as its versions differ for a charm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Juju {
    /// 3.6.
    #[default]
    #[value(name = "3.6")]
    V3,
    /// 4.0, as it was seen to run.
    #[value(name = "4.0")]
    V4,
}

impl Juju {
    /// What it says of itself, in status and to charms (`JUJU_VERSION`).
    #[must_use]
    pub fn version(self) -> &'static str {
        match self {
            Self::V3 => crate::home::JUJU_VERSION,
            Self::V4 => "4.0.15",
        }
    }

    /// The flag's value that stands for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V3 => "3.6",
            Self::V4 => "4.0",
        }
    }

    /// By what it says of itself.
    #[must_use]
    pub fn of(version: &str) -> Self {
        if version.starts_with("4.") {
            Self::V4
        } else {
            Self::V3
        }
    }

    /// Whether it is 4.0 or newer.
    #[must_use]
    pub fn is_4(self) -> bool {
        self == Self::V4
    }
}
