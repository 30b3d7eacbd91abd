//! Verdicts told as stories: pairs come in, and somebody wants to know.

use std::time::Duration;

use super::*;

/// One rollout. There is a pair in every second.
struct Story {
    evidence: PairEvidence,
    clock: Duration,
}

fn story() -> Story {
    Story::of(Gates::default(), &["label"])
}

/// Both versions answered alike, in the same time.
fn alike() -> PairOutcome {
    let same = OutputOutcome { differs: 0.0, noise: Some(0.0), judged: true };
    PairOutcome { outputs: vec![same], ..pair(answered(10), answered(10)) }
}

fn differing(noise: f64) -> PairOutcome {
    let other = OutputOutcome { differs: 1.0, noise: Some(noise), judged: true };
    PairOutcome { outputs: vec![other], ..alike() }
}

fn failed() -> PairOutcome {
    pair(answered(10), RunOutcome::Failed)
}

impl Story {
    fn of(gates: Gates, outputs: &[&str]) -> Self {
        let outputs = outputs.iter().map(|name| (*name).to_owned()).collect();
        let evidence = PairEvidence::new(outputs, gates, Some(Duration::from_secs(60)));
        Self { evidence, clock: Duration::ZERO }
    }

    fn pairs(mut self, times: usize, pair: &PairOutcome) -> Self {
        for _ in 0..times {
            self.clock += Duration::from_secs(1);
            self.evidence.observe(pair, self.clock);
        }
        self
    }

    /// So often the one pair and then the other.
    fn mixed(mut self, times: usize, pairs: [(usize, PairOutcome); 2]) -> Self {
        for _ in 0..times {
            for (times, pair) in &pairs {
                self = self.pairs(*times, pair);
            }
        }
        self
    }

    fn verdict(&self) -> Verdict {
        self.evidence.judge(Some(2.0))
    }

    #[track_caller]
    fn is(&self, decision: &str, reason: &str) {
        let verdict = self.verdict();
        assert_eq!((verdict.decision(), verdict.reason()), (decision, reason));
    }

    fn statuses(&self) -> Vec<(String, GateStatus)> {
        self.evidence.gates().into_iter().map(|gate| (gate.name, gate.status)).collect()
    }
}

#[test]
fn no_data_is_no_evidence() {
    story().is("inconclusive", "no pairs yet");
    assert_eq!(story().evidence.judge(None).decision(), "inconclusive");
}

#[test]
fn a_candidate_like_stable_passes_by_proof() {
    let few = story().pairs(100, &alike());
    few.is("inconclusive", "needs about 260 more pairs (about 3 min at the current rate)");
    let Verdict::Inconclusive { needs, .. } = few.verdict() else { panic!("{:?}", few.verdict()) };
    assert_eq!(needs, Some(252));
    let enough = few.pairs(200, &alike());
    enough.is(
        "pass",
        "errors, latency and outputs.label are proven to be within their limits by 300 pairs",
    );
    assert!(enough.evidence.log_pass() >= 20f64.ln() && enough.evidence.log_fail() < 0.0);
}

#[test]
fn without_a_rate_nobody_knows_how_long_it_takes() {
    for rate in [None, Some(0.0), Some(f64::NAN)] {
        let verdict = story().pairs(100, &alike()).evidence.judge(rate);
        assert_eq!(verdict.reason(), "needs about 260 more pairs");
    }
}

#[test]
fn a_candidate_between_the_limits_stays_inconclusive() {
    let story = story().mixed(4, [(43, alike()), (7, differing(0.0))]);
    let reason = "needs more pairs; how many is not yet estimable for outputs.label";
    story.is("inconclusive", reason);
    assert_eq!(story.statuses()[2], ("outputs.label".into(), GateStatus::Open));
}

