//! Nested JSON arrays, straight into the buffer of a tensor.
//!
//! The elements are pushed as they are read; the shape is learned on the way down and checked on the way
//! back: the first array at each depth says how long its neighbours must be, unless the model says it.

use base64::Engine;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess};

use super::element::{JsonElement, Misfit};
use super::json::{Reader, Scalar};
use super::trail::{Problem, Trail, did_you_mean, shortened};
use crate::config::LimitsConfig;
use crate::domain::signature::{Dim, TensorSpec};
use crate::domain::tensor::{DType, Elements, Tensor};

/// What all tensors of a request share.
#[derive(Debug)]
pub(super) struct Progress<'l> {
    /// Where the decoder stands.
    pub(super) trail: Trail,
    limits: &'l LimitsConfig,
    elements: usize,
    string_bytes: usize,
}

impl<'l> Progress<'l> {
    pub(super) fn new(limits: &'l LimitsConfig) -> Self {
        Self { trail: Trail::default(), limits, elements: 0, string_bytes: 0 }
    }

    fn count_element<E: Error>(&mut self) -> Result<(), E> {
        self.elements += 1;
        if self.elements <= self.limits.elements {
            return Ok(());
        }
        let sentence = format!("more than {} elements in one request", self.limits.elements);
        Err(self.trail.fail(Problem::TooLarge(sentence)))
    }

    fn count_text<E: Error>(&mut self, text: &str) -> Result<(), E> {
        self.string_bytes += text.len();
        if self.string_bytes <= self.limits.string_bytes {
            return Ok(());
        }
        let sentence =
            format!("more than {} bytes of text in one request", self.limits.string_bytes);
        Err(self.trail.fail(Problem::TooLarge(sentence)))
    }
}

/// A tensor in the making.
#[derive(Debug)]
pub(super) struct TensorBuilder<'s> {
    spec: &'s TensorSpec,
    elements: Elements,
    dims: Dims,
    /// Whether anything was read into it.
    started: bool,
}

/// Calls an expression with the typed buffer, whatever its type is.
macro_rules! with_buffer {
    ($elements:expr, $out:ident => $call:expr) => {
        match $elements {
            Elements::Bool($out) => $call,
            Elements::I32($out) => $call,
            Elements::I64($out) => $call,
            Elements::F32($out) => $call,
            Elements::F64($out) => $call,
            Elements::String($out) => $call,
        }
    };
}

impl<'s> TensorBuilder<'s> {
    pub(super) fn new(spec: &'s TensorSpec) -> Self {
        let sizes = spec.shape.dims().map(|dims| dims.iter().map(fixed_size).collect());
        Self { spec, elements: spec.dtype.buffer(0), dims: Dims { sizes }, started: false }
    }

