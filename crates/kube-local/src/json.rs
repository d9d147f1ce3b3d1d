//! Reading and writing of nested fields in untyped objects, without panics on missing ones.

use serde_json::{Map, Value};

/// The value at `path`, if every step of it exists.
pub(crate) fn get<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |at, key| at.get(key))
}

/// The string at `path`; empty when absent or not a string.
pub(crate) fn text<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    get(value, path).and_then(Value::as_str).unwrap_or_default()
}

/// The items of the list at `path`; empty when absent.
pub(crate) fn list<'a>(value: &'a Value, path: &[&str]) -> &'a [Value] {
    get(value, path)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The number at `path`.
pub(crate) fn number(value: &Value, path: &[&str]) -> Option<i64> {
    get(value, path)?.as_i64()
}

/// What is at `path`, or null.
pub(crate) fn part(value: &Value, path: &[&str]) -> Value {
    get(value, path).cloned().unwrap_or_default()
}

/// The items of the list at `path`, to be changed in place.
pub(crate) fn list_mut<'a>(
    value: &'a mut Value,
    path: &[&str],
) -> impl Iterator<Item = &'a mut Value> {
    path.iter()
        .try_fold(value, |at, key| at.get_mut(*key))
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
}

/// Puts `new` at `path`, making objects of whatever stands in the way.
pub(crate) fn set(value: &mut Value, path: &[&str], new: impl Into<Value>) {
    let mut at = value;
    for key in path {
        at = object(at).entry(*key).or_insert(Value::Null);
    }
    *at = new.into();
}

/// Puts `new` at `path` unless something other than null is there.
pub(crate) fn default(value: &mut Value, path: &[&str], new: impl Into<Value>) {
    if get(value, path).is_none_or(Value::is_null) {
        set(value, path, new);
    }
}

/// Takes away what is at `path`.
pub(crate) fn take(value: &mut Value, path: &[&str]) -> Option<Value> {
    let (last, parents) = path.split_last()?;
    let mut at = value;
    for key in parents {
        at = at.get_mut(*key)?;
    }
    at.as_object_mut()?.remove(*last)
}

/// Copies what is at `path` from one object to another; absent there means absent here.
pub(crate) fn carry(from: &Value, to: &mut Value, path: &[&str]) {
    match get(from, path) {
        Some(found) => set(to, path, found.clone()),
        None => {
            take(to, path);
        }
    }
}

/// The value as a map, replaced by an empty one if it is something else.
pub(crate) fn object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("made an object above"),
    }
}

/// Whether a field holds nothing, in the sense of an omitted field.
pub(crate) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}
