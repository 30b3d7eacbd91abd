//! Foreign words in sentences of ours.

/// Whether a character only shows itself: it ends no line, moves no cursor and turns no text around.
pub fn is_harmless(c: char) -> bool {
    let turns_or_ends = matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    !c.is_control() && !turns_or_ends
}

/// Somebody else's words, short and on one line, so that they can neither fill a message nor forge a log line.
pub fn printable(text: &str, most: usize) -> String {
    let shown = |c: char| if is_harmless(c) { c } else { '\u{fffd}' };
    let mut shown: String = text.chars().take(most).map(shown).collect();
    if text.chars().nth(most).is_some() {
        shown.push('…');
    }
    shown
}

/// A sentence of a library without the folders of this machine, which are nobody's business: of each absolute path
/// the last name stays.
pub fn without_paths(sentence: &str) -> String {
    let is_end =
        |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | ',' | ';' | ')' | ']');
    let mut shown = String::with_capacity(sentence.len());
    let mut rest = sentence;
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        let begins = c == '/' && !before.is_alphanumeric() && before != '.' && before != '/';
        if begins {
            let path = &rest[..rest.find(is_end).unwrap_or(rest.len())];
            let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
            shown.push_str(if path.matches('/').count() > 1 { name } else { path });
            rest = &rest[path.len()..];
            before = '/';
        } else {
            shown.push(c);
            before = c;
            rest = &rest[c.len_utf8()..];
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_say_is_short_and_on_one_line() {
        assert_eq!(printable("a\nb", 10), "a\u{fffd}b");
        assert_eq!(printable("abcdef", 3), "abc…");
        assert_eq!(printable("\u{1b}[31m\u{85}\u{2028}", 10), "\u{fffd}[31m\u{fffd}\u{fffd}");
        assert_eq!(printable("safe\u{202e}exe.xnno", 20), "safe\u{fffd}exe.xnno");
        assert_eq!(printable("größe हिन्दी 👍", 20), "größe हिन्दी 👍");
    }

    #[test]
    fn of_a_path_only_the_name_is_told() {
        for (said, told) in [
            (
                r#"does not exist: "/tmp/a/models/1/weights.bin""#,
                r#"does not exist: "weights.bin""#,
            ),
            ("from /srv/models/1.onnx failed:Protobuf", "from 1.onnx failed:Protobuf"),
            ("n/a, 3/4 and m/1.onnx stay", "n/a, 3/4 and m/1.onnx stay"),
            ("node /Gather_3 and /net/conv/Conv", "node /Gather_3 and Conv"),
        ] {
            assert_eq!(without_paths(said), told);
        }
    }
}
