//! The rehearsal: recorded requests before live ones.

use super::*;

/// Version 2 is rehearsed beside version 1, which answers.
fn rehearsing(strategy: Strategy) -> Story {
    let mut story = Story::new();
    (story.plan.strategy, story.has_recordings) = (strategy, true);
    story.file("1", 1).loads(1).file("2", 2).loads(2)
}

impl Story {
    fn rehearsed(mut self) -> Self {
        self.tell(Event::Rehearsed("nothing against it in 200 recorded requests".into())).unwrap();
        self
    }

    fn reason(&self) -> &str {
        &self.release.rollout().unwrap().reason
    }
}

#[test]
fn a_candidate_is_rehearsed_before_it_meets_a_live_request() {
    let story = rehearsing(Strategy::Canary);
    assert_eq!(story.stands(), "1#1 (rehearsing)");
    let route = story.release.route().unwrap();
    assert_eq!(route.share, None, "it has no traffic");
    assert_eq!(route.pair.unwrap().candidate.label.as_str(), "2", "but it is compared");
    let story = story.judged(Decision::Pass).judged(Decision::Hold);
    assert_eq!(story.stands(), "1#1 (rehearsing)", "a few recorded requests do not prove it");
    let story = story.rehearsed();
    assert_eq!(story.stands(), "1#1 (shadowing)");
    assert_eq!(
        story.reason(),
        "nothing against it in 200 recorded requests; sampled requests are run on it as well"
    );
    assert_eq!(story.rehearsed().stands(), "1#1 (shadowing)", "that is over");
}

#[test]
fn evidence_in_a_rehearsal_ends_the_rollout() {
    let story = rehearsing(Strategy::Shadow).judged(Decision::Fail);
    assert_eq!(story.stands(), "1#1 (rolled-back)");
    assert_eq!(story.rehearsed().stands(), "1#1 (rolled-back)");
    let paused = rehearsing(Strategy::Shadow).operator(Verb::Pause).judged(Decision::Fail);
    assert_eq!(paused.stands(), "1#1 (rolled-back)");
}

#[test]
fn without_recorded_requests_there_is_no_rehearsal_and_the_history_says_so() {
    let mut story = Story::new();
    story.plan.strategy = Strategy::Shadow;
    let story = story.file("1", 1).loads(1).file("2", 2).loads(2);
    assert_eq!(story.stands(), "1#1 (shadowing)");
    assert_eq!(
        story.reason(),
        "loaded and warm; there are no recorded requests to rehearse it on; sampled requests are \
         run on it as well"
    );
}

#[test]
fn who_wants_no_rehearsal_has_none() {
    let mut story = Story::new();
    (story.plan.strategy, story.has_recordings) = (Strategy::Canary, true);
    story.plan.pairs.rehearse = 0;
    let story = story.file("1", 1).loads(1).file("2", 2).loads(2);
    assert_eq!(story.stands(), "1#1 (shadowing)");
    assert_eq!(rehearsing(Strategy::BlueGreen).stands(), "2#2 < 1#1 (baking)");
}

#[test]
fn a_canary_without_a_shadow_stage_goes_from_the_rehearsal_to_its_first_step() {
    let mut story = Story::new();
    (story.plan.strategy, story.has_recordings) = (Strategy::Canary, true);
    story.plan.pairs.min_pairs = 0;
    let story = story.file("1", 1).loads(1).file("2", 2).loads(2);
    assert_eq!(story.stands(), "1#1 (rehearsing)");
    assert_eq!(story.rehearsed().stands(), "1#1 (canary)");
}

#[test]
fn an_operator_can_hold_a_rehearsal_and_skip_what_is_left_of_it() {
    let held = rehearsing(Strategy::Canary).operator(Verb::Pause).rehearsed();
    assert_eq!(held.stands(), "1#1 (paused)", "it is held");
    assert_eq!(held.operator(Verb::Resume).rehearsed().stands(), "1#1 (shadowing)");
    let skipped = rehearsing(Strategy::Canary).operator(Verb::Promote);
    assert_eq!(skipped.stands(), "1#1 (shadowing)", "only the rehearsal is skipped");
    let held = rehearsing(Strategy::Canary).operator(Verb::Pause).operator(Verb::Promote);
    assert_eq!(held.stands(), "1#1 (shadowing)");
    assert_eq!(rehearsing(Strategy::Canary).operator(Verb::Abort).stands(), "1#1 (aborted)");
}

#[test]
fn a_rehearsal_outlives_a_restart_and_does_not_go_on_for_ever() {
    let story = rehearsing(Strategy::Canary).after(30 * MINUTE).restart();
    assert_eq!(story.stands(), "1#1 (rehearsing)");
    let story = story.after(30 * MINUTE);
    assert_eq!(story.stands(), "1#1 (shadowing)");
    assert_eq!(
        story.reason(),
        "there was no more time to rehearse it; sampled requests are run on it as well"
    );
}
