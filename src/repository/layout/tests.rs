use std::fs;
use std::os::unix::fs::symlink;

use super::*;

struct Folder(tempfile::TempDir);

impl Folder {
    fn with(files: &[&str]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for file in files {
            folder.write(file, b"model");
        }
        folder
    }

    fn root(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, file: &str, content: &[u8]) {
        let path = self.root().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn list(&self) -> Listing {
        list(self.root(), &BTreeMap::new()).unwrap()
    }

    /// `model: label=file label=file` a line.
    fn seen(&self) -> Vec<String> {
        let show = |(place, version): (&Place, &Result<VersionFiles, Unreadable>)| {
            let label = match place {
                Place::Flat => "flat",
                Place::Labelled(label) => label.as_str(),
            };
            match version {
                Ok(version) => format!(" {label}={}", version.file),
                Err(unreadable) => format!(" {label}!{}", unreadable.file),
            }
        };
        let models = self.list().models;
        let line = |(name, model): (&ModelName, &ModelFiles)| {
            format!("{name}:{}", model.versions.iter().map(show).collect::<String>())
        };
        models.iter().map(line).collect()
    }

    fn version(&self, model: &str, place: &Place) -> Result<VersionFiles, Unreadable> {
        self.list().models.remove(model).unwrap().versions.remove(place).unwrap()
    }
}

fn label(text: &str) -> Place {
    Place::Labelled(text.parse().unwrap())
}

#[test]
fn the_three_layouts_live_side_by_side() {
    let folder = Folder::with(&[
        "flat.onnx",
        "flat.toml",
        "files/1.onnx",
        "files/10.onnx",
        "files/model.toml",
        "folders/1/model.onnx",
        "folders/1/weights.bin",
        "folders/2/any-name.onnx",
        "README.md",
    ]);
    assert_eq!(
        folder.seen(),
        [
            "files: 1=files/1.onnx 10=files/10.onnx",
            "flat: flat=flat.onnx",
            "folders: 1=folders/1/model.onnx 2=folders/2/any-name.onnx",
        ]
    );
    let listing = folder.list();
    assert_eq!(listing.warnings, Vec::<String>::new());
    let settings =
        |model: &str| listing.models[model].settings.toml.as_ref().map(|it| it.file.as_str());
    assert_eq!(settings("flat"), Some("flat.toml"));
    assert_eq!(settings("files"), Some("files/model.toml"));
    assert_eq!(settings("folders"), None);
}

#[test]
fn a_shown_path_says_what_it_stands_for() {
    for (file, model, place) in [
        ("flat.onnx", "flat", Place::Flat),
        ("files/1.onnx", "files", label("1")),
        ("files/1.4.0.onnx", "files", label("1.4.0")),
        ("folders/2/any-name.onnx", "folders", label("2")),
    ] {
        assert_eq!(place_of(file), Some((model.parse().unwrap(), place)));
    }
    for file in ["", "flat", "a b.onnx", "m/latest.onnx"] {
        assert_eq!(place_of(file), None);
    }
}

#[test]
fn everything_in_a_versions_folder_belongs_to_it_and_the_model_gets_one_name() {
    let folder = Folder::with(&[
        "m/1/net.onnx",
        "m/1/net.onnx.data",
        "m/1/layers/0/weight",
        "m/1/.DS_Store",
        "m/1/late.bin.part",
    ]);
    let version = folder.version("m", &label("1")).unwrap();
    let names: Vec<&str> = version.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["layers/0/weight", "model.onnx", "net.onnx.data"]);
    assert_eq!(version.bytes(), 15);
    assert!(version.is_unchanged());

    folder.write("m/1/late.bin.part", b"the copy goes on");
    assert!(!version.is_unchanged());
}

#[test]
fn what_is_on_its_way_to_another_name_is_not_there() {
    let folder = Folder::with(&[
        "m/1.onnx",
        "m/2.onnx.part",
        "m/.3.onnx.Xa7",
        "m/4.tmp/model.onnx",
        "m/5/.model.onnx.tmp",
        "m/notes.txt",
        ".hidden/1.onnx",
    ]);
    assert_eq!(folder.seen(), ["m: 1=m/1.onnx"]);
}

