//! Every call of the protocol, and what an inference may ask for.

use super::generated::infer_parameter::ParameterChoice;
use super::generated::model_infer_request::InferRequestedOutputTensor;
use super::generated::{
    ModelMetadataRequest, ModelReadyRequest, RepositoryIndexRequest, ServerLiveRequest,
    ServerMetadataRequest, ServerReadyRequest,
};
use super::{
    Caller, address, bytes_of, floats, input, numbers_of, parameters, row, to, told, with,
};
use crate::support::{Models, TestServer, adder};

fn asks_for(name: &str) -> InferRequestedOutputTensor {
    InferRequestedOutputTensor { name: name.to_owned(), ..InferRequestedOutputTensor::default() }
}

#[test]
fn the_server_and_its_models_say_what_they_are() {
    let server = TestServer::with_models(Models::of_the_repository()).start();
    let caller = Caller::of(&server);
    assert!(server.log().contains(&format!("gRPC on {}", address(&server))));
    let live = caller.wait(caller.client().server_live(ServerLiveRequest {})).unwrap();
    assert!(live.into_inner().live);
    let ready = caller.wait(caller.client().server_ready(ServerReadyRequest {})).unwrap();
    assert!(ready.into_inner().ready);
    let about = caller.wait(caller.client().server_metadata(ServerMetadataRequest {})).unwrap();
    let about = about.into_inner();
    assert_eq!(
        (about.name.as_str(), about.version.as_str()),
        ("greenroom", env!("CARGO_PKG_VERSION"))
    );
    assert!(about.extensions.contains(&"binary_tensor_data".to_owned()));
    for (version, versions) in [("", vec!["1", "2"]), ("1", vec!["1"]), ("stable", vec!["2"])] {
        let request = ModelMetadataRequest { name: "iris".into(), version: version.into() };
        let iris = caller.wait(caller.client().model_metadata(request)).unwrap().into_inner();
        assert_eq!((iris.name.as_str(), iris.platform.as_str()), ("iris", "onnxruntime_onnx"));
        assert_eq!(iris.versions, versions);
        let x = &iris.inputs[0];
        assert_eq!(
            (x.name.as_str(), x.datatype.as_str(), &x.shape[..]),
            ("X", "FP32", &[-1, 4][..])
        );
        assert_eq!(iris.outputs.len(), 2);
    }
}

#[test]
fn whether_a_model_answers_is_a_yes_or_a_no() {
    let models = Models::made().file("adder/1.onnx", adder(1.0));
    let server = TestServer::with_models(models).start();
    let caller = Caller::of(&server);
    for (name, version, expected) in [
        ("adder", "", true),
        ("adder", "1", true),
        ("adder", "stable", true),
        ("adder", "2", false),
        ("adder", "candidate", false),
        ("other", "", false),
    ] {
        let request = ModelReadyRequest { name: name.into(), version: version.into() };
        let ready = caller.wait(caller.client().model_ready(request)).unwrap();
        assert_eq!(ready.into_inner().ready, expected, "{name} {version}");
    }
    let request = RepositoryIndexRequest::default();
    let index = caller.wait(caller.client().repository_index(request)).unwrap().into_inner();
    let line = &index.models[0];
    assert_eq!((index.models.len(), line.name.as_str()), (1, "adder"));
    assert_eq!(
        (line.version.as_str(), line.state.as_str(), line.reason.as_str()),
        ("1", "READY", "")
    );
}

