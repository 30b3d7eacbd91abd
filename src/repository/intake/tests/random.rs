//! Whatever people do to the files, and whenever we look.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use proptest::prelude::*;

use super::*;

/// Versions that people write to: by name, and the file that they write.
const VERSIONS: [&str; 5] =
    ["flat.onnx", "m/1.onnx", "m/2.onnx", "n/1/model.onnx", "n/2/model.onnx"];

#[derive(Clone, Debug)]
enum Act {
    /// `cp`, or as much of it as was done before something else happened.
    Overwrite {
        file: usize,
        length: usize,
    },
    Append {
        file: usize,
    },
    /// `mv`, or the end of an `rsync`.
    MoveOver {
        file: usize,
    },
    Touch {
        file: usize,
    },
    Remove {
        file: usize,
    },
    /// One version takes the place of another.
    Rename {
        from: usize,
        to: usize,
    },
    Look {
        after: u64,
    },
    BeStill,
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    let file = 0..VERSIONS.len();
    prop_oneof![
        3 => (file.clone(), 0..4usize).prop_map(|(file, length)| Act::Overwrite { file, length }),
        2 => file.clone().prop_map(|file| Act::Append { file }),
        2 => file.clone().prop_map(|file| Act::MoveOver { file }),
        1 => file.clone().prop_map(|file| Act::Touch { file }),
        1 => file.clone().prop_map(|file| Act::Remove { file }),
        1 => (file.clone(), file).prop_map(|(from, to)| Act::Rename { from, to }),
        6 => (0..700u64).prop_map(|after| Act::Look { after }),
        2 => Just(Act::BeStill),
        1 => Just(Act::Restart),
    ]
}

/// What a person would expect who sees the files and knows when we looked.
struct Observer {
    scene: Scene,
    /// What each file held at the last look, and since which look it did.
    seen: BTreeMap<&'static str, (String, Instant)>,
    /// What was told last of each file.
    told: BTreeMap<String, String>,
    /// Models told to have vanished: their files may be there in part only when they are told again.
    vanished: BTreeSet<String>,
    /// Whether nothing has been in the folder since the last restart.
    is_bare: bool,
    written: usize,
}

impl Observer {
    fn new() -> Self {
        Self {
            scene: Scene::new(),
            seen: BTreeMap::new(),
            told: BTreeMap::new(),
            vanished: BTreeSet::new(),
            is_bare: true,
            written: 0,
        }
    }

    fn see(mut self, act: &Act) -> Result<Self, TestCaseError> {
        let folders = &self.scene.folders;
        let exists = |file: &usize| folders.path(VERSIONS[*file]).exists();
        self.written += 1;
        match act {
            // Few enough contents that the same ones come again, and that all have the same size.
            Act::Overwrite { file, length } => {
                folders.write(VERSIONS[*file], format!("{}", self.written % 3).repeat(*length));
                self.forget(*file);
            }
            Act::Append { file } if exists(file) => {
                folders.append(VERSIONS[*file], "+");
                self.forget(*file);
            }
            Act::MoveOver { file } => {
                folders.write(".incoming", format!("{}", self.written % 3));
                let folder = folders.path(VERSIONS[*file]);
                fs::create_dir_all(folder.parent().unwrap()).unwrap();
                folders.rename(".incoming", VERSIONS[*file]);
                self.forget(*file);
            }
            Act::Touch { file } if exists(file) => {
                let file = fs::File::options().write(true).open(folders.path(VERSIONS[*file]));
                file.unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
            }
            Act::Remove { file } if exists(file) => {
                folders.remove(VERSIONS[*file]);
                self.forget(*file);
            }
            Act::Rename { from, to } if from != to && exists(from) && exists(to) => {
                folders.rename(VERSIONS[*from], VERSIONS[*to]);
                self.forget(*from);
                self.forget(*to);
            }
            Act::Append { .. } | Act::Touch { .. } | Act::Remove { .. } | Act::Rename { .. } => {}
            Act::Look { after } => {
                self.scene.pass(*after);
                self.look()?;
            }
            Act::BeStill => self.be_still()?,
            Act::Restart => self = self.restart(),
        }
        Ok(self)
    }

