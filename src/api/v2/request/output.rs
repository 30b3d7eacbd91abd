//! `outputs`: what is wanted.

use serde::de::{Error, MapAccess, SeqAccess};

use super::once;
use super::parameters::ParameterList;
use crate::api::json::{Ignored, Key, Progress, Reader, Scalar, Text, shortened};
use crate::api::v2::wanted::Wanted;
use crate::domain::signature::Signature;

/// Reads the array.
pub(super) struct OutputList<'a, 's> {
    pub(super) signature: &'s Signature,
    pub(super) progress: &'a mut Progress<'s>,
}

impl<'de> Reader<'de> for OutputList<'_, '_> {
    type Value = Vec<Wanted>;

    fn array<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<Wanted>, A::Error> {
        let Self { signature, progress } = self;
        progress.begin_nested()?;
        progress.trail.enter_array();
        let mut wanted = Vec::new();
        for index in 0.. {
            progress.trail.at(index);
            let output = Output { signature, wanted: &mut wanted, progress: &mut *progress };
            if elements.next_element_seed(output.seed())?.is_none() {
                break;
            }
        }
        progress.trail.leave();
        Ok(wanted)
    }

    fn object<A: MapAccess<'de>>(self, _members: A) -> Result<Vec<Wanted>, A::Error> {
        Err(self.progress.trail.unfit("expected an array of outputs, got an object"))
    }

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<Vec<Wanted>, E> {
        match scalar {
            Scalar::Null => Ok(Vec::new()),
            Scalar::Bool(_) | Scalar::Integer(_) | Scalar::Float(_) | Scalar::Text(_) => Err(self
                .progress
                .trail
                .unfit(format!("expected an array of outputs, got {scalar}"))),
        }
    }
}

/// One of them.
struct Output<'a, 's> {
    signature: &'s Signature,
    wanted: &'a mut Vec<Wanted>,
    progress: &'a mut Progress<'s>,
}

enum Member {
    Name,
    Parameters,
    Other(String),
}

impl Member {
    fn named(key: &str) -> Self {
        match key {
            "name" => Self::Name,
            "parameters" => Self::Parameters,
            _ => Self::Other(shortened(key)),
        }
    }
}

impl<'de> Reader<'de> for Output<'_, '_> {
    type Value = ();

    fn object<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self { signature, wanted, progress } = self;
        progress.begin_nested()?;
        let (mut name, mut parameters) = (None, None);
        while let Some(member) = members.next_key_seed(Key(Member::named))? {
            match member {
                Member::Name => {
                    progress.trail.enter("name");
                    let read = |text: &str| Ok(text.to_owned());
                    let text = Text { progress: &mut *progress, read };
                    once(&mut name, members.next_value_seed(text.seed())?, progress)?;
                }
                Member::Parameters => {
                    progress.trail.enter("parameters");
                    let list = ParameterList { progress: &mut *progress };
                    once(&mut parameters, members.next_value_seed(list.seed())?, progress)?;
                }
                Member::Other(name) => {
                    progress.trail.enter_unknown(name);
                    let depth = progress.trail.depth();
                    let ignored = Ignored { depth, progress: &mut *progress };
                    members.next_value_seed(ignored.seed())?;
                }
            }
            progress.trail.leave();
        }
        let Some(name) = name else { return Err(progress.trail.unfit("`name` is missing")) };
        Wanted::add(wanted, signature, &name, &parameters.unwrap_or_default())
            .map_err(|sentence| progress.trail.unfit(sentence))
    }

    fn array<A: SeqAccess<'de>>(self, _elements: A) -> Result<(), A::Error> {
        Err(self.progress.trail.unfit("expected an object with `name`, got an array"))
    }

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<(), E> {
        let sentence = format!("expected an object with `name`, got {scalar}");
        Err(self.progress.trail.unfit(sentence))
    }
}
