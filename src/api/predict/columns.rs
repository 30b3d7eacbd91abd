//! `inputs`: whole tensors, by name or the only one.

use std::fmt;

use serde::de::{Error, MapAccess, SeqAccess};

use super::decode::{Decoded, Expected, Form};
use crate::api::json::{
    Found, Key, Members, Names, Progress, Reader, Scalar, TensorBuilder, is_base64, shortened,
};

/// The depth inside a tensor at which the whole of it stands.
const WHOLE: usize = 0;

/// Reads the tensors.
pub(super) struct Columns<'a, 's> {
    pub(super) expected: Expected<'s>,
    pub(super) progress: &'a mut Progress<'s>,
}

impl<'de> Reader<'de> for Columns<'_, '_> {
    type Value = Decoded;

    fn array<A: SeqAccess<'de>>(self, elements: A) -> Result<Decoded, A::Error> {
        self.only_input("an array", |builder, progress| {
            builder.read_array(WHOLE, progress, elements)
        })
    }

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<Decoded, E> {
        self.only_input(scalar, |builder, progress| builder.read_scalar(WHOLE, progress, scalar))
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<Decoded, A::Error> {
        self.progress.begin_nested()?;
        let specs = &self.expected.signature.inputs;
        let mut inputs = Members::new(Names::Inputs(specs));
        let recognise = |key: &str| match inputs.find(key) {
            None if is_base64(key, specs) => FirstKey::Base64,
            found => FirstKey::Input(found.ok_or_else(|| shortened(key))),
        };
        match object.next_key_seed(Key(recognise))? {
            Some(FirstKey::Base64) => self.only_input("an object", |builder, progress| {
                builder.read_base64(WHOLE, progress, object)
            }),
            Some(FirstKey::Input(first)) => self.named(inputs, Some(first), object),
            None => self.named(inputs, None, object),
        }
    }
}

/// What the first key says about the whole.
enum FirstKey {
    Base64,
    Input(Found),
}

impl<'s> Columns<'_, 's> {
    fn only_input<E: Error>(
        self,
        got: impl fmt::Display,
        read: impl FnOnce(&mut TensorBuilder<'s>, &mut Progress<'s>) -> Result<(), E>,
    ) -> Result<Decoded, E> {
        let Self { expected, progress } = self;
        let [spec] = &expected.signature.inputs[..] else {
            let inputs = Members::new(Names::Inputs(&expected.signature.inputs));
            return Err(progress.trail.unfit(inputs.expected_instead_of(got)));
        };
        let mut builder = TensorBuilder::new(spec, WHOLE, progress);
        read(&mut builder, progress)?;
        finish(vec![builder], progress)
    }

    fn named<'de, A: MapAccess<'de>>(
        self,
        mut inputs: Members<'s>,
        first: Option<Found>,
        mut object: A,
    ) -> Result<Decoded, A::Error> {
        let Self { expected, progress } = self;
        let specs = expected.signature.inputs.iter();
        let mut builders: Vec<_> =
            specs.map(|spec| TensorBuilder::new(spec, WHOLE, progress)).collect();
        inputs.read(first, progress, &mut object, |index, progress, object| {
            object.next_value_seed(builders[index].value(WHOLE, progress))
        })?;
        finish(builders, progress)
    }
}

fn finish<E: Error>(
    builders: Vec<TensorBuilder<'_>>,
    progress: &mut Progress<'_>,
) -> Result<Decoded, E> {
    let inputs = builders.into_iter().map(TensorBuilder::finish);
    let inputs =
        inputs.collect::<Result<_, _>>().map_err(|error| progress.trail.unfit::<E>(error))?;
    Ok(Decoded { inputs, form: Form::Columns })
}
