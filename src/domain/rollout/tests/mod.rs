//! Releases told as stories, on a clock that the test turns.

use std::time::Duration;

use super::*;
use crate::domain::model::{Digest, VersionLabel};
use crate::domain::time::{Moment, WallTime};

mod canary;
mod crashes;
mod quarantine;
mod random;
mod recreate;
mod rehearsal;
mod shadow;
mod signature;
mod withdrawn;

const MINUTE: Duration = Duration::from_secs(60);

/// One model, and the time.
struct Story {
    release: Release,
    clock: Duration,
    plan: Plan,
    next_id: u64,
    told: Vec<Transition>,
    has_recordings: bool,
}

impl Story {
    fn new() -> Self {
        let plan = Plan { bake: 10 * MINUTE, keep_previous: 60 * MINUTE, ..Plan::default() };
        let release = Release::default();
        let (told, has_recordings) = (Vec::new(), false);
        Self { release, clock: MINUTE, plan, next_id: 1, told, has_recordings }
    }

    fn now(&self) -> Moment {
        Moment { monotonic: self.clock, wall: WallTime(self.clock.as_millis() as u64) }
    }

    fn tell(&mut self, event: Event) -> Result<(), CommandRefused> {
        let (next_id, has_recordings) = (RolloutId(self.next_id), self.has_recordings);
        let context = Context { now: self.now(), plan: &self.plan, next_id, has_recordings };
        let step = self.release.step(event, context)?;
        if step.used.is_some() {
            self.next_id += 1;
        }
        self.told.extend(step.transitions);
        Ok(())
    }

    fn file(mut self, label: &str, content: u8) -> Self {
        let seen = Seen { place: place(label), digest: digest(content) };
        self.tell(Event::Seen(vec![seen])).unwrap();
        self
    }

    fn files(mut self, files: &[(&str, u8)]) -> Self {
        let seen = files
            .iter()
            .map(|(label, content)| Seen { place: place(label), digest: digest(*content) });
        self.tell(Event::Seen(seen.collect())).unwrap();
        self
    }

    fn loads(mut self, content: u8) -> Self {
        self.tell(Event::Loaded(digest(content))).unwrap();
        self
    }

    fn fails(mut self, content: u8) -> Self {
        let failure = LoadFailure::Broken("it is broken".to_owned());
        self.tell(Event::LoadFailed(digest(content), failure)).unwrap();
        self
    }

    fn gone(mut self, label: &str) -> Self {
        self.tell(Event::Gone(place(label))).unwrap();
        self
    }

    fn after(mut self, duration: Duration) -> Self {
        self.clock += duration;
        self.tell(Event::Tick).unwrap();
        self
    }

    /// The evidence says so; there is enough of it.
    fn judged(mut self, decision: Decision) -> Self {
        let epoch = self.release.rollout().map_or(0, |rollout| rollout.epoch);
        self.tell(Event::Judged(judgement(decision, epoch))).unwrap();
        self
    }

    fn operator(mut self, verb: Verb) -> Self {
        self.tell(command(verb, None)).unwrap();
        self
    }

    fn refuses(&mut self, verb: Verb, version: Option<&str>) -> String {
        self.tell(command(verb, version)).unwrap_err().to_string()
    }

    /// The server is killed and started again.
    fn restart(mut self) -> Self {
        self.release.count_to(self.now());
        let written = serde_json::to_string(&self.release).unwrap();
        self.release = serde_json::from_str(&written).unwrap();
        self.clock = Duration::from_secs(1);
        self.release.resume(self.now());
        self
    }

    /// `stable < previous (phase of the rollout)`
    fn stands(&self) -> String {
        let name = |revision: &Revision| {
            format!(
                "{}#{}",
                revision.label,
                u8::from_str_radix(&revision.digest.hex()[..2], 16).unwrap()
            )
        };
        let stable = self.release.stable().map_or("nothing".to_owned(), name);
        let route = self.release.route();
        let previous = route.and_then(|route| route.previous).map(|previous| name(&previous));
        let phase = self.release.rollout().map_or("no rollout", |rollout| rollout.phase.name());
        match previous {
            Some(previous) => format!("{stable} < {previous} ({phase})"),
            None => format!("{stable} ({phase})"),
        }
    }

    fn wanted(&self) -> Vec<String> {
        let wanted = self.release.wanted(self.now());
        wanted.iter().map(|revision| revision.label.to_string()).collect()
    }
}

fn place(label: &str) -> Place {
    match label {
        "flat" => Place::Flat,
        label => Place::Labelled(label.parse().unwrap()),
    }
}

fn digest(content: u8) -> Digest {
    Digest::from_bytes([content; 32])
}

