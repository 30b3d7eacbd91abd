//! Files of records, on a disk.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::capture::recordings::Recordings;
use crate::domain::model::{Digest, ModelName, VersionLabel};
use crate::domain::rollout::RolloutId;
use crate::domain::sampling::{Purpose, draw};

const HOUR: Duration = Duration::from_secs(3600);

fn model(name: &str) -> ModelName {
    name.parse().unwrap()
}

/// A state folder.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn shelf(&self, max_bytes: u64) -> Shelf {
        Shelf::open(Place::captures(self.0.path()), max_bytes, HOUR).unwrap()
    }

    /// The times of a model's records, the oldest first.
    fn times(&self, name: &str) -> Vec<u64> {
        let recordings = Recordings::open(self.0.path(), &model(name)).unwrap();
        let times: Vec<u64> = recordings.oldest_first().map(|it| it.unwrap().time.0).collect();
        let newest: Vec<u64> = recordings.newest_first().map(|it| it.unwrap().time.0).collect();
        assert!(times.iter().rev().eq(&newest));
        times
    }

    fn files(&self, name: &str) -> Vec<PathBuf> {
        let folder = Place::captures(self.0.path()).folder().join(name);
        let entries = fs::read_dir(folder).into_iter().flatten();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }
}

fn priority(time: u64) -> u64 {
    draw(time, 9, Purpose::Capture)
}

/// A record of this time.
fn frame(time: u64) -> Vec<u8> {
    let mut frame = Vec::new();
    let (version, digest) = ("1".parse::<VersionLabel>().unwrap(), Digest::from_bytes([0; 32]));
    let answered = record::Answered {
        time: WallTime(time),
        priority: priority(time),
        number: time,
        version: &version,
        digest,
        inputs: std::iter::empty(),
        outputs: std::iter::empty(),
    };
    let rule = record::Rule { only_digests: false, redact: Vec::new() };
    segment::add_frame(&mut frame, |out| record::encode(out, answered, &rule));
    frame
}

fn add(shelf: &mut Shelf, name: &str, time: u64, bound: u64) {
    add_to(shelf, &Series::Model(model(name)), time, bound);
}

fn add_to(shelf: &mut Shelf, series: &Series, time: u64, bound: u64) {
    let frames = frame(time);
    let addition = Addition { frames: &frames, records: 1, oldest: WallTime(time), bound };
    shelf.add(series, &addition).unwrap();
}

#[test]
fn records_are_read_in_the_order_of_their_time_also_beside_a_writer() {
    let bench = Bench::new();
    let mut shelf = bench.shelf(1 << 20);
    (1..=500).for_each(|time| add(&mut shelf, "m", time, u64::MAX));
    add(&mut shelf, "n", 7, u64::MAX);
    assert_eq!(bench.times("m"), (1..=500).collect::<Vec<_>>());
    assert_eq!(bench.times("n"), [7]);
    assert_eq!(bench.times("other"), [0; 0]);
    assert!(bench.files("m").len() > 1);
    let on_disk: u64 = bench.files("m").iter().map(|it| fs::metadata(it).unwrap().len()).sum();
    assert_eq!(shelf.bytes(), on_disk + (frame(7).len() + HEADER) as u64);
    let models = Recordings::models(bench.0.path()).unwrap();
    assert_eq!(models, [model("m"), model("n")]);
}

#[test]
fn what_a_crash_has_left_half_written_is_cut_off_and_the_rest_goes_on() {
    let bench = Bench::new();
    let mut shelf = bench.shelf(1 << 20);
    (1..=3).for_each(|time| add(&mut shelf, "m", time, u64::MAX));
    let path = bench.files("m")[0].clone();
    let whole = fs::metadata(&path).unwrap().len();
    let torn = &frame(4)[..20];
    files::append(&path, whole, torn).unwrap();
    fs::write(path.with_extension("new"), "half").unwrap();
    assert_eq!(bench.times("m"), [1, 2, 3], "a reader passes over it");
    let mut shelf = bench.shelf(1 << 20);
    assert_eq!(fs::metadata(&path).unwrap().len(), whole);
    assert_eq!(shelf.bytes(), whole);
    add(&mut shelf, "m", 5, u64::MAX);
    assert_eq!(bench.times("m"), [1, 2, 3, 5]);
    assert_eq!(bench.files("m").len(), 2, "{:?}", bench.files("m"));
}

#[test]
fn a_file_of_another_release_is_not_written_over() {
    let bench = Bench::new();
    add(&mut bench.shelf(1 << 20), "m", 1, u64::MAX);
    let path = bench.files("m")[0].clone();
    let other = vec![7; 1000];
    fs::write(&path, &other).unwrap();
    add(&mut bench.shelf(1 << 20), "m", 2, u64::MAX);
    assert_eq!(fs::read(&path).unwrap(), other);
    assert_eq!(bench.files("m").len(), 2);
}

