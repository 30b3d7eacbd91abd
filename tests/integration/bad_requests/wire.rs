//! Bytes and sizes: what is not UTF-8, not HTTP, too large, too long or too deep.

use std::io::Write;

use super::{Bad, ROW, check, send, served};
use crate::support::{Request, TestServer};

fn server() -> TestServer {
    TestServer::with_models(served()).start()
}

#[test]
fn a_body_that_is_not_utf_8_is_told() {
    let bad = |name, body: &[u8], sentence| {
        Bad::new(name, &Request::predict("iris", body), 400, "malformed_json", sentence)
    };
    let utf_16: Vec<u8> = ROW.bytes().flat_map(|byte| [byte, 0]).collect();
    check(
        &server(),
        &[
            bad("nothing", b"", "malformed JSON: EOF while parsing a value at line 1 column 0"),
            bad(
                "in a value",
                b"{\"instances\": [[\"\xff\xfe\", 3.5, 1.4, 0.2]]}",
                "instances[0][0]: malformed JSON: invalid unicode code point at line 1 column 18",
            ),
            bad(
                "in a key",
                b"{\"\xff\": 1}",
                "malformed JSON: invalid unicode code point at line 1 column 3",
            ),
            bad(
                "a byte order mark",
                b"\xef\xbb\xbf{}",
                "malformed JSON: expected value at line 1 column 1",
            ),
            bad("UTF-16", &utf_16, "malformed JSON: key must be a string at line 1 column 2"),
        ],
    );
}

#[test]
fn a_path_that_is_not_utf_8_is_told_in_json() {
    let server = server();
    for request in [Request::predict("%FF", ROW), Request::get("/v1/models/%FF")] {
        let answer = send(&server, &request.bytes());
        assert_eq!(answer.status, 400);
        assert!(answer.json()["code"].is_string(), "{}", answer.text());
    }
}

#[test]
fn what_is_not_http_is_refused() {
    let post = "POST /v1/models/iris:predict HTTP/1.1\r\nhost: x\r\n";
    let head = |more: &str| format!("{post}{more}\r\n\r\n");
    let long = "a".repeat(20_000);
    let greeting = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n";
    check(
        &server(),
        &[
            Bad::raw("no HTTP", "hello\r\n\r\n", 400),
            Bad::raw("a TLS greeting", greeting, 400),
            Bad::raw("a version to come", "GET / HTTP/7.0\r\n\r\n", 400),
            Bad::raw("a space in a header's name", head("a b: c"), 400),
            Bad::raw("a negative length", head("content-length: -1"), 400),
            Bad::raw("two lengths", head("content-length: 1\r\ncontent-length: 2"), 400),
            Bad::raw("a transfer encoding of one's own", head("transfer-encoding: own"), 400),
            Bad::raw("a large header", head(&format!("x: {long}")), 431),
            Bad::raw("many headers", head(&"x: y\r\n".repeat(300)), 431),
            Bad::raw("a long path", format!("GET /{long} HTTP/1.1\r\n\r\n"), 431),
        ],
    );
}

/// A server that takes little.
fn strict() -> TestServer {
    let settings = "[http]\nmax_body = \"1KiB\"\n[limits]\nelements = 8\nstring_bytes = \"16B\"";
    TestServer::with_models(served()).settings(settings).start()
}

fn chunked(chunks: &[&str]) -> Request {
    let mut body = Vec::new();
    for chunk in chunks.iter().chain(&[""]) {
        write!(body, "{:x}\r\n{chunk}\r\n", chunk.len()).unwrap();
    }
    Request::predict("iris", body).header("transfer-encoding", "chunked")
}

#[test]
fn a_body_larger_than_the_limit_is_refused_at_once() {
    let padded = format!("{ROW}{}", " ".repeat(1024));
    let huge = Request::predict("iris", "").header("content-length", "10000000000");
    let sentence = "the body is larger than 1024 bytes, the most that is taken (`http.max_body`)";
    let bad = |name, request| Bad::new(name, &request, 413, "body_too_large", sentence);
    check(
        &strict(),
        &[
            bad("a large body", Request::predict("iris", padded.as_str())),
            bad("ten gigabytes to come", huge.clone()),
            bad("the same, asked first", huge.header("expect", "100-continue")),
            bad("one large chunk", chunked(&[&padded])),
            bad("many small chunks", chunked(&[" "; 1025])),
        ],
    );
}

#[test]
fn more_elements_or_text_than_the_limits_are_refused_with_the_number() {
    let bad = |name, request, sentence| Bad::new(name, &request, 413, "input_too_large", sentence);
    let rows = r#"{"instances": [[1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4]]}"#;
    let text = r#"{"inputs": {"s": ["0123456789", "0123456789"]}}"#;
    check(
        &strict(),
        &[
            bad(
                "elements",
                Request::predict("iris", rows),
                "instances[2][0]: more than 8 elements in one request",
            ),
            bad(
                "text",
                Request::predict("types", text),
                "inputs.s[1]: more than 16 bytes of text in one request",
            ),
        ],
    );
}

#[test]
fn a_chunked_body_within_the_limits_is_taken() {
    let (begin, end) = ROW.split_at(20);
    assert_eq!(strict().ask(&chunked(&[begin, end])).status, 200);
}

#[test]
fn nesting_without_end_is_refused_without_a_deep_stack() {
    let (open, close) = ("[".repeat(20_000), "]".repeat(20_000));
    let (objects, ends) = ("{\"a\":".repeat(20_000), "}".repeat(20_000));
    let bad = |name, model, body: String, sentence| {
        Bad::new(name, &Request::predict(model, body), 400, "invalid_input", sentence)
    };
    check(
        &server(),
        &[
            bad(
                "arrays as rows",
                "iris",
                format!("{{\"instances\": {open}{close}}}"),
                "instances[0][0]: expected a number, got an array",
            ),
            bad(
                "objects as rows",
                "diabetes",
                format!("{{\"instances\": [{{\"age\": {objects}1{ends}}}]}}"),
                "instances[0].age: expected a number, got an object",
            ),
            bad(
                "arrays at the root",
                "iris",
                open.clone(),
                "expected an object with `instances` or `inputs`, got an array",
            ),
            bad(
                "arrays beside the rows",
                "iris",
                format!("{{\"x\": {open}{close}, \"instances\": [[5.1, 3.5, 1.4, 0.2]]}}"),
                "x: nested deeper than 32 levels",
            ),
            bad(
                "arrays as base64",
                "types",
                format!("{{\"inputs\": {{\"s\": [{{\"b64\": {open}{close}}}]}}}}"),
                "inputs.s[0].b64: expected a string in base64, got an array",
            ),
        ],
    );
}