fn command(verb: Verb, version: Option<&str>) -> Event {
    let version = version.map(|label| label.parse::<VersionLabel>().unwrap());
    let (actor, reason) = (Actor::Operator("ada".to_owned()), "as she says".to_owned());
    Event::Command(Command { version, ..Command::plain(verb, actor, reason) })
}

fn judgement(decision: Decision, epoch: u32) -> Judgement {
    let reason = "the evidence says so".to_owned();
    Judgement { decision, reason, pairs: 500, epoch, requests: 50 }
}

/// A model that answers with version 2, and has baked.
fn two_versions() -> Story {
    Story::new().file("1", 1).loads(1).file("2", 2).loads(2).after(10 * MINUTE)
}

#[test]
fn the_first_version_answers_as_soon_as_it_is_loaded() {
    let story = Story::new().file("1", 1);
    assert_eq!(story.stands(), "nothing (loading)");
    assert_eq!(story.wanted(), ["1"]);
    assert_eq!(story.loads(1).stands(), "1#1 (completed)");
}

#[test]
fn the_first_look_takes_the_newest_and_falls_back_to_the_next() {
    let story = Story::new().files(&[("9", 9), ("10", 10), ("2", 2)]);
    assert_eq!(story.wanted(), ["10"]);
    let story = story.fails(10);
    assert_eq!(story.wanted(), ["9"]);
    assert_eq!(story.loads(9).stands(), "9#9 (completed)");
}

#[test]
fn a_newer_version_takes_over_bakes_and_completes() {
    let story = Story::new().file("1", 1).loads(1).file("2", 2);
    assert_eq!(story.stands(), "1#1 (loading)");
    let story = story.loads(2);
    assert_eq!(story.stands(), "2#2 < 1#1 (baking)");
    let story = story.after(9 * MINUTE);
    assert_eq!(story.stands(), "2#2 < 1#1 (baking)");
    let story = story.after(MINUTE);
    assert_eq!(story.stands(), "2#2 < 1#1 (completed)");
    assert_eq!(story.after(60 * MINUTE).stands(), "2#2 (completed)");
}

#[test]
fn an_older_version_is_known_and_not_loaded() {
    let story = two_versions().file("1.5", 15);
    assert_eq!(story.wanted(), ["2", "1"]);
    assert_eq!(story.stands(), "2#2 < 1#1 (completed)");
}

#[test]
fn only_a_change_counts() {
    let told = two_versions().told.len();
    let story = two_versions().file("2", 2).file("1", 1).restart().file("2", 2).file("1", 1);
    assert_eq!(story.told.len(), told);
}

#[test]
fn the_same_content_under_a_new_label_is_no_release() {
    let story = two_versions().file("3", 2);
    assert_eq!(story.stands(), "2#2 < 1#1 (completed)");
    let story = two_versions().file("3", 1);
    assert_eq!(story.stands(), "2#2 < 1#1 (completed)");
}

#[test]
fn a_content_replaced_in_place_is_released_and_the_old_one_kept() {
    let story = two_versions().file("2", 22).loads(22);
    assert_eq!(story.stands(), "2#22 < 2#2 (baking)");
    assert_eq!(story.file("2", 2).stands(), "2#2 (aborted)", "its old content put there again");
}

#[test]
fn a_version_that_cannot_be_loaded_changes_nothing() {
    let story = two_versions().file("3", 3).fails(3);
    assert_eq!(story.stands(), "2#2 < 1#1 (refused)");
    assert_eq!(story.wanted(), ["2", "1"]);
    let story = story.file("3", 33).loads(33);
    assert_eq!(story.stands(), "3#33 < 2#2 (baking)", "once it is whole it is released");
}

#[test]
fn a_load_that_fails_in_passing_is_tried_again() {
    let mut story = two_versions().file("3", 3);
    let failure = LoadFailure::Passing("too slow".to_owned());
    story.tell(Event::LoadFailed(digest(3), failure)).unwrap();
    assert_eq!(
        (story.stands().as_str(), story.wanted()),
        ("2#2 < 1#1 (loading)", vec!["2".into(), "1".into()])
    );
    assert!(story.release.is_put_off(&digest(3), story.now()));
    assert_eq!(story.after(MINUTE).wanted(), ["2", "3", "1"]);
}

#[test]
fn what_failed_with_the_old_settings_is_tried_with_the_new_ones_at_once() {
    let mut story = two_versions().file("3", 3);
    let failure = LoadFailure::Passing("its settings do not fit".to_owned());
    story.tell(Event::LoadFailed(digest(3), failure)).unwrap();
    assert_eq!(story.wanted(), ["2", "1"]);
    story.tell(Event::SettingsChanged).unwrap();
    assert_eq!(story.wanted(), ["2", "3", "1"]);
}

