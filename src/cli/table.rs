//! Tables and times for people.

use std::io::Write;
use std::time::{Duration, SystemTime};

use comfy_table::{Table, presets};

/// Writes to standard output. Whoever reads it may stop reading.
pub(super) fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Columns under their names, without lines and without colours.
pub(super) fn with_header<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = plain();
    table.set_header(header);
    table.add_rows(rows);
    shown(table)
}

/// The same with as many columns as there are.
pub(super) fn columns(header: Vec<String>, rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = plain();
    table.set_header(header);
    table.add_rows(rows);
    shown(table)
}

/// A name and a value on each line.
pub(super) fn named(rows: impl IntoIterator<Item = (&'static str, String)>) -> String {
    let mut table = plain();
    table.add_rows(rows.into_iter().map(|(name, value)| [name.to_owned(), value]));
    shown(table)
}

/// What stands where there is nothing.
pub(super) fn or_dash(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty()).unwrap_or("-").to_owned()
}

/// A text on one line that leaves room for the columns before it.
pub(super) fn short(text: &str) -> String {
    const LONGEST: usize = 80;
    let line = text.replace(char::is_control, " ");
    if line.chars().count() <= LONGEST {
        return line;
    }
    let mut line: String = line.chars().take(LONGEST - 1).collect();
    line.push('…');
    line
}

/// How long ago a time of the API was; the time itself where it cannot be read.
pub(super) fn ago(time: &str, now: SystemTime) -> String {
    match humantime::parse_rfc3339(time) {
        // Two machines' clocks never agree to the second.
        Ok(then) => since(now.duration_since(then).unwrap_or_default()),
        Err(_) => time.to_owned(),
    }
}

/// A duration in its largest unit.
pub(super) fn roughly(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn since(passed: Duration) -> String {
    if passed < Duration::from_secs(1) {
        "just now".to_owned()
    } else {
        format!("{} ago", roughly(passed))
    }
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

fn shown(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_as_people_tell_it() {
        let now = humantime::parse_rfc3339("2026-11-23T10:00:00Z").unwrap();
        for (time, told) in [
            ("2026-11-23T10:00:07.5Z", "just now"),
            ("2026-11-23T09:59:59.5Z", "just now"),
            ("2026-11-23T09:59:13Z", "47 s ago"),
            ("2026-11-23T09:56:31Z", "3 min ago"),
            ("2026-11-23T07:01:00Z", "2 h ago"),
            ("2026-11-21T11:00:00Z", "47 h ago"),
            ("2026-11-21T09:00:00Z", "2 days ago"),
            ("yesterday", "yesterday"),
        ] {
            assert_eq!(ago(time, now), told, "{time}");
        }
    }

    #[test]
    fn a_table_is_plain_text() {
        let rows = [["iris".to_owned(), "1 → 2".to_owned()], ["w".to_owned(), or_dash(None)]];
        let table = with_header(["MODEL", "VERSIONS"], rows);
        assert_eq!(table, "MODEL  VERSIONS\niris   1 → 2\nw      -");
    }

    #[test]
    fn a_long_text_is_cut_and_stays_on_its_line() {
        assert_eq!(short("two\nlines"), "two lines");
        let cut = short(&"x".repeat(200));
        assert!(cut.chars().count() == 80 && cut.ends_with('…'), "{cut}");
    }
}
