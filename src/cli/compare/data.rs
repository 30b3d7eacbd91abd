//! Requests from a file, one after the other, so that it may be larger than memory.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use indicatif::ProgressBar;
use serde_json::Value;

use crate::api::mark_words;
use crate::domain::signature::{Dim, Signature, TensorSpec};
use crate::domain::tensor::DType;
use crate::serving::Naming;

/// A file of requests.
pub(super) enum Requests<R> {
    /// A JSON value a line: a whole request, or a row of one.
    Lines { file: BufReader<R>, line: u64, holds_rows: Option<bool> },
    /// Rows of a table with a header.
    Table { rows: csv::Reader<R>, columns: Columns, record: csv::StringRecord },
}

/// How the columns of a table become a row of a request.
pub(super) struct Columns {
    kept: Vec<Column>,
    has_names: bool,
}

struct Column {
    /// Its place in the table.
    place: usize,
    /// As JSON.
    name: String,
    is_text: bool,
}

/// The body of a predict request, and where it stands in the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) line: u64,
    pub(super) body: Vec<u8>,
}

impl<R: Read> Requests<R> {
    /// Of what is read from a file of this name.
    pub(super) fn of(
        file: R,
        path: &Path,
        signature: &Signature,
        naming: &Naming,
    ) -> Result<Self, String> {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        match ending.to_ascii_lowercase().as_str() {
            "ndjson" | "jsonl" | "json" => {
                Ok(Self::Lines { file: BufReader::new(file), line: 0, holds_rows: None })
            }
            "csv" => {
                let mut rows = csv::Reader::from_reader(file);
                let header = rows.headers().map_err(|error| error.to_string())?;
                let columns = Columns::of(header, signature, naming)?;
                Ok(Self::Table { rows, columns, record: csv::StringRecord::new() })
            }
            _ => Err("expected a file that ends in `.ndjson`, `.jsonl` or `.csv`".to_owned()),
        }
    }

    /// The next request; none at the end of the file.
    pub(super) fn next(&mut self) -> Result<Option<Request>, String> {
        match self {
            Self::Lines { file, line, holds_rows } => {
                let mut text = Vec::new();
                loop {
                    text.clear();
                    let read = file.read_until(b'\n', &mut text);
                    *line += 1;
                    if read.map_err(|error| format!("line {line}: {error}"))? == 0 {
                        return Ok(None);
                    }
                    if !text.trim_ascii().is_empty() {
                        break;
                    }
                }
                let holds_rows = *holds_rows.get_or_insert_with(|| !is_whole_request(&text));
                let body = match holds_rows {
                    true => [b"{\"instances\":[", text.trim_ascii(), b"]}"].concat(),
                    false => text,
                };
                Ok(Some(Request { line: *line, body }))
            }
            Self::Table { rows, columns, record } => {
                let is_there = rows.read_record(record).map_err(|error| error.to_string())?;
                let line = record.position().map_or(0, csv::Position::line);
                Ok(is_there.then(|| Request { line, body: columns.body(record).into_bytes() }))
            }
        }
    }
}

/// Whether a line is a request, and not a row of one, whose columns may have any names.
fn is_whole_request(line: &[u8]) -> bool {
    // It may have `NaN` in it, which is no JSON.
    let marked = mark_words(line);
    let value: Option<Value> = serde_json::from_slice(marked.as_deref().unwrap_or(line)).ok();
    let object = value.as_ref().and_then(Value::as_object);
    object.is_some_and(|object| {
        ["instances", "inputs"].iter().any(|name| object.get(*name).is_some_and(is_list_or_object))
    })
}

fn is_list_or_object(value: &Value) -> bool {
    value.is_array() || value.is_object()
}

impl Columns {
    /// Columns are found by the names of features, where the settings have them, or else of inputs. A table that has just
    /// as many columns as the only input, by whatever names, is that input. Other columns are passed over.
    fn of(
        header: &csv::StringRecord,
        signature: &Signature,
        naming: &Naming,
    ) -> Result<Self, String> {
        let place = |name: &str| header.iter().position(|column| column.trim() == name);
        let column = |place, name: &str, dtype| Column {
            place,
            name: Value::from(name).to_string(),
            is_text: dtype == DType::String,
        };
        let names: Vec<(&str, DType)> = match (&signature.inputs[..], &naming.features[..]) {
            ([only], [_, ..]) => {
                naming.features.iter().map(|name| (name.as_str(), only.dtype)).collect()
            }
            (inputs, _) => inputs.iter().map(|input| (input.name.as_str(), input.dtype)).collect(),
        };
        let found: Option<Vec<Column>> =
            names.iter().map(|(name, dtype)| Some(column(place(name)?, name, *dtype))).collect();
        if let Some(kept) = found {
            return Ok(Self { kept, has_names: true });
        }
        if let [only] = &signature.inputs[..]
            && naming.features.is_empty()
            && columns_of(only) == Some(header.len())
        {
            let kept = (0..header.len()).map(|place| column(place, "", only.dtype)).collect();
            return Ok(Self { kept, has_names: false });
        }
        let missing: Vec<&str> =
            names.iter().map(|(name, _)| *name).filter(|name| place(name).is_none()).collect();
        Err(format!(
            "the header has no column `{}`; name the columns after the model's inputs, or the features of its only input in the settings (`features`)",
            missing.join("`, `")
        ))
    }

