//! The document of the API is right: it is OpenAPI, its requests are taken, and answers are as it says.

mod page;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::support::{Answer, Models, Plan, Request, TestServer, adder};

/// What the OpenAPI Initiative says of documents.
static OPENAPI: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("openapi-3.1.schema.json")).unwrap());

fn plan() -> Plan {
    TestServer::with_models(Models::of_the_repository())
}

/// What a server says of itself, by which its answers are judged.
struct Described {
    document: Value,
}

impl Described {
    fn by(server: &TestServer) -> Self {
        Self { document: server.get("/openapi.json").ok() }
    }

    fn operations(&self) -> impl Iterator<Item = (&str, String, &Value)> {
        let paths = self.document["paths"].as_object().unwrap().iter();
        paths.flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().iter();
            methods.map(|(method, it)| (path.as_str(), method.to_ascii_uppercase(), it))
        })
    }

    /// What a reference refers to; what is none, itself.
    fn resolved<'d>(&'d self, value: &'d Value) -> &'d Value {
        match value["$ref"].as_str() {
            Some(place) => self.document.pointer(&place[1..]).unwrap_or_else(|| panic!("{place}")),
            None => value,
        }
    }

    /// Judges values by a schema of the document.
    fn validator(&self, schema: &Value) -> Validator {
        let whole = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "components": self.document["components"],
            "allOf": [schema],
        });
        jsonschema::options().should_validate_formats(true).build(&whole).unwrap()
    }

    #[track_caller]
    fn assert_fits(&self, schema: &Value, value: &Value, what: &str) {
        let validator = self.validator(schema);
        let problems: Vec<String> = validator
            .iter_errors(value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert_eq!(problems, Vec::<String>::new(), "{what}: {value}");
    }

    /// Whether the document has the answer's status for this operation, and its body is as that says.
    #[track_caller]
    fn assert_answered(&self, operation: &str, answer: &Answer) {
        let all: Vec<_> = self.operations().collect();
        let (_, _, it) = all.iter().find(|(_, _, it)| it["operationId"] == operation).unwrap();
        let status = answer.status.to_string();
        let what = format!("{operation} {status}");
        let reply = &it["responses"][&status];
        assert!(reply.is_object(), "{what} is not described: {}", answer.text());
        let reply = self.resolved(reply);
        let content_type = answer.header("content-type").unwrap_or_default();
        let media = &reply["content"][content_type.split(';').next().unwrap()];
        assert!(media.is_object(), "{what} is not described as `{content_type}`");
        let value = match content_type {
            "application/json" => answer.json(),
            _ => answer.text().into(),
        };
        self.assert_fits(&media["schema"], &value, &what);
        for (name, header) in reply["headers"].as_object().into_iter().flatten() {
            if let Some(text) = answer.header(name) {
                let schema = &self.resolved(header)["schema"];
                let value = match schema["type"] == "integer" {
                    true => text.parse::<u64>().unwrap().into(),
                    false => text.into(),
                };
                self.assert_fits(schema, &value, &format!("{what}: header `{name}`"));
            }
        }
    }

    /// Each operation's examples of a request's body, as requests.
    fn requests(&self) -> Vec<(String, Request)> {
        let mut requests = Vec::new();
        for (path, method, operation) in self.operations() {
            let body = self.resolved(&operation["requestBody"]);
            let media = &body["content"]["application/json"];
            for (name, example) in media["examples"].as_object().into_iter().flatten() {
                let value = &example["value"];
                let id = operation["operationId"].as_str().unwrap();
                self.assert_fits(&media["schema"], value, &format!("{id}: {name}"));
                let path = self.filled(path, operation, name);
                requests
                    .push((id.to_owned(), Request::new(&method, &path).body(value.to_string())));
            }
        }
        requests
    }

    /// The path with the examples of its parameters. A verb is that which the example is for.
    fn filled(&self, path: &str, operation: &Value, example: &str) -> String {
        let parameters = operation["parameters"].as_array().unwrap().iter();
        let parameters = parameters.map(|one| self.resolved(one));
        parameters.filter(|one| one["in"] == "path").fold(path.to_owned(), |path, one| {
            let name = one["name"].as_str().unwrap();
            let value = if name == "verb" { example } else { one["example"].as_str().unwrap() };
            path.replace(&format!("{{{name}}}"), value)
        })
    }
}

