use std::fs;
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::domain::model::VersionLabel;
use crate::domain::rollout::{
    Actor, Command, Context, Event, LoadFailure, Place, Plan, Seen, Verb,
};
use crate::domain::time::{Moment, WallTime};

/// A model whose releases happen in a test, on a clock that the test turns.
pub(super) struct Story {
    pub(super) release: Release,
    pub(super) transitions: Vec<Transition>,
    next_rollout: u64,
    seconds: u64,
}

impl Story {
    pub(super) fn starting_with(next_rollout: u64) -> Self {
        Self { release: Release::default(), transitions: Vec::new(), next_rollout, seconds: 0 }
    }

    fn now(&self) -> Moment {
        let passed = Duration::from_secs(self.seconds);
        Moment { monotonic: passed, wall: WallTime(1_790_000_000_000 + self.seconds * 1000) }
    }

    /// Refused commands change nothing, which suits a story.
    pub(super) fn happens(&mut self, event: Event) {
        let plan = Plan::default();
        let (now, next_id) = (self.now(), RolloutId(self.next_rollout));
        if let Ok(step) =
            self.release.step(event, Context { now, plan: &plan, next_id, has_recordings: false })
        {
            self.transitions.extend(step.transitions);
            self.next_rollout += u64::from(step.used.is_some());
        }
    }

    pub(super) fn released(mut self, version: u8) -> Self {
        self.happens(Event::Seen(vec![seen(version, version)]));
        self.happens(Event::Loaded(digest(version)));
        self
    }

    /// What was not written yet.
    fn news(&mut self) -> Vec<Transition> {
        std::mem::take(&mut self.transitions)
    }
}

fn digest(content: u8) -> Digest {
    Digest::from_bytes([content; 32])
}

fn label(version: u8) -> VersionLabel {
    version.to_string().parse().unwrap()
}

fn seen(version: u8, content: u8) -> Seen {
    Seen { place: Place::Labelled(label(version)), digest: digest(content) }
}

pub(super) fn name(text: &str) -> ModelName {
    text.parse().unwrap()
}

/// Writes down what is new, and gives the numbers of it.
pub(super) fn commit(journal: &mut Journal, model: &ModelName, story: &mut Story) -> Vec<u64> {
    let first = journal.load().unwrap().next_seq;
    let transitions: Vec<Numbered> = (first..).zip(story.news()).collect();
    journal
        .commit(&[Change { model, release: &story.release, transitions: &transitions }])
        .unwrap();
    transitions.into_iter().map(|(seq, _)| seq).collect()
}

/// A model of its own for each story, and what is new of it, numbered from `first` on.
pub(super) fn of_each(stories: &[Story], first: u64) -> Vec<(ModelName, Vec<Numbered>)> {
    let mut numbers = first..;
    let of = |(at, story): (usize, &Story)| {
        let news = numbers.by_ref().zip(story.transitions.clone()).collect();
        (name(&format!("model-{at:02}")), news)
    };
    stories.iter().enumerate().map(of).collect()
}

pub(super) fn changes<'c>(
    stories: &'c [Story],
    of_each: &'c [(ModelName, Vec<Numbered>)],
) -> Vec<Change<'c>> {
    let both = stories.iter().zip(of_each);
    both.map(|(Story { release, .. }, (model, transitions))| Change { model, release, transitions })
        .collect()
}

/// What the disk would hold if the process ended now.
pub(super) fn image_of(state: &TempDir) -> TempDir {
    let image = tempfile::tempdir().unwrap();
    for file in ["journal.sqlite3", "journal.sqlite3-wal"] {
        fs::copy(state.path().join(file), image.path().join(file)).unwrap();
    }
    image
}

#[test]
fn what_was_committed_is_there_after_a_kill() {
    let state = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(state.path()).unwrap();
    let mut story = Story::starting_with(1).released(1).released(2);
    let seqs = commit(&mut journal, &name("iris"), &mut story);
    let image = image_of(&state);
    let recovered = Journal::open(image.path()).unwrap().load().unwrap();
    let (seq, mut release) = recovered.releases[&name("iris")].clone();
    release.resume(story.now());
    assert_eq!((Some(&seq), release), (seqs.last(), story.release));
    assert_eq!(recovered.next_rollout, RolloutId(3));
}

