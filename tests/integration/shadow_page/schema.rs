//! The reports that the page is tested with are as `docs/shadow-report.schema.json` says.
//!
//! The schema uses a few keywords of JSON Schema, and this checks those; one that it does not know is an error, so
//! that none is passed over.

use std::fs;

use serde_json::{Value, json};

use super::answer;
use crate::support::package;

/// Keywords that say nothing about whether a value is right.
const WORDS: &[&str] =
    &["$schema", "$id", "$defs", "title", "description", "examples", "format", "$ref"];

struct Schema(Value);

/// Where an answer is not as the schema says, and why.
pub(crate) fn problems(answer: &Value) -> Vec<String> {
    Schema::read().problems(answer)
}

#[test]
fn the_reports_of_these_tests_are_as_the_schema_says() {
    let schema = Schema::read();
    for name in ["classification", "regression", "embedding", "begun", "hostile", "empty"] {
        assert_eq!(schema.problems(&answer(name)), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn what_is_not_as_the_schema_says_is_found() {
    let schema = Schema::read();
    for (path, wrong) in [
        ("/schema", json!("shadow.report/2")),
        ("/reports/0/phase", json!("waiting for godot")),
        ("/reports/0/verdict/gates/0/estimate", json!(1.5)),
        ("/reports/0/verdict/gates/0/interval", json!([0.1])),
        ("/reports/0/sampling/executed", json!(-1)),
        ("/reports/0/sampling/executed", json!(1.5)),
        ("/reports/0/sampling/by_size/0/up_to", json!("all")),
        ("/reports/0/outputs/1/scatter/0", json!([1, 2, 3])),
        ("/reports/0/interference/backed_off", json!(3)),
        ("/reports/0/interference/slowdown_upper95", json!("2 %")),
        ("/reports/0/noise", json!({ "pairs": 1, "bit_identical": true, "unknown": 1 })),
        ("/reports/0/worst/0", json!({ "id": "s-1" })),
    ] {
        let mut answer = answer("classification");
        *answer.pointer_mut(path).unwrap() = wrong;
        let problems = schema.problems(&answer);
        assert!(problems.iter().any(|problem| problem.starts_with(path)), "{path}: {problems:?}");
    }
}

impl Schema {
    fn read() -> Self {
        let text = fs::read_to_string(package().join("docs/shadow-report.schema.json")).unwrap();
        Self(serde_json::from_str(&text).unwrap())
    }

    /// Where a value is not as it should be, and why.
    fn problems(&self, value: &Value) -> Vec<String> {
        let mut problems = Vec::new();
        self.check(&self.0, value, "", &mut problems);
        problems
    }

    fn check(&self, schema: &Value, value: &Value, path: &str, problems: &mut Vec<String>) {
        if let Some(reference) = schema["$ref"].as_str() {
            let defined = self.0.pointer(reference.strip_prefix('#').unwrap());
            self.check(defined.expect(reference), value, path, problems);
        }
        for (keyword, rule) in schema.as_object().unwrap() {
            if !self.keeps(keyword, rule, value) {
                problems.push(format!("{path}: {value} is not {keyword} {rule}"));
            }
        }
        for (name, member) in value.as_object().into_iter().flatten() {
            let path = format!("{path}/{name}");
            match schema["properties"].get(name) {
                Some(schema) => self.check(schema, member, &path, problems),
                None if schema["additionalProperties"] == false => {
                    problems.push(format!("{path}: is not in the schema"));
                }
                None => {}
            }
        }
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            if schema.get("items").is_some() {
                self.check(&schema["items"], item, &format!("{path}/{index}"), problems);
            }
        }
    }

    /// Whether a value keeps one rule; rules about its members are kept by [`Self::check`].
    fn keeps(&self, keyword: &str, rule: &Value, value: &Value) -> bool {
        let length = value.as_array().map(Vec::len);
        let number = value.as_f64();
        match keyword {
            "const" => value == rule,
            "enum" => rule.as_array().unwrap().contains(value),
            "type" => match rule.as_array() {
                Some(types) => types.iter().any(|name| is_of_type(value, name)),
                None => is_of_type(value, rule),
            },
            "minimum" => number.is_none_or(|number| number >= rule.as_f64().unwrap()),
            "maximum" => number.is_none_or(|number| number <= rule.as_f64().unwrap()),
            "minItems" => length.is_none_or(|length| length as u64 >= rule.as_u64().unwrap()),
            "maxItems" => length.is_none_or(|length| length as u64 <= rule.as_u64().unwrap()),
            "required" => value.as_object().is_none_or(|members| {
                let mut names = rule.as_array().unwrap().iter();
                names.all(|name| members.contains_key(name.as_str().unwrap()))
            }),
            "properties" | "additionalProperties" | "items" => true,
            _ if WORDS.contains(&keyword) => true,
            _ => panic!("this test does not know the keyword `{keyword}`"),
        }
    }
}

fn is_of_type(value: &Value, name: &Value) -> bool {
    match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "null" => value.is_null(),
        other => panic!("this test does not know the type `{other}`"),
    }
}
