//! A candidate is run beside stable on the requests that clients send, and what it answers is compared: each kind
//! of mistake is found and named, and no client ever sees it.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::shadow_page::schema;
use crate::support::{
    Models, Request, TestServer, assert_close, example_model, package, test_model, within,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// Rows of the training library's data set, each with its own answer by a version.
fn expected_rows(model: &str, version: &str) -> Vec<(Value, Value)> {
    let file = package().join(format!("tests/expectations/{model}-{version}.json"));
    let file: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let requests = file["requests"].as_array().unwrap();
    let rows = requests.iter().flat_map(|request| {
        let list = |key: &str| request[key].as_array().unwrap().clone();
        list("instances").into_iter().zip(list("predictions"))
    });
    rows.collect()
}

/// A server whose model has version 1, and every request of which becomes a pair.
fn shadowing(model: &str, rollout: &str) -> TestServer {
    let kept = fs::read_to_string(package().join(format!("models/{model}/model.toml")));
    let settings = format!(
        "{}\n[rollout]\nstrategy = \"shadow\"\n{rollout}\n",
        kept.unwrap_or_default().replace("versions = \"all\"", "")
    );
    let models = Models::made()
        .file(&format!("{model}/1.onnx"), example_model(&format!("{model}/1.onnx")))
        .file(&format!("{model}/model.toml"), settings);
    let server = TestServer::with_models(models)
        .settings("[shadow]\nmax_rps = 10000\nmax_busy = 1.0\nqueue_jobs = 4096")
        .start();
    server.reaches(model, "completed");
    server
}

/// Sends rows, each in a request of its own, and holds every answer to what version 1 is known to answer.
#[track_caller]
fn ask_all(server: &TestServer, model: &str, rows: &[(Value, Value)]) {
    let mut connection = server.connect();
    for (row, expected) in rows {
        let body = json!({ "instances": [row] }).to_string();
        let answer = connection.ask(&Request::predict(model, body)).unwrap();
        assert_eq!(
            answer.header("x-model-version"),
            Some("1"),
            "clients get stable's answers only"
        );
        assert_eq!(answer.header("x-model-role"), Some("stable"));
        assert_close(&answer.ok(), &json!({ "predictions": [expected] }));
    }
}

#[track_caller]
fn report(server: &TestServer, question: &str) -> Value {
    let answer = server.admin_get(&format!("/shadow/report{question}")).ok();
    assert_eq!(schema::problems(&answer), Vec::<String>::new());
    assert_eq!(answer["reports"].as_array().unwrap().len(), 1, "{answer}");
    answer["reports"][0].clone()
}

/// Waits until so many pairs were compared.
#[track_caller]
fn compared(server: &TestServer, model: &str, pairs: usize) -> Value {
    within(PATIENCE, &format!("{pairs} pairs of {model}"), || {
        let report = report(server, &format!("?model={model}"));
        (report["sampling"]["executed"] == pairs).then_some(report)
    })
}

fn output<'r>(report: &'r Value, name: &str) -> &'r Value {
    let outputs = report["outputs"].as_array().unwrap();
    outputs.iter().find(|output| output["name"] == name).unwrap()
}

fn gate<'r>(report: &'r Value, name: &str) -> &'r Value {
    let gates = report["verdict"]["gates"].as_array().unwrap();
    gates.iter().find(|gate| gate["name"] == name).unwrap()
}

#[test]
fn the_same_model_exported_again_agrees_in_every_pair_and_passes() {
    let server =
        shadowing("digits", "change = \"equivalent\"\nshadow = { sample = 1.0, min_pairs = 400 }");
    server.put("digits/2.onnx", test_model("digits_again"));
    server.reaches("digits", "shadowing");
    let rows = expected_rows("digits", "1");
    ask_all(&server, "digits", &rows);
    let report = compared(&server, "digits", rows.len());
    for name in ["label", "probabilities"] {
        assert_eq!(output(&report, name)["metrics"]["flips"]["k"], 0, "{name}");
    }
    assert_eq!(report["errors"]["candidate_only"], 0);
    assert_eq!(report["noise"]["flip_rate"], 0.0);
    let hours = report["sampling"]["by_hour"].as_array().unwrap();
    let agreed: u64 = hours.iter().filter_map(|hour| hour["agreed"].as_u64()).sum();
    assert_eq!(agreed as usize, rows.len());

    let rollout = server.reaches("digits", "waiting");
    assert_eq!(rollout["verdict"]["decision"], "pass", "{rollout}");
    assert_eq!(rollout["verbs"], json!(["promote", "abort", "start"]));
    assert_eq!(server.operate("digits", "promote", json!({})).status, 200);
    assert_eq!(server.reaches("digits", "baking")["weight"], 100);
    let body = json!({ "instances": [rows[0].0] }).to_string();
    let answer = server.predict("digits", &body);
    assert_eq!(answer.header("x-model-version"), Some("2"));
}

