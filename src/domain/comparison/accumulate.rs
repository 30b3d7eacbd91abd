//! The comparison of a rollout: pairs go in, a report comes out.

use serde::{Deserialize, Serialize};

use super::chance::Chance;
use super::classes::ClassCounts;
use super::contract::Violations;
use super::latency::Latency;
use super::noise::{Noise, SelfDifference};
use super::outcome::Outlier;
use super::output::{Answers, OutputComparison, Shown};
use super::pair::{Arm, ContractViolation, Difference, Observed, Outputs, Pair};
use super::report::{ComparisonReport, ContractReport, ErrorCounts, SliceReport, WorstReport};
use super::rule::{Change, OutputRule};
use super::slices::{Slice, Slices, flagged, log_evidence};
use super::worst::{Example, Worst};

/// How many slices are told.
const SLICES: usize = 32;

/// What the pairs of a rollout have shown about the outputs of a candidate.
///
/// It takes a bounded amount of memory, however many pairs it sees. Written down and read back it goes on as if nothing
/// had happened, and two of the same rollout merge into what one would have seen.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Comparison {
    change: Change,
    /// The share of pairs that may differ, in each slice.
    tolerated: f64,
    outputs: Vec<OutputComparison>,
    noise: Noise,
    latency: Latency,
    errors: ErrorCounts,
    contract: Violations,
    slices: Slices,
    worst: Worst,
}

impl Comparison {
    /// Begins the comparison of the outputs that these rules are for.
    pub fn new(rules: Vec<OutputRule>, change: Change) -> Self {
        Self {
            change,
            tolerated: change.tolerated(),
            outputs: rules.into_iter().map(OutputComparison::new).collect(),
            noise: Noise::default(),
            latency: Latency::default(),
            errors: ErrorCounts::default(),
            contract: Violations::default(),
            slices: Slices::default(),
            worst: Worst::default(),
        }
    }

    /// The same, with another share of pairs that may differ before a slice is flagged (by default 0.5 % of an
    /// equivalent model's, else 10 %).
    #[must_use]
    pub fn tolerating(mut self, share: f64) -> Self {
        self.tolerated = share.clamp(1e-6, 0.9);
        self
    }

    /// Takes note of a pair and says what it showed. `chance` is a random number: it decides what becomes part of
    /// samples, and nothing else.
    pub fn observe(&mut self, pair: &Pair<'_>, chance: u64) -> Observed {
        let Some([stable, candidate]) = self.count_runs(pair) else {
            return Observed::default();
        };
        let mut chance = Chance::new(chance);
        let live = pair.live.map(|live| match live.by {
            Arm::Stable => [live.outputs, stable],
            Arm::Candidate => [live.outputs, candidate],
        });
        let outputs = self.outputs.iter_mut().enumerate();
        let shown: Vec<Shown<'_>> = outputs
            .map(|(place, output)| {
                let Some(answers) = answers(place, stable, candidate, live) else {
                    return Shown::of_nothing();
                };
                output.observe(&answers, self.change, &mut chance)
            })
            .collect();
        self.add_noise(&shown);
        self.add_to_slices(pair, &shown);
        let contract = self.add_violations(pair, &shown);
        let agrees = |shown: &Shown<'_>| shown.broken.is_none() && shown.seen.beyond == 0;
        Observed {
            agreed: shown.iter().filter(|shown| shown.is_telling).all(agrees)
                && contract.is_empty(),
            outputs: shown.iter().map(|shown| shown.outcome).collect(),
            beyond_tolerance: self.add_to_worst(pair, &shown),
            contract,
        }
    }