    pub(super) fn spec(&self) -> &'s TensorSpec {
        self.spec
    }

    /// Marks the tensor as given. False when it was before.
    pub(super) fn start(&mut self) -> bool {
        !std::mem::replace(&mut self.started, true)
    }

    /// Whether the tensor was given, as of now and until it is [`start`](Self::start)ed again.
    pub(super) fn take_started(&mut self) -> bool {
        std::mem::take(&mut self.started)
    }

    /// Reads a value that stands `depth` dimensions inside the tensor: 0 for the whole of it, 1 for a row.
    pub(super) fn read<'de, D: Deserializer<'de>>(
        &mut self,
        depth: usize,
        progress: &mut Progress<'_>,
        json: D,
    ) -> Result<(), D::Error> {
        let dims = &mut self.dims;
        with_buffer!(&mut self.elements, out => Nested { out, dims, depth, progress }.seed().deserialize(json))
    }

    /// [`read`](Self::read) for an array that was entered already.
    pub(super) fn read_array<'de, A: SeqAccess<'de>>(
        &mut self,
        depth: usize,
        progress: &mut Progress<'_>,
        elements: A,
    ) -> Result<(), A::Error> {
        self.read(depth, progress, SeqAccessDeserializer::new(elements))
    }

    /// [`read`](Self::read) for a single value that was read already.
    pub(super) fn read_scalar<E: Error>(
        &mut self,
        depth: usize,
        progress: &mut Progress<'_>,
        scalar: Scalar<'_>,
    ) -> Result<(), E> {
        let dims = &mut self.dims;
        with_buffer!(&mut self.elements, out => Nested { out, dims, depth, progress }.scalar(scalar))
    }

    /// [`read`](Self::read) for a text in base64, after its key.
    pub(super) fn read_base64<'de, A: MapAccess<'de>>(
        &mut self,
        depth: usize,
        progress: &mut Progress<'_>,
        members: A,
    ) -> Result<(), A::Error> {
        let dims = &mut self.dims;
        with_buffer!(&mut self.elements, out => Nested { out, dims, depth, progress }.base64(members))
    }

    /// Reads a row that is given as an object, one member per column.
    pub(super) fn read_named_row<'de, A: MapAccess<'de>>(
        &mut self,
        columns: &[String],
        first_key: String,
        progress: &mut Progress<'_>,
        members: A,
    ) -> Result<(), A::Error> {
        let row = NamedRow { columns, first_key, dims: &mut self.dims, progress };
        with_buffer!(&mut self.elements, out => row.read(out, members))
    }

    /// Ends a tensor whose rows were read one by one.
    pub(super) fn finish_rows(mut self, rows: usize) -> Result<Tensor, String> {
        self.dims.agree(0, rows).map_err(|fixed| {
            format!("input `{}` takes {fixed} rows, got {rows}", self.spec.name)
        })?;
        self.finish()
    }

    /// Ends the tensor.
    pub(super) fn finish(self) -> Result<Tensor, String> {
        // A dimension that was never reached lies inside an empty one.
        let sizes = self.dims.sizes.unwrap_or_default();
        let shape = sizes.into_iter().map(|size| size.unwrap_or(0)).collect();
        let tensor = Tensor::new(shape, self.elements).map_err(|error| error.to_string())?;
        self.spec.check(&tensor).map_err(|error| error.to_string())?;
        Ok(tensor)
    }
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
        if depth >= progress.limits.json_depth {
            return Err(progress.trail.unfit(format!("nested deeper than {depth} levels")));
        }
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
            progress.trail.unfit(format!("expected {expected} elements, got {length}"))
        })
    }

    fn object<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        if T::DTYPE != DType::String {
            return Err(self.refuse("an object"));
        }
        if members.next_key::<String>()?.as_deref() != Some("b64") {
            return Err(self.refuse("an object that is not `{\"b64\": \"…\"}`"));
        }
        self.base64(members)
    }

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<(), E> {
        if let Scalar::Text(text) = scalar {
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
        let Base64(text) = members.next_value()?;
        let text = text.map_err(|sentence| self.progress.trail.unfit::<A::Error>(sentence))?;
        if members.next_key::<String>()?.is_some() {
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

/// Text in base64, or what is wrong with it.
struct Base64(Result<String, &'static str>);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(json)?;
        let Some(encoded) = value.as_str() else { return Ok(Self(Err("`b64` must be a string"))) };
        let Ok(bytes) = base64::engine::general_purpose::STANDARD.decode(encoded) else {
            return Ok(Self(Err("`b64` is not base64")));
        };
        Ok(Self(
            String::from_utf8(bytes)
                .map_err(|_| "`b64` is not UTF-8, which is what the model takes"),
        ))
    }
}

/// A row by column names. The columns may come in any order, and each must come once.
struct NamedRow<'a, 'l> {
    columns: &'a [String],
    first_key: String,
    dims: &'a mut Dims,
    progress: &'a mut Progress<'l>,
}

impl NamedRow<'_, '_> {
    fn read<'de, T: JsonElement, A: MapAccess<'de>>(
        self,
        out: &mut Vec<T>,
        mut members: A,
    ) -> Result<(), A::Error> {
        let Self { columns, first_key, dims, progress } = self;
        let row = out.len();
        out.resize(row + columns.len(), T::default());
        let mut given = vec![false; columns.len()];
        let mut key = Some(first_key);
        let mut value = Vec::with_capacity(1);
        while let Some(name) = key {
            progress.trail.enter(&name);
            let Some(column) = columns.iter().position(|column| *column == name) else {
                let near = did_you_mean(&name, columns.iter().map(String::as_str));
                return Err(progress.trail.unfit(format!("no such feature{near}")));
            };
            if std::mem::replace(&mut given[column], true) {
                return Err(progress.trail.unfit("given twice"));
            }
            // A column is a single element, whatever shape the rows have.
            let dims = &mut Dims { sizes: Some(Vec::new()) };
            let element = Nested { out: &mut value, dims, depth: 0, progress: &mut *progress };
            members.next_value_seed(element.seed())?;
            out[row + column] = value.pop().unwrap_or_default();
            progress.trail.leave();
            key = members.next_key()?;
        }
        if let Some(missing) = given.iter().position(|given| !given) {
            let sentence = format!("feature `{}` is missing", shortened(&columns[missing]));
            return Err(progress.trail.unfit(sentence));
        }
        dims.agree(1, columns.len()).map_err(|expected| {
            let sentence = format!("expected {expected} elements, got {} features", columns.len());
            progress.trail.unfit(sentence)
        })
    }
}