#[test]
fn a_model_that_was_trained_again_differs_in_exactly_the_rows_that_the_training_library_tells() {
    let server = shadowing("iris", "shadow = { sample = 1.0, min_pairs = 150 }");
    let (old, new) = (expected_rows("iris", "1"), expected_rows("iris", "2"));
    assert!(old.iter().zip(&new).all(|(old, new)| old.0 == new.0), "the same rows");
    let flips = old.iter().zip(&new).filter(|(old, new)| old.1["label"] != new.1["label"]);
    let flips: Vec<(&Value, &Value)> =
        flips.map(|(old, new)| (&old.1["label"], &new.1["label"])).collect();
    assert!(!flips.is_empty());

    server.put("iris/2.onnx", example_model("iris/2.onnx"));
    server.reaches("iris", "shadowing");
    ask_all(&server, "iris", &old);
    let report = compared(&server, "iris", old.len());
    for name in ["label", "probabilities"] {
        let told = &output(&report, name)["metrics"]["flips"];
        assert_eq!((&told["n"], &told["k"]), (&json!(150), &json!(flips.len())), "{name}");
    }
    let transitions = output(&report, "label")["transitions"].as_array().unwrap();
    let told: u64 = transitions
        .iter()
        .filter(|transition| transition["from"] != transition["to"])
        .map(|transition| {
            let pair = (&transition["from"], &transition["to"]);
            let expected = flips.iter().filter(|flip| **flip == pair).count();
            assert_eq!(transition["k"], expected, "{transition}");
            transition["k"].as_u64().unwrap()
        })
        .sum();
    assert_eq!(told as usize, flips.len(), "every flip is told with its classes");
    assert_ne!(server.rollout("iris")["phase"], "rolled-back", "4 of 150 are tolerated");

    let worst = report["worst"].as_array().unwrap();
    let example = worst.iter().find(|example| example["metric"] == "flip").unwrap();
    let sample = server.admin_get(&format!("/shadow/samples/{}", example["id"].as_str().unwrap()));
    let sample = sample.ok();
    assert_ne!(sample["stable"]["label"], sample["candidate"]["label"]);
    for (version, answers) in [("stable", "stable"), ("candidate", "candidate")] {
        let path = format!("/v1/models/iris/labels/{version}:predict");
        let again = server.ask(&Request::post(&path, sample.to_string())).ok();
        assert_eq!(again["outputs"]["label"], sample[answers]["label"], "it can be asked again");
    }
}

#[test]
fn swapped_classes_are_named_and_rolled_back() {
    let server = shadowing("digits", "shadow = { sample = 1.0, min_pairs = 500 }");
    server.put("digits/2.onnx", test_model("digits_swapped"));
    server.reaches("digits", "shadowing");
    let rows = expected_rows("digits", "1");
    ask_all(&server, "digits", &rows);
    let rollout = server.reaches("digits", "rolled-back");
    assert!(rollout["reason"].as_str().unwrap().starts_with("outputs."), "{rollout}");
    ask_all(&server, "digits", &rows[..50]);

    let report = report(&server, "?model=digits");
    let flagged: Vec<&str> = report["slices"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|slice| slice["flagged"] == true)
        .filter_map(|slice| slice["key"].as_str()?.strip_prefix("output:label="))
        .collect();
    assert!(flagged.contains(&"3") && flagged.contains(&"8"), "{flagged:?}");
    assert!(flagged.iter().all(|class| ["3", "8"].contains(class)), "{flagged:?}");
    let retry = server.operate("digits", "retry", json!({}));
    assert_eq!((retry.status, &retry.json()["code"]), (409, &json!("needs_fresh")));
}

#[test]
fn not_a_number_breaks_the_contract_at_once() {
    let server = shadowing("diabetes", "shadow = { sample = 1.0 }");
    server.put("diabetes/2.onnx", test_model("diabetes_nan"));
    server.reaches("diabetes", "shadowing");
    ask_all(&server, "diabetes", &expected_rows("diabetes", "1"));
    let rollout = server.reaches("diabetes", "rolled-back");
    assert!(rollout["reason"].as_str().unwrap().starts_with("contract: "), "{rollout}");
    let report = report(&server, "?model=diabetes");
    assert_eq!(report["contract"][0]["kind"], "nan");
    assert_eq!(report["contract"][0]["output"], "progression");
}

