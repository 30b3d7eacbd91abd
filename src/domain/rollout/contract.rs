//! What a candidate is held to: the signature that clients of the stable version were written for.

use std::fmt;

use super::record::{Phase, Revision, Rollout};
use super::release::Release;
use crate::domain::model::{Digest, VersionLabel};
use crate::domain::signature::{Difference, Signature, SignatureRule, differences};

/// The version whose place is to be taken, and how far the one that takes it may differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contract {
    /// The version that clients know.
    pub stable: Revision,
    /// How far the new version's signature may differ.
    pub rule: SignatureRule,
}

/// A signature that clients of the stable version cannot go on with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its signature does not fit version {stable}: {}", Shown(.breaks))]
pub struct Unfit {
    stable: VersionLabel,
    /// The gravest first.
    breaks: Vec<Difference>,
}

impl Contract {
    /// Compares the signatures of the two versions.
    ///
    /// # Errors
    /// [`Unfit`] with all differences that the rule does not allow.
    pub fn check(&self, stable: &Signature, candidate: &Signature) -> Result<(), Unfit> {
        let mut breaks = differences(stable, candidate);
        breaks.retain(|difference| difference.breaks(self.rule));
        match breaks[..] {
            [] => Ok(()),
            [..] => Err(Unfit { stable: self.stable.label.clone(), breaks }),
        }
    }
}

/// The gravest differences, and which setting allows all of them.
struct Shown<'b>(&'b [Difference]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 5;
        for (index, difference) in self.0.iter().take(MOST).enumerate() {
            let before = if index > 0 { "; " } else { "" };
            write!(f, "{before}{difference}")?;
        }
        match self.0.len().saturating_sub(MOST) {
            0 => {}
            1 => f.write_str("; and another difference")?,
            more => write!(f, "; and {more} other differences")?,
        }
        let rule = self.0.iter().map(Difference::allowed_by).max().unwrap_or_default();
        write!(f, " (allowed with `rollout.signature = \"{}\"`)", rule.name())
    }
}

impl Release {
    /// What a content is held to before it may go on from its load: only a candidate is, and neither the first version
    /// of a model nor one that an operator goes back to.
    pub fn contract(&self, digest: &Digest) -> Option<Contract> {
        let is_held = |rollout: &&Rollout| {
            rollout.phase == Phase::Loading
                && rollout.candidate.digest == *digest
                && !rollout.is_undo
        };
        let rollout = self.live().filter(is_held)?;
        let stable = self.stable().filter(|stable| stable.digest != *digest)?.clone();
        match rollout.plan.signature {
            rule @ (SignatureRule::Strict | SignatureRule::Additive) => {
                Some(Contract { stable, rule })
            }
            SignatureRule::Any => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::signature::{Dim, OutputSpec, Shape, TensorSpec};
    use crate::domain::tensor::DType;

    fn contract(rule: SignatureRule) -> Contract {
        let stable = Revision { label: "1".parse().unwrap(), digest: Digest::from_bytes([1; 32]) };
        Contract { stable, rule }
    }

    fn tensor(name: &str, dims: &[usize]) -> TensorSpec {
        let dims = dims.iter().map(|size| Dim::Fixed(*size));
        let dims = [Dim::Symbol("N".to_owned())].into_iter().chain(dims).collect();
        TensorSpec { name: name.to_owned(), dtype: DType::F32, shape: Shape(Some(dims)) }
    }

    fn signature(outputs: &[&str]) -> Signature {
        let outputs = outputs.iter().map(|name| OutputSpec::Tensor(tensor(name, &[])));
        Signature { inputs: vec![tensor("X", &[4])], outputs: outputs.collect() }
    }

    #[test]
    fn what_does_not_fit_is_told_with_the_setting_that_allows_it() {
        let stable = signature(&["label", "p"]);
        let mut candidate = signature(&["label", "p", "margin"]);
        assert_eq!(
            contract(SignatureRule::Strict).check(&stable, &candidate).unwrap_err().to_string(),
            "its signature does not fit version 1: output `margin` is new: f32[N] \
             (allowed with `rollout.signature = \"additive\"`)"
        );
        assert_eq!(contract(SignatureRule::Additive).check(&stable, &candidate), Ok(()));
        candidate.inputs[0] = tensor("X", &[5]);
        assert_eq!(
            contract(SignatureRule::Additive).check(&stable, &candidate).unwrap_err().to_string(),
            "its signature does not fit version 1: input `X`: f32[N, 4] → f32[N, 5] \
             (allowed with `rollout.signature = \"any\"`)"
        );
        assert_eq!(contract(SignatureRule::Any).check(&stable, &candidate), Ok(()));
    }

    #[test]
    fn of_many_differences_the_gravest_are_told() {
        let names: Vec<String> = (1..=10).map(|number| format!("output_{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let sentence = |stable: &[&str], candidate: &[&str]| {
            let strict = contract(SignatureRule::Strict);
            strict.check(&signature(stable), &signature(candidate)).unwrap_err().to_string()
        };
        let told = sentence(&names, &names[8..]);
        assert!(told.contains("`output_1` is gone; output `output_2` is gone"), "{told}");
        assert!(told.contains("`output_5` is gone; and 3 other differences (allowed"), "{told}");
        let told = sentence(&names, &names[6..]);
        assert!(told.contains("; and another difference (allowed"), "{told}");
    }
}
