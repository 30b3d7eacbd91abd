//! The kinds of values that settings have: each a function from what was written to what it means, or to
//! what should have been written.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::{Bound, RangeBounds};
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use ureq::http::Uri;

use super::error::{Origin, printable};
use super::source::{Entry, Value};
use crate::domain::quiet::TimeWindow;
use crate::domain::sampling::Sample;
use crate::domain::weight::Weight;

/// The meaning of a value, or why it has none.
pub(super) type Parsed<T> = Result<T, Wrong>;

/// Why a value was refused; the sentence begins with the key.
#[derive(Debug)]
pub(super) struct Wrong {
    /// Which part of the value, after its key: `[1]`.
    pub(super) suffix: String,
    pub(super) origin: Origin,
    pub(super) complaint: String,
}

impl Wrong {
    /// `must be …, got …`
    pub(super) fn expected(entry: &Entry, expected: impl Display) -> Self {
        Self::because(entry, format!("must be {expected}, got {}", entry.value.shown()))
    }

    pub(super) fn because(entry: &Entry, complaint: String) -> Self {
        Self { suffix: String::new(), origin: entry.origin.clone(), complaint }
    }
}

/// A text that is not empty.
pub(super) fn name(entry: &Entry) -> Parsed<String> {
    match entry.text() {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        Some(_) | None => Err(Wrong::expected(entry, "a text that is not empty")),
    }
}

/// Texts of which none is empty and none is there twice.
pub(super) fn names(entry: &Entry) -> Parsed<Vec<String>> {
    let names = list_of(entry, "texts such as [\"a\", \"b\"]", name)?;
    let mut seen = BTreeSet::new();
    match names.iter().find(|name| !seen.insert(name.as_str())) {
        None => Ok(names),
        Some(twice) => {
            Err(Wrong::because(entry, format!("has {} twice", printable(&format!("{twice:?}")))))
        }
    }
}

/// A list in which every element is of one kind; an element that is not is refused at its own place.
pub(super) fn list_of<T>(
    entry: &Entry,
    of_what: &str,
    parse: impl Fn(&Entry) -> Parsed<T>,
) -> Parsed<Vec<T>> {
    let Value::List(elements) = entry.literal() else {
        return Err(Wrong::expected(entry, format!("a list of {of_what}")));
    };
    let element = |(index, element)| {
        parse(element)
            .map_err(|wrong| Wrong { suffix: format!("[{index}]{}", wrong.suffix), ..wrong })
    };
    elements.iter().enumerate().map(element).collect()
}

/// For a setting that may be absent.
pub(super) fn some<T>(parse: impl Fn(&Entry) -> Parsed<T>) -> impl Fn(&Entry) -> Parsed<Option<T>> {
    move |entry| parse(entry).map(Some)
}

/// One of the words of a list.
pub(super) fn one_of<T: Copy>(
    choices: &'static [(&'static str, T)],
) -> impl Fn(&Entry) -> Parsed<T> {
    move |entry| {
        let chosen = choices.iter().find(|(word, _)| entry.text() == Some(*word));
        chosen.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let words = choices.iter().map(|(word, _)| *word);
            Wrong::expected(entry, alternatives(words))
        })
    }
}

/// Words as a sentence lists them: `"a", "b" or "c"`.
pub(super) fn alternatives<'w>(words: impl Iterator<Item = &'w str>) -> String {
    let words: Vec<_> = words.map(|word| format!("\"{word}\"")).collect();
    match words.as_slice() {
        [] => "nothing".to_owned(),
        [only] => only.clone(),
        [others @ .., last] => format!("{} or {last}", others.join(", ")),
    }
}

/// `true` or `false`.
pub(super) fn switch(entry: &Entry) -> Parsed<bool> {
    match entry.literal() {
        Value::Switch(on) => Ok(on),
        _ => Err(Wrong::expected(entry, "true or false")),
    }
}

/// A whole number within limits.
pub(super) fn whole<T>(limits: impl RangeBounds<T>) -> impl Fn(&Entry) -> Parsed<T>
where
    T: TryFrom<i64> + PartialOrd + Display,
{
    move |entry| {
        let number = match entry.literal() {
            Value::Integer(number) => T::try_from(number).ok(),
            _ => None,
        };
        number
            .filter(|number| limits.contains(number))
            .ok_or_else(|| Wrong::expected(entry, format!("a whole number {}", described(&limits))))
    }
}

