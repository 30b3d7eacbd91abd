//! Every way to write a tree gives that tree, and no text does harm.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// The tree on one line, so that tests can say what they expect.
fn shown(message: &Message) -> String {
    let field = |Field { name, value, .. }: &Field| match value {
        Value::Message(message) => format!("{name}{{{}}}", shown(message)),
        Value::Text(text) => format!("{name}={text:?}"),
        Value::Word(word) | Value::Number(word) => format!("{name}={word}"),
    };
    message.fields.iter().map(field).collect::<Vec<_>>().join(" ")
}

fn tree(text: &str) -> String {
    shown(&parse(text).unwrap())
}

fn complaint(text: &str) -> String {
    let SyntaxError { place, text } = parse(text).unwrap_err();
    format!("{}:{}: {text}", place.line, place.column)
}

#[test]
fn a_list_is_the_same_as_one_field_for_each_element() {
    for text in ["dims: [ 3, 224 ]", "dims: 3 dims: 224", "dims: 3, dims: 224;", "dims:[3,224],"] {
        assert_eq!(tree(text), "dims=3 dims=224");
    }
    let inputs = "input{name=\"a\"} input{name=\"b\"}";
    for text in [
        "input [ { name: 'a' }, { name: 'b' } ]",
        "input: [ < name: 'a' >, { name: 'b' } ]",
        "input { name: \"a\" } input < name: \"b\"; >",
        "input: { name: 'a' }; input { name: 'b' }",
    ] {
        assert_eq!(tree(text), inputs);
    }
    assert_eq!(tree("dims: [] input []"), "");
}

#[test]
fn values_are_texts_words_and_numbers() {
    assert_eq!(
        tree("a: 'x' \"y\"\n 'z' b: TYPE_FP32 c: -1 d: 1.5e-3f e: - inf f: 0x1F # no: 1\n g: true"),
        "a=\"xyz\" b=TYPE_FP32 c=-1 d=1.5e-3f e=-inf f=0x1F g=true"
    );
}

#[test]
fn escapes_are_undone() {
    assert_eq!(
        tree(r#"a: "\"\'\\\n\t\x41\101\u00e9\U0001f44d\303\251""#),
        "a=\"\\\"'\\\\\\n\\tAAé👍é\""
    );
    assert_eq!(
        complaint(r"a: '\q'"),
        r"1:5: syntax error: there is no such escape; a backslash is `\\`"
    );
    assert_eq!(complaint(r"a: '\377'"), "1:4: syntax error: the text is not UTF-8");
    assert!(parse(r"a: '\777'").is_err() && parse(r"a: '\u12'").is_err());
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (text, told) in [
        (
            "a: 1\nb: {",
            "2:5: syntax error: expected a field's name or `}`, got the end of the file",
        ),
        ("a 1", "1:3: syntax error: expected `:` or `{`, got `1`"),
        ("a: \"x\n\"", "1:4: syntax error: the quote is not closed in this line"),
        ("a: [1 2]", "1:7: syntax error: expected `,` or `]`, got `2`"),
        ("a: [[1]]", "1:5: syntax error: expected a value, got `[`"),
        ("a { b: 1 >", "1:10: syntax error: expected a field's name or `}`, got `>`"),
        ("[x]: 1", "1:1: syntax error: expected a field's name or the end of the file, got `[`"),
        ("ä: 1", "1:1: syntax error: `ä` has no meaning here"),
        ("a:", "1:3: syntax error: expected a value, got the end of the file"),
    ] {
        assert_eq!(complaint(text), told);
    }
}

#[test]
fn nesting_and_length_have_an_end() {
    let nested = |levels| format!("{}{}", "a{".repeat(levels), "}".repeat(levels));
    assert!(parse(&nested(32)).is_ok());
    assert_eq!(complaint(&nested(33)), "1:66: syntax error: more than 32 messages in each other");
    assert!(complaint(&"a<".repeat(500_000)).contains("more than 32"));
    assert_eq!(
        complaint(&" ".repeat((1 << 20) + 1)),
        "1:1: syntax error: longer than 1048576 bytes"
    );
}

fn message() -> impl Strategy<Value = Message> {
    let scalar = prop_oneof![
        "\\PC{0,8}|[\\x00-\\x1f]{0,3}".prop_map(Value::Text),
        "-?[A-Za-z_][A-Za-z_0-9]{0,8}".prop_map(Value::Word),
        "-?[0-9]{1,6}(\\.[0-9]{1,3})?(e[+-]?[0-9])?".prop_map(Value::Number),
    ];
    let value = scalar.prop_recursive(4, 24, 4, |value| {
        vec(("[a-z_]{1,5}", value), 0..4).prop_map(|fields| Value::Message(of(fields)))
    });
    vec(("[a-z_]{1,5}", value), 0..6).prop_map(of)
}

fn of(fields: Vec<(String, Value)>) -> Message {
    let field =
        |(name, value)| Field { name, place: Place::START, value, value_place: Place::START };
    Message { fields: fields.into_iter().map(field).collect(), empty: Vec::new() }
}

/// Writes a tree in one of the ways that there are.
fn write(message: &Message, style: usize, out: &mut String) {
    for Field { name, value, .. } in &message.fields {
        out.push_str(name);
        match value {
            Value::Message(inner) => {
                let (open, close) = [(" {", "}"), (": <", ">"), (": [ { ", "} ]")][style % 3];
                out.push_str(open);
                write(inner, style + 1, out);
                out.push_str(close);
            }
            Value::Text(text) if style.is_multiple_of(2) => {
                out.push_str(": ");
                text.bytes().for_each(|byte| out.push_str(&format!("'\\{byte:03o}'")));
                out.push_str("''");
            }
            Value::Text(text) => {
                let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
                out.push_str(&format!(":\"{escaped}\""));
            }
            Value::Word(word) | Value::Number(word) => out.push_str(&format!(":{word}")),
        }
        out.push_str([" ", ", ", "; # what follows; {\n"][style % 3]);
    }
}

proptest! {
    #[test]
    fn a_tree_that_was_written_is_read_back(message in message(), style in 0..6_usize) {
        let mut text = String::new();
        write(&message, style, &mut text);
        prop_assert_eq!(shown(&parse(&text).unwrap()), shown(&message), "{}", text);
    }

    #[test]
    fn no_text_makes_it_panic(text: String) {
        let _ = parse(&text);
    }

    #[test]
    fn no_pieces_of_the_format_make_it_panic(text in "([a-z]{1,2}|[:{}<>\\[\\],;\"'#\\\\.0-9x-]| |\n){0,60}") {
        if let Err(SyntaxError { place, .. }) = parse(&text) {
            prop_assert!(place.line >= 1 && place.line <= text.lines().count() + 1);
        }
    }
}
