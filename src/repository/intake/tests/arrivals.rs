//! Every way in which people put files into a folder.

use std::fs::{self, File};
use std::time::SystemTime;

use super::super::super::testing::Mounted;
use super::*;

#[test]
fn a_file_that_is_copied_slowly_is_taken_when_it_has_been_still() {
    let mut scene = Scene::new();
    scene.folders.write("m/1.onnx", "one,");
    assert!(scene.look().is_empty());
    for piece in ["two,", "three"] {
        scene.pass(400);
        scene.folders.append("m/1.onnx", piece);
        assert!(scene.look().is_empty());
    }
    scene.pass(499);
    assert!(scene.look().is_empty());
    scene.pass(1);
    assert_eq!(scene.look(), ["m/1.onnx is `one,two,three`"]);
    assert!(scene.look_until_still().is_empty());
}

#[test]
fn the_intake_says_when_to_look_again() {
    let mut scene = Scene::new();
    scene.look();
    assert_eq!(scene.intake.next_look(), None);
    scene.folders.write("m/1.onnx", "one");
    scene.look();
    assert_eq!(scene.intake.next_look(), Some(scene.now + SETTLE));
    scene.pass(200);
    scene.folders.write("m/2.onnx", "two");
    scene.look();
    assert_eq!(scene.intake.next_look(), Some(scene.now + SETTLE - Duration::from_millis(200)));
    assert_eq!(scene.look_until_still(), ["m/1.onnx is `one`", "m/2.onnx is `two`"]);
}

#[test]
fn a_file_that_is_copied_over_another_is_a_new_content() {
    let mut scene = Scene::new();
    scene.folders.write("m.onnx", "first");
    assert_eq!(scene.look_until_still(), ["m.onnx is `first`"]);
    scene.folders.write("m.onnx", "");
    assert!(scene.look().is_empty());
    scene.folders.append("m.onnx", "second");
    assert_eq!(scene.look_until_still(), ["m.onnx is `second`"]);
    scene.folders.write("m.onnx", "first");
    assert_eq!(scene.look_until_still(), ["m.onnx is `first`"]);
}

#[test]
fn names_that_a_copy_has_until_it_is_complete_are_not_looked_at() {
    let mut scene = Scene::new();
    for unfinished in ["m/.1.onnx.Xa7", "m/2.onnx.part", "m/3.tmp/model.onnx", "m/4.onnx~"] {
        scene.folders.write(unfinished, unfinished);
    }
    assert!(scene.look_until_still().is_empty());
    scene.folders.rename("m/.1.onnx.Xa7", "m/1.onnx");
    scene.folders.rename("m/2.onnx.part", "m/2.onnx");
    scene.folders.rename("m/3.tmp", "m/3");
    assert_eq!(
        scene.look_until_still(),
        [
            "m/1.onnx is `m/.1.onnx.Xa7`",
            "m/2.onnx is `m/2.onnx.part`",
            "m/3/model.onnx is `m/3.tmp/model.onnx`",
        ]
    );
}

#[test]
fn a_file_may_be_moved_over_another() {
    let mut scene = Scene::new();
    scene.folders.write("m.onnx", "first");
    scene.look_until_still();
    scene.folders.write(".m.onnx.Xa7", "second");
    assert!(scene.look_until_still().is_empty());
    scene.folders.rename(".m.onnx.Xa7", "m.onnx");
    assert_eq!(scene.look_until_still(), ["m.onnx is `second`"]);
}

#[test]
fn a_folder_with_external_data_may_be_moved_into_place() {
    let mut scene = Scene::new();
    scene.folders.write("upload.tmp/model.onnx", "net");
    scene.folders.write("upload.tmp/weights.bin", "w");
    fs::create_dir(scene.folders.path("m")).unwrap();
    assert!(scene.look_until_still().is_empty());
    scene.folders.rename("upload.tmp", "m/1");
    assert_eq!(scene.look_until_still(), ["m/1/model.onnx is `model.onnx=net weights.bin=w`"]);
}

