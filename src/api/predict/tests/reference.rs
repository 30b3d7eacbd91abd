//! The rules of the protocol once more, as a walk over a tree: slow, but easy to see right.

use std::collections::BTreeSet;
use std::fmt;

use base64::Engine;
use half::{bf16, f16};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::super::decode::{Decoded, Form};
use super::Model;
use crate::api::json::shortened;
use crate::domain::signature::{Dim, TensorSpec};
use crate::domain::tensor::{DType, Elements, ElementsView, Tensor};

/// A JSON text with its objects as they are written: in order, and with members that are given twice.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Tree {
    Null,
    Bool(bool),
    Integer(i128),
    /// Also what JSON has no numbers for, and bare words are written for.
    Float(f64),
    Text(String),
    Array(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

/// The key of the object that a bare `NaN` is replaced by before the text is parsed.
const WORD: &str = "a bare word";

impl Tree {
    /// Parses a text in which numbers may be bare words.
    pub(super) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(&without_bare_words(text)).ok()
    }

    fn depth(&self) -> usize {
        let inner: Box<dyn Iterator<Item = &Self>> = match self {
            Self::Array(elements) => Box::new(elements.iter()),
            Self::Object(members) => Box::new(members.iter().map(|(_, value)| value)),
            _ => return 0,
        };
        1 + inner.map(Self::depth).max().unwrap_or(0)
    }

    /// Whether a sentence begins with the path of a value in this tree, and a colon.
    pub(super) fn has_path_of(&self, sentence: &str) -> bool {
        let path_ends_here = sentence.starts_with(": ");
        path_ends_here
            || match self {
                Self::Array(elements) => elements.iter().enumerate().any(|(index, element)| {
                    let rest = sentence.strip_prefix(&format!("[{index}]"));
                    rest.is_some_and(|rest| element.has_path_of(rest))
                }),
                Self::Object(members) => members.iter().any(|(key, value)| {
                    let sentence = sentence.strip_prefix('.').unwrap_or(sentence);
                    let rest = sentence.strip_prefix(&shortened(key));
                    rest.is_some_and(|rest| value.has_path_of(rest))
                }),
                _ => false,
            }
    }
}

