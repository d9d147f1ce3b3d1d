//! `debug-log`: the model's log, from where and as long as asked for.

use std::io::IsTerminal;

use juju_local_api::agent::LogLine;
use juju_local_api::transport::Item;
use juju_local_api::user::{DebugLog, ModelRequest};

use crate::cli::args::{DebugLogArgs, OutputArgs};
use crate::cli::error::CliError;
use crate::cli::format::{print_out, wants_color};
use crate::cli::session::Session;
use crate::cli::table::Color;

/// Lines shown before those that come, unless `--lines` says otherwise.
const BACKLOG: usize = 10;

/// Runs the command.
///
/// # Errors
/// When the controller cannot be asked or goes away.
pub async fn run(session: &Session, args: &DebugLogArgs) -> Result<(), CliError> {
    let model = session.model(&args.model).await?;
    check_level(args.level.as_deref())?;
    let request = request(args, std::io::stdout().is_terminal());
    let style = Style {
        color: wants_color(args.color, args.no_color, &OutputArgs::default()),
        date: args.date,
        ms: args.ms,
        utc: args.utc,
    };
    let mut stream = model
        .open(ModelRequest::DebugLog(Box::new(request)))
        .await?;
    let interrupted = crate::cli::interrupted();
    tokio::pin!(interrupted);
    loop {
        let item = tokio::select! {
            () = &mut interrupted => return Ok(()),
            item = session.next(&mut stream) => item?,
        };
        let Item::Part(value) = item else {
            return Ok(());
        };
        let line: LogLine =
            serde_json::from_value(value).map_err(|error| CliError::Format(Box::new(error)))?;
        print_out(&style.line(&line))?;
    }
}

const LEVELS: [&str; 7] = [
    "TRACE", "DEBUG", "INFO", "WARN", "WARNING", "ERROR", "CRITICAL",
];

fn check_level(level: Option<&str>) -> Result<(), CliError> {
    let known = |level: &str| LEVELS.contains(&level.to_ascii_uppercase().as_str());
    match level.filter(|level| !known(level)) {
        None => Ok(()),
        Some(level) => Err(CliError::usage(format!(
            "level value {level:?} is not one of \"TRACE\", \"DEBUG\", \"INFO\", \"WARNING\", \"ERROR\", \"CRITICAL\""
        ))),
    }
}

/// `juju` follows the log by default on a terminal only, and shows the whole log when it does
/// not follow it.
fn request(args: &DebugLogArgs, terminal: bool) -> DebugLog {
    let limit = args.limit.filter(|limit| *limit > 0);
    let follow = if args.tail {
        true
    } else {
        !args.no_tail && limit.is_none() && args.limit.is_none() && terminal
    };
    let lines = limit.or(args.lines);
    let replay = args.replay || (!follow && lines.is_none());
    DebugLog {
        replay,
        follow,
        lines: if replay {
            None
        } else {
            lines.or(Some(BACKLOG))
        },
        limit: None,
        level: args.level.clone().unwrap_or_default().to_ascii_uppercase(),
        include: args.include.clone(),
        exclude: args.exclude.clone(),
        include_module: args.include_module.clone(),
        exclude_module: args.exclude_module.clone(),
    }
}

/// How a line looks.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
struct Style {
    color: bool,
    date: bool,
    ms: bool,
    utc: bool,
}

impl Style {
    fn line(&self, line: &LogLine) -> String {
        let level = match level_color(&line.level) {
            Some(color) if self.color => color.paint(&line.level),
            _ => line.level.clone(),
        };
        let (entity, module) = if self.color {
            (
                Color::Blue.paint(&line.entity),
                Color::Gray.paint(&line.module),
            )
        } else {
            (line.entity.clone(), line.module.clone())
        };
        format!(
            "{entity}: {} {level} {module} {}\n",
            self.time(&line.time),
            line.message
        )
    }

    fn time(&self, time: &str) -> String {
        let Ok(stamp) = time.parse::<jiff::Timestamp>() else {
            return time.to_owned();
        };
        let zone = if self.utc {
            jiff::tz::TimeZone::UTC
        } else {
            jiff::tz::TimeZone::system()
        };
        let format = match (self.date, self.ms) {
            (false, false) => "%H:%M:%S",
            (false, true) => "%H:%M:%S.%3f",
            (true, false) => "%Y-%m-%d %H:%M:%S",
            (true, true) => "%Y-%m-%d %H:%M:%S.%3f",
        };
        stamp.to_zoned(zone).strftime(format).to_string()
    }
}

fn level_color(level: &str) -> Option<Color> {
    match level {
        "TRACE" => Some(Color::Gray),
        "DEBUG" => Some(Color::Green),
        "INFO" => Some(Color::Blue),
        "WARNING" => Some(Color::Yellow),
        "ERROR" | "CRITICAL" => Some(Color::Red),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Cli, Command};

    fn asked(words: &[&str], terminal: bool) -> DebugLog {
        let words = ["juju-local", "debug-log"].iter().chain(words);
        let Command::DebugLog(args) = Cli::parse_from(words).command else {
            panic!("not it")
        };
        request(&args, terminal)
    }

    #[test]
    fn what_is_shown_depends_on_terminal_and_flags() {
        let of = |words: &[&str], terminal| {
            let log = asked(words, terminal);
            (log.replay, log.follow, log.lines)
        };
        assert_eq!(of(&[], true), (false, true, Some(10)));
        assert_eq!(of(&[], false), (true, false, None));
        assert_eq!(of(&["--limit", "0"], false), (true, false, None));
        assert_eq!(of(&["--limit", "7"], true), (false, false, Some(7)));
        assert_eq!(of(&["--replay"], true), (true, true, None));
        assert_eq!(of(&["--tail", "-n", "3"], false), (false, true, Some(3)));
        assert_eq!(of(&["--no-tail", "-n", "3"], true), (false, false, Some(3)));
    }

    #[test]
    fn an_unknown_level_is_a_usage_error() {
        assert!(check_level(Some("Warning")).is_ok() && check_level(None).is_ok());
        let error = check_level(Some("loud")).unwrap_err();
        assert!(error.text().unwrap().starts_with("level value \"loud\""));
    }

    #[test]
    fn a_line_is_entity_time_level_module_message() {
        let line = LogLine {
            time: "2024-11-21T04:19:22.123456Z".into(),
            entity: "unit-pg-0".into(),
            level: "INFO".into(),
            module: "unit.pg/0.juju-log".into(),
            message: "hello".into(),
        };
        let style = Style {
            color: false,
            date: false,
            ms: true,
            utc: true,
        };
        assert_eq!(
            style.line(&line),
            "unit-pg-0: 04:19:22.123 INFO unit.pg/0.juju-log hello\n"
        );
        let style = Style {
            color: true,
            date: true,
            ms: false,
            utc: true,
        };
        assert!(
            style
                .line(&line)
                .contains("2024-11-21 04:19:22 \u{1b}[94mINFO\u{1b}[0m")
        );
    }
}
