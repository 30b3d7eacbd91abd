//! Rows of a table of columns, each of a type.
//!
//! Of the columns only those are read that are wanted, a part of each at a time.

use std::fs::File;

use half::f16;
use indicatif::ProgressBar;
use parquet::basic::{ConvertedType, LogicalType, Type};
use parquet::column::reader::ColumnReader;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;

use super::super::progress;
use super::cast::{cast, misfit};
use super::columns::{Column, Columns};
use super::{Asked, Request, Requests, Taken};
use crate::domain::signature::TensorSpec;
use crate::domain::tensor::{DType, ElementKind, Elements};

/// So many rows are in memory.
const PART: usize = 1024;

/// See the module.
pub(super) struct Parquet {
    file: SerializedFileReader<File>,
    columns: Columns,
    specs: Vec<TensorSpec>,
    /// The row group that comes next.
    next_group: usize,
    /// How far each column of the present one is read.
    readers: Vec<ColumnReader>,
    /// How many rows of it are still to be read.
    left: usize,
    /// The part that is in memory: of each column so many values.
    part: Vec<Elements>,
    in_part: usize,
    /// How many of these were given out.
    given: usize,
    row: u64,
    bar: ProgressBar,
}

impl Parquet {
    pub(super) fn of(file: File, taken: Taken<'_>, bar: &ProgressBar) -> Result<Self, String> {
        let file = SerializedFileReader::new(file).map_err(|error| said(&error))?;
        let metadata = file.metadata().file_metadata();
        let schema = metadata.schema_descr();
        let names: Vec<String> =
            schema.columns().iter().map(|column| column.path().string()).collect();
        let header: Vec<&str> = names.iter().map(String::as_str).collect();
        let columns = Columns::of(&header, taken)?;
        for Column { place, name, .. } in &columns.kept {
            check(&schema.column(*place)).map_err(|reason| format!("column `{name}` {reason}"))?;
        }
        progress::in_rows(bar, u64::try_from(metadata.num_rows()).unwrap_or_default());
        Ok(Self {
            specs: taken.signature.inputs.clone(),
            columns,
            file,
            next_group: 0,
            readers: Vec::new(),
            left: 0,
            part: Vec::new(),
            in_part: 0,
            given: 0,
            row: 0,
            bar: bar.clone(),
        })
    }

    /// Has a row in memory that was not given out yet; false at the end.
    fn has_row(&mut self) -> Result<bool, String> {
        while self.given == self.in_part {
            while self.left == 0 {
                if self.next_group == self.file.num_row_groups() {
                    return Ok(false);
                }
                self.begin_group().map_err(|error| said(&error))?;
            }
            self.read_part()?;
        }
        Ok(true)
    }

    fn begin_group(&mut self) -> Result<(), ParquetError> {
        let group = self.file.get_row_group(self.next_group)?;
        self.left = usize::try_from(group.metadata().num_rows()).unwrap_or_default();
        let kept = self.columns.kept.iter();
        self.readers =
            kept.map(|column| group.get_column_reader(column.place)).collect::<Result<_, _>>()?;
        self.next_group += 1;
        Ok(())
    }

    fn read_part(&mut self) -> Result<(), String> {
        let rows = self.left.min(PART);
        let schema = self.file.metadata().file_metadata().schema_descr();
        let row = self.row;
        self.part = self
            .readers
            .iter_mut()
            .zip(&self.columns.kept)
            .map(|(reader, column)| {
                let in_column = |sentence: String| {
                    format!("column `{}`, after row {row}: {sentence}", column.name)
                };
                values(reader, &schema.column(column.place), rows, column.dtype).map_err(in_column)
            })
            .collect::<Result<_, _>>()?;
        (self.in_part, self.given, self.left) = (rows, 0, self.left - rows);
        Ok(())
    }
}

impl Requests for Parquet {
    fn next(&mut self) -> Result<Option<Request>, String> {
        if !self.has_row()? {
            return Ok(None);
        }
        let place = self.given..self.given + 1;
        (self.given, self.row) = (self.given + 1, self.row + 1);
        self.bar.inc(1);
        let empty = Elements::Bool(Vec::new());
        let values = self.part.iter();
        let values = values.map(|all| all.view().slice(place.clone()).unwrap_or(empty.view()));
        let inputs = self.columns.inputs(values, &self.specs);
        let inputs = inputs.map_err(|error| format!("row {}: {error}", self.row))?;
        let asked = Asked::Inputs { inputs, answer: None };
        Ok(Some(Request { number: self.row, asked }))
    }

    fn unit(&self) -> &'static str {
        "row"
    }
}

/// What is wrong with a file, as the crate says it.
fn said(error: &ParquetError) -> String {
    error.to_string()
}

