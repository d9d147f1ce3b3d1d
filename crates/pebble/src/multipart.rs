//! The multipart bodies in which files travel.

/// A boundary that Pebble accepts (32 characters or more) and that none of the parts contains.
#[must_use]
pub fn boundary(parts: &[&[u8]]) -> String {
    let mut number = 0_u64;
    loop {
        let candidate = format!("pebble-client-{number:024x}-boundary");
        let bytes = candidate.as_bytes();
        if !parts.iter().any(|part| find(part, bytes).is_some()) {
            return candidate;
        }
        number += 1;
    }
}

/// The body of a write: the metadata, then the file.
#[must_use]
pub fn body(boundary: &str, metadata: &str, path: &str, content: &[u8]) -> Vec<u8> {
    write(boundary, metadata, &[(path, content)])
}

/// The body of a write: the metadata, then the files by their paths.
pub(crate) fn write(boundary: &str, metadata: &str, files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = format!(
        "--{boundary}\r\nContent-Type: application/json\r\n\
         Content-Disposition: form-data; name=\"request\"\r\n\r\n{metadata}\r\n"
    )
    .into_bytes();
    for (path, content) in files {
        let name = path.replace('\\', "\\\\").replace('"', "\\\"");
        let head = format!(
            "--{boundary}\r\nContent-Type: application/octet-stream\r\n\
             Content-Disposition: form-data; name=\"files\"; filename=\"{name}\"\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    body
}

/// A part of a multipart body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'a> {
    /// Its form name.
    pub name: String,
    /// Its file name; empty where it has none.
    pub filename: String,
    /// Its content.
    pub content: &'a [u8],
}

/// The parts of a read: form name and content of each.
#[must_use]
pub fn parse<'a>(content_type: &str, body: &'a [u8]) -> Option<Vec<(String, &'a [u8])>> {
    let parts = parts(content_type, body)?.into_iter();
    Some(parts.map(|part| (part.name, part.content)).collect())
}

/// The parts of a multipart body; none where it is broken.
#[must_use]
pub fn parts<'a>(content_type: &str, body: &'a [u8]) -> Option<Vec<Part<'a>>> {
    let boundary = parameter(content_type, "boundary").filter(|text| !text.is_empty())?;
    let delimiter = format!("--{boundary}").into_bytes();
    let closing = format!("\r\n--{boundary}").into_bytes();
    let mut parts = Vec::new();
    let mut rest = body.get(find(body, &delimiter)? + delimiter.len()..)?;
    while !rest.starts_with(b"--") {
        rest = rest.strip_prefix(b"\r\n")?;
        let head_end = find(rest, b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(rest.get(..head_end)?).into_owned();
        let disposition = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-disposition")
                .then_some(value)
        })?;
        let content = rest.get(head_end + 4..)?;
        let end = find(content, &closing)?;
        parts.push(Part {
            name: parameter(disposition, "name")?,
            filename: parameter(disposition, "filename").unwrap_or_default(),
            content: content.get(..end)?,
        });
        rest = content.get(end + closing.len()..)?;
    }
    Some(parts)
}

/// A parameter of a header's value: `word; key=value; key="quoted \" value"`.
fn parameter(header: &str, wanted: &str) -> Option<String> {
    let mut rest = header.split_once(';')?.1;
    loop {
        let (key, after) = rest.split_once('=')?;
        let (value, next) = if let Some(quoted) = after.strip_prefix('"') {
            unquote(quoted)?
        } else {
            let (value, next) = after.split_once(';').unwrap_or((after, ""));
            (value.trim().to_owned(), next)
        };
        if key.trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = next.trim_start().trim_start_matches(';');
    }
}

/// What stands before the closing quote, and what follows it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(characters.next()?.1),
            _ => value.push(character),
        }
    }
    None
}

/// Where a needle begins; found by its first byte, since bodies are large and needles rare.
fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let (first, _) = needle.split_first()?;
    let mut start = 0;
    loop {
        let at = haystack
            .get(start..)?
            .iter()
            .position(|byte| byte == first)?
            + start;
        if haystack.get(at..)?.starts_with(needle) {
            return Some(at);
        }
        start = at + 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_content_survives(content in any::<Vec<u8>>(), path in "/[ -~é]{1,20}") {
            let boundary = boundary(&[&content]);
            let body = body(&boundary, "{}", &path, &content);
            let parts = parts(&format!("multipart/form-data; boundary={boundary}"), &body).unwrap();
            prop_assert_eq!(parts[0].content, b"{}");
            prop_assert_eq!(parts[1].content, content.as_slice());
            prop_assert_eq!(&parts[1].filename, &path);
        }

        #[test]
        fn junk_is_refused_without_a_panic(body in any::<Vec<u8>>(), kind in ".{0,40}") {
            let _ = parts("multipart/form-data; boundary=x", &body);
            let _ = parts(&kind, &body);
        }

        #[test]
        fn cut_bodies_are_refused(cut in 1_usize..150) {
            let body = body("0123456789abcdef0123456789abcdef", "{}", "/a", b"content");
            let kind = "multipart/form-data; boundary=0123456789abcdef0123456789abcdef";
            let short = &body[..body.len() - cut.min(body.len()).max(5)];
            prop_assert_eq!(parts(kind, short), None);
        }
    }

    #[test]
    fn a_boundary_avoids_what_the_parts_contain() {
        let taken = boundary(&[]);
        let other = boundary(&[taken.as_bytes()]);
        assert_ne!(taken, other);
        assert!(other.len() >= 32);
    }
}
