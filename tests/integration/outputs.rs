//! Every kind of value goes in and comes out, and a model that fails takes nobody with it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Models, Request, TestServer, within};

#[test]
fn every_element_type_comes_back_as_it_went_in() {
    let server = TestServer::with_models(Models::of_tests(&["types"])).start();
    let answer = server.predict(
        "types",
        r#"{"instances": [
            {"b": true, "i": -2147483648, "l": 9223372036854775807, "f": 0.1, "d": 0.1, "s": "ä\"<\n"},
            {"b": false, "i": 2147483647, "l": -9223372036854775808, "f": -0.0, "d": 5e-324, "s": ""}
        ]}"#,
    );
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (
            200,
            concat!(
                r#"{"predictions":[{"b_out":true,"i_out":-2147483648,"l_out":9223372036854775807,"#,
                r#""f_out":0.1,"d_out":0.1,"s_out":"ä\"<\n"},{"b_out":false,"i_out":2147483647,"#,
                r#""l_out":-9223372036854775808,"f_out":-0.0,"d_out":5e-324,"s_out":""}]}"#
            )
        )
    );
}

#[test]
fn text_may_come_as_base64() {
    assert_eq!(echo("s", r#"[{"b64": "w6QK"}, "b64"]"#), r#"["ä\n","b64"]"#);
}

#[test]
fn numbers_that_json_has_no_form_for_are_bare_words_or_strings() {
    assert_eq!(
        echo("f", r#"[NaN, Infinity, -Infinity, "NaN", "Infinity", "-Infinity"]"#),
        "[NaN,Infinity,-Infinity,NaN,Infinity,-Infinity]"
    );
    assert_eq!(echo("d", r#"["-Infinity", NaN]"#), "[-Infinity,NaN]");
}

#[test]
fn text_with_a_nul_comes_back_as_it_went_in_or_is_the_clients_mistake() {
    let server = TestServer::with_models(Models::of_tests(&["types"])).start();
    let answer = server.predict("types", &types("s", r#"["a\u0000b"]"#));
    assert!(matches!(answer.status, 200 | 400), "{} {}", answer.status, answer.text());
}

/// What comes out of `types` where `input` is given such values, as written.
fn echo(input: &str, values: &str) -> String {
    let server = TestServer::with_models(Models::of_tests(&["types"])).start();
    let answer = server.predict("types", &types(input, values));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = answer.text();
    let (_, rest) = text.split_once(&format!(r#""{input}_out":"#)).unwrap();
    rest[..=rest.find(']').unwrap()].to_owned()
}

/// A request to `types`, with one input of the test's own.
fn types(input: &str, values: &str) -> String {
    let usual = |name: &str, usual: &str| {
        let values = if name == input { values } else { usual };
        format!(r#""{name}": {values}"#)
    };
    let inputs = [
        usual("b", "[true]"),
        usual("i", "[1]"),
        usual("l", "[1]"),
        usual("f", "[1]"),
        usual("d", "[1]"),
        usual("s", r#"["a"]"#),
    ];
    format!(r#"{{"inputs": {{{}}}}}"#, inputs.join(", "))
}

#[test]
fn a_model_may_answer_nan_and_infinity() {
    let server = TestServer::with_models(Models::of_tests(&["nan"])).start();
    let answer = server.predict("nan", r#"{"instances": [0, 2, -0.0]}"#);
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (
            200,
            r#"{"predictions":[{"Y":NaN,"Z":Infinity},{"Y":1.0,"Z":0.5},{"Y":NaN,"Z":-Infinity}]}"#
        )
    );
}

#[test]
fn an_output_that_is_no_rows_can_be_asked_for_with_inputs() {
    let server = TestServer::with_models(Models::of_tests(&["scalar"])).start();
    let whole = server.predict("scalar", r#"{"inputs": [[1, 2], [3, 4]]}"#);
    assert_eq!(whole.ok(), json!({ "outputs": { "total": 10.0, "sums": [3.0, 7.0] } }));
    let rows = server.predict("scalar", r#"{"instances": [[1, 2], [3, 4]]}"#);
    let sentence = "output `total` has the shape [], which cannot be split into 2 rows; \
                    use `inputs` instead of `instances`";
    assert_eq!(
        (rows.status, rows.json()),
        (400, json!({ "error": sentence, "code": "not_per_row" }))
    );
}

#[test]
fn a_failing_run_answers_500_and_the_server_goes_on() {
    let server = TestServer::with_models(Models::of_tests(&["fails"])).start();
    let bad = Request::predict("fails", r#"{"instances": [0, 99]}"#);
    let answer = server.ask(&bad.header("x-request-id", "a-bad-request"));
    let sentence = "version 1 of `fails` failed on this request; \
                    the server's log says why, under the request's id";
    assert_eq!(
        (answer.status, answer.json()),
        (500, json!({ "error": sentence, "code": "run_failed" }))
    );
    assert_eq!(answer.header("x-request-id"), Some("a-bad-request"));
    let good = server.predict("fails", r#"{"instances": [2, 0, -1]}"#);
    assert_eq!(good.ok(), json!({ "predictions": [30.0, 10.0, 30.0] }));
}

#[test]
fn the_log_has_the_cause_of_a_failed_run_under_the_requests_id() {
    let server = TestServer::with_models(Models::of_tests(&["fails"])).start();
    let bad = Request::predict("fails", r#"{"instances": [99]}"#);
    server.ask(&bad.header("x-request-id", "a-bad-request"));
    let line: Value = within(Duration::from_secs(10), "a line about the failed run", || {
        let log = server.log();
        let line = log.lines().find(|line| line.contains("a-bad-request"))?;
        Some(serde_json::from_str(line).unwrap())
    });
    assert_eq!(line["level"], "ERROR");
    assert_eq!(line["model.name"], "fails");
    assert_eq!(line["request.id"], "a-bad-request");
    assert!(line["message"].as_str().unwrap().contains("idx=99"), "{line}");
}

#[test]
fn a_failed_run_is_counted_as_failed() {
    let server = TestServer::with_models(Models::of_tests(&["fails"])).start();
    server.predict("fails", r#"{"instances": [99]}"#);
    let failed = server.metric(
        r#"greenroom_requests_total{model="fails",version="1",role="stable",outcome="failed"}"#,
    );
    assert_eq!(failed, 1.0);
}
