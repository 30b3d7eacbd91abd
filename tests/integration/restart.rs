//! A server that ended in whatever way goes on where it was, with whole versions only.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Models, TestServer, adder, digest, is_long, row, whole, within};

const PATIENCE: Duration = Duration::from_secs(60);
const KEPT: usize = 3;

/// What a folder's files and folders are called.
fn names(folder: &std::path::Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).collect()
}

/// Numbers that are all over the place, the same ones each time.
fn scattered(seed: u64) -> u64 {
    let mut bits = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[test]
fn a_server_that_is_killed_at_any_moment_of_a_swap_goes_on() {
    let kills = if is_long() { 200 } else { 20 };
    let mut server = TestServer::with_models(Models::made().file("m/1.onnx", adder(1.0)))
        .settings(&format!("repository.keep_revisions = {KEPT}"))
        .start();
    let mut moments: BTreeMap<&str, usize> = BTreeMap::new();
    for kill in 1..=kills {
        let newest = kill + 1;
        server.put(&format!("m/{newest}.onnx"), adder(newest as f32));
        // This is the moment at which the power fails: anywhere, and every other time shortly after the file was
        // seen, since most of what can go wrong takes a few milliseconds.
        let longest = if kill % 2 == 0 { 300_000 } else { 12_000 };
        if kill % 2 == 1 {
            let loading = format!("of `m` {newest} is loading");
            within(PATIENCE, &loading, || server.log().contains(&loading).then_some(()));
        }
        std::thread::sleep(Duration::from_micros(scattered(kill) % longest));
        server.kill();
        let log = server.log();
        let is_told = |phase: &str| log.contains(&format!("of `m` {newest} is {phase}"));
        let moment = ["baking", "loading"].into_iter().find(|phase| is_told(phase));
        *moments.entry(moment.unwrap_or("found")).or_default() += 1;
        server.start_again();
        within(PATIENCE, &format!("version {newest}, after kill {kill}"), || {
            let (version, added) = whole(&server.ask(&row("m"))).unwrap();
            let version: u64 = version.parse().unwrap();
            assert_eq!(added, version as f64);
            assert!([newest - 1, newest].contains(&version), "{version} of {newest}");
            (version == newest).then_some(())
        });
    }
    println!("killed {kills} times; the new version was then: {moments:?}");
    server.operate("m", "promote", json!({})).ok();
    let known: BTreeSet<String> =
        (1..=kills + 1).map(|version| digest(&adder(version as f32))).collect();
    within(PATIENCE, "a store with what is accounted for alone", || {
        let contents = names(&server.state().join("store"));
        let is_fine = contents.len() <= KEPT && contents.iter().all(|name| known.contains(name));
        is_fine.then_some(())
    });
    assert_eq!(server.history("m").len() as u64, kills + 1);
}

/// A server with two models, of which `m` is at version 2.
fn server() -> TestServer {
    let models = Models::made().file("m/1.onnx", adder(1.0)).file("n.onnx", adder(7.0));
    let server = TestServer::with_models(models).start();
    server.put("m/2.onnx", adder(2.0));
    server.serves("m", "2", 2.0);
    server
}

#[track_caller]
fn assert_both_answer(server: &TestServer) {
    assert_eq!(server.served("m"), ("2".to_owned(), 2.0));
    assert_eq!(server.served("n"), ("1".to_owned(), 7.0));
}

#[test]
fn a_server_whose_models_were_taken_away_answers_from_its_store() {
    let mut server = server();
    server.kill();
    fs::remove_dir_all(server.models().join("m")).unwrap();
    fs::remove_file(server.models().join("n.onnx")).unwrap();
    for starts in 1..=2 {
        server.start_again();
        within(PATIENCE, "words about what vanished", || {
            let told = server.log().matches("several models vanished at once (m, n)").count();
            (told >= starts).then_some(())
        });
        assert_both_answer(&server);
        assert_eq!(server.stop().code(), Some(0));
    }
}

#[test]
fn a_server_that_finds_its_folder_empty_takes_it_for_one_that_is_not_mounted_yet() {
    let mut server = TestServer::with_models(Models::made().file("m.onnx", adder(1.0))).start();
    server.kill();
    fs::remove_file(server.models().join("m.onnx")).unwrap();
    for starts in 1..=2 {
        server.start_again();
        within(PATIENCE, "words about what vanished", || {
            let told = server.log().matches("`m` vanished, and it seems that").count();
            (told >= starts).then_some(())
        });
        assert_eq!(server.served("m"), ("1".to_owned(), 1.0));
        assert_eq!(server.stop().code(), Some(0));
    }
    assert!(!server.log().contains("unloaded in a minute"), "{}", server.log());
    server.start_again();
    server.put("m.onnx", adder(2.0));
    server.serves("m", "2", 2.0);
}

#[test]
fn models_that_vanished_do_not_end_at_the_second_restart() {
    let mut server = server();
    fs::remove_dir_all(server.models().join("m")).unwrap();
    fs::remove_file(server.models().join("n.onnx")).unwrap();
    within(PATIENCE, "words about what vanished", || {
        server.log().contains("several models vanished at once (m, n)").then_some(())
    });
    server.put("other.onnx", adder(3.0));
    server.serves("other", "1", 3.0);
    assert_both_answer(&server);
    assert_eq!(server.stop().code(), Some(0));
    server.start_again();
    server.looks_again();
    assert_both_answer(&server);
}

#[test]
fn a_server_whose_models_folder_is_gone_says_so() {
    let mut server = server();
    server.kill();
    let (models, elsewhere) = (server.models().to_owned(), server.state().join("elsewhere"));
    fs::rename(&models, &elsewhere).unwrap();
    fs::create_dir(&models).unwrap();
    server.start_again();
    assert_both_answer(&server);
    fs::remove_dir(&models).unwrap();
    within(PATIENCE, "words about the folder", || {
        server.log().contains("the models' folder cannot be read").then_some(())
    });
    assert_both_answer(&server);
    fs::rename(&elsewhere, &models).unwrap();
    server.put("m/3.onnx", adder(3.0));
    server.serves("m", "3", 3.0);
}

#[test]
fn a_folder_of_models_that_cannot_be_written_is_enough() {
    let mut server = server();
    assert_eq!(server.stop().code(), Some(0));
    let folders = [server.models().join("m"), server.models().to_owned()];
    let permit = |mode: u32| {
        for folder in &folders {
            fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    permit(0o555);
    server.start_again();
    assert_both_answer(&server);
    permit(0o755);
}

#[test]
fn a_restart_tells_no_release_twice() {
    let mut server = server();
    let history = server.history("m");
    for _ in 0..2 {
        assert_eq!(server.stop().code(), Some(0));
        server.start_again();
        server.looks_again();
        assert_both_answer(&server);
        assert_eq!(server.history("m"), history);
    }
    // The version before is still there for an undo.
    server.operate("m", "undo", json!({})).ok();
    assert_eq!(server.served("m"), ("1".to_owned(), 1.0));
}

#[test]
fn a_second_server_on_the_same_state_does_not_start() {
    let server = server();
    let state = server.state().display().to_string();
    let second = TestServer::with_models(Models::made()).flags(&["--state", &state]).run();
    assert_eq!(second.code, Some(2), "{}", second.stderr);
    let sentence = format!(
        "error: the state folder `{state}` belongs to another server that runs (process {}); \
         stop that one, or name another folder with --state\n",
        server.pid()
    );
    assert!(second.stderr.ends_with(&sentence), "{}", second.stderr);
    let here: Value =
        serde_json::from_str(&fs::read_to_string(server.server_file()).unwrap()).unwrap();
    assert_eq!(here["pid"], server.pid());
    assert_both_answer(&server);
}
