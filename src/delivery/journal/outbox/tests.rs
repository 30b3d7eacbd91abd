use rusqlite::Connection;
use tempfile::TempDir;

use super::super::tests::{Story, changes, commit, image_of, name, of_each};
use super::super::{Change, Journal};
use super::*;

fn subscribers(keys: &[&str]) -> Vec<Subscriber> {
    let of = |key: &&str| Subscriber { key: (*key).to_owned(), host: format!("{key}.example") };
    keys.iter().map(of).collect()
}

/// A new journal with an outbox for each key.
fn journal(keys: &[&str]) -> (TempDir, Journal, Vec<Outbox>) {
    let state = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(state.path()).unwrap();
    let outboxes = journal.subscribe(subscribers(keys)).unwrap();
    (state, journal, outboxes)
}

/// The numbers of all that waits.
fn waiting(outbox: &Outbox) -> Vec<u64> {
    let mut seqs = Vec::new();
    while let Some(change) = outbox.next(seqs.last().copied().unwrap_or(0)).unwrap() {
        seqs.push(change.seq);
    }
    assert_eq!(outbox.waiting().unwrap(), seqs.len());
    seqs
}

#[test]
fn each_change_waits_for_each_subscriber_until_it_is_removed() {
    let (_state, mut journal, outboxes) = journal(&["a", "b"]);
    let mut story = Story::starting_with(1).released(1).released(2);
    let told = story.transitions.clone();
    let seqs = commit(&mut journal, &name("iris"), &mut story);
    assert_eq!(waiting(&outboxes[0]), seqs);
    let first = outboxes[0].next(0).unwrap().unwrap();
    assert_eq!((first.seq, first.model, &first.transition), (1, name("iris"), &told[0]));
    outboxes[0].remove(seqs[1]).unwrap();
    assert_eq!(waiting(&outboxes[0]), seqs[2..]);
    assert_eq!(waiting(&outboxes[1]), seqs);
}

#[test]
fn what_waits_is_there_after_a_kill() {
    let (state, mut journal, _outboxes) = journal(&["a"]);
    let seqs = commit(&mut journal, &name("iris"), &mut Story::starting_with(1).released(1));
    let image = image_of(&state);
    let mut journal = Journal::open(image.path()).unwrap();
    assert_eq!(waiting(&journal.subscribe(subscribers(&["a"])).unwrap()[0]), seqs);
}

#[test]
fn a_commit_that_fails_tells_nobody() {
    let (_state, mut journal, outboxes) = journal(&["a"]);
    let mut seqs = commit(&mut journal, &name("iris"), &mut Story::starting_with(1).released(1));
    assert_eq!(outboxes[0].wait(), Signal::GoOn);
    // The disk is full after one more page.
    let pages: i64 = journal.durable.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    journal.durable.pragma_update(None, "max_page_count", pages + 1).unwrap();
    let stories: Vec<Story> = (0..20).map(|_| Story::starting_with(2).released(1)).collect();
    let news = of_each(&stories, journal.load().unwrap().next_seq);
    journal.commit(&changes(&stories, &news)).unwrap_err();
    assert_eq!(waiting(&outboxes[0]), seqs);
    assert!(outboxes[0].news.try_recv().is_err(), "there is no news");
    journal.durable.pragma_update(None, "max_page_count", 1_000_000).unwrap();
    journal.commit(&changes(&stories, &news)).unwrap();
    seqs.extend(news.iter().flat_map(|(_, news)| news).map(|(seq, _)| *seq));
    assert_eq!(waiting(&outboxes[0]), seqs);
    assert_eq!(outboxes[0].wait(), Signal::GoOn);
}

#[test]
fn a_row_that_cannot_be_put_there_stops_the_change_itself() {
    let (_state, mut journal, _outboxes) = journal(&["a"]);
    let refuse = "CREATE TRIGGER full BEFORE INSERT ON notifications
                  BEGIN SELECT raise(ABORT, 'no room'); END";
    journal.durable.execute_batch(refuse).unwrap();
    let Story { release, transitions, .. } = Story::starting_with(1).released(1);
    let transitions: Vec<_> = (1..).zip(transitions).collect();
    let change = Change { model: &name("iris"), release: &release, transitions: &transitions };
    let error = journal.commit(&[change]).unwrap_err().to_string();
    assert!(error.ends_with("cannot be written: no room"), "{error}");
    let recovered = journal.load().unwrap();
    assert_eq!((recovered.releases.len(), recovered.next_seq), (0, 1));
}

#[test]
fn a_change_that_is_no_transition_is_not_told() {
    let (_state, mut journal, outboxes) = journal(&["a"]);
    commit(&mut journal, &name("iris"), &mut Story::starting_with(1));
    assert_eq!(waiting(&outboxes[0]), Vec::<u64>::new());
    assert!(outboxes[0].news.try_recv().is_err());
}

#[test]
fn what_waits_for_those_who_are_not_told_any_more_is_forgotten() {
    let (state, mut journal, outboxes) = journal(&["a", "b"]);
    let seqs = commit(&mut journal, &name("iris"), &mut Story::starting_with(1).released(1));
    drop((journal, outboxes));
    let mut journal = Journal::open(state.path()).unwrap();
    let outboxes = journal.subscribe(subscribers(&["c", "b"])).unwrap();
    assert_eq!([waiting(&outboxes[0]), waiting(&outboxes[1])], [Vec::new(), seqs]);
    drop((journal, outboxes));
    let mut journal = Journal::open(state.path()).unwrap();
    journal.subscribe(Vec::new()).unwrap();
    let outboxes = journal.subscribe(subscribers(&["a", "b"])).unwrap();
    assert_eq!([waiting(&outboxes[0]), waiting(&outboxes[1])], [Vec::<u64>::new(), Vec::new()]);
}

