//! Commands on offers, and on consumed ones.

use std::collections::BTreeMap;

use juju_local_api::user::{ModelRequest, UserRequest};
use serde_json::{Value, json};

use crate::cli::args::{
    ConsumeArgs, FindOffersArgs, ModelPlainArgs, OfferArgs, OffersArgs, RemoveOfferArgs,
    RemoveSaasArgs,
};
use crate::cli::error::CliError;
use crate::cli::format::{Format, elements, emit_value, members, text_of};
use crate::cli::session::{Model, QUICK, Session, confirm};
use crate::cli::status::{fetch, tabular, word_times};
use crate::cli::table::{Cell, Table};

/// `[controller:][owner/]model.offer` in full, `admin/model.offer`.
///
/// # Errors
/// When it is no such thing, or of another controller.
pub async fn offer_url(session: &Session, text: &str) -> Result<String, CliError> {
    let (controller, rest) = match text.split_once(':') {
        Some((controller, rest)) => (Some(controller), rest),
        None => (None, text),
    };
    session.check_controller(controller).await?;
    if !rest.contains('.') {
        return Err(CliError::message(format!(
            "application offer URL is missing application: {text:?} is not <model>.<offer>"
        )));
    }
    Ok(if rest.contains('/') {
        rest.to_owned()
    } else {
        format!("admin/{rest}")
    })
}

/// Runs `offer`.
///
/// # Errors
/// When the word names no endpoint, or the controller refuses.
pub async fn offer(session: &Session, args: &OfferArgs) -> Result<(), CliError> {
    session.check_controller(args.controller.as_deref()).await?;
    let (app, endpoints) = args
        .what
        .rsplit_once(':')
        .filter(|(app, endpoints)| !app.is_empty() && !endpoints.is_empty())
        .ok_or_else(|| {
            CliError::usage(format!(
                "an offer must at least specify application endpoint, got {:?}",
                args.what
            ))
        })?;
    let (model, app) = match app.rsplit_once('.') {
        Some((model, app)) => (session.model_named(Some(model)).await?, app),
        None => (session.model(&args.model).await?, app),
    };
    let name = args.name.clone().unwrap_or_else(|| app.to_owned());
    let endpoints: Vec<String> = endpoints.split(',').map(str::to_owned).collect();
    let shown = endpoints.join(", ");
    let request = ModelRequest::Offer {
        app: app.to_owned(),
        endpoints,
        name: name.clone(),
    };
    model.tell(request).await?;
    session.info(format_args!(
        "Application \"{app}\" endpoints [{shown}] available at \"admin/{}.{name}\"",
        model.name
    ));
    Ok(())
}

/// Runs `offers`.
///
/// # Errors
/// When no model is meant or the output cannot be written.
pub async fn list(session: &Session, args: &OffersArgs) -> Result<(), CliError> {
    let model = session.model(&args.model).await?;
    let value: Value = model.ask(ModelRequest::Offers).await?;
    let kept: BTreeMap<&String, &Value> = members(&value)
        .filter(|(name, offer)| {
            args.name.as_ref().is_none_or(|wanted| wanted == *name)
                && args
                    .application
                    .as_ref()
                    .is_none_or(|app| text_of(offer, "application") == *app)
                && has_interface(offer, args.interface.as_deref())
        })
        .collect();
    emit_value(&args.output, Format::Text, &kept, || {
        let mut table = Table::new([
            "Offer",
            "User",
            "Relation id",
            "Status",
            "Endpoint",
            "Interface",
            "Role",
            "Ingress subnets",
        ]);
        for (name, offer) in &kept {
            connections(&mut table, name, offer);
        }
        table.render(false)
    })
}

fn has_interface(offer: &Value, wanted: Option<&str>) -> bool {
    let Some(wanted) = wanted else { return true };
    offer
        .get("endpoints")
        .into_iter()
        .flat_map(members)
        .any(|(_, endpoint)| text_of(endpoint, "interface") == wanted)
}

fn connections(table: &mut Table, name: &str, offer: &Value) {
    let mut any = false;
    for one in offer.get("connections").into_iter().flat_map(elements) {
        let endpoint = text_of(one, "endpoint");
        let known = offer.get("endpoints").and_then(|all| all.get(&endpoint));
        let known = known.cloned().unwrap_or_default();
        let status = one
            .pointer("/status/current")
            .and_then(Value::as_str)
            .unwrap_or_default();
        table.row([
            if any { "" } else { name }.into(),
            text_of(one, "username").into(),
            text_of(one, "relation-id").into(),
            Cell::status(status),
            endpoint.into(),
            text_of(&known, "interface").into(),
            text_of(&known, "role").into(),
            "".into(),
        ]);
        any = true;
    }
    if !any {
        let empty = || Cell::from("");
        table.row([
            name.into(),
            "-".into(),
            empty(),
            empty(),
            empty(),
            empty(),
            empty(),
            empty(),
        ]);
    }
}

