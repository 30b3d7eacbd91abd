//! What it means when files are not there any more.

use std::fs;

use super::super::super::testing::Mounted;
use super::*;

/// A scene with these files, each holding its own name, all of them told.
fn scene_with(files: &[&str]) -> Scene {
    let mut scene = Scene::new();
    for file in files {
        scene.folders.write(file, file);
    }
    assert_eq!(scene.look_until_still().len(), files.len());
    scene
}

#[test]
fn a_file_that_is_gone_is_told_when_it_stays_away() {
    let mut scene = scene_with(&["m/1.onnx", "m/2.onnx"]);
    scene.folders.remove("m/2.onnx");
    assert!(scene.look().is_empty());
    scene.folders.write("m/2.onnx", "m/2.onnx");
    assert!(scene.look_until_still().is_empty(), "it was written anew, and is the same");

    scene.folders.remove("m/2.onnx");
    assert_eq!(scene.look_until_still(), ["m/2.onnx gone"]);
    assert!(scene.look_until_still().is_empty());
    scene.folders.write("m/2.onnx", "m/2.onnx");
    assert_eq!(scene.look_until_still(), ["m/2.onnx is `m/2.onnx`"]);
}

#[test]
fn a_new_label_for_a_file_is_a_departure_and_an_arrival() {
    let mut scene = scene_with(&["m/1.onnx"]);
    scene.folders.rename("m/1.onnx", "m/2.onnx");
    assert_eq!(scene.look_until_still(), ["m/1.onnx gone", "m/2.onnx is `m/1.onnx`"]);
}

#[test]
fn a_model_is_gone_with_its_last_file() {
    let mut scene = scene_with(&["m/1.onnx", "m/2.onnx", "other.onnx"]);
    scene.folders.remove("m/1.onnx");
    assert_eq!(scene.look_until_still(), ["m/1.onnx gone"]);
    scene.folders.remove("m");
    assert_eq!(scene.look_until_still(), ["m gone"]);
    assert!(scene.look_until_still().is_empty());
    scene.folders.write("m/2.onnx", "back");
    assert_eq!(scene.look_until_still(), ["m/2.onnx is `back`"]);
}

#[test]
fn models_that_are_removed_one_by_one_are_gone_one_by_one() {
    let mut scene = scene_with(&["a.onnx", "b.onnx", "c.onnx"]);
    scene.folders.remove("a.onnx");
    assert_eq!(scene.look_until_still(), ["a gone"]);
    scene.folders.remove("b.onnx");
    assert_eq!(scene.look_until_still(), ["b gone"]);
}

#[test]
fn models_that_vanish_together_change_nothing_until_they_are_back() {
    let mut scene = scene_with(&["a.onnx", "b.onnx", "c/1.onnx", "c/2.onnx"]);
    scene.folders.remove("a.onnx");
    assert!(scene.look().is_empty());
    scene.pass(300);
    scene.folders.remove("c");
    assert!(scene.look().is_empty());
    assert_eq!(scene.look_until_still(), [r#"[("a"), ("c")] vanished"#]);
    assert!(scene.look_until_still().is_empty());
    assert_eq!(scene.intake.files().count(), 4, "they stay known");

    scene.folders.write("c/1.onnx", "c/1.onnx");
    assert_eq!(scene.look_until_still(), ["c/2.onnx gone", "c/1.onnx is `c/1.onnx`"]);
}

#[test]
fn a_root_that_cannot_be_read_changes_nothing() {
    let mut scene = scene_with(&["a.onnx", "b/1.onnx"]);
    let (root, aside) = (scene.folders.models(), scene.folders.state().join("aside"));
    fs::rename(&root, &aside).unwrap();
    assert_eq!(scene.look(), ["root unreadable: No such file or directory (os error 2)"]);
    assert!(scene.look_until_still().is_empty(), "told once");

    fs::rename(&aside, &root).unwrap();
    let readable = format!("the models' folder `{}` can be read again", root.display());
    assert_eq!(scene.look_until_still(), [readable]);
}

#[test]
fn an_empty_folder_where_something_was_mounted_is_no_removal_even_of_one_model() {
    let folders = Folders::new();
    let Some(mounted) = Mounted::at(&folders.models(), "1m") else { return };
    folders.write("m.onnx", "first");
    let mut scene = Scene::of(folders);
    assert_eq!(scene.look_until_still(), ["m.onnx is `first`"]);
    drop(mounted);
    assert_eq!(scene.look_until_still(), [r#"[("m")] vanished"#]);
}

#[test]
fn a_folder_that_is_empty_from_the_start_is_no_removal_even_of_one_model() {
    let mut scene = scene_with(&["m.onnx"]);
    scene.folders.remove("m.onnx");
    scene = scene.restart();
    assert_eq!(scene.look_until_still(), [r#"[("m")] vanished"#]);
    scene.folders.write("n.onnx", "another");
    scene = scene.restart();
    assert_eq!(scene.look_until_still(), ["m gone", "n.onnx is `another`"]);
}

#[test]
fn what_was_never_told_goes_without_a_word() {
    let mut scene = scene_with(&["a.onnx", "m/1.onnx"]);
    scene.folders.write("m/2.onnx", "two");
    scene.folders.write("n.onnx", "new");
    assert!(scene.look().is_empty());
    scene.folders.remove("m/2.onnx");
    scene.folders.remove("n.onnx");
    assert!(scene.look_until_still().is_empty());
}

#[test]
fn a_problem_goes_with_the_files_that_made_it() {
    let mut scene = Scene::new();
    scene.folders.write("m.onnx", "flat");
    scene.folders.write("m/1.onnx", "one");
    assert_eq!(scene.look_until_still().len(), 1);
    scene.folders.remove("m.onnx");
    scene.folders.remove("m");
    assert_eq!(scene.look_until_still(), ["no problem with m"]);
}

#[test]
fn a_version_that_cannot_be_read_is_still_there() {
    let mut scene = scene_with(&["m/1/model.onnx", "m/2.onnx"]);
    scene.folders.link("/etc/hostname", "m/1/weights.bin");
    let unreadable = scene.look_until_still();
    assert_eq!(unreadable.len(), 1);
    assert!(unreadable[0].starts_with("m/1/model.onnx unreadable: `weights.bin` is left out"));

    scene.folders.remove("m/1/weights.bin");
    assert_eq!(scene.look_until_still(), ["m/1/model.onnx is `m/1/model.onnx`"]);
}
