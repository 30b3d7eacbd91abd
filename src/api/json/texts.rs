//! Texts that belong to a protocol, and not to a model.

use serde::de::{Error, MapAccess, SeqAccess};

use super::progress::Progress;
use super::reader::{Reader, Scalar};

/// A text, which `read` gets. What is wrong with it comes back as a sentence.
pub(in crate::api) struct Text<'a, 's, F> {
    pub(in crate::api) progress: &'a mut Progress<'s>,
    pub(in crate::api) read: F,
}

impl<'de, T, F: FnOnce(&str) -> Result<T, String>> Reader<'de> for Text<'_, '_, F> {
    type Value = T;

    fn array<A: SeqAccess<'de>>(self, _elements: A) -> Result<T, A::Error> {
        Err(self.progress.trail.unfit("expected a string, got an array"))
    }

    fn object<A: MapAccess<'de>>(self, _members: A) -> Result<T, A::Error> {
        Err(self.progress.trail.unfit("expected a string, got an object"))
    }

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<T, E> {
        let Scalar::Text(text) = scalar else {
            return Err(self.progress.trail.unfit(format!("expected a string, got {scalar}")));
        };
        (self.read)(text).map_err(|sentence| self.progress.trail.unfit(sentence))
    }
}
