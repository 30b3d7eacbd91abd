//! Random models, requests that fit them, and requests that were damaged.
//!
//! Everything is made from a list of numbers ([`Choices`]): what proptest makes of the list when it looks for a
//! small counterexample is again a request, and a smaller one.

use base64::Engine;
use proptest::prelude::*;

use super::Model;
use super::reference::Tree;
use crate::domain::signature::{Dim, Shape, TensorSpec};
use crate::domain::tensor::DType;

/// Decisions yet to be made. When there are no more, the first possibility is taken.
#[derive(Clone, Debug)]
pub(super) struct Choices(std::vec::IntoIter<u32>);

/// Enough decisions for a model, a request and its damage.
pub(super) fn choices() -> impl Strategy<Value = Choices> {
    prop::collection::vec(any::<u32>(), 0..600).prop_map(|numbers| Choices(numbers.into_iter()))
}

impl Choices {
    fn below(&mut self, count: usize) -> usize {
        self.0.next().unwrap_or(0) as usize % count.max(1)
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }

    fn of<T: Clone>(&mut self, possibilities: &[T]) -> T {
        possibilities[self.below(possibilities.len())].clone()
    }

    fn times<T>(&mut self, count: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..count).map(|_| make(self)).collect()
    }
}

/// A model with one to three inputs.
pub(super) fn model(choices: &mut Choices) -> Model {
    let mut names = vec!["x", "y", "größe.1", "b64", "instances", "a[0]", "with \"quotes\"\n"];
    let count = choices.of(&[1, 1, 2, 3]);
    let mut model = Model::of(choices.times(count, |choices| {
        let name = names.remove(choices.below(names.len())).to_owned();
        let dtype = choices.of(&DTYPES);
        TensorSpec { name, dtype, shape: shape(choices) }
    }));
    if choices.one_in(10) {
        model.limits.json_depth = 1 + choices.below(5);
        model.limits.inputs = 1 + choices.below(3);
        model.limits.elements = 1 + choices.below(30);
        model.limits.string_bytes = choices.below(60);
    }
    match features(choices, &model) {
        Some(count) => model.with_features(&["a", "b", "x", "b64"][..count]),
        None => model,
    }
}

const DTYPES: [DType; 6] =
    [DType::F32, DType::String, DType::I64, DType::F64, DType::Bool, DType::I32];

fn shape(choices: &mut Choices) -> Shape {
    if choices.one_in(10) {
        return Shape(None);
    }
    let rank = choices.of(&[2, 1, 3, 0]);
    Shape(Some(choices.times(rank, |choices| match choices.below(3) {
        0 => Dim::Symbol("N".into()),
        1 => Dim::Fixed(choices.of(&[1, 2, 3, 0])),
        _ => Dim::Any,
    })))
}

/// How many columns have names, where the settings could name them.
fn features(choices: &mut Choices, model: &Model) -> Option<usize> {
    let [input] = &model.signature.inputs[..] else { return None };
    match input.shape.dims() {
        Some([_, Dim::Fixed(columns @ 1..=3)]) => choices.one_in(2).then_some(*columns),
        Some([_, Dim::Symbol(_) | Dim::Any]) | None => {
            choices.one_in(2).then(|| 1 + choices.below(4))
        }
        Some(_) => None,
    }
}

/// A request that this model takes, as long as the limits do.
pub(super) fn fitting(choices: &mut Choices, model: &Model) -> Tree {
    let inputs = &model.signature.inputs;
    let mut shapes: Vec<Vec<usize>> = inputs.iter().map(|input| concrete(choices, input)).collect();
    let as_rows = choices.one_in(2) || !model.naming.features.is_empty();
    let (key, value) = match rows_of(inputs, choices.of(&[1, 2, 3])).filter(|_| as_rows) {
        Some(rows) => {
            shapes.iter_mut().for_each(|shape| shape[0] = rows);
            ("instances", Tree::Array(instances(choices, model, &shapes, rows)))
        }
        None => ("inputs", tensors(choices, model, &shapes)),
    };
    let mut members = vec![(key.to_owned(), value)];
    if choices.one_in(4) {
        let name = choices.of(&["serving_default", ""]);
        members.push(("signature_name".to_owned(), Tree::Text(name.into())));
    }
    if choices.one_in(4) {
        members.insert(choices.below(members.len()), ("context".to_owned(), anything(choices, 0)));
    }
    Tree::Object(members)
}

