//! Models that an operator unloads, and wants again.

use super::*;

pub(super) fn withdrawn() -> Event {
    Event::Withdrawn { actor: Actor::Operator("ann".to_owned()), reason: "no room".to_owned() }
}

pub(super) fn wanted_again() -> Event {
    Event::WantedAgain { actor: Actor::Operator("ann".to_owned()), reason: "wanted".to_owned() }
}

impl Story {
    fn told_to(mut self, event: Event) -> Self {
        self.tell(event).unwrap();
        self
    }

    fn is_loaded(&self) -> bool {
        self.release.route().is_some() && !self.release.wanted(self.now()).is_empty()
    }
}

#[test]
fn an_unloaded_model_stays_so_through_looks_and_restarts_until_it_is_wanted_again() {
    let story = Story::new().file("1", 1).loads(1).told_to(withdrawn());
    assert!(!story.is_loaded());
    let story = story.file("1", 1).restart().file("1", 1).after(60 * MINUTE);
    assert!(!story.is_loaded(), "nothing has changed");
    let story = story.told_to(wanted_again());
    assert!(story.is_loaded());
    assert_eq!(story.release.stable().unwrap().label.as_str(), "1");
}

#[test]
fn a_newer_version_brings_an_unloaded_model_back() {
    let story = Story::new().file("1", 1).loads(1).told_to(withdrawn()).file("2", 2);
    assert!(story.is_loaded());
    assert_eq!(story.release.live().unwrap().candidate.label.as_str(), "2");
    assert_eq!(story.release.route().unwrap().stable.label.as_str(), "1");
}

#[test]
fn unloading_ends_a_rollout_without_a_word_against_its_candidate() {
    for is_loaded in [false, true] {
        let mut story = Story::new().file("1", 1).loads(1).file("2", 2);
        if is_loaded {
            story = story.loads(2); // it bakes
        }
        let story = story.told_to(withdrawn());
        assert_eq!(story.release.rollout().unwrap().phase, Phase::Ended(Outcome::Aborted));
        assert!(!story.is_loaded());
        let story = story.told_to(wanted_again());
        assert_eq!(story.release.route().unwrap().stable.label.as_str(), "1");
        assert_eq!(story.release.live().unwrap().candidate.label.as_str(), "2");
    }
}

#[test]
fn a_model_that_never_answered_begins_when_it_is_wanted() {
    let story = Story::new().file("1", 1).told_to(withdrawn()).told_to(withdrawn());
    assert!(story.release.live().is_none());
    let story = story.told_to(wanted_again());
    assert_eq!(story.release.live().unwrap().candidate.label.as_str(), "1");
}

#[test]
fn what_is_loaded_is_not_changed_by_being_wanted() {
    let story = Story::new().file("1", 1).loads(1);
    let before = story.release.clone();
    assert_eq!(story.told_to(wanted_again()).release, before);
}
