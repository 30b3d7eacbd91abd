//! The library and small models, for unit tests.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::{Runtime, Session, SessionOptions};

/// The library, loaded once for all tests of the process.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::load(None).expect("`scripts/onnxruntime` fetches the library"))
}

/// The file of a model in `tests/models/` or `models/`.
pub(crate) fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// A loaded model.
pub(crate) fn session(name: &str) -> Session {
    Session::load(runtime(), &file(name), SessionOptions::default()).expect("the model loads")
}
