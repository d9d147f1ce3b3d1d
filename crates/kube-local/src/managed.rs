//! `managedFields`: which manager set which fields of an object, by updates and by server-side
//! apply.

use serde_json::{Value, json};

use crate::defaults::now;
use crate::failure::{Failure, Served};
use crate::json as field;
use crate::patch::fieldset::{self, Comparison, FieldSet};
use crate::resource::Resource;

/// Who writes, and how.
#[derive(Debug, Clone)]
pub(crate) struct Writer<'a> {
    pub(crate) resource: &'static Resource,
    pub(crate) manager: &'a str,
    pub(crate) subresource: &'a str,
}

/// One manager's fields.
#[derive(Debug, Clone)]
struct Entry {
    meta: Value,
    fields: FieldSet,
}

impl Entry {
    fn read(object: &Value) -> Vec<Self> {
        field::list(object, &["metadata", "managedFields"])
            .iter()
            .map(|meta| Self {
                meta: meta.clone(),
                fields: FieldSet::parse(&field::part(meta, &["fieldsV1"])),
            })
            .collect()
    }

    fn new(writer: &Writer<'_>, operation: &str) -> Self {
        let mut meta = json!({
            "manager": writer.manager, "operation": operation,
            "apiVersion": writer.resource.api_version(), "fieldsType": "FieldsV1",
        });
        if !writer.subresource.is_empty() {
            field::set(&mut meta, &["subresource"], writer.subresource);
        }
        Self {
            meta,
            fields: FieldSet::default(),
        }
    }

    fn text(&self, key: &str) -> &str {
        field::text(&self.meta, &[key])
    }

    fn same(&self, other: &Self) -> bool {
        ["manager", "operation", "apiVersion", "subresource"]
            .iter()
            .all(|key| self.text(key) == other.text(key))
    }

    /// Loses what somebody else set or removed.
    fn lose(&mut self, gone: &FieldSet) {
        self.fields = self.fields.difference(gone);
    }
}

/// Applies come first, then the oldest, then by name.
fn write(object: &mut Value, mut entries: Vec<Entry>) {
    entries.retain(|entry| !entry.fields.is_empty());
    if entries.is_empty() {
        field::take(object, &["metadata", "managedFields"]);
        return;
    }
    entries.sort_by(|a, b| {
        let order = |entry: &Entry| {
            ["operation", "time", "manager", "subresource"].map(|key| entry.text(key).to_owned())
        };
        order(a).cmp(&order(b))
    });
    let written = entries.into_iter().map(|entry| {
        let mut meta = entry.meta;
        field::set(&mut meta, &["fieldsV1"], entry.fields.to_value());
        meta
    });
    let written: Vec<Value> = written.collect();
    field::set(object, &["metadata", "managedFields"], written);
}

/// The fields that nobody manages: what the server itself sets, and the status of an object that is
/// not written as its status.
fn unmanaged(mut set: FieldSet, writer: &Writer<'_>) -> FieldSet {
    for key in [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "managedFields",
    ] {
        set = set.without(&["f:metadata", &format!("f:{key}")]);
    }
    set = set.without(&["f:apiVersion"]).without(&["f:kind"]);
    if writer.subresource.is_empty() && writer.resource.has_status() {
        set = set.without(&["f:status"]);
    }
    set
}

fn compare(live: Option<&Value>, object: &Value, writer: &Writer<'_>) -> Comparison {
    let new = skeleton(writer.resource);
    let mut found = fieldset::compare(live.unwrap_or(&new), object, writer.resource.kind);
    found.changed = unmanaged(found.changed, writer);
    found.removed = unmanaged(found.removed, writer);
    found
}

/// What an object has before anything is set: the parts that its type always has.
fn skeleton(resource: &Resource) -> Value {
    let mut empty = json!({"metadata": {}, "spec": {}, "status": {}});
    if resource.plural == "pods" {
        field::set(&mut empty, &["spec", "containers"], json!([]));
    }
    if resource.plural == "events" {
        for key in ["reportingComponent", "reportingInstance"] {
            field::set(&mut empty, &[key], "");
        }
        field::set(&mut empty, &["source"], json!({}));
    }
    if resource.plural == "persistentvolumeclaims" {
        field::set(&mut empty, &["spec", "resources"], json!({}));
    }
    if ["statefulsets", "deployments"].contains(&resource.plural) {
        let template = json!({"metadata": {}, "spec": {"containers": []}});
        field::set(&mut empty, &["spec", "template"], template);
        field::set(&mut empty, &["spec", "updateStrategy"], json!({}));
        field::set(&mut empty, &["spec", "strategy"], json!({}));
    }
    empty
}

