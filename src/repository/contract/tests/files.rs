//! Files that somebody puts into the models' folder, from the look at the folder to the check of the copy.

use super::super::super::layout::list;
use super::super::super::store::ContentStore;
use super::super::super::testing::Folders;
use super::hostile::{Fate, HOSTILE, Hostile};
use super::*;
use std::collections::BTreeMap;

/// What is said of a version before anybody loads it; nothing, where that is left to the one who loads it.
fn said_of(hostile: &Hostile) -> Result<(), String> {
    let folders = Folders::new();
    let folder = folders.path("m/1");
    std::fs::create_dir_all(&folder).unwrap();
    (hostile.write)(&folder);
    let (_, model) = list(&folders.models(), &BTreeMap::new()).unwrap().models.pop_first().unwrap();
    let version = model.versions.into_values().next().unwrap();
    let files = version.map_err(|unreadable| unreadable.reason)?;
    let store = ContentStore::open(&folders.state()).unwrap();
    let content = store.put(&files).unwrap();
    let copy = store.model_path(&content.digest).unwrap();
    let verdict = check(copy.parent().unwrap(), &ContractLimits::default());
    verdict.map(|_| ()).map_err(|error| error.to_string())
}

#[test]
fn every_hostile_file_that_can_be_known_by_its_looks_is() {
    for hostile in HOSTILE {
        let said = said_of(hostile);
        match hostile.fate {
            Fate::NotTaken(part) | Fate::Refused(part) => {
                let sentence = said.unwrap_err();
                assert!(sentence.contains(part), "{}: {sentence}", hostile.name);
                assert!(sentence.len() < 1000, "{}: {sentence}", hostile.name);
            }
            Fate::FailsItsTrial(_) | Fate::Answers => assert_eq!(said, Ok(()), "{}", hostile.name),
        }
    }
}