/// A whole number within limits, or a word that leaves it to the server.
pub(super) fn whole_or<T>(
    word: &'static str,
    limits: impl RangeBounds<T>,
) -> impl Fn(&Entry) -> Parsed<Option<T>>
where
    T: TryFrom<i64> + PartialOrd + Display,
{
    let expected = format!("a whole number {} or \"{word}\"", described(&limits));
    let whole = whole(limits);
    move |entry| {
        if entry.text() == Some(word) {
            return Ok(None);
        }
        whole(entry).map(Some).map_err(|_| Wrong::expected(entry, &expected))
    }
}

/// A number within limits.
pub(super) fn number(limits: impl RangeBounds<f64>) -> impl Fn(&Entry) -> Parsed<f64> {
    move |entry| {
        let number = match entry.literal() {
            Value::Integer(number) => Some(number as f64),
            Value::Float(number) => Some(number),
            _ => None,
        };
        number
            .filter(|number| number.is_finite() && limits.contains(number))
            .ok_or_else(|| Wrong::expected(entry, format!("a number {}", described(&limits))))
    }
}

/// Limits for [`number`] that leave out the lower end.
pub(super) fn above(low: f64) -> (Bound<f64>, Bound<f64>) {
    (Bound::Excluded(low), Bound::Unbounded)
}

/// Limits for [`number`] that leave out the lower end and include the upper.
pub(super) fn above_to(low: f64, high: f64) -> (Bound<f64>, Bound<f64>) {
    (Bound::Excluded(low), Bound::Included(high))
}

fn described<T: Display>(limits: &impl RangeBounds<T>) -> String {
    match (limits.start_bound(), limits.end_bound()) {
        (Bound::Included(low), Bound::Included(high)) => format!("from {low} to {high}"),
        (Bound::Included(low), Bound::Excluded(high)) => format!("from {low} and below {high}"),
        (Bound::Included(low), Bound::Unbounded) => format!("of at least {low}"),
        (Bound::Excluded(low), Bound::Included(high)) => format!("above {low} and at most {high}"),
        (Bound::Excluded(low), Bound::Excluded(high)) => format!("above {low} and below {high}"),
        (Bound::Excluded(low), Bound::Unbounded) => format!("above {low}"),
        (Bound::Unbounded, Bound::Included(high)) => format!("of at most {high}"),
        (Bound::Unbounded, Bound::Excluded(high)) => format!("below {high}"),
        (Bound::Unbounded, Bound::Unbounded) => "of any size".to_owned(),
    }
}

/// A weight: above 0 and at most 100 per cent.
pub(super) fn weight(entry: &Entry) -> Parsed<Weight> {
    let per_cent = number(above_to(0.0, 100.0))(entry)?;
    // Within the range, and no less than the least share that there is.
    Ok(Weight::from_per_cent(per_cent).map_or(Weight::ALL, |weight| weight.max(Weight::LEAST)))
}

/// A share of the requests, or `"adaptive"`.
pub(super) fn sample(entry: &Entry) -> Parsed<Sample> {
    if entry.text() == Some("adaptive") {
        return Ok(Sample::Adaptive);
    }
    number(0.0..=1.0)(entry)
        .map(Sample::Share)
        .map_err(|_| Wrong::expected(entry, "a number from 0 to 1 or \"adaptive\""))
}

/// A number of bytes within limits, written with its unit or as a plain number.
///
/// The greatest limit is far below what a `u64` holds, so that sizes can be added up without care.
pub(super) fn size<T: TryFrom<u64>>(
    limits: std::ops::RangeInclusive<u64>,
) -> impl Fn(&Entry) -> Parsed<T> {
    move |entry| {
        let bytes = match (entry.text(), entry.literal()) {
            (Some(text), _) => text.parse::<ByteSize>().ok().map(|size| size.0),
            (None, Value::Integer(number)) => u64::try_from(number).ok(),
            (None, _) => None,
        };
        let bytes = bytes.ok_or_else(|| Wrong::expected(entry, "a size such as \"64MiB\""))?;
        let wanted = limits.contains(&bytes).then(|| T::try_from(bytes).ok()).flatten();
        wanted.ok_or_else(|| {
            let (low, high) = (bytes_shown(*limits.start()), bytes_shown(*limits.end()));
            Wrong::expected(entry, format!("a size from {low} to {high}"))
        })
    }
}

