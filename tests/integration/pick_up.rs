//! However a version gets into the models' folder, it is served when it is whole, and nothing else is.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use crate::support::{
    HeavyAdder, Models, Plan, Served, TestServer, adder, adder_with_external_data, digest, is_long,
    within,
};

const PATIENCE: Duration = Duration::from_secs(60);
const SETTLE: &str = "GREENROOM_REPOSITORY__SETTLE";

fn plan(models: Models) -> Plan {
    TestServer::with_models(models)
}

/// A server with version 1 of `m`, which adds one.
fn server() -> TestServer {
    plan(Models::made().file("m/1.onnx", adder(1.0))).start()
}

/// Who is to have answered, in this order.
fn served<const N: usize>(expected: [(&str, f64); N]) -> Vec<Served> {
    expected.into_iter().map(|(version, added)| (version.to_owned(), added)).collect()
}

/// The bytes of an adder of so many MiB.
fn heavy_adder(summand: f32, mebibytes: u64) -> Vec<u8> {
    let HeavyAdder { mut beginning, length } = HeavyAdder::new(summand, mebibytes);
    beginning.resize(length as usize, 0);
    beginning
}

/// Bytes that may follow a model, and mean nothing.
fn note(text: &str) -> Vec<u8> {
    let key = 6 << 3 | 2; // protobuf: the description, by its length
    [&[key, text.len() as u8], text.as_bytes()].concat()
}

/// What operators are told of the last content that a label had.
fn version(server: &TestServer, model: &str, version: &str) -> Value {
    let told = server.told(model);
    let versions = told["versions"].as_array().unwrap().iter();
    versions.rev().find(|known| known["version"] == version).cloned().unwrap_or_default()
}

#[test]
fn a_file_that_is_written_slowly_is_served_once_it_is_whole() {
    let models = Models::made().file("m/1.onnx", adder(1.0));
    // Long enough that a busy machine is not taken for somebody who has stopped writing.
    let server = plan(models).environment(SETTLE, "1500ms").start();
    let content = heavy_adder(2.0, if is_long() { 100 } else { 20 });
    let seen = server.watched("m", || {
        let mut file = File::create(server.models().join("m/2.onnx")).unwrap();
        let began = Instant::now();
        for (written, piece) in content.chunks(128 << 10).enumerate() {
            file.write_all(piece).unwrap();
            // 5 MB/s: this is how slow the writer is.
            let due = Duration::from_millis(25) * (written as u32 + 1);
            std::thread::sleep(due.saturating_sub(began.elapsed()));
        }
        server.serves("m", "2", 2.0);
    });
    assert_eq!(seen, served([("1", 1.0), ("2", 2.0)]));
    assert_eq!(server.history("m"), ["- → 1 completed", "1 → 2 baking"]);
}

#[test]
fn a_file_whose_writer_was_interrupted_is_broken_until_it_is_whole() {
    let models = Models::made().file("m/1.onnx", adder(1.0));
    let server = plan(models).environment(SETTLE, "500ms").start(); // as it is for everybody
    let content = heavy_adder(2.0, 20);
    let (first, rest) = content.split_at(content.len() / 2);
    let seen = server.watched("m", || {
        let mut file = File::create(server.models().join("m/2.onnx")).unwrap();
        file.write_all(first).unwrap();
        let interrupted = Instant::now();
        let told = within(PATIENCE, "half a model is quarantined", || {
            Some(version(&server, "m", "2")).filter(|told| told["state"] == "quarantined")
        });
        let reason = told["reason"].as_str().unwrap();
        assert!(reason.contains("the file is cut short"), "{reason}");
        assert!(server.log().contains("version 2 of `m` is not served: "), "{}", server.log());
        // This is how long the writer pauses.
        std::thread::sleep(Duration::from_secs(3).saturating_sub(interrupted.elapsed()));
        file.write_all(rest).unwrap();
        drop(file);
        server.serves("m", "2", 2.0);
    });
    assert_eq!(seen, served([("1", 1.0), ("2", 2.0)]));
    assert_eq!(server.history("m"), ["- → 1 completed", "1 → 2 refused", "1 → 2 baking"]);
    assert_eq!(server.told("m")["previous"], "1");
}

