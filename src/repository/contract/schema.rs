//! What ONNX's protobuf looks like, as far as the check reads it: which fields a message has, what form each takes
//! on the wire, and which may stand there only once.
//!
//! The numbers are those of `onnx-ml.proto`. Fields that are not here are skipped, as every reader of protobuf
//! does: none of them leads to a tensor, a node or a file.

/// A kind of message.
#[derive(Debug)]
pub(super) struct Message {
    /// As ONNX calls it.
    pub(super) name: &'static str,
    /// By number.
    fields: [Option<Rule>; NUMBERS],
}

/// What is known of a field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub(super) name: &'static str,
    pub(super) form: Form,
    pub(super) often: Often,
}

/// How often a field may stand in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Often {
    /// Protobuf lets the last one win, or puts messages together from their parts. Two that claim to be the one are
    /// refused, so that everybody reads the same.
    Once,
    Many,
}

/// What a field looks like on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Number,
    /// One by one, or packed.
    Numbers,
    /// 4 bytes each, one by one or packed.
    Floats,
    /// 8 bytes each, one by one or packed.
    Doubles,
    /// Bytes whose length is nobody's business: weights, texts for people.
    Bytes,
    /// A text that names something.
    Name,
    /// Another message.
    Message,
}

/// Numbers of fields go up to 26.
const NUMBERS: usize = 32;

impl Message {
    const fn new(name: &'static str, rules: &[(u32, Rule)]) -> Self {
        let mut fields = [None; NUMBERS];
        let mut at = 0;
        while at < rules.len() {
            fields[rules[at].0 as usize] = Some(rules[at].1);
            at += 1;
        }
        Self { name, fields }
    }

    pub(super) fn rule(&self, number: u32) -> Option<Rule> {
        self.fields.get(number as usize).copied().flatten()
    }
}

const fn once(name: &'static str, form: Form) -> Rule {
    Rule { name, form, often: Often::Once }
}

const fn many(name: &'static str, form: Form) -> Rule {
    Rule { name, form, often: Often::Many }
}

pub(super) mod model {
    use super::*;

    pub(in super::super) const GRAPH: u32 = 7;
    pub(in super::super) const OPSET_IMPORT: u32 = 8;
    pub(in super::super) const TRAINING_INFO: u32 = 20;
    pub(in super::super) const FUNCTIONS: u32 = 25;
    pub(in super::super) static MESSAGE: Message = Message::new(
        "model",
        &[
            (1, once("ir_version", Form::Number)),
            (GRAPH, once("graph", Form::Message)),
            (OPSET_IMPORT, many("opset_import", Form::Message)),
            (TRAINING_INFO, many("training_info", Form::Message)),
            (FUNCTIONS, many("functions", Form::Message)),
        ],
    );
}

pub(super) mod opset {
    use super::*;

    pub(in super::super) const DOMAIN: u32 = 1;
    pub(in super::super) const VERSION: u32 = 2;
    pub(in super::super) static MESSAGE: Message = Message::new(
        "opset_import",
        &[(DOMAIN, once("domain", Form::Name)), (VERSION, once("version", Form::Number))],
    );
}

pub(super) mod training {
    use super::*;

    pub(in super::super) const INITIALIZATION: u32 = 1;
    pub(in super::super) const ALGORITHM: u32 = 2;
    pub(in super::super) static MESSAGE: Message = Message::new(
        "training_info",
        &[
            (INITIALIZATION, once("initialization", Form::Message)),
            (ALGORITHM, once("algorithm", Form::Message)),
        ],
    );
}

pub(super) mod function {
    use super::*;

    pub(in super::super) const NAME: u32 = 1;
    pub(in super::super) const NODE: u32 = 7;
    pub(in super::super) const DOMAIN: u32 = 10;
    pub(in super::super) const ATTRIBUTE: u32 = 11;
    pub(in super::super) static MESSAGE: Message = Message::new(
        "function",
        &[
            (NAME, once("name", Form::Name)),
            (4, many("input", Form::Name)),
            (5, many("output", Form::Name)),
            (6, many("attribute", Form::Name)),
            (NODE, many("node", Form::Message)),
            (9, many("opset_import", Form::Message)),
            (DOMAIN, once("domain", Form::Name)),
            (ATTRIBUTE, many("attribute_proto", Form::Message)),
            (12, many("value_info", Form::Message)),
            (13, once("overload", Form::Name)),
        ],
    );
}

pub(super) mod graph {
    use super::*;

    pub(in super::super) const NODE: u32 = 1;
    pub(in super::super) const INITIALIZER: u32 = 5;
    pub(in super::super) const INPUT: u32 = 11;
    pub(in super::super) const OUTPUT: u32 = 12;
    pub(in super::super) const SPARSE_INITIALIZER: u32 = 15;
    pub(in super::super) static MESSAGE: Message = Message::new(
        "graph",
        &[
            (NODE, many("node", Form::Message)),
            (2, once("name", Form::Name)),
            (INITIALIZER, many("initializer", Form::Message)),
            (INPUT, many("input", Form::Message)),
            (OUTPUT, many("output", Form::Message)),
            (13, many("value_info", Form::Message)),
            (14, many("quantization_annotation", Form::Message)),
            (SPARSE_INITIALIZER, many("sparse_initializer", Form::Message)),
        ],
    );
}

pub(super) mod node {
    use super::*;

    pub(in super::super) const NAME: u32 = 3;
    pub(in super::super) const OPERATOR: u32 = 4;
    pub(in super::super) const ATTRIBUTE: u32 = 5;
    pub(in super::super) const DOMAIN: u32 = 7;
    pub(in super::super) static MESSAGE: Message = Message::new(
        "node",
        &[
            (1, many("input", Form::Name)),
            (2, many("output", Form::Name)),
            (NAME, once("name", Form::Name)),
            (OPERATOR, once("op_type", Form::Name)),
            (ATTRIBUTE, many("attribute", Form::Message)),
            (DOMAIN, once("domain", Form::Name)),
            (8, once("overload", Form::Name)),
        ],
    );
}

