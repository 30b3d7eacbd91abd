//! Requests are recorded as they were sent and answered, never more of them than is wanted, and through crashes and
//! full disks; `greenroom capture export` takes them to other tools.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    Graph, Models, Plan, Request, Run, TestServer, adder, assert_said, command, greenroom, within,
};

const PATIENCE: Duration = Duration::from_secs(60);

const ALL: &str = "[capture]\nmode = \"on\"\nsample = 1.0\n";

/// A server with an adder, of which version k adds k.
fn plan(settings: &str) -> Plan {
    TestServer::with_models(Models::made().file("m/1.onnx", adder(1.0))).settings(settings)
}

/// One row for it; each number makes another one.
fn ask(server: &TestServer, number: usize) {
    let body = format!("{{\"instances\": [[{number}, 0.5]]}}");
    server.predict("m", &body).ok();
}

/// Waits until so many requests to a model are recorded since the server was started.
#[track_caller]
fn recorded(server: &TestServer, model: &str, count: usize) {
    let name = format!("greenroom_capture_records_total{{model=\"{model}\"}}");
    within(PATIENCE, &format!("{count} recorded requests"), || {
        (server.metric(&name) >= count as f64).then_some(())
    });
}

fn export(server: &TestServer, model: &str, format: &str, more: &[&str]) -> Run {
    let line = format!("capture export --model {model} --format {format}");
    Run::of(command(server, &line).args(more))
}

/// The lines of an export.
#[track_caller]
fn lines(server: &TestServer, model: &str) -> Vec<Value> {
    let run = export(server, model, "ndjson", &[]);
    assert_eq!(run.code, Some(0), "{run:?}");
    run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The files of the state folder, and what is in them.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(self::files(&path)),
            false => files.push((path.clone(), fs::read(path).unwrap_or_default())),
        }
    }
    files
}

fn bytes_of_captures(server: &TestServer) -> usize {
    let folder = server.state().join("captures");
    if folder.is_dir() { files(&folder).iter().map(|(_, bytes)| bytes.len()).sum() } else { 0 }
}

#[test]
fn nothing_is_recorded_unless_it_is_asked_for() {
    let server = plan("").start();
    (0..20).for_each(|number| ask(&server, number));
    assert!(!server.state().join("captures").exists());
    assert!(!server.log().contains("does not act on"), "{}", server.log());
    let run = export(&server, "m", "ndjson", &[]);
    assert_eq!(run.code, Some(2));
    assert_said(&run.stderr, &["no requests are recorded in", "[capture] mode = \"on\""]);
}

