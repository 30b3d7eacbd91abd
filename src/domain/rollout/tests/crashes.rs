//! Processes that died of a candidate, or of a version that was one.

use super::*;
use crate::domain::attribution::{Attribution, Signal};

/// The last process died of this content, in this rollout; by a mark, or because of many deaths.
pub(super) fn died_of(content: u8, rollout: u64, is_marked: bool) -> Event {
    let (digest, rollout) = (digest(content), RolloutId(rollout));
    Event::Crashed(if is_marked {
        Attribution::Quarantine { digest, rollout, signal: Signal::Arithmetic }
    } else {
        Attribution::RollBack { digest, rollout }
    })
}

/// Restarted after that.
fn after(story: Story, died: Event) -> Story {
    let mut story = story.restart();
    story.tell(died).unwrap();
    story
}

/// Version 2 bakes after version 1, in rollout 2.
fn baking() -> Story {
    Story::new().file("1", 1).loads(1).file("2", 2).loads(2)
}

fn shadowing() -> Story {
    let mut story = Story::new();
    story.plan.strategy = Strategy::Shadow;
    story.file("1", 1).loads(1).file("2", 2).loads(2)
}

fn reason(story: &Story) -> &str {
    &story.release.rollout().unwrap().reason
}

#[test]
fn a_candidate_that_crashed_the_server_is_rolled_back_and_quarantined_wherever_it_stands() {
    let stages = [baking(), shadowing(), shadowing().operator(Verb::Pause)];
    let loading = Story::new().file("1", 1).loads(1).file("2", 2);
    for story in stages.into_iter().chain([shadowing().judged(Decision::Pass), loading]) {
        let phase = story.release.rollout().unwrap().phase.name();
        let story = after(story, died_of(2, 2, true));
        assert_eq!(story.stands(), "1#1 (rolled-back)", "{phase}");
        assert_eq!(story.wanted(), ["1"], "{phase}");
        let expected = "it crashed the server: SIGFPE during a run";
        assert_eq!(reason(&story), expected);
        assert_eq!(story.release.broken(&digest(2)), Some(expected));
        assert!(story.told.last().unwrap().is_towards_stable());
    }
}

#[test]
fn a_content_that_crashed_the_server_is_not_tried_again_by_itself() {
    let story = after(baking(), died_of(2, 2, true)).file("2", 2).file("2.0", 2).file("3", 2);
    assert_eq!(story.restart().file("2", 2).stands(), "1#1 (rolled-back)");
}

#[test]
fn an_operator_who_insists_gets_it_again() {
    let mut story = after(baking(), died_of(2, 2, true));
    assert_eq!(
        story.refuses(Verb::Retry, None),
        "rollout r-000002 was rolled back by its evidence; `retry` begins anew only with `fresh`"
    );
    let (actor, reason) = (Actor::Operator("ada".to_owned()), "as she says".to_owned());
    let retry = Command { fresh: true, ..Command::plain(Verb::Retry, actor, reason) };
    story.tell(Event::Command(retry)).unwrap();
    assert_eq!(story.release.why_not(&digest(2)), None);
    assert_eq!(story.loads(2).stands(), "2#2 < 1#1 (baking)");
}

#[test]
fn a_candidate_with_which_the_server_died_often_is_rolled_back_and_not_quarantined() {
    let story = after(baking(), died_of(2, 2, false));
    assert_eq!(story.stands(), "1#1 (rolled-back)");
    assert!(reason(&story).starts_with("the server died 3 times within 10m"), "{}", reason(&story));
    assert_eq!(story.release.broken(&digest(2)), None);
    assert!(story.release.why_not(&digest(2)).is_some());
    assert_eq!(story.file("3", 2).stands(), "1#1 (rolled-back)", "it is not tried again by itself");
}

#[test]
fn what_is_no_candidate_any_more_is_left_alone() {
    for is_marked in [true, false] {
        let died = || died_of(2, 2, is_marked);
        assert_eq!(after(two_versions(), died()).stands(), "2#2 < 1#1 (completed)");
        assert_eq!(after(baking().operator(Verb::Abort), died()).stands(), "1#1 (aborted)");
        let superseded = baking().file("3", 3).loads(3);
        assert_eq!(after(superseded, died()).stands(), "3#3 < 2#2 (baking)");
        let tried_again = baking().operator(Verb::Abort).operator(Verb::Retry).loads(2);
        assert_eq!(after(tried_again, died()).stands(), "2#2 < 1#1 (baking)");
    }
}

#[test]
fn a_crash_of_the_stable_version_changes_nothing() {
    let story = baking();
    let before = story.restart();
    let expected = before.release.clone();
    let crashed = Attribution::StableCrashed { digest: digest(1), signal: Signal::Abort };
    let mut story = before;
    story.tell(Event::Crashed(crashed)).unwrap();
    assert_eq!(story.release, expected);
}