fn bytes_shown(bytes: u64) -> String {
    ByteSize(bytes).to_string().replace(".0 ", "").replace(' ', "")
}

/// A time span, with its unit; at most ten years, so that it can be added to any time.
pub(super) fn duration(entry: &Entry) -> Parsed<Duration> {
    const LONGEST: Duration = Duration::from_secs(3650 * 24 * 60 * 60);
    match entry.text().map(humantime::parse_duration) {
        Some(Ok(duration)) if duration <= LONGEST => Ok(duration),
        Some(Ok(_)) => Err(Wrong::expected(entry, "a duration of at most 3650 days")),
        Some(Err(_)) | None => {
            Err(Wrong::expected(entry, "a duration with its unit such as \"10s\" or \"500ms\""))
        }
    }
}

/// A time span longer than nothing.
pub(super) fn positive_duration(entry: &Entry) -> Parsed<Duration> {
    match duration(entry)? {
        Duration::ZERO => Err(Wrong::expected(entry, "a duration above zero")),
        duration => Ok(duration),
    }
}

/// A time span that is not shorter than this.
pub(super) fn duration_from(least: Duration) -> impl Fn(&Entry) -> Parsed<Duration> {
    move |entry| {
        let long_enough = Some(duration(entry)?).filter(|duration| *duration >= least);
        let least = humantime::format_duration(least);
        long_enough.ok_or_else(|| Wrong::expected(entry, format!("a duration of at least {least}")))
    }
}

/// An address with its port.
pub(super) fn address(entry: &Entry) -> Parsed<SocketAddr> {
    let parsed = entry.text().and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| {
        Wrong::expected(entry, "an IP address with a port such as \"127.0.0.1:8000\"")
    })
}

/// An address with its port, or a word that stands for none.
pub(super) fn address_or(word: &'static str) -> impl Fn(&Entry) -> Parsed<Option<SocketAddr>> {
    move |entry| {
        if entry.text() == Some(word) {
            return Ok(None);
        }
        address(entry).map(Some).map_err(|_| {
            let address = "an IP address with a port such as \"127.0.0.1:8001\"";
            Wrong::expected(entry, format!("{address} or \"{word}\""))
        })
    }
}

/// A path; one in a file is relative to the file's folder, any other to the working directory.
pub(super) fn path(entry: &Entry) -> Parsed<PathBuf> {
    let path = match &entry.value {
        Value::Path(path) => Some(path.clone()),
        _ => entry.text().map(PathBuf::from),
    };
    let is_usable = |path: &PathBuf| {
        !path.as_os_str().is_empty() && !path.as_os_str().as_encoded_bytes().contains(&0)
    };
    let path = path.filter(is_usable).ok_or_else(|| Wrong::expected(entry, "a path"))?;
    match &entry.origin {
        Origin::File { file, .. } => {
            Ok(file.parent().map(|folder| folder.join(&path)).unwrap_or(path))
        }
        Origin::Environment(_) | Origin::Flag(_) => Ok(path),
    }
}

/// A window of each day such as `22:00-06:00`.
pub(super) fn time_window(entry: &Entry) -> Parsed<TimeWindow> {
    let window = entry.text().and_then(|text| {
        let (start, end) = text.split_once('-')?;
        let (start, end) = (minute_of_day(start)?, minute_of_day(end)?);
        (start != end).then_some(TimeWindow { start, end })
    });
    window.ok_or_else(|| Wrong::expected(entry, "a time window such as \"22:00-06:00\""))
}

fn minute_of_day(text: &str) -> Option<u16> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let two_digits = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
    let number = |text: &str| two_digits(text).then(|| text.parse::<u16>().ok()).flatten();
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

