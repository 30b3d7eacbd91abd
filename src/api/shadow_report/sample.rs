//! One example as JSON, in the form of a request that can be sent again.

use serde_json::{Map, Number, Value, json};

use super::super::problem::Problem;
use crate::api::ApiParts;
use crate::domain::signature::OutputSpec;
use crate::domain::tensor::{ElementsView, TensorView, ValueView};
use crate::domain::wording::printable;
use crate::shadow::{Study, read_sample_name};

/// `GET /shadow/samples/{id}`
pub(super) fn answer(api: &ApiParts, id: &str) -> Result<Value, Problem> {
    let not_found = || {
        let sentence = format!(
            "there is no example `{}`: inputs are kept in memory, for the worst examples of each model's last rollout",
            printable(id, 60)
        );
        Problem::not_found("no_such_sample", sentence)
    };
    let (rollout, number) = read_sample_name(id).ok_or_else(not_found)?;
    let study = api.shadow.with_samples(rollout).ok_or_else(not_found)?;
    let sample = study.sample(number).ok_or_else(not_found)?;
    let subject = study.subject();
    let answering = subject.signature(sample.answered);
    let inputs: Map<String, Value> = answering
        .inputs
        .iter()
        .zip(sample.inputs.iter())
        .map(|(spec, tensor)| {
            let is_redacted = api.redacted.contains(&spec.name);
            let value = if is_redacted { Value::Null } else { tensor_json(&tensor.view()) };
            (spec.name.clone(), value)
        })
        .collect();
    Ok(json!({
        "id": id,
        "model": subject.model.as_str(),
        "rollout": rollout.to_string(),
        "request_number": number,
        "at": sample.at.to_string(),
        // The whole answer can be sent to `:predict`, which looks at nothing else.
        "inputs": inputs,
        "stable": outputs(&study, &sample.stable()),
        "candidate": outputs(&study, &sample.candidate()),
    }))
}

fn outputs(study: &Study, values: &[ValueView<'_>]) -> Map<String, Value> {
    let names = study.compared_outputs().map(OutputSpec::name);
    names.map(str::to_owned).zip(values.iter().map(value_json)).collect()
}

fn value_json(value: &ValueView<'_>) -> Value {
    match value {
        ValueView::Tensor(tensor) => tensor_json(tensor),
        ValueView::ClassScores(scores) => {
            let columns = scores.classes.len();
            let row = |row: usize| -> Map<String, Value> {
                let of_row = scores.scores[row * columns..].iter().map(|score| single(*score));
                scores.classes.iter().cloned().zip(of_row).collect()
            };
            (0..scores.rows).map(row).map(Value::Object).collect()
        }
    }
}

fn tensor_json(tensor: &TensorView<'_>) -> Value {
    nested(tensor.shape, &mut elements(tensor.elements))
}

fn nested(shape: &[usize], elements: &mut dyn Iterator<Item = Value>) -> Value {
    match shape.split_first() {
        None => elements.next().unwrap_or(Value::Null),
        Some((size, inner)) => (0..*size).map(|_| nested(inner, elements)).collect(),
    }
}

fn elements(elements: ElementsView<'_>) -> Box<dyn Iterator<Item = Value> + '_> {
    match elements {
        ElementsView::Bool(values) => Box::new(values.iter().map(|value| (*value).into())),
        ElementsView::U8(values) => Box::new(values.iter().map(|value| (*value).into())),
        ElementsView::U16(values) => Box::new(values.iter().map(|value| (*value).into())),
        ElementsView::U32(values) => Box::new(values.iter().map(|value| (*value).into())),
        ElementsView::U64(values) => Box::new(values.iter().map(|value| (*value).into())),
        ElementsView::I8(values) => Box::new(values.iter().map(|value| (*value).into())),
        ElementsView::I16(values) => Box::new(values.iter().map(|value| (*value).into())),
        ElementsView::I32(values) => Box::new(values.iter().map(|value| (*value).into())),
        ElementsView::I64(values) => Box::new(values.iter().map(|value| (*value).into())),
        ElementsView::F16(values) => Box::new(values.iter().map(|value| single(f32::from(*value)))),
        ElementsView::BF16(values) => {
            Box::new(values.iter().map(|value| single(f32::from(*value))))
        }
        ElementsView::F32(values) => Box::new(values.iter().map(|value| single(*value))),
        ElementsView::F64(values) => Box::new(values.iter().map(|value| double(*value))),
        ElementsView::String(values) => Box::new(values.iter().map(|value| json!(value))),
    }
}

/// The shortest number that is read as the same f32.
fn single(value: f32) -> Value {
    value.to_string().parse().map_or_else(|_| double(value.into()), double)
}

/// What JSON has no number for is written as a word, which requests may use too.
fn double(value: f64) -> Value {
    match Number::from_f64(value) {
        Some(number) => Value::Number(number),
        None if value.is_nan() => "NaN".into(),
        None if value > 0.0 => "Infinity".into(),
        None => "-Infinity".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::tensor::{ClassScores, Elements, Tensor};

    fn shown(shape: &[usize], elements: Elements) -> Value {
        tensor_json(&Tensor::new(shape.to_vec(), elements).unwrap().view())
    }

    #[test]
    fn tensors_are_written_as_requests_have_them() {
        assert_eq!(
            shown(&[2, 2], Elements::F32(vec![0.1, 1.0, -2.5, 3e7])),
            json!([[0.1, 1.0], [-2.5, 3e7]])
        );
        assert_eq!(shown(&[], Elements::I64(vec![7])), json!(7));
        assert_eq!(shown(&[0, 3], Elements::F64(vec![])), json!([]));
        let odd = Elements::F32(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY]);
        assert_eq!(shown(&[3], odd), json!(["NaN", "Infinity", "-Infinity"]));
    }

    #[test]
    fn scores_are_written_by_class() {
        let classes = vec!["no".to_owned(), "yes".to_owned()];
        let scores = ClassScores { classes, scores: vec![0.25, 0.75, 1.0, 0.0], rows: 2 };
        let expected = json!([{ "no": 0.25, "yes": 0.75 }, { "no": 1.0, "yes": 0.0 }]);
        assert_eq!(value_json(&ValueView::ClassScores(scores.view())), expected);
    }
}
