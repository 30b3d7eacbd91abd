//! What the model takes and gives, and the names of its classes.

use std::collections::BTreeSet;

use super::super::error::printable;
use super::super::model::ModelConfig;
use super::super::texts::Beside;
use super::batching::max_batch_size;
use super::declared::DeclaredTensor;
use super::fields::Fields;
use super::reader::Reader;
use super::text::Place;
use crate::domain::signature::Reshape;
use crate::domain::tensor::DType;

pub(super) fn read(
    fields: &Fields,
    beside: &Beside,
    config: &mut ModelConfig,
    reader: &mut Reader,
) {
    config.declared.is_batched = max_batch_size(fields) > 0;
    config.declared.inputs = tensors(fields, "input", reader);
    config.declared.outputs = tensors(fields, "output", reader);
    for (input, _) in fields.messages("input") {
        check_format(input, reader);
    }
    read_labels(fields, beside, config, reader);
}

fn tensors(fields: &Fields, kind: &str, reader: &mut Reader) -> Vec<DeclaredTensor> {
    let mut tensors: Vec<DeclaredTensor> = Vec::new();
    for (tensor, place) in fields.messages(kind) {
        refuse_other_kinds(tensor, reader);
        let Some(tensor) = declared(tensor, kind, place, reader) else { continue };
        if tensors.iter().any(|known| known.name == tensor.name) {
            reader.refuse(place, format!("{kind} `{}` is there twice", printable(&tensor.name)));
        } else {
            tensors.push(tensor);
        }
    }
    tensors
}

fn declared(
    tensor: &Fields,
    kind: &str,
    place: Place,
    reader: &mut Reader,
) -> Option<DeclaredTensor> {
    let Some((name, _)) = tensor.text("name").filter(|(name, _)| !name.is_empty()) else {
        reader.refuse(place, format!("an `{kind}` must have a `name`"));
        return None;
    };
    let shown = printable(name);
    let Some(dtype) = tensor.word("data_type").and_then(|(word, _)| element(word)) else {
        reader
            .refuse(place, format!("{kind} `{shown}` must have a `data_type` such as `TYPE_FP32`"));
        return None;
    };
    if tensor.place("dims").is_none() {
        reader.refuse(place, format!("{kind} `{shown}` must have `dims`, such as `dims: [ 4 ]`"));
        return None;
    }
    let dims = dims(tensor, "dims", kind, &shown, reader)?;
    let reshape = match tensor.message("reshape") {
        Some((reshape, place)) => {
            let inside = self::dims(reshape, "shape", kind, &shown, reader)?;
            if Reshape::new(dims.clone(), inside.clone()).is_none() {
                let told = format!(
                    "`reshape` of {kind} `{shown}` must have as many elements as `dims`, and as many -1 in the same order"
                );
                reader.refuse(place, told);
                return None;
            }
            Some(inside).filter(|inside| *inside != dims)
        }
        None => None,
    };
    let is_optional = tensor.is_on("optional");
    let origin = reader.shown(place);
    Some(DeclaredTensor { name: name.to_owned(), dtype, dims, reshape, is_optional, origin })
}

/// -1 is a dimension of any size.
fn dims(
    fields: &Fields,
    field: &str,
    kind: &str,
    name: &str,
    reader: &mut Reader,
) -> Option<Vec<Option<usize>>> {
    let mut dims = Some(Vec::new());
    for (size, place) in fields.wholes(field) {
        match (size, usize::try_from(size)) {
            (-1, _) => dims.iter_mut().for_each(|dims| dims.push(None)),
            (1.., Ok(size)) => dims.iter_mut().for_each(|dims| dims.push(Some(size))),
            (_, Ok(_) | Err(_)) => {
                let told =
                    format!("`{field}` of {kind} `{name}` must be -1 or at least 1, got `{size}`");
                reader.refuse(place, told);
                dims = None;
            }
        }
    }
    dims
}

