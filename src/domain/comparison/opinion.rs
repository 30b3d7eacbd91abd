//! What one version says about the class of a row: how likely it holds each of them.

use super::classes::ClassRef;
use super::kind::are_chances;
use super::rows::Rows;

/// How much a sum may be off one before the numbers are taken for something else than probabilities.
const OFF_ONE: f64 = 0.05;

/// How many classes are on the list of the most likely.
pub(super) const TOP: usize = 5;

/// What one side says in one row.
pub(super) struct Opinion<'v> {
    pub(super) chances: &'v [f64],
    class: usize,
    /// The probability of the most likely class.
    pub(super) first: f64,
    second: f64,
}

/// The class of an opinion; a row with NaN has none, and is of a class of its own.
pub(super) fn class(opinion: Option<&Opinion<'_>>) -> ClassRef<'static> {
    opinion.map_or(ClassRef::Name("NaN"), |opinion| ClassRef::Number(opinion.class as i64))
}

impl<'v> Opinion<'v> {
    /// Of equals the first one is chosen. `None` with NaN among the numbers.
    fn of(chances: &'v [f64]) -> Option<Self> {
        let (mut class, mut first, mut second) = (0, f64::NEG_INFINITY, f64::NEG_INFINITY);
        for (place, &chance) in chances.iter().enumerate() {
            if chance.is_nan() {
                return None;
            }
            if chance > first {
                (class, second, first) = (place, first, chance);
            } else if chance > second {
                second = chance;
            }
        }
        first.is_finite().then_some(Self { chances, class, first, second })
    }

    /// How far the first class is ahead of the second.
    pub(super) fn lead(&self) -> f64 {
        (self.first - self.second).clamp(0.0, 1.0)
    }
}

/// Where the numbers of a row are put, once for all rows of a pair.
#[derive(Default)]
pub(super) struct Room {
    sides: [Vec<f64>; 2],
}

impl Room {
    /// What both sides say in a row. Where stable's numbers are no probabilities they are taken for their logarithms,
    /// give or take a constant, and so are the candidate's. A single number is the probability of the second of two
    /// classes.
    pub(super) fn opinions(&mut self, rows: &Rows<'_>, row: usize) -> [Option<Opinion<'_>>; 2] {
        rows.read(row, &mut self.sides);
        if rows.columns() == 1 {
            let first = |side: &[f64]| side.first().map_or(0.0, |second| 1.0 - second);
            self.sides.iter_mut().for_each(|side| side.insert(0, first(side)));
        }
        if !are_chances(&self.sides[0], OFF_ONE) {
            self.sides.iter_mut().for_each(|side| normalise(side));
        }
        let [stable, candidate] = &self.sides;
        [Opinion::of(stable), Opinion::of(candidate)]
    }
}

/// Makes probabilities of their logarithms (softmax).
fn normalise(logits: &mut [f64]) {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    logits.iter_mut().for_each(|logit| *logit = (*logit - largest).exp());
    let sum: f64 = logits.iter().sum();
    logits.iter_mut().for_each(|chance| *chance /= sum);
}

/// The Jensen-Shannon divergence in bits: 0 of the same, 1 of those that have nothing in common. NaN, which the sketch
/// leaves out, where there is nothing but zeros.
pub(super) fn divergence(a: &[f64], b: &[f64]) -> f64 {
    let sum = |chances: &[f64]| chances.iter().map(|chance| chance.max(0.0)).sum::<f64>();
    let (sum_a, sum_b) = (sum(a), sum(b));
    let part = |chance: f64, middle: f64| {
        if chance > 0.0 { chance * (chance / middle).log2() } else { 0.0 }
    };
    let bits = a.iter().zip(b).map(|(a, b)| {
        let (a, b) = (a.max(0.0) / sum_a, b.max(0.0) / sum_b);
        let middle = (a + b) / 2.0;
        (part(a, middle) + part(b, middle)) / 2.0
    });
    bits.sum::<f64>().clamp(0.0, 1.0)
}

/// The places of the largest numbers, of which there are more than five; of equals the first ones.
pub(super) fn most_likely(chances: &[f64]) -> [usize; TOP] {
    let mut top = [(f64::NEG_INFINITY, usize::MAX); TOP];
    for (place, &chance) in chances.iter().enumerate() {
        if chance > top[TOP - 1].0 {
            let rank = top.iter().position(|(other, _)| chance > *other).unwrap_or(TOP - 1);
            top[rank..].rotate_right(1);
            top[rank] = (chance, place);
        }
    }
    top.map(|(_, place)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_equals_the_first_is_chosen() {
        let opinion = Opinion::of(&[0.2, 0.4, 0.4]).unwrap();
        assert_eq!((opinion.class, opinion.lead()), (1, 0.0));
        assert!(Opinion::of(&[0.2, f64::NAN]).is_none());
        assert!(Opinion::of(&[]).is_none());
        assert_eq!(class(None), ClassRef::Name("NaN"));
    }

    #[test]
    fn the_most_likely_are_listed_in_order() {
        assert_eq!(most_likely(&[0.3, 0.2, 0.15, 0.1, 0.1, 0.08, 0.07]), [0, 1, 2, 3, 4]);
        assert_eq!(most_likely(&[0.1, 0.08, 0.07, 0.1, 0.15, 0.2, 0.3]), [6, 5, 4, 0, 3]);
    }

    #[test]
    fn logits_become_probabilities() {
        let mut logits = [900.0, 900.0 + 3f64.ln()];
        normalise(&mut logits);
        assert!((logits[1] - 0.75).abs() < 1e-12, "{logits:?}");
    }

    #[test]
    fn divergence_is_in_bits() {
        assert_eq!(divergence(&[1.0, 0.0], &[0.0, 1.0]), 1.0);
        assert_eq!(divergence(&[0.5, 0.5], &[0.5, 0.5]), 0.0);
        // ½ (½ log2(½ / ¾) + ½ log2(½ / ¼)) + ½ log2(1 / ¾) = 0.311278.
        let bits = divergence(&[0.5, 0.5], &[1.0, 0.0]);
        assert!((bits - 0.311_278).abs() < 1e-6, "{bits}");
    }
}
