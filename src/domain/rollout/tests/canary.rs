//! The strategy `canary`: traffic in steps.

use super::*;
use crate::domain::weight::Weight;

/// Version 2 is loaded beside version 1, and has 5 % of the traffic.
fn canary() -> Story {
    let mut story = Story::new();
    story.plan.strategy = Strategy::Canary;
    story.plan.pairs.min_pairs = 0;
    story.file("1", 1).loads(1).file("2", 2).loads(2)
}

fn share(story: &Story) -> Option<f64> {
    story.release.route()?.share.map(|share| share.weight.per_cent())
}

fn passes(story: Story) -> Story {
    story.after(MINUTE).judged(Decision::Pass)
}

fn weight(per_cent: u8) -> Event {
    let Event::Command(command) = command(Verb::Weight, None) else { unreachable!() };
    Event::Command(Command { weight: Some(Weight::whole(per_cent)), ..command })
}

#[test]
fn a_good_candidate_walks_through_its_steps_and_bakes() {
    let mut story = canary();
    for expected in [5.0, 10.0, 25.0, 50.0] {
        assert_eq!((story.stands().as_str(), share(&story)), ("1#1 (canary)", Some(expected)));
        story = passes(story);
    }
    assert_eq!((story.stands().as_str(), share(&story)), ("2#2 < 1#1 (baking)", Some(100.0)));
    let story = story.judged(Decision::Pass).after(10 * MINUTE);
    assert_eq!(story.stands(), "2#2 < 1#1 (completed)");
    assert_eq!(share(&story), None);
    let epochs: Vec<u32> = story.told.iter().skip(2).map(|told| told.rollout.epoch).collect();
    assert_eq!(epochs, [0, 1, 2, 3, 4, 5, 5], "each share has a number of its own");
}

#[test]
fn a_canary_is_shadowed_first_where_pairs_are_asked_for() {
    let mut story = Story::new();
    story.plan.strategy = Strategy::Canary;
    let story = story.file("1", 1).loads(1).file("2", 2).loads(2);
    assert_eq!((story.stands().as_str(), share(&story)), ("1#1 (shadowing)", None));
    let story = story.judged(Decision::Pass);
    assert_eq!((story.stands().as_str(), share(&story)), ("1#1 (canary)", Some(5.0)));
}

#[test]
fn a_step_needs_its_time_its_requests_and_a_verdict() {
    let early = canary().after(MINUTE / 2).judged(Decision::Pass);
    assert_eq!(share(&early), Some(5.0), "it has not lasted long enough");
    let mut story = canary().after(MINUTE);
    let few = Judgement { requests: 49, ..judgement(Decision::Pass, 1) };
    story.tell(Event::Judged(few)).unwrap();
    assert_eq!(share(&story), Some(5.0), "too few requests");
    for decision in [Decision::Inconclusive, Decision::Hold] {
        story = story.judged(decision);
        assert_eq!(share(&story), Some(5.0), "{decision:?}");
    }
    story.tell(Event::Judged(judgement(Decision::Pass, 0))).unwrap();
    assert_eq!(share(&story), Some(5.0), "that was about another share");
    assert_eq!(share(&story.judged(Decision::Pass)), Some(10.0));
}

#[test]
fn evidence_against_it_ends_it_in_any_step_also_while_it_is_held() {
    let second = || passes(canary());
    for story in [canary(), second(), second().operator(Verb::Pause)] {
        let story = story.judged(Decision::Fail);
        assert_eq!((story.stands().as_str(), share(&story)), ("1#1 (rolled-back)", None));
        assert!(story.told.last().unwrap().is_towards_stable());
    }
    let baking = passes(canary().operator(Verb::Promote).operator(Verb::Promote));
    let baking = baking.operator(Verb::Promote).operator(Verb::Pause);
    assert_eq!(baking.stands(), "2#2 < 1#1 (paused)");
    assert_eq!(baking.judged(Decision::Fail).stands(), "1#1 (rolled-back)");
}

#[test]
fn what_is_held_keeps_its_traffic_and_its_time() {
    let story = canary().after(MINUTE / 2).operator(Verb::Pause).after(90 * MINUTE);
    let story = story.judged(Decision::Pass);
    assert_eq!((story.stands().as_str(), share(&story)), ("1#1 (paused)", Some(5.0)));
    let story = story.restart().operator(Verb::Resume).after(MINUTE / 3).judged(Decision::Pass);
    assert_eq!(share(&story), Some(5.0), "half a minute is left");
    assert_eq!(share(&story.after(MINUTE / 6).judged(Decision::Pass)), Some(10.0));
}

