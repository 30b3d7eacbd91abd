//! Models that are put together piece by piece, where a test is about what a model takes and gives.

use super::onnx::{bytes, model, node, number, text};

/// A model in the making. What an input or an output is, is said as `f32[N, 2]`, or as `f32` without a shape.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph(Vec<u8>);

impl Graph {
    pub(crate) fn input(self, name: &str, spec: &str) -> Self {
        self.with(port(11, name, spec))
    }

    pub(crate) fn output(self, name: &str, spec: &str) -> Self {
        self.with(port(12, name, spec))
    }

    pub(crate) fn node(self, operator: &str, inputs: &[&str], output: &str) -> Self {
        self.with(node(operator, inputs, output))
    }

    pub(crate) fn cast(self, input: &str, output: &str, dtype: &str) -> Self {
        const INT: u64 = 2;
        let to = bytes(5, &[text(1, "to"), number(3, element_type(dtype)), number(20, INT)]);
        self.with(bytes(1, &[text(1, input), text(2, output), text(4, "Cast"), to]))
    }

    /// A value of the model's own: f32, of these dimensions.
    pub(crate) fn constant(self, name: &str, dims: &[u64], elements: &[f32]) -> Self {
        let dims = dims.iter().flat_map(|size| number(1, *size)).collect();
        let elements = elements.iter().flat_map(|element| element.to_le_bytes()).collect();
        self.with(bytes(5, &[dims, number(2, 1), text(8, name), bytes(9, &[elements])]))
    }

    pub(crate) fn model(&self) -> Vec<u8> {
        model(&[self.0.clone(), text(2, "g")].concat(), 0)
    }

    fn with(mut self, part: Vec<u8>) -> Self {
        self.0.extend(part);
        self
    }
}

fn port(field: u8, name: &str, spec: &str) -> Vec<u8> {
    let (dtype, dims) = match spec.split_once('[') {
        Some((dtype, dims)) => (dtype, Some(dims.trim_end_matches(']'))),
        None => (spec, None),
    };
    let dim = |dim: &str| match dim.parse() {
        Ok(size) => bytes(1, &[number(1, size)]),
        Err(_) => bytes(1, &[text(2, dim)]),
    };
    let dims = dims.map(|dims| dims.split(", ").filter(|dim| !dim.is_empty()).flat_map(dim));
    let shape = dims.map_or_else(Vec::new, |dims| bytes(2, &[dims.collect()]));
    bytes(field, &[text(1, name), bytes(2, &[bytes(1, &[number(1, element_type(dtype)), shape])])])
}

fn element_type(name: &str) -> u64 {
    const TYPES: [(&str, u64); 14] = [
        ("f32", 1),
        ("u8", 2),
        ("i8", 3),
        ("u16", 4),
        ("i16", 5),
        ("i32", 6),
        ("i64", 7),
        ("string", 8),
        ("bool", 9),
        ("f16", 10),
        ("f64", 11),
        ("u32", 12),
        ("u64", 13),
        ("bf16", 16),
    ];
    TYPES.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no type `{name}`")).1
}
