//! How long a client waits for its answer, as it says in `grpc-timeout`: up to eight digits and a unit.

use std::time::Duration;

use axum::http::HeaderMap;

use crate::api::problem::Problem;

const HEADER: &str = "grpc-timeout";

/// The time that the client gives the call, where it does.
pub(super) fn asked(headers: &HeaderMap) -> Result<Option<Duration>, Problem> {
    let Some(value) = headers.get(HEADER) else { return Ok(None) };
    let time = value.to_str().ok().and_then(read);
    time.map(Some).ok_or_else(|| {
        let sentence = format!(
            "metadata `{HEADER}`: expected up to eight digits and one of H, M, S, m, u and n"
        );
        Problem::bad_request("invalid_timeout", sentence)
    })
}

fn read(text: &str) -> Option<Duration> {
    let (unit, digits) = (text.chars().last()?, text.get(..text.len().checked_sub(1)?)?);
    let is_number = (1..=8).contains(&digits.len()) && digits.bytes().all(|c| c.is_ascii_digit());
    let number: u64 = digits.parse().ok().filter(|_| is_number)?;
    match unit {
        'H' => Some(Duration::from_secs(number * 3600)),
        'M' => Some(Duration::from_secs(number * 60)),
        'S' => Some(Duration::from_secs(number)),
        'm' => Some(Duration::from_millis(number)),
        'u' => Some(Duration::from_micros(number)),
        'n' => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_unit_is_read() {
        for (text, expected) in [
            ("2H", Duration::from_secs(7200)),
            ("3M", Duration::from_secs(180)),
            ("99999999S", Duration::from_secs(99_999_999)),
            ("50m", Duration::from_millis(50)),
            ("50u", Duration::from_micros(50)),
            ("0n", Duration::ZERO),
        ] {
            assert_eq!(read(text), Some(expected), "{text}");
        }
        for text in ["", "S", "1", "1s", "+1S", "-1S", "1.5S", "123456789S", "1 S", "1€"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_time_or_none(text: String) {
            let _ = read(&text);
        }
    }
}