/// An address to which events are posted. What is wrong with it is not shown: it may hold a password.
pub(super) fn url(entry: &Entry) -> Parsed<String> {
    let is_url = |text: &&str| {
        let uri: Option<Uri> = text.parse().ok();
        let scheme = uri.as_ref().and_then(Uri::scheme_str);
        let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
        matches!(scheme, Some("http" | "https")) && !host.is_empty()
    };
    let url = entry.text().filter(is_url).map(str::to_owned);
    let complaint = "must be a URL that begins with http:// or https://".to_owned();
    url.ok_or_else(|| Wrong::because(entry, complaint))
}

/// The name of an HTTP header, in lower case as the server sees it.
pub(super) fn header_name(entry: &Entry) -> Parsed<String> {
    let is_token = |text: &&str| {
        let of_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        !text.is_empty() && text.bytes().all(of_token)
    };
    let name = entry.text().filter(is_token).map(str::to_ascii_lowercase);
    name.ok_or_else(|| Wrong::expected(entry, "the name of a header such as \"x-user-id\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Entry {
        let origin = Origin::Flag("--x");
        Entry { value: Value::Word(text.to_owned()), origin }
    }

    fn understood<T>(parse: impl Fn(&Entry) -> Parsed<T>, text: &str) -> Result<T, String> {
        parse(&entry(text)).map_err(|wrong| wrong.complaint)
    }

    #[test]
    fn a_size_has_a_unit_or_is_in_bytes() {
        let size = |text| understood(size::<u64>(0..=1 << 40), text);
        assert_eq!(size("64MiB"), Ok(64 << 20));
        assert_eq!(size("1.5 kB"), Ok(1500));
        assert_eq!(size("0"), Ok(0));
        assert_eq!(size("2TiB").unwrap_err(), "must be a size from 0B to 1TiB, got `2TiB`");
        for bad in ["", "-1", "MiB", "1 parsec", "99999999999999999999999EiB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_duration_has_a_unit_and_an_end() {
        let seconds = |text| understood(duration, text).map(|duration| duration.as_secs_f64());
        assert_eq!(seconds("500ms"), Ok(0.5));
        assert_eq!(seconds("1h 30m"), Ok(5400.0));
        assert_eq!(seconds("0"), Ok(0.0));
        assert_eq!(
            seconds("20years").unwrap_err(),
            "must be a duration of at most 3650 days, got `20years`"
        );
        for bad in ["", "10", "-1s", "s", "999999999999999999999years"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_time_window_may_span_midnight_and_is_never_empty() {
        let window = |text| understood(time_window, text);
        assert_eq!(window("22:00-06:30"), Ok(TimeWindow { start: 1320, end: 390 }));
        for bad in ["", "22-6", "24:00-06:00", "06:60-07:00", "06:00-06:00", "+6:00-07:00"] {
            assert!(window(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_keep_their_limits() {
        let number = |text| understood(number(above_to(0.0, 0.5)), text);
        assert_eq!(number("0.5"), Ok(0.5));
        assert_eq!(number("1e-3"), Ok(0.001));
        for bad in ["0", "0.6", "nan", "inf", "-1", "x", "1e999", "[1]"] {
            assert!(number(bad).is_err(), "{bad}");
        }
        let whole = |text| understood(whole::<usize>(1..), text);
        assert_eq!(whole("1_000"), Ok(1000));
        for bad in ["0", "-1", "1.0", "99999999999999999999"] {
            assert!(whole(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_weight_is_written_in_per_cent() {
        assert_eq!(understood(weight, "5").map(Weight::fraction), Ok(0.05));
        assert_eq!(understood(weight, "1e-9"), Ok(Weight::LEAST));
        assert!(understood(weight, "0").is_err());
        assert!(understood(weight, "100.1").is_err());
    }

    #[test]
    fn names_of_headers_are_in_lower_case() {
        assert_eq!(understood(header_name, "X-User-Id"), Ok("x-user-id".to_owned()));
        assert!(understood(header_name, "x user").is_err());
    }

    #[test]
    fn events_are_posted_to_the_web() {
        for good in ["http://127.0.0.1:9000/hook", "https://example.org"] {
            assert!(understood(url, good).is_ok(), "{good}");
        }
        for bad in ["", "ftp://x", "http://", "https:///x", "http://a b", "example.org"] {
            assert!(understood(url, bad).is_err(), "{bad}");
        }
    }
}