#[test]
fn an_answer_is_raw_and_says_who_has_given_it() {
    let server = TestServer::with_models(Models::made().file("adder.onnx", adder(0.5))).start();
    let caller = Caller::of(&server);
    let mut typed = row([1.0, 2.0]);
    typed.id = "a name".into();
    let mut raw = to("adder", vec![input("X", "FP32", &[1, 2])]);
    raw.raw_input_contents = vec![bytes_of(&[1.0, 2.0])];
    raw.id = "a name".into();
    for message in [typed, raw] {
        let response = caller.infer(with(message, "x-request-id", "its-id")).unwrap();
        assert_eq!(told(&response, "x-model-version"), Some("1"));
        assert_eq!(told(&response, "x-model-role"), Some("stable"));
        assert_eq!(told(&response, "x-request-id"), Some("its-id"));
        let answer = response.into_inner();
        assert_eq!((answer.model_name.as_str(), answer.model_version.as_str()), ("adder", "1"));
        assert_eq!(answer.id, "a name");
        let y = &answer.outputs[0];
        assert_eq!(
            (y.name.as_str(), y.datatype.as_str(), &y.shape[..]),
            ("Y", "FP32", &[1, 2][..])
        );
        assert!(y.contents.is_none());
        assert_eq!(numbers_of(&answer.raw_output_contents[0]), [1.5, 2.5]);
    }
}

#[test]
fn large_inputs_are_taken_wherever_their_bytes_lie() {
    let server = TestServer::with_models(Models::made().file("adder.onnx", adder(1.0))).start();
    let caller = Caller::of(&server);
    let numbers: Vec<f32> = (0..200_000_u32).map(|number| number as f32).collect();
    let expected: Vec<f32> = numbers.iter().map(|number| number + 1.0).collect();
    for id in ["", "a", "ab", "abc"] {
        let mut message = to("adder", vec![input("X", "FP32", &[100_000, 2])]);
        message.raw_input_contents = vec![bytes_of(&numbers)];
        message.id = id.into();
        let client = caller.client().max_decoding_message_size(usize::MAX);
        let answer = caller.wait(async { client.clone().model_infer(message).await }).unwrap();
        assert_eq!(numbers_of(&answer.into_inner().raw_output_contents[0]), expected);
    }
}

#[test]
fn outputs_may_be_chosen_and_be_the_best_classes() {
    let server = TestServer::with_models(Models::of_the_repository()).start();
    let caller = Caller::of(&server);
    let mut x = input("X", "FP32", &[1, 4]);
    x.contents = Some(floats(&[5.1, 3.5, 1.4, 0.2]));
    let mut message = to("iris", vec![x]);
    message.outputs = vec![asks_for("probabilities"), asks_for("label")];
    let answer = caller.infer(message.clone()).unwrap().into_inner();
    let names: Vec<&str> = answer.outputs.iter().map(|output| output.name.as_str()).collect();
    assert_eq!(names, ["probabilities", "label"]);
    assert_eq!(answer.outputs[0].shape, [1, 3]);
    assert_eq!(numbers_of(&answer.raw_output_contents[0]).len(), 3);
    assert_eq!(answer.raw_output_contents[1][..], *b"\x06\0\0\0setosa");
    message.outputs.truncate(1);
    message.outputs[0].parameters = parameters("classification", ParameterChoice::Int64Param(1));
    let answer = caller.infer(message).unwrap().into_inner();
    let best = &answer.outputs[0];
    assert_eq!((best.datatype.as_str(), &best.shape[..]), ("BYTES", &[1, 1][..]));
    assert!(answer.raw_output_contents[0].ends_with(b":0:setosa"));
}

#[test]
fn a_version_or_label_may_be_insisted_on_in_two_ways() {
    let server = TestServer::with_models(Models::of_the_repository()).start();
    let caller = Caller::of(&server);
    let message = |version: &str| {
        let mut x = input("X", "FP32", &[1, 4]);
        x.contents = Some(floats(&[5.1, 3.5, 1.4, 0.2]));
        let mut message = to("iris", vec![x]);
        message.model_version = version.to_owned();
        message
    };
    for (request, expected, role) in [
        (tonic::Request::new(message("")), "2", "stable"),
        (tonic::Request::new(message("1")), "1", "pinned"),
        (tonic::Request::new(message("stable")), "2", "pinned"),
        (with(message(""), "x-model-pin", "1"), "1", "pinned"),
    ] {
        let response = caller.infer(request).unwrap();
        assert_eq!(told(&response, "x-model-role"), Some(role));
        assert_eq!(response.into_inner().model_version, expected);
    }
}
