//! What callers rely on, whatever a model was trained for. The first violation is one too many.

use ndarray::ArrayView1;
use serde::{Deserialize, Serialize};

use super::super::tensor::{ClassScoresView, ValueView};
use super::super::time::WallTime;
use super::super::wording::printable;
use super::pair::{ContractKind, ContractViolation};
use super::rows::{Number, Rows, on_row};

/// A violation, without the name of the output.
#[derive(Debug, PartialEq)]
pub(super) struct Broken {
    pub(super) kind: ContractKind,
    pub(super) detail: String,
}

/// The rows of both sides, if the candidate's output has the form of stable's.
pub(super) fn matched<'a>(
    stable: &ValueView<'a>,
    candidate: Option<&ValueView<'a>>,
) -> Result<Rows<'a>, Broken> {
    let Some(candidate) = candidate else {
        let detail = format!("stable {}, candidate nothing", form(stable));
        return Err(Broken { kind: ContractKind::Missing, detail });
    };
    let (rows, kind) = match (stable, candidate) {
        (ValueView::Tensor(ours), ValueView::Tensor(theirs)) => {
            let has_type = ours.elements.dtype() == theirs.elements.dtype();
            let kind = if has_type { ContractKind::Shape } else { ContractKind::Dtype };
            (Rows::of_tensors(*ours, *theirs), kind)
        }
        (ValueView::ClassScores(ours), ValueView::ClassScores(theirs)) => {
            if let Some(detail) = other_classes(ours, theirs) {
                return Err(Broken { kind: ContractKind::Classes, detail });
            }
            (Rows::of_scores(ours, theirs), ContractKind::Shape)
        }
        (ValueView::Tensor(_), ValueView::ClassScores(_))
        | (ValueView::ClassScores(_), ValueView::Tensor(_)) => (None, ContractKind::Dtype),
    };
    rows.ok_or_else(|| {
        let detail = format!("stable {}, candidate {}", form(stable), form(candidate));
        Broken { kind, detail }
    })
}

/// Type and dimensions.
fn form(value: &ValueView<'_>) -> String {
    match value {
        ValueView::Tensor(tensor) => format!("{}{:?}", tensor.elements.dtype(), tensor.shape),
        ValueView::ClassScores(scores) => {
            format!("scores[{}, {}]", scores.rows, scores.classes.len())
        }
    }
}

/// How the classes differ, where not only their order does. Answers without rows may come without names.
fn other_classes(stable: &ClassScoresView<'_>, candidate: &ClassScoresView<'_>) -> Option<String> {
    if stable.classes == candidate.classes || stable.rows == 0 && candidate.rows == 0 {
        return None;
    }
    let missing = |from: &ClassScoresView<'_>, of: &ClassScoresView<'_>| {
        let class = of.classes.iter().find(|class| !from.classes.contains(class))?;
        Some(printable(class, 40))
    };
    match (missing(candidate, stable), missing(stable, candidate)) {
        (Some(lost), Some(new)) => Some(format!("class `{lost}` is gone, class `{new}` is new")),
        (Some(lost), None) => Some(format!("class `{lost}` is gone")),
        (None, Some(new)) => Some(format!("class `{new}` is new")),
        (None, None) => {
            let (ours, theirs) = (stable.classes.len(), candidate.classes.len());
            (ours != theirs).then(|| format!("stable {ours} classes, candidate {theirs}"))
        }
    }
}

/// How much of the candidate's numbers is NaN or infinite where stable has a number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Poison {
    /// How many elements.
    pub(super) elements: u64,
    /// How many rows have one.
    pub(super) rows: u64,
    /// The row that has most.
    pub(super) worst_row: usize,
    /// How many that row has.
    pub(super) worst: u64,
}

impl Poison {
    /// Looks for such numbers.
    pub(super) fn of(rows: &Rows<'_>) -> Self {
        let mut poison = Self::default();
        for row in 0..rows.count() {
            let count =
                on_row!(rows, row, |stable, candidate| poisoned(stable, candidate), |_t, _o| 0);
            poison.elements += count;
            poison.rows += u64::from(count > 0);
            if count > poison.worst {
                (poison.worst_row, poison.worst) = (row, count);
            }
        }
        poison
    }

    /// The violation, if it is one.
    pub(super) fn broken(&self, rows: &Rows<'_>) -> Option<Broken> {
        let detail = || {
            let (elements, rows) = (rows.count() * rows.columns(), rows.count());
            format!(
                "NaN or infinite where stable has a number: {} of {elements} elements, in {} of {rows} rows",
                self.elements, self.rows
            )
        };
        (self.elements > 0).then(|| Broken { kind: ContractKind::Nan, detail: detail() })
    }
}

fn poisoned<T: Number>(stable: ArrayView1<'_, T>, candidate: ArrayView1<'_, T>) -> u64 {
    let pairs = stable.iter().zip(candidate);
    let is_poison =
        |(stable, candidate): &(&T, &T)| !candidate.real().is_finite() && stable.real().is_finite();
    pairs.filter(is_poison).count() as u64
}

/// All violations of a rollout: of each kind in each output the first, and how many pairs had it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub(super) struct Violations(Vec<Violation>);

/// One kind of violation in one output.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(super) struct Violation {
    pub(super) kind: ContractKind,
    pub(super) output: String,
    pub(super) pairs: u64,
    pub(super) first: WallTime,
    pub(super) detail: String,
}

