//! Command lines: split into words as a POSIX shell splits them, with an optional group of default
//! arguments at the end.

/// Splits a text into words: quotes and backslashes count, `#` starts a comment at a word's start.
pub(crate) fn split(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '#' if word.is_none() => {
                for skipped in chars.by_ref() {
                    if skipped == '\n' {
                        break;
                    }
                }
            }
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('\'') => break,
                        Some(inner) => word.push(inner),
                        None => return Err("EOF found when expecting closing quote".to_owned()),
                    }
                }
            }
            '"' => quoted(&mut chars, word.get_or_insert_default())?,
            '\\' => match chars.next() {
                Some(escaped) => word.get_or_insert_default().push(escaped),
                None => return Err("EOF found after escape character".to_owned()),
            },
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

fn quoted(chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), String> {
    loop {
        match chars.next() {
            Some('"') => return Ok(()),
            Some('\\') => match chars.next() {
                Some(escaped) => word.push(escaped),
                None => return Err("EOF found after escape character".to_owned()),
            },
            Some(inner) => word.push(inner),
            None => return Err("EOF found when expecting closing quote".to_owned()),
        }
    }
}

/// A command's own words, and the default arguments that `pebble run --args` replaces.
pub(crate) fn parse(service: &str, text: &str) -> Result<(Vec<String>, Vec<String>), String> {
    let failed = |why: &str| format!("cannot parse service \"{service}\" command: {why}");
    let words = split(text).map_err(|why| failed(&why))?;
    let (mut own, mut defaults) = (Vec::new(), Vec::new());
    let (mut inside, mut closed) = (false, false);
    for word in words {
        match word.as_str() {
            "[" if inside => return Err(failed("cannot nest [ ... ] groups")),
            "[" if own.is_empty() => return Err(failed("cannot start command with [ ... ] group")),
            _ if closed => return Err(failed("cannot have any arguments after [ ... ] group")),
            "[" => inside = true,
            "]" if !inside => return Err(failed("cannot have ] outside of [ ... ] group")),
            "]" => (inside, closed) = (false, true),
            _ if inside => defaults.push(word),
            _ => own.push(word),
        }
    }
    if inside {
        return Err(failed("cannot have [ without closing ] in group"));
    }
    Ok((own, defaults))
}

/// All words to run.
pub(crate) fn argv(service: &str, text: &str) -> Result<Vec<String>, String> {
    let (mut own, defaults) = parse(service, text)?;
    own.extend(defaults);
    Ok(own)
}

/// The command line with other default arguments.
pub(crate) fn with_defaults(own: &[String], defaults: &[String]) -> String {
    let quote = |word: &String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r#"'"'"'"#))
        }
    };
    let own: Vec<String> = own.iter().map(quote).collect();
    let defaults: Vec<String> = defaults.iter().map(quote).collect();
    format!("{} [ {} ]", own.join(" "), defaults.join(" "))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn command_lines_are_split_as_a_shell_splits_them() {
        let words = |text: &str| split(text).unwrap();
        assert_eq!(
            words(r#"a "b c" 'd "e"' f\ g"#),
            ["a", "b c", "d \"e\"", "f g"]
        );
        assert_eq!(words("sh -c '' # rest"), ["sh", "-c", ""]);
        assert_eq!(words("a#b 'x'y"), ["a#b", "xy"]);
        assert!(split("a 'b").is_err());
    }

    #[test]
    fn default_arguments_are_a_group_at_the_end() {
        let (own, defaults) = parse("x", "run --x [ --default 1 ]").unwrap();
        assert_eq!((own.len(), defaults.len()), (2, 2));
        let why = |text: &str| parse("x", text).unwrap_err();
        let begin = "cannot parse service \"x\" command: cannot ";
        assert_eq!(why("a [ b [ c ] ]"), format!("{begin}nest [ ... ] groups"));
        assert_eq!(
            why("a [ b ] c"),
            format!("{begin}have any arguments after [ ... ] group")
        );
        assert_eq!(
            why("[ b ]"),
            format!("{begin}start command with [ ... ] group")
        );
        assert_eq!(
            why("a ] b"),
            format!("{begin}have ] outside of [ ... ] group")
        );
    }

    proptest! {
        #[test]
        fn replaced_defaults_come_back_word_for_word(
            defaults in proptest::collection::vec("[ -~]{0,8}", 0..4),
        ) {
            prop_assume!(defaults.iter().all(|word| word != "[" && word != "]"));
            let line = with_defaults(&["cmd".to_owned(), "a b".to_owned()], &defaults);
            let (own, back) = parse("x", &line).unwrap();
            prop_assert_eq!(own, ["cmd", "a b"]);
            prop_assert_eq!(back, defaults);
        }
    }
}
