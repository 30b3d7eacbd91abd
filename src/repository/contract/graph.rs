//! Graphs, their nodes, and the tensors in both. A node may have graphs in its attributes, so the functions here call
//! each other; how deep is limited, and with it what they take of the stack.

use std::io::{Read, Seek};

use super::error::{Breach, Stop};
use super::external::{External, ExternalFault};
use super::operators::{Body, Operator};
use super::schema::{attribute, entry, graph, node, port, sparse, tensor};
use super::tensor::{Count, Shape, Tensor, TensorFault, Weights};
use super::walk::{Walk, at_most};
use super::wire::{Fields, Span, Value};

impl<R: Read + Seek> Walk<'_, R> {
    /// Goes through a graph, and returns how many outputs it has.
    pub(super) fn graph(&mut self, span: Span, body: &mut Body, level: usize) -> Result<u64, Stop> {
        if level > self.limits.nested_graphs {
            return Err(Breach::NestedTooDeep(self.limits.nested_graphs).into());
        }
        let mut fields = Fields::of(&graph::MESSAGE, span);
        let (mut nodes, mut initializers, mut inputs, mut outputs) = (0, 0, 0, 0);
        while let Some(field) = self.reader.next(&mut fields)? {
            match (field.number, field.value) {
                (graph::NODE, Value::Bytes(span)) => {
                    nodes += 1;
                    self.node(span, nodes, body, level)?;
                }
                (graph::INITIALIZER, Value::Bytes(span)) => {
                    initializers += 1;
                    self.initializer(|walk| {
                        walk.within("initializer", Some(initializers), |walk| walk.tensor(span))
                    })?;
                }
                (graph::SPARSE_INITIALIZER, Value::Bytes(span)) => {
                    initializers += 1;
                    self.initializer(|walk| {
                        walk.within("sparse initializer", Some(initializers), |walk| {
                            walk.sparse_tensor(span)
                        })
                    })?;
                }
                (graph::INPUT, Value::Bytes(span)) => {
                    inputs += 1;
                    at_most(inputs, self.limits.ports, "inputs")?;
                    self.within("input", Some(inputs), |walk| walk.port(span))?;
                }
                (graph::OUTPUT, Value::Bytes(span)) => {
                    outputs += 1;
                    at_most(outputs, self.limits.ports, "outputs")?;
                    self.within("output", Some(outputs), |walk| walk.port(span))?;
                }
                _ => {}
            }
        }
        Ok(outputs)
    }

    pub(super) fn node(
        &mut self,
        span: Span,
        number: u64,
        body: &mut Body,
        level: usize,
    ) -> Result<(), Stop> {
        self.nodes += 1;
        at_most(self.nodes, self.limits.nodes, "nodes")?;
        self.within("node", Some(number), |walk| {
            let mut fields = Fields::of(&node::MESSAGE, span);
            let (mut domain, mut name, mut attributes) = (String::new(), String::new(), 0);
            while let Some(field) = walk.reader.next(&mut fields)? {
                match (field.number, field.value) {
                    (node::NAME, Value::Bytes(span)) => walk.call(span),
                    (node::OPERATOR, Value::Bytes(span)) => name = walk.reader.name(span)?,
                    (node::DOMAIN, Value::Bytes(span)) => domain = walk.reader.name(span)?,
                    (node::ATTRIBUTE, Value::Bytes(span)) => {
                        attributes += 1;
                        walk.attribute(span, attributes, body, level)?;
                    }
                    _ => {}
                }
            }
            walk.operator(Operator::new(domain, name), body)
        })
    }

    fn operator(&mut self, operator: Operator, body: &mut Body) -> Result<(), Stop> {
        let is_foreign = operator.is_foreign(self.limits);
        let (number, is_first) = self.operators.number(operator);
        let most = self.limits.operators as u64;
        at_most(self.operators.count() as u64, most, "different operators")?;
        if is_first && is_foreign {
            let place = self.place()?;
            self.operators.note_foreign(number, place);
        }
        body.add(number);
        Ok(())
    }

    pub(super) fn attribute(
        &mut self,
        span: Span,
        number: u64,
        body: &mut Body,
        level: usize,
    ) -> Result<(), Stop> {
        self.within("attribute", Some(number), |walk| {
            let mut fields = Fields::of(&attribute::MESSAGE, span);
            let mut of_a_list = 0;
            while let Some(field) = walk.reader.next(&mut fields)? {
                match (field.number, field.value) {
                    (attribute::NAME, Value::Bytes(span)) => walk.call(span),
                    (attribute::TENSOR, Value::Bytes(span)) => {
                        walk.weighed(|walk| walk.within("tensor", None, |walk| walk.tensor(span)))?;
                    }
                    (attribute::TENSORS, Value::Bytes(span)) => {
                        of_a_list += 1;
                        walk.weighed(|walk| {
                            walk.within("tensor", Some(of_a_list), |walk| walk.tensor(span))
                        })?;
                    }
                    (attribute::SPARSE_TENSOR | attribute::SPARSE_TENSORS, Value::Bytes(span)) => {
                        of_a_list += 1;
                        walk.weighed(|walk| {
                            walk.within("sparse tensor", Some(of_a_list), |walk| {
                                walk.sparse_tensor(span)
                            })
                        })?;
                    }
                    (attribute::GRAPH | attribute::GRAPHS, Value::Bytes(span)) => {
                        walk.graph(span, body, level + 1)?;
                    }
                    _ => {}
                }
            }
            Ok(())
        })
    }

    fn initializer(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<Weights, Stop>,
    ) -> Result<(), Stop> {
        self.initializers += 1;
        at_most(self.initializers, self.limits.initializers, "initializers")?;
        self.weighed(read)
    }

    /// Adds what a tensor weighs.
    fn weighed(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<Weights, Stop>,
    ) -> Result<(), Stop> {
        let Weights { inside, outside, .. } = read(self)?;
        self.weights.inside = self.weights.inside.saturating_add(inside);
        self.weights.outside = self.weights.outside.saturating_add(outside);
        Ok(())
    }

    fn tensor(&mut self, span: Span) -> Result<Weights, Stop> {
        let mut fields = Fields::of(&tensor::MESSAGE, span);
        let mut found = Tensor::default();
        while let Some(field) = self.reader.next(&mut fields)? {
            match (field.number, field.value) {
                (tensor::DIMS, value) => self.dims(value, &mut found.shape)?,
                (tensor::DATA_TYPE, Value::Number(number)) => found.data_type = number,
                (tensor::NAME, Value::Bytes(span)) => self.call(span),
                (tensor::RAW_DATA, Value::Bytes(span)) => found.raw = Some(span.length()),
                (tensor::STRING_DATA, Value::Bytes(span)) => {
                    found.text_bytes += span.length();
                    found.add(tensor::STRING_DATA, Count::exactly(1));
                }
                (
                    tensor::FLOAT_DATA
                    | tensor::DOUBLE_DATA
                    | tensor::INT32_DATA
                    | tensor::INT64_DATA
                    | tensor::UINT64_DATA,
                    value,
                ) => found.add(field.number, count(field.number, value)),
                (tensor::DATA_LOCATION, Value::Number(number)) => found.location = number,
                (tensor::EXTERNAL_DATA, Value::Bytes(span)) => {
                    self.external(span, found.external.get_or_insert_default())?;
                }
                _ => {}
            }
        }
        found.check(&mut self.beside, self.limits.dims)
    }

    fn external(&mut self, span: Span, external: &mut External) -> Result<(), Stop> {
        let mut fields = Fields::of(&entry::MESSAGE, span);
        let (mut key, mut value) = (String::new(), String::new());
        while let Some(field) = self.reader.next(&mut fields)? {
            match (field.number, field.value) {
                (entry::KEY, Value::Bytes(span)) => key = self.reader.name(span)?,
                (entry::VALUE, Value::Bytes(span)) => value = self.reader.name(span)?,
                _ => {}
            }
        }
        Ok(external.add(&key, value)?)
    }

    fn sparse_tensor(&mut self, span: Span) -> Result<Weights, Stop> {
        let mut fields = Fields::of(&sparse::MESSAGE, span);
        let (mut values, mut indices, mut shape) = (None, None, Shape::default());
        while let Some(field) = self.reader.next(&mut fields)? {
            match (field.number, field.value) {
                (sparse::VALUES, Value::Bytes(span)) => {
                    values = Some(self.within("values", None, |walk| walk.tensor(span))?);
                }
                (sparse::INDICES, Value::Bytes(span)) => {
                    indices = Some(self.within("indices", None, |walk| walk.tensor(span))?);
                }
                (sparse::DIMS, value) => self.dims(value, &mut shape)?,
                _ => {}
            }
        }
        let (Some(values), Some(indices)) = (values, indices) else {
            return Err(TensorFault::Sparse.into());
        };
        let bits = values.bits.ok_or(ExternalFault::Texts);
        let (_, dense) = shape.size(bits?, self.limits.dims)?;
        if dense > MOST_DENSE_BYTES {
            return Err(TensorFault::Dense.into());
        }
        let inside = dense.saturating_add(values.inside).saturating_add(indices.inside);
        Ok(Weights {
            inside,
            outside: values.outside.saturating_add(indices.outside),
            bits: values.bits,
        })
    }

    fn dims(&mut self, value: Value, shape: &mut Shape) -> Result<(), Stop> {
        match value {
            Value::Number(dim) => shape.push(dim),
            Value::Bytes(mut packed) => {
                while let Some(dim) = self.reader.next_number(&mut packed)? {
                    shape.push(dim);
                }
            }
            Value::Four | Value::Eight => {} // the schema has no such dimensions
        }
        Ok(())
    }

    /// An input or an output: its name, and whether its shape is one that can be shown.
    fn port(&mut self, span: Span) -> Result<(), Stop> {
        let mut fields = Fields::of(&port::MESSAGE, span);
        while let Some(field) = self.reader.next(&mut fields)? {
            match (field.number, field.value) {
                (port::NAME, Value::Bytes(span)) => self.call(span),
                (port::TYPE, Value::Bytes(span)) => self.port_type(span)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn port_type(&mut self, span: Span) -> Result<(), Stop> {
        let mut fields = Fields::of(&port::TYPE_MESSAGE, span);
        while let Some(field) = self.reader.next(&mut fields)? {
            let (port::TENSOR | port::SPARSE_TENSOR, Value::Bytes(span)) =
                (field.number, field.value)
            else {
                continue;
            };
            let mut fields = Fields::of(&port::TENSOR_MESSAGE, span);
            while let Some(field) = self.reader.next(&mut fields)? {
                if let (port::SHAPE, Value::Bytes(span)) = (field.number, field.value) {
                    self.port_shape(span)?;
                }
            }
        }
        Ok(())
    }

    fn port_shape(&mut self, span: Span) -> Result<(), Stop> {
        let mut fields = Fields::of(&port::SHAPE_MESSAGE, span);
        let mut dims = 0;
        while let Some(field) = self.reader.next(&mut fields)? {
            let (port::DIM, Value::Bytes(span)) = (field.number, field.value) else { continue };
            dims += 1;
            at_most(dims, self.limits.dims as u64, "dimensions")?;
            let mut fields = Fields::of(&port::DIM_MESSAGE, span);
            while self.reader.next(&mut fields)?.is_some() {}
        }
        Ok(())
    }
}

/// As much as protobuf lets a file hold, so no tensor that stands there in full has more.
const MOST_DENSE_BYTES: u64 = i32::MAX as u64;

/// How many values are in a field of numbers.
fn count(field: u32, value: Value) -> Count {
    match (value, field) {
        (Value::Bytes(span), tensor::FLOAT_DATA) => Count::exactly(span.length() / 4),
        (Value::Bytes(span), tensor::DOUBLE_DATA) => Count::exactly(span.length() / 8),
        (Value::Bytes(span), _) => Count::packed(span.length()),
        (Value::Number(_) | Value::Four | Value::Eight, _) => Count::exactly(1),
    }
}
