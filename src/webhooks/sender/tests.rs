use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use tempfile::TempDir;

use super::*;
use crate::delivery::{Change, Journal, Subscriber};
use crate::domain::model::Digest;
use crate::domain::rollout::{Context, Event, Place, Plan, Release, RolloutId, Seen, Transition};

const DAY: u64 = 24 * 60 * 60;

type Post = Box<dyn FnMut(&Announcement, WallTime) -> Answer>;

/// A sender whose receiver is the test, on a clock that the test turns.
struct Story {
    sender: Sender<Post>,
    told: Rc<RefCell<Vec<u64>>>,
    answers: Rc<RefCell<VecDeque<Answer>>>,
    journal: Journal,
    state: TempDir,
    seconds: u64,
}

fn subscriber() -> Subscriber {
    Subscriber { key: "key".to_owned(), host: "hooks.example".to_owned() }
}

impl Story {
    fn begin() -> Self {
        let state = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(state.path()).unwrap();
        let outbox = journal.subscribe(vec![subscriber()]).unwrap().remove(0);
        let (told, answers) = (Rc::default(), Rc::default());
        let sender = sender(outbox, &told, &answers);
        Self { sender, told, answers, journal, state, seconds: 10 * DAY }
    }

    /// A transition of a model of its own.
    fn changes(&mut self) -> u64 {
        let seq = self.journal.load().unwrap().next_seq;
        let (release, transition) = begin_rollout(seq, self.now());
        let model = format!("model-{seq}").parse().unwrap();
        let transitions = &[(seq, transition)];
        self.journal.commit(&[Change { model: &model, release: &release, transitions }]).unwrap();
        seq
    }

    fn answers(&self, status: u16) {
        self.answers.borrow_mut().push_back(Answer::Status { status, retry_after: None });
    }

    fn now(&self) -> Moment {
        let monotonic = Duration::from_secs(self.seconds);
        Moment { monotonic, wall: WallTime(1_790_000_000_000 + self.seconds * 1000) }
    }

    fn step(&mut self) -> Next {
        self.sender.step(self.now(), 1.0)
    }

    /// What was told since the last time that it was asked.
    fn told(&self) -> Vec<u64> {
        std::mem::take(&mut self.told.borrow_mut())
    }

    fn waiting(&self) -> usize {
        self.sender.outbox.waiting().unwrap()
    }
}

fn sender(
    outbox: Outbox,
    told: &Rc<RefCell<Vec<u64>>>,
    answers: &Rc<RefCell<VecDeque<Answer>>>,
) -> Sender<Post> {
    let (told, answers) = (told.clone(), answers.clone());
    let post = move |change: &Announcement, _| {
        told.borrow_mut().push(change.seq);
        answers.borrow_mut().pop_front().expect("a message that the test has not expected")
    };
    Sender::new("hooks.example".to_owned(), outbox, Box::new(post))
}

fn begin_rollout(number: u64, now: Moment) -> (Release, Transition) {
    let seen =
        Seen { place: Place::Labelled("1".parse().unwrap()), digest: Digest::from_bytes([1; 32]) };
    let mut release = Release::default();
    let context =
        Context { now, plan: &Plan::default(), next_id: RolloutId(number), has_recordings: false };
    let step = release.step(Event::Seen(vec![seen]), context).unwrap();
    (release, step.transitions.into_iter().next().unwrap())
}

fn seconds(seconds: u64) -> Next {
    Next::Rest(Duration::from_secs(seconds))
}

#[test]
fn changes_are_told_in_order_and_then_it_waits() {
    let mut story = Story::begin();
    assert_eq!(story.step(), Next::Wait);
    let seqs = [story.changes(), story.changes()];
    (0..2).for_each(|_| story.answers(200));
    assert_eq!([story.step(), story.step(), story.step()], [Next::GoOn, Next::GoOn, Next::Wait]);
    assert_eq!(story.told(), seqs);
    assert_eq!(story.waiting(), 0);
}

