//! Multipart bodies read as they come, so that a large file never lies in memory as a whole.

use axum::body::{Body, BodyDataStream, Bytes};
use futures_util::StreamExt;

/// Longest head of a part.
const HEAD: usize = 64 << 10;

/// What a part says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub name: String,
    pub filename: String,
}

/// A reader of a multipart body. Its errors are texts for an answer.
pub(crate) struct Multipart {
    body: BodyDataStream,
    /// What has come and is not yet given out.
    buffer: Vec<u8>,
    /// Line break, dashes and boundary.
    delimiter: Vec<u8>,
    inside: bool,
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    while let Some(at) = haystack.get(from..)?.iter().position(|byte| *byte == first) {
        let at = from + at;
        if haystack.get(at..)?.starts_with(needle) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

impl Multipart {
    /// Begins to read.
    pub fn new(body: Body, boundary: &str) -> Self {
        Self {
            body: body.into_data_stream(),
            // The first delimiter has no line before it.
            buffer: b"\r\n".to_vec(),
            delimiter: format!("\r\n--{boundary}").into_bytes(),
            inside: false,
        }
    }

    /// Waits for more: false at the body's end.
    async fn more(&mut self) -> Result<bool, String> {
        match self.body.next().await {
            None => Ok(false),
            Some(Ok(bytes)) => {
                self.buffer.extend_from_slice(&bytes);
                Ok(true)
            }
            Some(Err(error)) => Err(error.to_string()),
        }
    }

    /// Waits until so much is there.
    async fn at_least(&mut self, count: usize) -> Result<(), String> {
        while self.buffer.len() < count {
            if !self.more().await? {
                return Err("unexpected EOF".to_owned());
            }
        }
        Ok(())
    }

    /// Goes to the next part, over what is left of this one; none after the last.
    pub async fn next(&mut self) -> Result<Option<Head>, String> {
        if self.inside {
            while self.chunk().await?.is_some() {}
        } else {
            while find(&self.buffer, &self.delimiter).is_none() {
                if self.buffer.len() > HEAD || !self.more().await? {
                    return Err("multipart: NextPart: EOF".to_owned());
                }
            }
            let at = find(&self.buffer, &self.delimiter).unwrap_or_default();
            self.buffer.drain(..at);
        }
        let skipped = self.delimiter.len();
        self.at_least(skipped + 2).await?;
        self.buffer.drain(..skipped);
        if self.buffer.starts_with(b"--") {
            return Ok(None);
        }
        let end = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end;
            }
            if self.buffer.len() > HEAD || !self.more().await? {
                return Err("multipart: malformed part header".to_owned());
            }
        };
        let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
        self.inside = true;
        Ok(Some(parse_head(&String::from_utf8_lossy(&head))))
    }

    /// The next bytes of this part; none at its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, String> {
        if !self.inside {
            return Ok(None);
        }
        loop {
            if let Some(at) = find(&self.buffer, &self.delimiter) {
                if at == 0 {
                    self.inside = false;
                    return Ok(None);
                }
                return Ok(Some(self.buffer.drain(..at).collect()));
            }
            // A delimiter may have come in part.
            let safe = self.buffer.len().saturating_sub(self.delimiter.len());
            if safe > 0 {
                return Ok(Some(self.buffer.drain(..safe).collect()));
            }
            if !self.more().await? {
                return Err("unexpected EOF".to_owned());
            }
        }
    }

    /// Reads what is left of the body and forgets it.
    pub async fn skip_rest(&mut self) {
        self.buffer.clear();
        while let Ok(true) = self.more().await {
            self.buffer.clear();
        }
    }

    /// The whole of this part, if it is not too long.
    pub async fn text(&mut self) -> Result<Vec<u8>, String> {
        let mut whole = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            whole.extend_from_slice(&chunk);
            if whole.len() > 16 << 20 {
                return Err("part too long".to_owned());
            }
        }
        Ok(whole)
    }
}

fn parse_head(text: &str) -> Head {
    let mut head = Head::default();
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else {
            continue;
        };
        if key.eq_ignore_ascii_case("content-disposition") {
            head.name = parameter(value, "name").unwrap_or_default();
            head.filename = parameter(value, "filename").unwrap_or_default();
        }
    }
    head
}

/// A parameter of a header's value, in quotes or without.
pub(crate) fn parameter(value: &str, wanted: &str) -> Option<String> {
    let mut rest = value.split_once(';')?.1;
    loop {
        let (key, tail) = rest.split_once('=')?;
        let (text, tail) = match tail.trim_start().strip_prefix('"') {
            None => {
                let (text, tail) = tail.split_once(';').unwrap_or((tail, ""));
                (text.trim().to_owned(), tail)
            }
            Some(quoted) => {
                let mut text = String::new();
                let mut chars = quoted.char_indices();
                let end = loop {
                    match chars.next()? {
                        (_, '\\') => text.push(chars.next()?.1),
                        (at, '"') => break at + 1,
                        (_, c) => text.push(c),
                    }
                };
                let tail = quoted.get(end..)?;
                (text, tail.trim_start().strip_prefix(';').unwrap_or(tail))
            }
        };
        if key.trim().eq_ignore_ascii_case(wanted) {
            return Some(text);
        }
        rest = tail;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use proptest::prelude::*;

    use super::*;

    type Parts = Vec<(Head, Vec<u8>)>;

    fn read(boundary: &str, body: &[u8], step: usize) -> Result<Parts, String> {
        let chunks: Vec<Result<Bytes, std::io::Error>> = body
            .chunks(step)
            .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
            .collect();
        let mut reader = Multipart::new(Body::from_stream(stream::iter(chunks)), boundary);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut parts = Vec::new();
            while let Some(head) = reader.next().await? {
                let mut content = Vec::new();
                while let Some(chunk) = reader.chunk().await? {
                    content.extend_from_slice(&chunk);
                }
                parts.push((head, content));
            }
            Ok(parts)
        })
    }

    #[test]
    fn parameters_are_read_with_and_without_quotes() {
        let value = r#"form-data; name="files"; filename="/a\"b;c\\d""#;
        assert_eq!(parameter(value, "filename").unwrap(), "/a\"b;c\\d");
        assert_eq!(parameter(value, "name").unwrap(), "files");
        assert_eq!(
            parameter("multipart/form-data; boundary=x y", "boundary").unwrap(),
            "x y"
        );
        assert_eq!(parameter("multipart/form-data", "boundary"), None);
    }

    proptest! {
        #[test]
        fn any_content_survives_in_any_pieces(
            contents in proptest::collection::vec(any::<Vec<u8>>(), 1..4),
            step in 1_usize..70,
        ) {
            let boundary = "0123456789abcdef0123456789abcdef";
            let mut body = Vec::new();
            for content in &contents {
                body.extend_from_slice(format!("--{boundary}\r\nContent-Disposition: form-data; \
                    name=\"files\"; filename=\"/x\"\r\n\r\n").as_bytes());
                body.extend_from_slice(content);
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
            let parts = read(boundary, &body, step).unwrap();
            let read: Vec<Vec<u8>> = parts.into_iter().map(|(_, content)| content).collect();
            prop_assert_eq!(read, contents);
        }

        #[test]
        fn junk_is_refused_without_a_panic(body in any::<Vec<u8>>(), step in 1_usize..9) {
            let _ = read("x", &body, step);
        }
    }
}
