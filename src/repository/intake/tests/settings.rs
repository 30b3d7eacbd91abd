//! Settings come and go like the models they belong to.

use super::*;

#[test]
fn settings_come_before_the_model_at_the_first_look_and_later() {
    let folders = Folders::new();
    folders.write("m.onnx", "model");
    folders.write("m.toml", "a = 1");
    let mut scene = Scene::of(folders);
    assert_eq!(scene.look(), ["m.toml says `a = 1`"]);
    assert_eq!(scene.look_until_still(), ["m.onnx is `model`"]);

    scene.folders.write("n/1.onnx", "another");
    assert!(scene.look().is_empty());
    scene.pass(300);
    scene.folders.write("n/model.toml", "b = 2");
    assert!(scene.look().is_empty());
    scene.pass(300);
    assert!(scene.look().is_empty(), "the model waits for its settings");
    assert_eq!(scene.look_until_still(), ["n/model.toml says `b = 2`", "n/1.onnx is `another`"]);
}

#[test]
fn settings_are_told_when_they_change_and_when_they_go() {
    let mut scene = Scene::new();
    scene.folders.write("m/1.onnx", "model");
    scene.look_until_still();
    scene.folders.write("m/model.toml", "a = 1");
    assert!(scene.look().is_empty());
    scene.folders.append("m/model.toml", "0");
    assert_eq!(scene.look_until_still(), ["m/model.toml says `a = 10`"]);
    scene.folders.write("m/model.toml", "a = 10");
    assert!(scene.look_until_still().is_empty(), "nothing new");

    scene.folders.remove("m/model.toml");
    assert!(scene.look().is_empty());
    scene.folders.write("m/model.toml", "a = 11");
    assert_eq!(scene.look_until_still(), ["m/model.toml says `a = 11`"], "an editor saved it");
    scene.folders.remove("m/model.toml");
    assert_eq!(scene.look_until_still(), ["m/model.toml says nothing more"]);
}

#[test]
fn settings_that_cannot_be_read_are_a_problem_until_they_can() {
    let mut scene = Scene::new();
    scene.look();
    scene.folders.write("m/1.onnx", "model");
    scene.folders.write("m/model.toml", b"\xff");
    scene.look();
    scene.pass(500);
    let told = scene.look();
    assert_eq!(told, ["problem: `m/model.toml` cannot be read: it is not UTF-8 text"]);
    scene.now = scene.intake.next_look().unwrap();
    assert!(scene.look().is_empty(), "the model waits, and nothing is told twice");

    scene.folders.write("m/model.toml", "a = 1");
    assert_eq!(
        scene.look_until_still(),
        ["m/model.toml says `a = 1`", "no problem with m", "m/1.onnx is `model`"]
    );
}

#[test]
fn settings_are_a_page_of_text() {
    let folders = Folders::new();
    folders.write("m.onnx", "model");
    folders.write("m.toml", vec![b'#'; 2 << 20]);
    assert_eq!(
        Scene::of(folders).look(),
        ["problem: `m.toml` cannot be read: it is longer than 1.0 MiB"]
    );
}

#[test]
fn settings_without_a_model_are_nobodys() {
    let mut scene = Scene::new();
    scene.folders.write("m.toml", "a = 1");
    scene.folders.write("n/model.toml", "a = 1");
    assert!(scene.look_until_still().is_empty());
    scene.folders.write("m.onnx", "model");
    assert_eq!(scene.look_until_still(), ["m.toml says `a = 1`", "m.onnx is `model`"]);
    scene.folders.remove("m.onnx");
    assert_eq!(scene.look_until_still(), ["m gone"]);
}
