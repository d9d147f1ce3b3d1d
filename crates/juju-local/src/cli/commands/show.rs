//! `show-unit` and `show-application`.

use juju_local_api::user::ModelRequest;
use serde_json::{Map, Value};

use crate::cli::args::ShowUnitArgs;
use crate::cli::error::CliError;
use crate::cli::format::{Format, emit_value, text_of};
use crate::cli::session::Session;

/// Runs `show-unit`.
///
/// # Errors
/// When there is no such unit or the output cannot be written.
pub async fn unit(session: &Session, args: &ShowUnitArgs) -> Result<(), CliError> {
    let model = session.model(&args.model).await?;
    let mut all = Map::new();
    for unit in &args.names {
        let value: Value = model
            .ask(ModelRequest::ShowUnit { unit: unit.clone() })
            .await?;
        merge(&mut all, value);
    }
    for unit in all.values_mut() {
        narrow(unit, args);
    }
    emit_value(&args.output, Format::Yaml, &all, String::new)
}

/// Runs `show-application`.
///
/// # Errors
/// When there is no such application or the output cannot be written.
pub async fn application(session: &Session, args: &ShowUnitArgs) -> Result<(), CliError> {
    let model = session.model(&args.model).await?;
    let mut all = Map::new();
    for app in &args.names {
        let value: Value = model
            .ask(ModelRequest::ShowApplication { app: app.clone() })
            .await?;
        merge(&mut all, value);
    }
    emit_value(&args.output, Format::Yaml, &all, String::new)
}

fn merge(all: &mut Map<String, Value>, value: Value) {
    if let Value::Object(entries) = value {
        all.extend(entries);
    }
}

/// Leaves only the relation data asked for.
fn narrow(unit: &mut Value, args: &ShowUnitArgs) {
    let Some(Value::Array(relations)) = unit.get_mut("relation-info") else {
        return;
    };
    relations.retain(|relation| {
        args.endpoint
            .as_ref()
            .is_none_or(|wanted| text_of(relation, "endpoint") == *wanted)
    });
    for relation in relations.iter_mut().filter_map(Value::as_object_mut) {
        if args.app {
            relation.remove("local-unit");
            relation.remove("related-units");
        }
        let related = relation
            .get_mut("related-units")
            .and_then(Value::as_object_mut);
        if let (Some(wanted), Some(units)) = (&args.related_unit, related) {
            units.retain(|name, _| name == wanted);
        }
    }
    if let Some(wanted) = &args.related_unit {
        relations.retain(|relation| {
            relation
                .get("related-units")
                .is_some_and(|units| units.get(wanted).is_some())
        });
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;
    use crate::cli::args::{Cli, Command};

    #[test]
    fn relation_data_is_narrowed_to_what_was_asked_for() {
        let words = [
            "juju-local",
            "show-unit",
            "a/0",
            "--endpoint",
            "db",
            "--related-unit",
            "b/1",
        ];
        let Command::ShowUnit(args) = Cli::parse_from(words).command else {
            panic!()
        };
        let mut unit = json!({"relation-info": [
            {"endpoint": "db", "related-units": {"b/0": {}, "b/1": {}}},
            {"endpoint": "peers"},
        ]});
        narrow(&mut unit, &args);
        assert_eq!(
            unit,
            json!({"relation-info": [{"endpoint": "db", "related-units": {"b/1": {}}}]})
        );
    }
}
