//! Flags and words of a command line.

use std::collections::{BTreeMap, BTreeSet};

/// A command line taken apart.
#[derive(Debug, Default)]
pub(super) struct Args {
    pub words: Vec<String>,
    switches: BTreeSet<String>,
    values: BTreeMap<String, Vec<String>>,
}

impl Args {
    /// Takes a command line apart: `switches` are flags alone, `valued` take a value. What follows
    /// `--` is words.
    pub fn parse(args: &[String], switches: &[&str], valued: &[&str]) -> Result<Self, String> {
        let mut parsed = Self::default();
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            if arg == "--" {
                parsed.words.extend(rest.by_ref().cloned());
            } else if !arg.starts_with('-') || arg == "-" {
                parsed.words.push(arg.clone());
            } else if switches.contains(&arg.as_str()) {
                parsed.switches.insert(arg.clone());
            } else {
                let (flag, inline) = match arg.split_once('=') {
                    Some((flag, value)) => (flag, Some(value.to_owned())),
                    None => (arg.as_str(), None),
                };
                if !valued.contains(&flag) {
                    return Err(format!("unknown flag `{arg}'"));
                }
                let value = inline.or_else(|| rest.next().cloned());
                let value = value.ok_or_else(|| format!("expected argument for flag `{flag}'"))?;
                parsed
                    .values
                    .entry(flag.to_owned())
                    .or_default()
                    .push(value);
            }
        }
        Ok(parsed)
    }

    /// Splits a command line at its first word that is not a flag: flags, and all the rest.
    pub fn leading(args: &[String], switches: &[&str], valued: &[&str]) -> Result<Self, String> {
        let mut at = 0;
        while let Some(arg) = args
            .get(at)
            .filter(|arg| arg.starts_with('-') && *arg != "--")
        {
            at += if valued.contains(&arg.as_str()) { 2 } else { 1 };
        }
        let at = at.min(args.len());
        let (flags, words) = args.split_at(at);
        let mut parsed = Self::parse(flags, switches, valued)?;
        let words = words.strip_prefix(&["--".to_owned()]).unwrap_or(words);
        parsed.words = words.to_vec();
        Ok(parsed)
    }

    pub fn has(&self, switch: &str) -> bool {
        self.switches.contains(switch)
    }

    /// The last value of a flag.
    pub fn value(&self, flag: &str) -> Option<&str> {
        self.all(flag).last().map(String::as_str)
    }

    pub fn all(&self, flag: &str) -> &[String] {
        self.values.get(flag).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::Args;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn flags_stand_anywhere_until_two_dashes() {
        let args = Args::parse(&words("a -f --n=3 b -- -c"), &["-f"], &["--n"]).unwrap();
        assert_eq!(args.words, ["a", "b", "-c"]);
        assert!(args.has("-f"));
        assert_eq!(args.value("--n"), Some("3"));
        assert!(Args::parse(&words("-x"), &[], &[]).is_err());
        assert!(Args::parse(&words("--n"), &[], &["--n"]).is_err());
    }

    #[test]
    fn a_commands_own_flags_are_left_alone() {
        let args = Args::leading(&words("-w /tmp ls -l"), &["-T"], &["-w"]).unwrap();
        assert_eq!(args.words, ["ls", "-l"]);
        assert_eq!(args.value("-w"), Some("/tmp"));
        let args = Args::leading(&words("-T -- ls -l"), &["-T"], &["-w"]).unwrap();
        assert_eq!(args.words, ["ls", "-l"]);
    }
}
