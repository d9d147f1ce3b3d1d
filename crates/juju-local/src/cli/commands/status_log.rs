//! `show-status-log`: past statuses of a unit or an application.

use juju_local_api::user::{ModelRequest, StatusLog};
use serde_json::Value;

use crate::cli::args::StatusLogArgs;
use crate::cli::error::CliError;
use crate::cli::format::{Format, emit_value, text_of};
use crate::cli::session::Session;
use crate::cli::table::Table;
use crate::cli::times::{Wording, word};

/// Statuses shown unless a flag says how many.
const USUAL: usize = 20;

/// Types that Juju has and a model on this machine has nothing of.
const OTHERS: [&str; 7] = [
    "container",
    "filesystem",
    "juju-container",
    "juju-machine",
    "machine",
    "model",
    "saas",
];

/// Runs the command.
///
/// # Errors
/// When the flags don't fit together, there is no such entity, or it has no past.
pub async fn run(session: &Session, args: &StatusLogArgs) -> Result<(), CliError> {
    let request = request(args)?;
    let model = session.model(&args.model).await?;
    let all: Vec<Value> = model.ask(ModelRequest::StatusLog(request)).await?;
    if all.is_empty() {
        return Err(CliError::message("no status history available"));
    }
    emit_value(&args.output, Format::Text, &all, || {
        let mut table = Table::new(["Time", "Type", "Status", "Message"]);
        for one in &all {
            let time = word(&text_of(one, "since"), Wording::Since, args.utc);
            let cells = ["type", "status", "message"].map(|key| text_of(one, key));
            let [kind, status, message] = cells;
            table.row([time.into(), kind.into(), status.into(), message.into()]);
        }
        table.render(false)
    })
}

fn request(args: &StatusLogArgs) -> Result<StatusLog, CliError> {
    let kind = args.kind.as_str();
    let given = [
        args.n.is_some(),
        args.days.is_some(),
        args.from_date.is_some(),
    ];
    if given.iter().filter(|given| **given).count() > 1 {
        return Err(CliError::message(
            "backlog size, backlog date and backlog days back cannot be specified together",
        ));
    }
    let known = ["unit", "workload", "juju-unit", "application"];
    if OTHERS.contains(&kind) {
        return Err(CliError::message("no status history available"));
    }
    if !known.contains(&kind) {
        return Err(CliError::message(format!(
            "unexpected status type {kind:?}"
        )));
    }
    let is_unit = args.entity.contains('/');
    if is_unit == (kind == "application") {
        let article = if is_unit {
            "an application"
        } else {
            &format!("a {kind}")
        };
        let text = format!("{:?} is not a valid name for {article}", args.entity);
        return Err(CliError::message(text));
    }
    let since = match (args.days, &args.from_date) {
        (Some(days), _) => {
            let span = std::time::Duration::from_hours(u64::from(days) * 24);
            let since = jiff::Timestamp::now().checked_sub(span);
            since.ok().map(|since| since.to_string())
        }
        (None, Some(date)) => {
            let wrong =
                |error: jiff::Error| CliError::message(format!("parsing backlog date: {error}"));
            let date: jiff::civil::Date = date.parse().map_err(wrong)?;
            let midnight = date.to_zoned(jiff::tz::TimeZone::UTC).map_err(wrong)?;
            Some(midnight.timestamp().to_string())
        }
        (None, None) => None,
    };
    let size = args.n.or((since.is_none()).then_some(USUAL));
    Ok(StatusLog {
        entity: args.entity.clone(),
        kind: kind.to_owned(),
        size: size.filter(|size| *size > 0).or(args.n.map(|_| USUAL)),
        since,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Cli, Command};

    fn asked(words: &[&str]) -> Result<StatusLog, String> {
        let line = ["juju-local", "show-status-log"].iter().chain(words);
        let Command::ShowStatusLog(args) = Cli::try_parse_from(line).unwrap().command else {
            panic!("another command")
        };
        request(&args).map_err(|error| error.to_string())
    }

    #[test]
    fn how_far_back_is_twenty_a_number_or_a_date() {
        assert_eq!(asked(&["a/0"]).unwrap().size, Some(20));
        assert_eq!(asked(&["a/0", "-n", "3"]).unwrap().size, Some(3));
        let dated = asked(&["a/0", "--from-date", "2020-01-02"]).unwrap();
        assert_eq!(dated.since.as_deref(), Some("2020-01-02T00:00:00Z"));
        assert_eq!(dated.size, None);
        let both = asked(&["a/0", "-n", "3", "--days", "1"]).unwrap_err();
        assert!(both.contains("cannot be specified together"), "{both}");
    }

    #[test]
    fn names_and_types_must_fit_in_jujus_words() {
        let said = |words: &[&str]| asked(words).unwrap_err();
        assert_eq!(said(&["a"]), "\"a\" is not a valid name for a unit");
        let words = ["a/0", "--type", "application"];
        assert_eq!(
            said(&words),
            "\"a/0\" is not a valid name for an application"
        );
        assert_eq!(
            said(&["a/0", "--type", "x"]),
            "unexpected status type \"x\""
        );
        assert!(asked(&["a", "--type", "application"]).is_ok());
    }
}
