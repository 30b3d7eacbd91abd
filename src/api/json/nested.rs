//! Nested JSON arrays, straight into the buffer of a tensor.
//!
//! The elements are pushed as they are read; the shape is learned on the way down and checked on the way
//! back: the first array at each depth says how long its neighbours must be, unless the model says it.

use base64::Engine;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess};

use super::element::{JsonElement, Misfit};
use super::members::{Found, Members};
use super::progress::Progress;
use super::reader::{Key, Reader, Scalar};
use super::trail::counted;
use crate::domain::signature::{Dim, TensorSpec};
use crate::domain::tensor::{DType, Elements, Tensor, element_count, with_elements};

/// A tensor in the making.
#[derive(Debug)]
pub(in crate::api) struct TensorBuilder<'s> {
    spec: &'s TensorSpec,
    elements: Elements,
    dims: Dims,
}

impl<'s> TensorBuilder<'s> {
    /// A tensor of which values at `depth` will be read, with room for the first.
    pub(in crate::api) fn new(
        spec: &'s TensorSpec,
        depth: usize,
        progress: &mut Progress<'_>,
    ) -> Self {
        let dims = spec.shape.dims();
        let room = dims.map_or(0, |dims| fixed_count(dims.get(depth..).unwrap_or_default()));
        let elements = spec.dtype.buffer(progress.claim(room));
        let sizes = dims.map(|dims| dims.iter().map(fixed_size).collect());
        Self { spec, elements, dims: Dims { sizes } }
    }

    /// A whole tensor of which the shape is told beside its elements, with room for so many.
    pub(in crate::api) fn told(
        spec: &'s TensorSpec,
        count: usize,
        progress: &mut Progress<'_>,
    ) -> Self {
        let elements = spec.dtype.buffer(progress.claim(count));
        Self { spec, elements, dims: Dims { sizes: None } }
    }

    /// A seed that reads what [`read`](Self::read) reads.
    pub(in crate::api) fn value<'a, 'l>(
        &'a mut self,
        depth: usize,
        progress: &'a mut Progress<'l>,
    ) -> Value<'a, 's, 'l> {
        Value { builder: self, depth, progress }
    }

    /// Reads a value that stands `depth` dimensions inside the tensor: 0 for the whole of it, 1 for a row.
    pub(in crate::api) fn read<'de, D: Deserializer<'de>>(
        &mut self,
        depth: usize,
        progress: &mut Progress<'_>,
        json: D,
    ) -> Result<(), D::Error> {
        let dims = &mut self.dims;
        with_elements!(Elements, &mut self.elements, out => Nested { out, dims, depth, progress }.seed().deserialize(json))
    }

    /// [`read`](Self::read) for an array that was entered already.
    pub(in crate::api) fn read_array<'de, A: SeqAccess<'de>>(
        &mut self,
        depth: usize,
        progress: &mut Progress<'_>,
        elements: A,
    ) -> Result<(), A::Error> {
        self.read(depth, progress, SeqAccessDeserializer::new(elements))
    }

    /// [`read`](Self::read) for a single value that was read already.
    pub(in crate::api) fn read_scalar<E: Error>(
        &mut self,
        depth: usize,
        progress: &mut Progress<'_>,
        scalar: Scalar<'_>,
    ) -> Result<(), E> {
        let dims = &mut self.dims;
        with_elements!(Elements, &mut self.elements, out => Nested { out, dims, depth, progress }.scalar(scalar))
    }

    /// [`read`](Self::read) for a text in base64, after its key.
    pub(in crate::api) fn read_base64<'de, A: MapAccess<'de>>(
        &mut self,
        depth: usize,
        progress: &mut Progress<'_>,
        members: A,
    ) -> Result<(), A::Error> {
        let dims = &mut self.dims;
        with_elements!(Elements, &mut self.elements, out => Nested { out, dims, depth, progress }.base64(members))
    }

    /// Reads a row that is given as an object with a member for each column. The first key has been read.
    pub(in crate::api) fn read_features<'de, A: MapAccess<'de>>(
        &mut self,
        features: &mut Members<'s>,
        first: Option<Found>,
        progress: &mut Progress<'s>,
        mut object: A,
    ) -> Result<(), A::Error> {
        let dims = &mut self.dims;
        with_elements!(Elements, &mut self.elements, out => {
            read_features(out, features, first, progress, &mut object)?;
        });
        dims.agree(1, features.len()).map_err(|expected| {
            let (expected, got) =
                (counted(expected, "element"), counted(features.len(), "feature"));
            progress.trail.unfit(format!("expected {expected}, got {got}"))
        })
    }

    /// Ends a tensor whose rows were read one by one.
    pub(in crate::api) fn finish_rows(mut self, rows: usize) -> Result<Tensor, String> {
        self.dims.agree(0, rows).map_err(|fixed| {
            format!("input `{}` takes {}, got {rows}", self.spec.name, counted(fixed, "row"))
        })?;
        self.finish()
    }

    /// Ends a tensor of this shape: the elements were nested alike, or not at all. Whether the model takes it is for
    /// others to say.
    pub(in crate::api) fn finish_as(self, shape: Vec<usize>) -> Result<Tensor, String> {
        let sizes = self.dims.sizes.unwrap_or_default();
        let read: Vec<usize> = sizes.into_iter().map(|size| size.unwrap_or(0)).collect();
        let count = element_count(&shape);
        let is_flat = read.len() <= 1 && count == Some(self.elements.len());
        if !is_flat && read != shape {
            let sentence = match read[..] {
                [_] | [] => {
                    let (elements, holds) =
                        (counted(self.elements.len(), "element"), count.unwrap_or(usize::MAX));
                    format!("`data` has {elements}, and `shape` {shape:?} takes {holds}")
                }
                _ => format!("`data` has the shape {read:?}, and `shape` says {shape:?}"),
            };
            return Err(sentence);
        }
        Tensor::new(shape, self.elements).map_err(|error| error.to_string())
    }

    /// Ends the tensor.
    pub(in crate::api) fn finish(self) -> Result<Tensor, String> {
        // A dimension that was never reached lies inside an empty one.
        let sizes = self.dims.sizes.unwrap_or_default();
        let shape = sizes.into_iter().map(|size| size.unwrap_or(0)).collect();
        checked(self.spec, shape, self.elements)
    }
}