#[test]
fn a_file_that_is_overwritten_while_it_is_read_is_taken_whole_or_not_at_all() {
    const ROUNDS: u32 = 5;
    let server = server();
    let store = server.state().join("store");
    let is_reading = || {
        let mut names = fs::read_dir(&store).unwrap().map(|entry| entry.unwrap().file_name());
        names.any(|name| name.to_string_lossy().starts_with(".tmp-"))
    };
    let mut caught = 0;
    for round in 0..ROUNDS {
        let label = (round + 2).to_string();
        let path = format!("m/{label}.onnx");
        // They differ at both ends, so that half of one and half of the other is neither.
        let mut before = heavy_adder(100.0 + round as f32, 48);
        let mut after = heavy_adder(200.0 + round as f32, 48);
        before.extend(note("before"));
        after.extend(note("after!"));
        server.put(&path, &before);
        within(PATIENCE, "somebody who reads it", || is_reading().then_some(()));
        fs::OpenOptions::new()
            .write(true)
            .open(server.models().join(&path))
            .unwrap()
            .write_all(&after)
            .unwrap();
        server.serves("m", &label, 200.0 + f64::from(round));
        let told = server.told("m");
        let of_label =
            told["versions"].as_array().unwrap().iter().filter(|known| known["version"] == label);
        let digests: Vec<&str> = of_label.map(|known| known["digest"].as_str().unwrap()).collect();
        let whole = [&before, &after].map(|content| format!("sha256:{}", digest(content)));
        assert!(
            digests.iter().all(|digest| whole.iter().any(|whole| whole == digest)),
            "{digests:?}"
        );
        caught += u32::from(digests == whole[1..]);
    }
    println!("of {ROUNDS} files {caught} were overwritten while they were read");
    assert!(caught > 0);
}

#[test]
fn what_has_the_name_of_something_unfinished_is_ignored() {
    let server = server();
    let seen = server.watched("m", || {
        fs::create_dir(server.models().join("m/2.tmp")).unwrap();
        server.copy("m/2.tmp/model.onnx", adder(2.0));
        server.copy("m/2.onnx.part", adder(2.0));
        server.copy("m/.2.onnx", adder(2.0));
        server.looks_again();
    });
    assert_eq!(seen, served([("1", 1.0)]));
    assert_eq!(server.versions("m"), ["1 ready stable"]);

    fs::rename(server.models().join("m/2.tmp"), server.models().join("m/2")).unwrap();
    server.serves("m", "2", 2.0);
}

#[test]
fn the_date_of_a_file_does_not_matter() {
    let server = server();
    server.put_dated("m/2.onnx", adder(2.0), SystemTime::UNIX_EPOCH);
    server.serves("m", "2", 2.0);
    // The same date and the same length.
    server.put_dated("m/2.onnx", adder(3.0), SystemTime::UNIX_EPOCH);
    server.serves("m", "2", 3.0);
}

#[test]
fn a_file_that_is_overwritten_is_another_version_by_the_same_name() {
    let server = server();
    let digest_of = |model: &Value, role: &str| {
        let mut versions = model["versions"].as_array().unwrap().iter();
        versions.find(|version| version["role"] == role).map(|version| version["digest"].clone())
    };
    let before = digest_of(&server.told("m"), "stable");
    let seen = server.watched("m", || {
        server.copy("m/1.onnx", adder(2.0));
        server.serves("m", "1", 2.0);
    });
    assert_eq!(seen, served([("1", 1.0), ("1", 2.0)]));
    let told = server.told("m");
    assert_eq!(json!([told["stable"], told["previous"]]), json!(["1", "1"]));
    assert_eq!(digest_of(&told, "previous"), before);
    assert_ne!(digest_of(&told, "stable"), before);
}

#[test]
fn a_link_that_leads_elsewhere_is_a_new_version() {
    // As Kubernetes mounts a volume: `..data` leads to the folder with the present files.
    let models =
        Models::made().file("..2026_01/m.onnx", adder(1.0)).file("..2026_02/m.onnx", adder(2.0));
    symlink("..2026_01", models.path().join("..data")).unwrap();
    symlink("..data/m.onnx", models.path().join("m.onnx")).unwrap();
    let server = plan(models).start();
    let seen = server.watched("m", || {
        let (unfinished, link) = ("..data_tmp", "..data");
        symlink("..2026_02", server.models().join(unfinished)).unwrap();
        fs::rename(server.models().join(unfinished), server.models().join(link)).unwrap();
        fs::remove_dir_all(server.models().join("..2026_01")).unwrap();
        server.serves("m", "2", 2.0);
    });
    assert_eq!(seen, served([("1", 1.0), ("2", 2.0)]));
    assert_eq!(server.served("m"), ("2".to_owned(), 2.0));
}