/// Why a column is none of numbers or texts, if it is not.
fn check(column: &ColumnDescriptor) -> Result<(), &'static str> {
    if column.max_rep_level() > 0 {
        return Err("holds lists; expected a number or a text in each row");
    }
    if let Some(LogicalType::Decimal { .. }) = column.logical_type_ref() {
        return Err("holds decimals; save it as double");
    }
    match (column.physical_type(), column.logical_type_ref()) {
        (Type::INT96, _) => Err("holds times; save it as numbers"),
        (Type::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Float16)) => Ok(()),
        (Type::FIXED_LEN_BYTE_ARRAY, _) => Err("holds bytes; expected numbers or texts"),
        (
            Type::BOOLEAN
            | Type::INT32
            | Type::INT64
            | Type::FLOAT
            | Type::DOUBLE
            | Type::BYTE_ARRAY,
            _,
        ) => Ok(()),
    }
}

fn is_unsigned(column: &ColumnDescriptor) -> bool {
    let unsigned = [
        ConvertedType::UINT_8,
        ConvertedType::UINT_16,
        ConvertedType::UINT_32,
        ConvertedType::UINT_64,
    ];
    unsigned.contains(&column.converted_type())
}

/// The next so many values of a column, as the model takes them. Where there is none, it is NaN or the empty text, as
/// models are trained with.
fn values(
    reader: &mut ColumnReader,
    column: &ColumnDescriptor,
    rows: usize,
    dtype: DType,
) -> Result<Elements, String> {
    let mut levels = Vec::new();
    macro_rules! read {
        ($reader:expr) => {{
            let mut values = Vec::with_capacity(rows);
            let read = $reader.read_records(rows, Some(&mut levels), None, &mut values);
            let (read, ..) = read.map_err(|error| said(&error))?;
            if read < rows {
                return Err("it ends too early".to_owned());
            }
            values
        }};
    }
    let is_unsigned = is_unsigned(column);
    let values = match reader {
        ColumnReader::BoolColumnReader(reader) => Elements::Bool(read!(reader)),
        ColumnReader::Int32ColumnReader(reader) if is_unsigned => {
            Elements::U32(read!(reader).into_iter().map(i32::cast_unsigned).collect())
        }
        ColumnReader::Int32ColumnReader(reader) => Elements::I32(read!(reader)),
        ColumnReader::Int64ColumnReader(reader) if is_unsigned => {
            Elements::U64(read!(reader).into_iter().map(i64::cast_unsigned).collect())
        }
        ColumnReader::Int64ColumnReader(reader) => Elements::I64(read!(reader)),
        ColumnReader::FloatColumnReader(reader) => Elements::F32(read!(reader)),
        ColumnReader::DoubleColumnReader(reader) => Elements::F64(read!(reader)),
        ColumnReader::ByteArrayColumnReader(reader) => {
            let text = |bytes: parquet::data_type::ByteArray| {
                bytes.as_utf8().map(str::to_owned).map_err(|_| "it has texts that are no UTF-8")
            };
            Elements::String(read!(reader).into_iter().map(text).collect::<Result<_, _>>()?)
        }
        ColumnReader::FixedLenByteArrayColumnReader(reader) => {
            let half = |bytes: parquet::data_type::FixedLenByteArray| {
                let half = bytes.data().try_into().map_err(|_| "it has halves of another size")?;
                Ok::<_, &str>(f16::from_le_bytes(half))
            };
            Elements::F16(read!(reader).into_iter().map(half).collect::<Result<_, _>>()?)
        }
        ColumnReader::Int96ColumnReader(_) => return Err("it holds times".to_owned()),
    };
    let from = values.dtype();
    let values = cast(values, dtype).map_err(|_| misfit(from, dtype))?;
    match values.len() == rows {
        true => Ok(values),
        false => with_gaps(&values, &levels, column.max_def_level()),
    }
}

/// Puts something where a row has nothing.
fn with_gaps(values: &Elements, levels: &[i16], there: i16) -> Result<Elements, String> {
    let dtype = values.dtype();
    let gap = match dtype.kind() {
        ElementKind::Float => cast(Elements::F64(vec![f64::NAN]), dtype).ok(),
        ElementKind::Text => Some(dtype.zeros(1)),
        ElementKind::Truth | ElementKind::Integer => None,
    };
    let gap =
        gap.ok_or_else(|| format!("there are rows without a value, and the model takes {dtype}"))?;
    let (mut all, mut next) = (dtype.buffer(levels.len()), 0);
    for level in levels {
        let value = if *level == there { values.view().slice(next..next + 1) } else { None };
        next += usize::from(value.is_some());
        all.extend(value.unwrap_or(gap.view()));
    }
    Ok(all)
}
