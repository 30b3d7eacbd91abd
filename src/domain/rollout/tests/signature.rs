//! Candidates that clients of the stable version could not go on with.

use super::*;
use crate::domain::signature::SignatureRule;

fn unfit(content: u8) -> Event {
    let reason = "its signature does not fit version 2: input `X` is gone".to_owned();
    Event::LoadFailed(digest(content), LoadFailure::Unfit(reason))
}

impl Story {
    fn fits_not(mut self, content: u8) -> Self {
        self.tell(unfit(content)).unwrap();
        self
    }

    /// What the candidate is held to: a version, and a rule.
    fn held_to(&self) -> Option<(String, SignatureRule)> {
        let candidate = &self.release.live()?.candidate;
        let contract = self.release.contract(&candidate.digest)?;
        Some((contract.stable.label.to_string(), contract.rule))
    }
}

#[test]
fn what_does_not_fit_is_refused_and_not_tried_again_by_itself() {
    let story = two_versions().file("3", 3);
    assert_eq!(story.held_to(), Some(("2".to_owned(), SignatureRule::Strict)));
    let story = story.fits_not(3);
    assert_eq!(story.stands(), "2#2 < 1#1 (refused)");
    let told = story.told.last().unwrap();
    assert_eq!(told.reason, "its signature does not fit version 2: input `X` is gone");
    assert_eq!(story.release.unfit(&digest(3)), Some(told.reason.as_str()));
    assert_eq!(story.release.broken(&digest(3)), None, "it is not broken");
    let told = story.told.len();
    let story = story.after(5 * MINUTE).file("3", 3).restart().file("3", 3).after(5 * MINUTE);
    assert_eq!(
        (story.stands().as_str(), story.wanted()),
        ("2#2 < 1#1 (refused)", vec!["2".into(), "1".into()])
    );
    assert_eq!(story.told.len(), told);
    assert!(story.release.unfit(&digest(3)).is_some());
    assert_eq!(
        story.file("4", 4).loads(4).stands(),
        "4#4 < 2#2 (baking)",
        "a good one is released"
    );
}

#[test]
fn a_single_file_that_does_not_fit_waits_for_an_operator_too() {
    let story = Story::new().file("flat", 1).loads(1).file("flat", 2).fits_not(2);
    let story = story.file("flat", 1).file("flat", 2);
    assert_eq!((story.stands().as_str(), story.wanted()), ("1#1 (refused)", vec!["1".into()]));
    assert_eq!(story.operator(Verb::Start).loads(2).stands(), "2#2 < 1#1 (baking)");
}

#[test]
fn an_operator_tries_again_by_the_settings_of_then() {
    let mut story = two_versions().file("3", 3).fits_not(3).operator(Verb::Retry);
    assert_eq!(story.stands(), "2#2 < 1#1 (loading)");
    assert_eq!(story.held_to(), Some(("2".to_owned(), SignatureRule::Strict)));
    assert_eq!(story.release.unfit(&digest(3)), None);
    story.plan.signature = SignatureRule::Any;
    assert!(story.held_to().is_some(), "a rollout keeps the plan that it began with");
    let story = story.fits_not(3).operator(Verb::Start);
    assert_eq!(story.held_to(), None);
    assert_eq!(story.loads(3).stands(), "3#3 < 2#2 (baking)");
}

#[test]
fn the_first_version_and_one_that_is_gone_back_to_are_held_to_nothing() {
    let story = Story::new().file("1", 1);
    assert_eq!((story.release.live().is_some(), story.held_to()), (true, None));
    let mut story = two_versions().after(90 * MINUTE);
    story.tell(command(Verb::Undo, Some("1"))).unwrap();
    assert_eq!((story.wanted(), story.held_to()), (vec!["2".into(), "1".into()], None));
    // Not even where it was asked for as a candidate before.
    let mut story = two_versions().after(90 * MINUTE);
    story.tell(command(Verb::Start, Some("1"))).unwrap();
    assert!(story.held_to().is_some());
    let story = story.fits_not(1).operator(Verb::Undo);
    assert_eq!(story.held_to(), None);
    assert_eq!(story.loads(1).stands(), "1#1 < 2#2 (completed)");
}

#[test]
fn only_what_is_still_to_be_loaded_is_held_to_anything() {
    let story = two_versions().file("3", 3).loads(3);
    assert_eq!((story.stands().as_str(), story.held_to()), ("3#3 < 2#2 (baking)", None));
    let told = story.told.len();
    let story = story.restart().fits_not(3);
    assert_eq!((story.stands().as_str(), story.told.len()), ("3#3 < 2#2 (baking)", told));
    assert_eq!(story.release.unfit(&digest(3)), None);
}

#[test]
fn the_old_version_comes_back_when_the_one_it_made_room_for_does_not_fit() {
    let mut story = Story::new();
    story.plan.strategy = Strategy::Recreate;
    let story = story.file("1", 1).loads(1).file("2", 2);
    assert_eq!(story.held_to(), Some(("1".to_owned(), SignatureRule::Strict)));
    let story = story.restart();
    assert_eq!(story.held_to(), Some(("1".to_owned(), SignatureRule::Strict)));
    let story = story.fits_not(2);
    assert_eq!((story.stands().as_str(), story.wanted()), ("1#1 (refused)", vec!["1".into()]));
}

#[test]
fn what_did_not_fit_does_not_stand_in_for_a_stable_version_that_is_lost() {
    let story = Story::new().file("1", 1).loads(1).file("2", 2).fits_not(2).restart().fails(1);
    assert_eq!((story.stands().as_str(), story.wanted()), ("nothing (refused)", Vec::new()));
    assert_eq!(story.operator(Verb::Start).loads(2).stands(), "2#2 (completed)");
}

#[test]
fn what_did_not_fit_may_begin_anew_once_all_files_were_gone() {
    let mut story = Story::new().file("1", 1).loads(1).file("2", 2).fits_not(2);
    story.tell(Event::AllGone).unwrap();
    let story = story.after(MINUTE).file("2", 2);
    assert_eq!(story.loads(2).stands(), "2#2 (completed)");
}

#[test]
fn what_was_written_down_before_there_was_a_rule_goes_on_without_one() {
    let mut story = two_versions().file("3", 3);
    let mut written = serde_json::to_value(&story.release).unwrap();
    written.as_object_mut().unwrap().remove("unfit").unwrap();
    written["rollout"]["plan"].as_object_mut().unwrap().remove("signature").unwrap();
    story.release = serde_json::from_value(written).unwrap();
    assert_eq!((story.stands().as_str(), story.held_to()), ("2#2 < 1#1 (loading)", None));
}
