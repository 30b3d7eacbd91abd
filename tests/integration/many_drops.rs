//! Many models that come at once are taken one by one, and cost nothing afterwards.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::support::{Models, TestServer, adder, busy_threads, row, whole, within};

const PATIENCE: Duration = Duration::from_secs(300);

fn name(k: usize) -> String {
    format!("adder-{k:04}")
}

#[cfg(target_os = "linux")]
#[test]
fn many_models_that_come_at_once_all_answer_and_then_rest() {
    let count = 1000;
    // As often as it looks where nobody says otherwise.
    let plan = TestServer::with_models(Models::made());
    let server = plan.environment("GREENROOM_REPOSITORY__POLL", "2s").start();
    let began = Instant::now();
    for k in 0..count {
        // Each in one of the layouts.
        let path = match k % 3 {
            0 => format!("{}.onnx", name(k)),
            1 => format!("{}/1.onnx", name(k)),
            _ => format!("{}/1/model.onnx", name(k)),
        };
        server.put(&path, adder(k as f32));
    }
    for k in 0..count {
        within(PATIENCE, &name(k), || {
            let answer = server.ask(&row(&name(k)));
            let said = answer.text();
            assert!(!said.contains("refused") && !said.contains("quarantined"), "{said}");
            let is_there = !matches!(answer.status, 404 | 503);
            is_there.then(|| assert_eq!(whole(&answer), Ok(("1".to_owned(), k as f64))))
        });
    }
    let took = began.elapsed();
    assert_eq!(server.get("/v1/models").ok()["models"].as_array().unwrap().len(), count);

    let threads = busy_threads(server.pid()).len();
    let cores = std::thread::available_parallelism().unwrap().get();
    assert!(threads <= cores + 16, "{threads} threads on {cores} cores");

    // How much it does when there is nothing to do can only be seen by letting it. To look at all of the models every
    // time would be some 200 ms. Others on the same cores can only make that dearer, and a server that is never quiet
    // is not quiet at the sixth look either.
    let rest = Duration::from_secs(10);
    std::thread::sleep(rest / 2);
    let mut looks = Vec::new();
    let is_quiet = (0..6).any(|_| {
        let used = used_in(rest, server.pid());
        let busy: Duration = used.values().sum();
        looks.push((busy, used));
        busy < Duration::from_millis(20)
    });
    println!("{count} models in {took:?}, {threads} threads; then busy for {looks:?}");
    let log = server.log();
    drop(server); // which else would say all of its log after the sentence below
    let warnings: Vec<_> = log.lines().filter(|line| line.contains("\"WARN\"")).collect();
    assert!(is_quiet, "never busy for less than 20 ms in {rest:?}: {looks:?}\n{warnings:#?}");
}

/// The time that each thread of a process spends on cores within so much time, of those that do anything.
fn used_in(time: Duration, pid: u32) -> BTreeMap<(String, String), Duration> {
    let before = busy_threads(pid);
    std::thread::sleep(time);
    let mut used = busy_threads(pid);
    for (thread, used) in &mut used {
        *used -= before.get(thread).copied().unwrap_or_default();
    }
    used.retain(|_, used| !used.is_zero());
    used
}
