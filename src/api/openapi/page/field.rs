//! The members of a body, one a line: `versions[].state`, what it is, and what it means.

use serde_json::Value;

use super::{members, resolved, text};

/// A line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Field<'d> {
    /// `versions[].state`; empty where the line is the name of one of several forms.
    pub(super) path: String,
    /// What it is, or the name of the form.
    pub(super) kind: String,
    pub(super) is_required: bool,
    pub(super) description: &'d str,
}

/// Deeper than any schema of ours; one that contains itself ends here.
const DEEPEST: usize = 12;

/// The members of what a schema describes.
pub(super) fn fields<'d>(schema: &'d Value, document: &'d Value) -> Vec<Field<'d>> {
    let mut fields = Vec::new();
    add(schema, document, "", DEEPEST, &mut fields);
    fields
}

fn add<'d>(
    schema: &'d Value,
    document: &'d Value,
    path: &str,
    deeper: usize,
    fields: &mut Vec<Field<'d>>,
) {
    let Some(deeper) = deeper.checked_sub(1) else { return };
    let schema = resolved(schema, document);
    for part in list(&schema["allOf"]) {
        add(part, document, path, deeper, fields);
    }
    for (name, member) in members(&schema["properties"]) {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let own = text(member, "description");
        let description =
            if own.is_empty() { text(resolved(member, document), "description") } else { own };
        let is_required = list(&schema["required"]).iter().any(|required| required == name);
        let kind = kind(member, document);
        fields.push(Field { path: path.clone(), kind, is_required, description });
        add(member, document, &path, deeper, fields);
    }
    for (inner, suffix) in [("items", "[]"), ("additionalProperties", ".…")] {
        if schema[inner].is_object() {
            add(&schema[inner], document, &format!("{path}{suffix}"), deeper, fields);
        }
    }
    let forms = list(&schema["oneOf"]).iter().chain(list(&schema["anyOf"]));
    for form in forms {
        let title = text(form, "title");
        if !title.is_empty() {
            let kind = title.to_owned();
            let description = text(form, "description");
            fields.push(Field { path: String::new(), kind, is_required: false, description });
        }
        add(form, document, path, deeper, fields);
    }
}

/// What a schema allows, in a few words: `string`, `integer or null`, `array of numbers`, `"pass" | "fail"`.
pub(super) fn kind(schema: &Value, document: &Value) -> String {
    let schema = resolved(schema, document);
    if let Some(values) = schema["enum"].as_array() {
        return values.iter().map(Value::to_string).collect::<Vec<_>>().join(" | ");
    }
    if let Some(only) = schema.get("const") {
        return only.to_string();
    }
    let forms: Vec<&Value> = list(&schema["oneOf"]).iter().chain(list(&schema["anyOf"])).collect();
    if !forms.is_empty() {
        let forms: Vec<String> = forms.into_iter().map(|form| kind(form, document)).collect();
        return forms.join(" or ");
    }
    match &schema["type"] {
        Value::String(name) if name == "array" && schema["items"].is_object() => {
            match kind(&schema["items"], document).as_str() {
                "anything" => "array".to_owned(),
                items => format!("array of {items}"),
            }
        }
        Value::String(name) => name.clone(),
        Value::Array(names) => {
            names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or ")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => "anything".to_owned(),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_member_has_a_line_with_its_place() {
        let document = json!({ "components": { "schemas": {
            "State": { "enum": ["ready", null], "description": "How it stands." },
            "Self": { "type": "object", "properties": { "again": { "$ref": "#/components/schemas/Self" } } },
        } } });
        let schema = json!({
            "allOf": [{ "properties": { "id": { "type": ["string", "null"] } } }],
            "required": ["versions"],
            "properties": { "versions": { "type": "array", "items": {
                "type": "object",
                "properties": { "state": { "$ref": "#/components/schemas/State" } },
            } } },
        });
        let fields = fields(&schema, &document);
        let lines: Vec<_> = fields
            .iter()
            .map(|it| (it.path.as_str(), it.kind.as_str(), it.is_required, it.description))
            .collect();
        let expected = [
            ("id", "string or null", false, ""),
            ("versions", "array of object", true, ""),
            ("versions[].state", "\"ready\" | null", false, "How it stands."),
        ];
        assert_eq!(lines, expected);
        let endless = json!({ "$ref": "#/components/schemas/Self" });
        assert!(super::fields(&endless, &document).len() <= DEEPEST);
    }
}