#[test]
fn an_empty_journal_knows_nothing() {
    let state = tempfile::tempdir().unwrap();
    let recovered = Journal::open(state.path()).unwrap().load().unwrap();
    let nothing = Recovered {
        releases: BTreeMap::new(),
        next_rollout: RolloutId(1),
        next_seq: 1,
        files: Vec::new(),
    };
    assert_eq!(recovered, nothing);
}

#[test]
fn many_models_are_committed_at_once() {
    let state = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(state.path()).unwrap();
    let mut next = 1;
    let stories: Vec<Story> = (0..50)
        .map(|_| {
            let story = Story::starting_with(next).released(1);
            next = story.next_rollout;
            story
        })
        .collect();
    let news = of_each(&stories, 1);
    journal.commit(&changes(&stories, &news)).unwrap();
    let recovered = journal.load().unwrap();
    let last: Vec<u64> = recovered.releases.values().map(|(seq, _)| *seq).collect();
    let expected: Vec<u64> = news.iter().map(|(_, news)| news.last().unwrap().0).collect();
    assert_eq!(last, expected);
    assert_eq!(recovered.next_rollout, RolloutId(next));
    assert_eq!(recovered.next_seq, expected.last().unwrap() + 1);
}

#[test]
fn what_cannot_be_written_is_not_written_in_part() {
    let state = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(state.path()).unwrap();
    let mut story = Story::starting_with(1).released(1);
    commit(&mut journal, &name("iris"), &mut story);
    let before = journal.load().unwrap();
    // The disk is full after one more page.
    let pages: i64 = journal.durable.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    journal.durable.pragma_update(None, "max_page_count", pages + 1).unwrap();
    let stories: Vec<Story> = (0..20).map(|_| Story::starting_with(2).released(1)).collect();
    let news = of_each(&stories, before.next_seq);
    let changes = changes(&stories, &news);
    let error = journal.commit(&changes).unwrap_err().to_string();
    assert!(error.ends_with("cannot be written: database or disk is full"), "{error}");
    assert_eq!(journal.load().unwrap(), before);
    journal.durable.pragma_update(None, "max_page_count", 1_000_000).unwrap();
    journal.commit(&changes).unwrap();
}

#[test]
fn a_change_without_a_transition_keeps_the_number_of_the_last_one() {
    let state = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(state.path()).unwrap();
    let (iris, mut story) = (name("iris"), Story::starting_with(1).released(2));
    let seqs = commit(&mut journal, &iris, &mut story);
    story.happens(Event::Seen(vec![seen(1, 1)])); // an older one: noted, and not released
    assert_eq!(commit(&mut journal, &iris, &mut story), Vec::<u64>::new());
    let expected = (*seqs.last().unwrap(), story.release);
    assert_eq!(journal.load().unwrap().releases[&iris], expected);
}

#[test]
fn saved_countdowns_go_on_after_a_restart() {
    let state = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(state.path()).unwrap();
    let (iris, mut story) = (name("iris"), Story::starting_with(1).released(1).released(2));
    let seqs = commit(&mut journal, &iris, &mut story);
    story.seconds = 400;
    story.release.count_to(story.now());
    journal.save([(&iris, &story.release)]).unwrap();
    drop(journal);
    let recovered = Journal::open(state.path()).unwrap().load().unwrap();
    let (seq, mut release) = recovered.releases[&iris].clone();
    story.seconds = 5;
    release.resume(story.now());
    assert_eq!(Some(&seq), seqs.last());
    assert_eq!(release.next_tick(), Some(Duration::from_secs(5 + 200)));
}

