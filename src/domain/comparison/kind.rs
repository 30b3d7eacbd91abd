//! What an output means, where nobody said: from its type and shape, and where these do not tell from what stable
//! answers first.

use serde::{Deserialize, Serialize};

use super::super::tensor::{DType, ElementKind, ValueView};
use super::pair::Arm;
use super::rows::Rows;
use super::rule::OutputKind;

/// How many of stable's rows a guess must survive. A row of two numbers that mean something else adds up to one by
/// chance about every five-hundredth time, four of them never do.
const ROWS: u64 = 4;

/// How much a sum of probabilities, or the length of a vector, may be off one.
const OFF_ONE: f64 = 1e-3;

/// From how many columns on a vector of length one is taken for an embedding.
const EMBEDDING: usize = 16;

/// What an output means, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub(super) struct Meaning {
    /// Known for good.
    settled: Option<OutputKind>,
    /// Rows that have been looked at, and what all of them were.
    rows: u64,
    are_chances: bool,
    are_unit: bool,
}

impl Meaning {
    /// The meaning of an output of which this was said.
    pub(super) fn unknown() -> Self {
        Self { settled: None, rows: 0, are_chances: true, are_unit: true }
    }

    /// Whether it is known for good; until then what the output shows is not judged.
    pub(super) fn is_settled(self) -> bool {
        self.settled.is_some()
    }

    /// Looks at stable's rows, of which there is at least one, and says what the output means by all that is known.
    pub(super) fn learn(
        &mut self,
        said: Option<OutputKind>,
        stable: &ValueView<'_>,
        rows: &Rows<'_>,
    ) -> OutputKind {
        if let Some(kind) = self.settled {
            return kind;
        }
        let by_form = match said {
            Some(kind) if can_be(kind, rows) => Some(kind),
            Some(_) => Some(OutputKind::Numeric),
            None => by_form(stable, rows),
        };
        if let Some(kind) = by_form {
            self.settled = by_form;
            return kind;
        }
        self.look_at(rows);
        let kind = self.guess();
        let is_last = !self.are_chances && !self.are_unit;
        self.settled = (self.rows >= ROWS || is_last).then_some(kind);
        kind
    }

    fn look_at(&mut self, rows: &Rows<'_>) {
        for row in 0..rows.count() {
            let numbers = rows.numbers(Arm::Stable, row, rows.columns());
            if numbers.iter().all(|number| number.is_finite()) {
                self.rows += 1;
                self.are_chances &= are_chances(&numbers, OFF_ONE);
                let length: f64 = numbers.iter().map(|number| number * number).sum();
                self.are_unit &= numbers.len() >= EMBEDDING && is_one(length.sqrt());
            }
        }
    }

    fn guess(self) -> OutputKind {
        match (self.rows > 0 && self.are_chances, self.rows > 0 && self.are_unit) {
            (true, true | false) => OutputKind::ClassProbabilities,
            (false, true) => OutputKind::Embedding,
            (false, false) => OutputKind::Numeric,
        }
    }

    /// What two parts of one rollout know: what is known for good stays.
    pub(super) fn merge(&mut self, other: Self) {
        self.settled = self.settled.or(other.settled);
        self.rows += other.rows;
        self.are_chances &= other.are_chances;
        self.are_unit &= other.are_unit;
    }
}

/// Whether numbers are the probabilities of all there is.
pub(super) fn are_chances(numbers: &[f64], off: f64) -> bool {
    let is_chance = |number: &f64| (-off..=1.0 + off).contains(number);
    numbers.iter().all(is_chance) && (numbers.iter().sum::<f64>() - 1.0).abs() <= off
}

fn is_one(number: f64) -> bool {
    (number - 1.0).abs() <= OFF_ONE
}

/// Whether rows can have this meaning at all.
pub(super) fn can_be(kind: OutputKind, rows: &Rows<'_>) -> bool {
    match kind {
        OutputKind::ClassLabel => rows.columns() == 1,
        OutputKind::ClassProbabilities | OutputKind::Regression | OutputKind::Embedding => {
            rows.dtype() != DType::String && rows.columns() > 0
        }
        OutputKind::Numeric => true,
    }
}

