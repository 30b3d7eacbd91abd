//! The comparison of a rollout takes no more memory after millions of pairs than after thousands.

use std::time::Duration;

use greenroom::domain::comparison::{
    Arm, Change, Comparison, ComparisonReport, Live, OutputKind, OutputRule, Outputs, Pair, Run,
};
use greenroom::domain::tensor::{ClassScores, Elements, Tensor, ValueView};
use greenroom::domain::time::WallTime;

use crate::support::is_long;

/// How many outputs there are.
const OUTPUTS: usize = 6;

/// How many different answers there are: each may be stable's and the candidate's, so there are millions of pairs.
const ANSWERS: usize = 2048;

/// What it may take written down, with outputs of every kind.
const MOST_BYTES: usize = 400_000;

/// Chance that is the same each time (an LCG by Knuth; its upper bits are good enough to vary inputs).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0
    }

    /// From 0 to 1.
    fn share(&mut self) -> f32 {
        (self.roll() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// Of any size from the smallest to the largest, now and then none.
    fn number(&mut self) -> f32 {
        let number = (self.share() - 0.5) * 10f32.powf((self.share() - 0.5) * 70.0);
        if self.share() < 0.001 { f32::NAN } else { number }
    }

    fn numbers<const N: usize>(&mut self) -> Vec<f32> {
        (0..N).map(|_| self.number()).collect()
    }

    fn chances<const N: usize>(&mut self) -> Vec<f32> {
        let shares: [f32; N] = std::array::from_fn(|_| self.share());
        shares.iter().map(|share| share / shares.iter().sum::<f32>()).collect()
    }
}

/// One answer of a model that has every kind of output, and ever new classes.
struct Answer {
    tensors: Vec<Tensor>,
    scores: ClassScores,
}

impl Answer {
    fn given(dice: &mut Dice) -> Self {
        let floats =
            |shape: &[usize], numbers| Tensor::new(shape.to_vec(), Elements::F32(numbers)).unwrap();
        let label = format!("class {}", dice.roll() >> 34);
        let number = (dice.roll() >> 40) as i64;
        let tensors = vec![
            Tensor::new(vec![1], Elements::String(vec![label])).unwrap(),
            Tensor::new(vec![1], Elements::I64(vec![number])).unwrap(),
            floats(&[1], dice.numbers::<1>()),
            floats(&[1, 4], dice.numbers::<4>()),
            floats(&[2, 3], dice.numbers::<6>()),
        ];
        let classes = ('a'..='j').map(String::from).collect();
        let scores = ClassScores { classes, scores: dice.chances::<10>(), rows: 1 };
        Self { tensors, scores }
    }

    /// The output at one place alone: a pair of one output is looked at six times as fast as one of six.
    fn view(&self, place: usize) -> Vec<Option<ValueView<'_>>> {
        let tensors = self.tensors.iter().map(|tensor| ValueView::Tensor(tensor.view()));
        let views = tensors.chain([ValueView::ClassScores(self.scores.view())]);
        views.enumerate().map(|(at, view)| (at == place).then_some(view)).collect()
    }
}

fn comparison() -> Comparison {
    let kinds: [_; OUTPUTS] = [
        OutputKind::ClassLabel,
        OutputKind::ClassLabel,
        OutputKind::Regression,
        OutputKind::Embedding,
        OutputKind::Numeric,
        OutputKind::ClassProbabilities,
    ];
    let named = kinds.into_iter().zip('a'..);
    let rule = |(kind, name): (_, char)| OutputRule {
        kind: Some(kind),
        ..OutputRule::inferred(name.to_string())
    };
    Comparison::new(named.map(rule).collect(), Change::Retrained)
}

fn observe(comparison: &mut Comparison, number: u64, answers: &[Outputs<'_>], dice: &mut Dice) {
    let place = (dice.roll() >> 32) as usize % OUTPUTS;
    let mut answer = || answers[(dice.roll() >> 32) as usize % ANSWERS * OUTPUTS + place];
    let [stable, candidate, live] = [answer(), answer(), answer()];
    let time = |dice: &mut Dice| Duration::from_nanos(dice.roll() >> (28 + dice.roll() % 24));
    let run = |outputs, dice: &mut Dice| match dice.roll() >> 57 {
        0 => Run::Failed,
        1 => Run::TimedOut,
        2.. => Run::Answered { outputs, time: Some(time(dice)) },
    };
    let pair = Pair {
        number,
        at: WallTime(number),
        stable: run(stable, dice),
        candidate: run(candidate, dice),
        live: Some(Live { outputs: live, by: Arm::Stable }),
        input_bytes: (dice.roll() >> (36 + dice.roll() % 24)) as usize,
    };
    comparison.observe(&pair, dice.roll());
}

fn size(comparison: &Comparison) -> usize {
    serde_json::to_string(comparison).unwrap().len()
}

#[track_caller]
fn assert_bounded(report: &ComparisonReport) {
    assert!(report.slices.len() <= 32 && report.worst.len() <= 50, "{report:?}");
    for output in &report.outputs {
        assert!(output.transitions.len() <= 50 && output.class_share.len() <= 50);
        assert!(output.scatter.len() <= 200 && output.margins.len() <= 10);
        let ecdf = &output.ecdf;
        assert!([&ecdf.abs, &ecdf.noise, &ecdf.cosine].iter().all(|points| points.len() <= 64));
    }
}

#[test]
fn a_comparison_does_not_grow_with_its_pairs() {
    let pairs: u64 = if is_long() { 10_000_000 } else { 40_000 };
    let (mut comparison, mut dice) = (comparison(), Dice(1));
    let answers: Vec<_> = (0..ANSWERS).map(|_| Answer::given(&mut dice)).collect();
    let alone = |answer| (0..OUTPUTS).map(move |place| Answer::view(answer, place));
    let answers: Vec<_> = answers.iter().flat_map(alone).collect();
    let answers: Vec<_> = answers.iter().map(Vec::as_slice).collect();
    let mut sizes = Vec::new();
    for number in 1..=pairs {
        observe(&mut comparison, number, &answers, &mut dice);
        if number % (pairs / 4) == 0 {
            sizes.push(size(&comparison));
        }
    }
    // With twice as many pairs numbers get another digit; what kept pairs would be twice as large.
    let [_, half, .., end] = sizes[..] else { panic!("{sizes:?}") };
    assert!(end <= half + half / 10 && end < MOST_BYTES, "{sizes:?}");
    assert_bounded(&comparison.report());
}
