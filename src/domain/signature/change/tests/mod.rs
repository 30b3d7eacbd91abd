//! What a difference is called, and who can live with it.

use super::super::super::tensor::DType;
use super::super::ClassKey;
use super::*;

mod properties;

/// `f32[N, 4]`, `i64[…]` or `string[]`.
fn tensor(name: &str, text: &str) -> TensorSpec {
    let (dtype, dims) = text.trim_end_matches(']').split_once('[').unwrap();
    let dtype = match dtype {
        "f32" => DType::F32,
        "i64" => DType::I64,
        "string" => DType::String,
        other => panic!("no type `{other}` here"),
    };
    let dim = |text: &str| match text.parse() {
        Ok(size) => Dim::Fixed(size),
        Err(_) if text == "?" => Dim::Any,
        Err(_) => Dim::Symbol(text.to_owned()),
    };
    let shape = match dims {
        "…" => Shape(None),
        "" => Shape(Some(Vec::new())),
        dims => Shape(Some(dims.split(", ").map(dim).collect())),
    };
    TensorSpec { name: name.to_owned(), dtype, shape }
}

fn scores(name: &str, key: ClassKey) -> OutputSpec {
    OutputSpec::ClassScores { name: name.to_owned(), key }
}

fn signature(inputs: &[(&str, &str)], outputs: &[(&str, &str)]) -> Signature {
    let tensors = |ports: &[(&str, &str)]| -> Vec<TensorSpec> {
        ports.iter().map(|(name, text)| tensor(name, text)).collect()
    };
    let outputs = tensors(outputs).into_iter().map(OutputSpec::Tensor).collect();
    Signature { inputs: tensors(inputs), outputs }
}

/// A classifier of four numbers.
fn classifier() -> Signature {
    signature(&[("X", "f32[N, 4]")], &[("label", "i64[N]"), ("p", "f32[N, 3]")])
}

/// One line for each difference, each with the strictest rule that allows it.
fn lines(before: &Signature, after: &Signature) -> Vec<String> {
    let line =
        |difference: &Difference| format!("{difference} ({})", difference.allowed_by().name());
    differences(before, after).iter().map(line).collect()
}

/// The one line about an input that was `was` and is `is`, or nothing.
fn input(was: &str, is: &str) -> String {
    let of = |input: &str| signature(&[("X", input)], &[("y", "f32[M, 2]")]);
    lines(&of(was), &of(is)).join("; ")
}

/// The same of an output.
fn output(was: &str, is: &str) -> String {
    let of = |output: &str| signature(&[("X", "f32[N, 4]")], &[("y", output)]);
    lines(&of(was), &of(is)).join("; ")
}

#[test]
fn an_input_may_get_wider_and_never_narrower() {
    for (was, is, line) in [
        ("f32[N, 4]", "f32[N, 4]", ""),
        ("f32[N, 4]", "f32[batch, 4]", ""),
        ("f32[N, 4]", "f32[?, 4]", ""),
        ("f32[…]", "f32[…]", ""),
        ("f32[N, 4]", "f32[N, 5]", "input `X`: f32[N, 4] → f32[N, 5] (any)"),
        ("f32[N, 4]", "f32[1, 4]", "input `X`: f32[N, 4] → f32[1, 4] (any)"),
        ("f32[?, 4]", "f32[1, 4]", "input `X`: f32[?, 4] → f32[1, 4] (any)"),
        ("f32[1, 4]", "f32[N, 4]", "input `X`: f32[1, 4] → f32[N, 4] (additive)"),
        ("f32[1, 4]", "f32[N, 5]", "input `X`: f32[1, 4] → f32[N, 5] (any)"),
        ("f32[N, 4]", "f32[N, 4, 1]", "input `X`: f32[N, 4] → f32[N, 4, 1] (any)"),
        ("f32[N]", "f32[]", "input `X`: f32[N] → f32[] (any)"),
        ("f32[N, 4]", "f32[…]", "input `X`: f32[N, 4] → f32[…] (additive)"),
        ("f32[…]", "f32[N, 4]", "input `X`: f32[…] → f32[N, 4] (any)"),
        ("f32[N, 4]", "i64[N, 4]", "input `X`: f32[N, 4] → i64[N, 4] (any)"),
    ] {
        assert_eq!(input(was, is), line, "{was} → {is}");
    }
}

#[test]
fn an_output_may_get_narrower_and_never_wider() {
    for (was, is, line) in [
        ("f32[N, 3]", "f32[N, 3]", ""),
        ("f32[N, 3]", "f32[rows, 3]", ""),
        ("f32[N, 3]", "f32[?, 3]", ""),
        ("f32[N, 3]", "f32[N, 2]", "output `y`: f32[N, 3] → f32[N, 2] (any)"),
        ("f32[N, 3]", "f32[N, k]", "output `y`: f32[N, 3] → f32[N, k] (any)"),
        ("f32[N, k]", "f32[N, 3]", "output `y`: f32[N, k] → f32[N, 3] (strict)"),
        ("f32[N, ?]", "f32[N, 3]", "output `y`: f32[N, ?] → f32[N, 3] (strict)"),
        ("f32[N, 3]", "f32[N]", "output `y`: f32[N, 3] → f32[N] (any)"),
        ("f32[N, 3]", "f32[…]", "output `y`: f32[N, 3] → f32[…] (any)"),
        ("f32[…]", "f32[N, 3]", "output `y`: f32[…] → f32[N, 3] (strict)"),
        ("i64[N]", "string[N]", "output `y`: i64[N] → string[N] (any)"),
    ] {
        assert_eq!(output(was, is), line, "{was} → {is}");
    }
}

