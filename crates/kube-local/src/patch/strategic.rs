//! Strategic merge patches: merging by the schema's keys, with the `$` directives.

use serde_json::{Map, Value};

use super::schema::{Cursor, MergeList};
use crate::{
    failure::{Failure, Served},
    json,
};

/// The object after the patch.
pub(super) fn patch(mut object: Value, patch: Value, kind: &str) -> Served<Value> {
    let Value::Object(patch) = patch else {
        return Err(Failure::bad_request(
            "cannot apply a strategic merge patch that is not an object",
        ));
    };
    merge_map(json::object(&mut object), patch, &Cursor::root(kind))?;
    Ok(object)
}

fn merge_map(
    object: &mut Map<String, Value>,
    mut patch: Map<String, Value>,
    at: &Cursor<'_>,
) -> Served<()> {
    match patch
        .remove("$patch")
        .as_ref()
        .map(|directive| directive.as_str().unwrap_or_default())
    {
        None | Some("merge") => {}
        Some("replace") => {
            *object = stripped_map(patch);
            return Ok(());
        }
        Some("delete") => {
            object.clear();
            return Ok(());
        }
        Some(other) => return Err(unknown_directive(other, patch)),
    }
    if let Some(Value::Array(keep)) = patch.remove("$retainKeys") {
        object.retain(|key, _| keep.iter().any(|one| one == key.as_str()));
    }
    let (directives, fields): (Vec<_>, Vec<_>) =
        patch.into_iter().partition(|(key, _)| key.starts_with('$'));
    for (directive, value) in &directives {
        if let Some(field) = directive.strip_prefix("$deleteFromPrimitiveList/")
            && let (Some(Value::Array(items)), Value::Array(gone)) = (object.get_mut(field), value)
        {
            items.retain(|item| !gone.contains(item));
        }
    }
    for (key, value) in fields {
        let inner = at.field(&key);
        match (object.get_mut(&key), value) {
            (_, Value::Null) => {
                object.remove(&key);
            }
            (Some(Value::Object(old)), Value::Object(new)) => {
                let delete = new.get("$patch").and_then(Value::as_str) == Some("delete");
                if delete {
                    object.remove(&key);
                } else {
                    merge_map(old, new, &inner)?;
                }
            }
            (Some(Value::Array(old)), Value::Array(new)) => merge_list(old, new, &inner)?,
            (_, Value::Object(new)) => {
                if new.get("$patch").and_then(Value::as_str) != Some("delete") {
                    object.insert(key, Value::Object(stripped_map(new)));
                }
            }
            // With nothing to merge with there is no look at keys either.
            (_, new) => {
                object.insert(key, stripped(new));
            }
        }
    }
    for (directive, order) in directives {
        if let Some(field) = directive.strip_prefix("$setElementOrder/")
            && let (Some(Value::Array(items)), Value::Array(order)) = (object.get_mut(field), order)
        {
            reorder(items, &order, at.field(field).merge_list());
        }
    }
    Ok(())
}

fn merge_list(old: &mut Vec<Value>, new: Vec<Value>, at: &Cursor<'_>) -> Served<()> {
    match at.merge_list() {
        MergeList::Replace => *old = new.into_iter().map(stripped).collect(),
        MergeList::Set => {
            let live = std::mem::take(old);
            let kept: Vec<Value> = live.iter().filter(|v| !new.contains(v)).cloned().collect();
            *old = interleaved(kept, new, &live, &|item| item.clone());
        }
        MergeList::By(key) => {
            if new.iter().any(|item| directive(item) == "replace") {
                *old = new
                    .into_iter()
                    .filter(|item| directive(item) != "replace")
                    .map(stripped)
                    .collect();
                return Ok(());
            }
            let id = |item: &Value| item.get(key).cloned().unwrap_or_default();
            let live = old.clone();
            let wanted: Vec<Value> = new.iter().map(id).collect();
            for item in new {
                merge_element(old, item, key, at)?;
            }
            let (mut patched, kept): (Vec<Value>, Vec<Value>) = std::mem::take(old)
                .into_iter()
                .partition(|item| wanted.contains(&id(item)));
            patched.sort_by_key(|item| wanted.iter().position(|one| *one == id(item)));
            *old = interleaved(kept, patched, &live, &id);
        }
    }
    Ok(())
}

/// The elements that a patch named in its order, with the others between them: one of those goes
/// before the first that came after it in the live list.
fn interleaved(
    kept: Vec<Value>,
    patched: Vec<Value>,
    live: &[Value],
    id: &dyn Fn(&Value) -> Value,
) -> Vec<Value> {
    let place = |item: &Value| live.iter().position(|one| id(one) == id(item));
    let mut merged = Vec::new();
    let mut left = kept.into_iter().peekable();
    for item in patched {
        let is_before = |other: &Value| match (place(other), place(&item)) {
            (Some(other), Some(own)) => other < own,
            _ => false,
        };
        while let Some(other) = left.next_if(|other| is_before(other)) {
            merged.push(other);
        }
        merged.push(item);
    }
    merged.extend(left);
    merged
}