/// A shape that the input admits. One of unknown rank is given one or two dimensions.
fn concrete(choices: &mut Choices, input: &TensorSpec) -> Vec<usize> {
    let Some(dims) = input.shape.dims() else {
        let rank = 1 + choices.below(2);
        return choices.times(rank, |choices| 1 + choices.below(3));
    };
    let size = |(depth, dim): (usize, &Dim)| match dim {
        Dim::Fixed(size) => *size,
        Dim::Symbol(_) | Dim::Any if depth == 0 => choices.of(&[1, 2, 3]),
        Dim::Symbol(_) | Dim::Any => choices.of(&[1, 2, 3, 0]),
    };
    dims.iter().enumerate().map(size).collect()
}

/// How many rows there may be, if the inputs can be given in rows.
fn rows_of(inputs: &[TensorSpec], wanted: usize) -> Option<usize> {
    let first = |input: &TensorSpec| match input.shape.dims() {
        Some([]) => Some(0),
        Some([Dim::Fixed(rows), ..]) => Some(*rows),
        Some(_) | None => None,
    };
    let mut fixed: Vec<usize> = inputs.iter().filter_map(first).collect();
    fixed.dedup();
    match fixed[..] {
        [] => Some(wanted),
        [0] => None,
        [rows] => Some(rows),
        _ => None,
    }
}

fn instances(
    choices: &mut Choices,
    model: &Model,
    shapes: &[Vec<usize>],
    rows: usize,
) -> Vec<Tree> {
    let inputs = &model.signature.inputs;
    let features = &model.naming.features;
    if !features.is_empty() && choices.below(3) > 0 {
        let dtype = inputs[0].dtype;
        return choices.times(rows, |choices| {
            let value = |name: &String| (name.clone(), element(choices, dtype));
            let members = features.iter().map(value).collect();
            shuffled(choices, members)
        });
    }
    let is_shadowed = features.contains(&inputs[0].name);
    let are_named = inputs.len() > 1 || (choices.one_in(3) && !is_shadowed);
    choices.times(rows, |choices| {
        let mut members = Vec::new();
        for (input, shape) in inputs.iter().zip(shapes) {
            let may_omit = input.shape.dims().is_some();
            members.push((input.name.clone(), nested(choices, &shape[1..], input.dtype, may_omit)));
        }
        if are_named { shuffled(choices, members) } else { members.remove(0).1 }
    })
}

fn tensors(choices: &mut Choices, model: &Model, shapes: &[Vec<usize>]) -> Tree {
    let inputs = &model.signature.inputs;
    let mut members = Vec::new();
    for (input, shape) in inputs.iter().zip(shapes) {
        let may_omit = input.shape.dims().is_some();
        members.push((input.name.clone(), nested(choices, shape, input.dtype, may_omit)));
    }
    match members.len() {
        1 if choices.one_in(2) => members.remove(0).1,
        _ => shuffled(choices, members),
    }
}

fn shuffled(choices: &mut Choices, mut members: Vec<(String, Tree)>) -> Tree {
    if choices.one_in(2) {
        let first = choices.below(members.len());
        members.rotate_left(first);
    }
    Tree::Object(members)
}

fn nested(choices: &mut Choices, shape: &[usize], dtype: DType, may_omit: bool) -> Tree {
    match shape {
        [] => element(choices, dtype),
        all if may_omit && all.iter().all(|size| *size == 1) && choices.one_in(2) => {
            element(choices, dtype)
        }
        [size, inner @ ..] => {
            Tree::Array(choices.times(*size, |choices| nested(choices, inner, dtype, may_omit)))
        }
    }
}

