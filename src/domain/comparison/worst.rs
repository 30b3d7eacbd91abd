//! The worst examples of a rollout, so that somebody can look at what the numbers mean.

use serde::{Deserialize, Serialize};

use super::super::time::WallTime;
use super::pair::{Difference, Metric};

/// How many examples are kept.
const ROOM: usize = 50;

/// The worst examples. Each metric of each output has its share of the room, and what one does not need is
/// left to the others.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub(super) struct Worst {
    groups: Vec<Group>,
}

/// The examples of one metric of one output, the worst first.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
struct Group {
    output: String,
    metric: Metric,
    examples: Vec<Example>,
}

/// One example.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(super) struct Example {
    pub(super) difference: Difference,
    /// The number of the request.
    pub(super) number: u64,
    /// When the pair ran.
    pub(super) at: WallTime,
    /// Whether its inputs were kept.
    pub(super) has_inputs: bool,
}

impl Worst {
    /// Whether a difference would be among the worst: asked before it is put into words.
    pub(super) fn would_take(&self, output: &str, metric: Metric, score: f64) -> bool {
        if self.len() < ROOM {
            return true;
        }
        let largest = self.groups.iter().map(|group| group.examples.len()).max().unwrap_or(0);
        let own = self.place(output, metric).and_then(|place| self.groups.get(place));
        let examples = own.map_or(&[][..], |group| &group.examples);
        let is_worse = examples.last().is_some_and(|least| score > least.difference.score);
        is_worse || examples.len() + 1 < largest
    }

    /// Takes an example. Where there is no room the largest group gives up its least.
    pub(super) fn take(&mut self, example: Example) {
        let Difference { output, metric, score, .. } = &example.difference;
        let place = self.place(output, *metric).unwrap_or_else(|| {
            self.groups.push(Group { output: output.clone(), metric: *metric, examples: vec![] });
            self.groups.len() - 1
        });
        let examples = &mut self.groups[place].examples;
        // Of equals the first one stays in front.
        let rank = examples.partition_point(|other| other.difference.score >= *score);
        examples.insert(rank, example);
        if self.len() > ROOM {
            self.give_up_one(place);
        }
    }

    /// The group that has just grown gives way where it is among the largest.
    fn give_up_one(&mut self, grown: usize) {
        let size = |place: usize| (self.groups[place].examples.len(), place == grown);
        if let Some(place) = (0..self.groups.len()).max_by_key(|place| size(*place)) {
            self.groups[place].examples.pop();
            self.groups.retain(|group| !group.examples.is_empty());
        }
    }

    fn place(&self, output: &str, metric: Metric) -> Option<usize> {
        self.groups.iter().position(|group| group.metric == metric && group.output == output)
    }

    fn len(&self) -> usize {
        self.groups.iter().map(|group| group.examples.len()).sum()
    }

    pub(super) fn merge(&mut self, other: &Self) {
        other.iter().for_each(|example| self.take(example.clone()));
    }

    /// Notes that the inputs of a pair were kept.
    pub(super) fn inputs_kept(&mut self, number: u64) {
        let examples = self.groups.iter_mut().flat_map(|group| &mut group.examples);
        for example in examples.filter(|example| example.number == number) {
            example.has_inputs = true;
        }
    }

    /// Notes that no inputs are there any more.
    pub(super) fn inputs_lost(&mut self) {
        let examples = self.groups.iter_mut().flat_map(|group| &mut group.examples);
        examples.for_each(|example| example.has_inputs = false);
    }

    /// The examples, the worst of each group first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Example> {
        self.groups.iter().flat_map(|group| &group.examples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(output: &str, metric: Metric, score: f64, number: u64) -> Example {
        let (output, stable, candidate) = (output.to_owned(), "1".to_owned(), "2".to_owned());
        let difference = Difference { output, metric, score, rows: 1, stable, candidate };
        Example { difference, number, at: WallTime(number), has_inputs: false }
    }

    fn offer(worst: &mut Worst, output: &str, metric: Metric, scores: impl Iterator<Item = f64>) {
        for (number, score) in scores.enumerate() {
            if worst.would_take(output, metric, score) {
                worst.take(example(output, metric, score, number as u64));
            }
        }
    }

    fn scores(worst: &Worst, output: &str) -> Vec<f64> {
        let of_output = worst.iter().filter(|example| example.difference.output == output);
        of_output.map(|example| example.difference.score).collect()
    }

    #[test]
    fn one_group_has_all_the_room_and_others_take_their_share() {
        let mut worst = Worst::default();
        offer(&mut worst, "y", Metric::Abs, (0..1000).map(f64::from));
        let expected: Vec<f64> = (950..1000).rev().map(f64::from).collect();
        assert_eq!(scores(&worst, "y"), expected);
        offer(&mut worst, "label", Metric::Flip, [1.0, 1.0, 1.0].into_iter());
        assert_eq!((scores(&worst, "y").len(), scores(&worst, "label").len()), (47, 3));
        offer(&mut worst, "z", Metric::Abs, (0..100).map(f64::from));
        offer(&mut worst, "y", Metric::Abs, (0..2000).map(f64::from));
        let sizes = ["y", "label", "z"].map(|output| scores(&worst, output).len());
        assert_eq!(sizes, [24, 3, 23]);
        assert_eq!(scores(&worst, "y")[0], 1999.0);
        assert_eq!(scores(&worst, "z")[0], 99.0);
    }

    #[test]
    fn what_is_no_worse_is_refused_before_it_is_put_into_words() {
        let mut worst = Worst::default();
        offer(&mut worst, "label", Metric::Flip, std::iter::repeat_n(1.0, 50));
        assert!(!worst.would_take("label", Metric::Flip, 1.0));
        assert!(worst.would_take("label", Metric::Flip, 1.1));
        assert!(worst.would_take("label", Metric::Nan, 0.0));
    }

    #[test]
    fn the_worst_of_two_parts_are_the_worst_of_all() {
        let all: Vec<f64> = (0..400).map(|number| f64::from(number * 7919 % 401)).collect();
        let [mut front, mut back, mut whole] = [const { Worst { groups: Vec::new() } }; 3];
        offer(&mut whole, "y", Metric::Abs, all.iter().copied());
        offer(&mut front, "y", Metric::Abs, all[..150].iter().copied());
        offer(&mut back, "y", Metric::Abs, all[150..].iter().copied());
        front.merge(&back);
        assert_eq!(scores(&front, "y"), scores(&whole, "y"));
    }

    #[test]
    fn more_groups_than_room_do_not_grow_it() {
        let mut worst = Worst::default();
        for output in 0..100 {
            worst.take(example(&output.to_string(), Metric::Abs, 1.0, output));
        }
        assert_eq!(worst.iter().count(), ROOM);
    }

    #[test]
    fn inputs_are_noted_for_every_example_of_a_pair() {
        let mut worst = Worst::default();
        offer(&mut worst, "y", Metric::Abs, [1.0, 2.0].into_iter());
        offer(&mut worst, "z", Metric::Abs, [1.0].into_iter());
        worst.inputs_kept(0);
        let with_inputs = worst.iter().filter(|example| example.has_inputs);
        assert_eq!(with_inputs.map(|example| example.number).collect::<Vec<_>>(), [0, 0]);
    }
}
