//! What was found out before, on disk.
//!
//! ```text
//! STATE/checks/<digest>.json     for one version of the library; another one asks again
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::told::Facts;
use crate::domain::model::Digest;

/// A folder of facts.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    folder: PathBuf,
    version: String,
}

#[derive(Deserialize, Serialize)]
struct Page {
    /// The library's version.
    onnxruntime: String,
    facts: Facts,
}

impl Kept {
    pub(super) fn in_state(state: &Path, version: &str) -> Self {
        Self { folder: state.join("checks"), version: version.to_owned() }
    }

    /// What is known of a content. Anything that cannot be read is not known.
    pub(super) fn read(&self, digest: &Digest) -> Option<Facts> {
        let text = fs::read(self.file(digest)).ok()?;
        let page: Page = serde_json::from_slice(&text).ok()?;
        (page.onnxruntime == self.version).then_some(page.facts)
    }

    /// Best effort: otherwise it is found out again after the next start.
    pub(super) fn write(&self, digest: &Digest, facts: &Facts) {
        let page = Page { onnxruntime: self.version.clone(), facts: facts.clone() };
        let file = self.file(digest);
        let new = file.with_extension("new");
        let written = serde_json::to_vec(&page)
            .map_err(std::io::Error::from)
            .and_then(|text| fs::create_dir_all(&self.folder).and_then(|()| fs::write(&new, text)))
            .and_then(|()| fs::rename(&new, &file));
        if let Err(error) = written {
            tracing::warn!("what a trial of a version has shown cannot be kept: {error}");
        }
    }

    pub(super) fn forget_all_but(&self, is_kept: impl Fn(&Digest) -> bool) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let digest = path.file_stem().and_then(|name| name.to_str()?.parse().ok());
            if !digest.is_some_and(|digest| is_kept(&digest)) {
                // Best effort: it is small, and tried again the next time.
                let _ = fs::remove_file(path);
            }
        }
    }

    fn file(&self, digest: &Digest) -> PathBuf {
        self.folder.join(format!("{}.json", digest.hex()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::batching::Alone;
    use crate::repository::check::told::Spread;

    #[test]
    fn what_was_found_out_holds_for_one_content_and_one_version_of_the_library() {
        let state = tempfile::tempdir().unwrap();
        let [one, other] = [1, 2].map(|byte| Digest::from_bytes([byte; 32]));
        let facts = Facts {
            rows: Err(Alone::Dependent { output: "Y".to_owned() }),
            arena: true,
            memory: 1,
            peak: 2,
            load_time: Duration::from_millis(3),
            run_time: Some(Duration::from_micros(4)),
            spread: Some(Spread { threads: 2, run_time: Duration::from_micros(3) }),
        };
        let kept = Kept::in_state(state.path(), "1.32.0");
        assert_eq!(kept.read(&one), None);
        kept.write(&one, &facts);
        kept.write(&other, &facts);
        assert_eq!(kept.read(&one), Some(facts.clone()));
        assert_eq!(Kept::in_state(state.path(), "1.33.0").read(&one), None);
        kept.forget_all_but(|digest| *digest == other);
        assert_eq!((kept.read(&one), kept.read(&other)), (None, Some(facts)));
        fs::write(kept.file(&other), b"{").unwrap();
        assert_eq!(kept.read(&other), None, "what is damaged is not known");
    }
}