fn element(choices: &mut Choices, dtype: DType) -> Tree {
    let whole = |number: i64| Tree::Integer(number.into());
    match dtype {
        DType::Bool => Tree::Bool(choices.one_in(2)),
        DType::U8 => whole(choices.of(&[0, 1, 200, u8::MAX.into(), 256, -1])),
        DType::U16 => whole(choices.of(&[0, 1, 200, u16::MAX.into(), 65_536, -1])),
        DType::U32 => whole(choices.of(&[0, 1, 200, u32::MAX.into(), 1 << 32, -1])),
        DType::U64 => Tree::Integer(choices.of(&[0, 1, u64::MAX.into(), 1 << 63])),
        DType::I8 => whole(choices.of(&[0, 1, -7, i8::MAX.into(), i8::MIN.into(), 128])),
        DType::I16 => whole(choices.of(&[0, 1, -7, i16::MAX.into(), i16::MIN.into()])),
        DType::I32 => whole(choices.of(&[0, 1, -7, i32::MAX.into(), i32::MIN.into()])),
        DType::I64 => whole(choices.of(&[0, 1, -7, 1 << 53, i64::MAX, i64::MIN])),
        DType::F16 | DType::BF16 | DType::F32 | DType::F64 if choices.one_in(12) => {
            Tree::Text(choices.of(&["NaN", "Infinity", "-Infinity"]).into())
        }
        DType::F16 | DType::BF16 | DType::F32 | DType::F64 if choices.one_in(6) => {
            Tree::Float(choices.of(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY]))
        }
        DType::F16 | DType::BF16 | DType::F32 | DType::F64 if choices.one_in(4) => {
            whole(choices.of(&[0, 3, -16_777_217, i64::MAX]))
        }
        DType::F16 => Tree::Float(choices.of(&[0.0, -0.0, 0.1, 65_504.0, 1e-7, 65_520.0])),
        DType::BF16 => Tree::Float(choices.of(&[0.0, -0.0, 0.1, 3.3e38, 1e-39, -1e5])),
        DType::F32 => {
            let bits = choices.below(usize::MAX) as u32;
            let number = f32::from_bits(bits);
            Tree::Float(f64::from(if number.is_finite() { number } else { 0.5 }))
        }
        DType::F64 => Tree::Float(choices.of(&[0.0, -0.0, 0.1, 1e300, -2.5e-300, 123.456])),
        DType::String if choices.one_in(6) => {
            let text = text(choices);
            let encoded = base64::engine::general_purpose::STANDARD.encode(text);
            Tree::Object(vec![("b64".to_owned(), Tree::Text(encoded))])
        }
        DType::String => Tree::Text(text(choices)),
    }
}

fn text(choices: &mut Choices) -> String {
    choices
        .of(&["", "a", "NaN", "ä\"\\\n\u{1f600}", "\u{0}", "[1]", "long ".repeat(9).as_str()])
        .into()
}

/// Any value, whether it belongs somewhere or not.
fn anything(choices: &mut Choices, depth: usize) -> Tree {
    match choices.below(if depth < 3 { 10 } else { 8 }) {
        0 => Tree::Integer(choices.of(&[0, 1, i128::from(u64::MAX), i128::from(i64::MIN)])),
        1 => Tree::Text(text(choices)),
        2 => Tree::Null,
        3 => Tree::Bool(true),
        4 => Tree::Float(choices.of(&[1.5, 1e20, 1e39, -0.0, 1.0])),
        5 => Tree::Array(Vec::new()),
        6 => Tree::Object(Vec::new()),
        7 => Tree::Float(choices.of(&[f64::NAN, f64::NEG_INFINITY])),
        8 => {
            let count = 1 + choices.below(3);
            Tree::Array(choices.times(count, |choices| anything(choices, depth + 1)))
        }
        _ => Tree::Object(vec![(name(choices), anything(choices, depth + 1))]),
    }
}

fn name(choices: &mut Choices) -> String {
    choices
        .of(&["x", "y", "z", "a", "b", "b64", "instances", "inputs", "signature_name", ""])
        .into()
}