/// After an update: what changed is the writer's now.
pub(crate) fn update(live: Option<&Value>, object: &mut Value, writer: &Writer<'_>) {
    let given = field::list(object, &["metadata", "managedFields"]);
    let cleared = given.len() == 1 && given.iter().all(field::is_empty);
    let mut entries = live.map(Entry::read).unwrap_or_default();
    if cleared {
        entries.clear();
    }
    let found = compare(live, object, writer);
    let mut own = Entry::new(writer, "Update");
    if let Some(at) = entries.iter().position(|entry| entry.same(&own)) {
        own = entries.remove(at);
    }
    for entry in &mut entries {
        entry.lose(&found.changed);
        entry.lose(&found.removed);
    }
    if !found.changed.is_empty() || !found.removed.is_empty() {
        field::set(&mut own.meta, &["time"], now());
    }
    own.fields = own.fields.union(&found.changed).difference(&found.removed);
    if !cleared {
        entries.push(own);
    }
    write(object, entries);
}

/// Server-side apply to an object, or to none yet.
pub(crate) fn apply(
    live: Option<&Value>,
    applied: &Value,
    force: bool,
    writer: &Writer<'_>,
) -> Served<Value> {
    let kind = writer.resource.kind;
    let fields = unmanaged(FieldSet::of_applied(applied, kind), writer);
    let mut own = Entry::new(writer, "Apply");
    let Some(live) = live else {
        let mut object = applied.clone();
        field::set(&mut own.meta, &["time"], now());
        own.fields = fields;
        write(&mut object, vec![own]);
        return Ok(object);
    };
    let mut entries = Entry::read(live);
    if let Some(at) = entries.iter().position(|entry| entry.same(&own)) {
        own = entries.remove(at);
    }
    let mut object = fieldset::apply(live, applied, kind);
    let changed = compare(Some(live), &object, writer).changed;
    if !force {
        check_conflicts(&entries, &changed.intersection(&fields))?;
    }
    let others = entries
        .iter()
        .fold(FieldSet::default(), |all, entry| all.union(&entry.fields));
    let dropped = own.fields.difference(&fields).difference(&others);
    dropped.remove_from(&mut object, kind);
    let removed = compare(Some(live), &object, writer).removed;
    for entry in &mut entries {
        entry.lose(&changed);
        entry.lose(&removed);
    }
    own.fields = fields;
    // What was there already is owned from no time.
    if !changed.is_empty() || !removed.is_empty() {
        field::set(&mut own.meta, &["time"], now());
    }
    entries.push(own);
    write(&mut object, entries);
    Ok(object)
}

/// Refuses to change what other managers set.
fn check_conflicts(others: &[Entry], wanted: &FieldSet) -> Served<()> {
    let mut causes = Vec::new();
    let mut texts = Vec::new();
    let mut count = 0;
    for entry in others {
        let fields = entry.fields.intersection(wanted).texts();
        if fields.is_empty() {
            continue;
        }
        let mut who = format!("\"{}\"", entry.text("manager"));
        if !entry.text("subresource").is_empty() {
            who = format!("{who} with subresource \"{}\"", entry.text("subresource"));
        }
        if entry.text("operation") == "Update" {
            who = format!("{who} using {}", entry.text("apiVersion"));
        }
        count += fields.len();
        for one in &fields {
            causes.push(json!({
                "reason": "FieldManagerConflict",
                "message": format!("conflict with {who}"), "field": one,
            }));
        }
        texts.push(match fields.as_slice() {
            [one] => format!("conflict with {who}: {one}"),
            many => format!("conflicts with {who}:\n- {}", many.join("\n- ")),
        });
    }
    if texts.is_empty() {
        return Ok(());
    }
    let many = if count == 1 { "conflict" } else { "conflicts" };
    let text = format!("Apply failed with {count} {many}: {}", texts.join("\n"));
    let mut failure = Failure::new(409, "Conflict", text);
    failure.details = Some(json!({ "causes": causes }));
    Err(failure)
}
