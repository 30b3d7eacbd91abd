//! Servers that are played, with pairs that slow stable down or do not, and with everything else that makes it slow.

use std::time::Duration;

use super::cells::runs;
use super::chance::Chance;
use super::*;

/// A server for one rollout. Latencies are lognormal around 10 ms.
#[derive(Clone, Copy)]
struct Scene {
    number: u64,
    /// In a block.
    requests: f64,
    /// The chance that a block has pairs.
    chance: f64,
    /// By how much pairs make each request slower.
    slower: f64,
    /// By how much the level of a block differs from the one before, as the deviation of its log, and how much of it stays.
    drift: (f64, f64),
    /// The share of blocks in which everything takes so many times as long, in a row of several.
    bursts: (f64, f64),
    /// Whether there is more traffic at some times than at others.
    tides: bool,
}

const QUIET: Scene = Scene {
    number: 0,
    requests: 100.0,
    chance: 0.9,
    slower: 0.0,
    drift: (0.0, 0.0),
    bursts: (0.0, 1.0),
    tides: false,
};

/// A busy machine: its level wanders and comes back, there are bursts, and requests come and go.
const STORMY: Scene = Scene { drift: (0.05, 0.95), bursts: (0.1, 1.8), tides: true, ..QUIET };

const EPOCH: Option<Duration> = Some(Duration::from_secs(120));

/// One run of a scene.
struct Play {
    scene: Scene,
    chance: Chance,
    marks: Marks,
    block: u64,
    level: f64,
    burst: bool,
    evidence: Interference,
    /// How many blocks still tell how long requests take now, and what they have told.
    learning: (u64, Latencies),
}

impl Play {
    fn new(scene: Scene, run: u64) -> Self {
        let mut chance = Chance::new(scene.number, run);
        let mut before = Latencies::NONE;
        (0..2000).for_each(|_| before.add(latency(&mut chance, 1.0), 1));
        let (marks, evidence) = (Marks::of(&before).unwrap(), Interference::new(EPOCH));
        let learning = (0, Latencies::NONE);
        Self { scene, chance, marks, block: 0, level: 0.0, burst: false, evidence, learning }
    }

    /// The next block, and what follows from it.
    fn step(&mut self) -> Option<Pace> {
        let Scene { requests, chance, slower, drift, bursts, tides, .. } = self.scene;
        self.level = drift.1 * self.level + drift.0 * self.chance.normal();
        // A burst goes on for four blocks in the mean.
        let ends = if self.burst { 0.25 } else { 0.25 * bursts.0 / (1.0 - bursts.0) };
        self.burst ^= self.chance.happens(ends);
        let has_pairs = self.chance.happens(chance);
        let tide = if tides { 1.0 + 0.9 * (self.block as f64 / 40.0).sin() } else { 1.0 };
        let scale = self.level.exp()
            * if self.burst { bursts.1 } else { 1.0 }
            * if has_pairs { 1.0 + slower } else { 1.0 };
        let mut tally = Tally::default();
        for _ in 0..self.chance.poisson(requests * tide) {
            let latency = latency(&mut self.chance, scale);
            tally.add(self.marks.places(latency));
            self.learning.1.add(latency, 1);
        }
        self.block += 1;
        let now = Duration::from_secs(10 * self.block);
        if self.learning.0 > 0 {
            self.learning.0 -= 1;
            if self.learning.0 == 0 {
                self.marks = Marks::of(&self.learning.1).unwrap_or(self.marks.clone());
            }
            return None;
        }
        if self.evidence.needs_other_marks() {
            self.evidence.has_other_marks();
            self.learning = (5, Latencies::NONE);
        }
        self.evidence.observe(&Block { has_pairs, chance, tally }, now)
    }

    fn upper(&self) -> f64 {
        self.evidence.slowdowns()[0].upper.unwrap_or(f64::INFINITY)
    }
}

fn latency(chance: &mut Chance, scale: f64) -> Duration {
    Duration::from_secs_f64(0.010 * scale * (0.5 * chance.normal()).exp())
}

/// After how many blocks something is so, in each of so many runs; none where it is not so after `most`.
fn blocks(
    scene: Scene,
    runs: u64,
    most: u64,
    is_so: impl Fn(&Play, Option<Pace>) -> bool,
) -> Vec<Option<u64>> {
    (0..runs)
        .map(|run| {
            let mut play = Play::new(scene, run);
            (1..=most).find(|_| {
                let paced = play.step();
                is_so(&play, paced)
            })
        })
        .collect()
}

/// The median; nothing is shown in the runs that came to no end.
fn median(blocks: &[Option<u64>]) -> u64 {
    let mut blocks: Vec<u64> = blocks.iter().map(|block| block.unwrap_or(u64::MAX)).collect();
    blocks.sort_unstable();
    blocks[blocks.len() / 2]
}

fn backs_off(_: &Play, paced: Option<Pace>) -> bool {
    paced.is_some()
}

fn is_below(bound: f64) -> impl Fn(&Play, Option<Pace>) -> bool {
    move |play, _| play.upper() <= bound
}

/// At most one run in twenty, and what is put down to chance: three standard errors.
#[track_caller]
fn assert_rare(blocks: &[Option<u64>]) {
    let (runs, ended) = (blocks.len() as f64, blocks.iter().flatten().count() as f64);
    let most = 0.05 * runs + 3.0 * (0.05 * 0.95 * runs).sqrt();
    assert!(ended <= most, "in {ended} of {runs} runs");
}

