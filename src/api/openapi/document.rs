//! The document: what `parts/` says of the routes of one listener, and what follows from the table of routes.
//!
//! A part has an entry `METHOD /path` for each of its routes, and the components that they name. Not written there, since
//! it is known: the tag, the audience, what stands in the path, and what every route answers when something is wrong.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::super::routes::{Route, table};
use super::Described;

/// What belongs to no part alone.
const SHARED: &str = include_str!("parts/shared.json");

/// In the order in which they are shown.
const PARTS: [&str; 6] = [
    include_str!("parts/v1.json"),
    include_str!("parts/v2.json"),
    include_str!("parts/server.json"),
    include_str!("parts/rollouts.json"),
    include_str!("parts/models.json"),
    include_str!("parts/shadow.json"),
];

/// What the shadow report is said to be elsewhere; here its definitions are components.
const SHADOW_REPORT: &str = include_str!("../../../docs/shadow-report.schema.json");

/// The components that describe it have this name, and those that it needs this name with theirs behind a dot.
const SHADOW_REPORT_NAME: &str = "ShadowReport";

/// Describes the routes of a listener.
pub(super) fn document(described: &Described) -> Value {
    let parts = PARTS.map(read);
    let shared = read(SHARED);
    let (mut tags, mut paths) = (Vec::new(), Map::new());
    for part in &parts {
        let operations = operations(part, described);
        if operations.is_empty() {
            continue;
        }
        tags.push(part["tag"].clone());
        for (path, method, operation) in operations {
            let path = paths.entry(path).or_insert_with(|| json!({}));
            path[method.to_ascii_lowercase()] = operation;
        }
    }
    let mut info = shared["info"].clone();
    info["version"] = env!("CARGO_PKG_VERSION").into();
    let mut document = json!({
        "openapi": "3.1.0",
        "info": info,
        "servers": [{ "url": "/" }],
        "tags": tags,
        "paths": paths,
    });
    let known = parts.iter().chain([&shared]).map(|part| part["components"].clone());
    let known = known.chain([json!({ "schemas": shadow_report() })]).fold(json!({}), merged);
    document["components"] = needed(&document, &known, described.wants_token);
    document
}

/// A part that is no JSON would be empty, which the tests see.
fn read(part: &str) -> Value {
    serde_json::from_str(part).unwrap_or_default()
}

/// The path, method and description of each operation of a part that the listener answers.
fn operations(part: &Value, described: &Described) -> Vec<(String, &'static str, Value)> {
    let table = table();
    let known = part["operations"].as_object().into_iter().flatten();
    let known = known.filter_map(|(key, operation)| {
        let route = table.iter().find(|route| is_described_by(route, key))?;
        let (_, path) = key.split_once(' ')?;
        route.audience.is_on(&described.audiences).then(|| {
            let operation = completed(operation, route, path, &part["tag"]["name"], described);
            (path.to_owned(), route.method, operation)
        })
    });
    known.collect()
}

/// Whether an entry is about this route. To users `{model}:predict` is a part of a path; to the table it is one segment.
pub(super) fn is_described_by(route: &Route, key: &str) -> bool {
    let (method, path) = key.split_once(' ').unwrap_or((key, ""));
    method == route.method && path.split(':').next() == Some(route.path)
}

/// An operation with what need not be written down for each.
fn completed(
    operation: &Value,
    route: &Route,
    path: &str,
    tag: &Value,
    described: &Described,
) -> Value {
    let mut operation = operation.clone();
    operation["tags"] = json!([tag]);
    operation["x-audience"] = route.audience.name().into();
    let written = operation["parameters"].as_array().cloned().unwrap_or_default();
    let is_written =
        |name: &str| written.iter().any(|one| one["in"] == "path" && one["name"] == *name);
    let of_path = segments(path).filter(|name| !is_written(name));
    let of_path = of_path.map(|name| reference("parameters", name));
    operation["parameters"] = of_path.chain(written.iter().cloned()).collect();
    if route.audience.is_guarded_on(&described.audiences) {
        if described.wants_token {
            operation["security"] = json!([{ "admin_token": [] }]);
            operation["responses"]["401"] = reference("responses", "Unauthorized");
        } else {
            operation["responses"]["403"] = reference("responses", "Forbidden");
        }
    }
    operation["responses"]["default"] = reference("responses", "Error");
    if let Some(responses) = operation["responses"].as_object_mut() {
        responses.sort_keys();
    }
    operation
}

/// The names of what may be anything in a path.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('{').skip(1).filter_map(|rest| rest.split('}').next())
}

fn reference(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}

/// The components of both, by kind.
fn merged(mut all: Value, components: Value) -> Value {
    for (kind, named) in components.as_object().into_iter().flatten() {
        for (name, component) in named.as_object().into_iter().flatten() {
            all[kind][name] = component.clone();
        }
    }
    all
}

/// Those that the document names, and those that these name.
fn needed(document: &Value, known: &Value, wants_token: bool) -> Value {
    let mut needed = json!({});
    let (mut seen, mut unread) = (BTreeSet::new(), references(document));
    while let Some(place) = unread.pop() {
        let Some((kind, name)) =
            place.strip_prefix("#/components/").and_then(|it| it.split_once('/'))
        else {
            continue;
        };
        let component = &known[kind][name];
        if !component.is_null() && seen.insert(place.clone()) {
            needed[kind][name] = component.clone();
            unread.extend(references(component));
        }
    }
    if wants_token {
        needed["securitySchemes"] = known["securitySchemes"].clone();
    }
    needed
}

/// Every `$ref` in it.
fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(members) => {
            let own = members.get("$ref").and_then(Value::as_str).map(str::to_owned);
            own.into_iter().chain(members.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

/// The schema of the shadow report as components.
fn shadow_report() -> Value {
    let mut report = renamed(read(SHADOW_REPORT));
    let mut components = json!({});
    for (name, definition) in report["$defs"].as_object().into_iter().flatten() {
        components[format!("{SHADOW_REPORT_NAME}.{name}")] = definition.clone();
    }
    if let Some(members) = report.as_object_mut() {
        members.retain(|name, _| !name.starts_with('$'));
    }
    components[SHADOW_REPORT_NAME] = report;
    components
}

/// With references to where the definitions are now.
fn renamed(schema: Value) -> Value {
    match schema {
        Value::Object(members) => {
            let rename = |(name, value): (String, Value)| match value.as_str() {
                Some(place) if name == "$ref" => {
                    let definition = place.trim_start_matches("#/$defs/");
                    let place = format!("#/components/schemas/{SHADOW_REPORT_NAME}.{definition}");
                    (name, place.into())
                }
                Some(_) | None => (name, renamed(value)),
            };
            members.into_iter().map(rename).collect::<Map<_, _>>().into()
        }
        Value::Array(items) => items.into_iter().map(renamed).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => schema,
    }
}

/// The keys of all entries.
#[cfg(test)]
pub(super) fn entries() -> Vec<String> {
    let keys = |part: Value| -> Vec<String> {
        part["operations"].as_object().unwrap().keys().cloned().collect()
    };
    PARTS.into_iter().map(read).flat_map(keys).collect()
}
