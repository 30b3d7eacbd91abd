//! Makes versions available: from files in a folder to warm, loaded models.
//!
//! ```text
//! events, time ─▶ lookout ─▶ intake ─▶ store ──▶ (delivery decides) ──▶ loader ─▶ warm version
//!                            (layout)  (copy, digest)                         reaper ◀─ retired
//! ```
//!
//! The [`Repository`] looks at the folder and copies what is complete into the [`ContentStore`]; the [`Loader`]
//! makes a content answer; the [`Reaper`] frees it again. Which version is loaded, and gets traffic, is decided
//! elsewhere. What is known of each version, and why it is or is not served, is in the [`Registry`].

pub(crate) mod check;
mod checking;
pub(crate) mod contract;
mod declared;
mod features;
mod fingerprint;
mod intake;
mod layout;
mod loader;
mod lookout;
mod not_loaded;
mod promise;
mod reaper;
mod registry;
mod store;
#[cfg(test)]
mod testing;
mod warm_up;
mod warm_up_samples;
mod watcher;

pub use check::{Checker, CheckerParts};
pub use fingerprint::Fingerprint;
pub use intake::Sighting;
pub use loader::{LoadDone, LoadOrder, Loader, LoaderParts, RecordedRequests};
pub use lookout::{KnownFile, Looked, Repository, RepositoryParts};
pub use reaper::Reaper;
pub(crate) use registry::FileNote;
pub use registry::{ModelView, Registry, VersionView};
pub use store::{Content, ContentStore, StoreError};
