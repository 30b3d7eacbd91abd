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

#[test]
fn a_file_that_tritons_settings_name_belongs_to_them() {
    let mut scene = Scene::new();
    scene.look();
    scene.folders.write("m/1/model.onnx", "model");
    scene.folders.write("m/notes.txt", "nobody's");
    scene.folders.write("m/labels.txt", "cat");
    let config = "output { name: 'o' label_filename: 'labels.txt' }";
    scene.folders.write("m/config.pbtxt", config);
    let told = format!("m/config.pbtxt says `{config}` and `cat`");
    assert_eq!(scene.look_until_still(), [told.as_str(), "m/1/model.onnx is `model`"]);

    scene.folders.write("m/notes.txt", "nobody's still");
    assert!(scene.look_until_still().is_empty());
    scene.folders.write("m/labels.txt", "dog");
    assert_eq!(scene.look_until_still(), [format!("m/config.pbtxt says `{config}` and `dog`")]);
}

#[test]
fn a_label_file_may_not_be_a_file_from_somewhere_else() {
    let folders = Folders::new();
    folders.write("m/1/model.onnx", "model");
    folders.write("m/config.pbtxt", "output { label_filename: 'labels.txt' }");
    folders.write("secret", "s");
    std::fs::hard_link(folders.path("secret"), folders.path("m/labels.txt")).unwrap();
    let told = Scene::of(folders).look();
    assert!(
        told[0].starts_with("problem: `m/labels.txt` cannot be read: it leads out of"),
        "{told:?}"
    );
}

#[test]
fn only_the_versions_that_tritons_settings_choose_are_taken() {
    let folders = Folders::new();
    folders.write("m/1/model.onnx", "one");
    folders.write("m/2/model.onnx", "two");
    let policy = |version: u32| format!("version_policy {{ specific {{ versions: {version} }} }}");
    folders.write("m/config.pbtxt", policy(1));
    let mut scene = Scene::of(folders);
    assert_eq!(scene.look_until_still()[1..], ["m/1/model.onnx is `one`"]);
    scene.folders.write("m/config.pbtxt", policy(2));
    assert_eq!(scene.look_until_still()[1..], ["m/1/model.onnx gone", "m/2/model.onnx is `two`"]);
    scene.folders.write("m/config.pbtxt", policy(3));
    let told = scene.look_until_still();
    let problem =
        "problem: `m/config.pbtxt`: `version_policy` names none of the versions that there are";
    assert_eq!(told[1..], [problem, "m/2/model.onnx gone"]);
}

#[test]
fn a_model_by_another_name_is_taken_by_that_name() {
    let folders = Folders::new();
    folders.write("m/1/net.onnx", "net");
    folders.write("m/1/model.onnx", "not this");
    folders.write("m/config.pbtxt", "default_model_filename: 'net.onnx'");
    let told = Scene::of(folders).look_until_still();
    assert_eq!(told[1..], ["m/1/net.onnx is `net`"]);
}

#[test]
fn a_model_of_tritons_without_a_version_says_so() {
    let folders = Folders::new();
    folders.write("empty/config.pbtxt", "");
    folders.write("python/config.pbtxt", "backend: 'python'");
    folders.write("python/1/model.py", "pass");
    let mut scene = Scene::of(folders);
    let told = scene.look_until_still();
    assert_eq!(
        told[1],
        "problem: `empty` has no version: a model is expected in a file such as `empty/1/model.onnx`"
    );
    assert!(
        told[3].starts_with("problem: `python/config.pbtxt`: backend `python` is not supported")
    );

    scene.folders.write("empty/1/model.onnx", "model");
    assert_eq!(
        scene.look_until_still(),
        ["no problem with empty", "empty/1/model.onnx is `model`"]
    );
    scene.folders.remove("empty/1");
    let told = scene.look_until_still();
    assert_eq!(told[0], "empty gone", "settings alone are no model: {told:?}");
}
