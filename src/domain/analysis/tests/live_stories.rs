//! Verdicts on live traffic told as stories: requests come in at some weight, and somebody wants to know.

use std::time::Duration;

use super::*;
use crate::domain::weight::Weight;

/// One rollout, at 5 per cent of the traffic, and on its way to 10.
struct Story {
    gates: Gates,
    live: LiveEvidence,
    cells: Vec<LiveCell>,
    pairs: Option<PairEvidence>,
    clock: Duration,
    next: Option<Weight>,
    alarm: Option<Alarm<'static>>,
    stable_suffers: bool,
}

/// Live requests alone.
fn story() -> Story {
    let (gates, epoch) = (Gates::default(), Some(Duration::from_secs(60)));
    let mut live = LiveEvidence::new(gates.clone(), epoch);
    live.advance(Duration::ZERO);
    Story {
        gates,
        live,
        cells: Vec::new(),
        pairs: None,
        clock: Duration::ZERO,
        next: Some(Weight::whole(10)),
        alarm: None,
        stable_suffers: false,
    }
}

/// Live requests and pairs with one output.
fn story_with_pairs() -> Story {
    let epoch = Some(Duration::from_secs(60));
    let pairs = PairEvidence::new(vec!["label".to_owned()], Gates::default(), epoch);
    Story { pairs: Some(pairs), ..story() }
}

fn alike() -> PairOutcome {
    let same = OutputOutcome { differs: 0.0, noise: Some(0.0), judged: true };
    PairOutcome { outputs: vec![same], ..pair(answered(10), answered(10)) }
}

fn failed() -> PairOutcome {
    pair(answered(10), RunOutcome::Failed)
}

impl Story {
    /// A minute in which so many requests went to the candidate and to stable, of which so many failed.
    fn minute(mut self, weight: f64, candidate: (u64, u64), stable: (u64, u64)) -> Self {
        self.clock += Duration::from_secs(60);
        self.cells.push(cell(weight, candidate, stable));
        self.live.set(&self.cells);
        self.live.advance(self.clock);
        self
    }

    fn pairs(mut self, times: usize, pair: &PairOutcome) -> Self {
        let (clock, pairs) = (self.clock, self.pairs.as_mut().unwrap());
        (0..times).for_each(|_| pairs.observe(pair, clock));
        self
    }

    fn on_the_way_to(self, next: Option<Weight>) -> Self {
        Self { next, ..self }
    }

    fn judged(&self) -> Judged {
        judge(&Trial {
            gates: &self.gates,
            live: Some(&self.live),
            pairs: self.pairs.as_ref(),
            next: self.next,
            alarm: self.alarm,
            stable_suffers: self.stable_suffers,
            rates: Rates { requests: Some(1.0), pairs: Some(2.0) },
        })
    }

    #[track_caller]
    fn is(&self, decision: &str, reason: &str) {
        let verdict = self.judged().verdict;
        assert_eq!((verdict.decision(), verdict.reason()), (decision, reason));
    }

    fn gates(&self) -> Vec<(String, GateStatus)> {
        self.judged().gates.into_iter().map(|gate| (gate.name, gate.status)).collect()
    }
}

#[test]
fn no_data_is_no_evidence() {
    story().is("inconclusive", "no candidate requests yet");
    story_with_pairs().is("inconclusive", "no candidate requests and no pairs yet");
    assert_near(story().judged().log_fail, 0.0);
    assert_near(story().judged().log_pass, 0.0);
}

#[test]
fn what_is_not_looked_at_has_not_passed() {
    let story = story().minute(0.05, (5000, 0), (95_000, 0)).on_the_way_to(None);
    story.is("inconclusive", "nothing is compared, so nothing is proven");
    assert_eq!(story.judged().log_pass, f64::INFINITY);
}

