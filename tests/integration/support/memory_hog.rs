//! A model that is in everybody's way.

use super::onnx::{constant, model, node, port, text};

/// A model that adds a number, and on the way goes so many times through so many mebibytes of memory that it has made for
/// the request: whoever shares caches and memory with it notices.
pub(crate) fn memory_hog(summand: f32, mebibytes: i64, passes: usize) -> Vec<u8> {
    const F32: u64 = 1;
    const I64: u64 = 7;
    let wide = [mebibytes << 10, 128].map(i64::to_le_bytes).concat();
    // How large it is depends on the request, so that nobody can work it out beforehand.
    let mut nodes = vec![
        node("Shape", &["X"], "shape"),
        node("Mul", &["shape", "wide"], "large"),
        node("ConstantOfShape", &["large"], "pass0"),
    ];
    for pass in 0..passes {
        nodes.push(node("Neg", &[&format!("pass{pass}")], &format!("pass{}", pass + 1)));
    }
    nodes.extend([
        node("ReduceMax", &[&format!("pass{passes}")], "nothing"),
        node("Add", &["X", "nothing"], "same"),
        node("Add", &["same", "c"], "Y"),
        text(2, "g"),
        constant("wide", I64, &[2], &wide),
        constant("c", F32, &[], &summand.to_le_bytes()),
    ]);
    model(&[nodes.concat(), port(11, "X"), port(12, "Y")].concat(), 0)
}