fn without_bare_words(text: &str) -> String {
    let mut strict = String::new();
    let (mut is_in_string, mut is_escaped) = (false, false);
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let words = ["NaN", "Infinity", "-Infinity"];
        let word = words.iter().find(|word| rest.starts_with(**word));
        match word {
            Some(word) if !is_in_string => {
                strict += &format!("{{\"{WORD}\":\"{word}\"}}");
                rest = &rest[word.len()..];
            }
            _ => {
                if character == '"' && !is_escaped {
                    is_in_string = !is_in_string;
                }
                is_escaped = is_in_string && character == '\\' && !is_escaped;
                strict.push(character);
                rest = &rest[character.len_utf8()..];
            }
        }
    }
    strict
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Tree;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }
            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree::Null)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
                Ok(Tree::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
                Ok(Tree::Integer(value.into()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
                Ok(Tree::Integer(value.into()))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
                Ok(Tree::Float(value))
            }
            fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
                Ok(Tree::Text(value.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Tree, A::Error> {
                let mut elements = Vec::new();
                while let Some(element) = from.next_element()? {
                    elements.push(element);
                }
                Ok(Tree::Array(elements))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Tree, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = from.next_entry()? {
                    members.push(member);
                }
                Ok(match &members[..] {
                    [(key, Tree::Text(word))] if key == WORD => Tree::Float(word.parse().unwrap()),
                    _ => Tree::Object(members),
                })
            }
        }
        json.deserialize_any(Read)
    }
}

/// Decodes a body; `None` where it is not a request for this model.
pub(super) fn decode(body: &str, model: &Model) -> Option<Decoded> {
    let root = Tree::parse(body)?;
    let Tree::Object(members) = &root else { return None };
    let named = |name: &'static str| members.iter().filter(move |(key, _)| key == name);
    let is_usual = |name: &Tree| match name {
        Tree::Null => true,
        Tree::Text(name) => name.is_empty() || name == "serving_default",
        _ => false,
    };
    let tensors: Vec<_> = named("instances").chain(named("inputs")).collect();
    let [(key, tensors)] = tensors[..] else { return None };
    let decoded = match key.as_str() {
        "instances" => decode_rows(tensors, model),
        _ => decode_columns(tensors, model),
    }?;
    let good = named("signature_name").all(|(_, name)| is_usual(name))
        && root.depth() <= model.limits.json_depth
        && decoded.inputs.len() <= model.limits.inputs
        && decoded.inputs.iter().map(|tensor| tensor.view().elements.len()).sum::<usize>()
            <= model.limits.elements
        && decoded.inputs.iter().map(text_bytes).sum::<usize>() <= model.limits.string_bytes;
    good.then_some(decoded)
}

fn text_bytes(tensor: &Tensor) -> usize {
    match tensor.view().elements {
        ElementsView::String(texts) => texts.iter().map(String::len).sum(),
        _ => 0,
    }
}

fn decode_rows(rows: &Tree, model: &Model) -> Option<Decoded> {
    let Tree::Array(rows) = rows else { return None };
    let specs = &model.signature.inputs;
    if rows.is_empty() || specs.iter().any(|spec| spec.shape.dims().is_some_and(<[_]>::is_empty)) {
        return None;
    }
    let are_named: BTreeSet<bool> = rows.iter().map(|row| is_named(row, model)).collect();
    if are_named.len() != 1 {
        return None;
    }
    // For each row its values, one per input.
    let rows: Vec<Vec<Tree>> =
        rows.iter().map(|row| row_values(row, model)).collect::<Option<_>>()?;
    let tensor = |(index, spec): (usize, &TensorSpec)| {
        let values = rows.iter().map(|row| row[index].clone()).collect();
        tensor(&Tree::Array(values), spec)
    };
    let inputs = specs.iter().enumerate().map(tensor).collect::<Option<_>>()?;
    Some(Decoded { inputs, form: Form::Rows(rows.len()) })
}

fn is_named(row: &Tree, model: &Model) -> bool {
    matches!(row, Tree::Object(_)) && !is_base64_value(row, model)
}

/// Whether an object is the value of the one input, and not an object with names.
fn is_base64_value(value: &Tree, model: &Model) -> bool {
    let Tree::Object(members) = value else { return false };
    let [input] = &model.signature.inputs[..] else { return false };
    let is_name = input.name == "b64" || model.naming.features.iter().any(|name| name == "b64");
    members.len() == 1 && members[0].0 == "b64" && input.dtype == DType::String && !is_name
}

fn row_values(row: &Tree, model: &Model) -> Option<Vec<Tree>> {
    let names: Vec<&str> = model.signature.inputs.iter().map(|spec| spec.name.as_str()).collect();
    if !is_named(row, model) {
        return (names.len() == 1).then(|| vec![row.clone()]);
    }
    let features: Vec<&str> = model.naming.features.iter().map(String::as_str).collect();
    let [input] = &model.signature.inputs[..] else { return exactly(&names, row) };
    if !features.is_empty()
        && let Some(columns) = exactly(&features, row)
    {
        let are_single = columns.iter().all(|column| leaf(column, input.dtype).is_some());
        return are_single.then(|| vec![Tree::Array(columns)]);
    }
    exactly(&names, row)
}

fn decode_columns(columns: &Tree, model: &Model) -> Option<Decoded> {
    let specs = &model.signature.inputs;
    let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
    // The names of features mean nothing here.
    let model = &Model { naming: Default::default(), ..model.clone() };
    let values = match columns {
        Tree::Object(_) if !is_base64_value(columns, model) => exactly(&names, columns)?,
        value if names.len() == 1 => vec![value.clone()],
        _ => return None,
    };
    let inputs = values.iter().zip(specs).map(|(value, spec)| tensor(value, spec));
    Some(Decoded { inputs: inputs.collect::<Option<_>>()?, form: Form::Columns })
}

/// The values of an object's members in the order of the names, where these are its members exactly.
fn exactly(names: &[&str], object: &Tree) -> Option<Vec<Tree>> {
    let Tree::Object(members) = object else { return None };
    let value_of = |name: &&str| {
        let mut with_name = members.iter().filter(|(key, _)| key == name);
        with_name.next().map(|(_, value)| value.clone())
    };
    let values: Option<Vec<Tree>> = names.iter().map(value_of).collect();
    values.filter(|_| members.len() == names.len())
}

fn tensor(value: &Tree, spec: &TensorSpec) -> Option<Tensor> {
    let rank = spec.shape.dims().map_or_else(|| depth_of_first_leaf(value), <[_]>::len);
    let mut sizes = vec![BTreeSet::new(); rank];
    for (size, dim) in sizes.iter_mut().zip(spec.shape.dims().unwrap_or_default()) {
        if let Dim::Fixed(fixed) = dim {
            size.insert(*fixed);
        }
    }
    let mut leaves = Vec::new();
    walk(value, 0, &mut sizes, &mut leaves)?;
    // A dimension inside an empty one has no size of its own.
    let size = |seen: &BTreeSet<usize>| match seen.len() {
        0 | 1 => Some(seen.first().copied().unwrap_or(0)),
        _ => None,
    };
    let shape: Vec<usize> = sizes.iter().map(size).collect::<Option<_>>()?;
    let takes_no_rows = matches!(spec.shape.dims(), Some([Dim::Fixed(0), ..]));
    if shape.first() == Some(&0) && !takes_no_rows {
        return None;
    }
    Some(Tensor::new(shape, elements(&leaves, spec.dtype)?).unwrap())
}

fn depth_of_first_leaf(value: &Tree) -> usize {
    match value {
        Tree::Array(elements) => 1 + elements.first().map_or(0, depth_of_first_leaf),
        _ => 0,
    }
}

fn walk<'t>(
    value: &'t Tree,
    depth: usize,
    sizes: &mut [BTreeSet<usize>],
    leaves: &mut Vec<&'t Tree>,
) -> Option<()> {
    if let Tree::Array(elements) = value {
        sizes.get_mut(depth)?.insert(elements.len());
        return elements.iter().try_for_each(|element| walk(element, depth + 1, sizes, leaves));
    }
    // A single value stands for itself in as many brackets as are missing.
    sizes[depth..].iter_mut().for_each(|size| {
        size.insert(1);
    });
    leaves.push(value);
    Some(())
}