#[test]
fn a_file_that_was_only_begun_goes_and_one_that_is_broken_stays() {
    let bench = Bench::new();
    add(&mut bench.shelf(1 << 20), "m", 1, u64::MAX);
    add(&mut bench.shelf(1 << 20), "n", 1, u64::MAX);
    files::cut(&bench.files("m")[0], 10).unwrap();
    fs::write(&bench.files("n")[0], [7; 100]).unwrap();
    assert_eq!(bench.shelf(1 << 20).bytes(), 0);
    assert_eq!((bench.files("m").len(), bench.files("n").len()), (0, 1));
    let recordings = Recordings::open(bench.0.path(), &model("n")).unwrap();
    let told = recordings.oldest_first().next().unwrap().unwrap_err().to_string();
    assert!(told.contains("another format"), "{told}");
}

#[test]
fn what_is_left_is_a_fair_sample_of_all_and_what_comes_has_the_same_chance() {
    let bench = Bench::new();
    let mut shelf = bench.shelf(64 << 10);
    (0..1000).for_each(|time| add(&mut shelf, "m", time, u64::MAX));
    let before = shelf.bytes();
    let (bound, _) = shelf.shrink(u64::MAX, before / 2, std::iter::empty()).unwrap();
    assert!(shelf.bytes() <= before / 2 && shelf.bytes() > before / 3, "{}", shelf.bytes());
    let expected: Vec<u64> = (0..1000).filter(|time| priority(*time) < bound).collect();
    assert_eq!(bench.times("m"), expected);
    assert_eq!(shelf.bound(), Some(bound));
    let again = bench.shelf(64 << 10);
    assert_eq!((again.bytes(), again.bound()), (shelf.bytes(), Some(bound)));
    add(&mut shelf, "m", 2000, bound);
    assert_eq!(bench.times("m").last(), Some(&2000));
}

#[test]
fn a_reader_sees_what_was_there_when_it_came() {
    let bench = Bench::new();
    let mut shelf = bench.shelf(64 << 10);
    (0..100).for_each(|time| add(&mut shelf, "m", time, u64::MAX));
    let recordings = Recordings::open(bench.0.path(), &model("m")).unwrap();
    shelf.shrink(u64::MAX, 500, std::iter::empty()).unwrap();
    shelf.expire(WallTime(HOUR.as_millis() as u64 * 2)).unwrap();
    assert!(bench.files("m").is_empty());
    assert_eq!(recordings.oldest_first().count(), 100);
}

#[test]
fn what_is_too_old_goes() {
    let bench = Bench::new();
    let mut shelf = bench.shelf(1 << 20);
    let minute = 60_000;
    (0..60).for_each(|number| add(&mut shelf, "m", number * minute, u64::MAX));
    shelf.expire(WallTime(70 * minute)).unwrap();
    let left = bench.times("m");
    assert!((11..=20).contains(&(left[0] / minute)), "{left:?}");
    assert_eq!(left.last(), Some(&(59 * minute)));
    shelf.expire(WallTime(200 * minute)).unwrap();
    assert_eq!((bench.times("m").len(), shelf.bytes()), (0, 0));
}

#[test]
fn what_was_taken_out_goes_first_and_is_no_loss() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::spool(folder.path());
    let series = Series::Rollout(RolloutId(2));
    let mut shelf = Shelf::open(place.clone(), 256 << 10, HOUR).unwrap();
    (0..1000).for_each(|time| add_to(&mut shelf, &series, time, u64::MAX));
    let numbers: Vec<(u64, u64)> =
        shelf.records().map(|(_, number, records)| (number, records)).collect();
    assert!(numbers.len() > 3, "{numbers:?}");
    assert_eq!(numbers.iter().map(|(_, records)| records).sum::<u64>(), 1000);

    let begun = Position { segment: numbers[1].0, index: 7 };
    shelf.taken.insert(series.clone(), begun);
    let taken = numbers[0].1 + 7;
    let most = shelf.bytes() / 2;
    let (bound, gone) = shelf.shrink(u64::MAX, most, std::iter::empty()).unwrap();
    let mut left = Vec::new();
    shelf.count(|_, head| left.push(head.number)).unwrap();
    assert!(left.iter().copied().eq((taken..1000).filter(|time| priority(*time) < bound)));
    assert_eq!(gone[&series], 1000 - taken - left.len() as u64);
    assert_eq!(shelf.taken[&series], Position { index: 0, ..begun });

    let again = Shelf::open(place, 256 << 10, HOUR).unwrap();
    assert_eq!(again.bytes(), shelf.bytes());
    shelf.remove(|_, _, _| true).unwrap();
    add_to(&mut shelf, &series, 2000, u64::MAX);
    let (_, number, _) = shelf.records().next().unwrap();
    assert!(number > begun.segment, "a number is used once");
}