#[test]
fn the_history_tells_the_newest_rollout_first_and_each_as_it_ended() {
    let state = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(state.path()).unwrap();
    let (iris, wine) = (name("iris"), name("wine"));
    let mut story = Story::starting_with(1).released(1).released(2);
    commit(&mut journal, &iris, &mut story);
    let mut other = Story::starting_with(3).released(7);
    commit(&mut journal, &wine, &mut other);
    story.next_rollout = 4;
    let command = |verb| {
        let actor = Actor::Operator("ada".to_owned());
        Event::Command(Command::plain(verb, actor, "why not".to_owned()))
    };
    story.happens(command(Verb::Abort));
    story.happens(command(Verb::Retry));
    let seqs = commit(&mut journal, &iris, &mut story);
    let reader = journal.reader();
    let shown = |limit| -> Vec<String> {
        let history = reader.history(&iris, limit).unwrap();
        let line = |past: &RolloutHistory| {
            format!("{} {} {}", past.seq, past.rollout.id, past.rollout.phase.name())
        };
        history.iter().map(line).collect()
    };
    let second = seqs[0];
    let all = [
        format!("{} r-000004 loading", seqs[1]),
        format!("{second} r-000002 aborted"),
        "2 r-000001 completed".to_owned(),
    ];
    assert_eq!(shown(10), all);
    assert_eq!(shown(1), all[..1]);
    assert_eq!(reader.history(&name("nobody"), 10).unwrap(), Vec::new());

    let (model, transitions) = reader.rollout(RolloutId(2)).unwrap().unwrap();
    let phases: Vec<&str> = transitions.iter().map(|(_, one)| one.rollout.phase.name()).collect();
    assert_eq!((model, phases), (iris, vec!["loading", "baking", "aborted"]));
    assert_eq!(transitions.last().map(|(seq, _)| *seq), Some(second));
    assert_eq!(reader.rollout(RolloutId(99)).unwrap(), None);
}

#[test]
fn a_removed_model_leaves_its_history() {
    let state = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(state.path()).unwrap();
    let (iris, mut story) = (name("iris"), Story::starting_with(1).released(1));
    commit(&mut journal, &iris, &mut story);
    journal.remove(&iris).unwrap();
    let recovered = journal.load().unwrap();
    assert_eq!((recovered.releases.len(), recovered.next_rollout), (0, RolloutId(2)));
    assert_eq!(journal.reader().history(&iris, 10).unwrap().len(), 1);
}

#[test]
fn what_files_hold_is_remembered() {
    let state = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(state.path()).unwrap();
    let known = |path: &str, size: u64, content| (path.to_owned(), [size, 17], digest(content));
    let files = [known("iris/1.onnx", 5, 1), known("iris/2.onnx", 6, 2)];
    journal.save_files(&files, &[]).unwrap();
    let changed = [known("iris/1.onnx", 8, 3)];
    journal.save_files(&changed, &["iris/2.onnx".to_owned()]).unwrap();
    drop(journal);
    let recovered = Journal::open(state.path()).unwrap().load().unwrap();
    let expected = ("iris/1.onnx".to_owned(), serde_json::json!([8, 17]), digest(3));
    assert_eq!(recovered.files, [expected]);
}

/// Opening fails with this sentence, and leaves the file as it was.
#[track_caller]
fn assert_refused(state: &TempDir, sentence: &str) {
    let path = state.path().join("journal.sqlite3");
    let before = fs::read(&path).unwrap();
    let error = Journal::open(state.path()).unwrap_err().to_string();
    assert_eq!(error.replace(&path.display().to_string(), "PATH"), sentence);
    assert!(fs::read(&path).unwrap() == before, "the file was changed");
}

#[test]
fn other_peoples_files_are_left_alone() {
    let sentence = "`PATH` is not a journal of greenroom: move it away, or name another state folder \
                    with --state";
    let state = tempfile::tempdir().unwrap();
    fs::write(state.path().join("journal.sqlite3"), "dear diary, ".repeat(1000)).unwrap();
    assert_refused(&state, sentence);

    let state = tempfile::tempdir().unwrap();
    let foreign = Connection::open(state.path().join("journal.sqlite3")).unwrap();
    foreign.execute_batch("CREATE TABLE bookmarks (url TEXT)").unwrap();
    drop(foreign);
    assert_refused(&state, sentence);
}

