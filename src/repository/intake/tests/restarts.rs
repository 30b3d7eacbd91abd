//! What a server tells at its first looks, after another one has been there.

use super::*;

fn scene_with(files: &[&str]) -> Scene {
    let mut scene = Scene::new();
    for file in files {
        scene.folders.write(file, file);
    }
    assert_eq!(scene.look_until_still().len(), files.len());
    scene
}

#[test]
fn what_is_as_it_was_is_told_at_once() {
    let mut scene = scene_with(&["a.onnx", "m/1/model.onnx"]).restart();
    assert_eq!(scene.look(), ["a.onnx is `a.onnx`", "m/1/model.onnx is `m/1/model.onnx`"]);
    assert!(scene.look_until_still().is_empty());
}

#[test]
fn what_is_not_as_it_was_has_to_be_still_first() {
    let scene = scene_with(&["a.onnx", "b.onnx", "c.onnx"]);
    scene.folders.write("b.onnx", "changed");
    scene.folders.write("c.onnx", "c.onnx");
    scene.folders.write("d.onnx", "new");
    let mut scene = scene.restart();
    assert_eq!(scene.look(), ["a.onnx is `a.onnx`"]);
    let later = scene.look_until_still();
    assert_eq!(later, ["b.onnx is `changed`", "c.onnx is `c.onnx`", "d.onnx is `new`"]);
}

#[test]
fn a_content_that_is_not_in_the_store_any_more_is_taken_again() {
    let scene = scene_with(&["a.onnx"]);
    let (_, _, digest) = scene.intake.files().next().unwrap();
    scene.store.acknowledge(&digest);
    assert_eq!(scene.store.collect(|_| false).unwrap(), [digest]);
    let mut scene = scene.restart();
    assert!(scene.look().is_empty());
    assert_eq!(scene.look_until_still(), ["a.onnx is `a.onnx`"]);
}

#[test]
fn models_that_were_removed_meanwhile_are_gone() {
    let scene = scene_with(&["a.onnx", "b.onnx", "c/1.onnx", "c/2.onnx"]);
    for file in ["a.onnx", "b.onnx", "c/1.onnx"] {
        scene.folders.remove(file);
    }
    let mut scene = scene.restart();
    assert_eq!(scene.look(), ["c/2.onnx is `c/2.onnx`"]);
    assert_eq!(scene.look_until_still(), ["a gone", "b gone", "c/1.onnx gone"]);
}

#[test]
fn a_folder_that_is_not_mounted_yet_changes_nothing() {
    for files in [&["a.onnx", "b.onnx"][..], &["a.onnx"]] {
        let scene = scene_with(files);
        for file in files {
            scene.folders.remove(file);
        }
        let mut scene = scene.restart();
        let [told] = &scene.look_until_still()[..] else { panic!("{files:?}") };
        assert!(told.ends_with(" vanished"), "{told}");
        assert_eq!(scene.intake.files().count(), files.len(), "they stay known");
        assert!(scene.look_until_still().is_empty());

        // Mounted at last, they are what they were.
        for file in files {
            scene.folders.write(file, file);
        }
        assert_eq!(scene.look_until_still().len(), files.len());
    }
}

#[test]
fn what_was_removed_meanwhile_is_gone_once_the_folder_is_seen_to_have_another() {
    let scene = scene_with(&["a.onnx"]);
    scene.folders.remove("a.onnx");
    let mut scene = scene.restart();
    assert_eq!(scene.look_until_still(), [r#"[("a")] vanished"#]);
    scene.folders.write("b.onnx", "b.onnx");
    assert_eq!(scene.look_until_still(), ["b.onnx is `b.onnx`"]);
    let mut scene = scene.restart();
    assert_eq!(scene.look_until_still(), ["b.onnx is `b.onnx`", "a gone"]);
}

#[test]
fn files_that_make_no_sense_any_more_are_not_remembered() {
    let scene = scene_with(&["a.onnx"]);
    let (_, fingerprint, digest) = scene.intake.files().next().unwrap();
    let known = [("not a model".to_owned(), fingerprint, digest)];
    let intake = Intake::new(scene.folders.models(), SETTLE, scene.store, known);
    assert_eq!(intake.files().count(), 0);
}
