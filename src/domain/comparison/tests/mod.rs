//! Whole comparisons, from pairs to the report.

mod kinds;
mod properties;
mod report;
mod stories;

use std::time::Duration;

use super::super::tensor::{ClassScores, Elements, Tensor, ValueView};
use super::super::time::WallTime;
use super::*;

/// An output, owned.
#[derive(Clone, Debug)]
enum Value {
    Tensor(Tensor),
    Scores(ClassScores),
    Missing,
}

impl Value {
    fn view(&self) -> Option<ValueView<'_>> {
        match self {
            Self::Tensor(tensor) => Some(ValueView::Tensor(tensor.view())),
            Self::Scores(scores) => Some(ValueView::ClassScores(scores.view())),
            Self::Missing => None,
        }
    }
}

fn tensor(shape: &[usize], elements: Elements) -> Value {
    Value::Tensor(Tensor::new(shape.to_vec(), elements).unwrap())
}

/// `[N, K]` floats.
fn matrix<const K: usize>(rows: &[[f32; K]]) -> Value {
    tensor(&[rows.len(), K], Elements::F32(rows.as_flattened().to_vec()))
}

/// `[N]` floats.
fn numbers(numbers: &[f32]) -> Value {
    tensor(&[numbers.len()], Elements::F32(numbers.to_vec()))
}

/// `[N]` class names.
fn labels(labels: &[&str]) -> Value {
    let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
    tensor(&[labels.len()], Elements::String(labels))
}

/// A comparison in the making, with the number of the next pair.
struct Given {
    comparison: Comparison,
    pairs: u64,
}

impl Given {
    /// Outputs with these names, of which nothing was said.
    fn outputs(names: &[&str], change: Change) -> Self {
        Self::rules(names.iter().map(|name| OutputRule::inferred(*name)).collect(), change)
    }

    fn rules(rules: Vec<OutputRule>, change: Change) -> Self {
        Self { comparison: Comparison::new(rules, change), pairs: 0 }
    }

    fn pair(&mut self, stable: &[Value], candidate: &[Value]) -> Observed {
        self.pair_of(Some(stable), Some(candidate), None)
    }

    /// A pair whose live answer is known, and who gave it.
    fn live_pair(
        &mut self,
        stable: &[Value],
        candidate: &[Value],
        live: (&[Value], Arm),
    ) -> Observed {
        self.pair_of(Some(stable), Some(candidate), Some(live))
    }

    /// A pair; a run without outputs failed.
    fn pair_of(
        &mut self,
        stable: Option<&[Value]>,
        candidate: Option<&[Value]>,
        live: Option<(&[Value], Arm)>,
    ) -> Observed {
        self.pairs += 1;
        observe(&mut self.comparison, self.pairs, stable, candidate, live)
    }

    fn report(&self) -> ComparisonReport {
        self.comparison.report()
    }

    /// How a slice went: pairs, rate, and whether it is flagged.
    #[track_caller]
    fn slice(&self, key: &str) -> (u64, f64, bool) {
        let slices = self.report().slices;
        let slice = slices.iter().find(|slice| slice.key == key);
        let slice = slice.unwrap_or_else(|| panic!("no slice {key} among {slices:?}"));
        (slice.pairs, slice.rate, slice.flagged)
    }
}

fn observe(
    comparison: &mut Comparison,
    number: u64,
    stable: Option<&[Value]>,
    candidate: Option<&[Value]>,
    live: Option<(&[Value], Arm)>,
) -> Observed {
    let (stable, candidate) = (stable.map(views), candidate.map(views));
    let live = live.map(|(values, by)| (views(values), by));
    let pair = Pair {
        number,
        at: WallTime(1_790_000_000_000 + number),
        stable: run(&stable, 10),
        candidate: run(&candidate, 11),
        live: live.as_ref().map(|(outputs, by)| Live { outputs, by: *by }),
        input_bytes: 16,
    };
    comparison.observe(&pair, number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn views(values: &[Value]) -> Vec<Option<ValueView<'_>>> {
    values.iter().map(Value::view).collect()
}

fn run<'a>(outputs: &'a Option<Vec<Option<ValueView<'a>>>>, milliseconds: u64) -> Run<'a> {
    let time = Duration::from_millis(milliseconds);
    outputs.as_ref().map_or(Run::Failed, |outputs| Run::Answered { outputs, time: Some(time) })
}

/// X of each output.
fn differs(observed: &Observed) -> Vec<f64> {
    observed.outputs.iter().map(|outcome| outcome.differs).collect()
}

fn judged(observed: &Observed) -> Vec<bool> {
    observed.outputs.iter().map(|outcome| outcome.judged).collect()
}
