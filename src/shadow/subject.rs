//! What is compared: two versions of a model, and how their inputs and outputs belong together.

use std::borrow::Cow;
use std::time::Duration;

use crate::domain::analysis::{Gates, PairEvidence, restart_epoch};
use crate::domain::comparison::{Arm, Change, Comparison, OutputRule};
use crate::domain::model::ModelName;
use crate::domain::rollout::RolloutId;
use crate::domain::signature::{OutputSpec, Signature, TensorSpec};
use crate::domain::tensor::{Tensor, ValueView};

/// See the module.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The model.
    pub model: ModelName,
    /// The rollout that compares its versions.
    pub rollout: RolloutId,
    /// What to expect of the new outputs.
    pub change: Change,
    /// The limits that are judged by.
    pub gates: Gates,
    /// How outputs are compared, where that was said.
    pub rules: Vec<OutputRule>,
    /// The names of the classes, where the model has none.
    pub classes: Vec<String>,
    /// How long the rollout may last.
    pub longest: Duration,
    /// Whether it begins with recorded requests.
    pub is_rehearsed: bool,
    /// What the trusted version takes and gives.
    pub stable: Signature,
    /// What the version on trial takes and gives.
    pub candidate: Signature,
}

impl Subject {
    /// What one of the two takes and gives.
    pub fn signature(&self, arm: Arm) -> &Signature {
        match arm {
            Arm::Stable => &self.stable,
            Arm::Candidate => &self.candidate,
        }
    }

    /// How each output of the trusted version is compared, in its order.
    pub(super) fn rules(&self) -> Vec<OutputRule> {
        let names = self.stable.outputs.iter().map(OutputSpec::name);
        names
            .map(|name| {
                let said = self.rules.iter().find(|rule| rule.name == name).cloned();
                let mut rule = said.unwrap_or_else(|| OutputRule::inferred(name));
                rule.classes.clone_from(&self.classes);
                rule
            })
            .collect()
    }

    /// A comparison that has seen nothing yet.
    pub(super) fn comparison(&self) -> Comparison {
        let comparison = Comparison::new(self.rules(), self.change);
        match &self.gates.outputs {
            Some(limits) => comparison.tolerating(limits.reject),
            None => comparison,
        }
    }

    /// Evidence of which there is none yet.
    pub(super) fn evidence(&self) -> PairEvidence {
        let names = self.stable.outputs.iter().map(|output| output.name().to_owned());
        let epoch = Some(restart_epoch(self.longest));
        let evidence = PairEvidence::new(names.collect(), self.gates.clone(), epoch);
        if self.is_rehearsed { evidence.rehearsing() } else { evidence }
    }
}

/// The orders of both versions, for the requests that one of them answered.
#[derive(Debug)]
pub(super) struct Orders {
    pub(super) stable: Order,
    pub(super) candidate: Order,
}

impl Orders {
    pub(super) fn new(subject: &Subject, answering: Arm) -> Self {
        let answering = subject.signature(answering);
        let order = |version| Order::new(version, answering, &subject.stable);
        Self { stable: order(&subject.stable), candidate: order(&subject.candidate) }
    }

    pub(super) fn of(&self, arm: Arm) -> &Order {
        match arm {
            Arm::Stable => &self.stable,
            Arm::Candidate => &self.candidate,
        }
    }
}

/// How the order of one version's inputs and outputs follows from the other's.
#[derive(Debug)]
pub(super) struct Order {
    /// For each input of the version, its place in the request.
    inputs: Vec<Option<usize>>,
    /// The outputs that are asked for, by their places in the version's signature.
    wanted: Vec<usize>,
    /// For each output of the trusted version, its place among the wanted ones.
    outputs: Vec<Option<usize>>,
    /// The same among all outputs of the version, as a live answer has them.
    live: Vec<Option<usize>>,
}

impl Order {
    /// Of `version`, given requests as `answering` takes them, and outputs in the order of `stable`.
    pub(super) fn new(version: &Signature, answering: &Signature, stable: &Signature) -> Self {
        let input =
            |spec: &TensorSpec| answering.inputs.iter().position(|known| known.name == spec.name);
        let output = |spec: &OutputSpec| {
            version.outputs.iter().position(|known| known.name() == spec.name())
        };
        let live: Vec<Option<usize>> = stable.outputs.iter().map(output).collect();
        let wanted: Vec<usize> = live.iter().flatten().copied().collect();
        let place = |index: Option<usize>| wanted.iter().position(|wanted| Some(*wanted) == index);
        let outputs = live.iter().map(|index| place(*index)).collect();
        Self { inputs: version.inputs.iter().map(input).collect(), wanted, outputs, live }
    }

