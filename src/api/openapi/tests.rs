//! What must be true of the document and the page whatever they are asked for; `tests/integration/openapi` asks a server.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Described;
use super::document::{document, entries, is_described_by};
use super::page::render;
use crate::api::pages::source;
use crate::api::routes::Audience::{self, Clients, Operators, Scrapers};
use crate::api::routes::table;

const ALL: &[Audience] = &[Clients, Operators, Scrapers];

fn of(audiences: &[Audience]) -> Value {
    document(&Described::new(audiences, false))
}

#[test]
fn every_route_is_described_and_nothing_else_is() {
    let (table, entries) = (table(), entries());
    for route in &table {
        let (method, path) = (route.method, route.path);
        let known = entries.iter().filter(|key| is_described_by(route, key)).count();
        assert_eq!(known, 1, "add `{method} {path}` to a file in src/api/openapi/parts/");
    }
    for key in &entries {
        assert!(table.iter().any(|route| is_described_by(route, key)), "there is no route `{key}`");
    }
}

#[test]
fn each_listener_describes_its_own_routes() {
    for audiences in [&[Clients], ALL, &[Operators, Scrapers], &[Scrapers]] as [&[Audience]; 4] {
        let document = of(audiences);
        let described: BTreeSet<String> = paths(&document)
            .flat_map(|(path, methods)| {
                let path = path.split(':').next().unwrap();
                methods.as_object().unwrap().keys().map(move |method| format!("{method} {path}"))
            })
            .collect();
        let table = table().into_iter().filter(|route| route.audience.is_on(audiences));
        let expected: BTreeSet<String> = table
            .map(|route| format!("{} {}", route.method.to_ascii_lowercase(), route.path))
            .collect();
        assert_eq!(described, expected, "{audiences:?}");
    }
}

#[test]
fn clients_are_told_nothing_of_what_is_for_operators() {
    let document = of(&[Clients]).to_string();
    for word in ["/admin", "/shadow", "/metrics", "Rollout\"", "ShadowReport", "admin_token"] {
        assert!(!document.contains(word), "{word}");
    }
}

#[test]
fn what_stands_in_a_path_is_a_parameter_with_an_example() {
    let document = of(ALL);
    for (path, methods) in paths(&document) {
        let names: Vec<&str> =
            path.split('{').skip(1).map(|rest| rest.split('}').next().unwrap()).collect();
        for operation in methods.as_object().unwrap().values() {
            let parameters = operation["parameters"].as_array().unwrap().iter();
            let parameters = parameters.map(|one| match one["$ref"].as_str() {
                Some(place) => document.pointer(&place[1..]).expect(place),
                None => one,
            });
            let of_path: Vec<&Value> = parameters.filter(|one| one["in"] == "path").collect();
            let mut told: Vec<&str> =
                of_path.iter().map(|one| one["name"].as_str().unwrap()).collect();
            told.sort_by_key(|name| names.iter().position(|known| known == name));
            assert_eq!(told, names, "{path}");
            assert!(of_path.iter().all(|one| one["example"].is_string()), "{path}");
        }
    }
}

#[test]
fn operations_have_names_of_their_own() {
    let document = of(ALL);
    let mut names = BTreeSet::new();
    for (path, methods) in paths(&document) {
        for operation in methods.as_object().unwrap().values() {
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name.to_owned()), "{path}: {name} is the name of another one");
            assert!(operation["summary"].is_string(), "{path}");
        }
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_component_is_named() {
    for audiences in [&[Clients], ALL, &[Operators, Scrapers]] as [&[Audience]; 3] {
        let document = of(audiences);
        let text = document.to_string();
        let named: BTreeSet<&str> = text
            .split("{\"$ref\":\"#")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap())
            .collect();
        for place in &named {
            assert!(document.pointer(place).is_some(), "{place}");
        }
        for (kind, components) in document["components"].as_object().unwrap() {
            for name in components.as_object().unwrap().keys() {
                let place = format!("/components/{kind}/{name}");
                assert!(named.contains(place.as_str()), "{place}");
            }
        }
    }
}

#[test]
fn a_token_is_asked_for_where_the_listener_wants_one() {
    let document = document(&Described::new(&[Clients, Operators], true));
    let operators = &document["paths"]["/admin/v1/models"]["get"];
    assert_eq!(operators["security"], json!([{ "admin_token": [] }]));
    assert!(operators["responses"]["401"].is_object());
    assert_eq!(document["components"]["securitySchemes"]["admin_token"]["scheme"], "bearer");
    for path in ["/v1/models", "/docs"] {
        assert_eq!(document["paths"][path]["get"]["security"], Value::Null, "{path}");
    }
    assert_eq!(of(ALL)["components"]["securitySchemes"], Value::Null);
}

#[test]
fn the_page_shows_every_operation() {
    let document = of(ALL);
    let page = render(&document, "http://127.0.0.1:8000");
    for (path, methods) in paths(&document) {
        for operation in methods.as_object().unwrap().values() {
            let id = format!("id=\"{}\"", operation["operationId"].as_str().unwrap());
            assert_eq!(page.matches(&id).count(), 1, "{path}");
        }
    }
}

#[test]
fn the_page_runs_its_own_script_and_loads_nothing() {
    let page = render(&of(ALL), "http://127.0.0.1:8000");
    let between = |begin: &str, end: &str| {
        page.split_once(begin).and_then(|(_, rest)| rest.split_once(end)).unwrap().0
    };
    let policy = between("Content-Security-Policy\" content=\"", "\"");
    let (script, style) = (between("<script>", "</script>"), between("<style>", "</style>"));
    let expected = format!("script-src {}; style-src {};", source(script), source(style));
    assert!(policy.starts_with("default-src 'none'; ") && policy.contains(&expected), "{policy}");
    assert_eq!(page.matches("<script").count(), 1);
    for loading in ["src=", "<link", "<img", "<iframe", "@import", "url(", " style=", " onclick="] {
        assert!(!page.contains(loading), "{loading}");
    }
}

#[test]
fn no_word_of_the_document_becomes_markup() {
    let hostile = "</code></details><script>alert(1)</script><img src=x onerror=alert(1)>`\"'";
    let document = json!({
        "info": { "description": hostile, "version": hostile },
        "tags": [{ "name": hostile, "description": hostile }],
        "paths": { hostile: { "get": {
            "tags": [hostile], "operationId": hostile, "summary": hostile, "description": hostile,
            "parameters": [{ "name": hostile, "in": hostile, "schema": { "type": hostile } }],
            "responses": { hostile: { "description": hostile, "headers": { hostile: {} }, "content": {
                hostile: { "example": hostile, "schema": { "properties": { hostile: {} } } },
            } } },
        } } },
    });
    let page = render(&document, hostile);
    assert_eq!(page.matches("<script").count(), 1);
    assert!(!page.contains("<img") && !page.contains("id=\"<"));
    assert_eq!(page.matches("</details>").count(), 2, "the operation's and that of its members");
}

fn paths(document: &Value) -> impl Iterator<Item = (&String, &Value)> {
    document["paths"].as_object().unwrap().iter()
}
