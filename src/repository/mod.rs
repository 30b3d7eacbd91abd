//! Makes versions available: from files in a folder to warm, loaded models.
//!
//! ```text
//! wake ─▶ look at the folder ─▶ compare with what is known ─▶ load, newest first ─▶ warm up ─▶ ready
//!            (layout)                 (registry)                  (loader)
//! ```
//!
//! One loop does this, a step at a time; whoever thinks that something changed only has to
//! [`wake`](Repository::wake) it. What is known of each version, and why it is or is not served, is in the
//! [`Registry`].

mod layout;
mod loader;
mod reconcile;
mod registry;

pub use reconcile::{Repository, RepositoryParts};
pub use registry::{ModelView, Registry, VersionView};
