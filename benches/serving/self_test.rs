//! What `cargo test` runs of this program: the arithmetic on examples, and every scene for a moment.
//!
//! It speaks as Rust's own test runner does, as far as `cargo test` and cargo-nextest ask it to.

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::figures::{Quartiles, Span, Tally, due, percentile, slope, to_mean};

type Test = fn() -> Result<(), Box<dyn Error>>;

const TESTS: [(&str, Test); 8] = [
    ("a_percentile_is_a_latency_that_so_many_keep_to", percentiles),
    ("quartiles_lie_between_neighbours", quartiles),
    ("requests_count_by_their_part_in_the_span", parts_of_requests),
    ("a_stall_counts_for_every_request_that_was_due_in_it", stalls),
    ("turns_keep_to_the_rate_however_late_the_last_one_was", turns),
    ("a_steady_drift_cancels_out_of_a_ratio", drift),
    ("a_slope_is_the_growth_from_one_to_the_next", slopes),
    ("every_scene_works", crate::try_all),
];

/// Answers a test runner.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    // A test that is ignored would be listed here, too.
    let tests = TESTS.iter().filter(|(name, _)| !has("--ignored") && is_meant(name, arguments));
    if has("--list") {
        tests.for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let mut failed = false;
    for (name, test) in tests {
        match test() {
            Ok(()) => println!("test {name} ... ok"),
            Err(error) => {
                eprintln!("test {name} ... FAILED: {error}");
                failed = true;
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Whether a filter names it, if there are any.
fn is_meant(name: &str, arguments: &[String]) -> bool {
    const WITH_VALUE: [&str; 2] = ["--format", "--test-threads"];
    let is_exact = arguments.iter().any(|argument| argument == "--exact");
    let mut filters = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if WITH_VALUE.contains(&argument.as_str()) {
            arguments.next();
        } else if !argument.starts_with('-') {
            filters.push(argument.as_str());
        }
    }
    let fits = |filter: &&str| if is_exact { name == *filter } else { name.contains(*filter) };
    filters.is_empty() || filters.iter().any(fits)
}

fn same<T: PartialEq + std::fmt::Debug>(got: T, expected: T) -> Result<(), Box<dyn Error>> {
    match got == expected {
        true => Ok(()),
        false => Err(format!("expected {expected:?}, got {got:?}").into()),
    }
}

fn percentiles() -> Result<(), Box<dyn Error>> {
    let thousand: Vec<u64> = (1..=1000).map(|number| number * 1000).collect();
    same(percentile(&thousand, 0.5)?, 500.0)?;
    same(percentile(&thousand, 0.99)?, 990.0)?;
    same(percentile(&thousand, 0.999)?, 999.0)?;
    same(percentile(&[7000], 0.5)?, 7.0)?;
    same(percentile(&[7000], 0.999)?, 7.0)?;
    same(percentile(&[], 0.5).is_err(), true)
}

fn quartiles() -> Result<(), Box<dyn Error>> {
    let of = |numbers: &[f64]| Quartiles::of(numbers.iter().copied());
    same(of(&[3.0, 1.0, 2.0]), Quartiles { low: 1.5, median: 2.0, high: 2.5 })?;
    same(of(&[4.0]), Quartiles { low: 4.0, median: 4.0, high: 4.0 })
}

fn parts_of_requests() -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let span = Span { from: at(100), until: at(200) };
    let mut tally = Tally::default();
    for (asked, answered) in [(0, 50), (80, 120), (120, 180), (180, 260), (50, 250), (210, 300)] {
        tally.add(span, at(asked), at(answered));
    }
    same(tally.latencies, vec![60_000_000, 80_000_000, 200_000_000])?;
    let expected = 0.5 + 1.0 + 0.25 + 0.5;
    same((tally.requests - expected).abs() < 1e-9, true)
}

fn stalls() -> Result<(), Box<dyn Error>> {
    // One request a millisecond. Nobody answers for 20 ms; then everybody is answered at once.
    let start = Instant::now();
    let span = Span { from: start, until: start + Duration::from_millis(40) };
    let back = start + Duration::from_millis(20);
    let mut tally = Tally::default();
    for number in 0..40 {
        let due = due(start, number, 1000.0);
        tally.add_due(span, due, back.max(due));
    }
    tally.latencies.sort_unstable();
    same(percentile(&tally.latencies, 1.0)?, 20_000.0)?;
    same(percentile(&tally.latencies, 0.75)?, 10_000.0)?;
    same(percentile(&tally.latencies, 0.5)?, 0.0)?;
    // A closed loop, which waits, would have asked once in that time.
    same(tally.requests, 40.0)
}

fn turns() -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    same(due(start, 0, 250.0), start)?;
    same(due(start, 1000, 250.0) - start, Duration::from_secs(4))
}

fn drift() -> Result<(), Box<dyn Error>> {
    // The machine becomes slower by a tenth from window to window; both are as fast as each other.
    same((to_mean(90.0, 100.0, 80.0) - 1.0).abs() < 1e-12, true)?;
    same((to_mean(45.0, 100.0, 80.0) - 0.5).abs() < 1e-12, true)
}

fn slopes() -> Result<(), Box<dyn Error>> {
    same(slope(&[5.0, 8.0, 11.0, 14.0]), Some(3.0))?;
    same(slope(&[2.0, 2.0, 2.0]), Some(0.0))?;
    same(slope(&[2.0]), None)
}