pub(super) mod attribute {
    use super::*;

    pub(in super::super) const NAME: u32 = 1;
    pub(in super::super) const TENSOR: u32 = 5;
    pub(in super::super) const GRAPH: u32 = 6;
    pub(in super::super) const TENSORS: u32 = 10;
    pub(in super::super) const GRAPHS: u32 = 11;
    pub(in super::super) const SPARSE_TENSOR: u32 = 22;
    pub(in super::super) const SPARSE_TENSORS: u32 = 23;
    pub(in super::super) static MESSAGE: Message = Message::new(
        "attribute",
        &[
            (NAME, once("name", Form::Name)),
            (3, once("i", Form::Number)),
            (4, once("s", Form::Bytes)),
            (TENSOR, once("t", Form::Message)),
            (GRAPH, once("g", Form::Message)),
            (7, many("floats", Form::Floats)),
            (8, many("ints", Form::Numbers)),
            (9, many("strings", Form::Bytes)),
            (TENSORS, many("tensors", Form::Message)),
            (GRAPHS, many("graphs", Form::Message)),
            (14, once("tp", Form::Message)),
            (15, many("type_protos", Form::Message)),
            (20, once("type", Form::Number)),
            (21, once("ref_attr_name", Form::Name)),
            (SPARSE_TENSOR, once("sparse_tensor", Form::Message)),
            (SPARSE_TENSORS, many("sparse_tensors", Form::Message)),
        ],
    );
}

pub(super) mod tensor {
    use super::*;

    pub(in super::super) const DIMS: u32 = 1;
    pub(in super::super) const DATA_TYPE: u32 = 2;
    pub(in super::super) const FLOAT_DATA: u32 = 4;
    pub(in super::super) const INT32_DATA: u32 = 5;
    pub(in super::super) const STRING_DATA: u32 = 6;
    pub(in super::super) const INT64_DATA: u32 = 7;
    pub(in super::super) const NAME: u32 = 8;
    pub(in super::super) const RAW_DATA: u32 = 9;
    pub(in super::super) const DOUBLE_DATA: u32 = 10;
    pub(in super::super) const UINT64_DATA: u32 = 11;
    pub(in super::super) const EXTERNAL_DATA: u32 = 13;
    pub(in super::super) const DATA_LOCATION: u32 = 14;
    pub(in super::super) static MESSAGE: Message = Message::new(
        "tensor",
        &[
            (DIMS, many("dims", Form::Numbers)),
            (DATA_TYPE, once("data_type", Form::Number)),
            (FLOAT_DATA, many("float_data", Form::Floats)),
            (INT32_DATA, many("int32_data", Form::Numbers)),
            (STRING_DATA, many("string_data", Form::Bytes)),
            (INT64_DATA, many("int64_data", Form::Numbers)),
            (NAME, once("name", Form::Name)),
            (RAW_DATA, once("raw_data", Form::Bytes)),
            (DOUBLE_DATA, many("double_data", Form::Doubles)),
            (UINT64_DATA, many("uint64_data", Form::Numbers)),
            (EXTERNAL_DATA, many("external_data", Form::Message)),
            (DATA_LOCATION, once("data_location", Form::Number)),
        ],
    );
}

pub(super) mod sparse {
    use super::*;

    pub(in super::super) const VALUES: u32 = 1;
    pub(in super::super) const INDICES: u32 = 2;
    pub(in super::super) const DIMS: u32 = 3;
    pub(in super::super) static MESSAGE: Message = Message::new(
        "sparse tensor",
        &[
            (VALUES, once("values", Form::Message)),
            (INDICES, once("indices", Form::Message)),
            (DIMS, many("dims", Form::Numbers)),
        ],
    );
}

/// A key and a value, as in `external_data`.
pub(super) mod entry {
    use super::*;

    pub(in super::super) const KEY: u32 = 1;
    pub(in super::super) const VALUE: u32 = 2;
    pub(in super::super) static MESSAGE: Message = Message::new(
        "external_data",
        &[(KEY, once("key", Form::Name)), (VALUE, once("value", Form::Name))],
    );
}

/// An input or an output, down to its shape.
pub(super) mod port {
    use super::*;

    pub(in super::super) const NAME: u32 = 1;
    pub(in super::super) const TYPE: u32 = 2;
    pub(in super::super) static MESSAGE: Message = Message::new(
        "value_info",
        &[(NAME, once("name", Form::Name)), (TYPE, once("type", Form::Message))],
    );

    pub(in super::super) const TENSOR: u32 = 1;
    pub(in super::super) const SPARSE_TENSOR: u32 = 8;
    pub(in super::super) static TYPE_MESSAGE: Message = Message::new(
        "type",
        &[
            (TENSOR, once("tensor_type", Form::Message)),
            (SPARSE_TENSOR, once("sparse_tensor_type", Form::Message)),
        ],
    );

    pub(in super::super) const SHAPE: u32 = 2;
    pub(in super::super) static TENSOR_MESSAGE: Message =
        Message::new("tensor_type", &[(SHAPE, once("shape", Form::Message))]);

    pub(in super::super) const DIM: u32 = 1;
    pub(in super::super) static SHAPE_MESSAGE: Message =
        Message::new("shape", &[(DIM, many("dim", Form::Message))]);

    pub(in super::super) static DIM_MESSAGE: Message = Message::new(
        "dim",
        &[(1, once("dim_value", Form::Number)), (2, once("dim_param", Form::Name))],
    );
}
