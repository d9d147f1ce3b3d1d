//! What PostgreSQL itself says of an error: the library's text for it is "db error".

use tokio_postgres::Error;

use super::Source;

/// Longest text that is passed on.
const MOST: usize = 300;

/// The server's own message with its detail, in one line; of other errors, the error itself.
pub(super) fn said(error: Error) -> Source {
    let Some(told) = error.as_db_error() else {
        return error.into();
    };
    line(told.message(), told.detail()).into()
}

fn line(message: &str, detail: Option<&str>) -> String {
    let detail = detail.map(|detail| format!(" ({detail})"));
    let text = format!("{message}{}", detail.unwrap_or_default());
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn the_servers_words_are_one_line_and_bounded() {
        assert_eq!(
            line(
                "role \"a\" cannot be dropped",
                Some("owner of x\nowner of y")
            ),
            "role \"a\" cannot be dropped (owner of x owner of y)"
        );
        assert_eq!(line("sorry", None), "sorry");
        assert_eq!(line(&"x".repeat(1000), None).len(), 300);
    }
}