    fn forget(&mut self, file: usize) {
        self.seen.remove(VERSIONS[file]);
    }

    fn text(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.scene.folders.path(file)).ok()
    }

    fn look(&mut self) -> Result<(), TestCaseError> {
        let now = self.scene.now;
        self.is_bare &= VERSIONS.iter().all(|file| self.text(file).is_none());
        for file in VERSIONS {
            match self.text(file) {
                Some(text) => drop(self.seen.entry(file).or_insert((text, now))),
                None => drop(self.seen.remove(file)),
            }
        }
        for sighting in self.scene.intake.look(now, Care::Everything) {
            self.hear(&sighting)?;
        }
        Ok(())
    }

    fn hear(&mut self, sighting: &Sighting) -> Result<(), TestCaseError> {
        match sighting {
            Sighting::Stored { file, content, .. } => {
                let text = self.scene.text(content);
                let (seen, since) = &self.seen[file.as_str()];
                prop_assert_eq!(&text, seen, "{} holds something else", file);
                let is_still = self.scene.now.duration_since(*since) >= SETTLE;
                let was_told = self.told.get(file) == Some(&text);
                prop_assert!(is_still || was_told, "{} was not still yet", file);
                self.told.insert(file.clone(), text);
            }
            Sighting::Gone { file, .. } => {
                prop_assert!(self.text(file).is_none(), "{} is there", file);
                prop_assert!(self.told.remove(file).is_some(), "{} was not known", file);
            }
            Sighting::ModelGone { model } => {
                let is_of_model = |file: &String| layout::place_of(file).unwrap().0 == *model;
                prop_assert!(self.told.keys().any(is_of_model), "{} was not known", model);
                self.told.retain(|file, _| !is_of_model(file));
            }
            Sighting::Vanished { models } => {
                // One may have been deleted; but a folder that is empty from the start may be one that is not there yet.
                prop_assert!(models.len() >= 2 || self.is_bare, "{:?} may be gone alone", models);
                self.vanished.extend(models.iter().map(ToString::to_string));
            }
            Sighting::Unreadable { .. }
            | Sighting::RootUnreadable { .. }
            | Sighting::Settings { .. }
            | Sighting::Problem { .. }
            | Sighting::ProblemGone { .. }
            | Sighting::Warning(_) => prop_assert!(false, "{:?} is not true", sighting),
        }
        Ok(())
    }

    /// Once nothing has happened for a while, what was told is what is there.
    fn be_still(&mut self) -> Result<(), TestCaseError> {
        self.look()?;
        while let Some(due) = self.scene.intake.next_look() {
            self.scene.now = self.scene.now.max(due);
            self.look()?;
        }
        for file in VERSIONS {
            let model = layout::place_of(file).unwrap().0.to_string();
            let is_away = self.vanished.contains(&model);
            let has_files = VERSIONS.iter().any(|other| {
                layout::place_of(other).unwrap().0.as_str() == model && self.text(other).is_some()
            });
            if has_files {
                self.vanished.remove(&model);
            }
            if has_files || !is_away {
                prop_assert_eq!(self.text(file), self.told.get(file).cloned(), "{}", file);
            }
        }
        Ok(())
    }

    fn restart(mut self) -> Self {
        self.scene = self.scene.restart();
        self.seen.clear();
        self.is_bare = true;
        self
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whole_contents_and_only_those_get_into_the_store(
        acts in prop::collection::vec(act(), 1..40),
    ) {
        let mut observer = Observer::new();
        for act in &acts {
            observer = observer.see(act)?;
        }
        observer.be_still()?;
    }
}