fn elements(leaves: &[&Tree], dtype: DType) -> Option<Elements> {
    let leaves = leaves.iter().map(|tree| leaf(tree, dtype));
    macro_rules! parsed {
        ($variant:ident) => {
            Elements::$variant(leaves.map(|leaf| leaf?.parse().ok()).collect::<Option<_>>()?)
        };
    }
    Some(match dtype {
        DType::Bool => {
            Elements::Bool(leaves.map(|leaf| Some(leaf? == "true")).collect::<Option<_>>()?)
        }
        DType::U8 => parsed!(U8),
        DType::U16 => parsed!(U16),
        DType::U32 => parsed!(U32),
        DType::U64 => parsed!(U64),
        DType::I8 => parsed!(I8),
        DType::I16 => parsed!(I16),
        DType::I32 => parsed!(I32),
        DType::I64 => parsed!(I64),
        DType::F16 => parsed!(F16),
        DType::BF16 => parsed!(BF16),
        DType::F32 => parsed!(F32),
        DType::F64 => parsed!(F64),
        DType::String => Elements::String(leaves.collect::<Option<_>>()?),
    })
}

/// An element of this type, as text.
fn leaf(value: &Tree, dtype: DType) -> Option<String> {
    match (dtype, value) {
        (DType::Bool, Tree::Bool(value)) => Some(value.to_string()),
        (DType::U8, Tree::Integer(value)) => u8::try_from(*value).ok().map(|v| v.to_string()),
        (DType::U16, Tree::Integer(value)) => u16::try_from(*value).ok().map(|v| v.to_string()),
        (DType::U32, Tree::Integer(value)) => u32::try_from(*value).ok().map(|v| v.to_string()),
        (DType::U64, Tree::Integer(value)) => u64::try_from(*value).ok().map(|v| v.to_string()),
        (DType::I8, Tree::Integer(value)) => i8::try_from(*value).ok().map(|v| v.to_string()),
        (DType::I16, Tree::Integer(value)) => i16::try_from(*value).ok().map(|v| v.to_string()),
        (DType::I32, Tree::Integer(value)) => i32::try_from(*value).ok().map(|v| v.to_string()),
        (DType::I64, Tree::Integer(value)) => i64::try_from(*value).ok().map(|v| v.to_string()),
        (DType::F16, Tree::Integer(value)) => single(f16::from_f64(*value as f64), *value as f64),
        (DType::BF16, Tree::Integer(value)) => single(bf16::from_f64(*value as f64), *value as f64),
        (DType::F32 | DType::F64, Tree::Integer(value)) => Some(value.to_string()),
        // Numbers with a fraction are read as f64, as TensorFlow Serving does it, and must stay finite.
        (DType::F16, Tree::Float(value)) => single(f16::from_f64(*value), *value),
        (DType::BF16, Tree::Float(value)) => single(bf16::from_f64(*value), *value),
        (DType::F32, Tree::Float(value)) => single(*value as f32, *value),
        (DType::F64, Tree::Float(value)) => Some(value.to_string()),
        (DType::F16 | DType::BF16 | DType::F32 | DType::F64, Tree::Text(word)) => {
            ["NaN", "Infinity", "-Infinity"].contains(&word.as_str()).then(|| word.clone())
        }
        (DType::String, Tree::Text(text)) => Some(text.clone()),
        (DType::String, Tree::Object(members)) => match &members[..] {
            [(key, Tree::Text(encoded))] if key == "b64" => {
                let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
                String::from_utf8(bytes).ok()
            }
            _ => None,
        },
        _ => None,
    }
}

/// A rounded number as text. One that was finite must have stayed so.
fn single(rounded: impl Into<f32>, value: f64) -> Option<String> {
    let rounded = rounded.into();
    (rounded.is_finite() == value.is_finite()).then(|| rounded.to_string())
}
