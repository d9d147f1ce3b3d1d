//! Sets of fields of an object, as `managedFields` records who owns which, and their algebra.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::schema::{ApplyList, Cursor, default_of_key};

/// A set of paths. A node may be a member itself and have members below.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FieldSet {
    here: bool,
    /// Below: `f:<field>`, `k:<key fields as JSON>` or `v:<value as JSON>`.
    children: BTreeMap<String, FieldSet>,
}

impl FieldSet {
    /// Reads the `fieldsV1` form.
    pub(crate) fn parse(value: &Value) -> Self {
        Self::node(value, true)
    }

    fn node(value: &Value, root: bool) -> Self {
        let empty = Map::new();
        let map = value.as_object().unwrap_or(&empty);
        Self {
            // The object as a whole is never a member.
            here: !root && (map.is_empty() || map.contains_key(".")),
            children: map
                .iter()
                .filter(|(key, _)| *key != ".")
                .map(|(key, inner)| (key.clone(), Self::node(inner, false)))
                .collect(),
        }
    }

    /// The `fieldsV1` form.
    pub(crate) fn to_value(&self) -> Value {
        let mut map = Map::new();
        if self.here && !self.children.is_empty() {
            map.insert(".".to_owned(), Value::Object(Map::new()));
        }
        for (key, child) in &self.children {
            map.insert(key.clone(), child.to_value());
        }
        Value::Object(map)
    }

    /// All that an applied object says something about.
    pub(crate) fn of_applied(object: &Value, kind: &str) -> Self {
        collect(object, &Cursor::root(kind), false)
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.here && self.children.is_empty()
    }

    pub(crate) fn union(mut self, other: &Self) -> Self {
        self.here |= other.here;
        for (key, theirs) in &other.children {
            let ours = self.children.remove(key).unwrap_or_default();
            self.children.insert(key.clone(), ours.union(theirs));
        }
        self
    }

    pub(crate) fn difference(&self, other: &Self) -> Self {
        Self {
            here: self.here && !other.here,
            children: self
                .children
                .iter()
                .map(|(key, ours)| {
                    let left = match other.children.get(key) {
                        Some(theirs) => ours.difference(theirs),
                        None => ours.clone(),
                    };
                    (key.clone(), left)
                })
                .filter(|(_, left)| !left.is_empty())
                .collect(),
        }
    }

    pub(crate) fn intersection(&self, other: &Self) -> Self {
        Self {
            here: self.here && other.here,
            children: self
                .children
                .iter()
                .filter_map(|(key, ours)| {
                    let both = ours.intersection(other.children.get(key)?);
                    (!both.is_empty()).then(|| (key.clone(), both))
                })
                .collect(),
        }
    }

    /// Takes away one subtree.
    pub(crate) fn without(mut self, path: &[&str]) -> Self {
        match path {
            [] => Self::default(),
            [last] => {
                self.children.remove(*last);
                self
            }
            [first, rest @ ..] => {
                if let Some(inner) = self.children.remove(*first) {
                    let left = inner.without(rest);
                    if !left.is_empty() {
                        self.children.insert((*first).to_owned(), left);
                    }
                }
                self
            }
        }
    }

    /// Removes the members from an object of a kind.
    pub(crate) fn remove_from(&self, object: &mut Value, kind: &str) {
        self.prune(object, &Cursor::root(kind));
    }

    fn prune(&self, value: &mut Value, at: &Cursor<'_>) {
        match value {
            Value::Object(fields) => {
                for (key, inner) in &self.children {
                    let Some(name) = key.strip_prefix("f:") else {
                        continue;
                    };
                    if inner.here {
                        fields.remove(name);
                    } else if let Some(child) = fields.get_mut(name) {
                        inner.prune(child, &at.field(name));
                    }
                }
            }
            Value::Array(items) => {
                let list = at.apply_list();
                let mine = |item: &Value| self.children.get(&element_key(item, list)?);
                items.retain(|item| mine(item).is_none_or(|inner| !inner.here));
                for item in items {
                    if let Some(inner) = mine(item) {
                        inner.prune(item, at);
                    }
                }
            }
            _ => {}
        }
    }

    /// Every member as text, like `.spec.ports[port=80,protocol="TCP"].targetPort`.
    pub(crate) fn texts(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.gather("", &mut found);
        found
    }

