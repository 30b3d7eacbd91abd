//! The log: lines for people on a terminal, JSON lines for machines, on standard error.

use std::fmt::{self, Write};
use std::io::IsTerminal;

use tracing::Level;
use tracing::field::Field;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::{self, FormatFields, Writer};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::domain::wording::is_harmless;

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
            .with(
                lines
                    .with_target(false)
                    .with_ansi(std::io::stderr().is_terminal())
                    .fmt_fields(on_one_line()),
            )
            .try_init(),
        Format::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
}

/// Writes what a line says: the sentence, and the fields behind it. Clients, models and libraries have a part in both,
/// so nothing in them can end the line or speak to the terminal.
fn on_one_line() -> impl for<'w> FormatFields<'w> + Send + Sync + 'static {
    let write = |writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug| {
        if field.name() != "message" {
            match writer.has_ansi_escapes() {
                true => write!(writer, "\u{1b}[3m{}\u{1b}[0m\u{1b}[2m=\u{1b}[0m", field.name())?,
                false => write!(writer, "{}=", field.name())?,
            }
        }
        write!(Harmless(writer), "{value:?}")
    };
    format::debug_fn(write).delimited(" ")
}

/// Spells out what must not stand in a line.
struct Harmless<'w, W>(&'w mut W);

impl<W: Write> Write for Harmless<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(|c| !is_harmless(c)) {
            let (before, from) = rest.split_at(at);
            self.0.write_str(before)?;
            let mut chars = from.chars();
            chars.by_ref().take(1).try_for_each(|c| write!(self.0, "{}", c.escape_default()))?;
            rest = chars.as_str();
        }
        self.0.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    /// Where a log is written to that a test reads.
    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(say: impl FnOnce()) -> String {
        let page = Page::default();
        let written = page.clone();
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(move || written.clone())
            .with_ansi(false)
            .without_time()
            .with_target(false)
            .fmt_fields(on_one_line());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), say);
        String::from_utf8(page.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_line_says_the_sentence_and_then_its_fields() {
        let line = logged(|| tracing::info!(model.name = %"iris", number = 2, "it is `ready`"));
        assert_eq!(line, " INFO it is `ready` model.name=iris number=2\n");
    }

    #[test]
    fn nobody_can_forge_a_line_or_speak_to_the_terminal() {
        let hostile = "a\n2026-01-01 INFO forged\r\u{1b}[31m\u{85}\u{202e}";
        let line = logged(|| tracing::info!(shown = %hostile, spelled = hostile, "{hostile}"));
        let safe = r"a\n2026-01-01 INFO forged\r\u{1b}[31m\u{85}\u{202e}";
        assert_eq!(line, format!(" INFO {safe} shown={safe} spelled=\"{safe}\"\n"));
    }
}
