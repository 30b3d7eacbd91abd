//! How far it is, on a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A line that says nothing yet.
pub(in crate::cli) fn bar() -> ProgressBar {
    let bar = ProgressBar::no_length();
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Of so many bytes.
pub(super) fn in_bytes(bar: &ProgressBar, bytes: u64) {
    bar.set_length(bytes);
    bar.set_style(style("{bar:40} {percent:>3} % of {total_bytes}, {bytes_per_sec}, {eta} left"));
}

/// Of so many rows.
pub(super) fn in_rows(bar: &ProgressBar, rows: u64) {
    bar.set_length(rows);
    bar.set_style(style("{bar:40} {percent:>3} % of {len} rows, {per_sec}, {eta} left"));
}

/// Of who knows how many requests.
pub(super) fn in_requests(bar: &ProgressBar) {
    bar.set_style(style("{spinner} {pos} requests, {per_sec}"));
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
