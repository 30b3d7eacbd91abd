//! Requests that each version answers before it is ready.

use bytes::Bytes;

use super::super::error::printable;
use super::super::model::ModelConfig;
use super::super::texts::Beside;
use super::batching::max_batch_size;
use super::fields::Fields;
use super::reader::Reader;
use super::tensors::element;
use super::text::Place;
use crate::domain::tensor::{DType, element_count};

/// Where the files lie that samples name, beside `config.pbtxt`.
pub const FOLDER: &str = "warmup";

/// One row of an input may have so many elements, as in a warm-up that the server thinks up itself.
const MOST_ELEMENTS: usize = 1 << 24;

/// One request that a version answers before it is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarmUpSample {
    /// What it is called; empty where it has no name.
    pub name: String,
    /// Rows, each the same; none where the model has no dimension for rows.
    pub rows: Option<usize>,
    /// A value for each input.
    pub inputs: Vec<WarmUpInput>,
    /// How often it is run.
    pub count: usize,
    /// Where it is declared: file, line and column.
    pub origin: String,
}

/// What a sample gives for one input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarmUpInput {
    /// The input's name.
    pub name: String,
    /// The type of the elements.
    pub dtype: DType,
    /// The dimensions, without the rows.
    pub dims: Vec<usize>,
    /// The elements of a row.
    pub fill: Fill,
}

/// Where the elements of a row come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fill {
    /// They are 0, false or empty.
    Zeros,
    /// They are made up.
    Random,
    /// They are these, as bytes: little-endian, and each text behind its length.
    Bytes(Bytes),
}

/// Where the value of a field stands that names a file, and what it names.
pub(super) fn files(fields: &Fields) -> impl Iterator<Item = (&str, Place)> {
    let inputs = fields.messages("model_warmup").flat_map(|(sample, _)| sample.messages("inputs"));
    inputs.filter_map(|(entry, _)| entry.message("value")?.0.text("input_data_file"))
}

/// What a file in that folder is called from `config.pbtxt` on.
pub(super) fn beside_name(file: &str) -> String {
    format!("{FOLDER}/{file}")
}

pub(super) fn read(
    fields: &Fields,
    beside: &Beside,
    config: &mut ModelConfig,
    reader: &mut Reader,
) {
    let max_batch_size = max_batch_size(fields);
    for (sample, place) in fields.messages("model_warmup") {
        let batch_size = sample.whole("batch_size").map_or((0, place), |size| size);
        let Some(rows) = rows(batch_size, max_batch_size, reader) else { continue };
        let inputs: Vec<Option<WarmUpInput>> = sample
            .messages("inputs")
            .map(|(entry, place)| input(entry, place, beside, reader))
            .collect();
        if inputs.is_empty() {
            reader.refuse(place, "a sample of `model_warmup` must have `inputs`");
        }
        let Some(inputs) = inputs.into_iter().collect() else { continue };
        let count = sample.whole("count").map_or(1, |(count, _)| count.max(1));
        config.warm_up.push(WarmUpSample {
            name: sample.text("name").map_or_else(String::new, |(name, _)| printable(name)),
            rows,
            inputs,
            count: usize::try_from(count).unwrap_or(1),
            origin: reader.shown(place),
        });
    }
}

/// How many rows a sample has, if the model has rows; none where it is not to be run.
fn rows(
    (size, place): (i128, Place),
    max_batch_size: i128,
    reader: &mut Reader,
) -> Option<Option<usize>> {
    if size == 0 {
        let told = "a sample of `model_warmup` has no effect: its `batch_size` is 0";
        reader.leave_out(place, told);
        return None;
    }
    if size > max_batch_size.max(1) {
        let most = match max_batch_size {
            0 => "1, since `max_batch_size` is 0".to_owned(),
            most => format!("`max_batch_size`, which is {most}"),
        };
        let told = format!("`batch_size` of a sample must be at most {most}, got `{size}`");
        reader.refuse(place, told);
        return None;
    }
    let rows = usize::try_from(size).ok()?;
    Some((max_batch_size > 0).then_some(rows))
}

fn input(
    entry: &Fields,
    place: Place,
    beside: &Beside,
    reader: &mut Reader,
) -> Option<WarmUpInput> {
    let Some((name, _)) = entry.text("key").filter(|(name, _)| !name.is_empty()) else {
        reader.refuse(place, "`inputs` of `model_warmup` must have a `key`, the input's name");
        return None;
    };
    let shown = printable(name);
    let Some((value, place)) = entry.message("value") else {
        reader
            .refuse(place, format!("`inputs` of `model_warmup` must have a `value` for `{shown}`"));
        return None;
    };
    let Some(dtype) = value.word("data_type").and_then(|(word, _)| element(word)) else {
        let told = format!("warm-up input `{shown}` must have a `data_type` such as `TYPE_FP32`");
        reader.refuse(place, told);
        return None;
    };
    let dims =
        value.wholes("dims").map(|(size, _)| usize::try_from(size).ok().filter(|_| size > 0));
    let dims: Option<Vec<usize>> = dims.collect();
    let Some(dims) = dims.filter(|dims| has_room(dims)) else {
        let told = format!(
            "`dims` of warm-up input `{shown}` must be at least 1, and together at most {MOST_ELEMENTS}"
        );
        reader.refuse(value.place("dims").unwrap_or(place), told);
        return None;
    };
    let fill = fill(value, place, &shown, beside, reader)?;
    Some(WarmUpInput { name: name.to_owned(), dtype, dims, fill })
}

fn has_room(dims: &[usize]) -> bool {
    element_count(dims).is_some_and(|count| count <= MOST_ELEMENTS)
}

fn fill(
    value: &Fields,
    place: Place,
    input: &str,
    beside: &Beside,
    reader: &mut Reader,
) -> Option<Fill> {
    let file = value.text("input_data_file");
    let given = ["zero_data", "random_data"].map(|name| value.place(name).is_some());
    match (given, file) {
        ([true, false], None) => Some(Fill::Zeros),
        ([false, true], None) => Some(Fill::Random),
        ([false, false], Some((file, place))) => match beside.get(&beside_name(file)) {
            Some(bytes) => Some(Fill::Bytes(bytes.clone())),
            None => {
                let file = printable(file);
                let told = format!(
                    "`input_data_file` names `{file}`, which is not in the folder `{FOLDER}`"
                );
                reader.refuse(place, told);
                None
            }
        },
        ([_, _], _) => {
            let told = format!(
                "warm-up input `{input}` must have one of `zero_data`, `random_data` and `input_data_file`"
            );
            reader.refuse(place, told);
            None
        }
    }
}
