//! What a pair shows, by what its outputs mean.

use super::*;

fn rule(kind: OutputKind) -> OutputRule {
    OutputRule { kind: Some(kind), ..OutputRule::inferred("y") }
}

#[test]
fn a_label_differs_in_the_share_of_its_rows() {
    let mut given = Given::outputs(&["label"], Change::Retrained);
    let observed = given.pair(&[labels(&["a", "b", "a", "c"])], &[labels(&["a", "c", "a", "c"])]);
    assert_eq!((differs(&observed), judged(&observed)), (vec![0.25], vec![true]));
    assert!(!observed.agreed);
    assert_eq!(given.report().outputs[0].kind, Some(OutputKind::ClassLabel));
}

#[test]
fn probabilities_differ_by_their_arg_max() {
    let mut given = Given::outputs(&["p"], Change::Retrained);
    let stable = matrix(&[[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.4, 0.3, 0.3], [0.0, 0.0, 1.0]]);
    let candidate = matrix(&[[0.4, 0.3, 0.3], [0.5, 0.4, 0.1], [0.3, 0.4, 0.3], [0.0, 0.0, 1.0]]);
    let observed = given.pair(&[stable], &[candidate]);
    assert_eq!((differs(&observed), judged(&observed)), (vec![0.5], vec![true]));
    assert_eq!(given.report().outputs[0].kind, Some(OutputKind::ClassProbabilities));
}

#[test]
fn a_guess_that_may_be_wrong_is_not_judged() {
    let mut given = Given::outputs(&["p"], Change::Retrained);
    let row = [matrix(&[[0.25, 0.75]])];
    let seen: Vec<_> = (0..4).map(|_| judged(&given.pair(&row, &row))[0]).collect();
    assert_eq!(seen, [false, false, false, true]);
    let mut said = Given::rules(vec![rule(OutputKind::ClassProbabilities)], Change::Retrained);
    assert_eq!(judged(&said.pair(&row, &row)), [true]);
}

#[test]
fn a_refuted_guess_is_begun_anew() {
    let mut given = Given::outputs(&["y"], Change::Equivalent);
    let row = [matrix(&[[0.25, 0.75]])];
    given.pair(&row, &row);
    let other = [matrix(&[[3.0, 4.0]])];
    assert_eq!(judged(&given.pair(&other, &other)), [true]);
    let output = &given.report().outputs[0];
    assert_eq!((output.kind, output.rows), (Some(OutputKind::Numeric), 1));
}

#[test]
fn numbers_of_an_equivalent_model_are_judged_by_the_tolerance() {
    let mut given = Given::outputs(&["y"], Change::Equivalent);
    let observed = given.pair(&[numbers(&[100.0, 100.0])], &[numbers(&[100.09, 100.11])]);
    assert_eq!((differs(&observed), judged(&observed)), (vec![0.5], vec![true]));
}

#[test]
fn a_tolerance_set_by_hand_holds_for_a_model_that_was_trained_again() {
    let mine = OutputRule { absolute: Some(2.0), relative: Some(0.0), ..OutputRule::inferred("y") };
    let mut given = Given::rules(vec![mine], Change::Retrained);
    let observed = given.pair(&[numbers(&[100.0, 100.0])], &[numbers(&[102.0, 97.5])]);
    assert_eq!((differs(&observed), judged(&observed)), (vec![0.5], vec![true]));
}

#[test]
fn numbers_of_a_retrained_model_are_judged_by_the_spread_of_stables_first_answers() {
    let mut given = Given::outputs(&["y"], Change::Retrained);
    for pair in 0..200u8 {
        let stable = f32::from(pair % 2) * 8.0; // a deviation of 4, so that 1 is allowed
        let observed = given.pair(&[numbers(&[stable])], &[numbers(&[stable + 100.0])]);
        assert_eq!(judged(&observed), [false]);
    }
    let near = given.pair(&[numbers(&[5.0])], &[numbers(&[5.9])]);
    let far = given.pair(&[numbers(&[5.0])], &[numbers(&[3.9])]);
    assert_eq!((differs(&near), judged(&near)), (vec![0.0], vec![true]));
    assert_eq!((differs(&far), judged(&far)), (vec![1.0], vec![true]));
}

