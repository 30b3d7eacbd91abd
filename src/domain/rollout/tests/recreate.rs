//! The strategy `recreate`: the old version makes room for the new one.

use super::*;

/// Version 2 is on its way, and version 1 has made room for it.
fn between() -> Story {
    let mut story = Story::new();
    story.plan.strategy = Strategy::Recreate;
    story.file("1", 1).loads(1).file("2", 2)
}

#[test]
fn nothing_answers_until_the_new_version_is_loaded() {
    let story = between();
    assert_eq!(story.release.route(), None);
    assert_eq!(story.wanted(), ["2"]);
    let story = story.loads(2);
    assert_eq!(story.stands(), "2#2 (completed)", "there is nothing warm to go back to");
    assert_eq!(story.wanted(), ["2"]);
}

#[test]
fn the_old_version_is_loaded_again_when_the_new_one_fails() {
    let story = between().fails(2);
    assert_eq!((story.stands().as_str(), story.wanted()), ("1#1 (refused)", vec!["1".into()]));
    let mut story = between();
    let failure = LoadFailure::Passing("too slow".to_owned());
    story.tell(Event::LoadFailed(digest(2), failure)).unwrap();
    assert_eq!(story.stands(), "1#1 (refused)", "nothing answers while it is waited for");
    let story = between().operator(Verb::Abort);
    assert_eq!((story.stands().as_str(), story.wanted()), ("1#1 (aborted)", vec!["1".into()]));
}

#[test]
fn the_first_version_and_an_undo_go_the_same_way() {
    let mut story = Story::new();
    story.plan.strategy = Strategy::Recreate;
    let story = story.file("1", 1).loads(1);
    assert_eq!(story.stands(), "1#1 (completed)");
    let story = between().loads(2).operator(Verb::Undo);
    assert_eq!((story.release.route(), story.wanted()), (None, vec!["1".into()]));
    assert_eq!(story.loads(1).stands(), "1#1 (completed)");
}

#[test]
fn a_restart_in_between_goes_on_with_the_new_version() {
    let story = between().restart();
    assert_eq!(story.wanted(), ["2"]);
    assert_eq!(story.loads(2).stands(), "2#2 (completed)");
}
