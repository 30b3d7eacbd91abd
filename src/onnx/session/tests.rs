//! What goes in comes out, from any number of threads, and nothing that does not fit is a crash.

use std::time::{Duration, Instant};

use super::super::testing::{file, runtime, session};
use super::*;
use crate::domain::signature::{ClassKey, Dim, OutputSpec, Shape};
use crate::domain::tensor::{DType, Elements, ValueView};

fn tensor(shape: &[usize], elements: Elements) -> Tensor {
    Tensor::new(shape.to_vec(), elements).unwrap()
}

fn run(session: &Session, inputs: &[Tensor], wanted: &[usize]) -> Result<Vec<Output>, RunError> {
    session.run(inputs, wanted, &StopFlag::new().unwrap())
}

#[test]
fn the_signature_is_what_the_model_declares() {
    let session = session("models/iris/1.onnx");
    let signature = session.signature();
    assert_eq!(signature.inputs[0].name, "X");
    assert_eq!(signature.inputs[0].to_string(), "f32[N, 4]");
    let [OutputSpec::Tensor(label), OutputSpec::ClassScores { name, key }] = &signature.outputs[..]
    else {
        panic!("{:?}", signature.outputs);
    };
    assert_eq!((label.name.as_str(), label.dtype), ("label", DType::String));
    assert_eq!((name.as_str(), *key), ("probabilities", ClassKey::String));
}

#[test]
fn only_the_outputs_that_are_asked_for_are_given_in_that_order() {
    let session = session("tests/models/nan.onnx");
    let input = [tensor(&[2], Elements::F32(vec![2.0, 4.0]))];
    let outputs = run(&session, &input, &[1]).unwrap();
    let expected = tensor(&[2], Elements::F32(vec![0.5, 0.25]));
    assert_eq!(outputs.len(), 1);
    assert_eq!(outputs[0].view(), ValueView::Tensor(expected.view()));
    assert_eq!(run(&session, &input, &[1, 0]).unwrap().len(), 2);
}

#[test]
fn every_element_type_goes_in_and_comes_out_unchanged() {
    let session = session("tests/models/types.onnx");
    let inputs = [
        tensor(&[2], Elements::Bool(vec![true, false])),
        tensor(&[2], Elements::I32(vec![i32::MIN, i32::MAX])),
        tensor(&[2], Elements::I64(vec![i64::MIN, i64::MAX])),
        tensor(&[2], Elements::F32(vec![f32::MIN_POSITIVE, -0.0])),
        tensor(&[2], Elements::F64(vec![f64::MAX, f64::EPSILON])),
        tensor(&[2], Elements::String(vec![String::new(), "grün\0".to_owned()])),
    ];
    let outputs = run(&session, &inputs, &[0, 1, 2, 3, 4, 5]).unwrap();
    for (input, output) in inputs.iter().zip(&outputs) {
        assert_eq!(output.view(), ValueView::Tensor(input.view()));
    }
}

#[test]
fn what_does_not_fit_the_signature_is_an_error_and_not_a_crash() {
    let session = session("tests/models/adder.onnx");
    let rows = tensor(&[1, 2], Elements::F32(vec![0.0; 2]));
    assert!(run(&session, &[], &[0]).is_err());
    assert!(run(&session, &[rows.clone(), rows.clone()], &[0]).is_err());
    assert!(run(&session, &[tensor(&[1, 3], Elements::F32(vec![0.0; 3]))], &[0]).is_err());
    assert!(run(&session, &[tensor(&[1, 2], Elements::I64(vec![0; 2]))], &[0]).is_err());
    assert!(run(&session, &[rows], &[1]).is_err());
}

#[test]
fn a_run_that_is_told_to_stop_stops_and_the_next_one_runs() {
    let session = session("tests/models/slow.onnx");
    let inputs = |loops| {
        [tensor(&[1, 2], Elements::F32(vec![0.0; 2])), tensor(&[], Elements::I64(vec![loops]))]
    };
    let stop = StopFlag::new().unwrap();
    std::thread::scope(|scope| {
        let (stop, started) = (&stop, Instant::now());
        let run = scope.spawn(|| session.run(&inputs(60_000), &[0], stop).map(drop));
        stop.raise();
        assert_eq!(run.join().unwrap(), Err(RunError::Stopped));
        assert!(started.elapsed() < Duration::from_secs(30), "the run went on to its end");
    });
    assert_eq!(session.run(&inputs(1), &[0], &stop).map(drop), Err(RunError::Stopped));
    stop.lower();
    assert!(session.run(&inputs(1), &[0], &stop).is_ok());
}

#[test]
fn one_session_runs_on_many_threads_at_once() {
    let session = session("models/digits/1.onnx");
    let input = |seed: usize| {
        let pixels = (0..64).map(|pixel| ((pixel * seed) % 17) as f32).collect();
        [tensor(&[1, 64], Elements::F32(pixels))]
    };
    let alone: Vec<Vec<Output>> =
        (0..8).map(|seed| run(&session, &input(seed), &[1]).unwrap()).collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 0..400 {
                    let together = run(&session, &input(round % 8), &[1]).unwrap();
                    assert_eq!(together[0].view(), alone[round % 8][0].view());
                }
            });
        }
    });
}

#[test]
fn a_file_that_is_no_model_is_rejected() {
    for name in
        ["tests/models/text.onnx", "tests/models/truncated.onnx", "tests/models/missing.onnx"]
    {
        let error = Session::load(runtime(), &file(name), SessionOptions::default()).unwrap_err();
        assert!(matches!(error, LoadError::Rejected { .. }), "{name}: {error}");
    }
}

#[test]
fn a_model_is_run_in_the_shapes_that_it_is_presented_in() {
    let session = session("tests/models/nan.onnx");
    let mut presented = Presented::as_it_is(session.signature().clone());
    let columns = Shape(Some(vec![Dim::Symbol("N".into()), Dim::Fixed(1)]));
    presented.signature.inputs[0].shape = columns;
    let reshape = Reshape::new(vec![None, Some(1)], vec![None]);
    assert!(reshape.is_some());
    presented.inputs[0] = reshape.clone();
    presented.outputs[1] = reshape;
    let session = session.presented_as(presented);
    assert_eq!(session.signature().inputs[0].to_string(), "f32[N, 1]");

    let input = [tensor(&[2, 1], Elements::F32(vec![2.0, 4.0]))];
    let outputs = run(&session, &input, &[1, 0]).unwrap();
    let expected = tensor(&[2, 1], Elements::F32(vec![0.5, 0.25]));
    assert_eq!(outputs[0].view(), ValueView::Tensor(expected.view()));
    let ValueView::Tensor(other) = outputs[1].view() else { panic!("{outputs:?}") };
    assert_eq!(other.shape, [2], "only the other one has another shape");
    assert!(run(&session, &[tensor(&[2], Elements::F32(vec![2.0, 4.0]))], &[0]).is_err());
}
