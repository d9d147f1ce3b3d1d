//! Commands on relations within a model, and from a model to an offer.

use juju_local_api::user::ModelRequest;
use serde_json::Value;

use crate::cli::args::{IntegrateArgs, RelationIdsArgs, RemoveRelationArgs};
use crate::cli::error::CliError;
use crate::cli::session::{Model, Session};

use super::offers::offer_url;

/// Runs `integrate`.
///
/// # Errors
/// When the ends cannot be related.
pub async fn integrate(session: &Session, args: &IntegrateArgs) -> Result<(), CliError> {
    let model = session.model(&args.model).await?;
    let a = local_end(session, &model, &args.a).await?;
    let b = local_end(session, &model, &args.b).await?;
    let request = ModelRequest::Integrate {
        a,
        b,
        via: args.via.clone(),
    };
    let _: Value = model.ask(request).await?;
    Ok(())
}

/// An end in this model. The URL of an offer is consumed first; its local name takes its place.
async fn local_end(session: &Session, model: &Model, end: &str) -> Result<String, CliError> {
    if !end.contains(['.', '/']) {
        return Ok(end.to_owned());
    }
    let (url, endpoint) = split_endpoint(end);
    let url = offer_url(session, url).await?;
    let name: String = model
        .ask(ModelRequest::Consume { url, alias: None })
        .await?;
    Ok(match endpoint {
        Some(endpoint) => format!("{name}:{endpoint}"),
        None => name,
    })
}

/// `[controller:]model.offer[:endpoint]` into URL and endpoint: the endpoint's colon comes after
/// the dot.
fn split_endpoint(end: &str) -> (&str, Option<&str>) {
    match end.rsplit_once(':') {
        Some((url, endpoint)) if url.contains('.') => (url, Some(endpoint)),
        _ => (end, None),
    }
}

/// Runs `remove-relation`.
///
/// # Errors
/// When there is no such relation.
pub async fn remove(session: &Session, args: &RemoveRelationArgs) -> Result<(), CliError> {
    if let [only] = args.ends.as_slice()
        && only.parse::<u32>().is_err()
    {
        return Err(CliError::usage(
            "a relation must involve two applications, or be named by its id",
        ));
    }
    let model = session.model(&args.model).await?;
    model
        .tell(ModelRequest::RemoveRelation {
            ends: args.ends.clone(),
            force: args.force,
        })
        .await
}

/// Runs `suspend-relation` and `resume-relation`.
///
/// # Errors
/// When there is no such relation, or it is none to an offer.
pub async fn suspend(
    session: &Session,
    args: &RelationIdsArgs,
    suspend: bool,
) -> Result<(), CliError> {
    let model = session.model(&args.model).await?;
    model
        .tell(ModelRequest::SuspendRelation {
            ids: args.ids.clone(),
            suspend,
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_of_an_offer_comes_after_its_dot() {
        assert_eq!(split_endpoint("m.pg:db"), ("m.pg", Some("db")));
        assert_eq!(split_endpoint("c:admin/m.pg"), ("c:admin/m.pg", None));
        assert_eq!(
            split_endpoint("c:admin/m.pg:db"),
            ("c:admin/m.pg", Some("db"))
        );
    }
}
