//! How much numbers vary from request to request: the measure of a difference where nobody gave one.

use serde::{Deserialize, Serialize};

use super::pair::Arm;
use super::rows::Rows;
use super::sketch::Moments;

/// How many pairs are learned from.
const PAIRS: u64 = 200;

/// What counts as equal, in standard deviations of stable's answers.
const SHARE: f64 = 0.25;

/// How many columns are told apart; those that follow share the last one.
const COLUMNS: usize = 64;

/// The spread of stable's answers, learned from the first pairs and then frozen, so that the measure does not depend on
/// what it measures.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Scale {
    /// Not enough pairs yet.
    Learning {
        /// How many there were.
        pairs: u64,
        /// Stable's answers, by column.
        columns: Vec<Moments>,
    },
    /// What counts as equal, by column.
    Frozen(Vec<f64>),
}

impl Default for Scale {
    fn default() -> Self {
        Self::Learning { pairs: 0, columns: Vec::new() }
    }
}

impl Scale {
    /// Learns from stable's answers of one pair, where it still does.
    pub(super) fn learn(&mut self, rows: &Rows<'_>) {
        let Self::Learning { pairs, columns } = self else { return };
        *pairs += 1;
        columns.resize(columns.len().max(rows.columns().min(COLUMNS)), Moments::default());
        for row in 0..rows.count() {
            let numbers = rows.numbers(Arm::Stable, row, rows.columns());
            for (column, number) in numbers.into_iter().enumerate().filter(|(_, n)| n.is_finite()) {
                if let Some(moments) = columns.get_mut(column.min(COLUMNS - 1)) {
                    moments.add(number);
                }
            }
        }
        self.freeze_if_known();
    }

    fn freeze_if_known(&mut self) {
        if let Self::Learning { pairs, columns } = self
            && *pairs >= PAIRS
        {
            let spread = |column: &Moments| SHARE * column.deviation().unwrap_or(0.0);
            *self = Self::Frozen(columns.iter().map(spread).collect());
        }
    }

    /// What counts as equal, by column, once that is known.
    pub(super) fn frozen(&self) -> Option<&[f64]> {
        match self {
            Self::Learning { .. } => None,
            Self::Frozen(scale) => Some(scale),
        }
    }

    /// What both have learned; of two that are frozen this one stays.
    pub(super) fn merge(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::Frozen(_), Self::Frozen(_) | Self::Learning { .. }) => {}
            (Self::Learning { .. }, Self::Frozen(_)) => *self = other.clone(),
            (
                Self::Learning { pairs, columns },
                Self::Learning { pairs: more, columns: others },
            ) => {
                *pairs += more;
                columns.resize(columns.len().max(others.len()), Moments::default());
                columns.iter_mut().zip(others).for_each(|(ours, theirs)| ours.merge(theirs));
                self.freeze_if_known();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tensor::{Elements, Tensor};
    use super::*;

    fn learned(numbers: impl Iterator<Item = f32>) -> Scale {
        let mut scale = Scale::default();
        for number in numbers {
            let tensor = Tensor::new(vec![1, 2], Elements::F32(vec![number, 7.0])).unwrap();
            scale.learn(&Rows::of_tensors(tensor.view(), tensor.view()).unwrap());
        }
        scale
    }

    #[test]
    fn a_quarter_of_the_deviation_is_frozen_after_two_hundred_pairs() {
        let alternating = |pairs: u16| (0..pairs).map(|pair| if pair % 2 == 0 { 1.0 } else { 3.0 });
        assert_eq!(learned(alternating(199)).frozen(), None);
        let scale = learned(alternating(200));
        let [varying, constant] = *scale.frozen().unwrap() else { panic!() };
        assert!((varying - 0.25 * (200.0f64 / 199.0).sqrt()).abs() < 1e-12);
        assert_eq!(constant, 0.0);
        assert_eq!(learned(alternating(200).chain([1e6, 1e9])), scale, "nothing is learned after");
    }

    #[test]
    fn two_that_learn_know_enough_together() {
        let mut scale = learned((0..120u16).map(f32::from));
        scale.merge(&learned((120..200u16).map(f32::from)));
        let whole = learned((0..200u16).map(f32::from));
        let (merged, whole) = (scale.frozen().unwrap(), whole.frozen().unwrap());
        assert!((merged[0] / whole[0] - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_number_that_is_none_teaches_nothing() {
        let scale = learned((0..200u16).map(|pair| if pair < 100 { f32::NAN } else { 2.0 }));
        assert_eq!(scale.frozen(), Some(&[0.0, 0.0][..]));
    }
}
