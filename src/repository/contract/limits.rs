//! How large a model may be in its parts. Its weights have no limit here: the memory budget judges those.
//!
//! A limit is far above what honest models have, and low enough that ONNX Runtime comes to an end with a model that
//! reaches it. What it takes was measured with version 1.32 on one core: a chain of 20,000 nodes loads in half a
//! second, one of 100,000 in 4 s and 250 MB, one of 250,000 in 16 s and 630 MB; 100,000 nodes with an initializer
//! each take 35 s, growing with the square. So with all limits reached a load stays below `load_timeout`.

use std::collections::BTreeSet;

/// What a model may have at most, and what it may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContractLimits {
    /// Nodes, in all graphs, and with functions written out where they are called. A language model has some
    /// 10,000, one that was unrolled over its steps ten times as many.
    pub(crate) nodes: u64,
    /// Tensors that are initializers, in all graphs. Experts that are stored one by one make some 20,000.
    pub(crate) initializers: u64,
    /// Inputs of a graph, and outputs of a graph. A language model's cache has two for each layer.
    pub(crate) ports: u64,
    /// Graphs in attributes of nodes in graphs. Converters nest 3 or 4. Protobuf itself ends at 32, and older
    /// versions of ONNX Runtime take time that doubles with each.
    pub(crate) nested_graphs: usize,
    /// Different operators, the model's own functions among them. ONNX has some 200.
    pub(crate) operators: usize,
    /// Messages and names, each of which becomes an object in memory.
    pub(crate) parts: u64,
    /// The length of a name. The longest that converters make have some hundred bytes.
    pub(crate) name_bytes: u64,
    /// Dimensions of a tensor. NumPy has no more.
    pub(crate) dims: usize,
    /// Domains of operators that are neither ONNX Runtime's nor the model's own.
    pub(crate) domains: BTreeSet<String>,
}

impl Default for ContractLimits {
    fn default() -> Self {
        Self {
            nodes: 200_000,
            initializers: 200_000,
            ports: 4096,
            nested_graphs: 16,
            operators: 10_000,
            parts: 10_000_000,
            name_bytes: 2048,
            dims: 64,
            domains: BTreeSet::new(),
        }
    }
}
