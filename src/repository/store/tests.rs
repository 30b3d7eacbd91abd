use std::cell::Cell;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use super::super::layout::list;
use super::super::testing::{Folders, Mounted};
use super::*;

const MIB: usize = 1 << 20;

fn store(folders: &Folders) -> ContentStore {
    ContentStore::open(&folders.state()).unwrap()
}

/// The only version of the only model.
fn version(folders: &Folders) -> VersionFiles {
    let (_, model) = list(&folders.models(), &BTreeMap::new()).unwrap().models.pop_first().unwrap();
    model.versions.into_values().next().unwrap().unwrap()
}

fn names_in(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_single_file_has_the_digest_that_sha256sum_prints() {
    let folders = Folders::new();
    let store = store(&folders);
    folders.write("m.onnx", b"abc");
    let content = store.put(&version(&folders)).unwrap();
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(content.digest.hex(), digest);
    assert_eq!(content.bytes, 3);

    let copy = store.model_path(&content.digest).unwrap();
    assert_eq!(copy, folders.state().join("store").join(digest).join("model.onnx"));
    assert_eq!(fs::read(&copy).unwrap(), b"abc");
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o444);
}

#[test]
fn a_folder_is_copied_whole_and_has_the_digest_of_its_sorted_sums() {
    let folders = Folders::new();
    let store = store(&folders);
    folders.write("m/1/net.onnx", b"abc");
    folders.write("m/1/layers/w", b"weights");
    let content = store.put(&version(&folders)).unwrap();
    // printf '%s\n' "$(sha256sum <w | cut -c-64) layers/w" "$(sha256sum <net.onnx | cut -c-64) model.onnx" |
    //     LC_ALL=C sort | sha256sum
    let digest = "80d657d6e948d7c0326ba1ed3eb97f93481e64185d504663fe839fd4e363bdfb";
    assert_eq!(content.digest.hex(), digest);
    assert_eq!(content.bytes, 10);
    let copy = store.model_path(&content.digest).unwrap();
    assert_eq!(names_in(copy.parent().unwrap()), ["layers", "model.onnx"]);
    assert_eq!(fs::read(copy.with_file_name("layers/w")).unwrap(), b"weights");
}

#[test]
fn a_folder_with_nothing_but_the_model_is_the_same_as_the_file() {
    let folders = Folders::new();
    let store = store(&folders);
    folders.write("m/1/any.onnx", b"abc");
    let in_folder = store.put(&version(&folders)).unwrap();
    folders.remove("m");
    folders.write("m.onnx", b"abc");
    assert_eq!(store.put(&version(&folders)).unwrap(), in_folder);
    assert_eq!(store.contents().unwrap(), [in_folder.digest]);
    assert_eq!(names_in(&folders.state().join("store")), [in_folder.digest.hex()]);
}

#[test]
fn the_copy_is_independent_of_the_file() {
    let folders = Folders::new();
    let store = store(&folders);
    folders.write("m.onnx", b"first");
    let first = store.put(&version(&folders)).unwrap();
    folders.write("m.onnx", b"other");
    let second = store.put(&version(&folders)).unwrap();
    assert_ne!(first.digest, second.digest);
    assert_eq!(fs::read(store.model_path(&first.digest).unwrap()).unwrap(), b"first");
    assert_eq!(store.contents().unwrap().len(), 2);
}

#[test]
fn a_file_that_changes_while_it_is_read_is_not_taken() {
    type Change = fn(&Folders);
    let changes: [(&str, Change); 5] = [
        ("overwritten in place", |folders| folders.write("m/1/model.onnx", vec![b'y'; 3 * MIB])),
        ("appended to", |folders| folders.append("m/1/model.onnx", "more")),
        ("cut short", |folders| folders.write("m/1/model.onnx", b"")),
        ("replaced by another", |folders| {
            folders.write("m/1/.new", vec![b'y'; 3 * MIB]);
            folders.rename("m/1/.new", "m/1/model.onnx");
        }),
        ("given company", |folders| folders.write("m/1/weights.bin", b"late")),
    ];
    for (what, change) in changes {
        let folders = Folders::new();
        let store = store(&folders);
        folders.write("m/1/model.onnx", vec![b'x'; 3 * MIB]);
        let is_changed = Cell::new(false);
        let outcome = store.put_while(&version(&folders), &mut || {
            if !is_changed.replace(true) {
                change(&folders);
            }
        });
        assert!(is_changed.get());
        let error = outcome.unwrap_err();
        assert!(matches!(error, PutError::Changed(_)), "{what}: {error}");
        assert_eq!(error.to_string(), "`m/1/model.onnx` changed while it was read");
        assert_eq!(names_in(&folders.state().join("store")), Vec::<String>::new(), "{what}");
        assert!(store.put(&version(&folders)).is_ok(), "{what}");
    }
}

