//! Any signature, and what may become of it.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn any_dim() -> impl Strategy<Value = Dim> {
    prop_oneof![
        (1..3_usize).prop_map(Dim::Fixed),
        prop_oneof![Just("N"), Just("M")].prop_map(|name| Dim::Symbol(name.to_owned())),
        Just(Dim::Any),
    ]
}

fn any_tensor(name: &'static str) -> impl Strategy<Value = TensorSpec> {
    let shape = proptest::option::weighted(0.8, proptest::collection::vec(any_dim(), 0..3));
    let dtype = prop_oneof![4 => Just(DType::F32), 1 => Just(DType::I64)];
    (dtype, shape).prop_map(move |(dtype, dims)| TensorSpec {
        name: name.to_owned(),
        dtype,
        shape: Shape(dims),
    })
}

fn any_output(name: &'static str) -> impl Strategy<Value = OutputSpec> {
    let key = prop_oneof![Just(ClassKey::I64), Just(ClassKey::String)];
    prop_oneof![
        4 => any_tensor(name).prop_map(OutputSpec::Tensor),
        1 => key.prop_map(move |key| scores(name, key)),
    ]
}

fn some_of<T: std::fmt::Debug>(
    ports: [impl Strategy<Value = T>; 3],
) -> impl Strategy<Value = Vec<T>> {
    let there = ports.map(|port| proptest::option::weighted(0.7, port));
    there.prop_map(|ports| ports.into_iter().flatten().collect()).prop_shuffle()
}

/// Few names, sizes and types, so that two signatures are often nearly the same.
fn any_signature() -> impl Strategy<Value = Signature> {
    let inputs = some_of(["a", "b", "c"].map(any_tensor));
    let outputs = some_of(["x", "y", "z"].map(any_output));
    (inputs, outputs).prop_map(|(inputs, outputs)| Signature { inputs, outputs })
}

/// A small change somewhere, mostly of a dimension.
#[derive(Clone, Debug)]
enum Turn {
    Size(Dim),
    Shape(Option<Vec<Dim>>),
    Retyped(DType),
    Lost,
}

fn any_turn() -> impl Strategy<Value = Turn> {
    let dims = proptest::option::of(proptest::collection::vec(any_dim(), 0..3));
    prop_oneof![
        8 => any_dim().prop_map(Turn::Size),
        2 => dims.prop_map(Turn::Shape),
        1 => Just(Turn::Retyped(DType::I64)),
        1 => Just(Turn::Lost),
    ]
}

/// The tensor after the change; none when it is lost.
fn turned(mut tensor: TensorSpec, turn: Turn, place: usize) -> Option<TensorSpec> {
    match turn {
        Turn::Size(dim) => {
            if let Some(dims) = tensor.shape.0.as_mut().filter(|dims| !dims.is_empty()) {
                let place = place % dims.len();
                dims[place] = dim;
            }
        }
        Turn::Shape(dims) => tensor.shape = Shape(dims),
        Turn::Retyped(dtype) => tensor.dtype = dtype,
        Turn::Lost => return None,
    }
    Some(tensor)
}

/// A signature, and what became of it by a few small changes.
fn any_change() -> impl Strategy<Value = (Signature, Signature)> {
    let turns = proptest::collection::vec((any_turn(), 0..6_usize, 0..3_usize), 0..4);
    let more = (
        proptest::option::weighted(0.1, any_tensor("d")),
        proptest::option::weighted(0.2, any_output("w")),
    );
    (any_signature(), turns, more).prop_map(|(before, turns, (input, output))| {
        let mut after = before.clone();
        for (turn, port, place) in turns {
            if port < after.inputs.len() {
                let was = after.inputs.remove(port);
                after.inputs.extend(turned(was, turn, place));
            } else if port - after.inputs.len() < after.outputs.len() {
                let is = match after.outputs.remove(port - after.inputs.len()) {
                    OutputSpec::Tensor(was) => turned(was, turn, place).map(OutputSpec::Tensor),
                    scores @ OutputSpec::ClassScores { .. } => Some(scores),
                };
                after.outputs.extend(is);
            }
        }
        after.inputs.extend(input);
        after.outputs.extend(output);
        (before, after)
    })
}

fn passes(before: &Signature, after: &Signature, rule: SignatureRule) -> bool {
    differences(before, after).iter().all(|difference| !difference.breaks(rule))
}

/// Every shape of up to three dimensions with sizes of up to three.
fn shapes() -> Vec<Vec<usize>> {
    let sizes = 0..4_usize;
    let two = sizes.clone().flat_map(|a| (0..4).map(move |b| vec![a, b]));
    let three = two.clone().flat_map(|ab| (0..4).map(move |c| [ab.clone(), vec![c]].concat()));
    let one = sizes.map(|a| vec![a]);
    std::iter::once(Vec::new()).chain(one).chain(two).chain(three).collect()
}

