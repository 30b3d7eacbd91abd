//! Models written by hand, for what no converter makes. The bench and the unit tests take them from here, too.
//!
//! ONNX is protobuf, of which this takes two forms: numbers, and everything else by its length. Below the models are
//! the functions that write both, and the parts of a model that most of them need.

/// A model that adds two numbers, f32, which are all that is in another file.
pub(crate) fn adder_with_external_data(location: &str) -> Vec<u8> {
    adder_with_external_data_at(location, "0", "8")
}

/// The same, with words of its own for the place in the file.
pub(crate) fn adder_with_external_data_at(location: &str, offset: &str, length: &str) -> Vec<u8> {
    let entry = |key: &str, value: &str| bytes(13, &[text(1, key), text(2, value)]);
    let place = [entry("location", location), entry("offset", offset), entry("length", length)];
    let summands = [number(1, 2), number(2, 1), text(8, "c"), place.concat(), number(14, 1)];
    let graph = [node("Add", &["X", "c"], "Y"), text(2, "g"), bytes(5, &summands)];
    model(&[graph.concat(), port(11, "X"), port(12, "Y")].concat(), 0)
}

/// A model that adds a number, and is as large as its weights: the beginning, after which the file has zeros up to
/// [`Self::length`]. It takes the summand out of the weights for each request, so all of them must be in memory, and
/// that costs it no time.
pub(crate) struct HeavyAdder {
    pub(crate) beginning: Vec<u8>,
    pub(crate) length: u64,
}

impl HeavyAdder {
    pub(crate) fn new(summand: f32, mebibytes: u64) -> Self {
        const ROWS_TOLD: usize = 8;
        let weights = mebibytes << 20;
        let rows = weights / 8;
        // Which rows are taken depends on the shape of the input, so that nobody can work it out beforehand.
        let nodes = [
            node("Shape", &["X"], "shape"),
            node("Gather", &["w", "shape"], "rows"),
            node("ReduceMax", &["rows"], "summand"),
            node("Add", &["X", "summand"], "Y"),
        ];
        let dims = [number(1, rows), number(1, 2), number(2, 1), text(8, "w")].concat();
        let told = [summand; 2 * ROWS_TOLD].map(f32::to_le_bytes).concat();
        let data = [key(9, 2), varint(weights), told.clone()].concat();
        let rest = weights - told.len() as u64;
        let tensor = [key(5, 2), varint((dims.len() + data.len()) as u64 + rest), dims, data];
        let graph = [nodes.concat(), text(2, "g"), port(11, "X"), port(12, "Y"), tensor.concat()];
        let beginning = model(&graph.concat(), rest);
        Self { length: beginning.len() as u64 + rest, beginning }
    }
}

/// A model that adds a number, and in whose sight -2⁶³ kills the process: as an int64 it is divided by -1, which no
/// library checks and no int64 can hold, and the processor refuses (on x86-64: `SIGFPE`).
pub(crate) fn adder_with_a_trap(summand: f32) -> Vec<u8> {
    const F32: u64 = 1;
    const I64: u64 = 7;
    let graph = [
        cast("X", "whole", I64),
        node("Div", &["whole", "minus_one"], "quotient"),
        // Nothing is left of it but that it had to be worked out.
        node("Mul", &["quotient", "zero"], "nothing"),
        cast("nothing", "nothing_as_float", F32),
        node("Add", &["X", "nothing_as_float"], "same"),
        node("Add", &["same", "c"], "Y"),
        text(2, "g"),
        constant("minus_one", I64, &[], &(-1_i64).to_le_bytes()),
        constant("zero", I64, &[], &0_i64.to_le_bytes()),
        constant("c", F32, &[], &summand.to_le_bytes()),
    ];
    model(&[graph.concat(), port(11, "X"), port(12, "Y")].concat(), 0)
}

/// A node that turns numbers into those of another type.
pub(crate) fn cast(input: &str, output: &str, to: u64) -> Vec<u8> {
    const INT: u64 = 2;
    let to = bytes(5, &[text(1, "to"), number(3, to), number(20, INT)]);
    bytes(1, &[text(1, input), text(2, output), text(4, "Cast"), to])
}

/// A tensor of the model's, of a type by its number in ONNX, with its bytes.
pub(crate) fn constant(name: &str, dtype: u64, shape: &[u64], value: &[u8]) -> Vec<u8> {
    let dims: Vec<u8> = shape.iter().flat_map(|dim| number(1, *dim)).collect();
    bytes(5, &[dims, number(2, dtype), text(8, name), bytes(9, &[value.to_vec()])])
}

/// A model whose graph goes on for some more bytes. Its operators are those of version 18.
pub(crate) fn model(graph: &[u8], more: u64) -> Vec<u8> {
    let opset = bytes(8, &[number(2, 18)]);
    [number(1, 8), opset, key(7, 2), varint(graph.len() as u64 + more), graph.to_vec()].concat()
}

/// A node with one output and no name.
pub(crate) fn node(operator: &str, inputs: &[&str], output: &str) -> Vec<u8> {
    let inputs: Vec<u8> = inputs.iter().flat_map(|input| text(1, input)).collect();
    bytes(1, &[inputs, text(2, output), text(4, operator)])
}

/// An input or an output of any number of rows and two columns.
pub(crate) fn port(field: u8, name: &str) -> Vec<u8> {
    let shape = bytes(2, &[bytes(1, &[text(2, "N")]), bytes(1, &[number(1, 2)])]);
    bytes(field, &[text(1, name), bytes(2, &[bytes(1, &[number(1, 1), shape])])])
}

/// A field with a number.
pub(crate) fn number(field: u8, value: u64) -> Vec<u8> {
    [key(field, 0), varint(value)].concat()
}

/// A field with a text.
pub(crate) fn text(field: u8, text: &str) -> Vec<u8> {
    bytes(field, &[text.as_bytes().to_vec()])
}

/// A field with bytes, or with a message that is made of its fields.
pub(crate) fn bytes(field: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    let content = parts.concat();
    [key(field, 2), varint(content.len() as u64), content].concat()
}

/// What a field begins with. Forms are 0 for a number, 1 for 8 bytes, 2 for a length and so many bytes, 5 for 4 bytes.
pub(crate) fn key(field: u8, form: u8) -> Vec<u8> {
    varint(u64::from(field) << 3 | u64::from(form))
}

/// A number as protobuf writes it: seven bits a byte.
pub(crate) fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
