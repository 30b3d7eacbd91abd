//! How versions are run, and what they have done.

use serde_json::{Value, json};

use super::{ask, with_x};
use crate::support::{Graph, Models, TestServer, adder, test_model};

fn server() -> TestServer {
    let models = Models::made()
        .file("adder/1.onnx", adder(1.0))
        .file("adder/2.onnx", adder(2.0))
        .file("adder/model.toml", "versions = \"all\"\nscheduler.max_batch_size = 32\n")
        .file("slow.onnx", test_model("slow"));
    TestServer::with_models(models).flags(&["--metrics-compat", "triton"]).start()
}

#[track_caller]
fn add(server: &TestServer, rows: usize) {
    let body = with_x("FP32", &json!([rows, 2]), &json!(vec![[1.0, 2.0]; rows]));
    assert_eq!(ask(server, "adder", &body).status, 200);
}

#[test]
fn a_model_says_how_it_is_run() {
    let server = server();
    for path in ["", "/versions/stable", "/versions/2"] {
        let config = server.get(&format!("/v2/models/adder{path}/config")).ok();
        assert_eq!(config["max_batch_size"], 32);
        assert_eq!(
            config["input"],
            json!([{ "name": "X", "data_type": "TYPE_FP32", "dims": [2] }])
        );
        assert_eq!(config["output"][0]["dims"], json!([2]));
        assert_eq!(config["dynamic_batching"]["preferred_batch_size"], json!([32]));
        assert_eq!(
            (&config["platform"], &config["backend"]),
            (&json!("onnxruntime_onnx"), &json!("onnxruntime"))
        );
    }
    // Its rows are not independent, so that the sizes are all there is.
    let config = server.get("/v2/models/slow/config").ok();
    assert_eq!((&config["max_batch_size"], &config["dynamic_batching"]), (&json!(0), &Value::Null));
    assert_eq!(server.get("/v2/models/other/config").status, 404);
    assert_eq!(server.get("/v2/models/adder/versions/7/config").status, 404);
}

#[test]
fn what_a_version_has_done_adds_up() {
    let server = server();
    for rows in [1, 3, 3] {
        add(&server, rows);
    }
    let wrong = with_x("FP32", &json!([1, 3]), &json!([1.0, 2.0, 3.0]));
    assert_eq!(ask(&server, "adder", &wrong).status, 400);
    let stats = server.get("/v2/models/adder/versions/stable/stats").ok();
    let [stats] = &stats["model_stats"].as_array().unwrap()[..] else { panic!("{stats}") };
    assert_eq!((&stats["name"], &stats["version"]), (&json!("adder"), &json!("2")));
    assert_eq!((&stats["inference_count"], &stats["execution_count"]), (&json!(7), &json!(3)));
    let parts = &stats["inference_stats"];
    let nanoseconds = |part: &str| parts[part]["ns"].as_u64().unwrap();
    let inside = ["queue", "compute_input", "compute_infer", "compute_output"];
    for part in inside.into_iter().chain(["success"]) {
        assert_eq!(parts[part]["count"], 3, "{part}: {stats}");
        assert!(nanoseconds(part) > 0, "{part}: {stats}");
    }
    assert!(inside.map(nanoseconds).iter().sum::<u64>() <= nanoseconds("success"), "{stats}");
    // What does not fit never came to it.
    assert_eq!(parts["fail"]["count"], 0);
    let sizes: Vec<[u64; 2]> = stats["batch_stats"]
        .as_array()
        .unwrap()
        .iter()
        .map(|size| {
            [&size["batch_size"], &size["compute_infer"]["count"]].map(|it| it.as_u64().unwrap())
        })
        .collect();
    assert_eq!(sizes, [[1, 1], [3, 2]]);
    assert!(stats["last_inference"].as_u64().unwrap() > 1_600_000_000_000);
    assert!(stats["memory_usage"][0]["byte_size"].as_u64().unwrap() > 0, "{stats}");

    let all = server.get("/v2/models/stats").ok();
    let names =
        all["model_stats"].as_array().unwrap().iter().map(|it| [&it["name"], &it["version"]]);
    let names: Vec<[&str; 2]> = names.map(|it| it.map(|it| it.as_str().unwrap())).collect();
    assert_eq!(names, [["adder", "1"], ["adder", "2"], ["slow", "1"]]);
    assert_eq!(
        server.get("/v2/models/adder/stats").ok()["model_stats"].as_array().unwrap().len(),
        2
    );
    assert_eq!(server.get("/v2/models/other/stats").status, 404);
}

#[test]
fn a_request_that_is_one_whole_counts_once_whatever_its_size() {
    let model = Graph::default()
        .input("X", "f32[4]")
        .output("Y", "f32[4]")
        .node("Identity", &["X"], "Y")
        .model();
    let server = TestServer::with_models(Models::made().file("whole.onnx", model)).start();
    for _ in 0..3 {
        let body = with_x("FP32", &json!([4]), &json!([1, 2, 3, 4]));
        assert_eq!(ask(&server, "whole", &body).status, 200);
    }
    assert_eq!(server.get("/v2/models/whole/config").ok()["max_batch_size"], 0);
    let stats = server.get("/v2/models/whole/stats").ok();
    let stats = &stats["model_stats"][0];
    assert_eq!(stats["inference_count"], 3);
    assert_eq!(stats["batch_stats"][0]["batch_size"], 1);
}

#[test]
fn dashboards_that_were_made_for_triton_find_their_names() {
    let server = server();
    add(&server, 5);
    let text = server.get("/metrics").text().to_owned();
    for expected in [
        "nv_inference_request_success{model=\"adder\",version=\"2\"} 1",
        "nv_inference_request_success{model=\"adder\",version=\"1\"} 0",
        "nv_inference_count{model=\"adder\",version=\"2\"} 5",
        "nv_inference_exec_count{model=\"adder\",version=\"2\"} 1",
        "nv_inference_request_failure{model=\"adder\",version=\"2\",reason=\"REJECTED\"} 0",
        "nv_inference_pending_request_count{model=\"slow\",version=\"1\"} 0",
        "# TYPE nv_inference_queue_duration_us counter",
        "greenroom_requests_total{",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let models = Models::made().file("adder/1.onnx", adder(1.0));
    let server = TestServer::with_models(models).start();
    assert!(!server.get("/metrics").text().contains("nv_inference"), "nobody asked for it");
}

#[test]
fn new_settings_do_not_forget_what_a_version_has_done() {
    let server = server();
    add(&server, 2);
    std::fs::write(server.models().join("adder/model.toml"), "scheduler.max_batch_size = 16\n")
        .unwrap();
    crate::support::within(std::time::Duration::from_secs(60), "the new settings", || {
        (server.get("/v2/models/adder/config").ok()["max_batch_size"] == 16).then_some(())
    });
    let stats = server.get("/v2/models/adder/versions/2/stats").ok();
    assert_eq!(stats["model_stats"][0]["inference_count"], 2);
}
