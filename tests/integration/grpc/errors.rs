//! What is wrong with a request is told with a code that says what to do about it.

use std::time::Duration;

use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tonic::{Code, Request, Status};

use super::generated::grpc_inference_service_client::GrpcInferenceServiceClient;
use super::generated::infer_parameter::ParameterChoice;
use super::generated::{InferTensorContents, ModelInferRequest, ModelMetadataRequest};
use super::{Caller, address, bytes_of, floats, input, parameters, row, to, with};
use crate::support::{Models, TestServer, adder, test_model, within};

const PATIENCE: Duration = Duration::from_secs(60);

fn changed(change: impl FnOnce(&mut ModelInferRequest)) -> ModelInferRequest {
    let mut message = row([1.0, 2.0]);
    change(&mut message);
    message
}

#[test]
fn a_request_that_does_not_fit_the_model_says_where() {
    let server = TestServer::with_models(Models::made().file("adder.onnx", adder(1.0))).start();
    let caller = Caller::of(&server);
    let raw = || vec![bytes_of(&[1.0, 2.0])];
    for (message, expected) in [
        (changed(|it| it.inputs.clear()), "X"),
        (changed(|it| it.inputs[0].name = "Z".into()), "inputs[0]: "),
        (changed(|it| it.inputs[0].datatype = "FP64".into()), "datatype: the model takes FP32"),
        (changed(|it| it.inputs[0].shape = vec![1, 3]), "inputs[0]: "),
        (changed(|it| it.inputs[0].shape = vec![-1, 2]), "not negative, got -1"),
        (changed(|it| it.inputs[0].shape = vec![i64::MAX, i64::MAX]), "no tensor has the shape"),
        (changed(|it| it.inputs[0].shape = vec![1; 65]), "more than 64 dimensions"),
        (changed(|it| it.inputs[0].contents = None), "`raw_input_contents` is missing"),
        (changed(|it| it.raw_input_contents = raw()), "one of them"),
        (changed(|it| it.raw_input_contents = [raw(), raw()].concat()), "2 entries for 1 inputs"),
        (
            changed(|it| {
                it.inputs[0].contents = None;
                it.raw_input_contents = vec![bytes_of(&[1.0])];
            }),
            "2 elements of FP32 take 4 bytes each, got 4 bytes",
        ),
        (
            changed(|it| {
                let double = InferTensorContents { fp64_contents: vec![1.0], ..floats(&[]) };
                it.inputs[0].contents = Some(double);
            }),
            "`contents.fp64_contents` is given",
        ),
        (changed(|it| it.model_version = "a/b".into()), "a/b"),
        (
            changed(|it| it.parameters = parameters("triton_x", ParameterChoice::BoolParam(true))),
            "`triton_x` is reserved",
        ),
    ] {
        let status = caller.infer(message).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(status.message().contains(expected), "{expected}: {}", status.message());
    }
    let late = with(row([1.0, 2.0]), "x-request-timeout", "soon");
    assert_eq!(caller.infer(late).unwrap_err().code(), Code::InvalidArgument);
}

#[test]
fn what_is_not_there_and_what_is_not_offered_are_told_apart() {
    let server = TestServer::with_models(Models::made().file("adder.onnx", adder(1.0))).start();
    let caller = Caller::of(&server);
    for message in [
        changed(|it| it.model_name = "other".into()),
        changed(|it| it.model_version = "7".into()),
        changed(|it| it.model_version = "candidate".into()),
    ] {
        assert_eq!(caller.infer(message).unwrap_err().code(), Code::NotFound);
    }
    let request = ModelMetadataRequest { name: "other".into(), version: String::new() };
    let status = caller.wait(caller.client().model_metadata(request)).unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    let region = ParameterChoice::StringParam("region".into());
    let shared = changed(|it| it.inputs[0].parameters = parameters("shared_memory_region", region));
    let status = caller.infer(shared).unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert!(status.message().contains("shared memory is not offered"), "{status}");
    for call in ["TraceSetting", "SystemSharedMemoryStatus", "Nonsense"] {
        let mut client = tonic::client::Grpc::new(caller.channel.clone());
        let path = format!("/inference.GRPCInferenceService/{call}").parse().unwrap();
        let status = caller.wait(async {
            client.ready().await.unwrap();
            let codec =
                tonic_prost::ProstCodec::<ModelMetadataRequest, ModelMetadataRequest>::default();
            let request = Request::new(ModelMetadataRequest::default());
            client.unary(request, path, codec).await.unwrap_err()
        });
        assert_eq!(status.code(), Code::Unimplemented);
        assert_eq!(status.message(), format!("`{call}` is not offered"));
    }
}

