//! `NaN`, `Infinity` and `-Infinity`, which are not JSON but which clients of TensorFlow Serving write.

const WORDS: [&str; 3] = ["NaN", "-Infinity", "Infinity"];

/// The body with these words in quotes, as the decoder reads them; `None` where it has none of them outside of
/// strings.
pub(super) fn quote_special_numbers(body: &[u8]) -> Option<Vec<u8>> {
    let mut quoted = Vec::new();
    let mut copied = 0;
    let mut position = 0;
    while position < body.len() {
        if body[position] == b'"' {
            position = end_of_string(body, position);
        } else if let Some(word) =
            WORDS.iter().find(|word| body[position..].starts_with(word.as_bytes()))
        {
            quoted.extend_from_slice(&body[copied..position]);
            quoted.push(b'"');
            quoted.extend_from_slice(word.as_bytes());
            quoted.push(b'"');
            position += word.len();
            copied = position;
        } else {
            position += 1;
        }
    }
    if copied == 0 {
        return None;
    }
    quoted.extend_from_slice(&body[copied..]);
    Some(quoted)
}

/// The position after the string that begins at `start`.
fn end_of_string(body: &[u8], start: usize) -> usize {
    let mut position = start + 1;
    while position < body.len() {
        match body[position] {
            b'"' => return position + 1,
            b'\\' => position += 2,
            _ => position += 1,
        }
    }
    body.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_outside_of_strings_are_quoted() {
        let body = br#"{"NaN": [NaN, -Infinity, "a \" NaN", Infinity]}"#;
        let expected = br#"{"NaN": ["NaN", "-Infinity", "a \" NaN", "Infinity"]}"#;
        assert_eq!(quote_special_numbers(body).as_deref(), Some(&expected[..]));
        assert_eq!(quote_special_numbers(br#"{"a": "NaN"}"#), None);
        assert_eq!(quote_special_numbers(b"\"unfinished \\"), None);
    }
}
