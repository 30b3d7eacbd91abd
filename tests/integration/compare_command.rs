//! `greenroom compare`: two models on requests from a file, judged as a rollout would.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::Graph;
use crate::support::{Run, adder, greenroom, test_model};

/// A folder with two models, and what they are compared on.
struct Bench {
    folder: TempDir,
}

/// Says which class a number is of, the number itself; none is above `most`.
fn classifier(most: f32) -> Vec<u8> {
    Graph::default()
        .input("x", "f32[N, 1]")
        .output("label", "i64[N, 1]")
        .constant("most", &[1], &[most])
        .node("Min", &["x", "most"], "bounded")
        .cast("bounded", "label", "i64")
        .model()
}

impl Bench {
    fn of(a: Vec<u8>, b: Vec<u8>) -> Self {
        let folder = TempDir::with_prefix("greenroom-compare-").unwrap();
        let bench = Self { folder };
        bench.write("a.onnx", a);
        bench.write("b.onnx", b);
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn compare(&self, data: &Path, more: &[&str]) -> Run {
        let mut command = greenroom();
        command.arg("compare").args([self.path("a.onnx"), self.path("b.onnx")]);
        Run::of(command.arg("--data").arg(data).args(more))
    }
}

/// So many lines, a digit each, in turns.
fn digits(count: usize) -> String {
    (0..count).fold("x\n".to_owned(), |mut text, number| {
        writeln!(text, "{}", number % 10).unwrap();
        text
    })
}

fn report(run: &Run) -> Value {
    let answer: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(answer["schema"], "shadow.report/1");
    answer["reports"][0].clone()
}

#[test]
fn a_model_that_answers_otherwise_too_often_is_worse() {
    // Of ten digits it confuses two with another one.
    let bench = Bench::of(classifier(9.0), classifier(7.0));
    let data = bench.write("digits.csv", digits(3000));
    let run = bench.compare(&data, &[]);
    assert_eq!(run.code, Some(1), "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.contains("b.onnx` is worse than `"), "{}", run.stdout);
    assert!(run.stdout.contains("600 of 3000 pairs answered differently"), "{}", run.stdout);
    let run = bench.compare(&data, &["--json", "--threads", "1"]);
    let report = report(&run);
    assert_eq!(run.code, Some(1));
    assert_eq!(report["verdict"]["decision"], "fail");
    assert_eq!(report["sampling"]["executed"], 3000);
    let moves = report["outputs"][0]["transitions"].as_array().unwrap();
    let moves: Vec<[String; 3]> =
        moves.iter().map(|it| ["from", "to", "count"].map(|name| it[name].to_string())).collect();
    assert!(!moves.is_empty(), "{report}");
}

#[test]
fn a_model_that_is_as_good_may_take_its_place_and_little_data_shows_nothing() {
    let bench = Bench::of(classifier(9.0), classifier(10.0));
    let run = bench.compare(&bench.write("digits.csv", digits(3000)), &[]);
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.contains("can take the place of"), "{}", run.stdout);
    let run = bench.compare(&bench.write("few.csv", digits(20)), &[]);
    assert_eq!(run.code, Some(3), "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.contains("it is not shown"), "{}", run.stdout);
}

#[test]
fn rows_and_requests_come_in_lines_as_well_and_the_page_is_written() {
    let bench = Bench::of(adder(1.0), adder(1.0));
    let rows = "[1, 2]\n[3, 4]\n".repeat(10);
    let requests = "{\"instances\": [[1, 2], [3, 4]]}\n{\"inputs\": [[5, 6]]}\n".repeat(10);
    for (name, text) in [("rows.ndjson", rows), ("requests.jsonl", requests)] {
        let page = bench.path("page.html");
        let flags = ["--json", "--html", page.to_str().unwrap()];
        let run = bench.compare(&bench.write(name, text), &flags);
        assert_eq!(run.code, Some(3), "{}", run.stderr);
        assert_eq!(report(&run)["sampling"]["executed"], 20);
        assert!(fs::read_to_string(page).unwrap().contains("shadow.report/1"));
    }
}

#[test]
fn settings_say_what_is_tolerated() {
    let bench = Bench::of(classifier(9.0), classifier(7.0));
    let data = bench.write("digits.csv", digits(3000));
    let settings = bench.write("model.toml", "[gates]\noutputs = { reject = 0.3, prove = 0.4 }\n");
    let flags = ["--settings", settings.to_str().unwrap()];
    let run = bench.compare(&data, &flags);
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
}

#[test]
fn what_cannot_be_compared_is_told_with_its_place() {
    let bench = Bench::of(adder(1.0), adder(1.0));
    let rows = bench.write("rows.ndjson", "[1, 2]\n[3]\n");
    let table = bench.write("table.csv", "a,b,c\n1,2,3\n");
    let empty = bench.write("empty.ndjson", "\n");
    let other = bench.write("rows.txt", "1 2");
    for (data, expected) in [
        (&rows, "rows.ndjson`: line 2: instances[0]"),
        (&table, "table.csv`: the header has no column `X`"),
        (&empty, "empty.ndjson`: there are no requests"),
        (&other, "expected a file that ends in"),
        (&bench.path("nothing.csv"), "nothing.csv`: "),
    ] {
        let run = bench.compare(data, &[]);
        assert_eq!(run.code, Some(2), "{expected}: {}", run.stdout);
        assert!(run.stderr.contains(expected), "{expected}: {}", run.stderr);
    }
    // More than may wait, behind the one that is wrong.
    let long = bench.write("long.ndjson", format!("[1]\n{}", "[1, 2]\n".repeat(20_000)));
    for threads in ["1", "2"] {
        let run = bench.compare(&long, &["--threads", threads]);
        assert_eq!(run.code, Some(2), "{}", run.stdout);
        assert!(run.stderr.contains("long.ndjson`: line 1: instances[0]"), "{}", run.stderr);
    }
    bench.write("b.onnx", "no model");
    let run = bench.compare(&rows, &[]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("b.onnx`: "), "{}", run.stderr);
}

#[test]
fn a_row_that_a_model_fails_on_does_not_make_others_fail() {
    let bench = Bench::of(adder(2.0), test_model("fails_at_13"));
    let row = |number: usize| if number % 100 == 50 { 13.0 } else { number as f64 / 7.5 };
    let rows: String = (0..3000).map(|number| format!("[{}, 1]\n", row(number))).collect();
    let run = bench.compare(&bench.write("rows.ndjson", rows), &["--json"]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    let report = report(&run);
    assert_eq!(report["sampling"]["executed"], 3000);
    assert_eq!(report["errors"]["candidate_only"], 30, "{}", report["errors"]);
    assert_eq!(report["outputs"][0]["metrics"]["max_abs"], 0.0, "{}", report["outputs"]);
    // Those that ran beside others say nothing about times.
    let timed = report["latency"]["pairs"].as_u64().unwrap();
    assert!((990..2500).contains(&timed), "{timed}");
}

#[test]
fn a_model_that_fails_or_lacks_an_output_is_worse() {
    let lacking = Graph::default()
        .input("X", "f32[N, 2]")
        .output("Z", "f32[N, 2]")
        .node("Identity", &["X"], "Z")
        .model();
    let bench = Bench::of(adder(1.0), lacking);
    let run = bench.compare(&bench.write("rows.ndjson", "[1, 2]\n".repeat(2000)), &[]);
    assert_eq!(run.code, Some(1), "{}", run.stdout);
    assert!(run.stderr.contains("warning: a server would refuse `"), "{}", run.stderr);
}
