//! In deferred mode sampled requests wait on the disk until the server is quiet, or until the time window: they are run
//! once, each of them, through restarts, and no burst has them run beside it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::shadow_page::schema;
use crate::support::{Finally, Models, Plan, Request, TestServer, onnx, test_model, within};

const PATIENCE: Duration = Duration::from_secs(60);

/// A server with two versions of a model that takes a millisecond for each whole number up to the largest of a request.
fn plan() -> Plan {
    let settings = "[rollout]\nstrategy = \"shadow\"\nchange = \"new-task\"\n\
                    shadow = { sample = 1.0, min_pairs = 1000000 }\n\
                    [gates]\nlatency = { margin = 1000.0, floor = \"10s\" }\n";
    let models =
        Models::made().file("m/1.onnx", test_model("patient")).file("m/model.toml", settings);
    TestServer::with_models(models)
}

fn started(plan: Plan, settings: &str) -> TestServer {
    let settings = format!(
        "[scheduler]\nthreads = 1\n[shadow]\nmode = \"deferred\"\nmax_busy = 1.0\n{settings}"
    );
    let server = plan.settings(&settings).start();
    let again = [test_model("patient"), onnx::text(3, "again")].concat();
    server.put("m/2.onnx", again);
    server.reaches("m", "shadowing");
    server
}

fn request(number: usize) -> Request {
    Request::predict("m", format!(r#"{{"instances": [[{number}, 1]]}}"#))
}

fn ask(server: &TestServer, number: usize, times: usize) {
    let mut connection = server.connect();
    let added = number.max(1);
    let expected = json!({ "predictions": [[(number + added) as f64, (1 + added) as f64]] });
    for _ in 0..times {
        assert_eq!(connection.ask(&request(number)).unwrap().ok(), expected);
    }
}

/// Has a few clients ask all the time while something is done.
#[track_caller]
fn during_a_burst<T>(server: &TestServer, act: impl FnOnce() -> T) -> T {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _over = Finally(|| is_over.store(true, Ordering::Relaxed));
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    ask(server, 10, 1);
                }
            });
        }
        act()
    })
}

#[track_caller]
fn sampling(server: &TestServer) -> Value {
    let answer = server.admin_get("/shadow/report?model=m").ok();
    assert_eq!(schema::problems(&answer), Vec::<String>::new());
    answer["reports"][0]["sampling"].clone()
}

fn count(sampling: &Value, key: &str) -> u64 {
    sampling[key].as_u64().unwrap()
}

/// Waits until what was sampled is so.
#[track_caller]
fn until(server: &TestServer, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    within(PATIENCE, what, || {
        // Who looks all the time keeps it busy.
        std::thread::sleep(Duration::from_millis(100));
        Some(sampling(server)).filter(&is_so)
    })
}

#[track_caller]
fn until_all_are_run(server: &TestServer, requests: u64) {
    let done = until(server, "pairs of all requests", |sampling| {
        count(sampling, "executed") >= requests && sampling["deferred"] == 0
    });
    assert_eq!((count(&done, "executed"), count(&done, "sampled")), (requests, requests), "{done}");
    assert!(done["dropped"].as_object().unwrap().values().all(|count| *count == 0), "{done}");
}

fn spool(server: &TestServer) -> PathBuf {
    server.state().join("spool")
}

#[track_caller]
fn until_nothing_is_on_the_disk(server: &TestServer) {
    within(PATIENCE, "an empty spool", || {
        let mut folders = std::fs::read_dir(spool(server)).ok()?;
        folders.next().is_none().then_some(())
    });
}

#[test]
fn nothing_is_run_in_a_burst_and_all_of_it_in_the_quiet_after_it() {
    let server = started(plan(), "max_rps = 10000");
    ask(&server, 1, 3);
    until_all_are_run(&server, 3); // so it is quiet now

    let waiting = during_a_burst(&server, || {
        // By then it has gone on for longer than a tenth of a second.
        let begun = until(&server, "requests", |sampling| count(sampling, "sampled") >= 25);
        let gone_on = until(&server, "requests", |sampling| count(sampling, "sampled") >= 250);
        let executed = count(&gone_on, "executed") - count(&begun, "executed");
        assert!(executed <= 1, "only what had begun may end: {begun} {gone_on}");
        until(&server, "requests on the disk", |sampling| count(sampling, "deferred") >= 200)
    });
    assert!(server.metric("greenroom_shadow_deferred_requests{model=\"m\"}") > 0.0, "{waiting}");
    let requests = server.metric(
        "greenroom_requests_total{model=\"m\",version=\"1\",role=\"stable\",outcome=\"ok\"}",
    );
    until_all_are_run(&server, requests as u64);
    until_nothing_is_on_the_disk(&server);
    assert_eq!(server.rollout("m")["phase"], "shadowing");
}

