//! What only the operating system can do.
//!
//! The second of the two rooms where `unsafe` is allowed; each block says why it is sound.
#![allow(unsafe_code)]

pub mod breadcrumbs;
pub mod cgroup;
pub mod cores;
pub mod descriptors;
pub mod filesystem;
pub mod limits;
pub mod local_time;
pub mod memory;
pub mod process;
pub mod rehearsal;
pub mod thread;