#[test]
fn a_restart_goes_on_in_the_same_step() {
    let story = passes(canary()).after(MINUTE / 2).restart();
    assert_eq!((story.stands().as_str(), share(&story)), ("1#1 (canary)", Some(10.0)));
    let story = story.loads(1).loads(2).after(MINUTE / 3).judged(Decision::Pass);
    assert_eq!(share(&story), Some(10.0));
    assert_eq!(share(&story.after(MINUTE / 6).judged(Decision::Pass)), Some(25.0));
}

#[test]
fn promote_skips_one_step_and_a_full_promotion_all_that_is_left() {
    let story = canary().operator(Verb::Promote);
    assert_eq!(share(&story), Some(10.0));
    let story = story.operator(Verb::Pause).operator(Verb::Promote);
    assert_eq!((story.stands().as_str(), share(&story)), ("1#1 (canary)", Some(25.0)));
    let mut story = story;
    let Event::Command(promote) = command(Verb::Promote, None) else { unreachable!() };
    story.tell(Event::Command(Command { full: true, ..promote })).unwrap();
    assert_eq!(story.stands(), "2#2 < 1#1 (completed)");
}

#[test]
fn an_operator_sets_any_weight_and_the_steps_go_on_from_there() {
    let mut story = canary();
    story.tell(weight(30)).unwrap();
    assert_eq!(share(&story), Some(30.0));
    let early = story.judged(Decision::Pass);
    assert_eq!(share(&early), Some(30.0), "the time of a step runs anew");
    let mut story = passes(early);
    assert_eq!(share(&story), Some(50.0));
    story.tell(weight(0)).unwrap();
    assert_eq!((story.stands().as_str(), share(&story)), ("1#1 (canary)", None));
    story.tell(weight(100)).unwrap();
    assert_eq!((story.stands().as_str(), share(&story)), ("1#1 (canary)", Some(100.0)));
    assert_eq!(passes(story).stands(), "2#2 < 1#1 (baking)");
    let mut held = canary().operator(Verb::Pause);
    held.tell(weight(40)).unwrap();
    assert_eq!((held.stands().as_str(), share(&held)), ("1#1 (paused)", Some(40.0)));
    assert_eq!(held.operator(Verb::Resume).stands(), "1#1 (canary)");
}

#[test]
fn a_step_without_a_verdict_does_what_the_plan_says() {
    for (on_inconclusive, expected, weight) in [
        (OnInconclusive::Pause, "1#1 (paused)", Some(5.0)),
        (OnInconclusive::Promote, "1#1 (canary)", Some(10.0)),
        (OnInconclusive::Abort, "1#1 (aborted)", None),
    ] {
        let mut story = Story::new();
        story.plan.strategy = Strategy::Canary;
        story.plan.pairs.min_pairs = 0;
        story.plan.pairs.on_inconclusive = on_inconclusive;
        let story = story.file("1", 1).loads(1).file("2", 2).loads(2).after(359 * MINUTE);
        assert_eq!((story.stands().as_str(), share(&story)), ("1#1 (canary)", Some(5.0)));
        let story = story.after(MINUTE);
        assert_eq!((story.stands().as_str(), share(&story)), (expected, weight));
    }
}

#[test]
fn a_canary_gives_way_to_its_file_to_a_newer_version_and_to_an_operator() {
    assert_eq!(canary().gone("2").stands(), "1#1 (aborted)");
    assert_eq!(canary().operator(Verb::Abort).stands(), "1#1 (aborted)");
    assert_eq!(canary().restart().fails(2).stands(), "1#1 (refused)");
    let newer = passes(canary()).file("3", 3);
    assert_eq!((newer.stands().as_str(), share(&newer)), ("1#1 (loading)", None));
    let newer = newer.loads(3);
    assert_eq!(share(&newer), Some(5.0), "it starts with the first step");
}

#[test]
fn a_retry_of_what_was_aborted_is_a_rollout_of_its_own() {
    let story = canary().operator(Verb::Abort).operator(Verb::Retry).loads(2);
    assert_eq!((story.stands().as_str(), share(&story)), ("1#1 (canary)", Some(5.0)));
    let rollout = story.release.rollout().unwrap();
    assert_eq!((rollout.id, rollout.parent), (RolloutId(3), Some(RolloutId(2))));
}

#[test]
fn only_a_canary_has_a_weight_to_set() {
    let mut story = Story::new().file("1", 1).loads(1).file("2", 2).loads(2);
    assert_eq!(
        story.tell(weight(10)).unwrap_err().to_string(),
        "`weight` does not fit: rollout r-000002 of version 2 is baking; what fits: `promote`, \
         `pause`, `abort`, `undo`, `start`"
    );
}