fn merge_element(old: &mut Vec<Value>, item: Value, key: &str, at: &Cursor<'_>) -> Served<()> {
    let Some(id) = item.get(key).filter(|id| !id.is_null()).cloned() else {
        return Err(Failure::unexplained(format!(
            "map: {} does not contain declared merge key: {key}",
            go_text(&item)
        )));
    };
    if directive(&item) == "delete" {
        old.retain(|have| have.get(key) != Some(&id));
        return Ok(());
    }
    match (old.iter_mut().find(|have| have.get(key) == Some(&id)), item) {
        (Some(Value::Object(have)), Value::Object(item)) => merge_map(have, item, at)?,
        (_, item) => old.push(stripped(item)),
    }
    Ok(())
}

fn directive(item: &Value) -> &str {
    json::text(item, &["$patch"])
}

/// Sorts the elements named in `order` into that order; others stay behind them as they were.
fn reorder(items: &mut [Value], order: &[Value], list: MergeList) {
    let place = |item: &Value| {
        order
            .iter()
            .position(|wanted| match list {
                MergeList::By(key) => wanted.get(key).is_some() && wanted.get(key) == item.get(key),
                MergeList::Set | MergeList::Replace => wanted == item,
            })
            .unwrap_or(usize::MAX)
    };
    items.sort_by_key(place);
}

/// What remains of a part of a patch that has nothing to merge with: no nulls, no directives.
fn stripped(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(stripped_map(map)),
        Value::Array(items) => Value::Array(items.into_iter().map(stripped).collect()),
        other => other,
    }
}

fn stripped_map(map: Map<String, Value>) -> Map<String, Value> {
    map.into_iter()
        .filter(|(key, value)| !key.starts_with('$') && !value.is_null())
        .map(|(key, value)| (key, stripped(value)))
        .collect()
}

fn unknown_directive(other: &str, mut map: Map<String, Value>) -> Failure {
    map.insert("$patch".to_owned(), other.into());
    let map = go_text(&Value::Object(map));
    Failure::unexplained(format!("unknown patch type: {other} in map: {map}"))
}