/// Damages a request in one place.
pub(super) fn mutate(choices: &mut Choices, request: &mut Tree) {
    let place = choices.below(count(request));
    let Some(node) = nth(request, &mut { place }) else { return };
    match node {
        Tree::Array(elements) if choices.below(3) > 0 => match choices.below(4) {
            0 => drop(elements.pop()),
            1 => elements.push(anything(choices, 0)),
            2 => elements.extend(elements.last().cloned()),
            _ => *node = Tree::Array(vec![node.clone()]),
        },
        Tree::Object(members) if choices.below(4) > 0 => {
            let member = choices.below(members.len());
            match choices.below(5) {
                0 => members.truncate(member),
                1 => members.push((name(choices), anything(choices, 0))),
                2 => members.extend(members.get(member).cloned()),
                3 => members
                    .iter_mut()
                    .skip(member)
                    .take(1)
                    .for_each(|(key, _)| *key = name(choices)),
                _ => members.iter_mut().for_each(|(key, _)| swap_forms(key)),
            }
        }
        node => *node = anything(choices, 0),
    }
}

fn swap_forms(key: &mut String) {
    *key = match key.as_str() {
        "instances" => "inputs".into(),
        "inputs" => "instances".into(),
        other => other.into(),
    }
}

fn count(tree: &Tree) -> usize {
    1 + match tree {
        Tree::Array(elements) => elements.iter().map(count).sum(),
        Tree::Object(members) => members.iter().map(|(_, value)| count(value)).sum(),
        _ => 0,
    }
}

fn nth<'t>(tree: &'t mut Tree, left: &mut usize) -> Option<&'t mut Tree> {
    if *left == 0 {
        return Some(tree);
    }
    *left -= 1;
    match tree {
        Tree::Array(elements) => elements.iter_mut().find_map(|element| nth(element, left)),
        Tree::Object(members) => members.iter_mut().find_map(|(_, value)| nth(value, left)),
        _ => None,
    }
}

/// Damages the text of a request in one place.
pub(super) fn damage(choices: &mut Choices, text: &mut String) {
    let mut places: Vec<usize> = text.char_indices().map(|(place, _)| place).collect();
    places.insert(0, text.len());
    let place = choices.of(&places);
    match choices.below(4) {
        0 => text.truncate(place),
        1 if place < text.len() => drop(text.remove(place)),
        2 => text.insert_str(place, choices.of(&["NaN", "-Infinity", " Infinity ", "1e999"])),
        _ => text.insert_str(
            place,
            choices.of(&[",", "[", "]", "{", "}", "\"", ":", "-", "0", "\\", "\n"]),
        ),
    }
}

/// The request as text, in one of the many ways to write it.
pub(super) fn written(choices: &mut Choices, tree: &Tree) -> String {
    let mut text = String::new();
    write(choices, tree, &mut text);
    text
}

fn write(choices: &mut Choices, tree: &Tree, text: &mut String) {
    if choices.one_in(20) {
        text.push_str("\n\t ");
    }
    match tree {
        Tree::Null => text.push_str("null"),
        Tree::Bool(value) => text.push_str(&value.to_string()),
        Tree::Integer(value) => text.push_str(&value.to_string()),
        Tree::Float(value) if value.is_nan() => text.push_str("NaN"),
        Tree::Float(value) => text.push_str(&format!("{value:?}").replace("inf", "Infinity")),
        Tree::Text(value) => write_text(choices, value, text),
        Tree::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                text.push(if index == 0 { '[' } else { ',' });
                write(choices, element, text);
            }
            text.push_str(if elements.is_empty() { "[]" } else { "]" });
        }
        Tree::Object(members) => {
            for (index, (key, value)) in members.iter().enumerate() {
                text.push(if index == 0 { '{' } else { ',' });
                write_text(choices, key, text);
                text.push(':');
                write(choices, value, text);
            }
            text.push_str(if members.is_empty() { "{}" } else { "}" });
        }
    }
}

fn write_text(choices: &mut Choices, value: &str, text: &mut String) {
    if choices.one_in(10) {
        let escaped = value.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
        *text += &format!("\"{}\"", escaped.collect::<String>());
    } else {
        *text += &serde_json::to_string(value).unwrap();
    }
}