#[test]
fn an_output_stays_as_long_as_the_input_is() {
    let one = signature(&[("X", "f32[1, 4]")], &[("y", "f32[1, 3]")]);
    let many = signature(&[("X", "f32[N, 4]")], &[("y", "f32[N, 3]")]);
    assert_eq!(
        lines(&one, &many),
        [
            "input `X`: f32[1, 4] → f32[N, 4] (additive)",
            "output `y`: f32[1, 3] → f32[N, 3] (additive)"
        ],
        "whoever sends one row gets one row"
    );
    let other = signature(&[("X", "f32[N, 4]")], &[("y", "f32[M, 3]")]);
    assert_eq!(lines(&one, &other)[1], "output `y`: f32[1, 3] → f32[M, 3] (any)");
    assert_eq!(
        output("f32[N, 3]", "f32[1, 3]"),
        "output `y`: f32[N, 3] → f32[1, 3] (any)",
        "whoever sends two rows got two rows"
    );
}

#[test]
fn whoever_renames_takes_away_and_demands() {
    let renamed =
        signature(&[("features", "f32[N, 4]")], &[("class", "i64[N]"), ("p", "f32[N, 3]")]);
    assert_eq!(
        lines(&classifier(), &renamed),
        [
            "input `features` is new and required: f32[N, 4] (any)",
            "input `X` is gone (any)",
            "output `label` is gone (any)",
            "output `class` is new: i64[N] (additive)",
        ]
    );
}

#[test]
fn a_new_output_is_allowed_where_answers_keep_their_form() {
    let more = |outputs: &[(&str, &str)]| {
        let known = [("label", "i64[N]"), ("p", "f32[N, 3]")];
        signature(&[("X", "f32[N, 4]")], &[&known, outputs].concat())
    };
    assert_eq!(
        lines(&classifier(), &more(&[("margin", "f32[N]"), ("loss", "f32[]"), ("w", "f32[7, 2]")])),
        [
            "output `margin` is new: f32[N] (additive)",
            "output `loss` is new: f32[] (not one value per row) (any)",
            "output `w` is new: f32[7, 2] (not one value per row) (any)",
        ]
    );
    // Who could never ask row by row loses nothing.
    assert_eq!(
        lines(&more(&[("loss", "f32[]")]), &more(&[("loss", "f32[]"), ("w", "f32[7, 2]")])),
        ["output `w` is new: f32[7, 2] (additive)"]
    );
    let alone = signature(&[("X", "f32[N, 4]")], &[("p", "f32[N, 3]")]);
    let mut named = signature(&[("X", "f32[N, 4]")], &[("p", "f32[N, 3]")]);
    named.outputs.push(scores("scores", ClassKey::String));
    assert_eq!(
        lines(&alone, &named),
        ["output `scores` is new: map(string, f32)[N] (with two outputs, answers name them) (any)"]
    );
}

#[test]
fn scores_by_class_are_a_type_of_their_own() {
    let of = |output: OutputSpec| Signature { inputs: Vec::new(), outputs: vec![output] };
    let by_number = of(scores("p", ClassKey::I64));
    assert_eq!(lines(&by_number, &by_number), Vec::<String>::new());
    assert_eq!(
        lines(&by_number, &of(scores("p", ClassKey::String))),
        ["output `p`: map(i64, f32)[N] → map(string, f32)[N] (any)"]
    );
    assert_eq!(
        lines(&by_number, &of(OutputSpec::Tensor(tensor("p", "f32[N, 3]")))),
        ["output `p`: map(i64, f32)[N] → f32[N, 3] (any)"]
    );
}

#[test]
fn the_gravest_comes_first() {
    let before = signature(
        &[("a", "f32[N, 4]"), ("b", "f32[N, 4]"), ("c", "f32[N]"), ("d", "f32[N]")],
        &[("x", "f32[N]"), ("y", "f32[N, 2]"), ("z", "f32[N]")],
    );
    let after = signature(
        &[("a", "f32[N, 5]"), ("b", "f32[N]"), ("c", "i64[N]"), ("e", "f32[N]")],
        &[("x", "i64[N]"), ("y", "f32[N, 1]"), ("w", "f32[N]")],
    );
    let found = differences(&before, &after);
    let lines: Vec<&str> = found.iter().map(|difference| difference.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "input `e` is new and required: f32[N]",
            "input `d` is gone",
            "input `c`: f32[N] → i64[N]",
            "input `b`: f32[N, 4] → f32[N]",
            "input `a`: f32[N, 4] → f32[N, 5]",
            "output `z` is gone",
            "output `x`: f32[N] → i64[N]",
            "output `y`: f32[N, 2] → f32[N, 1]",
            "output `w` is new: f32[N]",
        ]
    );
}