/// What type and shape tell.
fn by_form(stable: &ValueView<'_>, rows: &Rows<'_>) -> Option<OutputKind> {
    let tensor = match stable {
        ValueView::ClassScores(_) => return Some(OutputKind::ClassProbabilities),
        ValueView::Tensor(tensor) => tensor,
    };
    let is_one_per_row = rows.columns() == 1;
    match (rows.dtype().kind(), is_one_per_row) {
        (ElementKind::Truth | ElementKind::Integer | ElementKind::Text, true) => {
            Some(OutputKind::ClassLabel)
        }
        (ElementKind::Truth | ElementKind::Integer | ElementKind::Text, false) => {
            Some(OutputKind::Numeric)
        }
        (ElementKind::Float, true) => Some(OutputKind::Regression),
        (ElementKind::Float, false) if tensor.shape.len() == 2 => None,
        (ElementKind::Float, false) => Some(OutputKind::Numeric),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tensor::{ClassScores, Elements, Tensor};
    use super::*;

    fn learned(meaning: &mut Meaning, said: Option<OutputKind>, tensor: &Tensor) -> OutputKind {
        let rows = Rows::of_tensors(tensor.view(), tensor.view()).unwrap();
        meaning.learn(said, &ValueView::Tensor(tensor.view()), &rows)
    }

    fn kind_of(shape: &[usize], elements: Elements) -> OutputKind {
        let tensor = Tensor::new(shape.to_vec(), elements).unwrap();
        learned(&mut Meaning::unknown(), None, &tensor)
    }

    #[test]
    fn type_and_shape_tell_most() {
        use OutputKind::{ClassLabel, Numeric, Regression};
        for (shape, elements, expected) in [
            (&[2][..], Elements::String(vec!["a".into(), "b".into()]), ClassLabel),
            (&[2, 1], Elements::I64(vec![1, 2]), ClassLabel),
            (&[1, 2], Elements::I32(vec![1, 2]), Numeric),
            (&[2], Elements::F32(vec![1.5, 2.5]), Regression),
            (&[2, 1], Elements::F64(vec![1.5, 2.5]), Regression),
            (&[], Elements::F32(vec![1.0]), Regression),
            (&[1, 1, 2], Elements::F32(vec![0.5, 0.5]), Numeric),
            (&[1, 0], Elements::F32(vec![]), Numeric),
        ] {
            assert_eq!(kind_of(shape, elements), expected, "{shape:?}");
        }
        let scores = ClassScores { classes: vec!["a".into()], scores: vec![3.0], rows: 1 };
        let rows = Rows::of_scores(&scores.view(), &scores.view()).unwrap();
        let kind = Meaning::unknown().learn(None, &ValueView::ClassScores(scores.view()), &rows);
        assert_eq!(kind, OutputKind::ClassProbabilities);
    }

    #[test]
    fn a_matrix_is_what_all_of_its_first_rows_look_like() {
        let kind = |rows: usize, numbers: Vec<f32>| {
            kind_of(&[rows, numbers.len() / rows], Elements::F32(numbers))
        };
        assert_eq!(kind(2, vec![0.2, 0.8, 0.5, 0.5]), OutputKind::ClassProbabilities);
        assert_eq!(kind(2, vec![0.2, 0.8, 0.5, 0.6]), OutputKind::Numeric);
        assert_eq!(kind(1, vec![0.25; 16]), OutputKind::Embedding);
        assert_eq!(kind(1, vec![0.5; 4]), OutputKind::Numeric, "too short for an embedding");
        assert_eq!(kind(1, vec![1.0 / 16.0; 16]), OutputKind::ClassProbabilities);
    }

    #[test]
    fn a_guess_is_settled_after_four_rows_and_dropped_when_refuted_before() {
        let row = |a: f32, b: f32| Tensor::new(vec![1, 2], Elements::F32(vec![a, b])).unwrap();
        let mut meaning = Meaning::unknown();
        for _ in 0..3 {
            let kind = learned(&mut meaning, None, &row(0.25, 0.75));
            assert_eq!((kind, meaning.is_settled()), (OutputKind::ClassProbabilities, false));
        }
        let mut refuted = meaning;
        assert_eq!(learned(&mut refuted, None, &row(3.0, 4.0)), OutputKind::Numeric);
        assert!(refuted.is_settled());
        learned(&mut meaning, None, &row(1.0, 0.0));
        assert!(meaning.is_settled());
        assert_eq!(learned(&mut meaning, None, &row(3.0, 4.0)), OutputKind::ClassProbabilities);
    }

    #[test]
    fn rows_without_numbers_tell_nothing() {
        let mut meaning = Meaning::unknown();
        let nan = Tensor::new(vec![9, 2], Elements::F32(vec![f32::NAN; 18])).unwrap();
        assert_eq!(learned(&mut meaning, None, &nan), OutputKind::Numeric);
        assert!(!meaning.is_settled());
    }

    #[test]
    fn what_was_said_holds_where_it_can() {
        let said = |kind, shape: &[usize], elements| {
            let tensor = Tensor::new(shape.to_vec(), elements).unwrap();
            learned(&mut Meaning::unknown(), Some(kind), &tensor)
        };
        let (label, numbers) = (OutputKind::ClassLabel, Elements::F32(vec![1.0, 2.0]));
        assert_eq!(said(label, &[2], numbers.clone()), label);
        assert_eq!(said(label, &[1, 2], numbers.clone()), OutputKind::Numeric);
        assert_eq!(said(OutputKind::Embedding, &[1, 2], numbers), OutputKind::Embedding);
        let text = Elements::String(vec!["a".into()]);
        assert_eq!(said(OutputKind::Regression, &[1], text), OutputKind::Numeric);
    }
}