#[test]
fn a_folder_is_still_when_all_of_it_is() {
    let mut scene = Scene::new();
    scene.folders.write("m/1/model.onnx", "net");
    for size in 1..5 {
        scene.folders.write("m/1/.weights.bin.Xa7", "w".repeat(size));
        assert!(scene.look().is_empty());
        scene.pass(400);
    }
    scene.folders.rename("m/1/.weights.bin.Xa7", "m/1/weights.bin");
    assert_eq!(scene.look_until_still(), ["m/1/model.onnx is `model.onnx=net weights.bin=wwww`"]);
}

#[test]
fn changed_weights_beside_an_unchanged_model_are_a_new_content() {
    let mut scene = Scene::new();
    scene.folders.write("m/1/model.onnx", "net");
    scene.folders.write("m/1/weights.bin", "old");
    scene.look_until_still();
    scene.folders.write("m/1/weights.bin", "new");
    assert_eq!(scene.look_until_still(), ["m/1/model.onnx is `model.onnx=net weights.bin=new`"]);
}

#[test]
fn a_link_that_is_bent_elsewhere_brings_what_it_leads_to() {
    let mut scene = Scene::new();
    scene.folders.write("m/..2025/1.onnx", "old");
    scene.folders.write("m/..2026/1.onnx", "new");
    scene.folders.link("..2025", "m/..data");
    scene.folders.link("..data/1.onnx", "m/1.onnx");
    assert_eq!(scene.look_until_still(), ["m/1.onnx is `old`"]);

    scene.folders.link("..2026", "m/..data_tmp");
    scene.folders.rename("m/..data_tmp", "m/..data");
    scene.folders.remove("m/..2025");
    assert_eq!(scene.look_until_still(), ["m/1.onnx is `new`"]);
}

#[test]
fn the_models_folder_itself_may_be_a_link() {
    let folders = Folders::new();
    for (release, content) in [("old", "first"), ("new", "second")] {
        let folder = folders.state().join(release);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("m.onnx"), content).unwrap();
    }
    let bend = |release: &str| {
        let _ = fs::remove_file(folders.models()).or_else(|_| fs::remove_dir(folders.models()));
        std::os::unix::fs::symlink(folders.state().join(release), folders.models()).unwrap();
    };
    bend("old");
    let store = Arc::new(ContentStore::open(&folders.state()).unwrap());
    let mut intake = Intake::new(folders.models(), Duration::ZERO, store, []);
    let now = Instant::now();
    assert_eq!(intake.look(now, Care::Everything).len(), 1);
    bend("new");
    assert_eq!(intake.look(now, Care::Everything).len(), 1);
}

#[test]
fn the_mtime_means_nothing() {
    let mut scene = Scene::new();
    let set_mtime = |scene: &Scene, time| {
        let file = File::options().write(true).open(scene.folders.path("m.onnx")).unwrap();
        file.set_modified(time).unwrap();
    };
    scene.folders.write("m.onnx", "first");
    set_mtime(&scene, SystemTime::UNIX_EPOCH);
    assert!(scene.look().is_empty(), "an old mtime is no reason to take it at once");
    assert_eq!(scene.look_until_still(), ["m.onnx is `first`"]);

    scene.folders.write("m.onnx", "other");
    set_mtime(&scene, SystemTime::UNIX_EPOCH);
    assert_eq!(scene.look_until_still(), ["m.onnx is `other`"], "same size, same mtime");

    set_mtime(&scene, SystemTime::now() + Duration::from_secs(3600));
    assert!(scene.look_until_still().is_empty(), "same content");
}

#[test]
fn a_file_that_was_only_touched_is_kept_for_nobodys_sake() {
    let mut scene = Scene::new();
    scene.folders.write("m.onnx", "model");
    scene.look_until_still();
    let (_, _, digest) = scene.intake.files().next().unwrap();
    scene.store.acknowledge(&digest);
    scene.folders.write("m.onnx", "model");
    assert!(scene.look_until_still().is_empty());
    assert_eq!(scene.store.collect(|_| false).unwrap(), [digest]);
}

