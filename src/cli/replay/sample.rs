//! One of the worst examples of a report, run again on both versions.

use std::error::Error;
use std::path::Path;

use serde_json::{Value, json};

use super::Flags;
use super::versions::Versions;
use crate::api::{predict_inputs, whole_by_name};
use crate::cli::client::Client;
use crate::cli::compare::Contestant;
use crate::cli::table::{named, say, with_header};
use crate::config::LimitsConfig;
use crate::domain::rollout::Revision;
use crate::domain::tensor::{ElementsView, Tensor, ValueView};
use crate::onnx::{Output, Runtime, StopFlag};
use crate::serving::Naming;

/// Asks a server for the example, runs it on both versions, and shows inputs, answers and how they differ.
pub(super) fn run_again(id: &str, state: &Path, flags: &Flags) -> Result<(), Box<dyn Error>> {
    let client = Client::find(&flags.server.with_state(state))?;
    let sample = client.get(&format!("/shadow/samples/{id}"))?;
    let rollout = sample["rollout"].as_str().unwrap_or_default();
    let answer = client.get(&format!("/shadow/report?rollout={rollout}"))?;
    let report = &answer["reports"][0];
    let model = sample["model"].as_str().unwrap_or_default().parse()?;
    let pair = [revision(&report["stable"])?, revision(&report["candidate"])?];
    let versions = Versions::known(state, model, pair);
    let runtime = Runtime::load(flags.manner.onnxruntime.as_deref())?;
    let stable = Answer::of(versions.load(&runtime, &versions.stable)?, &sample)?;
    let candidate = Answer::of(versions.load(&runtime, &versions.candidate)?, &sample)?;
    let differences = differences(&stable, &candidate);
    match flags.manner.json {
        true => {
            let shown = json!({
                "id": id, "model": sample["model"], "rollout": rollout, "inputs": sample["inputs"],
                "stable": stable.json()?, "candidate": candidate.json()?, "differences": differences,
            });
            say(&format!("{shown:#}"));
        }
        false => {
            let inputs = sample["inputs"].as_object().into_iter().flatten();
            let inputs = inputs.map(|(name, value)| [name.clone(), value.to_string()]);
            say(&with_header(["INPUT", "VALUE"], inputs));
            for answer in [&stable, &candidate] {
                let outputs = answer.json()?;
                let outputs = outputs["outputs"].as_object().cloned().unwrap_or_default();
                let outputs = outputs.into_iter().map(|(name, value)| [name, value.to_string()]);
                say(&format!(
                    "\n{}\n{}",
                    answer.of.title,
                    with_header(["OUTPUT", "VALUE"], outputs)
                ));
            }
            let told = differences.iter().map(|told| {
                ["output", "elements", "differing", "largest"].map(|name| match &told[name] {
                    Value::String(text) => text.clone(),
                    Value::Null => "-".to_owned(),
                    other => other.to_string(),
                })
            });
            say(&format!(
                "\n{}",
                with_header(["OUTPUT", "ELEMENTS", "DIFFER", "BY AT MOST"], told)
            ));
            say(&format!(
                "\n{}",
                named([("example", id.to_owned()), ("rollout", rollout.to_owned())])
            ));
        }
    }
    Ok(())
}

/// What a report says of a version.
fn revision(told: &Value) -> Result<Revision, Box<dyn Error>> {
    let word = |name: &str| told[name].as_str().unwrap_or_default();
    Ok(Revision { label: word("version").parse()?, digest: word("digest").parse()? })
}

/// What one version says to the example.
struct Answer {
    of: Contestant,
    outputs: Vec<Output>,
}

