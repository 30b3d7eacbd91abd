//! `inputs`: a tensor each, with its elements or a place for its bytes.

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess};
use serde_json::value::RawValue;

use super::parameters::ParameterList;
use super::{Blob, once};
use crate::api::json::{Ignored, Key, Progress, Reader, Scalar, TensorBuilder, Text, shortened};
use crate::api::v2::datatype;
use crate::api::v2::inputs::Inputs;
use crate::domain::signature::Signature;
use crate::domain::tensor::element_count;

/// Reads the array.
pub(super) struct InputList<'a, 's> {
    pub(super) signature: &'s Signature,
    pub(super) progress: &'a mut Progress<'s>,
}

impl<'de, 's> Reader<'de> for InputList<'_, 's> {
    type Value = (Inputs<'s>, Vec<Blob>);

    fn array<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let Self { signature, progress } = self;
        progress.begin_nested()?;
        progress.trail.enter_array();
        let (mut inputs, mut blobs) = (Inputs::of(signature), Vec::new());
        for index in 0.. {
            progress.trail.at(index);
            progress.check_inputs(index)?;
            let input = Input { inputs: &mut inputs, blobs: &mut blobs, progress: &mut *progress };
            if elements.next_element_seed(input.seed())?.is_none() {
                break;
            }
        }
        progress.trail.leave();
        Ok((inputs, blobs))
    }

    fn object<A: MapAccess<'de>>(self, _members: A) -> Result<Self::Value, A::Error> {
        Err(self.progress.trail.unfit("expected an array of inputs, got an object"))
    }

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<Self::Value, E> {
        Err(self.progress.trail.unfit(format!("expected an array of inputs, got {scalar}")))
    }
}

/// One of them.
struct Input<'a, 's> {
    inputs: &'a mut Inputs<'s>,
    blobs: &'a mut Vec<Blob>,
    progress: &'a mut Progress<'s>,
}

enum Member {
    Name,
    Datatype,
    Shape,
    Parameters,
    Data,
    Other(String),
}

impl Member {
    fn named(key: &str) -> Self {
        match key {
            "name" => Self::Name,
            "datatype" => Self::Datatype,
            "shape" => Self::Shape,
            "parameters" => Self::Parameters,
            "data" => Self::Data,
            _ => Self::Other(shortened(key)),
        }
    }
}

