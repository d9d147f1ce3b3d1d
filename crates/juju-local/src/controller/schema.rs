//! The part of JSON schema that actions use.

use serde_json::Value;

/// Whether a value fits a schema; in Juju's words where it does not.
pub(super) fn check(path: &str, schema: &Value, value: &Value) -> Result<(), String> {
    let kind = schema
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if !is(kind, value) {
        return Err(format!("{path} : must be of type {kind}, given {value}"));
    }
    if let Some(choices) = schema.get("enum").and_then(Value::as_array)
        && !choices.contains(value)
    {
        let choices = Value::from(choices.clone());
        return Err(format!("{path} : must be one of {choices}"));
    }
    bounds(path, schema, value)?;
    for (key, property) in schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        if let Some(inner) = value.get(key) {
            check(&format!("{path}.{key}"), property, inner)?;
        }
    }
    if let (Some(items), Some(values)) = (schema.get("items"), value.as_array()) {
        for (at, inner) in values.iter().enumerate() {
            check(&format!("{path}.{at}"), items, inner)?;
        }
    }
    Ok(())
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        _ => true,
    }
}

/// Limits of numbers, and of the lengths of texts and lists.
fn bounds(path: &str, schema: &Value, value: &Value) -> Result<(), String> {
    let limit = |key: &str| schema.get(key).and_then(Value::as_f64);
    let strict = |key: &str| schema.get(key).and_then(Value::as_bool) == Some(true);
    if let Some(number) = value.as_f64() {
        let low = limit("minimum")
            .is_some_and(|least| number < least || (strict("exclusiveMinimum") && number <= least));
        let high = limit("maximum")
            .is_some_and(|most| number > most || (strict("exclusiveMaximum") && number >= most));
        if low {
            return Err(format!(
                "{path} : must be greater than or equal to {}",
                limit("minimum").unwrap_or_default()
            ));
        }
        if high {
            return Err(format!(
                "{path} : must be less than or equal to {}",
                limit("maximum").unwrap_or_default()
            ));
        }
    }
    let (length, least, most, what) = match value {
        Value::String(text) => (text.chars().count(), "minLength", "maxLength", "length"),
        Value::Array(items) => (items.len(), "minItems", "maxItems", "number of items"),
        _ => return Ok(()),
    };
    let whole = |key: &str| {
        let limit = schema.get(key).and_then(Value::as_u64);
        limit.and_then(|limit| usize::try_from(limit).ok())
    };
    if let Some(least) = whole(least).filter(|least| length < *least) {
        return Err(format!(
            "{path} : {what} must be greater than or equal to {least}"
        ));
    }
    if let Some(most) = whole(most).filter(|most| length > *most) {
        return Err(format!(
            "{path} : {what} must be less than or equal to {most}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fits(schema: &Value, value: &Value) -> bool {
        check("x", schema, value).is_ok()
    }

    #[test]
    fn types_bounds_and_choices_are_checked() {
        let number = json!({"type": "integer", "minimum": 1, "maximum": 3});
        assert!(fits(&number, &json!(1)) && fits(&number, &json!(3)));
        for bad in [json!(0), json!(4), json!("1"), json!(1.5)] {
            assert!(!fits(&number, &bad), "{bad}");
        }
        let text = json!({"type": "string", "minLength": 1, "enum": ["", "a", "b"]});
        assert!(fits(&text, &json!("a")));
        assert!(!fits(&text, &json!("")) && !fits(&text, &json!("c")));
    }

    #[test]
    fn what_is_inside_is_checked_too() {
        let schema = json!({"type": "object", "properties": {"a": {"type": "array",
            "items": {"type": "boolean"}}}});
        assert!(fits(&schema, &json!({"a": [true]})));
        assert!(!fits(&schema, &json!({"a": [1]})));
    }
}
