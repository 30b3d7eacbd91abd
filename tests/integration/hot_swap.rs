//! Versions come one after the other while clients ask, and no client notices more than a better answer.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Finally, Models, TestServer, adder, is_long, row, whole, within};

/// How long one version may take to be served.
const PATIENCE: Duration = Duration::from_secs(60);
const CLIENTS: usize = 8;

/// What all clients together have seen.
#[derive(Default)]
struct Tally {
    is_over: AtomicBool,
    requests: AtomicUsize,
    newest: AtomicUsize,
}

#[test]
fn no_request_fails_and_no_client_goes_back_while_versions_come_and_go() {
    let swaps = if is_long() { 1000 } else { 200 };
    // Version k adds k.
    let models = Models::made().file("m/1.onnx", adder(1.0));
    let server = TestServer::with_models(models).start();
    let tally = Tally::default();
    let began = Instant::now();
    std::thread::scope(|scope| {
        let _over = Finally(|| tally.is_over.store(true, Ordering::Relaxed));
        for _ in 0..CLIENTS {
            scope.spawn(|| ask_until_it_is_over(&server, &tally));
        }
        for version in 2..=swaps + 1 {
            let (path, content) = (format!("m/{version}.onnx"), adder(version as f32));
            if version % 10 == 0 {
                server.copy(&path, content);
            } else {
                server.put(&path, content);
            }
            within(PATIENCE, &format!("version {version}"), || {
                (tally.newest.load(Ordering::Relaxed) >= version).then_some(())
            });
        }
    });
    let requests = tally.requests.load(Ordering::Relaxed);
    println!("{swaps} swaps and {requests} requests in {:?}", began.elapsed());
    let ended = |outcome: &str| {
        let labels = format!("{{model=\"m\",outcome=\"{outcome}\"}}");
        server.metric(&format!("greenroom_rollouts_total{labels}"))
    };
    // The first version is completed at once, the last one is still watched, and each of the others gave way.
    let outcomes = ["completed", "superseded", "refused"].map(ended);
    assert_eq!(outcomes, [1.0, (swaps - 1) as f64, 0.0]);
}

/// Asks on one connection. Every answer must be whole, of the version that it names, and of none that is older
/// than the one before.
fn ask_until_it_is_over(server: &TestServer, tally: &Tally) {
    let _over = Finally(|| tally.is_over.store(true, Ordering::Relaxed));
    let mut connection = server.connect();
    let mut newest = 0;
    while !tally.is_over.load(Ordering::Relaxed) {
        let (version, added) = whole(&connection.ask(&row("m")).unwrap()).unwrap();
        let version: usize = version.parse().unwrap();
        assert_eq!(added, version as f64, "an answer of another version than it names");
        assert!(version >= newest, "version {version} after {newest}");
        newest = version;
        tally.newest.fetch_max(version, Ordering::Relaxed);
        tally.requests.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_micros(500)); // the other tests need the machine, too
    }
}

#[test]
fn of_many_versions_the_store_keeps_as_many_as_the_settings_say() {
    let server = TestServer::with_models(Models::made().file("m/1.onnx", adder(1.0)))
        .settings("repository.keep_revisions = 3")
        .start();
    for version in 2..=12_u16 {
        server.put(&format!("m/{version}.onnx"), adder(version.into()));
        server.serves("m", &version.to_string(), version.into());
    }
    // Also while the last one is watched, which may be hours.
    within(Duration::from_secs(10), "a store that is tidied up", || {
        let contents = fs::read_dir(server.state().join("store")).unwrap().count();
        (contents <= 4).then_some(())
    });
}
