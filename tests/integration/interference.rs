//! Pairs must never slow stable down, and whether they do is measured: there are blocks of time without them, and stable's
//! latency in these is held against that in the others.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use greenroom::domain::sampling::{Purpose, bound, draw};
use serde_json::Value;

use crate::shadow_page::schema;
use crate::support::{Models, TestServer, Traffic, adder, is_long, memory_hog, within};

const PATIENCE: Duration = Duration::from_secs(60);

/// The blocks of the server, which anybody can draw again.
struct Blocks {
    length: Duration,
    off: f64,
    /// Of the rollout.
    seed: u64,
}

impl Blocks {
    fn now(&self) -> (u64, bool) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let number = (now.as_millis() / self.length.as_millis()) as u64;
        (number, draw(number, self.seed, Purpose::Block) >= bound(self.off))
    }
}

/// Version 1 adds 1, version 2 adds 2, every request becomes a pair, and half of the blocks have none.
fn shadowing(stable: Vec<u8>, candidate: Vec<u8>, shadow: &str) -> TestServer {
    // With threads of its own a run is not only done by the one that gives way to all others.
    let settings = "[scheduler]\nbatching = \"off\"\n[session]\nintra_op_threads = 2\n\
                    [rollout]\nstrategy = \"shadow\"\nchange = \"new-task\"\n\
                    shadow = { sample = 1.0, min_pairs = 1000000 }\n\
                    [gates]\nlatency = { margin = 1000.0, floor = \"10s\" }\n";
    let models = Models::made().file("m/1.onnx", stable).file("m/model.toml", settings);
    let server = TestServer::with_models(models)
        .settings(&format!("[shadow]\n{shadow}\n"))
        .environment("GREENROOM_SHADOW__OFF", "0.5")
        .start();
    server.reaches("m", "completed");
    server.put("m/2.onnx", candidate);
    server.reaches("m", "shadowing");
    server
}

#[track_caller]
fn report(server: &TestServer) -> Value {
    let answer = server.admin_get("/shadow/report?model=m").ok();
    assert_eq!(schema::problems(&answer), Vec::<String>::new());
    answer["reports"][0].clone()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value}"))
}

#[test]
fn no_pair_begins_in_a_block_without_pairs_and_what_they_do_is_reported() {
    const BLOCK: Duration = Duration::from_millis(500);
    let mut server = shadowing(adder(1.0), adder(2.0), "block = \"500ms\"");
    let rollout = server.rollout("m")["id"].as_str().unwrap()[2..].parse().unwrap();
    let blocks = Blocks { length: BLOCK, off: 0.5, seed: draw(rollout, 0, Purpose::Sample) };
    let (_, answers) = Traffic::of(&server, "m").during(|| {
        let (mut without, mut with, mut passed_over) = (0, 0, 0);
        within(PATIENCE, "blocks of both kinds", || {
            let (block, has_pairs) = blocks.now();
            let before = report(&server);
            // All in one block: the first look, the wait and the last look.
            std::thread::sleep(BLOCK / 4);
            let after = report(&server);
            if blocks.now().0 == block {
                let more =
                    |key: &str| number(&after["sampling"][key]) - number(&before["sampling"][key]);
                if has_pairs {
                    with += more("executed");
                    assert_eq!(more("passed_over"), 0, "{after}");
                } else {
                    without += 1;
                    passed_over += more("passed_over");
                    // One may have been under way.
                    assert!(more("executed") <= 1, "{} pairs", more("executed"));
                    assert!(more("sampled") <= 4, "{} requests", more("sampled"));
                }
            }
            (without >= 5 && with >= 20 && passed_over >= 20).then_some(())
        });
        within(PATIENCE, "blocks that are counted", || {
            let interference = &report(&server)["interference"];
            (number(&interference["blocks"]) >= 8).then_some(())
        });
    });
    assert!(answers.count(|kind| kind == "1 stable -") > 100);
    let told = report(&server)["interference"].clone();
    assert!(told["e"].as_f64().unwrap() > 0.0, "{told}");
    assert_eq!(told["backed_off"], 0, "{told}");
    assert_eq!(server.metric("greenroom_shadow_backed_off{model=\"m\"}"), 0.0);

    server.stop();
    server.start_again();
    let again = report(&server)["interference"].clone();
    assert!(number(&again["blocks"]) >= number(&told["blocks"]), "{again} after {told}");
}

/// A server that is asked without a break, until the report says something of what pairs do to stable.
fn measured(
    stable: Vec<u8>,
    candidate: Vec<u8>,
    shadow: &str,
    until: impl Fn(&Value) -> bool,
) -> TestServer {
    let shadow = format!("block = \"1s\"\n{shadow}");
    let server = shadowing(stable, candidate, &shadow);
    let pause = Duration::from_millis(1);
    let traffic = Traffic { clients: 1, pause, ..Traffic::of(&server, "m") };
    traffic.during(|| {
        let (began, mut told) = (Instant::now(), 0);
        within(Duration::from_mins(20), "a result", || {
            let report = report(&server);
            let (interference, sampling) = (&report["interference"], &report["sampling"]);
            let blocks = number(&interference["blocks"]);
            if blocks / 20 > told {
                told = blocks / 20;
                eprintln!("after {:?}: {interference} {sampling}", began.elapsed());
            }
            std::thread::sleep(Duration::from_millis(200));
            until(interference).then(|| eprintln!("after {:?}: {interference}", began.elapsed()))
        });
    });
    server
}

#[test]
fn pairs_that_take_memory_away_from_stable_become_fewer() {
    if !is_long() {
        return;
    }
    let (stable, candidate) = (memory_hog(1.0, 4, 4), memory_hog(2.0, 64, 4));
    let server = measured(stable, candidate, "max_busy = 1.0", |it| it["backed_off"] != 0);
    within(PATIENCE, "a metric that says so", || {
        (server.metric("greenroom_shadow_backed_off{model=\"m\"}") >= 1.0).then_some(())
    });
    let log = server.log();
    assert!(log.contains("pairs slow the stable version of `m` down by more than 2 %"), "{log}");
}

#[test]
fn pairs_that_do_no_harm_are_shown_to_do_none() {
    if !is_long() {
        return;
    }
    let is_shown = |it: &Value| it["slowdown_upper95"].as_f64().is_some_and(|upper| upper < 0.02);
    let server = measured(adder(1.0), adder(2.0), "max_rps = 5", is_shown);
    let told = report(&server);
    assert_eq!(told["interference"]["backed_off"], 0);
    let pairs = number(&told["sampling"]["executed"]);
    assert!(
        pairs >= number(&told["interference"]["blocks"]),
        "there were pairs all the time: {told}"
    );
}
