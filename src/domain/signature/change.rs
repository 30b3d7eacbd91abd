//! How a new version's signature differs from the one that clients were written for, and whether they can go on.
//!
//! Clients know names, element types, numbers of dimensions and fixed sizes. What they send must still be taken: an
//! input may become wider and never narrower. What they get must still be what they were promised: an output may become
//! narrower and never wider. What open dimensions are called means nothing to them, and neither does the order of inputs
//! and outputs, since requests and answers have them by name; but an answer with one output has it without its name.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Dim, OutputSpec, Shape, Signature, TensorSpec};
use crate::domain::wording::printable;

/// How far the signature of a new version may differ from that of the stable one. Each rule allows what the one before
/// it allows.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum SignatureRule {
    /// Both take the same and promise the same, so that either can answer for the other.
    #[default]
    Strict,
    /// Clients of the stable version can go on; the new one may take more and have further outputs.
    Additive,
    /// As it likes.
    Any,
}

impl SignatureRule {
    /// The word in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Additive => "additive",
            Self::Any => "any",
        }
    }
}

/// One difference between two signatures, shown as a line: ``input `X`: f32[N, 4] → f32[N, 5]``.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    gravity: Gravity,
    line: String,
    allowed_by: SignatureRule,
}

impl Difference {
    /// Whether a new version that differs so is not to be released.
    pub fn breaks(&self, rule: SignatureRule) -> bool {
        self.allowed_by > rule
    }

    /// The strictest rule that allows it.
    pub fn allowed_by(&self) -> SignatureRule {
        self.allowed_by
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

/// What a difference is about, beginning with what hurts most clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Gravity {
    NewInput,
    LostInput,
    Input(Aspect),
    LostOutput,
    Output(Aspect),
    NewOutput,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Aspect {
    Type,
    Rank,
    Size,
}

/// How the signature `after` differs from `before`, the gravest first.
pub fn differences(before: &Signature, after: &Signature) -> Vec<Difference> {
    let change = Change { before, after };
    let mut found: Vec<Difference> = change.inputs().chain(change.outputs()).collect();
    found.sort_by_key(|difference| difference.gravity);
    found
}

/// Two signatures that are compared.
#[derive(Clone, Copy)]
struct Change<'s> {
    before: &'s Signature,
    after: &'s Signature,
}

impl<'s> Change<'s> {
    fn inputs(self) -> impl Iterator<Item = Difference> + 's {
        let Self { before, after } = self;
        let known = before.inputs.iter().filter_map(move |was| match after.input(&was.name) {
            Some(is) => changed_input(was, is),
            None => Some(lost(Gravity::LostInput, "input", &was.name)),
        });
        let new = after.inputs.iter().filter(|is| before.input(&is.name).is_none());
        known.chain(new.map(|is| Difference {
            gravity: Gravity::NewInput,
            line: format!("input `{}` is new and required: {}", name(&is.name), spec(is)),
            allowed_by: SignatureRule::Any,
        }))
    }