#[test]
fn a_file_that_a_folder_on_the_way_led_out_of_is_not_taken() {
    let folders = Folders::new();
    let store = store(&folders);
    folders.write("..data/1.onnx", b"a secret, as it may be");
    folders.link("..data/1.onnx", "m.onnx");
    let seen = version(&folders);
    // The file is the very same, but it is not below the models' folder any more.
    let outside = tempfile::tempdir_in(folders.models().parent().unwrap()).unwrap();
    fs::rename(folders.path("..data"), outside.path().join("data")).unwrap();
    folders.link(outside.path().join("data").to_str().unwrap(), "..data");
    let outcome = store.put(&seen);
    assert!(matches!(outcome, Err(PutError::Changed(_))), "{outcome:?}");
    assert_eq!(names_in(&folders.state().join("store")), Vec::<String>::new());
}

#[test]
fn a_file_that_changed_since_the_look_is_not_taken() {
    let folders = Folders::new();
    let store = store(&folders);
    folders.write("m.onnx", b"first");
    let seen = version(&folders);
    folders.write("m.onnx", b"other");
    assert!(matches!(store.put(&seen), Err(PutError::Changed(_))));
    folders.remove("m.onnx");
    assert!(matches!(store.put(&seen), Err(PutError::Changed(_))));
    assert!(run_mkfifo(&folders.path("m.onnx")), "mkfifo");
    assert!(matches!(store.put(&seen), Err(PutError::Changed(_))), "a pipe must not block us");
}

fn run_mkfifo(path: &Path) -> bool {
    std::process::Command::new("mkfifo").arg(path).status().is_ok_and(|status| status.success())
}

#[test]
fn a_full_disk_leaves_nothing_behind_and_is_said_in_one_sentence() {
    let folders = Folders::new();
    let Some(_small_disk) = Mounted::at(&folders.state(), "1m") else { return };
    let store = store(&folders);
    folders.write("m/1/model.onnx", b"small");
    folders.write("m/1/weights.bin", vec![0; 2 * MIB]);
    let error = store.put(&version(&folders)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the disk of the state folder is full: `m/1/model.onnx` needs 2.0 MiB"
    );
    assert_eq!(names_in(&folders.state().join("store")), Vec::<String>::new());

    folders.remove("m/1/weights.bin");
    assert!(store.put(&version(&folders)).is_ok(), "the room is free again");
}

#[test]
fn a_read_only_folder_is_as_good_as_any() {
    let folders = Folders::new();
    let Some(mounted) = Mounted::at(&folders.models(), "1m") else { return };
    folders.write("m.onnx", b"abc");
    mounted.make_read_only();
    assert!(store(&folders).put(&version(&folders)).is_ok());
}

#[test]
fn a_file_system_that_gives_other_lengths_than_it_says_is_not_trusted() {
    let folders = Folders::new();
    folders.write("m.onnx", b"");
    // As long as a line, and said to be empty.
    let Some(_odd) = Mounted::file("/proc/version", &folders.path("m.onnx")) else { return };
    let error = store(&folders).put(&version(&folders)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`m.onnx` cannot be read: it is not as long as its file system says"
    );
}

#[test]
fn what_nobody_keeps_is_collected_and_so_is_what_a_crash_left() {
    let folders = Folders::new();
    let store = store(&folders);
    let [one, two] = ["one", "two"].map(|content| {
        folders.write("m.onnx", content);
        store.put(&version(&folders)).unwrap().digest
    });
    assert_eq!(store.collect(|_| false).unwrap(), [], "nobody has heard of them yet");
    store.acknowledge(&one);
    store.acknowledge(&two);
    let left = folders.state().join("store/.tmp-7");
    fs::create_dir(&left).unwrap();
    fs::write(left.join("model.onnx"), b"half").unwrap();
    fs::write(folders.state().join("store/README"), b"not ours").unwrap();

    assert_eq!(store.collect(|digest| *digest == two).unwrap(), [one]);
    assert_eq!(store.contents().unwrap(), [two]);
    assert_eq!(store.model_path(&one), None);
    assert_eq!(names_in(&folders.state().join("store")), [two.hex(), "README".to_owned()]);
}

#[test]
fn a_draft_that_a_crash_left_is_in_nobodys_way() {
    let folders = Folders::new();
    let store = store(&folders);
    fs::create_dir_all(folders.state().join("store/.tmp-0/model.onnx")).unwrap();
    folders.write("m.onnx", b"abc");
    assert!(store.put(&version(&folders)).is_ok());
}

#[test]
fn a_state_folder_has_one_server() {
    let folders = Folders::new();
    let first = store(&folders);
    let error = ContentStore::open(&folders.state()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "the state folder `{}` belongs to another server that runs (process {}); stop that one, or name another folder with --state",
            folders.state().display(),
            std::process::id()
        )
    );
    drop(first);
    assert!(ContentStore::open(&folders.state()).is_ok());
}

#[test]
fn a_state_folder_that_cannot_be_made_is_said_by_its_name() {
    let folders = Folders::new();
    folders.write("file", b"");
    let error = ContentStore::open(&folders.path("file/state")).unwrap_err();
    assert!(error.to_string().starts_with("the state folder `"), "{error}");
    assert!(error.to_string().contains("cannot be written: "), "{error}");
}