#[test]
fn one_that_fails_is_told_again_before_those_after_it_and_ever_later() {
    let mut story = Story::begin();
    let (first, second) = (story.changes(), story.changes());
    for (status, rest) in [(500, 1), (302, 2), (404, 4)] {
        story.answers(status);
        assert_eq!(story.step(), seconds(rest));
    }
    story.answers.borrow_mut().push_back(Answer::None("no".to_owned()));
    assert_eq!(story.step(), seconds(8));
    (0..2).for_each(|_| story.answers(204));
    assert_eq!([story.step(), story.step(), story.step()], [Next::GoOn, Next::GoOn, Next::Wait]);
    assert_eq!(story.told(), [first, first, first, first, first, second]);
    story.changes();
    story.answers(500);
    assert_eq!(story.step(), seconds(1), "what went well is the end of a row of failures");
}

#[test]
fn a_receiver_that_asks_for_time_gets_it() {
    let mut story = Story::begin();
    story.changes();
    let retry_after = Some("120".to_owned());
    story.answers.borrow_mut().push_back(Answer::Status { status: 429, retry_after });
    assert_eq!(story.step(), seconds(120));
}

#[test]
fn what_a_receiver_does_not_want_is_dropped_and_the_next_is_told() {
    let mut story = Story::begin();
    let seqs = [story.changes(), story.changes()];
    story.answers(410);
    story.answers(200);
    assert_eq!([story.step(), story.step(), story.step()], [Next::GoOn, Next::GoOn, Next::Wait]);
    assert_eq!((story.told(), story.waiting()), (seqs.to_vec(), 0));
}

#[test]
fn what_is_a_day_old_is_given_up_when_it_has_failed_for_a_while() {
    let mut story = Story::begin();
    let old = [story.changes(), story.changes()];
    story.seconds += DAY;
    let young = story.changes();
    for passed in [0, 599] {
        story.seconds += passed;
        story.answers(500);
        story.step();
        assert_eq!(
            story.waiting(),
            old.len() + 1,
            "a server that was down gives its receivers time"
        );
    }
    story.seconds += 1;
    story.answers(500);
    story.step();
    story.told();
    story.answers(200);
    assert_eq!([story.step(), story.step()], [Next::GoOn, Next::Wait]);
    assert_eq!((story.told(), story.waiting()), (vec![young], 0));
}

#[test]
fn what_was_told_and_cannot_be_taken_out_is_not_told_twice_before_a_restart() {
    let mut story = Story::begin();
    let first = story.changes();
    let other = rusqlite::Connection::open(story.state.path().join("journal.sqlite3")).unwrap();
    let stuck = "CREATE TRIGGER stuck BEFORE DELETE ON notifications
                 BEGIN SELECT raise(ABORT, 'no room'); END";
    other.execute_batch(stuck).unwrap();
    story.answers(200);
    assert_eq!([story.step(), story.step()], [Next::GoOn, seconds(5)]);
    // Whoever starts now finds it there, and tells it by the same number.
    let mut journal = Journal::open(story.state.path()).unwrap();
    let outbox = journal.subscribe(vec![subscriber()]).unwrap().remove(0);
    story.answers(500);
    sender(outbox, &story.told, &story.answers).step(story.now(), 1.0);
    assert_eq!(story.told(), [first, first]);
    let second = story.changes();
    other.execute_batch("DROP TRIGGER stuck").unwrap();
    story.answers(200);
    assert_eq!([story.step(), story.step()], [Next::GoOn, Next::Wait]);
    assert_eq!((story.told(), story.waiting()), (vec![second], 0));
}

#[test]
fn a_journal_that_cannot_be_read_is_looked_at_again() {
    let mut story = Story::begin();
    story.changes();
    let other = rusqlite::Connection::open(story.state.path().join("journal.sqlite3")).unwrap();
    other.execute_batch("ALTER TABLE notifications RENAME TO away").unwrap();
    assert_eq!(story.step(), seconds(5));
    other.execute_batch("ALTER TABLE away RENAME TO notifications").unwrap();
    story.answers(200);
    assert_eq!([story.step(), story.step()], [Next::GoOn, Next::Wait]);
}

#[test]
fn pauses_are_spread() {
    let chances: Vec<f64> = (0..100).map(|_| chance()).collect();
    assert!(chances.iter().all(|chance| (0.0..=1.0).contains(chance)));
    assert!(
        chances.iter().any(|&chance| chance < 0.5) && chances.iter().any(|&chance| chance > 0.5)
    );
}