#[test]
fn other_answers_take_a_candidate_back() {
    let story = story().mixed(20, [(16, alike()), (4, differing(0.0))]);
    story.is(
        "fail",
        "outputs.label: 80 of 400 pairs answered differently (20 %), more than the 10 % that are \
         tolerated",
    );
    let Verdict::Fail { by_metric, .. } = story.verdict() else { panic!("{:?}", story.verdict()) };
    let metrics: Vec<_> = by_metric.iter().map(|evidence| evidence.metric).collect();
    assert_eq!(metrics, [Metric::Errors, Metric::Latency, Metric::Outputs]);
    assert!(by_metric[2].log_evidence > story.evidence.log_fail());
    let open = |gate: &(String, GateStatus)| gate.1 != GateStatus::Failed;
    assert_eq!(story.statuses().iter().map(open).collect::<Vec<_>>(), [true, true, false]);
}

#[test]
fn answers_that_vary_by_themselves_do_not() {
    let noisy = PairOutcome {
        outputs: vec![OutputOutcome { differs: 0.0, noise: Some(1.0), judged: true }],
        ..alike()
    };
    let story = story().mixed(100, [(4, differing(0.0)), (4, noisy)]);
    assert_eq!(story.verdict().decision(), "inconclusive");
    let story = story.mixed(100, [(3, differing(0.0)), (1, differing(1.0))]);
    story.is(
        "fail",
        "outputs.label: 800 of 1200 pairs answered differently (67 %), 25 % beyond how much \
         answers vary by themselves, more than the 10 % that are tolerated",
    );
}

#[test]
fn failures_of_its_own_take_a_candidate_back() {
    story().mixed(15, [(99, alike()), (1, failed())]).is(
        "fail",
        "errors: only the candidate failed in 15 of 1500 pairs (1 %), only stable in 0, more than \
         the 0.1 % that are tolerated",
    );
}

#[test]
fn a_slower_candidate_is_taken_back() {
    let slow = PairOutcome { candidate: answered(15), ..alike() };
    story().mixed(20, [(1, alike()), (3, slow)]).is(
        "fail",
        "latency: the candidate took over 25 % longer in 60 of 80 pairs (75 %), more than the half \
         that is tolerated",
    );
}

#[test]
fn a_candidate_that_is_slow_now_and_then_is_taken_back() {
    let stuck = PairOutcome { candidate: answered(60), ..alike() };
    let story = story().mixed(10, [(99, alike()), (1, stuck)]);
    story.is(
        "fail",
        "latency: of 10 pairs with times a factor of 1.5 apart beyond the margin of 25 %, the \
         candidate was the slow one in 10 (100 %), more than the half that is tolerated",
    );
}

#[test]
fn what_begins_late_is_found_and_called_late() {
    let story = story().pairs(3000, &alike()).mixed(30, [(1, alike()), (1, differing(0.0))]);
    story.is(
        "fail",
        "outputs.label: 30 of 3060 pairs answered differently (0.98 %), and lately more than the \
         10 % that are tolerated",
    );
}

#[test]
fn a_broken_contract_fails_at_once_and_for_good() {
    let broken = PairOutcome { contract_broken: Some("`y` is NaN".into()), ..alike() };
    let story = story().pairs(300, &alike()).pairs(1, &broken).pairs(300, &alike());
    story.is("fail", "contract: `y` is NaN");
}

#[test]
fn an_output_that_is_not_yet_judged_keeps_the_candidate_from_passing() {
    let same = OutputOutcome { differs: 0.0, noise: None, judged: true };
    let learning = OutputOutcome { judged: false, ..same };
    let both = |second| PairOutcome { outputs: vec![same, second], ..alike() };
    let story = Story::of(Gates::default(), &["label", "score"]).pairs(500, &both(learning));
    story.is("inconclusive", "needs more pairs; how many is not yet estimable for outputs.score");
    story.pairs(300, &both(same)).is(
        "pass",
        "errors, latency, outputs.label and outputs.score are proven to be within their limits by \
         800 pairs",
    );
}

