//! Outputs that name a class.

use serde::{Deserialize, Serialize};

use super::classes::{ClassNames, ClassRef, ClassTable};
use super::outcome::{Outlier, RowsSeen};
use super::pair::{Arm, Metric};
use super::report::{ClassShare, Metrics, Share, TransitionReport};
use super::rows::Rows;
use super::transitions::Transitions;

/// How many cells of the transitions, and how many classes, are told.
const TOLD: usize = 50;

/// Classes that were chosen, row by row.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub(super) struct Choices {
    rows: u64,
    flips: u64,
    table: ClassTable,
    transitions: Transitions,
}

impl Choices {
    /// Counts one row.
    pub(super) fn add(&mut self, stable: ClassRef<'_>, candidate: ClassRef<'_>) {
        let differs = stable != candidate;
        self.rows += 1;
        self.flips += u64::from(differs);
        self.table.add(stable, candidate, differs);
        if differs {
            self.transitions.add(stable, candidate);
        }
    }

    /// Counts the rows of an output that names classes.
    pub(super) fn add_labels<'a>(&mut self, rows: &Rows<'a>) -> RowsSeen<'a> {
        let mut seen = RowsSeen::with_room_for(rows.count());
        for row in 0..rows.count() {
            let [stable, candidate] = labels(rows, row);
            self.add(stable, candidate);
            seen.add(f64::from(u8::from(stable != candidate)));
            seen.classes.push(stable);
            if stable != candidate {
                seen.offer(Outlier { metric: Metric::Flip, score: 1.0, row });
            }
        }
        seen
    }

    /// The classes by stable's choice, to look at each on its own.
    pub(super) fn table(&self) -> &ClassTable {
        &self.table
    }

    pub(super) fn table_mut(&mut self) -> &mut ClassTable {
        &mut self.table
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        self.flips += other.flips;
        self.table.merge(&other.table);
        self.transitions.merge(&other.transitions);
    }

    pub(super) fn report(&self) -> Metrics {
        Metrics { flips: Share::of(self.rows, self.flips), ..Metrics::default() }
    }

    /// Which classes became which: first of all those that changed, with room for at least half as many that stayed.
    pub(super) fn transitions(&self, names: &ClassNames) -> Vec<TransitionReport> {
        let cell = |from, to, k| TransitionReport { from: names.name(from), to: names.name(to), k };
        let stayed = self.table.by_count().into_iter().filter(|counts| counts.agreed > 0);
        let stayed: Vec<_> = stayed
            .map(|counts| cell(counts.class.as_ref(), counts.class.as_ref(), counts.agreed))
            .collect();
        let room = TOLD - stayed.len().min(TOLD / 2);
        let moved = self.transitions.by_count().into_iter().take(room);
        let mut cells: Vec<_> =
            moved.map(|(from, to, k)| cell(from.as_ref(), to.as_ref(), k)).collect();
        let room = TOLD - cells.len();
        cells.extend(stayed.into_iter().take(room));
        cells.sort_by_key(|cell| std::cmp::Reverse(cell.k));
        cells
    }

    /// How often each class was chosen.
    pub(super) fn shares(&self, names: &ClassNames) -> Vec<ClassShare> {
        let share = |count: u64| count as f64 / self.rows.max(1) as f64;
        let classes = self.table.by_count().into_iter().take(TOLD);
        classes
            .map(|counts| ClassShare {
                class: names.name(counts.class.as_ref()),
                stable: share(counts.stable),
                candidate: share(counts.candidate),
            })
            .collect()
    }
}

/// The labels of one row, stable's and the candidate's. A label that is a float means the nearest whole number.
fn labels<'a>(rows: &Rows<'a>, row: usize) -> [ClassRef<'a>; 2] {
    let truth = |label: bool| ClassRef::Name(if label { "true" } else { "false" });
    let nearest = |label: f64| match label.is_nan() {
        true => ClassRef::Name("NaN"),
        false => ClassRef::Number(label.round() as i64),
    };
    macro_rules! labels {
        ($sides:ident, |$label:ident| $class:expr) => {
            [&$sides[0], &$sides[1]].map(|side| {
                let $label = side[(row, 0)];
                $class
            })
        };
    }
    match rows {
        Rows::Bool(sides) => labels!(sides, |label| truth(label)),
        Rows::U8(sides) => labels!(sides, |label| ClassRef::Number(label.into())),
        Rows::U16(sides) => labels!(sides, |label| ClassRef::Number(label.into())),
        Rows::U32(sides) => labels!(sides, |label| ClassRef::Number(label.into())),
        Rows::U64(sides) => labels!(sides, |label| ClassRef::Number(label as i64)),
        Rows::I8(sides) => labels!(sides, |label| ClassRef::Number(label.into())),
        Rows::I16(sides) => labels!(sides, |label| ClassRef::Number(label.into())),
        Rows::I32(sides) => labels!(sides, |label| ClassRef::Number(label.into())),
        Rows::I64(sides) => labels!(sides, |label| ClassRef::Number(label)),
        Rows::F16(sides) => labels!(sides, |label| nearest(label.into())),
        Rows::BF16(sides) => labels!(sides, |label| nearest(label.into())),
        Rows::F32(sides) => labels!(sides, |label| nearest(label.into())),
        Rows::F64(sides) => labels!(sides, |label| nearest(label)),
        Rows::Text { elements, columns, .. } => {
            elements.map(|side| ClassRef::Name(&side[row * columns]))
        }
    }
}

