//! An example of a schema, where the document has none of its own; and how examples are written.

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

/// As a person reads it: a text as it is, everything else as JSON of which what fits in a line stays in one.
pub(super) fn written(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            lines(value, 0, 0)
        }
    }
}

const WIDTH: usize = 88;

/// `before`: how much of the first line is taken already, besides the indentation.
fn lines(value: &Value, indentation: usize, before: usize) -> String {
    let line = line(value);
    if indentation + before + line.chars().count() <= WIDTH {
        return line;
    }
    let (inner, end) = (indentation + 2, " ".repeat(indentation));
    let listed = |items: Vec<String>| {
        let items = items.into_iter().map(|item| format!("{}{item}", " ".repeat(inner)));
        items.collect::<Vec<_>>().join(",\n")
    };
    match value {
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| {
                let name = format!("{}: ", json!(name));
                let before = name.chars().count();
                name + &lines(value, inner, before)
            };
            format!("{{\n{}\n{end}}}", listed(members.iter().map(member).collect()))
        }
        Value::Array(items) => {
            let items = items.iter().map(|item| lines(item, inner, 0)).collect();
            format!("[\n{}\n{end}]", listed(items))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => line,
    }
}

fn line(value: &Value) -> String {
    match value {
        Value::Object(members) if !members.is_empty() => {
            let members =
                members.iter().map(|(name, value)| format!("{}: {}", json!(name), line(value)));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(line).collect::<Vec<_>>().join(", "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            value.to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_is_made_of_those_of_its_parts() {
        let document = json!({ "components": { "schemas": {
            "Name": { "type": "string", "examples": ["iris"] },
        } } });
        let name = json!({ "$ref": "#/components/schemas/Name" });
        let schema = json!({
            "allOf": [{ "properties": { "first": name } }],
            "properties": { "all": { "type": "array", "items": name }, "none": { "type": "string" } },
        });
        let expected = json!({ "first": "iris", "all": ["iris"] });
        assert_eq!(example(&schema, &document), Some(expected));
        assert_eq!(example(&json!({ "type": "object" }), &document), None);
    }

    #[test]
    fn what_fits_in_a_line_stays_in_one() {
        let row = json!({ "shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2], "name": "a \"name\"" });
        let text = r#"{ "shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2], "name": "a \"name\"" }"#;
        assert_eq!(written(&row), text);
        let rows = json!({ "rows": [row, row], "none": {} });
        let expected =
            format!("{{\n  \"rows\": [\n    {text},\n    {text}\n  ],\n  \"none\": {{}}\n}}");
        assert_eq!(written(&rows), expected);
        assert_eq!(serde_json::from_str::<Value>(&written(&rows)).unwrap(), rows);
    }
}