#[test]
fn pairs_that_slow_stable_down_as_much_as_is_tolerated_are_blamed_in_at_most_one_run_of_twenty() {
    for (number, scene) in (901..).zip([
        QUIET,
        STORMY,
        Scene { chance: 0.5, ..STORMY },
        // What is left of traffic that hardly comes.
        Scene { requests: 2.0, ..STORMY },
    ]) {
        let scene = Scene { number, slower: 0.02, ..scene };
        assert_rare(&blocks(scene, runs(40), 360, backs_off));
    }
}

#[test]
fn a_drift_that_lasts_for_many_blocks_is_not_blamed_on_pairs() {
    // Within ten minutes everything becomes three times as slow, and fast again.
    for (number, chance) in [(911, 0.9), (912, 0.5)] {
        let scene = Scene { number, chance, drift: (0.2, 0.98), ..STORMY };
        assert_rare(&blocks(scene, runs(40), 360, backs_off));
    }
}

#[test]
fn a_bound_is_wrong_in_at_most_one_run_of_twenty() {
    for (number, chance, slower) in [(921, 0.9, 0.05), (922, 0.5, 0.1), (923, 0.5, 0.02)] {
        let scene = Scene { number, chance, slower: slower + 1e-6, requests: 200.0, ..QUIET };
        assert_rare(&blocks(scene, runs(40), 360, is_below(slower)));
        let Scene { drift, bursts, tides, .. } = STORMY;
        let stormy = Scene { number: number + 5, drift, bursts, tides, ..scene };
        assert_rare(&blocks(stormy, runs(40), 360, is_below(slower)));
    }
}

#[test]
fn what_slows_stable_down_is_found_the_sooner_the_more_it_does() {
    let scene = |number, chance, slower| Scene { number, chance, slower, ..QUIET };
    for (scene, most) in [
        (scene(931, 0.9, 0.1), 200),
        (scene(932, 0.9, 0.5), 70),
        (scene(933, 0.5, 0.1), 60),
        (scene(934, 0.5, 0.5), 25),
        (Scene { number: 935, slower: 0.5, ..STORMY }, 110),
    ] {
        let found = median(&blocks(scene, 20, 2 * most, backs_off));
        assert!(found <= most, "scene {}: after {found} blocks", scene.number);
    }
}

#[test]
fn what_slows_stable_down_is_found_at_another_time_of_day() {
    // It is asked as if everything took three times as long from the first block on.
    let scene = Scene { number: 971, chance: 0.5, slower: 0.2, ..QUIET };
    let found = (0..20).map(|run| {
        let mut play =
            Play { level: 3f64.ln(), ..Play::new(Scene { drift: (0.0, 1.0), ..scene }, run) };
        (1..=200).find(|_| play.step().is_some())
    });
    let found = median(&found.collect::<Vec<_>>());
    assert!(found <= 80, "after {found} blocks");
}

#[test]
fn pairs_that_do_no_harm_are_known_to_do_none() {
    for (number, chance, requests, bound, most) in [
        (941, 0.9, 500.0, 0.02, 360),
        (942, 0.9, 100.0, 0.05, 260),
        (943, 0.5, 500.0, 0.02, 100),
        (944, 0.5, 100.0, 0.05, 90),
    ] {
        let scene = Scene { number, chance, requests, ..QUIET };
        let shown = median(&blocks(scene, 20, 2 * most, is_below(bound)));
        assert!(shown <= most, "scene {number}: after {shown} blocks");
    }
}

#[test]
fn pairs_become_fewer_each_time_and_everything_is_asked_anew() {
    let mut play = Play::new(Scene { number: 951, chance: 0.5, slower: 1.0, ..QUIET }, 0);
    let mut paces = Vec::new();
    for _ in 0..200 {
        let before = play.evidence.blocks();
        if let Some(pace) = play.step() {
            paces.push(pace);
            assert!(before > 4 && play.evidence.blocks() == 0);
            assert_eq!(play.evidence.log_evidence(), 0.0);
        }
        assert_eq!(play.evidence.pace(), paces.last().copied().unwrap_or_default());
    }
    assert_eq!(paces, [Pace::Halved, Pace::OffPeakOnly], "there is nothing below that");
    assert!(play.evidence.log_evidence() > 20f64.ln());
}

#[test]
fn what_is_known_outlives_the_process() {
    let mut play = Play::new(Scene { number: 961, chance: 0.5, ..QUIET }, 0);
    (0..100).for_each(|_| {
        play.step();
    });
    assert!(play.upper() <= 0.1, "{}", play.upper());
    let written = serde_json::to_string(&play.evidence).unwrap();
    let read: Interference = serde_json::from_str(&written).unwrap();
    assert_eq!(read.slowdowns(), play.evidence.slowdowns());
    assert_eq!((read.blocks(), read.pace()), (100, Pace::Full));
}

#[test]
fn a_block_without_requests_is_no_block() {
    let mut evidence = Interference::new(EPOCH);
    for has_pairs in [true, false] {
        let block = Block { has_pairs, chance: 0.5, tally: Tally::default() };
        assert_eq!(evidence.observe(&block, Duration::ZERO), None);
    }
    assert_eq!(evidence.blocks(), 0);
    let [usual, _] = evidence.slowdowns();
    assert_eq!((usual.upper, usual.needs), (None, None));
}