#[test]
fn a_message_may_be_as_large_as_the_settings_say() {
    let models = Models::made().file("adder.onnx", adder(1.0));
    let settings = "grpc.max_message = \"64KiB\"";
    let server = TestServer::with_models(models).settings(settings).start();
    let caller = Caller::of(&server);
    let rows = |count: usize| {
        let mut message = to("adder", vec![input("X", "FP32", &[count as i64, 2])]);
        message.raw_input_contents = vec![bytes_of(&vec![1.0; 2 * count])];
        message
    };
    assert!(caller.infer(rows(8000)).is_ok());
    let status = caller.infer(rows(8200)).unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().ends_with("are 65536 (`grpc.max_message`)"), "{status}");
    assert!(caller.infer(rows(1)).is_ok(), "the connection is of no more use");
}

/// A request that runs for about as many milliseconds.
fn slow(loops: i64) -> ModelInferRequest {
    let (mut x, mut count) = (input("X", "FP32", &[1, 2]), input("loops", "INT64", &[]));
    x.contents = Some(floats(&[1.0, 2.0]));
    let contents = InferTensorContents { int64_contents: vec![loops], ..floats(&[]) };
    count.contents = Some(contents);
    to("slow", vec![x, count])
}

#[test]
fn a_request_may_say_how_long_its_answer_is_of_use() {
    let server = TestServer::with_models(Models::of_tests(&["slow"])).start();
    let caller = Caller::of(&server);
    assert!(caller.infer(slow(1)).is_ok());
    let mut by_parameter = slow(20_000);
    by_parameter.parameters = parameters("timeout", ParameterChoice::Int64Param(50_000));
    let by_parameter = Request::new(by_parameter);
    let by_header = with(slow(20_000), "x-request-timeout", "50ms");
    let by_protocol = with(slow(20_000), "grpc-timeout", "50m");
    for status in [
        caller.infer(by_parameter).unwrap_err(),
        caller.infer(by_header).unwrap_err(),
        caller.wait(infer_patiently(&server, by_protocol)),
    ] {
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
        assert!(status.message().contains("did not answer within"), "{status}");
    }
}

/// Calls without looking at the time, which the usual client does.
async fn infer_patiently(server: &TestServer, request: Request<ModelInferRequest>) -> Status {
    let stream = TcpStream::connect(address(server)).await.unwrap();
    let (executor, stream) = (TokioExecutor::new(), TokioIo::new(stream));
    let (sender, connection) = http2::handshake(executor, stream).await.unwrap();
    tokio::spawn(connection);
    let service = tower::service_fn(move |request| sender.clone().send_request(request));
    let origin = format!("http://{}", address(server)).parse().unwrap();
    let mut client = GrpcInferenceServiceClient::with_origin(service, origin);
    client.model_infer(request).await.unwrap_err()
}

#[test]
fn a_full_queue_is_told_from_a_late_answer() {
    let models = Models::made()
        .file("slow/1.onnx", test_model("slow"))
        .file("slow/model.toml", "[scheduler]\nmax_queue = 1\ndeadline = \"10m\"");
    let server = TestServer::with_models(models).flags(&["--threads", "1"]).start();
    let caller = Caller::of(&server);
    let mut waiting = Vec::new();
    let status = within(PATIENCE, "a request that finds the queue full", || {
        let mut client = caller.client();
        waiting.push(caller.runtime.spawn(async move { client.model_infer(slow(60_000)).await }));
        let ended = waiting.iter().position(tokio::task::JoinHandle::is_finished)?;
        caller.wait(waiting.swap_remove(ended)).unwrap().err()
    });
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    for call in waiting {
        call.abort();
    }
}