fn checked(spec: &TensorSpec, shape: Vec<usize>, elements: Elements) -> Result<Tensor, String> {
    let tensor = Tensor::new(shape, elements).map_err(|error| error.to_string())?;
    fitting(spec, tensor)
}

/// The tensor, where it may be given for this input.
pub(in crate::api) fn fitting(spec: &TensorSpec, tensor: Tensor) -> Result<Tensor, String> {
    spec.check(&tensor).map_err(|error| error.to_string())?;
    some_rows(spec, tensor)
}

/// Refuses a tensor without rows. There is nothing to answer, and many models fail on it. Other dimensions may be empty:
/// a model whose past is a part of its input begins without any.
fn some_rows(spec: &TensorSpec, tensor: Tensor) -> Result<Tensor, String> {
    let takes_none = matches!(spec.shape.dims(), Some([Dim::Fixed(0), ..]));
    if tensor.shape().first() != Some(&0) || takes_none {
        return Ok(tensor);
    }
    let got = format!("{}{:?}", tensor.dtype(), tensor.shape());
    Err(format!("input `{}`: expected {spec} with at least one row, got {got}", spec.name))
}

/// Whether this key makes an object the value of the only input, and not an object of inputs.
pub(in crate::api) fn is_base64(key: &str, inputs: &[TensorSpec]) -> bool {
    key == "b64" && matches!(inputs, [only] if only.dtype == DType::String)
}

/// The value of one input.
pub(in crate::api) struct Value<'a, 's, 'l> {
    builder: &'a mut TensorBuilder<'s>,
    depth: usize,
    progress: &'a mut Progress<'l>,
}

impl<'de> DeserializeSeed<'de> for Value<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        self.builder.read(self.depth, self.progress, json)
    }
}

/// How many elements there are at least, as far as the model says; 0 where that is absurd.
fn fixed_count(dims: &[Dim]) -> usize {
    dims.iter().filter_map(fixed_size).try_fold(1, usize::checked_mul).unwrap_or(0)
}

fn fixed_size(dim: &Dim) -> Option<usize> {
    match dim {
        Dim::Fixed(size) => Some(*size),
        Dim::Symbol(_) | Dim::Any => None,
    }
}

/// What is known of a shape so far.
#[derive(Debug)]
struct Dims {
    /// One per dimension, once the number of dimensions is known.
    sizes: Option<Vec<Option<usize>>>,
}

impl Dims {
    fn rank(&self) -> Option<usize> {
        self.sizes.as_ref().map(Vec::len)
    }

    /// The size at a depth is `size`. `Err` with the size that it must have, where that is another.
    fn agree(&mut self, depth: usize, size: usize) -> Result<(), usize> {
        let sizes = self.sizes.get_or_insert_default();
        if sizes.len() <= depth {
            sizes.resize(depth + 1, None);
        }
        match sizes[depth] {
            Some(known) if known != size => Err(known),
            Some(_) => Ok(()),
            None => {
                sizes[depth] = Some(size);
                Ok(())
            }
        }
    }

    /// Whether an element may stand at `depth`: below all dimensions, or where all that are left are one, so
    /// that `5.1` may be written for `[5.1]`.
    fn element_at(&mut self, depth: usize) -> bool {
        match self.rank() {
            Some(rank) => (depth..rank).all(|dim| self.agree(dim, 1).is_ok()),
            None => {
                self.sizes = Some(vec![None; depth]);
                true
            }
        }
    }
}

