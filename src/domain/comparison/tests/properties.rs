//! What holds whatever comes.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// Numbers that break what is written without thinking of them.
const NUMBERS: [f64; 14] = [
    0.0,
    -0.0,
    0.25,
    0.5,
    0.75,
    1.0,
    -1.0,
    3.0,
    1e-320,
    1e300,
    f64::MAX,
    f64::MIN,
    f64::NAN,
    f64::INFINITY,
];

const LONG: &str =
    "a text that says much more than anybody would want to read among a few other examples";

fn elements(count: usize) -> impl Strategy<Value = Elements> {
    let numbers = || proptest::collection::vec(select(&NUMBERS[..]), count);
    let words = || select(&["a", "b", "", "ü\n", "7", LONG][..]).prop_map(str::to_owned);
    prop_oneof![
        4 => numbers().prop_map(|n| Elements::F32(n.into_iter().map(|n| n as f32).collect())),
        2 => numbers().prop_map(Elements::F64),
        1 => proptest::collection::vec(any::<i64>(), count).prop_map(Elements::I64),
        1 => proptest::collection::vec(0..3i32, count).prop_map(Elements::I32),
        1 => proptest::collection::vec(any::<bool>(), count).prop_map(Elements::Bool),
        1 => proptest::collection::vec(words(), count).prop_map(Elements::String),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let shape = proptest::collection::vec(select(&[0usize, 1, 1, 2, 3, 17][..]), 0..4);
    let any_tensor = shape.prop_flat_map(|shape| {
        let count = shape.iter().product();
        elements(count).prop_map(move |elements| tensor(&shape, elements))
    });
    let scores = (0..3usize, 0..3usize).prop_flat_map(|(rows, columns)| {
        let names = select(&["a", "b", "0", LONG][..]).prop_map(str::to_owned);
        let classes = proptest::collection::vec(names, columns);
        let scores = proptest::collection::vec(select(&NUMBERS[..]), rows * columns);
        (classes, scores).prop_map(move |(classes, scores)| {
            let scores = scores.into_iter().map(|score| score as f32).collect();
            Value::Scores(ClassScores { classes, scores, rows })
        })
    });
    prop_oneof![6 => any_tensor, 2 => scores, 1 => Just(Value::Missing)]
}

fn change() -> impl Strategy<Value = Change> {
    select(&[Change::Equivalent, Change::Retrained, Change::NewTask][..])
}

fn rule() -> impl Strategy<Value = OutputRule> {
    let kinds = [
        None,
        Some(OutputKind::ClassLabel),
        Some(OutputKind::ClassProbabilities),
        Some(OutputKind::Regression),
        Some(OutputKind::Embedding),
        Some(OutputKind::Numeric),
    ];
    let kind = prop_oneof![Just(None), proptest::sample::select(kinds.to_vec())];
    kind.prop_map(|kind| OutputRule { kind, ..OutputRule::inferred("y") })
}

/// The answers of both runs and the live one: mostly of one form, so that they get compared.
fn answers() -> impl Strategy<Value = [Value; 3]> {
    let alike = value().prop_flat_map(|value| {
        let like = like(&value);
        (Just(value), like.clone(), like).prop_map(|(a, b, c)| [a, b, c])
    });
    let unlike = (value(), value(), value()).prop_map(|(a, b, c)| [a, b, c]);
    prop_oneof![4 => alike, 1 => unlike]
}

/// Another value of the same form.
fn like(value: &Value) -> BoxedStrategy<Value> {
    let Value::Tensor(original) = value.clone() else { return Just(value.clone()).boxed() };
    let elements = elements(original.view().elements.len());
    elements
        .prop_map(move |elements| match elements.dtype() == original.dtype() {
            true => tensor(original.shape(), elements),
            false => Value::Tensor(original.clone()),
        })
        .boxed()
}

fn read_back(comparison: &Comparison) -> Comparison {
    let written = serde_json::to_string(comparison).unwrap();
    let read: Comparison = serde_json::from_str(&written).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), written);
    read
}

proptest! {
    #[test]
    fn nothing_makes_it_panic_or_say_what_json_cannot(
        rule in rule(),
        change in change(),
        pairs in proptest::collection::vec((answers(), any::<bool>()), 1..12),
        chance in any::<u64>(),
    ) {
        let mut comparison = Comparison::new(vec![rule], change);
        for (number, ([stable, candidate, live], by_stable)) in (0..).zip(&pairs) {
            let by = if *by_stable { Arm::Stable } else { Arm::Candidate };
            let [stable, candidate, live] =
                [stable, candidate, live].map(std::slice::from_ref);
            let observed = observe(
                &mut comparison, number, Some(stable), Some(candidate), Some((live, by)),
            );
            let outcome = observed.outputs[0];
            let noise = outcome.noise.unwrap_or(0.0);
            prop_assert!((0.0..=1.0).contains(&outcome.differs), "{outcome:?}");
            prop_assert!((0.0..=1.0).contains(&noise), "{outcome:?}");
            for difference in &observed.beyond_tolerance {
                prop_assert!(difference.score.is_finite());
                prop_assert!(difference.stable.chars().count() <= 80);
            }
        }
        let read = read_back(&comparison);
        prop_assert_eq!(read.report(), comparison.report());
        comparison.merge(&read, chance);
        let report = serde_json::to_string(&comparison.report()).unwrap();
        prop_assert!(!report.contains("null"), "{report}");
    }

    #[test]
    fn an_answer_agrees_with_itself(rule in rule(), change in change(), value in value()) {
        let mut comparison = Comparison::new(vec![rule], change);
        let same = [value];
        let live = Some((&same[..], Arm::Stable));
        let observed = observe(&mut comparison, 1, Some(&same), Some(&same), live);
        prop_assert!(observed.agreed && observed.contract.is_empty(), "{observed:?}");
        prop_assert!(observed.outputs[0].differs < 1e-12);
        prop_assert!(observed.outputs[0].noise.unwrap_or(0.0) < 1e-12);
        prop_assert!(comparison.report().noise.bit_identical.unwrap_or(true));
    }
}