#[test]
fn a_regression_that_is_off_on_some_inputs_is_named_and_rolled_back() {
    let server =
        shadowing("diabetes", "change = \"equivalent\"\nshadow = { sample = 1.0, min_pairs = 50 }");
    server.put("diabetes/2.onnx", test_model("diabetes_off"));
    server.reaches("diabetes", "shadowing");
    ask_all(&server, "diabetes", &expected_rows("diabetes", "1"));
    let rollout = server.reaches("diabetes", "rolled-back");
    assert!(rollout["reason"].as_str().unwrap().starts_with("outputs.progression: "), "{rollout}");
    let report = report(&server, &format!("?rollout={}", rollout["id"].as_str().unwrap()));
    assert_eq!(gate(&report, "outputs.progression")["status"], "failed");
    assert_eq!(output(&report, "progression")["kind"], "regression");
    assert!(output(&report, "progression")["metrics"]["bias"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_bake_compares_as_well_and_swaps_back() {
    let features = fs::read_to_string(package().join("models/diabetes/model.toml")).unwrap();
    let settings =
        format!("{features}\n[rollout]\nchange = \"equivalent\"\nshadow = {{ sample = 1.0 }}\n");
    let models = Models::made()
        .file("diabetes/1.onnx", example_model("diabetes/1.onnx"))
        .file("diabetes/model.toml", settings);
    let server = TestServer::with_models(models).start();
    server.reaches("diabetes", "completed");
    server.put("diabetes/2.onnx", test_model("diabetes_off"));
    server.reaches("diabetes", "baking");
    let rows = expected_rows("diabetes", "1");
    let mut connection = server.connect();
    let mut rows = rows.iter().cycle();
    let rollout = within(PATIENCE, "a rollback", || {
        let (row, _) = rows.next().unwrap();
        let body = json!({ "instances": [row] }).to_string();
        assert_eq!(connection.ask(&Request::predict("diabetes", body)).unwrap().status, 200);
        Some(server.rollout("diabetes")).filter(|rollout| rollout["phase"] == "rolled-back")
    });
    assert_eq!(rollout["weight"], 0);
    let body = json!({ "instances": [rows.next().unwrap().0] }).to_string();
    let answer = server.predict("diabetes", &body);
    assert_eq!(answer.header("x-model-version"), Some("1"), "the version before answers again");
}

#[test]
fn a_report_and_its_evidence_outlive_the_server() {
    let mut server = shadowing("iris", "shadow = { sample = 1.0, min_pairs = 100000 }");
    server.put("iris/2.onnx", example_model("iris/2.onnx"));
    server.reaches("iris", "shadowing");
    let rows = expected_rows("iris", "1");
    ask_all(&server, "iris", &rows);
    compared(&server, "iris", rows.len());
    assert!(server.stop().success());
    server.start_again();
    let gone_on = compared(&server, "iris", rows.len());
    assert_eq!(gone_on["phase"], "shadowing");
    within(PATIENCE, "candidate and comparison after the restart", || {
        let told = server.told("iris");
        let versions = told["versions"].as_array().unwrap();
        versions.iter().all(|version| version["state"] == "ready").then_some(())
    });
    server.looks_again();
    ask_all(&server, "iris", &rows[..20]);
    compared(&server, "iris", rows.len() + 20);
    assert_eq!(server.operate("iris", "abort", json!({})).status, 200);

    let id = server.rollout("iris")["id"].as_str().unwrap().to_owned();
    let last = report(&server, &format!("?rollout={id}"));
    assert!(server.stop().success());
    server.start_again();
    let kept = report(&server, &format!("?rollout={id}"));
    assert_eq!(kept["worst"][0]["has_inputs"], false, "inputs are never written down");
    for part in ["reason", "verdict", "sampling", "evidence", "outputs", "latency", "slices"] {
        assert_eq!(kept[part], last[part], "{part} of a rollout that is over");
    }
    let log = fs::read_to_string(server.state().join("shadow.log")).unwrap();
    let line: Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    assert_eq!((&line["model"], &line["rollout"]), (&json!("iris"), &json!(id)));
}

#[test]
fn there_is_a_report_for_every_question() {
    let server = shadowing("iris", "shadow = { sample = 1.0 }");
    let empty = server.admin_get("/shadow/report").ok();
    assert_eq!(empty, json!({ "schema": "shadow.report/1", "reports": [] }));
    for (question, status, code) in [
        ("?model=nobody", 404, "no_such_model"),
        ("?rollout=r-000099", 404, "no_such_rollout"),
        ("?rollout=99", 400, "invalid_rollout"),
        ("?format=xml", 400, "invalid_format"),
    ] {
        let answer = server.admin_get(&format!("/shadow/report{question}"));
        assert_eq!((answer.status, &answer.json()["code"]), (status, &json!(code)), "{question}");
    }
    let missing = server.admin_get("/shadow/samples/s-000002-1");
    assert_eq!((missing.status, &missing.json()["code"]), (404, &json!("no_such_sample")));
    let page = server.admin_get("/shadow/report?format=html");
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.text().contains("<!doctype html>") || page.text().contains("<!DOCTYPE html>"));
}