/// Runs `remove-offer`.
///
/// # Errors
/// When there is no such offer, or it is in use and not forced.
pub async fn remove(session: &Session, args: &RemoveOfferArgs) -> Result<(), CliError> {
    session.check_controller(args.controller.as_deref()).await?;
    if args.force && !args.no_prompt {
        confirm("WARNING! This command will remove offers with their relations.\nContinue")?;
    }
    for name in &args.names {
        let (model, name) = match name.rsplit_once('.') {
            Some((model, offer)) => (session.model_named(Some(model)).await?, offer),
            None => (session.model(&args.model).await?, name.as_str()),
        };
        let request = ModelRequest::RemoveOffer {
            name: name.to_owned(),
            force: args.force,
        };
        model.tell(request).await?;
    }
    Ok(())
}

/// Runs `find-offers`.
///
/// # Errors
/// When the controller cannot be asked or the output not be written.
pub async fn find(session: &Session, args: &FindOffersArgs) -> Result<(), CliError> {
    let store = session.controller().await?.name;
    let models: Value = session.ask(UserRequest::Models, QUICK).await?;
    let mut found: BTreeMap<String, Value> = BTreeMap::new();
    for model in models.get("models").into_iter().flat_map(elements) {
        let model = Model {
            session: session.clone(),
            name: text_of(model, "short-name"),
        };
        let offers: Value = model.ask(ModelRequest::Offers).await?;
        for (name, offer) in members(&offers) {
            let url = format!("admin/{}.{name}", model.name);
            let full = format!("{store}:{url}");
            let asked = args.url.as_ref().is_none_or(|part| {
                url.starts_with(part.as_str()) || full.starts_with(part.as_str())
            }) && args.offer.as_ref().is_none_or(|wanted| wanted == name)
                && has_interface(offer, args.interface.as_deref());
            if asked {
                let endpoints = offer.get("endpoints").cloned().unwrap_or_default();
                found.insert(full, json!({"access": "admin", "endpoints": endpoints}));
            }
        }
    }
    if found.is_empty() {
        return Err(CliError::message("no matching application offers found"));
    }
    emit_value(&args.output, Format::Text, &found, || {
        let mut table = Table::new(["Store", "URL", "Access", "Interfaces"]);
        for (full, offer) in &found {
            let url = full.split_once(':').map_or(full.as_str(), |(_, url)| url);
            let mut interfaces: Vec<String> = offer
                .get("endpoints")
                .into_iter()
                .flat_map(members)
                .map(|(name, one)| format!("{}:{name}", text_of(one, "interface")))
                .collect();
            interfaces.sort();
            table.row([
                store.as_str().into(),
                url.into(),
                "admin".into(),
                interfaces.join(", ").into(),
            ]);
        }
        table.render(false)
    })
}

/// Runs `consume`.
///
/// # Errors
/// When there is no such offer, or its name is taken.
pub async fn consume(session: &Session, args: &ConsumeArgs) -> Result<(), CliError> {
    let model = session.model(&args.model).await?;
    let url = offer_url(session, &args.url).await?;
    let request = ModelRequest::Consume {
        url: url.clone(),
        alias: args.alias.clone(),
    };
    let name: String = model.ask(request).await?;
    session.info(format_args!("Added {url} as {name}"));
    Ok(())
}

/// Runs `remove-saas`.
///
/// # Errors
/// When there is no such consumed offer.
pub async fn remove_saas(session: &Session, args: &RemoveSaasArgs) -> Result<(), CliError> {
    let model = session.model(&args.model).await?;
    model
        .tell(ModelRequest::RemoveSaas(args.names.clone()))
        .await
}

/// Runs `saas`.
///
/// # Errors
/// When no model is meant or the output cannot be written.
pub async fn list_saas(session: &Session, args: &ModelPlainArgs) -> Result<(), CliError> {
    let model = session.model(&args.model).await?;
    let mut status = fetch(&model).await?;
    word_times(&mut status, false);
    emit_value(
        &args.output,
        Format::Text,
        &status.application_endpoints,
        || tabular::saas(&status).render(false),
    )
}
