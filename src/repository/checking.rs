//! What a version has to pass before it is loaded where it can do harm.

use std::time::SystemTime;

use super::check::{Candidate, Facts, Fault};
use super::contract::{self, ContractLimits};
use super::loader::{LoadOrder, LoaderParts};
use super::not_loaded::NotLoaded;
use crate::domain::lifecycle::VersionState;
use crate::domain::rollout::Revision;
use crate::domain::room::NoRoom;
use crate::system::memory::Usage;

impl LoaderParts {
    /// Checks a version's file, whether there is memory for it, and, in a process of its own, what comes of loading it.
    pub(super) fn check(&self, order: &LoadOrder) -> Result<Option<Facts>, NotLoaded> {
        let (model, Revision { label, digest }) = (&order.model, &order.revision);
        self.registry.enter(model, digest, VersionState::Checking, SystemTime::now());
        let path = order.path()?;
        let folder = path.parent().ok_or(NotLoaded::NotKept)?;
        let contract = contract::check(folder, &ContractLimits::default())
            .map_err(|error| NotLoaded::Faulty(Fault::from(error)))?;
        let bytes = contract.bytes();
        // What cannot fit is not even tried: the trial takes memory as well.
        self.admit(bytes)?;
        let Some(checker) = &self.checker else { return Ok(None) };
        let name = format!("version {label} of {model}");
        let candidate = Candidate { digest, path, bytes, name: &name };
        checker.check(candidate).map(Some).map_err(NotLoaded::Faulty)
    }

    /// Whether there is room for so many more bytes.
    pub(super) fn admit(&self, bytes: u64) -> Result<(), NotLoaded> {
        let Some(used) = Usage::now().map(|usage| usage.anonymous) else { return Ok(()) };
        match self.memory_budget {
            Some(budget) if used.saturating_add(bytes) > budget => {
                Err(NotLoaded::NoRoom(NoRoom { needed: bytes, used, budget }))
            }
            Some(_) | None => Ok(()),
        }
    }
}
