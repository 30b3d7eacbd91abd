//! Rollouts that are played, with a fixed seed: what becomes of which candidate.

use std::time::Duration;

use super::*;
use crate::domain::rollout::{OnInconclusive, Plan, Strategy};
use crate::domain::sampling::Sample;

const HOUR: Duration = Duration::from_hours(1);

/// Steps of a canary, without a shadow stage before them.
fn canary() -> Plan {
    let mut plan = Plan { strategy: Strategy::Canary, ..Plan::default() };
    plan.pairs.min_pairs = 0;
    plan
}

fn traffic(per_second: f64, stable: f64, candidate: f64) -> Traffic {
    Traffic { errors: Errors { stable, candidate }, ..Traffic::plain(per_second) }
}

fn play(plan: &Plan, traffic: &Traffic, horizon: Duration, runs: u64) -> Summary {
    let scene = Scene::new(plan, traffic, horizon);
    let runs: Vec<Run> = (0..runs).map(|run| scene.play(&mut Chance::new(1, run))).collect();
    Summary::of(&runs)
}

fn fates(summary: &Summary) -> [u64; 3] {
    summary.fates.map(|share| share.count)
}

#[test]
fn the_same_seed_gives_the_same_rollouts() {
    let (plan, traffic) = (canary(), traffic(10.0, 0.005, 0.05));
    let scene = Scene::new(&plan, &traffic, HOUR);
    let run = |seed| scene.play(&mut Chance::new(seed, 0));
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn a_good_candidate_is_promoted_in_good_time() {
    let summary = play(&canary(), &traffic(50.0, 0.005, 0.005), HOUR, 20);
    assert_eq!(fates(&summary), [0, 20, 0]);
    let seconds = summary.seconds[Fate::Promoted as usize].unwrap();
    assert!(seconds.p10 >= 240.0, "each of four steps has its minute: {seconds:?}");
    assert!(seconds.p90 < 900.0, "{seconds:?}");
    assert_eq!(summary.bad_answers, 0.0);
}

#[test]
fn a_bad_candidate_is_rolled_back_and_clients_notice_little() {
    let unaided = Plan { fallback: false, ..canary() };
    let (bad, without) =
        (traffic(50.0, 0.005, 0.05), play(&unaided, &traffic(50.0, 0.005, 0.05), HOUR, 20));
    let with = play(&canary(), &bad, HOUR, 20);
    assert_eq!((fates(&with), fates(&without)), ([20, 0, 0], [20, 0, 0]));
    assert!(without.bad_answers > 1.0 && without.bad_answers < 30.0, "{without:?}");
    assert_eq!(without.rescued, 0.0);
    assert_eq!(with.bad_answers, 0.0, "stable answers in its place");
    assert!(with.rescued > 1.0);
}

#[test]
fn one_that_fails_always_trips_the_breaker_in_the_first_look() {
    let summary = play(&canary(), &traffic(100.0, 0.0, 1.0), HOUR, 5);
    assert_eq!(fates(&summary), [5, 0, 0]);
    assert_eq!(summary.seconds[Fate::RolledBack as usize].unwrap().p90, 5.0);
}

#[test]
fn slower_candidates_and_other_answers_show_in_pairs_before_there_is_traffic() {
    let plan = Plan { strategy: Strategy::Canary, ..Plan::default() };
    let slower = Latency { slower: 1.5, ..Traffic::plain(1.0).latency };
    for bad in [
        Traffic { latency: slower, ..Traffic::plain(20.0) },
        Traffic { flips: 0.3, ..Traffic::plain(20.0) },
    ] {
        let summary = play(&plan, &bad, HOUR, 10);
        assert_eq!(fates(&summary), [10, 0, 0]);
        assert_eq!(summary.candidate_requests[0].unwrap().p90, 0.0);
    }
}

#[test]
fn too_little_traffic_decides_nothing() {
    let summary = play(&canary(), &traffic(0.05, 0.005, 0.005), HOUR, 5);
    assert_eq!(fates(&summary), [0, 0, 5]);
    let abort = Plan { max_time: HOUR / 2, ..canary() };
    let mut abort = Plan { pairs: canary().pairs, ..abort };
    abort.pairs.on_inconclusive = OnInconclusive::Abort;
    assert_eq!(fates(&play(&abort, &traffic(0.05, 0.0, 0.0), HOUR, 5)), [0, 0, 5]);
    abort.pairs.on_inconclusive = OnInconclusive::Promote;
    let promoted = play(&abort, &traffic(0.05, 0.0, 0.0), 3 * HOUR, 5);
    assert_eq!(fates(&promoted), [0, 5, 0], "as if it had passed");
}

#[test]
fn every_strategy_can_be_played() {
    let bad = traffic(50.0, 0.005, 0.10);
    let of = |strategy| Plan { strategy, ..Plan::default() };
    let blue_green = play(&of(Strategy::BlueGreen), &bad, HOUR, 5);
    assert_eq!(fates(&blue_green), [5, 0, 0], "it is watched in its bake");
    let good = play(&of(Strategy::BlueGreen), &Traffic::plain(50.0), HOUR, 5);
    assert_eq!(good.seconds[Fate::Promoted as usize].unwrap().p50, 0.0, "it has all at once");
    let recreate = play(&of(Strategy::Recreate), &bad, HOUR, 5);
    assert_eq!(fates(&recreate), [0, 5, 0], "nothing is compared");
    assert!(recreate.bad_answers > 15_000.0, "{}", recreate.bad_answers);
    let shadow = play(&of(Strategy::Shadow), &Traffic::plain(50.0), HOUR, 5);
    assert_eq!(fates(&shadow), [0, 5, 0]);
    assert_eq!(shadow.candidate_requests[Fate::Promoted as usize].unwrap().p90, 0.0);
}

#[test]
fn a_shared_outage_and_sticky_keys_take_no_good_candidate_back() {
    let outage = Outage { start: HOUR / 20, length: HOUR / 12, errors: 0.3 };
    let hit = Traffic { outages: vec![outage], ..traffic(50.0, 0.005, 0.005) };
    let sticky = Some(Sticky { requests_per_key: 20.0 });
    for traffic in [hit, Traffic { sticky, ..traffic(50.0, 0.005, 0.005) }] {
        let [rolled_back, promoted, _] = fates(&play(&canary(), &traffic, HOUR, 20));
        assert!(rolled_back <= 1 && promoted >= 15, "{rolled_back}, {promoted}");
    }
}

#[test]
fn live_errors_alone_are_judged_without_pairs() {
    let mut plan = canary();
    plan.pairs.sample = Sample::Share(0.0);
    let mut pairs = 0;
    let (traffic, horizon) = (traffic(50.0, 0.005, 0.05), HOUR);
    let scene = Scene::new(&plan, &traffic, horizon);
    let run = scene.tell(&mut Chance::new(1, 0), |told| pairs = told.pairs);
    assert_eq!((run.fate, pairs), (Fate::RolledBack, 0));
}

#[test]
fn what_is_told_is_what_happens() {
    let (plan, traffic) = (canary(), traffic(50.0, 0.005, 0.005));
    let scene = Scene::new(&plan, &traffic, HOUR);
    let (mut phases, mut looks) = (Vec::new(), 0);
    let run = scene.tell(&mut Chance::new(1, 0), |told| {
        assert_eq!(told.at, looks * LOOK);
        looks += 1;
        phases.extend(told.transitions.iter().map(|it| it.rollout.phase.name()));
    });
    let canaries = ["canary"; 4];
    assert_eq!(phases, [&["loading"][..], &canaries, &["baking", "completed"]].concat());
    assert_eq!(run, scene.play(&mut Chance::new(1, 0)));
}

#[test]
fn other_rules_do_what_they_are_known_for() {
    let of = |rule: Rule, traffic: &Traffic| {
        let play = |run| rule.play(traffic, 2 * HOUR, &mut Chance::new(2, run));
        Summary::of(&(0..50).map(play).collect::<Vec<_>>())
    };
    let (good, bad) = (traffic(10.0, 0.005, 0.005), traffic(10.0, 0.005, 0.02));
    assert_eq!(fates(&of(Rule::Argo, &good)), [0, 50, 0]);
    assert_eq!(fates(&of(Rule::Argo, &bad)), [0, 50, 0]);
    assert!(fates(&of(Rule::ArgoTuned, &good))[0] >= 47);
    assert!(fates(&of(Rule::FlaggerTuned, &good))[0] >= 20);
    assert_eq!(fates(&of(Rule::Flagger, &bad)), [50, 0, 0]);
    let kayenta = fates(&of(Rule::Kayenta, &bad));
    assert!((15..40).contains(&kayenta[0]), "{kayenta:?}");
    let short = Rule::Kayenta.play(&good, HOUR / 2, &mut Chance::new(2, 0));
    assert_eq!((short.fate, short.decided), (Fate::Undecided, HOUR / 2));
    assert_eq!("kayenta".parse(), Ok(Rule::Kayenta));
    assert_eq!("spinnaker".parse::<Rule>(), Err(UnknownRule));
}