#[test]
fn undo_goes_back_at_once_and_nothing_brings_the_undone_version_back_but_a_newer_one() {
    let story = two_versions().operator(Verb::Undo).loads(1);
    assert_eq!(story.stands(), "1#1 < 2#2 (completed)");
    let story = story.file("2", 2).restart().file("2", 2).file("2.0", 2);
    assert_eq!(story.stands(), "1#1 < 2#2 (completed)");
    assert_eq!(story.file("3", 3).loads(3).stands(), "3#3 < 1#1 (baking)");
}

#[test]
fn undo_in_the_bake_swaps_back_and_ends_it() {
    let story = Story::new().file("1", 1).loads(1).file("2", 2).loads(2).operator(Verb::Undo);
    assert_eq!(story.stands(), "1#1 (aborted)");
    assert_eq!(story.restart().file("2", 2).stands(), "1#1 (aborted)");
}

#[test]
fn retry_tries_again_what_was_taken_back() {
    let story = Story::new().file("1", 1).loads(1).file("2", 2).operator(Verb::Abort);
    assert_eq!(story.stands(), "1#1 (aborted)");
    let story = story.operator(Verb::Retry).loads(2);
    assert_eq!(story.stands(), "2#2 < 1#1 (baking)");
    let rollout = story.release.rollout().unwrap();
    assert_eq!((rollout.id, rollout.parent), (RolloutId(3), Some(RolloutId(2))));
}

#[test]
fn promote_ends_the_bake() {
    let story = Story::new().file("1", 1).loads(1).file("2", 2).loads(2).operator(Verb::Promote);
    assert_eq!(story.stands(), "2#2 < 1#1 (completed)");
}

#[test]
fn an_operator_may_ask_for_any_known_version() {
    let mut story = two_versions().file("1.5", 15);
    story.tell(command(Verb::Start, Some("1.5"))).unwrap();
    assert_eq!(story.loads(15).stands(), "1.5#15 < 2#2 (baking)");
    let mut story = two_versions().after(90 * MINUTE);
    story.tell(command(Verb::Undo, Some("1"))).unwrap();
    assert_eq!(story.wanted(), ["2", "1"], "it is cold, and loaded first");
    assert_eq!(story.loads(1).stands(), "1#1 < 2#2 (completed)");
}

#[test]
fn a_command_that_does_not_fit_says_what_does() {
    let mut story = two_versions();
    assert_eq!(
        story.refuses(Verb::Promote, None),
        "`promote` does not fit: rollout r-000002 of version 2 is completed; what fits: `undo`, `start`"
    );
    assert_eq!(story.refuses(Verb::Undo, Some("7")), "version `7` is not known; known: 1, 2");
    assert_eq!(
        story.refuses(Verb::Start, Some("2")),
        "`start` does not fit: version 2 is stable; what fits: `undo`, `start`"
    );
}

#[test]
fn a_newer_version_supersedes_the_one_on_its_way_and_the_one_that_bakes() {
    let story = two_versions().file("3", 3).file("4", 4).loads(3);
    assert_eq!(story.stands(), "2#2 < 1#1 (loading)");
    assert_eq!(story.loads(4).stands(), "4#4 < 2#2 (baking)");
    let story = two_versions().file("3", 3).loads(3).file("4", 4);
    assert_eq!(story.stands(), "3#3 (loading)");
    let outcomes = story.told.iter().map(|told| told.rollout.phase.name());
    assert_eq!(outcomes.filter(|name| *name == "superseded").count(), 1);
    assert_eq!(story.loads(4).stands(), "4#4 < 3#3 (baking)");
}

#[test]
fn deleting_the_candidates_file_takes_it_back_and_deleting_stables_does_nothing() {
    let story = two_versions().file("3", 3).gone("3");
    assert_eq!(story.stands(), "2#2 < 1#1 (aborted)");
    let story = story.file("3", 3).loads(3);
    assert_eq!(story.stands(), "3#3 < 2#2 (baking)", "put there again it is released");
    let story = story.gone("3");
    assert_eq!(story.stands(), "2#2 (aborted)", "in the bake it is the candidate still");
    assert_eq!(story.file("3", 3).loads(3).stands(), "3#3 < 2#2 (baking)", "and may come again");
    assert_eq!(two_versions().gone("2").stands(), "2#2 < 1#1 (completed)");
}

#[test]
fn a_single_file_that_is_deleted_in_its_bake_and_put_there_again_is_released_again() {
    let story = Story::new().file("flat", 1).loads(1).file("flat", 2).loads(2).gone("flat");
    assert_eq!(story.stands(), "1#1 (aborted)");
    assert_eq!(story.file("flat", 2).loads(2).stands(), "2#2 < 1#1 (baking)");
}