    fn body(&self, record: &csv::StringRecord) -> String {
        let mut body = String::from("{\"instances\":[");
        body.push(if self.has_names { '{' } else { '[' });
        for (number, column) in self.kept.iter().enumerate() {
            if number > 0 {
                body.push(',');
            }
            if self.has_names {
                // Writing to a text cannot fail.
                let _ = write!(body, "{}:", column.name);
            }
            let value = record.get(column.place).unwrap_or_default().trim();
            let _ = match (column.is_text, value) {
                (true, value) => write!(body, "{}", Value::from(value)),
                // Nothing is no number, which is what models are trained with in its place.
                (false, "") => write!(body, "NaN"),
                (false, value) => match value.parse::<f64>() {
                    Ok(number) if number.is_finite() => write!(body, "{value}"),
                    Ok(number) if number.is_nan() => write!(body, "NaN"),
                    Ok(number) if number > 0.0 => write!(body, "Infinity"),
                    Ok(_) => write!(body, "-Infinity"),
                    // The decoder says what is wrong with it.
                    Err(_) => write!(body, "{}", Value::from(value)),
                },
            };
        }
        body.push_str(if self.has_names { "}]}" } else { "]]}" });
        body
    }
}

/// How many numbers a row of an input has, where it has rows of numbers.
fn columns_of(input: &TensorSpec) -> Option<usize> {
    match input.shape.dims()? {
        [_, Dim::Fixed(columns)] => Some(*columns),
        _ => None,
    }
}

/// Opens a file, with a bar that shows how much of it was read.
pub(super) fn open(path: &Path, bar: &ProgressBar) -> io::Result<impl Read + use<>> {
    let file = File::open(path)?;
    bar.set_length(file.metadata()?.len());
    Ok(bar.wrap_read(file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::signature::Shape;

    fn input(name: &str, dtype: DType, columns: usize) -> TensorSpec {
        let shape = Shape(Some(vec![Dim::Symbol("N".into()), Dim::Fixed(columns)]));
        TensorSpec { name: name.to_owned(), dtype, shape }
    }

    fn signature(inputs: Vec<TensorSpec>) -> Signature {
        Signature { inputs, outputs: Vec::new() }
    }

    fn bodies(
        name: &str,
        text: &str,
        signature: &Signature,
        features: &[&str],
    ) -> Result<Vec<(u64, String)>, String> {
        let features = features.iter().map(|name| (*name).to_owned()).collect();
        let naming = Naming { features, classes: Vec::new() };
        let mut requests = Requests::of(text.as_bytes(), Path::new(name), signature, &naming)?;
        let mut all = Vec::new();
        while let Some(request) = requests.next()? {
            all.push((request.line, String::from_utf8(request.body).unwrap()));
        }
        Ok(all)
    }

    #[test]
    fn a_line_is_a_row_or_a_whole_request() {
        let model = signature(vec![input("x", DType::F32, 2)]);
        let rows = bodies("a.ndjson", "[1, 2]\n\n[3, 4]", &model, &[]).unwrap();
        let row = |row: &str| format!("{{\"instances\":[{row}]}}");
        assert_eq!(rows, [(1, row("[1, 2]")), (3, row("[3, 4]"))]);
        let requests = "{\"instances\": [[1, 2]]}\n{\"inputs\": [[3, 4]]}\n";
        let requests = bodies("a.jsonl", requests, &model, &[]).unwrap();
        assert_eq!(requests[1].1, "{\"inputs\": [[3, 4]]}\n");
        let requests = bodies("a.jsonl", "{\"inputs\": [[NaN, 4]]}\n", &model, &[]).unwrap();
        assert_eq!(requests[0].1, "{\"inputs\": [[NaN, 4]]}\n");
        let rows = bodies("a.json", "{\"inputs\": 1, \"b\": 2}", &model, &[]).unwrap();
        assert_eq!(rows[0].1, row("{\"inputs\": 1, \"b\": 2}"), "a column that is called so");
    }

    #[test]
    fn columns_are_found_by_name_and_others_passed_over() {
        let table = "label,b,a\n0,1.5,2\n1,,inf\n";
        let model = signature(vec![input("x", DType::F32, 2)]);
        let rows = bodies("t.csv", table, &model, &["a", "b"]).unwrap();
        let expected = [
            (2, "{\"instances\":[{\"a\":2,\"b\":1.5}]}".to_owned()),
            (3, "{\"instances\":[{\"a\":Infinity,\"b\":NaN}]}".to_owned()),
        ];
        assert_eq!(rows, expected);
        let model = signature(vec![input("a", DType::String, 1), input("b", DType::F32, 1)]);
        let rows = bodies("t.csv", table, &model, &[]).unwrap();
        assert_eq!(rows[0].1, "{\"instances\":[{\"a\":\"2\",\"b\":1.5}]}");
    }

    #[test]
    fn a_table_as_wide_as_the_only_input_is_that_input() {
        let model = signature(vec![input("x", DType::F32, 2)]);
        let rows = bodies("t.csv", "p,q\n1,2\n", &model, &[]).unwrap();
        assert_eq!(rows[0].1, "{\"instances\":[[1,2]]}");
        let error = bodies("t.csv", "p,q,r\n1,2,3\n", &model, &[]).unwrap_err();
        assert!(error.contains("no column `x`"), "{error}");
        let error = bodies("t.csv", "a,c\n1,2\n", &model, &["a", "b"]).unwrap_err();
        assert!(error.contains("no column `b`;"), "{error}");
        assert!(bodies("t.parquet", "", &model, &[]).is_err());
    }
}
