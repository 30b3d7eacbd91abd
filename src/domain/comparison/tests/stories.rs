//! Candidates that are wrong in different ways can be told apart.

use super::*;

/// The answers of a classifier with a label and probabilities.
fn iris(class: usize) -> [Value; 2] {
    let names = ["setosa", "versicolor", "virginica"];
    let mut chances = [0.05; 3];
    chances[class] = 0.9;
    [labels(&[names[class]]), matrix(&[chances])]
}

#[test]
fn swapped_classes_are_seen_where_they_are() {
    let mut given = Given::outputs(&["label", "probabilities"], Change::Retrained);
    for pair in 0..300 {
        let swapped = [0, 2, 1][pair % 3];
        given.pair(&iris(pair % 3), &iris(swapped));
    }
    assert_eq!(given.slice("output:label=setosa"), (100, 0.0, false));
    assert_eq!(given.slice("output:label=versicolor"), (100, 1.0, true));
    assert_eq!(given.slice("output:label=virginica"), (100, 1.0, true));
    let report = given.report();
    let cells: Vec<_> =
        report.outputs[0].transitions.iter().map(|c| (&*c.from, &*c.to, c.k)).collect();
    assert_eq!(
        cells,
        [
            ("versicolor", "virginica", 100),
            ("virginica", "versicolor", 100),
            ("setosa", "setosa", 100)
        ]
    );
    let probabilities = &report.outputs[1].metrics;
    assert_eq!(probabilities.flips.unwrap().k, 200);
    assert_eq!(probabilities.confident_flips.unwrap().k, 200);
    assert!(report.contract.is_empty());
    let flips = report.worst.iter().filter(|example| example.metric == Metric::Flip);
    assert_eq!(flips.count(), 50, "25 of each output");
}

#[test]
fn nan_on_some_inputs_breaks_the_contract() {
    let mut given = Given::outputs(&["y"], Change::Retrained);
    for pair in 1..=20u8 {
        let answer = if pair % 10 == 0 { f32::NAN } else { f32::from(pair) };
        let observed = given.pair(&[numbers(&[f32::from(pair)])], &[numbers(&[answer])]);
        assert_eq!(observed.contract.len(), usize::from(pair % 10 == 0));
    }
    let report = given.report();
    let [broken] = &report.contract[..] else { panic!("{:?}", report.contract) };
    assert_eq!((broken.kind, &*broken.output, broken.pairs), (ContractKind::Nan, "y", 2));
    assert_eq!(broken.first, "2026-09-21T14:13:20.010Z");
    let nan = report.outputs[0].metrics.nan.unwrap();
    assert_eq!((nan.stable, nan.candidate), (0, 2));
    let example = report.worst.iter().find(|example| example.metric == Metric::Nan).unwrap();
    assert_eq!((&*example.stable, &*example.candidate), ("10", "NaN"));
}

#[test]
fn numbers_that_are_off_in_one_slice_are_seen_there() {
    let mut given = Given::outputs(&["segment", "price"], Change::Equivalent);
    for pair in 0..400u16 {
        let segment = if pair % 20 == 7 { "new" } else { "known" };
        let price = 100.0 + f32::from(pair);
        let other = if segment == "new" { price * 1.01 } else { price };
        let answers = |price| [labels(&[segment]), numbers(&[price])];
        let observed = given.pair(&answers(price), &answers(other));
        assert_eq!(observed.agreed, segment == "known");
    }
    assert_eq!(given.slice("output:segment=known"), (380, 0.0, false));
    assert_eq!(given.slice("output:segment=new"), (20, 1.0, true));
    assert_eq!(given.report().outputs[0].metrics.flips.unwrap().k, 0);
    let bias = given.report().outputs[1].metrics.bias.unwrap();
    assert!((bias - 0.01 * 297.0 / 20.0).abs() < 1e-3, "{bias}");
}

#[test]
fn what_is_fine_overall_and_broken_for_one_class_is_seen() {
    let mut given = Given::outputs(&["digit"], Change::Retrained);
    let digit = |digit: i64| [tensor(&[1], Elements::I64(vec![digit]))];
    for pair in 0..1000 {
        let stable = if pair % 50 == 0 { 7 } else { pair % 7 };
        let candidate = if stable == 7 { 1 } else { stable };
        given.pair(&digit(stable), &digit(candidate));
    }
    assert_eq!(given.slice("rows:1"), (1000, 0.02, false));
    assert_eq!(given.slice("output:digit=7"), (20, 1.0, true));
    assert_eq!(given.report().slices[0].key, "output:digit=7", "the worst comes first");
}

#[test]
fn what_is_tolerated_decides_what_is_flagged() {
    let seen = |tolerated: Option<f64>| {
        let mut given = Given::outputs(&["label"], Change::Retrained);
        if let Some(share) = tolerated {
            given.comparison = given.comparison.tolerating(share);
        }
        (0..200).for_each(|pair| {
            given.pair(&iris(0)[..1], &iris(usize::from(pair % 4 == 0))[..1]);
        });
        given.slice("output:label=setosa")
    };
    assert_eq!(seen(None), (200, 0.25, true));
    assert_eq!(seen(Some(0.3)), (200, 0.25, false));
}