#[test]
fn a_journal_of_a_newer_version_is_left_alone() {
    let state = tempfile::tempdir().unwrap();
    drop(Journal::open(state.path()).unwrap());
    let newer = Connection::open(state.path().join("journal.sqlite3")).unwrap();
    newer.pragma_update(None, "user_version", 77).unwrap();
    drop(newer);
    assert_refused(
        &state,
        &format!(
            "the journal `PATH` is of a newer version of greenroom (schema 77; this one knows {}): \
             use that version, or name another state folder with --state",
            schema::newest()
        ),
    );
}

#[test]
fn a_damaged_journal_is_one_clear_error() {
    let written = || {
        let state = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(state.path()).unwrap();
        let mut story = Story::starting_with(1).released(1).released(2);
        commit(&mut journal, &name("iris"), &mut story);
        (state, journal)
    };
    let (state, journal) = written();
    drop(journal);
    let path = state.path().join("journal.sqlite3");
    let mut bytes = fs::read(&path).unwrap();
    bytes[4096..].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    let error = Journal::open(state.path()).unwrap_err();
    assert!(matches!(error, JournalError::Damaged { .. }), "{error}");

    let (_state, journal) = written();
    journal.durable.execute("UPDATE models SET release = '{\"labels\":7}'", []).unwrap();
    let error = journal.load().unwrap_err().to_string();
    assert!(error.contains("is damaged (the state of `iris` cannot be understood: "), "{error}");
    journal.durable.execute("UPDATE transitions SET document = '?'", []).unwrap();
    let error = journal.reader().history(&name("iris"), 1).unwrap_err();
    assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
}

/// Anything that can happen to a model, except what is forgotten at a restart on purpose.
fn event() -> impl Strategy<Value = Event> {
    let place =
        prop_oneof![Just(None), (1..5_u8).prop_map(Some)].prop_map(|version| match version {
            None => Place::Flat,
            Some(version) => Place::Labelled(label(version)),
        });
    let seen = (place.clone(), 1..6_u8)
        .prop_map(|(place, content)| Seen { place, digest: digest(content) });
    let verb = prop_oneof![
        Just(Verb::Start),
        Just(Verb::Promote),
        Just(Verb::Abort),
        Just(Verb::Undo),
        Just(Verb::Retry)
    ];
    let command =
        (verb, proptest::option::of(1..6_u8), "\\PC{0,20}").prop_map(|(verb, version, reason)| {
            let actor = Actor::Operator("ada \"the\" first".to_owned());
            Command { version: version.map(label), ..Command::plain(verb, actor, reason) }
        });
    let broken = |content| {
        Event::LoadFailed(digest(content), LoadFailure::Broken("it is `broken`".to_owned()))
    };
    prop_oneof![
        4 => proptest::collection::vec(seen, 1..3).prop_map(Event::Seen),
        4 => (1..6_u8).prop_map(|content| Event::Loaded(digest(content))),
        1 => (1..6_u8).prop_map(broken),
        1 => place.prop_map(Event::Gone),
        1 => Just(Event::AllGone),
        3 => command.prop_map(Event::Command),
        2 => Just(Event::Tick),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_is_read_is_what_was_written(
        events in proptest::collection::vec((event(), 0..400_u64), 1..40),
    ) {
        let state = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(state.path()).unwrap();
        journal.durable.pragma_update(None, "synchronous", "OFF").unwrap(); // the disk is not the point
        let (iris, mut story) = (name("iris"), Story::starting_with(1));
        let mut told: BTreeMap<u64, Transition> = BTreeMap::new();
        for (event, passed) in events {
            story.seconds += passed;
            story.happens(event);
            story.release.count_to(story.now());
            let transitions = story.transitions.clone();
            told.extend(commit(&mut journal, &iris, &mut story).into_iter().zip(transitions));
        }
        let recovered = journal.load().unwrap();
        let (seq, mut release) = recovered.releases[&iris].clone();
        release.resume(story.now());
        prop_assert_eq!(release, story.release);
        prop_assert_eq!(Some(seq), told.keys().next_back().copied().or(Some(0)));
        prop_assert_eq!(recovered.next_rollout, RolloutId(story.next_rollout));
        for past in journal.reader().history(&iris, 1000).unwrap() {
            let last = &told[&past.seq].rollout;
            prop_assert_eq!((past.rollout.id, past.rollout.phase.name()), (last.id, last.phase.name()));
        }
    }
}