/// A value as Go prints it, which is how these failures are told.
fn go_text(value: &Value) -> String {
    let joined = |parts: Vec<String>| parts.join(" ");
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.iter().collect();
            keys.sort_by_key(|(key, _)| *key);
            let parts = keys.iter().map(|(k, v)| format!("{k}:{}", go_text(v)));
            format!("map[{}]", joined(parts.collect()))
        }
        Value::Array(items) => format!("[{}]", joined(items.iter().map(go_text).collect())),
        Value::String(text) => text.clone(),
        Value::Null => "<nil>".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn pod(object: Value, change: Value) -> Value {
        patch(object, change, "Pod").unwrap()
    }

    #[test]
    fn labels_are_merged_and_null_takes_one_away() {
        assert_eq!(
            pod(
                json!({"metadata": {"labels": {"a": "1", "b": "2"}}}),
                json!({"metadata": {"labels": {"a": "3", "b": null, "c": null}}}),
            ),
            json!({"metadata": {"labels": {"a": "3"}}})
        );
    }

    #[test]
    fn containers_are_merged_by_name_and_their_lists_by_their_own_keys() {
        let before = json!({"spec": {"containers": [
            {"name": "a", "image": "x", "env": [{"name": "E", "value": "1"}],
             "ports": [{"containerPort": 1, "name": "one"}]},
            {"name": "b", "image": "y"},
        ]}});
        let change = json!({"spec": {"containers": [
            {"name": "a", "env": [{"name": "F", "value": "2"}], "ports": [{"containerPort": 1, "name": "uno"}]},
            {"name": "b", "$patch": "delete"},
            {"name": "c", "image": "z"},
        ]}});
        assert_eq!(
            pod(before, change),
            json!({"spec": {"containers": [
                {"name": "a", "image": "x", "env": [{"name": "F", "value": "2"}, {"name": "E", "value": "1"}],
                 "ports": [{"containerPort": 1, "name": "uno"}]},
                {"name": "c", "image": "z"},
            ]}})
        );
    }

    #[test]
    fn endpoints_subsets_are_replaced_whole() {
        let after = patch(
            json!({"subsets": [{"addresses": [{"ip": "1.1.1.1"}]}]}),
            json!({"subsets": [{"addresses": [{"ip": "2.2.2.2"}]}]}),
            "Endpoints",
        );
        assert_eq!(
            after.unwrap(),
            json!({"subsets": [{"addresses": [{"ip": "2.2.2.2"}]}]})
        );
    }

    #[test]
    fn service_ports_merge_by_port_and_owner_references_by_uid() {
        let after = patch(
            json!({"metadata": {"ownerReferences": [{"uid": "u", "name": "a"}]},
                   "spec": {"ports": [{"port": 1, "name": "x"}]}}),
            json!({"metadata": {"ownerReferences": [{"uid": "v", "name": "b"}]},
                   "spec": {"ports": [{"port": 1, "name": "y"}, {"port": 2}]}}),
            "Service",
        )
        .unwrap();
        assert_eq!(
            after["metadata"]["ownerReferences"]
                .as_array()
                .unwrap()
                .len(),
            2
        );
        assert_eq!(
            after["spec"]["ports"],
            json!([{"port": 1, "name": "y"}, {"port": 2}])
        );
    }

    #[test]
    fn finalizers_are_a_set_from_which_values_can_be_deleted() {
        let change = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c", "b"]}});
        assert_eq!(
            pod(json!({"metadata": {"finalizers": ["a", "b"]}}), change),
            json!({"metadata": {"finalizers": ["c", "b"]}})
        );
    }

    #[test]
    fn replace_retain_keys_and_element_order_are_directives() {
        assert_eq!(
            pod(
                json!({"spec": {"a": 1, "b": 2}}),
                json!({"spec": {"$patch": "replace", "c": 3}})
            ),
            json!({"spec": {"c": 3}})
        );
        assert_eq!(
            pod(
                json!({"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}),
                json!({"spec": {"volumes": [{"name": "v", "hostPath": {"path": "/x"}, "$retainKeys": ["name", "hostPath"]}]}}),
            ),
            json!({"spec": {"volumes": [{"name": "v", "hostPath": {"path": "/x"}}]}})
        );
        assert_eq!(
            pod(
                json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}]}}),
                json!({"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}], "containers": []}}),
            ),
            json!({"spec": {"containers": [{"name": "b"}, {"name": "a"}]}})
        );
        assert_eq!(
            pod(
                json!({"spec": {"containers": [{"name": "a"}]}}),
                json!({"spec": {"containers": [{"$patch": "replace"}, {"name": "z"}]}}),
            ),
            json!({"spec": {"containers": [{"name": "z"}]}})
        );
    }

    #[test]
    fn an_element_without_its_key_is_refused() {
        let failure = patch(
            json!({"spec": {"containers": [{"name": "a"}]}}),
            json!({"spec": {"containers": [{"image": "x"}]}}),
            "Pod",
        )
        .unwrap_err();
        assert_eq!(failure.code, 500);
        assert_eq!(
            failure.message,
            "map: map[image:x] does not contain declared merge key: name"
        );
    }

    #[test]
    fn a_list_that_is_new_is_taken_without_a_look_at_keys() {
        assert_eq!(
            pod(
                json!({}),
                json!({"spec": {"containers": [{"image": "x", "args": null}]}})
            ),
            json!({"spec": {"containers": [{"image": "x"}]}})
        );
    }

    #[test]
    fn an_unknown_directive_is_refused() {
        let failure = patch(
            json!({"metadata": {"name": "a"}}),
            json!({"metadata": {"$patch": "zap"}}),
            "Pod",
        )
        .unwrap_err();
        assert_eq!(
            failure.message,
            "unknown patch type: zap in map: map[$patch:zap]"
        );
    }

    fn leaf() -> BoxedStrategy<Value> {
        prop_oneof![
            Just(Value::Null),
            any::<i8>().prop_map(Value::from),
            "[a-c]{0,2}".prop_map(Value::from)
        ]
        .boxed()
    }

    fn object_of(inner: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
        proptest::collection::btree_map("[a-d]", inner, 0..4)
            .prop_map(|map| json!(map))
            .boxed()
    }

    /// Objects of objects and plain values.
    fn objects() -> BoxedStrategy<Value> {
        object_of(
            leaf()
                .prop_recursive(3, 16, 4, |inner| object_of(inner.boxed()))
                .boxed(),
        )
    }

    /// Objects that hold lists too.
    fn trees() -> BoxedStrategy<Value> {
        let inner = leaf().prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                object_of(inner.boxed()),
            ]
        });
        object_of(inner.boxed())
    }

    proptest! {
        #[test]
        fn without_directives_and_lists_it_equals_a_json_merge_patch(object in objects(), change in objects()) {
            let merged = super::super::merge(object.clone(), &change);
            prop_assert_eq!(patch(object, change, "Pod").unwrap(), merged);
        }

        #[test]
        fn patching_twice_is_the_same_as_once(object in trees(), change in trees()) {
            let once = patch(object, change.clone(), "Pod").unwrap();
            prop_assert_eq!(patch(once.clone(), change, "Pod").unwrap(), once);
        }
    }
}
