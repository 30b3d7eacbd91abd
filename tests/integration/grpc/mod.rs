//! The Open Inference Protocol over gRPC, as KServe's and Triton's clients speak it.

mod calls;
mod elements;
mod errors;
mod generated;
mod generation;
mod health;
mod repository;
mod rollouts;
mod shutdown;
mod streams;
mod unread;

use std::collections::HashMap;
use std::future::Future;

use serde_json::Value;
use tokio::runtime::Runtime;
use tonic::codegen::Bytes;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};

use self::generated::grpc_inference_service_client::GrpcInferenceServiceClient;
use self::generated::infer_parameter::ParameterChoice;
use self::generated::model_infer_request::InferInputTensor;
use self::generated::{InferParameter, InferTensorContents, ModelInferRequest, ModelInferResponse};
use crate::support::TestServer;

/// Somebody who calls a server, and waits for each answer.
struct Caller {
    runtime: Runtime,
    channel: Channel,
}

impl Caller {
    fn of(server: &TestServer) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let endpoint = Endpoint::from_shared(format!("http://{}", address(server))).unwrap();
        let channel = runtime.block_on(endpoint.connect()).unwrap();
        Self { runtime, channel }
    }

    fn client(&self) -> GrpcInferenceServiceClient<Channel> {
        GrpcInferenceServiceClient::new(self.channel.clone())
    }

    fn wait<T>(&self, answer: impl Future<Output = T>) -> T {
        self.runtime.block_on(answer)
    }

    fn infer(
        &self,
        request: impl tonic::IntoRequest<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Status> {
        self.wait(self.client().model_infer(request))
    }
}

/// Where a server takes calls.
fn address(server: &TestServer) -> String {
    let here = std::fs::read_to_string(server.server_file()).unwrap();
    let here: Value = serde_json::from_str(&here).unwrap();
    here["grpc"].as_str().unwrap().to_owned()
}

fn input(name: &str, datatype: &str, shape: &[i64]) -> InferInputTensor {
    let (name, datatype, shape) = (name.to_owned(), datatype.to_owned(), shape.to_vec());
    InferInputTensor { name, datatype, shape, parameters: HashMap::new(), contents: None }
}

fn to(model: &str, inputs: Vec<InferInputTensor>) -> ModelInferRequest {
    let model_name = model.to_owned();
    ModelInferRequest { model_name, inputs, ..ModelInferRequest::default() }
}

fn floats(numbers: &[f32]) -> InferTensorContents {
    InferTensorContents { fp32_contents: numbers.to_vec(), ..InferTensorContents::default() }
}

/// A row for `adder`.
fn row(numbers: [f32; 2]) -> ModelInferRequest {
    let mut x = input("X", "FP32", &[1, 2]);
    x.contents = Some(floats(&numbers));
    to("adder", vec![x])
}

fn bytes_of(numbers: &[f32]) -> Bytes {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn numbers_of(bytes: &[u8]) -> Vec<f32> {
    let (numbers, rest) = bytes.as_chunks::<4>();
    assert!(rest.is_empty());
    numbers.iter().map(|number| f32::from_le_bytes(*number)).collect()
}

fn parameters(name: &str, value: ParameterChoice) -> HashMap<String, InferParameter> {
    HashMap::from([(name.to_owned(), InferParameter { parameter_choice: Some(value) })])
}

/// The same message with metadata.
fn with(message: ModelInferRequest, name: &'static str, value: &str) -> Request<ModelInferRequest> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(name, value.parse().unwrap());
    request
}

fn told<'r, T>(response: &'r Response<T>, name: &str) -> Option<&'r str> {
    response.metadata().get(name).and_then(|value| value.to_str().ok())
}
