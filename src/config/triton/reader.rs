//! What reading the file brings to light: all that is wrong, and all that has no effect.

use std::path::Path;
use std::sync::Arc;

use super::super::error::{Origin, Problem};
use super::fields::Fields;
use super::text::Place;

/// Takes notes while a file is read.
#[derive(Debug)]
pub(super) struct Reader {
    file: Arc<Path>,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl Reader {
    pub(super) fn of(file: &str) -> Self {
        Self { file: Path::new(file).into(), problems: Vec::new(), warnings: Vec::new() }
    }

    /// The model cannot be served like this.
    pub(super) fn refuse(&mut self, place: Place, text: impl Into<String>) {
        self.problems.push(Problem::new(Some(self.origin(place)), text));
    }

    /// It can, and this changes nothing.
    pub(super) fn leave_out(&mut self, place: Place, text: impl Into<String>) {
        let problem = Problem::new(Some(self.origin(place)), text);
        self.warnings.push(problem.to_string());
    }

    /// The same for a field, where it is there.
    pub(super) fn leave_out_field(&mut self, fields: &Fields, name: &str, why: &str) {
        if let Some(place) = fields.place(name) {
            self.leave_out(place, format!("`{name}` has no effect: {why}"));
        }
    }

    /// The model cannot be served with this field, where it is there.
    pub(super) fn refuse_field(&mut self, fields: &Fields, name: &str, why: &str) {
        if let Some(place) = fields.place(name) {
            self.refuse(place, format!("`{name}` is not supported: {why}"));
        }
    }

    /// The sentences to warn with, or all that is wrong, in the order of the file.
    pub(super) fn finish(mut self) -> Result<Vec<String>, Vec<Problem>> {
        self.problems.sort();
        if self.problems.is_empty() { Ok(self.warnings) } else { Err(self.problems) }
    }

    /// A place as messages show it.
    pub(super) fn shown(&self, place: Place) -> String {
        self.origin(place).to_string()
    }

    fn origin(&self, place: Place) -> Origin {
        let Place { line, column } = place;
        Origin::File { file: self.file.clone(), line, column: Some(column) }
    }
}