    /// Counts failures and times, and gives the outputs if both runs answered.
    fn count_runs<'a>(&mut self, pair: &Pair<'a>) -> Option<[Outputs<'a>; 2]> {
        self.errors.add(&pair.stable, &pair.candidate);
        let (stable, stable_time) = pair.stable.answer()?;
        let (candidate, candidate_time) = pair.candidate.answer()?;
        if let (Some(stable), Some(candidate)) = (stable_time, candidate_time) {
            self.latency.add(stable, candidate);
        }
        Some([stable, candidate])
    }

    fn add_noise(&mut self, shown: &[Shown<'_>]) {
        let noise = shown.iter().filter_map(|shown| shown.noise);
        if let Some(noise) = noise.reduce(SelfDifference::or_larger) {
            self.noise.add(&noise);
        }
    }

    /// A slice is about whole answers: of each row the output counts that differs most.
    fn add_to_slices(&mut self, pair: &Pair<'_>, shown: &[Shown<'_>]) {
        let telling = shown.iter().filter(|shown| shown.is_telling);
        if let Some(differs) = telling.map(|shown| shown.outcome.differs).reduce(f64::max) {
            let rows = shown.iter().map(|shown| shown.seen.differ.len()).max().unwrap_or(0);
            self.slices.add(pair.input_bytes, rows, differs);
            for (output, seen) in self.outputs.iter_mut().zip(shown.iter().map(|s| &s.seen)) {
                if !seen.classes.is_empty() {
                    output.add_to_classes(&seen.classes, &differ_by_row(shown, seen.classes.len()));
                }
            }
        }
    }

    fn add_violations(&mut self, pair: &Pair<'_>, shown: &[Shown<'_>]) -> Vec<ContractViolation> {
        let outputs = self.outputs.iter().zip(shown);
        let broken = outputs.filter_map(|(output, shown)| Some((output, shown.broken.as_ref()?)));
        let violations: Vec<_> = broken
            .map(|(output, broken)| ContractViolation {
                kind: broken.kind,
                output: output.name().to_owned(),
                detail: broken.detail.clone(),
            })
            .collect();
        violations.iter().for_each(|violation| self.contract.add(violation, pair.at));
        violations
    }

    fn add_to_worst(&mut self, pair: &Pair<'_>, shown: &[Shown<'_>]) -> Vec<Difference> {
        let mut taken = Vec::new();
        for (output, shown) in self.outputs.iter().zip(shown) {
            for outlier in &shown.outliers {
                if !self.worst.would_take(output.name(), outlier.metric, outlier.score) {
                    continue;
                }
                let difference = in_words(output, shown, outlier);
                let Pair { number, at, .. } = *pair;
                let (own, has_inputs) = (difference.clone(), false);
                self.worst.take(Example { difference: own, number, at, has_inputs });
                taken.push(difference);
            }
        }
        taken
    }

    /// Outputs that are shown and never judged, as far as that is known.
    pub fn only_shown(&self) -> impl Iterator<Item = &str> {
        let is_shown = |output: &&OutputComparison| output.is_telling(self.change) == Some(false);
        self.outputs.iter().filter(is_shown).map(OutputComparison::name)
    }

    /// Whether another comparison is of the same outputs by the same rules.
    pub fn is_of_same_outputs(&self, other: &Self) -> bool {
        let rules = |comparison: &Self| {
            comparison.outputs.iter().map(|output| output.rule().clone()).collect::<Vec<_>>()
        };
        self.change == other.change && rules(self) == rules(other)
    }

    /// The numbers of the requests that are among the worst examples. Inputs of others need not be kept any longer.
    pub fn worst_requests(&self) -> impl Iterator<Item = u64> {
        self.worst.iter().map(|example| example.number)
    }

    /// Notes that the inputs of a request were kept, so that the report offers them.
    pub fn inputs_kept(&mut self, number: u64) {
        self.worst.inputs_kept(number);
    }

    /// Notes that no inputs are there any more, after a restart say.
    pub fn inputs_lost(&mut self) {
        self.worst.inputs_lost();
    }

    /// Adds what another comparison of the same rollout has seen. `chance` is a random number.
    pub fn merge(&mut self, other: &Self, chance: u64) {
        let mut chance = Chance::new(chance);
        for (ours, theirs) in self.outputs.iter_mut().zip(&other.outputs) {
            ours.merge(theirs, &mut chance);
        }
        self.noise.merge(&other.noise);
        self.latency.merge(&other.latency);
        self.errors.merge(other.errors);
        self.contract.merge(&other.contract);
        self.slices.merge(&other.slices);
        self.worst.merge(&other.worst);
    }

    /// All that there is to tell.
    pub fn report(&self) -> ComparisonReport {
        ComparisonReport {
            noise: self.noise.report(),
            outputs: self.outputs.iter().map(OutputComparison::report).collect(),
            latency: self.latency.report(),
            errors: self.errors,
            contract: self.contract_report(),
            slices: self.slice_report(),
            worst: self.worst_report(),
        }
    }

    fn contract_report(&self) -> Vec<ContractReport> {
        let violations = self.contract.iter().map(|violation| ContractReport {
            kind: violation.kind,
            output: violation.output.clone(),
            pairs: violation.pairs,
            first: violation.first.to_string(),
            detail: violation.detail.clone(),
        });
        violations.collect()
    }

    /// The slices with most evidence. All that are counted are weighed against each other, told or not.
    fn slice_report(&self) -> Vec<SliceReport> {
        let by_class = self.outputs.iter().filter_map(|output| Some((output, output.classes()?)));
        let by_class = by_class.flat_map(|(output, (table, names))| {
            table.iter().map(move |counts| {
                let class = names.name(counts.class.as_ref());
                (format!("output:{}={class}", output.name()), slice_of(counts))
            })
        });
        let by_input = self.slices.iter().map(|(key, slice)| (key.to_owned(), slice));
        let mut slices: Vec<_> = by_class
            .chain(by_input)
            .filter(|(_, slice)| slice.pairs > 0)
            .map(|(key, slice)| (key, slice, log_evidence(slice, self.tolerated)))
            .collect();
        slices.sort_by(|(_, _, a), (_, _, b)| b.total_cmp(a));
        let evidence: Vec<f64> = slices.iter().map(|(_, _, evidence)| *evidence).collect();
        let flagged = flagged(&evidence);
        let told = slices.into_iter().take(SLICES).enumerate();
        told.map(|(rank, (key, slice, log_evidence))| SliceReport {
            key,
            pairs: slice.pairs,
            rate: slice.rate(),
            log_evidence,
            flagged: rank < flagged,
        })
        .collect()
    }

    fn worst_report(&self) -> Vec<WorstReport> {
        let examples = self.worst.iter().map(|example| WorstReport {
            id: format!("s-{:06}", example.number),
            output: example.difference.output.clone(),
            metric: example.difference.metric,
            score: example.difference.score,
            at: example.at.to_string(),
            request_number: example.number,
            stable: example.difference.stable.clone(),
            candidate: example.difference.candidate.clone(),
            has_inputs: example.has_inputs,
        });
        examples.collect()
    }
}

