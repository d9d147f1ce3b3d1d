//! Patterns of file names, as Go's `path.Match` has them: `*`, `?`, `[a-z]`, `[^a]`, `\`.

/// Whether a name fits; none if the pattern is malformed.
pub(super) fn fits(pattern: &str, name: &str) -> Option<bool> {
    let pattern: Vec<char> = pattern.chars().collect();
    let tokens = tokens(&pattern)?;
    let name: Vec<char> = name.chars().collect();
    Some(matches(&tokens, &name))
}

enum Token {
    Any,
    One,
    Exactly(char),
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

fn tokens(pattern: &[char]) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = pattern.iter().copied().peekable();
    while let Some(c) = rest.next() {
        tokens.push(match c {
            '*' => Token::Any,
            '?' => Token::One,
            '\\' => Token::Exactly(rest.next()?),
            '[' => {
                let negated = rest.next_if_eq(&'^').is_some();
                let mut ranges = Vec::new();
                loop {
                    let low = match rest.next()? {
                        ']' if !ranges.is_empty() => break,
                        ']' | '-' => return None,
                        '\\' => rest.next()?,
                        c => c,
                    };
                    let high = if rest.next_if_eq(&'-').is_some() {
                        match rest.next()? {
                            '\\' => rest.next()?,
                            ']' | '-' => return None,
                            c => c,
                        }
                    } else {
                        low
                    };
                    ranges.push((low, high));
                }
                Token::Class { negated, ranges }
            }
            c => Token::Exactly(c),
        });
    }
    Some(tokens)
}

fn matches(tokens: &[Token], name: &[char]) -> bool {
    match tokens.split_first() {
        None => name.is_empty(),
        Some((Token::Any, rest)) => {
            let ends = 0..=name.len();
            ends.into_iter()
                .any(|at| matches(rest, name.get(at..).unwrap_or_default()))
        }
        Some((token, rest)) => match name.split_first() {
            None => false,
            Some((c, tail)) => one(token, *c) && matches(rest, tail),
        },
    }
}

fn one(token: &Token, c: char) -> bool {
    match token {
        Token::Any | Token::One => true,
        Token::Exactly(exactly) => *exactly == c,
        Token::Class { negated, ranges } => {
            ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn patterns_fit_as_in_go() {
        let cases = [
            ("*.txt", "a.txt", true),
            ("*.txt", "a.text", false),
            ("a?c", "abc", true),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("\\*", "*", true),
            ("", "", true),
            ("*", "", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(fits(pattern, name), Some(expected), "{pattern} {name}");
        }
        for bad in ["[", "[]a]", "a[", "[a-", "\\"] {
            assert_eq!(fits(bad, "a"), None, "{bad}");
        }
    }
}
