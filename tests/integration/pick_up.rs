//! However a version gets into the models' folder, it is served when it is whole, and nothing else is.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::support::{Models, Plan, Served, TestServer, adder, adder_with_external_data, within};

const PATIENCE: Duration = Duration::from_secs(60);

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

/// An adder of about 20 MB: a description precedes the graph.
fn long_adder(summand: f32) -> Vec<u8> {
    const LENGTH: usize = 20 << 20;
    let mut bytes = vec![6 << 3 | 2]; // protobuf: field 6, by its length
    let mut length = LENGTH;
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.resize(bytes.len() + LENGTH, b' ');
    [bytes, adder(summand)].concat()
}

fn state_of(server: &TestServer, model: &str, version: &str) -> Value {
    let told = server.told(model);
    let versions = told["versions"].as_array().unwrap().iter();
    versions.rev().find(|known| known["version"] == version).unwrap_or(&Value::Null)["state"]
        .clone()
}

#[test]
fn a_file_that_is_written_slowly_is_served_once_it_is_whole() {
    let models = Models::made().file("m/1.onnx", adder(1.0));
    // Long enough that a busy machine is not taken for somebody who has stopped writing.
    let plan = plan(models).environment("GREENROOM_REPOSITORY__SETTLE", "1500ms");
    let server = plan.start();
    let seen = server.watched("m", || {
        let mut file = File::create(server.models().join("m/2.onnx")).unwrap();
        for piece in long_adder(2.0).chunks(1 << 20) {
            file.write_all(piece).unwrap();
            std::thread::sleep(Duration::from_millis(100)); // this is how slow the writer is
        }
        server.serves("m", "2", 2.0);
    });
    assert_eq!(seen, served([("1", 1.0), ("2", 2.0)]));
    assert_eq!(server.history("m"), ["- → 1 completed", "1 → 2 baking"]);
}

#[test]
fn a_file_whose_writer_was_interrupted_is_broken_until_it_is_whole() {
    let server = server();
    let content = long_adder(2.0);
    let (first, rest) = content.split_at(content.len() / 2);
    let seen = server.watched("m", || {
        let mut file = File::create(server.models().join("m/2.onnx")).unwrap();
        file.write_all(first).unwrap();
        within(PATIENCE, "half a model is quarantined", || {
            (state_of(&server, "m", "2") == "quarantined").then_some(())
        });
        server.looks_again();
        file.write_all(rest).unwrap();
        drop(file);
        server.serves("m", "2", 2.0);
    });
    assert_eq!(seen, served([("1", 1.0), ("2", 2.0)]));
    let history = server.history("m");
    assert_eq!(history.first().unwrap(), "- → 1 completed");
    assert_eq!(history.last().unwrap(), "1 → 2 baking");
    assert_eq!(server.told("m")["previous"], "1");
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
    let digest = |model: &Value, role: &str| {
        let mut versions = model["versions"].as_array().unwrap().iter();
        versions.find(|version| version["role"] == role).map(|version| version["digest"].clone())
    };
    let before = digest(&server.told("m"), "stable");
    let seen = server.watched("m", || {
        server.copy("m/1.onnx", adder(2.0));
        server.serves("m", "1", 2.0);
    });
    assert_eq!(seen, served([("1", 1.0), ("1", 2.0)]));
    let told = server.told("m");
    assert_eq!(json!([told["stable"], told["previous"]]), json!(["1", "1"]));
    assert_eq!(digest(&told, "previous"), before);
    assert_ne!(digest(&told, "stable"), before);
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
            (state_of(&server, "m", "3") == "found").then_some(())
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
