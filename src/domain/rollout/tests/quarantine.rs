//! Operators who lift what is held against a version.

use super::*;

impl Story {
    fn retries(mut self, version: &str) -> Self {
        self.tell(command(Verb::Retry, Some(version))).unwrap();
        self
    }

    fn fails_in_passing(mut self, content: u8) -> Self {
        let failure = LoadFailure::Passing("there was no memory".to_owned());
        self.tell(Event::LoadFailed(digest(content), failure)).unwrap();
        self
    }

    fn parent(&self) -> Option<RolloutId> {
        self.release.rollout().unwrap().parent
    }
}

#[test]
fn what_is_broken_is_tried_again_as_if_its_file_came_now() {
    let story = two_versions().file("3", 3).fails(3);
    assert_eq!(story.stands(), "2#2 < 1#1 (refused)");
    let story = story.file("3", 3).after(MINUTE);
    assert_eq!(story.stands(), "2#2 < 1#1 (refused)", "the same content is not tried by itself");
    let story = story.restart().retries("3");
    assert_eq!(story.stands(), "2#2 < 1#1 (loading)");
    assert_eq!(story.release.why_not(&digest(3)), None);
    let told = story.told.last().unwrap();
    assert_eq!((told.actor.to_string(), told.reason.as_str()), ("ada".into(), "as she says"));
    assert_eq!(story.parent(), Some(RolloutId(3)), "it is the same release, tried again");
    assert_eq!(story.fails(3).retries("3").loads(3).stands(), "3#3 < 2#2 (baking)");
}

#[test]
fn what_did_not_fit_is_held_to_the_settings_of_now() {
    let mut story = two_versions().file("3", 3);
    let unfit = LoadFailure::Unfit("input `X` is gone".to_owned());
    story.tell(Event::LoadFailed(digest(3), unfit)).unwrap();
    let story = story.retries("3");
    assert_eq!(
        (story.stands().as_str(), story.release.unfit(&digest(3))),
        ("2#2 < 1#1 (loading)", None)
    );
}

#[test]
fn the_first_version_of_a_model_loads() {
    let story = Story::new().file("1", 1).fails(1);
    assert_eq!((story.stands().as_str(), story.wanted()), ("nothing (refused)", Vec::new()));
    assert_eq!(story.retries("1").loads(1).stands(), "1#1 (completed)");
    let story = Story::new().file("flat", 1).fails(1).retries("1");
    assert_eq!(story.loads(1).stands(), "1#1 (completed)");
}

#[test]
fn where_nothing_answers_an_older_one_may_begin_too() {
    let story = Story::new().file("2", 2).loads(2).file("1", 1).restart().fails(2);
    let story = story.fails(1);
    assert_eq!((story.stands().as_str(), story.wanted()), ("nothing (refused)", Vec::new()));
    assert_eq!(story.retries("1").loads(1).stands(), "1#1 (completed)");
}

#[test]
fn what_crashed_the_server_is_tried_again() {
    let mut story = Story::new().file("1", 1).loads(1).file("2", 2).loads(2).restart();
    story.tell(crashes::died_of(2, 2, true)).unwrap();
    let story = story.retries("2");
    assert_eq!((story.stands().as_str(), story.parent()), ("1#1 (loading)", Some(RolloutId(2))));
    assert_eq!(story.loads(2).stands(), "2#2 < 1#1 (baking)");
}

#[test]
fn an_older_version_is_forgiven_and_not_released() {
    let mut story = two_versions();
    story.tell(Event::LoadFailed(digest(1), LoadFailure::Broken("cut off".to_owned()))).unwrap();
    let told = story.told.len();
    let story = story.retries("1");
    assert_eq!((story.stands().as_str(), story.told.len()), ("2#2 < 1#1 (completed)", told));
    assert_eq!(story.release.why_not(&digest(1)), None);
}

#[test]
fn a_newer_version_on_its_way_is_not_ended_for_an_older_one() {
    let story = two_versions().file("3", 3).fails(3).file("4", 4).retries("3");
    assert_eq!(story.release.live().unwrap().candidate.label.as_str(), "4");
    assert_eq!(story.release.why_not(&digest(3)), None);
    let story = story.loads(4).file("5", 5).fails(5).file("4", 6).fails(6).retries("4");
    assert_eq!(story.loads(6).stands(), "4#6 < 4#4 (baking)", "its replacement is");
}

#[test]
fn what_failed_in_passing_is_tried_at_once() {
    let story = two_versions().file("3", 3).fails_in_passing(3);
    assert_eq!(story.wanted(), ["2", "1"]);
    let story = story.retries("3");
    assert_eq!(story.wanted(), ["2", "3", "1"]);
    let told = story.told.last().unwrap();
    assert_eq!((told.from.as_deref(), told.rollout.phase.name()), (Some("loading"), "loading"));
    assert_eq!(story.release.rollout().unwrap().id, RolloutId(3), "in the same rollout");
}

#[test]
fn what_nothing_is_held_against_cannot_be_lifted() {
    let mut story = two_versions().file("3", 3).fails(3);
    assert_eq!(
        story.refuses(Verb::Retry, Some("1")),
        "`retry` does not fit: version 1 is neither quarantined nor refused; what fits: `retry` of version 3, \
         `rollout undo`, `rollout retry`, `rollout start`"
    );
    assert_eq!(story.refuses(Verb::Retry, Some("7")), "version `7` is not known; known: 1, 2, 3");
    let mut story = Story::new().file("1", 1).loads(1).file("2", 2).loads(2).operator(Verb::Abort);
    assert_eq!(
        story.refuses(Verb::Retry, Some("2")),
        "`retry` does not fit: version 2 is neither quarantined nor refused, but an operator took it back: as she \
         says; what fits: `rollout retry`, `rollout start`"
    );
    let mut story = Story::new().file("1", 1);
    assert!(
        story
            .refuses(Verb::Retry, Some("1"))
            .ends_with("what fits: `rollout abort`, `rollout start`")
    );
}
