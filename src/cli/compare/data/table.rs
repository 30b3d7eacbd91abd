//! Rows of a table of text, with a header.

use std::fmt::Write as _;
use std::io::Read;

use serde_json::Value;

use super::columns::{Columns, Form};
use super::{Asked, Request, Requests, Taken};
use crate::domain::tensor::DType;

/// See the module.
pub(super) struct Table<R> {
    rows: csv::Reader<R>,
    record: csv::StringRecord,
    columns: Columns,
    /// The names of the columns as JSON.
    names: Vec<String>,
}

impl<R: Read> Table<R> {
    pub(super) fn of(file: R, taken: Taken<'_>) -> Result<Self, String> {
        let mut rows = csv::Reader::from_reader(file);
        let header = rows.headers().map_err(|error| error.to_string())?;
        let columns = Columns::of(&header.iter().collect::<Vec<_>>(), taken)?;
        let kept = columns.kept.iter();
        let names = kept.map(|column| Value::from(column.name.as_str()).to_string()).collect();
        Ok(Self { rows, record: csv::StringRecord::new(), columns, names })
    }

    /// A row as the body of a request: what is wrong with a value is told as a client is told it.
    fn body(&self) -> String {
        let has_names = match self.columns.form {
            Form::Features | Form::Inputs => true,
            Form::Row => false,
        };
        let mut body = String::from("{\"instances\":[");
        body.push(if has_names { '{' } else { '[' });
        for (number, (column, name)) in self.columns.kept.iter().zip(&self.names).enumerate() {
            if number > 0 {
                body.push(',');
            }
            if has_names {
                body.push_str(name);
                body.push(':');
            }
            let value = self.record.get(column.place).unwrap_or_default().trim();
            // Writing to a text cannot fail.
            let _ = match (column.dtype == DType::String, value) {
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
        body.push_str(if has_names { "}]}" } else { "]]}" });
        body
    }
}

impl<R: Read + Send> Requests for Table<R> {
    fn next(&mut self) -> Result<Option<Request>, String> {
        let is_there =
            self.rows.read_record(&mut self.record).map_err(|error| error.to_string())?;
        let number = self.record.position().map_or(0, csv::Position::line);
        let asked = || Asked::Body(self.body().into_bytes());
        Ok(is_there.then(|| Request { number, asked: asked() }))
    }

    fn unit(&self) -> &'static str {
        "line"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::model::Digest;
    use crate::domain::signature::{Dim, Shape, Signature, TensorSpec};
    use crate::serving::Naming;

    fn input(name: &str, dtype: DType, columns: usize) -> TensorSpec {
        let shape = Shape(Some(vec![Dim::Symbol("N".into()), Dim::Fixed(columns)]));
        TensorSpec { name: name.to_owned(), dtype, shape }
    }

    fn bodies(
        text: &str,
        inputs: Vec<TensorSpec>,
        features: &[&str],
    ) -> Result<Vec<(u64, String)>, String> {
        let features = features.iter().map(|name| (*name).to_owned()).collect();
        let naming = Naming { features, classes: Vec::new() };
        let signature = Signature { inputs, outputs: Vec::new() };
        let digest = Digest::from_bytes([0; 32]);
        let taken = Taken { signature: &signature, naming: &naming, digest };
        let mut table = Table::of(text.as_bytes(), taken)?;
        let mut all = Vec::new();
        while let Some(Request { number, asked }) = table.next()? {
            let Asked::Body(body) = asked else { panic!("{asked:?}") };
            all.push((number, String::from_utf8(body).unwrap()));
        }
        Ok(all)
    }

    #[test]
    fn columns_are_found_by_name_and_others_passed_over() {
        let table = "label,b,a\n0,1.5,2\n1,,inf\n";
        let rows = bodies(table, vec![input("x", DType::F32, 2)], &["a", "b"]).unwrap();
        let expected = [
            (2, "{\"instances\":[{\"a\":2,\"b\":1.5}]}".to_owned()),
            (3, "{\"instances\":[{\"a\":Infinity,\"b\":NaN}]}".to_owned()),
        ];
        assert_eq!(rows, expected);
        let inputs = vec![input("a", DType::String, 1), input("b", DType::F32, 1)];
        let rows = bodies(table, inputs, &[]).unwrap();
        assert_eq!(rows[0].1, "{\"instances\":[{\"a\":\"2\",\"b\":1.5}]}");
    }

    #[test]
    fn a_table_as_wide_as_the_only_input_is_that_input() {
        let model = || vec![input("x", DType::F32, 2)];
        let rows = bodies("p,q\n1,2\n", model(), &[]).unwrap();
        assert_eq!(rows[0].1, "{\"instances\":[[1,2]]}");
        let error = bodies("p,q,r\n1,2,3\n", model(), &[]).unwrap_err();
        assert!(error.contains("no column `x`"), "{error}");
        let error = bodies("a,c\n1,2\n", model(), &["a", "b"]).unwrap_err();
        assert!(error.contains("no column `b`;"), "{error}");
    }
}
