//! How versions are run, what they have done, and models loaded and unloaded at an operator's word.

use tonic::{Code, Request};

use super::generated::{
    DataType, ModelConfigRequest, ModelStatisticsRequest, RepositoryModelLoadRequest,
    RepositoryModelUnloadRequest,
};
use super::{Caller, row};
use crate::support::{Models, TestServer, adder};

fn load(model: &str) -> RepositoryModelLoadRequest {
    RepositoryModelLoadRequest { model_name: model.into(), ..RepositoryModelLoadRequest::default() }
}

fn unload(model: &str) -> RepositoryModelUnloadRequest {
    let model_name = model.into();
    RepositoryModelUnloadRequest { model_name, ..RepositoryModelUnloadRequest::default() }
}

#[test]
fn a_model_says_how_it_is_run_and_what_it_has_done() {
    let server = TestServer::with_models(Models::made().file("adder.onnx", adder(1.0))).start();
    let caller = Caller::of(&server);
    let request = ModelConfigRequest { name: "adder".into(), version: String::new() };
    let config = caller.wait(caller.client().model_config(request)).unwrap().into_inner();
    let config = config.config.unwrap();
    assert_eq!((config.max_batch_size, config.platform.as_str()), (64, "onnxruntime_onnx"));
    let x = &config.input[0];
    assert_eq!((x.data_type(), &x.dims[..]), (DataType::TypeFp32, &[2][..]));
    for _ in 0..3 {
        caller.infer(row([1.0, 2.0])).unwrap();
    }
    for name in ["adder", ""] {
        let request = ModelStatisticsRequest { name: name.into(), version: String::new() };
        let stats = caller.wait(caller.client().model_statistics(request)).unwrap().into_inner();
        let stats = &stats.model_stats[0];
        assert_eq!((stats.inference_count, stats.execution_count), (3, 3));
        let success = stats.inference_stats.as_ref().unwrap().success.as_ref().unwrap();
        assert_eq!(success.count, 3);
        assert!(success.ns > 0);
        assert_eq!(stats.batch_stats[0].batch_size, 1);
    }
    let request = ModelStatisticsRequest { name: "other".into(), version: String::new() };
    let status = caller.wait(caller.client().model_statistics(request)).unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}

#[test]
fn a_model_is_unloaded_and_loaded_again() {
    let server = TestServer::with_models(Models::made().file("adder.onnx", adder(1.0))).start();
    let caller = Caller::of(&server);
    caller.wait(caller.client().repository_model_unload(unload("adder"))).unwrap();
    assert_eq!(caller.infer(row([1.0, 2.0])).unwrap_err().code(), Code::Unavailable);
    caller.wait(caller.client().repository_model_load(load("adder"))).unwrap();
    assert!(caller.infer(row([1.0, 2.0])).is_ok());
    let status = caller.wait(caller.client().repository_model_load(load("other"))).unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    let elsewhere = RepositoryModelLoadRequest { repository_name: "s3".into(), ..load("adder") };
    let status = caller.wait(caller.client().repository_model_load(elsewhere)).unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}

#[test]
fn where_there_is_a_token_only_who_has_it_may_load_and_unload() {
    let plan = TestServer::with_models(Models::made().file("adder.onnx", adder(1.0)))
        .settings("admin.token_file = \"token\"")
        .file("token", "secret\n");
    let server = plan.start();
    let caller = Caller::of(&server);
    let ask = |token: Option<&str>| {
        let mut request = Request::new(unload("adder"));
        if let Some(token) = token {
            let token = format!("Bearer {token}").parse().unwrap();
            request.metadata_mut().insert("authorization", token);
        }
        caller.wait(caller.client().repository_model_unload(request)).map_err(|it| it.code())
    };
    for token in [None, Some("other")] {
        assert_eq!(ask(token).unwrap_err(), Code::Unauthenticated);
    }
    assert!(caller.infer(row([1.0, 2.0])).is_ok());
    assert!(ask(Some("secret")).is_ok());
    let status = caller.wait(caller.client().repository_model_load(load("adder"))).unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
}