/// A shape that fits, with this size for what is open.
fn fitting(shape: &Shape, open: usize) -> Vec<usize> {
    let size = |dim: &Dim| match dim {
        Dim::Fixed(size) => *size,
        Dim::Symbol(_) | Dim::Any => open,
    };
    shape.dims().map_or_else(|| vec![open, open], |dims| dims.iter().map(size).collect())
}

/// Which sizes the named dimensions of the new inputs have, when a client of the old ones sends these; none where one
/// would have two.
fn sent(before: &Signature, after: &Signature, open: usize) -> Option<BTreeMap<String, usize>> {
    let mut sizes = BTreeMap::new();
    for was in &before.inputs {
        let dims = after.input(&was.name)?.shape.dims().unwrap_or_default();
        for (dim, size) in dims.iter().zip(fitting(&was.shape, open)) {
            if let Dim::Symbol(name) = dim
                && sizes.insert(name.clone(), size).is_some_and(|known| known != size)
            {
                return None;
            }
        }
    }
    Some(sizes)
}

proptest! {
    // About half of the changes are allowed.
    #![proptest_config(ProptestConfig { cases: 1000, max_global_rejects: 100_000, ..ProptestConfig::default() })]

    #[test]
    fn a_signature_differs_from_itself_in_nothing_whatever_the_order(
        signature in any_signature(),
    ) {
        let mut turned = signature.clone();
        turned.inputs.reverse();
        turned.outputs.reverse();
        prop_assert_eq!(differences(&signature, &turned), []);
    }

    #[test]
    fn what_a_strict_rule_allows_the_others_allow_too((before, after) in any_change()) {
        use SignatureRule::{Additive, Any, Strict};
        let [strict, additive, any] = [Strict, Additive, Any].map(|rule| passes(&before, &after, rule));
        prop_assert!(strict <= additive && additive <= any);
        prop_assert!(any);
    }

    #[test]
    fn what_old_clients_send_is_taken((before, after) in any_change()) {
        prop_assume!(passes(&before, &after, SignatureRule::Additive));
        prop_assert_eq!(before.inputs.len(), after.inputs.len(), "nothing more is asked for");
        for was in &before.inputs {
            let is = after.input(&was.name).expect("it can be given by its name");
            prop_assert_eq!(was.dtype, is.dtype);
            for shape in shapes() {
                prop_assert!(!was.shape.admits(&shape) || is.shape.admits(&shape), "{was} → {is}: {shape:?}");
            }
        }
    }

    #[test]
    fn what_old_clients_get_is_what_they_were_promised(
        (before, after) in any_change(),
        open in 1..4_usize,
        unknown in 1..4_usize,
    ) {
        prop_assume!(passes(&before, &after, SignatureRule::Additive));
        let Some(sent) = sent(&before, &after, open) else { return Ok(()) };
        for was in &before.outputs {
            match (was, after.output(was.name()).expect("it is there by its name")) {
                (OutputSpec::Tensor(was), OutputSpec::Tensor(is)) => {
                    prop_assert_eq!(was.dtype, is.dtype);
                    let mut answered = is.shape.clone();
                    for dim in answered.0.iter_mut().flatten() {
                        if let Dim::Symbol(name) = &dim {
                            *dim = Dim::Fixed(*sent.get(name).unwrap_or(&unknown));
                        }
                    }
                    let answered = fitting(&answered, unknown);
                    prop_assert!(was.shape.admits(&answered), "{was} → {is}: {answered:?}");
                }
                (was, is) => prop_assert_eq!(was, is),
            }
        }
    }

    #[test]
    fn under_the_strict_rule_both_take_the_same((before, after) in any_change()) {
        prop_assume!(passes(&before, &after, SignatureRule::Strict));
        prop_assert_eq!(before.outputs.len(), after.outputs.len());
        for was in &before.inputs {
            let is = after.input(&was.name).expect("it can be given by its name");
            for shape in shapes() {
                prop_assert_eq!(was.shape.admits(&shape), is.shape.admits(&shape));
            }
        }
    }

    #[test]
    fn a_line_is_short_and_one_line(name in "\\PC{0,200}|[\\n\\r\\x00a-z]{0,9}", dims in proptest::collection::vec(0..9_usize, 0..300)) {
        let wild = TensorSpec {
            name: name.clone(),
            dtype: DType::F32,
            shape: Shape(Some(dims.into_iter().map(Dim::Fixed).chain([Dim::Symbol(name)]).collect())),
        };
        let wild = Signature { inputs: vec![wild.clone()], outputs: vec![OutputSpec::Tensor(wild)] };
        for difference in differences(&classifier(), &wild).into_iter().chain(differences(&wild, &classifier())) {
            let line = difference.to_string();
            prop_assert!(line.chars().count() < 300 && !line.contains(char::is_control), "{line}");
        }
    }
}
