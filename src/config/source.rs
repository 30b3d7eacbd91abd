//! Settings as they were written: a TOML tree in which every value knows its line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Origin, Problem, printable};

pub(super) type Table = BTreeMap<String, Entry>;

/// One value and where it was written.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    /// What an environment variable or a flag says: its type is what the setting asks for.
    Word(String),
    /// A path from a flag, which need not be UTF-8.
    Path(PathBuf),
    Integer(i64),
    Float(f64),
    Switch(bool),
    List(Vec<Entry>),
    Table(Table),
    /// What no setting takes (a date, a number beyond 64 bits), as text for the message.
    Other(String),
}

/// Reads the text of a file into a tree.
pub(super) fn parse(text: &str, file: &Path) -> Result<Table, Problem> {
    let lines = Lines::of(text, file);
    match DeTable::parse(text) {
        Ok(table) => Ok(table_of(table.into_inner(), &|offset| lines.origin(offset))),
        Err(error) => {
            // Nesting without end is refused without a place.
            let offset = error.span().map_or(0, |span| span.start);
            let origin = Some(lines.position(text, offset));
            Err(Problem::new(origin, format!("syntax error: {}", printable(error.message()))))
        }
    }
}

impl Entry {
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) | Value::Word(text) => Some(text),
            Value::Path(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Switch(_)
            | Value::List(_)
            | Value::Table(_)
            | Value::Other(_) => None,
        }
    }

    /// The value where a number, a switch or a list is asked for: a word is read as TOML then, if it is.
    pub(super) fn literal(&self) -> Value {
        match &self.value {
            Value::Word(word) => match DeValue::parse(word) {
                Ok(value) => value_of(value.into_inner(), &|_| self.origin.clone()),
                Err(_) => self.value.clone(),
            },
            value => value.clone(),
        }
    }
}

impl Value {
    /// The value inside a message: in backticks as it was written, short and on one line.
    pub(super) fn shown(&self) -> String {
        match self {
            Value::Table(_) => "a table".to_owned(),
            value => format!("`{}`", printable(&value.written())),
        }
    }

    fn written(&self) -> String {
        match self {
            Value::Text(text) => format!("{text:?}"),
            Value::Word(text) | Value::Other(text) => text.clone(),
            Value::Path(path) => path.display().to_string(),
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Switch(on) => on.to_string(),
            Value::List(entries) => {
                let shown: Vec<_> = entries.iter().map(|entry| entry.value.written()).collect();
                format!("[{}]", shown.join(", "))
            }
            Value::Table(_) => "{…}".to_owned(),
        }
    }
}

/// A key as TOML would want it, so that `"a.b"` is not mistaken for `a.b`.
pub(super) fn shown_key(key: &str) -> String {
    let is_bare = !key.is_empty()
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if is_bare { printable(key) } else { printable(&format!("{key:?}")) }
}

type OriginAt<'a> = &'a dyn Fn(usize) -> Origin;

/// A key and the start of its value share a line in TOML, so the key's place is the entry's place; a
/// table's own place would be its header or nothing.
fn table_of(table: DeTable<'_>, origin_at: OriginAt<'_>) -> Table {
    let entry = |(key, value): (Spanned<std::borrow::Cow<'_, str>>, Spanned<DeValue<'_>>)| {
        let origin = origin_at(key.span().start);
        let value = value_of(value.into_inner(), origin_at);
        (key.into_inner().into_owned(), Entry { value, origin })
    };
    table.into_iter().map(entry).collect()
}

fn value_of(value: DeValue<'_>, origin_at: OriginAt<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Other(number.as_str().to_owned()),
        },
        DeValue::Float(number) => match number.as_str().parse() {
            Ok(number) => Value::Float(number),
            Err(_) => Value::Other(number.as_str().to_owned()),
        },
        DeValue::Boolean(on) => Value::Switch(on),
        DeValue::Datetime(date) => Value::Other(date.to_string()),
        DeValue::Array(entries) => {
            let entry = |entry: Spanned<DeValue<'_>>| Entry {
                origin: origin_at(entry.span().start),
                value: value_of(entry.into_inner(), origin_at),
            };
            Value::List(entries.into_iter().map(entry).collect())
        }
        DeValue::Table(table) => Value::Table(table_of(table, origin_at)),
    }
}

/// Where the lines of a file begin, to turn offsets into line numbers.
struct Lines {
    file: Arc<Path>,
    starts: Vec<usize>,
}

impl Lines {
    fn of(text: &str, file: &Path) -> Self {
        let after_breaks = text.match_indices('\n').map(|(offset, _)| offset + 1);
        Self { file: file.into(), starts: std::iter::once(0).chain(after_breaks).collect() }
    }

    fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }

    fn origin(&self, offset: usize) -> Origin {
        Origin::File { file: self.file.clone(), line: self.line(offset), column: None }
    }

    fn position(&self, text: &str, offset: usize) -> Origin {
        let line = self.line(offset);
        let start = line.checked_sub(1).and_then(|index| self.starts.get(index)).copied();
        let before = text.get(start.unwrap_or(0)..offset).unwrap_or("");
        let column = Some(before.chars().count() + 1);
        Origin::File { file: self.file.clone(), line, column }
    }
}
