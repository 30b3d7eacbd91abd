//! An example of a schema, where the document has none of its own.

use serde_json::{Map, Value, json};

use super::{members, resolved};

/// What is as the schema says: its own example, else one that is made of those of its parts.
pub(super) fn example(schema: &Value, document: &Value) -> Option<Value> {
    let schema = resolved(schema, document);
    if let Some(written) = schema["examples"].get(0) {
        return Some(written.clone());
    }
    let mut all = Map::new();
    for part in schema["allOf"].as_array().into_iter().flatten() {
        if let Some(Value::Object(members)) = example(part, document) {
            all.extend(members);
        }
    }
    for (name, member) in members(&schema["properties"]) {
        if let Some(value) = example(member, document) {
            all.insert(name.clone(), value);
        }
    }
    if !all.is_empty() {
        return Some(all.into());
    }
    let items = &schema["items"];
    if items.is_object() {
        return example(items, document).map(|item| json!([item]));
    }
    None
}
