//! What all parts of a request share while it is read: where the decoder stands and how much it has taken.

use super::trail::{Problem, Trail, counted};
use crate::config::LimitsConfig;

/// How far the decoder is.
#[derive(Debug)]
pub(in crate::api) struct Progress<'s> {
    /// Where it stands.
    pub(in crate::api) trail: Trail<'s>,
    limits: &'s LimitsConfig,
    elements: usize,
    string_bytes: usize,
    /// Elements that the body can hold and no buffer was made for yet.
    unclaimed: usize,
}

impl<'s> Progress<'s> {
    pub(in crate::api) fn new(limits: &'s LimitsConfig, body_bytes: usize) -> Self {
        // Each takes a character and what separates it from the next.
        let unclaimed = (body_bytes / 2).min(limits.elements);
        Self { trail: Trail::default(), limits, elements: 0, string_bytes: 0, unclaimed }
    }

    /// How many of `wanted` elements a buffer may be made for: a few bytes must not claim much memory, however
    /// large the model says that its inputs are.
    pub(in crate::api) fn claim(&mut self, wanted: usize) -> usize {
        let claimed = wanted.min(self.unclaimed);
        self.unclaimed -= claimed;
        claimed
    }

    /// An array or object begins where the decoder stands.
    pub(in crate::api) fn begin_nested<E: serde::de::Error>(&mut self) -> Result<(), E> {
        self.begin_nested_in(self.trail.depth())
    }

    /// An array or object begins inside of so many others.
    pub(in crate::api) fn begin_nested_in<E: serde::de::Error>(
        &mut self,
        depth: usize,
    ) -> Result<(), E> {
        let most = self.limits.json_depth;
        if depth < most {
            return Ok(());
        }
        Err(self.trail.unfit(format!("nested deeper than {}", counted(most, "level"))))
    }

    /// So many inputs were given so far.
    pub(in crate::api) fn check_inputs<E: serde::de::Error>(
        &mut self,
        given: usize,
    ) -> Result<(), E> {
        let most = self.limits.inputs;
        if given <= most {
            return Ok(());
        }
        Err(self.trail.unfit(format!("more than {} in one request", counted(most, "input"))))
    }

    pub(in crate::api) fn count_element<E: serde::de::Error>(&mut self) -> Result<(), E> {
        self.elements += 1;
        if self.elements <= self.limits.elements {
            return Ok(());
        }
        let most = counted(self.limits.elements, "element");
        let sentence = format!("more than {most} in one request");
        Err(self.trail.fail(Problem::TooLarge(sentence)))
    }

    pub(in crate::api) fn count_text<E: serde::de::Error>(&mut self, text: &str) -> Result<(), E> {
        self.string_bytes += text.len();
        if self.string_bytes <= self.limits.string_bytes {
            return Ok(());
        }
        let sentence =
            format!("more than {} bytes of text in one request", self.limits.string_bytes);
        Err(self.trail.fail(Problem::TooLarge(sentence)))
    }
}
