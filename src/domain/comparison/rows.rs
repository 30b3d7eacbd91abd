//! The same output of two runs as rows: the first dimension counts rows, the rest is one row's columns.

use half::{bf16, f16};
use ndarray::{ArrayView1, ArrayView2, Axis, CowArray, Ix2};

use super::super::tensor::{ClassScoresView, DType, ElementsView, TensorView, element_count};
use super::pair::Arm;

/// The same output of stable and of the candidate: same type, same number of rows and columns.
#[derive(Clone, Debug)]
pub(super) enum Rows<'a> {
    Bool([ArrayView2<'a, bool>; 2]),
    U8([ArrayView2<'a, u8>; 2]),
    U16([ArrayView2<'a, u16>; 2]),
    U32([ArrayView2<'a, u32>; 2]),
    U64([ArrayView2<'a, u64>; 2]),
    I8([ArrayView2<'a, i8>; 2]),
    I16([ArrayView2<'a, i16>; 2]),
    I32([ArrayView2<'a, i32>; 2]),
    I64([ArrayView2<'a, i64>; 2]),
    F16([ArrayView2<'a, f16>; 2]),
    BF16([ArrayView2<'a, bf16>; 2]),
    /// Owned where the candidate's class scores had to be put into stable's order.
    F32([CowArray<'a, f32, Ix2>; 2]),
    F64([ArrayView2<'a, f64>; 2]),
    /// Not views, so that a class name can outlive them.
    Text {
        elements: [&'a [String]; 2],
        rows: usize,
        columns: usize,
    },
}

/// What an element that is a number can do.
pub(super) trait Number: Copy {
    /// The number, as near as double precision comes.
    fn real(self) -> f64;

    /// Whether not even a bit differs.
    fn is_same(self, other: Self) -> bool;

    /// The difference to another one, also where both are too large for double precision to tell them apart.
    fn minus(self, other: Self) -> f64 {
        self.real() - other.real()
    }
}

impl Number for bool {
    fn real(self) -> f64 {
        f64::from(u8::from(self))
    }

    fn is_same(self, other: Self) -> bool {
        self == other
    }
}

macro_rules! integers {
    ($($number:ty),*) => {
        $(impl Number for $number {
            fn real(self) -> f64 {
                self as f64
            }

            fn minus(self, other: Self) -> f64 {
                (i128::from(self) - i128::from(other)) as f64
            }

            fn is_same(self, other: Self) -> bool {
                self == other
            }
        })*
    };
}

macro_rules! floats {
    ($($number:ty),*) => {
        $(impl Number for $number {
            fn real(self) -> f64 {
                self.into()
            }

            fn is_same(self, other: Self) -> bool {
                self.to_bits() == other.to_bits()
            }
        })*
    };
}

integers!(u8, u16, u32, u64, i8, i16, i32, i64);
floats!(f16, bf16, f32, f64);

/// Evaluates an expression with the same row of both sides, whatever type its numbers have, or another one for text.
macro_rules! on_row {
    ($rows:expr, $row:expr, |$stable:ident, $candidate:ident| $numbers:expr, |$texts:ident, $others:ident| $text:expr) => {
        match $rows {
            Rows::Bool(sides) => on_row!(@ sides, $row, $stable, $candidate, $numbers),
            Rows::U8(sides) => on_row!(@ sides, $row, $stable, $candidate, $numbers),
            Rows::U16(sides) => on_row!(@ sides, $row, $stable, $candidate, $numbers),
            Rows::U32(sides) => on_row!(@ sides, $row, $stable, $candidate, $numbers),
            Rows::U64(sides) => on_row!(@ sides, $row, $stable, $candidate, $numbers),
            Rows::I8(sides) => on_row!(@ sides, $row, $stable, $candidate, $numbers),
            Rows::I16(sides) => on_row!(@ sides, $row, $stable, $candidate, $numbers),
            Rows::I32(sides) => on_row!(@ sides, $row, $stable, $candidate, $numbers),
            Rows::I64(sides) => on_row!(@ sides, $row, $stable, $candidate, $numbers),
            Rows::F16(sides) => on_row!(@ sides, $row, $stable, $candidate, $numbers),
            Rows::BF16(sides) => on_row!(@ sides, $row, $stable, $candidate, $numbers),
            Rows::F32(sides) => on_row!(@ sides, $row, $stable, $candidate, $numbers),
            Rows::F64(sides) => on_row!(@ sides, $row, $stable, $candidate, $numbers),
            Rows::Text { elements, columns, .. } => {
                let [$texts, $others] = elements.map(|side| &side[$row * columns..($row + 1) * columns]);
                $text
            }
        }
    };
    (@ $sides:ident, $row:expr, $stable:ident, $candidate:ident, $numbers:expr) => {{
        let ($stable, $candidate) = ($sides[0].row($row), $sides[1].row($row));
        $numbers
    }};
}
pub(super) use on_row;

impl<'a> Rows<'a> {
    /// The rows of two tensors, or `None` where they are not of the same type and dimensions. A scalar is one row.
    pub(super) fn of_tensors(stable: TensorView<'a>, candidate: TensorView<'a>) -> Option<Self> {
        fn both<'a, T>(
            shape: (usize, usize),
            sides: [&'a [T]; 2],
        ) -> Option<[ArrayView2<'a, T>; 2]> {
            let [stable, candidate] = sides.map(|side| ArrayView2::from_shape(shape, side).ok());
            Some([stable?, candidate?])
        }
        if stable.shape != candidate.shape {
            return None;
        }
        let (rows, rest) = match stable.shape {
            [] => (1, stable.shape),
            [rows, rest @ ..] => (*rows, rest),
        };
        let columns = element_count(rest)?;
        let shape = (rows, columns);
        Some(match (stable.elements, candidate.elements) {
            (ElementsView::Bool(a), ElementsView::Bool(b)) => Self::Bool(both(shape, [a, b])?),
            (ElementsView::U8(a), ElementsView::U8(b)) => Self::U8(both(shape, [a, b])?),
            (ElementsView::U16(a), ElementsView::U16(b)) => Self::U16(both(shape, [a, b])?),
            (ElementsView::U32(a), ElementsView::U32(b)) => Self::U32(both(shape, [a, b])?),
            (ElementsView::U64(a), ElementsView::U64(b)) => Self::U64(both(shape, [a, b])?),
            (ElementsView::I8(a), ElementsView::I8(b)) => Self::I8(both(shape, [a, b])?),
            (ElementsView::I16(a), ElementsView::I16(b)) => Self::I16(both(shape, [a, b])?),
            (ElementsView::I32(a), ElementsView::I32(b)) => Self::I32(both(shape, [a, b])?),
            (ElementsView::I64(a), ElementsView::I64(b)) => Self::I64(both(shape, [a, b])?),
            (ElementsView::F16(a), ElementsView::F16(b)) => Self::F16(both(shape, [a, b])?),
            (ElementsView::BF16(a), ElementsView::BF16(b)) => Self::BF16(both(shape, [a, b])?),
            (ElementsView::F32(a), ElementsView::F32(b)) => {
                Self::F32(both(shape, [a, b])?.map(Into::into))
            }
            (ElementsView::F64(a), ElementsView::F64(b)) => Self::F64(both(shape, [a, b])?),
            (ElementsView::String(a), ElementsView::String(b)) => {
                both(shape, [a, b])?;
                Self::Text { elements: [a, b], rows, columns }
            }
            (_, _) => return None,
        })
    }

    /// The rows of two sets of class scores, columns in stable's order, or `None` where classes or rows differ.
    pub(super) fn of_scores(
        stable: &ClassScoresView<'a>,
        candidate: &ClassScoresView<'a>,
    ) -> Option<Self> {
        fn view<'a>(scores: &ClassScoresView<'a>) -> Option<ArrayView2<'a, f32>> {
            ArrayView2::from_shape((scores.rows, scores.classes.len()), scores.scores).ok()
        }
        if stable.rows == 0 && candidate.rows == 0 {
            // The classes are the keys of the rows' maps: without rows there are none.
            let nothing = || ArrayView2::from_shape((0, 0), &[]).ok().map(Into::into);
            return Some(Self::F32([nothing()?, nothing()?]));
        }
        let (ours, theirs) = (view(stable)?, view(candidate)?);
        if ours.dim() != theirs.dim() {
            return None;
        }
        if stable.classes == candidate.classes {
            return Some(Self::F32([ours.into(), theirs.into()]));
        }
        let place = |class| candidate.classes.iter().position(|other| other == class);
        let order: Vec<usize> = stable.classes.iter().map(place).collect::<Option<_>>()?;
        Some(Self::F32([ours.into(), theirs.select(Axis(1), &order).into()]))
    }

    /// How many rows there are.
    pub(super) fn count(&self) -> usize {
        self.dimensions().0
    }

    /// How many elements a row has.
    pub(super) fn columns(&self) -> usize {
        self.dimensions().1
    }

    fn dimensions(&self) -> (usize, usize) {
        match self {
            Self::Bool([rows, _]) => rows.dim(),
            Self::U8([rows, _]) => rows.dim(),
            Self::U16([rows, _]) => rows.dim(),
            Self::U32([rows, _]) => rows.dim(),
            Self::U64([rows, _]) => rows.dim(),
            Self::I8([rows, _]) => rows.dim(),
            Self::I16([rows, _]) => rows.dim(),
            Self::I32([rows, _]) => rows.dim(),
            Self::I64([rows, _]) => rows.dim(),
            Self::F16([rows, _]) => rows.dim(),
            Self::BF16([rows, _]) => rows.dim(),
            Self::F32([rows, _]) => rows.dim(),
            Self::F64([rows, _]) => rows.dim(),
            Self::Text { rows, columns, .. } => (*rows, *columns),
        }
    }

    pub(super) fn dtype(&self) -> DType {
        match self {
            Self::Bool(_) => DType::Bool,
            Self::U8(_) => DType::U8,
            Self::U16(_) => DType::U16,
            Self::U32(_) => DType::U32,
            Self::U64(_) => DType::U64,
            Self::I8(_) => DType::I8,
            Self::I16(_) => DType::I16,
            Self::I32(_) => DType::I32,
            Self::I64(_) => DType::I64,
            Self::F16(_) => DType::F16,
            Self::BF16(_) => DType::BF16,
            Self::F32(_) => DType::F32,
            Self::F64(_) => DType::F64,
            Self::Text { .. } => DType::String,
        }
    }

    /// Puts the numbers of a row into these buffers, stable's and the candidate's; text has none.
    pub(super) fn read(&self, row: usize, sides: &mut [Vec<f64>; 2]) {
        fn fill<T: Number>(side: &mut Vec<f64>, row: ArrayView1<'_, T>) {
            side.extend(row.iter().map(|number| number.real()));
        }
        sides.iter_mut().for_each(Vec::clear);
        let [ours, theirs] = sides;
        on_row!(
            self,
            row,
            |stable, candidate| {
                fill(ours, stable);
                fill(theirs, candidate);
            },
            |_texts, _others| {}
        );
    }

    /// One number of both sides.
    pub(super) fn element(&self, row: usize, column: usize) -> Option<[f64; 2]> {
        on_row!(
            self,
            row,
            |stable, candidate| Some([stable.get(column)?.real(), candidate.get(column)?.real()]),
            |_texts, _others| None
        )
    }

    /// The numbers of one side's row, at most `most` of them; text has none.
    pub(super) fn numbers(&self, side: Arm, row: usize, most: usize) -> Vec<f64> {
        fn first<T: Number>(row: ArrayView1<'_, T>, most: usize) -> Vec<f64> {
            row.iter().take(most).map(|number| number.real()).collect()
        }
        on_row!(
            self,
            row,
            |stable, candidate| match side {
                Arm::Stable => first(stable, most),
                Arm::Candidate => first(candidate, most),
            },
            |_texts, _others| Vec::new()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tensor::ClassScores;
    use super::super::super::tensor::{Elements, Tensor};
    use super::*;

    fn tensor(shape: &[usize], numbers: &[f32]) -> Tensor {
        Tensor::new(shape.to_vec(), Elements::F32(numbers.to_vec())).unwrap()
    }

    fn rows_of(stable: &Tensor, candidate: &Tensor) -> Option<(usize, usize)> {
        let rows = Rows::of_tensors(stable.view(), candidate.view())?;
        Some((rows.count(), rows.columns()))
    }

    #[test]
    fn the_first_dimension_counts_rows() {
        for (shape, expected) in [
            (&[2, 3, 4][..], (2, 12)),
            (&[5], (5, 1)),
            (&[], (1, 1)),
            (&[0, 3], (0, 3)),
            (&[3, 0], (3, 0)),
        ] {
            let tensor = tensor(shape, &vec![0.0; shape.iter().product()]);
            assert_eq!(rows_of(&tensor, &tensor), Some(expected), "{shape:?}");
        }
        assert_eq!(rows_of(&tensor(&[1], &[0.0]), &tensor(&[1, 1], &[0.0])), None);
    }

    #[test]
    fn scores_are_compared_by_class_wherever_they_stand() {
        let scores = |classes: [&str; 2], scores: [f32; 4]| ClassScores {
            classes: classes.map(str::to_owned).to_vec(),
            scores: scores.to_vec(),
            rows: 2,
        };
        let stable = scores(["a", "b"], [0.1, 0.9, 0.2, 0.8]);
        let turned = scores(["b", "a"], [0.7, 0.3, 0.6, 0.4]);
        let rows = Rows::of_scores(&stable.view(), &turned.view()).unwrap();
        assert_eq!(
            rows.numbers(Arm::Candidate, 1, 9),
            [0.4, 0.6].map(|score: f32| f64::from(score))
        );
        assert!(Rows::of_scores(&stable.view(), &scores(["a", "c"], [0.0; 4]).view()).is_none());
    }

    #[test]
    fn integers_differ_where_double_precision_cannot_tell() {
        assert_eq!((i64::MAX).minus(i64::MAX - 1), 1.0);
        assert_eq!(i64::MIN.minus(i64::MAX), -18_446_744_073_709_551_615.0);
    }
}
