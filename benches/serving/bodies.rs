//! Requests for any model, built from what the server says of it at `/v2/models/NAME`.

use std::error::Error;
use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::inference::ModelInferRequest;
use crate::inference::model_infer_request::InferInputTensor;
use crate::load::Client;
use crate::scene::{Protocol, TEXT_LENGTH, path};
use crate::{call, wire};

/// What a model takes and gives.
pub(crate) struct Ports {
    model: String,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
}

struct Port {
    name: String,
    datatype: String,
    shape: Vec<u64>,
}

impl Ports {
    /// As a server has them.
    pub(crate) fn ask(
        client: &Client,
        address: SocketAddr,
        model: &str,
    ) -> Result<Self, Box<dyn Error>> {
        let request = wire::get(&format!("/v2/models/{model}")).into();
        let answer = client.ask(address, Protocol::V2Json, &request);
        let answer = answer.map_err(|error| format!("no metadata of `{model}`: {error}"))?;
        let metadata: Value = serde_json::from_slice(&answer.body)?;
        let ports = |field: &str| -> Option<Vec<Port>> {
            metadata[field].as_array()?.iter().map(Port::read).collect()
        };
        let (inputs, outputs) = ports("inputs").zip(ports("outputs")).ok_or_else(|| {
            format!("the metadata of `{model}` does not say what it takes and gives: {metadata}")
        })?;
        Ok(Self { model: model.to_owned(), inputs, outputs })
    }

    /// A request with one row, byte for byte.
    pub(crate) fn request(&self, protocol: Protocol) -> Result<Vec<u8>, Box<dyn Error>> {
        match protocol {
            Protocol::V1Json => Err("requests over v1 are written by hand".into()),
            Protocol::V2Json => self.json(),
            Protocol::V2Bytes => self.bytes(),
            Protocol::Grpc => self.call(),
        }
    }

    fn json(&self) -> Result<Vec<u8>, Box<dyn Error>> {
        let inputs = self.inputs.iter().map(|input| {
            let mut text = input.json();
            text["data"] = input.numbers().map(|number| input.as_json(number)).collect();
            text
        });
        let text = json!({ "inputs": inputs.collect::<Vec<_>>() }).to_string();
        Ok(wire::post(&path(Protocol::V2Json, &self.model), "application/json", text.as_bytes()))
    }

    fn bytes(&self) -> Result<Vec<u8>, Box<dyn Error>> {
        let tensors = self.tensors()?;
        let inputs = self.inputs.iter().zip(&tensors).map(|(input, bytes)| {
            let mut text = input.json();
            text["parameters"] = json!({ "binary_data_size": bytes.len() });
            text
        });
        let outputs = self
            .outputs
            .iter()
            .map(|output| json!({ "name": output.name, "parameters": { "binary_data": true } }));
        let (inputs, outputs): (Vec<_>, Vec<_>) = (inputs.collect(), outputs.collect());
        let text = json!({ "inputs": inputs, "outputs": outputs }).to_string();
        let fields = format!("application/octet-stream\r\n{TEXT_LENGTH}: {}", text.len());
        let body = [text.as_bytes(), &tensors.concat()].concat();
        Ok(wire::post(&path(Protocol::V2Bytes, &self.model), &fields, &body))
    }

    fn call(&self) -> Result<Vec<u8>, Box<dyn Error>> {
        let inputs = self.inputs.iter().map(|input| InferInputTensor {
            name: input.name.clone(),
            datatype: input.datatype.clone(),
            shape: input.shape.iter().map(|&size| size as i64).collect(),
            ..InferInputTensor::default()
        });
        Ok(call::framed(&ModelInferRequest {
            model_name: self.model.clone(),
            inputs: inputs.collect(),
            raw_input_contents: self.tensors()?.into_iter().map(Into::into).collect(),
            ..ModelInferRequest::default()
        }))
    }

    fn tensors(&self) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
        self.inputs.iter().map(Port::bytes).collect()
    }
}

impl Port {
    /// One row, where any number will do.
    fn read(text: &Value) -> Option<Self> {
        let sizes = text["shape"].as_array()?.iter();
        Some(Self {
            name: text["name"].as_str()?.to_owned(),
            datatype: text["datatype"].as_str()?.to_owned(),
            shape: sizes.map(|size| Some(size.as_i64()?.unsigned_abs())).collect::<Option<_>>()?,
        })
    }

    fn json(&self) -> Value {
        json!({ "name": self.name, "shape": self.shape, "datatype": self.datatype })
    }

    /// Small and whole, since they may be indices, and not all the same.
    fn numbers(&self) -> impl Iterator<Item = u8> {
        (0..self.shape.iter().product::<u64>()).map(|number| (number * 7 % 5 % 2) as u8)
    }

    fn as_json(&self, number: u8) -> Value {
        match &self.datatype[..] {
            "BOOL" => json!(number == 1),
            "BYTES" => json!(number.to_string()),
            _ => json!(number),
        }
    }

    fn bytes(&self) -> Result<Vec<u8>, Box<dyn Error>> {
        let of_each = |number: u8| -> Option<Vec<u8>> {
            Some(match &self.datatype[..] {
                "BOOL" | "INT8" | "UINT8" => vec![number],
                "INT16" | "UINT16" => u16::from(number).to_le_bytes().into(),
                "INT32" | "UINT32" => u32::from(number).to_le_bytes().into(),
                "INT64" | "UINT64" => u64::from(number).to_le_bytes().into(),
                "FP32" => f32::from(number).to_le_bytes().into(),
                "FP64" => f64::from(number).to_le_bytes().into(),
                "BYTES" => [&1_u32.to_le_bytes()[..], &[b'0' + number]].concat(),
                _ => return None,
            })
        };
        let bytes = self.numbers().map(of_each).collect::<Option<Vec<_>>>();
        let Self { name, datatype, .. } = self;
        let bytes = bytes.ok_or_else(|| {
            format!("the bench knows no bytes for input `{name}` of type {datatype}")
        })?;
        Ok(bytes.concat())
    }
}