#[test]
fn of_too_many_the_oldest_are_forgotten() {
    let (_state, mut journal, outboxes) = journal(&["a", "b"]);
    journal.durable.pragma_update(None, "synchronous", "OFF").unwrap(); // the disk is not the point
    let story = Story::starting_with(1).released(1);
    let transitions: Vec<_> =
        (1..=MOST_WAITING + 7).map(|seq| (seq, story.transitions[0].clone())).collect();
    let (model, release) = (&name("iris"), &story.release);
    let (most, more) = transitions.split_at(MOST_WAITING as usize);
    for transitions in [most, more] {
        journal.commit(&[Change { model, release, transitions }]).unwrap();
        outboxes[1].remove(MOST_WAITING).unwrap();
    }
    assert_eq!(waiting(&outboxes[0]), (8..=MOST_WAITING + 7).collect::<Vec<_>>());
    assert_eq!(waiting(&outboxes[1]).len(), 7);
    assert_eq!(journal.reader().history(model, 1).unwrap().len(), 1, "the history has them all");
}

#[test]
fn what_is_too_old_can_be_given_up() {
    let (_state, mut journal, outboxes) = journal(&["a", "b"]);
    let mut story = Story::starting_with(1).released(1);
    let begun = story.transitions[0].at;
    commit(&mut journal, &name("iris"), &mut story);
    let mut later = story.released(2);
    later.transitions.iter_mut().for_each(|one| one.at = WallTime(begun.0 + 1));
    let seqs = commit(&mut journal, &name("iris"), &mut later);
    assert_eq!(outboxes[0].remove_older(begun).unwrap(), 0);
    assert_eq!(outboxes[0].remove_older(WallTime(begun.0 + 1)).unwrap(), 2);
    assert_eq!(waiting(&outboxes[0]), seqs);
    assert_eq!(waiting(&outboxes[1]).len(), 4);
}

#[test]
fn one_who_waits_hears_of_news_and_of_the_end() {
    let (_state, mut journal, outboxes) = journal(&["a"]);
    let listening = std::thread::spawn({
        let outbox = outboxes.into_iter().next().unwrap();
        move || {
            let mut seqs = Vec::new();
            loop {
                match outbox.next(seqs.last().copied().unwrap_or(0)).unwrap() {
                    Some(change) => seqs.push(change.seq),
                    None if outbox.wait() == Signal::Closed => return (outbox, seqs),
                    None => {}
                }
            }
        }
    });
    let mut story = Story::starting_with(1);
    let mut seqs = Vec::new();
    for version in 1..=5 {
        story = story.released(version);
        seqs.extend(commit(&mut journal, &name("iris"), &mut story));
    }
    drop(journal);
    let (outbox, heard) = listening.join().unwrap();
    assert_eq!(heard, seqs);
    let long = Duration::from_secs(3600);
    assert_eq!(outbox.rest(long), Signal::Closed, "nobody rests longer than the journal is there");
}

#[test]
fn a_rest_lasts_as_long_as_it_should_whatever_is_new() {
    let (_state, mut journal, outboxes) = journal(&["a"]);
    commit(&mut journal, &name("iris"), &mut Story::starting_with(1).released(1));
    let (pause, begun) = (Duration::from_millis(30), Instant::now());
    assert_eq!(outboxes[0].rest(pause), Signal::GoOn);
    assert!(begun.elapsed() >= pause);
}

/// What an earlier version would have written instead of the present journal.
fn journal_of_schema(schema: usize, present: &TempDir) -> TempDir {
    let state = tempfile::tempdir().unwrap();
    let old = Connection::open(state.path().join(schema::FILE)).unwrap();
    for migration in &schema::MIGRATIONS[..schema] {
        old.execute_batch(migration).unwrap();
    }
    let present = present.path().join(schema::FILE).display().to_string();
    old.execute("ATTACH ?1 AS present", [present]).unwrap();
    for table in ["models", "transitions"] {
        old.execute_batch(&format!("INSERT INTO {table} SELECT * FROM present.{table}")).unwrap();
    }
    old.pragma_update(None, "application_id", schema::APPLICATION).unwrap();
    old.pragma_update(None, "user_version", schema as i64).unwrap();
    state
}

#[test]
fn a_journal_of_before_is_brought_up_to_date() {
    let (state, mut journal, outboxes) = journal(&[]);
    let seqs = commit(&mut journal, &name("iris"), &mut Story::starting_with(1).released(1));
    let before = journal.load().unwrap();
    drop((journal, outboxes));
    let old = journal_of_schema(3, &state);
    let mut journal = Journal::open(old.path()).unwrap();
    assert_eq!(journal.load().unwrap(), before);
    let outboxes = journal.subscribe(subscribers(&["a"])).unwrap();
    assert_eq!(waiting(&outboxes[0]), Vec::<u64>::new(), "the past is not told");
    let mut story = Story::starting_with(2).released(2);
    let later = commit(&mut journal, &name("wine"), &mut story);
    assert!(later[0] > *seqs.last().unwrap());
    assert_eq!(waiting(&outboxes[0]), later);
}