#[test]
fn what_was_sent_and_answered_is_recorded_and_nothing_else() {
    let server = plan(ALL).start();
    server.put("n.onnx", adder(5.0));
    server.serves("n", "1", 5.0);
    (0..100).for_each(|number| ask(&server, number));
    // A caller who insists on a version, and one who is refused.
    server.predict("m/versions/1", r#"{"instances": [[7000, 1]]}"#).ok();
    assert_eq!(server.predict("m", r#"{"instances": [[7000]]}"#).status, 400);
    ask(&server, 100);
    recorded(&server, "m", 101);
    let lines = lines(&server, "m");
    assert_eq!(lines.len(), 101);
    for (number, line) in lines.iter().enumerate() {
        let number = number as f64;
        assert_eq!(line["inputs"]["X"], json!([[number, 0.5]]));
        assert_eq!(line["outputs"], json!({ "Y": [[number + 1.0, 1.5]] }));
        assert_eq!((&line["model"], &line["version"]), (&json!("m"), &json!("1")));
        assert_eq!(line["digest"], server.told("m")["versions"][0]["digest"]);
    }
    let run = export(&server, "other", "ndjson", &[]);
    assert_eq!(run.code, Some(2));
    assert_said(&run.stderr, &["no requests to `other`", "there are some to `m`, `n`"]);
}

#[test]
fn a_sample_has_about_the_size_that_is_asked_for() {
    let server = plan("[capture]\nmode = \"on\"\nsample = 0.25\n").start();
    let mut connection = server.connect();
    let request = Request::predict("m", r#"{"instances": [[1, 2]]}"#);
    (0..2000).for_each(|_| drop(connection.ask(&request).unwrap().ok()));
    recorded(&server, "m", 380);
    let count = lines(&server, "m").len();
    assert!((380..=620).contains(&count), "{count} of 2000");
}

#[test]
fn digests_tell_nothing_and_are_not_exported() {
    let server = plan("[capture]\nmode = \"hash\"\nsample = 1\n").start();
    server.predict("m", r#"{"instances": [[1234.5, 2]]}"#).ok();
    recorded(&server, "m", 1);
    assert_nowhere(&server, &1234.5_f32.to_le_bytes());
    for format in ["ndjson", "npz"] {
        let path = server.state().join("out");
        let run = export(&server, "m", format, &["--output", path.to_str().unwrap()]);
        assert_eq!(run.code, Some(2), "{run:?}");
        assert_said(&run.stderr, &["only digests", "mode = \"on\""]);
        assert!(!path.exists());
    }
}

/// In no file of the state folder but those that are the models.
#[track_caller]
fn assert_nowhere(server: &TestServer, secret: &[u8]) {
    for (path, bytes) in files(&server.state()) {
        let is_there = bytes.windows(secret.len()).any(|window| window == secret);
        assert!(!is_there, "{secret:?} is in `{}`", path.display());
    }
}

/// Hands one text through, and says how long ago it was.
fn with_a_secret() -> Vec<u8> {
    Graph::default()
        .input("name", "string[N, 1]")
        .input("x", "f32[N, 1]")
        .output("echo", "string[N, 1]")
        .output("y", "f32[N, 1]")
        .node("Identity", &["name"], "echo")
        .node("Neg", &["x"], "y")
        .model()
}

#[test]
fn what_is_redacted_is_written_nowhere() {
    for mode in ["on", "hash"] {
        let settings = format!(
            "[capture]\nmode = \"{mode}\"\nsample = 1\nredact = [\"name\"]\n[log]\naccess = true\n"
        );
        let models = Models::made().file("s/1.onnx", with_a_secret());
        let server = TestServer::with_models(models).settings(&settings).start();
        let body = r#"{"inputs": {"name": [["Ada Lovelace"]], "x": [[3]]}}"#;
        assert_eq!(server.predict("s", body).ok()["outputs"]["echo"], json!([["Ada Lovelace"]]));
        recorded(&server, "s", 1);
        assert_nowhere(&server, b"Ada Lovelace");
        use sha2::Digest;
        for written in
            [b"Ada Lovelace".to_vec(), [&12_u32.to_le_bytes()[..], b"Ada Lovelace"].concat()]
        {
            assert_nowhere(&server, &sha2::Sha256::digest(written));
        }
        if mode == "on" {
            let line = &lines(&server, "s")[0];
            assert_eq!(line["inputs"], json!({ "x": [[3.0]] }));
            assert_eq!(line["outputs"], json!({ "y": [[-3.0]] }));
            assert_eq!(line["redacted"], json!(["name", "echo"]));
        }
    }
}

#[test]
fn an_answer_without_all_outputs_is_not_recorded() {
    let models = Models::made().file("s/1.onnx", with_a_secret());
    let server = TestServer::with_models(models).settings(ALL).start();
    let ask = |number: usize, outputs: Value| {
        let body = json!({
            "inputs": [
                { "name": "name", "shape": [1, 1], "datatype": "BYTES", "data": ["Ada"] },
                { "name": "x", "shape": [1, 1], "datatype": "FP32", "data": [number] },
            ],
            "outputs": outputs,
        });
        server.ask(&Request::post("/v2/models/s/infer", body.to_string())).ok()
    };
    ask(1, json!([{ "name": "y" }]));
    ask(2, json!([{ "name": "echo" }, { "name": "y" }]));
    recorded(&server, "s", 1);
    let lines = lines(&server, "s");
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["inputs"], json!({ "name": [["Ada"]], "x": [[2.0]] }));
    assert_eq!(lines[0]["outputs"], json!({ "echo": [["Ada"]], "y": [[-2.0]] }));
}

/// The arrays of an archive that is not compressed: type and shape, and the elements.
fn arrays(path: &Path) -> BTreeMap<String, (String, Vec<u8>)> {
    let bytes = fs::read(path).unwrap();
    let (mut arrays, mut rest) = (BTreeMap::new(), &bytes[..]);
    while rest.starts_with(b"PK\x03\x04") {
        let number = |at: usize| usize::from(u16::from_le_bytes([rest[at], rest[at + 1]]));
        let (name, extra) = (number(26), number(28));
        let text = String::from_utf8(rest[30..30 + name].to_vec()).unwrap();
        let length: [u8; 8] = rest[30 + name + 4..][..8].try_into().unwrap();
        let begin = 30 + name + extra;
        let end = begin + u64::from_le_bytes(length) as usize;
        let mut crc = flate2::Crc::new();
        crc.update(&rest[begin..end]);
        assert_eq!(crc.sum().to_le_bytes(), rest[14..18], "{text}");
        let array = &rest[begin..end];
        assert_eq!(&array[..8], b"\x93NUMPY\x01\x00");
        let elements = 10 + usize::from(u16::from_le_bytes([array[8], array[9]]));
        let header = String::from_utf8(array[10..elements].to_vec()).unwrap();
        arrays.insert(text, (header.trim_end().to_owned(), array[elements..].to_vec()));
        rest = &rest[end..];
    }
    assert!(rest.starts_with(b"PK\x01\x02"));
    arrays
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|chunk| f32::from_le_bytes(chunk.try_into().unwrap())).collect()
}

#[test]
fn an_archive_has_the_rows_of_all_requests() {
    let server = plan(ALL).start();
    server.predict("m", r#"{"instances": [[1, 2]]}"#).ok();
    server.predict("m", r#"{"instances": [[3, 4], [5, 6]]}"#).ok();
    recorded(&server, "m", 2);
    let path = server.state().join("m.npz");
    let run = export(&server, "m", "npz", &["--output", path.to_str().unwrap()]);
    assert_eq!((run.code, run.stderr.trim_end()), (Some(0), "2 requests to `m`"));
    let arrays = arrays(&path);
    assert_eq!(arrays.keys().collect::<Vec<_>>(), ["X.npy", "Y.npy"]);
    let (header, elements) = &arrays["X.npy"];
    assert_eq!(header, "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }");
    assert_eq!(floats(elements), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(floats(&arrays["Y.npy"].1), [2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    assert_eq!(export(&server, "m", "npz", &[]).code, Some(2), "not on a terminal");
}

#[test]
fn requests_of_another_signature_are_told_apart_and_ragged_ones_refused() {
    let widths = Graph::default()
        .input("X", "f32[N, M]")
        .output("Y", "f32[N, M]")
        .node("Neg", &["X"], "Y")
        .model();
    let texts = Graph::default()
        .input("X", "string[N, 1]")
        .output("Y", "string[N, 1]")
        .node("Identity", &["X"], "Y")
        .model();
    let models = Models::made().file("m/1.onnx", widths);
    let mut server = TestServer::with_models(models).settings(ALL).start();
    server.predict("m", r#"{"inputs": [[1, 2]]}"#).ok();
    server.predict("m", r#"{"inputs": [[1, 2, 3]]}"#).ok();
    recorded(&server, "m", 2);
    let path = server.state().join("m.npz");
    let output = ["--output", path.to_str().unwrap()];
    let run = export(&server, "m", "npz", &output);
    assert_eq!(run.code, Some(2));
    assert_said(
        &run.stderr,
        &["`X` has the shape [1, 2] in one request and [1, 3] in another", "ndjson"],
    );
    assert_eq!(server.stop().code(), Some(0));
    fs::write(server.models().join("m/1.onnx"), &texts).unwrap();
    fs::write(server.models().join("m/model.toml"), "[rollout]\nsignature = \"any\"\n").unwrap();
    server.start_again();
    within(PATIENCE, "the model of texts", || {
        let answer = server.predict("m", r#"{"inputs": [["grün"]]}"#);
        (answer.status == 200).then_some(())
    });
    recorded(&server, "m", 1);
    let run = export(&server, "m", "npz", &output);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_said(&run.stderr, &["2 of another signature are left out"]);
    let (header, elements) = &arrays(&path)["X.npy"];
    assert_said(header, &["'descr': '<U4'", "'shape': (1, 1)"]);
    let expected: Vec<u8> = "grün".chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
    assert_eq!(elements, &expected);
}

#[test]
fn two_models_can_be_compared_on_what_was_recorded() {
    let server = plan(ALL).start();
    (0..20).for_each(|number| ask(&server, number));
    assert_eq!(server.predict("m", r#"{"instances": [[NaN, 1]]}"#).status, 200);
    recorded(&server, "m", 21);
    let folder = server.state();
    let path = folder.join("m.ndjson");
    let run = export(&server, "m", "ndjson", &["--output", path.to_str().unwrap()]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let other = folder.join("other.onnx");
    fs::write(&other, adder(1.0)).unwrap();
    let mut compare: Command = greenroom();
    compare.arg("compare").arg(server.models().join("m/1.onnx")).arg(other).arg("--json");
    let run = Run::of(compare.arg("--data").arg(&path));
    assert_eq!(run.code, Some(3), "{run:?}");
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report["reports"][0]["sampling"]["executed"], 21);
}

#[test]
fn a_crash_costs_no_more_than_the_last_second() {
    let mut server = plan(ALL).start();
    (0..50).for_each(|number| ask(&server, number));
    recorded(&server, "m", 50);
    server.kill();
    let segment = files(&server.state().join("captures")).pop().unwrap().0;
    let mut torn = fs::read(&segment).unwrap();
    let whole = torn.len();
    torn.extend_from_within(24..60);
    fs::write(&segment, torn).unwrap();
    assert_eq!(lines(&server, "m").len(), 50);
    server.start_again();
    (50..60).for_each(|number| ask(&server, number));
    recorded(&server, "m", 10);
    assert_eq!(fs::metadata(&segment).unwrap().len(), whole as u64, "the torn end is cut off");
    let numbers: Vec<f64> = lines(&server, "m")
        .iter()
        .map(|line| line["inputs"]["X"][0][0].as_f64().unwrap())
        .collect();
    assert_eq!(numbers, (0..60).map(f64::from).collect::<Vec<_>>());
}

#[test]
fn what_waits_is_written_when_the_server_ends() {
    let mut server = plan(ALL).start();
    (0..30).for_each(|number| ask(&server, number));
    assert_eq!(server.stop().code(), Some(0));
    assert_eq!(lines(&server, "m").len(), 30);
}

#[test]
fn a_full_disk_costs_records_and_no_answer() {
    let Some(plan) = plan(ALL).on_small_disk("4m") else { return };
    let server = plan.start();
    ask(&server, 0);
    recorded(&server, "m", 1);
    server.disk().fill();
    const SAID: &str = "requests cannot be recorded";
    within(PATIENCE, "words about the disk", || {
        (0..100).for_each(|number| ask(&server, number));
        server.log().contains(SAID).then_some(())
    });
    let dropped = || server.metric("greenroom_capture_dropped_total{reason=\"disk\"}");
    assert!(dropped() > 0.0);
    (0..100).for_each(|number| ask(&server, number));
    assert_eq!(server.log().matches(SAID).count(), 1);
    let before = lines(&server, "m").len();
    server.disk().free();
    within(PATIENCE, "words about recording again", || {
        ask(&server, 1);
        server.log().contains("requests are recorded again").then_some(())
    });
    assert!(lines(&server, "m").len() > before);
}

#[test]
fn records_never_take_more_room_than_they_may_and_stay_a_sample_of_all() {
    let settings = format!("{ALL}max_bytes = \"64KiB\"\n");
    let server = plan(&settings).start();
    let mut connection = server.connect();
    const EACH: usize = 600;
    for part in 0..5 {
        for number in 0..EACH {
            let number = part * EACH + number;
            let body = format!("{{\"instances\": [[{number}, 0]]}}");
            connection.ask(&Request::predict("m", body)).unwrap().ok();
            if number.is_multiple_of(100) {
                assert!(bytes_of_captures(&server) <= 64 << 10);
            }
        }
    }
    within(PATIENCE, "fewer records than requests, of the last ones, too", || {
        let numbers: Vec<usize> = lines(&server, "m")
            .iter()
            .map(|line| line["inputs"]["X"][0][0].as_f64().unwrap() as usize)
            .collect();
        (*numbers.last().unwrap() > 5 * EACH - 100).then_some(numbers)
    });
    assert!(bytes_of_captures(&server) <= 64 << 10);
    let lines = lines(&server, "m");
    assert!((150..600).contains(&lines.len()), "{}", lines.len());
    for part in 0..5 {
        let is_of_part =
            |line: &&Value| line["inputs"]["X"][0][0].as_f64().unwrap() as usize / EACH == part;
        let count = lines.iter().filter(is_of_part).count() as f64;
        let expected = lines.len() as f64 / 5.0;
        assert!(
            (count - expected).abs() < 5.0 * expected.sqrt() + 20.0,
            "{part}: {count} of {expected}"
        );
    }
}

#[test]
fn records_are_gone_when_they_are_too_old_even_if_nothing_more_is_recorded() {
    let mut server = plan(ALL).start();
    ask(&server, 0);
    recorded(&server, "m", 1);
    assert_eq!(server.stop().code(), Some(0));
    assert!(bytes_of_captures(&server) > 0);
    server.set_environment("GREENROOM_CAPTURE__MODE", Some("off"));
    server.set_environment("GREENROOM_CAPTURE__MAX_AGE", Some("1s"));
    server.start_again();
    within(PATIENCE, "no more records", || (bytes_of_captures(&server) == 0).then_some(()));
}
