//! Label selectors: their grammar and what they match.

use serde_json::{Map, Value};

use crate::failure::{Failure, Served};

/// A conjunction of requirements on labels; no requirement matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LabelSelector(Vec<Requirement>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
}

impl LabelSelector {
    /// Reads the text of a `labelSelector` query parameter.
    pub(crate) fn parse(text: &str) -> Served<Self> {
        let mut parser = Parser { rest: text.trim() };
        let mut requirements = Vec::new();
        while !parser.rest.is_empty() {
            requirements.push(parser.requirement().map_err(|why| {
                Failure::bad_request(format!("unable to parse requirement: {why}"))
            })?);
            parser.rest = parser.rest.trim_start();
            match parser.rest.strip_prefix(',') {
                Some(rest) => parser.rest = rest.trim_start(),
                None if parser.rest.is_empty() => {}
                None => {
                    return Err(Failure::bad_request(format!(
                        "unable to parse requirement: found '{}', expected: ',' or 'end of string'",
                        parser.rest
                    )));
                }
            }
        }
        Ok(Self(requirements))
    }

    /// Whether an object with these labels is selected.
    pub(crate) fn matches(&self, labels: Option<&Map<String, Value>>) -> bool {
        let value = |key: &str| labels.and_then(|all| all.get(key)).and_then(Value::as_str);
        self.0.iter().all(|requirement| match requirement {
            Requirement::In(key, any) => {
                value(key).is_some_and(|have| any.iter().any(|one| one == have))
            }
            Requirement::NotIn(key, none) => {
                value(key).is_none_or(|have| none.iter().all(|one| one != have))
            }
            Requirement::Exists(key) => value(key).is_some(),
            Requirement::Missing(key) => value(key).is_none(),
        })
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn requirement(&mut self) -> Result<Requirement, String> {
        if let Some(rest) = self.rest.strip_prefix('!') {
            self.rest = rest.trim_start();
            return Ok(Requirement::Missing(self.key()?));
        }
        let key = self.key()?;
        self.rest = self.rest.trim_start();
        if self.rest.is_empty() || self.rest.starts_with(',') {
            return Ok(Requirement::Exists(key));
        }
        for (operator, negative) in [("==", false), ("!=", true), ("=", false)] {
            if let Some(rest) = self.rest.strip_prefix(operator) {
                self.rest = rest.trim_start();
                let value = vec![self.value()?];
                return Ok(if negative {
                    Requirement::NotIn(key, value)
                } else {
                    Requirement::In(key, value)
                });
            }
        }
        match self.word() {
            "in" => Ok(Requirement::In(key, self.values()?)),
            "notin" => Ok(Requirement::NotIn(key, self.values()?)),
            other => Err(format!(
                "found '{other}', expected: in, notin, =, ==, !=, gt, lt"
            )),
        }
    }

    fn word(&mut self) -> &'a str {
        let end = self
            .rest
            .find(|c: char| c.is_whitespace() || ",()=!".contains(c))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn key(&mut self) -> Result<String, String> {
        let word = self.word();
        let name = word.rsplit_once('/').map_or(word, |(_, name)| name);
        if name.is_empty() || !label_chars(name) || name.len() > 63 {
            return Err(format!("invalid label key {word:?}"));
        }
        Ok(word.to_owned())
    }

    fn value(&mut self) -> Result<String, String> {
        let word = self.word();
        if !word.is_empty() && (!label_chars(word) || word.len() > 63) {
            return Err(format!("invalid label value: {word:?}"));
        }
        Ok(word.to_owned())
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        let inside = self.rest.trim_start().strip_prefix('(');
        self.rest = match inside {
            Some(inside) => inside.trim_start(),
            None => return Err(format!("found '{}' expected: '('", self.word())),
        };
        let mut values = Vec::new();
        loop {
            values.push(self.value()?);
            self.rest = self.rest.trim_start();
            if let Some(rest) = self.rest.strip_prefix(',') {
                self.rest = rest.trim_start();
            } else if let Some(rest) = self.rest.strip_prefix(')') {
                self.rest = rest;
                return Ok(values);
            } else {
                return Err(format!("found '{}', expected: ',', or ')'", self.rest));
            }
        }
    }
}

/// Letters, digits, `-`, `_`, `.`, beginning and ending with a letter or digit.
fn label_chars(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.chars()
        .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && edge(text.chars().next())
        && edge(text.chars().next_back())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn matches(selector: &str, labels: &Value) -> bool {
        LabelSelector::parse(selector)
            .unwrap()
            .matches(labels.as_object())
    }

    #[test]
    fn every_operator_selects_what_it_says() {
        let labels = json!({"app": "pg", "role": "primary", "x/y": ""});
        for yes in [
            "",
            "app=pg",
            "app==pg",
            "app = pg , role=primary",
            "app!=other",
            "gone!=x",
            "app",
            "!gone",
            "role in (primary, replica)",
            "role notin (replica)",
            "gone notin (a)",
            "x/y=",
            "x/y in ()",
            "app,role,!gone",
        ] {
            assert!(matches(yes, &labels), "{yes}");
        }
        for no in [
            "app=other",
            "app!=pg",
            "gone",
            "!app",
            "role in (replica)",
            "role notin (primary)",
            "gone in (a)",
            "app=pg,role=replica",
        ] {
            assert!(!matches(no, &labels), "{no}");
        }
    }

    #[test]
    fn a_selector_that_cannot_be_read_is_a_bad_request() {
        for bad in [
            "=x",
            "a in b",
            "a in (b",
            "a b",
            "a=-x",
            "a=b c",
            "a/=b=c",
            "(",
            "a in (b) c",
        ] {
            let failure = LabelSelector::parse(bad).unwrap_err();
            assert_eq!((failure.code, failure.reason), (400, "BadRequest"), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_conjunction_matches_exactly_when_all_its_parts_do(
            labels in proptest::collection::btree_map("[a-c]", "[x-z]", 0..4),
            parts in proptest::collection::vec(
                prop_oneof![
                    ("[a-c]", "[x-z]").prop_map(|(k, v)| format!("{k}={v}")),
                    ("[a-c]", "[x-z]").prop_map(|(k, v)| format!("{k}!={v}")),
                    ("[a-c]", "[x-z]", "[x-z]").prop_map(|(k, v, w)| format!("{k} in ({v},{w})")),
                    ("[a-c]", "[x-z]").prop_map(|(k, v)| format!("{k} notin ({v})")),
                    "[a-c]", "![a-c]",
                ],
                0..5,
            ),
        ) {
            let labels = json!(labels);
            let all = parts.iter().all(|part| matches(part, &labels));
            prop_assert_eq!(matches(&parts.join(","), &labels), all);
        }

        #[test]
        fn any_text_is_read_or_refused_without_panic(text in ".{0,40}") {
            let _ = LabelSelector::parse(&text);
        }
    }
}
