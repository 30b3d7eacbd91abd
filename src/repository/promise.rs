//! What clients of the stable version were promised: the signature that its candidate is held to.

use super::declared::as_declared;
use super::loader::{LoadOrder, LoaderParts};
use crate::domain::rollout::{Contract, Unfit};
use crate::domain::signature::Signature;
use crate::onnx::{Session, SessionOptions};

/// The terms that a candidate is held to.
pub(super) struct Promise {
    contract: Contract,
    stable: Signature,
}

impl LoaderParts {
    /// What the version is held to. To be asked before it is loaded: where there is no room for two, and a restart came
    /// between the two, the stable version is loaded once more to see what it promised, and dropped.
    pub(super) fn promise(&self, order: &LoadOrder) -> Option<Promise> {
        let contract = order.held_to.clone()?;
        let known = self.registry.signature(&order.model, &contract.stable.digest);
        let Some(stable) = known.or_else(|| self.signature_of_stable(order)) else {
            let (model, label) = (&order.model, &order.revision.label);
            tracing::warn!(
                model.name = %model, model.version = %label,
                "the signature of version {label} of `{model}` is not compared with that of version {}, which cannot \
                 be loaded", contract.stable.label
            );
            return None;
        };
        Some(Promise { contract, stable })
    }

    fn signature_of_stable(&self, order: &LoadOrder) -> Option<Signature> {
        let path = order.stable_path.as_deref()?;
        let session = Session::load(&self.runtime, path, SessionOptions::default()).ok()?;
        let presented = as_declared(&order.config.declared, session.signature());
        Some(presented.map_or_else(|_| session.signature().clone(), |shown| shown.signature))
    }
}

impl Promise {
    /// Compares.
    ///
    /// # Errors
    /// [`Unfit`] when clients of the stable version could not go on.
    pub(super) fn check(&self, candidate: &Signature) -> Result<(), Unfit> {
        self.contract.check(&self.stable, candidate)
    }
}