#[test]
fn a_copy_that_is_interrupted_and_goes_on_is_two_contents() {
    let mut scene = Scene::new();
    scene.folders.write("m/1.onnx", "hal");
    assert_eq!(scene.look_until_still(), ["m/1.onnx is `hal`"]);
    scene.folders.append("m/1.onnx", "f and half");
    assert_eq!(scene.look_until_still(), ["m/1.onnx is `half and half`"]);
}

#[test]
fn what_is_in_a_read_only_folder_is_taken() {
    let folders = Folders::new();
    let Some(mounted) = Mounted::at(&folders.models(), "1m") else { return };
    folders.write("m.onnx", "first");
    mounted.make_read_only();
    assert_eq!(Scene::of(folders).look_until_still(), ["m.onnx is `first`"]);
}

#[test]
fn a_full_disk_is_told_once_and_tried_again_by_itself() {
    let folders = Folders::new();
    let Some(_small_disk) = Mounted::at(&folders.state(), "1m") else { return };
    fs::write(folders.state().join("ballast"), vec![0; 900_000]).unwrap();
    let mut scene = Scene::of(folders);
    scene.folders.write("m.onnx", "x".repeat(500_000));
    scene.look();
    scene.pass(500);
    let full = "m.onnx unreadable: the disk of the state folder is full: `m.onnx` needs 488.3 KiB";
    assert_eq!(scene.look(), [full]);

    scene.now = scene.intake.next_look().unwrap();
    assert!(scene.look().is_empty());
    fs::remove_file(scene.folders.state().join("ballast")).unwrap();
    assert_eq!(scene.look_until_still().len(), 1);
}

#[test]
fn many_files_are_told_in_portions() {
    let mut scene = Scene::new();
    for number in 100..250 {
        scene.folders.write(&format!("{number}.onnx"), "model");
    }
    scene.look();
    scene.pass(500);
    let portions = [scene.look().len(), scene.look().len(), scene.look().len()];
    assert_eq!(portions, [64, 64, 22]);
    assert_eq!(scene.intake.next_look(), None);
}

#[test]
fn what_is_left_out_is_said_once() {
    let mut scene = Scene::new();
    scene.folders.write("m/latest.onnx", "reserved");
    let warnings = scene.look();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    scene.folders.write("m/1.onnx", "one");
    assert_eq!(scene.look_until_still(), ["m/1.onnx is `one`"]);
    scene.folders.remove("m/latest.onnx");
    assert!(scene.look_until_still().is_empty());
    scene.folders.write("m/latest.onnx", "reserved");
    assert_eq!(scene.look(), warnings);
}

#[test]
fn a_problem_leaves_the_model_as_it_is_and_goes_when_it_is_settled() {
    let mut scene = Scene::new();
    scene.folders.write("m.onnx", "flat");
    scene.look_until_still();
    scene.folders.write("m/1.onnx", "one");
    assert_eq!(
        scene.look_until_still(),
        ["problem: `m.onnx` and the folder `m` both claim to be the model `m`; keep one of them"]
    );
    scene.folders.remove("m.onnx");
    assert_eq!(scene.look_until_still(), ["no problem with m", "m.onnx gone", "m/1.onnx is `one`"]);
}

#[test]
fn nothing_is_listed_again_while_nothing_happens() {
    let mut scene = Scene::new();
    scene.folders.write("m.onnx", "first");
    scene.look_until_still();
    scene.pass(2000);
    scene.look(); // listed once more: a change in the same tick of the clock would not have been seen
    let read = |scene: &Scene| scene.intake.last.as_ref().unwrap().read;
    let before = read(&scene);
    for _ in 0..5 {
        scene.pass(2000);
        assert!(scene.look().is_empty());
    }
    assert_eq!(read(&scene), before);

    scene.folders.write("n.onnx", "another");
    assert!(scene.look().is_empty());
    assert!(read(&scene) > before);
}