/// The elements of an input.
enum Elements<'de, 's> {
    Read(TensorBuilder<'s>),
    /// They came before the name, without which nobody knows what they are.
    Unread(&'de RawValue),
}

impl<'de> Reader<'de> for Input<'_, '_> {
    type Value = ();

    fn object<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self { inputs, blobs, progress } = self;
        progress.begin_nested()?;
        let (mut index, mut datatype, mut shape) = (None, None, None);
        let (mut parameters, mut elements) = (None, None);
        while let Some(member) = members.next_key_seed(Key(Member::named))? {
            match member {
                Member::Name => {
                    progress.trail.enter("name");
                    let read = |name: &str| inputs.enter(name);
                    let name = Text { progress: &mut *progress, read };
                    once(&mut index, members.next_value_seed(name.seed())?, progress)?;
                }
                Member::Datatype => {
                    progress.trail.enter("datatype");
                    let known = index.map(|index| inputs.spec(index).dtype);
                    let read = |name: &str| match known {
                        Some(dtype) => datatype::check(name, dtype).map(|()| None),
                        None => Ok(Some(name.to_owned())),
                    };
                    let text = Text { progress: &mut *progress, read };
                    once(&mut datatype, members.next_value_seed(text.seed())?, progress)?;
                }
                Member::Shape => {
                    progress.trail.enter("shape");
                    let sizes = Sizes { progress: &mut *progress };
                    once(&mut shape, members.next_value_seed(sizes.seed())?, progress)?;
                }
                Member::Parameters => {
                    progress.trail.enter("parameters");
                    let list = ParameterList { progress: &mut *progress };
                    once(&mut parameters, members.next_value_seed(list.seed())?, progress)?;
                }
                Member::Data => {
                    progress.trail.enter("data");
                    let value = match index {
                        Some(index) => {
                            let count = shape.as_deref().and_then(element_count);
                            let spec = inputs.spec(index);
                            let mut builder =
                                TensorBuilder::told(spec, count.unwrap_or(0), progress);
                            members.next_value_seed(builder.value(0, progress))?;
                            Elements::Read(builder)
                        }
                        None => Elements::Unread(members.next_value()?),
                    };
                    once(&mut elements, value, progress)?;
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
        let (Some(index), Some(datatype), Some(shape)) = (index, datatype, shape) else {
            return Err(progress.trail.unfit("`name`, `datatype` and `shape` are needed"));
        };
        let spec = inputs.spec(index);
        if let Some(name) = datatype {
            datatype::check(&name, spec.dtype).map_err(|sentence| {
                progress.trail.enter("datatype");
                progress.trail.unfit(sentence)
            })?;
        }
        let size = parameters.unwrap_or_default().binary_data_size;
        let builder = match (elements, size) {
            (Some(_), Some(_)) => {
                let sentence = "give `data` or `binary_data_size`, one of them";
                return Err(progress.trail.unfit(sentence));
            }
            (None, size) => {
                blobs.push(Blob { index, shape, size });
                return Ok(());
            }
            (Some(Elements::Read(builder)), None) => builder,
            (Some(Elements::Unread(text)), None) => {
                progress.trail.enter("data");
                let count = element_count(&shape).unwrap_or(0);
                let mut builder = TensorBuilder::told(spec, count, progress);
                let mut json = serde_json::Deserializer::from_str(text.get());
                builder.value(0, progress).deserialize(&mut json).map_err(A::Error::custom)?;
                progress.trail.leave();
                builder
            }
        };
        let given = builder.finish_as(shape).and_then(|tensor| inputs.give(index, tensor));
        given.map_err(|sentence| progress.trail.unfit(sentence))
    }

    fn array<A: SeqAccess<'de>>(self, _elements: A) -> Result<(), A::Error> {
        Err(self.progress.trail.unfit("expected an object with `name`, got an array"))
    }

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<(), E> {
        let sentence = format!("expected an object with `name`, got {scalar}");
        Err(self.progress.trail.unfit(sentence))
    }
}

/// The sizes of the dimensions.
struct Sizes<'a, 's> {
    progress: &'a mut Progress<'s>,
}

impl<'de> Reader<'de> for Sizes<'_, '_> {
    type Value = Vec<usize>;

    fn array<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<usize>, A::Error> {
        /// More than any tensor has.
        const MOST: usize = 64;
        let progress = self.progress;
        progress.begin_nested()?;
        progress.trail.enter_array();
        let mut sizes = Vec::new();
        loop {
            progress.trail.at(sizes.len());
            let size = Size { progress: &mut *progress };
            let Some(size) = elements.next_element_seed(size.seed())? else { break };
            if sizes.len() == MOST {
                return Err(progress.trail.unfit(format!("more than {MOST} dimensions")));
            }
            sizes.push(size);
        }
        progress.trail.leave();
        Ok(sizes)
    }

    fn object<A: MapAccess<'de>>(self, _members: A) -> Result<Vec<usize>, A::Error> {
        Err(self.progress.trail.unfit("expected an array of sizes, got an object"))
    }

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<Vec<usize>, E> {
        Err(self.progress.trail.unfit(format!("expected an array of sizes, got {scalar}")))
    }
}

/// The size of one dimension.
struct Size<'a, 's> {
    progress: &'a mut Progress<'s>,
}

impl<'de> Reader<'de> for Size<'_, '_> {
    type Value = usize;

    fn array<A: SeqAccess<'de>>(self, _elements: A) -> Result<usize, A::Error> {
        Err(self.progress.trail.unfit("expected a size, got an array"))
    }

    fn object<A: MapAccess<'de>>(self, _members: A) -> Result<usize, A::Error> {
        Err(self.progress.trail.unfit("expected a size, got an object"))
    }

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<usize, E> {
        let size = match scalar {
            Scalar::Integer(size) => usize::try_from(size).ok(),
            Scalar::Null | Scalar::Bool(_) | Scalar::Float(_) | Scalar::Text(_) => None,
        };
        size.ok_or_else(|| {
            let sentence = format!("expected a size, which is not negative, got {scalar}");
            self.progress.trail.unfit(sentence)
        })
    }
}
