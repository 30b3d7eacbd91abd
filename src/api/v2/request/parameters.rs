//! Parameters as JSON writes them: an object of single values.

use serde::de::{Error, MapAccess, SeqAccess};

use crate::api::json::{Ignored, Key, Progress, Reader, Scalar, shortened};
use crate::api::v2::parameters::Parameters;

/// Reads the object.
pub(super) struct ParameterList<'a, 's> {
    pub(super) progress: &'a mut Progress<'s>,
}

impl<'de> Reader<'de> for ParameterList<'_, '_> {
    type Value = Parameters;

    fn object<A: MapAccess<'de>>(self, mut members: A) -> Result<Parameters, A::Error> {
        let progress = self.progress;
        progress.begin_nested()?;
        let mut parameters = Parameters::default();
        while let Some(name) = members.next_key_seed(Key(shortened))? {
            let parameter =
                Parameter { parameters: &mut parameters, name: &name, progress: &mut *progress };
            members.next_value_seed(parameter.seed())?;
        }
        Ok(parameters)
    }

    fn array<A: SeqAccess<'de>>(self, _elements: A) -> Result<Parameters, A::Error> {
        Err(self.progress.trail.unfit("expected an object, got an array"))
    }

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<Parameters, E> {
        match scalar {
            Scalar::Null => Ok(Parameters::default()),
            Scalar::Bool(_) | Scalar::Integer(_) | Scalar::Float(_) | Scalar::Text(_) => {
                Err(self.progress.trail.unfit(format!("expected an object, got {scalar}")))
            }
        }
    }
}

/// One parameter. Arrays and objects are none that mean anything here.
struct Parameter<'a, 's> {
    parameters: &'a mut Parameters,
    name: &'a str,
    progress: &'a mut Progress<'s>,
}

impl<'de> Reader<'de> for Parameter<'_, '_> {
    type Value = ();

    fn array<A: SeqAccess<'de>>(self, elements: A) -> Result<(), A::Error> {
        let depth = self.progress.trail.depth() + 1;
        Ignored { depth, progress: self.progress }.array(elements)
    }

    fn object<A: MapAccess<'de>>(self, members: A) -> Result<(), A::Error> {
        let depth = self.progress.trail.depth() + 1;
        Ignored { depth, progress: self.progress }.object(members)
    }

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<(), E> {
        self.parameters.take(self.name, scalar).map_err(|sentence| {
            self.progress.trail.enter_unknown(self.name.to_owned());
            self.progress.trail.unfit(sentence)
        })
    }
}