impl Violations {
    pub(super) fn add(&mut self, violation: &ContractViolation, at: WallTime) {
        let ContractViolation { kind, output, detail } = violation.clone();
        self.add_seen(Violation { kind, output, pairs: 1, first: at, detail });
    }

    pub(super) fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|violation| self.add_seen(violation.clone()));
    }

    fn add_seen(&mut self, seen: Violation) {
        let same = |known: &&mut Violation| known.kind == seen.kind && known.output == seen.output;
        match self.0.iter_mut().find(same) {
            Some(known) => {
                known.pairs += seen.pairs;
                if seen.first < known.first {
                    (known.first, known.detail) = (seen.first, seen.detail);
                }
            }
            None => self.0.push(seen),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Violation> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tensor::ClassScores;
    use super::super::super::tensor::{Elements, Tensor};
    use super::*;

    fn floats(shape: &[usize], numbers: &[f32]) -> Tensor {
        Tensor::new(shape.to_vec(), Elements::F32(numbers.to_vec())).unwrap()
    }

    #[track_caller]
    fn assert_broken(stable: &ValueView<'_>, candidate: &ValueView<'_>, expected: &str) {
        let broken = match matched(stable, Some(candidate)) {
            Ok(rows) => Poison::of(&rows).broken(&rows).expect("nothing is broken"),
            Err(broken) => broken,
        };
        assert_eq!(format!("{:?}: {}", broken.kind, broken.detail), expected);
    }

    #[test]
    fn another_form_breaks_the_contract() {
        let stable = floats(&[1], &[0.5]);
        let deeper = floats(&[1, 1], &[0.5]);
        let doubled = Tensor::new(vec![1], Elements::F64(vec![0.5])).unwrap();
        let value = |tensor| ValueView::Tensor(Tensor::view(tensor));
        assert_broken(
            &value(&stable),
            &value(&deeper),
            "Shape: stable f32[1], candidate f32[1, 1]",
        );
        assert_broken(&value(&stable), &value(&doubled), "Dtype: stable f32[1], candidate f64[1]");
        let missing = matched(&value(&stable), None).unwrap_err();
        assert_eq!(missing.kind, ContractKind::Missing);
        assert_eq!(missing.detail, "stable f32[1], candidate nothing");
    }

    #[test]
    fn no_number_where_stable_has_one_breaks_the_contract() {
        let stable = floats(&[3, 2], &[1.0, 2.0, f32::NAN, 4.0, f32::INFINITY, 6.0]);
        let value = |tensor| ValueView::Tensor(Tensor::view(tensor));
        let same = floats(&[3, 2], &[1.0, 2.0, f32::INFINITY, 4.0, f32::NAN, 6.0]);
        let rows = matched(&value(&stable), Some(&value(&same))).unwrap();
        assert_eq!(Poison::of(&rows).broken(&rows), None, "stable has no number there");
        let worse = floats(&[3, 2], &[1.0, f32::NAN, 3.0, 4.0, 5.0, f32::NEG_INFINITY]);
        assert_broken(
            &value(&stable),
            &value(&worse),
            "Nan: NaN or infinite where stable has a number: 2 of 6 elements, in 2 of 3 rows",
        );
    }

    #[test]
    fn other_classes_break_the_contract_but_not_another_order() {
        let scores = |classes: &[&str], rows: usize| ClassScores {
            classes: classes.iter().map(|class| (*class).to_owned()).collect(),
            scores: vec![0.5; classes.len() * rows],
            rows,
        };
        let stable = scores(&["a", "b"], 1);
        let turned = scores(&["b", "a"], 1);
        assert!(
            matched(
                &ValueView::ClassScores(stable.view()),
                Some(&ValueView::ClassScores(turned.view()))
            )
            .is_ok()
        );
        for (classes, expected) in [
            (&["a", "c"][..], "Classes: class `b` is gone, class `c` is new"),
            (&["a"], "Classes: class `b` is gone"),
            (&["a", "b", "c"], "Classes: class `c` is new"),
            (&["a", "b", "b"], "Classes: stable 2 classes, candidate 3"),
        ] {
            let other = scores(classes, 1);
            assert_broken(
                &ValueView::ClassScores(stable.view()),
                &ValueView::ClassScores(other.view()),
                expected,
            );
        }
        let longer = scores(&["a", "b"], 2);
        assert_broken(
            &ValueView::ClassScores(stable.view()),
            &ValueView::ClassScores(longer.view()),
            "Shape: stable scores[1, 2], candidate scores[2, 2]",
        );
        let tensor = floats(&[1, 2], &[0.5, 0.5]);
        assert_broken(
            &ValueView::ClassScores(stable.view()),
            &ValueView::Tensor(tensor.view()),
            "Dtype: stable scores[1, 2], candidate f32[1, 2]",
        );
    }

    #[test]
    fn of_each_kind_the_first_is_told_and_the_rest_counted() {
        let violation = |output: &str, detail: &str| ContractViolation {
            kind: ContractKind::Nan,
            output: output.to_owned(),
            detail: detail.to_owned(),
        };
        let (mut violations, mut earlier) = (Violations::default(), Violations::default());
        violations.add(&violation("y", "later"), WallTime(2));
        violations.add(&violation("z", "other"), WallTime(3));
        earlier.add(&violation("y", "first"), WallTime(1));
        violations.merge(&earlier);
        let told: Vec<_> = violations.iter().map(|v| (&*v.output, v.pairs, &*v.detail)).collect();
        assert_eq!(told, [("y", 2, "first"), ("z", 1, "other")]);
    }
}