    /// For each output of the trusted version, whether this version has it as well.
    pub(super) fn is_there(&self) -> impl Iterator<Item = bool> {
        self.outputs.iter().map(Option::is_some)
    }

    /// Of things in the order of the trusted version's outputs, those that this version has as well.
    pub(super) fn common<T>(&self, things: Vec<T>) -> Vec<T> {
        let is_there = things.into_iter().zip(self.is_there());
        is_there.filter(|(_, there)| *there).map(|(thing, _)| thing).collect()
    }

    /// A request's inputs as the version takes them; none where one is missing.
    pub(super) fn inputs<'t>(&self, given: &'t [Tensor]) -> Option<Cow<'t, [Tensor]>> {
        let is_same = self.inputs.len() == given.len()
            && self.inputs.iter().enumerate().all(|(place, index)| *index == Some(place));
        if is_same {
            return Some(Cow::Borrowed(given));
        }
        let tensors = self.inputs.iter().map(|index| given.get((*index)?).cloned());
        Some(Cow::Owned(tensors.collect::<Option<Vec<_>>>()?))
    }

    pub(super) fn wanted(&self) -> &[usize] {
        &self.wanted
    }

    /// What a run gave, in the order of the trusted version's outputs.
    pub(super) fn of_run<'v>(&self, run: &[ValueView<'v>]) -> Vec<Option<ValueView<'v>>> {
        self.outputs.iter().map(|place| run.get((*place)?).copied()).collect()
    }

    /// What a client got, in that order.
    pub(super) fn of_live<'v>(&self, live: &[ValueView<'v>]) -> Vec<Option<ValueView<'v>>> {
        self.live.iter().map(|place| live.get((*place)?).copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::signature::{Dim, Shape};
    use crate::domain::tensor::{DType, Elements};

    fn signature(inputs: &[&str], outputs: &[&str]) -> Signature {
        let spec = |name: &&str| TensorSpec {
            name: (*name).to_owned(),
            dtype: DType::F32,
            shape: Shape(Some(vec![Dim::Any])),
        };
        Signature {
            inputs: inputs.iter().map(spec).collect(),
            outputs: outputs.iter().map(|name| OutputSpec::Tensor(spec(name))).collect(),
        }
    }

    fn tensor(number: f32) -> Tensor {
        Tensor::new(vec![1], Elements::F32(vec![number])).unwrap()
    }

    #[test]
    fn inputs_and_outputs_are_matched_by_name() {
        let stable = signature(&["a", "b"], &["x", "y", "z"]);
        let candidate = signature(&["b", "a"], &["z", "w", "x"]);
        let order = Order::new(&candidate, &stable, &stable);
        let given = [tensor(1.0), tensor(2.0)];
        assert_eq!(order.inputs(&given).unwrap()[..], [tensor(2.0), tensor(1.0)]);
        assert_eq!(order.wanted(), [2, 0], "as the trusted version has them; `w` is nobody's");
        let (x, z) = (tensor(10.0), tensor(30.0));
        let view = |tensor| ValueView::Tensor(Tensor::view(tensor));
        let matched = order.of_run(&[view(&x), view(&z)]);
        assert_eq!(matched, [Some(view(&x)), None, Some(view(&z))]);
        let all = order.of_live(&[view(&z), view(&z), view(&x)]);
        assert_eq!(all, [Some(view(&x)), None, Some(view(&z))]);
    }

    #[test]
    fn the_usual_request_is_not_copied() {
        let same = signature(&["a"], &["x"]);
        let order = Order::new(&same, &same, &same);
        assert!(matches!(order.inputs(&[tensor(1.0)]), Some(Cow::Borrowed(_))));
        let more = signature(&["a", "b"], &["x"]);
        assert_eq!(Order::new(&more, &same, &same).inputs(&[tensor(1.0)]), None);
    }
}
