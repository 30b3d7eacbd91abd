//! `greenroom check`: what a server would say of a model, before anybody drops it.

use std::path::Path;

use serde_json::Value;

use crate::support::hostile::HOSTILE;
use crate::support::{Models, Run, adder, greenroom, package};

fn check(arguments: &[&Path]) -> Run {
    Run::of(greenroom().arg("check").args(arguments))
}

#[test]
fn good_models_are_shown_with_what_they_take_and_give() {
    let run = check(&["models/iris/1.onnx", "models/wine"].map(Path::new));
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let lines: Vec<Vec<&str>> =
        run.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    for expected in [
        &["model", "models/iris/1.onnx"][..],
        &["verdict", "good"],
        &["input", "X", "f32[N,", "4]"],
        &["output", "probabilities", "map(string,", "f32)[N]"],
        &["batching", "requests", "can", "run", "together"],
        &["model", "models/wine/1.onnx"],
    ] {
        assert!(lines.iter().any(|line| line == expected), "{expected:?} in\n{}", run.stdout);
    }
}

#[test]
fn all_of_a_folder_are_tried_and_one_bad_one_makes_the_difference() {
    let models = Models::made()
        .file("a/1.onnx", adder(1.0))
        .file("a/2/model.onnx", &adder(2.0)[..50])
        .file("b.onnx", adder(3.0))
        .file(".hidden/x.onnx", "no model");
    let run = check(&[Path::new("--json"), models.path()]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    let told: Value = serde_json::from_str(&run.stdout).unwrap();
    let told: Vec<(String, bool, Option<&str>)> = told["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| {
            let path = check["path"].as_str().unwrap();
            let path = path.trim_start_matches(models.path().to_str().unwrap()).to_owned();
            (path, check["good"].as_bool().unwrap(), check["reason"].as_str())
        })
        .collect();
    let [first, second, third] = &told[..] else { panic!("{told:?}") };
    assert_eq!(first, &("/a/1.onnx".to_owned(), true, None));
    assert!(second.2.is_some_and(|reason| reason.contains("cut short")), "{second:?}");
    assert_eq!(third, &("/b.onnx".to_owned(), true, None));
}

#[test]
fn a_model_that_kills_its_process_is_a_bad_one() {
    let models = Models::made();
    let trap = HOSTILE.iter().find(|hostile| hostile.name == "division-at-load").unwrap();
    (trap.write)(models.path());
    let run = check(&[models.path()]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    let expected = "bad: it crashes the process that runs it: SIGFPE (an integer division that cannot be done) while it was loaded";
    assert!(run.stdout.contains(expected), "{}", run.stdout);
}

#[test]
fn whoever_names_no_model_is_told_how() {
    let none = check(&[]);
    assert_eq!(none.code, Some(2), "{}", none.stderr);
    assert!(none.stderr.contains("<PATH>..."), "{}", none.stderr);
    let missing = check(&[Path::new("no/such.onnx")]);
    assert_eq!(missing.code, Some(2));
    assert!(
        missing.stderr.contains("`no/such.onnx` cannot be read: No such file"),
        "{}",
        missing.stderr
    );
    let empty = check(&[&package().join("docs")]);
    assert_eq!(empty.code, Some(2));
    assert!(empty.stderr.contains("has no `.onnx` file"), "{}", empty.stderr);
}
