//! What operators and their tools read, and who may read it.

use std::fs;
use std::net::SocketAddr;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{Models, Request, TestServer, package};

fn server() -> TestServer {
    TestServer::with_models(Models::of_the_repository()).start()
}

/// The same without what differs each time, and with files for their digests and lengths.
fn redacted(model: &Value) -> String {
    let mut model = model.clone();
    for version in model["versions"].as_array_mut().unwrap() {
        let file = fs::read(package().join("models").join(text(&version["file"]))).unwrap();
        let digest: String = Sha256::digest(&file).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(version["digest"], format!("sha256:{digest}"));
        assert_eq!(version["bytes"], file.len());
        assert!(version["load_ms"].is_u64() && version["memory_bytes"].is_u64(), "{version}");
        assert!(humantime::parse_rfc3339(text(&version["since"])).is_ok(), "{version}");
        for redacted in ["digest", "bytes", "memory_bytes", "load_ms", "since"] {
            version[redacted] = json!(format!("[{redacted}]"));
        }
    }
    // Lists of plain values on one line.
    let lines = serde_json::to_string_pretty(&model).unwrap();
    lines
        .replace("[\n              ", "[")
        .replace(",\n              ", ", ")
        .replace("\n            ]", "]")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

#[test]
fn a_model_is_told_with_everything_that_is_known_of_its_versions() {
    let model = server().get("/admin/v1/models/iris").ok();
    insta::assert_snapshot!(redacted(&model), @r#"
    {
      "name": "iris",
      "stable": "2",
      "candidate": null,
      "previous": null,
      "versions": [
        {
          "version": "1",
          "digest": "[digest]",
          "state": "ready",
          "role": "pinned",
          "since": "[since]",
          "reason": null,
          "file": "iris/1.onnx",
          "file_present": true,
          "bytes": "[bytes]",
          "memory_bytes": "[memory_bytes]",
          "load_ms": "[load_ms]",
          "signature": {
            "inputs": [
              {
                "name": "X",
                "dtype": "f32",
                "shape": ["N", 4]
              }
            ],
            "outputs": [
              {
                "name": "label",
                "dtype": "string",
                "shape": ["N"]
              },
              {
                "name": "probabilities",
                "dtype": "map(string, f32)",
                "shape": ["N"]
              }
            ]
          }
        },
        {
          "version": "2",
          "digest": "[digest]",
          "state": "ready",
          "role": "stable",
          "since": "[since]",
          "reason": null,
          "file": "iris/2.onnx",
          "file_present": true,
          "bytes": "[bytes]",
          "memory_bytes": "[memory_bytes]",
          "load_ms": "[load_ms]",
          "signature": {
            "inputs": [
              {
                "name": "X",
                "dtype": "f32",
                "shape": ["N", 4]
              }
            ],
            "outputs": [
              {
                "name": "label",
                "dtype": "string",
                "shape": ["N"]
              },
              {
                "name": "probabilities",
                "dtype": "map(string, f32)",
                "shape": ["N"]
              }
            ]
          }
        }
      ],
      "rollout": "r-000003",
      "problem": null,
      "not_taken": []
    }
    "#);
}

#[test]
fn all_models_are_told_alike() {
    let server = server();
    let names = ["diabetes", "digits", "iris", "wine"];
    let each = names.map(|name| server.get(&format!("/admin/v1/models/{name}")).ok());
    assert_eq!(server.get("/admin/v1/models").ok(), json!({ "models": each }));
    insta::assert_snapshot!(redacted(&each[1]), @r#"
    {
      "name": "digits",
      "stable": "1",
      "candidate": null,
      "previous": null,
      "versions": [
        {
          "version": "1",
          "digest": "[digest]",
          "state": "ready",
          "role": "stable",
          "since": "[since]",
          "reason": null,
          "file": "digits/1.onnx",
          "file_present": true,
          "bytes": "[bytes]",
          "memory_bytes": "[memory_bytes]",
          "load_ms": "[load_ms]",
          "signature": {
            "inputs": [
              {
                "name": "X",
                "dtype": "f32",
                "shape": ["N", 64]
              }
            ],
            "outputs": [
              {
                "name": "label",
                "dtype": "i64",
                "shape": ["N"]
              },
              {
                "name": "probabilities",
                "dtype": "f32",
                "shape": ["N", 10]
              }
            ]
          }
        }
      ],
      "rollout": "r-000002",
      "problem": null,
      "not_taken": []
    }
    "#);
}

#[test]
fn an_unknown_model_is_not_found() {
    let answer = server().get("/admin/v1/models/nope");
    let expected = json!({ "error": "model `nope` does not exist", "code": "no_such_model" });
    assert_eq!((answer.status, answer.json()), (404, expected));
}

#[test]
fn one_who_has_the_answer_already_is_told_that_it_has_not_changed() {
    let server = server();
    for path in ["/admin/v1/models", "/admin/v1/models/iris"] {
        let first = server.get(path);
        let tag = first.header("etag").unwrap();
        let again = server.ask(&Request::get(path).header("if-none-match", tag));
        assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, Some(tag)));
        let other = server.ask(&Request::get(path).header("if-none-match", "\"0123\""));
        assert_eq!(other.ok(), first.ok());
    }
}

#[test]
fn web_pages_and_other_names_of_the_machine_are_refused() {
    let server = server();
    for path in ["/admin/v1/models", "/admin/v1/models/iris", "/metrics"] {
        for (header, value, sentence) in [
            (
                "host",
                "evil.example",
                "the admin routes are for this machine; ask for `localhost` or `127.0.0.1`",
            ),
            ("origin", "http://evil.example", "the admin routes are not for other sites' pages"),
            ("origin", "null", "the admin routes are not for other sites' pages"),
        ] {
            let answer = server.ask(&Request::get(path).header(header, value));
            let expected = json!({ "error": sentence, "code": "forbidden" });
            assert_eq!((answer.status, answer.json()), (403, expected), "{path} {value}");
        }
        let own = Request::get(path).header("host", "127.0.0.1:8000");
        let own = own.header("origin", "http://127.0.0.1:8000");
        assert_eq!(server.ask(&own).status, 200, "{path}");
    }
}

#[test]
fn inference_is_for_pages_and_names_of_all_kinds() {
    let request = Request::get("/v1/models").header("host", "models.example");
    let answer = server().ask(&request.header("origin", "http://models.example"));
    assert_eq!(answer.status, 200);
}

#[test]
fn where_http_is_for_everybody_the_admin_routes_have_a_listener_of_their_own() {
    let server = TestServer::with_models(Models::of_the_repository())
        .flags(&["--http", "0.0.0.0:0", "--admin", "127.0.0.1:0"])
        .start();
    assert_ne!(server.http(), server.admin());
    for path in ["/admin/v1/models", "/admin/v1/models/iris", "/metrics"] {
        assert_eq!(server.ask_at(server.admin(), &Request::get(path)).status, 200, "{path}");
        let answer = server.get(path);
        let sentence = format!("there is nothing at {path}");
        let expected = json!({ "error": sentence, "code": "no_such_route" });
        assert_eq!((answer.status, answer.json()), (404, expected));
    }
    let inference = server.ask_at(server.admin(), &Request::get("/v2/health/ready"));
    assert_eq!(inference.status, 404);
}

#[test]
fn an_admin_address_for_everybody_needs_a_token() {
    let run =
        TestServer::with_models(Models::of_the_repository()).flags(&["--admin", "0.0.0.0:0"]).run();
    assert_eq!(run.code, Some(2));
    assert_eq!(
        run.stderr,
        "error: --admin: `admin.token_file` must be set, because `admin.listen` is 0.0.0.0:0, \
         which is not loopback\n"
    );
}

#[test]
fn with_a_token_the_admin_routes_are_for_those_who_have_it() {
    let server = TestServer::with_models(Models::of_the_repository())
        .settings("[admin]\ntoken_file = \"admin.token\"")
        .file("admin.token", "s3cret\n")
        .flags(&["--admin", "0.0.0.0:0"])
        .start();
    for path in ["/admin/v1/models", "/metrics"] {
        let ask = |token: Option<&str>| {
            let request = Request::get(path).header("host", "models.example");
            let request = match token {
                Some(token) => request.header("authorization", token),
                None => request,
            };
            server.ask_at(server.admin(), &request)
        };
        assert_eq!(ask(Some("Bearer s3cret")).status, 200, "{path}");
        for wrong in [None, Some("Bearer s3cre"), Some("Bearer s3cret2"), Some("s3cret")] {
            let answer = ask(wrong);
            let sentence = "the admin routes need `authorization: Bearer …` \
                            with the server's admin token";
            let expected = json!({ "error": sentence, "code": "unauthorized" });
            assert_eq!((answer.status, answer.json()), (401, expected), "{path} {wrong:?}");
        }
    }
}

/// A server whose measurements are at `address`, and where that is.
fn with_metrics_at(address: &str) -> (TestServer, SocketAddr) {
    let server = TestServer::with_models(Models::of_the_repository())
        .settings(&format!("[metrics]\nlisten = \"{address}\""))
        .start();
    let here: Value =
        serde_json::from_str(&std::fs::read_to_string(server.server_file()).unwrap()).unwrap();
    let url = here["metrics"].as_str().unwrap().replace("0.0.0.0", "127.0.0.1");
    let address = url.strip_prefix("http://").and_then(|url| url.strip_suffix("/metrics"));
    let address = address.unwrap().parse().unwrap();
    assert_ne!(address, server.http());
    (server, address)
}

#[test]
fn metrics_may_be_read_from_elsewhere_where_they_have_an_address_for_that() {
    let (server, address) = with_metrics_at("0.0.0.0:0");
    let request = Request::get("/metrics").header("host", "models.example");
    assert_eq!(server.ask_at(address, &request).status, 200);
    for path in ["/admin/v1/models", "/shadow/report", "/v2/health/ready"] {
        assert_eq!(server.ask_at(address, &Request::get(path)).status, 404, "{path}");
    }
}

#[test]
fn metrics_on_a_loopback_address_are_not_for_web_pages() {
    let (server, address) = with_metrics_at("127.0.0.1:0");
    assert_eq!(server.ask_at(address, &Request::get("/metrics")).status, 200);
    let request = Request::get("/metrics").header("host", "models.example");
    assert_eq!(server.ask_at(address, &request).status, 403);
}
