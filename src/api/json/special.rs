//! `NaN`, `Infinity` and `-Infinity`, which are not JSON but which clients of TensorFlow Serving write and read.

/// The words for numbers that JSON has no form for.
const WORDS: [(&str, f64); 3] =
    [("NaN", f64::NAN), ("Infinity", f64::INFINITY), ("-Infinity", f64::NEG_INFINITY)];

/// What a marked word begins with: the one character that JSON allows in a string and nobody writes (delete).
const MARK: u8 = 0x7f;

/// The word for a number that is not finite.
pub(in crate::api) fn word_of(value: f64) -> Option<&'static str> {
    if value.is_finite() {
        None
    } else if value.is_nan() {
        Some("NaN")
    } else if value > 0.0 {
        Some("Infinity")
    } else {
        Some("-Infinity")
    }
}

/// The body with these words as marked strings ([`value_of`] reads them); `None` where it has none of them
/// outside of strings, or one of them as a key.
///
/// They are not just put in quotes, because then a `NaN` among texts would become the text `NaN`. A marked
/// word is as long as the word itself, so that what is said of lines and columns stays right.
pub(crate) fn mark_words(body: &[u8]) -> Option<Vec<u8>> {
    let mut marked = None;
    let mut position = 0;
    while position < body.len() {
        match body[position] {
            b'"' => position = end_of_string(body, position),
            b'N' | b'I' | b'-' => match word_at(body, position) {
                Some(word) => {
                    let end = position + word.len();
                    if is_key(body, end) {
                        return None;
                    }
                    let marked = marked.get_or_insert_with(|| body.to_vec());
                    marked[position] = b'"';
                    marked[position + 1] = MARK;
                    marked[end - 1] = b'"';
                    position = end;
                }
                None => position += 1,
            },
            _ => position += 1,
        }
    }
    marked
}

/// The number that a marked word stands for.
pub(in crate::api) fn value_of(text: &str) -> Option<f64> {
    let (mark, rest) = text.as_bytes().split_first()?;
    let is_marked = |(word, _): &&(&str, f64)| rest == &word.as_bytes()[2..word.len() - 1];
    (*mark == MARK).then(|| WORDS.iter().find(is_marked).map(|(_, value)| *value))?
}

fn word_at(body: &[u8], position: usize) -> Option<&'static str> {
    let starts_here = |(word, _): &&(&str, f64)| body[position..].starts_with(word.as_bytes());
    WORDS.iter().find(starts_here).map(|(word, _)| *word)
}

/// Whether a colon follows.
fn is_key(body: &[u8], end: usize) -> bool {
    body[end..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':')
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

    fn marked(body: &str) -> Option<String> {
        mark_words(body.as_bytes()).map(|marked| String::from_utf8(marked).unwrap())
    }

    #[test]
    fn only_words_outside_of_strings_are_marked_and_nothing_moves() {
        let body = r#"{"NaN": [NaN, -Infinity, "a \" NaN", Infinity]}"#;
        let expected =
            "{\"NaN\": [\"\x7f\", \"\x7fnfinit\", \"a \\\" NaN\", \"\x7ffinit\"]}".to_owned();
        assert_eq!(body.len(), expected.len());
        assert_eq!(marked(body), Some(expected));
        assert_eq!(marked(r#"{"a": "NaN"}"#), None);
        assert_eq!(marked("\"unfinished \\"), None);
        assert_eq!(marked("-Infinit"), None);
    }

    #[test]
    fn a_word_is_not_a_key() {
        assert_eq!(marked("{NaN: 1}"), None);
        assert_eq!(marked("{\"a\": NaN, Infinity \n: 1}"), None);
    }

    #[test]
    fn a_marked_word_is_read_as_the_number_and_other_text_is_not() {
        for (word, value) in WORDS {
            let text = marked(word).unwrap();
            let read = value_of(text.trim_matches('"')).unwrap();
            assert_eq!(read.to_bits(), value.to_bits(), "{word}");
            assert_eq!(word_of(value), Some(word));
            assert_eq!(value_of(word), None);
        }
        assert_eq!(value_of(""), None);
        assert_eq!(value_of("\x7fa"), None);
    }
}