/// Reads what stands at one depth.
struct Nested<'a, 'l, T> {
    out: &'a mut Vec<T>,
    dims: &'a mut Dims,
    depth: usize,
    progress: &'a mut Progress<'l>,
}

impl<'de, T: JsonElement> Reader<'de> for Nested<'_, '_, T> {
    type Value = ();

    fn array<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let Self { out, dims, depth, progress } = self;
        if dims.rank().is_some_and(|rank| depth >= rank) {
            return Err(progress.trail.unfit(format!("expected {}, got an array", T::EXPECTED)));
        }
        progress.begin_nested()?;
        progress.trail.enter_array();
        let mut length = 0;
        loop {
            progress.trail.at(length);
            let (out, dims, progress) = (&mut *out, &mut *dims, &mut *progress);
            let element = Nested { out, dims, depth: depth + 1, progress };
            if elements.next_element_seed(element.seed())?.is_none() {
                break;
            }
            length += 1;
        }
        progress.trail.leave();
        dims.agree(depth, length).map_err(|expected| {
            progress.trail.unfit(format!("expected {}, got {length}", counted(expected, "element")))
        })
    }

    fn object<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        if T::DTYPE != DType::String {
            return Err(self.refuse("an object"));
        }
        self.progress.begin_nested()?;
        if members.next_key_seed(Key(|key: &str| key == "b64"))? != Some(true) {
            return Err(self.refuse("an object that is not `{\"b64\": \"…\"}`"));
        }
        self.base64(members)
    }

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<(), E> {
        if let (Scalar::Text(text), DType::String) = (scalar, T::DTYPE) {
            self.progress.count_text(text)?;
        }
        let element = match T::from_scalar(scalar) {
            Ok(element) => element,
            Err(Misfit::Kind) => return Err(self.refuse(&scalar.to_string())),
            Err(Misfit::Range) => {
                let sentence = format!("{scalar} does not fit into {}", T::DTYPE);
                return Err(self.progress.trail.unfit(sentence));
            }
        };
        if !self.dims.element_at(self.depth) {
            return Err(self.refuse(&scalar.to_string()));
        }
        self.progress.count_element()?;
        self.out.push(element);
        Ok(())
    }
}

impl<T: JsonElement> Nested<'_, '_, T> {
    /// Text may come as base64, for clients whose texts are bytes. The key has been read.
    fn base64<'de, A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        self.progress.trail.enter("b64");
        let text = members.next_value_seed(Base64 { progress: &mut *self.progress }.seed())?;
        self.progress.trail.leave();
        if members.next_key::<IgnoredAny>()?.is_some() {
            return Err(self.refuse("an object with more than `b64`"));
        }
        self.scalar(Scalar::Text(&text))
    }

    /// The value is something else than what belongs here.
    fn refuse<E: Error>(self, got: &str) -> E {
        let array_belongs_here = self.dims.rank().is_some_and(|rank| self.depth < rank);
        let expected = if array_belongs_here { "an array" } else { T::EXPECTED };
        self.progress.trail.unfit(format!("expected {expected}, got {got}"))
    }
}

/// Text in base64.
struct Base64<'a, 'l> {
    progress: &'a mut Progress<'l>,
}

impl<'de> Reader<'de> for Base64<'_, '_> {
    type Value = String;

    fn array<A: SeqAccess<'de>>(self, _elements: A) -> Result<String, A::Error> {
        Err(self.progress.trail.unfit("expected a string in base64, got an array"))
    }

    fn object<A: MapAccess<'de>>(self, _members: A) -> Result<String, A::Error> {
        Err(self.progress.trail.unfit("expected a string in base64, got an object"))
    }

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<String, E> {
        let trail = &mut self.progress.trail;
        let Scalar::Text(encoded) = scalar else {
            return Err(trail.unfit(format!("expected a string in base64, got {scalar}")));
        };
        let bytes = base64::engine::general_purpose::STANDARD.decode(encoded);
        let bytes = bytes.map_err(|_| trail.unfit::<E>("is not base64"))?;
        String::from_utf8(bytes)
            .map_err(|_| trail.unfit("is not UTF-8, which is what the model takes"))
    }
}

fn read_features<'de, 's, T: JsonElement, A: MapAccess<'de>>(
    out: &mut Vec<T>,
    features: &mut Members<'s>,
    first: Option<Found>,
    progress: &mut Progress<'s>,
    object: &mut A,
) -> Result<(), A::Error> {
    let row = out.len();
    out.resize(row + features.len(), T::default());
    features.read(first, progress, object, |column, progress, object| {
        // A column is a single element, whatever shape the rows have.
        let dims = &mut Dims { sizes: Some(Vec::new()) };
        object.next_value_seed(Nested { out: &mut *out, dims, depth: 0, progress }.seed())?;
        // It was pushed behind the row, and takes its place in there.
        if let Some(element) = out.pop() {
            out[row + column] = element;
        }
        Ok(())
    })
}
