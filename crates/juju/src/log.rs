//! Logging: `tracing`'s events as lines of `juju-log`, several of them in one process.

use std::fmt::Write;
use std::sync::Mutex;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::tools::HookTools;

/// Longest text of one call; an argument may have 128 KiB.
const LONGEST: usize = 100 << 10;

/// Collects events until [`JujuLog::flush`] sends them.
#[derive(Debug, Default)]
pub struct JujuLog {
    lines: Mutex<Vec<(Level, String)>>,
}

impl JujuLog {
    /// Sends what was collected: neighbours of one level go in one call, a line each. Should the
    /// tool fail, the text goes to standard error, which Juju logs too.
    pub fn flush(&self, tools: &dyn HookTools) {
        let lines = match self.lines.lock() {
            Ok(mut lines) => std::mem::take(&mut *lines),
            Err(_) => return,
        };
        let mut batches: Vec<(Level, String)> = Vec::new();
        for (level, line) in lines {
            match batches.last_mut() {
                Some((last, text)) if *last == level && text.len() + line.len() < LONGEST => {
                    text.push('\n');
                    text.push_str(&line);
                }
                _ => batches.push((level, line)),
            }
        }
        for (level, mut text) in batches {
            while text.len() > LONGEST {
                text.pop();
            }
            let level = match level {
                Level::WARN => "WARNING".to_owned(),
                other => other.to_string(),
            };
            let sent = tools.run("juju-log", &["--log-level", &level, "--", &text], None);
            if !sent.is_ok_and(|output| output.code == 0) {
                eprintln!("{level} {text}");
            }
        }
    }
}

impl<S: Subscriber> Layer<S> for &'static JujuLog {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        if let Ok(mut lines) = self.lines.lock() {
            lines.push((*event.metadata().level(), in_one_line(&text.0)));
        }
    }
}

/// A line as it is, and what would end it escaped: names that others have chosen may be part of it.
fn in_one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

struct Text(String);

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.0.insert_str(0, value);
        } else {
            let _ = write!(self.0, " {}={value}", field.name());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0.insert_str(0, &format!("{value:?}"));
        } else {
            let _ = write!(self.0, " {}={value:?}", field.name());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::in_one_line;

    #[test]
    fn a_name_with_a_line_of_its_own_makes_none_in_the_log() {
        let line = in_one_line("in database shop\nERROR\u{1b}[1m: é");
        assert_eq!(line, "in database shop\\nERROR\\u{1b}[1m: é");
    }
}
