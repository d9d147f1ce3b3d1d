//! String literals of Rust sources, as far as they can become part of a status.

use std::path::{Path, PathBuf};

/// Brackets after these hold texts for the log alone.
const LOGGED: [&str; 7] = [
    "tracing::error!",
    "tracing::warn!",
    "tracing::info!",
    "plan.step",
    "plan.wait",
    "allow",
    "expect",
];
/// Brackets after one of these and a variant's name hold what a status is made from.
const MADE_OF: [&str; 4] = ["Problem::", "ExtensionProblem::", "Trouble::", "Status::"];

/// Which literals count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// All but those for the log.
    Anywhere,
    /// Those from which a problem or a status is made on the spot.
    InProblems,
}

/// Names that differ are no part of a text: `{unit}`, `{0}` and `<unit>` become `{}`.
pub fn normal(text: &str) -> String {
    let mut out = String::new();
    let mut until = None;
    for c in text.chars() {
        match (until, c) {
            (Some(end), c) if c == end => {
                out.push_str("{}");
                until = None;
            }
            (Some(_), _) => {}
            (None, '{') => until = Some('}'),
            (None, '<') => until = Some('>'),
            (None, c) => out.push(c),
        }
    }
    out
}

/// The Rust files below a folder of the repository.
pub fn files(root: &Path, folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root.join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                found.push(path.to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// The code before the tests of its own that end a file.
pub fn without_tests(source: &str) -> &str {
    let end = source.find("#[cfg(test)]\nmod tests");
    end.map_or(source, |end| &source[..end])
}

/// What stands before an opening bracket says what is in it.
fn opens(before: &str, wanted: Where) -> bool {
    match wanted {
        Where::Anywhere => LOGGED.iter().any(|word| before.ends_with(word)),
        Where::InProblems => {
            let name = |c: char| c.is_alphanumeric() || c == '_';
            let path = before.trim_end().trim_end_matches(name);
            MADE_OF.iter().any(|word| path.ends_with(word))
        }
    }
}

/// The literals of a source that count.
pub fn literals(source: &str, wanted: Where) -> Vec<String> {
    let source = without_tests(source);
    let bytes = source.as_bytes();
    let (mut found, mut marked, mut depth, mut at) = (Vec::new(), Vec::new(), 0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                at += source[at..].find('\n').unwrap_or(source.len() - at);
                continue;
            }
            b'(' | b'[' | b'{' => {
                if opens(&source[..at], wanted) {
                    marked.push(depth);
                }
                depth += 1;
            }
            b')' | b']' | b'}' => {
                depth -= 1;
                if marked.last() == Some(&depth) {
                    marked.pop();
                }
            }
            // A character, not a lifetime.
            b'\'' if bytes.get(at + 1) == Some(&b'\\') => {
                at += 3 + source[at + 3..].find('\'').unwrap();
            }
            b'\'' => {
                let end = source[at + 1..].chars().next().map_or(1, char::len_utf8);
                if bytes.get(at + 1 + end) == Some(&b'\'') {
                    at += 1 + end;
                }
            }
            b'r' if raw(source, at).is_some() => {
                at = raw(source, at).unwrap();
                continue;
            }
            b'"' => {
                let (text, end) = literal(source, at + 1);
                if marked.is_empty() == (wanted == Where::Anywhere) {
                    found.push(text);
                }
                at = end;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Behind a raw literal that begins here.
fn raw(source: &str, at: usize) -> Option<usize> {
    let before = source[..at].chars().next_back()?;
    let rest = source[at..].strip_prefix('r')?;
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    let body = rest[hashes..].strip_prefix('"')?;
    if before.is_alphanumeric() || before == '_' {
        return None;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    Some(at + 2 + hashes + body.find(&end)? + end.len())
}

/// The text of the literal that begins here, and where its closing quote is.
fn literal(source: &str, begin: usize) -> (String, usize) {
    let mut text = String::new();
    let mut chars = source[begin..].char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (text, begin + at),
            '\\' => match chars.next() {
                Some((_, '\n')) => while chars.next_if(|(_, c)| c.is_whitespace()).is_some() {},
                Some((_, 'n')) => text.push('\n'),
                Some((_, c)) => text.push(c),
                None => {}
            },
            c => text.push(c),
        }
    }
    panic!("a literal without an end");
}

#[test]
fn literals_are_found_where_they_count() {
    let source = r#"
        // "no comment"
        fn of<'a>(x: &'a str) -> char { tracing::warn!("to the {}", log("of it")); ['"', '\''] }
        const A: &str = "a text \
                         in two lines";
        plan.problem(Problem::Image("a {what} \"quoted\"".into()));
        #[cfg(test)]
        mod tests { const B: &str = "in a test"; }
    "#
    .replace("        #[cfg(test)]\n        mod", "#[cfg(test)]\nmod");
    let both = ["a text in two lines", "a {what} \"quoted\""];
    assert_eq!(literals(&source, Where::Anywhere), both);
    assert_eq!(literals(&source, Where::InProblems), both[1..]);
    assert_eq!(normal("a {what} of <unit>"), "a {} of {}");
}
