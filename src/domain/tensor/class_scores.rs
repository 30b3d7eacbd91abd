//! What a classifier gives that knows its classes by name.

use std::ops::Range;

/// The scores of a classifier by class name, as scikit-learn's converters write them ("ZipMap": one map
/// per row). Kept as a matrix, with the names once.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassScores {
    /// The class names, in the order of the columns.
    pub classes: Vec<String>,
    /// Row-major, `rows × classes`.
    pub scores: Vec<f32>,
    /// How many rows there are; also right when there are no classes.
    pub rows: usize,
}

impl ClassScores {
    /// The scores, borrowed.
    pub fn view(&self) -> ClassScoresView<'_> {
        ClassScoresView { classes: &self.classes, scores: &self.scores, rows: self.rows }
    }
}

/// Borrowed [`ClassScores`], or some of their rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassScoresView<'a> {
    /// The class names, in the order of the columns.
    pub classes: &'a [String],
    /// Row-major, `rows × classes`.
    pub scores: &'a [f32],
    /// How many rows there are.
    pub rows: usize,
}

impl<'a> ClassScoresView<'a> {
    /// The scores of a range of rows; none when it reaches beyond the end.
    pub fn slice(&self, rows: Range<usize>) -> Option<ClassScoresView<'a>> {
        let columns = self.classes.len();
        let scores = self.scores.get(rows.start * columns..rows.end * columns)?;
        (rows.end <= self.rows).then_some(Self { classes: self.classes, scores, rows: rows.len() })
    }
}
