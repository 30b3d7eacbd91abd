//! What an answer never tells, whatever is asked for: paths of the machine, the library's words, names of the inside of a
//! model, or raw what the client has sent. Some of it is in the log, where nothing can pretend to be a line of its own.

use serde_json::{Value, json};

use super::{ROW, assert_good, served};
use crate::support::{Answer, Request, TestServer, test_model};

/// Names that were chosen to do harm somewhere.
fn hostile_names() -> Vec<String> {
    let names = [
        "..",
        "../..",
        "..%2F..%2F..%2Fetc%2Fpasswd",
        "%2Fetc%2Fpasswd",
        "..%5C..%5Cwindows",
        "%2e%2e%2f%2e%2e",
        "%00",
        "iris%00.onnx",
        "a%0Db%0Ax-injected:%201",
        "a%0A2026-01-01T00:00:00Z%20ERROR%20forged",
        "%1B%5B31mred%1B%5B0m",
        "%C2%85%E2%80%A8%E2%80%AEgnp.exe",
        "%FF%FE",
        "gnp.\u{202e}exe\u{85}\u{2028}",
        "größe",
        "%F0%9F%91%8D",
        "%7Bmodel%7D",
        "$(id)",
        "'%20OR%201=1--",
        "%3Cscript%3Ealert(1)%3C%2Fscript%3E",
        "iris.onnx",
        ".hidden",
        "con",
        "%25s%25n",
    ];
    let long = ["a".repeat(10_000), "%0A".repeat(3_000), "%F0%9F%91%8D".repeat(800)];
    names.map(str::to_owned).into_iter().chain(long).collect()
}

/// A request for each place where a name can stand.
fn requests(name: &str) -> Vec<Request> {
    let predict = |path: String| Request::post(&path, ROW);
    let verb = |verb: &str| format!("/admin/v1/models/{name}/rollout/{verb}");
    vec![
        predict(format!("/v1/models/{name}:predict")),
        predict(format!("/v1/models/iris:{name}")),
        predict(format!("/v1/models/iris/versions/{name}:predict")),
        predict(format!("/v1/models/iris/labels/{name}:predict")),
        predict(format!("/{name}")),
        Request::get(&format!("/v1/models/{name}")),
        Request::get(&format!("/v1/models/{name}/metadata")),
        Request::get(&format!("/v1/models/iris/versions/{name}")),
        Request::get(&format!("/v1/models/iris/versions/{name}/metadata")),
        Request::get(&format!("/v1/models/iris/labels/{name}/metadata")),
        Request::get(&format!("/{name}/{name}")),
        Request::get(&format!("/admin/v1/models/{name}")),
        Request::get(&format!("/admin/v1/models/{name}/rollout")),
        Request::get(&format!("/admin/v1/models/{name}/rollouts?limit={name}")),
        Request::get(&format!("/admin/v1/models/iris/rollouts/{name}")),
        Request::get(&format!("/shadow/samples/{name}")),
        Request::get(&format!("/shadow/report?model={name}")),
        Request::get(&format!("/shadow/report?rollout={name}&format={name}")),
        Request::post(&verb("undo"), "{}"),
        Request::post(&verb(name), "{}"),
        Request::new("DELETE", &format!("/v1/models/{name}")),
    ]
}

/// Fails where an answer tells what it must not.
#[track_caller]
fn assert_discreet(asked: &str, answer: &Answer) {
    let told = format!("{}{}", answer.head, answer.text());
    for secret in [
        "/tmp",
        "/home",
        "/root",
        "/usr",
        "/proc",
        "/work",
        "onnxruntime",
        "OrtException",
        "Status Message",
        "Gather",
        ".cc",
        ".rs:",
        "panicked",
        "backtrace",
        "0x",
        "axum",
        "hyper",
        "serde",
        "sqlite",
    ] {
        assert!(!told.contains(secret), "`{secret}` is told to {asked}:\n{told}");
    }
    let is_raw = |c: char| (c.is_control() && !matches!(c, '\r' | '\n')) || c == '\u{202e}';
    assert!(!told.contains(is_raw), "raw characters are told to {asked}:\n{told:?}");
    assert!(!answer.text().contains(['\r', '\n']), "several lines are told to {asked}:\n{told}");
    assert!(answer.header("x-injected").is_none(), "a header was injected by {asked}:\n{told}");
    assert!(answer.body.len() < 2_000, "{} bytes are told to {asked}", answer.body.len());
}

#[test]
fn no_name_gets_more_than_a_sentence_out_of_the_server() {
    let server =
        TestServer::with_models(served()).flags(&["--log", "human", "--access-log"]).start();
    let lines_before = server.log().lines().count();
    let mut asked = 0;
    for name in hostile_names() {
        for request in requests(&name) {
            let answer = server.ask(&request);
            let shown: String = format!("{request:?}").chars().take(300).collect();
            assert!((400..500).contains(&answer.status), "{shown}: {}", answer.head);
            assert_discreet(&shown, &answer);
            asked += 1;
        }
    }
    assert_good(&server);
    let log = server.log();
    let lines: Vec<&str> = log.lines().skip(lines_before).collect();
    let unlike =
        lines.iter().find(|line| !line.starts_with("20") || !line.contains(" request.id="));
    // What is not HTTP at all gets no line.
    assert!(lines.len() > asked * 9 / 10, "{} lines for {asked} requests", lines.len());
    assert_eq!(unlike, None, "a line of the log is forged");
    assert!(!log.contains(|c: char| c.is_control() && c != '\n'), "raw characters in the log");
}