#[test]
fn the_document_is_openapi() {
    let server = plan().flags(&["--admin", "127.0.0.1:0"]).start();
    let validator = jsonschema::options().should_validate_formats(true).build(&OPENAPI).unwrap();
    let at = |address| server.ask_at(address, &Request::get("/openapi.json")).ok();
    for document in [
        Described::by(&server).document,
        at(server.admin()),
        Described::by(&plan().start()).document,
    ] {
        let problems: Vec<String> = validator
            .iter_errors(&document)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
        for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
            if let Err(error) = jsonschema::draft202012::meta::validate(schema) {
                panic!("{name}: {error}");
            }
        }
    }
}

#[test]
fn what_is_no_openapi_is_found() {
    let validator = jsonschema::validator_for(&OPENAPI).unwrap();
    let mut document = Described::by(&plan().start()).document;
    assert!(validator.is_valid(&document));
    document["paths"]["/v1/models"]["get"]["responses"]["200"]["descripton"] = json!("a slip");
    assert!(!validator.is_valid(&document));
}

#[test]
fn a_schemas_own_examples_are_as_it_says() {
    let described = Described::by(&plan().start());
    let schemas = described.document["components"]["schemas"].as_object().unwrap();
    let mut examples = 0;
    for (name, schema) in schemas {
        for example in schema["examples"].as_array().into_iter().flatten() {
            described.assert_fits(schema, example, name);
            examples += 1;
        }
    }
    assert!(examples >= 8, "{examples}");
    for (path, method, operation) in described.operations() {
        for (status, reply) in operation["responses"].as_object().unwrap() {
            let content = described.resolved(reply)["content"].as_object();
            for media in content.into_iter().flatten().map(|(_, media)| media) {
                if let Some(example) = media.get("example") {
                    let what = format!("{method} {path} {status}");
                    described.assert_fits(&media["schema"], example, &what);
                }
            }
        }
    }
}

#[test]
fn each_listener_tells_of_its_own_routes() {
    let server = plan().flags(&["--admin", "127.0.0.1:0"]).start();
    let paths = |answer: Answer| -> BTreeSet<String> {
        answer.ok()["paths"].as_object().unwrap().keys().cloned().collect()
    };
    let of_clients = paths(server.get("/openapi.json"));
    let of_operators = paths(server.ask_at(server.admin(), &Request::get("/openapi.json")));
    let both: Vec<&String> = of_clients.intersection(&of_operators).collect();
    assert_eq!(both, ["/docs", "/openapi.json"]);
    assert!(of_clients.contains("/v1/models/{model}:predict"));
    assert!(of_operators.contains("/admin/v1/models/{model}/rollout/{verb}"));
    let all: BTreeSet<String> = of_clients.union(&of_operators).cloned().collect();
    assert_eq!(paths(plan().start().get("/openapi.json")), all);
}

#[test]
fn one_who_has_the_document_does_not_get_it_again() {
    let server = plan().start();
    let answer = server.get("/openapi.json");
    let again =
        Request::get("/openapi.json").header("if-none-match", answer.header("etag").unwrap());
    assert_eq!(server.ask(&again).status, 304);
}

/// A server whose model `iris` is in the middle of a canary.
fn in_a_canary() -> TestServer {
    let settings = "[rollout]\nstrategy = \"canary\"\nchange = \"new-task\"\nsteps = [50]\nmin_time = \"1h\"\n\
                    shadow = { sample = 1.0, min_pairs = 0 }\n";
    let models = Models::made().file("iris/1.onnx", adder(1.0)).file("iris/model.toml", settings);
    let server = TestServer::with_models(models).start();
    server.put("iris/2.onnx", adder(2.0));
    server.reaches("iris", "canary");
    server
}

#[test]
fn every_example_of_a_request_is_taken() {
    let server = plan().start();
    let requests = Described::by(&server).requests();
    let inference =
        requests.iter().filter(|(id, _)| id.starts_with("predict") || id.starts_with("infer"));
    let mut taken = 0;
    for (id, request) in inference {
        let answer = server.ask(request);
        assert_eq!(answer.status, 200, "{id} {request:?}: {}", answer.text());
        Described::by(&server).assert_answered(id, &answer);
        taken += 1;
    }
    assert!(taken >= 10, "{taken}");
}

#[test]
fn every_example_of_a_command_is_understood() {
    let server = in_a_canary();
    let described = Described::by(&server);
    let mut verbs = 0;
    for (id, request) in
        described.requests().iter().filter(|(id, _)| id.contains("retry") || id.contains("command"))
    {
        // Whether it is followed depends on how the rollout stands.
        let answer = server.ask(request);
        assert!([200, 409].contains(&answer.status), "{request:?}: {}", answer.text());
        described.assert_answered(id, &answer);
        verbs += 1;
    }
    assert!(verbs >= 9, "{verbs}");
}

