//! The log: lines for people on a terminal, JSON lines for machines, on standard error.

use std::io::IsTerminal;

use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

impl Format {
    /// What fits the place that standard error goes to.
    pub fn fitting() -> Self {
        if std::io::stderr().is_terminal() { Self::Human } else { Self::Json }
    }
}

/// The target of the access log: one line per request, off unless asked for.
pub const ACCESS: &str = "access";

/// Starts the log. Call it once, early in the process.
pub fn start(format: Format, level: Level, access: bool) {
    let level = LevelFilter::from_level(level);
    let ours = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("greenroom", level)
        .with_target("onnxruntime", level)
        // It tells of each attempt; whoever tries says once what is wrong.
        .with_target("rustls_platform_verifier", LevelFilter::OFF)
        .with_target(ACCESS, if access { LevelFilter::INFO } else { LevelFilter::OFF });
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(ours);
    // Where a log is running already (many servers in one process), that one is kept.
    let _ = match format {
        Format::Human => registry
            .with(lines.with_target(false).with_ansi(std::io::stderr().is_terminal()))
            .try_init(),
        Format::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
}