#[test]
fn why_a_run_failed_is_for_the_log() {
    let server = TestServer::with_models(served()).flags(&["--log", "human"]).start();
    let request = Request::predict("fails", r#"{"instances": [99]}"#);
    let answer = server.ask(&request.header("x-request-id", "the-one"));
    let sentence = "version 1 of `fails` failed on this request; the server's log says why, under \
                    the request's id";
    let expected = json!({ "error": sentence, "code": "run_failed" });
    assert_eq!((answer.status, answer.json()), (500, expected));
    assert_discreet("a request on which a run fails", &answer);
    let log = server.log();
    let line = log.lines().find(|line| line.contains("request.id=\"the-one\"")).unwrap();
    assert!(line.contains("Gather") && line.contains("indices"), "{line}");
}

#[test]
fn the_body_is_not_repeated() {
    let server = TestServer::with_models(served()).start();
    let secret = "4929-1234-5678";
    for body in [
        format!(r#"{{"instances": ["{secret}"]}}"#),
        format!(r#"{{"instances": [{{"sepal_length": "{secret}"}}]}}"#),
        format!(r#"{{"inputs": {{"X": "{secret}"}}}}"#),
        format!(r#"{{"signature_name": "{secret}", "instances": [[1, 2, 3, 4]]}}"#),
        format!(r#"{{"instances": [[1, 2, 3, 4]], "instances": "{secret}"}}"#),
        format!(r#""{secret}""#),
        secret.to_owned(),
    ] {
        let answer = server.predict("iris", &body);
        assert_eq!(answer.status, 400, "{body}");
        assert!(!answer.text().contains(secret), "{}", answer.text());
    }
    assert!(!server.log().contains(secret));
}

#[test]
fn an_operators_words_stay_on_their_line() {
    let server = TestServer::with_models(served()).flags(&["--log", "human"]).start();
    let words = "because\n2026-01-01T00:00:00Z ERROR forged\u{1b}[31m\u{202e}";
    let wish = json!({ "version": "1", "actor": words, "reason": words }).to_string();
    server.ask(&Request::post("/admin/v1/models/iris/rollout/start", wish)).ok();
    let log = server.log();
    assert!(log.contains("because"), "{log}");
    assert!(!log.lines().any(|line| line.contains("forged") && line.starts_with("2026-01-01")));
    assert!(!log.contains(['\u{1b}', '\u{202e}']));
    let unknown = json!({ words: words.repeat(50) }).to_string();
    let answer = server.ask(&Request::post("/admin/v1/models/iris/rollout/start", unknown));
    assert_eq!(answer.status, 400);
    assert_discreet("a wish with a hostile name", &answer);
}

#[test]
fn a_model_that_the_library_does_not_accept_is_told_without_the_librarys_source() {
    let models = served().file("future.onnx", of_the_future());
    let server = TestServer::with_models(models).start();
    let told = server.get("/admin/v1/models/future").ok();
    let reason = told["versions"][0]["reason"].as_str().unwrap();
    assert_eq!(reason, "it is newer than this ONNX Runtime: it has version 120 of the format");
    let client = server.predict("future", ROW);
    let expected = json!({
        "error": "`future` is not ready: version 1 is quarantined",
        "code": "not_ready",
    });
    assert_eq!((client.status, client.json()), (503, expected));
}

/// A good model, but for the version of its format.
fn of_the_future() -> Vec<u8> {
    let mut bytes = test_model("adder");
    assert_eq!(bytes[0], 1 << 3, "the first field is the version of the format");
    bytes[1] = 120;
    bytes
}

#[test]
fn a_request_without_rows_is_told_what_is_expected() {
    let server = TestServer::with_models(served()).start();
    for (model, told) in [
        ("iris", "input `X`: expected f32[N, 4] with at least one row, got f32[0, 4]"),
        ("fails", "input `X`: expected i64[N] with at least one row, got i64[0]"),
    ] {
        let answer = server.predict(model, r#"{"inputs": []}"#);
        let expected = json!({ "error": format!("inputs: {told}"), "code": "invalid_input" });
        assert_eq!((answer.status, answer.json()), (400, expected));
    }
}

#[test]
fn inputs_that_do_not_fit_each_other_are_told_by_name() {
    let server = TestServer::with_models(served()).start();
    let metadata = server.get("/v1/models/wine/metadata").ok();
    let inputs =
        &metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]["inputs"];
    let rows = |name: &String| if name == "hue" { json!([[1], [2]]) } else { json!([[1]]) };
    let members = inputs.as_object().unwrap().keys().map(|name| (name.clone(), rows(name)));
    let body = json!({ "inputs": members.collect::<serde_json::Map<String, Value>>() });
    let answer = server.predict("wine", &body.to_string());
    let sentence = answer.json()["error"].as_str().unwrap().to_owned();
    assert_eq!(answer.status, 400, "{sentence}");
    assert!(sentence.contains("input `alcohol`") && sentence.contains("input `hue`"), "{sentence}");
}