#[test]
fn an_embedding_differs_by_its_angle() {
    let mut given = Given::rules(vec![rule(OutputKind::Embedding)], Change::Retrained);
    let observed =
        given.pair(&[matrix(&[[1.0, 0.0], [0.0, 2.0]])], &[matrix(&[[0.0, 1.0], [0.0, -1.0]])]);
    assert_eq!((differs(&observed), judged(&observed)), (vec![0.75], vec![true]));
    let observed = given.pair(&[matrix(&[[1.0, 1.0]])], &[matrix(&[[5.0, 5.0]])]);
    assert!(differs(&observed)[0] < 1e-12);
    assert!(observed.agreed, "the angle is the same but for rounding");
}

#[test]
fn other_numbers_are_judged_only_where_they_must_stay_the_same() {
    for (change, expected) in
        [(Change::Equivalent, true), (Change::Retrained, false), (Change::NewTask, false)]
    {
        let mut given = Given::outputs(&["y"], change);
        let observed = given.pair(&[matrix(&[[3.0, 4.0]])], &[matrix(&[[3.0, 5.0]])]);
        assert_eq!((differs(&observed), judged(&observed)), (vec![1.0], vec![expected]));
    }
}

#[test]
fn a_new_task_is_shown_and_not_judged() {
    let mut given = Given::outputs(&["label"], Change::NewTask);
    let observed = given.pair(&[labels(&["cat"])], &[labels(&["happy"])]);
    assert_eq!((differs(&observed), judged(&observed)), (vec![1.0], vec![false]));
    assert_eq!(given.report().outputs[0].transitions[0].to, "happy");
}

#[test]
fn text_of_several_elements_is_compared_as_it_is() {
    let mut given = Given::outputs(&["y"], Change::Equivalent);
    let text = |second: &str| tensor(&[1, 2], Elements::String(vec!["a".into(), second.into()]));
    let observed = given.pair(&[text("b")], &[text("c")]);
    assert_eq!((differs(&observed), judged(&observed)), (vec![1.0], vec![true]));
    assert_eq!(observed.beyond_tolerance[0].candidate, r#"["a", "c"]"#);
}

#[test]
fn nothing_is_no_evidence() {
    let mut given = Given::outputs(&["label", "y"], Change::Equivalent);
    let empty = [labels(&[]), Value::Missing];
    let observed = given.pair(&empty, &empty);
    assert_eq!((differs(&observed), judged(&observed)), (vec![0.0, 0.0], vec![false, false]));
}

#[test]
fn the_noise_is_of_the_version_that_answered() {
    let mut given = Given::outputs(&["label"], Change::Retrained);
    let (a, b) = ([labels(&["a", "a"])], [labels(&["b", "a"])]);
    let noise = |observed: Observed| observed.outputs[0].noise;
    assert_eq!(noise(given.pair(&a, &b)), None);
    assert_eq!(noise(given.live_pair(&a, &b, (&a, Arm::Stable))), Some(0.0));
    assert_eq!(noise(given.live_pair(&a, &b, (&b, Arm::Stable))), Some(0.5));
    assert_eq!(noise(given.live_pair(&a, &b, (&b, Arm::Candidate))), Some(0.0));
    assert_eq!(noise(given.live_pair(&a, &b, (&[Value::Missing], Arm::Stable))), None);
    let report = given.report().noise;
    assert_eq!((report.pairs, report.bit_identical), (3, Some(false)));
    assert_eq!(report.flip_rate, Some(0.5 / 3.0));
}

#[test]
fn a_difference_within_the_tolerance_is_no_noise_but_no_identity_either() {
    let mut given = Given::outputs(&["y"], Change::Equivalent);
    let (run, live) = ([numbers(&[2.0])], [numbers(&[2.000_5])]);
    let observed = given.live_pair(&run, &run, (&live, Arm::Stable));
    assert_eq!(observed.outputs[0].noise, Some(0.0));
    let report = given.report();
    assert_eq!((report.noise.bit_identical, report.noise.flip_rate), (Some(false), Some(0.0)));
    assert!((report.noise.max_abs_p999.unwrap() - 0.000_5).abs() < 1e-6);
    assert_eq!(report.outputs[0].ecdf.noise.len(), 1);
}