fn refuse_other_kinds(tensor: &Fields, reader: &mut Reader) {
    for (name, why) in [
        ("is_shape_tensor", "shape tensors are TensorRT's"),
        ("allow_ragged_batch", "all rows of a batch have one shape"),
        ("is_non_linear_format_io", "elements lie in the order of the rows"),
    ] {
        if tensor.is_on(name) {
            reader.refuse_field(tensor, name, why);
        }
    }
}

fn check_format(input: &Fields, reader: &mut Reader) {
    if let Some((format @ ("FORMAT_NHWC" | "FORMAT_NCHW"), place)) = input.word("format")
        && input.wholes("dims").count() != 3
    {
        reader.refuse(place, format!("`{format}` needs three `dims`"));
    }
}

/// The type of a tensor's elements; none for `TYPE_INVALID`.
pub(super) fn element(word: &str) -> Option<DType> {
    Some(match word {
        "TYPE_BOOL" => DType::Bool,
        "TYPE_UINT8" => DType::U8,
        "TYPE_UINT16" => DType::U16,
        "TYPE_UINT32" => DType::U32,
        "TYPE_UINT64" => DType::U64,
        "TYPE_INT8" => DType::I8,
        "TYPE_INT16" => DType::I16,
        "TYPE_INT32" => DType::I32,
        "TYPE_INT64" => DType::I64,
        "TYPE_FP16" => DType::F16,
        "TYPE_FP32" => DType::F32,
        "TYPE_FP64" => DType::F64,
        "TYPE_STRING" => DType::String,
        "TYPE_BF16" => DType::BF16,
        _ => return None,
    })
}

/// The files that name classes, with their outputs' fields in the order of the file.
pub(super) fn label_files(fields: &Fields) -> impl Iterator<Item = (&str, Place)> {
    let outputs = fields.messages("output");
    outputs.filter_map(|(output, _)| {
        output.text("label_filename").filter(|(file, _)| !file.is_empty())
    })
}

/// A model has one list of classes, so the first file that an output names counts.
fn read_labels(fields: &Fields, beside: &Beside, config: &mut ModelConfig, reader: &mut Reader) {
    let mut taken = None;
    for (file, place) in label_files(fields) {
        let shown = printable(file);
        match (beside.get(file), taken) {
            (None, _) if file.contains('/') => {
                reader.refuse(
                    place,
                    format!(
                        "`label_filename` must name a file beside `config.pbtxt`, got `{shown}`"
                    ),
                );
            }
            (None, _) => {
                reader.refuse(
                    place,
                    format!("`label_filename` names `{shown}`, which is not beside `config.pbtxt`"),
                );
            }
            (Some(bytes), None) => {
                taken = Some(file);
                let Ok(text) = std::str::from_utf8(bytes) else {
                    reader.refuse(place, format!("`{shown}` is not UTF-8 text"));
                    continue;
                };
                config.labels = labels(text);
                if tell_apart(&mut config.labels) {
                    let told = format!(
                        "`{shown}` has a label twice: its number was added to the later one"
                    );
                    reader.leave_out(place, told);
                }
            }
            (Some(_), Some(first)) if first == file => {}
            (Some(_), Some(first)) => {
                let first = printable(first);
                let told = format!(
                    "`{shown}` has no effect: the classes of a model are named by one file, here `{first}`"
                );
                reader.leave_out(place, told);
            }
        }
    }
}

/// One label in each line.
fn labels(text: &str) -> Vec<String> {
    text.trim_end().lines().map(str::trim).map(str::to_owned).collect()
}

/// Answers name scores by class, so two classes must not have one name. True when there were some.
fn tell_apart(labels: &mut [String]) -> bool {
    let mut seen = BTreeSet::new();
    let mut is_ambiguous = false;
    for (number, label) in labels.iter_mut().enumerate() {
        if !seen.insert(label.clone()) {
            is_ambiguous = true;
            *label = format!("{label} ({number})");
        }
    }
    is_ambiguous
}