#[test]
fn a_candidate_like_stable_passes_by_proof() {
    let story = story().minute(0.05, (20, 0), (380, 2));
    story.is(
        "inconclusive",
        "needs about 47 more candidate requests (about 47 s at the current rate)",
    );
    let story = story.minute(0.05, (30, 0), (570, 3));
    story.is(
        "pass",
        "errors are proven to be within their limits for 10 % of the traffic by 50 candidate requests",
    );
    // The last step is strict: all of the harm is done to everybody.
    story.on_the_way_to(Some(Weight::ALL)).is(
        "inconclusive",
        "needs about 520 more candidate requests (about 9 min at the current rate)",
    );
}

#[test]
fn live_requests_and_pairs_have_to_agree() {
    let story = story_with_pairs().minute(0.05, (50, 0), (950, 5)).pairs(20, &alike());
    story.is("inconclusive", "needs about 17 more pairs (about 9 s at the current rate)");
    let story = story.pairs(100, &alike());
    story.is(
        "pass",
        "errors, latency and outputs.label are proven to be within their limits for 10 % of the \
         traffic by 50 candidate requests and 120 pairs",
    );
    let passed = |name: &str| (name.to_owned(), GateStatus::Passed);
    assert_eq!(story.gates(), ["errors", "latency", "outputs.label"].map(passed));
    let fresh = story_with_pairs().minute(0.05, (10, 0), (190, 1)).pairs(10, &alike());
    fresh.is(
        "inconclusive",
        "needs about 68 more candidate requests (about 68 s at the current rate) and about 36 more \
         pairs (about 18 s at the current rate)",
    );
    let slow = PairOutcome { candidate: answered(20), ..alike() };
    fresh.pairs(9, &slow).is(
        "inconclusive",
        "needs more candidate requests and pairs; how many is not yet estimable for latency",
    );
}

#[test]
fn a_candidate_that_fails_more_often_is_taken_back() {
    story().minute(0.05, (600, 31), (11_400, 6)).is(
        "fail",
        "errors: the candidate failed in 31 of 600 live requests (5.2 %), stable in 6 of 11400 \
         (0.053 %), more than the 0.1 % that are tolerated",
    );
}

#[test]
fn what_begins_late_is_found_and_called_late() {
    let story = (0..50).fold(story(), |story, _| story.minute(0.10, (600, 6), (5400, 54)));
    assert_eq!(story.judged().verdict.decision(), "pass");
    let story = (0..5).fold(story, |story, _| story.minute(0.10, (600, 18), (5400, 54)));
    story.is(
        "fail",
        "errors: the candidate failed in 390 of 33000 live requests (1.2 %), stable in 2970 of \
         297000 (1 %), and lately more than the 1.2 % that are tolerated",
    );
}

#[test]
fn a_shared_outage_is_no_evidence() {
    let story =
        story().minute(0.05, (600, 3), (11_400, 57)).minute(0.05, (600, 180), (11_400, 3420));
    let judged = story.judged();
    assert!(judged.log_fail < 0.0, "{judged:?}");
    assert_ne!(judged.verdict.decision(), "fail");
}

#[test]
fn more_failures_at_a_larger_weight_are_no_evidence() {
    let story = story().minute(0.05, (500, 3), (9500, 57)).minute(0.50, (5000, 150), (5000, 150));
    let judged = story.judged();
    assert!(judged.log_fail < 0.0, "{judged:?}");
    let [gate] = &judged.gates[..] else { panic!("one gate") };
    assert!((gate.estimate.unwrap() - 0.0278).abs() < 1e-4);
    assert!(
        (gate.limit - 1.2 * 0.0278).abs() < 1e-3,
        "stable as it would do in place of the candidate"
    );
}

#[test]
fn requests_that_get_lost_hold_the_rollout() {
    let story = story().minute(0.50, (1000, 0), (700, 0)).on_the_way_to(Some(Weight::ALL));
    story.is(
        "hold",
        "the candidate had 1000 of 1700 live requests where chance would give it about 850: \
         something else decides who asks it, so the versions cannot be compared",
    );
    story.minute(0.50, (1000, 500), (700, 3)).is(
        "fail",
        "errors: the candidate failed in 500 of 2000 live requests (25 %), stable in 3 of 1400 \
         (0.21 %), more than the 0.26 % that are tolerated",
    );
}

