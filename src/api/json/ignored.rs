//! Values that nobody asks for.

use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess};

use super::progress::Progress;
use super::reader::{Reader, Scalar};

/// A value that nobody asks for. It is read for its depth, which serde's own `IgnoredAny` does not limit.
pub(in crate::api) struct Ignored<'a, 's> {
    /// How many arrays and objects it lies in.
    pub(in crate::api) depth: usize,
    pub(in crate::api) progress: &'a mut Progress<'s>,
}

impl<'de> Reader<'de> for Ignored<'_, '_> {
    type Value = ();

    fn array<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        self.progress.begin_nested_in(self.depth)?;
        let (depth, progress) = (self.depth + 1, self.progress);
        while elements
            .next_element_seed(Ignored { depth, progress: &mut *progress }.seed())?
            .is_some()
        {}
        Ok(())
    }

    fn object<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        self.progress.begin_nested_in(self.depth)?;
        let (depth, progress) = (self.depth + 1, self.progress);
        while members.next_key::<IgnoredAny>()?.is_some() {
            members.next_value_seed(Ignored { depth, progress: &mut *progress }.seed())?;
        }
        Ok(())
    }

    fn scalar<E: Error>(self, _scalar: Scalar<'_>) -> Result<(), E> {
        Ok(())
    }
}
