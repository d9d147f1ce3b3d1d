//! The multipart bodies in which files travel.

/// A boundary that Pebble accepts (32 characters or more) and that none of the parts contains.
#[must_use]
pub fn boundary(parts: &[&[u8]]) -> String {
    let mut number = 0_u64;
    loop {
        let candidate = format!("pebble-client-{number:024x}-boundary");
        let bytes = candidate.as_bytes();
        let taken = |part: &&[u8]| part.windows(bytes.len()).any(|window| window == bytes);
        if !parts.iter().any(taken) {
            return candidate;
        }
        number += 1;
    }
}

/// The body of a write: the metadata, then the file.
#[must_use]
pub fn body(boundary: &str, metadata: &str, path: &str, content: &[u8]) -> Vec<u8> {
    let name = path.replace('\\', "\\\\").replace('"', "\\\"");
    let mut body = format!(
        "--{boundary}\r\nContent-Type: application/json\r\n\
         Content-Disposition: form-data; name=\"request\"\r\n\r\n{metadata}\r\n\
         --{boundary}\r\nContent-Type: application/octet-stream\r\n\
         Content-Disposition: form-data; name=\"files\"; filename=\"{name}\"\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(content);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    body
}

/// The parts of a read: form name and content of each.
#[must_use]
pub fn parse<'a>(content_type: &str, body: &'a [u8]) -> Option<Vec<(String, &'a [u8])>> {
    let boundary = content_type
        .split("boundary=")
        .nth(1)?
        .split(';')
        .next()?
        .trim_matches('"');
    let delimiter = format!("--{boundary}").into_bytes();
    let mut parts = Vec::new();
    let mut rest = body.get(find(body, &delimiter)? + delimiter.len()..)?;
    while !rest.starts_with(b"--") {
        rest = rest.strip_prefix(b"\r\n")?;
        let head_end = find(rest, b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(rest.get(..head_end)?).into_owned();
        let content = rest.get(head_end + 4..)?;
        let mut closing = b"\r\n".to_vec();
        closing.extend_from_slice(&delimiter);
        let end = find(content, &closing)?;
        let name = head.split("name=\"").nth(1)?.split('"').next()?.to_owned();
        parts.push((name, content.get(..end)?));
        rest = content.get(end + closing.len()..)?;
    }
    Some(parts)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_content_survives(content in any::<Vec<u8>>(), path in "/[ -~]{1,20}") {
            let boundary = boundary(&[&content]);
            let body = body(&boundary, "{}", &path, &content);
            let parts = parse(&format!("multipart/form-data; boundary={boundary}"), &body).unwrap();
            prop_assert_eq!(parts[0].1, b"{}");
            prop_assert_eq!(parts[1].1, content.as_slice());
        }

        #[test]
        fn junk_is_refused_without_a_panic(body in any::<Vec<u8>>()) {
            let _ = parse("multipart/form-data; boundary=x", &body);
        }
    }
}