#[test]
fn a_folder_that_is_moved_into_place_comes_with_its_data() {
    let server = server();
    let unfinished = server.models().join("m/2.tmp");
    fs::create_dir(&unfinished).unwrap();
    fs::write(unfinished.join("model.onnx"), adder_with_external_data("weights.bin")).unwrap();
    let weights = |summand: f32| [summand; 2].map(f32::to_le_bytes).concat();
    fs::write(unfinished.join("weights.bin"), weights(2.0)).unwrap();
    let seen = server.watched("m", || {
        fs::rename(&unfinished, server.models().join("m/2")).unwrap();
        within(PATIENCE, "version 2", || (server.told("m")["stable"] == "2").then_some(()));
    });
    assert_eq!(seen.first().unwrap(), &("1".to_owned(), 1.0));
    let answer = server.predict("m", r#"{"instances": [[0, 1000]]}"#).ok();
    assert_eq!(answer, json!({ "predictions": [[2.0, 1002.0]] }));

    // Other data alone is another version, too.
    server.put("m/2/weights.bin", weights(3.0));
    server.serves("m", "2", 3.0);
}

#[test]
fn contents_of_one_file_are_versions_in_the_order_in_which_they_came() {
    let server = plan(Models::made().file("m.onnx", adder(1.0))).start();
    assert_eq!(server.served("m"), ("1".to_owned(), 1.0));
    let seen = server.watched("m", || {
        server.put("m.onnx", adder(2.0));
        server.serves("m", "2", 2.0);
        // What was there before is version 1 again.
        server.put("m.onnx", adder(1.0));
        server.serves("m", "1", 1.0);
    });
    assert_eq!(seen, served([("1", 1.0), ("2", 2.0), ("1", 1.0)]));
    assert_eq!(server.history("m"), ["- → 1 completed", "1 → 2 aborted"]);

    server.copy("m.onnx", adder(3.0));
    server.serves("m", "3", 3.0);
}

#[test]
fn the_content_before_put_into_the_one_file_again_is_an_undo() {
    let server = plan(Models::made().file("m.onnx", adder(1.0))).start();
    server.put("m.onnx", adder(2.0));
    server.serves("m", "2", 2.0);
    assert_eq!(server.operate("m", "promote", json!({})).status, 200);
    server.put("m.onnx", adder(1.0));
    server.serves("m", "1", 1.0);
    let expected = ["- → 1 completed", "1 → 2 completed", "2 → 1 completed"];
    assert_eq!(server.history("m"), expected);
    assert_eq!(server.rollout("m")["actor"], "file");
}

#[test]
fn an_older_version_that_appears_is_known_and_not_served() {
    let server = plan(Models::made().file("m/5.onnx", adder(5.0))).start();
    let seen = server.watched("m", || {
        server.put("m/3.onnx", adder(3.0));
        within(PATIENCE, "version 3 is known", || {
            (version(&server, "m", "3")["state"] == "found").then_some(())
        });
        server.looks_again();
    });
    assert_eq!(seen, served([("5", 5.0)]));
    assert_eq!(server.versions("m"), ["3 found -", "5 ready stable"]);
}

#[test]
fn a_model_that_is_dropped_into_an_empty_folder_is_served() {
    let server = plan(Models::made()).start();
    server.put("first.onnx", adder(1.0));
    server.serves("first", "1", 1.0);
    server.put("second/7.onnx", adder(7.0));
    server.serves("second", "7", 7.0);
}

#[test]
fn of_several_versions_that_come_at_once_the_newest_is_served() {
    let server = server();
    let new = server.models().join("m.tmp");
    fs::create_dir(&new).unwrap();
    for version in [2, 10, 9_u8] {
        fs::write(new.join(format!("{version}.onnx")), adder(version.into())).unwrap();
    }
    fs::rename(&new, server.models().join("n")).unwrap();
    server.serves("n", "10", 10.0);
    assert_eq!(server.versions("n"), ["2 found -", "9 found -", "10 ready stable"]);
}