/// The class of one side in one row, by name.
pub(super) fn shown(rows: &Rows<'_>, side: Arm, row: usize, names: &ClassNames) -> String {
    let [stable, candidate] = labels(rows, row);
    names.name(match side {
        Arm::Stable => stable,
        Arm::Candidate => candidate,
    })
}

/// The share of rows with another label.
pub(super) fn disagreement(rows: &Rows<'_>) -> f64 {
    let flips = (0..rows.count()).filter(|&row| {
        let [a, b] = labels(rows, row);
        a != b
    });
    flips.count() as f64 / rows.count().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::super::super::tensor::{Elements, Tensor};
    use super::*;

    fn observed(stable: Elements, candidate: Elements) -> (Choices, Vec<f64>, f64) {
        let tensor = |elements: Elements| Tensor::new(vec![elements.len()], elements).unwrap();
        let (stable, candidate) = (tensor(stable), tensor(candidate));
        let rows = Rows::of_tensors(stable.view(), candidate.view()).unwrap();
        let mut choices = Choices::default();
        let seen = choices.add_labels(&rows);
        (choices, seen.differ, disagreement(&rows))
    }

    #[test]
    fn another_label_is_a_flip() {
        let text = |labels: &[&str]| {
            Elements::String(labels.iter().map(|label| (*label).to_owned()).collect())
        };
        let (choices, differ, share) = observed(text(&["a", "b", "b"]), text(&["a", "a", "b"]));
        assert_eq!(choices.report().flips, Share::of(3, 1));
        assert_eq!(differ, [0.0, 1.0, 0.0]);
        assert_eq!(share, 1.0 / 3.0);
        let cells = choices.transitions(&ClassNames::default());
        let told: Vec<_> = cells.iter().map(|c| (&*c.from, &*c.to, c.k)).collect();
        assert_eq!(told, [("b", "a", 1), ("b", "b", 1), ("a", "a", 1)]);
        let shares = choices.shares(&ClassNames::default());
        let shares: Vec<_> = shares.iter().map(|s| (&*s.class, s.stable, s.candidate)).collect();
        assert_eq!(shares, [("b", 2.0 / 3.0, 1.0 / 3.0), ("a", 1.0 / 3.0, 2.0 / 3.0)]);
    }

    #[test]
    fn labels_may_be_of_any_type() {
        for (stable, candidate) in [
            (Elements::Bool(vec![true]), Elements::Bool(vec![false])),
            (Elements::I32(vec![-1]), Elements::I32(vec![1])),
            (Elements::I64(vec![i64::MAX]), Elements::I64(vec![i64::MAX - 1])),
            (Elements::F32(vec![f32::NAN]), Elements::F32(vec![0.0])),
            (Elements::F64(vec![1.0]), Elements::F64(vec![2.0])),
        ] {
            assert_eq!(observed(stable.clone(), candidate).1, [1.0], "{stable:?}");
            assert_eq!(observed(stable.clone(), stable.clone()).1, [0.0], "{stable:?}");
        }
        let nearly = observed(Elements::F32(vec![1.0]), Elements::F32(vec![1.000_001]));
        assert_eq!(nearly.1, [0.0]);
    }

    #[test]
    fn of_many_transitions_those_that_moved_have_half_the_room() {
        let mut choices = Choices::default();
        for class in 0..100 {
            let class = ClassRef::Number(class);
            (0..9).for_each(|_| choices.add(class, class));
            choices.add(class, ClassRef::Number(0));
        }
        let cells = choices.transitions(&ClassNames::default());
        assert_eq!(cells.len(), TOLD);
        assert_eq!(cells.iter().filter(|cell| cell.from != cell.to).count(), 25);
    }
}