#[test]
fn a_stable_version_that_suffers_holds_the_rollout() {
    let story = story().minute(0.05, (50, 0), (950, 5));
    assert_eq!(story.judged().verdict.decision(), "pass");
    let story = Story { stable_suffers: true, ..story };
    story.is(
        "hold",
        "one in a hundred of stable's answers takes more than twice as long as before the rollout, \
         maybe because the candidate takes its share of the machine",
    );
}

#[test]
fn an_alarm_comes_before_all_evidence() {
    let fine = || story_with_pairs().minute(0.05, (500, 0), (9500, 5)).pairs(300, &alike());
    let with = |alarm| Story { alarm: Some(alarm), stable_suffers: true, ..fine() };
    with(Alarm::Breaker { failures: 5 })
        .is("fail", "the candidate failed in 5 requests in a row, all of which stable answered");
    with(Alarm::Stuck).is("fail", "a run of the candidate did not end, and could not be stopped");
    with(Alarm::Contract("`y` is NaN")).is("fail", "contract: `y` is NaN");
    let broken = PairOutcome { contract_broken: Some("`y` is NaN".into()), ..alike() };
    fine().pairs(1, &broken).is("fail", "contract: `y` is NaN");
}

#[test]
fn errors_on_pairs_take_a_candidate_back_and_prove_nothing_beside_live_requests() {
    let story = story_with_pairs().minute(0.05, (50, 0), (950, 5)).pairs(300, &alike());
    let names = |story: &Story| story.gates().into_iter().map(|gate| gate.0).collect::<Vec<_>>();
    assert_eq!(names(&story), ["errors", "latency", "outputs.label"]);
    let metrics: Vec<_> = story.judged().by_metric.iter().map(|of| of.metric.name()).collect();
    assert_eq!(metrics, ["errors", "pair-errors", "latency", "outputs"]);
    let story = story.pairs(20, &failed());
    story.is(
        "fail",
        "pair-errors: only the candidate failed in 20 of 320 pairs (6.2 %), only stable in 0, more \
         than the 0.1 % that are tolerated",
    );
    assert_eq!(names(&story), ["errors", "pair-errors", "latency", "outputs.label"]);
    assert_eq!(story.gates()[1].1, GateStatus::Failed);
}

#[test]
fn where_only_one_version_answers_pairs_prove_that_it_does_not_fail() {
    let story = story_with_pairs().pairs(300, &alike()).on_the_way_to(None);
    story.is(
        "pass",
        "pair-errors, latency and outputs.label are proven to be within their limits by 300 pairs",
    );
}

#[test]
fn the_stake_of_all_metrics_is_one() {
    let story = story_with_pairs().minute(0.05, (60, 4), (1140, 2)).pairs(30, &alike());
    let judged = story.judged();
    let stakes = [0.35, 0.15, 0.25, 0.25];
    let whole =
        judged.by_metric.iter().zip(stakes).map(|(of, stake)| stake * of.log_evidence.exp());
    assert_near(judged.log_fail, whole.sum::<f64>().ln());
    assert_near(story.live.log_fail(), judged.by_metric[0].log_evidence);
    // Alone, live requests have all of it.
    let alone = self::story().minute(0.05, (60, 4), (1140, 2));
    assert_near(alone.judged().log_fail, alone.live.log_fail());
}

#[test]
fn a_gate_tells_who_failed_and_how_much_worse_it_can_be() {
    let story = story().minute(0.05, (600, 4), (11_400, 57));
    let gate = story.judged().gates.pop().unwrap();
    let live = gate.live.unwrap();
    assert_eq!((gate.pairs, gate.count, live.stable.failed), (0, 4.0, 57));
    assert_eq!(live.candidate, LiveCounts { requests: 600, failed: 4 });
    assert_near(gate.limit, 0.006);
    assert_near(gate.prove, 0.105);
    let [low, high] = gate.interval.unwrap();
    assert!(low < 0.004 && 0.01 < high && high < 0.03, "{low} to {high}");
    assert!(0.005 < live.excess_below && live.excess_below < 0.05, "{}", live.excess_below);
}