proptest! {
    // Each case is many pairs, looked at several times.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_read_back_goes_on_as_if_nothing_had_happened(
        pairs in proptest::collection::vec(a_pair(), 2..60),
        cut in any::<prop::sample::Index>(),
    ) {
        let cut = cut.index(pairs.len());
        let whole = compared(&pairs, 0);
        let mut resumed = read_back(&compared(&pairs[..cut], 0));
        compare(&mut resumed, &pairs[cut..], cut as u64);
        prop_assert_eq!(
            serde_json::to_value(&resumed).unwrap(), serde_json::to_value(&whole).unwrap()
        );
    }

    #[test]
    fn the_parts_of_a_rollout_merge_into_the_whole(
        pairs in proptest::collection::vec(a_pair(), 2..60),
        cut in any::<prop::sample::Index>(),
        chance in any::<u64>(),
    ) {
        let cut = cut.index(pairs.len());
        let mut merged = compared(&pairs[..cut], 0);
        merged.merge(&compared(&pairs[cut..], cut as u64), chance);
        assert_alike(
            &serde_json::to_value(merged.report()).unwrap(),
            &serde_json::to_value(compared(&pairs, 0).report()).unwrap(),
            "report",
        );
    }
}

/// A row of each kind: stable's class, the candidate's, how far apart their numbers are, whether the candidate fails.
fn a_pair() -> impl Strategy<Value = (usize, usize, f32, bool)> {
    (0..3usize, 0..3usize, -2.0..2.0f32, proptest::bool::weighted(0.1))
}

fn compared(pairs: &[(usize, usize, f32, bool)], first: u64) -> Comparison {
    let mut regression = OutputRule::inferred("regression");
    regression.absolute = Some(0.5);
    let mut rules = ["label", "probabilities", "embedding", "numeric"].map(OutputRule::inferred);
    rules[1].kind = Some(OutputKind::ClassProbabilities);
    rules[2].kind = Some(OutputKind::Embedding);
    rules[3].kind = Some(OutputKind::Numeric);
    let rules = rules.into_iter().chain([regression]).collect();
    let mut comparison = Comparison::new(rules, Change::Retrained);
    compare(&mut comparison, pairs, first);
    comparison
}

fn compare(comparison: &mut Comparison, pairs: &[(usize, usize, f32, bool)], first: u64) {
    for (number, (ours, theirs, off, fails)) in (first..).zip(pairs) {
        let answers = |class: usize, off: f32| {
            let chances = [[0.7, 0.2, 0.1], [0.15, 0.75, 0.1], [0.1, 0.25, 0.65]];
            [
                labels(&[["a", "b", "c"][class]]),
                matrix(&[chances[class]]),
                matrix(&[[1.0, off]]),
                matrix(&[[10.0, 20.0 + off]]),
                numbers(&[5.0 + off]),
            ]
        };
        let (stable, candidate) = (answers(*ours, 0.0), answers(*theirs, *off));
        let candidate = (!fails).then_some(&candidate[..]);
        let live = Some((&stable[..], Arm::Stable));
        observe(comparison, number, Some(&stable), candidate, live);
    }
}

/// Whole numbers are equal, others nearly; of samples and of examples that are equally bad only the number is.
fn assert_alike(merged: &serde_json::Value, whole: &serde_json::Value, place: &str) {
    use serde_json::Value::{Array, Number, Object};
    match (merged, whole) {
        (Number(ours), Number(theirs)) if ours.is_u64() && theirs.is_u64() => {
            assert_eq!(ours, theirs, "{place}");
        }
        (Number(ours), Number(theirs)) => {
            let (ours, theirs) = (ours.as_f64().unwrap(), theirs.as_f64().unwrap());
            let off = (ours - theirs).abs();
            assert!(off <= 1e-9 * theirs.abs().max(1.0), "{place}: {ours}, {theirs}");
        }
        (Array(ours), Array(theirs)) => {
            assert_eq!(ours.len(), theirs.len(), "{place}");
            let is_sample = place.ends_with("scatter") || place.ends_with("worst");
            for (ours, theirs) in ours.iter().zip(theirs).filter(|_| !is_sample) {
                assert_alike(ours, theirs, place);
            }
        }
        (Object(ours), Object(theirs)) => {
            assert!(ours.keys().eq(theirs.keys()), "{place}: {ours:?}, {theirs:?}");
            for (name, value) in ours {
                assert_alike(value, &theirs[name], &format!("{place}.{name}"));
            }
        }
        (ours, theirs) => assert_eq!(ours, theirs, "{place}"),
    }
}
