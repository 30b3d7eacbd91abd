//! A JSON value a line: a whole request, or a row of one.

use std::io::{BufRead, BufReader, Read};

use serde_json::Value;

use super::{Asked, Request, Requests};
use crate::api::mark_words;

/// See the module.
pub(super) struct Lines<R> {
    file: BufReader<R>,
    line: u64,
    /// Whether a line is a row. The first one tells.
    holds_rows: Option<bool>,
}

impl<R: Read> Lines<R> {
    pub(super) fn of(file: R) -> Self {
        Self { file: BufReader::new(file), line: 0, holds_rows: None }
    }
}

impl<R: Read + Send> Requests for Lines<R> {
    fn next(&mut self) -> Result<Option<Request>, String> {
        let mut text = Vec::new();
        loop {
            text.clear();
            let read = self.file.read_until(b'\n', &mut text);
            self.line += 1;
            if read.map_err(|error| format!("line {}: {error}", self.line))? == 0 {
                return Ok(None);
            }
            if !text.trim_ascii().is_empty() {
                break;
            }
        }
        let holds_rows = *self.holds_rows.get_or_insert_with(|| !is_whole_request(&text));
        let body = match holds_rows {
            true => [b"{\"instances\":[", text.trim_ascii(), b"]}"].concat(),
            false => text,
        };
        Ok(Some(Request { number: self.line, asked: Asked::Body(body) }))
    }

    fn unit(&self) -> &'static str {
        "line"
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

#[cfg(test)]
mod tests {
    use super::*;

    fn bodies(text: &str) -> Vec<(u64, String)> {
        let mut lines = Lines::of(text.as_bytes());
        let mut all = Vec::new();
        while let Some(Request { number, asked }) = lines.next().unwrap() {
            let Asked::Body(body) = asked else { panic!("{asked:?}") };
            all.push((number, String::from_utf8(body).unwrap()));
        }
        all
    }

    #[test]
    fn a_line_is_a_row_or_a_whole_request() {
        let row = |row: &str| format!("{{\"instances\":[{row}]}}");
        assert_eq!(bodies("[1, 2]\n\n[3, 4]"), [(1, row("[1, 2]")), (3, row("[3, 4]"))]);
        let requests = bodies("{\"instances\": [[1, 2]]}\n{\"inputs\": [[3, 4]]}\n");
        assert_eq!(requests[1].1, "{\"inputs\": [[3, 4]]}\n");
        let requests = bodies("{\"inputs\": [[NaN, 4]]}\n");
        assert_eq!(requests[0].1, "{\"inputs\": [[NaN, 4]]}\n");
        let rows = bodies("{\"inputs\": 1, \"b\": 2}");
        assert_eq!(rows[0].1, row("{\"inputs\": 1, \"b\": 2}"));
    }
}