fn slice_of(counts: &ClassCounts) -> Slice {
    Slice { pairs: counts.pairs, differ: counts.differ }
}

/// The answers for the output at this place; `None` where stable has none.
fn answers<'p, 'a>(
    place: usize,
    stable: Outputs<'a>,
    candidate: Outputs<'a>,
    live: Option<[Outputs<'a>; 2]>,
) -> Option<Answers<'p, 'a>>
where
    'a: 'p,
{
    let of = |outputs: Outputs<'a>| outputs.get(place).and_then(Option::as_ref);
    let live = live.and_then(|[live, rerun]| Some([of(live)?, of(rerun)?]));
    Some(Answers { stable: of(stable)?, candidate: of(candidate), live })
}

/// How much each row differs, by the outputs that have so many rows.
fn differ_by_row(shown: &[Shown<'_>], rows: usize) -> Vec<f64> {
    let mut differ = vec![0.0; rows];
    for shown in shown.iter().filter(|shown| shown.is_telling) {
        if shown.broken.is_some() && shown.seen.differ.is_empty() {
            differ.fill(1.0); // another form, whatever its rows
        } else if shown.seen.differ.len() == rows {
            differ.iter_mut().zip(&shown.seen.differ).for_each(|(a, b)| *a = b.max(*a));
        }
    }
    differ
}

fn in_words(output: &OutputComparison, shown: &Shown<'_>, outlier: &Outlier) -> Difference {
    let answer = |side| {
        let rows = shown.rows.as_ref();
        rows.map(|rows| output.shown(rows, side, outlier.row)).unwrap_or_default()
    };
    Difference {
        output: output.name().to_owned(),
        metric: outlier.metric,
        score: outlier.score,
        rows: shown.seen.beyond,
        stable: answer(Arm::Stable),
        candidate: answer(Arm::Candidate),
    }
}
