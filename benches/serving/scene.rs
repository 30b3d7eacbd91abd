//! What is measured.

use std::error::Error;

use bytes::Bytes;
use serde_json::json;

use crate::bodies::Ports;
use crate::contests::counted;
use crate::inference::ModelInferRequest;
use crate::inference::model_infer_request::InferInputTensor;
use crate::load::{Client, Exchange};
use crate::ours::Ours;
use crate::{call, wire};

/// How a model is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    V1Json,
    V2Json,
    /// v2 with tensors as bytes, either way.
    V2Bytes,
    Grpc,
}

impl Protocol {
    /// For people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V1Json => "v1 JSON",
            Self::V2Json => "v2 JSON",
            Self::V2Bytes => "v2 bytes",
            Self::Grpc => "gRPC",
        }
    }
}

/// One comparison of our server with others.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) name: String,
    pub(crate) protocol: Protocol,
    pub(crate) model: String,
    /// What is sent, byte for byte: head and body, or a message with what stands before it.
    pub(crate) request: Bytes,
    /// Each waits for its answer before it sends the next request.
    pub(crate) connections: usize,
    /// Whether the raw `Run` loop is among the others.
    pub(crate) with_raw: bool,
}

impl Scene {
    /// What must be answered, each time.
    pub(crate) fn exchange(&self, body: Vec<u8>) -> Exchange {
        Exchange { protocol: self.protocol, request: self.request.clone(), body }
    }
}

/// Of the example models, the most telling one first.
pub(crate) fn small(connections: usize) -> Vec<Scene> {
    use Protocol::{Grpc, V1Json, V2Bytes, V2Json};
    let scene = |what: &str, protocol: Protocol, model: &str, request: Vec<u8>| Scene {
        name: format!("{what}, {}, {}", protocol.name(), counted(connections)),
        protocol,
        model: model.to_owned(),
        request: request.into(),
        connections,
        with_raw: protocol == V1Json,
    };
    let v1 = |model, body: &str| wire::post(&path(V1Json, model), JSON, body.as_bytes());
    vec![
        scene("small model", V1Json, "diabetes", v1("diabetes", DIABETES)),
        scene("64 pixels", V1Json, "digits", v1("digits", DIGITS)),
        scene("small model", V2Json, "diabetes", v2_json()),
        scene("small model", V2Bytes, "diabetes", v2_bytes()),
        scene("small model", Grpc, "diabetes", grpc()),
    ]
}

/// The models that `scripts/make_models.py --bench` makes, and what they are called here.
const LARGE: [(&str, &str); 2] =
    [("resnet50", "ResNet-50"), ("transformer", "6-layer transformer")];

/// Of the large models that our server has.
pub(crate) fn large(
    client: &Client,
    ours: &Ours,
    connections: usize,
) -> Result<Vec<Scene>, Box<dyn Error>> {
    let protocol = Protocol::V2Bytes;
    let there = LARGE.into_iter().filter(|(model, _)| ours.model(model).is_file());
    there
        .map(|(model, title)| {
            let request = Ports::ask(client, ours.address(), model)?.request(protocol)?.into();
            let name = format!("{title}, {}, {}", protocol.name(), counted(connections));
            let model = model.to_owned();
            Ok(Scene { name, protocol, model, request, connections, with_raw: true })
        })
        .collect()
}

const JSON: &str = "application/json";

/// Ten features of one patient, in the units in which they are measured.
const DIABETES: &str = r#"{"instances":[[62,1,32.5,88.0,172,69.2,38,4,5.7838,100]]}"#;
const PATIENT: [f32; 10] = [62.0, 1.0, 32.5, 88.0, 172.0, 69.2, 38.0, 4.0, 5.7838, 100.0];

/// A three, 8 × 8.
const DIGITS: &str = concat!(
    r#"{"instances":[["#,
    "0,0,7,15,13,1,0,0,0,8,13,6,15,4,0,0,0,2,1,13,13,0,0,0,0,0,2,15,11,1,0,0,",
    "0,0,0,1,12,12,1,0,0,0,0,0,1,10,8,0,0,0,8,4,5,14,9,0,0,0,7,13,13,9,0,0",
    "]]}"
);

fn v2_json() -> Vec<u8> {
    let input = json!({ "name": "X", "shape": [1, 10], "datatype": "FP32", "data": PATIENT });
    let body = json!({ "inputs": [input] }).to_string();
    wire::post(&path(Protocol::V2Json, "diabetes"), JSON, body.as_bytes())
}

fn v2_bytes() -> Vec<u8> {
    let bytes = patient_bytes();
    let parameters = json!({ "binary_data_size": bytes.len() });
    let input =
        json!({ "name": "X", "shape": [1, 10], "datatype": "FP32", "parameters": parameters });
    let output = json!({ "name": "progression", "parameters": { "binary_data": true } });
    let text = json!({ "inputs": [input], "outputs": [output] }).to_string();
    let fields = format!("application/octet-stream\r\n{TEXT_LENGTH}: {}", text.len());
    let body = [text.as_bytes(), &bytes].concat();
    wire::post(&path(Protocol::V2Bytes, "diabetes"), &fields, &body)
}

/// Says how many bytes of a body are text.
pub(crate) const TEXT_LENGTH: &str = "inference-header-content-length";

fn grpc() -> Vec<u8> {
    let input = InferInputTensor {
        name: "X".to_owned(),
        datatype: "FP32".to_owned(),
        shape: vec![1, 10],
        ..InferInputTensor::default()
    };
    call::framed(&ModelInferRequest {
        model_name: "diabetes".to_owned(),
        inputs: vec![input],
        raw_input_contents: vec![patient_bytes().into()],
        ..ModelInferRequest::default()
    })
}

fn patient_bytes() -> Vec<u8> {
    PATIENT.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// Where a protocol has a model.
pub(crate) fn path(protocol: Protocol, model: &str) -> String {
    match protocol {
        Protocol::V1Json => format!("/v1/models/{model}:predict"),
        Protocol::V2Json | Protocol::V2Bytes => format!("/v2/models/{model}/infer"),
        Protocol::Grpc => call::PATH.to_owned(),
    }
}
