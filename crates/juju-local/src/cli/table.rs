//! Text in columns the way `juju` aligns it: two spaces between columns, the last cell of a line
//! unpadded, some columns to the right, colours outside of the counted width.

use std::fmt::Write as _;

/// ANSI colour of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// A heading.
    Bold,
    /// As it should be.
    Green,
    /// On its way, or needs a look.
    Yellow,
    /// Broken.
    Red,
    /// An address.
    Blue,
    /// A number or port.
    Magenta,
    /// An explanation.
    Gray,
}

impl Color {
    fn code(self) -> &'static str {
        match self {
            Self::Bold => "1",
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Red => "31",
            Self::Blue => "94",
            Self::Magenta => "95",
            Self::Gray => "90",
        }
    }

    /// The text between escape sequences of this colour.
    #[must_use]
    pub fn paint(self, text: &str) -> String {
        format!("\u{1b}[{}m{text}\u{1b}[0m", self.code())
    }
}

/// The colour in which `juju status` prints a status word.
#[must_use]
pub fn status_color(status: &str) -> Option<Color> {
    match status {
        "active" | "idle" | "available" | "attached" | "joined" | "completed" | "running"
        | "started" => Some(Color::Green),
        "error" | "blocked" | "lost" | "failed" | "terminated" | "broken" | "suspended"
        | "aborted" => Some(Color::Red),
        "maintenance" | "waiting" | "executing" | "allocating" | "pending" | "installing"
        | "joining" | "detached" | "rebooting" | "cancelled" | "destroying" | "suspending" => {
            Some(Color::Yellow)
        }
        _ => None,
    }
}

/// A cell.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    text: String,
    color: Option<Color>,
}

impl Cell {
    /// Coloured text.
    pub fn colored(text: impl Into<String>, color: Color) -> Self {
        Self {
            text: text.into(),
            color: Some(color),
        }
    }

    /// A status word in its colour.
    pub fn status(text: impl Into<String>) -> Self {
        let text = text.into();
        let color = status_color(&text);
        Self { text, color }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self {
            text: text.into(),
            color: None,
        }
    }
}

/// A table with a heading.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<Cell>>,
    right: Vec<usize>,
}

impl Table {
    /// A table with these headings.
    #[must_use]
    pub fn new<'a>(headings: impl IntoIterator<Item = &'a str>) -> Self {
        let row = headings
            .into_iter()
            .map(|text| Cell::colored(text, Color::Bold))
            .collect();
        Self {
            rows: vec![row],
            right: Vec::new(),
        }
    }

    /// Aligns these columns (from 0) to the right.
    #[must_use]
    pub fn right<const N: usize>(mut self, columns: [usize; N]) -> Self {
        self.right.extend(columns);
        self
    }

    /// Adds a line.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The lines, each ended by a newline.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let mut widths: Vec<usize> = Vec::new();
        for row in &self.rows {
            for (column, cell) in row.iter().enumerate().take(row.len().saturating_sub(1)) {
                let width = cell.text.chars().count();
                match widths.get_mut(column) {
                    Some(widest) => *widest = width.max(*widest),
                    None => widths.push(width),
                }
            }
        }
        let mut out = String::new();
        for row in &self.rows {
            for (column, cell) in row.iter().enumerate() {
                let last = column + 1 == row.len();
                let width = widths.get(column).copied().unwrap_or(0);
                let fill = " ".repeat(width.saturating_sub(cell.text.chars().count()));
                let text = match cell.color {
                    Some(paint) if color && !cell.text.is_empty() => paint.paint(&cell.text),
                    _ => cell.text.clone(),
                };
                let to_the_right = self.right.contains(&column);
                // Writing to a String cannot fail.
                let _ = match (to_the_right, last) {
                    (true, true) => write!(out, "{fill}{text}"),
                    (true, false) => write!(out, "{fill}{text}  "),
                    (false, true) => write!(out, "{text}"),
                    (false, false) => write!(out, "{text}{fill}  "),
                };
            }
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_the_last_one_is_not_padded() {
        let mut table = Table::new(["App", "Scale", "Message"]).right([1]);
        table.row(["postgresql".into(), "3".into(), "".into()]);
        table.row(["a".into(), "10".into(), "words".into()]);
        assert_eq!(
            table.render(false),
            "App         Scale  Message\npostgresql      3  \na              10  words\n"
        );
    }

    #[test]
    fn colour_does_not_shift_columns() {
        let mut table = Table::new(["A", "B"]);
        table.row([Cell::status("active"), "x".into()]);
        assert!(table.render(true).contains("\u{1b}[32mactive\u{1b}[0m  x"));
    }
}
