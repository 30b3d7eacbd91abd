//! The strategy `shadow`: run beside stable, judged, promoted by an operator.

use super::*;

/// Version 2 is run beside version 1, which answers.
fn shadowing() -> Story {
    let mut story = Story::new();
    story.plan.strategy = Strategy::Shadow;
    story.file("1", 1).loads(1).file("2", 2).loads(2)
}

fn pair(story: &Story) -> Option<(String, String)> {
    let pair = story.release.route()?.pair?;
    Some((pair.stable.label.to_string(), pair.candidate.label.to_string()))
}

#[test]
fn a_shadowed_version_has_no_traffic_until_an_operator_promotes_it() {
    let story = shadowing();
    assert_eq!(story.stands(), "1#1 (shadowing)");
    assert_eq!(pair(&story), Some(("1".into(), "2".into())));
    let candidate = story.release.route().unwrap().candidate.unwrap();
    assert_eq!(candidate.label.as_str(), "2");
    let story = story.judged(Decision::Inconclusive);
    assert_eq!(story.stands(), "1#1 (shadowing)");
    let story = story.judged(Decision::Pass).after(24 * 60 * MINUTE);
    assert_eq!(story.stands(), "1#1 (waiting)", "for as long as the operator likes");
    let story = story.operator(Verb::Promote);
    assert_eq!(story.stands(), "2#2 < 1#1 (baking)");
    assert_eq!(pair(&story), Some(("1".into(), "2".into())), "the old one is what it is held to");
    let story = story.judged(Decision::Pass).after(10 * MINUTE);
    let outcome = &story.release.rollout().unwrap().phase;
    assert_eq!(*outcome, Phase::Ended(Outcome::Completed { proven: true }));
    assert_eq!(pair(&story), None);
}

#[test]
fn a_pass_with_too_few_pairs_is_not_enough() {
    let mut story = shadowing();
    let few = Judgement { pairs: 499, ..judgement(Decision::Pass, 0) };
    story.tell(Event::Judged(few)).unwrap();
    assert_eq!(story.stands(), "1#1 (shadowing)");
}

#[test]
fn evidence_against_a_candidate_ends_it_wherever_it_stands() {
    let shadowed = shadowing().judged(Decision::Fail);
    assert_eq!(shadowed.stands(), "1#1 (rolled-back)");
    assert_eq!(
        shadowing().operator(Verb::Pause).judged(Decision::Fail).stands(),
        shadowed.stands()
    );
    let waiting = shadowing().judged(Decision::Pass);
    assert_eq!(waiting.judged(Decision::Fail).stands(), shadowed.stands());
    let baking = shadowing().operator(Verb::Promote).judged(Decision::Fail);
    assert_eq!(baking.stands(), "1#1 (rolled-back)", "the old version has all traffic again");
    assert_eq!(baking.restart().file("2.0", 2).file("2", 2).stands(), "1#1 (rolled-back)");
}

#[test]
fn what_the_evidence_rolled_back_is_tried_again_only_from_scratch() {
    let mut story = shadowing().judged(Decision::Fail);
    assert_eq!(
        story.refuses(Verb::Retry, None),
        "rollout r-000002 was rolled back by its evidence; `retry` begins anew only with `fresh`"
    );
    let Event::Command(retry) = command(Verb::Retry, None) else { unreachable!() };
    story.tell(Event::Command(Command { fresh: true, ..retry })).unwrap();
    assert_eq!(story.loads(2).stands(), "1#1 (shadowing)");
}

#[test]
fn a_shadow_stage_without_a_verdict_does_what_the_plan_says() {
    for (on_inconclusive, expected) in [
        (OnInconclusive::Pause, "1#1 (paused)"),
        (OnInconclusive::Promote, "2#2 < 1#1 (baking)"),
        (OnInconclusive::Abort, "1#1 (aborted)"),
    ] {
        let mut story = Story::new();
        story.plan.strategy = Strategy::Shadow;
        story.plan.pairs.on_inconclusive = on_inconclusive;
        let story = story.file("1", 1).loads(1).file("2", 2).loads(2).after(59 * MINUTE);
        assert_eq!(story.stands(), "1#1 (shadowing)");
        assert_eq!(story.after(MINUTE).stands(), expected);
    }
    let resumed = shadowing().after(60 * MINUTE).operator(Verb::Resume).after(59 * MINUTE);
    assert_eq!(resumed.stands(), "1#1 (shadowing)", "it has its whole time again");
}

#[test]
fn while_it_is_held_its_time_does_not_run() {
    let story = shadowing().after(50 * MINUTE).operator(Verb::Pause);
    assert_eq!(pair(&story), Some(("1".into(), "2".into())), "pairs go on");
    let story = story.after(90 * MINUTE).restart().operator(Verb::Resume).after(9 * MINUTE);
    assert_eq!(story.stands(), "1#1 (shadowing)");
    assert_eq!(story.after(MINUTE).stands(), "1#1 (paused)");
}

#[test]
fn the_first_version_and_an_undo_need_no_shadow() {
    let mut story = Story::new();
    story.plan.strategy = Strategy::Shadow;
    assert_eq!(story.file("1", 1).loads(1).stands(), "1#1 (completed)");
    let baked = shadowing().operator(Verb::Promote).operator(Verb::Promote);
    assert_eq!(baked.operator(Verb::Undo).loads(1).stands(), "1#1 < 2#2 (completed)");
}

#[test]
fn a_full_promotion_skips_the_bake_as_well() {
    let mut story = shadowing();
    let Event::Command(promote) = command(Verb::Promote, None) else { unreachable!() };
    story.tell(Event::Command(Command { full: true, ..promote })).unwrap();
    assert_eq!(story.stands(), "2#2 < 1#1 (completed)");
}

#[test]
fn a_shadowed_version_goes_with_its_file_and_gives_way_to_a_newer_one() {
    assert_eq!(shadowing().gone("2").stands(), "1#1 (aborted)");
    assert_eq!(shadowing().file("3", 3).stands(), "1#1 (loading)");
    assert_eq!(shadowing().restart().fails(2).stands(), "1#1 (refused)");
    assert_eq!(shadowing().restart().loads(1).loads(2).stands(), "1#1 (shadowing)");
}
