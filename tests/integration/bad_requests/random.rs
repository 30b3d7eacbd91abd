//! Random bodies for every model that there is: each is answered, or refused with a sentence. Nothing that a client sends
//! makes the server fail; only a model may, on inputs that it was made to fail on.

use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use serde_json::{Map, Value, json};

use crate::support::{Connection, Models, Request, TestServer, package};

/// Models whose runs fail on some numbers, which is what they are for.
const MADE_TO_FAIL: &[&str] = &["fails", "fails_at_13"];
/// Models whose runs take as long as their numbers are large.
const SLOW: &[&str] = &["patient", "sluggish", "stubborn", "slow"];
const BODIES: usize = 150;

/// Chance, the same in each run.
struct Chance(TestRng);

impl Chance {
    fn new() -> Self {
        Self(TestRng::deterministic_rng(RngAlgorithm::ChaCha))
    }

    fn below(&mut self, count: usize) -> usize {
        self.0.next_u32() as usize % count
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }
}

/// An input, as the model's metadata tells it: its name, its type and its sizes, of which -1 is any.
#[derive(Clone, Debug)]
struct Input {
    name: String,
    dtype: String,
    sizes: Vec<i64>,
}

fn inputs(server: &TestServer, model: &str) -> Vec<Input> {
    let metadata = server.get(&format!("/v1/models/{model}/metadata"));
    if metadata.status != 200 {
        return Vec::new();
    }
    let told = metadata.json();
    let told = &told["metadata"]["signature_def"]["signature_def"]["serving_default"]["inputs"];
    let input = |(name, told): (&String, &Value)| {
        let dims = told["tensor_shape"]["dim"].as_array().unwrap();
        let size = |dim: &Value| dim["size"].as_str().unwrap().parse().unwrap();
        let dtype = told["dtype"].as_str().unwrap().to_owned();
        Input { name: name.clone(), dtype, sizes: dims.iter().map(size).collect() }
    };
    told.as_object().unwrap().iter().map(input).collect()
}

/// A value that may or may not be what the type wants.
fn element(chance: &mut Chance, dtype: &str, is_slow: bool) -> Value {
    if chance.one_in(25) {
        // A huge number is a long wait.
        return if is_slow { Value::Null } else { anything(chance, 2) };
    }
    let numbers = [json!(0), json!(1), json!(-1), json!(2), json!(13)];
    let extremes = [
        json!(i64::MAX),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(1e308),
        json!(-1e-320),
        json!("NaN"),
        json!("-Infinity"),
        json!(0.5),
    ];
    match dtype {
        "DT_STRING" => chance.of(&[json!(""), json!("a\u{0}b"), json!("\u{202e}"), json!("1e5")]),
        "DT_BOOL" => json!(chance.one_in(2)),
        _ if is_slow || !chance.one_in(4) => chance.of(&numbers),
        _ => chance.of(&extremes),
    }
}

fn tensor(chance: &mut Chance, input: &Input, sizes: &[i64], is_slow: bool) -> Value {
    let Some((size, inner)) = sizes.split_first() else {
        return element(chance, &input.dtype, is_slow);
    };
    let size = if *size < 0 { chance.of(&[1, 1, 2, 3, 0]) } else { *size };
    let size = if chance.one_in(20) { chance.of(&[0, 1, size + 1]) } else { size };
    (0..size).map(|_| tensor(chance, input, inner, is_slow)).collect()
}

fn anything(chance: &mut Chance, depth: usize) -> Value {
    match chance.below(if depth == 0 { 5 } else { 8 }) {
        0 => Value::Null,
        1 => json!(chance.one_in(2)),
        2 => chance.of(&[json!(0), json!(-1.5), json!(1e300), json!(u64::MAX)]),
        3 => chance.of(&[json!(""), json!("X"), json!("\u{1b}[31m\r\n"), json!("NaN")]),
        4 => json!({ "b64": chance.of(&["", "AAAA", "/w==", "no"]) }),
        5 | 6 => (0..chance.below(4)).map(|_| anything(chance, depth - 1)).collect(),
        _ => {
            let name = |chance: &mut Chance| chance.of(&["X", "b64", "instances", "", "\n"]);
            let member = |_| (name(chance).to_owned(), anything(chance, depth - 1));
            Value::Object((0..2).map(member).collect())
        }
    }
}

fn body(chance: &mut Chance, inputs: &[Input], is_slow: bool) -> Vec<u8> {
    let mut members = Map::new();
    let named = |chance: &mut Chance, skip: usize| -> Map<String, Value> {
        let member = |input: &Input| {
            let sizes = &input.sizes[skip.min(input.sizes.len())..];
            (input.name.clone(), tensor(chance, input, sizes, is_slow))
        };
        inputs.iter().map(member).collect()
    };
    let (key, value) = match chance.below(10) {
        0 => (chance.of(&["instances", "inputs", "x"]), anything(chance, 3)),
        1..=4 => {
            let rows = chance.of(&[1, 2, 3, 0]);
            let bare = inputs.len() == 1 && chance.one_in(2);
            let row = |_| match bare {
                true => named(chance, 1).into_iter().next().map_or(Value::Null, |(_, value)| value),
                false => Value::Object(named(chance, 1)),
            };
            ("instances", (0..rows).map(row).collect())
        }
        _ if inputs.len() == 1 && chance.one_in(2) => {
            ("inputs", tensor(chance, &inputs[0], &inputs[0].sizes, is_slow))
        }
        _ => ("inputs", Value::Object(named(chance, 0))),
    };
    members.insert(key.to_owned(), value);
    if chance.one_in(10) {
        members.insert("signature_name".to_owned(), anything(chance, 1));
    }
    let mut bytes = Value::Object(members).to_string().into_bytes();
    if chance.one_in(12) {
        let at = chance.below(bytes.len());
        bytes[at] = chance.0.next_u32() as u8;
    }
    bytes
}

#[test]
fn nothing_that_a_client_sends_is_the_servers_failure() {
    let names = std::fs::read_dir(package().join("tests/models")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: Vec<String> =
        names.filter_map(|name| Some(name.strip_suffix(".onnx")?.to_owned())).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut models = Models::of_tests(&names);
    for path in
        ["iris/1.onnx", "iris/model.toml", "wine/1.onnx", "diabetes/1.onnx", "diabetes/model.toml"]
    {
        models = models.file(path, crate::support::example_model(path));
    }
    let server = TestServer::with_models(models).start();
    let listed = server.get("/v1/models").ok();
    let mut chance = Chance::new();
    let mut statuses = std::collections::BTreeMap::new();
    for model in listed["models"].as_array().unwrap().iter().filter_map(Value::as_str) {
        let inputs = inputs(&server, model);
        if inputs.is_empty() {
            continue; // it is no model
        }
        let is_slow = SLOW.contains(&model);
        let mut connection = Connection::open(server.http()).unwrap();
        for _ in 0..BODIES {
            let body = body(&mut chance, &inputs, is_slow);
            let answer = connection.ask(&Request::predict(model, body.clone())).unwrap();
            *statuses.entry(answer.status).or_insert(0) += 1;
            let is_told = answer.status == 200 || answer.json()["error"].is_string();
            let may_fail = answer.status == 500 && MADE_TO_FAIL.contains(&model);
            assert!(
                is_told && (answer.status < 500 || may_fail),
                "{model}: {} {} for {}",
                answer.status,
                answer.text(),
                String::from_utf8_lossy(&body)
            );
        }
    }
    // It was not all refused, and not all taken.
    assert!(statuses[&200] > 500 && statuses[&400] > 500, "{statuses:?}");
    assert!(!server.log().contains("panicked"));
}