#[test]
fn failed_runs_are_counted_and_not_compared() {
    let mut given = Given::outputs(&["label"], Change::Retrained);
    let answer = [labels(&["a"])];
    for (stable, candidate) in
        [(Some(&answer[..]), None), (None, Some(&answer[..])), (None, None), (None, None)]
    {
        let observed = given.pair_of(stable, candidate, Some((&answer, Arm::Stable)));
        assert_eq!(observed, Observed::default());
    }
    let report = given.report();
    let expected = ErrorCounts { candidate_only: 1, stable_only: 1, both: 2, timeouts: 0 };
    assert_eq!(report.errors, expected);
    assert_eq!((report.outputs[0].rows, report.latency, report.noise.pairs), (0, None, 0));
}

#[test]
fn another_form_is_a_violation_and_differs_in_every_slice() {
    let mut given = Given::outputs(&["label", "y"], Change::Retrained);
    let stable = [labels(&["a"]), numbers(&[1.0])];
    for other in [
        [labels(&["a"]), Value::Missing],
        [labels(&["a"]), matrix(&[[1.0]])],
        [labels(&["a"]), tensor(&[1], Elements::F64(vec![1.0]))],
        [labels(&["a"]), numbers(&[1.0, 1.0])],
    ] {
        let observed = given.pair(&stable, &other);
        assert_eq!((observed.agreed, &differs(&observed)[..]), (false, &[0.0, 1.0][..]));
        assert_eq!(observed.contract.len(), 1);
    }
    let kinds: Vec<_> = given.report().contract.iter().map(|broken| broken.kind).collect();
    assert_eq!(kinds, [ContractKind::Missing, ContractKind::Shape, ContractKind::Dtype]);
    assert_eq!(given.slice("output:label=a"), (4, 1.0, true));
    let shown = given.pair(&stable, &[labels(&["a"])]).contract[0].to_string();
    assert_eq!(shown, "output `y`: stable f32[1], candidate nothing");
}

#[test]
fn outputs_with_other_rows_are_not_laid_beside_each_other() {
    let mut given = Given::outputs(&["label", "boxes"], Change::Retrained);
    given.pair(
        &[labels(&["a"]), labels(&["near", "far"])],
        &[labels(&["a"]), labels(&["far", "far"])],
    );
    assert_eq!(given.slice("output:label=a"), (1, 0.0, false));
    assert_eq!(given.slice("output:boxes=near"), (1, 1.0, false));
    assert_eq!(given.slice("output:boxes=far"), (1, 0.0, false));
    assert_eq!(given.slice("rows:2-8"), (1, 0.5, false));
}

#[test]
fn classes_have_the_names_that_the_model_or_its_settings_give() {
    let classes = ["setosa", "versicolor"].map(str::to_owned).to_vec();
    let named = |name: &str| OutputRule { classes: classes.clone(), ..OutputRule::inferred(name) };
    let mut given = Given::rules(vec![named("label"), named("scores")], Change::Retrained);
    let scores = |classes: [&str; 2], scores: [f32; 2]| {
        let classes = classes.map(str::to_owned).to_vec();
        Value::Scores(ClassScores { classes, scores: scores.to_vec(), rows: 1 })
    };
    let label = |label| tensor(&[1], Elements::I32(vec![label]));
    let observed = given.pair(
        &[label(1), scores(["0", "1"], [0.09, 0.91])],
        &[label(0), scores(["1", "0"], [0.12, 0.88])],
    );
    let told: Vec<_> =
        observed.beyond_tolerance.iter().map(|d| (&*d.stable, &*d.candidate)).collect();
    assert_eq!(
        told,
        [("versicolor", "setosa"), ("versicolor (0.91)", "setosa (0.88)")],
        "whatever the order of the columns"
    );
}

#[test]
fn only_examples_that_are_kept_are_told_and_their_inputs_noted() {
    let mut given = Given::outputs(&["y"], Change::Equivalent);
    let mut told = 0;
    for pair in 0..200u16 {
        let off = f32::from(pair % 100);
        let observed = given.pair(&[numbers(&[1000.0])], &[numbers(&[1010.0 + off])]);
        told += observed.beyond_tolerance.len();
        observed.beyond_tolerance.iter().for_each(|_| given.comparison.inputs_kept(given.pairs));
    }
    assert!(told < 200, "{told}");
    let report = given.report();
    assert_eq!(report.worst.len(), 50);
    assert!(report.worst.iter().all(|example| example.has_inputs && example.score >= 84.0));
    let kept: Vec<u64> = given.comparison.worst_requests().collect();
    assert_eq!(kept.len(), 50);
    assert_eq!(report.worst[0].id, format!("s-{:06}", kept[0]));
}