impl Answer {
    fn of(of: Contestant, sample: &Value) -> Result<Self, Box<dyn Error>> {
        let redacted = sample["inputs"].as_object().into_iter().flatten();
        let mut redacted = redacted.filter(|(_, value)| value.is_null());
        if let Some((name, _)) = redacted.next() {
            let sentence = format!(
                "the server does not tell input `{name}` (`redact`), so that the example cannot be run again"
            );
            return Err(sentence.into());
        }
        let body = json!({ "inputs": sample["inputs"] }).to_string();
        let (signature, limits) = (of.session.signature(), LimitsConfig::default());
        let inputs = predict_inputs(body.as_bytes(), signature, &Naming::default(), &limits);
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", of.title);
        let inputs: Vec<Tensor> = inputs.map_err(|error| failed(&error))?;
        let all: Vec<usize> = (0..signature.outputs.len()).collect();
        let stop = StopFlag::new()?;
        let outputs = of.session.run(&inputs, &all, &stop).map_err(|error| failed(&error))?;
        Ok(Self { of, outputs })
    }

    fn named(&self) -> Vec<(&str, ValueView<'_>)> {
        let names = self.of.session.signature().outputs.iter().map(|output| output.name());
        names.zip(self.outputs.iter().map(Output::view)).collect()
    }

    fn json(&self) -> Result<Value, serde_json::Error> {
        let outputs: Value = serde_json::from_slice(&whole_by_name(self.named()))?;
        let (label, digest) = (self.of.label.as_str(), self.of.digest.to_string());
        Ok(json!({ "version": label, "digest": digest, "outputs": outputs }))
    }
}

/// Of each output that both have, how many elements differ and by how much.
fn differences(stable: &Answer, candidate: &Answer) -> Vec<Value> {
    let others = candidate.named();
    let of_both = stable.named().into_iter().filter_map(|(name, value)| {
        let (_, other) = others.iter().find(|(known, _)| *known == name)?;
        Some(difference(name, &value, other))
    });
    of_both.collect()
}

fn difference(name: &str, a: &ValueView<'_>, b: &ValueView<'_>) -> Value {
    let elements = a.len();
    if elements != b.len() {
        return json!({ "output": name, "elements": elements, "differing": elements, "largest": null });
    }
    let (differing, largest) = match (texts(a), texts(b)) {
        (Some(a), Some(b)) => (a.iter().zip(b).filter(|(a, b)| a != b).count(), None),
        _ => {
            let pairs = numbers(a).into_iter().zip(numbers(b));
            let differ: Vec<f64> = pairs
                .filter(|(a, b)| a != b && !(a.is_nan() && b.is_nan()))
                .map(|(a, b)| (a - b).abs())
                .collect();
            (differ.len(), differ.iter().copied().reduce(f64::max))
        }
    };
    json!({ "output": name, "elements": elements, "differing": differing, "largest": largest })
}

fn texts<'v>(value: &ValueView<'v>) -> Option<&'v [String]> {
    match value {
        ValueView::Tensor(tensor) => match tensor.elements {
            ElementsView::String(texts) => Some(texts),
            _ => None,
        },
        ValueView::ClassScores(_) => None,
    }
}

fn numbers(value: &ValueView<'_>) -> Vec<f64> {
    match value {
        ValueView::Tensor(tensor) => as_numbers(tensor.elements),
        ValueView::ClassScores(scores) => scores.scores.iter().copied().map(f64::from).collect(),
    }
}

fn as_numbers(elements: ElementsView<'_>) -> Vec<f64> {
    macro_rules! real {
        ($values:expr) => {
            $values.iter().copied().map(f64::from).collect()
        };
    }
    match elements {
        ElementsView::Bool(values) => {
            values.iter().map(|value| f64::from(u8::from(*value))).collect()
        }
        ElementsView::U8(values) => real!(values),
        ElementsView::U16(values) => real!(values),
        ElementsView::U32(values) => real!(values),
        ElementsView::U64(values) => values.iter().map(|value| *value as f64).collect(),
        ElementsView::I8(values) => real!(values),
        ElementsView::I16(values) => real!(values),
        ElementsView::I32(values) => real!(values),
        ElementsView::I64(values) => values.iter().map(|value| *value as f64).collect(),
        ElementsView::F16(values) => real!(values),
        ElementsView::BF16(values) => real!(values),
        ElementsView::F32(values) => real!(values),
        ElementsView::F64(values) => values.to_vec(),
        ElementsView::String(texts) => vec![f64::NAN; texts.len()],
    }
}