#[test]
fn an_output_that_is_only_shown_has_neither_gate_nor_stake() {
    let mut story = Story::of(Gates::default(), &["label", "score"]);
    story.evidence.only_show("score");
    let two =
        PairOutcome { outputs: [alike().outputs, differing(0.0).outputs].concat(), ..alike() };
    let story = story.pairs(300, &two);
    assert_eq!(story.verdict().decision(), "pass");
    assert_eq!(story.evidence.gates().len(), 3);
    let alone = self::story().pairs(300, &alike());
    assert_eq!(story.evidence.log_fail(), alone.evidence.log_fail());
}

#[test]
fn a_stake_stays_where_it_is_once_pairs_have_counted() {
    let outputs = |label: &PairOutcome| PairOutcome {
        outputs: [label.outputs.clone(), alike().outputs].concat(),
        ..alike()
    };
    let mut story = Story::of(Gates::default(), &["label", "score"]);
    story = story.mixed(20, [(16, outputs(&alike())), (4, outputs(&differing(0.0)))]);
    let before = story.evidence.log_fail();
    story.evidence.only_show("score");
    assert_eq!(story.evidence.log_fail(), before);
    assert_eq!(story.evidence.gates().len(), 3);
}

#[test]
fn outputs_share_the_stake_of_one_metric() {
    let three = PairOutcome {
        outputs: [alike().outputs, differing(0.0).outputs, alike().outputs].concat(),
        ..alike()
    };
    let story = Story::of(Gates::default(), &["label", "score", "vector"]).pairs(20, &three);
    let outputs = story.evidence.gates()[2..].iter().map(|gate| gate.log_fail.exp()).sum::<f64>();
    let [errors, latency, mean] = &story.evidence.by_metric()[..] else { panic!("three metrics") };
    assert_near(mean.log_evidence, (outputs / 3.0).ln());
    let whole = (0.15 * errors.log_evidence.exp()
        + 0.25 * latency.log_evidence.exp()
        + 0.25 * mean.log_evidence.exp())
        / 0.65;
    assert_near(story.evidence.log_fail(), whole.ln());
}

#[test]
fn a_new_task_is_judged_by_errors_and_latency() {
    let gates = Gates { outputs: None, ..Gates::default() };
    Story::of(gates, &["label"])
        .pairs(300, &differing(0.0))
        .is("pass", "errors and latency are proven to be within their limits by 300 pairs");
}

#[test]
fn what_stable_fails_alone_the_candidate_may_fail_too() {
    let rescued = pair(RunOutcome::Failed, answered(10));
    let story = story().mixed(10, [(98, alike()), (2, rescued)]);
    let gate = &story.evidence.gates()[0];
    assert_eq!((gate.name.as_str(), gate.count, gate.estimate), ("errors", 0.0, Some(0.0)));
    assert_near(gate.limit, 0.024);
    assert_near(gate.prove, 0.04);
}

#[test]
fn a_gate_tells_what_was_seen_and_where_the_truth_is() {
    let story = story().mixed(20, [(48, alike()), (2, differing(0.0))]);
    let gate = story.evidence.gates().pop().unwrap();
    let [low, high] = gate.interval.unwrap();
    assert_eq!((gate.pairs, gate.count, gate.estimate), (1000, 40.0, Some(0.04)));
    assert_eq!((gate.limit, gate.prove, gate.needs), (0.10, 0.15, Some(0)));
    assert!(0.02 < low && low < 0.03 && 0.05 < high && high < 0.07, "{low} to {high}");
    let written = serde_json::to_value(&self::story().evidence.gates()[0]).unwrap();
    let members: Vec<_> = written.as_object().unwrap().keys().cloned().collect();
    let expected = ["name", "status", "pairs", "count", "limit", "prove", "log_pass", "log_fail"];
    assert_eq!(members, expected, "without pairs nothing is made up");
}
