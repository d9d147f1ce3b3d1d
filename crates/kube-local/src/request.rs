//! Requests in parts: what a path names, what a query selects, and the shape of answers.

use serde_json::{Value, json};

use crate::failure::{Failure, Served};
use crate::json as field;
use crate::resource::{self, Resource};
use crate::selector::{field::FieldSelector, label::LabelSelector};

/// A request as far as it matters here.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) media: String,
    pub(crate) accept: String,
    /// The client's program.
    pub(crate) agent: String,
    pub(crate) body: Vec<u8>,
}

/// The query of a list or watch.
#[derive(Debug, Default)]
pub(crate) struct Query {
    labels: Option<LabelSelector>,
    fields: Option<FieldSelector>,
    pub(crate) version: Option<u64>,
    pub(crate) timeout: Option<u64>,
    pub(crate) watch: bool,
    pub(crate) force: bool,
    pub(crate) manager: String,
    pub(crate) grace: Option<i64>,
    pub(crate) limit: Option<usize>,
    /// Namespace and name after which to go on.
    pub(crate) after: Option<(String, String)>,
    wrong_version: Option<String>,
}

impl Query {
    pub(crate) fn parse(text: &str, resource: &Resource) -> Served<Self> {
        let mut query = Self::default();
        for (key, value) in url::form_urlencoded::parse(text.as_bytes()) {
            match key.as_ref() {
                "labelSelector" if !value.is_empty() => {
                    query.labels = Some(LabelSelector::parse(&value)?);
                }
                "fieldSelector" if !value.is_empty() => {
                    query.fields = Some(FieldSelector::parse(&value, resource)?);
                }
                "resourceVersion" if !value.is_empty() => {
                    query.version = value.parse().ok();
                    if query.version.is_none() {
                        query.wrong_version = Some(value.into_owned());
                    }
                }
                "timeoutSeconds" => query.timeout = value.parse().ok(),
                "watch" => query.watch = matches!(value.as_ref(), "true" | "True" | "1"),
                "force" => query.force = value == "true",
                "fieldManager" => query.manager = value.into_owned(),
                "limit" => query.limit = value.parse().ok().filter(|limit| *limit > 0),
                "continue" if !value.is_empty() => {
                    let place = value.split_once('/').ok_or_else(|| {
                        Failure::bad_request("invalid continue token: continue key is not valid")
                    })?;
                    query.after = Some((place.0.to_owned(), place.1.to_owned()));
                }
                "gracePeriodSeconds" => query.grace = value.parse().ok(),
                _ => {}
            }
        }
        match &query.wrong_version {
            Some(text) => Err(wrong_version(text, query.watch)),
            None => Ok(query),
        }
    }

    /// Whether it asks for a part of the objects.
    pub(crate) fn selects(&self) -> bool {
        self.labels.is_some() || self.fields.is_some()
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        let labels = field::get(object, &["metadata", "labels"]).and_then(Value::as_object);
        self.labels
            .as_ref()
            .is_none_or(|selector| selector.matches(labels))
            && self
                .fields
                .as_ref()
                .is_none_or(|selector| selector.matches(object))
    }
}

fn wrong_version(text: &str, watch: bool) -> Failure {
    let why = format!("strconv.ParseUint: parsing \"{text}\": invalid syntax");
    let said = format!("resourceVersion: Invalid value: \"{text}\": {why}");
    if watch {
        return Failure::unexplained(said);
    }
    Failure::bad_request(format!("invalid resource version: {said}"))
}

/// Whether the client wants whole objects or their metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Whole,
    Metadata,
    /// Of lists.
    MetadataList,
}

impl Shape {
    pub(crate) fn of(accept: &str) -> Self {
        let first = accept.split(',').next().unwrap_or_default();
        if first.contains("as=PartialObjectMetadataList") {
            Self::MetadataList
        } else if first.contains("as=PartialObjectMetadata") {
            Self::Metadata
        } else {
            Self::Whole
        }
    }

    pub(crate) fn apply(self, object: Value) -> Value {
        match self {
            Self::Whole => object,
            Self::Metadata | Self::MetadataList => json!({
                "kind": "PartialObjectMetadata",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": field::part(&object, &["metadata"]),
            }),
        }
    }
}

/// What a path names.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) resource: &'static Resource,
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
    pub(crate) subresource: String,
}

impl Target {
    /// The namespace; empty for objects of the cluster.
    pub(crate) fn place(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }
}

impl Shape {
    /// Any answer in this shape. Lists have another name for it, which must have been asked for.
    pub(crate) fn apply_any(self, mut value: Value) -> Served<Value> {
        let kind = field::text(&value, &["kind"]).to_owned();
        if self == Self::Whole || kind == "Status" {
            return Ok(value);
        }
        let listing = value.get_mut("items").and_then(Value::as_array_mut);
        let (shape, Some(items)) = (self, listing) else {
            return Ok(self.apply(value));
        };
        if shape == Self::Metadata {
            let text = format!(
                "you requested PartialObjectMetadata, but the requested object is a list (*core.{kind})"
            );
            return Err(Failure::new(406, "NotAcceptable", text));
        }
        for item in items {
            *item = self.apply(item.take());
        }
        field::set(&mut value, &["kind"], "PartialObjectMetadataList");
        field::set(&mut value, &["apiVersion"], "meta.k8s.io/v1");
        Ok(value)
    }
}

/// What a path names, if it is a path of objects.
pub(crate) fn target(path: &str) -> Served<Target> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return Err(Failure::no_such_resource()),
    };
    let (namespace, rest) = match rest {
        ["namespaces", namespace, plural, rest @ ..] if *plural != "status" => {
            (Some((*namespace).to_owned()), [&[*plural], rest].concat())
        }
        _ => (None, rest.to_vec()),
    };
    let text = |at: usize| rest.get(at).map_or_else(String::new, ToString::to_string);
    let resource =
        resource::find(group, version, &text(0)).ok_or_else(Failure::no_such_resource)?;
    let namespace = namespace.filter(|_| resource.namespaced);
    Ok(Target {
        resource,
        namespace,
        name: text(1),
        subresource: text(2),
    })
}