#[test]
fn what_leads_back_to_a_trusted_version_is_told_from_what_leads_on() {
    let baking = || Story::new().file("1", 1).loads(1).file("2", 2).loads(2);
    let leads_back = |story: Story| story.told.last().unwrap().is_towards_stable();
    assert!(leads_back(baking().operator(Verb::Undo)));
    assert!(leads_back(baking().operator(Verb::Abort)));
    assert!(leads_back(baking().gone("2")));
    assert!(leads_back(baking().judged(Decision::Fail)));
    assert!(leads_back(baking().operator(Verb::Promote).operator(Verb::Undo)));
    assert!(leads_back(baking().operator(Verb::Promote).operator(Verb::Undo).loads(1)));
    assert!(!leads_back(baking()));
    assert!(!leads_back(baking().operator(Verb::Promote)));
    assert!(!leads_back(baking().file("3", 3)));
    assert!(!leads_back(baking().file("3", 3).fails(3)));
    assert!(!leads_back(baking().operator(Verb::Undo).operator(Verb::Retry)));
}

#[test]
fn a_model_without_files_leaves_after_a_minute_and_can_come_back() {
    let mut story = two_versions();
    story.tell(Event::AllGone).unwrap();
    let story = story.after(MINUTE / 2);
    assert_eq!(story.stands(), "2#2 < 1#1 (completed)");
    let story = story.after(MINUTE / 2);
    assert_eq!(story.stands(), "nothing (completed)");
    assert_eq!(story.file("1", 1).loads(1).stands(), "1#1 (completed)");
    let mut story = two_versions();
    story.tell(Event::AllGone).unwrap();
    assert_eq!(story.file("2", 2).after(2 * MINUTE).stands(), "2#2 < 1#1 (completed)");
}

#[test]
fn a_model_without_files_leaves_with_the_version_that_was_being_watched() {
    let mut story = Story::new().file("1", 1).loads(1).file("2", 2).loads(2);
    story.tell(Event::AllGone).unwrap();
    let story = story.after(MINUTE);
    assert_eq!(story.stands(), "nothing (aborted)");
    assert_eq!(story.wanted(), Vec::<String>::new());
    assert_eq!(story.file("2", 2).loads(2).stands(), "2#2 (completed)");
}

#[test]
fn a_single_file_gives_each_content_a_version() {
    let story = Story::new().file("flat", 1).loads(1).file("flat", 2).loads(2);
    assert_eq!(story.stands(), "2#2 < 1#1 (baking)");
    assert_eq!(story.file("flat", 1).stands(), "1#1 (aborted)", "the old content again is an undo");
    let story = Story::new().file("flat", 1).loads(1).file("flat", 2).file("flat", 1);
    assert_eq!(story.stands(), "1#1 (aborted)", "stable's content again calls the candidate off");
    let story = story.file("flat", 3).loads(3).after(10 * MINUTE).file("flat", 1).loads(1);
    assert_eq!(story.stands(), "1#1 < 3#3 (completed)", "previous's content again is an undo");
    assert_eq!(story.file("flat", 3).loads(3).stands(), "3#3 < 1#1 (completed)");
}

#[test]
fn a_restart_goes_on_where_it_was_and_its_time_does_not_count() {
    let story = Story::new().file("1", 1).loads(1).file("2", 2).restart();
    assert_eq!(
        (story.stands().as_str(), story.wanted()),
        ("1#1 (loading)", vec!["1".into(), "2".into()])
    );
    let story = story.loads(1).loads(2).after(4 * MINUTE).restart();
    assert_eq!(story.stands(), "2#2 < 1#1 (baking)");
    let story = story.after(5 * MINUTE);
    assert_eq!(story.stands(), "2#2 < 1#1 (baking)");
    assert_eq!(story.after(MINUTE).stands(), "2#2 < 1#1 (completed)");
}

#[test]
fn a_stable_version_that_no_longer_loads_gives_way_to_the_one_before() {
    let story = two_versions().restart().fails(2);
    assert_eq!(story.stands(), "1#1 (completed)");
    let story = Story::new().file("1", 1).loads(1).restart().fails(1);
    assert_eq!(story.stands(), "nothing (completed)");
    assert_eq!(story.file("2", 2).loads(2).stands(), "2#2 (completed)");
}

#[test]
fn a_lost_stable_version_may_be_replaced_by_the_one_that_is_on_its_way() {
    let story = Story::new().file("1", 2).loads(2).file("1", 3).loads(3).file("flat", 1);
    let story = story.file("flat", 2).fails(3);
    assert_eq!(story.stands(), "1#2 (loading)", "the version before answers, and is asked for too");
    assert_eq!(story.loads(2).stands(), "1#2 (completed)", "there is nothing to go back to");
}
