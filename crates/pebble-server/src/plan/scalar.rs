//! How a text stands in YAML so that it reads back as that text, in the style of Go's `yaml.v3`.

use std::fmt::Write;

/// A text as a YAML scalar; `indent` is the column of the key that it belongs to.
pub(super) fn scalar(text: &str, indent: usize) -> String {
    let printable = text
        .chars()
        .all(|c| c == '\n' || (!c.is_control() && is_plain_unicode(c)));
    if text.contains('\n') {
        let trailing_blank = text.split('\n').any(|line| line.ends_with([' ', '\t']));
        if printable && !trailing_blank && text.trim() != "" {
            return literal(text, indent);
        }
        return double(text);
    }
    if is_not_text(text) {
        return double(text);
    }
    if !printable {
        return double(text);
    }
    if plain_allowed(text) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

fn is_plain_unicode(c: char) -> bool {
    !matches!(
        c,
        '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
    )
}

fn literal(text: &str, indent: usize) -> String {
    let body = text.trim_end_matches('\n');
    let mut out = String::from("|");
    if text.starts_with([' ', '\n']) {
        out.push('4');
    }
    match text.len() - body.len() {
        0 => out.push('-'),
        1 => {}
        _ => out.push('+'),
    }
    let lines = text.strip_suffix('\n').unwrap_or(text);
    for line in lines.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            let _ = write!(out, "{:width$}{line}", "", width = indent + 4);
        }
    }
    out
}

fn double(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\0' => out.push_str("\\0"),
            c if c.is_control() || !is_plain_unicode(c) => {
                let code = u32::from(c);
                let _ = if code < 0x100 {
                    write!(out, "\\x{code:02X}")
                } else {
                    write!(out, "\\u{code:04X}")
                };
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Texts that would read as something else: empty, null, numbers, booleans of YAML 1.1 and 1.2,
/// dates.
fn is_not_text(text: &str) -> bool {
    const WORDS: [&str; 13] = [
        "", "~", "null", "true", "false", "y", "yes", "on", "n", "no", "off", "<<", "=",
    ];
    let lower = text.to_ascii_lowercase();
    if WORDS.contains(&lower.as_str()) {
        return true;
    }
    let unsigned = lower.trim_start_matches(['+', '-']);
    if matches!(unsigned, ".nan" | ".inf") {
        return true;
    }
    let bare = unsigned.replace('_', "");
    let digits = bare.strip_prefix('.').unwrap_or(&bare);
    let begins = digits.starts_with(|c: char| c.is_ascii_digit());
    if !begins {
        return false;
    }
    // Whatever starts as a number and has only a number's or a date's characters is quoted, which
    // is sometimes more than needed and never wrong.
    bare.parse::<f64>().is_ok()
        || ["0x", "0o", "0b"]
            .iter()
            .any(|prefix| bare.starts_with(prefix))
        || bare
            .chars()
            .all(|c| c.is_ascii_digit() || ":.-t z+".contains(c))
}

fn plain_allowed(text: &str) -> bool {
    let mut chars = text.chars();
    let (first, second) = (chars.next().unwrap_or(' '), chars.next());
    let blank = |c: Option<char>| c.is_none_or(|c| c == ' ' || c == '\t');
    if "#,[]{}&*!|>'\"%@`".contains(first) || text.starts_with("---") || text.starts_with("...") {
        return false;
    }
    if "?:-".contains(first) && blank(second) {
        return false;
    }
    !(text.starts_with([' ', '\t'])
        || text.ends_with([' ', '\t', ':'])
        || text.contains(": ")
        || text.contains(":\t")
        || text.contains(" #")
        || text.contains("\t#"))
}