#[test]
fn a_model_in_two_layouts_is_a_problem_of_that_model_alone() {
    let folder =
        Folder::with(&["twice.onnx", "twice/1.onnx", "fine.onnx", "m/1.onnx", "m/1/m.onnx"]);
    let listing = folder.list();
    let problem = |model: &str| listing.models[model].problem.as_deref();
    assert_eq!(
        problem("twice"),
        Some(
            "`twice.onnx` and the folder `twice` both claim to be the model `twice`; keep one of them"
        )
    );
    assert_eq!(
        problem("m"),
        Some("version 1 of `m` is there as a file and as a folder; keep one of them")
    );
    assert_eq!(problem("fine"), None);
}

#[test]
fn what_cannot_be_a_version_is_left_out_and_said() {
    let folder =
        Folder::with(&["m/latest.onnx", "m/1.onnx", "bad name.onnx", "m/2/a.onnx", "m/2/b.onnx"]);
    assert_eq!(folder.seen(), ["m: 1=m/1.onnx"]);
    let warnings = folder.list().warnings;
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(warnings[0].starts_with("left out: `bad name` is not a model name"), "{}", warnings[0]);
    assert_eq!(
        warnings[1],
        "`m/2` is left out: it has several `.onnx` files and none is `model.onnx`"
    );
    assert!(warnings[2].starts_with("`m/latest.onnx` is left out: "), "{}", warnings[2]);
}

#[test]
fn a_link_is_followed_while_it_stays_inside() {
    let outside = Folder::with(&["secret.onnx"]);
    let folder = Folder::with(&["m/..data/1.onnx", "releases/7/model.onnx"]);
    let root = folder.root();
    symlink("..data/1.onnx", root.join("m/1.onnx")).unwrap();
    symlink(outside.root().join("secret.onnx"), root.join("m/2.onnx")).unwrap();
    symlink("nowhere", root.join("m/3.onnx")).unwrap();
    symlink("../releases/7", root.join("m/4")).unwrap();
    symlink("5.onnx", root.join("m/5.onnx")).unwrap();
    assert_eq!(
        folder.seen(),
        ["m: 1=m/1.onnx 4=m/4/model.onnx 5!m/5.onnx", "releases: 7=releases/7/model.onnx"]
    );
    assert_eq!(
        folder.list().warnings,
        [
            "`m/2.onnx` is left out: it leads out of the models' folder",
            "`m/3.onnx` is left out: it is a link to nothing",
        ]
    );
}

#[test]
fn a_version_that_is_not_whole_below_the_models_folder_is_unreadable() {
    let outside = Folder::with(&["weights.bin"]);
    let folder = Folder::with(&["m/1/model.onnx", "m/2/model.onnx"]);
    symlink(outside.root().join("weights.bin"), folder.root().join("m/1/weights.bin")).unwrap();
    let deep = format!("m/2/{}w", "deeper/".repeat(9));
    folder.write(&deep, b"weights");
    let reason = |version| folder.version("m", &label(version)).unwrap_err().reason;
    assert_eq!(
        reason("1"),
        "`weights.bin` is left out, it leads out of the models' folder, and without it the version is not complete"
    );
    assert_eq!(reason("2"), "the version's folder has more than 8 levels of folders in it");
}

#[test]
fn weights_that_have_another_name_may_be_anything() {
    let outside = Folder::with(&["secret"]);
    let folder = Folder::with(&["m/1/model.onnx", "m/2.onnx"]);
    fs::hard_link(outside.root().join("secret"), folder.root().join("m/1/weights.bin")).unwrap();
    assert_eq!(
        folder.version("m", &label("1")).unwrap_err().reason,
        "`weights.bin` has other names on its disk (hard links), so it may be a file from somewhere else; put a copy of it there instead"
    );
    // A model is only what can be loaded as one.
    fs::hard_link(folder.root().join("m/2.onnx"), folder.root().join("m/3.onnx")).unwrap();
    assert_eq!(folder.seen(), ["m: 1!m/1/model.onnx 2=m/2.onnx 3=m/3.onnx"]);
}

