//! A rollout whose pairs slow stable down or do not, on a clock that the test turns.

use super::*;
use crate::domain::analysis::Gates;
use crate::domain::comparison::Change;
use crate::serving::testing::servable;

const BLOCK: u64 = 10_000;
const USUAL: Duration = Duration::from_millis(10);

fn subject(rollout: u64) -> Subject {
    let signature = servable("1").signature().clone();
    Subject {
        is_rehearsed: false,
        model: "adder".parse().unwrap(),
        rollout: RolloutId(rollout),
        change: Change::Retrained,
        gates: Gates::default(),
        rules: Vec::new(),
        classes: Vec::new(),
        longest: Duration::from_secs(3600),
        stable: signature.clone(),
        candidate: signature,
    }
}

fn config() -> ShadowConfig {
    ShadowConfig { off: 0.5, ..ShadowConfig::default() }
}

fn meter(rollout: u64, saved: Option<SavedMeter>) -> Meter {
    let mut meter = Meter::new(&subject(rollout), Arc::default(), saved);
    meter.start(&config(), WallTime(0));
    meter
}

/// An hour of requests that took about as long.
fn before() -> Latencies {
    let mut before = Latencies::NONE;
    before.add(USUAL, 1000);
    before
}

fn has_pairs(meter: &Meter, block: u64) -> bool {
    meter.limits.unwrap().blocks.at(WallTime(block * BLOCK), meter.seed).has_pairs
}

/// Plays one block, with requests that take so many times as long where there are pairs.
fn play(meter: &Meter, stable: &Servable, block: u64, slower: f64) {
    meter.turn(WallTime(block * BLOCK));
    stable.took(USUAL * 5); // came before its time
    meter.begin(WallTime(block * BLOCK + 1000));
    let scale = if has_pairs(meter, block) { slower } else { 1.0 };
    for request in 0..100 {
        let spread = 0.5 + f64::from(request) / 100.0;
        stable.took(USUAL.mul_f64(spread * scale));
    }
}

#[test]
fn harmful_pairs_are_fewer_after_some_blocks_and_each_has_to_wait() {
    let (meter, stable, under_way) = (meter(1, None), servable("1"), UnderWay::new(1));
    meter.measure(&stable, Some(&before()));
    let mut blocks = 0..200;
    let slowed = blocks.find(|block| {
        play(&meter, &stable, *block, 1.5);
        meter.holds_back()
    });
    assert!(slowed.is_some_and(|block| block < 60), "{slowed:?}");
    assert_eq!((meter.times_backed_off(), meter.blocks()), (Some(1), 0));

    let block = blocks.find(|block| has_pairs(&meter, *block)).unwrap();
    let now = WallTime(block * BLOCK);
    assert!(meter.admit(&under_way, 0, || now).is_ok());
    meter.ran(Duration::from_millis(100), now);
    // A quarter of a core, in place of half of it.
    let wait = meter.admit(&under_way, 0, || now).unwrap_err();
    assert_eq!(wait, Duration::from_millis(300));
    assert!(meter.admit(&under_way, 0, || WallTime(now.0 + 300)).is_ok());
}

#[test]
fn harmless_pairs_are_known_to_be_so_and_never_wait() {
    let (meter, stable) = (meter(2, None), servable("1"));
    meter.measure(&stable, Some(&before()));
    (0..200).for_each(|block| play(&meter, &stable, block, 1.0));
    let told = meter.saved().unwrap().json();
    assert!(told["slowdown_upper95"].as_f64().unwrap() <= 0.02, "{told}");
    assert_eq!((&told["blocks"], &told["backed_off"]), (&json!(199), &json!(0)));
    meter.ran(Duration::from_secs(1), WallTime(0));
    assert_eq!(meter.not_before.load(Ordering::Relaxed), 0);
}

#[test]
fn a_block_without_pairs_lets_nobody_begin_and_passes_requests_over() {
    let (meter, under_way) = (meter(3, None), UnderWay::new(1));
    let block = (0..100).find(|block| !has_pairs(&meter, *block)).unwrap();
    let now = WallTime(block * BLOCK + 4000);
    let wait = meter.admit(&under_way, 0, || now).unwrap_err();
    assert_eq!(wait, Duration::from_secs(6), "until its end");
}

#[test]
fn what_is_not_known_before_is_learned_first_and_again_for_another_version() {
    let (meter, stable) = (meter(4, None), servable("1"));
    meter.measure(&stable, None);
    (0..4).for_each(|block| play(&meter, &stable, block, 1.0));
    assert_eq!(meter.blocks(), 2, "the first was needed to learn from");
    let baking = servable("2");
    // All of these have one digest; the first is to have another.
    meter.lock().measured.as_mut().unwrap().digest = Digest::from_bytes([1; 32]);
    meter.measure(&baking, Some(&before()));
    assert!(matches!(meter.lock().measured.as_ref().unwrap().by, By::Learning { .. }));
    (4..8).for_each(|block| play(&meter, &baking, block, 1.0));
    assert_eq!(meter.blocks(), 4);
}

#[test]
fn marks_move_when_requests_become_slower_for_good() {
    let (meter, stable) = (meter(9, None), servable("1"));
    let mut usual = Latencies::NONE;
    usual.add(USUAL / 4, 1000);
    meter.measure(&stable, Some(&usual));
    let marks = || meter.saved().unwrap().marks;
    let before = marks();
    (0..22).for_each(|block| play(&meter, &stable, block, 1.0));
    assert_eq!(marks(), None, "it is found out how long they take now");
    (22..30).for_each(|block| play(&meter, &stable, block, 1.0));
    assert!(marks().is_some() && marks() != before);
}

#[test]
fn a_restart_goes_on_and_a_new_rollout_begins_anew() {
    let (first, stable) = (meter(5, None), servable("1"));
    first.measure(&stable, Some(&before()));
    (0..100).for_each(|block| play(&first, &stable, block, 1.5));
    let written = serde_json::to_string(&first.saved()).unwrap();
    let read = || serde_json::from_str::<Option<SavedMeter>>(&written).unwrap();
    let again = meter(5, read());
    again.measure(&stable, None);
    assert!(matches!(again.lock().measured.as_ref().unwrap().by, By::Stopwatch(_)));
    assert_eq!(again.times_backed_off(), first.times_backed_off());
    assert_eq!((again.blocks(), again.holds_back()), (first.blocks(), true));
    let other = meter(6, read());
    assert_eq!((other.times_backed_off(), other.blocks(), other.holds_back()), (Some(0), 0, false));
}

#[test]
fn nobody_who_measures_keeps_a_version_loaded() {
    let (meter, stable) = (meter(7, None), servable("1"));
    meter.measure(&stable, Some(&before()));
    assert_eq!(Arc::strong_count(&stable), 1);
    meter.close();
    meter.turn(WallTime(BLOCK));
    assert_eq!(meter.blocks(), 0);
}

#[test]
fn where_there_are_always_pairs_nothing_is_measured() {
    let mut meter = Meter::new(&subject(8), Arc::default(), None);
    meter.start(&ShadowConfig { off: 0.0, ..config() }, WallTime(0));
    let stable = servable("1");
    meter.measure(&stable, Some(&before()));
    assert!(meter.admit(&UnderWay::new(1), 0, || WallTime(0)).is_ok());
    assert!(meter.saved().is_none() && meter.times_backed_off().is_none());
}