    fn gather(&self, prefix: &str, into: &mut Vec<String>) {
        if self.here {
            into.push(prefix.to_owned());
        }
        for (key, child) in &self.children {
            let step = match key.split_at_checked(2) {
                Some(("f:", name)) => format!(".{name}"),
                Some(("k:", fields)) => {
                    let fields: BTreeMap<String, Value> =
                        serde_json::from_str(fields).unwrap_or_default();
                    let parts: Vec<String> = fields
                        .iter()
                        .map(|(name, value)| format!("{name}={value}"))
                        .collect();
                    format!("[{}]", parts.join(","))
                }
                Some(("v:", value)) => format!("[={value}]"),
                _ => key.clone(),
            };
            child.gather(&format!("{prefix}{step}"), into);
        }
    }
}

/// How one list element or field is called in a set.
pub(super) fn element_key(item: &Value, list: ApplyList) -> Option<String> {
    match list {
        ApplyList::Atomic => None,
        ApplyList::Set => Some(format!("v:{item}")),
        ApplyList::Map(keys) => {
            let mut id = Map::new();
            for key in keys {
                let value = item
                    .get(*key)
                    .cloned()
                    .or_else(|| default_of_key(key).map(Value::from))?;
                id.insert((*key).to_owned(), value);
            }
            Some(format!("k:{}", Value::Object(id)))
        }
    }
}

/// The members that a value has; `whole` also counts maps and lists themselves, not only what is in them.
fn collect(value: &Value, at: &Cursor<'_>, whole: bool) -> FieldSet {
    match value {
        Value::Object(fields) if !fields.is_empty() && !at.is_atomic_map() => FieldSet {
            here: whole,
            children: fields
                .iter()
                .map(|(name, inner)| (format!("f:{name}"), collect(inner, &at.field(name), whole)))
                .collect(),
        },
        Value::Array(items) if !items.is_empty() => {
            let list = at.apply_list();
            let mut children = BTreeMap::new();
            for item in items {
                let Some(key) = element_key(item, list) else {
                    return FieldSet {
                        here: true,
                        children: BTreeMap::new(),
                    };
                };
                let mut inner = match list {
                    ApplyList::Map(_) if !at.has_whole_elements() => collect(item, at, whole),
                    _ => FieldSet::default(),
                };
                inner.here = true;
                children.insert(key, inner);
            }
            FieldSet {
                here: whole,
                children,
            }
        }
        _ => FieldSet {
            here: true,
            children: BTreeMap::new(),
        },
    }
}

/// The object after an apply: what is applied takes the place of what is there, down to the parts
/// that are owned one by one.
pub(crate) fn apply(live: &Value, applied: &Value, kind: &str) -> Value {
    laid_over(live, applied, &Cursor::root(kind))
}

fn laid_over(live: &Value, applied: &Value, at: &Cursor<'_>) -> Value {
    match (live, applied) {
        (Value::Object(a), Value::Object(b)) if !at.is_atomic_map() => {
            let mut merged = a.clone();
            for (name, new) in b {
                let old = a.get(name).unwrap_or(&Value::Null);
                merged.insert(name.clone(), laid_over(old, new, &at.field(name)));
            }
            Value::Object(merged)
        }
        (Value::Array(a), Value::Array(b)) if at.apply_list() != ApplyList::Atomic => {
            let list = at.apply_list();
            let mut merged = a.clone();
            for new in b {
                let key = element_key(new, list);
                let same = |old: &&mut Value| element_key(old, list) == key;
                match merged.iter_mut().find(same) {
                    Some(old) => *old = laid_over(old, new, at),
                    None => merged.push(new.clone()),
                }
            }
            Value::Array(merged)
        }
        (_, new) => new.clone(),
    }
}

/// What differs between two objects.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// Fields that were added or have another value.
    pub(crate) changed: FieldSet,
    /// Fields that are no longer there.
    pub(crate) removed: FieldSet,
}

/// Compares two objects of a kind field by field.
pub(crate) fn compare(old: &Value, new: &Value, kind: &str) -> Comparison {
    differ(Some(old), Some(new), &Cursor::root(kind))
}

fn differ(old: Option<&Value>, new: Option<&Value>, at: &Cursor<'_>) -> Comparison {
    match (old, new) {
        (None, None) => Comparison::default(),
        (Some(old), None) => Comparison {
            changed: FieldSet::default(),
            removed: collect(old, at, true),
        },
        (Some(Value::Object(a)), Some(Value::Object(b))) if !at.is_atomic_map() => {
            let mut found = Comparison::default();
            let names = a
                .keys()
                .chain(b.keys().filter(|name| !a.contains_key(*name)));
            for name in names {
                let inner = differ(a.get(name), b.get(name), &at.field(name));
                found.insert(format!("f:{name}"), inner);
            }
            found
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) if at.apply_list() != ApplyList::Atomic => {
            differ_lists(a, b, at)
        }
        (Some(a), Some(b)) if a == b => Comparison::default(),
        (_, Some(new)) => Comparison {
            changed: collect(new, at, true),
            removed: FieldSet::default(),
        },
    }
}

