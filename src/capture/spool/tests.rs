//! Requests that wait on a disk, through restarts.

use super::*;
use crate::domain::sampling::{Purpose, draw};
use crate::domain::tensor::Elements;
use crate::serving::testing::servable;

const ROLLOUT: RolloutId = RolloutId(7);

/// A server's spool, as often as it is started.
struct Bench {
    folder: tempfile::TempDir,
    servable: Arc<Servable>,
}

struct Running(Spool, RecorderThread);

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), servable: servable("1") }
    }

    fn start(&self) -> Running {
        let (spool, thread) =
            Spool::start(self.folder.path(), &BTreeSet::from([ROLLOUT]), Vec::new()).unwrap();
        Running(spool, thread)
    }

    /// Leaves requests with these numbers, and waits until they are on the disk.
    fn offer(&self, running: &Running, numbers: std::ops::Range<u64>) {
        let Running(spool, _) = running;
        spool.open(ROLLOUT);
        let waiting = spool.waiting(ROLLOUT) + (numbers.end - numbers.start);
        for number in numbers {
            let priority = draw(number, 3, Purpose::Capture);
            let input = Tensor::new(vec![1], Elements::F32(vec![number as f32])).unwrap();
            let spooled = Spooled { rollout: ROLLOUT, number, priority };
            spool.offer(spooled, &self.servable, &Arc::new(vec![input]), None).unwrap();
        }
        until(|| spool.waiting(ROLLOUT) == waiting);
    }

    fn has_files(&self) -> bool {
        std::fs::read_dir(self.folder.path().join("spool/r-000007")).is_ok()
    }
}

/// Takes so many out, and finishes them.
fn take(running: &Running, count: usize) -> Vec<u64> {
    let Running(spool, _) = running;
    let taken = std::iter::from_fn(|| spool.take(ROLLOUT).unwrap()).take(count);
    taken
        .map(|it| {
            spool.finished(ROLLOUT);
            it.number
        })
        .collect()
}

fn until(is_so: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(std::time::Instant::now() < deadline);
        std::thread::yield_now();
    }
}

#[test]
fn each_is_taken_once_the_oldest_first() {
    let (bench, all) = (Bench::new(), 300);
    let running = bench.start();
    bench.offer(&running, 0..100);
    assert!(take(&running, 30).into_iter().eq(0..30));
    bench.offer(&running, 100..all);
    assert_eq!(running.0.waiting(ROLLOUT), all - 30);
    assert!(take(&running, 1000).into_iter().eq(30..all));
    assert_eq!((running.0.waiting(ROLLOUT), take(&running, 1)), (0, vec![]));
    running.0.saved(ROLLOUT, all - 1);
    until(|| !bench.has_files());
    bench.offer(&running, all..all + 5);
    assert!(take(&running, 1000).into_iter().eq(all..all + 5));
    running.1.end();
}

#[test]
fn a_restart_goes_on_behind_what_was_written_down() {
    let bench = Bench::new();
    let running = bench.start();
    bench.offer(&running, 0..50);
    assert_eq!(take(&running, 20).len(), 20);
    running.0.saved(ROLLOUT, 9);
    drop(running); // as a crash does: what came of ten of them is lost, too

    let running = bench.start();
    assert_eq!(running.0.open(ROLLOUT), Some(49), "numbers go on from there");
    running.0.resume_after(ROLLOUT, 9).unwrap();
    assert_eq!(running.0.waiting(ROLLOUT), 40);
    assert!(take(&running, 1000).into_iter().eq(10..50));
    running.0.saved(ROLLOUT, 49);
    until(|| !bench.has_files());
    drop(running);

    let running = bench.start();
    running.0.resume_after(ROLLOUT, 49).unwrap();
    bench.offer(&running, 50..60);
    assert!(take(&running, 1000).into_iter().eq(50..60), "all that is there is new");
}

#[test]
fn what_is_handed_over_together_and_finds_no_room_is_lost_together() {
    let bench = Bench::new();
    let Running(spool, thread) = bench.start();
    thread.end(); // so that nothing is taken from the queue
    let other = RolloutId(ROLLOUT.0 + 1);
    let inputs = Arc::new(vec![Tensor::new(vec![1000], Elements::F32(vec![0.0; 1000])).unwrap()]);
    let refused = (0..).find_map(|number| {
        let rollout = if number % 2 == 0 { ROLLOUT } else { other };
        let spooled = Spooled { rollout, number, priority: 0 };
        spool.offer(spooled, &bench.servable, &inputs, None).err().map(|refused| (number, refused))
    });
    let (number, NotSpooled { reason, with_it }) = refused.unwrap();
    assert_eq!(reason, Dropped::QueueFull);
    let lost = |of: RolloutId| -> u64 {
        with_it.iter().filter(|(rollout, _)| *rollout == of).map(|(_, count)| count).sum()
    };
    // Each takes some 4 KB of the 16 that are handed over, and it is the last one of them itself.
    let of_other = if number % 2 == 0 { lost(other) } else { lost(ROLLOUT) };
    assert_eq!(of_other, 2, "{number}: {with_it:?}");
    assert!((3..=4).contains(&(lost(ROLLOUT) + lost(other))), "{number}: {with_it:?}");
}

#[test]
fn what_is_for_a_rollout_that_is_over_goes() {
    let bench = Bench::new();
    let running = bench.start();
    bench.offer(&running, 0..10);
    running.0.close(ROLLOUT);
    until(|| !bench.has_files());
    assert_eq!(running.0.waiting(ROLLOUT), 0);
    drop(running);
    bench.offer(&bench.start(), 10..20);
    assert!(bench.has_files());
    let (spool, _) = Spool::start(bench.folder.path(), &BTreeSet::new(), Vec::new()).unwrap();
    assert!(!bench.has_files());
    assert_eq!(spool.waiting(ROLLOUT), 0);
}

#[test]
fn what_is_broken_is_lost_and_the_rest_is_taken() {
    let bench = Bench::new();
    let running = bench.start();
    bench.offer(&running, 0..10);
    let folder = bench.folder.path().join("spool/r-000007");
    let file = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 20 * 9;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let taken: Vec<u64> = (0..10).flat_map(|_| take(&running, 1)).collect();
    assert_eq!(taken.len(), 9, "{taken:?}");
    let lost = running.0.lost();
    assert_eq!(lost.iter().map(|lost| lost.count).sum::<u64>(), 1, "{lost:?}");
    assert_eq!(running.0.waiting(ROLLOUT), 0);
}