#[test]
fn answers_about_models_are_as_described() {
    let server = plan().start();
    let described = Described::by(&server);
    for (operation, path) in [
        ("list_models", "/v1/models"),
        ("model_status", "/v1/models/iris"),
        ("model_status", "/v1/models/nothing"),
        ("version_status", "/v1/models/iris/versions/1"),
        ("version_status", "/v1/models/iris/versions/9"),
        ("label_status", "/v1/models/iris/labels/stable"),
        ("label_status", "/v1/models/iris/labels/nothing"),
        ("model_metadata_v1", "/v1/models/iris/metadata"),
        ("version_metadata_v1", "/v1/models/wine/versions/1/metadata"),
        ("label_metadata_v1", "/v1/models/digits/labels/stable/metadata"),
        ("server_metadata", "/v2"),
        ("live", "/v2/health/live"),
        ("ready", "/v2/health/ready"),
        ("list_models_v2", "/v2/models"),
        ("model_metadata", "/v2/models/iris"),
        ("model_metadata", "/v2/models/nothing"),
        ("model_ready", "/v2/models/iris/ready"),
        ("version_metadata", "/v2/models/iris/versions/stable"),
        ("version_ready", "/v2/models/iris/versions/1/ready"),
        ("admin_models", "/admin/v1/models"),
        ("admin_model", "/admin/v1/models/wine"),
        ("admin_model", "/admin/v1/models/nothing"),
        ("shadow_report", "/shadow/report"),
        ("shadow_report", "/shadow/report?format=html"),
        ("shadow_report", "/shadow/report?format=pdf"),
        ("shadow_sample", "/shadow/samples/s-000001-1"),
        ("metrics", "/metrics"),
        ("openapi", "/openapi.json"),
        ("docs", "/docs"),
    ] {
        described.assert_answered(operation, &server.get(path));
    }
}

#[test]
fn answers_about_a_rollout_are_as_described() {
    let server = in_a_canary();
    for _ in 0..20 {
        assert_eq!(server.predict("iris", r#"{"instances": [[0, 1000]]}"#).status, 200);
    }
    let described = Described::by(&server);
    let id = server.rollout("iris")["id"].as_str().unwrap().to_owned();
    for (operation, path) in [
        ("rollout", "/admin/v1/models/iris/rollout".to_owned()),
        ("rollout", "/admin/v1/models/nothing/rollout".to_owned()),
        ("rollouts", "/admin/v1/models/iris/rollouts".to_owned()),
        ("rollouts", "/admin/v1/models/iris/rollouts?limit=none".to_owned()),
        ("past_rollout", format!("/admin/v1/models/iris/rollouts/{id}")),
        ("past_rollout", "/admin/v1/models/iris/rollouts/r-999999".to_owned()),
        ("shadow_report", "/shadow/report".to_owned()),
        ("admin_model", "/admin/v1/models/iris".to_owned()),
    ] {
        described.assert_answered(operation, &server.get(&path));
    }
    let command = |verb: &str, body: &str| {
        Request::post(&format!("/admin/v1/models/iris/rollout/{verb}"), body)
    };
    for request in [
        command("pause", "{}"),
        command("pause", "{}"),
        command("undo", r#"{"weight": 7}"#),
        command("dance", ""),
        command("abort", "").header("if-match", "\"1\""),
    ] {
        described.assert_answered("command_rollout", &server.ask(&request));
    }
}

#[test]
fn requests_that_are_refused_are_told_so_as_described() {
    let server = plan().settings("[http]\nmax_body = \"64KiB\"").start();
    let described = Described::by(&server);
    let row = r#"{"instances": [[5.1, 3.5, 1.4, 0.2]]}"#;
    for (request, status) in [
        (Request::predict("iris", "{"), 400),
        (Request::predict("iris", r#"{"instances": [[1]]}"#), 400),
        (Request::predict("nothing", row), 404),
        (Request::predict("iris", vec![b' '; 70_000]), 413),
        (Request::predict("iris", row).header("content-encoding", "br"), 415),
        (Request::predict("iris", row).header("x-request-timeout", "1ns"), 504),
    ] {
        let answer = server.ask(&request);
        assert_eq!(answer.status, status, "{}", answer.text());
        described.assert_answered("predict", &answer);
    }
}