fn differ_lists(a: &[Value], b: &[Value], at: &Cursor<'_>) -> Comparison {
    let list = at.apply_list();
    let by_key = |items: &[Value]| -> BTreeMap<String, Value> {
        items
            .iter()
            .filter_map(|item| Some((element_key(item, list)?, item.clone())))
            .collect()
    };
    let (a, b) = (by_key(a), by_key(b));
    let mut found = Comparison::default();
    for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
        let (old, new) = (a.get(key), b.get(key));
        let mut inner = if at.has_whole_elements() {
            let mut whole = Comparison::default();
            whole.changed.here = old != new && new.is_some();
            whole
        } else if list == ApplyList::Set {
            Comparison::default()
        } else {
            differ(old, new, at)
        };
        inner.changed.here |= old.is_none();
        inner.removed.here |= new.is_none();
        found.insert(key.clone(), inner);
    }
    found
}

impl Comparison {
    fn insert(&mut self, key: String, inner: Self) {
        if !inner.changed.is_empty() {
            self.changed.children.insert(key.clone(), inner.changed);
        }
        if !inner.removed.is_empty() {
            self.removed.children.insert(key, inner.removed);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_applied_service_owns_its_ports_one_by_one_and_its_selector_whole() {
        let service = json!({
            "metadata": {"labels": {"app": "pg"}},
            "spec": {"ports": [{"port": 5432, "name": "db"}], "selector": {"role": "primary"}},
        });
        assert_eq!(
            FieldSet::of_applied(&service, "Service").to_value(),
            json!({
                "f:metadata": {"f:labels": {"f:app": {}}},
                "f:spec": {
                    "f:ports": {"k:{\"port\":5432,\"protocol\":\"TCP\"}": {".": {}, "f:name": {}, "f:port": {}}},
                    "f:selector": {},
                },
            })
        );
    }

    #[test]
    fn members_are_named_as_in_conflict_messages() {
        let set = FieldSet::parse(&json!({
            "f:spec": {"f:replicas": {}, "f:ports": {"k:{\"port\":1,\"protocol\":\"TCP\"}": {"f:name": {}}}}
        }));
        assert_eq!(
            set.texts(),
            [
                ".spec.ports[port=1,protocol=\"TCP\"].name",
                ".spec.replicas"
            ]
        );
    }

    #[test]
    fn a_comparison_tells_changed_and_removed_fields() {
        let old = json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"ports": [{"port": 1, "name": "x"}]}});
        let new = json!({"metadata": {"labels": {"a": "3"}}, "spec": {"ports": [{"port": 2, "name": "x"}]}});
        let found = compare(&old, &new, "Service");
        assert!(
            found
                .changed
                .texts()
                .contains(&".metadata.labels.a".to_owned())
        );
        assert!(
            found
                .changed
                .texts()
                .contains(&".spec.ports[port=2,protocol=\"TCP\"]".to_owned())
        );
        assert!(
            found
                .removed
                .texts()
                .contains(&".metadata.labels.b".to_owned())
        );
        assert!(
            found
                .removed
                .texts()
                .contains(&".spec.ports[port=1,protocol=\"TCP\"]".to_owned())
        );
    }

    fn set() -> impl Strategy<Value = FieldSet> {
        let leaf = Just(json!({}));
        leaf.prop_recursive(3, 12, 3, |inner| {
            proptest::collection::btree_map(
                prop_oneof![Just("."), Just("f:a"), Just("f:b"), Just("v:1")],
                inner,
                1..4,
            )
            .prop_map(|map| {
                let mut map: BTreeMap<_, _> = map;
                if let Some(dot) = map.get_mut(".") {
                    *dot = json!({});
                }
                json!(map)
            })
        })
        .prop_map(|value| FieldSet::parse(&value))
    }

    proptest! {
        #[test]
        fn the_algebra_of_sets_holds(a in set(), b in set()) {
            prop_assert_eq!(a.clone().union(&a), a.clone());
            prop_assert_eq!(a.clone().union(&b), b.clone().union(&a));
            prop_assert_eq!(a.intersection(&b), b.intersection(&a));
            prop_assert!(a.difference(&a).is_empty());
            prop_assert!(a.difference(&b).intersection(&b).is_empty());
            prop_assert_eq!(a.difference(&b).union(&a.intersection(&b)).texts(), a.texts());
        }

        #[test]
        fn the_written_form_reads_back(a in set()) {
            prop_assert_eq!(FieldSet::parse(&a.to_value()).texts(), a.texts());
        }
    }
}
