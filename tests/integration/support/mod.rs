//! What the tests stand on: a server, models for it, and a client that shows every byte.

mod browser;
mod console;
mod disk;
mod graph;
pub(crate) mod hostile;
mod http;
mod memory_hog;
mod models;
pub(crate) mod onnx;
mod process;
mod releases;
mod server;
mod traffic;

use std::time::{Duration, Instant};

use serde_json::Value;

pub(crate) use browser::{Browser, BrowserPage, View};
pub(crate) use console::{Talking, assert_said, command, on_a_terminal, said};
pub(crate) use graph::Graph;
pub(crate) use http::{Answer, Connection, Request};
pub(crate) use memory_hog::memory_hog;
pub(crate) use models::{Models, adder, digest, example_model, package, test_model};
pub(crate) use onnx::{HeavyAdder, adder_with_a_trap, adder_with_external_data};
pub(crate) use process::{busy, busy_threads, resident_mib};
pub(crate) use releases::{Finally, Served, is_long, row, whole};
pub(crate) use server::{Plan, Run, TestServer, greenroom, library};
pub(crate) use traffic::Traffic;

/// Between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(5);

/// Looks until there is something, and fails when there is nothing for too long.
#[track_caller]
pub(crate) fn within<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        std::thread::sleep(PAUSE);
    }
}

/// Fails unless both are the same, numbers within an absolute distance of 1e-5.
#[track_caller]
pub(crate) fn assert_close(got: &Value, expected: &Value) {
    if let Err(place) = compare(got, expected) {
        panic!("different at `{place}`\n     got: {got}\nexpected: {expected}");
    }
}

/// `Err` with the path of the first difference.
fn compare(got: &Value, expected: &Value) -> Result<(), String> {
    match (got, expected) {
        (Value::Number(got), Value::Number(expected)) => {
            let difference = got.as_f64().unwrap() - expected.as_f64().unwrap();
            if difference.abs() <= 1e-5 { Ok(()) } else { Err(String::new()) }
        }
        (Value::Array(got), Value::Array(expected)) if got.len() == expected.len() => {
            got.iter().zip(expected).enumerate().try_for_each(|(index, (got, expected))| {
                compare(got, expected).map_err(|place| format!("[{index}]{place}"))
            })
        }
        (Value::Object(got), Value::Object(expected)) if got.len() == expected.len() => {
            expected.iter().try_for_each(|(key, expected)| {
                let got = got.get(key).unwrap_or(&Value::Null);
                compare(got, expected).map_err(|place| format!(".{key}{place}"))
            })
        }
        (got, expected) if got == expected => Ok(()),
        _ => Err(String::new()),
    }
}
