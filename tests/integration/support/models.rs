//! Folders of models for a test: the repository's own, or one that is made for the occasion.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// The package's folder, which is the server's working directory too.
pub(crate) fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder that a server serves.
#[derive(Debug)]
pub(crate) enum Models {
    /// One that is there anyway.
    Kept(PathBuf),
    /// One of the test's own.
    Made(TempDir),
}

impl Models {
    /// The example models of the repository.
    pub(crate) fn of_the_repository() -> Self {
        Self::Kept(package().join("models"))
    }

    /// A new folder.
    pub(crate) fn made() -> Self {
        Self::Made(TempDir::with_prefix("greenroom-models-").unwrap())
    }

    /// A new folder with the named files of `tests/models/`, each as a model of its own.
    pub(crate) fn of_tests(names: &[&str]) -> Self {
        names.iter().fold(Self::made(), |models, name| {
            models.file(&format!("{name}.onnx"), test_model(name))
        })
    }

    /// Adds a file, with the folders above it.
    pub(crate) fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Made(folder) => folder.path(),
        }
    }
}

/// The bytes of `tests/models/{name}.onnx`.
pub(crate) fn test_model(name: &str) -> Vec<u8> {
    fs::read(package().join("tests/models").join(format!("{name}.onnx"))).unwrap()
}

/// The bytes of `models/{path}`, an example model.
pub(crate) fn example_model(path: &str) -> Vec<u8> {
    fs::read(package().join("models").join(path)).unwrap()
}

/// The name of a content in the store.
pub(crate) fn digest(content: &[u8]) -> String {
    Sha256::digest(content).into_iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A model that adds `summand` to whatever it gets.
pub(crate) fn adder(summand: f32) -> Vec<u8> {
    let mut bytes = test_model("adder");
    let placeholder = 12345.678_f32.to_le_bytes();
    let places: Vec<usize> = bytes
        .windows(4)
        .enumerate()
        .filter(|(_, window)| *window == placeholder)
        .map(|(place, _)| place)
        .collect();
    let [place] = places[..] else { panic!("the summand stands at {places:?}, not once") };
    bytes[place..place + 4].copy_from_slice(&summand.to_le_bytes());
    bytes
}