    fn outputs(self) -> impl Iterator<Item = Difference> + 's {
        let Self { before, after } = self;
        let known = before.outputs.iter().filter_map(move |was| match after.output(was.name()) {
            Some(is) => self.changed_output(was, is),
            None => Some(lost(Gravity::LostOutput, "output", was.name())),
        });
        let new = after.outputs.iter().filter(|is| before.output(is.name()).is_none());
        known.chain(new.map(move |is| self.new_output(is)))
    }

    fn changed_output(self, was: &OutputSpec, is: &OutputSpec) -> Option<Difference> {
        let (aspect, allowed_by) = match (was, is) {
            (OutputSpec::Tensor(was), OutputSpec::Tensor(is)) if was.dtype == is.dtype => {
                self.changed_promise(&was.shape, &is.shape)?
            }
            (OutputSpec::ClassScores { key: was, .. }, OutputSpec::ClassScores { key: is, .. })
                if was == is =>
            {
                return None;
            }
            (
                OutputSpec::Tensor(_) | OutputSpec::ClassScores { .. },
                OutputSpec::Tensor(_) | OutputSpec::ClassScores { .. },
            ) => (Aspect::Type, SignatureRule::Any),
        };
        let gravity = Gravity::Output(aspect);
        Some(changed(gravity, "output", was.name(), [&spec(was), &spec(is)], allowed_by))
    }

    /// What a client may still expect of an output, and what allows that to change.
    fn changed_promise(self, was: &Shape, is: &Shape) -> Option<(Aspect, SignatureRule)> {
        let (was, is) = match (was.dims(), is.dims()) {
            (None, None) => return None,
            (None, Some(_)) => return Some((Aspect::Rank, SignatureRule::Strict)),
            (Some(was), Some(is)) if was.len() == is.len() => (was, is),
            (Some(_), None | Some(_)) => return Some((Aspect::Rank, SignatureRule::Any)),
        };
        let sizes = was.iter().zip(is).filter_map(|(was, is)| match (was, is) {
            (Dim::Fixed(was), Dim::Fixed(is)) => (was != is).then_some(SignatureRule::Any),
            // It was as large as what the client sent, and is not any more.
            (Dim::Symbol(name), Dim::Fixed(_)) if self.is_of_an_input(name) => {
                Some(SignatureRule::Any)
            }
            (Dim::Symbol(_) | Dim::Any, Dim::Fixed(_)) => Some(SignatureRule::Strict),
            // For what clients send it still has the size that it had.
            (Dim::Fixed(size), Dim::Symbol(name)) if self.follows_an_input(name, *size) => {
                Some(SignatureRule::Additive)
            }
            (Dim::Fixed(_), Dim::Symbol(_) | Dim::Any) => Some(SignatureRule::Any),
            (Dim::Symbol(_) | Dim::Any, Dim::Symbol(_) | Dim::Any) => None,
        });
        sizes.max().map(|allowed_by| (Aspect::Size, allowed_by))
    }

    /// Whether a dimension of that name is one of an input as well, in the old signature.
    fn is_of_an_input(self, symbol: &str) -> bool {
        let dims = self.before.inputs.iter().filter_map(|input| input.shape.dims()).flatten();
        dims.into_iter().any(|dim| matches!(dim, Dim::Symbol(name) if name == symbol))
    }

    /// Whether a dimension of that name in the new signature is one of an input as well, which had that size before.
    fn follows_an_input(self, symbol: &str, size: usize) -> bool {
        self.before.inputs.iter().any(|was| {
            let is = self.after.input(&was.name).and_then(|is| is.shape.dims());
            let pairs = was.shape.dims().into_iter().flatten().zip(is.into_iter().flatten());
            pairs.into_iter().any(|(was, is)| {
                *was == Dim::Fixed(size) && matches!(is, Dim::Symbol(name) if name == symbol)
            })
        })
    }

    fn new_output(self, is: &OutputSpec) -> Difference {
        let (name, spec) = (name(is.name()), spec(is));
        let (note, allowed_by) = if self.before.outputs.len() < 2 {
            (" (with two outputs, answers name them)", SignatureRule::Any)
        } else if self.has_rows() && !self.is_per_row(is) {
            (" (not one value per row)", SignatureRule::Any)
        } else {
            ("", SignatureRule::Additive)
        };
        let line = format!("output `{name}` is new: {spec}{note}");
        Difference { gravity: Gravity::NewOutput, line, allowed_by }
    }

    /// Whether clients can ask for answers row by row.
    fn has_rows(self) -> bool {
        self.before.outputs.iter().all(|output| self.is_per_row(output))
    }

    /// Whether an output may have one value per row of the old inputs.
    fn is_per_row(self, output: &OutputSpec) -> bool {
        let OutputSpec::Tensor(TensorSpec { shape, .. }) = output else { return true };
        let mut inputs = self.before.inputs.iter().filter_map(|input| input.shape.dims());
        match shape.dims() {
            None | Some([Dim::Symbol(_) | Dim::Any, ..]) => true,
            Some([Dim::Fixed(size), ..]) => {
                inputs.any(|dims| dims.first() == Some(&Dim::Fixed(*size)))
            }
            Some([]) => false,
        }
    }
}

fn changed_input(was: &TensorSpec, is: &TensorSpec) -> Option<Difference> {
    let (aspect, allowed_by) = match was.dtype == is.dtype {
        true => changed_demand(&was.shape, &is.shape)?,
        false => (Aspect::Type, SignatureRule::Any),
    };
    let gravity = Gravity::Input(aspect);
    Some(changed(gravity, "input", &was.name, [&spec(was), &spec(is)], allowed_by))
}

/// What a client must keep to, and what allows that to change.
fn changed_demand(was: &Shape, is: &Shape) -> Option<(Aspect, SignatureRule)> {
    let (was, is) = match (was.dims(), is.dims()) {
        (None, None) => return None,
        (Some(_), None) => return Some((Aspect::Rank, SignatureRule::Additive)),
        (Some(was), Some(is)) if was.len() == is.len() => (was, is),
        (None | Some(_), Some(_)) => return Some((Aspect::Rank, SignatureRule::Any)),
    };
    let sizes = was.iter().zip(is).filter_map(|(was, is)| match (was, is) {
        (Dim::Fixed(was), Dim::Fixed(is)) => (was != is).then_some(SignatureRule::Any),
        (Dim::Symbol(_) | Dim::Any, Dim::Fixed(_)) => Some(SignatureRule::Any),
        (Dim::Fixed(_), Dim::Symbol(_) | Dim::Any) => Some(SignatureRule::Additive),
        (Dim::Symbol(_) | Dim::Any, Dim::Symbol(_) | Dim::Any) => None,
    });
    sizes.max().map(|allowed_by| (Aspect::Size, allowed_by))
}

fn changed(
    gravity: Gravity,
    port: &str,
    of: &str,
    [was, is]: [&str; 2],
    allowed_by: SignatureRule,
) -> Difference {
    Difference { gravity, line: format!("{port} `{}`: {was} → {is}", name(of)), allowed_by }
}

fn lost(gravity: Gravity, port: &str, of: &str) -> Difference {
    let line = format!("{port} `{}` is gone", name(of));
    Difference { gravity, line, allowed_by: SignatureRule::Any }
}

/// Names come with the model and may be of any length.
fn name(name: &str) -> String {
    printable(name, 60)
}

/// Type and shape, in which there are names, too.
fn spec(spec: &impl fmt::Display) -> String {
    printable(&spec.to_string(), 80)
}

#[cfg(test)]
mod tests;
