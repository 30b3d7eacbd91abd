//! Settings that have no effect beside others.
//!
//! One must not look as if it had one: whoever sets it gets a warning.

use super::section::{Findings, Setting};
use super::server::{ServerConfig, ShadowMode};

/// Warnings about the server's settings.
pub(super) fn of_server(config: &ServerConfig, findings: &Findings) -> Vec<String> {
    let window = findings.set().get("shadow.window");
    let idle_window = window.filter(|_| match config.shadow.mode {
        ShadowMode::Live => true,
        ShadowMode::Deferred => false,
    });
    let sentence = |window: &Setting| {
        format!("`shadow.window` ({}) is for `shadow.mode = \"deferred\"` alone", window.origin)
    };
    idle_window.map(sentence).into_iter().collect()
}
