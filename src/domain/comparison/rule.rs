//! How outputs are compared: what a release says of itself, what an output means, and what counts as equal.

use serde::{Deserialize, Serialize};

use super::super::tensor::DType;

/// What to expect of the outputs of a new version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// The same model made anew: exported, quantised, another opset.
    Equivalent,
    /// Trained again for the same task.
    Retrained,
    /// Another task: outputs are shown, not judged.
    NewTask,
}

impl Change {
    /// Whether differences count for or against a candidate.
    pub(super) fn is_judged(self) -> bool {
        match self {
            Self::Equivalent | Self::Retrained => true,
            Self::NewTask => false,
        }
    }

    /// The share of pairs that may differ; of a new task it is nothing but a mark to look at.
    pub(super) fn tolerated(self) -> f64 {
        match self {
            Self::Equivalent => 0.005,
            Self::Retrained | Self::NewTask => 0.10,
        }
    }
}

/// What an output means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputKind {
    /// The class that was chosen.
    ClassLabel,
    /// A probability for each class.
    ClassProbabilities,
    /// Numbers that are answers in themselves.
    Regression,
    /// A vector whose direction counts.
    Embedding,
    /// Any other numbers.
    Numeric,
}

impl OutputKind {
    /// Whether a difference says anything about a candidate, given what is to be expected of it. The numbers of a
    /// model that was trained again differ, and nothing tells how much is too much where their meaning is not known.
    pub(super) fn is_telling(self, change: Change) -> bool {
        match self {
            Self::ClassLabel | Self::ClassProbabilities | Self::Regression | Self::Embedding => {
                true
            }
            Self::Numeric => match change {
                Change::Equivalent => true,
                Change::Retrained | Change::NewTask => false,
            },
        }
    }
}

/// How one output is compared. What is not said is inferred.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct OutputRule {
    /// The output's name.
    pub name: String,
    /// What it means; `None` where that is to be inferred from type, shape and stable's first answers. A meaning that
    /// its tensors cannot have (a class label of several numbers) makes it [`OutputKind::Numeric`].
    pub kind: Option<OutputKind>,
    /// The absolute difference that counts as equal; `None` for what suits the type.
    pub absolute: Option<f64>,
    /// The same relative to stable's answer; `None` for what suits the type.
    pub relative: Option<f64>,
    /// The names of classes that the model itself knows by number only; may be empty.
    pub classes: Vec<String>,
}

impl OutputRule {
    /// The rule for an output of which nothing was said.
    pub fn inferred(name: impl Into<String>) -> Self {
        let (kind, absolute, relative, classes) = (None, None, None, Vec::new());
        Self { name: name.into(), kind, absolute, relative, classes }
    }

    /// Whether numbers were set by hand.
    pub(super) fn has_tolerance(&self) -> bool {
        self.absolute.is_some() || self.relative.is_some()
    }

    /// What counts as equal for this type. Single precision sets the defaults for double precision too: a model that
    /// was exported anew keeps the precision that it was trained with.
    pub(super) fn tolerance(&self, dtype: DType) -> Tolerance {
        let (absolute, relative) = match dtype {
            DType::F32 | DType::F64 => (1e-5, 1e-3),
            // About five units in the last of their few places.
            DType::F16 => (1e-3, 5e-3),
            DType::BF16 => (1e-2, 4e-2),
            DType::Bool
            | DType::U8
            | DType::U16
            | DType::U32
            | DType::U64
            | DType::I8
            | DType::I16
            | DType::I32
            | DType::I64
            | DType::String => (0.0, 0.0),
        };
        Tolerance {
            absolute: self.absolute.unwrap_or(absolute),
            relative: self.relative.unwrap_or(relative),
        }
    }
}

/// What counts as equal: `|a − b| ≤ absolute + relative · |b|`, where b is stable's number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tolerance {
    pub(super) absolute: f64,
    pub(super) relative: f64,
}

impl Tolerance {
    /// How far from `stable` a number may be.
    pub(super) fn around(self, stable: f64) -> f64 {
        self.absolute + self.relative * stable.abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_equal_depends_on_the_type_until_somebody_says() {
        let mut rule = OutputRule::inferred("y");
        assert_eq!(rule.tolerance(DType::F32), Tolerance { absolute: 1e-5, relative: 1e-3 });
        assert_eq!(rule.tolerance(DType::I64), Tolerance { absolute: 0.0, relative: 0.0 });
        rule.absolute = Some(0.5);
        assert_eq!(rule.tolerance(DType::F32), Tolerance { absolute: 0.5, relative: 1e-3 });
        assert_eq!(rule.tolerance(DType::F32).around(-1000.0), 1.5);
    }

    #[test]
    fn kinds_and_changes_are_written_as_in_the_settings() {
        let written = serde_json::to_string(&(Change::NewTask, OutputKind::ClassProbabilities));
        assert_eq!(written.unwrap(), r#"["new-task","class-probabilities"]"#);
    }
}