#[test]
fn settings_that_cannot_be_read_are_not_mistaken_for_none() {
    let folder = Folder::with(&["m/1.onnx"]);
    symlink("/etc/hostname", folder.root().join("m/model.toml")).unwrap();
    assert_eq!(
        folder.list().models["m"].problem.as_deref(),
        Some("`m/model.toml` cannot be read: it leads out of the models' folder")
    );
}

#[test]
fn every_change_makes_a_listing_out_of_date() {
    let folder = Folder::with(&[
        "flat.onnx",
        "flat.toml",
        "m/..2025/1.onnx",
        "m/..2026/1.onnx",
        "n/1/model.onnx",
    ]);
    let root = folder.root();
    symlink("..2025", root.join("m/..data")).unwrap();
    symlink("..data/1.onnx", root.join("m/1.onnx")).unwrap();
    let is_noticed = |change: &dyn Fn()| {
        let mut listing = folder.list();
        assert!(listing.is_current(Care::Everything));
        assert!(listing.saw_the_same(&folder.list()));
        change();
        !listing.is_current(Care::Everything)
    };
    assert!(is_noticed(&|| folder.write("flat.onnx", b"other")));
    assert!(is_noticed(&|| folder.write("flat.toml", b"other")));
    assert!(is_noticed(&|| folder.write("n/1/weights.bin", b"other")));
    assert!(is_noticed(&|| folder.write("new.onnx", b"other")));
    assert!(is_noticed(&|| fs::remove_file(root.join("new.onnx")).unwrap()));
    assert!(is_noticed(&|| {
        symlink("..2026", root.join("m/..next")).unwrap();
        fs::rename(root.join("m/..next"), root.join("m/..data")).unwrap();
    }));
    assert!(!is_noticed(&|| fs::write(root.join("m/..2025/1.onnx"), b"not linked to").unwrap()));
}

#[test]
fn a_folder_of_tritons_has_numbered_versions_and_nothing_else() {
    let folder = Folder::with(&[
        "m/config.pbtxt",
        "m/labels.txt",
        "m/1/model.onnx",
        "m/10/model.onnx/model.onnx",
        "m/10/model.onnx/weights",
        "m/02/model.onnx",
        "m/old/model.onnx",
        "m/warmup/picture",
        "empty/config.pbtxt",
    ]);
    assert_eq!(folder.seen(), ["empty:", "m: 1=m/1/model.onnx 10=m/10/model.onnx/model.onnx"]);
    let listing = folder.list();
    let settings = &listing.models["m"].settings;
    assert_eq!(settings.triton.as_ref().map(|file| file.file.as_str()), Some("m/config.pbtxt"));
    assert!(
        settings.beside.iter().map(|file| file.name.as_str()).eq(["labels.txt", "warmup/picture"])
    );
    let left_out =
        "is left out: beside `config.pbtxt` only a folder named by a number is a version";
    assert_eq!(listing.warnings, [format!("`m/02` {left_out}"), format!("`m/old` {left_out}")]);
}

#[test]
fn a_model_is_found_by_the_name_that_its_settings_give() {
    let files =
        ["m/config.pbtxt", "m/1/net.onnx", "m/1/other.onnx", "n/1/net.onnx", "n/1/model.onnx"];
    let folder = Folder::with(&files);
    let names = ["m", "n"].map(|model| (model.parse().unwrap(), "net.onnx".to_owned()));
    let listing = list(folder.root(), &names.into_iter().collect()).unwrap();
    let file =
        |model: &str| listing.models[model].versions[&label("1")].as_ref().unwrap().file.clone();
    assert_eq!(file("m"), "m/1/net.onnx");
    assert_eq!(file("n"), "n/1/model.onnx", "it has no such settings");
    assert!(listing.models["m"].versions[&label("1")].as_ref().unwrap().is_unchanged());
}