#[test]
fn a_restart_goes_on_and_counts_nothing_twice() {
    let mut server = started(plan(), "max_rps = 20");
    let requests = 150;
    ask(&server, 0, requests);
    until(&server, "some pairs", |sampling| count(sampling, "executed") >= 10);
    assert!(server.stop().success());
    server.start_again();
    let before = until(&server, "more pairs", |sampling| count(sampling, "executed") >= 30);
    assert!(count(&before, "deferred") > 0, "{before}");
    server.kill();
    server.start_again();
    until_all_are_run(&server, requests as u64);
    ask(&server, 0, 5);
    until_all_are_run(&server, requests as u64 + 5);
    until_nothing_is_on_the_disk(&server);
}

#[test]
fn a_crash_in_a_burst_costs_what_was_not_on_the_disk_and_no_more() {
    let mut server = started(plan(), "max_rps = 10000");
    let waiting = during_a_burst(&server, || {
        until(&server, "requests on the disk", |sampling| count(sampling, "deferred") >= 50)
    });
    let on_disk = count(&waiting, "deferred") + count(&waiting, "executed");
    server.kill();
    server.start_again();
    let done = until(&server, "pairs", |sampling| {
        sampling["deferred"] == 0 && count(sampling, "executed") >= on_disk
    });
    assert!(count(&done, "executed") <= count(&done, "sampled"), "{done}");
    assert!(count(&done, "sampled") <= count(&done, "eligible"), "{done}");
}

/// `22:00-06:00`, from so many minutes from now to so many.
fn window(from: u64, to: u64) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() / 60;
    let time = |minutes: u64| {
        let minute = (now + minutes) % (24 * 60);
        format!("{:02}:{:02}", minute / 60, minute % 60)
    };
    format!("window = \"{}-{}\"", time(from), time(to))
}

#[test]
fn in_its_window_pairs_run_also_when_it_is_not_quiet() {
    let of_the_day = |window: String| started(plan().environment("TZ", "UTC"), &window);
    let server = of_the_day(window(24 * 60 - 5, 60));
    during_a_burst(&server, || {
        until(&server, "pairs in the burst", |sampling| count(sampling, "executed") >= 5)
    });
    let server = of_the_day(window(120, 180));
    during_a_burst(&server, || {
        let begun = until(&server, "requests", |sampling| count(sampling, "sampled") >= 25);
        let gone_on = until(&server, "requests", |sampling| count(sampling, "sampled") >= 100);
        assert!(count(&gone_on, "executed") <= count(&begun, "executed") + 1, "{gone_on}");
    });
}

#[test]
fn what_waits_goes_with_its_rollout() {
    let mut server = started(plan(), "max_rps = 1");
    ask(&server, 0, 30);
    until(&server, "requests on the disk", |sampling| count(sampling, "deferred") >= 20);
    assert_eq!(server.operate("m", "abort", json!({})).status, 200);
    until_nothing_is_on_the_disk(&server);
    assert_eq!(sampling(&server)["deferred"], 0);

    assert_eq!(server.operate("m", "start", json!({ "version": "2" })).status, 200);
    server.reaches("m", "shadowing");
    ask(&server, 0, 30);
    until(&server, "requests on the disk", |sampling| count(sampling, "deferred") >= 20);
    server.kill();
    server.set_environment("GREENROOM_SHADOW__MODE", Some("live"));
    server.set_environment("GREENROOM_SHADOW__MAX_RPS", Some("1000"));
    server.start_again();
    until_all_are_run(&server, 30);
}

#[test]
fn what_must_not_be_written_is_not_run_later() {
    let server = started(plan(), "[capture]\nredact = [\"X\"]");
    ask(&server, 0, 7);
    let done = until(&server, "drops", |sampling| sampling["dropped"]["redacted"] == 7);
    assert_eq!((count(&done, "deferred"), count(&done, "executed")), (0, 0));
    assert!(!spool(&server).exists());
    let said = "requests wait on the disk, where `capture.redact` forbids `X`";
    assert!(server.log().contains(said), "{}", server.log());
}

#[test]
fn a_full_disk_costs_pairs_and_no_answer() {
    let Some(plan) = plan().on_small_disk("4m") else { return };
    let server = started(plan, "max_rps = 1000");
    server.disk().fill();
    ask(&server, 0, 40);
    until(&server, "drops", |sampling| {
        sampling["dropped"]["disk"] == 40 && sampling["deferred"] == 0
    });
    assert_eq!(server.log().matches("sampled requests cannot be put aside").count(), 1);
    server.disk().free();
    within(PATIENCE, "words about putting aside again", || {
        ask(&server, 0, 1);
        server.log().contains("sampled requests are put aside again").then_some(())
    });
    until(&server, "pairs again", |sampling| {
        count(sampling, "executed") > 0 && sampling["deferred"] == 0
    });
}
